"""A part of an input, run alone: which of its outputs are those of the whole.

The tile law. Along one axis a part ``[start, stop)`` of an input of length x is run through the
network. Every tensor of that run has a place in the tensor of the whole run, ``rate*start``, where
the rate is how many of its places one place of the input makes: 1/s behind a window of stride s,
s behind a transposed convolution. Only a start that puts every tensor at a whole number is aligned;
the least of these is the **period**. Then an output of a layer equals that of the whole iff it
reads the same places, none of which lies beyond the part while there is something in the whole,
and none of which differs itself. At the true borders both run into the same padding.

So the border of the part is what is looked at, node by node, not the interval of the whole chain:
where a crop stands before padding, that interval lies inside the part and the output is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod
from typing import TYPE_CHECKING, Any

from symcnn.algebra.axis import (
    IDENTITY,
    Adaptive,
    Axes,
    AxisMap,
    Chain,
    Const,
    Digit,
    Folded,
    Resample,
    Roll,
    Running,
    Scatter,
    Window,
    rounds_up,
)
from symcnn.algebra.size import Size, evaluate, symbols_of
from symcnn.errors import Undecidable
from symcnn.lazy import cached_property
from symcnn.ops.operation import operation_of
from symcnn.questions.field.readings import used
from symcnn.shown import Shown
from symcnn.trace.graph import Node, SymbolicTensor, ancestors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from symcnn.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Moved:
    """Along which axis a tensor moves as the part moves, and by how much per place of the input."""

    axis: int
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Lost(Shown):
    """A tensor without a place in that of the whole: the node that is to blame, and why."""

    node: str
    op: str
    why: str

    def __str__(self) -> str:
        return f"{self.node} {self.why}"


@dataclass(frozen=True)
class Cut:
    """A part of the input and what comes of it: outputs ``place`` to ``place + len(wrong)``."""

    start: int
    stop: int
    place: int
    wrong: NDArray[np.bool_]

    @cached_property
    def exact(self) -> tuple[int, int]:
        """The longest run of outputs that are those of the whole, in places of the whole."""
        best = at = 0, 0
        for i, wrong in enumerate([*self.wrong.tolist(), True]):
            if wrong:
                best, at = max(best, at, key=lambda run: run[1] - run[0]), (i + 1, i + 1)
            else:
                at = at[0], i + 1
        return self.place + best[0], self.place + best[1]


@dataclass(frozen=True, slots=True)
class Read:
    """How an output moves with one tensor that it reads, along the axis that moves."""

    tensor: SymbolicTensor
    axis: int  # of the tensor
    out: int  # of the output
    axis_map: AxisMap
    views: tuple[int, int] = (1, 1)  # places of the tensor per place of the output; the reverse

    @property
    def same(self) -> bool:
        """Whether every output reads its own place only."""
        return self.axis_map is IDENTITY and self.views == (1, 1)


class Course:
    """How a part of an input moves through a network along one axis, at given sizes."""

    def __init__(
        self,
        net: Trace,
        output: SymbolicTensor,
        name: str,
        sizes: Mapping[str, int],
        *,
        gates: bool = True,
        statistics: bool = True,
        every: bool = False,
    ) -> None:
        self.name, self.sizes, self.every = name, dict(sizes), every
        self.gates, self.statistics = gates, statistics
        self.output = output
        self.state: dict[SymbolicTensor, Moved | Lost] = {}
        for t in net.input_tensors:
            for axis, dim in enumerate(t.dims):
                if dim == Size.symbol(name):
                    self.state[t] = Moved(axis, Fraction(1))
                elif name in symbols_of(dim):
                    self.state[t] = Lost(net.source_name(t), "", f"has {dim} places along {name}")
        self.sources = tuple(self.state)
        self._open: dict[AxisMap, bool] = {}  # whether a map has hyperparameters
        self.steps: list[tuple[SymbolicTensor, list[Read]]] = []
        self.alias: dict[SymbolicTensor, SymbolicTensor] = {}  # of what works point by point
        for node in ancestors([output]):
            for k, out in enumerate(node.outputs):
                self._follow(node, k, out)
        self._whole = self.lengths(self.sizes)
        self._reads: dict[Any, Any] = {}

    def of(self, length: int) -> Course:
        """The same along an axis of another length."""
        other = copy(self)
        other.sizes = {**self.sizes, self.name: length}
        other._whole, other._reads = other.lengths(other.sizes), {}
        return other

    def home(self, t: SymbolicTensor) -> SymbolicTensor:
        """The tensor that has the same places and stands in `steps`, or is an input."""
        return self.alias.get(t, t)

    # the rates

    def _follow(self, node: Node, k: int, out: SymbolicTensor) -> None:
        read = used(node, k, self.state, self.gates, self.statistics)
        if not read:
            return
        found: list[Read] = []
        moved: Moved | Lost | None = None
        for t, axes in read:
            one = self._through(node, t, axes, out, found)
            if moved is None or isinstance(one, Lost):
                moved = one
            if moved != one:
                moved = self._lost(node, "joins what moves apart")
            if isinstance(moved, Lost):
                break
        assert moved is not None
        if isinstance(moved, Moved) and (fixed := self._fixed(node, moved.axis)):
            moved = self._lost(node, fixed)
        self.state[out] = moved
        if isinstance(moved, Moved):
            if len(found) == 1 and found[0].same:
                self.alias[out] = found[0].tensor  # which is at home itself
            else:
                self.steps.append((out, found))

    def _lost(self, node: Node, why: str) -> Lost:
        return Lost(node.name or node.op, node.op, why)

    def _through(
        self, node: Node, t: SymbolicTensor, axes: Axes, out: SymbolicTensor, found: list[Read]
    ) -> Moved | Lost:
        state = self.state[t]
        if isinstance(state, Lost):
            return state
        entries = [(o, m) for o, (s, m) in enumerate(axes) if s == state.axis]
        if not entries:
            return self._view(node, t, axes, out, state, found)
        (o, axis_map), *more = entries
        if isinstance(axis_map, Roll) or getattr(axis_map, "mode", "") == "circular":
            return self._lost(node, f"reads the other end of {self.name}")
        if self.every and (how := self._hangs(axis_map)):
            return self._lost(node, f"{how} by what hangs on the size of {self.name}")
        if isinstance(axis_map, Running) and not more and not self.every:
            return self._lost(node, f"reads all of {self.name} up to its own place")
        rate = None if more or o >= out.ndim else self._rate(axis_map, t.dims[state.axis])
        if rate is None:
            kind = "reads along" if isinstance(axis_map, _SIZED) else "reads the whole of"
            why = f"{kind} {self.name}"
            if isinstance(axis_map, _SIZED):
                why += " by a scale that hangs on its size"
            return self._lost(node, why)
        if getattr(axis_map, "mode", "").startswith("nearest") and not rounds_up(
            rate.numerator, rate.denominator
        ):  # by no rule in the place, so by none in the part
            why = f"reads along {self.name} by {rate}, of which float32 moves some places"
            return self._lost(node, why)
        if axis_map == IDENTITY:
            axis_map = IDENTITY
        found.append(Read(self.home(t), state.axis, o, axis_map))
        return Moved(o, state.rate * rate)

    def _hangs(self, axis_map: AxisMap) -> str:
        """What a layer does by the size of the whole, its far end left aside; "" if nothing."""
        for link in _links(axis_map):
            for name, how in _HYPERPARAMETERS.items():
                if self.name in symbols_of(getattr(link, name, 0)):
                    return how
        return ""

    def _rate(self, axis_map: AxisMap, x: Any) -> Fraction | None:
        """How many outputs one input makes; None where that hangs on the size, or there is none."""
        bound = self._bound(axis_map, self.sizes)
        if isinstance(bound, Window):
            return Fraction(1, bound.stride)
        if isinstance(bound, Scatter):
            return Fraction(bound.stride)
        if isinstance(bound, (Folded, Running)):
            return Fraction(1)
        if isinstance(bound, Chain):
            rates = [self._rate(link, None) for link in bound.maps]
            found = [rate for rate in rates if rate is not None]
            return prod(found, start=Fraction(1)) if len(found) == len(rates) else None
        if isinstance(bound, Resample) and not (bound.recompute or bound.align_corners):
            if isinstance(bound.scale, Size):
                return Fraction(int(evaluate(bound.scale, self.sizes)))
            ratio = Fraction(bound.scale).limit_denominator(64)
            return ratio if float(ratio) == bound.scale else None
        if isinstance(axis_map, _SIZED) and x is not None:
            if getattr(bound, "align_corners", False):
                return None
            return self._ratio(axis_map.size(x), x)
        return None

    def rate(self, read: Read) -> Fraction | None:
        """How many outputs one place of the tensor makes that is read."""
        return self._rate(read.axis_map, read.tensor.dims[read.axis])

    def _ratio(self, y: Any, x: Any) -> Fraction | None:
        """y/x, where it is the same here and for large sizes (and at `every` one, if asked)."""
        here, there = self.sizes, {**self.sizes, self.name: self.sizes[self.name] + _FAR}
        if evaluate(x, here) == evaluate(x, there):
            return None
        (a, b), (c, d) = ((evaluate(y, s), evaluate(x, s)) for s in (here, there))
        ratio = Fraction(c - a, d - b)
        if self.every and y * ratio.denominator != x * ratio.numerator:
            return None
        return ratio if 0 < ratio == Fraction(a, b) else None

    def _view(
        self,
        node: Node,
        t: SymbolicTensor,
        axes: Axes,
        out: SymbolicTensor,
        state: Moved,
        found: list[Read],
    ) -> Moved | Lost:
        """An axis that is split, or joined with others, moves as the most significant digit."""
        outs = [
            (o, s, m)
            for o, (s, m) in enumerate(axes)
            if type(s) is tuple and state.axis in s and isinstance(m, Digit) and o < out.ndim
        ]
        if not outs:
            return self._lost(node, f"reads the whole of {self.name}")
        source: Any = outs[0][1]
        sizes = [int(evaluate(t.dims[a], self.sizes)) for a in source]
        at = source.index(state.axis)
        above, below = prod(sizes[:at]), prod(sizes[at + 1 :])
        top, _, digit = max(outs, key=lambda each: int(evaluate(each[2].step, self.sizes)))
        step = int(evaluate(digit.step, self.sizes))
        if above > 1 or self.name in symbols_of(digit.step):
            return self._lost(node, f"mixes {self.name} with other axes")
        common = Fraction(below, step)
        views = common.denominator, common.numerator
        found.append(Read(self.home(t), state.axis, top, IDENTITY, views))
        return Moved(top, state.rate * common)

    def _fixed(self, node: Node, axis: int) -> str:
        """Whether a tensor that stays where it is, or a size, is told apart along the axis."""
        told = [(node.inputs[0], node.result.axes), *node.result.others] if node.inputs else []
        for t, axes in told:
            if t in self.state or not axes or axis >= len(axes):
                continue
            source, _ = axes[axis]
            if isinstance(source, int) and not _uniform(t, source):
                return f"adds to each place of {self.name} what belongs to that place"
        operation = operation_of(node)
        if operation is not None and operation.pointwise and node.call is not None:
            values = [*node.call.args, *node.call.kwargs.values()]
            if any(isinstance(v, Size) and self.name in symbols_of(v) for v in values):
                return f"reckons with the size of {self.name}"
        return ""

    @property
    def end(self) -> Moved | Lost:
        """What the output does."""
        return self.state[self.output]

    @cached_property
    def period(self) -> int:
        """The least distance by which a part may move: all tensors then move by whole places."""
        rates = [m.rate for m in self.state.values() if isinstance(m, Moved)]
        return lcm(*(rate.denominator for rate in rates))

    @property
    def length(self) -> int:
        """How many places the output has along the axis that moves, in the whole."""
        return self._whole[self.home(self.output)]

    # the run of a part

    def lengths(self, sizes: Mapping[str, int]) -> dict[SymbolicTensor, int]:
        """How long every tensor is along the axis that moves."""
        return {
            t: int(evaluate(t.dims[m.axis], sizes))
            for t, m in self.state.items()
            if isinstance(m, Moved) and t not in self.alias
        }

    def cut(self, start: int, stop: int) -> Cut:
        """The part ``[start, stop)``, of which start is a multiple of the period."""
        import numpy as np

        end = self.end
        assert isinstance(end, Moved)
        if start % self.period:
            place = int(end.rate * start)
            length = int(
                evaluate(self.output.dims[end.axis], {**self.sizes, self.name: stop - start})
            )
            return Cut(start, stop, place, np.ones(max(length, 0), dtype=bool))
        if (start, stop) == (0, self.sizes[self.name]):  # the whole
            return Cut(start, stop, 0, np.zeros(self.length, dtype=bool))
        part = {**self.sizes, self.name: stop - start}
        lengths = self.lengths(part)
        if min(lengths.values()) < 0:  # of so short a part the network makes nothing
            return Cut(start, stop, int(end.rate * start), np.ones(0, dtype=bool))
        wrong: dict[SymbolicTensor, Any] = {
            t: np.zeros(lengths[t], dtype=bool) for t in self.sources if t in lengths
        }
        places = dict.fromkeys(wrong, start)  # in the whole, of the first of each tensor
        for out, reads in self.steps:
            places[out], length = self._place(out, reads, start, places, part), lengths[out]
            found = np.zeros(length, dtype=bool)
            for read in reads:
                there = places[out], self._whole[out]
                shift = places[read.tensor]
                found |= self._wrong(read, shift, there, length, wrong[read.tensor], part)
            found[: max(-places[out], 0)] = True  # the whole has none of these
            found[max(self._whole[out] - places[out], 0) :] = True
            wrong[out] = found
        home = self.home(self.output)
        return Cut(start, stop, places[home], wrong[home])

    def _place(
        self,
        out: SymbolicTensor,
        reads: Sequence[Read],
        start: int,
        places: Mapping[SymbolicTensor, int],
        part: Mapping[str, int],
    ) -> int:
        """Which place of the whole tensor the first place of the part's is: ``rate*start``, but
        where rows are counted from the end.
        """
        place = int(self._moved(out).rate * start)
        if not any(self._from_end(link) for read in reads for link in _links(read.axis_map)):
            stay = (places[r.tensor] == int(self._moved(r.tensor).rate * start) for r in reads)
            if all(stay):
                return place
        found = [self._placed(read, places[read.tensor], part) for read in reads]
        return place if place in found else int(found[0])

    def _moved(self, t: SymbolicTensor) -> Moved:
        state = self.state[t]
        assert isinstance(state, Moved)
        return state

    def _from_end(self, link: AxisMap) -> bool:
        """Whether a layer counts the places that it reads from the end of the axis."""
        if not isinstance(link, Window) or self.name not in symbols_of(link.left):
            return False
        far = {**self.sizes, self.name: self.sizes[self.name] + _FAR}
        return evaluate(link.left, self.sizes) != evaluate(link.left, far)

    def _placed(self, read: Read, place: int, part: Mapping[str, int]) -> Fraction:
        """The place that one tensor gives: of a window, whose pad is another one in the part."""
        found, (many, copies) = Fraction(place), read.views
        for link in _links(read.axis_map):
            if self._from_end(link):
                here, there = self._bound(link, part), self._bound(link, self.sizes)
                assert isinstance(here, Window)
                assert isinstance(there, Window)
                found += there.left - here.left
            found *= self._rate(link, read.tensor.dims[read.axis]) or 1
        return found * copies / many

    def _wrong(
        self,
        read: Read,
        shift: int,
        at: tuple[int, int],
        length: int,
        bad: NDArray[np.bool_],
        part: Mapping[str, int],
    ) -> NDArray[np.bool_]:
        """Which outputs of a layer differ from those of the whole, of what it reads.

        shift: where that lies in the whole; at: the first of them in the whole, and how many the
            whole has.
        """
        import numpy as np

        if (read.same or read.views != (1, 1)) and self._placed(read, shift, part) != at[0]:
            return np.ones(length, dtype=bool)  # of what others count from the other end
        if read.views != (1, 1):
            many, copies = read.views
            rows = bad[: len(bad) // many * many].reshape(-1, many).any(1)
            return _fitted(np.repeat(rows, copies), length)
        if read.same:
            return _fitted(bad, length)
        x, whole = len(bad), self._whole[read.tensor]
        first, last, step = self.taps(self._bound(read.axis_map, part), x, length, -shift)
        there = self.taps(self._bound(read.axis_map, self.sizes), whole, at[1])
        if at[0] < 0:  # the whole has none of these
            there = [np.concatenate((np.full(-at[0], -1), a)) for a in there]
        there = [a[max(at[0], 0) : max(at[0], 0) + length] for a in there]
        beyond = max(length - len(there[0]), 0)
        first, last, step = (a[: length - beyond] for a in (first, last, step))
        apart = (first + shift != there[0]) | (last + shift != there[1])
        apart |= not self._same_weights(read, part, x, whole)
        apart |= (step != there[2]) & (last > first)
        apart |= _among(first, last, step, -shift, -1) > 0
        apart |= _among(first, last, step, x, whole - shift - 1) > 0
        if bad.any():
            apart |= _any(bad, first, last, step)
        reads = _among(first, last, step, 0, x - 1) > 0
        reads |= _among(there[0], there[1], there[2], 0, whole - 1) > 0
        return _fitted(apart & reads, length)  # padding is padding, wherever it lies

    def _bound(self, axis_map: AxisMap, sizes: Mapping[str, int]) -> AxisMap:
        """A map with numbers for its hyperparameters."""
        if axis_map not in self._open:
            self._open[axis_map] = bool(axis_map.hyperparameters()) or type(axis_map) is Chain
        return axis_map.at(sizes) if self._open[axis_map] else axis_map

    def _same_weights(self, read: Read, part: Mapping[str, int], x: int, whole: int) -> bool:
        """Whether a resize to a size weighs neighbours in the part as it does in the whole."""
        if not isinstance(read.axis_map, (Const, Resample)):
            return True
        here, there = read.axis_map.at(part), read.axis_map.at(self.sizes)
        by_size = isinstance(here, Const) or (isinstance(here, Resample) and here.recompute)
        if not by_size or getattr(here, "mode", "") == "nearest":
            return True
        return Fraction(here.size(x), x) == Fraction(there.size(whole), whole)

    def taps(
        self, axis_map: AxisMap, x: int, length: int, empty: int = 0
    ) -> list[NDArray[np.int64]]:
        """First and last place and the step between, of so many outputs: what stands behind those
        of the map (after every other row was written) reads nothing, from `empty` on.
        """
        import numpy as np

        key = axis_map, x
        if key not in self._reads:
            first, last, step = axis_map.reads(x)
            first = np.asarray(first, dtype=np.int64)
            self._reads[key] = [
                first,
                np.asarray(last, dtype=np.int64),
                np.broadcast_to(np.asarray(step, dtype=np.int64), first.shape),
            ]
        found = list(self._reads[key])
        if (behind := length - len(found[0])) > 0:
            nothing = empty, empty - 1, int(found[2][0]) if len(found[2]) else 1
            found = [
                np.concatenate((a, np.full(behind, v, dtype=np.int64)))
                for a, v in zip(found, nothing, strict=True)
            ]
        return found


#: Of windows, what a layer does by them.
_HYPERPARAMETERS = {
    "left": "pads",
    "padding": "pads",
    "extent": "reads",
    "dilation": "reads",
    "stride": "moves",
}

#: Maps whose scale is a ratio of sizes.
_SIZED = (Const, Adaptive, Resample)


#: A multiple of every stride, at which floors have their slope.
_FAR = 720720 << 6


def _links(axis_map: AxisMap) -> Sequence[AxisMap]:
    return axis_map.maps if isinstance(axis_map, Chain) else (axis_map,)


def _uniform(t: SymbolicTensor, axis: int) -> bool:
    """Whether a tensor that does not depend on the input is the same all along an axis."""
    if t.dims[axis] == 1:
        return True
    operation = None if t.node is None else operation_of(t.node)
    if t.node is None or operation is None or not (operation.pointwise or operation.uniform):
        return False
    told = dict(t.node.result.others)
    if t.node.inputs:
        told[t.node.inputs[0]] = t.node.result.axes
    for s in t.node.sources:
        axes = told.get(s)
        along = [axes[axis][0]] if axes else range(s.ndim)
        if not all(isinstance(a, int) and _uniform(s, a) for a in along if a is not None):
            return False
    return True


def _fitted(values: NDArray[Any], length: int) -> NDArray[Any]:
    """So many booleans; what there is none of is wrong."""
    import numpy as np

    if len(values) >= length:
        return values[:length]
    return np.concatenate([values, np.ones(length - len(values), dtype=bool)])


def _among(
    first: NDArray[Any], last: NDArray[Any], step: NDArray[Any], low: int, high: int
) -> NDArray[Any]:
    """How many of ``first, first + step, ..., last`` lie from `low` to `high`."""
    import numpy as np

    above = -((first - np.maximum(first, low)) // step)
    below = (np.minimum(last, high) - first) // step
    found: NDArray[Any] = np.maximum(below - above + 1, 0)
    return found


def _any(
    bad: NDArray[np.bool_], first: NDArray[Any], last: NDArray[Any], step: NDArray[Any]
) -> NDArray[np.bool_]:
    """Whether one of the places read is wrong."""
    import numpy as np

    steps = np.unique(step)
    if len(steps) > 1:
        raise Undecidable("a layer that reads by several steps")
    n, x = int(steps[0]) if len(steps) else 1, len(bad)
    rows = -(-x // n)
    sums = np.zeros((rows + 1, n), dtype=np.int64)  # of every residue apart
    sums[1:].reshape(-1)[:x] = bad
    flat = np.cumsum(sums, axis=0).reshape(-1)
    low = np.where(first < 0, first % n, first)
    high = np.where(last >= x, last - (last - (x - 1) + n - 1) // n * n, last)
    reads = (high >= low) & (low < x) & (high >= 0)
    low, high = np.where(reads, low, 0), np.where(reads, high, 0)
    found: NDArray[np.bool_] = reads & (flat[high + n] > flat[low])
    return found
