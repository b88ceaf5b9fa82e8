"""The table of a network that people paste: what each layer makes, has and costs; and the totals.

One row per node, or per module down to a depth, as formulas or at sizes. A row is a stretch of the
trace (`symcnn.notation.tree`), so a module that runs twice stands where it runs. A parameter counts
where it is read first: the rows add up to the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Union

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import Floors, floors_written, text
from symcnn.algebra.size import Int, Size, evaluate, symbols_of
from symcnn.errors import BadSpec, InvalidInput, SymcnnError
from symcnn.notation.tree import Part, owned, parts
from symcnn.questions.cost.cost import formula, measure, total_macs
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.inputs.domain import check_valid, shape_at, taken_at
from symcnn.sets.grammar import check_sizes
from symcnn.shown import Text, assignment, block, cell, table
from symcnn.trace.graph import Dims, Node, Parameter
from symcnn.trace.trace import Trace

#: A figure: a number, a formula, a shape, words where there is none.
Figure = Union[int, Size, str, tuple["Figure", ...], None]

#: Every column by its key: the heading, and whether it is of numbers.
COLUMNS = {
    "op": ("op", False),
    "input": ("input", False),
    "output": ("output", False),
    "params": ("params", True),
    "macs": ("MACs", True),
    "memory": ("bytes", True),
    "field": ("field", True),
    "source": ("source", False),
}

_DEFAULT = ("op", "output", "params", "macs")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a node or a module call, and its cells by column.

    Cells are sizes (ints or kernel expressions), tuples of sizes, text, or None.
    """

    name: str
    level: int
    calls: int
    cells: Mapping[str, Any]


