"""The dtype of what an operation makes, as torch computes it.

The law of promotion: tensors with axes come before 0-d tensors, and these before python's numbers;
what comes later counts only where its *kind* (bool < int < float < complex) is higher. Within a
kind the wider dtype wins. Every operation is of one family:

* it keeps the dtype of its first tensor (views, windows, norms: whatever has no law);
* it promotes its tensors (``add``), or promotes them and makes floats of integers (``div``);
* it answers a question (bool), names places (int64), counts (bool and integers become int64);
* it casts to the dtype that it is given, which an argument ``dtype=`` of any operation does;
* under ``torch.autocast`` it reads its floats in the dtype that autocast gives its family.

Dtypes are torch's names for them; "" is the network's own, where layers do not say which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf, isfinite
from typing import Any

from symcnn.algebra.size import Size
from symcnn.trace.dtype import BYTES, LARGEST
from symcnn.trace.graph import Node, SymbolicTensor

#: The dtypes of what an operation makes, from its node and the dtype of a python float: one for
#: all outputs, or one for each.
Law = Callable[[Node, str], "str | Sequence[str]"]

#: How autocast has an operation read its floats, by device; as they are where it does not say.
LOW: Mapping[str, str] = {"cpu": "low", "cuda": "low"}
LOW_ON_CUDA: Mapping[str, str] = {"cuda": "low"}
SINGLE: Mapping[str, str] = {"cpu": "single", "cuda": "single"}
SINGLE_ON_CPU: Mapping[str, str] = {"cpu": "single"}
SINGLE_ON_CUDA: Mapping[str, str] = {"cuda": "single"}
WIDEST_IN_SCRIPTS: Mapping[str, str] = {"script": "widest"}

#: What autocast casts: all floats but doubles.
CASTABLE = frozenset({"float32", "float16", "bfloat16"})

#: Whole numbers, by name.
WHOLES = frozenset({"int64", "int32", "int16", "int8", "uint8"})

_BOOL, _INT, _FLOAT, _COMPLEX = range(4)


def kind_of(dtype: str) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex numbers."""
    if dtype == "bool":
        return _BOOL
    if dtype.startswith(("int", "uint")):
        return _INT
    return _COMPLEX if dtype.startswith("complex") else _FLOAT


def holds_floats(dtype: str) -> bool:
    """Whether it has numbers that are not whole, real or complex: what gradients are of."""
    return kind_of(dtype) >= _FLOAT


def holds(dtype: str, number: complex) -> bool:
    """Whether torch makes a number one of a dtype; of an unsigned one, a whole number may be less
    than 0, and wraps around.

    >>> holds("float16", -1e9), holds("bfloat16", -1e9), holds("float16", float("-inf"))
    (False, True, True)
    >>> holds("uint8", -1), holds("uint8", -1.0), holds("int64", float("inf"))
    (True, False, False)
    """
    kind = kind_of(dtype)
    if isinstance(number, complex):
        within = holds(_real(dtype), number.real) and holds(_real(dtype), number.imag)
        return within and (kind in (_BOOL, _COMPLEX) or number.imag == 0)
    if kind == _INT:
        signed = not dtype.startswith("u")
        high = (1 << 8 * BYTES[dtype] - signed) - 1
        low = -high - signed if signed or isinstance(number, int) else 0
        return low <= number <= (high if isinstance(number, int) else float(high))
    return kind == _BOOL or not isfinite(number) or abs(number) <= LARGEST.get(_real(dtype), inf)


def promoted(a: str, b: str) -> str:
    """The dtype that holds the values of both.

    >>> promoted("uint8", "int8"), promoted("int64", "float16"), promoted("float16", "bfloat16")
    ('int16', 'float16', 'float32')
    """
    if a == b:
        return a
    low, high = sorted((a, b), key=lambda d: (kind_of(d), BYTES[d]))
    kinds = kind_of(low), kind_of(high)
    if kinds == (_INT, _INT) and low.startswith("u") != high.startswith("u"):
        signed = high if low.startswith("u") else low
        unsigned = low if signed is high else high
        wide = max(BYTES[signed], 2 * BYTES[unsigned])
        return f"int{8 * min(wide, 8)}"
    if kinds == (_FLOAT, _FLOAT) and BYTES[low] == BYTES[high]:
        return "float32" if "16" in low or "16" in high else high or low
    if kinds == (_FLOAT, _COMPLEX):
        return max(high, _complex(low), key=BYTES.__getitem__)
    return high


def _complex(dtype: str) -> str:
    return f"complex{16 * BYTES['float32' if dtype == 'bfloat16' else dtype]}"


def _real(dtype: str) -> str:
    return f"float{4 * BYTES[dtype]}" if kind_of(dtype) == _COMPLEX else dtype


