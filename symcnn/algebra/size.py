"""Integer expressions: what a size is while a network is being traced.

The idea: a size is a polynomial over *atoms* (symbols, floor divisions, maxima), with the
**floor normal form** applied when a floor is built (n, m > 0, f integer-valued)::

    floor((n*q + e)/n)          = q + floor(e/n)
    floor((g*e + c)/(g*n))      = floor((e + floor(c/g))/n)
    floor((floor(e/m) + f)/n)   = floor((e + m*f)/(m*n))
    floor(-e/n)                 = -floor((e + n - 1)/n)
    e - floor(e/2)              = floor((e + 1)/2)

so a chain of fifty strided layers has one floor, not fifty, and equal sizes are nearly always
equal objects. Constant results are plain ``int``: concrete networks have concrete shapes.

This is the kernel under `symcnn.algebra.expr` (its sympy face). It knows neither sympy nor torch
and costs a few microseconds per operation, where building one ``sympy.floor`` costs two thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import cycle, product
from math import gcd, lcm
from typing import Any, Union

from symcnn.errors import InvalidInput, SymcnnError

__all__ = [
    "Atom",
    "Floor",
    "Int",
    "Max",
    "Part",
    "Power",
    "Scaled",
    "Size",
    "Sum",
    "Symbol",
    "ceildiv",
    "evaluate",
    "exact_div",
    "exact_or_fail",
    "floordiv",
    "is_whole",
    "lower",
    "lows",
    "maximum",
    "minimum",
    "mod",
    "power",
    "prod",
    "scaled",
    "sharp_lower",
    "sole_atom",
    "spelling",
    "symbols_of",
    "unfolded",
    "upper",
]

Coeff = Union[int, Fraction]
Int = Union[int, "Size"]
Bound = Union[int, None]


class Atom:
    """A factor that the polynomial arithmetic does not look into."""

    __slots__ = ("_hash", "high", "integer", "key", "low")

    key: str  # orders atoms, the same in every process; also how the atom prints
    low: Bound  # a lower bound, None if unknown
    high: Bound
    integer: bool
    _hash: int

    def __hash__(self) -> int:
        return self._hash

    def at(self, values: Mapping[str, int]) -> Coeff:
        raise NotImplementedError

    def subs(self, values: Mapping[str, Int]) -> Int:
        raise NotImplementedError

    @property
    def args(self) -> tuple[Int, ...]:
        return ()

    def size(self) -> Size:
        """The expression that is just this atom."""
        return Size({((self, 1),): 1})


class Symbol(Atom):
    """A named unknown. `payload` is what it stands for outside (a sympy expression), if special."""

    __slots__ = ("name", "payload")

    def __init__(
        self, name: str, low: Bound = 1, *, integer: bool = True, payload: object = None
    ) -> None:
        self.name = self.key = name
        self.low, self.high, self.integer, self.payload = low, None, integer, payload
        self._hash = hash((name, low, payload))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Symbol
            and self.name == other.name
            and self.low == other.low
            and self.payload == other.payload
        )

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> int:
        return values[self.name]

    def subs(self, values: Mapping[str, Int]) -> Int:
        return values[self.name] if self.name in values else self.size()

    def __reduce__(self) -> Any:
        return _load_symbol, (self.name, self.low, self.integer, self.payload)


def _load_symbol(name: str, low: Bound, integer: bool, payload: object) -> Symbol:
    return Symbol(name, low, integer=integer, payload=payload)


class Part(Atom):
    """The whole number q for which ``name = of*q + rest``: what makes a symbol odd, or a multiple.

    An odd k *is* ``2*q + 1``, so k - 1 halves without a floor; printed, q is (k - 1)/2 again.
    """

    __slots__ = ("name", "of", "payload", "rest")

    def __init__(
        self, name: str, of: Coeff, rest: int = 0, low: Bound = 0, *, payload: object = None
    ) -> None:
        self.name, self.of, self.rest, self.payload = name, of, rest, payload
        self.low, self.high, self.integer = low, None, True
        self.key = f"{name}|{of}|{rest}"
        self._hash = hash((Part, name, of, rest, low, payload))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Part
            and self.key == other.key
            and self.low == other.low
            and self.payload == other.payload
        )

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> Coeff:
        q = Fraction(values[self.name] - self.rest) / self.of
        if q.denominator != 1:
            rest = f" + {self.rest}" if self.rest else ""
            raise InvalidInput(
                f"{self.name}={values[self.name]} is not of the form {self.of}*q{rest}",
                cure=f"{self.name} was declared so",
            )
        return q.numerator

    def subs(self, values: Mapping[str, Int]) -> Int:
        if self.name not in values:
            return self.size()
        value = values[self.name]
        if isinstance(value, (int, Fraction)):
            return int(self.at({self.name: value}))
        return exact_or_fail((value - self.rest) * self.of.denominator, self.of.numerator)

    @property
    def shown(self) -> Int:
        """The same in the symbol itself: ``k/2 - 1/2``."""
        symbol = Symbol(self.name, payload=self.payload).size()
        return exact_or_fail((symbol - self.rest) * self.of.denominator, self.of.numerator)

    def __reduce__(self) -> Any:
        return _load_part, (self.name, self.of, self.rest, self.low, self.payload)


def _load_part(name: str, of: Coeff, rest: int, low: Bound, payload: object) -> Part:
    return Part(name, of, rest, low, payload=payload)


class Power(Atom):
    """``base**exponent`` for an exponent with symbols. Build it with `power`, never directly."""

    __slots__ = ("base", "exponent")

    def __init__(self, base: Int, exponent: Size) -> None:
        self.base, self.exponent, self.high = base, exponent, None
        self.integer = True
        self.key = f"{_operand(base)}**{_operand(exponent)}"
        self._hash = hash((Power, base, exponent))
        b, e = lower(base), lower(exponent)
        self.low = b**e if b is not None and b > 0 and e is not None and e >= 0 else None

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Power and self.base == other.base and self.exponent == other.exponent
        )

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> Coeff:
        base, exponent = evaluate(self.base, values), self.exponent.at(values)
        value: int = base ** abs(exponent)
        return value if exponent >= 0 else Fraction(1, value)

    def subs(self, values: Mapping[str, Int]) -> Int:
        base = self.base if isinstance(self.base, int) else self.base.subs(values)
        return power(base, self.exponent.subs(values))

    @property
    def args(self) -> tuple[Int, ...]:
        return (self.base, self.exponent)

    def __reduce__(self) -> Any:
        return Power, (self.base, self.exponent)


class Sum(Atom):
    """The sum of `term` over ``0 <= index < count``. Build it with
    `symcnn.algebra.series.summation`.

    It stays where there is no closed form, and evaluates exactly at numbers.
    """

    __slots__ = ("count", "index", "term")

    def __init__(self, term: Size, index: str, count: Int) -> None:
        self.term, self.index, self.count, self.high = term, index, count, None
        self.integer = True
        self.key = f"sum({term}, {index} < {count})"
        if (r := self.ratio) is not None:
            self.key = f"(({_operand(r)}**{_operand(count)} - 1)/({r} - 1))"
        self._hash = hash((Sum, self.key))
        low, least = lower(term), lower(count)
        self.low = 0 if low is not None and low >= 0 else None
        if self.low == 0 and low and least and least > 0:
            self.low = low * least

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Sum
            and self.index == other.index
            and self.count == other.count
            and self.term == other.term
        )

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> Coeff:
        count = evaluate(self.count, values)
        return _collapse(sum(self.term.at({**values, self.index: i}) for i in range(count)))

    def subs(self, values: Mapping[str, Int]) -> Int:
        inner = {name: value for name, value in values.items() if name != self.index}
        taken = symbols_of(*inner.values())
        if self.index in taken:  # what is put in speaks of another index of this name
            fresh = self.index
            while fresh in taken | symbols_of(self.term):
                fresh += "_"
            term = self.term.subs({self.index: Symbol(fresh, 0).size()})
            assert isinstance(term, Size)
            return Sum(term, fresh, self.count).subs(values)
        count = self.count if isinstance(self.count, int) else self.count.subs(values)
        term = self.term.subs(inner)
        if isinstance(count, int):
            return sum(
                (
                    term if isinstance(term, int) else term.subs({self.index: i})
                    for i in range(count)
                ),
                0,
            )
        if isinstance(term, int):
            return term * count
        return Sum(term, self.index, count).size()

    @property
    def ratio(self) -> Size | None:
        """r, if the sum is ``1 + r + r**2 + ...`` for an r with symbols."""
        return _ratio(self.term, self.index)

    @property
    def args(self) -> tuple[Int, ...]:
        return (self.term, self.count)

    def __reduce__(self) -> Any:
        return Sum, (self.term, self.index, self.count)


def _ratio(term: Size, index: str) -> Size | None:
    i = Symbol(index, 0).size()
    ratio: Int = 1
    if len(term.terms) != 1:
        return None
    ((mono, coeff),) = term.terms.items()
    if coeff != 1:
        return None
    for atom, times in mono:
        if not isinstance(atom, Power) or times < 1:
            return None
        step = exact_div(atom.exponent, i)
        if step is None or index in symbols_of(step, atom.base):
            return None
        ratio = ratio * power(atom.base, step * times)
    return ratio if isinstance(ratio, Size) else None


class Floor(Atom):
    """``floor(num/den)`` in normal form. Build it with `floordiv`, never directly."""

    __slots__ = ("den", "num")

    def __init__(self, num: Size, den: Int) -> None:
        self.num, self.den, self.integer = num, den, True
        self.key = f"{_operand(num)}//{_divisor(den)}"
        self._hash = hash((Floor, num, den))
        self.low = self.high = None
        if type(den) is int:
            low, high = lower(num), upper(num)
            self.low = None if low is None else low // den
            self.high = None if high is None else high // den
        elif (low := lower(num)) is not None and low >= 0:
            self.low = 0

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Floor
            and self._hash == other._hash
            and self.den == other.den
            and self.num == other.num
        )

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> Coeff:
        return self.num.at(values) // evaluate(self.den, values)

    def subs(self, values: Mapping[str, Int]) -> Int:
        den = self.den if isinstance(self.den, int) else self.den.subs(values)
        return floordiv(self.num.subs(values), den)

    @property
    def args(self) -> tuple[Int, ...]:
        return (self.num, self.den)

    def __reduce__(self) -> Any:
        return Floor, (self.num, self.den)


class Max(Atom):
    """The largest of `args`. Build it with `maximum`; ``min(a, b)`` is ``-max(-a, -b)``."""

    __slots__ = ("_args",)

    def __init__(self, args: tuple[Int, ...]) -> None:
        self._args, self.integer = args, True
        self.key = f"max({', '.join(map(str, args))})"
        self._hash = hash((Max, args))
        lows = [low for a in args if (low := lower(a)) is not None]
        highs = [upper(a) for a in args]
        self.low = max(lows) if lows else None
        self.high = None if None in highs else max(h for h in highs if h is not None)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Max and self._args == other._args)

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> Coeff:
        return max(evaluate(a, values) for a in self._args)

    def subs(self, values: Mapping[str, Int]) -> Int:
        return maximum(*(a if isinstance(a, int) else a.subs(values) for a in self._args))

    @property
    def args(self) -> tuple[Int, ...]:
        return self._args

    def __reduce__(self) -> Any:
        return Max, (self._args,)


class Scaled(Atom):
    """``trunc(double(arg) * scale)`` in IEEE double, as torch's interpolate computes sizes."""

    __slots__ = ("arg", "scale")

    def __init__(self, arg: Size, scale: float) -> None:
        self.arg, self.scale, self.integer = arg, scale, True
        self.key = f"trunc({arg}*{scale!r})"
        self._hash = hash((Scaled, arg, scale))
        low, high = lower(arg), upper(arg)  # monotone, so bounds map to bounds
        self.low = None if low is None else int(low * scale)
        self.high = None if high is None else int(high * scale)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Scaled and self.scale == other.scale and self.arg == other.arg
        )

    __hash__ = Atom.__hash__

    def at(self, values: Mapping[str, int]) -> Coeff:
        return int(self.arg.at(values) * self.scale)

    def subs(self, values: Mapping[str, Int]) -> Int:
        return scaled(self.arg.subs(values), self.scale)

    @property
    def args(self) -> tuple[Int, ...]:
        return (self.arg,)

    def __reduce__(self) -> Any:
        return Scaled, (self.arg, self.scale)


