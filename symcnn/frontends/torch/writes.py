"""Tensors that exist before a run, and what the run writes to them.

The law: *a tensor that existed before is never written to*. What torch computes on real tensors in
a run (a weight made anew, a counter, a running mean) it computes on aliases: they share the memory,
but not the gradient, the version, the shape. The first operation that writes to that memory, by
the word of its schema, is given a copy of it, and from then on all that shared the memory is read
from the copy. So in-place methods, ``out=``, views, ``.data``, ``set_``, running statistics and
power iterations need no list of names, and the run reads back what it wrote.

A traced tensor written into a real one makes it depend on the input: from then on the real one is
read as a traced one. Random numbers are drawn from copies of the generators.

Not seen is what does not pass through torch's functions: numpy arrays that share the memory, an
`UntypedStorage` written to, tensor classes that run their operations themselves.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache, partial
from operator import is_
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from symcnn.trace.graph import fields_of, with_fields
from symcnn.trace.tape import Tape, current_tape

#: The classes of tensors that are torch's own.
TENSORS = frozenset((torch.Tensor, torch.nn.Parameter, torch.nn.Buffer))


def is_plain(value: object) -> bool:
    """Whether it is a tensor of torch's own class."""
    return type(value) in TENSORS


#: A tensor that was written to, and what it is since.
_Part = tuple[weakref.ref[torch.Tensor], Any]

#: A tensor, after so many writes, and what it is then.
_Whole = tuple[Callable[[], "torch.Tensor | None"], int, torch.Tensor]

