"""The receptive field at a size: for every output index, exactly which inputs it reads.

The same pass as that of the formulas (`symcnn.questions.field.reach`), with sets in place of
intervals:
boolean tables, one per axis of the input, that layers gather, views reshape and operands unite.
Borders, dilation holes, folds and gaps need no law of their own here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Pick, Whole
from symcnn.algebra.size import evaluate
from symcnn.errors import BadSpec, InvalidInput, Undecidable
from symcnn.questions.field.readings import used
from symcnn.trace.graph import Blocks, Node, Parameter, SymbolicTensor

if TYPE_CHECKING:
    from symcnn.network import Network
    from symcnn.questions.field.receptive_field import ReceptiveField

__all__ = ["FieldAt"]


class FieldAt:
    """The receptive field at a size: for every output index, exactly which inputs it reads.

    A boolean table per input axis, output indices by input indices, made by the same pass as the
    formulas. Paths that run into padding end there; holes of dilation stay holes.
    """

    def __init__(self, rf: ReceptiveField, sizes: Mapping[str, Any]) -> None:
        net = rf._net
        given = dict(sizes)
        for name in net.batch:
            given.setdefault(name, _smallest(net, name))
        net.shape_at(**given)
        self.values = {name: int(v) for name, v in given.items()}
        self._rf = rf
        self._output = tuple(evaluate(d, self.values) for d in rf._output.dims)
        try:
            self._tables = tables(rf, self.values)
        except KeyError as error:
            raise BadSpec(f"no value for {error.args[0]}", cure="give every size") from None

    def table(self, axis: int = 0) -> Any:
        """Booleans, output indices by input indices: a numpy array."""
        along, table = self._table(axis)
        if len(along) > 1:
            raise BadSpec(f"the receptive field depends on the output axes {along}")
        return table if along else table[None]

    def _table(self, axis: int) -> tuple[tuple[int, ...], Any]:
        self._rf._field(axis)
        return self._tables[axis]

    def interval(self, i: Any, axis: int = 0) -> tuple[Any, Any] | None:
        """First and last input index that reach output index `i`; None if nothing but padding does.

        For a symbol, the formula of the interior, clipped to the image.
        Raises InvalidInput for an index that is out of range.
        """
        if getattr(i, "free_symbols", None):
            return self._rf.clipped(i, axis, self.values)
        row = self.mask(i, axis, hull=False)
        (places,) = row.nonzero()
        return (int(places[0]), int(places[-1])) if len(places) else None

    def mask(self, i: Any, axis: int = 0, *, hull: bool = True) -> Any:
        """Which indices output `i` reads, over its hull (or over the whole axis): booleans."""
        along, table = self._table(axis)
        places = i if isinstance(i, (tuple, list)) else (i,) * len(along)
        if len(places) != len(along) and along:
            raise BadSpec(f"give one index for each of the output axes {along}")
        for a, place in zip(along or (None,), places or (i,), strict=False):
            size = self._output[a] if a is not None else None
            if not hasattr(place, "__index__"):
                raise BadSpec(f"an output index is a whole number, not {place!r}")
            if place < 0 or (size is not None and place >= size):
                raise InvalidInput(
                    f"there is no output index {place}" + (f" in {size}" if size else ""),
                    cure="" if size is None else f"the last one is {size - 1}",
                )
        row = table[tuple(map(int, places))] if along else table
        if not hull:
            return row
        (found,) = row.nonzero()
        return row[found[0] : found[-1] + 1] if len(found) else row[:0]

    def sizes(self, axis: int = 0) -> Any:
        """The size of the hull for every output index: a numpy array; 0 where nothing is read."""
        table = self.table(axis)
        first = table.argmax(-1)
        last = table.shape[-1] - 1 - table[..., ::-1].argmax(-1)
        return (last - first + 1) * table.any(-1)

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
        return float(self.table(axis).sum()) / hulls if hulls else 0.0

    def unread(self, axis: int = 0) -> list[int]:
        """The input indices that no output reads."""
        _, table = self._table(axis)
        seen = table.reshape(-1, table.shape[-1]).any(0)
        return [int(i) for i in (~seen).nonzero()[0]]

    def padding_only(self, axis: int = 0) -> list[int]:
        """The output indices that read nothing but padding."""
        return [int(i) for i in (~self.table(axis).any(-1)).nonzero()[0]]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{k}={v}" for k, v in sorted(self.values.items()))
        return f"FieldAt({sizes}: {self.min} to {self.max})"


def _smallest(net: Network, name: str) -> int:
    """A batch size, or number of channels, that the network takes."""
    try:
        return int(next(iter(net.valid_inputs().axis(name)), 1))
    except (Undecidable, BadSpec):
        return 1


#: What a tensor carries: per axis of the source, the axes the table depends on, and the table.
State = list[tuple[tuple[int, ...], Any]]


def tables(rf: ReceptiveField, values: Mapping[str, int]) -> State:
    """The tables of the output of a receptive field."""
    import numpy as np

    found = rf._pass
    source, nodes = found.source, list(rf._nodes())
    shape = [int(evaluate(found.source.dims[a], values)) for a in found.axes]
    start: State = [((a,), np.eye(x, dtype=bool)) for a, x in zip(found.axes, shape, strict=True)]
    walk = _Walk(values, [np.zeros(x, dtype=bool) for x in shape], found.gates, found.statistics)
    walk.carried[source] = start
    kept = {rf._output, source}
    walk.run(nodes, kept)
    return walk.carried[rf._output]


class _Walk:
    """The tables of all tensors among some nodes, forgotten when nobody asks for them any more."""

    def __init__(
        self, values: Mapping[str, int], nothing: list[Any], gates: bool, statistics: bool
    ) -> None:
        self.values, self.nothing = values, nothing
        self.gates, self.statistics = gates, statistics
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
        read = used(node, k, self.reached, self.gates, self.statistics)
        if not read:
            return
        self.reached.add(out)
        dims = self._dims(out)
        slots: list[list[Any]] = [[] for _ in self.nothing]
        for t, axes in read:
            if t in self.families:
                raise BadSpec(f"{node.name}: what the blocks of a repeat emit is read by a repeat")
            have = self._dims(t)
            bound = tuple((s, m.at(self.values)) for s, m in axes)
            pulled = [_pulled(state, bound, have, dims) for state in self.carried[t]]
            if all(table.any() for _, table in pulled):  # a path that ends in padding, ends
                for slot, state in zip(slots, pulled, strict=True):
                    slot.append(state)
        if all(slots):
            self.carried[out] = [_union(slot) for slot in slots]
        else:
            self.carried[out] = [((), table) for table in self.nothing]

    def _repeat(self, node: Node, blocks: Blocks) -> None:
        """Block after block, each with its own sizes."""
        entering, *families = (t for t in node.inputs if not isinstance(t, Parameter))
        state = self.carried.get(entering)
        emitted: list[list[State]] = [[] for _ in blocks.outputs[1:]]
        count = int(evaluate(blocks.count, self.values))
        for i in range(count):
            values = {**self.values, blocks.index: i}
            values |= {name: int(evaluate(v, values)) for name, v in blocks.values.items()}
            inner = _Walk(values, self.nothing, self.gates, self.statistics)
            if state is not None:
                inner.carried[blocks.input] = state
            for t, family in zip(blocks.reads, families, strict=True):
                if family in self.families:
                    inner.carried[t] = self.families[family][count - 1 - i]
            inner.run(blocks.nodes, {*blocks.outputs})
            state = inner.carried.get(blocks.outputs[0])
            for column, t in zip(emitted, blocks.outputs[1:], strict=True):
                column.append(inner.carried.get(t) or [((), table) for table in self.nothing])
        if state is not None:
            self.carried[node.outputs[0]] = state
            self.reached.add(node.outputs[0])
        self.families.update(zip(node.outputs[1:], emitted, strict=True))
        self.reached.update(node.outputs[1:])


def _pulled(
    state: tuple[tuple[int, ...], Any], axes: Axes, have: tuple[int, ...], dims: tuple[int, ...]
) -> tuple[tuple[int, ...], Any]:
    """A table by a tensor's indices, by the indices of an output that reads the tensor."""
    along, table = state
    entries = {s: (o, m) for o, (s, m) in enumerate(axes) if type(s) is int}
    views: dict[tuple[int, ...], list[int]] = {}
    for o, (s, _) in enumerate(axes):
        if type(s) is tuple:
            views.setdefault(s, []).append(o)
    named: list[Any] = list(along)  # then ("out", axis), or ("view", axis) that waits for its view
    for axis in along:
        at = named.index(axis)
        if any(axis in s for s in views):
            named[at] = ("view", axis)
            continue
        o, axis_map = entries.get(axis, (-1, Whole()))
        if isinstance(axis_map, Whole):
            table = table.any(at)
            del named[at]
        elif isinstance(axis_map, Pick) or o >= len(dims):
            index, _ = axis_map.pullback(0, 0, have[axis])
            table = table.take(index, at)
            del named[at]
        else:
            if axis_map is IDENTITY and have[axis] == 1 != dims[o]:  # stretched, at this size
                table = table.take(0, at)
                del named[at]
                continue
            if axis_map is not IDENTITY:
                table = _gathered(table, at, axis_map, have[axis], dims[o])
            named[at] = ("out", o)
    for source, outs in views.items():
        if any(("view", a) in named for a in source):
            named, table = _viewed(named, table, source, outs, have, dims)
    order = sorted(range(len(named)), key=lambda k: named[k][1])
    table = table.transpose([*order, len(named)])
    return _slim(tuple(named[k][1] for k in order), table)


