"""Regions in words, as short as isl can tell: runs of each size where a set is their product.

The law: *a text is of the members.* Equal regions may be kept in other parts, so what is written is
first taken apart anew: into disjoint products of the sizes, where there are such.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from math import gcd
from typing import Any

from symcnn.algebra.divisors import divisors
from symcnn.errors import Undecidable
from symcnn.sets.downset import ranges
from symcnn.sets.isl import is_product, isl, optimum, parts, question, stripes, tried
from symcnn.sets.region import Region, plainly_nothing
from symcnn.sets.runs import Run, spoken
from symcnn.sets.words import as_it_is, as_mod, conjunction, constraints, sentences

#: So many products of single sizes are told by the area that they share, if they do.
_SEVERAL = 6


@lru_cache(maxsize=1024)
@question
def factors(region: Region) -> tuple[Region, ...]:
    """The regions of the single sizes if this is their product, as isl decides; else none."""
    if not tried(is_product, region.isl, False, 300_000):
        return ()
    return tuple(region.over((n,)) for n in region.names)


@question
def products(region: Region) -> list[Region]:
    """Disjoint regions whose union this is: products of single sizes, where there are such."""
    if factors(region):
        return [region]
    return [
        _plain(region.names, piece)
        for part in parts(region.isl)
        for piece in _plainer(region.names, part)
    ]


def _plain(names: Sequence[str], isl_set: Any) -> Region:
    return Region(names, {frozenset(): isl_set})


def _plainer(names: Sequence[str], part: Any) -> list[Any]:
    """A part in products, where its constraints have floors and few products are the same."""
    if tried(is_product, part, False, 300_000):
        return [part]
    floors = any("//" in str(c) for c in constraints(names, part) if as_mod(c) is None)
    return tried(stripes, part, [part]) if floors else [part]


def in_few_words(names: Sequence[str], sides: Sequence[Region]) -> str:
    """The product of regions over `names`, of which none is empty.

    Raises Undecidable if that takes too many steps.
    """
    if len(sides) > 1 or not all(side.plain for side in sides):
        return conjunction([text for side in sides if (text := _cases(side))])
    whole = Region.product(names, sides)
    pieces = products(whole)
    if len(pieces) == 1:
        return _product(pieces[0])
    if (diagonal := _diagonal(whole)) is not None:
        return diagonal
    pieces, texts = _by_area(sorted(pieces, key=_rank))
    texts += map(_product, pieces)
    if len(texts) == 1:
        return texts[0]
    return " or ".join(f"({t})" if " and " in t else t for t in texts)


def _by_area(pieces: list[Region]) -> tuple[list[Region], list[str]]:
    """Pieces of two sizes that are all tiles of a grid of the same area, in one text for each area:
    ``(H//16)*(W//16) == 196``; and those that are left.
    """
    tiles = [[side.runs for side in factors(piece)] for piece in pieces]
    if len(pieces) < _SEVERAL or not all(len(t) == 2 and all(map(_is_interval, t)) for t in tiles):
        return pieces, []
    texts, left = list[str](), dict(enumerate(pieces))
    grid = [gcd(*(side[0].first for side in sides)) for sides in zip(*tiles, strict=True)]
    longs = [{side[0].count or 0 for side in sides} for sides in zip(*tiles, strict=True)]
    if any(len(long) != 1 or max(long) > m for long, m in zip(longs, grid, strict=True)):
        return pieces, []
    places = {tuple(t[k][0].first // grid[k] for k in (0, 1)): i for i, t in enumerate(tiles)}
    names = pieces[0].names
    cells = [n if m == 1 else f"({n}//{m})" for n, m in zip(names, grid, strict=True)]
    ends = [
        f"{n} % {m} <= {max(long) - 1}" if max(long) > 1 else f"{n} % {m} == 0"
        for n, m, long in zip(names, grid, longs, strict=True)
        if max(long) < m
    ]
    for area in sorted({a * b for a, b in places}):
        pairs = [(d, area // d) for d in divisors(area)]
        if len(pairs) >= _SEVERAL and places.keys() >= {*pairs}:
            texts.append(" and ".join([f"{cells[0]}*{cells[1]} == {area}", *ends]))
            for pair in pairs:
                del left[places[pair]]
    return [*left.values()], texts


def _is_interval(runs: Sequence[Run]) -> bool:
    return len(runs) == 1 and runs[0].step == 1 and runs[0].last is not None


def nowhere(names: Sequence[str]) -> str:
    """The empty set."""
    return f"no size{'s' * (len(names) > 1)} {' and '.join(names)}"


def _cases(side: Region) -> str:
    """The cases of a region with their bounds."""
    side = _listed_out(side)
    texts = []
    cases = sorted(side.cases.items(), key=lambda case: sorted(map(str, case[0])))
    filled = [(b, s) for b, s in cases if not b or not plainly_nothing(side.names, s, b)]
    for bounds, isl_set in filled or cases:
        words = _case(_plain(side.names, isl_set))
        spoken_of = {f"{n} >= 1" for b in bounds for n in b.symbols}
        kept = [words] if " or " in words else words.split(" and ")
        texts.append(conjunction([*(w for w in kept if w not in spoken_of), *ranges(bounds)]))
    return " or ".join(f"({t})" if " and " in t and len(texts) > 1 else t for t in texts)


@question
def _case(region: Region) -> str:
    if region.is_empty():
        return nowhere(region.names)
    try:
        return in_few_words(region.names, [region])
    except Undecidable:  # a set that takes too many steps to shorten is said as it is
        return as_it_is([(region.names, region.cases)])


def _listed_out(side: Region) -> Region:
    """The same without bounds, if one of them is an equation and it has an end: in its members."""
    equations = any(
        replace(b.contrary, limit=b.limit + 1) in bounds
        for bounds in side.cases
        for b in bounds
        if b.above
    )
    if equations and side.is_bounded():
        with suppress(Undecidable):
            return _plain(side.names, side.isl)
    return side


def _rank(product: Region) -> tuple[int, ...]:
    """What fits into the smallest square comes first, then the least sum."""
    dims = [f"x{i}" for i in range(len(product.names))]
    return optimum(product.isl, dims, [dims], ["c0", " + ".join(dims)])[0]


def _product(region: Region) -> str:
    single = factors(region)
    if single:
        return conjunction([_size(side) for side in single])
    if (diagonal := _diagonal(region)) is not None:
        return diagonal
    return " and ".join(sentences(constraints(region.names, region.isl)))


def _diagonal(region: Region) -> str | None:
    """Several sizes that are equal in every member: one of them says it all. None for others."""
    first, *others = region.names
    dims = [f"x{i}" for i in range(len(region.names))]
    equal = f"{{ [{', '.join(dims)}] : {' = '.join(dims)} }}"
    if not others or not region.isl.is_subset(isl().Set(equal)):
        return None
    runs = " or ".join(spoken(region.over((first,)).runs, first))
    return conjunction([runs, *(f"{first} == {n}" for n in others)])


def _size(region: Region) -> str:
    """One size in words; by its constraints where it repeats after very many only."""
    try:
        return " or ".join(spoken(region.runs, *region.names))
    except Undecidable:
        return " or ".join(
            " and ".join(sentences(constraints(region.names, part))) for part in parts(region.isl)
        )
