"""Markdown as code hosts show it: tables, code, what folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    r"""Text between backquotes, safe in a cell of a table; "" stays "".

    >>> code("H % 2 == 0 | W"), code("")
    ('`H % 2 == 0 \\| W`', '')
    """
    marked = text.replace("|", "\\|").replace("\n", " ")
    return f"`{marked}`" if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table.

    >>> print(table(("module", "MACs"), [("fc", "512")]))
    | module | MACs |
    | --- | --- |
    | fc | 512 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(title: str, body: str) -> str:
    """What shows its title until it is clicked."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
