"""What operations on maps keep: normalisation, pooling, sampling, joining, reducing, picking."""

from __future__ import annotations

from symcnn.algebra.size import prod
from symcnn.ops.registry import normal_dim
from symcnn.ops.storage.layouts import (
    LAST,
    UnknownError,
)
from symcnn.ops.storage.memory import (
    LONG,
    Memory,
    Rule,
    entries,
    first_of,
)
from symcnn.ops.storage.pointwise import extreme_of_two
from symcnn.trace.graph import Node

__all__ = []


def _vector_norm(m: Memory, node: Node) -> None:
    if node.arguments.get("ord") not in (None, 2):
        raise UnknownError("of another order")
    _reduces("input", "output")(m, node)


def _like_input(m: Memory, node: Node) -> None:
    base = m.of(first_of(node))
    order = LAST[len(base.dims)] if base.channels_last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _batch_norm(m: Memory, node: Node) -> None:
    a = node.arguments
    m.save(first_of(node), a["weight"], a["running_mean"], a["running_var"])
    if a["training"]:
        m.extra(2 * first_of(node).dims[1])
    _like_input(m, node)


def _instance_norm(m: Memory, node: Node) -> None:
    """Batch norm over ``N*C`` channels: weights and statistics repeated for every image."""
    a, x = node.arguments, first_of(node)
    many = prod(x.dims[:2])
    m.save(m.in_order(m.of(x)))
    m.extra(many * ((a["weight"] is not None) + 2 * (a["running_mean"] is not None)))
    if a["use_input_stats"]:
        m.extra(2 * many)
    m.place(m.fresh(node.outputs[0].dims))


def _group_norm(m: Memory, node: Node) -> None:
    x = first_of(node)
    m.save(m.in_order(m.of(x)) if not m.of(x).channels_last else x, node.arguments["weight"])
    m.extra(2 * x.dims[0] * node.arguments["num_groups"])
    _like_input(m, node)


def _layer_norm(m: Memory, node: Node) -> None:
    x = first_of(node)
    shape = tuple(node.arguments["normalized_shape"])
    m.save(x, node.arguments["weight"])
    m.extra(2 * prod(x.dims[: x.ndim - len(shape)]))
    m.place(m.fresh(node.outputs[0].dims))


def _max_pool(m: Memory, node: Node) -> None:
    m.save(first_of(node))
    _like_input(m, node)
    for i, t in enumerate(node.outputs[1:], 1):
        m.place(m.fresh(t.dims, LONG), i)
        m.save(t)
    if len(node.outputs) == 1:
        m.extra(prod(node.outputs[0].dims), LONG)


def _avg_pool(m: Memory, node: Node) -> None:
    m.save(first_of(node))
    _like_input(m, node)


def _adaptive_avg(m: Memory, node: Node) -> None:
    """To a single place it is a mean, which keeps nothing."""
    n = int(node.op[-2])
    if set(node.outputs[0].dims[-n:]) != {1}:
        m.save(first_of(node))
    _like_input(m, node)


def _pad(m: Memory, node: Node) -> None:
    mode = node.arguments["mode"]
    if mode in ("reflect", "replicate"):
        m.save(first_of(node))
    order = LAST[first_of(node).ndim] if m.of(first_of(node)).channels_last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _grid_sample(m: Memory, node: Node) -> None:
    m.save(*node.inputs)
    m.place(m.fresh(node.outputs[0].dims))


def _recurrent(m: Memory, node: Node) -> None:
    raise UnknownError("with a workspace that oneDNN sizes by the machine")


def _interpolate(m: Memory, node: Node) -> None:
    if node.arguments.get("mode") == "area":
        raise UnknownError("by area")
    _like_input(m, node)


