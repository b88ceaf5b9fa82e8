"""Streams: how far a network looks back and ahead along time, and what it keeps to run on.

Output i stands for the moment ``floor(stride*i)`` of the input. It waits for the last sample that
it reads, so of n samples as many outputs are final as have ``last(i) < n``. A layer that has read
up to m, and whose next output starts at f, keeps ``m - f + 1`` samples; where branches meet, the
one that is done sooner waits for the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from symcnn.algebra.axis import Running
from symcnn.algebra.expr import Expr, from_sympy
from symcnn.algebra.size import Int, Symbol, evaluate, floordiv, maximum, with_values
from symcnn.errors import BadSpec, NoSolution, Undecidable
from symcnn.lazy import sympy
from symcnn.questions.place.cut import Course, Moved, Read
from symcnn.questions.place.footprint import Footprint, never_less
from symcnn.questions.place.tiles import courses, filled, of_several
from symcnn.shown import Shown
from symcnn.trace.graph import Node, SymbolicTensor, public
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Stream(Shown):
    """How a network runs along an axis without end.

    Attributes:
        axis: the name of the axis.
        stride: input samples per output, a fraction for more outputs than inputs.
        lookback: how many samples before its own an output reads.
        lookahead: how many samples after its own an output waits for; 0 if it is causal.
        hop: the least number of samples that may be fed at a time, after which all is as before.
        outputs: how many outputs come of a hop.
        buffers: samples of its input that each layer keeps between hops, by node; not those of 0.
        states: the nodes that carry on what they have made of all before, as a recurrent layer or
            a cumulative sum does; `lookback` is how far one looks beside these.
        delays: where branches meet, for each operand how many places it waits for the slowest.
        waits: the nodes that look ahead, on the way that looks furthest, and by how many samples of
            the input each adds.
        note: which of several outputs is meant.
    """

    axis: str
    stride: Any
    lookback: int
    lookahead: int
    hop: int
    outputs: int
    buffers: Mapping[str, int]
    delays: Mapping[str, tuple[int, ...]]
    waits: Mapping[str, int]
    note: str = ""
    states: tuple[str, ...] = ()
    _last: tuple[int, ...] = field(repr=False, default=())
    _head: tuple[int, ...] = field(repr=False, default=())

    @property
    def causal(self) -> bool:
        """Whether no output waits for a later sample than its own."""
        return self.lookahead <= 0

    def final(self, n: Expr | str) -> Expr:
        """How many outputs are final once `n` samples are there: a number, or a formula in n."""
        size: Int = Symbol(n, low=0).size() if isinstance(n, str) else from_sympy(n)
        count = _count(self._last, self.hop)
        if isinstance(size, int):
            if size < 0:
                raise BadSpec(f"there are no {size} samples", cure="n is at least 0")
            return self._final(count, size)
        formula = public(maximum(with_values(count, {_N.name: size}), 0))
        starts = self._starts(count)
        if len(starts) > _PIECES:
            raise Undecidable(
                f"for less than {max(starts)} samples there is no short formula",
                cure="ask for a number: final(100)",
            )
        shown = public(size)
        cases = [(value, shown < until) for until, value in starts.items()]
        return sympy.Piecewise(*cases, (formula, True)) if cases else formula

    def _final(self, count: Int, n: int) -> int:
        """At a number: the outputs before the first that waits for sample n or a later one."""
        head = bisect_left(self._head, n)
        if head < len(self._head):
            return head
        return max(int(evaluate(count, {_N.name: n})), head)

    def _starts(self, count: Int) -> dict[int, int]:
        """Near the start of the stream, where it is not as later on: up to which n, how many."""
        most = max(self._head, default=-1)
        while evaluate(count, {_N.name: most + 1}) < len(self._head):
            most += 1
        own = [self._final(count, n) for n in range(most + 2)]
        late = [max(evaluate(count, {_N.name: n}), 0) for n in range(most + 2)]
        odd = max((n for n in range(most + 2) if own[n] != late[n]), default=-1)
        found: dict[int, int] = {}
        for n in range(odd + 1):
            if n == odd or own[n + 1] != own[n]:
                found[n + 1] = own[n]
        return found

    def __str__(self) -> str:
        per = f"{self.outputs} output{'s' * (self.outputs > 1)} per hop of {self.hop}"
        lines = [f"along {self.axis}: {per}; output i reads {self._reads()}"]
        if self.causal:
            lines.append("  causal: no output waits for a sample after its own")
        else:
            lines.append(f"  not causal: an output waits for {self.lookahead} more samples")
            lines += _line("which is due to", self.waits)
        lines.append(
            f"  lookback {self.lookback}; of n samples {self.final('n')} outputs are final"
        )
        lines += [*_line("keeps", self.buffers), *_line("delays", self.delays)]
        if self.states:
            lines.append(f"  and all before, by the state of {', '.join(self.states)}")
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])

    def _reads(self) -> str:
        own = "i" if self.stride == 1 else f"{self.stride}*i"
        own = f"floor({own})" if isinstance(self.stride, Fraction) else own
        ends = (
            own + (f" {'-+'[d > 0]} {abs(d)}" if d else "")
            for d in (-self.lookback, self.lookahead)
        )
        return f"at most {' .. '.join(ends)}"


_N = Symbol("n", low=0)


def _count(last: tuple[int, ...], hop: int) -> Int:
    """How many i have ``last(i) < n``, where ``last(i + q) = last(i) + hop``: one floor if so.

    Both sides of such an equation grow by q per hop, so one period of n proves it.
    """
    n = _N.size()
    q = len(last)
    terms = [floordiv(n - 1 - e, hop) + 1 for e in last]

    def same(candidate: Int) -> bool:
        return all(
            evaluate(candidate, {"n": v}) == sum((v - 1 - e) // hop + 1 for e in last)
            for v in range(hop)
        )

    start = sum((-1 - e) // hop + 1 for e in last)  # at n = 0
    for c in range(hop):
        for candidate in (floordiv(n + c, hop) * q + start, floordiv(n * q + c, hop) + start):
            if same(candidate):
                return candidate
    return sum(terms, 0)


def stream(
    net: Trace,
    axis: str | None = None,
    *,
    at: str | None = None,
    gates: bool = True,
    statistics: bool = True,
) -> Stream:
    """See `Network.stream`, which this is."""
    part = net if at is None else net.at(at)
    axis, course = running(net, axis, at, gates=gates, statistics=statistics)
    footprint = Footprint(course)
    end = course.end
    assert isinstance(end, Moved)
    back, ahead = looks(footprint, course.output)
    if abs(back) > _LONG or abs(ahead) > _LONG:
        raise NoSolution(f"no output reads a place of {axis}", cure="see net.receptive_field()")
    stride = 1 / end.rate
    ends = footprint.ends[course.home(course.output)]
    last = tuple(int(e) for e in never_less(ends[1], course.period))
    return Stream(
        axis,
        int(stride) if stride.denominator == 1 else stride,
        back,
        ahead,
        course.period,
        footprint.outputs(course.output),
        dict(_buffers(course, footprint)),
        dict(_delays(course, footprint)),
        _waits(course, footprint),
        of_several(part),
        tuple(node.name for node, _, reads in _nodes(course) if any(map(_runs, reads))),
        last,
        _head(net, at, axis, gates, statistics, last, (back, ahead, course.period)),
    )


def _line(what: str, items: Mapping[str, object]) -> list[str]:
    shown = [f"{node} {value}" for node, value in list(items.items())[:6]]
    more = len(items) - len(shown)
    return [f"  {what} {', '.join(shown)}{f' and {more} more' if more else ''}"] * bool(items)


def running(
    net: Trace,
    axis: str | None,
    at: str | None = None,
    *,
    gates: bool = True,
    statistics: bool = True,
) -> tuple[str, Course]:
    """The axis that is meant, and how a network moves along it without end.

    Raises BadSpec for an axis that there is not, NoSolution where the network does not run on.
    """
    part = net if at is None else net.at(at)
    axis = _named(part, axis)
    sizes = filled(part, {}, _LONG)
    if sizes[axis] < _LONG // 2:
        raise NoSolution(
            f"{axis}={sizes[axis]} is about the most that the network takes: it does not run on",
            cure="see net.valid_inputs()",
        )
    options = {"gates": gates, "statistics": statistics, "every": True}
    _, (course, *others) = courses(net, at, sizes, only=[axis], **options)
    if others:
        raise NoSolution(
            f"{axis} is the size of {len(others) + 1} axes: one of them alone cannot run on",
            cure="give each axis a letter of its own",
        )
    return axis, course


def runs_on(net: Trace, axis: str | None, at: str | None = None) -> bool:
    """Whether a network takes long inputs along an axis. Raises BadSpec as `running` does."""
    part = net if at is None else net.at(at)
    return filled(part, {}, _LONG)[_named(part, axis)] >= _LONG // 2


def _named(part: Trace, axis: str | None) -> str:
    """The axis that is meant. Raises BadSpec for one that there is not."""
    names = [n for n in part.symbols if n not in part.batch]
    if axis is None and len(names) > 1:
        raise BadSpec(f"stream along which of {', '.join(names)}?", cure=f'axis="{names[0]}"')
    axis = names[0] if axis is None and names else str(axis)
    if axis not in names:
        raise BadSpec(f"no axis is called {axis}", cure=f"there is {', '.join(names) or 'none'}")
    return axis


def _runs(read: Read) -> bool:
    """Whether a layer carries a state along the axis that moves."""
    return isinstance(read.axis_map, Running)


def _head(
    net: Trace,
    at: str | None,
    axis: str,
    gates: bool,
    statistics: bool,
    last: tuple[int, ...],
    looks: tuple[int, int, int],
) -> tuple[int, ...]:
    """The same for the first outputs, as long as it is not as later on: at the true start there is
    padding, and what is reflected there comes from later.
    """
    part = net if at is None else net.at(at)
    far = sum(map(abs, looks)) + looks[2]
    sizes = filled(part, {}, 4 * far + 64)
    _, (course,) = courses(
        net, at, sizes, gates=gates, statistics=statistics, only=[axis], every=True
    )
    own = np.maximum.accumulate(Footprint(course).real(course.output)[1])
    i = np.arange(len(own))
    later = np.array(last)[i % len(last)] + i // len(last) * looks[2]
    inside = (later < sizes[axis] - far) & (own < sizes[axis] - far)
    odd = np.nonzero((own != np.maximum(later, -1)) & inside)[0]
    return tuple(int(e) for e in own[: odd[-1] + 1]) if len(odd) else ()


#: More pieces than these are no formula that anyone would read.
_PIECES = 16

#: About how long an input is at which rates are read off.
_LONG = 1 << 20


def _own(footprint: Footprint, t: SymbolicTensor) -> Any:
    """The moment that each output of a tensor stands for."""
    moved = footprint.course.state[t]
    assert isinstance(moved, Moved)
    i = np.arange(footprint.outputs(t), dtype=np.int64)
    return i * moved.rate.denominator // moved.rate.numerator


def looks(footprint: Footprint, t: SymbolicTensor) -> tuple[int, int]:
    """How far a tensor looks back and ahead."""
    first, last = footprint.ends[footprint.course.home(t)]
    own = _own(footprint, t)
    return int((own - first).max()), int((last - own).max())


def _nodes(course: Course) -> list[tuple[Node, SymbolicTensor, list[Any]]]:
    return [(out.node, out, reads) for out, reads in course.steps if out.node is not None]


def _buffers(course: Course, footprint: Footprint) -> Any:
    """What a layer keeps: from where its next output starts, once it has made all it can."""
    for node, out, reads in _nodes(course):
        most = 0
        for read in reads:
            if read.same or read.views != (1, 1):
                continue
            moved = course.state[read.tensor]
            step = course.state[out]
            assert isinstance(moved, Moved)
            assert isinstance(step, Moved)
            own = step.rate / moved.rate
            i = np.arange(own.numerator + 1, dtype=np.int64)
            first, last = footprint.taps(read, i)
            jumps = last[1:] > last[:-1]
            keeps = np.where(jumps, last[:-1] - first[1:] + 1, 0)
            most = max(most, int(keeps.max(initial=0)))
        if most:
            yield node.name, most


def _delays(course: Course, footprint: Footprint) -> Any:
    """Of operands that are done at other moments, how many places of each wait."""
    for node, out, reads in _nodes(course):
        if len(reads) < 2:
            continue
        ends = [footprint.through(out, read)[1] for read in reads]
        slowest = np.maximum.reduce(ends)
        waits = tuple(_waiting(end, slowest, footprint.period) for end in ends)
        if any(waits):
            yield node.name, waits


def _waiting(fast: Any, slow: Any, period: int) -> int:
    """How many places of the fast operand wait, at most, for the slow one to be as far."""

    def done(ends: NDArray[np.int64], moment: int) -> int:
        return int(((moment - ends) // period + 1).sum())

    return max(done(fast, int(end)) - done(slow, int(end)) for end in np.unique(slow))


def _waits(course: Course, footprint: Footprint) -> dict[str, int]:
    """The nodes that make outputs wait, on the way that is longest, and by how much each adds. What
    padding gives is spent by what comes next; of what is left, what came last waits less.
    """
    made = {out: (node, reads) for node, out, reads in _nodes(course)}
    at, way = course.home(course.output), []
    far = looks(footprint, at)[1]
    while at in made:
        node, reads = made[at]
        own = _own(footprint, at)
        slowest = max(reads, key=lambda read: int((footprint.through(at, read)[1] - own).max()))
        at = course.home(slowest.tensor)
        far, after = looks(footprint, at)[1], far
        way.append((node.name, after - far))
    found: dict[str, int] = {}
    given = 0
    for name, more in reversed(way):
        given -= more
        if given < 0:
            found[name], given = found.get(name, 0) - given, 0
    for name in reversed([*found]):
        spent = min(given, found[name])
        found[name], given = found[name] - spent, given - spent
    return {name: more for name, more in found.items() if more}
