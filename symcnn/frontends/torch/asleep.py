"""Copies of torch's layers that have no attributes until one is asked for.

The law: *what nobody asks for need not be made*. Most modules of a network are layers of torch's
own, most of those are only called, and `symcnn.frontends.torch.layers` answers for most calls by
what the original holds. So the copy of a layer begins asleep: an object of a derived class that
holds who made it, and of what. The first question after an attribute wakes it: from then on
it is an object of the layer's own class with attributes of its own, as all copies are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

#: The only attribute of a sleeping copy.
MAKER = "maker"
_new, _of, _put = object.__new__, object.__getattribute__, object.__setattr__


class Maker(Protocol):
    """Who answers for the calls of sleeping copies, and wakes them."""

    @property
    def call(self) -> Callable[..., object] | None:
        """Called in place of a copy: with its original, itself, its original, the arguments."""

    def wake(self, copy: object, original: object) -> None:
        """Give the copy its attributes."""


def asleep(original: T, maker: Maker) -> T:
    """A sleeping copy of a layer of torch's."""
    copy: T = _new(_BEDS[type(original)])
    _put(copy, MAKER, (maker, original))
    return copy


def is_asleep(kind: type) -> bool:
    """Whether the objects of a class are sleeping copies."""
    return kind in _MADE


#: The classes of sleeping copies.
_MADE: set[type] = set()


def _bed(kind: type) -> Any:
    """The class of the sleeping copies of a class of torch's layers."""

    def call(copy: object, /, *args: object, **kwargs: object) -> object:
        maker, original = _of(copy, MAKER)
        return maker.call(original, copy, original, *args, **kwargs)

    def ask(copy: object, name: str) -> object:
        return kind if name == "__class__" else getattr(_awake(copy), name)

    def put(copy: object, name: str, value: object) -> None:
        setattr(_awake(copy), name, value)

    def drop(copy: object, name: str) -> None:
        delattr(_awake(copy), name)

    said = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    ways = {"__call__": call, "__getattribute__": ask, "__setattr__": put, "__delattr__": drop}
    bed = type(kind.__name__, (kind,), {**said, **ways})
    _MADE.add(bed)
    return bed


class _Beds(dict[type, Any]):
    def __missing__(self, kind: type) -> Any:
        return self.setdefault(kind, _bed(kind))


_BEDS = _Beds()


def _awake(copy: object) -> object:
    maker, original = _of(copy, MAKER)
    _put(copy, "__class__", type(original))
    maker.wake(copy, original)
    return copy
