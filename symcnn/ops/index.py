"""Operations that pick out elements: slices, indices, gathers, splits, sliding windows.

Picking by numbers is an axis map (a slice is a `Window`); picking by a tensor takes that tensor's
shape. Picking by a mask has a shape that only the values know: `DataDependent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Flip, Pick, Roll, Scatter, Whole, Window
from symcnn.algebra.size import Int, Size, ceildiv, exact_div, maximum, minimum, prod, sole_atom
from symcnn.errors import DataDependent, ShapeMismatch, UnsupportedOperation
from symcnn.ops import values, work
from symcnn.ops.masks import fits_mask, masked
from symcnn.ops.operation import Operation
from symcnn.ops.pointwise import broadcast_dims, fits
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    elementwise,
    index_shape,
    leading_axes,
    normal_dim,
    normal_dims,
    of_everything,
    over,
    require_equal,
    require_places,
    require_rank,
    require_shape,
    unpacked,
    whole_axes,
    whole_numbers,
)
from symcnn.ops.storage import Layout, Memory, maps, views
from symcnn.ops.storage import pointwise as points
from symcnn.ops.takes import require_number, require_part, require_same_dtype, require_sizes
from symcnn.ops.work import moves as rule
from symcnn.sets.condition import Condition, InRange, Place, Requirement
from symcnn.trace.graph import Node, Result, SymbolicTensor, tensors_in
from symcnn.trace.tape import decided, empties, entails, may_be_empty, may_be_negative, plain_number

#: An axis that is unbound gives at most so many tensors.
_PARTS = 1 << 16


Dims = tuple[Int, ...]


# x[...] ---------------------------------------------------------------------------------------


def _whole(node: Node) -> dict[str, object] | None:
    """The index that takes everything, of slices."""
    x, index = node.inputs[0], node.arguments["index"]
    items = [*index] if isinstance(index, tuple) else [index]
    if any(not isinstance(item, slice) and item is not Ellipsis for item in items):
        return None
    at = items.index(Ellipsis) if Ellipsis in items else len(items)
    sizes = (*x.dims[: at + 1], *x.dims[x.ndim - len(items) + at + 1 :])
    whole = [v if v is Ellipsis else slice(0, d) for v, d in zip(items, sizes, strict=False)]
    return {"index": tuple(whole) if isinstance(index, tuple) else whole[0]}


@rule(
    "getitem",
    "__getitem__",
    saves=views.getitem,
    value=values.picked,
    sizes=True,
    idle=_whole,
    operators="getitem",
)
def getitem(input: SymbolicTensor, index: object) -> Result:
    """Indexing: see `_picked`."""
    return _picked(input, index)


def _picked(input: SymbolicTensor, index: Any) -> Result:
    """Indexing with ints, slices, None, Ellipsis, and whole numbers in lists and tensors.

    Indices in tensors broadcast against each other. Their axes stand where the first of them
    stood if they are neighbours, and in front if not.
    """
    dims: list[Int] = []
    axes: list[Any] = []
    gone: list[tuple[int, AxisMap]] = []
    requires: list[Requirement] = []
    picks: list[tuple[int, Dims]] = []  # place among the output axes, shape of the index
    lengths: list[Int] = []  # of slices
    axis = 0
    for item in _spread(input, index):
        if item is None:
            dims.append(1)
            axes.append((None, IDENTITY))
            continue
        size = input.dims[axis]
        shape = index_shape(item)
        if isinstance(item, slice):
            length, axis_map = _slice(size, item)
            if isinstance(item.step, Size):
                requires.append(Condition(item.step, ">=", 1, "a slice step must be at least 1"))
            if axis_map != IDENTITY:
                lengths.append(length)
            dims.append(length)
            axes.append((axis, axis_map))
        elif isinstance(item, (int, Size)):
            requires += _inside(item, size)
            gone.append((axis, Pick(_place(item, size))))
        else:
            requires += _all_inside(item, size)
            picks += [(len(dims), shape)] if shape else []
        axis += 1
    if picks:
        picked, agree = broadcast_dims(*(shape for _, shape in picks))
        requires += agree
        places = {place for place, _ in picks}
        start = picks[0][0] if len(places) == 1 else 0
        dims[start:start] = picked
        axes[start:start] = whole_axes(picked)
    some = empties(lengths)
    return Result((tuple(dims),), (*axes, *gone), requires=tuple(requires), empties=some)


def _spread(x: SymbolicTensor, index: Any) -> list[Any]:
    """The index items, one per axis or new axis, Ellipsis written out."""
    items = list(index) if isinstance(index, tuple) else [index]
    for item in items:
        if isinstance(item, SymbolicTensor):
            require_part(f"an index of {item.dtype}", item, "bool uint8 int32 int64")
        if isinstance(item, SymbolicTensor) and item.dtype in ("bool", "uint8"):
            raise DataDependent(
                "indexing with a mask: how many elements are left depends on its values",
                cure="masked_fill, where, or a product with the mask keep the shape:"
                " y = torch.where(m, x, y) is y[m] = x[m]",
            )
        whole = item is None or item is Ellipsis or isinstance(item, (int, Size, slice))
        if isinstance(item, bool) or not (whole or isinstance(item, (list, tuple, SymbolicTensor))):
            raise UnsupportedOperation(f"indexing with {type(item).__name__} has no rule")
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise ShapeMismatch("an index takes one Ellipsis only")
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > x.ndim:
        raise ShapeMismatch(f"{used} indices for a {x.ndim}-d tensor")
    at = dots[0] if dots else len(items)
    items[at : at + 1] = [slice(None)] * (x.ndim - used)
    return items


def _all_inside(item: Any, size: Int) -> list[Requirement]:
    """That the numbers in a list or a tensor lie within the axis, as far as they are told."""
    if isinstance(item, SymbolicTensor):
        return require_places(item, size, least=-size)
    if not isinstance(item, (list, tuple)):
        return []
    if any(isinstance(i, bool) for i in item):
        return require_equal(size, len(item), "a list of truth values must be as long as the axis")
    return [
        need
        for i in item
        for need in (
            _inside(i, size, Place) if isinstance(i, (int, Size)) else _all_inside(i, size)
        )
    ]


def _inside(item: Int, size: Int, kind: type[InRange] = InRange) -> list[Requirement]:
    why = "an index must lie within the axis"
    place = _place(item, size)
    return [kind(gap, ">=", 0, why) for gap in (place, size - place - 1)]


def _place(value: Int, size: Int) -> Int:
    """A place counted from the front. Whether it is negative is python's own question: a branch
    where sizes leave it open.
    """
    if not may_be_negative(value):
        return value
    behind = decided(Condition(-value, ">=", 1))
    if behind is None:
        raise UnsupportedOperation(
            f"a place {value} may be negative or not",
            cure="max(0, ...) says that it is not, or count from the end",
        )
    return value + size if behind else value


def _slice(size: Int, item: slice) -> tuple[Int, AxisMap]:
    """Length and map of ``[start:stop:step]`` on an axis, with python's clipping.

    A start past the end is not clipped: nothing is read there.
    """
    step = 1 if item.step is None else item.step
    if not isinstance(step, (int, Size)) or (isinstance(step, int) and step < 1):
        raise ShapeMismatch(f"a slice step of {step}", cure="torch takes positive steps only")
    require_sizes("a slice between numbers", item.start, item.stop)
    start = 0 if item.start is None else _from_front(item.start, size)
    stop = size if item.stop is None else _bound(item.stop, size)
    length = ceildiv(sz.less(stop, start), step)
    if entails(Condition(length, ">=", 0)) is not True:
        length = maximum(length, 0)
    return length, Window(1, step, -start, stop - size)


def _bound(value: Int, size: Int) -> Int:
    """A slice bound counted from the front and clipped to the axis."""
    value = _from_front(value, size)
    return value if entails(Condition(size, ">=", value)) is True else minimum(value, size)


def _from_front(value: Int, size: Int) -> Int:
    """A slice bound counted from the front, which may lie past the end."""
    place = _place(value, size)
    inside = place is value or entails(Condition(place, ">=", 0)) is True
    return place if inside else maximum(place, 0)


#: Torch writes any number into these by an index: infinity where it is too large.
_ROUNDED = ("float16", "bfloat16")


def _set(input: SymbolicTensor, index: Any, value: Any, *args: object, **kwargs: object) -> Result:
    """``x[index] = value``: the shape stays; the value must broadcast to what is picked."""
    places = tensors_in(index)
    masks = any(t.boolean for t in places)
    if not isinstance(value, SymbolicTensor) and input.dtype not in _ROUNDED:
        require_number("writing by an index", value, input.dtype)
    if places and isinstance(value, SymbolicTensor) and not (masks and prod(value.dims) == 1):
        require_same_dtype("writing by an index", (input.dtype, value.dtype))
    if masks:
        requires, read = masked(input, index)
        requires += fits_mask(input, index, value)
        requires += _picked(input, _unsliced(index)).requires
        return elementwise(input, requires=tuple(requires), others=tuple(read))
    if not isinstance(value, SymbolicTensor):  # any slice takes a number
        return elementwise(input, requires=_picked(input, _unsliced(index)).requires)
    picked = _picked(input, index)
    (dims,) = picked.shapes
    have = value.dims
    while have and have[0] == 1 and len(have) > len(dims):
        have = have[1:]
    needs = fits(have, dims, "the value must broadcast to what the index picks")
    written = (value, _written(input, picked, value))
    return elementwise(input, requires=(*picked.requires, *needs), others=(written,))


def _unsliced(index: Any) -> Any:
    """An index without what is within every axis: slices are all of it, and no axis is made."""
    kept: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        if isinstance(item, slice):
            kept.append(slice(None))
        elif isinstance(item, SymbolicTensor) and item.boolean:
            kept += [slice(None)] * item.ndim
        elif not (item is None or isinstance(item, bool)):
            kept.append(item)
    return tuple(kept)


def _part(m: Memory, input: SymbolicTensor, index: Any, *args: object) -> Layout | None:
    """How the part lies that is written to; None of places that tensors pick."""
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, (SymbolicTensor, list, bool)) for i in items):
        return None
    (dims,) = _picked(input, index).shapes
    return views.part(m, m.of(input), dims, items)


setitem = rule(
    "setitem", "__setitem__", "index_put", saves=views.setitem, value=values.set_at, fills=_part
)(_set)


@partial(Operation, "setitem", other=work.nothing, saves=views.same, empty=True, fills=True)
def part_written(input: SymbolicTensor, part: SymbolicTensor) -> Result:
    """A tensor of which a view, `part`, was written to: its shape stays."""
    everything = tuple((None, IDENTITY) for _ in input.dims)
    return elementwise(input, others=((part, everything),))


def _written(x: SymbolicTensor, picked: Result, value: SymbolicTensor) -> Axes:
    """Where the value is read: a slice, written to, scatters it."""
    maps: list[Any] = [(None, IDENTITY)] * x.ndim
    (dims,) = picked.shapes
    lead = len(dims) - value.ndim
    for i, (source, axis_map) in enumerate((picked.axes or ())[: len(dims)]):
        same = i >= lead and value.dims[i - lead] == dims[i]
        if same and isinstance(source, int) and isinstance(axis_map, Window):
            maps[source] = (i - lead, Scatter(1, axis_map.stride, axis_map.left))
    return tuple(maps)


@rule("copy", saves=views.same)
def copy(input: SymbolicTensor, src: SymbolicTensor, non_blocking: bool = False) -> Result:
    """``x.copy_(src)``: as ``x[...] = src``."""
    return _set(input, ..., src)


@rule("slice_scatter", saves=points.clone)
def slice_scatter(
    input: SymbolicTensor,
    src: SymbolicTensor,
    dim: int = 0,
    start: Int | None = None,
    end: Int | None = None,
    step: int = 1,
) -> Result:
    """``x[..., start:end:step] = src`` in a new tensor; `src` must be as large as the slice."""
    axis = normal_dim(dim, input.ndim, "slice_scatter")
    return _scattered(input, (*[slice(None)] * axis, slice(start, end, step)), src, "slice_scatter")


@rule("select_scatter", saves=points.clone)
def select_scatter(
    input: SymbolicTensor, src: SymbolicTensor, dim: int, index: Int | SymbolicTensor
) -> Result:
    """``x[..., index] = src`` in a new tensor; `src` must be as large as that place."""
    axis = normal_dim(dim, input.ndim, "select_scatter")
    return _scattered(input, (*[slice(None)] * axis, index), src, "select_scatter")


def _scattered(x: SymbolicTensor, index: Any, src: SymbolicTensor, name: str) -> Result:
    written = _set(x, index, src)
    (dims,) = _picked(x, index).shapes
    if len(dims) != src.ndim:
        raise ShapeMismatch(f"{name}: {src.ndim} axes do not fit {len(dims)}")
    why = f"{name}: the tensor must be as large as the places it is written to"
    same = require_shape(src.dims, dims, why)
    return replace(written, requires=(*written.requires, *same))


@rule("narrow", saves=views.by_axes, sizes=True, value=values.by_axes)
def narrow(input: SymbolicTensor, dim: int, start: Int | SymbolicTensor, length: Int) -> Result:
    """`length` places of one axis, from `start` on."""
    axis = normal_dim(dim, input.ndim, "narrow")
    if not input.ndim:
        raise ShapeMismatch("narrow takes a tensor of at least one axis")
    size = input.dims[axis]
    if isinstance(start, SymbolicTensor) and start.ndim:
        raise ShapeMismatch("narrow: the start must be a number, or a tensor without axes")
    first = 0 if isinstance(start, SymbolicTensor) else _place(start, size)
    why = "narrow: the part must lie within the axis"
    requires: list[Requirement] = [InRange(gap, ">=", 0, why) for gap in (first, size - first)]
    requires += [Condition(gap, ">=", 0, why) for gap in (size - first - length, length)]
    axes = leading_axes(input.ndim)
    axes[axis] = (axis, Window(1, 1, -first, first + length - size))
    dims = (*input.dims[:axis], length, *input.dims[axis + 1 :])
    some = empties((length,))
    return Result((dims,), tuple(axes), requires=tuple(requires), empties=some)


@rule("select", saves=views.by_axes, value=values.by_axes)
def select(input: SymbolicTensor, dim: int, index: Int | SymbolicTensor) -> Result:
    """One place of an axis, which goes."""
    if not input.ndim:
        raise ShapeMismatch("select takes a tensor of at least one axis")
    axis = normal_dim(dim, input.ndim, "select")
    inside = () if isinstance(index, SymbolicTensor) else tuple(_inside(index, input.dims[axis]))
    keep = [i for i in range(input.ndim) if i != axis]
    dims = tuple(input.dims[i] for i in keep)
    axes = kept_but(input, axis)
    if not isinstance(index, SymbolicTensor):
        axes += ((axis, Pick(_place(index, input.dims[axis]))),)
    return Result((dims,), axes, requires=inside)


def kept_but(x: SymbolicTensor, axis: int) -> Axes:
    """All axes but one."""
    return tuple((i, IDENTITY) for i in range(x.ndim) if i != axis)


rule("narrow_copy", saves="", value=values.by_axes)(narrow.rule)
rule("select_copy", saves="", value=values.by_axes)(select.rule)

# Splits ---------------------------------------------------------------------------------------


def _parts(x: SymbolicTensor, axis: int, sizes: Sequence[Int], *needs: Requirement) -> Result:
    """Parts of one axis after the other: each is the axis cropped."""
    shapes = tuple((*x.dims[:axis], s, *x.dims[axis + 1 :]) for s in sizes)
    parts = []
    before: Int = 0
    for size in sizes:
        axes = leading_axes(x.ndim)
        axes[axis] = (axis, Window(1, 1, -before, before + size - x.dims[axis]))
        parts.append(tuple(axes))
        before = before + size
    some = empties(sizes)
    return Result(shapes, requires=needs, single=False, parts=tuple(parts), empties=some)


def _axis_to_split(x: SymbolicTensor, dim: int, op: str) -> int:
    if not x.ndim:
        raise ShapeMismatch(f"{op} takes a tensor of at least one axis")
    return normal_dim(dim, x.ndim, op)


#: So many parts that grow with their axis are looked for.
_FEW = 8


@rule("chunk", saves=views.apart, value=values.by_axes)
def chunk(input: SymbolicTensor, chunks: int, dim: int = 0) -> Result:
    """At most `chunks` parts of equal size ``ceil(size/chunks)``, the last one smaller."""
    at_least("chunks", (chunks,), 1)
    axis = _axis_to_split(input, dim, "chunk")
    size = input.dims[axis]
    if may_be_empty(size) and decided(Condition(size, ">=", 1)) is False:
        return _parts(input, axis, [0] * chunks)
    return _split(input, ceildiv(size, chunks), axis, f"chunk({chunks})", chunks)


@rule("split", "split_with_sizes", saves=views.apart, value=values.by_axes)
def split(input: SymbolicTensor, split_size_or_sections: OneOrMore[Int], dim: int = 0) -> Result:
    """Parts of a given size, or of given sizes."""
    axis = _axis_to_split(input, dim, "split")
    return _split(input, split_size_or_sections, axis, f"split({split_size_or_sections})")


# so called because nobody looks whether one of them is written to
rule("unsafe_chunk", saves=views.by_axes, value=values.by_axes)(chunk.rule)
rule("unsafe_split", "unsafe_split_with_sizes", saves=views.by_axes, value=values.by_axes)(
    split.rule
)


def _split(input: SymbolicTensor, sections: Any, axis: int, text: str, of: int = 0) -> Result:
    size = input.dims[axis]
    several = isinstance(sections, (tuple, list))
    given = whole_numbers(sections if several else (sections,), "split_size_or_sections")
    if several:
        sections, negative = given, f"{text}: a part cannot have a negative size"
        if any(isinstance(s, int) and s < 0 for s in sections):
            raise ShapeMismatch(negative)
        least = [Condition(s, ">=", 0, negative) for s in sections if may_be_negative(s)]
        why = f"{text}: the parts must add up to the axis"
        return _parts(input, axis, sections, *require_equal(sum(sections), size, why), *least)
    if may_be_empty(size) and decided(Condition(size, ">=", 1)) is False:
        return _parts(input, axis, [0])
    if (
        sections < 1
        if isinstance(sections, int)
        else decided(Condition(sections, ">=", 1)) is False
    ):
        raise ShapeMismatch(f"{text}: a part has at least one element")
    if isinstance(size, int) and isinstance(sections, int):
        return _parts(
            input, axis, [min(sections, size - start) for start in range(0, size, sections)]
        )
    count = exact_div(size, sections)
    if isinstance(count, int):
        return _parts(input, axis, [sections] * count)
    of = of or (sections if isinstance(sections, int) else 0)
    count = _count(size, sections, max(of, _FEW))
    if count is None:
        raise UnsupportedOperation(
            f"{text}: how many parts an axis of {size} gives depends on its size",
            cure="give the sizes of the parts, or say what the axis is a multiple of: "
            f'symcnn.multiple("{size}", of={of})'
            if of and isinstance(size, Size) and sole_atom(size)
            else "give a number for the size, or the sizes of the parts",
        )
    last = size - sections * (count - 1)
    need = require_equal(ceildiv(size, sections), count, f"{text} gives {count} parts")
    return _parts(
        input, axis, [sections] * (count - 1) + [last], *need if isinstance(sections, int) else ()
    )


def _count(size: Int, each: Int, most: int) -> int | None:
    """How many parts of a size an axis gives; None where nothing says.

    Of parts that grow with the axis there are few: which number is a branch. Parts of a fixed
    length are as many as the axis is long, and python needs their number.
    """
    if isinstance(each, int):
        count = plain_number(ceildiv(size, each))
        return count if isinstance(count, int) else None
    for count in range(1, most + 1):
        enough = decided(Condition(each * count, ">=", size))
        if enough is not False:
            return count if enough else None
    return None


@rule("tensor_split", saves=views.by_axes, value=values.by_axes)
def tensor_split(
    input: SymbolicTensor,
    indices_or_sections: OneOrMore[Int] | SymbolicTensor | None = None,
    dim: int = 0,
    *,
    indices: OneOrMore[Int] | SymbolicTensor | None = None,
    sections: OneOrMore[Int] | None = None,
) -> Result:
    """So many parts, sizes differing by at most one, or parts that end at given places."""
    given = [v for v in (indices_or_sections, indices, sections) if v is not None]
    if len(given) != 1:
        raise ShapeMismatch("tensor_split takes either indices or sections")
    return _near_equal(input, given[0], _axis_to_split(input, dim, "tensor_split"))


def _near_equal(
    input: SymbolicTensor, indices_or_sections: OneOrMore[Int] | SymbolicTensor, axis: int
) -> Result:
    if isinstance(indices_or_sections, SymbolicTensor):
        raise DataDependent("tensor_split: where to split stands in a tensor")
    size = input.dims[axis]
    if isinstance(indices_or_sections, (tuple, list)):
        ends = [*(_bound(i, size) for i in indices_or_sections), size]
        starts = [0, *ends[:-1]]
        lengths = [_slice(size, slice(a, b))[0] for a, b in zip(starts, ends, strict=True)]
        return _parts(input, axis, lengths)
    n = indices_or_sections
    if not isinstance(n, int):
        raise UnsupportedOperation(f"tensor_split: the number of parts, {n}, is a symbol")
    at_least("sections", (n,), 1)
    return _parts(input, axis, [(size + n - 1 - i) // n for i in range(n)])


def _split_along(op: str, axis: int, least: int) -> Any:
    def operation(input: SymbolicTensor, *places: OneOrMore[Int]) -> Result:
        indices_or_sections = places[0] if len(places) == 1 else unpacked(places)
        if input.ndim < least:
            raise ShapeMismatch(f"{op} takes a tensor of at least {least} axes, not {input.ndim}")
        along = 0 if op == "hsplit" and input.ndim == 1 else axis
        found = _near_equal(input, indices_or_sections, along)
        if not isinstance(indices_or_sections, int):
            return found
        why = f"{op}: the axis must be a multiple of the number of parts"
        even = tuple(require_equal(input.dims[along] % indices_or_sections, 0, why))
        return replace(found, requires=even)

    return operation


for _name, _axis, _least in (("hsplit", 1, 1), ("vsplit", 0, 2), ("dsplit", 2, 3)):
    rule(_name, saves=views.by_axes, value=values.by_axes)(_split_along(_name, _axis, _least))


@rule("unbind", saves=views.apart, value=values.by_axes)
def unbind(input: SymbolicTensor, dim: int = 0) -> Result:
    """Every place of an axis, as a tensor of its own."""
    axis = _axis_to_split(input, dim, "unbind")
    count = plain_number(input.dims[axis])
    if isinstance(count, Size):
        raise UnsupportedOperation(
            f"unbind: how many tensors an axis of {count} gives depends on its size",
            cure="unbind an axis of fixed size",
        )
    if count > _PARTS:
        raise UnsupportedOperation(
            f"unbind: an axis of {count:,} gives more tensors than a trace can hold",
            cure="index the axis, or give it fewer places",
        )
    keep = [i for i in range(input.ndim) if i != axis]
    dims = tuple(input.dims[i] for i in keep)
    parts = tuple((*kept_but(input, axis), (axis, Pick(i))) for i in range(count))
    why = f"unbind gives {count} tensors"
    requires = tuple(require_equal(input.dims[axis], count, why))
    return Result((dims,) * count, requires=requires, single=False, parts=parts)


rule("split_with_sizes_copy", saves="", value=values.by_axes)(split.rule)
rule("unbind_copy", saves="", value=values.by_axes)(unbind.rule)


# Order along an axis --------------------------------------------------------------------------


@rule("roll", saves=maps.images, value=values.kept, sizes=True)
def roll(
    input: SymbolicTensor, shifts: OneOrMore[Int], dims: OneOrMore[int] | None = None
) -> Result:
    """Axes shifted in a circle."""
    if shifts in ((), []):
        raise ShapeMismatch("roll takes a shift")
    if dims is not None and not input.ndim:
        raise ShapeMismatch("roll: a tensor without axes has none to shift")
    if dims is None or dims in ((), []):
        return over(input, range(input.ndim))
    axes = [
        normal_dim(d, input.ndim, "roll")
        for d in (dims if isinstance(dims, (tuple, list)) else (dims,))
    ]
    count = len(shifts) if isinstance(shifts, (tuple, list)) else 1
    if count != len(axes):
        raise ShapeMismatch(f"roll: {count} shifts for {len(axes)} axes")
    by = shifts if isinstance(shifts, (tuple, list)) else (shifts,)
    maps = leading_axes(input.ndim)
    for axis, shift in zip(axes if input.ndim else (), by, strict=False):
        once = maps[axis][1] is IDENTITY
        maps[axis] = (axis, Roll(shift) if once else Whole(input.dims[axis]))
    return Result((input.dims,), tuple(maps))


@rule("flip", saves=points.clone, value=values.by_axes)
def flip(input: SymbolicTensor, *axes: OneOrMore[int], dims: OneOrMore[int] = ()) -> Result:
    """Axes in reverse order."""
    named = unpacked(axes if axes else (dims,))
    places = normal_dims(named, input.ndim, "flip")
    return _reversed(input, places if input.ndim else ())


def _reversed(x: SymbolicTensor, axes: Sequence[int]) -> Result:
    maps = tuple((i, Flip() if i in axes else IDENTITY) for i in range(x.ndim))
    return Result((x.dims,), maps)


def _flip_along(op: str, axis: int) -> Any:
    def operation(input: SymbolicTensor) -> Result:
        if input.ndim <= axis:
            raise ShapeMismatch(f"{op} takes a tensor of at least {axis + 1} axes")
        return _reversed(input, (axis,))

    return operation


rule("fliplr", saves=points.clone, value=values.by_axes)(_flip_along("fliplr", 1))
rule("flipud", saves=points.clone, value=values.by_axes)(_flip_along("flipud", 0))


@rule("rot90", saves=maps.turned, value=values.by_axes)
def rot90(input: SymbolicTensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Result:
    """A plane turned by quarter turns: odd ones exchange its axes."""
    if len(dims) != 2 or input.ndim < 2:
        raise ShapeMismatch(f"rot90 turns 2 axes, not {tuple(dims)} of a {input.ndim}-d tensor")
    a, b = normal_dims(tuple(dims), input.ndim, "rot90")
    result = list(input.dims)
    axes = leading_axes(input.ndim)
    if k % 2:
        result[a], result[b] = result[b], result[a]
    turns: list[tuple[tuple[int, int, AxisMap], tuple[int, int, AxisMap]]] = [
        ((a, a, IDENTITY), (b, b, IDENTITY)),
        ((a, b, Flip()), (b, a, IDENTITY)),
        ((a, a, Flip()), (b, b, Flip())),
        ((a, b, IDENTITY), (b, a, Flip())),
    ]
    for i, source, axis_map in turns[k % 4]:
        axes[i] = (source, axis_map)
    return Result((tuple(result),), tuple(axes))


@rule("tril", "triu", saves="", fills=True)
def tril(input: SymbolicTensor, diagonal: Int = 0) -> Result:
    """A triangle of every matrix, zeros elsewhere."""
    if input.ndim < 2:
        raise ShapeMismatch(f"tril and triu take matrices, not a {input.ndim}-d tensor")
    return elementwise(input)


@rule("diagonal", saves=views.diagonal)
def diagonal(input: SymbolicTensor, offset: Int = 0, dim1: int = 0, dim2: int = 1) -> Result:
    """A diagonal of a plane, as the last axis; the plane's axes go."""
    return _diagonal(input, offset, dim1, dim2)