Monomial = tuple[tuple[Atom, int], ...]  # (atom, power) pairs, ordered by atom key


class Size:
    """A polynomial over atoms, immutable and hashable. ``==`` is equality of normal forms.

    >>> H = Size.symbol("H")
    >>> ((H - 1)//2 + 1 - 1)//2 + 1
    (H + 3)//4
    >>> H - H + 7
    7
    """

    __slots__ = ("_hash", "_text", "terms")

    def __init__(self, terms: dict[Monomial, Coeff]) -> None:
        self.terms = terms  # no zero coefficients; read only
        self._hash: int | None = None
        self._text: str | None = None

    @staticmethod
    def symbol(name: str) -> Size:
        """The positive integer unknown called `name`."""
        return Symbol(name).size()

    @property
    def const(self) -> Coeff:
        """The constant term."""
        return self.terms.get((), 0)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Size and self.terms == other.terms)

    def __add__(self, other: Int | Fraction) -> Int:
        if type(other) is Size:
            if len(self.terms) < len(other.terms):
                self, other = other, self
            terms = self.terms.copy()
            for mono, coeff in other.terms.items():
                total = terms.get(mono, 0) + coeff
                if total:
                    terms[mono] = total
                else:
                    del terms[mono]
            return _size(terms)
        if not isinstance(other, (int, Fraction)):
            return NotImplemented
        if other == 0:
            return self
        terms = self.terms.copy()
        total = terms.get((), 0) + other
        if total:
            terms[()] = total
        else:
            del terms[()]
        return Size(terms)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return Size({mono: -coeff for mono, coeff in self.terms.items()})

    def __sub__(self, other: Int | Fraction) -> Int:
        return self + -other

    def __rsub__(self, other: Int | Fraction) -> Int:
        return -self + other

    def __mul__(self, other: Int | Fraction) -> Int:
        if type(other) is Size:
            terms: dict[Monomial, Coeff] = {}
            for a, x in self.terms.items():
                for b, y in other.terms.items():
                    mono = _times(a, b)
                    terms[mono] = terms.get(mono, 0) + x * y
            return _size({mono: coeff for mono, coeff in terms.items() if coeff})
        if not isinstance(other, (int, Fraction)):
            return NotImplemented
        if other == 0:
            return 0
        if other == 1:
            return self
        return _size({mono: coeff * other for mono, coeff in self.terms.items()})

    __rmul__ = __mul__

    def __pow__(self, power: int) -> Int:
        if type(power) is not int:
            return NotImplemented
        if power < 0:
            return exact_or_fail(1, self**-power)
        return prod([self] * power)

    def __floordiv__(self, other: Int) -> Int:
        return floordiv(self, other)

    def __rfloordiv__(self, other: int) -> Int:
        return floordiv(other, self)

    def __mod__(self, other: Int) -> Int:
        return mod(self, other)

    def __rmod__(self, other: int) -> Int:
        return mod(other, self)

    def at(self, values: Mapping[str, int]) -> int:
        """The value at `values`: an int (a Fraction only where coefficients are fractions)."""
        total: Coeff = 0
        for mono, coeff in self.terms.items():
            for atom, power in mono:
                if power < 0:
                    coeff = Fraction(coeff) / atom.at(values) ** -power
                else:
                    coeff = coeff * atom.at(values) ** power
            total += coeff
        return total if type(total) is int else _collapse(total)  # type: ignore[return-value]

    def subs(self, values: Mapping[str, Int]) -> Int:
        """The expression with symbols replaced, in normal form again."""
        return self.map(lambda atom: atom.subs(values))

    def map(self, function: Callable[[Atom], Int]) -> Int:
        """The expression with each atom of its polynomial replaced by what `function` makes of it.

        >>> (Size.symbol("H") * (Size.symbol("W")//2)).map(lambda atom: atom.size() + 1)
        H*(W//2) + H + W//2 + 1
        """
        total: Int = 0
        for mono, coeff in self.terms.items():
            term: Any = coeff
            for atom, power in mono:
                term = term * _power(function(atom), power)
            total = total + term
        return total

    def atoms(self) -> Iterator[Atom]:
        """The atoms of this polynomial (not those inside its floors)."""
        seen = set()
        for mono in self.terms:
            for atom, _ in mono:
                if atom not in seen:
                    seen.add(atom)
                    yield atom

    def linear(self) -> Iterator[tuple[Atom | None, Coeff]]:
        """(atom, coefficient) pairs, None for the constant; ValueError when not linear."""
        for mono, coeff in self.terms.items():
            if not mono:
                yield None, coeff
            elif len(mono) == 1 and mono[0][1] == 1:
                yield mono[0][0], coeff
            else:
                raise ValueError(f"{self} is not linear")

    def ordered(self) -> list[tuple[Monomial, Coeff]]:
        """Terms from the highest degree down, then by name: the order of reading."""
        return sorted(self.terms.items(), key=_reading_order)

    def __str__(self) -> str:
        if self._text is None:
            self._text = _text(self)
        return self._text

    __repr__ = __str__

    def __reduce__(self) -> Any:
        return Size, (self.terms,)


