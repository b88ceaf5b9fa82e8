"""Reductions, orderings and running sums: what happens along an axis stays along that axis.

A reduced axis goes, or stays with size 1, and its output reads the whole of it; a sorted or
summed-up axis keeps its size and reads the whole of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any

from symcnn.algebra.axis import IDENTITY, AxisMap, Running, Whole, Window
from symcnn.algebra.size import Int, maximum
from symcnn.errors import ShapeMismatch
from symcnn.ops import criteria, dtypes, values, work
from symcnn.ops.operation import Product, Products, unsaid
from symcnn.ops.operation import torch_rule as any_rule
from symcnn.ops.pointwise import broadcast
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    elementwise,
    filled,
    leading_axes,
    normal_dim,
    normal_dims,
    of_everything,
    require_equal,
    together,
)
from symcnn.ops.storage import losses, maps
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Node, Result, SymbolicTensor
from symcnn.trace.tape import empties, entails

rule = partial(any_rule, other=work.read, slides=False)


#: What has no value where there is nothing.
_NEED_ONE = frozenset("amax amin max argmax argmin median kthvalue aminmax mode quantile".split())


def reduced(
    x: SymbolicTensor,
    dim: OneOrMore[int] | None,
    keepdim: bool,
    op: str,
    count: int = 1,
    *,
    has_none: bool = False,
) -> Result:
    """`count` tensors without the axes `dim` (None: all), or with size 1 there.

    has_none: of nothing there is no such number.
    """
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        gone = set(range(x.ndim))
    else:
        gone = set(normal_dims(dim, x.ndim, op))
    every = x.dims if op == "quantile" else [x.dims[i] for i in gone if x.dims]
    some = filled(x, every) if has_none or op in _NEED_ONE else []
    dims: list[Int] = []
    axes: list[tuple[int | None, AxisMap]] = []
    for i, size in enumerate(x.dims):
        if i not in gone:
            dims.append(size)
            axes.append((i, IDENTITY))
        elif keepdim:
            dims.append(1)
            axes.append((i, Whole(1)))
    return Result((tuple(dims),) * count, tuple(axes), requires=tuple(some), single=count == 1)


def _statistic(op: str) -> Any:
    """A number over some axes: ``f(input, dim=None, keepdim=False)``."""

    def operation(
        input: SymbolicTensor,
        dim: OneOrMore[int] | None = None,
        keepdim: bool = False,
        *args: object,
        **kwargs: object,
    ) -> Result:
        return reduced(input, dim, keepdim, op)

    return operation


#: What has fractions, what is no complex number.
_FLOATS, _REAL = "float complex", "bool int float"

_single = partial(rule, autocast=dtypes.SINGLE_ON_CUDA)
_both = "input output"
rule("mean", saves="", takes=_FLOATS)(_statistic("mean"))
_single("sum", saves="", dtype=dtypes.counts, value=values.SUM)(_statistic("sum"))
for _name, _value in (("amax", values.AMAX), ("amin", values.AMIN)):
    rule(_name, saves=_both, value=_value, takes=_REAL)(_statistic(_name))
_single("logsumexp", saves=_both, dtype=dtypes.first_float)(_statistic("logsumexp"))
rule("prod", saves=_both, dtype=dtypes.counts, autocast=dtypes.SINGLE, value=values.PROD)(
    _statistic("prod")
)
rule("nanmean", takes=_FLOATS, steps=criteria.nanmean)(_statistic("nanmean"))
rule("nansum", saves="input", dtype=dtypes.counts)(_statistic("nansum"))
for _name, _value in (("all", values.ALL), ("any", values.ANY)):
    rule(_name, saves="", dtype=dtypes.logical, value=_value)(_statistic(_name))
    rule(f"_is_{_name}_true", saves="", dtype="bool", takes="bool", value=_value)(_statistic(_name))
for _name in "argmax argmin".split():
    rule(_name, saves="", dtype="int64", takes="int float")(_statistic(_name))


@rule("count_nonzero", saves="", dtype="int64")
def count_nonzero(
    input: SymbolicTensor, dim: OneOrMore[int] | None = None, *dims: int, **kwargs: object
) -> Result:
    """How many elements are not 0, along axes that a method may list."""
    return reduced(input, (dim, *dims) if isinstance(dim, int) else dim, False, "count_nonzero")


def _spread(op: str, count: int = 1) -> Any:
    """``var`` and its kin, of which an old form takes `unbiased` where the axes stand."""

    def operation(
        input: SymbolicTensor,
        dim: OneOrMore[int] | None = None,
        unbiased: object = None,
        keepdim: bool = False,
        **k: object,
    ) -> Result:
        return reduced(input, None if isinstance(dim, bool) else dim, keepdim, op, count)

    return operation


rule("var", saves="input", dtype=dtypes.part, takes=_FLOATS)(_spread("var"))
rule("std", saves="input output", dtype=dtypes.part, takes=_FLOATS)(_spread("std"))
for _name in ("var_mean", "std_mean"):
    rule(
        _name,
        saves=maps.spread,
        dtype=dtypes.then(dtypes.part, dtypes.first),
        takes=_FLOATS,
    )(_spread(_name, 2))


@rule("max", saves=maps.extreme, dtype=dtypes.extreme, value=values.MAX, takes=_REAL)
def extreme(
    input: SymbolicTensor,
    dim: OneOrMore[int] | None = None,
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """The extreme of all, or values and indices along an axis, or of two tensors point by point."""
    other = kwargs.get("other", dim)
    if isinstance(other, SymbolicTensor):
        return broadcast(input, other)
    if not isinstance(input, SymbolicTensor):
        raise ShapeMismatch("max and min take a tensor")
    if dim is None:
        return reduced(input, None, False, "max")
    return reduced(input, normal_dim(dim, input.ndim, "max"), keepdim, "max", 2)


rule("min", saves=maps.extreme, dtype=dtypes.extreme, value=values.MIN, takes=_REAL)(extreme.rule)


@rule("median", "nanmedian", saves=maps.extreme, dtype=dtypes.with_places, takes="int float")
def median(
    input: SymbolicTensor,
    dim: OneOrMore[int] | None = None,
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """The median of all, or values and indices along an axis."""
    return reduced(input, dim, keepdim, "median" if dim is not None else "", 1 + (dim is not None))


@rule("mode", saves=maps.extreme, dtype=dtypes.with_places, takes=_REAL)
def mode(input: SymbolicTensor, dim: int = -1, keepdim: bool = False, **kwargs: object) -> Result:
    """The commonest values along an axis, and where they stand."""
    return reduced(input, normal_dim(dim, input.ndim, "mode"), keepdim, "mode", 2)


@rule("aminmax", saves=_both, takes=_REAL)
def aminmax(
    input: SymbolicTensor, *, dim: OneOrMore[int] | None = None, keepdim: bool = False
) -> Result:
    """The least and the largest value."""
    return reduced(input, dim, keepdim, "aminmax", 2)


def products_of_norm(*, matrices: bool = False) -> Products:
    """None, but for the norms of matrices that their singular values give.

    matrices: over two axes the norms of order 2 and -2 are such, too.
    """

    def law(node: Node) -> Sequence[Product]:
        order, dim = node.arguments.get("p", node.arguments.get("ord")), node.arguments.get("dim")
        axes = dim if isinstance(dim, (tuple, list)) else node.inputs[0].dims if dim is None else ()
        singular = order == "nuc" or (matrices and order in (2, -2) and len(axes) == 2)
        return unsaid(node) if singular else []

    return law


_norms = partial(_single, dtype=dtypes.part, takes=_FLOATS)


#: The orders of a norm of a matrix.
OF_MATRICES = ("fro", "nuc", 1, -1, 2, -2, inf, -inf)


def require_order(op: str, order: object, orders: Sequence[object]) -> None:
    """Raises ShapeMismatch for an order that is none of some: of words, and any number where no
    number is among them.
    """
    any_number = all(isinstance(one, str) for one in orders)
    if order not in orders and not (any_number and not isinstance(order, str)):
        said = ", ".join(map(str, (*orders, *(["a number"] if any_number else []))))
        raise ShapeMismatch(f"{op}: no order is {order!r}", cure=f"one of these: {said}")


@_norms("norm", products=products_of_norm(), saves=maps.norm)
def norm(
    input: SymbolicTensor,
    p: object = "fro",
    dim: OneOrMore[int] | None = None,
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """The norm over all, or some, axes."""
    axes = _axes_of(input, dim)
    words = [*(["fro"] if dim is None or axes < 3 else []), *(["nuc"] if axes == 2 else [])]
    require_order("norm", p, words)
    return reduced(input, dim, keepdim, "norm", has_none=_is_of_extremes(p))


def _axes_of(x: SymbolicTensor, dim: OneOrMore[int] | None) -> int:
    """How many axes a norm is over."""
    return x.ndim if dim is None else len(dim) if isinstance(dim, (tuple, list)) else 1


def _is_of_extremes(order: object) -> bool:
    """Whether a norm is a maximum or a minimum, or infinite at 0."""
    return isinstance(order, (int, float)) and (order < 0 or order == inf)


@_norms("linalg_norm", products=products_of_norm(matrices=True), saves=maps.vector_norm)
def linalg_norm(
    x: SymbolicTensor,
    ord: object = None,
    dim: OneOrMore[int] | None = None,
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """The norm over all, or some, axes."""
    axes = _axes_of(x, dim)
    if axes not in (1, 2) and not (ord is None and dim is None):
        raise ShapeMismatch(f"linalg_norm: ord={ord!r} over {axes} axes", cure="give one or two")
    if ord is not None:
        require_order("linalg_norm", ord, OF_MATRICES if axes == 2 else ())
    return reduced(x, dim, keepdim, "norm", has_none=_is_of_extremes(ord))


@_norms("linalg_vector_norm", products=products_of_norm(), saves=maps.vector_norm)
def vector_norm(
    x: SymbolicTensor,
    ord: object = 2,
    dim: OneOrMore[int] | None = None,
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """The norm over all, or some, axes, as of one vector."""
    require_order("linalg_vector_norm", ord, ())
    return reduced(x, dim, keepdim, "norm", has_none=_is_of_extremes(ord))


_ranked: Any = {
    "scrambles": True,
    "takes": "float32 float64",
    "same_dtype": "input q",
    "autocast": dtypes.SINGLE_ON_CPU,
}


def _quantile(
    input: SymbolicTensor,
    q: float | SymbolicTensor,
    dim: OneOrMore[int] | None = None,
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """One quantile, or several of them in a new first axis."""
    one = reduced(input, dim, keepdim and dim is not None, "quantile")
    if keepdim and dim is None:
        one = reduced(input, None, True, "quantile")
    if not isinstance(q, SymbolicTensor) or not q.ndim:
        return one
    dims = (q.dims[0], *one.shapes[0])
    return replace(one, shapes=(dims,), axes=((None, Whole(q.dims[0])), *(one.axes or ())))


rule("quantile", steps=criteria.quantile, **_ranked)(_quantile)
rule("nanquantile", **_ranked)(_quantile)


# Orderings ------------------------------------------------------------------------------------


def _along(
    x: SymbolicTensor, dim: OneOrMore[int] | None, op: str, count: int = 1, length: Any = None
) -> Result:
    """`count` tensors of the same shape, or with `length` along `dim`, reading all of that axis."""
    axis = normal_dim(dim, x.ndim, op)
    axes = leading_axes(x.ndim)
    dims = list(x.dims)
    if dims:
        dims[axis] = x.dims[axis] if length is None else length
        axes[axis] = (axis, Whole(dims[axis]))
    return Result((tuple(dims),) * count, tuple(axes), single=count == 1)


@rule("topk", saves=maps.extreme, dtype=dtypes.with_places, takes="int float")
def topk(input: SymbolicTensor, k: Int, dim: int = -1, *args: object, **kwargs: object) -> Result:
    """The `k` largest along an axis, and where they stand."""
    least = at_least("k", (k,), 0)
    found = _along(input, dim, "topk", 2, k)
    size = input.dims[normal_dim(dim, input.ndim, "topk")] if input.ndim else 1
    enough = Condition(size, ">=", k, "topk: k elements must be there")
    return replace(found, requires=(enough, *least), empties=empties((k,)))


@rule("kthvalue", saves=maps.extreme, dtype=dtypes.with_places, takes="int float")
def kthvalue(input: SymbolicTensor, k: Int, dim: int = -1, keepdim: bool = False) -> Result:
    """The k-th smallest value along an axis, and where it stands."""
    least = at_least("k", (k,), 1)
    axis = normal_dim(dim, input.ndim, "kthvalue")
    found = reduced(input, axis, keepdim, "kthvalue", 2)
    size = input.dims[axis] if input.ndim else 1
    enough = Condition(size, ">=", k, "kthvalue: k elements must be there")
    return Result(found.shapes, found.axes, requires=(enough, *least), single=False)


def _order(op: str, count: int) -> Any:
    def operation(
        input: SymbolicTensor, dim: OneOrMore[int] | None = -1, *args: object, **kwargs: object
    ) -> Result:
        along = -1 if isinstance(dim, bool) else dim  # argsort(stable, ...) by keywords only
        return _along(input, along, op, count)

    return operation


rule("sort", saves=maps.extreme, dtype=dtypes.with_places, value=values.in_order, takes=_REAL)(
    _order("sort", 2)
)
rule("argsort", steps=criteria.places, dtype="int64", value=values.order, takes=_REAL)(
    _order("argsort", 1)
)


@rule("msort", saves=maps.sorted_rows, takes=_REAL)
def msort(input: SymbolicTensor) -> Result:
    """Sorted along the first axis."""
    return _along(input, 0, "msort")


def _running(op: str, count: int = 1) -> Any:
    def operation(input: SymbolicTensor, dim: int, *args: object, **kwargs: object) -> Result:
        found = _along(input, dim, op, count)
        axes = tuple((a, Running() if isinstance(m, Whole) else m) for a, m in found.axes or ())
        return replace(found, axes=axes)

    return operation


_single("cumsum", saves="", dtype=dtypes.counts, value=values.RUNNING)(_running("cumsum"))
_single("cumprod", saves=_both, dtype=dtypes.counts)(_running("cumprod"))
rule("logcumsumexp", saves=_both, autocast=dtypes.SINGLE_ON_CPU, takes=_FLOATS)(
    _running("logcumsumexp")
)
for _name in ("cummax", "cummin"):
    rule(_name, saves=maps.running, dtype=dtypes.with_places, takes=_REAL)(_running(_name, 2))


@rule("diff", saves=maps.differences)
def diff(
    input: SymbolicTensor,
    n: int = 1,
    dim: int = -1,
    prepend: SymbolicTensor | None = None,
    append: SymbolicTensor | None = None,
) -> Result:
    """Differences of neighbours, `n` times: the axis gets shorter by `n`."""
    requires = at_least("n", (n,), 0)
    if not input.ndim:
        raise ShapeMismatch("diff takes a tensor of at least one axis")
    axis = normal_dim(dim, input.ndim, "diff")
    size = input.dims[axis]
    for part in (prepend, append):
        if part is not None:
            size = size + (part.dims[axis] if part.ndim else 1)
            if part.ndim not in (0, input.ndim):
                raise ShapeMismatch(f"diff: a {part.ndim}-d part for a {input.ndim}-d tensor")
            for i, other in enumerate(part.dims):
                if i != axis:
                    requires += require_equal(
                        other, input.dims[i], "diff: parts as long as the tensor"
                    )
    if n == 0:
        return elementwise(input, requires=tuple(requires))
    left = size - n
    if entails(Condition(left, ">=", 0)) is not True:
        left = maximum(left, 0)
    found = _along(input, axis, "diff", 1, left)
    if prepend is None is append:
        read = leading_axes(input.ndim)
        read[axis] = axis, Window(n + 1, 1)
        found = replace(found, axes=tuple(read))
    return replace(found, requires=tuple(requires), empties=empties((left,)))


@rule("trace", saves="", dtype=dtypes.counts, autocast=dtypes.SINGLE_ON_CPU)
def trace(input: SymbolicTensor) -> Result:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise ShapeMismatch(f"trace takes a matrix, not a {input.ndim}-d tensor")
    return Result(((),))


# Distances ------------------------------------------------------------------------------------


@_single("cosine_similarity", saves=losses.cosine, dtype=dtypes.of_tensors, takes="float")
def cosine_similarity(
    x1: SymbolicTensor, x2: SymbolicTensor, dim: int = 1, eps: float = 1e-8
) -> Result:
    """The cosine along an axis, of tensors that broadcast."""
    both = broadcast(x1, x2)
    (dims,) = both.shapes
    axis = normal_dim(dim, len(dims), "cosine_similarity")
    if not dims:
        return both
    return together(both, axis, None, x1, x2)


@_single(
    "pairwise_distance",
    saves=losses.distance,
    dtype=dtypes.tensor_real,
    takes={"x1 x2": "int float complex"},
)
def pairwise_distance(
    x1: SymbolicTensor, x2: SymbolicTensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Result:
    """The distance over the last axis, of tensors that broadcast."""
    both = broadcast(x1, x2)
    (dims,) = both.shapes
    found = reduced(SymbolicTensor(dims), -1, keepdim, "pairwise_distance")
    if not dims:
        return of_everything(found.shapes[0], both.requires)
    return together(both, len(dims) - 1, 1 if keepdim else None, x1, x2)


@_single("dist", saves="input other output", dtype=dtypes.tensor_real, takes=_FLOATS)
def dist(input: SymbolicTensor, other: SymbolicTensor, p: float = 2) -> Result:
    """The norm of a difference."""
    return Result(((),), requires=broadcast(input, other).requires)


@rule(
    "cdist",
    autocast=dtypes.SINGLE,
    saves=losses.distances,
    takes="float32 float64",
    same_dtype="x1 x2",
)
def cdist(
    x1: SymbolicTensor, x2: SymbolicTensor, p: float = 2.0, *a: object, **k: object
) -> Result:
    """Distances of all points of one set to all of the other; batches broadcast."""
    if min(x1.ndim, x2.ndim) < 2:
        raise ShapeMismatch("cdist takes tensors of at least 2 axes")
    if not isinstance(p, (int, float)) or p < 0:
        raise ShapeMismatch(f"cdist: p={p!r}", cure="p is a number of at least 0")
    batch = broadcast(SymbolicTensor(x1.dims[:-2]), SymbolicTensor(x2.dims[:-2]))
    requires = require_equal(
        x1.dims[-1], x2.dims[-1], "cdist: points must have the same coordinates"
    )
    return of_everything((*batch.shapes[0], x1.dims[-2], x2.dims[-2]), (*batch.requires, *requires))
