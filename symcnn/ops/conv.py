"""Convolutions and their transposes.

Per axis a convolution is a `Window`, a transposed one a `Scatter`; channels mix whole. MACs of a
convolution count every output position, those of a transposed one every *input* position: that
is where the multiplications happen (``torch.utils.flop_counter`` agrees, many tools do not).
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

from symcnn.algebra.axis import IDENTITY, AxisMap, Scatter, Whole, Window
from symcnn.algebra.size import Int, Size, exact_div, exact_or_fail, maximum, prod
from symcnn.errors import ShapeMismatch
from symcnn.ops import dtypes, tools, work
from symcnn.ops.autograd import factors
from symcnn.ops.operation import Counted, Product
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    filled,
    map_axes,
    ntuple,
    of_shapes,
    of_sizes,
    require_equal,
    require_rank,
)
from symcnn.ops.storage import products
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import Node, Result, SymbolicTensor

# Which kernel torch takes hangs on dtype, batch, groups, elements, device. Its own, of which meta
# has the checks, refuses an empty output.
_NOT_EMPTY = "the output must not be empty: of the kernels of torch oneDNN and cuDNN alone make one"


def _convolution(
    n: int,
    input: SymbolicTensor,
    weight: SymbolicTensor,
    bias: SymbolicTensor | None = None,
    stride: OneOrMore[Int] = 1,
    padding: OneOrMore[Int] = 0,
    dilation: OneOrMore[Int] = 1,
    groups: Int = 1,
) -> Result:
    op = f"conv{n}d"
    require_rank(input, (n + 1, n + 2), op)
    require_rank(weight, (n + 2,), f"the weight of {op}")
    strides, dilations = ntuple(stride, n, "stride"), ntuple(dilation, n, "dilation")
    needs = at_least("stride", strides, 1) + at_least("dilation", dilations, 1)
    needs += at_least("groups", (groups,), 1)
    c_out, c_group, *kernel = weight.dims
    needs += at_least("kernel_size", kernel, 1) + _some(weight, out_channels=c_out)

    if isinstance(padding, str):
        if padding == "same":
            if any(s != 1 for s in strides):
                raise ShapeMismatch(f'{op}: padding="same" needs stride 1, not {strides}')
            windows = [Window.same(k, d) for k, d in zip(kernel, dilations, strict=True)]
        elif padding == "valid":
            windows = [
                Window.conv(k, s, 0, d) for k, s, d in zip(kernel, strides, dilations, strict=True)
            ]
        else:
            raise ShapeMismatch(f"{op}: padding={padding!r}", cure='"same", "valid" or numbers')
    else:
        pads = ntuple(padding, n, "padding")
        needs += at_least("padding", pads, 0)
        windows = [
            Window.conv(*hyper) for hyper in zip(kernel, strides, pads, dilations, strict=True)
        ]

    batch, channels, space = input.dims[: -n - 1], input.dims[-n - 1], input.dims[-n:]
    requires = _channels(op, channels, c_group * groups, c_out, groups, bias)
    requires += filled(input, space) + needs
    sizes, fitting = map_axes(space, windows, "the kernel must fit into the padded input")
    each = c_group * prod(kernel)
    axes = _axes(len(batch), Whole(c_out), tuple(windows))
    requires += fitting
    made = 0 if c_group == 0 else c_out  # of no channels torch makes none
    return Result(((*batch, made, *sizes),), axes, requires=tuple(requires), each=each)


def _transposed(
    n: int,
    input: SymbolicTensor,
    weight: SymbolicTensor,
    bias: SymbolicTensor | None = None,
    stride: OneOrMore[Int] = 1,
    padding: OneOrMore[Int] = 0,
    output_padding: Any = 0,
    groups: Int = 1,
    dilation: OneOrMore[Int] = 1,
) -> Result:
    op = f"conv_transpose{n}d"
    require_rank(input, (n + 1, n + 2), op)
    require_rank(weight, (n + 2,), f"the weight of {op}")
    strides, dilations = ntuple(stride, n, "stride"), ntuple(dilation, n, "dilation")
    pads, extra = ntuple(padding, n, "padding"), ntuple(output_padding, n, "output_padding")
    needs: list[Requirement] = []
    for name, values, bound in (
        ("stride", strides, 1),
        ("dilation", dilations, 1),
        ("groups", (groups,), 1),
        ("padding", pads, 0),
        ("output_padding", extra, 0),
    ):
        needs += at_least(name, values, bound)
    for o, s, d in zip(extra, strides, dilations, strict=True):
        if isinstance(o, Size) or isinstance(s, Size) or isinstance(d, Size):
            why = f"{op}: the output_padding is smaller than the stride or the dilation"
            needs += of_sizes([Condition(maximum(s, d), ">=", o + 1, why)])
        elif o >= max(s, d):
            raise ShapeMismatch(
                f"{op}: output_padding={o}",
                cure=f"it must be smaller than stride={s} or dilation={d}",
            )
    c_in, c_group, *kernel = weight.dims
    needs += at_least("kernel_size", kernel, 1) + _some(
        weight, in_channels=c_in, out_channels=c_group
    )
    scatters = [
        Scatter(d * (k - 1) + 1, s, p, o, d)
        for k, s, p, o, d in zip(kernel, strides, pads, extra, dilations, strict=True)
    ]
    batch, channels, space = input.dims[: -n - 1], input.dims[-n - 1], input.dims[-n:]
    c_out = c_group * groups
    requires = _channels(op, channels, c_in, c_out, groups, bias) + filled(input, space) + needs
    requires += _splits(c_in, groups, f"{op}: {c_in} input channels do not split into the groups")
    sizes, fitting = map_axes(space, scatters, _NOT_EMPTY)
    macs = prod((*batch, *space)) * (c_in * c_group * prod(kernel))
    axes = _axes(len(batch), Whole(c_out), tuple(scatters))
    return Result(((*batch, c_out, *sizes),), axes, macs, (*requires, *fitting))


@lru_cache(maxsize=1024)  # equal layers share them: of a deep network they are most of a layer
def _axes(batch: int, channels: AxisMap, space: tuple[AxisMap, ...]) -> Any:
    maps = [*[IDENTITY] * batch, channels, *space]
    return tuple(enumerate(maps))


def _channels(
    op: str, have: Int, want: Int, c_out: Int, groups: Int, bias: SymbolicTensor | None
) -> list[Requirement]:
    requires = _splits(c_out, groups, f"{op}: {c_out} output channels do not split into the groups")
    requires += require_equal(have, want, "the input must have the channels the weight expects")
    if bias is not None:
        if bias.ndim != 1:
            raise ShapeMismatch(f"{op}: the bias is {bias.ndim}-d, not 1-d")
        requires += require_equal(
            bias.dims[0], c_out, f"{op}: there must be a bias per output channel"
        )
    return requires


def _some(weight: SymbolicTensor, **channels: Int) -> list[Requirement]:
    """That a kernel has channels: with none torch convolves on meta only."""
    for name, count in channels.items():
        if isinstance(count, int):
            at_least(name, (count,), 1)
    return [*filled(weight, channels.values())]


def _splits(channels: Int, groups: Int, why: str) -> list[Requirement]:
    return require_equal(channels % groups, 0, why) if isinstance(channels, int) else []


def group_channels(channels: Int, groups: Int, name: str) -> Int:
    """``channels/groups``. Raises ShapeMismatch if it leaves a remainder."""
    whole = exact_div(channels, groups) if groups != 0 else None
    if whole is not None:
        return whole
    if isinstance(channels, Size) or isinstance(groups, Size):
        return exact_or_fail(channels, groups)  # taken to divide: a symbol for a layer that exists
    raise ShapeMismatch(f"{name}={channels} is not divisible by groups={groups}")


def _counted_macs(node: Node) -> Int:
    """Those of the convolutions that torch runs: of complex numbers it runs three of real ones."""
    times = 3 if node.inputs[0].dtype.startswith("complex") else 1
    return node.result.work * times


def _counted_convolution(node: Node) -> list[Product]:
    """FlopCounterMode counts the gradient of a grouped weight as often as there are groups."""
    macs, groups = _counted_macs(node), node.arguments["groups"]
    return [Product((node.inputs[0],), (node.inputs[1],), macs, macs * groups)]


_rule = partial(
    rule,
    other=work.bias,
    counts=tools.CONVOLUTION,
    products=factors(0, 1),
    counted=Counted(_counted_macs, _counted_convolution),
    saves=products.convolution,
    same_dtype="input weight bias",
    autocast=dtypes.LOW,
    shows="every",
)
_convolves = partial(_rule, takes="int float complex")
_scatters = partial(_rule, takes="int64 float complex", same_dtype="input weight")
conv1d = _convolves("conv1d")(of_shapes(partial(_convolution, 1)))
conv2d = _convolves("conv2d")(of_shapes(partial(_convolution, 2)))
conv3d = _convolves("conv3d")(of_shapes(partial(_convolution, 3)))
conv_transpose1d = _scatters("conv_transpose1d")(of_shapes(partial(_transposed, 1)))
conv_transpose2d = _scatters("conv_transpose2d")(of_shapes(partial(_transposed, 2)))
conv_transpose3d = _scatters(
    "conv_transpose3d", saves=products.scattered, same_dtype="input weight bias"
)(of_shapes(partial(_transposed, 3)))
