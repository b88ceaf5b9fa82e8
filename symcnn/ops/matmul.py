"""Matrix products: two axes meet and vanish, the rest stays.

The law: a product over ``k`` that leaves ``m x n`` in each of ``b`` batches takes ``b*m*n*k``
MACs. Everything here is that law, once per pair of factors; ``torch.utils.flop_counter`` agrees
wherever it counts at all (it passes over products with vectors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Const, Whole
from symcnn.algebra.size import Int, prod
from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.ops import dtypes, tools, work
from symcnn.ops.autograd import factors, pair
from symcnn.ops.equation import (
    Factor,
    contraction,
    factors_of,
    labels_of,
    pair_macs,
    paired_axes,
    without_ones,
)
from symcnn.ops.operation import Counted, Product
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.pointwise import broadcast_dims, fits
from symcnn.ops.registry import (
    OneOrMore,
    aligned,
    leading_axes,
    of_everything,
    of_shapes,
    require_equal,
    require_rank,
    whole_axes,
)
from symcnn.ops.shape import squeeze
from symcnn.ops.storage import products
from symcnn.ops.takes import not_taken, require_same_dtype
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import OPS, Node, Result, SymbolicTensor
from symcnn.trace.tape import decided

Dims = tuple[Int, ...]

_INNER = "the columns of the first factor must be the rows of the second"


def product(a: Dims, b: Dims) -> tuple[Dims, Int, list[Requirement]]:
    """Shape, MACs for each element, and requirements of ``a @ b``: batches broadcast, a vector
    loses its axis.
    """
    if not a or not b:
        raise ShapeMismatch("matmul takes factors of at least one axis")
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    inner = b[-2] if len(b) > 1 else b[0]
    batch, requires = broadcast_dims(a[:-2], b[:-2])
    shape = (*batch, *rows, *columns)
    return shape, inner, [*requires, *require_equal(a[-1], inner, _INNER)]


#: Products with vectors, and one that torch adds up by itself: FlopCounterMode passes over them.
UNCOUNTED = Counted(work.nothing, lambda node: [])


def passed_over(vectors: Callable[[Node], bool]) -> Counted:
    """FlopCounterMode counts mm, bmm and their kin, and passes over what torch runs by ``mv`` and
    ``dot``: where `vectors` says so.
    """

    def macs(node: Node) -> Int:
        return 0 if vectors(node) else node.result.work

    def pairs(node: Node) -> list[Product]:
        return [] if vectors(node) else factors(0, 1)(node)

    return Counted(macs, pairs)


def by_vector(node: Node) -> bool:
    """Whether the second factor is a vector.

    Raises UnsupportedOperation for a vector times a batch, where it depends on gradients and on
    how the batch lies in memory.
    """
    first, second = (t.ndim for t in node.inputs[:2])
    if first == 1 and second > 2:
        raise UnsupportedOperation(
            f"{node.module or node.name}: whether torch.utils.flop_counter counts a vector "
            "times a batch depends on its layout and on gradients",
            cure='ask in "macs", or write the product as batch.mT @ vector',
        )
    return second == 1


_multiplies = partial(
    rule,
    other=work.nothing,
    products=factors(0, 1),
    saves=products.matmul,
    takes="int float complex",
)


@_multiplies(
    "matmul",
    operators="matmul rmatmul",
    counted=passed_over(by_vector),
    same_dtype="input other",
    autocast=dtypes.LOW,
)
def matmul(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """``input @ other``, of vectors, matrices, or batches of matrices that broadcast."""
    dims, inner, requires = product(input.dims, other.dims)
    first, second = _axes(input.dims, other.dims, dims)
    others = ((other, second),)
    return Result((dims,), first, requires=tuple(requires), others=others, each=inner)


def _axes(a: Dims, b: Dims, dims: Dims) -> tuple[Axes, Axes]:
    """Rows come from the first factor's, columns from the second's; batches from both."""
    lead = len(dims) - (len(b) > 1) - (len(a) > 1)  # batch axes of the result
    rows: list[Any] = [*aligned(a[:-2], dims[:lead])]
    columns: list[Any] = [*aligned(b[:-2], dims[:lead])]
    if len(a) > 1:
        rows.append((len(a) - 2, IDENTITY))
        columns.append((None, IDENTITY))
    if len(b) > 1:
        rows.append((None, IDENTITY))
        columns.append((len(b) - 1, IDENTITY))
    return tuple(rows), tuple(columns)


def _of_ranks(op: str, left: int, right: int) -> Any:
    def operation(
        input: SymbolicTensor, mat2: SymbolicTensor, *args: object, **kwargs: object
    ) -> Result:
        require_rank(input, (left,), op)
        require_rank(mat2, (right,), f"the second factor of {op}")
        why = f"{op}: the batches must be equal"
        batches = require_equal(input.dims[0], mat2.dims[0], why) if right == 3 else []
        dims, inner, requires = product(input.dims, mat2.dims)
        first, second = _axes(input.dims, mat2.dims, dims)
        asked, others = (*batches, *requires), ((mat2, second),)
        return Result((dims,), first, requires=asked, others=others, each=inner)

    return operation


_ranked = partial(_multiplies, same_dtype="input mat2")
mm = _ranked("mm", autocast=dtypes.LOW)(_of_ranks("mm", 2, 2))
bmm = _ranked("bmm", autocast=dtypes.LOW)(_of_ranks("bmm", 3, 3))
_ranked("mv", counted=UNCOUNTED, autocast=dtypes.LOW_ON_CUDA)(_of_ranks("mv", 2, 1))
for _name in ("dot", "vdot"):
    _ranked(_name, counted=UNCOUNTED)(_of_ranks(_name, 1, 1))


def _plus_product(op: str, rank: int, vector: bool = False) -> Any:
    """``beta*input + alpha*(a @ b)``: `input` must broadcast to the product."""

    def operation(
        input: SymbolicTensor, a: SymbolicTensor, b: SymbolicTensor, *args: object, **kwargs: object
    ) -> Result:
        require_rank(a, (rank,), f"the first factor of {op}")
        require_rank(b, (1 if vector else rank,), f"the second factor of {op}")
        batches = (
            require_equal(a.dims[0], b.dims[0], "the batches must be equal") if rank == 3 else []
        )
        dims, inner, requires = product(a.dims, b.dims)
        if op == "addbmm":  # also sums over the batch
            inner, dims = dims[0] * inner, dims[1:]
        requires += fits(input.dims, dims, f"{op}: the input must broadcast to the product")
        added = aligned(input.dims, dims)
        asked = (*batches, *requires)
        if op == "addbmm":
            return Result((dims,), added, requires=asked, each=inner)
        first, second = _axes(a.dims, b.dims, dims)
        others = ((a, first), (b, second))
        return Result((dims,), added, requires=asked, others=others, each=inner)

    return operation


_adds = partial(
    rule,
    scaled=True,
    other=work.made,
    products=factors(1, 2),
    takes="int float complex",
    same_dtype="input a b",
    autocast=dtypes.LOW,
)
for _name, _rank in (("addmm", 2), ("baddbmm", 3)):
    _adds(_name, saves=products.factors)(_plus_product(_name, _rank))
_adds("addbmm", saves=products.factors, counted=Counted(work.nothing, factors(1, 2)))(
    _plus_product("addbmm", 3)
)
_adds("addmv", counted=UNCOUNTED, saves=products.factors, autocast=dtypes.LOW_ON_CUDA)(
    _plus_product("addmv", 2, vector=True)
)


@rule("outer", "ger", other=work.made, saves=products.factors, dtype=dtypes.of_tensors)
def outer(input: SymbolicTensor, vec2: SymbolicTensor) -> Result:
    """All products of two vectors: nothing is summed, so no MACs."""
    require_rank(input, (1,), "outer")
    require_rank(vec2, (1,), "outer")
    (rows,), (columns,) = input.dims, vec2.dims
    others = ((vec2, ((None, IDENTITY), (0, IDENTITY))),)
    return Result(((rows, columns),), ((0, IDENTITY), (None, Whole(columns))), others=others)


@rule(
    "addr",
    scaled=True,
    other=work.made,
    saves=products.factors,
    dtype=dtypes.of_tensors,
    autocast=dtypes.LOW_ON_CUDA,
)
def addr(
    input: SymbolicTensor, vec1: SymbolicTensor, vec2: SymbolicTensor, **kwargs: object
) -> Result:
    """An outer product added to `input`, which broadcasts to it."""
    require_rank(vec1, (1,), "addr")
    require_rank(vec2, (1,), "addr")
    dims = (vec1.dims[0], vec2.dims[0])
    requires = tuple(fits(input.dims, dims, "addr: the input must broadcast to the product"))
    return of_everything(dims, requires)


@rule(
    "inner",
    other=work.nothing,
    saves=products.over_last,
    products=factors(0, 1),
    counted=passed_over(lambda node: all(t.ndim == 1 for t in node.inputs[:2])),
    autocast=dtypes.LOW,
)
def inner(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """All products over the last axes; of a number, a plain multiple."""
    if not input.ndim or not other.ndim:
        return of_everything(input.dims or other.dims)
    if input.dtype == "bool":
        raise not_taken("inner of bool", "int float complex")
    require_same_dtype("inner", (input.dtype, other.dtype))
    *lead, size = input.dims
    *tail, count = other.dims
    dims = (*lead, *tail)
    axes = (*leading_axes(len(lead)), *whole_axes(tail))
    requires = tuple(require_equal(size, count, "inner: the last sizes must be equal"))
    return Result((dims,), axes, prod(dims) * size, requires)


@rule(
    "tensordot",
    other=work.nothing,
    saves=products.over_axes,
    products=factors(0, 1),
    counted=passed_over(lambda node: all(size == 1 for size in node.outputs[0].dims)),
    takes="int float complex",
    same_dtype="a b",
    autocast=dtypes.LOW,
)
def tensordot(
    a: SymbolicTensor, b: SymbolicTensor, dims: OneOrMore[int] = 2, out: object = None
) -> Result:
    """A product over several axes: the last of `a` with the first of `b`, or those named."""
    if isinstance(dims, int) and not 0 <= dims <= min(a.ndim, b.ndim):
        raise ShapeMismatch(f"tensordot over {dims} axes of {a.ndim}-d and {b.ndim}-d tensors")
    first, second = paired_axes(a.ndim, b.ndim, dims)
    if len(first) != len(second):
        raise ShapeMismatch(f"tensordot over {len(first)} axes of one and {len(second)} of another")
    meet = [(a.dims[i], b.dims[j]) for i, j in zip(first, second, strict=True)]
    requires = [need for x, y in meet if 1 not in (x, y) for need in require_equal(x, y, _INNER)]
    left = [i for i in range(a.ndim) if i not in first]
    other = tuple(s for j, s in enumerate(b.dims) if j not in second)
    shape = (*(a.dims[i] for i in left), *other)
    axes = (*((i, IDENTITY) for i in left), *whole_axes(other))
    kept_second = [j for j in range(b.ndim) if j not in second]
    columns: Axes = (*((None, IDENTITY) for _ in left), *((j, IDENTITY) for j in kept_second))
    over = prod(x if y == 1 else y for x, y in meet if 1 not in (x, y))
    return Result((shape,), axes, prod(shape) * over, tuple(requires), others=((b, columns),))


def _bilinear_products(node: Node) -> list[Product]:
    """Three factors: the gradient of each is a product of the other two and the output's."""
    x, y, weight = node.inputs[:3]
    macs = node.result.work
    return [pair(x, weight, macs), Product((y,), (), macs, 0)]


