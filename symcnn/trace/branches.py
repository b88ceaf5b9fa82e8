"""Branches: a network whose python branches on sizes is a disjoint union of networks without any.

The law: *let a run of a forward decide the comparisons g1, ..., gn, one after the other. Then all
sizes are those that meet all of them, and for each i those that meet g1, ..., g(i-1) and not gi;
these sets are disjoint.* Each of the others is decided by a run of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, NamedTuple, TypeVar

from symcnn.algebra.size import Size, upper
from symcnn.errors import NoSolution
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.sets.formula import spoken
from symcnn.sets.inputset import InputSet
from symcnn.shown import Shown, within
from symcnn.trace.tape import Guard

Net = TypeVar("Net")
T = TypeVar("T")


@dataclass(frozen=True)
class Branch(Shown, Generic[Net]):
    """One path through a forward: the sizes that take it, and the network that they meet.

    Attributes:
        where: the sizes that take this path; those of other branches take another.
        network: a network without branches.
        taken: the comparisons on the way, ``"model.py:12 H % 2 == 1"``.
    """

    where: InputSet
    network: Net
    taken: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {self.network!r}"


class Refusal(NamedTuple):
    """A path that ends without a network: what the model raises, or "" where a layer refuses."""

    path: tuple[Guard, ...]
    said: str

    def takes(self, sizes: Mapping[str, int]) -> bool:
        """Whether sizes take this path."""
        return all(guard.requirement.holds(sizes) for guard in self.path)


@dataclass(frozen=True)
class Unfollowed(Shown):
    """A side of a comparison that no branch describes, and why.

    Attributes:
        where_in_code: file and line of the comparison.
        condition: what the sizes meet that are left out.
        reason: why the forward was not followed there.
        only: what the sizes meet, in their place, for which answers hold.
    """

    where_in_code: str
    condition: str
    reason: str
    only: str = ""

    def __str__(self) -> str:
        return f"{self.condition} ({self.where_in_code}): {self.reason}"


def negation(requirement: Requirement) -> list[Requirement]:
    """What holds where `requirement` does not, all of it."""
    if isinstance(requirement, AnyOf):
        equal = requirement.denied
        return [equal] if equal else [r for o in requirement.options for r in negation(o)]
    assert isinstance(requirement, Condition)  # no python branch speaks of a number of blocks
    lhs, rhs = requirement.lhs, requirement.rhs
    moved = rhs.const if isinstance(lhs, int) and isinstance(rhs, Size) else 0
    moved = moved if isinstance(moved, int) else 0
    below = Condition(rhs - moved, ">=", lhs + 1 - moved)
    if requirement.relation == ">=":
        return [below]
    options = (Condition(lhs, ">=", rhs + 1), below)
    highs = [upper(option.lhs - option.rhs) for option in options]
    possible = tuple(o for o, high in zip(options, highs, strict=True) if (high or 0) >= 0)
    return [possible[0] if len(possible) == 1 else AnyOf(possible)]


def said(requirement: Requirement) -> str:
    """A requirement as python writes it: ``H % 2 != 0`` for more or less than 0."""
    if isinstance(requirement, AnyOf):
        equal = requirement.denied
        if equal is not None:
            return spoken(equal).replace(" == ", " != ")
        return " or ".join(map(spoken, requirement.options))
    return spoken(requirement)


def say_scope(ask: Callable[..., T]) -> Callable[..., T]:
    """The question, of which the answer and the refusal say for which sizes they hold."""

    @wraps(ask)
    def _question(net: Any, *args: object, **options: object) -> T:
        if net.complete:
            return ask(net, *args, **options)
        try:
            return _within_scope(ask(net, *args, **options), net)
        except NoSolution as error:
            if net.scope in error.cause:
                raise
            raise NoSolution(f"{error.cause}; this holds {net.scope}", cure=error.cure) from None

    return _question


def _within_scope(answer: T, net: Any) -> T:
    if not isinstance(answer, InputSet):
        return within(answer, net.scope)
    if net.scope not in answer.note:
        answer.note = net.within_scope(answer.note).strip()
    return answer
