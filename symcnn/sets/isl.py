"""isl, with a bound on its work: Presburger sets as C values.

**A question has a budget of steps**, counted by isl itself and so the same on every machine. What
would take more raises `Undecidable` instead of running on; `steps` gives more. isl has one counter
of steps for all: the questions of several threads take turns.

**Questions that lead to one answer share a budget**: those of a trace, `shared`, so that a thousand
small questions are as bounded as a large one.

**What is remembered costs what it cost**: a shared budget pays once for an answer that was found
under an earlier one, so that no answer depends on what the process was asked before.

**A call of isl has a slice of the budget**, since python runs nothing, Ctrl-C neither, before it
returns: `breathe` stands between the calls, and begins a new slice when a good part of the last one
is taken. A slice of the budget that is given by default takes less than a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from itertools import combinations
from threading import RLock
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from symcnn.errors import Undecidable
from symcnn.interrupts import Held

if TYPE_CHECKING:
    from types import ModuleType

    import islpy

#: So many parts are simplified against each other, so many values of a size gone through.
MANY = 1024

#: So many moduli, of which none divides another, a set may have: isl's steps count what it makes
#: of more as few, and take minutes.
MODULI = 6

#: What a question may take if nothing else is said: mostly less than half a second.
STEPS = 10_000_000

#: A node that a forward makes is worth so many steps.
NODE = 40

#: The questions of one trace may take as much as so many questions.
SHARED = 4

#: The slices of a budget, and the least there is.
SLICES, SLICE = 5, 1_000_000

P = ParamSpec("P")
R = TypeVar("R")

_most: ContextVar[int] = ContextVar("steps", default=STEPS)
_asking: ContextVar[bool] = ContextVar("asking", default=False)


class Purse:
    """What is left of a budget that several questions share."""

    def __init__(self, what: str) -> None:
        self.what, self.whole = what, SHARED * _most.get()
        self.left = self.whole
        self._paid: set[Price] = set()

    def require(self) -> None:
        """Raises Undecidable if nothing is left."""
        if self.left <= 0:
            raise too_much(self.what, self.whole)

    def pay(self, price: Price, *, taken: bool = False) -> None:
        """For a remembered answer, once; `taken`: its steps are taken off, as they were made."""
        if price not in self._paid:
            self._paid.add(price)
            if not taken:
                self.left -= price.steps
                for part in price.parts:
                    self.pay(part)


class Price:
    """The steps that an answer took, apart from those of remembered answers that led to it."""

    def __init__(self) -> None:
        self.steps, self.parts = 0, list[Price]()


_purse: ContextVar[Purse | None] = ContextVar("purse", default=None)
_price: ContextVar[Price | None] = ContextVar("price", default=None)


@lru_cache(maxsize=1)
def isl() -> ModuleType:
    """isl, imported when first needed: `import symcnn` does not load it."""
    import islpy

    return islpy


@contextmanager
def steps(most: int) -> Iterator[None]:
    """Within this block a question about sets may take so many steps of isl, and the forward of a
    module make a fortieth as many nodes, and compute as many sizes, if that is more than 250,000.

    Args:
        most: how many; 10 million where nothing is said.

    Returns:
        A context manager.

    Raises:
        Undecidable: from a question that takes more, or a forward that makes more.

    >>> with steps(10**9):
    ...     pass
    """
    token = _most.set(int(most))
    try:
        yield
    finally:
        _most.reset(token)


@contextmanager
def shared(what: str) -> Iterator[Purse]:
    """Within this block, for an answer on `what`, questions share a budget; an inner block, that of
    the outer one.
    """
    with Held() as held:
        purse = _purse.get() or Purse(what)
        token = _purse.set(purse)
        try:
            with held.work():
                yield purse
        finally:
            _purse.reset(token)


class _Meter:
    """The steps of the question in force: of all threads one asks at a time."""

    def __init__(self) -> None:
        self.turn = RLock()
        self.outside = 0  # steps outside of questions; 0: no limit. The tests allow one
        self.whole = self.left = self.slice = self.limit = self.more = 0

    def start(self) -> None:
        """The whole budget anew, of what a shared one has left. Raises Undecidable if that is 0."""
        self.left, purse = _most.get(), _purse.get()
        if purse is not None:
            purse.require()
            self.left = min(self.left, purse.left)
        self.whole = self.left
        self.slice = self.more = max(self.left // SLICES, SLICE)
        self.grant(self.slice)

    def grant(self, most: int) -> None:
        """So many steps from here on, of those left; one step, which ends all, if none is left."""
        self.limit = max(min(most, self.left), 1)
        context = isl().DEFAULT_CONTEXT
        context.set_max_operations(self.limit)
        context.reset_operations()

    def settle(self) -> None:
        """What was taken is taken off, up to twice as much.

        isl tells no count, but makes no number when the count has reached the limit.
        """
        low, high = 0, self.limit.bit_length()  # the count is below 2**high
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.reached(1 << middle) else (low, middle)
        self.left -= 1 << high

    def reached(self, count: int) -> bool:
        """Whether so many steps were taken since the last grant."""
        context = isl().DEFAULT_CONTEXT
        context.set_max_operations(max(count, 1))
        try:
            isl().Val.zero(context)
        except isl().Error:
            return True
        finally:
            context.set_max_operations(self.limit)
        return False

    def stop(self) -> None:
        """Outside of questions nothing is counted."""
        purse, price = _purse.get(), _price.get()
        if purse is not None or price is not None:
            self.settle()
        if purse is not None:
            purse.left -= self.whole - self.left
        if price is not None:
            price.steps += self.whole - self.left
        isl().DEFAULT_CONTEXT.set_max_operations(self.outside)
        isl().DEFAULT_CONTEXT.reset_operations()


_meter = _Meter()
if hasattr(os, "register_at_fork"):  # the thread whose turn it was is not in the child
    os.register_at_fork(after_in_child=lambda: setattr(_meter, "turn", RLock()))


def allowed() -> int:
    """How many steps a question may take."""
    return _most.get()


def allowed_nodes() -> int:
    """How many nodes a run may make: 250,000, and more where more steps are allowed."""
    return max(_most.get(), STEPS) // NODE


def question(ask: Callable[P, R]) -> Callable[P, R]:
    """A question about sets: one that others lead to shares the budget of the first."""

    @wraps(ask)
    def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        if _asking.get():
            breathe()
            return ask(*args, **kwargs)
        with _meter.turn, Held() as held:
            _meter.start()
            token = _asking.set(True)
            try:
                with held.work():
                    return ask(*args, **kwargs)
            except isl().Error as error:
                if spent(error):
                    raise too_much() from None
                raise Undecidable(
                    f"isl fails inside: {error}", cure="give a size a number"
                ) from error
            finally:
                _meter.stop()
                _asking.reset(token)

    return answer


def priced(maxsize: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`lru_cache` of what asks questions: what it remembers costs each shared budget once what it
    cost.
    """

    def remember(ask: Callable[P, R]) -> Callable[P, R]:
        def charged(*args: P.args, **kwargs: P.kwargs) -> tuple[R, Price]:
            token = _price.set(price := Price())
            try:
                answer = ask(*args, **kwargs)
            finally:
                _price.reset(token)
            if (purse := _purse.get()) is not None:
                purse.pay(price, taken=True)
            return answer, price

        found = cast("Callable[P, tuple[R, Price]]", lru_cache(maxsize)(charged))

        @wraps(ask)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            answer, price = found(*args, **kwargs)
            if (outer := _price.get()) is not None:
                outer.parts.append(price)
            if (purse := _purse.get()) is not None:
                purse.pay(price)
            return answer

        return answer

    return remember