@rule(
    "bilinear",
    other=work.bias,
    counts=tools.BIAS,
    products=_bilinear_products,
    saves=products.bilinear,
    counted=UNCOUNTED,
    takes="int float complex",
    same_dtype="input1 input2 weight bias",
)
def bilinear(
    input1: SymbolicTensor,
    input2: SymbolicTensor,
    weight: SymbolicTensor,
    bias: SymbolicTensor | None = None,
) -> Result:
    """``x1 @ weight[o] @ x2`` for every output feature: every weight once per sample."""
    require_rank(weight, (3,), "the weight of bilinear")
    out, in1, in2 = weight.dims
    if input1.ndim != input2.ndim or not input1.ndim:
        raise ShapeMismatch(f"bilinear of a {input1.ndim}-d and a {input2.ndim}-d input")
    requires = require_equal(input1.dims[-1], in1, "bilinear: the first input has in1_features")
    requires += require_equal(input2.dims[-1], in2, "bilinear: the second input has in2_features")
    for x, y in zip(input1.dims[:-1], input2.dims[:-1], strict=True):
        requires += require_equal(x, y, "bilinear: the inputs must agree but for their features")
    if bias is not None:
        requires += require_equal(bias.dims[0], out, "bilinear: one bias per output feature")
    lead = input1.dims[:-1]
    axes: Axes = (*leading_axes(len(lead)), (len(lead), Whole(out)))
    others = ((input2, axes),)
    return Result(((*lead, out),), axes, requires=tuple(requires), others=others, each=in1 * in2)


