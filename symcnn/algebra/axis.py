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
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from math import gcd
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from symcnn.algebra.expr import ceildiv, floordiv, maximum, minimum, scaled
from symcnn.algebra.polynomial import operand
from symcnn.algebra.size import Size, evaluate
from symcnn.errors import Undecidable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Reads: TypeAlias = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any] | int]

#: Where each axis of an output comes from: an axis, several (of a view) or none; and the map.
Axes: TypeAlias = "tuple[tuple[int | tuple[int, ...] | None, AxisMap], ...]"
Integer = Any  # an int, a Size or a sympy.Expr: the maps do not care
Mode = Literal["nearest", "nearest-exact", "linear", "cubic"]


class AxisMap(ABC):
    """One axis through one layer.

    The reading law: whatever the map, one output reads an arithmetic progression of inputs. Its
    ends as formulas are `pullback`; its ends and steps at a size, in numbers, are `reads`.
    """

    __slots__ = ()

    def size(self, x: Integer) -> Integer:
        """The output size for the input size `x`: the same, unless a map says another."""
        return x

    @abstractmethod
    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        """First and last input index that the outputs `i` to `j` can read, before clipping.

        `x` is the input size, for maps whose answer depends on it.
        """

    def requires(self, x: Integer) -> tuple[Integer, Integer] | None:
        """The map is defined where ``lhs >= rhs``; None: everywhere."""
        return None

    def reads(self, x: int) -> Reads:
        """First and last index and the step between, for each output, at the input size `x`.

        As numpy arrays; ends outside ``0..x - 1`` are padding. The last comes before the first
        where an output reads nothing.
        """
        import numpy as np

        ends = np.array([self.pullback(i, i, x) for i in range(self.size(x))], int).reshape(-1, 2)
        return ends[:, 0], ends[:, 1], 1

    def hyperparameters(self) -> list[Size]:
        """Those of its fields that are formulas."""
        values = (getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]
        return [value for value in values if isinstance(value, Size)]

    def at(self, values: Mapping[str, int]) -> AxisMap:
        """The map with the sizes in its hyperparameters replaced by numbers."""
        bound = {
            f.name: evaluate(value, values)
            for f in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, f.name), Size)
        }
        return replace(self, **bound) if bound else self  # type: ignore[type-var]

    def then(self, other: AxisMap) -> AxisMap:
        """This map followed by `other`; windows fuse."""
        return Chain.of(self, other)


class OfLength(AxisMap):
    """A map onto an axis of `length`, whatever the input's."""

    __slots__ = ()
    length: Integer

    def size(self, x: Integer) -> Integer:
        return self.length


