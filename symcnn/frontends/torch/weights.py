"""Work on tensors with values that a forward does for every input: a weight made anew, a bias of
positions. *What is learned, or computed from what is, is work*; so is every product.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch

from symcnn.errors import SymcnnError
from symcnn.frontends.torch.aliases import base_of
from symcnn.frontends.torch.arguments import flat
from symcnn.frontends.torch.operations import Served, full_name, is_product
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.unruled import work_of
from symcnn.frontends.torch.writes import Writes, is_plain
from symcnn.trace.graph import OPS, SymbolicTensor
from symcnn.trace.tape import Tape

#: ``weight.data = values``.
SET_DATA = vars(torch._C.TensorBase)["data"].__set__


class Weights:
    """The part of a trace that works on parameters."""

    tape: Tape
    leaves: dict[int, SymbolicTensor]
    operations: Mapping[object, Served]
    held: dict[int, weakref.ref[torch.Tensor]]  # by the ids in `leaves`
    given: dict[int, SymbolicTensor]  # the data of weights that the forward gives them
    left: Exception | None
    dispatch: Any
    apply: Any
    _of_values: Any
    writes: Writes
    leaf: Callable[[torch.Tensor], SymbolicTensor]
    wrap: Callable[[Any], Any]
    _into: Callable[[Any, Any], Any]

    def _learned(self, *values: Any) -> bool:
        """Whether a tensor in nested arguments is a parameter, or computed from parameters."""
        for value in values:
            if isinstance(value, torch.Tensor):
                leaf = self.leaves.get(id(value))
                if value.requires_grad if leaf is None else leaf.trainable or leaf.node is not None:
                    return True
            elif isinstance(value, dict):
                if self._learned(*value.values()):
                    return True
            elif isinstance(value, (tuple, list)) and self._learned(*value):
                return True
        return False

    def _note_real(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Record what was done to tensors with values, where it is work."""
        if result is None and func == SET_DATA:
            self.give(args[0], self.leaves.get(id(args[1])))
        served = self.operations.get(func) or full_name(func)
        writes = served is not None and served.writes and id(result) in self.held
        if args and result is args[0] and not writes:
            return  # there was nothing to do, or it is written to what no node made
        if served is not None and (is_product(served.rule) or self._learned(args, kwargs)):
            self._record_real(served.rule, func, args, kwargs, result)
        elif getattr(func, "__name__", "") == "__get__":
            self._record_attribute(func.__self__.__name__, args[0], result)
        elif served is None and flat(result) and self._learned(args, kwargs):
            self._record_unruled(func, args, kwargs, result)

    def _record_real(self, name: str, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Work on tensors with values, done for every input: a position bias, a weight made anew.

        What has no rule here is computed all the same.
        """
        mark, left = len(self.tape.nodes), self.left
        try:
            traced = self.dispatch(func, args, kwargs)
        except SymcnnError:
            if is_product(name):
                raise
            self.left = left
            self._record_unruled(func, args, kwargs, result)
            return
        ours: list[Any] = flat(traced)
        theirs = flat(result)
        shapes = [tuple(t.shape) for t in theirs]
        if [t._value.dims for t in ours if type(t) is TracedTensor] != shapes:
            del self.tape.nodes[mark:]
            return
        self._name_real(ours, theirs)

    def _record_attribute(self, name: str, whole: torch.Tensor, found: object) -> None:
        """A view of what is learned that is an attribute of it: `w.T`, the real part."""
        if type(found) is torch.Tensor and self._learned(whole):
            traced = self.wrap(self.leaf(whole))
            view = getattr(traced, name)
            if type(view) is TracedTensor and view is not traced:
                self._name_real([view], [found])

    def set_data(self, target: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``weight.data = values``: other values, and the same tensor to whoever learns."""
        given = values if type(values) is TracedTensor else self.wrap(self.leaf(values))
        made = cast("TracedTensor", given.detach())
        if type(target) is TracedTensor:
            made = cast("TracedTensor", self.apply(OPS["set_data"], "set_data", (target, made), {}))
            node = made._value.node
            assert node is not None
            node.mode = node.mode._replace(inplace=True, grad=False)  # its gradient is what it was
        else:
            self.give(target, made._value)
        made.requires_grad = target.requires_grad
        found: torch.Tensor = self._into(target, made)
        return found

    def give(self, weight: torch.Tensor, values: SymbolicTensor | None) -> None:
        """A weight holds its data until it is given others."""
        before = self.given.pop(id(weight), None)
        if before is not None:
            self.tape.release(before)
        if values is not None:
            self.given[id(weight)] = values

    def _name_real(self, made: Sequence[TracedTensor], real: Sequence[torch.Tensor]) -> None:
        """Tensors with values that are what nodes make."""
        for traced, t in zip(made, real, strict=True):
            self.hold(t, traced._value)

    def hold(self, real: torch.Tensor, symbolic: SymbolicTensor) -> None:
        """A tensor with values stands for a symbolic one as long as python holds the tensor."""
        key = id(real)
        self.leaves[key] = symbolic
        self.held[key] = weakref.ref(real, partial(self._forget, key))

    def release(self) -> None:
        """The forward is over: what python holds by now, python holds until then."""
        for value in (*map(self.leaves.__getitem__, self.held), *self.given.values()):
            self.tape.release(value)
        self.tape.open = False

    def unheld(self, value: object) -> object:
        """What a tensor stands for, in its place: how long the tensor lives, the tape notes."""
        if type(value) is TracedTensor:
            return value._value
        if not is_plain(value) or self.writes.parts or base_of(value) is not None:
            return value
        return self.leaf(cast("torch.Tensor", value))

    def _forget(self, key: int, _: object) -> None:
        """A tensor with values is gone: another one may get its id."""
        del self.held[key]
        self.tape.release(self.leaves.pop(key))

    def _record_unruled(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Work on parameters that no rule describes: torch is counted."""
        name = func.__name__
        if name.endswith("_") or kwargs.get("out") is not None:
            return
        given = flat([*args, *kwargs.values()])
        work = work_of(lambda: self._of_values(func, args, kwargs), given)
        if work is not None:
            made: list[Any] = flat(self.apply(work.operation(name), name, args, kwargs))
            self._name_real(made, flat(result))
