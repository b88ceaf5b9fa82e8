"""Paths: what is read along equal paths is equal, and who reads more hides who reads less.

Three laws let whole networks be compared:

* a tensor is the set of ways in which it reads: a layer that reads place by place adds nothing, so
  ``x + relu(x)`` reads as x does. Tensors of two networks whose sets are equal read the same
  places at all sizes, whatever formulas, holes and borders are (`Paths`);
* behind a layer that mixes the whole of an axis, such as a global pool, every output reads
  everything. Whether two networks make the same numbers of it is told by what goes in: as many
  places, that read the same;
* where paths join, the hull of what they read hides the paths that read less. Two networks make
  the same numbers where each of these reads the same, too (`hidden_reads`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symcnn.algebra.axis import Adaptive
from symcnn.algebra.size import Int
from symcnn.ops.registry import same_axes
from symcnn.questions.field.passed import Pass
from symcnn.questions.field.reach import (
    AffineRange,
    IndexRange,
    ReadRange,
    axes_of,
    index_symbol,
    substituted,
)
from symcnn.questions.field.readings import used
from symcnn.trace.graph import Dims, SymbolicTensor, ancestors
from symcnn.trace.trace import Trace


@dataclass
class Paths:
    """Numbers for ways to read, the same for equal ways, in as many networks as are asked."""

    numbers: dict[Hashable, int] = field(default_factory=dict)

    def of(self, net: Trace) -> dict[SymbolicTensor, frozenset[int]]:
        """How every tensor reads the inputs of its network."""
        found = {t: self._one(("input", n)) for n, t in enumerate(net.input_tensors)}
        for node in net.nodes:
            for k, out in enumerate(node.outputs):
                ways: frozenset[int] = frozenset()
                for t, axes in used(node, k, found, gates=True, statistics=True):
                    if axes == same_axes(t.ndim):
                        ways |= found[t]
                    else:
                        steps = node.result.steps if t is node.inputs[0] else ()
                        ways |= self._one((axes, steps, t.dims, out.dims, found[t]))
                if ways and out not in found:
                    found[out] = ways
        return found

    def _one(self, way: Hashable) -> frozenset[int]:
        return frozenset([self.numbers.setdefault(way, len(self.numbers))])


def hidden_reads(found: Pass, outputs: Sequence[SymbolicTensor]) -> list[SymbolicTensor]:
    """Tensors whose reads an output hides: of which a layer mixes a whole axis, or pools it by its
    size, the first on a path to outputs; and those that join one that reads more.
    """
    result: dict[SymbolicTensor, None] = {}
    pooled: set[SymbolicTensor] = set()
    joined: set[SymbolicTensor] = set()  # they read what no single one of their inputs reads
    nodes = ancestors(outputs)
    asked = {*outputs}.union(*(node.inputs for node in nodes))
    aside = replace(found, assumed=[])
    for node in nodes:
        for k, out in enumerate(node.outputs):
            if out is found.source or out not in asked or out not in found.reaches:
                continue
            hull = found.reaches[out]
            read = used(node, k, found.reaches, found.gates, found.statistics)
            for t, axes in read:
                if t in pooled:
                    pooled.add(out)
                    continue
                pools = any(isinstance(m, Adaptive) for _, m in axes)
                ends = zip(found.reaches[t], hull, strict=True)
                if pools or any(_whole(new) and not _whole(old) for old, new in ends):
                    result[t] = None
                if pools:
                    pooled.add(out)
            if len(read) == 1:
                (t, axes), *_ = read
                if t in joined and axes == same_axes(t.ndim):
                    joined.add(out)
                continue
            carried = [(t, aside.through(node, t, axes, out)) for t, axes in read]
            result |= dict.fromkeys(t for t, each in carried if each != hull and t not in joined)
            if all(each != hull for _, each in carried):
                joined.add(out)
    return list(result)


def _whole(reach: ReadRange) -> bool:
    return type(reach) is IndexRange and bool(reach.whole)


def way(found: Pass, t: SymbolicTensor) -> Hashable:
    """How many places of a tensor read the source, and which: equal in two, equal places. In which
    order its axes stand is no part of that.
    """
    reaches = found.reaches[t]
    places = {a: k for k, a in enumerate(dict.fromkeys(a for r in reaches for a in _axes(r)))}
    most = max(
        (len(d.sizes) for r in reaches if type(r) is IndexRange for d in r.digits), default=0
    )
    named = {
        index_symbol(a, digit).name: index_symbol(k, digit).size()
        for a, k in places.items()
        for digit in (None, *range(most))
    }
    return tuple(sorted(map(str, t.dims))), tuple(_way(r, t.dims, named) for r in reaches)


def _axes(reach: ReadRange) -> list[int]:
    """The axes of a tensor on whose index it hangs what is read."""
    if type(reach) is AffineRange:
        return [reach.axis]
    if type(reach) is IndexRange:
        return sorted(axes_of(reach.first, reach.last) | {d.axis for d in reach.digits})
    return []


def _way(reach: ReadRange, dims: Dims, named: Mapping[str, Int]) -> Hashable:
    if type(reach) is AffineRange:
        return dims[reach.axis], reach.stride, reach.left, reach.reach
    if type(reach) is not IndexRange:
        return reach
    ends = (substituted(end, named) for end in (reach.first, reach.last))
    digits = tuple((d.sizes, d.shift) for d in reach.digits)
    return *ends, digits, tuple(dims[a] for a in _axes(reach)), bool(reach.whole)
