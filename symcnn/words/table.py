r"""Architecture tables: layer, output size, kernel, stride, receptive field, parameters, MACs.

One table of values; LaTeX (booktabs), Markdown, HTML, CSV and pandas only write it down.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape as html_escape
from typing import TYPE_CHECKING, Any

from symcnn.algebra.axis import AxisMap, Scatter, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size
from symcnn.errors import BadSpec, needs
from symcnn.notation.latex import Notation, escape, formula, times
from symcnn.notation.tree import Part, owned, parts
from symcnn.ops.operation import operation_of
from symcnn.questions.cost.cost import total_macs
from symcnn.questions.summary import at_sizes, count, seen
from symcnn.sets.grammar import check_sizes
from symcnn.shown import Shown, block, table
from symcnn.trace.graph import Node, Parameter
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    import pandas

#: Between the sizes of a map.
TIMES = "\N{MULTIPLICATION SIGN}"

#: Every column by its key: the heading, and how cells of several numbers are joined.
COLUMNS = {
    "layer": "Layer",
    "op": "Operation",
    "output": "Output size",
    "kernel": "Kernel",
    "stride": "Stride",
    "field": "RF",
    "params": "Parameters",
    "macs": "MACs",
}


@dataclass(frozen=True, slots=True)
class Table(Shown):
    """A table of an architecture: cells are text, sizes, tuples of sizes, or nothing."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: tuple[Any, ...] | None = None

    @property
    def headings(self) -> list[str]:
        """What stands at the head of each column."""
        return [COLUMNS[key] for key in self.columns]

    def _all(self) -> list[tuple[Any, ...]]:
        return [*self.rows, *([self.total] if self.total else [])]

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        numbers = ("Parameters", "MACs", "RF", "Stride", "Kernel", "Output size")
        rows = [[_once_told(cell) for cell in row] for row in self.rows]
        return block(table(self.headings, rows, numbers=numbers, total=self.total or ()))

    def to_markdown(self) -> str:
        """A table for README files and issues; numbers to the right."""
        right = {"params", "macs", "field", "stride", "kernel", "output"}
        rule = ["---:" if key in right else "---" for key in self.columns]
        rows = [[_plain(cell).replace("|", "\\|") for cell in row] for row in self._all()]
        return "\n".join(f"| {' | '.join(row)} |" for row in [self.headings, rule, *rows])

    def to_html(self) -> str:
        """A ``<table>``."""
        head = "".join(f"<th>{h}</th>" for h in self.headings)
        rows = (
            "".join(f"<td>{html_escape(_plain(cell))}</td>" for cell in row) for row in self._all()
        )
        return f"<table>\n<tr>{head}</tr>\n" + "".join(f"<tr>{r}</tr>\n" for r in rows) + "</table>"

    def to_csv(self) -> str:
        """Comma-separated values, numbers as digits only."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[_digits(cell) for cell in row] for row in self.rows])
        return out.getvalue()

    def to_pandas(self) -> pandas.DataFrame:
        """A ``pandas.DataFrame``; cells with symbols are sympy expressions.

        Raises MissingExtra without pandas.
        """
        with needs("pandas", "frames"):
            import pandas  # type: ignore[import-untyped,unused-ignore]

        from symcnn.trace.graph import Shape, public

        rows = [
            [
                tuple(Shape.of(cell))
                if isinstance(cell, tuple)
                else cell
                if isinstance(cell, str) or cell is None
                else public(cell)
                for cell in row
            ]
            for row in self.rows
        ]
        return pandas.DataFrame(rows, columns=list(self.columns))

    def to_latex(
        self, notation: Notation | None = None, *, caption: str = "", label: str = ""
    ) -> str:
        """A booktabs table; a longtable, over pages, if it has more than 40 rows."""
        notation = notation or Notation()
        align = "".join("l" if key in ("layer", "op") else "r" for key in self.columns)
        head = " & ".join(self.headings) + r" \\"
        body = [self._latex_row(row, notation) for row in self.rows]
        if self.total:
            body += [r"\\midrule"[1:], self._latex_row(self.total, notation)]
        lines = "\n".join(body)
        captions = (rf"\caption{{{escape(caption)}}}" if caption else "") + (
            rf"\label{{{label}}}" if label else ""
        )
        if len(self.rows) > 40:
            first = captions + r"\\" + "\n" if captions else ""
            return (
                f"\\begin{{longtable}}{{{align}}}\n{first}\\toprule\n{head}\n\\midrule\n\\endhead\n"
                f"\\bottomrule\n\\endfoot\n{lines}\n\\end{{longtable}}"
            )
        tabular = (
            f"\\begin{{tabular}}{{{align}}}\n\\toprule\n{head}\n\\midrule\n{lines}\n\\bottomrule\n"
            "\\end{tabular}"
        )
        if not captions:
            return tabular
        return f"\\begin{{table}}\n\\centering\n{captions}\n{tabular}\n\\end{{table}}"

    def _latex_row(self, row: Sequence[Any], notation: Notation) -> str:
        return " & ".join(_latex(cell, notation) for cell in row) + r" \\"


def _plain(cell: Any) -> str:
    if cell is None or cell == "":
        return ""
    if isinstance(cell, tuple) and len(cell) == 1:
        return _plain(cell[0])
    if isinstance(cell, tuple):
        return TIMES.join(text(v) if isinstance(v, int) else _wrapped(v) for v in cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell if isinstance(cell, str) else text(cell)


def _once_told(cell: Any) -> Any:
    """A cell of a single number as that number."""
    return cell[0] if isinstance(cell, tuple) and len(cell) == 1 else cell


def _wrapped(value: Size) -> str:
    shown = text(value)
    return shown if shown.isidentifier() else f"({shown})"


def _digits(cell: Any) -> str:
    return str(cell) if isinstance(cell, int) else _plain(cell)


def _latex(cell: Any, notation: Notation) -> str:
    if cell is None or cell == "":
        return ""
    if isinstance(cell, str):
        return escape(cell)
    if isinstance(cell, tuple):
        return "$" + times(cell, notation) + "$"
    return f"${formula(cell, notation)}$"


# Rows ----------------------------------------------------------------------------------------


def architecture(
    net: Trace,
    columns: Sequence[str] = ("layer", "output", "kernel", "stride", "field", "params", "macs"),
    *,
    at: Mapping[str, int] | None = None,
    depth: int | None = None,
    total: bool = True,
) -> Table:
    """The table of a network.

    columns: keys of `COLUMNS`. at: sizes at which cells are numbers; else they are formulas.
    depth: one row per module at this depth of the module tree (1: conv1, bn1, layer1, ...), with
        the costs of all it does; None: one row per node. total: a last row with the sums.

    Raises BadSpec for an unknown column or size.
    """
    unknown = [key for key in columns if key not in COLUMNS]
    if unknown:
        raise BadSpec(f"no column is called {unknown[0]!r}", cure=f"there is {', '.join(COLUMNS)}")
    sizes = check_sizes(at or {}, net.accepted_symbols(at or {}))
    weights = owned(net)
    cells = [_row(net, part, weights(part)) for part in parts(net, depth)]
    rows = [tuple(_once(key, _at(row[key], sizes)) for key in columns) for row in cells]
    if not total:
        return Table(tuple(columns), tuple(rows))
    sums: dict[str, Any] = {"params": from_sympy(net.params), "macs": from_sympy(total_macs(net))}
    last = [_at(sums[key], sizes) if key in sums else "" for key in columns]
    if columns and not last[0]:
        last[0] = "total"
    return Table(tuple(columns), tuple(rows), tuple(last))


def _row(net: Trace, part: Part, weights: Sequence[Parameter]) -> dict[str, Any]:
    nodes, last = part.nodes, part.nodes[-1]
    dims = tuple(map(net.simplest, last.outputs[0].dims)) if last.outputs else ()
    row: dict[str, Any] = {
        "layer": part.name,
        "op": part.op,
        "output": dims[1:] if len(dims) > 1 else dims,
        "kernel": None,
        "stride": None,
        "field": seen(net, last) if len(dims) > 2 else None,
        "params": net.simplest(count(weights)) or None,
        "macs": net.simplest(sum((node.result.work for node in nodes), 0)) or None,
    }
    if len(nodes) == 1:
        row["kernel"], row["stride"] = _kernel(last)
    return row


def _spatial(node: Node) -> list[AxisMap]:
    axes = node.result.axes or ()
    return [axis_map for source, axis_map in axes[2:] if isinstance(source, int)]


def _kernel(node: Node) -> tuple[tuple[Int, ...] | None, tuple[Int, ...] | None]:
    """Kernel and stride of a convolution or pooling layer."""
    operation = operation_of(node)
    maps = [m for m in _spatial(node) if isinstance(m, (Window, Scatter))]
    if not maps or operation is None or not operation.slides:
        return None, None
    weight = next((p for p in node.parameters if len(p.dims) > 2), None)
    if weight is None and all(m.extent == m.stride == 1 for m in maps):  # a pad
        return None, None
    kernel = weight.dims[2:] if weight is not None else tuple(m.extent for m in maps)
    strides = tuple(m.stride for m in maps)
    return tuple(kernel), strides if len(set(strides)) > 1 else strides[:1]


def _once(key: str, cell: Any) -> Any:
    """Equal fields along all axes are told once."""
    return cell[:1] if key == "field" and cell and len(set(cell)) == 1 else cell


def _at(cell: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(cell, tuple):
        return tuple(_at(value, sizes) for value in cell)
    return at_sizes(cell, sizes) if isinstance(cell, Size) else cell
