"""Writing where a mask is true: how many places that is, only values tell."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn as tnn
from torch.nn import functional as F

import symcnn
from symcnn.errors import DataDependent, InvalidInput, ShapeMismatch, UnsupportedOperation
from tests.corpus.forwards import Function

Forward = Callable[[torch.Tensor], Any]


def net(forward: Forward) -> Any:
    return symcnn.from_torch(Function(forward), "N 3 H W")


def points(x: torch.Tensor) -> torch.Tensor:
    y, mask = F.avg_pool2d(x, 3, 1, 1), x > 0
    y[mask] = x[mask]
    return y


def rows(x: torch.Tensor) -> torch.Tensor:
    y = F.avg_pool2d(x, 3, 1, 1).permute(0, 2, 3, 1).clone()
    mask = x[:, 0] > 0
    y[mask] = x.permute(0, 2, 3, 1)[mask]
    return y


def one_for_all(x: torch.Tensor) -> torch.Tensor:
    y, x = F.avg_pool2d(x, 3, 1, 1).permute(0, 2, 3, 1).clone(), x.permute(0, 2, 3, 1)
    mask = x[..., 0] > 0
    y[mask] = x[..., :1][mask]
    return y


def kept_aside(x: torch.Tensor) -> torch.Tensor:
    y, mask = F.avg_pool2d(x, 3, 1, 1), x > 0
    picked = x[mask]
    x = x * 2
    y[mask] = picked
    return y


@pytest.mark.parametrize("forward", [points, rows, one_for_all, kept_aside])
def test_what_a_mask_picks_is_written_where_the_same_mask_picks(forward: Forward) -> None:
    found = net(forward)
    x = torch.randn(2, 3, 9, 7)
    assert found.shape_at(N=2, H=9, W=7) == tuple(forward(x).shape)
    assert found.macs == 0
    assert found.receptive_field().size == (3, 3)
    assert found.receptive_field().at(N=2, H=9, W=7).interval(4) == (3, 5)
    assert found.complete
    assert str(found.valid_inputs()) == "H >= 1 and W >= 1"


def added(x: torch.Tensor) -> torch.Tensor:
    x = F.avg_pool2d(x, 3, 1, 1)
    x[x > 0] += 1.0
    return x


def divided(x: torch.Tensor) -> torch.Tensor:
    y, mask = F.avg_pool2d(x, 3, 1, 1), x > 0
    y[mask] /= x[mask]
    return y


def roots(x: torch.Tensor) -> torch.Tensor:
    y, mask = torch.zeros_like(x), x > 0
    y[mask] = F.avg_pool2d(x, 3, 1, 1)[mask].abs().sqrt() * 2 - x[mask]
    return y


def twice(x: torch.Tensor) -> torch.Tensor:
    x = F.avg_pool2d(x, 3, 1, 1)
    x[(x > 0) & (x < 2)] = x[(x > 0) & (x < 2)] * 2
    return x


@pytest.mark.parametrize("forward", [added, divided, roots, twice])
def test_what_is_done_point_by_point_to_what_a_mask_picks_is_followed(forward: Forward) -> None:
    found = net(forward)
    assert found.complete
    assert found.shape_at(N=2, H=9, W=7) == tuple(forward(torch.randn(2, 3, 9, 7)).shape)
    assert str(found.valid_inputs()) == "H >= 1 and W >= 1"
    assert found.macs == 0
    assert found.receptive_field().size == (3, 3)


def test_what_is_picked_is_not_changed_where_it_was_picked_from() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        picked = x[x > 0]
        picked += 1.0
        return x

    assert net(forward).receptive_field().size == (1, 1)


def test_memory_of_what_a_mask_picks_is_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="setitem with a mask is not known"):
        _ = net(points).cost().peak


def another_mask(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[x > 0] = x[x >= 0]
    return y


def a_mask_written_to(x: torch.Tensor) -> torch.Tensor:
    y, mask = x.clone(), x > 0
    picked = x[mask]
    mask[0] = True
    y[mask] = picked
    return y


def written_in_between(x: torch.Tensor) -> torch.Tensor:
    x = x.clone()
    picked = x[x > 0]
    x[0] = 1
    x[x > 0] = picked
    return x


def caught(x: torch.Tensor) -> torch.Tensor:
    try:
        return x[x > 0].relu()
    except Exception:
        return x


PICKED: dict[str, Forward] = {
    "returned": lambda x: x[x > 0],
    "returned among others": lambda x: {"a": x[x > 0], "b": x},
    "its size": lambda x: x[x > 0].shape[0],
    "its length": lambda x: x + len(x[x > 0]),
    "a function": lambda x: F.relu(x[x > 0]),
    "a sum": lambda x: x + x[x > 0],
    "a product from the right": lambda x: 2 * x[x > 0],
    "a list": lambda x: torch.stack([x[x > 0]]),
    "a sum with others": lambda x: x[x > 0] + x[x > 1],
    "a sum with as many numbers": lambda x: x.index_put_((x > 0,), x[x > 0] + torch.ones(3)),
    "a function that is returned": lambda x: x[x > 0].abs() + 1,
    "a mean": lambda x: x[x > 0].mean(),
    "a weight": lambda x: F.conv2d(x, x[x > 0]),
    "another mask": another_mask,
    "a mask that was written to": a_mask_written_to,
    "a mask of what was written to": written_in_between,
    "a mask of another bound": lambda x: x.index_put_((x > 1,), x[x > 0]),
    "put by index_put": lambda x: x.index_put_((x > 0,), x[x > 0]),
    "caught": caught,
}


@pytest.mark.parametrize("use", PICKED)
def test_whoever_else_asks_what_a_mask_picks_is_refused(use: str) -> None:
    with pytest.raises(DataDependent, match=r"indexing with a mask[\s\S]*test_masks.py"):
        net(PICKED[use])


def lines(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[mask] = 0
    return y


def test_a_mask_is_as_large_as_what_it_masks() -> None:
    with pytest.raises(ShapeMismatch, match="H == H - 1 holds for no size"):
        net(lambda x: lines(x, x[:, :, 1:] > 0))
    found = net(lambda x: lines(x, x[:, 0] > 0))
    for h, w in [(3, 3), (3, 4), (4, 4)]:
        x = torch.zeros(2, 3, h, w)
        if (h, w) == (3, 3):
            assert found.shape_at(N=2, H=h, W=w) == lines(x, x[:, 0] > 0).shape
            continue
        with pytest.raises(IndexError):
            lines(x, x[:, 0] > 0)
        with pytest.raises(InvalidInput):
            found.shape_at(N=2, H=h, W=w)


def last(x: torch.Tensor) -> torch.Tensor:
    y, mask = x.clone(), F.avg_pool2d(x, 3, 1, 1)[0, 0] > 0
    y[..., mask] = 1
    return y


def first(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 0][F.avg_pool2d(x, 3, 1, 1)[:, 0] > 0] = 1
    return y


def test_a_mask_is_read_where_it_stands() -> None:
    """It was said to be read everywhere."""
    for forward in (last, lambda x: lines(x, F.avg_pool2d(x, 3, 1, 1) > 0)):
        found = net(forward)
        assert found.receptive_field().at(N=1, H=9, W=7).interval(4) == (3, 5)
        assert found.shape_at(N=1, H=9, W=7) == (1, 3, 9, 7)


def test_writing_to_a_view_by_a_mask_costs_nothing() -> None:
    """The whole of which a part was written to did not say its cost."""
    whole = net(lambda x: lines(x[:, 0], F.avg_pool2d(x, 3, 1, 1)[:, 0] > 0)).cost()
    part = net(first).cost()
    assert part.total == whole.total == 0
    assert part.other == whole.other


def more(x: torch.Tensor) -> torch.Tensor:
    y, mask = x.clone(), x > 0
    y[mask] = x[mask]
    return y if x.shape[2] > 5 else y * 2


def test_branches_follow_what_a_mask_picks() -> None:
    found = net(more)
    assert len(found.branches) == 2
    assert found.complete


class Kept(tnn.Module):
    """A mask of the module's own, of two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: torch.Tensor
        self.register_buffer("mask", torch.eye(5, 7, dtype=torch.bool))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, None, True, :, self.mask] = 0
        return y


