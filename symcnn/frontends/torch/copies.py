"""A module's python state, copied for one run.

The law: *what a forward writes, it writes to a copy*. A run calls a copy of the module: every
module, container and helper object that the module reaches is copied once, at any depth, and
refers to the copies of the others; tensors are shared (`symcnn.frontends.torch.writes` answers for
them). So nothing has to be put back, a training step of the same module in another thread is
neither seen nor undone, and what a forward remembers of a trace goes when the run goes. Most
modules are layers of torch's own: their copies sleep until they are asked for an attribute
(`symcnn.frontends.torch.asleep`).

Some state cannot be copied: what classes and python files hold, the hooks of all modules,
attributes of tensors, objects that say themselves how they are copied (locks, loggers, enums).
`Snapshot` remembers it and puts it back, object by object, where it is not the same object any
more.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from operator import is_, itemgetter
from random import Random
from typing import Any, ClassVar, TypeVar

import torch

from symcnn.frontends.torch.asleep import MAKER, asleep
from symcnn.frontends.torch.reached import own

#: Where torch's modules look for what to call in place of their forward.
CALL = "_compiled_call_impl"

#: Attributes that are what they are: most of what a module holds.
_PLAIN: frozenset[type] = frozenset(
    {int, float, bool, complex, str, bytes, type(None), type, slice, range, types.ModuleType}
    | {torch.dtype, torch.device, torch.Size, torch.layout}
)
_CONTAINERS = (dict, list, set, deque)
#: The call of a module that no library has replaced.
_CALLED = torch.nn.Module._wrapped_call_impl

#: What each module begins with: containers of its own, most of them hooks that nobody set. Hooks of
#: its state_dict are no part of a forward.
_NEW = vars(torch.nn.Module())
FIRST = tuple(_NEW)
_OWN = {k: type(v) for k, v in _NEW.items() if isinstance(v, _CONTAINERS)}
_HOOKS = tuple(k for k, kind in _OWN.items() if kind is OrderedDict and "state_dict" not in k)
_REGISTRIES = tuple(k for k, kind in _OWN.items() if kind is not OrderedDict)
_hooks, _COUNT, _LAST = itemgetter(*_HOOKS), len(FIRST), FIRST[-1]

T = TypeVar("T")

_NOTED = tuple(name for name in vars(torch.nn.modules.module) if name.startswith("_global_"))


class _Hooks:
    """The hooks of all modules, and what torch notes of them, as one object that runs remember."""

    @property
    def __dict__(self) -> dict[str, Any]:
        return {name: getattr(torch.nn.modules.module, name) for name in _NOTED}

    def __setattr__(self, name: str, value: object) -> None:
        setattr(torch.nn.modules.module, name, value)


_GLOBAL: Any = _Hooks()

_STANDARD = frozenset(sys.stdlib_module_names) - {"__main__"}
_OTHERS = _STANDARD | {"torch", "builtins"}


def _base(place: Any) -> Any:
    """The container that it is, whatever its class makes of it."""
    bases = (OrderedDict, *_CONTAINERS)
    return next(base for base in bases if isinstance(place, base))


def _content(place: Any) -> Any:
    """A plain copy. Classes derived from containers may make items anew when they are asked."""
    if isinstance(place, dict):
        return dict(dict.items(place))
    return _base(place).copy(place)


def _put(place: Any, content: Any) -> None:
    """The content in place of what stands there."""
    base = _base(place)
    base.clear(place)
    if isinstance(place, dict):
        for key, value in content.items():
            base.__setitem__(place, key, value)
    elif isinstance(place, set):
        base.update(place, content)
    else:
        base.extend(place, content)


def _same(place: Any, before: Any) -> bool:
    """Whether the very same objects stand there, in the same order."""
    if len(place) != len(before):
        return False
    try:
        if not isinstance(place, dict):
            return all(map(is_, _base(place).__iter__(place), before))
        return all(map(is_, dict.keys(place), before)) and all(
            map(is_, dict.values(place), before.values())
        )
    except RuntimeError:  # another thread writes to it
        return False


class Snapshot:
    """Places as they were, to be put back."""

    def __init__(self) -> None:
        self.before: list[tuple[Any, Any]] = []
        self.empty: list[Any] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.seen: set[int] = set()

    def keep(self, place: object) -> None:
        """Remember a container, and the containers in it, as they are."""
        stack: list[Any] = [place]
        while stack:
            place = stack.pop()
            if id(place) in self.seen:
                continue
            self.seen.add(id(place))
            if not place:
                self.empty.append(place)
                continue
            before = _content(place)
            self.before.append((place, before))
            inner = before.values() if isinstance(before, dict) else before
            stack += [v for v in inner if isinstance(v, _CONTAINERS)]

    def function(self, function: types.FunctionType) -> None:
        """Remember what a function keeps from call to call."""
        for cell in function.__closure__ or ():
            self.cell(cell)
        values = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        for value in values:
            if isinstance(value, _CONTAINERS):
                self.keep(value)
        if function.__dict__:
            self.keep(function.__dict__)

    def cell(self, cell: types.CellType) -> None:
        """Remember a variable of an enclosing function."""
        try:
            content = cell.cell_contents
        except ValueError:  # not assigned yet
            return
        self.cells.append((cell, content))
        if isinstance(content, _CONTAINERS):
            self.keep(content)

    def back(self) -> None:
        """All as it was. What was empty comes last: something may have been there when it was kept
        once more.
        """
        for place, before in self.before:
            if not _same(place, before):
                _put(place, before)
        for place in self.empty if any(self.empty) else ():
            _base(place).clear(place)
        for cell, content in self.cells:
            if cell.cell_contents is not content:
                cell.cell_contents = content


class _Shared:
    """What a class or a python file holds: remembered by the first of the runs that overlap, put
    back by the last. Runs of one module after the other remember it once.
    """

    lock = threading.RLock()
    running: ClassVar[dict[int, _Shared]] = {}

    def __init__(self, owner: type | types.ModuleType) -> None:
        self.owner, self.runs, self.keepers = owner, 0, 0
        self.before = vars(owner).copy()
        self.snapshot = Snapshot()
        for name, value in self.before.items():
            kind = type(value)
            if kind in _PLAIN or name == "__builtins__":
                continue
            inner: Any = value
            if kind is types.FunctionType:
                inner = own(value)
            elif isinstance(value, (staticmethod, classmethod)):
                inner = value.__func__
            elif isinstance(value, property):
                inner = value.fget
            if type(inner) is types.FunctionType:
                state = inner.__closure__ or inner.__defaults__ or inner.__kwdefaults__
                if state or (kind is not types.FunctionType and inner.__dict__):
                    self.snapshot.function(inner)
            elif isinstance(value, _CONTAINERS):
                self.snapshot.keep(value)
            elif _helps(kind):
                attributes = getattr(value, "__dict__", None)
                if attributes is not None:  # compiled classes make theirs when something is set
                    self.snapshot.keep(attributes)

    def back(self) -> None:
        """All as it was; what was defined or imported meanwhile stays."""
        now = vars(self.owner).copy()
        if not _same(now, self.before):
            before, now = _owns(self.before), _owns(now)
            for name in now.keys() - before.keys():
                if not isinstance(now[name], (type, types.ModuleType, types.FunctionType)):
                    delattr(self.owner, name)
            for name, value in before.items():
                if now.get(name, self) is not value:
                    setattr(self.owner, name, value)
        self.snapshot.back()

    @classmethod
    def enter(cls, owners: Iterable[type | types.ModuleType]) -> list[_Shared]:
        """Remember, unless another run does."""
        with cls.lock:
            found = []
            for owner in owners:
                shared = cls.running.get(id(owner))
                if shared is None:
                    shared = cls.running[id(owner)] = cls(owner)
                shared.runs += 1
                found.append(shared)
            return found

    @classmethod
    def leave(cls, entered: Iterable[_Shared], kept: set[_Shared] | None = None) -> None:
        """Put back, unless another run is on. It stays remembered for those who keep it."""
        with cls.lock:
            for shared in entered:
                if kept is not None and shared not in kept:
                    kept.add(shared)
                    shared.keepers += 1
                shared.runs -= 1
                if not shared.runs:
                    shared.back()
                    shared.forget()

    @classmethod
    def release(cls, kept: Iterable[_Shared]) -> None:
        """Nobody keeps it any more."""
        with cls.lock:
            for shared in kept:
                shared.keepers -= 1
                shared.forget()

    def forget(self) -> None:
        """Unless somebody needs it."""
        if not (self.runs or self.keepers):
            self.running.pop(id(self.owner), None)


def _owns(held: dict[str, Any]) -> dict[str, Any]:
    """What a class or a python file holds, but for what traces put in its place."""
    return {name: own(value) for name, value in held.items()}


def _helps(kind: type) -> bool:
    """Whether an object of that class is plain python with attributes."""
    return (
        kind.__dictoffset__ != 0
        and not issubclass(kind, type)
        and kind.__module__.partition(".")[0] not in _OTHERS
    )


def _copyable(kind: type) -> bool:
    """Whether an object is its class and its attributes, and no more.

    What has its own word on being copied, or on being collected, is not.
    """
    default = ("__new__", "__reduce_ex__", "__reduce__")
    return (
        all(getattr(kind, name) is getattr(object, name) for name in default)
        and not any(hasattr(kind, name) for name in ("__copy__", "__deepcopy__", "__del__"))
        and kind.__module__.partition(".")[0] not in _STANDARD
        and bool(kind.__flags__ & 1 << 9)  # defined in python
    )


def _plain_container(kind: type) -> bool:
    """Whether an object of a class derived from a container's is its items and attributes."""
    own = (kind.__new__, kind.copy) if hasattr(kind, "copy") else ()
    return own in [(base.__new__, base.copy) for base in (dict, OrderedDict, list, set)]