def result_type(values: Iterable[object], default: str = "") -> str:
    """torch.result_type of tensors and numbers; `default` is the dtype of a python float."""
    ranks: list[str | None] = [None, None, None]
    for value in values:
        if isinstance(value, SymbolicTensor):
            place, dtype = (0 if value.dims else 1), value.dtype
        elif isinstance(value, (bool, int, float, complex, Size)) or hasattr(value, "__float__"):
            place, dtype = 2, _of_number(value, default)
        else:
            continue
        before = ranks[place]
        ranks[place] = dtype if before is None else promoted(before, dtype)
    found: str | None = None
    for lower in ranks:
        found = _combined(found, lower)
    return default if found is None else found


def _of_number(value: Any, default: str) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, Size)):
        return "int64"
    return _complex(default) if isinstance(value, complex) else default


def _combined(higher: str | None, lower: str | None) -> str | None:
    if higher is None or lower is None:
        return lower if higher is None else higher
    mine, theirs = kind_of(higher), kind_of(lower)
    if mine >= theirs:
        return higher
    if (mine, theirs) == (_FLOAT, _COMPLEX):
        return _complex(higher)
    return promoted(higher, lower)


def said(args: Iterable[object], kwargs: Mapping[str, object]) -> str:
    """The dtype that an argument says; "" where none does."""
    found = kwargs.get("dtype")
    if found is None:
        for a in args:
            if type(a).__name__ == "dtype":
                found = a
                break
    return "" if found is None else str(found).removeprefix("torch.")


def autocasted(dtype: str, cast: str) -> str:
    """The dtype of what has `dtype` without autocast, where its floats are read as `cast`."""
    if not holds_floats(dtype):
        return dtype
    return _complex(cast) if kind_of(dtype) == _COMPLEX else cast


def can_cast(source: str, target: str) -> bool:
    """Whether torch lets a result of one dtype be written into a tensor of the other."""
    return kind_of(source) <= kind_of(target)


# The families ---------------------------------------------------------------------------------
# A law answers for a node, and the dtype of a python float; per output where outputs differ.


def _arguments(node: Node) -> Iterable[Any]:
    return node.inputs if node.call is None else (*node.call.args, *node.call.kwargs.values())


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _flat(value)
        else:
            yield value


#: Arguments by name whose dtype counts.
_OPERANDS = frozenset(
    "other input value min max exponent tensors end weight self tensor1 tensor2 x y target".split()
)


def promotes(node: Node, default: str) -> str:
    """All tensors and numbers among the positional arguments, and operands by name."""
    if node.call is None:
        return result_type(node.inputs, default)
    named = node.call.kwargs
    given = [*_flat(node.call.args), *(named[k] for k in _OPERANDS & named.keys())]
    return result_type(given, default)


def of_tensors(node: Node, default: str) -> str:
    """The tensors among its inputs, promoted."""
    return result_type(node.inputs, default)


def floats(node: Node, default: str) -> str:
    """What `promotes` gives; of integers, floats."""
    found = promotes(node, default)
    return found if kind_of(found) >= _FLOAT else default


def tensor_floats(node: Node, default: str) -> str:
    """The same of its tensors alone."""
    found = of_tensors(node, default)
    return found if kind_of(found) >= _FLOAT else default


def tensor_real(node: Node, default: str) -> str:
    """The same, and of complex numbers a float."""
    return _real(tensor_floats(node, default))


def doubles(node: Node, default: str) -> str:
    """Always 64 bits a number."""
    return "complex128" if kind_of(promotes(node, default)) == _COMPLEX else "float64"


def square(node: Node, default: str) -> str:
    """The first input, promoted with a whole number."""
    return result_type((node.inputs[0], 2), default)


def divides(node: Node, default: str) -> str:
    """A true quotient is a float; a rounded one is as its operands."""
    rounded = node.arguments.get("rounding_mode")
    return promotes(node, default) if rounded else floats(node, default)


def first_float(node: Node, default: str) -> str:
    """The first input; of integers, a float."""
    found = node.inputs[0].dtype
    return found if kind_of(found) >= _FLOAT else default


def with_places(node: Node, default: str) -> Sequence[str]:
    """Values, and where they are."""
    return [node.inputs[0].dtype, *["int64"] * (len(node.outputs) - 1)]


def extreme(node: Node, default: str) -> str | Sequence[str]:
    """``max(x)``, ``max(x, dim)`` with places, ``max(x, y)``."""
    return with_places(node, default) if len(node.outputs) == 2 else of_tensors(node, default)


def counts(node: Node, default: str) -> str:
    """Sums of integers are int64."""
    found = node.inputs[0].dtype
    return found if kind_of(found) >= _FLOAT else "int64"


