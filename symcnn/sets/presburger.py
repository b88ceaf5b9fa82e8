"""Requirements over positive sizes, as regions.

What is quasi-affine is written down for isl (`symcnn.sets.writer`). What is not becomes a union of
what is, by the laws of `symcnn.sets.products`, under what is known from the other requirements.
Four laws keep small what isl is handed:

- of bounds that differ in a constant the strictest is asked for (`symcnn.sets.fewer`);
- **what is equal is substituted first**: where requirements leave one size in a few residue classes
  ``H = p*q + r``, those with floors in floors are written in q, where the floor normal form has
  taken them apart, and so on: windows in windows ask their question at their own scale;
- what is linear for each value of a size is a finite union, where other conditions bound that size;
- what speaks of one product only is a condition on a number (`symcnn.sets.compound`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size, denominator, symbols_of, with_values
from symcnn.errors import Undecidable
from symcnn.sets.compound import is_remainder, through_one
from symcnn.sets.condition import (
    AnyOf,
    Condition,
    ForAll,
    Requirement,
    Single,
    decide_syntactically,
    is_deep,
    parts_of,
    subexpressions,
    substituted,
)
from symcnn.sets.downset import Bound
from symcnn.sets.fewer import (
    strictest_of,
    tied,
    with_equal_numbers,
    with_fewer_floors,
    with_numbers,
)
from symcnn.sets.isl import (
    MANY,
    empty,
    ends,
    isl,
    once,
    without,
)
from symcnn.sets.products import Cases, cases, is_linear, undecidable
from symcnn.sets.region import Region
from symcnn.sets.residues import by_residues
from symcnn.sets.runs import Run, runs_of
from symcnn.sets.writer import Writer

if TYPE_CHECKING:
    import islpy


def unrolled(requirement: Requirement) -> Iterator[Single]:
    """A requirement on every block of a repeat as one on each of them.

    Raises Undecidable where how many there are is no number.
    """
    if not isinstance(requirement, ForAll):
        yield requirement
    elif isinstance(requirement.count, int):
        for i in range(requirement.count):
            yield from unrolled(substituted(requirement.each, {requirement.index: i}))
    else:
        raise Undecidable(
            f"{requirement}: where it holds cannot be decided as a set",
            cure="give the number of blocks as a number, or ask at single sizes with shape_at",
        )


# What is known ---------------------------------------------------------------------------------


class Sizes:
    """All sizes of a region: what the laws of products may use."""

    def __init__(self, known: Region) -> None:
        self.region = known
        self.names = known.names
        self._said: dict[Condition, bool] = {}
        self.least: Mapping[str, int] = {}
        if not known.is_empty():
            hull = list(known.cases.values())
            self.least = {n: min(ends(s, i)[0] for s in hull) for i, n in enumerate(self.names)}

    def entails(self, condition: Condition) -> bool:
        """Whether a linear condition holds at all of them."""
        if condition not in self._said:
            self._said[condition] = self._entails(condition)
        return self._said[condition]

    def _entails(self, condition: Condition) -> bool:
        if (verdict := decide_syntactically(condition)) is not None:
            return verdict
        gap = condition.lhs - condition.rhs
        if not symbols_of(gap) <= {*self.names}:
            return False
        if not is_linear(gap):
            low = sz.lower(gap)
            return condition.relation == ">=" and low is not None and low >= 0
        writer = Writer(self.names)
        with suppress(Undecidable):
            inside = isl().Set(
                f"{{ [{', '.join(writer.names.values())}] : {writer.linear(condition)} }}"
            )
            return all(s.is_subset(inside) for s in self.region.cases.values())
        return False


# Requirements together --------------------------------------------------------------------


@once
def region(names: tuple[str, ...], requirements: tuple[Requirement, ...]) -> tuple[Region, ...]:
    """The positive sizes at which all requirements hold, as a product: a region for each group of
    sizes that they tie together.

    Raises Undecidable for a requirement that no law makes decidable.
    """
    open_ones = (
        r for r in requirements if not (isinstance(r, ForAll) and decide_syntactically(r) is True)
    )
    each = [one for r in open_ones for one in unrolled(r)]
    tight = [r for _, r in strictest_of(each) if decide_syntactically(r) is not True]
    left: list[Single] = []
    for requirement in with_equal_numbers(tight):
        left += _apart(requirement)
    left = _with_fixed(left)
    groups = tied(names, (r.symbols for r in left)) or [()]
    asked: dict[tuple[str, ...], list[Single]] = {group: [] for group in groups}
    for requirement in left:  # what speaks of none of them holds, or does not, anywhere
        asked[next((g for g in groups if requirement.symbols & {*g}), groups[0])].append(
            requirement
        )
    return tuple(_group(group, mine, [*parts_of(tight)]) for group, mine in asked.items())


class _Anything:
    """Of positive sizes nothing else is known."""

    def __init__(self) -> None:
        self.least: Mapping[str, int] = {}

    def entails(self, condition: Condition) -> bool:
        """Whether it holds at all positive sizes."""
        if (verdict := decide_syntactically(condition)) is not None:
            return verdict
        gap = condition.lhs - condition.rhs
        if not is_linear(gap) or any(low != 1 for _, low in sz.lows(gap)):
            return False
        names = sorted(symbols_of(gap))
        with suppress(Undecidable):
            writer = Writer(names)
            return bool(writer.set([]).is_subset(writer.set([condition])))
        return False


def _apart(requirement: Single) -> list[Single]:
    """A requirement as several, where a law of products takes it apart: ``h == 7*(h//7)`` and the
    same of w tie nothing.
    """
    if not isinstance(requirement, Condition) or is_linear(requirement.lhs - requirement.rhs):
        return [requirement]
    with suppress(Undecidable):
        found = cases(requirement, _Anything())
        if found is not None and len(found) == 1 and requirement not in found[0]:
            parts = found[0]
            if all(isinstance(part, Condition) for part in parts):
                return [
                    more for part in parts if isinstance(part, Condition) for more in _apart(part)
                ]
    return [requirement]


def _group(
    names: tuple[str, ...], requirements: Sequence[Single], parts: Sequence[sz.Part]
) -> Region:
    """The region of sizes that requirements tie together."""
    easy = [r for r in requirements if _easy(r)]
    hard = [r for r in requirements if not _easy(r)]
    stated = [
        f"({x} - {part.rest}) mod {part.of} = 0"
        for part in parts
        for n, x in Writer(names).names.items()
        if n == part.name and type(part.of) is int
    ]
    alone = {n: [r for r in easy if r.symbols == {n}] for n in names}
    whole = _together(names, [r for r in easy if all(r not in rs for rs in alone.values())], stated)
    lines = [_line(n, alone[n]) for n in names]
    if lines and any(alone.values()):
        whole = whole.intersect(reduce(lambda a, b: a.flat_product(b), lines))
    return _narrow(Region(names, {frozenset(): whole}), hard)


#: So many ways to choose an option of each alternative are tried, and so many convex pieces.
_WAYS, _PIECES = range(2, 17), range(2, 129)


def _narrow(found: Region, hard: list[Single]) -> Region:
    """Of a region, what meets requirements: what one of them bounds or fixes may decide another."""
    found, left = _in_turn(found, hard)
    if not left:
        return found
    hard = [requirement for requirement, _ in left]
    if prod(map(len, ways := [r.options for r in hard if isinstance(r, AnyOf)])) in _WAYS:
        rest = [r for r in hard if not isinstance(r, AnyOf) or r.options != ways[0]]
        each = (_narrow(found, with_equal_numbers([one, *rest])) for one in ways[0])
        return reduce(Region.union, each)
    if len(pieces := found.pieces) in _PIECES:
        return reduce(Region.union, (_narrow(piece, hard) for piece in pieces))
    raise left.pop(0)[1]  # the error holds this frame, which is not to hold the error


def narrowed(found: Region, requirements: Sequence[Requirement]) -> Region:
    """Of a region, what meets a requirement; of several, those that are decided in turn."""
    if len(requirements) == 1:
        return meeting(requirements[0], Sizes(found))
    mine = [r for r in requirements if r.symbols & {*found.names}]
    return _in_turn(found, [each for r in mine for each in unrolled(r)])[0]


def _in_turn(
    found: Region, hard: Sequence[Single]
) -> tuple[Region, list[tuple[Single, Undecidable]]]:
    """Of a region, what meets those of the requirements that are decided one after the other, and
    the others, with why they are not.
    """
    left: list[tuple[Single, Undecidable]] = []
    while hard:
        known, left = Sizes(found), []
        for requirement in hard:
            if (few := found.few_that_meet(hard)) is not None:
                return few, []
            try:
                found = found.intersect(meeting(requirement, known))
            except Undecidable as error:
                left.append((requirement, error.with_traceback(None)))  # which holds who asks
        if len(left) < len(hard):
            hard = [requirement for requirement, _ in left]
        elif (fewer := [with_fewer_floors(r, known) for r in hard]) != hard:
            hard = fewer
        else:
            break
    return found, left


def _easy(requirement: Single) -> bool:
    options = requirement.options if isinstance(requirement, AnyOf) else (requirement,)
    return all(is_linear(_gap(condition)) for condition in options)


def _gap(condition: Condition) -> Int:
    return condition.lhs - condition.rhs


def _together(names: Sequence[str], easy: Sequence[Single], stated: Sequence[str]) -> Any:
    return Writer(names).set(easy, stated)


#: A size that repeats after at most so many values, in so many residue classes, is taken apart.
_PERIOD, _CLASSES = 512, 8


def _line(name: str, requirements: Sequence[Single], low: int = 1) -> Any:
    """The values of one size, from `low` on, that meet linear requirements."""
    writer = Writer([name], low)
    deep = [r for r in requirements if is_deep(r)]
    plain = [r for r in requirements if r not in deep]
    classes = _classes(writer.set(plain)) if deep and plain else ()
    if not classes:
        return writer.set(requirements)
    whole = empty(1)
    for run in classes:
        if run.last is None:
            whole = whole.union(_residue(name, run.first, run.step, deep))
        else:
            for x in run:
                if all(r.holds({name: x}) for r in deep):
                    whole = whole.union(isl().Set(f"{{ [{x}] }}"))
    return whole.coalesce()


def _classes(isl_set: islpy.Set) -> Sequence[Run]:
    """The values of one size as a few residue classes, and a few values besides; else none."""
    try:
        found = runs_of(isl_set, most=_PERIOD)
    except Undecidable:  # of too long a period
        return ()
    endless = [run for run in found if run.last is None]
    few = sum(run.count or 0 for run in found)
    if {run.step for run in endless} <= {1} or len(endless) > _CLASSES or few > MANY:
        return ()
    return found


def _residue(name: str, first: int, step: int, left: Sequence[Single]) -> Any:
    """The values ``first + step*q`` that meet requirements, which are asked of q."""
    q = sz.Symbol(name, 0).size()
    asked = [substituted(r, {name: q * step + first}) for r in left]
    asked = [r for r in asked if decide_syntactically(r) is not True]
    found = _line(name, [r for _, r in strictest_of(asked)], 0)
    return found.apply(isl().Map(f"{{ [q] -> [{step}*q + {first}] }}"))


def meeting(requirement: Requirement, known: Sizes) -> Region:
    """The region of sizes, of those known, that meet a requirement."""
    parts = [_meeting(each, known) for each in unrolled(requirement)]
    return reduce(Region.intersect, parts) if parts else known.region


def _meeting(requirement: Single, known: Sizes) -> Region:
    if (few := known.region.few_that_meet([requirement])) is not None:
        return few
    if isinstance(requirement, AnyOf):
        found = Region.of(known.names, [])
        options = [r for r in requirement.options if decide_syntactically(r) is not False]
        easy = [option for option in options if _easy(option)]
        for option in easy:
            found = found.union(_meeting(option, known))
        if easy and known.region.is_subset(found):  # they say it all
            return found
        for option in options:
            found = found if option in easy else found.union(_meeting(option, known))
        return found
    if is_linear(_gap(requirement)):
        linear = Writer(known.names).set([requirement])
        return known.region.intersect(Region(known.names, {frozenset(): linear}))
    if (one := _of_one(requirement)) is not None:
        runs, denied = one
        return known.region.subtract(_met(runs, known)) if denied else _met(runs, known)
    found_cases = cases(requirement, known)
    if found_cases is None:
        found_cases = by_residues(requirement)
    return _by_values(requirement, known) if found_cases is None else _met(found_cases, known)


def _met(found_cases: Cases, known: Sizes) -> Region:
    """The region of sizes, of those known, that meet one of several cases."""
    found = Region.of(known.names, [])
    plain = [c for c in found_cases if all(not isinstance(p, Bound) and _easy(p) for p in c)]
    if plain:  # one text for all of them
        writer = Writer(known.names)
        texts = (
            " and ".join(f"({writer.linear(p)})" for p in case if isinstance(p, Condition))
            or "true"
            for case in plain
        )
        union = writer.set([], ["(" + " or ".join(f"({t or 'true'})" for t in texts) + ")"])
        found = known.region.intersect(Region(known.names, {frozenset(): union}))
    for case in found_cases:
        if case in plain:
            continue
        here = known.region
        easy = [p for p in case if isinstance(p, Condition) and _easy(p)]
        if easy:
            here = here.intersect(
                Region(known.names, {frozenset(): _together(known.names, easy, [])})
            )
        bounds = [p for p in case if isinstance(p, Bound)]
        here = Region.of(known.names, [(s, [*b, *bounds]) for b, s in here.cases.items()])
        for part in case:
            if isinstance(part, Condition) and part not in easy and not here.is_empty():
                here = here.intersect(meeting(part, Sizes(here)))
        if not here.is_empty():
            found = found.union(here)
    return found


def _of_one(condition: Condition) -> tuple[Cases, bool] | None:
    """A condition on one product of sizes, as runs of that, or those that are left out (True),
    which may be fewer; None for others, for a run, and for several remainders, which have a law.
    """
    gap, name = _gap(condition), "product"
    gap = gap * denominator(gap)
    found = through_one(gap, name) if isinstance(gap, Size) else None
    low = sz.lower(found[0]) if found is not None else None
    if found is None or low is None:
        return None
    (whole, of_it), below = found, int(low) - 1
    asked = Condition(with_values(of_it, {name: Size.symbol(name) + below}), condition.relation, 0)
    with suppress(Undecidable):
        inside = _group((name,), [asked], []).isl
        both = runs_of(inside), runs_of(without(Writer([name]).set([]), inside))
        runs = min(both, key=len)
        parts = [_of_run(run.moved(below), whole, below + 1) for run in runs]
        again = any(_gap(part) in (gap, -gap) for each in parts for part in each)
        if not again and len(parts) <= (1 if is_remainder(of_it) else MANY):
            return [[*each] for each in parts], runs is not both[0]
    return None


def _of_run(run: Run, whole: Size, low: int) -> list[Condition]:
    """A run as conditions on a product that is at least `low`."""
    given = Condition(whole, ">=", run.first) if run.first - run.step < low else None
    return [condition for condition in run.conditions(whole) if condition != given]


def _by_values(requirement: Condition, known: Sizes) -> Region:
    """A condition that is linear for each value of a size, as a union over its possible values.

    Raises Undecidable if there is no such size, or no bound on it.
    """
    asked = symbols_of(*subexpressions(requirement))
    for name in [n for n in known.names if n in asked]:
        axis = known.region.over([name]).isl
        if not axis.is_bounded():
            continue
        runs = runs_of(axis)
        values = [x for run in runs for x in (run if run.last is not None else ())][: MANY + 1]
        if len(values) > MANY:
            continue
        groups: list[tuple[Single, int, int]] = []
        try:
            for value in sorted(values):
                case = substituted(requirement, {name: value})
                same = groups and groups[-1][0] == case
                first = groups.pop()[1] if same else value
                groups.append((case, first, value))
        except ZeroDivisionError:
            continue
        found = Region.of(known.names, [])
        with suppress(Undecidable):
            for case, first, last in groups:
                x = Size.symbol(name)
                span = [Condition(x, ">=", first), Condition(last, ">=", x)]
                here = known.region.intersect(
                    Region(known.names, {frozenset(): _together(known.names, span, [])})
                )
                found = found.union(meeting(case, Sizes(here)))
            return found
    raise undecidable(_gap(requirement))


def _with_fixed(requirements: list[Single]) -> list[Single]:
    """The same with numbers for sizes that requirements on them alone fix: those tie nothing."""
    fixed: dict[str, int] = {}
    while True:
        alone: dict[str, list[Single]] = {}
        for requirement in requirements:
            if len(requirement.symbols) == 1:
                alone.setdefault(min(requirement.symbols), []).append(requirement)
        tied = frozenset[str]().union(*(r.symbols for r in requirements if len(r.symbols) > 1))
        found: dict[str, int] = {}
        for name in sorted(tied & alone.keys()):
            with suppress(Undecidable):
                values = _group((name,), alone[name], []).isl
                if not values.is_empty() and (span := ends(values, 0))[0] == span[1]:
                    found[name] = span[0]
        if not found:
            return requirements
        fixed |= found
        requirements = [with_numbers(r, fixed) for r in requirements]
