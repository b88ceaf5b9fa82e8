"""How much is known of sizes: a set of a network that was not followed at all of them.

The law: *of sizes that no path takes, nothing is known.* They are no members, and no others either:
who asks is told so. What is made of such a set, by algebra or along an axis, tells no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symcnn.errors import Undecidable
from symcnn.sets.condition import Requirement


@dataclass(frozen=True)
class Paths:
    """The paths of a network that were followed: what the sizes meet that take them.

    Attributes:
        scope: for which sizes that is, in words: ``for H == 224 only (model.py:31: range(h))``.
        guards: of each path.
    """

    scope: str
    guards: tuple[tuple[Requirement, ...], ...]

    def check(self, sizes: Mapping[str, int], found: bool) -> None:
        """Raises Undecidable for sizes that no path takes.

        Args:
            sizes: those of which there is a question; the batch may be left out.
            found: the answer; it is of some batch, so no path is known to take them all.
        """
        if not any(
            all(r.holds(sizes) if r.symbols <= sizes.keys() else found for r in path)
            for path in self.guards
        ):
            at = ", ".join(f"{name}={size}" for name, size in sizes.items())
            raise Undecidable(
                f"no branch that was followed takes {at}: the set holds {self.scope}",
                cure=f"net.shape_at({at}, ...) runs the model there",
            )
