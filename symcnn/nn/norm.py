"""Normalisations, in eval mode: the shape stays, the channels must agree.

Where torch uses the statistics of the input even in eval mode (``track_running_stats=False``),
it asks for more than one value per channel there too; so do these layers.
"""

from dataclasses import KW_ONLY
from typing import Any

from symcnn.nn.hyper import positive, repeated
from symcnn.nn.layer import Layer, Positive, Unused, Whole
from symcnn.ops.conv import group_channels
from symcnn.ops.registry import at_least, require_rank
from symcnn.trace.graph import Constant, Parameter, SymbolicTensor, apply


class _PerChannel(Layer):
    """Weight and bias if `affine`, running statistics if tracked; each one value per channel."""

    num_features: Any
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    device: Unused = None
    dtype: Unused = None
    _: KW_ONLY
    bias: Any = True
    bare = ("num_features",)

    def check(self) -> None:
        biased = self.bias
        del self.bias  # parameters come in torch's order
        channels = self.num_features
        if self.affine or self.track_running_stats:  # else torch takes anything
            self.num_features = channels = positive(channels, "num_features")
        learned, tracked = self.affine, self.track_running_stats
        self.weight = Parameter((channels,), "weight") if learned else None
        self.bias = Parameter((channels,), "bias") if learned and biased else None
        self.running_mean = Constant((channels,), "running_mean", owned=True) if tracked else None
        self.running_var = Constant((channels,), "running_var", owned=True) if tracked else None

    def _normalized(self, input: SymbolicTensor) -> SymbolicTensor:
        tensors = (input, self.running_mean, self.running_var, self.weight, self.bias)
        momentum = 0.0 if self.momentum is None else self.momentum
        return apply(self.op, *tensors, not self.track_running_stats, momentum, self.eps)


class _BatchNorm(_PerChannel, op="batch_norm"):
    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, each channel scaled and shifted."""
        require_rank(input, (2, 3) if self.n == 1 else (self.n + 2,), type(self).__name__)
        return self._normalized(input)


class BatchNorm1d(_BatchNorm):
    """As `torch.nn.BatchNorm1d`."""


class BatchNorm2d(_BatchNorm):
    """As `torch.nn.BatchNorm2d`.

    >>> net = BatchNorm2d(64).trace("N 64 H W")
    >>> net.output_shape, net.params
    ((N, 64, H, W), 128)
    """


class BatchNorm3d(_BatchNorm):
    """As `torch.nn.BatchNorm3d`."""


class _InstanceNorm(_PerChannel, op="instance_norm"):
    affine: bool = False
    track_running_stats: bool = False

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The input, each channel of each image normalised; one image may come without batch."""
        require_rank(input, (self.n + 1, self.n + 2), type(self).__name__)
        if input.ndim == self.n + 2:
            return self._normalized(input)
        batch = apply("unsqueeze", input, 0)
        return apply("squeeze", self._normalized(batch), 0)


class InstanceNorm1d(_InstanceNorm):
    """As `torch.nn.InstanceNorm1d`."""


class InstanceNorm2d(_InstanceNorm):
    """As `torch.nn.InstanceNorm2d`."""


class InstanceNorm3d(_InstanceNorm):
    """As `torch.nn.InstanceNorm3d`."""


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
    bare = ("num_groups", "num_channels")

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


class _OverShape(Layer):
    """Normalisation over the last axes, which have `normalized_shape`."""

    normalized_shape: Any
    eps: float | None = None
    elementwise_affine: bool = True
    bare = ("normalized_shape",)

    def check(self) -> None:
        self.normalized_shape = repeated(self.normalized_shape, 1, "normalized_shape")
        at_least("normalized_shape", self.normalized_shape, 1)
        affine = self.elementwise_affine
        self.weight = Parameter(self.normalized_shape, "weight") if affine else None


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
    bare = ("size",)
