"""Buckets: the few sizes to pad images to, at the least cost.

Every image goes to the cheapest bucket that holds it, so only least valid sizes count: for some
images together the least size, of those that the network takes, that holds them all. Where the
sizes are a chain (one axis, or squares), the images of a bucket are neighbours in it, and dynamic
programming over where to cut gives the optimum. Otherwise a bucket that holds some images holds
their hull, and all choices of hulls are searched, by branch and bound; where these are too many,
the answer says that it is the best of those tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import (
    Int,
    Size,
    evaluate,
    exact_or_fail,
    prod,
    symbols_of,
    whole_numbers,
)
from symcnn.errors import BadSpec, NoSolution
from symcnn.questions.cost.cost import measure
from symcnn.sets.condition import Condition
from symcnn.sets.grammar import parse_formula, parse_target
from symcnn.sets.inputset import InputSet
from symcnn.sets.member import Member, as_tuple, lone
from symcnn.shown import Shown
from symcnn.trace.trace import Trace

#: The sizes of an image, in the order of the network's axes.
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Buckets(Shown):
    """The sizes to pad to.

    Attributes:
        axes: the names of the axes, in the order of all sizes.
        sizes: the buckets, cheapest first.
        cost: what all images cost, each in its bucket.
        unpadded: what they would cost, each in the least valid size that holds it.
        assigned: for every size of the histogram its bucket.
        exact: whether no other buckets cost less; False where there were too many to try all, and
            these are the best of those tried.
    """

    axes: tuple[str, ...]
    sizes: tuple[Sizes, ...]
    cost: Any
    unpadded: Any
    assigned: Mapping[Sizes, Sizes]
    exact: bool = True

    @property
    def overhead(self) -> float:
        """The cost by that of a bucket for every size."""
        return float(Fraction(self.cost) / Fraction(self.unpadded)) if self.unpadded else 1.0

    def __iter__(self) -> Iterator[Sizes]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __str__(self) -> str:
        told = "" if self.exact else ", the best of those tried"
        more = f"{self.overhead:.4g} times that without padding{told}"
        count = len(self.sizes)
        lines = [f"{count} bucket{'s' * (count > 1)}, cost {self.cost:,}: {more}"]
        for bucket in self.sizes:
            held = [s for s, b in self.assigned.items() if b == bucket]
            named = ", ".join("x".join(map(str, s)) for s in held[:6])
            more = f" and {len(held) - 6} more" if len(held) > 6 else ""
            lines.append(f"  {'x'.join(map(str, bucket))}: {named}{more}")
        return "\n".join(lines)


def buckets(
    net: Trace,
    histogram: Mapping[Sizes, int]
    | Mapping[tuple[int, int], int]
    | Mapping[int, int]
    | Sequence[Member],
    k: int,
    cost: str | Callable[..., float] = "macs",
    **sizes: int,
) -> Buckets:
    """The `k` sizes to pad images to, at the least cost of all images together.

    Args:
        net: the network; only sizes that it takes are buckets.
        histogram: how many images there are of each size: ``{(300, 400): 12, ...}``, sizes in the
            order of the axes, a plain number for squares or a single axis; or a list of sizes.
        k: how many buckets at most.
        cost: what an image of a bucket costs: ``"macs"``, ``"flops"``, ``"activations"``,
            ``"peak"``, ``"pixels"``; or an expression in the sizes, such as ``H*W``; or a function
            of them. It must not fall as a size grows.
        sizes: sizes that are no axes of the image, ``N=8``; the batch is 1 unless given.

    Returns:
        `Buckets`: ``.sizes``, ``.cost``, ``.assigned``.

    Raises:
        BadSpec: a histogram, k or cost without sense.
        NoSolution: the network takes no size that holds one of the images.

    >>> from symcnn import nn, H
    >>> net = nn.Conv2d(3, 8, 3, padding=1).trace("N 3 H W")
    >>> print(buckets(net, {300: 1, 310: 1, 500: 1, 640: 1}, k=2, cost=H**2))
    2 buckets, cost 1,011,400: 1.196 times that without padding
      310x310: 300x300, 310x310
      640x640: 500x500, 640x640
    """
    if isinstance(k, bool) or not hasattr(k, "__index__") or k < 1:
        raise BadSpec(f"k={k!r} is no number of buckets", cure="k=4")
    domain = net.valid_inputs()
    names = tuple(n for n in net.symbols if n not in net.batch and n not in sizes)
    fixed = {n: 1 for n in net.symbols if n in net.batch} | whole_numbers(sizes)
    if not names:
        raise BadSpec("the network has no size that is a symbol")
    counts = _counts(histogram, names)
    price = _price(net, cost, names, fixed)
    if fixed_here := {n: v for n, v in fixed.items() if n in domain.names}:
        domain = domain.given(**fixed_here)
    holder = _Holder(domain, names, price)
    images = sorted(counts, key=lambda s: (max(s), s))
    unpadded = sum(counts[s] * holder.cost(s) for s in images)
    exact = True
    if all(_fits(a, b) for a, b in pairwise(images)):
        chosen = _by_cuts(images, counts, int(k), holder)
    else:
        search = _Search(counts, int(k), holder)
        chosen, exact = search.best, search.exact
    chosen = sorted(set(chosen), key=lambda b: (price(b), b))
    assigned = {s: next(b for b in chosen if _fits(s, b)) for s in images}
    chosen = [b for b in chosen if b in assigned.values()]
    total = sum(counts[s] * price(b) for s, b in assigned.items())
    return Buckets(names, tuple(chosen), total, unpadded, assigned, exact)


def _fits(a: Sizes, b: Sizes) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))


def _counts(histogram: Any, names: Sequence[str]) -> dict[Sizes, int]:
    if not isinstance(histogram, Mapping):
        listed = [tuple(s) if isinstance(s, (tuple, list)) else s for s in histogram]
        histogram = {s: listed.count(s) for s in dict.fromkeys(listed)}
    found: dict[Sizes, int] = {}
    for size, count in histogram.items():
        values = parse_target(size) if isinstance(size, str) else size
        values = tuple(values) if isinstance(values, (tuple, list)) else (values,)
        values = values * len(names) if len(values) == 1 else values
        whole = all(hasattr(v, "__index__") and not isinstance(v, bool) for v in (*values, count))
        if len(values) != len(names) or not whole or min(*values, count, 1) < 0:
            raise BadSpec(
                f"{size!r}: {count!r} is no size for each of {', '.join(names)} and a number",
                cure="such as {(300, 400): 12}",
            )
        key = tuple(int(str(v)) for v in values)
        found[key] = found.get(key, 0) + int(count)
    if not found:
        raise BadSpec("the histogram is empty", cure="such as {(300, 400): 12}")
    return found


#: Costs by name, as those of `cost`.
_COSTS = ("macs", "flops", "activations", "saved", "peak", "memory")


def _price(
    net: Trace, cost: str | Callable[..., float], names: Sequence[str], fixed: Mapping[str, int]
) -> Callable[[Sizes], float]:
    """What an image costs in a bucket; a number per size."""
    if callable(cost):
        wants = len(names)

        @cache
        def price(bucket: Sizes) -> float:
            try:
                return cost(*bucket)
            except TypeError:
                if len(set(bucket)) == 1 and wants > 1:
                    return cost(bucket[0])
                raise

        return price
    if len(net.branches) == 1 or not isinstance(cost, str) or cost not in _COSTS:
        return _formula_price(_formula(net, cost, names), names, fixed)

    @cache
    def of_branch(taken: Trace) -> Callable[[Sizes], float]:
        return _formula_price(_formula(taken, cost, names), names, fixed)

    return lambda bucket: of_branch(
        net.branch_at(**{**fixed, **dict(zip(names, bucket, strict=True))})
    )(bucket)


def _formula(net: Trace, cost: Any, names: Sequence[str]) -> Int:
    if not isinstance(cost, str):
        return from_sympy(cost)
    if cost == "pixels":
        return prod(map(Size.symbol, names))
    if cost in _COSTS:
        column = {"memory": "activations", "macs": "total", "flops": "total"}.get(cost, cost)
        figure = getattr(measure(net, "flops" if cost == "flops" else "macs"), column)
        return from_sympy(getattr(figure, "expr", figure))
    num, den = parse_formula(cost)
    if isinstance(den, int):
        return num if den == 1 else exact_or_fail(num, den)
    raise BadSpec(f"cost={cost!r}", cure=f"one of {', '.join(_COSTS)}, pixels, or a formula")


def _formula_price(
    formula: Int, names: Sequence[str], fixed: Mapping[str, int]
) -> Callable[[Sizes], float]:
    unknown = symbols_of(formula) - {*names, *fixed}
    if unknown:
        raise BadSpec(f"cost speaks of {', '.join(sorted(unknown))}", cure="give it a number")

    @cache
    def price(bucket: Sizes) -> float:
        return evaluate(formula, {**fixed, **dict(zip(names, bucket, strict=True))})

    return price


class _Holder:
    """The cheapest valid size that holds an image."""

    def __init__(
        self, domain: InputSet, names: tuple[str, ...], price: Callable[[Sizes], float]
    ) -> None:
        self.domain, self.names, self.price = domain, names, price
        self.least = cache(self._least)
        self.apart = all(len(side.names) == 1 for side in domain._sides)
        self._axes = {n: domain.axis(n) for n in names if n in domain.names}

    def cost(self, image: Sizes) -> float:
        """What an image costs in it."""
        return self.price(self.least(image))

    def _least(self, image: Sizes) -> Sizes:
        """The least of them; of several, the cheapest."""
        if self.apart:
            return tuple(
                self._along(name, size) for name, size in zip(self.names, image, strict=True)
            )
        larger = self.domain.where(
            *(
                Condition(Size.symbol(name), ">=", size)
                for name, size in zip(self.names, image, strict=True)
            )
        )
        if not larger:
            raise self._none(image)
        best: Sizes | None = None
        for k, member in enumerate(larger):
            values = as_tuple(member)
            if best is None or self.price(values) < self.price(best):
                best = values
            if k >= _TRIED or max(values) > 2 * max(best):
                break
        assert best is not None
        return best

    def _along(self, name: str, size: int) -> int:
        if name not in self._axes:
            return size
        larger = self._axes[name].where(Condition(Size.symbol(name), ">=", size))
        if not larger:
            raise self._none((size,))
        return lone(larger.smallest())

    def _none(self, image: Sizes) -> NoSolution:
        held = "x".join(map(str, image))
        return NoSolution(
            f"no valid input holds {held}", cure=f"valid inputs: {self.domain.describe()}"
        )


#: Of sizes whose axes hang together, so many are looked at.
_TRIED = 256


def _hull(images: Sequence[Sizes]) -> Sizes:
    return tuple(map(max, zip(*images, strict=True)))


def _by_cuts(
    images: Sequence[Sizes], counts: Mapping[Sizes, int], k: int, holder: _Holder
) -> list[Sizes]:
    """Neighbours in this order share a bucket: the best cuts, by dynamic programming."""
    n = len(images)
    hulls: dict[tuple[int, int], Sizes] = {}
    costs: dict[tuple[int, int], Any] = {}
    for stop in range(1, n + 1):
        hull, held = images[stop - 1], 0
        for start in range(stop - 1, -1, -1):
            hull = _hull([hull, images[start]])
            held += counts[images[start]]
            hulls[start, stop] = hull
            costs[start, stop] = holder.cost(hull) * held
    best: list[list[Any]] = [[0, *[None] * n]]
    cuts: list[list[int]] = []
    for _ in range(min(k, n)):
        row, cut = [0], [0]
        for stop in range(1, n + 1):
            total, start = min(
                (best[-1][start] + costs[start, stop], start)
                for start in range(stop)
                if best[-1][start] is not None
            )
            row.append(total)
            cut.append(start)
        best.append(row)
        cuts.append(cut)
    stop, chosen = n, []
    for cut in reversed(cuts):
        if stop:
            chosen.append(holder.least(hulls[cut[stop], stop]))
            stop = cut[stop]
    return chosen


def _reassigned(
    buckets: Sequence[Sizes], counts: Mapping[Sizes, int], holder: _Holder
) -> tuple[Any, list[Sizes]]:
    """Every image in its cheapest bucket, buckets no larger than that needs; and the cost."""
    while True:
        ordered = sorted(buckets, key=lambda b: (holder.price(b), b))
        groups: dict[Sizes, list[Sizes]] = {}
        for image in counts:
            groups.setdefault(next(b for b in ordered if _fits(image, b)), []).append(image)
        total = sum(holder.price(b) * sum(counts[s] for s in group) for b, group in groups.items())
        fitted = [holder.least(_hull(group)) for group in groups.values()]
        if sorted(fitted) == sorted(buckets):
            return total, fitted
        buckets = fitted


#: The search for buckets of sizes that are no chain ends after so many steps.
_STEPS = 50_000


class _Search:
    """The best buckets of sizes that are no chain: each image joins a bucket or opens one.

    What is opened holds the hull of what it has; the images that are left cost at least what they
    cost alone.
    """

    def __init__(self, counts: Mapping[Sizes, int], k: int, holder: _Holder) -> None:
        self.counts, self.k, self.holder = counts, k, holder
        self.order = sorted(counts, key=lambda s: (-holder.cost(s), s))
        self.alone = [holder.cost(s) * counts[s] for s in self.order]
        self.rest = [sum(self.alone[i:]) for i in range(len(self.order) + 1)]
        starts = [sorted(counts, key=key) for key in (holder.cost, lambda s: s, lambda s: s[::-1])]
        self.cost, self.best = min(
            _reassigned(_by_cuts(start, counts, k, holder), counts, holder) for start in starts
        )
        self.steps = 0
        self._place(0, [], 0)

    @property
    def exact(self) -> bool:
        """Whether all was searched."""
        return self.steps <= _STEPS

    def _place(self, i: int, groups: list[tuple[Sizes, int, Any]], spent: Any) -> None:
        self.steps += 1
        if not self.exact or spent + self.rest[i] >= self.cost:
            return
        if i == len(self.order):
            self.cost = spent
            self.best = [self.holder.least(hull) for hull, _, _ in groups]
            return
        image, count = self.order[i], self.counts[self.order[i]]
        joined = []
        for g, (hull, held, cost) in enumerate(groups):
            larger = _hull([hull, image])
            grown = self.holder.cost(larger) * (held + count)
            joined.append((grown - cost, g, (larger, held + count, grown)))
        for more, g, group in sorted(joined):
            self._place(i + 1, [*groups[:g], group, *groups[g + 1 :]], spent + more)
        if len(groups) < self.k:
            own = (image, count, self.alone[i])
            self._place(i + 1, [*groups, own], spent + self.alone[i])
