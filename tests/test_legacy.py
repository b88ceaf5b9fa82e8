"""How tensors were made before `torch.tensor`: networks of those years still run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import FloatTensor, nn
from torch.autograd import Variable

import symcnn

from .corpus.memory import agree

SIZES = {"N": 2, "H": 5, "W": 7}

MADE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Variable of an input": lambda x: Variable(x) * 2,
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


def test_a_grid_of_numpy_holds_at_one_size_and_is_right_at_each() -> None:
    class Grid(nn.Module):
        """Columns of a map, as detection heads made them (YOLOv4)."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            columns = np.linspace(0, x.size(3) - 1, x.size(3)).repeat(x.size(2), 0)
            return x.view(x.size(0), 3, -1) + torch.tensor(columns, dtype=torch.float32)

    net = symcnn.from_torch(Grid(), "N 3 H W")
    assert not net.complete
    assert net.shape_at(**SIZES) == (2, 3, 35)
    assert net.shape_at(N=1, H=1, W=4) == (1, 3, 4)


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
