"""Receptive fields of a torch module by experiment: who changes when an input index changes.

A huge number is added to one index of the input at a time, all indices in one batch. With positive
weights nothing cancels, and a maximum takes the changed place whoever wins otherwise; so an output
changes exactly if it reads the index. The weights of a layer average: numbers stay near 1, and what
reaches the end from one tap in 3 through hundreds of layers still shows beside them.
`gradient_support` asks autograd instead: a maximum shows only its winner, but an image is enough.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def make_positive(module: nn.Module) -> nn.Module:
    """Positive weights, about 1 in sum, in double precision; batch norms that change nothing."""
    module.eval()  # `train` may build layers, in the dtype that it has
    module.double()  # neither need return the module
    generator = torch.Generator().manual_seed(0)  # the same numbers on every device
    for parameter in module.parameters():
        drawn = torch.empty(parameter.shape, dtype=torch.float64)
        parameter.data.copy_(drawn.uniform_(0.5, 1.5, generator=generator))
        if parameter.dim():  # by those of one output, but of transposed ones
            parameter.data /= max(1, parameter[:1].numel())
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            norm.reset_running_stats()
    return module


class ExactPlaces(TorchFunctionMode):
    """`interpolate` reads, in double, the pixels that it stands for.

    The nearest modes pick what they pick in single precision: on the CPU torch computes their
    indices in the image's own precision (in large images), so a double can pick the neighbour of
    what a float, or any dtype on a GPU, does. Where corners are not aligned the others multiply and
    subtract at once (fused, which rounds once): a weight that is 0 may come out as 3e-17, and a
    huge number times that shows.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.interpolate:
            return func(*args, **kwargs)
        image = args[0] if args else kwargs["input"]
        given = args[3] if len(args) > 3 else kwargs.get("mode", "nearest")
        rest = {k: v for k, v in kwargs.items() if k != "input"}
        if str(given).startswith("nearest"):
            pixels = torch.arange(image[0, 0].numel(), dtype=torch.float32, device=image.device)
            picked = func(pixels.reshape(image[:1, :1].shape), *args[1:], **rest).long()
            return image.flatten(2)[..., picked.flatten()].unflatten(2, picked.shape[2:])
        if args[4] if len(args) > 4 else kwargs.get("align_corners"):
            return func(image, *args[1:], **rest)
        made = image
        for axis in range(2, image.ndim):  # one axis after the other
            length = image.shape[axis]
            one = torch.eye(length, dtype=image.dtype, device=image.device)
            alone = [length, *(length if a == axis else 1 for a in range(1, image.ndim))]
            rows = one.reshape(alone).expand(length, 1, *image.shape[2:])
            weights = func(rows, *args[1:], **rest).movedim(axis, 1).flatten(2)[..., 0]
            exact = torch.where(weights.abs() < 1e-12, 0, weights)
            made = (made.movedim(axis, -1) @ exact).movedim(-1, axis)
        return made


#: Beside numbers near 1 it shows through 450 layers of three taps each; it may grow by 1e100 too.
_HUGE = 1e200


def support(
    module: nn.Module, shape: Sequence[int], axis: int, *, turned: int | None = None
) -> np.ndarray:
    """Whether output index i reads input index j along a spatial axis: a table, i by j.

    shape: of one input, channels behind the batch. The module has positive weights.
    turned: the axis of the output that it becomes, where that is another one.
    """
    out = 2 + axis if turned is None else turned
    length = shape[2 + axis]
    generator = torch.Generator().manual_seed(0)
    image = 1 + torch.rand(*shape, dtype=torch.float64, generator=generator)

    def changes(before: torch.Tensor, places: Sequence[int], batch: bool) -> torch.Tensor:
        """Which outputs are other ones, where `places` are: each in an image of its own, or all in
        the one that is there.
        """
        after = before.clone()
        for i, j in enumerate(places):
            (after[i].select(1 + axis, j) if batch else after.select(2 + axis, j)).add_(_HUGE)
        with torch.no_grad(), ExactPlaces():
            # each on a module that has not run: cells of spiking networks keep what they saw
            changed = copy.deepcopy(module)(before) != copy.deepcopy(module)(after)
        kept = (0, out) if batch else (out,)
        other = [k for k in range(changed.ndim) if k not in kept]
        found: torch.Tensor = changed.any(other) if other else changed
        return found

    middle = length // 2
    alone = changes(image, [middle], batch=False)
    if shape[0] == 1:
        every = changes(image.repeat(length, *[1] * (len(shape) - 1)), range(length), batch=True)
        if every.shape[1:] == alone.shape and bool((every[middle] == alone).all()):
            return np.asarray(every.T.numpy())
    # images of one batch are no experiments of their own
    rows = [changes(image, [j], batch=False) for j in range(length)]
    return np.asarray(torch.stack(rows).T.numpy())


def gradient_support(
    module: nn.Module,
    shape: Sequence[int],
    axis: int,
    outputs: Sequence[int] | None = None,
    *,
    turned: int | None = None,
) -> np.ndarray:
    """The same from gradients, one backward pass per output index: all of them, or `outputs`.

    It runs where the module's parameters are. Of what a maximum reads only the winner shows.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    image = torch.ones(*shape, dtype=torch.float64, device=device, requires_grad=True)
    with ExactPlaces():
        output = copy.deepcopy(module)(image)
    other = [k for k in range(image.ndim) if k != 2 + axis]
    rows = []
    out = 2 + axis if turned is None else turned
    for i in range(output.shape[out]) if outputs is None else outputs:
        (gradient,) = torch.autograd.grad(
            output.select(out, i).sum(), image, retain_graph=True, allow_unused=True
        )
        row = torch.zeros(shape[2 + axis]) if gradient is None else gradient.abs().sum(other)
        rows.append(row.cpu().numpy() > 0)
    return np.stack(rows)
