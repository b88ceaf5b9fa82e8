"""What products keep: convolutions, matrices, attention."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from symcnn.algebra.size import Int, maximum, minimum, prod
from symcnn.ops.equation import factors_of, labels_of, paired_axes
from symcnn.ops.operation import operation_of
from symcnn.ops.registry import normal_dim, normal_dims, ntuple
from symcnn.ops.storage.layouts import (
    LAST,
    Dims,
    KeptUnknownError,
    Layout,
    UnknownError,
    copied_strides,
    expanded,
    pointwise_strides,
)
from symcnn.ops.storage.memory import SINGLE, Memory, extra_kwarg, first_of
from symcnn.trace.dtype import BYTES
from symcnn.trace.graph import Node, SymbolicTensor, tensors_in


def convolution(m: Memory, node: Node) -> None:
    """The input, padded first where "same" pads the two sides unlike; channels last stay last."""
    x, weight = node.inputs[0], node.inputs[1]
    base, n = m.of(x), len(node.outputs[0].dims)
    pairs = BYTES[x.dtype] if x.dtype.startswith("complex") else None
    if node.arguments.get("padding") == "same":
        kernel = weight.dims[2:]
        dilations = ntuple(node.arguments["dilation"], len(kernel), "dilation")
        odd = [d * (k - 1) % 2 for d, k in zip(dilations, kernel, strict=True)]
        if not all(isinstance(d, int) for d in odd):
            raise UnknownError("of a kernel that may be even")
        if any(odd):
            grown = [size + d for size, d in zip(x.dims[-len(odd) :], odd, strict=True)]
            last = LAST[n] if base.channels_last(m.holds) else None
            base = m.fresh((*x.dims[: -len(odd)], *grown), pairs, order=last)
    m.save(base, weight)
    if pairs:  # three products of real numbers: of sums of both parts, too
        m.beside(prod(base.dims), pairs // 2)
        m.beside(prod(weight.dims), pairs // 2)
        m.fresh(node.outputs[0].dims, pairs // 2)
    order = None
    if (
        (base.channels_last(m.holds) or m.of(weight).channels_last(m.holds))
        and n == x.ndim
        and n in (4, 5)
    ):
        order = [i for i in (0, *range(2, n), 1) if node.outputs[0].dims[i] != 1]
    m.place(m.fresh(node.outputs[0].dims, None, order))


#: So many rows of one image are worth oneDNN's kernel.
_ROWS = 20480


def scattered(m: Memory, node: Node) -> None:
    """The same of a transposed convolution of volumes: torch's own kernel, which runs for one small
    image or in double precision, makes the result as large as the input and resizes it.

    Source: ``use_mkldnn`` and ``slow_conv_transpose3d_cpu`` of ATen.
    """
    convolution(m, node)
    x, weight, storage = node.inputs[0], node.inputs[1], m.of(node.outputs[0]).storage
    spare = maximum(prod(x.dims) - storage.elements, 0)
    large = all(isinstance(k, int) and k > 3 for k in weight.dims[-2:])
    if spare == 0 or node.arguments["groups"] != 1 or m.bytes_of(x) < SINGLE:
        return
    others = x.dims[0] - 1 if x.ndim == len(weight.dims) else 0
    more = maximum(prod(x.dims[:-1]) - _ROWS, 0)
    own = (1 - minimum(others, 1)) * (1 - minimum(more, 1)) * (not large)
    storage.elements = storage.elements + spare * (1 if m.bytes_of(x) > SINGLE else own)


def linear(m: Memory, node: Node) -> None:
    """A product with the transposed weight, as `matmul`: rows are merged, by a view where that is
    possible; those that are not merged by a view, of a weight that is not learned, are batches.
    """
    x, weight = node.inputs[0], node.inputs[1]
    layout = m.of(x)
    if x.ndim > 2 and (_learned(m, weight) or _merges(layout)):
        layout = _rows(m, layout)
    elif x.ndim > 2:
        layout = m.reshaped(layout, (prod(x.dims[:-2]), *x.dims[-2:]))
    if m.needs(weight):
        m.save(layout)
    if m.needs(x):
        m.save(weight)
    m.place(m.fresh(node.outputs[0].dims))


def matmul(m: Memory, node: Node) -> None:
    """Each factor, as the product of matrices or of batches sees it, for the gradient of the other.

    Source: ``_matmul_impl`` of ATen.
    """
    one, other = node.inputs
    left, right = m.of(one), m.of(other)
    learned = [_learned(m, t) for t in (one, other)]
    if len(left.dims) == len(right.dims) == 3 and left.dims[0] != right.dims[0]:
        if left.dims[0] == 1 and learned[0]:
            left = _permuted(left, (1, 2))
        elif right.dims[0] == 1 and learned[1]:
            right = _permuted(right, (1, 2))
    dims = node.outputs[0].dims
    made = None
    if len(left.dims) > 2 >= len(right.dims) and (learned[1] or _merges(left)):
        left = _rows(m, left)
    elif len(right.dims) > 2 >= len(left.dims) and (
        learned[0] or (len(left.dims) == 1 and _merges(_transposed(right)))
    ):
        turned = _transposed(right)
        right = _rows(m, turned)
        if len(left.dims) == 2:  # the product is made the other way round, then copied
            made = _transposed(m.fresh((*turned.dims[:-1], left.dims[0])))
    elif max(len(left.dims), len(right.dims)) > 2:
        columns = len(dims) - (len(right.dims) > 1)
        batch = dims[: columns - (len(left.dims) > 1)]
        rows = left.dims[-2:] if len(left.dims) > 1 else (1, *left.dims)
        left, right = (
            m.reshaped(expanded(factor, (*batch, *own)), (prod(batch), *own))
            for factor, own in ((left, rows), (right, right.dims[-2:]))
        )
    m.save(left if m.needs(other) else None, right if m.needs(one) else None)
    product = m.fresh(dims) if made is None else made
    m.meet(left, right, product)
    if made is not None:
        product = m.in_order(made)
        m.meet(made, product)
    m.place(product)


def _learned(m: Memory, t: SymbolicTensor) -> bool:
    """Whether it requires a gradient, as parameters and their views do where none is computed."""
    if m.needs(t) or m.of(t).storage.kind != "own":
        return m.needs(t)
    if t.trainable or t.node is None:
        return t.trainable
    operation = operation_of(t.node)
    flows = operation is not None and operation.gradient
    return flows and any(_learned(m, base) for base in t.node.inputs[:1])


def _transposed(base: Layout) -> Layout:
    """Matrices with rows and columns exchanged."""
    return Layout(base.storage, _swapped(base.dims), _swapped(base.strides))


def _merges(base: Layout) -> bool:
    """Whether its leading axes lie as one, those of size 1 too. Source: ``should_fold`` of ATen."""
    steps = list(zip(base.strides, base.dims, strict=True))[:-1]
    return all(outer == step * size for (outer, _), (step, size) in pairwise(steps))


def _rows(m: Memory, base: Layout) -> Layout:
    """All rows of several matrices as those of one."""
    return m.reshaped(base, (prod(base.dims[:-1]), base.dims[-1]))


def factors(m: Memory, node: Node) -> None:
    """Each of the last two tensors, for the gradient of the other."""
    one, other = node.inputs[-2:]
    m.save(one if m.needs(other) else None, other if m.needs(one) else None)
    m.place(m.fresh(node.outputs[0].dims))


def inner(m: Memory, node: Node) -> None:
    """The same of sums along an axis of products, which are made on the way, and so is the first
    factor conjugated.
    """
    factors(m, node)
    one, other = node.inputs
    rank = max(one.ndim, other.ndim)
    if rank > 1:
        made = node.outputs[0]
        axis = normal_dim(node.arguments["dim"], rank, node.op) - rank
        sizes = [t.dims[axis] for t in (one, other) if t.ndim >= -axis]
        every = prod(made.dims) * next((s for s in sizes if s != 1), 1)
        is_complex = made.dtype.startswith("complex")  # the conjugate is gone when sums are made
        count = maximum(every, 2 * every - prod(made.dims)) if is_complex else every
        m.fresh((count,), BYTES.get(made.dtype))


def over_axes(m: Memory, node: Node) -> None:
    """Each factor as a matrix, of its own axes and those that are summed, for the other's gradient.

    Source: ``tensordot`` of ATen.
    """
    one, other = node.inputs[:2]
    _over(m, node, paired_axes(one.ndim, other.ndim, node.arguments["dims"]))


def over_last(m: Memory, node: Node) -> None:
    """The same over the last axes; a factor without axes is a number."""
    one, other = node.inputs
    if not one.ndim or not other.ndim:
        raise UnknownError("with a number")
    _over(m, node, ([one.ndim - 1], [other.ndim - 1]))


def _over(m: Memory, node: Node, axes: tuple[Sequence[int], Sequence[int]]) -> None:
    one, other = node.inputs[:2]
    left, right = m.of(one), m.of(other)
    for i, j in zip(*axes, strict=True):  # where one has a single place, the other is summed before
        if right.dims[j] == 1:
            left = m.fresh([1 if k == i else d for k, d in enumerate(left.dims)])
        elif left.dims[i] == 1:
            right = m.fresh([1 if k == j else d for k, d in enumerate(right.dims)])
    rows, columns = (
        [k for k in range(len(base.dims)) if k not in summed]
        for base, summed in zip((left, right), axes, strict=True)
    )
    first, second = (
        m.reshaped(
            _permuted(base, [k for group in groups for k in group]),
            [prod(base.dims[k] for k in group) for group in groups],
        )
        for base, groups in ((left, (rows, axes[0])), (right, (axes[1], columns)))
    )
    m.save(first if m.needs(other) else None, second if m.needs(one) else None)
    product = m.fresh(node.outputs[0].dims)
    m.meet(left, right, first, second, product)
    m.place(product)


def blocks(m: Memory, node: Node) -> None:
    """The same of a product point by point, that lies as its factors do."""
    if not all(m.of(t).contiguous for t in node.inputs):
        raise UnknownError("of what lies in another order")
    factors(m, node)


def bilinear(m: Memory, node: Node) -> None:
    """Of two inputs and a weight each, where another has a gradient."""
    factors = node.inputs[:3]
    for t in factors:
        m.save(t if m.needs(*(other for other in factors if other is not t)) else None)
    if node.arguments["bias"] is not None:  # to which it is added
        m.fresh(node.outputs[0].dims)
    m.place(m.fresh(node.outputs[0].dims))


def cell(m: Memory, node: Node) -> None:
    """One step: input and state for the weights, these for the former; then what gates make.

    Source: ``RNN.cpp`` of ATen.
    """
    a = node.arguments
    x, state, *cells = node.inputs[: 3 if node.op == "lstm_cell" else 2]
    for factor, other in ((x, a["w_ih"]), (state, a["w_hh"])):
        m.save(factor if m.needs(other) else None, other if m.needs(factor) else None)
    rows = prod(x.dims[:-1])
    gates, units = (rows * a[name].dims[k] for name, k in (("w_ih", 0), ("w_hh", 1)))
    made = [m.fresh(t.dims) for t in node.outputs]
    if node.op == "lstm_cell":
        m.save(*cells if m.needs(x, state, a["w_ih"], a["w_hh"], *tensors_in(a["biases"])) else ())
        kept, passing = [gates, units], 2 * gates - 2 * units
    elif node.op == "gru_cell":
        kept, passing = [gates, units, units, units], 2 * gates + units
    else:
        m.save(made[0])
        kept, passing = [], 2 * gates
    for count in kept:
        m.extra(count)
    m.fresh((passing,))
    for i, layout in enumerate(made):
        m.place(layout, i)


def weight_norm(m: Memory, node: Node) -> None:
    """Direction, length and the norms that it divides by, in single precision at least."""
    v, g = node.inputs[0], node.inputs[1]
    m.save(m.in_order(m.of(v)), m.in_order(m.of(g)))
    m.beside(prod(g.dims), max(SINGLE, m.bytes_of(v)))
    m.place(m.fresh(v.dims))


def _bmm(
    m: Memory,
    left: Layout,
    right: Layout,
    keep: tuple[bool, bool],
    width: int | None = None,
    beside: Sequence[Layout] = (),
) -> Layout:
    """A batched product of two factors of more than two axes, and what it keeps.

    beside: what else of the node's stands in memory meanwhile.
    """
    batch = left.dims[:-2]
    dims = (*batch, left.dims[-2], right.dims[-1])
    factors = [
        m.reshaped(expanded(f, (*batch, *f.dims[-2:])), (prod(batch), *f.dims[-2:]))
        for f in (left, right)
    ]
    for factor, wanted in zip(factors, keep, strict=True):
        if wanted:
            m.save(factor)
    product = m.fresh(dims, width)
    m.meet(left, right, *factors, *beside, product)
    return product


def attention(m: Memory, node: Node) -> None:
    """The fused CPU kernel keeps its inputs, its output and one number per row of scores.

    Dropout, a mask that is learned or has three axes, another rank, sizes that are stretched, or a
    last axis that does not lie innermost takes the long way: two products and a softmax, which
    halves take as floats. Source: ``sdp_utils_cpp.h`` and ``attention.cpp`` of ATen.
    """
    a = node.arguments
    query, key, value, mask = a["query"], a["key"], a["value"], a["attn_mask"]
    if a["dropout_p"] == 1:
        raise UnknownError("that drops everything")
    dims = node.outputs[0].dims
    learned = mask is not None and _learned(m, mask)
    numbers = m.fresh(mask.dims) if mask is not None and mask.boolean else None
    apart = 1 if a["enable_gqa"] else 2  # axes along which each matrix is by itself
    same = query.dims[:apart] == key.dims[:apart] and key.dims[:2] == value.dims[:2]
    same = same and query.dims[-1] == value.dims[-1] and not a["dropout_p"]
    rows = all(m.of(t).strides[-1] == 1 for t in (query, key, value))
    fits = mask is None or (mask.ndim in (2, 4) and not learned)
    if query.ndim == 4 and same and rows and fits:
        result = m.fresh(dims, strides=copied_strides(dims, m.of(query).strides, m.holds))
        sums = m.fresh(dims[:-1], max(SINGLE, m.bytes_of(query)))
        m.save(query, key, value, result, sums, numbers or mask)
        m.meet(result, sums, *([] if numbers is None else [numbers]))
        m.place(result)
        return
    q, k, v = (m.of(t) for t in (query, key, value))
    wide = SINGLE if m.bytes_of(query) < SINGLE else None
    if wide is not None:
        q, k, v = (m.fresh(f.dims, wide, f.order) for f in (q, k, v))
    scaled = m.fresh(q.dims, wide, q.order)
    one, other = m.needs(query), m.needs(key)
    beside = [q, k, v, scaled, *([] if numbers is None else [numbers])]
    if a["is_causal"]:
        square = (query.dims[-2], key.dims[-2])
        lower, numbers = m.fresh(square, 1), m.fresh(square, wide)
        m.meet(*beside, lower, m.fresh(square, 1))
        beside.append(numbers)
        m.meet(*beside, lower, m.fresh((2,), wide))  # nought, and less than all
    if a["enable_gqa"]:
        k, v = (
            f if f.dims[-3] == dims[-3] else m.fresh((*f.dims[:-3], dims[-3], *f.dims[-2:]), wide)
            for f in (k, v)
        )
        beside += [k, v]
    turned = _transposed(k)
    turned = m.fresh(turned.dims, wide, turned.order)
    scores = _bmm(m, scaled, turned, (other, one), wide, beside)
    if mask is not None:
        scores = m.fresh(scores.dims, wide)
    weights = m.fresh(scores.dims, wide)
    m.meet(*beside, scores, weights)
    if one or other or learned:
        m.save(weights)  # for the softmax
    if a["dropout_p"]:
        chance, before = m.fresh(scores.dims, wide), weights
        if one or other or learned:
            m.save(chance)
        weights = m.fresh(scores.dims, wide)
        m.meet(*beside, before, chance, weights)
    if wide is not None:  # torch's function gives the weights as well
        beside.append(m.fresh(scores.dims))
    product = _bmm(m, weights, v, (m.needs(value), one or other or learned), wide, beside)
    result = product if wide is None else m.fresh(dims)
    m.meet(*beside, weights, product, result)
    m.place(result)


def _swapped(sizes: Dims) -> tuple[Int, ...]:
    return (*sizes[:-2], sizes[-1], sizes[-2])


def einsum(m: Memory, node: Node) -> None:
    """Factors with the axes of the output, then those that are summed, contracted from the left.

    Source: ``einsum`` of ATen. An axis that one factor alone has is summed before.
    """
    if node.call is None:
        raise UnknownError("without an equation")
    equation, factors = factors_of(*node.call.args)
    terms, output = labels_of(equation, factors)
    labels = [*output, *sorted({k for term in terms for k in term} - {*output})]
    turned = [_turned(m.of(t), term, labels) for t, term in zip(factors, terms, strict=True)]
    whole = turned[0]
    for i, other in enumerate(turned[1:], 1):
        later = turned[i + 1 :]
        done = [k for k in range(len(output), len(labels)) if not _longer(k, *later)]
        pair = _summed(m, whole, other, done), _summed(m, other, whole, done)
        whole = _contracted(m, pair, done, (m.needs(factors[i]), m.needs(*factors[:i])))
    dims = node.outputs[0].dims
    if len(labels) == len(output):
        m.view(whole, dims, whole.strides)
    elif len(factors) == 1:
        m.place(m.fresh(dims))
    else:
        result = m.reshaped(whole, dims)
        m.meet(whole, result)
        m.place(result)


def _turned(base: Layout, term: Sequence[str], labels: Sequence[str]) -> Layout:
    """A factor with these axes: those that it has twice are one, those it lacks have size 1."""
    sizes: dict[str, Int] = dict.fromkeys(labels, 1)
    steps: dict[str, Int] = dict.fromkeys(labels, 1)
    for i, label in enumerate(term):
        sizes[label] = base.dims[i]
        steps[label] = base.strides[i] + (steps[label] if label in term[:i] else 0)
    return Layout(base.storage, tuple(sizes.values()), tuple(steps.values()))


def _longer(axis: int, *factors: Layout) -> bool:
    """Whether one of them has more than one place there."""
    return any(factor.dims[axis] != 1 for factor in factors)


def _summed(m: Memory, factor: Layout, other: Layout, done: Sequence[int]) -> Layout:
    """A factor after the sum over those axes that it alone has."""
    own = [k for k in done if _longer(k, factor) and not _longer(k, other)]
    return m.fresh([1 if k in own else d for k, d in enumerate(factor.dims)]) if own else factor


def _contracted(
    m: Memory, factors: tuple[Layout, Layout], done: Sequence[int], keep: tuple[bool, bool]
) -> Layout:
    """A batched product over the axes that are summed and both have; without any, point by point.

    Source: ``sumproduct_pair`` of ATen.
    """
    left, right = factors
    axes = range(len(left.dims))
    dims = [(left if _longer(k, left) else right).dims[k] for k in axes]
    summed = [k for k in done if _longer(k, left) and _longer(k, right)]
    if not summed:
        m.save(*(f for f, wanted in zip(factors, keep, strict=True) if wanted))
        return m.fresh(dims, strides=pointwise_strides(dims, factors, holds=m.holds))
    rest = [k for k in axes if k not in summed]
    both = [k for k in rest if _longer(k, left) and _longer(k, right)]
    rows = [k for k in rest if _longer(k, left) and not _longer(k, right)]
    columns = [k for k in rest if not _longer(k, left)]
    if rows and columns and columns[-1] < rows[0]:  # lies in order the other way round
        left, right, rows, columns, keep = right, left, columns, rows, keep[::-1]
    matrices = []
    for factor, wanted, groups in (
        (left, keep[0], (both, rows, summed, columns)),
        (right, keep[1], (both, summed, columns, rows)),
    ):
        merged = [prod(factor.dims[k] for k in group) for group in groups[:3]]
        turned = _permuted(factor, [k for group in groups for k in group])
        matrices.append(m.reshaped(turned, merged))
        m.save(matrices[-1] if wanted else None)
    order = [*both, *rows, *summed, *columns]
    product = m.fresh([1 if k in summed else dims[k] for k in order])
    m.meet(left, right, *matrices, product)
    return _permuted(product, [order.index(k) for k in axes])


def _permuted(base: Layout, order: Sequence[int]) -> Layout:
    dims, strides = (tuple(of[k] for k in order) for of in (base.dims, base.strides))
    return Layout(base.storage, dims, strides)


def normalize(m: Memory, node: Node) -> None:
    """``x/max(norm(x), eps)``: the input, the norms, and the norms again, clamped."""
    x = first_of(node)
    call = node.call
    args = [*call.args[1:]] if call is not None else []
    axis = extra_kwarg(node, "dim")
    axis = axis if axis is not None else args[1] if len(args) > 1 else 1
    gone = normal_dims(axis, x.ndim, "normalize")
    norms = prod(d for i, d in enumerate(x.dims) if i not in gone)
    m.save(x)
    m.extra(norms)
    m.beside(norms)
    m.place(m.fresh(x.dims, None, m.of(x).order))


def windows(m: Memory, node: Node) -> None:
    """Torch makes the result as large as the input, then resizes it: memory does not shrink."""
    layout = m.fresh(node.outputs[0].dims)
    layout.storage.elements = maximum(prod(first_of(node).dims), prod(node.outputs[0].dims))
    m.place(layout)


def _in_columns(m: Memory, node: Node) -> None:
    """Matrices of linear algebra lie column after column, whatever they are made of."""
    n = len(node.outputs[0].dims)
    for i, t in enumerate(node.outputs):
        m.place(m.fresh(t.dims, None, (*range(n - 2), n - 1, n - 2) if t.ndim == n else None), i)


def columns(m: Memory, node: Node) -> None:
    """Matrices in columns, of which nobody wrote down what autograd keeps."""
    _in_columns(m, node)
    raise KeptUnknownError("")


def kept_columns(m: Memory, node: Node) -> None:
    """Matrices in columns, of whose values the gradient is made."""
    _in_columns(m, node)
    m.save(node.outputs[0])


def determinant(m: Memory, node: Node) -> None:
    """The matrices, their factors, where rows went, and the first result."""
    x = first_of(node)
    pivots = prod(x.dims[:-1])
    m.keep(node, "input")
    m.save(node.outputs[0])
    m.extra(prod(x.dims))
    m.extra(pivots, SINGLE)
    m.fresh((prod(x.dims) * m.bytes_of(x) + SINGLE * pivots,), 1)


def solution(m: Memory, node: Node) -> None:
    """Columns, unless the matrix stands to the right, or the right-hand side is one vector."""
    matrix, side = node.inputs[:2]
    if not node.arguments["left"] or side.ndim < matrix.ndim:
        raise UnknownError("")
    columns(m, node)
