"""Contracts: declared shapes, decided for all sizes at the first call."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.contracts import check_contract, check_module
from symcnn.errors import BadSpec, ShapeMismatch, Undecidable


@symcnn.contract("N 3 H W -> N 8 H/2 W/2")
class Half(nn.Module):
    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


IMAGE = torch.zeros(1, 3, 9, 9)


def test_a_module_that_keeps_its_contract_runs_at_every_size() -> None:
    assert Half()(IMAGE).shape == (1, 8, 5, 5)  # H/2 is no whole number: nothing was declared


def test_a_broken_contract_names_the_smallest_sizes() -> None:
    with pytest.raises(ShapeMismatch, match="Half breaks its contract") as error:
        Half(stride=1)(IMAGE)
    assert "at H=2, N=1, W=2 the output is (1, 8, 2, 2), not (1, 8, 1, 1)" in str(error.value)


def test_a_broken_contract_stays_broken() -> None:
    module = Half(stride=1)
    for _ in range(2):
        with pytest.raises(ShapeMismatch):
            module(IMAGE)


def test_it_is_decided_once_per_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Half()
    module(IMAGE)
    monkeypatch.setattr("symcnn.contracts.check_contract", None)
    module(IMAGE)
    with pytest.raises(TypeError):
        Half()(IMAGE)


def test_checked_modules_copy_and_pickle() -> None:
    module = Half()
    module(IMAGE)
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert again(IMAGE).shape == (1, 8, 5, 5)
        forward: Any = again.forward
        assert forward.__self__ is again


def test_several_inputs_and_outputs() -> None:
    @symcnn.contract("N C H W, N C -> N C, N 2*C")
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
            x = x.mean((2, 3))
            return x, torch.cat([x, y], 1)

    one, two = Two()(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3))
    assert (one.shape, two.shape) == ((2, 3), (2, 6))


def test_a_subclass_that_calls_super_declares_nothing() -> None:
    class Twice(Half):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.interpolate(super().forward(x), scale_factor=2)

    assert Twice()(IMAGE).shape == (1, 8, 10, 10)


def test_conditions_restrict_what_is_declared() -> None:
    net = symcnn.from_torch(nn.MaxPool2d(2), "N 3 H W")
    with pytest.raises(ShapeMismatch, match="at H=3"):
        check_contract(net, "N 3 H W -> N 3 (H+1)//2 W//2")
    check_contract(net, "N 3 H W -> N 3 (H+1)//2 W//2", domain="H % 2 == 0 and H > 1")
    with pytest.raises(ShapeMismatch, match="no size that it takes"):
        check_contract(net, "N 3 H W -> N 3 H//2 W//2", domain="H < 2")


def test_another_number_of_axes_breaks_it() -> None:
    net = symcnn.from_torch(nn.Flatten(), "N 3 8 8")
    with pytest.raises(ShapeMismatch, match="the output is"):
        check_contract(net, "N 3 8 8 -> N 3 64")


@pytest.mark.parametrize(
    ("spec", "domain", "cause"),
    [
        ("N 3 H W", "", "is no contract"),
        ("N 3 H W -> N K", "", "K is no size of the inputs"),
        ("N 3 H W -> N H/W", "", "divides by a size"),
        ("N 3 H W -> N ?", "", "has no place"),
        ("N 3 H W -> N", "H", "no condition"),
    ],
)
def test_malformed_contracts_are_refused_where_they_are_written(
    spec: str, domain: str, cause: str
) -> None:
    with pytest.raises(BadSpec, match=cause):
        symcnn.contract(spec, domain=domain)


class Padded(nn.Module):
    """Pads what is odd, or forgets to."""

    def __init__(self, pads: bool = True) -> None:
        super().__init__()
        self.pads, self.conv = pads, nn.Conv2d(3, 8, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        if self.pads and (h % 2 or w % 2):
            x = F.pad(x, (0, w % 2, 0, h % 2))
        elif h > 64:
            x = x[:, :, :-2]
        return self.conv(x)


class Rows(nn.Module):
    """Python needs the number of rows: the network is of one height."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, :, i] for i in range(x.shape[2])], 2)


def test_a_contract_about_sizes_that_were_not_followed_is_not_decided() -> None:
    net = symcnn.from_torch(Rows(), "N 3 H W", example={"H": 4})
    for spec in ("N 3 H W -> N 3 H W", "N 3 H W -> N 3 4 W"):
        with pytest.raises(Undecidable, match=r"the network is followed for H == 4 only"):
            check_contract(net, spec)
        check_contract(net, spec, domain="H == 4")
    with pytest.raises(ShapeMismatch, match=r"not \(1, 3, 5, 1\)"):
        check_contract(net, "N 3 H W -> N 3 5 W")


