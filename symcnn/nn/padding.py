"""Padding layers. ``padding`` is one number, or (left, right) per axis, the last axis first."""

from __future__ import annotations

from typing import Any, ClassVar

from symcnn.nn.hyper import repeated
from symcnn.nn.module import Module
from symcnn.ops.registry import require_rank
from symcnn.trace.graph import SymbolicTensor, apply

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    n: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        self.padding = repeated(padding, 2 * self.n, "padding")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The padded input; negative pads crop."""
        return apply("pad", input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The pads, as in torch."""
        return f"{self.padding}"


class _CircularPad(_Pad):
    mode = "circular"

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The padded input; negative pads crop."""
        require_rank(input, (self.n + 1, self.n + 2), type(self).__name__)
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """As `torch.nn.CircularPad1d`."""

    n = 1


class CircularPad2d(_CircularPad):
    """As `torch.nn.CircularPad2d`."""

    n = 2


class CircularPad3d(_CircularPad):
    """As `torch.nn.CircularPad3d`."""

    n = 3


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value


class ConstantPad1d(_ConstantPad):
    """As `torch.nn.ConstantPad1d`."""

    n = 1


class ConstantPad2d(_ConstantPad):
    """As `torch.nn.ConstantPad2d`."""

    n = 2


class ConstantPad3d(_ConstantPad):
    """As `torch.nn.ConstantPad3d`."""

    n = 3


class _ReflectionPad(_Pad):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    """As `torch.nn.ReflectionPad1d`."""

    n = 1


class ReflectionPad2d(_ReflectionPad):
    """As `torch.nn.ReflectionPad2d`."""

    n = 2


class ReflectionPad3d(_ReflectionPad):
    """As `torch.nn.ReflectionPad3d`."""

    n = 3


class _ReplicationPad(_Pad):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    """As `torch.nn.ReplicationPad1d`."""

    n = 1


class ReplicationPad2d(_ReplicationPad):
    """As `torch.nn.ReplicationPad2d`."""

    n = 2


class ReplicationPad3d(_ReplicationPad):
    """As `torch.nn.ReplicationPad3d`."""

    n = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)


class ZeroPad1d(_ZeroPad):
    """As `torch.nn.ZeroPad1d`."""

    n = 1


class ZeroPad2d(_ZeroPad):
    """As `torch.nn.ZeroPad2d`."""

    n = 2


class ZeroPad3d(_ZeroPad):
    """As `torch.nn.ZeroPad3d`."""

    n = 3