def test_a_mask_of_the_module_fixes_the_sizes_that_it_masks() -> None:
    """All sizes were said to be valid."""
    found = symcnn.from_torch(Kept(), "N 3 H W")
    assert str(found.valid_inputs()) == "H == 5 and W == 7"
    assert found.shape_at(N=2, H=5, W=7) == Kept()(torch.zeros(2, 3, 5, 7)).shape
    with pytest.raises(IndexError):
        Kept()(torch.zeros(2, 3, 5, 8))


def rows_of(value: Forward) -> Forward:
    def forward(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[x[..., 0] > 0] = value(x)
        return y

    return forward


def test_what_is_written_by_a_mask_broadcasts_to_the_axes_behind_it() -> None:
    """All sizes were said to be valid."""
    assert str(net(rows_of(lambda x: torch.ones(7))).valid_inputs()) == "H >= 1 and W == 7"
    assert str(net(rows_of(lambda x: torch.ones(1, 7))).valid_inputs()) == "H >= 1 and W == 7"
    for free in (lambda x: torch.ones(1), lambda x: torch.ones(1, 1, 1), lambda x: x[0, 0, 0]):
        assert str(net(rows_of(free)).valid_inputs()) == "H >= 1 and W >= 1"
    with pytest.raises(ShapeMismatch, match="4 axes do not fit"):
        net(rows_of(lambda x: x * 2 + torch.ones(2, 3, 1, 1)))


def test_bytes_are_a_mask_too() -> None:
    """They were taken for places."""
    with pytest.raises(DataDependent, match="indexing with a mask"):
        net(lambda x: x[(x[:, 0, 0, 0] > 0).byte()])


WRITTEN: dict[str, tuple[Any, str]] = {
    "a row": ((slice(None), slice(None), 5), "H >= 6 and W >= 1"),
    "a row from the end": ((slice(None), slice(None), -3), "H >= 3 and W >= 1"),
    "rows of a list": ((slice(None), slice(None), [0, 4]), "H >= 5 and W >= 1"),
    "truth values": ((slice(None), slice(None), [True, False]), "H == 2 and W >= 1"),
    "behind a new axis": ((None, ..., 6), "H >= 1 and W >= 7"),
    "a slice that may be empty": ((slice(None), slice(None), slice(5, 9)), "H >= 1 and W >= 1"),
}


@pytest.mark.parametrize("where", WRITTEN)
def test_where_a_number_is_written_there_is_a_place(where: str) -> None:
    """All sizes were said to be valid."""
    index, domain = WRITTEN[where]

    def forward(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[index] = 0
        return y

    found = net(forward)
    assert str(found.valid_inputs()) == domain
    for h in range(1, 9):
        for w in (1, 7):
            try:
                forward(torch.zeros(1, 3, h, w))
            except (IndexError, RuntimeError):
                assert (h, w) not in found.valid_inputs()
            else:
                assert (h, w) in found.valid_inputs()


def written(x: torch.Tensor, *index: Any) -> torch.Tensor:
    y = x[0, 0].clone()
    y[index] = 0.0
    return y


def over_rows(x: torch.Tensor) -> torch.Tensor:
    return x[0, 0, :, 0] >= 0


BESIDE: dict[str, Forward] = {
    "a place": lambda x: written(x, over_rows(x), 3),
    "one position": lambda x: written(x, over_rows(x), torch.tensor([1])),
    "a list of one": lambda x: written(x, over_rows(x), [-2]),
    "a slice": lambda x: written(x, over_rows(x), slice(1, 3)),
    "a new axis": lambda x: written(x, None, over_rows(x)),
}


@pytest.mark.parametrize("forward", BESIDE.values(), ids=BESIDE)
def test_one_place_stands_beside_a_mask_and_is_one_of_the_axis(forward: Forward) -> None:
    found = net(forward)
    for h in range(1, 5):
        for w in range(1, 5):
            try:
                forward(torch.zeros(1, 3, h, w))
            except IndexError:
                assert (h, w) not in found.valid_inputs(), (h, w)
            else:
                assert found.shape_at(N=1, H=h, W=w) == (h, w)


def test_a_mask_stands_beside_itself() -> None:
    def diagonal(x: torch.Tensor) -> torch.Tensor:
        mask = over_rows(x)
        return written(x, mask, mask)

    domain = net(diagonal).valid_inputs()
    assert (4, 4) in domain
    assert (4, 5) not in domain


@pytest.mark.parametrize("second", [lambda x: x[0, 0, 0] >= 0, lambda x: torch.tensor([0, 1])])
def test_two_counts_in_an_index_are_refused_by_name_with_a_cure(second: Forward) -> None:
    """Torch takes them where the values are such that they are as many."""
    with pytest.raises(DataDependent, match="a mask beside other positions") as error:
        net(lambda x: written(x, over_rows(x), second(x)))
    assert "one mask of all of these axes" in error.value.cure

    def cure(x: torch.Tensor) -> torch.Tensor:
        return written(x, over_rows(x)[:, None] & (x[0, 0, 0] >= 0))

    assert net(cure).shape_at(N=1, H=4, W=5) == tuple(cure(torch.zeros(1, 3, 4, 5)).shape)


def test_whole_numbers_picked_by_a_mask_are_written_where_the_same_mask_picks() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        places, mask = x.argmax(1), x[:, 0] > 0
        other = places.clone()
        other[mask] = places[mask]
        return other

    assert str(net(forward).output_shape) == "(N, H, W)"


@pytest.mark.parametrize("axes", [0, 1, 2])
@pytest.mark.parametrize("dropout", [0.0, 0.5], ids=["plain", "dropout"])
@pytest.mark.parametrize("rank", [3, 4])
def test_attention_takes_a_mask_of_as_many_axes_as_torch_does(
    axes: int, dropout: float, rank: int
) -> None:
    """The fused kernel, which takes four axes and no dropout, asks two axes of a mask."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        q = x if rank == 4 else x[0]
        mask = torch.zeros(q.shape[-2:-1] * axes)
        return F.scaled_dot_product_attention(q, q, q, mask, dropout_p=dropout)

    def taken(run: Callable[[], object]) -> bool:
        try:
            run()
        except (IndexError, symcnn.ShapeMismatch):
            return False
        return True

    torchs = taken(lambda: forward(torch.zeros(2, 3, 5, 4)))
    assert taken(lambda: symcnn.from_torch(Function(forward), "N 3 L 4")) == torchs
