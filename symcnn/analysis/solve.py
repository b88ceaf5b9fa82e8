"""Solving backwards: which inputs are valid, and which reach a target.

A domain is the conjunction of what the nodes require; a target adds equations on output sizes.
Both are handed to `symcnn.sets` whole, so answers are closed sets, never the result of a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symcnn.conditions import Condition, KeepsBatch, Requirement
from symcnn.errors import BadSpec, InvalidInput, NoSolution, SymcnnError, Undecidable
from symcnn.factor import text
from symcnn.graph import Guard, Node
from symcnn.sets import InputSet, input_set, tightest
from symcnn.size import Int, Size, evaluate, prod, symbols_of

if TYPE_CHECKING:
    from symcnn.network import Network

__all__ = ["Reason", "check_valid", "reasons", "solve_flatten", "solve_output", "valid_inputs"]


def valid_inputs(net: Network, *extra: Requirement, at: str = "") -> InputSet:
    """The inputs that `net` accepts and that meet the `extra` requirements."""
    requirements = [*net.requirements, *extra]
    speaks_of = frozenset[str]().union(*(r.symbols for r in requirements))
    names = [n for n in net.symbols if n not in net.batch or n in speaks_of]
    names += sorted(speaks_of - set(names))
    return input_set(names, requirements, batch=tuple(net.batch & set(names)), at=at)


@dataclass(frozen=True, slots=True)
class Reason:
    """A requirement that shapes the domain, and the node (or line) that makes it."""

    node: str
    requirement: Requirement
    joins: tuple[str, ...] = ()  # where the tensors come from, if there are several

    def __str__(self) -> str:
        joined = f" of {' and '.join(self.joins)}" if self.joins else ""
        return f"{self.node}{joined}: {self.requirement}  ({self.requirement.why})"


def reasons(net: Network) -> list[Reason]:
    """The requirements that the domain cannot do without, each with the node that makes it.

    Of several that only differ in strictness the strictest is kept; what the others imply goes.
    """
    makers: dict[Requirement, tuple[str, tuple[str, ...]]] = {}
    for node in net.nodes:
        sources = tuple(map(net.source_name, node.activations))
        for requirement in node.result.requires:
            makers.setdefault(requirement, (node.name, sources if len(sources) > 1 else ()))
    for guard in net.guards:
        makers.setdefault(guard.requirement, (guard.where, ()))
    names = list(valid_inputs(net).names)
    kept = [r for r, _ in tightest(makers)]
    for requirement in reversed(kept):
        others = [r for r in kept if r is not requirement]
        if input_set(names, others) <= input_set(names, [requirement]):
            kept = others
    return [Reason(makers[r][0], r, makers[r][1]) for r in kept]


def check_valid(net: Network, sizes: dict[str, int]) -> None:
    """Raises InvalidInput for sizes outside the domain: the first layer that fails, and a cure."""
    if all(r.holds(sizes) for r in net.requirements):
        return
    # What fails first, in the order of execution: past a branch not taken, nothing is known.
    steps: list[tuple[int, Node | Guard, Requirement]] = [
        (net.position(node), node, r) for node in net.nodes for r in node.result.requires
    ]
    steps += [(guard.after, guard, guard.requirement) for guard in net.guards]
    _, step, requirement = min(
        (s for s in steps if not s[2].holds(sizes)),
        key=lambda s: (s[0], isinstance(s[1], Guard)),
    )
    if isinstance(step, Guard):
        raise _refusal(net, step, sizes)
    raise InvalidInput(_complaint(step, requirement, sizes), cure=_nearest(net, sizes))


def _refusal(net: Network, guard: Guard, sizes: dict[str, int]) -> InvalidInput:
    if guard.otherwise:
        return InvalidInput(
            f"the model refuses {_listed(sizes)} at {guard.where}: {guard.otherwise}",
            cure=_nearest(net, sizes),
        )
    return InvalidInput(
        f"the trace took a branch at {guard.where} that needs {guard.requirement}, "
        f"not so at {_listed(sizes)}",
        cure=f"trace again with example={sizes}",
    )


def _complaint(node: Node, requirement: Requirement, sizes: dict[str, int]) -> str:
    axes = ", ".join(sorted(requirement.symbols))
    what = "" if isinstance(requirement, KeepsBatch) else f"needs {requirement}; "
    name = node.name if node.name.endswith(node.op) else f"{node.name} ({node.op})"
    return (
        f"{name} cannot take {_listed(sizes)}: {requirement.why}\n"
        f"  along {axes}: {what}{requirement.consequence(sizes)}"
    )


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def _nearest(net: Network, sizes: dict[str, int]) -> str:
    if len(sizes) > 5:  # each size is a dimension to search; an error must not take long
        return "ask net.valid_inputs() which sizes are valid"
    try:
        domain = valid_inputs(net)
    except Undecidable:
        return "its domain is not a decidable set; try other sizes"
    if not domain:
        return "no input of any size is valid"
    where = [sizes[name] for name in domain.shown]
    best = domain.nearest(*where)
    values = best if isinstance(best, tuple) else (best,)
    found = _listed(dict(zip(domain.shown, values, strict=True)))
    if list(values) == where:  # only the batch is at fault
        return f"valid inputs: {domain.describe()}"
    return f"nearest valid size: {found}"


def solve_output(net: Network, target: Any, *, square: bool = False, at: str = "") -> InputSet:
    """Inputs whose output has the sizes `target` (trailing axes, or all of them; None: any).

    Raises NoSolution with the nearest target that has one, BadSpec for a target of no use.
    """
    wanted = tuple(target) if isinstance(target, (tuple, list)) else (target,)
    for size in wanted:
        if size is not None and (isinstance(size, bool) or not hasattr(size, "__index__")):
            raise BadSpec(f"output={target!r}: a target is made of whole numbers and None")
        if size is not None and int(size) < 1:
            raise BadSpec(f"output={target!r}: a size is at least 1")
    dims = net.output_dims
    if len(wanted) > len(dims):
        raise BadSpec(f"output={target!r} has more axes than {net.describe_output()}")
    pairs = [
        (dim, int(size))
        for dim, size in zip(dims[len(dims) - len(wanted) :], wanted, strict=True)
        if size is not None
    ]
    found = valid_inputs(net, *(Condition(d, "==", s) for d, s in pairs), at=at)
    if square:
        found = found.square()
    if not found:
        text = "x".join("*" if size is None else str(size) for size in wanted)
        raise NoSolution(
            f"no {'square ' if square else ''}input gives {text} at {at or 'the output'}, "
            f"which is {net.describe_output()}",
            cure=_nearest_target(net, pairs),
        )
    return found


def _nearest_target(net: Network, pairs: Sequence[tuple[Int, int]]) -> str:
    """The nearest sizes that can be reached together, in words."""
    domain = valid_inputs(net)
    if not domain:
        return "no input of any size is valid"
    goals = [Size.symbol(f"size{i}") for i in range(len(pairs))]
    speaks_of = symbols_of(*(dim for dim, _ in pairs))
    names = [*domain.names, *sorted(speaks_of - set(domain.names)), *map(str, goals)]
    equations = [Condition(dim, "==", goal) for (dim, _), goal in zip(pairs, goals, strict=True)]
    try:
        reached = input_set(names, [*net.requirements, *equations]).axis(*map(str, goals))
        best = reached.nearest(*(size for _, size in pairs))
    except SymcnnError:
        return ""
    text = "x".join(map(str, best)) if isinstance(best, tuple) else str(best)
    return f"the nearest output that some input gives: {text}"


def solve_flatten(net: Network, features: int, *, square: bool = False, at: str = "") -> InputSet:
    """Inputs for which each image of the map has `features` elements.

    Raises NoSolution if there are none.
    """
    if isinstance(features, bool) or not hasattr(features, "__index__") or int(features) < 1:
        raise BadSpec(f"flatten={features!r} is not a positive whole number")
    dims = net.output_dims
    each = prod(dims[1:])
    found = valid_inputs(net, Condition(each, "==", int(features)), at=at)
    if square:
        found = found.square()
    if not found:
        raise NoSolution(
            f"no {'square ' if square else ''}input gives {features} features at "
            f"{at or 'the output'}, which has {text(each)} per image",
            cure=_flatten_cure(net, dims, int(features)),
        )
    return found


def _flatten_cure(net: Network, dims: Sequence[Int], features: int) -> str:
    fixed = prod(d for d in dims[1:] if isinstance(d, int))
    if isinstance(fixed, int) and features % fixed:
        return f"it is always a multiple of {fixed}"
    smallest = valid_inputs(net)
    if not smallest:
        return "no input of any size is valid"
    least = smallest.smallest()
    values = least if isinstance(least, tuple) else (least,)
    sizes = dict(zip(smallest.shown, values, strict=True))
    if symbols_of(*dims[1:]) <= set(sizes):
        count = evaluate(prod(dims[1:]), sizes)
        return f"the smallest valid input, {_listed(sizes)}, gives {count}"
    return ""
