"""A trace that failed, told as a colleague would: where, both sides and where they come from, and
what to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from symcnn.algebra.factor import text
from symcnn.errors import ShapeMismatch, SymcnnError
from symcnn.questions.repair import Again, constructor, cures
from symcnn.trace.graph import Constant, Node, Parameter, SymbolicTensor
from symcnn.trace.tape import Attempt
from symcnn.trace.trace import Trace


def blamed(error: SymcnnError, net: Trace, module: object, again: Again) -> SymcnnError:
    """The error, with the network up to there, what its sides are, and cures that were tried.

    again: traces a changed model. It is asked when the cure is first read.
    """
    if error.partial is not None:
        return error
    error.partial = net
    attempt: Attempt | None = error.attempt
    if attempt is None:
        return error
    if attempt.op not in error.cause:
        error.cause = f"{attempt.op}: {error.cause}"
    error.cause = "\n  ".join([error.cause, *_failing_line(attempt, net, module)])
    if isinstance(error, ShapeMismatch):
        error.finds_cures(lambda: cures(module, error, len(net.nodes), again))
    return error


def _failing_line(attempt: Attempt, net: Trace, module: Any) -> Iterator[str]:
    """The line of the failing operation, and what it reads."""
    if attempt.where:
        yield f"at {attempt.where}: {attempt.where.text}"
    layer = dict(module.named_modules()).get(attempt.module) if attempt.module else None
    made = constructor(layer) if layer is not None else ""
    made = "" if "\n" in made else made  # a configuration is pages long
    for t in dict.fromkeys(attempt.inputs):
        if isinstance(t, Parameter):
            if not made:
                yield f"{t.name or 'a parameter'} {_shape(t)}"
        elif not isinstance(t, Constant):
            yield _origin(t, net)
    if made and not made.endswith("()"):
        named = type(layer).__module__.startswith(("torch.nn.", "symcnn.nn."))
        yield f"{attempt.module} is {'nn.' if named else ''}{made}"


def _origin(t: SymbolicTensor, net: Trace) -> str:
    """A tensor with the node that makes it; of a join, what is joined."""
    node = t.node
    if node is None:
        return f"{t.name or 'the input'} {_shape(t)}"
    joined = [a for a in node.activations if isinstance(a, SymbolicTensor)]
    parts = [f"{net.source_name(a)} {_shape(a)}{_place(a.node)}" for a in joined]
    made = f"{net.source_name(t)} {_shape(t)}{_place(node)}"
    return f"{made} = {' + '.join(parts)}" if len(parts) > 1 else made


def _place(node: Node | None) -> str:
    return f" at {node.source}" if node is not None and node.source else ""


def _shape(t: SymbolicTensor) -> str:
    return f"({', '.join(map(text, t.dims))}{',' if t.ndim == 1 else ''})"
