"""`Coverage`: which sizes a network tells of: all, or those whose branches were followed.

The law: *an answer that does not hold for all sizes says so.* Of sizes that no branch describes,
the module itself is asked, in a trace at these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from symcnn.algebra.expr import Number, from_sympy
from symcnn.algebra.size import Int, whole_numbers
from symcnn.errors import InvalidInput, SymcnnError, Undecidable
from symcnn.sets.paths import Paths
from symcnn.shown import Several, assignment
from symcnn.trace.branches import Unfollowed
from symcnn.trace.tape import Guard


class Coverage:
    """The branches of a network that were followed, and those that were not."""

    def __init__(self) -> None:
        self.guards: tuple[Guard, ...] = ()
        self.checks: tuple[str, ...] = ()  # the lines that raise for some values
        self.lengths: tuple[Int, ...] = ()  # sizes that python took by `len`
        self.unfollowed: tuple[Unfollowed, ...] = Several(())
        self.paths: tuple[Paths, ...] = ()  # what was followed, where not all was
        self._at: Callable[[Mapping[str, int]], Any] | None = None  # traces again at numbers

    @property
    def complete(self) -> bool:
        """Whether every branch that sizes decide was followed: answers hold for all sizes."""
        return not self.unfollowed

    @property
    def scope(self) -> str:
        """For which sizes answers hold where they do not for all: ``for H == 224 only (model.py:31:
        python needs a number there: range(h))``; "" for a complete network.
        """
        one, *others = self.unfollowed or (None,)
        if one is None:
            return ""
        more = f", and {len(others)} more: see net.unfollowed" if others else ""
        return f"for {one.only} only ({one.where_in_code}: {one.reason}){more}"

    def within_scope(self, text: str) -> str:
        """The text of an answer, with a line that says for which sizes it holds, if not for all.

        Args:
            text: of the answer.

        Returns:
            The text and the line; of a complete network the text alone.

        >>> from symcnn import nn
        >>> nn.ReLU().trace("N 3 H W").within_scope("any answer")
        'any answer'
        """
        return f"{text}\nholds {self.scope}" if self.scope else text

    def branch_at(self, **sizes: int) -> Self:
        """The network of the branch that sizes take.

        Args:
            sizes: every size, by name.

        Returns:
            Itself without branches; where no branch was followed, a trace at numbers.

        Raises:
            SymcnnError: what the trace at these numbers raises.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.branch_at(N=1, H=8, W=8) is net
        True
        """
        values = whole_numbers(sizes)
        if self._at is None or all(g.requirement.holds(values) for g in self.guards):
            return self
        branch: Self = self._at(values)
        return branch


Net = TypeVar("Net", bound=Coverage)


def leave(
    net: Coverage,
    unfollowed: Sequence[Unfollowed],
    guards: Sequence[Sequence[Guard]],
    at: Callable[[Mapping[str, int]], Coverage],
) -> None:
    """Say what was not followed, unless one of the paths takes all sizes.

    Args:
        net: the network.
        unfollowed: sides of comparisons.
        guards: those of each path that was followed.
        at: traces again at numbers.
    """
    if unfollowed and all(guards):
        net.unfollowed, net._at = Several(unfollowed), at
        paths = tuple(tuple(guard.requirement for guard in path) for path in guards)
        net.paths = (Paths(net.scope, paths),)


def elsewhere(net: Net, values: Mapping[str, Number]) -> Net:
    """The network with values that lead off what was followed: traced again, with numbers.

    Raises InvalidInput for expressions, and where there is no way to trace it again.
    """
    numbers = {str(name): from_sympy(value) for name, value in values.items()}
    if net._at is None or not all(isinstance(value, int) for value in numbers.values()):
        raise InvalidInput(f"no branch that was followed takes {assignment(values)}")
    found: Net = net._at(numbers)  # type: ignore[arg-type]
    return found


def further(net: Net, twin: Net, values: Mapping[str, Number]) -> Net:
    """The twin of a network with values in it; traced again where that may follow more."""
    with suppress(SymcnnError):
        return twin if twin.complete else elsewhere(net, values)
    return twin


def all_followed(net: Net, sizes: Mapping[str, int], left: str) -> Net:
    """The network at sizes, for an answer that does not say for which sizes it holds.

    Raises Undecidable where not all of what is `left` was followed.
    """
    found = elsewhere(net, sizes)
    if not found.complete:
        raise Undecidable(
            f"not every {left} was followed: answers hold {found.scope}",
            cure=f"give {left} a range: net.solve(..., {left}=...)",
        )
    return found
