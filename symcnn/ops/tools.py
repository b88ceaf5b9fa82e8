"""What other tools count beside the MACs, by their own definitions.

Each value is what conventions count of a kind of layer, by the convention's name; an operation has
it as `counts`. Where a tool departs from its definition, docs/cost.md shows the case.
"""

from __future__ import annotations

from collections.abc import Mapping

from symcnn.algebra.size import Int, prod
from symcnn.ops.operation import Work
from symcnn.ops.work import affine, bias, made, read, times
from symcnn.trace.graph import Node

Counts = Mapping[str, Work]


def _fvcore_norm(node: Node) -> Int:
    """5 per element with an affine map, 4 without; batch norm in eval mode is folded: 2 and 1."""
    folded = not node.arguments.get("training", True)
    return (_by_affine(2, 1) if folded else _by_affine(5, 4))(node)


def _by_affine(with_weights: int, without: int) -> Work:
    """So many per element of a norm that has weights, and of one that has none."""
    return lambda node: read(node) * (with_weights if affine(node) else without)


def _fvcore_resize(node: Node) -> Int:
    if node.inputs[0].ndim != 4:
        return 0
    mode = node.arguments.get("mode", "bilinear" if "bilinear" in node.op else "nearest")
    return made(node) * {"nearest": 1, "bilinear": 4}.get(mode, 0)


def _thop_resize(node: Node) -> Int:
    mode = node.arguments.get("mode", "bilinear" if "bilinear" in node.op else "nearest")
    per = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259, "trilinear": 31}
    return made(node) * per.get(mode, 0)


def _thop_softmax(node: Node) -> Int:
    """An exponential and a division per element, and one addition fewer than elements per row."""
    x = node.inputs[0]
    axis = node.arguments.get("dim")
    rows = prod(d for i, d in enumerate(x.dims) if i != (axis or 0) % max(x.ndim, 1))
    return 3 * prod(x.dims) - rows


def _ptflops_relu6(node: Node) -> Int:
    """ReLU6 is hardtanh from 0 to 6; any other hardtanh is not counted."""
    bounds = node.arguments["min_val"], node.arguments["max_val"]
    return read(node) if bounds == (0, 6) else 0


BIAS: Counts = {"bias": bias}
BIASED: Counts = {"bias": bias, "ptflops": bias}
CONVOLUTION: Counts = {**BIASED, "torchinfo": lambda node: node.result.work + bias(node)}
ACTIVATION: Counts = {"ptflops": read}
MADE: Counts = {"ptflops": made}
PRELU: Counts = {"ptflops": read, "thop": read}
RELU6: Counts = {"ptflops": _ptflops_relu6}
SOFTMAX: Counts = {"ptflops": read, "thop": _thop_softmax}
AVERAGE: Counts = {"ptflops": read, "thop": made}
GLOBAL_AVERAGE: Counts = {"ptflops": read, "thop": lambda node: read(node) + made(node)}
GLOBAL_AVERAGE_2D: Counts = {"fvcore": read, **GLOBAL_AVERAGE}
GROUP_NORM: Counts = {"fvcore": _fvcore_norm, "ptflops": _by_affine(2, 1)}
NORM: Counts = {"thop": _by_affine(4, 2), **GROUP_NORM}
LAYER_NORM: Counts = {**NORM, "ptflops": read}
RESIZE: Counts = {"fvcore": _fvcore_resize, "thop": _thop_resize, "ptflops": made}
GRID: Counts = {"fvcore": times(4, made)}
