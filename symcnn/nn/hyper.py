"""Hyperparameters as a user gives them: ints or sympy expressions, alone or one per axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import SupportsIndex, TypeVar, Union

from symcnn.algebra.expr import Number, from_sympy
from symcnn.algebra.size import Int, ceildiv, floordiv, is_whole, maximum
from symcnn.errors import BadSpec, ShapeMismatch
from symcnn.lazy import sympy
from symcnn.ops.registry import OneOrMore, at_least

#: A hyperparameter as users give it: a number of any kind that is whole.
Given = Union[Number, SupportsIndex]
T = TypeVar("T")
#: One, none, or several of them in turn.
Nested = Union[T, None, tuple["Nested[T]", ...], list["Nested[T]"]]


def whole(value: Given, name: str) -> Int:
    """One whole number. Raises ShapeMismatch for anything that is not known to be one."""
    if isinstance(value, bool):
        raise ShapeMismatch(f"{name}={value} is not a whole number")
    try:
        number = from_sympy(value)
        if is_whole(number):
            return number
        raise BadSpec(
            f"{number} is not whole for all its symbols",
            cure='declare what they divide by: symcnn.odd("k"), symcnn.multiple("C", of=2)',
        )
    except BadSpec as error:
        cure = error.cure if isinstance(value, sympy.Basic) else ""
        raise ShapeMismatch(f"{name}={value!r} is not a whole number", cure=cure) from None


def positive(value: Given, name: str) -> Int:
    """One whole number, at least 1. Raises ShapeMismatch otherwise."""
    number = whole(value, name)
    at_least(name, (number,), 1)
    return number


def each(value: Nested[Given], name: str) -> Nested[Int]:
    """A number, None, or several of them, as given: `symcnn.ops` checks how many there may be."""
    if isinstance(value, (tuple, list)):
        return tuple(each(v, name) for v in value)
    return None if value is None else whole(value, name)


def repeated(value: OneOrMore[Given], n: int, name: str) -> tuple[Int, ...]:
    """A number `n` times; several numbers stay as given, however many, as in torch.nn."""
    if isinstance(value, (tuple, list)):
        return tuple(whole(v, name) for v in value)
    return _times(whole(value, name), n)


@lru_cache(maxsize=256, typed=True)  # layers of a network share them
def _times(value: Int, n: int) -> tuple[Int, ...]:
    return (value,) * n


@lru_cache(maxsize=256)
def shared(*dims: Int) -> tuple[Int, ...]:
    """The shape of a parameter: layers of a network share it."""
    return dims


def same_pads(
    sizes: Sequence[Int], extents: Sequence[Int], strides: Sequence[Int]
) -> tuple[Int, ...]:
    """TensorFlow's SAME as `F.pad` takes it: as much as makes ``ceil(size/stride)`` windows, the
    odd pixel on the right.

    Where the windows leave rows out, they are cropped: no window reads them.
    """
    pads: list[Int] = []
    for x, extent, stride in zip(sizes, extents, strides, strict=True):
        total = (ceildiv(x, stride) - 1) * stride + extent - x
        left = floordiv(maximum(total, 0), 2)
        pads = [left, total - left, *pads]
    return tuple(pads)


def same_crop(extents: Sequence[Int], strides: Sequence[Int]) -> tuple[Int, ...]:
    """What a transposed SAME convolution crops, as negative pads: its output is ``size*stride``."""
    pads: list[Int] = []
    for extent, stride in zip(extents, strides, strict=True):
        total = extent - stride
        left = floordiv(maximum(total, 0), 2)
        pads = [-left, left - total, *pads]
    return tuple(pads)
