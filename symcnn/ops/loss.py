"""Losses: one number per element or per sample, then none, mean or sum of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from inspect import Parameter, Signature
from itertools import combinations
from typing import Any, TypedDict, Unpack

from symcnn.algebra.size import Int, Size, maximum, prod
from symcnn.errors import ShapeMismatch
from symcnn.ops import criteria, dtypes, work
from symcnn.ops.dtypes import result_type
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.pointwise import broadcast, broadcast_dims
from symcnn.ops.registry import (
    elementwise,
    of_everything,
    require_equal,
    require_numbers,
    require_places,
    require_rank,
    require_shape,
)
from symcnn.ops.storage import losses
from symcnn.ops.takes import meant, not_taken, require_part
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import Node, Result, SymbolicTensor


class Options(TypedDict, total=False):
    """Torch's optional parameters of losses."""

    weight: SymbolicTensor | None
    pos_weight: SymbolicTensor | None
    size_average: bool | None
    reduce: bool | None
    reduction: int | str
    ignore_index: int | None
    label_smoothing: float
    beta: float
    delta: float
    margin: float
    p: float
    eps: float
    swap: bool
    full: bool
    log_input: bool
    log_target: bool


_REDUCTIONS = ("none", "mean", "sum")


def _reduced(
    dims: tuple[Int, ...],
    options: Options,
    requires: list[Requirement],
    pointwise: Result | None = None,
) -> Result:
    """`dims`, or a single number, as the options say: `reduction`, or the old `reduce`."""
    reduction = options.get("reduction", "mean")
    if options.get("reduce") is False:
        reduction = "none"
    elif isinstance(reduction, int):
        reduction = _REDUCTIONS[reduction]
    if reduction not in (*_REDUCTIONS, "batchmean"):
        raise ShapeMismatch(f"reduction={reduction!r}", cure='"none", "mean" or "sum"')
    if reduction == "none":
        if pointwise is not None:
            return replace(pointwise, requires=tuple(requires))
        return of_everything(dims, requires)
    return Result(((),), requires=tuple(requires))


def _same(op: str, a: SymbolicTensor, b: SymbolicTensor) -> list[Requirement]:
    if a.ndim != b.ndim:
        raise ShapeMismatch(f"{op}: the target is {b.ndim}-d, the input {a.ndim}-d")
    why = f"{op}: input and target must have the same shape"
    return require_shape(a.dims, b.dims, why)


def _fits(op: str, weight: SymbolicTensor | None, dims: tuple[Int, ...]) -> list[Requirement]:
    """That a weight broadcasts to the loss."""
    if weight is None:
        return []
    if weight.ndim > len(dims):
        raise ShapeMismatch(f"{op}: a {weight.ndim}-d weight for a {len(dims)}-d input")
    pairs = zip(weight.dims, dims[len(dims) - weight.ndim :], strict=True)
    why = f"{op}: the weight must broadcast to the input"
    return [need for x, y in pairs if x != 1 for need in require_equal(x, y, why)]


#: Losses that integers have, but for their mean.
_OF_NUMBERS = ("l1_loss", "hinge_embedding_loss")


def _pointwise(op: str) -> Any:
    """Input and target broadcast against each other."""

    def operation(
        input: SymbolicTensor, target: SymbolicTensor, **options: Unpack[Options]
    ) -> Result:
        if options.get("delta", 1) <= 0:
            raise ShapeMismatch(f"{op}: delta={options['delta']}", cure="delta is positive")
        both = broadcast(input, target, options.get("weight"))
        taken = input.dtype if op == "hinge_embedding_loss" else result_type((input, target))
        averaged = options.get("reduction", "mean") == "mean" and options.get("reduce") is not False
        if averaged and op in _OF_NUMBERS and taken in meant("int") - {""}:
            raise not_taken(f"the mean of {op}, of {taken}", "float complex")
        requires = list(both.requires)
        if op == "soft_margin_loss":  # torch writes into a tensor of the input's shape
            requires += _same(op, SymbolicTensor(both.shapes[0]), input)
        return _reduced(both.shapes[0], options, requires, both)

    return operation


