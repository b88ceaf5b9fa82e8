"""Layers that move elements about or resize: channels and pixels, images and patches, axes."""

from typing import Annotated, Any

from symcnn.errors import ShapeMismatch
from symcnn.lazy import sympy
from symcnn.nn.hyper import whole
from symcnn.nn.layer import Each, Layer, Whole
from symcnn.trace.graph import SymbolicTensor, apply


class PixelShuffle(Layer):
    """As `torch.nn.PixelShuffle`: channels become pixels.

    >>> PixelShuffle(2).trace("N 12 H W").output_shape
    (N, 3, 2*H, 2*W)
    """

    upscale_factor: Whole
    shown = ("upscale_factor",)


class PixelUnshuffle(Layer):
    """As `torch.nn.PixelUnshuffle`: pixels become channels.

    >>> net = PixelUnshuffle(2).trace("N 3 H W")
    >>> net.output_shape
    (N, 12, H/2, W/2)
    >>> print(net.valid_inputs().axis("H"))
    H % 2 == 0 and H >= 2
    """

    downscale_factor: Whole
    shown = ("downscale_factor",)


class ChannelShuffle(Layer):
    """As `torch.nn.ChannelShuffle`: the channels, dealt out anew among the groups."""

    groups: Whole
    shown = ("groups",)


class Unfold(Layer):
    """As `torch.nn.Unfold`: the patches of an image as columns.

    >>> Unfold(3, padding=1).trace("N 8 H W").output_shape
    (N, 72, H*W)
    """

    kernel_size: Each
    dilation: Each = 1
    padding: Each = 0
    stride: Each = 1
    shown = ("kernel_size", "dilation", "padding", "stride")


class Fold(Layer):
    """As `torch.nn.Fold`: columns summed into an image of `output_size`."""

    output_size: Each
    kernel_size: Each
    dilation: Each = 1
    padding: Each = 0
    stride: Each = 1
    shown = ("output_size", "kernel_size", "dilation", "padding", "stride")


class Flatten(Layer):
    """As `torch.nn.Flatten`: some axes as one, all but the batch by default.

    >>> Flatten().trace("N 512 H W").output_shape
    (N, 512*H*W)
    """

    start_dim: int = 1
    end_dim: int = -1
    shown = ("start_dim", "end_dim")


class Unflatten(Layer):
    """As `torch.nn.Unflatten`: one axis as several; one size may be -1.

    >>> Unflatten(1, (16, -1)).trace("N 64 H").output_shape
    (N, 16, 4, H)
    """

    dim: int
    unflattened_size: Each
    shown = ("dim", "unflattened_size")

    def check(self) -> None:
        if not isinstance(self.unflattened_size, tuple):
            raise ShapeMismatch(f"unflattened_size={self.unflattened_size!r}", cure="give a tuple")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The axis `dim` as several."""
        return apply("unflatten", input, self.dim, self.unflattened_size)


def _factors(value: Any, name: str) -> Any:
    """A factor, one per axis, or None."""
    if isinstance(value, tuple):
        return tuple(_factor(v, name) for v in value)
    return _factor(value, name) if value else None


def _factor(value: Any, name: str) -> Any:
    if isinstance(value, sympy.Basic) and value.free_symbols:
        return whole(value, name)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ShapeMismatch(
            f"{name}={value!r} is not a number", cure="give a number, or a tuple of them"
        ) from None


class Upsample(Layer, op="interpolate"):
    """As `torch.nn.Upsample`: to a size, or by a factor.

    >>> Upsample(scale_factor=2).trace("N 8 H W").output_shape
    (N, 8, 2*H, 2*W)
    """

    size: Each = None
    scale_factor: Annotated[Any, _factors] = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def extra_repr(self) -> str:
        """Size or factor, and the mode, as in torch."""
        what = "size" if self.scale_factor is None else "scale_factor"
        return f"{what}={getattr(self, what)}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """As `torch.nn.UpsamplingNearest2d`."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """As `torch.nn.UpsamplingBilinear2d`."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
