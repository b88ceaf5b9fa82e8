"""What operations keep that work point by point."""

from __future__ import annotations

from typing import Any

from symcnn.algebra.size import prod
from symcnn.ops.operation import operation_of, record_of
from symcnn.ops.registry import normal_dim
from symcnn.ops.storage.layouts import Layout, UnknownError, copied_strides
from symcnn.ops.storage.memory import (
    LONG,
    Memory,
    extra_kwarg,
    first_of,
    in_place,
    is_float,
    keep,
    out,
)
from symcnn.ops.storage.views import View, contiguous, memory_format, same
from symcnn.trace.dtype import BYTES
from symcnn.trace.graph import Node, SymbolicTensor


def keeps_nothing(m: Memory, node: Node) -> None:
    """The derivative needs no values."""
    out(m, node)


def remainder(m: Memory, node: Node) -> None:
    """By a number nothing is kept; by a tensor both, for its gradient."""
    if len(node.inputs) > 1 and m.needs(*node.inputs):
        raise UnknownError("by a tensor")
    keeps_nothing(m, node)


def keeps_input(m: Memory, node: Node) -> None:
    """The derivative is a function of the input."""
    keep(m, node, first_of(node))
    out(m, node)


def renorm(m: Memory, node: Node) -> None:
    """In plain order, however the input lies, which the derivative reads."""
    x = first_of(node)
    keep(m, node, x)
    m.place(m.of(x) if in_place(node) else m.fresh(x.dims))


def keeps_output(m: Memory, node: Node) -> None:
    """The derivative is a function of the output."""
    m.save(out(m, node))


def keeps_both(m: Memory, node: Node) -> None:
    """The derivative is a function of both."""
    m.save(first_of(node))
    m.save(out(m, node))


def keeps_range(m: Memory, node: Node) -> None:
    """New memory; kept is which elements lie in the range, a byte each."""
    m.beside(prod(first_of(node).dims), 1)
    out(m, node)


def leaky(m: Memory, node: Node) -> None:
    """The input; in place, the output, which has its signs."""
    if in_place(node):
        keeps_output(m, node)
    else:
        keeps_input(m, node)


def _operands(node: Node) -> tuple[Any, Any]:
    a = node.arguments
    return a.get("input"), a.get("other")


def mul(m: Memory, node: Node) -> None:
    """Each factor is kept for the other's gradient; numbers are not."""
    left, right = _operands(node)
    if isinstance(left, SymbolicTensor) and m.needs(right):
        keep(m, node, left)
    if isinstance(right, SymbolicTensor) and m.needs(left):
        keep(m, node, right)
    out(m, node)


def lerp(m: Memory, node: Node) -> None:
    """The weight for the gradients of what it weighs, and these for its own; a number is none."""
    *ends, weight = node.inputs if len(node.inputs) > 2 else (*node.inputs, None)
    m.save(weight if m.needs(*ends) else None, *(ends if weight and m.needs(weight) else ()))
    out(m, node)


def addcmul(m: Memory, node: Node) -> None:
    """As the product in it."""
    _, first, second = node.inputs
    m.save(first if m.needs(second) else None, second if m.needs(first) else None)
    out(m, node)


def addcdiv(m: Memory, node: Node) -> None:
    """As the quotient in it."""
    _, first, second = node.inputs
    if m.needs(first, second):
        m.save(second, first if m.needs(second) else None)
    out(m, node)


def div(m: Memory, node: Node) -> None:
    """The divisor, and the dividend where the divisor has a gradient."""
    left, right = _operands(node)
    if isinstance(right, SymbolicTensor):
        if isinstance(left, SymbolicTensor):
            m.save(right)
            if m.needs(right):
                keep(m, node, left)
        else:  # 2/x is 2*reciprocal(x): a result on the way, which the derivative reads
            m.beside(prod(node.outputs[0].dims))
    out(m, node)


def pow(m: Memory, node: Node) -> None:
    """The base; where the exponent is a tensor, both and the power."""
    left, right = _operands(node)
    if isinstance(right, SymbolicTensor):
        if m.needs(*node.inputs):
            keep(m, node, *node.inputs)
            m.save(out(m, node))
            return
        right = 0
    if right not in (0, 1):
        keep(m, node, left)
    out(m, node)


