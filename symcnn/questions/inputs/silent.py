"""What goes wrong in silence at a size: rows that nothing reads, outputs that read nothing.

A row of a tensor is read if some output of some operation on it reads it: what one branch crops,
another may keep. A row of the input is read if it reaches an output of the network; what rows do
not is what `receptive_field().at(...).unread()` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from symcnn.algebra.axis import IDENTITY, AxisMap, Scatter, Whole, Window
from symcnn.algebra.size import evaluate
from symcnn.algebra.taps import Tap
from symcnn.errors import SymcnnError
from symcnn.questions.field.readings import used
from symcnn.questions.field.receptive_field import field_between
from symcnn.questions.inputs.scramble import run_together
from symcnn.shown import Shown
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.trace import Trace

#: Along longer axes rows are not looked at one by one.
_LONGEST = 2048


@dataclass(frozen=True)
class Trap(Shown):
    """Something that raises no error and is seldom meant."""

    node: str
    kind: str  # "unread", "padding", "empty" or "scrambled"
    axis: int
    count: int
    text: str
    rows: tuple[int, ...] = ()  # which, of what is unread

    def __str__(self) -> str:
        return f"{self.node}: {self.text}"


def silent(
    net: Trace, sizes: Mapping[str, int]
) -> tuple[tuple[Trap, ...], dict[str, tuple[int, ...]]]:
    """The traps at `sizes`, and by axis the rows of the input that reach no output.

    Along axes of more than 2,048 rows only the ends are looked at.
    """
    mixed = ((node, run_together(node, sizes)) for node in net.nodes)
    traps = [Trap(node.name, "scrambled", 0, 1, how) for node, how in mixed if how]
    traps += _windows_that_read_nothing(net, sizes)
    if max(sizes.values(), default=1) > _LONGEST:
        return (*_ends(net, sizes), *traps), {}
    dead = [*_unread(net, sizes)]
    unread: dict[str, tuple[int, ...]] = {}
    for t in net.input_tensors:
        for name, axis, rows in _lost(net, t, sizes):
            unread[name] = rows
            told = any(d.rows == rows and d.axis == axis for s, d in dead if s is t)
            if rows and not told:
                length = _at(t, sizes, axis)
                text = f"{_rows_text(rows, length, _lines(t, axis))} of the input reach no output"
                where = t.name or "the input"
                dead.insert(0, (t, Trap(where, "unread", axis, len(rows), text, rows)))
    return (*(trap for _, trap in dead), *traps), unread


def _lost(
    net: Trace, source: SymbolicTensor, sizes: Mapping[str, int]
) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Per axis the rows of an input that reach none of the outputs."""
    fields = []
    for output in net.output_tensors:
        try:
            fields.append(field_between(net, output, source))
        except SymcnnError:  # it does not depend on it, or an operation does not say how
            continue
    given = {name: size for name, size in sizes.items() if name in net.symbols}
    try:
        exact = [rf.at(**given) for rf in fields]
    except SymcnnError:
        return
    for k, axis in enumerate(fields[0].input_axes if fields else ()):
        rows = set.intersection(*(set(at.unread(k)) for at in exact))
        yield fields[0].axes[k], axis, tuple(sorted(rows))


# Rows of any tensor ---------------------------------------------------------------------------


def _unread(net: Trace, sizes: Mapping[str, int]) -> Iterator[tuple[SymbolicTensor, Trap]]:
    """Rows of a tensor that no operation on it reads."""
    every = {*net.input_tensors, *(out for node in net.nodes for out in node.outputs)}
    kept = set(net.output_tensors)
    readers: dict[SymbolicTensor, list[Node]] = {}
    seen: dict[SymbolicTensor, list[Any]] = {}
    for node in net.nodes:
        for k in range(len(node.outputs)):
            try:
                read = used(node, k, every, True, True)
            except SymcnnError:  # the rule does not say: all is read
                read = [(t, ()) for t in node.activations]
            for t, axes in read:
                readers.setdefault(t, []).append(node)
                masks = seen.setdefault(t, [None] * t.ndim)
                steps = node.result.steps if t is node.inputs[0] else ()
                maps = steps[0][0] if steps else axes
                rank = len(steps[0][1]) if steps else node.outputs[k].ndim
                for axis in range(t.ndim):
                    mask = _rows(maps, axis, rank, _at(t, sizes, axis), sizes)
                    masks[axis] = mask if masks[axis] is None else masks[axis] | mask
    for t, masks in seen.items():
        if t in kept:
            continue
        for axis, mask in enumerate(masks):
            if not mask.all() and (len(mask) > 1 or not mask.any()):
                rows = tuple(int(i) for i in (~mask).nonzero()[0])
                names = " and ".join(dict.fromkeys(n.name for n in readers[t]))
                text = f"{_rows_text(rows, len(mask), _lines(t, axis))} are never read"
                yield t, Trap(names, "unread", axis, len(rows), text, rows)


