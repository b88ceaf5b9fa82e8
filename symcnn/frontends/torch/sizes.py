"""Sizes as user code sees them: integers and quotients of integers, exact, over symbols.

A `Dim` is an int to python, a torch.SymInt to torch and its libraries, and a kernel expression to
us; a `Real` is the float that python computes from sizes, on its way to ``math.ceil`` or ``int``.

The law of a `Real`: *the number that python rounds is the quotient, or it is looked up.* Beside
the exact quotient ``num/den`` a Real remembers the float arithmetic that made it (see
`symcnn.frontends.torch.quotients`). ``h * 0.29``, which is no floor of a quotient, stays the
truncated product that it is. What remains fixes the sizes. What python asks goes to the trace.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from os.path import dirname
from types import FrameType
from typing import Any, Self

import torch

from symcnn.algebra.expr import to_sympy
from symcnn.algebra.size import SCALE_BOUND, Int, Size, exact_div, floordiv, maximum, mod
from symcnn.frontends.torch.irrational import Float, Irrational, Number, as_methods, power
from symcnn.frontends.torch.keys import KeyBook, hashing, numbers_near, numbers_written, works_out
from symcnn.frontends.torch.questions import Questions
from symcnn.frontends.torch.quotients import (
    ARITHMETIC,
    CLOSED,
    POWERS,
    RELATIONS,
    ROUNDED,
    Recipe,
    agrees_up_to,
    computed,
    folded,
    is_dyadic,
    is_exact,
    masked,
    near_fraction,
    of_one,
    of_product,
    on_domain,
    orders,
    over_positive,
    plain_quotient,
    reduced,
    sizes_of,
)
from symcnn.frontends.torch.repeated import Repeated
from symcnn.frontends.torch.stairs import of_whole
from symcnn.frontends.torch.texts import Text, is_raised, of_the_number, written
from symcnn.sets.condition import Condition
from symcnn.trace.tape import compute

_OURS = dirname(dirname(dirname(__file__)))
_book = KeyBook()


class _Ordered(Number):
    """A number of sizes of which the larger of two is one of them."""

    __array_priority__ = -1.0  # a number of numpy leaves to it what an array does not

    def extreme_of(self, values: Any, sign: int) -> Any:
        """The largest of sizes and numbers, itself among them; the smallest for ``sign=-1``."""
        return largest(values, sign=sign)

    def __sym_max__(self, other: Any) -> Any:
        return largest((self, other))

    def __sym_min__(self, other: Any) -> Any:
        return largest((self, other), sign=-1)


class Dim(_Ordered, torch.SymInt):
    """A symbolic size as user code sees it: an int, by its class and by its arithmetic.

    Comparisons are decided if the domain so far decides them; otherwise they are branches.
    Whatever needs a plain int (``range(h)``) fixes the size.
    """

    expr: Size
    tracer: Questions

    def __init__(self, expr: Size, tracer: Questions) -> None:
        own = self.__dict__
        own["expr"], own["tracer"] = expr, tracer

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"'int' object has no attribute {name!r}")

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so isinstance(h, int) holds, also in numbers and typing
        return int

    def is_int(self) -> bool:
        return True

    def maybe_as_int(self) -> None:
        """There is no number for it."""

    def is_nested_int(self) -> bool:
        return False

    real = numerator = property(lambda self: self)
    imag = property(lambda self: 0)
    denominator = property(lambda self: 1)

    def conjugate(self) -> Self:
        return self

    def as_integer_ratio(self) -> tuple[Self, int]:
        return self, 1

    def is_integer(self) -> bool:
        return True

    def _with(self, expr: Int) -> Any:
        compute(expr)
        return expr if isinstance(expr, int) else Dim(expr, self.tracer)

    def _step(self, sign: str, other: Any, *, reflected: bool = False) -> Any:
        if sign == "/":
            return self._real()._step(sign, other, reflected=reflected)
        if isinstance(other, float):
            real = self._real()
            return ARITHMETIC[sign](*((other, real) if reflected else (real, other)))
        if sign == "*" and type(other) is list:
            return Repeated(other, self)
        law = self._quotient if sign == "//" else self._left if sign == "%" else ARITHMETIC[sign]
        made = self._binary(other, (lambda a, b: law(b, a)) if reflected else law)
        return _in_narrow_floats(self, sign, other, reflected) if made is NotImplemented else made

    def _binary(self, other: Any, law: Callable[[Int, Int], Int]) -> Any:
        whole = _whole(other)
        return NotImplemented if whole is None else self._with(law(self.expr, whole))

    def _real(self) -> Real:
        return Real(self.expr, 1, self.expr, self.tracer)

    def __floordiv__(self, other: Any) -> Any:
        return self._step("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._step("//", other, reflected=True)

    def __mod__(self, other: Any) -> Any:
        return self._step("%", other)

    def __rmod__(self, other: Any) -> Any:
        return self._step("%", other, reflected=True)

    def _by(self, num: Int, den: Int) -> tuple[Int, Int]:
        """What is divided, and the number or positive size that it is divided by."""
        num, den = over_positive(num, den, self.tracer.decide)
        whole = self.tracer.ratio(num, den) if isinstance(den, Size) else None
        if whole is not None:
            return whole, 1
        den = self.tracer.divisor(den)
        return self.tracer.put_numbers(num), den

    def _quotient(self, num: Int, den: Int) -> Int:
        return floordiv(*self._by(num, den))

    def _left(self, num: Int, den: Int) -> Int:
        left = mod(*self._by(num, den))  # of a negative divisor, what is left is not positive
        return (
            left if isinstance(den, int) or self.tracer.decide(Condition(den, ">=", 1)) else -left
        )

    def __neg__(self) -> Any:
        return self._with(-self.expr)

    def __abs__(self) -> Any:
        return self._with(maximum(self.expr, -self.expr))

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        if modulo is not None:
            positive = isinstance(other, int) and other >= 0
            return self**other % modulo if positive else pow(int(self), int(other), int(modulo))
        if isinstance(other, int) and (power := int(other)) >= 0:
            return self._with(self.expr**power)
        return self._real() ** other

    def __rpow__(self, other: Any) -> Any:
        return other ** int(self)

    # bits are digits in base 2: what they select is a sum of remainders

    def __and__(self, other: Any) -> Any:
        return self._binary(other, self._and)

    def __or__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a + b - self._and(a, b))

    def __xor__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: a + b - 2 * self._and(a, b))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def _and(self, a: Int, b: Int) -> Int:
        if a == b:
            return a
        if isinstance(a, int):
            a, b = b, a
        if not isinstance(b, int):
            opposite = a + b == 0
            if opposite or a - b in (1, -1):  # the digits differ above the lowest 1, or up to it
                larger = a if a - b == 1 else b
                bit = self.tracer.lowest_bit(larger)
                if bit is not None:
                    return bit if opposite else larger - bit
            b = int(self.tracer.fix(b))
        return a - masked(a, ~b) if b < 0 else masked(a, b)

    def __invert__(self) -> Any:
        return self._with(-self.expr - 1)

    def __lshift__(self, other: Any) -> Any:
        return self * (1 << int(other))

    def __rshift__(self, other: Any) -> Any:
        return self // (1 << int(other))

    def __rlshift__(self, other: Any) -> Any:
        return other << int(self)

    def __rrshift__(self, other: Any) -> Any:
        return other >> int(self)

    def __ceil__(self) -> Any:
        return self

    __floor__ = __trunc__ = rint = __ceil__

    def __round__(self, ndigits: Any = None) -> Any:
        if ndigits is not None and ndigits < 0:
            return round(self / 10**-ndigits) * 10**-ndigits
        return self

    def _compare(self, other: Any, relation: str) -> Any:
        whole = _whole(other)
        if whole is None:
            if _is_narrow(other) and abs(other) < _NEAR:
                other = float(other)
            real = isinstance(other, (float, Fraction))
            return self._real()._compare(other, relation) if real else NotImplemented
        a, b = self.expr, whole
        if relation in ("<=", "<"):
            a, b, relation = b, a, {"<=": ">=", "<": ">"}[relation]
        if relation == ">":
            b, relation = b + 1, ">="
        return self.tracer.decide(Condition(a, relation, b))  # type: ignore[arg-type]

    def __hash__(self) -> int:
        frame = sys._getframe(1)
        if frame.f_code.co_filename.startswith(_OURS):
            return hash(self.expr)
        frame = hashing(frame)
        if works_out(frame):
            return hash(int(self))
        for key in numbers_near(frame):
            if (type(key) is not Dim or key.tracer is self.tracer) and self == key:
                return hash(key)
        for other in _book.beside(self.expr, frame):
            if other == self.expr or self.tracer.decide(Condition(self.expr, "==", other)):
                return hash(other)
        return hash(self.expr)

    def __int__(self) -> int:
        return int(self.tracer.fix(self.expr))

    __index__ = int_ = __int__

    def __float__(self) -> float:
        return float(self.tracer.fix(self.expr))

    def __format__(self, spec: str) -> str:
        return self._written(spec, sys._getframe(1))

    def _written(self, spec: str, frame: FrameType) -> str:
        code = frame.f_code
        if code.co_filename.startswith(_OURS) or is_raised(code, frame.f_lasti):
            return self.formula()
        numbers = numbers_written(frame)
        for number in numbers:
            if self == number:
                return format(number, spec)
        text = Text([(self, spec)])
        return text if numbers else written(frame, text)

    def __str__(self) -> str:
        return self._written("", sys._getframe(1))

    __repr__ = __str__

    def formula(self) -> str:
        """What it is, to people."""
        return str(self.expr)

    def of_symbols(self) -> object:
        """What it is, to sympy."""
        return to_sympy(self.expr)

    def number(self) -> int:
        """What it is, to python."""
        return int(self)

    def __reduce__(self) -> Any:
        return Dim, (self.expr, self.tracer)

    # torch's own helpers on sizes: torch.sym_max, sym_min, sym_float

    def __sym_float__(self) -> Any:
        return self._real()

    def sym_sum(self, sizes: Sequence[int]) -> object:
        """The sum of sizes: torch.sym_sum."""
        return sum(sizes)


def formula_of(value: object) -> object:
    """A size of a trace as a formula, which outlives the trace; anything else as it is."""
    if type(value) is Dim:
        return value.expr
    return value.of_symbols() if type(value) in (Real, Irrational) else value  # type: ignore[attr-defined]


def _whole(value: Any) -> Int | None:
    """A whole number of any kind as the kernel's; None if it is none."""
    if type(value) is int:
        return value
    if type(value) is Dim:
        return value.expr
    if isinstance(value, torch.Tensor) or not hasattr(type(value), "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several numbers
        return None


def _in_narrow_floats(number: Dim | Real, sign: str, other: Any, reflected: bool) -> Any:
    """What numpy computes in its floats of fewer bits, which is a number; of all else nothing."""
    if not _is_narrow(other):
        return NotImplemented
    pair = (other, number.number()) if reflected else (number.number(), other)
    return ARITHMETIC[sign](*pair)


def _is_narrow(other: Any) -> bool:
    return type(other).__module__ == "numpy" and type(other).__name__ in ("float32", "float16")


#: Beside such numbers floats of 16 bits tell whole numbers apart.
_NEAR = 1 << 10


class Real(_Ordered, Float):
    """A float that python computes from sizes: the exact quotient, and how it was computed.

    `num` and `den` are whole expressions, `recipe` the float arithmetic, `through` the quotients
    that some step of it may have rounded.
    """

    def __init__(
        self,
        num: Int,
        den: Int,
        recipe: Recipe,
        tracer: Questions,
        through: tuple[tuple[Int, Int] | None, ...] = (),
    ) -> None:
        self.num, self.den, self.recipe, self.tracer = num, den, recipe, tracer
        self.through = through

    @property
    def whole(self) -> int | None:
        """The size that it is; None of a quotient."""
        whole: int | None = self._dim(self.num) if self.den == 1 else None
        return whole

    def again(self, tracer: Questions) -> Real:
        """The same in another run."""
        return Real(self.num, self.den, self.recipe, tracer, self.through)

    def __reduce__(self) -> Any:
        # outside the trace no answer asks a node for it: the number where the run was will do
        return float, (float(computed(self.recipe, self.tracer.here)),)

    def _operand(self, other: Any) -> Real | None:
        if type(other) is Real:
            return other
        whole = _whole(other)
        if whole is not None:
            return Real(whole, 1, whole, self.tracer)
        if not isinstance(other, (float, Fraction)) or not math.isfinite(other):
            return None
        near, exact = near_fraction(float(other))
        return Real(
            near.numerator, near.denominator, float(other), self.tracer, () if exact else (None,)
        )

    def _step(self, sign: str, other: Any, *, reflected: bool = False) -> Any:
        if isinstance(other, (torch.Tensor, Irrational)):
            return NotImplemented
        operand = self._operand(other)
        if operand is None:
            if isinstance(other, (float, complex)):  # inf, nan
                pair = (other, float(self)) if reflected else (float(self), other)
                return ARITHMETIC[sign](*pair)
            return _in_narrow_floats(self, sign, other, reflected)
        a, b = (operand, self) if reflected else (self, operand)
        if sign == "/":
            if b.num == 0:
                raise ZeroDivisionError("division by zero")
            num, den = over_positive(a.num * b.den, a.den * b.num, self.tracer.decide)
        elif sign == "*":
            num, den = a.num * b.num, a.den * b.den
        else:
            num, den = ARITHMETIC[sign](a.num * b.den, b.num * a.den), a.den * b.den
        num, den = reduced(num, den)
        through = a.through + b.through
        if through or not is_dyadic(den):
            # adding a number, or doubling, keeps a rounded quotient on its side of every whole one
            alone = operand.through == () and len(self.through) == 1 and self.through[0]
            keeps = alone and not sizes_of(operand.recipe)
            keeps = keeps and (sign in "+-" or (sign == "*" and abs(operand.recipe) in POWERS))
            through = ((num, den),) if keeps else (*through, (num, den))
        return Real(num, den, folded(sign, a.recipe, b.recipe), self.tracer, through)

    def __floordiv__(self, other: Any) -> Any:
        quotient = self / other
        return NotImplemented if quotient is NotImplemented else _as_float(math.floor(quotient))

    def __rfloordiv__(self, other: Any) -> Any:
        quotient = other / self
        return _as_float(math.floor(quotient))

    def __mod__(self, other: Any) -> Any:
        return self - self // other * other

    def __rmod__(self, other: Any) -> Any:
        return other - other // self * self

    def __neg__(self) -> Any:
        return self._step("*", -1)

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, torch.Tensor):
            return NotImplemented
        if exponent == 2:
            return self * self
        return power(self, exponent)

    def root(self) -> Real | None:
        """The root of a square, which is a size."""
        whole = self.den == 1 and not self.through
        root = self.tracer.root(self.num) if whole else None
        return None if root is None else Real(root, 1, root, self.tracer)

    def __rpow__(self, base: Any) -> Any:
        return base ** self._float()

    # what it is when it is rounded

    def _ratio(self) -> tuple[Int, Int]:
        """The quotient, with floors that the domain says are exact as quotients."""
        num, den = reduced(*on_domain(self.num, self.den))
        whole = exact_div(num, den) if isinstance(den, Size) or den != 1 else num
        return (num, den) if whole is None else (whole, 1)

    def _rounding(self) -> str:
        """Whether float arithmetic rounds on the way: "no", "last" (only at its end), "yes"."""
        pending = [q is None or not is_exact(*q) for q in self.through]
        if not any(pending):
            return "no"
        return "last" if pending.index(True) == len(pending) - 1 and self.through[-1] else "yes"

    def _is(self, how: str) -> Any:
        """The whole number that floor, ceil, round or trunc make of it."""
        num, den = self._ratio()
        if self._rounding() == "yes" and (isinstance(num, Size) or isinstance(den, Size)):
            (leaf, *others) = sorted(sizes_of(self.recipe), key=str)
            recipe = of_one(self.recipe)
            quotient = None if others else plain_quotient(self.recipe, leaf)
            alike = agrees_up_to(recipe, how, quotient)
            if alike != SCALE_BOUND:
                found = None if others else of_product(recipe, leaf, how)
                if found is not None and self.tracer.decide(Condition(leaf, ">=", 0)):
                    return self._dim(found)
                if not alike or not self.tracer.decide(Condition(alike, ">=", leaf)):
                    return ROUNDED[how](self._float())
        return self._dim(CLOSED[how](num, den))

    def _dim(self, expr: Int) -> Any:
        return Dim(expr, self.tracer) if isinstance(expr, Size) else int(expr)

    def __floor__(self) -> Any:
        return self._is("floor")

    def __ceil__(self) -> Any:
        return self._is("ceil")

    def __trunc__(self) -> Any:
        return self._is("trunc")

    def __round__(self, ndigits: Any = None) -> Any:
        if ndigits == 0:
            return _as_float(self._is("round"))
        return self._is("round") if ndigits is None else round(self._float(), ndigits)

    def rint(self) -> object:
        """The nearest whole number, as numpy asks an object for it."""
        return _as_float(self._is("round"))

    def __int__(self) -> int:
        return int(self._is("trunc"))

    def _float(self) -> float:
        if self._rounding() == "yes":  # the same quotient may be another float
            return float(computed(self.recipe, self.tracer.fix))
        num, den = self._ratio()
        if isinstance(num, int) and isinstance(den, int):  # such as 0/h
            return num / den
        return self.tracer.rounded(num, den, lambda at: float(computed(self.recipe, at)))

    __float__ = _float

    def gap(self, other: object) -> Int:
        """``self - other`` times whatever makes it an integer expression with its sign."""
        operand = self._operand(other)
        assert operand is not None
        return self.num * operand.den - operand.num * self.den

    def _compare(self, other: Any, relation: str) -> Any:
        if isinstance(other, (torch.Tensor, Irrational)):
            return NotImplemented
        operand = self._operand(other)
        if operand is None:
            if isinstance(other, float):  # inf, nan
                return RELATIONS[relation](0.0, other)
            return NotImplemented
        # a correctly rounded quotient is on the side of a float on which the quotient is
        leaves = sizes_of(self.recipe) | sizes_of(operand.recipe)
        rounds = "yes" in [r._rounding() for r in (self, operand) if sizes_of(r.recipe)]
        if rounds and leaves and not orders(self.recipe, operand.recipe, relation):
            return RELATIONS[relation](self._float(), operand._float())
        gap = self.gap(operand)
        if relation in ("<=", "<"):
            gap, relation = -gap, {"<=": ">=", "<": ">"}[relation]
        if relation == ">":
            gap, relation = gap - 1, ">="
        return self.tracer.decide(Condition(gap, relation, 0))  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return hash((self.num, self.den))

    def is_integer(self) -> bool:
        """Whether the quotient is whole, as float.is_integer."""
        return bool(self == self._is("floor"))

    def of_symbols(self) -> object:
        """What it is, to sympy."""
        return to_sympy(self.num) / to_sympy(self.den)

    def formula(self) -> str:
        """What it is, to people."""
        return f"{self.num}" if self.den == 1 else f"({self.num})/({self.den})"

    def number(self) -> float:
        """What it is, to python."""
        return self._float()