@dataclass(frozen=True, slots=True)
class Window(AxisMap):
    """A sliding window of `extent`, moved by `stride`, over an axis padded `left` and `right`.

    Convolution and pooling with dilation (extent ``d*(k - 1) + 1``), padding (extent and stride 1),
    cropping (negative pads), slicing with a step. Size ``floor((x + left + right - extent)/stride)
    + 1``; source: the torch documentation of Conv2d.
    """

    extent: Integer
    stride: Integer = 1
    left: Integer = 0
    right: Integer = 0
    #: The step between the indices that are read; a fused window tells of its hull only (1).
    dilation: Integer = field(default=1, repr=False)

    @classmethod
    def conv(
        cls,
        kernel_size: Integer,
        stride: Integer = 1,
        padding: Integer = 0,
        dilation: Integer = 1,
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
        return cls(extent, stride, padding, right, dilation)

    @classmethod
    def same(cls, kernel_size: Integer, dilation: Integer = 1) -> Window:
        """``padding="same"``: the odd pixel, for even kernels, goes right.

        >>> Window.same(4)
        Window(extent=4, stride=1, left=1, right=2)
        """
        total = dilation * (kernel_size - 1)
        left = floordiv(total, 2)
        return cls(total + 1, 1, left, total - left, dilation)

    def size(self, x: Integer) -> Integer:
        return floordiv(x + (self.left + self.right - self.extent), self.stride) + 1

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return self.stride * i - self.left, self.stride * j - self.left + self.extent - 1

    def fibre(self, size: Integer) -> tuple[Integer, Integer]:
        """The shortest and the longest axis after which this size comes.

        >>> Window(7, 2, 3, 3).fibre(112)
        (223, 224)
        """
        first = self.stride * (size - 1) + self.extent - self.left - self.right
        return first, first + self.stride - 1

    def reads(self, x: int) -> Reads:
        import numpy as np

        first = self.stride * np.arange(self.size(x)) - self.left
        return first, first + (self.extent - 1), self.dilation

    def requires(self, x: Integer) -> tuple[Integer, Integer] | None:
        return x + (self.left + self.right), self.extent

    @overload
    def then(self, other: Window) -> Window: ...
    @overload
    def then(self, other: AxisMap) -> AxisMap: ...
    def then(self, other: AxisMap) -> AxisMap:
        if not isinstance(other, Window):
            return Chain.of(self, other)
        if other == IDENTITY:
            return self
        return Window(
            self.extent + self.stride * (other.extent - 1),
            self.stride * other.stride,
            self.left + self.stride * other.left,
            self.right + self.stride * other.right,
        )


#: The window that changes nothing: the unit of the fusion law.
IDENTITY = Window(1)


@dataclass(frozen=True, slots=True)
class Scatter(AxisMap):
    """Transposed convolution: input i is spread over `extent` outputs from ``stride*i - padding``.

    Size ``stride*(x - 1) + extent - 2*padding + output_padding``; source: torch's ConvTranspose2d.

    >>> Scatter(extent=2, stride=2).size(7), Scatter(extent=4, stride=2, padding=1).pullback(3, 3)
    (14, (1, 2))
    """

    extent: Integer
    stride: Integer = 1
    padding: Integer = 0
    output_padding: Integer = 0
    dilation: Integer = field(default=1, repr=False)

    @property
    def gaps(self) -> bool:
        """Whether some outputs read nothing: no tap of the kernel falls on them."""
        taps = (self.extent - 1) // self.dilation + 1
        common = gcd(self.stride, self.dilation)
        return common > 1 or taps < self.stride

    def size(self, x: Integer) -> Integer:
        return self.stride * (x - 1) + self.extent - 2 * self.padding + self.output_padding

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        first = ceildiv(i + self.padding - self.extent + 1, self.stride)
        return first, floordiv(j + self.padding, self.stride)

    def fibre(self, size: Integer) -> tuple[Integer, Integer]:
        """The shortest and the longest axis after which this size comes: one, or none, where the
        first is greater than the last.

        >>> Scatter(4, 2, 1).fibre(14), Scatter(4, 2, 1).fibre(15)
        ((7, 7), (8, 7))
        """
        spread = size - self.extent + 2 * self.padding - self.output_padding
        return ceildiv(spread, self.stride) + 1, floordiv(spread, self.stride) + 1

    def progression(self, i: Integer) -> tuple[Integer, Integer, Integer]:
        """First and last index and the step: exactly what output `i` reads.

        Output i reads input m where ``i + padding - stride*m`` is a tap ``dilation*t`` of the
        kernel, so t is fixed modulo ``stride/g`` and m modulo ``dilation/g``, with g their
        greatest common divisor. The last index comes before the first where there is no such m.
        """
        common = gcd(self.stride, self.dilation)
        period = self.stride // common
        taps = (self.extent - 1) // self.dilation
        at = i + self.padding
        start = at // common * pow(self.dilation // common, -1, period) % period
        most = start + (taps - start) // period * period
        first = (at - self.dilation * most) // self.stride
        return first, (at - self.dilation * start) // self.stride, self.dilation // common

    def reads(self, x: int) -> Reads:
        import numpy as np

        i = np.arange(self.size(x))
        first, last, step = self.progression(i)
        hit = (i + self.padding) % gcd(self.stride, self.dilation) == 0
        return first, np.where(hit, last, first - 1), step

    def requires(self, x: Integer) -> tuple[Integer, Integer] | None:
        return self.size(x), 1


def _source(i: Integer, p: Integer, q: Integer, mode: Mode) -> tuple[Integer, Integer]:
    """What output `i` of a stretch by p/q reads: torch's area pixel coordinates, in integers.

    Nearest: ``floor(i*q/p)``. Linear and cubic: around ``(i + 1/2)*q/p - 1/2``, both neighbours
    unless that is a whole number, whose neighbour then weighs nothing; one more on either side for
    cubic. Source: torch's documentation of interpolate, and its kernels.

    Torch multiplies by q/p in float32. Rounded up, as 1/3 is, no floor changes; rounded down, as
    20/23 is, it moves some whole numbers to the pixel before, by no rule in i: no formula then.
    """
    if mode in ("nearest", "nearest-exact") and not rounds_up(p, q):
        raise Undecidable(
            f"which pixel nearest resampling by {operand(p)}/{operand(q)} reads hangs on float32 "
            "rounding",
            cure="ask at a size: .at(H=..., W=...)",
        )
    if mode == "nearest":
        first = floordiv(q * i, p)
        return first, first
    if mode == "nearest-exact":
        first = floordiv((2 * i + 1) * q, 2 * p)
        return first, first
    middle = (2 * i + 1) * q - p
    return _around(middle, 2 * p, mode)


def rounds_up(p: Integer, q: Integer) -> bool:
    """Whether q/p in single precision is known to be at least q/p, as for every power of two p."""
    if not isinstance(p, int) or not isinstance(q, int):
        return isinstance(p, int) and p & (p - 1) == 0
    (single,) = unpack("f", pack("f", q / p))
    return Fraction(single) >= Fraction(q, p)


def _around(num: Integer, den: Integer, mode: Mode) -> tuple[Integer, Integer]:
    first, last = floordiv(num, den), ceildiv(num, den)
    if mode == "cubic":  # the outer two weigh nothing where the inner two are one
        return 2 * first - last, 2 * last - first
    return first, last


@dataclass(frozen=True, slots=True)
class Resample(AxisMap):
    """`interpolate` by a scale factor: size ``trunc(double(x) * scale)``, as torch computes it.

    The pullback as a formula is for ``align_corners=False`` and scales that are small fractions.

    >>> Resample(0.29).size(100), Resample(2.0).size(7), Resample(2.0).pullback(3, 3)
    (28, 14, (1, 1))
    """

    scale: float | Size  # a symbol stands for a whole number
    mode: Mode = "nearest"
    align_corners: bool = False
    recompute: bool = False  # the scale that is used is the ratio of the sizes
    antialias: bool = False
    beside: Integer | None = None  # nearest in 2-D: the output size of the other axis

    def size(self, x: Integer) -> Integer:
        if isinstance(self.scale, Size):  # a whole number: the product in double is exact
            return x * self.scale
        return scaled(x, self.scale)

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        if self.align_corners or self.recompute or self.antialias:
            if x is None:
                raise ValueError("what is read depends on the input size: give x")
            return self.stretch(x).pullback(i, j, x)
        if isinstance(self.scale, Size):
            return _source(i, self.scale, 1, self.mode)[0], _source(j, self.scale, 1, self.mode)[1]
        ratio = Fraction(self.scale).limit_denominator(64)
        if float(ratio) != self.scale:
            raise Undecidable(
                f"what interpolate by {self.scale} reads is no formula in the index",
                cure="ask at a size: .at(H=..., W=...)",
            )
        p, q = ratio.numerator, ratio.denominator
        return _source(i, p, q, self.mode)[0], _source(j, p, q, self.mode)[1]

    def stretch(self, x: Integer) -> Const:
        return Const(self.size(x), self.mode, self.align_corners, self.antialias)

    def reads(self, x: int) -> Reads:
        given: Any = None if self.recompute or self.align_corners else self.scale
        align, smooth = self.align_corners, self.antialias
        return _interpolated(x, self.size(x), self.mode, align, smooth, given, self.copies(x))

    def copies(self, x: Integer) -> Integer | bool:
        """Whether the places are those of factor 1 or 2 where the sizes say so, not the scale's.

        Of the modes that torch computes so, "linear" always, "nearest" in small 2-D images only
        (``_use_vectorized_kernel_cond_2d`` in UpSampleKernel.cpp; measured: elsewhere never).
        """
        if self.mode == "linear":
            return True
        return self.beside is not None and self.size(x) + self.beside <= 128

    def requires(self, x: Integer) -> tuple[Integer, Integer] | None:
        return self.size(x), 1


def _interpolated(
    x: int,
    y: int,
    mode: Mode,
    align_corners: bool,
    antialias: bool,
    scale: float | None,
    copies: bool = True,
) -> Reads:
    """What `interpolate` reads, in torch's own arithmetic.

    That is double, but for the nearest modes: float there. In a large float64 image torch computes
    these in double as well, and may read the neighbour of what it reads in float32 and on a GPU.
    """
    import numpy as np

    i = np.arange(y)
    if copies and y == x and mode in ("nearest", "linear") and not antialias:
        return i, i, 1
    if copies and y == 2 * x and mode == "nearest":
        return i // 2, i // 2, 1
    if mode in ("nearest", "nearest-exact"):
        step = np.float32(1.0 / scale) if scale else np.float32(x) / np.float32(y)
        half = np.float32(0.5 if mode == "nearest-exact" else 0.0)
        index = np.minimum(np.floor((i.astype(np.float32) + half) * step).astype(int), x - 1)
        return index, index, 1
    if align_corners:
        middle = i * ((x - 1) / (y - 1) if y > 1 else 0.0)
        ratio = (x - 1) / (y - 1) if y > 1 else 0.0
    else:
        ratio = 1.0 / scale if scale else x / y
        middle = ratio * (i + 0.5) - 0.5
        near = np.rint(middle)  # where a double misses a whole number, a pixel weighs nothing
        middle = np.where(abs(middle - near) < 1e-11, near, middle)
    reach = 2 if mode == "cubic" else 1
    if antialias:
        support = reach * max(ratio, 1.0)
        centre = middle + (0.0 if align_corners else 0.5)
        first = np.maximum((centre - support + 0.5).astype(int), 0)
        return first, np.minimum((centre + support + 0.5).astype(int), x) - 1, 1
    if mode == "linear":
        middle = np.maximum(middle, 0.0)
    first = np.floor(middle.astype(np.float32)).astype(int)  # torch's floorf, in every precision
    between = middle > first
    last = first + between
    if mode == "cubic":
        first, last = first - between, last + between
    return np.clip(first, 0, x - 1), np.clip(last, 0, x - 1), 1


@dataclass(frozen=True, slots=True)
class Adaptive(OfLength):
    """Adaptive pooling to `length` outputs; output i reads ``[i*x//n, ceil((i + 1)*x/n) - 1]``.

    >>> Adaptive(7).size(224), Adaptive(7).pullback(6, 6, 224), Adaptive(2).pullback(0, 0, 3)
    (7, (192, 223), (0, 1))
    """

    length: Integer

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        if x is None:
            raise ValueError("what an adaptive pool reads depends on the input size: give x")
        if self.length == 0:  # no output, which reads nothing
            return x - x, x - x - 1
        return floordiv(i * x, self.length), ceildiv((j + 1) * x, self.length) - 1


@dataclass(frozen=True, slots=True)
class Whole(OfLength):
    """Every one of `length` outputs can read the whole axis: channels, features, attention.

    >>> Whole(64).size(3), Whole(64).pullback(0, 0, 3)
    (64, (0, 2))
    """

    length: Integer = 1

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        if x is None:
            raise ValueError("the whole axis is read, whatever its size: give x")
        return 0, x - 1


@dataclass(frozen=True, slots=True)
class Running(AxisMap):
    """What runs along an axis: output i reads all up to i, as a cumulative sum does.

    >>> Running().size(9), Running().pullback(2, 5)
    (9, (0, 5))
    """

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return 0, j


@dataclass(frozen=True, slots=True)
class Const(OfLength):
    """An axis of fixed `length`, stretched over the input: ``interpolate(size=...)``, expand.

    Source: the torch documentation of interpolate.

    >>> Const(8).size(3), Const(8).pullback(0, 7, 4)
    (8, (0, 3))
    """

    length: Integer
    mode: Mode = "nearest"
    align_corners: bool = False
    antialias: bool = False

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        if x is None:
            raise ValueError("what a stretched axis reads depends on the input size: give x")
        if self.antialias:
            raise Undecidable(
                "what an antialiased resize reads is no formula in the index",
                cure="ask at a size: .at(H=..., W=...)",
            )
        if self.align_corners and self.mode in ("linear", "cubic"):
            if self.length == 1:
                return 0, 0
            first, _ = _around(i * (x - 1), self.length - 1, self.mode)
            return first, _around(j * (x - 1), self.length - 1, self.mode)[1]
        return (_source(i, self.length, x, self.mode)[0], _source(j, self.length, x, self.mode)[1])

    def reads(self, x: int) -> Reads:
        return _interpolated(x, self.length, self.mode, self.align_corners, self.antialias, None)


@dataclass(frozen=True, slots=True)
class Flip(AxisMap):
    """The axis from its end: output i reads ``x - 1 - i``.

    >>> Flip().pullback(0, 2, 10)
    (7, 9)
    """

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        if x is None:
            raise ValueError("what a flipped axis reads depends on the input size: give x")
        return x - 1 - j, x - 1 - i


@dataclass(frozen=True, slots=True)
class Roll(AxisMap):
    """The axis shifted by `shift` to the right, what leaves it coming back on the left.

    The pullback as a formula is that of the interior: an index outside the input stands for the
    one that comes back, which `reads` gives.

    >>> Roll(3).pullback(5, 5), Roll(3).reads(5)[0].tolist()
    ((2, 2), [2, 3, 4, 0, 1])
    """

    shift: Integer

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return i - self.shift, j - self.shift

    def reads(self, x: int) -> Reads:
        import numpy as np

        i = (np.arange(x) - self.shift) % x
        return i, i, 1


@dataclass(frozen=True, slots=True)
class Folded(AxisMap):
    """Padding with what is there: reflected, repeated or from the other end.

    The pullback as a formula is that of the interior: an index outside the input stands for the
    place that is read in its stead, which `reads` gives.

    >>> Folded(2, 2, "reflect").size(5), Folded(2, 2, "reflect").reads(5)[0].tolist()
    (9, [2, 1, 0, 1, 2, 3, 4, 3, 2])
    """

    left: Integer
    right: Integer
    mode: Literal["reflect", "replicate", "circular"]

    def size(self, x: Integer) -> Integer:
        return x + self.left + self.right

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return i - self.left, j - self.left

    def reads(self, x: int) -> Reads:
        import numpy as np

        i = np.arange(self.size(x)) - self.left
        if self.mode == "reflect":
            i = np.abs(i)
            i = np.where(i >= x, 2 * (x - 1) - i, i)
        else:
            i = np.clip(i, 0, x - 1) if self.mode == "replicate" else i % x
        return i, i, 1

    def requires(self, x: Integer) -> tuple[Integer, Integer] | None:
        return self.size(x), 1


@dataclass(frozen=True, slots=True)
class Pick(AxisMap):
    """One index of an axis that vanishes: ``x[:, 0]``. A negative one counts from the end.

    >>> Pick(-1).pullback(0, 0, 10)
    (9, 9)
    """

    index: Integer

    def size(self, x: Integer) -> Integer:
        return 1

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        index = self.index
        if isinstance(index, int) and index < 0:
            if x is None:
                raise ValueError("an index from the end depends on the input size: give x")
            index = index + x
        return index, index


@dataclass(frozen=True, slots=True)
class Digit(OfLength):
    """One axis of a view: the `length` values of ``index // step % length``.

    A view writes the index of its merged input axes in a mixed radix; each of its axes is a digit.

    >>> Digit(step=7, length=32).size(224)
    32
    """

    step: Integer
    length: Integer

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        raise ValueError("one digit does not tell the index: all axes of the view do")


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

    def size(self, x: Integer) -> Integer:
        for link in self.maps:
            x = link.size(x)
        return x

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        sizes = [x]
        for link in self.maps[:-1]:
            sizes.append(None if sizes[-1] is None else link.size(sizes[-1]))
        for link, before in zip(reversed(self.maps), reversed(sizes), strict=True):
            i, j = link.pullback(i, j, before)
            if before is not None:
                i, j = maximum(i, 0), minimum(j, before - 1)
        return i, j

    def at(self, values: Mapping[str, int]) -> AxisMap:
        return Chain(tuple(link.at(values) for link in self.maps))


def _links(axis_map: AxisMap) -> tuple[AxisMap, ...]:
    if isinstance(axis_map, Chain):
        return axis_map.maps
    return () if axis_map == IDENTITY else (axis_map,)
