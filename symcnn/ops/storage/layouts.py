"""Where a tensor lies: its storage, sizes and strides; what is a view and what is a copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from symcnn.algebra.atoms import symbols_of
from symcnn.algebra.size import Int, Size, evaluate, exact_div, prod, sharp_lower
from symcnn.sets.condition import Condition, decide_syntactically

Dims = Sequence[Int]

#: So many cases are looked at of a view that there is at some sizes.
_CASES = 64

#: So far it is looked for a size at which an axis is longer than 1.
_LONGEST = 64


Runs = list[tuple[range, range]]  # axes of the one, axes of the other: as many elements


#: Axes from the outermost to the innermost where channels lie last, by rank.
LAST = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


BY_SIZES = "that sizes decide"

#: Whether sizes compare so; None where sizes are not asked: then what is written otherwise is not
#: equal, and an axis that has to fit another is as long.
Holds = Callable[[Condition], "bool | None"]


def unasked(condition: Condition) -> None:
    """Sizes are not asked."""


class Storage:
    """A piece of memory: `elements` of `width` bytes (None: the width of activations).

    What a branch leaves out makes none: there is `taken` of it, 1 or 0, and `behind` in its place.
    """

    __slots__ = ("behind", "elements", "kind", "taken", "width")

    def __init__(self, elements: Int, width: int | None, kind: str) -> None:
        self.elements, self.width = elements, width
        self.taken: Int = 1
        self.behind: Storage | None = None
        self.kind = kind  # "input", "activation", "extra" (for the backward pass), "held", "own"

    def parts(self) -> list[tuple[Storage, Int]]:
        """The storages that it may be, each with 1 where it is that, and 0 elsewhere."""
        rest = 1 - self.taken
        behind = self.behind.parts() if self.behind is not None else []
        return [(self, self.taken), *((s, share * rest) for s, share in behind)]


def weighed(
    storages: Iterable[Storage], width: int, counted: dict[Storage, Int] | None = None
) -> list[Int]:
    """The bytes of each that none before it counts: a storage counts once, and where it is.

    counted: of the storages before, 1 minus where they count.
    """
    left = {} if counted is None else counted
    found = []
    for storage in storages:
        total: Int = 0
        for part, share in storage.parts():
            rest = left.get(part, 1)
            each = part.width or width
            if part.kind != "own":
                total = total + part.elements * (share * rest) * each
            left[part] = rest * (1 - share)
        found.append(total)
    return found


#: A storage, and 1 where it counts, 0 elsewhere.
Piece = tuple[Storage, Int]


def pieces(storages: Iterable[Storage]) -> list[Piece]:
    """What counts of several together: each once, and where it is."""
    left: dict[Storage, Int] = {}
    for storage in storages:
        for part, share in storage.parts():
            left[part] = left.get(part, 1) * (1 - share) if share != 1 else 0
    return [(part, 1 - rest) for part, rest in left.items() if part.kind != "own"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A tensor's place in memory: its storage, sizes and strides; if axes were merged and split, of
    what it is a view, and which axes became which.
    """

    storage: Storage
    dims: tuple[Int, ...]
    strides: tuple[Int, ...]
    base: tuple[Layout, Runs] | None = None

    @property
    def contiguous(self) -> bool:
        """Whether it lies in order, without gaps."""
        return lies(self.strides, in_order(self.dims), self.dims)

    @property
    def order(self) -> list[int]:
        """Its axes from the outermost to the innermost, those of size 1 aside: by its strides or,
        where only sizes tell those apart, as the axes lie of which it is a view.
        """
        try:
            return order_of(self.dims, self.strides)
        except UnknownError:
            if self.base is None:
                raise
            old, runs = self.base
            run_of = {axis: new for axes, new in runs for axis in axes}
            found = dict.fromkeys(i for axis in old.order for i in run_of[axis])
            return [i for i in found if self.dims[i] != 1]

    def channels_last(self, holds: Holds) -> bool:
        """Whether channels lie innermost, and not also in plain order.

        Source: ``is_channels_last_strides_2d`` of c10; where sizes are not asked, by the axes that
        are longer than 1.
        """
        n = len(self.dims)
        if n not in (4, 5) or self.strides == in_order(self.dims) or self.strides[1] == 0:
            return False
        least: Int = 0
        for axis in (*LAST[n][:0:-1], 0):
            wide = _surely(Condition(self.strides[axis], ">=", least), holds)
            same = axis == 0 and _surely(Condition(self.strides[1], "==", least), holds)
            if None in (wide, same):
                return not self.contiguous and self._channels_last
            if same or not wide:
                return False
            least = self.strides[axis] * self.dims[axis]
        return True

    @property
    def _channels_last(self) -> bool:
        n = len(self.dims)
        columns = self.strides[-1] * (self.dims[-1] - 1)
        if self.dims[-1] != 1 and positive(self.strides[1] - columns):
            return False
        if self.dims[1] == 1 and compare(self.strides[1], self.strides[-1]) > 0:
            return False
        want = [0, *range(2, n), 1]
        return self.order == [i for i in want if self.dims[i] != 1]


