"""Where in the user's code an operation stands: the frame below all of torch's and our own.

A trace notes the code and the instruction, which costs a walk up the stack; the line and its text
are looked up when someone asks.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import sys
from bisect import bisect_left
from collections.abc import Sequence
from linecache import getline
from os.path import basename, dirname, join
from types import CodeType, FrameType
from typing import NamedTuple

_SYMCNN = join(dirname(dirname(__file__)), "")

#: Whether a file is of symcnn, torch, numpy or python's machinery, and not the user's.
_OURS: dict[str, bool] = {}


class Where:
    """A place in the user's code: ``file.py:12``; `path` is the whole path, `text` the line."""

    __slots__ = ("_instruction", "_place", "code")

    def __init__(self, code: CodeType | None, instruction: int = 0) -> None:
        self.code, self._instruction = code, instruction
        self._place: tuple[str, int] | None = None

    def _position(self) -> tuple[str, int]:
        if self._place is None:
            self._place = ("", 0)
            if self.code is not None:
                self._place = self.code.co_filename, line_of(self.code, self._instruction)
        return self._place

    @property
    def path(self) -> str:
        """The file; empty where the operation stands in no code of the user's."""
        return self._position()[0]

    @property
    def line(self) -> int:
        """The number of the line."""
        return self._position()[1]

    @property
    def text(self) -> str:
        """The line as it is written."""
        return getline(self.path, self.line).strip() if self.path else ""

    def __bool__(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        return f"{basename(self.path)}:{self.line}" if self.path else ""

    def __reduce__(self) -> tuple[object, ...]:
        return _at, self._position()


def _at(path: str, line: int) -> Where:
    where = Where(None)
    where._place = path, line
    return where


def line_of(code: CodeType, instruction: int) -> int:
    """The line that an instruction stands on."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno


def here(base: FrameType | None, inside: int = 2) -> Where:
    """The innermost frame of the user's code above `base`, where the trace began.

    inside: so many of the innermost frames are ours.
    """
    frame: FrameType | None = sys._getframe(inside)
    ours = _OURS.get  # for every node, all frames of torch's and ours above it
    while frame is not None and frame is not base:
        code = frame.f_code
        known = ours(code.co_filename)
        if not (_ours(code) if known is None else known):
            return Where(code, frame.f_lasti)
        frame = frame.f_back
    return NOWHERE


def raised_at(error: BaseException, base: FrameType | None) -> Where:
    """The innermost frame of the user's code above `base` that an error came through."""
    found, step, inside = NOWHERE, error.__traceback__, False
    while step is not None:
        if inside and not _ours(step.tb_frame.f_code):
            found = Where(step.tb_frame.f_code, step.tb_lasti)
        inside = inside or step.tb_frame is base
        step = step.tb_next
    return found


def catching(base: FrameType | None, raised: type[Exception]) -> Where:
    """Where the user's code above `base` stands in a ``try`` that catches what torch raises."""
    frame: FrameType | None = sys._getframe(3)
    while frame is not None and frame is not base:
        if not _ours(frame.f_code) and _is_caught(frame, raised):
            return Where(frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return NOWHERE


def _is_caught(frame: FrameType, raised: type[Exception]) -> bool:
    """Whether a handler around the running instruction catches it."""
    code = frame.f_code
    if not code.co_exceptiontable:
        return False
    return any(_catches(names, frame, raised) for names in _around(code, frame.f_lasti))


@functools.lru_cache(maxsize=1024)
def _around(code: CodeType, at: int) -> tuple[tuple[str, ...], ...]:
    """The names of the handlers around an instruction, from the innermost outwards."""
    around: list[tuple[str, ...]] = []
    left = list(_handlers(code))
    while found := next((h for h in left if h.start <= at < h.stop), None):
        around += [found.names] if found.names else []
        left.remove(found)
        at = found.target  # what it does not catch it raises again
    return tuple(around)


def has_handlers(code: CodeType) -> bool:
    """Whether code, or what is defined in it, has an ``except``."""
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    own = code.co_exceptiontable and any(handler.names for handler in _handlers(code))
    return bool(own) or any(map(has_handlers, inner))


class _Handler(NamedTuple):
    """From which to which instruction errors go to another one, and the names caught there."""

    start: int
    stop: int
    target: int
    names: tuple[str, ...]


@functools.lru_cache(maxsize=1024)
def _handlers(code: CodeType) -> tuple[_Handler, ...]:
    """The handlers of code: python's table names the innermost one of every instruction."""
    found = [i for i in dis.get_instructions(code) if i.opname not in ("EXTENDED_ARG", "NOP")]
    entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
    return tuple(
        _Handler(e.start, e.end, e.target, _caught(found, e.target) or _suppressed(found, e.start))
        for e in entries
    )


def _caught(found: Sequence[dis.Instruction], target: int) -> tuple[str, ...]:
    """The names of all ``except`` clauses from an instruction on; none of ``with``, ``finally``."""
    names: list[str] = []
    k = bisect_left(found, target, key=lambda one: one.offset)
    if found[k].opname != "PUSH_EXC_INFO":
        return ()
    k += 1
    while found[k].opname != "POP_TOP":  # which is ``except:``
        clause: list[str] = []
        while found[k].opname.startswith(("LOAD_", "BUILD_")):
            clause += [str(found[k].argval)] if found[k].opname.startswith("LOAD_") else []
            k += 1
        if found[k].opname != "CHECK_EXC_MATCH":
            return tuple(names)
        names += clause
        k = bisect_left(found, found[k + 1].argval, key=lambda one: one.offset)
    return (*names, "BaseException")


def _suppressed(found: Sequence[dis.Instruction], start: int) -> tuple[str, ...]:
    """The names in ``with suppress(...)``, whose block starts there; none of any other block."""
    k = bisect_left(found, start, key=lambda one: one.offset) - 1
    if k >= 5 and found[k - 1].opname == "LOAD_SPECIAL":  # python 3.14 calls ``__enter__``
        k -= 5
    elif found[k].opname != "BEFORE_WITH":
        return ()
    names: list[str] = []
    k -= 1
    while found[k].opname.startswith(("LOAD_", "BUILD_", "PRECALL", "CALL", "PUSH_NULL")):
        names.append(str(found[k].argval))
        k -= 1
    return tuple(names) if "suppress" in names else ()


def _catches(names: tuple[str, ...], frame: FrameType, raised: type[Exception]) -> bool:
    """Whether one of the names is of a class of errors that the one raised is of."""
    spaces = frame.f_locals, frame.f_globals, vars(builtins)
    found = [next((s[n] for s in spaces if n in s), None) for n in names]
    return any(isinstance(kind, type) and issubclass(raised, kind) for kind in found)


def _ours(code: CodeType) -> bool:
    ours = _OURS.get(code.co_filename)
    if ours is None:
        theirs = (*homes(), "<frozen")
        ours = code.co_filename.startswith(theirs) or code.co_filename in _MACHINERY
        _OURS[code.co_filename] = ours
    return ours


#: Where python calls functions for others.
_MACHINERY = (contextlib.__file__, functools.__file__)


def homes() -> tuple[str, ...]:
    """Where files of symcnn are, and of torch and numpy if they are loaded. They end in a
    separator: torchvision, which lies beside torch, is none of torch's.
    """
    modules = (getattr(sys.modules.get(name), "__file__", None) for name in ("torch", "numpy"))
    return (_SYMCNN, *(join(dirname(module), "") for module in modules if module))


#: No place in the user's code.
NOWHERE = Where(None)
