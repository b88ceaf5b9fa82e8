"""Limits of costs among the inputs: budgets, where a cost grows; case by case, where it does not.

Two laws make cases of a cost that does not grow as it stands:

* *a floor, and the same floor a little further on, differ by 0 or 1, as the rest says*: what is
  padded to a multiple is copied where ``H % 16 >= 1``, and a maximum is one of its sides;
* *what lies in memory may depend on a size that is 1*, where a view does for a copy: the cost is
  then that of the network at this size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, permutations
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Atom, Floor, Int, Max, Size, with_values
from symcnn.algebra.substitute import replaced
from symcnn.errors import BadSpec, InvalidInput, NoSolution, ShapeMismatch, Undecidable
from symcnn.questions.cost.cost import measure
from symcnn.sets.condition import Condition
from symcnn.sets.grammar import Amount, Between, Limit, parse_amount
from symcnn.sets.inputset import InputSet
from symcnn.sets.member import by_name, lone
from symcnn.sets.pieces import either
from symcnn.sets.simplest import Simplest
from symcnn.shown import assignment
from symcnn.trace.trace import Trace

#: What a budget may bound: the word for it, and the figure of `Network.cost` that it is, by
#: convention and name ("params" are a figure of the network). "memory" is "activations".
COSTS: dict[str, tuple[str, str, str]] = {
    "macs": ("MACs", "macs", "work"),
    "flops": ("FLOPs", "flops", "work"),
    "params": ("parameters", "", ""),
    "activations": ("bytes of activations", "macs", "activations"),
    "memory": ("bytes of activations", "macs", "activations"),
    "saved": ("bytes saved", "macs", "saved"),
    "peak": ("bytes alive at once", "macs", "peak"),
}


def amount(value: Amount, what: str, *, up: bool = False) -> int:
    """A budget: a number, or text such as ``"8 GiB"`` or ``"4e9"``; what is no whole number is
    rounded down, or `up`.

    >>> amount(4e9, "macs"), amount("8 GiB", "memory"), amount("1.5G", "macs")
    (4000000000, 8589934592, 1500000000)
    """
    if isinstance(value, str):
        return parse_amount(value, what, up=up)
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        value = int(value // 1)
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 0:
        raise BadSpec(f"{what}={value!r} is not an amount", cure='such as 4e9 or "8 GiB"')
    return int(value)


def limits_of(value: Limit, what: str) -> tuple[int | None, int | None]:
    """The least and the most that a budget allows: an amount is the most.

    >>> limits_of("8 GiB", "memory"), limits_of(">=4e9", "macs"), limits_of("1G..2G", "macs")
    ((None, 8589934592), (4000000000, None), (1000000000, 2000000000))
    """
    if isinstance(value, range):
        span = span_of(value, what)
        if span.step != 1:
            raise BadSpec(f"{what}={value}: a budget has no steps", cure=f"{what}=range(1, 100)")
        return span.low, span.high
    if isinstance(value, str):
        low, dots, high = value.partition("..")
        if dots:
            bounds = amount(low, what, up=True), amount(high, what)
            if bounds[0] > bounds[1]:
                raise BadSpec(f"{what}={value!r} is empty")
            return bounds
        if value.strip().startswith(">="):
            return amount(value.strip()[2:], what, up=True), None
        value = value.strip().removeprefix("<=")
    return None, amount(value, what)


#: Limits of what lies in memory.
_LAID_OUT = frozenset("activations memory saved peak".split())

#: So many cases are made of a cost, in all that distinctions one within the other make.
_MANY = 1024

#: What holds in a case, and what an atom is there.
Case = tuple[Condition, Atom, Int]

#: Lists of terms, of which the largest sum is the cost.
Sums = Sequence[Sequence[Int]]


def span_of(numbers: range, what: str) -> Between:
    """The numbers of a range, which may run downwards."""
    if not numbers:
        raise BadSpec(f"{what}: {numbers} is empty")
    ordered = numbers if numbers.step > 0 else numbers[::-1]
    return Between(ordered[0], ordered[-1], ordered.step)


def keep_within(
    part: Trace,
    found: InputSet,
    limits: Mapping[str, Limit],
    ranges: Mapping[str, int | range],
    dtype: str | None,
) -> InputSet:
    """Those of the sizes that keep within limits; `ranges` are the sizes that are given.

    Raises NoSolution if none do, Undecidable for a cost that does not grow in any case.
    """
    given: dict[str, Int] = {n: v for n, v in ranges.items() if not isinstance(v, range)}
    for name in part.batch - given.keys() - {*found.shown}:
        given[name] = 1
        if name in found.names:  # one image, or the fewest that the network takes
            images = found.axis(name)
            given[name] = 1 if 1 in images else lone(images.smallest())
            found = found.where(Condition(Size.symbol(name), "==", given[name]))
    return _Limits(part, limits, dtype).at(found, given)


@dataclass(frozen=True)
class _Limits:
    part: Trace
    limits: Mapping[str, Limit]
    dtype: str | None

    def sums(self, given: Mapping[str, Int]) -> dict[str, Sums]:
        """The costs at the sizes that are given."""
        numbers: Any = {n: v for n, v in given.items() if n in self._names and type(v) is int}
        at = self.part.given(**numbers) if numbers and self._laid_out else self.part
        found: dict[str, Sums] = {}
        for what in self.limits:
            _, convention, figure = COSTS[what]
            if not figure:
                found[what] = [[from_sympy(self.part.params)]]
                continue
            part = at if what in _LAID_OUT else self.part
            terms = measure(part, convention, dtype=self.dtype).terms(figure)
            found[what] = [[with_values(term, given) for term in one] for one in terms]
        return found

    @property
    def _laid_out(self) -> bool:
        return bool(_LAID_OUT & set(self.limits))

    @property
    def _names(self) -> Set[str]:
        return self.part.symbol_atoms.keys()

    def at(
        self, found: InputSet, given: Mapping[str, Int], sums: Mapping[str, Sums] | None = None
    ) -> InputSet:
        """What keeps within the limits, apart for every size that is 1 where memory differs."""
        sums = sums or self.sums(given)
        for name in found.shown if self._laid_out else ():
            if name in given or name not in self._names:
                continue
            ones = found.where(Condition(Size.symbol(name), "==", 1))
            more = found.where(Condition(Size.symbol(name), ">=", 2))
            if not ones or not more:
                continue
            one = {**given, name: 1}
            try:
                then = self.sums(one)
            except (InvalidInput, ShapeMismatch):  # of a batch of one there is none
                continue
            if not all(_same(then[what], sums[what], ones, one) for what in self.limits):
                parts = (ones, one, then), (more, given, sums)
                return _union([partial(self.at, *part) for part in parts])
        return self.within(found, given, sums, _MANY)

    def within(
        self, found: InputSet, given: Mapping[str, Int], sums: Mapping[str, Sums], most: int
    ) -> InputSet:
        """What keeps within the limits, apart for every case of a cost that does not grow as it is
        written, nor as it is on the domain.
        """
        with suppress(Undecidable):
            return self._budgeted(found, given, sums)
        law = Simplest(found)
        simpler = {w: [[*map(law, one)] for one in s] for w, s in sums.items()}
        with suppress(Undecidable):
            return self._budgeted(found, given, simpler)
        terms = chain.from_iterable(chain.from_iterable(sums.values()))
        cases = _cases([*terms], most)
        if cases is None:
            return self._budgeted(found, given, sums)  # says what does not grow
        left = most // len(cases)
        asked = [self._case(found, given, sums, case, left) for case in cases]
        return _union([ask for ask in asked if ask is not None])

    def _case(
        self,
        found: InputSet,
        given: Mapping[str, Int],
        sums: Mapping[str, Sums],
        case: Case,
        most: int,
    ) -> Callable[[], InputSet] | None:
        condition, atom, by = case
        part = found.where(condition)
        if not part:
            return None
        put = {w: [[replaced(t, atom, by) for t in one] for one in s] for w, s in sums.items()}
        return partial(self.within, part, given, put, most)

    def _budgeted(
        self, found: InputSet, given: Mapping[str, Int], sums: Mapping[str, Sums]
    ) -> InputSet:
        from symcnn.questions.inputs.budget import Budget, budget, within

        budgets: list[Budget] = []
        floors: list[tuple[Budget, ...]] = []
        for what, value in self.limits.items():
            low, high = limits_of(value, what)
            word, *_ = COSTS[what]
            if high is not None:
                budgets += [budget(word, terms, high, found, given) for terms in sums[what]]
            if low is not None:
                each = (budget(word, terms, low - 1, found, given) for terms in sums[what])
                floors.append(tuple(each))
        for one in (*budgets, *(b for floor in floors for b in floor)):
            if one.symbols - set(found.shown):
                missing = ", ".join(sorted(one.symbols - set(found.shown)))
                raise BadSpec(f"the {one.what} depend on {missing}", cure=f"give it: {missing}=...")
        kept = within(found, budgets, floors)
        if not kept:
            raise _over_budget(found, budgets, floors)
        return kept


def _same(a: Sums, b: Sums, found: InputSet, given: Mapping[str, Int]) -> bool:
    """Whether two costs are one on a set: no sum of either is more than all of the other."""
    one, other = ({with_values(sum(terms, 0), given) for terms in sums} for sums in (a, b))
    try:
        return not any(
            found.where(*(Condition(more, ">=", total + 1) for total in totals))
            for totals, others in ((one, other), (other, one))
            for more in others - totals
        )
    except Undecidable:
        return False


def _union(cases: Sequence[Callable[[], InputSet]]) -> InputSet:
    """What is found in any of some cases."""
    found: list[InputSet] = []
    errors: list[NoSolution] = []
    for case in cases:
        try:
            found.append(case())
        except NoSolution as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return either(found)


def _cases(terms: Sequence[Int], most: int) -> list[Case] | None:
    """The first distinction that makes terms simpler, into a few cases; None if there is none."""
    atoms = list(dict.fromkeys(atom for term in terms for atom in sz.every_atom(term)))
    floors = [a for a in atoms if isinstance(a, Floor)]
    for a, b in permutations(floors, 2):  # a is so many times b, and what the rest by b tells
        gap, m, by = a.num - b.num, a.den, b.den
        if type(m) is int and type(by) is int and type(gap) is int and by % m == 0:
            values = range(gap // m, (by - 1 + gap) // m + 1)
            rest = sz.floordiv(sz.mod(b.num, by) + gap, m)
            if 1 < len(values) <= most:
                return [(Condition(rest, "==", v), a, b.size() * (by // m) + v) for v in values]
    for atom in atoms:
        if isinstance(atom, Max) and most > 1:
            first, rest = atom.args[0], sz.maximum(*atom.args[1:])
            return [
                (Condition(first, ">=", rest), atom, first),
                (Condition(rest, ">=", first + 1), atom, rest),
            ]
    return None


def _over_budget(
    found: InputSet, budgets: Sequence[Any], floors: Sequence[tuple[Any, ...]]
) -> NoSolution:
    from symcnn.questions.inputs.budget import within

    for floor in floors:
        if not within(found, [], [floor]):
            cause = f"no input has {floor[0].what} >= {floor[0].limit + 1:,}"
            if any(b.symbols for b in floor):
                sizes = by_name(found.shown, found.largest())
                most = max(b.cost(sizes) for b in floor)
                return NoSolution(cause, cure=f"the largest, {assignment(sizes)}, has {most:,}")
            most = max(b.cost({}) for b in floor)
            return NoSolution(cause, cure=f"every input has {most:,} {floor[0].what}")
    sizes = by_name(found.shown, found.smallest())
    over = [b for b in budgets if not within(found, [b])]
    if not over:
        floor_words = (f"{f[0].what} >= {f[0].limit + 1:,}" for f in floors)
        words = " and ".join([*map(str, budgets), *floor_words])
        return NoSolution(f"no input keeps within {words} at once", cure="relax one of them")
    cost = over[0].cost(sizes)
    where = (
        f"the smallest input, {assignment(sizes)}, has" if over[0].symbols else "every input has"
    )
    return NoSolution(f"no input keeps within {over[0]}", cure=f"{where} {cost:,} {over[0].what}")