@lru_cache(maxsize=4096)  # most tensors are as large as others
def in_order(dims: Dims) -> tuple[Int, ...]:
    """The strides of a tensor whose elements lie in order."""
    strides: list[Int] = []
    step: Int = 1
    for size in reversed(dims):
        strides.insert(0, step)
        step = step * size
    return tuple(strides)


def order_of(
    dims: Dims, *operands: Dims, singles: bool = False, holds: Holds = unasked
) -> list[int]:
    """Axes from the outermost to the innermost, as torch sorts those of what it makes; those of
    size 1 among them if `singles`.

    The first operand with two strides that differ decides of two axes (0: it has no say); where
    none does, they stay. Source: ``TensorIteratorBase::reorder_dimensions`` and, for copies of one
    tensor, ``infer_dense_strides``, both of ATen; gaps make no difference.
    """
    try:
        return _order_of(dims, operands, singles)
    except UnknownError:
        least = _least(tuple(dims))
        if not least:
            return _order_asked(dims, operands, holds)
    above, *others = ([_above(d, least) for d in given] for given in (dims, *operands))
    try:
        return _order_of(above, others, singles)
    except UnknownError:
        return _order_asked(dims, operands, holds)


def _order_asked(dims: Dims, operands: Sequence[Dims], holds: Holds) -> list[int]:
    """The order of axes longer than 1, by what sizes say. Raises UnknownError without an answer."""
    own = [1 if d != 1 and holds(Condition(d, "==", 1)) else d for d in dims]
    return _order_of(own, operands, False, holds)


@lru_cache(maxsize=4096)
def _least(dims: tuple[Int, ...]) -> dict[str, int]:
    """Of symbols of which axes are made, how far above 1 they are where these are longer than 1."""
    found: dict[str, int] = {}
    for dim in dims:
        names = symbols_of(dim)
        if len(names) == 1:
            (name,) = names
            tried = (n for n in range(1, _LONGEST) if evaluate(dim, {name: n}) > 1)
            found[name] = max(found.get(name, 0), next(tried, 1) - 1)
    return {name: more for name, more in found.items() if more}


def _above(size: Int, least: Mapping[str, int]) -> Int:
    """A size with symbols that begin at 1 in place of those that begin later."""
    if isinstance(size, int):
        return size
    return size.subs({name: Size.symbol(name) + more for name, more in least.items()})


def _order_of(
    dims: Dims, operands: Sequence[Dims], singles: bool, holds: Holds = unasked
) -> list[int]:
    def outer(i: int, j: int) -> int:
        for strides in operands:
            if strides[i] == 0 or strides[j] == 0:
                continue
            if strides[i] == strides[j]:
                if compare(dims[i], dims[j], holds) > 0:
                    return 1
                continue
            if dims[j] != 1 and spans(strides[i], strides[j], dims[j]):
                return 1
            if dims[i] != 1 and spans(strides[j], strides[i], dims[i]):
                return -1
            return compare(strides[i], strides[j], holds)
        return 0

    found = [i for i in reversed(range(len(dims))) if singles or dims[i] != 1]  # innermost first
    for last in range(1, len(found)):
        at = last
        for i in reversed(range(last)):
            sign = outer(found[i], found[at])
            if sign > 0:
                found[i], found[at], at = found[at], found[i], i
            elif sign < 0:
                break
    return found[::-1]


def lies(strides: Dims, wanted: Dims, dims: Dims) -> bool:
    """Whether these are those strides, axes of size 1 aside."""
    return all(a == b for a, b, size in zip(strides, wanted, dims, strict=True) if size != 1)


