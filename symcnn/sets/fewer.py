"""The same requirements in fewer floors and sizes, before isl is asked.

The law: *what is equal for all sizes is written once.* The strictest of bounds that differ in a
constant holds for all of them; divisions one after the other are one division; a size that is fixed
is its number. Nothing here makes a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def with_equal_numbers(requirements: Sequence[Requirement]) -> list[Requirement]:
    """The same with a number for an atom where another requirement says that it is that number.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> share = (H*W) // ((H // 4)*(W // 4))
    >>> view = Condition(H*W, "==", share*(H // 4))
    >>> print(*with_equal_numbers([Condition(share, "==", 16), view]), sep=" and ")
    (H*W)//((H//4)*(W//4)) == 16 and H*W - 16*(H//4) == 0
    """
    equal: dict[sz.Atom, tuple[Requirement, int]] = {}
    for requirement in requirements:
        if isinstance(requirement, Condition) and requirement.relation == "==":
            gap = requirement.lhs - requirement.rhs
            const = int(gap.const) if isinstance(gap, Size) else gap
            for sign in (1, -1):
                atom = sz.sole_atom((gap - const) * sign)
                if atom is not None:
                    equal.setdefault(atom, (requirement, -sign * const))
    return [_with_equal(requirement, equal) for requirement in requirements]


def _with_equal(
    requirement: Requirement, equal: Mapping[sz.Atom, tuple[Requirement, int]]
) -> Requirement:
    if not isinstance(requirement, Condition):
        return requirement
    gap = requirement.lhs - requirement.rhs
    if isinstance(gap, int) or is_linear(gap):
        return requirement
    known = {a: equal[a][1] for a in gap.atoms() if a in equal and equal[a][0] is not requirement}
    if not known:
        return requirement
    found = gap.map(lambda atom: known.get(atom, atom.size()))
    return Condition(found, requirement.relation, 0, requirement.why)


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
