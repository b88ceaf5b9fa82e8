"""Random torch networks to judge an analysis by: chains, residual blocks, dense blocks, U-Nets.

A network is drawn as a *recipe*, a small immutable tree that prints as what it is, shrinks well
and builds a fresh ``torch.nn.Module`` on whatever device is in force::

    from hypothesis import given
    from symcnn.testing.networks import networks

    @given(networks("conv", "pool", dims=(2,)))
    def test_my_analysis(recipe):
        net = symcnn.from_torch(recipe.build(), recipe.spec)
        ...

Hyperparameters are such that torch builds every layer; whether the sizes of a block's branches
agree is left to chance, so domains are of every kind: bounds, residues, unions, and empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from symcnn.testing.layer import Drawn, Source

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

#: Kinds of layers.
LAYERS = ("conv", "pool", "transposed", "resample", "pad", "crop", "pointwise")
#: How layers are put together.
SHAPES = ("chain", "residual", "concat", "encoder_decoder")
#: How a decoder meets its skip: as it is; the skip cut or padded to the map; the map cut or
#: padded to the skip; the map resized.
JOINS = ("strict", "crop", "pad", "resize")

_SPECS = {1: "N {} L", 2: "N {} H W", 3: "N {} D H W"}


class Recipe:
    """A part of a network, before it is built."""

    def build(self, dims: int, channels: int) -> tuple[nn.Module, int]:
        """The module for maps of `dims` axes with `channels`, and the channels it makes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Op(Recipe):
    """One layer of torch.nn, by its name without the ``2d``."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: int | None = None  # what it makes; None: what it takes

    def build(self, dims: int, channels: int) -> tuple[nn.Module, int]:
        layer = getattr(nn, self.name, None) or getattr(nn, f"{self.name}{dims}d")
        if self.channels is not None:
            return layer(channels, self.channels, **self.options), self.channels
        counts = (channels,) if self.name == "BatchNorm" else ()
        return layer(*counts, **self.options), channels

    def __repr__(self) -> str:
        words = [] if self.channels is None else [f"-> {self.channels}"]
        return f"{self.name}({', '.join([*words, *(f'{k}={v}' for k, v in self.options.items())])})"


@dataclass(frozen=True)
class Chain(Recipe):
    """One part after the other."""

    parts: tuple[Recipe, ...]

    def build(self, dims: int, channels: int) -> tuple[nn.Module, int]:
        modules = []
        for part in self.parts:
            module, channels = part.build(dims, channels)
            modules.append(module)
        return nn.Sequential(*modules), channels


@dataclass(frozen=True)
class Residual(Recipe):
    """``body(x) + shortcut(x)``; a 1x1 convolution where the channels differ."""

    body: Recipe
    shortcut: Recipe

    def build(self, dims: int, channels: int) -> tuple[nn.Module, int]:
        body, made = self.body.build(dims, channels)
        shortcut, kept = self.shortcut.build(dims, channels)
        if kept != made:
            shortcut = nn.Sequential(shortcut, getattr(nn, f"Conv{dims}d")(kept, made, 1))
        return _Sum(body, shortcut), made


@dataclass(frozen=True)
class Concat(Recipe):
    """The branches side by side, joined along the channels."""

    branches: tuple[Recipe, ...]

    def build(self, dims: int, channels: int) -> tuple[nn.Module, int]:
        built = [branch.build(dims, channels) for branch in self.branches]
        return _Join([module for module, _ in built]), sum(made for _, made in built)


@dataclass(frozen=True)
class EncoderDecoder(Recipe):
    """``join(x, up(inner(down(x))))``: one level of a U-Net, its skip joined along the channels."""

    down: Recipe
    inner: Recipe
    up: Recipe
    join: str

    def build(self, dims: int, channels: int) -> tuple[nn.Module, int]:
        module, made = Chain((self.down, self.inner, self.up)).build(dims, channels)
        return _Level(module, self.join), made + channels


@dataclass(frozen=True)
class NetworkRecipe:
    """A whole network: ``recipe.build()`` takes inputs of ``recipe.spec``."""

    body: Recipe
    dims: int
    channels: int

    @property
    def spec(self) -> str:
        """Such as ``"N 3 H W"``."""
        return _SPECS[self.dims].format(self.channels)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the spatial axes."""
        return tuple(self.spec.split()[2:])

    def build(self) -> nn.Module:
        """A fresh module, in eval mode, on the device in force."""
        module, _ = self.body.build(self.dims, self.channels)
        return module.eval()

    def shape(self, *sizes: int) -> tuple[int, ...]:
        """The shape of one input image."""
        return (1, self.channels, *sizes)

    def runs(self, *sizes: int) -> bool:
        """Whether torch's CPU kernels take an image of these sizes.

        The meta device lets `interpolate` make an empty map, which a pad may then fill.
        """
        module = self.build()
        try:
            with torch.no_grad():
                module(torch.zeros(self.shape(*sizes)))
        except Exception:
            return False
        return True


