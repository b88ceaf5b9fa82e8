"""Forwards through a graph: every tensor as one window over the input, axis by axis.

The fusion law makes a chain of windows one window; branches that meet again with equal strides are
the window that reads what either reads. Where a tensor is no window of the input, there is None.
"""

from __future__ import annotations

from collections.abc import Iterable

from symcnn.axis import IDENTITY, AxisMap, Whole, Window
from symcnn.expr import maximum
from symcnn.graph import Node, SymbolicTensor

__all__ = ["Maps", "fused"]

Maps = dict[SymbolicTensor, list["AxisMap | None"]]


def fused(nodes: Iterable[Node], start: SymbolicTensor) -> Maps:
    """For each tensor that comes from `start`: the map from `start` along each of its axes."""
    maps: Maps = {start: [IDENTITY] * start.ndim}
    for node in nodes:
        for output in node.outputs:
            maps[output] = [_through(node, axis, maps) for axis in range(output.ndim)]
    return maps


def _through(node: Node, axis: int, maps: Maps) -> AxisMap | None:
    if node.result.parts or not node.inputs:
        return None
    joined: AxisMap | None = None
    for t, axes in ((node.inputs[0], node.result.axes), *node.result.others):
        if t not in maps or axes is None:  # from elsewhere, or not read at all
            continue
        if axis >= len(axes):
            return None
        source, axis_map = axes[axis]
        if isinstance(axis_map, Whole):
            return axis_map
        before = maps[t][source] if isinstance(source, int) else None
        if before is None:
            return None
        one = before.then(axis_map)
        joined = one if joined is None else _hull(joined, one)
        if joined is None:
            return None
    return joined


def _hull(f: AxisMap, g: AxisMap) -> AxisMap | None:
    """The window that reads what either reads: branches that meet again."""
    if f == g:
        return f
    if isinstance(f, Whole) or isinstance(g, Whole):
        return f if isinstance(f, Whole) else g
    if not isinstance(f, Window) or not isinstance(g, Window) or f.stride != g.stride:
        return None
    left = maximum(f.left, g.left)
    extent = left + maximum(f.extent - f.left, g.extent - g.left)
    return Window(extent, f.stride, left, f.left + f.right - f.extent - left + extent)
