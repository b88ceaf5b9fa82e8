"""Operations that torch writes in others, losses most: the steps by which their memory is known.

Each is written as torch writes it, with what its variables hold to the end: in C++ all of them, in
python those that are not given another value.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from symcnn.ops.dtypes import holds_floats
from symcnn.ops.operation import Operation
from symcnn.ops.registry import normal_dim
from symcnn.ops.storage.layouts import UnknownError
from symcnn.ops.storage.memory import extra_kwarg
from symcnn.trace.graph import OPS, Node, SymbolicTensor, apply

#: The tensors that come out, and those that are held to the end.
Made = tuple[Sequence[SymbolicTensor], Sequence[SymbolicTensor]]


def _said(node: Node, name: str, default: float) -> float:
    given = node.arguments.get(name)
    return default if given is None else given


def _written(
    op: str, target: SymbolicTensor, *args: object, grad: bool = True, **kwargs: object
) -> SymbolicTensor:
    """The tensor after an operation has written into it."""
    made = apply(op, target, *args, **kwargs)
    assert made.node is not None
    made.node.mode = made.node.mode._replace(inplace=True, grad=grad)
    return made


def _ended(result: SymbolicTensor, *temporaries: SymbolicTensor) -> SymbolicTensor:
    """The result of a statement of C++, at whose end all that it made on the way is let go."""
    end = OPS["identity"]
    assert isinstance(end, Operation)
    return end.node((result,), {}, temporaries).outputs[0]


def _result(node: Node, terms: SymbolicTensor, *held: SymbolicTensor) -> Made:
    """The terms, or one number for all."""
    alone = node.outputs[0].dims == terms.dims
    return [terms if alone else apply("mean", terms)], [terms, *held]


def places(node: Node) -> Made:
    """The second of what sorting makes, which autograd keeps though it has no gradient itself."""
    return apply("sort", node.inputs[0], node.arguments["dim"])[1:], ()


def finite(node: Node) -> Made:
    """What equals itself and has a magnitude below infinity; whole numbers without a look."""
    x = node.inputs[0]
    if not holds_floats(x.dtype):
        return [apply("ones_like", x, dtype="bool")], ()
    if x.dtype.startswith("complex"):
        raise UnknownError("of complex numbers")
    is_number, size = apply("eq", x, x), apply("abs", x)
    is_bounded = apply("ne", size, inf)
    return [_ended(apply("mul", is_number, is_bounded), is_number, size, is_bounded)], ()


def poisson(node: Node) -> Made:
    """``exp(input) - target*input``, and Stirling's terms if they are asked for."""
    x, target = node.inputs[:2]
    if node.arguments.get("log_input") in (None, True):
        loss = apply("sub", apply("exp", x), apply("mul", target, x))
    else:
        shifted = apply("add", x, _said(node, "eps", 1e-8))
        log = apply("log", shifted)
        scaled = apply("mul", target, log)
        loss = _ended(apply("sub", x, scaled), shifted, log, scaled)
    if not node.arguments.get("full"):
        return _result(node, loss)
    log = apply("log", target)
    scaled = apply("mul", target, log)
    apart, turned = apply("sub", scaled, target), apply("mul", target, 6.28)
    of_turned = apply("log", turned)
    half = apply("mul", of_turned, 0.5)
    terms = _ended(apply("add", apart, half), log, scaled, apart, turned, of_turned, half)
    small = apply("le", target, 1)
    large = apply("masked_fill", terms, small, 0)
    return _result(node, _ended(_written("add", loss, large), small, large), terms)


def hinge(node: Node) -> Made:
    """The input where the target is not -1, what it lacks of the margin where it is not 1."""
    x, target = node.inputs[:2]
    zeros = apply("zeros_like", x)
    lacks = _written("clamp_min", apply("rsub", x, _said(node, "margin", 1.0)), 0)
    below = apply("where", apply("ne", target, 1), lacks, zeros)
    above = apply("where", apply("ne", target, -1), x, zeros)
    return _result(node, apply("add", below, above), zeros, lacks, below, above)


def ranking(node: Node) -> Made:
    """What the first lacks of the second and a margin, by the sign of the target."""
    one, other, target = node.inputs[:3]
    sign, apart = apply("neg", target), apply("sub", one, other)
    signed = apply("mul", sign, apart)
    terms = apply("add", signed, _said(node, "margin", 0.0))
    return _result(node, _ended(_written("clamp_min", terms, 0), sign, apart, signed))


def cosine(node: Node) -> Made:
    """Of the cosine of two rows what it lacks of 1, or has above a margin, by the target."""
    one, other, target = node.inputs[:3]

    both = apply("sum", apply("mul", one, other), target.ndim)
    sizes = []
    for t in (one, other):
        squares = apply("mul", t, t)
        total = apply("sum", squares, target.ndim)
        sizes.append(_ended(apply("add", total, 1e-12), squares, total))
    size = _written("sqrt", apply("mul", *sizes))
    cosines = apply("div", both, size)
    zeros, lacks = apply("zeros_like", cosines), apply("rsub", cosines, 1)
    has = _written("clamp_min", apply("sub", cosines, _said(node, "margin", 0.0)), 0)
    near = apply("where", apply("eq", target, 1), lacks, zeros)
    far = apply("where", apply("eq", target, -1), has, zeros)
    held = (both, *sizes, size, cosines, zeros, lacks, has, near, far)
    return _result(node, apply("add", near, far), *held)


