"""What a layer asks of its input: equalities and inequalities between integer expressions.

A network's domain is the conjunction of its nodes' conditions. They stay as the rule wrote
them (``padded input >= kernel extent``), so that an error can quote both sides;
`symcnn.sets.inputset` brings them to a normal form and solves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union

from symcnn.algebra.factor import reading, text
from symcnn.algebra.size import (
    Floor,
    Int,
    Part,
    Size,
    evaluate,
    every_atom,
    sharp_lower,
    sole_atom,
    symbols_of,
    with_values,
)
from symcnn.errors import BadSpec
from symcnn.lazy import sympy

_BY_ZERO = "a size that python divides by is 0 there"


@dataclass(frozen=True, slots=True)
class Condition:
    """``lhs >= rhs`` or ``lhs == rhs``, and why a layer asks for it.

    >>> from symcnn.algebra.size import Size
    >>> H = Size.symbol("H")
    >>> print(Condition(H + 6, ">=", 7, "the kernel must fit into the padded input"))
    H + 6 >= 7

    Raises BadSpec for another relation.
    """

    lhs: Int
    relation: Literal[">=", "=="]
    rhs: Int
    why: str = ""

    def __post_init__(self) -> None:
        if self.relation != ">=" and self.relation != "==":
            cure = "turn the sides round, and add 1 to what must be larger"
            raise BadSpec(f"a condition is >= or ==, not {self.relation}", cure=cure)

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds at `values`; not where it divides by a size that is 0 there."""
        try:
            lhs, rhs = evaluate(self.lhs, values), evaluate(self.rhs, values)
        except ZeroDivisionError:
            return False
        return bool(lhs >= rhs if self.relation == ">=" else lhs == rhs)

    def consequence(self, values: Mapping[str, int]) -> str:
        """What goes wrong at `values`, in words."""
        try:
            return self._wrong(values)
        except ZeroDivisionError:
            return _BY_ZERO

    def _wrong(self, values: Mapping[str, int]) -> str:
        contrary = "<" if self.relation == ">=" else "!="
        return f"{evaluate(self.lhs, values)} {contrary} {evaluate(self.rhs, values)}"

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes it speaks of."""
        return symbols_of(self.lhs, self.rhs)

    def __str__(self) -> str:
        return f"{text(self.lhs)} {self.relation} {text(self.rhs)}"

    def _formula_(self) -> Any:
        kind = sympy.Ge if self.relation == ">=" else sympy.Eq
        return kind(reading(self.lhs), reading(self.rhs), evaluate=False)


@dataclass(frozen=True, slots=True)
class InRange(Condition):
    """That a number is a place of an axis, of which torch raises IndexError; or, where it is no
    `lookup`, RuntimeError, as for all else.
    """

    lookup: bool = True


@dataclass(frozen=True, slots=True)
class Place(InRange):
    """The same of a number which a tensor holds. Torch looks at it where there are values: not on
    meta.
    """


def is_lookup(requirement: Requirement | None) -> bool:
    """Whether torch raises IndexError where it does not hold."""
    options = requirement.options if isinstance(requirement, AnyOf) else (requirement,)
    return isinstance(options[0], InRange) and options[0].lookup


@dataclass(frozen=True, slots=True)
class KeepsBatch(Condition):
    """``view(-1, row)`` keeps the images apart only if each of them is `rows` whole rows: its `lhs`
    elements are as many as `rhs`, ``rows*row``.

    Where `total` (all elements) is another multiple of a row, torch does not raise: it hands back
    a batch of another size. That is the one place where symcnn refuses what torch accepts.
    """

    total: Int = 0
    rows: Int = 1

    def _wrong(self, values: Mapping[str, int]) -> str:
        """What torch would do at `values`: raise, or fold images into the batch."""
        each, wanted = evaluate(self.lhs, values), evaluate(self.rhs, values)
        have = f"each image has {each} elements, not {wanted}"
        if not symbols_of(self.total, self.rows) <= values.keys():
            return have  # whatever the size of the batch
        total = evaluate(self.total, values)
        row = wanted // (evaluate(self.rows, values) or 1)
        if not row or total % row:
            return f"{have}; torch: shape '[-1, {row}]' is invalid for input of size {total}"
        return (
            f"{have}; torch would not complain: "
            f"{total // each} image(s) would come back as a batch of {total // row}"
        )


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of `options` must hold."""

    options: tuple[Condition, ...]
    why: str = ""

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether one of them holds at `values`."""
        return any(option.holds(values) for option in self.options)

    def consequence(self, values: Mapping[str, int]) -> str:
        """What goes wrong at `values`, in words."""
        return " and ".join(option.consequence(values) for option in self.options)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes it speaks of."""
        return frozenset[str]().union(*(option.symbols for option in self.options))

    @property
    def denied(self) -> Condition | None:
        """The equation that does not hold, where one side is to be above or below the other."""
        if len(self.options) == 2:
            above, below = self.options
            if (above.lhs + 1, above.rhs - 1) == (below.rhs, below.lhs):
                return Condition(above.lhs, "==", below.lhs)
        return None

    def __str__(self) -> str:
        return " or ".join(map(str, self.options))


