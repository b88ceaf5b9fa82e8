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

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from inspect import signature
from math import inf, prod
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from symcnn.testing.layer import Drawn, Hyper, Layer, Source
from symcnn.testing.several import SEVERAL, along

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn


def _kernel_most(n: int) -> int:
    return 3 if n == 3 else 5


def _conv(h: Hyper, n: int) -> Layer:
    groups = h.number(1, 2)
    split = max(groups, 1)
    c_in, c_out = (split * h.number(1, 2) + int(h.rarely()) for _ in range(2))
    same = h.pick(None, None, "same", "valid", wild=("full", "Same"))
    stride = 1 if same == "same" and not h.rarely() else h.per_axis(n, 1, 4)
    mode = h.pick("zeros", "zeros", "zeros", "reflect", "replicate", "circular", wild=("wrap",))
    h.kwargs["padding"] = h.per_axis(n, 0, 4) if same is None else same
    h.maybe(stride=stride, dilation=h.per_axis(n, 1, 3), groups=groups, padding_mode=mode)
    h.maybe(bias=h.source.flip())
    args = (c_in, c_out, h.per_axis(n, 1, _kernel_most(n)))
    return Layer(f"Conv{n}d", args, h.kwargs, h.spec(n, c_in), {"C": c_in})


def _transposed(h: Hyper, n: int) -> Layer:
    groups = h.number(1, 2)
    split = max(groups, 1)
    c_in, c_out = (split * h.number(1, 2) + int(h.rarely()) for _ in range(2))
    stride, dilation = h.per_axis(n, 1, 4), h.per_axis(n, 1, 3)
    extra = tuple(h.number(0, max(along(stride, i), along(dilation, i), 1) - 1) for i in range(n))
    if not all(along(dilation, i) for i in range(n)):
        dilation = 1  # oneDNN takes dilation=0 for a kernel of 1, nothing else does
    h.kwargs.update(stride=stride, dilation=dilation, output_padding=extra)
    h.maybe(padding=h.per_axis(n, 0, 4), groups=groups, bias=h.source.flip())
    h.maybe(padding_mode=h.pick("zeros", wild=("reflect",)))
    args = (c_in, c_out, h.per_axis(n, 1, _kernel_most(n)))
    return Layer(f"ConvTranspose{n}d", args, h.kwargs, h.spec(n, c_in), {"C": c_in})


