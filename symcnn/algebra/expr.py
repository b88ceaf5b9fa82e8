"""Arithmetic for ints, kernel sizes and sympy alike: axis maps are written once for all three.

An answer is sympy's where an argument is. What sympy sees of a size is in `symcnn.algebra.sympy`,
which loads where a formula is met: a trace meets none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, SupportsIndex, TypeVar, Union

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size
from symcnn.lazy import sympy

#: What users see of a size: an int, or sympy's.
Expr = Union[int, "sympy.Expr"]
#: A number of any kind: axis maps take all of them.
Number = Union[int, Size, "sympy.Expr"]
#: Of whole numbers a whole number is made, of the kernel's sizes one of these.
_Kind = TypeVar("_Kind", int, Int, Number)


def is_sympy(value: object) -> bool:
    """Whether it is an object of sympy's: there are none before sympy is loaded."""
    return "sympy" in sys.modules and isinstance(value, sympy.Basic)


def to_sympy(expr: Int) -> sympy.Expr:
    """A kernel expression as a sympy one (int stays a sympy Integer)."""
    from symcnn.algebra import sympy as seen

    return seen.to_sympy(expr)


def from_sympy(expr: Number | SupportsIndex) -> Int:
    """An int or sympy expression as a kernel expression, in floor normal form.

    Raises BadSpec for something that sympy does not know to be an integer.
    """
    if isinstance(expr, (int, Size)):
        return int(expr) if isinstance(expr, bool) else expr
    from symcnn.algebra import sympy as seen

    return seen.from_sympy(expr)


def _lifted(function: Callable[..., Int], *args: Number) -> Any:
    """Apply a kernel function; the answer is sympy's if an argument is."""
    if any(map(is_sympy, args)):
        return to_sympy(function(*map(from_sympy, args)))
    return function(*args)


def floordiv(num: _Kind, den: _Kind) -> _Kind:
    """``floor(num/den)`` in floor normal form, for ints and expressions alike.

    >>> from symcnn import H
    >>> floordiv(H + 33, 32), floordiv(-7, 2)
    ((H + 1)//32 + 1, -4)
    """
    found: _Kind = _lifted(sz.floordiv, num, den)
    return found


def ceildiv(num: _Kind, den: _Kind) -> _Kind:
    """The ceiling of a quotient, ``ceil(num/den)``, in floor normal form.

    Args:
        num: a number or an expression.
        den: a number or an expression, not 0.

    Returns:
        A number, or an expression with a floor.

    Raises:
        ZeroDivisionError: for a denominator of 0.

    >>> from symcnn import H
    >>> ceildiv(H, 2)
    (H + 1)//2
    """
    found: _Kind = _lifted(sz.ceildiv, num, den)
    return found


def maximum(*args: _Kind) -> _Kind:
    """The largest; what can never be the largest is dropped (sizes are positive).

    >>> from symcnn import H, W
    >>> maximum(H, 0), maximum(H, W)
    (H, Max(H, W))
    """
    found: _Kind = _lifted(sz.maximum, *args)
    return found


def minimum(*args: _Kind) -> _Kind:
    """The smallest, in the same normal form as `maximum`.

    >>> from symcnn import H
    >>> minimum(H, H + 3)
    H
    """
    found: _Kind = _lifted(sz.minimum, *args)
    return found


def scaled(x: _Kind, scale: float) -> _Kind:
    """``trunc(double(x) * scale)``, see `Trunc`.

    >>> from symcnn import H
    >>> scaled(100, 0.29), scaled(H, 1.5)
    (28, H + H//2)
    """
    found: _Kind = _lifted(lambda size: sz.scaled(size, scale), x)
    return found
