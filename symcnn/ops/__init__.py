"""One rule per operation, shared by every front end.

Importing the package fills `symcnn.graph.OPS`.
"""

from symcnn.ops import arrange, conv, linear, matmul, norm, pointwise, pool, shape

__all__ = ["arrange", "conv", "linear", "matmul", "norm", "pointwise", "pool", "shape"]
