"""What products keep: convolutions, matrices, attention."""

from __future__ import annotations

from collections.abc import Sequence

from symcnn.algebra.size import Int, maximum, prod
from symcnn.ops.equation import labels_of
from symcnn.ops.registry import normal_dims, ntuple
from symcnn.ops.storage.layouts import (
    LAST,
    Dims,
    Layout,
    UnknownError,
    copied_strides,
    in_order,
    sorted_strides,
)
from symcnn.ops.storage.memory import SINGLE, Memory, expanded, extra_kwarg, first_of
from symcnn.trace.graph import Node, SymbolicTensor


def convolution(m: Memory, node: Node) -> None:
    """The input, padded first where "same" pads the two sides unlike; channels last stay last."""
    x, weight = node.inputs[0], node.inputs[1]
    base, n = m.of(x), len(node.outputs[0].dims)
    if node.arguments.get("padding") == "same":
        kernel = weight.dims[2:]
        dilations = ntuple(node.arguments["dilation"], len(kernel), "dilation")
        odd = [d * (k - 1) % 2 for d, k in zip(dilations, kernel, strict=True)]
        if not all(isinstance(d, int) for d in odd):
            raise UnknownError("of a kernel that may be even")
        if any(odd):
            grown = [size + d for size, d in zip(x.dims[-len(odd) :], odd, strict=True)]
            last = LAST[n] if base.channels_last else None
            base = m.fresh((*x.dims[: -len(odd)], *grown), order=last)
    m.save(base, weight)
    order = None
    if (base.channels_last or m.of(weight).channels_last) and n == x.ndim and n in (4, 5):
        order = [i for i in (0, *range(2, n), 1) if node.outputs[0].dims[i] != 1]
    m.place(m.fresh(node.outputs[0].dims, None, order))


def linear(m: Memory, node: Node) -> None:
    """A product with the transposed weight; rows are merged by a view where that is possible."""
    x, weight = node.inputs[0], node.inputs[1]
    layout = m.of(x)
    if x.ndim > 2:
        layout = m.reshaped(layout, (prod(x.dims[:-1]), x.dims[-1]))
    if m.needs(weight):
        m.save(layout)
    if m.needs(x):
        m.save(weight)
    m.place(m.fresh(node.outputs[0].dims))


def matmul(m: Memory, node: Node) -> None:
    """Each factor, as the batched product sees it, for the gradient of the other."""
    a, b = node.inputs[0], node.inputs[1]
    left, right = m.of(a), m.of(b)
    if a.ndim > 2 and b.ndim > 2:
        batch = node.outputs[0].dims[:-2]
        left = m.reshaped(expanded(left, (*batch, *a.dims[-2:])), (prod(batch), *a.dims[-2:]))
        right = m.reshaped(expanded(right, (*batch, *b.dims[-2:])), (prod(batch), *b.dims[-2:]))
    elif a.ndim > 2 and b.ndim == 2:
        left = m.reshaped(left, (prod(a.dims[:-1]), a.dims[-1]))
    elif min(a.ndim, b.ndim) < 2 < max(a.ndim, b.ndim) or (a.ndim == 2 and b.ndim > 2):
        raise UnknownError(f"of a {a.ndim}-d and a {b.ndim}-d factor")
    if m.needs(b):
        m.save(left)
    if m.needs(a):
        m.save(right)
    m.place(m.fresh(node.outputs[0].dims))


def weight_norm(m: Memory, node: Node) -> None:
    """Direction, length and the norms that it divides by, in single precision at least."""
    v, g = node.inputs[0], node.inputs[1]
    m.save(v, g)
    m.extra(prod(g.dims), max(SINGLE, m.bytes_of(v)))
    m.place(m.fresh(v.dims))


def plus_matmul(m: Memory, node: Node) -> None:
    """Each factor, for the gradient of the other."""
    a, b = node.inputs[1], node.inputs[2]
    if m.needs(b):
        m.save(a)
    if m.needs(a):
        m.save(b)
    m.place(m.fresh(node.outputs[0].dims))


def _bmm(
    m: Memory, left: Layout, right: Layout, keep: tuple[bool, bool], width: int | None = None
) -> Layout:
    """A batched product of two factors of more than two axes, and what it keeps."""
    batch = left.dims[:-2]
    dims = (*batch, left.dims[-2], right.dims[-1])
    factors = [
        m.reshaped(expanded(f, (*batch, *f.dims[-2:])), (prod(batch), *f.dims[-2:]))
        for f in (left, right)
    ]
    for factor, wanted in zip(factors, keep, strict=True):
        if wanted:
            m.save(factor)
    return m.fresh(dims, width)