def sorted_strides(dims: Dims, *operands: Dims, holds: Holds = unasked) -> tuple[Int, ...]:
    """The strides of a tensor without gaps whose axes, those of size 1 among them, lie as torch
    sorts them.
    """
    try:
        return ordered(dims, order_of(dims, *operands, singles=True))
    except UnknownError:
        return ordered(dims, order_of(dims, *operands, holds=holds))


def copied_strides(dims: Dims, strides: Dims, holds: Holds = unasked) -> tuple[Int, ...]:
    """The strides of a copy of a tensor: its own, if it has no gaps."""
    made = sorted_strides(dims, strides, holds=holds)
    return tuple(strides) if lies(strides, made, dims) else made


def expanded(base: Layout, dims: Dims, holds: Holds = unasked) -> Layout:
    """A tensor as a larger one, without a copy: strides of 0."""
    lead = len(dims) - len(base.dims)
    own = zip(base.dims, base.strides, dims[lead:], strict=True)
    strides = [stride if _as_long(have, want, holds) else 0 for have, stride, want in own]
    return Layout(base.storage, tuple(dims), (*[0] * lead, *strides))


def pointwise_strides(
    dims: Dims, operands: Sequence[Layout], *, numbers: bool = False, holds: Holds = unasked
) -> tuple[Int, ...]:
    """The strides that a pointwise result takes over from its operands: those of all of them, where
    these are alike and as large (a number beside a tensor is not), or those of the sorted axes.

    Source: ``TensorIteratorBase::fast_set_up`` of ATen.
    """
    dims = tuple(dims)
    strides = [expanded(layout, dims, holds).strides for layout in operands]
    if not numbers and all(_as_large(layout.dims, dims, holds) for layout in operands):
        for wanted in (in_order(dims), *([ordered(dims, LAST[4])] if len(dims) == 4 else [])):
            if all(lies(s, wanted, dims) for s in strides):
                return wanted
        if len(set(strides)) == 1:
            return copied_strides(dims, strides[0], holds)
    return sorted_strides(dims, *strides, holds=holds)


def _as_large(own: Dims, dims: Dims, holds: Holds) -> bool:
    pairs = zip(own, dims, strict=False)
    return len(own) == len(dims) and all(_as_long(a, b, holds) for a, b in pairs)


def _as_long(have: Int, want: Int, holds: Holds) -> bool:
    """Whether an axis is as long as the one that it fits; it is 1 else."""
    return have == want or (have != 1 and holds(Condition(have, "==", want)) is not False)


def spans(outer: Int, inner: Int, size: Int) -> bool:
    """Whether one step of the first stride passes all places of an axis with the second."""
    low = sharp_lower(outer - inner * (size - 1))
    return low is not None and low > 0


def compare(a: Int, b: Int, holds: Holds = unasked) -> int:
    """The sign of ``a - b``, both positive. A multiple is larger: axes are longer than 1."""
    if a == b:
        return 0
    if exact_div(a, b) is not None:
        return 1
    if exact_div(b, a) is not None:
        return -1
    for sign, difference in ((1, a - b), (-1, b - a)):
        if positive(difference):
            return sign
    equal = holds(Condition(a, "==", b))
    larger = None if equal is None else holds(Condition(a, ">=", b))
    if larger is None:
        raise UnknownError(f"with axes in an order {BY_SIZES}")
    return 0 if equal else 1 if larger else -1


def positive(difference: Int) -> bool:
    """Whether a bound says so, or each term below 0 is part of a product above 0: ``h*w + n - w``.

    As in `compare`, axes are longer than 1.
    """
    low = sharp_lower(difference)
    if isinstance(difference, int) or (low is not None and low > 0):
        return low is not None and low > 0
    left = {mono: c for mono, c in difference.terms.items() if c > 0}
    for mono, coeff in difference.terms.items():
        if coeff < 0:
            part = Counter(dict(mono))
            whole = next(
                (m for m, c in left.items() if part <= Counter(dict(m)) and c >= -coeff), None
            )
            if whole is None:
                return False
            left[whole] += coeff
    return any(left.values())


