"""Operations that work point by point: activations, dropout, casts, arithmetic with broadcasting.

One rule serves each family; the tables below say which of torch's names belong to it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

from symcnn.algebra.axis import Window
from symcnn.algebra.size import Int, Size, maximum, minimum
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops import criteria, dtypes, tools, values, work
from symcnn.ops.operation import torch_rule as any_rule
from symcnn.ops.operation import torch_rules as any_rules
from symcnn.ops.registry import (
    OneOrMore,
    Operand,
    aligned,
    elementwise,
    leading_axes,
    normal_dim,
    normal_dims,
    over,
    require_numbers,
    same_axes,
    unread,
)
from symcnn.ops.storage import pointwise as points
from symcnn.ops.storage import products, views
from symcnn.ops.takes import meant, not_taken, require_number, require_same_dtype
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import Result, SymbolicTensor, tensors_in
from symcnn.trace.tape import entails, may_be_empty

rule = partial(any_rule, other=work.made, pointwise=True, slides=False)
rules = partial(any_rules, other=work.made, pointwise=True, slides=False)

#: What is no complex number, what is no truth value.
_REAL, _NUMBERS = "bool int float", "int float complex"


def _unary(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    return elementwise(input)


_floats = partial(rules, dtype=dtypes.floats)
_floats("ndtr")(_unary)
_floats(
    "acosh arccosh asinh arcsinh arcsin atan arctan atanh arctanh arccos sinc cos sin",
    saves=points.keeps_input,
)(_unary)
_floats("digamma entr erfc i0 lgamma erf logit", saves=points.keeps_input, takes=_REAL)(_unary)
_floats("tanhshrink", saves=points.tanhshrink, takes=_NUMBERS)(_unary)
_floats("sigmoid sqrt tanh special_expit expit", saves=points.keeps_output)(_unary)
_floats("exp2", saves=points.keeps_output, value=values.power_of_2)(_unary)
_floats("ndtri", takes=_REAL, saves=points.keeps_output)(_unary)
_floats("deg2rad rad2deg", takes=_REAL, saves=points.keeps_nothing)(_unary)
_floats("erfcx i0e i1 i1e log_ndtr", takes=_REAL, saves=points.keeps_both)(_unary)
_single = partial(_floats, autocast=dtypes.SINGLE_ON_CUDA)
_single("acos asin cosh sinh log1p", saves=points.keeps_input)(_unary)
_single("log log10 log2", saves=points.keeps_input, value=values.grown)(_unary)
_single("erfinv", saves=points.keeps_input, takes=_REAL)(_unary)
_single("exp expm1 reciprocal rsqrt tan", saves=points.keeps_output)(_unary)
_flat = partial(rules, saves=points.keeps_nothing)
_flat("ceil", takes="int float", value=values.rounded_up)(_unary)
_flat("floor", takes="int float", value=values.rounded_down)(_unary)
_flat("neg", operators="neg", takes=_NUMBERS, value=values.negative)(_unary)
_flat("negative", takes=_NUMBERS, value=values.negative)(_unary)
_flat("trunc fix", takes="int float")(_unary)
_flat("sign", takes=_REAL, value=values.signs)(_unary)
_flat("frac", takes="float")(_unary)
_flat("bitwise_not", takes="bool int", operators="invert", value=values.inverted)(_unary)
_flat("conj_physical")(_unary)
rule("isfinite", steps=criteria.finite, dtype="bool")(_unary)
_asks = partial(_flat, dtype="bool")
_asks("isinf isnan isreal")(_unary)
_asks("logical_not", value=values.denied)(_unary)
_asks("isneginf isposinf signbit", takes=_REAL)(_unary)
_keeps = partial(rules, saves=points.keeps_input)
_keeps("nan_to_num")(_unary)
_keeps("hardshrink hardsigmoid hardswish mish", takes="float")(_unary)
_keeps("abs", dtype=dtypes.part, value=values.magnitude, operators="abs")(_unary)
_keeps("absolute", dtype=dtypes.part, value=values.magnitude)(_unary)
_keeps("angle", dtype=dtypes.to_real)(_unary)
_keeps("relu6", counts=tools.ACTIVATION, takes="int float")(_unary)
_keeps("silu", counts=tools.ACTIVATION, takes="float complex")(_unary)
_keeps("softplus", takes="float", autocast=dtypes.SINGLE_ON_CUDA)(_unary)
_keeps("square", dtype=dtypes.square)(_unary)
_keeps("threshold", takes="int float", fills=True)(_unary)
rules("mvlgamma", dtype=dtypes.tensor_floats, takes="int float")(_unary)
rules("sgn", saves=points.keeps_both)(_unary)
rules("elu leaky_relu", counts=tools.ACTIVATION, saves=points.leaky, takes="float")(_unary)
rules("logsigmoid", saves=points.logsigmoid, takes="float")(_unary)
rules("positive", saves=views.same, takes=_NUMBERS)(_unary)
rules("relu", counts=tools.ACTIVATION, saves=points.keeps_output, shows="every", takes="int float")(
    _unary
)
rules("selu", saves=points.leaky, takes="float")(_unary)
rules("softsign", saves=points.softsign, dtype=dtypes.first_float)(_unary)
rules(
    "fake_quantize_per_tensor_affine fake_quantize_per_channel_affine"
    " fused_moving_avg_obs_fake_quant",
    saves=points.keeps_range,
    takes="float",
)(_unary)
_moves = partial(rules, other=work.nothing)
_moves("identity", saves=views.same, shows="every")(_unary)
_moves("requires_grad_ conj resolve_conj resolve_neg requires_grad", saves=views.same)(_unary)
_moves("pin_memory alias_copy")(_unary)
_moves("imag real", saves=views.half, dtype=dtypes.part)(_unary)


def _laid(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    """As it is, of a memory format."""
    views.require_format(input.ndim, args, kwargs)
    return elementwise(input)


_moves("cpu", saves=views.same, value=values.same)(_laid)
_moves("cuda")(_laid)
_moves("clone", saves=points.clone, value=values.same)(_laid)
_moves(
    "contiguous",
    saves=views.contiguous,
    value=values.same,
    shows="every",
    idle=lambda node: {},
)(_laid)
_moves("detach data", gradient=False, saves=views.alias, value=values.same)(_unary)


@rule("set_data", other=work.nothing, saves=views.of_other, dtype=dtypes.of_other)
def set_data(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """``x.data = other``: of x the gradient stays, its values are those of another."""
    return Result((other.dims,), None, others=((other, same_axes(other.ndim)),))


for _names, _to, _value in (
    ("float", "float32", values.as_float),
    ("half", "float16", values.recast),
    ("double", "float64", values.as_float),
    ("bfloat16", "bfloat16", values.recast),
    ("int", "int32", values.truncated),
    ("long", "int64", values.truncated),
    ("bool", "bool", values.as_truth),
    ("char", "int8", None),
    ("byte", "uint8", None),
    ("short", "int16", None),
):
    _moves(_names, saves=points.cast, dtype=_to, value=_value)(_laid)
_moves("cfloat", scrambles=True, dtype="complex64")(_laid)
_moves("cdouble", scrambles=True, dtype="complex128")(_laid)


@rule("round", saves=points.keeps_nothing, takes="int float", value=values.rounded)
def rounded(input: SymbolicTensor, *, decimals: int | None = None) -> Result:
    """Whole numbers, or numbers of so many decimals."""
    if decimals is not None and input.dtype not in meant("float"):
        raise not_taken(f"round of {input.dtype} to decimals", "float")
    return elementwise(input)


def _recast(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    """As it is; of another tensor the dtype or the device is taken, and no value."""
    views.require_format(input.ndim, args, kwargs)
    like = tensors_in(*args, *kwargs.values())
    return elementwise(input, others=tuple((t, None) for t in like))


_moves("to", saves=points.cast, dtype=dtypes.cast, value=values.cast)(_recast)
_moves("type", saves=points.cast, dtype=dtypes.cast)(_recast)


_new = partial(_moves, pointwise=False)


def like(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    """A tensor of that shape, of a memory format."""
    views.require_format(input.ndim, args, kwargs)
    return unread(input)


_new("zeros_like", saves=points.clone, uniform=True, value=values.filled(0))(like)
_new("ones_like", saves=points.clone, uniform=True, value=values.filled(1))(like)
_new("empty_like", saves=points.clone, uniform=True)(like)
_new("zero", saves=points.keeps_nothing, uniform=True, fills=True)(unread)


def _full_like(input: SymbolicTensor, fill_value: object, **kwargs: object) -> Result:
    """A tensor of that shape, of one number."""
    require_number("full_like", fill_value, dtypes.said((), kwargs) or input.dtype)
    return like(input, **kwargs)


def _fill(input: SymbolicTensor, value: object) -> Result:
    """One number at all places."""
    require_number("fill", value, input.dtype)
    return unread(input)


_new("full_like", saves=points.clone, uniform=True, value=values.created)(_full_like)
_new("fill", saves=points.keeps_nothing, uniform=True, fills=True)(_fill)


def _softmax(
    input: SymbolicTensor, dim: OneOrMore[int] | None = None, *args: object, **kwargs: object
) -> Result:
    """Every place reads its axis; without one, torch takes the first of 0, 1 or 3 axes."""
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1
    return over(input, [normal_dim(dim, input.ndim, "softmax")])


@rule(
    "normalize",
    pointwise=False,
    other=work.times(3, work.made),
    saves=products.normalize,
    takes="float complex",
    autocast=dtypes.SINGLE_ON_CUDA,
)
def normalize(
    input: SymbolicTensor,
    p: float = 2.0,
    dim: OneOrMore[int] | None = 1,
    eps: float = 1e-12,
    **kw: object,
) -> Result:
    """Divided by the norm along `dim`."""
    require_numbers(eps=eps)
    return over(input, normal_dims(dim, input.ndim, "normalize"))


_shares = partial(
    rules, pointwise=False, other=work.times(3, work.made), autocast=dtypes.SINGLE_ON_CUDA
)
_shares("softmax", counts=tools.SOFTMAX, saves=points.softmax, takes="float")(_softmax)
_shares("log_softmax", saves=points.softmax, takes="float")(_softmax)
_shares("softmin", saves=points.softmin, takes={"": "float", "input": _NUMBERS})(_softmax)


@rule(
    "gumbel_softmax",
    pointwise=False,
    other=work.times(3, work.made),
    saves=points.gumbel_softmax,
    takes="float",
)
def gumbel_softmax(
    logits: SymbolicTensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Result:
    """A sample of the softmax along `dim`."""
    require_numbers(tau=tau)
    return over(logits, [normal_dim(dim, logits.ndim, "gumbel_softmax")])


@rule("type_as", other=work.nothing, saves=points.cast, dtype=dtypes.cast)
def type_as(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """Cast to the type of `other`, whose values do not matter."""
    return elementwise(input, others=((other, None),))


@rule("celu", saves=points.leaky, takes="float")
def celu(input: SymbolicTensor, alpha: float = 1.0, inplace: bool = False) -> Result:
    """CELU; torch refuses ``alpha=0``, by which it divides."""
    if alpha == 0:
        raise ShapeMismatch("celu: alpha=0", cure="alpha must not be zero")
    return elementwise(input)


@rule("gelu", counts=tools.ACTIVATION, saves=points.keeps_input, takes="float")
def gelu(input: SymbolicTensor, approximate: str = "none") -> Result:
    """GELU, exact or by tanh."""
    if approximate not in ("none", "tanh"):
        raise ShapeMismatch(f"gelu: approximate={approximate!r}", cure='"none" or "tanh"')
    return elementwise(input)


@rule("hardtanh", counts=tools.RELU6, saves=points.keeps_input, takes="int float")
def hardtanh(
    input: SymbolicTensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Result:
    """Clipped to an interval."""
    if min_val > max_val:
        raise ShapeMismatch(f"hardtanh: min_val={min_val} is above max_val={max_val}")
    return elementwise(input)


@rule("Tensor.polygamma", saves=points.keeps_input, dtype=dtypes.floats, takes=_REAL)
def polygamma_of(input: SymbolicTensor, n: int) -> Result:
    """A derivative of digamma; the method takes its order last."""
    return _polygamma(n, input)


@rule("polygamma", saves=points.keeps_input, dtype=dtypes.floats, takes=_REAL)
def polygamma(n: int, input: SymbolicTensor) -> Result:
    """A derivative of digamma; the function takes its order first."""
    return _polygamma(n, input)


def _polygamma(n: int, input: SymbolicTensor) -> Result:
    if n < 0:
        raise ShapeMismatch(f"polygamma: n={n}", cure="the order is at least 0")
    return elementwise(input)


@rule(
    "renorm",
    pointwise=False,
    saves=points.renorm,
    autocast=dtypes.SINGLE_ON_CUDA,
    takes="float complex",
)
def renorm(input: SymbolicTensor, p: float, dim: int, maxnorm: float) -> Result:
    """Every slice along an axis scaled down to a norm."""
    if input.ndim < 2:
        raise ShapeMismatch("renorm takes an input of at least 2 axes")
    one = normal_dim(dim, input.ndim, "renorm")
    return over(input, [axis for axis in range(input.ndim) if axis != one])


@rule("isclose", dtype="bool", same_dtype="input other")
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


@rule("softshrink", saves=points.keeps_input, takes="float")
def softshrink(input: SymbolicTensor, lambd: float = 0.5) -> Result:
    """Softshrink by `lambd`, which is not negative."""
    if lambd < 0:
        raise ShapeMismatch(f"softshrink: lambd={lambd}", cure="lambd is at least 0")
    return elementwise(input)


@rule(
    "prelu",
    counts=tools.PRELU,
    saves=points.prelu,
    autocast=dtypes.LOW,
    takes="float",
    same_dtype="input weight",
)
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


@rule("glu", pointwise=False, saves=points.glu, takes="float")
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


def _binary(input: Any, other: Any, *args: object, **kwargs: object) -> Result:
    return broadcast(input, other)


def _divided(
    input: Operand, other: Operand, *args: object, rounding_mode: str | None = None
) -> Result:
    """A quotient; only real numbers are rounded."""
    dtype = dtypes.result_type((input, other))
    if rounding_mode not in (None, "trunc", "floor"):
        raise ShapeMismatch(f"div: rounding_mode={rounding_mode!r}", cure='"trunc", or "floor"')
    if rounding_mode is not None and dtype not in meant("int float"):
        raise not_taken(f"div of {dtype} with rounding_mode={rounding_mode!r}", "int float")
    return broadcast(input, other)


def _several(*args: object, **kwargs: object) -> Result:
    return broadcast(*args, *kwargs.values())


_real = partial(rules, dtype=dtypes.floats, takes=_REAL)
_real("atan2 arctan2", saves=points.both_operands)(_binary)
_real("xlogy xlog1py", saves=points.both_operands)(_binary)
_real("copysign")(_binary)
rules("ldexp", dtype=dtypes.floats)(_binary)
_promotes = partial(rules, dtype=dtypes.promotes, takes="float")
_promotes("hypot", saves=points.operands_and_output)(_binary)
_promotes("logaddexp2", saves=points.both_operands)(_binary)
_promotes("logaddexp", saves=points.both_operands, takes="float complex")(_binary)
_promotes("igamma igammac")(_binary)
for _name in "eq ne lt le gt ge".split():
    _asks(
        _name,
        value=getattr(values, _name.upper()),
        operators=_name,
        takes="" if _name in ("eq", "ne") else _REAL,
    )(_binary)
for _name in "and or xor".split():
    _asks(f"logical_{_name}", value=getattr(values, f"TRUE_{_name.upper()}"))(_binary)
_integers = partial(rules, saves=points.keeps_nothing, dtype=dtypes.promotes, takes="int")
_integers("bitwise_left_shift", value=values.shifted, operators="lshift rlshift ilshift")(_binary)
_integers("bitwise_right_shift", value=values.shifted_back, operators="rshift rrshift irshift")(
    _binary
)
_integers("gcd lcm")(_binary)
rules("nextafter", dtype=dtypes.promotes, takes="float")(_binary)
rules(
    "heaviside",
    saves=points.keeps_nothing,
    dtype=dtypes.promotes,
    takes=_REAL,
    same_dtype="input other",
)(_binary)
_arithmetic = partial(rules, saves=points.keeps_nothing, dtype=dtypes.promotes)
_differs = partial(_arithmetic, takes={"input": _NUMBERS, "other": _NUMBERS})
_differs(
    "sub",
    autocast=dtypes.WIDEST_IN_SCRIPTS,
    value=values.scaled(operator.sub),
    operators="sub rsub isub",
    scaled=True,
)(_binary)
_arithmetic(
    "floor_divide",
    takes="int float",
    value=values.floored,
    operators="floordiv rfloordiv",
)(_binary)
_differs("subtract rsub")(_binary)
_bitwise = partial(_arithmetic, takes="bool int")
for _name in "and or xor".split():
    _bitwise(
        f"bitwise_{_name}",
        operators=f"{_name} r{_name} i{_name}",
        value=getattr(values, _name.upper()),
    )(_binary)
_asks("greater greater_equal less less_equal", takes=_REAL)(_binary)
_asks("not_equal")(_binary)
rules(
    "div",
    autocast=dtypes.WIDEST_IN_SCRIPTS,
    saves=points.div,
    dtype=dtypes.divides,
    value=values.divided,
    operators="truediv rtruediv itruediv",
)(_divided)
rules("true_divide divide", saves=points.div, dtype=dtypes.divides)(_divided)
rules(
    "remainder",
    saves=points.remainder,
    dtype=dtypes.promotes,
    takes="int float",
    value=values.remainder,
    operators="mod rmod",
)(_binary)
rules("fmod", saves=points.remainder, dtype=dtypes.promotes, takes="int float")(_binary)
_extreme = partial(rules, saves=points.extreme_of_two, dtype=dtypes.promotes, takes=_REAL)
_extreme("maximum", value=values.MAX)(_binary)
_extreme("minimum", value=values.MIN)(_binary)
_extreme("fmax fmin")(_binary)
_arithmetic(
    "add",
    autocast=dtypes.WIDEST_IN_SCRIPTS,
    shows="every",
    counts=tools.MADE,
    value=values.scaled(operator.add),
    operators="add radd iadd",
    scaled=True,
)(_binary)
rules(
    "mul",
    autocast=dtypes.WIDEST_IN_SCRIPTS,
    counts=tools.MADE,
    saves=points.mul,
    dtype=dtypes.promotes,
    value=values.product,
    operators="mul rmul imul",
)(_binary)
rules("multiply", saves=points.mul, dtype=dtypes.promotes)(_binary)
rules(
    "pow",
    saves=points.pow,
    dtype=dtypes.promotes,
    takes=_NUMBERS,
    autocast=dtypes.SINGLE_ON_CUDA,
    operators="pow rpow ipow",
    value=values.power,
)(_binary)
rules("float_power", dtype=dtypes.doubles)(_binary)
_pair = partial(_moves, dtype=dtypes.to_complex, same_dtype="input other")
_pair(
    "polar",
    takes="float32 float64",
    autocast=dtypes.SINGLE_ON_CPU,
    saves=points.keeps_output,
)(_binary)
_pair("complex", takes="float16 float32 float64", saves=points.operands_of_gradients)(_binary)


@rule(
    "lerp",
    dtype=dtypes.of_tensors,
    takes="float complex",
    same_dtype="input end",
    saves=points.lerp,
)
def lerp(input: SymbolicTensor, end: SymbolicTensor, weight: Operand) -> Result:
    """Between two tensors; a 0-d weight is a number of any dtype."""
    if isinstance(weight, SymbolicTensor) and weight.dims:
        require_same_dtype("lerp", (input.dtype, weight.dtype))
    return broadcast(input, end, weight)


rules("clamp_min clamp_max", saves=points.clamp, dtype=dtypes.promotes, takes=_REAL)(_several)


def _clamped(input: SymbolicTensor, min: Any = None, max: Any = None) -> Result:
    bounds = [b for b in (min, max) if b is not None]
    if not bounds:
        raise ShapeMismatch("clamp: neither min nor max", cure="give one of them")
    tensors = [b for b in bounds if isinstance(b, SymbolicTensor)]
    if len(tensors) == 1 < len(bounds) and tensors[0].ndim:  # one of no axes is a number
        raise ShapeMismatch("clamp: one bound is a tensor, the other a number", cure="give two")
    if len(bounds) == 2 and dtypes.result_type((input, *bounds)) == "bool":
        raise not_taken("clamp of bool from both sides", "int float")
    return broadcast(input, *bounds)


rules(
    "clamp clip",
    saves=points.clamp,
    dtype=dtypes.promotes,
    takes=_REAL,
    value=values.clamped,
)(_clamped)
rules("addcmul", scaled=True, saves=points.addcmul, dtype=dtypes.of_tensors, takes=_NUMBERS)(
    _several
)
rules("addcdiv", scaled=True, saves=points.addcdiv, dtype=dtypes.of_tensors, takes="float complex")(
    _several
)


@rule(
    "masked_fill",
    other=work.nothing,
    fills=True,
    saves=points.masked_fill,
    takes={"mask": "bool"},
    value=values.overwritten,
)
def masked_fill(input: SymbolicTensor, mask: SymbolicTensor, value: Operand) -> Result:
    """Some places overwritten; the mask broadcasts, the values come from anywhere."""
    require_number("masked_fill", value, input.dtype)
    return broadcast(input, mask)


@rule("masked_scatter", other=work.nothing, takes={"mask": "bool"}, same_dtype="input source")
def masked_scatter(input: SymbolicTensor, mask: SymbolicTensor, source: object) -> Result:
    """Some places written one after the other from a source."""
    return broadcast(input, mask)


_chooses = partial(
    rule,
    other=work.nothing,
    saves=points.where,
    dtype=dtypes.where,
    takes={"condition": "bool uint8"},
)


@_chooses("Tensor.where", value=values.chosen_second)
def where_of(input: SymbolicTensor, condition: SymbolicTensor, other: Operand) -> Result:
    """One or the other, point by point; the method takes its condition second."""
    return broadcast(input, condition, other)


@_chooses("where", value=values.chosen)
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
    if may_be_empty(a) or may_be_empty(b):  # beside none, one is none
        return maximum(maximum(a, b) + minimum(minimum(a, b), 1) - 1, 0)
    return maximum(a, b)
