"""Sizes as keys of sets and dicts.

A hash decides which keys python compares: ``h in {224, 30}`` asks ``h == 224`` only if both hash
alike. So the law: *a size hashes like the number that it equals, if it may equal one.* Which
numbers stand in sets and dicts, the code that hashes tells: those in its constants, in its
variables and their attributes, in what a comprehension runs over, and in the globals that it names.
Whether the size equals one of them is a question for the trace, as any comparison is; else it
hashes as the formula that it is, so that a cache by sizes finds them again. In ``{h, w}`` the sizes
are compared with each other, and with those that are keys by themselves.

A text compares like a hash: *a size is written as the number that it equals, if it may equal one in
a text that the code compares with*, ``f"{h}x{w}" == "16x16"``; else as its formula.
"""

from __future__ import annotations

import dis
import re
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, TypeVar
from weakref import ref

import torch

from symcnn.frontends.torch.recompile import instruction
from symcnn.trace.tape import current_tape

_SETS = frozenset(
    dis.opmap[n] for n in ("BUILD_SET", "SET_ADD", "SET_UPDATE", "BUILD_MAP", "MAP_ADD")
)
_DISPLAYS = frozenset(dis.opmap[n] for n in ("BUILD_MAP", "BUILD_SET", "MAP_ADD"))
_ADDS = frozenset(dis.opmap[n] for n in ("MAP_ADD", "SET_ADD"))

_CONTAINS, _LOOKUP = dis.opmap["CONTAINS_OP"], instruction("a[b]")
_CALLS = frozenset(op for name, op in dis.opmap.items() if name.startswith(("CALL", "PRECALL")))

#: Functions that take many keys at once, where others take one key, which may be a tuple of sizes.
_FILLS = frozenset({"dict", "fromkeys", "update", *dir(set)}.difference(dir(list), dir(object)))

T = TypeVar("T")

#: First and last line, first and last column.
_Place = tuple[int | None, int | None, int | None, int | None]

_CONSTANTS = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})
_COMPARES = frozenset({"COMPARE_OP", "CONTAINS_OP"})
_GATHERS = _FILLS | {"set", "frozenset"}

_COMPREHENSIONS = frozenset({"<dictcomp>", "<setcomp>", "<genexpr>", "<listcomp>"})

#: So many keys of one container are looked at.
_MANY = 64


class KeyBook(threading.local):
    """The sizes that one instruction has hashed so far, one after the other, in one run."""

    def __init__(self) -> None:
        self.place: tuple[int, int] = (0, -1)
        self.sizes: list[Any] = []
        self.run: ref[Any] | None = None

    def beside(self, size: T, frame: FrameType) -> list[T]:
        """The sizes, or texts of sizes, before this one in the same set."""
        place, tape = (id(frame), frame.f_lasti), current_tape()
        if tape is None:
            return []
        if self.run is None or self.run() is not tape:
            self.run, self.place = ref(tape), (0, -1)
        if _asks(frame):  # of a set or dict that may stand in no variable
            return [*self.sizes] if place[0] == self.place[0] else []
        if not _fills(frame):
            return []
        if place != self.place:
            self.place, self.sizes = place, []
        before = [*self.sizes]
        self.sizes.append(size)
        return before


def _asks(frame: FrameType) -> bool:
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at] == _CONTAINS or code[at : at + 2] == _LOOKUP


def _fills(frame: FrameType) -> bool:
    """Whether keys, which are no tuples, come into a set or dict."""
    running = frame.f_code.co_code[frame.f_lasti]
    return running in _SETS or (running in _CALLS and not _FILLS.isdisjoint(frame.f_code.co_names))


def hashing(frame: FrameType) -> FrameType:
    """The code that hashes: outside of the ``__hash__`` of a key that holds sizes."""
    while frame.f_code.co_name == "__hash__" and frame.f_back is not None:
        frame = frame.f_back
    return frame


def numbers_near(frame: FrameType) -> list[object]:
    """The whole numbers, and the sizes, that are keys of sets and dicts which the running code can
    name.
    """
    found = {number: number for number in _in_code(frame.f_code)}
    outer: FrameType | None = frame
    while outer is not None and outer.f_code.co_name in _COMPREHENSIONS:
        outer = outer.f_back
        found.update((number, number) for number in (_in_code(outer.f_code) if outer else ()))
    if _fills(frame):
        values = _nameable(frame) if _inlined(frame) else frame.f_locals.values()
        found.update((number, number) for number in _among(values, alone=_displays(frame)))
    sizes = [key for keys in _near(frame) for key in keys if issubclass(type(key), torch.SymInt)]
    for keys in _near(frame):
        found.update((number, number) for number in _numbers(keys))
    return [*found, *sizes]


def _displays(frame: FrameType) -> bool:
    return frame.f_code.co_code[frame.f_lasti] in _DISPLAYS and not _inlined(frame)


def _inlined(frame: FrameType) -> bool:
    """Whether a comprehension runs in the frame of its function, as from python 3.12 on: what it
    runs over stands in no variable.
    """
    return frame.f_code.co_code[frame.f_lasti] in _ADDS and ".0" not in frame.f_locals


def works_out(frame: FrameType) -> bool:
    """Whether a comprehension, which nothing has gathered, computes its keys: which numbers are
    among them, no variable tells.
    """
    code = frame.f_code
    return code.co_code[frame.f_lasti] in _ADDS and _computes(code)