@rule(
    "linear",
    other=work.bias,
    counts=tools.BIASED,
    products=factors(0, 1),
    counted=passed_over(lambda node: node.inputs[1].ndim == 1),
    saves=products.linear,
    takes="int float complex",
    same_dtype="input weight bias",
    autocast=dtypes.LOW,
)
@of_shapes
def linear(
    input: SymbolicTensor, weight: SymbolicTensor, bias: SymbolicTensor | None = None
) -> Result:
    """``x @ weight.T + bias`` over the last axis."""
    if input.ndim == 0:
        raise ShapeMismatch("linear takes an input of at least one axis")
    require_rank(weight, (1, 2), "the weight of linear")
    *rows, in_features = weight.dims
    *lead, features = input.dims
    requires = require_equal(
        features, in_features, "the input must have the features the layer expects"
    )
    if bias is not None:
        if weight.ndim == 1:  # torch adds no bias to a product with a vector
            raise ShapeMismatch("linear takes no bias with a weight of one axis")
        requires += fits(bias.dims, (*lead, *rows), "linear: the bias must fit the output")
    axes: list[tuple[int | None, AxisMap]] = [(i, IDENTITY) for i in range(len(lead))]
    axes += [(len(lead), Whole(size)) for size in rows]
    made = *lead, *rows
    return Result((made,), tuple(axes), requires=tuple(requires), each=in_features)


