"""Patches: windows cut out of an image, as channels or as an axis, and laid back into one.

One law serves all of them: row ``stride*o - padding + dilation*t`` of the image is tap `t` of
patch `o` (`symcnn.algebra.taps`). Columns (`unfold`, `fold`) merge taps into the channels and
patches into one axis; pixel shuffling is the same with patches that do not overlap, and keeps
their axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Digit, Scatter, Whole, Window
from symcnn.algebra.size import Int, Size, prod
from symcnn.algebra.taps import Laid, Tap
from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.ops import values as held
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    elementwise,
    filled,
    leading_axes,
    map_axes,
    normal_dim,
    of_everything,
    one_or_n,
    require_equal,
    require_rank,
    whole_axes,
)
from symcnn.ops.storage import maps, products, views
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import Result, SymbolicTensor
from symcnn.trace.tape import decided, empties

Dims = tuple[Int, ...]
#: The tensor read in several steps: axes and sizes of each.
Steps = tuple[tuple[Axes, Dims], ...]


def _cut(input: Dims, windows: Sequence[Window], kernel: Dims, sizes: Dims, dims: Dims) -> Steps:
    """An image as patches, their taps merged into the channels, and if `dims` say so their places
    into one axis.
    """
    n = len(input) - 3
    within = [Tap(w.dilation, k) for w, k in zip(windows, kernel, strict=True)]
    between = [Tap(w.stride, y, -w.left) for w, y in zip(windows, sizes, strict=True)]
    coupled = [((n + 1 + i,), taps[i]) for taps in (within, between) for i in range(2)]
    merged: list[Any] = [*leading_axes(n), ((n, n + 1, n + 2), Digit(1, dims[n]))]
    if len(dims) == n + 2:
        merged.append(((n + 3, n + 4), Digit(1, dims[-1])))
    else:
        merged += [(n + 3, IDENTITY), (n + 4, IDENTITY)]
    cut: Axes = (*leading_axes(n + 1), *coupled)
    return (cut, (*input[: n + 1], *kernel, *sizes)), (tuple(merged), dims)


def _laid(
    lead: Dims, windows: Sequence[Window], kernel: Dims, counts: Dims, dims: Dims, columns: bool
) -> Steps:
    """Patches laid back into an image of sizes `dims`: taps out of the channels, and out of one
    axis their places if they are `columns`.
    """
    n, channels = len(lead), dims[-3]
    split: list[Any] = leading_axes(n)
    split += [((n,), Digit(step, length)) for step, length in _digits((channels, *kernel))]
    if columns:
        split += [((n + 1,), Digit(step, length)) for step, length in _digits(counts)]
    else:
        split += [(n + 1, IDENTITY), (n + 2, IDENTITY)]
    both = zip(windows, kernel, dims[-2:], strict=True)
    laid: Axes = (
        *leading_axes(n + 1),
        *(
            ((n + 1 + i, n + 3 + i), Laid(k, y, w.stride, w.left, w.dilation))
            for i, (w, k, y) in enumerate(both)
        ),
    )
    return (tuple(split), (*lead, channels, *kernel, *counts)), (laid, dims)


def _digits(sizes: Sequence[Int]) -> Iterator[tuple[Int, Int]]:
    """The step and the length of every digit."""
    for i, size in enumerate(sizes):
        yield prod(sizes[i + 1 :]), size


# Columns -------------------------------------------------------------------------------------


@rule("unfold", "im2col", saves=products.windows, takes="bool float complex")
def unfold(input: SymbolicTensor, *args: OneOrMore[Int], **kwargs: OneOrMore[Int]) -> Result:
    """Patches as columns: ``(N, C, H, W)`` to ``(N, C*kh*kw, number of windows)``.

    Torch has a method of that name too, which does something else: see `windows_of`. Three plain
    numbers could be meant for either, and a guess could be wrong without anybody noticing.
    """
    three = len(args) == 3 and not kwargs and all(isinstance(v, (int, Size)) for v in args)
    if three or "dimension" in kwargs:
        raise UnsupportedOperation(
            f"unfold{args}: torch.nn.functional.unfold or the method x.unfold?",
            cure="for the function, name its arguments; the method has the rule Tensor.unfold",
        )
    return _columns(input, *args, **kwargs)


def _columns(
    input: SymbolicTensor,
    kernel_size: OneOrMore[Int],
    dilation: OneOrMore[Int] = 1,
    padding: OneOrMore[Int] = 0,
    stride: OneOrMore[Int] = 1,
) -> Result:
    require_rank(input, (3, 4), "unfold")
    windows, kernel, needs = _patches(kernel_size, dilation, padding, stride)
    sizes, requires = map_axes(input.dims[-2:], windows, "the patch must fit into the padded input")
    lead, channels = input.dims[:-3], input.dims[-3]
    dims = (*lead, channels * prod(kernel), prod(sizes))
    axes = (*leading_axes(input.ndim - 3), *whole_axes(dims[-2:]))
    steps = _cut(input.dims, windows, kernel, sizes, dims)
    requires += filled(input, input.dims[-3:]) + needs
    return Result((dims,), axes, requires=tuple(requires), steps=steps)


@rule("fold", "col2im", saves=products.windows, takes="bool float complex")
def fold(
    input: SymbolicTensor,
    output_size: OneOrMore[Int],
    kernel_size: OneOrMore[Int],
    dilation: OneOrMore[Int] = 1,
    padding: OneOrMore[Int] = 0,
    stride: OneOrMore[Int] = 1,
) -> Result:
    """Columns summed back into an image of `output_size`: unfold's transpose."""
    require_rank(input, (2, 3), "fold")
    windows, kernel, needs = _patches(kernel_size, dilation, padding, stride)
    size = one_or_n(output_size, 2, "output_size")
    needs += at_least("output_size", size, 1)
    counts, fitting = map_axes(size, windows, "the patch must fit into the padded output")
    rows, columns = input.dims[-2:]
    area = prod(kernel)
    requires = require_equal(
        rows % area, 0, "fold: the rows must be a multiple of the patch's area"
    )
    requires += require_equal(columns, prod(counts), "fold: there must be a column per patch")
    requires += filled(input, input.dims[-2:])
    lead, channels = input.dims[:-2], rows // area
    dims = (*lead, channels, *size)
    axes = (*leading_axes(input.ndim - 2), *whole_axes(dims[-3:]))
    steps = _laid(lead, windows, kernel, counts, dims, columns=True)
    return Result((dims,), axes, requires=(*needs, *fitting, *requires), steps=steps)


