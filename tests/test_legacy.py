"""How tensors were made before `torch.tensor`: networks of those years still run."""

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import FloatTensor, nn
from torch.autograd import Variable

import symcnn
from symcnn.judge.oracles import torch_peak
from tests.corpus.forwards import Function

from .corpus.memory import agree

SIZES = {"N": 2, "H": 5, "W": 7}

MADE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Variable of an input": lambda x: Variable(x) * 2,
    "a deep copy of a tensor": lambda x: copy.deepcopy([x, x])[1] + x,
    "a copy of a tensor": lambda x: copy.copy(x) + x,
    "Variable of sizes": lambda x: Variable(torch.zeros(x.size(0), x.size(2))),
    "Variable by its full name": lambda x: torch.autograd.Variable(torch.randn(x.size())),
    "Variable of sizes of an old class": lambda x: Variable(torch.FloatTensor(x.shape[2], 2)),
    "an old class, of sizes": lambda x: torch.LongTensor(x.size(0), x.size(3)),
    "an old class, of a shape": lambda x: torch.FloatTensor(x.size()),
    "Tensor, of a shape": lambda x: torch.Tensor(x.shape[2:]),
    "an old class, of numbers": lambda x: x[..., :2] / FloatTensor([x.shape[2], x.shape[3]]),
    "Tensor, of halves": lambda x: x[..., :2] - torch.Tensor([(x.shape[2] - 1) / 2.0, 1]),
    "an old class, of numbers that are read": lambda x: torch.zeros(
        *torch.IntTensor([x.shape[2] // 2, 3]).tolist()
    ),
    "new, of sizes": lambda x: x.new(x.size(0), x.size(2)).zero_(),
    "new, of a shape": lambda x: x.new(x.shape),
    "new, of a size by name": lambda x: x.new(size=(x.shape[3], 2)),
    "new, of nothing": lambda x: x.new(),
    "new, of values": lambda x: x.long().new([x.shape[2], 3]),
    "new, of a tuple of values": lambda x: x.new(tuple(x.shape)),
    "new, of an array": lambda x: x.new(np.ones((2, 3))),
    "new, of a tensor": lambda x: x.new(torch.ones(4)),
    "new, of data": lambda x: x.data.new(x.shape[2]),
    "new, of a tensor with values": lambda x: torch.ones(2).double().new(x.shape[2], 4),
    "new, resized": lambda x: x.data.new().resize_((1, 1, *x.shape[2:])).fill_(1.0) + x,
    "new, resized to sizes": lambda x: x.new().resize_(x.size(0), x.shape[3]),
    "new, resized as another": lambda x: x.new().resize_as_(x).copy_(x).view(-1),
    "Tensor of nothing, resized": lambda x: torch.Tensor().resize_(x.size()).copy_(x),
    "of the same size, resized": lambda x: x.clone().resize_(x.size()),
    "tensor, of an array of sizes": lambda x: torch.tensor(np.array([x.shape[2], x.shape[3]])),
    "tensor, of an array of halves": lambda x: torch.tensor(np.array([x.shape[2] / 2, x.shape[3]])),
    "from_numpy, of sizes": lambda x: torch.from_numpy(np.array(x.shape[2:])),
    "from_numpy, of sizes as floats": lambda x: torch.from_numpy(np.array([x.shape[3]], float)),
    "as_tensor, of sizes that become floats": lambda x: torch.as_tensor(
        np.array(x.shape[2:]).astype(np.float64)
    ),
    "as_tensor, of sizes as small numbers": lambda x: torch.as_tensor(
        np.asarray(x.shape[2:], dtype=np.int32)
    ),
    "zeros, of quotients rounded up": lambda x: torch.zeros(
        tuple(np.ceil(np.array(x.shape[2:]) / 4).astype(int))
    ),
    "as_tensor, of small sizes and a number": lambda x: torch.as_tensor(
        np.array([x.shape[3]], np.int32) + 1
    ),
    "zeros, of the least of sizes": lambda x: torch.zeros(np.array(x.shape[2:]).min() // 2),
    "an old class, of an array of sizes": lambda x: FloatTensor(np.asarray([[x.shape[3]], [2]])),
    "new_tensor, of an array": lambda x: x.new_tensor(np.ones((2, 3), dtype=np.int32)),
    "from_numpy, of an array of sizes": lambda x: torch.from_numpy(np.zeros(x.shape[2:])),
    "from_numpy, of a size": lambda x: torch.from_numpy(np.ones(x.shape[2], dtype="int32") + 1),
    "a causal mask": lambda x: torch.from_numpy(
        np.triu(np.ones((1, x.shape[2], x.shape[3])), k=1).astype("uint8")
    ).eq(0),
    "a mask that is turned": lambda x: torch.from_numpy(np.tril(np.full(x.shape[2:], 2)).T[None]),
    "tensor, of an array less than a number": lambda x: torch.tensor(np.ones(x.shape[2:]) < 0.5),
    "tensor, of 1 less an array": lambda x: torch.tensor(1 - np.ones(x.shape[2:], np.uint8)),
    "tensor, of whole numbers that are divided": lambda x: torch.tensor(
        np.ones(x.shape[1], int) / 2
    ),
    "as_tensor, of an array, as another type": lambda x: torch.as_tensor(
        np.ones(x.shape[2:]), dtype=torch.float16
    ),
    "Tensor, of an array of sizes": lambda x: torch.Tensor(np.full(x.shape[2:], 3)),
    "an old class, of a kind of array": lambda x: torch.zeros(
        isinstance(np.ones(x.shape[2:]), np.ndarray) + 3
    ),
}


def _start(size: Any) -> torch.Tensor:
    mask = np.ones(size).astype(np.float32)
    mask[0] = 0
    return torch.from_numpy(mask)


def _cut(x: torch.Tensor) -> torch.Tensor:
    mask = np.triu(np.ones(x.shape[2:]))
    mask[:, 1:-1] = 2
    return x * torch.tensor(mask)


MADE["an array with a number written into it"] = lambda x: _start(x.shape[2] * x.shape[3])
MADE["a triangle with numbers written into it"] = _cut


class Makes(nn.Module):
    """What a forward makes of its input."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return MADE[self.name](x)


@pytest.mark.parametrize("name", MADE)
def test_tensors_made_the_old_way_have_the_shape_and_dtype_that_torch_gives(name: str) -> None:
    net = symcnn.from_torch(Makes(name), "N 3 H W")
    want = Makes(name)(torch.zeros(2, 3, 5, 7))
    assert net.complete
    assert net.shape_at(**SIZES) == tuple(want.shape)
    assert net.output_tensors[0].dtype == str(want.dtype).removeprefix("torch.")


def test_an_array_of_sizes_in_single_precision_rounds_as_numpy_does() -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scale = np.array([x.shape[3], x.shape[2]], dtype=np.float32)
            boxes = torch.from_numpy(scale) * x.mean((1, 2))[:, :2]
            return boxes[:, : int((scale * np.float32(0.7))[0])]

    net = symcnn.from_torch(Scaled(), "N 3 H W")
    for w in (2, 3, 10, 30):
        assert net.shape_at(N=2, H=5, W=w) == tuple(Scaled()(torch.zeros(2, 3, 5, w)).shape)


def _anchors(x: torch.Tensor) -> torch.Tensor:
    """Places of a map, four numbers each, as Faster R-CNN shifts its boxes."""
    columns, rows = np.meshgrid(np.arange(0, x.shape[3]) * 8, np.arange(0, x.shape[2]) * 8)
    flat = (columns.ravel(), rows.ravel(), columns.ravel(), rows.ravel())
    shifts = np.vstack(flat).transpose()
    boxes = np.ones((9, 4)) + shifts.reshape((1, shifts.shape[0], 4)).transpose((1, 0, 2))
    return torch.from_numpy(boxes.reshape(-1, 4).astype(np.float32))


def _levels(image: torch.Tensor) -> torch.Tensor:
    """Places of three levels, as RetinaNet lays its anchors on them."""
    every = np.zeros((0, 2)).astype(np.float32)
    for level in (3, 4, 5):
        h, w = (np.array(image.shape[2:]) + 2**level - 1) // 2**level
        grid = np.meshgrid((np.arange(0, w) + 0.5) * 2**level, (np.arange(0, h) + 0.5) * 2**level)
        places = np.vstack([axis.ravel() for axis in grid]).transpose()
        every = np.append(every, np.repeat(places, 9, axis=0), axis=0)
    return torch.from_numpy(np.expand_dims(every, axis=0).astype(np.float32))


def _mirrored(w: int) -> Any:
    """Places of a row that is mirrored at its borders, as measures of image quality pad."""
    places = np.arange(-2, w + 3)
    rest = np.fmod(places + 0.5, 2.0 * w)
    rest = np.where(rest < 0, rest + 2.0 * w, rest)
    return np.array(np.where(rest >= w, 2.0 * w - rest, rest) - 0.5, dtype=places.dtype)


def _waves(x: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of places."""
    angles = np.arange(x.shape[3])[:, None] / 10000 ** (np.arange(4)[np.newaxis] / 4)
    return torch.tensor(np.concatenate([np.sin(angles), np.cos(angles)], axis=1))


def _written(x: torch.Tensor) -> torch.Tensor:
    """Zeros at places that numpy names."""
    made = x.clone()
    made[np.array([1])] = 0.0
    return made


def _reflected(rows: int) -> Any:
    """Rows beside a map, as a transform that mirrors its borders reads them."""
    places = np.asanyarray(np.arange(-3, rows + 3)) + 0.5
    within = np.fmod(places, 2 * rows)
    within = np.where(within < 0, within + 2 * rows, within)
    return (np.where(within >= rows, 2 * rows - within, within) - 0.5).astype(int)


def _framed(x: torch.Tensor) -> torch.Tensor:
    """A mask with numbers written between sizes."""
    mask = np.zeros(x.shape[2:])
    mask[x.shape[2] // 4 :, : x.shape[3] // 2] = 1
    return x * torch.from_numpy(mask).float()


GRIDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "numbers between two": lambda x: x * torch.from_numpy(np.linspace(0, 1, x.shape[3])).float(),
    "numbers between sizes": lambda x: torch.tensor(
        np.linspace(x.shape[2] / 2, x.shape[3], 2 * x.shape[2] + 1, dtype=np.float32)
    ),
    "without the last": lambda x: torch.tensor(np.linspace(-1, 1, num=x.shape[3], endpoint=False)),
    "columns repeated": lambda x: torch.tensor(
        np.linspace(0, x.size(3) - 1, x.size(3)).repeat(x.size(2), 0)
    ),
    "a range": lambda x: torch.tensor(np.arange(x.shape[3])) / x.shape[3],
    "a range of floats": lambda x: torch.tensor(np.arange(x.shape[3], dtype=np.float32)) * 2,
    "a range in steps": lambda x: torch.from_numpy(np.arange(1, x.shape[3], 2, dtype="int32")),
    "a range of none": lambda x: torch.from_numpy(np.arange(x.shape[2] + 9, x.shape[2])),
    "a range as an index": lambda x: x[:, :, torch.from_numpy(np.arange(0, x.shape[2], 2))],
    "a range as an index of its own": lambda x: x[:, :, np.arange(1, x.shape[2])],
    "a grid": lambda x: torch.from_numpy(
        np.stack(np.meshgrid(np.arange(x.shape[3]), np.linspace(-1, 1, x.shape[2])))
    ),
    "a grid, rows first": lambda x: torch.from_numpy(
        np.meshgrid(np.arange(x.shape[2]), np.arange(4.0), indexing="ij")[1]
    ),
    "sums along two axes": lambda x: torch.tensor(
        np.arange(x.shape[2])[:, None] + np.arange(x.shape[3]) - x.shape[2]
    ),
    "powers and roots": lambda x: torch.tensor(np.sqrt(np.arange(x.shape[3]) ** 2 + 1) > 2),
    "halves less a half": lambda x: torch.tensor(np.arange(x.shape[2]) - 0.5),
    "the smaller": lambda x: torch.tensor(np.minimum(np.arange(x.shape[3]), x.shape[2])),
    "in a table": lambda x: torch.from_numpy(
        np.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2], x.shape[3])
    ),
    "remainders": lambda x: torch.tensor(np.fmod(np.arange(x.shape[3]), x.shape[2] / 2)),
    "angles": lambda x: torch.tensor(np.arctan2(np.arange(x.shape[3]), 1.0 * x.shape[2])),
    "mirrored": lambda x: x[..., _mirrored(x.shape[3])],
    "places of the first axis": lambda x: x[np.array([1, 0])],
    "a mask of the first axis": lambda x: x[0][np.array([True, False, True])],
    "written at places": lambda x: _written(x),
    "tiled": lambda x: torch.from_numpy(np.tile(np.arange(x.shape[3]), (x.shape[2], 1))),
    "along one axis": lambda x: torch.from_numpy(np.ones((x.shape[2], 3)).flatten()),
    "a part": lambda x: torch.from_numpy(np.arange(x.shape[3])[1:-1].copy()),
    "an identity": lambda x: torch.from_numpy(np.eye(x.shape[2], dtype=np.float32)),
    "an array of its own beside": lambda x: torch.tensor(
        np.concatenate([np.arange(x.shape[2]), np.ones(3)])
    ),
    "anchors": _anchors,
    "levels": _levels,
    "centres": lambda x: torch.from_numpy(np.arange(4.0, x.shape[2], 8)),
    "centres of quarters": lambda x: torch.from_numpy(np.arange(0.125, x.shape[2], 0.25)),
    "a size less places": lambda x: torch.from_numpy(x.shape[2] - np.arange(x.shape[2])),
    "a size less numbers": lambda x: torch.tensor(x.shape[2] - np.array([1, 2])),
    "1 less truths": lambda x: torch.from_numpy(1 - (np.arange(x.shape[2]) > 2)),
    "one column": lambda x: torch.from_numpy(np.ones((x.shape[2], 2))[:, 1]),
    "axes in each other's place": lambda x: torch.from_numpy(
        np.swapaxes(np.empty((x.shape[2], 3)), 0, 1)
    ),
    "as many as an array": lambda x: torch.zeros(len(np.arange(x.shape[2])), 2),
    "a kernel between two": lambda x: nn.functional.avg_pool2d(
        x, int(np.linspace(1, min(x.shape[2:]), 4, dtype=int)[2])
    ),
    "waves": _waves,
    "written between sizes": _framed,
    "a grid of slices": lambda x: torch.from_numpy(
        np.stack([*np.mgrid[1 : x.shape[2] + 1 : 2, : x.shape[3]]])
    ),
    "a grid of one slice": lambda x: torch.from_numpy(np.mgrid[: x.shape[2]]),
    "indices": lambda x: torch.from_numpy(np.indices((x.shape[2], x.shape[3], 2)).reshape(3, -1).T),
    "rows and columns of indices": lambda x: torch.from_numpy(
        np.add(*np.indices((x.shape[2], x.shape[3])))
    ),
    "reflected": lambda x: x[:, :, torch.from_numpy(_reflected(x.shape[2]))],
    "rolled": lambda x: torch.from_numpy(np.roll(np.ascontiguousarray(np.arange(x.shape[2])), 1)),
    "truths of two": lambda x: torch.from_numpy(
        np.logical_and(np.arange(x.shape[2]) > 1, np.copy(np.arange(x.shape[2])) < 4)
    ),
    "one or the other": lambda x: torch.from_numpy(
        np.where(np.arange(x.shape[3]) % 2 == 0, np.arange(x.shape[3]), 0.5)
    ),
    "the larger of two sizes": lambda x: nn.functional.interpolate(
        x, size=int(np.where(x.shape[2] > x.shape[3], x.shape[2], x.shape[3]))
    ),
    "five places, as an index": lambda x: x[
        :, :, torch.from_numpy(np.linspace(0, x.shape[2] - 1, 5).astype(int))
    ],
    "five rounded places, as an index of its own": lambda x: x[
        :, :, np.round(np.linspace(0, x.shape[2] - 1, 5)).astype(np.int64)
    ],
}


