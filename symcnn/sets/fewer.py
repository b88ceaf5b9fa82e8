"""The same requirements in fewer floors and sizes, before isl is asked.

The law: *what is equal for all sizes is written once.* The strictest of bounds that differ in a
constant holds for all of them; divisions one after the other are one division; a size that is fixed
is its number; floors that are equal at all sizes that are left are one, and a quotient stands in
lowest terms. Nothing here makes a set.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.factor import factors
from symcnn.algebra.size import Int, Size
from symcnn.algebra.substitute import replaced
from symcnn.sets.condition import AnyOf, Asked, Condition, Requirement, Single, substituted
from symcnn.sets.products import Facts, is_linear


def with_numbers(requirement: Asked, fixed: Mapping[str, int]) -> Asked:
    """A requirement on several sizes with numbers for those that are fixed."""
    known = {name: fixed[name] for name in requirement.symbols & fixed.keys()}
    if not known or len(requirement.symbols) < 2:
        return requirement
    with suppress(ZeroDivisionError):
        return substituted(requirement, known)
    return requirement


def with_equal_numbers(requirements: Sequence[Single]) -> list[Single]:
    """The same with a number for an atom where another requirement says that it is that number.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> share = (H*W) // ((H // 4)*(W // 4))
    >>> view = Condition(H*W, "==", share*(H // 4))
    >>> print(*with_equal_numbers([Condition(share, "==", 16), view]), sep=" and ")
    (H*W)//((H//4)*(W//4)) == 16 and H*W - 16*(H//4) == 0
    """
    equal: dict[sz.Atom, tuple[Single, int]] = {}
    for requirement in requirements:
        if isinstance(requirement, Condition) and requirement.relation == "==":
            gap = requirement.lhs - requirement.rhs
            const = int(gap.const) if isinstance(gap, Size) else gap
            for sign in (1, -1):
                atom = sz.sole_atom((gap - const) * sign)
                if atom is not None:
                    equal.setdefault(atom, (requirement, -sign * const))
    return [_with_equal(requirement, equal) for requirement in requirements]


def _with_equal(requirement: Single, equal: Mapping[sz.Atom, tuple[Single, int]]) -> Single:
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


def with_fewer_floors(requirement: Single, known: Facts) -> Single:
    """The same with one floor for several that are equal at all sizes that are known to be left,
    and quotients without the positive factors that both sides share.

    >>> class Even:
    ...     least = {"H": 2, "W": 1}
    ...     def entails(self, condition): return condition.holds({"H": 2, "W": 1})
    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> print(with_fewer_floors(Condition((H // 2)*W, "==", ((H + 1) // 2)*(W // 3)), Even()))
    W*((H + 1)//2) == ((H + 1)//2)*(W//3)
    """
    if isinstance(requirement, AnyOf):
        options = (with_fewer_floors(option, known) for option in requirement.options)
        return replace(requirement, options=tuple(o for o in options if isinstance(o, Condition)))
    if not isinstance(requirement, Condition):
        return requirement
    lhs, rhs = requirement.lhs, requirement.rhs
    for fewer in (_one_of_equals, _coarsest, _lowest):
        for atom, by in fewer([*sz.every_atom(lhs, rhs)], known):
            lhs, rhs = replaced(lhs, atom, by), replaced(rhs, atom, by)
    return Condition(lhs, requirement.relation, rhs, requirement.why)


def _one_of_equals(atoms: Sequence[sz.Atom], known: Facts) -> Iterator[tuple[sz.Atom, Int]]:
    """Floors that differ by a constant under the line, as the first that they are equal to."""
    kept: dict[tuple[Int, Int], list[Size]] = {}
    for atom in atoms:
        if isinstance(atom, sz.Floor) and isinstance(atom.num, Size) and type(atom.den) is int:
            others = kept.setdefault((atom.num - atom.num.const, atom.den), [])
            floor = atom.size()
            same = (o for o in others if known.entails(Condition(floor, "==", o)))
            if (other := next(same, None)) is None:
                others.append(floor)
            else:
                yield atom, other


def _coarsest(atoms: Sequence[sz.Atom], known: Facts) -> Iterator[tuple[sz.Atom, Int]]:
    """What is k times a coarser floor, as that: H as ``4*(H//4)``."""
    fine = {a: (a.size(), 1) for a in atoms if isinstance(a, sz.Symbol)}
    floors = {
        a: (a.num, a.den) for a in atoms if isinstance(a, sz.Floor) and isinstance(a.den, int)
    }
    coarsest = sorted(floors.items(), key=lambda item: -item[1][1])
    for atom, (num, den) in (fine | floors).items():
        for coarse, (same, times) in coarsest:
            if same == num and times > den and times % den == 0:
                whole = coarse.size() * (times // den)
                if known.entails(Condition(atom.size(), "==", whole)):
                    yield atom, whole
                    break


def _lowest(atoms: Sequence[sz.Atom], known: Facts) -> Iterator[tuple[sz.Atom, Int]]:
    """Quotients of sizes in lowest terms: ``(c*x)//(c*y)`` is ``x//y``."""
    for atom in atoms:
        if isinstance(atom, sz.Floor) and isinstance(atom.den, Size):
            with suppress(ValueError):
                (above, a), (below, b) = factors(atom.num), factors(atom.den)
                num, den = [*above], [*below]
                for f in above:
                    if f in den and known.entails(Condition(f, ">=", 1)):
                        num.remove(f)
                        den.remove(f)
                if len(den) < len(below):
                    yield atom, sz.floordiv(sz.prod(num) * a, sz.prod(den) * b)


def strictest_of(requirements: Iterable[Asked]) -> list[tuple[Asked, Asked]]:
    """(requirement as given, as simplified) without repetitions; of inequalities that differ only
    in the constant, the strictest.
    """
    kept: dict[Any, tuple[Asked, Asked]] = {}
    strictest: dict[Any, Any] = {}
    for requirement in requirements:
        if isinstance(requirement, Condition) and requirement.relation == ">=":
            gap = _stripped(requirement.lhs - requirement.rhs)
            if isinstance(gap, Size):
                key, const = gap - gap.const, gap.const
                if key not in kept or const < strictest[key]:
                    simple = Condition(gap, ">=", 0, requirement.why)
                    kept[key] = requirement, simple if is_linear(gap) else requirement
                    strictest[key] = const
                continue
            if isinstance(gap, int) and gap >= 0:
                continue
        kept.setdefault(equation_of(requirement, kept), (requirement, requirement))
    return list(kept.values())


def equation_of(requirement: Requirement, known: Container[object]) -> object:
    """What an equation says, whichever of its sides comes first, as it is known if it is; any other
    requirement as it is.
    """
    if not isinstance(requirement, Condition) or requirement.relation != "==":
        return requirement
    gap = requirement.lhs - requirement.rhs
    return ("==", -gap) if ("==", -gap) in known else ("==", gap)


def _stripped(gap: Int) -> Int:
    """``floor(e/m) + k >= 0`` as ``e + m*k >= 0``, again and again."""
    while isinstance(gap, Size):
        floor = sz.sole_atom(gap - gap.const)
        if not isinstance(floor, sz.Floor) or type(floor.den) is not int:
            break
        gap = floor.num + floor.den * int(gap.const)
    return gap


def tied(names: Sequence[str], ties: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """The names in groups, as the ties join them.

    >>> tied("abcd", ["ca", "d"])
    [('a', 'c'), ('b',), ('d',)]
    """
    group = {name: {name} for name in names}
    for tie in ties:
        union = set[str]().union(*(group[n] for n in tie if n in group))
        group.update(dict.fromkeys(union, union))
    return [*dict.fromkeys(tuple(n for n in names if n in group[name]) for name in names)]
