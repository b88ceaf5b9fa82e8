"""Texts of sizes.

The law: to people a size is its formula, to python it is a number. So the text of a size reads as
the formula, equals the text of a number where the size is that number, and has as many letters as
the number has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import SupportsInt

from symcnn.algebra.size import Int


class Text(str):
    """The text of a size: where its letters count, that of the number at the point of the run."""

    size: SupportsInt

    def __new__(cls, formula: Int, size: SupportsInt) -> Text:
        self = super().__new__(cls, formula)
        self.size = size
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Text):
            return bool(self.size == other.size)
        return isinstance(other, str) and other.isdecimal() and bool(self.size == int(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __int__(self) -> int:
        return int(self.size)


def _of_the_number(name: str) -> Callable[..., object]:
    """A method of texts, of that of the number."""

    def answer(self: Text, *args: object) -> object:
        own: object = getattr(str(int(self.size)), name)(*args)
        return own

    return answer


for _name in (
    *("__len__", "__getitem__", "__iter__", "__contains__", "__lt__", "__le__", "__gt__", "__ge__"),
    *("count", "find", "index", "startswith", "endswith", "split", "zfill"),
    *("isdigit", "isdecimal", "isnumeric", "isalnum", "isalpha"),
):
    setattr(Text, _name, _of_the_number(_name))
