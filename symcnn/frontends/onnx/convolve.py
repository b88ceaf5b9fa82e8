"""Convolutions, pools, resizing, normalisation: torch's rules, behind a pad where ONNX asks more.

ONNX pads the two sides of an axis independently, torch alike. By the fusion law a pad followed by
a window without any is the window with those pads, so that is how it is written: `_windowed`. The
same holds for a transposed convolution followed by a crop, and for ``auto_pad``, whose pads are
formulas in the size: for ``SAME`` so much that ``ceil(x/stride)`` comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from symcnn.algebra.axis import IDENTITY, AxisMap, Const, Resample, Running, Whole, Window
from symcnn.algebra.size import SCALE_BOUND, Int, Size, ceildiv, maximum, minimum, prod
from symcnn.errors import DataDependent, ShapeMismatch, UnsupportedOperation
from symcnn.frontends.onnx.arrange import padded, windows_of
from symcnn.frontends.onnx.step import Outputs, Step, operator
from symcnn.ops.norm import KERNELS
from symcnn.ops.operation import rule
from symcnn.ops.registry import leading_axes, map_axes, require_equal, whole_axes
from symcnn.sets.condition import Condition
from symcnn.trace.graph import OPS, Result, SymbolicTensor, apply

# Windows --------------------------------------------------------------------------------------


def _pads(
    step: Step, space: Sequence[Int], kernel: Sequence[Int], dilations: Any, strides: Any
) -> tuple[list[Int], list[Int]]:
    """How much is padded before and after each axis."""
    n, auto = len(space), step.attribute("auto_pad", "NOTSET")
    if auto == "VALID":
        return [0] * n, [0] * n
    if auto == "NOTSET":
        pads = step.attribute("pads", (0,) * 2 * n)
        return list(pads[:n]), list(pads[n:])
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise ShapeMismatch(f"auto_pad={auto!r}", cure="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    totals = [
        _same(x, d * (k - 1) + 1, s)
        for x, k, d, s in zip(space, kernel, dilations, strides, strict=True)
    ]
    return _halves(totals, auto)


def _same(x: Int, extent: Int, stride: int) -> Int:
    """How much padding makes ``ceil(x/stride)`` come out."""
    total = (ceildiv(x, stride) - 1) * stride + extent - x
    return total if _is(extent, ">=", stride) else 0 if extent == 1 else maximum(total, 0)


def _is(a: Int, relation: Any, b: Int) -> bool:
    return Condition(a, relation, b).holds({}) if isinstance(a, int) else False


def _halves(totals: Sequence[Int], auto: str) -> tuple[list[Int], list[Int]]:
    """Total pads on both sides; the odd one goes after (SAME_UPPER) or before."""
    smaller = [total // 2 for total in totals]
    larger = [total - half for total, half in zip(totals, smaller, strict=True)]
    return (smaller, larger) if auto == "SAME_UPPER" else (larger, smaller)


def _windowed(
    op: str, x: SymbolicTensor, before: Any, after: Any, *rest: Any, **given: Any
) -> Outputs:
    """A rule that takes `padding`, after a pad of its own where the sides differ."""
    alike = all(
        a == b and isinstance(a, int) and a >= 0 for a, b in zip(before, after, strict=True)
    )
    if not alike:
        x, before = padded(x, before, after), [0] * len(before)
    return OPS[op](x, *rest, padding=tuple(before), **given)


def _space(step: Step, x: SymbolicTensor) -> int:
    """How many axes behind the channels."""
    n = x.ndim - 2
    if n not in (1, 2, 3):
        raise UnsupportedOperation(f"{step.op} of {n} axes has no rule")
    return n


def _spread(step: Step, name: str, n: int) -> tuple[int, ...]:
    return tuple(step.attribute(name, (1,) * n))


@operator("Conv", "ConvInteger", "QLinearConv")
def conv(step: Step) -> Outputs:
    """Convolution of 1, 2 or 3 axes."""
    quantised = step.op == "QLinearConv"
    x, weight = step.tensor(0), step.tensor(3 if quantised else 1)
    bias = step.optional(8 if quantised else 2) if step.op != "ConvInteger" else None
    n = _space(step, x)
    strides, dilations = _spread(step, "strides", n), _spread(step, "dilations", n)
    if weight.ndim != x.ndim:
        raise ShapeMismatch(f"a weight of {weight.ndim} axes for an input of {x.ndim}")
    kernel = weight.dims[2:]
    for told, have in zip(step.attribute("kernel_shape", kernel), kernel, strict=True):
        if told != have:
            raise ShapeMismatch(f"kernel_shape says {told}, the weight {have}")
    before, after = _pads(step, x.dims[2:], kernel, dilations, strides)
    return _windowed(
        f"conv{n}d",
        x,
        before,
        after,
        weight,
        bias,
        stride=strides,
        dilation=dilations,
        groups=step.attribute("group", 1),
    )


@operator("ConvTranspose")
def conv_transpose(step: Step) -> Outputs:
    """Transposed convolution, cropped where its pads differ or a size is asked for."""
    x, weight, bias = step.tensor(0), step.tensor(1), step.optional(2)
    n = _space(step, x)
    strides, dilations = _spread(step, "strides", n), _spread(step, "dilations", n)
    extra = tuple(step.attribute("output_padding", (0,) * n))
    extents = [d * (k - 1) + 1 for k, d in zip(weight.dims[2:], dilations, strict=True)]
    whole = [
        s * (size - 1) + o + r
        for size, s, o, r in zip(x.dims[2:], strides, extra, extents, strict=True)
    ]
    wanted, auto = step.attribute("output_shape"), step.attribute("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [size * s for size, s in zip(x.dims[2:], strides, strict=True)]
    if wanted is not None:
        wanted = list(wanted)[-n:]
        totals: list[Int] = [have - want for have, want in zip(whole, wanted, strict=True)]
        before, after = _halves(totals, "SAME_UPPER" if auto == "SAME_UPPER" else "LOWER")
    else:
        before, after = _pads(step, x.dims[2:], extents, (1,) * n, (1,) * n)
    fits = [
        isinstance(a, int) and a >= 0 and isinstance(b, int) and 0 <= o + a - b < max(s, d)
        for a, b, o, s, d in zip(before, after, extra, strides, dilations, strict=True)
    ]
    hyper: Any = {"stride": strides, "dilation": dilations, "groups": step.attribute("group", 1)}
    if all(fits):  # the sides differ by what torch calls output padding
        more = tuple(o + a - b for o, a, b in zip(extra, before, after, strict=True))
        return OPS[f"conv_transpose{n}d"](
            x, weight, bias, padding=tuple(before), output_padding=more, **hyper
        )
    out = apply(f"conv_transpose{n}d", x, weight, bias, **hyper)
    crop = [o - b for o, b in zip(extra, after, strict=True)]
    return padded(out, [-a for a in before], crop)


@rule("deform_conv")
def _deform_conv(
    input: SymbolicTensor, weight: SymbolicTensor, windows: Sequence[Window], groups: int = 1
) -> Result:
    """A convolution that reads where an offset says: anywhere."""
    requires = require_equal(
        input.dims[1], weight.dims[1] * groups, "the input must have the weight's channels"
    )
    sizes, fitting = map_axes(input.dims[2:], windows, "the kernel must fit into the padded input")
    dims = (input.dims[0], weight.dims[0], *sizes)
    axes = (*leading_axes(1), *((i + 1, Whole(d)) for i, d in enumerate(dims[1:])))
    each = prod(weight.dims[1:])
    return Result((dims,), axes, requires=(*requires, *fitting), each=each)


@operator("DeformConv")
def deform_conv(step: Step) -> Outputs:
    """Deformable convolution."""
    x, weight = step.tensor(0), step.tensor(1)
    n = x.ndim - 2
    strides, dilations = _spread(step, "strides", n), _spread(step, "dilations", n)
    before, after = _pads(step, x.dims[2:], weight.dims[2:], dilations, strides)
    windows = windows_of(weight.dims[2:], strides, before, after, dilations)
    return OPS["deform_conv"](x, weight, windows, step.attribute("group", 1))


# Pools ----------------------------------------------------------------------------------------


@operator("MaxPool", "AveragePool", "LpPool")
def pool(step: Step) -> Outputs:
    """Pools of 1, 2 or 3 axes. By the ceil law ``ceil_mode`` is a larger pad after."""
    x = step.tensor()
    n = _space(step, x)
    kernel = step.attribute("kernel_shape", ())
    strides, dilations = _spread(step, "strides", n), _spread(step, "dilations", n)
    before, after = _pads(step, x.dims[2:], kernel, dilations, strides)
    ceil, maximal = bool(step.attribute("ceil_mode", 0)), step.op == "MaxPool"
    if step.attribute("auto_pad", "NOTSET").startswith("SAME"):
        ceil = False
    torches = all(
        isinstance(a, int) and a == b and a <= k // 2
        for a, b, k in zip(before, after, kernel, strict=True)
    )
    dilated, pads = set(dilations) != {1}, tuple(before)
    if not torches or (not maximal and dilated) or step.op == "LpPool" or n == 3:
        if ceil:
            after = [
                minimum(b + s - 1, d * (k - 1))
                for b, s, d, k in zip(after, strides, dilations, kernel, strict=True)
            ]
        if not torches or ceil or dilated or step.op == "LpPool":  # of the padded input, no pads
            x, pads = padded(x, before, after), (0,) * n
            maximal = maximal or dilated  # as a window, one dilated pool is another
        ceil = False
    if maximal:
        indices = step.wants(1)
        return OPS[f"max_pool{n}d"](x, kernel, strides, pads, dilations, ceil, indices)
    return OPS[f"avg_pool{n}d"](x, kernel, strides, pads, ceil)


@operator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(step: Step) -> Outputs:
    """All of each map."""
    x = step.tensor()
    n, kind = x.ndim - 2, "max" if step.op == "GlobalMaxPool" else "avg"
    if n in (1, 2, 3):
        return OPS[f"adaptive_{kind}_pool{n}d"](x, (1,) * n if n > 1 else 1)
    return OPS["mean"](x, tuple(range(2, x.ndim)), True) if n else apply("identity", x)


@operator("MaxUnpool")
def max_unpool(step: Step) -> Outputs:
    """The inverse of a max pool."""
    x, places = step.tensor(0), step.tensor(1)
    n = x.ndim - 2
    kernel, strides = step.attribute("kernel_shape", ()), _spread(step, "strides", n)
    before, after = _pads(step, x.dims[2:], kernel, (1,) * n, strides)
    if step.has(2):
        return OPS["zeros"](step.numbers("output_shape", 2))
    if before != after:
        raise UnsupportedOperation("MaxUnpool with pads that differ has no rule")
    return OPS[f"max_unpool{n}d"](x, places, kernel, strides, tuple(before))


@rule("roi_pool")
def _roi_pool(input: SymbolicTensor, count: Int, sizes: Sequence[Int]) -> Result:
    """Regions of a map, each pooled to a fixed size."""
    dims = (count, input.dims[1], *sizes)
    axes = ((0, Whole(count)), (1, IDENTITY), *((2 + i, Whole(s)) for i, s in enumerate(sizes)))
    return Result((dims,), axes)


@operator("MaxRoiPool")
def max_roi_pool(step: Step) -> Outputs:
    """A pool per region."""
    return OPS["roi_pool"](step.tensor(), step.tensor(1).dims[0], step.attribute("pooled_shape"))


@operator("RoiAlign")
def roi_align(step: Step) -> Outputs:
    """The same, interpolated."""
    size = (step.attribute("output_height", 1), step.attribute("output_width", 1))
    return OPS["roi_pool"](step.tensor(), step.tensor(1).dims[0], size)


# Resizing -------------------------------------------------------------------------------------


@rule("resize_axes")
def _resize(input: SymbolicTensor, maps: Sequence[AxisMap]) -> Result:
    """Any axes stretched, one map each."""
    sizes, requires = map_axes(input.dims, maps, "the output must not be empty")
    return Result((sizes,), tuple(enumerate(maps)), requires=tuple(requires))


@operator("Resize", "Upsample")
def resize(step: Step) -> Outputs:
    """To sizes, or by scales, of any axes."""
    x = step.tensor()
    scales, sizes = _targets(step)
    axes = [a % x.ndim for a in step.attribute("axes", range(x.ndim))]
    if len(scales or sizes or ()) != len(axes):
        raise ShapeMismatch(f"{step.op}: {len(scales or sizes or ())} numbers for {len(axes)} axes")
    factors: dict[int, float] = {}
    targets: dict[int, Int] = {}
    for i, axis in enumerate(axes):
        if scales is not None:
            if scales[i] != 1:
                factors[axis] = scale_in_double(scales[i])
        elif sizes is not None and sizes[i] != x.dims[axis]:
            targets[axis] = sizes[i]
    policy = step.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch" and sizes is not None:
        targets = _in_proportion(x, axes, sizes, larger=policy == "not_smaller")
    n = x.ndim - 2
    if not factors and not targets:
        return OPS["identity"](x)
    mode = _torch_mode(step, n)
    if mode is not None and not {0, 1} & {*factors, *targets}:
        align = True if step.attribute(_HOW) == "align_corners" and "nearest" not in mode else None
        smooth = bool(step.attribute("antialias", 0))
        if factors:
            given: Any = {"scale_factor": tuple(factors.get(2 + i, 1.0) for i in range(n))}
        else:
            given = {"size": tuple(targets.get(2 + i, x.dims[2 + i]) for i in range(n))}
        return OPS["interpolate"](x, **given, mode=mode, align_corners=align, antialias=smooth)
    kind, align = _own_mode(step)
    maps: list[AxisMap] = [IDENTITY] * x.ndim
    for axis, factor in factors.items():
        own = Resample(factor, kind or "nearest", align)
        maps[axis] = own if kind else Whole(own.size(x.dims[axis]))
    for axis, target in targets.items():
        maps[axis] = Const(target, kind, align) if kind else Whole(target)
    return OPS["resize_axes"](x, maps)


_HOW = "coordinate_transformation_mode"


def _targets(step: Step) -> tuple[tuple[float, ...] | None, tuple[Int, ...] | None]:
    """Scales or sizes; in the first versions the scales are an attribute, or the second input."""
    if step.op == "Upsample" or step.version < 11:
        scales = step.floats("scales", 1)
        if scales is None and "height_scale" in step.attributes:
            given = step.attributes["height_scale"], step.attributes["width_scale"]
            scales = (1.0, 1.0, *given)
        return scales, None
    if step.has(3) and step.value(3).dims != (0,):
        return None, step.numbers("sizes", 3)
    return step.floats("scales", 2), None


def _in_proportion(
    x: SymbolicTensor, axes: Sequence[int], sizes: Sequence[Int], *, larger: bool
) -> dict[int, Int]:
    """One scale for all axes, so that none is larger, or smaller, than asked for."""
    have: list[Any] = [x.dims[axis] for axis in axes]
    if any(isinstance(v, Size) for v in (*have, *sizes)):
        raise DataDependent("keep_aspect_ratio_policy: which axis decides hangs on the sizes")
    ratios = [want / size for want, size in zip(sizes, have, strict=True)]
    scale = (max if larger else min)(ratios)
    return {a: int(scale * size + 0.5) for a, size in zip(axes, have, strict=True)}


def _torch_mode(step: Step, n: int) -> str | None:
    """Torch's name for how values are found, if it has one."""
    if n not in (1, 2, 3):
        return None
    kind, _ = _own_mode(step)
    if kind is None or (step.attribute("antialias", 0) and n != 2):
        return None
    return {
        "nearest": "nearest",
        "nearest-exact": "nearest-exact",
        "linear": {1: "linear", 2: "bilinear", 3: "trilinear"}[n],
        "cubic": "bicubic" if n == 2 else None,
    }[kind]


