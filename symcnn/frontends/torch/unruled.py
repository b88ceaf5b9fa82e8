"""Work on tensors with values that no rule describes: torch does it once more, and is counted.

Its sizes are numbers, so what it costs is one too: FLOPs as `torch.utils.flop_counter` sees them,
and the storages that autograd keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from symcnn.frontends.torch.arguments import NAMES, flat
from symcnn.ops.operation import Operation, unsaid
from symcnn.ops.storage.memory import Memory
from symcnn.trace.graph import Node, Result


@dataclass(frozen=True)
class Work:
    """What one call makes and keeps: a rule of no sizes but these, and a law of memory."""

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    single: bool
    macs: int
    inputs: tuple[int, ...]  # which tensors it keeps, of those that it is called with
    outputs: tuple[int, ...]  # and of those that it makes
    extra: tuple[int, ...]  # bytes of what it keeps beside them

    def __call__(self, *args: object, **kwargs: object) -> Result:
        return Result(self.shapes, macs=self.macs, single=self.single)

    def made(self, node: Node, default: str) -> Sequence[str]:
        """The dtypes of what it makes."""
        return self.dtypes

    def keep(self, m: Memory, node: Node) -> None:
        """New outputs; what autograd keeps."""
        for i, t in enumerate(node.outputs):
            m.place(m.fresh(t.dims), i)
        m.save(*(node.inputs[i] for i in self.inputs), *(node.outputs[i] for i in self.outputs))
        for count in self.extra:
            m.extra(count, 1)

    def operation(self, name: str) -> Operation:
        """The record of this call."""
        return Operation(
            name,
            self,
            products=unsaid if self.macs else None,
            saves=self.keep,
            dtype=self.made,
        )


def work_of(run: Callable[[], object], inputs: Sequence[torch.Tensor]) -> Work | None:
    """What a call does, done again; None where it makes no new tensor, or does not run again."""
    kept: list[torch.Tensor] = []

    def pack(t: torch.Tensor) -> torch.Tensor:
        kept.append(t)
        return t

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
    try:
        with torch.enable_grad(), hooks, FlopCounterMode(display=False) as counter:
            result = run()
    except Exception:
        return None
    made = flat(result)
    given, new = _places(inputs), _places(made)
    if not made or new.keys() & given.keys():
        return None
    stored = {_storage(t): t.untyped_storage().nbytes() for t in kept}
    return Work(
        tuple(tuple(t.shape) for t in made),
        tuple(NAMES[t.dtype] for t in made),
        isinstance(result, torch.Tensor),
        counter.get_total_flops() // 2,
        tuple(given[s] for s in stored if s in given),
        tuple(new[s] for s in stored if s in new),
        tuple(n for s, n in stored.items() if s not in given and s not in new),
    )


def _places(tensors: Iterable[torch.Tensor]) -> dict[int, int]:
    return {_storage(t): i for i, t in enumerate(tensors)}


def _storage(t: torch.Tensor) -> int:
    place: int = t.untyped_storage()._cdata
    return place
