"""The cheapest stack of convolutions that sees so many pixels: its depth, strides and dilations.

By the fusion law a stack sees ``1 + sum(d*(k - 1)*j)`` pixels, j the product of the strides before
a layer; and a layer costs ``(k/(j*s))**axes`` MACs per input pixel and pair of channels. So of the
layers so far only j and what they see matter: shortest paths over those pairs are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import product, repeat
from math import prod
from typing import Any, overload

from symcnn.errors import BadSpec, NoSolution
from symcnn.progress import watched
from symcnn.questions.layer.hyper import Choice, opened
from symcnn.shown import Shown

Layer = tuple[int, int, int]  # kernel_size, stride, dilation


@dataclass(frozen=True)
class Stack(Shown, Sequence[Choice]):
    """Convolutions one after the other, ``nn.Conv2d(c, c, **layer)`` for each."""

    layers: tuple[Layer, ...]
    axes: int = 2

    @property
    def depth(self) -> int:
        """How many layers."""
        return len(self.layers)

    @property
    def effective_stride(self) -> int:
        """How far its outputs are apart in the input."""
        return prod(s for _, s, _ in self.layers)

    @property
    def receptive_field(self) -> int:
        """What one output sees, along each axis."""
        return _field(self.layers)

    @property
    def cost(self) -> Fraction:
        """MACs per input pixel and pair of channels: times ``H*W*C**2`` for C channels throughout,
        where the strides divide the sizes.
        """
        total, step = Fraction(0), 1
        for k, s, _ in self.layers:
            step *= s
            total += Fraction(k, step) ** self.axes
        return total

    @overload
    def __getitem__(self, index: int) -> Choice: ...
    @overload
    def __getitem__(self, index: slice) -> Stack: ...
    def __getitem__(self, index: int | slice) -> Choice | Stack:
        if isinstance(index, slice):
            return Stack(self.layers[index], self.axes)
        k, s, d = self.layers[index]
        values = {"kernel_size": k, "stride": s, "dilation": d}
        kept = {n: v for n, v in values.items() if n == "kernel_size" or v != 1}
        return Choice(f"Conv{self.axes}d", kept)

    def __len__(self) -> int:
        return len(self.layers)

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no layer"


def _field(layers: Sequence[Layer]) -> int:
    seen = step = 1
    for k, s, d in layers:
        seen += d * (k - 1) * step
        step *= s
    return seen


def stack_for(
    receptive_field: int,
    kernel_size: int | Sequence[int] = 3,
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    effective_stride: int | None = None,
    depth: int | None = None,
    axes: int = 2,
    dense: bool = True,
) -> Stack:
    """The cheapest convolutions, channels alike, that see so many pixels or more.

    Of equally cheap stacks the one of fewest layers, of those the one that sees least beyond what
    is asked, of those the smallest numbers first.

    Args:
        receptive_field: in pixels.
        kernel_size: a number, or those that a layer may have: ``[3, 5]``.
        stride: a number, or those that a layer may have.
        dilation: a number, or those that a layer may have: ``range(1, 9)``.
        effective_stride: the product of the strides is at most so much (the field, if None).
        depth: at most so many layers.
        axes: 1, 2 or 3; a layer costs ``kernel_size**axes`` MACs per output pixel, and strides
            leave fewer of those.
        dense: whether no pixel in between is skipped, by a dilation or a stride.

    Returns:
        The layers, the first one first.

    Raises:
        NoSolution: where no stack sees so much.

    >>> stack_for(224).depth, stack_for(225, dilation=range(1, 100)).depth
    (112, 5)
    >>> print(stack_for(31, [3, 5], stride=[1, 2], effective_stride=4))
    kernel_size=3, stride=2
    kernel_size=3, stride=2
    kernel_size=3
    kernel_size=3
    kernel_size=3
    """
    hyper = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    ranges = [sorted(set(opened(hyper, name, ()))) for name in hyper]
    bounds = {"receptive_field": receptive_field, "depth": depth, "axes": axes}
    bounds["effective_stride"] = effective_stride
    for name, value in bounds.items():
        if value is not None:
            opened({name: value}, name, ())
    if axes > 3:
        raise BadSpec(f"axes={axes}", cure="a convolution has 1, 2 or 3")
    most = receptive_field if effective_stride is None else min(effective_stride, receptive_field)
    steps = [(k, s, d) for k, s, d in product(*ranges) if k > 1 or d == ranges[2][0]]
    found = _cheapest(receptive_field, steps, most, depth, axes, dense=dense)
    if found is None:
        within = "" if depth is None else f" in {depth} layers"
        raise NoSolution(
            f"no such stack sees {receptive_field} pixels{within}",
            cure="allow larger kernels, dilations or strides",
        )
    return Stack(found, axes)


def _cheapest(
    field: int, steps: Sequence[Layer], most: int, depth: int | None, axes: int, *, dense: bool
) -> tuple[Layer, ...] | None:
    """Dijkstra over (pixels seen, effective stride), and the depth where that is bounded."""
    queue: list[Any] = [(Fraction(0), 0, 1, 1, ())]
    done: set[tuple[int, ...]] = set()
    best: tuple[Any, ...] | None = None
    for _ in watched(repeat(None), f"looking for {field} pixels"):
        if not queue:
            break
        cost, layers, seen, step, path = heappop(queue)
        if best is not None and cost > best[0]:
            break
        if seen >= field:
            best = min(best or (cost, layers, seen, path), (cost, layers, seen, path))
            continue
        state = (seen, step) if depth is None else (seen, step, layers)
        if state in done or layers == depth:
            continue
        done.add(state)
        for k, s, d in steps:
            wider, further = seen + d * (k - 1) * step, step * s
            holes = (k > 1 and d * step > seen) or further > wider
            if further <= most and not (dense and holes):
                more = cost + Fraction(k, further) ** axes
                heappush(queue, (more, layers + 1, wider, further, (*path, (k, s, d))))
    return None if best is None else best[3]
