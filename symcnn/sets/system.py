"""Systems: any conditions on sizes, from text or sympy, as one set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Union

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, every_atom
from symcnn.errors import BadSpec
from symcnn.lazy import sympy
from symcnn.sets.condition import AnyOf, Condition, ForAll, Requirement
from symcnn.sets.grammar import Statement, parse_statement
from symcnn.sets.inputset import InputSet, input_set

#: A condition as users and questions say it: text, a relation of sympy, a requirement.
Said = Union[str, "sympy.Basic", Statement, Requirement]


def stated(given: Said) -> Statement:
    """What text, a sympy relation or a requirement states.

    Raises BadSpec for anything else.

    >>> H = sympy.Symbol("H", integer=True, positive=True)
    >>> stated("H % 32 == 0") == stated(sympy.Eq(sympy.Mod(H, 32), 0))
    True
    """
    if isinstance(given, Statement):
        return given
    if isinstance(given, (Condition, AnyOf, ForAll)):
        return Statement("and", (given,))
    if isinstance(given, str):
        return parse_statement(given)
    if isinstance(given, (sympy.And, sympy.Or)):
        parts = tuple(stated(part) for part in sorted(given.args, key=str))
        return Statement("and" if isinstance(given, sympy.And) else "or", parts)
    if isinstance(given, sympy.Not):
        return stated(sympy.Not(given.args[0], evaluate=True))
    if isinstance(given, bool):
        raise BadSpec(f"{given} is a bool of python: what it compared is lost", cure=_COMPARED)
    if given in (sympy.true, sympy.false):
        return Statement("and", (Condition(0 if given == sympy.true else -1, ">=", 0),))
    for kind, made in _relations().items():
        if isinstance(given, kind):
            return Statement("and", (made(*_sides(given)),))
    is_formula = isinstance(given, sympy.Expr)
    raise BadSpec(
        f"{given} is {'a formula, not' if is_formula else 'not'} a condition on sizes",
        cure=f"where it is 0: Eq({given}, 0)" if is_formula else _COMPARED,
    )


_COMPARED = 'python compares H % 32 == 0 as objects; write "H % 32 == 0" or Eq(H % 32, 0)'


@cache
def _relations() -> dict[Any, Callable[[Int, Int], Requirement]]:
    """Relations of sympy as requirements."""
    return {
        sympy.Eq: lambda a, b: Condition(a, "==", b),
        sympy.Ne: lambda a, b: AnyOf((Condition(a, ">=", b + 1), Condition(b, ">=", a + 1))),
        sympy.Ge: lambda a, b: Condition(a, ">=", b),
        sympy.Gt: lambda a, b: Condition(a, ">=", b + 1),
        sympy.Le: lambda a, b: Condition(b, ">=", a),
        sympy.Lt: lambda a, b: Condition(b, ">=", a + 1),
    }


def _sides(relation: Any) -> tuple[Int, Int]:
    """Both sides without fractions: what divides is positive, so a relation is kept."""
    num, den = sympy.fraction(sympy.together(relation.lhs - relation.rhs))
    if not den.is_positive:
        raise BadSpec(f"{relation}: what divides, {den}, may be 0 or less for some sizes")
    sides = (relation.lhs, relation.rhs) if den == 1 else (sympy.expand(num), 0)
    lhs, rhs = map(from_sympy, sides)
    for atom in every_atom(lhs, rhs):
        payload = getattr(atom, "payload", None)
        if payload is not None and not payload.is_Symbol:  # a function that stands for itself
            raise BadSpec(
                f"{payload} is no formula of sizes",
                cure="those have +, -, *, //, %, min, max, floor, ceiling and whole powers",
            )
    return lhs, rhs


def symbols_in(statement: Statement | Requirement) -> frozenset[str]:
    """Names of the sizes that it speaks of."""
    if isinstance(statement, Statement):
        return frozenset[str]().union(*map(symbols_in, statement.parts))
    return statement.symbols


def members(statement: Statement, names: Sequence[str]) -> InputSet:
    """The sizes of the symbols `names` of which a statement is true."""
    if statement.kind == "or":
        whole = input_set(names, [Condition(-1, ">=", 0)])
        for part in statement.parts:
            whole = whole | members(_alone(part), names)
        return whole
    together: list[Requirement] = []
    apart: list[Statement] = []
    for part in _flat(statement):
        if isinstance(part, Statement):
            apart.append(part)
        else:
            together.append(part)
    found = input_set(names, together)
    for part in apart:
        found = found & members(part, names)
    return found


def _alone(part: Requirement | Statement) -> Statement:
    return part if isinstance(part, Statement) else Statement("and", (part,))


def _flat(statement: Statement) -> Iterable[Requirement | Statement]:
    """The parts of a statement, those of statements with ``and`` among them included."""
    for part in statement.parts:
        if isinstance(part, Statement) and (part.kind == "and" or len(part.parts) == 1):
            yield from _flat(part)
        else:
            yield part
