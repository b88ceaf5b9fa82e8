"""Two networks side by side: the difference as a formula, and where one overtakes the other.

Where the difference is a product of linear factors and a constant, isl decides it. Along one size
(a 1-d network, or square images) every difference is decided: beyond the root bound of its
leading polynomial the sign is that of the leading term, and below it each size is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from symcnn.algebra.mathml import math
from symcnn.algebra.size import Int, Size, exact_div
from symcnn.errors import BadSpec, Undecidable
from symcnn.questions.cost.cost import measure
from symcnn.sets.condition import Condition
from symcnn.sets.formula import Formula
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.runs import Run
from symcnn.shown import Markup, Shown, block, table
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    import sympy

#: Below this many sizes a difference is evaluated one by one.
_MOST = 1 << 20


class Comparison(Shown):
    """What `compare` found: `difference` is ``a - b`` and `ratio` is ``a/b``, in one column.

    >>> import symcnn
    >>> from symcnn import nn
    >>> small = nn.Conv2d(3, 8, 3, padding=1, bias=False).trace("N 3 H W")
    >>> fixed = nn.Sequential(nn.AdaptiveAvgPool2d(20), nn.Conv2d(3, 8, 3)).trace("N 3 H W")
    >>> found = symcnn.compare(small, fixed)
    >>> found.difference, found.ratio
    (216*N*(H*W - 324), H*W/324)
    >>> found.more(square=True)
    H >= 19 and H == W
    """

    def __init__(self, a: Trace, b: Trace, column: str, convention: str) -> None:
        if column not in _COLUMNS:
            known = ", ".join(_COLUMNS)
            raise BadSpec(f"no column is called {column!r}", cure=f"there are: {known}")
        self.a, self.b, self.column = a, b, column
        self._of: Callable[[Trace], Any] = lambda net: getattr(
            measure(net, convention), _COLUMNS[column]
        )

    @property
    def difference(self) -> Formula:
        """``a - b``."""
        found: Formula = self._of(self.a) - self._of(self.b)
        return found

    @property
    def ratio(self) -> sympy.Expr:
        """``a/b`` as a sympy expression."""
        return self._of(self.a) / self._of(self.b)

    def more(self, *, square: bool = False) -> InputSet:
        """The sizes, valid for both, at which `a` costs more than `b`.

        Raises Undecidable where the difference is not a product along several sizes: ask for
        `square` images.
        """
        return self._where(self._gap() - 1, square)

    def less(self, *, square: bool = False) -> InputSet:
        """The sizes, valid for both, at which `a` costs less than `b`."""
        return self._where(-self._gap() - 1, square)

    def equal(self, *, square: bool = False) -> InputSet:
        """The sizes, valid for both, at which they cost the same."""
        either = self.more(square=square) | self.less(square=square)
        return self._domain(square) - either

    def _gap(self) -> Int:
        """The difference for one image, where it is proportional to the batch."""
        gap = self.difference.size
        for name in sorted(self.a.batch & self.b.batch):
            each = exact_div(gap, Size.symbol(name))
            gap = gap if each is None else each
        return gap

    def _domain(self, square: bool) -> InputSet:
        both = self.a.valid_inputs() & self.b.valid_inputs()
        return both.square() if square else both

    def _where(self, gap: Int, square: bool) -> InputSet:
        """The common domain where ``gap >= 0``."""
        domain = self._domain(square)
        formula = Formula(gap)
        if square:
            formula = formula.subs(W=Size.symbol("H")) if "W" in formula.symbols else formula
        names = sorted(formula.symbols)
        if len(names) == 1:
            found = _along(names[0], formula)
        else:
            found = input_set(names, [Condition(gap, ">=", 0)])
        return found & domain

    def __str__(self) -> str:
        return f"{self.column}: a - b = {self.difference}, a/b = {self.ratio}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        above, below = (Markup(f"({math(side)})") for side in self.ratio.as_numer_denom())
        rows = [("a \N{MINUS SIGN} b", self.difference), ("a / b", Markup(f"{above} / {below}"))]
        return block(table((self.column, ""), rows))


_COLUMNS = {
    "work": "total",
    "params": "params",
    "other": "other",
    "backward": "backward",
    "activations": "activations",
    "saved": "saved",
}


def compare(a: Trace, b: Trace, column: str = "work", *, convention: str = "macs") -> Comparison:
    """What two networks cost, compared at all sizes at once.

    Args:
        a: a network.
        b: another one.
        column: work, params, other, backward, activations or saved.
        convention: how work is counted, see `Network.cost`.

    Returns:
        Difference and ratio as formulas, and the sizes at which one costs more.

    Raises:
        BadSpec: for an unknown column or convention.

    >>> from symcnn import nn
    >>> wide, narrow = (nn.Conv2d(3, c, 3, padding=1).trace("N 3 H W") for c in (16, 8))
    >>> compare(wide, narrow).difference, compare(wide, narrow, "params").ratio
    (216*N*H*W, 2)
    """
    return Comparison(a, b, column, convention)


def _along(name: str, formula: Formula) -> InputSet:
    """Where a formula in one size is at least zero: exact, and a finite union of runs."""
    import numpy as np

    lead = formula.leading()
    sign = 1 if lead.term.at(**{name: 1}) > 0 else -1
    rest = lead.below if sign > 0 else lead.above
    bound = _root_bound((lead.term + rest).size)
    if bound > _MOST:
        raise Undecidable(f"the sign of {formula} is settled only beyond {name} = {bound}")
    values = np.broadcast_to(formula.at(**{name: np.arange(1, bound + 2)}), (bound + 1,))
    symbol = Size.symbol(name)
    found = input_set([name], [Condition(0, ">=", 1)])
    for run in _runs(list(values >= 0), open_end=sign > 0):
        found = found | input_set([name], run.conditions(symbol))
    return found


def _root_bound(expr: Int) -> int:
    """Beyond it a polynomial in one size has no root (Cauchy's bound)."""
    if isinstance(expr, int):
        return 1
    by_degree: dict[int, Fraction] = {}
    for mono, coeff in expr.terms.items():
        degree = sum(power for _, power in mono)
        by_degree[degree] = by_degree.get(degree, Fraction(0)) + coeff
    top = max(by_degree)
    others = [abs(c / by_degree[top]) for d, c in by_degree.items() if d != top]
    return 1 + int(max(others, default=Fraction(0))) + 1


def _runs(holds: list[Any], *, open_end: bool) -> Iterator[Run]:
    """Stretches of sizes, from 1, for which something holds; the last may be without end."""
    first = None
    for x, here in enumerate([*holds, False], 1):
        if here and first is None:
            first = x
        elif not here and first is not None:
            ends = x > len(holds) and open_end
            yield Run(first, None if ends else x - 1)
            first = None
