"""The architecture of a network as text that draws: SVG, TikZ, DOT, Mermaid.

The layout of SVG and TikZ is a law, not a search: *down is the order of the forward, right is how
often the map was halved.* A classifier goes down a staircase, a U-Net goes in and out again, and
what goes from the one arm of the U to the other runs straight down, past the deeper boxes. What
does not go to the next row runs in a lane of its own on the left of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import log2

from symcnn.errors import BadSpec
from symcnn.notation.latex import escape as tex
from symcnn.trace.trace import Trace
from symcnn.words.pictures.drawing import Drawing
from symcnn.words.pictures.graph import Box, Edge, Graph, graph

#: In pixels: a row, a step of scale, a lane, the margin; heights of boxes.
_ROW, _STEP, _LANE, _MARGIN = 46, 40, 12, 18
_LOW, _HIGH = 12, 30

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; } .name { font-weight: 600; }
.shape { font-size: 11px; fill: #57606a; } .box { stroke: #0550ae; fill: #9ecbff; }
.input, .output { stroke: #116329; fill: #a7e3c2; }
.edge { fill: none; stroke: #57606a; stroke-width: 1.3; } .skip { stroke: #cf4f00; }
.tip { fill: #57606a; } .skiptip { fill: #cf4f00; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .shape { fill: #9aa4af; }
.box { stroke: #79c0ff; fill: #1f4b7a; } .input, .output { stroke: #56d364; fill: #1c5c3a; }
.edge { stroke: #9aa4af; } .tip { fill: #9aa4af; } .skip { stroke: #ffa657; }
.skiptip { fill: #ffa657; } }
"""