class Summary(Text):
    """The table as text; `rows`, `totals` and `to_dict` are what it is written from."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    totals: Mapping[str, Any]
    tree: bool
    floors: Floors | None

    def _repr_html_(self) -> str:
        with floors_written(self.floors):
            totals = [f"<div>{line}</div>" for line in _lines(self.totals, cell)]
            return block(self.table(), *totals)

    def table(self) -> str:
        """The rows as a table of a page."""
        headings = ["name", *(COLUMNS[key][0] for key in self.columns)]
        rows = [[self._label(row), *map(row.cells.get, self.columns)] for row in self.rows]
        shown = [[_alone(value) for value in row] for row in rows]
        return table(headings, shown, numbers=[h for h, number in COLUMNS.values() if number])

    def _label(self, row: Row) -> str:
        own = row.name.rpartition(".")[2]
        name = "\N{EM SPACE}" * (row.level - 1) + own if self.tree else row.name
        return name + _times(row)

    def to_dict(self) -> dict[str, object]:
        """Everything for JSON: numbers where they are numbers, else text."""
        rows = [
            {"name": r.name, "level": r.level, "calls": r.calls}
            | {key: _json(cell) for key, cell in r.cells.items()}
            for r in self.rows
        ]
        return {"rows": rows, "totals": {key: _json(v) for key, v in self.totals.items()}}


@singledispatch
def summary(
    net: Trace,
    *,
    at: Mapping[str, int] | None = None,
    depth: int | None = None,
    columns: Sequence[str] = _DEFAULT,
    floors: Floors | None = None,
) -> Summary:
    """The table of a network, see `Network.summary`.

    Raises BadSpec for an unknown column or size, InvalidInput for sizes that are not valid.
    """
    columns = (columns,) if isinstance(columns, str) else columns
    if at is not None and not isinstance(at, Mapping):
        raise BadSpec(f"at={at!r}", cure='sizes by name: at={"H": 224, "W": 224}')
    if unknown := [key for key in columns if key not in COLUMNS]:
        raise BadSpec(f"no column is called {unknown[0]!r}", cure=f"there is {', '.join(COLUMNS)}")
    if depth is not None and (not isinstance(depth, int) or depth < 1):
        raise BadSpec(f"depth={depth!r}", cure="1 shows the modules of the network itself")
    asked = at or {}
    sizes = check_sizes({str(k): v for k, v in asked.items()}, net.accepted_symbols(asked))
    if sizes and net.free_symbols <= sizes.keys():
        taken, left = taken_at(net, sizes)
        if taken is not net:
            return summary(taken, at=left, depth=depth, columns=columns, floors=floors)
    _check_valid(net, sizes)
    fill = _Filler(net, sizes)
    rows = tuple(
        Row(part.name, part.level, part.calls, {key: fill.cell(key, part) for key in columns})
        for part in parts(net, depth, tree=depth is not None)
    )
    totals = fill.totals(columns)
    with floors_written(floors):
        found = Summary(_written(rows, columns, totals, tree=depth is not None))
    found.rows, found.columns, found.totals = rows, tuple(columns), totals
    found.tree, found.floors = depth is not None, floors
    return found


def _check_valid(net: Trace, sizes: Mapping[str, int]) -> None:
    """Raises InvalidInput for sizes of which none, or not these, are valid."""
    if sizes and net.free_symbols <= sizes.keys():
        shape_at(net, **sizes)
        return
    if not net.scope:
        check_valid(net, sizes)
    try:
        domain = net.valid_inputs()
        named = {name: size for name, size in sizes.items() if name in domain.names}
        possible = bool(domain.given(**named)) if named else True
    except SymcnnError:  # no exact set tells
        return
    if not possible:
        listed = assignment(sizes)
        said = (
            f"no branch that was followed takes {listed}" if net.scope else f"{listed} is not valid"
        )
        raise InvalidInput(said, cure=f"valid inputs: {domain}")


class _Filler:
    """The cells and totals of one network at sizes (or at none)."""

    def __init__(self, net: Trace, sizes: Mapping[str, int]) -> None:
        self.net, self.sizes = net, sizes
        self.owned = owned(net)
        self._bytes: dict[Node, Int] | None = None

    def at(self, size: Int) -> Int:
        """The simplest form, or the value at the sizes."""
        return at_sizes(self.net.simplest(size), self.sizes)

    def shape(self, dims: Dims) -> tuple[Int, ...]:
        return tuple(map(self.at, dims))

    def cell(self, key: str, part: Part) -> object:
        first, last = part.nodes[0], part.nodes[-1]
        match key:
            case "op":
                return part.op
            case "input":
                return self.shape(first.activations[0].dims) if first.activations else None
            case "output":
                return self.shape(last.outputs[0].dims) if last.outputs else None
            case "params":
                return self.at(count(self.owned(part)))
            case "macs":
                return self.at(sum((node.result.work for node in part.nodes), 0))
            case "memory":
                return self.at(sum((self.bytes[node] for node in part.nodes), 0))
            case "field":
                return self.field(last)
        return first.source  # where its first operation stands

    @property
    def bytes(self) -> dict[Node, Int]:
        """The bytes that each node makes."""
        if self._bytes is None:
            rows = measure(self.net).rows("node", ["activations"])
            values = (from_sympy(row["activations"].size) for row in rows)
            self._bytes = dict(zip(self.net.nodes, values, strict=True))
        return self._bytes

    def field(self, node: Node) -> object:
        sizes = seen(self.net, node)
        if sizes is None:
            return None
        found = self.shape(sizes)
        return found[:1] if len(set(found)) == 1 else found

    def totals(self, columns: Iterable[str]) -> dict[str, object]:
        """What stands under the table."""
        net = self.net
        read = {p for node in net.nodes for p in node.parameters}
        found: dict[str, Any] = {
            "output": tuple(self.shape(t.dims) for t in net.output_tensors),
            "params": self.at(count(net.parameters)),
            "trainable": self.at(count(p for p in net.parameters if p.trainable)),
            "frozen": self.at(count(p for p in net.parameters if not p.trainable)),
            "unused": self.at(count(p for p in net.parameters if p not in read)),
            "macs": or_refusal(lambda: self.at(from_sympy(total_macs(net)))),
        }
        if "memory" in columns:
            found["activations"] = or_refusal(lambda: self.at(sum(self.bytes.values(), 0)))
            found["weights"] = self.at(formula(measure(net).weights).size)
        if not self.sizes:
            found["domain"] = or_refusal(lambda: net.valid_inputs().words())
        if net.scope:
            found["holds"] = net.scope
        try:
            field = receptive_field(net).row()
        except SymcnnError:
            return found
        if None not in field["size"]:
            found["field"] = self.shape(tuple(map(from_sympy, field["size"])))
        return found


def at_sizes(size: Int, sizes: Mapping[str, int]) -> Int:
    """A size at sizes: a number where they are all that it depends on."""
    if isinstance(size, int) or not sizes:
        return size
    return evaluate(size, sizes) if symbols_of(size) <= sizes.keys() else size.subs(sizes)


def seen(net: Trace, node: Node) -> tuple[Int, ...] | None:
    """The receptive field of what a node makes, per axis; None if it has none in closed form."""
    if not net.input_tensors or not node.outputs:
        return None
    try:
        return tuple(map(from_sympy, receptive_field(net, at=node.name).size))
    except SymcnnError:
        return None


def count(parameters: Iterable[Parameter]) -> Int:
    """The numbers in parameters, each once."""
    return sum((p.count for p in dict.fromkeys(parameters)), 0)


def or_refusal(ask: Callable[[], Any]) -> Any:
    """The answer, or why there is none, in one line."""
    try:
        return ask()
    except SymcnnError as error:
        return f"not known: {error.cause.splitlines()[0]}"


# Text -------------------------------------------------------------------------------------------


def _written(
    rows: Sequence[Row], columns: Sequence[str], totals: Mapping[str, Any], *, tree: bool
) -> str:
    from symcnn.notation.text import table

    headings = ["name", *(COLUMNS[key][0] for key in columns)]
    cells = (
        [
            (_branch(row) if tree else row.name) + _times(row),
            *(_plain(row.cells[key]) for key in columns),
        ]
        for row in rows
    )
    shown = table(headings, cells, numbers=[h for h, number in COLUMNS.values() if number])
    return "\n".join([shown, *_lines(totals, _plain), ""])


def _alone(value: Any) -> Any:
    """A tuple of one size as that size; nothing for none."""
    value = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return None if type(value) is int and not value else value


def _times(row: Row) -> str:
    return f" (x{row.calls})" if row.calls > 1 else ""


def _branch(row: Row) -> str:
    own = row.name.rpartition(".")[2]
    return own if row.level == 1 else "│  " * (row.level - 2) + "├─ " + own


def _lines(totals: Mapping[str, Any], written: Callable[[Any], str]) -> Iterator[str]:
    """The totals, one a line."""
    yield f"output {', '.join(map(written, totals['output']))}"
    params = f"params {written(totals['params']) or 0}"
    parted = [f"{written(totals[key])} {key}" for key in ("frozen", "unused") if totals[key] != 0]
    if parted:
        parted.insert(0, f"{written(totals['trainable']) or 0} trainable")
        params += f" ({', '.join(parted)})"
    yield params
    yield f"MACs {written(totals['macs']) or 0}"
    if "activations" in totals:
        made, weights = written(totals["activations"]), written(totals["weights"])
        yield f"memory {made or 0} bytes made, {weights or 0} bytes of weights"
    if "field" in totals:
        yield f"field {written(totals['field'])}"
    if "domain" in totals:
        yield f"domain {totals['domain'] or 'every size'}"
    if "holds" in totals:
        yield f"holds {totals['holds']}"


def _plain(cell: Any) -> str:
    """A cell as text; blank for nothing."""
    return said(_alone(cell))


def said(figure: Figure) -> str:
    """A figure as text, with commas; "" for none.

    >>> said((1, 2048)), said(25557032), said(None)
    ('(1, 2048)', '25,557,032', '')
    """
    if isinstance(figure, tuple):
        return f"({', '.join(text(f) if isinstance(f, Size) else str(f) for f in figure)})"
    if isinstance(figure, Size):
        return text(figure)
    return f"{figure:,}" if isinstance(figure, int) else figure or ""


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(v) for v in value]
    return text(value) if isinstance(value, Size) else value
