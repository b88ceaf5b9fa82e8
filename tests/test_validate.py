"""`net.validate`: torch runs at sizes where mistakes would show; a wrong formula is found."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.cli import main
from symcnn.errors import BadSpec
from symcnn.judge import validate as validation
from symcnn.judge.oracles import own_kernels

from .conftest import ROOT, sure


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(4)
        self.up = nn.Upsample(scale_factor=4)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(x)
        return self.last(torch.cat([x, self.up(self.pool(x))], 1))


def verdicts(report: Any, what: Any) -> Any:
    return {c.verdict for c in report.checks if c.what == what}


@pytest.fixture
def wrong_relu(monkeypatch: pytest.MonkeyPatch) -> tuple[nn.Module, symcnn.Network]:
    """A network whose activation is said to drop a column."""

    class Halved(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[..., ::2]

    @symcnn.rule(Halved)
    def halved(module: Any, x: Any) -> Any:
        n, c, h, w = x.dims
        return n, c, h, w // 2  # right for even sizes only

    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), Halved())
    return module, symcnn.from_torch(module, "N 3 H W")


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_right_network_passes_everything(device: str) -> None:
    module = UNet()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, device, samples=12)
    assert report
    assert report.counterexample is None
    for what in ("parameters", "outputs", "modules", "refusals", "flops", "peak", "repeat"):
        assert verdicts(report, what) == {"passed"}
    assert verdicts(report, "saved") == {"passed" if device == "cpu" else "skipped"}
    assert verdicts(report, "receptive field") == {"passed" if device == "cpu" else "skipped"}


def on_a_card(test: Any) -> Any:
    there = torch.cuda.is_available()
    return pytest.mark.cuda(pytest.mark.skipif(not there, reason="no CUDA device here")(test))


@on_a_card
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_right_network_passes_on_a_card(dtype: str, channels_last: bool) -> None:
    module = UNet()
    net = symcnn.from_torch(module, "N 3 H W")
    report = net.validate(module, "cuda", samples=12, dtype=dtype, channels_last=channels_last)
    assert report, str(report)
    assert verdicts(report, "peak") == {"passed"}


@on_a_card
def test_on_a_card_the_allocators_rounding_and_the_workspace_are_stated() -> None:
    module = UNet()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, "cuda", samples=12)
    (peak, *_) = (c for c in report.passed if c.what == "peak")
    assert "by rounding each to 512 bytes" in peak.why
    assert "of workspace" in peak.why


@on_a_card
def test_a_size_that_no_card_holds_is_halved_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Conv2d(3, 64, 3, padding=1)
    net = symcnn.from_torch(module, "N 3 H W")
    huge = {"N": 1, "H": 2**18, "W": 2**18}
    monkeypatch.setattr(validation, "interesting_sizes", lambda *a: [huge])
    report = net.validate(module, "cuda", checks=["outputs"])
    assert report.skipped
    assert report.passed


def test_a_wrong_formula_is_found_and_shrunk_to_the_smallest_size(wrong_relu: Any) -> None:
    module, net = wrong_relu
    report = net.validate(module, samples=12)
    assert not report
    found = report.counterexample
    assert (found.what, found.sizes) == ("outputs", {"N": 1, "H": 1, "W": 1})
    assert (found.ours, found.torch) == ("(1, 2, 1, 0)", "(1, 2, 1, 1)")


def test_a_module_that_differs_inside_is_told_where() -> None:
    traced = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1))
    given = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2, stride=1), nn.AdaptiveAvgPool2d(1))
    net = symcnn.from_torch(traced, "N 3 H W")
    found = sure(net.validate(given, samples=6, checks=["outputs", "modules"]).counterexample)
    assert (found.what, found.where, found.sizes) == ("modules", "1", {"N": 1, "H": 2, "W": 3})


def test_the_peak_of_a_module_that_caches_is_that_of_its_first_pass() -> None:
    """LeViT: in eval mode a table of biases is gathered once and kept."""

    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(4))
            self.kept: Any = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.kept is None:
                self.kept = self.table[torch.zeros(1000, dtype=torch.long, device=x.device)].sum()
            return x + self.kept

    module = Biased()
    net = symcnn.from_torch(module, "N 4 L")
    assert verdicts(net.validate(module, "cpu", samples=4, checks=["peak"]), "peak") == {"passed"}


def test_a_module_whose_methods_return_nothing_is_validated(tmp_path: Path) -> None:
    """Blur pools of Holocron move, and backbones with frozen norms train, without a return."""
    file = tmp_path / "frozen.py"
    file.write_text(
        "import torch\n"
        "class Frozen(torch.nn.Conv2d):\n"
        "    def __init__(self):\n"
        "        super().__init__(3, 4, 3)\n"
        "    def train(self, mode=True):\n"
        "        super().train(False)\n"
        "    def _apply(self, fn):\n"
        "        super()._apply(fn)\n"
    )
    space: dict[str, Any] = {}
    exec(file.read_text(), space)
    module = space["Frozen"]()
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.validate(module, "cpu", samples=2, dtype="float64")
    assert symcnn.effective_receptive_field(module, "N 3 H W", H=9, W=9).values.shape == (9, 9)
    asked = ["shapes", f"{file}:Frozen", "--input", "N 3 H W"]
    assert CliRunner().invoke(main, asked).exit_code == 0


def test_channels_last_is_for_volumes_too() -> None:
    module = nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.ReLU())
    net = symcnn.from_torch(module, "N 3 D H W")
    assert net.validate(module, "cpu", samples=4, channels_last=True)


def test_wrong_work_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Conv2d(4, 4, 3, groups=2)
    net = symcnn.from_torch(module, "N 4 H W")
    assert net.validate(module, samples=4)
    right = validation.torch_flops  # type: ignore[attr-defined]
    monkeypatch.setattr(validation, "torch_flops", lambda *a, **k: (2 * right(*a, **k)[0], 0))
    report = net.validate(module, samples=4)
    assert sure(report.counterexample).what == "flops"
    assert sure(report.counterexample).sizes == {"N": 1, "H": 3, "W": 3}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes_have_the_same_shapes_and_their_own_bytes(dtype: str) -> None:
    module = UNet()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, "cpu", samples=6, dtype=dtype)
    assert report, str(report)
    assert verdicts(report, "saved") == {"passed"}
    assert f"validated on cpu in {dtype}" in str(report)
    assert next(module.parameters()).dtype == torch.float32


def test_a_module_of_another_dtype_gets_inputs_of_it() -> None:
    module = UNet().bfloat16()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, "cpu", samples=6)
    assert report, str(report)
    assert report.dtype == "bfloat16"
    assert verdicts(report, "saved") == {"passed"}


def test_channels_last_has_the_same_shapes() -> None:
    module = UNet()
    report = symcnn.from_torch(module, "N 3 H W").validate(
        module, "cpu", samples=6, channels_last=True
    )
    assert report, str(report)
    assert verdicts(report, "saved") == {"skipped"}
    assert verdicts(report, "outputs") == {"passed"}


def test_a_dtype_that_is_none_is_refused() -> None:
    module = nn.ReLU()
    with pytest.raises(BadSpec, match="there is float32, float16"):
        symcnn.from_torch(module, "N 3").validate(module, dtype="half")


def test_wrong_saved_bytes_are_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    module = UNet()
    net = symcnn.from_torch(module, "N 3 H W")
    right = validation.torch_saved  # type: ignore[attr-defined]
    monkeypatch.setattr(validation, "torch_saved", lambda *a, **k: right(*a, **k) + 8)
    found = net.validate(module, "cpu", samples=6).counterexample
    assert (sure(found).what, sure(found).sizes) == ("saved", {"N": 1, "H": 4, "W": 4})
    assert int(sure(found).torch) == int(sure(found).ours) + 8


def test_a_peak_that_torch_stays_below_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = UNet()
    net = symcnn.from_torch(module, "N 3 H W")
    monkeypatch.setattr(validation, "torch_peak", lambda *a: (7, 1, 512))
    found = net.validate(module, samples=6).counterexample
    assert (sure(found).what, sure(found).torch) == ("peak", "7")


def test_the_peak_of_a_chain_is_what_torchs_references_keep() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3), nn.MaxPool2d(2))
    report = symcnn.from_torch(module, "N 3 H W").validate(module, samples=8)
    peaks = [c for c in report.passed if c.what == "peak"]
    assert peaks
    assert all(c.ours == c.torch for c in peaks)


class _MadeAnew(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.Conv2d(3, 4, 3)(nn.LayerNorm(x.shape[-1])(x))


def test_what_autograd_keeps_of_layers_that_the_forward_makes_is_compared() -> None:
    module = _MadeAnew()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, "cpu", samples=3)
    assert report
    assert any(c.what == "saved" for c in report.passed)


class _MixedAxes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], 3, x.shape[3], x.shape[2])


def test_a_field_that_hangs_on_several_output_axes_is_skipped_in_words() -> None:
    module = _MixedAxes()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, "cpu", samples=3)
    assert report
    assert any("depends on the output axes" in c.why for c in report.skipped)


class _AutocastProduct(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return x @ x.transpose(-1, -2)


def test_a_peak_that_is_lower_on_meta_is_measured_on_the_cpu() -> None:
    module = _AutocastProduct()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, samples=4)
    assert report
    assert any(c.what == "peak" for c in report.passed)


def test_a_size_that_fills_the_memory_is_halved_and_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a full card raises, from the CPU."""
    right = validation.judge  # type: ignore[attr-defined]

    def full(net: Any, module: Any, sizes: Any, **options: Any) -> Any:
        if max(sizes.values()) > 60:
            raise torch.OutOfMemoryError("out of memory")
        return right(net, module, sizes, **options)

    monkeypatch.setattr(validation, "judge", full)
    module = UNet()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, samples=24)
    assert report
    reasons = {c.why for c in report.skipped if c.what == "outputs"}
    assert "out of memory on meta" in reasons
    assert "larger ones filled the memory" in reasons
    first = next(c for c in report.skipped if c.what == "outputs")
    half = max(first.sizes.values()) // 2
    after = report.checks[report.checks.index(first) + 1]
    assert max(after.sizes.values()) <= half
    assert max(after.sizes.values()) > half // 4


