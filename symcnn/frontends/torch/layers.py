"""A layer of torch's own that is called again like one before: its node is made without running it.

The law: *a layer is a function of its settings and of the shapes of its parameters and its input*,
if its class is torch's, nobody hooked it, and its forward asks torch for one function and the trace
for nothing else. So a layer is watched the first time; an equal one on an equal input gives an
equal node, with its own parameters in the place of the other's. Networks repeat themselves: of
ResNet-50's 159 layers 43 are different.

That a rule asks for nothing else is not taken on trust: it is asked once more, about tensors that
have a shape and a dtype and raise at every other question, such as where they come from.

Settings are compared as bytes, so that ``True`` is not ``1``; what has no bytes, such as a method
put on an instance, is run. So is a layer of a derived class, one in training mode that counts its
batches, one whose rule asks which sizes are left, and every layer under autocast or under a mode of
the model's own.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from operator import is_
from typing import Any

import torch
from torch.nn.modules import module as _module
from torch.nn.modules.lazy import LazyModuleMixin

from symcnn.errors import SymcnnError
from symcnn.frontends.torch.copies import CALL, FIRST
from symcnn.frontends.torch.layout import asks
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.tracer import Tracer
from symcnn.frontends.torch.writes import TENSORS
from symcnn.ops.operation import TARGETS, Operation
from symcnn.ops.storage.pointwise import may_share
from symcnn.trace.call import Call
from symcnn.trace.graph import OPS, Node, Result, SymbolicTensor
from symcnn.trace.tape import Tape, current_tape, record
from symcnn.trace.where import catching

#: The functions that torch's layers call.
_FUNCTIONS = vars(torch.nn.functional)

_count_modes, _is_autocast = torch._C._len_torch_function_stack, torch.is_autocast_enabled

#: In the bytes of settings behind the first, those that others may change while a layer sleeps.
_LIST = marshal.dumps([])[:1]

#: So many of our frames stand above the one that calls a layer, where a known one makes its node:
#: those from `here` to the call that a copy reports.
_INSIDE = 6

#: So many layers of one class are remembered.
_MANY = 1024


#: The input of a layer, its parameters and buffers.
Tensors = Sequence[SymbolicTensor | None]


@dataclass(frozen=True, slots=True)
class _Twin:
    """What a layer did: a node, but for its tensors, which are counted from the input on."""

    function: Any  # of torch
    name: str  # of the rule that serves it
    operation: Operation
    inputs: tuple[int, ...]
    args: tuple[object, ...]
    places: tuple[tuple[int, int], ...]  # of tensors among the arguments
    kwargs: dict[str, object]
    named: tuple[tuple[str, int], ...]
    costed: bool
    result: Result
    dtypes: tuple[str, ...]
    inplace: bool
    alone: bool  # it makes one tensor, and does nothing to its input

    def stands(self) -> bool:
        """Whether torch's function and our rule are what they were."""
        called = self.function.__name__
        return (
            _FUNCTIONS.get(called) is self.function
            and self.function not in TARGETS
            and OPS.get(self.name) is self.operation
        )

    def arguments(self, tensors: Tensors) -> tuple[tuple[object, ...], dict[str, object]]:
        """What the rule is called with for these tensors."""
        args, kwargs = self.args, self.kwargs
        if len(self.places) == 1:  # the input comes first
            args = (tensors[0], *args[1:])
        else:
            several = [*args]
            for place, which in self.places:
                several[place] = tensors[which]
            args = tuple(several)
        if self.named:
            kwargs = kwargs.copy()
            for name, which in self.named:
                kwargs[name] = tensors[which]
        return args, kwargs

    def node(self, tensors: Tensors) -> Node:
        """A new node, with these tensors."""
        args, kwargs = self.arguments(tensors)
        call = Call(self.operation, args, kwargs, self.costed)
        inputs: Any = [tensors[i] for i in self.inputs]
        node = record(self.operation.name, inputs, self.result, call, holds=True, inside=_INSIDE)
        for t, dtype in zip(node.outputs, self.dtypes, strict=True):
            t.dtype = dtype
        return node


#: Layers of one class, of one device and default dtype.
_Memory = dict[Any, _Twin]

#: What the classes of a layer held when it was remembered, and what is remembered.
_memories: dict[tuple[Any, ...], tuple[list[Any], _Memory]] = {}


class _Kinds(dict[type, _Memory | None]):
    """What `memory` answers for a class, asked once."""

    def __init__(self, memory: Callable[[type], _Memory | None]) -> None:
        self.make = memory

    def __missing__(self, kind: type) -> _Memory | None:
        return self.setdefault(kind, self.make(kind))


def _memory(place: tuple[str, str], kind: type) -> _Memory | None:
    """What is known of the layers of a class of torch's, on a device and in a default dtype; None
    for other classes.
    """
    if not kind.__module__.startswith("torch.nn.modules.") or kind in TARGETS:
        return None
    if issubclass(kind, LazyModuleMixin):
        return None
    held = [v for base in kind.__mro__ for v in vars(base).values()]
    found = _memories.get((kind, *place))
    if found is None or len(found[0]) != len(held) or not all(map(is_, found[0], held)):
        found = _memories[kind, *place] = held, {}
    return found[1]


