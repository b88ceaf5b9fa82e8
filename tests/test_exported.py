"""Exported, compiled, scripted modules: unwrapped, or told what to give instead."""

import math
import operator
from typing import Any

import pytest
import sympy
import torch
from torch import nn
from torch.export import Dim, export

import symcnn
from symcnn.algebra.size import Size
from symcnn.errors import BadSpec, InvalidInput, UnsupportedOperation
from symcnn.frontends.program_sizes import UNREAD, calculated


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.norm(self.conv(x)).relu()
        y = nn.functional.interpolate(y, scale_factor=2)
        return self.fc(y.mean((2, 3))).view(x.shape[0], -1), y


@pytest.fixture(scope="module")
def program() -> Any:
    dims = {0: Dim("N"), 2: Dim("H", min=6), 3: Dim("W", min=6)}
    return export(Net().eval(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(dims,))


def test_a_program_has_the_sizes_under_the_names_of_their_dims(program: Any) -> None:
    net = symcnn.from_exported(program)
    torchs = symcnn.from_torch(Net().eval(), "N 3 H W")
    assert net.output_shape == torchs.output_shape
    assert (net.params, net.macs) == (torchs.params, torchs.macs)
    assert [n.name for n in net.nodes][:2] == ["conv", "norm"]
    assert str(net.at("conv").output_shape) == str(torchs.at("conv").output_shape)


def test_the_ranges_of_dims_belong_to_the_domain(program: Any) -> None:
    assert str(symcnn.from_exported(program).valid_inputs()) == "H >= 6 and W >= 6"


def test_a_program_in_core_aten_is_the_same_network(program: Any) -> None:
    net = symcnn.from_exported(program.run_decompositions())
    assert net.output_shape == symcnn.from_exported(program).output_shape
    assert net.macs == symcnn.from_exported(program).macs


class Attending(nn.Module):
    """Attention over the places of a map that is as large as two of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose1d(3, 4, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.up(x)[:, None].transpose(2, 3)
        return nn.functional.scaled_dot_product_attention(y, y, y)


@pytest.mark.parametrize("core", [False, True])
def test_a_program_may_have_transposed_convolutions_and_attention(core: bool) -> None:
    shapes = ({2: Dim("L", min=2)},)
    program = export(Attending().eval(), (torch.zeros(2, 3, 16),), dynamic_shapes=shapes)
    net = symcnn.from_exported(program.run_decompositions() if core else program)
    torchs = symcnn.from_torch(Attending().eval(), "2 3 L")
    assert (str(net.output_shape), net.macs) == ("(2, 1, 2*L, 4)", torchs.macs)


def test_the_module_of_a_program_takes_any_spec(program: Any) -> None:
    net = symcnn.from_torch(program.module(), "1 3 H W")
    assert net.output_shape[1] == symcnn.from_torch(Net().eval(), "1 3 H W").output_shape[1]


def test_a_dim_that_is_a_multiple() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(4)).eval()
    dims = {2: 4 * Dim("_h", min=2), 3: 4 * Dim("_w", min=2)}
    program = export(net, (torch.zeros(1, 3, 32, 32),), dynamic_shapes=(dims,))
    assert str(symcnn.from_exported(program).output_shape) == "(1, 8, _h, _w)"


def test_a_compiled_module_is_unwrapped() -> None:
    net = symcnn.from_torch(torch.compile(nn.Conv2d(3, 8, 3)), "N 3 H W")  # type: ignore[arg-type]
    assert str(net.output_shape) == "(N, 8, H - 2, W - 2)"


def test_a_module_in_data_parallel_is_itself() -> None:
    net = symcnn.from_torch(nn.DataParallel(nn.Conv2d(3, 8, 3)), "N 3 H W")
    assert str(net.output_shape) == "(N, 8, H - 2, W - 2)"


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_module_says_what_to_give() -> None:
    for module in (
        torch.jit.script(nn.Conv2d(3, 8, 3)),
        torch.jit.trace(nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 9, 9)),
    ):
        with pytest.raises(BadSpec, match="give the module that it was made from"):
            symcnn.from_torch(module, "N 3 H W")


def test_a_program_given_to_from_torch(program: Any) -> None:
    with pytest.raises(BadSpec, match="from_exported"):
        symcnn.from_torch(program, "N 3 H W")


def test_a_module_given_to_from_exported() -> None:
    with pytest.raises(BadSpec, match="from_torch"):
        symcnn.from_exported(nn.Conv2d(3, 8, 3))  # type: ignore[arg-type]


class Forward(nn.Module):
    def __init__(self, run: Any) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(x)


def exported(run: Any) -> Any:
    """A function of an image, with sizes that torch finds the conditions of."""
    dims = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    return export(Forward(run), (torch.zeros(2, 3, 20, 24),), dynamic_shapes=(dims,))


F = nn.functional


def written(x: torch.Tensor) -> torch.Tensor:
    """An axis in the middle, by places of its own."""
    y = x.clone()
    y[:, [0, 2]] = x[:, :2]
    return y


#: Functions of a map whose operators in ATen have other names, other arguments, or more results.
OPERATORS: dict[str, Any] = {
    "a shape of sizes": lambda x: x * torch.ones((x.shape[0], 1, x.shape[2], 1)).bool(),
    "a new tensor": lambda x: x.new_zeros((x.shape[0], x.shape[3])),
    "a choice": lambda x: torch.where(x[:, :1] > 0, x, 0.0),
    "places written to": written,
    "places of two axes": lambda x: x.index_put((torch.zeros(2, 1).long(), torch.arange(3)), x[0]),
    "a loss": lambda x: F.l1_loss(x, 2 * x, reduction="none"),
    "an entropy": lambda x: F.cross_entropy(x, x[:, 0].long(), reduction="none"),
    "a pool to a size": lambda x: F.adaptive_max_pool2d(x, (3, 2)),
    "a pool along an axis": lambda x: F.adaptive_max_pool1d(x[:, :, 0], 3),
    "back from a pool": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), (2, 2)),
    "a product of axes": lambda x: torch.tensordot(x, x[0, :, :2, 0], ([1], [0])),
    "spectra": lambda x: torch.stft(
        x[:, 0, 0], 8, window=torch.hann_window(8), center=False, return_complex=True
    ),
    "spectra of a padded signal": lambda x: torch.stft(x[:, 0, 0], 8, return_complex=True),
    "windows of an axis": lambda x: x.unfold(2, 4, 2),
    "columns": lambda x: F.unfold(x, 2, stride=2),
    "a grid": lambda x: torch.meshgrid(*map(torch.arange, x.shape[2:]), indexing="xy")[0],
    "no axis dropped": lambda x: x[:, :1].squeeze(()),
    "rows of a table": lambda x: F.embedding_bag(x[:, 0, 0].long(), torch.ones(5, 7), mode="sum"),
    "a scale": lambda x: F.interpolate(x, scale_factor=0.7, recompute_scale_factor=True),
    "half": lambda x: x[:, :, : int(x.shape[2] / 2)] if x.shape[2] else x,
    "a third": lambda x: F.pad(x, (0, math.ceil(x.shape[3] / 3) * 3 - x.shape[3])),
    "a number of sizes": lambda x: x * (x.shape[2] / x.shape[3]) * x.shape[2] ** -0.5,
    "a branch": lambda x: F.max_pool2d(x, 2) if x.shape[2] % 4 == 0 else x,
    "a branch of both": lambda x: x[:, :, 1:] if x.shape[2] * x.shape[3] > 100 else x,
}

SIZES = [(2, 20, 24), (1, 20, 24), (3, 33, 47), (2, 64, 50), (4, 17, 19), (2, 8, 9), (2, 8, 96)]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_program_takes_and_gives_what_its_module_does(name: str) -> None:
    program = exported(OPERATORS[name])
    net, module = symcnn.from_exported(program), program.module()
    for sizes in SIZES:
        named = zip(net.inputs[0], (sizes[0], 3, *sizes[1:]), strict=True)
        at = {str(dim): size for dim, size in named if isinstance(dim, sympy.Symbol)}
        fixed = [dim for dim in net.inputs[0] if not isinstance(dim, sympy.Symbol)]
        if fixed != [3]:
            continue  # torch fixed a size
        try:
            shape: Any = tuple(module(torch.zeros(sizes[0], 3, *sizes[1:])).shape)
        except (AssertionError, RuntimeError):
            shape = None
        try:
            assert net.shape_at(**at) == shape
        except InvalidInput:
            assert shape is None


checks = pytest.mark.skipif(
    "_guards_code" not in torch.export.ExportedProgram.__annotations__,
    reason="this torch's programs do not check branches",
)


@checks
def test_what_a_program_checks_belongs_to_the_domain() -> None:
    net = symcnn.from_exported(exported(OPERATORS["a branch"]))
    height = next(str(dim) for dim in net.inputs[0][2:3])
    assert f"{height} % 4 == 0" in str(net.valid_inputs())


@checks
def test_a_check_that_is_not_read_is_refused() -> None:
    with pytest.raises(UnsupportedOperation, match=r"the program checks .*round"):
        symcnn.from_exported(exported(lambda x: x[:, :, : round(x.shape[2] / 2)]))


def test_an_input_of_a_program_has_the_dtype_of_its_example() -> None:
    class Biased(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4).double()
            self.bias = torch.randn(4)  # float32, as no parameter is

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made = self.linear(x + self.bias)
            assert isinstance(made, torch.Tensor)
            return made

    program = torch.export.export(Biased(), (torch.randn(2, 4).double(),))
    assert symcnn.from_exported(program).output_shape == (2, 4)


def test_a_graph_within_a_graph_is_run_in_its_place() -> None:
    class Frozen(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                y = self.stem(x)
                scale = y.abs().mean()
            made = self.head(y) * scale
            assert isinstance(made, torch.Tensor)
            return made

    module = Frozen()
    dims = {2: Dim("H", min=6), 3: Dim("W", min=6)}
    program = export(module, (torch.zeros(2, 3, 9, 9),), dynamic_shapes=(dims,), strict=False)
    net = symcnn.from_exported(program)
    own = symcnn.from_torch(module, "2 3 H W")
    assert (
        net.output_shape
        == own.output_shape
        == symcnn.from_torch(program.module(), "2 3 H W").output_shape
    )
    assert (net.macs, net.cost().saved) == (own.macs, own.cost().saved)


def test_a_program_normalises_a_single_value_which_the_module_refuses() -> None:
    module = nn.InstanceNorm2d(4)
    dims = {2: Dim("H"), 3: Dim("W")}
    program = export(module, (torch.zeros(2, 4, 8, 8),), dynamic_shapes=(dims,))
    assert program.module()(torch.zeros(2, 4, 1, 1)).shape == (2, 4, 1, 1)
    assert (1, 1) in symcnn.from_exported(program).valid_inputs()
    assert (1, 1) not in symcnn.from_torch(module, "2 4 H W").valid_inputs()


class Strides(nn.Module):
    """Numbers that the module holds, read from its tensors: the anchors of detectors."""

    most: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.strides = nn.Conv2d(3, 4, 3), torch.tensor([8.0, 16.0])
        self.register_buffer("most", torch.tensor([2, 3]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x).flatten(2)
        return y * torch.full((1, y.shape[2]), self.strides[1].item()) * self.most.max().item()


def test_a_number_that_the_module_holds_is_read_from_its_tensor() -> None:
    dims = {i: Dim(name, min=8) for i, name in ((2, "H"), (3, "W"))}
    program = export(Strides(), (torch.zeros(1, 3, 16, 18),), dynamic_shapes=(dims,))
    direct = symcnn.from_torch(Strides(), "1 3 H W")
    assert symcnn.from_exported(program).output_shape == direct.output_shape
    assert symcnn.from_torch(program.module(), "1 3 H W").output_shape == direct.output_shape


def test_a_float_of_sizes_times_another_one_is_no_size() -> None:
    """Positions are stretched by what is no short fraction of the sizes (Segment Anything)."""
    third = calculated(operator.truediv, Size.symbol("H"), 3)
    assert calculated(operator.mul, third, UNREAD) is UNREAD
