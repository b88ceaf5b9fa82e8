"""Writing where a mask is true: how many places that is, only values tell.

A mask is read where it stands. What is picked by a mask has no shape; written back by the same
mask it needs none, since ``x[m] = y[m]`` is ``where(m, y, x)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from symcnn.algebra.axis import IDENTITY, Axes, Whole
from symcnn.algebra.size import Int, prod
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops import work
from symcnn.ops.operation import Operation
from symcnn.ops.pointwise import fits
from symcnn.ops.registry import aligned, elementwise, index_shape, require_equal
from symcnn.ops.storage import views
from symcnn.ops.takes import require_same_dtype
from symcnn.sets.condition import Requirement
from symcnn.trace.graph import Result, SymbolicTensor


def masked(
    x: SymbolicTensor, index: object
) -> tuple[list[Requirement], list[tuple[SymbolicTensor, Axes]]]:
    """That masks in an index are as large as the axes they stand at, and where each is read."""
    every = index if isinstance(index, tuple) else (index,)
    _require_one_count(every)
    items = [i for i in every if not (i is None or isinstance(i, bool))]  # these are new axes
    taken = [i.ndim if isinstance(i, SymbolicTensor) and i.boolean else 1 for i in items]
    if Ellipsis in items:
        at = items.index(Ellipsis)
        taken[at] = x.ndim - sum(taken) + 1
    if sum(taken) > x.ndim or min(taken) < 0:
        raise ShapeMismatch(f"{sum(taken)} indices for a {x.ndim}-d tensor")
    requires: list[Requirement] = []
    read: list[tuple[SymbolicTensor, Axes]] = []
    axis = 0
    for item, count in zip(items, taken, strict=True):
        if isinstance(item, SymbolicTensor) and item.boolean:
            for size, have in zip(x.dims[axis:], item.dims, strict=False):
                requires += require_equal(size, have, "a mask must be as large as what it masks")
            own = range(axis, axis + count)
            read.append((item, _at(x, own)))
        axis += count
    return requires, read


def _require_one_count(items: Sequence[object]) -> None:
    """A mask is as many positions as values are true: beside it stand those of one place, or of the
    same mask. Raises DataDependent.
    """
    masks: set[SymbolicTensor] = set()
    others: list[tuple[Int, ...]] = []
    for item in items:
        if isinstance(item, SymbolicTensor) and item.boolean:
            masks.add(item)
        else:
            others.append(index_shape(item))
    if len(masks) > 1 or any(prod(shape) != 1 for shape in others):
        raise DataDependent(
            "a mask beside other positions: whether they are as many depends on its values",
            cure="one mask of all of these axes: x[m] = y is y where m is true",
        )


def fits_mask(x: SymbolicTensor, index: object, value: object) -> list[Requirement]:
    """That a value broadcasts to the axes behind a mask; that there are as many rows as the mask
    picks, only values tell.
    """
    if not (isinstance(index, SymbolicTensor) and isinstance(value, SymbolicTensor)):
        return []
    rest, dims = x.dims[index.ndim :], value.dims
    while len(dims) > len(rest) + 1 and dims[0] == 1:
        dims = dims[1:]
    if len(dims) > len(rest) + 1:
        raise ShapeMismatch(f"{len(dims)} axes do not fit the {len(rest) + 1} that a mask picks")
    behind = dims[-len(rest) :] if rest else ()
    return fits(behind, rest, "the value must broadcast to what the mask picks")


@partial(Operation, "setitem", other=work.nothing, saves=views.masked, empty=True, fills=True)
def masked_copy(input: SymbolicTensor, mask: SymbolicTensor, source: SymbolicTensor) -> Result:
    """``x[mask] = source[mask]`` is where(mask, source, x): it picks as many places."""
    if source.ndim != input.ndim:
        raise ShapeMismatch(f"a value of {source.ndim} axes in place of {input.ndim}, by a mask")
    requires, read = masked(input, mask)
    count = mask.ndim
    requires += masked(source, mask)[0]
    why = "the value must broadcast to what the mask picks"
    requires += fits(source.dims[count:], input.dims[count:], why)
    require_same_dtype("writing by an index", (input.dtype, source.dtype))
    dims = (*input.dims[:count], *source.dims[count:])
    read.append((source, aligned(dims, input.dims)))
    return elementwise(input, requires=tuple(requires), others=tuple(read))


def _at(x: SymbolicTensor, own: Sequence[int]) -> Axes:
    """Where a tensor is read that stretches over all axes of another but its own."""
    return tuple(
        (i - own[0], IDENTITY) if i in own else (None, Whole(size)) for i, size in enumerate(x.dims)
    )
