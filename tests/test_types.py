"""To the model's code a size is an int and a traced tensor is a torch.Tensor: torch is the judge.

Each forward is traced once for all sizes and run by torch at a grid of sizes, both sides of every
branch that the grid meets; wherever the network accepts a size, it says what torch computes.
"""

import dataclasses
import enum
import functools
import math
import numbers
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from tests.corpus.forwards import Function

SIZES = [
    (3, 2),
    (17, 23),
    (64, 64),
    (224, 30),
    (30, 45),
    (7, 9),
    (128, 200),
    (49, 98),
    (1, 2),
    (300, 5),
]


def agrees(
    forward: Any,
    spec: str = "N 3 H W",
    sizes: list[tuple[int, int]] = SIZES,
    *,
    everywhere: bool = True,
) -> symcnn.Network:
    """Compare with torch at every size; `everywhere`: no size is left out that torch takes."""
    module = Function(forward)
    net = symcnn.from_torch(module, spec)
    for h, w in sizes:
        try:
            want = tuple(module(torch.zeros(2, 3, h, w)).shape)
        except (RuntimeError, ArithmeticError):
            want = None
        try:
            have = net.shape_at(N=2, H=h, W=w)
        except symcnn.SymcnnError:
            have = None
        if everywhere or have is not None:
            assert have == want, (h, w)
    return net


def to(x: Any, *size: Any) -> Any:
    """A map of that size."""
    return F.interpolate(x, size=size)


def in_a_table(x: torch.Tensor) -> torch.Tensor:
    print(f"{x.shape!s:>30}|{x.shape[2]!s:>5}", "{:>20}".format(str(x.shape)))  # noqa: UP032
    print("%10s|%-5s" % (str(x.shape[2]), x.shape[3]), format(str(x.shape[3]), ">5"))  # noqa: UP031
    return x


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
    "power of a modulus": lambda x: to(x, pow(x.shape[2], 2, 7) + 1, 5),
    "divmod of a quotient": lambda x: to(x, int(divmod(x.shape[2] / 2, 3)[1]) + 1, 5),
    "sym_int": lambda x: to(x, torch.sym_int(torch.sym_float(x.shape[2]) / 2) + 1, 5),
    "map": lambda x: to(x, *map(int, (x.shape[2] / 2 + 1, x.shape[3] / 2 + 1))),
    "a comprehension": lambda x: to(x, *[int(s * 0.5) + 1 for s in x.shape[2:]]),
    "len": lambda x: F.pad(x, (0, len(x))),
    "a root": lambda x: to(x, int((x.shape[2] * x.shape[2]) ** 0.5), 5),
    "a root in values": lambda x: x * x.shape[2] ** -0.5 / math.sqrt(x.shape[3]),
    "a logarithm in values": lambda x: x * math.log(x.shape[2], 2) + np.log2(x.shape[3]),
    "floats of roots": lambda x: x.mul(1 / (1 + math.sqrt(x.shape[2] * x.shape[3]) / 2)),
    "a root that nobody reads": lambda x: (f"{x.shape[2] ** 0.5:.2f}", x)[1],
    "a size in a format that nobody reads": lambda x: (format(x.shape[2], ".2f"), x)[1],
    "a table of shapes": in_a_table,
    "a tensor that is printed": lambda x: (f"{x} {x.mean():.3f} {type(x).__name__}", x)[1],
    "abs": lambda x: F.pad(x, (0, abs(x.shape[2] - x.shape[3]))),
    "the last bit": lambda x: F.pad(x, (0, x.shape[2] & 1, 0, 1 & x.shape[3])),
    "a shift": lambda x: to(x, (x.shape[2] >> 1) + 1, (x.shape[3] << 1)),
    "up to a multiple": lambda x: to(x, ((x.shape[2] - 1) | 15) + 1, (x.shape[3] + 7) & ~7),
    "bits in the middle": lambda x: to(x, (x.shape[2] & 0b110110) + 1, (x.shape[3] ^ 5) + 1),
    "SAME by hand": lambda x: F.max_pool2d(F.pad(x, same(int(x.shape[2]), int(x.shape[3]))), 3, 2),
}