def _own_mode(step: Step) -> tuple[Any, bool]:
    """How places are found: a mode of `symcnn.algebra.axis`, or None for one it does not know."""
    mode = step.attribute("mode", "nearest")
    old = step.op == "Upsample" or step.version < 11
    how = step.attribute(_HOW, "asymmetric" if old else "half_pixel")
    rounding = step.attribute("nearest_mode", "floor" if old else "round_prefer_floor")
    if mode == "nearest":
        if (how, rounding) == ("asymmetric", "floor"):
            return "nearest", False
        exact = how in ("half_pixel", "pytorch_half_pixel") and rounding == "round_prefer_ceil"
        return ("nearest-exact", False) if exact else (None, False)
    kind = "linear" if mode in ("linear", "bilinear") else "cubic"
    if how in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        return kind, False
    return (kind, True) if how == "align_corners" else (None, False)


@lru_cache(maxsize=256)
def scale_in_double(scale: float) -> float:
    """The factor by which `symcnn` multiplies in double what ONNX multiplies in single precision.

    Both give ``floor(x*scale)`` for every size to `SCALE_BOUND`; where no factor does, the scale
    is refused. Source: the reference implementation and onnxruntime, which multiply floats.

    >>> scale_in_double(float(np.float32(1 / 3))) == 1 / 3
    True
    """
    single = np.float32(scale)
    x = np.arange(SCALE_BOUND + 1)
    want = np.floor(x.astype(np.float32) * single)
    ratio = float(Fraction(float(single)).limit_denominator(64))
    tried = [ratio, float(single), float(single) * (1 + 2**-24), float(single) * (1 + 2**-25)]
    for factor in tried:
        if np.array_equal(np.floor(x * factor), want):
            return factor
    raise UnsupportedOperation(
        f"a scale of {scale} rounds in single precision as no factor in double does",
        cure="export with sizes in place of scales",
    )


