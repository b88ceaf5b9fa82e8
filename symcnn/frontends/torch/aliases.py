"""Tensors that a class makes of a traced one: ``Sub(x)``, ``x.as_subclass(Sub)``, ``Tensor(x)``.

Torch's C++ makes them without asking anybody. The law: *such a tensor is a view, and its base is
the traced tensor.* So it is an object of its class, with its methods, and whatever torch does with
it is done with its base; what comes out is of that class again, as ``Tensor.__torch_function__``
has it, or what the ``__torch_function__`` of the class makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from symcnn.frontends.torch.tensors import TracedTensor, as_subclass

_TRACED = frozenset({TracedTensor})
#: Of no other class that a tensor could be.
_OWN = _TRACED | {int, str, float, bool, type(None)}
_DEFAULT = torch.Tensor.__torch_function__.__func__  # type: ignore[attr-defined]


class AliasFound(BaseException):
    """The first of them stands among the arguments of an operation."""


def base_of(value: object) -> TracedTensor | None:
    """The traced tensor that a tensor of another class stands for, if it does."""
    if not isinstance(value, torch.Tensor) or type(value) in _TRACED:
        return None
    with torch._C.DisableTorchFunction():
        base = value._base if value.is_meta else None
    return base if type(base) is TracedTensor else None


def classes_of(value: object) -> dict[type, None]:
    """The classes of such tensors in nested arguments, torch.Tensor among them."""
    if isinstance(value, (tuple, list)):
        others = [v for v in value if type(v) not in _OWN]
        return {kind: None for v in others for kind in classes_of(v)}
    return {} if base_of(value) is None else {type(value): None}


def on_bases(value: object) -> object:
    """Nested arguments with the traced tensors in place of them."""
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(map(on_bases, value))
    base = base_of(value)
    return value if base is None else base


def of_class(value: object, kind: type) -> object:
    """Traced tensors in a result as objects of that class."""
    if isinstance(value, (tuple, list)):
        make: Any = type(value)
        if hasattr(value, "_fields"):
            return make(*(of_class(v, kind) for v in value))
        return make([of_class(v, kind) for v in value])
    return as_subclass(value, kind) if type(value) is TracedTensor else value


def constructed(kind: type) -> Callable[..., object]:
    """The class, to be called with tensors."""

    def call(*args: object, **kwargs: object) -> object:
        if any(isinstance(a, torch.Tensor) for a in args):
            with _disable_current_modes():
                return kind(*args, **kwargs)
        return kind(*args, **kwargs)

    return call


def own_function(kind: type) -> Callable[..., object] | None:
    """The ``__torch_function__`` of a class, if it has one of its own."""
    function: Any = getattr(kind, "__torch_function__", None)
    plain = getattr(function, "__func__", function) in (_DEFAULT, _DISABLED)
    return None if plain else function


_DISABLED = torch._C._disabled_torch_function_impl
