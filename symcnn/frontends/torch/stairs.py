"""Whole numbers that grow with a size, as stairs: ``int(math.log2(h))``, ``h.bit_length()``.

The law: *what only grows takes a value on an interval of sizes*. So such a number is a branch, of
all sizes of its step, and the sizes beyond are other branches. A float of a size only grows or only
falls where it has the size once, in functions that do: no step of it is rounded the other way,
because sizes are whole and the next one is farther than what floats round by, up to `_FAR`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from symcnn.algebra.size import Size
from symcnn.frontends.torch.questions import Questions

#: So far floats tell the logarithms of neighbours apart.
_FAR = 1 << 40

#: So many steps up to the double of a size are few: each is a branch.
_STEPS = 2


@dataclass(frozen=True)
class Stair:
    """What python computes of one size, and only grows with it, or only falls.

    size: the size.
    at: what python computes of a number.
    """

    size: Size
    at: Callable[[int], float]
    tracer: Questions

    def then(self, function: Callable[[float], float]) -> Stair:
        """What a function that only grows or only falls makes of it."""
        return Stair(self.size, lambda n: function(self.at(n)), self.tracer)

    def value(self) -> float | None:
        """The value where the run is, of all sizes of the step; None if no end of it is known."""
        return self.tracer.step(self.size, self.at)


class _Whole(Protocol):
    expr: Size
    tracer: Questions

    def number(self) -> int: ...


def of_whole(function: Callable[[int], int]) -> Callable[[_Whole], int]:
    """What a function of python that only grows makes of a size: a step, else of the number."""

    def call(size: _Whole) -> int:
        step = size.tracer.step(size.expr, function)
        return function(size.number()) if step is None else int(step)

    return call


@dataclass(frozen=True)
class Tread:
    """The sizes from `first` to `last` (None: all that are larger), where a stair has a value.

    few: whether the steps beside it are few.
    """

    value: float
    first: int
    last: int | None
    few: bool


def tread(stair: Callable[[int], float], here: int) -> Tread | None:
    """The tread of a stair on which a size is; None where no end of it is known."""

    def at(n: int) -> float | None:
        try:
            return stair(n)
        except (ArithmeticError, ValueError):
            return None  # python raises there, which is no value

    value = at(here)
    if value is None or not 0 <= here < _FAR:
        return None
    below = _edge(lambda n: at(here - n) == value, here + 1)
    above = _edge(lambda n: at(here + n) == value, _FAR - here)
    first, last = here - below + 1, here + above - 1
    if last == _FAR - 1:
        if type(value) is not bool or first == 0:
            return None
        last = None  # a truth changes once
    twice = at(2 * here)
    return Tread(value, first, last, twice is not None and abs(twice - value) <= _STEPS)


def _edge(holds: Callable[[int], bool], end: int) -> int:
    """The first number below `end` of which it does not hold, else `end`; it holds of 0."""
    step = 1
    while step < end and holds(step):
        step *= 2
    low, high = step // 2, min(step, end)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high
