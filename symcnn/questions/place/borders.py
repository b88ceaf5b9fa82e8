"""Borders: where windows read over the edge of a map, which need not be the edge of the input.

A map that keeps a row more than another one (``ceil_mode``, TensorFlow's pools) is made by the same
windows of the same input. But the next layer that pads reads zeros behind the one where it reads
that row of the other, so that numbers differ though all read the same input. The law: two networks
of the same windows make the same numbers where each edge of a map over which an output reads lies
at the same place of the input in both. What an output reads of a map is found backwards, from the
outputs: no more than the layers behind that map ask of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from symcnn.algebra.axis import Axes, AxisMap, Window
from symcnn.algebra.size import Int
from symcnn.questions.field.passed import Pass
from symcnn.questions.field.reach import AffineRange, least, most
from symcnn.sets.condition import Condition
from symcnn.sets.inputset import InputSet
from symcnn.trace.graph import SymbolicTensor, ancestors

#: The first and the last place along an axis of a tensor.
_Ends = tuple[Int, Int]


class _Edge(NamedTuple):
    """Which edges may be the same ones: of maps of the same windows. A map of which the other
    network has none, as between two layers that are one there, is not compared.
    """

    axis: int  # of the source, as the pass counts
    stride: Int
    width: Int  # how much of the source a place of the map reads, less 1
    one: bool  # read by a layer of one place, whose map has the same windows
    last: bool


class Border(NamedTuple):
    """An edge of a map over which a window may read."""

    edge: _Edge
    place: Int  # of the source, where the outermost place of the map that is read starts
    over: Int  # how many places lie behind the edge that are read: none if less than 1


def borders_of(found: Pass, outputs: Sequence[SymbolicTensor]) -> list[Border]:
    """The edges of all maps between the source of a pass and some outputs, all places of which are
    asked for.
    """
    maps = _Maps(found)
    nodes = ancestors(outputs)
    reads = [
        (node, t, axes, out)
        for node in nodes
        for k, out in enumerate(node.outputs)
        if out is not found.source and out in found.reaches
        for t, axes in found.reads(node, k)
    ]
    for node, t, axes, out in reads:
        if not node.params:  # which would make a number of padding, too
            maps.pad(t, axes, out)
    for t in outputs:
        maps.ask_all(t)
    for node, t, axes, out in reversed(reads):
        maps.ask(t, axes, out, pads=not node.params)
    return list(maps.borders)


@dataclass
class _Maps:
    """Where the places of maps end, padding left out, and which ones are asked for."""

    found: Pass
    ends: dict[tuple[SymbolicTensor, int], _Ends] = field(default_factory=dict)
    asked: dict[tuple[SymbolicTensor, int], _Ends] = field(default_factory=dict)
    borders: dict[Border, None] = field(default_factory=dict)

    def pad(self, t: SymbolicTensor, axes: Axes, out: SymbolicTensor) -> None:
        """Carry forward where places end, through what pads, crops, or works place by place."""
        for a, (source, layer) in enumerate(axes):
            if isinstance(source, int) and _is_of_one_place(layer):
                first, last = (end + layer.left for end in self._ends(t, source))
                self.ends.setdefault((out, a), (most(first, 0), least(last, out.dims[a] - 1)))

    def _ends(self, t: SymbolicTensor, axis: int) -> _Ends:
        return self.ends.get((t, axis), (0, t.dims[axis] - 1))

    def ask_all(self, t: SymbolicTensor) -> None:
        """Every place of a tensor is read."""
        for axis in range(t.ndim):
            self._ask(t, axis, self._ends(t, axis))

    def _ask(self, t: SymbolicTensor, axis: int, ends: _Ends) -> None:
        first, last = self.asked.get((t, axis), ends)
        self.asked[t, axis] = least(first, ends[0]), most(last, ends[1])

    def ask(self, t: SymbolicTensor, axes: Axes, out: SymbolicTensor, *, pads: bool) -> None:
        """Carry backwards what is asked for: of what a layer reads by no window, all places.

        pads: a window of one place is no layer that reads, but pads or crops.
        """
        alone: dict[int, _Ends] = {}
        for a, (source, layer) in enumerate(axes):
            if not isinstance(source, int) or (out, a) not in self.asked:
                continue
            if isinstance(layer, Window):
                alone[source] = self._read(t, source, layer, *self.asked[out, a], pads)
        for axis in range(t.ndim):
            self._ask(t, axis, alone.get(axis) or self._ends(t, axis))

    def _read(
        self, t: SymbolicTensor, axis: int, window: Window, first: Int, last: Int, pads: bool
    ) -> _Ends:
        """The outermost places of an axis that windows read, of which some read over its ends."""
        low, high = self._ends(t, axis)
        start, stop = window.pullback(first, last)
        before, behind = low - start, stop - high
        overlap = window.extent - window.stride
        if not isinstance(overlap, int) or overlap < 0:  # places between windows are not read
            left, width, stride = window.left, window.extent - 1, window.stride
            start = stride * most(first, -((width - left - low) // stride)) - left
            stop = stride * least(last, (high + left) // stride) - left + width
        start, stop = most(low, start), least(high, stop)
        one = _is_of_one_place(window)
        if not (one and pads):
            for k, reach in enumerate(self.found.reaches[t]):
                if type(reach) is AffineRange and reach.axis == axis:
                    for place, over, of in ((start, before, False), (stop, behind, True)):
                        edge = _Edge(k, reach.stride, reach.left + reach.reach, one, of)
                        self.borders[Border(edge, reach.stride * place - reach.left, over)] = None
        return start, stop


def _is_of_one_place(layer: AxisMap) -> TypeGuard[Window]:
    return isinstance(layer, Window) and layer.extent == layer.stride == 1


def same_borders(ours: Iterable[Border], theirs: Iterable[Border], sizes: InputSet) -> InputSet:
    """Of sizes, those at which two networks read over the same edges of maps."""
    edges = [_by_edge(borders) for borders in (ours, theirs)]
    for edge in edges[0].keys() & edges[1].keys():
        some, others = (each[edge] for each in edges)
        for one, other in ((some, others), (others, some)):
            for border in one:
                sizes = sizes - _apart(border, other, sizes)
    return sizes


def _by_edge(borders: Iterable[Border]) -> dict[_Edge, dict[Border, None]]:
    found: dict[_Edge, dict[Border, None]] = {}
    for border in borders:
        found.setdefault(border.edge, {})[border] = None
    return found


def _apart(border: Border, others: Collection[Border], sizes: InputSet) -> InputSet:
    """The sizes at which a network reads over an edge, and the other one over none like that."""
    if border in others or not sizes:
        return sizes - sizes
    apart = sizes.where(Condition(border.over, ">=", 1))
    for other in others if apart else ():
        same = Condition(other.place, "==", border.place)
        apart = apart - apart.where(same, Condition(other.over, ">=", 1))
    return apart
