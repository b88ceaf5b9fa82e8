"""One atom of an expression replaced, wherever it stands, and the normal form of what comes out.

>>> from symcnn.algebra.factor import text
>>> from symcnn.algebra.size import Size, maximum
>>> h, w = Size.symbol("H"), Size.symbol("W")
>>> (atom,) = (h // 2).atoms()
>>> text(replaced(maximum(h // 2, w) + h // 2, atom, 5))
'max(W, 5) + 5'
"""

from __future__ import annotations

from symcnn.algebra.size import Atom, Floor, Int, Max, every_atom, floordiv, maximum

__all__ = ["replaced"]


def replaced(expr: Int, atom: Atom, by: Int) -> Int:
    """`expr` with an atom replaced wherever it stands, inside floors and maxima too."""

    def put(other: Atom) -> Int:
        if isinstance(other, (Floor, Max)) and atom in {*every_atom(*other.args)}:
            make = floordiv if isinstance(other, Floor) else maximum
            return make(*(replaced(arg, atom, by) for arg in other.args))
        return by if other == atom else other.size()

    return expr if isinstance(expr, int) or atom not in {*every_atom(expr)} else expr.map(put)
