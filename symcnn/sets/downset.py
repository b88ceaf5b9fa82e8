"""Down-closed sets: where an expression that grows with every size stays below a bound.

**What holds at some sizes, and for an expression that grows, holds at all larger ones.** So the
bound ``h*w >= 65536``, which is no linear condition, is a staircase; its steps are found by
bisection, and between two of them the set is a box: where a set of sizes meets the bound is a
question for each box. A bound is carried along as it is, and cut into boxes only when a question
needs it.

Whether an expression grows is seen from the least sizes of the set: in ``H = least + t`` every
coefficient of ``2*H*W - 2*H - 2*W`` is positive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from math import gcd, isqrt
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.factor import factors, text
from symcnn.algebra.size import Int, Size, evaluate, symbols_of
from symcnn.errors import Undecidable

#: Sizes end here, as torch's do.
FAR = (1 << 63) - 1

#: So many boxes are gone through to find a member, ...
BOXES = 1 << 14

#: ... and so many edges of a staircase are looked for to write it down.
_EDGES = 1 << 13

#: Least and greatest value of each size; None: no end.
Box = Mapping[str, tuple[int, "int | None"]]


@dataclass(frozen=True, slots=True)
class Bound:
    """``expr >= limit``, or, if not `above`, ``expr < limit``, for an expression that grows.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> print(Bound.of(2 * (H // 32) * (W // 32) + 1, 66, {}), Bound.of(H * W, 7, {}).contrary)
    (H//32)*(W//32) >= 33 H*W <= 6
    """

    expr: Size
    limit: int
    above: bool = True
    said: Size | None = field(default=None, compare=False)  # the expression as it was met

    @staticmethod
    def of(expr: Size, limit: int, least: Mapping[str, int]) -> Bound:
        """``expr >= limit`` in its shortest form, for an expression that grows from `least` on.

        What grows from there only, does everywhere with ``max(H, least)`` for H.
        """
        const = int(expr.const)
        bare = expr - const
        assert isinstance(bare, Size)
        content = gcd(*(int(c) for c in bare.terms.values()))
        whole = bare * Fraction(1, content)
        assert isinstance(whole, Size)
        bound = -((const - limit) // content)
        if grows(whole):
            return Bound(whole, bound)
        moved = from_least(whole, least)
        assert isinstance(moved, Size)
        return Bound(moved, bound, said=whole)

    @property
    def contrary(self) -> Bound:
        """What holds where this does not."""
        return replace(self, above=not self.above)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes it speaks of."""
        return symbols_of(self.expr)

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds at `values`."""
        return bool((evaluate(self.expr, values) >= self.limit) == self.above)

    def __str__(self) -> str:
        relation, limit = (">=", self.limit) if self.above else ("<=", self.limit - 1)
        return f"{text(self.said or self.expr)} {relation} {limit}"


def from_least(expr: Size, least: Mapping[str, int]) -> Int:
    """The same expression at all sizes from `least` on: with ``max(H, least)`` for H."""
    return expr.subs({n: sz.maximum(Size.symbol(n), v) for n, v in least.items() if v > 1})


def ranges(bounds: Iterable[Bound]) -> list[str]:
    """Bounds in words, both of one expression together: ``7 <= H*W <= 9``."""
    found: dict[Size, dict[bool, Bound]] = {}
    for bound in bounds:
        found.setdefault(bound.expr, {})[bound.above] = bound
    return sorted(map(_range, found.values()))


def _range(both: Mapping[bool, Bound]) -> str:
    if len(both) == 1:
        return str(*both.values())
    low, high = both[True].limit, both[False].limit - 1
    expr = text(both[True].said or both[True].expr)
    return f"{expr} == {low}" if low == high else f"{low} <= {expr} <= {high}"


def grows(expr: Int, least: Mapping[str, int] | None = None) -> bool:
    """Whether `expr` never falls as a size grows, from the sizes `least` on (if not given: from the
    least that each may be).

    A glance at its form, so a no may be a yes.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> grows(H * W + (H * W)//7), grows(2*H*W - 2*H - 2*W), grows(H * W - 2*H)
    (True, True, False)
    >>> grows(H * ((W - 9)//2)), grows(H * ((W - 9)//2), {"W": 9})
    (False, True)
    >>> grows((H - H//9) * W), grows((H - 2*(H//3)) * W)
    (True, False)
    """
    if isinstance(expr, int):
        return True
    if _rises(expr):
        return True
    start = {**dict.fromkeys(symbols_of(expr), 1), **dict(sz.lows(expr)), **(least or {})}
    try:
        from_there = {n: sz.Symbol(n, 0).size() + v for n, v in start.items() if v is not None}
        return len(from_there) == len(start) and (
            _rises(expr.subs(from_there)) or _climbs(expr, frozenset(from_there.items()))
        )
    except (ArithmeticError, ValueError):
        return False


def _rises(expr: Int) -> bool:
    if isinstance(expr, int):
        return True
    return all(
        coeff > 0
        and all(power > 0 and _atom_rises(atom) for atom, power in mono)
        and (sum(p for _, p in mono) == 1 or all(a.low is not None and a.low >= 0 for a, _ in mono))
        for mono, coeff in expr.terms.items()
        if mono
    )


@lru_cache(maxsize=4096)
def _climbs(expr: Size, start: frozenset[tuple[str, Size]]) -> bool:
    """Whether a size that is one more makes it no less: a sum by its difference, a product of what
    is not negative factor by factor.
    """
    parts, content = ((expr,), 1) if _is_sum(expr) else factors(expr - expr.const)
    moved = [part.subs(dict(start)) for part in parts]
    sizes = [part for part in moved if isinstance(part, Size)]
    return (
        content > 0
        and (len(parts) == 1 or all(map(_is_never_negative, moved)))
        and all(map(_is_sum, parts))
        and all(
            _is_never_negative(part.subs({name: sz.Symbol(name, 0).size() + 1}) - part)
            for part in sizes
            for name, _ in start
        )
    )


def _is_sum(expr: Size) -> bool:
    return all(sum(power for _, power in mono) <= 1 for mono in expr.terms)


def _is_never_negative(expr: Int) -> bool:
    return (low := sz.sharp_lower(expr)) is not None and low >= 0


@lru_cache(maxsize=4096)  # a part may stand in many places
def _atom_rises(atom: sz.Atom) -> bool:
    match atom:
        case sz.Floor():
            return isinstance(atom.den, int) and _rises(atom.num)
        case sz.Scaled():
            return _rises(atom.arg)
        case sz.Max():
            return all(map(_rises, atom.args))
    return isinstance(atom, sz.Symbol)


def merged(bounds: Iterable[Bound], box: Box) -> frozenset[Bound] | None:
    """Bounds on sizes of a box: the strictest of each expression, without those that hold in all of
    it; None if they contradict each other, or the box.
    """
    strictest: dict[tuple[Size, bool], int] = {}
    said: dict[Size, Size | None] = {}
    for bound in bounds:
        key = bound.expr, bound.above
        said[bound.expr] = bound.said
        known = strictest.get(key, bound.limit)
        strictest[key] = (max if bound.above else min)(known, bound.limit)
    found: set[Bound] = set()
    for (expr, above), limit in strictest.items():
        if above and strictest.get((expr, False), limit + 1) <= limit:
            return None
        low, high = _ends(expr, box)
        if low >= limit if above else high is not None and high < limit:
            continue
        if high is not None and high < limit if above else low >= limit:
            return None
        found.add(Bound(expr, limit, above, said[expr]))
    return frozenset(found)


def _ends(expr: Size, box: Box) -> tuple[Any, Any]:
    names = symbols_of(expr)
    low = expr.at({n: box[n][0] for n in names})
    if any(box[n][1] is None for n in names):
        return low, None
    return low, expr.at({n: box[n][1] or 0 for n in names})


def verdict(bounds: Iterable[Bound], box: Box) -> bool | None:
    """Whether all bounds hold in all of a box; None if not so everywhere."""
    certain = True
    for b in bounds:
        names = b.symbols
        low = b.expr.at({n: box[n][0] for n in names}) >= b.limit
        high = b.expr.at({n: top(box[n]) for n in names}) >= b.limit
        if high != b.above and low == high:
            return False
        certain = certain and low == high
    return True if certain else None


def nowhere(
    bounds: Iterable[Bound], box: Box, sample: Callable[[Box], Mapping[str, int] | None]
) -> bool:
    """Whether all bounds hold at no member of a set, which a box holds: decided by halving it.

    sample: some member in a box, None if there is none. Sizes are halved on the scale on which they
    multiply, so a bound on a product is settled after a few dozen boxes.

    Raises Undecidable if it takes more than 16,384.
    """
    bounds = tuple(bounds)
    stack = [box]
    for _ in range(BOXES):
        if not stack:
            return True
        here = stack.pop()
        held = verdict(bounds, here)
        if held is not False and (member := sample(here)) is not None:
            if held or all(b.holds(member) for b in bounds):
                return False
            stack += halves(bounds, here)
    raise too_many(bounds)


def halves(bounds: Iterable[Bound], box: Box) -> Iterator[Box]:
    """A box in two, along the size that spans the most octaves."""
    names = sorted(frozenset[str]().union(*(b.symbols for b in bounds)))

    def span(name: str) -> float:
        return top(box[name]) / box[name][0]

    name = max(names, key=span)
    low, high = box[name]
    end = top(box[name])
    middle = min(max(isqrt(low * end), low), end - 1)
    yield {**box, name: (middle + 1, high)}
    yield {**box, name: (low, middle)}


def boxes(bounds: Iterable[Bound], within: Box) -> Iterator[Box]:
    """Disjoint boxes: together, the sizes of a box at which all bounds hold.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> list(boxes([Bound.of(H * W, 3, {})], {"H": (1, None), "W": (1, 9)}))[:2]
    [{'W': (1, 1), 'H': (3, None)}, {'W': (2, 2), 'H': (2, None)}]

    Raises Undecidable for a staircase of thousands of steps.
    """
    bounds = sorted(bounds, key=str)
    spoken = frozenset[str]().union(*(b.symbols for b in bounds))
    names = sorted(spoken, key=lambda n: (top(within[n]) - within[n][0], n))
    free = {n: span for n, span in within.items() if n not in spoken}
    edges = _Edges(bounds)
    for box in edges.boxes(bounds, names, within, {}):
        yield {**box, **free}


def too_many(bounds: Iterable[Bound]) -> Undecidable:
    """The refusal of a staircase that is too long."""
    words = " and ".join(sorted(map(str, bounds)))
    return Undecidable(
        f"{words}: its staircase has too many steps to go through",
        cure="give one of the sizes a number or a range",
    )


def top(span: tuple[int, int | None]) -> int:
    """The greatest size of a span."""
    return FAR if span[1] is None else span[1]


@dataclass
class _Edges:
    """The staircase of bounds, in at most so many bisections."""

    bounds: Sequence[Bound]
    left: int = _EDGES

    def boxes(
        self, bounds: Sequence[Bound], names: Sequence[str], within: Box, at: Mapping[str, int]
    ) -> Iterator[dict[str, tuple[int, int | None]]]:
        first, *rest = names
        low, end = within[first]
        high = FAR if end is None else end
        if not rest:
            for b in bounds:
                edge = self.edge(b, first, at, low, high)
                low, high = (max(low, edge), high) if b.above else (low, min(high, edge - 1))
            if low <= high:
                yield {first: (low, None if end is None and high == FAR else high)}
            return
        value = low
        while value <= high:
            here = {**at, first: value}
            after = min(self.change(b, first, rest, within, here, high) for b in bounds)
            last = None if end is None and after > high else min(after - 1, high)
            for box in self.boxes(bounds, rest, within, here):
                yield {first: (value, last), **box}
            value = after

    def edge(self, bound: Bound, name: str, at: Mapping[str, int], low: int, high: int) -> int:
        """The least value of a size from `low` on at which the expression reaches the limit; or
        one more than `high`.
        """
        self.left -= 1
        if self.left < 0:
            raise too_many(self.bounds)
        return least(low, high, lambda v: bool(bound.expr.at({**at, name: v}) >= bound.limit))

    def change(
        self,
        bound: Bound,
        first: str,
        rest: Sequence[str],
        within: Box,
        here: Mapping[str, int],
        high: int,
    ) -> int:
        """The next value of the size `first` at which a bound cuts the others differently."""
        value = here[first]
        if len(rest) == 1:
            low, end = within[rest[0]]
            edge = self.edge(bound, rest[0], here, low, FAR if end is None else end)
            if edge == low:
                return high + 1
            return self.edge(bound, first, {**here, rest[0]: edge - 1}, value + 1, high)

        def cut(v: int) -> list[Box]:
            above = replace(bound, above=True)
            return list(self.boxes([above], rest, within, {**here, first: v}))

        before = cut(value)
        return least(value + 1, high, lambda v: cut(v) != before)


def reached(up: Size, limit: int, name: str, start: int) -> int:
    """The least value of the one size of what grows, from `start` on, at which it is at least
    `limit`; one more than `FAR` if there is none.

    >>> reached(Size.symbol("H") ** 2, 227, "H", 1)
    16
    """
    return least(start, FAR, lambda value: bool(up.at({name: value}) >= limit))


def least(start: int, high: int, holds: Callable[[int], bool]) -> int:
    """The least value in ``start..high`` at which `holds`, as it does from there on; else one more
    than `high`.
    """
    low, step = start, 1
    while low <= high:
        probe = min(low + step - 1, high)
        if holds(probe):
            break
        low, step = probe + 1, 2 * step
    else:
        return high + 1
    top = probe
    while low < top:
        middle = (low + top) // 2
        low, top = (low, middle) if holds(middle) else (middle + 1, top)
    return low