def _collapse(value: Coeff) -> Coeff:
    return int(value) if value.denominator == 1 else value


def _size(terms: dict[Monomial, Coeff]) -> Int:
    """A Size, or an int when nothing but an integer constant is left."""
    for mono, coeff in terms.items():
        if type(coeff) is not int:
            terms[mono] = _collapse(coeff)
    if not terms:
        return 0
    if len(terms) == 1 and type(only := terms.get(())) is int:
        return only
    return Size(terms)


@lru_cache(maxsize=8192)
def _times(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(((x, p) for x, p in powers.items() if p), key=lambda xp: xp[0].key))


def _power(base: Int, power: int) -> Any:
    if power >= 0 or isinstance(base, Size):
        return base**power
    return Fraction(1, base**-power)


def _reading_order(term: tuple[Monomial, Coeff]) -> tuple[int, list[str]]:
    """Graded lexicographic: also an admissible order for polynomial division."""
    mono = term[0]
    if len(mono) == 1 and mono[0][1] == 1:
        return -1, [mono[0][0].key]
    return -sum(p for _, p in mono), [a.key for a, p in mono for _ in range(p)]


def _is_integer(mono: Monomial) -> bool:
    return all(atom.integer and power > 0 for atom, power in mono)


# Arithmetic ----------------------------------------------------------------------------------


