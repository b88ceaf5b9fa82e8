"""What sizes ask of the trace that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from symcnn.algebra.size import Int, Size
from symcnn.sets.condition import Condition


class Questions(Protocol):
    """What a size asks of the trace that it belongs to."""

    def decide(self, condition: Condition) -> bool:
        """Whether it holds: by the domain, or on the branch that is followed."""

    def ratio(self, num: Int, den: Size) -> Int | None:
        """Their quotient where the domain says that it is whole."""

    def divisor(self, expr: Int) -> Int:
        """What is divided by: a number where it takes few values, without maxima in any case."""

    def put_numbers(self, expr: Int) -> Int:
        """The expression with numbers for what the run has taken as numbers."""

    def fix(self, expr: Any) -> Any:
        """The value at the example, for python code that takes plain numbers only."""

    def here(self, expr: Int) -> int:
        """The value at the example, which fixes nothing: for texts and copies."""

    def rounded(self, num: Int, den: Int, value: Callable[[Callable[[Int], int]], float]) -> float:
        """The float of a quotient at the example, which fixes the quotient."""

    def root(self, expr: Int) -> Int | None:
        """The root of a square, and of what is one at the example."""

    def lowest_bit(self, size: Int) -> int | None:
        """The greatest power of 2 that divides a size at the example, which is a branch; 0 of 0;
        None where the size is no linear one.
        """

    def step(self, size: Size, at: Callable[[int], float]) -> float | None:
        """The value of a stair at the example, whose step is a branch; None if it has no end."""