def _rows(axes: Any, axis: int, rank: int, length: int, sizes: Mapping[str, int]) -> Any:
    """Which places of an axis an operation reads: booleans."""
    import numpy as np

    mask = np.zeros(length, dtype=bool)
    taps: list[Any] = [m.at(sizes) for s, m in axes if s == (axis,) and isinstance(m, Tap)]
    if taps:
        each: Any = np.ix_(*(np.arange(tap.length) * tap.step + tap.shift for tap in taps))
        place: Any = sum(each)
        mask[place[(place >= 0) & (place < length)]] = True
        return mask
    entry = next(((o, m) for o, (s, m) in enumerate(axes) if s == axis), None)
    if entry is None or entry[0] >= rank or not _local(entry[1]):
        return ~mask
    first, last, step = entry[1].at(sizes).reads(length)
    first, last = np.broadcast_arrays(first, last)
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        start += max(-(start // step), 0) * step
        mask[start : max(end + 1, start) : step] = True
    return mask


def _local(axis_map: AxisMap) -> bool:
    return axis_map != IDENTITY and not isinstance(axis_map, Whole)


def _rows_text(rows: Sequence[int], length: int, what: str) -> str:
    """Rows in few words."""
    if rows[-1] - rows[0] == len(rows) - 1:
        if rows[-1] == length - 1:
            return f"the last {len(rows)} of {length} {what}"
        if rows[0] == 0:
            return f"the first {len(rows)} of {length} {what}"
        return f"{what} {rows[0]} to {rows[-1]} of {length}"
    some = ", ".join(map(str, rows[:4])) + (", ..." if len(rows) > 4 else "")
    return f"{len(rows)} of {length} {what} ({some})"


# Windows ----------------------------------------------------------------------------------------


def _at(t: SymbolicTensor, sizes: Mapping[str, int], axis: int) -> int:
    return int(evaluate(t.dims[axis], sizes))


def _windows(net: Trace, sizes: Mapping[str, int]) -> Iterator[tuple[str, int, Any, int, str]]:
    """The windows and scatters of layers: whose, the axis, its length, and of what."""
    for node in net.nodes:
        if node.activations and ("conv" in node.op or "pool" in node.op):
            t = node.activations[0]
            for axis, m in node.result.axes or ():
                if isinstance(axis, int) and isinstance(m, (Window, Scatter)):
                    yield node.name, axis, m.at(sizes), _at(t, sizes, axis), _lines(t, axis)


def _windows_that_read_nothing(net: Trace, sizes: Mapping[str, int]) -> Iterator[Trap]:
    for name, axis, m, length, what in _windows(net, sizes):
        if isinstance(m, Window):
            count, kind, see = _blind(m, length), "padding", "only padding"
        else:
            count, kind, see = _unheard(m, length), "empty", "no input, only the bias"
        if count:
            text = f"{count} of {m.size(length)} output {what} see {see}"
            yield Trap(name, kind, axis, count, text)


def _ends(net: Trace, sizes: Mapping[str, int]) -> Iterator[Trap]:
    """Rows behind the last window, of axes too long to look at row by row."""
    for name, axis, m, length, what in _windows(net, sizes):
        if isinstance(m, Window):
            unread = (length + m.left + m.right - m.extent) % m.stride - m.right
            if unread > 0:
                text = f"the last {unread} of {length} {what} are never read"
                yield Trap(name, "unread", axis, unread, text)


def _lines(t: SymbolicTensor, axis: int) -> str:
    """What the lines along an axis are called."""
    if t.ndim <= 3:
        return "positions"
    return {1: "columns", 2: "rows"}.get(len(t.dims) - axis, "slices")


def _blind(window: Window, length: int) -> int:
    """How many outputs read no input at all, only padding: some of those whose window is not
    wholly inside.
    """
    taps = range(0, window.extent, window.dilation)
    outputs = window.size(length)
    first = min(-(-window.left // window.stride), outputs)
    last = max((length + window.left - window.extent) // window.stride + 1, first)
    return sum(
        not any(0 <= window.stride * i - window.left + t < length for t in taps)
        for i in (*range(first), *range(last, outputs))
    )


def _unheard(scatter: Scatter, length: int) -> int:
    """How many outputs no input is spread to: between the borders, as many in every stride."""
    outputs = scatter.size(length)
    margin = scatter.extent + scatter.padding + scatter.output_padding + scatter.stride
    inside = range(margin, max(outputs - margin, margin), scatter.stride)
    lone = sum(not _hears(scatter, margin + j, length) for j in range(scatter.stride))
    whole = max((inside.stop - inside.start + inside.step - 1) // inside.step - 1, 0)
    edges = (*range(min(margin, outputs)), *range(margin + whole * scatter.stride, outputs))
    return lone * whole + sum(not _hears(scatter, j, length) for j in edges)


def _hears(scatter: Scatter, j: int, length: int) -> bool:
    """Whether any input is spread to output `j`."""
    if (j + scatter.padding) % gcd(scatter.stride, scatter.dilation):
        return False
    first, last, step = scatter.progression(j)
    return any(0 <= i < length for i in range(first, last + 1, step))
