"""An ``if`` between numbers is a number: no branch of the network."""

import itertools
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.algebra.size import Size, evaluate
from symcnn.frontends.torch.selects import chosen
from symcnn.sets.condition import Condition
from tests.corpus.forwards import Function

from .conftest import sure

h = Size.symbol("H")


@given(
    st.integers(2, 9),
    st.integers(1, 4),
    st.integers(0, 8),
    st.sampled_from(["==", ">="]),
    st.lists(st.integers(-4, 4), min_size=4, max_size=4),
)
def test_a_choice_by_a_remainder_is_the_number_that_python_takes(
    m: int, q: int, r: int, relation: Any, numbers: list[int]
) -> None:
    whole = (h + 1) // q
    rest = whole % m
    a, b = numbers[0] + numbers[1] * rest, h + numbers[2] - numbers[3] * rest
    condition = Condition(rest, relation, r)
    found = chosen(condition, a + h, b)
    assert found is not None or not isinstance(rest, Size)
    for size in range(1, 40):
        side = a + h if condition.holds({"H": size}) else b
        assert found is None or evaluate(found, {"H": size}) == evaluate(side, {"H": size})


@given(
    st.integers(2, 7),
    st.tuples(st.integers(1, 3), st.integers(-3, 3), st.integers(1, 3)),
    st.lists(st.integers(0, 6), min_size=2, max_size=2),
    st.lists(st.integers(-4, 4), min_size=4, max_size=4),
)
def test_a_chain_of_choices_is_the_number_that_python_takes(
    m: int, line: tuple[int, int, int], rests: list[int], numbers: list[int]
) -> None:
    whole = (line[0] * h + line[1]) // line[2]
    first, second = (Condition(whole % m, "==", r) for r in rests)
    last = numbers[2] + numbers[3] * (whole % m)
    inner = chosen(second, numbers[1], last)
    found = None if inner is None else chosen(first, numbers[0], inner)
    assert found is not None or not isinstance(whole % m, Size)
    for size in range(1, 40) if found is not None else ():
        at = {"H": size}
        side = numbers[0] if first.holds(at) else numbers[1] if second.holds(at) else last
        assert evaluate(sure(found), at) == evaluate(side, at)  # type: ignore[arg-type]


def test_a_choice_by_a_bound_is_none() -> None:
    assert chosen(Condition(h, ">=", 7), 1, 2) is None
    assert chosen(Condition(h % 2, "==", 0), h * h, h) is None


