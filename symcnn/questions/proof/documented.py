"""What torch's documentation says of the sizes of a layer, as conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from symcnn.algebra.size import Int
from symcnn.errors import SymcnnError
from symcnn.ops.registry import ntuple
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.graph import Node


def stated_in_documentation(node: Node) -> dict[int, list[Requirement]]:
    """Per spatial axis, from the right, what torch's documentation says of its output size."""
    op = node.op.removesuffix("_with_indices")
    kind, n = op[:-2], op[-2:]
    if kind not in _DOCUMENTED or n not in ("1d", "2d", "3d") or node.call is None:
        return {}
    count = int(n[0])
    try:
        arguments = node.arguments
        return {
            axis: _DOCUMENTED[kind](arguments, count, axis, node.outputs[0].dims[axis])
            for axis in range(-count, 0)
        }
    except (SymcnnError, TypeError, KeyError):
        return {}


def _one(given: Mapping[str, Any], name: str, n: int, axis: int, default: Any = None) -> Any:
    value = given.get(name, default)
    return ntuple(default if value is None or value == () else value, n, name)[axis]


def _floor(numerator: Int, stride: Int, t: Int) -> list[Requirement]:
    """``t == floor(numerator/stride + 1)``, without a floor."""
    return [
        Condition(numerator - stride * (t - 1), ">=", 0),
        Condition(stride * t - 1 - numerator, ">=", 0),
    ]


def _conv(given: Mapping[str, Any], n: int, axis: int, t: Int) -> list[Requirement]:
    """Conv2d: ``floor((x + 2p - d(k - 1) - 1)/s + 1)``; "same": as large as the input."""
    x, kernel = given["input"].dims[axis], given["weight"].dims[axis]
    stride, dilation = (_one(given, name, n, axis) for name in ("stride", "dilation"))
    if given["padding"] == "same":
        return [Condition(t, "==", x)]
    padding = 0 if given["padding"] == "valid" else _one(given, "padding", n, axis)
    return _floor(x + 2 * padding - dilation * (kernel - 1) - 1, stride, t)


def _transposed(given: Mapping[str, Any], n: int, axis: int, t: Int) -> list[Requirement]:
    """ConvTranspose2d: ``(x - 1)s - 2p + d(k - 1) + o + 1``."""
    x, kernel = given["input"].dims[axis], given["weight"].dims[axis]
    s, p, d, o = (
        _one(given, name, n, axis) for name in ("stride", "padding", "dilation", "output_padding")
    )
    return [Condition(t, "==", (x - 1) * s - 2 * p + d * (kernel - 1) + o + 1)]


def _pool(given: Mapping[str, Any], n: int, axis: int, t: Int) -> list[Requirement]:
    """MaxPool2d, AvgPool2d: the same floor; in ceil mode the ceiling o, less one if the last window
    would start past the input and the left padding (``pooling_output_shape``, ATen/native/Pool.h).
    """
    x, kernel = given["input"].dims[axis], _one(given, "kernel_size", n, axis)
    s = _one(given, "stride", n, axis, given["kernel_size"])
    p, d = _one(given, "padding", n, axis, 0), _one(given, "dilation", n, axis, 1)
    numerator = x + 2 * p - d * (kernel - 1) - 1
    if not given["ceil_mode"]:
        return _floor(numerator, s, t)

    def ceiling(o: Int) -> list[Condition]:  # o == ceil(numerator/s) + 1
        return [
            Condition(numerator - 1 - s * (o - 2), ">=", 0),
            Condition(s * (o - 1) - numerator, ">=", 0),
        ]

    kept = [*ceiling(t), Condition(x + p - 1 - (t - 1) * s, ">=", 0)]
    dropped = [*ceiling(t + 1), Condition(t * s - x - p, ">=", 0)]
    return [AnyOf((a, b)) for a in kept for b in dropped]


_DOCUMENTED: dict[str, Callable[..., list[Requirement]]] = {
    "conv": _conv,
    "conv_transpose": _transposed,
    "max_pool": _pool,
    "avg_pool": _pool,
    "lp_pool": _pool,
}
