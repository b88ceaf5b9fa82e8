"""Boolean tables: which inputs a tensor's places read, and how a layer passes that on, at a size.

A `Table` has an array axis for each index of the tensor on which the answer depends, and a last
one for the input's index. An axis of the tensor that a view has merged is a list of digits, and
the table has an array axis for those digits only that matter: patches of a large image, or
windows folded into the batch, cost no more than the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Pick, Whole
from symcnn.algebra.taps import Laid, Tap
from symcnn.lazy import cached_property

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Table:
    """Booleans by some digits of a tensor's indices, and by the input's index.

    `along` names the array axes but the last: (axis, digit), in order. `digits` are the sizes of
    the axes that are written in several. `own` are those of them that come from the input's axis:
    they stay where nothing changes along them, for what reads nothing may follow (a gap, padding).
    """

    along: tuple[tuple[int, int], ...]
    values: Bools
    digits: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    own: frozenset[tuple[int, int]] = frozenset()

    @cached_property
    def read(self) -> Bools:
        """Which places read anything: booleans by the indices `along`."""
        values: Any = self.values
        found: Bools = values.any(-1)
        return found

    @cached_property
    def full(self) -> bool:
        """Whether every place reads something."""
        return bool(self.read.all())

    @cached_property
    def axes(self) -> frozenset[int]:
        """The tensor's axes on which it depends."""
        return frozenset(a for a, _ in self.along)

    def plain(self, *axes: int) -> Table:
        """With these axes written by their index, not in digits."""
        import numpy as np

        table = self
        for axis in axes:
            sizes = table.digits.get(axis)
            if sizes is None:
                continue
            rest = {a: s for a, s in table.digits.items() if a != axis}
            if axis not in table.axes:
                table = Table(table.along, table.values, rest, table.own)
                continue
            own = [k for k, (a, _) in enumerate(table.along) if a == axis]
            have = [table.along[k][1] for k in own]
            values = np.moveaxis(table.values, own, range(len(own)))
            for d in range(len(sizes)):
                if d not in have:
                    values = np.expand_dims(values, d)
            tail = values.shape[len(sizes) :]
            values = np.broadcast_to(values, (*sizes, *tail)).reshape(prod(sizes), *tail)
            others = [name for name in table.along if name[0] != axis]
            stays = {name for name in table.own if name[0] != axis}
            stays |= {(axis, 0)} if len(stays) < len(table.own) else set()
            table = _ordered([(axis, 0), *others], values, rest, stays)
        return table

    def without(self, axis: int) -> Table:
        """What any of the places along an axis reads."""
        own = tuple(k for k, (a, _) in enumerate(self.along) if a == axis)
        rest = {a: s for a, s in self.digits.items() if a != axis}
        along = tuple(name for name in self.along if name[0] != axis)
        values: Any = self.values.any(own)
        return Table(along, values, rest, self.own & {*along})

    def moving(self) -> tuple[tuple[int, ...], Bools]:
        """The axes along which it moves, of several: not those along which some places read
        nothing and all others the same. And the table by these.
        """
        along, values = [a for a, _ in self.along], self.values
        for axis in tuple(along):
            at = along.index(axis)
            every: Any = values.any(at, keepdims=True)
            alike = (values == every) | ~values.any(-1, keepdims=True)
            if len(along) > 1 and alike.all():
                values = every.squeeze(at)
                along.remove(axis)
        return tuple(along), values


def _ordered(
    names: Sequence[tuple[int, int]],
    values: Bools,
    digits: Mapping[int, tuple[int, ...]],
    own: AbstractSet[tuple[int, int]],
) -> Table:
    """A table with its array axes in order, without those along which nothing changes."""
    order = sorted(range(len(names)), key=lambda k: names[k])
    shown: Any = values.transpose([*order, len(names)])
    along = [names[k] for k in order]
    for name in tuple(along):
        at = along.index(name)
        if name not in own and (shown == shown.take([0], at)).all():
            shown = shown.take(0, at)
            along.remove(name)
    kept = {a: s for a, s in digits.items() if any(a == b for b, _ in along)}
    return Table(tuple(along), shown, kept, frozenset(own) & {*along})


