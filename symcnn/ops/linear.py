"""Linear layers and matrix products."""

from __future__ import annotations

from symcnn.algebra.axis import IDENTITY, AxisMap, Whole
from symcnn.errors import ShapeMismatch
from symcnn.ops import dtypes, tools, work
from symcnn.ops.autograd import factors
from symcnn.ops.matmul import passed_over
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.pointwise import fits
from symcnn.ops.registry import of_shapes, require_equal, require_rank
from symcnn.ops.storage import products
from symcnn.trace.graph import Result, SymbolicTensor


@rule(
    "linear",
    other=work.bias,
    counts=tools.BIASED,
    products=factors(0, 1),
    counted=passed_over(lambda node: node.inputs[1].ndim == 1),
    saves=products.linear,
    takes="int float complex",
    same_dtype="input weight bias",
    autocast=dtypes.LOW,
)
@of_shapes
def linear(
    input: SymbolicTensor, weight: SymbolicTensor, bias: SymbolicTensor | None = None
) -> Result:
    """``x @ weight.T + bias`` over the last axis."""
    if input.ndim == 0:
        raise ShapeMismatch("linear takes an input of at least one axis")
    require_rank(weight, (1, 2), "the weight of linear")
    *rows, in_features = weight.dims
    *lead, features = input.dims
    requires = require_equal(
        features, in_features, "the input must have the features the layer expects"
    )
    if bias is not None:
        if weight.ndim == 1:  # torch adds no bias to a product with a vector
            raise ShapeMismatch("linear takes no bias with a weight of one axis")
        requires += fits(bias.dims, (*lead, *rows), "linear: the bias must fit the output")
    axes: list[tuple[int | None, AxisMap]] = [(i, IDENTITY) for i in range(len(lead))]
    axes += [(len(lead), Whole(size)) for size in rows]
    made = *lead, *rows
    return Result((made,), tuple(axes), requires=tuple(requires), each=in_features)
