"""What an exported program computes of sizes: whole numbers, floats, and the guards that it checks.

The law: *a guard is the same arithmetic in words.* The nodes of the graph and the text of a guard
name python's own operators; both are calculated by `calculated`. The text is read by a fixed
grammar, never run.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partialmethod
from typing import Any, Literal

from symcnn.algebra.size import Int, Size, lower, maximum, minimum, scaled
from symcnn.errors import UnsupportedOperation
from symcnn.frontends.torch.quotients import CLOSED
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.branches import negation
from symcnn.trace.graph import Dims, SymbolicTensor
from symcnn.trace.tape import entails


@dataclass(frozen=True)
class Proportion:
    """A float that python computes of a size: ``size * ratio``, rounded once at most.

    The ratio is a fraction where the product is exact before a last division by a whole number:
    then no whole number lies between it and what python rounds it to. It is a float where python
    multiplies by one that is no short sum of powers of two.
    """

    size: Int
    ratio: Fraction | float = Fraction(1)

    @property
    def is_exact(self) -> bool:
        """Whether nothing was rounded."""
        return isinstance(self.ratio, Fraction) and self.ratio.denominator in _SHORT

    def mul(self, by: object) -> Proportion | None:
        """The product with a number; None where it is rounded twice."""
        if not isinstance(by, (int, float)) or not math.isfinite(by):
            return None
        if self.is_exact and Fraction(by).denominator in _SHORT:
            return Proportion(self.size, self.ratio * Fraction(by))
        return Proportion(self.size, by) if self.ratio == 1 and isinstance(by, float) else None

    def truediv(self, by: object) -> Proportion | None:
        """The quotient by a whole number; None by another, and where it is rounded twice."""
        whole = isinstance(by, (int, float)) and math.isfinite(by) and by == int(by) > 0
        if not whole or not isinstance(by, (int, float)) or not self.is_exact:
            return None
        return Proportion(self.size, self.ratio / Fraction(by))

    def _rounded(self, how: str) -> Int | None:
        """The whole number beside it; None where a float may be rounded to another."""
        if isinstance(self.ratio, Fraction):
            return CLOSED[how](self.size * self.ratio.numerator, self.ratio.denominator)
        low = lower(self.size)
        below = how == "trunc" or (how == "floor" and low is not None and low >= 0)
        return scaled(self.size, self.ratio) if below else None

    trunc = sym_int = partialmethod(_rounded, "trunc")
    floor, ceil = partialmethod(_rounded, "floor"), partialmethod(_rounded, "ceil")


#: Denominators of fractions that floats hold, and small sums of them.
_SHORT = frozenset(1 << i for i in range(7))


class Unread(float):
    """A float of sizes that a tensor may be scaled by: no size follows from it."""


#: Any of them.
UNREAD = Unread("nan")


def calculated(function: Callable[..., object], *args: object) -> object:
    """What an operator of python makes of sizes.

    Raises UnsupportedOperation for a tensor, and for a float that is rounded twice.
    """
    name = getattr(function, "__name__", str(function)).removeprefix("_sym_")
    if any(isinstance(a, SymbolicTensor) for a in args):
        raise UnsupportedOperation(f"{name} of a tensor has no rule")
    floats = any(isinstance(a, (Proportion, Unread)) for a in args)
    if not floats and name in _ON_SIZES:
        return _ON_SIZES[name](*args)
    if not floats and not (name in _TO_FLOATS and any(isinstance(a, Size) for a in args)):
        return function(*args)
    a, *rest = [Proportion(x) if isinstance(x, Size) else x for x in args]
    if name == "mul" and not isinstance(a, Proportion):
        a, rest = rest[0], [a]
    found = getattr(a, name, None) if isinstance(a, Proportion) else None
    number = found(*rest) if found else None
    if number is None and name in ("round", *_ON_SIZES):
        raise UnsupportedOperation(f"{name} of a float of sizes has no rule")
    return UNREAD if number is None else number


#: What makes a float of sizes.
_TO_FLOATS = ("truediv", "pow", "sqrt", "log")


def _compared(a: Any, relation: Literal[">=", "=="], b: Any) -> Condition | bool:
    if isinstance(a, float) or isinstance(b, float):
        raise UnsupportedOperation("a comparison of a size with a float")
    condition = Condition(a, relation, b, "what the exported program checks")
    found = entails(condition)
    return condition if found is None else found


_ON_SIZES: dict[str, Callable[..., Any]] = {
    "sym_max": maximum,
    "sym_min": minimum,
    "ge": lambda a, b: _compared(a, ">=", b),
    "le": lambda a, b: _compared(b, ">=", a),
    "gt": lambda a, b: _compared(a, ">=", b + 1),
    "lt": lambda a, b: _compared(b, ">=", a + 1),
    "eq": lambda a, b: _compared(a, "==", b),
    "sym_int": lambda a: a,
    "sym_float": Proportion,
    "floor": lambda a: a if isinstance(a, Size) else math.floor(a),
    "ceil": lambda a: a if isinstance(a, Size) else math.ceil(a),
    "trunc": lambda a: a if isinstance(a, Size) else math.trunc(a),
}


# Guards ---------------------------------------------------------------------------------------


def guard(text: str, sizes: Mapping[str, Dims]) -> list[Requirement]:
    """All that a guard requires: ``L['x'].size()[2] % 4 == 0``.

    Args:
        text: the guard.
        sizes: the shapes of the inputs, by their names in the graph.

    Raises UnsupportedOperation for a guard of other words.
    """
    try:
        return _truth(ast.parse(text, mode="eval").body, sizes)
    except (SyntaxError, LookupError, TypeError, ValueError, UnsupportedOperation) as error:
        raise UnsupportedOperation(
            f"the program checks {text!r}, which is not read", cure="export with named Dims"
        ) from error


def _truth(node: ast.expr, sizes: Mapping[str, Dims]) -> list[Requirement]:
    """What must hold, all of it."""
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return [need for value in values for need in _truth(value, sizes)]
        case ast.BoolOp(values=values):
            options = []
            for value in values:
                with suppress(_Never):
                    options.append(_truth(value, sizes))
            return _either(options)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            (need,) = _truth(operand, sizes)
            return negation(need)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_number(side, sizes) for side in (left, *others)]
            rows = zip(sides, ops, sides[1:], strict=False)
            return [need for a, op, b in rows for need in _relation(a, type(op).__name__, b)]
    raise UnsupportedOperation(ast.unparse(node))


class _Never(UnsupportedOperation):
    """No size meets a condition."""


def _relation(a: Any, relation: str, b: Any) -> list[Requirement]:
    found: Any = calculated(_RELATIONS[relation], a, b)
    if relation == "NotEq":
        found = not found if isinstance(found, bool) else negation(found)[0]
    if found is False:
        raise _Never("it never holds")
    return [] if found is True else [found]


_RELATIONS: dict[str, Callable[..., object]] = {
    "Eq": operator.eq,
    "NotEq": operator.eq,
    "GtE": operator.ge,
    "LtE": operator.le,
    "Gt": operator.gt,
    "Lt": operator.lt,
}


def _either(options: list[list[Requirement]]) -> list[Requirement]:
    if [] in options:
        return []
    single: list[Condition] = []
    for option in options:
        (need,) = option if len(option) == 1 else (None,)
        parts = need.options if isinstance(need, AnyOf) else (need,)
        for part in parts:
            if not isinstance(part, Condition):
                raise UnsupportedOperation("either of several")
            single.append(part)
    return [AnyOf(tuple(single))]


def _number(node: ast.expr, sizes: Mapping[str, Dims]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, sizes)
        case ast.BinOp(left=left, op=op, right=right):
            function = _ARITHMETIC[type(op).__name__]
            return calculated(function, _number(left, sizes), _number(right, sizes))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if (
            name in _FUNCTIONS
        ):
            return calculated(_FUNCTIONS[name], *(_number(a, sizes) for a in args))
        case ast.Subscript(
            value=ast.Call(func=ast.Attribute(value=place, attr="size")),
            slice=ast.Constant(int(axis)),
        ):
            return sizes[_place(place)][axis]
    raise UnsupportedOperation(ast.unparse(node))


_ARITHMETIC = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Div": operator.truediv,
}
_FUNCTIONS: dict[str, Callable[..., object]] = {
    **{name: getattr(math, name) for name in ("trunc", "floor", "ceil")},
    **dict.fromkeys(("max", "sym_max"), maximum),
    **dict.fromkeys(("min", "sym_min"), minimum),
    "sym_float": Proportion,
}


def _place(node: ast.expr) -> str:
    """The name of an input in the graph: ``xs_0`` of ``L['xs'][0]``."""
    match node:
        case ast.Subscript(value=ast.Name(id="L"), slice=ast.Constant(name)):
            return str(name)
        case ast.Subscript(value=outer, slice=ast.Constant(str() | int() as key)):
            return f"{_place(outer)}_{key}"
    raise UnsupportedOperation(ast.unparse(node))
