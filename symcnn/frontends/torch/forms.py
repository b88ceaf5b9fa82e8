"""The forms of a call: whatever names and numbers torch's parser takes, the rule gets in its place.

The law: *a keyword names a place*. A rule has torch's parameters in torch's order under one set of
names; torch has several (``size=``, ``shape=`` and ``dims=`` of the same thing, numpy's ``axis=``).
The signature of the very function that was called says which place a name stands for, and whether
a number is expected there: then a 0-d tensor is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from inspect import Parameter, signature, unwrap
from types import FunctionType
from typing import Any, NamedTuple

import torch

from symcnn.errors import BadArgument, ShapeMismatch
from symcnn.ops.operation import Operation

#: Names of numpy that torch's parser takes for its own (``python_arg_parser.cpp``).
NUMPY = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input"}
NUMPY |= {"x2": "other"}


class Kind(IntEnum):
    """What stands at a place: shapes may depend on a size, and do not on any other number."""

    ANY = 0
    NUMBER = 1
    SIZE = 2


class Places(NamedTuple):
    """The parameters of one way to call a function, and what may stand there."""

    names: tuple[str, ...]  # in order
    by_name: frozenset[str] = frozenset()  # those and what is given by name only
    numbers: Mapping[str, Kind] = {}
    tensors: frozenset[str] = frozenset()
    floats: frozenset[str] = frozenset()  # numbers that are never None
    spread: bool = False  # the last takes all that follow: ``x.permute(0, 2, 3, 1)``

    def at(self, place: int) -> str:
        """The name of a place, "" if there is none."""
        if place < len(self.names):
            return self.names[place]
        return self.names[-1] if self.spread and self.names else ""


@lru_cache(maxsize=2048)
def orders(function: Callable[..., object]) -> tuple[Places, ...]:
    """All ways in which torch's parser reads the arguments of a function of torch."""
    function = unwrap(function)  # ``Tensor.__pow__`` is parsed in C
    if isinstance(function, FunctionType):
        names = [
            p.name
            for p in signature(function).parameters.values()
            if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        ]
        if names:
            return (Places(tuple("input" if n == "self" else n for n in names)),)
    return _ways(getattr(function, "__name__", ""))


@lru_cache(maxsize=2048)
def _ways(called: str) -> tuple[Places, ...]:
    """The ways to call an operation of torch, as its schemas say them."""
    found: list[Places] = []
    for schema in _schemas(called):
        kinds = {("input" if a.name == "self" else a.name): str(a.type) for a in schema.arguments}
        plain = [n for n, a in zip(kinds, schema.arguments, strict=True) if not a.kwarg_only]
        found.append(
            Places(
                tuple(plain),
                frozenset(kinds),
                {n: _number(kind) for n, kind in kinds.items() if _number(kind)},
                frozenset(n for n, kind in kinds.items() if "Tensor" in kind),
                frozenset(n for n, kind in kinds.items() if kind in ("float", "number")),
                bool(plain) and "List" in kinds[plain[-1]],
            )
        )
    return tuple(found)