def same(h: int, w: int) -> tuple[Any, ...]:
    """TensorFlow's padding for a window of 3 and a stride of 2."""
    down = max((math.ceil(h / 2) - 1) * 2 + 3 - h, 0)
    right = max((math.ceil(w / 2) - 1) * 2 + 3 - w, 0)
    return right // 2, right - right // 2, down // 2, down - down // 2


@pytest.mark.parametrize("forward", SIZE_STAYS.values(), ids=SIZE_STAYS)
def test_a_size_stays_a_size(forward: Callable[..., Any]) -> None:
    net = agrees(forward)
    assert not net.guards


def test_a_float_that_is_no_quotient_fixes_the_size() -> None:
    net = agrees(lambda x: to(x, int(x.shape[2] / 49 * 49) + 1, 5), everywhere=False)
    assert net.guards


IS_AN_INT = {
    "isinstance": lambda h: isinstance(h, int),
    "a method of a type": lambda h: set.union(*({h}, {h})) == {h},
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


def is_int(value: Any) -> bool:
    match value:
        case int():
            return True
    return False


@pytest.mark.parametrize("question", IS_AN_INT.values(), ids=IS_AN_INT)
def test_a_size_is_an_int(question: Callable[..., Any]) -> None:
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
    "a legacy type": lambda x: isinstance(x, torch.FloatTensor),
    "another legacy type": lambda x: not isinstance(x, (torch.HalfTensor, torch.LongTensor)),
    "None": lambda x: not (x == None) and x != None and x not in (None, "x"),  # noqa: E711, SIM201
    "numel": lambda x: isinstance(x.numel(), int) and isinstance(x.shape.numel(), int),
}


@pytest.mark.parametrize("question", IS_A_TENSOR.values(), ids=IS_A_TENSOR)
def test_a_traced_tensor_is_a_tensor(question: Any) -> None:
    net = agrees(lambda x: x * 1 if question(x) else x[:, :1])
    assert [n.op for n in net.nodes] == ["mul"]


# Tensors of other classes


class Sub(torch.Tensor):
    def doubled(self) -> Any:
        return self * 2


class Looks(torch.Tensor):
    """A class with a __torch_function__ of its own, whose results are plain tensors."""

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        plain = [a.as_subclass(torch.Tensor) if isinstance(a, cls) else a for a in args]
        return super().__torch_function__(function, types, plain, kwargs or {})


SUBCLASSES = {
    "as_subclass": lambda x: x.as_subclass(Sub) * 2,
    "its constructor": lambda x: Sub(x) * 2,
    "torch.Tensor": lambda x: torch.Tensor(x)[:, :2],
    "torch.Tensor, multiplied": lambda x: x * torch.Tensor(x),
    "its methods": lambda x: Sub(x).doubled(),
    "its shape": lambda x: x[:, : Sub(x).shape[1] - 1, : Sub(x).dim()],
    "its class": lambda x: x if type(Sub(x) * 2) is Sub else x[:, :1],
    "its class, with others": lambda x: x if isinstance(Sub(x) + x, Sub) else x[:, :1],
    "its class in a view": lambda x: x if type(Sub(x).flatten(1)) is Sub else x[:, :1],
    "its own function": lambda x: x if type(Looks(x) * 2) is torch.Tensor else x[:, :1],
    "back": lambda x: x if type(Sub(x).as_subclass(torch.Tensor)) is torch.Tensor else x[:, :1],
    "concatenated": lambda x: torch.cat([Sub(x), x], 1),
    "in a layer": lambda x: F.conv2d(Sub(x), torch.ones(5, 3, 1, 1)),
    "written to": lambda x: Sub(x).mul_(2),
    "a parameter": lambda x: nn.Parameter(x) * 2,
}


@pytest.mark.parametrize("forward", SUBCLASSES.values(), ids=SUBCLASSES)
def test_a_tensor_of_another_class_is_the_tensor(forward: Callable[..., Any]) -> None:
    agrees(forward)


# Keys

TABLE = {224: 2, 30: 4}


