"""Exact sets of sizes, as values: where a network is defined, and which inputs reach a target.

A set is a product of regions (`symcnn.sets.region`), one for each group of sizes that requirements
tie together: mostly one per axis. Questions go to the regions where they can, and to isl over all
sizes where they must; nothing here searches.

Sizes are positive: every set lies within ``H >= 1 and W >= 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from heapq import merge
from math import prod
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from symcnn.algebra import size as sz
from symcnn.algebra.mathml import math
from symcnn.algebra.size import Size, whole_number
from symcnn.errors import BadSpec, NoSolution, SymcnnError, Undecidable
from symcnn.lazy import cached_property
from symcnn.sets import order
from symcnn.sets.condition import Condition, Requirement, subexpressions
from symcnn.sets.fewer import tied
from symcnn.sets.isl import question
from symcnn.sets.member import Member
from symcnn.sets.paths import Paths
from symcnn.sets.presburger import narrowed, region
from symcnn.sets.region import Point, Region, positive
from symcnn.sets.runs import Run
from symcnn.sets.text import factors, in_few_words, nowhere, products
from symcnn.sets.words import as_boolean, as_it_is
from symcnn.shown import block, prose

if TYPE_CHECKING:
    import islpy
    from sympy.logic.boolalg import Boolean


#: How far the points lie by which sets are told apart before they are compared.
_NEAR = (8, 64, 640, 5000)

#: A condition of more operations is harder to read than its words.
_SHORT = 40


class InputSet:
    """An exact set of input sizes, such as ``193 <= H <= 224 and 193 <= W <= 224``.

    A value: immutable, hashable, picklable, with ``&``, ``|``, ``-``, ``<=`` and ``==`` as for
    python sets, and `complement` among all positive sizes; ``bool(s)`` says whether there is a
    member. Sets that a product of sizes bounds, as ``H*W >= 65536``, take part in all of it. A
    member is a tuple of sizes in the order of `names` (a plain int where there is one name); the
    batch may be left out.

    >>> H = Size.symbol("H")
    >>> s = input_set(["H"], [Condition((H + 31)//32, "==", 7)])
    >>> print(s)
    193 <= H <= 224
    >>> 200 in s, s.smallest(), s.largest(), s.nearest(500), s.count()
    (True, 193, 224, 224, 32)
    >>> W = Size.symbol("W")
    >>> large = input_set(["H", "W"], [Condition(H * W, ">=", 65536)])
    >>> print(large.complement(), "or", large - input_set(["H", "W"], [Condition(H, ">=", 300)]))
    H*W <= 65535 or 1 <= H <= 299 and H*W >= 65536
    >>> bool(large & large.complement()), (large | large.complement()) == large - large
    (False, False)
    """

    def __init__(
        self,
        names: Sequence[str],
        members: islpy.Set | Sequence[Region],
        *,
        batch: Iterable[str] = (),
        at: str = "",
    ) -> None:
        """members: one isl set over all `names`, or regions of which this is the product."""
        self.names = tuple(names)
        self.optional = frozenset(batch)  # symbols a member may leave out, ours or not
        self.batch = self.optional & {*names}
        self.at = at  # the node that the question was about, if any
        self.note = ""  # what there is to know besides: that the whole network refuses them
        self.paths: tuple[Paths, ...] = ()  # what was followed, where not all sizes were
        self._sides: tuple[Region, ...] = (
            tuple(members)
            if isinstance(members, (tuple, list))
            else (Region(self.names, {frozenset(): members}),)
        )

    # algebra

    @cached_property
    @question
    def _whole(self) -> Region:
        """The region over all names. The sides are mostly enough, and have far fewer parts."""
        return Region.product(self.names, self._sides)

    @property
    @question
    def _set(self) -> islpy.Set:
        """The same as one isl set."""
        return self._whole.isl

    def _over(self, names: Sequence[str]) -> Region:
        """The region over `names`, of which no side of ours leaves some; any but ours are free."""
        sides = [side for side in self._sides if {*side.names} <= {*names}]
        if len(sides) == 1 and {*sides[0].names} == {*names}:
            return sides[0].over(names)
        free = [positive(n) for n in names if n not in self.names]
        return Region.product(names, [*sides, *free])

    def _aligned(
        self, other: InputSet, *, whole: bool = False
    ) -> Iterator[tuple[tuple[str, ...], Region, Region]]:
        """Names and both regions over them, for each group that one of the two ties together."""
        names = self.names + tuple(n for n in other.names if n not in self.names)
        ties = [names] if whole else [side.names for side in (*self._sides, *other._sides)]
        for group in tied(names, ties) or [()]:
            yield group, self._over(group), other._over(group)

    def _combine(self, other: InputSet, sides: Iterable[Region]) -> InputSet:
        names = self.names + tuple(n for n in other.names if n not in self.names)
        spoken = (set(self.names) - self.batch) | (set(other.names) - other.batch)
        optional = (self.optional | other.optional) - spoken
        found = InputSet(names, tuple(sides), batch=optional, at=self.at or other.at)
        found.paths = tuple(dict.fromkeys(p.alone for p in (*self.paths, *other.paths)))
        return found

    def _likewise(self, found: InputSet) -> InputSet:
        """A set that is made of this one, of which as much is known."""
        found.paths = tuple(p.alone for p in self.paths)
        return found

    @question
    def __and__(self, other: InputSet) -> InputSet:
        if not isinstance(other, InputSet):
            return NotImplemented
        sides = []
        for names, a, b in self._aligned(other):
            free = [s for s in (self, other) if s.names and {*names}.isdisjoint(s.names)]
            sides.append(a.intersect(b) if not free else b if free[0] is self else a)
        return self._combine(other, sides)

    @question
    def meeting(self, *requirements: Requirement) -> InputSet:
        """The members that meet a requirement; of several, what is decided of them in turn.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> windows = Condition((H - 2)*(W - 2), "==", 9*((H - 2)//3)*((W - 2)//3))
        >>> print(input_set("HW", [Condition(H, ">=", 3), Condition(W, ">=", 3)]).meeting(windows))
        H % 3 == 2 and H >= 5 and W % 3 == 2 and W >= 5
        """
        asked = frozenset[str]().union(*(r.symbols for r in requirements))
        names = self.names + tuple(sorted(asked - {*self.names}))
        groups = tied(names, [*(side.names for side in self._sides), asked])
        sides = [self._over(group) for group in groups]
        met = [narrowed(s, requirements) if asked & {*s.names} else s for s in sides]
        return self._likewise(InputSet(names, met, batch=self.optional - asked, at=self.at))

    def roster(self, names: AbstractSet[str]) -> Sequence[Mapping[str, int]] | None:
        """The sizes of these names, and of what is tied to them, where those are few."""
        side = next((s for s in self._sides if {*s.names} >= names), None)
        return None if side is None else side.roster

    @question
    def __or__(self, other: InputSet) -> InputSet:
        if not isinstance(other, InputSet):
            return NotImplemented
        return self._combine(
            other, (a.union(b) for _, a, b in self._aligned(other, whole=not self._near(other)))
        )

    def _near(self, other: InputSet) -> bool:
        """Whether the sets differ in one group of sizes at most: then the others stay apart."""
        pairs = [(a, b) for _, a, b in self._aligned(other)]
        return sum(not a.is_equal(b) for a, b in pairs) <= 1

    @question
    def __sub__(self, other: InputSet) -> InputSet:
        if not isinstance(other, InputSet):
            return NotImplemented
        pairs = self._aligned(other, whole=True)
        return self._combine(other, (a.subtract(b) for _, a, b in pairs))

    def complement(self) -> InputSet:
        """All positive sizes that are no members.

        Returns:
            A set over the same names; the batch may be left out as before.

        Raises:
            Undecidable: if it takes too many steps.

        >>> print(input_set(["H"], [Condition(Size.symbol("H"), ">=", 33)]).complement())
        1 <= H <= 32
        """
        free = InputSet(self.names, [*map(positive, self.names)], batch=self.optional, at=self.at)
        return free - self

    @question
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InputSet) or set(self.names) != set(other.names):
            return NotImplemented if not isinstance(other, InputSet) else False
        if not self or not other:
            return not self and not other
        return all(a.is_equal(b) for _, a, b in self._aligned(other))

    @question
    def __hash__(self) -> int:
        """Equal sets have the same members among a few fixed ones."""
        return hash((frozenset(self.names), *(self._whole_has(place) for place in range(48))))

    def _whole_has(self, place: int) -> bool:
        """Whether one of a few fixed points, by name, is a member."""
        at = self._place(place)
        return all(at in side for side in self._sides)

    def _place(self, place: int) -> dict[str, int]:
        return {n: 1 + crc32(f"{n}{place}".encode()) % _NEAR[place % 4] for n in self.names}

    def __reduce__(self) -> Any:
        kind = partial(InputSet, batch=tuple(sorted(self.optional)), at=self.at)
        return kind, (self.names, self._sides), self._beside

    @property
    def _beside(self) -> dict[str, object]:
        """What a copy has besides what it is made of."""
        return {"note": self.note, "paths": self.paths}

    @question
    def __le__(self, other: InputSet) -> bool:
        if not isinstance(other, InputSet):
            return NotImplemented
        said = self._aligned(other)  # of the rest, `other` takes all
        pairs = ((a, b) for n, a, b in said if not other.names or {*n} & {*other.names})
        return all(a.is_subset(b) for a, b in pairs) or not self

    @question
    def __bool__(self) -> bool:
        return not any(side.is_empty() for side in self._sides)

    def where(self, *requirements: Requirement) -> InputSet:
        """The members that also meet `requirements`.

        Args:
            requirements: conditions on the sizes of the set, in pixels.

        Returns:
            A set over the same names.

        Raises:
            Undecidable: for a requirement that no law makes decidable, or too many steps.

        >>> H = Size.symbol("H")
        >>> print(input_set(["H"], [Condition(H, ">=", 33)]).where(Condition(H % 32, "==", 0)))
        H % 32 == 0 and H >= 64
        """
        return self & input_set(self.names, requirements, batch=self.batch)

    @question
    def axis(self, *names: str) -> InputSet:
        """The sizes that the axes called `names` take in some member: the projection.

        Args:
            names: of axes of the set, in the order in which a member of the answer lists them.

        Returns:
            A set over `names`.

        Raises:
            BadSpec: for a name that the set does not speak of.
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> print(input_set(["H", "W"], [Condition(H, "==", 2 * W)]).axis("H"))
        H % 2 == 0 and H >= 2
        """
        for name in names:
            self._index(name)
        sides = []
        for side in self._sides:
            kept = tuple(n for n in side.names if n in names)
            if kept:
                sides.append(side.over(kept))
            elif side.is_empty():
                return self._likewise(InputSet(names, [Region(names, {})], at=self.at))
        optional = self.optional - ({*self.names} - {*names})
        return self._likewise(InputSet(names, tuple(sides), batch=optional, at=self.at))

    def given(self, **sizes: int) -> InputSet:
        """What is left for the other sizes where some are fixed: ``s.given(W=640)``.

        Args:
            sizes: in pixels, by name.

        Returns:
            A set over the names that are not fixed.

        Raises:
            BadSpec: for a size that the set does not speak of.
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> print(input_set(["H", "W"], [Condition(65536, ">=", H * W)]).given(W=640))
        1 <= H <= 102
        """
        for name in sizes:
            self._index(name)
        fixed = [Condition(Size.symbol(n), "==", whole_number(n, v)) for n, v in sizes.items()]
        return self.where(*fixed).axis(*(n for n in self.names if n not in sizes))

    def square(self) -> InputSet:
        """The members whose sizes (the batch aside) are all equal.

        Returns:
            A set over the same names.

        Raises:
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> print(input_set(["H", "W"], [Condition(64, ">=", H + W)]).square())
        1 <= H <= 32 and H == W
        """
        shown = self.shown
        return self.where(
            *(Condition(Size.symbol(n), "==", Size.symbol(shown[0])) for n in shown[1:])
        )

    def _index(self, name: str) -> int:
        if str(name) not in self.names:
            listed = ", ".join(self.names) or "none"
            raise BadSpec(f"no size is called {name}", cure=f"there is {listed}")
        return self.names.index(str(name))

    # members

    @property
    def shown(self) -> tuple[str, ...]:
        """The names that a member lists: all but the batch."""
        return tuple(n for n in self.names if n not in self.batch) or self.names

    @cached_property
    def _view(self) -> InputSet:
        """The set over the shown names."""
        return self.axis(*self.shown)

    @property
    @question
    def visible(self) -> islpy.Set:
        """The isl set over the shown names."""
        return self._view._set

    @property
    @question
    def bounded(self) -> bool:
        """Whether there is an end to the members."""
        return not self or all(side.is_bounded() for side in self._view._sides)

    @cached_property
    @question
    def fixed(self) -> dict[str, int]:
        """The sizes that are the same in all members, of those that nothing ties to others."""
        found = {}
        for side in self._sides:
            if len(side.names) == 1 and not side.is_empty():
                least, most = side.ends()
                if least == most:
                    found[side.names[0]] = least
        return found

    @question
    def __contains__(self, member: object) -> bool:
        names = self.shown
        if isinstance(member, Mapping):
            sizes = {str(k): v for k, v in member.items()}
            if not {*names} <= {*sizes} <= {*self.names} | self.optional:
                raise BadSpec(f"a member gives {', '.join(names)}, not {', '.join(sizes)}")
            names, member = (*sizes,), (*sizes.values(),)
        several = isinstance(member, Sequence) or getattr(member, "ndim", 0) > 0  # or an array
        values = tuple(cast("Sequence[Any]", member)) if several else (member,)
        if not all(hasattr(v, "__index__") and not getattr(v, "ndim", 0) for v in values):
            raise BadSpec(f"{member!r} is not a tuple of whole numbers")
        names = names if len(values) == len(names) else self.names
        if len(values) != len(names):
            cure = f"a member lists {', '.join(self.shown)}"
            raise BadSpec(f"{member!r} has {len(values)} sizes", cure=cure)
        at = dict(zip(names, map(int, values), strict=True))
        found = self.has(at)
        for paths in self.paths:
            found = paths.answer(at, found)
        return found

    @question
    def has(self, at: Mapping[str, int]) -> bool:
        """Whether sizes by name are a member, as far as the set knows; for those that make sets.

        Args:
            at: sizes in pixels by name; some size will do for a name that is left out, and every
                positive size of a name that the set does not speak of.

        Returns:
            What the set says, also of sizes that no followed path of a network takes (`in` asks
            the network there).

        Raises:
            Undecidable: if it takes too many steps.

        >>> s = input_set("HW", [Condition(Size.symbol("H"), "==", 2 * Size.symbol("W"))])
        >>> s.has({"H": 6}), s.has({"H": 6, "W": 3, "N": 1}), s.has({"H": 7})
        (True, True, False)
        """
        known = tuple(n for n in self.names if n in at)
        inside = self._view if known == self.shown else self.axis(*known)
        free = (size for name, size in at.items() if name not in self.names)  # any of them will do
        return all(size >= 1 for size in free) and all(at in side for side in inside._sides)

    @cached_property
    def _axes(self) -> tuple[Region, ...]:
        """The regions of two or more shown axes that nothing ties together; else none."""
        alone = {side.names[0]: side for side in self._view._sides if len(side.names) == 1}
        if len(alone) < max(2, len(self.shown)):
            return ()
        return tuple(alone[n] for n in self.shown)

    def _best(
        self, best: Callable[[Region, Sequence[int]], Point], target: Sequence[int] = ()
    ) -> Member:
        """The best member, axis by axis where nothing ties them together."""
        if not self:
            raise NoSolution("the set is empty")
        if self._axes or not self.names:  # where nothing is open the one member has no sizes
            return tuple(best(axis, target[i : i + 1])[0] for i, axis in enumerate(self._axes))
        member = best(self._view._whole, target)
        return member[0] if len(member) == 1 else member

    @question
    def smallest(self) -> Member:
        """The member that fits into the smallest square (then the least sum, then the order).

        Returns:
            Its sizes in pixels, in the order of `shown`; an int where there is one.

        Raises:
            NoSolution: for an empty set.
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> input_set(["H", "W"], [Condition(H * W, ">=", 30)]).smallest()
        (5, 6)
        """
        return self._best(lambda region, _: order.smallest(region))

    @question
    def largest(self) -> Member:
        """The member that holds the largest square (then the greatest sum).

        Returns:
            Its sizes in pixels, in the order of `shown`; an int where there is one.

        Raises:
            NoSolution: for an empty set, or one without end.
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> input_set(["H", "W"], [Condition(30, ">=", H * W)]).largest()
        (6, 5)
        """
        if not self.bounded:
            raise NoSolution(f"there is no largest: {self} goes on without end")
        return self._best(lambda region, _: order.largest(region))

    @question
    def nearest(self, *sizes: int) -> Member:
        """The member whose sizes differ least: the largest difference, then the sum of all.

        Of two that are equally near, the larger.

        Args:
            sizes: in pixels, one for each of `shown`; they need not be positive.

        Returns:
            The sizes of the member, in the same order; an int where there is one.

        Raises:
            BadSpec: for another number of sizes, or what is no whole number.
            NoSolution: for an empty set.
            Undecidable: if it takes too many steps.

        >>> H = Size.symbol("H")
        >>> input_set(["H"], [Condition(H % 32, "==", 0)]).nearest(240)
        256
        """
        return self._best(order.nearest, self._target(sizes))

    def _target(self, sizes: Sequence[Any]) -> tuple[int, ...]:
        """Sizes given by a caller, one per shown name."""
        if len(sizes) != len(self.shown) or not all(hasattr(v, "__index__") for v in sizes):
            raise BadSpec(f"nearest{sizes} needs one size for each of {', '.join(self.shown)}")
        return tuple(int(v.__index__()) for v in sizes)

    @question
    def count(self) -> int | None:
        """How many members there are; None if there is no end to them.

        Returns:
            A number of sizes, or of tuples of sizes; the batch is not counted.

        Raises:
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> s = input_set(["H", "W"], [Condition(4, ">=", H * W)])
        >>> s.count(), s.complement().count()
        (8, None)
        """
        if not self.bounded:
            return None
        if not self.names:
            return int(bool(self))
        if len(self.shown) == 1:
            return sum(run.count or 0 for run in self.runs())
        total = 0
        for box in self.boxes():
            if box is None:
                break
            total += prod(sum(run.count or 0 for run in runs) for runs in box)
        else:
            return total
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Any]:
        """Members in the order of `smallest`: by the square they fit into, then by sum."""
        if len(self.shown) == 1:
            yield from merge(*self.runs())
            return
        if not self.names:
            yield from [()] * bool(self)
            return
        for side in InputSet(["side"], order.squares(self._view._whole)):
            yield from order.on_shell(self._view._whole, side)

    @question
    def runs(self) -> list[Run]:
        """A one-dimensional set as arithmetic runs, in order; they do not overlap.

        Returns:
            Each with its first and last size in pixels and the step between its sizes.

        Raises:
            BadSpec: for several dimensions.
            Undecidable: for a set that repeats after very many sizes only.

        >>> H = Size.symbol("H")
        >>> runs = input_set(["H"], [Condition(H % 8, "==", 0), Condition(64, ">=", H)]).runs()
        >>> [list(run) for run in runs]
        [[8, 16, 24, 32, 40, 48, 56, 64]]
        """
        if len(self.shown) != 1:
            raise BadSpec("runs() is for one axis", cure="s.axis('H').runs()")
        return self._view._whole.runs

    def boxes(self) -> Iterator[list[list[Run]] | None]:
        """The set as disjoint products of one-dimensional sets; None for a part that is none.

        Returns:
            For each part the runs of each of `shown`, in that order.

        Raises:
            Undecidable: if it takes too many steps.

        >>> H, W = Size.symbol("H"), Size.symbol("W")
        >>> s = input_set(["H", "W"], [Condition(8, ">=", H), Condition(W, "==", 4)])
        >>> [[list(run) for runs in box for run in runs] for box in s.boxes() if box]
        [[[1, 2, 3, 4, 5, 6, 7, 8], [4]]]
        """
        if self._axes:
            yield [axis.runs for axis in self._axes]
        else:
            for part in products(self._view._whole):
                yield [axis.runs for axis in factors(part)] or None

    # text

    def __str__(self) -> str:
        return ", ".join([self.words(), *(f"holds {paths.scope}" for paths in self.paths)])

    def words(self) -> str:
        """The members in words.

        Returns:
            What `str` says, but not which paths were followed; the batch where not every number
            will do, at all or with each member. What takes too many steps is said as it is kept.

        >>> H = Size.symbol("H")
        >>> input_set(["H"], [Condition(H % 32, "==", 0)]).words()
        'H % 32 == 0 and H >= 32'
        """
        try:
            return self._in_few_words()
        except Undecidable:  # a set that takes too many steps to shorten is said as it is
            return as_it_is((side.names, side.cases) for side in self._sides)

    @question
    def _in_few_words(self) -> str:
        if not self.names:
            return "every input" if self else "no input"
        if not self:
            return nowhere(self.shown)
        bound = {n for n in self.batch & {*self.names} if self.axis(n) != input_set((n,), ())}
        if bound:  # not every number will do: a text must name them
            return str(InputSet(self.names, self._sides, batch=self.batch - bound, at=self.at))
        some = f", for some {' and '.join(sorted(self.batch))}" if self._ties_batch else ""
        return in_few_words(self.shown, self._view._sides) + some

    @cached_property
    def _ties_batch(self) -> bool:
        """Whether not every number of the batch goes with each member."""
        return bool(self.batch) and not self._view <= self

    def __repr__(self) -> str:
        return f"{self}\n  {self.note}" if self.note else str(self)

    @question
    def describe(self) -> str:
        """In plain words, the batch included.

        Returns:
            As `words`, but every number of the batch is spoken of too.

        Raises:
            Undecidable: if it takes too many steps.

        >>> H, N = Size.symbol("H"), Size.symbol("N")
        >>> s = input_set(["N", "H"], [Condition(H, ">=", 3)], batch=["N"])
        >>> s.words(), s.describe()
        ('H >= 3', 'N >= 1 and H >= 3')
        """
        return str(InputSet(self.names, self._sides))

    @question
    def as_sympy(self) -> Boolean:
        """The set as a sympy condition on the size symbols.

        >>> H = Size.symbol("H")
        >>> input_set(["H"], [Condition(H % 16, "==", 0)]).as_sympy()
        (H >= 16) & Eq(Mod(H, 16), 0)
        """
        told = self if self._ties_batch else self._view
        return as_boolean((side.names, side.cases) for side in told._sides)

    def _formula_(self) -> Any:
        """A condition where that is short, else words."""
        try:
            condition = self.as_sympy()
        except SymcnnError:
            return str(self)
        return condition if condition.count_ops() <= _SHORT else str(self)

    def _repr_html_(self) -> str:
        told = [*([self.note] if self.note else []), *(f"holds {p.scope}" for p in self.paths)]
        return block(math(self), *map(prose, told))

    def _repr_latex_(self) -> str:
        import sympy

        return f"$\\displaystyle {sympy.latex(self.as_sympy())}$"


@question
def input_set(
    names: Sequence[str],
    requirements: Iterable[Requirement],
    *,
    batch: Iterable[str] = (),
    at: str = "",
) -> InputSet:
    """All positive sizes of the symbols `names` at which every requirement holds.

    Raises Undecidable for a condition that no law makes decidable, or that takes too many steps.
    """
    requirements = tuple(requirements)
    for name, low in sz.lows(*(side for r in requirements for side in subexpressions(r))):
        if low != 1 and name in names:
            raise Undecidable(
                f"{name} may be 0 or less, and sets are of positive sizes",
                cure=f'declare it positive: symcnn.symbols("{name}"), or give it a number',
            )
    return InputSet(names, region(tuple(names), requirements), batch=batch, at=at)


def always(
    requirement: Requirement, names: Sequence[str], given: Iterable[Requirement] = ()
) -> bool:
    """Whether `requirement` holds for all positive sizes that meet `given`: decided, not tried."""
    return input_set(names, given) <= input_set(names, [requirement])
