"""What a page knows of a network: rows, conditions, sets and totals, as data for the browser.

Two forms of each size: *the general one, as the layers make it, is right for every size up to the
layer that refuses* and is what the page computes; the simplest on the domain is what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Union

from symcnn.algebra.axis import AxisMap, Scatter, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.mathml import written
from symcnn.algebra.size import Int, Size, prod, symbols_of, with_values
from symcnn.errors import SymcnnError
from symcnn.notation.tree import owned, parts
from symcnn.questions.cost.cost import measure
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.sets.condition import AnyOf, Condition, ForAll, KeepsBatch, Requirement
from symcnn.sets.downset import grows
from symcnn.sets.formula import Formula
from symcnn.sets.member import by_name
from symcnn.sets.runs import Run
from symcnn.trace.branches import said
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.trace import Trace
from symcnn.words.page.formulas import INDEX, Formulas
from symcnn.words.paper import to_latex

if TYPE_CHECKING:
    from symcnn.questions.field.receptive_field import ReceptiveField

#: What JSON holds.
Data = Union[None, bool, int, str, Sequence["Data"], Mapping[str, "Data"]]

#: So many boxes of a domain are listed; one in more pieces is searched in the browser.
_BOXES = 64

#: In a network of more nodes than this, formulas stand as text: it opens in the time of a glance.
_MANY = 1000


def starts(net: Trace, names: Sequence[str]) -> dict[str, int]:
    """The sizes that a page opens with: valid ones near 224, of one image; hyperparameters near 3.

    Args:
        net: the network.
        names: all symbols that the page has a size for.
    """
    wanted = dict.fromkeys(net.symbols, 224) | dict.fromkeys(net.leading & {*net.symbols}, 1)
    if "C" in net.leading:
        wanted["C"] = 3
    with suppress(SymcnnError):
        domain = net.valid_inputs()
        near = (wanted.get(name, 3) for name in domain.shown)
        wanted |= by_name(domain.shown, domain.nearest(*near))
        if domain.batch:
            rest = domain.given(**{name: wanted[name] for name in domain.shown})
            wanted |= by_name(rest.names, rest.smallest())
    return {name: size for name, size in wanted.items() if name in names}


def sheet(net: Trace, formulas: Formulas, title: str) -> Data:
    """A network for a page: each of its branches, and what no branch takes.

    Args:
        net: the network.
        formulas: the list that its closed forms go to.
        title: what it is called.
    """
    refusals = getattr(net, "refusals", ())
    nets: Sequence[Trace] = getattr(net, "nets", (net,))
    return {
        "title": title,
        "scope": net.scope,
        "domain": _said(lambda: net.valid_inputs().words()),
        "refusals": [
            {"path": [_requirement(g.requirement, formulas) for g in r.path], "said": r.said}
            for r in refusals
        ],
        "branches": [
            {"where": _where(one) if len(nets) > 1 else ""} | _branch(one, formulas) for one in nets
        ],
    }


def _where(net: Trace) -> str:
    """For which sizes a branch holds."""
    try:
        return net.branches[0].where.describe()
    except SymcnnError:
        return " and ".join(said(guard.requirement) for guard in net.guards)


def _said(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except SymcnnError as error:
        return f"not a set that can be written down: {error.cause}"


def _branch(net: Trace, formulas: Formulas) -> dict[str, Data]:
    place = {node: i for i, node in enumerate(net.nodes)}
    costs = _Costs(net)
    work, activations, copies = costs.work, costs.activations, costs.copies()
    fields = _Fields(net, formulas)
    shown = _Shown(net, formulas)
    laws: dict[AxisMap, int] = {}
    weights = owned(net)
    entries: list[Data] = []
    nodes: list[Data] = [None] * len(net.nodes)
    for part in parts(net, tree=True):
        count = formulas.value(net.simplest(sum((p.count for p in weights(part)), 0)))
        node = part.nodes[0]
        if len(part.nodes) != 1 or part.name != part.nodes[0].name:
            first, last = place[node], place[part.nodes[-1]]
            entries.append([part.level, part.name, first, last, count])
            continue
        i = place[node]
        entries.append(i)
        nodes[i] = {
            "level": part.level,
            "name": node.name,
            "op": node.op,
            "shapes": [[formulas.value(d) for d in t.dims] for t in node.outputs],
            "params": count,
            "macs": formulas.value(work[i]),
            **({} if activations is None else {"bytes": formulas.value(activations[i])}),
            **({"copies": True} if i in copies else {}),
            "field": fields.of(node),
            "from": [_source(t, place) for t in node.activations],
            "laws": _laws(node, laws),
            **_requires(node, formulas),
            **({"at": node.source} if node.source else {}),
        }
    return {
        "inputs": [
            {"name": t.name or "", "shape": [formulas.value(d) for d in t.dims]}
            for t in net.input_tensors
        ],
        "nodes": nodes,
        "entries": entries,
        "guards": [
            {
                "after": g.after,
                "where": g.where,
                "said": g.otherwise,
                **_requirement(g.requirement, formulas),
            }
            for g in net.guards
        ],
        "outputs": [[formulas.value(d) for d in t.dims] for t in net.output_tensors],
        "target": _target(net, place),
        "axes": fields.inputs(),
        "laws": [_law(m, formulas) for m in laws],
        "math": shown.all(),
        "general": shown.general,
        "symbols": shown.symbols,
        "boxes": _boxes(net),
        "batch": sorted(net.batch),
        **costs.single(copies, formulas),
        "hyperparameters": list(net.hyperparameters),
        "totals": costs.totals(formulas),
        "latex": _latex(net),
    }


# Costs -----------------------------------------------------------------------------------------


class _Costs:
    """What a network costs, node by node and as a whole."""

    def __init__(self, net: Trace) -> None:
        self._net = net
        self._cost, self._memory = measure(net, partial=True), measure(net)
        self.work: list[Int] = self._cost.terms("work")[0]
        self.activations: list[Int] | None = None  # bytes; None where some are not known
        with suppress(SymcnnError):
            self.activations = self._memory.terms("activations")[0]

    def copies(self) -> set[int]:
        """The nodes that only copy. *Where an axis is 1 long, a copy may be a view*: what they make
        is known where none is.
        """
        if self.activations is None:
            return set()
        idle = [row["other"] == 0 for row in self._cost.rows("node", ("other",))]
        return {
            i
            for i, node in enumerate(self._net.nodes)
            if idle[i] and self.work[i] == 0 and self.activations[i] != 0
            if node.activations and node.outputs
            if prod(node.activations[0].dims) == prod(node.outputs[0].dims)
        }

    def single(self, copies: set[int], formulas: Formulas) -> dict[str, Data]:
        """What is made where a size of the batch is 1, if that makes a difference to the copies;
        and the sizes of which this is known.
        """
        known: list[Data] = []
        ones: list[Data] = []
        for name in sorted(self._net.leading & {*self._net.symbols}) if copies else ():
            with suppress(SymcnnError):
                cost = measure(self._net.given(**{name: 1}))
                made, many = cost.terms("activations")[0], self.activations or []
                if made != [with_values(a, {name: 1}) for a in many]:
                    if ones:
                        continue  # both may be 1, of which neither tells
                    ones.append(
                        {
                            "size": [formulas.place(Size.symbol(name))],
                            "bytes": list(map(formulas.value, made)),
                            "activation bytes": formulas.value(sum(made, 0)),
                            "peak bytes": formulas.value(Formula(cost.peak).size),
                        }
                    )
                known.append(formulas.place(Size.symbol(name)))
        return {"alike": known, "single": ones[0] if ones else None}

    def totals(self, formulas: Formulas) -> list[Data]:
        """The figures of the whole: a heading, and a value or why there is none."""
        net, memory = self._net, self._memory
        bound = "" if self._cost.complete else "at least "
        flops = measure(net, "flops", partial=True)
        asked: tuple[tuple[str, str, Callable[[], Int]], ...] = (
            ("parameters", "", lambda: from_sympy(net.params)),
            ("MACs", bound, lambda: sum(self.work, 0)),
            ("FLOPs", bound, lambda: sum(flops.terms("work")[0], 0)),
            ("activation bytes", "", lambda: sum(memory.terms("activations")[0], 0)),
            ("peak bytes", "", lambda: Formula(memory.peak).size),
        )
        figures: list[Data] = []
        for name, prefix, ask in asked:
            try:
                value = formulas.value(ask())
                figures.append({"name": name, "bound": prefix, "value": value})
            except SymcnnError as error:
                figures.append({"name": name, "why": str(error.cause)})
        return figures


# Conditions ------------------------------------------------------------------------------------


def _requires(node: Node, formulas: Formulas) -> dict[str, Data]:
    found: list[Data] = [_requirement(r, formulas) for r in node.result.requires]
    return {"requires": found} if found else {}


def _requirement(requirement: Requirement, formulas: Formulas) -> dict[str, Data]:
    """A condition: pairs of which one must hold, and its words."""
    words: dict[str, Data] = {
        "text": str(requirement),
        "why": formulas.word(requirement.why),
        "along": sorted(requirement.symbols),
    }
    match requirement:
        case KeepsBatch():
            return words | {
                "pairs": [_pair(requirement, formulas)],
                "total": formulas.value(requirement.total),
            }
        case Condition():
            return words | {"pairs": [_pair(requirement, formulas)]}
        case AnyOf():
            return words | {"pairs": [_pair(option, formulas) for option in requirement.options]}
        case ForAll():
            return words | {"blocks": _blocks(requirement, formulas)}


def _pair(condition: Condition, formulas: Formulas) -> list[Data]:
    return [formulas.value(condition.lhs), condition.relation, formulas.value(condition.rhs)]


def _blocks(requirement: ForAll, formulas: Formulas) -> dict[str, Data]:
    """A condition on every block of a repeat: how many there are, and pairs with an index."""
    each, index = requirement.each, requirement.index
    options = each.options if isinstance(each, AnyOf) else (each,)
    pairs: list[Data] = []
    for option in options:
        assert isinstance(option, Condition)  # a block is no repeat of blocks
        left, right = (formulas.place(side, index) for side in (option.lhs, option.rhs))
        pairs.append([left, option.relation, right])
    return {"count": formulas.value(requirement.count), "pairs": pairs}


def _boxes(net: Trace) -> Data:
    """The domain as boxes, runs ``[first, last, step]`` per size; None where it is not."""
    try:
        domain = net.valid_inputs()
        tied = [n for n in domain.batch if domain.axis(n).runs() != [Run(1, None)]]
        found: list[Data] = []
        for box in islice(domain.boxes(), _BOXES + 1):
            if box is None or len(found) == _BOXES:
                return None
            runs = dict(zip(domain.shown, box, strict=True))
            runs |= {n: domain.axis(n).runs() for n in tied}
            found.append(
                {n: [[r.first, r.last, r.step] for r in listed] for n, listed in runs.items()}
            )
    except SymcnnError:
        return None
    return found


# Fields and laws ---------------------------------------------------------------------------------


class _Fields:
    """The receptive fields of a network's nodes, of one pass."""

    def __init__(self, net: Trace, formulas: Formulas) -> None:
        self._formulas = formulas
        self._field: ReceptiveField | None = None
        self.axes: tuple[str, ...] = ()
        with suppress(SymcnnError):
            self._field = receptive_field(net)
            self.axes = self._field.axes

    def inputs(self) -> Data:
        """The axes of the input that fields lie along: names and sizes."""
        if self._field is None:
            return []
        dims = self._field.passed.source.dims
        sizes = (dims[axis] for axis in self._field.input_axes)
        return [[n, self._formulas.value(d)] for n, d in zip(self.axes, sizes, strict=True)]

    def of(self, node: Node) -> Data:
        """Per axis of the input: the size, the node that sees the whole axis, the output axis along
        which the field moves, and first and last index as functions of the place along it.
        """
        found = self._field
        if found is None or not node.outputs or node.outputs[0] not in found.passed.reaches:
            return None
        field = found.of(node.outputs[0])
        return [self._axis(field, axis) for axis in range(len(self.axes))]

    def _axis(self, field: ReceptiveField, axis: int) -> Data:
        cell: dict[str, Data] = {}
        size: Int | None = None
        with suppress(SymcnnError):
            along, first, last = field.along(axis, INDEX)
            cell |= {
                "along": along,
                "ends": [self._formulas.place(e, INDEX) for e in (first, last)],
            }
            size = last - first + 1
        try:
            if size is None or INDEX in symbols_of(size):  # it depends on the place
                size = from_sympy(field.sizes_of(axis).max)
            cell["size"] = self._formulas.value(size)
        except SymcnnError as error:
            cell["why"] = str(error.cause)
        if field.whole[axis]:
            cell["whole"] = field.whole[axis]
        return cell


