"""Tensors made from sizes: nothing goes in but a shape, so nothing maps to an axis.

The one law: ``arange(start, end, step)`` has ``ceil((end - start)/step)`` elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import ceil, isfinite
from typing import Any, Union

from symcnn.algebra.size import Int, Size, ceildiv, denominator, floordiv, maximum
from symcnn.errors import DataDependent, ShapeMismatch, UnsupportedOperation
from symcnn.ops import dtypes, values, work
from symcnn.ops.operation import torch_rules as any_rules
from symcnn.ops.pointwise import broadcast
from symcnn.ops.registry import OneOrMore, Operand, at_least, of_everything, same_axes, unpacked
from symcnn.ops.storage import pointwise as points
from symcnn.ops.storage import views
from symcnn.ops.takes import require_number
from symcnn.ops.work import moves as rule
from symcnn.trace.graph import Node, Result, SymbolicTensor, apply
from symcnn.trace.tape import empties

rules = partial(any_rules, other=work.nothing, slides=False)


def made(*dims: Int) -> Result:
    """A new tensor of this shape; a size may be 0."""
    return of_everything(dims, at_least("size", dims, 0), empties(dims))


def _of_size(*sizes: OneOrMore[Int], size: Sequence[Int] = (), **kwargs: object) -> Result:
    return made(*unpacked(sizes), *size)


_sized = partial(rules, saves="", dtype=dtypes.created, uniform=True, sizes=True)
_sized("zeros", value=values.filled(0))(_of_size)
_sized("ones", value=values.filled(1))(_of_size)


def _empty(*sizes: OneOrMore[Int], size: Sequence[Int] = (), **kwargs: object) -> Result:
    """A shape, of a memory format; there is none to keep."""
    result = _of_size(*sizes, size=size)
    views.require_format(len(result.shapes[0]), (), kwargs)
    if str(kwargs.get("memory_format")) == "torch.preserve_format":
        raise ShapeMismatch("empty: torch.preserve_format of no tensor", cure="leave it out")
    return result


rules("empty", saves=points.formatted, dtype=dtypes.created, uniform=True, sizes=True)(_empty)
rules("rand randn", saves="", dtype=dtypes.created)(_of_size)


#: Where a row of numbers starts, ends, or how far it steps.
Bound = Union[float, Size, SymbolicTensor]


@rule("full", saves="", dtype=dtypes.full, uniform=True, value=values.created, sizes=True)
def full(size: Sequence[Int], fill_value: object = None, **kwargs: object) -> Result:
    """A shape filled with one number."""
    require_number("full", fill_value, dtypes.said((), kwargs))
    return made(*size)


@rule("empty_permuted", scrambles=True, dtype=dtypes.created)
def empty_permuted(size: Sequence[Int], physical_layout: Sequence[int], **kwargs: object) -> Result:
    """A shape, whatever the order of its axes in memory."""
    if sorted(physical_layout) != list(range(len(size))):
        raise ShapeMismatch(f"empty_permuted: {tuple(physical_layout)} is no order of the axes")
    return made(*size)


@rule("empty_strided", scrambles=True, dtype=dtypes.created)
def empty_strided(size: Sequence[Int], stride: Sequence[Int], **kwargs: object) -> Result:
    """A shape, whatever its layout."""
    return made(*size)


@rule("randint", saves="", dtype="int64")
def randint(
    *args: Int | Sequence[Int], size: Sequence[Int] | None = None, **kwargs: object
) -> Result:
    """Random whole numbers: ``randint(high, size)`` or ``randint(low, high, size)``."""
    shape = args[-1] if size is None else size
    if not isinstance(shape, Sequence):
        raise ShapeMismatch(f"randint: size={shape}", cure="a size is a tuple: randint(9, (3,))")
    return made(*shape)


@rule("normal", saves="", dtype=dtypes.first, takes={"": "float complex", "std": "bool int float"})
def normal(
    mean: Operand, std: Operand = 1.0, size: Sequence[Int] | None = None, **kwargs: object
) -> Result:
    """Random numbers: of a shape, or around the means in a tensor."""
    if isinstance(std, (int, float)) and std < 0:
        raise ShapeMismatch(f"normal: std={std}", cure="a spread is not negative")
    if size is not None:
        return made(*size)
    return broadcast(mean, std)


@rule("randperm", saves="", dtype="int64", value=values.shuffled)
def randperm(n: Int, **kwargs: object) -> Result:
    """The numbers below `n`, shuffled."""
    return made(n)


#: Floats with so small a part of 2 divide sizes exactly.
_EXACT = 1024


@rule("arange", saves="", dtype=dtypes.arange, value=values.row, sizes=True)
def arange(
    start: Bound | None = None, end: Bound | None = None, step: Bound = 1, **kwargs: object
) -> Result:
    """Equally spaced numbers from `start` to before `end`, which must not lie behind it: torch
    refuses to count from 0.5 to 0.
    """
    start, end = (start, end) if end is not None else (0, start)
    if end is None:
        raise ShapeMismatch("arange needs an end")
    start = 0 if start is None else start
    tensors = isinstance(start, SymbolicTensor) or isinstance(end, SymbolicTensor)
    if tensors or isinstance(step, SymbolicTensor):
        raise DataDependent("arange: its bounds stand in a tensor", cure="give numbers")
    if step == 0:
        raise ShapeMismatch("arange: step=0", cure="the step must not be zero")
    first: Any = start
    last: Any = end
    if isinstance(end, Size) or isinstance(start, Size):  # a float end: 0.5 is 1/2
        first, last = (Fraction(v) if isinstance(v, float) else v for v in (first, last))
    gap = last - first
    if isinstance(gap, Size) or isinstance(step, Size):
        by: Any = step
        if isinstance(step, float):
            exact = Fraction(step)
            if exact.denominator > _EXACT:
                raise UnsupportedOperation(f"arange over sizes by step={step}", cure="whole steps")
            gap, by = gap * exact.denominator, exact.numerator
        length = ceildiv(gap, by)
        if isinstance(by, Size) or not isinstance(gap, Size):
            return made(length)
        ahead = (gap if by > 0 else -gap) * denominator(gap)
        return of_everything((length,), at_least("end - start", (ahead,), 0), empties((length,)))
    if type(gap) is float and not isfinite(gap):
        raise ShapeMismatch(f"arange from {start} to {end} has no end")
    length = ceil(gap / step)
    if gap / step < 0:
        raise ShapeMismatch(f"arange from {start} to {end} by {step} goes the wrong way")
    return made(getattr(length, "expr", length))  # of floats that python computes from sizes


def _spaced(start: Operand, end: Operand, steps: Int, *args: object, **kwargs: object) -> Result:
    """`steps` equally spaced numbers."""
    if any(isinstance(end, SymbolicTensor) and end.ndim for end in (start, end)):
        raise ShapeMismatch("linspace takes numbers, or tensors without axes, as its ends")
    return made(steps)


_along = partial(rule, saves="", dtype=dtypes.created, sizes=True)
linspace = _along("linspace", value=values.spread)(_spaced)
_along("logspace")(_spaced)


@rule("eye", saves="", dtype=dtypes.created)
def eye(n: Int, m: Int | None = None, **kwargs: object) -> Result:
    """A matrix with ones on its diagonal."""
    return made(n, n if m is None else m)


def _longer(node: Node) -> tuple[Sequence[SymbolicTensor], Sequence[SymbolicTensor]]:
    """A periodic window of more than one place is one of a place more, without its last."""
    (n,) = node.outputs[0].dims
    periodic = node.arguments.get("periodic") in (None, True)
    whole = n + 1 - maximum(2 - n, 0) if periodic else n
    return [apply("narrow", apply("zeros", whole, dtype=node.outputs[0].dtype), 0, 0, n)], ()


@rules(
    "hann_window hamming_window blackman_window bartlett_window kaiser_window",
    steps=_longer,
    dtype=dtypes.created,
)
def window(window_length: Int, periodic: bool = True, *shape: float, **kwargs: object) -> Result:
    """The weights of so many places, of one of the shapes that signals are cut by."""
    return made(window_length)


@rules("fft_fftfreq", saves="", dtype=dtypes.created)
def frequencies(n: Int, d: float = 1.0, **kwargs: object) -> Result:
    """The frequencies of the bins of a transform of so many places."""
    return made(n)


def _halved(n: Int, d: float = 1.0, **kwargs: object) -> Result:
    return made(floordiv(n, 2) + 1)


rules("fft_rfftfreq", saves="", dtype=dtypes.created)(_halved)


def _unread(result: Result) -> Result:
    """What is made whatever the values of the tensor it is made like."""
    return replace(result, axes=None)


def _new_of_size(
    input: SymbolicTensor, *sizes: OneOrMore[Int], size: Sequence[Int] = (), **kwargs: object
) -> Result:
    """A new tensor of the same type."""
    return _unread(made(*unpacked(sizes), *size))


_new_sized = partial(rule, saves="", uniform=True, sizes=True)
_new_sized("new_zeros", value=values.filled(0))(_new_of_size)
_new_sized("new_ones", value=values.filled(1))(_new_of_size)
_new_sized("new_empty")(_new_of_size)


@rule("new_full", saves="", uniform=True, value=values.created, sizes=True)
def new_full(
    input: SymbolicTensor, size: Sequence[Int], fill_value: object, **kwargs: object
) -> Result:
    """A new tensor of the same type, filled with one number."""
    require_number("new_full", fill_value, dtypes.said((), kwargs) or input.dtype)
    return _unread(made(*size))


@rule("new_empty_strided", scrambles=True)
def new_empty_strided(
    input: SymbolicTensor, size: Sequence[Int], stride: Sequence[Int], **kwargs: object
) -> Result:
    """A new tensor of the same type, whatever its layout."""
    return _unread(made(*size))


@rule("scalar_tensor", saves="", dtype=dtypes.created, value=values.same)
def scalar_tensor(s: object, **kwargs: object) -> Result:
    """A number as a tensor."""
    return made()


def _tensor_of(data: object, *args: object, **kwargs: object) -> Result:
    """A tensor as it is, or nested lists of numbers (sizes among them) as one."""
    if isinstance(data, SymbolicTensor):
        return Result((data.dims,), axes=same_axes(data.ndim))
    return made(*_nesting(data))


rules("tensor", saves="", dtype=dtypes.literal, gradient=False, value=values.literal)(_tensor_of)
rules(
    "asarray", saves=points.as_tensor, dtype=dtypes.literal, gradient=False, value=values.literal
)(_tensor_of)
rules("as_tensor", saves=points.as_tensor, dtype=dtypes.literal, value=values.literal)(_tensor_of)


@rule("new_tensor", saves="", dtype=dtypes.literal, gradient=False)
def new_tensor(input: SymbolicTensor, data: object, **kwargs: object) -> Result:
    """The same, of the type of a tensor that is not read."""
    if isinstance(data, SymbolicTensor):
        return Result((data.dims,), axes=None, others=((data, same_axes(data.ndim)),))
    return _unread(made(*_nesting(data)))


def _nesting(data: object) -> tuple[Int, ...]:
    if isinstance(data, SymbolicTensor):
        return data.dims
    if hasattr(data, "shape"):  # of numpy
        return tuple(data.shape)
    if isinstance(data, (list, tuple)):
        return (len(data), *(_nesting(data[0]) if data else ()))
    return ()


def _triangle(rows: Int) -> Int:
    """1 + 2 + ... + rows; 0 of none."""
    count = maximum(rows, 0)
    return count * (count + 1) // 2


def _lower(row: Int, col: Int, offset: Int) -> Int:
    """How many places of a matrix lie on a diagonal or below it.

    Row r has r + 1 + offset of them, at least none and at most all: that is a triangle of as many
    rows as the last has, without the rows before the first, and without what is beyond the columns.
    """
    beyond = _triangle(row + offset - col) - _triangle(offset - col)
    return _triangle(row + offset) - _triangle(offset) - beyond


@rule("tril_indices", saves="", dtype="int64")
def tril_indices(row: Int, col: Int, offset: Int = 0, **kwargs: object) -> Result:
    """The places of a matrix on a diagonal or below it: their rows and columns."""
    return _places(_lower(row, col, offset))


@rule("triu_indices", saves="", dtype="int64")
def triu_indices(row: Int, col: Int, offset: Int = 0, **kwargs: object) -> Result:
    """The same on a diagonal or above it: all that are not below it."""
    return _places(row * col - _lower(row, col, offset - 1))


def _places(count: Int) -> Result:
    return Result(((2, count),), empties=empties((count,)))