_NOTHING: _Whole = (lambda: None), 0, torch.empty(0)


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What one run did to real tensors."""

    def __init__(self, tape: Tape, changed: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
        """changed: told of a tensor and its alias, if the run gave it another shape."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.tape = tape
        self.changed = changed
        self.state = _OUTSIDE
        self.aliases: dict[int, torch.Tensor] = {}  # by the id of the tensor aliased
        self.originals: dict[int, torch.Tensor] = {}  # by the id of its alias
        self.made: dict[int, weakref.ref[torch.Tensor]] = {}  # results of the run, by id
        self.fresh: set[int] = set()  # storages that the run made
        self.lifted: set[int] = set()  # and those that it made of numbers, and maybe of an array's
        self.reserved: dict[int, StorageWeakRef] = {}
        self.copies: dict[int, torch.UntypedStorage] = {}  # of storages written to
        self.counts: list[tuple[torch.Tensor, int]] = []  # counters raised, not looked at yet
        self.generators: dict[int, torch.Generator] = {}
        self.versions: list[tuple[torch.Tensor, int]] = []  # raised by torch, to be put back
        self.alive: list[Any] = []  # so that ids stay what they are
        self.roots: dict[int, int] = {}  # the storage that a copy is of
        self.parts: dict[int, list[_Part]] = {}  # what is traced, by storage
        self.wholes: dict[int, dict[int, _Whole]] = {}  # by storage, and by the id of a tensor

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """A word to torch: what is not compiled needs no compiler, which takes seconds to load."""
        return False

    # calls

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A function of torch on real tensors."""
        if func is _ADD and not kwargs and tuple(map(type, args)) == (torch.Tensor, int):
            counter, by = args
            if counter.dtype is torch.int64:
                self.counts.append((counter, by))  # nobody asks what a norm counts
                return counter
        self._count()
        if getattr(func, "__name__", "") == "__get__":  # of an attribute
            found = func(*(self.aliases.get(id(a), a) for a in args), **kwargs)
            if not is_plain(found):
                return found
        return self._run(func, args, kwargs)

    def _count(self) -> None:
        counts, self.counts = self.counts, []
        for counter, by in counts:
            self._run(_ADD, (counter, by), {})

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        before, self.state = self.state, _BUSY
        try:
            args = self._ours(args)
            if kwargs:
                kwargs = self._ours(kwargs)
            self.state = _INSIDE
            with nullcontext() if saving(True) else saved_tensors_hooks(*AUTOGRAD):
                result = func(*args, **kwargs)
        finally:
            self.state = before
        if getattr(func, "__name__", "") == "__set__":  # of an attribute
            self._written(args[:1])
        return self._theirs(result)

    @property
    def busy(self) -> bool:
        """Whether what is called now is part of a call already seen."""
        return self.state is not _OUTSIDE

    def _written(self, aliases: Iterable[torch.Tensor]) -> None:
        for alias in aliases:
            original = self.originals.get(id(alias))
            if original is not None and original.shape != alias.shape:
                self.changed(original, alias)

    def _ours(self, value: Any) -> Any:
        """Arguments with aliases in place of tensors that the run did not make."""
        return _mapped(self.alias, value)

    def alias(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor that stands for `tensor` in this run."""
        alias = self.aliases.get(id(tensor))
        if alias is None:
            ref = self.made.get(id(tensor))
            mine = ref is not None and ref() is tensor
            if mine and (not self.copies or self._copied(tensor) is None):
                return tensor
            alias = self.aliases[id(tensor)] = _alias(tensor)
            self.originals[id(alias)] = tensor
            if tensor.requires_grad and tensor.is_leaf and tensor.grad is not None:
                alias.grad = self.alias(tensor.grad)
        if self.copies:
            self._move(alias)
        return alias

    def _copied(self, tensor: torch.Tensor) -> torch.UntypedStorage | None:
        return self.copies.get(_storage(tensor)) if tensor.layout is torch.strided else None

    def _move(self, tensor: torch.Tensor) -> None:
        """Onto the copy of its memory, if there is one."""
        copy = self._copied(tensor)
        if copy is not None:
            tensor.data = _over(tensor.data, copy)

    def _theirs(self, value: Any) -> Any:
        """Results with the tensors that were given in place of their aliases."""
        if is_plain(value):
            original = self.originals.get(id(value))
            if original is not None:
                return original
            self.made[id(value)] = weakref.ref(value)
            return value
        if isinstance(value, (tuple, list)):
            parts = [self._theirs(v) for v in value]
            if type(value) in (tuple, list) and not all(map(is_, parts, value)):
                return type(value)(parts)
        return value

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for tensor, version in self.versions:
            torch._C._autograd._unsafe_set_version_counter((tensor,), (version,))

    def current(self, tensor: torch.Tensor) -> torch.Tensor:
        """A real tensor with the values that the run gave it."""
        self._count()
        if not self.aliases:
            return tensor
        before, self.state = self.state, _BUSY
        try:
            with torch._C.DisableTorchFunction():  # whose alias this is, is asked once
                return self.alias(tensor)
        finally:
            self.state = before

    # traced tensors in real ones

    def write(self, tensor: torch.Tensor, traced: torch.Tensor) -> None:
        """From now on the real tensor is what was written to it."""
        root = self._root(tensor)
        if tensor.layout is torch.strided:
            self.reserve(self.aliases.get(id(tensor), tensor).untyped_storage())
        else:
            self.alive.append(tensor)
        self.parts.setdefault(root, []).append((weakref.ref(tensor), traced))

    def traced(self, value: Any, joined: Callable[[Any, Any], Any]) -> Any:
        """Arguments with what was written to them in place of real tensors.

        joined: a traced tensor, or a real one, of which a traced one is part.
        """

        def whole(tensor: torch.Tensor) -> torch.Tensor:
            if not is_plain(tensor):
                return tensor
            with torch._C.DisableTorchFunction():  # which would ask here what it is
                root = self._root(tensor)
            parts = self.parts.get(root)
            if parts is None:
                return tensor
            wholes = self.wholes.setdefault(root, {})
            one, count, found = wholes.get(id(tensor), _NOTHING)
            if one() is not tensor or count != len(parts):
                found = tensor
                for part, traced in parts:
                    found = traced if part() is tensor else joined(found, traced)
                wholes[id(tensor)] = weakref.ref(tensor), len(parts), found
            return found

        for root in [*self.parts]:  # what was written to memory that is gone is gone with it
            memory = self.reserved.get(root)
            if memory is not None and memory.expired():  # type: ignore[no-untyped-call]
                del self.parts[root]
                self.wholes.pop(root, None)
        return _mapped(whole, value)

    def _root(self, tensor: torch.Tensor) -> int:
        if tensor.layout is not torch.strided:
            return id(tensor)
        key = _storage(self.aliases.get(id(tensor), tensor))
        return self.roots.get(key, key)

    # operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is _EMPTY and any(type(s) is torch.SymInt for s in args[0]):
            sizes = [s.node if type(s) is torch.SymInt else s for s in args[0]]
            tracer = next(s.tracer for s in sizes if type(s) is not int)
            dtype = kwargs.get("dtype")  # as ``torch.LongTensor(n, h, w)`` asks for
            return tracer.method("empty", sizes, dtype=dtype)
        if func is _DETACH and self.state is _OUTSIDE and not is_plain(args[0]):
            return args[0].detach()  # as ``Variable(x)`` asks for
        if func is _COPY and self.state is _OUTSIDE and not is_plain(args[1]):
            return args[0].copy_(args[1])  # as ``z.real = x`` asks for
        if self.state is _BUSY or current_tape() is not self.tape:
            return func(*args, **kwargs)
        facts = _facts(func)
        targets: list[Any] = [t for t in facts.targets(args, kwargs) if is_plain(t)]
        if self.state is _OUTSIDE and targets:  # a method that torch gives no say in: set_
            versions = [(t, t._version) for t in targets]
            result = self._run(partial(self.__torch_dispatch__, func, types), (args, kwargs), {})
            self.versions += versions
            return result
        for tensor in targets:
            self._before_write(tensor)
        if func is _LIFT:  # what values, an array or a class of tensors became just now
            self._theirs(args[0])
        if self.copies:
            args, kwargs = _mapped(self._read, args), _mapped(self._read, kwargs)
        call = partial(self._random, func, facts) if facts.random else partial(func)
        result = call(*args, **kwargs)
        if targets:
            self._written(targets)
        if facts.makes:
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                if is_plain(tensor) and tensor.layout is torch.strided:
                    self.fresh.add(self.reserve(tensor.untyped_storage()))
        if func is _LIFT:
            self.lifted.add(self.reserve(result.untyped_storage()))
        return result

    def reserve(self, storage: torch.UntypedStorage) -> int:
        """The address of a storage, which no other gets while the run lasts: its memory may go."""
        address: int = storage._cdata
        if address not in self.reserved:
            self.reserved[address] = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        return address

    def made_here(self, storage: int) -> bool:
        """Whether the run made a storage; of those it did not, the memory is held before it."""
        return storage in self.fresh or storage in self.lifted

    def _before_write(self, tensor: torch.Tensor) -> None:
        """Give the tensor memory of the run's own."""
        if tensor.layout is not torch.strided:
            return
        key = _storage(tensor)
        if key in self.fresh:
            return
        copy = self.copies.get(key)
        if copy is None:
            storage = tensor.untyped_storage()
            copy = self.copies[key] = _copy(storage)
            self.alive.append(storage)
            self.fresh.add(copy._cdata)
            self.roots[copy._cdata] = key
        _over(tensor, copy)

    def _read(self, tensor: Any) -> Any:
        """A tensor as it was written to."""
        copy = self._copied(tensor)
        return tensor if copy is None else _over(tensor.data, copy)

    def _random(self, func: Any, facts: _Facts, *args: Any, **kwargs: Any) -> Any:
        """An operation that draws random numbers, with a generator that nobody else draws from."""
        given = kwargs.get("generator")
        if given is None and facts.seeded is None:
            device = next(
                (t.device for t in args if isinstance(t, torch.Tensor)),
                kwargs.get("device") or torch.device("cpu"),
            )
            generator = _default(device)
            with _drawing:
                state = generator.get_state()
                try:
                    return func(*args, **kwargs)
                finally:
                    generator.set_state(state)
        if given is None:
            tensors = [t for t in args if isinstance(t, torch.Tensor)]
            given = _default(tensors[0].device if tensors else kwargs.get("device"))
            func = facts.seeded
        own = self.generators.get(id(given))
        if own is None:
            own = self.generators[id(given)] = given.clone_state()
        return func(*args, **{**kwargs, "generator": own})


