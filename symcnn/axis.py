"""Axis maps: what a layer does to one axis, forwards (sizes) and backwards (who reads whom).

The heart is one law. A window (convolution, pooling, padding, cropping) is four numbers, and
**a window after a window is a window**, so a whole chain of layers is one `Window`: its extent is
the receptive field, its stride the effective stride, its pads the effective padding, and its
`size` the closed form of the output size.

Maps work on ints and on sympy expressions alike, for sizes and hyperparameters::

    >>> from symcnn import H
    >>> stem = Window.conv(7, stride=2, padding=3).then(Window.conv(3, stride=2, padding=1))
    >>> stem
    Window(extent=11, stride=4, left=5, right=5)
    >>> stem.size(H), stem.size(224), stem.pullback(0, 0)
    ((H + 3)//4, 56, (-5, 5))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from symcnn.errors import Undecidable
from symcnn.expr import ceildiv, floordiv, maximum, minimum, scaled

__all__ = [
    "IDENTITY",
    "Adaptive",
    "AxisMap",
    "Chain",
    "Const",
    "Identity",
    "Resample",
    "Scatter",
    "Whole",
    "Window",
]

Number = Any  # int, symcnn.size.Size or sympy.Expr: the maps do not care


class AxisMap(ABC):
    """One axis through one layer."""

    @abstractmethod
    def size(self, x: Number) -> Number:
        """The output size for the input size `x`."""

    @abstractmethod
    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        """First and last input index that the outputs `i` to `j` can read, before clipping.

        `x` is the input size, for maps whose answer depends on it.
        """

    def requires(self, x: Number) -> tuple[Number, Number] | None:
        """The map is defined where ``lhs >= rhs``; None: everywhere."""
        return None

    def then(self, other: AxisMap) -> AxisMap:
        """This map followed by `other`; windows fuse."""
        return Chain.of(self, other)


@dataclass(frozen=True, slots=True)
class Window(AxisMap):
    """A sliding window of `extent`, moved by `stride`, over an axis padded `left` and `right`.

    Convolution and pooling with dilation (extent ``d*(k - 1) + 1``), padding (extent and stride 1),
    cropping (negative pads), slicing with a step. Size ``floor((x + left + right - extent)/stride)
    + 1``; source: the torch documentation of Conv2d.
    """

    extent: Number
    stride: Number = 1
    left: Number = 0
    right: Number = 0

    @classmethod
    def conv(
        cls,
        kernel_size: Number,
        stride: Number = 1,
        padding: Number = 0,
        dilation: Number = 1,
        *,
        ceil_mode: bool = False,
    ) -> Window:
        """The window of a convolution or pooling layer, in torch's words.

        ``ceil_mode=True`` is floor mode with right pad ``min(extent - 1, padding + stride - 1)``
        (the ceil law), torch's rule that the last window starts inside the padded input included.

        >>> Window.conv(3, stride=2, ceil_mode=True)
        Window(extent=3, stride=2, left=0, right=1)
        """
        extent = dilation * (kernel_size - 1) + 1
        right = minimum(extent - 1, padding + stride - 1) if ceil_mode else padding
        return cls(extent, stride, padding, right)

    @classmethod
    def same(cls, kernel_size: Number, dilation: Number = 1) -> Window:
        """``padding="same"``: the odd pixel, for even kernels, goes right.

        >>> Window.same(4)
        Window(extent=4, stride=1, left=1, right=2)
        """
        total = dilation * (kernel_size - 1)
        left = floordiv(total, 2)
        return cls(total + 1, 1, left, total - left)

    def size(self, x: Number) -> Number:
        return floordiv(x + (self.left + self.right - self.extent), self.stride) + 1

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        return self.stride * i - self.left, self.stride * j - self.left + self.extent - 1

    def requires(self, x: Number) -> tuple[Number, Number] | None:
        return x + (self.left + self.right), self.extent

    def then(self, other: AxisMap) -> AxisMap:
        if not isinstance(other, Window):
            return Chain.of(self, other)
        return Window(
            self.extent + self.stride * (other.extent - 1),
            self.stride * other.stride,
            self.left + self.stride * other.left,
            self.right + self.stride * other.right,
        )


#: The window that changes nothing: the unit of the fusion law.
IDENTITY = Window(1)


def Identity() -> Window:  # noqa: N802
    """The identity map, `IDENTITY`."""
    return IDENTITY


@dataclass(frozen=True, slots=True)
class Scatter(AxisMap):
    """Transposed convolution: input i is spread over `extent` outputs from ``stride*i - padding``.

    Size ``stride*(x - 1) + extent - 2*padding + output_padding``; source: torch's ConvTranspose2d.

    >>> Scatter(extent=2, stride=2).size(7), Scatter(extent=4, stride=2, padding=1).pullback(3, 3)
    (14, (1, 2))
    """

    extent: Number
    stride: Number = 1
    padding: Number = 0
    output_padding: Number = 0

    def size(self, x: Number) -> Number:
        return self.stride * (x - 1) + self.extent - 2 * self.padding + self.output_padding

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        first = ceildiv(i + self.padding - self.extent + 1, self.stride)
        return first, floordiv(j + self.padding, self.stride)

    def requires(self, x: Number) -> tuple[Number, Number] | None:
        return self.size(x), 1


@dataclass(frozen=True, slots=True)
class Resample(AxisMap):
    """`interpolate` by a scale factor: size ``trunc(double(x) * scale)``, as torch computes it.

    The pullback is for ``align_corners=False`` and scales that are small fractions.

    >>> Resample(0.29).size(100), Resample(2.0).size(7), Resample(2.0).pullback(3, 3)
    (28, 14, (1, 1))
    """

    scale: float
    mode: Literal["nearest", "linear"] = "nearest"

    def size(self, x: Number) -> Number:
        return scaled(x, self.scale)

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        ratio = Fraction(self.scale).limit_denominator(64)
        if float(ratio) != self.scale:
            raise Undecidable(f"the pullback of scale {self.scale} is not a rational formula")
        p, q = ratio.numerator, ratio.denominator
        if self.mode == "nearest":
            return floordiv(q * i, p), floordiv(q * j, p)
        return (
            floordiv((2 * i + 1) * q - p, 2 * p),
            floordiv((2 * j + 1) * q - p, 2 * p) + 1,
        )

    def requires(self, x: Number) -> tuple[Number, Number] | None:
        return self.size(x), 1


@dataclass(frozen=True, slots=True)
class Adaptive(AxisMap):
    """Adaptive pooling to `length` outputs; output i reads ``[i*x//n, ceil((i + 1)*x/n) - 1]``.

    >>> Adaptive(7).size(224), Adaptive(7).pullback(6, 6, 224), Adaptive(2).pullback(0, 0, 3)
    (7, (192, 223), (0, 1))
    """

    length: Number

    def size(self, x: Number) -> Number:
        return self.length

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        if x is None:
            raise ValueError("what an adaptive pool reads depends on the input size: give x")
        return floordiv(i * x, self.length), ceildiv((j + 1) * x, self.length) - 1


@dataclass(frozen=True, slots=True)
class Whole(AxisMap):
    """Every one of `length` outputs can read the whole axis: channels, features, attention.

    >>> Whole(64).size(3), Whole(64).pullback(0, 0, 3)
    (64, (0, 2))
    """

    length: Number = 1

    def size(self, x: Number) -> Number:
        return self.length

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        if x is None:
            raise ValueError("the whole axis is read, whatever its size: give x")
        return 0, x - 1


@dataclass(frozen=True, slots=True)
class Const(AxisMap):
    """An axis of fixed `length`, stretched over the input: ``interpolate(size=...)``, expand.

    The nearest pullback; source: the torch documentation of interpolate.

    >>> Const(8).size(3), Const(8).pullback(0, 7, 4)
    (8, (0, 3))
    """

    length: Number

    def size(self, x: Number) -> Number:
        return self.length

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        if x is None:
            raise ValueError("what a stretched axis reads depends on the input size: give x")
        return floordiv(i * x, self.length), floordiv(j * x, self.length)


@dataclass(frozen=True, slots=True)
class Chain(AxisMap):
    """Maps one after the other, adjacent windows fused.

    >>> Window.conv(3).then(Scatter(2, 2)).then(Window.conv(3)).then(Window.conv(3))
    Chain(maps=(Window(extent=3, stride=1, left=0, right=0), \
Scatter(extent=2, stride=2, padding=0, output_padding=0), \
Window(extent=5, stride=1, left=0, right=0)))
    """

    maps: tuple[AxisMap, ...]

    @classmethod
    def of(cls, first: AxisMap, second: AxisMap) -> AxisMap:
        """`first`, then `second`; the identity disappears."""
        maps = [*_links(first)]
        for link in _links(second):
            if maps and isinstance(maps[-1], Window) and isinstance(link, Window):
                maps[-1] = maps[-1].then(link)
            else:
                maps.append(link)
        return maps[0] if len(maps) == 1 else cls(tuple(maps)) if maps else IDENTITY

    def size(self, x: Number) -> Number:
        for link in self.maps:
            x = link.size(x)
        return x

    def pullback(self, i: Number, j: Number, x: Number | None = None) -> tuple[Number, Number]:
        sizes = [x]
        for link in self.maps[:-1]:
            sizes.append(None if sizes[-1] is None else link.size(sizes[-1]))
        for link, before in zip(reversed(self.maps), reversed(sizes), strict=True):
            i, j = link.pullback(i, j, before)
            if before is not None:
                i, j = maximum(i, 0), minimum(j, before - 1)
        return i, j


def _links(axis_map: AxisMap) -> tuple[AxisMap, ...]:
    if isinstance(axis_map, Chain):
        return axis_map.maps
    return () if axis_map == IDENTITY else (axis_map,)
