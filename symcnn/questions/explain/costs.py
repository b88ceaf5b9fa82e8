"""Parameters and multiply-accumulates, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int
from symcnn.questions.cost.cost import total_macs
from symcnn.questions.explain.derivation import Derivation, Step, distinct
from symcnn.questions.explain.lines import Line, Tree
from symcnn.trace.trace import Trace

__all__ = ["derive_macs", "derive_params"]


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
    return _totalled("Parameters", steps, total, whole, "parameters", "P")


def derive_macs(net: Trace) -> Derivation:
    """Multiply-accumulates."""
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
        steps.append(Step(f"{node.name} ({node.op})", "M", "macs", distinct(lines)))
    return _totalled("Multiply-accumulates", steps, total, from_sympy(total_macs(net)), "MACs", "M")


def _totalled(
    title: str, steps: list[Step], total: Sequence[Int], whole: Int, unit: str, about: str
) -> Derivation:
    steps = _alike(steps)
    if len(total) > 1:
        counted = Counter(total)
        trees = [Tree.of("product", times, value) for value, times in counted.items()]
        lines = distinct([Line(Tree.of("sum", *trees)), Line(Tree.leaf(whole))])
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
