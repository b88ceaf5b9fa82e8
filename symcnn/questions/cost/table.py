"""Tables of costs, by rich."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from symcnn.lazy import sympy
from symcnn.questions.cost.rows import Roof, Row
from symcnn.sets.formula import Formula


def cost_table(rows: Iterable[Row], by: str, columns: Iterable[str], unit: str) -> Table:
    """One row per module, indented as a tree, or per node."""
    wanted = tuple(columns)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("module" if by == "module" else "node", overflow="fold")
    if by == "node":
        table.add_column("op")
    for column in wanted:
        heading = unit if column == "work" else column
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        name = row.name or "(total)" if by == "module" else row.name
        label = "  " * row.depth + (name.rpartition(".")[2] if by == "module" else name)
        cells = [cell(row[column]) for column in wanted]
        table.add_row(label, *([row.op] if by == "node" else []), *cells)
    return table


def roofline_table(roofs: Iterable[Roof]) -> Table:
    """One row per node that moves memory, and the sum of the least times."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("node", overflow="fold")
    for heading in ("FLOPs", "bytes", "FLOPs/byte", "bound", "least time"):
        table.add_column(heading, justify="right")
    rows = tuple(roofs)
    for roof in rows:
        table.add_row(
            roof.name,
            f"{roof.flops:,}",
            f"{roof.moved:,}",
            f"{roof.intensity:.2f}",
            roof.bound,
            f"{roof.seconds * 1e6:.1f} us",
        )
    flops, moved = sum(r.flops for r in rows), sum(r.moved for r in rows)
    seconds = f"{sum(r.seconds for r in rows) * 1e6:.1f} us"
    table.add_row("(total)", f"{flops:,}", f"{moved:,}", f"{flops / moved:.2f}", "", seconds)
    return table


def cell(value: float | sympy.Basic | Formula | None) -> str:
    """A figure in a table: blank for nothing, percent for shares."""
    if value is None:
        return ""
    if isinstance(value, sympy.Basic):
        return f"{100 * float(value):.1f}%" if value.is_number else str(value)
    if isinstance(value, Formula) and not isinstance(value.size, int):
        return str(value)
    number = int(value)
    return f"{number:,}" if number else ""
