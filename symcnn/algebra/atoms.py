"""The atoms: floors, maxima, powers, sums, float scales, and what a declared symbol is made of.

An atom is never built by hand: the function of the same name in `symcnn.algebra.size` finds the
normal form, in which an atom may be left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

from symcnn.algebra.polynomial import (
    FUNCTIONS,
    Atom,
    Bound,
    Coeff,
    Int,
    Size,
    Symbol,
    collapsed,
    evaluate,
    exact_div,
    exact_or_fail,
    gathered,
    is_integer,
    lower,
    operand,
    product_operand,
    sole_atom,
    upper,
)
from symcnn.errors import InvalidInput, Undecidable


class Part(Atom):
    """The whole number q for which ``name = of*q + rest``: what makes a symbol odd, or a multiple.

    An odd k *is* ``2*q + 1``, so k - 1 halves without a floor; printed, q is (k - 1)/2 again.
    """

    __slots__ = ("name", "of", "payload", "rest")

    def __init__(
        self, name: str, of: Coeff, rest: int = 0, low: Bound = 0, payload: object = None
    ) -> None:
        self.name, self.of, self.rest, self.payload = name, of, rest, payload
        self.low, self.high, self.integer = low, None, True
        self.key = f"{name}|{of}|{rest}"
        self.parts = (name, of, rest, low, payload)
        self._hash = hash((Part, self.parts))

    @property
    def args(self) -> tuple[Int, ...]:
        return ()

    def at(self, values: Mapping[str, int]) -> Coeff:
        q = Fraction(values[self.name] - self.rest) / self.of
        if q.denominator != 1:
            rest = f" + {self.rest}" if self.rest else ""
            raise InvalidInput(
                f"{self.name}={values[self.name]} is not of the form {self.of}*q{rest}",
                cure=f"{self.name} was declared so",
            )
        return q.numerator

    def subs(self, values: Mapping[str, Int]) -> Int | None:
        if self.name not in values:
            return None
        value = values[self.name]
        if isinstance(value, (int, Fraction)):
            return int(self.at({self.name: value}))
        return exact_or_fail((value - self.rest) * self.of.denominator, self.of.numerator)

    @property
    def shown(self) -> Int:
        """The same in the symbol itself: ``k/2 - 1/2``."""
        symbol = Symbol(self.name, payload=self.payload).size()
        return exact_or_fail((symbol - self.rest) * self.of.denominator, self.of.numerator)


class Power(Atom):
    """``base**exponent`` for an exponent with symbols. Build it with `power`, never directly."""

    __slots__ = ("base", "exponent")
    function = "power"

    def __init__(self, base: Int, exponent: Size) -> None:
        self.base, self.exponent, self.high = base, exponent, None
        self.integer = True
        self.key = f"{operand(base)}**{operand(exponent)}"
        self.parts = (base, exponent)
        self._hash = hash((Power, base, exponent))
        b, e = lower(base), lower(exponent)
        self.low = b**e if b is not None and b > 0 and e is not None and e >= 0 else None

    def at(self, values: Mapping[str, int]) -> Coeff:
        base, exponent = evaluate(self.base, values), self.exponent.at(values)
        value: int = base ** abs(exponent)
        return value if exponent >= 0 else Fraction(1, value)

    def factor(self, power: int) -> str:
        return f"{operand(self.base)}**{operand(self.exponent * power)}"


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
            self.key = f"(({operand(r)}**{operand(count)} - 1)/({r} - 1))"
        self.parts = (term, index, count)
        self._hash = hash((Sum, self.key))
        low, least = lower(term), lower(count)
        self.low = 0 if low is not None and low >= 0 else None
        if self.low == 0 and low and least and least > 0:
            self.low = low * least

    def at(self, values: Mapping[str, int]) -> Coeff:
        count = evaluate(self.count, values)
        return collapsed(sum(self.term.at({**values, self.index: i}) for i in range(count)))

    def subs(self, values: Mapping[str, Int]) -> Int | None:
        if symbols_of(self.size()).isdisjoint(values):
            return None
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
        ratio = ratio * FUNCTIONS["power"](atom.base, step * times)
    return ratio if isinstance(ratio, Size) else None


#: So many characters a floor may take to write.
_LONGEST = 1 << 16


class Floor(Atom):
    """``floor(num/den)`` in normal form. Build it with `floordiv`, never directly."""

    __slots__ = ("_read", "den", "num")
    function = "floordiv"

    def __init__(self, num: Size, den: Int) -> None:
        self.num, self.den, self.integer = num, den, True
        self._read = gathered(num)
        power = isinstance(sole_atom(den), Power)
        self.key = f"{operand(self._read)}//{den if power else operand(den)}"
        if len(self.key) > _LONGEST:  # each in the next one twice, they are twice as long each time
            raise Undecidable(
                f"floors in one another, of more than {_LONGEST:,} characters",
                cure='give the size a number where the shape is said: "N 3 224 W"',
            )
        self.parts = (num, den)
        self._hash = hash((Floor, num, den))
        self.low = self.high = None
        if type(den) is int:
            low, high = lower(num), upper(num)
            self.low = None if low is None else low // den
            self.high = None if high is None else high // den
        elif (least := lower(den)) is not None and least >= 0:
            low, high = lower(num), upper(num)
            self.low = 0 if low is not None and low >= 0 else None
            self.high = -1 if high is not None and high < 0 else None

    def at(self, values: Mapping[str, int]) -> Coeff:
        return evaluate(self._read, values) // evaluate(self.den, values)

    def plus(self, const: int) -> str | None:
        """``(H - 31)//32`` for ``(H + 1)//32 - 1``, where that is no longer."""
        if type(self.den) is not int:
            return None
        taken = f"{operand(self.num + self.den * const)}//{self.den}"
        return taken if not const or len(taken) <= len(f"{self.key} + {abs(const)}") else None

    def around(self, whole: Size, times: Coeff) -> Size | None:
        return _around(self, whole, times) if self._nested else None

    @property
    def _nested(self) -> bool:
        """Whether floors stand in it, beside others."""
        return len(self.num.terms) > 1 and any(type(a) is Floor for a in self.num.atoms())

    def factor(self, power: int) -> str:
        return f"({self.key})" if power == 1 else f"({self.key})**{power}"


