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

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from symcnn.algebra.axis import Adaptive, Axes
from symcnn.algebra.size import Int, Size, Symbol, evaluate, sharp_lower, symbols_of
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
    least,
    most,
    substituted,
)
from symcnn.questions.field.readings import used
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.condition import substituted as put
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name
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
    apart = replace(found, assumed=[])
    nodes = ancestors(outputs)
    asked = {*outputs}.union(*(node.inputs for node in nodes))
    for node in nodes:
        for k, out in enumerate(node.outputs):
            if out is found.source or out not in asked or out not in found.reaches:
                continue
            for t, axes in found.reads(node, k):
                if t in pooled:
                    pooled.add(out)
                    continue
                pools = _pools(axes)
                if pools or _mixes(found.reaches[t], apart.through(node, t, axes, out)):
                    result[t] = None
                if pools:
                    pooled.add(out)
    return list(result)


def _pools(axes: Axes) -> bool:
    return any(isinstance(m, Adaptive) for _, m in axes)


def _mixes(before: Sequence[ReadRange], after: Sequence[ReadRange]) -> bool:
    """Whether a layer reads the whole of an axis of which a place had read a part."""
    return any(_whole(b) and not _whole(a) for a, b in zip(before, after, strict=True))


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
    """The ways in which all that a layer mixes reads the source of a pass, and each output past
    that: what reads all is told by what it reads that of.

    Raises Undecidable where they are many, or one has no formula.
    """
    apart = replace(found, assumed=[], reaches={})
    every: dict[SymbolicTensor, dict[tuple[ReadRange, ...], None]] = {
        found.source: {found.reaches[found.source]: None}
    }
    mixed: dict[Way, None] = {}
    pooled: set[SymbolicTensor] = set()
    nodes = ancestors(outputs)
    asked = {*outputs}.union(*(node.inputs for node in nodes))
    for node in nodes:
        for k, out in enumerate(node.outputs):
            if out in every or out not in found.reaches:
                continue
            carried: dict[tuple[ReadRange, ...], None] = {}
            for t, axes in found.reads(node, k):
                pools = _pools(axes)
                for one in every[t]:
                    apart.reaches[t] = one
                    after = apart.through(node, t, axes, out)
                    carried[after] = None
                    mixes = pools or _mixes(one, after)
                    if mixes and out in asked and t not in pooled:
                        mixed[_way(one, t)] = None
                if pools or t in pooled:
                    pooled.add(out)
            if len(carried) > _MANY:
                raise Undecidable(
                    f"more than {_MANY:,} paths read different places",
                    cure='compare parts: a.at("..."), b.at("...")',
                )
            every[out] = carried
    return [
        mixed,
        *(
            {_way(one, t): None for one in every[t] if not all(map(_whole, one))}
            for t in outputs
            if t in every
        ),
    ]


def _way(reaches: Sequence[ReadRange], t: SymbolicTensor) -> Way:
    along = dict.fromkeys(a for reach in reaches for a in _axes(reach))
    digits = {d.axis: d for r in reaches if type(r) is IndexRange for d in r.digits}
    named: dict[str, Int] = {}
    largest: dict[str, Int] = {}
    for k, a in enumerate(along):
        for symbol, size in digit_symbols(a, digits.get(a), t.dims[a]):
            _, dot, digit = symbol.name.partition(".")
            other = index_symbol(k, int(digit) if dot else None)
            named[symbol.name], largest[other.name] = other.size(), size - 1

    def line(reach: ReadRange) -> Line:
        first, last = substituted(reach.first, named), substituted(reach.last, named)
        own = sorted(filter(is_index, symbols_of(first, last)))
        return Line(first, last, tuple((n, largest[n]) for n in own), type(reach) is AffineRange)

    return tuple(map(line, reaches))


def _axes(reach: ReadRange) -> list[int]:
    """The axes of a tensor on whose index it hangs what is read."""
    return sorted(axes_of(reach.first, reach.last))


# Where ways are equal ----------------------------------------------------------------------------

#: By how much the ends of two ways differ, each with the largest values of the indices in it.
_Gaps = tuple[tuple[Int, tuple[tuple[str, Int], ...]], ...]