def attention(m: Memory, node: Node) -> None:
    """The fused CPU kernel keeps its inputs, its output and one number per row of scores.

    A mask that is learned, another rank, sizes that are stretched, or a last axis that does not
    lie innermost takes the long way: two products and a softmax, which halves take as floats.
    """
    a = node.arguments
    query, key, value, mask = a["query"], a["key"], a["value"], a["attn_mask"]
    if a["dropout_p"] or a["enable_gqa"]:
        raise UnknownError("with dropout or grouped queries")
    dims = node.outputs[0].dims
    learned = mask is not None and m.needs(mask)
    same = query.dims[:2] == key.dims[:2] == value.dims[:2] and query.dims[-1] == value.dims[-1]
    rows = all(m.of(t).strides[-1] == 1 for t in (query, key, value))
    if query.ndim == 4 and same and rows and not learned:
        m.place(m.fresh(dims, strides=copied_strides(dims, m.of(query).strides)))
        m.save(query, key, value, node.outputs[0])
        m.extra(prod(dims[:-1]), max(SINGLE, m.bytes_of(query)))
        if mask is not None and mask.boolean:
            m.extra(prod(mask.dims))  # the mask as numbers
        else:
            m.save(mask)
        return
    if query.ndim < 3 or (mask is not None and mask.boolean):
        raise UnknownError("outside the fused kernel")
    q, k, v = (m.of(t) for t in (query, key, value))
    wide = SINGLE if m.bytes_of(query) < SINGLE else None
    if wide is not None:
        q, k, v = (m.fresh(f.dims, wide, f.order) for f in (q, k, v))
    swapped = Layout(k.storage, _swapped(k.dims), _swapped(k.strides))
    factors = [m.fresh(f.dims, wide, f.order) for f in (q, swapped)]  # scaled
    one, other = m.needs(query), m.needs(key)
    scores = _bmm(m, factors[0], factors[1], (other, one), wide)
    if mask is not None:
        scores = m.fresh(scores.dims, wide)
    weights = m.fresh(scores.dims, wide)
    if one or other or learned:
        m.save(weights)  # for the softmax
    kept = m.needs(value), one or other or learned
    m.place(_bmm(m, weights, v, kept, wide))
    if wide is not None:
        m.place(m.fresh(dims))


def heads(m: Memory, node: Node) -> None:
    """`torch.nn.MultiheadAttention`, step by step as torch.nn.functional writes it out."""
    a = node.arguments
    query, key, value = a["query"], a["key"], a["value"]
    drops = a["training"] and a["dropout_p"]
    other = a["bias_k"] is not None or a["add_zero_attn"] or a["use_separate_proj_weight"]
    masks = (a["attn_mask"], a["key_padding_mask"])
    if drops or other or query.ndim != 3 or any(mask is not None for mask in masks):
        raise UnknownError("with masks, dropout, or projections of its own")
    heads, width, weight = a["num_heads"], a["embed_dim_to_check"], a["in_proj_weight"]
    learned = m.needs(weight, a["in_proj_bias"])
    (length, batch, _), (keys, _, _) = query.dims, key.dims
    each = width // heads

    def projected(t: SymbolicTensor, count: int) -> list[Layout]:
        """One linear layer that makes `count` tensors, which are then brought apart."""
        rows = m.reshaped(m.of(t), (prod(t.dims[:2]), width))
        if m.needs(weight):
            m.save(rows)
        made = m.fresh((count, *t.dims[:2], width))
        strides = in_order(made.dims)[1:]
        return [Layout(made.storage, (*t.dims[:2], width), strides)] * count

    if key is value and query is key:
        q, k, v = projected(query, 3)
    elif key is value:
        (q,), (k, v) = projected(query, 1), projected(key, 2)
    else:
        (q,), (k,), (v,) = projected(query, 1), projected(key, 1), projected(value, 1)
    one, two, three = (learned or m.needs(t) for t in (query, key, value))

    many = batch * heads
    if a["need_weights"]:
        if two:
            m.save(m.fresh((many, length, each)))  # the query, scaled
        if one:
            m.save(k)
        weights = m.fresh((many, length, keys))
        if one or two:
            m.save(weights)
        if three:
            m.save(weights)
        if one or two:
            m.save(v)
        mixed = m.fresh((length * batch, width))
    else:
        mixed = m.fresh((length * batch, width))  # as the fused kernel lays it out
        if one or two or three:
            m.save(q, k, v, mixed)
            m.extra(many * length, max(SINGLE, m.bytes_of(query)))
    m.save(weight if m.needs(query, key, value) else None)  # of which autocast makes copies
    m.save(a["out_proj_weight"] if one or two or three else None)
    if m.needs(a["out_proj_weight"]):
        m.save(mixed)
    m.place(m.fresh(node.outputs[0].dims))
    for i, t in enumerate(node.outputs[1:], 1):
        m.place(m.fresh(t.dims), i)