def _positional(names: str, operation: Callable[..., Result]) -> Callable[..., Result]:
    """Torch's optional parameters in torch's order, as keywords."""
    order = names.split()

    def call(*args: object, **kwargs: object) -> Result:
        named = dict(zip(order, args, strict=False))
        return operation(**named, **kwargs)

    said = {**Options.__annotations__, **operation.__annotations__}
    either = partial(Parameter, kind=Parameter.POSITIONAL_OR_KEYWORD, default=None)
    named = [either(name, annotation=said[name]) for name in order]
    rest = Parameter("options", Parameter.VAR_KEYWORD, annotation="object")
    vars(call)["__signature__"] = Signature([*named, rest])
    return call


_REST = "size_average reduce reduction"
_terms = partial(rule, other=work.times(2, work.read), autocast=dtypes.SINGLE)


def _pairs(name: str, options: str = _REST, **laws: Any) -> None:
    """A loss of an input and a target that broadcast."""
    _terms(name, **laws)(_positional(f"input target {options}", _pointwise(name)))


_OF_BOTH: Any = {"dtype": dtypes.of_tensors, "takes": "float"}
_pairs(
    "l1_loss",
    f"{_REST} weight",
    saves=losses.absolute,
    dtype=dtypes.tensor_real,
    takes={"input target": "int float complex"},
)
_pairs("mse_loss", f"{_REST} weight", saves=losses.shrunk, **_OF_BOTH)
_pairs("smooth_l1_loss", f"{_REST} beta", saves=losses.shrunk, **_OF_BOTH)
_pairs(
    "huber_loss",
    "reduction delta weight",
    dtype=dtypes.first,
    saves=losses.of_both,
    takes={"input": "float", "": "float"},
)
_pairs(
    "kl_div",
    f"{_REST} log_target",
    saves=losses.divergence,
    dtype=dtypes.of_tensors,
    takes={"input target": "float"},
)
_pairs(
    "poisson_nll_loss",
    "log_input full size_average eps reduce reduction",
    steps=criteria.poisson,
    dtype=dtypes.tensor_floats,
    takes={"input": "bool int float", "": "int float"},
)
_pairs(
    "hinge_embedding_loss",
    f"margin {_REST}",
    steps=criteria.hinge,
    dtype=dtypes.first,
    takes={"input": "int float"},
)
_pairs("soft_margin_loss", saves=losses.shrunk, takes={"input": "float complex"})


def _binary_cross_entropy(
    input: SymbolicTensor, target: SymbolicTensor, **options: Unpack[Options]
) -> Result:
    op = "binary_cross_entropy"
    requires = _same(op, input, target)
    for weight in (options.get("weight"), options.get("pos_weight")):
        requires += _fits(op, weight, input.dims)
    return _reduced(input.dims, options, requires, elementwise(input))


_terms(
    "binary_cross_entropy",
    saves=losses.shrunk,
    autocast=dtypes.SINGLE_ON_CPU,
    takes="float",
    same_dtype="input target",
)(_positional(f"input target weight {_REST}", _binary_cross_entropy))
rule(
    "binary_cross_entropy_with_logits",
    saves=losses.of_both,
    other=work.times(4, work.read),
    dtype=dtypes.of_tensors,
    autocast=dtypes.SINGLE,
    takes={"input target": "float"},
)(_positional(f"input target weight {_REST} pos_weight", _binary_cross_entropy))


def _per_place(op: str, input: SymbolicTensor, target: SymbolicTensor, options: Options) -> Result:
    """Classes on axis 1 (0, without a batch), one class per place in the target."""
    if not input.ndim:
        raise ShapeMismatch(f"{op} takes an input with classes")
    at = min(input.ndim - 1, 1)
    dims = (*input.dims[:at], *input.dims[at + 1 :])
    requires = _same(op, SymbolicTensor(dims), target)
    ignored = options.get("ignore_index", -100)
    requires += require_places(target, input.dims[at], op, apart_from=ignored)
    weights = _classes(op, input.dims[at], options, images=input.ndim > 2)
    return _reduced(dims, options, requires + weights)


