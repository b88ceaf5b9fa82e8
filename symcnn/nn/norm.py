"""Normalisations, in eval mode: the shape stays, the channels must agree.

Where torch uses the statistics of the input even in eval mode (``track_running_stats=False``),
it asks for more than one value per channel there too; so do these layers.
"""

from dataclasses import KW_ONLY
from typing import Any, ClassVar

from symcnn.nn.hyper import positive, repeated
from symcnn.nn.layer import Layer, Positive, Unused, Whole
from symcnn.nn.module import Module
from symcnn.ops.conv import group_channels
from symcnn.ops.registry import at_least, require_rank
from symcnn.trace.graph import Constant, Parameter, SymbolicTensor, apply

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class _PerChannel(Module):
    """Weight and bias if `affine`, running statistics if tracked; each one value per channel."""

    def __init__(
        self,
        num_features: Any,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        self.running_mean: Constant | None = None
        self.running_var: Constant | None = None
        if not affine and not track_running_stats:
            return  # num_features is not used: torch takes anything
        self.num_features = channels = positive(num_features, "num_features")
        if affine:
            self.weight = Parameter((channels,), "weight")
            self.bias = Parameter((channels,), "bias") if bias else None
        if track_running_stats:
            self.running_mean = Constant((channels,), "running_mean", owned=True)
            self.running_var = Constant((channels,), "running_var", owned=True)

    def _normalized(self, op: str, input: SymbolicTensor) -> SymbolicTensor:
        return apply(
            op,
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """The number of channels."""
        return f"{self.num_features}"


class _BatchNorm(_PerChannel):
    ranks: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: Any,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, each channel scaled and shifted."""
        require_rank(input, self.ranks, type(self).__name__)
        return self._normalized("batch_norm", input)


class BatchNorm1d(_BatchNorm):
    """As `torch.nn.BatchNorm1d`."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """As `torch.nn.BatchNorm2d`.

    >>> net = BatchNorm2d(64).trace("N 64 H W")
    >>> net.output_shape, net.params
    ((N, 64, H, W), 128)
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """As `torch.nn.BatchNorm3d`."""

    ranks = (5,)


class _InstanceNorm(_PerChannel):
    n: ClassVar[int]

    def __init__(
        self,
        num_features: Any,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, each channel of each image normalised; one image may come without batch."""
        require_rank(input, (self.n + 1, self.n + 2), type(self).__name__)
        if input.ndim == self.n + 2:
            return self._normalized("instance_norm", input)
        batch = apply("unsqueeze", input, 0)
        return apply("squeeze", self._normalized("instance_norm", batch), 0)


class InstanceNorm1d(_InstanceNorm):
    """As `torch.nn.InstanceNorm1d`."""

    n = 1


class InstanceNorm2d(_InstanceNorm):
    """As `torch.nn.InstanceNorm2d`."""

    n = 2


class InstanceNorm3d(_InstanceNorm):
    """As `torch.nn.InstanceNorm3d`."""

    n = 3


class GroupNorm(Layer):
    """As `torch.nn.GroupNorm`."""

    num_groups: Positive
    num_channels: Whole
    eps: float = 1e-5
    affine: bool = True
    device: Unused = None
    dtype: Unused = None
    _: KW_ONLY
    bias: Any = True

    def check(self) -> None:
        if self.affine:  # without weights only the division is checked
            at_least("num_channels", (self.num_channels,), 1)
        group_channels(self.num_channels, self.num_groups, "num_channels")
        self.weight = Parameter((self.num_channels,), "weight") if self.affine else None
        bias = self.affine and self.bias
        self.bias = Parameter((self.num_channels,), "bias") if bias else None

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, each group of channels normalised."""
        return apply("group_norm", input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Groups and channels, as in torch."""
        return f"{self.num_groups}, {self.num_channels}"


class _OverShape(Layer):
    """Normalisation over the last axes, which have `normalized_shape`."""

    normalized_shape: Any
    eps: float | None = None
    elementwise_affine: bool = True

    def check(self) -> None:
        self.normalized_shape = repeated(self.normalized_shape, 1, "normalized_shape")
        at_least("normalized_shape", self.normalized_shape, 1)
        affine = self.elementwise_affine
        self.weight = Parameter(self.normalized_shape, "weight") if affine else None

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}"


class LayerNorm(_OverShape):
    """As `torch.nn.LayerNorm`."""

    eps: float = 1e-5
    bias: Any = True
    device: Unused = None
    dtype: Unused = None

    def check(self) -> None:
        super().check()
        affine = self.elementwise_affine and self.bias
        self.bias = Parameter(self.normalized_shape, "bias") if affine else None

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, normalised over its last axes."""
        return apply("layer_norm", input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_OverShape):
    """As `torch.nn.RMSNorm`."""

    device: Unused = None
    dtype: Unused = None

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, divided by its root mean square over the last axes."""
        return apply("rms_norm", input, self.normalized_shape, self.weight, self.eps)


class LocalResponseNorm(Layer):
    """As `torch.nn.LocalResponseNorm`: the input, damped by its neighbouring channels."""

    size: Whole
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def extra_repr(self) -> str:
        return f"{self.size}"