def _swapped(sizes: Dims) -> tuple[Int, ...]:
    return (*sizes[:-2], sizes[-1], sizes[-2])


def einsum(m: Memory, node: Node) -> None:
    """Two factors, brought to (kept by both, its own, summed) and merged: a batched product."""
    equation, *operands = node.call.args if node.call is not None else ("",)
    if not isinstance(equation, str) or len(node.inputs) != 2:
        raise UnknownError("of other than two factors")
    if len(operands) == 1:
        operands = list(operands[0])
    terms, output = labels_of(equation, operands)
    (one, other), summed = terms, sorted({*terms[0], *terms[1]} - {*output})
    if any(len(set(t)) != len(t) for t in terms) or not all(
        k in one and k in other for k in summed
    ):
        raise UnknownError("with a diagonal, or an axis that only one factor has and sums over")
    sizes = [dict(zip(term, t.dims, strict=True)) for term, t in zip(terms, operands, strict=True)]
    summed = [k for k in summed if sizes[0][k] != 1 or sizes[1][k] != 1]  # of one place is no sum
    if not summed:
        return _outer(m, node, operands, terms, output)
    if any((sizes[0][k] == 1) != (sizes[1][k] == 1) for k in one if k in other):
        raise UnknownError("that stretches an axis of size 1")
    both = [k for k in output if k in one and k in other]
    groups = []
    for t, term, mine in zip(operands, terms, (0, 1), strict=True):
        own = [k for k in output if k in term and k not in both]
        order = [both, own, summed] if mine == 0 else [both, summed, own]
        base = m.of(t)
        at = [term.index(k) for group in order for k in group]
        turned = Layout(
            base.storage, tuple(base.dims[i] for i in at), tuple(base.strides[i] for i in at)
        )
        merged = [prod(base.dims[term.index(k)] for k in group) for group in order]
        groups.append((m.reshaped(turned, merged), own))
    (left, rows), (right, columns) = groups
    if m.needs(operands[1]):
        m.save(left)
    if m.needs(operands[0]):
        m.save(right)
    made = [*both, *rows, *columns]
    size = dict(zip(output, node.outputs[0].dims, strict=True))
    product = m.fresh([size[k] for k in made])
    m.view(product, node.outputs[0].dims, [product.strides[made.index(k)] for k in output])


def _outer(
    m: Memory,
    node: Node,
    factors: Sequence[SymbolicTensor],
    terms: Sequence[Sequence[str]],
    output: Sequence[str],
) -> None:
    """Nothing is summed: the factors, their axes in the output's order, times each other."""
    dims = node.outputs[0].dims
    turned = []
    for t, term in zip(factors, terms, strict=True):
        base = m.of(t)
        at = [term.index(k) if k in term else None for k in output]
        sizes = tuple(1 if i is None else base.dims[i] for i in at)
        steps = tuple(1 if i is None else base.strides[i] for i in at)
        turned.append(Layout(base.storage, sizes, steps))
    left, right = factors
    m.save(turned[0] if m.needs(right) else None, turned[1] if m.needs(left) else None)
    strides = sorted_strides(dims, *(expanded(layout, dims).strides for layout in turned))
    m.place(m.fresh(dims, strides=strides))


def normalize(m: Memory, node: Node) -> None:
    """``x/max(norm(x), eps)``: the input, the norms, and the norms again, clamped."""
    x = first_of(node)
    call = node.call
    args = [*call.args[1:]] if call is not None else []
    axis = extra_kwarg(node, "dim")
    axis = axis if axis is not None else args[1] if len(args) > 1 else 1
    gone = normal_dims(axis, x.ndim, "normalize")
    m.save(x)
    m.extra(2 * prod(d for i, d in enumerate(x.dims) if i not in gone))
    m.place(m.fresh(x.dims, None, m.of(x).order))


def windows(m: Memory, node: Node) -> None:
    """Torch makes the result as large as the input, then resizes it: memory does not shrink."""
    layout = m.fresh(node.outputs[0].dims)
    layout.storage.elements = maximum(prod(first_of(node).dims), prod(node.outputs[0].dims))
    m.place(layout)