def _classes(op: str, classes: Int, options: Options, *, images: bool = False) -> list[Requirement]:
    """One weight per class; of images torch counts the weights only."""
    weight = options.get("weight")
    if weight is None:
        return []
    if weight.ndim != 1 and not images:
        raise ShapeMismatch(f"{op}: the weight is {weight.ndim}-d", cure="give one per class")
    return require_equal(prod(weight.dims), classes, f"{op}: one weight per class")


def _nll_loss(input: SymbolicTensor, target: SymbolicTensor, **options: Unpack[Options]) -> Result:
    return _per_place("nll_loss", input, target, options)


def _cross_entropy(
    input: SymbolicTensor, target: SymbolicTensor, **options: Unpack[Options]
) -> Result:
    """Targets are classes, or probabilities: then they have the input's shape."""
    if input.ndim != target.ndim or input.ndim < 1:
        require_part(f"cross_entropy with classes of {target.dtype}", target, "int64 uint8")
        return _per_place("cross_entropy", input, target, options)
    at = min(input.ndim - 1, 1)
    dims = (*input.dims[:at], *input.dims[at + 1 :])
    requires = _same("cross_entropy", input, target)
    if target.dtype not in meant("float"):
        raise not_taken(f"cross_entropy with probabilities of {target.dtype}", "float")
    return _reduced(dims, options, requires + _classes("cross_entropy", input.dims[at], options))


_terms(
    "nll_loss",
    saves=losses.of_classes,
    takes={"input": "float", "target": "int64 uint8"},
)(_positional("input target weight size_average ignore_index reduce reduction", _nll_loss))
rule(
    "cross_entropy",
    saves=losses.of_classes,
    other=work.times(4, work.read),
    dtype=dtypes.of_tensors,
    autocast=dtypes.SINGLE,
    takes={"input": "float", "target": "int64 uint8 float"},
)(
    _positional(
        "input target weight size_average ignore_index reduce reduction label_smoothing",
        _cross_entropy,
    )
)


def _uncast(node: Node) -> str:
    """Which tensors of a linear cross entropy are alike: in chunks, halves are cast to the rest."""
    chunks = node.arguments.get("options") is not None
    halves = node.inputs[0].dtype in {"float16", "bfloat16"}
    return "" if chunks and halves else "input linear_weight linear_bias"


@rule("linear_cross_entropy", takes="float", same_dtype=_uncast)
def linear_cross_entropy(
    input: SymbolicTensor,
    linear_weight: SymbolicTensor,
    target: SymbolicTensor,
    *,
    linear_bias: SymbolicTensor | None = None,
    **options: Unpack[Options],
) -> Result:
    """`cross_entropy` of ``input @ linear_weight.T``; the weight may be for several outputs."""
    op = "linear_cross_entropy"
    require_rank(input, (1, 2), op)
    *out, features = linear_weight.dims
    needs = require_equal(
        input.dims[-1], features, f"{op}: the input must have the weight's features"
    )
    if linear_bias is not None:
        needs += _same(op, SymbolicTensor(tuple(out)), linear_bias)
    if input.ndim == 1 and len(out) > 1:
        raise ShapeMismatch(f"{op}: a weight for several outputs takes a batch")
    logits = (*input.dims[:-1], *out)
    if options.get("ignore_index") is not None and target.ndim == len(logits):
        raise ShapeMismatch(f"{op}: ignore_index, but the target has probabilities")
    loss = _cross_entropy(SymbolicTensor(logits), target, **options)
    return Result(loss.shapes, loss.axes, prod(logits) * features, (*needs, *loss.requires))


