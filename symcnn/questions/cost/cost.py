"""What a network costs, for all sizes at once: parameters, work, memory.

Every figure is a sum over nodes of exact integer expressions, so it is itself one: a `Formula` in
N, H, W and whatever symbols stand in the hyperparameters. Tables, module trees and shares are the
same sum in another order. A figure is complete or refused: an operation that does not say what
it costs is named, unless the caller asks for ``partial=True``, and then the total says that it is
a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Union

from symcnn.algebra.expr import Expr, to_sympy
from symcnn.algebra.factor import Floors, floors_written
from symcnn.algebra.size import Int, evaluate, maximum, symbols_of
from symcnn.errors import BadSpec, Undecidable, needs
from symcnn.lazy import cached_property, sympy
from symcnn.questions.cost.conventions import convention
from symcnn.questions.cost.laid import laid
from symcnn.questions.cost.pernode import PerNode, paths, unread_parameters
from symcnn.questions.cost.rows import Roof, Roofline, Row
from symcnn.questions.inputs.domain import shape_at
from symcnn.sets.formula import Formula, Given, conditions, spoken
from symcnn.sets.relaxed import leading_part
from symcnn.shown import Shown, block, cell, folded, table
from symcnn.trace.graph import Constant, Node, Parameter
from symcnn.trace.trace import Trace, remembered

if TYPE_CHECKING:
    import pandas

__all__ = ["Cost", "Row", "measure", "total_flops", "total_macs"]

#: Columns by name, and their heading in a table ("work" is headed by the convention's unit).
COLUMNS = {
    "params": "params",
    "work": "work",
    "share": "share",
    "other": "other",
    "backward": "backward",
    "activations": "activations",
    "saved": "saved",
    "moved": "moved",
}

#: Copies of the trained parameters that an optimizer keeps, and bytes per parameter (its step).
_OPTIMIZERS = {"sgd": (0, 0), "momentum": (1, 0), "adam": (2, 4), "adamw": (2, 4)}


#: A figure of a cost: a formula in the sizes, or its value at sizes.
Figure = Union[int, Formula]


def formula(figure: Figure) -> Formula:
    """The figure of a cost that stands at no sizes, which is a formula."""
    assert isinstance(figure, Formula)
    return figure


class Cost(PerNode, Shown):
    """The cost of a network; made by `Network.cost`.

    >>> from symcnn import nn
    >>> cost = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()).trace("N 3 H W").cost()
    >>> cost.total, cost.other, cost.params
    (216*N*H*W, 16*N*H*W, 224)
    >>> cost.at(N=1, H=32, W=32).total
    221184
    """

    def at(self, **sizes: int) -> Cost:
        """The same at given sizes: every figure a number.

        It is the cost of the network at these sizes, its layers called with numbers: where a view
        is possible, and what lies in which order in memory, may depend on a size that is 1.

        Raises BadSpec for a size that is missing or unknown, InvalidInput outside the domain.
        """
        shape_at(self.net, **sizes)
        numbers = {str(name): int(size) for name, size in sizes.items()}
        net = self.net.branch_at(**numbers)
        if net is self.net:
            net = net.given(**numbers)
        return self._with(net=net, sizes=numbers)

    def under(self, *given: Given) -> Cost:
        """The same where `given` holds, see `Formula.under`: ``under("H % 32 == 0")``."""
        return self._with(given=(*self.given, *conditions(*given)))

    def of(self, net: Trace) -> Cost:
        """The same of another network."""
        return self._with(net=net)

    def _out(self, size: Int) -> Figure:
        """A kernel expression as the caller wants to see it."""
        if self.sizes is not None:
            return evaluate(size, self.sizes)
        formula = Formula(self.net.simplest(size), self.net.symbols)
        return formula.under(*self.given) if self.given else formula

    def _laid_figure(self, size: Int, name: str) -> Figure:
        """The same of what lies in memory."""
        figure = laid(self._out(size), self, name)
        assert isinstance(figure, (int, Formula))
        return figure

    # work

    @property
    def total(self) -> Figure:
        """The work of one forward pass, in the unit of the convention."""
        return self._out(sum((work for work in self._work.values() if work), 0))

    @property
    def other(self) -> Figure:
        """Arithmetic that is not a MAC: activations, norms, pooling; see `elementwise`."""
        return self._out(sum(self._other.values(), 0))

    # the backward pass

    @property
    def backward(self) -> Figure:
        """The work of one backward pass from all outputs, in MACs or FLOPs.

        In FLOPs it equals `torch.utils.flop_counter`, which counts the gradient of a grouped
        convolution's weight once per group; in MACs it is the work that is done.
        """
        return self._out(sum(self._backward.values(), 0))

    @property
    def training(self) -> Figure:
        """Forward and backward together."""
        return self._out(sum(self._work.values(), 0) + sum(self._backward.values(), 0))

    # memory, in bytes

    @property
    def activations(self) -> Figure:
        """Bytes of all tensors that the operations make; views and work in place make none.

        The formula is for axes longer than 1; at numbers it is exact, see `saved`.
        """
        return self._laid_figure(sum(self._activations.values(), 0), "activations")

    @property
    def saved(self) -> Figure:
        """Bytes that autograd keeps for the backward pass, parameters and buffers aside.

        Every storage counts once and whole, the network's inputs included where they are kept.
        Equals what ``torch.autograd.graph.saved_tensors_hooks`` sees on CPU. The formula is for
        axes longer than 1, and for sizes that are equal only where they are written alike. Asked at
        numbers (``.at``, ``.subs``) where an axis is 1 it is that of the network at these; at sizes
        (`Cost.at`) nothing is assumed.
        """
        return self._laid_figure(sum(self._saved.values(), 0), "saved")

    @property
    def peak(self) -> Figure:
        """Bytes of tensors alive at the worst moment of an inference pass, parameters aside.

        A tensor lives from the operation that makes the tensor to the last that reads it, or for as
        long as the python of the forward holds the tensor: in a variable, a list, an attribute, as
        the argument of a module that runs. The network's inputs live throughout; the scratch memory
        of kernels is not counted. The formula is the maximum of the moments that are the worst at
        some valid size.

        >>> from symcnn import nn
        >>> nn.Sequential(*[nn.Conv2d(8, 8, 3) for _ in range(4)]).trace("1 8 H W").cost().peak
        96*(H - 2)*(W - 2) + 256
        """
        if self.sizes is not None:
            return max((evaluate(m, self.sizes) for m in self._moments), default=0)
        under = self.given  # by which `maximum` can compare
        moments = self._worst(lambda s: Formula(s).under(*under).size if under else s)
        worst = maximum(*map(self.net.simplest, moments)) if moments else 0
        return self._laid_figure(worst, "peak")

    @property
    def weights(self) -> Figure:
        """Bytes of the parameters, each in its own dtype."""
        return self._out(self._bytes(self._parameters))

    @property
    def by_dtype(self) -> dict[str, Figure]:
        """The number of parameters and buffer elements by dtype."""
        groups: dict[str, list[Parameter | Constant]] = {}
        everything: list[Parameter | Constant] = [*self._parameters, *self.net.buffers]
        for t in everything:
            groups.setdefault(t.dtype or self.dtype, []).append(t)
        return {name: self._out(self._count(ts)) for name, ts in groups.items()}

    @property
    def gradient_bytes(self) -> Figure:
        """Bytes of the gradients of what is trained."""
        return self._out(self._bytes(p for p in self._parameters if p.trainable))

    def optimizer(self, name: str) -> Figure:
        """Bytes of the optimizer's state: "sgd", "momentum", "adam" or "adamw", as in torch.optim.

        Raises BadSpec for another name.
        """
        if name not in _OPTIMIZERS:
            known = ", ".join(_OPTIMIZERS)
            raise BadSpec(f"no optimizer is called {name!r}", cure=f"there are: {known}")
        copies, each = _OPTIMIZERS[name]
        if each:
            self._unrolled("the number of tensors")
        trained = [p for p in self._parameters if p.trainable]
        return self._out(self._bytes(trained) * copies + each * len(trained))

    # bytes moved

    @property
    def moved(self) -> Figure:
        """Bytes that the operations read and write, each node by itself."""
        return self._out(sum(self._moved.values(), 0))

    @property
    def intensity(self) -> dict[str, sympy.Expr]:
        """FLOPs per byte moved of every node that moves some, by name (two FLOPs per MAC, and
        `other`); a sympy expression, or a Fraction at sizes.
        """
        return {
            n.name: sympy.cancel(
                sympy.sympify(self._out(self._arithmetic(n))) / sympy.sympify(self._out(moved))
            )
            for n, moved in self._moved.items()
            if moved != 0
        }

    def roofline(self, peak: float, bandwidth: float) -> Roofline:
        """What bounds each node on a machine of `peak` FLOP/s and `bandwidth` bytes/s.

        Raises BadSpec unless the cost stands at sizes, see `at`.
        """
        if self.sizes is None:
            raise BadSpec("a roofline needs sizes", cure="cost.at(N=1, H=224, W=224).roofline(...)")
        if not (peak > 0 and bandwidth > 0):
            raise BadSpec(f"peak={peak}, bandwidth={bandwidth}", cure="both are positive")
        rows = []
        for node, size in self._moved.items():
            if size == 0:
                continue
            flops, moved = (
                evaluate(self._arithmetic(node), self.sizes),
                evaluate(size, self.sizes),
            )
            computing, moving = flops / peak, moved / bandwidth
            bound = "compute" if computing >= moving else "memory"
            rows.append(Roof(node.name, flops, moved, bound, max(computing, moving)))
        return Roofline.of(rows, peak, bandwidth)

    # parameters

    @property
    def params(self) -> Figure:
        """The number of parameters, each weight once."""
        return self._out(self._count(self._parameters))

    @property
    def trainable(self) -> Figure:
        """The number of parameters that are trained."""
        return self._out(self._count(p for p in self._parameters if p.trainable))

    @property
    def frozen(self) -> Figure:
        """The number of parameters that are not trained."""
        return self._out(self._count(p for p in self._parameters if not p.trainable))

    @property
    def buffers(self) -> Figure:
        """The number of elements of the module's buffers, such as running statistics."""
        return self._out(self._count(self.net.buffers))

    # tables

    def rows(
        self,
        by: str = "module",
        columns: Iterable[str] = ("params", "work", "share"),
        depth: int | None = None,
    ) -> tuple[Row, ...]:
        """One row per module, as a tree in depth-first order, or per node.

        by: "module" or "node"; depth: how deep the tree is shown (default: all of it).

        Raises BadSpec for another word or an unknown column.
        """
        wanted = tuple(columns)
        for column in wanted:
            if column not in COLUMNS:
                raise BadSpec(
                    f"no column is called {column!r}", cure=f"there are: {', '.join(COLUMNS)}"
                )
        if by not in ("module", "node"):
            raise BadSpec(f"by={by!r}", cure='"module" or "node"')
        if by == "node":
            return tuple(self._by_node(wanted))
        return tuple(self._by_module(wanted, depth))

    def _by_node(self, columns: tuple[str, ...]) -> Iterator[Row]:
        unread = unread_parameters(self.net)
        for node in self.net.nodes:
            owned = {*node.parameters, *unread.get(node, ())}
            yield Row(node.name, node.op, 0, self._values([node], owned, columns))

    def _by_module(self, columns: tuple[str, ...], deepest: int | None) -> Iterator[Row]:
        inside: dict[str, list[Node]] = {"": []}
        for node in self.net.nodes:
            for path in paths(node.module):
                inside.setdefault(path, []).append(node)
        owned: dict[str, set[Parameter]] = {"": set(self._parameters)}
        unread = unread_parameters(self.net)
        for path, nodes in inside.items():
            if path:
                owned[path] = {p for n in nodes for p in (*n.parameters, *unread.get(n, ()))}
        for path in sorted(inside, key=_tree_order(inside)):
            depth = path.count(".") + 1 if path else 0
            if deepest is not None and depth > deepest:
                continue
            yield Row(path, "", depth, self._values(inside[path], owned[path], columns))

    def _values(
        self, nodes: list[Node], parameters: set[Parameter], columns: tuple[str, ...]
    ) -> dict[str, object]:
        values: dict[str, Any] = {}
        for column in columns:
            if column == "params":
                values[column] = self._out(self._count(parameters))
            elif column == "share":
                values[column] = self._share(sum((self._work[n] for n in nodes), 0))
            else:
                per_node = self._column(column)
                values[column] = self._out(sum((per_node[n] for n in nodes), 0))
        return values

    def _column(self, name: str) -> dict[Node, Int]:
        match name:
            case "work":
                return self._work
            case "other":
                return self._other
            case "backward":
                return self._backward
            case "activations":
                return self._activations
            case "saved":
                return self._saved
            case "moved":
                return self._moved
        raise BadSpec(name)  # pragma: no cover

    def _share(self, work: Int) -> Any:
        """A part of the total: at sizes, or in the limit of large sizes; None for no work."""
        if self.sizes is not None:
            work = evaluate(work, self.sizes)
        if work == 0 or self._whole is None:
            return None
        names, degree, whole = self._whole
        try:
            part, most = leading_part(work, names)
        except Undecidable:
            return None
        if part < degree:
            return sympy.Integer(0)
        return sympy.cancel(sympy.sympify(to_sympy(most)) / sympy.sympify(to_sympy(whole)))

    @cached_property
    def _whole(self) -> tuple[frozenset[str], int, Int] | None:
        """The sizes of the total, its degree, and its terms of that degree; None of no work."""
        total = sum(self._work.values(), 0)
        if self.sizes is not None:
            total = evaluate(total, self.sizes)
        try:
            degree, most = leading_part(total, symbols_of(total))
        except Undecidable:
            return None
        return (symbols_of(most), degree, most) if total else None

    def frame(
        self, by: str = "node", columns: Iterable[str] = ("params", "work", "other")
    ) -> pandas.DataFrame:
        """The table as a pandas DataFrame: sympy expressions, or ints at sizes.

        Raises MissingExtra without pandas.
        """
        with needs("pandas", "frames"):
            import pandas
        rows = [
            {"name": r.name, "op": r.op, **{c: getattr(v, "expr", v) for c, v in r.values.items()}}
            for r in self.rows(by, columns)
        ]
        return pandas.DataFrame(rows)

    def to_dict(
        self,
        by: str = "module",
        columns: Iterable[str] = ("params", "work", "share"),
        depth: int | None = None,
    ) -> dict[str, object]:
        """Everything for JSON: totals and rows, numbers where they are numbers, else text."""
        return {
            "convention": self.convention.name,
            "unit": self.convention.unit,
            "sizes": dict(self.sizes) if self.sizes is not None else None,
            "complete": self.complete,
            "total": _plain(self.total),
            "params": _plain(self.params),
            "trainable": _plain(self.trainable),
            "frozen": _plain(self.frozen),
            "buffers": _plain(self.buffers),
            "rows": [
                {"name": r.name, "op": r.op, **{c: _plain(v) for c, v in r.values.items()}}
                for r in self.rows(by, columns, depth)
            ],
        }

    def table(
        self,
        by: str = "module",
        columns: Iterable[str] = ("params", "work", "share"),
        depth: int | None = None,
        floors: Floors | None = None,
    ) -> str:
        """The table as text; see `rows`, and of `floors` `Network.summary`."""
        from symcnn.questions.cost.table import cost_table

        rows = self.rows(by, columns, depth)
        with floors_written(floors):
            return cost_table(rows, by, columns, self.convention.unit)

    @property
    def totals(self) -> str:
        """The sums under a table: work, parameters, and what is missing."""
        from symcnn.questions.cost.table import cell as as_text

        total, unit = self.total, self.convention.unit
        figures = [f"{as_text(total) or 0} {unit}", f"{as_text(self.params) or 0} parameters"]
        frozen = self.frozen
        if frozen:
            figures.append(f"of which {as_text(frozen)} frozen")
        text = ", ".join(figures)
        if not self.complete:
            names = ", ".join(f"{n.name} ({n.op})" for n in self.missing[:5])
            text = f"at least {text}; without a cost: {names}"
        if self.given:
            text += f", where {' and '.join(map(spoken, self.given))}"
        return text

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        unit = self.convention.unit
        bound = "" if self.complete else "at least "
        head = f"<div>{bound}{cell(self.total)} {unit}, {cell(self.params)} parameters</div>"
        first, rows = self.rows(depth=1), self.rows(columns=("params", "work"))
        more = folded("all modules", self._html_table(rows)) if len(first) < len(rows) else ""
        return block(head, self._html_table(first, "share"), more)

    def _html_table(self, shown: Sequence[Row], *besides: str) -> str:
        from symcnn.questions.cost.table import cell as as_text

        headings = ["module", "params", self.convention.unit, *besides]
        rows = [
            [
                "\N{EM SPACE}" * row.depth + (row.name.rpartition(".")[2] or "(total)"),
                *(row[key] if as_text(row[key]) else None for key in ("params", "work")),
                *(as_text(row[key]) for key in besides),
            ]
            for row in shown
        ]
        return table(headings, rows, numbers=headings[1:])

    def __repr__(self) -> str:
        bound = "" if self.complete else "at least "
        return f"Cost({bound}{self.total} {self.convention.unit}, {self.params} params)"


@singledispatch
def measure(net: Trace, name: str = "macs", **options: Any) -> Cost:
    """See `Network.cost`."""
    return Cost(net, convention(name), **options)


@singledispatch
@remembered
def total_macs(net: Trace) -> Expr:
    """See `Network.macs`."""
    return formula(measure(net).total).expr


@singledispatch
@remembered
def total_flops(net: Trace) -> Expr:
    """See `Network.flops`."""
    return formula(measure(net, "flops").total).expr


def _tree_order(inside: Mapping[str, Any]) -> Callable[[str], tuple[int, ...]]:
    """Parents first, children in the order in which they first ran."""
    first = {path: i for i, path in enumerate(inside)}
    return lambda path: tuple(first[p] for p in paths(path))


def _plain(value: Any) -> Any:
    """Numbers as numbers, formulas as text, shares as floats."""
    if isinstance(value, Formula):
        return value.size if isinstance(value.size, int) else str(value)
    if isinstance(value, sympy.Basic):
        return float(value) if value.is_number else str(value)
    return value
