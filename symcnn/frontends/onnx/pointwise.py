"""Operators that work point by point, along axes, or as matrix products: tables of names.

Left stands ONNX's name, right the rule's. What differs is said by a function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from symcnn.algebra.size import Int
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.frontends.onnx.step import Operator, Outputs, Step, operator, operators
from symcnn.trace.graph import OPS, SymbolicTensor, apply


def _table(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


BINARY = _table("""
    Add=add And=logical_and BitwiseAnd=bitwise_and BitwiseOr=bitwise_or BitwiseXor=bitwise_xor
    Div=div Equal=eq Greater=gt GreaterOrEqual=ge Less=lt LessOrEqual=le Mod=remainder Mul=mul
    Or=logical_or Pow=pow Sub=sub Xor=logical_xor
""")

REDUCTIONS = _table("""
    ReduceL1=norm ReduceL2=norm ReduceLogSum=logsumexp ReduceLogSumExp=logsumexp ReduceMax=amax
    ReduceMean=mean ReduceMin=amin ReduceProd=prod ReduceSum=sum ReduceSumSquare=sum
""")


UNARY = _table("""
    Abs=abs Acos=acos Acosh=acosh Asin=asin Asinh=asinh Atan=atan Atanh=atanh Bernoulli=bernoulli
    BitCast=to BitwiseNot=bitwise_not Cast=to CastLike=to Ceil=ceil Celu=elu Cos=cos
    Cosh=cosh DequantizeLinear=to Det=det Elu=elu Erf=erf Exp=exp EyeLike=zeros_like Floor=floor
    Gelu=gelu HardSigmoid=hardsigmoid HardSwish=hardswish IsInf=isinf IsNaN=isnan
    LeakyRelu=leaky_relu Log=log Mish=mish Neg=neg Not=logical_not QuantizeLinear=to
    RandomNormalLike=randn_like RandomUniformLike=randn_like Reciprocal=reciprocal Relu=relu
    Round=round Selu=selu Shrink=hardshrink Sigmoid=sigmoid Sign=sign Sin=sin Sinh=sinh
    Softplus=softplus Softsign=softsign Sqrt=sqrt Swish=silu Tan=tan Tanh=tanh
    TensorScatter=clone ThresholdedRelu=threshold