@rule("ctc_loss", empty=False, autocast=dtypes.SINGLE, takes="float32 float64")
def ctc_loss(
    log_probs: SymbolicTensor,
    targets: SymbolicTensor,
    input_lengths: SymbolicTensor | Sequence[Int],
    target_lengths: SymbolicTensor | Sequence[Int],
    blank: int = 0,
    reduction: int | str = "mean",
    zero_infinity: bool = False,
) -> Result:
    """One number per sequence of a batch ``(time, batch, classes)``, or one in all."""
    require_rank(log_probs, (2, 3), "ctc_loss")
    requires: list[Requirement] = []
    for lengths in (input_lengths, target_lengths):
        given = prod(lengths.dims) if isinstance(lengths, SymbolicTensor) else len(lengths)
        requires += require_equal(
            given, prod(log_probs.dims[1:-1]), "ctc_loss: one length per sequence"
        )
    if not isinstance(input_lengths, SymbolicTensor):
        why = "ctc_loss: no sequence is longer than the input"
        requires.append(Condition(log_probs.dims[0], ">=", maximum(*input_lengths), why))
    require_rank(targets, (1, 2), "the targets of ctc_loss")
    if targets.ndim == 2:
        batch = prod(log_probs.dims[1:-1])
        requires += require_equal(targets.dims[0], batch, "ctc_loss: targets for every sequence")
    if not isinstance(target_lengths, SymbolicTensor):
        if targets.ndim == 1:  # all targets, one after the other
            total = sum(target_lengths)
            requires += require_equal(
                targets.dims[0], total, "ctc_loss: as many targets as their lengths"
            )
        else:
            why = "ctc_loss: no target is longer than its row"
            requires.append(Condition(targets.dims[1], ">=", maximum(*target_lengths), why))
    return _reduced(log_probs.dims[1:-1], {"reduction": reduction}, requires)


def _gaussian_nll(
    input: SymbolicTensor,
    target: SymbolicTensor,
    var: float | SymbolicTensor,
    **options: Unpack[Options],
) -> Result:
    """A variance per element, or one shared along one axis; without the last axis, per sample."""
    require_numbers(eps=options.get("eps", 1e-6))
    both = broadcast(input, target)
    requires = list(both.requires)
    if isinstance(var, SymbolicTensor):
        if input.ndim - var.ndim not in (0, 1):
            raise ShapeMismatch(
                "gaussian_nll_loss: var must have the input's shape, or one per sample"
            )
        why = "gaussian_nll_loss: var must have the input's sizes, one axis at most shared"
        pairs = list(zip(input.dims, var.dims, strict=False))
        per_sample = var.ndim < input.ndim
        for size, own in pairs:
            if own != 1 or per_sample:
                same = Condition(own, "==", size, why)
                one = Condition(own, "==", 1, why)
                open_one = isinstance(own, Size) and own != size and not per_sample
                requires += [AnyOf((same, one), why)] if open_one else require_equal(own, size, why)
        may_differ = [
            Condition(own, "==", x, why)
            for x, own in pairs
            if own != x and not per_sample and (own == 1 or isinstance(own, Size))
        ]
        requires += [AnyOf(two, why) for two in combinations(may_differ, 2)]
    return _reduced(both.shapes[0], options, requires)


rule(
    "gaussian_nll_loss",
    steps=criteria.gaussian,
    dtype=dtypes.of_tensors,
    takes={"": "float", "var": "float"},
)(_positional("input target var full eps reduction", _gaussian_nll))


def _per_sample(op: str, input: SymbolicTensor, target: SymbolicTensor, options: Options) -> Result:
    """The last axis holds the classes of a sample."""
    require_rank(input, (0, 1, 2), op)
    samples, classes = input.dims[:-1], input.dims[-1] if input.ndim else 1
    if op == "multilabel_margin_loss":
        return _reduced(samples, options, _same(op, input, target))
    if options.get("p", 1) not in (1, 2):
        raise ShapeMismatch(f"{op}: p={options['p']}", cure="p is 1 or 2")
    require_rank(target, (0, 1) if not samples else (1,), f"the target of {op}")
    requires = require_equal(prod(target.dims), prod(samples), f"{op}: one target per sample")
    return _reduced(samples, options, requires + _classes(op, classes, options))


def _margin_of_classes(op: str) -> Any:
    def operation(
        input: SymbolicTensor, target: SymbolicTensor, **options: Unpack[Options]
    ) -> Result:
        return _per_sample(op, input, target, options)

    return operation


