"""Tables of costs, by rich."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sympy
from rich.table import Table

from symcnn.formula import Formula, spoken

if TYPE_CHECKING:
    from symcnn.analysis.cost import Cost

__all__ = ["cost_table"]


def cost_table(cost: Cost, by: str, columns: Iterable[str], depth: int | None = None) -> Table:
    """One row per module, indented as a tree, or per node."""
    wanted = tuple(columns)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("module" if by == "module" else "node", overflow="fold")
    if by == "node":
        table.add_column("op")
    for column in wanted:
        heading = cost.convention.unit if column == "work" else column
        table.add_column(heading, justify="right", overflow="fold")
    for row in cost.rows(by, wanted, depth):
        name = row.name or "(total)" if by == "module" else row.name
        label = "  " * row.depth + (name.rpartition(".")[2] if by == "module" else name)
        cells = [cell(row[column]) for column in wanted]
        table.add_row(label, *([row.op] if by == "node" else []), *cells)
    return table


def cell(value: Any) -> str:
    """A figure in a table: blank for nothing, percent for shares."""
    if value is None:
        return ""
    if isinstance(value, sympy.Basic):
        return f"{100 * float(value):.1f}%" if value.is_number else str(value)
    if isinstance(value, Formula) and not isinstance(value.size, int):
        return str(value)
    number = int(value)
    return f"{number:,}" if number else ""


def totals(cost: Cost) -> str:
    """The sums under a table: work, parameters, and what is missing."""
    total, unit = cost.total, cost.convention.unit
    figures = [f"{cell(total) or 0} {unit}", f"{cell(cost.params) or 0} parameters"]
    frozen = cost.frozen
    if frozen:
        figures.append(f"of which {cell(frozen)} frozen")
    text = ", ".join(figures)
    if not cost.complete:
        names = ", ".join(f"{n.name} ({n.op})" for n in cost.missing[:5])
        text = f"at least {text}; without a cost: {names}"
    if cost.given:
        text += f", where {' and '.join(map(spoken, cost.given))}"
    return text
