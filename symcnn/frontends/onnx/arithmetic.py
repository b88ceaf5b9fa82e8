"""Operators on elements that are known: how shapes are computed in a graph.

Each function takes the elements of its inputs and gives those of its output. Whatever the result
depends on and is not known makes it Unknown; the operator then runs on tensors like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from symcnn.algebra.size import Int, Size
from symcnn.frontends.onnx import values
from symcnn.frontends.onnx.step import FOLDS, Outputs, Step, folds, numeric, operator
from symcnn.frontends.onnx.values import Array, Unknown, Value, array_of, dtype_of, sequence, whole
from symcnn.trace.graph import OPS, apply, tensors_in

_WHOLE = frozenset("int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())


# Where elements come from ---------------------------------------------------------------------


@operator("Shape")
def shape(step: Step) -> Array:
    """The sizes themselves."""
    dims = step.value(0).dims
    start, end = step.attribute("start", 0), step.attribute("end", len(dims))
    return sequence(dims[slice(start, end)])


@operator("Size")
def size(step: Step) -> Array:
    """The number of elements."""
    total: Int = 1
    for dim in step.value(0).dims:
        total = total * dim
    return array_of(total)


@operator("Constant")
def constant(step: Step) -> Value:
    """A table in the graph."""
    given = step.attributes
    if "value" in given:
        tensor = given["value"]
        content = step.run.elements(tensor)
        leaf = step.run.initializer(tensor) if content is None else Value(content=content)
        leaf.dtype = dtype_of(tensor.data_type)
        return leaf
    if "sparse_value" in given:
        return Value(apply("zeros", tuple(given["sparse_value"].dims)))
    for name, dtype in (("value_int", "int64"), ("value_float", "float32")):
        for key in (name, f"{name}s"):
            if key in given:
                return Value(content=np.array(given[key], dtype), dtype=dtype)
    raise Unknown  # of text


@folds("ConstantOfShape")
def constant_of_shape(step: Step) -> Array:
    """One number, as often as a shape says."""
    dims = _static(step.content(0).flat)
    if int(np.prod(dims)) > 1 << 12:
        raise Unknown
    value = step.attribute("value")
    filled = 0.0 if value is None else numpy_helper.to_array(value).flat[0]
    return np.full(dims, filled, np.float32 if value is None else None)


@operator("ConstantOfShape")
def filled(step: Step) -> Outputs:
    """A tensor of that shape, of the type of what it is filled with."""
    number = step.attribute("value")
    dtype = "float32" if number is None else dtype_of(number.data_type)
    (made,) = tensors_in(OPS["full"](step.numbers("shape", 0), 0))
    value = Value(made, dtype=dtype)
    value.set_dtype()
    return value


@folds("Range")
def range_(step: Step) -> Array:
    """Equally spaced numbers, if how many there are is known."""
    ends = [step.content(i) for i in range(3)]
    if all(map(numeric, ends)):
        return np.arange(*(end.flat[0] for end in ends))
    start, limit, delta = (values.pointwise(lambda x: x, end).flat[0] for end in ends)
    if isinstance(limit - start, Size) or isinstance(delta, Size):
        raise Unknown
    count = max(0, -(-(limit - start) // delta))
    return array_of([start + i * delta for i in range(int(count))])


@operator("Range")
def arange(step: Step) -> Outputs:
    """Equally spaced numbers."""
    ends = [_number(step, name, i) for i, name in enumerate(("start", "limit", "delta"))]
    return OPS["arange"](*ends)


def _number(step: Step, name: str, i: int) -> Any:
    content = step.value(i).content
    if content is not None and numeric(content) and content.dtype.kind == "f":
        return float(content.flat[0])
    return step.number(name, i)


def _static(sizes: Any) -> tuple[int, ...]:
    found = tuple(map(whole, sizes))
    if any(isinstance(s, Size) for s in found):
        raise Unknown
    return found  # type: ignore[return-value]


# Point by point -------------------------------------------------------------------------------


def _elementwise(name: str, exact: Any, numbers: Any) -> None:
    def fold(step: Step) -> Array:
        arrays = [step.content(i) for i in range(len(step.inputs)) if step.has(i)]
        if all(map(numeric, arrays)):
            with np.errstate(all="ignore"):
                return np.asarray(numbers(*arrays))
        return values.pointwise(exact, *arrays)

    FOLDS[name] = fold


def _numpy_quotient(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":
        if not np.all(b):
            raise Unknown
        return np.asarray(np.trunc(a / b) if np.any(a < 0) or np.any(b < 0) else a // b).astype(
            a.dtype
        )
    return np.asarray(a / b)


for _name, _exact, _numbers in (
    ("Add", lambda a, b: a + b, np.add),
    ("Sub", lambda a, b: a - b, np.subtract),
    ("Mul", lambda a, b: a * b, np.multiply),
    ("Neg", lambda a: -a, np.negative),
    ("Abs", lambda a: values.largest(a, -a), np.abs),
    ("Floor", values.floor, np.floor),
    ("Sqrt", values.unknown, np.sqrt),
    ("Ceil", lambda a: -values.floor(-a), np.ceil),
    ("Round", lambda a: whole(a), np.round),
    ("Max", values.largest, lambda *a: np.max(np.broadcast_arrays(*a), axis=0)),
    ("Min", values.smallest, lambda *a: np.min(np.broadcast_arrays(*a), axis=0)),
    ("Sum", lambda *a: sum(a), lambda *a: np.sum(np.broadcast_arrays(*a), axis=0)),
    ("Equal", values.equal, np.equal),
    ("GreaterOrEqual", values.at_least, np.greater_equal),
    ("LessOrEqual", lambda a, b: values.at_least(b, a), np.less_equal),
    ("Greater", lambda a, b: values.at_least(a, whole(b) + 1), np.greater),
    ("Less", lambda a, b: values.at_least(b, whole(a) + 1), np.less),
    ("Not", values.negation, np.logical_not),
    ("And", values.conjunction, np.logical_and),
    (
        "Or",
        lambda a, b: values.negation(values.conjunction(values.negation(a), values.negation(b))),
        np.logical_or,
    ),
    ("Where", values.chosen, np.where),
):
    _elementwise(_name, _exact, _numbers)


@folds("Div")
def div(step: Step) -> Array:
    """Of whole numbers, towards zero; of floats, as long as no rounding matters."""
    a, b = step.content(0), step.content(1)
    if numeric(a) and numeric(b):
        with np.errstate(all="ignore"):
            return _numpy_quotient(a, b)
    of_floats = any(step.value(i).dtype.startswith("float") for i in (0, 1))
    return values.pointwise(values.ratio if of_floats else values.quotient, a, b)


@folds("Mod")
def mod(step: Step) -> Array:
    """The remainder, with the sign of the divisor."""
    a, b = step.content(0), step.content(1)
    if numeric(a) and numeric(b):
        if a.dtype.kind in "iu" and not np.all(b):
            raise Unknown
        return np.asarray((np.fmod if step.attribute("fmod", 0) else np.mod)(a, b))
    if step.attribute("fmod", 0):
        raise Unknown
    return values.pointwise(lambda x, y: whole(x) % whole(y), a, b)


@folds("Pow")
def power(step: Step) -> Array:
    """A whole power."""
    a, b = step.content(0), step.content(1)
    if numeric(a) and numeric(b):
        with np.errstate(all="ignore"):
            return np.asarray(np.power(a.astype(np.float64), b)).astype(a.dtype)
    if not numeric(b) or any(int(power) != power for power in b.flat):
        raise Unknown
    return values.pointwise(lambda x, y: x**y, a, b)


@folds("Cast", "CastLike")
def cast(step: Step) -> Array:
    """The same numbers; to a whole type, without what stands after the point."""
    a = step.content(0)
    dtype = dtype_of(step.attribute("to", 0)) if step.op == "Cast" else step.value(1).dtype
    if numeric(a):
        try:
            with np.errstate(all="ignore"):
                return a.astype(dtype)
        except TypeError:
            raise Unknown from None
    if dtype in _WHOLE:
        return values.pointwise(_truncated, a)
    if not dtype.startswith("float"):
        raise Unknown
    return a


def _truncated(value: Any) -> Any:
    floor = values.floor(value)
    if floor == value:
        return value
    if values.known_to_be_at_least(value, 0):
        return floor
    raise Unknown


@operator("Identity")
def identity(step: Step) -> Outputs:
    """The tensor itself."""
    return (step.inputs[0],)


@folds("Clip")
def clip(step: Step) -> Array:
    """Between two bounds."""
    a = step.content(0)
    for i, pick, bound in ((1, values.largest, np.maximum), (2, values.smallest, np.minimum)):
        if step.has(i):
            end = step.content(i)
            a = bound(a, end) if numeric(a) and numeric(end) else values.pointwise(pick, a, end)
    return a


# Elements in another order --------------------------------------------------------------------


@folds("Concat")
def concat(step: Step) -> Array:
    """One after the other."""
    parts = [step.content(i) for i in range(len(step.inputs))]
    if not all(map(numeric, parts)):
        parts = [p.astype(object) for p in parts]
    return np.concatenate(parts, axis=step.attribute("axis", 1))


@folds("Gather")
def gather(step: Step) -> Array:
    """Elements by their places."""
    places = step.content(1)
    if not numeric(places):
        raise Unknown
    try:
        return np.asarray(np.take(step.content(0), places, axis=step.attribute("axis", 0)))
    except IndexError:
        raise Unknown from None


@folds("Slice")
def slice_(step: Step) -> Array:
    """A part of each axis."""
    a = step.content(0)
    starts, ends = step.numbers("starts", 1), step.numbers("ends", 2)
    axes = step.numbers("axes", 3) or range(len(starts or ()))
    steps = step.numbers("steps", 4) or (1,) * len(starts or ())
    index: list[Any] = [slice(None)] * a.ndim
    for axis, start, end, by in zip(axes, starts or (), ends or (), steps, strict=False):
        at, first, last, stride = _static((axis, start, end, by))
        backwards_to_the_first = stride < 0 and last < -a.shape[at]
        index[at] = slice(first, None if backwards_to_the_first else last, stride)
    return np.asarray(a[tuple(index)])


@folds("Squeeze")
def squeeze(step: Step) -> Array:
    """Without axes of one element."""
    axes = step.numbers("axes", 1)
    try:
        return np.squeeze(step.content(0), None if axes is None else _static(axes))
    except ValueError:
        raise Unknown from None


@folds("Unsqueeze")
def unsqueeze(step: Step) -> Array:
    """With axes of one element."""
    return np.expand_dims(step.content(0), _static(step.numbers("axes", 1) or ()))


@folds("Reshape")
def reshape(step: Step) -> Array:
    """Another shape."""
    a = step.content(0)
    target = [*_static(step.numbers("shape", 1) or ())]
    if not step.attribute("allowzero", 0):
        target = [a.shape[i] if n == 0 else n for i, n in enumerate(target)]
    try:
        return a.reshape(target)
    except ValueError:
        raise Unknown from None


@folds("Flatten")
def flatten(step: Step) -> Array:
    """Two axes."""
    a, axis = step.content(0), step.attribute("axis", 1)
    return a.reshape(int(np.prod(a.shape[: axis % (a.ndim + 1)])), -1)


@folds("Transpose")
def transpose(step: Step) -> Array:
    """The axes in another order."""
    return np.transpose(step.content(0), step.attribute("perm"))


@folds("Expand")
def expand(step: Step) -> Array:
    """Stretched over a shape."""
    a, target = step.content(0), _static(step.content(1).flat)
    try:
        dims = np.broadcast_shapes(a.shape, target)
    except ValueError:
        raise Unknown from None
    if int(np.prod(dims)) > 1 << 12:
        raise Unknown
    return np.broadcast_to(a, dims).copy()


@folds("Tile")
def tile(step: Step) -> Array:
    """Some times in a row."""
    times = _static(step.content(1).flat)
    if int(np.prod(times)) * step.content(0).size > 1 << 12:
        raise Unknown
    return np.tile(step.content(0), times)


@folds("Split")
def split(step: Step) -> list[Array]:
    """Parts of one axis."""
    a, axis = step.content(0), step.attribute("axis", 0)
    parts = step.numbers("split", 1)
    if parts is None:
        each = -(-a.shape[axis] // step.outputs)
        return [np.asarray(p) for p in np.split(a, range(each, a.shape[axis], each), axis)]
    return [np.asarray(p) for p in np.split(a, np.cumsum(_static(parts))[:-1], axis)]


@folds("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def reduce(step: Step) -> Array:
    """All, or some axes, as one number."""
    a = step.content(0)
    axes = step.numbers("axes", 1)
    if axes is None and step.attribute("noop_with_empty_axes", 0):
        return a
    together: Any = {
        "ReduceProd": np.prod,
        "ReduceSum": np.sum,
        "ReduceMax": lambda *p, **k: np.frompyfunc(values.largest, 2, 1).reduce(*p, **k),
        "ReduceMin": lambda *p, **k: np.frompyfunc(values.smallest, 2, 1).reduce(*p, **k),
    }[step.op]
    over = tuple(range(a.ndim)) if axes is None else _static(axes)
    if not a.size:
        raise Unknown
    found = together(a.astype(object), axis=over, keepdims=bool(step.attribute("keepdims", 1)))
    return np.asarray(found).astype(a.dtype) if numeric(a) else array_of(found)


@folds("NonZero")
def nonzero(step: Step) -> Array:
    """Where elements are not zero, if all are numbers."""
    if not numeric(step.content(0)):
        raise Unknown
    return np.array(np.nonzero(step.content(0)))


@folds("ScatterND")
def scatter_nd(step: Step) -> Array:
    """Some elements replaced."""
    a, places, updates = (step.content(i) for i in range(3))
    if not numeric(places) or step.attribute("reduction", "none") != "none":
        raise Unknown
    out = a.astype(object)
    for index in np.ndindex(places.shape[:-1]):
        out[tuple(places[index])] = updates[index]
    return out.astype(a.dtype) if numeric(a) and numeric(updates) else array_of(out)


@folds("Trilu")
def trilu(step: Step) -> Array:
    """One triangle of a matrix."""
    a = step.content(0)
    k = int(step.content(1).flat[0]) if step.has(1) else 0
    if not numeric(a):
        raise Unknown
    return np.triu(a, k) if step.attribute("upper", 1) else np.tril(a, k)
