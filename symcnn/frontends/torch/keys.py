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
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any, TypeVar

import torch

_SETS = frozenset(
    dis.opmap[n] for n in ("BUILD_SET", "SET_ADD", "SET_UPDATE", "BUILD_MAP", "MAP_ADD")
)
_DISPLAYS = frozenset(dis.opmap[n] for n in ("BUILD_MAP", "BUILD_SET", "MAP_ADD"))

T = TypeVar("T")

#: First and last line, first and last column.
_Place = tuple[int | None, int | None, int | None, int | None]

_CONSTANTS = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})
_COMPARES = frozenset({"COMPARE_OP", "CONTAINS_OP"})

#: So many keys of one container are looked at.
_MANY = 64


class KeyBook(threading.local):
    """The sizes that one instruction has hashed so far, one after the other."""

    def __init__(self) -> None:
        self.place: tuple[int, int] = (0, -1)
        self.sizes: list[Any] = []

    def beside(self, size: T, frame: FrameType) -> list[T]:
        """The sizes, or texts of sizes, before this one in the same set."""
        place = (id(frame), frame.f_lasti)
        if frame.f_code.co_code[frame.f_lasti] not in _SETS:
            return []
        if place != self.place:
            self.place, self.sizes = place, []
        before = [*self.sizes]
        self.sizes.append(size)
        return before


def hashing(frame: FrameType) -> FrameType:
    """The code that hashes: outside of the ``__hash__`` of a key that holds sizes."""
    while frame.f_code.co_name == "__hash__" and frame.f_back is not None:
        frame = frame.f_back
    return frame


def numbers_near(frame: FrameType) -> list[object]:
    """The whole numbers, and the sizes, that are keys of sets and dicts which the running code can
    name.
    """
    found = {number: number for number in _in_code(frame.f_code, frame.f_lasti)}
    sizes = [key for keys in _near(frame) for key in keys if issubclass(type(key), torch.SymInt)]
    for keys in _near(frame):
        found.update((number, number) for number in _numbers(keys))
    return [*found, *sizes]


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


def _in_code(code: CodeType, running: int) -> Iterator[int]:
    """Those of constant sets and, where sets or dicts are made, of the expression that runs."""
    for const in code.co_consts:
        if isinstance(const, (frozenset, tuple)):
            yield from _numbers(const)
    if not _DISPLAYS.isdisjoint(code.co_code[::2]):
        places = [*code.co_positions()]
        for i, after in pairwise(dis.get_instructions(code)):
            key = i.opname in _CONSTANTS and not after.opname.startswith("BINARY_")
            if key and _lies_in(places[i.offset // 2], places[running // 2]):
                yield from _numbers((i.argval,))


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
    few = isinstance(value, (dict, set, frozenset)) and len(value) <= _MANY
    return [*value] if few else ()


def _numbers(values: Iterable[Any]) -> Iterator[int]:
    for value in values:
        if type(value) is int:
            yield value
        elif issubclass(type(value), tuple):
            yield from _numbers(value)
        elif not isinstance(value, torch.nn.Module):  # of a class of its own, as a dataclass
            yield from _numbers(v for v in _attributes(value) if issubclass(type(v), (int, tuple)))
