"""What torch's autograd does with each operation: which gradients flow, and what they cost.

The law of work: *the gradient of a product with respect to one factor is a product of the same
size.* ``y = a @ b`` over ``b*m*n*k`` MACs has ``da = dy @ b.T`` and ``db = a.T @ dy``, each again
``b*m*n*k``; convolutions and attention are products in other clothes. So the backward pass is the
list of a node's products, each counted once per factor that leads to something trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from symcnn.algebra.size import Int, prod
from symcnn.errors import UnsupportedOperation
from symcnn.ops.matmul import counted_macs, pair_macs
from symcnn.trace.graph import Node, SymbolicTensor, tensors_in

__all__ = ["Gradients", "Product", "gradients", "products"]


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a node: its factors, and the MACs of the gradient of each.

    A factor is the tensors it is computed from: it needs a gradient if one of them does.
    """

    left: tuple[SymbolicTensor, ...]
    right: tuple[SymbolicTensor, ...]
    left_macs: Int
    right_macs: Int


def _pair(left: Any, right: Any, macs: Int) -> Product:
    return Product(tuple(tensors_in(left)), tuple(tensors_in(right)), macs, macs)


def _factors(first: int, second: int) -> Callable[[Node], list[Product]]:
    return lambda node: [_pair(node.inputs[first], node.inputs[second], node.result.macs)]


def _counted_product(node: Node) -> list[Product]:
    """What torch runs by mv or dot, FlopCounterMode passes over, backward too."""
    return _PRODUCTS[node.op](node) if counted_macs(node) != 0 else []


def _counted_convolution(node: Node) -> list[Product]:
    """FlopCounterMode counts the gradient of a grouped weight as often as there are groups."""
    macs, groups = node.result.macs, node.arguments["groups"]
    return [Product((node.inputs[0],), (node.inputs[1],), macs, macs * groups)]


def _attention(node: Node) -> list[Product]:
    a = node.arguments
    query, key, value = a["query"], a["key"], a["value"]
    places = prod(node.outputs[0].dims[:-1]) * key.dims[-2]
    scores = [query, key, a["attn_mask"]]
    return [
        _pair(query, key, places * query.dims[-1]),
        _pair(scores, value, places * value.dims[-1]),
    ]


def _heads(node: Node) -> list[Product]:
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
        _pair(query, weights[0], length * query.dims[-1] * width),
        _pair(key, weights[1], keys * key.dims[-1] * width),
        _pair(value, weights[2], keys * value.dims[-1] * width),
        _pair(q, k, length * seen * width),
        _pair([q, k], v, length * seen * width),
        _pair([q, k, v], a["out_proj_weight"], length * prod(a["out_proj_weight"].dims)),
    ]


def _einsum(node: Node, *, counted: bool = False) -> list[Product]:
    """Pairwise from left to right: the running product is the left factor."""
    steps = pair_macs(*(node.call.args if node.call is not None else ("",)), counted=counted)
    tensors = node.inputs
    return [_pair(tensors[: i + 1], tensors[i + 1], macs) for i, macs in enumerate(steps)]


def _recurrent(node: Node) -> list[Product]:
    """Per layer and direction the input's product and, step by step, the state's.

    The first state is given: its product has no gradient unless somebody asked for one.
    """
    a = node.arguments
    x, params = a["input"], a["params"]
    directions = 2 if a["bidirectional"] else 1
    each = len(params) // (a["num_layers"] * directions)
    layers = [params[i : i + each] for i in range(0, len(params), each)]
    states = list(tensors_in(a["hx"]))
    length = x.dims[1 if a["batch_first"] and x.ndim == 3 else 0]
    samples = prod(x.dims[:-1][(0 if a["batch_first"] else 1) :][:1]) if x.ndim == 3 else 1
    found: list[Product] = []
    below = feeds = (x,)  # what the layer reads; what its outputs depend on
    for i, layer in enumerate(layers):
        w_ih, w_hh = layer[:2]
        below = feeds if i % directions == 0 else below
        everything = (*below, *layer, *states)
        found.append(_pair(below, w_ih, samples * length * prod(w_ih.dims)))
        step = samples * prod(w_hh.dims)
        found.append(Product(everything, (w_hh,), step * (length - 1), step * length))
        found.append(Product(tuple(states[:1]), (), step, 0))
        if len(layer) in (3, 5):
            found.append(_pair(everything, layer[-1], samples * length * prod(layer[-1].dims)))
        if i % directions == directions - 1:
            feeds = tuple(dict.fromkeys((*feeds, *everything)))
    return found


def _bilinear(node: Node) -> list[Product]:
    """Three factors: the gradient of each is a product of the other two and the output's."""
    x, y, weight = node.inputs[:3]
    macs = node.result.macs
    return [_pair(x, weight, macs), Product((y,), (), macs, 0)]


def _cell(node: Node) -> list[Product]:
    a = node.arguments
    places = prod(a["input"].dims[:-1])
    state = tensors_in(a["hx"])[0]
    return [
        _pair(a["input"], a["w_ih"], places * prod(a["w_ih"].dims)),
        _pair(state, a["w_hh"], places * prod(a["w_hh"].dims)),
    ]


_CONVOLUTIONS = [f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)]

