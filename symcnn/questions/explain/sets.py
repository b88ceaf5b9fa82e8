"""Domains and solutions: conditions, solved for the sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size
from symcnn.errors import BadSpec, Undecidable
from symcnn.questions.explain.derivation import Derivation, Step, distinct, same_sizes
from symcnn.questions.explain.lines import Line, sole_floor
from symcnn.questions.inputs.domain import Reason, reasons
from symcnn.questions.inputs.solve import parsed_target, solve, target_axes
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Between, Target
from symcnn.sets.inputset import InputSet, input_set
from symcnn.trace.trace import Trace


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


def derive_domain(net: Trace) -> Derivation:
    """The valid inputs: the requirements that matter, from the output on, and after each the sizes
    that are left. What holds of several sizes alike is derived once.
    """
    chains: dict[tuple[str, ...], list[Reason]] = {}
    for reason in reasons(net):
        chains.setdefault(tuple(sorted(reason.requirement.symbols)), []).append(reason)
    steps: list[Step] = []
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # a chain in neutral letters: whose it is
    for names, chain in chains.items():
        neutral = tuple(f"{r.node} {_neutral(r.requirement, names)}" for r in chain)
        if neutral in known:
            of = f"{' and '.join(names)} as {' and '.join(known[neutral])}"
            steps[-1] = replace(steps[-1], premises=(*steps[-1].premises, f"along {of}"))
            continue
        known[neutral] = names
        steps += _left_over(names, chain)
    found = net.valid_inputs()
    if not steps:
        line = Line(found, "no node requires anything")
        steps = [Step("the network", "", "floors", (line,))]
    return Derivation("Domain", tuple(steps), f"the valid inputs are {found.describe()}")


def _neutral(requirement: Requirement, names: Sequence[str]) -> str:
    """A requirement in letters that belong to no axis."""
    words = dict(zip(names, "abcdefgh", strict=False))
    return re.sub(r"[A-Za-z_]\w*", lambda m: f"${words.get(m[0], m[0])}", str(requirement))


def _left_over(names: Sequence[str], chain: Sequence[Reason]) -> Iterator[Step]:
    """The requirements on some sizes, one by one; equalities first, those nearest to the output in
    front, since they are the plainest.
    """
    ordered = sorted(chain, key=lambda r: getattr(r.requirement, "relation", "") != "==")
    count = sum(getattr(r.requirement, "relation", "") == "==" for r in ordered)
    ordered = [*ordered[:count][::-1], *ordered[count:]]
    left: InputSet | None = None
    for k, reason in enumerate(ordered):
        lines = _bounded(reason.requirement)
        law = "floors" if k < count else "bound"
        joined = (f"joins {' and '.join(reason.joins)}",) if reason.joins else ()
        try:
            before = left if k else input_set(names, ())
            left = input_set(names, [r.requirement for r in ordered[: k + 1]])
            note = "with the steps before" if k else "as a set"
            if before is None or not _settles(lines[-1], left, before):
                yield Step(reason.node, "", law, distinct(lines), premises=joined)
                yield Step(reason.node, "", law, (Line(left, note),))
                continue
            lines = [*lines, Line(left, note)]
            yield Step(reason.node, "", law, distinct(lines), before, joined)
        except Undecidable:
            left = None
            yield Step(reason.node, "", law, distinct(lines), premises=joined)


def _settles(line: Line, left: InputSet, before: InputSet) -> bool:
    """Whether conditions have an exact set of their own, within what the steps before leave: there
    are some that have one only together with those.
    """
    try:
        same_sizes(line.content, left, before)
    except Undecidable:
        return False
    return True


def _in_range(expr: Int, low: Int | None, high: Int | None) -> tuple[Condition, ...]:
    """``low <= expr <= high``; None: no bound."""
    below = () if low is None else (Condition(expr, ">=", low),)
    return below if high is None else (*below, Condition(-expr, ">=", -high))


def derive_solution(net: Trace, output: Target) -> Derivation:
    """The inputs that give an output."""
    if output is None:
        raise BadSpec("a solution is of a target", cure='explain("solution", output=(7, 7))')
    found = solve(net, output=output)
    part = net.at(found.at) if found.at else net
    wanted = parsed_target(output)
    dims = [part.output_dims[axis] for axis in target_axes(part, wanted)]
    steps = []
    for dim, target in zip(dims, wanted, strict=True):
        if target is None or isinstance(dim, int):
            continue
        low: Int | None
        high: Int | None
        if isinstance(target, Between):
            low, high = target.low, target.high
            equation = _in_range(dim, low, high)
        else:
            low = high = target
            equation = (Condition(dim, "==", target),)
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
