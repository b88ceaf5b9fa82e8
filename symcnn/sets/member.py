"""A member of a set: sizes in the order of its names, a plain int where there is one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from symcnn.sets.region import Point

Member = Union[int, Point]


def as_tuple(member: Member) -> Point:
    """The sizes, one alone too."""
    return member if isinstance(member, tuple) else (member,)


def by_name(names: Sequence[str], member: Member) -> dict[str, int]:
    """The sizes by the names that the set shows.

    >>> by_name(("H", "W"), (7, 9)), by_name(("L",), 7)
    ({'H': 7, 'W': 9}, {'L': 7})
    """
    return dict(zip(names, as_tuple(member), strict=True))


def lone(member: Member) -> int:
    """The size that a member of a set over one name is."""
    assert isinstance(member, int)
    return member