def same(x: Any, kernel: Any, stride: Any) -> Any:
    rest = x.shape[-2] % stride, x.shape[-1] % stride
    if rest[0] == 0:  # noqa: SIM108
        top = max(kernel - stride, 0)
    else:
        top = max(kernel - rest[0], 0)
    left = max(kernel - (stride if x.shape[-1] % stride == 0 else x.shape[-1] % stride), 0)
    return F.pad(x, (left // 2, left - left // 2, top // 2, top - top // 2))


class ByHand(nn.Module):
    """TensorFlow's SAME, stride after stride."""

    def __init__(self, kernel: Any, strides: Any) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleList(nn.Conv2d(2, 2, kernel, s) for s in strides)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(same(x, layer.kernel_size[0], layer.stride[0]))
        return x


class Multiple(nn.Module):
    """Padded to a multiple, in a closure and in a method of a class that asks its parent."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def up(n: Any, to: int) -> Any:
            rest = n % to
            more = to - rest if rest else 0
            return more

        return F.pad(x, (0, up(x.shape[3], 8), 0, up(x.shape[2], 16)))


class Child(Multiple):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest = x.shape[2] % 4
        if not rest:
            rows = 0
        elif rest == 1:
            rows = 3
        else:
            rows = 4 - rest
        return super().forward(F.pad(x, (0, 0, 0, rows)))


class Kept(nn.Module):
    """Without an else, a name keeps the number that it has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest = x.shape[2] % 3
        rows = columns = 0
        if rest == 1:
            rows = 2
        elif rest == 2:
            rows = 1
        if x.shape[3] % 2:
            columns = 1
        return F.pad(x, (0, columns, 0, rows))


@pytest.mark.parametrize(
    "module",
    [
        Kept(),
        ByHand(3, (2, 2, 2, 2)),
        ByHand(3, (3, 2, 3)),
        ByHand(7, (4, 2)),
        ByHand(2, (2, 3)),
        Multiple(),
        Child(),
    ],
    ids=["kept", "3/2", "3/3", "7/4", "2/2", "multiple", "child"],
)
def test_padding_by_remainders_is_one_network(module: Any) -> None:
    net = symcnn.from_torch(module, "N 2 H W")
    assert (len(net.branches), net.complete) == (1, True)
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"
    for size in [(1, 1), (5, 8), (16, 17), (31, 29), (64, 6), (23, 40), (50, 51)]:
        shape = tuple(module(torch.zeros(1, 2, *size)).shape)
        assert net.shape_at(N=1, H=size[0], W=size[1]) == shape


class Whole(nn.Module):
    """Padded to whole pieces, of rows or of all places."""

    def __init__(self, piece: int, rows: bool) -> None:
        super().__init__()
        self.piece, self.rows = piece, rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.rows:
            if x.shape[2] % self.piece:
                x = F.pad(x, (0, 0, 0, self.piece - x.shape[2] % self.piece))
            return x
        x = x.flatten(2)
        if x.shape[2] % self.piece:
            x = F.pad(x, (0, self.piece - x.shape[2] % self.piece))
        return x


@pytest.mark.parametrize("piece", [65, 128, 320])
@pytest.mark.parametrize("rows", [True, False])
def test_padding_to_pieces_of_many_is_one_network(rows: bool, piece: int) -> None:
    module = Whole(piece, rows)
    net = symcnn.from_torch(module, "N 2 H W")
    assert (len(net.branches), net.complete) == (1, True)
    for size in itertools.product((1, 2, 5, 13, 16, 64, 65, 128, 130, 320), (1, 5, 20, 64)):
        shape = tuple(module(torch.zeros(1, 2, *size)).shape)
        assert net.shape_at(N=1, H=size[0], W=size[1]) == shape


class Twice(nn.Module):
    """As long as nothing is given, and only if that is wanted."""

    def __init__(self, wanted: Any) -> None:
        super().__init__()
        self.given, self.wanted = None, wanted

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        twice = x.shape[2] > 1 and self.given is None and self.wanted
        x = x.contiguous()
        return torch.cat([x, x]) if twice else x


def test_a_comparison_beside_what_is_false_costs_no_second_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("symcnn.frontends.torch.script.Script.again")
    assert symcnn.from_torch(Twice(False), "N 3 L").shape_at(N=2, L=1) == (2, 3, 1)


def test_a_comparison_beside_what_is_true_is_a_branch() -> None:
    net = symcnn.from_torch(Twice(True), "N 3 L")
    assert [net.shape_at(N=2, L=length)[0] for length in (1, 2)] == [2, 4]


class Tensors(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % 2 == 0:  # noqa: SIM108
            y = x * 2
        else:
            y = x[:, :, 1:]
        return y


class Unbound(nn.Module):
    """A name that only one side gives has no value on the other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % 2 == 0:
            rows = 1
        return F.pad(x, (0, 0, 0, rows))


class Raises(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest = x.shape[2] % 2
        scale = 4 if rest == 0 else x.shape[4]
        return F.pad(x, (0, 0, 0, scale))


def test_a_choice_of_tensors_is_a_branch() -> None:
    net = symcnn.from_torch(Tensors(), "N 2 H W")
    assert len(net.branches) == 2
    assert all(len(branch.network.nodes) == 1 for branch in net.branches)
    assert [net.shape_at(N=1, H=n, W=3)[2] for n in (4, 5)] == [4, 4]


def test_an_error_on_one_side_is_that_side_s() -> None:
    net = symcnn.from_torch(Raises(), "N 2 H W")
    assert str(net.valid_inputs()) == "H % 2 == 0 and H >= 2 and W >= 1"


def test_a_name_without_a_value_on_one_side_is_refused_there() -> None:
    net = symcnn.from_torch(Unbound(), "N 2 H W")
    assert str(net.valid_inputs()) == "H % 2 == 0 and H >= 2 and W >= 1"


def test_the_code_is_the_module_s_own_after_a_trace() -> None:
    code = same.__code__
    symcnn.from_torch(ByHand(3, (2,)), "N 2 H W")
    assert same.__code__ is code


class PaddedMask(nn.Module):
    """Pads marked in a mask, as in Twins: without a pad, ``-0:`` is all of the axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for window in (7, 5, 4):
            below, right = ((window - n % window) % window for n in x.shape[2:])
            x = F.pad(x, (0, right, 0, below))
            mask = x.new_zeros(1, *x.shape[2:])
            mask[:, -below:, :].fill_(1)
            mask[:, :, -right:].zero_()
            x = F.max_pool2d(x * mask, 2)
        return x


def test_what_fills_the_end_of_an_axis_is_no_branch() -> None:
    module = PaddedMask()
    net = symcnn.from_torch(module, "1 2 H W")
    assert len(net.branches) == 1
    for size in range(1, 37):
        out = module(torch.zeros(1, 2, size, 9))
        assert net.shape_at(H=size, W=9) == tuple(out.shape)


class FilledCopy(nn.Module):
    """What a list picks is a copy, which must fit as it is picked."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, (0, x.shape[3] % 2))
        x[:, :, [0, 5]].fill_(1)
        return x


def test_a_copy_that_is_filled_is_no_write() -> None:
    net = symcnn.from_torch(FilledCopy(), "1 2 H W")
    assert [node.op for node in net.nodes][:3] == ["pad", "getitem", "fill"]
    assert str(net.valid_inputs()) == "H >= 6 and W >= 1"


class Same(nn.Module):
    """A pool that is padded as TensorFlow does it, by a method that says how much."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads = [self.pad(size) for size in x.shape[2:]]
        sides = [side for pad in pads[::-1] for side in (pad // 2, pad - pad // 2)]
        return F.max_pool2d(F.pad(x, sides), 3, 2)

    def pad(self, size: int) -> int:
        """Both sides return, as in the code of I3D."""
        if size % 2 == 0:
            return max(3 - 2, 0)
        else:
            return max(3 - (size % 2), 0)


class Early(Same):
    """The same, where the second return stands behind the branch."""

    def pad(self, size: int) -> int:
        if size % 2 == 0:
            return max(3 - 2, 0)
        return max(3 - (size % 2), 0)


@pytest.mark.parametrize("build", [Same, Early])
def test_a_choice_of_what_is_returned_is_a_number(build: Any) -> None:
    net = symcnn.from_torch(nn.Sequential(*(build() for _ in range(5))), "N 3 H W")
    assert len(net.branches) == 1
    assert str(net.output_shape) == "(N, 3, (H + 31)//32, (W + 31)//32)"


def test_returns_that_are_no_numbers_stay_a_branch() -> None:
    class Ends(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            if x.shape[2] % 2:
                return x.mean()
            return x

    net = symcnn.from_torch(Ends(), "N 3 H W")
    assert [len(net.shape_at(N=1, H=size, W=4)) for size in (5, 6)] == [0, 4]


def _padded_in_place(x: torch.Tensor) -> torch.Tensor:
    n, c, t = x.shape
    if t % 5 != 0:
        pad = 5 - t % 5
        x = F.pad(x, (0, pad), "reflect")
        t += pad
    return x.view(n, c, t // 5, 5)


def test_what_a_branch_adds_to_a_size_in_place_is_a_sum() -> None:
    net = symcnn.from_torch(Function(_padded_in_place), "N 1 L")
    assert len(net.branches) == 1
    assert str(net.output_shape) == "(N, 1, (L + 4)//5, 5)"
    for length in range(1, 40):
        theirs = None
        with suppress(RuntimeError):
            theirs = tuple(_padded_in_place(torch.zeros(1, 1, length)).shape)
        ours = None
        with suppress(symcnn.InvalidInput):
            ours = net.shape_at(N=1, L=length)
        assert ours == theirs


def _list_in_place(x: torch.Tensor) -> torch.Tensor:
    crops = [1]
    kept = crops
    if x.shape[2] % 3 == 0:
        crops += kept
    return x[..., len(kept) :]


def _tensor_in_place(x: torch.Tensor) -> torch.Tensor:
    y = x.relu()
    z = y.flatten()
    if x.shape[2] % 3 == 0:
        y += x
    return torch.cat([z, y.flatten()]) if z is y else z


@pytest.mark.parametrize("forward", [_list_in_place, _tensor_in_place])
def test_what_is_changed_in_place_is_changed_under_all_its_names(forward: Any) -> None:
    net = symcnn.from_torch(Function(forward), "N 1 L")
    for length in range(3, 20):
        theirs = tuple(forward(torch.zeros(1, 1, length)).shape)
        assert net.shape_at(N=1, L=length) == theirs


class PadInBranch(nn.Module):
    """The pad of short rows, chosen in a branch and read behind it, in another one."""

    def forward(self, x: torch.Tensor, mode: str = "reflect") -> torch.Tensor:
        length = x.shape[-1]
        if mode == "reflect":
            extra = 0
            if length <= 1:
                extra = 1 - length + 1
                x = F.pad(x, (0, extra))
            padded = F.pad(x, (1, 1), mode)
            return padded[..., : padded.shape[-1] - extra]
        return x


def test_a_number_that_an_inner_branch_changes_is_read_behind_it() -> None:
    net = symcnn.from_torch(PadInBranch(), "1 2 L")
    for size in range(1, 6):
        assert net.shape_at(L=size) == (1, 2, size + 2)
