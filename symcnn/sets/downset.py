"""Frontiers: where an expression that grows with every size reaches a bound.

**What holds at some sizes, and for an expression that grows, holds at all larger ones.** Such a set
is the union of what lies above its minimal points, of which there are finitely many (Dickson's
lemma). So ``h*w + 3*(h//2)*(w//2) >= 300``, which is no linear condition, is one in the end: a
staircase, and each corner of it is found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, evaluate

__all__ = ["corners", "grows"]

#: A corner is looked for up to this size.
_FAR = 1 << 31


def grows(expr: Int) -> bool:
    """Whether `expr` never falls as a size grows: a glance at its form, so a no may be a yes.

    >>> from symcnn.algebra.size import Size
    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> grows(H * W + (H * W)//7), grows(H * W - H), grows(H * ((W - 9)//2))
    (True, False, False)
    """
    if isinstance(expr, int):
        return True
    return all(
        coeff > 0
        and all(power > 0 and _atom_grows(atom) for atom, power in mono)
        and (sum(p for _, p in mono) == 1 or all(a.low is not None and a.low >= 0 for a, _ in mono))
        for mono, coeff in expr.terms.items()
        if mono
    )


def _atom_grows(atom: sz.Atom) -> bool:
    match atom:
        case sz.Floor():
            return isinstance(atom.den, int) and grows(atom.num)
        case sz.Scaled():
            return grows(atom.arg)
        case sz.Max():
            return all(map(grows, atom.args))
    return isinstance(atom, sz.Symbol)


def corners(expr: Int, bound: int, names: Sequence[str], most: int) -> list[tuple[int, ...]] | None:
    """The minimal positive values of `names` at which `expr`, which grows, is at least `bound`.

    None if there are more than `most`.

    >>> from symcnn.algebra.size import Size
    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> corners(H * W, 12, ("H", "W"), 99)
    [(1, 12), (2, 6), (3, 4), (4, 3), (6, 2), (12, 1)]
    """
    try:
        return _corners(expr, bound, tuple(names), {}, most)
    except OverflowError:
        return None


def _corners(
    expr: Int, bound: int, names: tuple[str, ...], values: Mapping[str, int], most: int
) -> list[tuple[int, ...]]:
    """The same, for the sizes in `values`: where the corners of the rest change, there is one."""
    if not names:
        return [()] if evaluate(expr, values) >= bound else []
    first, rest = names[0], names[1:]

    def above(value: int) -> list[tuple[int, ...]]:
        return _corners(expr, bound, rest, {**values, first: value}, most)

    found: list[tuple[int, ...]] = []
    seen: list[tuple[int, ...]] = []
    value, last = 1, above(_FAR)
    while seen != last:
        value = _least(value, lambda v, old=tuple(seen): tuple(above(v)) != old)  # type: ignore[misc]
        before, seen = seen, above(value)
        found += [(value, *corner) for corner in seen if corner not in before]
        if len(found) > most:
            raise OverflowError
    return found


def _least(start: int, holds: Callable[[int], bool]) -> int:
    """The least value from `start` on at which `holds`, as it does at all that are large."""
    step = 1
    while not holds(start + step - 1):
        step *= 2
    low, high = start + step // 2, start + step - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
