"""What can go wrong, by kind. Every message is one line of cause and one line of cure.

All errors derive from `SymcnnError`, so ``except SymcnnError`` catches whatever this
library says about a network, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any, Protocol, TypeVar

_Error = TypeVar("_Error", bound=BaseException)


class Cure(Protocol):
    """Changes to a model that make its shapes agree, as text."""

    @property
    def steps(self) -> tuple[str, ...]:
        """Each change, as python or as a line of a file."""

    @property
    def complete(self) -> bool:
        """Whether nothing else fails then."""


class SymcnnError(Exception):
    """Base of all errors raised on purpose by symcnn.

    cure: what to do, or a function that finds it out. It is called when the error is first read:
    one that is only caught costs nothing.
    sides: what there is, and what is wanted; and so on in pairs, where several may be meant.

    >>> print(SymcnnError("the cause", cure="the cure"))
    the cause
      the cure
    """

    #: Of a trace that failed: the network up to there, see `symcnn.trace_until_error`.
    partial: Any = None

    #: What traced, when it failed.
    tracer: Any = None

    #: How many operations came before the one that failed; None for all that there are.
    position: Any = None

    #: The operation that failed, see `symcnn.trace.graph.Attempt`.
    attempt: Any = None

    #: What a layer requires, and these sizes do not meet.
    requirement: Any = None

    def __init__(
        self, cause: str, *, cure: str | Callable[[], str] = "", sides: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self._cure = cure
        self._cures: tuple[Cure, ...] | Callable[[], tuple[Cure, ...]] = ()
        self.sides = sides  # what there is and what is wanted, of two sizes that do not agree

    @property
    def cure(self) -> str:
        """What to do about it, in one line; empty if there is nothing to be said."""
        if not isinstance(self._cure, str):
            self._cure = self._cure()
        if not self.cures:
            traced = "error.partial is the network up to there, for every question"
            return self._cure or (traced if self.partial is not None else "")
        said = "\n  or: ".join(str(cure).replace("\n", "\n      ") for cure in self.cures)
        return f"{self._cure}\n  cure: {said}".removeprefix("\n  ")

    @property
    def cures(self) -> tuple[Cure, ...]:
        """Changes to the model that were tried and make the shapes agree, the shortest first."""
        if not isinstance(self._cures, tuple):
            finder, self._cures = self._cures, ()
            self._cures = finder()
        return self._cures

    def finds_cures(self, finder: Callable[[], tuple[Cure, ...]]) -> None:
        """How cures are found, when they are first read."""
        self._cures = finder

    def __str__(self) -> str:
        return f"{self.cause}\n  {self.cure}" if self.cure else self.cause

    def __reduce__(self) -> tuple[Callable[[str], SymcnnError], tuple[str]]:
        return partial(type(self), cure=self.cure), (self.cause,)


class InvalidInput(SymcnnError, ValueError):
    """A size outside the domain of a network: torch would raise there, or fold the batch.

    unmet: the requirement that does not hold there.
    """

    unmet: Any = None


class ShapeMismatch(SymcnnError, ValueError):
    """Shapes or hyperparameters that cannot agree at any size (cat, add, linear, channels)."""


class NoSolution(SymcnnError, ValueError):
    """No input reaches the target."""


class UnsupportedOperation(SymcnnError, NotImplementedError):
    """An operation that has no rule; never counted as zero."""


class DataDependent(SymcnnError, TypeError):
    """A shape or a branch that depends on the values in a tensor."""


class Undecidable(SymcnnError, ArithmeticError):
    """A condition outside linear integer arithmetic: no exact set can be given for it."""


class BadSpec(SymcnnError, ValueError):
    """Malformed text from the user: a shape spec, a size, a target, a name."""

    @classmethod
    def at(cls, text: str, position: int, cause: str, *, cure: str = "") -> BadSpec:
        """A `BadSpec` that points at the offending character of `text`.

        >>> print(BadSpec.at("N 3 H ?", 6, "not a size"))
        not a size
            N 3 H ?
                  ^
        """
        pointer = f"{cause}\n    {text}\n    {' ' * position}^"
        return cls(pointer, cure=cure)


class BadArgument(BadSpec, TypeError):
    """An argument that a function or a layer does not take."""

    @classmethod
    def unknown(cls, function: str, name: str, names: Iterable[str]) -> BadArgument:
        """The error for a keyword that is not among those that there are.

        >>> print(BadArgument.unknown("Conv2d", "stirde", ["kernel_size", "stride"]))
        Conv2d takes no argument called 'stirde'
          did you mean stride
        """
        return cls(f"{function} takes no argument called {name!r}", cure=suggested(name, names))


def suggested(name: str, names: Iterable[str]) -> str:
    """What may be meant by a name that is none of these, in words."""
    listed = [*dict.fromkeys(names)]
    near = get_close_matches(str(name), listed, n=3)
    return f"{'did you mean' if near else 'there is'} {', '.join(near or listed[:8])}"


def without_frames(error: _Error) -> _Error:
    """The same error, to be kept, without the frames that it came through, which hold tensors."""
    twin = type(error).__new__(type(error), *error.args)
    for name, value in vars(error).items():
        twin.__dict__[name] = without_frames(value) if isinstance(value, BaseException) else value
    twin.__cause__ = None if error.__cause__ is None else without_frames(error.__cause__)
    return twin


class MissingExtra(SymcnnError, ImportError):
    """A package that an optional part of symcnn needs and that is not installed."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """The imports within belong to an extra of symcnn, which the error names where one is missing.

    >>> with needs("plot", "pictures"):
    ...     import no_such_package
    Traceback (most recent call last):
    symcnn.errors.MissingExtra: pictures need the package no_such_package, which is not installed
      pip install 'symcnn[plot]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{what} need the package {error.name}, which is not installed",
            cure=f"pip install 'symcnn[{extra}]'",
        ) from None
