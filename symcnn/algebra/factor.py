"""Products: a polynomial as a product of its factors, for solving and for reading.

Expanding is what makes equal sizes equal objects; factoring is what people, and divisor
arguments, want to see: ``256*((H - 35)//32)*((W - 35)//32)``. The factoring is sympy's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

import sympy

from symcnn.algebra.size import Coeff, Int, Size, prod, unfolded, upper

__all__ = ["factors", "text"]


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
    atoms = {atom: sympy.Dummy() for atom in expr.atoms()}
    terms = []
    for mono, coeff in expr.terms.items():
        if not isinstance(coeff, int) or any(power < 0 for _, power in mono):
            raise ValueError(f"{expr} is not a polynomial with whole coefficients")
        terms.append(sympy.Mul(coeff, *(atoms[atom] ** power for atom, power in mono)))
    content, found = sympy.factor_list(sympy.Add(*terms), *atoms.values())
    parts: list[Size] = []
    sign = int(content)
    for factor, power in found:
        size: Int = 0
        for powers, coeff in sympy.Poly(factor, *atoms.values()).terms():
            size = size + int(coeff) * prod(
                a.size() ** p for a, p in zip(atoms, powers, strict=True)
            )
        assert isinstance(size, Size)
        high = upper(size)
        if high is not None and high < 0:
            size, sign = -size, sign * (-1) ** int(power)
        parts += [size] * power
    return tuple(parts), sign


def text(expr: Int) -> str:
    """An expression for reading: a product where it is one, and where that is shorter a product
    and a number, ``2*(k - 1)*(2**n - 1) + 1``.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> text(256 * ((H - 35)//32) * ((W - 35)//32)), text(9*H * W - 18*H - 18*W + 40)
    ('256*((H - 35)//32)*((W - 35)//32)', '9*(H - 2)*(W - 2) + 4')
    """
    if isinstance(expr, int) or all(sum(power for _, power in mono) < 2 for mono in expr.terms):
        return str(expr)
    expr = unfolded(expr)
    if product := _product(expr):
        return product
    words = [str(expr)]
    for beside in _beside(expr):
        if product := _product(expr - beside):
            words.append(f"{product} {'-' if beside < 0 else '+'} {abs(beside)}")
    return min(words, key=len)


def _beside(expr: Int) -> Iterator[int]:
    """Numbers that may stand beside a product: the constant; of ``a*x*y + b*x + c*y + d``, which
    is a product but for it, ``d - b*c/a``.
    """
    terms = expr.terms if isinstance(expr, Size) else {}
    const = terms.get(())
    if len(terms) < 4 or type(const) is not int or not all(map(_whole, terms.values())):
        return
    yield const
    if len(terms) == 4:
        most = max(terms, key=lambda mono: sum(power for _, power in mono))
        one, other = (mono for mono in terms if mono and mono != most)
        if Size({one: 1}) * Size({other: 1}) == Size({most: 1}):
            product = Fraction(terms[one] * terms[other], terms[most])
            if product.denominator == 1 and product != const:
                yield const - int(product)


def _whole(coeff: Coeff) -> bool:
    return type(coeff) is int


def _product(expr: Int) -> str:
    """A product as text; empty for what is none."""
    if isinstance(expr, int):
        return ""
    try:
        parts, content = factors(expr)
    except ValueError:
        return ""
    if len(parts) < 2:
        return ""
    words = "" if content == 1 else "-" if content == -1 else f"{content}*"
    texts = []
    for part, power in Counter(map(str, parts)).items():
        base = part if part.isidentifier() else f"({part})"
        texts.append(base if power == 1 else f"{base}**{power}")
    return words + "*".join(sorted(texts, key=lambda t: (t not in ("N", "B"), t.lstrip("("))))