def _laws(node: Node, known: dict[AxisMap, int]) -> Data:
    """Per output axis, the axis of the first tensor that it comes from, and the law along it."""
    rows: list[Data] = []
    dims = node.outputs[0].dims if node.outputs else ()
    if not node.activations or node.activations[0] is not node.inputs[0]:
        return None
    for source, axis_map in (node.result.axes or ())[: len(dims)]:
        if not isinstance(source, int):
            rows.append(None)
            continue
        try:
            rows.append([source, known.setdefault(axis_map, len(known))])
        except TypeError:  # a map of arrays
            rows.append(None)
    return rows


def _law(axis_map: AxisMap, formulas: Formulas) -> Data:
    """A law by its name and its numbers."""
    match axis_map:
        case Window():
            values = (axis_map.extent, axis_map.stride, axis_map.left, axis_map.right)
            return ["window", *map(formulas.value, values)]
        case Scatter():
            numbers = (axis_map.extent, axis_map.stride, axis_map.padding, axis_map.output_padding)
            return ["scatter", *map(formulas.value, numbers)]
    return [type(axis_map).__name__.lower()]


def _source(t: SymbolicTensor, place: Mapping[Node, int]) -> int:
    """Which node makes a tensor; -1 for an input."""
    return place.get(t.node, -1) if t.node is not None else -1