@pytest.mark.parametrize("name", GRIDS)
def test_grids_that_numpy_makes_are_followed_at_every_size(name: str) -> None:
    net = symcnn.from_torch(Function(GRIDS[name]), "N 3 H W")
    assert net.complete
    for h, w in ((2, 3), (5, 7), (8, 4), (1, 2)):
        want = GRIDS[name](torch.zeros(2, 3, h, w))
        assert net.shape_at(N=2, H=h, W=w) == tuple(want.shape)
        assert net.output_tensors[0].dtype == str(want.dtype).removeprefix("torch.")


NAMED: dict[str, Callable[[int], Any]] = {
    "a list": lambda n: np.vstack(tup=[np.ones(n), np.zeros(n)]),
    "an axis": lambda n: np.concatenate([np.ones((2, n)), np.ones((3, n))], axis=0),
    "arrays beside": lambda n: np.hstack(tup=(np.ones(n), np.ones(3))),
    "columns": lambda n: np.column_stack(tup=(np.ones(n), np.ones(n))),
    "an array": lambda n: np.transpose(a=np.ones((n, 2))),
    "a count": lambda n: np.repeat(a=np.ones(n), repeats=2),
}


@pytest.mark.parametrize("name", NAMED)
def test_functions_of_numpy_take_arguments_by_name(name: str) -> None:
    net = symcnn.from_torch(
        Function(lambda x: torch.from_numpy(NAMED[name](x.shape[2]))), "N 3 H W"
    )
    assert net.complete
    for height in (1, 2, 7):
        assert net.shape_at(N=1, H=height, W=4) == NAMED[name](height).shape


