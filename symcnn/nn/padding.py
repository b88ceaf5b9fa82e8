"""Padding layers. ``padding`` is one number, or (left, right) per axis, the last axis first."""

from typing import Any, ClassVar

from symcnn.nn.hyper import repeated
from symcnn.nn.layer import Layer
from symcnn.ops.registry import require_rank
from symcnn.trace.graph import SymbolicTensor, apply


class _Pad(Layer, op="pad"):
    padding: Any
    mode: ClassVar[str] = "constant"
    bare = ("padding",)

    def check(self) -> None:
        self.padding = repeated(self.padding, 2 * self.n, "padding")

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The padded input; negative pads crop."""
        return apply("pad", input, self.padding, self.mode)


class _CircularPad(_Pad):
    mode = "circular"

    def forward(self, input: SymbolicTensor) -> SymbolicTensor:
        """The padded input; negative pads crop."""
        require_rank(input, (self.n + 1, self.n + 2), type(self).__name__)
        return super().forward(input)


class CircularPad1d(_CircularPad):
    """As `torch.nn.CircularPad1d`."""


class CircularPad2d(_CircularPad):
    """As `torch.nn.CircularPad2d`."""


class CircularPad3d(_CircularPad):
    """As `torch.nn.CircularPad3d`."""


class _ConstantPad(_Pad):
    value: float


class ConstantPad1d(_ConstantPad):
    """As `torch.nn.ConstantPad1d`."""


class ConstantPad2d(_ConstantPad):
    """As `torch.nn.ConstantPad2d`."""


class ConstantPad3d(_ConstantPad):
    """As `torch.nn.ConstantPad3d`."""


class _ReflectionPad(_Pad):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    """As `torch.nn.ReflectionPad1d`."""


class ReflectionPad2d(_ReflectionPad):
    """As `torch.nn.ReflectionPad2d`."""


class ReflectionPad3d(_ReflectionPad):
    """As `torch.nn.ReflectionPad3d`."""


class _ReplicationPad(_Pad):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    """As `torch.nn.ReplicationPad1d`."""


class ReplicationPad2d(_ReplicationPad):
    """As `torch.nn.ReplicationPad2d`."""


class ReplicationPad3d(_ReplicationPad):
    """As `torch.nn.ReplicationPad3d`."""


class ZeroPad1d(_Pad):
    """As `torch.nn.ZeroPad1d`."""


class ZeroPad2d(_Pad):
    """As `torch.nn.ZeroPad2d`."""


class ZeroPad3d(_Pad):
    """As `torch.nn.ZeroPad3d`."""