Dim.bit_length = of_whole(int.bit_length)
for _kind, _names in ((Dim, ("bit_count", "to_bytes")), (Real, ("hex", "as_integer_ratio"))):
    for _name in _names:
        setattr(_kind, _name, of_the_number(_name))
as_methods(Dim, Real, Irrational)

# What python's messages call them.
Dim.__name__, Real.__name__, Irrational.__name__ = "int", "float", "float"

#: What python computes from sizes.
SIZES = frozenset({Dim, Real, Irrational})


def hold_sizes(values: Iterable[object]) -> bool:
    """Whether values are, or hold, sizes of a trace."""
    return any(hold_sizes(v) if isinstance(v, (tuple, list)) else type(v) in SIZES for v in values)


def _as_float(value: Any) -> Any:
    return value._real() if type(value) is Dim else float(value)


def largest(values: Any, *, sign: int = 1) -> Any:
    """The largest of sizes and numbers (the smallest for ``sign=-1``): a size itself.

    None where it is none, as of whole numbers and quotients by sizes.
    """
    whole = [_whole(v) for v in values]
    tracer = next((v.tracer for v in values if type(v) in (Dim, Real)), None)
    if tracer is None:
        return None
    if None not in whole:
        expr = maximum(*(w * sign for w in whole if w is not None)) * sign
        return Dim(expr, tracer) if isinstance(expr, Size) else expr
    reals = [Real(0, 1, 0, tracer)._operand(v) for v in values]
    if any(r is None or r.through or not isinstance(r.den, int) for r in reals):
        return None
    dens = [r.den for r in reals if r is not None and isinstance(r.den, int)]
    common = math.lcm(*dens)
    nums = [r.num * (common // d) * sign for r, d in zip(reals, dens, strict=True) if r is not None]
    num, den = reduced(maximum(*nums) * sign, common)
    if not is_dyadic(den):
        return None
    return Real(num, den, ("/", num, den), tracer)