def both_operands(m: Memory, node: Node) -> None:
    """The derivative by either is a function of both."""
    if m.needs(*node.inputs):
        keep(m, node, *node.inputs)
    out(m, node)


def operands_of_gradients(m: Memory, node: Node) -> None:
    """Each operand that has a gradient is kept."""
    keep(m, node, *(t for t in node.inputs if m.needs(t)))
    out(m, node)


def operands_and_output(m: Memory, node: Node) -> None:
    """Each operand that has a gradient, and the result."""
    operands_of_gradients(m, node)
    m.save(node.outputs[0])


def extreme_of_two(m: Memory, node: Node) -> None:
    """The larger or smaller of two tensors: both are kept."""
    m.save(*node.inputs)
    out(m, node)


def where(m: Memory, node: Node) -> None:
    """The condition."""
    m.save(node.arguments["condition"])
    out(m, node)


def masked_fill(m: Memory, node: Node) -> None:
    """The mask."""
    m.save(node.arguments["mask"])
    _over(m, node)


def added_at(m: Memory, node: Node) -> None:
    """The places and what is added there, if that has a gradient: of it only the shape is read."""
    source = node.arguments.get("source", node.arguments.get("src"))
    if m.needs(source):
        m.save(node.arguments["index"])
        if node.op == "index_add":
            m.save(source)
    _over(m, node)


def written_at(m: Memory, node: Node) -> None:
    """The places."""
    if node.arguments.get("reduce"):
        raise UnknownError("with a reduction")
    m.save(node.arguments["index"])
    _over(m, node)


def copied_to(m: Memory, node: Node) -> None:
    """The places, and what is copied there if that has a gradient."""
    m.save(node.arguments["index"])
    if m.needs(source := node.arguments["source"]):
        m.save(source)
    _over(m, node)


def filled_at(m: Memory, node: Node) -> None:
    """The places, of a copy that lies as the tensor does."""
    m.save(node.arguments["index"])
    if in_place(node):
        out(m, node)
    else:
        m.place(_copied(m, node, None))


def _over(m: Memory, node: Node) -> None:
    """In place, or a copy."""
    if in_place(node):
        out(m, node)
    else:
        m.place(m.fresh(node.outputs[0].dims))


def clamp(m: Memory, node: Node) -> None:
    """The input, and bounds that are tensors."""
    if not is_float(first_of(node)):  # integers have no gradient
        keeps_nothing(m, node)
    else:
        keep(m, node, *node.inputs)
        out(m, node)


def glu(m: Memory, node: Node) -> None:
    """The input."""
    m.save(first_of(node))
    m.place(m.fresh(node.outputs[0].dims, None, m.of(first_of(node)).order))


def prelu(m: Memory, node: Node) -> None:
    """The input and the weights."""
    m.save(first_of(node), node.inputs[1])
    out(m, node)


def logsigmoid(m: Memory, node: Node) -> None:
    """The input and a buffer of its size."""
    m.save(first_of(node))
    m.beside(prod(first_of(node).dims))
    m.place(m.fresh(node.outputs[0].dims))


def random_leaky(m: Memory, node: Node) -> None:
    """The input and its slopes."""
    x = first_of(node)
    m.save(x)
    m.beside(prod(x.dims))
    m.place(m.of(x) if in_place(node) else m.fresh(x.dims))


def tanhshrink(m: Memory, node: Node) -> None:
    """The hyperbolic tangent, which is made on the way."""
    m.beside(prod(first_of(node).dims))
    out(m, node)


def softsign(m: Memory, node: Node) -> None:
    """The input, and one plus its magnitude."""
    m.save(first_of(node))
    m.beside(prod(first_of(node).dims))
    out(m, node)


def softmax(m: Memory, node: Node) -> None:
    """The output; the input is cast first where another dtype is asked for."""
    x, made = first_of(node), node.outputs[0]
    if node.call is not None and node.call.kwargs.get("dtype") is not None:
        _in_single(m)
        if x.dtype != made.dtype:
            m.fresh(x.dims, BYTES[made.dtype])
    m.place(m.fresh(made.dims))
    m.save(node.outputs[0])


def softmin(m: Memory, node: Node) -> None:
    """The output; the input with the other sign is made on the way."""
    m.fresh(first_of(node).dims)
    softmax(m, node)