#: Nobody keeps these any more.
release = _Shared.release


def _once(copier: Callable[[Copies, T], T]) -> Callable[[Copies, T], T]:
    """A copier that leaves what was copied already as the copy that there is."""

    @functools.wraps(copier)
    def copied(self: Copies, value: T) -> T:
        found: T | None = self.found.get(id(value))
        return copier(self, value) if found is None else found

    return copied


class Copies:
    """The copies of one run.

    call: what is called in place of a copy, with its original, itself, the one of the two whose
        attributes hold, and the arguments.
    kept: what is remembered for the runs that follow.
    """

    def __init__(
        self, call: Callable[..., object] | None = None, kept: set[_Shared] | None = None
    ) -> None:
        self.call, self.kept = call, kept
        self.snapshot = Snapshot()
        self.found: dict[int, Any] = {}  # by the id of the original
        self.originals: list[Any] = []  # alive, so that ids stay theirs
        self.modules: list[tuple[Any, Any]] = []  # with their originals
        self.todo: list[dict[Any, Any] | list[Any] | deque[Any]] = []
        self.registries: list[dict[str, Any]] = []  # of modules
        self.kinds = _Kinds(_COPIERS)
        self.entered: dict[int, _Shared] = {}
        self.looked = len(self.kinds)  # kinds whose owners are entered
        self.told = 0  # modules that tell of their calls
        self.open = True

    def of(self, module: T, tensors: Iterable[torch.Tensor] = ()) -> T:
        """The copy of a module and of all that it reaches.

        tensors: those that its layers hold, which may sleep.
        """
        held = [t.__dict__ for t in tensors]
        if any(held):
            for attributes in held:
                self.snapshot.keep(attributes)
        else:
            self.snapshot.empty += held
        (self.entered[id(_GLOBAL)],) = _Shared.enter([_GLOBAL])
        copy = self.value(module)
        self._settle()
        return copy

    def wake(self, copy: object, original: object) -> None:
        """Give a sleeping copy its attributes; `object.__setattr__` may have put some there."""
        put = {name: value for name, value in vars(copy).items() if name != MAKER}
        if self.open:
            self._attributes(copy, original)
            vars(copy).update(put)
            self._settle()
        else:
            object.__setattr__(copy, "__dict__", original.__dict__ | put)

    def _settle(self) -> None:
        """Look at all that was copied since."""
        todo, registries, kinds = self.todo, self.registries, self.kinds
        while todo or registries:
            while registries:
                registry = registries.pop()
                for name, module in registry.items():
                    how = kinds[type(module)]
                    if how is not None:
                        registry[name] = how(self, module)
            if not todo:
                break
            place = todo.pop()
            self._fill(place, place.items() if isinstance(place, dict) else enumerate(place.copy()))
        if self.call is not None:
            for original, copy in self.modules[self.told :]:
                copy.__dict__[CALL] = functools.partial(self.call, original, copy, copy)
            self.told = len(self.modules)
        if self.looked != len(self.kinds):
            owners = self._owners()
            self.entered |= zip(owners, _Shared.enter(owners.values()), strict=True)

    def _fill(self, place: Any, items: Iterable[tuple[Any, Any]]) -> None:
        """Copies in place of the originals."""
        kinds = self.kinds
        for key, value in items:
            kind = type(value)
            if kind in _PLAIN:
                continue
            if kind is tuple:
                if _PLAIN.issuperset(map(type, value)):
                    continue
            elif kind is torch.nn.Parameter:
                self.snapshot.keep(value.__dict__)
                continue
            how = kinds[kind]
            if how is not None:
                new = how(self, value)
                if new is not value:
                    place[key] = new

    def close(self) -> None:
        """Forget the copies, and put back what could not be copied."""
        self.open = False
        for _, copy in self.modules if self.call is not None else ():
            copy.__dict__.pop(CALL, None)
        _Shared.leave(self.entered.values(), self.kept)
        self.snapshot.back()
        self.found.clear()  # no circle is left for the collector
        self.modules.clear()

    def _owners(self) -> dict[int, type | types.ModuleType]:
        """The classes, and the python files they are written in, of what was copied since."""
        owners: dict[int, type | types.ModuleType] = {}
        looked, self.looked = self.looked, len(self.kinds)
        for kind, how in (*islice(self.kinds.items(), looked, None),):
            if how is None or kind.__module__.startswith("torch."):
                continue
            for base in kind.__mro__:
                root = base.__module__.partition(".")[0]
                if id(base) in owners or root == "torch" or root in _STANDARD:
                    continue
                owners[id(base)] = base
                file = sys.modules.get(base.__module__)
                if file is not None:
                    owners[id(file)] = file
        return {key: owner for key, owner in owners.items() if key not in self.entered}

    def value(self, value: T) -> T:
        """The copy of anything; itself if there is nothing in it to be written to."""
        how = self.kinds[type(value)]
        copy: T = value if how is None else how(self, value)
        return copy

    def _made(self, original: object, copy: T) -> T:
        self.found[id(original)] = copy
        self.originals.append(original)
        return copy

    @_once
    def module(self, module: T) -> T:
        try:
            copy = object.__new__(type(module))
        except TypeError:  # partly written in C
            return self.shared(module)
        self.found[id(module)] = copy
        self._attributes(copy, module)
        return copy

    def layer(self, module: T) -> T:
        """The copy of a layer of torch's sleeps, unless it holds modules."""
        found: T | None = self.found.get(id(module))
        if found is None:
            if module.__dict__.get("_modules", True):
                return self.module(module)
            found = self.found[id(module)] = asleep(module, self)
        return found

    def _attributes(self, copy: object, module: object) -> None:
        """Attributes of its own for the copy of a module."""
        attributes = module.__dict__.copy()
        object.__setattr__(copy, "__dict__", attributes)
        self.modules.append((module, copy))
        if next(islice(attributes, _COUNT - 1, None), "") != _LAST or any(_hooks(attributes)):
            self.todo.append(attributes)
            return
        for key in _HOOKS:
            attributes[key] = OrderedDict()
        for key in _REGISTRIES:
            value = attributes[key]
            if value:
                attributes[key] = value = value.copy()
                (self.registries if key == "_modules" else self.todo).append(value)
            else:
                attributes[key] = set() if type(value) is set else {}
        self._fill(attributes, islice(attributes.items(), _COUNT, None))

    @_once
    def mapping(self, value: dict[object, object]) -> dict[object, object]:
        copy = self._made(value, value.copy())
        for key in copy:
            if type(key) is not str and self.value(key) is not key:
                return self._rekeyed(copy)
        self.todo.append(copy)
        return copy

    def _rekeyed(self, copy: dict[object, object]) -> dict[object, object]:
        items = [(self.value(k), v) for k, v in copy.items()]
        copy.clear()
        copy.update(items)
        self.todo.append(copy)
        return copy

    @_once
    def sequence(self, value: list[object] | deque[object]) -> list[object] | deque[object]:
        copy = self._made(value, value.copy())
        if not _PLAIN.issuperset(map(type, copy)):
            self.todo.append(copy)
        return copy

    @_once
    def unordered(self, value: set[object]) -> set[object]:
        copy = self._made(value, value.copy())
        if not _PLAIN.issuperset(map(type, copy)):
            items = list(map(self.value, copy))
            copy.clear()
            copy.update(items)
        return copy

    @_once
    def derived(self, value: T) -> T:
        """An object of a class derived from a container's: its items and its attributes."""
        kind = type(value)
        make: Any = kind.__new__
        copy: T = self._made(value, make(kind))
        content = _content(value)
        if isinstance(value, dict):
            _put(copy, {self.value(k): self.value(v) for k, v in content.items()})
        else:
            _put(copy, map(self.value, content))
        attributes = getattr(value, "__dict__", None)
        if attributes:
            vars(copy).update(attributes)
            self.todo.append(vars(copy))
        return copy

    def immutable(
        self, value: tuple[object, ...] | frozenset[object]
    ) -> tuple[object, ...] | frozenset[object]:
        if _PLAIN.issuperset(map(type, value)):
            return value
        parts = list(map(self.value, value))
        if all(map(is_, parts, value)):
            return value
        kind: Any = type(value)
        copy: tuple[object, ...] = kind(*parts) if hasattr(value, "_fields") else kind(parts)
        return copy

    @_once
    def function(self, function: types.FunctionType) -> types.FunctionType:
        """A function whose enclosing variables, or defaults, hold what was copied."""
        if not (function.__closure__ or function.__defaults__ or function.__kwdefaults__):
            return function
        self._made(function, function)  # while it is looked at, it may meet itself
        cells = tuple(map(self._cell, function.__closure__ or ()))
        defaults = self.value(function.__defaults__)
        keywords = self.value(function.__kwdefaults__)
        if all(map(is_, cells, function.__closure__ or ())) and (
            defaults is function.__defaults__ and not function.__kwdefaults__
        ):
            return function
        copy = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, defaults, cells or None
        )
        copy.__kwdefaults__ = keywords
        functools.update_wrapper(copy, function, updated=())
        vars(copy).pop("__wrapped__", None)
        vars(copy).update(vars(function))
        return self._made(function, copy)

    @_once
    def _cell(self, cell: types.CellType) -> types.CellType:
        try:
            content = cell.cell_contents
        except ValueError:  # not assigned yet
            return cell
        copied = self.value(content)
        if copied is content:  # a number, perhaps: written to all the same
            self.snapshot.cell(cell)
            return cell
        return self._made(cell, types.CellType(copied))

    def method(self, method: types.MethodType) -> types.MethodType:
        owner = self.value(method.__self__)
        return method if owner is method.__self__ else types.MethodType(method.__func__, owner)

    def partial(self, partial: functools.partial[object]) -> functools.partial[object]:
        parts = (partial.func, *partial.args, *partial.keywords.values())
        copies = list(map(self.value, parts))
        if all(map(is_, copies, parts)):
            return partial
        count = 1 + len(partial.args)
        keywords = dict(zip(partial.keywords, copies[count:], strict=True))
        return functools.partial(copies[0], *copies[1:count], **keywords)

    def reference(self, reference: weakref.ref[object]) -> weakref.ref[object]:
        target = reference()
        copy = None if target is None else self.value(target)
        return reference if copy is target else weakref.ref(copy)

    @_once
    def namespace(self, value: types.SimpleNamespace) -> types.SimpleNamespace:
        copy = self._made(value, types.SimpleNamespace(**vars(value)))
        self.todo.append(vars(copy))
        return copy

    @_once
    def random(self, value: Random) -> Random:
        copy = Random()
        copy.setstate(value.getstate())
        return self._made(value, copy)

    @_once
    def helper(self, value: T) -> T:
        """A helper object. One without any attribute may be a mark that code compares with."""
        kind = type(value)
        attributes = getattr(value, "__dict__", None)
        slots = [n for b in kind.__mro__ for n in _slots(b)]
        if not attributes and not slots:
            return self.shared(value)
        try:
            copy = object.__new__(kind)
        except TypeError:  # partly written in C, or abstract
            return self.shared(value)
        self._made(value, copy)
        if attributes:
            copy.__dict__.update(attributes)
            self.todo.append(copy.__dict__)
        for name in slots:
            if hasattr(value, name):
                object.__setattr__(copy, name, self.value(getattr(value, name)))
        return copy

    def tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """Shared; its attributes are put back."""
        self.snapshot.keep(tensor.__dict__)
        return tensor

    def shared(self, value: T) -> T:
        """An object that stays the same one: its attributes are put back."""
        if id(value) not in self.found:
            self._made(value, value)
            attributes = getattr(value, "__dict__", None)
            if isinstance(attributes, dict):
                self.snapshot.keep(attributes)
            if isinstance(value, _CONTAINERS):
                self.snapshot.keep(value)
        return value


