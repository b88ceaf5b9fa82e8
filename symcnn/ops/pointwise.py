"""Operations that work point by point: activations, dropout, casts, arithmetic with broadcasting.

One rule serves each family; the tables below say which of torch's names belong to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, Const, Whole, Window
from symcnn.algebra.size import Int, Size, maximum
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops.registry import (
    OneOrMore,
    Operand,
    elementwise,
    leading_axes,
    normal_dim,
    normal_dims,
    require_rank,
    rule,
    same_axes,
)
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import Result, SymbolicTensor, entails, tensors_in

__all__ = ["aligned", "broadcast", "broadcast_dims", "fits"]

UNARY = (
    "abs acos acosh asin asinh atan atanh ceil clone "
    "contiguous cos cosh detach digamma elu erf erfc erfinv exp exp2 expm1 floor frac "
    "hardshrink hardsigmoid hardswish isfinite isinf isnan leaky_relu lgamma log "
    "log10 log1p log2 logit logsigmoid logical_not mish nan_to_num neg negative positive "
    "reciprocal relu relu6 round rsqrt selu sigmoid sign silu sin sinc sinh softplus softsign "
    "sqrt square tan tanh tanhshrink threshold trunc requires_grad_ float half double "
    "bfloat16 int long bool to type cpu cuda "
    "identity angle bernoulli conj conj_physical deg2rad rad2deg i0 imag real isneginf isposinf "
    "isreal resolve_conj resolve_neg sgn signbit bitwise_not fix absolute arccos "
    "arccosh arcsin arcsinh arctan arctanh special_expit expit char byte short cfloat cdouble "
    ""
    "random requires_grad pin_memory alias_copy log_ndtr ndtr ndtri "
    "entr erfcx i0e i1 i1e mvlgamma "
).split()

#: Tensors with the shape of another, none of whose values they read.
UNREAD = (
    "zeros_like ones_like full_like empty_like rand_like randn_like randint_like zero fill "
).split()

BINARY = (
    "add sub mul div true_divide divide subtract multiply floor_divide remainder fmod pow "
    "rsub maximum minimum atan2 hypot eq ne lt le gt ge logical_and logical_or logical_xor "
    "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift logaddexp "
    "logaddexp2 copysign fmax fmin nextafter heaviside ldexp xlogy xlog1py gcd lcm float_power "
    "arctan2 igamma igammac greater greater_equal less less_equal not_equal polar complex "
).split()

#: Functions of three tensors, all of which broadcast, and of more.
SEVERAL = "lerp addcmul addcdiv clamp clip clamp_min clamp_max".split()


def _unary(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    return elementwise(input)


for _name in UNARY:
    rule(_name)(_unary)


def _unread(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    """A tensor of that shape, whatever the values."""
    return Result((input.dims,), None)


for _name in UNREAD:
    rule(_name)(_unread)


def _softmax(
    input: SymbolicTensor, dim: OneOrMore[int] | None = None, *args: object, **kwargs: object
) -> Result:
    """Every place reads its axis; without one, torch takes the first of 0, 1 or 3 axes."""
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1
    return _over(input, normal_dim(dim, input.ndim, "softmax"))


def _over(x: SymbolicTensor, *axes: int) -> Result:
    """The shape stays; along `axes` every place reads everything."""
    maps = leading_axes(x.ndim)
    for axis in axes if x.ndim else ():
        maps[axis] = (axis, Whole(x.dims[axis]))
    return Result((x.dims,), tuple(maps))


@rule("normalize")
def normalize(
    input: SymbolicTensor,
    p: float = 2.0,
    dim: OneOrMore[int] | None = 1,
    *args: object,
    **kw: object,
) -> Result:
    """Divided by the norm along `dim`."""
    return _over(input, *normal_dims(dim, input.ndim, "normalize"))


for _name in ("softmax", "log_softmax", "softmin"):
    rule(_name)(_softmax)


@rule("gumbel_softmax")
def gumbel_softmax(
    logits: SymbolicTensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Result:
    """A sample of the softmax along `dim`."""
    return _over(logits, normal_dim(dim, logits.ndim, "gumbel_softmax"))


@rule("type_as")
def type_as(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """Cast to the type of `other`, whose values do not matter."""
    return elementwise(input, others=((other, None),))


def check_probability(p: float) -> None:
    """Raises ShapeMismatch unless `p` is a probability."""
    if not 0 <= p <= 1:
        raise ShapeMismatch(f"dropout: p={p}", cure="a probability lies between 0 and 1")


def _dropout(input: SymbolicTensor, p: float = 0.5, *args: object, **kwargs: object) -> Result:
    check_probability(p)
    return elementwise(input)


for (
    _name
) in "dropout dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout".split():
    rule(_name)(_dropout)


@rule("dropout1d")
def dropout1d(input: SymbolicTensor, p: float = 0.5, *args: object, **kwargs: object) -> Result:
    """Dropout of whole channels, of a batch or of one sequence."""
    require_rank(input, (2, 3), "dropout1d")
    return _dropout(input, p)


@rule("celu")
def celu(input: SymbolicTensor, alpha: float = 1.0, inplace: bool = False) -> Result:
    """CELU; torch refuses ``alpha=0``, by which it divides."""
    if alpha == 0:
        raise ShapeMismatch("celu: alpha=0", cure="alpha must not be zero")
    return elementwise(input)


@rule("gelu")
def gelu(input: SymbolicTensor, approximate: str = "none") -> Result:
    """GELU, exact or by tanh."""
    if approximate not in ("none", "tanh"):
        raise ShapeMismatch(f"gelu: approximate={approximate!r}", cure='"none" or "tanh"')
    return elementwise(input)


@rule("hardtanh")
def hardtanh(
    input: SymbolicTensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Result:
    """Clipped to an interval."""
    if min_val > max_val:
        raise ShapeMismatch(f"hardtanh: min_val={min_val} is above max_val={max_val}")
    return elementwise(input)


@rule("uniform")
def uniform(input: SymbolicTensor, *interval: float, **kwargs: float) -> Result:
    """Filled with numbers drawn from an interval."""
    start, end = (*interval, 0.0, 1.0)[:2] if len(interval) != 1 else (interval[0], 1.0)
    if kwargs.get("from", start) > kwargs.get("to", end):
        raise ShapeMismatch(f"uniform: from {start} to {end} is no interval")
    return elementwise(input)


@rule("Tensor.normal_")
def normal_(
    input: SymbolicTensor, mean: float = 0.0, std: float = 1.0, *, generator: object = None
) -> Result:
    """Filled with numbers of a normal distribution."""
    if std < 0:
        raise ShapeMismatch(f"normal_: std={std}", cure="a spread is not negative")
    return elementwise(input)


@rule("Tensor.polygamma")
def polygamma_of(input: SymbolicTensor, n: int) -> Result:
    """A derivative of digamma; the method takes its order last."""
    return _polygamma(n, input)


@rule("polygamma")
def polygamma(n: int, input: SymbolicTensor) -> Result:
    """A derivative of digamma; the function takes its order first."""
    return _polygamma(n, input)


def _polygamma(n: int, input: SymbolicTensor) -> Result:
    if n < 0:
        raise ShapeMismatch(f"polygamma: n={n}", cure="the order is at least 0")
    return elementwise(input)


@rule("exponential")
def exponential(input: SymbolicTensor, lambd: float = 1.0, **kwargs: object) -> Result:
    """Filled with numbers of an exponential distribution."""
    if lambd <= 0:
        raise ShapeMismatch(f"exponential: lambd={lambd}", cure="lambd is positive")
    return elementwise(input)


@rule("renorm")
def renorm(input: SymbolicTensor, p: float, dim: int, maxnorm: float) -> Result:
    """Every slice along an axis scaled down to a norm."""
    if input.ndim < 2:
        raise ShapeMismatch("renorm takes an input of at least 2 axes")
    normal_dim(dim, input.ndim, "renorm")
    return elementwise(input)


@rule("isclose")
def isclose(
    input: SymbolicTensor,
    other: SymbolicTensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Result:
    """Equality within tolerances."""
    if min(rtol, atol) < 0:
        raise ShapeMismatch(f"isclose: rtol={rtol}, atol={atol}", cure="neither is negative")
    return broadcast(input, other)


@rule("rrelu")
def rrelu(
    input: SymbolicTensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *args: object,
    **kwargs: object,
) -> Result:
    """Leaky ReLU with a random slope between the bounds."""
    if lower > upper:
        raise ShapeMismatch(f"rrelu: lower={lower} is above upper={upper}")
    return elementwise(input)


@rule("softshrink")
def softshrink(input: SymbolicTensor, lambd: float = 0.5) -> Result:
    """Softshrink by `lambd`, which is not negative."""
    if lambd < 0:
        raise ShapeMismatch(f"softshrink: lambd={lambd}", cure="lambd is at least 0")
    return elementwise(input)


@rule("prelu")
def prelu(input: SymbolicTensor, weight: SymbolicTensor) -> Result:
    """PReLU with one weight, or one per channel."""
    if weight.ndim > 1:
        raise ShapeMismatch(f"prelu: the weight is {weight.ndim}-d", cure="one, or one per channel")
    count = weight.dims[0] if weight.ndim else 1
    if count == 1:
        return elementwise(input)
    if input.ndim < 2:
        raise ShapeMismatch("prelu: one weight per channel needs an input with channels")
    why = "prelu: one weight per channel"
    return elementwise(input, requires=(Condition(input.dims[1], "==", count, why),))


@rule("glu")
def glu(input: SymbolicTensor, dim: int = -1) -> Result:
    """Gated linear unit: halves an axis of even length."""
    axis = normal_dim(dim, input.ndim, "glu")
    half = input.dims[axis] // 2
    dims = (*input.dims[:axis], half, *input.dims[axis + 1 :])
    need = Condition(input.dims[axis], "==", 2 * half, "glu halves an axis: it must be even")
    axes = leading_axes(input.ndim)
    axes[axis] = (axis, Window(half + 1, dilation=half))  # place i reads i and its gate, i + half
    return Result((dims,), tuple(axes), requires=(need,))


def broadcast(*operands: object) -> Result:
    """Point by point over tensors that broadcast; numbers among the operands do not count."""
    tensors = list(tensors_in(*operands))
    if not tensors:  # ``torch.div(h, 2)`` makes a tensor of two numbers
        return Result(((),))
    dims, requires = broadcast_dims(*(t.dims for t in tensors))
    axes, *others = ((t, aligned(t.dims, dims)) for t in tensors)
    return Result((dims,), axes[1], requires=tuple(requires), others=tuple(others))


def aligned(have: tuple[Int, ...], dims: tuple[Int, ...]) -> Axes:
    """The axes of a tensor stretched to `dims`, counted from the right: those of size 1 are."""
    if have == dims:
        return same_axes(len(dims))
    lead = len(dims) - len(have)
    return tuple(
        (None, Whole(size))
        if i < lead
        else (i - lead, Const(size) if have[i - lead] == 1 != size else IDENTITY)
        for i, size in enumerate(dims)
    )


def _binary(input: Any, other: Any, *args: object, **kwargs: object) -> Result:
    return broadcast(input, other)


def _several(*args: object, **kwargs: object) -> Result:
    return broadcast(*args, *kwargs.values())


for _name in BINARY:
    rule(_name)(_binary)
for _name in SEVERAL:
    rule(_name)(_several)


@rule("masked_fill")
def masked_fill(input: SymbolicTensor, mask: SymbolicTensor, value: Operand) -> Result:
    """Some places overwritten; the mask broadcasts, the values come from anywhere."""
    if isinstance(value, SymbolicTensor) and value.ndim:
        raise ShapeMismatch("masked_fill takes one value", cure="where(mask, a, b) takes a tensor")
    return broadcast(input, mask)


@rule("masked_scatter")
def masked_scatter(input: SymbolicTensor, mask: SymbolicTensor, source: object) -> Result:
    """Some places written one after the other from a source."""
    return broadcast(input, mask)


@rule("where")
def where(
    condition: SymbolicTensor, input: Operand | None = None, other: Operand | None = None
) -> Result:
    """One or the other, point by point; with one argument, the places that are not zero."""
    if input is None and other is None:
        raise DataDependent(
            "where(condition): how many places are true depends on the values",
            cure="where(condition, a, b) keeps the shape",
        )
    return broadcast(condition, input, other)


def broadcast_dims(*shapes: tuple[Int, ...]) -> tuple[tuple[Int, ...], list[Requirement]]:
    """The shape that `shapes` broadcast to, and what that requires.

    Sizes that are not the same expression must be equal, or one of them 1.
    """
    if all(shape == shapes[0] for shape in shapes[1:]):
        return shapes[0], []
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


def fits(dims: Sequence[Int], to: Sequence[Int], why: str) -> list[Requirement]:
    """That a tensor broadcasts to a shape that is there: each size equal, or 1.

    Raises ShapeMismatch for more axes than there are.
    """
    if len(dims) > len(to):
        raise ShapeMismatch(f"{why}: {len(dims)} axes do not fit {len(to)}")
    pairs = zip(dims, to[len(to) - len(dims) :], strict=True)
    return [
        need for have, want in pairs if have not in (1, want) for need in _fits(have, want, why)
    ]


def _fits(have: Int, want: Int, why: str) -> list[Requirement]:
    same, one = Condition(have, "==", want, why), Condition(have, "==", 1, why)
    return [same] if entails(one) is False else [AnyOf((same, one), why)]


def _broadcast(a: Int, b: Int, requires: list[Requirement]) -> Int:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    why = "sizes must agree, or one be 1, to be combined point by point"
    equal = Condition(a, "==", b, why)
    if isinstance(a, int) and isinstance(b, int):
        raise ShapeMismatch(f"sizes {a} and {b} cannot be combined point by point", sides=(a, b))
    if entails(equal):
        return min(a, b, key=lambda size: len(str(size)))
    stretched = [s for s in (a, b) if entails(Condition(s, "==", 1)) is not False]
    ones = tuple(Condition(s, "==", 1) for s in stretched)
    requires.append(AnyOf((equal, *ones), why) if ones else equal)
    if len(stretched) == 1:  # the other size is the result, stretched to or not
        return b if stretched[0] is a else a
    if not stretched:
        return min(a, b, key=lambda size: (isinstance(size, Size), len(str(size))))
    return maximum(a, b)
