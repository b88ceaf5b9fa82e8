"""The path that an axis takes through a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symcnn.algebra.axis import AxisMap, Const, Window
from symcnn.algebra.size import Int, evaluate, symbols_of
from symcnn.errors import BadSpec
from symcnn.questions.field.reach import Unknown, axes_of
from symcnn.questions.field.receptive_field import Pass
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.maps import map_axes
from symcnn.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Link:
    """One tensor on the path from the input to the output, and the axis it is made from."""

    tensor: SymbolicTensor
    map: AxisMap
    before: Int
    after: Int
    place: int  # the axis of the tensor
    taken: bool = False  # a length that python took from elsewhere, not what the map makes of one

    @property
    def name(self) -> str:
        """The node that makes it."""
        node = self.tensor.node
        return node.name if node is not None else self.tensor.name or "the input"

    @property
    def where(self) -> str:
        """The node, and its operation."""
        node = self.tensor.node
        return f"{node.name} ({node.op})" if node is not None else self.name

    @property
    def keeps(self) -> bool:
        """Whether the size is that of the axis it comes from."""
        return self.before == self.after and not isinstance(self.map, Const)


def path_of(net: Trace, axis: int) -> list[Link]:
    """The nodes that carry `axis` from the input to the output; of branches, the widest.

    Where an operation makes an axis of a length that python took from another tensor (a view back
    into a map), the path goes on there: the length is the same, though whole axes are read.
    """
    start = net.input_tensors[0]
    seen = seen_by(net)
    tensor = next(iter(tensors_of(net)))
    if tensor.ndim != start.ndim:  # flattened since: the last map is meant
        tensor = next(iter(tensors_of(net.last_map(max(1, start.ndim - 2)))))
    if not tensor.ndim:
        raise BadSpec(
            "the output is one number: it has no size",
            cure='net.at("name") is the network up to a map',
        )
    space = map_axes(tensor.dims, max(1, start.ndim - 2), {*net.symbols} - net.batch)
    place = min(axis, tensor.ndim - 1) if space is None or axis < 2 else space[axis - 2]
    links: list[Link] = []
    while tensor is not start:
        node, length = tensor.node, tensor.dims[place]
        found = None if node is None else _source(node, tensor, place, seen)
        if found is not None:
            source, origin, axis_map = found
            links.append(Link(tensor, axis_map, source.dims[origin], length, place))
        else:
            alike = None if node is None else _alike_before(net, node, length, axis)
            if alike is None:
                links.append(Link(tensor, Const(length), length, length, place, taken=True))
                break
            source, origin = alike
            links.append(Link(tensor, Window(1), length, length, place, taken=True))
        tensor, place = source, origin
    return links[::-1]


def _alike_before(
    net: Trace, node: Node, length: Int, axis: int
) -> tuple[SymbolicTensor, int] | None:
    """The latest tensor before `node` with an axis as long, if possible at the same place."""
    start = net.input_tensors[0]
    if isinstance(length, int):
        return None
    earlier = [n.outputs[0] for n in net.nodes[: net.position(node)]]
    for t in (*reversed(earlier), start):
        if length in t.dims:
            return t, axis if t.dims[axis : axis + 1] == (length,) else t.dims.index(length)
    return None


def seen_by(net: Trace) -> Pass:
    """What every tensor sees of the input, along all axes."""
    start = net.input_tensors[0]
    return Pass(net.nodes, start, tuple(range(start.ndim))).run()


def tensors_of(net: Trace) -> tuple[SymbolicTensor, ...]:
    """The tensors that a network returns."""
    return net.output_tensors


#: An index, and a size, far from any border.
_FAR = 100_003


def _width(seen: Pass, t: SymbolicTensor, axis: int) -> int:
    """How wide a tensor sees the axis of the input that one of its own follows."""
    widest = 0
    for reach in seen.reaches[t]:
        if type(reach) is not Unknown and axis in axes_of(reach.first, reach.last):
            length = reach.last - reach.first + 1
            widest = max(widest, evaluate(length, dict.fromkeys(symbols_of(length), _FAR)))
    return widest


def _source(
    node: Node, output: SymbolicTensor, axis: int, seen: Pass
) -> tuple[SymbolicTensor, int, AxisMap] | None:
    """The input of `node` that the axis comes from: of several, the one that sees most."""
    if not node.inputs:
        return None
    own = node.result.axes
    if node.result.parts:
        own = node.result.parts[node.outputs.index(output)]
    best: tuple[SymbolicTensor, int, AxisMap] | None = None
    widest = -2
    for t, axes in ((node.inputs[0], own), *node.result.others):
        if t not in seen.reaches or not axes or axis >= len(axes):
            continue
        source, axis_map = axes[axis]
        if not isinstance(source, int):
            continue
        width = -1 if isinstance(axis_map, Const) else _width(seen, t, source)
        if width > widest:
            widest, best = width, (t, source, axis_map)
    return best


def between(names: Sequence[str]) -> str:
    """Nodes in a row, in few words."""
    if len(names) < 3:
        return " and ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)})"
