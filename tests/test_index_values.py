"""What numbers that index tensors hold ask of sizes: torch says what is right."""

from collections.abc import Callable

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.judge.oracles import judge
from tests.corpus.forwards import Function


def places(dims: list[int], value: int) -> torch.Tensor:
    return torch.full(dims, value)


PLACES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "steps of another size": lambda x: x[:, :, torch.arange(0, x.shape[2], x.shape[3])],
    "a tensor of a tensor": lambda x: x[:, :, torch.as_tensor(torch.arange(5))],
    "a tensor of a range of numpy": lambda x: x[:, :, torch.tensor(numpy.arange(x.shape[3]))],
    "a tensor of columns of numpy": lambda x: x[
        :, :, torch.as_tensor(numpy.mgrid[: x.shape[2], : x.shape[3]][1])
    ],
    "up to a bound that is a tensor": lambda x: x[
        :, :, torch.arange(9).clamp(*(0, torch.tensor(min(x.shape[3], 4))))  # type: ignore[call-overload]
    ],
    "index": lambda x: x[:, :, torch.tensor([0, 5])],
    "index from the end": lambda x: x[:, :, torch.tensor([-6, 1])],
    "index of sizes": lambda x: x[:, :, torch.tensor([0, x.shape[3] // 2])],
    "a list": lambda x: x[:, :, [0, -5]],
    "index_select": lambda x: x.index_select(2, torch.tensor([5, 1])),
    "gather": lambda x: x.gather(2, places([1, 3, 2, 1], 5)),
    "scatter_add": lambda x: x.scatter_add(2, places([1, 3, 1, 1], 5), x[:, :, :1, :1]),
    "take_along_dim": lambda x: torch.take_along_dim(x, places([1, 1, 1, 1], 5), 2),
    "take_along_dim without an axis": lambda x: torch.take_along_dim(x, torch.tensor([50])),
    "take": lambda x: x.take(torch.tensor([0, 50])),
    "take from the end": lambda x: x.take(torch.tensor([-50])),
    "put": lambda x: x.put(torch.tensor([50, -50]), x.new_zeros(2)),
    "put in place": lambda x: x.clone().put_(torch.tensor([50]), x.new_zeros(1), accumulate=True),
    "index_add": lambda x: x.index_add(2, torch.tensor([5]), x[:, :, :1]),
    "index_add in place": lambda x: x.clone().index_add_(2, torch.tensor([5]), x[:, :, :1]),
    "index_copy": lambda x: x.index_copy(2, torch.tensor([5]), x[:, :, :1]),
    "index_reduce": lambda x: x.index_reduce(2, torch.tensor([5]), x[:, :, :1], "prod"),
    "index_fill": lambda x: x.index_fill(2, torch.tensor([5]), 1.0),
    "index_fill from the end": lambda x: x.index_fill(2, torch.tensor([-5]), value=1.0),
    "writing": lambda x: x.clone().index_put_(
        (torch.tensor([0]), torch.tensor([2]), torch.tensor([5])), x[0, 0, 0]
    ),
    "embedding": lambda x: F.embedding(torch.tensor([0, 2]), x[0, 0]),
    "embedding_bag": lambda x: F.embedding_bag(torch.tensor([[0, 5]]), x[0, 0]),
    "one_hot": lambda x: F.one_hot(torch.tensor([0, 5]), x.shape[2]),
    "classes": lambda x: F.cross_entropy(x[0, 0], places([x.shape[2]], 5)),
    "classes that are ignored": lambda x: F.nll_loss(x[0, 0], places([x.shape[2]], -100)),
    "positions of a table": lambda x: F.embedding(
        torch.arange(x.shape[2])[None], x.new_zeros(5, 4)
    ),
    "places of a size": lambda x: x.gather(2, places([x.shape[0], 3, 2, 1], x.shape[2] - 3)),
    "a row for each image": lambda x: x.gather(
        2, torch.arange(5).view(-1, 1).expand(x.shape[0], 3, 5, 1)
    ),
    "the last position": lambda x: F.embedding(torch.arange(x.shape[2]).amax(), x.new_zeros(5, 4)),
    "the last position, with its axis": lambda x: F.embedding(
        torch.arange(x.shape[2]).amax(0, keepdim=True), x.new_zeros(5, 4)
    ),
    "the least position": lambda x: x.new_zeros(5, 4)[(torch.arange(x.shape[2]) - 5).min()],
    "from the end": lambda x: x.new_zeros(5, 4)[-torch.arange(1, x.shape[2] + 1)],
    "padded": lambda x: F.embedding(F.pad(torch.arange(x.shape[2]), (1, 1)), x.new_zeros(5, 4)),
    "padded with a place": lambda x: F.embedding(
        F.pad(torch.arange(x.shape[2]), (0, 1), value=5), x[0, 0]
    ),
    "shifted": lambda x: F.embedding(torch.arange(x.shape[3]).view(-1, 1) + 2, x[0, 0]),
    "backwards": lambda x: x[:, :, 3 - torch.arange(x.shape[3])],
    "the first few": lambda x: F.embedding(torch.arange(x.shape[2])[:3], x.new_zeros(3, 4)),
    "written before": lambda x: x[:, :, torch.tensor([1, 2]).fill_(5)],
}


def rows(x: torch.Tensor) -> torch.Tensor:
    return torch.arange(x.shape[2])


def columns(x: torch.Tensor) -> torch.Tensor:
    return torch.arange(x.shape[3])


def of_a_grid(x: torch.Tensor, indexing: str) -> torch.Tensor:
    i, j = torch.meshgrid(rows(x), columns(x), indexing=indexing)
    return x.new_zeros(9)[i - j.T + 4 if indexing == "ij" and i.shape == j.T.shape else i + j]


def the_grid(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.meshgrid(rows(x), columns(x), indexing="ij")


def relative_places(x: torch.Tensor) -> torch.Tensor:
    """As windows look up their biases: stacked coordinates, written to in place, added up."""
    h, w = x.shape[2:]
    places = torch.flatten(torch.stack(the_grid(x)), 1)
    between = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0).contiguous()
    between[:, :, 0] += h - 1
    between[:, :, 1] += w - 1
    between[:, :, 0] *= 2 * w - 1
    return between.sum(-1)


TABLES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a difference": lambda x: x.new_zeros(15)[rows(x)[:, None] - columns(x)[None] + 7],
    "a difference along one axis": lambda x: x.new_zeros(2)[rows(x) - rows(x).flip(0) + x.shape[2]],
    "in floats": lambda x: x[0, 0][
        (rows(x)[:, None] * 1.0 - rows(x)[None] * 1.0 + x.shape[2] - 1).long()
    ],
    "of a number": lambda x: x.new_zeros(9)[rows(x)[:, None] - torch.arange(4) + 3],
    "joined axes": lambda x: x.flatten()[
        (rows(x)[:, None] * x.shape[3] + columns(x)).flatten() + 2 * x.shape[3]
    ],
    "split axes": lambda x: x.flatten()[torch.arange(x.shape[2] * 3).view(-1, 3) * 2],
    "a grid": lambda x: of_a_grid(x, "ij"),
    "a grid, columns first": lambda x: of_a_grid(x, "xy"),
    "stretched and turned": lambda x: x.new_zeros(9)[rows(x).expand(2, -1).T + 2],
    "every second": lambda x: x[:, :, torch.arange(1, x.shape[3], 2)],
    "from the second on": lambda x: x.new_zeros(9)[columns(x)[1:] + x.shape[2]],
    "halves": lambda x: x[:, :, columns(x) // 2],
    "within bounds": lambda x: x[:, :, columns(x).clamp(max=3)],
    "a remainder": lambda x: x[:, :, columns(x) % 4],
    "distances": lambda x: x.new_zeros(6)[(rows(x)[:, None] - columns(x)).abs()],
    "products of two axes": lambda x: x.new_zeros(19)[rows(x)[:, None] * columns(x)],
    "side by side": lambda x: x.new_zeros(6)[torch.stack([rows(x), rows(x) * 2 + 1], -1)],
    "beside numbers": lambda x: x.new_zeros(9)[
        torch.stack([rows(x), rows(x) + 1]) * torch.tensor([[2], [1]])
    ],
    "one of several": lambda x: x.new_zeros(6)[torch.stack([rows(x) * 9, rows(x) + 1])[1]],
    "a stacked grid": lambda x: x.new_zeros(6)[torch.stack(the_grid(x), -1)],
    "an axis of a stacked grid": lambda x: x.new_zeros(6)[torch.stack(the_grid(x)).flatten(1)[1]],
    "parts of a stacked grid": lambda x: x.new_zeros(9)[sum(torch.stack(the_grid(x)).unbind(0))],
    "windows of Swin": lambda x: x.new_zeros(40)[relative_places(x)],
    "one after the other": lambda x: x.new_zeros(6)[torch.cat([rows(x), columns(x) - 1])],
    "all pairs": lambda x: x.new_zeros(6)[torch.cartesian_prod(rows(x), columns(x))],
    "elsewhere": lambda x: x.new_zeros(6)[rows(x).roll(1)],
    "repeated": lambda x: x.new_zeros(6)[rows(x).repeat(2)],
    "sorted": lambda x: x.new_zeros(6)[rows(x).flip(0).sort()[0]],
    "an order": lambda x: x.new_zeros(6)[x[0, 0, :, 0].argsort()],
    "a running count": lambda x: x.new_zeros(6)[torch.ones_like(rows(x)).cumsum(0) - 1],
    "of a mask, as OPT counts": lambda x: x.new_zeros(6)[
        (x.new_ones(x.shape[2:]).cumsum(1) * x.new_ones(x.shape[2:]) - 1).long()
    ],
    "three axes": lambda x: x.new_zeros(6)[torch.tensor([[[0, 5], [1, 2]]]) + x.shape[2] - 3],
    "three axes times a row": lambda x: x.new_zeros(6)[
        torch.tensor([[[0], [2]]]) * rows(x) - rows(x)
    ],
    "spread": lambda x: x[:, :, torch.linspace(0, x.shape[3] - 1, 5).long()],
    "in any order": lambda x: x[:, :, torch.randperm(x.shape[3])],
    "a rounded quotient": lambda x: x.new_zeros(3)[torch.div(rows(x), 2, rounding_mode="floor")],
    "a rounded float": lambda x: x.new_zeros(3)[(rows(x) / 3).ceil().long()],
    "truths": lambda x: x.new_zeros(2)[rows(x).bool().long()],
    "truths of a dtype": lambda x: x.new_zeros(2)[rows(x).to(torch.bool).int()],
    "a narrow dtype": lambda x: x.new_zeros(128)[(rows(x) + 124).to(torch.int8).long()],
    "a half": lambda x: x.new_zeros(3)[((rows(x) + 0.5) * 0.5).long()],
    "a square": lambda x: x.new_zeros(17)[rows(x) ** 2 - rows(x).flip(0) * 0],
    "a product with itself": lambda x: x.new_zeros(21)[rows(x) * (rows(x) + 1)],
    "a product of axes and one of them": lambda x: x.new_zeros(19)[
        rows(x)[:, None] * columns(x) + rows(x)[:, None]
    ],
    "shifted bits": lambda x: x.new_zeros(9)[(rows(x) << 2) >> 1],
    "the larger of two": lambda x: x.new_zeros(6)[torch.maximum(rows(x)[:, None], columns(x))],
    "the smaller of two": lambda x: x.new_zeros(6)[torch.minimum(rows(x)[:, None], columns(x))],
    "no further than": lambda x: x.new_zeros(4)[
        torch.max(rows(x)[:, None] - rows(x), torch.tensor(0)).flip(1) // 2
    ],
    "copied twice": lambda x: x.new_zeros(6)[
        F.interpolate(rows(x)[None, None].float(), scale_factor=2)[0, 0].long()
    ],
    "places of places": lambda x: x.new_zeros(6)[rows(x)[torch.tensor([0, 2])]],
    "places of the input": lambda x: x.new_zeros(6)[rows(x)[x[0, 0, :1, 0].long()]],
}


def wrapped(x: torch.Tensor) -> torch.Tensor:
    return (rows(x)[:, None] - rows(x)) % x.shape[2]


def mirrored(x: torch.Tensor, far: int) -> torch.Tensor:
    """As a pad reflects, written out."""
    i = torch.arange(-far, x.shape[2] + far)
    i = torch.where(i < 0, -i, i)
    return torch.where(i >= x.shape[2], 2 * (x.shape[2] - 1) - i, i)


def nearby(x: torch.Tensor, many: int) -> torch.Tensor:
    """As neighbourhood attention picks the windows of places at the border."""
    first = torch.clamp(rows(x) - many // 2, min=0, max=x.shape[2] - many)
    return first[:, None] + torch.arange(many) - rows(x)[:, None] + many - 1


def in_turns(x: torch.Tensor) -> torch.Tensor:
    """From both ends."""
    return torch.where(rows(x) % 2 == 0, rows(x) // 2, x.shape[2] - 1 - rows(x) // 2)


def buckets(x: torch.Tensor) -> torch.Tensor:
    """Of distances, in which near ones have one each."""
    far = (rows(x)[None] - rows(x)[:, None]).abs()
    return torch.where(far < 2, far, 2 + (far - 2) // 2)


def overwritten(x: torch.Tensor) -> torch.Tensor:
    return rows(x).masked_fill(rows(x) >= 3, 0).masked_fill(rows(x) == 5, 7)


def between(x: torch.Tensor) -> torch.Tensor:
    inside = (rows(x) >= 2) & (rows(x) < 5)
    return inside.long() * 3 + torch.logical_not(inside).long()


FORMULAS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "the one or the other": lambda x: torch.where(rows(x) > 3, rows(x) - 4, rows(x) + 1),
    "a method": lambda x: (rows(x) - 4).where(rows(x) > 3, torch.tensor(1)),
    "numbers where": lambda x: torch.where(columns(x) >= x.shape[2], 2, 5),
    "a truth": lambda x: (rows(x) > 3).long() * 4 + 1,
    "truths added up": lambda x: (rows(x) >= 2).long() + (rows(x) >= 4).int() + (rows(x) != 0) * 1,
    "a triangle": lambda x: (rows(x)[:, None] >= columns(x)).long() + 3,
    "on the diagonal": lambda x: (rows(x)[:, None] == columns(x) - 2).to(torch.int64) * 7,
    "a truth of a number": lambda x: rows(x).bool() * 5 + rows(x).to(torch.bool).int(),
    "truths together": between,
    "truths in a row": lambda x: ((rows(x) > 2) | (rows(x) < 1)).long() * 5,
    "one truth of two": lambda x: ((rows(x) > 2) ^ (rows(x) > 5)).long() * 5,
    "all of two": lambda x: torch.logical_and(rows(x) > 2, columns(x)[:, None] > 5).long() * 5,
    "a remainder of a shift": lambda x: (rows(x) + 3) % 7,
    "a remainder of what is below 0": lambda x: (rows(x) - 3) % 7,
    "a remainder of every second": lambda x: (rows(x) * 2) % 7,
    "a remainder by a size": wrapped,
    "a remainder by a size, shifted": lambda x: torch.remainder(rows(x) - 1, x.shape[2]),
    "the last bits": lambda x: (rows(x) + columns(x)[:, None]) & 7,
    "a sign": lambda x: (rows(x) - 3).sign() * 3 + 3,
    "the smaller of two that cross": lambda x: torch.minimum(rows(x), columns(x)[:, None] * 2 - 3),
    "mirrored": lambda x: mirrored(x, 1),
    "mirrored far": lambda x: mirrored(x, 3),
    "windows at the border": lambda x: nearby(x, 3),
    "from both ends": in_turns,
    "near and far": buckets,
    "some overwritten": overwritten,
    "one after the other": lambda x: torch.cat([rows(x) % 5, columns(x).flip(0) % 4 + 2]),
    "every second, then the others": lambda x: torch.cat(
        [torch.arange(0, x.shape[2], 2), torch.arange(1, x.shape[2], 2)]
    ),
    "side by side": lambda x: torch.stack([rows(x) % 3, 5 - rows(x) // 2], -1).flatten(),
    "a part": lambda x: torch.where(rows(x) > 3, rows(x) - 4, rows(x))[2:],
    "turned": lambda x: (rows(x)[:, None] - columns(x) % 3).T.flip(0)[None] % 8,
    "a rounded quotient of what crosses 0": lambda x: torch.div(
        rows(x) - columns(x)[:, None], 3, rounding_mode="trunc"
    ),
    "in floats": lambda x: torch.where(rows(x) > 3, 2.0, rows(x).float()).long(),
    "windows": lambda x: columns(x).unfold(0, 1, 2)[:, 0] + rows(x)[:1],
    "a quotient by a size": lambda x: rows(x) // x.shape[3],
    "a rounded quotient by a size": lambda x: torch.div(
        rows(x) - x.shape[2], x.shape[2], rounding_mode="floor"
    ),
    "what a size leaves": lambda x: rows(x) % x.shape[3],
    "rows of joined axes": lambda x: torch.arange(x.shape[2] * x.shape[3]) // x.shape[3],
    "columns of joined axes": lambda x: torch.arange(x.shape[2] * x.shape[3]) % x.shape[3],
    "distances within bounds": lambda x: rows(x)[:, None].clamp(-3, 2).abs() + 2,
    "as wide as its distance": lambda x: (
        rows(x)[:, None] * max(x.shape[2] / x.shape[2], 1.0) - rows(x) + (x.shape[2] - 1) * 1.0
    ).long(),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("size", [1, 4, 6])
def test_numbers_are_followed_place_by_place(name: str, size: int) -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(size)[FORMULAS[name](x)]

    judged: dict[tuple[int, int], tuple[int, ...] | None] = {}
    for h in range(1, 12):
        for w in (1, 2, 5, 9):
            try:
                judged[h, w] = tuple(forward(torch.zeros(1, 3, h, w)).shape)
            except (IndexError, RuntimeError):
                judged[h, w] = None
    if not any(judged.values()):
        with pytest.raises(symcnn.SymcnnError):
            symcnn.from_torch(Function(forward), "1 3 H W")
        return
    net = symcnn.from_torch(Function(forward), "1 3 H W")
    assert net.checks == ()
    for (h, w), shape in judged.items():
        assert ((h, w) in net.valid_inputs()) == (shape is not None), (h, w)
        assert shape is None or net.shape_at(H=h, W=w) == shape


@pytest.mark.parametrize("forward", [*PLACES.values(), *TABLES.values()], ids=[*PLACES, *TABLES])
def test_numbers_in_a_tensor_must_be_places_of_the_axis(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    net = symcnn.from_torch(Function(forward), "1 3 H W")
    for h in range(1, 9):
        for w in (3, 10):
            try:
                shape = tuple(forward(torch.zeros(1, 3, h, w)).shape)
            except (IndexError, RuntimeError):
                assert (h, w) not in net.valid_inputs(), (h, w)
            else:
                assert net.shape_at(H=h, W=w) == shape


def test_a_part_of_what_is_repeated_does_not_run_on() -> None:
    """Of 0 1 2 3 0 1 2 3 the last three are 1 2 3."""
    net = symcnn.from_torch(Function(lambda x: x.new_zeros(4)[rows(x).repeat(2)[5:]]), "1 3 H 4")
    assert net.shape_at(H=4) == (3,)


FROM_THE_END: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gather": lambda x: x.gather(2, places([1, 3, 1, 1], -1)),
    "take_along_dim": lambda x: torch.take_along_dim(x, torch.tensor([-1])),
    "index_add": lambda x: x.index_add(2, torch.tensor([-1]), x[:, :, :1]),
    "embedding_bag": lambda x: F.embedding_bag(torch.tensor([[-1]]), x[0, 0]),
    "classes": lambda x: F.nll_loss(x[0, 0], places([x.shape[2]], -1)),
}


@pytest.mark.parametrize("forward", FROM_THE_END.values(), ids=FROM_THE_END)
def test_no_place_is_counted_from_the_end_where_torch_counts_none(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    with pytest.raises((IndexError, RuntimeError)):
        forward(torch.zeros(1, 3, 4, 5))
    with pytest.raises(symcnn.SymcnnError, match="an index must lie within the axis"):
        symcnn.from_torch(Function(forward), "1 3 H W")


def test_the_judge_knows_a_refusal_for_values_from_one_for_shapes() -> None:
    """On meta torch looks at no values: in a tensor, in a list. A number is checked there too."""

    def verdict(forward: Callable[[torch.Tensor], torch.Tensor]) -> tuple[bool, bool]:
        module = Function(forward)
        found = judge(symcnn.from_torch(module, "1 3 H 4"), module, {"H": 3}, device="meta")
        assert found.ours is None
        return found.agree, found.by_values

    assert verdict(lambda x: x.index_fill(2, torch.tensor([5], device=x.device), 0.0)) == (
        False,
        True,
    )
    assert verdict(lambda x: x[:, :, [0, 5]]) == (False, True)
    assert verdict(lambda x: x[:, :, 5]) == (True, False)


def written_at_a_list(x: torch.Tensor) -> torch.Tensor:
    x = x * 1
    x[[0, slice(0, 2)]] = x[0, :2]
    return x


LISTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "slices": lambda x: x[[slice(None), slice(0, 2), slice(0, x.shape[2], 2)]],
    "a new axis": lambda x: x[[None, slice(1, None)]],
    "dots": lambda x: x[[..., 0]],
    "numbers": lambda x: x[[0, 0]],
    "numbers of numpy": lambda x: x[[*numpy.zeros(2, int)]],
    "a number and a slice": lambda x: x[[0, slice(None)]],
    "lists": lambda x: x[[[0], [1], [2, 3]]],
    "tuples": lambda x: x[[(0, 0), (1, 2)]],
    "tensors": lambda x: x[[torch.tensor([0]), torch.tensor([1, 2])]],
    "32 lists": lambda x: x[[[0]] * 32],
    "nothing": lambda x: x[[]],
    "a range": lambda x: x[:, range(2)],
    "a view of a list": lambda x: (v := x * 1, v[[slice(None), 0]].mul_(x.mean()), v)[2],
    "written": written_at_a_list,
    "put": lambda x: (x * 1).index_put_([torch.tensor([0]), torch.tensor([3])], x.sum()),
    "put by name": lambda x: torch.index_put(
        x, indices=[torch.tensor([0]), torch.tensor([3])], values=x.sum()
    ),
}


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("function", LISTS.values(), ids=LISTS)
def test_a_list_of_which_an_item_is_no_number_is_an_index_per_axis(
    function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    net = symcnn.from_torch(Function(function), "N 4 H W")
    for n, h, w in ((1, 6, 6), (2, 7, 5), (3, 4, 8)):
        assert net.shape_at(N=n, H=h, W=w) == tuple(function(torch.rand(n, 4, h, w)).shape)


def test_a_symbolic_tensor_takes_a_list_of_slices_for_an_index_per_axis() -> None:
    assert str(symcnn.tensor("N 4 H W")[[slice(None), slice(0, 2)]].shape) == "(N, 2, H, W)"


def test_the_judge_knows_it_of_an_index_that_may_be_empty() -> None:
    def from_3(x: torch.Tensor) -> torch.Tensor:
        return x.index_select(2, torch.arange(x.shape[3], device=x.device)[3:])

    module = Function(from_3)
    found = judge(symcnn.from_torch(module, "1 3 H W"), module, {"H": 4, "W": 5}, device="meta")
    assert (found.ours, found.agree, found.by_values) == (None, False, True)


class Held(nn.Module):
    """With an index among its buffers."""

    def __init__(self, index: torch.Tensor, run: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.register_buffer("index", index)
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x, self.index)


def test_the_numbers_in_a_buffer_must_be_places_of_the_axis_that_they_index() -> None:
    net = symcnn.from_torch(Held(torch.arange(20) % 16, lambda x, i: x[..., i]), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 1 and W >= 16"


def of_types(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """As BERT looks up that all of its tokens are of the first type."""
    places = index[:, : x.shape[2]]
    types = torch.zeros(1, 512, dtype=torch.long).expand(x.shape[0], -1)
    return F.embedding(torch.gather(types, 1, places), x.new_zeros(1, 4))


SLICES: dict[str, tuple[torch.Tensor, Callable[..., torch.Tensor], str]] = {
    "of a table": (
        torch.arange(512)[None],
        lambda x, i: F.embedding(i[:, : x.shape[2]], x.new_zeros(9, 4)),
        "1 <= H <= 9 and W >= 1",
    ),
    "from a place on": (
        torch.arange(512),
        lambda x, i: x.new_zeros(9)[i[2 : x.shape[2]]],
        "1 <= H <= 9 and W >= 1",
    ),
    "along two axes": (
        torch.arange(600).view(20, 30),
        lambda x, i: x.new_zeros(100)[i[: x.shape[2], :20]],
        "1 <= H <= 3 and W >= 1",
    ),
    "of tokens": (torch.arange(512)[None], of_types, "H >= 1 and W >= 1"),
}


@pytest.mark.parametrize("name", SLICES)
def test_a_part_of_a_buffer_that_a_size_ends_is_followed(name: str) -> None:
    index, run, domain = SLICES[name]
    net = symcnn.from_torch(Held(index, run), "1 3 H W")
    assert net.checks == ()
    for h in range(1, 14):
        try:
            run(torch.zeros(1, 3, h, 2), index)
        except IndexError:
            assert (h, 2) not in net.valid_inputs()
        else:
            assert (h, 2) in net.valid_inputs()
    assert str(net.valid_inputs()) == domain


def test_a_buffer_that_the_forward_writes_to_has_its_last_numbers() -> None:
    def run(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        index.fill_(3)
        return x[..., index]

    net = symcnn.from_torch(Held(torch.arange(20), run), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 1 and W >= 4"


def test_the_bounds_of_a_slice_that_is_written_to_may_be_numbers_of_a_buffer() -> None:
    """As e2cnn normalizes fields of a kind, which lie side by side."""

    def run(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        y = torch.empty_like(x)
        y[:, index[0] : index[1]] = x[:, :4]
        return y

    net = symcnn.from_torch(Held(torch.tensor([2, 6]), run), "N 8 H W")
    assert [node.op for node in net.nodes][-1] == "setitem"
    assert net.output_shape[1] == 8


@pytest.mark.parametrize("name", ["mul", "add", "maximum", "minimum"])
@pytest.mark.parametrize("places", [1, 3])
def test_numbers_beside_a_tensor_of_which_nothing_is_told(name: str, places: int) -> None:
    def run(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = getattr(torch, name)(x[:1, :places].long(), index)
        return made

    net = symcnn.from_torch(Held(torch.arange(places), run), "N 4")
    assert net.output_shape == (1, places)


OF_TRIANGLES: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "tril_indices": lambda x, k: torch.tril_indices(x.shape[0], x.shape[1], k),
    "triu_indices": lambda x, k: torch.triu_indices(x.shape[0], x.shape[1], k),
    "triu_indices by a size": lambda x, k: torch.triu_indices(
        x.shape[0], x.shape[1], x.shape[0] - 2 * k
    ),
    "diagonal": lambda x, k: x.diagonal(k),
    "diag by a size": lambda x, k: torch.diag(x, x.shape[0] - k),
    "diag by a size below": lambda x, k: torch.diag(x, k - x.shape[1]),
    "diag_embed by a size": lambda x, k: torch.diag_embed(x, x.shape[0] + k),
}


@pytest.mark.parametrize("name", OF_TRIANGLES)
@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 4])
def test_a_triangle_and_a_diagonal_have_a_formula(name: str, offset: int) -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return OF_TRIANGLES[name](x, offset)

    net = symcnn.from_torch(Function(forward), "H W")
    assert net.complete
    for h in range(1, 7):
        for w in range(1, 7):
            assert net.shape_at(H=h, W=w) == tuple(forward(torch.zeros(h, w)).shape), (h, w)


def test_the_pairs_of_a_row_are_a_polynomial() -> None:
    net = symcnn.from_torch(
        Function(lambda x: torch.triu_indices(x.shape[0], x.shape[0], 1)), "T C"
    )
    assert str(net.output_shape[1]) == "T**2/2 - T/2"


def test_a_slice_between_places_that_a_tensor_holds_depends_on_values() -> None:
    class Glimpse(nn.Module):
        def forward(self, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            start = place.long()[0]
            return x[0, :, start : start + 8]

    with pytest.raises(symcnn.DataDependent, match="how long it is depends on the values"):
        symcnn.from_torch(Glimpse(), "N 3 L", "N")


def test_the_line_of_an_index_whose_numbers_are_not_followed_is_said() -> None:
    """Torch checks them when it runs, as it does those that an input decides."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(x.shape[2])
        x = x[:, :, rows]
        return x[:, :, rows ^ 1]

    def by_a_number(x: torch.Tensor) -> torch.Tensor:
        return x[:, :, torch.arange(x.shape[2]).bool().sum()]

    for made in (forward, by_a_number):
        checks = symcnn.from_torch(Function(made), "N 3 H W").checks
        assert [line.rpartition(":")[0] for line in checks] == [__file__]
    assert (
        symcnn.from_torch(Function(lambda x: x[:, :, x[0, 0, 0].argsort()]), "2 3 9 9").checks == ()
    )


class Crops(nn.Module):
    """Crops of several sizes, those of one size at once, as DINO and SwAV take them."""

    def forward(self, *crops: torch.Tensor) -> torch.Tensor:
        widths = torch.tensor([crop.shape[-1] for crop in crops])
        ends = torch.cumsum(torch.unique_consecutive(widths, return_counts=True)[1], 0)
        start, found = 0, []
        for end in ends:
            found.append(torch.cat(crops[start:end]).mean((2, 3)))
            start = end
        return torch.stack([f.sum() for f in found])


def test_crops_of_several_sizes_are_grouped_at_all_sizes() -> None:
    net = symcnn.from_torch(Crops(), "N 3 H W", "N 3 H W", "N 3 h w")
    assert net.complete
    for h, w in ((5, 7), (5, 4), (3, 7), (5, 9)):
        crops = torch.zeros(2, 3, 5, 7), torch.zeros(2, 3, 5, 7), torch.zeros(2, 3, h, w)
        sizes = {"N": 2, "H": 5, "W": 7, "h": h, "w": w}
        try:
            want = tuple(Crops()(*crops).shape)
        except RuntimeError:
            with pytest.raises(symcnn.SymcnnError):
                net.shape_at(**sizes)
            continue
        assert net.shape_at(**sizes) == want


def test_each_of_some_sizes_once_is_a_branch_per_order() -> None:
    class Once(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sides, places, counts = torch.unique(
                torch.tensor(x.shape[2:]), return_inverse=True, return_counts=True
            )
            return torch.zeros(*sides.tolist(), int(places[0]) + 1, int(counts[0]))

    net = symcnn.from_torch(Once(), "N 3 H W")
    assert net.complete
    for h, w in ((3, 4), (4, 3), (3, 3)):
        assert net.shape_at(N=1, H=h, W=w) == tuple(Once()(torch.zeros(1, 3, h, w)).shape)


MOVED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "movedim": lambda i: i[None].movedim(0, 1)[:, 0],
    "moveaxis": lambda i: torch.moveaxis(i[None], (1,), (0,))[:, 0],
    "the last two axes": lambda i: i[None].mT[:, 0],
    "all axes": lambda i: i[:, None].T[0],
    "conjugated": lambda i: i[:, None].mH[0],
    "adjoint": lambda i: i[:, None].adjoint()[0],
    "columns from the right": lambda i: i[None].fliplr()[0],
    "rows from below": lambda i: i[:, None].flipud()[:, 0],
    "turned": lambda i: torch.rot90(i[None], 3)[:, 0],
    "a part": lambda i: i.narrow(0, 1, i.shape[0] - 1),
    "a place": lambda i: i[None].select(0, 0),
    "half of them": lambda i: i.chunk(2)[-1],
    "the second half": lambda i: i.tensor_split((1,))[1],
    "of an axis": lambda i: i[:, None].unbind(1)[0],
}


@pytest.mark.parametrize("move", MOVED.values(), ids=MOVED)
def test_positions_go_where_their_axes_go(
    move: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    test_numbers_in_a_tensor_must_be_places_of_the_axis(
        lambda x: x[:, :, move(torch.arange(x.shape[3])) + 1]
    )


@pytest.mark.parametrize("move", MOVED.values(), ids=MOVED)
def test_sizes_in_a_tensor_go_where_their_axes_go(
    move: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    net = symcnn.from_torch(
        Function(lambda x: x.new_zeros(int(move(torch.tensor([9, *x.shape[2:], 7]))[1]))), "N 3 H W"
    )
    sizes = torch.tensor([9, 4, 5, 7])
    assert net.complete
    assert net.shape_at(N=1, H=4, W=5) == (int(move(sizes)[1]),)
