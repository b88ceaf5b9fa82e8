"""Losses; ``weight`` is a tensor of which only the shape counts, as ``symcnn.tensor("10")``."""

from __future__ import annotations

from typing import Any, ClassVar

from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import whole
from symcnn.nn.module import Module
from symcnn.trace.graph import Constant, SymbolicTensor, apply

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


def _buffer(value: Any, name: str) -> Constant | None:
    """A tensor that is not learned, from anything that has a shape."""
    if value is None:
        return None
    if not hasattr(value, "shape"):
        raise ShapeMismatch(f"{name}={value!r} is not a tensor", cure='give symcnn.tensor("10")')
    return Constant(tuple(whole(s, name) for s in value.shape), name=name)


class _Loss(Module):
    op: ClassVar[str]
    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        if size_average is not None or reduce is not None:  # the old names for it
            mean = size_average is None or size_average
            reduction = "none" if reduce is False else "mean" if mean else "sum"
        if reduction not in self.reductions:
            raise ShapeMismatch(
                f"reduction={reduction!r}", cure=f"one of {', '.join(self.reductions)}"
            )
        self.reduction = reduction

    def options(self) -> dict[str, object]:
        """What the loss passes on beside input, target and reduction."""
        return {}

    def forward(self, input: SymbolicTensor, target: SymbolicTensor) -> SymbolicTensor:
        """The loss: one number, unless ``reduction="none"``."""
        return apply(self.op, input, target, reduction=self.reduction, **self.options())


class L1Loss(_Loss):
    """As `torch.nn.L1Loss`.

    >>> L1Loss(reduction="none").trace("N C", "N 1").output_shape
    (N, C)
    """

    op = "l1_loss"


class MSELoss(_Loss):
    """As `torch.nn.MSELoss`."""

    op = "mse_loss"


class SmoothL1Loss(_Loss):
    """As `torch.nn.SmoothL1Loss`."""

    op = "smooth_l1_loss"

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if beta < 0:
            raise ShapeMismatch(f"beta={beta}", cure="beta is not negative")
        self.beta = beta

    def options(self) -> dict[str, object]:
        """Where the square ends and the line begins."""
        return {"beta": self.beta}


class HuberLoss(_Loss):
    """As `torch.nn.HuberLoss`."""

    op = "huber_loss"

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if delta <= 0:
            raise ShapeMismatch(f"delta={delta}", cure="delta is positive")
        self.delta = delta

    def options(self) -> dict[str, object]:
        """Where the square ends and the line begins."""
        return {"delta": self.delta}


class KLDivLoss(_Loss):
    """As `torch.nn.KLDivLoss`."""

    op = "kl_div"
    reductions = ("none", "mean", "sum", "batchmean")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def options(self) -> dict[str, object]:
        """Whether the target is a logarithm too."""
        return {"log_target": self.log_target}


class _Weighted(_Loss):
    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight = _buffer(weight, "weight")

    def options(self) -> dict[str, object]:
        """The weight."""
        return {"weight": self.weight}


class BCELoss(_Weighted):
    """As `torch.nn.BCELoss`."""

    op = "binary_cross_entropy"


class BCEWithLogitsLoss(_Weighted):
    """As `torch.nn.BCEWithLogitsLoss`."""

    op = "binary_cross_entropy_with_logits"

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.pos_weight = _buffer(pos_weight, "pos_weight")

    def options(self) -> dict[str, object]:
        """The weights, of all and of the positives."""
        return {"weight": self.weight, "pos_weight": self.pos_weight}


class NLLLoss(_Weighted):
    """As `torch.nn.NLLLoss`: the target is a class per place."""

    op = "nll_loss"

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def options(self) -> dict[str, object]:
        """The weight, and the class that does not count."""
        return {"weight": self.weight, "ignore_index": self.ignore_index}


class CrossEntropyLoss(_Weighted):
    """As `torch.nn.CrossEntropyLoss`: the target is a class per place, or has the input's shape.

    >>> CrossEntropyLoss(reduction="none").trace("N 10 H W", "N H W").output_shape
    (N, H, W)
    """

    op = "cross_entropy"

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if label_smoothing > 1:  # below 0, torch does not smooth
            raise ShapeMismatch(f"label_smoothing={label_smoothing}", cure="it is at most 1")
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def options(self) -> dict[str, object]:
        """The weight, the class that does not count, and the smoothing."""
        return {
            "weight": self.weight,
            "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing,
        }
