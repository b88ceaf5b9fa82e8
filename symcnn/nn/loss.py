"""Losses and distances; ``weight`` is a tensor of which only the shape counts, as
``symcnn.tensor("10")``.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, InitVar
from typing import Annotated, Any, ClassVar

from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import whole
from symcnn.nn.layer import Layer
from symcnn.trace.graph import Constant, SymbolicTensor, apply


class CosineSimilarity(Layer):
    """As `torch.nn.CosineSimilarity`."""

    dim: int = 1
    eps: float = 1e-8


class PairwiseDistance(Layer):
    """As `torch.nn.PairwiseDistance`."""

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False


def _buffer(value: Any, name: str) -> Constant | None:
    """A tensor that is not learned, from anything that has a shape."""
    if value is None:
        return None
    if not hasattr(value, "shape"):
        raise ShapeMismatch(f"{name}={value!r} is not a tensor", cure='give symcnn.tensor("10")')
    return Constant(tuple(whole(s, name) for s in value.shape), name=name)


Buffer = Annotated[Any, _buffer]
#: `size_average` and `reduce` are what torch once called `reduction`.
Old = InitVar[bool | None]


class _Loss(Layer):
    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")

    def __post_init__(self, size_average: bool | None = None, reduce: bool | None = None) -> None:
        if size_average is not None or reduce is not None:
            mean = size_average is None or size_average
            vars(self)["reduction"] = "none" if reduce is False else "mean" if mean else "sum"
        if (reduction := vars(self)["reduction"]) not in self.reductions:
            cure = f"one of {', '.join(self.reductions)}"
            raise ShapeMismatch(f"reduction={reduction!r}", cure=cure)
        super().__post_init__()


class _Plain(_Loss):
    size_average: Old = None
    reduce: Old = None
    reduction: str = "mean"


class L1Loss(_Plain):
    """As `torch.nn.L1Loss`.

    >>> L1Loss(reduction="none").trace("N C", "N 1").output_shape
    (N, C)
    """


class MSELoss(_Plain):
    """As `torch.nn.MSELoss`."""


class SmoothL1Loss(_Plain):
    """As `torch.nn.SmoothL1Loss`."""

    beta: float = 1.0

    def check(self) -> None:
        if self.beta < 0:
            raise ShapeMismatch(f"beta={self.beta}", cure="beta is not negative")


class HuberLoss(_Loss):
    """As `torch.nn.HuberLoss`."""

    reduction: str = "mean"
    delta: float = 1.0

    def check(self) -> None:
        if self.delta <= 0:
            raise ShapeMismatch(f"delta={self.delta}", cure="delta is positive")


class KLDivLoss(_Plain, op="kl_div"):
    """As `torch.nn.KLDivLoss`."""

    reductions = ("none", "mean", "sum", "batchmean")
    log_target: bool = False


class _Weighted(_Loss):
    weight: Buffer = None
    size_average: Old = None
    reduce: Old = None
    reduction: str = "mean"


class BCELoss(_Weighted, op="binary_cross_entropy"):
    """As `torch.nn.BCELoss`."""


class BCEWithLogitsLoss(_Weighted, op="binary_cross_entropy_with_logits"):
    """As `torch.nn.BCEWithLogitsLoss`."""

    pos_weight: Buffer = None


class _Classes(_Loss):
    weight: Buffer = None
    size_average: Old = None
    ignore_index: int = -100
    reduce: Old = None
    reduction: str = "mean"


class NLLLoss(_Classes):
    """As `torch.nn.NLLLoss`: the target is a class per place."""


class CrossEntropyLoss(_Classes, op="cross_entropy"):
    """As `torch.nn.CrossEntropyLoss`: the target is a class per place, or has the input's shape.

    >>> CrossEntropyLoss(reduction="none").trace("N 10 H W", "N H W").output_shape
    (N, H, W)
    """

    label_smoothing: float = 0.0

    def check(self) -> None:
        if self.label_smoothing > 1:  # below 0, torch does not smooth
            raise ShapeMismatch(f"label_smoothing={self.label_smoothing}", cure="it is at most 1")


class SoftMarginLoss(_Plain):
    """As `torch.nn.SoftMarginLoss`."""


class MultiLabelMarginLoss(_Plain, op="multilabel_margin_loss"):
    """As `torch.nn.MultiLabelMarginLoss`: one number per sample."""


class PoissonNLLLoss(_Loss):
    """As `torch.nn.PoissonNLLLoss`."""

    log_input: bool = True
    full: bool = False
    size_average: Old = None
    eps: float = 1e-8
    reduce: Old = None
    reduction: str = "mean"


class _Margin(_Loss):
    margin: float = 0.0
    size_average: Old = None
    reduce: Old = None
    reduction: str = "mean"


class HingeEmbeddingLoss(_Margin):
    """As `torch.nn.HingeEmbeddingLoss`."""

    margin: float = 1.0


class CosineEmbeddingLoss(_Margin):
    """As `torch.nn.CosineEmbeddingLoss`."""


class MarginRankingLoss(_Margin):
    """As `torch.nn.MarginRankingLoss`."""


class MultiLabelSoftMarginLoss(_Weighted, op="multilabel_soft_margin_loss"):
    """As `torch.nn.MultiLabelSoftMarginLoss`: one number per sample."""


class MultiMarginLoss(_Loss):
    """As `torch.nn.MultiMarginLoss`: one class per sample, `p` 1 or 2."""

    p: int = 1
    margin: float = 1.0
    weight: Buffer = None
    size_average: Old = None
    reduce: Old = None
    reduction: str = "mean"

    def check(self) -> None:
        if self.p not in (1, 2):
            raise ShapeMismatch(f"p={self.p}", cure="p is 1 or 2")
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeMismatch("the weight is not 1-d", cure="give one per class")


class TripletMarginLoss(_Loss):
    """As `torch.nn.TripletMarginLoss`.

    >>> TripletMarginLoss(reduction="none").trace("N 8", "N 8", "N 8").output_shape
    (N,)
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: Old = None
    reduce: Old = None
    reduction: str = "mean"

    def check(self) -> None:
        if self.margin <= 0:
            raise ShapeMismatch(f"margin={self.margin}", cure="the margin is positive")


class GaussianNLLLoss(_Loss):
    """As `torch.nn.GaussianNLLLoss`: `var` has the input's shape, or one number per sample."""

    _: KW_ONLY
    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"


class CTCLoss(_Loss):
    """As `torch.nn.CTCLoss`: `log_probs` is ``(time, batch, classes)``."""

    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False

    def forward(
        self,
        log_probs: SymbolicTensor,
        targets: SymbolicTensor,
        input_lengths: SymbolicTensor | Sequence[int],
        target_lengths: SymbolicTensor | Sequence[int],
    ) -> SymbolicTensor:
        """The loss of sequences of these lengths."""
        given = (log_probs, targets, input_lengths, target_lengths)
        return apply(self.op, *given, self.blank, self.reduction, self.zero_infinity)
