"""Sizes of one axis as arithmetic runs, the same for equal sets, and in the shortest words.

A Presburger set of positive numbers is periodic from some number on: *a pattern of residues, from a
start on, and finitely many more below it*. The least period, the least start and the rest are
determined by the set alone, however isl happens to hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Any, NamedTuple

from symcnn.algebra.size import Size
from symcnn.errors import Undecidable
from symcnn.sets.condition import Condition
from symcnn.sets.isl import empty, ends, integer, isl, parts, without

if TYPE_CHECKING:
    import islpy

#: Periods up to this one are brought to their least form.
_LONGEST = 1 << 12

#: So many numbers are looked at one by one for a pattern.
_FEW = 1 << 11

#: Runs that all begin within so many numbers are joined number by number.
_NEAR = 1 << 14


@dataclass(frozen=True, slots=True)
class Run:
    """The sizes ``first, first + step, ...`` up to `last` (None: without end)."""

    first: int
    last: int | None
    step: int = 1

    def __contains__(self, x: int) -> bool:
        return (
            x >= self.first
            and (self.last is None or x <= self.last)
            and not (x - self.first) % self.step
        )

    def __iter__(self) -> Iterator[int]:
        x = self.first
        while self.last is None or x <= self.last:
            yield x
            x += self.step

    @property
    def count(self) -> int | None:
        """How many sizes; None if there is no end to them."""
        return None if self.last is None else (self.last - self.first) // self.step + 1

    def moved(self, by: int) -> Run:
        """All of them with a number more."""
        return Run(self.first + by, None if self.last is None else self.last + by, self.step)

    def conditions(self, x: Size) -> list[Condition]:
        """The same as conditions on `x`."""
        found = []
        if self.step > 1:
            found.append(Condition(x % self.step, "==", self.first % self.step))
        if self.last == self.first:
            return [Condition(x, "==", self.first)]
        found.append(Condition(x, ">=", self.first))
        if self.last is not None:
            found.append(Condition(-x, ">=", -self.last))
        return found

    def text(self, name: str) -> str:
        """In plain words: ``193 <= H <= 224``."""
        if self.last == self.first:
            return f"{name} == {self.first}"
        span = (
            f"{name} >= {self.first}"
            if self.last is None
            else f"{self.first} <= {name} <= {self.last}"
        )
        return (
            span
            if self.step == 1
            else f"{name} % {self.step} == {self.first % self.step} and {span}"
        )


def runs_of(isl_set: islpy.Set, most: int = 16 * _LONGEST) -> list[Run]:
    """A one-dimensional set as disjoint runs, in order; equal sets give equal runs.

    most: up to which period residues are tried one by one.
    """
    raw = [run for part in parts(isl_set) for run in _raw(part, most)]
    endless = [run for run in raw if run.last is None]
    period = lcm(*(run.step for run in endless)) if endless else 1
    if period > _LONGEST:
        return sorted(raw, key=lambda run: (run.first, run.step))
    found: list[Run] = []
    if endless:
        residues = {
            x % period for run in endless for x in range(run.first, run.first + period, run.step)
        }
        period, residues = _least_period(period, residues)
        start = max(1, min(run.first for run in raw) - period)  # no number below is missed last
        end = 1 + max(run.first if run.last is None else run.last for run in raw)
        if end - start <= _NEAR:  # in numbers: of many parts, isl takes one off another without end
            return _counted(raw, period, residues, start, end)
        whole = _periodic(period, residues, 1)
        missing = without(whole, isl_set)
        start = 1 if missing.is_empty() else (ends(missing, 0)[1] or 0) + 1
        firsts = (start + (r - start) % period for r in residues)
        found = [Run(first, None, period) for first in firsts]
        rest = without(isl_set, _periodic(period, residues, start))
    else:
        rest = isl_set
    return sorted([*found, *_finite(rest)], key=lambda run: (run.first, run.step))


def _counted(
    raw: Sequence[Run], period: int, residues: set[int], start: int, end: int
) -> list[Run]:
    """The same of runs that are all endless, and have begun, from `end` on, none before `start`."""
    lasts = [end - 1 if run.last is None else run.last for run in raw]
    inside = {
        x
        for run, last in zip(raw, lasts, strict=True)
        for x in range(run.first, last + 1, run.step)
    }
    missing = (x for x in range(start, end) if x % period in residues and x not in inside)
    start = 1 + max(missing, default=start - 1)
    rest = sorted(x for x in inside if x < start or x % period not in residues)
    found = [Run(start + (r - start) % period, None, period) for r in residues]
    return sorted([*found, *finite_runs(rest)], key=lambda run: (run.first, run.step))


def _periodic(period: int, residues: set[int], start: int) -> Any:
    """All numbers from `start` on with these residues."""
    spans = " or ".join(f"{a} <= x mod {period} <= {b}" for a, b in _spans(residues))
    return isl().Set(f"{{ [x] : x >= {start} and ({spans}) }}") if residues else empty(1)


def _spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as intervals of neighbours."""
    found: list[tuple[int, int]] = []
    for x in sorted(numbers):
        if found and found[-1][1] == x - 1:
            found[-1] = found[-1][0], x
        else:
            found.append((x, x))
    return found


