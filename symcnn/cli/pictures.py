"""Pictures: figures over sizes, and drawings of the architecture."""

from __future__ import annotations

import click

from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.errors import BadSpec
from symcnn.sets.grammar import parse_numbers


@question(sizes="What to run over, or to fix (H=1..256,N=1):")
@click.argument("what", metavar="KIND", required=False, default="sizes")
@click.option("--out", default="plot.png", show_default=True, metavar="FILE", help="The picture.")
@click.option("--output", metavar="7", help="sizes: outputs to mark, such as 7 or 7x14.")
@click.option("--macs", metavar="AMOUNT", help="cost: a budget, as a line.")
@click.option("--params", metavar="AMOUNT", help="cost: a budget, as a line.")
@click.option("--memory", metavar="AMOUNT", help='cost: a budget in bytes, "8 GiB".')
@click.option("--peak", metavar="AMOUNT", help="cost: a budget in bytes.")
@click.option("--on", metavar="IMAGE", help="field: the image to draw on.")
@click.option("--place", metavar="3x3", help="field: the place of the output, such as 3x3.")
def plot(
    ask: Ask,
    what: str,
    out: str,
    output: str | None,
    macs: str | None,
    params: str | None,
    memory: str | None,
    peak: str | None,
    on: str | None,
    place: str | None,
) -> Reply:
    """Write a figure: KIND is sizes, domain, cost, memory, fields or field."""
    if what == "field":
        at = parse_numbers(place, "x", "3x3") if place else None
        found = ask.network.receptive_field(ask.module)
        figure = found.plot(at=None if at is None else tuple(at), on=on, ax=None, **ask.sizes)
    else:
        if on or place:
            raise BadSpec("--on and --place belong to the figure of a field", cure="plot NET field")
        figure = ask.network.plot(
            what,
            output=None if output is None else parse_numbers(output, "x", "7"),
            at=ask.module,
            macs=macs,
            params=params,
            memory=memory,
            peak=peak,
            ax=None,
            **ask.ranges,
        )
    try:
        figure.savefig(out, dpi=130)
    except (OSError, ValueError) as error:
        raise BadSpec(f"{out} cannot be written: {error}", cure="--out plot.png") from None
    return Reply({"out": out, "figure": what}, f"wrote {out}")


@question()
@click.option(
    "--as",
    "form",
    default="svg",
    show_default=True,
    type=click.Choice(["svg", "dot", "mermaid", "tikz"]),
    help="How it is written.",
)
@click.option("--depth", type=int, default=1, show_default=True, help="Of the tree of modules.")
@click.option("--out", metavar="FILE", help="The file; by default it is printed.")
def draw(ask: Ask, form: str, depth: int, out: str | None) -> Reply:
    """Draw the architecture, folded by module, with the shapes of what flows."""
    drawing = ask.net.draw(form, depth=depth)
    if out is None:
        return Reply({"form": form, "text": str(drawing)}, str(drawing))
    try:
        drawing.save(out)
    except OSError as error:
        raise BadSpec(f"{out} cannot be written: {error}", cure="--out net.svg") from None
    return Reply({"form": form, "out": out}, f"wrote {out}")
