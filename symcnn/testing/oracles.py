"""Torch as the judge, for tests: see `symcnn.oracles`."""

from symcnn.oracles import (
    Verdict,
    judge,
    sample_sizes,
    tensors_of,
    torch_flops,
    torch_saved,
    torch_shapes,
)

__all__ = [
    "Verdict",
    "judge",
    "sample_sizes",
    "tensors_of",
    "torch_flops",
    "torch_saved",
    "torch_shapes",
]
