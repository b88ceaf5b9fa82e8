"""Down-closed sets in boxes of two axes: their frontier, their largest and nearest points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from symcnn.errors import NoSolution
from symcnn.sets.runs import Run

Point = tuple[int, ...]


#: A cost that has not passed its budget at a size of so many bits has stopped growing.
ENDLESS = 80


@dataclass(frozen=True)
class Axis:
    """The valid sizes of one axis, as runs."""

    runs: tuple[Run, ...]

    @property
    def last(self) -> int | None:
        """The greatest; None: there is no end."""
        lasts = [r.last for r in self.runs]
        return None if None in lasts else max(x for x in lasts if x is not None)

    def at_least(self, x: int) -> int | None:
        """The smallest that is no smaller than `x`."""
        found = [max(r.first, r.first - (r.first - x) // r.step * r.step) for r in self.runs]
        fitting = [
            v for v, r in zip(found, self.runs, strict=True) if r.last is None or v <= r.last
        ]
        return min(fitting, default=None)

    def at_most(self, x: int) -> int | None:
        """The greatest that is no greater than `x`."""
        found = []
        for r in self.runs:
            top = x if r.last is None else min(x, r.last)
            if top >= r.first:
                found.append(r.first + (top - r.first) // r.step * r.step)
        return max(found, default=None)

    def nearest(self, x: int, low: int, high: int) -> int | None:
        """The one in ``low..high`` that differs least from `x`; of two, the larger."""
        inside = min(max(x, low), high)
        near = [v for v in (self.at_most(inside), self.at_least(inside)) if v is not None]
        near = [v for v in near if low <= v <= high]
        return min(near, key=lambda v: (abs(v - x), -v), default=None)

    def upto(self, x: int) -> list[int]:
        """All up to `x`."""
        runs = (
            range(r.first, min(x, x if r.last is None else r.last) + 1, r.step) for r in self.runs
        )
        return sorted(v for run in runs for v in run)

    def count(self, x: int) -> int:
        """How many are at most `x`."""
        total = 0
        for r in self.runs:
            top = x if r.last is None else min(x, r.last)
            total += max(0, (top - r.first) // r.step + 1)
        return total


def last_fitting(low: int, fits: Callable[[int], bool]) -> int | None:
    """The last number from `low` on that fits, if `low` does and one that does not ends it.

    None where there is no end: what fits at a size of so many bits has stopped growing.
    """
    step = 1
    while fits(low + step):
        if step.bit_length() > ENDLESS:
            return None
        low, step = low + step, 2 * step
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class Box:
    """Valid sizes that are independent of each other, below a frontier."""

    axes: tuple[Axis, ...]
    fits: Callable[[Sequence[int]], bool]

    @property
    def least(self) -> Point:
        return tuple(min(r.first for r in axis.runs) for axis in self.axes)

    def ceil(self, point: Sequence[int]) -> Point | None:
        """The least member that is no smaller than `point`, if that fits the budgets."""
        found = []
        for axis, x in zip(self.axes, point, strict=True):
            value = axis.at_least(x)
            if value is None:
                return None
            found.append(value)
        return tuple(found) if self.fits(found) else None

    def most(self, point: Sequence[int], i: int, limit: int | None = None) -> int | None:
        """The greatest size of axis `i`, the others as in `point`, that fits; None: no bound.

        The size in `point` must itself be a member that fits.
        """

        def fits(x: int) -> bool:
            return self.fits([*point[:i], x, *point[i + 1 :]])

        last = self.axes[i].last
        if last is not None:
            limit = last if limit is None else min(limit, last)
        if limit is not None and limit <= point[i]:
            return point[i]
        low = last_fitting(point[i], lambda x: (limit is None or x <= limit) and fits(x))
        return None if low is None else self.axes[i].at_most(low)

    def search(self, low: int, reached: Callable[[int], bool], *, first: bool) -> int:
        """The first (or last) value from `low` on for which a monotone `reached` holds."""
        if reached(low) == first:
            return low
        found = last_fitting(low, lambda x: reached(x) != first)
        if found is None:
            raise endless()
        return found + first

    def lines(
        self, i: int, value: int, low: Point, high: Sequence[int | None]
    ) -> Iterator[tuple[Point, int]]:
        """Lines in the slab where axis `i` is `value`: a least point and the axis still free."""
        others = [j for j in range(len(self.axes)) if j != i]
        *scanned, free = others
        ranges = []
        for j in scanned:
            top = high[j]
            if top is None:
                top = self.most(low, j)
            if top is None:
                return
            ranges.append([v for v in self.axes[j].upto(top) if v >= low[j]])
        for values in product(*ranges):
            point = [*low]
            point[i] = value
            for j, v in zip(scanned, values, strict=True):
                point[j] = v
            start = self.axes[free].at_least(low[free])
            if start is not None:
                point[free] = start
                if self.fits(point):
                    yield tuple(point), free

    def largest(self) -> Point | None:
        """Holds the largest square, then has the greatest sum; None if there is no bound."""
        if not self.fits(self.least):
            return None
        side = self.search(1, lambda t: self.ceil([t] * len(self.axes)) is not None, first=False)
        low = self.ceil([side] * len(self.axes))
        assert low is not None
        side = min(low)
        found: list[Point] = []
        for i, axis in enumerate(self.axes):
            if axis.at_least(side) != side:
                continue
            lines = [*self.lines(i, side, low, [None] * len(self.axes))]
            found += self._longest(lines) if len(self.axes) == 3 else map(self._end, lines)
        return max(found, key=lambda p: (min(p), sum(p), p))

    def _end(self, line: tuple[Point, int]) -> Point:
        """The last point of a line that fits."""
        point, free = line
        top = self.most(point, free)
        if top is None:
            raise endless()
        return (*point[:free], top, *point[free + 1 :])

    def _longest(self, lines: Sequence[tuple[Point, int]]) -> list[Point]:
        """Ends of parallel lines, those of the greatest sum among them. The further a line lies,
        the sooner it ends: between two lines no sum is more than where the last of them starts and
        the first ends.
        """
        found: dict[int, Point] = {}
        stack, best = [(0, len(lines) - 1)] if lines else [], 0
        while stack:
            a, b = stack.pop()
            for k in {a, b} - found.keys():
                found[k] = self._end(lines[k])
                best = max(best, sum(found[k]))
            if b - a > 1:
                start, free = lines[b - 1]
                if sum(start) - start[free] + found[a][free] >= best:
                    stack += [(a, (a + b) // 2), ((a + b) // 2, b)]
        return [*found.values()]

    def nearest(self, target: Point) -> Point | None:
        """Differs least from `target`: greatest difference, then sum, then the larger."""
        if not self.fits(self.least):
            return None

        def reached(d: int) -> bool:
            corner = self.ceil([t - d for t in target])
            return corner is not None and all(
                c <= t + d for c, t in zip(corner, target, strict=True)
            )

        gap = self.search(0, reached, first=True)
        low = self.ceil([t - gap for t in target])
        assert low is not None
        found = []
        for i, axis in enumerate(self.axes):
            for value in {target[i] - gap, target[i] + gap}:
                if axis.at_least(value) != value:
                    continue
                for point, free in self.lines(i, value, low, [t + gap for t in target]):
                    top = self.most(point, free, limit=target[free] + gap)
                    top = target[free] + gap if top is None else top
                    best = self.axes[free].nearest(target[free], point[free], top)
                    if best is not None:
                        found.append((*point[:free], best, *point[free + 1 :]))
        return min(found, key=lambda p: distance(p, target))

    def corners(self) -> Iterator[tuple[int | None, int | None]]:
        """The maximal sizes that fit, two axes, the first falling; None: without a bound."""
        x, y = self.least
        if not self.fits((x, y)):
            return
        while True:
            right = self.most((x, y), 0)
            top = self._free(x, y) if right is None else self.most((right, y), 1)
            yield right, top
            higher = None if top is None else self.axes[1].at_least(top + 1)
            if higher is None or not self.fits((x, higher)):
                return
            y = higher

    def _free(self, x: int, y: int) -> int | None:
        """The greatest size of the second axis at which the first has no bound."""
        try:
            last = self.search(y, lambda v: self.most((x, v), 0) is None, first=False)
        except NoSolution:
            return None
        return self.axes[1].at_most(last)


def distance(point: Point, target: Point) -> tuple[int, int, Point]:
    """How far a point lies from a target: the largest gap counts most, then their sum."""
    gaps = [abs(p - t) for p, t in zip(point, target, strict=True)]
    return max(gaps), sum(gaps), tuple(-p for p in point)


def endless() -> NoSolution:
    """The refusal of a set without a bound."""
    return NoSolution(
        "the budget leaves the size of an axis without a bound", cure="bound it: within=(1, 4096)"
    )
