"""One layer by itself: its rule, on sizes that are fresh symbols.

What a rule makes of symbols it can only make of every size. Where it must divide, the factors of a
size get a symbol each; what it makes is compared with the closed forms factor by factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from symcnn.algebra.factor import factors, is_product, text
from symcnn.algebra.size import Int, Size, Symbol, evaluate, prod, sole_atom, symbols_of
from symcnn.ops.operation import into
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Node, Result, SymbolicTensor
from symcnn.trace.tape import Tape, of_empty

Parts = Callable[[Size], tuple[tuple[Size, ...], int]]  # a size as factors, and a number


def _whole(dim: Size) -> tuple[tuple[Size, ...], int]:
    return (dim,), 1


def _factors(dim: Size) -> tuple[tuple[Size, ...], int]:
    try:
        return factors(dim)
    except ValueError:
        return _whole(dim)


def seen(_: Size) -> tuple[tuple[Size, ...], int]:
    """No part of a size is hidden from the rule."""
    return (), 1


#: How much a rule may see of its sizes, and whether it is told what the layers before require: the
#: least first.
WAYS: tuple[tuple[Parts, bool], ...] = (
    (_whole, False),
    (_whole, True),
    (_factors, False),
    (seen, True),
)


class Fresh:
    """A node's rule on sizes that are symbols of their own: x0, x1, ... for what `means` says.

    `parts` says what of a size gets a symbol: the whole of it, or every factor by itself, where the
    rule must divide; sizes that may be 0 stay what they are. With `sizes`, on numbers.
    """

    def __init__(
        self,
        node: Node,
        taken: frozenset[str],
        parts: Parts,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.node, self.parts, self.sizes, self.taken = node, parts, sizes, taken
        self.seen = parts is seen and sizes is None  # no size is hidden from the rule
        self.names: dict[Size, Size] = {}
        self.means: dict[str, Size] = {}
        if sizes is None:
            dims = (
                d
                for t in node.inputs
                for d in t.dims
                if isinstance(d, Size) and not (t.may_be_empty and d in t.empties)
            )
            for part in dict.fromkeys(p for d in dims for p in parts(d)[0] if not is_symbol(p)):
                name = self._unused(f"x{len(self.names)}")
                self.names[part] = Size.symbol(name)
                self.means[name] = part

    def _unused(self, name: str) -> str:
        """A name that no size of the network has."""
        while name in self.taken:
            name += "_"
        return name

    def run(self, known: Tape | None = None) -> Result:
        """What the rule answers, given what is `known` of the sizes. Raises what it raises."""
        call = self.node.call
        if call is None:
            raise UnrecordedError
        args, kwargs = self._put(call.args), self._put(dict(call.kwargs))
        with known.running() if known is not None else nullcontext():
            result = call.rule(*args, **kwargs)
        if not isinstance(result, Result):
            from symcnn.algebra.expr import from_sympy

            result = Result((tuple(map(from_sympy, result)),))
        once = self.node.mode.once
        if once is not None:
            target = self._tensor(self.node.inputs[0])
            result = into(self.node.op, target, result, self._put(once))
        empty = [self._tensor(t) for t in self.node.inputs if t.may_be_empty and t.empties]
        return of_empty(empty, result, call.operation.empty) if empty else result

    def _put(self, value: Any) -> Any:
        if isinstance(value, SymbolicTensor):
            return self._tensor(value)
        if isinstance(value, Size):
            return self._size(value)
        if isinstance(value, dict):
            return {key: self._put(v) for key, v in value.items()}
        if isinstance(value, slice):
            return slice(*map(self._put, (value.start, value.stop, value.step)))
        if type(value) in (tuple, list):
            return type(value)(self._put(v) for v in value)
        return value

    def _size(self, dim: Int) -> Int:
        if isinstance(dim, int):
            return dim
        if self.sizes is not None:
            return int(evaluate(dim, self.sizes))
        if not self.names:
            return dim
        found, content = self.parts(dim)
        return content * prod(self.names.get(part, part) for part in found)

    def _tensor(self, t: SymbolicTensor) -> SymbolicTensor:
        empties = t.empties if t.may_be_empty and self.sizes is None else ()
        dims = tuple(d if d in empties else self._size(d) for d in t.dims)
        if dims == t.dims:
            return t
        made = object.__new__(type(t))
        for cls in type(t).__mro__:
            for slot in getattr(cls, "__slots__", ()):
                setattr(made, slot, getattr(t, slot))
        made.dims = dims
        return made

    def back(self, expr: Int) -> Int:
        """The expression with the sizes that the fresh ones mean."""
        return expr.subs(self.means) if isinstance(expr, Size) else expr

    def in_factors(self, made: Int, dim: Int) -> tuple[dict[str, Size], list[Condition]]:
        """``made == dim`` factor by factor: names of what they are, and what to ask of them.

        Products of equal factors are equal. A floor or maximum of `made` is one of `dim`, at what
        the fresh sizes mean: asked for each, both have one name, and a product follows without
        arithmetic of products.
        """
        same = Condition(made, "==", dim)
        if not is_product(made) or not isinstance(dim, Size) or self.back(made) != dim:
            return {}, [same]
        floors = [atom for atom in dim.atoms() if not isinstance(atom, Symbol)]
        named = {atom: Size.symbol(self._unused(f"factor{i}")) for i, atom in enumerate(floors)}

        def short(expr: Int) -> Int:
            """The expression, of names of factors."""
            return expr.map(lambda a: named.get(a, a.size())) if isinstance(expr, Size) else expr

        parts = {a: short(self.back(a.size())) for a in made.atoms() if not isinstance(a, Symbol)}
        each = [Condition(part.size(), "==", name) for part, name in parts.items()]
        means = {str(name): atom.size() for atom, name in named.items()}
        product = made.map(lambda atom: parts.get(atom, atom.size()))
        return means, [*each, Condition(product, "==", short(dim))]

    def meanings(self, expr: Int) -> str:
        """What the fresh sizes of an expression mean, for reading."""
        used = [n for n in self.means if n in symbols_of(expr)]
        return f" at {', '.join(f'{n} = {text(self.means[n])}' for n in used)}" if used else ""


class UnrecordedError(Exception):
    """The node does not know how its rule was called."""

    def __str__(self) -> str:
        return "made without a rule"


def is_symbol(dim: Size) -> bool:
    """Whether a size is a letter."""
    return isinstance(sole_atom(dim), Symbol)
