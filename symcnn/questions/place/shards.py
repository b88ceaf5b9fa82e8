"""Shards: an input divided among devices, and the rows that each needs of its neighbours.

A part owns ``x/parts`` rows, a whole number of periods, and the outputs that stand for them. It
reads from the first row that one of its outputs sees to the last one; what of that it does not own
is its halo. What is reflected at a border is seen from there, so the outer parts are looked at as
they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from symcnn.errors import BadSpec, Undecidable
from symcnn.questions.place.cut import Course, Moved
from symcnn.questions.place.footprint import Footprint
from symcnn.questions.place.tiles import courses, filled, of_several
from symcnn.shown import Shown
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from symcnn.questions.place.footprint import Ends


@dataclass(frozen=True, slots=True)
class Shard(Shown):
    """One part, by slices per axis.

    Attributes:
        input: the rows that it owns.
        read: the rows that its outputs see: its own, and its halo.
        output: its outputs, in places of the whole.
        halo: per axis, how many rows it needs of its neighbours on the left and on the right;
            negative where it does not even read all that it owns.
    """

    input: tuple[slice, ...]
    read: tuple[slice, ...]
    output: tuple[slice, ...]
    halo: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        rows, outs = (" x ".join(map(_span, part)) for part in (self.input, self.output))
        halo = ", ".join(f"{left} and {right}" for left, right in self.halo)
        return f"rows {rows} -> outputs {outs}, halo {halo}"


def _span(part: slice) -> str:
    return f"{part.start}:{part.stop}"


@dataclass(frozen=True)
class Shards(Shown):
    """All parts of an input, in order.

    Attributes:
        axes: the names of the axes that are divided.
        parts: every `Shard`.
        halo: per axis, the halo of an inner part, on the left and on the right.
        period: per axis, what the rows of a part are a multiple of.
        note: which of several outputs is meant.
    """

    axes: tuple[str, ...]
    parts: tuple[Shard, ...]
    halo: tuple[tuple[int, int], ...]
    period: tuple[int, ...]
    note: str = ""

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, k: int) -> Shard:
        return self.parts[k]

    def __str__(self) -> str:
        inner = ", ".join(
            f"{name} {left} and {right} (period {period})"
            for name, (left, right), period in zip(self.axes, self.halo, self.period, strict=True)
        )
        lines = [f"{len(self.parts)} parts; halo of an inner one along {inner}"]
        lines += [f"  {k}: {part}" for k, part in enumerate(self.parts)]
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])


def shards(
    net: Trace,
    *,
    parts: int | Sequence[int],
    at: str | None = None,
    gates: bool = True,
    statistics: bool = True,
    sizes: Mapping[str, int],
) -> Shards:
    """See `Network.shards`, which this is."""
    part = net if at is None else net.at(at)
    asked = [str(name) for name in sizes if str(name) not in part.batch]
    if not asked:
        raise BadSpec("shards takes the size of what is divided", cure="shards(H=1024, parts=4)")
    _, found = courses(net, at, filled(part, sizes), gates=gates, statistics=statistics, only=asked)
    several = (parts, *(1,) * (len(found) - 1))
    if isinstance(parts, (tuple, list)):
        several = tuple(parts)
    if len(several) != len(found):
        raise BadSpec(f"parts={parts!r} for the axes {', '.join(asked)}", cure="give one for each")
    along = [_along(course, count) for course, count in zip(found, several, strict=True)]
    made = tuple(Shard(*map(tuple, zip(*row, strict=True))) for row in product(*along))
    halos = tuple(_inner(Footprint(course), course) for course in found)
    periods = tuple(course.period for course in found)
    return Shards(tuple(c.name for c in found), made, halos, periods, of_several(part))


#: Of up to so many rows each is looked at; of more, one period.
_LONG = 1 << 18

#: Along one axis: rows, what is read, outputs, halo.
_Row = tuple[slice, slice, slice, tuple[int, int]]


def _along(course: Course, parts: Any) -> list[_Row]:
    x, period = course.sizes[course.name], course.period
    if isinstance(parts, bool) or not hasattr(parts, "__index__") or parts < 1:
        raise BadSpec(f"parts={parts!r} is no number of parts", cure="parts=4")
    step = int(parts) * period
    if x % step:
        near = sorted({x // step * step, -(-x // step) * step} - {0})
        raise BadSpec(
            f"{course.name}={x} in {parts} parts: the rows of a part are a multiple of {period}",
            cure=" or ".join(f"{course.name}={n}" for n in near) + _fewer(x, period),
        )
    footprint, end = Footprint(course), course.end
    assert isinstance(end, Moved)
    left_out = max(0, -(-(x - _LONG) // period)) * period
    borders = footprint if not left_out else Footprint(course.of(x - left_out))
    real, reach = borders.real(course.output), footprint.reach
    if left_out and 4 * reach > x - left_out:
        raise Undecidable(
            f"the borders of {x:,} rows are not followed: an output reads {reach:,} around it",
            cure=f"divide up to {_LONG:,} rows: those of the parts inside are the same",
        )
    rows: list[_Row] = []
    width, outputs, each = x // parts, int(end.rate * (x // parts)), int(end.rate * period)
    for k in range(parts):
        start, stop = k * outputs, (k + 1) * outputs if k < parts - 1 else course.length
        stop = min(stop, course.length)
        first, last = _between(real, start, stop, (left_out, period, each))
        own = slice(k * width, (k + 1) * width)
        if stop <= start or last < first:
            first, last = own.start, own.start - 1
        halo = own.start - first, last + 1 - own.stop
        rows.append((own, slice(first, last + 1), slice(start, stop), halo))
    return rows


def _between(real: Ends, start: int, stop: int, left_out: tuple[int, int, int]) -> tuple[int, int]:
    """First and last place that outputs read, by those of an axis of which the middle is left out.

    left_out: how many places, the period, and how many outputs that has: *in the middle, all moves
        by a period; up to there it is as in the shorter axis, and from the end backwards too.*
    """
    import numpy as np

    places, period, each = left_out
    half = len(real[0]) // 2
    ends = np.arange(start, min(stop, start + half)), np.arange(max(start, stop - half), stop)
    i = np.concatenate(ends)
    moved = np.clip((i - half) // each, 0, places // period) if each else 0 * i
    first, last = (table[i - moved * each] for table in real)
    there = last >= first
    first, last = (first + moved * period)[there], (last + moved * period)[there]
    return int(first.min(initial=1 << 62)), int(last.max(initial=-1))


def _fewer(x: int, period: int) -> str:
    """How many parts the size can be divided into."""
    counts = [n for n in range(2, 65) if x % (n * period) == 0]
    return f"; {x} goes into {', '.join(map(str, counts))} parts" if counts else ""


def _inner(footprint: Footprint, course: Course) -> tuple[int, int]:
    first, last = footprint.ends[course.home(course.output)]
    return int(-first.min()), int(last.max() - course.period + 1)