def gumbel_softmax(m: Memory, node: Node) -> None:
    """The probabilities; which is the largest, where a choice is made of these: noise, the choice
    and a difference are made on the way.
    """
    x, hard = first_of(node), node.arguments["hard"]
    axis = normal_dim(node.arguments["dim"], x.ndim, "gumbel_softmax")
    if hard:
        chosen = prod(d for i, d in enumerate(x.dims) if i != axis)
        m.extra(prod(x.dims))
        m.extra(chosen, LONG)
        m.fresh((4 * prod(x.dims) * m.bytes_of(x) + LONG * chosen,), 1)
    else:
        m.fresh((2 * prod(x.dims),))
    m.place(m.fresh(x.dims))
    if not hard:
        m.save(node.outputs[0])


def dropout(m: Memory, node: Node) -> None:
    """In training mode the noise is kept, one number per element (per channel for maps)."""
    if leaves_alone(node):
        m.place(m.of(first_of(node)))
        return
    if node.arguments["p"] == 1:
        raise UnknownError("in training mode")
    noise = first_of(node).dims
    if node.op not in ("dropout", "alpha_dropout"):  # whole channels
        alone = node.op in ("dropout1d", "dropout3d") and len(noise) == int(node.op[-2]) + 1
        noise = noise[: 1 if alone else 2]
    m.extra(prod(noise))
    m.fresh((prod(noise) * (2 if "alpha" in node.op else 1),))  # and what is added to the product
    out(m, node)


def leaves_alone(node: Node) -> bool:
    """Whether it is dropout that drops nothing, and does not write in place either."""
    operation = operation_of(node)
    if operation is None or operation.saves is not dropout:
        return False
    training = extra_kwarg(node, "train")
    drops = node.arguments["training"] if training is None else training
    return not drops or node.arguments["p"] == 0


def cast(m: Memory, node: Node) -> None:
    """To the dtype that it has: the tensor itself, unless a copy is asked for."""
    if node.op == "float":
        _in_single(m)
    x, made = first_of(node), node.outputs[0]
    base = m.of(x)
    order = memory_format(node)
    if order is not None and x.dtype == made.dtype:
        contiguous(m, node)
        return
    m.place(base if keeps_dtype(node) else _copied(m, node, order))


def keeps_dtype(node: Node) -> bool:
    """Whether a cast returns the tensor itself."""
    same = first_of(node).dtype == node.outputs[0].dtype and memory_format(node) is None
    return same and extra_kwarg(node, "copy") is not True


def returns_input(node: Node | None) -> bool:
    """Whether what it returns is the object that it was called with."""
    if node is None:
        return False
    record = record_of(node.op)
    law = None if record is None else record.saves
    return law is same or (law is cast and keeps_dtype(node))


def as_tensor(m: Memory, node: Node) -> None:
    """A tensor to the dtype that it has is the tensor itself; of numbers a new one is made."""
    if node.inputs and node.inputs[0].dims == node.outputs[0].dims:
        cast(m, node)
    else:
        m.place(m.fresh(node.outputs[0].dims))


#: Laws by which a result may be the tensor that was given.
_GIVEN = (same, contiguous, cast, as_tensor, dropout)


def may_share(name: str) -> bool:
    """Whether what is called under this name makes a view of its first tensor, or may return it."""
    record = record_of(name)
    return record is not None and (isinstance(record.saves, View) or record.saves in _GIVEN)


def _in_single(m: Memory) -> None:
    """What the code does in float32 by name is not in the dtype in which its cost is asked."""
    if m.recast:
        raise UnknownError("in float32, within a network of another dtype,")


def clone(m: Memory, node: Node) -> None:
    """A copy in the order of its input."""
    m.place(_copied(m, node, memory_format(node)))


def formatted(m: Memory, node: Node) -> None:
    """A new tensor, in the order of a memory format."""
    m.place(m.fresh(node.outputs[0].dims, None, memory_format(node)))


def _copied(m: Memory, node: Node, order: list[int] | None) -> Layout:
    dims = node.outputs[0].dims
    if order is not None:
        return m.fresh(dims, None, order)
    return m.fresh(dims, strides=copied_strides(dims, m.of(first_of(node)).strides, m.holds))
