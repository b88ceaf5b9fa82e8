"""Activations: all keep the shape but GLU, which halves an axis."""

from __future__ import annotations

from typing import Any, ClassVar

from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import positive
from symcnn.nn.module import Module
from symcnn.ops.registry import require_rank
from symcnn.trace.graph import Parameter, SymbolicTensor, apply

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Pointwise(Module):
    """An activation without hyperparameters; `op` is its name in `symcnn.ops`."""

    op: ClassVar[str]

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply(self.op, input)


class LogSigmoid(_Pointwise):
    """As `torch.nn.LogSigmoid`."""

    op = "logsigmoid"


class Sigmoid(_Pointwise):
    """As `torch.nn.Sigmoid`."""

    op = "sigmoid"


class Softsign(_Pointwise):
    """As `torch.nn.Softsign`."""

    op = "softsign"


class Tanh(_Pointwise):
    """As `torch.nn.Tanh`."""

    op = "tanh"


class Tanhshrink(_Pointwise):
    """As `torch.nn.Tanhshrink`."""

    op = "tanhshrink"


class _Inplace(_Pointwise):
    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


class Hardsigmoid(_Inplace):
    """As `torch.nn.Hardsigmoid`."""

    op = "hardsigmoid"


class Hardswish(_Inplace):
    """As `torch.nn.Hardswish`."""

    op = "hardswish"


class Mish(_Inplace):
    """As `torch.nn.Mish`."""

    op = "mish"


class ReLU(_Inplace):
    """As `torch.nn.ReLU`."""

    op = "relu"


class ReLU6(_Inplace):
    """As `torch.nn.ReLU6`."""

    op = "relu6"


class SELU(_Inplace):
    """As `torch.nn.SELU`."""

    op = "selu"


class SiLU(_Inplace):
    """As `torch.nn.SiLU`."""

    op = "silu"


class _Exponential(Module):
    op: ClassVar[str]

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply(self.op, input, self.alpha)


class CELU(_Exponential):
    """As `torch.nn.CELU`."""

    op = "celu"


class ELU(_Exponential):
    """As `torch.nn.ELU`."""

    op = "elu"


class _Shrink(Module):
    op: ClassVar[str]

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply(self.op, input, self.lambd)


class Hardshrink(_Shrink):
    """As `torch.nn.Hardshrink`."""

    op = "hardshrink"


class Softshrink(_Shrink):
    """As `torch.nn.Softshrink`."""

    op = "softshrink"


class GELU(Module):
    """As `torch.nn.GELU`."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("gelu", input, approximate=self.approximate)


class Hardtanh(Module):
    """As `torch.nn.Hardtanh`; `min_value` and `max_value` are its old names for the bounds."""

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise ShapeMismatch(f"max_val={self.max_val} is not above min_val={self.min_val}")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("hardtanh", input, self.min_val, self.max_val)


class LeakyReLU(Module):
    """As `torch.nn.LeakyReLU`."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("leaky_relu", input, self.negative_slope)


class RReLU(Module):
    """As `torch.nn.RReLU`."""

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("rrelu", input, self.lower, self.upper)


class Softplus(Module):
    """As `torch.nn.Softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("softplus", input, self.beta, self.threshold)


class Threshold(Module):
    """As `torch.nn.Threshold`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("threshold", input, self.threshold, self.value)


class PReLU(Module):
    """As `torch.nn.PReLU`: one learned slope, or one per channel."""

    def __init__(
        self, num_parameters: Any = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        self.num_parameters, self.init = positive(num_parameters, "num_parameters"), init
        self.weight = Parameter((self.num_parameters,), "weight")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation, point by point."""
        return apply("prelu", input, self.weight)


class GLU(Module):
    """As `torch.nn.GLU`: halves an axis.

    >>> GLU(dim=1).trace("N 64 H W").output_shape
    (N, 32, H, W)
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """One half of the axis, gated by the other."""
        return apply("glu", input, self.dim)


class _Along(Module):
    op: ClassVar[str]

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The activation along one axis."""
        return apply(self.op, input, self.dim)


class LogSoftmax(_Along):
    """As `torch.nn.LogSoftmax`."""

    op = "log_softmax"


class Softmax(_Along):
    """As `torch.nn.Softmax`."""

    op = "softmax"


class Softmin(_Along):
    """As `torch.nn.Softmin`."""

    op = "softmin"


class Softmax2d(Module):
    """As `torch.nn.Softmax2d`: over the channels of a map."""

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Softmax over the channels."""
        require_rank(input, (3, 4), "Softmax2d")
        return apply("softmax", input, -3)