def _scores(node: Node) -> Int:
    """Scale and softmax of the scores: 4 for each; a mask 1 more."""
    query, key = node.inputs[0], node.inputs[1]
    lead = node.outputs[0].dims[:-2]
    scores = prod(lead) * query.dims[-2] * key.dims[-2]
    return scores * (4 + (node.arguments.get("attn_mask") is not None))


def _attention_products(node: Node) -> list[Product]:
    a = node.arguments
    query, key, value = a["query"], a["key"], a["value"]
    places = prod(node.outputs[0].dims[:-1]) * key.dims[-2]
    scores = [query, key, a["attn_mask"]]
    return [pair(query, key, places * query.dims[-1]), pair(scores, value, places * value.dims[-1])]


@rule(
    "scaled_dot_product_attention",
    other=_scores,
    products=_attention_products,
    saves=products.attention,
    autocast=dtypes.LOW,
    takes={"query": "float", "attn_mask": "bool float"},
    same_dtype="query key value",
)
def scaled_dot_product_attention(
    query: SymbolicTensor,
    key: SymbolicTensor,
    value: SymbolicTensor,
    attn_mask: SymbolicTensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Result:
    """``softmax(q @ k.T) @ v``: every position reads all; MACs of the two products."""
    tensors = (query, key, value)
    if min(t.ndim for t in tensors) < 2:
        raise ShapeMismatch("scaled_dot_product_attention takes tensors of at least 2 axes")
    if attn_mask is not None and is_causal:
        raise ShapeMismatch(
            "scaled_dot_product_attention: a mask, and is_causal=True as well, which torch refuses,"
            " but for a fused kernel of the CPU",
            cure="put the causal part into the mask, as mask.tril() does",
        )
    leads = [t.dims[:-2] for t in tensors]
    requires: list[Requirement] = []
    if enable_gqa:  # groups of queries share a key: its heads are repeated
        if min(t.ndim for t in tensors) < 3:
            raise ShapeMismatch("enable_gqa=True takes tensors with heads")
        heads = query.dims[-3]
        why = "the heads of the query must be a multiple of those of key and value"
        for t in (key, value):
            requires += require_equal(heads % t.dims[-3], 0, why)
        leads = [(*lead[:-1], heads) for lead in leads]
    batch, agree = broadcast_dims(*leads)
    length, features = query.dims[-2:]
    (seen, width), (count, out) = key.dims[-2:], value.dims[-2:]
    requires += [
        *agree,
        *require_equal(features, width, "query and key must have the same features"),
    ]
    requires += require_equal(seen, count, "there must be one value per key")
    if attn_mask is not None:
        fused = [t.ndim for t in tensors] == [4] * 3 and leads[0] == leads[1] == leads[2]
        if fused and attn_mask.ndim < 2 and not dropout_p and not attn_mask.trainable:
            raise ShapeMismatch(
                f"scaled_dot_product_attention: a mask of {attn_mask.ndim} axes, of which the fused"
                " kernel of the CPU asks the last two",
                cure="give the mask the axes that it broadcasts over, such as mask[None]",
            )
        why = "the attention mask must broadcast to the scores"
        requires += fits(attn_mask.dims, (*batch, length, seen), why)
    dims = (*batch, length, out)
    grouped = [_heads(t, lead, batch) for t, lead in zip(tensors, leads, strict=True)]
    asked: Axes = (*grouped[0], (query.ndim - 2, IDENTITY), (None, IDENTITY))
    answered: Axes = (*grouped[2], (None, IDENTITY), (value.ndim - 1, IDENTITY))
    others: list[Any] = [(key, grouped[1]), (value, answered)]
    if attn_mask is not None:
        others.append((attn_mask, aligned(attn_mask.dims, (*batch, length, seen))[:-1]))
    macs = prod(batch) * (length * seen * (features + out))
    return Result((dims,), asked, macs, tuple(requires), others=tuple(others))


def _heads(t: SymbolicTensor, lead: Dims, batch: Dims) -> Axes:
    """The batch axes of a factor of attention; heads that serve several queries are stretched."""
    maps = aligned(lead, batch)
    return (*maps[:-1], (t.ndim - 3, Whole(batch[-1]))) if lead != t.dims[:-2] else maps


# Einstein sums --------------------------------------------------------------------------------


def _equation_of(node: Node) -> tuple[Any, ...]:
    return ("",) if node.call is None else node.call.args


def _einsum_products(node: Node, *, counted: bool = False) -> list[Product]:
    """Pairwise from left to right: the running product is the left factor."""
    steps = pair_macs(*_equation_of(node), counted=counted)
    tensors = node.inputs
    return [pair(tensors[: i + 1], tensors[i + 1], macs) for i, macs in enumerate(steps)]


def _einsum_counted(node: Node) -> Int:
    return sum(pair_macs(*_equation_of(node), counted=True), 0)


def _contraction_operands(node: Node) -> str:
    """An equation that contracts nothing promotes, as mul does."""
    return "equation operands" if _einsum_counted(node) != 0 else ""


def _autocast(node: Node) -> Mapping[str, str]:
    """An equation that contracts nothing reads its floats as they are, as mul does."""
    return dtypes.LOW if _einsum_counted(node) != 0 else {}


_EINSUM = Counted(_einsum_counted, partial(_einsum_products, counted=True))


@rule(
    "einsum",
    other=work.nothing,
    products=_einsum_products,
    counted=_EINSUM,
    saves=products.einsum,
    dtype=dtypes.einsum,
    same_dtype=_contraction_operands,
    autocast=_autocast,
)
def _einsum(equation: str | SymbolicTensor, *operands: Factor | Sequence[Factor]) -> Result:
    """Einstein's sum convention; factors are contracted from left to right, as torch does.

    MACs of a pair: the product of all sizes that meet, if any of them is summed over.
    """
    equation, factors = factors_of(equation, *operands)
    terms, output = labels_of(equation, factors)
    sizes: dict[str, Int] = {}
    requires: list[Requirement] = []
    for term, operand in zip(terms, factors, strict=True):
        own: dict[str, Int] = {}
        for label, size in zip(term, operand.dims, strict=True):
            twice = f"einsum: {label!r} stands twice, for sizes that must be equal"
            requires += require_equal(own.setdefault(label, size), size, twice)  # a diagonal
            before = sizes.get(label, 1)
            if before != 1 and size != 1:
                requires += require_equal(
                    before, size, f"einsum: the sizes of {label!r} must be equal"
                )
            if before == 1:
                sizes[label] = size
    axes, *others = (
        (
            t,
            tuple(
                _labelled(term.index(label), t, size) if label in term else (None, IDENTITY)
                for label, size in ((label, sizes[label]) for label in output)
            ),
        )
        for t, term in zip(factors, terms, strict=True)
    )
    macs = contraction(terms, [t.dims for t in factors], output)
    if macs != 0 and factors[0].dtype == "bool":
        raise not_taken("einsum of bool", "int float complex")
    dims = tuple(sizes[label] for label in output)
    return Result((dims,), axes[1], macs, tuple(requires), others=tuple(others))


def einsum(equation: str | SymbolicTensor, *operands: Factor | Sequence[Factor]) -> SymbolicTensor:
    """Einstein's sum convention. Whether a size is 1, where another factor would stretch its axis,
    is a branch; on that side the factor has no such axis.
    """
    text, factors = factors_of(equation, *operands)
    text, gone = without_ones(text, factors, lambda size: bool(decided(Condition(size, "==", 1))))
    if any(gone):
        equation = text
        operands = tuple(squeeze(t, *a) if a else t for t, a in zip(factors, gone, strict=True))
    made: SymbolicTensor = _einsum(equation, *operands)
    return made


OPS["einsum"] = einsum


def _labelled(axis: int, t: SymbolicTensor, size: Int) -> tuple[int, AxisMap]:
    return axis, IDENTITY if t.dims[axis] == size else Const(size)
