"""Receptive fields, layer by layer and join by join.

Backwards from the output, a join needs those of its branches that its hull needs: one that holds
all others, as a rule, or one for each end. Forwards, windows in a row are one step; what is no
window, and a join of several needed branches, is a step with an interval. The answer is that of
`receptive_field`, from the same pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from symcnn.algebra.axis import Axes
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Symbol, symbols_of
from symcnn.errors import BadSpec, SymcnnError, Undecidable
from symcnn.questions.explain.derivation import Derivation, Step, distinct
from symcnn.questions.explain.lines import Ends, Line, Tree
from symcnn.questions.explain.paths import between
from symcnn.questions.field import reach as reaching
from symcnn.questions.field.reach import (
    IndexRange,
    ReadRange,
    Unknown,
    index_symbol,
    plain_ends,
    substituted,
)
from symcnn.questions.field.reader import reader
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.field.together import of_input
from symcnn.trace.graph import Node, SymbolicTensor, ancestors
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from symcnn.questions.field.receptive_field import ReceptiveField

#: Other branches of a group of joins that are told one by one.
_TOLD = 3


@dataclass
class _Visit:
    """A node on the way, and what of its branches its field needs."""

    node: Node
    out: SymbolicTensor
    after: ReadRange
    needed: list[
        tuple[SymbolicTensor, ReadRange, ReadRange]
    ]  # as it carries it, and as the node reads it
    beside: list[tuple[SymbolicTensor, ReadRange]]  # branches whose field lies within


@dataclass
class _Run:
    """Nodes in a row whose windows are alike, or that change nothing."""

    windows: list[_Visit] = field(default_factory=list)
    joins: list[_Visit] = field(default_factory=list)
    kernel: tuple[Int, Int] = (1, 1)  # extent and stride


class _Derivation:
    """The visits of one output along one axis."""

    def __init__(self, net: Trace, rf: ReceptiveField, k: int) -> None:
        self.net, self.found, self.k = net, rf.passed, k
        self.x = self.found.source.dims[self.found.axes[k]]
        self.output = rf.output
        self.steps: list[Step] = []
        self.names: dict[SymbolicTensor, str] = {}  # what is known by a number: R3
        self.whole: _Visit | None = None  # the first that sees the whole axis

    def reach(self, t: SymbolicTensor) -> ReadRange:
        found: ReadRange = self.found.reaches[t][self.k]
        return found

    def visits(self) -> list[_Visit]:
        """The nodes that the field needs, in order of execution."""
        found: dict[SymbolicTensor, _Visit] = {}
        waiting = [self.output]
        while waiting:
            t = waiting.pop()
            if t is self.found.source or t in found or t.node is None:
                continue
            found[t] = visit = self._visit(t.node, t)
            waiting += [source for source, _, _ in visit.needed]
        order = {node: i for i, node in enumerate(ancestors([self.output]))}
        return sorted(found.values(), key=lambda v: order[v.node])

    def _visit(self, node: Node, out: SymbolicTensor) -> _Visit:
        after = self.reach(out)
        which = node.outputs.index(out)
        read = self.found.reads(node, which)
        each = [(t, self.reach(t), self._through(node, t, axes, out)) for t, axes in read]
        needed = _needed(each, after)
        beside = [(t, seen) for t, _, seen in each if all(t is not n for n, _, _ in needed)]
        return _Visit(node, out, after, needed, beside)

    def _through(self, node: Node, t: SymbolicTensor, axes: Axes, out: SymbolicTensor) -> ReadRange:
        found: ReadRange = self.found.through(node, t, axes, out)[self.k]
        return found

    # steps

    def run(self) -> list[Step]:
        """All steps."""
        row = _Run()
        last: SymbolicTensor = self.found.source
        for visit in self.visits():
            plain = len(visit.needed) == 1
            source, before, _ = visit.needed[0]
            if plain and source is not last:
                self._end(row)
                row = _Run()
            if not plain:
                self._end(row)
                row = _Run()
                self._join(visit)
            elif type(before) is reaching.AffineRange and type(visit.after) is reaching.AffineRange:
                kernel = _kernel(before, visit.after)
                if kernel != (1, 1):
                    if row.windows and (kernel != row.kernel or kernel[1] != 1):
                        self._end(row)
                        row = _Run()
                    row.kernel = kernel
                    row.windows.append(visit)
                row.joins += [visit] if visit.beside else []
            elif isinstance(visit.after, IndexRange) and visit.after.whole:
                self._end(row)
                row = _Run()
                self.whole = self.whole or visit
            elif visit.after != before:
                self._end(row)
                row = _Run()
                self._interval(visit)
            else:
                row.joins += [visit] if visit.beside else []
            last = visit.out
        self._end(row)
        return self.steps

    def _about(self, t: SymbolicTensor) -> str:
        self.names[t] = f"R{len(self.steps) + 1}"
        return self.names[t]

    def _end(self, row: _Run) -> None:
        """A row of windows as a step; one that widens nothing goes with the next."""
        premises = tuple(self._beside(row.joins))
        if not row.windows:
            if premises and self.steps:
                self.steps[-1] = replace(
                    self.steps[-1], premises=(*self.steps[-1].premises, *premises)
                )
            return
        extent, _ = row.kernel
        start, end = row.windows[0].needed[0][1], row.windows[-1].after
        assert type(start) is reaching.AffineRange
        assert type(end) is reaching.AffineRange
        if extent == 1:  # a stride, which the next step shows
            return
        count = len(row.windows)
        tree = Tree.of("sum", _size(start), Tree.of("product", count, extent - 1, start.stride))
        note = f"{count} windows of {text(extent)}" if count > 1 else ""
        lines = distinct([Line(tree, note), Line(Tree.leaf(_size(end)))])
        names = between([v.node.name for v in row.windows])
        where = f"{names}, at effective stride {text(start.stride)}"
        about = self._about(row.windows[-1].out)
        self.steps.append(Step(where, about, "fusion", lines, premises=premises))

    def _beside(self, joins: Sequence[_Visit]) -> Iterator[str]:
        """The branches that decide nothing, in few words."""
        if len(joins) > _TOLD:
            names = between([v.node.name for v in joins])
            yield f"at {names} the other branches lie within"
            return
        for visit in joins:
            for t, seen in visit.beside[:_TOLD]:
                yield f"at {visit.node.name} {self._branch(t, seen)} lies within"
            if len(visit.beside) > _TOLD:
                yield f"at {visit.node.name} {len(visit.beside) - _TOLD} more lie within"

    def _branch(self, t: SymbolicTensor, seen: ReadRange, beside: Sequence[ReadRange] = ()) -> str:
        """A branch: where it comes from, and what it sees."""
        name = self.net.source_name(t)
        if type(seen) is Unknown:
            return name
        ends = _ends(seen, beside)
        size = seen.last - seen.first + 1
        if isinstance(seen, IndexRange) and seen.whole:
            return f"{name} ({seen.whole}: {ends})"
        return f"{name} ({ends})" if symbols_of(size) else f"{name} ({ends}, {text(size)} in all)"

    def _join(self, visit: _Visit) -> None:
        """A hull that takes several branches."""
        premises = [
            self._branch(t, seen, [s for _, _, s in visit.needed]) for t, _, seen in visit.needed
        ]
        premises += self._beside([visit])
        reads = [seen for _, _, seen in visit.needed]
        where = f"{visit.node.name} ({visit.node.op})"
        after = visit.after
        if type(after) is reaching.AffineRange and all(
            type(r) is reaching.AffineRange for r in reads
        ):
            lines: list[Any] = reads
            tree = Tree.of(
                "sum",
                Tree.of("max", *dict.fromkeys(r.left for r in lines)),
                Tree.of("max", *dict.fromkeys(r.reach for r in lines)),
                1,
            )
            made = distinct([Line(tree, "left, right, itself"), Line(Tree.leaf(_size(after)))])
        else:
            ends = [_ends(r, [after, *reads]) for r in reads]
            hull = Ends(
                Tree.of("min", *(e.first for e in ends)), Tree.of("max", *(e.last for e in ends))
            )
            made = distinct([Line(hull, "hull"), Line(_ends(after, [after, *reads]))])
        about = self._about(visit.out)
        told = tuple(premises)
        try:
            step = Step(where, about, "join", made, premises=told)
        except SymcnnError:  # equal where the indices are indices, which isl was not told
            step = Step(where, about, "join", made[-1:], premises=told)
        self.steps.append(step)

    def _interval(self, visit: _Visit) -> None:
        """A node that is no window: the interval behind it, and what it reads."""
        source, _, _ = visit.needed[0]
        where = f"{visit.node.name} ({visit.node.op})"
        premises = [*self._beside([visit])] if visit.beside else []
        after = visit.after
        reads = self._reads(visit, source)
        known = self.names.get(source)
        of = f" of {known}" if known else ""
        made = Line(_ends(after), f"reads {reads}{of}" if reads else "")
        about = self._about(visit.out)
        self.steps.append(Step(where, about, "reads", (made,), premises=tuple(premises)))

    def _reads(self, visit: _Visit, source: SymbolicTensor) -> str:
        """What an output index reads of the tensor, where one axis tells."""
        before = self.reach(source)
        if type(before) is Unknown:
            return ""
        along = reaching.axes_of(before.first, before.last)
        if len(along) != 1 or (isinstance(before, IndexRange) and before.digits):
            return ""
        (axis,) = along
        node, out = visit.node, visit.out
        which = node.outputs.index(out)
        read = self.found.reads(node, which)
        axes = next(axes for t, axes in read if t is source)
        try:
            seen = reader(axes, source.dims, out.dims).read(
                reaching.AffineRange(axis, 1, 0, 0, 0), of_input(source.dims[axis]), node, []
            )
            return str(_ends(seen))
        except Undecidable:
            return ""

    def path(self) -> str:
        """The branches that decide, from the input on."""
        names = []
        for visit in self.visits():
            apart = any(seen != visit.after for _, seen in visit.beside)
            if apart and len(visit.needed) == 1:
                names.append(self.net.source_name(visit.needed[0][0]))
            elif len(visit.needed) > 1:
                both = " with ".join(self.net.source_name(t) for t, _, _ in visit.needed)
                names.append(both)
        names = list(dict.fromkeys(names))
        if len(names) > 6:
            names = [*names[:3], "...", *names[-2:]]
        return ", ".join(names)


def _needed(
    each: list[tuple[SymbolicTensor, ReadRange, ReadRange]], after: ReadRange
) -> list[tuple[SymbolicTensor, ReadRange, ReadRange]]:
    """Those branches whose fields the hull takes: one that holds all, or one for each end."""
    for one in each:
        if one[2] == after:
            return [one]
    if type(after) is reaching.AffineRange:
        lines = [e for e in each if type(e[2]) is reaching.AffineRange]
        first = next((e for e in lines if e[2].left == after.left), None)  # type: ignore[union-attr]
        last = next((e for e in lines if e[2].reach == after.reach), None)  # type: ignore[union-attr]
        if first is not None and last is not None:
            return [first] if first is last else [first, last]
    return list({id(e[2]): e for e in each}.values()) if len(each) > 1 else each


def _kernel(before: reaching.AffineRange, after: reaching.AffineRange) -> tuple[Int, Int]:
    """Extent and stride of the window between."""
    from symcnn.algebra.size import exact_div

    stride = exact_div(after.stride, before.stride)
    extent = exact_div(_size(after) - _size(before), before.stride)
    if stride is None or extent is None:
        raise Undecidable("a window between two is no window of whole numbers")
    return extent + 1, stride


def _size(line: reaching.AffineRange) -> Int:
    return line.left + line.reach + 1


def _along(reach: ReadRange) -> set[int]:
    """The axes of a tensor along which what it sees moves."""
    return {*reaching.axes_of(*plain_ends(reach))}  # type: ignore[arg-type]


def _ends(reach: ReadRange, beside: Sequence[ReadRange] = ()) -> Ends:
    """An interval by the output's indices i, j, ...; several `beside` each other by the same."""
    first, last = plain_ends(reach)  # type: ignore[arg-type]
    along = sorted(set[int]().union(*map(_along, beside), _along(reach)))
    names = dict(zip(along, "ijklmn", strict=False))
    swap = {index_symbol(a).name: Symbol(n, low=0).size() for a, n in names.items()}
    return Ends(Tree.leaf(substituted(first, swap)), Tree.leaf(substituted(last, swap)))


