"""Elements picked by tensors of indices: gather, scatter, embedding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, Whole, Window
from symcnn.algebra.size import Int, prod
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops import dtypes, values, work
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.pointwise import broadcast_dims
from symcnn.ops.registry import (
    OneOrMore,
    Operand,
    aligned,
    at_least,
    elementwise,
    leading_axes,
    normal_dim,
    of_everything,
    over,
    require_equal,
    require_places,
    require_rank,
    require_shape,
    same_axes,
    whole_axes,
)
from symcnn.ops.storage.maps import picked_along
from symcnn.ops.storage.pointwise import added_at, copied_to, filled_at, written_at
from symcnn.ops.takes import meant, not_taken, require_number
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import Result, SymbolicTensor

Dims = tuple[Int, ...]


def _rank_one_at_least(dims: Dims) -> Dims:
    return dims or (1,)


def _no_larger(
    small: Dims, large: Dims, op: str, apart_from: int | None = None
) -> list[Requirement]:
    """That the index is nowhere larger than the tensor, one axis aside."""
    small, large = _rank_one_at_least(small), _rank_one_at_least(large)
    if len(small) != len(large):
        raise ShapeMismatch(f"{op}: the index is {len(small)}-d, not {len(large)}-d")
    why = f"{op}: the index must be nowhere larger than the tensor, along dim aside"
    return [
        Condition(b, ">=", a, why)
        for i, (a, b) in enumerate(zip(small, large, strict=True))
        if i != apart_from and a != b
    ]


#: What torch takes for an index.
_INDEX = {"index": "int32 int64"}


@rule("gather", saves="input index", takes=_INDEX, uniform=True, value=values.kept)
def gather(input: SymbolicTensor, dim: int, index: SymbolicTensor, **kwargs: object) -> Result:
    """One element per index, from anywhere along `dim`: the index's shape."""
    axis = normal_dim(dim, input.ndim, "gather")
    if 0 in index.dims and index.ndim != input.ndim:
        return Result((index.dims,), None)
    requires = tuple(_no_larger(index.dims, input.dims, "gather", axis))
    size = input.dims[axis] if input.dims else 1
    requires += tuple(require_places(index, size, "gather", lookup=False))
    axes = [(i, Window(1, 1, 0, index.dims[i] - size)) for i, size in enumerate(input.dims)]
    if index.dims and axes:
        axes[axis] = (axis, Whole(index.dims[axis]))  # type: ignore[assignment]
    others = ((index, same_axes(index.ndim)),)
    return Result(
        (index.dims,), tuple(axes) if index.dims else (), requires=requires, others=others
    )


#: What a reduction takes, if not all.
_REDUCED: dict[object, str] = {
    "mean": "int float complex",
    "amin": "bool int float",
    "amax": "bool int float",
}


def _scattered(
    input: SymbolicTensor,
    dim: int,
    index: SymbolicTensor,
    src: Operand | None = None,
    *a: object,
    **k: object,
) -> Result:
    """Elements of `src` written where the index says: the shape stays."""
    axis = normal_dim(dim, input.ndim, "scatter")
    reduce = k.get("reduce", next(iter(a), ""))
    takes = _REDUCED.get(reduce, "")
    if input.dtype not in meant(takes):
        raise not_taken(f"scatter of {input.dtype} by {reduce!r}", takes)
    requires = _no_larger(index.dims, input.dims, "scatter", axis)
    size = input.dims[axis] if input.dims else 1
    requires += require_places(index, size, "scatter", lookup=False)
    if isinstance(src, SymbolicTensor):
        requires += _no_larger(index.dims, src.dims, "scatter")
    else:
        require_number("scatter", k.get("value", src), input.dtype)
    return Result(
        (input.dims,),
        same_axes(input.ndim),
        requires=tuple(requires),
        others=tuple(
            (t, _onto(t, input, axis)) for t in (index, src) if isinstance(t, SymbolicTensor)
        ),
    )


rule("scatter", saves=written_at, takes=_INDEX, same_dtype="input src")(_scattered)
rule("scatter_reduce", takes=_INDEX, same_dtype="input src")(_scattered)
rule("scatter_add", saves=added_at, takes=_INDEX, same_dtype="input src")(_scattered)


def _onto(t: SymbolicTensor, x: SymbolicTensor, axis: int) -> Axes:
    """Where a tensor is read whose elements go anywhere along `axis` of `x`."""
    if not x.ndim or not t.ndim:
        return same_axes(t.ndim)
    axes = [(i, Window(1, 1, 0, x.dims[i] - size)) for i, size in enumerate(t.dims)]
    axes[axis] = (axis, Whole(x.dims[axis]))  # type: ignore[assignment]
    return tuple(axes)


