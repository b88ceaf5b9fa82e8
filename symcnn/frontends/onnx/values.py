"""What flows along the edges of a graph: tensors with a shape, and tables of sizes with values.

The law: *a shape tensor is its values.* A tensor that is made from sizes, ``Shape`` of a map or a
``Concat`` of such, carries its elements: whole numbers, `Size` formulas, or conditions where it
holds truth values. An operator on such tensors is the same arithmetic on the elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from symcnn.algebra.size import Int, Size, is_whole, lower, maximum, minimum, truncdiv
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import Constant, Dims, SymbolicTensor
from symcnn.trace.tape import entails

if TYPE_CHECKING:
    from onnx import TypeProto

#: Of numbers, or of objects where formulas are among them.
Array: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[Any]]"


#: Numpy's (and torch's) name of each TensorProto.DataType.
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64",
    15: "complex128", 16: "bfloat16",
}  # fmt: skip
_NUMBERS = {name: number for number, name in _DTYPES.items()}


def dtype_of(kind: int) -> str:
    """The name of a TensorProto.DataType, "" for those of less than a byte and of text."""
    return _DTYPES.get(kind, "")


class Unknown(Exception):
    """The elements of a result are not known."""


class Value:
    """One tensor of a graph: its elements if they are known, and what flows if they are not."""

    __slots__ = ("_tensor", "content", "dtype", "name")

    def __init__(
        self,
        tensor: SymbolicTensor | None = None,
        content: Array | None = None,
        *,
        dtype: str = "",
        name: str = "",
    ) -> None:
        self._tensor = tensor
        self.content = content
        self.dtype = dtype  # by numpy's name, "" where it is not known
        self.name = name

    @property
    def dims(self) -> Dims:
        """The shape."""
        if self._tensor is not None:
            return self._tensor.dims
        assert self.content is not None
        return self.content.shape

    @property
    def tensor(self) -> SymbolicTensor:
        """As a tensor of the trace; elements that are known are a constant of it."""
        if self._tensor is None:
            assert self.content is not None
            self._tensor = Constant(self.content.shape, self.name, dtype=self.dtype)
            self._tensor.boolean = self.dtype == "bool"
        return self._tensor

    def set_dtype(self) -> None:
        """The tensor has the type that the standard says; float32 is the network's own."""
        if self._tensor is not None and self.dtype:
            self._tensor.dtype = "" if self.dtype == "float32" else self.dtype

    def write(self, kind: TypeProto.Tensor) -> None:
        """Its sizes into a type of the standard's, and its dtype where that has none."""
        kind.elem_type = kind.elem_type or _NUMBERS.get(self.dtype, 1)
        del kind.shape.dim[:]
        kind.shape.SetInParent()
        for size in self.dims:
            dim = kind.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            else:
                dim.dim_param = str(size)

    def __repr__(self) -> str:
        known = "" if self.content is None else f" = {self.content.tolist()}"
        return f"Value({self.name or '?'}: {list(self.dims)} {self.dtype}{known})"


class Truth:
    """A comparison of sizes that the domain leaves open: it holds iff `requirement` does."""

    __slots__ = ("negated", "requirement")

    def __init__(self, requirement: Requirement, negated: Requirement) -> None:
        self.requirement, self.negated = requirement, negated

    def __invert__(self) -> Truth:
        return Truth(self.negated, self.requirement)


#: An element that is known.
Element = Union[bool, int, float, Fraction, Size, Truth]


def array_of(values: object) -> Array:
    """Nested elements as an array: of whole numbers, or of objects if formulas are among them."""
    table = np.array(values, dtype=object)
    if all(type(v) is int for v in table.flat):
        return table.astype(np.int64) if all(abs(v) < 1 << 63 for v in table.flat) else table
    if all(type(v) is bool for v in table.flat):
        return table.astype(bool)
    if all(type(v) in (int, float) for v in table.flat):
        return table.astype(np.float64)
    return table


def unknown(*_: Element) -> Element:
    """A result that formulas do not have."""
    raise Unknown


def whole(value: Element) -> Int:
    """An element as a size. Raises Unknown unless it is known to be a whole number."""
    if isinstance(value, Size):
        if not is_whole(value):
            raise Unknown
        return value
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        raise Unknown
    if isinstance(value, Truth) or int(value) != value:
        raise Unknown
    return int(value)


