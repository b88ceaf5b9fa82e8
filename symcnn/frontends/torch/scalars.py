"""Sizes kept in tensors: a small tensor made from sizes carries its values.

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

from symcnn.frontends.torch.sizes import Real, largest

__all__ = ["FLOAT_LIMIT", "MANY", "TAKES_NUMBERS", "array", "scalar"]

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
    "max": lambda *values: _extreme(values, 1),
    "min": lambda *values: _extreme(values, -1),
    "maximum": lambda a, b: _extreme((a, b), 1),
    "minimum": lambda a, b: _extreme((a, b), -1),
}
_THE_SAME = frozenset("tensor as_tensor scalar_tensor clone detach contiguous cpu".split())
_WHOLE = frozenset({torch.int64, torch.int32, torch.int16, torch.int8})


#: Values of an array, in order; what is no number is None.
Numbers = Any

#: Of so many elements an array is still a list of numbers.
MANY = 64


def scalar(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The value of an operation on 0-d tensors whose values are `args`; None if not known.

    An argument that is not a number is None.
    """
    if name in _THE_SAME or (name == "to" and not kwargs and len(args) == 1):
        return args[0]
    if name in ("long", "int") or (name == "to" and {*args[1:], *kwargs.values()} <= _WHOLE):
        return math.trunc(args[0])
    if name == "div" and kwargs.get("rounding_mode") in _DIVISIONS and _whole(args):
        quotient = _EXACT_QUOTIENT(*args) if args[1] != 0 else None
        return None if quotient is None else _DIVISIONS[kwargs["rounding_mode"]](quotient)
    if kwargs or any(a is None for a in args):
        return None
    if name in _EXACT:
        return _EXACT[name](*args)
    if name in _OF_INTEGERS and _whole(args):
        if name in ("div", "floor_divide", "remainder") and args[1] == 0:
            return None
        return _OF_INTEGERS[name](*args)
    return None


_DIVISIONS: dict[str, Callable[..., Any]] = {"floor": math.floor, "trunc": math.trunc}
_EXACT_QUOTIENT = operator.truediv


def _whole(args: Sequence[Any]) -> bool:
    return all(type(a) is not Real and isinstance(a, int) for a in args)


# Arrays ---------------------------------------------------------------------------------------

_SHAPED = frozenset(
    "view reshape flatten unflatten squeeze unsqueeze ravel view_as reshape_as".split()
)
_CREATED = {"zeros": 0, "ones": 1, "zeros_like": 0, "ones_like": 1, "new_zeros": 0, "new_ones": 1}


def array(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], dims: Sequence[int]) -> Any:
    """The values of a small tensor of shape `dims`, or None: numpy's arrays of objects do as torch.

    args: arrays, numbers, and what else the operation takes.
    """
    import numpy as np

    first = args[0] if args else None
    if name in ("tensor", "as_tensor"):
        return _filled(np, first, dims)
    if name in _CREATED:
        return np.full(dims, _CREATED[name], dtype=object)
    if name in ("full", "full_like", "new_full"):
        value = kwargs.get("fill_value", args[-1])
        return None if _is_unknown(value) else np.full(dims, value, dtype=object)
    if name in ("cat", "stack") and isinstance(first, (tuple, list)):
        axis = kwargs.get("dim", args[1] if len(args) > 1 else 0)
        parts = [_as_array(np, v) for v in first]
        if any(p is None for p in parts) or not isinstance(axis, int):
            return None
        return (np.concatenate if name == "cat" else np.stack)(parts, axis)
    if not isinstance(first, np.ndarray):
        if not any(isinstance(a, np.ndarray) for a in args) or name not in _BY_ELEMENT:
            return None
    elif name in _SHAPED:
        return first.reshape(dims)
    elif name in ("expand", "expand_as", "repeat", "broadcast_to"):
        return np.broadcast_to(first, dims) if name != "repeat" else None
    elif name == "flip":
        return np.flip(first, kwargs.get("dims", args[1] if len(args) == 2 else tuple(args[1:])))
    elif name == "getitem":
        return first[args[1]] if _is_static(args[1]) else None
    elif name in _REDUCED:
        return _reduced(np, name, first, args[1:], kwargs)
    if name not in _BY_ELEMENT:
        return None
    operands = [a for a in args if not isinstance(a, torch.dtype)]
    if any(_is_unknown(a) for a in operands):
        return None
    rest = [a for a in args if isinstance(a, torch.dtype)]
    wide = np.broadcast_arrays(*[np.asarray(a, dtype=object) for a in operands])
    lanes = zip(*(w.flat for w in wide), strict=True)
    values = [scalar(name, [*each, *rest], kwargs) for each in lanes]
    if any(v is None or type(v) is float for v in values):  # a quotient, which torch rounds sooner
        return None
    return _filled(np, values, wide[0].shape)


_BY_ELEMENT = frozenset({*_EXACT, *_OF_INTEGERS, *_THE_SAME, "to", "long", "int", "div"})
_REDUCED = frozenset("sum prod max min amax amin".split())


def _filled(np: Any, values: Any, dims: Sequence[int]) -> Any:
    """An array of numbers from nested lists, item by item: numpy is not to look into them."""
    flat: list[Any] = []
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, (tuple, list)):
            stack += value[::-1]
        elif isinstance(value, np.ndarray):
            stack += [*value.flat][::-1]
        elif _is_unknown(value):
            return None
        else:
            flat.append(value)
    found = np.empty(len(flat), dtype=object)
    for i, value in enumerate(flat):
        found[i] = value
    return found.reshape(dims)


def _as_array(np: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    return None if _is_unknown(value) else _filled(np, [value], ())


def _is_unknown(value: Any) -> bool:
    return not isinstance(value, (int, float)) and type(value).__name__ != "ndarray"


def _is_static(index: Any) -> bool:
    def fixed(item: object) -> bool:
        if type(item) is slice:
            return all(map(fixed, (item.start, item.stop, item.step)))
        return item is None or item is Ellipsis or type(item) is int

    return all(map(fixed, index if isinstance(index, tuple) else (index,)))


def _reduced(
    np: Any, name: str, values: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """A sum, product or extreme over all elements; a sum or product over one axis."""
    given = [*args, *kwargs.values()]
    axis = given[0] if given else None
    if len(given) > 1 or (axis is not None and (type(axis) is not int or name not in _TOTALS)):
        return None
    if axis is None:
        return _total(name, [*values.flat])
    lanes = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
    shape = tuple(np.delete(values.shape, axis))
    return _filled(np, [_total(name, [*lane]) for lane in lanes], shape)


_TOTALS: dict[str, Callable[[Any], Any]] = {"sum": sum, "prod": math.prod}


def _total(name: str, values: Sequence[Any]) -> Any:
    if name in _TOTALS:
        return _TOTALS[name](values)
    return _extreme(values, -1 if "min" in name else 1)


def _extreme(values: Sequence[Any], sign: int) -> Any:
    found = largest(values, sign=sign)
    return (max if sign > 0 else min)(values) if found is None else found
