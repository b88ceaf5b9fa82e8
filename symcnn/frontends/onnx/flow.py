"""Branches, loops, sequences: what a graph does with graphs.

A branch is taken as the sizes decide; a loop runs as often as a number says. What only values
decide is refused, by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcnn.algebra.size import Size
from symcnn.errors import BadSpec, DataDependent, UnsupportedOperation
from symcnn.frontends.onnx.step import Outputs, Step, operator
from symcnn.frontends.onnx.values import Truth, Value, array_of
from symcnn.ops.registry import normal_dim
from symcnn.trace.graph import OPS, apply, several

#: Loops run at most so often.
_LOOPS = 10_000


def _truth(step: Step, i: int, what: str) -> Any:
    content = step.value(i).content
    if content is None:
        raise DataDependent(
            f"{what} hangs on the values in {step.value(i).name!r}",
            cure="only what the sizes decide can be followed",
        )
    return content.flat[0]


@operator("If")
def if_(step: Step) -> Outputs:
    """The branch that the sizes decide."""
    taken = _truth(step, 0, "which branch is taken")
    if isinstance(taken, Truth):
        taken = step.run.branch(taken, step.node)
    body = step.attribute("then_branch" if taken else "else_branch")
    return tuple(step.run.subgraph(body, step.scope, ()))


@operator("Loop")
def loop(step: Step) -> Outputs:
    """The body, as often as a number says, and as long as its condition holds."""
    body = step.attribute("body")
    states = list(step.inputs[2:])
    times = step.number("M", 0) if step.has(0) else None
    if isinstance(times, Size):
        raise UnsupportedOperation(f"a Loop of {times} rounds has no rule", cure="unroll the loop")
    going = _truth(step, 1, "whether the Loop runs") if step.has(1) else True
    stacked: list[list[Any]] = [[] for _ in body.output[1 + len(states) :]]
    done = 0
    while going and (times is None or done < times):
        if isinstance(going, Truth) or done >= _LOOPS:
            raise UnsupportedOperation("how often a Loop runs hangs on the sizes")
        given = [Value(content=array_of(done), dtype="int64")]
        given.append(Value(content=array_of(bool(going)), dtype="bool"))
        condition: Any
        condition, *found = step.run.subgraph(body, step.scope, [*given, *states])
        states, rows = found[: len(states)], found[len(states) :]
        for stack, row in zip(stacked, rows, strict=True):
            stack.append(row)
        done += 1
        if times is None or condition.content is not None:
            if condition.content is None:
                raise DataDependent("how often a Loop runs hangs on values")
            going = condition.content.flat[0]
    return (*states, *(_stacked(rows, 0) for rows in stacked))


def _stacked(rows: Sequence[Value], axis: int) -> Any:
    if not rows:
        raise UnsupportedOperation("a Loop that runs no round has an empty output")
    return OPS["stack"]([row.tensor for row in rows], axis)


@operator("Scan")
def scan(step: Step) -> Outputs:
    """The body once per slice, if the number of slices is a number."""
    body, count = step.attribute("body"), step.attribute("num_scan_inputs")
    if step.version < 9:
        raise UnsupportedOperation("Scan of operator set 8 has no rule", cure="export anew")
    states, scanned = list(step.inputs[:-count]), step.values(-count)
    axes = step.attribute("scan_input_axes", (0,) * count)
    axes = [normal_dim(a, len(v.dims), "Scan") for a, v in zip(axes, scanned, strict=True)]
    backwards = step.attribute("scan_input_directions", (0,) * count)
    length = scanned[0].dims[axes[0]]
    if isinstance(length, Size):
        raise UnsupportedOperation(f"a Scan over {length} slices has no rule")
    outputs = len(body.output) - len(states)
    out_axes = step.attribute("scan_output_axes", (0,) * outputs)
    stacked: list[list[Any]] = [[] for _ in range(outputs)]
    for i in range(length):
        slices = [
            Value(apply("select", v.tensor, a, length - 1 - i if back else i), dtype=v.dtype)
            for v, a, back in zip(scanned, axes, backwards, strict=True)
        ]
        found = step.run.subgraph(body, step.scope, [*states, *slices])
        states, rows = found[: len(states)], found[len(states) :]
        for stack, row in zip(stacked, rows, strict=True):
            stack.append(row)
    return (*states, *(_stacked(r, a) for r, a in zip(stacked, out_axes, strict=True)))


# Sequences ------------------------------------------------------------------------------------


def _sequence(step: Step, i: int = 0) -> list[Value]:
    found = step.inputs[i]
    if not isinstance(found, list):
        raise BadSpec(f"{step.op} takes a sequence")
    return found


@operator("SequenceConstruct", "SequenceEmpty")
def sequence_construct(step: Step) -> Outputs:
    """A list of tensors."""
    return (step.values(),)


@operator("SequenceAt")
def sequence_at(step: Step) -> Outputs:
    """One of them."""
    place = step.number("position", 1)
    items = _sequence(step)
    if not isinstance(place, int) or not -len(items) <= place < len(items):
        raise BadSpec(f"there is no place {place} in a sequence of {len(items)}")
    return (items[place],)


@operator("SequenceInsert")
def sequence_insert(step: Step) -> Outputs:
    """One more."""
    items = list(_sequence(step))
    place = step.number("position", 2, len(items))
    items.insert(place, step.value(1))
    return (items,)


@operator("SequenceErase")
def sequence_erase(step: Step) -> Outputs:
    """One less."""
    items = list(_sequence(step))
    del items[step.number("position", 1, -1)]
    return (items,)


@operator("SequenceLength")
def sequence_length(step: Step) -> Outputs:
    """How many there are."""
    return array_of(len(_sequence(step)))


@operator("SplitToSequence")
def split_to_sequence(step: Step) -> Outputs:
    """Parts of one axis as a list; without sizes, its slices."""
    x = step.tensor()
    axis = normal_dim(step.attribute("axis", 0), x.ndim, "SplitToSequence")
    sizes: Any = step.numbers("split", 1)
    if sizes is None or not step.value(1).dims:
        sizes = 1 if sizes is None else sizes[0]
        if isinstance(x.dims[axis], Size):
            raise UnsupportedOperation(f"a sequence of {x.dims[axis]}/{sizes} parts has no rule")
    parts = several("split", x, sizes if isinstance(sizes, int) else list(sizes), axis)
    if not step.has(1) and not step.attribute("keepdims", 1):
        parts = tuple(apply("squeeze", part, axis) for part in parts)
    return ([Value(part, dtype=step.value(0).dtype) for part in parts],)


@operator("ConcatFromSequence")
def concat_from_sequence(step: Step) -> Outputs:
    """Joined, along an axis or a new one."""
    tensors = [v.tensor for v in _sequence(step)]
    axis = step.attribute("axis")
    return OPS["stack" if step.attribute("new_axis", 0) else "cat"](tensors, axis)


@operator("Optional")
def optional(step: Step) -> Outputs:
    """A value, or none."""
    return (step.inputs[0] if step.inputs else None,)


@operator("OptionalGetElement")
def optional_get_element(step: Step) -> Outputs:
    """The value."""
    return (step.inputs[0],)


@operator("OptionalHasElement")
def optional_has_element(step: Step) -> Outputs:
    """Whether there is one."""
    return array_of(bool(step.inputs and step.inputs[0] is not None))
