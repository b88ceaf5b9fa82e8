"""What lies in memory, as a formula that is exact at numbers, too.

The law: *what lies in memory may depend on a size that is 1*, where a view does for a copy. The
formula is for axes longer than 1; asked at numbers at which an axis of a tensor is 1, it is that of
the network at these numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from symcnn.algebra.expr import Number
from symcnn.algebra.size import Size, evaluate
from symcnn.errors import SymcnnError
from symcnn.questions.cases import Cases
from symcnn.sets.formula import Formula, Given
from symcnn.trace.trace import Trace, remembered

if TYPE_CHECKING:
    import numpy as np


class Measure(Protocol):
    """A cost."""

    @property
    def net(self) -> Trace:
        """The network that has it."""

    def at(self, **sizes: int) -> object:
        """The same at sizes."""

    def of(self, net: Trace) -> object:
        """The same of another network."""


class LaidFormula(Formula):
    """A figure of a cost, in bytes.

    >>> import symcnn, torch
    >>> class Swap(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.transpose(0, 1).contiguous()  # of one image a view
    >>> made = symcnn.from_torch(Swap(), "N 4 L").cost().activations
    >>> made, made.at(N=2, L=8), made.at(N=1, L=8)
    (16*N*L, 256, 0)
    """

    __slots__ = ("cost", "figure")

    def __init__(self, formula: Formula, cost: Measure, figure: str) -> None:
        super().__init__(formula, formula.names, formula.given)
        self.cost, self.figure = cost, figure

    def at(  # type: ignore[override]
        self, **sizes: int | Sequence[int] | np.ndarray
    ) -> int | np.ndarray:
        """See `Formula.at`."""
        found = super().at(**sizes)
        numbers = {n: v for n, v in sizes.items() if not getattr(v, "shape", hasattr(v, "__len__"))}
        if len(numbers) == len(sizes):
            exact = _exact(self.cost, self.figure, numbers)
            return found if exact is None else exact
        ones: dict[str, Any] = {n: v for n, v in numbers.items() if v == 1}
        rest = {n: v for n, v in sizes.items() if n not in ones}
        given = self._given(ones) if ones else None
        return found if given is None else given.at(**rest)

    def subs(self, **sizes: Number | str) -> Formula:
        """See `Formula.subs`."""
        found = super().subs(**sizes)
        numbers = {n: int(v) for n, v in sizes.items() if hasattr(v, "__index__")}
        given = self._given(numbers) if 1 in numbers.values() else None
        if given is None:
            return found
        return given.subs(**{n: v for n, v in sizes.items() if n not in numbers})

    def under(self, *given: Given) -> Formula:
        """See `Formula.under`."""
        return LaidFormula(super().under(*given), self.cost, self.figure)

    def _given(self, numbers: Mapping[str, int]) -> Formula | None:
        """The figure of the network at numbers; None where that is no formula."""
        with suppress(SymcnnError):
            found = getattr(self.cost.of(self.cost.net.given(**numbers)), self.figure)
            if isinstance(found, Formula):
                return found.under(*self.given) if self.given else found
        return None


class LaidCases(Cases):
    """The same of a network with branches."""

    def __init__(self, cases: Cases, cost: Measure, figure: str) -> None:
        super().__init__(cases.pieces)
        self.cost, self.figure = cost, figure

    def at(self, **sizes: int) -> object:
        """See `Cases.at`."""
        found, exact = super().at(**sizes), _exact(self.cost, self.figure, sizes)
        return found if exact is None else exact


def laid(found: object, cost: Measure, figure: str) -> object:
    """A figure that is exact at numbers, where it is a formula or cases of formulas."""
    if isinstance(found, Formula):
        return LaidFormula(found, cost, figure)
    return LaidCases(found, cost, figure) if isinstance(found, Cases) else found


def _exact(cost: Measure, figure: str, sizes: Mapping[str, Any]) -> int | None:
    """The figure at sizes at which an axis of a tensor, of no fixed length, is 1."""
    with suppress(SymcnnError, KeyError):
        if any(evaluate(d, sizes) == 1 for d in _open_lengths(cost.net)):
            exact: int = getattr(cost.at(**sizes), figure)
            return exact
    return None


@remembered
def _open_lengths(net: Trace) -> tuple[Size, ...]:
    """How long axes of its tensors are, of no fixed length."""
    nodes = (node for branch in net.branches for node in branch.network.nodes)
    tensors = (t for node in nodes for t in (*node.inputs, *node.outputs))
    return tuple(dict.fromkeys(d for t in tensors for d in t.dims if isinstance(d, Size)))
