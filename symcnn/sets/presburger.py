"""A condition is isl text: requirements over positive sizes, as regions.

What is quasi-affine is written down for isl as it stands, over the dimensions x0, x1, ...; names of
users never reach isl's parser. What is not becomes a union of what is, by the laws of
`symcnn.sets.products`, under what is known from the other requirements. Six laws keep small what
isl is handed:

- a bound on one monotone atom moves inside: ``floor(e/m) >= t`` is ``e >= m*t``, and
  ``trunc(double(e)*scale) >= t`` is ``e >= `` the least such value, found by bisection; so is what
  grows with one size, however many atoms it has;
- of bounds that differ in a constant the strictest is asked for (`symcnn.sets.fewer`);
- remainders in one another are one (`symcnn.sets.remainders`), requirement after requirement;
- **what is equal is substituted first**: where requirements leave one size in a few residue classes
  ``H = p*q + r``, those with floors in floors are written in q, where the floor normal form has
  taken them apart, and so on: windows in windows ask their question at their own scale;
- what is linear for each value of a size is a finite union, where other conditions bound that size;
- what speaks of one product only is a condition on a number (`symcnn.sets.compound`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int, Size, denominator, symbols_of, with_values
from symcnn.errors import InvalidInput, Undecidable
from symcnn.sets import scales
from symcnn.sets.compound import is_remainder, through_one
from symcnn.sets.condition import (
    AnyOf,
    Condition,
    ForAll,
    Requirement,
    Single,
    congruence,
    decide_syntactically,
    is_deep,
    parts_of,
    subexpressions,
    substituted,
)
from symcnn.sets.downset import FAR, Bound, grows, reached
from symcnn.sets.fewer import (
    strictest_of,
    tied,
    with_equal_numbers,
    with_fewer_floors,
    with_numbers,
)
from symcnn.sets.isl import (
    MANY,
    MODULI,
    coalesced,
    empty,
    ends,
    fold,
    isl,
    once,
    overdraw,
    parsed,
    require_few,
    spent,
    too_much,
    without,
)
from symcnn.sets.products import Cases, cases, is_linear, undecidable
from symcnn.sets.region import Region
from symcnn.sets.remainders import collapsed
from symcnn.sets.residues import by_residues
from symcnn.sets.runs import Run, runs_of

if TYPE_CHECKING:
    import islpy


#: So many floors one requirement may have, counted as often as they are written; so many unlike
#: moduli may stand in what isl reads at once, whose parser has no end to 20 of them.
_NESTED, _UNLIKE = 256, 2 * MODULI

#: Up to these values a size is tried, one by one, if a glance decides what is above.
_TRIED = (64, 1024)


def unrolled(requirement: Requirement) -> Iterator[Single]:
    """A requirement on every block of a repeat as one on each of them.

    Raises Undecidable where how many there are is no number.
    """
    if not isinstance(requirement, ForAll):
        yield requirement
    elif isinstance(requirement.count, int):
        for i in range(requirement.count):
            yield from unrolled(substituted(requirement.each, {requirement.index: i}))
    else:
        raise Undecidable(
            f"{requirement}: where it holds cannot be decided as a set",
            cure="give the number of blocks as a number, or ask at single sizes with shape_at",
        )


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


# What is known ---------------------------------------------------------------------------------


class Sizes:
    """All sizes of a region: what the laws of products may use."""

    def __init__(self, known: Region) -> None:
        self.region = known
        self.names = known.names
        self._said: dict[Condition, bool] = {}
        self.least: Mapping[str, int] = {}
        if not known.is_empty():
            hull = list(known.cases.values())
            self.least = {n: min(ends(s, i)[0] for s in hull) for i, n in enumerate(self.names)}

    def entails(self, condition: Condition) -> bool:
        """Whether a linear condition holds at all of them."""
        if condition not in self._said:
            self._said[condition] = self._entails(condition)
        return self._said[condition]

    def _entails(self, condition: Condition) -> bool:
        if (verdict := decide_syntactically(condition)) is not None:
            return verdict
        gap = condition.lhs - condition.rhs
        if not symbols_of(gap) <= {*self.names}:
            return False
        if not is_linear(gap):
            low = sz.lower(gap)
            return condition.relation == ">=" and low is not None and low >= 0
        writer = Writer(self.names)
        with suppress(Undecidable):
            inside = isl().Set(
                f"{{ [{', '.join(writer.names.values())}] : {writer.linear(condition)} }}"
            )
            return all(s.is_subset(inside) for s in self.region.cases.values())
        return False


# Requirements together --------------------------------------------------------------------


@once
def region(names: tuple[str, ...], requirements: tuple[Requirement, ...]) -> tuple[Region, ...]:
    """The positive sizes at which all requirements hold, as a product: a region for each group of
    sizes that they tie together.

    Raises Undecidable for a requirement that no law makes decidable.
    """
    open_ones = (
        r for r in requirements if not (isinstance(r, ForAll) and decide_syntactically(r) is True)
    )
    each = [one for r in open_ones for one in unrolled(r)]
    tight = [r for _, r in strictest_of(each) if decide_syntactically(r) is not True]
    left: list[Single] = []
    for requirement in with_equal_numbers(tight):
        left += _apart(requirement)
    left = _with_fixed(left)
    groups = tied(names, (r.symbols for r in left)) or [()]
    asked: dict[tuple[str, ...], list[Single]] = {group: [] for group in groups}
    for requirement in left:  # what speaks of none of them holds, or does not, anywhere
        asked[next((g for g in groups if requirement.symbols & {*g}), groups[0])].append(
            requirement
        )
    return tuple(_group(group, mine, [*parts_of(tight)]) for group, mine in asked.items())


class _Anything:
    """Of positive sizes nothing else is known."""

    def __init__(self) -> None:
        self.least: Mapping[str, int] = {}

    def entails(self, condition: Condition) -> bool:
        """Whether it holds at all positive sizes."""
        if (verdict := decide_syntactically(condition)) is not None:
            return verdict
        gap = condition.lhs - condition.rhs
        if not is_linear(gap) or any(low != 1 for _, low in sz.lows(gap)):
            return False
        names = sorted(symbols_of(gap))
        with suppress(Undecidable):
            writer = Writer(names)
            return bool(writer.set([]).is_subset(writer.set([condition])))
        return False


def _apart(requirement: Single) -> list[Single]:
    """A requirement as several, where a law of products takes it apart: ``h == 7*(h//7)`` and the
    same of w tie nothing.
    """
    if not isinstance(requirement, Condition) or is_linear(requirement.lhs - requirement.rhs):
        return [requirement]
    with suppress(Undecidable):
        found = cases(requirement, _Anything())
        if found is not None and len(found) == 1 and requirement not in found[0]:
            parts = found[0]
            if all(isinstance(part, Condition) for part in parts):
                return [
                    more for part in parts if isinstance(part, Condition) for more in _apart(part)
                ]
    return [requirement]


def _group(
    names: tuple[str, ...], requirements: Sequence[Single], parts: Sequence[sz.Part]
) -> Region:
    """The region of sizes that requirements tie together."""
    easy = [r for r in requirements if _easy(r)]
    hard = [r for r in requirements if not _easy(r)]
    stated = [
        f"({x} - {part.rest}) mod {part.of} = 0"
        for part in parts
        for n, x in Writer(names).names.items()
        if n == part.name and type(part.of) is int
    ]
    alone = {n: [r for r in easy if r.symbols == {n}] for n in names}
    whole = _together(names, [r for r in easy if all(r not in rs for rs in alone.values())], stated)
    lines = [_line(n, alone[n]) for n in names]
    if lines and any(alone.values()):
        whole = whole.intersect(reduce(lambda a, b: a.flat_product(b), lines))
    return _narrow(Region(names, {frozenset(): whole}), hard)


#: So many ways to choose an option of each alternative are tried, and so many convex pieces.
_WAYS, _PIECES = range(2, 17), range(2, 129)


def _narrow(found: Region, hard: list[Single]) -> Region:
    """Of a region, what meets requirements: what one of them bounds or fixes may decide another."""
    while hard:
        known = Sizes(found)
        left: list[tuple[Single, Undecidable]] = []
        for requirement in hard:
            if (few := found.few_that_meet(hard)) is not None:
                return few
            try:
                found = found.intersect(meeting(requirement, known))
            except Undecidable as error:
                left.append((requirement, error.with_traceback(None)))  # which holds who asks
        if len(left) < len(hard):
            hard = [requirement for requirement, _ in left]
        elif (fewer := [with_fewer_floors(r, known) for r in hard]) != hard:
            hard = fewer
        elif prod(map(len, ways := [r.options for r in hard if isinstance(r, AnyOf)])) in _WAYS:
            rest = [r for r in hard if not isinstance(r, AnyOf) or r.options != ways[0]]
            each = (_narrow(found, with_equal_numbers([one, *rest])) for one in ways[0])
            return reduce(Region.union, each)
        elif len(pieces := found.pieces) in _PIECES:
            return reduce(Region.union, (_narrow(piece, hard) for piece in pieces))
        else:
            raise left.pop(0)[1]  # the error holds this frame, which is not to hold the error
    return found


def _easy(requirement: Single) -> bool:
    options = requirement.options if isinstance(requirement, AnyOf) else (requirement,)
    return all(is_linear(_gap(condition)) for condition in options)


def _gap(condition: Condition) -> Int:
    return condition.lhs - condition.rhs


def _together(names: Sequence[str], easy: Sequence[Single], stated: Sequence[str]) -> Any:
    return Writer(names).set(easy, stated)


#: A size that repeats after at most so many values, in so many residue classes, is taken apart.
_PERIOD, _CLASSES = 512, 8


def _line(name: str, requirements: Sequence[Single], low: int = 1) -> Any:
    """The values of one size, from `low` on, that meet linear requirements."""
    writer = Writer([name], low)
    deep = [r for r in requirements if is_deep(r)]
    plain = [r for r in requirements if r not in deep]
    classes = _classes(writer.set(plain)) if deep and plain else ()
    if not classes:
        return writer.set(requirements)
    whole = empty(1)
    for run in classes:
        if run.last is None:
            whole = whole.union(_residue(name, run.first, run.step, deep))
        else:
            for x in run:
                if all(r.holds({name: x}) for r in deep):
                    whole = whole.union(isl().Set(f"{{ [{x}] }}"))
    return whole.coalesce()


def _classes(isl_set: islpy.Set) -> Sequence[Run]:
    """The values of one size as a few residue classes, and a few values besides; else none."""
    try:
        found = runs_of(isl_set, most=_PERIOD)
    except Undecidable:  # of too long a period
        return ()
    endless = [run for run in found if run.last is None]
    few = sum(run.count or 0 for run in found)
    if {run.step for run in endless} <= {1} or len(endless) > _CLASSES or few > MANY:
        return ()
    return found


def _residue(name: str, first: int, step: int, left: Sequence[Single]) -> Any:
    """The values ``first + step*q`` that meet requirements, which are asked of q."""
    q = sz.Symbol(name, 0).size()
    asked = [substituted(r, {name: q * step + first}) for r in left]
    asked = [r for r in asked if decide_syntactically(r) is not True]
    found = _line(name, [r for _, r in strictest_of(asked)], 0)
    return found.apply(isl().Map(f"{{ [q] -> [{step}*q + {first}] }}"))


def meeting(requirement: Requirement, known: Sizes) -> Region:
    """The region of sizes, of those known, that meet a requirement."""
    parts = [_meeting(each, known) for each in unrolled(requirement)]
    return reduce(Region.intersect, parts) if parts else known.region


def _meeting(requirement: Single, known: Sizes) -> Region:
    if (few := known.region.few_that_meet([requirement])) is not None:
        return few
    if isinstance(requirement, AnyOf):
        found = Region.of(known.names, [])
        options = [r for r in requirement.options if decide_syntactically(r) is not False]
        easy = [option for option in options if _easy(option)]
        for option in easy:
            found = found.union(_meeting(option, known))
        if easy and known.region.is_subset(found):  # they say it all
            return found
        for option in options:
            found = found if option in easy else found.union(_meeting(option, known))
        return found
    if is_linear(_gap(requirement)):
        linear = Writer(known.names).set([requirement])
        return known.region.intersect(Region(known.names, {frozenset(): linear}))
    if (one := _of_one(requirement)) is not None:
        runs, denied = one
        return known.region.subtract(_met(runs, known)) if denied else _met(runs, known)
    found_cases = cases(requirement, known)
    if found_cases is None:
        found_cases = by_residues(requirement)
    return _by_values(requirement, known) if found_cases is None else _met(found_cases, known)


def _met(found_cases: Cases, known: Sizes) -> Region:
    """The region of sizes, of those known, that meet one of several cases."""
    found = Region.of(known.names, [])
    plain = [c for c in found_cases if all(not isinstance(p, Bound) and _easy(p) for p in c)]
    if plain:  # one text for all of them
        writer = Writer(known.names)
        texts = (
            " and ".join(f"({writer.linear(p)})" for p in case if isinstance(p, Condition))
            or "true"
            for case in plain
        )
        union = writer.set([], ["(" + " or ".join(f"({t or 'true'})" for t in texts) + ")"])
        found = known.region.intersect(Region(known.names, {frozenset(): union}))
    for case in found_cases:
        if case in plain:
            continue
        here = known.region
        easy = [p for p in case if isinstance(p, Condition) and _easy(p)]
        if easy:
            here = here.intersect(
                Region(known.names, {frozenset(): _together(known.names, easy, [])})
            )
        bounds = [p for p in case if isinstance(p, Bound)]
        here = Region.of(known.names, [(s, [*b, *bounds]) for b, s in here.cases.items()])
        for part in case:
            if isinstance(part, Condition) and part not in easy and not here.is_empty():
                here = here.intersect(meeting(part, Sizes(here)))
        if not here.is_empty():
            found = found.union(here)
    return found


def _of_one(condition: Condition) -> tuple[Cases, bool] | None:
    """A condition on one product of sizes, as runs of that, or those that are left out (True),
    which may be fewer; None for others, for a run, and for several remainders, which have a law.
    """
    gap, name = _gap(condition), "product"
    gap = gap * denominator(gap)
    found = through_one(gap, name) if isinstance(gap, Size) else None
    low = sz.lower(found[0]) if found is not None else None
    if found is None or low is None:
        return None
    (whole, of_it), below = found, int(low) - 1
    asked = Condition(with_values(of_it, {name: Size.symbol(name) + below}), condition.relation, 0)
    with suppress(Undecidable):
        inside = _group((name,), [asked], []).isl
        both = runs_of(inside), runs_of(without(Writer([name]).set([]), inside))
        runs = min(both, key=len)
        parts = [_of_run(run.moved(below), whole, below + 1) for run in runs]
        again = any(_gap(part) in (gap, -gap) for each in parts for part in each)
        if not again and len(parts) <= (1 if is_remainder(of_it) else MANY):
            return [[*each] for each in parts], runs is not both[0]
    return None


def _of_run(run: Run, whole: Size, low: int) -> list[Condition]:
    """A run as conditions on a product that is at least `low`."""
    given = Condition(whole, ">=", run.first) if run.first - run.step < low else None
    return [condition for condition in run.conditions(whole) if condition != given]


def _by_values(requirement: Condition, known: Sizes) -> Region:
    """A condition that is linear for each value of a size, as a union over its possible values.

    Raises Undecidable if there is no such size, or no bound on it.
    """
    asked = symbols_of(*subexpressions(requirement))
    for name in [n for n in known.names if n in asked]:
        axis = known.region.over([name]).isl
        if not axis.is_bounded():
            continue
        runs = runs_of(axis)
        values = [x for run in runs for x in (run if run.last is not None else ())][: MANY + 1]
        if len(values) > MANY:
            continue
        groups: list[tuple[Single, int, int]] = []
        try:
            for value in sorted(values):
                case = substituted(requirement, {name: value})
                same = groups and groups[-1][0] == case
                first = groups.pop()[1] if same else value
                groups.append((case, first, value))
        except ZeroDivisionError:
            continue
        found = Region.of(known.names, [])
        with suppress(Undecidable):
            for case, first, last in groups:
                x = Size.symbol(name)
                span = [Condition(x, ">=", first), Condition(last, ">=", x)]
                here = known.region.intersect(
                    Region(known.names, {frozenset(): _together(known.names, span, [])})
                )
                found = found.union(meeting(case, Sizes(here)))
            return found
    raise undecidable(_gap(requirement))


def _with_fixed(requirements: list[Single]) -> list[Single]:
    """The same with numbers for sizes that requirements on them alone fix: those tie nothing."""
    fixed: dict[str, int] = {}
    while True:
        alone: dict[str, list[Single]] = {}
        for requirement in requirements:
            if len(requirement.symbols) == 1:
                alone.setdefault(min(requirement.symbols), []).append(requirement)
        tied = frozenset[str]().union(*(r.symbols for r in requirements if len(r.symbols) > 1))
        found: dict[str, int] = {}
        for name in sorted(tied & alone.keys()):
            with suppress(Undecidable):
                values = _group((name,), alone[name], []).isl
                if not values.is_empty() and (span := ends(values, 0))[0] == span[1]:
                    found[name] = span[0]
        if not found:
            return requirements
        fixed |= found
        requirements = [with_numbers(r, fixed) for r in requirements]
