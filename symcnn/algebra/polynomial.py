"""Polynomials over atoms: the arithmetic of sizes, which does not look into an atom.

The law: an *atom* is a function symbol with arguments, ``floor(H, 2)`` or ``max(H, W)``, and a size
is a polynomial over atoms. What an atom is worth at numbers, its bounds and its text are the atom's
own (`symcnn.algebra.atoms`); what a function makes of arguments, in normal form, is the table
`FUNCTIONS`, which `symcnn.algebra.size` fills.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import starmap
from math import lcm
from operator import is_
from typing import Any, ClassVar, Union

Coeff = Union[int, Fraction]
Int = Union[int, "Size"]
Bound = Union[int, None]

#: What functions make of their arguments, in normal form, by name.
FUNCTIONS: dict[str, Callable[..., Int]] = {}


class _Values(dict[str, "Int"]):
    """What symbols are replaced by, and what became of the atoms so far: many stand in many."""

    def __init__(self, values: Mapping[str, Int]) -> None:
        super().__init__(values)
        self.done: dict[Atom, Int | None] = {}


class Atom:
    """A function symbol with arguments: a factor that the polynomial arithmetic does not look into.

    `parts` are all that it is made of: atoms of one class with equal parts are equal, and a new one
    is made of them. `args` are those of the parts that are expressions.
    """

    __slots__ = ("_hash", "high", "integer", "key", "low", "parts")

    #: Its name in `FUNCTIONS`.
    function: ClassVar[str] = ""
    key: str  # orders atoms, the same in every process; also how the atom prints
    low: Bound  # a lower bound, None if unknown
    high: Bound
    integer: bool
    parts: tuple[Any, ...]
    _hash: int

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self) or self._hash != other._hash or self.parts != other.parts:
            return False
        other.parts = self.parts  # equal parts that stand in many atoms are compared once
        return True

    def __reduce__(self) -> Any:
        return type(self), self.parts

    @property
    def args(self) -> tuple[Int, ...]:
        """The expressions in it."""
        return self.parts

    def at(self, values: Mapping[str, int]) -> Coeff:
        """Its value."""
        raise NotImplementedError

    def subs(self, values: Mapping[str, Int]) -> Int | None:
        """The function of its arguments, with symbols replaced in them, in normal form; None where
        none of the symbols stands in them.
        """
        done = values.done if isinstance(values, _Values) else {}
        if self not in done:
            old = self.args
            new = [a if isinstance(a, int) else a.subs(values) for a in old]
            done[self] = None if all(map(is_, new, old)) else FUNCTIONS[self.function](*new)
        return done[self]

    def size(self) -> Size:
        """The expression that is just this atom."""
        return Size({((self, 1),): 1})

    # how it is written

    @property
    def shown(self) -> Int | None:
        """What is written in its place, if not the atom itself."""
        return None

    @property
    def negated(self) -> str | None:
        """The text of the atom times -1, if that has a name of its own."""
        return None

    def plus(self, const: int) -> str | None:
        """The text of the atom and a constant, if the atom takes the constant in."""
        return None

    def around(self, whole: Size, times: Coeff) -> Size | None:
        """All of an expression in which the atom stands `times` as one atom, if it takes it in."""
        return None

    def factor(self, power: int) -> str:
        """The text of a power of it, in a product."""
        return self.key if power == 1 else f"{self.key}**{power}"


class Symbol(Atom):
    """A named unknown. `payload` is what it stands for outside (a sympy expression), if special."""

    __slots__ = ("name", "payload")

    def __init__(
        self, name: str, low: Bound = 1, integer: bool = True, payload: object = None
    ) -> None:
        self.name = self.key = name
        self.low, self.high, self.integer, self.payload = low, None, integer, payload
        self.parts = (name, low, payload)
        self._hash = hash(self.parts)

    @property
    def args(self) -> tuple[Int, ...]:
        return ()

    def at(self, values: Mapping[str, int]) -> int:
        return values[self.name]

    def subs(self, values: Mapping[str, Int]) -> Int | None:
        return values.get(self.name)

    def __reduce__(self) -> Any:
        return Symbol, (self.name, self.low, self.integer, self.payload)


Monomial = tuple[tuple[Atom, int], ...]  # (atom, power) pairs, ordered by atom key


class Size:
    """A polynomial over atoms, immutable and hashable. ``==`` is equality of normal forms.

    >>> H = Size.symbol("H")
    >>> ((H - 1)//2 + 1 - 1)//2 + 1
    (H + 3)//4
    >>> H - H + 7
    7
    """

    __slots__ = ("_hash", "_text", "const", "rest")

    def __init__(self, terms: dict[Monomial, Coeff]) -> None:
        self.const: Coeff = terms.pop((), 0)
        self.rest = terms  # the others, none of them 0; read only: what is so much more shares them
        self._hash: int | None = None  # of the others
        self._text: str | None = None

    @staticmethod
    def symbol(name: str) -> Size:
        """The positive integer unknown called `name`."""
        return Symbol(name).size()

    @property
    def terms(self) -> dict[Monomial, Coeff]:
        """All terms, the constant last; read only."""
        return {**self.rest, (): self.const} if self.const else self.rest

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.rest.items()))
        return hash((self._hash, self.const)) if self.const else self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is Size
            and self.const == other.const
            and (self.rest is other.rest or self.rest == other.rest)
        )

    def __add__(self, other: Int | Fraction) -> Int:
        if type(other) is Size:
            if len(self.rest) < len(other.rest):
                self, other = other, self
            terms = self.terms.copy()
            for mono, coeff in other.terms.items():
                total = terms.get(mono, 0) + coeff
                if total:
                    terms[mono] = total
                else:
                    del terms[mono]
            return polynomial(terms)
        if not isinstance(other, (int, Fraction)):
            return NotImplemented
        if other == 0:
            return self
        total = self.const + other
        whole = Size.__new__(Size)
        whole.rest, whole._hash, whole._text = self.rest, self._hash, None
        whole.const = total if type(total) is int else collapsed(total)
        return whole

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
            return polynomial({mono: coeff for mono, coeff in terms.items() if coeff})
        if not isinstance(other, (int, Fraction)):
            return NotImplemented
        if other == 0:
            return 0
        if other == 1:
            return self
        return polynomial({mono: coeff * other for mono, coeff in self.terms.items()})

    __rmul__ = __mul__

    def __pow__(self, power: int) -> Int:
        if type(power) is not int:
            return NotImplemented
        if power < 0:
            return exact_or_fail(1, self**-power)
        return prod([self] * power)

    def __floordiv__(self, other: Int) -> Int:
        return FUNCTIONS["floordiv"](self, other)

    def __rfloordiv__(self, other: int) -> Int:
        return FUNCTIONS["floordiv"](other, self)

    def __mod__(self, other: Int) -> Int:
        return FUNCTIONS["mod"](self, other)

    def __rmod__(self, other: int) -> Int:
        return FUNCTIONS["mod"](other, self)

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
        return total if type(total) is int else collapsed(total)  # type: ignore[return-value]

    def subs(self, values: Mapping[str, Int]) -> Int:
        """The expression with symbols replaced, in normal form again; itself where none of them
        stands in it.
        """
        values = values if isinstance(values, _Values) else _Values(values)
        whole: dict[Monomial, Coeff] = {}
        same = True
        for mono, coeff in self.terms.items():
            moved = [atom.subs(values) for atom, _ in mono]
            kept = tuple([x for x, new in zip(mono, moved, strict=True) if new is None])
            if len(kept) == len(mono):
                whole[mono] = whole.get(mono, 0) + coeff
                continue
            same = False
            image: Any = Size({kept: coeff}) if kept else coeff
            for (_, power), new in zip(mono, moved, strict=True):
                if new is not None:
                    image = image * _power(new, power)
            for m, c in image.terms.items() if isinstance(image, Size) else (((), image),):
                whole[m] = whole.get(m, 0) + c
        return self if same else polynomial({m: c for m, c in whole.items() if c})

    def map(self, function: Callable[[Atom], Int]) -> Int:
        """The expression with each atom of its polynomial replaced by what `function` makes of it.

        >>> (Size.symbol("H") * (Size.symbol("W")//2)).map(lambda atom: atom.size() + 1)
        H*(W//2) + H + W//2 + 1
        """

        def image(mono: Monomial, coeff: Coeff | Size) -> Coeff | Size:
            for atom, power in mono:
                coeff = coeff * _power(function(atom), power)
            return coeff

        return summed(starmap(image, self.terms.items()))

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
        return sorted(self.terms.items(), key=reading_order)

    def __str__(self) -> str:
        if self._text is None:
            self._text = _text(self)
        return self._text

    __repr__ = __str__

    def __reduce__(self) -> Any:
        return Size, (self.terms.copy(),)


def collapsed(value: Coeff) -> Coeff:
    """A coefficient, an int where it is one."""
    return int(value) if value.denominator == 1 else value


def denominator(*exprs: Int) -> int:
    """The least number that makes the coefficients of all `exprs` whole when it multiplies them.

    >>> H = Size.symbol("H")
    >>> denominator(H * Fraction(1, 4) + Fraction(1, 6), H, 3)
    12
    """
    return lcm(*(c.denominator for e in exprs if type(e) is Size for c in e.terms.values()))


def polynomial(terms: dict[Monomial, Coeff]) -> Int:
    """A Size, or an int when nothing but an integer constant is left."""
    for mono, coeff in terms.items():
        if type(coeff) is not int:
            terms[mono] = collapsed(coeff)
    if not terms:
        return 0
    if len(terms) == 1 and type(only := terms.get(())) is int:
        return only
    return Size(terms)


def summed(terms: Iterable[Coeff | Size]) -> Int:
    """Their sum; as many steps as there are monomials, where + would copy what stands so far."""
    whole: dict[Monomial, Coeff] = {}
    for term in terms:
        one = term.terms if isinstance(term, Size) else {(): term}
        for mono, coeff in one.items():
            whole[mono] = whole.get(mono, 0) + coeff
    return polynomial({mono: coeff for mono, coeff in whole.items() if coeff})


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


def reading_order(term: tuple[Monomial, Coeff]) -> tuple[int, list[str]]:
    """Graded lexicographic: also an admissible order for polynomial division."""
    mono = term[0]
    if len(mono) == 1 and mono[0][1] == 1:
        return -1, [mono[0][0].key]
    return -sum(p for _, p in mono), [a.key for a, p in mono for _ in range(p)]


def is_integer(mono: Monomial) -> bool:
    """Whether a product is whole for all whole values of its symbols."""
    return all(atom.integer and power > 0 for atom, power in mono)


def prod(factors: Iterable[Int]) -> Int:
    """The product; 1 for none."""
    return math.prod(factors)


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
    quotient, rest = divided(num, den)
    return quotient if rest == 0 else None


def divided(num: Int, den: Size) -> tuple[Int, Int]:
    """Quotient and rest of the long division by a polynomial, as far as its first term divides.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> divided(H*W - W + 2, H - 1), divided(H*W + W, H + 2)
    ((W, 2), (W, -W))
    """
    lead, lead_coeff = den.ordered()[0]
    quotient: Int = 0
    while num != 0:
        mono, coeff = num.ordered()[0] if isinstance(num, Size) else ((), num)
        ratio = Fraction(coeff) / lead_coeff
        mono = _times(mono, tuple((a, -p) for a, p in lead))
        if ratio.denominator != 1 or any(p < 0 for _, p in mono):
            break
        term = polynomial({mono: int(ratio)})
        quotient, num = quotient + term, num - term * den
    return quotient, num


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
    inverse = Size({tuple((a, -p) for a, p in mono): collapsed(Fraction(1) / coeff)})
    return inverse * num


def evaluate(expr: Int, values: Mapping[str, int]) -> int:
    """The value of an int or Size at `values`; KeyError names a symbol that is missing."""
    return expr if isinstance(expr, int) else expr.at(values)


def with_values(expr: Int, values: Mapping[str, Int]) -> Int:
    """An int or Size with symbols replaced, in normal form."""
    return expr if isinstance(expr, int) else expr.subs(values)


def sole_atom(expr: Int) -> Atom | None:
    """The atom that `expr` is, if it is one (coefficient 1, nothing added)."""
    if isinstance(expr, Size) and len(expr.terms) == 1:
        ((mono, coeff),) = expr.terms.items()
        if coeff == 1 and len(mono) == 1 and mono[0][1] == 1:
            return mono[0][0]
    return None


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


# Text ----------------------------------------------------------------------------------------


def _text(expr: Size) -> str:
    """Plain text. A lone floor takes its constant in where that is shorter: ``(H - 31)//32``."""
    whole = gathered(unfolded(expr))
    if whole is not expr:
        return str(whole)
    terms, const = [(m, c) for m, c in expr.ordered() if m], expr.const
    alone = sole_atom(expr - const)
    if alone is not None and type(const) is int and (taken := alone.plus(const)) is not None:
        return taken
    last = [("-" if const < 0 else "+", str(abs(const)))] if const or not terms else []
    pieces = [*(_term(mono, coeff) for mono, coeff in terms), *last]
    (sign, first), *others = pieces
    if sign == "-":
        bare = sole_atom(Size({terms[0][0]: 1})) if terms and terms[0][1] == -1 else None
        first = f"-{first}" if bare is None else f"-{bare.factor(1)}"
    return " ".join([first, *(f"{sign} {body}" for sign, body in others)])


def unfolded(expr: Size) -> Int:
    """The expression with every `Part` written in its symbol: ``k`` for ``2*q + 1``."""
    if not any(atom.shown is not None for atom in expr.atoms()):
        return expr
    return expr.map(lambda atom: atom.size() if atom.shown is None else atom.shown)


def gathered(expr: Int) -> Int:
    """``y + y//2`` as ``(3*y)//2``, of a y with floors, for reading: written out, each size of a
    row of float scales would be twice as long as the one before.
    """
    if isinstance(expr, int) or len(expr.terms) < 3:
        return expr
    for mono, coeff in expr.terms.items():
        if len(mono) == 1 and mono[0][1] == 1:
            whole = mono[0][0].around(expr, coeff)
            if whole is not None:
                return whole
    return expr


def _term(mono: Monomial, coeff: Coeff) -> tuple[str, str]:
    """Sign and body of one term: ("-", "2*C*(H//2)/g")."""
    if len(mono) == 1 and mono[0][1] == 1 and abs(coeff) == 1:
        atom = mono[0][0]
        turned = atom.negated
        if turned is not None and (coeff == -1 or len(turned) + 1 < len(atom.key)):
            return "+" if coeff == -1 else "-", turned
        return "-" if coeff < 0 else "+", atom.key
    size, below_0 = abs(Fraction(coeff)), coeff < 0
    mono = tuple(sorted(mono, key=lambda ap: _spoken_order(ap[0])))
    above = []
    for atom, power in mono:
        if power > 0:
            turned = atom.negated
            if turned is not None and len(turned) < len(atom.key):
                below_0 ^= power % 2 == 1
                above.append(turned if power == 1 else f"{turned}**{power}")
            else:
                above.append(atom.factor(power))
    below = [a.factor(-p) for a, p in mono if p < 0]
    if size.numerator != 1 or not above:
        above.insert(0, str(size.numerator))
    if size.denominator != 1:
        below.insert(0, str(size.denominator))
    body = "*".join(above)
    if below:
        body += f"/{below[0]}" if len(below) == 1 else f"/({'*'.join(below)})"
    return "-" if below_0 else "+", body


def _spoken_order(atom: Atom) -> tuple[int, str]:
    """Batch first, channels next, then the axes: ``N*C*H*W``."""
    return {"N": 0, "B": 0, "C": 1}.get(atom.key, 2), atom.key.lstrip("(")


def operand(expr: Int) -> str:
    """The text of an expression beside an operator, in brackets where it needs them."""
    text = str(expr)
    bare = isinstance(expr, int) or text.isidentifier() or text.isdecimal()
    return text if bare else f"({text})"


def product_operand(expr: Size) -> str:
    """The text of an expression before a factor: a sum has brackets, a floor of a sum none."""
    text, depth = str(expr), 0
    for char in text if len(expr.terms) > 1 else "":
        depth += (char == "(") - (char == ")")
        if char == " " and not depth:
            return f"({text})"
    return text
