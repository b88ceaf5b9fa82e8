"""Linear, Bilinear and Identity."""

from __future__ import annotations

from typing import Any

from symcnn.nn.hyper import positive
from symcnn.nn.module import Module
from symcnn.trace.graph import Parameter, SymbolicTensor, apply

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """As `torch.nn.Identity`: takes any arguments and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
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

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """``input @ weight.T + bias`` over the last axis."""
        return apply("linear", input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The features, as in torch."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class Bilinear(Module):
    """As `torch.nn.Bilinear`: a product of two inputs per output feature.

    >>> net = Bilinear(20, 30, 40).trace("N 20", "N 30")
    >>> net.output_shape, net.params
    ((N, 40), 24040)
    """

    def __init__(
        self,
        in1_features: Any,
        in2_features: Any,
        out_features: Any,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.in1_features = positive(in1_features, "in1_features")
        self.in2_features = positive(in2_features, "in2_features")
        self.out_features = positive(out_features, "out_features")
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(shape, "weight")
        self.bias = Parameter((self.out_features,), "bias") if bias else None

    def forward(self, input1: SymbolicTensor, input2: SymbolicTensor) -> SymbolicTensor:
        """``input1 @ weight[o] @ input2 + bias[o]`` over the last axes."""
        return apply("bilinear", input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The features, as in torch."""
        features = f"in1_features={self.in1_features}, in2_features={self.in2_features}"
        return f"{features}, out_features={self.out_features}"
