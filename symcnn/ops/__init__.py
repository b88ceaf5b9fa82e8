"""One rule per operation, shared by every front end.

Importing the package fills `symcnn.graph.OPS`.
"""

from symcnn.ops import arrange, conv, index, linear, matmul, norm, pointwise, pool, reduce, shape

__all__ = [
    "arrange",
    "conv",
    "index",
    "linear",
    "matmul",
    "norm",
    "pointwise",
    "pool",
    "reduce",
    "shape",
]
