"""Closed forms on a set of sizes: the domain law.

*On a set where e mod n is a constant c, floor(e/n) = (e - c)/n; a floor that has one value there is
that value; where one side of a maximum always wins, the maximum is that side.* A network that takes
only ``H % 16 == 0`` halves H four times without a floor, so its formulas are polynomials there.

Each atom is decided once per set. Along an axis whose sizes are ``m*h + r`` the floor normal form
decides it; what is left is tried at members of the set, and only what agrees at all of them is put
to isl, as a subset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from itertools import islice, permutations
from math import gcd
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.size import Atom, Floor, Int, Max, Size, Symbol, evaluate, symbols_of
from symcnn.algebra.substitute import replaced
from symcnn.errors import SymcnnError, Undecidable
from symcnn.lazy import cached_property
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.sets.downset import grows
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name

#: Members at which an atom is tried before isl is asked.
_MEMBERS = 24


#: A size near which a member is looked for.
_SOME = 977


class Simplest:
    """The simplest form of expressions on a set of sizes: ``simplest(expr)``.

    domain: the set, or what computes the set when it is first needed; None: whatever the sizes.
    requirements: tells what all its members meet. Where that only bounds sizes from below, all
        great sizes are members, and decide no floor: the set is then not computed for one.

    >>> H = Size.symbol("H")
    >>> even = input_set(["H"], [Condition(sz.mod(H, 2), "==", 0)])
    >>> Simplest(even)(4 * ((H + 1)//2) + H//3)
    2*H + H//3
    """

    def __init__(
        self,
        domain: InputSet | Callable[[], InputSet | None] | None = None,
        requirements: Callable[[], Iterable[Requirement]] | None = None,
    ) -> None:
        self._source, self._requirements = domain, requirements
        self._decided: dict[Atom, Int] = {}

    def __reduce__(self) -> Any:
        return Simplest, (self.domain,)

    @cached_property
    def domain(self) -> InputSet | None:
        """The set; None where there is none to speak of, or it decides nothing."""
        found = self._source() if callable(self._source) else self._source
        with suppress(Undecidable):
            return found if found is not None and found.names and found else None
        return None

    @cached_property
    def members(self) -> tuple[dict[str, int], ...]:
        """Some members, by what the set speaks of: what is not so there is not so on the set."""
        domain = self.domain
        if domain is None:
            return ()
        with suppress(SymcnnError):
            found = domain.smallest(), domain.nearest(*(_SOME for _ in domain.shown))
            return tuple(by_name(domain.shown, one) for one in found)
        return ()

    @cached_property
    def rises(self) -> bool:
        """Whether with a member everything larger is one too, as its form tells at a glance."""
        return self._requirements is not None and all(map(_rises, self._requirements()))

    def __call__(self, expr: Int) -> Int:
        if type(expr) is int or self._source is None or not _has_atoms(expr):
            return expr
        if self.rises and not any(map(_hangs_on_bounds, sz.every_atom(expr))):
            return expr
        return expr if self.domain is None else self._expr(expr)

    def greatest(self, exprs: Iterable[Int]) -> list[Int]:
        """Of several expressions those of which one is the greatest, at every member of the set."""
        every = list(dict.fromkeys(map(self, exprs)))
        if len(every) < 2:
            return every
        moved = {sz.with_values(e, self._inner): e for e in every}
        greatest = sz.maximum(*moved)
        atom = sz.sole_atom(greatest)
        kept = atom.args if isinstance(atom, Max) else (greatest,)
        left = [moved[m] for m in kept] if moved.keys() >= {*kept} else every
        return self._unbeaten(left) if 1 < len(left) <= _FEW else left

    def coarse(self, expr: Int) -> Int:
        """With floors by coarser ones where the set says how they differ.

        >>> W = Size.symbol("W")
        >>> law = Simplest(input_set(["W"], [Condition(1, ">=", sz.mod(W, 8))]))
        >>> law.coarse(W // 2 - 3 * (W // 8))
        W//8
        """
        if isinstance(expr, int) or self.domain is None:
            return expr
        floors = [(a.den, a) for a in expr.atoms() if type(a) is Floor and type(a.den) is int]
        for (small, fine), (large, far) in permutations(sorted(floors, key=lambda f: -f[0]), 2):
            by, rest = divmod(large, small)
            if by > 1 and not rest:
                value = self._value(fine.size() - by * far.size())
                if value is not None:
                    expr = replaced(expr, fine, by * far.size() + value)
        return expr

    def _expr(self, expr: Int) -> Int:
        return expr if isinstance(expr, int) else expr.map(self._atom)

    def _atom(self, atom: Atom) -> Int:
        if isinstance(atom, Symbol):
            return atom.size()
        if atom not in self._decided:
            self._decided[atom] = self._decide(atom)
        return self._decided[atom]

    def _decide(self, atom: Atom) -> Int:
        if isinstance(atom, Floor):
            made = sz.floordiv(self._expr(atom.num), self._expr(atom.den))
            if sz.sole_atom(made) != atom:
                return self._expr(made)
            return self._floor(atom)
        if isinstance(atom, Max):
            kept = self.greatest(atom.args)
            return sz.maximum(*kept)
        if isinstance(atom, sz.Scaled):
            made = sz.scaled(self._expr(atom.arg), atom.scale)
            value = self._value(made)
            return made if value is None else value
        return atom.size()

    # one floor

    def _floor(self, atom: Floor) -> Int:
        value = self._value(atom.size())
        if value is not None:
            return value
        if type(atom.den) is not int:
            if symbols_of(atom.num):
                return atom.size()
            num = evaluate(atom.num, {})
            small = self._never_below(atom.den, max(-num, num + 1))
            return -int(num < 0) if small else atom.size()
        made = sz.floordiv(atom.num.subs(self._inner), atom.den)
        if not _has_atoms(made):
            return sz.with_values(made, self._outer)
        rest = _only(value % atom.den for value in self._values(atom.num))
        if rest is not None and self._holds(Condition(sz.mod(atom.num, atom.den), "==", rest)):
            return sz.exact_or_fail(atom.num - rest, atom.den)
        return atom.size()

    def _value(self, expr: Int) -> int | None:
        """The value of an expression that has only one on the set."""
        value = None if isinstance(expr, int) else _only(self._values(expr))
        held = value is not None and self._holds(Condition(expr, "==", value))
        return value if held else None

    def _unbeaten(self, exprs: Sequence[Int]) -> list[Int]:
        """What is left of a maximum when the set decides which of two is the greater."""
        kept: list[Int] = []
        for a in exprs:
            if not any(self._never_below(b, a) for b in kept):
                kept = [b for b in kept if not self._never_below(a, b)] + [a]
        return kept

    def _never_below(self, a: Int, b: Int) -> bool:
        gap, tried = a - b, False
        for value in self._values(gap):
            tried = True
            if value < 0:
                return False
        return tried and self._holds(Condition(gap, ">=", 0))

    def _values(self, expr: Int) -> Iterator[int]:
        """What it is at a few members; none where it speaks of other sizes, or divides by 0."""
        assert self.domain is not None
        if symbols_of(expr) <= {*self.domain.names}:
            with suppress(ZeroDivisionError):
                yield from (evaluate(expr, at) for at in self._nearest)
                yield from (evaluate(expr, at) for at in self._members)

    def _holds(self, condition: Condition) -> bool:
        """Whether every member meets the condition, as far as isl can tell."""
        assert self.domain is not None
        with suppress(SymcnnError):
            return self.domain <= input_set(self.domain.names, [condition])
        return False

    # the set, axis by axis

    @cached_property
    def _classes(self) -> dict[str, tuple[int, int, int]]:
        """(m, r, least) for each size: it is r modulo m, and at least so large. m = 0: it is r."""
        assert self.domain is not None
        found: dict[str, tuple[int, int, int]] = {}
        for name in self.domain.names:
            with suppress(SymcnnError):
                runs = self.domain.axis(name).runs()
                least = min(run.first for run in runs)
                m = gcd(*(run.first - least for run in runs))
                m = gcd(m, *(run.step for run in runs if run.last != run.first))
                found[name] = m, least % m if m else least, least
        return found

    @cached_property
    def _inner(self) -> dict[str, Int]:
        """Each size in its own count, which begins at 1: ``H = 16*h + 32``."""
        counts: dict[str, Int] = {}
        for name, (m, _, least) in self._classes.items():
            counts[name] = Size.symbol(f"{name}'") * m + (least - m) if m else least
        return counts

    @cached_property
    def _outer(self) -> dict[str, Int]:
        """Each count in its size: ``h = H/16 - 2``."""
        counts: dict[str, Int] = {}
        for name, (m, _, least) in self._classes.items():
            if m:
                counts[f"{name}'"] = sz.exact_or_fail(Size.symbol(name) - (least - m), m)
        return counts

    @cached_property
    def _nearest(self) -> tuple[Mapping[str, int], ...]:
        """A few members along a diagonal, at which most of what does not hold is seen."""
        return tuple(self._found_members(diagonal=True))

    @cached_property
    def _members(self) -> tuple[Mapping[str, int], ...]:
        """A few members: the least, and what lies a few steps further along each axis."""
        return tuple(islice(self._found_members(), _MEMBERS))

    def _found_members(self, *, diagonal: bool = False) -> Iterator[Mapping[str, int]]:
        assert self.domain is not None
        names = self.domain.names
        least: tuple[int, ...] | None = None
        with suppress(SymcnnError):
            found = self.domain.axis(*names).smallest() if not self.domain.batch else None
            least = (found,) if isinstance(found, int) else found
        rises = self.rises and least is not None  # then all that is larger is a member
        if not rises and set(names) - self._classes.keys():
            return
        if least is not None:
            yield dict(zip(names, least, strict=True))
        starts = [(1, n) for n in least] if rises and least else [*map(self._of_class, names)]
        steps = [[start + m * k for k in ((0, 1, 2, 5, 30) if m else (0,))] for m, start in starts]
        counts = [len(s) for s in steps]
        line = ((k,) * len(counts) for k in range(min(counts)))
        for places in line if diagonal else islice(_outwards(counts), 200):
            yet = {n: s[i] for n, s, i in zip(names, steps, places, strict=True)}
            if rises or self.domain.has(yet):
                yield yet

    def _of_class(self, name: str) -> tuple[int, int]:
        """The step between sizes, and the least of them."""
        m, _, start = self._classes[name]
        return m, start


def _only(values: Iterable[int]) -> int | None:
    """The one value of several; None where they are several, or none."""
    first = None
    for value in values:
        if first is not None and value != first:
            return None
        first = value
    return first


def _outwards(lengths: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The places of a grid: by their greatest index, then by the sum of all.

    >>> list(_outwards([2, 3]))
    [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)]
    """
    origin = (0,) * len(lengths)
    heap, seen = [(0, 0, origin)], {origin}
    while heap:
        _, _, place = heappop(heap)
        yield place
        for axis, length in enumerate(lengths):
            further = (*place[:axis], place[axis] + 1, *place[axis + 1 :])
            if further[axis] < length and further not in seen:
                seen.add(further)
                heappush(heap, (max(further), sum(further), further))


#: Of so many expressions isl is asked which of two is the greater.
_FEW = 6


def _has_atoms(expr: Int) -> bool:
    """Whether anything but symbols stands in the polynomial."""
    return not isinstance(expr, int) and any(type(atom) is not Symbol for atom in expr.atoms())


def _hangs_on_bounds(atom: Atom) -> bool:
    """Whether least sizes may decide it: a maximum, and -1 by a size."""
    return isinstance(atom, Max) or (isinstance(atom, Floor) and not symbols_of(atom.num))


def _rises(requirement: Requirement) -> bool:
    """Whether a requirement that holds at some sizes holds at all greater ones."""
    if isinstance(requirement, AnyOf):
        return all(map(_rises, requirement.options))
    if not isinstance(requirement, Condition) or requirement.relation != ">=":
        return False
    return grows(requirement.lhs - requirement.rhs)


def known_sizes(names: Sequence[str], requirements: Iterable[Requirement]) -> InputSet | None:
    """The sizes that meet those requirements that isl can decide: a superset of the domain.

    What holds on it holds on the domain.
    """
    found: InputSet | None = None
    for requirement in requirements:
        with suppress(SymcnnError):
            one = input_set(names, [requirement])
            found = one if found is None else found & one
    return found
