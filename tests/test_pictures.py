"""Figures and drawings show what the network answers, and refuse in words what they cannot show."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import symcnn
from symcnn import BadSpec, InvalidInput, nn
from symcnn.cli import main
from symcnn.questions.cost.steps import steps

from .conftest import ROOT, load_example, sure

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def resnet() -> symcnn.Network:
    return symcnn.from_torch(load_example("resnet").resnet18().eval(), "N 3 H W")


@pytest.fixture(scope="module")
def unet() -> symcnn.Network:
    return symcnn.from_torch(load_example("unet").unet().eval(), "N 3 H W")


class Halved(torch.nn.Module):
    """Pools what is higher than 64 rows, and refuses what is higher than 100."""

    def __init__(self) -> None:
        super().__init__()
        self.c = torch.nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] > 100:
            raise ValueError("at most 100 rows")
        if x.shape[2] > 64:
            x = torch.nn.functional.max_pool2d(x, 2)
        return self.c(x)


@pytest.fixture(scope="module")
def halved() -> symcnn.Network:
    return symcnn.from_torch(Halved(), "N 3 H W")


def labels(figure: Any) -> list[Any]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def points(figure: Any, k: int = 0) -> list[Any]:
    return [tuple(map(int, point)) for point in figure.axes[0].collections[k].get_offsets()]


# figures ----------------------------------------------------------------------------------------


def test_the_staircase_is_what_the_shapes_are_and_marks_the_fibre(resnet: Any) -> None:
    figure = resnet.plot("sizes", H=range(1, 257), output=7)
    last = resnet.at("layer4")
    assert set(points(figure)) == {
        (h, last.shape_at(N=1, H=h, W=h)[2]) for h in range(1, 257) if not 193 <= h <= 224
    }
    assert "7: H = W = 193..224" in labels(figure)


def test_the_staircase_of_a_network_with_branches_takes_each_size_by_its_branch(
    halved: Any,
) -> None:
    figure = halved.plot("sizes", H=range(60, 110))
    expected = {(h, h if h <= 64 else h // 2) for h in range(60, 101)}
    assert set(points(figure)) == expected


def test_the_lattice_has_the_valid_sizes_and_a_reason_for_each_other(unet: Any) -> None:
    figure = unet.plot("domain", H=range(1, 33), W=range(1, 33))
    cells = np.asarray(figure.axes[0].images[0].get_array())
    valid = {(h + 1, w + 1) for h, w in np.argwhere(cells == 0).tolist()}
    domain = unet.valid_inputs()
    assert valid == {(h, w) for h in range(1, 33) for w in range(1, 33) if (h, w) in domain}
    assert labels(figure)[0] == "valid: 4 of 1,024"
    assert any(label.startswith("cat:1: ") for label in labels(figure))


def test_the_lattice_says_what_the_model_raises(halved: Any) -> None:
    figure = halved.plot("domain", H=range(90, 110), W=range(1, 9))
    assert any("at most 100 rows" in label.replace("\n", " ") for label in labels(figure))


def test_a_curve_is_the_cost_and_a_budget_names_the_sizes_around_it(resnet: Any) -> None:
    figure = resnet.plot("cost", H=range(200, 241, 8), macs="1.9G")
    (line, *_) = figure.axes[0].lines
    for size, macs in zip(*line.get_data(), strict=True):
        assert macs == resnet.cost().at(N=1, H=int(size), W=int(size)).total
    assert labels(figure) == ["1.9 G: 224 fits, 232 does not"]


def test_costs_over_the_batch_leave_the_image_as_it_is(resnet: Any) -> None:
    figure = resnet.plot("cost", N=range(1, 4))
    assert [ax.get_xlabel() for ax in figure.axes] == ["N"] * len(figure.axes)
    assert "H = 224, W = 224" in figure.axes[0].get_title(loc="left")


def test_the_steps_of_a_forward_peak_at_the_peak(unet: Any) -> None:
    cost = unet.cost().at(N=1, H=64, W=64)
    assert max(step.bytes for step in steps(cost)) == cost.peak
    figure = unet.plot("memory", N=1, H=64, W=64)
    worst = max(steps(cost), key=lambda step: step.bytes)
    assert any(f"at {worst.node}" in text.get_text() for text in figure.axes[0].texts)


def test_fields_grow_along_the_depth(resnet: Any) -> None:
    over_all, shortest, _ = resnet.plot("fields", H=224, W=224).axes[0].lines
    assert max(over_all.get_ydata()) == 435
    assert max(shortest.get_ydata()) <= 435


def test_the_field_of_a_classifier_has_a_figure_without_a_place(resnet: Any) -> None:
    """All of its outputs see the same."""
    for sizes in ({}, {"H": 64, "W": 96}):
        (ax,) = resnet.receptive_field().plot(**sizes).axes
        assert "over all paths" in ax.get_legend().texts[0].get_text()


def test_every_figure_takes_axes(resnet: Any) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    for what in ("sizes", "domain", "cost", "memory", "fields"):
        sizes = {} if what in ("memory", "fields") else {"H": range(32, 40)}
        assert resnet.plot(what, ax=ax, **sizes) is figure
    assert resnet.receptive_field("layer1").plot(ax=ax, H=64, W=64) is figure


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda net: net.plot("colour"), "there is no figure 'colour'"),
        (lambda net: net.plot("sizes", H=range(1, 9), W=range(1, 5)), "ranges of their own"),
        (lambda net: net.plot("sizes", H=9, W=9), "no size is left"),
        (lambda net: net.plot("sizes", H=range(0)), "ranges over nothing"),
        (lambda net: net.plot("sizes", Q=range(1, 5)), "no size is called Q"),
        (lambda net: net.plot("sizes", H="many"), "is not a whole number"),
        (lambda net: net.plot("sizes", output=0), "output=0 is no size"),
        (lambda net: net.plot("memory", H=range(1, 5)), "H is a range"),
        (lambda net: net.plot("domain", output=7), "output is nothing"),
        (lambda net: net.plot("domain", H=range(1, 999), W=range(1, 999)), "more than 90,000"),
        (lambda net: net.plot("sizes", macs="4G"), "budgets is nothing"),
        (lambda net: net.draw("words"), "there is no drawing 'words'"),
        (lambda net: net.draw(depth=0), "depth=0"),
        (lambda net: net.receptive_field().plot(on="none.png"), "none.png is no picture"),
        (lambda net: net.receptive_field("layer1").plot(at=(1, 2, 3)), "a place has an index"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(
    resnet: Any, ask: Callable[..., Any], said: str
) -> None:
    with pytest.raises(BadSpec, match=said):
        ask(resnet)


def test_a_forward_at_a_size_that_is_not_valid_is_refused(unet: Any) -> None:
    with pytest.raises(InvalidInput, match="cat"):
        unet.plot("memory", H=100, W=100)


def test_a_network_that_is_not_complete_says_so() -> None:
    class Rows(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x for _ in range(x.shape[2])], 1)

    net = symcnn.from_torch(Rows(), "N 3 H W", example={"H": 4})
    assert "holds for H == 4 only" in net.draw()
    assert "holds for H == 4 only" in net.plot("sizes", H=4, W=range(1, 9)).axes[0].get_title(
        loc="left"
    )


# places -----------------------------------------------------------------------------------------


def test_a_field_over_an_image_is_the_interval_of_each_axis(resnet: Any, tmp_path: Path) -> None:
    from matplotlib.image import imsave

    imsave(tmp_path / "image.png", np.zeros((96, 64, 3)))
    field = resnet.receptive_field("layer2")
    figure = field.plot(at=(3, 4), on=tmp_path / "image.png")
    exact = field.at(H=96, W=64)
    (top, bottom), (left, right) = exact.interval(3, 0), exact.interval(4, 1)
    over_all = figure.axes[0].patches[0]
    assert (over_all.get_x(), over_all.get_y()) == (left - 0.5, top - 0.5)
    assert (over_all.get_width(), over_all.get_height()) == (right - left + 1, bottom - top + 1)


def test_holes_rows_that_nobody_reads_and_padding_are_told_apart() -> None:
    net = nn.Conv2d(1, 1, 2, stride=3, dilation=2, padding=1).trace("N 1 H W")
    figure = net.receptive_field().plot(at=(0, 1), H=12, W=12)
    shade = sure(figure.axes[0].images[0].get_array())[..., 3] > 0
    assert np.argwhere(shade).tolist() == [[1, 2], [1, 4]]
    assert labels(figure)[-2:] == ["and padding", "no output reads these"]


def test_a_field_of_a_network_with_branches_is_that_of_the_branch_of_its_sizes(halved: Any) -> None:
    for height, seen in ((32, 3), (80, 6)):
        figure = halved.receptive_field().plot(H=height, W=32)
        assert labels(figure)[0] == f"over all paths: {seen} × {seen}"
    with pytest.raises(InvalidInput):
        halved.receptive_field().plot(H=101, W=32)


def test_without_an_image_names_are_sizes(resnet: Any) -> None:
    title = resnet.receptive_field("layer1").plot(at={"H": 64, "W": 32}).axes[0].get_title("left")
    assert "H = 64, W = 32" in title


def test_a_picture_of_another_size_is_refused() -> None:
    field = nn.Conv2d(3, 8, 3).trace("N 3 32 32").receptive_field()
    with pytest.raises(InvalidInput, match="the network takes 32"):
        field.plot(on=np.zeros((30, 32)))


def test_tiles_are_drawn_where_they_lie() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AvgPool2d(2)).trace("N 1 H W")
    plan = net.tiles(H=64, W=64, tile=48)
    boxes: Any = plan.plot().axes[0].patches[1:]
    assert [(b.get_y(), b.get_x()) for b in boxes] == [
        tuple(s.start - 0.5 for s in tile.input) for tile in plan
    ]


# drawings ---------------------------------------------------------------------------------------

NAMES = {"svg": "rect", "tikz": r"\draw", "dot": "digraph", "mermaid": "flowchart TD"}


@pytest.mark.parametrize("form", NAMES)
def test_a_drawing_has_every_module_and_symbolic_shapes(resnet: Any, form: str) -> None:
    drawing = resnet.draw(form)
    assert NAMES[form] in drawing
    for name in ("conv1", "layer1", "layer4", "fc"):
        assert name in drawing
    assert "(H + 31)//32" in drawing


def test_svg_is_well_formed_and_has_a_box_per_row(resnet: Any) -> None:
    root = ElementTree.fromstring(resnet.draw())
    names = [e.text for e in root.iter() if e.get("class") == "name"]
    assert names[:5] == ["input", "conv1", "bn1", "relu", "maxpool"]
    assert len([e for e in root.iter() if e.tag.endswith("rect")]) == len(names)


def test_a_u_net_shows_its_skips_past_the_deeper_boxes(unet: Any) -> None:
    root = ElementTree.fromstring(unet.draw(depth=2))
    skips = [e for e in root.iter() if e.get("class") == "edge skip"]
    assert len(skips) == 4
    assert all("cat:" in sure(e[0].text) for e in skips)


def test_all_names_are_escaped() -> None:
    net = nn.Sequential({'a<b&"c]|{}': nn.ReLU(), "d_e#%": nn.ReLU()}).trace("N 3 H W")
    root = ElementTree.fromstring(net.draw())
    assert 'a<b&"c]|{}' in [e.text for e in root.iter()]
    assert r"d\_e\#\%" in net.draw("tikz")
    assert r'label="a<b&\"c]|{} · relu"' in net.draw("dot")
    assert '"a#lt;b&#quot;c]|{} · relu"' in net.draw("mermaid")


def test_every_branch_is_drawn_under_its_sizes(halved: Any) -> None:
    for form in NAMES:
        assert "for " in halved.draw(form)
    text = "".join(ElementTree.fromstring(halved.draw()).itertext())
    assert "for 1 <= H <= 64 and W >= 1" in text
    assert "max_pool2d" in text


def test_ten_thousand_layers_fold_and_nothing_is_left_out() -> None:
    layers = [m for _ in range(5000) for m in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())]
    net = nn.Sequential(*layers).trace("N 8 H W")
    start = time.perf_counter()
    drawing = net.draw()
    assert time.perf_counter() - start < 10
    assert "0 … 9999" in drawing
    assert "5,000 × (conv2d, relu)" in drawing


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_reads_the_dot(unet: Any, halved: Any) -> None:
    for net in (unet, halved):
        run = subprocess.run(
            ["dot", "-Tsvg"], input=net.draw("dot"), capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert "<svg" in run.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_the_tikz_compiles(unet: Any, tmp_path: Path) -> None:
    if subprocess.run(["kpsewhich", "tikz.sty"], capture_output=True, check=False).returncode:
        pytest.skip("the package tikz is not installed")
    body = unet.draw("tikz", depth=2)
    (tmp_path / "u.tex").write_text(
        "\\documentclass[tikz]{article}\\usepackage{tikz}"
        f"\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )
    run = subprocess.run(
        ["pdflatex", "-interaction=batchmode", "-halt-on-error", "u.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, (tmp_path / "u.log").read_text()[-2000:]


# commands ---------------------------------------------------------------------------------------


def run(*words: Any) -> Any:
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize("kind", ["sizes", "domain", "cost", "memory", "fields", "field"])
def test_the_command_writes_the_figure(kind: str, tmp_path: Path) -> None:
    target = f"{ROOT}/examples/networks/resnet.py:resnet18"
    out = tmp_path / "figure.png"
    sizes = "H=32..40" if kind in ("sizes", "domain", "cost") else "64x64"
    place = ["--module", "layer1"] if kind == "field" else []
    result = run("plot", target, kind, "--sizes", sizes, *place, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_command_draws_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "net.svg"
    target = f"{ROOT}/examples/networks/unet.py:unet"
    result = run("draw", target, "--as", "svg", "--depth", "1", "--out", str(out))
    assert result.exit_code == 0, result.output
    ElementTree.fromstring(out.read_text())
