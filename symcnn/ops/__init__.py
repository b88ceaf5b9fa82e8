"""One rule per operation, shared by every front end.

Importing the package fills `symcnn.graph.OPS`.
"""

from symcnn.ops import conv, linear, norm, pointwise, pool, shape

__all__ = ["conv", "linear", "norm", "pointwise", "pool", "shape"]
