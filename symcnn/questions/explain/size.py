"""Output sizes, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from symcnn.algebra.axis import IDENTITY, Scatter, Window
from symcnn.algebra.size import Int, symbols_of
from symcnn.errors import Undecidable
from symcnn.ops.operation import operation_of
from symcnn.questions.explain.derivation import Derivation, Step, distinct, entails, same
from symcnn.questions.explain.laws import NESTED, REQUIRED, WHOLE
from symcnn.questions.explain.lines import Line, Tree, leaf_text, sole_floor
from symcnn.questions.explain.paths import Link, between, path_of
from symcnn.sets.condition import Condition
from symcnn.trace.trace import Trace


def derive_size(net: Trace, axis: int) -> Derivation:
    """The output size along an axis: along the branch that sees most, and at every join the other
    branches, which must be as long.
    """
    links = path_of(net, axis)
    name = _name(net, axis)
    letter = name.lower() if name.isidentifier() and len(name) == 1 else "x"
    steps: list[Step] = []

    def about() -> str:
        return f"{letter}{len(steps) + 1}"

    for keeps, group in groupby(links, key=lambda link: link.keeps):
        nodes = list(group)
        if keeps:
            line = Line(Tree.leaf(nodes[0].before))
            where = between([link.name for link in nodes])
            told = tuple(p for link in nodes for p in _beside(net, link))
            steps.append(Step(where, about(), "keep", (line,), premises=told))
        for link in [] if keeps else nodes:
            step = size_step(net, link, about())
            steps.append(replace(step, premises=tuple(_beside(net, link))))
    if not steps:
        first = Line(Tree.leaf(net.input_tensors[0].dims[axis]))
        steps.append(Step("the input", letter, "keep", (first,)))
    end = steps[-1].result
    assert isinstance(end.content, Tree)
    shortest = net.simplest(end.content.normal())
    if shortest != end.content.normal():
        written = Line(Tree.leaf(shortest), "on the domain")
        try:
            domain = net.valid_inputs()
            entails(domain, Condition(end.content.normal(), "==", shortest))
            step = Step("in the domain", about(), "domain", (end, written), domain)
        except Undecidable:  # no exact set: by what is decided of it
            step = Step("in the domain", about(), "domain", (written,))
        steps.append(step)
        end = steps[-1].result
    title = f"Size along axis {axis}" + (f" ({name})" if name else "")
    return Derivation(title, tuple(steps), f"the size is {end}")


def _name(net: Trace, axis: int) -> str:
    """The symbol that an axis of the output is of, that of the same axis of the input first."""
    inputs, outputs = net.input_tensors[0].dims, net.output_tensors[0].dims
    own = str(inputs[axis]) if axis < len(inputs) else ""
    names = sorted(symbols_of(*outputs[axis : axis + 1]) - symbols_of(*inputs[:1]))
    if names:
        return own if own in names else names[0]
    return own if own.isidentifier() else ""


def _beside(net: Trace, link: Link) -> Iterator[str]:
    """The other branches of a join, where their lengths are written otherwise."""
    node = link.tensor.node
    operation = None if node is None else operation_of(node)
    if node is None or operation is None or not (operation.pointwise or operation.joins):
        return
    for t in dict.fromkeys(node.activations):
        if t.ndim == link.tensor.ndim:
            length = t.dims[link.place]
            if length not in (link.before, 1):
                yield f"at {node.name} {net.source_name(t)} is {leaf_text(length)} long"


def size_step(net: Trace, link: Link, about: str) -> Step:
    """What one node makes of the length."""
    x, axis_map, where = link.before, link.map, link.where
    if axis_map == IDENTITY:  # a join: as long as the other branches
        return _ended(net, where, about, "keep", [Line(Tree.leaf(x))], link.after, "")
    if isinstance(axis_map, Window):
        shift = axis_map.left + axis_map.right - axis_map.extent
        num = Tree.of("sum", x, axis_map.left, axis_map.right, -axis_map.extent)
        lines = [Line(_over(num, axis_map.stride), "substitute")]
        found = sole_floor(x)
        if found is not None and axis_map.stride != 1:
            inner = found[0] + found[1] * shift
            lines.append(Line(_over(Tree.leaf(inner), found[1] * axis_map.stride), NESTED))
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
    net: Trace, where: str, about: str, law: str, lines: list[Line], after: Int, note: str
) -> Step:
    """A step that ends with the size that the tensor has: by the law; because a concatenation
    requires that it is as long as another; or as the operation says (a sum stretches an axis of 1).
    """
    made, end = lines[0].content, Tree.leaf(after)
    assert isinstance(made, Tree)
    if same(made, end):
        return Step(where, about, law, distinct([*lines, Line(end, note)]))
    try:
        domain = net.valid_inputs()
    except Undecidable:
        domain = None
    if domain is None or not same(made, end, domain):
        return Step(where, about, "rule", (Line(end),))
    lines = [*lines, Line(Tree.leaf(made.normal()), note), Line(end, REQUIRED)]
    return Step(where, about, law, distinct(lines), domain)


def _over(num: Tree, stride: Int) -> Tree:
    return Tree.of("sum", num if stride == 1 else Tree.of("floor", num, stride), 1)
