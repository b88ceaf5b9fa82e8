"""Presburger sets in words: what isl holds as constraints, as people write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from math import gcd
from typing import TYPE_CHECKING

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size
from symcnn.errors import Undecidable
from symcnn.sets.condition import Condition, congruence
from symcnn.sets.downset import Bound, ranges
from symcnn.sets.isl import allowed, integer, isl, nonempty, parts, question, tried
from symcnn.sets.products import is_linear
from symcnn.sets.runs import Run, runs_of

if TYPE_CHECKING:
    import islpy
    from sympy.logic.boolalg import Boolean

#: ``(e, m, r)`` for ``e % m == r``.
_Modular = tuple[Int, int, int]


def constraints(names: Sequence[str], part: islpy.Set) -> list[Condition]:
    """The constraints of one basic set, divisibility first, as conditions on `names`."""
    with suppress(Undecidable):
        if len(names) == 1 and len(runs := runs_of(part)) == 1:
            return runs[0].conditions(Size.symbol(names[0]))
    (basic,) = part.remove_redundancies().compute_divs().get_basic_sets()
    if len(names) > 1 and basic.dim(isl().dim_type.div):
        with suppress(Undecidable):
            if (sides := tried(partial(_box, names), part, None, allowed() // 20)) is not None:
                return sides
    symbols: list[Int] = [Size.symbol(n) for n in names]
    divs: list[Int] = []

    def total(aff: islpy.Aff | islpy.Constraint, kind: islpy.dim_type, scale: int) -> Int:
        value: Int = integer(aff.get_constant_val() * scale)
        for i, symbol in enumerate(symbols):
            value = value + symbol * integer(aff.get_coefficient_val(kind, i) * scale)
        for i, div in enumerate(divs):
            often = aff.get_coefficient_val(isl().dim_type.div, i)
            value = value + div * integer(often * scale)
        return value

    for i in range(basic.dim(isl().dim_type.div)):
        aff = basic.get_div(i)
        den = integer(aff.get_denominator_val())
        divs.append(sz.floordiv(total(aff, isl().dim_type.in_, den), den))
    found = []
    for constraint in basic.get_constraints():
        expr = total(constraint, isl().dim_type.set, 1)
        if isinstance(expr, int):
            continue
        if constraint.is_equality():
            lead = expr.ordered()[0][1]
            found.append(Condition(expr if lead > 0 else -expr, "==", 0))
        else:
            found.append(Condition(expr, ">=", 0))
    found = [c for c in found if _remainder(c) != ()]
    finer = [modular for c in found if (modular := as_mod(c)) is not None]
    found = [c for c in found if not any(_follows(as_mod(c), other) for other in finer)]
    return sorted(found, key=lambda c: (c.relation != "==" and not _remainder(c), str(c)))


def _box(names: Sequence[str], part: islpy.Set) -> list[Condition] | None:
    """The conditions of each size alone, where the set is all of their pairs: isl keeps floors of
    sets that were joined, though what is left needs none.
    """
    kind = isl().dim_type.set
    whole, found = isl().Set.universe(part.get_space()), list[Condition]()
    for axis, name in enumerate(names):
        others = part.project_out(kind, axis + 1, len(names) - axis - 1).project_out(kind, 0, axis)
        runs = runs_of(others)
        if len(runs) != 1:
            return None
        side = others.insert_dims(kind, 0, axis)
        whole = whole.intersect(side.insert_dims(kind, axis + 1, len(names) - axis - 1))
        found += runs[0].conditions(Size.symbol(name))
    return found if whole.is_equal(part) else None


def _follows(modular: _Modular | None, other: _Modular) -> bool:
    """Whether ``e % m == r`` follows from ``e % (k*m) == s``: H is even where H % 4 == 0."""
    if modular is None or modular[0] != other[0] or modular == other:
        return False
    (_, m, r), (_, multiple, rest) = modular, other
    return multiple % m == 0 and rest % m == r


def _sole_floor(gap: Int) -> tuple[sz.Floor, int | Fraction] | None:
    """The floor of a linear expression, and how many times, if there is just one."""
    if isinstance(gap, int) or not is_linear(gap):
        return None
    floors = [(a, c) for a, c in gap.linear() if isinstance(a, sz.Floor)]
    return floors[0] if len(floors) == 1 else None


def as_mod(condition: Condition) -> _Modular | None:
    """(e, m, r) when the condition says ``e % m == r``."""
    gap = condition.lhs - condition.rhs
    if condition.relation == "==" and (several := congruence(gap)) is not None:
        rest, n = several
        const = int(rest.const) if isinstance(rest, Size) else rest
        return rest - const, n, -const % n
    found = _sole_floor(gap) if condition.relation == "==" else None
    if found is None:
        return None
    floor, coeff = found
    if coeff > 0:
        gap, coeff = -gap, -coeff
    rest = gap - floor.size() * coeff  # rest == m*floor(num/m), so rest % m == 0
    den = floor.den
    if not isinstance(den, int) or den != -coeff or not isinstance(rest, Size):
        return None
    shift = floor.num - rest
    if not isinstance(shift, int) or not 0 <= shift < den:
        return None
    const = int(rest.const)
    return rest - const, den, -const % den


def _remainder(condition: Condition) -> tuple[Int, int, str, int] | tuple[()] | None:
    """(e, m, relation, r) when the condition says ``e % m relation r``; () when all e meet it.

    ``W >= 3*(W//3) + 1`` is ``W % 3 != 0``, and ``3*(W//3) + 2 >= W`` is so of every W.
    """
    if (modular := as_mod(condition)) is not None:
        return *modular[:2], "==", modular[2]
    gap = condition.lhs - condition.rhs
    found = _sole_floor(gap) if condition.relation == ">=" else None
    if found is None:
        return None
    floor, times = found
    sign, den = (-1 if times > 0 else 1), floor.den  # e - m*floor(e/m) is what m leaves of e
    bound = sign * (floor.num - floor.size() * den) - gap if abs(times) == den else None
    if not isinstance(den, int) or not isinstance(bound, int):
        return None
    low, high = (max(bound, 0), den - 1) if sign > 0 else (0, min(-bound, den - 1))
    if high - low == den - 1:
        return ()
    shift = int(floor.num.const)
    if low == high:
        return floor.num - shift, den, "==", (low - shift) % den
    if high - low == den - 2:  # all but one
        return floor.num - shift, den, "!=", ((low - 1 if low else high + 1) - shift) % den
    return floor.num, den, *((">=", low) if sign > 0 else ("<=", high))


def _words(condition: Condition) -> str:
    """A linear condition as people write it: positive terms left and right."""
    if left_over := _remainder(condition):
        expr, m, relation, r = left_over
        text = str(expr)
        return f"{text if text.isidentifier() else f'({text})'} % {m} {relation} {r}"
    gap = condition.lhs - condition.rhs
    assert isinstance(gap, Size)
    common = gcd(*(int(c) for c in gap.terms.values()))
    left: Int = 0
    right: Int = 0
    for mono, coeff in gap.terms.items():
        term = sz.prod(a.size() ** p for a, p in mono) * (abs(int(coeff)) // common)
        if coeff > 0:
            left = left + term
        else:
            right = right + term
    relation = condition.relation
    if isinstance(left, int) and isinstance(right, Size):
        left, right, relation = right, left, "<=" if relation == ">=" else "=="
    return f"{left} {relation} {right}"


def sentences(conditions: Sequence[Condition]) -> list[str]:
    """Conditions in words; the bounds of one size in one piece: ``227 <= H <= 258``."""
    bounds: dict[str, list[int | None]] = {}
    texts: list[str] = []
    for condition in conditions:
        gap = condition.lhs - condition.rhs
        symbol = sz.sole_atom(gap - gap.const) if isinstance(gap, Size) else None
        negative = sz.sole_atom(-(gap - gap.const)) if isinstance(gap, Size) else None
        atom = symbol or negative
        if condition.relation == "==" or not isinstance(atom, sz.Symbol):
            texts.append(_words(condition))
            continue
        assert isinstance(gap, Size)
        pair = bounds.setdefault(atom.name, [1, None])
        if symbol is not None:
            pair[0] = -int(gap.const)
        else:
            pair[1] = int(gap.const)
    runs = [Run(low or 1, high).text(name) for name, (low, high) in sorted(bounds.items())]
    return [*dict.fromkeys(runs + texts)]


def as_it_is(sides: Iterable[tuple[Sequence[str], Mapping[frozenset[Bound], islpy.Set]]]) -> str:
    """A product of unions in the conditions that it is kept as, none shortened; a factor that
    takes too many steps even so is named by its sizes.
    """
    found = []
    for names, cases in sides:
        try:
            found.append(_conditions(names, cases))
        except Undecidable:
            found.append(f"{' and '.join(names)} in a set that takes too many steps to write")
    return conjunction([t for t in found if t])


@question
def _conditions(names: Sequence[str], cases: Mapping[frozenset[Bound], islpy.Set]) -> str:
    texts = [
        " and ".join([*sentences(constraints(names, part)), *ranges(bounds)])
        for bounds, isl_set in cases.items()
        for part in nonempty(isl_set)
    ]
    return " or ".join(f"({t})" for t in texts) if len(texts) > 1 else "".join(texts)


def as_boolean(
    sides: Iterable[tuple[Sequence[str], Mapping[frozenset[Bound], islpy.Set]]],
) -> Boolean:
    """A product of unions for sympy."""
    import sympy

    from symcnn.algebra.expr import to_sympy

    def said(b: Bound) -> Boolean:
        limit = (sympy.Ge, b.limit) if b.above else (sympy.Le, b.limit - 1)
        return limit[0](to_sympy(b.expr), limit[1])

    found = [
        sympy.Or(
            *(
                sympy.And(*map(said, bounds), *map(relation, constraints(names, part)))
                for bounds, isl_set in cases.items()
                for part in parts(isl_set)
            )
        )
        for names, cases in sides
    ]
    return sympy.And(*found)


def conjunction(texts: Sequence[str]) -> str:
    """All of them: a text has brackets where an "or" of its own stands outside of brackets.

    >>> conjunction(["(H == 1 or H >= 4) and W >= 2", "H*W >= 9 or W == 2"])
    '(H == 1 or H >= 4) and W >= 2 and (H*W >= 9 or W == 2)'
    """
    return " and ".join(f"({t})" if len(texts) > 1 and _is_union(t) else t for t in texts)


def _is_union(text: str) -> bool:
    while (outer := re.sub(r"\([^()]*\)", "", text)) != text:
        text = outer
    return " or " in text


#: Relations of remainders, in sympy.
_SYMPY = {"==": "Eq", "!=": "Ne", ">=": "Ge", "<=": "Le"}


def relation(condition: Condition) -> Boolean:
    """A linear condition for sympy."""
    import sympy

    from symcnn.algebra.expr import to_sympy

    if left_over := _remainder(condition):
        expr, m, said, r = left_over
        return getattr(sympy, _SYMPY[said])(sympy.Mod(to_sympy(expr), m), r)
    gap = condition.lhs - condition.rhs
    assert isinstance(gap, Size)
    relation = sympy.Ge if condition.relation == ">=" else sympy.Eq
    if len([m for m in gap.terms if m]) == 1:
        ((mono, coeff),) = [(m, c) for m, c in gap.terms.items() if m]
        if abs(coeff) == 1:
            atom = to_sympy(Size({mono: 1}))
            bound = to_sympy(-int(gap.const) * int(coeff))
            if relation is sympy.Eq:
                return sympy.Eq(atom, bound)
            return sympy.Ge(atom, bound) if coeff > 0 else sympy.Le(atom, bound)
    return relation(to_sympy(gap), 0)


def _ratio(value: Int, many: int) -> str:
    """A quotient that is whole: ``h/2``, ``(h - 1)/2``."""
    text = str(value)
    return text if many == 1 else f"{text if text.isidentifier() else f'({text})'}/{many}"


def _solvable(coeff: int | Fraction, rest: Int, relation: str) -> bool:
    """Whether a condition is read more easily once solved: ``10*y >= 7*H`` is not."""
    if relation != "==" or not isinstance(rest, Size):
        return abs(coeff) == 1
    return coeff != 0 and (abs(coeff) == 1 or all(abs(c) == 1 for m, c in rest.terms.items() if m))


def solved(conditions: Sequence[Condition], unknown: Sequence[str]) -> Iterator[str]:
    """Conditions in words, those on one unknown solved for it: ``32*h - 31 <= H <= 32*h``."""
    bounds: dict[str, tuple[list[str], list[str], list[str]]] = {}
    others: list[Condition] = []
    for condition in conditions:
        gap = condition.lhs - condition.rhs
        assert isinstance(gap, Size)
        for name in unknown:
            atom = Size.symbol(name)
            coeff = gap.terms.get(next(iter(atom.terms)), 0)
            rest = gap - atom * coeff
            if _solvable(coeff, rest, condition.relation) and name not in sz.symbols_of(rest):
                low, high, same = bounds.setdefault(name, ([], [], []))
                value, many = (-rest, int(coeff)) if coeff > 0 else (rest, -int(coeff))
                if condition.relation == "==":
                    same.append(_ratio(value, many))
                    if many > 1:
                        others.append(Condition(sz.mod(value, many), "==", 0))
                else:
                    (low if coeff > 0 else high).append(str(value))
                break
        else:
            others.append(condition)
    for name in unknown:
        low, high, same = bounds.get(name, ([], [], []))
        yield from (f"{name} == {value}" for value in same)
        least = low[0] if len(low) == 1 else f"max({', '.join(low)})" if low else ""
        most = high[0] if len(high) == 1 else f"min({', '.join(high)})" if high else ""
        if least and most:
            yield f"{least} <= {name} <= {most}"
        elif least:
            yield f"{name} >= {least}"
        elif most:
            yield f"{name} <= {most}"
    plain = [c for c in others if not isinstance(c.lhs - c.rhs, int)]
    yield from (t for t in sentences(plain) if not t.endswith(" >= 1"))
