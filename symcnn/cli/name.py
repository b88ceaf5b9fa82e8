"""The name of a network as an argument, which a shell completes."""

from __future__ import annotations

import ast
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType


class Name(StringParamType):
    """The name of a network: completed by files, and behind the colon by what the file defines.

    The file is read and not run.
    """

    name = "network"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files while there is no colon; then classes, functions and instances."""
        where, colon, start = incomplete.partition(":")
        if not colon:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(f"{where}:{n}") for n in _defined(where) if n.startswith(start)]


def _defined(where: str) -> list[str]:
    """The public names at the top of a file."""
    try:
        body = ast.parse(Path(where).read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return []
    names: list[str] = []
    for statement in body:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
            names.append(statement.name)
        elif isinstance(statement, ast.Assign):
            names += [t.id for t in statement.targets if isinstance(t, ast.Name)]
    return [name for name in names if not name.startswith("_")]
