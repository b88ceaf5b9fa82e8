"""How answers show themselves: the same text in a terminal, in a file and in a notebook."""

from __future__ import annotations

from html import escape
from typing import TypeVar

__all__ = ["Listed", "Shown", "Text"]

T = TypeVar("T")


class Shown:
    """An answer that a notebook shows as `print` does."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


class Text(Shown, str):
    """Text that stands on several lines where it is shown, too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Listed(Shown, list[T]):
    """Answers in a list, one below the other where they are shown."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self))