def test_a_wrong_receptive_field_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU())
    net = symcnn.from_torch(module, "N 3 H W")
    from symcnn.questions.field.field_at import FieldAt

    right = FieldAt.table
    monkeypatch.setattr(FieldAt, "table", lambda self, axis=0: right(self, axis) & False)
    report = net.validate(module, "cpu", samples=4)
    assert sure(report.counterexample).what == "receptive field"
    assert "output index 0 along H" in str(report.counterexample)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.MaxPool2d(3, 1, padding=1), nn.Sigmoid()])
def test_a_receptive_field_wrong_in_large_images_is_found_by_gradient(
    layer: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), layer)
    net = symcnn.from_torch(module, "N 3 H W")
    right = net.validate(module, "cpu", checks=["receptive field"])
    fields = [c for c in right.checks if c.what == "receptive field"]
    assert {c.verdict for c in fields} == {"passed"}
    assert [c.where for c in fields].count("by gradient") == 1
    assert max(fields[-1].sizes.values()) > 100

    from symcnn.questions.field.field_at import FieldAt

    table = FieldAt.table
    small = lambda self, axis=0: (t := table(self, axis)) & (len(t) < 100)  # noqa: E731
    monkeypatch.setattr(FieldAt, "table", small)
    report = net.validate(module, "cpu", checks=["receptive field"])
    assert sure(report.counterexample).what == "receptive field"


