r"""Sympy's sums and products that print in the shortest spelling.

A formula is calculated with in its normal form, so that equal formulas are equal objects, and read
in its shortest spelling (`symcnn.algebra.factor`). Sympy prints the normal form of its own ``Add``
and ``Mul``; users get these instead, which are equal to them, calculate as they do (what comes of
it is sympy's own), and differ in print only::

    >>> from symcnn.algebra.size import Size
    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> area = legible(((H - 1)//2) * ((W - 1)//2))
    >>> area, area + 1
    (((H - 1)//2)*((W - 1)//2), ((H + 1)//2)*((W + 1)//2) - ((H + 1)//2) - ((W + 1)//2) + 2)
    >>> sympy.latex(legible((H - 1)//2))
    '\\left\\lfloor \\frac{H - 1}{2} \\right\\rfloor'
"""

from __future__ import annotations

from typing import Any

from symcnn.algebra.expr import Expr, from_sympy, to_sympy
from symcnn.algebra.factor import reading, text
from symcnn.algebra.size import Int
from symcnn.errors import BadSpec
from symcnn.lazy import sympy


def legible(expr: Int) -> Expr:
    """A kernel expression for users: an int, or sympy's, which prints in its shortest spelling."""
    if isinstance(expr, int):
        return expr
    found = to_sympy(expr)
    kind = _KINDS.get(type(found))
    return kind._from_args(found.args, True) if kind is not None else found


class _Legible(sympy.Expr):  # type: ignore[misc]
    """What a sum and a product share: the plain one, and how it prints."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return bool(self.func._from_args(self.args, True) == other)

    __hash__ = sympy.Expr.__hash__

    def _sympystr(self, printer: Any) -> str:
        try:
            return text(from_sympy(self))
        except BadSpec:  # not a size: a part that sympy took of one
            return str(printer._print(self.func._from_args(self.args, True)))

    def _latex(self, printer: Any) -> str:
        try:
            return str(printer._print(reading(from_sympy(self))))
        except BadSpec:
            return str(printer._print(self.func._from_args(self.args, True)))


class _LegibleAdd(_Legible, sympy.Add):  # type: ignore[misc]
    __slots__ = ()
    func = sympy.Add


class _LegibleMul(_Legible, sympy.Mul):  # type: ignore[misc]
    __slots__ = ()
    func = sympy.Mul


_KINDS: dict[type, Any] = {sympy.Add: _LegibleAdd, sympy.Mul: _LegibleMul}
for _plain, _kind in _KINDS.items():
    _kind.__name__ = _plain.__name__  # sympy hashes and sorts by names
