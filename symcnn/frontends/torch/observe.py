"""A module while it runs: which of its modules is running; module and process left as they were.

What runs is a copy (`symcnn.frontends.torch.copies`). Only the copies tell of their calls: nothing
of torch's is changed, and real forwards of the same module notice nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.nn import Module

from symcnn.errors import SymcnnError
from symcnn.frontends.torch.arguments import Parts
from symcnn.frontends.torch.builtins import Replaced, replaced_names
from symcnn.frontends.torch.copies import Copies, release
from symcnn.frontends.torch.generators import GENERATORS
from symcnn.frontends.torch.layers import Layers
from symcnn.frontends.torch.lazy import is_lazy
from symcnn.frontends.torch.reached import emptied, learned
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.tracer import Tracer
from symcnn.frontends.torch.writes import AUTOGRAD, saving
from symcnn.ops.operation import TARGETS
from symcnn.trace.graph import tree_map


class Stage(NamedTuple):
    """Where the runs of a module happen: names are replaced, what is shared is remembered."""

    parts: Parts
    tries: bool  # whether code that runs may catch what an operation refuses
    shared: Any  # of one run for the next
    reached: list[Replaced]  # code that runs with other names


@contextmanager
def set_stage(module: Module) -> Iterator[Stage]:
    """The stage for runs of a module."""
    parts, shared = Parts.of(module), set[Any]()
    with replaced_names(parts.modules, learned(type(module))) as reached:
        try:
            yield Stage(parts, any(found.tries for found in reached), shared, reached)
        finally:
            release(shared)


@contextmanager
def observed(module: torch.nn.Module, tracer: Tracer, stage: Stage) -> Iterator[torch.nn.Module]:
    """A copy of the module whose calls are reported to the tape."""
    tape, layers, complaint = tracer.tape, Layers(tracer), tracer.complaint
    paths = tape.paths = {id(m): path for path, m in tracer.modules}

    def _run(original: Module, copy: Any, holder: Module, args: Any, kwargs: Any) -> object:
        if type(holder) in TARGETS:
            return tracer.run_module(copy, *args, **kwargs)
        if is_lazy(holder):
            return tracer.run_lazy(original, *args, **kwargs)
        return copy._call_impl(*args, **kwargs)

    def call(
        original: Module, copy: Module, holder: Module, *args: object, **kwargs: object
    ) -> object:
        path = paths.get(id(original))
        if not path:
            return _run(original, copy, holder, args, kwargs)
        tape.enter(path)
        output: Any = None
        try:
            if len(args) == 1 and type(args[0]) is TracedTensor and not kwargs:
                memory = layers.memory(type(holder))
                if memory is not None:
                    output = layers.run(memory, copy, holder, args[0])
                    return output
            output = _run(original, copy, holder, args, kwargs)
            return output
        except (ValueError, RuntimeError) as error:
            if not isinstance(error, SymcnnError):
                complaint.of(original, error, lambda: tracer.result(args))
            raise
        finally:
            whole = type(output) is TracedTensor
            tape.leave(output._value if whole else tree_map(tracer.unheld, output))

    copies, tape.tries = Copies(call, stage.shared), stage.tries
    with _process():
        try:
            with emptied(place for found in stage.reached for place in found.filled):
                yield copies.of(module, [*tracer.weights, *tracer.buffers.values()])
        finally:
            copies.close()


@contextmanager
def modes(tracer: Tracer) -> Iterator[None]:
    """The two modes of a run. Whatever else is in force at its end, where Ctrl-C came while another
    began or ended, goes.
    """
    with tracer.writes, tracer:
        stacks = [(stack, stack.modes()) for stack in _STACKS]
        try:
            yield
        finally:
            for stack, before in stacks:
                if stack.modes() != before:
                    stack.put(before)


class _Stack(NamedTuple):
    """The modes of torch in force, of functions or of operators."""

    count: Callable[[], int]
    at: Callable[[int], object]
    push: Callable[[object], object]
    pop: Callable[[], object]

    def modes(self) -> list[object]:
        return [self.at(i) for i in range(self.count())]

    def put(self, modes: Sequence[object]) -> None:
        while self.count():
            self.pop()
        for mode in modes:
            self.push(mode)


_STACKS = tuple(
    _Stack(
        getattr(torch._C, f"_len_torch_{kind}_stack"),
        getattr(torch._C, f"_get_{kind}_stack_at"),
        getattr(torch._C, f"_push_on_torch_{kind}_stack"),
        getattr(torch._C, f"_pop_torch_{kind}_stack"),
    )
    for kind in ("function", "dispatch")
)


@contextmanager
def _process() -> Iterator[None]:
    """What belongs to the process, or to the thread, as it was before."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    filters: Any = warnings.filters
    before, drawn = filters[:], [generator.draws() for generator in GENERATORS]
    try:
        yield
    finally:
        if torch.is_grad_enabled() != grad:
            torch.set_grad_enabled(grad)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if warnings.filters is not filters or filters != before:
            filters[:] = before
            warnings.filters = filters
            warnings.simplefilter("default", append=True)  # so that python looks again
            filters[:] = before
        if saving(True) == AUTOGRAD:  # where Ctrl-C came while they began or ended
            torch._C._autograd._pop_saved_tensors_default_hooks()
        for generator, draws in zip(GENERATORS, drawn, strict=True):
            generator.back(draws)
