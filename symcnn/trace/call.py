"""How a node was called: its operation, as far as a trace knows operations, and the arguments.

With them a node is made again: under a substitution, or from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

#: The operations by the names that nodes show; `symcnn.ops` fills it.
RECORDS: dict[str, Ruled] = {}


#: What is called without keywords; most operations are.
NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})

#: What an operation runs: a function of its arguments that answers a `Result`, or a shape.
Rule = Callable[..., Any]


class Call(NamedTuple):
    """How an operation was called. `costed`: its rule says what it costs, not just the shape."""

    operation: Ruled
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    costed: bool = True

    @property
    def rule(self) -> Rule:
        """How its shapes follow."""
        return self.operation.rule

    def __reduce__(self) -> Any:
        return _call, (_spoken_of(self.operation), self.args, dict(self.kwargs), self.costed)


class Ruled(Protocol):
    """An operation, as far as a trace runs it again."""

    @property
    def name(self) -> str:
        """What nodes call it."""

    @property
    def rule(self) -> Rule:
        """How its shapes follow."""

    @property
    def empty(self) -> bool:
        """Whether it takes tensors without elements, as far as its rule does not refuse them."""

    def __hash__(self) -> int:
        """An operation is the object itself."""


@lru_cache(maxsize=1024)
def _spoken_of(operation: Ruled) -> tuple[str, str] | Ruled:
    """Where an operation is found again: by its name, or by the module and name of its rule. One
    whose rule is a value has no place but here.
    """
    if RECORDS.get(operation.name) is operation:
        return "", operation.name
    name = getattr(operation.rule, "__qualname__", None)
    return operation if name is None else (operation.rule.__module__, name)


def _call(place: tuple[str, str] | Ruled, args: Any, kwargs: Any, costed: bool) -> Call:
    if not isinstance(place, tuple):
        return Call(place, args, kwargs, costed)
    module, name = place
    operation = attrgetter(name)(import_module(module)) if module else RECORDS[name]
    return Call(operation, args, kwargs, costed)
