"""Formulas without floors: an expression between bounds, and how fast it grows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size, symbols_of
from symcnn.errors import Undecidable


def leading_part(expr: Int, names: frozenset[str]) -> tuple[int, Int]:
    """The degree of a formula in `names`, and its terms of that degree.

    What floors leave is bounded, so that ``e//n`` counts as ``e/n``.
    """
    terms = monomials(without_floors(expr, names, exact=False)[0])
    top = max((degree_of(m, names) for m, _ in terms), default=0)
    leading: Any = 0
    for mono, coeff in terms:
        if degree_of(mono, names) == top:
            leading = leading + Size({mono: coeff})
    return top, leading


def without_floors(
    expr: Int, names: frozenset[str], *, exact: bool = True
) -> tuple[Int, dict[str, Fraction]]:
    """The formula with ``e/n - d`` for every floor in `names`, and the greatest value of each d.

    exact: else without d.
    """
    slack: dict[str, Fraction] = {}
    made: dict[sz.Atom, Int] = {}

    def relax(expr: Int) -> Int:
        if isinstance(expr, int):
            return expr
        total: Int = 0
        for mono, coeff in expr.terms.items():
            term: Any = coeff
            for atom, power in mono:
                if atom not in made:
                    made[atom] = replaced(atom)
                term = term * made[atom] ** power
            total = total + term
        return total

    def replaced(atom: sz.Atom) -> Int:
        if isinstance(atom, sz.Symbol) or not symbols_of(*atom.args) & names:
            return atom.size()
        if not isinstance(atom, sz.Floor) or not isinstance(atom.den, int):
            raise _unbounded(atom)
        quotient: Any = relax(atom.num) * Fraction(1, atom.den)
        if not exact:
            return quotient  # type: ignore[no-any-return]
        deviation = f"d{len(slack)}'"
        slack[deviation] = Fraction(atom.den - 1, atom.den)
        return quotient - Size.symbol(deviation)  # type: ignore[no-any-return]

    return relax(expr), slack


def _unbounded(atom: sz.Atom) -> Undecidable:
    closes = isinstance(atom, sz.Sum)
    return Undecidable(
        f"{atom.key} has no polynomial bounds here",
        cure='close its sums: under("H % 2**n == 0", ...)' if closes else "",
    )


def monomials(expr: Int) -> list[tuple[sz.Monomial, sz.Coeff]]:
    """An expression as monomials with coefficients."""
    return [*expr.terms.items()] if isinstance(expr, Size) else [((), expr)] if expr else []


def bounds_of(mono: sz.Monomial, coeff: sz.Coeff, names: frozenset[str]) -> tuple[Int, Int]:
    """Polynomials below and above a term, for all positive sizes.

    Where all factors are bounded from below by 0, the product of the bounds; else every
    deviation by itself.
    """
    low: Any = coeff
    high: Any = coeff
    for atom, power in mono:
        under, over = _between(atom, names)
        if under is None:
            return _loosely(mono, coeff, names)
        low, high = low * under**power, high * over**power
    return (low, high) if coeff > 0 else (high, low)


def _between(atom: sz.Atom, names: frozenset[str]) -> tuple[Any, Any]:
    """Bounds of an atom that are never negative; None if there are none at a glance."""
    if isinstance(atom, sz.Symbol) or not symbols_of(*atom.args) & names:
        return (atom.size(),) * 2 if atom.low is not None and atom.low >= 0 else (None, None)
    if not isinstance(atom, sz.Floor) or not isinstance(atom.den, int):
        raise _unbounded(atom)
    if any(not isinstance(inner, sz.Symbol) for inner in atom.num.atoms()):
        return None, None
    under: Any = (atom.num - (atom.den - 1)) * Fraction(1, atom.den)
    rising = isinstance(under, Size) and all(c > 0 for m, c in under.terms.items() if m)
    least = sum(under.terms.values()) if rising else -1  # at size 1 everywhere
    return (under, atom.num * Fraction(1, atom.den)) if least >= 0 else (None, None)


def _loosely(mono: sz.Monomial, coeff: Any, names: frozenset[str]) -> tuple[Any, Any]:
    """The bounds of a term from ``e/n - d`` for each floor, deviation by deviation."""
    relaxed, slack = without_floors(Size({mono: coeff}), names)
    low: Any = 0
    high: Any = 0
    for term, c in monomials(relaxed):
        widest = Fraction(c)
        loose = False
        for atom, power in term:
            if atom.key in slack:
                widest *= slack[atom.key] ** power
                loose = True
        rest: Any = sz.prod(a.size() ** p for a, p in term if a.key not in slack)
        low = low + rest * (min(widest, Fraction(0)) if loose else widest)
        high = high + rest * (max(widest, Fraction(0)) if loose else widest)
    return low, high


def degree_of(mono: sz.Monomial, names: frozenset[str]) -> int:
    """The degree of a monomial in some sizes."""
    return sum(power for atom, power in mono if atom.key in names)
