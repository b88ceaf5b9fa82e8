"""Operators that move elements: reshape, slice, gather, pad, join.

Shapes, axes, starts and pads are elements of other tensors; they follow from the sizes (see
`values`), and where they do not, the operator is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Folded, Whole, Window
from symcnn.algebra.size import Int, Size, ceildiv, maximum, prod
from symcnn.errors import BadSpec, ShapeMismatch
from symcnn.frontends.onnx.step import Outputs, Step, numeric, operator
from symcnn.ops.operation import rule
from symcnn.ops.registry import leading_axes, map_axes, normal_dim, whole_axes
from symcnn.sets.condition import Condition
from symcnn.trace.graph import OPS, Parameter, Result, SymbolicTensor, apply, several

#: Ends of slices beyond so much mean the end of the axis.
_FAR = 1 << 31


@operator("Reshape")
def reshape(step: Step) -> Outputs:
    """The same elements in another shape; 0 keeps an axis, -1 is what is left."""
    x, target = step.tensor(), step.numbers("shape", 1) or ()
    if not step.attribute("allowzero", 0):
        if any(n == 0 and i >= x.ndim for i, n in enumerate(target)):
            raise ShapeMismatch(f"the shape {list(target)} keeps an axis that a {x.ndim}-d has not")
        target = tuple(x.dims[i] if n == 0 else n for i, n in enumerate(target))
    return OPS["view"](x, *target)


@operator("Flatten")
def flatten(step: Step) -> Outputs:
    """A matrix: the axes before `axis`, and those from there on."""
    x = step.tensor()
    axis = step.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if axis == 1 and x.ndim > 1:
        return OPS["flatten"](x, 1)
    return OPS["view"](x, prod(x.dims[:axis]), prod(x.dims[axis:]))


@operator("Squeeze")
def squeeze(step: Step) -> Outputs:
    """Without axes of size 1; those named must have it."""
    x, axes = step.tensor(), step.numbers("axes", 1)
    if axes is None:
        return OPS["squeeze"](x)
    gone = {normal_dim(axis, x.ndim, "Squeeze") for axis in axes}
    if all(x.dims[axis] == 1 for axis in gone):
        return OPS["squeeze"](x, tuple(sorted(gone)))
    return OPS["view"](x, *(d for i, d in enumerate(x.dims) if i not in gone))


@operator("Unsqueeze")
def unsqueeze(step: Step) -> Outputs:
    """New axes of size 1, counted in the result."""
    x, axes = step.tensor(), step.numbers("axes", 1) or ()
    rank = x.ndim + len(axes)
    for axis in sorted(normal_dim(axis, rank, "Unsqueeze") for axis in axes):
        x = apply("unsqueeze", x, axis)
    return x


@operator("Transpose")
def transpose(step: Step) -> Outputs:
    """The axes in another order; reversed, if none is given."""
    x = step.tensor()
    return OPS["permute"](x, *step.attribute("perm", tuple(range(x.ndim))[::-1]))


@operator("Expand")
def expand(step: Step) -> Outputs:
    """Stretched over a shape; both broadcast."""
    x, target = step.tensor(), step.numbers("shape", 1) or ()
    lead = max(0, x.ndim - len(target))
    target = (*x.dims[:lead], *target)
    before = (*(1,) * (len(target) - x.ndim), *x.dims)
    return OPS["expand"](
        x, *(have if want == 1 else want for have, want in zip(before, target, strict=True))
    )


@operator("Tile")
def tile(step: Step) -> Outputs:
    """Some times in a row."""
    return OPS["repeat"](step.tensor(), *(step.numbers("repeats", 1) or ()))


@operator("Concat")
def concat(step: Step) -> Outputs:
    """One after the other."""
    tensors = step.tensors()
    axis = step.attribute("axis", 1)
    return OPS["cat"](tensors, axis) if len(tensors) > 1 else apply("identity", tensors[0])


@operator("Split")
def split(step: Step) -> Outputs:
    """Parts of one axis: of sizes that are given, or as many equal ones as there are outputs."""
    x, sections = step.tensor(), step.numbers("split", 1)
    axis = normal_dim(step.attribute("axis", 0), x.ndim, "Split")
    if sections is None:
        count = step.attribute("num_outputs", step.outputs)
        each = ceildiv(x.dims[axis], count)
        sections = (*[each] * (count - 1), x.dims[axis] - each * (count - 1))
    return several("split", x, list(sections), axis)


@operator("Slice")
def slice_(step: Step) -> Outputs:
    """A part of each axis, with python's clipping; backwards for negative steps."""
    x = step.tensor()
    starts, ends = step.numbers("starts", 1) or (), step.numbers("ends", 2) or ()
    axes = step.numbers("axes", 3) or tuple(range(len(starts)))
    steps = step.numbers("steps", 4) or (1,) * len(starts)
    index: list[slice] = [slice(None)] * x.ndim
    backwards: list[int] = []
    start: Any
    for at, start, end, by in zip(axes, starts, ends, steps, strict=True):
        axis = normal_dim(at, x.ndim, "Slice")
        if isinstance(by, int) and by < 0:
            backwards.append(axis)
            start, end, by = _mirrored(start, x.dims[axis]), _mirrored(end, x.dims[axis]), -by
        if isinstance(start, int) and start <= -_FAR:
            start = None
        far = isinstance(end, int) and end >= _FAR
        index[axis] = slice(start or None, None if far else end, by)
    if backwards:
        x = apply("flip", x, tuple(backwards))
    return OPS["getitem"](x, tuple(index))


