"""Lazy torch modules: the weight they would make, as a formula in the input's size.

A ``LazyLinear`` takes its ``in_features`` from the first input it sees. Traced, it sees all sizes
at once, so its weight has a symbolic shape, and its parameter count is a polynomial.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from symcnn.algebra.size import Int
from symcnn.ops.conv import group_channels
from symcnn.trace.graph import OPS, Constant, Parameter, SymbolicTensor


def is_lazy(module: torch.nn.Module) -> bool:
    """Whether the module still waits for its first input."""
    if not isinstance(module, LazyModuleMixin):
        return False  # most are not; asking a module for a missing attribute is slow
    lazy: Any = module
    return bool(lazy.has_uninitialized_params())


def lazy_parameters(module: nn.Module, x: SymbolicTensor, path: str) -> dict[str, Parameter | None]:
    """The weight and bias that `module` would make for the input `x`."""
    shapes: dict[str, tuple[Int, ...]]
    if isinstance(module, nn.LazyLinear):
        shapes = {"weight": (module.out_features, x.dims[-1]), "bias": (module.out_features,)}
    elif isinstance(module, nn.modules.conv._ConvNd):
        n = len(module.kernel_size)
        channels, out = x.dims[x.ndim - n - 1], module.out_channels
        lead = (
            (channels, group_channels(out, module.groups, "out_channels"))
            if module.transposed
            else (out, group_channels(channels, module.groups, "in_channels"))
        )
        shapes = {"weight": (*lead, *module.kernel_size), "bias": (out,)}
    else:  # a normalisation: one weight per channel
        shapes = {"weight": (x.dims[1],), "bias": (x.dims[1],)}
    wanted = dict(module.named_parameters(recurse=False))
    return {
        name: Parameter(shape, f"{path}.{name}".lstrip(".")) if name in wanted else None
        for name, shape in shapes.items()
    }


def call_lazy(
    module: nn.Module, x: SymbolicTensor, made: dict[str, Parameter | None]
) -> SymbolicTensor:
    """What `module` would compute with the parameters `made`."""
    weight, bias = made["weight"], made["bias"]
    if isinstance(module, nn.LazyLinear):
        return _tensor(OPS["linear"](x, weight, bias))
    if isinstance(module, nn.modules.conv._ConvNd):
        n = len(module.kernel_size)
        padding: Any = module.padding
        if module.transposed:
            return _tensor(
                OPS[f"conv_transpose{n}d"](
                    x,
                    weight,
                    bias,
                    module.stride,
                    padding,
                    module.output_padding,
                    module.groups,
                    module.dilation,
                )
            )
        if module.padding_mode != "zeros":
            pads = tuple(module._reversed_padding_repeated_twice)
            x, padding = OPS["pad"](x, pads, mode=module.padding_mode), 0
        return _tensor(
            OPS[f"conv{n}d"](
                x, weight, bias, module.stride, padding, module.dilation, module.groups
            )
        )
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        own = module.training or not module.track_running_stats
        return _tensor(OPS["instance_norm"](x, None, None, weight, bias, own))
    train = module.training or not module.track_running_stats
    running = Constant(x.dims[1:2], "running_mean") if module.track_running_stats else None
    return _tensor(OPS["batch_norm"](x, running, running, weight, bias, train))


def _tensor(value: Any) -> SymbolicTensor:
    assert isinstance(value, SymbolicTensor)
    return value
