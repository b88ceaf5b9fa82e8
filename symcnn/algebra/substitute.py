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
    return _Made({atom: by}).of(expr)


class _Made(dict[Atom, "Int | None"]):
    """What becomes of atoms; None of those in which the one that is replaced does not stand."""

    def __missing__(self, atom: Atom) -> Int | None:
        self[atom] = None
        if isinstance(atom, (Floor, Max)):
            args = [*map(self.of, atom.args)]
            if any(map(is_not, args, atom.args)):
                self[atom] = (floordiv if isinstance(atom, Floor) else maximum)(*args)
        return self[atom]

    def of(self, expr: Int) -> Int:
        """What becomes of an expression."""
        if isinstance(expr, int) or all(self[atom] is None for atom in expr.atoms()):
            return expr
        return expr.map(self._whole)

    def _whole(self, atom: Atom) -> Int:
        new = self[atom]
        return atom.size() if new is None else new
