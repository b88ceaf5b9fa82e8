"""Branches: a network whose python branches on sizes is a disjoint union of networks without any.

The law: *let a run of a forward decide the comparisons g1, ..., gn, one after the other. Then all
sizes are those that meet all of them, and for each i those that meet g1, ..., g(i-1) and not gi;
these sets are disjoint.* Each of the others is decided by a run of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from symcnn.algebra.size import Int, Size, evaluate, upper
from symcnn.errors import BadSpec, InvalidInput, NoSolution, SymcnnError, Undecidable
from symcnn.lazy import sympy
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.sets.formula import spoken
from symcnn.sets.implicit import ImplicitSet
from symcnn.sets.inputset import InputSet
from symcnn.sets.region import Region
from symcnn.sets.words import conjunction, relation
from symcnn.shown import Shown, assignment, scoped
from symcnn.trace.tape import Guard

if TYPE_CHECKING:
    from sympy.logic.boolalg import Boolean

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


def with_rest(error: SymcnnError, unfollowed: Sequence[Unfollowed]) -> SymcnnError:
    """The refusal of all that was followed, with what was not: other sizes may be taken."""
    for one in unfollowed[:1]:
        where = f"that is where {one.only}" if one.only else "that is not everywhere"
        error.cause += (
            f"\n  {where}; not followed: {one}"
            "\n  from_torch(..., example={...}) begins at other sizes"
        )
    return error


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


class Conditions(ImplicitSet):
    """Sizes that meet requirements of which no law makes a set: they are told one by one."""

    def __init__(self, like: InputSet, requirements: tuple[Requirement, ...]) -> None:
        self.like, self.requirements = like, requirements
        super().__init__(like)

    @property
    def _parts(self) -> tuple[InputSet, tuple[Requirement, ...]]:
        return self.like, self.requirements

    @property
    def _explicit(self) -> tuple[Region, ...]:
        return self.like.where(*self.requirements)._sides  # raises Undecidable

    def has(self, at: Mapping[str, int]) -> bool:
        """See `InputSet.has`."""
        if left := frozenset().union(*(r.symbols for r in self.requirements)) - at.keys():
            cure = f"give {', '.join(sorted(left))} too"
            raise Undecidable(f"{self.words()} is told of all sizes together", cure=cure)
        return self.like.has(at) and all(r.holds(at) for r in self.requirements)

    def words(self) -> str:
        """See `InputSet.words`."""
        return conjunction([said(r) for r in self.requirements])

    def describe(self) -> str:
        """See `InputSet.describe`."""
        return self.words()

    def as_sympy(self) -> Boolean:
        """See `InputSet.as_sympy`."""
        options = (getattr(r, "options", [r]) for r in self.requirements)
        return sympy.And(*(sympy.Or(*map(relation, each)) for each in options))


def say_scope(ask: Callable[..., T]) -> Callable[..., T]:
    """The question, of which the answer and the refusal say for which sizes they hold."""

    @wraps(ask)
    def _question(net: Any, *args: object, **options: object) -> T:
        if net.complete:
            return ask(net, *args, **options)

        def again(sizes: Mapping[str, int]) -> T:
            there = net._at(sizes)  # without branches, where this has some
            return getattr(there, ask.__name__)(*args, **options)  # type: ignore[no-any-return]

        try:
            return _within_scope(ask(net, *args, **options), net, again)
        except NoSolution as error:
            if net.scope in error.cause:
                raise
            raise NoSolution(f"{error.cause}; this holds {net.scope}", cure=error.cure) from None

    return _question


def _within_scope(answer: T, net: Any, again: Callable[[Mapping[str, int]], T]) -> T:
    if not isinstance(answer, InputSet):
        return scoped(answer, net.scope)
    found: T = object.__new__(type(answer))  # the set itself is what other questions ask
    vars(found).update(vars(answer), paths=tuple(replace(p, again=again) for p in net.paths))
    return found


@dataclass(frozen=True, slots=True)
class Then(Generic[Net, T]):
    """A question about the answer to another: a function that pickles."""

    first: Callable[[Any], Net]
    next: Callable[[Net], T]

    def __call__(self, asked: object) -> T:
        """The answer to both."""
        return self.next(self.first(asked))


@dataclass(frozen=True, slots=True)
class Part(Generic[Net]):
    """A part of a network, in a trace of it at numbers."""

    again: Callable[[Mapping[str, int]], Any]
    ask: Callable[[Any], Net]

    def __call__(self, sizes: Mapping[str, int]) -> Net:
        """The part at sizes. Raises InvalidInput where the forward does not come to it."""
        net = self.again(sizes)
        try:
            return self.ask(net)
        except BadSpec as error:
            cure = f"trace again with example={dict(sizes)}"
            raise InvalidInput(f"{error.cause} at {assignment(sizes)}", cure=cure) from None


@dataclass(frozen=True, slots=True)
class At(Generic[Net]):
    """A trace again at sizes, of a network whose sizes were given in terms of others."""

    again: Callable[[Mapping[str, int]], Net]
    given: Mapping[str, Int]

    def __call__(self, sizes: Mapping[str, int]) -> Net:
        """The network at sizes of the others."""
        found = {name: int(evaluate(value, sizes)) for name, value in self.given.items()}
        return self.again({**sizes, **found})
