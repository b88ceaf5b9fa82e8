"""Pooling layers; the windows, and what they ask of a size, are `symcnn.ops.pool`'s."""

from collections.abc import Sequence
from typing import Annotated, Any

from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import each, repeated, same_pads
from symcnn.nn.layer import Each, Layer
from symcnn.ops.registry import ntuple
from symcnn.trace.graph import SymbolicTensor, apply


def _padding(padding: Any, name: str) -> Any:
    """Numbers, or TensorFlow's words."""
    return padding if padding in ("SAME", "VALID") else each(padding, name)


def _shown(pool: Any) -> str:
    """Kernel and stride, and the rest where it is not the default."""
    shown = f"kernel_size={pool.kernel_size}, stride={pool.stride or pool.kernel_size}"
    for name, default in (("padding", 0), ("dilation", 1), ("ceil_mode", False)):
        if getattr(pool, name, default) != default:
            shown += f", {name}={getattr(pool, name)}"
    return shown


class _Pool(Layer):
    kernel_size: Each
    stride: Each = None
    padding: Annotated[Any, _padding] = 0
    extra_repr = _shown

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """What is made of each window; the padding of TensorFlow's SAME comes before."""
        named = self.padding in ("SAME", "VALID")
        if self.padding == "SAME":
            kernel = repeated(self.kernel_size, self.n, "kernel_size")
            stride = kernel if self.stride is None else repeated(self.stride, self.n, "stride")
            dilation = repeated(getattr(self, "dilation", 1), self.n, "dilation")
            extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
            input = apply("pad", input, same_pads(input.dims[-self.n :], extents, stride))
        pooled: SymbolicTensor = super().forward(input, padding=0 if named else self.padding)
        return pooled


class _MaxPool(_Pool):
    dilation: Each = 1
    return_indices: bool = False
    ceil_mode: bool = False


class MaxPool1d(_MaxPool):
    """1-D max pooling, as `torch.nn.MaxPool1d`."""


class MaxPool2d(_MaxPool):
    """2-D max pooling, as `torch.nn.MaxPool2d`.

    >>> MaxPool2d(3, stride=2, padding=1).trace("N 64 H W").output_shape
    (N, 64, (H + 1)//2, (W + 1)//2)
    >>> MaxPool2d(3, stride=2, ceil_mode=True).trace("N 64 H W").output_shape
    (N, 64, H//2, W//2)
    >>> MaxPool2d(3, stride=2, padding="SAME").trace("N 64 H W").output_shape
    (N, 64, (H + 1)//2, (W + 1)//2)
    """


class MaxPool3d(_MaxPool):
    """3-D max pooling, as `torch.nn.MaxPool3d`."""


class _MaxUnpool(_Pool):
    padding: Each = 0

    def forward(  # type: ignore[override]
        self,
        input: SymbolicTensor,
        indices: SymbolicTensor,
        output_size: Sequence[Int] | None = None,
    ) -> SymbolicTensor:
        """The values back in the places where a max pool found them, zeros elsewhere."""
        window = (self.kernel_size, self.stride, self.padding)
        return apply(self.op, input, indices, *window, output_size)


class MaxUnpool1d(_MaxUnpool):
    """The inverse of 1-D max pooling, as `torch.nn.MaxUnpool1d`."""


class MaxUnpool2d(_MaxUnpool):
    """The inverse of 2-D max pooling, as `torch.nn.MaxUnpool2d`.

    >>> MaxUnpool2d(2).trace("N 64 H W", "N 64 H W").output_shape
    (N, 64, 2*H, 2*W)
    """


class MaxUnpool3d(_MaxUnpool):
    """The inverse of 3-D max pooling, as `torch.nn.MaxUnpool3d`."""


class AvgPool1d(_Pool):
    """1-D average pooling, as `torch.nn.AvgPool1d`."""

    ceil_mode: bool = False
    count_include_pad: bool = True


class _AvgPool(_Pool):
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: Each = None


class AvgPool2d(_AvgPool):
    """2-D average pooling, as `torch.nn.AvgPool2d`."""


class AvgPool3d(_AvgPool):
    """3-D average pooling, as `torch.nn.AvgPool3d`."""


class _LPPool(Layer):
    norm_type: float
    kernel_size: Each
    stride: Each = None
    ceil_mode: bool = False
    extra_repr = _shown


class LPPool1d(_LPPool):
    """1-D power-average pooling, as `torch.nn.LPPool1d`."""


class LPPool2d(_LPPool):
    """2-D power-average pooling, as `torch.nn.LPPool2d`."""


class LPPool3d(_LPPool):
    """3-D power-average pooling, as `torch.nn.LPPool3d`."""


class _AdaptiveAvgPool(Layer):
    output_size: Each
    shown = ("output_size",)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """1-D average pooling to a given size, as `torch.nn.AdaptiveAvgPool1d`."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """2-D average pooling to a given size, as `torch.nn.AdaptiveAvgPool2d`; None keeps an axis.

    >>> AdaptiveAvgPool2d((7, None)).trace("N 512 H W").output_shape
    (N, 512, 7, W)
    """


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """3-D average pooling to a given size, as `torch.nn.AdaptiveAvgPool3d`; None keeps an axis."""


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    return_indices: bool = False


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """1-D max pooling to a given size, as `torch.nn.AdaptiveMaxPool1d`."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """2-D max pooling to a given size, as `torch.nn.AdaptiveMaxPool2d`; None keeps an axis."""


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """3-D max pooling to a given size, as `torch.nn.AdaptiveMaxPool3d`; None keeps an axis."""


class _FractionalMaxPool(Layer):
    kernel_size: Each
    output_size: Each = None
    output_ratio: Any = None
    return_indices: bool = False
    _random_samples: Any = None

    def __post_init__(self) -> None:
        if (self.output_size is None) == (self.output_ratio is None):
            raise ShapeMismatch("give either output_size or output_ratio")
        super().__post_init__()

    def check(self) -> None:
        ratio = self.output_ratio
        ratios = ratio if isinstance(ratio, (tuple, list)) else (ratio,)
        if ratio is not None and not all(0 < r < 1 for r in ratios):
            raise ShapeMismatch(f"output_ratio={ratio}", cure="it is between 0 and 1")
        self.output_ratio = None if ratio is None else ntuple(ratios, self.n, "output_ratio")


class FractionalMaxPool2d(_FractionalMaxPool):
    """2-D fractional max pooling, as `torch.nn.FractionalMaxPool2d`.

    >>> FractionalMaxPool2d(3, output_ratio=0.5).trace("N 8 H W").output_shape
    (N, 8, H//2, W//2)
    """


class FractionalMaxPool3d(_FractionalMaxPool):
    """3-D fractional max pooling, as `torch.nn.FractionalMaxPool3d`."""
