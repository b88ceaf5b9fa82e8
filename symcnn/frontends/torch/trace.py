"""The torch front end: runs a module's own forward on tensors that have a shape and no values.

There is no graph capture, and nothing of torch is changed but ``Module.__call__``, for the time of
the trace, to learn which module is running.
"""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from symcnn.errors import BadSpec, DataDependent, SymcnnError, UnsupportedOperation
from symcnn.frontends.torch.branches import Asked, Choice, Differs, Same, without_idle_guards
from symcnn.frontends.torch.builtins import replaced_names
from symcnn.frontends.torch.observe import observed
from symcnn.frontends.torch.tracer import Tracer
from symcnn.network import Network
from symcnn.trace.graph import SymbolicTensor, Tape, tensor, uncollected

__all__ = ["trace"]

#: How many branches that end in an exception are backed out of before giving up.
_ATTEMPTS = 32


def trace(
    module: Any,
    specs: Sequence[str],
    named: Mapping[str, str],
    example: Mapping[str, int] | None = None,
) -> Network:
    """See `symcnn.from_torch`."""
    if not isinstance(module, torch.nn.Module):
        raise BadSpec(f"{module!r} is not a torch.nn.Module", cure="give an instance of one")
    if not specs and not named:
        raise BadSpec("no shape spec", cure='give one per input, for example "N 3 H W"')
    wanted = {str(name): int(size) for name, size in (example or {}).items()}
    forced: list[Choice] = []
    first: SymcnnError | None = None
    for _ in range(_ATTEMPTS):
        try:
            with uncollected():
                tracer = Tracer(module, Tape(), wanted, forced)
                given = tuple(map(tensor, specs)), {n: tensor(s, n) for n, s in named.items()}
                inputs = *given[0], *given[1].values()
                outputs = _run(module, *given, tracer)
                _drop_idle_guards(tracer, inputs, outputs, partial(_run, module, *given))
                return Network(
                    inputs,
                    outputs,
                    tape=tracer.tape,
                    parameters=tracer.parameters,
                    buffers=tracer.buffer_leaves,
                )
        except (UnsupportedOperation, DataDependent):
            raise
        except SymcnnError as error:
            # An input for which the model raises is not valid: take the other branch instead.
            first = first or error
            last = next(
                (i for i, c in reversed([*enumerate(tracer.choices)]) if not c.otherwise), None
            )
            if last is None:
                break
            forced = [
                *tracer.choices[:last],
                Choice(not tracer.choices[last].taken, error.cause),
            ]
    assert first is not None
    raise first


def _drop_idle_guards(
    tracer: Tracer,
    inputs: Sequence[SymbolicTensor],
    outputs: Any,
    run: Callable[[Tracer], Any],
) -> None:
    """Leave only the guards that make a difference: see `symcnn.frontends.torch.branches`."""

    def rerun(choices: Sequence[Choice]) -> Asked | None:
        same = Same(tracer.tape, Tape(), inputs)
        again = tracer.again(choices, same)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = run(again)
            same.whole(outputs, other)
        except (Differs, SymcnnError):
            return None
        return same.now.guards, again.choices

    tape = tracer.tape
    tape.guards = without_idle_guards(tape.guards, tracer.choices, rerun)


def _run(
    module: torch.nn.Module,
    inputs: Sequence[SymbolicTensor],
    keywords: Mapping[str, SymbolicTensor],
    tracer: Tracer,
) -> Any:
    """One run of the forward: its outputs."""
    tape = tracer.tape
    names = replaced_names(tracer.modules)
    with tape.running(), observed(module, tracer), names, tracer:
        try:
            raw = module(*tracer.wrap(inputs), **tracer.wrap(keywords))
        except SymcnnError:
            raise
        except Exception as error:
            raise _forward_failed(module, len(inputs) + len(keywords), error, tracer) from error
    for scope in tape.calls:
        scope.output = tracer.result(scope.output)
    return tracer.result(raw)


def _forward_failed(module: Any, given: int, error: Exception, tracer: Tracer) -> SymcnnError:
    where = "".join(tracer.place()) or type(module).__name__
    if isinstance(error, TypeError) and " argument" in str(error):
        return BadSpec(f"{error} (with {given} input spec(s))", cure="give one spec per input")
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    file, number = (frame.tb_frame.f_code.co_filename, frame.tb_lineno) if frame else ("", 0)
    said = str(error) or linecache.getline(file, number).strip()  # an assertion says nothing itself
    line = f", at {file}:{number}" if frame else ""
    return SymcnnError(f"the forward of {where} raised {type(error).__name__}: {said}{line}")
