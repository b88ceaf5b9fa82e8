"""What operations on maps keep: normalisation, pooling, sampling, joining, reducing, picking."""

from __future__ import annotations

from symcnn.algebra.size import Int, Size, maximum, prod
from symcnn.ops.registry import normal_dim, normal_dims
from symcnn.ops.storage.layouts import LAST, UnknownError, copied_strides
from symcnn.ops.storage.memory import LONG, SINGLE, Memory, first_of, is_float
from symcnn.ops.storage.pointwise import extreme_of_two
from symcnn.trace.graph import Node


def vector_norm(m: Memory, node: Node) -> None:
    """The norm over some axes: input and result are kept."""
    m.keep(node, "x output")


def norm(m: Memory, node: Node) -> None:
    """The old form: input and result are kept."""
    if node.arguments.get("p") == "nuc":
        raise UnknownError("of singular values")
    m.keep(node, "input output")


def images(m: Memory, node: Node) -> None:
    """New: images with channels last stay so."""
    base = m.of(first_of(node))
    order = LAST[len(base.dims)] if base.channels_last(m.holds) else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _statistics(m: Memory, node: Node, elements: Int) -> None:
    """In the dtype of the weights, where these are wider than what is normalised."""
    widest = max(map(m.bytes_of, filter(is_float, node.inputs)))
    m.beside(elements, widest if widest > m.bytes_of(first_of(node)) else None)


def batch_norm(m: Memory, node: Node) -> None:
    """The input, the weight and the running statistics; in training those of the batch."""
    a = node.arguments
    m.save(first_of(node), a["weight"], a["running_mean"], a["running_var"])
    if a["training"]:
        _statistics(m, node, 2 * first_of(node).dims[1])
    images(m, node)


def instance_norm(m: Memory, node: Node) -> None:
    """Batch norm over ``N*C`` channels: weights and statistics repeated for every image."""
    a, x = node.arguments, first_of(node)
    many = prod(x.dims[:2])
    m.save(m.in_order(m.of(x)))
    kept = (a["weight"] is not None) + 2 * (a["running_mean"] is not None)
    measured = 2 if a["use_input_stats"] else 0
    m.extra(many * kept)
    m.extra(many * measured)
    m.fresh((many * (kept + (a["bias"] is not None) + measured),))
    m.place(m.fresh(node.outputs[0].dims))


def group_norm(m: Memory, node: Node) -> None:
    """The input in order, the weight, two statistics per sample and group."""
    x = first_of(node)
    m.save(
        m.in_order(m.of(x)) if not m.of(x).channels_last(m.holds) else x, node.arguments["weight"]
    )
    _statistics(m, node, 2 * x.dims[0] * node.arguments["num_groups"])
    images(m, node)


def layer_norm(m: Memory, node: Node) -> None:
    """The input, weight and bias, two statistics per place."""
    x = first_of(node)
    shape = tuple(node.arguments["normalized_shape"])
    m.save(x, *node.inputs[1:])
    _statistics(m, node, 2 * prod(x.dims[: x.ndim - len(shape)]))
    m.place(m.fresh(node.outputs[0].dims))


def rms_norm(m: Memory, node: Node) -> None:
    """The long way, in single precision at least: the input, what it is divided by, and where a
    weight has a gradient the quotient.
    """
    x, weight = first_of(node), node.arguments["weight"]
    lead = x.ndim - len(tuple(node.arguments["normalized_shape"]))
    wide = max(SINGLE, m.bytes_of(x))
    if m.needs(x):
        if m.bytes_of(x) < wide:
            m.extra(prod(x.dims), wide)
        else:
            m.save(x)
        m.extra(prod(x.dims[:lead]), wide)
        m.save(weight)
    if m.needs(weight):
        m.extra(prod(x.dims), wide)
    rows = prod(x.dims[:lead])
    m.fresh((2 * rows if weight is None else rows + prod(x.dims),), wide)
    m.place(m.fresh(node.outputs[0].dims))


def local_response(m: Memory, node: Node) -> None:
    """The input, its squares among zeros, and the sums of which a power is the divisor."""
    x, size = first_of(node), node.arguments["size"]
    if not m.of(x).contiguous or node.arguments["beta"] in (0, 1):
        raise UnknownError("of what is not in plain order, or to no power")
    made = m.fresh(x.dims)
    m.save(x, m.fresh((x.dims[0], x.dims[1] + size - 1, *x.dims[2:])), m.fresh(x.dims))
    m.save(m.fresh(x.dims))
    m.fresh((2, *x.dims))  # on the way, at the same time
    m.fresh(x.dims)
    m.place(made)


def max_pool(m: Memory, node: Node) -> None:
    """The input, and where the largest elements were."""
    m.save(first_of(node))
    images(m, node)
    for i, t in enumerate(node.outputs[1:], 1):
        m.place(m.fresh(t.dims, LONG), i)
        m.save(t)
    if len(node.outputs) == 1:  # in one dimension the CPU has a way without, where nobody watches
        m.beside(prod(node.outputs[0].dims), LONG)


def fractional(m: Memory, node: Node) -> None:
    """The input and the places of the largest; where windows lie is drawn before."""
    x, made = first_of(node), node.outputs[0].dims
    n = int(node.op.partition("pool")[2][0])
    drawn = 0 if node.arguments["_random_samples"] is not None else prod(x.dims[:-n]) * n
    m.save(x)
    m.place(m.fresh(made))
    if len(node.outputs) > 1:
        m.fresh((drawn,))
        m.place(m.fresh(made, LONG), 1)
        m.save(node.outputs[1])
    else:
        m.extra(prod(made), LONG)
        m.fresh((drawn * m.bytes_of(x) + LONG * prod(made),), 1)


