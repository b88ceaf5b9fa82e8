"""Regions: Presburger sets, and among their members those that keep growing expressions in bounds.

A region is a finite union of cases, each an isl set with `Bound`s: a boolean algebra in which
``h*w >= 65536`` costs no more than ``h >= 256``. The contrary of a bound is a bound, so a union, a
difference and a complement are again such unions, and nothing is cut into boxes for them; whether
a case is empty is asked of isl for each box between two steps of a staircase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from heapq import heappop, heappush
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from symcnn.errors import Undecidable
from symcnn.lazy import cached_property
from symcnn.sets.condition import Requirement
from symcnn.sets.downset import (
    BOXES,
    FAR,
    Bound,
    Box,
    boxes,
    halves,
    merged,
    nowhere,
    too_many,
    verdict,
)
from symcnn.sets.isl import (
    breathe,
    coalesced,
    coordinates,
    empty,
    ends,
    is_subset,
    isl,
    nonempty,
    once,
    ordered,
    points,
    question,
    require_few_moduli,
    without,
)
from symcnn.sets.remainders import collapsed
from symcnn.sets.runs import Run, finite_runs, runs_of

if TYPE_CHECKING:
    import islpy

#: So many members are few.
LISTED = 1 << 15

#: So many parts of a set are few.
PARTS = 256

_Bounds = frozenset[Bound]
Point = tuple[int, ...]


class _Part(NamedTuple):
    """A part of a region without bounds, its members, and whether those are all of it."""

    isl: islpy.Set
    members: Sequence[Mapping[str, int]]
    whole: bool


class Region:
    """A set of sizes over `names`: for each set of bounds, the isl set whose members have to keep
    them.
    """

    def __init__(self, names: Sequence[str], cases: Mapping[_Bounds, Any]) -> None:
        self.names = tuple(names)
        self.cases = dict(cases)
        for isl_set in self.cases.values():
            require_few_moduli(isl_set)

    @staticmethod
    def of(names: Sequence[str], cases: Iterable[tuple[islpy.Set, Iterable[Bound]]]) -> Region:
        """The union of the members of isl sets that keep bounds."""
        found: dict[_Bounds, Any] = {}
        for isl_set, bounds in cases:
            breathe()
            bounds = frozenset(bounds)
            whole = _decided(names, isl_set, bounds)
            isl_set, bounds = (isl_set, bounds) if whole is None else (whole, frozenset())
            kept = _merged(names, isl_set, bounds)
            if kept is not None:
                known = found.get(kept)
                found[kept] = isl_set if known is None else coalesced(known.union(isl_set))
        return Region(names, _resolved(names, found))

    # as isl sees it

    @property
    def plain(self) -> bool:
        """Whether no member has a bound to keep."""
        return not any(self.cases)

    @cached_property
    def isl(self) -> islpy.Set:
        """The same as one isl set, bounds cut into boxes."""
        whole = empty(len(self.names))
        for bounds, isl_set in self.cases.items():
            whole = whole.union(_cut(self.names, isl_set, bounds))
        return coalesced(whole)

    @property
    def pieces(self) -> list[Region]:
        """Its convex parts, of which it is the union."""
        sets = isl().Set.from_basic_set
        return [
            Region(self.names, {bounds: sets(part)})
            for bounds, whole in self.cases.items()
            for part in whole.get_basic_sets()
        ]

    def __contains__(self, values: Mapping[str, int]) -> bool:
        point = isl().Set(f"{{ [{', '.join(str(values[n]) for n in self.names)}] }}")
        return any(
            all(b.holds(values) for b in bounds) and not isl_set.intersect(point).is_empty()
            for bounds, isl_set in self.cases.items()
        )

    @cached_property
    def _is_empty(self) -> bool:
        return all(_nothing(self.names, s, bounds) for bounds, s in self.cases.items())

    def is_empty(self) -> bool:
        """Whether there is no member."""
        return self._is_empty

    def is_bounded(self) -> bool:
        """Whether there is an end to the members."""
        return all(
            s.is_bounded() or (bounds and self._ends(s, bounds)) for bounds, s in self.cases.items()
        )

    def _ends(self, isl_set: Any, bounds: _Bounds) -> bool:
        """Whether no member that keeps the bounds has a size next to the largest there are."""
        for name, (low, high) in _box(self.names, isl_set).items():
            if high is None:
                x = f"x{self.names.index(name)}"
                dims = ", ".join(f"x{i}" for i in range(len(self.names)))
                far = isl_set.intersect(isl().Set(f"{{ [{dims}] : {x} >= {max(low, FAR // 2)} }}"))
                kept = _merged(self.names, far, bounds)
                if kept is not None and not _nothing(self.names, far, kept):
                    return False
        return True

    def best(
        self, reach: Callable[[Box], Point], optimum: Callable[[islpy.Set], tuple[Point, Point]]
    ) -> tuple[Point, Point]:
        """The least costs of a member, and the member, of a region that is not empty.

        reach: what the first costs are at least in a box. optimum: the same answer for an isl set.
        Boxes are taken apart, the one that reaches furthest first, until bounds hold all over it.
        """
        if self.plain:
            return optimum(self.isl)
        heap: list[tuple[Point, int, Any]] = []
        for bounds, isl_set in self.cases.items():
            if not isl_set.is_empty():
                box = _box(self.names, isl_set)
                heappush(heap, (reach(box), len(heap), (bounds, isl_set, box)))
        for number in range(BOXES):
            breathe()
            cost, _, found = heappop(heap)
            if len(found) == 1:
                return cost, found[0]
            bounds, isl_set, box = found
            held = verdict(bounds, box)
            if held is False:
                continue
            inside = isl_set.intersect(isl().Set(_text(self.names, [box])))
            if inside.is_empty():
                continue
            if held:
                cost, member = optimum(inside)
                heappush(heap, (cost, -number - 1, (member,)))
            else:
                for i, half in enumerate(halves(bounds, box)):
                    heappush(heap, (reach(half), 2 * number + i + 1024, (bounds, isl_set, half)))
        raise too_many(b for bounds in self.cases for b in bounds)

    @cached_property
    @question
    def _parts(self) -> Sequence[_Part] | None:
        """The region part by part, if its members are few."""
        found: list[_Part] = []
        left = LISTED
        for bounds, isl_set in self.cases.items():
            if not isl_set.is_bounded():
                return None
            for part in nonempty(isl_set):
                breathe()
                left -= _room(part)
                if left < 0:
                    return None
                places = [dict(zip(self.names, point, strict=True)) for point in points(part)]
                members = [m for m in places if all(b.holds(m) for b in bounds)]
                found.append(_Part(part, members, len(members) == len(places)))
        return found

    @cached_property
    def roster(self) -> Sequence[Mapping[str, int]] | None:
        """The members, if they are few: to ask each of them takes no steps of isl."""
        parts = self._parts
        return None if parts is None else [m for part in parts for m in part.members]

    def few_that_meet(self, requirements: Sequence[Requirement]) -> Region | None:
        """The members that meet requirements; None where the members are not few, or one of these
        divides by 0 there.
        """
        if self._parts is None:
            return None
        kept: list[_Part] = []
        for part in self._parts:
            try:
                inside = [m for m in part.members if all(r.holds(m) for r in requirements)]
            except ZeroDivisionError:
                return None
            if part.whole and len(inside) == len(part.members):
                kept.append(part)
            elif inside:
                kept += _blocks(self.names, inside)
        whole = reduce(lambda a, b: a.union(b.isl), kept, empty(len(self.names)))
        found = Region(self.names, {frozenset(): whole})
        vars(found)["_parts"] = kept
        return found

    def ends(self) -> tuple[int, int | None]:
        """The least and the greatest member of a region of one size that is not empty."""
        return ends(self.isl, 0)

    @cached_property
    @question
    def runs(self) -> list[Run]:
        """A region of one size as arithmetic runs, in order."""
        return runs_of(self.isl)

    # algebra

    @once
    def intersect(self, other: Region) -> Region:
        """What is in both."""
        return Region.of(
            self.names,
            (
                (collapsed(s.intersect(t)), a | b)
                for a, s in self.cases.items()
                for b, t in other.cases.items()
            ),
        )

    @once
    def union(self, other: Region) -> Region:
        """What is in one of the two."""
        return Region.of(self.names, ((s, b) for r in (self, other) for b, s in r.cases.items()))

    @once
    def subtract(self, other: Region) -> Region:
        """What is in this one only: outside the isl set of each case of the other, or against one
        of its bounds.
        """
        left = self
        for bounds, isl_set in other.cases.items():
            left = Region.of(self.names, left._without(isl_set, bounds))
        return left

    def _without(self, isl_set: Any, bounds: _Bounds) -> Iterator[tuple[Any, Iterable[Bound]]]:
        for mine, s in self.cases.items():
            yield without(s, isl_set), mine
            kept = list(mine)
            for bound in sorted(bounds - mine, key=str):
                yield s.intersect(isl_set), [*kept, bound.contrary]
                kept.append(bound)

    def is_subset(self, other: Region) -> bool:
        """Whether every member is one of `other`."""
        if self.plain and other.plain:
            return is_subset(self.isl, other.isl)
        return self.subtract(other).is_empty()

    @once
    def is_equal(self, other: Region) -> bool:
        """Whether both have the same members."""
        return self.is_subset(other) and other.is_subset(self)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Region:
        return self

    @question
    def __reduce__(self) -> Any:
        return _loaded, (self.names, [(s.to_str(), bounds) for bounds, s in self.cases.items()])

    # axes

    def over(self, names: Sequence[str]) -> Region:
        """The projection on `names`, in their order."""
        return self if self.names == tuple(names) else self._projected(tuple(names))

    @once
    def _projected(self, names: tuple[str, ...]) -> Region:
        cases = [
            (ordered(s, self.names, names), bounds)
            if all(b.symbols <= {*names} for b in bounds)
            else (ordered(_cut(self.names, s, bounds), self.names, names), ())
            for bounds, s in self.cases.items()
        ]
        return Region.of(names, cases)

    @staticmethod
    def product(names: Sequence[str], factors: Sequence[Region]) -> Region:
        """The product of regions over different sizes, in the order of `names`."""
        if len(factors) == 1:
            return factors[0].over(names)
        return _product(tuple(names), tuple(factors))


@once
@question
def positive(name: str) -> Region:
    """All positive values of a size."""
    return Region((name,), {frozenset(): isl().Set("{ [x] : x >= 1 }")})


@once
def _product(names: tuple[str, ...], factors: tuple[Region, ...]) -> Region:
    have: list[str] = []
    cases: list[tuple[Any, _Bounds]] = [(isl().Set("{ [] }"), frozenset())]
    for number, factor in enumerate(factors):
        cases = [
            (s.flat_product(t) if number else t, a | b)
            for s, a in cases
            for b, t in factor.cases.items()
        ]
        have += factor.names
    return Region.of(have, cases).over(names)


def _blocks(names: Sequence[str], members: Iterable[Mapping[str, int]]) -> Iterator[_Part]:
    """Members as disjoint products of runs, each a part of its own."""
    rows = [tuple(Run(member[name], member[name]) for name in names) for member in members]
    for axis in reversed(range(len(names))):
        lines: dict[tuple[Run, ...], list[int]] = {}
        for row in rows:
            lines.setdefault((*row[:axis], *row[axis + 1 :]), []).append(row[axis].first)
        rows = [
            (*others[:axis], run, *others[axis:])
            for others, numbers in lines.items()
            for run in finite_runs(sorted(numbers))
        ]
    dims = [f"x{i}" for i in range(len(names))]
    for row in rows:
        spans = (
            f"{run.first} <= {x} <= {run.last} and ({x} - {run.first}) mod {run.step} = 0"
            for x, run in zip(dims, row, strict=True)
        )
        isl_set = isl().Set(f"{{ [{', '.join(dims)}] : {' and '.join(spans)} }}")
        yield _Part(isl_set, [dict(zip(names, m, strict=True)) for m in product(*row)], True)


@question
def _loaded(names: Sequence[str], cases: Iterable[tuple[str, _Bounds]]) -> Region:
    return Region(names, {bounds: isl().Set(text) for text, bounds in cases})


def _box(names: Sequence[str], isl_set: Any) -> Box:
    return {n: ends(isl_set, i) for i, n in enumerate(names)}


def _room(part: Any) -> int:
    """How many places the least box around a bounded set has."""
    spans = (ends(part, i) for i in range(part.dim(isl().dim_type.set)))
    return prod((last or 0) - first + 1 for first, last in spans)


def _decided(names: Sequence[str], isl_set: Any, bounds: _Bounds) -> Any:
    """The members that keep bounds, of a set of a few parts in each of which those hold all over or
    nowhere; None of others.
    """
    if not bounds or not 1 < isl_set.n_basic_set() <= PARTS or not isl_set.is_bounded():
        return None
    kept = empty(len(names))
    for part in nonempty(isl_set):
        held = verdict(bounds, _box(names, part))
        if held is None:
            return None
        kept = kept.union(part) if held else kept
    return kept


def _merged(names: Sequence[str], isl_set: Any, bounds: Iterable[Bound]) -> _Bounds | None:
    """The bounds as far as they matter to a set; None if it has no member that keeps them."""
    if isl_set.is_empty():
        return None
    bounds = tuple(bounds)
    return merged(bounds, _box(names, isl_set)) if bounds else frozenset()


def _nothing(names: Sequence[str], isl_set: Any, bounds: _Bounds) -> bool:
    if not bounds or isl_set.is_empty():
        return bool(isl_set.is_empty())
    return _keep_nowhere(tuple(names), isl_set, bounds)


@once
def _keep_nowhere(names: tuple[str, ...], isl_set: Any, bounds: _Bounds) -> bool:
    """Whether bounds hold at no member."""
    hull = _box(names, isl_set)
    full = isl_set.is_equal(isl().Set(_text(names, [hull])))  # isl need not be asked for a member

    def sample(box: Box) -> dict[str, int] | None:
        breathe()
        if full:
            return {n: low for n, (low, _) in box.items()}
        found = isl_set.intersect(isl().Set(_text(names, [box])))
        if found.is_empty():
            return None
        return dict(zip(names, coordinates(found.sample_point()), strict=True))

    return nowhere(bounds, hull, sample)


@question
def plainly_nothing(names: Sequence[str], isl_set: islpy.Set, bounds: _Bounds) -> bool:
    """The same for a shorter text only: what takes too many boxes is written longer."""
    try:
        return _nothing(names, isl_set, bounds)
    except Undecidable:
        return False


def _cut(names: Sequence[str], isl_set: Any, bounds: _Bounds) -> Any:
    """The members that keep the bounds, as an isl set."""
    if not bounds or isl_set.is_empty():
        return isl_set
    return isl_set.intersect(isl().Set(_text(names, boxes(bounds, _box(names, isl_set)))))


def _text(names: Sequence[str], found: Iterable[Box]) -> str:
    dims = {n: f"x{i}" for i, n in enumerate(names)}
    cases = (
        " and ".join(
            f"{low} <= {dims[n]}" + ("" if high is None else f" <= {high}")
            for n, (low, high) in box.items()
        )
        for box in found
    )
    return f"{{ [{', '.join(dims.values())}] : {' or '.join(f'({c})' for c in cases) or 'false'} }}"


def _resolved(names: Sequence[str], cases: dict[_Bounds, Any]) -> dict[_Bounds, Any]:
    """The same in fewer cases: what is in one with fewer bounds goes from the others, and so does
    what keeps their bounds anyway, to it; of two that differ in a bound and its contrary, what both
    hold needs neither.
    """
    while len(cases) > 1:
        pair = _opposite(names, cases)
        if pair is None:
            break
        one, other, both = pair
        whole = cases.pop(one)
        cases.pop(other)
        known = cases.get(both)
        cases[both] = whole if known is None else coalesced(known.union(whole))
    for bounds in sorted(cases, key=len):
        for more in [b for b in cases if bounds in cases and bounds < b]:
            breathe()
            rest = without(cases[more], cases[bounds])
            if rest.is_empty():
                del cases[more]
            elif rest.is_bounded() and all(
                plainly_nothing(names, rest, bounds | {b.contrary}) for b in more - bounds
            ):
                cases[bounds] = coalesced(cases[bounds].union(rest))
                del cases[more]
            else:
                cases[more] = rest
    return cases


def _opposite(
    names: Sequence[str], cases: Mapping[_Bounds, Any]
) -> tuple[_Bounds, _Bounds, _Bounds] | None:
    """Two cases that differ in a bound and its contrary, and what both hold besides. Of ``x != 7``
    the bounds are not contrary: there other cases have the members at which x is 7.
    """
    for one in cases:
        for bound in sorted(filter(lambda b: b.above, one), key=str):
            both = one - {bound}
            for between in (bound.limit, bound.limit - 1):
                breathe()
                below = replace(bound, limit=between, above=False)
                found = cases.get(both | {below})
                if found is None or not found.is_equal(cases[one]):
                    continue
                gap = both | {bound.contrary, below.contrary}
                if between < bound.limit:
                    left = reduce(without, [s for b, s in cases.items() if b <= gap], found)
                    if not plainly_nothing(names, left, gap):
                        continue
                return one, both | {below}, both
    return None