@operator("AffineGrid")
def affine_grid(step: Step) -> Outputs:
    """The grid of an affine map."""
    return OPS["affine_grid"](step.tensor(0), step.numbers("size", 1))


# Normalisation --------------------------------------------------------------------------------


@operator("BatchNormalization")
def batch_norm(step: Step) -> Outputs:
    """Point by point; the statistics are no parameters."""
    x = step.tensor(0)
    for i in (3, 4):
        step.run.is_buffer(step.value(i))
    weight, bias, mean, var = (step.tensor(i) for i in range(1, 5))
    if x.ndim not in (2, 3, 4, 5):
        why = "the input must have the channels the layer expects"
        need = require_equal(x.dims[1] if x.ndim > 1 else 1, weight.dims[0], why)
        out = apply("scale_channels", x, need)
    else:
        out = apply("batch_norm", x, mean, var, weight, bias)
    if not step.wants(1):
        return out
    copies = [apply("clone", t) for t in (mean, var)]
    return (out, *copies, *copies)[: step.outputs]


@rule("scale_channels")
def _scale_channels(input: SymbolicTensor, needs: Sequence[Any]) -> Result:
    """Point by point, if the channels are as many as expected."""
    return Result((input.dims,), tuple(leading_axes(input.ndim)), requires=tuple(needs))


