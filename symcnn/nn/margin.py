"""Losses by margins and distributions: several inputs, and one number per sample or element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcnn.errors import ShapeMismatch
from symcnn.nn.loss import _buffer, _Loss, _Weighted
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = [
    "CTCLoss",
    "CosineEmbeddingLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "PoissonNLLLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]


class SoftMarginLoss(_Loss):
    """As `torch.nn.SoftMarginLoss`."""

    op = "soft_margin_loss"


class MultiLabelMarginLoss(_Loss):
    """As `torch.nn.MultiLabelMarginLoss`: one number per sample."""

    op = "multilabel_margin_loss"


class PoissonNLLLoss(_Loss):
    """As `torch.nn.PoissonNLLLoss`."""

    op = "poisson_nll_loss"

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def options(self) -> dict[str, object]:
        """What the formula depends on; the shape does not."""
        return {"log_input": self.log_input, "full": self.full, "eps": self.eps}


class _Margin(_Loss):
    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def options(self) -> dict[str, object]:
        """The margin."""
        return {"margin": self.margin}


class HingeEmbeddingLoss(_Margin):
    """As `torch.nn.HingeEmbeddingLoss`."""

    op = "hinge_embedding_loss"

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)


class _Pair(_Margin):
    def forward(  # type: ignore[override]
        self, input1: SymbolicTensor, input2: SymbolicTensor, target: SymbolicTensor
    ) -> SymbolicTensor:
        """The loss of two inputs and what they should be to each other."""
        return apply(self.op, input1, input2, target, reduction=self.reduction, **self.options())


class CosineEmbeddingLoss(_Pair):
    """As `torch.nn.CosineEmbeddingLoss`."""

    op = "cosine_embedding_loss"


class MarginRankingLoss(_Pair):
    """As `torch.nn.MarginRankingLoss`."""

    op = "margin_ranking_loss"


class MultiLabelSoftMarginLoss(_Weighted):
    """As `torch.nn.MultiLabelSoftMarginLoss`: one number per sample."""

    op = "multilabel_soft_margin_loss"


class MultiMarginLoss(_Loss):
    """As `torch.nn.MultiMarginLoss`: one class per sample, `p` 1 or 2."""

    op = "multi_margin_loss"

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight = _buffer(weight, "weight")
        if p not in (1, 2):
            raise ShapeMismatch(f"p={p}", cure="p is 1 or 2")
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeMismatch("the weight is not 1-d", cure="give one per class")
        self.p, self.margin = p, margin

    def options(self) -> dict[str, object]:
        """Power, margin and weight."""
        return {"p": self.p, "margin": self.margin, "weight": self.weight}


class TripletMarginLoss(_Loss):
    """As `torch.nn.TripletMarginLoss`.

    >>> TripletMarginLoss(reduction="none").trace("N 8", "N 8", "N 8").output_shape
    (N,)
    """

    op = "triplet_margin_loss"

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ShapeMismatch(f"margin={margin}", cure="the margin is positive")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def options(self) -> dict[str, object]:
        """Margin, power, and whether the nearer of anchor and positive counts."""
        return {"margin": self.margin, "p": self.p, "eps": self.eps, "swap": self.swap}

    def forward(  # type: ignore[override]
        self, anchor: SymbolicTensor, positive: SymbolicTensor, negative: SymbolicTensor
    ) -> SymbolicTensor:
        """The loss of three inputs."""
        options = {"reduction": self.reduction, **self.options()}
        return apply(self.op, anchor, positive, negative, **options)


class GaussianNLLLoss(_Loss):
    """As `torch.nn.GaussianNLLLoss`: `var` has the input's shape, or one number per sample."""

    op = "gaussian_nll_loss"

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(  # type: ignore[override]
        self, input: SymbolicTensor, target: SymbolicTensor, var: SymbolicTensor
    ) -> SymbolicTensor:
        """The loss of an input, a target and variances."""
        return apply(
            self.op, input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """As `torch.nn.CTCLoss`: `log_probs` is ``(time, batch, classes)``."""

    op = "ctc_loss"

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(  # type: ignore[override]
        self,
        log_probs: SymbolicTensor,
        targets: SymbolicTensor,
        input_lengths: SymbolicTensor | Sequence[int],
        target_lengths: SymbolicTensor | Sequence[int],
    ) -> SymbolicTensor:
        """The loss of sequences of these lengths."""
        return apply(
            self.op,
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