def drawn(net: Trace, form: str, depth: int | None) -> Drawing:
    """See `symcnn.Network.draw`; each branch of a network stands below the one before."""
    if form not in FORMS:
        raise BadSpec(f"there is no drawing {form!r}", cure=f"there is {', '.join(FORMS)}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise BadSpec(f"depth={depth!r}", cure="1 shows the modules of the network itself")
    branches = net.branches
    several = len(branches) > 1
    graphs = [
        graph(b.network, depth, f"for {b.where.describe()}" if several else "") for b in branches
    ]
    return Drawing(FORMS[form](graphs, f"holds {net.scope}" if net.scope else ""))


# the layout -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A box where it stands: its left edge and its middle, width and height."""

    box: Box
    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class _Layout:
    """Boxes where they stand, and edges as the points that they run through."""

    boxes: tuple[_Placed, ...]
    edges: tuple[tuple[Edge, tuple[tuple[float, float], ...]], ...]
    width: float
    height: float


def _laid(found: Graph, top: float) -> _Layout:
    scales = _scales(found.boxes)
    lanes = _lanes(found, scales)
    # the lanes of a column lie in front of its boxes
    before: dict[int, int] = {}
    for (_, _), (column, lane) in lanes.items():
        before[column] = max(before.get(column, 0), lane + 1)
    start: dict[int, float] = {}
    x = float(_MARGIN)
    for column in range(max(scales, default=0) + 1):
        x += before.get(column, 0) * _LANE
        start[column] = x
        x += _STEP
    boxes = []
    for k, (box, scale) in enumerate(zip(found.boxes, scales, strict=True)):
        wide = 16 + 7 * log2(box.channels + 1) if box.channels else 48
        high = max(_LOW, _HIGH - 4 * scale) if not box.role else 16
        boxes.append(_Placed(box, start[scale], top + k * _ROW + _HIGH / 2, wide, high))
    edges = []
    for edge in found.edges:
        a, b = boxes[edge.source], boxes[edge.target]
        if edge.target == edge.source + 1:
            points = _next(a, b)
        else:
            column, lane = lanes[edge.source, edge.target]
            side = start[column] - (lane + 1) * _LANE + 2
            out, into = a.y + min(4, a.height / 4), b.y - min(4, b.height / 4)
            points = ((a.x, out), (side, out), (side, into), (b.x, into))
        edges.append((edge, points))
    right = max(
        (p.x + p.width + 10 + 6.9 * max(len(_head(p.box)), len(p.box.shape)) for p in boxes),
        default=100.0,
    )
    return _Layout(tuple(boxes), tuple(edges), right + _MARGIN, top + len(boxes) * _ROW)


def _next(a: _Placed, b: _Placed) -> tuple[tuple[float, float], ...]:
    """From a box to that of the next row: straight down where they overlap."""
    low, high = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
    if high - low > 6:
        x = low + min(12, (high - low) / 2)
        return (x, a.bottom), (x, b.top)
    middle = (a.bottom + b.top) / 2
    out = a.x + (a.width - 8 if b.x > a.x else min(12, a.width / 2))
    into = b.x + min(12, b.width / 2)
    return (out, a.bottom), (out, middle), (into, middle), (into, b.top)


def _scales(boxes: Sequence[Box]) -> list[int]:
    """The columns: no map stands below the last, and no column is empty."""
    raw: list[int] = []
    for box in boxes:
        raw.append(raw[-1] if box.scale is None and raw else box.scale or 0)
    order = {scale: k for k, scale in enumerate(sorted(set(raw)))}
    return [order[scale] for scale in raw]


def _lanes(found: Graph, scales: Sequence[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """A column and a lane in front of it for each edge that goes past a row.

    The column is the first that it meets on its way; edges of one source, or one target, that lie
    in one column may share nothing but their ends. Short edges lie next to the boxes.
    """
    taken: dict[int, list[list[tuple[int, int]]]] = {}
    lanes: dict[tuple[int, int], tuple[int, int]] = {}
    long = {(e.source, e.target) for e in found.edges if e.target != e.source + 1}
    for a, b in sorted(long, key=lambda ends: (ends[1] - ends[0], ends)):
        column = min(scales[a : b + 1])
        rows = taken.setdefault(column, [])
        lane = next(
            (k for k, row in enumerate(rows) if all(b <= c or d <= a for c, d in row)), len(rows)
        )
        if lane == len(rows):
            rows.append([])
        rows[lane].append((a, b))
        lanes[a, b] = (column, lane)
    return lanes


def _head(box: Box) -> str:
    return f"{box.name} · {box.kind}" if box.kind else box.name


def _stacked(graphs: Sequence[Graph]) -> Iterator[tuple[Graph, float, _Layout]]:
    """Each graph with the height of its title, one below the other."""
    top = float(_MARGIN)
    for one in graphs:
        title = top
        layout = _laid(one, top + (26 if one.where else 0))
        yield one, title, layout
        top = layout.height + 14


# SVG --------------------------------------------------------------------------------------------


def _svg(graphs: Sequence[Graph], note: str) -> str:
    parts: list[str] = []
    width, height = 200.0, 0.0
    for one, title, layout in _stacked(graphs):
        if one.where:
            parts.append(
                f'<text class="name" x="{_MARGIN}" y="{title + 12:g}">{escape(one.where)}</text>'
            )
            width = max(width, 7.5 * len(one.where) + 2 * _MARGIN)
        for edge, points in layout.edges:
            parts.append(_svg_edge(edge, points, one))
        for placed in layout.boxes:
            parts.append(_svg_box(placed))
        width, height = max(width, layout.width), layout.height
    if note:
        parts.append(f'<text class="shape" x="{_MARGIN}" y="{height + 14:g}">{escape(note)}</text>')
        width, height = max(width, 6.5 * len(note) + 2 * _MARGIN), height + 22
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path class="{name}" d="M0,0 L8,4 L0,8 Z"/></marker>'
        for name in ("tip", "skiptip")
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{_STYLE}</style><defs>{tips}</defs>", *parts, "</svg>"])


def _svg_edge(edge: Edge, points: Sequence[tuple[float, float]], one: Graph) -> str:
    skip = edge.target != edge.source + 1
    path = " ".join(f"{'ML'[k > 0]}{x:.1f},{y:.1f}" for k, (x, y) in enumerate(points))
    ends = f"{one.boxes[edge.source].name} → {one.boxes[edge.target].name}: {edge.shape}"
    style, tip = ("edge skip", "skiptip") if skip else ("edge", "tip")
    return (
        f'<path class="{style}" d="{path}" marker-end="url(#{tip})">'
        f"<title>{escape(ends)}</title></path>"
    )


def _svg_box(p: _Placed) -> str:
    x = p.x + p.width + 10
    style = p.box.role or "box"
    kind = f'<tspan font-weight="400">\u00a0· {escape(p.box.kind)}</tspan>' if p.box.kind else ""
    return (
        f'<rect class="{style}" x="{p.x:.1f}" y="{p.top:.1f}" width="{p.width:.1f}" '
        f'height="{p.height:.1f}" rx="3"/>'
        f'<text class="name" x="{x:.1f}" y="{p.y - 1:.1f}">{escape(p.box.name)}{kind}</text>'
        f'<text class="shape" x="{x:.1f}" y="{p.y + 13:.1f}">{escape(p.box.shape)}</text>'
    )


# TikZ -------------------------------------------------------------------------------------------


def _tikz(graphs: Sequence[Graph], note: str) -> str:
    lines = [
        r"\begin{tikzpicture}[x=0.75pt, y=-0.75pt, >=stealth, every node/.style={anchor=west,"
        r" inner sep=0pt, font=\sffamily\scriptsize}]"
    ]
    for one, title, layout in _stacked(graphs):
        if one.where:
            lines.append(rf"\node at ({_MARGIN},{title + 8:g}) {{\textbf{{{_tex(one.where)}}}}};")
        for edge, points in layout.edges:
            colour = "black!60" if edge.target == edge.source + 1 else "orange!80!black"
            path = " -- ".join(f"({x:.1f},{y:.1f})" for x, y in points)
            lines.append(rf"\draw[->, {colour}] {path};")
        for p in layout.boxes:
            fill = "green!20" if p.box.role else "blue!20"
            corner, size = f"({p.x:.1f},{p.top:.1f})", f"({p.width:.1f},{p.height:.1f})"
            lines.append(rf"\draw[fill={fill}, rounded corners=1pt] {corner} rectangle ++{size};")
            x = p.x + p.width + 10
            kind = f" $\\cdot$ {_tex(p.box.kind)}" if p.box.kind else ""
            lines.append(
                rf"\node at ({x:.1f},{p.y - 5:.1f}) {{\textbf{{{_tex(p.box.name)}}}{kind}}};"
            )
            lines.append(rf"\node[black!60] at ({x:.1f},{p.y + 9:.1f}) {{{_tex(p.box.shape)}}};")
        bottom = layout.height
    if note:
        lines.append(rf"\node[black!60] at ({_MARGIN},{bottom + 10:.1f}) {{{_tex(note)}}};")
    return "\n".join([*lines, r"\end{tikzpicture}"])


def _tex(text: str) -> str:
    return tex(text).replace("…", r"\ldots{}").replace("·", r"$\cdot$").replace("→", r"$\to$")


# DOT and Mermaid --------------------------------------------------------------------------------


def _dot(graphs: Sequence[Graph], note: str) -> str:
    lines = [
        "digraph network {",
        '  node [shape=box, style="rounded,filled", fillcolor="#dbeafe", fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
    ]
    if note:
        lines.append(f"  label={_quoted(note)};")
    for g, one in enumerate(graphs):
        inside = "    " if one.where else "  "
        if one.where:
            lines += [f"  subgraph cluster_{g} {{", f"    label={_quoted(one.where)};"]
        for k, box in enumerate(one.boxes):
            colour = ', fillcolor="#dcfce7"' if box.role else ""
            lines.append(f"{inside}{_id(graphs, g, k)} [label={_quoted(_head(box))}{colour}];")
        for e in one.edges:
            ends = f"{_id(graphs, g, e.source)} -> {_id(graphs, g, e.target)}"
            lines.append(f"{inside}{ends} [label={_quoted(' ' + e.shape)}];")
        if one.where:
            lines.append("  }")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _id(graphs: Sequence[Graph], g: int, k: int) -> str:
    return f"n{k}" if len(graphs) == 1 else f"b{g}n{k}"


def _mermaid(graphs: Sequence[Graph], note: str) -> str:
    lines = ["flowchart TD", *([f"  %% {note}"] if note else [])]
    for g, one in enumerate(graphs):
        inside = "    " if one.where else "  "
        if one.where:
            lines.append(f"  subgraph b{g} [{_said(one.where)}]")
        for k, box in enumerate(one.boxes):
            left, right = ("([", "])") if box.role else ("[", "]")
            lines.append(f"{inside}{_id(graphs, g, k)}{left}{_said(_head(box))}{right}")
        for e in one.edges:
            source, target = _id(graphs, g, e.source), _id(graphs, g, e.target)
            lines.append(f"{inside}{source} -->|{_said(e.shape)}| {target}")
        if one.where:
            lines.append("  end")
    return "\n".join(lines)


def _said(text: str) -> str:
    """Text in quotes, where Mermaid takes characters by the entities of HTML."""
    named = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}
    return '"' + "".join(named.get(c, c) for c in text) + '"'


#: The drawings, by name.
FORMS: dict[str, Callable[[Sequence[Graph], str], str]] = {
    "svg": _svg,
    "tikz": _tikz,
    "dot": _dot,
    "mermaid": _mermaid,
}
