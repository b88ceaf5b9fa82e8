"""Whole numbers that are made of positions: ``arange(h)[:, None] - arange(w) + 7``.

*Each axis adds a multiple of its index.* Such numbers stay such under sums, products by a number,
and whatever moves places; axes are independent, so the least and the largest are sums of those of
each axis. A table that is indexed by a difference of positions asks for exactly these.

An axis is several, the first the slowest, where axes were joined: `flatten` forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

from symcnn.algebra.size import Int, Size, prod, sharp_lower

#: What an axis adds per place, and how many places it has; of several that were joined. None of an
#: axis of one place.
Steps = tuple[tuple[Int, Int], ...]


@dataclass(frozen=True)
class Positions:
    """``start + step*index`` summed over axes.

    >>> H = Size.symbol("H")
    >>> rows, columns = Positions(0, (((1, H),),)), Positions(0, (((1, 7),),))
    >>> (rows.reshape((H, 1)) - columns + 6).ends
    (0, H + 5)
    """

    start: Int
    axes: tuple[Steps, ...] = ()

    @classmethod
    def of(cls, value: object) -> Positions | None:
        """Numbers as such: one, or an array with equal steps along each axis; None of others."""
        if type(value) is cls:
            return value
        whole = getattr(value, "expr", value)
        if isinstance(whole, (int, Size)):
            return cls(whole)
        numbers = [getattr(v, "expr", v) for v in getattr(value, "flat", ())]
        steps, behind = list[Steps](), 1
        for count in getattr(value, "shape", ())[::-1] if numbers else ():
            steps.append(((numbers[behind] - numbers[0], count),) if count > 1 else ())
            behind *= count
        found = cls(numbers[0] if numbers else 0, tuple(steps[::-1]))
        return found if numbers == found._numbers() else None

    def _numbers(self) -> list[Int]:
        """All of the numbers in order, of axes of so many places."""
        found = [self.start]
        for step, count in (part for axis in self.axes for part in axis):
            found = [number + step * i for number in found for i in range(cast("int", count))]
        return found

    @property
    def ends(self) -> tuple[Int, ...]:
        """Some of the numbers, the least and the largest among them."""
        least, largest = [self.start], [self.start]
        for step, count in (part for axis in self.axes for part in axis):
            far = step * (count - 1)
            up, down = ((low := sharp_lower(s)) is not None and low >= 0 for s in (step, -step))
            moved = [[e + far for e in ends] for ends in (least, largest)]
            least, largest = (
                (moved[0] if down else least if up else least + moved[0]),
                (moved[1] if up else largest if down else largest + moved[1]),
            )
        return tuple(dict.fromkeys((*least, *largest)))

    def __add__(self, other: Any) -> Positions | None:
        that = Positions.of(other)
        if that is None:
            return None
        pairs = zip_longest(self.axes[::-1], that.axes[::-1], fillvalue=())
        axes = [_sum(a, b) for a, b in pairs]
        if None in axes:
            return None
        return Positions(self.start + that.start, tuple(axes[::-1]))  # type: ignore[arg-type]

    def __mul__(self, other: Any) -> Positions | None:
        by = Positions.of(int(other) if type(other) is float and other.is_integer() else other)
        if by is None or any(by.axes):
            return None if by is None or any(self.axes) else by * self.start
        lead = ((),) * (len(by.axes) - len(self.axes))
        axes = (tuple((step * by.start, n) for step, n in axis) for axis in self.axes)
        return Positions(self.start * by.start, (*lead, *axes))

    def __neg__(self) -> Positions:
        axes = (tuple((-step, count) for step, count in axis) for axis in self.axes)
        return Positions(-self.start, tuple(axes))

    def __sub__(self, other: Any) -> Positions | None:
        that = Positions.of(other)
        return None if that is None else self + -that

    def __rsub__(self, other: Any) -> Positions | None:
        found: Positions | None = -self + other
        return found

    __radd__, __rmul__ = __add__, __mul__

    @property
    def T(self) -> Positions:  # noqa: N802  # as arrays call it
        """The axes backwards."""
        return Positions(self.start, self.axes[::-1])

    def swapaxes(self, a: int, b: int) -> Positions:
        """Two axes exchanged."""
        axes = [*self.axes]
        axes[a], axes[b] = axes[b], axes[a]
        return Positions(self.start, tuple(axes))

    def transpose(self, *order: int | Sequence[int]) -> Positions:
        """The axes in another order."""
        named = order[0] if isinstance(order[0], Sequence) else cast("Sequence[int]", order)
        return Positions(self.start, tuple(self.axes[i] for i in named))

    def flip(self, axes: Sequence[int]) -> Positions:
        """Some axes from their ends."""
        start, found = self.start, [*self.axes]
        for i in axes:
            start = start + sum(step * (count - 1) for step, count in found[i])
            found[i] = tuple((-step, count) for step, count in found[i])
        return Positions(start, tuple(found))

    def expand(self, dims: Sequence[Int]) -> Positions | None:
        """Axes of one place stretched, and new ones in front."""
        axes = (((),) * (len(dims) - len(self.axes)), self.axes)
        pairs = zip((*axes[0], *axes[1]), dims, strict=True)
        return Positions(self.start, tuple(a or _unmoved(d) for a, d in pairs))

    def reshape(self, dims: Sequence[Int]) -> Positions | None:
        """The same numbers in order, on other axes: of a step that they share, or several."""
        left, axes = [part for axis in self.axes for part in axis], [*dims]
        found: list[Steps] = []
        while axes:
            took = _first_axes(left, axes)
            if took is None:
                return None
            parts, count = took
            found += parts
            del axes[: len(parts)], left[:count]
        return None if left else Positions(self.start, tuple(found))

    def pick(self, index: object, dims: Sequence[Int]) -> Positions | None:
        """What a static index leaves, of a shape `dims`."""
        items: list[Any] = [*index] if isinstance(index, tuple) else [index]
        used = sum(item is not None and item is not Ellipsis for item in items)
        at = items.index(Ellipsis) if Ellipsis in items else len(items)
        items[at : at + 1] = [slice(None)] * (len(self.axes) - used)
        start, axes, left = self.start, list[Steps](), [*self.axes]
        for item in items:
            if item is None:
                axes.append(())
                continue
            axis = left.pop(0)
            if item == slice(None):
                axes.append(axis)
                continue
            first = item.start or 0 if type(item) is slice else item
            if len(axis) > 1 or type(first) is not int:
                return None
            step, count = axis[0] if axis else (0, 1)
            if first < 0 and type(item) is slice:
                return None
            start = start + step * (first if first >= 0 else count + first)
            if type(item) is slice:
                length = dims[len(axes)]
                axes.append(() if length == 1 else ((step * (item.step or 1), length),))
        return Positions(start, tuple(axes))


def _unmoved(count: Int) -> Steps:
    return () if count == 1 else ((0, count),)


def _sum(a: Steps, b: Steps) -> Steps | None:
    """What two tensors add along an axis; None where their joined axes differ."""
    if not (any(step for step, _ in a) and any(step for step, _ in b)):
        return a if any(step for step, _ in a) or not b else b
    if [count for _, count in a] != [count for _, count in b]:
        return None
    return tuple((x + y, count) for (x, count), (y, _) in zip(a, b, strict=True))


def _first_axes(left: Sequence[tuple[Int, Int]], dims: Sequence[Int]) -> Any:
    """What the first of some axes have of the parts that are left, and how many parts these are."""
    if dims[0] == 1:
        return [()], 0
    for many in range(1, len(left) + 1):
        if _product(left[:many]) == dims[0]:
            return [tuple(left[:many])], many
    step, count = left[0] if left else (0, 1)
    for many in range(2, len(dims) + 1):
        if prod(dims[:many]) == count:
            behind = [prod(dims[i + 1 : many]) for i in range(many)]
            made = zip(behind, dims[:many], strict=True)
            return [() if n == 1 else ((step * rest, n),) for rest, n in made], 1
    return None


def _product(parts: Sequence[tuple[Int, Int]]) -> Int:
    return prod(count for _, count in parts)
