"""Embedding: a learned row for every index, alone or summed up in bags."""

from __future__ import annotations

from typing import Any

from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import each, positive
from symcnn.nn.module import Module
from symcnn.ops.registry import at_least
from symcnn.trace.graph import Parameter, SymbolicTensor, apply

__all__ = ["Embedding", "EmbeddingBag"]


class Embedding(Module):
    """As `torch.nn.Embedding`; of `_weight` only the shape counts.

    >>> net = Embedding(1000, 64).trace("N L")
    >>> net.output_shape, net.params
    ((N, L, 64), 64000)
    """

    def __init__(
        self,
        num_embeddings: Any,
        embedding_dim: Any,
        padding_idx: Any = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.num_embeddings = positive(num_embeddings, "num_embeddings")
        self.embedding_dim = positive(embedding_dim, "embedding_dim")
        if padding_idx is not None:
            rows = self.num_embeddings
            at_least("padding_idx", (padding_idx + rows,), 0)
            at_least("num_embeddings", (rows - padding_idx,), 1)
            padding_idx = padding_idx if padding_idx >= 0 else padding_idx + rows
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is not None and each(tuple(_weight.shape), "_weight") != shape:
            raise ShapeMismatch(f"_weight has shape {tuple(_weight.shape)}, not {shape}")
        self.weight = Parameter(shape, "weight", trainable=not _freeze)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """A row of the table per index."""
        return apply("embedding", input, self.weight)

    def extra_repr(self) -> str:
        """The table's shape, as in torch."""
        return f"{self.num_embeddings}, {self.embedding_dim}"


class EmbeddingBag(Module):
    """As `torch.nn.EmbeddingBag`: rows of the table summed up, a bag per row of the input.

    >>> EmbeddingBag(1000, 64).trace("N L").output_shape
    (N, 64)
    """

    def __init__(
        self,
        num_embeddings: Any,
        embedding_dim: Any,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        table = Embedding(num_embeddings, embedding_dim, padding_idx, _weight=_weight)
        self.num_embeddings, self.embedding_dim = table.num_embeddings, table.embedding_dim
        self.padding_idx, self.weight = table.padding_idx, table.weight
        self.max_norm, self.norm_type, self.sparse = max_norm, norm_type, sparse
        self.scale_grad_by_freq, self.mode = scale_grad_by_freq, mode
        self.include_last_offset = include_last_offset

    def forward(
        self,
        input: SymbolicTensor,
        offsets: SymbolicTensor | None = None,
        per_sample_weights: SymbolicTensor | None = None,
    ) -> SymbolicTensor:
        """A row per bag."""
        return apply(
            "embedding_bag",
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """The table's shape and the mode, as in torch."""
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