_PRODUCTS: Mapping[str, Callable[[Node], list[Product]]] = {
    **dict.fromkeys(_CONVOLUTIONS, _factors(0, 1)),
    **dict.fromkeys("linear matmul mm bmm mv dot vdot inner tensordot".split(), _factors(0, 1)),
    **dict.fromkeys("addmm baddbmm addbmm addmv".split(), _factors(1, 2)),
    "einsum": _einsum,
    "bilinear": _bilinear,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _heads,
    **dict.fromkeys("lstm gru rnn_tanh rnn_relu".split(), _recurrent),
    **dict.fromkeys("lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell".split(), _cell),
}


#: What `torch.utils.flop_counter` makes of an operation, where that is not what is done.
_COUNTED: Mapping[str, Callable[[Node], list[Product]]] = {
    **dict.fromkeys(_CONVOLUTIONS, _counted_convolution),
    "einsum": partial(_einsum, counted=True),
    "bilinear": lambda node: [],
    **dict.fromkeys("matmul linear inner mv dot vdot addmv".split(), _counted_product),
}


def products(node: Node, *, counted: bool = False) -> list[Product]:
    """The products of a node; none for an operation without MACs.

    counted: as `torch.utils.flop_counter` counts them.

    Raises UnsupportedOperation where an operation has MACs, but no entry here.
    """
    if node.result.macs == 0:
        return []
    if node.op not in _PRODUCTS:
        raise UnsupportedOperation(
            f"{node.module or node.name}: {node.op} does not say what its gradient costs",
            cure="ask for the forward pass, or with partial=True",
        )
    if counted and node.op in _COUNTED:
        return _COUNTED[node.op](node)
    return _PRODUCTS[node.op](node)


# Which gradients flow --------------------------------------------------------------------------

#: What has no gradient: truth values, positions, new tensors; and what cuts it off.
_CUT = frozenset(
    "detach eq ne lt le gt ge greater greater_equal less less_equal not_equal logical_and"
    " logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not"
    " bitwise_left_shift bitwise_right_shift isnan isinf isfinite isneginf isposinf isreal isclose"
    " signbit argmax argmin argsort any all count_nonzero bool int long byte char"
    " short zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_zeros"
    " new_ones new_empty new_full new_empty_strided bernoulli nonzero argwhere unique"
    " unique_consecutive bincount one_hot searchsorted bucketize zero".split()
)

#: Of several outputs only the first has values; the others say where they stand.
_INDICES = frozenset(
    "topk max min sort mode median nanmedian kthvalue cummax cummin".split()
    + [f"{kind}_pool{n}d" for kind in ("max", "adaptive_max") for n in (1, 2, 3)]
)

#: Of the second tensor these take the shape, the dtype or the device, and no values.
_LIKE = frozenset("to type type_as view_as reshape_as expand_as".split())

_INTEGERS = ("int", "long", "bool", "uint", "short")


def _differentiable(node: Node) -> bool:
    if node.custom:  # its gradient goes around
        return True
    if not node.grad or node.op in _CUT:
        return False
    if node.op in ("to", "type", "type_as") and node.call is not None:
        casts = [*node.call.args, *node.call.kwargs.values()]
        return not any(str(c).removeprefix("torch.").startswith(_INTEGERS) for c in casts[1:])
    return True


def _sources(node: Node) -> Sequence[SymbolicTensor]:
    """The inputs whose values are in the outputs."""
    return node.inputs[:1] if node.op in _LIKE else node.inputs


class Gradients:
    """Which tensors of a network lead to something trained, and to the outputs."""

    def __init__(self, needed: set[SymbolicTensor], run: set[Node]) -> None:
        self.needed = needed  # requires_grad
        self.run = run  # nodes whose backward runs

    @property
    def custom(self) -> Node | None:
        """A node with a backward pass of its own, a torch.autograd.Function, if there is one."""
        return next((node for node in self.run if node.custom), None)

    def needs(self, tensors: Iterable[SymbolicTensor]) -> bool:
        """Whether one of them requires a gradient."""
        return any(t in self.needed for t in tensors)

    def macs(self, node: Node, *, counted: bool = False) -> Int:
        """MACs of the backward pass of one node; `counted`: as FlopCounterMode counts them."""
        if node not in self.run or node.custom:
            return 0
        total: Int = 0
        for product in products(node, counted=counted):
            if self.needs(product.left):
                total = total + product.left_macs
            if self.needs(product.right):
                total = total + product.right_macs
        return total


def gradients(
    nodes: Sequence[Node],
    inputs: Iterable[SymbolicTensor],
    outputs: Iterable[SymbolicTensor],
    *,
    input_grad: bool = False,
) -> Gradients:
    """What ``sum(outputs).backward()`` does; `input_grad`: the inputs require gradients too."""
    needed: set[SymbolicTensor] = set(inputs) if input_grad else set()
    for node in nodes:
        needed.update(t for t in node.inputs if t.trainable)
    for node in nodes:
        if _differentiable(node) and any(t in needed for t in _sources(node)):
            made = node.outputs[:1] if node.op in _INDICES else node.outputs
            needed.update(t for t in made if node.custom or not t.boolean)
    reached = {t for t in outputs if t in needed}
    run: set[Node] = set()
    for node in reversed(nodes):
        if any(t in reached for t in node.outputs):
            run.add(node)
            reached.update(t for t in _sources(node) if t in needed)
    return Gradients(needed, run)
