"""To the model's code a size is an int and a traced tensor is a torch.Tensor: torch is the judge.

Each forward is traced once for all sizes and run by torch at a grid of sizes, both sides of every
branch that the grid meets; wherever the network accepts a size, it says what torch computes.
"""

import math
import numbers

import numpy as np
import pytest

import symcnn

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

SIZES = [(17, 23), (64, 64), (224, 30), (30, 45), (7, 9), (128, 200), (49, 98), (1, 2), (300, 5)]


class Forward(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.run = forward

    def forward(self, x):
        return self.run(x)


def agrees(forward, spec="N 3 H W", sizes=SIZES, *, everywhere=True):
    """Compare with torch at every size; `everywhere`: no size is left out that torch takes."""
    module = Forward(forward)
    net = symcnn.from_torch(module, spec)
    for h, w in sizes:
        try:
            want = tuple(module(torch.zeros(2, 3, h, w)).shape)
        except RuntimeError:
            want = None
        try:
            have = net.shape_at(N=2, H=h, W=w)
        except symcnn.SymcnnError:
            have = None
        if everywhere or have is not None:
            assert have == want, (h, w)
    return net


def to(x, *size):
    """A map of that size."""
    return F.interpolate(x, size=size)


SIZE_STAYS = {
    "int": lambda x: F.pad(x, (0, int(x.shape[2]) % 2, 0, int(x.size(3)) % 4)),
    "int of a quotient": lambda x: to(x, int(x.shape[2] / 2) + 1, int(x.shape[3] / 3) + 1),
    "int of a product": lambda x: to(x, int(x.shape[2] * 0.5) + 1, int(0.25 * x.shape[3]) + 1),
    "int of an inexact product": lambda x: to(x, int(x.shape[2] * 0.29) + 1, 5),
    "int of a product in tenths": lambda x: to(x, int(x.shape[2] * 0.1) + 1, 5),
    "int there and back": lambda x: to(x, int(x.shape[2] / 3 * 3) + 1, 5),
    "int of negative": lambda x: to(x, 5 - int((2 - x.shape[2]) / 2), 5),
    "ceil": lambda x: to(x, math.ceil(x.shape[2] * 0.1) + 1, math.ceil(x.shape[3] / 2)),
    "floor of ceil": lambda x: to(x, math.floor(math.ceil(x.shape[2] / 32.0) * 32.0), 5),
    "round to even": lambda x: to(x, round(x.shape[2] / 6) + 1, round(x.shape[3] / 4) + 1),
    "round up to 1": lambda x: to(x, max(1, round(x.shape[2] / 16)), 5),
    "float": lambda x: to(x, int(float(x.shape[2]) / 4) + 1, 5),
    "numpy's ceil": lambda x: to(
        x, int(np.ceil(x.shape[2] / 2)), int(np.floor(x.shape[3] / 2)) + 1
    ),
    "numpy's round": lambda x: to(x, int(np.rint(x.shape[2] / 4)) + 1, 5),
    "numpy's product": lambda x: x.reshape(x.shape[0], 3, np.prod(x.shape[2:])),
    "numpy's integers": lambda x: F.pad(x, (0, np.int64(3) * x.shape[2] - np.int32(2))),
    "max and min": lambda x: to(x, max(1, x.shape[2] // 64), min(8, x.shape[3])),
    "max of a list": lambda x: to(x, max([x.shape[2], x.shape[3], 9]), min(x.shape[2:])),
    "max of floats": lambda x: to(x, int(max(x.shape[2] / 2, 4.5)), 5),
    "pad by the larger rest": lambda x: F.pad(x, (0, max(x.shape[2] % 2, x.shape[3] % 2))),
    "sym_max": lambda x: to(x, torch.sym_max(x.shape[2], 9), torch.sym_min(9, x.shape[3])),
    "sym_int": lambda x: to(x, torch.sym_int(torch.sym_float(x.shape[2]) / 2) + 1, 5),
    "map": lambda x: to(x, *map(int, (x.shape[2] / 2 + 1, x.shape[3] / 2 + 1))),
    "a comprehension": lambda x: to(x, *[int(s * 0.5) + 1 for s in x.shape[2:]]),
    "len": lambda x: F.pad(x, (0, len(x))),
    "a root": lambda x: to(x, int((x.shape[2] * x.shape[2]) ** 0.5), 5),
    "abs": lambda x: F.pad(x, (0, abs(x.shape[2] - x.shape[3]))),
    "the last bit": lambda x: F.pad(x, (0, x.shape[2] & 1, 0, 1 & x.shape[3])),
    "a shift": lambda x: to(x, (x.shape[2] >> 1) + 1, (x.shape[3] << 1)),
    "up to a multiple": lambda x: to(x, ((x.shape[2] - 1) | 15) + 1, (x.shape[3] + 7) & ~7),
    "bits in the middle": lambda x: to(x, (x.shape[2] & 0b110110) + 1, (x.shape[3] ^ 5) + 1),
    "SAME by hand": lambda x: F.max_pool2d(F.pad(x, same(int(x.shape[2]), int(x.shape[3]))), 3, 2),
}


def same(h, w):
    """TensorFlow's padding for a window of 3 and a stride of 2."""
    down = max((math.ceil(h / 2) - 1) * 2 + 3 - h, 0)
    right = max((math.ceil(w / 2) - 1) * 2 + 3 - w, 0)
    return right // 2, right - right // 2, down // 2, down - down // 2


@pytest.mark.parametrize("forward", SIZE_STAYS.values(), ids=SIZE_STAYS)
def test_a_size_stays_a_size(forward):
    net = agrees(forward)
    assert not net.guards


def test_a_float_that_is_no_quotient_fixes_the_size():
    net = agrees(lambda x: to(x, int(x.shape[2] / 49 * 49) + 1, 5), everywhere=False)
    assert net.guards


IS_AN_INT = {
    "isinstance": lambda h: isinstance(h, int),
    "a tuple of types": lambda h: isinstance(h, (float, int)),
    "a union": lambda h: isinstance(h, int | float),
    "Number": lambda h: isinstance(h, numbers.Number),
    "Integral": lambda h: isinstance(h, numbers.Integral),
    "no float": lambda h: not isinstance(h, (float, str, tuple, list, torch.Tensor)),
    "type ==": lambda h: type(h) == int,  # noqa: E721
    "type is": lambda h: type(h) is int,
    "type in": lambda h: type(h) in (int, float),
    "its name": lambda h: type(h).__name__ == "int",
    "a table by type": lambda h: {int: 1}.get(type(h)) == 1,
    "its class": lambda h: h.__class__ is int,
    "a quotient is a float": lambda h: isinstance(h / 2, float) and type(h / 2) is float,
    "a whole quotient is an int": lambda h: type(h // 2) is int,
    "issubclass": lambda h: issubclass(type(h), int),
    "match": lambda h: is_int(h),
}


def is_int(value):
    match value:
        case int():
            return True
    return False


@pytest.mark.parametrize("question", IS_AN_INT.values(), ids=IS_AN_INT)
def test_a_size_is_an_int(question):
    net = agrees(lambda x: x * 1 if question(x.shape[2]) else x[:, :1])
    assert [n.op for n in net.nodes] == ["mul"]


IS_A_TENSOR = {
    "type is": lambda x: type(x) is torch.Tensor,
    "type ==": lambda x: type(x) == torch.Tensor,  # noqa: E721
    "its name": lambda x: type(x).__name__ == "Tensor",
    "its class's name": lambda x: x.__class__.__name__ == "Tensor",
    "its module": lambda x: type(x).__module__.startswith("torch"),
    "its class's module": lambda x: x.__class__.__module__.split(".")[0] == "torch",
    "isinstance": lambda x: isinstance(x, torch.Tensor),
    "is_tensor": torch.is_tensor,
    "no parameter": lambda x: not isinstance(x, nn.Parameter),
    "a Size": lambda x: isinstance(x.shape, torch.Size) and type(x.size()) is torch.Size,
    "part of a Size": lambda x: isinstance(x.shape[2:], torch.Size),
    "numel": lambda x: isinstance(x.numel(), int) and isinstance(x.shape.numel(), int),
}


@pytest.mark.parametrize("question", IS_A_TENSOR.values(), ids=IS_A_TENSOR)
def test_a_traced_tensor_is_a_tensor(question):
    net = agrees(lambda x: x * 1 if question(x) else x[:, :1])
    assert [n.op for n in net.nodes] == ["mul"]
