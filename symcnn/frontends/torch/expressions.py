"""What an expression of a forward may do, as its source tells: only compute, or also make a tensor
that may be the one that it is given.
"""

from __future__ import annotations

import ast
from functools import lru_cache

from symcnn.ops.operation import Operation
from symcnn.trace.graph import OPS

#: The name under which compiled code calls `select`.
SELECT = "__symcnn_select__"

_CALLS = frozenset({"max", "min", "abs", "int", "round", SELECT})
_COMPARED = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


@lru_cache(maxsize=1)
def idle() -> frozenset[str]:
    """Functions and methods that return what they are given, at some arguments."""
    return frozenset(n for n, o in OPS.items() if isinstance(o, Operation) and o.idle is not None)


def is_truth(node: ast.expr) -> bool:
    """Whether it is true or false, and made of comparisons."""
    if isinstance(node, ast.BoolOp):
        return all(map(is_truth, node.values)) and asks(node)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not) and asks(node.operand)
    return isinstance(node, ast.Compare) and asks(node)


def is_side(node: ast.expr) -> bool:
    """Whether it is arithmetic, or an operation on a tensor that may leave the tensor as it is."""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr=name), args=args, keywords=named):
            if name not in idle():
                return is_pure(node)
            pure = [*args[1:], *(k.value for k in named if k.arg is not None)]
            tensors = [inner, *args[:1]]
            if any(k.arg is None for k in named) or not all(map(is_argument, pure)):
                return False
            return all(map(is_side, tensors))
        case ast.Call(func=ast.Name(id=name), args=[first, *rest], keywords=named):
            if name not in idle():
                return is_pure(node)
            pure = [*rest, *(k.value for k in named)]
            return all(k.arg for k in named) and is_side(first) and all(map(is_argument, pure))
        case ast.Subscript(value=inner, slice=index):
            return is_pure(node) or (is_side(inner) and is_argument(index))
    return is_pure(node)


def is_argument(node: ast.expr) -> bool:
    """Whether it is arithmetic, a word, or an index of slices."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str) or value is Ellipsis or is_pure(node)
        case ast.Slice(lower=low, upper=high, step=step):
            return all(part is None or is_pure(part) for part in (low, high, step))
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return all(map(is_argument, parts))
    return is_pure(node)


def is_sliced(place: ast.expr) -> bool:
    """Whether an index is of slices and numbers: what it picks is a view."""
    items = place.elts if isinstance(place, ast.Tuple) else [place]
    plain = all(isinstance(item, (ast.Slice, ast.Constant)) for item in items)
    return plain and any(isinstance(item, ast.Slice) for item in items) and is_argument(place)


def asks(test: ast.expr) -> bool:
    """Whether it is made of comparisons, and of numbers of which is asked whether they are 0."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return asks(test.operand)
    if isinstance(test, ast.BoolOp):
        return all(map(asks, test.values))
    if isinstance(test, ast.Compare):
        one = len(test.ops) == 1 and isinstance(test.ops[0], _COMPARED)
        return one and is_pure(test.left) and is_pure(test.comparators[0])
    return isinstance(test, (ast.Name, ast.BinOp, ast.Subscript)) and is_pure(test)


def compares(node: ast.expr) -> bool:
    """Whether it is one comparison."""
    return isinstance(node, ast.Compare) and asks(node)


def is_quiet(node: ast.expr) -> bool:
    """Whether to compute it changes nothing."""
    if isinstance(node, ast.Compare):
        return all(map(is_quiet, (node.left, *node.comparators)))
    return is_pure(node) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_pure(node: ast.expr) -> bool:
    """Whether it is arithmetic of names and numbers: to compute it changes nothing."""
    match node:
        case ast.Constant(value=value):
            return type(value) in (int, float, bool, type(None))
        case ast.Name():
            return True
        case ast.Attribute(value=inner) | ast.UnaryOp(operand=inner):
            return is_pure(inner)
        case ast.BinOp(left=left, right=right):
            return is_pure(left) and is_pure(right)
        case ast.Subscript(value=inner, slice=ast.Constant(value=str())):
            return is_pure(inner)
        case ast.Subscript(value=inner, slice=index):
            return is_pure(inner) and is_pure(index)
        case ast.Tuple(elts=parts):
            return all(map(is_pure, parts))
        case ast.Slice(lower=low, upper=high, step=step):
            return all(part is None or is_pure(part) for part in (low, high, step))
        case ast.Call(func=ast.Attribute(value=inner, attr="size"), args=args, keywords=[]):
            return is_pure(inner) and all(map(is_pure, args))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS:
            return name == SELECT or all(map(is_pure, args))
    return False
