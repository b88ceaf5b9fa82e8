"""Dropout: nothing happens in eval mode, which is what symcnn describes."""

from __future__ import annotations

from typing import ClassVar

from symcnn.nn.module import Module
from symcnn.ops.pointwise import check_probability
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    op: ClassVar[str]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        check_probability(p)
        self.p, self.inplace = p, inplace

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, in eval mode."""
        return apply(self.op, input, self.p, False)

    def extra_repr(self) -> str:
        """The probability, as in torch."""
        return f"p={self.p}"


class AlphaDropout(_Dropout):
    """As `torch.nn.AlphaDropout`."""

    op = "alpha_dropout"


class Dropout(_Dropout):
    """As `torch.nn.Dropout`."""

    op = "dropout"


class Dropout1d(_Dropout):
    """As `torch.nn.Dropout1d`."""

    op = "dropout1d"


class Dropout2d(_Dropout):
    """As `torch.nn.Dropout2d`."""

    op = "dropout2d"


class Dropout3d(_Dropout):
    """As `torch.nn.Dropout3d`."""

    op = "dropout3d"


class FeatureAlphaDropout(_Dropout):
    """As `torch.nn.FeatureAlphaDropout`."""

    op = "feature_alpha_dropout"
