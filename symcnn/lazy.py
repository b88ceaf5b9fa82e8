"""Properties that are computed once, without a lock; modules that load when first asked for.

Before python 3.12 `functools.cached_property` holds a lock while it computes, one for all instances
of a class: two threads whose properties need each other's wait for ever. What is computed here has
one value, so that two threads may both compute it.
"""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

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


def submodule(package: str, name: str) -> ModuleType:
    """A module of a package, loaded. Raises AttributeError where there is none of that name.

    >>> submodule("symcnn", "contracts").__name__
    'symcnn.contracts'
    """
    whole = f"{package}.{name}"
    if name.startswith("_") or find_spec(whole) is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return import_module(whole)
