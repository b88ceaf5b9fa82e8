"""What every output reads of an input without end: first and last place, over one period.

As a part moves by the period, all that is read moves with it: ``last(i + q) = last(i) + period``,
where q outputs come of a period. So two tables of q numbers per tensor tell of all its places.
Places before 0 are padding.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symcnn.algebra.axis import (
    Adaptive,
    AxisMap,
    Chain,
    Const,
    Folded,
    Resample,
    Roll,
    Running,
    Scatter,
    Window,
)
from symcnn.errors import Undecidable
from symcnn.questions.place.cut import Course, Moved, Read
from symcnn.trace.graph import SymbolicTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ends = tuple[NDArray[np.int64], NDArray[np.int64]]

#: More outputs than these in a period are not told apart.
_MOST = 1 << 16

_NEVER = 1 << 62


def _too_long(period: int) -> Undecidable:
    return Undecidable(
        f"the network repeats after {period:,} places only, too many to be told apart",
        cure="scales that repeat sooner: 2, 1/2, 3/2",
    )


class Footprint:
    """First and last place of the input that every output of every tensor reads."""

    def __init__(self, course: Course) -> None:
        self.course, self.period = course, course.period
        if self.period > _MOST:
            raise _too_long(self.period)
        self.ends: dict[SymbolicTensor, Ends] = {}
        for t in course.sources:
            if isinstance(course.state[t], Moved):
                all_ = np.arange(self.period, dtype=np.int64)
                self.ends[t] = all_, all_
        for out, reads in course.steps:
            first, last = self.through(out, reads[0])
            for read in reads[1:]:
                more = self.through(out, read)
                first, last = np.minimum(first, more[0]), np.maximum(last, more[1])
            self.ends[out] = first, last

    def outputs(self, t: SymbolicTensor) -> int:
        """How many places of a tensor come of one period of the input."""
        moved = self.course.state[t]
        assert isinstance(moved, Moved)
        count = int(moved.rate * self.period)
        if count > _MOST:
            raise _too_long(count)
        return count

    def through(self, out: SymbolicTensor, read: Read) -> Ends:
        """What the outputs of a layer read of the input through one of the tensors it reads."""
        first, last = self.ends[read.tensor]
        if read.same:
            return first, last
        low, high = self.taps(read, np.arange(self.outputs(out), dtype=np.int64))
        there = low <= high
        low, high = np.where(there, low, 0), np.where(there, high, 0)
        if isinstance(read.axis_map, Running):
            return first, never_less(last, self.period)
        step = self._step(read)
        return (
            np.where(there, self._over(first, low, high, step, np.minimum), _NEVER),
            np.where(there, self._over(last, high, low, step, np.maximum), -_NEVER),
        )

    def _step(self, read: Read) -> int:
        """How far apart the places are that one output reads: dilation leaves holes."""
        axis_map = read.axis_map.at(self.course.sizes) if read.views == (1, 1) else None
        if isinstance(axis_map, Window):
            return int(axis_map.dilation)
        return int(axis_map.progression(0)[2]) if isinstance(axis_map, Scatter) else 1

    def taps(self, read: Read, i: NDArray[np.int64]) -> Ends:
        """First and last place of the tensor that outputs `i` of a layer read."""
        if read.views != (1, 1):
            many, copies = read.views
            return i // copies * many, i // copies * many + many - 1
        rate = None
        if isinstance(read.axis_map, (Const, Adaptive, Resample)):
            rate = self.course.rate(read)
        return taps(read.axis_map.at(self.course.sizes), i, rate)

    def _over(self, table: Any, end: Any, other: Any, step: int, better: Any) -> Any:
        """The table at one end of a row of places; at all of them where it has gaps, or falls."""
        found = self._at(table, end)
        if not bool((np.diff(table, append=table[0] + self.period) < 0).any()):
            return found
        way = np.sign(other - end)
        for k in range(step, int(np.abs(other - end).max(initial=0)) + 1, step):
            inside = np.abs(other - end) >= k
            found = np.where(inside, better(found, self._at(table, end + k * way)), found)
        return found

    def _at(self, table: NDArray[np.int64], places: Any) -> Any:
        """The table at a place, or at places, continued beyond its period."""
        return table[places % len(table)] + places // len(table) * self.period

    def real(self, t: SymbolicTensor) -> Ends:
        """The first and the last place that every output reads of the input as long as it is: at
        its borders nothing is read of padding with zeros, and what is reflected comes from further
        inside. The last is -1 where an output reads nothing.
        """
        course = self.course
        lengths = course.lengths(course.sizes)
        found: dict[SymbolicTensor, Ends] = {}
        for s in course.sources:
            if s in lengths:
                own = np.arange(lengths[s], dtype=np.int64)
                found[s] = own, own
        for out, reads in course.steps:
            first = np.full(lengths[out], _NEVER, dtype=np.int64)
            last = np.full(lengths[out], -1, dtype=np.int64)
            for read in reads:
                low, high = self._real(read, found[read.tensor], lengths[out])
                first, last = np.minimum(first, low), np.maximum(last, high)
            found[out] = first, last
        return found[course.home(t)]

    def _real(self, read: Read, ends: Ends, length: int) -> Ends:
        if read.same:
            return ends[0][:length], ends[1][:length]
        x = len(ends[0])
        if isinstance(read.axis_map, Running):
            return ends[0][:length], np.maximum.accumulate(ends[1])[:length]
        if read.views != (1, 1):
            low, high = self.taps(read, np.arange(length, dtype=np.int64))
            step = np.ones(length, dtype=np.int64)
        else:
            axis_map = read.axis_map.at(self.course.sizes)
            low, high, step = (a[:length] for a in self.course.taps(axis_map, x, length))
        first = np.full(length, _NEVER, dtype=np.int64)
        last = np.full(length, -1, dtype=np.int64)
        count = int(((high - low) // step).max(initial=-1)) + 1
        for k in range(count):
            place = low + k * step
            there = (place <= high) & (place >= 0) & (place < x)
            at = np.where(there, place, 0)
            first = np.minimum(first, np.where(there, ends[0][at], _NEVER))
            last = np.maximum(last, np.where(there, ends[1][at], -1))
        return first, last

    @property
    def reach(self) -> int:
        """How far from its own period an output reads."""
        first, last = self.ends[self.course.home(self.course.output)]
        there = last >= first
        ends = -first[there].min(initial=0), last[there].max(initial=0) - self.period
        return max(0, *map(int, ends))


def never_less(last: NDArray[np.int64], hop: int) -> NDArray[np.int64]:
    """For what sample an output and all before it wait."""
    return np.maximum.accumulate(np.concatenate([last - hop, last]))[len(last) :]


def taps(axis_map: AxisMap, i: NDArray[np.int64], rate: Fraction | None = None) -> Ends:
    """First and last place that outputs `i` read through a map; a resize stretches by `rate`. What
    runs along the axis reads its own place, and a state that the one before has left.
    """
    if isinstance(axis_map, Running):
        return i, i
    if isinstance(axis_map, (Window, Folded, Roll)):
        return axis_map.pullback(i, i)
    if isinstance(axis_map, Scatter):
        first, last, _ = axis_map.progression(i)
        if axis_map.gaps:
            _, _, step = axis_map.progression(0)
            hit = (i + axis_map.padding) % (axis_map.dilation // step) == 0
            last = np.where(hit, last, first - 1)
        return first, last
    if isinstance(axis_map, Chain):
        first = last = i
        for link in reversed(axis_map.maps):
            first, last = taps(link, first)[0], taps(link, last)[1]
        return first, last
    assert rate is not None
    p, q = rate.numerator, rate.denominator
    if isinstance(axis_map, Adaptive):
        return i * q // p, -(-(i + 1) * q // p) - 1
    return _stretched(axis_map, i, p, q)


def _stretched(axis_map: Any, i: NDArray[np.int64], p: int, q: int) -> Ends:
    """A resize by p/q: torch's area pixel coordinates, in integers."""
    if axis_map.mode == "nearest":
        return i * q // p, i * q // p
    if axis_map.mode == "nearest-exact":
        return (2 * i + 1) * q // (2 * p), (2 * i + 1) * q // (2 * p)
    reach = 2 if axis_map.mode == "cubic" else 1
    middle = (2 * i + 1) * q - p
    if axis_map.antialias:
        support = reach * max(2 * p, 2 * q)  # in units of 1/(2p), about the middle
        return -((support - middle) // (2 * p)), (middle + support) // (2 * p)
    first, last = middle // (2 * p), -(-middle // (2 * p))
    between = last - first
    return (first - between, last + between) if axis_map.mode == "cubic" else (first, last)