def triplet(node: Node) -> Made:
    """By how much the one is farther than the other, and a margin."""
    anchor, positive, negative = node.inputs[:3]
    options = _said(node, "p", 2), _said(node, "eps", 1e-6)

    def apart(a: SymbolicTensor, b: SymbolicTensor) -> SymbolicTensor:
        return apply("pairwise_distance", a, b, *options)

    near, far = apart(anchor, positive), apart(anchor, negative)
    held = [near, far]
    if node.arguments.get("swap"):
        swapped = apart(positive, negative)
        far = apply("minimum", far, swapped)
        held += [swapped, far]
    terms = apply("sub", apply("add", near, _said(node, "margin", 1.0)), far)
    return _result(node, apply("clamp_min", terms, 0), *held)


def gaussian(node: Node) -> Made:
    """The squared error by the variance, which is cut off at a small number, and its logarithm."""
    x, target, variance = (node.arguments[name] for name in ("input", "target", "var"))
    if isinstance(variance, SymbolicTensor):
        raise UnknownError("with a variance per place, of which python lets go on the way")
    variance = apply("mul", apply("ones_like", x), variance)
    variance = _written("clamp", apply("clone", variance), min=_said(node, "eps", 1e-6), grad=False)
    squares = apply("pow", apply("sub", x, target), 2)
    terms = apply("add", apply("log", variance), apply("div", squares, variance))
    loss = apply("mul", terms, 0.5)
    if node.arguments.get("full"):
        loss = _written("add", loss, 0.92)
    return _result(node, loss, variance)


def of_labels(node: Node) -> Made:
    """Of each label the logarithm of its chance, or of the other one."""
    x, target = node.inputs[:2]
    hit = apply("mul", target, apply("logsigmoid", x))
    missed = apply("mul", apply("rsub", target, 1), apply("logsigmoid", apply("neg", x)))
    loss = apply("neg", apply("add", hit, missed))
    if (weight := node.arguments.get("weight")) is not None:
        loss = apply("mul", loss, weight)
    return _result(node, apply("div", apply("sum", loss, x.ndim - 1), 2))


def nanmean(node: Node) -> Made:
    """The sum of what is a number, by how many there are."""
    x, how = node.inputs[0], _over(node)
    there = _written("logical_not", apply("ne", x, x), grad=False)
    count = _ended(apply("sum", there, *how), there)
    total = apply("nansum", x, *how)
    return [_ended(apply("div", total, count), total)], [count]


def _over(node: Node) -> tuple[object, bool]:
    """The axes that go, and whether they stay as one place."""
    return node.arguments.get("dim"), bool(node.arguments.get("keepdim"))


def trapezoid(node: Node) -> Made:
    """At steps of one length the sum less half of both ends; else of all means by their steps."""
    y, places, axis = node.inputs[0], node.arguments.get("x"), node.arguments.get("dim", -1)
    if isinstance(places, SymbolicTensor):
        raise UnknownError("at places")
    total = apply("sum", y, axis)
    first, last = (apply("select", y, axis, at) for at in (0, -1))
    both = apply("add", first, last)
    half = apply("mul", both, 0.5)
    inner = apply("sub", total, half)
    made = apply("mul", inner, _said(node, "dx", 1.0))
    return [_ended(made, total, both, half, inner)], ()


def logdet(node: Node) -> Made:
    """No number where the determinant is negative."""
    x = node.inputs[0]
    if x.dtype.startswith("complex"):
        raise UnknownError("of complex numbers")
    sign, size = apply("linalg_slogdet", x)
    negative = apply("eq", sign, -1.0)
    return [_ended(apply("where", negative, nan, size), negative)], [sign, size]


def cartesian(node: Node) -> Made:
    """All of all, a column for each vector."""
    if len(node.inputs) == 1:
        return [node.inputs[0]], ()
    grids = apply("meshgrid", *node.inputs, indexing="ij")
    columns = [apply("flatten", grid) for grid in grids]
    return [apply("stack", columns, 1)], columns


def quantile(node: Node) -> Made:
    """Of sorted numbers those at two ranks, weighed; a number that is none counts as the last."""
    x, share, dim = node.inputs[0], node.arguments["q"], node.arguments.get("dim")
    said = node.arguments.get("interpolation") or extra_kwarg(node, "interpolation") or "linear"
    if isinstance(share, SymbolicTensor) or said != "linear":
        raise UnknownError("at ranks that hang on tensors, or of one neighbour")
    axis = -1 if dim is None else normal_dim(dim, x.ndim, "quantile")
    if dim is None:
        x = apply("flatten", x)
    elif axis < x.ndim - 1:
        x = apply("transpose", apply("unsqueeze", x, -1), axis, -1)
    q = apply("full", (), share, dtype=x.dtype)
    ordered = apply("sort", x, -1)[0]
    at = apply("mul", q, x.dims[-1] - 1)
    wrong = apply("any", apply("ne", ordered, ordered), -1, True)
    ranks = apply("masked_fill", apply("expand", at, wrong.dims), wrong, x.dims[-1] - 1)
    ranks = _ended(ranks, at, wrong)
    below = apply("long", ranks)
    found = apply("gather", ordered, -1, below)
    weights = apply("sub", ranks, below)
    ranks = _written("ceil", ranks)
    above = apply("long", ranks)
    other = apply("gather", ordered, -1, above)
    made = _written("lerp", found, other, weights)
    held = [q, ordered, ranks, below, weights, above, other]
    return [apply("view", made, node.outputs[0].dims)], held