def _slim(along: tuple[int, ...], table: Any) -> tuple[tuple[int, ...], Any]:
    """Without the axes along which nothing changes (of a table of several)."""
    kept = list(along)
    if len(kept) > 1:
        for axis in along:
            at = kept.index(axis)
            if len(kept) > 1 and (table == table.take([0], at)).all():
                table = table.take(0, at)
                kept.remove(axis)
    return tuple(kept), table


def _gathered(table: Any, at: int, axis_map: AxisMap, x: int, y: int) -> Any:
    """The table by output indices: row i is the union of the rows that output i reads."""
    import numpy as np

    first, last, step = axis_map.reads(x)
    first, last = np.asarray(first)[:y], np.asarray(last)[:y]
    if len(first) < y:
        first = np.concatenate([first, np.zeros(y - len(first), int)])
        last = np.concatenate([last, np.full(y - len(last), -1)])
    first = first + np.maximum(-(first // step), 0) * step  # into the input, by whole steps
    last = last - np.maximum(-((x - 1 - last) // step), 0) * step
    counts = np.maximum((last - first) // step + 1, 0)
    most = int(counts.max(initial=0))
    shape = [1] * table.ndim
    shape[at] = y
    if step == 1 and most > 8:
        sums = np.cumsum(table, at, dtype=np.int32)
        sums = np.concatenate([np.zeros_like(sums.take([0], at)), sums], at)
        upper = np.where(counts > 0, last + 1, 0)
        lower = np.where(counts > 0, first, 0)
        return sums.take(upper, at) > sums.take(lower, at)
    result = np.zeros((*table.shape[:at], y, *table.shape[at + 1 :]), dtype=bool)
    for t in range(most):
        there = t < counts
        rows = table.take(np.where(there, first + t * step, 0), at)
        result |= rows & there.reshape(shape)
    return result


def _viewed(
    named: list[Any],
    table: Any,
    source: tuple[int, ...],
    outs: list[int],
    have: tuple[int, ...],
    dims: tuple[int, ...],
) -> tuple[list[Any], Any]:
    """The axes of a view: merged, and split anew."""
    import numpy as np

    waiting = [k for k, n in enumerate(named) if n[0] == "view" and n[1] in source]
    others = [k for k in range(len(named)) if k not in waiting]
    table = table.transpose([*waiting, *others, len(named)])
    for k, axis in enumerate(source):  # axes of the view that the table does not depend on
        if ("view", axis) not in named:
            table = np.repeat(np.expand_dims(table, k), have[axis], k)
    rest = table.shape[len(source) :]
    table = table.reshape(*(dims[o] for o in outs), *rest)
    names = [*(("out", o) for o in outs), *(named[k] for k in others)]
    for o in outs:  # and those of the output on which it does not depend
        at = names.index(("out", o))
        if (table == table.take([0], at)).all():
            table = table.take(0, at)
            del names[at]
    return names, table


def _union(states: list[tuple[tuple[int, ...], Any]]) -> tuple[tuple[int, ...], Any]:
    """Tables by any of several sets of indices, as one."""
    if len(states) == 1:
        return states[0]
    along = tuple(sorted({a for axes, _ in states for a in axes}))
    result: Any = False
    for axes, table in states:
        missing = [k for k, a in enumerate(along) if a not in axes]
        for k in missing:
            table = table[(slice(None),) * k + (None,)]
        result = result | table
    return along, result
