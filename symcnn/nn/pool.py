"""Pooling layers; the windows, and what they ask of a size, are `symcnn.ops.pool`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import each, repeated, same_pads
from symcnn.nn.module import Module
from symcnn.ops.registry import ntuple
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


def _padding(padding: Any) -> Any:
    """Numbers, or TensorFlow's words."""
    return padding if padding in ("SAME", "VALID") else each(padding, "padding")


class _Pool(Module):
    n: ClassVar[int]
    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool

    def _padded(self, input: Any) -> tuple[Any, Any]:
        """What is pooled, and the padding that is left to do: TensorFlow's SAME comes before."""
        padding: Any = self.padding
        if padding not in ("SAME", "VALID"):
            return input, padding
        if padding == "SAME":
            kernel = repeated(self.kernel_size, self.n, "kernel_size")
            stride = kernel if self.stride is None else repeated(self.stride, self.n, "stride")
            dilation = repeated(getattr(self, "dilation", 1), self.n, "dilation")
            extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
            input = apply("pad", input, same_pads(input.dims[-self.n :], extents, stride))
        return input, 0

    def extra_repr(self) -> str:
        """Kernel and stride, and the rest where it is not the default."""
        shown = f"kernel_size={self.kernel_size}, stride={self.stride or self.kernel_size}"
        for name, default in (("padding", 0), ("dilation", 1), ("ceil_mode", False)):
            if getattr(self, name, default) != default:
                shown += f", {name}={getattr(self, name)}"
        return shown


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride = each(kernel_size, "kernel_size"), each(stride, "stride")
        self.padding, self.dilation = _padding(padding), each(dilation, "dilation")
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The largest value in each window, and where it was if `return_indices`."""
        input, padding = self._padded(input)
        return apply(
            f"max_pool{self.n}d",
            input,
            self.kernel_size,
            self.stride,
            padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool1d(_MaxPool):
    """1-D max pooling, as `torch.nn.MaxPool1d`."""

    n = 1


class MaxPool2d(_MaxPool):
    """2-D max pooling, as `torch.nn.MaxPool2d`.

    >>> MaxPool2d(3, stride=2, padding=1).trace("N 64 H W").output_shape
    (N, 64, (H + 1)//2, (W + 1)//2)
    >>> MaxPool2d(3, stride=2, ceil_mode=True).trace("N 64 H W").output_shape
    (N, 64, H//2, W//2)
    >>> MaxPool2d(3, stride=2, padding="SAME").trace("N 64 H W").output_shape
    (N, 64, (H + 1)//2, (W + 1)//2)
    """

    n = 2


class MaxPool3d(_MaxPool):
    """3-D max pooling, as `torch.nn.MaxPool3d`."""

    n = 3


class _MaxUnpool(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        self.kernel_size, self.stride = each(kernel_size, "kernel_size"), each(stride, "stride")
        self.padding = each(padding, "padding")

    def forward(
        self,
        input: SymbolicTensor,
        indices: SymbolicTensor,
        output_size: Sequence[Int] | None = None,
    ) -> SymbolicTensor:
        """The values back in the places where a max pool found them, zeros elsewhere."""
        return apply(
            f"max_unpool{self.n}d",
            input,
            indices,
            self.kernel_size,
            self.stride,
            self.padding,
            output_size,
        )


class MaxUnpool1d(_MaxUnpool):
    """The inverse of 1-D max pooling, as `torch.nn.MaxUnpool1d`."""

    n = 1


class MaxUnpool2d(_MaxUnpool):
    """The inverse of 2-D max pooling, as `torch.nn.MaxUnpool2d`.

    >>> MaxUnpool2d(2).trace("N 64 H W", "N 64 H W").output_shape
    (N, 64, 2*H, 2*W)
    """

    n = 2


class MaxUnpool3d(_MaxUnpool):
    """The inverse of 3-D max pooling, as `torch.nn.MaxUnpool3d`."""

    n = 3


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> None:
        self.kernel_size, self.stride = each(kernel_size, "kernel_size"), each(stride, "stride")
        self.padding = _padding(padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = each(divisor_override, "divisor_override")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The mean of each window."""
        input, padding = self._padded(input)
        return apply(
            f"avg_pool{self.n}d",
            input,
            self.kernel_size,
            self.stride,
            padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool1d(_AvgPool):
    """1-D average pooling, as `torch.nn.AvgPool1d`."""

    n = 1

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """2-D average pooling, as `torch.nn.AvgPool2d`."""

    n = 2


class AvgPool3d(_AvgPool):
    """3-D average pooling, as `torch.nn.AvgPool3d`."""

    n = 3


class _LPPool(_Pool):
    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type, self.ceil_mode = norm_type, ceil_mode
        self.kernel_size, self.stride = each(kernel_size, "kernel_size"), each(stride, "stride")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The power mean of each window."""
        return apply(
            f"lp_pool{self.n}d",
            input,
            self.norm_type,
            self.kernel_size,
            self.stride,
            self.ceil_mode,
        )


class LPPool1d(_LPPool):
    """1-D power-average pooling, as `torch.nn.LPPool1d`."""

    n = 1


class LPPool2d(_LPPool):
    """2-D power-average pooling, as `torch.nn.LPPool2d`."""

    n = 2


class LPPool3d(_LPPool):
    """3-D power-average pooling, as `torch.nn.LPPool3d`."""

    n = 3


class _Adaptive(Module):
    n: ClassVar[int]
    output_size: Any

    def extra_repr(self) -> str:
        """The output size, as in torch."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_Adaptive):
    def __init__(self, output_size: Any) -> None:
        self.output_size = each(output_size, "output_size")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Means over as many windows as outputs are asked for."""
        return apply(f"adaptive_avg_pool{self.n}d", input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """1-D average pooling to a given size, as `torch.nn.AdaptiveAvgPool1d`."""

    n = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """2-D average pooling to a given size, as `torch.nn.AdaptiveAvgPool2d`; None keeps an axis.

    >>> AdaptiveAvgPool2d((7, None)).trace("N 512 H W").output_shape
    (N, 512, 7, W)
    """

    n = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """3-D average pooling to a given size, as `torch.nn.AdaptiveAvgPool3d`; None keeps an axis."""

    n = 3


class _AdaptiveMaxPool(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = each(output_size, "output_size"), return_indices

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Maxima over as many windows as outputs are asked for."""
        return apply(f"adaptive_max_pool{self.n}d", input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """1-D max pooling to a given size, as `torch.nn.AdaptiveMaxPool1d`."""

    n = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """2-D max pooling to a given size, as `torch.nn.AdaptiveMaxPool2d`; None keeps an axis."""

    n = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """3-D max pooling to a given size, as `torch.nn.AdaptiveMaxPool3d`; None keeps an axis."""

    n = 3


class _FractionalMaxPool(Module):
    n: ClassVar[int]

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        if (output_size is None) == (output_ratio is None):
            raise ShapeMismatch("give either output_size or output_ratio")
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,)
        if output_ratio is not None and not all(0 < ratio < 1 for ratio in ratios):
            raise ShapeMismatch(f"output_ratio={output_ratio}", cure="it is between 0 and 1")
        self.kernel_size = each(kernel_size, "kernel_size")
        self.output_size = each(output_size, "output_size")
        self.output_ratio = None if output_ratio is None else ntuple(ratios, self.n, "output_ratio")
        self.return_indices, self._random_samples = return_indices, _random_samples

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """Maxima over windows that start at random places."""
        return apply(
            f"fractional_max_pool{self.n}d",
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """2-D fractional max pooling, as `torch.nn.FractionalMaxPool2d`.

    >>> FractionalMaxPool2d(3, output_ratio=0.5).trace("N 8 H W").output_shape
    (N, 8, H//2, W//2)
    """

    n = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """3-D fractional max pooling, as `torch.nn.FractionalMaxPool3d`."""

    n = 3
