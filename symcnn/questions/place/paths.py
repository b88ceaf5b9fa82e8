"""Paths: what is read along equal paths is equal, and who reads more hides who reads less.

Three laws let whole networks be compared:

* a tensor is the set of ways in which it reads: a layer that reads place by place adds nothing, so
  ``x + relu(x)`` reads as x does. Tensors of two networks whose sets are equal read the same
  places at all sizes, whatever formulas, holes and borders are (`Paths`);
* behind a layer that mixes the whole of an axis, such as a global pool, every output reads
  everything. Whether two networks make the same numbers of it is told by what goes in: as many
  places, that read the same;
* where paths join, the hull of what they read hides the paths that read less. Two networks make
  the same numbers where each path of one reads as a path of the other (`ways_of`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from symcnn.algebra.axis import Adaptive
from symcnn.algebra.size import Int, symbols_of
from symcnn.errors import Undecidable
from symcnn.ops.registry import same_axes
from symcnn.questions.field.passed import Pass
from symcnn.questions.field.reach import (
    AffineRange,
    IndexRange,
    ReadRange,
    axes_of,
    digit_symbols,
    index_symbol,
    is_index,
    substituted,
)
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


# A tensor as the set of its ways -----------------------------------------------------------------


class Line(NamedTuple):
    """What a way reads along an axis of the source; indices are counted as they come, so that in
    which order the axes of a tensor stand is no part of that.
    """

    first: Int
    last: Int
    most: tuple[tuple[str, Int], ...]  # the largest value of each index
    window: bool  # it is one, whose padding counts


#: Per axis of the source; equal in two tensors, equal places.
Way = tuple[Line, ...]

#: Tensors of more ways are not compared.
_MANY = 1024


def way(found: Pass, t: SymbolicTensor) -> Way:
    """How a tensor reads the source, all its ways in one."""
    return _way(found.reaches[t], t)


def ways_of(found: Pass, outputs: Sequence[SymbolicTensor]) -> list[dict[Way, None]]:
    """The ways in which outputs read the source of a pass, and those of tensors that are mixed.

    Raises Undecidable where they are many, or one has no formula.
    """
    apart = replace(found, assumed=[], reaches={})
    every: dict[SymbolicTensor, dict[tuple[ReadRange, ...], None]] = {
        found.source: {found.reaches[found.source]: None}
    }
    for node in ancestors(outputs):
        for k, out in enumerate(node.outputs):
            if out in every or out not in found.reaches:
                continue
            carried: dict[tuple[ReadRange, ...], None] = {}
            for t, axes in used(node, k, found.reaches, found.gates, found.statistics):
                for one in every[t]:
                    apart.reaches[t] = one
                    carried[apart.through(node, t, axes, out)] = None
            if len(carried) > _MANY:
                raise Undecidable(
                    f"more than {_MANY:,} paths read different places",
                    cure='compare parts: a.at("..."), b.at("...")',
                )
            every[out] = carried
    several = [[out] for out in outputs if out in every] + [whole_reads(found, outputs)]
    return [{_way(one, t): None for t in these for one in every[t]} for these in several]


def _way(reaches: Sequence[ReadRange], t: SymbolicTensor) -> Way:
    along = dict.fromkeys(a for reach in reaches for a in _axes(reach))
    digits = {d.axis: d for r in reaches if type(r) is IndexRange for d in r.digits}
    named: dict[str, Int] = {}
    most: dict[str, Int] = {}
    for k, a in enumerate(along):
        for symbol, size in digit_symbols(a, digits.get(a), t.dims[a]):
            _, dot, digit = symbol.name.partition(".")
            other = index_symbol(k, int(digit) if dot else None)
            named[symbol.name], most[other.name] = other.size(), size - 1

    def line(reach: ReadRange) -> Line:
        first, last = substituted(reach.first, named), substituted(reach.last, named)
        own = sorted(filter(is_index, symbols_of(first, last)))
        return Line(first, last, tuple((n, most[n]) for n in own), type(reach) is AffineRange)

    return tuple(map(line, reaches))


def _axes(reach: ReadRange) -> list[int]:
    """The axes of a tensor on whose index it hangs what is read."""
    return sorted(axes_of(reach.first, reach.last))
