"""The page: a network to play with, in one file of HTML."""

from __future__ import annotations

from pathlib import Path

import click

from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.words.page import to_page


@question()
@click.option("--out", default="page.html", show_default=True, metavar="FILE", help="The file.")
@click.option("--beside", multiple=True, metavar="NETWORK", help="One more, under the same sizes.")
@click.option("--title", help="What the network is called; by default its name.")
def page(ask: Ask, out: str, beside: tuple[str, ...], title: str | None) -> Reply:
    """Write a page with a slider for each size, and every figure at these sizes."""
    asked = [ask, *map(ask.of, beside)]
    titles = [title or _called(ask.target), *map(_called, beside)]
    file = to_page([one.net for one in asked], out, titles=titles)
    size = file.stat().st_size
    answer = {"out": str(file), "bytes": size, "networks": titles}
    return Reply(answer, f"wrote {file}: {', '.join(titles)}, {size:,} bytes")


def _called(target: str) -> str:
    """NAME of FILE.py:NAME, or the name of a file."""
    place, colon, name = target.partition(":")
    return name if colon else Path(place).stem