def logical(node: Node, default: str) -> str:
    """A bool, and of uint8 a uint8."""
    return "uint8" if node.inputs[0].dtype == "uint8" else "bool"


def of_second(node: Node, default: str) -> str:
    """Of what an index that comes first picks from."""
    return (node.inputs[1] if len(node.inputs) > 1 else node.inputs[0]).dtype


def each(node: Node, default: str) -> Sequence[str]:
    """One output per input, as that input."""
    return [t.dtype for t in node.inputs]


def where(node: Node, default: str) -> str | Sequence[str]:
    """The two branches promoted; of a condition alone, places."""
    branches = [node.arguments[name] for name in ("input", "other")]
    others = [branch for branch in branches if branch is not None]
    return result_type(others, default) if others else ["int64"] * len(node.outputs)


def created(node: Node, default: str) -> str:
    """A python float's."""
    return default


def full(node: Node, default: str) -> str:
    """Of the number that fills it."""
    value = node.arguments.get("fill_value")
    return value.dtype if isinstance(value, SymbolicTensor) else _of_number(value, default)


def arange(node: Node, default: str) -> str:
    """Whole numbers, if all bounds are."""
    bounds = [v for v in _arguments(node) if isinstance(v, (int, float, Size, SymbolicTensor))]
    found = result_type(bounds, default)
    return "int64" if kind_of(found) < _FLOAT else default


def literal(node: Node, default: str) -> str:
    """``tensor([...])``: the kind of what is in it."""
    data = [*_flat(_arguments(node))]
    if data and isinstance(data[0], SymbolicTensor):
        return node.inputs[0].dtype if node.inputs else default
    return result_type(data, default)


def cast(node: Node, default: str) -> str:
    """``to``, ``type``, ``type_as``: the dtype or the tensor that is given, if any is."""
    call = node.call
    for value in () if call is None else (*call.args[1:], *call.kwargs.values()):
        if isinstance(value, SymbolicTensor):
            return value.dtype
        if isinstance(value, str) and value.endswith("Tensor"):
            return LEGACY[value.rsplit(".", 1)[-1].removesuffix("Tensor")]
    return node.inputs[0].dtype


#: Dtypes by the names of torch's old tensor types.
LEGACY = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128",
}  # fmt: skip


def always(dtype: str) -> Law:
    """The same dtype for all inputs."""
    return lambda node, default: dtype


def to_complex(node: Node, default: str) -> str:
    """The complex dtype of as many bits a part."""
    found = of_tensors(node, default)
    if kind_of(found) < _FLOAT:
        found = default
    return found if kind_of(found) == _COMPLEX else _complex(found)


def to_real(node: Node, default: str) -> str:
    """Of a complex number a float."""
    return _real(first_float(node, default))


def part(node: Node, default: str) -> str:
    """Real or imaginary part of the first input."""
    return _real(node.inputs[0].dtype)


def of_other(node: Node, default: str) -> str:
    """That of the second input."""
    return node.inputs[1].dtype


def then(*laws: Law) -> Law:
    """One law per output; the last for all others."""

    def law(node: Node, default: str) -> Sequence[str]:
        whole = [*laws, *[laws[-1]] * len(node.outputs)]
        return [str(f(node, default)) for f, _ in zip(whole, node.outputs, strict=False)]

    return law


def first(node: Node, default: str) -> str:
    """The first input's."""
    return node.inputs[0].dtype if node.inputs else default


def parts_or_not(node: Node, default: str) -> str:
    """``stft``: complex numbers, unless their parts are asked for."""
    whole = node.arguments.get("return_complex") is not False
    return to_complex(node, default) if whole else to_real(node, default)


def search(node: Node, default: str) -> str:
    """Places: int64, or int32 where asked for."""
    return "int32" if node.arguments.get("out_int32") else "int64"


def einsum(node: Node, default: str) -> str:
    """A product; of one operand a sum, if it loses an axis."""
    if len(node.inputs) > 1 or not node.inputs[0].dims:
        return of_tensors(node, default)
    reduced = len(node.outputs[0].dims) < node.inputs[0].ndim
    return counts(node, default) if reduced else node.inputs[0].dtype


# What autocast widens on the CPU by an argument ------------------------------------------------


def padded(node: Node) -> Mapping[str, str]:
    """What is repeated, and what is reflected along two axes at most."""
    mode, axes = node.arguments["mode"], len(node.arguments["pad"]) // 2
    return SINGLE_ON_CPU if mode == "replicate" or (mode == "reflect" and axes < 3) else {}


def resized(node: Node) -> Mapping[str, str]:
    """Volumes by area: adaptive_avg_pool3d takes them."""
    volume = node.inputs[0].ndim == 5
    return SINGLE_ON_CPU if volume and node.arguments["mode"] == "area" else {}