def avg_pool(m: Memory, node: Node) -> None:
    """The input, of which only the shape matters."""
    m.save(first_of(node))
    images(m, node)


def lp_pool(m: Memory, node: Node) -> None:
    """As torch.nn.functional writes it: powers of the input, their means, signs and magnitudes of
    these, and the products that the root is taken of.
    """
    x, made = first_of(node), node.outputs[0]
    if node.arguments["norm_type"] in (0, 1, float("inf"), -float("inf")):
        raise UnknownError("of this order")
    m.save(x)
    powers, means = prod(x.dims), prod(made.dims)
    for count in (powers, *[means] * 4):
        m.extra(count)
    m.fresh((maximum(powers, 3 * means),))
    images(m, node)


def adaptive_avg(m: Memory, node: Node) -> None:
    """To a single place it is a mean, which keeps nothing."""
    n = first_of(node).ndim - 2 if node.op == "interpolate" else int(node.op[-2])
    if set(node.outputs[0].dims[-n:]) != {1}:
        m.save(first_of(node))
    images(m, node)


def pad(m: Memory, node: Node) -> None:
    """A copy; what reflects or replicates keeps its input."""
    mode = node.arguments["mode"]
    if mode in ("reflect", "replicate"):
        m.save(first_of(node))
    images(m, node)


def interpolate(m: Memory, node: Node) -> None:
    """Nothing: the shape is enough; by area it is an adaptive pool."""
    if node.arguments.get("mode") == "area":
        adaptive_avg(m, node)
    else:
        images(m, node)


def cat(m: Memory, node: Node) -> None:
    """A copy of all; images with channels last stay so."""
    orders = [m.of(t) for t in node.inputs]
    last = bool(orders) and all(o.channels_last(m.holds) for o in orders)
    order = LAST[len(orders[0].dims)] if last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def stack(m: Memory, node: Node) -> None:
    """Joined along the axis, which is then split: images with channels last stay so."""
    layouts, dims = [m.of(t) for t in node.inputs], node.outputs[0].dims
    if not all(layout.channels_last(m.holds) for layout in layouts):
        m.place(m.fresh(dims))
        return
    axis = normal_dim(node.arguments.get("dim", 0), len(dims), "stack")
    if axis == len(dims) - 1:
        raise UnknownError("of images with channels last, along a last axis")
    joined = (*dims[:axis], dims[axis] * dims[axis + 1], *dims[axis + 2 :])
    made = m.fresh(joined, None, LAST[len(joined)])
    step = made.strides[axis]
    m.view(made, dims, [*made.strides[:axis], step * dims[axis + 1], *made.strides[axis:]])


def repeated(m: Memory, node: Node) -> None:
    """A copy; as often as numbers in a tensor say, by places of which each is one of the output."""
    m.keep(node, "")
    if not isinstance(node.arguments["repeats"], (int, Size)):
        axis = node.arguments["dim"]
        m.extra(node.outputs[0].dims[0 if axis is None else axis], LONG)


def turned(m: Memory, node: Node) -> None:
    """A copy with axes reversed, of which odd turns exchange two."""
    x, k = first_of(node), node.arguments["k"] % 4
    base = m.of(x)
    if k == 0:
        m.place(m.fresh(x.dims))
        return
    made = m.fresh(x.dims, strides=copied_strides(x.dims, base.strides, m.holds))
    order = [*range(x.ndim)]
    if k != 2:
        a, b = normal_dims(tuple(node.arguments["dims"]), x.ndim, "rot90")
        order[a], order[b] = b, a
    m.view(made, node.outputs[0].dims, [made.strides[i] for i in order])


def spread(m: Memory, node: Node) -> None:
    """The input; a standard deviation, too."""
    m.keep(node, "input")
    if node.op == "std_mean":
        m.save(node.outputs[0])


def running(m: Memory, node: Node) -> None:
    """The extremes so far, and where they stand; of the input the sizes are read."""
    extreme(m, node)
    m.save(first_of(node))


def picked_along(m: Memory, node: Node) -> None:
    """The input, and where it is read: the remainders of the places."""
    m.save(first_of(node))
    m.beside(prod(node.outputs[0].dims), LONG)
    m.place(m.fresh(node.outputs[0].dims))


def sorted_rows(m: Memory, node: Node) -> None:
    """Where each element stood."""
    x = first_of(node)
    m.beside(prod(x.dims), LONG)
    m.place(m.fresh(node.outputs[0].dims, None, m.of(x).order))


def differences(m: Memory, node: Node) -> None:
    """Nothing, of neighbours once."""
    a = node.arguments
    if a["n"] != 1 or a["prepend"] is not None or a["append"] is not None:
        raise UnknownError("of more than neighbours")
    base = m.of(first_of(node))
    if not base.contiguous:
        raise UnknownError("of what lies in another order")
    m.place(m.fresh(node.outputs[0].dims))


def extreme(m: Memory, node: Node) -> None:
    """An extreme, or those along an axis and where they stand."""
    if len(node.outputs) == 1:
        if len(node.inputs) == 2:
            extreme_of_two(m, node)
        else:  # of all elements: input and result are kept
            m.keep(node, "input output")
        return
    order = m.of(first_of(node)).order if node.op == "sort" else None
    m.place(m.fresh(node.outputs[0].dims, None, order))
    m.place(m.fresh(node.outputs[1].dims, LONG, order), 1)
    m.save(node.outputs[1])