def _forward(layer: Any, x: TracedTensor) -> object:
    return layer._call_impl(x)


class Layers:
    """The layers of one run."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.modes: int = _count_modes() + 1  # the trace's own is the last
        place = tracer.device.type, tracer.tape.dtype
        #: Of the layers of a class, if any.
        self.memory = _Kinds(partial(_memory, place)).__getitem__

    def run(
        self, memory: _Memory, layer: torch.nn.Module, holder: torch.nn.Module, x: TracedTensor
    ) -> object:
        """What a layer makes of its input: as an equal one did, or by its forward.

        memory: of its class; holder: the layer, or its original while the layer sleeps.
        """
        attributes = holder.__dict__
        if self._undisturbed(attributes, x):
            tensors, key = self._key(attributes, x._value)
            if key is not None:
                if holder is not layer and key[0].find(_LIST, 1) > 0:
                    return self.run(memory, layer, layer, x)
                twin = memory.get(key)
                if twin is not None and twin.stands():
                    if self.tracer.tape.tries and self._may_refuse(twin):
                        return _forward(layer, x)
                    return self._repeated(twin, x, tensors)
                return self._watched(memory, key, tensors, layer, x)
        return _forward(layer, x)

    def _may_refuse(self, twin: _Twin) -> bool:
        """Whether what a layer requires may be a branch: where the model catches refusals."""
        base = self.tracer.tape.base
        return bool(twin.result.requires) and bool(catching(base, RuntimeError))

    def _undisturbed(self, attributes: dict[str, Any], x: TracedTensor) -> bool:
        """Whether nobody has a say in the call but the layer, torch and the trace."""
        tracer = self.tracer
        writes = tracer.writes
        return not (
            attributes["_forward_pre_hooks"]
            or attributes["_forward_hooks"]
            or attributes["_backward_pre_hooks"]
            or attributes["_backward_hooks"]
            or attributes["_modules"]
            or _module._global_forward_pre_hooks
            or _module._global_forward_hooks
            or _module._global_backward_pre_hooks
            or _module._global_backward_hooks
            or x._number_since is not None
            or (x._source is not None and x._stale)
            or x._value.may_be_empty
            or writes.parts
            or writes.busy
            or _count_modes() != self.modes
            or _is_autocast(tracer.kind)
            or current_tape() is not tracer.tape
        )

    def _key(
        self, attributes: dict[str, Any], x: SymbolicTensor
    ) -> tuple[list[Any], tuple[Any, ...] | None]:
        """The tensors of a call, and all that the node depends on; None if that is not known."""
        names = [*islice(attributes, len(FIRST) - 1, None)]  # before: torch's own
        settings = [*islice(attributes.values(), len(FIRST) - 1, None)]
        if names[-1:] == [CALL]:  # how it is called in a trace
            del names[-1], settings[-1]
        settings[:1] = [attributes["training"]]
        try:
            key: list[Any] = [marshal.dumps(settings, 2), type(x), x.dims, x.dtype]
        except ValueError:
            return [], None
        leaves = self.tracer.leaves
        tensors: list[Any] = [x]
        for held in (attributes["_parameters"], attributes["_buffers"]):
            if held:
                names += held
                for t in held.values():
                    if t is None:
                        leaf = None
                        key.append(None)
                    elif type(t) in TENSORS and (leaf := leaves.get(id(t))) is not None:
                        key += type(leaf), leaf.dims, leaf.dtype
                    else:  # its class has a say, or it was made anew
                        return [], None
                    tensors.append(leaf)
        return tensors, (*key, *names)

    def _repeated(self, twin: _Twin, x: TracedTensor, tensors: list[Any]) -> object:
        """The node of a layer that has a twin, with the tensors of this one."""
        tracer, name = self.tracer, twin.name
        if tracer.script:
            made = tracer.traced(name, *tracer.replay(name))
        else:
            mark, tracer.tape.autocast = len(tracer.steps), None
            node = twin.node(tensors)
            tracer.ran(node, twin.inplace)
            answer = node.outputs, node.result.single, None
            tracer.note(mark, name, answer)
            if twin.alone:
                return TracedTensor.of(node.outputs[0], tracer)
            made = tracer.traced(name, *answer)
        return tracer.finished(name, (x,), twin.kwargs, twin.inplace, made)

    def _counts(self) -> tuple[int, ...]:
        """What the forward asked so far: of torch, of us, and what came of it."""
        tracer, tape = self.tracer, self.tracer.tape
        asked = tracer.calls, len(tracer.steps), tape.queries
        return *asked, len(tape.nodes), len(tape.guards), len(tracer.choices)

    def _watched(
        self, memory: _Memory, key: Any, tensors: list[Any], layer: torch.nn.Module, x: TracedTensor
    ) -> object:
        """What the forward makes of the input; if that is a node and nothing else, it is kept."""
        tracer = self.tracer
        tape, before = tracer.tape, self._counts()
        output = _forward(layer, x)
        after = self._counts()
        if [b - a for a, b in zip(before, after, strict=True)] != [1, 1, 0, 1, 0, 0]:
            return output
        settings = [*islice(layer.__dict__.values(), len(FIRST), None)][:-1]
        usual = (*islice(layer.__dict__, len(FIRST)),) == FIRST and all(map(_is_plain, settings))
        if not usual or self._key(layer.__dict__, tensors[0])[1] != key:  # it wrote to itself
            return output
        node, step = tape.nodes[-1], tracer.steps[-1]
        twin = _remembered(node, step.query, step.answer, tracer.called, tensors)
        if twin is not None and twin.stands() and _is_function(node, twin, tensors, tape.dtype):
            if len(memory) >= _MANY:
                memory.clear()
            memory[key] = twin
        return output


def _remembered(
    node: Node, name: str, answer: Any, function: Any, tensors: list[Any]
) -> _Twin | None:
    """A node without its tensors; None if more stands in it than tensors of the layer's."""
    place = {id(t): i for i, t in enumerate(tensors) if t is not None}
    operation, call, result = OPS.get(name), node.call, node.result
    _, single, number = answer
    whole = (
        type(operation) is Operation
        and call is not None
        and call.operation is operation
        and number is None
        and asks(operation, name) is None
        and single == result.single
        and not (result.others or result.blocks or node.mode.cast or node.mode.custom is not None)
        and len(place) == sum(t is not None for t in tensors)
        and all(id(t) in place for t in node.inputs)
        and node.inputs[0] is tensors[0]
        and bool(call.args)
        and call.args[0] is tensors[0]
    )
    if not whole:
        return None
    assert call is not None
    assert isinstance(operation, Operation)
    args, places = _without(enumerate(call.args), place)
    kwargs, named = _without(call.kwargs.items(), place)
    if not all(map(_is_plain, (*args.values(), *kwargs.values()))):
        return None
    return _Twin(
        function,
        name,
        operation,
        tuple(place[id(t)] for t in node.inputs),
        tuple(args.values()),
        places,
        kwargs,
        named,
        call.costed,
        result,
        tuple(t.dtype for t in node.outputs),
        node.mode.inplace,
        single and not (node.mode.inplace or kwargs.get("inplace") is True or may_share(name)),
    )