@lru_cache(maxsize=4096)
def _around(floor: Floor, whole: Size, times: Coeff) -> Size | None:
    """``a*y + floor((b*y + c)/n) = floor(((a*n + b)*y + c)/n)``, of a y with floors."""
    inner, n = floor.num - floor.num.const, floor.den
    beside = (whole - whole.const) * (1 / Fraction(times)) - floor.size()
    if type(n) is not int or not isinstance(inner, Size) or not isinstance(beside, Size):
        return None
    mono, coeff = next(iter(inner.terms.items()))
    ratio = Fraction(beside.terms.get(mono, 0)) / coeff
    if ratio <= 0 or beside != inner * ratio:
        return None
    if any(type(c) is not int or not is_integer(m) for m, c in beside.terms.items()):
        return None
    num = gathered(floor.num + beside * n)
    found = times * Floor(num, n).size() + whole.const if isinstance(num, Size) else None
    return found if isinstance(found, Size) else None


class _Point(dict[str, int]):
    """Sizes at which maxima are worked out, and what they are there."""

    def __init__(self, values: Mapping[str, int]) -> None:
        super().__init__(values)
        self.known: dict[Max, Coeff] = {}


class Max(Atom):
    """The largest of `args`. Build it with `maximum`; ``min(a, b)`` is ``-max(-a, -b)``."""

    __slots__ = ()
    function = "maximum"

    def __init__(self, *args: Int) -> None:
        self.parts, self.integer = args, True
        self.key = f"max({', '.join(map(str, args))})"
        self._hash = hash((Max, args))
        lows = [low for a in args if (low := lower(a)) is not None]
        highs = [upper(a) for a in args]
        self.low = max(lows) if lows else None
        self.high = None if None in highs else max(h for h in highs if h is not None)

    def at(self, values: Mapping[str, int]) -> Coeff:
        point = values if type(values) is _Point else _Point(values)
        if self not in point.known:  # one within another stands there twice, and so on
            point.known[self] = max(evaluate(a, point) for a in self.parts)
        return point.known[self]

    @property
    def negated(self) -> str | None:
        return _negated(self)


