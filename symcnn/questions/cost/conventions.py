"""What tools count, each convention a table from an operation to its work.

The law under all of them is the MAC: a product over ``k`` takes ``k`` multiply-accumulates per
output element, and every rule in `symcnn.ops` states its MACs. Conventions differ in what they add:
a factor 2, bias additions, normalisations, activations. A convention is the *definition* that its
tool states; where the tool departs from it (transposed convolutions counted on the output, calls
of functions missed), docs/cost.md shows the case and both numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from symcnn.algebra.size import Int, prod
from symcnn.errors import BadSpec
from symcnn.ops import arrange, create, index, pointwise, reduce, shape
from symcnn.ops.matmul import counted_macs
from symcnn.ops.registry import ntuple
from symcnn.trace.graph import Node, SymbolicTensor

__all__ = ["CONVENTIONS", "Convention", "convention", "elementwise"]

Work = Callable[[Node], Int]


def _numel(t: SymbolicTensor) -> Int:
    return prod(t.dims)


def _read(node: Node) -> Int:
    """Elements of the first tensor it reads."""
    return _numel(node.inputs[0])


def _made(node: Node) -> Int:
    """Elements of the first tensor it makes."""
    return _numel(node.outputs[0])


def _affine(node: Node) -> bool:
    return node.arguments.get("weight") is not None


def _input(node: Node, name: str = "input") -> SymbolicTensor:
    """A tensor that it was called with, by the name of the parameter."""
    found = node.arguments[name]
    assert isinstance(found, SymbolicTensor)
    return found


def _bias(node: Node) -> Int:
    """One addition per output element where there is a bias."""
    return _made(node) if node.arguments.get("bias") is not None else 0


def _times(factor: int, count: Work) -> Work:
    return lambda node: count(node) * factor


@dataclass(frozen=True, slots=True)
class Convention:
    """A way of counting: `macs` times `factor`, and `also` by operation.

    unit: what one of it is; source: whose definition it is.
    """

    name: str
    unit: str
    source: str
    factor: int = 1
    also: Mapping[str, Work] = field(default_factory=dict)
    instead: Mapping[str, Work] = field(default_factory=dict)  # in place of the MACs

    def count(self, node: Node) -> Int:
        """The work of one node."""
        if node.op in self.instead:
            return self.instead[node.op](node)
        work = node.result.macs * self.factor
        return work + self.also[node.op](node) if node.op in self.also else work


def _named(work: Work, names: str) -> dict[str, Work]:
    return dict.fromkeys(names.split(), work)


_CONVS = "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
_POOLS = " ".join(
    f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for n in (1, 2, 3)
)
_NORMS = "batch_norm instance_norm group_norm layer_norm"


# fvcore ----------------------------------------------------------------------------------------


def _fvcore_norm(node: Node) -> Int:
    """5 per element with an affine map, 4 without; batch norm in eval mode is folded: 2 and 1."""
    if node.op == "batch_norm" and not node.arguments["training"]:
        return _read(node) * (2 if _affine(node) else 1)
    return _read(node) * (5 if _affine(node) else 4)


def _fvcore_resize(node: Node) -> Int:
    arguments = node.arguments
    if node.inputs[0].ndim != 4:
        return 0
    mode = arguments.get("mode", "bilinear" if "bilinear" in node.op else "nearest")
    return _made(node) * {"nearest": 1, "bilinear": 4}.get(mode, 0)


_FVCORE = {
    **_named(_fvcore_norm, _NORMS),
    **_named(_fvcore_resize, "interpolate upsample_nearest upsample_bilinear"),
    **_named(_times(4, _made), "grid_sample grid_sampler grid_sampler_2d"),
    "adaptive_avg_pool2d": _read,
}


# thop ------------------------------------------------------------------------------------------


def _thop_norm(node: Node) -> Int:
    return _read(node) * (4 if _affine(node) else 2)


def _thop_softmax(node: Node) -> Int:
    """An exponential and a division per element, and one addition fewer than elements per row."""
    x = node.inputs[0]
    axis = node.arguments.get("dim")
    rows = prod(d for i, d in enumerate(x.dims) if i != (axis or 0) % max(x.ndim, 1))
    return 3 * _numel(x) - rows


def _thop_resize(node: Node) -> Int:
    mode = node.arguments.get("mode", "bilinear" if "bilinear" in node.op else "nearest")
    per = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259, "trilinear": 31}
    return _made(node) * per.get(mode, 0)


_THOP = {
    **_named(_thop_norm, "batch_norm layer_norm instance_norm"),
    **_named(_made, "avg_pool1d avg_pool2d avg_pool3d"),
    **_named(
        lambda n: _read(n) + _made(n),
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
    ),
    **_named(_thop_resize, "interpolate upsample_nearest upsample_bilinear"),
    "prelu": _read,
    "softmax": _thop_softmax,
}


# ptflops ---------------------------------------------------------------------------------------


def _ptflops_relu6(node: Node) -> Int:
    """ReLU6 is hardtanh from 0 to 6; any other hardtanh is not counted."""
    bounds = node.arguments["min_val"], node.arguments["max_val"]
    return _read(node) if bounds == (0, 6) else 0


_PTFLOPS = {
    **_named(_bias, f"{_CONVS} linear"),
    **_named(lambda n: _read(n) * (2 if _affine(n) else 1), _NORMS),
    **_named(_read, f"{_POOLS} relu prelu elu leaky_relu relu6 gelu silu softmax layer_norm"),
    **_named(_made, "interpolate upsample_nearest upsample_bilinear add mul"),
    "hardtanh": _ptflops_relu6,
}


# torchinfo -------------------------------------------------------------------------------------


def _torchinfo(node: Node) -> Int:
    """Weights times images; of a convolution, times the places where they are applied."""
    weights = sum((p.count for p in dict.fromkeys(node.parameters)), 0)
    if node.op in _CONVS.split():
        return node.result.macs + _bias(node)
    return node.outputs[0].dims[0] * weights if node.outputs[0].dims else weights


class _Everything(dict[str, Work]):
    """A table that has one entry, for all operations."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Work:
        return _torchinfo


