"""Remainders in one another are one, before isl meets them again.

The law: *where m divides n, and all that* ``x mod n`` *may be lies between two multiples of m, a
bound on* ``x mod m`` *is one on* ``x mod n``: ``x mod 16 <= 7 and x mod 8 <= 3`` is
``x mod 16 <= 3``. Every level of a U-Net asks for one more halving; isl, which keeps each floor as
an unknown of its own, would take longer for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

from symcnn.sets.isl import breathe, integer, isl

if TYPE_CHECKING:
    import islpy


def collapsed(isl_set: islpy.Set) -> islpy.Set:
    """The same set, where it is of one part, in fewer remainders.

    >>> from symcnn.sets.isl import question
    >>> two = "{ [x] : (x + 1) mod 16 <= 7 and 1 <= x mod 8 <= 3 }"
    >>> one = "{ [x] : 2 <= (x + 1) mod 16 <= 4 }"
    >>> question(lambda: collapsed(isl().Set(two)).is_equal(isl().Set(one)))()
    True
    """
    part = _sole(isl_set)
    while part is not None and (joined := _joined(part)) is not None:
        fewer = _sole(joined)
        if fewer is None or _count(fewer) >= _count(part):  # isl makes the same of it again
            break
        isl_set, part = joined, fewer
    return isl_set


def _sole(isl_set: islpy.Set) -> Any:
    """The part of a set of one part, of which isl has made out every floor; else None."""
    parts = isl_set.get_basic_sets() if isl_set.n_basic_set() == 1 else ()
    if len(parts) == 1 and _count(parts[0]) > 1:
        parts = isl_set.compute_divs().get_basic_sets()
    return parts[0] if len(parts) == 1 else None


def _count(part: Any) -> int:
    """The number of floors."""
    return int(part.dim(isl().dim_type.div))


def _joined(part: Any) -> islpy.Set | None:
    """The set of a part with two of its remainders as one; None if there are no such two."""
    breathe()
    for one, other in permutations(_remainders(part) if _count(part) > 1 else (), 2):
        if (both := one.within(other)) is not None:
            left = part.drop_constraints_involving_dims(isl().dim_type.div, one.floor, 1)
            found: islpy.Set = isl().Set.from_basic_set(left).intersect(isl().Set(both.text))
            return found
    return None


@dataclass(frozen=True, slots=True)
class _Remainder:
    """``low <= (e + shift) mod by <= high``, of one of isl's floors."""

    floor: int
    of: tuple[int, ...]  # e, a coefficient for each axis
    shift: int
    by: int
    low: int
    high: int
    alone: bool  # whether nothing else is said of the floor

    def within(self, other: _Remainder) -> _Remainder | None:
        """The other remainder with the bounds of both, if it can say what this one says."""
        if not self.alone or self.of != other.of or other.by % self.by or self.low > self.high:
            return None
        off = self.shift - other.shift
        low, high = self._first(other.low + off), self._last(other.high + off)
        if low // self.by < high // self.by:
            return None
        return replace(other, low=low - off, high=high - off)

    def _first(self, value: int) -> int:
        """The first value of ``e + shift``, from one on, that keeps the bounds."""
        rest = value % self.by
        return value - rest + (max(rest, self.low) if rest <= self.high else self.by + self.low)

    def _last(self, value: int) -> int:
        """The last one, up to a value."""
        rest = value % self.by
        return value - rest + (min(rest, self.high) if rest >= self.low else self.high - self.by)

    @property
    def text(self) -> str:
        """The bounds as isl text."""
        dims = [f"x{i}" for i in range(len(self.of))]
        term = " + ".join(f"{c}*{x}" for c, x in zip(self.of, dims, strict=True))
        bounds = f"{self.low} <= ({term} + {self.shift}) mod {self.by} <= {self.high}"
        return f"{{ [{', '.join(dims)}] : {bounds} }}"


def _remainders(part: Any) -> list[_Remainder]:
    """What a part says of the remainders of its floors."""
    kinds, div = isl().dim_type, isl().dim_type.div
    axes, floors = range(part.dim(kinds.set)), range(part.dim(div))
    known = [part.get_div(i) for i in floors]
    by = [integer(floor.get_denominator_val()) for floor in known]
    of, shift = [], []
    for floor in known:
        whole = floor.scale_val(floor.get_denominator_val())
        of.append(tuple(integer(whole.get_coefficient_val(kinds.in_, axis)) for axis in axes))
        shift.append(integer(whole.get_constant_val()))
    inside = [_floors(floor, floors) for floor in known]
    deep, busy = {i for i in floors if inside[i]}, set[int]().union(*inside)
    low, high = [0 for _ in floors], [b - 1 for b in by]
    for said in part.get_constraints():
        spoken = _floors(said, floors)
        if len(spoken) == 1 and not spoken & deep:
            (i,) = spoken
            times = integer(said.get_coefficient_val(div, i))
            sign = -1 if times > 0 else 1
            line = tuple(sign * integer(said.get_coefficient_val(kinds.set, a)) for a in axes)
            if line == of[i] and abs(times) == by[i]:
                edge = shift[i] - sign * integer(said.get_constant_val())
                if sign > 0 or said.is_equality():
                    low[i] = max(low[i], edge)
                if sign < 0 or said.is_equality():
                    high[i] = min(high[i], edge)
                continue
        busy |= spoken
    return [
        _Remainder(i, of[i], shift[i], by[i], low[i], high[i], i not in busy)
        for i in floors
        if i not in deep
    ]


def _floors(term: Any, floors: Iterable[int]) -> set[int]:
    """The floors that stand in a term of isl."""
    div = isl().dim_type.div
    return {i for i in floors if not term.get_coefficient_val(div, i).is_zero()}
