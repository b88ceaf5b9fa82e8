"""Tensors made from sizes: nothing goes in but a shape, so nothing maps to an axis.

The one law: ``arange(start, end, step)`` has ``ceil((end - start)/step)`` elements.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, isfinite
from typing import Any

from symcnn.algebra.size import Int, Size, ceildiv
from symcnn.errors import DataDependent, ShapeMismatch, UnsupportedOperation
from symcnn.ops.pointwise import broadcast
from symcnn.ops.registry import at_least, mixed, rule, unpacked
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Result, SymbolicTensor

__all__: list[str] = []


def made(*dims: Int) -> Result:
    """A new tensor of this shape; its sizes must be positive."""
    at_least("size", dims, 0)
    why = "a size must not be negative"
    requires = tuple(Condition(size, ">=", 1, why) for size in dims if isinstance(size, Size))
    return Result((tuple(dims),), mixed(dims), requires=requires)


def _of_size(*size: Any, **kwargs: Any) -> Result:
    return made(*unpacked((*size, *([kwargs["size"]] if "size" in kwargs else []))))


for _name in ("zeros", "ones", "empty", "rand", "randn"):
    rule(_name)(_of_size)


@rule("full")
def full(size: Any, fill_value: Any = None, **kwargs: Any) -> Result:
    """A shape filled with one number."""
    return made(*size)


@rule("empty_permuted")
def empty_permuted(size: Any, physical_layout: Any, **kwargs: Any) -> Result:
    """A shape, whatever the order of its axes in memory."""
    if sorted(physical_layout) != list(range(len(size))):
        raise ShapeMismatch(f"empty_permuted: {tuple(physical_layout)} is no order of the axes")
    return made(*size)


@rule("empty_strided")
def empty_strided(size: Any, stride: Any, **kwargs: Any) -> Result:
    """A shape, whatever its layout."""
    return made(*size)


@rule("randint")
def randint(*args: Any, **kwargs: Any) -> Result:
    """Random whole numbers: ``randint(high, size)`` or ``randint(low, high, size)``."""
    size = kwargs["size"] if "size" in kwargs else args[-1]
    return made(*size)


@rule("normal")
def normal(mean: Any, std: Any = 1.0, size: Any = None, **kwargs: Any) -> Result:
    """Random numbers: of a shape, or around the means in a tensor."""
    if isinstance(std, (int, float)) and std < 0:
        raise ShapeMismatch(f"normal: std={std}", cure="a spread is not negative")
    if size is not None:
        return made(*size)
    return broadcast(mean, std)


@rule("randperm")
def randperm(n: Int, **kwargs: Any) -> Result:
    """The numbers below `n`, shuffled."""
    return made(n)


@rule("arange")
def arange(start: Any = None, end: Any = None, step: Any = 1, **kwargs: Any) -> Result:
    """Equally spaced numbers from `start` to before `end`."""
    start, end = (start, end) if end is not None else (0, start)
    if end is None:
        raise ShapeMismatch("arange needs an end")
    start = 0 if start is None else start
    if any(isinstance(v, SymbolicTensor) for v in (start, end, step)):
        raise DataDependent("arange: its bounds stand in a tensor", cure="give numbers")
    if step == 0:
        raise ShapeMismatch("arange: step=0", cure="the step must not be zero")
    if isinstance(end, Size) or isinstance(start, Size):  # a float end: 0.5 is 1/2
        start, end = (Fraction(v) if isinstance(v, float) else v for v in (start, end))
    gap = end - start
    if isinstance(gap, Size) or isinstance(step, Size):
        if isinstance(step, float) and not step.is_integer():
            raise UnsupportedOperation(f"arange over sizes by step={step}", cure="use whole steps")
        return made(ceildiv(gap, int(step) if isinstance(step, float) else step))
    if not isfinite(gap):
        raise ShapeMismatch(f"arange from {start} to {end} has no end")
    length = ceil(gap / step)
    if gap / step < 0:
        raise ShapeMismatch(f"arange from {start} to {end} by {step} goes the wrong way")
    return made(length)


@rule("linspace", "logspace")
def linspace(start: Any, end: Any, steps: Int, *args: Any, **kwargs: Any) -> Result:
    """`steps` equally spaced numbers."""
    if any(isinstance(end, SymbolicTensor) and end.ndim for end in (start, end)):
        raise ShapeMismatch("linspace takes numbers, or tensors without axes, as its ends")
    return made(steps)


@rule("eye")
def eye(n: Int, m: Any = None, **kwargs: Any) -> Result:
    """A matrix with ones on its diagonal."""
    return made(n, n if m is None else m)


def _unread(result: Result) -> Result:
    """What is made whatever the values of the tensor it is made like."""
    return replace(result, axes=None)


@rule("new_zeros", "new_ones", "new_empty")
def new_zeros(input: SymbolicTensor, *size: Any, **kwargs: Any) -> Result:
    """A new tensor of the same type."""
    return _unread(made(*unpacked((*size, *([kwargs["size"]] if "size" in kwargs else [])))))


@rule("new_full")
def new_full(input: SymbolicTensor, size: Any, fill_value: Any, **kwargs: Any) -> Result:
    """A new tensor of the same type, filled with one number."""
    return _unread(made(*size))


@rule("new_empty_strided")
def new_empty_strided(input: SymbolicTensor, size: Any, stride: Any, **kwargs: Any) -> Result:
    """A new tensor of the same type, whatever its layout."""
    return _unread(made(*size))


@rule("scalar_tensor")
def scalar_tensor(s: Any, **kwargs: Any) -> Result:
    """A number as a tensor."""
    return made()


@rule("tensor", "as_tensor", "new_tensor")
def tensor_of(data: Any, *args: Any, **kwargs: Any) -> Result:
    """Nested lists of numbers (sizes among them) as a tensor."""
    if args and not isinstance(data, (int, float, list, tuple, Size)):
        data = args[0]
    return made(*_nesting(data))


def _nesting(data: Any) -> tuple[Int, ...]:
    if isinstance(data, SymbolicTensor):
        return data.dims
    if isinstance(data, (list, tuple)):
        return (len(data), *(_nesting(data[0]) if data else ()))
    return ()


@rule("tril_indices", "triu_indices")
def tril_indices(row: int, col: int, offset: int = 0, **kwargs: Any) -> Result:
    """Places in a triangle: rows and columns of as many as there are."""
    raise UnsupportedOperation("the indices of a triangle of symbolic size have no rule")
