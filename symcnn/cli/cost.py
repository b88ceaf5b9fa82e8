"""Costs: parameters, work and memory."""

from __future__ import annotations

import shutil

import click

from symcnn.cli.question import Ask, floors_option, question
from symcnn.cli.reply import Reply


@question(sizes="Sizes at which to give numbers:", by_branch=True)
@click.option(
    "--by",
    type=click.Choice(["module", "node"]),
    default="module",
    show_default=True,
    help="What has a row: a module, or an operation.",
)
@click.option("--depth", type=int, metavar="N", help="How deep the module tree is shown.")
@click.option(
    "--convention",
    default="macs",
    show_default=True,
    metavar="NAME",
    help="macs, flops, fvcore, thop, ptflops or torchinfo.",
)
@click.option("--under", metavar="CONDITION", multiple=True, help='Such as "H % 32 == 0".')
@click.option(
    "--show", "columns", metavar="COLUMN", multiple=True, help="Columns of the table, in order."
)
@click.option("--peak", type=float, metavar="FLOP/S", help="With --bandwidth: a roofline.")
@click.option("--bandwidth", type=float, metavar="BYTE/S", help="With --peak: a roofline.")
@click.option("--partial", is_flag=True, help="Operations without a cost count as nothing.")
@floors_option
def cost(
    ask: Ask,
    by: str,
    depth: int | None,
    convention: str,
    under: tuple[str, ...],
    columns: tuple[str, ...],
    peak: float | None,
    bandwidth: float | None,
    partial: bool,
) -> Reply:
    """What it costs: parameters and work per module, as formulas or at sizes."""
    from symcnn.questions.cost.table import cost_table, roofline_table

    if (peak is None) != (bandwidth is None):
        raise click.UsageError("give both --peak and --bandwidth")
    sizes, net = ask.sizes, ask.net
    if left := sizes and [name for name in net.symbols if name not in sizes]:  # formulas in these
        net = net.given(**sizes)
    found = net.cost(convention, partial=partial)
    if under:
        found = found.under(*under)
    if sizes and not left:
        found = found.at(**sizes)
    width = shutil.get_terminal_size((100, 24)).columns
    if peak is not None and bandwidth is not None:
        roofs = found.roofline(peak, bandwidth)
        return Reply({"roofline": roofs}, roofline_table(roofs, width))
    shown = columns or ("params", "work", "share")
    table = cost_table(
        found.rows(by, shown, depth), by, shown, found.convention.unit, width
    ).rstrip("\n")
    return Reply(found.to_dict(by, shown, depth), f"{table}\n\n{found.totals}")
