"""Convolutions and transposed convolutions; the shapes come from `symcnn.ops.conv`."""

from typing import Any

from symcnn.algebra.size import Int, floordiv
from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import repeated, same_crop, same_pads, shared
from symcnn.nn.layer import Layer, Positive, Unused
from symcnn.ops.conv import group_channels
from symcnn.ops.registry import at_least, ntuple
from symcnn.trace.graph import Parameter, SymbolicTensor, apply


class _Conv(Layer):
    in_channels: Positive
    out_channels: Positive
    kernel_size: Any
    stride: Any = 1
    padding: Any = 0

    def _read(self, dilation: Any, padding_mode: str) -> tuple[Int, ...]:
        """One number per axis, where torch takes one or several; the dilation is returned."""
        self.kernel_size = repeated(self.kernel_size, self.n, "kernel_size")
        self.stride = repeated(self.stride, self.n, "stride")
        dilations = repeated(dilation, self.n, "dilation")
        if len(self.kernel_size) != self.n:
            raise ShapeMismatch(
                f"kernel_size={self.kernel_size}", cure=f"give one number, or {self.n}"
            )
        if not isinstance(self.padding, str):
            self.padding = repeated(self.padding, self.n, "padding")
            if padding_mode == "zeros":  # the other modes crop where a pad is negative
                at_least("padding", self.padding, 0)
        elif self.padding not in ("same", "valid", "SAME", "VALID"):
            raise ShapeMismatch(
                f"padding={self.padding!r}",
                cure='"same", "valid", numbers, or TensorFlow\'s "SAME"',
            )
        elif self.padding == "same" and any(s != 1 for s in self.stride):
            raise ShapeMismatch(
                f'padding="same" needs stride 1, not {self.stride}',
                cure='padding="SAME" is TensorFlow\'s, for any stride',
            )
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ShapeMismatch(
                f"padding_mode={padding_mode!r}", cure="zeros, reflect, replicate or circular"
            )
        at_least("kernel_size", self.kernel_size, 1)
        at_least("stride", self.stride, 1)
        at_least("dilation", dilations, 1)
        return dilations

    def _learned(self, outer: Int, inner: Int) -> None:
        """The weight and the bias, in this order."""
        self.weight = Parameter(shared(outer, inner, *self.kernel_size), "weight")
        bias = vars(self).pop("bias")
        self.bias = Parameter(shared(self.out_channels), "bias") if bias else None

    def _named(self, dilation: Any) -> tuple[list[Int], tuple[Int, ...]]:
        """Extents and strides, from which TensorFlow's SAME follows."""
        dilations = ntuple(dilation, self.n, "dilation")
        extents = [d * (k - 1) + 1 for d, k in zip(dilations, self.kernel_size, strict=True)]
        return extents, ntuple(self.stride, self.n, "stride")

    def extra_repr(self) -> str:
        """Channels and kernel, as in torch."""
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        for name, default in (("stride", (1,) * self.n), ("padding", (0,) * self.n)):
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)


_MODES = {"zeros": "constant"}


class _Convolution(_Conv):
    dilation: Any = 1
    groups: Positive = 1
    bias: Any = True
    padding_mode: str = "zeros"
    device: Unused = None
    dtype: Unused = None

    def check(self) -> None:
        self.dilation = self._read(self.dilation, self.padding_mode)
        per_group = group_channels(self.in_channels, self.groups, "in_channels")
        group_channels(self.out_channels, self.groups, "out_channels")
        self._learned(self.out_channels, per_group)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The convolution, after explicit padding for the modes other than zeros."""
        padding: Any = self.padding
        if padding in ("SAME", "VALID"):
            if padding == "SAME":
                pads = same_pads(input.dims[-self.n :], *self._named(self.dilation))
                input = apply(
                    "pad", input, pads, mode=_MODES.get(self.padding_mode, self.padding_mode)
                )
            padding = 0
        elif self.padding_mode != "zeros":
            input = apply("pad", input, self._pads(), mode=self.padding_mode)
            padding = 0
        tensors, placed = (input, self.weight, self.bias), (self.stride, padding, self.dilation)
        return apply(f"conv{self.n}d", *tensors, *placed, self.groups)

    def _pads(self) -> tuple[Int, ...]:
        """(left, right) per axis, the last axis first, as F.pad takes them."""
        if not isinstance(self.padding, str):
            return tuple(p for p in reversed(self.padding) for _ in range(2))
        pads: list[Int] = [0] * (2 * self.n)
        if self.padding == "same":  # a dilation for fewer axes pads those only, as in torch
            for i, (d, k) in enumerate(zip(self.dilation, self.kernel_size, strict=False), 1):
                total = d * (k - 1)
                pads[-2 * i] = floordiv(total, 2)
                pads[-2 * i + 1] = total - pads[-2 * i]
        return tuple(pads)


class Conv1d(_Convolution):
    """1-D convolution, as `torch.nn.Conv1d`."""


class Conv2d(_Convolution):
    """2-D convolution, as `torch.nn.Conv2d`; every hyperparameter may be a symbol.

    ``padding="SAME"`` is TensorFlow's: any stride, and the output has ``ceil(size/stride)``.

    >>> Conv2d(3, 64, 7, stride=2, padding=3).trace("N 3 H W").output_shape
    (N, 64, (H + 1)//2, (W + 1)//2)
    >>> Conv2d(3, 64, 3, stride=3, padding="SAME").trace("N 3 H W").output_shape
    (N, 64, (H + 2)//3, (W + 2)//3)
    """


class Conv3d(_Convolution):
    """3-D convolution, as `torch.nn.Conv3d`."""


class _Transposed(_Conv):
    output_padding: Any = 0
    groups: Positive = 1
    bias: Any = True
    dilation: Any = 1
    padding_mode: str = "zeros"
    device: Unused = None
    dtype: Unused = None

    def check(self) -> None:
        if self.padding_mode != "zeros":
            raise ShapeMismatch(
                f"padding_mode={self.padding_mode!r}",
                cure='transposed convolutions take "zeros" only',
            )
        if isinstance(self.padding, str) and self.padding not in ("SAME", "VALID"):
            raise ShapeMismatch(
                f"padding={self.padding!r}", cure='give numbers, or TensorFlow\'s "SAME"'
            )
        self.dilation = self._read(self.dilation, self.padding_mode)
        self.output_padding = repeated(self.output_padding, self.n, "output_padding")
        group_channels(self.in_channels, self.groups, "in_channels")
        per_group = group_channels(self.out_channels, self.groups, "out_channels")
        self._learned(self.in_channels, per_group)

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The transposed convolution."""
        named = isinstance(self.padding, str)
        padded = (0 if named else self.padding, self.output_padding)
        placed = (self.stride, *padded, self.groups, self.dilation)
        output = apply(f"conv_transpose{self.n}d", input, self.weight, self.bias, *placed)
        if self.padding != "SAME":
            return output
        return apply("pad", output, same_crop(*self._named(self.dilation)))


class ConvTranspose1d(_Transposed):
    """1-D transposed convolution, as `torch.nn.ConvTranspose1d`."""


class ConvTranspose2d(_Transposed):
    """2-D transposed convolution, as `torch.nn.ConvTranspose2d`.

    >>> ConvTranspose2d(8, 4, 2, stride=2).trace("N 8 H W").output_shape
    (N, 4, 2*H, 2*W)
    """


class ConvTranspose3d(_Transposed):
    """3-D transposed convolution, as `torch.nn.ConvTranspose3d`."""
