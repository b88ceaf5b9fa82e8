"""What a layer asks of its input: equalities and inequalities between integer expressions.

A network's domain is the conjunction of its nodes' conditions. They stay as the rule wrote
them (``padded input >= kernel extent``), so that an error can quote both sides; `symcnn.sets`
brings them to a normal form and solves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Union

from symcnn.factor import text
from symcnn.size import Int, evaluate, lower, symbols_of, upper

__all__ = ["AnyOf", "Condition", "KeepsBatch", "Requirement", "settled"]


@dataclass(frozen=True, slots=True)
class Condition:
    """``lhs >= rhs`` or ``lhs == rhs``, and why a layer asks for it.

    >>> from symcnn.size import Size
    >>> H = Size.symbol("H")
    >>> print(Condition(H + 6, ">=", 7, "the kernel must fit into the padded input"))
    H + 6 >= 7
    """

    lhs: Int
    relation: Literal[">=", "=="]
    rhs: Int
    why: str = ""

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether it holds at `values`."""
        lhs, rhs = evaluate(self.lhs, values), evaluate(self.rhs, values)
        return bool(lhs >= rhs if self.relation == ">=" else lhs == rhs)

    def consequence(self, values: Mapping[str, int]) -> str:
        """What goes wrong at `values`, in words."""
        return f"{evaluate(self.lhs, values)} {self._negated} {evaluate(self.rhs, values)}"

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes it speaks of."""
        return symbols_of(self.lhs, self.rhs)

    @property
    def _negated(self) -> str:
        return "<" if self.relation == ">=" else "!="

    def __str__(self) -> str:
        return f"{text(self.lhs)} {self.relation} {text(self.rhs)}"


@dataclass(frozen=True, slots=True)
class KeepsBatch(Condition):
    """``view(-1, rhs)`` keeps the images apart only if each has `rhs` elements (`lhs` of them).

    Where `total` (all elements) is another multiple of `rhs`, torch does not raise: it hands back
    a batch of another size. That is the one place where symcnn refuses what torch accepts.
    """

    total: Int = 0

    def consequence(self, values: Mapping[str, int]) -> str:
        """What torch would do at `values`: raise, or fold images into the batch."""
        total, row = evaluate(self.total, values), evaluate(self.rhs, values)
        each = evaluate(self.lhs, values)
        have = f"each image has {each} elements, not {row}"
        if total % row:
            return f"{have}; torch: shape '[-1, {row}]' is invalid for input of size {total}"
        return (
            f"{have}; torch would not complain: "
            f"{total // each} image(s) would come back as a batch of {total // row}"
        )


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of `options` must hold."""

    options: tuple[Condition, ...]
    why: str = ""

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether one of them holds at `values`."""
        return any(option.holds(values) for option in self.options)

    def consequence(self, values: Mapping[str, int]) -> str:
        """What goes wrong at `values`, in words."""
        return " and ".join(option.consequence(values) for option in self.options)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes it speaks of."""
        return frozenset[str]().union(*(option.symbols for option in self.options))

    def __str__(self) -> str:
        return " or ".join(map(str, self.options))


Requirement = Union[Condition, AnyOf]


def settled(requirement: Requirement) -> bool | None:
    """True or False if `requirement` holds, or fails, for all sizes at a glance; else None."""
    if isinstance(requirement, AnyOf):
        verdicts = [settled(option) for option in requirement.options]
        return True if True in verdicts else False if set(verdicts) <= {False} else None
    if requirement.lhs == requirement.rhs:
        return True
    gap = requirement.lhs - requirement.rhs
    low, high = lower(gap), upper(gap)
    if requirement.relation == "==":
        return False if (low is not None and low > 0) or (high is not None and high < 0) else None
    return (
        True if low is not None and low >= 0 else False if high is not None and high < 0 else None
    )