def _mirrored(bound: Int, size: Int) -> Any:
    """A bound of a slice in the flipped axis."""
    if isinstance(bound, int):
        if bound < 0:
            return None if bound <= -_FAR else -1 - bound
        if bound >= _FAR:
            return 0
    return maximum(0, size - 1 - bound)


# By places ------------------------------------------------------------------------------------


@operator("Gather")
def gather(step: Step) -> Outputs:
    """Places of one axis: one of them, a table's rows, or any."""
    x, places = step.tensor(0), step.value(1)
    axis = normal_dim(step.attribute("axis", 0), x.ndim, "Gather")
    if places.content is not None and not places.dims:
        return OPS["select"](x, axis, step.number("indices", 1))
    if isinstance(x, Parameter) and x.ndim == 2 and axis == 0:
        return OPS["embedding"](places.tensor, x)
    whole: Any = places.tensor
    if places.content is not None and places.content.ndim == 1 and numeric(places.content):
        whole = [int(i) for i in places.content]
    return OPS["getitem"](x, (*[slice(None)] * axis, whole))


@rule("gather_nd", empty=True)
def _gather_nd(input: SymbolicTensor, indices: SymbolicTensor, batch_dims: int = 0) -> Result:
    """Slices by places in the first axes: the last axis of the indices names them."""
    if not indices.ndim or not isinstance(indices.dims[-1], int):
        raise ShapeMismatch("gather_nd: the last axis of the indices has a fixed size")
    used = batch_dims + indices.dims[-1]
    if used > input.ndim:
        raise ShapeMismatch(f"gather_nd: {used} indices for a {input.ndim}-d tensor")
    dims = (*indices.dims[:-1], *input.dims[used:])
    rest = [(used + i, IDENTITY) for i in range(input.ndim - used)]
    return Result((dims,), (*whole_axes(indices.dims[:-1]), *rest))


@rule("scatter_nd", empty=True)
def _scatter_nd(input: SymbolicTensor, indices: SymbolicTensor, updates: SymbolicTensor) -> Result:
    """Slices replaced at places in the first axes."""
    if not indices.ndim or not isinstance(indices.dims[-1], int):
        raise ShapeMismatch("scatter_nd: the last axis of the indices has a fixed size")
    want = (*indices.dims[:-1], *input.dims[indices.dims[-1] :])
    if len(want) != updates.ndim:
        raise ShapeMismatch(f"scatter_nd: updates of {updates.ndim} axes for {len(want)}")
    why = "scatter_nd: there must be an update per place"
    requires = tuple(
        Condition(a, "==", b, why) for a, b in zip(updates.dims, want, strict=True) if a != b
    )
    axes: Axes = tuple(
        (i, Whole(d)) if i < indices.dims[-1] else (i, IDENTITY) for i, d in enumerate(input.dims)
    )
    return Result((input.dims,), axes, requires=requires)


@operator("ReverseSequence")
def reverse_sequence(step: Step) -> Outputs:
    """Each sequence backwards, up to its own length."""
    return OPS["flip"](step.tensor(), (step.attribute("time_axis", 0),))


@operator("Trilu")
def trilu(step: Step) -> Outputs:
    """One triangle of each matrix."""
    return OPS["triu" if step.attribute("upper", 1) else "tril"](step.tensor())


# Pads -----------------------------------------------------------------------------------------


@rule("pad_axes")
def _pad_axes(input: SymbolicTensor, before: Sequence[Int], after: Sequence[Int], mode: Any) -> Any:
    """Pads by what is there, of any axes (`pad` takes the last ones only)."""
    maps: list[AxisMap] = [
        IDENTITY if a == 0 == b else Folded(a, b, mode) for a, b in zip(before, after, strict=True)
    ]
    why = f"{mode} padding must not be larger than the input"
    requires = [
        Condition(size, ">=", p + (mode == "reflect"), why)
        for size, *pads in zip(input.dims, before, after, strict=True)
        for p in pads
        if mode != "replicate" and p != 0
    ]
    sizes, fitting = map_axes(input.dims, maps, "something must be left after padding")
    return Result((sizes,), tuple(enumerate(maps)), requires=(*requires, *fitting))


