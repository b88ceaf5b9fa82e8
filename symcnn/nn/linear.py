"""Linear, Bilinear and Identity."""

from typing import Any

from symcnn.nn.layer import Layer, Positive, Unused
from symcnn.nn.module import Module
from symcnn.trace.graph import Parameter, SymbolicTensor, apply


class Identity(Module):
    """As `torch.nn.Identity`: takes any arguments and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input."""
        return input


class Linear(Layer):
    """A fully connected layer, as `torch.nn.Linear`; features may be expressions.

    >>> from symcnn import C
    >>> net = Linear(49 * C, 10).trace("N 3136")
    >>> net.output_shape, net.params, str(net.nodes[0].result.requires[0])
    ((N, 10), 490*C + 10, '3136 == 49*C')
    """

    in_features: Positive
    out_features: Positive
    bias: Any = True
    device: Unused = None
    dtype: Unused = None
    shown = ("in_features", "out_features")

    def check(self) -> None:
        self.weight = Parameter((self.out_features, self.in_features), "weight")
        self.bias = Parameter((self.out_features,), "bias") if self.bias else None

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """``input @ weight.T + bias`` over the last axis."""
        return apply("linear", input, self.weight, self.bias)


class Bilinear(Layer):
    """As `torch.nn.Bilinear`: a product of two inputs per output feature.

    >>> net = Bilinear(20, 30, 40).trace("N 20", "N 30")
    >>> net.output_shape, net.params
    ((N, 40), 24040)
    """

    in1_features: Positive
    in2_features: Positive
    out_features: Positive
    bias: Any = True
    device: Unused = None
    dtype: Unused = None
    shown = ("in1_features", "in2_features", "out_features")

    def check(self) -> None:
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(shape, "weight")
        self.bias = Parameter((self.out_features,), "bias") if self.bias else None

    def forward(self, input1: SymbolicTensor, input2: SymbolicTensor) -> SymbolicTensor:
        """``input1 @ weight[o] @ input2 + bias[o]`` over the last axes."""
        return apply("bilinear", input1, input2, self.weight, self.bias)