@rule("index_select", saves="index", takes=_INDEX)
def index_select(input: SymbolicTensor, dim: int, index: SymbolicTensor) -> Result:
    """Places of one axis, by a vector of numbers."""
    require_rank(index, (0, 1), "index_select's index")
    axis = normal_dim(dim, input.ndim, "index_select")
    if not input.ndim:
        return elementwise(
            input, requires=tuple(require_equal(prod(index.dims), 1, "a number has one place"))
        )
    length = index.dims[0] if index.ndim else 1
    axes = leading_axes(input.ndim)
    axes[axis] = (axis, Whole(length))
    dims = (*input.dims[:axis], length, *input.dims[axis + 1 :])
    places: Any = [(None, IDENTITY)] * input.ndim
    places[axis] = (0 if index.ndim else None, IDENTITY)
    inside = tuple(require_places(index, input.dims[axis], "index_select"))
    return Result((dims,), tuple(axes), requires=inside, others=((index, tuple(places)),))


@rule("take_along_dim", saves=picked_along, takes={"indices": "int64"})
def take_along_dim(
    input: SymbolicTensor, indices: SymbolicTensor, dim: OneOrMore[int] | None = None
) -> Result:
    """`gather`, where the other axes broadcast and torch takes the remainder of what is no place;
    without an axis, from the flattened tensor.
    """
    if dim is None:
        count = prod(indices.dims)
        inside = tuple(require_places(indices, prod(input.dims), "take_along_dim", lookup=False))
        return of_everything((count,), inside)
    if input.ndim != indices.ndim:
        raise ShapeMismatch(f"take_along_dim: {indices.ndim}-d indices of a {input.ndim}-d tensor")
    axis = normal_dim(dim, input.ndim, "take_along_dim")
    without = [t.dims[:axis] + t.dims[axis + 1 :] for t in (input, indices)]
    dims, requires = broadcast_dims(*without)
    shape = (*dims[:axis], indices.dims[axis], *dims[axis:])
    axes = list(aligned(input.dims, shape))
    axes[axis] = (axis, Whole(shape[axis]))
    others = ((indices, aligned(indices.dims, shape)),)
    return Result((shape,), tuple(axes), requires=tuple(requires), others=others)


@rule("take", saves="input index", takes={"index": "int64"})
def take(input: SymbolicTensor, index: SymbolicTensor) -> Result:
    """Elements by their number in the flattened tensor."""
    count = prod(input.dims)
    inside = tuple(require_places(index, count, "take", least=-count))
    return of_everything(index.dims, inside)


@rule("put", takes={"index": "int64"}, same_dtype="input source")
def put(
    input: SymbolicTensor, index: SymbolicTensor, source: SymbolicTensor, accumulate: bool = False
) -> Result:
    """Elements written by their number in the flattened tensor: the shape stays."""
    count = prod(input.dims)
    requires = require_places(index, count, "put", least=-count)
    why = "put: there must be an element per index"
    requires += require_equal(prod(source.dims), prod(index.dims), why)
    return of_everything(input.dims, requires)


def _written(
    input: SymbolicTensor, dim: int, index: SymbolicTensor, source: object, *, from_end: bool
) -> Result:
    """Places of one axis written from `source`: the shape stays."""
    require_rank(index, (0, 1), "the index")
    axis = normal_dim(dim, input.ndim, "index_add")
    size = input.dims[axis] if input.dims else 1
    requires = require_places(index, size, least=-size if from_end else 0)
    if isinstance(source, SymbolicTensor) and source.ndim and input.ndim:
        if source.ndim != input.ndim:
            raise ShapeMismatch(f"a {source.ndim}-d source for a {input.ndim}-d tensor")
        for i, (a, b) in enumerate(zip(source.dims, input.dims, strict=False)):
            want = prod(index.dims) if i == axis else b
            requires += require_equal(a, want, "index_add: the source must have the tensor's sizes")
    found = over(input, (axis,), requires)
    if isinstance(source, SymbolicTensor) and source.ndim == input.ndim and input.ndim:
        return replace(found, others=((source, found.axes), (index, None)))
    return found


@rule("index_fill", saves=filled_at, takes={"index": "int64"}, fills=True)
def index_fill(input: SymbolicTensor, dim: int, index: SymbolicTensor, value: object) -> Result:
    """Places of one axis, from the front or the end, filled with a number: the shape stays."""
    require_number("index_fill", value, input.dtype)
    return _written(input, dim, index, value, from_end=True)


def _from_source(
    input: SymbolicTensor,
    dim: int,
    index: SymbolicTensor,
    source: object,
    *args: object,
    **kwargs: object,
) -> Result:
    if not input.ndim and prod(index.dims) != 1:
        raise ShapeMismatch("a 0-d tensor has one place to write to")
    return _written(input, dim, index, source, from_end=False)


def _by_values(op: str, cure: str) -> Any:
    def operation(*args: object, **kwargs: object) -> Result:
        raise DataDependent(f"{op}: the output's shape depends on the values", cure=cure)

    return operation


