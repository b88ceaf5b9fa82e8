"""Divisors of numbers: of how many places an axis may be made, and how a product is shared out."""

from __future__ import annotations

from functools import lru_cache

from symcnn.errors import Undecidable

#: Numbers up to this one are factorised; a tensor has fewer elements.
_LARGE = 1 << 64


def divisors(n: int) -> list[int]:
    """The divisors of a number, in order."""
    return list(_divisors_of(n))


@lru_cache(maxsize=1024)
def _divisors_of(n: int) -> tuple[int, ...]:
    from sympy import divisors, factorint, isprime

    if n >= _LARGE:
        rest = [p for p in factorint(n, limit=1 << 12) if p >= _LARGE or not isprime(p)]
        if rest:
            raise Undecidable(
                f"{n} is too large to be written as a product of sizes",
                cure="no tensor has so many elements",
            )
    return tuple(divisors(n))
