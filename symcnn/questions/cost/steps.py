"""An inference pass in steps: what stands in memory while each node runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symcnn.algebra.size import Int, evaluate
from symcnn.ops.storage import weighed
from symcnn.questions.cost.cost import Cost
from symcnn.shown import Shown
from symcnn.trace.graph import Node


@dataclass(frozen=True)
class Step(Shown):
    """A moment of an inference pass.

    Attributes:
        node: what runs.
        bytes: of all tensors that are alive meanwhile, parameters aside.
        alive: these tensors, each by the node or input that made it, and its bytes.
    """

    node: str
    bytes: int
    alive: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return f"{self.node}: {self.bytes} bytes"


def steps(cost: Cost) -> tuple[Step, ...]:
    """The steps of a pass, one or more per node; the largest is the `Cost.peak`.

    Args:
        cost: of a network at sizes, see `Cost.at`.

    Returns:
        The steps, in the order of the forward.

    >>> from symcnn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
    >>> [(step.node, step.bytes) for step in steps(net.cost().at(N=1, H=10, W=10))]
    [('0', 3248), ('1', 5296)]
    """
    sizes = cost.sizes or {}
    found = []
    for node, alive in held(cost):
        at = tuple((maker, int(evaluate(size, sizes))) for maker, size in alive)
        found.append(Step(node.name, sum(size for _, size in at), at))
    return tuple(found)


def held(cost: Cost) -> Iterator[tuple[Node, list[tuple[str, Int]]]]:
    """What is alive while each node runs: who made it, and its bytes as a formula."""
    cost = cost._laid
    memory = cost._inference
    makers = {memory.of(t).storage: t.name or "input" for t in cost.net.input_tensors}
    for node in cost.net.nodes:
        for storage in (*memory.made[node], *(memory.of(t).storage for t in node.outputs)):
            makers.setdefault(storage, node.name)
    for node, alive in cost._alive():
        names = [makers.get(s, node.name) for s in alive]
        yield node, [*zip(names, weighed(alive, cost._width), strict=True)]
