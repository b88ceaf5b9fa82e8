"""Floors of products, such as ``(H*W)//4`` beside ``(H//2)*(W//2)`` in self-attention that pools.

The law: *where the residues of its sizes are fixed, a floor of a product by a number is a
polynomial, and a floor of what is linear.* With ``H = 2*h + r`` and ``W = 2*w + s``, ``(H*W)//4``
is ``h*w + (2*h*s + 2*r*w + r*s)//4``. So a condition is a case for each choice of residues, and
where the products of the quotients cancel, all cases are linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import lcm

from symcnn.algebra import size as sz
from symcnn.algebra.divisors import divisors
from symcnn.algebra.size import Int, Size, floordiv, mod
from symcnn.algebra.substitute import replaced
from symcnn.sets.condition import Condition
from symcnn.sets.downset import Bound
from symcnn.sets.products import Cases, is_linear

#: So many choices of residues are written out.
_MANY = 256


def by_residues(condition: Condition) -> Cases | None:
    """A condition on floors of products as linear ones, a case for each choice of residues by the
    least number that leaves no products; None where there is none.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> for case in by_residues(Condition((H*W) // 2, "==", H * (W//2))):
    ...     print(*case, sep=" and ")
    H - 2*(H//2) == 0 and W - 2*(W//2) == 0
    H - 2*(H//2) == 0 and W - 2*(W//2) == 1 and H//2 == 0
    H - 2*(H//2) == 1 and W - 2*(W//2) == 0
    H - 2*(H//2) == 1 and W - 2*(W//2) == 1 and H//2 == 0
    """
    gap = condition.lhs - condition.rhs
    if isinstance(gap, int) or all(is_linear(atom.size()) for atom in gap.atoms()):
        return None
    symbols = [a for a in sz.every_atom(gap) if isinstance(a, sz.Symbol)]
    whole = lcm(*map(_divisor, gap.atoms()))
    for by in divisors(whole)[1:] if whole else ():
        if by ** len(symbols) > _MANY:
            break
        if (found := _cases(condition, gap, symbols, by)) is not None:
            return found
    return None


def _cases(condition: Condition, gap: Size, symbols: Sequence[sz.Symbol], by: int) -> Cases | None:
    """A case for each choice of residues of the symbols; None where one is not linear."""
    found: Cases = []
    for residues in product(range(by), repeat=len(symbols)):
        left: Int = gap
        for symbol, residue in zip(symbols, residues, strict=True):
            left = replaced(left, symbol, symbol.size() * by + residue)
        if not is_linear(left):
            return None
        if isinstance(left, int) and not (left >= 0 if condition.relation == ">=" else left == 0):
            continue
        case: list[Condition | Bound] = [
            Condition(mod(symbol.size(), by), "==", residue)
            for symbol, residue in zip(symbols, residues, strict=True)
        ]
        if isinstance(left, Size):
            for symbol in symbols:
                left = replaced(left, symbol, floordiv(symbol.size(), by))
            case.append(Condition(left, condition.relation, 0))
        found.append(case)
    return found


def _divisor(atom: sz.Atom) -> int:
    """By what a size is divided before it is in a polynomial; 0 where that is no number."""
    if isinstance(atom, sz.Symbol):
        return 1
    if not isinstance(atom, sz.Floor) or type(atom.den) is not int:
        return 0
    return atom.den * lcm(*map(_divisor, atom.num.atoms()))
