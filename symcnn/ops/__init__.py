"""One rule per operation, shared by every front end.

Importing the package fills `symcnn.trace.graph.OPS`.
"""

from symcnn.ops import (  # noqa: F401
    arrange,
    attention,
    chain,
    conv,
    create,
    dtypes,
    index,
    linalg,
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
    slopes,
    statistics,
)
