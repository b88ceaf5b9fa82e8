"""Layers that move elements about: between channels and pixels, between an image and patches."""

from __future__ import annotations

from typing import Any

from symcnn.nn.hyper import each, whole
from symcnn.nn.module import Module
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = ["ChannelShuffle", "Fold", "PixelShuffle", "PixelUnshuffle", "Unfold"]


class PixelShuffle(Module):
    """As `torch.nn.PixelShuffle`: channels become pixels.

    >>> PixelShuffle(2).trace("N 12 H W").output_shape
    (N, 3, 2*H, 2*W)
    """

    def __init__(self, upscale_factor: Any) -> None:
        self.upscale_factor = whole(upscale_factor, "upscale_factor")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Every ``r*r`` channels as one channel of blocks."""
        return apply("pixel_shuffle", input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor, as in torch."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """As `torch.nn.PixelUnshuffle`: pixels become channels.

    >>> net = PixelUnshuffle(2).trace("N 3 H W")
    >>> net.output_shape
    (N, 12, H/2, W/2)
    >>> print(net.valid_inputs().axis("H"))
    H % 2 == 0 and H >= 2
    """

    def __init__(self, downscale_factor: Any) -> None:
        self.downscale_factor = whole(downscale_factor, "downscale_factor")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Every block of ``r x r`` pixels as ``r*r`` channels."""
        return apply("pixel_unshuffle", input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor, as in torch."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """As `torch.nn.ChannelShuffle`."""

    def __init__(self, groups: Any) -> None:
        self.groups = whole(groups, "groups")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The channels, dealt out anew among the groups."""
        return apply("channel_shuffle", input, self.groups)

    def extra_repr(self) -> str:
        """The groups, as in torch."""
        return f"groups={self.groups}"


class _Patches(Module):
    def __init__(
        self,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        self.kernel_size, self.dilation = (
            each(kernel_size, "kernel_size"),
            each(dilation, "dilation"),
        )
        self.padding, self.stride = each(padding, "padding"), each(stride, "stride")

    def extra_repr(self) -> str:
        """All hyperparameters, as in torch."""
        return ", ".join(f"{name}={value}" for name, value in vars(self).items())


class Unfold(_Patches):
    """As `torch.nn.Unfold`: the patches of an image as columns.

    >>> Unfold(3, padding=1).trace("N 8 H W").output_shape
    (N, 72, H*W)
    """

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """A column per patch."""
        return apply("unfold", input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Patches):
    """As `torch.nn.Fold`: columns summed into an image of `output_size`."""

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        self.output_size = each(output_size, "output_size")
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The image whose patches are the columns."""
        return apply(
            "fold",
            input,
            self.output_size,
            self.kernel_size,
            self.dilation,
            self.padding,
            self.stride,
        )