def pulled(table: Table, axes: Axes, have: tuple[int, ...], dims: tuple[int, ...]) -> Table:
    """A table by a tensor's indices, by those of an output of sizes `dims` that reads it."""
    import numpy as np

    entries = {s: (o, m) for o, (s, m) in enumerate(axes) if type(s) is int}
    views: dict[tuple[int, ...], list[int]] = {}
    for o, (s, _) in enumerate(axes):
        if type(s) is tuple:
            views.setdefault(s, []).append(o)
    shared = {a for s in views for a in s}
    joint = {a for s, (o, *_) in views.items() if isinstance(axes[o][1], (Tap, Laid)) for a in s}
    through = {a for a, (o, m) in entries.items() if m == IDENTITY and have[a] == dims[o]}
    whole = {a for a in table.axes - shared if isinstance(entries.get(a, _NONE)[1], Whole)}
    table = table.plain(*sorted({*table.digits} - (shared - joint) - through - whole))
    names: list[Any] = list(table.along)  # of the input, until it is ("out", axis, digit)
    values: Any = table.values
    digits: dict[int, tuple[int, ...]] = {}
    own: set[Any] = {*table.own}
    for name in table.along:
        axis, digit = name
        at = names.index(name)
        if axis in shared:
            continue
        o, axis_map = entries.get(axis, _NONE)
        if axis in whole:
            values = values.any(at)
            del names[at]
        elif isinstance(axis_map, Pick) or o >= len(dims):
            index, _ = axis_map.pullback(0, 0, have[axis])
            values = values.take(index, at)
            del names[at]
        elif axis_map is IDENTITY and have[axis] == 1 != dims[o]:  # stretched, at this size
            values = values.take(0, at)
            del names[at]
        else:
            if axis_map != IDENTITY:
                values = _gathered(values, at, axis_map, have[axis], dims[o])
            names[at] = ("out", o, digit)
            own |= {names[at]} if name in own else set()
            if axis in table.digits:
                digits[o] = table.digits[axis]
    for source, outs in views.items():
        first = axes[outs[0]][1]
        lost = isinstance(first, Laid) and have[source[1]] == 1  # one patch: no digit of a view
        if not table.axes & {*source} and not lost:
            continue
        if isinstance(first, Tap):
            taps: Any = [axes[o][1] for o in outs]
            values = _tapped(names, own, values, source[0], outs, taps)
        elif isinstance(first, Laid):
            values = _laid(names, own, values, source, outs[0], first, have)
        else:
            old = [
                ((a, d), size)
                for a in source
                for d, size in enumerate(table.digits.get(a, (have[a],)))
            ]
            values = _viewed(names, own, values, digits, old, [(o, dims[o]) for o in outs])
    stays = {(name[1], name[2]) for name in own if name[0] == "out"}
    return _ordered([(o, d) for _, o, d in names], np.asarray(values), digits, stays)


_NONE: tuple[int, AxisMap] = (-1, Whole())


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
        return np.moveaxis(_windows(np.moveaxis(table, at, 0), first, counts), 0, at)
    result = np.zeros((*table.shape[:at], y, *table.shape[at + 1 :]), dtype=bool)
    for t in range(most):
        there = t < counts
        rows = table.take(np.where(there, first + t * step, 0), at)
        result |= rows & there.reshape(shape)
    return result


def _windows(table: Any, first: Any, counts: Any) -> Any:
    """What windows of rows read: of two runs, as long as a power of 2, that cover each."""
    import numpy as np

    result = np.zeros((len(first), *table.shape[1:]), dtype=bool)
    runs = np.array(table)  # row i: what rows i, i + 1, ... read, so many as `length`
    length = 1
    while True:
        (these,) = ((counts >= length) & (counts < 2 * length)).nonzero()
        starts = first[these]
        result[these] = runs[starts] | runs[starts + counts[these] - length]
        if not (counts >= 2 * length).any():
            return result
        runs[:-length] |= runs[length:]
        length *= 2


def _tapped(
    names: list[Any], own: set[Any], values: Any, axis: int, outs: Sequence[int], taps: Any
) -> Any:
    """An axis read by several at once: the array axis becomes one for each of them."""
    import numpy as np

    at = names.index((axis, 0))
    each = [np.arange(tap.length) * tap.step + tap.shift for tap in taps]
    place: Any = sum(np.ix_(*each))
    x = values.shape[at]
    inside = (place >= 0) & (place < x)
    values = values.take(np.where(inside, place, 0), at)
    values = values & inside.reshape([*inside.shape, *[1] * (values.ndim - at - inside.ndim)])
    names[at : at + 1] = [("out", o, 0) for o in outs]
    own |= {("out", o, 0) for o in outs} if (axis, 0) in own else set()
    return values