def test_what_numpy_works_out_is_no_work_of_the_network() -> None:
    net = symcnn.from_torch(Function(_levels), "N 3 H W")
    assert [node.op for node in net.nodes] == ["empty"]
    assert net.validate(Function(_levels), device="cpu", samples=2)


def test_what_numpy_refuses_is_refused() -> None:
    def both(x: torch.Tensor) -> torch.Tensor:
        arrays = np.ones((x.shape[2], 2)), np.zeros((x.shape[3], 2))
        return torch.from_numpy(np.concatenate(arrays, axis=1))

    assert str(symcnn.from_torch(Function(both), "N 3 H W").valid_inputs()) == "H >= 1 and H == W"


@pytest.mark.filterwarnings("ignore:__array_wrap__")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("name", "add sub mul truediv floordiv pow matmul eq iadd imul".split())
def test_a_tensor_beside_an_array_is_what_numpy_makes_of_both(name: str, dtype: str) -> None:
    function: Callable[[torch.Tensor, Any], torch.Tensor] = getattr(operator, name)

    def of_sizes(x: torch.Tensor) -> torch.Tensor:
        return function(x * 1, np.ones((x.shape[3], x.shape[2]), dtype))

    def of_numbers(x: torch.Tensor) -> torch.Tensor:
        return function(x * 1, np.ones((5, 1, 7, 7), dtype))

    for forward in (of_sizes, of_numbers):
        net, want = (
            symcnn.from_torch(Function(forward), "1 3 H 7"),
            forward(torch.zeros(1, 3, 7, 7)),
        )
        assert net.complete
        assert net.output_tensors[0].dtype == str(want.dtype).removeprefix("torch.")
        assert net.shape_at(H=7) == tuple(want.shape)