def test_whole_axis_statistics_are_not_judged_but_told() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.GroupNorm(1, 2))
    report = symcnn.from_torch(module, "N 3 H W").validate(module, "cpu", samples=4)
    assert report
    (skipped,) = report.skipped
    assert skipped.why == "1 reads the whole axis"


def test_inputs_that_are_indices_are_whole_numbers() -> None:
    module = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 2))
    report = symcnn.from_torch(module, "N L").validate(module, samples=6)
    assert report
    assert verdicts(report, "outputs") == {"passed"}


def test_inputs_given_by_name_are_passed_by_name() -> None:
    class Named(nn.Module):
        def forward(self, *, image: torch.Tensor) -> torch.Tensor:
            return F.max_pool2d(image, 2)

    module = Named()
    assert symcnn.from_torch(module, image="N 3 H W").validate(module, samples=6)


def test_the_same_seed_draws_the_same_sizes() -> None:
    net = symcnn.from_torch(UNet(), "N 3 H W")
    drawn = validation.interesting_sizes(net, 16, seed=3)
    assert drawn == validation.interesting_sizes(net, 16, seed=3)
    assert drawn != validation.interesting_sizes(net, 16, seed=4)


def test_sizes_lie_on_both_sides_of_every_border() -> None:
    net = symcnn.from_torch(nn.Conv2d(3, 2, 5, stride=3), "N 3 H W")
    drawn = {(s["H"], s["W"]) for s in validation.interesting_sizes(net, 16)}
    assert {(5, 5), (4, 5), (5, 4), (7, 5), (8, 5), (5, 7), (5, 8)} <= drawn
    inside = [size for size in drawn if size in net.valid_inputs()]
    assert any(h != w and max(h, w) > 50 for h, w in inside)
    assert len(drawn) > len(inside)


