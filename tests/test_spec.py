"""What other tools are told of the sizes, judged by the tools themselves where they are here."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch import nn as tnn
from torch.nn import functional as F

import symcnn
from symcnn import nn
from symcnn.cli import main
from symcnn.errors import BadSpec, NoSolution

from .conftest import load_example


class UNet(tnn.Module):
    """Padded, of depth 2."""

    def __init__(self) -> None:
        super().__init__()
        self.a = tnn.Conv2d(3, 8, 3, padding=1)
        self.b = tnn.Conv2d(8, 8, 3, padding=1)
        self.c = tnn.Conv2d(8, 8, 3, padding=1)
        self.up1 = tnn.ConvTranspose2d(8, 8, 2, 2)
        self.up2 = tnn.ConvTranspose2d(16, 8, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(tnn.functional.max_pool2d(a, 2))
        c = self.c(tnn.functional.max_pool2d(b, 2))
        return torch.cat([self.up2(torch.cat([self.up1(c), b], 1)), a], 1)


@pytest.fixture(scope="module")
def unet() -> symcnn.Network:
    return symcnn.from_torch(UNet().eval(), "N 3 H W")


def exported(module: Any, spec: Any, size: int) -> Any:
    """Export with the Dims that the text of a spec makes."""
    names: dict[str, Any] = {}
    exec(spec.text, names)
    x = torch.zeros(2, 3, size, size, device="meta")
    return torch.export.export(module, (x,), dynamic_shapes=names["dynamic_shapes"])


# torch.export ---------------------------------------------------------------------------------


def test_a_unet_is_exported_in_multiples(unet: Any) -> None:
    spec = unet.spec("torch.export")
    assert '_h = Dim("_h", min=2)' in spec.text
    assert spec.text.endswith("dynamic_shapes = ({0: N, 2: 4*_h, 3: 4*_w},)")
    with torch.device("meta"):
        exported(UNet().eval(), spec, 32)


def test_the_sizes_of_other_programs_are_lost(unet: Any) -> None:
    (line,) = unet.spec("torch.export").loses
    left, _, why = line.partition(": ")
    assert why == "a size of 0 or 1 is another program to torch.export"
    lost = symcnn.solve(left)
    assert (4, 8) in lost
    assert (8, 4) in lost
    assert (8, 8) not in lost
    assert unet.spec("torch.export", H=(8, 64), W=(8, 64)).loses == ()


def test_no_map_on_the_way_has_a_size_of_one() -> None:
    with torch.device("meta"):
        model = load_example("resnet").resnet18().eval()
    spec = symcnn.from_torch(model, "N 3 H W").spec("torch.export")
    assert spec.parts[0].value["dims"]["H"] == {"min": 33, "max": None}
    exported(model, spec, 64)
    names: dict[str, Any] = {}
    exec(spec.text.replace("min=33", "min=32"), names)
    with pytest.raises(Exception, match="Not all values of H"):
        torch.export.export(
            model,
            (torch.zeros(2, 3, 64, 64, device="meta"),),
            dynamic_shapes=names["dynamic_shapes"],
        )


def test_a_pool_in_ceil_mode_is_exported_by_sizes_derived_from_a_dim() -> None:
    with torch.device("meta"):
        model = tnn.Sequential(tnn.Conv2d(3, 8, 3, 2), tnn.MaxPool2d(3, 2, ceil_mode=True)).eval()
    spec = symcnn.from_torch(model, "N 3 H W").spec("torch.export")
    assert spec.text.endswith("dynamic_shapes = ({0: N, 2: _h + 1, 3: _w + 1},)")
    exported(model, spec, 50)


class Padded(tnn.Module):
    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, x: Tensor) -> Tensor:
        h = x.shape[2]
        if h % self.multiple:
            x = F.pad(x, (0, 0, 0, -h % self.multiple))
        return F.relu(x)[:, :, :h]


class Wider(tnn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 1) if x.shape[2] > 32 else torch.cat([x, x], 3)


@pytest.mark.parametrize(
    ("module", "parts"), [(Padded(4), 4), (Wider(), 2)], ids=["a rest", "a branch"]
)
def test_a_program_is_on_one_side_of_every_comparison(module: tnn.Module, parts: int) -> None:
    spec = symcnn.from_torch(module, "N 3 H W").spec("torch.export")
    assert len(spec.parts) == parts
    assert spec.loses == ()
    for part in spec.parts:
        first, last, step = part.sizes["H"]
        second = first + 4 * step
        assert last is None or second < last
        program = exported(module, part, second).module()
        for size in (second, second + step, second + 2 * step):
            x = torch.zeros(2, 3, size, second)
            assert program(x).shape == module(x).shape


def test_programs_stand_in_the_order_of_the_axes() -> None:
    """It hung on the hashes of their names, which python draws anew in each process."""

    class Both(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            h, w = x.shape[2:]
            if h % 2 or w % 2:
                x = F.pad(x, (0, -w % 2, 0, -h % 2))
            return F.relu(x)[:, :, :h, :w]

    spec = symcnn.from_torch(Both(), "N 3 H W").spec("torch.export")
    rests = [tuple(part.sizes[name][0] % 2 for name in "HW") for part in spec.parts]
    assert rests == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_more_programs_than_can_be_written_are_told() -> None:
    spec = symcnn.from_torch(Padded(128), "N 3 H W").spec("torch.export")
    assert [part.sizes["H"] for part in spec.parts] == [(128, None, 128)]
    assert spec.loses == ("all but the first rest: there is a program for each H % 128",)


def test_the_kernel_of_a_pool_is_a_number_in_a_program() -> None:
    class Global(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(x, x.shape[2:])

    (lost,) = symcnn.from_torch(Global(), "N 3 H H").spec("torch.export").loses
    assert (
        lost
        == "that H, of the pool avg_pool2d, may vary: in a program it is the number of its example"
    )


def test_what_len_takes_is_a_number_in_a_program_that_is_not_strict() -> None:
    class Rows(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(len(x), -1)

    spec = symcnn.from_torch(Rows(), "N 3 H W").spec("torch.export")
    assert spec.loses == (
        "that N, taken by len(), may vary: a program without strict=True has its number",
    )
    with pytest.raises(Exception, match="specialized it to be a constant"):
        exported(Rows(), spec, 8)
    names: dict[str, Any] = {}
    exec(spec.text, names)
    x = torch.zeros(2, 3, 8, 8)
    program = torch.export.export(Rows(), (x,), dynamic_shapes=names["dynamic_shapes"], strict=True)
    assert program.module()(torch.zeros(5, 3, 4, 6)).shape == (5, 72)


def test_what_is_resized_or_padded_whatever_its_size_is_one_program() -> None:
    class Resized(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = F.interpolate(F.max_pool2d(x, 4), x.shape[2:])
            return F.pad(torch.cat([x, y], 1), (0, 0, 0, -x.shape[2] % 4))

    module = Resized()
    (part,) = symcnn.from_torch(module, "N 3 H W").spec("torch.export").parts
    program = exported(module, part, 33).module()
    for size in (32, 34, 63):
        x = torch.zeros(2, 3, size, size)
        assert program(x).shape == module(x).shape


def test_a_series_thinned_before_a_linear_layer_is_a_program_for_each_rest() -> None:
    """Transformers of several resolutions: of an even number of steps the rows lie in one block."""

    class Thinned(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = tnn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x[:, ::2])

    module = Thinned()
    parts = symcnn.from_torch(module, "N T 4").spec("torch.export").parts
    assert sorted(part.sizes["T"] for part in parts) == [(3, None, 2), (4, None, 2)]
    for part in parts:
        names: dict[str, Any] = {}
        exec(part.text, names)
        first, shapes = part.sizes["T"][0], names["dynamic_shapes"]
        x = torch.zeros(3, first + 4, 4)
        program = torch.export.export(module, (x,), dynamic_shapes=shapes).module()
        for steps in (first, first + 6):
            assert program(torch.zeros(2, steps, 4)).shape == (2, (steps + 1) // 2, 5)


def test_a_count_that_the_domain_decides_is_no_map_that_grows() -> None:
    """Involution by a stride: 9*ceil(H/2)*ceil(W/2)//(H//2 * W//2) taps, which are 9."""

    class Involution(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            kernel = F.avg_pool2d(x, 2)[:, :1, None]
            taps = F.unfold(x, 3, padding=1, stride=2)
            return taps.reshape(x.shape[0], 3, -1, *kernel.shape[-2:]) * kernel.expand(
                -1, -1, 9, -1, -1
            )

    module = Involution()
    (part,) = symcnn.from_torch(module, "N 3 H W").spec("torch.export").parts
    assert part.sizes["H"] == (4, None, 2)
    program = exported(module, part, 8).module()
    x = torch.zeros(2, 3, 4, 6)
    assert program(x).shape == module(x).shape


def test_a_batch_that_a_view_divides_by_that_of_another_input_is_more_than_one() -> None:
    """The cross-correlation of trackers: ``N//N`` of two inputs is compared with N."""

    class Correlated(tnn.Module):
        def forward(self, z: Tensor, x: Tensor) -> Tensor:
            n, c = z.shape[:2]
            found = F.conv2d(x.view(-1, n * c, *x.shape[2:]), z, groups=n)
            return found.view(n, -1, *found.shape[2:])

    def inputs(n: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(n, 2, 3, 3), torch.zeros(n, 2, 8, 9)

    module = Correlated()
    (part,) = symcnn.from_torch(module, "N 2 3 3", "N 2 H W").spec("torch.export").parts
    assert part.sizes["N"] == (2, None, 1)
    space: dict[str, Any] = {}
    exec(part.text, space)
    shapes = space["dynamic_shapes"]
    program = torch.export.export(module, inputs(3), dynamic_shapes=shapes).module()
    assert program(*inputs(2)).shape == (2, 1, 6, 7)
    with pytest.raises(AssertionError, match="Guard failed"):
        program(*inputs(1))


def test_one_part_per_residue_class() -> None:
    net = symcnn.tensor("N 1 L")
    x = symcnn.nn.Conv1d(1, 1, 1)(net)
    y = symcnn.Network(inputs=net, outputs=x)
    assert len(y.spec("jax").parts) == 1

    class Two(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[2] % 4 not in (0, 3):
                raise ValueError("0 or 3")
            return x

    spec = symcnn.from_torch(Two(), "N 1 L").spec("jax")
    assert sorted(p.where for p in spec.parts) == [
        "N >= 1 and L % 4 == 0 and L >= 4",
        "N >= 1 and L % 4 == 3 and L >= 3",
    ]
    assert "4*_l + 3" in spec.text


def test_a_bounded_size_has_a_greatest_one() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 4 * 4, 2)).trace("N 1 H H")
    assert net.spec("torch.export").parts[0].sizes["H"] == (6, 6, 1)
    spec = net.spec("torch.export")
    assert spec.text.endswith("dynamic_shapes = ({0: N},)")


# Profiles -------------------------------------------------------------------------------------


def test_a_profile_of_tensorrt(unet: Any) -> None:
    spec = unet.spec("tensorrt", N=(1, 4, 8), H=(32, 224, 1024), W=range(64, 513, 64))
    assert spec.parts[0].value == {
        "x": {"min": [1, 3, 32, 64], "opt": [4, 3, 224, 192], "max": [8, 3, 1024, 512]}
    }
    assert "--optShapes=x:4x3x224x192" in spec.text
    assert "H % 4 == 0: a profile holds every size between" in spec.loses


def test_an_end_that_is_made_up_is_told(unet: Any) -> None:
    assert any("H has no end" in line for line in unet.spec("tensorrt").loses)


def test_a_partial_shape_of_openvino(unet: Any) -> None:
    spec = unet.spec("openvino", N=1, W=(32, 512))
    assert spec.text == 'model.reshape({"x": "[1,3,4..,32..512]"})'
    assert spec.parts[0].value == {"x": "[1,3,4..,32..512]"}


# Names and annotations ------------------------------------------------------------------------


def test_names_of_onnx(unet: Any) -> None:
    spec = unet.spec("onnx")
    assert spec.parts[0].value == {"x": ["N", 3, "H", "W"], "y": ["N", 16, "H", "W"]}
    names: dict[str, Any] = {}
    exec(spec.text, names)
    assert names["dynamic_axes"]["x"] == {0: "N", 2: "H", 3: "W"}
    assert "H % 4 == 0 and H >= 4: a dim_param is a name, without a range" in spec.loses


def test_jaxtyping_checks_the_annotations_at_run_time() -> None:
    jaxtyping = pytest.importorskip("jaxtyping")
    layer = tnn.Conv2d(3, 64, 7, stride=4, padding=3)
    spec = symcnn.from_torch(layer, "N 3 H W").spec("jaxtyping")
    assert spec.parts[0].value["y"] == 'Float[Tensor, "N 64 (H+3)//4 (W+3)//4"]'
    names = {"Float": jaxtyping.Float, "Tensor": Tensor}
    takes, gives = (eval(spec.parts[0].value[n], names) for n in ("x", "y"))

    @jaxtyping.jaxtyped(typechecker=None)  # type: ignore[untyped-decorator]
    def fits(x: Any, y: Any) -> Any:
        return isinstance(x, takes) and isinstance(y, gives)

    for size in (29, 30, 31, 32, 33):
        x = torch.zeros(2, 3, size, 40)
        y = layer(x)
        assert fits(x, y)
        assert not fits(x, y[:, :, 1:])


# bioimage.io, spandrel ------------------------------------------------------------------------


def test_a_description_for_bioimageio(unet: Any) -> None:
    value = unet.spec("bioimageio").parts[0].value
    assert value["inputs"][0]["axes"][2] == {
        "type": "space", "id": "y", "size": {"min": 4, "step": 4}
    }  # fmt: skip
    out = value["outputs"][0]["axes"][2]
    assert out["size"] == {"tensor_id": "x", "axis_id": "y", "offset": 0}
    assert (out["scale"], out["halo"]) == (1, 7)


def test_a_field_without_bound_has_no_halo() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4)).trace("N 4 H W")
    spec = net.spec("bioimageio")
    assert "halo" not in spec.parts[0].value["outputs"][0]["axes"][2]
    assert any("no number of pixels" in lost for lost in spec.loses)


