"""What speaks of the sizes through one product only: a condition on one number.

The law: *where every size stands in the product p, a condition is one on p, which may be linear*:
``2*H*W >= 16*ceil(H*W/16)`` of ``p = H*W`` is ``2*p >= 16*ceil(p/16)``, and that is ``p >= 8``. So
tokens that are padded to whole groups, or cut to them, are asked for in their number.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size, exact_div
from symcnn.sets.products import is_linear


def through_one(expr: Size, name: str) -> tuple[Size, Size] | None:
    """(p, e): the expression is e where `name` is p, the one product in it; None where there is
    none, or more.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> through_one(2*H*W - 16*((H*W + 15)//16), "p"), through_one(H*W - H*(W//2), "p")
    ((H*W, -16*((p + 15)//16) + 2*p), None)
    """
    for atom in sz.every_atom(expr):
        for arg in atom.args if _is_lump(atom) else ():
            whole, _ = _apart(arg)
            if isinstance(whole, Size) and not is_linear(whole):
                shared = gcd(*map(int, whole.terms.values()))
                p = Size({mono: int(c) // shared for mono, c in whole.terms.items()})
                found = _written(expr, p, Size.symbol(name))
                return (p, found) if isinstance(found, Size) else None
    return None


def is_remainder(expr: Size) -> bool:
    """Whether it is what a number leaves, but for numbers."""
    for mono, often in expr.terms.items():
        floor = sz.sole_atom(Size({mono: 1})) if mono else None
        if isinstance(floor, sz.Floor) and isinstance(floor.den, int):
            left = sz.mod(floor.num, floor.den)
            return isinstance(expr + left * Fraction(often, floor.den), int)
    return False


def _is_lump(atom: sz.Atom | None) -> bool:
    """Whether it is a floor by a number, or a maximum, of what is not linear."""
    if isinstance(atom, sz.Floor) and isinstance(atom.den, Size):
        return False
    return isinstance(atom, (sz.Floor, sz.Max)) and not is_linear(atom.size())


def _apart(expr: Int) -> tuple[Int, dict[sz.Atom, int]]:
    """The floors and maxima of products that are added, how often, and all other terms but for
    the number.
    """
    lumps: dict[sz.Atom, int] = {}
    rest: Int = 0
    for mono, coeff in expr.terms.items() if isinstance(expr, Size) else ():
        atom = sz.sole_atom(Size({mono: 1})) if mono else None
        if atom is not None and _is_lump(atom):
            lumps[atom] = int(coeff)
        elif mono:
            rest = rest + Size({mono: coeff})
    return rest, lumps


def _written(expr: Int, whole: Size, p: Size) -> Int | None:
    """An expression with `p` for the product; None where it has sizes besides."""
    if isinstance(expr, int):
        return expr
    rest, lumps = _apart(expr)
    share = exact_div(rest, whole)
    times = None if share is None else _written(share, whole, p)
    if times is None:
        return None
    found = p * times + int(expr.const)
    for atom, often in lumps.items():
        args = [_written(arg, whole, p) for arg in atom.args]
        known = [arg for arg in args if arg is not None]
        if len(known) < len(args):
            return None
        found = found + (sz.floordiv if isinstance(atom, sz.Floor) else sz.maximum)(*known) * often
    return found
