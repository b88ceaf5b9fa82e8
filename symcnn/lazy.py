"""Properties that are computed once, without a lock; modules that load when first asked for.

Before python 3.12 `functools.cached_property` holds a lock while it computes, one for all instances
of a class: two threads whose properties need each other's wait for ever. What is computed here has
one value, so that two threads may both compute it.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from symcnn.interrupts import Held

if TYPE_CHECKING:
    cached_property = functools.cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801
        """`functools.cached_property` as it is from python 3.12 on."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = self.func(instance)
            return vars(instance).setdefault(self.attrname, value)


@contextmanager
def uncollected() -> Iterator[None]:
    """A graph, or what a module defines, is many objects and no garbage: the collector, which would
    walk them, and all of torch, again and again, waits until they stand.
    """
    with Held() as held:
        collects = gc.isenabled()
        gc.disable()
        try:
            with held.work():
                yield
        finally:
            if collects:
                gc.enable()


def load(name: str) -> ModuleType:
    """A module, imported with the collector at rest."""
    with uncollected():
        return import_module(name)


class _Later(ModuleType):
    """A module that loads when it is first asked for a name."""

    def __getattr__(self, name: str) -> Any:
        module = load(self.__name__)
        vars(self).update(vars(module))
        return getattr(module, name)


if TYPE_CHECKING:
    import sympy as sympy
else:
    sympy = _Later("sympy")


def submodule(package: str, name: str) -> ModuleType:
    """A module of a package, loaded. Raises AttributeError where there is none of that name.

    >>> submodule("symcnn", "contracts").__name__
    'symcnn.contracts'
    """
    whole = f"{package}.{name}"
    if name.startswith("_") or find_spec(whole) is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return load(whole)
