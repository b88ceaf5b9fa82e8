"""Where in the user's code something happens: the frame below all of torch's and our own."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import lru_cache
from inspect import CO_VARARGS, unwrap
from os.path import dirname
from types import CodeType, FrameType, FunctionType
from typing import Literal, Union

import torch
import torch.utils.checkpoint
from torch.autograd.function import FunctionCtx

from symcnn.errors import SymcnnError, UnsupportedOperation
from symcnn.trace.where import homes

#: Where files of ours, torch's and numpy's are.
OWN_FILES = homes()

_SYMCNN, _TORCH = OWN_FILES[:2]


def caller() -> str:
    """file:line of the user code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OWN_FILES):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def calling() -> CodeType:
    """The user code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OWN_FILES):
        frame = frame.f_back
    return frame.f_code


#: Of a function; None: its forward does not get it; False: of a checkpoint, which has none.
Context = Union[FunctionCtx, Literal[False], None]


@lru_cache(maxsize=4096)
def is_left_alone(file: str) -> bool:
    """Whether it is python's, torch's or our own, whose code runs as it is."""
    if file.startswith((_TORCH, _SYMCNN, "<frozen")):
        return True
    return file.startswith(_LIBRARY) and "-packages" not in file


_LIBRARY = sysconfig.get_paths()["stdlib"]

#: `torch.utils.checkpoint.checkpoint` without reentry: hooks drop what is saved in it.
_CHECKPOINT = vars(torch.utils.checkpoint)["checkpoint"].__wrapped__.__code__


def custom_function() -> tuple[str, tuple[object, ...], Context] | None:
    """What of the frames that run has a backward pass of its own, the outermost: its name, what it
    was called with, and its context; None if nothing has.

    Whether torch calls a forward from python or from C++ (from torch 2.12 on), the forward has a
    frame, and what it was called with stands there until its first operation.
    """
    found = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _CHECKPOINT:
            if not frame.f_locals["use_reentrant"]:
                found = "checkpoint", tuple(frame.f_locals["args"]), _NO_CONTEXT
        elif is_forward(frame.f_code):
            found = _called(frame) or found
        frame = frame.f_back
    return found


_NO_CONTEXT: Context = False


@lru_cache(maxsize=4096)
def is_forward(code: CodeType) -> bool:
    """Whether it is the code of a forward, or a decorator's, of a torch.autograd.Function."""
    return any(code in (f.__code__, unwrap(f).__code__) for f in map(_forward, _functions()))


def _called(frame: FrameType) -> tuple[str, tuple[object, ...], Context] | None:
    """The name, arguments and context of a forward that runs; None of one called by hand."""
    code, local = frame.f_code, frame.f_locals
    names = code.co_varnames
    given = [local.get(name) for name in names[: code.co_argcount]]
    if code.co_flags & CO_VARARGS:  # a decorated forward: (*args)
        given += local.get(names[code.co_argcount + code.co_kwonlyargcount]) or ()
    if given and isinstance(context := given[0], FunctionCtx):
        return type(context)._forward_cls.__name__, tuple(given[1:]), context  # type: ignore[attr-defined]
    for function in _functions():
        if unwrap(_forward(function)).__code__ is code and function.setup_context is not _SETUP:
            return function.__name__, tuple(given), None
    return None


_SETUP = torch.autograd.Function.setup_context


def _forward(function: type[torch.autograd.Function]) -> FunctionType:
    forward: FunctionType = function.forward
    return forward


def _functions() -> Iterator[type[torch.autograd.Function]]:
    """All classes whose forward is plain python."""
    left = [torch.autograd.Function]
    while left:
        function = left.pop()
        left += function.__subclasses__()
        if isinstance(function.forward, FunctionType):
            yield function


def frames(error: BaseException) -> list[FrameType]:
    """Where an error was raised, from the outermost call on."""
    found, frame = [], error.__traceback__
    while frame is not None:
        found.append(frame.tb_frame)
        frame = frame.tb_next
    return found


def without_rule(place: str, op: str, function: object) -> UnsupportedOperation:
    """The error for an operation without a rule, or a module without python."""
    place = place or "the network's own forward"
    if name := transform(stack()):
        return transformed(place, name, f", at {caller()}")
    if isinstance(function, torch.ScriptMethod):
        said = f"{place} is scripted or traced: it has no python forward to run"
        cure = "put the module that it was made of in its place"
        return UnsupportedOperation(f"{said}, at {caller()}", cure=cure)
    said, target = f"torch's {op}", f'"{op}"'
    packet = getattr(function, "overloadpacket", function)
    if isinstance(packet, torch._ops.OpOverloadPacket):
        said, target = packet._qualified_op_name, f"torch.ops.{packet}"
    cure = f"write one with @symcnn.rule({target}); see CONTRIBUTING"
    return UnsupportedOperation(f"{place}: {said} has no rule, at {caller()}", cure=cure)


def misfit(
    error: AttributeError | TypeError, place: str, op: str, arguments: Iterable[object]
) -> Exception | None:
    """What a rule that raised says of its arguments: one is no tensor, or they are not those that
    the rule has; None if the error is of something else.
    """
    if isinstance(error, TypeError):
        if "argument" not in str(error):
            return None
        return UnsupportedOperation(
            f"{place}: {op} called in a way that its rule does not cover: {error}"
        )
    if not any(error.obj is value for value in arguments):
        return None
    return TypeError(f"{op}() takes a tensor, not {type(error.obj).__name__}")


def at_place(error: SymcnnError, place: str, op: str) -> SymcnnError:
    """The error with the module path in front, if it does not stand there yet."""
    if place and not error.cause.startswith(place):
        error.cause = f"{place}: {'' if op in error.cause else op + ': '}{error.cause}"
    return error


def transformed(place: str, transform: str, at: str) -> UnsupportedOperation:
    """The refusal of one."""
    return UnsupportedOperation(
        f"{place}: torch.func.{transform} runs a function on tensors of torch's own{at}",
        cure="call the function without it, with the axis written out",
    )


def transform(found: Iterable[FrameType]) -> str:
    """The transform of functions of torch in which frames run, the outermost first: vmap, grad; ""
    for none.
    """
    for frame in found:
        file = frame.f_code.co_filename
        if dirname(file).endswith("torch/_functorch") and not file.endswith("functional_call.py"):
            return frame.f_code.co_qualname.partition(".")[0]
    return ""


def stack() -> list[FrameType]:
    """The frames that run, from the outermost call on."""
    found: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found[::-1]