def test_an_array_beside_a_tensor_is_refused_as_torch_refuses_it() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return np.ones(x.shape[2:]) * x  # type: ignore[return-value]

    with pytest.raises(TypeError):
        forward(torch.zeros(1, 3, 5, 3))
    with pytest.raises(symcnn.SymcnnError):
        symcnn.from_torch(Function(forward), "N 3 H W")


def test_a_size_in_a_function_of_numpy_that_is_not_followed_is_a_number() -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.from_numpy(np.heaviside(np.arange(x.shape[3]), x.shape[3] / 2))

    net = symcnn.from_torch(Steps(), "N 3 H W", example={"H": 8, "W": 9})
    assert net.valid_inputs().axis("W").words() == "W == 9"
    assert not net.complete


def test_a_size_that_numpy_needs_as_a_number_is_asked_for_in_a_line_of_the_model() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x * torch.from_numpy(np.hanning(x.shape[3])).float()

    net = symcnn.from_torch(Function(forward), "N 3 H W")
    assert {left.where_in_code.rpartition(":")[0] for left in net.unfollowed} == {__file__}


def test_an_array_whose_shape_was_read_holds_what_is_written_to_it() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        mask = np.zeros(x.shape[2:])
        mask[: mask.shape[0] // 2] = 1
        return x[..., : int(mask.sum())]

    net = symcnn.from_torch(Function(forward), "N 3 H W", example={"H": 4, "W": 20})
    assert net.shape_at(N=1, H=4, W=20) == (1, 3, 4, 20)
    assert net.shape_at(N=1, H=2, W=3) == (1, 3, 2, 3)


@pytest.mark.parametrize(
    "look",
    [
        lambda m: m.sum(),
        lambda m: m[0],
        lambda m: m[:, 1:].T,
        lambda m: m / m,
        lambda m: m.astype(int) * 0.5,
        lambda m: np.where(m > 0, m, -m),
        lambda m: [row[-1] for row in m],
        lambda m: np.concatenate([m, m]),
        lambda m: np.concatenate([m, m], axis=None),
        lambda m: np.stack([m, m], axis=0, out=np.zeros((2, *m.shape))),
        lambda m: m.reshape(-1, order="F"),
        lambda m: np.reshape(m, (-1, 1), order="F"),
        lambda m: m.astype("float32", copy=False),
        lambda m: np.transpose(m, axes=(1, 0)),
        lambda m: m.repeat(2, axis=1).copy(order="F"),
        lambda m: np.add(m, 1, dtype=np.float32),
        lambda m: np.add.reduce(m),
        lambda m: np.sum(m, axis=0),
        lambda m: np.modf(m)[0],
        lambda m: np.tile(m, reps=2),
        lambda m: np.add(m, m, out=m * 1),
        lambda m: -m @ m.T,
    ],
)
def test_an_array_that_is_looked_into_holds_at_one_size_and_is_right_at_each(look: Any) -> None:
    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum() * torch.tensor(look(np.ones(x.shape[2:])))

    net = symcnn.from_torch(Looks(), "N 3 H W", example={"H": 6, "W": 9})
    for h, w in ((6, 9), (2, 3)):
        want = Looks()(torch.zeros(1, 3, h, w))
        assert net.shape_at(N=1, H=h, W=w) == tuple(want.shape)
        (made,) = net.given(N=1, H=h, W=w).output_tensors
        assert made.dtype == str(want.dtype).removeprefix("torch.")


def test_an_array_that_torch_took_and_is_written_to_holds_at_one_size() -> None:
    class Writes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = np.ones(x.shape[2:])
            taken = torch.from_numpy(mask.T)
            mask[0] = 0
            return x[..., : int(taken.sum())]

    net = symcnn.from_torch(Writes(), "N 3 H W", example={"H": 2, "W": 3})
    assert not net.complete
    assert net.shape_at(N=1, H=2, W=4) == (1, 3, 2, 4)
    assert net.shape_at(N=1, H=1, W=4) == (1, 3, 1, 0)


def test_an_array_is_made_of_another_as_that_was_before_a_write() -> None:
    class Writes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = np.ones(x.shape[2:])
            before, view = mask + 1, mask.T
            turned = mask.T.astype(int)
            mask[0] = 7
            return x[..., : int(before[0, 0] + view[0, 0] + turned[0, 0])]

    net = symcnn.from_torch(Writes(), "N 3 H W", example={"H": 4, "W": 20})
    assert net.shape_at(N=1, H=4, W=20) == (1, 3, 4, 10)


def test_what_has_elements_is_not_resized() -> None:
    class Resizes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2).resize_(1, 3)

    with pytest.raises(symcnn.UnsupportedOperation, match="resize_ of a tensor that has elements"):
        symcnn.from_torch(Resizes(), "N 3 H W")


