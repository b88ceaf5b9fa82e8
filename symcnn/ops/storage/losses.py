"""What losses keep, and how large their terms are on the way to one number."""

from __future__ import annotations

from symcnn.algebra.size import Int, prod
from symcnn.ops.storage.layouts import KeptUnknownError, UnknownError
from symcnn.ops.storage.memory import Memory, out
from symcnn.trace.graph import Node

#: From so many points on, distances are computed as a product of matrices. Source: ATen.
_MANY = 25


def of_both(m: Memory, node: Node) -> None:
    """All tensors; one number per element lies as these do."""
    if node.op in ("mse_loss", "huber_loss") and node.arguments.get("weight") is not None:
        raise UnknownError("with a weight")
    if node.arguments.get("beta") == 0:
        raise UnknownError("without a parabola")
    m.save(*node.inputs)
    _place(m, node)


def shrunk(m: Memory, node: Node) -> None:
    """The same. Torch makes a single number as large as its terms: memory does not shrink."""
    of_both(m, node)
    if not node.outputs[0].dims:
        m.of(node.outputs[0]).storage.elements = _elements(node)


def _place(m: Memory, node: Node) -> None:
    """One number per element lies as these do; a single one anywhere."""
    if node.outputs[0].dims:
        out(m, node)
    else:
        m.place(m.fresh(()))


def _elements(node: Node, names: tuple[str, str] = ("input", "target")) -> Int:
    """As many terms as two tensors have together."""
    one, other = (tuple(reversed(node.arguments[name].dims)) for name in names)
    longer, shorter = sorted((one, other), key=len, reverse=True)
    pairs = zip(longer, shorter + (1,) * (len(longer) - len(shorter)), strict=True)
    return prod(b if a == 1 else a for a, b in pairs)


def distance(m: Memory, node: Node) -> None:
    """The differences, each with a small number added, and the result."""
    if node.arguments["p"] != 2:
        raise UnknownError("of another order")
    count = _elements(node, ("x1", "x2"))
    m.extra(count)
    m.fresh((2 * count,))
    m.place(m.fresh(node.outputs[0].dims))
    m.save(node.outputs[0])


def cosine(m: Memory, node: Node) -> None:
    """Of each tensor with a gradient itself, its norms and these again, clamped, and the other
    one divided by its norms. On the way all of these are made, their product, and the clamp.
    """
    tensors = node.inputs[:2]
    every, norms = _elements(node, ("x1", "x2")), prod(node.outputs[0].dims)
    for t in tensors:
        if m.needs(t):
            m.save(t)
            for count in (norms, norms, every):
                m.extra(count)
    m.fresh((3 * every + 2 * norms + 1,))
    m.place(m.fresh(node.outputs[0].dims))


def distances(m: Memory, node: Node) -> None:
    """Both sets and the distances. Many points are copied where they do not lie in order."""
    one, other = node.inputs[:2]
    m.place(m.fresh(node.outputs[0].dims))
    m.save(one, other, node.outputs[0])
    if one.dims[:-2] != other.dims[:-2]:
        raise KeptUnknownError("over batches that are stretched")
    few = all(isinstance(t.dims[-2], int) and t.dims[-2] <= _MANY for t in (one, other))
    if not few and not all(m.of(t).contiguous for t in (one, other)):
        raise KeptUnknownError("of many points that lie in another order")


def absolute(m: Memory, node: Node) -> None:
    """The difference, of which the sign matters."""
    if node.arguments.get("weight") is not None:
        raise UnknownError("with a weight")
    terms, many = _elements(node), bool(node.outputs[0].dims)
    m.extra(terms)
    _place(m, node)
    m.fresh((terms if many else 2 * terms,))


def divergence(m: Memory, node: Node) -> None:
    """The factors of ``target*input``; of logarithms, ``exp(target)`` and the difference."""
    input, target = node.arguments["input"], node.arguments["target"]
    terms, many = _elements(node), bool(node.outputs[0].dims)
    if not node.arguments.get("log_target"):
        m.save(target, input if m.needs(target) else None)
    else:
        m.extra(prod(target.dims))
        if m.needs(target):
            m.extra(terms)
    _place(m, node)
    m.fresh((2 * terms if many else 3 * terms - 1,))  # both terms, and then their difference


def of_classes(m: Memory, node: Node) -> None:
    """The logarithms (`cross_entropy` makes them), the classes and the sum of the weights."""
    a = node.arguments
    input, target = a["input"], a["target"]
    if a.get("label_smoothing") or input.ndim == target.ndim:
        raise UnknownError("with chances for classes")
    where, classes = m.of(input), m.of(target)
    if node.op == "cross_entropy":
        where = m.fresh(input.dims)
    if input.ndim not in (1, 2, 4):
        where, classes = m.in_order(where), m.in_order(classes)
    total, result = m.fresh((1,)), m.fresh(node.outputs[0].dims)
    m.save(where, classes, a.get("weight"), total)
    m.meet(where, classes, total, result)
    m.place(result)


def margins(m: Memory, node: Node) -> None:
    """Input, target and weight; of several labels, which classes are among them."""
    a = node.arguments
    m.save(a["input"], a["target"], a.get("weight"))
    among = [m.fresh(a["target"].dims)] if node.op == "multilabel_margin_loss" else []
    result = m.fresh(node.outputs[0].dims)
    m.save(*among)
    m.meet(*among, result)
    m.place(result)
