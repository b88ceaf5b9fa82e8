"""The closed forms of a page as JavaScript: one function for each form that differs.

Sizes are BigInt there, floors are floors: nothing is rounded, and nothing overflows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Union

from symcnn.algebra.size import Int
from symcnn.words.code import LANGUAGES, expression

__all__ = ["INDEX", "Formulas", "Value"]

#: The symbol of a place along an output axis, in formulas of receptive fields: no size's name.
INDEX = "#"

#: A number (as text from 2**53 on, where JSON's numbers end), or a formula: its place in the list.
Value = Union[int, str, "list[int]"]


_FAILING = """function symcnnFailing(count, holds) {
  for (let i = 0n; i < count; i++) if (!holds(i)) return i;
  return -1n;
}
"""


class _Names(dict[str, str]):
    """What symbols are called in the code: names that stand for nothing else there."""

    def __missing__(self, symbol: str) -> str:
        plain = re.fullmatch("[A-Z]", symbol)
        self[symbol] = symbol if plain else f"x{len(self)}"
        return self[symbol]

    def get(self, symbol: str, default: str | None = None) -> str:  # type: ignore[override]
        return self[symbol]


class Formulas:
    """The closed forms of a page, each once.

    >>> from symcnn.algebra.size import Size
    >>> H = Size.symbol("H")
    >>> formulas = Formulas(["H"])
    >>> formulas.value(7), formulas.value(H // 2), formulas.value(H // 2)
    (7, [0], [0])
    >>> print(formulas.code())
    const symcnnFormulas = (H) => [
    () => symcnnFloordiv(H, 2n)
    ];
    <BLANKLINE>
    """

    def __init__(self, sizes: Sequence[str]) -> None:
        self._names = _Names({INDEX: "i"})
        self._sizes = [self._names[size] for size in sizes]
        self._places: dict[str, int] = {}
        self._known: dict[tuple[Int, str], int] = {}
        self._words: dict[str, int] = {}

    def word(self, text: str) -> int:
        """The place of a text in `words`: layers of a kind say the same."""
        return self._words.setdefault(text, len(self._words))

    @property
    def words(self) -> list[str]:
        """What the conditions say, each once."""
        return list(self._words)

    def value(self, expr: Int) -> Value:
        """A number as it is, a formula by its place."""
        if isinstance(expr, int):
            return expr if abs(expr) < 1 << 53 else str(expr)
        return [self.place(expr)]

    def place(self, expr: Int, arguments: str = "") -> int:
        """The place of a formula in the list."""
        key = expr, arguments
        if key not in self._known:
            self._known[key] = self.add(f"({arguments}) => {self.text(expr)}")
        return self._known[key]

    def of_index(self, expr: Int) -> int:
        """The place of a formula in `INDEX`."""
        return self.place(expr, "i")

    def text(self, expr: Int) -> str:
        """A formula as an expression of JavaScript."""
        return expression(expr, "javascript", self._names)

    def called(self, symbol: str) -> str:
        """What a symbol is called in the code."""
        return self._names[symbol]

    def add(self, function: str) -> int:
        """The place of a function in the list."""
        return self._places.setdefault(function, len(self._places))

    def code(self) -> str:
        """The list of all functions, as one function of the sizes."""
        head = f"const symcnnFormulas = ({', '.join(self._sizes)}) => ["
        return "\n".join([head, ",\n".join(self._places), "];", ""])

    @staticmethod
    def prelude() -> str:
        """The functions that formulas call."""
        return LANGUAGES["javascript"].prelude + _FAILING