def derive_field(net: Trace, axis: int) -> Derivation:
    """The receptive field along an axis of the first input.

    Raises BadSpec for an axis that is not spatial; Undecidable where the field has no formula.
    """
    rf = receptive_field(net)
    if axis not in rf.input_axes:
        name = net.input_tensors[0].dims[axis]
        raise BadSpec(
            f"the receptive field along axis {axis} ({name}) is not asked",
            cure=f"one of the axes {', '.join(rf.axes)}",
        )
    k = rf.input_axes.index(axis)
    sizes = rf.sizes_of(k)
    made = _Derivation(net, rf, k)
    steps = made.run()
    if not steps:
        line = Line(Tree.leaf(from_sympy(sizes.max)))
        steps = [
            Step(net.source_name(rf.output), "R1", "whole" if rf.whole[k] else "reads", (line,))
        ]
    answer = f"the receptive field is {_figures(rf, k)}"
    if rf.whole[k]:
        answer += f", the whole axis, through {rf.whole[k]}{_without_gates(net, k, sizes.max)}"
        if made.whole is not None and len(made.whole.needed) == 1:
            before = made.whole.needed[0][0]
            with suppress(Undecidable, BadSpec):
                one = rf.of(before)
                answer += f"; in front of it the receptive field is {_figures(one, k)}"
    elif path := made.path():
        answer += f", by the path through {path}"
    return Derivation(f"Receptive field along axis {axis}", tuple(steps), answer)


def _figures(rf: ReceptiveField, k: int) -> str:
    """Size and stride along one axis."""
    sizes = rf.sizes_of(k)
    stride = rf.row()["stride"][k]
    told = str(sizes.max)
    if sizes.min != sizes.max:
        told += f" at most and {sizes.min} at least"
    if rf.whole[k]:
        return told
    return f"{told}, the effective stride {'varies' if stride is None else stride}"


def _without_gates(net: Trace, k: int, size: Any) -> str:
    """What is left without gates and statistics, where that is another figure."""
    for told, gates, statistics in (
        ("without gates", False, True),
        ("without statistics of norms", True, False),
        ("without gates and statistics of norms", False, False),
    ):
        try:
            rf = receptive_field(net, gates=gates, statistics=statistics)
            other = rf.sizes_of(k).max
        except Undecidable:
            continue
        if other != size:
            return f" ({told}: {other})"
    return ""
