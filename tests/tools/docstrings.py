"""How the reference reads docstrings: an extension of griffe, which mkdocstrings reads with.

A docstring here may say its parameters in a line each (``at: a module to look at.``), what it
raises in a sentence (``Raises BadSpec for an unknown node.``), and show examples anywhere. In the
reference the first two are sections, and the examples are code.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import griffe

__all__ = ["Docstrings", "sections"]

griffe.stdlib_decorators["symcnn.lazy.cached_property"] = {"cached", "property"}

_HEADS = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Examples?):$")


_WHEN = "for|if|where|with|unless|without|outside|naming"


class Docstrings(griffe.Extension):
    """Makes the docstrings of every object what a page can show."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called once per class, function, module and attribute."""
        if obj.docstring is not None:
            names = [p.name for p in obj.parameters] if obj.is_function else []
            names += list(getattr(obj, "members", ())) if obj.is_class else []
            obj.docstring.value = fenced(sections(obj.docstring.value, names))


def sections(text: str, names: Collection[str]) -> str:
    """A docstring with sections for parameters called `names`, for what it raises and returns."""
    blocks = re.split(r"\n\s*\n", text.strip())
    done: list[str] = []
    for block in blocks:
        new = block
        if not _HEADS.match(block.partition("\n")[0]) and not block.startswith((" ", ">>>")):
            new = _parameters(block, names) or _raised(block) or _returned(block) or block
        if done and done[-1].startswith("Args:") and new.startswith("Args:"):
            done[-1] += new.removeprefix("Args:")
        else:
            done.append(new)
    return "\n\n".join(done)


def _parameters(block: str, names: Collection[str]) -> str:
    """Lines ``a, b: text`` as a section; empty for anything else."""
    some = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    if not some:
        return ""
    start = rf"(?:{some})(?:, (?:{some}))*: "
    if not re.match(start, block):
        return ""
    flat = re.sub(r"\s*\n\s*", " ", block)
    items = re.split(rf"(?:^|(?<=[.)]) )(?={start})", flat)
    rows = []
    for item in filter(None, items):
        said, _, what = item.partition(": ")
        rows += [f"    {name}: {what}" for name in said.split(", ")]
    return "\n".join(["Args:", *rows])


def _raised(block: str) -> str:
    """``Raises X for this; Y if that.`` as a section."""
    flat = re.sub(r"\s*\n\s*", " ", block)
    said = re.match(r"Raises ([A-Z]\w+ .*)", flat)
    if not said:
        return ""
    items = re.split(
        r"[;,] (?:and )?(?=[A-Z]\w+ (?:for|if|where|with|unless|without|outside)\b)", said[1]
    )
    rows = [re.sub(r"^(\w+),? ", r"    \1: ", item) for item in items]
    return "\n".join(["Raises:", *rows])


def _returned(block: str) -> str:
    flat = re.sub(r"\s*\n\s*", " ", block)
    said = re.match(r"Returns:? (.+)", flat)
    return f"Returns:\n    {said[1]}" if said else ""


def fenced(text: str) -> str:
    """Examples as code: a fence around each run of lines from ``>>>`` to a blank one."""
    lines: list[str] = []
    code: str | None = None
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if code is None and line.lstrip().startswith(">>> "):
            code = indent
            lines += ["", f"{code}```pycon"] if lines and lines[-1].strip() else [f"{code}```pycon"]
        elif code is not None and not line.strip():
            lines.append(f"{code}```")
            code = None
        lines.append(line.replace("<BLANKLINE>", ""))
    return "\n".join([*lines, f"{code}```"] if code is not None else lines)
