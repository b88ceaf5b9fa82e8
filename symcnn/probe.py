"""Receptive fields of a torch module by experiment: who changes when an input index changes.

A large number is added to one index of the input at a time, all indices in one batch. With
positive weights nothing cancels, and a maximum takes the changed place whoever wins otherwise; so
an output changes exactly if it reads the index. `gradient_support` asks autograd instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["gradient_support", "make_positive", "support"]


def make_positive(module: nn.Module) -> nn.Module:
    """All weights between 1/2 and 3/2, in double precision; batch norms that change nothing."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data.uniform_(0.5, 1.5, generator=generator)
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            norm.reset_running_stats()
    return module


class _NearestAsInSingle(TorchFunctionMode):
    """The nearest modes of `interpolate` pick, in double, the pixels they pick in single precision.

    On the CPU torch computes their indices in the image's own precision (in large images), so
    a double can pick the neighbour of what a float, or any dtype on a GPU, does.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        image = args[0] if args else kwargs.get("input")
        given = args[3] if len(args) > 3 else kwargs.get("mode", "nearest")
        if func is not F.interpolate or not str(given).startswith("nearest"):
            return func(*args, **kwargs)
        places = torch.arange(image[0, 0].numel(), dtype=torch.float32).reshape(image[:1, :1].shape)
        rest = {k: v for k, v in kwargs.items() if k != "input"}
        picked = func(places, *args[1:], **rest).long()
        return image.flatten(2)[..., picked.flatten()].unflatten(2, picked.shape[2:])


def support(module: nn.Module, shape: Sequence[int], axis: int) -> Any:
    """Whether output index i reads input index j along a spatial axis: a table, i by j.

    shape: of one input, batch 1 and channels in front. The module has positive weights.
    """
    length = shape[2 + axis]
    generator = torch.Generator().manual_seed(0)
    image = 1 + torch.rand(*shape, dtype=torch.float64, generator=generator)
    before = image.repeat(length, *[1] * (len(shape) - 1))
    after = before.clone()
    for j in range(length):
        after[j].select(1 + axis, j).add_(1e6)
    with torch.no_grad(), _NearestAsInSingle():
        changed = module(before) != module(after)
    other = [k for k in range(1, changed.ndim) if k != 2 + axis]
    return (changed.amax(other) if other else changed).T.numpy()


def gradient_support(module: nn.Module, shape: Sequence[int], axis: int) -> Any:
    """The same from gradients, one backward pass per output index; no max pooling in `module`."""
    image = torch.ones(*shape, dtype=torch.float64, requires_grad=True)
    output = module(image)
    other = [k for k in range(image.ndim) if k != 2 + axis]
    rows = []
    for i in range(output.shape[2 + axis]):
        (gradient,) = torch.autograd.grad(
            output.select(2 + axis, i).sum(), image, retain_graph=True, allow_unused=True
        )
        rows.append(torch.zeros(shape[2 + axis]) if gradient is None else gradient.abs().sum(other))
    return np.stack([row.detach().numpy() > 0 for row in rows])