#: What takes what autograd saves, if anything does; torch 2.7 does not tell.
saving = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", bool)


def _itself(value: torch.Tensor) -> torch.Tensor:
    return value


#: Autograd holds the memory of what it saves, not the tensor: python does, or does not.
AUTOGRAD = torch.Tensor.detach, _itself

_drawing = threading.Lock()
_ADD = torch.Tensor.add_
_EMPTY = torch.ops.aten.empty.memory_format
_COPY = torch.ops.aten.copy_.default
_DETACH = torch.ops.aten.detach.default
_LIFT = torch.ops.aten.lift_fresh.default


#: Where a run is: in python's hands, in a function of torch, or in this module's own work.
_OUTSIDE, _INSIDE, _BUSY = "outside", "inside", "busy"


class _Facts:
    """What the schema of an operation says."""

    def __init__(self, func: Any) -> None:
        schema = func._schema
        self.writes: list[Any] = []
        for i, argument in enumerate(schema.arguments):
            written = argument.alias_info is not None and argument.alias_info.is_write
            if written or argument.name.startswith("running_"):  # batch norm's schema is silent
                self.writes += [argument.name] if argument.kwarg_only else [i, argument.name]
        self.makes = all(r.alias_info is None for r in schema.returns)
        self.random = torch.Tag.nondeterministic_seeded in func.tags
        self.seeded: Any = None  # the same with a generator
        if self.random:
            name = schema.overload_name
            wanted = "generator" if not name else f"{name}_generator"
            if any(a.name == "generator" for a in schema.arguments):
                self.seeded = func
            elif wanted in func.overloadpacket.overloads():
                self.seeded = getattr(func.overloadpacket, wanted)

    def targets(self, args: Sequence[object], kwargs: Mapping[str, object]) -> Iterator[object]:
        """What the operation writes to."""
        for place in self.writes:
            if isinstance(place, str):
                target = kwargs.get(place)
            else:
                target = args[place] if place < len(args) else None
            yield from target if isinstance(target, (tuple, list)) else (target,)