@lru_cache(maxsize=1024)
def _computes(code: CodeType) -> bool:
    steps = [*dis.get_instructions(code)]
    start = next((k for k, step in enumerate(steps) if step.opname == "FOR_ITER"), 0)
    return any(step.opname.startswith(("BINARY_", "CALL", "UNARY_")) for step in steps[start:])


def _nameable(frame: FrameType) -> Iterator[Any]:
    """The values that the code names: variables, their attributes, globals."""
    names = frame.f_code.co_names
    for value in frame.f_locals.values():
        yield value
        own = getattr(value, "__dict__", None)
        if isinstance(own, dict):
            yield from (own[name] for name in names if name in own)
    yield from (frame.f_globals[name] for name in names if name in frame.f_globals)


def _among(values: Iterable[Any], *, alone: bool) -> Iterator[int]:
    """Whole numbers; unless they are `alone`, those in short tuples and lists, and in shapes."""
    for value in values:
        if type(value) is int:
            yield value
        elif not alone and isinstance(value, (tuple, list, torch.Tensor)):
            some = value.shape if isinstance(value, torch.Tensor) else value[:_MANY]
            yield from (number for number in some if type(number) is int)


def texts_near(frame: FrameType) -> list[str]:
    """The texts that the running code compares with, and those that are keys near it."""
    texts: list[str] = [*_compared(frame.f_code)]
    for keys in _near(frame):
        texts += [key for key in keys if isinstance(key, str)]
    return texts


def numbers_written(frame: FrameType) -> list[int]:
    """The whole numbers in these texts."""
    texts = (text for text in texts_near(frame) if type(text) is str)
    return [*dict.fromkeys(int(n) for text in texts for n in re.findall(r"\d{1,9}", text))]


@lru_cache(maxsize=1024)
def _compared(code: CodeType) -> tuple[str, ...]:
    """The constant texts on either side of a comparison, and those of constant sets and dicts."""
    found: list[Any] = []
    for const in code.co_consts:
        found += const if isinstance(const, (frozenset, tuple)) else ()
    steps = [*dis.get_instructions(code)]
    for k, step in enumerate(steps):
        if step.opname in _COMPARES:
            found += [s.argval for s in steps[max(k - 8, 0) : k] if s.opname in _CONSTANTS]
        elif step.opname in ("BUILD_MAP", "BUILD_SET"):
            found += [s.argval for s in steps[:k] if s.opname in _CONSTANTS]
    return tuple(text for text in found if type(text) is str)


def _near(frame: FrameType) -> Iterator[Iterable[Any]]:
    """The keys of each set and dict which the running code can name."""
    for value in frame.f_locals.values():
        yield _keys(value)
        yield from map(_keys, _attributes(value))
    yield _run_over(frame.f_locals.get(".0"))
    for name in frame.f_code.co_names:
        yield _keys(frame.f_globals.get(name))


@lru_cache(maxsize=1024)
def _in_code(code: CodeType) -> tuple[int, ...]:
    """Those of constant sets, and of all sets and dicts that the code writes: what one has may be
    compared with what another has.
    """
    found: list[int] = []
    for const in code.co_consts:
        if isinstance(const, (frozenset, tuple)):
            found += _numbers(const)
    places, steps = [*code.co_positions()], [*dis.get_instructions(code)]
    gathers = not _GATHERS.isdisjoint(code.co_names)  # ``set([4, 8])`` is a display, too
    spans = [
        places[i.offset // 2]
        for i in steps
        if i.opcode in _DISPLAYS or (gathers and i.opname == "BUILD_LIST")
    ]
    for before, i, after in zip(steps, steps[1:], steps[2:], strict=False):
        value = before.opname in _CONSTANTS and type(before.argval) is str  # under a name
        key = i.opname in _CONSTANTS and not value and not after.opname.startswith("BINARY_")
        if key and any(_lies_in(places[i.offset // 2], span) for span in spans):
            found += _numbers((i.argval,))
    return tuple(found)


def _lies_in(inner: _Place, outer: _Place) -> bool:
    """Whether an expression is part of another; it may be if python does not say."""
    first, last, column, end = inner
    start, stop, left, right = outer
    if None in inner or None in outer:
        return True
    return (start, left) <= (first, column) and (last, end) <= (stop, right)


def _run_over(items: Any) -> Iterable[Any]:
    """The whole numbers of the tuple or list that a comprehension runs over."""
    whole = items.__reduce__()[1] if type(items) in _ITERATORS else ()
    few = whole[0] if whole and len(whole[0]) <= _MANY else ()
    return [n for n in few if type(n) is int]


_ITERATORS = frozenset({type(iter(())), type(iter([]))})


def _attributes(value: Any) -> Iterable[Any]:
    if isinstance(value, torch.nn.Module) or type(value).__module__ not in ("builtins", "torch"):
        own = getattr(value, "__dict__", None)
        return [*own.values()] if isinstance(own, dict) else ()
    return ()


def _keys(value: Any) -> Iterable[Any]:
    kind = next((kind for kind in (dict, set, frozenset) if isinstance(value, kind)), None)
    return [] if kind is None or len(value) > _MANY else [*kind.__iter__(value)]  # in no order


def _numbers(values: Iterable[Any]) -> Iterator[int]:
    for value in values:
        if type(value) is int:
            yield value
        elif issubclass(type(value), tuple):
            yield from _numbers(value)
        elif not isinstance(value, torch.nn.Module):  # of a class of its own, as a dataclass
            yield from _numbers(v for v in _attributes(value) if issubclass(type(v), (int, tuple)))
