"""Operators on elements that are known: how shapes are computed in a graph.

The law: *what moves elements moves formulas as it moves numbers*, and of numbers alone the standard
has an implementation of its own (`onnx.reference`), which is run. So what stands here is what an
operator makes of formulas, where it computes with them. Whatever the result depends on and is not
known makes it Unknown; the operator then runs on tensors like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import defs, helper

from symcnn.algebra.size import Size, prod
from symcnn.frontends.onnx import values
from symcnn.frontends.onnx.step import FOLDS, Fold, Outputs, Step, folds, numeric, operator
from symcnn.frontends.onnx.values import Array, Unknown, Value, array_of, dtype_of, sequence, whole
from symcnn.trace.graph import OPS, apply, tensors_in

_WHOLE = frozenset("int8 int16 int32 int64 uint8 uint16 uint32 uint64".split())

#: So many elements are written out.
_MANY = 1 << 12


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
    return array_of(prod(step.value(0).dims))


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
    start, limit, delta = (values.pointwise(lambda x: x, step.content(i)).flat[0] for i in range(3))
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


# Of numbers, and of formulas that move ----------------------------------------------------------


def folded(step: Step) -> list[Array]:
    """What an operator makes of known elements. Raises Unknown where that is not known."""
    law, arrays = FOLDS[step.op], _contents(step)
    if all(map(numeric, arrays.values())):
        return _computed(step, {i: _typed(step, i) for i in arrays})
    return _moved(step, arrays) if law is None else [law(step)]


def _moved(step: Step, arrays: Mapping[int, Array]) -> list[Array]:
    """Elements where the standard moves their numbers in a row of all; 0 is itself."""
    row: list[Any] = [0]
    places: dict[int, Array] = {}
    for i, array in arrays.items():
        if i in _HOLDS.get(step.op, (0,)):
            places[i] = np.arange(len(row), len(row) + array.size).reshape(array.shape)
            row += [*array.flat]
        else:
            places[i] = _typed(step, i)
    if step.attribute("reduction", "none") != "none":
        raise Unknown
    every = array_of(row).astype(object)
    return [array_of(every[found]) for found in _computed(step, places)]


def _contents(step: Step) -> dict[int, Array]:
    """The elements of each input that is there."""
    return {i: step.content(i) for i in range(len(step.inputs)) if step.has(i)}


def _typed(step: Step, i: int) -> Array:
    """The numbers of an input as the type that the standard says. Raises Unknown for formulas."""
    array, dtype = step.content(i), step.value(i).dtype
    if not numeric(array):
        array = array_of([*map(whole, array.flat)]).reshape(array.shape)
        if not numeric(array):
            raise Unknown
    return array.astype(dtype) if dtype and hasattr(np, dtype) else array


def _computed(step: Step, arrays: Mapping[int, Array]) -> list[Array]:
    """What the standard's own implementation makes of numbers. Raises Unknown where it fails."""
    from onnx.reference import ReferenceEvaluator  # of many modules, for graphs that compute

    if step.op in _STRETCHED:
        *first, times = arrays.values()
        if np.prod(times) * (first[0].size if step.op == "Tile" else 1) > _MANY:
            raise Unknown
    takes = [f"x{i}" if i in arrays else "" for i in range(len(step.inputs))]
    gives = [f"y{i}" for i in range(step.outputs)]
    fed = {f"x{i}": array for i, array in arrays.items()}
    said = {name: value for name, value in step.attributes.items() if value not in (None, ())}
    node = helper.make_node(step.op, takes, gives, **said)
    infos = [[*map(helper.make_empty_tensor_value_info, names)] for names in (fed, gives)]
    graph = helper.make_graph([node], step.op, infos[0], infos[1])
    versions = {"": min(step.version, defs.onnx_opset_version())}
    try:
        with np.errstate(all="ignore", divide="raise"):
            found = ReferenceEvaluator(graph, opsets=versions).run(None, fed)
    except Exception:  # of what it does not take: of which class, it does not say
        raise Unknown from None
    return [np.asarray(array) for array in found]


#: Inputs that hold elements which move, where it is not the first alone.
_HOLDS = {"Concat": range(1 << 16), "ScatterND": (0, 2)}

#: What makes more elements than it takes.
_STRETCHED = ("ConstantOfShape", "Expand", "Tile")

FOLDS |= dict.fromkeys(
    "Concat Expand Flatten Gather Reshape ScatterND Slice Split Squeeze Tile Transpose Trilu"
    " Unsqueeze".split()
)


# Of formulas that are computed with -------------------------------------------------------------


def _elementwise(exact: Any) -> Fold:
    return lambda step: values.pointwise(exact, *_contents(step).values())


FOLDS |= {
    name: _elementwise(exact)
    for name, exact in {
        "Add": lambda a, b: a + b,
        "Sub": lambda a, b: a - b,
        "Mul": lambda a, b: a * b,
        "Neg": lambda a: -a,
        "Abs": lambda a: values.largest(a, -a),
        "Floor": values.floor,
        "Ceil": lambda a: -values.floor(-a),
        "Round": lambda a: whole(a),
        **dict.fromkeys(("ConstantOfShape", "NonZero", "Sqrt"), values.unknown),
        "Max": values.largest,
        "Min": values.smallest,
        "Sum": lambda *a: sum(a),
        "Mod": lambda a, b: whole(a) % whole(b),
        "Equal": values.equal,
        "GreaterOrEqual": values.at_least,
        "LessOrEqual": lambda a, b: values.at_least(b, a),
        "Greater": lambda a, b: values.at_least(a, whole(b) + 1),
        "Less": lambda a, b: values.at_least(b, whole(a) + 1),
        "Not": values.negation,
        "And": values.conjunction,
        "Or": values.disjunction,
        "Where": values.chosen,
    }.items()
}


@folds("Div")
def div(step: Step) -> Array:
    """Of whole numbers, towards zero; of floats, as long as no rounding matters."""
    of_floats = any(step.value(i).dtype.startswith("float") for i in (0, 1))
    return _elementwise(values.ratio if of_floats else values.quotient)(step)


@folds("Pow")
def power(step: Step) -> Array:
    """A whole power."""
    if not numeric(b := step.content(1)) or any(int(power) != power for power in b.flat):
        raise Unknown
    return values.pointwise(lambda x, y: x**y, step.content(0), b)


@folds("Cast", "CastLike")
def cast(step: Step) -> Array:
    """The same; to a whole type, without what stands after the point."""
    dtype = dtype_of(step.attribute("to", 0)) if step.op == "Cast" else step.value(1).dtype
    if dtype in _WHOLE:
        return values.pointwise(_truncated, step.content(0))
    if not dtype.startswith("float"):
        raise Unknown
    return step.content(0)


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
    for i, pick in ((1, values.largest), (2, values.smallest)):
        a = values.pointwise(pick, a, step.content(i)) if step.has(i) else a
    return a


_TOGETHER: dict[str, Callable[[Any, Any], Any]] = {
    "ReduceMax": values.largest,
    "ReduceMin": values.smallest,
    "ReduceProd": lambda a, b: a * b,
    "ReduceSum": lambda a, b: a + b,
}


@folds(*_TOGETHER)
def reduce(step: Step) -> Array:
    """All, or some axes, as one."""
    a, axes = step.content(0), step.numbers("axes", 1)
    if axes is None and step.attribute("noop_with_empty_axes", 0):
        return a
    over: Any = tuple(range(a.ndim)) if axes is None else axes
    together = np.frompyfunc(_TOGETHER[step.op], 2, 1)
    return array_of(together.reduce(a, axis=over, keepdims=bool(step.attribute("keepdims", 1))))
