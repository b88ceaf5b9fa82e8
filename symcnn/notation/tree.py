"""The nodes of a network as the tree of its module calls, in the order in which they ran.

Nodes that follow each other under one module are one part. A module that runs again later is
another part, with its own output: a part is a stretch of the trace, not a place in the module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from symcnn.trace.graph import Node, Parameter
from symcnn.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Part:
    """One module call, or one node: its nodes, and how deep it stands."""

    name: str  # ``layer1``, ``relu:2`` for a second call, or a node's name
    level: int  # from 1
    nodes: tuple[Node, ...]
    calls: int = 1  # so many calls of the module follow each other

    @property
    def label(self) -> str:
        """The last piece of the name."""
        return self.name.rpartition(".")[2]

    @property
    def op(self) -> str:
        """The operation, of a part that is only one."""
        return self.nodes[0].op if len(self.nodes) == 1 else ""


def parts(net: Trace, depth: int | None = None, *, tree: bool = False) -> Iterator[Part]:
    """The parts of a network down to a depth, each node in one; all nodes for None.

    tree: the modules above them, too, each before what it contains.

    >>> import symcnn
    >>> from symcnn import nn
    >>> block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    >>> net = nn.Sequential({"stem": block, "act": nn.ReLU()}).trace("N 8 H W")
    >>> [part.name for part in parts(net, depth=1)]
    ['stem', 'act']
    >>> [(part.label, part.level) for part in parts(net, depth=2, tree=True)]
    [('stem', 1), ('0', 2), ('1', 2), ('act', 1)]
    """
    found = list(_below(net.nodes, 1, depth, tree=tree))
    times = Counter((part.name, part.level) for part in found)
    calls = Counter(call.path for call in net.calls)
    seen: Counter[tuple[str, int]] = Counter()
    for part in found:
        key = (part.name, part.level)
        seen[key] += 1
        if times[key] > 1:
            yield Part(f"{part.name}:{seen[key]}", part.level, part.nodes)
        else:
            yield Part(part.name, part.level, part.nodes, max(calls[part.name], 1))


def _below(nodes: Sequence[Node], level: int, depth: int | None, *, tree: bool) -> Iterator[Part]:
    for _, run in groupby(nodes, lambda node: _place(node)[:level]):
        inside = tuple(run)
        place = _place(inside[0])
        if all(len(_place(node)) <= level for node in inside):  # nodes that are no further down
            yield from (Part(node.name, level, (node,)) for node in inside)
            continue
        if depth is None or level < depth:
            if tree:
                yield Part(".".join(place[:level]), level, inside)
            yield from _below(inside, level + 1, depth, tree=tree)
        else:
            yield Part(".".join(place[:level]), level, inside)


def _place(node: Node) -> list[str]:
    """The modules around a node, and the node itself where its module does more than this."""
    path = node.module.split(".") if node.module else []
    own = node.name.partition(":")[0] != node.module
    return [*path, node.name] if own or not path else path


def owned(net: Trace) -> Callable[[Part], tuple[Parameter, ...]]:
    """The parameters of a part, those left out that an earlier node reads too."""
    first: dict[Parameter, Node] = {}
    for node in net.nodes:
        for parameter in node.parameters:
            first.setdefault(parameter, node)

    def of(part: Part) -> tuple[Parameter, ...]:
        read = dict.fromkeys(p for node in part.nodes for p in node.parameters)
        inside = set(part.nodes)
        return tuple(p for p in read if first[p] in inside)

    return of
