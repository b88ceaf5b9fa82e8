"""The axes of an input that a receptive field is asked along."""

from __future__ import annotations

from collections.abc import Iterable

from symcnn.algebra.axis import AxisMap, Resample, Scatter, Window
from symcnn.algebra.size import Int, Size, symbols_of
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.trace import Trace


def spatial_axes(net: Trace, t: SymbolicTensor) -> tuple[int, ...]:
    """The axes a receptive field is asked along: those that a window slides along, and those of
    sizes other than batch and channels; all behind batch and channels where no such axis stands
    in front (``N H W C``). A product such as ``C*e`` is a number of channels.
    """
    ours = {i for i, d in enumerate(t.dims) if _spatial(d, net.leading)} | _slid(net.nodes, t)
    if t.ndim >= 3 and (not ours or min(ours) >= 2):
        return tuple(range(2, t.ndim))
    return tuple(sorted(ours)) or tuple(range(min(1, t.ndim - 1), t.ndim))


def _slid(nodes: Iterable[Node], source: SymbolicTensor) -> set[int]:
    """The axes of a tensor that the first window, scatter or resize on the way slides along."""
    axes: dict[SymbolicTensor, tuple[int | None, ...]] = {source: tuple(range(source.ndim))}
    for node in nodes:
        first = node.inputs[0] if node.inputs else None
        if first not in axes or not node.result.axes:
            continue
        ours, maps = axes[first], node.result.axes[: node.outputs[0].ndim]
        reads = [(ours[a] if isinstance(a, int) else None, m) for a, m in maps]
        slid = {a for a, axis_map in reads if a is not None and _slides(axis_map)}
        if slid:
            return slid
        if len(node.outputs) == 1:
            axes[node.outputs[0]] = tuple(a for a, _ in reads)
    return set()


def _slides(axis_map: AxisMap) -> bool:
    """A cut, a step and a pad of channels (cat, slices) are windows of a single row."""
    span = axis_map.extent if isinstance(axis_map, (Window, Scatter)) else 1
    return span != 1 or isinstance(axis_map, Resample)


def _spatial(dim: Int, leading: frozenset[str]) -> bool:
    channels = isinstance(dim, Size) and any("C" in symbols_of(a.size()) for a in dim.atoms())
    return bool(symbols_of(dim) - leading) and not (channels and "C" in leading)
