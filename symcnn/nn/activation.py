"""Activations and dropout: all keep the shape but GLU, which halves an axis.

Dropout does nothing in eval mode, which is what symcnn describes.
"""

from dataclasses import InitVar

from symcnn.errors import ShapeMismatch
from symcnn.nn.layer import Layer, Positive, Unused
from symcnn.ops.random import check_probability
from symcnn.ops.registry import require_rank
from symcnn.trace.graph import Parameter, SymbolicTensor, apply


class LogSigmoid(Layer, op="logsigmoid"):
    """As `torch.nn.LogSigmoid`."""


class Sigmoid(Layer):
    """As `torch.nn.Sigmoid`."""


class Softsign(Layer):
    """As `torch.nn.Softsign`."""


class Tanh(Layer):
    """As `torch.nn.Tanh`."""


class Tanhshrink(Layer):
    """As `torch.nn.Tanhshrink`."""


class _Inplace(Layer):
    inplace: bool = False


class Hardsigmoid(_Inplace):
    """As `torch.nn.Hardsigmoid`."""


class Hardswish(_Inplace):
    """As `torch.nn.Hardswish`."""


class Mish(_Inplace):
    """As `torch.nn.Mish`."""


class ReLU(_Inplace, op="relu"):
    """As `torch.nn.ReLU`."""


class ReLU6(_Inplace, op="relu6"):
    """As `torch.nn.ReLU6`."""


class SELU(_Inplace):
    """As `torch.nn.SELU`."""


class SiLU(_Inplace, op="silu"):
    """As `torch.nn.SiLU`."""


class CELU(Layer):
    """As `torch.nn.CELU`."""

    alpha: float = 1.0
    inplace: bool = False


class ELU(Layer):
    """As `torch.nn.ELU`."""

    alpha: float = 1.0
    inplace: bool = False


class Hardshrink(Layer):
    """As `torch.nn.Hardshrink`."""

    lambd: float = 0.5


class Softshrink(Layer):
    """As `torch.nn.Softshrink`."""

    lambd: float = 0.5


class GELU(Layer):
    """As `torch.nn.GELU`."""

    approximate: str = "none"


class Hardtanh(Layer):
    """As `torch.nn.Hardtanh`; `min_value` and `max_value` are its old names for the bounds."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False
    min_value: InitVar[float | None] = None
    max_value: InitVar[float | None] = None

    def __post_init__(self, min_value: float | None, max_value: float | None) -> None:
        self.min_val = self.min_val if min_value is None else min_value
        self.max_val = self.max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise ShapeMismatch(f"max_val={self.max_val} is not above min_val={self.min_val}")


class LeakyReLU(Layer, op="leaky_relu"):
    """As `torch.nn.LeakyReLU`."""

    negative_slope: float = 0.01
    inplace: bool = False


class RReLU(Layer, op="rrelu"):
    """As `torch.nn.RReLU`."""

    lower: float = 1.0 / 8
    upper: float = 1.0 / 3
    inplace: bool = False


class Softplus(Layer):
    """As `torch.nn.Softplus`."""

    beta: float = 1.0
    threshold: float = 20.0


class Threshold(Layer):
    """As `torch.nn.Threshold`."""

    threshold: float
    value: float
    inplace: bool = False


class PReLU(Layer):
    """As `torch.nn.PReLU`: one learned slope, or one per channel."""

    num_parameters: Positive = 1
    init: float = 0.25
    device: Unused = None
    dtype: Unused = None

    def check(self) -> None:
        self.weight = Parameter((self.num_parameters,), "weight")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("prelu", input, self.weight)


class GLU(Layer):
    """As `torch.nn.GLU`: halves an axis.

    >>> GLU(dim=1).trace("N 64 H W").output_shape
    (N, 32, H, W)
    """

    dim: int = -1


class LogSoftmax(Layer):
    """As `torch.nn.LogSoftmax`."""

    dim: int | None = None


class Softmax(Layer):
    """As `torch.nn.Softmax`."""

    dim: int | None = None


class Softmin(Layer):
    """As `torch.nn.Softmin`."""

    dim: int | None = None


class Softmax2d(Layer, op="softmax"):
    """As `torch.nn.Softmax2d`: over the channels of a map."""

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Softmax over the channels."""
        require_rank(input, (3, 4), "Softmax2d")
        return apply("softmax", input, -3)


class _Dropout(Layer):
    p: float = 0.5
    inplace: bool = False
    shown = ("p",)

    def check(self) -> None:
        check_probability(self.p)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, in eval mode."""
        return apply(self.op, input, self.p, False)


class AlphaDropout(_Dropout):
    """As `torch.nn.AlphaDropout`."""


class Dropout(_Dropout):
    """As `torch.nn.Dropout`."""


class Dropout1d(_Dropout):
    """As `torch.nn.Dropout1d`."""


class Dropout2d(_Dropout):
    """As `torch.nn.Dropout2d`."""


class Dropout3d(_Dropout):
    """As `torch.nn.Dropout3d`."""


class FeatureAlphaDropout(_Dropout):
    """As `torch.nn.FeatureAlphaDropout`."""
