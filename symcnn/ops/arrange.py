"""Operations that repeat, stack, and move axes about.

Two laws serve nearly all of them: a repeated axis has its size times the repeats, an expanded one
must have had size 1; and whatever moves whole axes is a permutation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Const, Folded, Scatter, Whole, Window
from symcnn.algebra.size import Int, maximum, prod
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops import dtypes, moves, values
from symcnn.ops.pointwise import broadcast_dims, fits
from symcnn.ops.registry import (
    OneOrMore,
    aligned,
    at_least,
    leading_axes,
    normal_dim,
    normal_dims,
    of_everything,
    over,
    require_equal,
    require_rank,
    unpacked,
    whole_axes,
    with_holes,
)
from symcnn.ops.shape import Strides, join, permuted, reshaped
from symcnn.ops.storage import maps, views
from symcnn.ops.work import moves as rule
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import OPS, Constant, Dims, Result, SymbolicTensor, apply, tensors_in
from symcnn.trace.tape import empties, may_be_empty

# Expanding and repeating ----------------------------------------------------------------------


@rule("expand", "broadcast_to", saves=views.expand, uniform=True, value=values.expanded, sizes=True)
def expand(input: SymbolicTensor, *size: OneOrMore[Int], implicit: bool = False) -> Result:
    """Axes of size 1 stretched, and new ones in front; -1 keeps an axis."""
    return _expanded(input, unpacked(size))


def _expanded(input: SymbolicTensor, target: tuple[Int, ...]) -> Result:
    lead = len(target) - input.ndim
    text = f"expand({', '.join(map(str, target))})"
    if lead < 0:
        raise ShapeMismatch(f"{text} is too short for a {input.ndim}-d tensor")
    dims: list[Int] = []
    target, requires = with_holes(target, text)
    for i, want in enumerate(target):
        have = input.dims[i - lead] if i >= lead else 1
        if want == -1 and i < lead:
            raise ShapeMismatch(f"{text}: there is no axis for the -1 to keep")
        if isinstance(want, int) and want < -1:
            raise ShapeMismatch(f"{text}: a size is at least 0, or -1")
        dims.append(have if want == -1 else want)
    requires += fits(input.dims, dims, f"{text}: only an axis of size 1 can be stretched")
    axes, some = aligned(input.dims, tuple(dims)), empties(want for want in target if want != -1)
    return Result((tuple(dims),), axes, requires=tuple(requires), empties=some)


@rule("expand_as", saves=views.expand, value=values.expanded)
def expand_as(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """Expanded to the shape of `other`, of which nothing is read."""
    return replace(_expanded(input, other.dims), others=((other, None),))


def broadcast_tensors(*tensors: object) -> tuple[SymbolicTensor, ...]:
    """All tensors, expanded to the shape they broadcast to."""
    every = list(tensors_in(*tensors))
    dims, _ = broadcast_dims(*(t.dims for t in every))
    return tuple(cast("SymbolicTensor", expand(t, *dims)) for t in every)


OPS["broadcast_tensors"] = broadcast_tensors


def unravel_index(
    indices: SymbolicTensor, shape: OneOrMore[Int]
) -> SymbolicTensor | tuple[SymbolicTensor, ...]:
    """Places of a map that is laid out in a row, an axis at a time; as torch writes it."""
    if indices.dtype and indices.dtype not in dtypes.WHOLES:
        raise ShapeMismatch(f"unravel_index takes whole numbers, not {indices.dtype}")
    sizes = Constant((len(unpacked((shape,))),), dtype="int64")
    rows = apply("floor_divide", apply("unsqueeze", indices, -1), sizes)
    return apply("unbind", apply("remainder", rows, sizes), -1)


OPS["unravel_index"] = unravel_index


@rule("repeat", saves="", uniform=True, value=values.kept, sizes=True)
def repeat(input: SymbolicTensor, *repeats: OneOrMore[Int]) -> Result:
    """The whole tensor, some times along every axis; new axes come in front."""
    return _repeated(input, unpacked(repeats))


def _repeated(input: SymbolicTensor, times: tuple[Int, ...]) -> Result:
    if len(times) < input.ndim:
        raise ShapeMismatch(f"repeat{times} names fewer axes than the {input.ndim} there are")
    needs = at_least("repeats", times, 0)
    lead = len(times) - input.ndim
    before = (*(1,) * lead, *input.dims)
    dims = tuple(size * n for size, n in zip(before, times, strict=True))
    axes: Axes = tuple(
        (None, Whole(n)) if i < lead else (i - lead, _again(before[i], n))
        for i, n in enumerate(times)
    )
    some = empties(size for size, n in zip(dims, times, strict=True) if n != 1)
    return Result((dims,), axes, requires=tuple(needs), empties=some)


def _again(size: Int, times: Int) -> AxisMap:
    """An axis, some times in a row: circular padding."""
    if times == 1:
        return IDENTITY
    return Const(times) if size == 1 else Folded(0, size * (times - 1), "circular")


@rule("tile", saves="", value=values.kept, sizes=True)
def tile(input: SymbolicTensor, *dims: OneOrMore[Int]) -> Result:
    """`repeat`, with ones in front where repeats are missing."""
    times = unpacked(dims)
    return _repeated(input, ((1,) * (input.ndim - len(times)) + times))


@rule("repeat_interleave", saves=maps.repeated, value=values.kept)
def repeat_interleave(
    input: SymbolicTensor,
    repeats: OneOrMore[Int] | SymbolicTensor,
    dim: int | None = None,
    *,
    output_size: Int | None = None,
) -> Result:
    """Every element, some times in a row; without an axis the tensor is flattened first."""
    axis = 0 if dim is None else normal_dim(dim, input.ndim, "repeat_interleave")
    dims = (prod(input.dims),) if dim is None else input.dims or (1,)
    size, several = dims[axis], isinstance(repeats, (tuple, list))
    requires: list[Requirement] = []
    why = "there must be as many repeats as places"
    if isinstance(repeats, SymbolicTensor):
        require_rank(repeats, (0, 1), "the repeats of repeat_interleave")
        if repeats.dims and repeats.dims != (1,):
            requires += require_equal(repeats.dims[0], size, why)
        if output_size is None:
            raise DataDependent(
                "repeat_interleave: how often each element is repeated stands in a tensor",
                cure="give a number, a tensor of numbers, or output_size",
            )
        length = output_size
    elif isinstance(repeats, (tuple, list)):
        if len(repeats) == 1:
            length = size * repeats[0]
        else:
            length = sum(repeats)
            requires += require_equal(size, len(repeats), why)
    else:
        length = size * repeats
    if not isinstance(repeats, SymbolicTensor):
        requires += at_least("repeats", unpacked((repeats,)), 0)
    if output_size is not None:
        requires += require_equal(length, output_size, "output_size must be that of the result")
    made = (*dims[:axis], length, *dims[axis + 1 :])
    if dim is None:
        return of_everything(made, requires, empties((length,)))
    axes = leading_axes(len(dims))
    every = several or isinstance(repeats, SymbolicTensor)  # some more often than others
    axes[axis] = (axis, Whole(length) if every else Scatter(repeats, repeats))
    some = empties((length,))
    return Result((made,), tuple(axes), requires=tuple(requires), empties=some)


# Moving axes ----------------------------------------------------------------------------------


@rule("movedim", "moveaxis", saves=views.by_axes, value=values.by_axes)
def movedim(input: SymbolicTensor, source: OneOrMore[int], destination: OneOrMore[int]) -> Result:
    """Some axes to other places; the rest keep their order."""
    moved = normal_dims(source, input.ndim, "movedim")
    places = normal_dims(destination, input.ndim, "movedim")
    if len(moved) != len(places):
        raise ShapeMismatch(f"movedim of {len(moved)} axes to {len(places)} places")
    rest = iter(i for i in range(input.ndim) if i not in moved)
    at = dict(zip(places, moved, strict=True))
    return permuted(input, [at[i] if i in at else next(rest) for i in range(input.ndim)])


@rule("t", saves=views.by_axes, value=values.by_axes)
def t(input: SymbolicTensor) -> Result:
    """A matrix transposed; a vector stays."""
    require_rank(input, (0, 1, 2), "t")
    return permuted(input, range(input.ndim)[::-1])


@rule("adjoint", "mT", "mH", saves=views.by_axes, value=values.by_axes)
def adjoint(input: SymbolicTensor) -> Result:
    """The last two axes exchanged."""
    if input.ndim < 2:
        raise ShapeMismatch("a transposed matrix needs at least 2 axes")
    order = list(range(input.ndim))
    return permuted(input, [*order[:-2], order[-1], order[-2]])


@rule("matrix_H", "H", saves=views.by_axes, value=values.by_axes)
def matrix_h(input: SymbolicTensor) -> Result:
    """A matrix transposed and conjugated."""
    require_rank(input, (0, 2), "matrix_H")
    return permuted(input, range(input.ndim)[::-1])


@rule("numpy_T", "T", saves=views.by_axes, value=values.by_axes)
def numpy_t(input: SymbolicTensor) -> Result:
    """The axes in reverse order."""
    return permuted(input, range(input.ndim)[::-1])


# Stacking -------------------------------------------------------------------------------------


@rule(
    "stack",
    joins=True,
    saves=maps.stack,
    dtype=dtypes.of_tensors,
    value=moves.joined(new_axis=True),
)
def stack(tensors: Sequence[SymbolicTensor], dim: int = 0) -> Result:
    """Tensors of one shape along a new axis."""
    if not tensors:
        raise ShapeMismatch("stack of no tensors")
    axis = normal_dim(dim, tensors[0].ndim + 1, "stack")
    if any(t.ndim != tensors[0].ndim for t in tensors):
        raise ShapeMismatch("stack takes tensors of one shape")
    raised = [SymbolicTensor((*t.dims[:axis], 1, *t.dims[axis:])) for t in tensors]
    joined = join(raised, axis)
    each = leading_axes(tensors[0].ndim)
    each.insert(axis, (None, Whole(len(tensors))))
    axes = tuple(each)
    others = tuple((t, axes) for t in tensors[1:])
    return Result(joined.shapes, axes, requires=joined.requires, others=others)


def _raised(x: SymbolicTensor, rank: int) -> SymbolicTensor:
    """With axes of size 1 added where ``atleast_{rank}d`` adds them: in front, last for images."""
    dims = x.dims
    if len(dims) < min(rank, 2):
        dims = (*(1,) * (min(rank, 2) - len(dims)), *dims)
    return SymbolicTensor((*dims, 1) if len(dims) < rank else dims)


def _atleast(rank: int) -> Any:
    def operation(*tensors: object) -> Result:
        every = list(tensors_in(*tensors))
        shapes = tuple(_raised(x, rank).dims for x in every)
        single = len(tensors) == 1 and isinstance(tensors[0], SymbolicTensor)
        axes = reshaped(every[0], shapes[0]).axes if single else ()
        return Result(shapes, axes, single=single)

    return operation


for _rank in (1, 2, 3):
    rule(f"atleast_{_rank}d")(_atleast(_rank))


def _stack_along(axis: int, rank: int) -> Any:
    def operation(tensors: Sequence[SymbolicTensor], *, out: object = None) -> Result:
        if not tensors:
            raise ShapeMismatch("stack of no tensors")
        raised = [_raised(x, rank) for x in tensors]
        joined = join(raised, min(axis, max(raised[0].ndim - 1, 0)))
        if any(a.dims != b.dims for a, b in zip(tensors, raised, strict=True)):
            return of_everything(joined.shapes[0], joined.requires)
        others = ((t, axes) for t, (_, axes) in zip(tensors[1:], joined.others, strict=True))
        return replace(joined, others=tuple(others))

    return operation


for _names, _axis, _rank in ((("hstack",), 1, 1), (("vstack", "row_stack"), 0, 2)):
    rule(*_names, saves="", dtype=dtypes.of_tensors)(_stack_along(_axis, _rank))
rule("dstack", saves="", dtype=dtypes.of_tensors)(_stack_along(2, 3))


@rule("pad_sequence")
def pad_sequence(
    sequences: Sequence[SymbolicTensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Result:
    """Rows of several lengths, padded to the longest one, as a batch."""
    if padding_side not in ("right", "left"):
        raise ShapeMismatch(
            f"pad_sequence: padding_side={padding_side!r}", cure='"right" or "left"'
        )
    if not sequences or not all(t.ndim for t in sequences):
        raise ShapeMismatch("pad_sequence takes rows, one tensor each")
    longest, rest = maximum(*(t.dims[0] for t in sequences)), sequences[0].dims[1:]
    why = "pad_sequence: what is in a row must be as large in all of them"
    needs = [need for t in sequences[1:] for need in fits(t.dims[1:], rest, why)]
    reads: list[tuple[SymbolicTensor, Axes]] = []
    for t in sequences:
        sides = (0, longest - t.dims[0]) if padding_side == "right" else (longest - t.dims[0], 0)
        rows: list[tuple[int | None, AxisMap]] = [(None, IDENTITY), (0, Window(1, 1, *sides))]
        inner = [(i + 1 if isinstance(i, int) else None, m) for i, m in aligned(t.dims[1:], rest)]
        reads.append((t, (*(rows if batch_first else rows[::-1]), *inner)))
    ahead: Dims = (len(sequences), longest) if batch_first else (longest, len(sequences))
    return Result(((*ahead, *rest),), reads[0][1], requires=tuple(needs), others=tuple(reads[1:]))


@rule("column_stack", saves="", dtype=dtypes.of_tensors)
def column_stack(tensors: Sequence[SymbolicTensor], *, out: object = None) -> Result:
    """Vectors as columns, one beside the other."""
    columns = [x if x.ndim > 1 else SymbolicTensor((prod(x.dims), 1)) for x in tensors]
    joined = join(columns, 1)
    return of_everything(joined.shapes[0], joined.requires)


@rule(
    "meshgrid",
    saves=views.meshgrid,
    dtype=dtypes.each,
    value=values.grid,
    same_dtype="tensors",
)
def meshgrid(*tensors: object, indexing: str | None = None) -> Result:
    """Every vector expanded over the grid that all of them span; "xy" swaps the first two."""
    vectors = list(tensors_in(*tensors))
    if not vectors or any(v.ndim > 1 for v in vectors):
        raise ShapeMismatch("meshgrid takes vectors")
    if indexing not in (None, "ij", "xy"):
        raise ShapeMismatch(f"meshgrid: indexing={indexing!r}", cure='"ij" or "xy"')
    dims = [v.dims[0] if v.ndim else 1 for v in vectors]
    if indexing == "xy":
        dims[:2] = dims[1::-1] if len(dims) > 1 else dims
    return Result((tuple(dims),) * len(vectors), whole_axes(dims), single=False)


# Views under other names ----------------------------------------------------------------------


@rule("as_strided", saves=views.strided, sizes=True)
def as_strided(
    input: SymbolicTensor,
    size: Sequence[Int],
    stride: Sequence[Int],
    storage_offset: Int | None = None,
    *,
    room: Strides | None = None,
) -> Result:
    """A view of all memory that a tensor is part of: `room` is how many elements it has, and how
    many are before the tensor.
    """
    count, before = room() if callable(room) else room or (prod(input.dims), 0)
    start = before if storage_offset is None else storage_offset
    if len(size) != len(stride):
        raise ShapeMismatch(f"as_strided: {len(size)} sizes and {len(stride)} strides")
    requires = at_least("size", size, 0) + at_least("stride", stride, 0)
    requires += at_least("storage_offset", (start,), 0)
    last = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    why = "as_strided: the view must lie within the memory of the tensor"
    if 0 not in size:
        within = Condition(count, ">=", last + 1, why)
        empty = [Condition(n, "==", 0) for n in size if may_be_empty(n)]
        requires.append(AnyOf((within, *empty), why) if empty else within)
    return of_everything(size, requires)


@rule("view_as", "reshape_as", saves=views.reshape, value=values.shaped)
def view_as(
    input: SymbolicTensor, other: SymbolicTensor, *, strides: Strides | None = None
) -> Result:
    """The shape of another tensor, of which nothing is read, for the same elements."""
    return replace(reshaped(input, *other.dims, strides=strides), others=((other, None),))


@rule("ravel", saves=views.reshape, value=values.shaped)
def ravel(input: SymbolicTensor) -> Result:
    """All elements in one axis."""
    return reshaped(input, prod(input.dims))


# Channels ------------------------------------------------------------------------------------


@rule("channel_shuffle", "native_channel_shuffle", saves=maps.images)
def channel_shuffle(input: SymbolicTensor, groups: Int) -> Result:
    """Channels dealt out anew; their number must divide into the groups."""
    if input.ndim < 3:
        raise ShapeMismatch(f"channel_shuffle takes an input of more than 2 axes, not {input.ndim}")
    channels = input.dims[1]
    needs = at_least("groups", (groups,), 1)
    needs += require_equal(channels % groups, 0, "channels must split into the groups")
    return over(input, (1,), needs)
