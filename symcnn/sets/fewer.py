"""The same requirements in fewer floors and sizes, before isl is asked.

The law: *what is equal for all sizes is written once.* The strictest of bounds that differ in a
constant holds for all of them; divisions one after the other are one division; a size that is fixed
is its number. Nothing here makes a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import lcm
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size
from symcnn.sets.condition import Condition, Requirement, substituted
from symcnn.sets.products import is_linear


def with_numbers(requirement: Requirement, fixed: Mapping[str, int]) -> Requirement:
    """A requirement on several sizes with numbers for those that are fixed."""
    known = {name: fixed[name] for name in requirement.symbols & fixed.keys()}
    if not known or len(requirement.symbols) < 2:
        return requirement
    with suppress(ZeroDivisionError):
        return substituted(requirement, known)
    return requirement


def strictest_of(requirements: Iterable[Requirement]) -> list[tuple[Requirement, Requirement]]:
    """(requirement as given, as simplified) without repetitions; of inequalities that differ only
    in the constant, the strictest.
    """
    kept: dict[Any, tuple[Requirement, Requirement]] = {}
    strictest: dict[Any, Any] = {}
    for requirement in requirements:
        if isinstance(requirement, Condition) and requirement.relation == ">=":
            gap = _stripped(requirement.lhs - requirement.rhs)
            if isinstance(gap, Size) and is_linear(gap):
                key, const = gap - gap.const, gap.const
                if key not in kept or const < strictest[key]:
                    kept[key] = requirement, Condition(gap, ">=", 0, requirement.why)
                    strictest[key] = const
                continue
            if isinstance(gap, int) and gap >= 0:
                continue
        kept[requirement] = requirement, requirement
    return list(kept.values())


def as_multiples(requirements: Sequence[Requirement]) -> list[Requirement]:
    """``floor(e/m) % n == 0 and floor(e/(m*n)) % k == 0`` as ``floor(e/m) % (n*k) == 0``.

    Every level of a U-Net asks for one more halving; isl, which would take each floor for an
    unknown of its own, is told once.
    """
    steps: dict[Size, list[tuple[int, int, Requirement]]] = {}
    for requirement in requirements:
        if (step := _multiple(requirement)) is not None:
            steps.setdefault(step[0], []).append((*step[1:], requirement))
    merged: set[Requirement] = set()
    made: list[Requirement] = []
    for e, found in steps.items():
        chains: list[tuple[int, int]] = []  # (m, n): floor(e/m) % n == 0
        for m, n, requirement in sorted(found, key=lambda step: step[:2]):
            merged.add(requirement)
            for i, (start, whole) in enumerate(chains):
                if m % start == 0 and whole % (m // start) == 0:
                    chains[i] = start, lcm(whole, m // start * n)
                    break
            else:
                chains.append((m, n))
        made += [Condition(sz.mod(sz.floordiv(e, m), n), "==", 0) for m, n in chains]
    return [*made, *(r for r in requirements if r not in merged)]


def _multiple(requirement: Requirement) -> tuple[Size, int, int] | None:
    """(e, m, n), if the requirement says ``floor(e/m) % n == 0``."""
    if type(requirement) is not Condition or requirement.relation != "==":
        return None
    gap = requirement.lhs - requirement.rhs
    for mono, coeff in gap.terms.items() if isinstance(gap, Size) else ():
        outer = sz.sole_atom(Size({mono: 1}))
        if not isinstance(outer, sz.Floor) or type(outer.den) is not int:
            continue
        rest = gap - Size({mono: coeff})
        if isinstance(outer.num, Size) and rest * outer.den == outer.num * -coeff:
            return outer.num, 1, outer.den
        for inner in rest.atoms() if isinstance(rest, Size) else ():
            m = inner.den if isinstance(inner, sz.Floor) and inner.num == outer.num else 0
            if isinstance(m, int) and m and outer.den % m == 0:
                n = outer.den // m
                if rest * n == inner.size() * -coeff:
                    return outer.num, m, n
    return None


def _stripped(gap: Int) -> Int:
    """``floor(e/m) + k >= 0`` as ``e + m*k >= 0``, again and again."""
    while isinstance(gap, Size):
        floor = sz.sole_atom(gap - gap.const)
        if not isinstance(floor, sz.Floor) or type(floor.den) is not int:
            break
        gap = floor.num + floor.den * int(gap.const)
    return gap