def _without(
    given: Iterable[tuple[Any, Any]], place: dict[int, int]
) -> tuple[dict[Any, Any], tuple[tuple[Any, int], ...]]:
    """Arguments without tensors, and where which tensor stood."""
    args = dict(given)
    places = tuple((k, place[id(v)]) for k, v in args.items() if id(v) in place)
    return {**args, **dict.fromkeys([k for k, _ in places])}, places


def _is_plain(value: object) -> bool:
    """Whether an argument or setting is a number or a word, or some of them."""
    if type(value) is tuple or type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in (int, float, bool, str)


# A rule that looks at shapes and dtypes only ----------------------------------------------------


class _Looked(BaseException):
    """A rule asked a tensor for more. No `Exception`: a rule is not to catch it."""


def _is_function(node: Node, twin: _Twin, tensors: Tensors, dtype: str) -> bool:
    """Whether the rule makes the same of tensors of which shapes and dtypes are all there is."""
    blind = [None if t is None else _blind(t) for t in tensors]
    args, kwargs = twin.arguments(blind)
    tape = Tape(dtype=dtype)
    target = blind[0] if twin.inplace else None
    try:
        with tape.running():
            again = twin.operation.node(args, dict(kwargs), (), target)
    except (_Looked, SymcnnError):
        return False
    made = [(t.dims, t.dtype) for t in node.outputs]
    return (
        not tape.queries
        and again.result == node.result
        and [(t.dims, t.dtype) for t in again.outputs] == made
        and [t.dims for t in node.outputs] == [*node.result.shapes]
        and [(t.dims, t.dtype) for t in blind if t is not None]
        == [(t.dims, t.dtype) for t in tensors if t is not None]
    )


def _blind(t: SymbolicTensor) -> SymbolicTensor:
    """A tensor of that class, with its shape and dtype."""
    kind: type = type(t)
    blind: SymbolicTensor = object.__new__(_blind_kind(kind))
    blind.dims, blind.dtype = t.dims, t.dtype
    return blind


@lru_cache(maxsize=16)
def _blind_kind(kind: type) -> type:
    def look(self: object) -> object:
        raise _Looked

    slots = {name for base in kind.__mro__ for name in vars(base).get("__slots__", ())}
    hidden = {name: property(look) for name in slots - {"dims", "dtype"}}
    hidden["may_be_empty"] = property(lambda self: False)  # else no layer is its twin
    return type("Blind", (kind,), {"__slots__": (), **hidden})
