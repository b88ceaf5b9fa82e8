"""The architecture as a graph: a box per module, an edge per tensor that goes from one to another.

Boxes stand in the order of the forward. Where there are many, two laws make them fewer: *what keeps
the shape of the one tensor that it reads, place by place, and alone reads that, stands in the box
of what made it* (a norm and an activation behind their convolution); and a stretch that repeats,
at one scale and with as many channels, is one box that says how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

from symcnn.algebra.axis import IDENTITY
from symcnn.algebra.factor import text
from symcnn.algebra.size import evaluate, symbols_of
from symcnn.notation.tree import Part, parts
from symcnn.trace.graph import Constant, Node, Parameter, SymbolicTensor
from symcnn.trace.trace import Trace

#: So many modules have a box each; so many boxes do not repeat; so many are drawn in all; the
#: longest stretch that repeats.
_FEW, _MANY, _MOST, _PERIOD = 24, 48, 160, 12

#: A size at which maps are compared with the input: powers of two divide it.
_LARGE = 1 << 12


@dataclass(frozen=True)
class Box:
    """A module, several that are folded into one, an input or an output.

    Attributes:
        name: its path. kind: the operation, or what is in it. role: "input", "output" or "".
        shape: what it makes, as text.
        channels: of what it makes; 0 where that is a formula.
        scale: how often its map is halved, from 0 for the size of the input; None: no map.
    """

    name: str
    kind: str
    role: str
    shape: str
    channels: int
    scale: int | None


@dataclass(frozen=True)
class Edge:
    """A tensor that goes from one box to another, by their places; its shape as text."""

    source: int
    target: int
    shape: str


@dataclass(frozen=True)
class Graph:
    """The boxes in order, and the edges; the sizes for which this is the network, if not all."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    where: str = ""


