"""Which tensors an output reads, and how; gates and statistics are left out if asked.

A tensor that a rule takes and does not tell of is read whole: an upper bound, never too little.
"""

from __future__ import annotations

from collections.abc import Container

from symcnn.algebra.axis import IDENTITY, Axes, Const
from symcnn.errors import UnsupportedOperation
from symcnn.ops.operation import operation_of
from symcnn.trace.graph import Node, SymbolicTensor


def used(
    node: Node, output: int, reached: Container[SymbolicTensor], gates: bool, statistics: bool
) -> list[tuple[SymbolicTensor, Axes]]:
    """The tensors, of those `reached`, that an output reads, and how."""
    found = _readings(node, output, reached)
    for t, axes in found:
        if not axes and node.outputs[output].ndim and t.ndim:
            raise UnsupportedOperation(
                f"{node.name or node.op}: the rule of {node.op} does not say which places it reads",
                cure="let it return a Result with axes",
            )
    if not gates and len(found) > 1:
        ungated = [(t, axes) for t, axes in found if not _is_gate(node, t, axes)]
        found = ungated or found
    operation = None if statistics else operation_of(node)
    if operation is not None and operation.statistics:  # of whole axes, which are looked through
        found = [(t, tuple((i, IDENTITY) for i in range(t.ndim))) for t, _ in found]
    return found


def _readings(
    node: Node, output: int, reached: Container[SymbolicTensor]
) -> list[tuple[SymbolicTensor, Axes]]:
    """The same, before anything is left out: what the rule tells of, then what it does not."""
    result, inputs = node.result, node.inputs
    first, axes = next(iter(inputs), None), result.axes
    plain = output == 0 and not (result.others or result.parts)
    if plain and first in reached and not any(map(reached.__contains__, inputs[1:])):
        assert first is not None
        return [] if axes is None else [(first, axes)]
    reads = [t for t in inputs if t in reached]
    told = [(inputs[0], result.axes), *result.others] if inputs else []
    if result.shapes[output] != result.shapes[0]:
        told = [(t, _everything(node, output)) for t, _ in told]
    if result.parts:
        told[0] = (inputs[0], result.parts[output])
    if reads != [*inputs[:1]]:
        declared = {t for t, _ in told}
        told += [(t, _everything(node, output)) for t in dict.fromkeys(reads) if t not in declared]
    return [(t, axes) for t, axes in told if axes is not None and t in reached]


def _everything(node: Node, output: int) -> Axes:
    return tuple((None, IDENTITY) for _ in node.result.shapes[output])


def _is_gate(node: Node, t: SymbolicTensor, axes: Axes | None) -> bool:
    """A factor that is the same all over space: squeeze-excite and its kin."""
    if node.op != "mul" or len(node.outputs[0].dims) < 3 or not axes:
        return False
    stretched = [type(m) is Const or s is None for s, m in axes]
    return any(stretched[1:])
