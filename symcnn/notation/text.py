"""Plain-text tables, by rich."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from symcnn.algebra.expr import Expr
from symcnn.algebra.factor import text
from symcnn.algebra.mathml import math
from symcnn.algebra.size import Int, Size
from symcnn.errors import Undecidable
from symcnn.shown import Markup, block, cell
from symcnn.shown import table as page_table
from symcnn.trace.trace import Trace


class Lengths(Protocol):
    """How many rows places see."""

    @property
    def min(self) -> Expr:
        """The least."""

    @property
    def max(self) -> Expr:
        """The most."""


class ReceptiveField(Protocol):
    """What places of an output see, per axis of the input."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes."""

    @property
    def whole(self) -> tuple[str, ...]:
        """Per axis, the node through which every place sees all of it."""

    def row(self) -> dict[str, tuple[object, ...]]:
        """Size, stride and padding per axis."""

    def table(self) -> list[dict[str, object]]:
        """A row per node."""

    def ends(self, axis: int = 0) -> tuple[Int, Int]:
        """What output ``i`` sees."""

    def interval_text(self, axis: int = 0) -> tuple[str, str]:
        """The same, as text."""

    def sizes_of(self, axis: int = 0) -> Lengths:
        """Along one axis."""


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Iterable[str] = (),
    width: int = 120,
) -> str:
    """A table as lines of text, at most so wide; columns of `numbers` stand to the right.

    >>> print(table(("name", "MACs"), [("fc", "512"), ("layer1", "7")], numbers=["MACs"]))
    name    MACs
    fc       512
    layer1     7
    """
    right, rows = {*numbers}, [*rows]
    columns = [*zip(headings, *rows, strict=True)]
    widths = [max(map(cell_len, column)) for column in columns]
    folds = any("\n" in cell for column in columns for cell in column)
    if sum(widths) + 2 * (len(widths) - 1) <= width and not folds:  # of many rows rich takes long
        sides = [">" if heading in right else "<" for heading in headings]
        cells = zip(*map(_aligned, columns, widths, sides), strict=True)
        return "\n".join("  ".join(line).rstrip() for line in cells)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        shown.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    lines = io.StringIO()
    console = Console(
        file=lines, width=width, color_system=None, force_jupyter=False, force_terminal=False,
        markup=False, emoji=False,
    )  # fmt: skip
    console.print(shown)
    return "\n".join(line.rstrip() for line in lines.getvalue().splitlines())


def _aligned(column: Sequence[str], width: int, side: str) -> list[str]:
    """Cells filled up to a width: letters of some alphabets take two places."""
    if side == ">":
        return [" " * (width - cell_len(cell.rstrip())) + cell.rstrip() for cell in column]
    return [cell + " " * (width - cell_len(cell)) for cell in column]


def shapes_table(net: Trace) -> str:
    """One row per node: name, op, output shape, parameters, MACs."""
    headings = ("name", "op", "output", "params", "MACs")
    return table(headings, _rows(net), numbers=headings[3:])


def _rows(net: Trace) -> Iterator[tuple[str, ...]]:
    for node in net.nodes:
        sizes = map(net.simplest, node.outputs[0].dims if node.outputs else ())
        shape = f"({', '.join(map(text, sizes))})" if node.outputs else ""
        yield (
            node.name,
            node.op,
            shape,
            _count(node.params),
            _product(net.simplest(node.result.work)),
        )


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and value else str(value or "")


def _product(macs: Int) -> str:
    if isinstance(macs, Size):
        return text(macs)
    return f"{macs:,}" if macs else ""


_FIELD = ("axis", "size", "stride", "padding", "output i sees")


def receptive_field_text(rf: ReceptiveField) -> str:
    """One row per axis of the input: size, stride, padding and interval."""
    rows, row = [], rf.row()
    for k, name in enumerate(rf.axes):
        try:
            first, last = rf.interval_text(k)
            seen = f"{first} ... {last}" + (f", through {rf.whole[k]}" if rf.whole[k] else "")
        except Undecidable as error:
            seen = str(error).splitlines()[0]
        size = row["size"][k]
        if size is not None and (sizes := rf.sizes_of(k)).min != sizes.max:
            size = f"{sizes.min} to {sizes.max}"
        told = map(_brief, (size, row["stride"][k], row["padding"][k]))
        rows.append([name, *told, seen])
    return table(_FIELD, rows)


def receptive_field_page(rf: ReceptiveField) -> str:
    """The same for a notebook."""
    rows, row = [], rf.row()
    for k, name in enumerate(rf.axes):
        try:
            first, last = map(math, rf.ends(k))
            seen = f"{first} \N{HORIZONTAL ELLIPSIS} {last}"
            seen += f", through {escape(rf.whole[k])}" if rf.whole[k] else ""
        except Undecidable as error:
            seen = escape(str(error).splitlines()[0])
        size = row["size"][k]
        if size is not None and (sizes := rf.sizes_of(k)).min != sizes.max:
            size = Markup(f"{cell(sizes.min)} to {cell(sizes.max)}")
        told = ("varies" if value is None else value for value in (size, row["stride"][k]))
        padding = row["padding"][k]
        rows.append([name, *told, "varies" if padding is None else padding, Markup(seen)])
    return block(page_table(_FIELD, rows))


def layers_table(rf: ReceptiveField) -> str:
    """One row per node: size, stride and padding of what it sees."""
    plain, brief = ("name", "op", "output"), ("size", "stride", "padding")
    rows = ([*(str(r[k]) for k in plain), *(_brief(r[k]) for k in brief)] for r in rf.table())
    return table((*plain, *brief), rows)


def _brief(value: object) -> str:
    """A value as text; one number for axes that agree, "varies" where there is no single value."""
    if isinstance(value, tuple):
        same = len(value) > 0 and all(v == value[0] for v in value)
        return _brief(value[0]) if same else f"({', '.join(map(_brief, value))})"
    return "varies" if value is None else str(value)


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of text as lines, each column as wide as its widest cell but for the last.

    >>> columns([("fc", "512"), ("layer1", "")])
    ['fc      512', 'layer1']
    """
    cells = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
