"""Distances between two tensors that broadcast."""

from __future__ import annotations

from symcnn.nn.module import Module
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """As `torch.nn.CosineSimilarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: SymbolicTensor, x2: SymbolicTensor) -> SymbolicTensor:
        """The cosine along `dim`."""
        return apply("cosine_similarity", x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """As `torch.nn.PairwiseDistance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: SymbolicTensor, x2: SymbolicTensor) -> SymbolicTensor:
        """The distance over the last axis."""
        return apply("pairwise_distance", x1, x2, self.norm, self.eps, self.keepdim)