def _target(net: Trace, place: Mapping[Node, int]) -> Data:
    """The node that a target is about, see `Network.last_map`."""
    try:
        outputs = net.last_map(2 if len(net.input_tensors[0].dims) > 3 else 1).output_tensors
        return _source(outputs[0], place)
    except (SymcnnError, IndexError):
        return None


# Words -----------------------------------------------------------------------------------------


class _Shown:
    """How the formulas of shapes are drawn, and which of them never fall as a size grows."""

    def __init__(self, net: Trace, formulas: Formulas) -> None:
        self._net, self._formulas = net, formulas
        self.symbols: dict[str, Data] = {}
        self.general: dict[str, Data] = {}  # the forms that hold outside the domain, if others

    def all(self) -> dict[str, Data]:
        """MathML by the place of a formula."""
        drawn: dict[str, Data] = {}
        draw = written if len(self._net.nodes) <= _MANY else _plain
        tensors = (t for node in self._net.nodes for t in node.outputs)
        for dim in dict.fromkeys(d for t in tensors for d in t.dims if isinstance(d, Size)):
            place = self._formulas.place(dim)
            simplest = self._net.simplest(dim)
            drawn[str(place)] = draw(simplest)
            if simplest != dim:
                self.general[str(place)] = draw(dim)
            self.symbols[str(place)] = [grows(dim), *sorted(symbols_of(dim))]
        return drawn


def _plain(expr: Int) -> str:
    return f"<mtext>{escape(str(expr))}</mtext>"


def _latex(net: Trace) -> str:
    if len(net.nodes) > _MANY:
        return ""
    try:
        return to_latex(net)
    except SymcnnError:
        return ""