def _diagonal(x: SymbolicTensor, offset: Int, dim1: int, dim2: int) -> Result:
    a, b = normal_dims((dim1, dim2), x.ndim, "diagonal")
    rows, columns = x.dims[a], x.dims[b]
    length = minimum(rows - maximum(-offset, 0), columns - maximum(offset, 0))
    if entails(Condition(length, ">=", 0)) is not True:
        length = maximum(length, 0)
    keep = [i for i in range(x.ndim) if i not in (a, b)]
    dims = (*(x.dims[i] for i in keep), length)
    axes = (*((i, IDENTITY) for i in keep), (None, Whole(length)))
    return Result((dims,), axes, empties=empties((length,)))


rule("diagonal_copy", saves="")(diagonal.rule)


@rule("diag_embed", saves="")
def diag_embed(input: SymbolicTensor, offset: Int = 0, dim1: int = -2, dim2: int = -1) -> Result:
    """The last axis as the diagonal of a new plane."""
    if not input.ndim:
        raise ShapeMismatch("diag_embed takes a tensor of at least one axis")
    places = normal_dims((dim1, dim2), input.ndim + 1, "diag_embed")
    dims = list(input.dims[:-1])
    for place in sorted(places):
        dims.insert(place, input.dims[-1] + maximum(offset, -offset))
    return of_everything(dims)


@rule("diag", saves="")
def diag(input: SymbolicTensor, diagonal: Int = 0) -> Result:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector."""
    require_rank(input, (1, 2), "diag")
    if input.ndim == 1:
        return diag_embed.rule(input, diagonal)
    return _diagonal(input, diagonal, 0, 1)
