"""Budgets: the inputs whose cost stays within a bound.

A cost is a sum of products of sizes, and sizes grow with the input: so what fits into a budget
is *down-closed*. Smaller than a member is a member, and the set is all that lies below its
frontier of maximal sizes. "At least" is the complement of such a set. Where the valid sizes of the
axes are independent of each other (every part of the domain a box), the smallest, largest and
nearest members are found by bisection along the axes: exact, and in a time that grows with the
logarithm of the bound. The frontier itself, and what needs all of it (set algebra, one axis, "at
least"), takes a step per corner.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial, reduce
from itertools import chain, combinations
from math import gcd, lcm, prod
from operator import or_
from typing import TYPE_CHECKING, Any, TypeVar

from symcnn.algebra import size as sz
from symcnn.algebra.factor import factors
from symcnn.algebra.size import Int, Size, evaluate, symbols_of
from symcnn.errors import BadSpec, NoSolution, Undecidable
from symcnn.lazy import cached_property
from symcnn.progress import watched
from symcnn.questions.inputs.boxes import Axis, Box, Point, distance, endless, last_fitting
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.implicit import ImplicitSet
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.isl import allowed, isl, question, too_much
from symcnn.sets.member import Member, as_tuple
from symcnn.sets.order import on_shell, squares
from symcnn.sets.region import Region
from symcnn.sets.runs import Run
from symcnn.shown import Shown

if TYPE_CHECKING:
    from sympy.logic.boolalg import Boolean

T = TypeVar("T")

#: How often a set is split into products.
_SPLITS = 8


@dataclass(frozen=True)
class Budget(Shown):
    """``sum(coefficient * product of factors) <= limit``, every factor growing with the sizes."""

    what: str
    terms: tuple[tuple[Int, tuple[Size, ...]], ...]
    limit: int
    per: int = 1  # what the sum is divided by: on the domain nothing is left over

    def cost(self, sizes: Mapping[str, int]) -> int:
        """The cost at `sizes`."""
        total = sum(
            evaluate(coefficient, sizes)
            * prod(max(0, part.at(sizes)) for part in parts)  # below 0 only outside the domain
            for coefficient, parts in self.terms
        )
        return total // self.per

    @property
    def expr(self) -> Int:
        """The cost as one expression."""
        total: Any = sum((c * sz.prod(parts) for c, parts in self.terms), 0)
        cost: Int = total if self.per == 1 else total * Fraction(1, self.per)
        return cost

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes that the cost depends on."""
        return symbols_of(*(part for _, parts in self.terms for part in parts))

    def given(self, sizes: Mapping[str, int]) -> Budget:
        """The same with some sizes put in."""
        put = (
            (c * prod(p for p in parts if isinstance(p, int)), parts)
            for c, parts in ((c, [p.subs(sizes) for p in parts]) for c, parts in self.terms)
        )
        terms = ((c, tuple(p for p in parts if isinstance(p, Size))) for c, parts in put)
        return Budget(self.what, tuple(terms), self.limit, self.per)

    def __str__(self) -> str:
        return f"{self.what} <= {self.limit:,}"


def budget(
    what: str, costs: Iterable[Int], limit: int, domain: InputSet, given: Mapping[str, Int]
) -> Budget:
    """The budget `limit` on the sum of `costs`, for the sizes in `domain`; `given` are fixed, and
    so are those of which the domain leaves one.

    Raises Undecidable for a cost that is not known to grow with every size.
    """
    terms: dict[tuple[Size, ...], Int] = {}
    given = {**domain.fixed, **given}
    costs = [cost.subs(given) if isinstance(cost, Size) else cost for cost in costs]
    coefficients = [c for cost in costs if isinstance(cost, Size) for c in cost.terms.values()]
    per = lcm(*(c.denominator for c in coefficients if isinstance(c, (int, Fraction))))
    for cost in costs:
        cost *= per
        parts: tuple[Size, ...] = ()
        content: Int = cost
        if isinstance(cost, Size):
            try:
                parts, content = _factored(cost)
            except ValueError:
                raise Undecidable(f"the {what} {cost} are not a polynomial in the sizes") from None
        terms[parts] = terms.get(parts, 0) + content
    for part in dict.fromkeys(part for parts in terms for part in parts):
        if not _grows(part, domain):
            raise Undecidable(
                f"the {what} hold the factor {part}, which does not grow with the size",
                cure="ask for the cost at single sizes",
            )
    if any(isinstance(c, int) and c < 0 for c in terms.values()):
        raise Undecidable(f"the {what} do not grow with the size")
    return Budget(what, tuple((c, parts) for parts, c in terms.items()), limit, per)


