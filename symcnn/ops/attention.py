"""Multi-head attention, as `torch.nn.MultiheadAttention` calls it.

MACs: the projections of query, key, value and output, and in every head the two products.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, Whole
from symcnn.algebra.size import Int, prod
from symcnn.errors import ShapeMismatch
from symcnn.ops import dtypes, work
from symcnn.ops.autograd import pair
from symcnn.ops.operation import Product
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import require_equal, require_rank, require_shape
from symcnn.ops.storage.layouts import UnknownError
from symcnn.sets.condition import Requirement
from symcnn.trace.graph import OPS, Node, Result, SymbolicTensor, apply, several


def _rule(
    query: SymbolicTensor,
    key: SymbolicTensor,
    value: SymbolicTensor,
    embed_dim_to_check: Int,
    num_heads: int,
    in_proj_weight: SymbolicTensor | None,
    in_proj_bias: SymbolicTensor | None,
    bias_k: SymbolicTensor | None,
    bias_v: SymbolicTensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: SymbolicTensor,
    out_proj_bias: SymbolicTensor | None,
    training: bool = True,
    key_padding_mask: SymbolicTensor | None = None,
    need_weights: bool = True,
    attn_mask: SymbolicTensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: SymbolicTensor | None = None,
    k_proj_weight: SymbolicTensor | None = None,
    v_proj_weight: SymbolicTensor | None = None,
    static_k: SymbolicTensor | None = None,
    static_v: SymbolicTensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Result:
    """Every place of the query reads all keys and values: ``(length, batch, features)`` each.

    The second output is the attention weights, if `need_weights`.
    """
    require_rank(query, (2, 3), "multi_head_attention")
    for name, other in (("key", key), ("value", value)):
        require_rank(other, (query.ndim,), f"the {name} of multi_head_attention")
    length, *batch, features = query.dims
    keys = key.dims[0]
    width = embed_dim_to_check
    if isinstance(width, int) and width % num_heads:
        raise ShapeMismatch(f"embed_dim={width} does not split into {num_heads} heads")

    why = "multi_head_attention: "
    requires = require_equal(features, width, f"{why}the query must have embed_dim features")
    requires += require_equal(keys, value.dims[0], f"{why}there must be a value per key")
    if batch:
        requires += require_equal(batch[0], key.dims[1], f"{why}batches must be equal")
        requires += require_equal(batch[0], value.dims[1], f"{why}batches must be equal")
    weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    for tensor, weight in zip((query, key, value), weights, strict=True):
        own = weight.dims[1] if use_separate_proj_weight and weight is not None else width
        requires += require_equal(
            tensor.dims[-1], own, f"{why}features must be as the layer was built"
        )
    if in_proj_weight is not None and not use_separate_proj_weight:
        requires += require_equal(
            in_proj_weight.dims[0], 3 * width, f"{why}the weight makes q, k and v"
        )
        requires += require_equal(
            in_proj_weight.dims[1], width, f"{why}the weight takes embed_dim features"
        )
    if in_proj_bias is not None:
        requires += require_equal(
            in_proj_bias.dims[0], 3 * width, f"{why}the bias is for q, k and v"
        )
    samples: Int = batch[0] if batch else 1
    requires += _masks(attn_mask, key_padding_mask, (length, keys), batch, samples * num_heads)

    out, inner = out_proj_weight.dims
    requires += require_equal(inner, width, f"{why}the output's weight takes embed_dim features")
    projections = width * (length * (features + out) + keys * (key.dims[-1] + value.dims[-1]))
    seen = keys + (bias_k is not None) + bool(add_zero_attn)
    macs = samples * (projections + 2 * length * seen * width)
    kept: Axes = (*((1, IDENTITY) for _ in batch), (query.ndim - 1, Whole(out)))
    asked, answered = ((0, IDENTITY), *kept), ((None, IDENTITY), *kept)
    heads = () if average_attn_weights else (num_heads,)
    shapes = [(*query.dims[:-1], out)]
    if need_weights:
        shapes.append((*batch, *heads, length, seen))
    others = tuple((t, answered) for t in (key, value))
    return Result(tuple(shapes), asked, macs, tuple(requires), others=others, single=False)


def _masks(
    attn_mask: SymbolicTensor | None,
    key_padding_mask: SymbolicTensor | None,
    plane: tuple[Int, Int],
    batch: list[Int],
    heads: Int,
) -> list[Requirement]:
    """A mask per query and key, for all heads or for each; a mask per sample and key."""
    requires: list[Requirement] = []
    expected: list[tuple[SymbolicTensor, tuple[Int, ...]]] = []
    if attn_mask is not None:
        require_rank(attn_mask, (2, 3), "attn_mask")
        expected.append((attn_mask, plane if attn_mask.ndim == 2 else (heads, *plane)))
    if key_padding_mask is not None:
        require_rank(key_padding_mask, (len(batch) + 1,), "key_padding_mask")
        expected.append((key_padding_mask, (*batch, plane[1])))
    for mask, dims in expected:
        requires += require_shape(mask.dims, dims, "a mask must have the attention's shape")
    return requires


def _work(node: Node) -> Int:
    """Scale and softmax of the scores, the biases of the projections, averaged weights."""
    a = node.arguments
    query, key = a["query"], a["key"]
    batch: Int = query.dims[1] if query.ndim == 3 else 1
    seen = key.dims[0] + (a["bias_k"] is not None) + bool(a["add_zero_attn"])
    scores = batch * a["num_heads"] * query.dims[0] * seen
    masks = (a["attn_mask"] is not None) + (a["key_padding_mask"] is not None)
    total: Int = scores * (4 + masks)
    if a["in_proj_bias"] is not None:
        total = total + batch * (query.dims[0] + 2 * key.dims[0]) * a["embed_dim_to_check"]
    if a["out_proj_bias"] is not None:
        total = total + work.made(node)
    if a["need_weights"] and a["average_attn_weights"]:
        total = total + scores
    return total


def _products(node: Node) -> list[Product]:
    a = node.arguments
    query, key, value = a["query"], a["key"], a["value"]
    width: Int = a["embed_dim_to_check"]
    batch: Int = query.dims[1] if query.ndim == 3 else 1
    length, keys = query.dims[0] * batch, key.dims[0] * batch
    shared = a["in_proj_weight"]
    weights = [a[f"{x}_proj_weight"] if a["use_separate_proj_weight"] else shared for x in "qkv"]
    bias = a["in_proj_bias"]
    q, k, v = ([t, w, bias] for t, w in zip((query, key, value), weights, strict=True))
    k.append(a["bias_k"])
    v.append(a["bias_v"])
    seen = key.dims[0] + (a["bias_k"] is not None) + bool(a["add_zero_attn"])
    return [
        pair(query, weights[0], length * query.dims[-1] * width),
        pair(key, weights[1], keys * key.dims[-1] * width),
        pair(value, weights[2], keys * value.dims[-1] * width),
        pair(q, k, length * seen * width),
        pair([q, k], v, length * seen * width),
        pair([q, k, v], a["out_proj_weight"], length * prod(a["out_proj_weight"].dims)),
    ]


def _steps(node: Node) -> tuple[list[SymbolicTensor], list[SymbolicTensor]]:
    """As torch.nn.functional writes it out, which holds the query and the masks to the end."""
    a = node.arguments
    if a["static_k"] is not None or a["static_v"] is not None:
        raise UnknownError("with keys and values of its own")
    batched, heads = a["query"].ndim == 3, a["num_heads"]
    query, key, value, padding = (a[name] for name in ("query", "key", "value", "key_padding_mask"))
    if not batched:
        query, key, value = (apply("unsqueeze", t, 1) for t in (query, key, value))
        padding = None if padding is None else apply("unsqueeze", padding, 0)
    length, batch, width = query.dims
    dropout = a["dropout_p"] if a["training"] else 0.0
    padding = _numbers(padding, query)
    causal = a["is_causal"] and padding is None
    masks = [None if causal and not a["need_weights"] else _numbers(a["attn_mask"], query), padding]
    if masks[0] is not None and masks[0].ndim == 2:
        masks[0] = apply("unsqueeze", masks[0], 0)
    q, k, v = _projected(a, query, key, value)
    if a["bias_k"] is not None:
        k, v = (
            apply("cat", [t, apply("repeat", bias, 1, batch, 1)])
            for t, bias in ((k, a["bias_k"]), (v, a["bias_v"]))
        )
        masks = _longer(masks)
    q, k, v = (
        apply("transpose", apply("view", t, t.dims[0], batch * heads, width // heads), 0, 1)
        for t in (q, k, v)
    )
    if a["add_zero_attn"]:
        nought = (batch * heads, 1, width // heads)
        k, v = (apply("cat", [t, apply("new_zeros", t, nought)], 1) for t in (k, v))
        masks = _longer(masks)
    seen, (mask, padding) = k.dims[1], masks
    if padding is not None:
        padding = apply("view", padding, batch, 1, 1, seen)
        padding = apply("expand", padding, -1, heads, -1, -1)
        padding = apply("reshape", padding, batch * heads, 1, seen)
        mask = padding if mask is None else apply("add", mask, padding)
    held = [t for t in (mask, padding) if t is not None]
    if a["need_weights"]:
        scaled, turned = apply("mul", q, 0.5), apply("transpose", k, -2, -1)
        product = ("bmm",) if mask is None else ("baddbmm", mask)
        weights = apply("softmax", apply(*product, scaled, turned), -1)
        if dropout:
            weights = apply("dropout", weights, dropout, True)
        mixed = apply("transpose", apply("bmm", weights, v), 0, 1)
        held.append(q)
    else:
        shapes = [(batch, heads, t.dims[1], width // heads) for t in (q, k, v)]
        q, k, v = (apply("view", t, *shape) for t, shape in zip((q, k, v), shapes, strict=True))
        if mask is not None and mask.dims[0] == 1:
            mask = apply("unsqueeze", mask, 0)
        elif mask is not None:
            mask = apply("view", mask, batch, heads, mask.dims[1], seen)
        mixed = apply("scaled_dot_product_attention", q, k, v, mask, dropout, causal)
        weights, mixed = None, apply("permute", mixed, 2, 0, 1, 3)
    mixed = apply("reshape", mixed, length * batch, width)
    output = apply("linear", mixed, a["out_proj_weight"], a["out_proj_bias"])
    made = [apply("view", output, length, batch, output.dims[1])]
    if weights is not None:
        weights = apply("view", weights, batch, heads, length, seen)
        made.append(apply("mean", weights, 1) if a["average_attn_weights"] else weights)
    if not batched:
        made = [apply("squeeze", t, axis) for t, axis in zip(made, (1, 0), strict=False)]
    return made, held


def _projected(
    a: Mapping[str, Any], query: SymbolicTensor, key: SymbolicTensor, value: SymbolicTensor
) -> list[SymbolicTensor]:
    """Query, key and value times their weights; by one product what is the same tensor."""
    width, weight, bias = query.dims[-1], a["in_proj_weight"], a["in_proj_bias"]
    packs, separate = [(query, 1), (key, 1), (value, 1)], a["use_separate_proj_weight"]
    if key is value and not separate:
        packs = [(query, 3)] if query is key else [(query, 1), (key, 2)]
    sizes = [count * width for _, count in packs]
    weights = [a[f"{x}_proj_weight"] for x in "qkv"] if separate else _parts(weight, sizes)
    biases = [None] * 3 if bias is None else _parts(bias, sizes)
    found = []
    for (t, count), *factors in zip(packs, weights, biases, strict=False):
        made = apply("linear", t, *factors)
        if count > 1:
            made = apply("unsqueeze", apply("unflatten", made, -1, (count, width)), 0)
            made = apply("contiguous", apply("squeeze", apply("transpose", made, 0, -2), -2))
        found += [apply("select", made, 0, i) for i in range(count)] if count > 1 else [made]
    return found


def _parts(t: SymbolicTensor, sizes: list[Int]) -> tuple[SymbolicTensor, ...]:
    """A weight of several products, or their biases, apart."""
    return several("split", t, sizes) if len(sizes) > 1 else (t,)


def _numbers(mask: SymbolicTensor | None, like: SymbolicTensor) -> SymbolicTensor | None:
    """A mask of truth values as one to add."""
    if mask is None or not mask.boolean:
        return mask
    made = apply("masked_fill", apply("zeros_like", mask, dtype=like.dtype), mask, 0)
    assert made.node is not None
    made.node.mode = made.node.mode._replace(inplace=True)
    return made


def _longer(masks: list[SymbolicTensor | None]) -> list[SymbolicTensor | None]:
    """Masks of one more key."""
    return [mask if mask is None else apply("pad", mask, (0, 1)) for mask in masks]


_attention = rule(
    "multi_head_attention_forward",
    other=_work,
    products=_products,
    steps=_steps,
    takes="float",
    same_dtype="query key value in_proj_weight in_proj_bias bias_k bias_v out_proj_weight"
    " out_proj_bias q_proj_weight k_proj_weight v_proj_weight",
    autocast=dtypes.LOW,
)(_rule)


@wraps(_rule)
def multi_head_attention_forward(
    *args: object, **kwargs: object
) -> tuple[SymbolicTensor, SymbolicTensor | None]:
    """Output and weights, None in place of weights that nobody needs."""
    output, *weights = _attention(*args, **kwargs)
    return output, weights[0] if weights else None


OPS["multi_head_attention_forward"] = multi_head_attention_forward  # type: ignore[assignment]