def padded(
    x: SymbolicTensor, before: Sequence[Int], after: Sequence[Int], mode: str = "constant"
) -> SymbolicTensor:
    """The tensor with so much before and after each of its last axes."""
    pads = [p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair]
    while pads and pads[-1] == 0 == pads[-2]:
        del pads[-2:]
    if not pads:
        return x
    count = len(pads) // 2
    plain = mode == "constant" or (count in (1, 2, 3) and x.ndim - count in (1, 2))
    if plain:
        return apply("pad", x, tuple(pads), mode)
    lead = (0,) * (x.ndim - len(before))
    return apply("pad_axes", x, (*lead, *before), (*lead, *after), mode)


_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operator("Pad")
def pad(step: Step) -> Outputs:
    """Pads, first all befores, then all afters; negative ones crop."""
    x = step.tensor()
    pads = step.numbers("pads", 1) or step.numbers("paddings") or ()
    mode = _MODES.get(step.attribute("mode", "constant"))
    if mode is None:
        raise ShapeMismatch(f"Pad: mode={step.attribute('mode')!r}", cure=", ".join(_MODES))
    axes = step.numbers("axes", 3)
    half = len(pads) // 2
    names = range(x.ndim) if axes is None else [normal_dim(a, x.ndim, "Pad") for a in axes]
    if half != len(names):
        raise ShapeMismatch(f"Pad: {len(pads)} pads for {len(names)} axes", cure="two per axis")
    return _padded_along(
        x, dict(zip(names, zip(pads, pads[half:], strict=False), strict=True)), mode
    )


def _padded_along(
    x: SymbolicTensor, pads: Mapping[int, tuple[Int, Int]], mode: str = "constant"
) -> Outputs:
    """The tensor with so much before and after some axes."""
    before, after = zip(*(pads.get(axis, (0, 0)) for axis in range(x.ndim)), strict=True)
    out = padded(x, before, after, mode)
    return OPS["identity"](x) if out is x else out


@operator("CenterCropPad")
def center_crop_pad(step: Step) -> Outputs:
    """Cropped or padded to a shape, around the centre."""
    x, shape = step.tensor(), step.numbers("shape", 1) or ()
    axes = step.attribute("axes", tuple(range(x.ndim)))
    pads: dict[int, tuple[Int, Int]] = {}
    for at, want in zip(axes, shape, strict=True):
        axis = normal_dim(at, x.ndim, "CenterCropPad")
        gap = want - x.dims[axis]
        if isinstance(gap, Size):
            raise BadSpec(f"whether {x.dims[axis]} is cropped or padded to {want} depends on it")
        before = gap // 2 if gap >= 0 else -(-gap // 2)
        pads[axis] = before, gap - before
    return _padded_along(x, pads)


# Pixels ---------------------------------------------------------------------------------------


@rule("columns_to_image")
def _columns_to_image(
    input: SymbolicTensor, image: Sequence[Int], kernel: Sequence[Int], windows: Sequence[Window]
) -> Result:
    """Columns summed back into an image of any number of axes."""
    counts, fitting = map_axes(image, windows, "the patch must fit into the padded output")
    rows, columns = input.dims[-2:]
    area = prod(kernel)
    requires = [
        Condition(rows % area, "==", 0, "the rows must be a multiple of the patch's elements"),
        Condition(columns, "==", prod(counts), "there must be a column per patch"),
    ]
    dims = (*input.dims[:-2], rows // area, *image)
    axes = (*leading_axes(input.ndim - 2), *whole_axes(dims[input.ndim - 2 :]))
    return Result((dims,), axes, requires=(*fitting, *requires))


def windows_of(kernel: Sequence[Int], *said: Sequence[Int]) -> list[Window]:
    """A window for each axis, of the strides, the pads before and after, and the dilations."""
    return [
        Window(d * (k - 1) + 1, s, a, b, d) for k, s, a, b, d in zip(kernel, *said, strict=True)
    ]


@operator("Col2Im")
def col2im(step: Step) -> Outputs:
    """Columns summed back into an image."""
    image, kernel = step.numbers("image_shape", 1) or (), step.numbers("block_shape", 2) or ()
    n = len(image)
    pads = step.attribute("pads", (0,) * 2 * n)
    dilations, strides = step.attribute("dilations", (1,) * n), step.attribute("strides", (1,) * n)
    windows = windows_of(kernel, strides, pads[:n], pads[n:], dilations)
    return OPS["columns_to_image"](step.tensor(), image, kernel, windows)
