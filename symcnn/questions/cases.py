"""`Cases`: a value that differs between the branches of a network, and one value where it does not.

The law: *a closed form that equals each branch's own on the sizes of that branch is the form of all
of them.* Candidates are the branches' own forms; whether two are equal on a set is decided by the
simplest form of their difference there, or by isl.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.mathml import math
from symcnn.algebra.size import Int, Size, evaluate, floordiv, symbols_of
from symcnn.errors import BadSpec, InvalidInput, SymcnnError, Undecidable
from symcnn.lazy import sympy
from symcnn.sets.condition import Condition
from symcnn.sets.formula import Formula, Given
from symcnn.sets.grammar import check_sizes
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import lone
from symcnn.sets.simplest import Simplest
from symcnn.shown import assignment, block
from symcnn.trace.graph import public


class Cases:
    """A formula with a case for each set of sizes: disjoint sets, and the formula on each.

    >>> import symcnn
    >>> from symcnn import H
    >>> small, large = symcnn.solve("H <= 7"), symcnn.solve("H >= 8")
    >>> print(Cases([(small, Formula(H)), (large, Formula(H // 2))]))
    H if 1 <= H <= 7; H//2 if H >= 8
    """

    def __init__(self, pieces: Iterable[tuple[InputSet, Any]]) -> None:
        self.pieces = tuple(pieces)

    @property
    def expr(self) -> sympy.Expr:
        """The cases as one sympy expression, a Piecewise."""
        return sympy.Piecewise(*((as_expr(v), s.as_sympy()) for s, v in self.pieces))

    def _sympy_(self) -> Any:
        return self.expr

    def at(self, **sizes: int) -> object:
        """The value at sizes. Raises InvalidInput where there is no case for them, BadSpec for a
        size that is missing or unknown.
        """
        names = frozenset[str]().union(
            *(s.names for s, _ in self.pieces), *(getattr(v, "names", ()) for _, v in self.pieces)
        )
        numbers = check_sizes(sizes, names)
        for where, value in self.pieces:
            if missing := sorted({*where.names, *getattr(value, "symbols", ())} - numbers.keys()):
                raise BadSpec(f"no value for {', '.join(missing)}", cure="give every size")
            if _inside(where, numbers):
                own = {
                    name: n for name, n in numbers.items() if name in getattr(value, "names", ())
                }
                return value.at(**own) if hasattr(value, "at") else value
        raise InvalidInput(f"no case is for {assignment(numbers)}")

    def under(self, *given: Given) -> Cases:
        """Each case where `given` holds, see `Formula.under`."""
        return Cases(
            (s, (v if isinstance(v, Formula) else Formula(v)).under(*given)) for s, v in self.pieces
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cases) and self.pieces == other.pieces

    def __hash__(self) -> int:
        return hash(tuple(str(piece) for piece in self.pieces))

    def __str__(self) -> str:
        return "; ".join(f"{value} if {where.describe()}" for where, value in self.pieces)

    __repr__ = __str__

    def _formula_(self) -> Any:
        return self.expr

    def _repr_html_(self) -> str:
        return block(math(self))

    def _repr_latex_(self) -> str:
        return f"${sympy.latex(self.expr)}$"


def _inside(where: InputSet, sizes: Mapping[str, Any]) -> bool:
    """Whether sizes lie in a set, whichever of them the set speaks of."""
    return {n: int(sizes[n]) for n in where.names} in where if where.names else bool(where)


def as_expr(value: object) -> sympy.Basic:
    """A value, or nested ones, for sympy."""
    if isinstance(value, (tuple, list)):
        return sympy.Tuple(*map(as_expr, value))
    return sympy.sympify(value.expr if hasattr(value, "expr") else value)


def merged(pieces: Sequence[tuple[InputSet, Any]], whole: Simplest) -> Any:
    """One value where one is right on all sets; else `Cases`, those of equal values as one.

    Args:
        pieces: disjoint sets, and the value on each, in its general form.
        whole: simplifies on the union of the sets.
    """
    values = [value for _, value in pieces]
    if all(isinstance(v, (tuple, list)) for v in values) and len({*map(len, values)}) == 1:
        wheres = [where for where, _ in pieces]
        items = ([*zip(wheres, item, strict=True)] for item in zip(*values, strict=True))
        return type(values[0])(merged(item, whole) for item in items)
    sizes = [size for value in values if (size := _kernel(value)) is not None]
    if len(sizes) < len(values):
        same = len({str(value) for value in values}) == 1
        return values[0] if same else Cases(pieces)
    laws = [Simplest(where) for where, _ in pieces]
    wheres = [where for where, _ in pieces]
    for size in dict.fromkeys([*sizes, *_stairs(wheres, sizes)]):
        if all(_zero(law, size - own) for law, own in zip(laws, sizes, strict=True)):
            return _like(values[0], whole(size))
    groups: dict[Int, list[int]] = {}
    for i, size in enumerate(sizes):
        twins = [other for other in groups if _zero(laws[i], other - size)]
        groups.setdefault(twins[0] if twins else size, []).append(i)
    for size, members in [*groups.items()]:  # a later form may hold on the sets of an earlier one
        for other in groups:
            if other is not size and all(_zero(laws[i], other - sizes[i]) for i in members):
                groups[other] += groups.pop(size)
                break
    return Cases(
        (where, _like(values[0], Simplest(where)(size)))
        for size, members in groups.items()
        for where in _union([wheres[i] for i in members])
    )


def _union(sets: Sequence[InputSet]) -> Sequence[InputSet]:
    """One set; each of them where there is no set of all their members."""
    with suppress(Undecidable):
        return [reduce(or_, sets)]
    return sets


#: Periods of a staircase that are tried.
_PERIOD = 64


def _stairs(wheres: Sequence[InputSet], sizes: Sequence[Int]) -> Iterator[Int]:
    """Staircases ``s*floor((x + c)/m) + t`` through forms of one size x, which may be none of them.

    H on even sizes and H + 1 on odd ones is ``2*floor((H + 1)/2)``: over a period m the forms rise
    by s, and the place of the step is one of m.
    """
    names = frozenset[str]().union(*map(symbols_of, sizes))
    if len(names) != 1:
        return
    (name,) = names
    try:
        parts = [where.axis(name) if name in where.names else None for where in wheres]
        if any(part is not None and part.bounded for part in parts):
            return
    except SymcnnError:
        return
    start = 1 + max((lone(p.smallest()) for p in parts if p), default=0)
    values = []
    for x in range(start, start + 2 * _PERIOD + 1):
        here = {
            evaluate(e, {name: x}) for p, e in zip(parts, sizes, strict=True) if not p or x in p
        }
        if len(here) != 1:  # in no branch, or with forms that differ along another axis
            return
        values.append(here.pop())
    along = Size.symbol(name)
    for m in range(2, _PERIOD + 1):
        rises = {b - a for a, b in zip(values, values[m:], strict=False)}
        if len(rises) == 1:
            (s,) = rises
            for c in range(m):
                form = s * floordiv(along + c, m)
                yield form + (values[0] - evaluate(form, {name: start}))
            return


def _zero(law: Simplest, gap: Int) -> bool:
    """Whether a difference is 0 on all of a set; a form that divides by 0 there is none."""
    if isinstance(gap, int):
        return gap == 0
    with suppress(Undecidable, ZeroDivisionError):
        free = dict.fromkeys(symbols_of(gap), 3)
        if any(evaluate(gap, free | member) for member in law.members):
            return False
        if law.coarse(law(gap)) == 0:
            return True
        where = law.domain
        if where is not None:
            names = (*where.names, *sorted(symbols_of(gap) - {*where.names}))
            return where <= input_set(names, [Condition(gap, "==", 0)])
    return False


def _kernel(value: Any) -> Int | None:
    if isinstance(value, Formula):
        return value.size
    if isinstance(value, str):
        return None
    try:
        return from_sympy(value)
    except (SymcnnError, TypeError, ValueError, AttributeError, sympy.SympifyError):
        return None


def _like(value: Any, size: Int) -> Any:
    """A size as the answer has sizes: a formula, or an expression."""
    return Formula(size, value.names) if isinstance(value, Formula) else public(size)


def plain(value: object) -> object:
    """Cases as one sympy expression; all else as it is."""
    return value.expr if isinstance(value, Cases) else value
