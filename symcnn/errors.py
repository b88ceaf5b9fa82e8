"""What can go wrong, by kind. Every message is one line of cause and one line of cure.

All errors derive from `SymcnnError`, so ``except SymcnnError`` catches whatever this
library says about a network, and nothing else.
"""

from __future__ import annotations

__all__ = [
    "BadSpec",
    "DataDependent",
    "InvalidInput",
    "NoSolution",
    "ShapeMismatch",
    "SymcnnError",
    "Undecidable",
    "UnsupportedOperation",
]


class SymcnnError(Exception):
    """Base of all errors raised on purpose by symcnn.

    >>> print(SymcnnError("the cause", cure="the cure"))
    the cause
      the cure
    """

    def __init__(self, cause: str, *, cure: str = "") -> None:
        self.cause = cause
        self.cure = cure
        super().__init__(f"{cause}\n  {cure}" if cure else cause)


class InvalidInput(SymcnnError, ValueError):
    """A size outside the domain of a network: torch would raise there, or fold the batch."""


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
