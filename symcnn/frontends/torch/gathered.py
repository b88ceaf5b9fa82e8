"""Sets and dicts of sizes: which keys are equal is asked of the sizes, not of their hashes.

A set or dict that code writes out, ``{h, w}``, ``{s // 2 for s in x.shape}``, ``{s: i for ...}``,
is made of the list of its keys: *a comprehension is its list, gathered.* So keys that are worked
out meet those before them, be they sizes or numbers, wherever they come from.
"""

from __future__ import annotations

import ast
import dis
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import index
from types import CodeType, FrameType
from typing import Any, TypeVar, cast

from symcnn.frontends.torch.keys import numbers_near
from symcnn.frontends.torch.orders import ORDERS
from symcnn.frontends.torch.sizes import SIZES, Dim
from symcnn.frontends.torch.texts import Text

T = TypeVar("T")

#: The names under which compiled code calls `set` and `dict` of a list.
SET, DICT = "__symcnn_set__", "__symcnn_dict__"


def _apart(values: Iterable[Any], frame: FrameType) -> list[Any]:
    """Values, of which sizes stand there once: whether they are equal, and to which number near
    them, is asked, not hashed.
    """
    values, found = [*unordered(values)], list[Any]()
    if not any(map(_is_open, values)):
        return values
    near: list[object] = []
    for value in values:
        if type(value) is Dim:
            near = near or numbers_near(frame)
            value = next((number for number in near if _equal(value, number)), value)
        asked = found if _is_open(value) else [o for o in found if _is_open(o)]
        if not any(_equal(value, other) for other in asked):
            found.append(value)
    return found


_OPEN = SIZES | {Text}


def _is_open(value: Any) -> bool:
    return any(map(_is_open, value)) if isinstance(value, tuple) else type(value) in _OPEN


def _equal(a: Any, b: Any) -> bool:
    return a is b or bool(a == b)


class _Ordered:
    """A set of sizes. Where the order makes a difference in which it runs through several, their
    numbers say that order, and only these (see `symcnn.frontends.torch.orders`).

    Numbers stand where they came to stand, whatever was taken out since.
    """

    _added: list[object]
    _turned: Sequence[object] = ()  # the order of the last time

    def left(self) -> list[object]:
        """What is in it, in the order in which that was added."""
        own: Any = self
        return self._added if len(own) == len(self._added) else [v for v in self._added if v in own]

    def __iter__(self) -> Iterator[Any]:
        left = self.left()
        return iter(left if len(left) < 2 else self._in_turn(left) or self._by_numbers(left))

    def _in_turn(self, left: list[object]) -> Sequence[object] | None:
        kept = {id(value) for value in left}
        stands = [value for value in self._turned if id(value) in kept]
        if len(stands) == len(left):  # what was taken out moves no other
            return stands
        run = next((v.tracer for v in _flat(left) if type(v) is Dim), None)
        found = None if run is None else ORDERS.of(left, run)
        self._turned = found or ()
        return found

    def _by_numbers(self, left: list[object]) -> Iterable[object]:
        numbers, staying = set(map(_as_number, self._added)), set(map(_as_number, left))
        for gone in numbers - staying:
            numbers.discard(gone)
        return numbers


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


def _combined(name: str) -> Callable[..., Any]:
    """A method of sets whose result is a set of sizes, too."""

    def call(self: _Ordered, *others: object) -> object:
        kind = frozenset if isinstance(self, frozenset) else set
        found = getattr(kind, name)(self, *others)
        return found if found is NotImplemented else _of([*kind.__iter__(found)], kind)

    return call


for _name in (
    *("__and__", "__or__", "__sub__", "__xor__", "__rand__", "__ror__", "__rsub__", "__rxor__"),
    *("copy", "difference", "intersection", "symmetric_difference", "union"),
):
    setattr(_Ordered, _name, _combined(_name))


class _Set(_Ordered, set[object]):
    """A set that may be written to."""

    def add(self, value: object, /) -> None:
        """One more, if it is not there."""
        before = len(self)
        super().add(value)
        if len(self) > before:
            self._added.append(value)

    def update(self, *several: Iterable[object]) -> None:
        """Many more."""
        for value in chain.from_iterable(several):
            self.add(value)

    def pop(self) -> object:
        """The first of them."""
        first = next(iter(self))
        same = [v for v in self.left() if v is first]
        self.discard(next(iter(same or (v for v in self.left() if _as_number(v) == first))))
        return first


class _Frozen(_Ordered, frozenset[object]):
    """A set that stays."""


def _as_number(value: Any) -> object:
    return index(value) if type(value) in SIZES else value


_ORDERED = {set: _Set, frozenset: _Frozen}


def unordered(values: Iterable[T]) -> Iterable[T]:
    """What is made of values in any order."""
    return cast("Iterable[T]", values.left()) if isinstance(values, _Ordered) else values


def _collection(kind: Any) -> Callable[..., Any]:
    def call(*values: object) -> object:
        if len(values) == 1 and isinstance(values[0], Iterable):
            return _of(_apart(values[0], sys._getframe(1)), kind)
        return kind(*values)

    return call


def _of(values: list[Any], kind: Any) -> Any:
    """A set of values that are apart."""
    if not any(map(_is_open, values)):
        return kind(values)
    found = _ORDERED[kind](values)
    found._added = values
    return found


class _Dict:
    """Methods of dict, which code finds by the name of the type."""

    @staticmethod
    def fromkeys(keys: Iterable[object], value: object = None) -> dict[object, object]:
        return dict.fromkeys(_apart(keys, sys._getframe(1)), value)


def _dict(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dict of pairs: the last value of a key, at the place of the first."""
    items = [*pairs]
    if not any(_is_open(key) for key, _ in items):
        return dict(items)
    apart = _apart((key for key, _ in items), sys._getframe(1))
    found: dict[Any, Any] = dict.fromkeys(apart)
    for key, value in items:
        found[next(other for other in apart if _equal(key, other))] = value
    return found


OF_TYPES: Mapping[str, Any] = {"dict": _Dict}

STAND_INS: Mapping[str, Callable[..., Any]] = {
    "set": _collection(set),
    "frozenset": _collection(frozenset),
    SET: _collection(set),
    DICT: _dict,
}


# In code --------------------------------------------------------------------------------------

_ADDS = frozenset(dis.opmap[name] for name in ("SET_ADD", "MAP_ADD", "BUILD_SET"))


def may_gather(code: CodeType) -> bool:
    """Whether it writes out a set, or a comprehension of one or of a dict."""
    inner = (c for c in code.co_consts if type(c) is CodeType)
    return not _ADDS.isdisjoint(code.co_code[::2]) or any(map(may_gather, inner))


class Gathering(ast.NodeTransformer):
    """Sets, and comprehensions of sets and dicts, become calls."""

    count = 0

    def _call(self, name: str, items: ast.expr, like: ast.expr) -> ast.Call:
        self.count += 1
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [items], []), like)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        node.left = self.visit(node.left)
        for i, part in enumerate(node.comparators):
            if not isinstance(part, ast.Set):  # ``h in {4, 8}`` asks of each, in the end
                node.comparators[i] = self.visit(part)
        return node

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        if all(isinstance(e, ast.Constant) for e in node.elts):
            return node
        return self._call(SET, ast.List(node.elts, ast.Load()), node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return self._call(SET, ast.ListComp(node.elt, node.generators), node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        self.generic_visit(node)
        pair = ast.Tuple([node.key, node.value], ast.Load())
        return self._call(DICT, ast.ListComp(pair, node.generators), node)
