"""Sizes as keys of sets and dicts.

A hash decides which keys python compares: ``h in {224, 30}`` asks ``h == 224`` only if both hash
alike. So the law: *a size hashes like the number that it equals, if it may equal one.* Which
numbers stand in sets and dicts, the code that hashes tells: those in its constants, in its
variables and their attributes, and in the globals that it names. Whether the size equals one of
them is a question for the trace, as any comparison is; else it hashes as the formula that it is, so
that a cache by sizes finds them again. In ``{h, w}`` the sizes are compared with each other.
"""

from __future__ import annotations

import dis
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

import torch

from symcnn.algebra.size import Size

_SETS = frozenset(dis.opmap[n] for n in ("BUILD_SET", "SET_ADD", "SET_UPDATE"))
_DISPLAYS = frozenset(dis.opmap[n] for n in ("BUILD_MAP", "BUILD_SET", "MAP_ADD"))

#: First and last line, first and last column.
_Place = tuple[int | None, int | None, int | None, int | None]

_CONSTANTS = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})

#: So many keys of one container are looked at.
_MANY = 64


class KeyBook(threading.local):
    """The sizes that one instruction has hashed so far, one after the other."""

    def __init__(self) -> None:
        self.place: tuple[int, int] = (0, -1)
        self.sizes: list[Any] = []

    def beside(self, size: Size, frame: FrameType) -> list[Size]:
        """The sizes before this one in the same set."""
        place = (id(frame), frame.f_lasti)
        if frame.f_code.co_code[frame.f_lasti] not in _SETS:
            return []
        if place != self.place:
            self.place, self.sizes = place, []
        before = [*self.sizes]
        self.sizes.append(size)
        return before


def numbers_near(frame: FrameType) -> list[int]:
    """The whole numbers that are keys of sets and dicts which the running code can name."""
    found: dict[int, None] = dict.fromkeys(_in_code(frame.f_code, frame.f_lasti))
    for value in frame.f_locals.values():
        found.update(dict.fromkeys(_keys(value)))
        for inner in _attributes(value):
            found.update(dict.fromkeys(_keys(inner)))
    for name in frame.f_code.co_names:
        found.update(dict.fromkeys(_keys(frame.f_globals.get(name))))
    return [*found]


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


def _attributes(value: Any) -> Iterable[Any]:
    if isinstance(value, torch.nn.Module) or type(value).__module__ not in ("builtins", "torch"):
        own = getattr(value, "__dict__", None)
        return [*own.values()] if isinstance(own, dict) else ()
    return ()


def _keys(value: Any) -> Iterator[int]:
    if isinstance(value, (dict, set, frozenset)) and len(value) <= _MANY:
        for key in value:
            yield from _numbers((key,))


def _numbers(values: Iterable[Any]) -> Iterator[int]:
    for value in values:
        if type(value) is int:
            yield value
        elif type(value) is tuple:
            yield from _numbers(value)