#: All conventions by name; "macs" is the default.
CONVENTIONS = {
    c.name: c
    for c in (
        Convention("macs", "MACs", "multiply-accumulates of convolutions and matrix products"),
        Convention(
            "flops",
            "FLOPs",
            "torch.utils.flop_counter.FlopCounterMode: two per MAC",
            factor=2,
            instead=_named(
                _times(2, counted_macs),
                "einsum bilinear matmul linear inner mv dot vdot addmv addbmm",
            ),
        ),
        Convention(
            "bias",
            "MACs and bias adds",
            "multiply-accumulates, and one addition per output element of a layer with a bias",
            also=_named(_bias, f"{_CONVS} linear bilinear"),
        ),
        Convention(
            "fvcore",
            "flops (one per MAC)",
            "fvcore.nn.FlopCountAnalysis: MACs, normalisations, 2-d resizing and global pooling",
            also=_FVCORE,
        ),
        Convention(
            "thop",
            "MACs",
            "thop.profile: MACs without biases, normalisations, average pooling, softmax, resizing",
            also=_THOP,
        ),
        Convention(
            "ptflops",
            "MACs",
            "ptflops.get_model_complexity_info (pytorch backend): MACs with biases, "
            "normalisations, pooling, activations, resizing, sums and products",
            also=_PTFLOPS,
        ),
        Convention(
            "torchinfo",
            "mult-adds",
            "torchinfo.summary: weights and biases times images, times places for convolutions",
            instead=_Everything(),
        ),
    )
}


