"""Sets that answer member by member, and have a plain isl set only where a question asks for one.

The law: *what is written alike is equal.* What such a set is made of, `_parts`, compares and
pickles; `_explicit` is the set as a whole, of which set algebra makes use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from symcnn.sets.inputset import InputSet
from symcnn.sets.region import Region


class ImplicitSet(InputSet, ABC):
    """A set of the names of `like`, which is made of `_parts`: the arguments that make it."""

    def __init__(self, like: InputSet) -> None:
        super().__init__(like.names, (), batch=like.optional, at=like.at)

    @property
    @abstractmethod
    def _parts(self) -> tuple[Any, ...]:
        """What it is made of."""

    @property
    @abstractmethod
    def _explicit(self) -> tuple[Region, ...]:
        """The sides of the whole set, however many members it takes."""

    def __reduce__(self) -> Any:
        return type(self), self._parts, self._beside

    def __eq__(self, other: object) -> bool:
        """What is written alike is equal, however many members it takes to compare."""
        alike = isinstance(other, type(self)) and self._parts == other._parts
        return alike or super().__eq__(other)

    __hash__ = InputSet.__hash__

    def _whole_has(self, place: int) -> bool:
        return self._place(place) in self

    @property
    def _sides(self) -> tuple[Region, ...]:
        return self._explicit

    @_sides.setter
    def _sides(self, value: tuple[Region, ...]) -> None:
        """There is none until a question asks for the set as a whole."""