@operator("InstanceNormalization")
def instance_norm(step: Step) -> Outputs:
    """Over each map."""
    return KERNELS["instance_norm"](step.tensor(0), None, None, step.tensor(1), step.tensor(2))


@operator("GroupNormalization")
def group_norm(step: Step) -> Outputs:
    """Over groups of channels."""
    x, groups = step.tensor(0), step.attribute("num_groups", 1)
    weight, bias = (step.tensor(1), step.tensor(2)) if step.version >= 21 else (None, None)
    return KERNELS["group_norm"](x, groups, weight, bias)


@operator("LayerNormalization", "RMSNormalization", "SkipLayerNormalization")
def layer_norm(step: Step) -> Outputs:
    """Over the last axes."""
    x, weight = step.tensor(0), step.tensor(1)
    axis = step.attribute("axis", -1)
    first = axis % x.ndim
    over = x.dims[first:]
    fits = weight.ndim == len(over)
    op = "rms_norm" if step.op == "RMSNormalization" else "layer_norm"
    others = [step.tensor(i) for i in range(2, len(step.inputs)) if step.has(i)]
    if op == "rms_norm":
        out = apply(op, x, over, weight if fits else None)
    else:
        out = apply(op, x, over, weight if fits else None, *others)
    if not step.wants(1):
        return out
    mean = apply("mean", x, tuple(range(first, x.ndim)), True)
    return (out, mean, mean)[: step.outputs]