def convention(name: str) -> Convention:
    """The convention called `name`. Raises BadSpec, with near names, if there is none.

    >>> convention("flops").factor
    2
    """
    if name in CONVENTIONS:
        return CONVENTIONS[name]
    near = get_close_matches(str(name), CONVENTIONS, n=1)
    known = ", ".join(CONVENTIONS)
    hint = f"did you mean {near[0]}? " if near else ""
    raise BadSpec(f"no convention is called {name!r}", cure=f"{hint}there are: {known}")


# Everything that is not a MAC ------------------------------------------------------------------


def _window(node: Node) -> Int:
    """One comparison or addition per element of every window."""
    n = int(node.op[-2])
    return _made(node) * prod(ntuple(node.arguments["kernel_size"], n, "kernel_size"))


def _norm(node: Node) -> Int:
    """Scale and shift, 2; statistics of the input, 3 (sum, square, sum); an affine map, 2 more."""
    arguments = node.arguments
    if node.op == "batch_norm" and not arguments["training"]:
        return 2 * _read(node)
    own = node.op != "instance_norm" or arguments["use_input_stats"]
    return _read(node) * (2 + 3 * own + 2 * _affine(node))


def _resize(node: Node) -> Int:
    """One per tap: 2 for linear, 4 for bilinear, 8 for trilinear, 16 for bicubic."""
    mode = node.arguments.get("mode", "bilinear" if "bilinear" in node.op else "nearest")
    taps = {"nearest": 0, "nearest-exact": 0, "linear": 2, "bilinear": 4, "trilinear": 8}
    if mode == "area":
        return _read(node)
    return _made(node) * taps.get(mode, 16)


def _grid(node: Node) -> Int:
    mode = node.arguments.get("mode", "bilinear")
    taps = {"nearest": 0, "bicubic": 16, 0: 2 ** (node.inputs[0].ndim - 2), 1: 0, 2: 16}
    per: int = taps.get(mode, 2 ** (node.inputs[0].ndim - 2))
    return _made(node) * per


def _attention(node: Node) -> Int:
    """Scale and softmax of the scores: 4 for each; a mask 1 more."""
    query, key = node.inputs[0], node.inputs[1]
    lead = node.outputs[0].dims[:-2]
    scores = prod(lead) * query.dims[-2] * key.dims[-2]
    return scores * (4 + (node.arguments.get("attn_mask") is not None))


def _heads(node: Node) -> Int:
    """Scale and softmax of the scores, the biases of the projections, averaged weights."""
    a = node.arguments
    query, key = a["query"], a["key"]
    batch: Int = query.dims[1] if query.ndim == 3 else 1
    seen = key.dims[0] + (a["bias_k"] is not None) + bool(a["add_zero_attn"])
    scores = batch * a["num_heads"] * query.dims[0] * seen
    masks = (a["attn_mask"] is not None) + (a["key_padding_mask"] is not None)
    work: Int = scores * (4 + masks)
    if a["in_proj_bias"] is not None:
        work = work + batch * (query.dims[0] + 2 * key.dims[0]) * a["embed_dim_to_check"]
    if a["out_proj_bias"] is not None:
        work = work + _made(node)
    if a["need_weights"] and a["average_attn_weights"]:
        work = work + scores
    return work


#: Per gate row and step: two biases, the sum of both products, the activation; then the state.
_STATE = {"lstm": 5, "gru": 5, "rnn_tanh": 0, "rnn_relu": 0}


