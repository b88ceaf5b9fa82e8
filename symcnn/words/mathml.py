"""Formulas as MathML, which browsers draw by themselves: no fonts, no library.

Written from the kernel expression in the order of reading, a lone floor with its constant inside.
"""

from __future__ import annotations

from fractions import Fraction
from html import escape

from symcnn.algebra.size import (
    Atom,
    Coeff,
    Floor,
    Int,
    Max,
    Monomial,
    Part,
    Power,
    Scaled,
    Sum,
    Symbol,
    sole_atom,
)

__all__ = ["mathml"]


def mathml(expr: Int) -> str:
    """A formula as the inside of a ``<math>`` element.

    Args:
        expr: a kernel expression, or a number.

    >>> from symcnn.algebra.size import Size
    >>> H = Size.symbol("H")
    >>> print(mathml((H + 31)//32))
    <mo>⌊</mo><mfrac><mrow><mi>H</mi><mo>+</mo><mn>31</mn></mrow><mn>32</mn></mfrac><mo>⌋</mo>
    """
    if isinstance(expr, int):
        return _number(expr)
    atom, const = sole_atom(expr - expr.const), expr.const
    if isinstance(atom, Floor) and type(const) is int and type(atom.den) is int and const:
        return _floor(atom.num + atom.den * const, atom.den)
    words: list[str] = []
    for mono, coeff in expr.ordered():
        sign = "<mo>-</mo>" if coeff < 0 else "<mo>+</mo>" if words else ""
        words.append(sign + _term(mono, max(coeff, -coeff)))
    return "".join(words)


def _number(value: Coeff) -> str:
    if isinstance(value, Fraction) and value.denominator != 1:
        sign = "<mo>-</mo>" if value < 0 else ""
        top, bottom = abs(value.numerator), value.denominator
        return f"{sign}<mfrac><mn>{top}</mn><mn>{bottom}</mn></mfrac>"
    return f"<mo>-</mo><mn>{-value}</mn>" if value < 0 else f"<mn>{value}</mn>"


def _term(mono: Monomial, coeff: Coeff) -> str:
    """A coefficient and factors; what is divided by stands below a line."""
    coeff = Fraction(coeff)
    above = [_factor(atom, power) for atom, power in mono if power > 0]
    below = [_factor(atom, -power) for atom, power in mono if power < 0]
    if coeff.numerator != 1 or not above:
        above.insert(0, f"<mn>{coeff.numerator}</mn>")
    if coeff.denominator != 1:
        below.insert(0, f"<mn>{coeff.denominator}</mn>")
    top = "<mo>⁢</mo>".join(above)
    return f"<mfrac>{_row(top)}{_row(''.join(below))}</mfrac>" if below else top


def _factor(atom: Atom, power: int) -> str:
    shown = _atom(atom)
    return shown if power == 1 else f"<msup>{_row(shown)}<mn>{power}</mn></msup>"


def _atom(atom: Atom) -> str:
    match atom:
        case Symbol():
            return f"<mi>{escape(atom.name)}</mi>"
        case Part():
            return _grouped(atom.shown)
        case Floor():
            return _floor(atom.num, atom.den)
        case Max():
            listed = "<mo>,</mo>".join(map(mathml, atom.args))
            return f"<mi>max</mi><mo>(</mo>{listed}<mo>)</mo>"
        case Power():
            return f"<msup>{_row(_grouped(atom.base))}{_row(mathml(atom.exponent))}</msup>"
        case Scaled():
            scaled = f"{_grouped(atom.arg)}<mo>·</mo><mn>{atom.scale!r}</mn>"
            return f"<mi>trunc</mi><mo>(</mo>{scaled}<mo>)</mo>"
        case Sum():
            start = f"<mi>{escape(atom.index)}</mi><mo>=</mo><mn>0</mn>"
            ends = f"{_row(start)}{_row(mathml(atom.count - 1))}"
            return f"<munderover><mo>∑</mo>{ends}</munderover>{_grouped(atom.term)}"
    raise TypeError(type(atom))  # pragma: no cover


def _floor(num: Int, den: Int) -> str:
    return f"<mo>⌊</mo><mfrac>{_row(mathml(num))}{_row(mathml(den))}</mfrac><mo>⌋</mo>"


def _grouped(expr: Int) -> str:
    """In brackets where it is a sum."""
    shown = mathml(expr)
    plain = isinstance(expr, int) or (len(expr.terms) == 1 and sole_atom(expr) is not None)
    return shown if plain else f"<mo>(</mo>{shown}<mo>)</mo>"


def _row(words: str) -> str:
    """One argument of a layout element."""
    single = words.count("<") == 2 and words.startswith(("<mi>", "<mn>"))
    return words if single else f"<mrow>{words}</mrow>"
