"""One layer as Dumoulin and Visin draw it: which cells of the input each cell of the output reads.

Whatever the layer, one output reads an arithmetic progression of cells. A transposed convolution
reads its input with ``stride - 1`` zeros between the cells, as the direct convolution that equals
it does; so one picture serves both. Cells that nobody reads are hatched: rows that a stride leaves
over, and padding on one side only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from symcnn.algebra.axis import AxisMap, Scatter, Window

#: The side of a cell, and the space around grids, in pixels.
_CELL, _SPACE = 22, 34

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.cell { stroke: #57606a; stroke-width: 1; }
.real { fill: #9ecbff; } .zero { fill: #ffffff; } .pad { fill: #ffffff; stroke-dasharray: 2 2; }
.out { fill: #a7e3c2; } .seen { fill: #0550ae; fill-opacity: .55; stroke: none; }
.made { fill: #116329; fill-opacity: .75; stroke: none; } .tap { stroke: #0550ae; stroke-width: 1; }
.unread { fill: url(#unread); stroke: none; } .hatch { stroke: #cf222e; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .real { fill: #1f4b7a; } .zero, .pad { fill: #161b22; }
.out { fill: #1c5c3a; } .seen { fill: #79c0ff; } .made { fill: #56d364; } .tap { stroke: #79c0ff; }
.cell { stroke: #8b949e; } }
"""


@dataclass(frozen=True)
class Axis:
    """One axis of a layer, cell by cell.

    Attributes:
        cells: what each cell of the input is: "real", "zero" between two cells, "pad" beside them.
        reads: per output, the cells that this output reads.
    """

    cells: tuple[str, ...]
    reads: tuple[tuple[int, ...], ...]

    @property
    def unread(self) -> tuple[int, ...]:
        """Cells of the input and its padding that no output reads."""
        read = {cell for cells in self.reads for cell in cells}
        return tuple(k for k, kind in enumerate(self.cells) if kind != "zero" and k not in read)


def axis(axis_map: AxisMap, size: int) -> Axis:
    """The cells of an axis of `size` input cells, and what each output reads of them.

    >>> from symcnn.algebra.axis import Window
    >>> stride = axis(Window(3, 2, 1, 1), 6)
    >>> stride.reads
    ((0, 1, 2), (2, 3, 4), (4, 5, 6))
    >>> stride.unread
    (7,)
    """
    if isinstance(axis_map, Scatter):
        direct = Window(
            axis_map.extent,
            1,
            axis_map.extent - 1 - axis_map.padding,
            axis_map.extent - 1 - axis_map.padding + axis_map.output_padding,
            axis_map.dilation,
        )
        found = axis(direct, axis_map.stride * (size - 1) + 1)
        start = max(int(direct.left), 0)
        inside = range(start, len(found.cells) - max(int(direct.right), 0))
        cells = [
            "zero" if k in inside and (k - start) % axis_map.stride else kind
            for k, kind in enumerate(found.cells)
        ]
        return Axis(tuple(cells), found.reads)
    first, last, step = axis_map.reads(size)
    left, right = 0, 0
    if isinstance(axis_map, Window):
        left, right = max(int(axis_map.left), 0), max(int(axis_map.right), 0)
    reads = tuple(
        tuple(p + left for p in range(int(a), int(b) + 1, int(step)) if -left <= p < size + right)
        for a, b in zip(first, last, strict=True)
    )
    return Axis(("pad",) * left + ("real",) * size + ("pad",) * right, reads)


# SVG --------------------------------------------------------------------------------------------


def svg(axes: Sequence[Axis], place: Sequence[int], title: str, *, animate: bool = False) -> str:
    """A layer of one or two axes as SVG text.

    Args:
        axes: its axes, one (drawn as rows with lines) or two (drawn as grids).
        place: the output whose reads are marked, an index per axis.
        title: what stands below.
        animate: whether the mark moves over all outputs.
    """
    one = len(axes) == 1
    parts = [*(_rows(axes[0], place[0]) if one else _grids(axes, place, animate=animate))]
    if one:
        width = max(len(axes[0].cells), len(axes[0].reads)) * _CELL + 2 * _SPACE
        height = 5 * _CELL + 3 * _SPACE
    else:
        tall = max(len(axes[0].cells), len(axes[0].reads))
        width = (len(axes[1].cells) + len(axes[1].reads)) * _CELL + 3 * _SPACE
        height = tall * _CELL + 2 * _SPACE
    width = max(width, 7 * len(title) + _SPACE)
    hatch = (
        '<pattern id="unread" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style><defs>{hatch}</defs>",
            *parts,
            f'<text x="{_SPACE // 2}" y="{height - 9}">{escape(title)}</text>',
            "</svg>",
        ]
    )


def _cell(kind: str, x: float, y: float) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{_CELL}" height="{_CELL}"/>'