@lru_cache(maxsize=4096)
def _negated(atom: Max) -> str:
    """Maxima stand in one another, and each text has the other in it."""
    return f"min({', '.join(str(-a) for a in atom.args)})"


class Scaled(Atom):
    """``trunc(double(arg) * scale)`` in IEEE double, as torch's interpolate computes sizes."""

    __slots__ = ("arg", "scale")

    def __init__(self, arg: Size, scale: float) -> None:
        self.arg, self.scale, self.integer = arg, scale, True
        self.key = f"trunc({product_operand(arg)}*{scale!r})"
        self.parts = (arg, scale)
        self._hash = hash((Scaled, arg, scale))
        low, high = lower(arg), upper(arg)  # monotone, so bounds map to bounds
        self.low = None if low is None else int(low * scale)
        self.high = None if high is None else int(high * scale)

    def at(self, values: Mapping[str, int]) -> Coeff:
        return int(self.arg.at(values) * self.scale)

    @property
    def args(self) -> tuple[Int, ...]:
        return (self.arg,)

    def subs(self, values: Mapping[str, Int]) -> Int | None:
        arg = self.arg.subs(values)
        return None if arg is self.arg else FUNCTIONS["scaled"](arg, self.scale)


# Questions -----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def symbols_of(*exprs: Int) -> frozenset[str]:
    """Names of all symbols in `exprs`, also inside floors. The same are asked again and again."""
    names: set[str] = set()
    seen: set[int] = set()  # a part that stands in several places is looked at once
    stack = list(exprs)
    while stack:
        expr = stack.pop()
        if isinstance(expr, Size) and id(expr) not in seen:
            seen.add(id(expr))
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
    """Each atom in `exprs` once, also those inside floors, powers and sums; in the order of the
    terms, which is the same in every process.
    """
    seen: set[Atom] = set()
    stack = list(exprs)
    while stack:
        expr = stack.pop()
        for atom in expr.atoms() if isinstance(expr, Size) else ():
            if atom not in seen:
                seen.add(atom)
                stack.extend(atom.args)
                yield atom


def longest(expr: Int) -> int:
    """The bits of the longest number in an expression.

    >>> longest(Size.symbol("H") * 8 + 1), longest(1023)
    (4, 10)
    """
    parts = [expr, *(arg for atom in every_atom(expr) for arg in atom.args)]
    numbers = (n for e in parts for n in (e.terms.values() if isinstance(e, Size) else (e,)))
    return max(
        (max(n.numerator.bit_length(), n.denominator.bit_length()) for n in numbers), default=0
    )


def lows(*exprs: Int) -> set[tuple[str, Bound]]:
    """The declared lower bound of each symbol in `exprs`, also inside floors."""
    return {low for expr in exprs if isinstance(expr, Size) for low in _lows(expr)}


@lru_cache(maxsize=4096)
def _lows(expr: Size) -> frozenset[tuple[str, Bound]]:
    return frozenset((a.name, a.low) for a in every_atom(expr) if isinstance(a, Symbol))


def spelling(*exprs: Int) -> dict[str, Int]:
    """Symbols that are more than a positive whole number, by name: what each is in `exprs`.

    >>> n, k = Symbol("n", low=0), Part("k", of=2, rest=1)
    >>> spelling(Power(2, n.size()).size() * (2 * k.size() + 1) * Size.symbol("H"))
    {'k': k, 'n': n}
    """
    found: dict[str, Int] = {}
    for atom in every_atom(*exprs):
        if isinstance(atom, Symbol) and atom.low != 1:
            found[atom.name] = atom.size()
        elif isinstance(atom, Part):
            found[atom.name] = atom.size() * atom.of + atom.rest
    return {name: found[name] for name in sorted(found)}
