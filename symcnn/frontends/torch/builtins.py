"""The names ``int``, ``type``, ``max``, ... in code that runs in a trace.

Python insists that ``int(h)`` is a plain int, that ``len(x)`` is one, and ``type(x)`` tells a
traced tensor from a torch.Tensor. So, for the time of a trace, the functions that the module's
forward can reach call another ``int`` there: one that returns a size as the size that it is, and
does with everything else just what ``int`` does.

The law: *a call site is told apart from every other use.* In the bytecode of python, a global name
that is about to be called is loaded by an instruction of its own (``LOAD_GLOBAL`` with a NULL
beside it). That instruction is replaced, in place, by one that loads the stand-in; so ``int(h)``
keeps a size while ``type(h) is int``, ``{int: ...}`` and ``dtype=int`` see the int that they name.
A stand-in asks the type of its argument and nothing else: a real forward in another thread, at the
same time, computes what it always computes. Traces count how many of them need a function so, and
the last one puts its code back.

What is reached: methods of the modules' classes and of the objects in their attributes, hooks, and
from there every function, class and closure that code names. The code of torch, of python's own
library and of compiled packages is left alone. Functions under ``torch.jit.script`` run their
python body on traced tensors, and a ``functools.lru_cache`` is passed by for sizes, whose equality
is a question for the trace.
"""

from __future__ import annotations

import builtins
import dis
import functools
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import compress, repeat
from operator import attrgetter, is_
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakValueDictionary, ref

import torch

from symcnn.frontends.torch import gathered, ranges, texts
from symcnn.frontends.torch.aliases import constructed
from symcnn.frontends.torch.arrays import Array
from symcnn.frontends.torch.asleep import is_asleep
from symcnn.frontends.torch.expressions import SELECT
from symcnn.frontends.torch.functions import LEGACY, MATHS, functions_of
from symcnn.frontends.torch.gathered import OF_TYPES, unordered
from symcnn.frontends.torch.reached import (
    CACHED,
    LEFT_ALONE,
    MANY,
    PLAIN,
    SCRIPTED,
    Place,
    Reached,
    body_of,
    own,
    place_of,
)
from symcnn.frontends.torch.recompile import in_front
from symcnn.frontends.torch.selects import (
    ASSIGNS,
    NUMBERS,
    PUT,
    are_numbers,
    assigns,
    may_select,
    put,
    select,
    selecting,
)
from symcnn.frontends.torch.shape import Sizes
from symcnn.frontends.torch.sizes import SIZES, Dim, largest
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.texts import Text
from symcnn.lazy import cached_property
from symcnn.trace.tape import current_tape
from symcnn.trace.where import has_handlers

_TENSORS = frozenset({TracedTensor})
_OURS = _TENSORS | SIZES | {Sizes}


def _int(value: Any = 0, *base: Any, **kwargs: Any) -> Any:
    kind = type(value)
    if kind in _TENSORS:
        value = value.item()
        kind = type(value)
    if kind is Dim:
        return value
    if kind in SIZES:
        return value.__trunc__()
    if kind is Text:
        size = value.size()
        return int(value.number()) if size is None else size
    return int(value, *base, **kwargs)


def _float(*value: Any) -> Any:
    if len(value) == 1:
        kind = type(value[0])
        if kind in _TENSORS:
            return _float(value[0].item())
        if kind is Text:
            size = value[0].size()
            return float(value[0].number()) if size is None else size.__sym_float__()
        if kind in SIZES:
            return value[0].__sym_float__()
    return float(*value)