for _name, _names in (
    ("multilabel_margin_loss", f"input target {_REST}"),
    ("multi_margin_loss", f"input target p margin weight {_REST}"),
):
    rule(
        _name,
        saves=losses.margins,
        autocast=dtypes.SINGLE,
        takes={"input": "float", "target": "int64"},
        empty=False,
    )(_positional(_names, _margin_of_classes(_name)))


def _multilabel_soft_margin(
    input: SymbolicTensor, target: SymbolicTensor, **options: Unpack[Options]
) -> Result:
    both = broadcast(input, target, options.get("weight"))
    shape, classes = both.shapes[0], max(input.ndim - 1, 0)  # the input's last axis is summed over
    return _reduced(shape[:classes] + shape[classes + 1 :], options, list(both.requires))


rule(
    "multilabel_soft_margin_loss",
    steps=criteria.of_labels,
    dtype=dtypes.of_tensors,
    takes={"input": "float"},
)(_positional(f"input target weight {_REST}", _multilabel_soft_margin))


def _margin_ranking(
    input1: SymbolicTensor,
    input2: SymbolicTensor,
    target: SymbolicTensor,
    **options: Unpack[Options],
) -> Result:
    """One number per element; all three have as many axes."""
    if len({input1.ndim, input2.ndim, target.ndim}) > 1:
        raise ShapeMismatch("margin_ranking_loss: inputs and target must have the same rank")
    final = broadcast(input1, input2, target)
    return _reduced(final.shapes[0], options, list(final.requires))


def _cosine_embedding(
    input1: SymbolicTensor,
    input2: SymbolicTensor,
    target: SymbolicTensor,
    **options: Unpack[Options],
) -> Result:
    """One number per sample: two vectors and a number, or two matrices and a vector."""
    op = "cosine_embedding_loss"
    require_rank(target, (0, 1), f"the target of {op}")
    for input in (input1, input2):
        require_rank(input, (target.ndim + 1,), op)
    both = broadcast(input1, input2)
    final = broadcast(SymbolicTensor(both.shapes[0][:-1]), target)
    return _reduced(final.shapes[0], options, [*both.requires, *final.requires])


rule(
    "margin_ranking_loss",
    steps=criteria.ranking,
    dtype=dtypes.tensor_floats,
    autocast=dtypes.SINGLE,
    takes={"input1 input2": "int float"},
)(_positional(f"input1 input2 target margin {_REST}", _margin_ranking))
rule(
    "cosine_embedding_loss",
    steps=criteria.cosine,
    dtype=dtypes.tensor_floats,
    autocast=dtypes.SINGLE,
    takes={"input1 input2": "bool int float"},
)(_positional(f"input1 input2 target margin {_REST}", _cosine_embedding))


def _triplet(
    anchor: SymbolicTensor,
    positive: SymbolicTensor,
    negative: SymbolicTensor,
    **options: Unpack[Options],
) -> Result:
    """Distances over the last axis, of two at a time: positive and negative meet only to swap."""
    if options.get("margin", 1) <= 0:
        raise ShapeMismatch(f"triplet_margin_loss: margin={options['margin']} is not positive")
    if len({anchor.ndim, positive.ndim, negative.ndim}) > 1:
        raise ShapeMismatch("triplet_margin_loss: the three inputs must have the same rank")
    pairs = [(anchor, positive), (anchor, negative)]
    if options.get("swap"):
        pairs.append((positive, negative))
    distances = [broadcast_dims(a.dims, b.dims) for a, b in pairs]
    dims, requires = broadcast_dims(*(shape[:-1] for shape, _ in distances))
    return _reduced(dims, options, [r for _, needed in distances for r in needed] + requires)


rule(
    "triplet_margin_loss",
    steps=criteria.triplet,
    dtype=dtypes.tensor_floats,
    autocast=dtypes.SINGLE,
    takes={"anchor positive negative": "int float complex"},
)(_positional(f"anchor positive negative margin p eps swap {_REST}", _triplet))
