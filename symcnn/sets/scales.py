"""Float scales: ``trunc(double(x)*scale)``, as torch's interpolate computes sizes, exactly.

A float scale is a floor but for multiples of the denominator in one interval per power of two, for
sizes up to 2**31.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

#: What a float scale does is known exactly for sizes up to this one.
_LONGEST = 1 << 31


def least(scale: float, target: int) -> int:
    """The least x >= 0 with ``trunc(double(x)*scale) >= target`` (the map is monotone)."""
    low, high = 0, max(1, int(target / scale) + 2)
    while low < high:
        middle = (low + high) // 2
        if int(float(middle) * scale) >= target:
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache(maxsize=256)
def ratio(scale: float) -> Fraction | None:
    """The fraction p/q that the double `scale` stands for (0.29: 29/100), if p and q are small.

    Small: then, for x up to 2**31, ``double(x)*scale`` comes out on the same side of every
    integer as ``x*p/q``, but where that is an integer itself.
    """
    near = Fraction(scale).limit_denominator(1 << 16)
    same = scale > 0 and float(near) == scale and near.numerator < 1 << 20
    return near if same else None


@lru_cache(maxsize=256)
def shortfalls(scale: float) -> tuple[tuple[int, int], ...]:
    """Intervals of x, up to 2**31, in which ``trunc(x*scale) == x*p/q - 1`` at multiples of q.

    Elsewhere it is ``floor(x*p/q)``. For a double below p/q, ``x*scale`` misses the integer by
    an amount that grows with x, and is rounded up to it while that is at most half a unit in the
    last place, which doubles at powers of two: from one such power to the next, the misses are
    the last few multiples, and where they begin is found by bisection.
    """
    fraction = ratio(scale)
    assert fraction is not None
    p, q = fraction.numerator, fraction.denominator

    def short(t: int) -> bool:
        return int(float(q * t) * scale) < p * t

    found: list[tuple[int, int]] = []
    power = 1
    while scale < fraction and q * (first := -(-power // p)) <= _LONGEST:
        last = min((2 * power - 1) // p, _LONGEST // q)
        power *= 2
        if first > last:
            continue
        if p * first == power // 2 and short(first):  # the unit below a power of two is halved
            found.append((q * first, q * first))
        low, high = first, last + 1
        if p * first == power // 2:
            low += 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if short(middle) else (middle + 1, high)
        if low <= last:
            found.append((q * low, q * last))
    return tuple(found)
