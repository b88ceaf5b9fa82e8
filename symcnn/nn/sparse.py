"""Embedding: a learned row for every index, alone or summed up in bags."""

from typing import Any

from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import each
from symcnn.nn.layer import Layer, Positive, Unused
from symcnn.ops.registry import at_least
from symcnn.trace.graph import Parameter, SymbolicTensor, apply


def _row(index: int | None, rows: Int) -> int | None:
    """The number of a row, counted from the front."""
    if index is None:
        return None
    at_least("padding_idx", (index + rows,), 0)
    at_least("num_embeddings", (rows - index,), 1)
    return index if index >= 0 else index + rows  # type: ignore[return-value]


def _table(shape: tuple[Int, ...], weight: Any, *, trainable: bool = True) -> Parameter:
    """A row for every index; a weight that is given has this shape."""
    if weight is not None and each(tuple(weight.shape), "_weight") != shape:
        raise ShapeMismatch(f"_weight has shape {tuple(weight.shape)}, not {shape}")
    return Parameter(shape, "weight", trainable=trainable)


class Embedding(Layer):
    """As `torch.nn.Embedding`; of `_weight` only the shape counts.

    >>> net = Embedding(1000, 64).trace("N L")
    >>> net.output_shape, net.params
    ((N, L, 64), 64000)
    """

    num_embeddings: Positive
    embedding_dim: Positive
    padding_idx: Any = None
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    sparse: bool = False
    _weight: Any = None
    _freeze: bool = False
    device: Unused = None
    dtype: Unused = None
    bare = ("num_embeddings", "embedding_dim")

    def check(self) -> None:
        self.padding_idx = _row(self.padding_idx, self.num_embeddings)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = _table(shape, self._weight, trainable=not self._freeze)
        self._weight = None

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """A row of the table per index."""
        return apply("embedding", input, self.weight)


class EmbeddingBag(Layer):
    """As `torch.nn.EmbeddingBag`: rows of the table summed up, a bag per row of the input.

    >>> EmbeddingBag(1000, 64).trace("N L").output_shape
    (N, 64)
    """

    num_embeddings: Positive
    embedding_dim: Positive
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    mode: str = "mean"
    sparse: bool = False
    _weight: Any = None
    include_last_offset: bool = False
    padding_idx: Any = None
    device: Unused = None
    dtype: Unused = None
    bare, shown = ("num_embeddings", "embedding_dim"), ("mode",)

    def check(self) -> None:
        self.padding_idx = _row(self.padding_idx, self.num_embeddings)
        self.weight = _table((self.num_embeddings, self.embedding_dim), self._weight)
        self._weight = None

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
