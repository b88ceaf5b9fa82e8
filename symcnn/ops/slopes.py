"""Slopes of a map, which torch writes in other operations. Source: ATen's ReduceOps.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.ops.registry import normal_dims
from symcnn.ops.takes import require_part
from symcnn.trace.graph import OPS, SymbolicTensor, apply
from symcnn.trace.tape import let_go


def gradient(
    input: SymbolicTensor,
    *,
    spacing: float | Sequence[float] | None = None,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[SymbolicTensor, ...]:
    """Differences of the places before and behind, along each axis; of neighbours at the ends."""
    if edge_order not in (1, 2):
        raise ShapeMismatch(f"gradient: edge_order={edge_order}", cure="it is 1 or 2")
    require_part(f"gradient of {input.dtype}", input, "int8 int16 int32 int64 float complex")
    axes = normal_dims([*range(input.ndim)] if dim is None else dim, input.ndim, "gradient")
    steps: list[Any] = [*spacing] if isinstance(spacing, Sequence) else [spacing or 1] * len(axes)
    if edge_order == 2 or not all(isinstance(step, (int, float)) for step in steps):
        raise UnsupportedOperation(
            "gradient: places that stand in tensors, or edges of the second order, have no rule",
            cure="write it in differences of slices",
        )
    if len(steps) != len(axes):
        raise ShapeMismatch(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    return tuple(_slope(input, axis, step) for axis, step in zip(axes, steps, strict=True))


def _slope(x: SymbolicTensor, axis: int, step: float) -> SymbolicTensor:
    """Along one axis: torch holds what lies between the ends until all is joined."""

    def rise(over: int, under: int, length: Int) -> SymbolicTensor:
        ends = (apply("narrow", x, axis, start, length) for start in (over, under))
        made: SymbolicTensor = apply("div", apply("sub", *ends), step)
        return made

    size = x.dims[axis]
    middle = rise(2, 0, size - 2)
    first, last = rise(1, 0, 1), rise(-1, -2, 1)
    made: SymbolicTensor = apply("cat", [first, apply("div", middle, 2), last], axis)
    let_go(middle)
    return made


OPS["gradient"] = gradient