def _type(*args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and (type(args[0]) in _OURS or is_asleep(type(args[0]))):
        return args[0].__class__
    return type(*args, **kwargs)


def _isinstance(value: Any, kinds: Any, /) -> bool:
    if type(value) in _TENSORS:
        if isinstance(kinds, tuple):
            return any(_isinstance(value, kind) for kind in kinds)
        if type(kinds) is _LEGACY:  # such as torch.HalfTensor
            return bool(value.type() == f"{kinds.__module__}.{kinds.__name__}")
    return isinstance(value, kinds)


_LEGACY = type(torch.FloatTensor)


def _len(value: Any, /) -> Any:
    if type(value) in _TENSORS and not value.ndim:
        raise TypeError("len() of a 0-d tensor")
    if type(value) is TracedTensor and (tape := current_tape()) is not None:
        tape.lengths[value._value.dims[0]] = None
    kind = type(value)
    if kind in ranges.LATE:
        return value.length
    return value.shape[0] if kind in (TracedTensor, Array) else len(value)


def _extreme(function: Callable[..., Any], sign: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs or not args:
            return function(*args, **kwargs)
        if len(args) == 1:
            if type(args[0]) in _TENSORS:
                return function(args[0])
            args = (tuple(unordered(args[0])),)
        values = args if len(args) > 1 else args[0]
        if not SIZES.isdisjoint(map(type, values)):
            found = largest(values, sign=sign)
            if found is not None:
                return found
        return function(*args)

    return call


def _map(function: Any, *values: Any) -> Any:
    return map(_stand_in(function), *values)


def _stand_in(function: Any) -> Any:
    return (
        _STAND_INS.get(getattr(function, "__name__", ""), function)
        if type(function) in _BUILTIN and vars(builtins).get(function.__name__) is function
        else function
    )


_BUILTIN = frozenset({type, type(len)})


def _sorted(values: Any, /, **how: Any) -> list[Any]:
    return sorted(values if how.get("key") else unordered(values), **how)


def _shown(function: Any, conversion: int) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> object:
        if len(args) == 1 and not kwargs and texts.holds_sizes(args[0]):
            return texts.shown(args[0], conversion)
        return function(*args, **kwargs)

    return call


_STAND_INS: Mapping[str, Callable[..., Any]] = {
    "int": _int,
    "float": _float,
    "type": _type,
    "isinstance": _isinstance,
    "len": _len,
    "max": _extreme(max, 1),
    "min": _extreme(min, -1),
    "map": _map,
    "sorted": _sorted,
    **gathered.STAND_INS,
    SELECT: select,
    PUT: put,
    ASSIGNS: assigns,
    NUMBERS: are_numbers,
    "str": _shown(str, 115),
    "repr": _shown(repr, 114),
    **texts.STAND_INS,
    **ranges.STAND_INS,
}


# Call sites -----------------------------------------------------------------------------------

_LOAD_GLOBAL, _LOAD_CONST = dis.opmap["LOAD_GLOBAL"], dis.opmap["LOAD_CONST"]
_EXTENDED, _NOP = dis.opmap["EXTENDED_ARG"], dis.opmap["NOP"]
_CACHE, _NULL = dis.opmap["CACHE"], dis.opmap["PUSH_NULL"]
_LOAD_ATTR, _LOAD_METHOD = dis.opmap["LOAD_ATTR"], dis.opmap.get("LOAD_METHOD")
_NULL_FIRST = sys.version_info < (3, 13)  # below the function, or above it


def _rewritten(code: CodeType, shadowed: Mapping[str, Any]) -> CodeType:
    """The code with stand-ins at its call sites; the code itself where there are none."""
    wanted = {i: _instead(n, shadowed) for i, n in enumerate(code.co_names)}
    wanted = {i: function for i, function in wanted.items() if function is not None}
    consts = [_rewritten(c, shadowed) if type(c) is CodeType else c for c in code.co_consts]
    changed = any(a is not b for a, b in zip(consts, code.co_consts, strict=True))
    modules = {
        i: functions_of(shadowed[name]) if name in shadowed else OF_TYPES.get(name)
        for i, name in enumerate(code.co_names)
    }
    named = {*code.co_names}
    modules = {i: m for i, m in modules.items() if m is not None and not named.isdisjoint(vars(m))}
    if not wanted and not modules:
        return code.replace(co_consts=tuple(consts)) if changed else code
    units, places = bytearray(code.co_code), dict[int, int]()
    start = i = oparg = 0
    while i < len(units):
        op, oparg = units[i], oparg << 8 | units[i + 1]
        if op == _EXTENDED:
            i += 2
            continue
        end = i + 2
        while end < len(units) and units[end] == _CACHE:
            end += 2
        name, null = oparg >> 1, bool(oparg & 1)
        function = None
        if op == _LOAD_GLOBAL and name in modules:
            module = modules[name]
            function = module if _calls_one_of(module, code, units, end, null) else None
        elif op == _LOAD_GLOBAL and null and not _is_attribute_next(units, end):
            function = wanted.get(name)
        if function is not None:
            if name not in places:
                places[name] = len(consts)
                consts.append(function)
            high, low = divmod(places[name], 256)
            new = [_EXTENDED, high, _LOAD_CONST, low]
            if null:
                new = [_NULL, 0, *new] if _NULL_FIRST else [*new, _NULL, 0]
            units[start:end] = new + [_NOP, 0] * ((end - start - len(new)) // 2)
            changed = True
        start = i = end
        oparg = 0
    return code.replace(co_code=bytes(units), co_consts=tuple(consts)) if changed else code


def _is_attribute_next(units: bytearray, at: int) -> bool:
    """Whether an attribute of what is loaded is called, not that itself: ``set.union(*parts)``."""
    while units[at] == _EXTENDED:
        at += 2
    return units[at] in (_LOAD_ATTR, _LOAD_METHOD)


def _calls_one_of(module: object, code: CodeType, units: bytearray, at: int, null: bool) -> bool:
    """Whether what is loaded next, of a module, is one of these functions that is called, or what
    stands for no function.
    """
    oparg = 0
    while units[at] == _EXTENDED:
        oparg, at = (oparg | units[at + 1]) << 8, at + 2
    oparg |= units[at + 1]
    if units[at] == _LOAD_ATTR and sys.version_info >= (3, 12):
        null, oparg = null or bool(oparg & 1), oparg >> 1
        at += 2
        while units[at] == _CACHE:
            at += 2
        null = null or units[at] == _NULL
    elif units[at] == _LOAD_METHOD:
        null = True
    elif units[at] != _LOAD_ATTR:
        return False
    found = vars(module).get(code.co_names[oparg])
    return found is not None and (null or not callable(found))


def _instead(name: str, space: Mapping[str, Any]) -> Callable[..., Any] | None:
    """What to call in place of a global name; None for the name itself."""
    if name not in space:
        return _STAND_INS.get(name)
    found = space[name]
    if type(found) is type(len):
        return MATHS.get(found)
    if type(found) is _LEGACY or found is torch.Tensor:
        return LEGACY.get(found)
    tensors = isinstance(found, type) and issubclass(found, torch.Tensor)
    if tensors and not issubclass(found, torch.nn.Parameter):
        return constructed(found)
    return None


# What asks about sizes -----------------------------------------------------------------------


def _unwrapped(wrapper: Any) -> Callable[..., Any]:
    """Does what the wrapper does, and runs its body where it is asked about sizes."""
    body = body_of(wrapper)

    @functools.wraps(body)
    def call(*args: object, **kwargs: object) -> object:
        if not (_asks(args) or _asks(kwargs.values())):
            return wrapper(*args, **kwargs)
        tape = current_tape()
        before = tape is None or tape.scripted
        if before or type(wrapper) is not SCRIPTED or tape is None:
            return body(*args, **kwargs)
        tape.scripted = True
        try:
            return body(*args, **kwargs)
        finally:
            tape.scripted = False

    call.stands_for = wrapper  # type: ignore[attr-defined]
    for name in ("cache_clear", "cache_info", "cache_parameters"):
        if hasattr(wrapper, name):
            setattr(call, name, getattr(wrapper, name))
    return call


def _asks(values: Iterable[Any]) -> bool:
    for value in values:
        if type(value) in _OURS:
            return True
        if isinstance(value, (tuple, list)) and _asks(value):
            return True
    return False


# For the time of a trace ----------------------------------------------------------------------


class _Swap:
    """Something under a name, and what stands there during traces."""

    __slots__ = ("__weakref__", "name", "other", "own", "owner")

    def __init__(self, owner: Any, name: str, own: Any, other: Any) -> None:
        self.owner, self.name, self.own, self.other = owner, name, own, other


class _Swaps:
    """What a trace swaps, code in columns: forwards reach a thousand functions."""

    called = 0  # functions called for the first time: their code is another from then on

    def __init__(self, swaps: Iterable[_Swap | None]) -> None:
        self.all = dict.fromkeys(swap for swap in swaps if swap is not None)
        self.rest = [swap for swap in self.all if swap.name != "__code__"]
        self._fill()

    def _fill(self) -> None:
        self.of = _Swaps.called
        codes = [(s.owner, s.own, s.other) for s in self.all if s.name == "__code__"]
        self.functions, self.own, self.other = _columns(codes, 3)

    def turn(self, traced: bool) -> None:
        """For traces, or back. Where somebody else has put something, that stays."""
        if self.of != _Swaps.called:
            self._fill()
        old, new = (self.own, self.other) if traced else (self.other, self.own)
        same = [*map(is_, map(_CODE_OF, self.functions), old)]
        functions, codes = compress(self.functions, same), compress(new, same)
        deque(map(setattr, functions, repeat("__code__"), codes), 0)
        for swap in self.rest:
            before, after = (swap.own, swap.other) if traced else (swap.other, swap.own)
            owner, name = swap.owner, swap.name
            if isinstance(owner, dict):
                if owner.get(name) is before:
                    owner[name] = after
            elif vars(owner).get(name) is before:
                setattr(owner, name, after)


#: What the traces that run have swapped: that of several traces once.
_running: list[_Swaps] = []


def _turn(swaps: _Swaps, traced: bool) -> None:
    """For one trace more, or one less."""
    if not swaps.all:
        return
    if not traced:
        _running.remove(swaps)
    others = {swap for running in _running for swap in running.all}
    (swaps if others.isdisjoint(swaps.all) else _Swaps(swaps.all.keys() - others)).turn(traced)
    if traced:
        _running.append(swaps)


#: Every swap that was ever needed, by where it is: all traces count on the same one.
_swaps: WeakValueDictionary[tuple[int, str], _Swap] = WeakValueDictionary()
_lock = threading.RLock()


def _swap(owner: Any, name: str, own: Any, make: Callable[[], Any]) -> _Swap | None:
    key = id(owner), name
    found = _swaps.get(key)
    if found is None or found.owner is not owner or found.own is not own:
        other = make()
        if other is own:
            return None
        found = _swaps[key] = _Swap(owner, name, own, other)
    return found


def _code(function: FunctionType) -> CodeType:
    """The function's own code, also during a trace."""
    code, swap = function.__code__, _swaps.get((id(function), "__code__"))
    if swap is not None and swap.owner is function and code is swap.other:
        return swap.own  # type: ignore[no-any-return]
    return code


def _in_traces(function: FunctionType, code: CodeType) -> CodeType:
    """What a function's code is in traces; until it is called, what finds that."""

    def made() -> CodeType:
        return _rewritten(selecting(code), function.__globals__)

    def call(*args: object, **kwargs: object) -> object:
        with _lock:
            swap = _swaps[id(function), "__code__"]
            if swap.other is front:
                swap.other = made()
                _Swaps.called += 1
                if function.__code__ is front:
                    function.__code__ = swap.other
        return function(*args, **kwargs)

    if not may_select(code):
        return _rewritten(code, function.__globals__)
    front = in_front(code, call)
    return made() if front is None else front


class Replaced:
    """What classes and functions reach, ready to be put in place."""

    def __init__(self, roots: Iterable[Any]) -> None:
        found = Reached(_code).follow(roots)
        self.named = [*found.named.values()]
        self.filled = [*found.filled.values()]
        self.codes = [(function, _code(function)) for function in found.functions]
        swaps = [
            _swap(f, "__code__", c, lambda f=f, c=c: _in_traces(f, c))  # type: ignore[misc]
            for f, c in self.codes
        ]
        swaps += [
            _swap(where, name, value, lambda value=value: _unwrapped(value))  # type: ignore[misc]
            for where, name, value in found.wrapped
            if body_of(value) is not None
        ]
        self.swaps = _Swaps(swaps)
        self.tries = any(has_handlers(code) for _, code in self.codes)
        self._as_it_is = _columns(self.named, 3), _columns(self.codes, 2)

    @cached_property
    def places(self) -> frozenset[Place]:
        """Where the code stands."""
        return frozenset(place_of(code) for _, code in self.codes)

    def stands(self) -> bool:
        """Whether code is and names what it was and named: nobody put another in its place."""
        (spaces, names, values), (functions, codes) = self._as_it_is
        return (  # while no trace runs, all of it is its own
            all(map(is_, map(dict.get, spaces, names), values))
            or all(own(space.get(name)) is value for space, name, value in self.named)
        ) and (
            all(map(is_, map(_CODE_OF, functions), codes))
            or all(_code(function) is code for function, code in self.codes)
        )


_CODE_OF = attrgetter("__code__")


def _columns(rows: list[Any], count: int) -> tuple[Any, ...]:
    return tuple(zip(*rows, strict=True)) or ((),) * count


#: What was reached, by the roots: none of them is kept alive.
_replacements: dict[tuple[ref[Any], ...], Replaced] = {}
_MOST = 64


def _replaced(roots: Iterable[Any]) -> Iterator[Replaced]:
    lasting: list[ref[Any]] = []
    for root in roots:
        if "<locals>" in getattr(root, "__qualname__", ""):
            yield Replaced([root])  # remembered, it would live for ever, with all that it encloses
        else:
            lasting.append(ref(root))
    key = (*lasting,)
    found = _replacements.get(key)
    if found is None or not found.stands():
        if len(_replacements) >= _MOST:
            _replacements.clear()
        found = _replacements[key] = Replaced([root() for root in key])
    yield found


def _roots(modules: Iterable[tuple[str, Any]]) -> tuple[dict[Any, None], list[_Swap | None]]:
    """The classes and functions that a forward starts from, and scripted functions beside them."""
    roots: dict[Any, None] = {}
    kinds: dict[type, bool] = {}  # whether modules of a class may hold code in attributes
    scripted: list[_Swap | None] = []
    for _, module in modules:
        kind = type(module)
        if kind not in kinds:
            kinds[kind] = kind.__module__.partition(".")[0] not in LEFT_ALONE
            roots[kind] = None
        if module._forward_hooks or module._forward_pre_hooks:
            for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
                roots.update(dict.fromkeys(_callables(hook)))
        if kinds[kind]:
            for name, value in module.__dict__.items():
                if type(value) in PLAIN or name in _OF_TORCH:
                    continue
                roots.update(dict.fromkeys(_callables(value)))
                if type(value) is SCRIPTED and body_of(value) is not None:
                    make = functools.partial(_unwrapped, value)
                    scripted.append(_swap(module.__dict__, name, value, make))
    return roots, scripted


#: The containers of every torch module.
_OF_TORCH = frozenset(vars(torch.nn.Module()))


def _callables(value: Any, depth: int = 2) -> Iterator[Any]:
    """The functions and classes whose code an object in an attribute may run."""
    kind = type(value)
    if kind in PLAIN or isinstance(value, (torch.Tensor, torch.nn.Module, ModuleType)):
        return
    if kind in (FunctionType, type) or isinstance(value, type):
        yield value
    elif kind is MethodType:
        yield from (value.__func__, type(value.__self__))
    elif kind is functools.partial:
        for v in (value.func, *value.args, *value.keywords.values()):
            yield from _callables(v, depth)
    elif kind in (tuple, list, dict):
        inner = value.values() if kind is dict else value
        for v in [*inner][:MANY] if depth else ():
            yield from _callables(v, depth - 1)
    elif kind is CACHED:
        yield body_of(value)
    elif kind.__module__.partition(".")[0] not in LEFT_ALONE:
        yield kind


@contextmanager
def replaced_names(
    modules: Iterable[tuple[str, object]], more: Iterable[object] = ()
) -> Iterator[list[Replaced]]:
    """Stand-ins at the call sites of all that the forwards of `modules` reach, and `more`."""
    with _lock:
        roots, scripted = _roots(modules)
        roots.update(dict.fromkeys(more))
        reached = [*_replaced(roots)]
        swaps = [_Swaps(scripted), *(found.swaps for found in reached)]
        for each in swaps:
            _turn(each, traced=True)
    try:
        yield reached
    finally:
        with _lock:
            for each in swaps:
                _turn(each, traced=False)