def test_a_forward_that_is_not_deterministic_is_told() -> None:
    class Fickle(nn.Module):
        runs = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Fickle.runs += 1
            return x[..., : Fickle.runs % 2 + 1]

    module = Fickle()
    report = symcnn.from_torch(module, "N 3 8 8").validate(module, samples=2)
    assert sure(report.counterexample).what == "repeat"


def test_the_module_keeps_its_values_mode_and_hooks() -> None:
    module = UNet().train()
    before = {name: p.clone() for name, p in module.state_dict().items()}
    symcnn.from_torch(module, "N 3 H W").validate(module, "cpu", samples=4)
    assert module.training
    assert not any(m._forward_hooks for m in module.modules())
    assert all(torch.equal(p, before[name]) for name, p in module.state_dict().items())


# Bad input ---------------------------------------------------------------------------------------


def test_another_module_is_refused_and_the_difference_told() -> None:
    net = symcnn.from_torch(nn.Sequential(nn.Conv2d(3, 8, 3)), "N 3 H W")
    with pytest.raises(BadSpec, match=r"it has 0\.weight of shape \(8, 3, 5, 5\)"):
        net.validate(nn.Sequential(nn.Conv2d(3, 8, 5)))
    with pytest.raises(BadSpec, match="2 parameters were traced, it has 4"):
        net.validate(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))


def test_a_device_that_is_not_there_is_refused_and_those_there_named() -> None:
    module = nn.ReLU()
    with pytest.raises(BadSpec, match="there is meta, cpu"):
        symcnn.from_torch(module, "N 3").validate(module, "cuda:99")


def test_a_module_without_values_cannot_run_on_cpu() -> None:
    with torch.device("meta"):
        module = nn.Conv2d(3, 8, 3)
    with pytest.raises(BadSpec, match="has no values"):
        symcnn.from_torch(module, "N 3 H W").validate(module, "cpu")