@dataclass(frozen=True, slots=True)
class ForAll:
    """`each` must hold for every block ``0 <= index < count`` of a repeat of symbolic depth."""

    each: Requirement
    index: str
    count: Int

    @property
    def why(self) -> str:
        """Why a block asks for it."""
        return self.each.why

    def _failing(self, values: Mapping[str, int]) -> int | None:
        count = evaluate(self.count, values)
        blocks = (i for i in range(count) if not self.each.holds({**values, self.index: i}))
        return next(blocks, None)

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds at `values`, in every block; not where its count divides by 0."""
        try:
            return self._failing(values) is None
        except ZeroDivisionError:
            return False

    def consequence(self, values: Mapping[str, int]) -> str:
        """What goes wrong at `values`, and in which block."""
        try:
            block = self._failing(values) or 0
        except ZeroDivisionError:
            return _BY_ZERO
        return f"block {block}: {self.each.consequence({**values, self.index: block})}"

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes it speaks of."""
        return (self.each.symbols - {self.index}) | symbols_of(self.count)

    def __str__(self) -> str:
        return f"{self.each} for all {self.index} < {self.count}"


#: What is required once, and not in every block.
Single = Union[Condition, AnyOf]
Requirement = Union[Single, ForAll]

#: A requirement of some kind, of which another of the same kind is made.
Asked = TypeVar("Asked", Single, Requirement)


def congruence(gap: Int) -> tuple[Int, int] | None:
    """(e, n): several floors are 0 together exactly where ``e % n`` is.

    *What leaves the same by n, and lies nearer to 0 than n, is 0 where that is a multiple of n*:
    ``H % 3 == W % 3`` is ``(H - W) % 3 == 0``.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> congruence(H % 3 - W % 3), congruence(H % 3 - W % 2), congruence(H % 3 - W)
    ((H - W, 3), (H - W + 2*(W//2), 3), None)
    """
    terms = gap.terms if isinstance(gap, Size) else {}
    floors = [atom for mono in terms if isinstance(atom := sole_atom(Size({mono: 1})), Floor)]
    if len(floors) < 2 or any(type(coeff) is not int for coeff in terms.values()):
        return None
    for n in sorted({floor.den for floor in floors if type(floor.den) is int}, reverse=True):
        rest = gap - Size({mono: coeff for mono, coeff in terms.items() if mono and not coeff % n})
        lows = [sharp_lower(side) for side in (gap, -gap)] if rest != gap else [None]
        if all(low is not None and low > -n for low in lows):
            return rest, n
    return None


def subexpressions(requirement: Requirement) -> Iterator[Int]:
    """All expressions that a requirement compares."""
    if isinstance(requirement, AnyOf):
        for option in requirement.options:
            yield from subexpressions(option)
    elif isinstance(requirement, ForAll):
        yield requirement.count
        yield from subexpressions(requirement.each)
    else:
        yield from (requirement.lhs, requirement.rhs)


def substituted(requirement: Asked, values: Mapping[str, Int]) -> Asked:
    """The requirement with symbols replaced."""
    if isinstance(requirement, AnyOf):
        options = tuple(substituted(option, values) for option in requirement.options)
        return AnyOf(options, requirement.why)  # type: ignore[arg-type]
    if isinstance(requirement, ForAll):
        each = substituted(requirement.each, values)
        return ForAll(each, requirement.index, with_values(requirement.count, values))
    lhs, rhs = with_values(requirement.lhs, values), with_values(requirement.rhs, values)
    changed = replace(requirement, lhs=lhs, rhs=rhs)
    if isinstance(changed, KeepsBatch):
        total, rows = with_values(changed.total, values), with_values(changed.rows, values)
        return replace(changed, total=total, rows=rows)
    return changed


def decide_syntactically(requirement: Requirement) -> bool | None:
    """True or False if `requirement` holds, or fails, for all sizes at a glance; else None."""
    if isinstance(requirement, ForAll):
        return True if decide_syntactically(requirement.each) else None
    if isinstance(requirement, AnyOf):
        verdicts = [decide_syntactically(option) for option in requirement.options]
        return True if True in verdicts else False if set(verdicts) <= {False} else None
    return _compared(requirement.lhs, requirement.relation, requirement.rhs)


@lru_cache(maxsize=16384)
def _compared(lhs: Int, relation: str, rhs: Int) -> bool | None:
    """What the bounds of both sides decide."""
    if lhs == rhs:
        return True
    gap = lhs - rhs
    low, high = sharp_lower(gap), sharp_lower(-gap)
    high = None if high is None else -high
    if relation == "==":
        return False if (low is not None and low > 0) or (high is not None and high < 0) else None
    return (
        True if low is not None and low >= 0 else False if high is not None and high < 0 else None
    )


def is_deep(requirement: Requirement) -> bool:
    """Whether a floor stands in a floor."""
    floors = (a for a in every_atom(*subexpressions(requirement)) if isinstance(a, Floor))
    return any(isinstance(a, Floor) for floor in floors for a in every_atom(floor.num))


def parts_of(requirements: Iterable[Requirement]) -> Iterator[Part]:
    """The symbols that are declared odd, or multiples: their sets say so."""
    sides = (side for requirement in requirements for side in subexpressions(requirement))
    return (atom for atom in every_atom(*sides) if isinstance(atom, Part))