def prod(factors: Iterable[Int]) -> Int:
    """The product; 1 for none."""
    result: Int = 1
    for factor in factors:
        result = result * factor
    return result


def power(base: Int, exponent: Int) -> Int:
    """``base**exponent`` in powers of primes and symbols: ``6**(n + 1)`` is ``6*2**n*3**n``.

    Raises ValueError for a base that may be 0 or negative under an exponent with symbols.

    >>> n, s = Size.symbol("n"), Size.symbol("s")
    >>> power(4, n + 1), power(2 * s, n), power(2, n) * power(2, -n)
    (4*2**(2*n), 2**n*s**n, 1)
    """
    if isinstance(exponent, int):
        if isinstance(base, int):
            return base**exponent if exponent >= 0 else exact_or_fail(1, base**-exponent)
        return base**exponent
    if base == 1:
        return 1
    if isinstance(base, int):
        if base < 1:
            raise ValueError(f"({base})**({exponent}) is not a power of a positive number")
        return prod(_prime_power(p, e, exponent) for p, e in _primes(base))
    if len(base.terms) == 1:
        ((mono, coeff),) = base.terms.items()
        whole = power(coeff.numerator, exponent)
        if coeff.denominator != 1:
            whole = whole * power(coeff.denominator, -exponent)
        for atom, times in mono:
            if isinstance(atom, Power):
                whole = whole * power(atom.base, atom.exponent * exponent * times)
            else:
                whole = whole * _prime_power(atom.size(), times, exponent)
        return whole
    return _prime_power(base, 1, exponent)


def _prime_power(base: Int, times: int, exponent: Size) -> Int:
    """``base**(times*exponent)``, one factor per term of the exponent."""
    result: Int = 1
    odd: Int = 0  # terms with fractions, such as n*n/2 - n/2, are whole only together
    for mono, coeff in (exponent * times).terms.items():  # type: ignore[union-attr]
        if type(coeff) is not int:
            odd = odd + Size({mono: coeff})
        elif not mono:
            result = result * power(base, coeff)
        else:
            atom = Power(base, Size({mono: 1}))
            result = result * Size({((atom, coeff),): 1})
    return result * Power(base, odd).size() if isinstance(odd, Size) else result


