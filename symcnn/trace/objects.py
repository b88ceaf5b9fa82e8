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


def _parts(value: object) -> Mapping[Any, object] | None:
    """What a container holds; None of what is none."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (tuple, list)):
        return {} if isinstance(value, Shape) else dict(enumerate(value))
    return fields_of(value)


def _attributes(value: object, is_tensor: IsTensor) -> Mapping[str, object]:
    """All attributes of an object that is no tensor, no container, and not called."""
    held: Mapping[str, object] = getattr(value, "__dict__", {})
    plain = not callable(value) and not is_tensor(value) and _parts(value) is None
    return held if plain else {}


def _holds(value: object, is_tensor: IsTensor, seen: dict[int, object]) -> bool:
    """Whether a way leads from a value to a tensor, not through what was `seen`."""
    if is_tensor(value):
        return True
    if id(value) in seen:
        return False
    seen[id(value)] = value  # kept, so that its id is its own
    parts = _parts(value)
    inner = _attributes(value, is_tensor) if parts is None else parts
    return any(_holds(v, is_tensor, seen) for v in inner.values())


def opened(value: object, is_tensor: IsTensor, above: tuple[object, ...] = ()) -> object:
    """Nested values with a dict of its attributes in place of every object that holds tensors.

    above: the objects in which it stands; an attribute that leads back to one is left out.
    """
    parts = None if is_tensor(value) else _parts(value)
    if parts is None:
        above = (*above, value)
        every = _attributes(value, is_tensor)
        held = {k: v for k, v in every.items() if _holds(v, is_tensor, {id(o): o for o in above})}
        held = {k: v for k, v in held.items() if not k.startswith("_")} or held
        return {k: opened(v, is_tensor, above) for k, v in held.items()} if held else value
    new = {k: opened(v, is_tensor, above) for k, v in parts.items()}
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
