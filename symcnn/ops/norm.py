"""Normalisations: the shape stays; they check channels, and that there is something to average.

What a layer averages over, every place of its output reads whole. Batch normalisation counts as
point by point, as it is once the statistics are those of training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, wraps
from inspect import unwrap

from symcnn.algebra.size import Int, floordiv
from symcnn.errors import ShapeMismatch
from symcnn.ops import dtypes, tools, work
from symcnn.ops.operation import Operation
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import (
    at_least,
    elementwise,
    of_shapes,
    over,
    require_numbers,
    require_rank,
    require_shape,
    whole_numbers,
)
from symcnn.ops.storage import maps, products
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import OPS, Made, Node, Result, SymbolicTensor


def _channels(x: SymbolicTensor, *tensors: SymbolicTensor | None) -> list[Requirement]:
    why = "the input must have the channels the layer expects"
    expected = dict.fromkeys(t.dims[0] for t in tensors if t is not None)
    return [Condition(x.dims[1], "==", c, why) for c in expected if c != x.dims[1]]


def _not_one(x: SymbolicTensor, sizes: Sequence[Int], why: str) -> list[AnyOf]:
    """``prod(sizes) != 1``: one of them is at least 2, or none."""
    empties = x.empties
    none = (Condition(0, ">=", size) for size in sizes if size in empties)
    return [AnyOf((*(Condition(size, ">=", 2) for size in sizes), *none), why)]


_TRAINING = "in training mode there must be more than one value per channel"


def _work(node: Node) -> Int:
    """Scale and shift, 2; statistics of the input, 3 (sum, square, sum); an affine map, 2 more."""
    arguments = node.arguments
    own = bool(arguments.get("training", arguments.get("use_input_stats", True)))
    if "training" in arguments and not own:  # folded into one scale and shift
        return 2 * work.read(node)
    return work.read(node) * (2 + 3 * own + 2 * work.affine(node))


_norm = partial(rule, takes="float", mixed_precision=True)
_PARAMETERS = "input running_mean running_var weight bias"


@_norm(
    "batch_norm",
    same_dtype=_PARAMETERS,
    statistics=True,
    other=_work,
    counts=tools.NORM,
    saves=maps.batch_norm,
    shows="every",
)
@of_shapes
def batch_norm(
    input: SymbolicTensor,
    running_mean: SymbolicTensor | None,
    running_var: SymbolicTensor | None,
    weight: SymbolicTensor | None = None,
    bias: SymbolicTensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Result:
    """Batch normalisation; in training mode torch refuses a single value per channel. Without
    running statistics those are the input's, always; else they count as what they are in eval mode.
    """
    if input.dims == (0,):  # torch does not look at it
        return elementwise(input)
    require_rank(input, (2, 3, 4, 5), "batch_norm")
    if eps < 0 or (training and eps == 0):
        raise ShapeMismatch(f"batch_norm: eps={eps}", cure="give a small positive number")
    requires = _channels(input, running_mean, running_var, weight, bias)
    if training:
        requires += _not_one(input, (input.dims[0], *input.dims[2:]), _TRAINING)
    if running_mean is None:
        return over(input, (0, *range(2, input.ndim)), requires)
    return elementwise(input, requires=tuple(requires))


@_norm(
    "instance_norm",
    same_dtype=_PARAMETERS,
    statistics=True,
    other=_work,
    counts=tools.NORM,
    saves=maps.instance_norm,
)
@of_shapes
def instance_norm(
    input: SymbolicTensor,
    running_mean: SymbolicTensor | None = None,
    running_var: SymbolicTensor | None = None,
    weight: SymbolicTensor | None = None,
    bias: SymbolicTensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Result:
    """Instance normalisation; with statistics from the input, more than one position is needed."""
    require_rank(input, (3, 4, 5), "instance_norm")
    requires = _channels(input, running_mean, running_var, weight, bias)
    if use_input_stats:
        requires += _not_one(input, input.dims[2:], _TRAINING)
        return over(input, range(2, input.ndim), requires)
    return elementwise(input, requires=tuple(requires))


@_norm(
    "group_norm",
    same_dtype="input weight bias",
    statistics=True,
    other=_work,
    counts=tools.GROUP_NORM,
    saves=maps.group_norm,
    autocast=dtypes.SINGLE_ON_CUDA,
)
@of_shapes
def group_norm(
    input: SymbolicTensor,
    num_groups: Int,
    weight: SymbolicTensor | None = None,
    bias: SymbolicTensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Result:
    """Group normalisation; torch asks for more than one value per group over the whole batch."""
    if input.ndim < 2:
        raise ShapeMismatch("group_norm takes an input with channels")
    requires = _channels(input, weight, bias) + at_least("num_groups", (num_groups,), 1)
    given = weight if weight is not None else bias
    channels = input.dims[1] if given is None else given.dims[0]
    if given is None or isinstance(channels, int):  # a symbol for a layer that exists divides
        split = floordiv(channels, num_groups) * num_groups
        requires.append(Condition(channels, "==", split, "the channels must split into the groups"))
    several = Condition(channels, ">=", 2 * num_groups)
    (others,) = _not_one(input, (input.dims[0], *input.dims[2:]), _TRAINING)
    options = [c for c in (several, *others.options) if c.symbols or c.holds({})]
    requires.append(AnyOf(tuple(options) or (several,), _TRAINING))
    return over(input, range(1, input.ndim), requires)


@_norm(
    "layer_norm",
    same_dtype="input weight bias",
    statistics=True,
    other=_work,
    counts=tools.LAYER_NORM,
    saves=maps.layer_norm,
    autocast=dtypes.SINGLE_ON_CUDA,
)
@of_shapes
def layer_norm(
    input: SymbolicTensor,
    normalized_shape: Sequence[Int],
    weight: SymbolicTensor | None = None,
    bias: SymbolicTensor | None = None,
    *args: object,
    **kwargs: object,
) -> Result:
    """Layer normalisation over the last axes, which must have the shape the layer was built for."""
    shape = whole_numbers(normalized_shape, "normalized_shape")
    if not 1 <= len(shape) <= input.ndim:
        raise ShapeMismatch(f"layer_norm over {shape} takes an input of at least {len(shape)} axes")
    why = "the last axes must have the shape the layer was built for"
    requires = require_shape(input.dims[input.ndim - len(shape) :], shape, why)
    if weight is not None and weight.ndim != len(shape):
        raise ShapeMismatch(f"layer_norm over {shape}: the weight is {weight.ndim}-d")
    if weight is not None:
        why = "the weight must have the shape that is normalized"
        requires += require_shape(weight.dims, shape, why)
    return over(input, range(input.ndim - len(shape), input.ndim), requires)


rule(
    "rms_norm",
    statistics=True,
    other=_work,
    saves=maps.rms_norm,
    autocast=dtypes.SINGLE_ON_CUDA,
    takes="float complex",
)(unwrap(layer_norm))


@rule("_weight_norm", saves=products.weight_norm)
def weight_norm(v: SymbolicTensor, g: SymbolicTensor, dim: int = 0) -> Result:
    """A weight of a direction v and a length g, made anew at every call."""
    return over(v, range(v.ndim))


def _averages_in_3d(node: Node) -> Mapping[str, str]:
    """On the CPU autocast widens a mean over channels of images, which avg_pool3d takes."""
    return dtypes.SINGLE_ON_CPU if node.inputs[0].ndim > 3 else {}


@rule(
    "local_response_norm",
    saves=maps.local_response,
    dtype=dtypes.first_float,
    takes="int64 float",
    autocast=_averages_in_3d,
)
def local_response_norm(
    input: SymbolicTensor, size: Int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Result:
    """Local response normalisation over neighbouring channels."""
    if input.ndim < 3:
        raise ShapeMismatch("local_response_norm takes an input of at least 3 axes")
    require_numbers(alpha=alpha, beta=beta, k=k)
    needs = at_least("size", (size,), 1)
    return over(input, (1,), needs)


def _below(op: Callable[..., Made]) -> Callable[..., Made]:
    """The function of that name in torch itself, which takes the affine map before statistics."""

    def operation(
        input: SymbolicTensor,
        weight: SymbolicTensor | None,
        bias: SymbolicTensor | None,
        running_mean: SymbolicTensor | None,
        running_var: SymbolicTensor | None,
        training: bool,
        momentum: float,
        eps: float,
        cudnn_enabled: bool = True,
    ) -> Made:
        return op(input, running_mean, running_var, weight, bias, training, momentum, eps)

    return operation


OPS["torch.batch_norm"], OPS["torch.instance_norm"] = _below(batch_norm), _below(instance_norm)


def _unchecked(name: str) -> Operation:
    whole = OPS[name]
    assert isinstance(whole, Operation)

    @wraps(whole.rule)
    def rule(*args: object, **kwargs: object) -> Result:
        found: Result = whole.rule(*args, **kwargs)
        return replace(found, requires=tuple(r for r in found.requires if r.why != _TRAINING))

    return replace(whole, rule=rule)


#: What programs and files call. That there is more than one value per channel is asked by torch's
#: functions in python, and by nothing behind them.
KERNELS: dict[str, Callable[..., Made]] = {
    name: _unchecked(name) for name in ("batch_norm", "instance_norm", "group_norm")
}
