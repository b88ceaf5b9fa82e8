"""How much arithmetic an operation is that is no multiply-accumulate.

The law: one per scalar function, comparison or addition. A pointwise operation takes 1 per element
that it makes, a reduction 1 per element that it reads; moving, viewing and making elements is free.
"""

from __future__ import annotations

from functools import partial

from symcnn.algebra.size import Int, prod
from symcnn.ops.operation import Work, torch_rule
from symcnn.trace.graph import Node


def nothing(node: Node) -> Int:
    """No arithmetic: what moves, makes or views elements."""
    return 0


#: A rule of what moves, makes or views elements.
moves = partial(torch_rule, other=nothing, slides=False)


def made(node: Node) -> Int:
    """One per element of the first tensor that it makes."""
    return prod(node.outputs[0].dims)


def read(node: Node) -> Int:
    """One per element of the first tensor that it reads."""
    return prod(node.inputs[0].dims)


def bias(node: Node) -> Int:
    """One addition per output element where there is a bias."""
    return made(node) if node.arguments.get("bias") is not None else 0


def times(factor: int, count: Work) -> Work:
    """A law, so many times."""
    return lambda node: count(node) * factor


def affine(node: Node) -> bool:
    """Whether a norm has weights."""
    return node.arguments.get("weight") is not None


def resize(node: Node) -> Int:
    """One per tap: 2 for linear, 4 for bilinear, 8 for trilinear, 16 for bicubic."""
    mode = node.arguments.get("mode", "bilinear" if "bilinear" in node.op else "nearest")
    taps = {"nearest": 0, "nearest-exact": 0, "linear": 2, "bilinear": 4, "trilinear": 8}
    if mode == "area":
        return read(node)
    return made(node) * taps.get(mode, 16)