def _laid(
    names: list[Any],
    own: set[Any],
    values: Any,
    source: tuple[int, ...],
    o: int,
    laid: Laid,
    have: Sequence[int],
) -> Any:
    """Taps and patches laid into one axis: all pairs that meet at an output."""
    import numpy as np

    for k, axis in enumerate(source):  # both in front, tap first
        if (axis, 0) in names:
            at = names.index((axis, 0))
            names.insert(k, names.pop(at))
            values = np.moveaxis(values, at, k)
        else:
            names.insert(k, (axis, 0))
            shape = (*values.shape[:k], have[axis], *values.shape[k:])
            values = np.broadcast_to(np.expand_dims(values, k), shape)
    y = np.arange(laid.length) + laid.padding
    result = np.zeros((laid.length, *values.shape[2:]), dtype=bool)
    for t in range(values.shape[0]):
        patch, rest = np.divmod(y - laid.dilation * t, laid.stride)
        there = (rest == 0) & (patch >= 0) & (patch < values.shape[1])
        rows = values[t].take(np.where(there, patch, 0), 0)
        result |= rows & there.reshape([-1, *[1] * (rows.ndim - 1)])
    own |= {("out", o, 0)} if own & {*names[:2]} else set()
    names[:2] = [("out", o, 0)]
    return result


def _viewed(
    names: list[Any],
    own: set[Any],
    values: Any,
    digits: dict[int, tuple[int, ...]],
    old: Sequence[tuple[tuple[int, int], int]],
    new: Sequence[tuple[int, int]],
) -> Any:
    """The digits `old` of the axes of a view, by name and size, dealt out to the axes `new`."""
    import numpy as np

    dealt = _dealt([size for _, size in old], [size for _, size in new])
    if dealt is None:  # they do not fit into each other: all as one index, and that split
        for k, (name, size) in enumerate(old):
            if name in names:
                at = names.index(name)
                values = np.moveaxis(values, at, k)
                names.insert(k, names.pop(at))
            else:
                shape = values.shape
                values = np.broadcast_to(np.expand_dims(values, k), (*shape[:k], size, *shape[k:]))
                names.insert(k, name)
        values = values.reshape(*(size for _, size in new), *values.shape[len(old) :])
        own |= {("out", o, 0) for o, _ in new} if own & {*names[: len(old)]} else set()
        names[: len(old)] = [("out", o, 0) for o, _ in new]
        return values
    for k, (name, _) in enumerate(old):
        if name not in names:
            continue
        at = names.index(name)
        made = [
            (("out", o, d), size)
            for (o, _), pieces in zip(new, dealt, strict=True)
            for d, (piece, size) in enumerate(pieces)
            if piece == k
        ]
        values = values.reshape(*values.shape[:at], *(n for _, n in made), *values.shape[at + 1 :])
        names[at : at + 1] = [piece for piece, _ in made]
        own |= {piece for piece, _ in made} if name in own else set()
    for (o, _), pieces in zip(new, dealt, strict=True):
        if len(pieces) > 1:
            digits[o] = tuple(size for _, size in pieces)
    return values