rule("index_add", saves=added_at, takes=_INDEX, same_dtype="input source")(_from_source)
rule("index_copy", saves=copied_to, takes={"index": "int64"}, same_dtype="input source")(
    _from_source
)
rule("index_reduce", takes={"": "int float", **_INDEX}, same_dtype="input source")(_from_source)


for _names, _cure in (
    ("masked_select", "masked_fill, or a product with the mask, keeps the shape"),
    ("nonzero argwhere", "where(mask, a, b) keeps the shape"),
    ("bincount", "one_hot(x, n).sum(0) has n places"),
):
    for _name in _names.split():
        rule(_name, scrambles=True)(_by_values(_name, _cure))
for _name, _law in (("unique", values.each_once), ("unique_consecutive", values.runs_of)):
    rule(_name, scrambles=True, value=_law)(_by_values(_name, "sort keeps the shape"))


@rule(
    "embedding",
    other=work.nothing,
    saves="input",
    dtype=dtypes.of_second,
    takes={"input": "int32 int64"},
)
def embedding(
    input: SymbolicTensor,
    weight: SymbolicTensor,
    padding_idx: int | None = None,
    *args: object,
    **kwargs: object,
) -> Result:
    """A row of the table per index."""
    require_rank(weight, (2,), "the table of embedding")
    rows, width = weight.dims
    if padding_idx is not None and isinstance(rows, int) and not -rows <= padding_idx < rows:
        raise ShapeMismatch(f"embedding: padding_idx={padding_idx} is not one of {rows} rows")
    return Result(
        ((*input.dims, width),),
        (*leading_axes(input.ndim), (None, Whole(width))),
        requires=(*_is_a_row(padding_idx, rows), *require_places(input, rows, "embedding")),
    )


def _is_a_row(padding_idx: int | None, rows: Int) -> tuple[Requirement, ...]:
    if padding_idx is None or isinstance(rows, int):
        return ()
    least = padding_idx + 1 if padding_idx >= 0 else -padding_idx
    return (Condition(rows, ">=", least, f"padding_idx={padding_idx} must be one of the rows"),)


#: What a bag makes of its rows, by the numbers that ATen gives them.
_BAGS = ("sum", "mean", "max")


@rule(
    "embedding_bag",
    empty=False,
    dtype=dtypes.of_second,
    takes={"input offsets": "int32 int64", "weight": "float"},
    same_dtype="weight per_sample_weights",
)
def embedding_bag(
    input: SymbolicTensor,
    weight: SymbolicTensor,
    offsets: SymbolicTensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str | int = "mean",
    sparse: bool = False,
    per_sample_weights: SymbolicTensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Result:
    """Rows of the table summed up in bags: one per row of the input, or one per offset."""
    op = "embedding_bag"
    require_rank(weight, (2,), f"the table of {op}")
    require_rank(input, (1, 2), op)
    rows, width = weight.dims
    if padding_idx is not None and isinstance(rows, int) and not -rows <= padding_idx < rows:
        raise ShapeMismatch(f"{op}: padding_idx={padding_idx} is not one of {rows} rows")
    mode = _BAGS[mode] if isinstance(mode, int) else mode
    if mode not in _BAGS or (mode == "max" and (scale_grad_by_freq or sparse)):
        raise ShapeMismatch(f"{op}: mode={mode!r}", cure='"sum", "mean", or "max" without options')
    requires: list[Requirement] = [*_is_a_row(padding_idx, rows)]
    requires += require_places(input, rows, op, lookup=False)
    if per_sample_weights is not None:
        if mode != "sum" or per_sample_weights.ndim != input.ndim:
            raise ShapeMismatch(f"{op}: one weight per index, for mode='sum' only")
        requires += require_shape(
            per_sample_weights.dims, input.dims, f"{op}: one weight per index"
        )
    if (offsets is None) != (input.ndim == 2) or (offsets is not None and offsets.ndim != 1):
        raise ShapeMismatch(f"{op}: a vector of offsets, for a 1-d input only")
    bags = input.dims[0] if offsets is None else offsets.dims[0]
    if offsets is not None and include_last_offset:
        bags = bags - 1
        requires.append(Condition(bags, ">=", 1, f"{op}: at least one bag"))
    dims = (bags, width)
    axes = (*leading_axes(1), (None, Whole(width))) if offsets is None else whole_axes(dims)
    return Result((dims,), axes, requires=tuple(requires))


@rule("one_hot", other=work.nothing, saves="", takes={"tensor": "int64"})
def one_hot(tensor: SymbolicTensor, num_classes: Int = -1) -> Result:
    """A new last axis with a place per class."""
    if num_classes == -1:
        raise DataDependent("one_hot: the number of classes is the largest value", cure="give it")
    least = at_least("num_classes", (num_classes,), 1)
    axes = (*leading_axes(tensor.ndim), (None, Whole(num_classes)))
    inside = require_places(tensor, num_classes, "one_hot", lookup=False)
    return Result(((*tensor.dims, num_classes),), axes, requires=(*least, *inside))