@dataclass(frozen=True)
class _Group:
    """Parts that one box stands for: a stretch that stands there so many times."""

    parts: tuple[Part, ...]
    times: int = 1

    @property
    def nodes(self) -> Iterator[Node]:
        for part in self.parts:
            yield from part.nodes

    @property
    def name(self) -> str:
        first, last = self.parts[0].name, self.parts[-1].name
        return first if len(self.parts) == 1 else f"{first} … {last}"

    @property
    def kind(self) -> str:
        if len(self.parts) == 1:
            return _kind(self.parts[0])
        once = self.parts[: len(self.parts) // self.times]
        said = ", ".join(part.op or _kind(part) for part in once[:5])
        said += f", {len(once) - 5:,} more" if len(once) > 5 else ""
        if self.times == 1:
            return said
        return f"{self.times:,} × {said if len(once) == 1 else f'({said})'}"


def graph(net: Trace, depth: int | None, where: str = "") -> Graph:
    """The graph of a network without branches.

    >>> from symcnn import nn
    >>> found = graph(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W"), 1)
    >>> [box.name for box in found.boxes]
    ['input', '0', '1', 'output']
    """
    scales = _Scales(net)
    groups = _folded(net, [*parts(net, depth)], scales)
    boxes = [
        Box(
            t.name or ("input" if len(net.input_tensors) == 1 else f"input {k}"),
            "",
            "input",
            _shape(net, t),
            _channels(t),
            scales.of(t),
        )
        for k, t in enumerate(net.input_tensors)
    ]
    places: dict[SymbolicTensor, int] = {t: k for k, t in enumerate(net.input_tensors)}
    edges: dict[tuple[int, int, str], None] = {}
    for group in groups:
        here = len(boxes)
        last = None
        for node in group.nodes:
            for t in node.inputs:
                source = places.get(t)
                if source is not None and source != here:
                    edges[source, here, _shape(net, t)] = None
            for t in node.outputs:
                places[t] = here
                last = t
        scale, channels = scales.of(last), 0 if last is None else _channels(last)
        shape = "" if last is None else _shape(net, last)
        boxes.append(Box(group.name, group.kind, "", shape, channels, scale))
    for k, t in enumerate(net.output_tensors):
        if isinstance(t, (Parameter, Constant)):
            continue
        name = "output" if len(net.output_tensors) == 1 else f"output {k}"
        if t in places:
            edges[places[t], len(boxes), _shape(net, t)] = None
        boxes.append(Box(name, "", "output", _shape(net, t), _channels(t), scales.of(t)))
    return Graph(tuple(boxes), tuple(Edge(*edge) for edge in edges), where)


def _shape(net: Trace, t: SymbolicTensor) -> str:
    return " × ".join(text(net.simplest(dim)) for dim in t.dims) or "scalar"


def _channels(t: SymbolicTensor) -> int:
    dims = t.dims[1:2] or t.dims[:1]
    return dims[0] if dims and isinstance(dims[0], int) else 0


def _kind(part: Part) -> str:
    """The operation of a part; of a module, how often it does what costs most often."""
    if part.op:
        return "" if part.name == part.op else part.op
    named = [node.op for node in part.nodes if node.parameters]
    ops = named or [node.op for node in part.nodes]
    most = max(dict.fromkeys(ops), key=ops.count)
    rest = len(part.nodes) - ops.count(most)
    return f"{ops.count(most)} {most}" + (f", {rest} more" if rest else "")


class _Scales:
    """How often the map of a tensor is halved against the input's, at one large size."""

    def __init__(self, net: Trace) -> None:
        inputs = [t for t in net.input_tensors if t.ndim > 2] or list(net.input_tensors)
        named = set(net.symbols)
        self.values = dict.fromkeys(named, _LARGE)
        self.extent = self._extent(inputs[0]) if inputs else None

    def _extent(self, t: SymbolicTensor) -> int | None:
        if t.ndim < 3:
            return None
        size = t.dims[-1]
        if not symbols_of(size) <= self.values.keys():
            return None
        try:
            return int(evaluate(size, self.values))
        except ArithmeticError:
            return None

    def of(self, t: SymbolicTensor | None) -> int | None:
        """The scale of a tensor; None for what has no map."""
        varies = t is not None and bool(symbols_of(*t.dims) & self.values.keys())
        extent = self._extent(t) if t is not None and varies else None  # a weight is no map
        if not extent or not self.extent:
            return None
        return max(0, round(log2(self.extent / extent)))


def _folded(net: Trace, found: Sequence[Part], scales: _Scales) -> list[_Group]:
    """One group per part where they are few; else fewer, by the laws above."""
    groups = [_Group((part,)) for part in found]
    if len(groups) > _FEW:
        groups = _fused(net, groups)
    if len(groups) > _MANY:
        groups = _repeated(groups, [_signature(group, scales) for group in groups])
    if len(groups) > _MOST:
        half = _MOST // 2
        inner = tuple(part for group in groups[half:-half] for part in group.parts)
        groups = [*groups[:half], _Group(inner), *groups[-half:]]
    return groups


def _fused(net: Trace, groups: Sequence[_Group]) -> list[_Group]:
    """What keeps its shape place by place, in the box of what it reads."""
    readers = Counter(t for node in net.nodes for t in dict.fromkeys(node.inputs))
    readers.update(net.output_tensors)
    found: list[_Group] = []
    made: SymbolicTensor | None = None
    for group in groups:
        nodes = [*group.nodes]
        read = nodes[0].activations
        alone = len(nodes) == 1 and len(read) == 1 and read[0] is made and readers[made] == 1
        if alone and found and _pointwise(nodes[0]):
            found[-1] = _Group((*found[-1].parts, *group.parts))
        else:
            found.append(group)
        made = nodes[-1].outputs[0] if nodes[-1].outputs else None
    return found


def _pointwise(node: Node) -> bool:
    """Whether it keeps the shape of what it reads, and mixes no places and no channels."""
    maps = node.result.axes or ()
    same = bool(node.outputs) and node.outputs[0].dims == node.activations[0].dims
    return same and node.result.work == 0 and all(m == IDENTITY for _, m in maps)


def _signature(group: _Group, scales: _Scales) -> tuple[object, ...]:
    """What groups of one kind share: operations, weights, channels and scale."""
    nodes = [*group.nodes]
    last = next((t for node in reversed(nodes) for t in node.outputs), None)
    ops = tuple((node.op, len(node.parameters), len(node.inputs)) for node in nodes)
    return ops, 0 if last is None else _channels(last), scales.of(last)


def _repeated(groups: Sequence[_Group], kinds: Sequence[tuple[object, ...]]) -> list[_Group]:
    """Stretches that repeat as one group, and what is left."""
    found: list[_Group] = []
    k = 0
    while k < len(groups):
        period, times = _repeat(kinds, k)
        period, times = (period, times) if times > 2 else (1, 1)
        parts = tuple(part for group in groups[k : k + period * times] for part in group.parts)
        found.append(_Group(parts, times))
        k += period * times
    return found


def _repeat(kinds: Sequence[tuple[object, ...]], start: int) -> tuple[int, int]:
    """The period, and how often it stands there, of the stretch from `start` that covers most."""
    best = (1, 1)
    for period in range(1, _PERIOD + 1):
        once = kinds[start : start + period]
        if len(once) < period:
            break
        times, end = 1, start + 2 * period
        while kinds[end - period : end] == once:
            times, end = times + 1, end + period
        if times > 1 and period * times > best[0] * best[1]:
            best = (period, times)
    return best
