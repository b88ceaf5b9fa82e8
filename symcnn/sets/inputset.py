"""Exact sets of sizes: where a network is defined, and which inputs reach a target.

With concrete hyperparameters every condition is quasi-affine (integer multiples, sums, floor
division by constants, min, max), so its solutions form a Presburger set. Those are decided
exactly by isl; nothing here searches. A few laws keep what isl is handed small:

- a bound on one monotone atom moves inside: ``floor(e/m) >= t`` is ``e >= m*t``, and
  ``trunc(double(e)*scale) >= t`` is ``e >= `` the least such value, found by bisection;
- a product of sizes equal to a constant is a finite union over its divisors;
- an expression that grows with every size reaches a bound above the corners of a frontier;
- what is linear for each value of a size is a finite union, where other conditions bound that size;
- a float scale is a floor but for multiples of the denominator in one interval per power of two
  (`_shortfalls`), exactly, for sizes up to 2**31.

Sizes are positive: every set lies within ``H >= 1 and W >= 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from heapq import merge
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

from symcnn.algebra import size as sz
from symcnn.algebra.factor import factors, text
from symcnn.algebra.size import Int, Size, symbols_of
from symcnn.errors import BadSpec, NoSolution, Undecidable
from symcnn.sets.condition import AnyOf, Condition, ForAll, Requirement, sides_of, substituted
from symcnn.sets.downset import corners, grows

if TYPE_CHECKING:
    import islpy

__all__ = ["InputSet", "Relation", "Run", "always", "as_mod", "input_set", "isl", "tightest"]


def isl() -> Any:
    """isl, imported when first needed: `import symcnn` does not load it."""
    import islpy

    return islpy


# Conditions -> isl ---------------------------------------------------------------------------
# A formula is isl text over the dimensions x0, x1, ...; user names never reach the isl parser.


#: Products are bounded by a finite union of cases up to this bound; beyond, it is `Undecidable`.
_MOST = 1 << 20

#: So many corners of a frontier, or values of a size, are gone through; more are `Undecidable`.
#: Sets of more parts are not simplified: every part would be compared with every other.
_MANY = 1024

#: What a float scale does is known exactly for sizes up to this one.
_LONGEST = 1 << 31


class _Writer:
    """Writes conditions on `names` as isl formulas."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = {name: f"x{i}" for i, name in enumerate(names)}
        self.scales: dict[sz.Scaled, tuple[str, str]] = {}  # the size made -> its name, meaning

    def requirement(self, requirement: Requirement) -> str:
        text = self.formula(requirement)
        if not self.scales:
            return text
        made, meanings = zip(*self.scales.values(), strict=True)
        self.scales = {}
        return f"exists ({', '.join(made)} : {' and '.join(meanings)} and ({text}))"

    def formula(self, requirement: Requirement) -> str:
        """The requirement in terms of the names and of the sizes that float scales make."""
        if isinstance(requirement, AnyOf):
            return " or ".join(f"({self.formula(option)})" for option in requirement.options)
        if isinstance(requirement, ForAll):
            return self.for_all(requirement)
        gap = requirement.lhs - requirement.rhs
        if not _is_linear(gap):
            return self.product(requirement)
        return self.at_least_zero(gap) if requirement.relation == ">=" else self.zero(gap)

    def at_least_zero(self, expr: Int) -> str:
        """``expr >= 0`` for a linear one; a bound on a single monotone atom moves inside it."""
        if isinstance(expr, int):
            return "true" if expr >= 0 else "false"
        if not _is_linear(expr):  # what stood inside a floor
            return self.product(Condition(expr, ">=", 0))
        return _bound(expr, self.at_least_zero) or f"{self.term(expr)} >= 0"

    def zero(self, expr: Int) -> str:
        """``expr == 0`` for a linear expression."""
        if isinstance(expr, int):
            return "false" if expr else "true"
        both = _bound(expr, self.at_least_zero), _bound(-expr, self.at_least_zero)
        if None not in both:
            return f"({both[0]}) and ({both[1]})"
        return f"{self.term(expr)} = 0"

    def for_all(self, requirement: ForAll) -> str:
        """A condition per block, for a number of blocks that is a number."""
        count, index = requirement.count, requirement.index
        if not isinstance(count, int):
            raise Undecidable(
                f"{requirement}: where it holds cannot be decided as a set",
                cure="give the number of blocks as a number, or ask at single sizes with shape_at",
            )
        each = (substituted(requirement.each, {index: i}) for i in range(count))
        return " and ".join(f"({self.formula(r)})" for r in each) or "true"

    def product(self, condition: Condition) -> str:
        """``f*g*... == constant`` or ``>= constant``, for linear factors: a finite union."""
        try:
            found, content, target = _as_product(condition)
        except Undecidable:
            if text := self.staircase(condition):
                return text
            if condition.relation != "==":
                raise
            return self.divides(condition) or self.paired(condition)
        if condition.relation == "==":
            return "false" if target % content else self.factored(found, target // content)
        if content < 0:
            return self.at_most(found, target // content)
        return f"not ({self.at_most(found, -(-target // content) - 1)})"

    def divides(self, condition: Condition) -> str | None:
        """``f*g % n == 0``: for one way to write ``n = d*e``, ``f % d == 0`` and ``g % e == 0``.

        None if the condition is not of that form.
        """
        found = _as_remainder(condition)
        if found is None:
            return None
        parts, n = found
        cases = [
            " and ".join(f"({self.zero(sz.mod(f, d))})" for f, d in zip(parts, split, strict=True))
            for split in _splits(n, [False] * len(parts))
        ]
        return " or ".join(f"({case})" for case in cases)

    def staircase(self, condition: Condition) -> str | None:
        """``f >= c``, ``f <= c`` or ``f == c`` for an expression f that grows with every size: what
        lies above the corners of its frontier. Corners are looked for up to 2**31.

        None if the expression does not grow, or there are too many corners.
        """
        gap = condition.lhs - condition.rhs
        falls = grows(-gap)
        if not (falls or grows(gap)) or not symbols_of(gap) <= set(self.names):
            return None
        up = -gap if falls else gap
        bounds = (0, 1) if condition.relation == "==" else (1,) if falls else (0,)
        texts = [text for bound in bounds if (text := self.above(up, bound)) is not None]
        if len(texts) < len(bounds):
            return None
        if condition.relation == "==":
            return f"({texts[0]}) and not ({texts[1]})"
        return f"not ({texts[0]})" if falls else texts[0]

    def above(self, expr: Int, bound: int) -> str | None:
        """``expr >= bound`` as a union of what lies above each corner."""
        names = sorted(symbols_of(expr))
        found = corners(expr, bound, names, _MANY)
        if found is None:
            return None
        cases = [
            " and ".join(f"{self.names[n]} >= {v}" for n, v in zip(names, corner, strict=True))
            for corner in found
        ]
        return " or ".join(f"({case})" for case in cases) or "false"

    def paired(self, condition: Condition) -> str:
        """``f*g == a*b`` where ``f >= a >= 0`` and ``g >= b >= 0`` for all sizes.

        Then it holds only where ``f == a`` and ``g == b``, or where both sides are 0. That is what
        a view into windows asks: ``h*w == (7*(h//7))*(7*(w//7))``.
        """
        for large, small in _pairings(condition):
            if all(map(self.never_below, large, small)):
                equal = [self.zero(f - a) for f, a in zip(large, small, strict=True)]
                same = " and ".join(f"({text})" for text in equal)
                empty = (" or ".join(f"({self.zero(f)})" for f in side) for side in (large, small))
                return f"({same}) or (({') and ('.join(empty)}))"
        raise _undecidable(condition.lhs - condition.rhs)

    def never_below(self, f: Int, a: Int) -> bool:
        """Whether ``f >= a >= 0`` for all sizes."""
        names = list(self.names)
        return all(always(Condition(gap, ">=", 0), names) for gap in (f - a, a))

    def at_most(self, parts: Sequence[Size], bound: int) -> str:
        """``f*g*... <= bound`` for factors that are never negative.

        One case per value of ``bound//f``, of which there are at most ``2*sqrt(bound)``.
        """
        if bound > _MOST or any((low := sz.lower(f)) is None or low < 0 for f in parts):
            raise _undecidable(sz.prod(parts))
        first, *rest = parts
        if not rest:
            return self.at_least_zero(bound - first)
        cases = [self.zero(f) for f in parts if sz.lower(f) == 0] if bound >= 0 else []
        f = 1
        while f <= bound:
            f = bound // (quotient := bound // f)
            cases.append(f"({self.at_least_zero(f - first)}) and ({self.at_most(rest, quotient)})")
            f += 1
        return " or ".join(f"({case})" for case in cases) or "false"

    def factored(self, parts: Sequence[Size], target: int) -> str:
        """``f*g*... == target`` for linear factors."""
        if not all(map(_is_linear, parts)):
            raise _undecidable(sz.prod(parts))
        if target == 0:
            return " or ".join(f"({self.zero(f)})" for f in parts)
        signed = [(sz.lower(f) or 0) < 0 or (sz.lower(f) is None) for f in parts]
        cases = [
            " and ".join(f"({self.zero(f - d)})" for f, d in zip(parts, split, strict=True))
            for split in _splits(target, signed)
        ]
        return " or ".join(f"({case})" for case in cases) or "false"

    def term(self, expr: Int) -> str:
        """A linear expression as an isl term."""
        if isinstance(expr, int):
            return str(expr)
        pieces = []
        try:
            for atom, coeff in expr.linear():
                if coeff.denominator != 1:
                    raise _undecidable(expr)
                pieces.append(f"{coeff}" if atom is None else f"{coeff}*{self.atom(atom)}")
        except ValueError:
            raise _undecidable(expr) from None
        return " + ".join(pieces)

    def atom(self, atom: sz.Atom) -> str:
        match atom:
            case sz.Symbol(name=name) if name in self.names:
                return self.names[name]
            case sz.Part(name=name) if name in self.names and type(atom.of) is int:
                return f"floor(({self.names[name]} - {atom.rest})/{atom.of})"
            case sz.Floor() if type(atom.den) is int:
                return f"floor(({self.term(atom.num)})/{atom.den})"
            case sz.Max():
                return _fold("max", [self.term(arg) for arg in atom.args])
            case sz.Scaled() if _ratio(atom.scale) is not None:
                if atom not in self.scales:
                    self.term(atom.arg)  # the sizes that its argument is made of come first
                    name = f"s{len(self.scales)}"
                    self.scales[atom] = name, self.scaling(atom, name)
                return self.scales[atom][0]
        raise _undecidable(atom.size())

    def scaling(self, atom: sz.Scaled, made: str) -> str:
        """``made == trunc(double(x)*scale)``: a floor, less one where `_shortfalls` says so."""
        ratio, x = _ratio(atom.scale), self.term(atom.arg)
        assert ratio is not None
        p, q = ratio.numerator, ratio.denominator

        def meaning(x: str, made: str) -> str:
            floor = f"floor(({p}*({x}))/{q})"
            spans = " or ".join(f"{a} <= {x} <= {b}" for a, b in _shortfalls(atom.scale))
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


def _fold(function: str, terms: Sequence[str]) -> str:
    text = terms[0]
    for other in terms[1:]:
        text = f"{function}({text}, {other})"
    return text


def _undecidable(expr: Int) -> Undecidable:
    return Undecidable(
        f"{text(expr)} is not linear in the sizes: where it holds cannot be decided as a set",
        cure="give numbers for the hyperparameters, or ask at single sizes with shape_at",
    )


def _is_linear(expr: Int) -> bool:
    if isinstance(expr, int):
        return True
    return all(not m or (len(m) == 1 and m[0][1] == 1) for m in expr.terms)


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
            return at_least_zero(atom.arg - _least(atom.scale, t))
    else:  # atom <= t
        t = int(const // -coeff)
        if isinstance(atom, sz.Floor) and type(atom.den) is int:
            return at_least_zero(-atom.num + (t * atom.den + atom.den - 1))
        if isinstance(atom, sz.Scaled):
            return at_least_zero(-atom.arg + (_least(atom.scale, t + 1) - 1))
    return None


def _least(scale: float, target: int) -> int:
    """The least x >= 0 with ``trunc(double(x)*scale) >= target`` (the map is monotone)."""
    low, high = 0, max(1, int(target / scale) + 2)
    while low < high:
        middle = (low + high) // 2
        if int(float(middle) * scale) >= target:
            high = middle
        else:
            low = middle + 1
    return low


@lru_cache(maxsize=256)
def _ratio(scale: float) -> Fraction | None:
    """The fraction p/q that the double `scale` stands for (0.29: 29/100), if p and q are small.

    Small: then, for x up to 2**31, ``double(x)*scale`` comes out on the same side of every
    integer as ``x*p/q``, but where that is an integer itself.
    """
    ratio = Fraction(scale).limit_denominator(1 << 16)
    same = scale > 0 and float(ratio) == scale and ratio.numerator < 1 << 20
    return ratio if same else None


@lru_cache(maxsize=256)
def _shortfalls(scale: float) -> tuple[tuple[int, int], ...]:
    """Intervals of x, up to 2**31, in which ``trunc(x*scale) == x*p/q - 1`` at multiples of q.

    Elsewhere it is ``floor(x*p/q)``. For a double below p/q, ``x*scale`` misses the integer by
    an amount that grows with x, and is rounded up to it while that is at most half a unit in the
    last place, which doubles at powers of two: from one such power to the next, the misses are
    the last few multiples, and where they begin is found by bisection.
    """
    ratio = _ratio(scale)
    assert ratio is not None
    p, q = ratio.numerator, ratio.denominator

    def short(t: int) -> bool:
        return int(float(q * t) * scale) < p * t

    found: list[tuple[int, int]] = []
    power = 1
    while scale < ratio and q * (first := -(-power // p)) <= _LONGEST:
        last = min((2 * power - 1) // p, _LONGEST // q)
        power *= 2
        if first > last:
            continue
        if p * first == power // 2 and short(first):  # the unit below a power of two is halved
            found.append((q * first, q * first))
        low, high = first, last + 1
        if p * first == power // 2:
            low += 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if short(middle) else (middle + 1, high)
        if low <= last:
            found.append((q * low, q * last))
    return tuple(found)


def _as_product(condition: Condition) -> tuple[tuple[Size, ...], int, int]:
    """Linear factors, content and target of ``content*f*g*... (==, >=) target``."""
    gap = condition.lhs - condition.rhs
    const = gap.const if isinstance(gap, Size) else 0
    for lhs, rhs in (
        (condition.lhs, condition.rhs),  # 256*h*w == 12544, (h + 1)*(w + 1) == 64
        (gap - const, -const),  # h*w + 1 == 197
        *_cancelled(condition),  # N*h*w == 49*N
    ):
        if isinstance(lhs, int):
            lhs, rhs = rhs, lhs
            if condition.relation == ">=":
                lhs, rhs = -lhs, -rhs
        if isinstance(rhs, int) and isinstance(lhs, Size):
            with suppress(ValueError):
                found, content = factors(lhs)
                if all(map(_is_linear, found)):
                    return found, content, rhs
    raise _undecidable(gap)


def _as_remainder(condition: Condition) -> tuple[tuple[Size, ...], int] | None:
    """Linear factors and `n`, if the condition says ``f*g*... % n == 0``."""
    gap = condition.lhs - condition.rhs
    for mono, coeff in gap.terms.items() if isinstance(gap, Size) else ():
        atom = sz.sole_atom(Size({mono: 1})) if mono else None
        if isinstance(atom, sz.Floor) and isinstance(atom.den, int):
            rest = gap - Size({mono: coeff})
            if rest * atom.den == atom.num * -coeff:
                with suppress(ValueError):
                    parts, content = factors(atom.num)
                    if all(map(_is_linear, parts)):
                        return parts, atom.den // gcd(atom.den, content)
    return None


def _pairings(condition: Condition) -> Iterator[tuple[list[Int], list[Int]]]:
    """Ways to write both sides as products of two linear factors, the contents dealt out; a factor
    that both share, as the batch, aside.
    """
    for lhs, rhs in _cancelled(condition):
        (left, a), (right, b) = factors(lhs), factors(rhs)
        if len(left) != 2 or len(right) != 2 or not all(map(_is_linear, left + right)):
            return
        for fs, x, gs, y in ((left, a, right, b), (right, b, left, a)):
            if y % x == 0 and y > 0 < x:
                for d in _divisors(y // x):
                    for first, second in (gs, gs[::-1]):
                        scaled = [first * d, second * (y // x // d)]
                        yield list(fs), scaled
                        yield scaled, list(fs)


def _cancelled(condition: Condition) -> Iterator[tuple[Int, Int]]:
    """Both sides without the positive factors they share."""
    with suppress(ValueError):
        (left, a), (right, b) = factors(condition.lhs), factors(condition.rhs)
        rest_left, rest_right = list(left), list(right)
        for f in left:
            if f in rest_right and (sz.lower(f) or 0) > 0:
                rest_left.remove(f)
                rest_right.remove(f)
        yield sz.prod(rest_left) * a, sz.prod(rest_right) * b


def _divisors(n: int) -> list[int]:
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


def _splits(target: int, signed: Sequence[bool]) -> Iterator[tuple[int, ...]]:
    """All ordered ways to write `target` as a product; a factor may be negative if `signed`."""
    if len(signed) == 1:
        if target > 0 or signed[0]:
            yield (target,)
        return
    for d in _divisors(abs(target)):
        for first in (d, -d) if signed[0] else (d,):
            for rest in _splits(target // first, signed[1:]):
                yield (first, *rest)


# Sets ----------------------------------------------------------------------------------------

#: ``(e, m, r)`` for ``e % m == r``.
_Modular = tuple[Int, int, int]

#: Axes that requirements tie together, and their isl set.
_Side = tuple[tuple[str, ...], Any]


@dataclass(frozen=True, slots=True)
class Run:
    """The sizes ``first, first + step, ...`` up to `last` (None: without end)."""

    first: int
    last: int | None
    step: int = 1

    def __contains__(self, x: int) -> bool:
        return (
            x >= self.first
            and (self.last is None or x <= self.last)
            and not (x - self.first) % self.step
        )

    def __iter__(self) -> Iterator[int]:
        x = self.first
        while self.last is None or x <= self.last:
            yield x
            x += self.step

    def conditions(self, x: Size) -> list[Condition]:
        """The same as conditions on `x`."""
        found = []
        if self.step > 1:
            found.append(Condition(x % self.step, "==", self.first % self.step))
        if self.last == self.first:
            return [Condition(x, "==", self.first)]
        found.append(Condition(x, ">=", self.first))
        if self.last is not None:
            found.append(Condition(-x, ">=", -self.last))
        return found

    def text(self, name: str) -> str:
        """In plain words: ``193 <= H <= 224``."""
        if self.last == self.first:
            return f"{name} == {self.first}"
        span = (
            f"{name} >= {self.first}"
            if self.last is None
            else f"{self.first} <= {name} <= {self.last}"
        )
        return (
            span
            if self.step == 1
            else f"{name} % {self.step} == {self.first % self.step} and {span}"
        )


class InputSet:
    """An exact set of input sizes, such as ``193 <= H <= 224 and 193 <= W <= 224``.

    A value: immutable, with ``&``, ``|``, ``-`` and ``==`` as for python sets. A member is a
    tuple of sizes in the order of `names` (a plain int where there is one name); the batch
    may be left out.

    >>> H = Size.symbol("H")
    >>> s = input_set(["H"], [Condition((H + 31)//32, "==", 7)])
    >>> print(s)
    193 <= H <= 224
    >>> 200 in s, s.smallest(), s.largest(), s.nearest(500), s.count()
    (True, 193, 224, 224, 32)
    """

    def __init__(
        self,
        names: Sequence[str],
        members: islpy.Set | tuple[_Side, ...],
        *,
        batch: Iterable[str] = (),
        at: str = "",
    ) -> None:
        """members: one isl set over all `names`, or several of which this is the product."""
        self.names = tuple(names)
        self.batch = frozenset(batch)  # symbols a member may leave out
        self.at = at  # the node that the question was about, if any
        self._sides = members if isinstance(members, tuple) else ((self.names, members),)

    # algebra

    @cached_property
    def _set(self) -> Any:
        """The isl set over all names. The sides are mostly enough, and have far fewer parts."""
        return _rejoined(self.names, self._sides)

    def _with(self, isl_set: islpy.Set) -> InputSet:
        return InputSet(self.names, isl_set, batch=self.batch, at=self.at)

    def _over(self, names: Sequence[str]) -> Any:
        """The isl set over `names`, of which no side of ours leaves some; any but ours are free."""
        sides = [side for side in self._sides if {*side[0]} <= {*names}]
        if len(sides) == 1 and sides[0][0] == names:
            return sides[0][1]
        free = [((n,), isl().Set("{ [x] : x >= 1 }")) for n in names if n not in self.names]
        return _rejoined(names, [*sides, *free])

    def _aligned(self, other: InputSet, *, whole: bool = False) -> Iterator[tuple[Any, Any, Any]]:
        """Names and both isl sets over them, for each group that one of the two ties together."""
        names = self.names + tuple(n for n in other.names if n not in self.names)
        ties = [names] if whole else [side for side, _ in (*self._sides, *other._sides)]
        for group in _tied(names, ties) or [()]:
            yield group, self._over(group), other._over(group)

    def _combine(self, other: InputSet, sides: Iterable[_Side]) -> InputSet:
        names = self.names + tuple(n for n in other.names if n not in self.names)
        spoken = (set(self.names) - self.batch) | (set(other.names) - other.batch)
        return InputSet(names, tuple(sides), batch=set(names) - spoken, at=self.at or other.at)

    def __and__(self, other: InputSet) -> InputSet:
        sides = []
        for names, a, b in self._aligned(other):
            free = [s for s in (self, other) if s.names and {*names}.isdisjoint(s.names)]
            sides.append((names, a.intersect(b) if not free else b if free[0] is self else a))
        return self._combine(other, sides)

    def __or__(self, other: InputSet) -> InputSet:
        pairs = self._aligned(other, whole=True)
        return self._combine(other, ((n, a.union(b)) for n, a, b in pairs))

    def __sub__(self, other: InputSet) -> InputSet:
        pairs = self._aligned(other, whole=True)
        return self._combine(other, ((n, a.subtract(b)) for n, a, b in pairs))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InputSet) or set(self.names) != set(other.names):
            return NotImplemented if not isinstance(other, InputSet) else False
        if not self or not other:
            return not self and not other
        return all(a.is_equal(b) for _, a, b in self._aligned(other))

    __hash__ = None  # type: ignore[assignment]

    def __le__(self, other: InputSet) -> bool:
        said = self._aligned(other)  # of the rest, `other` takes all
        pairs = ((a, b) for n, a, b in said if not other.names or {*n} & {*other.names})
        return all(a.is_subset(b) for a, b in pairs) or not self

    def __bool__(self) -> bool:
        return not any(side.is_empty() for _, side in self._sides)

    def where(self, *requirements: Requirement) -> InputSet:
        """The members that also meet `requirements`."""
        return self & input_set(self.names, requirements, batch=self.batch)

    def axis(self, *names: str) -> InputSet:
        """The sizes that the axes called `names` take in some member: the projection."""
        for name in names:
            self._index(name)
        sides = []
        for have, side in self._sides:
            kept = tuple(n for n in have if n in names)
            if kept:
                sides.append((kept, _ordered(side, have, kept)))
            elif side.is_empty():
                dims = ", ".join(f"x{i}" for i in range(len(names)))
                return InputSet(names, isl().Set(f"{{ [{dims}] : false }}"), at=self.at)
        return InputSet(names, tuple(sides), batch=self.batch & set(names), at=self.at)

    def given(self, **sizes: int) -> InputSet:
        """What is left for the other sizes where some are fixed: ``s.given(W=640)``.

        Raises BadSpec for a size that the set does not speak of.
        """
        for name in sizes:
            self._index(name)
        fixed = [Condition(Size.symbol(n), "==", int(v)) for n, v in sizes.items()]
        return self.where(*fixed).axis(*(n for n in self.names if n not in sizes))

    def square(self) -> InputSet:
        """The members whose sizes (the batch aside) are all equal."""
        shown = self.shown
        return self.where(
            *(Condition(Size.symbol(n), "==", Size.symbol(shown[0])) for n in shown[1:])
        )

    def _index(self, name: str) -> int:
        if str(name) not in self.names:
            raise BadSpec(f"no size is called {name}", cure=f"there is {', '.join(self.names)}")
        return self.names.index(str(name))

    # members

    @property
    def shown(self) -> tuple[str, ...]:
        """The names that a member lists: all but the batch."""
        return tuple(n for n in self.names if n not in self.batch) or self.names

    @cached_property
    def _listed(self) -> InputSet:
        """The set over the shown names."""
        return self.axis(*self.shown)

    @property
    def visible(self) -> Any:
        """The isl set over the shown names."""
        return self._listed._set

    @property
    def bounded(self) -> bool:
        """Whether there is an end to the members."""
        return not self or all(side.is_bounded() for _, side in self._listed._sides)

    @cached_property
    def fixed(self) -> dict[str, int]:
        """The sizes that are the same in all members, of those that nothing ties to others."""
        found = {}
        for names, side in self._sides:
            if len(names) == 1 and not side.is_empty():
                least, most = side.dim_min_val(0), side.dim_max_val(0)
                if least == most:
                    found[names[0]] = int(least.to_python())
        return found

    def __contains__(self, member: object) -> bool:
        if isinstance(member, Mapping):
            sizes = {str(k): v for k, v in member.items()}
            unknown, shown = set(sizes) - set(self.names), set(self.shown)
            if unknown or not shown <= set(sizes):
                raise BadSpec(f"a member gives {', '.join(self.shown)}, not {', '.join(sizes)}")
            full = len(sizes) == len(self.names)
            member = tuple(sizes[n] for n in (self.names if full else self.shown))
        values = tuple(member) if isinstance(member, Sequence) else (member,)
        if not all(isinstance(v, int) or hasattr(v, "__index__") for v in values):
            raise BadSpec(f"{member!r} is not a tuple of whole numbers")
        if len(values) == len(self.shown):
            inside = self._listed
        elif len(values) == len(self.names):
            inside = self
        else:
            raise BadSpec(
                f"{member!r} has {len(values)} sizes",
                cure=f"a member lists {', '.join(self.shown)}",
            )
        at = dict(zip(inside.names, map(int, values), strict=True))
        for names, side in inside._sides:
            point = ", ".join(str(at[n]) for n in names)
            if side.intersect(isl().Set(f"{{ [{point}] }}")).is_empty():
                return False
        return True

    def _best(self, order: Sequence[str], *, least: bool) -> Any:
        """The member that comes first (or last) by the isl terms `order`, one after the other.

        Each term is optimised alone, part by part, and then fixed: isl's own lexmin of several
        terms fails on some sets with strides (``affine expression involves some of the domain
        dimensions``), and its minimum of a set with an empty part is wrong.
        """
        if not self:
            raise NoSolution("the set is empty")
        dims = [f"x{i}" for i in range(len(self.shown))]
        inside = ", ".join(dims)
        left, values = self.visible, []
        for term in dict.fromkeys([*order, *dims]):
            image = left.apply(isl().Map(f"{{ [{inside}] -> [{term}] }}"))
            ends = [
                int((part.dim_min_val(0) if least else part.dim_max_val(0)).to_python())
                for part in _nonempty(image)
            ]
            values.append(min(ends) if least else max(ends))
            left = left.intersect(isl().Set(f"{{ [{inside}] : {term} = {values[-1]} }}"))
        member = values[-len(dims) :]
        return member[0] if len(member) == 1 else tuple(member)

    @cached_property
    def _axes(self) -> tuple[InputSet, ...]:
        """The sets of two or more shown axes that nothing ties together; else none."""
        alone = {names[0]: side for names, side in self._listed._sides if len(names) == 1}
        if len(alone) < max(2, len(self.shown)):
            return ()
        return tuple(InputSet((n,), alone[n]) for n in self.shown)

    def smallest(self) -> Any:
        """The member that fits into the smallest square (then the least sum, then the order).

        Raises NoSolution for an empty set.
        """
        if self._axes:
            return tuple(axis.smallest() for axis in self._axes)
        dims = [f"x{i}" for i in range(len(self.shown))]
        return self._best([_fold("max", dims), " + ".join(dims)], least=True)

    def largest(self) -> Any:
        """The member that holds the largest square (then the greatest sum).

        Raises NoSolution for an empty set, or one without end.
        """
        if not self.bounded:
            raise NoSolution(f"there is no largest: {self} goes on without end")
        if self._axes:
            return tuple(axis.largest() for axis in self._axes)
        dims = [f"x{i}" for i in range(len(self.shown))]
        return self._best([_fold("min", dims), " + ".join(dims)], least=False)

    def nearest(self, *sizes: int) -> Any:
        """The member whose sizes differ least: the largest difference, then the sum of all.

        Of two that are equally near, the larger.

        Raises NoSolution for an empty set.
        """
        target = self._target(sizes)
        if self._axes:
            pairs = zip(self._axes, target, strict=True)
            return tuple(axis.nearest(size) for axis, size in pairs)
        gaps = [f"max(x{i} - {v}, {v} - x{i})" for i, v in enumerate(target)]
        larger = [f"-x{i}" for i in range(len(sizes))]
        return self._best([_fold("max", gaps), " + ".join(gaps), *larger], least=True)

    def _target(self, sizes: Sequence[Any]) -> tuple[int, ...]:
        """Sizes given by a caller, one per shown name."""
        if len(sizes) != len(self.shown) or not all(hasattr(v, "__index__") for v in sizes):
            raise BadSpec(f"nearest{sizes} needs one size for each of {', '.join(self.shown)}")
        return tuple(int(v.__index__()) for v in sizes)

    def count(self) -> int | None:
        """How many members there are; None if there is no end to them."""
        if not self.bounded:
            return None
        if len(self.shown) == 1:
            return sum((r.last - r.first) // r.step + 1 for r in self.runs() if r.last is not None)
        total = 0
        for box in self.boxes():
            if box is None:
                break
            total += _product_of(
                len(list_) for list_ in ([x for r in runs for x in r] for runs in box)
            )
        else:
            return total
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Any]:
        """Members in the order of `smallest`: by the square they fit into, then by sum."""
        if len(self.shown) == 1:
            yield from merge(*self.runs())
            return
        dims = [f"x{i}" for i in range(len(self.shown))]
        side, inside = _fold("max", dims), ", ".join(dims)
        sides = InputSet(["side"], self.visible.apply(isl().Map(f"{{ [{inside}] -> [{side}] }}")))
        for value in sides:
            shell = self.visible.intersect(isl().Set(f"{{ [{inside}] : {side} = {value} }}"))
            found: list[tuple[int, ...]] = []
            shell.foreach_point(
                lambda p, found=found: found.append(
                    tuple(
                        int(p.get_coordinate_val(isl().dim_type.set, i).to_python())
                        for i in range(len(dims))
                    )
                )
            )
            yield from sorted(found, key=lambda member: (sum(member), member))

    def runs(self) -> list[Run]:
        """A one-dimensional set as arithmetic runs, in order; they do not overlap.

        Raises BadSpec for several dimensions.
        """
        if len(self.shown) != 1:
            raise BadSpec("runs() is for one axis", cure="s.axis('H').runs()")
        return self._runs

    @cached_property
    def _runs(self) -> list[Run]:
        found = [run for part in _parts(self.visible) for run in _runs_of(part)]
        return sorted(found, key=lambda run: (run.first, run.step))

    def boxes(self) -> Iterator[list[list[Run]] | None]:
        """The set as disjoint products of one-dimensional sets; None for a part that is none."""
        for part in self._products():
            yield [axis.runs() for axis in part._factors] if part._factors else None

    @cached_property
    def _factors(self) -> tuple[InputSet, ...]:
        """The sets of the shown axes if this is their product, as isl decides; else none."""
        if self._axes:
            return self._axes
        if not _is_product(self.visible):
            return ()
        return tuple(self.axis(n) for n in self.shown)

    def _products(self) -> list[InputSet]:
        """Disjoint sets whose union this is: products of their axes, where there are such."""
        if self._factors:
            return [InputSet(self.shown, self._listed._sides)]
        return [InputSet(self.shown, part) for part in _parts(self.visible)]

    # text

    def __str__(self) -> str:
        if not self:
            return f"no {' and '.join(self.shown)}"
        texts = [part._part_text() for part in sorted(self._products(), key=InputSet._rank)]
        if len(texts) == 1:
            return texts[0]
        return " or ".join(f"({t})" if " and " in t else t for t in texts)

    def _rank(self) -> tuple[int, int, Any]:
        """What fits into the smallest square comes first."""
        best = self.smallest()
        sizes = best if isinstance(best, tuple) else (best,)
        return max(sizes), sum(sizes), best

    def _part_text(self) -> str:
        if not self._factors:
            first, *others = self.names
            if self.square()._set.is_equal(self._set):  # one axis says it all
                runs = " or ".join(_runs_text(self.axis(first).runs(), first))
                runs = f"({runs})" if " or " in runs else runs
                return " and ".join([runs, *(f"{first} == {n}" for n in others)])
            return " and ".join(_sentences(_constraints(self.names, self._set)))
        axes = [" or ".join(_runs_text(a.runs(), *a.names)) for a in self._factors]
        bracket = len(axes) > 1
        return " and ".join(f"({a})" if bracket and " or " in a else a for a in axes)

    __repr__ = __str__

    def describe(self) -> str:
        """In plain words, the batch included where it matters."""
        return str(InputSet(self.names, self._sides))

    def as_sympy(self) -> Any:
        """The set as a sympy condition on the size symbols.

        >>> H = Size.symbol("H")
        >>> input_set(["H"], [Condition(H % 16, "==", 0)]).as_sympy()
        (H >= 16) & Eq(Mod(H, 16), 0)
        """
        import sympy

        sides = [
            sympy.Or(
                *(
                    sympy.And(*(_relation(c) for c in _constraints(names, part)))
                    for part in _parts(side)
                )
            )
            for names, side in self._listed._sides
        ]
        return sympy.And(*sides)

    def _repr_latex_(self) -> str:
        import sympy

        return f"$\\displaystyle {sympy.latex(self.as_sympy())}$"


class Relation(InputSet):
    """A formula: input sizes in terms of the symbols of a target, `parameters`.

    Such as ``32*h - 31 <= H <= 32*h``, what `Network.solve` says for ``output=("h", "w")``. A
    member gives the parameters first. `given` puts numbers in.

    >>> h, H = Size.symbol("h"), Size.symbol("H")
    >>> formula = Relation(["h"], input_set(["h", "H"], [Condition((H + 31)//32, "==", h)]))
    >>> formula, formula.given(h=7), formula.possible
    (32*h - 31 <= H <= 32*h, 193 <= H <= 224, h >= 1)
    """

    def __init__(self, parameters: Sequence[str], members: InputSet) -> None:
        super().__init__(members.names, members._sides, batch=members.batch, at=members.at)
        self.parameters = tuple(parameters)

    @property
    def possible(self) -> InputSet:
        """The values of the parameters for which there is an input."""
        return self.axis(*self.parameters)

    def __str__(self) -> str:
        if not self:
            return f"no {' and '.join(self.shown)}"
        texts = [
            text for names, side in self._listed._sides for text in self._formulas(names, side)
        ]
        return " and ".join(f"({t})" if " or " in t and len(texts) > 1 else t for t in texts)

    __repr__ = __str__

    def _formulas(self, names: Sequence[str], members: Any) -> Iterator[str]:
        """One formula, or one for each group of names: h says H and w says W."""
        whole = InputSet(names, members)
        ties = (c.symbols for part in _parts(members) for c in _constraints(names, part))
        sides = tuple((group, whole.axis(*group)._set) for group in _tied(names, ties))
        if not _rejoined(names, sides).is_equal(members):
            sides = ((tuple(names), members),)
        for group, side in sides:
            if text := self._formula(group, side):
                yield text

    def _formula(self, names: Sequence[str], members: Any) -> str:
        unknown = [n for n in names if n not in self.parameters]
        texts = [
            " and ".join(_solved(_constraints(names, part), unknown)) for part in _parts(members)
        ]
        return " or ".join(f"({t})" if len(texts) > 1 else t for t in texts)


def _rejoined(names: Sequence[str], sides: Sequence[_Side]) -> Any:
    """The product of sides, as one isl set, in the order of `names`."""
    whole: Any = isl().Set("{ [] }")
    order: list[str] = []
    for number, (group, side) in enumerate(sides):
        whole = whole.flat_product(side) if number else side
        order += group
    return _ordered(whole, order, names)


def _ordered(isl_set: Any, have: Sequence[str], names: Sequence[str]) -> Any:
    """The isl set of the axes called `have`, projected on `names`, in their order."""
    if [*have] == [*names]:
        return isl_set
    dims = {n: f"x{i}" for i, n in enumerate(have)}
    source, target = ", ".join(dims.values()), ", ".join(dims[n] for n in names)
    return isl_set.apply(isl().Map(f"{{ [{source}] -> [{target}] }}"))


def _tied(names: Sequence[str], ties: Iterable[Iterable[str]]) -> list[tuple[str, ...]]:
    """The names in groups, as the ties join them.

    >>> _tied("abcd", ["ca", "d"])
    [('a', 'c'), ('b',), ('d',)]
    """
    group = {name: {name} for name in names}
    for tie in ties:
        union = set[str]().union(*(group[n] for n in tie if n in group))
        group.update(dict.fromkeys(union, union))
    return [*dict.fromkeys(tuple(n for n in names if n in group[name]) for name in names)]


def _solved(conditions: Sequence[Condition], unknown: Sequence[str]) -> Iterator[str]:
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
            if abs(coeff) == 1 and name not in sz.symbols_of(rest):
                low, high, same = bounds.setdefault(name, ([], [], []))
                if condition.relation == "==":
                    same.append(str(-rest if coeff == 1 else rest))
                elif coeff == 1:
                    low.append(str(-rest))
                else:
                    high.append(str(rest))
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
    yield from (t for t in _sentences(plain) if not t.endswith(" >= 1"))


def _product_of(counts: Iterable[int]) -> int:
    total = 1
    for count in counts:
        total *= count
    return total


def input_set(
    names: Sequence[str],
    requirements: Iterable[Requirement],
    *,
    batch: Iterable[str] = (),
    at: str = "",
) -> InputSet:
    """All positive sizes of the symbols `names` at which every requirement holds.

    Raises Undecidable for a condition outside linear integer arithmetic.
    """
    requirements = tuple(requirements)
    for name, low in sz.lows(*(side for r in requirements for side in sides_of(r))):
        if low != 1 and name in names:
            raise Undecidable(
                f"{name} may be 0 or less, and sets are of positive sizes",
                cure=f'declare it positive: symcnn.symbols("{name}"), or give it a number',
            )
    requirements = _with_fixed(requirements)
    groups = _tied(names, (r.symbols for r in requirements)) or [()]
    asked: dict[tuple[str, ...], list[Requirement]] = {group: [] for group in groups}
    for requirement in requirements:  # what speaks of none of them holds, or does not, anywhere
        asked[next((g for g in groups if requirement.symbols & {*g}), groups[0])].append(
            requirement
        )
    sides = tuple((group, _side(group, mine)) for group, mine in asked.items())
    return InputSet(names, sides, batch=batch, at=at)


def _with_fixed(requirements: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """The same with numbers for sizes that requirements on them alone fix: those tie nothing."""
    fixed: dict[str, int] = {}
    while True:
        alone: dict[str, list[Requirement]] = {}
        for requirement in requirements:
            if len(requirement.symbols) == 1:
                alone.setdefault(min(requirement.symbols), []).append(requirement)
        tied = frozenset[str]().union(*(r.symbols for r in requirements if len(r.symbols) > 1))
        found: dict[str, int] = {}
        for name in sorted(tied & alone.keys()):
            with suppress(Undecidable):
                found |= InputSet((name,), _side((name,), alone[name])).fixed
        if not found:
            return requirements
        fixed |= found
        requirements = tuple(with_numbers(r, fixed) for r in requirements)


def with_numbers(requirement: Requirement, fixed: Mapping[str, int]) -> Requirement:
    """A requirement on several sizes with numbers for those that are fixed."""
    known = {name: fixed[name] for name in requirement.symbols & fixed.keys()}
    if not known or len(requirement.symbols) < 2:
        return requirement
    with suppress(ZeroDivisionError):
        return substituted(requirement, known)
    return requirement


def _side(names: Sequence[str], requirements: Sequence[Requirement]) -> Any:
    """The isl set of names that the requirements tie together."""
    writer = _Writer(names)
    texts = [f"{x} >= 1" for x in writer.names.values()]
    texts += [
        f"({x} - {part.rest}) mod {part.of} = 0"
        for part in _parts_of(requirements)
        if type(part.of) is int and (x := writer.names.get(part.name))
    ]
    hard: list[tuple[Requirement, Undecidable]] = []
    for requirement in _as_multiples([r for _, r in tightest(requirements)]):
        try:
            texts.append(f"({writer.requirement(requirement)})")
        except Undecidable as error:
            hard.append((requirement, error))
    while hard:  # what one of them bounds may decide another
        found = InputSet(names, _isl_set(writer, texts))
        cases = [_cases(writer, requirement, found) for requirement, _ in hard]
        if set(cases) == {None}:
            raise hard[0][1]
        texts += [f"({text})" for text in cases if text is not None]
        hard = [one for one, text in zip(hard, cases, strict=True) if text is None]
    return _isl_set(writer, texts)


def _isl_set(writer: _Writer, texts: Sequence[str]) -> Any:
    dims = ", ".join(writer.names.values())
    return _parsed(f"{{ [{dims}] : {' and '.join(texts)} }}" if texts else "{ [] }")


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """The isl set of a text. What is required of H mostly is of W too: the text is the same."""
    return _coalesced(isl().Set(text))


def _cases(writer: _Writer, requirement: Requirement, known: InputSet) -> str | None:
    """A condition that is linear for each value of a size, as a union over the values that are
    `known` to be possible; None if there is no such size, or no bound on it.
    """
    for name in [n for n in known.names if n in symbols_of(*sides_of(requirement))]:
        possible = known.axis(name)
        if not possible.bounded or (possible.count() or 0) > _MANY:
            continue
        groups: list[tuple[Requirement, int, int]] = []
        try:
            for value in possible:
                case = substituted(requirement, {name: value})
                same = groups and groups[-1][0] == case
                first = groups.pop()[1] if same else value
                groups.append((case, first, value))
        except ZeroDivisionError:
            continue
        texts = [_case(writer, case, known) for case, _, _ in groups]
        if None not in texts:
            x = writer.names[name]
            spans = (f"{first} <= {x} <= {last}" for _, first, last in groups)
            cases = (f"({s} and ({t}))" for s, t in zip(spans, texts, strict=True))
            return " or ".join(cases) or "false"
    return None


def _case(writer: _Writer, requirement: Requirement, known: InputSet) -> str | None:
    try:
        return writer.requirement(requirement)
    except Undecidable:
        return _cases(writer, requirement, known)


def _parts_of(requirements: Iterable[Requirement]) -> Iterator[sz.Part]:
    """The symbols that are declared odd, or multiples: their sets say so."""
    sides = (side for requirement in requirements for side in sides_of(requirement))
    return (atom for atom in sz.every_atom(*sides) if isinstance(atom, sz.Part))


def tightest(requirements: Iterable[Requirement]) -> list[tuple[Requirement, Requirement]]:
    """(requirement as given, as simplified) without repetitions; of inequalities that differ only
    in the constant, the strictest.
    """
    kept: dict[Any, tuple[Requirement, Requirement]] = {}
    strictest: dict[Any, Any] = {}
    for requirement in requirements:
        if isinstance(requirement, Condition) and requirement.relation == ">=":
            gap = _stripped(requirement.lhs - requirement.rhs)
            if isinstance(gap, Size) and _is_linear(gap):
                key, const = gap - gap.const, gap.const
                if key not in kept or const < strictest[key]:
                    kept[key] = requirement, Condition(gap, ">=", 0, requirement.why)
                    strictest[key] = const
                continue
            if isinstance(gap, int) and gap >= 0:
                continue
        kept[requirement] = requirement, requirement
    return list(kept.values())


def _as_multiples(requirements: Sequence[Requirement]) -> list[Requirement]:
    """``e % m == 0 and floor(e/m) % n == 0`` as ``e % (m*n) == 0``, from the smallest m upward.

    Every level of a U-Net asks for one more halving; isl, which would take each floor for an
    unknown of its own, is told once.
    """
    steps: dict[Size, list[tuple[int, int, Requirement]]] = {}
    for requirement in requirements:
        if (step := _divides(requirement)) is not None:
            steps.setdefault(step[0], []).append((*step[1:], requirement))
    merged: set[Requirement] = set()
    made: list[Requirement] = []
    for e, found in steps.items():
        multiple = 1
        for m, n, requirement in sorted(found, key=lambda step: step[:2]):
            if multiple % m == 0:
                multiple = lcm(multiple, m * n)
                merged.add(requirement)
        if multiple > 1:
            made.append(Condition(sz.mod(e, multiple), "==", 0))
    return [*made, *(r for r in requirements if r not in merged)]


def _divides(requirement: Requirement) -> tuple[Size, int, int] | None:
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


def always(
    requirement: Requirement, names: Sequence[str], given: Iterable[Requirement] = ()
) -> bool:
    """Whether `requirement` holds for all positive sizes that meet `given`: decided, not tried."""
    return input_set(names, given) <= input_set(names, [requirement])


# isl -> python -------------------------------------------------------------------------------


def _parts(isl_set: Any) -> list[Any]:
    """The set as disjoint basic sets."""
    basics = _nonempty(_coalesced(isl_set))
    return basics if len(basics) < 2 else _nonempty(_coalesced(isl_set.make_disjoint()))


def _nonempty(isl_set: Any) -> list[Any]:
    """The basic sets, each as a set, without empty ones."""
    return [isl().Set.from_basic_set(b) for b in isl_set.get_basic_sets() if not b.is_empty()]


def _coalesced(isl_set: Any) -> Any:
    """The same set in fewer parts, where isl manages (its coalescing fails on rare sets)."""
    if isl_set.n_basic_set() > _MANY:  # every pair of parts is compared
        return isl_set
    try:
        return isl_set.coalesce()
    except isl().Error:
        return isl_set


def _is_product(isl_set: Any) -> bool:
    """Whether the set is the product of its projections on the axes."""
    n = isl_set.dim(isl().dim_type.set)
    if n < 2:
        return True
    box = None
    for i in range(n):
        side = isl_set
        if i + 1 < n:
            side = side.project_out(isl().dim_type.set, i + 1, n - i - 1)
        if i:
            side = side.project_out(isl().dim_type.set, 0, i)
        box = side if box is None else box.flat_product(side)
    return bool(isl_set.is_equal(box))


def _runs_of(part: Any) -> list[Run]:
    """A one-dimensional basic set as runs: one if it is an interval with a stride, else one per
    residue of its period (within a residue class of the period, a Presburger set is convex).
    """
    info = part.get_stride_info(0)
    step = int(info.get_stride().to_python())
    run = _hull_run(part, step)
    if run is not None:
        return [run]
    period = lcm(step, *map(_period, part.compute_divs().get_basic_sets()))
    runs = []
    for residue in range(period):
        inside = part.intersect(isl().Set(f"{{ [x] : x mod {period} = {residue} }}"))
        for piece in _parts(inside):
            if not piece.is_empty():
                found = _hull_run(piece, period)
                if found is None:
                    raise Undecidable(f"cannot write {piece} as runs")  # pragma: no cover
                runs.append(found)
    return runs


def _period(basic: Any) -> int:
    """After how many sizes the floors of a one-dimensional basic set have all gone on by whole
    numbers: one floor after its denominator, one of others after so many of their periods.
    """
    div = isl().dim_type.div
    periods: list[int] = []
    for i in range(basic.dim(div)):
        floor = basic.get_div(i)
        inner = (
            p for j, p in enumerate(periods) if not floor.get_coefficient_val(div, j).is_zero()
        )
        periods.append(int(floor.get_denominator_val().to_python()) * lcm(*inner))
    return lcm(*periods)


def _hull_run(part: Any, step: int) -> Run | None:
    """The run from the least to the greatest element of `part`, if that is all of `part`."""
    first = int(part.dim_min_val(0).to_python())
    last_val = part.dim_max_val(0)
    last = None if last_val.is_infty() else int(last_val.to_python())
    upto = "" if last is None else f" and x <= {last}"
    hull = isl().Set(f"{{ [x] : x >= {first}{upto} and (x - {first}) mod {step} = 0 }}")
    return Run(first, last, 1 if last == first else step) if hull.is_equal(part) else None


def _constraints(names: Sequence[str], part: Any) -> list[Condition]:
    """The constraints of one basic set, divisibility first, as conditions on `names`."""
    if len(names) == 1 and len(runs := _runs_of(part)) == 1:
        return runs[0].conditions(Size.symbol(names[0]))
    (basic,) = part.remove_redundancies().compute_divs().get_basic_sets()
    symbols: list[Int] = [Size.symbol(n) for n in names]
    divs: list[Int] = []

    def total(aff: Any, kind: Any, scale: int) -> Int:
        value: Int = int((aff.get_constant_val() * scale).to_python())
        for i, symbol in enumerate(symbols):
            value = value + symbol * int((aff.get_coefficient_val(kind, i) * scale).to_python())
        for i, div in enumerate(divs):
            value = value + div * int(
                (aff.get_coefficient_val(isl().dim_type.div, i) * scale).to_python()
            )
        return value

    for i in range(basic.dim(isl().dim_type.div)):
        aff = basic.get_div(i)
        den = int(aff.get_denominator_val().to_python())
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
    finer = [modular for c in found if (modular := as_mod(c)) is not None]
    found = [c for c in found if not any(_follows(as_mod(c), other) for other in finer)]
    return sorted(found, key=lambda c: (c.relation != "==", str(c)))


def _follows(modular: _Modular | None, other: _Modular) -> bool:
    """Whether ``e % m == r`` follows from ``e % (k*m) == s``: H is even where H % 4 == 0."""
    if modular is None or modular[0] != other[0] or modular == other:
        return False
    (_, m, r), (_, multiple, rest) = modular, other
    return multiple % m == 0 and rest % m == r


def as_mod(condition: Condition) -> _Modular | None:
    """(e, m, r) when the condition says ``e % m == r``."""
    gap = condition.lhs - condition.rhs
    if condition.relation != "==" or not isinstance(gap, Size) or not _is_linear(gap):
        return None
    floors = [(a, c) for a, c in gap.linear() if isinstance(a, sz.Floor)]
    if len(floors) != 1:
        return None
    floor, coeff = floors[0]
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


def _words(condition: Condition) -> str:
    """A linear condition as people write it: positive terms left and right."""
    modular = as_mod(condition)
    if modular is not None:
        expr, m, r = modular
        text = str(expr)
        return f"{text if text.isidentifier() else f'({text})'} % {m} == {r}"
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
        left, right, relation = right, left, "<=" if relation == ">=" else "=="  # type: ignore[assignment]
    return f"{left} {relation} {right}"


def _runs_text(runs: Sequence[Run], name: str) -> list[str]:
    """Runs in words; neighbouring residues in one piece: ``H % 16 <= 7 and H >= 16``."""
    groups: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: (run.step, run.first % run.step)):
        if groups and _joins(groups[-1], run):
            groups[-1].append(run)
        else:
            groups.append([run])
    groups.sort(key=lambda group: min(run.first for run in group))
    return [_group_text(group, name) for group in groups]


def _joins(group: Sequence[Run], run: Run) -> bool:
    """Whether `run` has the next residue and, but for it, the same ends as the `group`."""
    last, step = group[-1], run.step
    together = [*group, run]
    firsts = [r.first for r in together]
    lasts = [r.last for r in together if r.last is not None]
    return (
        step == last.step > 1
        and run.first % step == last.first % step + 1
        and max(firsts) - min(firsts) < step
        and (not lasts or (len(lasts) == len(together) and max(lasts) - min(lasts) < step))
    )


def _group_text(group: Sequence[Run], name: str) -> str:
    if len(group) == 1:
        return group[0].text(name)
    step, low, high = group[0].step, group[0].first % group[0].step, group[-1].first % group[0].step
    text = f"{low} <= {name} % {step} <= {high}" if low else f"{name} % {step} <= {high}"
    first = min(run.first for run in group)
    lasts = [run.last for run in group if run.last is not None]
    if first > 1 or lasts:
        text += f" and {Run(first, max(lasts) if lasts else None).text(name)}"
    return text


def _sentences(conditions: Sequence[Condition]) -> list[str]:
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
    return runs + texts


def _relation(condition: Condition) -> Any:
    import sympy

    from symcnn.algebra.expr import to_sympy

    modular = as_mod(condition)
    if modular is not None:
        expr, m, r = modular
        return sympy.Eq(sympy.Mod(to_sympy(expr), m), r)
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