def _pool(h: Hyper, n: int) -> Layer:
    name = h.pick("MaxPool", "AvgPool", "LPPool")
    kernel = h.per_axis(n, 1, 5)
    dilation = h.per_axis(n, 1, 3) if name == "MaxPool" else 1
    pads = tuple(h.number(0, max(along(kernel, i), 0) // 2) for i in range(n))
    stride = h.pick(None, 0, wild=((),))
    h.maybe(stride=h.per_axis(n, 1, 4) if stride == 0 else stride, ceil_mode=h.pick(True, False))
    args: tuple[Any, ...] = (kernel,)
    if name == "LPPool":
        kernel = kernel if n > 1 or h.rarely() else along(kernel, 0)
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


def _adaptive(h: Hyper, n: int) -> Layer:
    name = h.pick("AdaptiveAvgPool", "AdaptiveMaxPool")
    if name == "AdaptiveMaxPool":
        h.maybe(return_indices=h.pick(True, False))
    size: object = h.per_axis(n, 1, 8)
    if isinstance(size, tuple) and n > 1:
        size = tuple(s if h.source.integer(0, 3) else None for s in size)
    return Layer(f"{name}{n}d", (size,), h.kwargs, h.spec(n, None))


def _norm(h: Hyper, n: int) -> Layer:
    name = h.pick("BatchNorm", "InstanceNorm", "GroupNorm", "LayerNorm", "RMSNorm", "LRN")
    h.maybe(eps=h.pick(1e-5, 1e-3, wild=(0.0, -1.0)))
    if name in ("BatchNorm", "InstanceNorm"):
        channels = h.number(1, 4)
        h.maybe(affine=h.pick(True, False), track_running_stats=h.pick(True, False))
        h.maybe(bias=h.pick(True, False), momentum=h.pick(0.1, None))
        spec = h.spec(n, channels, batched=name == "BatchNorm" or None)
        if name == "BatchNorm" and n == 1 and h.source.flip():
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
    shape = tuple(h.number(1, 8) for _ in range(h.source.integer(0 if h.wild else 1, n)))
    h.maybe(elementwise_affine=h.pick(True, False))
    if name == "LayerNorm":
        h.maybe(bias=h.pick(True, False))
    spec = h.spec(n, None)
    lasts = spec.split()[-len(shape) :] if shape else []
    likely = {s: size for s, size in zip(lasts, shape, strict=False) if not s.isdecimal()}
    whole = shape[0] if len(shape) == 1 and h.source.flip() else shape
    return Layer(name, (whole,), h.kwargs, spec, likely)


def _activation(h: Hyper, n: int) -> Layer:
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


def _pad(h: Hyper, n: int) -> Layer:
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


def _factor(h: Hyper) -> float:
    return h.source.choose(_SCALES) if h.source.flip() else h.source.real(0.05, 3.0)


def _upsample(h: Hyper, n: int) -> Layer:
    name = h.pick("Upsample", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
    n = n if name == "Upsample" else 2
    to_size, by_factor = (True, False) if h.source.flip() else (False, True)
    if h.rarely():
        to_size = by_factor = h.source.flip()
    if to_size:
        h.kwargs["size"] = h.per_axis(n, 1, 8)
    if by_factor:
        several = tuple(_factor(h) for _ in range(n + int(h.rarely())))
        one = h.pick(several[0], wild=(0, -1.0, [2.0, 2.0], inf, "wide"))
        h.kwargs["scale_factor"] = one if h.source.flip() else several
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


def _scale(h: Hyper, n: int) -> Layer:
    """The law of float scales, over sizes up to 5000: ``trunc(double(x) * scale)``."""
    h.kwargs["scale_factor"] = _factor(h)
    h.kwargs["mode"] = h.pick("nearest", "nearest-exact", "linear", "area")
    h.maybe(recompute_scale_factor=h.pick(None, True, False))
    return Layer("Upsample", (), h.kwargs, "1 1 L", most=5000)


def _linear(h: Hyper, n: int) -> Layer:
    features = h.number(1, 8)
    h.maybe(bias=h.pick(True, False))
    last = "F" if features < 1 or h.source.flip() else str(features)
    axes = [*"NHW"[: h.source.integer(0, 3)], last]
    likely = {"F": max(features, 1)}
    return Layer("Linear", (features, h.number(1, 8)), h.kwargs, " ".join(axes), likely)


def _reshape(h: Hyper, n: int) -> Layer:
    spec = h.spec(n, None)
    rank = len(spec.split())
    if h.source.flip():
        start, end = sorted(h.number(0, rank - 1) for _ in range(2))
        start, end = (start, end) if not h.rarely() else (end, start)
        h.maybe(start_dim=start, end_dim=end if h.source.flip() else end - rank)
        return Layer("Flatten", (), h.kwargs, spec)
    dim = h.number(0, rank - 1)
    parts = [h.number(1, 3) for _ in range(h.source.integer(0 if h.wild else 1, 3))]
    if parts and h.source.flip():
        parts[h.source.integer(0, len(parts) - 1)] = -1
    total = abs(prod(parts)) * (1 + (-1 in parts))
    axis = spec.split()[dim] if 0 <= dim < rank else ""
    likely = {axis: total} if axis.isidentifier() and total else {}
    dim = dim if h.source.flip() else dim - rank
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
    "scale": _scale,
    **SEVERAL,
}

#: What `layers` can draw.
KINDS = tuple(_DRAWERS)


def draw_layer(source: Source, kinds: Sequence[str] = (), *, valid: bool = False) -> Layer:
    """A layer of one of the `kinds` (all of `KINDS` by default), from numbers of `source`."""
    kind = source.choose(kinds or KINDS)
    n = source.choose((1, 2, 2, 3))
    wild = not valid and source.integer(0, 2) == 0
    found = _DRAWERS[kind](Hyper(source, wild), n)
    return replace(found, kwargs={k: v for k, v in found.kwargs.items() if _has(found.name, k)})


@cache
def _has(layer: str, keyword: str) -> bool:
    """Whether the torch that is installed has this keyword of a layer (norms have a `bias` from
    torch 2.13 on).
    """
    import torch

    keywords = signature(getattr(torch.nn, layer)).parameters
    return keyword in keywords or "kwargs" in keywords


def draw_sizes(source: Source, layer: Layer) -> dict[str, int]:
    """Sizes for the symbols of the layer's specs: 1 to `layer.most`, batches up to 3."""
    found = {}
    for name in layer.symbols:
        if name in layer.likely and source.integer(0, 4):
            found[name] = layer.likely[name]
        else:
            found[name] = source.integer(1, 3 if name == "N" else layer.most)
    return found


@st.composite
def layers(draw: DrawFn, *kinds: str, valid: bool = False) -> Layer:
    """A layer of one of the `kinds` (all of `KINDS` by default), for 1, 2 or 3 axes.

    With ``valid=True`` its hyperparameters are ones that torch takes; an input may still be too
    small for it.
    """
    return draw_layer(Drawn(draw), kinds, valid=valid)


@st.composite
def sizes(draw: DrawFn, layer: Layer) -> dict[str, int]:
    """Sizes for the symbols of the layer's specs."""
    return draw_sizes(Drawn(draw), layer)
