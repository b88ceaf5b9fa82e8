"""The functions that a forward reaches: by the names that code spells out, from its classes on.

What python finds otherwise (in a registry, by a name that is computed) shows when it runs: an
operation stands in code that nothing named leads to (`Ran`). The trace begins anew with such
functions among those that it begins from.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch

from symcnn.frontends.torch.shape import Sizes
from symcnn.frontends.torch.sizes import SIZES
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.texts import Text
from symcnn.frontends.torch.where import is_left_alone
from symcnn.trace.graph import Node

LEFT_ALONE = frozenset({"torch", "symcnn", "numpy", "sympy", *sys.stdlib_module_names}) - {
    "__main__",
    "test",
}
CACHED = type(functools.lru_cache(len))
SCRIPTED = torch.jit.ScriptFunction


class Reached:
    """The functions that code reaches, and the names under which it finds what is wrapped."""

    def __init__(self, code_of: Callable[[FunctionType], CodeType]) -> None:
        self.code_of = code_of  # also during a trace
        self.functions: dict[FunctionType, None] = {}
        self.wrapped: list[tuple[Any, str, Any]] = []  # where, name, object
        self.named: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}  # it was found by
        self.filled: dict[int, Any] = {}  # tables and lists of files that functions may fill
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self._stack: list[Any] = []

    def follow(self, roots: Iterable[object]) -> Reached:
        """Everything from the roots on."""
        self._stack += roots
        while self._stack:
            self._visit(self._stack.pop())
        return self

    def _visit(self, value: Any) -> None:
        kind = type(value)
        if kind in PLAIN or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        if kind is FunctionType:
            self._function(value)
        elif kind is MethodType:
            self._stack += (value.__func__, value.__self__)
        elif kind is functools.partial:
            self._stack += (value.func, *value.args, *value.keywords.values())
        elif isinstance(value, type):
            self._class(value)
        elif kind in (tuple, list):
            self._stack += value[:MANY]
        elif kind is dict:
            self._stack += [*value.values()][:MANY]
        elif kind is SCRIPTED or kind is CACHED:
            self._stack.append(body_of(value))
        elif kind is property:
            self._stack += (value.fget, value.fset)
        elif kind in (staticmethod, classmethod):
            self._stack.append(value.__func__)
        elif kind is functools.cached_property:
            self._stack.append(value.func)
        elif not isinstance(value, (ModuleType, torch.Tensor)):
            self._stack.append(kind)

    def _class(self, value: type) -> None:
        for base in value.__mro__:
            if base.__module__.partition(".")[0] not in LEFT_ALONE:
                for name, member in vars(base).items():
                    if type(member) not in PLAIN:
                        self._wrap(base, name, own(member))
                        self._stack.append(own(member))

    def _wrap(self, where: Any, name: str, value: Any) -> None:
        if type(value) is SCRIPTED or type(value) is CACHED:
            self.wrapped.append((where, name, value))

    def _function(self, value: FunctionType) -> None:
        code = self.code_of(value)
        if is_left_alone(code.co_filename):
            return
        self.functions[value] = None
        self._stack += [cell.cell_contents for cell in value.__closure__ or () if _full(cell)]
        space, codes = value.__globals__, [code]
        modules: list[ModuleType] = []
        names: set[str] = set()
        fills = False
        while codes:
            code = codes.pop()
            names.update(code.co_names)
            fills = fills or _fills(code)
            codes += [c for c in code.co_consts if type(c) is CodeType]
        for name in names & space.keys():
            found = own(space[name])
            if type(found) in PLAIN:
                continue
            self.named[id(space), name] = space, name, found
            self._wrap(space, name, found)
            if fills and isinstance(found, _FILLED):
                self.filled[id(found)] = found
            if isinstance(found, ModuleType):
                modules.append(found)
            else:
                self._stack.append(found)
        while modules:
            space = vars(modules.pop())
            if str(space.get("__name__")).partition(".")[0] in LEFT_ALONE:
                continue
            for name in names & space.keys():
                found = own(space[name])
                if isinstance(found, ModuleType):
                    if id(found) not in self._seen:
                        self._seen.add(id(found))
                        modules.append(found)
                elif type(found) not in PLAIN:
                    if fills and isinstance(found, _FILLED):
                        self.filled[id(found)] = found
                    self.named[id(space), name] = space, name, found
                    self._wrap(space, name, found)
                    self._stack.append(found)


def _fills(code: CodeType) -> bool:
    """Whether it may write into what a file holds: a table of masks by sizes."""
    return _STORES in code.co_code[::2] or not _WRITERS.isdisjoint(code.co_names)


_STORES = dis.opmap["STORE_SUBSCR"]
_FILLED = (dict, list)
_WRITERS = frozenset(
    "append add update setdefault extend insert appendleft pop popitem clear".split()
)

PLAIN = frozenset((int, str, float, bool, bytes, type(None), torch.dtype, torch.device))
MANY = 64  # of a long list, as many are looked at


def _full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def body_of(wrapper: object) -> Callable[..., object]:
    """The python function that a scripted or cached one was made from; None where there is none."""
    name = "__wrapped__" if isinstance(wrapper, CACHED) else "_torchdynamo_inline"
    found: Callable[..., object] = getattr(wrapper, name, None)
    return found


def own(value: object) -> object:
    """What was there before traces began."""
    return getattr(value, "stands_for", value) if type(value) is FunctionType else value


@contextmanager
def emptied(places: Iterable[object]) -> Iterator[None]:
    """What a run puts into tables and lists of files, by sizes or of traced tensors, leaves them
    with the run: masks that a function remembers.
    """
    held: list[Any] = [*places]
    before = [*map(len, held)]
    try:
        yield
    finally:
        if [*map(len, held)] != before:
            for place, count in zip(held, before, strict=True):
                if isinstance(place, dict):
                    new = [place.popitem() for _ in range(len(place) - count)]  # the last first
                    place.update(one for one in reversed(new) if not any(map(is_ours, one)))
                else:
                    place[count:] = [one for one in place[count:] if not is_ours(one)]


def is_ours(value: object) -> bool:
    """Whether it is a size, a text of sizes or a traced tensor, or holds one."""
    if isinstance(value, (tuple, list)):
        return any(map(is_ours, value)) or type(value) is Sizes
    return type(value) in _OF_TRACES


_OF_TRACES = SIZES | {TracedTensor, Text, Sizes}


# What nothing named leads to ------------------------------------------------------------------

#: A function, by where its code stands.
Place = tuple[str, int, str]


def place_of(code: CodeType) -> Place:
    """The file, the line and the name, which code keeps that is compiled again."""
    return code.co_filename, code.co_firstlineno, code.co_name


class Ran:
    """The code that the runs of a forward came through."""

    def __init__(self, kind: type) -> None:
        self.kind = kind  # of the module
        self.codes: set[CodeType | None] = set()
        self.strangers: list[object] = []

    def note(self, askers: AbstractSet[CodeType], nodes: Iterable[Node]) -> None:
        """What asked for sizes in a run, and what made its nodes."""
        self.codes |= askers
        self.codes.update(node.where.code for node in nodes)

    @contextmanager
    def among(self, known: Iterable[AbstractSet[Place]]) -> Iterator[None]:
        """Look, after some runs, for functions and classes of files that were not reached.

        known: the places of what was reached.
        """
        try:
            yield
        finally:
            places = [*known]
            for code in self.codes:
                if code is None or "<" in code.co_qualname or is_left_alone(code.co_filename):
                    continue  # it stands in no function, or within another
                place = place_of(code)
                if not any(place in reached for reached in places):
                    self.strangers += _holder(code)

    def something_new(self) -> bool:
        """Whether a run came upon what nothing named leads to, of which no trace knew."""
        noted = _learned.setdefault(self.kind, {})
        before = len(noted)
        noted.update((ref(one), None) for one in self.strangers if one is not None)
        return len(noted) > before


def _holder(code: CodeType) -> Iterator[object]:
    """What holds it in a file that is imported: its function, or its class."""
    name = code.co_qualname.partition(".")[0]
    for module in [*sys.modules.values()]:
        space = getattr(module, "__dict__", {})
        if space.get("__file__") == code.co_filename and name in space:
            found = own(space[name])
            if isinstance(found, (FunctionType, type)):
                yield found
            elif type(found) in (CACHED, SCRIPTED):
                yield body_of(found)


#: What forwards of a class ran beside what they reach.
_learned: WeakKeyDictionary[type, dict[ref[Any], None]] = WeakKeyDictionary()


def learned(kind: type) -> list[object]:
    """What the forwards of a class run beside what they reach, as far as it showed."""
    return [found for one in _learned.get(kind, ()) if (found := one()) is not None]
