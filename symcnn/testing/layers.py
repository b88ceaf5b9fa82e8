"""Random layers that torch.nn and symcnn.nn both know, with inputs to put through them.

Made to be hard: kernels, strides, dilations and pads differ per axis, hyperparameters go missing,
axes are symbols or numbers, and unless ``valid=True`` about every third layer has something that
torch refuses::

    from hypothesis import given, strategies as st
    from symcnn.testing import layers, sizes

    @given(st.data())
    def test_my_analysis(data):
        layer = data.draw(layers("conv", "pool", valid=True))
        at = data.draw(sizes(layer))
        assert my_analysis(layer.build(), at) == what_torch_does(layer.build_torch(), at)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, prod
from typing import Any

from hypothesis import strategies as st

from symcnn import nn
from symcnn.errors import SymcnnError

__all__ = ["KINDS", "Layer", "layers", "sizes"]

Shapes = Any  # a shape, or a tuple of them for layers with several outputs


@dataclass(frozen=True)
class Layer:
    """A layer by its name in torch.nn and in symcnn.nn, and the shape of an input for it."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    spec: str = "N C H W"
    likely: Mapping[str, int] = field(default_factory=dict)  # what the layer expects of C

    def build(self) -> Any:
        """The symcnn layer. Raises SymcnnError for hyperparameters that no layer can have."""
        return getattr(nn, self.name)(*self.args, **self.kwargs)

    def build_torch(self) -> Any:
        """The torch layer, in eval mode."""
        import torch

        return getattr(torch.nn, self.name)(*self.args, **self.kwargs).eval()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The sizes that the spec leaves open."""
        return tuple(dict.fromkeys(s for s in self.spec.split() if not s.isdecimal()))

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The input shape at `sizes`."""
        return tuple(int(s) if s.isdecimal() else sizes[s] for s in self.spec.split())

    def symcnn_shape(self, sizes: Mapping[str, int]) -> Shapes | None:
        """The output shape by symcnn, None where it refuses."""
        try:
            return _plain(self.build().trace(self.spec).shape_at(**sizes))
        except SymcnnError:
            return None

    def torch_shape(self, sizes: Mapping[str, int]) -> Shapes | None:
        """The output shape by torch's CPU kernels on real zeros, None where torch raises.

        None too where torch hands back a tensor without elements: to symcnn, sizes are positive.
        """
        import torch

        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            try:
                output = self.build_torch()(torch.zeros(self.shape(sizes)))
            except Exception:
                return None
        tensors = (output,) if isinstance(output, torch.Tensor) else output
        shapes = tuple(tuple(t.shape) for t in tensors)
        if any(0 in shape for shape in shapes):
            return None
        return shapes[0] if isinstance(output, torch.Tensor) else shapes

    def __repr__(self) -> str:
        hyper = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())]
        return f"Layer(nn.{self.name}({', '.join(hyper)}) on {self.spec!r})"


def _plain(shape: Any) -> Any:
    return tuple(_plain(s) if isinstance(s, tuple) else int(s) for s in shape)


@st.composite
def sizes(draw: Any, layer: Layer, most: int = 20) -> dict[str, int]:
    """Sizes for the symbols of the layer's spec: 1 to `most`, batches up to 3."""
    found = {}
    for name in layer.symbols:
        if name in layer.likely and draw(st.integers(0, 4)):
            found[name] = layer.likely[name]
        else:
            found[name] = draw(st.integers(1, 3 if name == "N" else most))
    return found


# Drawing hyperparameters ---------------------------------------------------------------------


