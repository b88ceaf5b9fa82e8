"""Tensors in objects that are no containers: what a forward returns may be a distribution, a batch,
a namespace.

The law: *an object is the attributes that hold tensors*: the public ones, or all where no public
one does. What is called (a function, a class, a module) is no data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from symcnn.trace.graph import Shape, fields_of, with_fields

IsTensor = Callable[[object], bool]


def attributes_of(value: object, is_tensor: IsTensor) -> Mapping[str, object]:
    """The attributes of an object that hold tensors; none of what is itself one, or a container."""
    return _attributes(value, is_tensor, ())


def _attributes(
    value: object, is_tensor: IsTensor, above: tuple[object, ...]
) -> Mapping[str, object]:
    held = getattr(value, "__dict__", None)
    if not held or callable(value) or is_tensor(value) or _parts(value) is not None:
        return {}
    if any(value is other for other in above):
        return {}
    found = {k: v for k, v in held.items() if _holds(v, is_tensor, (*above, value))}
    return {k: v for k, v in found.items() if not k.startswith("_")} or found


def _parts(value: object) -> Mapping[Any, object] | None:
    """What a container holds; None of what is none."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (tuple, list)):
        return {} if isinstance(value, Shape) else dict(enumerate(value))
    return fields_of(value)


def _holds(value: object, is_tensor: IsTensor, above: tuple[object, ...]) -> bool:
    if is_tensor(value):
        return True
    parts = _parts(value)
    inner = _attributes(value, is_tensor, above) if parts is None else parts
    return any(_holds(v, is_tensor, above) for v in inner.values())


def opened(value: object, is_tensor: IsTensor) -> object:
    """Nested values with a dict of its attributes in place of every object that holds tensors."""
    parts = None if is_tensor(value) else _parts(value)
    if parts is None:
        held = attributes_of(value, is_tensor)
        return {k: opened(v, is_tensor) for k, v in held.items()} if held else value
    new = {k: opened(v, is_tensor) for k, v in parts.items()}
    kind: Any = type(value)
    if isinstance(value, Mapping) and not issubclass(kind, dict):
        return new
    if all(new[k] is v for k, v in parts.items()):
        return value
    if issubclass(kind, dict):
        return new
    if isinstance(value, (tuple, list)):
        return kind(*new.values()) if hasattr(kind, "_fields") else kind(new.values())
    return with_fields(value, new)
