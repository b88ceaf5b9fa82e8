"""Plain-text tables, by rich."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from symcnn.size import Int, Size

if TYPE_CHECKING:
    from symcnn.network import Network

__all__ = ["shapes_table", "summary", "to_text"]


def shapes_table(net: Network) -> Table:
    """One row per node: name, op, output shape, parameters, MACs."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("op")
    table.add_column("output", overflow="fold")
    table.add_column("params", justify="right")
    table.add_column("MACs", justify="right", overflow="fold")
    for node in net.nodes:
        shape = ", ".join(str(d) for d in node.outputs[0].dims) if node.outputs else ""
        table.add_row(
            node.name, node.op, f"({shape})", _count(node.params), _product(node.result.macs)
        )
    return table


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value else str(value or "")


def _product(macs: Int) -> str:
    if isinstance(macs, Size):
        return str(macs)
    return f"{macs:,}" if macs else ""


def summary(net: Network) -> str:
    """The table of a network with its totals, as text."""
    shape = ", ".join(map(str, net.output_dims))
    table = to_text(shapes_table(net))
    return f"{table}\noutput ({shape})\nparams {_count(net.params)}\n"


def to_text(renderable: object, width: int = 120) -> str:
    """A rich object as plain text without trailing blanks."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())