KEYS = {
    "in a set": lambda x: F.pad(x, (0, 2 if x.shape[2] in {224, 30} else 1)),
    "in a tuple": lambda x: F.pad(x, (0, 2 if x.shape[2] in (224, 30) else 1)),
    "in a dict": lambda x: F.pad(x, (0, {224: 2}.get(x.shape[2], 0))),
    "in a global dict": lambda x: F.pad(x, (0, TABLE.get(x.shape[2], 3))),
    "as part of a key": lambda x: F.pad(x, (0, {(224, 30): 2}.get((x.shape[2], x.shape[3]), 1))),
    "in a set of sizes": lambda x: F.pad(x, (0, len(set(x.shape[2:])))),
    "in a display": lambda x: F.pad(x, (0, len({x.shape[2], x.shape[3]}))),
    "in a dict's display": lambda x: F.pad(x, (0, len({x.shape[2]: 0, x.shape[3]: 1}))),
    "in a dict comprehension": lambda x: F.pad(x, (0, len({s: 1 for s in x.shape}))),  # noqa: C420
    "as an index": lambda x: F.pad(x, (0, [30, 64].index(x.shape[2]) if x.shape[2] == 64 else 7)),
}


@dataclasses.dataclass(frozen=True)
class Window:
    height: int
    width: int


class Pair(NamedTuple):
    height: int
    width: int


SIDES: dict[Any, int] = {Window(224, 30): 1, Pair(64, 64): 2, torch.Size((9, 9)): 3}

KEYS |= {
    "in a dataclass": lambda x: F.pad(x, (0, SIDES.get(Window(*x.shape[2:]), 3))),
    "in a named tuple": lambda x: F.pad(x, (0, looked_up(SIDES, Pair(*x.shape[2:])))),
    "as a shape": lambda x: F.pad(x, (0, looked_up(SIDES, x.shape[2:]))),
}


def _apart(n: int, c: int, h: int, w: int) -> int:
    return len({n, c, h, w})


def _written(x: torch.Tensor) -> int:
    found: dict[int, int] = {}
    found.update(zip(x.shape, range(4), strict=True))
    return len(found)


def _gathered(x: torch.Tensor) -> int:
    lengths = [x.shape[2], 64]
    return len({s for s in lengths}) + len({s: 1 for s in LENGTHS + x.shape[2:]})  # noqa: C416, C420


LENGTHS = (30, 224)

KEYS |= {
    "in a set beside a size": lambda x: F.pad(x, (0, int(x.shape[2] in {9, 30, x.shape[3]}))),
    "in a set that meets another": lambda x: F.pad(x, (0, len({*x.shape[2:]} & {64, 30}))),
    "in a set joined with another": lambda x: F.pad(x, (0, len({64, 30}.union(x.shape[2:])))),
    "in a set of a list": lambda x: F.pad(x, (0, len(set([x.shape[2], 64])))),  # noqa: C405
    "in a set of texts": lambda x: F.pad(x, (0, len(set(map(str, x.shape[2:]))))),
    "as a key by itself": lambda x: F.pad(x, (0, len(dict.fromkeys(x.shape)))),
    "as a key in order": lambda x: F.pad(x, (0, len(OrderedDict.fromkeys(x.shape)))),
    "as a key of pairs": lambda x: F.pad(x, (0, len(dict(zip(x.shape, "abcd", strict=True))))),
    "in keys of a list": lambda x: F.pad(x, (0, int(x.shape[2] in dict.fromkeys([64, 30])))),
    "in dicts that are joined": lambda x: F.pad(
        x,
        (0, len({s: 1 for s in x.shape[2:]} | {64: 1})),  # noqa: C420
    ),
    "beside a number of its own": lambda x: F.pad(x, (0, _apart(*x.shape))),
    "in comprehensions over variables": lambda x: F.pad(x, (0, _gathered(x))),
    "in a comprehension over numbers": lambda x: F.pad(
        x,
        (0, len({s for s in (x.shape[2], 64)})),  # noqa: C416
    ),
    "written into a dict": lambda x: F.pad(x, (0, _written(x))),
    "counted": lambda x: F.pad(x, (0, Counter(x.shape)[3])),
}


def _taken_out(x: torch.Tensor) -> list[int]:
    found, taken = set(x.shape[1:]), []
    while found:
        taken.append(found.pop())
    return taken


def _run_through(x: torch.Tensor) -> tuple[int, ...]:
    found = set(x.shape[2:])
    found.add(x.shape[2] + 8)
    found.update([7, 7])
    found.discard(x.shape[3])
    return tuple(found)


ORDERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "the most frequent": lambda x: x.new_zeros(max(set(x.shape[2:]), key=[*x.shape[2:]].count)),
    "a list": lambda x: x.new_zeros(*set(x.shape[1:])),
    "a frozen set": lambda x: x.new_zeros(*frozenset(x.shape[2:])),
    "written to": lambda x: x.new_zeros(_run_through(x)),
    "taken out": lambda x: x.new_zeros(_taken_out(x)),
}


def _all_even(x: torch.Tensor) -> torch.Tensor:
    assert all(s % 8 == 0 for s in set(x.shape[2:]))
    return x


def _written_out(x: torch.Tensor) -> torch.Tensor:
    for s in {x.shape[2], x.shape[3]}:
        if s % 4:
            raise ValueError(s)
    return x


def _summed(x: torch.Tensor) -> torch.Tensor:
    total = 0
    for s in set(x.shape[2:]) | {7}:
        total = total + s
    return x.new_zeros(total)


def _multiplied(x: torch.Tensor) -> torch.Tensor:
    found, total = {s + 1 for s in x.shape[2:]}, 1
    while found:
        total = total * found.pop()
    return x.new_zeros(total)


@pytest.mark.parametrize("forward", [_all_even, _written_out, _summed, _multiplied])
def test_a_set_whose_order_makes_no_difference_fixes_no_size(forward: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Function(forward), "N 3 H W")
    assert net.complete
    for h, w in ((5, 5), (5, 9), (8, 16), (16, 12), (7, 3), (40, 40)):
        assert shape_or_none(net, h, w) == taken(forward, h, w)


def _first(x: torch.Tensor) -> torch.Tensor:
    return x.new_zeros(next(iter({s + 1 for s in x.shape[2:]})))


def test_the_order_of_a_set_that_is_written_out_is_that_of_its_numbers() -> None:
    net = symcnn.from_torch(Function(_first), "N 3 H W")
    assert not net.complete
    for h, w in ((5, 5), (5, 9), (9, 5), (12, 4)):
        assert shape_or_none(net, h, w) == taken(_first, h, w)


def shape_or_none(net: symcnn.Network, h: int, w: int) -> tuple[int, ...] | None:
    """The shape at a size, unless it is refused."""
    try:
        return tuple(net.shape_at(N=1, H=h, W=w))
    except symcnn.InvalidInput:
        return None


def taken(forward: Callable[..., torch.Tensor], h: int, w: int) -> tuple[int, ...] | None:
    """The same of torch."""
    try:
        return tuple(forward(torch.zeros(1, 3, h, w)).shape)
    except (AssertionError, ValueError):
        return None


