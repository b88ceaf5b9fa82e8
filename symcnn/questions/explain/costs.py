"""Parameters, multiply-accumulates and bytes, node by node; the moments of an inference pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, exact_div, prod
from symcnn.questions.cost.cost import formula, measure, total_macs
from symcnn.questions.cost.steps import held
from symcnn.questions.explain.derivation import Derivation, Step, distinct
from symcnn.questions.explain.lines import Line, Tree
from symcnn.trace.trace import Trace


def derive_params(net: Trace) -> Derivation:
    """The number of parameters."""
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
        lines = distinct([Line(Tree.of("sum", *products), "substitute"), Line(Tree.leaf(count))])
        steps.append(Step(f"{node.name} ({node.op})", "P", "params", lines))
    whole = from_sympy(net.params)
    if sum(total, 0) != whole:
        rest = whole - sum(total, 0)
        steps.append(
            Step("parameters that no operation reads", "P", "params", (Line(Tree.leaf(rest)),))
        )
        total.append(rest)
    return _totalled("Parameters", steps, total, whole, f"it has {text(whole)} parameters", "P")


def derive_macs(net: Trace) -> Derivation:
    """Multiply-accumulates."""
    steps: list[Step] = []
    total: list[Int] = []
    for node in net.nodes:
        macs = node.result.work
        if macs == 0:
            continue
        total.append(net.simplest(macs))
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
        steps.append(Step(f"{node.name} ({node.op})", "M", "macs", distinct(lines)))
    whole = from_sympy(total_macs(net))
    return _totalled("Multiply-accumulates", steps, total, whole, f"it has {text(whole)} MACs", "M")


def derive_memory(net: Trace) -> Derivation:
    """The bytes that the operations make."""
    cost = measure(net)
    steps: list[Step] = []
    total: list[Int] = []
    for node, (made, *_) in zip(
        net.nodes, zip(*cost.terms("activations"), strict=True), strict=True
    ):
        if made == 0:
            continue
        total.append(net.simplest(made))
        lines = [Line(Tree.leaf(made))]
        (out, *others) = node.outputs
        if not others and isinstance(width := exact_div(made, prod(out.dims)), int):
            lines.insert(0, Line(Tree.of("product", *out.dims, width), "elements times bytes"))
        steps.append(Step(f"{node.name} ({node.op})", "B", "bytes", distinct(lines)))
    whole = formula(cost.activations).size
    answer = f"the operations make {text(whole)} bytes"
    return _totalled("Memory", steps, total, whole, answer, "B")


def derive_peak(net: Trace) -> Derivation:
    """The bytes that are alive at the worst moment of an inference pass."""
    cost = measure(net)
    peak = formula(cost.peak).size
    worst = {net.simplest(sum(terms, 0)) for terms in cost.terms("peak")}
    steps: list[Step] = []
    left: list[Int] = []
    count = 0
    for node, alive in held(cost):
        count += 1
        value = net.simplest(sum((size for _, size in alive), 0))
        if value not in worst or value in left:
            continue
        left.append(value)
        parts = [net.simplest(size) for _, size in alive]
        lines = [Line(Tree.of("sum", *parts), " + ".join(maker for maker, _ in alive))]
        if parts and sum(parts, 0) == value:
            lines.append(Line(Tree.leaf(value)))
        else:
            lines = [Line(Tree.leaf(value), lines[0].note)]
        steps.append(Step(f"while {node.name} ({node.op}) runs", "A", "alive", distinct(lines)))
    lines = [Line(Tree.leaf(peak))]
    if len(left) > 1 and sz.maximum(*left) == peak:
        lines.insert(0, Line(Tree.of("max", *left)))
    told = (f"{len(left)} of {count} moments are the worst at some valid size",) if count else ()
    steps.append(Step("the worst moment", "P", "worst", distinct(lines), premises=told))
    return Derivation("Peak", tuple(steps), f"at most {text(peak)} bytes are alive")


def _totalled(
    title: str, steps: list[Step], total: Sequence[Int], whole: Int, answer: str, about: str
) -> Derivation:
    steps = _grouped(steps)
    if len(total) > 1:
        counted = Counter(total)
        trees = [Tree.of("product", times, value) for value, times in counted.items()]
        summed = Tree.of("sum", *trees)
        equal = [Line(summed)] if summed.normal() == whole else []
        steps.append(Step("in all", about, "sum", distinct([*equal, Line(Tree.leaf(whole))])))
    return Derivation(title, tuple(steps), answer)


def _grouped(steps: Sequence[Step]) -> list[Step]:
    """Steps with the same lines as one, which says how many there are."""
    groups: dict[tuple[Line, ...], list[Step]] = {}
    for step in steps:
        groups.setdefault(step.lines, []).append(step)
    made = []
    for group in groups.values():
        where = group[0].where + (f" and {len(group) - 1} alike" if len(group) > 1 else "")
        made.append(replace(group[0], where=where))
    return made