def test_the_peak_counts_memory_that_is_resized_later() -> None:
    class Resizes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.new()
            return y.resize_as_(x).copy_(x)

    report = symcnn.from_torch(Resizes(), "N 3 H W").validate(Resizes(), samples=2)
    assert report, report


@pytest.mark.parametrize(
    "made",
    [
        lambda: FloatTensor([[1.0] * 16] * 16),
        lambda: torch.from_numpy(np.ones((16, 16), np.float32)),
        lambda: torch.tensor([[1.0] * 16] * 16),
    ],
)
def test_what_becomes_a_tensor_is_let_go_where_python_lets_go(made: Callable[[], Any]) -> None:
    model = Function(lambda x: torch.pow(x - made(), 2))
    ours = symcnn.from_torch(model, "N 3 16 16").cost().at(N=1).peak
    assert ours == torch_peak(model, model, [torch.zeros(1, 3, 16, 16)])[0] == 3 * 3072


@pytest.mark.filterwarnings("ignore:non-inplace resize")
@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.select(2, 0).resize(x.shape[0], 3, 1, x.shape[3]) * 2,
        lambda x: x.transpose(1, 2).resize_as(x) * 2,
    ],
)
def test_resize_of_old_is_a_view_of_as_many_elements(forward: Callable[..., Any]) -> None:
    model = Function(forward)
    net = symcnn.from_torch(model, "N 3 H W")
    assert net.validate(model, "cpu", samples=4)
    agree(model, "N 3 H W", net=net, **SIZES)
    with pytest.raises(symcnn.SymcnnError, match="a size is below 0"):
        symcnn.from_torch(Function(lambda x: x.resize(x.shape[0], -1)), "N 3 H W")


def test_new_takes_no_float() -> None:
    class Fails(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.new(2.5)

    with pytest.raises(symcnn.SymcnnError, match="data must be a sequence"):
        symcnn.from_torch(Fails(), "N 3 H W")


def test_no_gradient_passes_a_variable() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(Variable(self.first(x).sigmoid()))

    agree(Cut(), "N 3 H W", N=2, H=4, W=3)


def test_what_onnx_calls_resize_is_another_operation_than_torchs() -> None:
    """With the operations of ONNX in the process, too."""
    import symcnn.frontends.onnx.convolve

    assert symcnn.frontends.onnx.convolve
    net = symcnn.from_torch(Makes("new, resized"), "N 3 H W")
    assert net.shape_at(N=2, H=9, W=12) == tuple(
        MADE["new, resized"](torch.zeros(2, 3, 9, 12)).shape
    )
