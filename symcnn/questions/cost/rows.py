"""The lines of tables of costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from symcnn.shown import Shown

__all__ = ["Roof", "Row"]


@dataclass(frozen=True)
class Row:
    """One line of a cost table: a node, or a module with everything below it."""

    name: str
    op: str  # "" for a module
    depth: int
    values: Mapping[str, Any]  # by column: a Formula, or an int at sizes; share: a Fraction or None

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(frozen=True)
class Roof(Shown):
    """One node under a roofline: its work, its traffic, what bounds it, and the least time."""

    name: str
    flops: int
    moved: int  # bytes
    bound: str  # "compute" or "memory"
    seconds: float

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.moved

    def __str__(self) -> str:
        return f"{self.name}: bound by {self.bound}, at least {self.seconds * 1e6:.1f} us"