@lru_cache(maxsize=4096)
def _facts(func: Any) -> _Facts:
    return _Facts(func)


def _default(device: Any) -> torch.Generator:
    """The generator that torch draws from on a device."""
    device = torch.device("cpu" if device is None else device)
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    found: torch.Generator = torch.default_generator
    return found


def _storage(tensor: torch.Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _copy(storage: Any) -> Any:
    if storage.device.type == "meta":
        make: Any = torch.UntypedStorage
        return make(storage.nbytes(), device="meta")
    return storage.clone()


def _over(tensor: torch.Tensor, storage: torch.UntypedStorage) -> torch.Tensor:
    """The tensor itself, moved onto another storage."""
    return tensor.set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())


def _alias(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with the same values and nothing else in common."""
    if tensor.layout is not torch.strided:
        return tensor.detach().clone().requires_grad_(tensor.requires_grad)
    alias = tensor.data
    if tensor.requires_grad:
        alias.requires_grad_()
    return alias


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` of the tensors in nested tuples, lists and dicts."""
    kind = type(value)
    if kind in TENSORS:
        return function(value)
    if kind is tuple or kind is list:
        return kind([_mapped(function, v) for v in value])
    if kind is dict:
        return {k: _mapped(function, v) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*(_mapped(function, v) for v in value))
    if not isinstance(value, dict) and (parts := fields_of(value)) is not None:
        return with_fields(value, _mapped(function, parts))
    return value
