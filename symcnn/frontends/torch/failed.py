"""Why a run of a forward ends without a network, in words that name the line of the model."""

from __future__ import annotations

import linecache

import torch

from symcnn.errors import BadSpec, SymcnnError, Undecidable
from symcnn.frontends.torch.tracer import Tracer
from symcnn.frontends.torch.where import OWN_FILES, frames, is_left_alone, transform, transformed
from symcnn.sets.isl import NODE
from symcnn.trace.tape import Endless, Tape
from symcnn.trace.where import raised_at


def no_result(module: torch.nn.Module, returned: object) -> BadSpec:
    """Why a forward that ends has no shape."""
    said = "nothing" if returned is None else f"a {type(returned).__name__} that has not run"
    return BadSpec(
        f"the forward of {type(module).__name__} returns {said}",
        cure="return the tensors whose shapes you ask for",
    )


def too_long(module: torch.nn.Module, tape: Tape, error: Endless) -> Undecidable:
    """Why a run ends where the forward goes on, and what to do."""
    where = raised_at(error, tape.base)
    return Undecidable(
        f"the forward of {type(module).__name__} {error}"
        + (f", the last at {where}" if where else ""),
        cure=f"if its loops end, allow more steps: with symcnn.steps({10 * NODE * tape.most}): ...",
    )


def line_of(error: BaseException) -> str:
    """file:line of the model that an error came through, python's and numpy's code left out."""
    found = ""
    for raised in (error, error.__cause__):  # from the outermost frame to the innermost
        step = None if raised is None else raised.__traceback__
        while step is not None:
            file = step.tb_frame.f_code.co_filename
            left = is_left_alone(file) or file.startswith(OWN_FILES)
            found = found if left else f"{file}:{step.tb_lineno}"
            step = step.tb_next
    return found


def forward_failed(
    module: torch.nn.Module, given: int, error: Exception, tracer: Tracer
) -> SymcnnError:
    """What the forward raises at sizes that are left; `given` is the number of its inputs."""
    if error is tracer.complaint.raised and tracer.complaint.told is not None:
        return tracer.complaint.told
    where = "".join(tracer.place()) or type(module).__name__
    binding = isinstance(error, TypeError) and " argument" in str(error)
    user = raised_at(error, tracer.tape.base)
    if name := transform(frames(error)):
        at = f", at {user.path}:{user.line}" if user else ""
        return transformed(where, name, at)
    if binding and not user:  # the forward was not entered
        return BadSpec(f"{error} (with {given} input spec(s))", cure="give one spec per input")
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    file, number = (frame.tb_frame.f_code.co_filename, frame.tb_lineno) if frame else ("", 0)
    file, number = (user.path, user.line) if user else (file, number)
    said = str(error) or linecache.getline(file, number).strip()  # an assertion says nothing itself
    line = f", at {file}:{number}" if frame else ""
    return SymcnnError(f"the forward of {where} raised {type(error).__name__}: {said}{line}")
