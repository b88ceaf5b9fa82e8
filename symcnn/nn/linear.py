"""Linear and Identity."""

from __future__ import annotations

from typing import Any

from symcnn.graph import OPS, Parameter
from symcnn.nn.hyper import positive
from symcnn.nn.module import Module

__all__ = ["Identity", "Linear"]


class Identity(Module):
    """As `torch.nn.Identity`: takes any arguments and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Linear(Module):
    """A fully connected layer, as `torch.nn.Linear`; features may be expressions.

    >>> from symcnn import C
    >>> net = Linear(49 * C, 10).trace("N 3136")
    >>> net.output_shape, net.params, str(net.nodes[0].result.requires[0])
    ((N, 10), 490*C + 10, '3136 == 49*C')
    """

    def __init__(
        self,
        in_features: Any,
        out_features: Any,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.in_features = positive(in_features, "in_features")
        self.out_features = positive(out_features, "out_features")
        self.weight = Parameter((self.out_features, self.in_features), "weight")
        self.bias = Parameter((self.out_features,), "bias") if bias else None

    def forward(self, input: Any) -> Any:
        """``input @ weight.T + bias`` over the last axis."""
        return OPS["linear"](input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The features, as in torch."""
        return f"in_features={self.in_features}, out_features={self.out_features}"
