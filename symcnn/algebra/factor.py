"""Products: a polynomial as a product of its factors, for solving and for reading.

Expanding, and taking whole numbers out of floors, is what makes equal sizes equal objects. People
want the shortest spelling of the same: ``256*((H - 35)//32)*((W - 35)//32)``. Two laws lead there.

**Shift law.** ``floor(e/n) = floor((e + c*n)/n) - c`` for every whole number c. A polynomial
``A*f + B`` in a floor f is ``A*g + (B - c*A)`` in the floor ``g = f + c``: what vanishes are the
terms in which c is the ratio of a coefficient of B to one of A.

**Product.** A sum is a product of its factors, or one but for a number; written so where that is
shorter. The factoring is sympy's.

**Lone atom.** Where an atom x stands in one term alone, to the first power, a polynomial is the
product of what all its terms share and one irreducible factor: a factor without x divides the
term of x and all the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd
from typing import Literal, TypeGuard, get_args

from symcnn.algebra.expr import from_sympy, to_sympy
from symcnn.algebra.size import (
    Atom,
    Coeff,
    Floor,
    Int,
    Max,
    Monomial,
    Power,
    Size,
    Symbol,
    gathered,
    maximum,
    prod,
    sole_atom,
    unfolded,
    upper,
)
from symcnn.algebra.substitute import replaced
from symcnn.errors import BadSpec
from symcnn.lazy import sympy

#: How a floor is written: in brackets around a fraction, or around a slash; as an integer division;
#: or as a floor or a ceiling, whichever is shorter.
Floors = Literal["brackets", "inline", "division", "shortest"]

_STYLE: ContextVar[Floors | None] = ContextVar("floors", default=None)


@contextmanager
def floors_written(style: Floors | None) -> Iterator[None]:
    """Formulas of text and of pages are written in this style within; None: as before.

    Raises BadSpec for a style that there is not.

    >>> H = Size.symbol("H")
    >>> with floors_written("shortest"):
    ...     text((H + 31)//32)
    'ceil(H/32)'
    """
    if style is not None and style not in get_args(Floors):
        raise BadSpec(f"floors={style!r}", cure=f"one of {', '.join(get_args(Floors))}")
    token = _STYLE.set(style or _STYLE.get())
    try:
        yield
    finally:
        _STYLE.reset(token)


def style(default: Floors) -> Floors:
    """The style in which floors are written, where none is asked the default."""
    return _STYLE.get() or default


@lru_cache(maxsize=512)
def factors(expr: Int) -> tuple[tuple[Size, ...], int]:
    """Irreducible factors over the atoms, with multiplicity, and the integer content.

    Raises ValueError for coefficients or powers that are not whole.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> factors(6*H*W + 6*W)
    ((W, H + 1), 6)
    """
    if isinstance(expr, int):
        return (), expr
    for mono, coeff in expr.terms.items():
        if not isinstance(coeff, int) or any(power < 0 for _, power in mono):
            raise ValueError(f"{expr} is not a polynomial with whole coefficients")
    content, found = _by_lone_atom(expr) or _by_sympy(expr)
    parts: list[Size] = []
    for size, power in found:
        high = upper(size)
        if high is not None and high < 0:
            size, content = -size, content * (-1) ** power
        parts += [size] * power
    return tuple(parts), content


def _by_lone_atom(expr: Size) -> tuple[int, list[tuple[Size, int]]] | None:
    """The factors by the law of a lone atom; None where no atom is one."""
    powers = [dict(mono) for mono in expr.terms]
    times = Counter(atom for power in powers for atom in power)
    lone = any(n == 1 for power in powers for a, n in times.items() if power.get(a) == 1)
    if not lone:
        return None
    shared = {a: min(power[a] for power in powers) for a, n in times.items() if n == len(powers)}
    atoms = [*expr.atoms()]
    first = max(expr.terms, key=lambda mono: [dict(mono).get(a, 0) for a in atoms])
    content = gcd(*map(int, expr.terms.values())) * (1 if expr.terms[first] > 0 else -1)
    rest: dict[Monomial, Coeff] = {
        tuple((a, p - shared.get(a, 0)) for a, p in mono if p > shared.get(a, 0)): int(coeff)
        // content
        for mono, coeff in expr.terms.items()
    }
    found = [(atom.size(), power) for atom, power in shared.items()]
    return content, found if {*rest} == {()} else [*found, (Size(rest), 1)]


def _by_sympy(expr: Size) -> tuple[int, list[tuple[Size, int]]]:
    atoms = {atom: sympy.Dummy() for atom in expr.atoms()}
    terms = [
        sympy.Mul(coeff, *(atoms[atom] ** power for atom, power in mono))
        for mono, coeff in expr.terms.items()
    ]
    content, found = sympy.factor_list(sympy.Add(*terms), *atoms.values())
    parts = []
    for factor, power in found:
        size: Int = 0
        for powers, coeff in sympy.Poly(factor, *atoms.values()).terms():
            size = size + int(coeff) * prod(
                a.size() ** p for a, p in zip(atoms, powers, strict=True)
            )
        assert isinstance(size, Size)
        parts.append((size, int(power)))
    return int(content), parts


def is_product(dim: Int) -> TypeGuard[Size]:
    """Whether a size has products of sizes in it."""
    if not isinstance(dim, Size):
        return False
    return any(sum(power for _, power in term) > 1 for term in dim.terms)


@dataclass(frozen=True, slots=True)
class Product:
    """How an expression is written: ``content * parts[0]**n * ... + beside``."""

    content: int
    parts: tuple[tuple[Int, int], ...]  # each with its power, in the order of reading
    beside: int = 0

    def __str__(self) -> str:
        words = "" if self.content == 1 else "-" if self.content == -1 else f"{self.content}*"
        texts = []
        for part, power in self.parts:
            alone = sole_atom(part)
            bare = isinstance(alone, Symbol) or (isinstance(alone, Power) and power == 1)
            base = str(part) if bare else f"({part})"
            texts.append(base if power == 1 else f"{base}**{power}")
        sign = f" {'-' if self.beside < 0 else '+'} {abs(self.beside)}" if self.beside else ""
        return f"{words}{'*'.join(texts)}{sign}"


@lru_cache(maxsize=4096)
def spelled(expr: Int) -> Int | Product:
    """The shortest spelling: a sum whose floors are moved, or a product. It is for reading: what
    is calculated with is the normal form.

    >>> H, k = Size.symbol("H"), Size.symbol("k")
    >>> spelled((H + 1)//2 - 1), spelled(2*k*H - 2*k - 2*H + 3), spelled(H*k**2 + H)
    ((H - 1)//2, Product(content=2, parts=((H - 1, 1), (k - 1, 1)), beside=1), H*k**2 + H)
    """
    if isinstance(expr, int):
        return expr
    plain = unfolded(expr)
    written = shifted(plain)
    if isinstance(written, int) or all(sum(p for _, p in mono) < 2 for mono in written.terms):
        return written
    products = [_product(written), *(_product(written - b, b) for b in _beside(written))]
    if plain is not written:
        products.insert(0, _product(plain))
    return min((p for p in (*products, written) if p is not None), key=lambda p: len(str(p)))


def text(expr: Int, floors: Floors | None = None) -> str:
    """An expression for reading, in its shortest spelling: floors moved by whole numbers, a product
    where that is shorter, ``2*(k - 1)*(2**n - 1) + 1``. As python code it has the same value.

    floors: the style; by default that of `floors_written`, else "division".

    Raises BadSpec for a style that there is not.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> text(256 * ((H - 35)//32) * ((W - 35)//32)), text(9*H * W - 18*H - 18*W + 40)
    ('256*((H - 35)//32)*((W - 35)//32)', '9*(H - 2)*(W - 2) + 4')
    >>> [text((H + 31)//32, style) for style in ("division", "brackets", "shortest")]
    ['(H + 31)//32', 'floor((H + 31)/32)', 'ceil(H/32)']
    """
    if floors is not None:
        with floors_written(floors):
            return text(expr)
    floors, found = style("division"), spelled(expr)
    if floors == "division":
        return str(found)
    if not isinstance(found, Product):
        return str(_styled(found, floors))
    parts = [(_styled(part, floors), power) for part, power in found.parts]
    return str(Product(found.content, tuple(parts), found.beside))


def _styled(expr: Int, floors: Floors) -> Int:
    """With a symbol in the place of each floor: how it is spelled."""

    def styled(atom: Atom) -> Size:
        if isinstance(atom, Max):
            return Max(*(_styled(shifted(arg), floors) for arg in atom.args)).size()
        if not isinstance(atom, Floor):
            return atom.size()
        num, kind = (atom.num, "floor") if floors != "shortest" else raised(atom.num, atom.den)
        above, below = (str(_styled(e, floors)) for e in (num, atom.den))
        above, below = (e if e.isalnum() else f"({e})" for e in (above, below))
        return Symbol(f"{kind}({above}/{below})").size()

    return expr if isinstance(expr, int) else expr.map(styled)


def raised(num: Int, den: Int) -> tuple[Int, str]:
    """Numerator and kind of the shorter of ``floor(x/n)`` and ``ceil((x - n + 1)/n)``.

    >>> H = Size.symbol("H")
    >>> raised(H + 31, 32), raised(H - 1, 2)
    ((H, 'ceil'), (H - 1, 'floor'))
    """
    above = num - den + 1
    shorter = len(str(above)) < len(str(num))
    return (gathered(above), "ceil") if shorter else (gathered(num), "floor")


def reading(expr: Int) -> sympy.Expr:
    """A sympy expression in the form in which people read it, floors moved by whole numbers.

    >>> reading((Size.symbol("H") - 5)//2 + 1)
    (H - 3)//2
    """
    return to_sympy(shifted(expr))


def word(value: object) -> str:
    """A sympy expression as text, in its shortest spelling; anything else as it prints.

    >>> word(sympy.floor((to_sympy(Size.symbol("H")) - 1)/2)), word(7)
    ('(H - 1)//2', '7')
    """
    if not isinstance(value, sympy.Expr):
        return str(value)
    try:
        return str(reading(from_sympy(value)))
    except (BadSpec, TypeError):  # not a size
        return str(value)


#: Sums of more terms are left as they are.
_MANY = 400


def shifted(expr: Int) -> Int:
    """The same with floors moved by whole numbers, where that is shorter.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> shifted(((H - 1)//2) * ((W - 1)//2) + 2*((H - 1)//4))
    ((H - 1)//2)*((W - 1)//2) + 2*((H - 1)//4)
    """
    if isinstance(expr, int) or len(expr.terms) > _MANY:
        return expr
    floors = {a: a for a in expr.atoms() if isinstance(a, Floor) and type(a.den) is int}
    for floor in sorted(floors, key=lambda atom: atom.key):
        for c in _shifts(expr, floor):
            other = replaced(expr, floor, _moved(floor, c) - c)
            if isinstance(other, Size) and _length(other) < _length(expr):
                expr = other
                break
    return gathered(_taken_in(expr))


def _taken_in(expr: Size) -> Int:
    """With what stands beside a maximum in it, where that is shorter.

    >>> T, S = Size.symbol("T"), Size.symbol("S")
    >>> _taken_in(T + S - maximum(T - 8, 0))
    S + min(T, 8)
    """
    found: Int = expr
    for mono, coeff in expr.terms.items():
        if len(mono) == 1 and isinstance(mono[0][0], Max) and (mono[0][1], type(coeff)) == (1, int):
            times = int(coeff)
            args = mono[0][0].args
            rest = expr - times * mono[0][0].size()
            whole = [times * rest] if abs(times) == 1 else []
            for by in (*whole, *(-a for a in args), *(_const(a) - a for a in args)):
                other: Int = rest + times * (maximum(*(arg + by for arg in args)) - by)
                if len(str(other)) < len(str(found)):
                    found = other
    return found


def _const(expr: Int) -> Int:
    """The number in a sum."""
    return expr if isinstance(expr, int) else int(expr.const)


def _moved(floor: Floor, by: int) -> Size:
    """The floor that is larger by so much, whole numbers left in it."""
    num = floor.num + floor.den * by
    assert isinstance(num, Size)
    return Floor(num, floor.den).size()


def _length(expr: Size) -> tuple[int, int]:
    return len(str(expr)), len(expr.terms)


def _shifts(expr: Size, floor: Floor) -> list[int]:
    """By how much a floor may be moved so that a term vanishes; what takes most terms first."""
    beside: dict[Monomial, Coeff] = {}
    times: dict[Monomial, Coeff] = {}
    for mono, coeff in expr.terms.items():
        power = dict(mono).get(floor, 0)
        if power == 1:
            times[tuple((a, p) for a, p in mono if a != floor)] = coeff
        elif not power:
            beside[mono] = coeff
        else:
            return []
    ratios = Counter(Fraction(beside[m]) / Fraction(c) for m, c in times.items() if m in beside)
    return [int(c) for c, _ in ratios.most_common() if c.denominator == 1]


def _beside(expr: Int) -> Iterator[int]:
    """Numbers that may stand beside a product: the constant; of ``a*x*y + b*x + c*y + d``, which
    is a product but for it, ``d - b*c/a``.
    """
    terms = expr.terms if isinstance(expr, Size) else {}
    const = terms.get(())
    if len(terms) < 4 or type(const) is not int or {*map(type, terms.values())} != {int}:
        return
    yield const
    if len(terms) == 4:
        most = max(terms, key=lambda mono: sum(power for _, power in mono))
        one, other = (mono for mono in terms if mono and mono != most)
        if Size({one: 1}) * Size({other: 1}) == Size({most: 1}):
            product = Fraction(terms[one] * terms[other], terms[most])
            if product.denominator == 1 and product != const:
                yield const - int(product)


def _product(expr: Int, beside: int = 0) -> Product | None:
    """A product, and a number beside it; None for what is none."""
    if isinstance(expr, int):
        return None
    try:
        parts, content = factors(expr)
    except ValueError:
        return None
    if len(parts) < 2:
        return None
    counted = Counter(parts)
    return Product(content, tuple((p, counted[p]) for p in sorted(counted, key=_order)), beside)


def _order(part: Size) -> tuple[bool, bool, str]:
    """The batch first, then symbols, then what takes brackets, each by name."""
    text = str(part)
    return text not in ("N", "B"), not text.isidentifier(), text.lstrip("(")