class _Hyper:
    """Hyperparameters under construction. `wild` ones may be refused by torch."""

    def __init__(self, draw: Any, wild: bool) -> None:
        self.draw = draw
        self.wild = wild
        self.kwargs: dict[str, Any] = {}

    def rarely(self) -> bool:
        """True for about one in four choices of a wild layer, never otherwise."""
        return self.wild and self.draw(st.integers(0, 3)) == 0

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`; a wild one may lie below or above."""
        if self.rarely():
            low, high = min(low, 0) - 1, high + 2
        return int(self.draw(st.integers(low, high)))

    def per_axis(self, n: int, low: int, high: int) -> Any:
        """One number, or `n`; a wild one may be another number of them, or a float."""
        if self.rarely():
            odd = st.one_of(
                st.lists(st.integers(low, high), max_size=n + 1).map(tuple),
                st.sampled_from([2.0, 2.5, None]),
            )
            return self.draw(odd)
        values = tuple(self.number(low, high) for _ in range(n))
        return values[0] if self.draw(st.booleans()) else values

    def pick(self, *usual: Any, wild: tuple[Any, ...] = ()) -> Any:
        """One of the usual values; a wild layer may get one of the others."""
        return self.draw(st.sampled_from(wild if wild and self.rarely() else usual))

    def maybe(self, **values: Any) -> None:
        """Set these keywords, or leave them at their defaults."""
        for name, value in values.items():
            if self.draw(st.integers(0, 3)):
                self.kwargs[name] = value

    def spec(self, n: int, channels: int | None, *, batched: bool | None = None) -> str:
        """The spec of a map of `n` axes, unbatched at times unless `batched`."""
        axes: list[str] = {1: ["L"], 2: ["H", "W"], 3: ["D", "H", "W"]}[n][:]
        for i in range(n):
            if self.draw(st.integers(0, 5)) == 0:
                axes[i] = str(self.draw(st.integers(1, 20)))
        if channels is None or self.draw(st.booleans()):
            axes.insert(0, "C")
        else:
            axes.insert(0, str(max(1, self.number(channels, channels))))
        if batched or (batched is None and self.draw(st.booleans())):
            axes.insert(0, "N")
        if self.rarely():
            axes = axes[1:] if self.draw(st.booleans()) else ["B", *axes]
        return " ".join(axes)


def _kernel_most(n: int) -> int:
    return 3 if n == 3 else 5


def _axis(value: Any, i: int) -> int:
    value = value[i] if isinstance(value, tuple) and i < len(value) else value
    return value if isinstance(value, int) else 1


def _conv(h: _Hyper, n: int) -> Layer:
    groups = h.number(1, 2)
    split = max(groups, 1)
    c_in, c_out = (split * h.number(1, 2) + int(h.rarely()) for _ in range(2))
    same = h.pick(None, None, "same", "valid", wild=("full", "SAME"))
    stride = 1 if same == "same" and not h.rarely() else h.per_axis(n, 1, 4)
    mode = h.pick("zeros", "zeros", "zeros", "reflect", "replicate", "circular", wild=("wrap",))
    h.kwargs["padding"] = h.per_axis(n, 0, 4) if same is None else same
    h.maybe(stride=stride, dilation=h.per_axis(n, 1, 3), groups=groups, padding_mode=mode)
    h.maybe(bias=h.draw(st.booleans()))
    args = (c_in, c_out, h.per_axis(n, 1, _kernel_most(n)))
    return Layer(f"Conv{n}d", args, h.kwargs, h.spec(n, c_in), {"C": c_in})


def _transposed(h: _Hyper, n: int) -> Layer:
    groups = h.number(1, 2)
    split = max(groups, 1)
    c_in, c_out = (split * h.number(1, 2) + int(h.rarely()) for _ in range(2))
    stride, dilation = h.per_axis(n, 1, 4), h.per_axis(n, 1, 3)
    extra = tuple(h.number(0, max(_axis(stride, i), _axis(dilation, i), 1) - 1) for i in range(n))
    if groups > 1 and not all(_axis(dilation, i) for i in range(n)):
        dilation = 1  # oneDNN takes dilation=0 for a kernel of 1 in groups, nothing else does
    h.kwargs.update(stride=stride, dilation=dilation, output_padding=extra)
    h.maybe(padding=h.per_axis(n, 0, 4), groups=groups, bias=h.draw(st.booleans()))
    h.maybe(padding_mode=h.pick("zeros", wild=("reflect",)))
    args = (c_in, c_out, h.per_axis(n, 1, _kernel_most(n)))
    return Layer(f"ConvTranspose{n}d", args, h.kwargs, h.spec(n, c_in), {"C": c_in})


def _pool(h: _Hyper, n: int) -> Layer:
    name = h.pick("MaxPool", "AvgPool", "LPPool")
    kernel = h.per_axis(n, 1, 5)
    dilation = h.per_axis(n, 1, 3) if name == "MaxPool" else 1
    pads = tuple(h.number(0, max(_axis(kernel, i), 0) // 2) for i in range(n))
    stride = h.pick(None, 0, wild=((),))
    h.maybe(stride=h.per_axis(n, 1, 4) if stride == 0 else stride, ceil_mode=h.pick(True, False))
    args: tuple[Any, ...] = (kernel,)
    if name == "LPPool":
        kernel = kernel if n > 1 or h.rarely() else _axis(kernel, 0)
        args = (h.pick(1, 2, 3.0, inf, wild=(0, -inf)), kernel)
    else:
        h.maybe(padding=pads[0] if len(set(pads)) == 1 else pads)
    if name == "MaxPool":
        h.kwargs["dilation"] = dilation
        h.maybe(return_indices=h.pick(True, False))
    elif name == "AvgPool":
        h.maybe(count_include_pad=h.pick(True, False))
        if n > 1:
            h.maybe(divisor_override=h.pick(None, 3, wild=(0, -2)))
    return Layer(f"{name}{n}d", args, h.kwargs, h.spec(n, None))


def _adaptive(h: _Hyper, n: int) -> Layer:
    name = h.pick("AdaptiveAvgPool", "AdaptiveMaxPool")
    if name == "AdaptiveMaxPool":
        h.maybe(return_indices=h.pick(True, False))
    size = h.per_axis(n, 1, 8)
    if isinstance(size, tuple) and n > 1:
        size = tuple(s if h.draw(st.integers(0, 3)) else None for s in size)
    return Layer(f"{name}{n}d", (size,), h.kwargs, h.spec(n, None))


def _norm(h: _Hyper, n: int) -> Layer:
    name = h.pick("BatchNorm", "InstanceNorm", "GroupNorm", "LayerNorm", "RMSNorm", "LRN")
    h.maybe(eps=h.pick(1e-5, 1e-3, wild=(0.0, -1.0)))
    if name in ("BatchNorm", "InstanceNorm"):
        channels = h.number(1, 4)
        h.maybe(affine=h.pick(True, False), track_running_stats=h.pick(True, False))
        h.maybe(bias=h.pick(True, False), momentum=h.pick(0.1, None))
        spec = h.spec(n, channels, batched=name == "BatchNorm" or None)
        if name == "BatchNorm" and n == 1 and h.draw(st.booleans()):
            spec = spec.rsplit(" ", 1)[0]
        return Layer(f"{name}{n}d", (channels,), h.kwargs, spec, {"C": channels})
    if name == "GroupNorm":
        groups = h.number(1, 3)
        channels = max(groups, 1) * h.number(1, 2) + int(h.rarely())
        h.maybe(affine=h.pick(True, False), bias=h.pick(True, False))
        spec = h.spec(n, channels, batched=True)
        return Layer(name, (groups, channels), h.kwargs, spec, {"C": channels})
    if name == "LRN":
        h.kwargs.clear()
        return Layer("LocalResponseNorm", (h.number(1, 5),), {}, h.spec(n, None, batched=True))
    shape = tuple(h.number(1, 8) for _ in range(h.draw(st.integers(0 if h.wild else 1, n))))
    h.maybe(elementwise_affine=h.pick(True, False))
    if name == "LayerNorm":
        h.maybe(bias=h.pick(True, False))
    spec = h.spec(n, None)
    lasts = spec.split()[-len(shape) :] if shape else []
    likely = {s: size for s, size in zip(lasts, shape, strict=False) if not s.isdecimal()}
    whole = shape[0] if len(shape) == 1 and h.draw(st.booleans()) else shape
    return Layer(name, (whole,), h.kwargs, spec, likely)


def _activation(h: _Hyper, n: int) -> Layer:
    name = h.pick(*_ACTIVATIONS)
    names = _ACTIVATIONS[name].split()
    args: tuple[Any, ...] = (0.1, 20.0) if name == "Threshold" else ()
    likely = {}
    for hyper in names:
        if hyper == "dim":
            values = h.pick(0, 1, -1, -2, wild=(5, -6, 1.0))
        elif hyper == "num_parameters":
            values = likely["C"] = h.number(1, 4)
        else:
            values = h.pick(*_VALUES[hyper][0], wild=_VALUES[hyper][1])
        h.maybe(**{hyper: values})
    if not h.rarely():
        n = {"Dropout1d": 1, "Softmax2d": 2}.get(name, n)
    return Layer(name, args, h.kwargs, h.spec(n, likely.get("C")), likely)


_ACTIVATIONS = {
    **dict.fromkeys(["Sigmoid", "Tanh", "Softsign", "Tanhshrink", "LogSigmoid", "Softmax2d"], ""),
    **dict.fromkeys(["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish"], "inplace"),
    **dict.fromkeys(["Hardsigmoid", "LeakyReLU", "Threshold"], "inplace"),
    **dict.fromkeys(["ELU", "CELU"], "alpha inplace"),
    **dict.fromkeys(["Hardshrink", "Softshrink"], "lambd"),
    **dict.fromkeys(["Softmax", "Softmin", "LogSoftmax", "GLU"], "dim"),
    **dict.fromkeys(["Dropout", "Dropout1d", "Dropout2d", "Dropout3d"], "p inplace"),
    **dict.fromkeys(["AlphaDropout", "FeatureAlphaDropout"], "p inplace"),
    "GELU": "approximate",
    "Hardtanh": "min_val max_val",
    "RReLU": "lower upper",
    "Softplus": "beta threshold",
    "PReLU": "num_parameters init",
    "Identity": "inplace",
}
_VALUES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "inplace": ((True, False), ()),
    "alpha": ((1.0, 0.5), (0, -1.0)),
    "lambd": ((0.5, 0), (-1.0,)),
    "p": ((0, 0.5, 1), (-0.5, 1.5)),
    "approximate": (("none", "tanh"), ("erf",)),
    "min_val": ((-1.0, -2.0), (1.0, 4.0)),
    "max_val": ((1.0, 2.0), (-1.0, -4.0)),
    "lower": ((0.1,), (0.9,)),
    "upper": ((0.3,), (0.01,)),
    "beta": ((1.0, 2.0), ()),
    "threshold": ((20.0,), ()),
    "init": ((0.25,), ()),
}


def _pad(h: _Hyper, n: int) -> Layer:
    name = h.pick("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad")
    args = (0.5,) if name == "ConstantPad" else ()
    padding = h.per_axis(2 * n, -3, 4)
    if name == "CircularPad" and isinstance(padding, tuple):
        # torch reads memory that it never wrote where one side wraps what the other side cropped
        signs = [h.pick(1, -1) for _ in padding[::2]]
        padding = tuple(abs(p) * signs[i // 2] for i, p in enumerate(padding))
    return Layer(f"{name}{n}d", (padding, *args), {}, h.spec(n, None))


_MODES = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
_SCALES = (2, 2.0, 0.5, 1.5, 1 / 3, 0.29, 0.57, 0.7, 1.15, 1.4, 3, 0.9999999)


def _upsample(h: _Hyper, n: int) -> Layer:
    name = h.pick("Upsample", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
    n = n if name == "Upsample" else 2
    to_size, by_factor = (True, False) if h.draw(st.booleans()) else (False, True)
    if h.rarely():
        to_size = by_factor = h.draw(st.booleans())
    if to_size:
        h.kwargs["size"] = h.per_axis(n, 1, 8)
    if by_factor:
        factor = st.one_of(st.sampled_from(_SCALES), st.floats(0.05, 3.0))
        several = tuple(h.draw(factor) for _ in range(n + int(h.rarely())))
        one = h.pick(several[0], wild=(0, -1.0, [2.0, 2.0], inf, "wide"))
        h.kwargs["scale_factor"] = one if h.draw(st.booleans()) else several
    if name == "Upsample":
        modes = ("nearest", "nearest-exact", "area", *_MODES[n])
        mode = h.pick(*modes, wild=("linear", "bilinear", "trilinear", "cubic", "lanczos"))
        h.kwargs["mode"] = mode
        align = (
            h.pick(None, None, wild=(True, False))
            if "linear" not in mode
            else h.pick(None, True, False)
        )
        recompute = h.pick(None, False, wild=(True,)) if to_size else h.pick(None, True, False)
        h.maybe(align_corners=align, recompute_scale_factor=recompute)
    return Layer(name, (), h.kwargs, h.spec(n, None, batched=True))


def _linear(h: _Hyper, n: int) -> Layer:
    features = h.number(1, 8)
    h.maybe(bias=h.pick(True, False))
    last = "F" if features < 1 or h.draw(st.booleans()) else str(features)
    axes = [*"NHW"[: h.draw(st.integers(0, 3))], last]
    likely = {"F": max(features, 1)}
    return Layer("Linear", (features, h.number(1, 8)), h.kwargs, " ".join(axes), likely)


def _reshape(h: _Hyper, n: int) -> Layer:
    spec = h.spec(n, None)
    rank = len(spec.split())
    if h.draw(st.booleans()):
        start, end = sorted(h.number(0, rank - 1) for _ in range(2))
        start, end = (start, end) if not h.rarely() else (end, start)
        h.maybe(start_dim=start, end_dim=end if h.draw(st.booleans()) else end - rank)
        return Layer("Flatten", (), h.kwargs, spec)
    dim = h.number(0, rank - 1)
    parts = [h.number(1, 3) for _ in range(h.draw(st.integers(0 if h.wild else 1, 3)))]
    if parts and h.draw(st.booleans()):
        parts[h.draw(st.integers(0, len(parts) - 1))] = -1
    total = abs(prod(parts)) * (1 + (-1 in parts))
    axis = spec.split()[dim] if 0 <= dim < rank else ""
    likely = {axis: total} if axis.isidentifier() and total else {}
    dim = dim if h.draw(st.booleans()) else dim - rank
    return Layer("Unflatten", (dim, tuple(parts)), {}, spec, likely)


_DRAWERS = {
    "conv": _conv,
    "transposed": _transposed,
    "pool": _pool,
    "adaptive": _adaptive,
    "norm": _norm,
    "activation": _activation,
    "pad": _pad,
    "upsample": _upsample,
    "linear": _linear,
    "reshape": _reshape,
}

#: What `layers` can draw.
KINDS = tuple(_DRAWERS)


@st.composite
def layers(draw: Any, *kinds: str, valid: bool = False) -> Layer:
    """A layer of one of the `kinds` (all of `KINDS` by default), for 1, 2 or 3 axes.

    With ``valid=True`` its hyperparameters are ones that torch takes; an input may still be too
    small for it.
    """
    kind = draw(st.sampled_from(kinds or KINDS))
    n = draw(st.sampled_from((1, 2, 2, 3)))
    wild = not valid and draw(st.integers(0, 2)) == 0
    return _DRAWERS[kind](_Hyper(draw, wild), n)
