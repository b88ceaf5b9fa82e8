"""Divisors of numbers: of how many places an axis may be made, and how a product is shared out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def splits(target: int, signed: Sequence[bool]) -> Iterator[tuple[int, ...]]:
    """All ordered ways to write `target` as a product; a factor may be negative if `signed`."""
    if len(signed) == 1:
        if target > 0 or signed[0]:
            yield (target,)
        return
    for d in divisors(abs(target)):
        for first in (d, -d) if signed[0] else (d,):
            for rest in splits(target // first, signed[1:]):
                yield (first, *rest)
