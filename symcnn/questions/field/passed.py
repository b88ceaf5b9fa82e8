"""One pass over the graph: what every tensor is reached from, and where branches disagree.

Forwards, node by node: what a node's output reads of each tensor is carried on
(`symcnn.questions.field.reader`), and united where several are read: the hull of all, or along the
shortest path the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes
from symcnn.algebra.expr import Expr
from symcnn.algebra.size import Int, Size, exact_div, symbols_of
from symcnn.errors import Undecidable, UnsupportedOperation
from symcnn.lazy import sympy
from symcnn.ops.registry import same_axes
from symcnn.questions.field.cover import Covers
from symcnn.questions.field.reach import (
    AffineRange,
    IndexRange,
    ReadRange,
    Unknown,
    narrowest,
    united,
)
from symcnn.questions.field.reader import reader
from symcnn.questions.field.readings import used
from symcnn.questions.field.together import Together, behind, of_any, of_ends, of_input
from symcnn.sets.condition import AnyOf, Condition
from symcnn.shown import Shown
from symcnn.trace.graph import Dims, Node, SymbolicTensor, public


@dataclass(frozen=True, slots=True)
class Branches(Shown):
    """Operands of a node whose receptive fields are not centred on each other, or move at
    different strides: the alignment check of Araujo, Norris and Sim (2019).
    """

    node: str
    axis: str
    sources: tuple[str, ...]  # the last node of each branch
    strides: tuple[Any, ...]
    centres: tuple[Any, ...]  # of output 0

    @property
    def shifts(self) -> tuple[Expr, ...]:
        """How far each branch lies behind the first, in pixels, where all move alike.

        Raises Undecidable where they do not: then the shift grows with the place.
        """
        if len(set(self.strides)) > 1:
            raise Undecidable(f"the branches of {self.node} drift apart along {self.axis}")
        return tuple(centre - self.centres[0] for centre in self.centres)

    def __str__(self) -> str:
        each = (
            f"{s or 'the input'} (stride {stride}, centre {centre})"
            for s, stride, centre in zip(self.sources, self.strides, self.centres, strict=True)
        )
        return f"{self.node}: along {self.axis}, {' against '.join(each)}"


@dataclass(slots=True)
class Pass:
    """All receptive fields among `nodes` with respect to one tensor, along some of its axes."""

    nodes: Sequence[Node]
    source: SymbolicTensor
    axes: tuple[int, ...]  # those of the source
    gates: bool = True
    statistics: bool = True
    reaches: dict[SymbolicTensor, tuple[Any, ...]] = field(default_factory=dict)
    branches: list[Branches] = field(default_factory=list)
    assumed: list[Condition] = field(default_factory=list)
    smallest: bool = False  # the field along the shortest path, not the hull of all
    _shortest: Pass | None = None
    simplest: Callable[[Int], Int] = lambda size: size
    together: dict[SymbolicTensor, tuple[Together, ...]] = field(default_factory=dict)
    _dims: frozenset[Int] | None = None
    _covered: set[int] = field(default_factory=set)  # axes along which all tensors have a cover

    @property
    def shortest(self) -> Pass:
        """The same pass along the shortest paths."""
        if self._shortest is None:
            rest = self.nodes, self.source, self.axes, self.gates, self.statistics
            self._shortest = (
                self if self.smallest else Pass(*rest, smallest=True, simplest=self.simplest).run()
            )
        return self._shortest

    def _is_length(self, size: Int) -> bool:
        """Whether it is a multiple of how long an axis of a tensor is: not negative."""
        if self._dims is None:
            tensors = {self.source, *(t for node in self.nodes for t in node.outputs)}
            self._dims = frozenset(d for t in tensors for d in t.dims)
        common = 1 if isinstance(size, int) else gcd(*map(int, size.terms.values()))
        return exact_div(size, common) in self._dims

    def places(self, dims: Dims, leading: Set[str]) -> list[Int]:
        """The sizes of an output's axes that an index may mean where all places see the same: all
        but the batch, and the channels of an output of as many axes as the source.
        """
        channels = 2 < len(dims) == self.source.ndim and isinstance(dims[1], int)
        rest = [d for a, d in enumerate(dims) if not (channels and a == 1)]
        return [d for d in rest if not symbols_of(d) or symbols_of(d) - leading]

    def run(self) -> Pass:
        self.reaches[self.source] = tuple(AffineRange(a, 1, 0, 0, 0) for a in self.axes)
        self.together[self.source] = tuple(of_input(self.source.dims[a]) for a in self.axes)
        for node in self.nodes:
            for k, out in enumerate(node.outputs):
                if out is not self.source:
                    self._node(node, k, out)
        return self

    def cover(self, output: SymbolicTensor) -> None:
        """Where an output has no formula, what every place reads that reads all of a tensor: once
        for all tensors, of which each may be asked for.
        """
        for k, axis in enumerate(self.axes):
            if k in self._covered or not _has_no_formula(self.reaches[output][k]):
                continue
            self._covered.add(k)
            covers = Covers(self.source, axis, self.reaches, self.together, self.simplest)
            found = covers.follow(self.nodes, k, gates=self.gates, statistics=self.statistics)
            for t, cover in found.items():
                if cover.whole and _has_no_formula(self.reaches[t][k]):
                    reaches = [*self.reaches[t]]
                    reaches[k] = IndexRange(*cover.outer, whole=cover.whole)
                    self.reaches[t] = tuple(reaches)
                    together = [*self.together[t]]
                    together[k] = of_ends(cover.outer, together[k])
                    self.together[t] = tuple(together)

    def reads(self, node: Node, k: int) -> list[tuple[SymbolicTensor, Axes]]:
        """The tensors, of those that reach the source, that the k-th output of a node reads, and
        how.
        """
        return used(node, k, self.reaches, self.gates, self.statistics)

    def _node(self, node: Node, k: int, out: SymbolicTensor) -> None:
        try:
            read = self.reads(node, k)
        except UnsupportedOperation as error:  # told to who asks for what depends on it
            self.reaches[out] = unknown = (Unknown(error),) * len(self.axes)
            every = zip(self.together[self.source], unknown, strict=True)
            self.together[out] = tuple(behind(own, reach, out.dims) for own, reach in every)
            return
        if not read:
            return
        if node.result.requires:
            self._assume(node, read, out)
        if len(read) == 1:
            self.reaches[out], self.together[out] = self._carried(node, *read[0], out)
            return
        each = [self._carried(node, t, axes, out) for t, axes in read]
        along = list(zip(*(carried for carried, _ in each), strict=True))
        beside = list(zip(*(together for _, together in each), strict=True))
        if self.smallest:
            self.reaches[out] = tuple(narrowest(reaches, out.dims) for reaches in along)
            self.together[out] = tuple(
                own[reaches.index(r)] if r in reaches else of_any(own)
                for r, reaches, own in zip(self.reaches[out], along, beside, strict=True)
            )
            return
        self._compare(node, read, along)
        self.together[out] = tuple(map(of_any, beside))
        self.reaches[out] = tuple(
            united(reaches, _ends(reaches, own), out.dims)
            for reaches, own in zip(along, self.together[out], strict=True)
        )

    def through(
        self, node: Node, t: SymbolicTensor, axes: Axes, out: SymbolicTensor
    ) -> tuple[ReadRange, ...]:
        """What an output carries of one tensor that it reads."""
        return self._carried(node, t, axes, out)[0]

    def _carried(
        self, node: Node, t: SymbolicTensor, axes: Axes, out: SymbolicTensor
    ) -> tuple[tuple[ReadRange, ...], tuple[Together, ...]]:
        """The same, and what all its places read together."""
        carried, together, dims = self.reaches[t], self.together[t], t.dims
        if axes == same_axes(len(dims)):
            return carried, together
        steps: Any = ((axes, out.dims),)
        if node.result.steps and t is node.inputs[0] and _whole_but_in_steps(node, axes):
            steps = node.result.steps
        for maps, after in steps:
            through = reader(maps, dims, after)
            read = tuple(
                [
                    through.read(reach, own, node, self.assumed, self._is_length)
                    for reach, own in zip(carried, together, strict=True)
                ]
            )
            if not all(map(through.reads_all, carried)):
                together = tuple(
                    own if through.reads_all(reach) else behind(own, new, after)
                    for reach, new, own in zip(carried, read, together, strict=True)
                )
            carried, dims = read, after
        return carried, together

    def _assume(self, node: Node, read: list[Any], out: SymbolicTensor) -> None:
        """Sizes that may be equal, or else 1 and stretched, are taken to be equal."""
        if not any(isinstance(r, AnyOf) for r in node.result.requires):
            return
        for t, axes in read:
            for o, (source, axis_map) in enumerate(axes):
                if axis_map is IDENTITY and type(source) is int and o < out.ndim:
                    same = Condition(t.dims[source], "==", out.dims[o], "no axis is stretched")
                    if same.lhs != same.rhs and same not in self.assumed:
                        self.assumed.append(same)

    def _compare(self, node: Node, read: list[Any], along: Sequence[Any]) -> None:
        for axis, reaches in zip(self.axes, along, strict=True):
            lines = [r for r in reaches if type(r) is AffineRange]
            if len(lines) < 2 or len(lines) < len(reaches):
                continue
            if len({(r.stride, r.reach - r.left) for r in lines}) > 1:
                self.branches.append(
                    Branches(
                        node.name,
                        axis_name(self.source, axis),
                        tuple("" if t.node is None else t.node.name for t, _ in read),
                        tuple(public(r.stride) for r in lines),
                        tuple(half(public(r.reach - r.left)) for r in lines),
                    )
                )


def _whole_but_in_steps(node: Node, axes: Axes) -> bool:
    """Whether the steps read an axis place by place that the one map per axis reads whole."""
    told = {s for s, m in axes if isinstance(s, int)}
    steps = {a for s, _ in node.result.steps[0][0] for a in (s if isinstance(s, tuple) else (s,))}
    return bool(steps - told - {None})


def half(value: Expr) -> Expr:
    """Half of a value: a whole number where it is."""
    return value // 2 if isinstance(value, int) and value % 2 == 0 else sympy.Rational(1, 2) * value


def axis_name(t: SymbolicTensor, axis: int) -> str:
    """The size symbol of an axis where it has one of its own, else its number."""
    size = t.dims[axis]
    text = str(size)
    return text if isinstance(size, Size) and text.isidentifier() else f"axis {axis}"


def _ends(reaches: Sequence[ReadRange], own: Together) -> tuple[Int, Int] | None:
    """What places read together, where that is asked for: an operand sees all that there is."""
    return own.ends_or_none if any(isinstance(r, IndexRange) and r.whole for r in reaches) else None


def _has_no_formula(reach: ReadRange) -> bool:
    return type(reach) is Unknown and isinstance(reach.error, Undecidable)
