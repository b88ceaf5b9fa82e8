"""Derivations: how a closed form comes about, layer by layer, each line checked.

A derivation is a list of steps; a step names its rule, the law behind it and where it is written,
and then a chain of equal lines: substitution, simplification, result. Lines are small expression
trees that keep the form in which they are written. That consecutive lines are equal *for all
sizes* is decided when the step is made (normal form, or isl), and besides they are evaluated in
plain python at many sizes: a derivation that could be wrong is not shown.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from symcnn.algebra import size as sz
from symcnn.algebra.axis import AxisMap, Const, Scatter, Window
from symcnn.algebra.factor import text
from symcnn.algebra.size import Floor, Int, Size, evaluate, floordiv, prod, symbols_of
from symcnn.errors import BadSpec, SymcnnError, Undecidable
from symcnn.questions.field.receptive_field import Pass
from symcnn.questions.inputs.domain import reasons
from symcnn.questions.inputs.solve import parsed_target
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Between, quantity_of, short
from symcnn.sets.inputset import always, input_set
from symcnn.trace.graph import Node, Shape, SymbolicTensor
from symcnn.words.latex import Notation, escape, formula
from symcnn.words.shown import Shown

if TYPE_CHECKING:
    from symcnn.network import Network
    from symcnn.sets.inputset import InputSet

__all__ = ["Derivation", "Line", "Step", "Tree", "explain"]


# Lines ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree(Shown):
    """An expression as it is written: a leaf, or ``sum``, ``product``, ``floor`` of others."""

    kind: str
    parts: tuple[Any, ...]

    @staticmethod
    def leaf(value: Int) -> Tree:
        """An expression in normal form, written as it is read."""
        return Tree("leaf", (value,))

    @staticmethod
    def of(kind: str, *parts: Tree | Int) -> Tree:
        """A sum, product or floor of trees and numbers; a sum's zeros and a product's ones go."""
        made = [part if isinstance(part, Tree) else Tree.leaf(part) for part in parts]
        if kind != "floor":
            unit = 0 if kind == "sum" else 1
            made = [p for p in made if p.parts != (unit,)] or [Tree.leaf(unit)]
            if len(made) == 1:
                return made[0]
        return Tree(kind, tuple(made))

    def normal(self) -> Int:
        """The normal form."""
        if self.kind == "leaf":
            value: Int = self.parts[0]
            return value
        values = [part.normal() for part in self.parts]
        if self.kind == "floor":
            return floordiv(*values)
        return sum(values, 0) if self.kind == "sum" else prod(values)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes in it."""
        if self.kind == "leaf":
            return symbols_of(self.parts[0])
        return frozenset[str]().union(*(part.symbols for part in self.parts))

    def at(self, values: Mapping[str, int]) -> Any:
        """The value, computed as written."""
        if self.kind == "leaf":
            return evaluate(self.parts[0], values)
        parts = [part.at(values) for part in self.parts]
        if self.kind == "floor":
            return parts[0] // parts[1]
        total: Any = 0 if self.kind == "sum" else 1
        for part in parts:
            total = total + part if self.kind == "sum" else total * part
        return total

    def write(self, leaf: Callable[[Int], str], floor: str, times: str) -> str:
        """The tree in some notation."""

        def wrapped(tree: Tree) -> str:
            shown = tree.write(leaf, floor, times)
            loose = tree.kind == "sum" or (tree.kind == "leaf" and _loose(tree.parts[0]))
            return f"({shown})" if loose else shown

        if self.kind == "leaf":
            return leaf(self.parts[0])
        if self.kind == "floor":
            num, den = (part.write(leaf, floor, times) for part in self.parts)
            return floor.replace("NUM", num).replace("DEN", den)
        if self.kind == "product":
            return times.join(map(wrapped, self.parts))
        first, *others = self.parts
        shown = [first.write(leaf, floor, times)]
        for part in others:
            constant: Any = part.parts[0] if part.kind == "leaf" else None
            less = isinstance(constant, int) and constant < 0  # also where a minus is \num{-7}
            term = leaf(-constant) if less else part.write(leaf, floor, times)
            if not less and term[0] == "-":
                less, term = True, term[1:]
            shown.append(f" - {term}" if less else f" + {term}")
        return "".join(shown)

    def __str__(self) -> str:
        return self.write(_leaf_text, "floor((NUM)/DEN)", "*")

    def to_latex(self, notation: Notation) -> str:
        """The tree in LaTeX."""
        floor = {
            "brackets": r"\left\lfloor \frac{NUM}{DEN} \right\rfloor",
            "inline": r"\lfloor (NUM) / DEN \rfloor",
            "division": r"\left((NUM) \mathbin{//} DEN\right)",
        }[notation.floors]
        return self.write(lambda expr: formula(expr, notation), floor, r" \cdot ")