@lru_cache(maxsize=256)
def _primes(number: int) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    p = 2
    while number > 1:
        if p * p > number:
            p = number
        while number % p == 0:
            found[p] = found.get(p, 0) + 1
            number //= p
        p += 1
    return tuple(found.items())


def floordiv(num: Int, den: Int) -> Int:
    """``floor(num/den)`` in normal form.

    Raises ZeroDivisionError for a constant zero `den`.

    >>> H = Size.symbol("H")
    >>> floordiv(floordiv(H + 1, 2) + 1, 2), floordiv(6*H + 7, 3), -floordiv(-H, 2)
    ((H + 3)//4, 2*H + 2, (H + 1)//2)
    """
    if type(num) is int and type(den) is int:
        return num // den
    if type(den) is int:
        return _floordiv(num, den)
    return _floordiv_symbolic(num, den)


@lru_cache(maxsize=8192)
def _floordiv(num: Int, den: int) -> Int:
    if den == 0:
        raise ZeroDivisionError(f"({num})//0")
    if den < 0:
        num, den = -num, -den
    num, scale = _clear_fractions(num)
    den *= scale
    if isinstance(num, int):
        return num // den

    # q + floor(e/n): take out whole multiples, towards zero so that no sign is made up
    whole: dict[Monomial, Coeff] = {}
    rest: dict[Monomial, int] = {}
    integer = True
    for mono, c in num.terms.items():
        assert isinstance(c, int)
        if not mono:
            q, r = divmod(c, den)
        elif _is_integer(mono):
            q = abs(c) // den * (1 if c > 0 else -1)
            r = c - q * den
        else:
            q, r, integer = 0, c, False
        if q:
            whole[mono] = q
        if r:
            rest[mono] = r
    const = rest.pop((), 0)
    if not rest:  # 0 <= const < den
        return _halves(_size(whole))
    if not integer:
        return Floor(_with_const(rest, const), den).size() + _size(whole)

    # the common factor of numerator and denominator; the constant is floored
    g = gcd(den, *rest.values())
    rest = {mono: c // g for mono, c in rest.items()}
    const, den = const // g, den // g

    # one sign per floor: the first term, in reading order, is positive
    sign = 1
    if min(rest.items(), key=_reading_order)[1] < 0:
        sign, const = -1, den - 1 - const
        rest = {mono: -c for mono, c in rest.items()}

    return _nested(_with_const(rest, const), den) * sign + _size(whole)


def _halves(expr: Any) -> Int:
    """``e - floor(e/2) = floor((e + 1)/2)``, as of a size that is padded to be even, and halved."""
    for mono, c in expr.terms.items() if isinstance(expr, Size) and len(expr.terms) > 1 else ():
        atom, power = mono[0] if len(mono) == 1 else (None, 0)
        if c >= 0 or power != 1 or not isinstance(atom, Floor) or type(atom.den) is not int:
            continue
        half = _floordiv(atom.num, atom.den // 2) if atom.den % 2 == 0 else 0
        if isinstance(half, Size) and all(
            expr.terms.get(m) == -c * times for m, times in half.terms.items() if m
        ):
            rest = expr + c * half - c * atom.size()
            return _halves(rest - c * _floordiv(atom.num + atom.den // 2, atom.den))
    found: Int = expr
    return found


def _with_const(terms: dict[Monomial, int], const: int) -> Size:
    return Size({**terms, (): const} if const else dict(terms))


def _nested(num: Size, den: Int) -> Int:
    """``floor((floor(e/m) + f)/n) = floor((e + m*f)/(m*n))``, or the floor as it stands.

    Applied when exactly one floor stands in `num`, with coefficient 1.
    """
    if den == 1:
        return num
    inner = None
    for mono, coeff in num.terms.items():
        if any(isinstance(atom, Floor) for atom, _ in mono):
            if inner is not None or coeff != 1 or len(mono) != 1 or mono[0][1] != 1:
                return Floor(num, den).size()
            inner = mono[0][0]
    if not isinstance(inner, Floor) or not _positive(inner.den) or not _positive(den):
        return Floor(num, den).size()
    return floordiv(inner.num + inner.den * (num - inner.size()), inner.den * den)


def _positive(expr: Int) -> bool:
    low = lower(expr)
    return low is not None and low > 0


def _clear_fractions(expr: Int) -> tuple[Int, int]:
    """`expr` times the least `scale` that makes its coefficients integers, and `scale`."""
    if isinstance(expr, int):
        return expr, 1
    scale = lcm(*(c.denominator for c in expr.terms.values()))
    return expr * scale, scale


def _floordiv_symbolic(num: Int, den: Int) -> Int:
    """``floor(num/den)`` for a denominator with symbols: terms it divides come out whole."""
    num, a = _clear_fractions(num)
    den, b = _clear_fractions(den)
    num, den = num * b, den * a
    if isinstance(den, int):
        return floordiv(num, den)
    whole: Int = 0
    rest: Int = 0
    for mono, coeff in num.terms.items() if isinstance(num, Size) else (((), num),):
        term = _size({mono: coeff})
        q = exact_div(term, den) if term else 0
        if q is None:
            rest = rest + term
        else:
            whole = whole + q
    if rest != 0 and (q := exact_div(rest, den)) is not None:  # (H*s + s + H + 1)//(s + 1)
        return whole + q
    if isinstance(rest, int):
        low = lower(den)
        if rest == 0 or (low is not None and -low <= rest < low):
            return whole - (rest < 0)
        return whole + Floor(Size({(): rest}), den).size()
    if not _integer_valued(rest):
        return whole + Floor(rest, den).size()
    return whole + _nested(rest, den)


def _integer_valued(value: Int) -> bool:
    return isinstance(value, int) or all(
        type(c) is int and _is_integer(m) for m, c in value.terms.items()
    )


def ceildiv(num: Int, den: Int) -> Int:
    """``ceil(num/den)``, in the same normal form: ``-floor(-num/den)``."""
    return -floordiv(-num, den)


def mod(num: Int, den: Int) -> Int:
    """``num - den*floor(num/den)``: python's ``%``."""
    return num - den * floordiv(num, den)


@lru_cache(maxsize=4096, typed=True)
def maximum(*args: Int) -> Int:
    """The largest of `args`; arguments that another one always beats are dropped.

    Pairwise comparisons are dear, and layer after layer substitutes into the same few: remembered.
    """
    every = [a for arg in args for a in _sole_max(arg)]
    tried = _tried(every) if len(every) > _FEW else {}

    def covers(a: Int, b: Int) -> bool:
        values = zip(tried.get(a, ()), tried.get(b, ()), strict=True)
        return all(x >= y for x, y in values) and _never_below(a, b)

    kept: list[Int] = []
    for a in every:
        if not any(covers(b, a) for b in kept):
            kept = [b for b in kept if not covers(a, b)] + [a]
    if len(kept) == 1:
        return kept[0]
    return Max(tuple(sorted(kept, key=lambda a: (isinstance(a, int), str(a))))).size()


_FEW = 8  # arguments of a maximum that are compared without trying numbers first
_OFFSETS = (0, 1, 30, 1000)  # how far sizes that are tried lie above the least


def _tried(exprs: Sequence[Int]) -> dict[Int, list[Any]]:
    """The values of many expressions at a few sizes: one of two that is less there is not above."""
    least = sorted((name, low or 0) for name, low in lows(*exprs))
    points = [{name: low + far for name, low in least} for far in _OFFSETS]
    for i in range(len(_OFFSETS)):
        turned = _OFFSETS[i:] + _OFFSETS[:i]
        points.append(
            {name: low + far for (name, low), far in zip(least, cycle(turned), strict=False)}
        )
    try:
        return {e: [evaluate(e, point) for point in points] for e in exprs}
    except (KeyError, ArithmeticError, ValueError, SymcnnError):  # of symbols that are more
        return {}


def _never_below(a: Int, b: Int) -> bool:
    """Whether ``a >= b`` for all sizes, at a glance."""
    low = sharp_lower(a - b)
    if low is not None and low >= 0:
        return True
    if len(least := _sole_max(-b)) > 1:  # b is min(...)
        return any(_never_below(a, -arg) for arg in least)
    if len(least := _sole_max(-a)) > 1:
        return all(_never_below(-arg, b) for arg in least)
    return False


def _sole_max(arg: Int) -> tuple[Int, ...]:
    """The arguments of a maximum; anything else is its own only argument."""
    atom = sole_atom(arg)
    return atom.args if isinstance(atom, Max) else (arg,)


def sole_atom(expr: Int) -> Atom | None:
    """The atom that `expr` is, if it is one (coefficient 1, nothing added)."""
    if isinstance(expr, Size) and len(expr.terms) == 1:
        ((mono, coeff),) = expr.terms.items()
        if coeff == 1 and len(mono) == 1 and mono[0][1] == 1:
            return mono[0][0]
    return None


def minimum(*args: Int) -> Int:
    """The smallest of `args`: ``-maximum(-a, -b, ...)``."""
    return -maximum(*(-a for a in args))


#: Sizes up to this bound are checked before a float scale is rewritten as a floor.
SCALE_BOUND = 1 << 16


def scaled(arg: Int, scale: float) -> Int:
    """``trunc(double(arg) * scale)``; a floor when that is right for every size to `SCALE_BOUND`.

    >>> H = Size.symbol("H")
    >>> scaled(H, 2.0), scaled(H, 0.5), scaled(100, 0.29), scaled(H, 0.29)
    (2*H, H//2, 28, trunc(H*0.29))
    """
    if type(arg) is int:
        return int(float(arg) * scale)
    assert isinstance(arg, Size)
    ratio = _as_ratio(scale)
    if ratio is None:
        return Scaled(arg, scale).size()
    return floordiv(arg * ratio.numerator, ratio.denominator)


@lru_cache(maxsize=256)
def _as_ratio(scale: float) -> Fraction | None:
    """p/q with ``trunc(x*scale) == x*p//q`` for all 0 <= x <= SCALE_BOUND, or None.

    A power-of-two denominator is exact in double; others are tried at every size.
    """
    exact = Fraction(scale)
    if exact.denominator <= 64:
        return exact
    near = exact.limit_denominator(64)
    p, q = near.numerator, near.denominator
    same = all(int(x * scale) == x * p // q for x in range(SCALE_BOUND + 1))
    return near if same else None


def exact_div(num: Int, den: Int) -> Int | None:
    """``num/den`` if it is a polynomial, else None (by multivariate long division).

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> exact_div(H*W + W, H + 1), exact_div(6*H, 4), exact_div(6*H, 3)
    (W, None, 2*H)
    """
    if type(num) is int and type(den) is int:
        return num // den if den and num % den == 0 else None
    if isinstance(den, int):
        assert isinstance(num, Size)
        if den and all((c / Fraction(den)).denominator == 1 for c in num.terms.values()):
            return num * Fraction(1, den)
        return None
    if num == 0:
        return 0
    lead, lead_coeff = den.ordered()[0]
    quotient: Int = 0
    while num != 0:
        mono, coeff = num.ordered()[0] if isinstance(num, Size) else ((), num)
        ratio = Fraction(coeff) / lead_coeff
        mono = _times(mono, tuple((a, -p) for a, p in lead))
        if ratio.denominator != 1 or any(p < 0 for _, p in mono):
            return None
        term = _size({mono: int(ratio)})
        quotient, num = quotient + term, num - term * den
    return quotient


def exact_or_fail(num: Int, den: Int) -> Int:
    """``num/den`` with symbols allowed below the line (``C*C/groups``), as a Laurent polynomial.

    Raises ValueError when `den` has several terms and does not divide `num`.
    """
    whole = exact_div(num, den)
    if whole is not None:
        return whole
    if isinstance(den, int):
        return num * Fraction(1, den) if isinstance(num, Size) else Size({(): Fraction(num, den)})
    if len(den.terms) != 1:
        raise ValueError(f"({num})/({den}) is not a polynomial")
    ((mono, coeff),) = den.terms.items()
    inverse = Size({tuple((a, -p) for a, p in mono): _collapse(Fraction(1) / coeff)})
    return inverse * num


# Questions -----------------------------------------------------------------------------------


def evaluate(expr: Int, values: Mapping[str, int]) -> int:
    """The value of an int or Size at `values`; KeyError names a symbol that is missing."""
    return expr if isinstance(expr, int) else expr.at(values)


def symbols_of(*exprs: Int) -> frozenset[str]:
    """Names of all symbols in `exprs`, also inside floors."""
    names: set[str] = set()
    stack = list(exprs)
    while stack:
        expr = stack.pop()
        if isinstance(expr, Size):
            for atom in expr.atoms():
                if isinstance(atom, (Symbol, Part)):
                    names.add(atom.name)
                elif isinstance(atom, Sum):
                    names |= symbols_of(atom.term) - {atom.index}
                    stack.append(atom.count)
                else:
                    stack.extend(atom.args)
    return frozenset(names)


def every_atom(*exprs: Int) -> Iterator[Atom]:
    """Each atom in `exprs` once, also those inside floors, powers and sums."""
    seen: set[Atom] = set()
    stack = list(exprs)
    while stack:
        expr = stack.pop()
        for atom in set(expr.atoms()) - seen if isinstance(expr, Size) else ():
            seen.add(atom)
            stack.extend(atom.args)
            yield atom


def lows(*exprs: Int) -> set[tuple[str, Bound]]:
    """The declared lower bound of each symbol in `exprs`, also inside floors."""
    return {(atom.name, atom.low) for atom in every_atom(*exprs) if isinstance(atom, Symbol)}


def spelling(*exprs: Int) -> dict[str, Int]:
    """Symbols that are more than a positive whole number, by name: what each is in `exprs`.

    >>> n, k = Symbol("n", low=0), Part("k", of=2, rest=1)
    >>> spelling(power(2, n.size()) * (2 * k.size() + 1) * Size.symbol("H"))
    {'k': k, 'n': n}
    """
    found: dict[str, Int] = {}
    for atom in every_atom(*exprs):
        if isinstance(atom, Symbol) and atom.low != 1:
            found[atom.name] = atom.size()
        elif isinstance(atom, Part):
            found[atom.name] = atom.size() * atom.of + atom.rest
    return {name: found[name] for name in sorted(found)}


def lower(expr: Int) -> Bound:
    """A lower bound that holds for all sizes (None: none found). Never wrong, seldom tight."""
    if not isinstance(expr, Size):  # a number, of ratios a fraction
        return expr
    total: Coeff = 0
    for mono, coeff in expr.terms.items():
        bound = _mono_bound(mono, coeff > 0)
        if bound is None:
            return None
        total += coeff * bound
    return -(-total // 1)  # integer-valued, so the bound rounds up


def upper(expr: Int) -> Bound:
    """An upper bound that holds for all sizes (None: none found)."""
    if isinstance(expr, int):
        return expr
    low = lower(-expr)
    return None if low is None else -low


@lru_cache(maxsize=4096, typed=True)
def sharp_lower(expr: Int) -> Bound:
    """A tighter lower bound than `lower`: a floor differs from its ratio by less than 1, so equal
    slopes cancel.

    >>> H = Size.symbol("H")
    >>> lower(H - 2*(H//2)), sharp_lower(H - 2*(H//2)), sharp_lower(2*(H//2) - H)
    (None, 0, -1)
    """
    if (low := lower(expr)) is not None or isinstance(expr, int):
        return low
    for mono, coeff in expr.terms.items():
        for atom, power in mono:
            if power != 1 or isinstance(atom, (Symbol, Scaled)):
                continue
            if any(a.low is None or a.low < 0 or p < 1 for a, p in mono if a is not atom):
                continue
            rest = expr - Size({mono: coeff})
            factor = _size({tuple(ap for ap in mono if ap[0] is not atom): coeff})
            if isinstance(atom, Max):
                bounds = [sharp_lower(rest + factor * a) for a in atom.args]
                known = [b for b in bounds if b is not None]
                if coeff > 0:
                    return max(known, default=None)
                return min(known) if len(known) == len(bounds) else None
            if isinstance(atom, Floor) and type(atom.den) is int:
                slack = atom.den - 1 if coeff > 0 else 0
                ratio: Any = (atom.num - slack) * Fraction(1, atom.den)
                return sharp_lower(rest + factor * ratio)
    return None


def _mono_bound(mono: Monomial, want_low: bool) -> Bound:
    if len(mono) == 1 and mono[0][1] == 1:
        return mono[0][0].low if want_low else mono[0][0].high
    bound = 1
    for atom, power in mono:
        one = atom.low if want_low else atom.high
        if power < 0 or atom.low is None or atom.low < 0 or one is None:
            return None
        bound *= one**power
    return bound


def is_whole(expr: Int) -> bool:
    """Whether `expr` is a whole number for all values of its symbols, as ``n*(n - 1)/2`` is.

    A polynomial of degree d is, if it is at d + 1 values in a row of each atom. What has symbols
    below the line, or powers such as ``2**n/2``, is taken to be.
    """
    if isinstance(expr, int) or all(type(c) is int for c in expr.terms.values()):
        return True
    atoms = list(expr.atoms())
    if any(isinstance(atom, (Power, Sum)) for atom in atoms):
        return True
    if any(power < 0 for mono in expr.terms for _, power in mono):
        return True
    degree = max(sum(power for _, power in mono) for mono in expr.terms)
    for point in product(range(degree + 1), repeat=len(atoms)):
        at = dict(zip(atoms, point, strict=True))
        total = sum(
            coeff * Fraction(math.prod(at[atom] ** power for atom, power in mono))
            for mono, coeff in expr.terms.items()
        )
        if Fraction(total).denominator != 1:
            return False
    return True


# Text ----------------------------------------------------------------------------------------


def _text(expr: Size) -> str:
    """Plain text. A lone floor takes its constant in where that is shorter: ``(H - 31)//32``."""
    whole = unfolded(expr)
    if whole is not expr:
        return str(whole)
    terms, const = [(m, c) for m, c in expr.ordered() if m], expr.const
    floor = sole_atom(expr - const)
    if isinstance(floor, Floor) and type(const) is int and type(floor.den) is int:
        taken = f"{_operand(floor.num + floor.den * const)}//{_operand(floor.den)}"
        if not const or len(taken) <= len(f"{floor.key} + {abs(const)}"):
            return taken
    last = [("-" if const < 0 else "+", str(abs(const)))] if const or not terms else []
    pieces = [*(_term(mono, coeff) for mono, coeff in terms), *last]
    (sign, first), *others = pieces
    if sign == "-":
        bare = terms and terms[0][1] == -1 and sole_atom(Size({terms[0][0]: 1}))
        first = f"-({first})" if isinstance(bare, Floor) else f"-{first}"
    return " ".join([first, *(f"{sign} {body}" for sign, body in others)])


def unfolded(expr: Size) -> Int:
    """The expression with every `Part` written in its symbol: ``k`` for ``2*q + 1``."""
    if not any(isinstance(atom, Part) for atom in expr.atoms()):
        return expr
    return expr.map(lambda atom: atom.shown if isinstance(atom, Part) else atom.size())


def _term(mono: Monomial, coeff: Coeff) -> tuple[str, str]:
    """Sign and body of one term: ("-", "2*C*(H//2)/g")."""
    if len(mono) == 1 and mono[0][1] == 1 and abs(coeff) == 1:
        atom = mono[0][0]
        if isinstance(atom, Max) and coeff == -1:
            return "+", f"min({', '.join(str(-a) for a in atom.args)})"
        return "-" if coeff < 0 else "+", atom.key
    size = abs(Fraction(coeff))
    mono = tuple(sorted(mono, key=lambda ap: _spoken_order(ap[0])))
    above = [_factor(a, p) for a, p in mono if p > 0]
    below = [_factor(a, -p) for a, p in mono if p < 0]
    if size.numerator != 1 or not above:
        above.insert(0, str(size.numerator))
    if size.denominator != 1:
        below.insert(0, str(size.denominator))
    body = "*".join(above)
    if below:
        body += f"/{below[0]}" if len(below) == 1 else f"/({'*'.join(below)})"
    return "-" if coeff < 0 else "+", body


def _spoken_order(atom: Atom) -> tuple[int, str]:
    """Batch first, channels next, then the axes: ``N*C*H*W``."""
    return {"N": 0, "B": 0, "C": 1}.get(atom.key, 2), atom.key.lstrip("(")


def _factor(atom: Atom, power: int) -> str:
    if isinstance(atom, Power):
        return f"{_operand(atom.base)}**{_operand(atom.exponent * power)}"
    text = f"({atom.key})" if isinstance(atom, Floor) else atom.key
    return text if power == 1 else f"{text}**{power}"


def _divisor(expr: Int) -> str:
    atom = sole_atom(expr)
    return atom.key if isinstance(atom, Power) else _operand(expr)


def _operand(expr: Int) -> str:
    text = str(expr)
    return text if isinstance(expr, int) or text.isidentifier() else f"({text})"
