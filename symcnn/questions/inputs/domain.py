"""The domain: which inputs a network accepts, and which node asks for what.

It is the conjunction of what the nodes and guards require, handed to `symcnn.sets.inputset` whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from symcnn.errors import InvalidInput, SymcnnError, Undecidable
from symcnn.sets.condition import ForAll, KeepsBatch, Requirement
from symcnn.sets.fewer import strictest_of
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name
from symcnn.shown import Rows, Shown, assignment
from symcnn.trace.graph import Node
from symcnn.trace.tape import Guard
from symcnn.trace.trace import Trace


def valid_inputs(net: Trace, *extra: Requirement, at: str = "") -> InputSet:
    """The inputs that `net` accepts and that meet the `extra` requirements."""
    return net.sizes_that_meet([*net.requirements, *extra], at)


@dataclass(frozen=True, slots=True)
class Reason(Shown):
    """A requirement that shapes the domain, and the node (or line) that makes it."""

    node: str
    requirement: Requirement
    joins: tuple[str, ...] = ()  # where the tensors come from, if there are several

    def __str__(self) -> str:
        joined = f" of {' and '.join(self.joins)}" if self.joins else ""
        return f"{self.node}{joined}: {self.requirement}  ({self.requirement.why})"


@singledispatch
def reasons(net: Trace) -> list[Reason]:
    """The requirements that the domain cannot do without, each with the node that makes it.

    Of several that only differ in strictness the strictest is kept; what the others imply goes.
    """
    makers: dict[Requirement, tuple[str, tuple[str, ...]]] = {}
    for node in net.nodes:
        sources = tuple(map(net.source_name, node.activations))
        for requirement in node.result.requires:
            makers.setdefault(requirement, (node.name, sources if len(sources) > 1 else ()))
    for guard in net.guards:
        told = guard.requirement
        if not isinstance(told, ForAll):
            told = replace(told, why=told.why or guard.otherwise or _SIDE)
        makers.setdefault(told, (guard.where, ()))
    names = list(valid_inputs(net).names)
    kept = [r for r, _ in strictest_of(makers)]
    with suppress(Undecidable):
        kept = _needed(names, kept)
    return Rows([Reason(makers[r][0], r, makers[r][1]) for r in kept])


#: Why a comparison in python is part of a domain, where it raises nothing.
_SIDE = "the side of this line that the network is on"


def _needed(names: Sequence[str], requirements: Sequence[Requirement]) -> list[Requirement]:
    """Those that do not follow from the others, looked at from the last to the first.

    By halves: what the first half leaves is put together once for all of the second half.
    """

    def both(sizes: InputSet, before: list[Requirement], more: list[Requirement]) -> InputSet:
        try:
            return sizes & input_set(names, more)
        except Undecidable:  # what comes before may be needed to decide it
            return input_set(names, [*before, *more])

    def among(
        part: list[Requirement], sizes: InputSet, before: list[Requirement]
    ) -> list[Requirement]:
        if len(part) < 2:
            return [r for r in part if not sizes <= input_set(names, [r])]
        left, right = part[: len(part) // 2], part[len(part) // 2 :]
        needed = among(right, both(sizes, before, left), [*before, *left])
        return [*among(left, both(sizes, before, needed), [*before, *needed]), *needed]

    return among([*requirements], input_set(names, ()), [])


def failures(net: Trace, sizes: Mapping[str, int]) -> list[tuple[Node | Guard, Requirement]]:
    """What fails at `sizes` whatever the other sizes, in the order of execution: of every step its
    first requirement, each as if the steps before it were mended.

    Past a branch not taken, nothing is known.
    """

    def fails(requirement: Requirement) -> bool:
        return requirement.symbols <= sizes.keys() and not requirement.holds(sizes)

    if not any(map(fails, net.requirements)):
        return []
    steps: list[tuple[int, Node | Guard, Requirement]] = [
        (net.position(node), node, r) for node in net.nodes for r in node.result.requires
    ]
    steps += [(guard.after, guard, guard.requirement) for guard in net.guards]
    found: dict[Node | Guard, Requirement] = {}
    in_order = sorted(steps, key=lambda s: (s[0], isinstance(s[1], Guard)))
    for _, step, requirement in in_order:
        if step not in found and fails(requirement):
            found[step] = requirement
            if isinstance(step, Guard):
                break
    return [*found.items()]


def first_failure(net: Trace, sizes: Mapping[str, int]) -> tuple[Node | Guard, Requirement] | None:
    """What fails first at `sizes`; None if nothing does that depends on no other size."""
    return next(iter(failures(net, sizes)), None)


def shape_at(net: Trace, **sizes: int) -> Any:
    """See `Network.shape_at`."""
    values = net.complete_sizes(sizes)
    taken, left = taken_at(net, values)
    if taken is not net:
        return shape_at(taken, **left)
    check_valid(net, values)
    if chosen := {name: values[name] for name in net.hyperparameters if name in values}:
        # what a layer checks of a number it could not check of a symbol
        rest = {name: size for name, size in values.items() if name not in chosen}
        return shape_at(net.given(**chosen), **rest)
    return net.shapes(values)


def check_valid(net: Trace, sizes: Mapping[str, int]) -> None:
    """Raises InvalidInput for sizes outside the domain: the first layer that fails, and a cure."""
    failure = first_failure(net, sizes)
    if failure is None:
        return
    step, requirement = failure
    if isinstance(step, Guard):
        raise _refusal(net, step, sizes)
    said = _complaint(step, requirement, sizes)
    error = InvalidInput(said, cure=lambda: _nearest(net, sizes))
    error.unmet = requirement
    raise error


def taken_at(net: Trace, sizes: Mapping[str, int]) -> tuple[Trace, dict[str, int]]:
    """The network that sizes take, traced at numbers where no branch was followed, and the sizes
    that it leaves open.
    """
    taken = net.branch_at(**sizes)
    if taken is net:
        return net, dict(sizes)
    return taken, {n: sizes[n] for n in taken.accepted_symbols(sizes) & set(sizes)}


def _refusal(net: Trace, guard: Guard, sizes: Mapping[str, int]) -> InvalidInput:
    if guard.otherwise:
        return InvalidInput(
            f"the model refuses {assignment(sizes)} at {guard.where}: {guard.otherwise}",
            cure=lambda: _nearest(net, sizes),
        )
    return InvalidInput(
        f"the trace took a branch at {guard.where} that needs {guard.requirement}, "
        f"not so at {assignment(sizes)}",
        cure=f"trace again with example={dict(sizes)}",
    )


def _complaint(node: Node, requirement: Requirement, sizes: Mapping[str, int]) -> str:
    axes, said = ", ".join(sorted(requirement.symbols)), f"{node.op}: "
    what = "" if isinstance(requirement, KeepsBatch) else f"needs {requirement}; "
    found = requirement.consequence(sizes)
    place = f"\n  at {node.where}: {node.where.text}" if node.where else ""
    return (
        f"{_spoken(node)} cannot take {assignment(sizes)}: {requirement.why.removeprefix(said)}\n"
        f"  along {axes}: {what}{found}{place}"
    )


def _spoken(node: Node) -> str:
    return node.name if node.name.endswith(node.op) else f"{node.name} ({node.op})"


def whole_network(net: Trace, found: InputSet, asked: Sequence[Requirement]) -> str:
    """What the whole network says to inputs that a part of it takes: "" where it takes them all.

    asked: what the part itself requires.
    """
    further = [r for r in net.requirements if r not in set(asked)]
    if not further or not found:
        return ""
    try:
        inside = found.where(*further)
        if found <= inside:
            return ""
        if inside:
            return f"of these, the whole network takes {inside}"
    except SymcnnError:
        return ""
    sizes = {**dict.fromkeys(net.symbols, 1), **by_name(found.shown, found.smallest())}
    failure = first_failure(net, sizes)
    if failure is None:
        return "the whole network takes none of these"
    step, requirement = failure
    by = f"the branch at {step.where}" if isinstance(step, Guard) else _spoken(step)
    return f"the whole network takes none of these: {by} needs {requirement}"


def _nearest(net: Trace, sizes: Mapping[str, int]) -> str:
    if len(sizes) > 5:  # each size is a dimension to search; an error must not take long
        return "ask net.valid_inputs() which sizes are valid"
    return nearest_in(lambda: valid_inputs(net), sizes)


def nearest_in(ask: Callable[[], InputSet], sizes: Mapping[str, int]) -> str:
    """The nearest valid size, for the end of an error."""
    try:
        domain = ask()
        if not domain:
            return "no input of any size is valid"
        if not sizes.keys() >= set(domain.shown):  # some are still free
            return f"valid inputs: {domain.describe()}"
        where = {name: sizes[name] for name in domain.shown}
        best = by_name(domain.shown, domain.nearest(*where.values()))
        if best == where:  # only the batch is at fault
            return f"valid inputs: {domain.describe()}"
    except Undecidable:
        return "its domain is not a decidable set; try other sizes"
    return f"nearest valid size: {assignment(best)}"