def each_among(
    ways: Collection[Way], others: Collection[Way], lengths: Sequence[Int], sizes: InputSet
) -> InputSet:
    """Of sizes, those at which each of some ways reads as one of others."""
    among: dict[Hashable, list[Way]] = {}
    for other in others:
        among.setdefault(_extents(other), []).append(other)
    choices: dict[frozenset[_Gaps], None] = {}
    for one in ways:
        if one not in others:
            extents = _extents(one)
            near = others if extents is None else [*among.get(extents, ()), *among.get(None, ())]
            apart = (_gaps_of(one, other, lengths) for other in near)
            choices[frozenset(gaps for gaps in apart if gaps is not None)] = None
    at = by_name(sizes.shown, sizes.smallest()) if choices and sizes else {}
    open_at = {gaps: [g for g in gaps if _may_vanish(g, at)] for gaps in choices}
    for gaps in sorted(choices, key=lambda gaps: (len(open_at[gaps]), len(gaps))):
        found = sizes - sizes  # where one has few choices few sizes are left for the rest
        for g in sorted(gaps, key=lambda g: (g not in open_at[gaps], str(g))) if sizes else ():
            if sizes <= (found := found | _without_gaps(g, sizes)):
                break
        sizes = found
    return sizes


def _may_vanish(gaps: _Gaps, at: Mapping[str, int]) -> bool:
    """Whether all gaps may be 0 at a size, those left out that hang on an index."""
    plain = (gap for gap, _ in gaps if symbols_of(gap) <= at.keys())
    return all(evaluate(gap, at) == 0 for gap in plain)


def _extents(way: Way) -> tuple[Int, ...] | None:
    """How long the windows of a way are; None where that hangs on sizes: it may equal any."""
    extents = tuple(line.last - line.first for line in way)
    whole = all(line.window for line in way) and all(isinstance(e, int) for e in extents)
    return extents if whole else None


@lru_cache(maxsize=4096)  # ways are compared in pairs
def _clipped(line: Line, length: Int) -> tuple[Int, Int]:
    """First and last place of an axis that a way reads, without padding."""
    return most(line.first, 0), least(line.last, length - 1)


def _gaps_of(one: Way, other: Way, lengths: Sequence[Int]) -> _Gaps | None:
    """By how much two ways differ; None where they do at all sizes."""
    gaps: dict[tuple[Int, tuple[tuple[str, Int], ...]], None] = {}
    for x, y, length in zip(one, other, lengths, strict=True):
        windows = x.window and y.window
        ends = (line[:2] if windows else _clipped(line, length) for line in (x, y))
        for ours, theirs in zip(*ends, strict=True):
            gap = ours - theirs
            indices = any(map(is_index, symbols_of(gap)))
            if (windows and indices) or _never_zero(gap):  # of another stride, or far apart
                return None
            if gap != 0:
                gaps[gap, x.most if indices else ()] = None
        for (_, ours), (_, theirs) in zip(x.most, y.most, strict=False):
            if ours != theirs:  # as many places
                gaps[ours - theirs, ()] = None
    return tuple(gaps)


@lru_cache(maxsize=4096)
def _never_zero(gap: Int) -> bool:
    """Whether bounds alone say so, of one sign."""
    return any((low := sharp_lower(one, least=1)) is not None and low > 0 for one in (gap, -gap))


def _without_gaps(gaps: _Gaps, sizes: InputSet) -> InputSet:
    """Of sizes, those at which the ends of two ways are the same."""
    for gap, limits in gaps:
        indices = sorted(filter(is_index, symbols_of(gap)))
        inside: list[Requirement] = [
            Condition(largest, ">=", Symbol(name, low=0).size())
            for name, largest in limits
            if name in indices
        ]
        for sign in (1, -1):
            sizes = sizes - projected(sizes, indices, [*inside, Condition(gap * sign, ">=", 1)])
    return sizes


def projected(sizes: InputSet, indices: list[str], conditions: list[Requirement]) -> InputSet:
    """The sizes for which some indices meet conditions. An index from 0 is one from 1, less 1."""
    if not indices:
        return sizes.where(*conditions)
    renamed = {n: Size.symbol(f"j{k}") - 1 for k, n in enumerate(indices)}
    moved = [put(c, renamed) for c in conditions]
    names = [*sizes.names, *(f"j{k}" for k in range(len(indices)))]
    found = sizes & input_set(names, moved, batch=tuple(sizes.batch))
    return found.axis(*sizes.names)
