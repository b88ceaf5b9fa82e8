"""Tables of costs, as text."""

from __future__ import annotations

from collections.abc import Iterable

from symcnn.lazy import sympy
from symcnn.notation.text import table
from symcnn.questions.cost.rows import Roof, Row
from symcnn.sets.formula import Formula


def cost_table(
    rows: Iterable[Row], by: str, columns: Iterable[str], unit: str, width: int = 120
) -> str:
    """One row per module, indented as a tree, or per node."""
    wanted, first = tuple(columns), ("node", "op") if by == "node" else ("module",)
    headings = [unit if column == "work" else column for column in wanted]
    cells = (
        [
            *((row.name, row.op) if by == "node" else (_branch(row),)),
            *(cell(row[column]) for column in wanted),
        ]
        for row in rows
    )
    return table((*first, *headings), cells, numbers=headings, width=width)


def _branch(row: Row) -> str:
    return "  " * row.depth + (row.name or "(total)").rpartition(".")[2]


def roofline_table(roofs: Iterable[Roof], width: int = 120) -> str:
    """One row per node that moves memory, and the sum of the least times."""
    every = tuple(roofs)
    flops, moved, seconds = (
        sum(getattr(roof, name) for roof in every) for name in ("flops", "moved", "seconds")
    )
    rows = [
        (name, f"{work:,}", f"{size:,}", f"{work / size:.2f}", bound, f"{least * 1e6:.1f} us")
        for name, work, size, bound, least in (
            *((r.name, r.flops, r.moved, r.bound, r.seconds) for r in every),
            ("(total)", flops, moved, "", seconds),
        )
    ]
    headings = ("node", "FLOPs", "bytes", "FLOPs/byte", "bound", "least time")
    return table(headings, rows, numbers=headings[1:], width=width)


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