def _least_period(period: int, residues: set[int]) -> tuple[int, set[int]]:
    for divisor in range(1, period):
        if period % divisor == 0:
            fewer = {r % divisor for r in residues}
            if len(fewer) * (period // divisor) == len(residues):
                return divisor, fewer
    return period, residues


def _finite(isl_set: islpy.Set) -> list[Run]:
    """A finite set: one pattern between two ends, or intervals and what is evenly spaced."""
    if isl_set.is_empty():
        return []
    raw = [run for part in parts(isl_set) for run in _raw(part)]
    if sum(run.count or 0 for run in raw) > _FEW:
        return _joined(raw)
    return finite_runs(sorted({x for run in raw for x in run}))


def finite_runs(numbers: Sequence[int]) -> list[Run]:
    """Numbers in order, a finite set, as disjoint runs."""
    if not numbers:
        return []
    low, high = numbers[0], numbers[-1]
    if high - low + 1 == len(numbers):
        return [Run(low, high)]
    for period in range(2, min((high - low) // 2, 256) + 1):
        residues = {x % period for x in numbers}
        if len(residues) < min(period, len(numbers)):
            # the runs of these residues hold all the numbers; they are it if they hold as many
            ends = [(low + (r - low) % period, high - (high - r) % period) for r in residues]
            if sum((last - first) // period + 1 for first, last in ends) == len(numbers):
                return [Run(first, last, period) for first, last in ends]
    return [*_even(_spans(numbers))]


def _even(spans: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """Intervals, and single numbers that are evenly spaced: three or more, or two multiples."""
    i = 0
    while i < len(spans):
        low, high = spans[i]
        j = i + 1
        if low == high and j < len(spans):
            step = spans[j][0] - low
            while j < len(spans) and spans[j] == (low + step * (j - i),) * 2:
                j += 1
            if j - i >= 3 or (j - i == 2 and low % step == 0):
                yield Run(low, spans[j - 1][0], step)
                i = j
                continue
        yield Run(low, high)
        i += 1


def _joined(raw: Sequence[Run]) -> list[Run]:
    """Runs with those that go on where others end made one."""
    found: list[Run] = []
    for run in sorted(raw, key=lambda run: (run.step, run.first % run.step, run.first)):
        last = found[-1] if found else None
        if last and last.step == run.step and last.last == run.first - run.step:
            found[-1] = Run(last.first, run.last, run.step)
        else:
            found.append(run)
    return found


def _raw(part: Any, most: int = 16 * _LONGEST) -> list[Run]:
    """A one-dimensional basic set as runs: one if it is an interval with a stride, else one per
    residue of its period.
    """
    step = integer(part.get_stride_info(0).get_stride())
    run = _hull(part, step)
    if run is not None:
        return [run]
    lines = [_Lines.of(basic) for basic in part.compute_divs().get_basic_sets()]
    period = lcm(step, *(basic.period for basic in lines))
    if period > most:
        raise Undecidable(f"a set that repeats after {period} sizes only is not listed as runs")
    return [run for basic in lines for run in basic.runs(period)]


class _Line(NamedTuple):
    """``x*size + the floors, each so often, + const``."""

    x: int
    floors: tuple[tuple[int, int], ...]  # which, and how often
    const: int

    @classmethod
    def of(cls, term: islpy.Aff | islpy.Constraint, kind: islpy.dim_type) -> _Line:
        """A term of isl of whole coefficients, in which the size is a dim of that kind."""
        div = isl().dim_type.div
        often = (integer(term.get_coefficient_val(div, i)) for i in range(term.dim(div)))
        floors = tuple((i, times) for i, times in enumerate(often) if times)
        return cls(
            integer(term.get_coefficient_val(kind, 0)), floors, integer(term.get_constant_val())
        )

    def at(self, x: int, floors: Sequence[int]) -> int:
        return self.x * x + sum(times * floors[i] for i, times in self.floors) + self.const


@dataclass(frozen=True)
class _Lines:
    """A one-dimensional basic set: floors, each of a line over a number, and lines that are at
    least 0.

    The law: *from a size to the next of its residue every floor grows by the same*, so there each
    line is straight, and bounds how often the period fits.
    """

    floors: tuple[tuple[_Line, int], ...]
    bounds: tuple[_Line, ...]

    @classmethod
    def of(cls, basic: islpy.BasicSet) -> _Lines:
        kinds, floors, bounds = isl().dim_type, [], []
        for floor in map(basic.get_div, range(basic.dim(kinds.div))):
            by = floor.get_denominator_val()
            floors.append((_Line.of(floor.scale_val(by), kinds.in_), integer(by)))
        for said in basic.get_constraints():
            bounds.append(line := _Line.of(said, kinds.set))
            if said.is_equality():
                opposite = tuple((i, -times) for i, times in line.floors)
                bounds.append(_Line(-line.x, opposite, -line.const))
        return cls(tuple(floors), tuple(bounds))

    @property
    def period(self) -> int:
        """After how many sizes the floors have all gone on by whole numbers: one floor after its
        denominator, one of others after so many of their periods.
        """
        periods: list[int] = []
        for line, by in self.floors:
            periods.append(by * lcm(*(periods[i] for i, _ in line.floors)))
        return lcm(*periods)

    def at(self, x: int) -> list[int]:
        """The values of the floors at a size."""
        found: list[int] = []
        for line, by in self.floors:
            found.append(line.at(x, found) // by)
        return found

    def runs(self, period: int) -> Iterator[Run]:
        """One run for each residue that has members."""
        start = self.at(0)
        growth = [after - before for before, after in zip(start, self.at(period), strict=True)]
        slopes = [line.at(period, growth) - line.const for line in self.bounds]
        for residue in range(period):
            floors = self.at(residue)
            least, most = None, None
            for line, slope in zip(self.bounds, slopes, strict=True):
                value = line.at(residue, floors)
                if slope > 0:
                    low = -(value // slope)
                    least = low if least is None or low > least else least
                elif slope < 0:
                    high = value // -slope
                    most = high if most is None or high < most else most
                elif value < 0:
                    break
            else:
                if least is None:
                    raise Undecidable("sizes without a least one are not listed as runs")
                if most is None or least <= most:
                    last = None if most is None else residue + period * most
                    first = residue + period * least
                    yield Run(first, last, 1 if last == first else period)


def _hull(part: Any, step: int) -> Run | None:
    """The run from the least to the greatest element of `part`, if that is all of `part`."""
    first, last = ends(part, 0)
    upto = "" if last is None else f" and x <= {last}"
    every = f"exists (q : x = {first} + {step}*q)"  # isl reads no large number after mod
    hull = isl().Set(f"{{ [x] : x >= {first}{upto} and {every} }}")
    return Run(first, last, 1 if last == first else step) if hull.is_equal(part) else None


# Words -----------------------------------------------------------------------------------------


def spoken(runs: Sequence[Run], name: str) -> list[str]:
    """Runs in words; residues between the same ends in one piece: ``H % 16 <= 7 and H >= 16``,
    ``H % 56 in {0, 55}``.
    """
    left = sorted(runs, key=lambda run: (run.step, run.first))
    groups: list[list[Run]] = []
    for run in left:
        for group in groups:
            if _together(group, run):
                group.append(run)
                break
        else:
            groups.append([run])
    groups.sort(key=lambda group: min(run.first for run in group))
    single = [g[0].first for g in groups if len(g) == 1 and g[0].first == g[0].last]
    texts = []
    for group in groups:
        if len(single) > 2 and group[0].first in single and group[0].first == group[0].last:
            if group[0].first == single[0]:
                texts.append(f"{name} in {{{', '.join(map(str, single))}}}")
            continue
        texts.append(_words(group, name))
    return texts


def _together(group: Sequence[Run], run: Run) -> bool:
    """Whether `run` has, but for its residue, the same ends as the group."""
    step = run.step
    if step == 1 or group[0].step != step:
        return False
    firsts = [r.first for r in (*group, run)]
    lasts = [r.last for r in (*group, run) if r.last is not None]
    return max(firsts) - min(firsts) < step and (
        not lasts or (len(lasts) == len(firsts) and max(lasts) - min(lasts) < step)
    )


def _words(group: Sequence[Run], name: str) -> str:
    if len(group) == 1:
        return group[0].text(name)
    step = group[0].step
    residues = {run.first % step for run in group}
    first = min(run.first for run in group)
    lasts = [run.last for run in group if run.last is not None]
    if len(residues) == step:  # all numbers between the ends
        return Run(first, max(lasts) if lasts else None).text(name)
    text = _residues(f"{name} % {step}", residues, step)
    implied = min(r or step for r in residues)  # the least positive number with such a residue
    if first > implied or lasts:
        text += f" and {Run(first, max(lasts) if lasts else None).text(name)}"
    return text


def _residues(rest: str, residues: set[int], step: int) -> str:
    """Residues in the fewest words."""
    spans = _spans(residues)
    listed = f"{rest} in {{{', '.join(map(str, sorted(residues)))}}}"
    if len(residues) == step - 1:
        (absent,) = set(range(step)) - residues
        return f"{rest} <= {step - 2}" if absent == step - 1 else f"{rest} != {absent}"
    if len(spans) == 1 and len(residues) > 1:
        low, high = spans[0]
        return f"{low} <= {rest} <= {high}" if low else f"{rest} <= {high}"
    texts = [f"{a} <= {rest} <= {b}" if a < b else f"{rest} == {a}" for a, b in spans]
    words = f"({' or '.join(texts)})"
    return min(listed, words, key=len)
