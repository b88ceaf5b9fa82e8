"""Words: derivations, and LaTeX for a paper."""

from __future__ import annotations

import click

from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.sets.grammar import parse_target


@question(sizes="Sizes of an image, for tiles:", by_branch=True)
@click.option(
    "--what", help="size, field, params, macs, memory, peak, domain, solution, stream or tiles."
)
@click.option("--axis", help="The axis of size, field and stream, such as H.")
@click.option("--tile", type=int, help="How large tiles are.")
@click.option("--output", "target", metavar="7x7", help="Derive which inputs give this.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "latex", "html"]),
    default="text",
    help="How the derivation is written.",
)
def explain(
    ask: Ask, what: str | None, axis: str | None, tile: int | None, target: str | None, form: str
) -> Reply:
    """Derive a formula, layer by layer, every step checked."""
    wanted = None if target is None else parse_target(target)
    derivation = ask.net.explain(what, axis=axis, output=wanted, tile=tile, **ask.sizes)
    written = str(derivation) if form == "text" else getattr(derivation, f"to_{form}")()
    parts = [
        {
            "title": part.title,
            "where": part.where,
            "result": part.result,
            "steps": [
                {
                    "where": step.where,
                    "about": step.about,
                    "law": step.law,
                    "lines": [{"text": str(li), "note": li.note} for li in step.lines],
                }
                for step in part.steps
            ],
        }
        for part in derivation.parts or (derivation,)
    ]
    return Reply({"result": derivation.result, "derivations": parts}, written)


@question(sizes="Sizes at which the table has numbers:")
@click.option("--what", default="table", help="table, formulas, derivation or document.")
@click.option("--depth", type=int, help="One row per module at this depth.")
@click.option("--siunitx", is_flag=True, help="Numbers for the package siunitx.")
@click.option("--floors", default="shortest", help="shortest, brackets, inline or division.")
def latex(ask: Ask, what: str, depth: int | None, siunitx: bool, floors: str) -> Reply:
    """LaTeX for a paper: the architecture table, the formulas, the derivation, a document."""
    title = ask.target.rpartition(":")[2] if what == "document" else ""
    notation = {"siunitx": siunitx, "floors": floors}
    text = ask.net.to_latex(what, at=ask.sizes or None, depth=depth, title=title, **notation)
    return Reply({"what": what, "latex": text}, text)
