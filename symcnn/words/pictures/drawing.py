"""A drawing is text: SVG, TikZ, DOT or Mermaid, which a notebook shows as what it draws."""

from __future__ import annotations

from pathlib import Path


class Drawing(str):
    """The text of a picture; in a notebook, the picture.

    >>> Drawing("<svg/>").save  # doctest: +ELLIPSIS
    <bound method Drawing.save of ...>
    """

    __slots__ = ()

    @property
    def is_svg(self) -> bool:
        """Whether the text is SVG."""
        return self.startswith("<svg")

    def save(self, path: str | Path) -> None:
        """Write the text to a file."""
        Path(path).write_text(self, encoding="utf-8")

    def _repr_svg_(self) -> str | None:
        return str(self) if self.is_svg else None

    def _repr_markdown_(self) -> str | None:
        kind = self.partition(" ")[0].partition("\n")[0]
        return f"```mermaid\n{self}\n```" if kind == "flowchart" else None
