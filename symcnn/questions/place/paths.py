"""Paths: what is read along equal paths is equal, and what a layer mixes hides what is in front.

Two laws let whole networks be compared:

* a tensor is the set of ways in which it reads: a layer that reads place by place adds nothing, so
  ``x + relu(x)`` reads as x does. Tensors of two networks whose sets are equal read the same
  places at all sizes, whatever formulas, holes and borders are (`Paths`);
* behind a layer that mixes the whole of an axis, such as a global pool, every output reads
  everything. Whether two networks make the same numbers of it is told by what goes in: as many
  places, that read the same (`mixed`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from symcnn.algebra.axis import Adaptive
from symcnn.ops.registry import same_axes
from symcnn.questions.field.passed import Pass
from symcnn.questions.field.reach import AffineRange, IndexRange, ReadRange
from symcnn.questions.field.readings import used
from symcnn.trace.graph import SymbolicTensor, ancestors
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


def whole_reads(found: Pass, outputs: Sequence[SymbolicTensor]) -> list[SymbolicTensor]:
    """Tensors of which a layer mixes a whole axis, or pools it by its size, the first on a path to
    outputs.
    """
    result: dict[SymbolicTensor, None] = {}
    pooled: set[SymbolicTensor] = set()
    nodes = ancestors(outputs)
    asked = {*outputs}.union(*(node.inputs for node in nodes))
    for node in nodes:
        for k, out in enumerate(node.outputs):
            if out is found.source or out not in asked or out not in found.reaches:
                continue
            for t, axes in used(node, k, found.reaches, found.gates, found.statistics):
                if t in pooled:
                    pooled.add(out)
                    continue
                pools = any(isinstance(m, Adaptive) for _, m in axes)
                ends = zip(found.reaches[t], found.reaches[out], strict=True)
                if pools or any(_whole(new) and not _whole(old) for old, new in ends):
                    result[t] = None
                if pools:
                    pooled.add(out)
    return list(result)


def _whole(reach: ReadRange) -> bool:
    return type(reach) is IndexRange and bool(reach.whole)


def way(found: Pass, t: SymbolicTensor) -> Hashable:
    """How many places of a tensor read the source, and which: equal in two, equal places."""
    return tuple(
        (t.dims[r.axis], r.stride, r.left, r.reach) if type(r) is AffineRange else (t.dims, r)
        for r in found.reaches[t]
    )
