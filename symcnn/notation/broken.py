r"""Formulas that are wider than a page, over several lines.

A formula is a row of pieces, after each of which a line may end. The law: *what is too wide is the
row of its parts' pieces*: the terms of a sum, the factors of a product, the arguments of a maximum,
the numerator of a floor. Brackets in which a line may end have a fixed size: ``\bigl( ... \bigr)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from symcnn.algebra.factor import Product, raised, spelled
from symcnn.algebra.size import Atom, Coeff, Floor, Int, Max, Monomial, Size, sole_atom
from symcnn.notation.latex import Notation, formula, is_sum, number, order_of_reading, times

#: What a line of a document holds, in glyphs.
_WIDE = 48

#: What takes no room, or next to none: commands, braces, spaces.
_UNSEEN = re.compile(r"\\[A-Za-z]+|\\.|[{}\s]")


def too_wide(text: str) -> bool:
    r"""Whether LaTeX is wider than a line.

    >>> too_wide(r"\left\lfloor \frac{H}{2} \right\rfloor"), too_wide("H + " * 40)
    (False, True)
    """
    return _glyphs(text) > _WIDE


def _glyphs(text: str) -> int:
    return len(_UNSEEN.sub("", text))


def filled(pieces: Sequence[str], wide: int = _WIDE) -> list[str]:
    r"""Pieces in lines that are no wider than a page's, where a piece is not.

    >>> filled(["a", "+ bb", "- c"], wide=5)
    ['a + bb', '- c']
    """
    lines: list[str] = []
    room = 0
    for piece in pieces:
        glyphs = _glyphs(piece)
        if lines and glyphs <= room:
            lines[-1] += f" {piece}"
            room -= glyphs
        else:
            lines.append(piece)
            room = wide - glyphs
    return lines


def pieces(expr: Int, notation: Notation | None = None) -> list[str]:
    r"""A formula in pieces: one, if it fits on a line.

    >>> from symcnn.algebra.size import maximum
    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> pieces(maximum(H, W))
    ['\\max\\left(H, W\\right)']
    >>> pieces(7*maximum(*(10**9 * H * W**d - d for d in (2, 4, 6))))[:2]
    ['7', '\\, \\max\\bigl(1\\,000\\,000\\,000 \\, H \\, W^{2} - 2,']
    """
    notation = notation or Notation()
    whole = formula(expr, notation)
    if isinstance(expr, int) or not too_wide(whole):
        return [whole]
    written = spelled(expr)
    if isinstance(written, Product):
        parts = sorted(written.parts, key=lambda pair: order_of_reading(pair[0]))
        factors = [_power(_operand(part, notation), power) for part, power in parts]
        content = [] if abs(written.content) == 1 else [[formula(abs(written.content), notation)]]
        product = multiplied([*content, *factors])
        if written.content < 0:
            product[0] = f"- {product[0]}"
        return added([product, *([[formula(written.beside, notation)]] if written.beside else [])])
    if isinstance(written, int):
        return [formula(written, notation)]
    return added(_term(mono, coeff, notation) for mono, coeff in written.ordered())


def shape(dims: Sequence[Int], notation: Notation) -> list[str]:
    r"""Sizes of a shape in pieces: one, if it fits on a line.

    >>> shape((8, Size.symbol("H") - 2), Notation())
    ['8 \\times \\left(H - 2\\right)']
    """
    whole = times(dims, notation)
    if len(dims) == 1 or not too_wide(whole):
        return pieces(dims[0], notation) if len(dims) == 1 else [whole]
    return multiplied((_operand(dim, notation) for dim in dims), r"\times")


def _term(mono: Monomial, coeff: Coeff, notation: Notation) -> list[str]:
    """A term of a sum, with a minus where it has one."""
    whole = formula(Size({mono: coeff}), notation)
    if not too_wide(whole):
        return [whole]
    least = coeff < 0 and len(mono) == 1 and isinstance(mono[0][0], Max) and mono[0][1] == 1
    scale = [] if abs(coeff) == 1 else [[_coefficient(coeff, notation)]]
    if least:  # min(a, b) is -max(-a, -b)
        lists = [pieces(-arg, notation) for arg in mono[0][0].args]
        return multiplied([*scale, applied_to(r"\min", lists)])
    factors = [_power(_atom(atom, notation), power) for atom, power in mono]
    product = multiplied([*scale, *factors])
    return [f"- {product[0]}", *product[1:]] if coeff < 0 else product


def _coefficient(value: Coeff, notation: Notation) -> str:
    above, below = number(abs(value.numerator), notation), number(value.denominator, notation)
    return above if value.denominator == 1 else rf"\frac{{{above}}}{{{below}}}"


def _atom(atom: Atom, notation: Notation) -> list[str]:
    if isinstance(atom, Max):
        return applied_to(r"\max", [pieces(arg, notation) for arg in atom.args])
    if isinstance(atom, Floor):
        shortest = notation.floors == "shortest"
        above, kind = raised(atom.num, atom.den) if shortest else (atom.num, "floor")
        return floored(pieces(above, notation), atom.den, notation, kind)
    return [formula(atom.size(), notation)]


def _operand(expr: Int, notation: Notation) -> list[str]:
    """A factor: a sum in brackets."""
    return bracketed(pieces(expr, notation)) if is_sum(expr) else pieces(expr, notation)


def _power(base: list[str], power: int) -> list[str]:
    return base if power == 1 else [*base[:-1], f"{base[-1]}^{{{power}}}"]


def bracketed(inner: Sequence[str], left: str = r"\bigl(", right: str = r"\bigr)") -> list[str]:
    r"""Pieces between brackets.

    >>> bracketed(["a", "+ b"])
    ['\\bigl(a', '+ b\\bigr)']
    """
    found = [*inner]
    found[0] = f"{left}{found[0]}"
    found[-1] += right
    return found


def applied_to(name: str, lists: Iterable[Sequence[str]]) -> list[str]:
    r"""A function of several arguments, each in pieces.

    >>> applied_to(r"\max", [["a", "+ b"], ["c"]])
    ['\\max\\bigl(a', '+ b,', 'c\\bigr)']
    """
    *most, last = lists
    inner = [piece for one in most for piece in (*one[:-1], f"{one[-1]},")]
    return bracketed([*inner, *last], rf"{name}\bigl(")


def floored(num: Sequence[str], den: Int, notation: Notation, kind: str = "floor") -> list[str]:
    r"""A floor or ceiling of a ratio around a slash, what is above it in pieces.

    >>> floored(["a", "+ b"], 2, Notation())
    ['\\bigl\\lfloor (a', '+ b) / 2\\bigr\\rfloor']
    """
    division = notation.floors == "division"
    slash = r"\mathbin{//}" if division else "/"
    above, below = bracketed(num, "(", ")"), pieces(den, notation)
    if isinstance(den, Size) and sole_atom(den) is None:
        below = bracketed(below, "(", ")")
    ratio = [*above[:-1], f"{above[-1]} {slash} {below[0]}", *below[1:]]
    return bracketed(ratio) if division else bracketed(ratio, rf"\bigl\l{kind} ", rf"\bigr\r{kind}")


def multiplied(lists: Iterable[Sequence[str]], times: str = r"\,") -> list[str]:
    r"""Factors in pieces.

    >>> multiplied([["7"], ["a", "+ b"]])
    ['7', '\\, a', '+ b']
    """
    first, *others = lists
    return [*first, *(p for one in others for p in (f"{times} {one[0]}", *one[1:]))]


def added(lists: Iterable[Sequence[str]]) -> list[str]:
    """Terms in pieces, all but the first with a sign before it.

    >>> added([["-a"], ["b"], ["- c", "d"]])
    ['-a', '+ b', '- c', 'd']
    """
    (first, *others) = lists
    found = [*first]
    for head, *rest in others:
        less = head.startswith("-")
        found += [f"- {head[1:].lstrip()}" if less else f"+ {head}", *rest]
    return found
