"""Sizes as user code sees them: integers and quotients of integers, exact, over symbols.

A `Dim` is a torch.SymInt to torch and its libraries and a kernel expression to us; a `Real` is a
quotient of sizes on its way to ``math.ceil``. What python asks of them goes to the trace.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import torch

from symcnn.algebra.size import Int, Size, ceildiv, floordiv, mod, prod
from symcnn.sets.condition import Condition

__all__ = ["Dim", "Real", "Sizes"]


class Questions(Protocol):
    """What a size asks of the trace that it belongs to."""

    def decide(self, condition: Condition) -> bool:
        """Whether it holds: by the domain, or on the branch that is followed."""

    def fix(self, expr: Any) -> Any:
        """The value at the example, for python code that takes plain numbers only."""


class Dim(torch.SymInt):
    """A symbolic size as user code sees it: arithmetic like an int's, exact.

    Comparisons are decided if the domain so far decides them; otherwise they are taken as at the
    example sizes and recorded as guards. So is whatever needs a plain int (``range(h)``).
    """

    def __init__(self, expr: Size, tracer: Questions) -> None:
        self.expr = expr
        self.tracer = tracer

    @property
    def node(self) -> Any:  # what torch's C++ side asks; it only ever reaches the example value
        return self

    def is_int(self) -> bool:
        return True

    def is_symbolic(self) -> bool:
        return True

    def is_nested_int(self) -> bool:
        return False

    def _with(self, expr: Int) -> Any:
        return expr if isinstance(expr, int) else Dim(expr, self.tracer)

    def _binary(self, other: Any, operation: Callable[[Int, Int], Int]) -> Any:
        if isinstance(other, Dim):
            return self._with(operation(self.expr, other.expr))
        if isinstance(other, int):
            return self._with(operation(self.expr, int(other)))
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        if isinstance(other, float):
            return Real(self.expr, self.tracer) + other
        return self._binary(other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, float):
            return Real(self.expr, self.tracer) - other
        return self._binary(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        if isinstance(other, float):
            return other - Real(self.expr, self.tracer)
        return self._binary(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, float):
            return Real(self.expr, self.tracer) * other
        return self._binary(other, lambda a, b: a * b)

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(other, floordiv)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: floordiv(b, a))

    def __mod__(self, other: Any) -> Any:
        return self._binary(other, mod)

    def __rmod__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: mod(b, a))

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __neg__(self) -> Any:
        return self._with(-self.expr)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __truediv__(self, other: Any) -> Any:
        return Real(self.expr, self.tracer).__truediv__(other)

    def __rtruediv__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr, self.tracer).__rtruediv__(other)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and other >= 0:
            return self._with(self.expr**other)
        return float(self) ** other

    def __ceil__(self) -> Any:
        return self

    __floor__ = __trunc__ = __ceil__

    def __round__(self, ndigits: Any = None) -> Any:
        return self

    def _compare(self, other: Any, make: Callable[[Int, Int], Condition]) -> Any:
        if isinstance(other, Dim):
            return self.tracer.decide(make(self.expr, other.expr))
        if isinstance(other, int):
            return self.tracer.decide(make(self.expr, int(other)))
        return NotImplemented

    def __eq__(self, other: Any) -> Any:
        return self._compare(other, lambda a, b: Condition(a, "==", b))

    def __ne__(self, other: Any) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __ge__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) >= other
        return self._compare(other, lambda a, b: Condition(a, ">=", b))

    def __gt__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) > other
        return self._compare(other, lambda a, b: Condition(a, ">=", b + 1))

    def __le__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) <= other
        return self._compare(other, lambda a, b: Condition(b, ">=", a))

    def __lt__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) < other
        return self._compare(other, lambda a, b: Condition(b, ">=", a + 1))

    def __hash__(self) -> int:
        return hash(self.expr)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __int__(self) -> int:
        return int(self.tracer.fix(self.expr))

    __index__ = int_ = __int__

    def __float__(self) -> float:
        return float(self.tracer.fix(self.expr))

    def __str__(self) -> str:
        return str(self.expr)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> Any:
        return Dim, (self.expr, self.tracer)

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class Real(torch.SymFloat):
    """A quotient of sizes on its way to ``math.ceil`` or ``math.floor``: exact, never a float."""

    def __init__(self, expr: Any, tracer: Questions) -> None:
        self.expr = expr  # a Size with Fraction coefficients, an int or a Fraction
        self.tracer = tracer

    @property
    def node(self) -> Any:
        return self

    def is_symbolic(self) -> bool:
        return True

    def is_int(self) -> bool:
        return False

    def is_float(self) -> bool:
        return True

    def _operand(self, other: Any) -> Any:
        if isinstance(other, (Real, Dim)):
            return other.expr
        return Fraction(other) if isinstance(other, float) else int(other)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr * self._operand(other), self.tracer)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr + self._operand(other), self.tracer)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr - self._operand(other), self.tracer)

    def __rsub__(self, other: Any) -> Any:
        return Real(self._operand(other) - self.expr, self.tracer)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        den = self._operand(other)
        if isinstance(den, Size):
            from symcnn.algebra.size import exact_or_fail

            try:
                return Real(self.expr * exact_or_fail(1, den), self.tracer)
            except ValueError:
                return float(self) / float(other)
        return Real(self.expr * (1 / Fraction(den)), self.tracer)

    def __rtruediv__(self, other: Any) -> Any:
        return Real(self._operand(other), self.tracer) / self

    def __neg__(self) -> Any:
        return Real(-self.expr, self.tracer)

    def __floor__(self) -> Any:
        return self._whole(
            floordiv(self.expr, 1) if isinstance(self.expr, Size) else self.expr // 1
        )

    def __ceil__(self) -> Any:
        return self._whole(
            ceildiv(self.expr, 1) if isinstance(self.expr, Size) else -(-self.expr // 1)
        )

    def _whole(self, expr: Any) -> Any:
        return Dim(expr, self.tracer) if isinstance(expr, Size) else int(expr)

    def __float__(self) -> float:
        return float(self.tracer.fix(self.expr))

    def __trunc__(self) -> Any:
        return self.__floor__() if self >= 0 else self.__ceil__()

    def __int__(self) -> int:
        return int(self.__trunc__())

    def __round__(self, ndigits: Any = None) -> Any:
        return round(float(self), ndigits)

    def __pow__(self, power: Any) -> Any:
        return float(self) ** power

    def _gap(self, other: Any) -> Int:
        """``self - other`` times whatever makes it an integer expression."""
        gap = self.expr - self._operand(other)
        if not isinstance(gap, Size):
            return int(gap > 0) - int(gap < 0)
        below = {
            atom: max(-p for mono in gap.terms for a, p in mono if a == atom)
            for atom in {a for mono in gap.terms for a, p in mono if p < 0}
        }
        if all((atom.low or 0) > 0 for atom in below):  # a size: the sign stays
            gap = gap * prod(atom.size() ** power for atom, power in below.items())
        if not isinstance(gap, Size):
            return int(gap > 0) - int(gap < 0)
        scale = prod(Fraction(c).denominator for c in gap.terms.values())
        return gap * scale

    def __ge__(self, other: Any) -> bool:
        return self.tracer.decide(Condition(self._gap(other), ">=", 0))

    def __gt__(self, other: Any) -> bool:
        return self.tracer.decide(Condition(self._gap(other), ">=", 1))

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __lt__(self, other: Any) -> bool:
        return not self >= other

    def __eq__(self, other: object) -> bool:
        return self.tracer.decide(Condition(self._gap(other), "==", 0))

    __hash__ = None

    def is_integer(self) -> bool:
        """Whether the quotient is whole, as float.is_integer."""
        whole = self.__floor__()
        return bool(self == whole)

    def __repr__(self) -> str:
        return str(self.expr)


class Sizes(tuple[Any, ...]):
    """The shape of a traced tensor: a tuple of ints and `Dim`s, with torch.Size's methods."""

    __slots__ = ()

    def numel(self) -> Any:
        """The number of elements."""
        total: Any = 1
        for size in self:
            total = total * size
        return total

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Sizes(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        return Sizes((*self, *other))
