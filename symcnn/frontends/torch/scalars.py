"""Sizes kept in tensors: a 0-d tensor made from sizes carries its value.

Models put sizes into tensors (``torch.tensor(x.shape[-1])``, ``length - self.stride`` with a stride
that is a buffer), compute with them and take them out again (``.item()``, ``int()``, a pad). The
value is what the same arithmetic on the sizes themselves gives, so `scalar` does just that.

Integers are exact. Tensors divide in 32-bit floats: a quotient of sizes is followed as long as
rounding cannot change its floor or ceiling, which is for numerators up to `FLOAT_LIMIT` and sums;
products of quotients are left alone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from symcnn.frontends.torch.sizes import Real

__all__ = ["FLOAT_LIMIT", "TAKES_NUMBERS", "scalar"]

#: With ``|p| <= 2**21`` a quotient ``p/q`` is off by less than ``1/(8*q)`` per rounding, while no
#: whole number that it is not is nearer than ``1/q``.
FLOAT_LIMIT = 1 << 21

#: Operations that take sizes, after their first argument: 0-d tensors among them are numbers.
TAKES_NUMBERS = frozenset(
    "pad view reshape expand repeat tile narrow getitem interpolate unflatten arange zeros ones "
    "full empty linspace constant_pad_nd broadcast_to roll new_zeros new_ones new_full".split()
)

_EXACT: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "neg": operator.neg,
    "ceil": math.ceil,
    "floor": math.floor,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_OF_INTEGERS: dict[str, Callable[..., Any]] = {
    "mul": operator.mul,
    "div": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "abs": abs,
    "max": max,
    "min": min,
    "maximum": max,
    "minimum": min,
}
_THE_SAME = frozenset("tensor as_tensor scalar_tensor clone detach contiguous cpu".split())
_WHOLE = frozenset({torch.int64, torch.int32, torch.int16, torch.int8})


def scalar(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The value of an operation on 0-d tensors whose values are `args`; None if not known.

    An argument that is not a number is None.
    """
    if name in _THE_SAME or (name == "to" and not kwargs and len(args) == 1):
        return args[0]
    if name in ("long", "int") or (name == "to" and {*args[1:], *kwargs.values()} <= _WHOLE):
        return math.trunc(args[0])
    if kwargs or any(a is None for a in args):
        return None
    if name in _EXACT:
        return _EXACT[name](*args)
    if name in _OF_INTEGERS and all(type(a) is not Real and isinstance(a, int) for a in args):
        if name in ("div", "floor_divide", "remainder") and args[1] == 0:
            return None
        return _OF_INTEGERS[name](*args)
    return None
