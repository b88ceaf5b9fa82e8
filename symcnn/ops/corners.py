"""Numbers that rise along some axes and fall along the others: ``arange(h)[:, None] // 2 + j*j``.

*Such numbers are least at one corner and largest at the opposite one.* What rises or falls with
each of several numbers (a sum, a bound, a product of numbers that are not negative, a quotient that
is rounded) is such again where they rise along the same axes, and its extremes are made of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from symcnn.algebra.size import Int, Size, sharp_lower
from symcnn.ops.piecewise import Arguments, Piecewise
from symcnn.ops.positions import Positions, Stack, Steps, items_of


@dataclass(frozen=True)
class Corners:
    """What a tensor holds at the two corners where it is least and largest.

    order: how it goes along each axis, in steps of 1, 0 and -1.
    by_place: the numbers as formulas, if they are that too.

    >>> H = Size.symbol("H")
    >>> found = Corners.of(Positions(3, (((1, H),), ((-2, 5),))))
    >>> found.ends, [[step for step, _ in axis] for axis in found.order.axes]
    ((-5, H + 2), [[1], [-1]])
    """

    order: Positions
    ends: tuple[Any, Any]
    by_place: Piecewise | None = None

    @classmethod
    def of(cls, told: object) -> Corners | None:
        """Of numbers made of positions, where each axis adds or takes away at all sizes."""
        if type(told) is cls:
            return told
        if type(told) is not Positions:
            return None
        axes, least, largest = list[Steps](), told.start, told.start
        for axis in told.axes:
            steps = list[tuple[Int, Int]]()
            for step, count in axis:
                way = _way(step)
                if way is None:
                    return None
                steps.append((way, count))
                far = step * (count - 1)
                least, largest = (least, largest + far) if way > 0 else (least + far, largest)
            axes.append(tuple(steps))
        return cls(Positions(0, tuple(axes)), (least, largest))

    def __neg__(self) -> Corners:
        return Corners(-self.order, self.ends[::-1])

    def _moved(self, order: Positions | None) -> Corners | None:
        return None if order is None else replace(self, order=order, by_place=None)

    def transpose(self, *order: int | Sequence[int]) -> Corners | None:
        """The axes in another order."""
        return self._moved(self.order.transpose(*order))

    def flip(self, axes: Sequence[int]) -> Corners | None:
        """Some axes from their ends."""
        return self._moved(replace(self.order.flip(axes), start=0))

    def expand(self, dims: Sequence[Int]) -> Corners | None:
        """Axes of one place stretched, and new ones in front."""
        return self._moved(self.order.expand(dims))

    def reshape(self, dims: Sequence[Int]) -> Corners | None:
        """The same numbers in order, on other axes."""
        found = self.order.reshape(dims)
        if found is None:
            return None
        axes = (tuple((_way(step) or 0, n) for step, n in axis) for axis in found.axes)
        return self._moved(Positions(0, tuple(axes)))

    def pick(self, index: object, dims: Sequence[Int]) -> Corners | None:
        """What an index leaves that leaves nothing out: a number only of an axis of one place."""
        picked, left = list[object](), [*self.order.axes]
        for item in items_of(index, len(left)):
            axis = None if item is None else left.pop(0)
            if type(item) is int and not axis:
                item = 0
            elif item is not None and not (type(item) is slice and item == slice(None)):
                return None
            picked.append(item)
        return self._moved(self.order.pick(tuple(picked), dims))

    def _unknown(self, other: object) -> None:
        """What arithmetic makes is told by its law, of corners."""

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _unknown


def _way(step: Int) -> int | None:
    """Whether it is 1 up, 0 or 1 down at all sizes; None if that is open."""
    if step == 0:
        return 0
    up, down = ((low := sharp_lower(s)) is not None and low >= 0 for s in (step, -step))
    return 1 if up else -1 if down else None


def common_order(orders: Sequence[Positions]) -> Positions | None:
    """How all of some numbers go along their axes, where none goes against another one."""
    axes = list[Steps]()
    for along in zip_longest(*(order.axes[::-1] for order in orders), fillvalue=()):
        moving = [axis for axis in along if any(step != 0 for step, _ in axis)]
        counts = {tuple(count for _, count in axis) for axis in moving}
        ways = [{step for step, _ in part} - {0} for part in zip(*moving, strict=False)]
        if len(counts) > 1 or any(len(each) > 1 for each in ways):
            return None
        steps = zip(ways, next(iter(counts), ()), strict=True)
        made = tuple((next(iter(way), 0), count) for way, count in steps)
        axes.append(made or next(filter(None, along), ()))
    return Positions(0, tuple(axes[::-1]))


# Whether what an operation makes rises with its arguments, 1, or falls, -1 -----------------------


def of_no_negatives(args: Arguments) -> Sequence[int] | None:
    """Whether a product rises with both: where none is negative, or one is a number."""
    ways = []
    for own, other in (args, args[::-1]):
        least = other.ends[0] if type(other) is Corners else other
        least = getattr(least, "expr", least)
        if type(own) is not Corners:
            ways.append(1)
        elif type(least) in (int, float):
            above = type(other) is not Corners
            ways.append(1 if least >= 0 else -1 if above else 0)
        else:
            low = sharp_lower(least) if isinstance(least, Size) else None
            ways.append(1 if low is not None and low >= 0 else 0)
    return ways if all(ways) else None


def upwards(args: Arguments) -> Sequence[int]:
    """With each of them."""
    return (1,) * len(args)


def of_two(args: Arguments) -> Sequence[int] | None:
    """The extreme of two tensors, not of one along an axis."""
    return (1, 1) if [*map(type, args)] == [Corners, Corners] else None


def over_a_number(args: Arguments) -> Sequence[int] | None:
    """By a number that is not negative what is larger stays so."""
    positive = len(args) == 2 and type(args[1]) in (int, float) and args[1] > 0
    return (1, 1) if positive else None


def over_a_size(args: Arguments) -> Sequence[int] | None:
    """By a number, or a size, that is above 0 what is larger stays so."""
    by = getattr(args[1], "expr", args[1]) if len(args) == 2 else None
    if type(by) is not Size:
        return over_a_number(args)
    low = sharp_lower(by)
    return (1, 1) if low is not None and low > 0 else None


# What else is told of a tensor -------------------------------------------------------------------


@dataclass(frozen=True)
class Everywhere:
    """The values of a tensor that holds one number at all places, however many there are."""

    number: int


@dataclass(frozen=True)
class Between:
    """Numbers or sizes that a tensor holds, in any order: its least and largest among them.

    by_place: all of its numbers as formulas, if they are that too.
    """

    ends: tuple[Any, ...]
    by_place: Piecewise | None = None


#: What is told of a tensor of any number of elements.
SEVERAL = frozenset({Everywhere, Between, Corners, Piecewise, Positions, Stack})

#: Of these the places are known.
PLACED = (Corners, Positions, Stack)