def test_a_description_is_yaml(unet: Any) -> None:
    yaml = pytest.importorskip("yaml")
    spec = unet.spec("bioimageio")
    assert yaml.safe_load(spec.text) == spec.parts[0].value


def test_an_output_of_half_the_size_has_scale_two_and_the_offset() -> None:
    net = nn.Conv2d(3, 8, 3, stride=2, padding=0).trace("N 3 H W")
    spec = net.spec("bioimageio", H=range(3, 1000, 2), W=range(3, 1000, 2))
    out = spec.parts[0].value["outputs"][0]["axes"][2]
    # H = 2k + 1 gives k: half of it, less a half: no whole offset
    assert "size" in out
    even = net.spec("bioimageio", H=range(4, 1001, 2), W=range(4, 1001, 2))
    out = even.parts[0].value["outputs"][0]["axes"][2]
    assert (out["scale"], out["size"]["offset"]) == (2, -1)


def test_the_requirements_of_spandrel(unet: Any) -> None:
    spec = unet.spec("spandrel")
    assert spec.text == "SizeRequirements(minimum=0, multiple_of=4, square=False)"
    assert spec.loses == ()


def test_spandrel_is_told_of_multiples_where_some_are_valid() -> None:
    cropped = nn.Sequential(nn.ZeroPad2d((-2, 0, -2, 0)), nn.PixelUnshuffle(4)).trace("N 3 H W")
    (line, _) = cropped.spec("spandrel").loses
    assert line == "H % 4 == 2 and H >= 6: a rest has no word, and no multiple is valid"

    class Padded(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.shape[2] % 4 == 1:
                x = F.pad(x, (0, 0, 1, 2))
            return F.pixel_unshuffle(x, 4)

    spec = symcnn.from_torch(Padded(), "N 3 H 8").spec("spandrel")
    assert spec.text == "SizeRequirements(minimum=0, multiple_of=4, square=False)"
    assert spec.loses == ("all parts but one: N >= 1 and H % 4 == 1 and H >= 1",)


def test_spandrel_has_no_greatest_size(unet: Any) -> None:
    assert any("no greatest size" in line for line in unet.spec("spandrel", H=(4, 64)).loses)


# Bad use --------------------------------------------------------------------------------------


def test_a_format_that_does_not_exist(unet: Any) -> None:
    with pytest.raises(BadSpec, match="no format is called 'tensorflow'"):
        unet.spec("tensorflow")


def test_a_size_that_does_not_exist(unet: Any) -> None:
    with pytest.raises(BadSpec, match="no size is called Q"):
        unet.spec("jax", Q=3)


@pytest.mark.parametrize("bad", [(5, 3), "32", (1, 2, 3, 4), range(0)])
def test_something_that_is_no_range(unet: Any, bad: Any) -> None:
    with pytest.raises(BadSpec, match="no range of sizes"):
        unet.spec("tensorrt", H=bad)


def test_sizes_that_the_network_does_not_take(unet: Any) -> None:
    with pytest.raises(NoSolution):
        unet.spec("tensorrt", H=30)


# Command line ---------------------------------------------------------------------------------


def test_spec_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("from symcnn import nn\nnet = nn.MaxPool2d(4)\n")
    call = ["spec", f"{path}:net", "--input", "N 3 H W", "--for"]
    run = CliRunner().invoke(main, [*call, "spandrel"])
    assert run.output.startswith("SizeRequirements(minimum=4")
    run = CliRunner().invoke(main, [*call, "tensorrt", "--sizes", "N=1,H=8..64,W=8", "--json"])
    assert json.loads(run.output)["parts"][0]["value"]["x"]["max"] == [1, 3, 64, 8]


def test_a_domain_that_speaks_of_the_batch() -> None:
    windows = symcnn.from_torch(tnn.Sequential(tnn.Unflatten(0, (-1, 2)), tnn.Flatten()), "N 3 H W")
    assert "N % 2 == 0" in str(windows.valid_inputs())
    assert windows.spec("jax").text.splitlines()[-1].startswith("x = export.symbolic_shape")


class Ranged(tnn.Module):
    """For small maps only, as a branch that was not followed."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, :, i] for i in range(x.shape[2])])


def test_sizes_that_were_not_followed_are_told() -> None:
    net = symcnn.from_torch(Ranged(), "N 3 H W", example={"H": 4})
    (line, *_) = net.spec("onnx").loses
    assert line.startswith("for H == 4 only")