def once(made: Callable[P, R]) -> Callable[P, R]:
    """What is made of the same sets is made once under a shared budget, and once without any:
    forwards ask the same again and again, and isl's python package keeps 32 bytes of every set that
    a call is given, for ever.
    """

    def under(purse: Purse | None, *args: P.args, **kwargs: P.kwargs) -> R:
        return made(*args, **kwargs)

    found = cast("Callable[Concatenate[Purse | None, P], R]", lru_cache(maxsize=1024)(under))

    @wraps(made)
    def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        return found(_purse.get(), *args, **kwargs)

    return answer


def breathe() -> None:
    """Between two calls of isl: the next one has most of a slice."""
    if _asking.get() and _meter.reached(_meter.limit // 4):
        _meter.settle()
        _meter.grant(_meter.slice)


def overdraw() -> None:
    """A last slice, once in a question, to find out what took all of the budget."""
    _meter.settle()
    _meter.left, _meter.more = _meter.left + _meter.more, 0
    _meter.grant(_meter.slice)


@question
def tried(ask: Callable[[islpy.Set], R], isl_set: islpy.Set, otherwise: R, most: int = 20_000) -> R:
    """What makes words shorter is tried, with a part of what the question has left; `otherwise` if
    that ends.
    """
    _meter.settle()
    left = _meter.left
    _meter.left = part = min(most, left)  # for all calls of it: each takes a breath
    _meter.grant(_meter.slice)
    try:
        return ask(isl_set)
    except isl().Error as error:
        if not spent(error):
            raise
        return otherwise
    finally:
        _meter.settle()
        _meter.left += left - part
        _meter.grant(_meter.slice)


def spent(error: Exception) -> bool:
    """Whether an error of isl comes from a budget that is spent; its parser names a syntax error
    then.
    """
    if "maximal number of operations" in str(error):
        return True
    try:
        isl().Set("{ [x] : x >= 1 }").is_empty()
    except isl().Error:
        return True
    return False


def too_much(what: str = "this set", most: int | None = None) -> Undecidable:
    """The budget is spent: on what, and what to do."""
    return Undecidable(
        f"{what}: the answer takes more than {most or _most.get():,} steps",
        cure="give a size a number or a range (N=1, H=224), or allow more steps: "
        f"with symcnn.steps({_most.get() * 100}): ...",
    )


@lru_cache(maxsize=1024)
def parsed(text: str) -> islpy.Set:
    """The isl set of a text. What is required of H mostly is of W too: the text is the same."""
    breathe()
    found: islpy.Set = isl().Set(text)
    return coalesced(found)


@lru_cache(maxsize=1024)
def mapping(text: str) -> islpy.Map:
    """The isl map of a text. What is optimised mostly is a size, or a gap, as of other sets."""
    found: islpy.Map = isl().Map(text)
    return found


def empty(dims: int) -> islpy.Set:
    """The empty set of so many dimensions."""
    found: islpy.Set = isl().Set(f"{{ [{', '.join(f'x{i}' for i in range(dims))}] : false }}")
    return found


def parts(isl_set: islpy.Set) -> list[islpy.Set]:
    """The set as disjoint basic sets."""
    basics = nonempty(coalesced(isl_set))
    breathe()
    if len(basics) < 2 or _apart(basics):
        return basics
    try:
        disjoint = isl_set.make_disjoint()
    except isl().Error as error:  # as rarely as coalescing; set after set is another way there
        if spent(error):
            raise
        disjoint = basics[0]
        for basic in basics[1:]:
            disjoint = disjoint.union(without(basic, disjoint))
    return nonempty(coalesced(disjoint))


def _apart(basics: Sequence[Any]) -> bool:
    """Whether the least boxes around the sets do not meet: then neither do the sets."""
    axes = range(basics[0].dim(isl().dim_type.set))
    boxes = [[ends(basic, axis) for axis in axes] for basic in basics]
    return all(
        any(
            (b is not None and b < c) or (d is not None and d < a)
            for (a, b), (c, d) in zip(one, other, strict=True)
        )
        for one, other in combinations(boxes, 2)
    )


def nonempty(isl_set: islpy.Set) -> list[islpy.Set]:
    """The basic sets, each as a set, without empty ones; a floor that isl has not made out yet may
    be several.
    """
    breathe()
    basics = isl_set.compute_divs().get_basic_sets()
    return [isl().Set.from_basic_set(b) for b in basics if not b.is_empty()]


def require_few_moduli(isl_set: islpy.Set) -> None:
    """Raises Undecidable for sizes of one axis with too many congruences that are unlike."""
    div, one = isl().dim_type.div, isl_set.dim(isl().dim_type.set) == 1
    for part in isl_set.get_basic_sets() if one else ():
        if part.dim(div) > MODULI:
            known = isl().Set.from_basic_set(part).compute_divs()  # a projection leaves some open
            for basic in known.get_basic_sets():
                floors = map(basic.get_div, range(basic.dim(div)))
                require_few({integer(f.get_denominator_val()) for f in floors})


def require_few(moduli: Collection[int], limit: int = MODULI) -> None:
    """Raises Undecidable for too many moduli, of a size, that are unlike."""
    unlike = [m for m in moduli if not any(o % m == 0 for o in moduli if o > m)]
    if len(unlike) > limit:
        named = ", ".join(map(str, sorted(unlike)[: 2 * MODULI]))
        more = ", ..." if len(unlike) > 2 * MODULI else ""
        raise Undecidable(
            f"remainders by {named}{more} at once are more than {limit} different ones of a size",
            cure='give the size a number where the shape is said: "N 3 224 W"',
        )


def coalesced(isl_set: islpy.Set) -> islpy.Set:
    """The same set in fewer parts, where isl manages: its coalescing fails on rare sets, and takes
    more than a slice for some of many parts.
    """
    breathe()
    if isl_set.n_basic_set() > MANY:  # every pair of parts is compared
        return isl_set
    try:
        return isl_set.coalesce()
    except isl().Error as error:
        if spent(error):
            if not _asking.get():
                raise
            _meter.settle()
            _meter.grant(_meter.slice)
        return isl_set


def without(isl_set: islpy.Set, other: islpy.Set) -> islpy.Set:
    """What is in the first set only, taken off part by part, as isl does: a breath for each."""
    for part in other.get_basic_sets():
        breathe()
        isl_set = isl_set.subtract(isl().Set.from_basic_set(part))
    return isl_set


def is_subset(isl_set: islpy.Set, other: islpy.Set) -> bool:
    """Whether the first is a subset of the second, asked part by part."""
    if isl_set.n_basic_set() == 1 == other.n_basic_set():
        breathe()
        return bool(isl_set.is_subset(other))
    return all(
        without(isl().Set.from_basic_set(p), other).is_empty() for p in isl_set.get_basic_sets()
    )


def is_product(isl_set: islpy.Set) -> bool:
    """Whether the set is the product of its projections on the axes."""
    n = isl_set.dim(isl().dim_type.set)
    if n < 2:
        return True
    if isl_set.is_empty():
        return True
    if not _crossed(isl_set, n):
        return False
    box: islpy.Set | None = None
    for i in range(n):
        side = isl_set
        if i + 1 < n:
            side = side.project_out(isl().dim_type.set, i + 1, n - i - 1)
        if i:
            side = side.project_out(isl().dim_type.set, 0, i)
        box = side if box is None else box.flat_product(side)
    return box is not None and isl_set.is_equal(box)


def stripes(isl_set: islpy.Set, most: int = 4) -> list[islpy.Set]:
    """The set as a few disjoint products: the values of one size with which all values of the
    others go, and the rest in the same way; the set alone if it is not of that kind.
    """
    names = [f"x{i}" for i in range(isl_set.dim(isl().dim_type.set))]
    found: list[islpy.Set] = []
    left = isl_set
    while not is_product(left):
        stripe = next((s for name in names if (s := _stripe(left, name, names)) is not None), None)
        if stripe is None or len(found) == most:
            return [isl_set]
        found.append(stripe)
        left = coalesced(without(left, stripe))
    return [*found, left]


def _stripe(isl_set: islpy.Set, name: str, names: Sequence[str]) -> islpy.Set | None:
    """Some values of one size, not all, times all values of the others."""
    breathe()
    others = [other for other in names if other != name]
    line, rest = ordered(isl_set, names, [name]), ordered(isl_set, names, others)
    hull = ordered(line.flat_product(rest), [name, *others], names)
    full = without(line, ordered(without(hull, isl_set), names, [name]))
    if full.is_empty() or full.is_equal(line):
        return None
    return coalesced(ordered(full.flat_product(rest), [name, *others], names))


def _crossed(isl_set: islpy.Set, n: int) -> bool:
    """Whether of some members, at the ends and within, each has, with the first size of another, a
    place in the set: most sets that are no products fail already here.
    """
    inside = ", ".join(f"x{i}" for i in range(n))
    found = [b.sample_point() for b in isl_set.get_basic_sets()[:8] if not b.is_empty()]
    for axis in range(n):
        for end in ends(isl_set, axis):
            if end is not None:
                edge = isl().Set(f"{{ [{inside}] : x{axis} = {end} }}")
                found.append(isl_set.intersect(edge).sample_point())
    members = set(map(coordinates, found))
    return all(
        not isl_set.intersect(
            isl().Set(f"{{ [{', '.join(map(str, [one[0], *other[1:]]))}] }}")
        ).is_empty()
        for one in members
        for other in members
    )


def ordered(isl_set: islpy.Set, have: Sequence[str], names: Sequence[str]) -> islpy.Set:
    """The isl set of the axes called `have`, projected on `names`, in their order."""
    if [*have] == [*names]:
        return isl_set
    dims = {n: f"x{i}" for i, n in enumerate(have)}
    source, target = ", ".join(dims.values()), ", ".join(dims[n] for n in names)
    breathe()
    return isl_set.apply(mapping(f"{{ [{source}] -> [{target}] }}"))


def ends(isl_set: islpy.Set, axis: int) -> tuple[int, int | None]:
    """The least and the greatest value along an axis of a set that is not empty; None: no end."""
    breathe()
    low, high = isl_set.dim_min_val(axis), isl_set.dim_max_val(axis)
    return integer(low), None if high.is_infty() else integer(high)


def integer(value: islpy.Val) -> int:
    """A whole number of isl as one of python."""
    return int(value.to_python())


def coordinates(point: islpy.Point) -> tuple[int, ...]:
    """Where a point lies, along each axis."""
    dim = isl().dim_type.set
    axes = range(point.get_space().dim(dim))
    return tuple(integer(point.get_coordinate_val(dim, i)) for i in axes)


def points(isl_set: islpy.Set) -> list[tuple[int, ...]]:
    """The members of a set that has an end."""
    found: list[islpy.Point] = []
    isl_set.foreach_point(found.append)  # a call of python's there would swallow Ctrl-C
    return [*map(coordinates, found)]


def optimum(
    isl_set: islpy.Set,
    dims: Sequence[str],
    costs: Sequence[Sequence[str]],
    terms: Sequence[str],
    sign: int = 1,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the isl terms come to at the member for which they are least, one after the other, and
    after them its coordinates, of which it has the greatest where the sign is -1; and the member.

    *The least of a maximum is linear*: each cost is a dimension c0, c1, ... of its own, at least
    as large as its terms, and nothing is cut into the cases of which is the largest. Each term is
    optimised alone, part by part, and then fixed: isl's own lexmin of several terms fails on some
    sets with strides (``affine expression involves some of the domain dimensions``), and its
    minimum of a set with an empty part is wrong.
    """
    inside = ", ".join([*dims, *(f"c{i}" for i in range(len(costs)))])
    bounds = [f"c{i} >= {term}" for i, cost in enumerate(costs) for term in cost]
    lift = mapping(f"{{ [{', '.join(dims)}] -> [{inside}] : {' and '.join(bounds)} }}")
    left = isl_set.apply(lift)
    values: list[int] = []
    fixed = ""
    coordinates = dims if sign == 1 else [f"-{x}" for x in dims]
    for term in (*terms, *coordinates):
        if fixed:
            left = left.intersect(isl().Set(f"{{ [{inside}] : {fixed} = {values[-1]} }}"))
        image = left.apply(mapping(f"{{ [{inside}] -> [{term}] }}"))
        values.append(min(integer(part.dim_min_val(0)) for part in nonempty(image)))
        fixed = term
    return tuple(values), tuple(sign * value for value in values[-len(dims) :])


def fold(function: str, terms: Sequence[str]) -> str:
    """``max(max(a, b), c)``: isl takes two at a time."""
    text = terms[0]
    for other in terms[1:]:
        text = f"{function}({text}, {other})"
    return text