""")


def _each(table: dict[str, str], make: Callable[[str], Callable[[Step], Any]]) -> None:
    for name, op in table.items():
        operator(name)(make(op))


_each(UNARY, lambda op: lambda step: apply(op, step.tensor()))


def _binary(op: str) -> Operator:
    def run(step: Step) -> Outputs:
        a, b = step.tensor(0), step.tensor(1)
        if step.version < 7 and step.attribute("broadcast", 0):
            b = _placed(a, b, step.attribute("axis"))
        return OPS[op](a, b)

    return run


operators(
    """
    ArgMax=argmax 0 axis=0 keepdims=1
    ArgMin=argmin 0 axis=0 keepdims=1
    Clip=clamp 0 min=0
    DepthToSpace=pixel_shuffle 0 blocksize
    GatherElements=gather 0 axis=0 1
    GatherND=gather_nd 0 1 batch_dims=0
    GridSample=grid_sample 0 1
    LRN=local_response_norm 0 size
    MatMul=matmul 0 1
    MatMulInteger=matmul 0 1
    QLinearMatMul=matmul 0 3
    Scatter=scatter 0 axis=0 1 2
    ScatterElements=scatter 0 axis=0 1 2
    ScatterND=scatter_nd 0 1 2
    SpaceToDepth=pixel_unshuffle 0 blocksize
    Where=where 0 1 2
    """
)


def _placed(a: SymbolicTensor, b: SymbolicTensor, axis: int | None) -> SymbolicTensor:
    """The second operand of old versions, whose axes begin at a given one of the first."""
    if axis is None:
        return b
    after = a.ndim - axis % a.ndim - b.ndim
    return apply("view", b, *b.dims, *(1,) * after) if after > 0 else b


_each(BINARY, _binary)


@operator("BitShift")
def bit_shift(step: Step) -> Outputs:
    """To the left or the right."""
    side = "left" if step.attribute("direction") == "LEFT" else "right"
    return OPS[f"bitwise_{side}_shift"](step.tensor(0), step.tensor(1))


def _folded(op: str) -> Operator:
    def run(step: Step) -> Outputs:
        first, *rest = step.tensors()
        return (
            reduce(lambda a, b: apply(op, a, b), rest, first) if rest else apply("identity", first)
        )

    return run


_each({"Max": "maximum", "Min": "minimum", "Sum": "add", "Mean": "add"}, _folded)


@operator("PRelu")
def prelu(step: Step) -> Outputs:
    """Its slopes broadcast to the input, which does not grow."""
    x, slope = step.tensor(0), step.tensor(1)
    if slope.ndim > x.ndim:
        raise ShapeMismatch(f"a slope of {slope.ndim} axes for an input of {x.ndim}")
    return OPS["mul"](x, slope)


@operator("Dropout")
def dropout(step: Step) -> Outputs:
    """Nothing, outside training; the mask has the same shape."""
    out = apply("dropout", step.tensor())
    return (out, apply("ones_like", out)) if step.wants(1) else out


def _softmax(op: str) -> Operator:
    def run(step: Step) -> Outputs:
        x = step.tensor()
        if step.version >= 13:
            return OPS[op](x, step.attribute("axis", -1))
        axis = step.attribute("axis", 1) % max(x.ndim, 1)  # of a matrix, axes merged: all from here
        if axis == x.ndim - 1:
            return OPS[op](x, axis)
        flat = apply("flatten", x, axis) if x.ndim - axis > 1 else x
        return OPS["view"](apply(op, flat, axis), *x.dims)

    return run


_each({"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "softmax"}, _softmax)


def _reduction(op: str) -> Operator:
    def run(step: Step) -> Outputs:
        x, axes = step.tensor(), step.numbers("axes", 1)
        keep = bool(step.attribute("keepdims", 1))
        if not axes:
            if step.attribute("noop_with_empty_axes", 0):
                return OPS["abs"](x)
            axes = tuple(range(x.ndim))
        if not x.ndim:
            return OPS["abs"](x)
        if op == "norm":
            return OPS["norm"](x, 2, tuple(axes), keep)
        return _reduced(op, x, axes, keep)

    return run


def _reduced(op: str, x: SymbolicTensor, axes: tuple[Int, ...], keep: bool) -> Outputs:
    if op != "prod":
        return OPS[op](x, tuple(axes), keep)
    for axis in sorted((a % x.ndim for a in axes if isinstance(a, int)), reverse=True):
        x = apply("prod", x, axis, keep)
    return x


_each(REDUCTIONS, _reduction)


@operator("CumSum", "CumProd")
def cumsum(step: Step) -> Outputs:
    """Running sums and products along an axis; the shape stays whichever that is."""
    x = step.tensor()
    if step.value(1).content is None:
        return OPS["transform"](x, x.dims)
    return OPS[step.op.lower()](x, step.number("axis", 1, 0))


@operator("TopK")
def topk(step: Step) -> Outputs:
    """The largest along an axis, and where they stand."""
    return OPS["topk"](step.tensor(), step.number("k", 1), step.attribute("axis", -1))


@operator("LpNormalization")
def lp_normalization(step: Step) -> Outputs:
    """Divided by the norm along an axis."""
    return OPS["normalize"](step.tensor(), 2.0, step.attribute("axis", -1))


# Products -------------------------------------------------------------------------------------


@operator("Gemm")
def gemm(step: Step) -> Outputs:
    """``A' @ B' + C``: torch's linear, where it is."""
    a, b, c = step.tensor(0), step.tensor(1), step.optional(2)
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeMismatch(f"Gemm takes matrices, not {a.ndim}-d and {b.ndim}-d tensors")
    if step.attribute("transA", 0):
        a = apply("t", a)
    if step.attribute("transB", 0):
        if c is None or (c.ndim == 1 and c.dims[0] == b.dims[0]):
            return OPS["linear"](a, b, c)
        b = apply("t", b)
    return OPS["matmul"](a, b) if c is None else apply("addmm", c, a, b)


@operator("Einsum")
def einsum(step: Step) -> Outputs:
    """Einstein's sum."""
    return OPS["einsum"](step.attribute("equation"), *step.tensors())


# Made of nothing, or of chance ----------------------------------------------------------------


@operator("RandomNormal", "RandomUniform")
def random(step: Step) -> Outputs:
    """Random numbers of a shape."""
    return OPS["randn"](tuple(step.attribute("shape", ())))


@operator("Multinomial")
def multinomial(step: Step) -> Outputs:
    """Samples of each row."""
    return OPS["zeros"]((step.tensor().dims[0], step.attribute("sample_size", 1)))


@operator("HannWindow", "HammingWindow", "BlackmanWindow")
def window(step: Step) -> Outputs:
    """A window of a length."""
    return OPS["zeros"]((step.number("size", 0),))


@operator("DynamicQuantizeLinear")
def dynamic_quantize(step: Step) -> Outputs:
    """The quantised tensor, its scale and zero point."""
    x = step.tensor()
    return apply("to", x), apply("amax", x), apply("amax", x)


@operator("NonZero", "Compress", "NonMaxSuppression", "Unique")
def data_dependent(step: Step) -> Outputs:
    """How many elements there are depends on the values."""
    raise DataDependent(
        f"{step.op}: how many elements come out depends on the values",
        cure="cut the model before this node: onnx.utils.extract_model",
    )


@operator("OneHot")
def one_hot(step: Step) -> Outputs:
    """A new axis of as many places as there are classes."""
    x = step.tensor()
    depth = step.number("depth", 1)
    axis = step.attribute("axis", -1) % (x.ndim + 1)
    dims = (depth if i == axis else 1 for i in range(x.ndim + 1))
    classes = apply("view", apply("arange", depth), *dims)
    return apply("eq", apply("unsqueeze", x, axis), classes)