class _Halves(torch.nn.Module):
    """Keys that are worked out, of numbers of its own and a size."""

    sizes = (4, 6, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        halves = {s // 2 for s in [*self.sizes, x.shape[2]]}
        whole = {s // 2: s for s in [*self.sizes, x.shape[2]]}
        pairs = {(s // 2, 1) for s in [*self.sizes, x.shape[2]]}
        return x.new_zeros(len(halves), whole[2], whole[3], len(pairs))


def test_keys_that_are_worked_out_meet_sizes() -> None:
    net = symcnn.from_torch(_Halves(), "N 3 H W")
    assert net.complete
    for h in range(1, 14):
        assert net.shape_at(N=1, H=h, W=8) == _Halves()(torch.zeros(1, 3, h, 8)).shape


def test_keys_that_a_lambda_works_out_fix_the_size_that_meets_them() -> None:
    net = symcnn.from_torch(
        Function(lambda x: x.new_zeros(len({s // 2 for s in [8, 16, x.shape[2]]}))), "N 3 H W"
    )
    assert net.shape_at(N=1, H=9, W=8) == (2,)
    assert not net.complete


@pytest.mark.parametrize("forward", ORDERS.values(), ids=ORDERS)
def test_the_order_of_a_set_of_sizes_is_that_of_its_numbers(forward: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Function(forward), "N 3 H W")
    for h, w in ((5, 5), (5, 9), (9, 5), (12, 4), (33, 1), (30, 64)):
        shape = tuple(forward(torch.zeros(1, 3, h, w)).shape)
        assert net.shape_at(N=1, H=h, W=w) == shape


def test_what_asks_for_no_order_of_a_set_holds_at_all_sizes() -> None:
    net = symcnn.from_torch(
        Function(lambda x: x.new_zeros(max(set(x.shape[2:])), *sorted(set(x.shape[2:])))), "N 3 H W"
    )
    assert net.complete


def looked_up(table: dict[Any, int], key: object) -> int:
    return table.get(key, 4)


@pytest.mark.parametrize("forward", KEYS.values(), ids=KEYS)
def test_a_size_is_found_where_its_number_is(forward: Callable[..., Any]) -> None:
    agrees(forward)


# Texts


def padded(text: str, other: str) -> int:
    """Compared in another function."""
    return 1 if text == other else 2


def of_two(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (0, padded(f"{x.shape[3]}-{x.shape[2]}", "30-224")))


def of_two_texts(x: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]
    return F.pad(x, (0, padded(f"{w}x{h}", f"{h}x{w}")))


def of_a_text_in_parts(x: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]
    text = str(h) + "-" + str(w)
    return F.pad(x, (0, padded(text, "64-64"), 0, padded(f"s{h}", "s17")))


def of_a_percent(x: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]
    return F.pad(x, (0, padded("%dx%s" % (h, w), "64x64")))  # noqa: UP031


def of_a_join(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (0, padded("x".join(map(str, x.shape[2:])), "64x64")))


def of_a_shape(x: torch.Tensor) -> torch.Tensor:
    size = str(x.shape[2:])
    return F.pad(x, (0, padded(size, "torch.Size([64, 64])"), 0, padded(f"{[x.shape[2]]}", "[17]")))


def of_a_key(x: torch.Tensor) -> torch.Tensor:
    table = {"7-9": 1, "64-64": 3}
    h, w = x.shape[2:]
    return F.pad(x, (0, looked_up(table, f"{h}-{w}")))


def of_a_set_of_texts(x: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]
    return F.pad(x, (0, len({f"{h}x{w}", f"{w}x{h}"})))


def of_texts_that_are_written_otherwise(x: torch.Tensor) -> torch.Tensor:
    """A layer remembers by shape and by sizes: those texts are never the same."""
    table = {f"{x.shape[2:]}": 1, f"{[*x.shape[2:]]}": 2, f"{x.shape[2]}x{x.shape[3]}": 3}
    return F.pad(x, (0, table[f"{[x.shape[3], x.shape[2]]}"] if x.shape[2] == x.shape[3] else 0))


def of_a_message(x: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]
    if h == 7:
        raise ValueError(f"no {h} x {w}")
    return x


TEXTS = [of_two, of_two_texts, of_a_text_in_parts, of_a_percent, of_a_join, of_a_shape, of_a_key]
TEXTS += [of_a_set_of_texts, of_texts_that_are_written_otherwise]


@pytest.mark.parametrize("forward", TEXTS)
def test_a_text_of_sizes_equals_that_of_their_numbers(forward: Callable[..., Any]) -> None:
    assert agrees(forward).complete


def of_its_letters(x: torch.Tensor) -> torch.Tensor:
    return to(x, len(f"{x.shape[2]}x{x.shape[3]}"), 5)


def of_a_quotient(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (0, padded(f"{x.shape[2] / 2}", "112.0")))


@pytest.mark.parametrize("forward", [of_its_letters, of_a_quotient])
def test_what_only_a_number_tells_of_a_text_fixes_the_size(forward: Callable[..., Any]) -> None:
    net = agrees(forward)
    assert not net.complete
    assert "number" in net.unfollowed[0].reason


def test_a_message_of_an_error_speaks_of_formulas() -> None:
    net = symcnn.from_torch(Function(of_a_message), "N 3 H W")
    assert net.complete
    assert "no H x W" in str(net.reasons())


def test_a_cache_by_sizes_holds_for_all_sizes() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cache: dict[Any, Any] = {}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            key = (x.shape[2], x.shape[3])
            if key not in self.cache:
                self.cache[key] = x.shape[2] // 2 + 1
            return to(x, self.cache[key], 5)

    net = symcnn.from_torch(Cached(), "N 3 H W")
    assert net.shape_at(N=1, H=9, W=7) == (1, 3, 5, 5)
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"


@functools.lru_cache
def halves(h: Any, w: Any) -> tuple[Any, Any]:
    return h // 2 + 1, w // 2 + 1


def test_a_cached_function_is_asked_about_all_sizes() -> None:
    halves.cache_clear()
    agrees(lambda x: to(x, *halves(x.shape[2], x.shape[3])))
    assert all(isinstance(v, int) for v in halves(8, 8))
    assert halves.cache_info().currsize == len(SIZES) + 1  # of real calls


# Scripted functions


@torch.jit.script
def cropped(x: torch.Tensor) -> torch.Tensor:
    if x.dim() == 4:
        x = x[:, :, :3]
    return x


@torch.jit.script
def alike(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if x.shape == y.shape:
        return x
    return y


@torch.jit.script_if_tracing  # type: ignore[untyped-decorator]
def scripted_if_traced(x: torch.Tensor) -> torch.Tensor:
    return x[:, :, :3] if x.dim() == 4 else x


@pytest.mark.parametrize(
    "forward",
    [cropped, scripted_if_traced, lambda x: alike(x, x[:, :, :2]), lambda x: cropped(x * 2)],
)
def test_a_scripted_function_runs_its_python_body(forward: Callable[..., Any]) -> None:
    agrees(forward)


# Whole numbers of any kind


class Two(enum.IntEnum):
    TWO = 2


WHOLE = {
    "numpy's, in a layer": lambda: nn.Conv2d(3, 4, np.int64(3), np.int32(2), dilation=np.int32(1)),  # type: ignore[arg-type]
    "numpy's, in a pool": lambda: nn.MaxPool2d(np.int64(2), stride=np.int32(1)),  # type: ignore[arg-type]
    "an enum": lambda: nn.AvgPool2d(1, stride=Two.TWO),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_whatever_has_an_index_is_a_whole_number(make: Callable[..., Any]) -> None:
    agrees(make())


# The process


def test_after_a_trace_functions_are_as_they_were() -> None:
    def forward(x: Any) -> Any:
        return F.pad(x, (0, int(x.shape[2])))

    code = forward.__code__
    module = Function(forward)
    symcnn.from_torch(module, "N 3 H W")
    assert forward.__code__ is code
    with pytest.raises(symcnn.SymcnnError):
        symcnn.from_torch(Function(lambda x: (int(x.shape[2]), x.nowhere)), "N 3 H W")
    assert forward.__code__ is code
    assert Function.forward.__code__.co_consts == (None,)
    assert type(alike) is torch.jit.ScriptFunction


def test_a_real_forward_beside_a_trace_computes_what_it_always_does() -> None:
    started, done, seen = threading.Event(), threading.Event(), []

    def forward(x: Any) -> Any:
        if not isinstance(x.shape[2], int) or x.shape[2] != 9:
            started.set()
            done.wait(10)
        seen.append((type(int(x.shape[3] / 2)), type(len(x)), max(x.shape[2], 4)))
        return F.pad(x, (0, int(x.shape[3])))

    module = Function(forward)
    thread = threading.Thread(target=symcnn.from_torch, args=(module, "N 3 H W"))
    thread.start()
    started.wait(10)
    assert module(torch.zeros(1, 3, 9, 8)).shape == (1, 3, 9, 16)
    assert seen == [(int, int, 9)]
    done.set()
    thread.join()
    assert module(torch.zeros(1, 3, 9, 8)).shape == (1, 3, 9, 16)


# Small tensors of sizes


def centred(x: Any, y: Any) -> Any:
    """The U-Net idiom: pad one map to the size of another."""
    dy = torch.tensor([y.shape[2] - x.shape[2]])
    dx = torch.tensor([y.shape[3] - x.shape[3]])
    return F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])  # type: ignore[list-item]


def halved(sizes: torch.Tensor) -> Any:
    return torch.div(sizes, 2, rounding_mode="floor")


THREE = torch.tensor(3)


def cropped_by_a_table(x: Any, turned: Callable[..., Any]) -> Any:
    """The crop of the package unet: both sides, from a table of pads."""
    crop = (torch.tensor(x.shape[2:]) - 3).int()
    return F.pad(x, (-turned(torch.stack((crop // 2, crop // 2))).flatten()).tolist())


IN_TENSORS = {
    "a product": lambda x: x.reshape(int(torch.tensor(x.shape[:-1]).prod()), -1),
    "a sum": lambda x: F.pad(x, (0, torch.tensor(x.shape[2:]).sum().item())),  # type: ignore[arg-type]
    "a difference": lambda x: centred(x, F.interpolate(x, scale_factor=3)),
    "the largest": lambda x: x[:, :, : torch.full((3,), x.shape[2]).max().item()],
    "the largest of two": lambda x: F.pad(x, (0, int(torch.tensor(x.shape[2:]).max()))),
    "halves": lambda x: to(x, *(torch.tensor(x.shape[2:]) // 2 + 1).tolist()),
    "divided downwards": lambda x: to(x, *(halved(torch.tensor(x.shape[2:])) + 1).tolist()),
    "one by one": lambda x: to(x, *[int(s) * 2 for s in torch.tensor(x.shape[2:])]),
    "an element": lambda x: F.pad(x, (0, torch.tensor(x.shape)[2] % 4)),  # type: ignore[arg-type]
    "some elements": lambda x: F.pad(x, (0, int(torch.tensor(x.shape)[2:].prod() % 4))),
    "joined": lambda x: F.pad(x, (0, int(torch.stack([torch.tensor(x.shape[2]), THREE]).sum()))),
    "with a constant": lambda x: to(x, *(torch.tensor(x.shape[2:]) + THREE.expand(2)).tolist()),
    "transposed": lambda x: cropped_by_a_table(x, lambda pads: pads.t()),
    "swapped": lambda x: cropped_by_a_table(x, lambda pads: pads.transpose(dim0=0, dim1=-1)),
    "permuted": lambda x: cropped_by_a_table(x, lambda pads: pads.permute(1, 0)),
    "unbound": lambda x: to(x, *torch.tensor(x.shape[2:]).unbind(0)),
    "an index of one place": lambda x: x[:, :, torch.tensor([x.shape[2] - 1])],
    "a bound of a slice": lambda x: x[:, :, torch.tensor([x.shape[2]]) // 2 :],
}


@pytest.mark.parametrize("forward", IN_TENSORS.values(), ids=IN_TENSORS)
def test_a_small_tensor_of_sizes_keeps_its_values(forward: Callable[..., Any]) -> None:
    agrees(forward)


ONE: dict[str, Callable[[Any], Any]] = {
    "a pad": lambda x: centred(x, F.interpolate(x, scale_factor=3)),
    "a bound of a slice": lambda x: x[:, :, torch.tensor([2]) :],
    "a size": lambda x: x.view(torch.tensor([2]), -1),
    "how often": lambda x: x.repeat(torch.tensor([2]), 1, 1, 1),
    "how many": lambda x: x.topk(torch.tensor([2]))[0],
    "an axis": lambda x: x.sum(torch.tensor([1])),
    "an index, which keeps its axis": lambda x: x[:, torch.tensor([1])],
    "a size in a table": lambda x: x.view(torch.tensor([[2]]), -1),
    "how often, in a table": lambda x: x.repeat(torch.tensor([[[2]]]), 1, 1, 1),
    "parts in a table": lambda x: x.split(torch.tensor([[2]]), 2)[0],
    "a size of new zeros, in a table": lambda x: x.new_zeros(torch.tensor([[x.shape[2]]]), 2),
}


@pytest.mark.parametrize("forward", ONE.values(), ids=ONE)
def test_a_tensor_of_one_number_is_that_number_where_torch_takes_one(
    forward: Callable[..., Any],
) -> None:
    """With nothing open such a tensor is one of torch's own."""
    net = symcnn.from_torch(Function(forward), "2 3 8 9")
    assert net.output_shape == tuple(forward(torch.zeros(2, 3, 8, 9)).shape)


@pytest.mark.parametrize("spec", ["N 3 H W", "2 3 8 9"])
def test_the_start_of_narrow_is_no_tensor_with_an_axis(spec: str) -> None:
    forward = Function(lambda x: x.narrow(2, torch.tensor([x.shape[2] - 4]), 2))
    with pytest.raises(RuntimeError):
        forward(torch.zeros(2, 3, 8, 9))
    with pytest.raises(symcnn.ShapeMismatch):
        symcnn.from_torch(forward, spec)


def test_values_that_are_no_sizes_are_data() -> None:
    with pytest.raises(symcnn.DataDependent):
        symcnn.from_torch(
            Function(lambda x: F.pad(x, (0, int(x.mean((0, 2, 3)).sum())))), "N 3 H W"
        )


WINDOWS = {
    "over pixels per window": lambda n, h, w: int(n / (h * w / 8 / 8)),
    "over their number": lambda n, h, w: int(n // (h * w // (8 * 8))),
    "over a quotient": lambda n, h, w: int(n / (h * w / (8 * 8))),
}


def _to_a_multiple(x: Any) -> Any:
    return F.pad(x, (0, (8 - x.shape[3] % 8) % 8, 0, (8 - x.shape[2] % 8) % 8))


@pytest.mark.parametrize(
    ("before", "domain"),
    [
        (_to_a_multiple, "H >= 1 and W >= 1"),
        (lambda x: x, "H % 8 == 0 and H >= 8 and W % 8 == 0 and W >= 8"),
        (lambda x: F.avg_pool2d(x, 3, 1), "H % 8 == 2 and H >= 10 and W % 8 == 2 and W >= 10"),
        (lambda x: x[..., :-3], "H % 8 == 0 and H >= 8 and W % 8 == 3 and W >= 11"),
    ],
    ids=["padded", "as they are", "after a window", "cropped"],
)
@pytest.mark.parametrize("batch", WINDOWS.values(), ids=WINDOWS)
def test_the_batch_is_found_by_dividing_windows(
    batch: Callable[..., Any], before: Callable[..., Any], domain: str
) -> None:
    """Swin's window_reverse, after window_partition; the batch stays a symbol."""

    def forward(x: Any) -> Any:
        x = before(x)
        b, c, h, w = x.shape
        x = x.view(b, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 3, 5, 1).reshape(-1, 8, 8, c)
        n = batch(x.shape[0], h, w)
        x = x.view(n, h // 8, w // 8, 8, 8, -1).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h, w, -1)

    net = agrees(forward)
    assert len(net.branches) == 1
    assert domain in str(net.valid_inputs())


def _of_a_set_of_sizes(x: Any) -> Any:
    return x * 2 if len({x.shape[2], x.shape[3]}) == 1 else x.flatten(1)


def _of_a_dict_over_lines(x: Any) -> Any:
    kernel = {
        8: 2,
        9: 3,
    }.get(x.shape[2], 1)
    return F.avg_pool2d(x, kernel)


def _of_a_key_of_two(x: Any) -> Any:
    return x.flatten(1) if (x.shape[2], x.shape[3]) in {(8, 8): 1} else x


def _of_a_tensor_of_the_shape(x: Any) -> Any:
    n, c, h, w = torch.tensor(x.shape).tolist()
    return x.reshape(n, c * h, w)


def _of_arithmetic_on_it(x: Any) -> Any:
    h, w = ((torch.as_tensor(x.shape[-2:]) + 1) // 2 * 2).tolist()
    return F.interpolate(x, size=(h, w))


def _of_a_step_that_is_a_size(x: Any) -> Any:
    return x[:, :, :: x.shape[3]]


def _of_a_step_that_may_be_0(x: Any) -> Any:
    return x[:, :, 1 :: x.shape[2] // 2]


@pytest.mark.parametrize(
    ("forward", "branches"),
    [
        (_of_a_set_of_sizes, 2),
        (_of_a_dict_over_lines, 3),
        (_of_a_key_of_two, 2),
        (_of_a_tensor_of_the_shape, 1),
        (_of_arithmetic_on_it, 1),
        (_of_a_step_that_is_a_size, 1),
        (_of_a_step_that_may_be_0, 1),
    ],
)
def test_sizes_in_sets_dicts_tensors_and_steps_are_sizes(
    forward: Callable[..., Any], branches: int
) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(x)

    net = symcnn.from_torch(Net(), "N 3 H W")
    assert net.complete
    assert len(net.branches) <= branches
    for h in (1, 2, 3, 7, 8, 9, 12):
        for w in (1, 2, 8, 9):
            try:
                shape = tuple(forward(torch.empty(2, 3, h, w)).shape)
            except (RuntimeError, ValueError):
                shape = (0,)
            assert ((h, w) in net.valid_inputs()) == (0 not in shape)
            if 0 not in shape:
                assert net.shape_at(N=2, H=h, W=w) == shape
