"""One rule per operation, shared by every front end.

Importing the package fills `symcnn.trace.graph.OPS`.
"""

from symcnn.ops import (
    arrange,
    attention,
    conv,
    create,
    dtypes,
    index,
    linalg,
    linear,
    loss,
    matmul,
    norm,
    patches,
    pick,
    pointwise,
    pool,
    random,
    reduce,
    rnn,
    sample,
    shape,
    signal,
)

__all__ = [
    "arrange",
    "attention",
    "conv",
    "create",
    "dtypes",
    "index",
    "linalg",
    "linear",
    "loss",
    "matmul",
    "norm",
    "patches",
    "pick",
    "pointwise",
    "pool",
    "random",
    "reduce",
    "rnn",
    "sample",
    "shape",
    "signal",
]
