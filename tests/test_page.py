"""The page: what the browser shows is what python says, and nothing leaves the file."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import symcnn
from symcnn import nn
from symcnn.cli import main
from symcnn.errors import BadSpec

from .conftest import ROOT, load_example
from .fuzz import page as real

SOURCES = ROOT / "symcnn" / "words" / "page"

needs_browser = pytest.mark.skipif(bool(real.without()), reason=real.without())


def small() -> symcnn.Network:
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)).trace("N 3 H W")


@pytest.fixture(scope="module")
def unet() -> symcnn.Network:
    import torch

    with torch.device("meta"):
        module = load_example("unet").UNet(depth=3, base=8).eval()
    return symcnn.from_torch(module, "N 3 H W")


# The file ----------------------------------------------------------------------------------------


def test_a_page_is_text_or_a_file(tmp_path: Path) -> None:
    net = small()
    file = net.to_page(tmp_path / "net.html")
    assert file == tmp_path / "net.html"
    assert file.read_text(encoding="utf-8") == net.to_page()
    assert symcnn.to_page([net, net.at("0")]) == net.to_page(beside=[net.at("0")])


def test_a_page_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadSpec, match="cannot be written"):
        small().to_page(tmp_path)
    with pytest.raises(BadSpec, match="needs a network"):
        symcnn.to_page([])
    with pytest.raises(BadSpec, match="2 titles for 1 network"):
        symcnn.to_page(small(), titles=["a", "b"])


def test_names_of_layers_and_sizes_are_text_and_never_code() -> None:
    from symcnn import symbols

    size = symbols("BigInt")
    net = nn.Sequential({"</script><b>": nn.Conv1d(3, 8, 3)}).trace((symcnn.N, 3, size))
    page = net.to_page(title="<b>&")
    assert "</script><b>" not in page
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert "BigInt" not in page[page.index("const symcnnFormulas") :].splitlines()[0]


def test_resnet_50_fits_into_400_kilobytes(example: Callable[..., Any]) -> None:
    page = symcnn.from_torch(example("resnet:resnet50"), "N 3 H W").to_page()
    assert len(page.encode()) <= 400_000


def test_the_command_writes_a_page(tmp_path: Path) -> None:
    file, net = tmp_path / "net.html", f"{ROOT}/examples/networks/unet.py:unet"
    words = ["page", net, "--input", "N 3 H W", "--out", str(file), "--beside", net]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"wrote {file}: unet, unet, ")
    assert "<title>unet and unet</title>" in file.read_text()


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_bundle_is_what_its_sources_make(tmp_path: Path) -> None:
    for name in ("src", "build.js", "package.json", "package-lock.json"):
        copy = shutil.copytree if (SOURCES / name).is_dir() else shutil.copy
        copy(SOURCES / name, tmp_path / name)
    install = ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"]
    ran = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True)
    if ran.returncode:
        pytest.skip(f"npm cannot install: {ran.stderr.strip().splitlines()[-1]}")
    subprocess.run(["node", "build.js", "new"], cwd=tmp_path, capture_output=True, check=True)
    for built in (tmp_path / "new").iterdir():
        assert built.read_text() == (SOURCES / "built" / built.name).read_text(), "make page"


# In a browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with real.browser() as started:
        yield started


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    """``with show(net) as shown``: its page, open; at the end it was silent and asked nobody."""
    from contextlib import contextmanager

    @contextmanager
    def shown(*nets: Any, state: str = "", **options: Any) -> Iterator[Any]:
        file: Path = symcnn.to_page(nets, tmp_path / "net.html")
        with real.opened(browser, file, state, **options) as found:
            yield found
            assert found.complaints == []
            assert {url.split("#")[0] for url in found.requests} == {file.as_uri()}

    return shown


@needs_browser
def test_every_number_is_what_python_says(
    show: Any, example: Callable[..., Any], unet: Any
) -> None:
    import torch

    with torch.device("meta"):
        conv1d = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 5, 3), torch.nn.AvgPool1d(4, 3)).eval()
    draw = random.Random(0)
    nets = [
        unet,
        symcnn.from_torch(example("alexnet:alexnet"), "N 3 H W"),
        symcnn.from_torch(example("squeezenet:squeezenet1_0"), "N 3 H W"),
        symcnn.from_torch(conv1d, "N 2 L"),
    ]
    for net in nets:
        with show(net) as shown:
            for _ in range(6):
                sizes = {name: draw.randint(1, 400) for name in net.symbols}
                assert real.differences(net, shown, sizes) == []


@needs_browser
def test_a_copy_that_is_a_view_where_an_axis_is_1_long_is_no_number_too_many(show: Any) -> None:
    import torch

    class Turned(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return (x.transpose(0, 1).flatten() * 2).sum() + x.transpose(1, 2).reshape(-1)

    net = symcnn.from_torch(Turned(), "N 3 L")
    with show(net) as shown:
        for sizes in ({"N": 1, "L": 8}, {"N": 2, "L": 8}, {"N": 2, "L": 1}):
            assert real.differences(net, shown, sizes) == []
        (said,) = shown.read()
        assert said["totals"]["peak bytes"] == "not known"  # L is 1
        shown.set(L=9)
        assert shown.read()[0]["totals"]["peak bytes"] != "not known"


@needs_browser
def test_a_size_that_is_not_valid_lights_up_the_layer_and_is_mended_by_a_click(
    show: Any, unet: Any
) -> None:
    assert str(unet.valid_inputs()) == "H % 8 == 0 and H >= 8 and W % 8 == 0 and W >= 8"
    with show(unet) as shown:
        slider = shown.page.get_by_role("slider", name="H", exact=True)
        slider.evaluate(
            "(s) => { s.value = 501; s.dispatchEvent(new Event('input', {bubbles: true})) }"
        )
        (said,) = shown.read()
        assert not said["valid"]
        assert said["fails"] == ["cat:1"]
        assert "sizes must agree along the other axes" in said["verdict"]
        assert shown.page.get_by_text("refuses:").is_visible()
        shown.page.get_by_role("button", name="pad to 504", exact=True).click()
        (said,) = shown.read()
        assert said["valid"]
        assert said["totals"]["output"] == "1×2×504×224"


@needs_browser
def test_a_size_that_is_no_number_is_said_in_words(show: Any) -> None:
    with show(small()) as shown:
        for text, words in (
            ("abc", "H: “abc” is not a whole number"),
            ("", "H has no size"),
            ("-3", "H: sizes begin at 1, not -3"),
            ("9" * 30, "H: sizes end below 2⁶³"),
        ):
            shown.set(H=text)
            assert words in shown.page.get_by_role("alert").inner_text()
        shown.set(H=10**17, W=10**3)
        (said,) = shown.read()
        assert said["rows"]["0"]["output"] == "1×8×49999999999999999×499"  # beyond doubles, exact


@needs_browser
def test_a_target_is_answered_with_the_sizes_that_give_it(
    show: Any, example: Callable[..., Any]
) -> None:
    net = symcnn.from_torch(example("resnet:resnet18"), "N 3 H W")
    with show(net) as shown:
        box = shown.page.get_by_label("which sizes give")
        box.fill("7x7")
        words = shown.page.locator(".target output").inner_text()
        assert "193 ≤ H ≤ 224 and 193 ≤ W ≤ 224" in words
        shown.page.get_by_role("button", name="show 193×193").click()
        assert shown.read()[0]["rows"]["layer4"]["output"] == "1×512×7×7"
        box.fill("seven")
        assert "is no size" in shown.page.locator(".target output").inner_text()


@needs_browser
def test_a_target_in_a_domain_with_gaps_names_its_sizes_only(show: Any, unet: Any) -> None:
    with show(unet) as shown:
        shown.page.get_by_role("button", name="pool:3").click()
        shown.page.get_by_label("which sizes give").fill("20x31")
        assert "H = 160 and W = 248" in shown.page.locator(".target output").inner_text()
        shown.page.get_by_label("which sizes give").fill("20x31x2")
        assert "no valid size" in shown.page.locator(".target output").inner_text()


@needs_browser
def test_a_layer_shows_how_its_size_comes_about_and_what_it_sees(show: Any) -> None:
    net = small()
    with show(net, state="H=40&W=50") as shown:
        shown.page.get_by_role("button", name="2", exact=True).click()
        words = shown.page.locator(".details").inner_text()
        assert "⌊(40 − 3)/2⌋ + 1 = 19" in words
        assert "⌊(19 − 2)/2⌋ + 1 = 9" in words
        place = shown.page.get_by_role("slider", name="place along H")
        place.fill("8")
        first, last = net.receptive_field().clipped(8, 0, {"H": 40, "W": 50, "N": 1})
        assert f"output 8 sees {first} … {last}" in shown.page.locator(".details").inner_text()


@needs_browser
def test_an_image_is_drawn_under_the_field(show: Any, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    image = tmp_path / "image.svg"
    image.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with show(small(), state="layer=2") as shown:
        chooser = shown.page.locator("input[type=file]")
        chooser.set_input_files(broken)
        shown.page.get_by_text("broken.png is no image").wait_for()
        pixels = shown.page.evaluate(
            "async () => { const c = new OffscreenCanvas(8, 8);"
            " c.getContext('2d').fillRect(0, 0, 8, 8);"
            " return [...new Uint8Array(await (await c.convertToBlob()).arrayBuffer())] }"
        )
        image = tmp_path / "black.png"
        image.write_bytes(bytes(pixels))
        chooser.set_input_files(image)
        shown.page.get_by_text("another image").wait_for()
        slider = shown.page.get_by_label("place along H")
        for place in range(4):  # under load Chromium has lost the pixels of a canvas: drawn anew
            slider.fill(str(place))
            try:  # black under a white veil, as soon as it is drawn
                shown.page.wait_for_function(
                    "() => document.querySelector('canvas').getContext('2d')"
                    ".getImageData(2, 2, 1, 1).data[0] < 200",
                    timeout=7000,
                )
            except sync_api.TimeoutError:
                continue
            return
        pytest.fail("the image is not drawn")


@needs_browser
def test_a_link_keeps_the_state(show: Any, unet: Any) -> None:
    with show(unet) as shown:
        shown.set(H=96, W=104)
        shown.page.get_by_role("button", name="pool:2").click()
        shown.page.get_by_label("which sizes give").fill("9x9")
        shown.page.wait_for_function("location.hash.includes('target=9x9')")
        state = shown.page.evaluate("location.hash.slice(1)")
    with show(unet, state=state) as shown:
        (said,) = shown.read()
        assert said["totals"]["output"] == "1×2×96×104"
        assert shown.page.get_by_label("which sizes give").input_value() == "9x9"
        assert shown.page.locator(".details b").first.inner_text() == "pool:2"


@needs_browser
def test_several_networks_move_together(show: Any, unet: Any) -> None:
    with show(unet, small()) as shown:
        shown.set(H=501, W=504)
        one, other = shown.read()
        assert not one["valid"]
        assert other["valid"]
        assert other["totals"]["output"] == "1×8×125×125"


@needs_browser
def test_the_branch_that_holds_is_said(show: Any) -> None:
    import torch

    class Halved(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            if x.shape[2] > 1000:
                raise ValueError("at most 1000 rows")
            return torch.nn.functional.max_pool2d(x, 2) if x.shape[2] > 64 else x * 2

    net = symcnn.from_torch(Halved(), "N 3 H W")
    with show(net) as shown:
        shown.set(H=64, W=9)
        assert "for 1 <= H <= 64 and W >= 1" in shown.read()[0]["verdict"]
        shown.set(H=66)
        (said,) = shown.read()
        assert "for 65 <= H <= 1000 and W >= 1" in said["verdict"]
        assert said["totals"]["output"] == "1×3×33×4"
        shown.set(H=1001)
        (said,) = shown.read()
        assert "ValueError: at most 1000 rows" in said["verdict"]
        assert ["crop to 1000", "H = 1000"] in said["ways"]


@needs_browser
def test_what_was_not_followed_is_not_known(show: Any) -> None:
    import torch

    class Rows(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cat([x for _ in range(x.shape[2])], 1)

    with show(symcnn.from_torch(Rows(), "N 3 H W", example={"H": 4})) as shown:
        shown.set(H=5)
        assert "not known" in shown.read()[0]["verdict"]
        assert "this page holds for H == 4 only" in shown.read()[0]["verdict"]


@needs_browser
def test_ten_thousand_layers_fold_and_open_within_a_second(show: Any) -> None:
    net = nn.Sequential(*[nn.Conv1d(8, 8, 3, padding=1) for _ in range(10_000)]).trace("N 8 L")
    taken = []
    with show(net) as shown:
        for _ in range(3):
            shown.page.reload()
            shown.page.wait_for_selector("table")
            taken.append(
                shown.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
            )
        (said,) = shown.read()
        assert list(said["rows"])[:2] == ["0 … 99", "100 … 199"]
        assert len(said["rows"]) == 100
        shown.page.get_by_role("button", name="0 … 99", exact=True).click()
        assert len(shown.read()[0]["rows"]) == 200
        assert shown.read()[0]["rows"]["7"]["output"] == "1×8×224"
    assert min(taken) < 1000


@needs_browser
def test_keys_move_sizes_and_open_layers(show: Any, unet: Any) -> None:
    with show(unet) as shown:
        shown.page.get_by_role("spinbutton", name="H", exact=True).press("ArrowUp")
        assert not shown.read()[0]["valid"]
        shown.page.get_by_role("button", name="pad to 232", exact=True).press("Enter")
        assert shown.read()[0]["valid"]
        shown.page.get_by_role("button", name="pool:1").press("Enter")
        assert shown.page.locator(".details").is_visible()


@needs_browser
def test_the_table_is_copied(show: Any) -> None:
    with show(small(), permissions=["clipboard-read", "clipboard-write"]) as shown:
        shown.page.get_by_role("button", name="copy table").click()
        shown.page.get_by_text("table copied").wait_for()
        text = shown.page.evaluate("navigator.clipboard.readText()")
        assert text.splitlines()[1].split("\t")[:3] == ["0", "conv2d", "1×8×111×111"]
        shown.page.get_by_role("button", name="copy LaTeX").click()
        shown.page.get_by_text("LaTeX copied").wait_for()
        assert "toprule" in shown.page.evaluate("navigator.clipboard.readText()")


@needs_browser
def test_nothing_is_cut_off_at_400_pixels(show: Any, unet: Any) -> None:
    for scheme in ("light", "dark"):
        options = {"viewport": {"width": 400, "height": 800}, "color_scheme": scheme}
        with show(unet, state="H=501&layer=20", **options) as shown:
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= 400
