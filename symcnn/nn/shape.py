"""Layers that rearrange or resize: Flatten, Unflatten, Upsample."""

from __future__ import annotations

from typing import Any

import sympy

from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import each, whole
from symcnn.nn.module import Module
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = ["Flatten", "Unflatten", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Flatten(Module):
    """As `torch.nn.Flatten`: some axes as one, all but the batch by default.

    >>> Flatten().trace("N 512 H W").output_shape
    (N, 512*H*W)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The axes from `start_dim` to `end_dim` as one."""
        return apply("flatten", input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes, as in torch."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """As `torch.nn.Unflatten`: one axis as several; one size may be -1.

    >>> Unflatten(1, (16, -1)).trace("N 64 H").output_shape
    (N, 16, 4, H)
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        if not isinstance(unflattened_size, (tuple, list)):
            raise ShapeMismatch(f"unflattened_size={unflattened_size!r}", cure="give a tuple")
        self.dim, self.unflattened_size = dim, each(unflattened_size, "unflattened_size")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The axis `dim` as several."""
        return apply("unflatten", input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The axis and its new sizes, as in torch."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Upsample(Module):
    """As `torch.nn.Upsample`: to a size, or by a factor.

    >>> Upsample(scale_factor=2).trace("N 8 H W").output_shape
    (N, 8, 2*H, 2*W)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size = each(size, "size")
        if isinstance(scale_factor, tuple):
            self.scale_factor: Any = tuple(map(_factor, scale_factor))
        else:
            self.scale_factor = _factor(scale_factor) if scale_factor else None
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The resized input."""
        return apply(
            "interpolate",
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """Size or factor, and the mode, as in torch."""
        what = "size" if self.scale_factor is None else "scale_factor"
        return f"{what}={getattr(self, what)}, mode={self.mode!r}"


def _factor(value: Any) -> Any:
    if isinstance(value, sympy.Basic) and value.free_symbols:
        return whole(value, "scale_factor")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ShapeMismatch(
            f"scale_factor={value!r} is not a number", cure="give a number, or a tuple of them"
        ) from None


class UpsamplingNearest2d(Upsample):
    """As `torch.nn.UpsamplingNearest2d`."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """As `torch.nn.UpsamplingBilinear2d`."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
