"""A disjoint union of sets of which some have budgets, and so no plain isl set of their own.

The law: *the smallest member of a union is the smallest of the smallest members*, and so on: every
question about members distributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from itertools import cycle, islice
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from symcnn.errors import NoSolution, Undecidable
from symcnn.lazy import cached_property
from symcnn.sets.condition import Requirement
from symcnn.sets.implicit import ImplicitSet
from symcnn.sets.inputset import InputSet
from symcnn.sets.isl import breathe, coordinates, nonempty, question
from symcnn.sets.member import Member, as_tuple
from symcnn.sets.region import Region

if TYPE_CHECKING:
    from sympy.logic.boolalg import Boolean


def either(sets: Sequence[InputSet]) -> InputSet:
    """The union of disjoint sets.

    >>> import symcnn
    >>> print(either([symcnn.solve("H <= 7"), symcnn.solve("H >= 9")]))
    1 <= H <= 7 or H >= 9
    """
    if all(type(one) is InputSet for one in sets):
        whole = reduce(or_, sets)
        with suppress(Undecidable):
            box = reduce(and_, (whole.axis(name) for name in whole.names))
            if len(whole.names) > 1 and box <= whole:  # the axes have nothing to do with each other
                return box
        return whole
    flat = (part for one in sets for part in (one.sets if isinstance(one, Pieces) else (one,)))
    filled = [one for one in flat if one]
    return Pieces(filled) if len(filled) > 1 else filled[0] if filled else sets[0]


def in_fewer_parts(whole: InputSet) -> InputSet:
    """The same set by what it lacks, where that takes fewer parts.

    Branches on the logarithm of the smaller side are stairs that no two of their steps tell from a
    set that has no shorter form; together they lack one corner.

    >>> import symcnn
    >>> steps = ("H >= 1 and W <= 2", "H <= 2 and W >= 3", "H >= 3 and W == 3", "H == 3 and W >= 4")
    >>> print(in_fewer_parts(reduce(or_, map(symcnn.solve, steps))))
    (1 <= H <= 3 and W >= 1) or (H >= 4 and 1 <= W <= 3)
    """
    if type(whole) is InputSet and _parts(whole) > 2:
        with suppress(Undecidable):
            found = whole.complement().complement()
            if _parts(found) < _parts(whole) and whole <= found:
                return found
    return whole


def _parts(whole: InputSet) -> int:
    """How many parts a set has."""
    return sum(one.n_basic_set() for side in whole._sides for one in side.cases.values())


#: So many members are looked at of a set of several parts.
_FEW = 16


@question
def members_of_parts(whole: InputSet) -> list[dict[str, int]]:
    """A member of each of the first parts of a set that has several.

    >>> import symcnn
    >>> sorted(one["H"] <= 2 for one in members_of_parts(symcnn.solve("H <= 2 or H >= 9")))
    [False, True]
    """
    each = [members for side in whole._sides if (members := [*islice(_members(side), _FEW)])]
    most = max(map(len, each), default=0)
    found: list[dict[str, int]] = [{} for _ in range(most if most > 1 else 0)]
    for members in each:
        for one, member in zip(found, cycle(members), strict=False):
            one |= member
    return found


#: Sizes that are tried where bounds on products leave too few members to tell conditions apart.
_TRIED = (3, 16, 33, 100, 119, 224, 251, 512, 1000, 1023)


def _members(side: Region) -> Iterator[dict[str, int]]:
    if any(side.cases):
        steps = (1, 3, 7, 9)  # each goes through all of them
        for turn in range(len(_TRIED)):
            which = (turn * steps[i % 4] % len(_TRIED) for i in range(len(side.names)))
            one = dict(zip(side.names, map(_TRIED.__getitem__, which), strict=True))
            if one in side:
                yield one
    for bounds, isl_set in side.cases.items():
        for part in nonempty(isl_set):
            breathe()
            one = dict(zip(side.names, coordinates(part.sample_point()), strict=True))
            if all(bound.holds(one) for bound in bounds):
                yield one


class Pieces(ImplicitSet):
    """A union of disjoint sets, member by member; made by `either`."""

    def __init__(self, sets: Sequence[InputSet]) -> None:
        self.sets = tuple(sets)
        super().__init__(sets[0])

    @property
    def _parts(self) -> tuple[Any, ...]:
        return (self.sets,)

    @cached_property
    def _explicit(self) -> tuple[Region, ...]:
        plain = (InputSet(one.names, one._sides, batch=one.optional) for one in self.sets)
        return reduce(or_, plain)._sides

    # members

    @property
    def shown(self) -> tuple[str, ...]:
        """See `InputSet.shown`."""
        return self.sets[0].shown

    @property
    def bounded(self) -> bool:
        """See `InputSet.bounded`."""
        return all(one.bounded for one in self.sets)

    def __bool__(self) -> bool:
        return any(self.sets)

    def has(self, at: Mapping[str, int]) -> bool:
        """See `InputSet.has`."""
        return any(one.has(at) for one in self.sets)

    def smallest(self) -> Member:
        """See `InputSet.smallest`."""
        return min(
            (one.smallest() for one in self.sets),
            key=lambda m: (max(as_tuple(m)), sum(as_tuple(m)), as_tuple(m)),
        )

    def largest(self) -> Member:
        """See `InputSet.largest`."""
        return max(
            (one.largest() for one in self.sets), key=lambda m: (min(as_tuple(m)), sum(as_tuple(m)))
        )

    def nearest(self, *sizes: int) -> Member:
        """See `InputSet.nearest`."""
        return min(
            (one.nearest(*sizes) for one in self.sets),
            key=lambda m: max(abs(a - b) for a, b in zip(as_tuple(m), sizes, strict=True)),
        )

    def count(self) -> int | None:
        """See `InputSet.count`."""
        counts = [one.count() for one in self.sets]
        return None if None in counts else sum(count or 0 for count in counts)

    def __iter__(self) -> Iterator[Any]:
        if not self.bounded:
            raise NoSolution("the set has no end", cure="restrict it: within=(1, 512)")
        for one in self.sets:
            yield from one

    def where(self, *requirements: Requirement) -> InputSet:
        """See `InputSet.where`."""
        return either([one.where(*requirements) for one in self.sets])

    def __and__(self, other: InputSet) -> InputSet:
        return either([one & other for one in self.sets])

    __rand__ = __and__

    def words(self) -> str:
        """See `InputSet.words`."""
        return " or ".join(f"({one.words()})" for one in self.sets)

    def describe(self) -> str:
        """See `InputSet.describe`."""
        return " or ".join(f"({one.describe()})" for one in self.sets)

    def as_sympy(self) -> Boolean:
        """See `InputSet.as_sympy`."""
        import sympy

        return sympy.Or(*(one.as_sympy() for one in self.sets))
