"""Operations that work point by point: activations, dropout, casts, arithmetic with broadcasting.

One rule serves each family; the tables below say which of torch's names belong to it.
"""

from __future__ import annotations

from typing import Any

from symcnn.axis import IDENTITY, AxisMap, Const
from symcnn.conditions import AnyOf, Condition, Requirement
from symcnn.errors import ShapeMismatch
from symcnn.graph import Result, SymbolicTensor, known, tensors_in
from symcnn.ops.registry import alike, rule
from symcnn.size import Int, maximum

__all__ = ["broadcast_dims"]

UNARY = (
    "abs acos acosh alpha_dropout asin asinh atan atanh celu ceil clamp clamp_max clamp_min "
    "clip clone contiguous cos cosh detach digamma dropout dropout1d dropout2d dropout3d elu "
    "erf erfc erfinv exp exp2 expm1 feature_alpha_dropout feature_dropout floor frac gelu "
    "hardshrink hardsigmoid hardswish hardtanh isfinite isinf isnan leaky_relu lgamma log "
    "log10 log1p log2 logit logsigmoid logical_not mish nan_to_num neg negative positive "
    "reciprocal relu relu6 round rrelu rsqrt selu sigmoid sign silu sin sinc sinh softplus "
    "softshrink softsign sqrt square tan tanh tanhshrink threshold trunc requires_grad_ float "
    "half double bfloat16 int long bool to type type_as cpu cuda softmax log_softmax softmin "
    "gumbel_softmax cumsum cumprod normalize identity "
).split()

BINARY = (
    "add sub mul div true_divide divide subtract multiply floor_divide remainder fmod pow "
    "rsub maximum minimum atan2 hypot eq ne lt le gt ge logical_and logical_or logical_xor "
    "bitwise_and bitwise_or bitwise_xor "
).split()


def _unary(input: SymbolicTensor, *args: Any, **kwargs: Any) -> Result:
    return alike(input)


for _name in UNARY:
    rule(_name)(_unary)


@rule("prelu")
def prelu(input: SymbolicTensor, weight: SymbolicTensor) -> Result:
    """PReLU with one weight, or one per channel."""
    (count,) = weight.dims
    if count == 1:
        return alike(input)
    if input.ndim < 2:
        raise ShapeMismatch("prelu: one weight per channel needs an input with channels")
    why = "prelu: one weight per channel"
    return alike(input, requires=(Condition(input.dims[1], "==", count, why),))


@rule("glu")
def glu(input: SymbolicTensor, dim: int = -1) -> Result:
    """Gated linear unit: halves an axis of even length."""
    from symcnn.ops.registry import normal_dim

    axis = normal_dim(dim, input.ndim, "glu")
    half = input.dims[axis] // 2
    dims = (*input.dims[:axis], half, *input.dims[axis + 1 :])
    need = Condition(input.dims[axis], "==", 2 * half, "glu halves an axis: it must be even")
    axes: list[tuple[int | None, AxisMap]] = [(i, IDENTITY) for i in range(input.ndim)]
    axes[axis] = (None, IDENTITY)
    return Result((dims,), tuple(axes), requires=(need,))


def _binary(input: Any, other: Any, *args: Any, **kwargs: Any) -> Result:
    tensors = list(tensors_in(input, other))
    dims, requires = broadcast_dims(*(t.dims for t in tensors))
    axes = []
    lead = len(dims) - tensors[0].ndim
    for i, size in enumerate(dims):
        source = i - lead
        same = source >= 0 and tensors[0].dims[source] == size
        axes.append((source if source >= 0 else None, IDENTITY if same else Const(size)))
    return Result((dims,), tuple(axes), requires=tuple(requires))


for _name in BINARY:
    rule(_name)(_binary)


def broadcast_dims(*shapes: tuple[Int, ...]) -> tuple[tuple[Int, ...], list[Requirement]]:
    """The shape that `shapes` broadcast to, and what that requires.

    Sizes that are not the same expression must be equal, or one of them 1.
    """
    rank = max(map(len, shapes))
    requires: list[Requirement] = []
    result: list[Int] = []
    for i in range(-rank, 0):
        size: Int = 1
        for shape in shapes:
            if -i <= len(shape):
                size = _broadcast(size, shape[i], requires)
        result.append(size)
    return tuple(result), requires


def _broadcast(a: Int, b: Int, requires: list[Requirement]) -> Int:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    why = "sizes must agree, or one be 1, to be combined point by point"
    equal = Condition(a, "==", b, why)
    if isinstance(a, int) and isinstance(b, int):
        raise ShapeMismatch(f"sizes {a} and {b} cannot be combined point by point")
    if known(equal):
        return min(a, b, key=lambda size: len(str(size)))
    ones = [c for c in (Condition(a, "==", 1), Condition(b, "==", 1)) if known(c) is not False]
    if not ones:
        requires.append(equal)
        return (
            a
            if isinstance(a, int)
            else b
            if isinstance(b, int)
            else min(a, b, key=lambda s: len(str(s)))
        )
    requires.append(AnyOf((equal, *ones), why))
    return maximum(a, b)