def test_a_contract_speaks_of_every_branch() -> None:
    rows = "N 3 H W -> N 8 (H+1)//2 (W+1)//2"
    check_contract(symcnn.from_torch(Padded(), "N 3 H W"), rows, domain="H <= 64")
    with pytest.raises(ShapeMismatch, match=r"at H=66, N=1, W=2 the output is \(1, 8, 32, 1\)"):
        check_contract(symcnn.from_torch(Padded(), "N 3 H W"), rows)
    with pytest.raises(ShapeMismatch, match=r"at H=2, N=1, W=3 the output is \(1, 8, 1, 1\)"):
        check_contract(symcnn.from_torch(Padded(pads=False), "N 3 H W"), rows, domain="H <= 64")


def test_the_smallest_sizes_are_those_of_all_branches() -> None:
    """The branch that the forward takes first breaks it at H=4, another at H=1."""

    class Cropped(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, w = x.shape[2:]
            if h % 4:
                x = F.pad(x, (0, 0, 0, -h % 4))
            return F.interpolate(F.max_pool2d(x, 4), scale_factor=4)[:, :, :h, :w]

    with pytest.raises(
        ShapeMismatch, match=r"at H=1, N=1, W=5 .* \(1, 3, 1, 4\), not \(1, 3, 1, 5\)"
    ):
        check_module(Cropped(), "N 3 H W -> N 3 H W")


def test_a_batch_of_one_that_loses_its_axis_breaks_it() -> None:
    class Squeezed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)).squeeze()

    spec = "N 3 H W -> N 3"
    check_module(Squeezed(), spec, domain="N >= 2")
    with pytest.raises(ShapeMismatch, match=r"at H=1, N=1, W=1 the output is \(3,\), not \(1, 3\)"):
        check_module(Squeezed(), spec)


def test_a_contract_speaks_of_the_batch() -> None:
    class Rows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(0, 1)

    net = symcnn.from_torch(Rows(), "N 3 H W")
    check_contract(net, "N 3 H W -> 3*N H W")
    with pytest.raises(ShapeMismatch, match="at H=1, N=2, W=1"):
        check_contract(net, "N 3 H W -> N+2 H W")


# dtypes -------------------------------------------------------------------------------------------


class Tokens(nn.Module):
    """Numbers of words to vectors, and where a word is: the mask in place of the vectors."""

    def __init__(self, mask: bool = False, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.words, self.mask = nn.Embedding(10, 4, dtype=dtype), mask

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.words(ids)
        return (found > 0 if self.mask else found), ids != 0


def test_a_contract_declares_dtypes() -> None:
    spec = "N L: int64 -> N L 4: float32, N L: bool"
    check_module(Tokens(), spec)
    with pytest.raises(
        ShapeMismatch, match=r"at L=1, N=1 the output is bool, bool, not float32, bool"
    ):
        check_module(Tokens(mask=True), spec)
    with pytest.raises(ShapeMismatch, match=r"the output is float16, bool, not float32, bool"):
        check_module(Tokens(dtype=torch.float16), spec)
    check_module(Tokens(dtype=torch.float16), "N L: int32 -> N L 4, N L: bool")


def test_the_first_call_decides_the_dtype_for_all_sizes() -> None:
    @symcnn.contract("N 3 H W: float16 -> N 3 H W: torch.float16")
    class Norm(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / torch.tensor(255.0) if x.shape[2] < 999 else x.float()

    with pytest.raises(
        ShapeMismatch, match=r"at H=999, N=1, W=1 the output is float32, not float16"
    ):
        Norm()(torch.zeros(1, 3, 2, 2, dtype=torch.float16))


def test_an_input_without_a_dtype_is_of_the_modules_own() -> None:
    check_module(nn.Conv2d(3, 4, 1).double(), "N 3 H W -> N 4 H W: float64")
    with pytest.raises(Undecidable, match="nothing says of which dtype"):
        check_module(symcnn.nn.ReLU(), "N 3 H W -> N 3 H W: float16")
    check_module(symcnn.nn.ReLU(), "N 3 H W: float16 -> N 3 H W: float16")


def test_a_network_of_other_dtypes_is_another() -> None:
    net = symcnn.from_torch(nn.ReLU(), symcnn.tensor("N 3 H W", dtype="float16"))
    check_contract(net, "N 3 H W -> N 3 H W: float16")
    with pytest.raises(BadSpec, match="was traced with other inputs than N 3 H W: float32"):
        check_contract(net, "N 3 H W: float32 -> N 3 H W: float32")


@pytest.mark.parametrize("dtype", ["", "half", "float31"])
def test_a_dtype_that_torch_does_not_have_is_refused(dtype: str) -> None:
    with pytest.raises(BadSpec, match=rf"'{dtype}' is no dtype"):
        symcnn.contract(f"N 3 H W -> N 3 H W: {dtype}")


def test_a_symbol_of_the_outputs_alone_is_one_of_the_network() -> None:
    width = symcnn.symbols("K")
    net = symcnn.nn.Conv2d(3, width, 3).trace("N 3 H W")
    with pytest.raises(ShapeMismatch) as error:
        check_contract(net, "N 3 H W -> N 8 H-2 W-2")
    assert "at H=3, K=1, N=1, W=3 the output is (1, 1, 1, 1), not (1, 8, 1, 1)" in str(error.value)