# Recurrent ------------------------------------------------------------------------------------

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@rule("recurrent")
def _recurrent(
    input: SymbolicTensor,
    weight: SymbolicTensor,
    recurrence: SymbolicTensor,
    others: Sequence[SymbolicTensor],
    gates: int,
    states: int,
    batch_first: bool = False,
    forward: bool = False,
) -> Result:
    """One layer, forward, backward or in both directions: all outputs, and the last states."""
    directions, rows, features = weight.dims
    hidden = recurrence.dims[-1]
    length, batch = input.dims[:2][:: -1 if batch_first else 1]
    requires = require_equal(
        input.dims[2], features, "the input must have the features the layer expects"
    )
    requires += require_equal(rows, gates * hidden, "there must be a row per gate and unit")
    macs = length * batch * directions * rows * (features + hidden)
    every: tuple[Int, ...] = (length, directions, batch, hidden)
    last: tuple[Int, ...] = (directions, batch, hidden)
    if batch_first:
        every, last = (batch, length, directions, hidden), (batch, directions, hidden)
    time, lot = (1, 0) if batch_first else (0, 1)
    along: list[Any] = [(time, Running() if forward else Whole(length)), (None, IDENTITY)]
    sample, units = (lot, IDENTITY), (2, Whole(hidden))
    maps = (sample, *along, units) if batch_first else (*along, sample, units)
    state = (sample, along[1], units) if batch_first else (along[1], sample, units)
    shapes, parts = (every, *(last,) * states), (maps, *(state,) * states)
    return Result(shapes, maps, macs, tuple(requires), single=False, parts=parts)