def require_floats(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> None:
    """Raises ShapeMismatch for None where torch's parser takes nothing but a number: a function in
    python hands on by the same name.
    """
    if type(None) not in map(type, (*args, *kwargs.values())):
        return
    given = [i for i, v in (*enumerate(args), *kwargs.items()) if v is None]
    own = orders(function)
    ways = own if own and own[0].by_name else _ways(getattr(function, "__name__", ""))
    for place in given:
        names = [way.at(place) if isinstance(place, int) else place for way in own]
        if own is not ways:  # in python
            names *= len(ways)
        there = [(w, n) for w, n in zip(ways, names, strict=True) if n in w.by_name]
        if there and all(n in w.floats for w, n in there):
            raise ShapeMismatch(f"{there[0][1]}=None is no number")


def _schemas(called: str) -> list[Any]:
    """Of an operation on tensors; those of the same name on lists and texts left out."""
    find: Callable[[str], Sequence[Any]] = torch._C._jit_get_schemas_for_operator
    found = find(f"aten::{called}") or find(f"aten::{called.strip('_')}")
    of_tensors = [s for s in found if any("Tensor" in str(a.type) for a in s.arguments)]
    return of_tensors or list(found)


def _number(kind: str) -> Kind:
    if "Tensor" in kind:
        return Kind.ANY
    if "int" in kind or "Int" in kind:
        return Kind.SIZE
    return Kind.NUMBER if "number" in kind or "float" in kind else Kind.ANY


def _rule(operation: Callable[..., object]) -> Callable[..., object]:
    return operation.rule if isinstance(operation, Operation) else operation


class _Own(NamedTuple):
    places: tuple[str, ...]
    names: frozenset[str]
    spread: bool  # more values follow, as in ``permute(x, 0, 2, 1)``
    any_name: bool  # takes names that it does not list


@lru_cache(maxsize=2048)
def _own(rule: Callable[..., object]) -> _Own:
    parameters = signature(rule).parameters.values()
    kinds = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    named = (*kinds, Parameter.KEYWORD_ONLY)
    return _Own(
        tuple(p.name for p in parameters if p.kind in kinds),
        frozenset(p.name for p in parameters if p.kind in named),
        any(p.kind is Parameter.VAR_POSITIONAL for p in parameters),
        any(p.kind is Parameter.VAR_KEYWORD for p in parameters),
    )


#: What says how an operation is run: it is read by its name, wherever the arguments stand.
_NAMED = frozenset({"dtype", "inplace", "out"})


def placed(
    function: object,
    operation: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """The arguments of a call of torch's `function` as the rule takes them.

    What no place is known for stays as it is: the rule takes it by that name, or refuses it.
    """
    own = _own(_rule(operation))
    if len(args) > 2 and isinstance(operation, Operation) and operation.scaled:
        args = _tensors_first(args)
    if not kwargs or own.names.issuperset(kwargs):
        return _first_by_place(own, args, kwargs)
    if not isinstance(function, FunctionType):
        kwargs = {
            NUMPY[k] if k not in own.names and NUMPY.get(k) in own.names else k: v
            for k, v in kwargs.items()
        }
    stays = _NAMED if own.any_name else {"out"}
    strange = [name for name in kwargs if name not in own.names and name not in stays]
    where: dict[str, int] = {}
    for way in orders(function):
        found = {name: place for name in strange if (place := _place(way, name)) is not None}
        if len(found) > len(where):
            where = found
    rest = dict(kwargs)
    values = list(args)
    for name in sorted(where, key=where.__getitem__):
        place = where[name]
        if place < len(own.places):
            if place >= len(args) and own.places[place] not in rest:
                rest[own.places[place]] = rest.pop(name)
        elif own.spread:
            before = own.places[len(values) :]
            if len(values) + len(before) == place and all(n in rest for n in before):
                values += [rest.pop(n) for n in before]
                values.append(rest.pop(name))
    return _first_by_place(own, tuple(values), rest)


def _first_by_place(
    own: _Own, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """What is viewed or written to is the first argument, given by name too."""
    first = own.places[0] if own.places else ""
    if args or first not in kwargs:
        return args, kwargs
    return (kwargs[first],), {name: value for name, value in kwargs.items() if name != first}


def _place(way: Places, name: str) -> int | None:
    for known in (name, NUMPY.get(name)):
        if known in way.names:
            return way.names.index(known)
    return None


def _tensors_first(args: tuple[object, ...]) -> tuple[object, ...]:
    tensors = [a for a in args if isinstance(a, torch.Tensor)]
    if len(tensors) < 2 or all(map(lambda a, b: a is b, args, tensors)):
        return args
    numbers = [a for a in args if not isinstance(a, torch.Tensor)] if len(tensors) == 2 else ()
    return (*tensors, *numbers)  # add(x, 2, y) is add(x, y, alpha=2)


class Numbers(NamedTuple):
    """What the parameters of a rule are: by place, by name, and the rest."""

    places: tuple[Kind, ...]
    names: Mapping[str, Kind]
    rest: Kind


@lru_cache(maxsize=2048)
def numbers(
    function: Callable[..., object],
    operation: Callable[..., object],
    count: int = 0,
    said: frozenset[str] = frozenset(),
) -> Numbers:
    """What the rule's own annotations say; where they leave it open, what torch's parser expects.

    count: of arguments by place; said: the names of the others. Where these do not go, it is
        another way to call the function.
    """
    own = signature(_rule(operation)).parameters
    python = isinstance(unwrap(function), FunctionType)
    ways = tuple(w for w in orders(function) if w.by_name)
    fitting = tuple(w for w in ways if said <= w.by_name and (count <= len(w.names) or w.spread))
    found = {
        p.name: _kind(p, i, () if python else fitting or ways, python=python)
        for i, p in enumerate(own.values())
    }
    kinds = {p.name: p.kind for p in own.values()}
    spread = [n for n, kind in kinds.items() if kind is Parameter.VAR_POSITIONAL]
    return Numbers(
        tuple(found[n] for n, kind in kinds.items() if kind is Parameter.POSITIONAL_OR_KEYWORD),
        found,
        found[spread[0]] if spread else Kind.ANY,
    )


#: What rules say of a parameter that is numbers, and of one that is none. Where they say that it
#: may be several things, torch's parser knows which of them the function takes that was called.
_NUMBERS = frozenset(("int", "Int", "float", "Sequence[Int]"))
_NO_NUMBERS = frozenset(("bool", "str", "SymbolicTensor", "Sequence[SymbolicTensor]"))


def _kind(own: Parameter, place: int, ways: Sequence[Places], *, python: bool) -> Kind:
    said = {*str(own.annotation).split(" | ")} - {"None"}
    if said <= _NUMBERS:
        return Kind.SIZE
    if said <= _NO_NUMBERS:
        return Kind.ANY
    if python:  # a function in python hands on what it is given
        return Kind.NUMBER if place else Kind.ANY
    there = [(w, own.name if own.name in w.by_name else w.at(place)) for w in ways]
    if any(n in w.tensors for w, n in there):
        return Kind.ANY
    kinds = [w.numbers[n] for w, n in there if n in w.numbers]
    return max(kinds, default=Kind.ANY)


def require_keywords(module: torch.nn.Module, named: Mapping[str, object]) -> None:
    """Raises BadArgument for a keyword that neither from_torch nor the forward has."""
    if not named:
        return
    parameters = signature(module.forward).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in named:
        if name not in parameters:
            names = ["example", "branches", *parameters]
            raise BadArgument.unknown(f"from_torch of {type(module).__name__}", name, names)
