"""The receptive field at a size: for every output index, exactly which inputs it reads.

The same pass as that of the formulas (`symcnn.questions.field.reach`), with sets in place of
intervals: boolean tables, one per axis of the input, that layers gather, views reshape and
operands unite (`symcnn.questions.field.tables`). Where a path reads nothing along one axis it reads
nothing at all, so what operands read is a union of boxes, one for each kind of gaps.
Borders, dilation holes and folds need no law of their own here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from symcnn.algebra.expr import Expr
from symcnn.algebra.size import evaluate
from symcnn.errors import BadSpec, InvalidInput, Undecidable
from symcnn.lazy import cached_property
from symcnn.ops.registry import same_axes
from symcnn.questions.field.reach import over_channels
from symcnn.questions.field.readings import used
from symcnn.questions.field.tables import Box, Table, boxes, joined, narrowest, projected, pulled
from symcnn.questions.inputs.domain import shape_at
from symcnn.shown import Shown, assignment, block, table
from symcnn.trace.content import Valued
from symcnn.trace.graph import Blocks, Node, Parameter, SymbolicTensor
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    import numpy as np

    from symcnn.questions.field.passed import Pass


#: A table of more places than this is not made, and one of more than that not for one output.
_MOST, _FEW = 1 << 29, 1 << 26

#: Into so many groups the inputs are divided where one output is asked.
_GROUPS = 64


class Field(Protocol):
    """What is so of a receptive field at all sizes."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the input's axes."""

    @property
    def passed(self) -> Pass:
        """The pass that it comes from."""

    @property
    def output(self) -> SymbolicTensor:
        """The tensor whose field it is."""

    @property
    def part(self) -> Trace:
        """The network up to the output."""

    def again(self, taken: Trace) -> Field:
        """The same of the network as it was traced at other sizes."""

    def nodes(self) -> Iterable[Node]:
        """The nodes between input and output."""

    def check_axis(self, axis: int) -> None:
        """Raises BadSpec for an axis that the input does not have."""

    def clipped(self, i: Expr, axis: int, values: Mapping[str, int]) -> tuple[Expr, Expr] | None:
        """What an output sees by the formulas, clipped to the image."""


