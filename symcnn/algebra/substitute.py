"""One atom of an expression replaced, wherever it stands, and the normal form of what comes out.

>>> from symcnn.algebra.factor import text
>>> from symcnn.algebra.size import Size, maximum
>>> h, w = Size.symbol("H"), Size.symbol("W")
>>> (atom,) = (h // 2).atoms()
>>> text(replaced(maximum(h // 2, w) + h // 2, atom, 5))
'max(W, 5) + 5'
"""

from __future__ import annotations

from operator import is_not

from symcnn.algebra.size import Atom, Floor, Int, Max, floordiv, maximum


def replaced(expr: Int, atom: Atom, by: Int) -> Int:
    """`expr` with an atom replaced wherever it stands, inside floors and maxima too."""
    made: dict[Atom, Int | None] = {atom: by}  # None: it does not stand there

    def put(other: Atom) -> Int | None:
        if other not in made:
            made[other] = None
            if isinstance(other, (Floor, Max)):
                args = [*map(walk, other.args)]
                if any(map(is_not, args, other.args)):
                    made[other] = (floordiv if isinstance(other, Floor) else maximum)(*args)
        return made[other]

    def whole(other: Atom) -> Int:
        new = put(other)
        return other.size() if new is None else new

    def walk(expr: Int) -> Int:
        if isinstance(expr, int) or all(put(other) is None for other in expr.atoms()):
            return expr
        return expr.map(whole)

    return walk(expr)
