"""Formulas as MathML, which a browser typesets by itself: no script, no font, no network.

A formula is written as it is read: a product where it is one, a floor in floor brackets around a
slash, a number in groups of three digits, two bounds of one size as a chain. A long sum is several
pieces of MathML, so that a line may break between them. Nothing here computes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from html import escape
from numbers import Number
from typing import Any

from symcnn.algebra.expr import from_sympy, to_sympy
from symcnn.algebra.factor import Product, raised, reading, shifted, spelled, style
from symcnn.algebra.size import Int, Size, gathered, unfolded
from symcnn.errors import SymcnnError
from symcnn.lazy import sympy

_RELATIONS = {">=": "\u2265", "<=": "\u2264", "==": "=", "!=": "\u2260", ">": "&gt;", "<": "&lt;"}

_SPACE = '<mspace width="0.2em"></mspace>'

#: A sum of more terms may break over lines.
_LONG = 2


def math(value: object) -> str:
    """A size, a sympy expression or condition, or a tuple of sizes, as MathML for a page; or
    what has a method ``_formula_``, which gives one of these, or words.

    >>> H = Size.symbol("H")
    >>> math(H//32)
    '<math><mrow><mo>⌊</mo><mi>H</mi><mo>/</mo><mn>32</mn><mo>⌋</mo></mrow></math>'
    """
    if isinstance(value, (tuple, list)):
        return wrapped(shape(value))
    value = value._formula_() if hasattr(value, "_formula_") else value
    size = _size(value)
    if size is None:
        return wrapped(written(value))
    terms = _long(size)
    if terms is None:
        return wrapped(written(size))
    signs = ["" if not sign and not i else _SIGNS[sign] for i, (sign, _) in enumerate(terms)]
    return " ".join(wrapped(f"<mrow>{s}{t}</mrow>") for s, (_, t) in zip(signs, terms, strict=True))


_SIGNS = ('<mo form="infix">+</mo>', '<mo form="infix">\u2212</mo>')


def wrapped(content: str) -> str:
    """Content of MathML as an element of a page."""
    return f"<math>{content}</math>"


def shape(values: Iterable[object]) -> str:
    """Sizes in brackets, or nested ones: the content of MathML."""
    inner = [shape(v) if isinstance(v, (tuple, list)) else written(v) for v in values]
    return bracketed("<mo>,</mo>".join(inner) if len(inner) != 1 else f"{inner[0]}<mo>,</mo>")


def bracketed(content: str, left: str = "(", right: str = ")") -> str:
    """Content of MathML between brackets."""
    return f"<mrow><mo>{left}</mo>{content}<mo>{right}</mo></mrow>"


def written(value: object) -> str:
    """A size, or a sympy expression or condition: the content of MathML."""
    size = None if isinstance(value, (bool, str)) else _size(value)
    if size is not None:
        return _product(size)
    if isinstance(value, (sympy.Basic, Number)):
        return _expr(sympy.sympify(value))
    return f"<mtext>{escape(str(value))}</mtext>"


@lru_cache(maxsize=4096)
def _has_pieces(value: Any) -> bool:
    """Whether cases stand in it. A part that stands in several places is looked at once."""
    return isinstance(value, sympy.Piecewise) or any(map(_has_pieces, value.args))


def _size(value: Any) -> Int | None:
    """The size that an expression is; None for what is none."""
    if isinstance(value, (int, Size)):
        return value if isinstance(value, int) else unfolded(value)
    if isinstance(value, sympy.Expr) and not _has_pieces(value):
        try:
            return _size(from_sympy(value))
        except (SymcnnError, TypeError, ValueError, AttributeError):
            return None
    return None


def _long(size: Int) -> list[tuple[bool, str]] | None:
    """Sign and content of each term of a long sum; None for what is short, or a product."""
    written = spelled(size)
    if isinstance(written, Product):
        if all(isinstance(part, int) or len(part.terms) <= _LONG for part, _ in written.parts):
            return None
        written = shifted(size)
    if isinstance(written, int) or len(written.terms) <= _LONG:
        return None
    return [
        (coeff < 0, _term(mono, abs(coeff)))
        for mono, coeff in sorted(written.terms.items(), key=_first_to_last)
    ]


def _term(mono: Any, coeff: Any) -> str:
    return _product(Size({mono: coeff})) if mono else _expr(sympy.Rational(coeff))


def _first_to_last(term: tuple[Any, Any]) -> tuple[Any, ...]:
    """Products of most factors first, then as `_order` has them."""
    mono, _ = term
    return -sum(power for _, power in mono), *_order(Size({mono: 1}) if mono else "")


def _product(size: Int) -> str:
    written = spelled(size)
    if isinstance(written, int):
        return _number(written)
    if isinstance(written, Size):
        return _expr(to_sympy(written))
    content = written.content
    words = [] if content == 1 else ["<mo>\u2212</mo>"] if content == -1 else [_number(content)]
    for part, power in sorted(written.parts, key=lambda pair: _order(pair[0])):
        factor = _grouped(reading(part))
        words.append(factor if power == 1 else f"<msup>{factor}{_number(power)}</msup>")
    if beside := written.beside:
        words.append(_SIGNS[beside < 0] + _number(abs(beside)))
    return f"<mrow>{_SPACE.join(words)}</mrow>"


def _order(part: Any) -> tuple[Any, ...]:
    """The batch first, then symbols, then the rest; numbers in their order, not as text."""
    name = str(part)
    pieces = re.split(r"(\d+)", name.lstrip("("))
    numbers = tuple(int(p) if k % 2 else p for k, p in enumerate(pieces))
    return (0 if name in ("N", "B") else 1 if name.isidentifier() else 2, *numbers)


def _number(value: int) -> str:
    digits = f"{abs(value):,}" if abs(value) > 9999 else str(abs(value))
    return f"<mn>{digits}</mn>" if value >= 0 else f"<mrow><mo>\u2212</mo><mn>{digits}</mn></mrow>"


# Sympy -----------------------------------------------------------------------------------------


def _expr(expr: Any) -> str:
    for kind, write in _writers():
        if isinstance(expr, kind):
            return write(expr)
    if isinstance(expr, sympy.Function):
        inside = "<mo>,</mo>".join(map(_expr, expr.args))
        return f"<mrow><mi>{escape(expr.func.__name__)}</mi>{bracketed(inside)}</mrow>"
    from sympy.printing.mathml import mathml

    return str(mathml(expr, printer="presentation"))


def _symbol(expr: Any) -> str:
    name = expr.name.rstrip("_")
    head = name.rstrip("0123456789")
    letters, _, low = head.partition("_") if "_" in head.strip("_") else (head, "", "")
    low += name[len(head) :]
    inner = f"<mi>{escape(letters)}</mi>" if letters else f"<mtext>{escape(expr.name)}</mtext>"
    return f"<msub>{inner}<mtext>{escape(low)}</mtext></msub>" if low and letters else inner


def _sum(expr: Any) -> str:
    words: list[str] = []
    for term in expr.as_ordered_terms():
        coeff, rest = term.as_coeff_Mul()
        if coeff.is_negative:
            sign = _SIGNS[1] if words else "<mo>\u2212</mo>"
            words.append(sign + _expr(-coeff * rest))
        else:
            words.append((_SIGNS[0] if words else "") + _expr(term))
    return f"<mrow>{''.join(words)}</mrow>"


def _times(expr: Any) -> str:
    above, below = expr.as_numer_denom()
    if below != 1:
        return f"<mfrac>{_expr(above)}{_expr(below)}</mfrac>"
    coeff, factors_ = expr.as_coeff_mul()
    words = [] if coeff == 1 else ["<mo>\u2212</mo>"] if coeff == -1 else [_expr(coeff)]
    words += map(_grouped, sorted(factors_, key=_order))
    return f"<mrow>{_SPACE.join(words)}</mrow>"


def _power(expr: Any) -> str:
    base, exponent = expr.args
    if exponent.could_extract_minus_sign():
        return f"<mfrac><mn>1</mn>{_expr(base**-exponent)}</mfrac>"
    inner = _expr(base) if base.is_Symbol or base.is_Integer else bracketed(_expr(base))
    return f"<msup>{inner}{_expr(exponent)}</msup>"


def _floor(expr: Any) -> str:
    num, den = expr.args
    floors, kind, above = style("shortest"), "floor", gathered(from_sympy(num))
    if floors == "shortest":
        above, kind = raised(above, from_sympy(den))
    num = to_sympy(above)
    slash = "//" if floors == "division" else "/"
    inner = f"{_grouped(num)}<mo>{slash}</mo>{_grouped(den)}"
    if floors == "division":
        return bracketed(inner)
    if floors == "brackets":
        inner = f"<mfrac>{_expr(num)}{_expr(den)}</mfrac>"
    return bracketed(inner, *_BRACKETS[kind])


_BRACKETS = {"floor": "\u230a\u230b", "ceil": "\u2308\u2309"}


def _grouped(expr: Any) -> str:
    """In brackets where it is a sum."""
    return bracketed(_expr(expr)) if expr.is_Add else _expr(expr)


def _mod(expr: Any) -> str:
    left, right = expr.args
    return f"<mrow>{_grouped(left)}{_SPACE}<mi>mod</mi>{_SPACE}{_expr(right)}</mrow>"


def _trunc(expr: Any) -> str:
    x, scale = expr.args
    return (
        f"<mrow><mi>trunc</mi>{bracketed(f'{_expr(x)}<mo>·</mo><mn>{float(scale)!r}</mn>')}</mrow>"
    )


def _geometric(expr: Any) -> str:
    ratio, count = expr.args
    return f"<mfrac>{_expr(ratio**count - 1)}{_expr(ratio - 1)}</mfrac>"


def _extreme(name: str) -> Callable[[Any], str]:
    def write(expr: sympy.Expr) -> str:
        inside = "<mo>,</mo>".join(map(_expr, sorted(expr.args, key=str)))
        return f"<mrow><mi>{name}</mi>{bracketed(inside)}</mrow>"

    return write


def _relation(expr: Any) -> str:
    left, right = expr.lhs, expr.rhs
    if left.is_Add and right == 0:  # what is subtracted stands on the right
        less = [term for term in left.args if term.as_coeff_Mul()[0].is_negative]
        left, right = left - sympy.Add(*less), -sympy.Add(*less)
    return f"<mrow>{_expr(left)}<mo>{_RELATIONS[expr.rel_op]}</mo>{_expr(right)}</mrow>"


def _joined(word: str) -> Callable[[Any], str]:
    between = f"<mspace width='0.5em'></mspace><mtext>{word}</mtext><mspace width='0.5em'></mspace>"

    def write(expr: sympy.Expr) -> str:
        inner = list(_chained(expr.args)) if word == "and" else list(map(_expr, expr.args))
        loose = [isinstance(arg, (sympy.And, sympy.Or)) for arg in expr.args]
        if word == "or" and any(loose):
            inner = [bracketed(i) if b else i for i, b in zip(inner, loose, strict=True)]
        return f"<mrow>{between.join(inner)}</mrow>"

    return write


def _chained(conditions: Sequence[Any]) -> Iterable[str]:
    """Conditions by the sizes that they speak of, two bounds of one as a chain."""
    order = sorted(conditions, key=lambda c: (sorted(map(str, c.free_symbols)), _rank(c), str(c)))
    turned = [_upright(c) for c in order]
    lows = {c.lhs: c for c in turned if isinstance(c, sympy.Rel) and c.rel_op == ">="}
    highs = {c.lhs: c for c in turned if isinstance(c, sympy.Rel) and c.rel_op == "<="}
    for c in turned:
        if c in highs.values() and c.lhs in lows:
            continue
        if c in lows.values() and c.lhs in highs:
            least, most = lows[c.lhs].rhs, highs[c.lhs].rhs
            sign = f"<mo>{_RELATIONS['<=']}</mo>"
            yield f"<mrow>{_expr(least)}{sign}{_expr(c.lhs)}{sign}{_expr(most)}</mrow>"
        elif isinstance(c, sympy.Or):
            yield bracketed(_expr(c))
        else:
            yield _expr(c)


def _rank(condition: Any) -> int:
    return 0 if isinstance(condition, sympy.Rel) and condition.rel_op != "==" else 1


def _upright(condition: Any) -> Any:
    """With a lone size on the left where the rest has the other sign: ``H <= 32*h``."""
    if not isinstance(condition, sympy.Rel):
        return condition
    gap = sympy.expand(condition.lhs - condition.rhs)
    parts = {s: gap.coeff(s) for s in sorted(gap.free_symbols, key=str)}
    for symbol, coeff in parts.items():
        others = [c for s, c in parts.items() if s != symbol]
        if abs(coeff) == 1 and all(c.is_number and c * coeff < 0 for c in others):
            kind = condition.func if coeff == 1 else condition.reversed.func
            return kind(symbol, symbol - gap / coeff, evaluate=False)
    return condition.reversed if condition.lhs.is_number else condition


_LEFT = '<mtd style="text-align:left">'


def _piecewise(expr: Any) -> str:
    rows = "".join(
        f"<mtr>{_LEFT}{written(value)}</mtd>{_LEFT}<mtext>if</mtext>{_SPACE}{_expr(where)}</mtd></mtr>"
        for value, where in expr.args
    )
    return f"<mrow><mo>{{</mo><mtable>{rows}</mtable></mrow>"


@cache
def _writers() -> tuple[tuple[Any, Callable[[Any], str]], ...]:
    from symcnn.algebra import sympy as seen

    return (
        (sympy.Integer, lambda e: _number(int(e))),
        (sympy.Rational, lambda e: f"<mfrac>{_number(e.p)}{_number(e.q)}</mfrac>"),
        (sympy.Symbol, _symbol),
        (seen.FloorDiv, _floor),
        (seen.Trunc, _trunc),
        (seen.Geometric, _geometric),
        (sympy.Add, _sum),
        (sympy.Mul, _times),
        (sympy.Pow, _power),
        (sympy.Max, _extreme("max")),
        (sympy.Min, _extreme("min")),
        (sympy.Mod, _mod),
        (sympy.Rel, _relation),
        (sympy.And, _joined("and")),
        (sympy.Or, _joined("or")),
        (type(sympy.true), lambda _: "<mtext>every size</mtext>"),
        (type(sympy.false), lambda _: "<mtext>no size</mtext>"),
        (sympy.Piecewise, _piecewise),
        (sympy.Tuple, lambda e: shape(tuple(e))),
    )