def _patches(
    kernel_size: OneOrMore[Int],
    dilation: OneOrMore[Int],
    padding: OneOrMore[Int],
    stride: OneOrMore[Int],
) -> tuple[list[Window], tuple[Int, ...], list[Requirement]]:
    kernel, dilations = one_or_n(kernel_size, 2, "kernel_size"), one_or_n(dilation, 2, "dilation")
    pads, strides = one_or_n(padding, 2, "padding"), one_or_n(stride, 2, "stride")
    needs: list[Requirement] = []
    for name, values, bound in (
        ("kernel_size", kernel, 1),
        ("dilation", dilations, 1),
        ("padding", pads, 0),
        ("stride", strides, 1),
    ):
        needs += at_least(name, values, bound)
    hypers = zip(kernel, strides, pads, dilations, strict=True)
    return [Window.conv(*hyper) for hyper in hypers], kernel, needs


@rule("Tensor.unfold", saves=views.sliding, slides=False, value=held.windows)
def windows_of(input: SymbolicTensor, dimension: int, size: Int, step: Int) -> Result:
    """The method ``x.unfold``: windows over one axis, their content as a new last axis."""
    needs = at_least("size", (size,), 0) + at_least("step", (step,), 1)
    axis = normal_dim(dimension, input.ndim, "unfold")
    if not input.ndim:
        return of_everything((size,), (Condition(1, ">=", size), *needs))
    window = Window(size, step)
    length = input.dims[axis]
    count = window.size(length)
    needs.append(Condition(length, ">=", size, "the window must fit"))
    axes: Axes = (*leading_axes(input.ndim), (None, Whole(size)))
    axes = (*axes[:axis], (axis, window), *axes[axis + 1 :])
    dims = (*input.dims[:axis], count, *input.dims[axis + 1 :], size)
    taps: Any = [*leading_axes(input.ndim), ((axis,), Tap(1, size))]
    taps[axis] = ((axis,), Tap(step, count))
    some = empties((size,))
    return Result((dims,), axes, requires=(*needs,), steps=((tuple(taps), dims),), empties=some)


# Pixels and channels --------------------------------------------------------------------------


@rule("pixel_shuffle", saves=maps.images)
def pixel_shuffle(input: SymbolicTensor, upscale_factor: Int) -> Result:
    """``r*r`` channels become one channel of ``r x r`` pixels."""
    channels, height, width = _image(input, "pixel_shuffle")
    r = upscale_factor
    needs = at_least("upscale_factor", (r,), 1)
    why = "pixel_shuffle: the channels must be a multiple of upscale_factor squared"
    requires = (*needs, *require_equal(channels % (r * r), 0, why))
    dims = (*input.dims[:-3], channels // (r * r), height * r, width * r)
    windows = [Window(r, r)] * 2
    steps = _laid(input.dims[:-3], windows, (r, r), (height, width), dims, columns=False)
    return Result((dims,), _blocks(input, dims, Scatter(r, r)), requires=requires, steps=steps)


@rule("pixel_unshuffle", saves=maps.images)
def pixel_unshuffle(input: SymbolicTensor, downscale_factor: Int) -> Result:
    """Blocks of ``r x r`` pixels become ``r*r`` channels."""
    channels, height, width = _image(input, "pixel_unshuffle")
    r = downscale_factor
    needs = at_least("downscale_factor", (r,), 1)
    some = filled(input, input.dims)
    if any(decided(need) is False for need in some):
        return elementwise(input)  # torch hands back what is empty
    why = "pixel_unshuffle: height and width must be multiples of downscale_factor"
    needs += require_equal(height % r, 0, why) + require_equal(width % r, 0, why)
    requires = (*some, *needs)
    dims = (*input.dims[:-3], channels * r * r, height // r, width // r)
    steps = _cut(input.dims, [Window(r, r)] * 2, (r, r), dims[-2:], dims)
    return Result((dims,), _blocks(input, dims, Window(r, r)), requires=requires, steps=steps)


def _image(x: SymbolicTensor, op: str) -> tuple[Int, Int, Int]:
    if x.ndim < 3:
        raise ShapeMismatch(f"{op} takes an input of at least 3 axes, not {x.ndim}")
    return x.dims[-3], x.dims[-2], x.dims[-1]


def _blocks(x: SymbolicTensor, dims: Sequence[Int], space: AxisMap) -> Axes:
    lead = x.ndim - 3
    return (*leading_axes(lead), (lead, Whole(dims[-3])), (lead + 1, space), (lead + 2, space))