def ordered(dims: Dims, order: Sequence[int]) -> tuple[Int, ...]:
    """Strides of a tensor without gaps whose axes lie in `order`, that of those of size 1 aside:
    these step as in plain order, or with channels last, or a batch of 1 does as the outermost.
    """
    n = len(dims)
    strides: list[Int] = [1] * n
    step: Int = 1
    for whole in ([*range(n)], [0, *range(2, n), 1] if n in (4, 5) else [], [0, *order]):
        if len(order) < n and [i for i in whole if dims[i] != 1] == [*order]:
            order = whole
    for i in reversed(order):
        strides[i] = step
        step = step * dims[i]
    return tuple(strides)


def view_strides(
    old: Layout, dims: Dims, holds: Holds = unasked
) -> tuple[tuple[Int, ...], Runs] | None:
    """The strides of a view with other sizes, and what becomes what; None where torch copies."""
    merged = None
    if not old.contiguous or 1 in old.dims:  # which steps as the axes beside it do
        merged = _merged_strides(old.dims, old.strides, dims, unasked)
    if merged is None and old.contiguous:
        return in_order(tuple(dims)), [(range(len(old.dims)), range(len(dims)))]
    if merged is not None or holds is unasked:
        return merged
    lying = tuple(old.dims), tuple(old.strides), tuple(dims)
    return None if _in_order_anyway(*lying) else _merged_strides(*lying, holds)


@lru_cache(maxsize=1024)  # blocks repeat
def _in_order_anyway(old: Dims, strides: Dims, dims: Dims) -> bool:
    """Whether a view lies as a copy does, at all sizes at which there is one."""
    cases: list[dict[Condition, bool]] = [{}]  # what is taken to hold, and what is not
    for _ in range(_CASES):
        if not cases:
            return True
        told = cases.pop()
        new: list[Condition] = []
        found = _merged_strides(old, strides, dims, partial(_supposed, told, new))
        if found is not None and not lies(found[0], in_order(dims), dims):
            return False
        if new:
            cases += [{**told, new[0]: True}, {**told, new[0]: False}]
    return False


def _surely(condition: Condition, holds: Holds) -> bool | None:
    known = decide_syntactically(condition)
    return holds(condition) if known is None else known


def _supposed(told: Mapping[Condition, bool], new: list[Condition], condition: Condition) -> bool:
    """Whether sizes compare so, in a case; those are new that it does not say."""
    known = decide_syntactically(condition)
    if known is None and condition not in told:
        new.append(condition)
    return told.get(condition, False) if known is None else known


def _merged_strides(
    old: Dims, lie: Dims, dims: Dims, holds: Holds
) -> tuple[tuple[Int, ...], Runs] | None:
    """From the last axis on, runs of axes hold as many elements. Where that does not show, it may
    show in the axes before them: there are as many elements in all.

    Source: ``computeStride`` of ATen.
    """

    def same(a: Int, b: Int) -> bool:
        if a == b or holds is unasked or 0 in (a, b):
            return a == b
        rest = exact_div(a, b) or exact_div(b, a)
        return bool(holds(Condition(*((a, "==", b) if rest is None else (rest, "==", 1)))))

    strides: list[Int] = [1] * len(dims)
    runs: Runs = []
    at, first, last = len(dims) - 1, len(dims), len(old)
    base, seen, placed = lie[-1], 1, 1
    total: Int = seen
    made: Int = placed
    for i in reversed(range(len(old))):
        total = total * old[i]
        if i > 0 and (
            lie[i - 1] == total * base or same(old[i - 1], 1) or same(lie[i - 1], total * base)
        ):
            continue
        before = prod(old[:i])
        ends = {made: at}  # how far it goes, by elements
        while at >= 0 and (dims[at] == 1 or not (made == total or prod(dims[: at + 1]) == before)):
            strides[at] = made * base
            made = made * dims[at]
            at -= 1
            ends[made] = at
        if made != total and prod(dims[: at + 1]) != before:
            made = next((m for m in ends if same(m, total)), 0)
            if made == 0:
                return None
            at = ends[made]
        runs.append((range(i, last), range(at + 1, first)))
        first, last = at + 1, i
        if i > 0:
            base, total, made = lie[i - 1], 1, 1
    return (tuple(strides), runs) if at == -1 else None


class UnknownError(Exception):
    """A way to call an operation that its entry does not cover."""


class KeptUnknownError(UnknownError):
    """What is made lies where it was placed; what autograd keeps beside it is not known."""
