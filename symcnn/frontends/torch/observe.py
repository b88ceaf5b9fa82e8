"""Modules while they run: which is running, and left as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any

import torch

from symcnn.frontends.torch.lazy import is_lazy
from symcnn.frontends.torch.tracer import Tracer
from symcnn.ops.registry import TARGETS

__all__ = ["observed"]


@contextmanager
def observed(module: torch.nn.Module, tracer: Tracer) -> Iterator[None]:
    """Module calls reported to the tape; whatever the forward sets on modules is undone."""
    tape = tracer.tape
    tape.paths = {id(m): path for path, m in tracer.modules}
    places = _containers(tracer.modules)
    before = [(place, place.copy()) for place in places if place]
    empty = [place for place in places if not place]
    original = torch.nn.Module.__call__

    def call(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = tape.paths.get(id(self))
        forward: Any = tracer.run_lazy if is_lazy(self) else original
        if type(self) in TARGETS:
            forward = tracer.run_module
        if not path:
            return forward(self, *args, **kwargs)
        tape.enter(path)
        output = None
        try:
            output = forward(self, *args, **kwargs)
            return output
        finally:
            tape.leave(output)

    torch.nn.Module.__call__ = call
    try:
        yield
    finally:
        torch.nn.Module.__call__ = original
        for place in empty if any(empty) else ():
            place.clear()
        for place, copy in before:
            if not _same_items(place, copy):
                place.clear()
                (place.extend if isinstance(place, list) else place.update)(copy)


class _Containers(dict[type, bool]):
    """Which types hold other objects."""

    def __missing__(self, kind: type) -> bool:
        found = self[kind] = issubclass(kind, (dict, list, set))
        return found


def _containers(modules: Iterable[tuple[str, Any]]) -> list[Any]:
    """All that a forward can write to: attributes, buffers, hooks, caches. All or nothing: models
    install hooks and remember it in an attribute.
    """
    holds = _Containers()
    attributes = [module.__dict__ for _, module in modules]
    inner = [v for place in attributes for v in place.values() if holds[type(v)]]
    return attributes + inner


def _same_items(place: Any, copy: Any) -> bool:
    """Whether the very same objects stand there, in the same order."""
    if len(place) != len(copy) or not all(map(is_, place, copy)):
        return False
    return not isinstance(place, dict) or all(map(is_, place.values(), copy.values()))