def _cat(m: Memory, node: Node) -> None:
    orders = [m.of(t) for t in node.inputs]
    last = bool(orders) and all(o.channels_last for o in orders)
    order = LAST[len(orders[0].dims)] if last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _stack(m: Memory, node: Node) -> None:
    """Joined along the axis, which is then split: images with channels last stay so."""
    layouts, dims = [m.of(t) for t in node.inputs], node.outputs[0].dims
    if not all(layout.channels_last for layout in layouts):
        m.place(m.fresh(dims))
        return
    axis = normal_dim(node.arguments.get("dim", 0), len(dims), "stack")
    if axis == len(dims) - 1:
        raise UnknownError("of images with channels last, along a last axis")
    joined = (*dims[:axis], dims[axis] * dims[axis + 1], *dims[axis + 2 :])
    made = m.fresh(joined, None, LAST[len(joined)])
    step = made.strides[axis]
    m.view(made, dims, [*made.strides[:axis], step * dims[axis + 1], *made.strides[axis:]])


def _copies(m: Memory, node: Node) -> None:
    for i, t in enumerate(node.outputs):
        m.place(m.fresh(t.dims), i)


def _images(m: Memory, node: Node) -> None:
    """Elements in another place: images with channels last stay so."""
    base = m.of(first_of(node))
    order = LAST[len(base.dims)] if base.channels_last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _reduces(*kept: str) -> Rule:
    def rule(m: Memory, node: Node) -> None:
        for i, t in enumerate(node.outputs):
            m.place(m.fresh(t.dims), i)
        if "input" in kept:
            m.save(first_of(node))
        if "output" in kept:
            m.save(node.outputs[0])

    return rule


def _extreme(m: Memory, node: Node) -> None:
    if len(node.outputs) == 1:
        if len(node.inputs) == 2:
            extreme_of_two(m, node)
        else:  # of all elements: input and result are kept
            _reduces("input", "output")(m, node)
        return
    order = m.of(first_of(node)).order if node.op == "sort" else None
    m.place(m.fresh(node.outputs[0].dims, None, order))
    m.place(m.fresh(node.outputs[1].dims, LONG, order), 1)
    m.save(node.outputs[1])


def _positions(m: Memory, node: Node) -> None:
    m.place(m.fresh(node.outputs[0].dims, LONG))


def _embedding(m: Memory, node: Node) -> None:
    index = node.inputs[0]
    m.save(index)
    m.place(m.fresh(node.outputs[0].dims))


def _index_select(m: Memory, node: Node) -> None:
    m.save(node.inputs[1])
    m.place(m.fresh(node.outputs[0].dims))


def _gather(m: Memory, node: Node) -> None:
    m.save(node.inputs[0], node.inputs[1])
    m.place(m.fresh(node.outputs[0].dims))


entries(_vector_norm, "linalg_norm linalg_vector_norm")
entries(_batch_norm, "batch_norm")
entries(_instance_norm, "instance_norm")
entries(_group_norm, "group_norm")
entries(_layer_norm, "layer_norm")
entries(_max_pool, " ".join(f"{k}max_pool{n}d" for k in ("", "adaptive_") for n in (1, 2, 3)))
entries(_avg_pool, "avg_pool1d avg_pool2d avg_pool3d")
entries(_adaptive_avg, "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d")
entries(_pad, "pad")
entries(_grid_sample, "grid_sample")
entries(_recurrent, "lstm")
entries(_interpolate, "interpolate upsample upsample_nearest upsample_bilinear")
entries(_cat, "cat concat concatenate")
entries(_stack, "stack")
entries(_images, "roll pixel_shuffle pixel_unshuffle channel_shuffle")
entries(
    _copies,
    "repeat tile repeat_interleave cumsum tril triu hstack vstack meshgrid",
)
entries(_reduces(), "mean sum all any")
entries(_reduces("input"), "var")
entries(_reduces("input", "output"), "prod amax amin std norm logsumexp")
entries(_extreme, "max min topk sort")
entries(_positions, "argmax argmin argsort")
entries(_embedding, "embedding")
entries(_index_select, "index_select")
entries(_gather, "gather")
entries(
    _copies,
    "zeros ones empty rand randn full randint randperm arange linspace logspace eye new_zeros"
    " new_ones new_empty new_full tensor scalar_tensor tril_indices triu_indices",
)
