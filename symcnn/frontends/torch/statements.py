"""``t += pad`` is ``t = t + pad`` where t is a number: of a list or a tensor it is not."""

from __future__ import annotations

import ast
from copy import deepcopy

from symcnn.frontends.torch.sizes import Dim

#: The name under which compiled code calls `are_numbers`.
NUMBERS = "__symcnn_numbers__"


def are_numbers(*values: object) -> bool:
    """Whether none of them is changed in place."""
    return all(type(value) in (int, float, Dim) for value in values)


def in_plain(node: ast.If) -> tuple[ast.If, list[str]] | None:
    """A branch that assigns where this one adds in place, and to which names; None if to none."""
    plainly = _Plainly()
    body, other = ([*map(plainly.visit, deepcopy(side))] for side in (node.body, node.orelse))
    plain = ast.copy_location(ast.If(node.test, body, other), node)
    return (plain, [*dict.fromkeys(plainly.names)]) if plainly.names else None


class _Plainly(ast.NodeTransformer):
    """Assignments to names, in place of those to what they name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name):
            return node
        self.names.append(node.target.id)
        total = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return ast.copy_location(ast.Assign([node.target], ast.copy_location(total, node)), node)