def _slots(kind: type) -> list[str]:
    names = vars(kind).get("__slots__", ())
    names = (names,) if isinstance(names, str) else names
    return [n for n in names if n not in ("__dict__", "__weakref__")]


Copier = Callable[[Copies, Any], Any]

#: How an object of each type is copied; None: not at all.
_COPIERS: dict[type, Copier | None] = {
    **dict.fromkeys(_PLAIN),
    dict: Copies.mapping,
    OrderedDict: Copies.mapping,
    defaultdict: Copies.mapping,
    list: Copies.sequence,
    deque: Copies.sequence,
    set: Copies.unordered,
    tuple: Copies.immutable,
    frozenset: Copies.immutable,
    types.FunctionType: Copies.function,
    types.MethodType: Copies.method,
    functools.partial: Copies.partial,
    weakref.ref: Copies.reference,
    types.SimpleNamespace: Copies.namespace,
    Random: Copies.random,
}


class _Kinds(dict[type, "Copier | None"]):
    """The same, and the types that one run meets."""

    def __missing__(self, kind: type) -> Copier | None:
        found: Copier | None = None
        if issubclass(kind, torch.nn.Module):
            # a __new__ in python (huggingface_hub's mixin) makes an object like any other
            plain = kind.__new__ is object.__new__ or isinstance(kind.__new__, types.FunctionType)
            found = Copies.module if plain else Copies.shared
            if (
                plain
                and kind.__module__.startswith("torch.nn.modules.")
                and kind.__call__ is _CALLED
            ):
                found = Copies.layer
        elif issubclass(kind, torch.Tensor):
            found = Copies.tensor
        elif issubclass(kind, _CONTAINERS):
            found = Copies.derived if _plain_container(kind) else Copies.shared
        elif issubclass(kind, tuple):
            found = Copies.immutable
        elif not issubclass(kind, type) and kind.__flags__ & 1 << 9:
            found = Copies.helper if _copyable(kind) else Copies.shared
        self[kind] = found
        return found
