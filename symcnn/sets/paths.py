"""How much is known of sizes: a set of a network that was not followed at all of them.

The law: *of sizes that no path takes, the set knows nothing.* The question that the set answers is
asked again there, of the network at these numbers. What is made of such a set, by algebra or along
an axis, answers no question of its own: such sizes are no members, and no others either, and who
asks is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from symcnn.errors import InvalidInput, NoSolution, ShapeMismatch, SymcnnError, Undecidable
from symcnn.sets.condition import Requirement
from symcnn.shown import assignment


@dataclass(frozen=True)
class Paths:
    """The paths of a network that were followed: what the sizes meet that take them.

    Attributes:
        scope: for which sizes that is, in words: ``for H == 224 only (model.py:31: range(h))``.
        guards: of each path.
        again: the answer to the same question of the network at numbers; copies have none.
    """

    scope: str
    guards: tuple[tuple[Requirement, ...], ...]
    again: Callable[[Mapping[str, int]], Any] | None = field(
        default=None, compare=False, repr=False
    )

    def __reduce__(self) -> tuple[object, ...]:
        return Paths, (self.scope, self.guards)

    @property
    def alone(self) -> Paths:
        """The same of what is made of the set."""
        return Paths(self.scope, self.guards)

    def answer(self, sizes: Mapping[str, int], found: bool) -> bool:
        """Whether sizes are a member.

        Args:
            sizes: those of which there is a question; the batch may be left out.
            found: what the set says; it is of some batch, so no path is known to take them all.

        Raises:
            Undecidable: for sizes that no path takes, where the question cannot be asked again.
        """
        if any(
            all(r.holds(sizes) if r.symbols <= sizes.keys() else found for r in path)
            for path in self.guards
        ):
            return found
        there = self._there(sizes)
        if there is None:
            at = assignment(sizes)
            raise Undecidable(
                f"no branch that was followed takes {at}: the set holds {self.scope}",
                cure=f"net.shape_at({at}, ...) runs the model there",
            )
        return there

    def _there(self, sizes: Mapping[str, int]) -> bool | None:
        """Whether there is an answer at these numbers, of what they leave open; None if nothing
        says.
        """
        if self.again is None:
            return None
        try:
            found = self.again(sizes)
        except (InvalidInput, ShapeMismatch, NoSolution):
            return False
        except SymcnnError:
            return None
        return bool(found) or (None if found.paths else False)