def _recurrent(node: Node) -> Int:
    kind = node.op.removesuffix("_cell")
    if node.op.endswith("_cell"):
        rows, units = _input(node, "w_hh").dims
        biases = sum(1 for b in node.arguments["biases"] if b is not None)
        return prod(node.inputs[0].dims[:-1]) * (rows * (2 + biases) + units * _STATE[kind])
    arguments = node.arguments
    params = arguments["params"]
    each = len(params) // (arguments["num_layers"] * (2 if arguments["bidirectional"] else 1))
    rows = sum((p.dims[0] for p in params[::each]), 0)
    per: Int = sum((p.dims[0] for p in params if p.ndim == 1), 0)
    places = prod(_input(node).dims[:-1])
    gates = {"lstm": 4, "gru": 3}.get(kind, 1)
    work: Int = places * (per + 2 * rows + rows * _STATE[kind] // gates)
    return work


#: Cheap or free: what moves, makes or views elements does no arithmetic.
_MOVES = (
    "clone contiguous detach requires_grad_ requires_grad float half double bfloat16 int long bool"
    " to type type_as cpu cuda identity alias_copy conj real imag resolve_conj resolve_neg char"
    " byte short cfloat cdouble zeros_like ones_like full_like empty_like rand_like randn_like"
    " randint_like zero fill random pin_memory uniform exponential bernoulli where masked_fill"
    " masked_scatter max_unpool1d max_unpool2d max_unpool3d polar complex affine_grid"
    " affine_grid_generator view flatten copy slice_scatter select_scatter"
).split()


def _rules_of(module: Any) -> list[str]:
    from symcnn.trace.graph import OPS

    def home(operation: object) -> str:
        rule = getattr(operation, "__wrapped__", operation)
        return str(getattr(rule, "func", rule).__module__)

    return [name for name, operation in OPS.items() if home(operation) == module.__name__]


def _table() -> dict[str, Work]:
    nothing: Work = lambda node: 0  # noqa: E731
    table: dict[str, Work] = {}
    for module in (shape, arrange, create, index):
        table |= dict.fromkeys(_rules_of(module), nothing)
    table |= dict.fromkeys(_rules_of(pointwise), _made)
    table |= dict.fromkeys(_MOVES, nothing)
    table |= dict.fromkeys(_rules_of(reduce), _read)
    table |= _named(_bias, f"{_CONVS} linear")
    table |= _named(nothing, "matmul mm bmm mv dot vdot inner tensordot einsum")
    table |= _named(_made, "addmm baddbmm addbmm addmv outer ger addr")
    table |= _named(_bias, "bilinear")
    table |= _named(_norm, f"{_NORMS} rms_norm")
    table |= _named(_times(3, _made), "softmax log_softmax softmin gumbel_softmax normalize")
    table |= _named(
        _window, " ".join(f"{kind}_pool{n}d" for kind in ("max", "avg", "lp") for n in (1, 2, 3))
    )
    table |= _named(
        _read, " ".join(f"adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3))
    )
    table |= _named(_resize, "interpolate upsample upsample_nearest upsample_bilinear")
    table |= _named(_grid, "grid_sample grid_sampler grid_sampler_2d grid_sampler_3d")
    table |= {"scaled_dot_product_attention": _attention, "multi_head_attention_forward": _heads}
    table |= _named(_recurrent, " ".join(f"{k} {k}_cell" for k in _STATE))
    table |= _named(nothing, "embedding one_hot")
    table |= _named(
        lambda n: _read(n) * 2,
        "l1_loss mse_loss smooth_l1_loss huber_loss hinge_embedding_loss soft_margin_loss",
    )
    table |= _named(lambda n: _read(n) * 4, "cross_entropy binary_cross_entropy_with_logits")
    table |= _named(lambda n: _read(n) * 2, "binary_cross_entropy kl_div poisson_nll_loss nll_loss")
    return table


_ELEMENTWISE = _table()


def elementwise(node: Node) -> Int | None:
    """Arithmetic that is not a MAC: one per scalar function, comparison or addition.

    None for an operation that the table does not have. Per output element: a pointwise operation
    1, softmax 3, pooling its window, batch norm 2 in eval mode, other normalisations 5 (7 with an
    affine map), bilinear resizing 4, a bias 1; a reduction takes 1 per element it reads; moving
    and viewing is free.

    >>> from symcnn import nn
    >>> [elementwise(n) for n in nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)).trace("N 8 H W").nodes]
    [8*N*H*W, 32*N*(H//2)*(W//2)]
    """
    count = _ELEMENTWISE.get(node.op)
    return None if count is None else count(node)
