"""Domains and solutions: conditions, solved for the sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size
from symcnn.errors import BadSpec
from symcnn.questions.explain.derivation import Derivation, Step
from symcnn.questions.explain.lines import Line, sole_floor
from symcnn.questions.inputs.domain import reasons
from symcnn.questions.inputs.solve import parsed_target
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Between

if TYPE_CHECKING:
    from symcnn.network import Network

__all__ = ["derive_domain", "derive_solution"]


def _bounded(requirement: Requirement) -> list[Line]:
    """``floor(e/m) + c >= t`` as ``e >= m*(t - c)``, again and again, to a bound on one size."""
    lines = [Line((requirement,), requirement.why)]
    while isinstance(requirement, Condition) and requirement.relation == ">=":
        gap = requirement.lhs - requirement.rhs
        if isinstance(gap, int):
            break
        found = sole_floor(gap)
        sign = 1
        if found is None:
            found, sign = sole_floor(-gap), -1
        if found is None:
            const = int(gap.const)
            settled = Condition(gap - const, ">=", -const, requirement.why)
            if str(settled) != str(requirement):
                lines.append(Line((settled,), "collect"))
            break
        num, den = found
        if sign > 0:  # floor(num/den) >= 0
            requirement = Condition(num, ">=", 0, requirement.why)
        else:  # floor(num/den) <= 0
            requirement = Condition(den - 1 - num, ">=", 0, requirement.why)
        const = int(requirement.lhs.const) if isinstance(requirement.lhs, Size) else 0
        requirement = Condition(requirement.lhs - const, ">=", -const, requirement.why)
        lines.append(Line((requirement,), "monotone bounds"))
    return lines


def derive_domain(net: Network) -> Derivation:
    """The valid inputs."""
    steps = [
        Step(reason.node, "", "bound", tuple(_bounded(reason.requirement)))
        for reason in net.reasons()
    ]
    found = net.valid_inputs()
    return Derivation("Domain", tuple(steps), f"the valid inputs are {found.describe()}")


def _in_range(expr: Int, low: Int | None, high: Int | None) -> tuple[Condition, ...]:
    """``low <= expr <= high``; None: no bound."""
    below = () if low is None else (Condition(expr, ">=", low),)
    return below if high is None else (*below, Condition(-expr, ">=", -high))


def derive_solution(net: Network, output: Any) -> Derivation:
    """The inputs that give an output."""
    if output is None:
        raise BadSpec("a solution is of a target", cure='explain("solution", output=(7, 7))')
    found = net.solve(output=output)
    part = net.at(found.at) if found.at else net
    wanted = parsed_target(output)
    dims = part.output_dims[len(part.output_dims) - len(wanted) :]
    steps = []
    for dim, target in zip(dims, wanted, strict=True):
        if target is None or isinstance(dim, int):
            continue
        exact = not isinstance(target, Between)
        low, high = (target, target) if exact else (target.low, target.high)
        equation = (Condition(dim, "==", target),) if exact else _in_range(dim, low, high)
        lines = [Line(equation, "the closed form")]
        one = sole_floor(dim)
        if one is not None:
            num, den = one
            ends = (
                None if low is None else low * den,
                None if high is None else high * den + den - 1,
            )
            lines.append(Line(_in_range(num, *ends), "monotone bounds"))
            const = int(num.const) if isinstance(num, Size) else 0
            if const:
                moved = (None if end is None else end - const for end in ends)
                lines.append(Line(_in_range(num - const, *moved), "collect"))
        steps.append(Step(f"output {text(dim)}", "", "bound", tuple(lines)))
    for reason in reasons(part):
        steps.append(Step(reason.node, "", "bound", tuple(_bounded(reason.requirement))))
    where = f" at {found.at}" if found.at else ""
    shown = "x".join("*" if t is None else str(t) for t in wanted)
    return Derivation(
        f"Which inputs give {shown}{where}", tuple(steps), f"the inputs are {found.describe()}"
    )
