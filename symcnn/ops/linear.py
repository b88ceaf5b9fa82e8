"""Linear layers and matrix products."""

from __future__ import annotations

from symcnn.algebra.axis import IDENTITY, AxisMap, Whole
from symcnn.algebra.size import prod
from symcnn.errors import ShapeMismatch
from symcnn.ops.registry import of_shapes, rule
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Result, SymbolicTensor

__all__ = ["linear"]


@rule("linear")
@of_shapes
def linear(
    input: SymbolicTensor, weight: SymbolicTensor, bias: SymbolicTensor | None = None
) -> Result:
    """``x @ weight.T + bias`` over the last axis."""
    if input.ndim == 0:
        raise ShapeMismatch("linear takes an input of at least one axis")
    out_features, in_features = weight.dims
    *lead, features = input.dims
    why = "the input must have the features the layer expects"
    requires = () if features == in_features else (Condition(features, "==", in_features, why),)
    axes: list[tuple[int | None, AxisMap]] = [(i, IDENTITY) for i in range(len(lead))]
    axes.append((len(lead), Whole(out_features)))
    macs = prod(lead) * (in_features * out_features)
    return Result(((*lead, out_features),), tuple(axes), macs, requires)