@operator("LSTM", "GRU", "RNN")
def recurrent(step: Step) -> Outputs:
    """A recurrent layer."""
    x, weight, recurrence = (step.tensor(i) for i in range(3))
    others = [step.tensor(i) for i in range(3, len(step.inputs)) if step.has(i)]
    states = 2 if step.op == "LSTM" else 1
    layout = bool(step.attribute("layout", 0))
    forward = step.attribute("direction", "forward") == "forward"
    return OPS["recurrent"](x, weight, recurrence, others, _GATES[step.op], states, layout, forward)


@operator("DFT")
def dft(step: Step) -> Outputs:
    """A Fourier transform along an axis, the last axis being real and imaginary part."""
    x = step.tensor()
    axis = step.attribute("axis", 1) if step.version < 20 else step.number("axis", 2, -2)
    axis %= x.ndim
    length = step.number("dft_length", 1, x.dims[axis])
    onesided, inverse = bool(step.attribute("onesided", 0)), bool(step.attribute("inverse", 0))
    dims = list(x.dims)
    dims[axis] = length // 2 + 1 if onesided and not inverse else length
    if onesided and inverse and not step.has(1):
        dims[axis] = 2 * (x.dims[axis] - 1)
    dims[-1] = 1 if onesided and inverse else 2
    return OPS["transform"](x, tuple(dims))


@rule("transform")
def _transform(input: SymbolicTensor, dims: Sequence[Int]) -> Result:
    """A tensor of that shape, of which every place can read everything."""
    needs = tuple(Condition(d, ">=", 1, "the output must not be empty") for d in dims)
    return Result((tuple(dims),), whole_axes(dims), requires=needs)


@operator("STFT")
def stft(step: Step) -> Outputs:
    """Frames, and frequencies of each."""
    x, hop = step.tensor(), step.number("frame_step", 1)
    length = step.number("frame_length", 3, step.value(2).dims[0] if step.has(2) else None)
    frames = Window(length, hop).size(x.dims[1])
    bins = length // 2 + 1 if step.attribute("onesided", 1) else length
    return OPS["transform"](x, (x.dims[0], frames, bins, 2))


@operator("MelWeightMatrix")
def mel_weight_matrix(step: Step) -> Outputs:
    """A matrix of frequencies."""
    bands, length = step.number("num_mel_bins", 0), step.number("dft_length", 1)
    return OPS["zeros"]((length // 2 + 1, bands))
