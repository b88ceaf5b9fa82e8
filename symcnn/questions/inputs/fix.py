"""What every constant that fixes the input size should be: Linear, view, positional parameters.

Such a constant stands in an equation of the domain, ``256*((H - 35)//32)*((W - 35)//32) ==
12544``: its other side is what it should be, as a formula in the input size. A view to a constant
hides the formula from the Linear after it, so the formula is carried along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from symcnn.algebra.expr import Expr
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size, evaluate
from symcnn.errors import InvalidInput
from symcnn.sets.condition import AnyOf, Condition, KeepsBatch, Requirement
from symcnn.shown import Rows, Shown
from symcnn.trace.graph import Node, Parameter, SymbolicTensor, public
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class Fix(Shown):
    """A constant of the network, and what it should be.

    `formula` holds for all sizes; `value` is for the sizes asked about (None: none given). `line`
    is the corrected line of code.
    """

    node: str
    kind: str  # "Linear", "view" or "parameter"
    was: int
    size: Int
    value: int | None
    line: str

    @property
    def formula(self) -> Expr:
        """What the constant should be, in sympy."""
        return public(self.size)

    @property
    def right(self) -> bool:
        """Whether the constant is right as it is, for the sizes asked about."""
        return self.was == self.value

    def __str__(self) -> str:
        formula = f"{self.was} should be {text(self.size)}"
        if self.value is None:
            return f"{self.node}: {formula}"
        if self.right:
            return f"{self.node}: {self.was} is right, {text(self.size)}"
        return f"{self.node}: {formula} = {self.value}\n  {self.line}"

    __repr__ = __str__


def fixes(net: Trace, sizes: Mapping[str, int] | None = None) -> list[Fix]:
    """See `Network.fix`.

    Raises InvalidInput if the sizes are refused for another reason before the last constant.
    """
    from symcnn.questions.inputs.domain import check_valid

    found: list[Fix] = []
    constants: set[Requirement] = set()
    carried: dict[SymbolicTensor, Int] = {}
    nodes: list[tuple[Node, int, Int, Requirement | None]] = []
    for node in net.nodes:
        for was, size, requirement in _constants(node, carried):
            nodes.append((node, was, size, requirement))
            if requirement is not None:
                constants.add(requirement)
    if sizes is not None:
        last = max((net.position(n) for n, _, _, _ in nodes), default=-1)
        for node in net.nodes:
            if net.position(node) > last:
                break
            for r in node.result.requires:
                if r not in constants and not r.holds(sizes):
                    check_valid(net.without(constants), dict(sizes))
                    raise InvalidInput(f"{node.name}: {r.why}")  # pragma: no cover
    for node, was, size, _ in nodes:
        value = None if sizes is None else evaluate(size, sizes)
        kind, line = _line(node, was, text(size) if value is None else value)
        found.append(Fix(node.name, kind, was, size, value, line))
    return Rows(found)


def _constants(
    node: Node, carried: dict[SymbolicTensor, Int]
) -> Iterator[tuple[int, Int, Requirement | None]]:
    """The constants that `node` holds against a size: (constant, size, requirement)."""
    inside = [carried[t] for t in node.activations if t in carried]
    for requirement in node.result.requires:
        pair = _against_constant(node, requirement)
        if pair is None:
            continue
        was, size = pair
        if isinstance(requirement, KeepsBatch):
            carried.update(dict.fromkeys(node.outputs, size))
        yield was, size, requirement
    if inside and node.op == "linear":
        yield evaluate(node.activations[0].dims[-1], {}), inside[0], None
    elif inside and node.outputs[0].dims == node.activations[0].dims:
        carried[node.outputs[0]] = inside[0]


def _against_constant(node: Node, requirement: Requirement) -> tuple[int, Int] | None:
    options = requirement.options if isinstance(requirement, AnyOf) else (requirement,)
    learned = any(isinstance(t, Parameter) for t in node.inputs)
    if node.op != "linear" and not learned and not isinstance(requirement, KeepsBatch):
        return None
    for option in options:
        if not isinstance(option, Condition) or option.relation != "==":
            continue
        for have, want in ((option.lhs, option.rhs), (option.rhs, option.lhs)):
            if isinstance(have, Size) and isinstance(want, int) and want > 1:
                return want, have
    return None


def _line(node: Node, was: int, value: Any) -> tuple[str, str]:
    """The kind of constant, and the corrected line."""
    weights = [t for t in node.inputs if isinstance(t, Parameter)]
    if node.op == "linear" and weights:
        out = node.outputs[0].dims[-1]
        bias = ", bias=False" if node.arguments.get("bias") is None else ""
        owner = _attribute(node.module) if node.scope.ops == 1 else f"{node.name}.weight"
        return "Linear", f"{owner} = nn.Linear({value}, {out}{bias})"
    if node.op in ("view", "reshape"):
        return "view", f"x = x.view(-1, {value})  # or torch.flatten(x, 1)"
    name = weights[0].name if weights and weights[0].name else "parameter"
    shape = [] if not weights else [value if d == was else d for d in weights[0].dims]
    return "parameter", f"self.{name} = nn.Parameter(torch.zeros({', '.join(map(str, shape))}))"


def _attribute(path: str) -> str:
    """``classifier.1`` as python writes it: ``self.classifier[1]``."""
    parts = ["self"]
    for part in path.split("."):
        if part.isdecimal():
            parts[-1] += f"[{part}]"
        elif part:
            parts.append(part)
    return ".".join(parts)