def _factored(cost: Size) -> tuple[tuple[Size, ...], int]:
    """Factors and content; what differs only in the content is factored once."""
    if all(isinstance(c, int) for c in cost.terms.values()):
        content = gcd(*(int(c) for c in cost.terms.values()))
        parts, more = factors(Size({m: c // content for m, c in cost.terms.items()}))
        return parts, content * more
    return factors(cost)


def _grows(part: Size, domain: InputSet) -> bool:
    """Whether `part` is nowhere negative in `domain` and never falls as a size grows."""
    if _plainly_grows(part):
        low = sz.lower(part)
        if low is not None and low >= 0:
            return True
        return domain <= input_set(domain.names, [Condition(part, ">=", 0)])
    if _grows_with_its_floors(part, domain):
        return True
    try:
        if not domain <= input_set(domain.names, [Condition(part, ">=", 0)]):
            return False
        for name in symbols_of(part):
            step = part.subs({name: Size.symbol(name) + 1}) - part
            if not input_set(domain.names, []) <= input_set(
                domain.names, [Condition(step, ">=", 0)]
            ):
                return False
    except Undecidable:
        return False
    return True


def _grows_with_its_floors(part: Size, domain: InputSet) -> bool:
    """The same of a polynomial in floors that grow, each counted from the least that it is: in what
    they are beyond that, no coefficient is negative.
    """
    least: dict[str, int] = {}
    for name in symbols_of(part):
        if name not in domain.names:
            return False
        least[name] = min(run.first for run in domain.axis(name).runs())
    atoms = dict.fromkeys(atom for mono in part.terms for atom, _ in mono)
    if not all(map(_atom_grows, atoms)) or any(p < 0 for mono in part.terms for _, p in mono):
        return False
    beyond = {
        atom: sz.Symbol(f"beyond {k}", low=0).size() + evaluate(atom.size(), least)
        for k, atom in enumerate(atoms)
    }
    moved: Any = 0
    for mono, c in part.terms.items():
        moved += c * prod(beyond[atom] ** p for atom, p in mono)
    return isinstance(moved, Size) and not any(c < 0 for c in moved.terms.values())


def _plainly_grows(expr: Int) -> bool:
    if isinstance(expr, int):
        return True
    return all(
        not mono or (c > 0 and all(p > 0 and _atom_grows(atom) for atom, p in mono))
        for mono, c in expr.terms.items()
    )


def _atom_grows(atom: sz.Atom) -> bool:
    if isinstance(atom, sz.Floor):
        return isinstance(atom.den, int) and _plainly_grows(atom.num)
    positive = atom.low is not None and atom.low >= 0
    return positive and all(map(_plainly_grows, atom.args))


#: Budgets that are to be broken together: a member is not within all of them.
Floor = tuple[Budget, ...]


def within(base: InputSet, budgets: Sequence[Budget], floors: Sequence[Floor] = ()) -> InputSet:
    """The members of `base` that keep within all `budgets`, and not within all of any of `floors`.

    A plain set where the members form a chain (one axis, squares, a fixed aspect): there a
    budget is one bound, found by bisection. The budgets speak of shown names only.
    """
    nothing = base.where(Condition(-1, ">=", 0))
    if any(not b.symbols and b.cost({}) > b.limit for b in budgets):
        return nothing
    budgets = tuple(b for b in budgets if b.symbols)
    floors = [f for f in floors if all(b.symbols or b.cost({}) <= b.limit for b in f)]
    floors = [tuple(b for b in f if b.symbols) for f in floors]
    if () in floors:
        return nothing
    if not base or not (budgets or floors):
        return base
    names = base.shown
    if not _is_chain(base):
        runs = [Axis(tuple(base.axis(n).runs())) for n in names]
        least = [min(r.first for r in axis.runs) for axis in runs]
        floors = [f for f in floors if _fits(f, names, least)]  # even the smallest sizes break it
        ends = [e for axis in runs if (e := axis.last) is not None]
        if len(ends) == len(names):
            if any(_fits(f, names, ends) for f in floors):
                return nothing
            if _fits(budgets, names, ends):
                budgets = ()  # even the largest sizes fit
        return BudgetedSet(base, budgets, tuple(floors)) if budgets or floors else base

    total: Int = sum((Size.symbol(n) for n in names), 0)
    found = base
    if budgets:
        top = _reach(base, budgets)
        found = found if top is None else found.where(Condition(top, ">=", total))
    for one in floors:
        top = _reach(base, one)
        found = nothing if top is None else found.where(Condition(total, ">=", top + 1))
    return found


def _reach(base: InputSet, budgets: Sequence[Budget]) -> int | None:
    """Of a chain that is not empty: up to which sum of sizes members fit; None: without an end."""
    names = base.shown
    total: Int = sum((Size.symbol(n) for n in names), 0)

    def fits(bound: int) -> bool:
        part = base.where(Condition(bound, ">=", total))
        return not part or _fits(budgets, names, as_tuple(part.largest()))

    end = None if not base.bounded else sum(as_tuple(base.largest()))
    if end is not None and fits(end):
        return None
    low = sum(as_tuple(base.smallest()))
    if not fits(low):
        return low - 1
    return last_fitting(low, fits)


def _fits(budgets: Sequence[Budget], names: Sequence[str], point: Sequence[int]) -> bool:
    sizes = dict(zip(names, point, strict=True))
    return all(b.cost(sizes) <= b.limit for b in budgets)


@question
def _is_chain(base: InputSet) -> bool:
    """Whether of two members one is at least as large along every axis."""
    return not any(_crosses(base.axis(*pair)) for pair in combinations(base.shown, 2))


def _crosses(plane: InputSet) -> bool:
    """Whether of two members, over two sizes, each has the greater one of its own."""
    pairs = plane.visible.flat_product(plane.visible)
    crossing = isl().Set("{ [a, b, c, d] : a < c and b > d }")
    return not pairs.intersect(crossing).is_empty()


def _products(base: InputSet, splits: int) -> list[list[list[Run]]] | None:
    """A set as disjoint products of the sizes of each axis; None if it is none in so many splits.

    What is no product is its least size along an axis, and the others: ``D + H + W >= 4``, where a
    norm wants more than one place.
    """
    found = [*base.boxes()]
    boxes = [box for box in found if box is not None]
    if len(boxes) == len(found):
        return boxes
    for name in base.shown if splits else ():
        size, (least,) = Size.symbol(name), as_tuple(base.axis(name).smallest())
        if others := base.where(Condition(size, ">=", least + 1)):
            one = _products(base.where(Condition(size, "==", least)), splits - 1)
            rest = one and _products(others, splits - 1)
            return one and rest and [*one, *rest]
    return None


def _steps(hull: tuple[Axis, ...], fits: Callable[[Sequence[int]], bool], *, below: bool) -> str:
    """What lies below (or beyond) a frontier over two axes, as isl text: a strip per corner."""
    corners = _walked(Box(hull, fits).corners())
    last, strips = 0, []
    for x, y in sorted(corners, key=lambda c: (c[0] is None, c[0])):
        rows = f"x0 >= {last + 1}" if x is None else f"{last + 1} <= x0 <= {x}"
        if below:
            strips.append(rows + (" and x1 >= 1" if y is None else f" and 1 <= x1 <= {y}"))
        elif y is not None:
            strips.append(f"{rows} and x1 >= {y + 1}")
        if x is None:
            break
        last = x
    else:
        if not below:
            strips.append(f"x0 >= {last + 1} and x1 >= 1")
    return f"{{ [x0, x1] : {' or '.join(strips) or 'false'} }}"


@question
def _read(text: str) -> Any:
    return isl().Set(text)


def _hull(runs: Sequence[Run]) -> Run:
    """All sizes from the first to the last."""
    lasts = [r.last for r in runs]
    last = None if None in lasts else max(x for x in lasts if x is not None)
    return Run(min(r.first for r in runs), last)


def _walked(corners: Iterable[T]) -> Iterator[T]:
    """The corners of a frontier. A corner is found in some hundreds of steps."""
    most = allowed() // 500
    for count, corner in enumerate(watched(corners, "walking along the frontier")):
        if count >= most:
            raise too_much(f"a frontier of more than {most:,} corners")
        yield corner


def _bounded(box: Box) -> Iterator[Point]:
    """The corners of a box. Raises NoSolution for one without a bound."""
    for x, y in box.corners():
        if x is None or y is None:
            raise endless()
        yield x, y


class BudgetedSet(ImplicitSet):
    """The members of a set that keep within budgets that grow with every size, and (`floors`)
    those that break others.

    Membership, `smallest`, `largest`, `nearest` and `count` need no list of members. `frontier`
    gives the maximal sizes: every member is at most one of them along every axis.
    """

    def __init__(
        self, base: InputSet, budgets: tuple[Budget, ...], floors: tuple[Floor, ...] = ()
    ) -> None:
        self.base = base
        self.budgets = budgets
        self.floors = floors
        super().__init__(base)

    @property
    def _parts(self) -> tuple[InputSet, tuple[Budget, ...], tuple[Floor, ...]]:
        return self.base, self.budgets, self.floors

    @cached_property
    def _explicit(self) -> tuple[Region, ...]:
        """Corner by corner."""
        names = self.shown
        if len(names) != 2:
            raise Undecidable(
                f"{', '.join(names)}: set algebra with a budget on more than two axes",
                cure="give one of them a number",
            )
        hull = tuple(Axis((_hull(self.base.axis(n).runs()),)) for n in names)
        regions = [_steps(hull, self._fits_budgets, below=True)] if self.budgets else []
        regions += [_steps(hull, partial(_fits, f, names), below=False) for f in self.floors]
        found = self.base
        for region in regions:
            found = found & InputSet(names, _read(region), batch=self.optional)
        return found._sides

    def _fits_budgets(self, point: Sequence[int]) -> bool:
        return _fits(self.budgets, self.shown, point)

    def _fits(self, point: Sequence[int]) -> bool:
        """Whether a member of the base belongs."""
        return self._fits_budgets(point) and not any(
            _fits(floor, self.shown, point) for floor in self.floors
        )

    @cached_property
    def _boxed(self) -> list[Box] | None:
        """The base as boxes; None if the axes depend on each other, or there are floors."""
        found = None if self.floors else _products(self.base, _SPLITS)
        if found is None:
            return None
        return [Box(tuple(Axis(tuple(runs)) for runs in box), self._fits) for box in found]

    def _best_of(
        self, ask: Callable[[Box], Point | None], otherwise: Callable[[], Member], key: Any
    ) -> Member:
        if self._boxed is None:
            return otherwise()
        found = [p for p in map(ask, self._boxed) if p is not None]
        if not found:
            raise NoSolution("the set is empty")
        return min(found, key=key)

    # the set algebra that stays symbolic

    def where(self, *requirements: Requirement) -> InputSet:
        return within(self.base.where(*requirements), self.budgets, self.floors)

    def __and__(self, other: InputSet) -> InputSet:
        budgets, floors = self.budgets, self.floors
        if isinstance(other, BudgetedSet):
            budgets, floors = (*budgets, *other.budgets), (*floors, *other.floors)
            other = other.base
        if set(other.names) <= set(self.names):
            return within(self.base & other, budgets, floors)
        return super().__and__(other)

    __rand__ = __and__

    @question
    def axis(self, *names: str) -> InputSet:
        """See `InputSet.axis`: what fits does so beside the least sizes of the other axes."""
        others = [n for n in self.shown if n not in names]
        if len(self.shown) == 2 or not others or self._boxed is None:
            return super().axis(*names)
        found = []
        for least in (dict(zip(self.shown, box.least, strict=True)) for box in self._boxed):
            beside = {n: least[n] for n in others}
            fixed = (Condition(Size.symbol(n), "==", x) for n, x in beside.items())
            base = self.base.where(*fixed).axis(*names)
            found.append(within(base, [b.given(beside) for b in self.budgets]))
        return reduce(or_, found)

    # members

    def has(self, at: Mapping[str, int]) -> bool:
        """See `InputSet.has`."""
        if not self.base.has(at):
            return False
        if others := [n for n in at if n not in self.names and at[n] != 1]:
            raise BadSpec(f"the budget is for {others[0]}=1", cure=f"solve for it: {others[0]}=...")
        return self._fits([at[n] for n in self.shown])

    def __bool__(self) -> bool:
        if self.floors and len(self.shown) == 2:  # what lies above a member breaks the floors too
            with suppress(NoSolution, Undecidable):
                return bool(self.frontier())
        if self.floors and len(self.shown) > 2:
            with suppress(NoSolution, Undecidable):
                if self._fits(as_tuple(BudgetedSet(self.base, self.budgets).largest())):
                    return True
        if self._boxed is None:
            return super().__bool__()
        return any(self._fits(box.least) for box in self._boxed)

    def smallest(self) -> Member:
        if self.floors and (found := self._least_beyond()) is not None:
            return found
        if self.floors and len(self.shown) > 2:
            for first in self._on_shells():
                return first
        return self._best_of(
            lambda box: box.least if self._fits(box.least) else None,
            super().smallest,
            lambda p: (max(p), sum(p), p),
        )

    def _least_beyond(self) -> Point | None:
        """The smallest member with floors, where one box of two axes is all there is; else None.

        What lies above a member breaks the floors too. So no member has smaller sides than the
        first square whose largest point breaks them.
        """
        boxes = BudgetedSet(self.base, self.budgets)._boxed or []
        if len(boxes) != 1 or len(boxes[0].axes) != 2:
            return None
        rows, columns = boxes[0].axes

        def beyond(point: Sequence[int | None]) -> bool:
            here = [x for x in point if x is not None]
            return len(here) == 2 and not any(_fits(f, self.shown, here) for f in self.floors)

        def square(side: int) -> bool:
            return beyond((rows.at_most(side), columns.at_most(side)))

        inside = last_fitting(0, lambda side: not square(side))
        if inside is None:
            return None
        side = inside + 1
        corner = rows.at_most(side), columns.at_most(side)
        if None in corner or not beyond(corner) or not self._fits([x for x in corner if x]):
            return None
        high, wide = (
            bisect_left(range(side), True, key=ask)
            for ask in (
                lambda y: beyond((corner[0], columns.at_most(y))),
                lambda x: beyond((rows.at_most(x), corner[1])),
            )
        )
        found = [(corner[0], columns.at_most(high)), (rows.at_most(wide), corner[1])]
        members = [(x, y) for x, y in found if x is not None and y is not None]
        return min(members, key=lambda p: (max(p), sum(p), p))

    def largest(self) -> Member:
        if self.floors and self._fits(
            as_tuple(found := BudgetedSet(self.base, self.budgets).largest())
        ):
            return found
        return self._best_of(
            lambda box: box.largest(),
            super().largest,
            lambda p: (-min(p), -sum(p), tuple(-x for x in p)),
        )

    def nearest(self, *sizes: int) -> Member:
        target = self._target(sizes)
        return self._best_of(
            lambda box: box.nearest(target),
            lambda: super(BudgetedSet, self).nearest(*sizes),
            lambda p: distance(p, target),
        )

    @property
    def bounded(self) -> bool:
        if self.floors and len(self.shown) > 2:  # what lies above a member breaks the floors too
            return within(self.base, self.budgets).bounded
        if self._boxed is not None:  # what has an end above the least sizes has one above all
            return all(
                box.most(box.least, axis) is not None
                for box in self._boxed
                if box.fits(box.least)
                for axis in range(len(box.axes))
            )
        try:
            self.frontier()
        except NoSolution:
            return False
        return True

    def frontier(self) -> list[Point]:
        """The maximal sizes, the tallest first. A step per corner of the frontier.

        Raises NoSolution where the budget leaves an axis without a bound.
        """
        if len(self.shown) != 2:
            raise Undecidable("a frontier of more than two axes")
        if self.floors:  # what lies above a member breaks the floors too
            return [p for p in BudgetedSet(self.base, self.budgets).frontier() if self._fits(p)]
        if self._boxed is None:
            points = set(self)
        else:
            corners = chain.from_iterable(map(_bounded, self._boxed))
            points = set(_walked(corners))
        found: list[Point] = []
        for x, y in sorted(points, key=lambda p: (-p[0], -p[1])):
            if not found or y > found[-1][1]:
                found.append((x, y))
        return found

    def count(self) -> int | None:
        if self.floors:  # those within the budgets, less those that keep to a floor
            *others, floor = self.floors
            all_, low = (
                BudgetedSet(self.base, (*self.budgets, *more), tuple(others)).count()
                for more in ((), floor)
            )
            return None if all_ is None or low is None else all_ - low
        if len(self.shown) != 2:
            if not self.bounded:
                return None
            name, axis = min(
                ((n, self.axis(n)) for n in self.shown), key=lambda one: one[1].count() or 0
            )
            return sum(self.given(**{name: x}).count() or 0 for x in _walked(axis))
        if self._boxed is None:
            return super().count()
        total = 0
        try:
            for box in self._boxed:
                last = 0
                for x, y in sorted(_walked(_bounded(box))):
                    rows = box.axes[0].count(x) - box.axes[0].count(last)
                    total, last = total + rows * box.axes[1].count(y), x
        except NoSolution:
            return None
        return total

    def __iter__(self) -> Iterator[Any]:
        if len(self.shown) != 2:
            yield from self._on_shells()
            return
        if self._boxed is None:
            yield from super().__iter__()
            return
        corners = self.frontier()
        heights = [x for x, _ in reversed(corners)]
        sides = sorted(
            {
                v
                for box in self._boxed
                for axis in box.axes
                for v in axis.upto(max((max(c) for c in corners), default=0))
            }
        )
        for side in sides:
            shell: set[Point] = set()
            for box in self._boxed:
                rows, columns = box.axes
                if rows.at_least(side) == side:
                    shell.update((side, y) for y in columns.upto(side))
                if columns.at_least(side) == side:
                    shell.update((x, side) for x in rows.upto(side))
            inside = [
                p
                for p in shell
                if (i := bisect_left(heights, p[0])) < len(heights)
                and p[1] <= corners[len(heights) - 1 - i][1]
            ]
            yield from sorted(inside, key=lambda p: (sum(p), p))

    def _on_shells(self) -> Iterator[Point]:
        """Members by the cube that they fit into, up to the first that is too large for all."""
        whole = self.base._view._whole
        least = [x for n in self.shown for x in as_tuple(self.base.axis(n).smallest())]
        left = allowed() // 10
        for side in InputSet(["side"], squares(whole)):
            long = ([*least[:i], side, *least[i + 1 :]] for i in range(len(least)))
            if not any(map(self._fits_budgets, long)):
                return
            shell = on_shell(whole, side)
            left -= len(shell)
            if left < 0:
                raise too_much("going through the members")
            yield from filter(self._fits, shell)

    # text

    def words(self) -> str:
        """See `InputSet.words`."""
        return " and ".join([_bracketed(self.base.words()), *self._bounds()])

    def _bounds(self) -> Iterator[str]:
        yield from dict.fromkeys(map(str, self.budgets))  # of several moments, one bound
        for floor in self.floors:
            yield f"{floor[0].what} >= {floor[0].limit + 1:,}"

    def describe(self) -> str:
        return " and ".join([_bracketed(self.base.describe()), *self._bounds()])

    def as_sympy(self) -> Boolean:
        import sympy

        from symcnn.algebra.expr import to_sympy

        bounds = (sympy.Le(to_sympy(b.expr), b.limit) for b in self.budgets)
        beyond = (
            sympy.Or(*(sympy.Gt(to_sympy(b.expr), b.limit) for b in floor)) for floor in self.floors
        )
        return sympy.And(self.base.as_sympy(), *bounds, *beyond)


def _bracketed(words: str) -> str:
    return f"({words})" if " or " in words else words
