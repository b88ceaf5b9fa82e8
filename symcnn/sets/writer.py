"""A condition is isl text over dimensions x0, x1, ...; names of users never reach isl's parser.

What is quasi-affine is written down as it stands. Two laws keep small what isl is handed: a bound
on one monotone atom moves inside (``floor(e/m) >= t`` is ``e >= m*t``, and ``trunc(double(e)*scale)
>= t`` is ``e >= `` the least such value, found by bisection; so is what grows with one size,
however many atoms it has), and remainders in one another are one (`symcnn.sets.remainders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING, Any

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size, denominator, symbols_of
from symcnn.errors import InvalidInput, Undecidable
from symcnn.sets import scales
from symcnn.sets.condition import (
    AnyOf,
    Condition,
    Single,
    congruence,
    decide_syntactically,
    substituted,
)
from symcnn.sets.downset import FAR, grows, reached
from symcnn.sets.isl import (
    MODULI,
    coalesced,
    fold,
    isl,
    overdraw,
    parsed,
    require_few,
    spent,
    too_much,
)
from symcnn.sets.products import is_linear, undecidable
from symcnn.sets.remainders import collapsed

if TYPE_CHECKING:
    import islpy


#: So many floors one requirement may have, counted as often as they are written; so many unlike
#: moduli may stand in what isl reads at once, whose parser has no end to 20 of them.
_NESTED, _UNLIKE = 256, 2 * MODULI

#: Up to these values a size is tried, one by one, if a glance decides what is above.
_TRIED = (64, 1024)


class Writer:
    """Writes conditions on `names` as isl formulas; `low` is what the sizes start from."""

    def __init__(self, names: Sequence[str], low: int = 1) -> None:
        self.names = {name: f"x{i}" for i, name in enumerate(names)}
        self.low = low
        self.scales: dict[sz.Scaled, tuple[str, str]] = {}  # the size made -> its name, meaning
        self.floors: dict[sz.Floor, int] = {}  # of what is read at once -> by which number
        self.nested = 0  # how often a floor was written in the requirement at hand

    def linear(self, requirement: Single) -> str:
        """A requirement of linear conditions as one formula.

        Raises Undecidable for any other.
        """
        self.floors, self.nested = {}, 0
        text = self._formula(requirement)
        _require_few_moduli(self.floors)
        if not self.scales:
            return text
        made, meanings = zip(*self.scales.values(), strict=True)
        self.scales = {}
        return f"exists ({', '.join(made)} : {' and '.join(meanings)} and ({text}))"

    def _count(self) -> None:
        """A floor more. In one another, each twice, floors are written twice as often each time."""
        self.nested += 1
        if self.nested > _NESTED:
            raise Undecidable(
                f"a condition of more than {_NESTED} floors in one another",
                cure='give the size a number where the shape is said: "N 3 224 W"',
            )

    def _formula(self, requirement: Single) -> str:
        if isinstance(requirement, AnyOf):
            equal = requirement.denied
            if equal is not None and (found := congruence(equal.lhs - equal.rhs)) is not None:
                return f"({self.term(found[0])}) mod {found[1]} >= 1"
            return " or ".join(f"({self._formula(option)})" for option in requirement.options)
        gap = requirement.lhs - requirement.rhs
        gap = gap * denominator(gap)  # H/2 says as much as H, of twice the other side
        return self.at_least_zero(gap) if requirement.relation == ">=" else self.zero(gap)

    def at_least_zero(self, expr: Int) -> str:
        """``expr >= 0``; a bound on a single monotone atom moves inside it."""
        if isinstance(expr, int):
            return "true" if expr >= 0 else "false"
        inside = (
            _bound(expr, self.at_least_zero)
            or self._edge(expr)
            or self._values(Condition(expr, ">=", 0))
        )
        return inside or f"{self.term(expr)} >= 0"

    def _edge(self, expr: Size) -> str | None:
        """``expr >= 0`` for what grows, or falls, with the one size it speaks of: a bound on it."""
        names = [n for n in symbols_of(expr) if n in self.names]
        if len(names) != 1 or len(symbols_of(expr)) != 1:
            return None
        if all(type(atom) is sz.Symbol for atom in expr.atoms()):
            return None
        name, x = names[0], self.names[names[0]]
        with suppress(InvalidInput):  # of numbers of one kind only, such as odd ones
            if grows(expr):
                edge = reached(expr, 0, name, self.low)
                return f"{x} >= {edge}" if edge <= FAR else "false"
            if grows(-expr):
                edge = reached(-expr, 1, name, self.low)
                return f"{x} < {edge}" if edge <= FAR else "true"
        return None

    def zero(self, expr: Int) -> str:
        """``expr == 0``."""
        if isinstance(expr, int):
            return "false" if expr else "true"
        both = _bound(expr, self.at_least_zero), _bound(-expr, self.at_least_zero)
        if None not in both:
            return f"({both[0]}) and ({both[1]})"
        if (found := congruence(expr)) is not None:
            return f"({self.term(found[0])}) mod {found[1]} = 0"
        edges = self._edge(expr), self._edge(-expr)
        if None not in edges:  # what grows has a value on one run
            return f"({edges[0]}) and ({edges[1]})"
        return self._values(Condition(expr, "==", 0)) or f"{self.term(expr)} = 0"

    def _values(self, condition: Condition) -> str | None:
        """A condition on one size with float scales: the few values at which it holds, where a
        glance decides all above them.
        """
        names, atoms = condition.symbols, {type(atom) for atom in sz.every_atom(condition.lhs)}
        if len(names) != 1 or not names <= self.names.keys():
            return None
        if sz.Scaled not in atoms or sz.Part in atoms:
            return None
        (name,) = names
        x = self.names[name]
        for far in _TRIED:
            beyond = substituted(condition, {name: sz.Symbol(name, 0).size() + far})
            if (above := decide_syntactically(beyond)) is not None:
                found = {v for v in range(self.low, far) if condition.holds({name: v})}
                first = sorted(v for v in found if v - 1 not in found)
                last = sorted(v for v in found if v + 1 not in found)
                spans = [f"({a} <= {x} <= {b})" for a, b in zip(first, last, strict=True)]
                return " or ".join([*spans, f"({x} >= {far})"] if above else spans) or "false"
        return None

    def term(self, expr: Int) -> str:
        """A linear expression as an isl term."""
        if isinstance(expr, int):
            return str(expr)
        if not is_linear(expr):
            raise undecidable(expr)
        pieces = []
        for atom, coeff in expr.linear():
            if coeff.denominator != 1:
                raise undecidable(expr)
            pieces.append(f"{coeff}" if atom is None else f"{coeff}*{self.atom(atom)}")
        return " + ".join(pieces) or "0"

    def atom(self, atom: sz.Atom) -> str:
        """An atom as an isl term."""
        match atom:
            case sz.Symbol(name=name) if name in self.names:
                return self.names[name]
            case sz.Part(name=name) if name in self.names and type(atom.of) is int:
                return f"floor(({self.names[name]} - {atom.rest})/{atom.of})"
            case sz.Floor() if type(atom.den) is int:
                self.floors[atom] = atom.den
                self._count()
                return f"floor(({self.term(atom.num)})/{atom.den})"
            case sz.Max():
                return fold("max", [self.term(arg) for arg in atom.args])
            case sz.Scaled() if scales.ratio(atom.scale) is not None:
                if atom not in self.scales:
                    self.term(atom.arg)  # the sizes that its argument is made of come first
                    name = f"s{len(self.scales)}"
                    self.scales[atom] = name, self._scaling(atom, name)
                return self.scales[atom][0]
        raise undecidable(atom.size())

    def _scaling(self, atom: sz.Scaled, made: str) -> str:
        """``made == trunc(double(x)*scale)``: a floor, less one where `shortfalls` says so."""
        ratio, x = scales.ratio(atom.scale), self.term(atom.arg)
        assert ratio is not None
        p, q = ratio.numerator, ratio.denominator

        def meaning(x: str, made: str) -> str:
            floor = f"floor(({p}*({x}))/{q})"
            spans = " or ".join(f"{a} <= {x} <= {b}" for a, b in scales.shortfalls(atom.scale))
            if not spans:
                return f"{made} = {floor}"
            short = f"({x}) mod {q} = 0 and ({spans})"
            return f"(({short}) and {made} = {floor} - 1) or (not ({short}) and {made} = {floor})"

        low = sz.lower(atom.arg)
        if low is not None and low >= 0:
            return f"({meaning(x, made)})"
        return (
            f"(({x} >= 0 and ({meaning(x, made)})) or "
            f"({x} < 0 and ({meaning(f'-({x})', f'-{made}')})))"
        )

    def set(self, requirements: Iterable[Single], stated: Iterable[str] = ()) -> islpy.Set:
        """The isl set of sizes that meet all of linear requirements, and formulas.

        They are met one after the other: together, alternatives would be multiplied out, and
        remainders in one another kept.
        """
        every = sorted(requirements, key=lambda r: not isinstance(r, Condition))
        texts, floors = [[*stated]] if stated else [], dict[sz.Floor, int]()
        try:
            for requirement in every:
                texts.append([f"({self.linear(requirement)})"])
                if isinstance(requirement, Condition):
                    floors |= self.floors
                    _require_few_moduli(floors)
            sets: Iterator[islpy.Set] = map(self._set, texts or [[]])
            return reduce(lambda a, b: collapsed(coalesced(a.intersect(b))), sets)
        except isl().Error as error:
            raise self._culprit(every, error) from None

    def _set(self, texts: Iterable[str]) -> Any:
        texts = [*(f"{x} >= {self.low}" for x in self.names.values()), *texts]
        dims = ", ".join(self.names.values())
        return parsed(f"{{ [{dims}] : {' and '.join(texts)} }}" if texts else "{ [] }")

    def _culprit(self, requirements: Sequence[Single], error: Exception) -> Exception:
        """The refusal that names the requirement at which the steps ran out."""
        if not spent(error):
            return error
        overdraw()
        found = self._set(())
        for requirement in requirements if len(requirements) > 1 else ():
            try:
                found = found.intersect(self._set([f"({self.linear(requirement)})"]))
                found.is_empty()
            except isl().Error:
                return too_much(str(requirement))
        return too_much(" and ".join(map(str, requirements)))


def _require_few_moduli(floors: dict[sz.Floor, int]) -> None:
    moduli: dict[frozenset[str], set[int]] = {}
    for floor, den in floors.items() if len(floors) > _UNLIKE else ():
        moduli.setdefault(symbols_of(floor.num), set()).add(den)
    for found in moduli.values():
        require_few(found, _UNLIKE)


def _bound(expr: Size, at_least_zero: Callable[[Int], str]) -> str | None:
    """``c*atom + k >= 0`` for one monotone atom, as a bound on what stands inside it."""
    atoms = [m for m in expr.terms if m]
    if len(atoms) != 1 or len(atoms[0]) != 1 or atoms[0][0][1] != 1:
        return None
    (atom, _), coeff, const = atoms[0][0], expr.terms[atoms[0]], expr.const
    if coeff > 0:  # atom >= t
        t = int(-(const // coeff))
        if isinstance(atom, sz.Floor) and type(atom.den) is int:
            return at_least_zero(atom.num - t * atom.den)
        if isinstance(atom, sz.Scaled):
            return at_least_zero(atom.arg - scales.least(atom.scale, t))
        if isinstance(atom, sz.Max):  # one of them is
            return " or ".join(f"({at_least_zero(arg - t)})" for arg in atom.args)
    else:  # atom <= t
        t = int(const // -coeff)
        if isinstance(atom, sz.Floor) and type(atom.den) is int:
            return at_least_zero(-atom.num + (t * atom.den + atom.den - 1))
        if isinstance(atom, sz.Scaled):
            return at_least_zero(-atom.arg + (scales.least(atom.scale, t + 1) - 1))
        if isinstance(atom, sz.Max):  # all of them are
            return " and ".join(f"({at_least_zero(t - arg)})" for arg in atom.args)
    return None
