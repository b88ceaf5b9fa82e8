"""Whole numbers that are made of positions: ``arange(h)[:, None] - arange(w) + 7``.

*Each axis adds a multiple of its index.* Such numbers stay such under sums, products by a number,
and whatever moves places; axes are independent, so the least and the largest are sums of those of
each axis. A table that is indexed by a difference of positions asks for exactly these.

An axis is several, the first the slowest, where axes were joined: `flatten` forgets nothing.

Along an axis of a known number of places such numbers may lie one beside the other: a grid that is
stacked, a list of numbers. That is an array of them, and all works on each.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

from symcnn.algebra.size import Int, Size, prod, sharp_lower

#: What an axis adds per place, and how many places it has; of several that were joined. None of an
#: axis of one place.
Steps = tuple[tuple[Int, Int], ...]

#: A static index: a number, a slice, or None for a new axis, each.
Items = list[Any]

#: So many may lie side by side.
FEW = 64


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
        if not all(isinstance(number, (int, Size)) for number in numbers):
            return None  # floats of sizes
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

    def at(self, axis: int, place: int) -> Positions:
        """One place of an axis."""
        left = [*self.axes]
        offsets = Positions(0, (left[axis],))._numbers()
        left[axis] = ()
        return Positions(self.start + offsets[place if len(offsets) > 1 else 0], tuple(left))

    @classmethod
    def everywhere(cls, number: Int, dims: Sequence[Int]) -> Positions:
        """One number at all places."""
        return cls(number, tuple(map(_unmoved, dims)))

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

    @property
    def moves(self) -> bool:
        """Whether the numbers differ."""
        return any(step for axis in self.axes for step, _ in axis)

    @property
    def gapless(self) -> bool:
        """Whether every number between the least and the largest is there."""
        return all(step in (-1, 0, 1) for axis in self.axes for step, _ in axis)

    def __add__(self, other: Any) -> Any:
        if type(other) is Stack:
            return NotImplemented
        that = Positions.of(other)
        if that is None:
            return None
        pairs = zip_longest(self.axes[::-1], that.axes[::-1], fillvalue=())
        axes = [_sum(a, b) for a, b in pairs]
        if None in axes:
            return None
        return Positions(self.start + that.start, tuple(axes[::-1]))  # type: ignore[arg-type]

    def __mul__(self, other: Any) -> Any:
        if type(other) is Stack:
            return NotImplemented
        by = Positions.of(int(other) if type(other) is float and other.is_integer() else other)
        if by is None or (by.moves and self.moves):
            return None
        if by.moves:
            return by * self
        pairs = zip_longest(self.axes[::-1], by.axes[::-1], fillvalue=())
        axes = [tuple((step * by.start, n) for step, n in own) or its for own, its in pairs]
        return Positions(self.start * by.start, tuple(axes[::-1]))

    def __neg__(self) -> Positions:
        axes = (tuple((-step, count) for step, count in axis) for axis in self.axes)
        return Positions(-self.start, tuple(axes))

    def __sub__(self, other: Any) -> Any:
        if type(other) is Stack:
            return NotImplemented
        that = Positions.of(other)
        return None if that is None else self + -that

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

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

    def windows(self, axis: int, step: Int, dims: Sequence[Int]) -> Positions | None:
        """Windows along an axis of one step, a step apart, of a shape `dims`."""
        axes = [*self.axes]
        if len(axes[axis]) > 1:
            return None
        each = axes[axis][0][0] if axes[axis] else 0
        axes[axis] = ((each * step, dims[axis]),)
        return Positions(self.start, (*axes, ((each, dims[-1]),)))

    def pick(self, index: object, dims: Sequence[Int]) -> Positions | None:
        """What a static index leaves, of a shape `dims`."""
        start, axes, left = self.start, list[Steps](), [*self.axes]
        for item in items_of(index, len(self.axes)):
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


@dataclass(frozen=True, eq=False)
class Stack:
    """Positions side by side: an array of them, each of one place along the axes along which the
    array has more.

    >>> H = Size.symbol("H")
    >>> i = Positions(0, (((1, H),),))
    >>> Stack.joined([i, i * 2 + 1], 0).sum(0).ends
    (1, 3*H - 2)
    """

    parts: Any

    @classmethod
    def of(cls, value: object) -> Stack | None:
        """Positions, or a few whole numbers in any order; None of others."""
        if type(value) is cls:
            return value
        whole = Positions.of(value)
        if whole is not None:
            return cls._of([whole], (1,) * len(whole.axes))
        dims = getattr(value, "shape", ())
        each = [Positions.of(v) for v in getattr(value, "flat", ())]
        return cls._of([p and Positions(p.start, ((),) * len(dims)) for p in each], dims)

    @classmethod
    def _of(cls, each: Sequence[Positions | None], dims: Sequence[int]) -> Stack | None:
        if not each or None in each:
            return None
        import numpy as np

        parts = np.empty(len(each), dtype=object)
        parts[:] = each
        return cls(parts.reshape(dims))

    @classmethod
    def joined(cls, several: Sequence[object], axis: int, *, new: bool = True) -> Stack | None:
        """Numbers beside each other along a new axis, or along one of few places."""
        import numpy as np

        rows = [stack for one in several if (stack := cls.of(one)) is not None]
        if not rows or len(rows) != len(several):
            return None
        rows = [row._insert(axis) for row in rows] if new else rows
        apart = axis % rows[0].parts.ndim
        for i in range(rows[0].parts.ndim):
            if i == apart or any(row.parts.shape[i] > 1 for row in rows):
                beside = [row._beside(i) for row in rows]
                if None in beside:
                    return None
                rows = [row for row in beside if row is not None]
        return cls(np.concatenate([row.parts for row in rows], apart))

    def _insert(self, axis: int) -> Stack:
        """With a new axis of one place."""
        at = axis % (self.parts.ndim + 1)
        dims = (*self.parts.shape[:at], 1, *self.parts.shape[at:])
        moved = [Positions(p.start, (*p.axes[:at], (), *p.axes[at:])) for p in self.parts.flat]
        return cast("Stack", self._of(moved, dims))

    def _places(self, axis: int) -> Int:
        """Of each along an axis."""
        counts = (_product(p.axes[axis]) for p in self.parts.flat)
        return next((count for count in counts if count != 1), 1)

    def _beside(self, axis: int) -> Stack | None:
        """With the places along an axis side by side, if they are few; None if not."""
        count = self._places(axis)
        if count == 1:
            return self
        if type(count) is not int or count * self.parts.size > FEW:
            return None
        import numpy as np

        rows = [
            np.vectorize(lambda p, i=i: p.at(axis, i), [object])(self.parts) for i in range(count)
        ]
        return Stack(np.concatenate(rows, axis))

    @property
    def numbers(self) -> Stack | None:
        """Number by number, if there are few; None if not."""
        found: Stack | None = self
        for axis in range(self.parts.ndim):
            found = found and found._beside(axis)
        return found

    def _each(
        self, make: Callable[[Positions], Positions | None], parts: Any = None
    ) -> Stack | None:
        """What is made of each; None if something cannot be made of one."""
        parts = self.parts if parts is None else parts
        return self._of([make(p) for p in parts.flat], parts.shape)

    @property
    def ends(self) -> tuple[Int, ...]:
        """Some of the numbers, the least and the largest among them."""
        return tuple(dict.fromkeys(end for part in self.parts.flat for end in part.ends))

    def _with(self, other: object, make: Callable[[Any, Any], Any]) -> Stack | None:
        this: Stack | None = self
        that = Stack.of(other)
        for i in range(1, 1 + min(self.parts.ndim, that.parts.ndim if that else 0)):
            if this and that and max(this.parts.shape[-i], that.parts.shape[-i]) > 1:
                this, that = this._beside(-i), that._beside(-i)
        if this is None or that is None:
            return None
        import numpy as np

        made = np.asarray(make(this.parts, that.parts), dtype=object)
        return self._of([*made.flat], made.shape)

    def __add__(self, other: object) -> Stack | None:
        return self._with(other, operator.add)

    def __mul__(self, other: object) -> Stack | None:
        return self._with(other, operator.mul)

    def __sub__(self, other: object) -> Stack | None:
        return self._with(other, operator.sub)

    def __rsub__(self, other: object) -> Stack | None:
        return self._with(other, lambda a, b: b - a)

    __radd__, __rmul__ = __add__, __mul__

    def transpose(self, *order: int | Sequence[int]) -> Stack | None:
        """The axes in another order."""
        return self._each(lambda p: p.transpose(*order), self.parts.transpose(*order))

    def flip(self, axes: Sequence[int]) -> Stack | None:
        """Some axes from their ends."""
        import numpy as np

        return self._each(lambda p: p.flip(axes), np.flip(self.parts, tuple(axes)))

    def expand(self, dims: Sequence[Int]) -> Stack | None:
        """Axes of one place stretched, and new ones in front."""
        shape = (1,) * (len(dims) - self.parts.ndim) + self.parts.shape
        along = [1 if count > 1 else dim for count, dim in zip(shape, dims, strict=True)]
        return self._each(lambda p: p.expand(along), self.parts.reshape(shape))

    def reshape(self, dims: Sequence[Int]) -> Stack | None:
        """The same numbers in order; an axis along which they lie side by side stays one."""
        left, along, shape = [*dims], list[Int](), list[int]()
        wanted: Int = 1  # of places since such an axis
        taken: Int = 1
        for axis, count in enumerate(self.parts.shape):
            if count == 1:
                wanted = wanted * self._places(axis)
                continue
            while left and (taken != wanted or left[0] == 1):
                taken = taken * left[0]
                along.append(left.pop(0))
                shape.append(1)
            if not left or left.pop(0) != count:
                return None
            along.append(1)
            shape.append(count)
            wanted = taken = 1
        return self._each(
            lambda p: p.reshape([*along, *left]), self.parts.reshape([*shape, *(1 for _ in left)])
        )

    def pick(self, index: object, dims: Sequence[Int]) -> Stack | None:
        """What a static index leaves, of a shape `dims`."""
        beside, along, sizes = list[Any](), list[Any](), list[Int]()
        axis = 0
        for item in items_of(index, self.parts.ndim):
            one = type(item) is int
            if item is None or self.parts.shape[axis] == 1:
                beside.append(None if item is None else 0 if one else slice(None))
                along.append(item)
                sizes += [] if one else [dims[len(sizes)]]
            else:
                beside.append(item)
                along.append(0 if one else slice(None))
                sizes += [] if one else [1]
            axis += item is not None
        return self._each(lambda p: p.pick(tuple(along), sizes), self.parts[(*beside, ...)])

    def put(self, index: object, value: object) -> Stack | None:
        """With other numbers where a static index picks, all of the axes along which each goes."""
        import numpy as np

        items, new = items_of(index, self.parts.ndim), Stack.of(value)
        walks = [self._places(axis) != 1 for axis in range(self.parts.ndim)]
        if None in items or any(w and i != slice(None) for w, i in zip(walks, items, strict=True)):
            return None
        kept = [axis for axis, item in enumerate(items) if type(item) is not int]
        for i, axis in enumerate(kept[::-1]):
            if new is not None and i < new.parts.ndim and not walks[axis]:
                new = new._beside(-1 - i)
        if new is None:
            return None

        def moved(p: Positions) -> Positions:
            axes = [_unmoved(self._places(axis)) for axis in range(len(walks))]
            for axis, steps in zip(kept[::-1], p.axes[::-1], strict=False):
                axes[axis] = steps or axes[axis]
            return Positions(p.start, tuple(axes))

        parts = self.parts.copy()
        parts[(*items, ...)] = np.vectorize(moved, [object])(new.parts)
        return Stack(parts)

    def along(self, axis: int) -> list[Stack] | None:
        """What each place of an axis has, if they are few."""
        listed, at = self._beside(axis), axis % self.parts.ndim
        if listed is None:
            return None

        def rest(p: Positions) -> Positions:
            return Positions(p.start, (*p.axes[:at], *p.axes[at + 1 :]))

        before = (slice(None),) * at
        rows = (listed.parts[(*before, i, ...)] for i in range(listed.parts.shape[at]))
        return [cast("Stack", self._each(rest, row)) for row in rows]

    def sum(self, axis: int) -> Stack | None:
        """The numbers along an axis of few places, added up."""
        rows = self.along(axis)
        if rows is None:
            return None
        total: Stack | None = rows[0]
        for row in rows[1:]:
            total = None if total is None else total + row
        return total


def items_of(index: object, count: int) -> Items:
    """An index as an item per axis, and None per new one."""
    items: list[Any] = [*index] if isinstance(index, tuple) else [index]
    used = sum(item is not None and item is not Ellipsis for item in items)
    at = items.index(Ellipsis) if Ellipsis in items else len(items)
    items[at : at + 1] = [slice(None)] * (count - used)
    return items


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
