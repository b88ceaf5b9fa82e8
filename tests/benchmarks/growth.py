"""How time grows with the network: families of growing networks, each question timed on its own.

The claim to test: every question costs at most about as many steps as there are nodes and edges.
An edge is a tensor that a node reads; a dense block of n layers has n*n/2 of them.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import symcnn
from symcnn import nn
from symcnn.lazy import uncollected
from symcnn.trace.graph import Constant, Parameter
from tests.benchmarks.clock import CPU

__all__ = ["FAMILIES", "QUESTIONS", "Growth", "exponent", "grow", "plot"]


def chain(layers: int) -> symcnn.Network:
    """3x3 convolutions one after the other; every fiftieth of the first 1,000 has stride 2."""
    strides = (2 if i % 50 == 49 and i < 1000 else 1 for i in range(layers))
    return nn.Sequential(*[nn.Conv2d(8, 8, 3, stride=s) for s in strides]).trace("N 8 H W")


def unet(depth: int) -> symcnn.Network:
    """A U-Net of that many levels: padded convolutions, so that H must divide by 2**depth."""

    def forward(x: Any, level: int) -> Any:
        x = nn.ReLU()(nn.Conv2d(8, 8, 3, padding=1)(x))
        if level == depth:
            return x
        below = forward(nn.MaxPool2d(2)(x), level + 1)
        up = nn.ConvTranspose2d(8, 8, 2, stride=2)(below)
        return nn.Conv2d(16, 8, 3, padding=1)(symcnn.cat([x, up], dim=1))

    x = symcnn.tensor("N 8 H W")
    return symcnn.Network(inputs=x, outputs=forward(x, 0))


def dense(layers: int) -> symcnn.Network:
    """A dense block: every layer reads the outputs of all layers before it."""
    made = [symcnn.tensor("N 8 H W")]
    for i in range(layers):
        whole = symcnn.cat(made, dim=1)
        made.append(nn.Conv2d(8 + 4 * i, 4, 3, padding=1)(whole))
    return symcnn.Network(inputs=made[0], outputs=symcnn.cat(made, dim=1))


def blocks(nodes: int) -> symcnn.Network:
    """Residual blocks of four nodes: convolution, norm, activation, sum."""
    x = y = symcnn.tensor("N 8 H W")
    for _ in range(nodes // 4):
        y = nn.ReLU()(nn.BatchNorm2d(8)(nn.Conv2d(8, 8, 3, padding=1)(y))) + y
    return symcnn.Network(inputs=x, outputs=y)


#: Families, the sizes asked for, and what the number counts.
FAMILIES: Mapping[str, tuple[Callable[[int], symcnn.Network], Sequence[int], str]] = {
    "chain": (chain, (10, 100, 1000, 10_000, 100_000), "layers"),
    "residual blocks": (blocks, (100, 1000, 10_000), "nodes"),
    "dense block": (dense, (10, 25, 50, 100, 200, 400), "layers"),
    "U-Net": (unet, (2, 4, 8, 16, 32, 64), "levels"),
}

#: What is asked of a network that stands.
QUESTIONS: Mapping[str, Callable[[symcnn.Network], Any]] = {
    "params and MACs": lambda net: (net.params, net.macs),
    "receptive field": lambda net: net.receptive_field().size,
    "domain": lambda net: net.valid_inputs(),
    "activation memory": lambda net: net.cost().activations,
    "peak memory": lambda net: net.cost().peak,
    "peak memory at a size": lambda net: net.cost().at(**_smallest(net)).peak,
}


def _smallest(net: symcnn.Network) -> dict[str, int]:
    """The smallest image it accepts."""
    domain = net.valid_inputs()
    return {"N": 1, **dict(zip(domain.shown, domain.smallest(), strict=True))}


@dataclass
class Growth:
    """One family: per size how large the graph is, how long the formula, and the seconds."""

    family: str
    unit: str
    sizes: list[int] = field(default_factory=list)
    elements: list[int] = field(default_factory=list)  # nodes and edges
    formula: list[int] = field(default_factory=list)  # characters of the output's height
    seconds: dict[str, list[float]] = field(default_factory=dict)


def grow(name: str) -> Growth:
    """A family, timed."""
    build, sizes, unit = FAMILIES[name]
    growth = Growth(name, unit)
    build(sizes[0])  # warm
    for size in sizes:
        times: dict[str, list[float]] = {}
        for _ in range(3 if size <= 10_000 else 1):
            gc.collect()
            start = CPU()
            with uncollected():  # as every trace is; what python does by itself is not ours
                net = build(size)
            times.setdefault("trace", []).append(CPU() - start)
            for question, ask in QUESTIONS.items():
                gc.collect()  # what the trace left to the collector is not the question's
                start = CPU()
                ask(net)
                times.setdefault(question, []).append(CPU() - start)
        growth.sizes.append(size)
        edges = sum(not isinstance(t, (Parameter, Constant)) for n in net.nodes for t in n.inputs)
        growth.elements.append(len(net.nodes) + edges)
        growth.formula.append(len(str(net.output_dims[-1])))
        for question, each in times.items():
            growth.seconds.setdefault(question, []).append(min(each))
    return growth


def exponent(elements: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of a line through the upper half in log-log: 1 is linear."""
    x = [math.log(e) for e in elements][len(elements) // 2 - 1 :]
    y = [math.log(s) for s in seconds][len(seconds) // 2 - 1 :]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mx) ** 2 for a in x)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / over


def plot(found: Sequence[Growth], path: Path) -> None:
    """Seconds over nodes and edges, log-log: a panel per family, a line per question."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "symcnn"
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3.6), sharey=True)
    for panel, growth in zip(panels, found, strict=True):
        for question, seconds in growth.seconds.items():
            slope = exponent(growth.elements, seconds)
            panel.loglog(growth.elements, seconds, "o-", ms=3, label=f"{question} ({slope:.2f})")
        first, last = growth.elements[0], growth.elements[-1]
        start = min(s[0] for s in growth.seconds.values())
        panel.loglog([first, last], [start, start * last / first], "k:", lw=1, label="linear")
        panel.set_title(growth.family)
        panel.set_xlabel("nodes + edges")
        panel.legend(fontsize=6)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
