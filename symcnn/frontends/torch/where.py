"""Where in the user's code something happens: the frame below all of torch's and our own."""

from __future__ import annotations

import sys
import sysconfig
from functools import lru_cache
from os.path import dirname
from types import FrameType
from typing import Literal, Union

import torch
import torch.utils.checkpoint
from torch.autograd.function import FunctionCtx

import symcnn.ops
import symcnn.trace

_OWN_FILES = (
    dirname(dirname(__file__)),
    symcnn.ops.__path__[0],
    symcnn.trace.__path__[0],
    torch.__path__[0],
)


def caller() -> str:
    """file:line of the user code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN_FILES):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


#: Of a function; None: its forward does not get it; False: of a checkpoint, which has none.
Context = Union[FunctionCtx, Literal[False], None]


@lru_cache(maxsize=4096)
def is_left_alone(file: str) -> bool:
    """Whether it is python's, torch's or our own, whose code runs as it is."""
    if file.startswith((torch.__path__[0], _SYMCNN, "<frozen")):
        return True
    return file.startswith(_LIBRARY) and "-packages" not in file


_SYMCNN = dirname(symcnn.ops.__path__[0])
_LIBRARY = sysconfig.get_paths()["stdlib"]
_APPLY = vars(torch.autograd.Function)["apply"].__func__.__code__


#: `torch.utils.checkpoint.checkpoint` without reentry: hooks drop what is saved in it.
_CHECKPOINT = vars(torch.utils.checkpoint)["checkpoint"].__wrapped__.__code__


def custom_function() -> tuple[str, tuple[object, ...], Context] | None:
    """What of the frames that run has a backward pass of its own, the outermost: its name, what it
    was called with, and its context; None if nothing has.
    """
    found, inner = None, None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in (_APPLY, _CHECKPOINT) and inner is not None:
            local, applied = frame.f_locals, frame.f_code is _APPLY
            if applied or not local["use_reentrant"]:
                name = local["cls"].__name__ if applied else "checkpoint"
                context: Context = _first_argument(inner) if applied else False
                found = str(name), tuple(local["args"]), context
        inner, frame = frame, frame.f_back
    return found


def _first_argument(frame: FrameType) -> FunctionCtx | None:
    """The context, which torch gives to a forward as the first argument."""
    code, local = frame.f_code, frame.f_locals
    if code.co_argcount:
        first = local.get(code.co_varnames[0])
    else:  # a decorated forward: (*args)
        first = next(iter(local.get(code.co_varnames[code.co_kwonlyargcount]) or ()), None)
    return first if isinstance(first, FunctionCtx) else None
