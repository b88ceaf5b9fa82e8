"""What all places of a tensor read together, along one axis of the input.

The law: *a window reads a map on to its end, or leaves rows over, which nothing behind it reads.*
Of y places a window reads up to ``s*(y - 1) - a + r - 1``, and no further than the map is. So the
last index that the places of a tensor read is the last one of the map before, or that of its own
last place, whichever is less; likewise the first one. Where a window pads ``s - 1`` places or more
on the right, and crops none, nothing is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from symcnn.algebra.size import Int
from symcnn.errors import Undecidable
from symcnn.questions.field.reach import ReadRange, Unknown, least, most, over_all

#: First and last index of the input.
Ends = tuple[Int, Int]

#: So many are worked out one within the other.
_DEPTH = 64


class Together:
    """First and last index that all places of a tensor read, worked out when they are asked for."""

    __slots__ = ("_ends", "_work", "depth")

    def __init__(self, work: Callable[[], Ends], before: Sequence[Together] = ()) -> None:
        self._ends: Ends | None = None
        self._work = work
        self.depth: int = 1 + max((b.depth for b in before), default=-1)
        if self.depth > _DEPTH:
            with suppress(Undecidable):
                self._ends, self.depth = work(), 1

    @property
    def ends(self) -> Ends:
        """The two. Raises Undecidable where there is no formula."""
        if self._ends is None:
            self._ends = self._work()
        return self._ends

    @property
    def ends_or_none(self) -> Ends | None:
        """The same; None where there is no formula."""
        with suppress(Undecidable):
            return self.ends
        return None


def of_input(length: Int) -> Together:
    """Of the input itself."""
    return Together(partial(_input, length))


def of_ends(ends: Ends, before: Together) -> Together:
    """What is known to be read, of what a tensor before reads."""
    return Together(partial(_same, ends), [before])


def behind(before: Together, reach: ReadRange, dims: Sequence[Int]) -> Together:
    """Behind a layer that may leave rows over: what its output of the sizes `dims` reads."""
    return Together(partial(_behind, before, reach, dims), [before])


def of_any(operands: Sequence[Together]) -> Together:
    """What any of several operands reads; no operand reads more than the input has."""
    several = list(dict.fromkeys(operands))
    best = min(several, key=lambda operand: operand.depth)
    return Together(partial(_any, several), several) if best.depth and several[1:] else best


def _input(length: Int) -> Ends:
    return 0, length - 1


def _same(ends: Ends) -> Ends:
    return ends


def _behind(before: Together, reach: ReadRange, dims: Sequence[Int]) -> Ends:
    if isinstance(reach, Unknown):
        raise reach.error
    low, high = before.ends
    first, last = over_all(reach, dims)
    return most(first, low), least(last, high)


def _any(operands: Sequence[Together]) -> Ends:
    first, last = operands[0].ends
    for operand in operands[1:]:
        low, high = operand.ends
        first, last = least(first, low), most(last, high)
    return first, last