def _leaf_text(expr: Int) -> str:
    """A leaf as text; a lone floor in the words of the derivation."""
    lone = _lone(expr)
    if lone is None:
        return text(expr)
    num, den = lone
    return f"floor(({text(num)})/{den})"


def _lone(expr: Int) -> tuple[Int, int] | None:
    """Numerator and denominator, if the expression is one floor (constant taken in)."""
    if isinstance(expr, int):
        return None
    atom = sz.sole_atom(expr - expr.const)
    if isinstance(atom, Floor) and type(atom.den) is int and type(expr.const) is int:
        return atom.num + atom.den * expr.const, atom.den
    return None


def _loose(expr: Int) -> bool:
    if isinstance(expr, int):
        return expr < 0
    return len(expr.terms) > 1 and _lone(expr) is None


@dataclass(frozen=True, slots=True)
class Line(Shown):
    """One line of a derivation: an expression or a condition, and why it follows."""

    content: Tree | tuple[Requirement, ...]
    note: str = ""

    def __str__(self) -> str:
        if isinstance(self.content, Tree):
            return str(self.content)
        return " and ".join(map(_relation, self.content))

    def to_latex(self, notation: Notation) -> str:
        """The line in LaTeX."""
        if isinstance(self.content, Tree):
            return self.content.to_latex(notation)
        return r",\quad ".join(_latex_relation(c, notation) for c in self.content)


def _relation(requirement: Requirement) -> str:
    if isinstance(requirement, Condition):
        lhs, relation, rhs = _facing(requirement)
        return f"{_leaf_text(lhs)} {relation} {_leaf_text(rhs)}"
    return str(requirement)


def _facing(condition: Condition) -> tuple[Int, str, Int]:
    """``-H >= -224`` as ``H <= 224``."""
    lhs, rhs = condition.lhs, condition.rhs
    bound = condition.relation == ">=" and isinstance(lhs, Size) and isinstance(rhs, int)
    if bound and all(c < 0 for mono, c in lhs.terms.items() if mono):  # type: ignore[union-attr]
        return -lhs, "<=", -rhs
    return lhs, "=" if condition.relation == "==" else ">=", rhs


def _latex_relation(requirement: Requirement, notation: Notation) -> str:
    if not isinstance(requirement, Condition):
        return rf"\text{{{escape(str(requirement))}}}"
    lhs, relation, rhs = _facing(requirement)
    sign = {"=": "=", ">=": r"\ge", "<=": r"\le"}[relation]
    return f"{formula(lhs, notation)} {sign} {formula(rhs, notation)}"


# Laws: rule, law, source ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Law:
    """A rule in words and in a formula, the law behind it, and where it is written."""

    name: str
    rule: str
    latex: str
    source: str


LAWS = {
    "window": Law(
        "window law",
        "size = floor((x + left + right - extent)/stride) + 1, extent = dilation*(kernel - 1) + 1",
        r"x' = \left\lfloor \frac{x + a + b - r}{s} \right\rfloor + 1,\quad r = d(k - 1) + 1",
        "torch.nn.Conv2d",
    ),
    "scatter": Law(
        "scatter law",
        "size = stride*(x - 1) + extent - 2*padding + output_padding",
        r"x' = s (x - 1) + r - 2p + o,\quad r = d(k - 1) + 1",
        "torch.nn.ConvTranspose2d",
    ),
    "keep": Law(
        "size kept",
        "windows of stride 1 with left + right = extent - 1, pointwise operations, and views as "
        "long as what they are made of, keep x",
        r"s = 1,\; a + b = r - 1 \;\Rightarrow\; x' = x",
        "docs/laws.md#window",
    ),
    "rule": Law("the operation's rule", "see symcnn.ops", r"x' = f(x)", "symcnn.ops"),
    "fusion": Law(
        "fusion law",
        "field = field + (extent - 1)*stride, stride = stride*(stride of the layer)",
        r"R' = R + (r - 1) S,\quad S' = s S",
        "docs/laws.md#fusion-law",
    ),
    "params": Law(
        "parameters",
        "out_channels*(in_channels/groups)*kernel + bias",
        r"P = C_{\mathrm{out}} \frac{C_{\mathrm{in}}}{g} k_h k_w + C_{\mathrm{out}}",
        "torch.nn.Conv2d",
    ),
    "macs": Law(
        "multiply-accumulates",
        "one per weight and position: output positions of a convolution, input positions of a "
        "transposed one",
        r"M = N \, h' w' \, C_{\mathrm{out}} \frac{C_{\mathrm{in}}}{g} k_h k_w",
        "torch.utils.flop_counter",
    ),
    "bound": Law(
        "monotone bounds",
        "floor(e/m) >= t if and only if e >= m*t; floor(e/m) <= t if and only if e <= m*t + m - 1",
        r"\left\lfloor e/m \right\rfloor \ge t \iff e \ge mt,\quad "
        r"\left\lfloor e/m \right\rfloor \le t \iff e \le mt + m - 1",
        "docs/laws.md#monotone-bounds",
    ),
    "sum": Law("sum", "the sum over all layers", r"\sum", "symcnn"),
}