def _rows(row: Axis, place: int) -> Iterator[str]:
    """Input above output, a line from every output to each cell that it reads."""
    wide = max(len(row.cells), len(row.reads))
    above, below = _SPACE, _SPACE + 4 * _CELL
    left = _SPACE + (wide - len(row.cells)) * _CELL / 2
    start = _SPACE + (wide - len(row.reads)) * _CELL / 2
    yield f'<text x="{left}" y="{above - 9}">input {row.cells.count("real")}</text>'
    yield f'<text x="{start}" y="{below + _CELL + 16}">output {len(row.reads)}</text>'
    for o, cells in enumerate(row.reads):
        for k in cells:
            ends = left + (k + 0.5) * _CELL, start + (o + 0.5) * _CELL
            faint = "" if o == place else ' stroke-opacity=".3"'
            line = f'x1="{ends[0]}" y1="{above + _CELL}" x2="{ends[1]}" y2="{below}"'
            yield f'<line class="tap" {line}{faint}/>'
    for k, kind in enumerate(row.cells):
        yield _cell(f"cell {kind}", left + k * _CELL, above)
    for k in row.unread:
        yield _cell("unread", left + k * _CELL, above)
    for k in row.reads[place] if row.reads else ():
        yield _cell("seen", left + k * _CELL, above)
    for o in range(len(row.reads)):
        yield _cell("cell out", start + o * _CELL, below)
    if row.reads:
        yield _cell("made", start + place * _CELL, below)


def _grids(axes: Sequence[Axis], place: Sequence[int], *, animate: bool) -> Iterator[str]:
    """Input on the left, output on the right, one output and what this output reads marked."""
    rows, columns = axes
    right = 2 * _SPACE + len(columns.cells) * _CELL
    yield _grid_label("input", rows.cells.count("real"), columns.cells.count("real"), _SPACE)
    yield _grid_label("output", len(rows.reads), len(columns.reads), right)
    for r, across in enumerate(rows.cells):
        for c, along in enumerate(columns.cells):
            kinds = {across, along}
            kind = "pad" if "pad" in kinds else "zero" if "zero" in kinds else "real"
            x, y = _SPACE + c * _CELL, _SPACE + r * _CELL
            yield _cell(f"cell {kind}", x, y)
            if r in rows.unread or c in columns.unread:
                yield _cell("unread", x, y)
    for r in range(len(rows.reads)):
        for c in range(len(columns.reads)):
            yield _cell("cell out", right + c * _CELL, _SPACE + r * _CELL)
    every = [(r, c) for r in range(len(rows.reads)) for c in range(len(columns.reads))]
    shown = every if animate else [(place[0], place[1])]
    for turn, (r, c) in enumerate(shown if every else ()):
        yield "<g>" + (_blink(turn, len(shown)) if animate else "")
        for i in rows.reads[r]:
            for j in columns.reads[c]:
                yield _cell("seen", _SPACE + j * _CELL, _SPACE + i * _CELL)
        yield _cell("made", right + c * _CELL, _SPACE + r * _CELL) + "</g>"


def _grid_label(name: str, rows: int, columns: int, x: float) -> str:
    return f'<text x="{x}" y="{_SPACE - 9}">{name} {rows}×{columns}</text>'


def _blink(turn: int, turns: int) -> str:
    """Seen in its own turn only."""
    begin, end = turn / turns, (turn + 1) / turns
    frames = [("hidden", 0.0), ("visible", begin), ("hidden", end)]
    if turn == 0:
        frames = frames[1:]
    frames = [f for f in frames if f[1] < 1]
    values = ";".join(value for value, _ in frames)
    times = ";".join(f"{time:.4f}" for _, time in frames)
    return (
        f'<animate attributeName="visibility" calcMode="discrete" repeatCount="indefinite" '
        f'dur="{turns * 0.6:.1f}s" values="{values}" keyTimes="{times}"/>'
    )


# TikZ -------------------------------------------------------------------------------------------


def tikz(axes: Sequence[Axis], place: Sequence[int], title: str) -> str:
    """The same as a ``tikzpicture``, for a document that uses the package tikz."""
    lines = [r"\begin{tikzpicture}[x=0.5cm, y=0.5cm]"]
    rows, columns = (Axis(("real",), ((0,),)), axes[0]) if len(axes) == 1 else axes
    at = (0, place[0]) if len(axes) == 1 else (place[0], place[1])
    right = len(columns.cells) + 2
    for r, across in enumerate(rows.cells):
        for c, along in enumerate(columns.cells):
            kinds = {across, along}
            kind = "pad" if "pad" in kinds else "zero" if "zero" in kinds else "real"
            style = f"fill={'blue!25' if kind == 'real' else 'white'}"
            style += ", dashed" * (kind == "pad")
            if r in rows.unread or c in columns.unread:
                style = "fill=red!15"
            if (
                rows.reads
                and columns.reads
                and r in rows.reads[at[0]]
                and c in columns.reads[at[1]]
            ):
                style += ", fill=blue!60"
            lines.append(rf"\draw[{style}] ({c},{-r}) rectangle ++(1,-1);")
    for r in range(len(rows.reads)):
        for c in range(len(columns.reads)):
            style = "fill=green!60!black" if (r, c) == at else "fill=green!25"
            lines.append(rf"\draw[{style}] ({right + c},{-r}) rectangle ++(1,-1);")
    words = title.replace("→", r"$\rightarrow$").replace("_", r"\_").replace("×", r"$\times$")
    below = -max(len(rows.cells), len(rows.reads)) - 0.2
    lines.append(rf"\node[anchor=north west] at (0,{below}) {{{words}}};")
    return "\n".join([*lines, r"\end{tikzpicture}"])
