"""Adaptive pools as plain pools: which kernel and stride, and where it is exactly that pool.

An adaptive pool to n outputs reads ``floor(i*x/n) .. ceil((i + 1)*x/n) - 1`` of x places. Let
``x = q*n + r``. These are windows of one size, at one distance, iff ``floor(i*r/n)`` is 0 for all
i < n and ``ceil((i + 1)*r/n)`` is the same for all: iff r is 0 or 1. Then the stride is q and the
kernel q + r, both at least 1: so exactly where ``x mod n`` is 0 or 1, and x at least n. To one
output it is a plain pool everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symcnn.algebra.axis import IDENTITY, Adaptive, Whole
from symcnn.algebra.size import Int, mod
from symcnn.errors import NoSolution, Undecidable
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.inputset import InputSet
from symcnn.shown import Several, Shown
from symcnn.trace.graph import Node, public
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class PlainPool(Shown):
    """An adaptive pool, as a plain one.

    Attributes:
        node: its name.
        layer: the plain pool of torch that takes its place: ``AvgPool2d``.
        kernel: the kernel per axis, a number or a formula in the sizes of the network's input.
        stride: the stride per axis.
        where: the inputs at which that pool is this one, exactly.
        valid: the inputs that the network takes.
    """

    node: str
    layer: str
    kernel: tuple[Any, ...]
    stride: tuple[Any, ...]
    where: InputSet
    valid: InputSet

    @property
    def always(self) -> bool:
        """Whether it is that pool at every input that the network takes."""
        return self.valid <= self.where

    def __str__(self) -> str:
        layer = f"{self.layer}({_brief(self.kernel)}, stride={_brief(self.stride)})"
        return f"{self.node}: {layer} {self._where}"

    @property
    def _where(self) -> str:
        if not self.where:
            return "nowhere"
        return "everywhere" if self.always else f"where {self.where.describe()}"


def _brief(values: tuple[Any, ...]) -> str:
    several = dict.fromkeys(map(str, values))
    return next(iter(several)) if len(several) == 1 else f"({', '.join(map(str, values))})"


def plain_pools(net: Trace) -> tuple[PlainPool, ...]:
    """See `Network.plain_pools`, which this is."""
    valid = net.valid_inputs()
    return Several(
        _plain(node, valid) for node in net.nodes if node.op.startswith("adaptive_") and node.inputs
    )


def _plain(node: Node, valid: InputSet) -> PlainPool:
    kernel: list[Int] = []
    stride: list[Int] = []
    exact: list[Requirement] = []
    dims = node.inputs[0].dims
    _, kind, pool = node.op.split("_")[:3]
    n = int(pool[4])
    for source, axis_map in (node.result.axes or ())[-n:]:
        assert isinstance(source, int)
        x = dims[source]
        if axis_map == IDENTITY:
            kernel.append(1)
            stride.append(1)
        elif isinstance(axis_map, Whole):
            kernel.append(x)
            stride.append(x)
        elif isinstance(axis_map, Adaptive):
            length = axis_map.length
            if not isinstance(length, int):
                raise Undecidable(
                    f"{node.name} makes {length} places, which is no number",
                    cure="give the hyperparameter a number: net.given(...)",
                )
            if not length:
                raise NoSolution(
                    f"{node.name} makes no places: no plain pool does",
                    cure="leave the layer out, or let it make a place",
                )
            kernel.append(x - (length - 1) * (x // length))
            stride.append(x // length)
            rest = mod(x, length)
            exact += [Condition(x, ">=", length), Condition(1, ">=", rest)]
    where = valid.where(*exact) if exact else valid
    layer = f"{'Avg' if kind == 'avg' else 'Max'}Pool{n}d"
    return PlainPool(
        node.name, layer, tuple(map(public, kernel)), tuple(map(public, stride)), where, valid
    )