NESTED = "nested floors: floor((floor(e/m) + c)/n) = floor((e + m*c)/(m*n))"
WHOLE = "whole numbers leave the floor"
REQUIRED = "required to be as long: true in the domain"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: where, what it is about, by which law, and lines that are equal for all sizes; the
    last two, if there is a `domain`, for all sizes in it.

    Raises SymcnnError if they are not: then the rule that wrote them is wrong.
    """

    where: str
    about: str
    law: str
    lines: tuple[Line, ...]
    domain: InputSet | None = None

    def __post_init__(self) -> None:
        last = len(self.lines) - 2
        for i, (before, after) in enumerate(pairwise(self.lines)):
            within = self.domain if i == last else None
            if not _same(before.content, after.content, within):
                raise SymcnnError(f"{self.where}: {before} is not {after}")

    @property
    def result(self) -> Line:
        """The last line."""
        return self.lines[-1]

    def head(self, number: int) -> str:
        """What stands before line `number`: what is meant, and then an equals sign."""
        if isinstance(self.lines[0].content, tuple):
            return "" if not number else "<=> "
        return "= " if number else f"{self.about} = "


def _same(a: Any, b: Any, domain: InputSet | None = None) -> bool:
    """Whether two lines are equal for all sizes (decided, and tried besides), or in a domain."""
    if isinstance(a, Tree):
        names = sorted(a.symbols | b.symbols)
        equal = Condition(a.normal(), "==", b.normal())
        if domain is not None:
            return _implied(domain, equal)
        draw = random.Random(1)
        for _ in range(40):
            at = {name: 2 * draw.randint(1, 300) + 1 for name in names}
            try:
                if a.at(at) != b.at(at):
                    return False
            except (SymcnnError, OverflowError):  # outside a symbol's assumptions
                continue
        if a.normal() == b.normal():
            return True
        try:
            return always(equal, names)
        except Undecidable:
            return False
    names = sorted(frozenset[str]().union(*(r.symbols for r in (*a, *b))))
    try:
        return bool(input_set(names, a) == input_set(names, b))
    except Undecidable:
        return False


def _implied(domain: InputSet, condition: Condition) -> bool:
    """Whether a condition holds in all of a domain; False where that is not decidable."""
    names = [name for name in domain.names if name in condition.symbols]
    try:
        return bool(domain.axis(*names) <= input_set(names, [condition]))
    except (Undecidable, BadSpec):
        return False


@dataclass(frozen=True, slots=True)
class Derivation(Shown):
    """Numbered steps to a result; prints as text.

    `to_markdown`, `to_html` and `to_latex` write the same steps down.
    """

    title: str
    steps: tuple[Step, ...]
    answer: str
    parts: tuple[Derivation, ...] = ()

    @property
    def result(self) -> str:
        """The result, as text."""
        return self.answer

    def __str__(self) -> str:
        if self.parts:
            return "\n\n".join(map(str, self.parts))
        rows = [self.title]
        for law in self._laws():
            rows.append(f"{law.name}: {law.rule}  [{law.source}]")
        for number, step in enumerate(self.steps, 1):
            rows.append(f"{number}. {step.where}: {LAWS[step.law].name}")
            chained = isinstance(step.lines[0].content, Tree)
            indent = " " * (len(step.about) + 1) if chained else ""
            for i, line in enumerate(step.lines):
                note = f"    ({_short(line.note)})" if line.note else ""
                rows.append(f"   {indent if i else ''}{step.head(i)}{line}{note}")
        return "\n".join([*rows, f"so {self.answer}"])

    def _laws(self) -> list[Law]:
        """The laws used, each once."""
        return [LAWS[law] for law in dict.fromkeys(step.law for step in self.steps)]

    def to_markdown(self) -> str:
        """Numbered steps with code lines."""
        if self.parts:
            return "\n\n".join(part.to_markdown() for part in self.parts)
        rows = [f"### {self.title}", ""]
        rows += [f"- {law.name}: `{law.rule}` ({law.source})" for law in self._laws()]
        rows.append("")
        for number, step in enumerate(self.steps, 1):
            rows += [f"{number}. **{step.where}**: {LAWS[step.law].name}", ""]
            for i, line in enumerate(step.lines):
                head = (
                    "" if isinstance(line.content, tuple) else f"{step.about} = " if not i else "= "
                )
                note = f" — {line.note}" if line.note else ""
                rows.append(f"    - `{head}{line}`{note}")
            rows.append("")
        return "\n".join([*rows, f"So **{self.answer}**."])

    def to_html(self) -> str:
        """An ordered list."""
        from html import escape as html_escape

        if self.parts:
            return "\n".join(part.to_html() for part in self.parts)
        items = []
        for step in self.steps:
            lines = "".join(
                f"<br><code>{html_escape(f'{step.head(i)}{line}')}</code>"
                + (f" <small>{html_escape(line.note)}</small>" if line.note else "")
                for i, line in enumerate(step.lines)
            )
            name = LAWS[step.law].name
            items.append(f"<li><b>{html_escape(step.where)}</b>: {name}{lines}</li>")
        laws = "".join(
            f"<li>{law.name}: <code>{html_escape(law.rule)}</code> ({law.source})</li>"
            for law in self._laws()
        )
        listed = "\n".join(items)
        title, answer = html_escape(self.title), html_escape(self.answer)
        return f"<h3>{title}</h3>\n<ul>{laws}</ul>\n<ol>\n{listed}\n</ol>\n<p>So {answer}.</p>"

    def to_latex(self, notation: Notation | None = None) -> str:
        """An ``align*`` per step, each rule stated once."""
        notation = notation or Notation()
        if self.parts:
            return "\n\n".join(part.to_latex(notation) for part in self.parts)
        rows = [rf"\subsubsection*{{{escape(self.title)}}}"]
        rows += [
            rf"\noindent \emph{{{escape(law.name)}}}: ${law.latex}$ "
            rf"({{\small\texttt{{{escape(law.source)}}}}}).\par"
            for law in self._laws()
        ]
        for number, step in enumerate(self.steps, 1):
            chained = isinstance(step.lines[0].content, Tree)
            head = _about_latex(step.about, notation) if chained else ""
            written = [line.to_latex(notation) for line in step.lines]
            rows.append(rf"\smallskip\noindent {number}.\ \texttt{{{escape(step.where)}}}")
            if chained and sum(map(len, written)) < 70:
                note = escape(_short(step.lines[0].note))
                rows[-1] += rf": ${head} = {' = '.join(written)}$" + (f" ({note})" if note else "")
                rows[-1] += r".\par"
                continue
            sign = "=" if chained else r"\iff{}"
            lines = []
            for i, (line, shown) in enumerate(zip(step.lines, written, strict=True)):
                left = head if not i else ""
                equals = f"&{sign}" if chained or i else "&"
                note = rf" && \text{{{escape(_short(line.note))}}}" if line.note else ""
                lines.append(f"{left} {equals} {shown}{note}".strip())
            rows.append("\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}")
        rows.append(rf"\smallskip\noindent So {escape(self.answer)}.")
        return "\n".join(rows)


def _about_latex(about: str, notation: Notation) -> str:
    if about in notation.names:
        return notation.names[about]
    return about if len(about) == 1 else f"{about[0]}_{{{about[1:]}}}"


def _short(note: str) -> str:
    return note.partition(":")[0]


# The questions -------------------------------------------------------------------------------

_WHAT = ("size", "field", "params", "macs", "domain", "solution")


def explain(
    net: Network,
    what: str | None = None,
    *,
    axis: str | int | None = None,
    output: Any = None,
) -> Derivation:
    """The derivation of a closed form of `net`.

    what: ``"size"`` and ``"field"`` (of one axis), ``"params"``, ``"macs"``, ``"domain"``,
        ``"solution"`` (with ``output=(7, 7)``); None: size and field.
    axis: which axis, by number or by its symbol; by default the first after the channels.

    Raises BadSpec for an unknown question or axis.
    """
    if what is None:
        what = "solution" if output is not None else None
    if what is None:
        parts = [explain(net, "size", axis=axis)]
        with suppress(SymcnnError):  # no one window
            parts.append(explain(net, "field", axis=axis))
        return Derivation("", (), "; ".join(p.answer for p in parts), tuple(parts))
    what = quantity_of(what) or what
    if what not in _WHAT:
        raise BadSpec(f"what={short(what)!r}", cure=f"one of {', '.join(_WHAT)}")
    if what == "params":
        return _params(net)
    if what == "macs":
        return _macs(net)
    if what == "domain":
        return _domain(net)
    if what == "solution":
        return _solution(net, output)
    chosen = _axis(net, axis)
    return (_size if what == "size" else _field)(net, chosen)


def _axis(net: Network, axis: str | int | None) -> int:
    dims = net._inputs[0].dims
    if isinstance(axis, str):
        for number, dim in enumerate(dims):
            if str(dim) == axis:
                return number
        raise BadSpec(f"no axis is called {axis}", cure=f"the input is {Shape.of(dims)}")
    number = min(2, len(dims) - 1) if axis is None else axis
    if not 0 <= number < len(dims):
        raise BadSpec(f"axis={axis} of {len(dims)}")
    return number


@dataclass(frozen=True, slots=True)
class _Link:
    """One tensor on the path from the input to the output, and the axis it is made from."""

    tensor: SymbolicTensor
    map: AxisMap
    before: Int
    after: Int
    taken: bool = False  # a length that python took from elsewhere, not what the map makes of one

    @property
    def name(self) -> str:
        """The node that makes it."""
        node = self.tensor.node
        return node.name if node is not None else self.tensor.name or "the input"

    @property
    def where(self) -> str:
        """The node, and its operation."""
        node = self.tensor.node
        return f"{node.name} ({node.op})" if node is not None else self.name

    @property
    def keeps(self) -> bool:
        """Whether the size is that of the axis it comes from."""
        return self.before == self.after and not isinstance(self.map, Const)


def _path(net: Network, axis: int) -> list[_Link]:
    """The nodes that carry `axis` from the input to the output; of branches, the widest.

    Where an operation makes an axis of a length that python took from another tensor (a view back
    into a map), the path goes on there: the length is the same, though whole axes are read.
    """
    start = net._inputs[0]
    seen = _seen(net)
    tensor = next(iter(_tensors(net)))
    if tensor.ndim != start.ndim:  # flattened since: the last map is meant
        tensor = next(iter(_tensors(net.last_map(max(1, start.ndim - 2)))))
    place = min(axis, tensor.ndim - 1)
    links: list[_Link] = []
    while tensor is not start:
        node, length = tensor.node, tensor.dims[place]
        found = None if node is None else _source(node, tensor, place, seen)
        if found is not None:
            source, origin, axis_map = found
            links.append(_Link(tensor, axis_map, source.dims[origin], length))
        else:
            alike = None if node is None else _alike_before(net, node, length, axis)
            if alike is None:
                links.append(_Link(tensor, Const(length), length, length, taken=True))
                break
            source, origin = alike
            links.append(_Link(tensor, Window(1), length, length, taken=True))
        tensor, place = source, origin
    return links[::-1]


def _alike_before(
    net: Network, node: Node, length: Int, axis: int
) -> tuple[SymbolicTensor, int] | None:
    """The latest tensor before `node` with an axis as long, if possible at the same place."""
    start = net._inputs[0]
    if isinstance(length, int):
        return None
    earlier = [n.outputs[0] for n in net.nodes[: net.position(node)]]
    for t in (*reversed(earlier), start):
        if length in t.dims:
            return t, axis if t.dims[axis : axis + 1] == (length,) else t.dims.index(length)
    return None


def _seen(net: Network) -> Pass:
    """What every tensor sees of the input, along all axes."""
    start = net._inputs[0]
    return Pass(net.nodes, start, tuple(range(start.ndim))).run()


def _tensors(net: Network) -> Any:
    from symcnn.trace.graph import tensors_in

    return tensors_in(net._outputs)


def _source(
    node: Node, output: SymbolicTensor, axis: int, seen: Pass
) -> tuple[SymbolicTensor, int, AxisMap] | None:
    """The input of `node` that the axis comes from: of several, the one that sees most."""
    if not node.inputs:
        return None
    own = node.result.axes
    if node.result.parts:
        own = node.result.parts[node.outputs.index(output)]
    best: tuple[SymbolicTensor, int, AxisMap] | None = None
    widest = -1
    for t, axes in ((node.inputs[0], own), *node.result.others):
        if t not in seen.reaches or not axes or axis >= len(axes):
            continue
        source, axis_map = axes[axis]
        if not isinstance(source, int):
            continue
        window = seen.window(t, source)
        extent = 0 if window is None else window.extent
        width = extent if isinstance(extent, int) else len(str(extent)) + 1_000_000
        if width > widest:
            widest, best = width, (t, source, axis_map)
    return best


# Sizes ---------------------------------------------------------------------------------------


def _size(net: Network, axis: int) -> Derivation:
    links = _path(net, axis)
    name = str(net._inputs[0].dims[axis])
    letter = name.lower() if name.isidentifier() and len(name) == 1 else "x"
    steps: list[Step] = []
    for keeps, group in groupby(links, key=lambda link: link.keeps):
        nodes = list(group)
        if keeps:
            line = Line(Tree.leaf(nodes[0].before))
            steps.append(Step(_between(nodes), f"{letter}{len(steps) + 1}", "keep", (line,)))
        for link in [] if keeps else nodes:
            steps.append(_size_step(net, link, f"{letter}{len(steps) + 1}"))
    if not steps:
        steps.append(
            Step("the input", letter, "keep", (Line(Tree.leaf(net._inputs[0].dims[axis])),))
        )
    end = steps[-1].result
    return Derivation(f"Size along axis {axis} ({name})", tuple(steps), f"the size is {end}")


def _between(links: Sequence[_Link]) -> str:
    names = [link.name for link in links]
    if len(names) < 3:
        return " and ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)})"


def _size_step(net: Network, link: _Link, about: str) -> Step:
    x, axis_map, where = link.before, link.map, link.where
    if isinstance(axis_map, Window):
        shift = axis_map.left + axis_map.right - axis_map.extent
        num = Tree.of("sum", x, axis_map.left, axis_map.right, -axis_map.extent)
        lines = [Line(_over(num, axis_map.stride), "substitute")]
        lone = _lone(x)
        if lone is not None and axis_map.stride != 1:
            inner = lone[0] + lone[1] * shift
            lines.append(Line(_over(Tree.leaf(inner), lone[1] * axis_map.stride), NESTED))
        return _ended(net, where, about, "window", lines, link.after, WHOLE)
    if isinstance(axis_map, Scatter):
        tree = Tree.of(
            "sum",
            Tree.of("product", axis_map.stride, Tree.of("sum", x, -1)),
            axis_map.extent,
            Tree.of("product", -2, axis_map.padding) if axis_map.padding != 0 else 0,
            axis_map.output_padding,
        )
        lines = [Line(tree, "substitute")]
        return _ended(net, where, about, "scatter", lines, link.after, "collect")
    return Step(where, about, "rule", (Line(Tree.leaf(link.after)),))


def _ended(
    net: Network, where: str, about: str, law: str, lines: list[Line], after: Int, note: str
) -> Step:
    """A step that ends with the size that the tensor has: by the law; because a concatenation
    requires that it is as long as another; or as the operation says (a sum stretches an axis of 1).
    """
    made, end = lines[0].content, Tree.leaf(after)
    assert isinstance(made, Tree)
    if _same(made, end):
        return Step(where, about, law, _distinct([*lines, Line(end, note)]))
    try:
        domain = net.valid_inputs()
    except Undecidable:
        domain = None
    if domain is None or not _same(made, end, domain):
        return Step(where, about, "rule", (Line(end),))
    lines = [*lines, Line(Tree.leaf(made.normal()), note), Line(end, REQUIRED)]
    return Step(where, about, law, _distinct(lines), domain)


def _over(num: Tree, stride: Int) -> Tree:
    return Tree.of("sum", num if stride == 1 else Tree.of("floor", num, stride), 1)


def _distinct(lines: Sequence[Line]) -> tuple[Line, ...]:
    kept: list[Line] = []
    for line in lines:
        if not kept or str(kept[-1]) != str(line):
            kept.append(line)
    return tuple(kept)


# Receptive fields ----------------------------------------------------------------------------


def _field(net: Network, axis: int) -> Derivation:
    path = _path(net, axis)
    links = [link for link in path if link.map != Window(1)]
    other = next((k for k in path if k.taken or not isinstance(k.map, Window)), None)
    if other is not None:
        raise Undecidable(f"{other.where} is no window: no one field size")
    steps: list[Step] = []
    extent: Int = 1
    stride: Int = 1
    for (r, s), group in groupby(links, key=_window):
        nodes = list(group)
        runs = [nodes] if s == 1 else [[node] for node in nodes]
        for run in runs:
            if r != 1:
                tree = Tree.of("sum", extent, Tree.of("product", len(run), r - 1, stride))
                after = extent + len(run) * (r - 1) * stride
                note = f"{len(run)} windows of {text(r)}" if len(run) > 1 else ""
                lines = (Line(tree, note), Line(Tree.leaf(after)))
                where = f"{_between(run)}, at effective stride {text(stride)}"
                steps.append(Step(where, f"R{len(steps) + 1}", "fusion", lines))
                extent = after
            stride = stride * s
    last = path[-1].tensor if path else net._inputs[0]
    end = _extent(net, last, axis)
    answer = f"the receptive field is {text(extent)}, the effective stride {text(stride)}"
    if end is not None and end != extent:
        raise Undecidable(
            f"two branches share the receptive field of {text(end)}: no one path has it"
        )
    return Derivation(f"Receptive field along axis {axis}", tuple(steps), answer)


def _window(link: _Link) -> tuple[Int, Int]:
    assert isinstance(link.map, Window)
    return link.map.extent, link.map.stride


def _extent(net: Network, tensor: SymbolicTensor, axis: int) -> Int | None:
    """The extent of the fused window of a tensor, None if it is no window."""
    window = _seen(net).window(tensor, axis)
    return None if window is None else window.extent


# Costs ---------------------------------------------------------------------------------------


def _params(net: Network) -> Derivation:
    from symcnn.algebra.expr import from_sympy

    seen: set[Any] = set()
    steps: list[Step] = []
    total: list[Int] = []
    for node in net.nodes:
        fresh = [p for p in dict.fromkeys(node.parameters) if p not in seen]
        seen.update(fresh)
        if not fresh:
            continue
        products = [Tree.of("product", *p.dims) for p in fresh]
        count = sum((p.count for p in fresh), 0)
        total.append(count)
        lines = _distinct([Line(Tree.of("sum", *products), "substitute"), Line(Tree.leaf(count))])
        steps.append(Step(f"{node.name} ({node.op})", "P", "params", lines))
    whole = from_sympy(net.params)
    if sum(total, 0) != whole:
        rest = whole - sum(total, 0)
        steps.append(
            Step("parameters that no operation reads", "P", "params", (Line(Tree.leaf(rest)),))
        )
        total.append(rest)
    return _totalled("Parameters", steps, total, whole, "parameters", "P")


def _macs(net: Network) -> Derivation:
    from symcnn.algebra.expr import from_sympy

    steps: list[Step] = []
    total: list[Int] = []
    for node in net.nodes:
        macs = node.result.macs
        if macs == 0:
            continue
        total.append(macs)
        lines = [Line(Tree.leaf(macs))]
        weight = next((p for p in node.parameters if p.ndim > 1), None)
        if weight is not None:
            transposed = "transpose" in node.op
            dims = (node.activations[0] if transposed else node.outputs[0]).dims
            channel = 1 if node.op.startswith("conv") else len(dims) - 1
            places = [d for i, d in enumerate(dims) if i != channel]
            tree = Tree.of("product", *places, *weight.dims)
            if tree.normal() == macs:
                lines.insert(0, Line(tree, "positions times weights"))
        steps.append(Step(f"{node.name} ({node.op})", "M", "macs", _distinct(lines)))
    return _totalled("Multiply-accumulates", steps, total, from_sympy(net.macs), "MACs", "M")


def _totalled(
    title: str, steps: list[Step], total: Sequence[Int], whole: Int, unit: str, about: str
) -> Derivation:
    steps = _alike(steps)
    if len(total) > 1:
        counted = Counter(total)
        trees = [Tree.of("product", times, value) for value, times in counted.items()]
        lines = _distinct([Line(Tree.of("sum", *trees)), Line(Tree.leaf(whole))])
        steps.append(Step("in all", about, "sum", lines))
    return Derivation(title, tuple(steps), f"it has {text(whole)} {unit}")


def _alike(steps: Sequence[Step]) -> list[Step]:
    """Steps with the same lines as one, which says how many there are."""
    groups: dict[tuple[Line, ...], list[Step]] = {}
    for step in steps:
        groups.setdefault(step.lines, []).append(step)
    made = []
    for group in groups.values():
        where = group[0].where + (f" and {len(group) - 1} alike" if len(group) > 1 else "")
        made.append(replace(group[0], where=where))
    return made


# Sets ----------------------------------------------------------------------------------------


def _bounded(requirement: Requirement) -> list[Line]:
    """``floor(e/m) + c >= t`` as ``e >= m*(t - c)``, again and again, to a bound on one size."""
    lines = [Line((requirement,), requirement.why)]
    while isinstance(requirement, Condition) and requirement.relation == ">=":
        gap = requirement.lhs - requirement.rhs
        if isinstance(gap, int):
            break
        lone = _lone(gap)
        sign = 1
        if lone is None:
            lone, sign = _lone(-gap), -1
        if lone is None:
            const = int(gap.const)
            settled = Condition(gap - const, ">=", -const, requirement.why)
            if str(settled) != str(requirement):
                lines.append(Line((settled,), "collect"))
            break
        num, den = lone
        if sign > 0:  # floor(num/den) >= 0
            requirement = Condition(num, ">=", 0, requirement.why)
        else:  # floor(num/den) <= 0
            requirement = Condition(den - 1 - num, ">=", 0, requirement.why)
        const = int(requirement.lhs.const) if isinstance(requirement.lhs, Size) else 0
        requirement = Condition(requirement.lhs - const, ">=", -const, requirement.why)
        lines.append(Line((requirement,), "monotone bounds"))
    return lines


def _domain(net: Network) -> Derivation:
    steps = [
        Step(reason.node, "", "bound", tuple(_bounded(reason.requirement)))
        for reason in net.reasons()
    ]
    found = net.valid_inputs()
    return Derivation("Domain", tuple(steps), f"the valid inputs are {found.describe()}")


def _in_range(expr: Int, low: Int | None, high: Int | None) -> tuple[Condition, ...]:
    """``low <= expr <= high``; None: no bound."""
    below = () if low is None else (Condition(expr, ">=", low),)
    return below if high is None else (*below, Condition(-expr, ">=", -high))


def _solution(net: Network, output: Any) -> Derivation:
    if output is None:
        raise BadSpec("a solution is of a target", cure='explain("solution", output=(7, 7))')
    found = net.solve(output=output)
    part = net.at(found.at) if found.at else net
    wanted = parsed_target(output)
    dims = part.output_dims[len(part.output_dims) - len(wanted) :]
    steps = []
    for dim, target in zip(dims, wanted, strict=True):
        if target is None or isinstance(dim, int):
            continue
        exact = not isinstance(target, Between)
        low, high = (target, target) if exact else (target.low, target.high)
        equation = (Condition(dim, "==", target),) if exact else _in_range(dim, low, high)
        lines = [Line(equation, "the closed form")]
        lone = _lone(dim)
        if lone is not None:
            num, den = lone
            ends = (
                None if low is None else low * den,
                None if high is None else high * den + den - 1,
            )
            lines.append(Line(_in_range(num, *ends), "monotone bounds"))
            const = int(num.const) if isinstance(num, Size) else 0
            if const:
                moved = (None if end is None else end - const for end in ends)
                lines.append(Line(_in_range(num - const, *moved), "collect"))
        steps.append(Step(f"output {text(dim)}", "", "bound", tuple(lines)))
    for reason in reasons(part):
        steps.append(Step(reason.node, "", "bound", tuple(_bounded(reason.requirement))))
    where = f" at {found.at}" if found.at else ""
    shown = "x".join("*" if t is None else str(t) for t in wanted)
    return Derivation(
        f"Which inputs give {shown}{where}", tuple(steps), f"the inputs are {found.describe()}"
    )