def _exact(value: Any) -> Any:
    """An element as python's own number: sizes calculate with whole numbers and fractions."""
    if isinstance(value, (Size, Truth)):
        return value
    if isinstance(value, (float, np.floating)):
        if value != value or abs(value) == float("inf"):
            raise Unknown
        ratio = Fraction(float(value))
        if ratio.denominator > 64:  # a factor such as 0.29 rounds, and a formula does not
            raise Unknown
        return int(ratio) if ratio.denominator == 1 else ratio
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return value if isinstance(value, Fraction) else int(value)


def pointwise(function: Callable[..., Element], *arrays: Array) -> Array:
    """A function of elements over arrays that broadcast. Raises Unknown where it does."""
    given = [np.frompyfunc(_exact, 1, 1)(a) for a in arrays]
    return array_of(np.frompyfunc(function, len(arrays), 1)(*given))


def _decided(relation: Any, lhs: Int, rhs: Int, negated: Callable[[], Requirement]) -> bool | Truth:
    condition = Condition(lhs, relation, rhs, "a branch of the graph")
    verdict = entails(condition)
    return Truth(condition, negated()) if verdict is None else verdict


def at_least(a: Element, b: Element) -> bool | Truth:
    """``a >= b`` of whole numbers: a truth value, or a condition that the domain leaves open."""
    why = "a branch of the graph"
    x, y = whole(a), whole(b)
    return _decided(">=", x, y, lambda: Condition(y, ">=", x + 1, why))


def equal(a: Element, b: Element) -> bool | Truth:
    """``a == b``, likewise."""
    if isinstance(a, bool) and isinstance(b, bool):
        return a == b
    x, y = whole(a), whole(b)
    why = "a branch of the graph"
    unequal = (Condition(x, ">=", y + 1, why), Condition(y, ">=", x + 1, why))
    return _decided("==", x, y, lambda: AnyOf(unequal, why))


def negation(a: Element) -> bool | Truth:
    """``not a``."""
    return ~a if isinstance(a, Truth) else not a


def conjunction(a: bool | Truth, b: bool | Truth) -> bool | Truth:
    """``a and b``, where one of them decides."""
    if a is False or b is False:
        return False
    if a is True or b is True:
        return b if a is True else a
    raise Unknown


def disjunction(a: bool | Truth, b: bool | Truth) -> bool | Truth:
    """``a or b``, likewise."""
    return negation(conjunction(negation(a), negation(b)))


def chosen(condition: bool | Truth, a: Element, b: Element) -> Element:
    """``a if condition else b``; open where it matters."""
    if a == b or condition is True:
        return a
    if condition is False:
        return b
    raise Unknown


def known_to_be_at_least(a: int | float | Fraction | Size, bound: int) -> bool:
    """Whether the sizes so far make `a` at least `bound`."""
    if isinstance(a, Size):
        low = lower(a)
        return (low is not None and low >= bound) or entails(Condition(a, ">=", bound)) is True
    return bool(a >= bound)


def quotient(a: Int, b: Int) -> Int:
    """``a / b`` of whole numbers, towards zero."""
    if b == 0:
        raise Unknown
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if not known_to_be_at_least(b, 1):
        raise Unknown
    return a // b if known_to_be_at_least(a, 0) else truncdiv(a, b)


def ratio(a: int | Fraction | Size, b: Element) -> Element:
    """``a / b`` of floats, as long as the fraction is a small one: rounding changes no floor."""
    if not isinstance(b, (int, Fraction)) or b == 0:
        raise Unknown
    factor = 1 / Fraction(b)
    if factor.denominator > 64:
        raise Unknown
    return _plain(a * factor)


def _plain(value: int | Fraction | Size) -> int | Fraction | Size:
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def floor(a: float | Fraction | Size) -> float | Fraction | Size:
    """The largest whole number that is not above `a`."""
    return a // 1 if isinstance(a, (Fraction, Size)) else a


def largest(*args: Element) -> Int:
    """The maximum of whole numbers."""
    return maximum(*map(whole, args))


def smallest(*args: Element) -> Int:
    """The minimum of whole numbers."""
    return minimum(*map(whole, args))


def sequence(values: Sequence[Int]) -> Array:
    """Sizes as a vector, also where there are none."""
    return array_of(list(values)) if len(values) else np.zeros(0, np.int64)
