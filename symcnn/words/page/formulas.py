"""The closed forms of a page as JavaScript: one function for each form that differs.

Sizes are BigInt there, floors are floors: nothing is rounded, and nothing overflows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Union

from symcnn.algebra.size import Int, symbols_of
from symcnn.words.code import LANGUAGES, expression

#: The symbol of a place along an output axis, in formulas of receptive fields: no size's name.
INDEX = "#"

#: A number (as text from 2**53 on, where JSON's numbers end), or a formula: its place in the list.
Value = Union[int, str, "list[int]"]


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
    >>> formulas = Formulas()
    >>> formulas.value(7), formulas.value(H // 2), formulas.value(H // 2)
    (7, [0], [0])
    >>> formulas.place(H * Size.symbol("#"), INDEX)
    1
    >>> print(formulas.code(["H"]))
    const symcnnFormulas = [
    (H) => symcnnFloordiv(H, 2n),
    (H, i) => i*H
    ];
    <BLANKLINE>
    """

    def __init__(self) -> None:
        self._names = _Names({INDEX: "i"})
        self._places: dict[tuple[str, bool], int] = {}
        self._numbers: dict[tuple[Int, str], int] = {}
        self._words: dict[str, int] = {}
        self.symbols: set[str] = set()  # all that they speak of

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

    def place(self, expr: Int, index: str = "") -> int:
        """The place of a formula in the list; of one with an index, which is given at the end."""
        key = expr, index
        if key not in self._numbers:
            self.symbols |= symbols_of(expr) - {index}
            if index:
                self._names[index] = "i"
            body = expression(expr, "javascript", self._names), bool(index)
            self._numbers[key] = self._places.setdefault(body, len(self._places))
        return self._numbers[key]

    def code(self, sizes: Sequence[str]) -> str:
        """The list of all formulas, as functions of the sizes."""
        names = [self._names[size] for size in sizes]
        heads = {False: f"({', '.join(names)})", True: f"({', '.join([*names, 'i'])})"}
        lines = [f"{heads[indexed]} => {body}" for body, indexed in self._places]
        return "\n".join(["const symcnnFormulas = [", ",\n".join(lines), "];", ""])

    @staticmethod
    def prelude() -> str:
        """The functions that formulas call."""
        return LANGUAGES["javascript"].prelude
