"""The same requirements in fewer floors and sizes, before isl is asked.

The law: *what is equal for all sizes is written once.* The strictest of bounds that differ in a
constant holds for all of them; divisions one after the other are one division; a size that is fixed
is its number. Nothing here makes a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
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


def _stripped(gap: Int) -> Int:
    """``floor(e/m) + k >= 0`` as ``e + m*k >= 0``, again and again."""
    while isinstance(gap, Size):
        floor = sz.sole_atom(gap - gap.const)
        if not isinstance(floor, sz.Floor) or type(floor.den) is not int:
            break
        gap = floor.num + floor.den * int(gap.const)
    return gap
