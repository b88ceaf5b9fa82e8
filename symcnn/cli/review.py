"""Reviews: what a network is, and what a change to a network changes."""

from __future__ import annotations

from pathlib import Path

import click

from symcnn.cli.name import Name
from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply

_MARKDOWN = click.option("--markdown", is_flag=True, help="For a pull request or a page.")


@question(sizes="Sizes at which output and MACs are numbers, too:")
@click.option("--depth", type=int, default=1, show_default=True, help="How deep modules are shown.")
@_MARKDOWN
@click.option(
    "--write",
    metavar="FILE",
    help="Write the report there; exit status 1 if that changes the file.",
)
def report(ask: Ask, depth: int, markdown: bool, write: str | None) -> Reply:
    """What a network is, on half a page: shapes, domain, field, costs, modules."""
    from symcnn.questions.report import report

    found = report(ask.net, name=ask.target, depth=depth, at=ask.sizes)
    text = found.to_markdown() if markdown else str(found)
    if write is None:
        return Reply(found, text)
    file, wanted = Path(write), text.rstrip("\n") + "\n"
    there = file.is_file()
    fresh = there and file.read_text(encoding="utf-8") == wanted
    if not fresh:
        try:
            file.write_text(wanted, encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"{write} cannot be written: {error.strerror}") from error
    told = (
        f"{write} is up to date" if fresh else f"wrote {write}{', which was out of date' * there}"
    )
    return Reply({**Reply(found).data, "file": write, "changed": not fresh}, told, ok=fresh)


@question(sizes="Sizes at which output and MACs are compared as numbers, too:")
@click.argument("other", metavar="NEW", type=Name())
@click.option("--depth", type=int, metavar="N", help="Modules down to this depth (default: all).")
@_MARKDOWN
def diff(ask: Ask, other: str, depth: int | None, markdown: bool) -> Reply:
    """What changed from one network to the other, at any size; exit status 1 if anything did."""
    from symcnn.questions.report import diff

    old = ask.net  # traced before the other is imported
    found = diff(old, ask.of(other).net, names=(ask.target, other), depth=depth, at=ask.sizes)
    text = found.to_markdown() if markdown else str(found)
    return Reply({**Reply(found).data, "changed": found.changed}, text, ok=not found.changed)
