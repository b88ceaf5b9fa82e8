"""Distances between two tensors that broadcast."""

from __future__ import annotations

from typing import Any

from symcnn.nn.module import Module
from symcnn.trace.graph import OPS

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """As `torch.nn.CosineSimilarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        """The cosine along `dim`."""
        return OPS["cosine_similarity"](x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """As `torch.nn.PairwiseDistance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        """The distance over the last axis."""
        return OPS["pairwise_distance"](x1, x2, self.norm, self.eps, self.keepdim)