def torch_shape(module: nn.Module, shape: Sequence[int]) -> tuple[int, ...] | None:
    """What torch makes of an input of that shape, None where it raises; on the meta device."""
    try:
        with torch.no_grad():
            return tuple(module(torch.empty(tuple(shape), device="meta")).shape)
    except Exception:
        return None


class _Sum(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x) + self.shortcut(x)
        return total


class _Join(nn.Module):
    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _fitted(x: Tensor, like: Tensor) -> Tensor:
    """`x` cut or padded around its centre to the size of `like`; negative pads cut."""
    gaps = [like.shape[i] - x.shape[i] for i in range(x.dim() - 1, 1, -1)]
    return F.pad(x, [end for gap in gaps for end in (gap // 2, gap - gap // 2)])


class _Level(nn.Module):
    def __init__(self, body: nn.Module, join: str) -> None:
        super().__init__()
        self.body, self.join = body, join

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.join == "resize":
            y = F.interpolate(y, size=x.shape[2:])
        elif self.join == "crop":
            x = _fitted(x, y)
        elif self.join == "pad":
            y = _fitted(y, x)
        return torch.cat([x, y], dim=1)


# Drawing -------------------------------------------------------------------------------------


def _per_axis(source: Source, dims: int, low: int, high: int) -> Any:
    """One number for all axes, or one for each."""
    if dims == 1 or not source.flip():
        return source.integer(low, high)
    return tuple(source.integer(low, high) for _ in range(dims))


def _at(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, tuple) else value)


def _conv(source: Source, dims: int) -> Recipe:
    options = {
        "kernel_size": _per_axis(source, dims, 1, 5),
        "stride": _per_axis(source, dims, 1, 3),
        "padding": _per_axis(source, dims, 0, 3),
        "dilation": _per_axis(source, dims, 1, 3),
    }
    if source.integer(0, 5) == 5:
        options |= {"padding": "same", "stride": 1}
    if source.integer(0, 7) == 7:
        options["padding_mode"] = "replicate"
    return Op("Conv", options, source.integer(1, 3))


def _pool(source: Source, dims: int) -> Recipe:
    kernel = _per_axis(source, dims, 1, 4)
    options = {
        "kernel_size": kernel,
        "stride": _per_axis(source, dims, 1, 3),
        "padding": tuple(source.integer(0, _at(kernel, i) // 2) for i in range(dims)),
        "ceil_mode": source.flip(),
    }
    if source.flip():
        return Op("AvgPool", options)
    return Op("MaxPool", options | {"dilation": _per_axis(source, dims, 1, 2)})


def _transposed(source: Source, dims: int) -> Recipe:
    stride, dilation = _per_axis(source, dims, 1, 3), _per_axis(source, dims, 1, 2)
    extra = [max(_at(stride, i), _at(dilation, i)) - 1 for i in range(dims)]
    options = {
        "kernel_size": _per_axis(source, dims, 1, 4),
        "stride": stride,
        "padding": _per_axis(source, dims, 0, 2),
        "output_padding": tuple(source.integer(0, most) for most in extra),
        "dilation": dilation,
    }
    return Op("ConvTranspose", options, source.integer(1, 3))


def _resample(source: Source, dims: int) -> Recipe:
    scale = source.choose([2.0, 0.5, 1.5, 3.0, 0.7, 1.4, 0.29, 1.15, 1 / 3])
    smooth = {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
    return Op("Upsample", {"scale_factor": scale, "mode": source.choose(["nearest", smooth])})


def _pad(source: Source, dims: int) -> Recipe:
    name = source.choose(["ZeroPad", "ReplicationPad", "ReflectionPad"])
    return Op(name, {"padding": tuple(source.integer(0, 3) for _ in range(2 * dims))})


def _pointwise(source: Source, dims: int) -> Recipe:
    return source.choose([Op("ReLU"), Op("BatchNorm"), Op("GELU")])


_DRAW = {
    "conv": _conv,
    "pool": _pool,
    "transposed": _transposed,
    "resample": _resample,
    "pad": _pad,
    "crop": lambda source, dims: Op(
        "ZeroPad", {"padding": tuple(source.integer(-3, 1) for _ in range(2 * dims))}
    ),
    "pointwise": _pointwise,
}


class _Drawing:
    """What a network may be made of, and how many layers it may still have."""

    def __init__(
        self, source: Source, layers: Sequence[str], shapes: Sequence[str], dims: int, most: int
    ) -> None:
        self.source, self.layers, self.shapes, self.dims = source, layers, shapes, dims
        self.left = most

    def layer(self) -> Recipe:
        """One layer."""
        self.left -= 1
        return _DRAW[self.source.choose(self.layers)](self.source, self.dims)

    def chain(self, depth: int = 2) -> Recipe:
        """Parts one after the other; `depth` is how far blocks may nest."""
        parts = [self.part(depth)]
        while self.left > 0 and self.source.flip():
            parts.append(self.part(depth))
        return parts[0] if len(parts) == 1 else Chain(tuple(parts))

    def part(self, depth: int) -> Recipe:
        """A layer or a block."""
        shape = "chain"
        if depth and self.left > 1:
            shape = self.source.choose(self.shapes)
        if shape == "residual":
            stride = self.source.choose([1, 1, 2, 3])
            if stride == 1 or "conv" not in self.layers:
                return Residual(self.branch(), Chain(()))
            shortcut = Op("Conv", {"kernel_size": 1, "stride": stride}, self.width())
            return Residual(self.branch(stride), shortcut)
        if shape == "concat":
            return Concat((self.branch(), self.branch() if self.source.flip() else Chain(())))
        if shape == "encoder_decoder":
            return self.level(depth)
        return self.layer()

    def width(self) -> int:
        """The channels that a layer makes."""
        return self.source.integer(1, 3)

    def branch(self, stride: int = 1) -> Recipe:
        """Mostly an odd kernel padded by half, which meets a shortcut; else a short chain."""
        if "conv" not in self.layers or self.source.integer(0, 3) == 3:
            return self.chain(depth=0)
        self.left -= 1
        half, dilation = self.source.integer(0, 2), self.source.integer(1, 2)
        options = {"kernel_size": 2 * half + 1, "padding": half * dilation}
        return Op("Conv", options | {"stride": stride, "dilation": dilation}, self.width())

    def level(self, depth: int) -> Recipe:
        """An encoder and its decoder, which may hold further levels."""
        join = self.source.choose(JOINS)
        stride = self.source.integer(1, 3)
        self.left -= 2
        if "pool" in self.layers and self.source.flip():
            down: Recipe = Op("MaxPool", {"kernel_size": stride})
        elif "conv" in self.layers:
            down = Op("Conv", {"kernel_size": 3, "stride": stride, "padding": 1}, 2)
        else:
            down = self.layer()
        inner = self.chain(depth=depth - 1) if self.left > 0 else Chain(())
        if "transposed" in self.layers and self.source.flip():
            up: Recipe = Op("ConvTranspose", {"kernel_size": stride, "stride": stride}, 2)
        elif "resample" in self.layers:
            up = Op("Upsample", {"scale_factor": float(stride)})
        else:
            up = self.layer()
        return EncoderDecoder(down, inner, up, join)


def draw_network(
    source: Source,
    layers: Sequence[str] = LAYERS,
    shapes: Sequence[str] = SHAPES,
    dims: Sequence[int] = (1, 2),
    most: int = 6,
) -> NetworkRecipe:
    """The recipe of a network, from numbers of `source`; see `networks`."""
    for given, known in ((layers, LAYERS), (shapes, SHAPES)):
        if unknown := set(given) - set(known):
            raise ValueError(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
    drawing = _Drawing(source, layers, shapes, source.choose(dims), most)
    channels = source.integer(1, 3)
    return NetworkRecipe(drawing.chain(), drawing.dims, channels)


@st.composite
def networks(
    draw: DrawFn,
    *layers: str,
    shapes: tuple[str, ...] = SHAPES,
    dims: tuple[int, ...] = (1, 2),
    most: int = 6,
) -> NetworkRecipe:
    """Recipes of networks.

    layers: kinds of layers (`LAYERS`; default all). shapes: ways to put them together (`SHAPES`).
    dims: numbers of spatial axes. most: layers in all, about.
    """
    return draw_network(Drawn(draw), layers or LAYERS, shapes, dims, most)