def test_what_is_no_module_is_refused() -> None:
    net = symcnn.from_torch(nn.ReLU(), "N 3")
    with pytest.raises(BadSpec, match=r"no torch\.nn\.Module"):
        net.validate(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(BadSpec, match="at least one"):
        net.validate(nn.ReLU(), samples=0)


def test_a_part_of_a_network_is_refused() -> None:
    module = UNet()
    with pytest.raises(BadSpec, match="up to pool"):
        symcnn.from_torch(module, "N 3 H W").at("pool").validate(module)


# Reports -----------------------------------------------------------------------------------------


def test_a_report_is_json_and_junit(wrong_relu: Any) -> None:
    module, net = wrong_relu
    report = net.validate(module, samples=4)
    answer = json.loads(report.to_json())
    assert answer["valid"] is False
    assert answer["counterexample"]["sizes"] == {"N": 1, "H": 1, "W": 1}
    suite = ElementTree.fromstring(report.to_junit())
    assert int(suite.attrib["tests"]) == len(report.checks) == len(suite)
    assert int(suite.attrib["failures"]) == len(report.failed) == len(suite.findall(".//failure"))
    assert "FAILED, smallest counterexample: outputs at N=1, H=1, W=1" in str(report)


def test_the_command_answers_and_writes_junit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    junit = tmp_path / "report.xml"
    command = ["validate", "examples/networks/unet.py:unet_valid", "--input", "N 1 H W"]
    result = CliRunner().invoke(main, [*command, "--samples", "4", "--json", "--junit", str(junit)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["valid"] is True
    assert ElementTree.parse(junit).getroot().get("failures") == "0"


def test_the_command_exits_with_one_on_a_mismatch(tmp_path: Path) -> None:
    file = tmp_path / "lying.py"
    file.write_text(
        "import symcnn, torch\n"
        "class Lying(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x[:, 1:]\n"
        "@symcnn.rule(Lying)\n"
        "def lying(module, x):\n"
        "    return x.dims\n"
        "net = torch.nn.Sequential(Lying())\n"
    )
    result = CliRunner().invoke(main, ["validate", f"{file}:net", "--input", "N L"])
    assert result.exit_code == 1, result.output
    assert "FAILED, smallest counterexample: outputs" in result.output


def test_the_command_refuses_a_device_that_is_not_there() -> None:
    target = f"{ROOT}/examples/networks/unet.py:unet_valid"
    result = CliRunner().invoke(main, ["validate", target, "--input", "N 1 H W", "--device", "tpu"])
    assert result.exit_code == 2
    assert "there is meta, cpu" in result.output


def test_batches_that_the_domain_restricts_are_met() -> None:
    class Clips(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(x.shape[0] // 4, 4, *x.shape[1:]).mean(1)

    net = symcnn.from_torch(Clips(), "N 3 H W", example={"N": 8})
    drawn = validation.interesting_sizes(net, 6)
    assert drawn[0]["N"] == 4
    assert net.validate(Clips(), samples=8)


@pytest.mark.parametrize("groups", [1, 2])
def test_work_of_a_transposed_convolution_is_that_of_its_input(groups: int) -> None:
    module = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=groups)
    report = symcnn.from_torch(module, "N 4 H W").validate(module, samples=4)
    assert report
    assert verdicts(report, "flops") == {"passed"}


def test_padding_on_both_sides_lets_a_kernel_fit() -> None:
    module = nn.Conv2d(3, 2, 5, padding=2)
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.validate(module, samples=6)
    assert net.shape_at(N=1, H=1, W=1) == (1, 2, 1, 1)


class Rows(nn.Module):
    """Goes through the rows one by one, so that python needs their number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :, i : i + 1] for i in range(x.shape[2])], 2)


def test_a_network_that_is_not_complete_is_validated_where_its_answers_hold() -> None:
    net = symcnn.from_torch(Rows(), "N 3 H W")
    assert not net.complete
    report = net.validate(Rows(), device="cpu", samples=4)
    assert report.passed


class Positions(nn.Module):
    """A table of nine positions, of which each row of the input takes one."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.table(torch.arange(x.shape[2], device=x.device))
        return x + rows.t()[..., None]


@pytest.mark.parametrize(("device", "verdict"), [("meta", "skipped"), ("cpu", "passed")])
def test_what_torch_refuses_for_values_is_not_judged_on_meta(device: str, verdict: str) -> None:
    module = Positions()
    net = symcnn.from_torch(module, "N 3 H W")
    assert str(net.valid_inputs()) == "1 <= H <= 9 and W >= 1"
    report = net.validate(module, device=device)
    assert report
    refusals = [check.verdict for check in report.checks if check.what == "refusals"]
    assert set(refusals) == {verdict}


class WithoutAutocast(nn.Module):
    """Torch has no autocast on meta, not even one that is off."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return x * 2


def test_what_meta_refuses_and_the_cpu_takes_is_no_refusal() -> None:
    net = symcnn.from_torch(WithoutAutocast(), "N 3 H W")
    report = net.validate(WithoutAutocast(), device="meta", samples=2)
    assert report
    assert "torch cannot run this on meta" in str(report)
    assert net.validate(WithoutAutocast(), device="cpu", samples=2)


class Narrowing(nn.Module):
    """As transformers' Swin: a window that a small map makes smaller, for good."""

    window = 8

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.window = min(self.window, x.shape[2])
        return x.unfold(2, self.window, self.window)


def test_every_size_is_judged_on_the_module_as_it_was_given() -> None:
    net = symcnn.from_torch(module := Narrowing(), "N 3 H W")
    for device in ("meta", "cpu"):
        assert net.validate(module, device, samples=8, checks=["outputs", "flops", "peak"])
    assert module.window == 8


def test_what_only_foreign_or_fused_kernels_take_is_no_refusal_of_ours_alone() -> None:
    """Where a transposed convolution makes no rows, and torch takes oneDNN's for it."""
    module = nn.ConvTranspose2d(3, 2, 4, padding=2)
    net = symcnn.from_torch(module, "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 2 and W >= 2"
    for device in ("meta", "cpu"):
        report = net.validate(module, device, samples=4, checks=["refusals"])
        assert report
        assert "only oneDNN's" in str(report) or "on meta alone" in str(report)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_torchs_own_kernels_make_no_empty_map_of_a_transposed_convolution(
    dtype: torch.dtype,
) -> None:
    x, weight = torch.zeros(64, 3, 1, 4, dtype=dtype), torch.zeros(3, 2, 4, 4, dtype=dtype)
    with own_kernels(), pytest.raises(RuntimeError, match="Output size is too small"):
        F.conv_transpose2d(x, weight, padding=2)


class FailsOnSmall(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] == 1:
            raise torch.AcceleratorError("CUDA error: invalid argument")
        return x.relu()


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="from torch 2.8 on")
def test_what_a_device_fails_at_is_no_answer_about_a_shape() -> None:
    report = symcnn.from_torch(nn.ReLU(), "N 3 H W").validate(FailsOnSmall(), samples=6)
    assert report
    assert any("invalid argument" in check.why for check in report.skipped)


@pytest.mark.parametrize("by_size", [False, True])
def test_fields_are_judged_along_the_axis_of_the_output_that_an_axis_becomes(by_size: bool) -> None:
    class Turned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, (3, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.conv(x)
            return y.transpose(2, 3) if not by_size or x.shape[2] > x.shape[3] else y

    module = Turned()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, device="cpu", samples=3)
    assert report
    fields = [check.verdict for check in report.checks if check.what == "receptive field"]
    assert set(fields) == {"passed"}


def test_a_fused_kernel_of_a_layer_of_attention_keeps_what_the_layer_keeps() -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    assert symcnn.from_torch(layer, "N L 32").validate(layer, device="cpu", samples=2)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_domain_whose_staircase_is_too_long_is_judged_at_any_sizes() -> None:
    class Slices(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.numel() < 1 << 22 else torch.cat([x[:1], x[1:]])

    module = Slices()
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.validate(module, device="meta", samples=3)


def test_weights_that_a_forward_gives_other_data_are_no_memory_of_its_own() -> None:
    """As networks for EEG bound their norms."""

    class Bounded(torch.nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            self.weight.data = torch.renorm(self.weight.data, p=2, dim=0, maxnorm=1)
            return super().forward(input)

    module = torch.nn.Sequential(Bounded(3, 8, 3), torch.nn.Tanh())
    report = symcnn.from_torch(module, "N 3 H W").validate(module, device="cpu", samples=2)
    assert report, str(report)


def test_a_module_that_builds_layers_where_it_leaves_training_is_judged() -> None:
    class Made(nn.Module):
        """A kernel made by a network in `eval`, as SpanPP makes one for each scale."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Conv2d(1, 1, 1)

        def train(self, mode: bool = True) -> "Made":
            super().train(mode)
            self.kernel = nn.Parameter(self.scale(torch.ones(6, 1, 3, 3)).detach().view(2, 3, 3, 3))
            return self

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, self.kernel)

    module = Made().eval()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, device="cpu", samples=3)
    fields = [check.verdict for check in report.checks if check.what == "receptive field"]
    assert report
    assert set(fields) == {"passed"}


def test_weights_that_a_forward_has_in_a_closure_are_no_memory_of_its_own() -> None:
    """A copy of such a module has them in common with it."""

    class Closed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            inner = self.inner = torch.nn.Conv2d(3, 8, 3)
            self.run = lambda x: inner(x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.run(x)
            return found

    module = Closed()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, device="cpu", samples=2)
    assert report, str(report)


def test_the_field_of_a_branch_whose_output_is_a_constant_is_not_judged_but_told() -> None:
    class Late(torch.nn.Module):
        """As an autocorrelation of few delays, which adds up none."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(2, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.conv(x if x.shape[2] > 4 else torch.zeros_like(x))
            return found

    module = Late()
    report = symcnn.from_torch(module, "N 2 L").validate(module, device="cpu", samples=3)
    assert report, str(report)
    (field,) = [check for check in report.checks if check.what == "receptive field"]
    assert "does not depend on the input" in field.why


def test_fields_are_judged_where_a_weight_is_one_number() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.conv = torch.nn.Parameter(torch.tensor(2.0)), nn.Conv2d(2, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.conv(x) * self.scale
            return found

    module = Scaled()
    assert symcnn.from_torch(module, "N 2 H W").validate(module, device="cpu", samples=2)


def test_fields_of_a_module_that_keeps_what_it_saw_are_those_of_its_first_run() -> None:
    class Leaky(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.kept = nn.Conv2d(2, 2, 3), torch.zeros(())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.kept = self.kept / 2 + self.conv(x)
            found: torch.Tensor = self.kept
            return found

    module = Leaky()
    report = symcnn.from_torch(module, "N 2 H W").validate(module, device="cpu", samples=2)
    fields = [check.verdict for check in report.checks if check.what == "receptive field"]
    assert set(fields) == {"passed"}, str(report)


def test_a_module_with_a_weight_that_it_computes_from_two_is_judged() -> None:
    """No tensor with a history can be copied by itself, and torch's older norms of weights keep
    one beside their parameters.
    """
    with pytest.warns(FutureWarning):
        module = nn.Sequential(torch.nn.utils.weight_norm(nn.Conv1d(1, 2, 3)))
    net = symcnn.from_torch(module, "N 1 L")
    for device in ("cpu", "meta"):
        assert net.validate(module, device=device, samples=2)


def test_a_module_with_a_method_of_its_own_for_devices_is_judged() -> None:
    class Placed(torch.nn.Conv2d):
        def to(self, device: str = "cpu") -> Any:  # type: ignore[override]
            return super().to(torch.device(device))

    module = Placed(1, 2, 3)
    net = symcnn.from_torch(module, "N 1 H W")
    assert net.validate(module, device="meta", samples=2, dtype="float16")


@pytest.mark.parametrize(
    "mix", [lambda x: x.squeeze(), lambda x: torch.lerp(x, x[:1], 0.3), lambda x: x + x.mean(0)]
)
@pytest.mark.parametrize("spec", ["2 4 H W", "N 4 H W"])
def test_what_images_of_a_batch_see_of_each_other_is_no_receptive_field(
    mix: Any, spec: str
) -> None:
    class Mixes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> Any:
            return mix(self.conv(x))

    module = Mixes().eval()
    net = symcnn.from_torch(module, spec)
    report = net.validate(module, device="cpu", samples=3, checks=["receptive field"])
    assert report, str(report)


def test_a_layer_that_is_compiled_is_validated() -> None:
    class Compiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.compile(nn.Conv2d(3, 4, 3), backend="eager")

        def forward(self, x: torch.Tensor) -> Any:
            return self.conv(x).mean(2)

    module = Compiled().eval()
    report = symcnn.from_torch(module, "N 3 H W").validate(module, device="cpu", samples=2)
    assert report, str(report)
