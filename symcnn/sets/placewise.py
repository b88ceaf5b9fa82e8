"""Whole numbers at places: formulas of sizes and of the place, each where other formulas say so.

*Sizes take all of them where no place has one outside*: places go from 0 to a size, so the sizes at
which some place has one are a projection, which isl finds, and what is left is a bound, or one of
several, for each part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from symcnn.algebra.size import Int, Size, spelling, symbols_of, with_values
from symcnn.errors import Undecidable
from symcnn.sets.condition import Condition, decide_syntactically
from symcnn.sets.isl import isl, parts, question
from symcnn.sets.products import is_linear
from symcnn.sets.words import constraints
from symcnn.sets.writer import Writer

#: A formula, None where nothing is told, and what is at least 0 where it holds.
Case = tuple[Int | None, tuple[Int, ...]]

#: So many parts of sizes at which a number lies outside are said.
_MANY = 16


@dataclass(frozen=True)
class Placewise:
    """The numbers that a tensor holds, by cases, and how many places each axis has.

    >>> H, i = Size.symbol("H"), Size.symbol("i") - 1
    >>> numbers = Placewise(((i, (2 - i,)), (5 - i, (i - 3,))), (("i", H),))
    >>> [str(one) for each in numbers.within(0, 2) or () for one in each]
    ['-H + 6 >= 0']
    """

    cases: tuple[Case, ...]
    places: tuple[tuple[str, Int], ...]

    def within(
        self, least: Int, most: Int, apart: int | None = None
    ) -> list[list[Condition]] | None:
        """What sizes must meet so that all numbers lie from `least` to `most`, `apart` from one:
        of each, one condition. None where isl does not say.
        """
        untold = [given for value, given in self.cases if value is None]
        outside = list[tuple[Int, ...]]()
        for value, given in self.cases:
            if value is not None:
                other = [()] if apart is None else [(value - apart - 1,), (apart - 1 - value,)]
                sides = (least - 1 - value, value - most - 1)
                outside += [(*given, side, *one) for side in sides for one in other]
        with suppress(Undecidable):
            if _nowhere(untold, self.places) == []:
                return _nowhere(outside, self.places)
        return None


@question
def _nowhere(
    every: Sequence[tuple[Int, ...]], places: Sequence[tuple[str, Int]]
) -> list[list[Condition]] | None:
    """Where no place has all of some formulas at least 0, for each of several such."""
    bounds = [count - Size.symbol(name) for name, count in places]
    formulas = [*bounds, *(formula for each in every for formula in each)]
    if not all(map(is_linear, formulas)):
        return None
    known, inside = spelling(*formulas), [name for name, _ in places]
    names = sorted(symbols_of(*formulas) - {*inside})
    found = None
    for each in every:
        writer = Writer([*names, *inside])
        some = writer.set(Condition(formula, ">=", 0) for formula in (*bounds, *each))
        some = some.project_out(isl().dim_type.set, len(names), len(inside))
        found = some if found is None else found.union(some)
    sides = [] if found is None else parts(found)
    if len(sides) > _MANY:
        return None
    return [
        [
            Condition(with_values(side, known), ">=", 0)
            for one in constraints(names, part)
            for side in _denied(one)
            if decide_syntactically(Condition(side, ">=", 0)) is not False
        ]
        for part in sides
    ]


def _denied(condition: Condition) -> Iterable[Int]:
    """What is at least 0, one of them, where a condition does not hold."""
    gap = condition.lhs - condition.rhs
    return (-gap - 1,) if condition.relation == ">=" else (-gap - 1, gap - 1)
