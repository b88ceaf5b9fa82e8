"""What all places of a tensor read together, where no formula says what each of them reads.

The law: *what reads all places of a tensor reads what they read together.* Carried forwards are
bounds of that from both sides, from wherever there is a formula, and along which axes places may
read differently. A layer that mixes the last of these axes, as a mean over windows of attention
does, reads at every place what all read together, if both bounds are one.

A layer loses the inner bound that may leave places out (a crop, a stride); a sum with what was
before the layer has it again. No layer reads beyond the outer one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from symcnn.algebra.axis import (
    IDENTITY,
    Adaptive,
    Axes,
    AxisMap,
    Const,
    Flip,
    Roll,
    Running,
    Whole,
    Window,
)
from symcnn.algebra.size import Int, Size, sharp_lower
from symcnn.errors import Undecidable, UnsupportedOperation
from symcnn.questions.field.reach import (
    IndexRange,
    ReadRange,
    Unknown,
    axes_of,
    least,
    most,
)
from symcnn.questions.field.reader import Reader, reader
from symcnn.questions.field.readings import used
from symcnn.questions.field.together import Ends, Together
from symcnn.trace.graph import Node, SymbolicTensor

#: A node, an output, and what that reads.
_Step = tuple[Node, SymbolicTensor, list[tuple[SymbolicTensor, Axes]]]

#: A size in its simplest form on the domain.
Simplest = Callable[[Int], Int]


class Cover(NamedTuple):
    """What the places of a tensor read together of one axis of the input."""

    inner: Ends | None  # at least
    outer: Ends  # at most
    axes: frozenset[int]  # along which places may read differently
    whole: str = ""  # the node through which each place reads what all read


class Covers:
    """The covers of the tensors of a network, of one axis of a tensor."""

    def __init__(
        self,
        source: SymbolicTensor,
        axis: int,
        reaches: Mapping[SymbolicTensor, Sequence[ReadRange]],
        together: Mapping[SymbolicTensor, Sequence[Together]],
        simplest: Simplest,
    ) -> None:
        self.simplest, self.reaches, self.together = simplest, reaches, together
        whole = (0, source.dims[axis] - 1)
        self.found = {source: Cover(whole, whole, frozenset({axis}))}
        self.batch = source.dims[0] if axis and isinstance(source.dims[0], Size) else 1

    def follow(
        self, nodes: Sequence[Node], k: int, *, gates: bool, statistics: bool
    ) -> dict[SymbolicTensor, Cover]:
        """The cover of every tensor that the nodes make; k: which of its reaches is of the axis."""
        steps: list[_Step] = []
        known = {*self.found}
        for node in nodes:
            for which, out in enumerate(node.outputs):
                if out in self.reaches and out not in known:
                    read = _read(node, which, self.reaches, gates, statistics)
                    if read and all(t in known for t, _ in read):
                        steps.append((node, out, read))
                        known.add(out)
        if self._mixes(steps, k):
            for node, out, read in steps:
                each = [self._through(t, axes, node, out) for t, axes in read]
                self.found[out] = self._sharper(self._united(each), out, k)
        return self.found

    def _mixes(self, steps: Sequence[_Step], k: int) -> bool:
        """Whether a layer mixes all that may differ, of what has no formula: else there is nothing
        to find.
        """
        moving = {t: cover.axes for t, cover in self.found.items()}
        for _, out, read in steps:
            reach = self.reaches[out][k]
            if type(reach) is not Unknown:
                moving[out] = frozenset(axes_of(reach.first, reach.last))
                continue
            each = [
                self._moving(moving[t], reader(axes, t.dims, out.dims), out) for t, axes in read
            ]
            moving[out] = frozenset[int]().union(*each)
            if not moving[out]:
                return True
        return False

    def _moving(self, axes: Iterable[int], reads: Reader, out: SymbolicTensor) -> frozenset[int]:
        """The axes of an output along which places may read differently; the batch is none."""
        found: set[int] = set()
        for axis in axes:
            o, axis_map = reads.entries.get(axis, (None, Whole()))
            found.update(*(group for source, group in reads.views.items() if axis in source))
            if o is not None and not isinstance(axis_map, Whole):
                found.add(o)
        return frozenset(o for o in found if out.dims[o] not in (1, self.batch))

    def _sharper(self, cover: Cover, out: SymbolicTensor, k: int) -> Cover:
        """The cover by the formula, where there is one."""
        reach = self.reaches[out][k]
        if isinstance(reach, Unknown) or cover.whole:
            return cover
        axes = frozenset(axes_of(reach.first, reach.last))
        whole = reach.whole if type(reach) is IndexRange else ""
        try:
            ends = self.together[out][k].ends
        except Undecidable:
            return cover._replace(axes=axes, whole=whole)
        return Cover(ends, ends, axes, whole)

    def _united(self, operands: Sequence[Cover]) -> Cover:
        """What any of several operands reads."""
        inner = [c.inner for c in operands if c.inner is not None]
        outer = _hull([c.outer for c in operands])
        axes = frozenset[int]().union(*(c.axes for c in operands))
        found = Cover(_hull(inner) if inner else None, outer, axes)
        whole = next((c for c in operands if c.whole and c.inner == outer), None)
        return found if whole is None else Cover(outer, outer, frozenset(), whole.whole)

    def _through(self, t: SymbolicTensor, axes: Any, node: Node, out: SymbolicTensor) -> Cover:
        """What the output of a layer reads through one tensor."""
        cover, reads = self.found[t], reader(axes, t.dims, out.dims)
        if cover.whole:
            return cover
        inner = cover.inner
        for axis in cover.axes if inner is not None else ():
            o, axis_map = reads.entries.get(axis, (None, Whole()))
            if any(axis in source for source in reads.views):
                every = not reads.joint
            else:
                every = isinstance(axis_map, Whole) or (
                    o is not None and self._reads_all(axis_map, axis, o, reads)
                )
            if not every:
                inner = None
                break
        moving = self._moving(cover.axes, reads, out)
        mixed = inner is not None and inner == cover.outer and not moving
        return Cover(inner, cover.outer, moving, node.name if mixed else "")

    def _reads_all(self, axis_map: AxisMap, axis: int, o: int, reads: Reader) -> bool:
        """Whether the outputs of a layer read all places along an axis."""
        if axis_map == IDENTITY or isinstance(axis_map, (Running, Roll, Flip, Adaptive)):
            return True
        x, length = reads.dims[axis], reads.out[o]
        if isinstance(axis_map, Const):
            return self._is_not_negative(length - x)
        if not isinstance(axis_map, Window) or axis_map.dilation != 1:
            return False
        last = axis_map.stride * (length - 1) - axis_map.left + axis_map.extent - x
        sizes = axis_map.left, last, axis_map.extent - axis_map.stride
        return all(map(self._is_not_negative, sizes))

    def _is_not_negative(self, size: Int) -> bool:
        low = sharp_lower(self.simplest(size))
        return low is not None and low >= 0


def _read(
    node: Node, which: int, reached: Container[SymbolicTensor], gates: bool, statistics: bool
) -> list[tuple[SymbolicTensor, Axes]]:
    """What an output reads, and how; nothing where that is not said."""
    with suppress(UnsupportedOperation):
        return used(node, which, reached, gates, statistics)
    return []


def _hull(ends: Sequence[Ends]) -> Ends:
    first, last = ends[0]
    for one, other in ends[1:]:
        first, last = least(first, one), most(last, other)
    return first, last