class FieldAt(Valued, Shown):
    """The receptive field at a size: for every output index, exactly which inputs it reads.

    A boolean table per input axis, output indices by input indices, made by the same pass as the
    formulas. Paths that run into padding end there; holes of dilation stay holes.
    """

    def __init__(self, rf: Field, sizes: Mapping[str, Any]) -> None:
        net = rf.part
        given = dict(sizes)
        for name in net.leading:
            given.setdefault(name, _smallest(net, name))
        shape_at(net, **given)
        self.values = {name: int(v) for name, v in given.items()}
        self._axes = rf.axes  # as they are called, where a trace at numbers calls none
        taken = net.branch_at(**self.values)
        rf = rf if taken is net else rf.again(taken)
        self._rf = rf
        self._output = tuple(evaluate(d, self.values) for d in rf.output.dims)
        if self._places <= _FEW:
            self._tables = self._made(None)

    def _value(self) -> tuple[object, ...]:
        return self._rf, frozenset(self.values.items())

    @cached_property
    def _tables(self) -> list[Table]:
        """A table per input axis. Raises Undecidable where they are too large."""
        if self._places > _MOST:
            inputs = " by ".join(f"{n:,}" for n in self._shape)
            raise Undecidable(
                f"what each output reads of {inputs} inputs is a table of {self._places:,} places",
                cure="interval(i) is exact for one output; without a size the field has formulas",
            )
        return self._made(None)

    def _made(self, groups: Sequence[Sequence[int]] | None) -> list[Table]:
        try:
            return tables(self._rf, self.values, groups)
        except KeyError as error:
            raise BadSpec(f"no value for {error.args[0]}", cure="give every size") from None

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        found = self._rf.passed
        return tuple(int(evaluate(found.source.dims[a], self.values)) for a in found.axes)

    @cached_property
    def _places(self) -> int:
        """How many places the largest table has."""
        return max((x * max(x, *self._output, 1) for x in self._shape), default=0)

    def table(self, axis: int = 0) -> np.ndarray:
        """Booleans, output indices by input indices: a numpy array."""
        along, table = self.tables(axis)
        if len(along) > 1:
            raise BadSpec(f"the receptive field depends on the output axes {along}")
        return table if along else table[None]

    def tables(self, axis: int = 0) -> tuple[tuple[int, ...], np.ndarray]:
        """The output axes on which the answer depends, and the table: booleans by the indices
        along these, and by the input's index.
        """
        self._rf.check_axis(axis)
        return self._plainly(self._tables[axis])

    def _plainly(self, table: Table) -> tuple[tuple[int, ...], np.ndarray]:
        if over_channels(self._rf.output.dims, table.axes):
            table = table.without(1)
        return table.plain(*table.digits).moving()

    def interval(self, i: Expr, axis: int = 0) -> tuple[Expr, Expr] | None:
        """First and last input index that reach output index `i`; None if nothing but padding does.

        For a symbol, the formula of the interior, clipped to the image.
        Raises InvalidInput for an index that is out of range.
        """
        if getattr(i, "free_symbols", None):
            return self._rf.clipped(i, axis, self.values)
        self._rf.check_axis(axis)
        if self._places > _FEW and "_tables" not in vars(self):
            return self._ends(i, axis)
        row = self.mask(i, axis, hull=False)
        (places,) = row.nonzero()
        return (int(places[0]), int(places[-1])) if len(places) else None

    def _ends(self, i: Any, axis: int) -> tuple[int, int] | None:
        """The same of a large image: which groups of inputs it reads, and then which of the first
        and of the last of these, until they are single ones.
        """
        x = self._shape[axis]
        first = last = range(x)
        while max(len(first), len(last)) > 1:
            parts = {0}
            for one in (first, last):
                parts |= {*one[:: -(-len(one) // _GROUPS)], one.stop} - {x}
            edges = sorted(parts)
            groups = [edges if k == axis else [0] for k in range(len(self._shape))]
            read = self._made(groups)[axis]
            (found,) = self._row(*self._plainly(read), i).nonzero()
            if not len(found):
                return None
            edges.append(x)
            first, last = (range(edges[k], edges[k + 1]) for k in (found[0], found[-1]))
        return first.start, last.start

    def mask(self, i: int | Sequence[int], axis: int = 0, *, hull: bool = True) -> np.ndarray:
        """Which indices output `i` reads, over its hull (or over the whole axis): booleans."""
        row = self._row(*self.tables(axis), i)
        if not hull:
            return row
        (found,) = row.nonzero()
        return row[found[0] : found[-1] + 1] if len(found) else row[:0]

    def _row(self, along: tuple[int, ...], table: np.ndarray, i: int | Sequence[int]) -> np.ndarray:
        """The row of an output index."""
        if 0 in self._output:
            raise InvalidInput("there is no output index: the output is empty there")
        places = i if isinstance(i, (tuple, list)) else (i,) * len(along)
        if len(places) != len(along) and along:
            raise BadSpec(f"give one index for each of the output axes {along}")
        for a, place in zip(along or (None,), places or (i,), strict=False):
            size = self._rows if a is None else self._output[a]
            if not hasattr(place, "__index__"):
                raise BadSpec(f"an output index is a whole number, not {place!r}")
            if not 0 <= place < size:
                raise InvalidInput(
                    f"there is no output index {place} in {size}",
                    cure=f"the last one is {size - 1}",
                )
        row: np.ndarray = table[tuple(map(int, places))] if along else table
        return row

    @property
    def _rows(self) -> int:
        """How many places there are where all of them see the same."""
        rf = self._rf
        places = rf.passed.places(rf.output.dims, rf.part.leading)
        return max((int(evaluate(d, self.values)) for d in places), default=1)

    def sizes(self, axis: int = 0) -> np.ndarray:
        """The size of the hull for every output index, along each output axis that it depends on: a
        numpy array; 0 where nothing is read.
        """
        along, table = self.tables(axis)
        table = table if along else table[None]
        first = table.argmax(-1)
        last = table.shape[-1] - 1 - table[..., ::-1].argmax(-1)
        found: np.ndarray = (last - first + 1) * table.any(-1)
        return found

    @property
    def size(self) -> tuple[int, ...]:
        """The largest size per axis."""
        return self.max

    @property
    def max(self) -> tuple[int, ...]:
        """The largest size per axis."""
        return tuple(int(self.sizes(a).max()) for a in range(len(self._tables)))

    @property
    def min(self) -> tuple[int, ...]:
        """The smallest size per axis: at a border, as a rule."""
        return tuple(int(self.sizes(a).min()) for a in range(len(self._tables)))

    @property
    def mean(self) -> tuple[float, ...]:
        """The mean size per axis."""
        return tuple(float(self.sizes(a).mean()) for a in range(len(self._tables)))

    def density(self, axis: int = 0) -> float:
        """Which share of the hull is really read, over all outputs: below 1 for dilation holes."""
        hulls = int(self.sizes(axis).sum())
        return float(self.tables(axis)[1].sum()) / hulls if hulls else 0.0

    def unread(self, axis: int = 0) -> list[int]:
        """The input indices that no output reads."""
        _, table = self.tables(axis)
        seen: Any = table.reshape(-1, table.shape[-1]).any(0)
        return [int(i) for i in (~seen).nonzero()[0]]

    def padding_only(self, axis: int = 0) -> list[int]:
        """The output indices that read nothing but padding."""
        seeing: Any = self.table(axis).any(-1)
        return [int(i) for i in (~seeing).nonzero()[0]]

    def __repr__(self) -> str:
        return f"FieldAt({self._sizes}: {self.min} to {self.max})"

    @property
    def _sizes(self) -> str:
        return assignment(dict(sorted(self.values.items()))) or "its sizes"

    def __str__(self) -> str:
        rows = [f"at {self._sizes}"]
        if 0 in self._output:
            return f"{rows[0]}: the output is empty, nothing is seen"
        for axis, name in enumerate(self._axes):
            least, most, mean = self.min[axis], self.max[axis], self.mean[axis]
            rows.append(f"{name}: outputs see {least} to {most} indices, {mean:.1f} on average")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        rows = zip(self._axes, self.min, self.max, self.mean, strict=True)
        cells = [(name, least, most, f"{mean:.1f}") for name, least, most, mean in rows]
        headings = ("axis", "smallest", "largest", "mean")
        return block(f"<div>at {self._sizes}</div>", table(headings, cells, numbers=headings[1:]))


def _smallest(net: Trace, name: str) -> int:
    """A batch size, or number of channels, that the network takes."""
    try:
        return int(next(iter(net.valid_inputs().axis(name)), 1))
    except (Undecidable, BadSpec):
        return 1


#: What a tensor carries: what it reads is in any of these.
State = Sequence[Box]


def tables(
    rf: Field, values: Mapping[str, int], groups: Sequence[Sequence[int]] | None = None
) -> list[Table]:
    """The tables of the output of a receptive field.

    groups: per axis, where groups of input indices begin, of which a table then speaks.
    """
    import numpy as np

    found = rf.passed
    source, nodes = found.source, list(rf.nodes())
    shape = [int(evaluate(found.source.dims[a], values)) for a in found.axes]
    ones: list[Any] = [np.eye(x, dtype=bool) for x in shape] if groups is None else []
    for x, starts in zip(shape, groups or (), strict=False):
        place = np.arange(x)[:, None]
        ones.append((place >= starts) & (place < [*starts[1:], x]))
    start = [
        Table(((a, 0),), one, own=frozenset({(a, 0)}))
        for a, one in zip(found.axes, ones, strict=True)
    ]
    walk = _Walk(values, found)
    walk.carried[source] = [start]
    kept = {rf.output, source}
    walk.run(nodes, kept)
    nothing = [Table((), np.zeros(one.shape[1], dtype=bool)) for one in ones]
    read = walk.carried[rf.output] or [nothing]
    return [projected(read, k) for k in range(len(shape))]


class _Walk:
    """The tables of all tensors among some nodes, forgotten when nobody asks for them any more."""

    def __init__(self, values: Mapping[str, int], found: Pass) -> None:
        self.values, self.found = values, found
        self.carried: dict[SymbolicTensor, State] = {}
        self.families: dict[SymbolicTensor, list[State]] = {}  # of repeats, block by block
        self.reached: set[SymbolicTensor] = set()

    def run(self, nodes: Sequence[Node], kept: Container[SymbolicTensor]) -> None:
        self.reached |= {*self.carried, *self.families}
        left = Counter(t for node in nodes for t in dict.fromkeys(node.inputs))
        for node in nodes:
            if node.result.blocks is not None:
                self._repeat(node, node.result.blocks)
            else:
                for k, out in enumerate(node.outputs):
                    if out not in self.carried:
                        self._node(node, k, out)
            for t in dict.fromkeys(node.inputs):
                left[t] -= 1
                if not left[t] and t not in kept:
                    self.carried.pop(t, None)

    def _dims(self, t: SymbolicTensor) -> tuple[int, ...]:
        return tuple(int(evaluate(d, self.values)) for d in t.dims)

    def _node(self, node: Node, k: int, out: SymbolicTensor) -> None:
        read = used(node, k, self.reached, self.found.gates, self.found.statistics)
        if not read:
            return
        self.reached.add(out)
        dims = self._dims(out)
        paths: list[Box] = []
        for t, axes in read:
            if t in self.families:
                raise BadSpec(f"{node.name}: what the blocks of a repeat emit is read by a repeat")
            own = node.result.steps if t is node.inputs[0] else ()
            have, state = self._dims(t), self.carried[t]
            for maps, sizes in own or ((axes, dims),):
                after = tuple(int(evaluate(d, self.values)) for d in sizes)
                if have == after and maps == same_axes(len(have)):
                    continue
                bound = tuple((s, m.at(self.values)) for s, m in maps)
                state = [
                    [pulled(table, bound, have, after) for table in joined(box)] for box in state
                ]
                have = after
            # a path that ends in padding, ends
            paths += [box for box in state if all(table.values.any() for table in box)]
        if self.found.smallest and paths:
            paths = [[narrowest(slot) for slot in zip(*paths, strict=True)]]
        self.carried[out] = boxes(paths)

    def _repeat(self, node: Node, blocks: Blocks) -> None:
        """Block after block, each with its own sizes."""
        entering, *families = (t for t in node.inputs if not isinstance(t, Parameter))
        state = self.carried.get(entering)
        emitted: list[list[State]] = [[] for _ in blocks.outputs[1:]]
        count = int(evaluate(blocks.count, self.values))
        for i in range(count):
            values = {**self.values, blocks.index: i}
            values |= {name: int(evaluate(v, values)) for name, v in blocks.values.items()}
            inner = _Walk(values, self.found)
            if state is not None:
                inner.carried[blocks.input] = state
            for t, family in zip(blocks.reads, families, strict=True):
                if family in self.families:
                    inner.carried[t] = self.families[family][count - 1 - i]
            inner.run(blocks.nodes, {*blocks.outputs})
            state = inner.carried.get(blocks.outputs[0])
            for column, t in zip(emitted, blocks.outputs[1:], strict=True):
                column.append(inner.carried.get(t, []))
        if state is not None:
            self.carried[node.outputs[0]] = state
            self.reached.add(node.outputs[0])
        self.families.update(zip(node.outputs[1:], emitted, strict=True))
        self.reached.update(node.outputs[1:])