def _dealt(old: Sequence[int], new: Sequence[int]) -> list[list[tuple[int, int]]] | None:
    """Per new size the pieces it is made of, as (which of the old, size); None if there are none.

    >>> _dealt([4, 6], [8, 3]), _dealt([2, 3, 5], [6, 5]), _dealt([4, 3], [6, 2])
    ([[(0, 4), (1, 2)], [(1, 3)]], [[(0, 2), (1, 3)], [(2, 5)]], None)
    """
    left = [(k, size) for k, size in enumerate(old) if size != 1]
    dealt: list[list[tuple[int, int]]] = []
    for rest in new:
        pieces = []
        while rest > 1:
            k, size = left[0]
            if rest % size == 0:
                pieces.append(left.pop(0))
                rest //= size
            elif size % rest == 0:
                pieces.append((k, rest))
                left[0] = (k, size // rest)
                rest = 1
            else:
                return None
        dealt.append(pieces)
    return dealt


def united(tables: Sequence[Table]) -> Table:
    """What any of several sets of indices reads, as one table."""
    if len(tables) == 1:
        return tables[0]
    tables = _in_one_notation(tables)
    along = _names(tables)
    digits = {a: s for t in tables for a, s in t.digits.items()}
    result: Any = False
    for t in tables:
        result = result | _spread(t.along, t.values, along)
    own = frozenset(name for t in tables for name in t.own)
    return Table(tuple(along), result, digits, own)


def _in_one_notation(tables: Sequence[Table]) -> list[Table]:
    """Tables with every axis in the same notation: by its index, where digits differ."""
    clash = {
        a
        for t in tables
        for a in t.axes
        if len({u.digits.get(a) for u in tables if a in u.axes}) > 1
    }
    return [t.plain(*clash) for t in tables]


def _names(tables: Sequence[Table]) -> list[tuple[int, int]]:
    return sorted({name for t in tables for name in t.along})


def _spread(have: Sequence[tuple[int, int]], values: Any, along: Sequence[tuple[int, int]]) -> Any:
    """An array by some indices, with room for the others."""
    for k, name in enumerate(along):
        if name not in have:
            values = values[(slice(None),) * k + (None,)]
    return values


# Boxes ------------------------------------------------------------------------------------------

#: Of one path, or of several that read nothing at the same places: a table per axis of the input.
#: A place reads what its rows have in common, so nothing where one of them is empty.
Box: TypeAlias = Sequence[Table]

#: With gaps of more kinds than this all paths are one box: what is read is as said, or less.
_KINDS = 64


def boxes(paths: Sequence[Box]) -> Sequence[Box]:
    """What any of several paths reads, as few boxes: of paths with gaps at the same places each
    axis is united by itself.
    """
    if len(paths) == 1:
        return paths
    alike: dict[tuple[object, ...], list[Box]] = {}
    for box in paths:
        alike.setdefault(tuple(map(_gaps, box)), []).append(box)
    if len(alike) > _KINDS:
        alike = {(): [*paths]}
    return [[united(slot) for slot in zip(*each, strict=True)] for each in alike.values()]


def _gaps(table: Table) -> object:
    """At which places a table reads nothing; None if at none."""
    if table.full:
        return None
    return table.along, tuple(sorted(table.digits.items())), table.read.tobytes()


def joined(box: Box) -> Box:
    """A box whose tables read nothing at a place where another one, by an index that both hang
    on, reads nothing: what layers and joins take of one axis is so of all.
    """
    if all(t.full for t in box):
        return box
    tables = _in_one_notation(box)
    found = []
    for table in tables:
        left = [t for t in tables if t is not table and not t.full]
        while gap := next((t for t in left if {*t.along} & {*table.along}), None):
            left = [t for t in left if t is not gap]
            table = _where_read(table, gap)
        found.append(table)
    return found


def projected(paths: Sequence[Box], axis: int) -> Table:
    """What places read of one axis, by any of some boxes. They are told apart by the indices on
    which that depends; by another one a box reads nothing only if it does at any of its places.
    """
    alike = iter(_in_one_notation([t for box in paths for t in box]))
    paths = [[next(alike) for _ in box] for box in paths]
    along = _names([box[axis] for box in paths])
    found = []
    for box in map(joined, paths):
        table = own = box[axis]
        for gap in box:
            if not (gap.full or {*gap.along} & {*own.along}):  # those are joined
                table = _where_read(table, _of_places(gap, along))
        found.append(_of_places(table, along))
    return united(found)


def _where_read(table: Table, gap: Table) -> Table:
    """A table that reads nothing where another one does."""
    names = _names([table, gap])
    values: Any = _spread(table.along, table.values, names)
    values = values & _spread(gap.along, gap.read, names)[..., None]
    return Table(tuple(names), values, {**table.digits, **gap.digits}, table.own)


def _of_places(table: Table, along: Sequence[tuple[int, int]]) -> Table:
    """What any of the places reads that some indices do not tell apart."""
    gone = tuple(k for k, name in enumerate(table.along) if name not in along)
    if not gone:
        return table
    kept = tuple(name for name in table.along if name in along)
    digits = {a: s for a, s in table.digits.items() if any(a == b for b, _ in kept)}
    values: Any = table.values.any(gone)
    return Table(kept, values, digits, table.own & {*kept})


def narrowest(tables: Sequence[Table]) -> Table:
    """Of several tables the one whose rows are the shortest, on average."""
    return min(tables, key=_width)


def _width(table: Table) -> float:
    values = table.values
    last = values.shape[-1] - values[..., ::-1].argmax(-1)
    return float(((last - values.argmax(-1)) * values.any(-1)).mean())
