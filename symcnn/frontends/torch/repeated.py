"""A list that python repeats as often as a size says: ``[grid] * n``.

The law: *to join n times the same is to repeat it n times.* So ``torch.stack([grid] * n)`` and
``torch.cat`` are one repeat, for every n, in as much memory. Whoever looks into the list otherwise
makes python count its places: the size is a number from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MethodDescriptorType, WrapperDescriptorType
from typing import Any

import torch


class Late(list[Any]):
    """A list that nobody has looked into."""

    def settle(self) -> list[object]:
        """The list, with its places counted."""
        raise NotImplementedError


class Repeated(Late):
    """``items * times``, for a size; the list itself once somebody looks into it."""

    def __init__(self, items: Iterable[object] = (), times: object = None) -> None:
        super().__init__(items)
        self._times: Any = times  # None once its places are counted

    def settle(self) -> list[object]:
        """The list with its places counted."""
        if self._times is not None:
            times, self._times = int(self._times), None
            super().__init__([*list.__iter__(self)] * times)
        return self

    def _sole(self) -> tuple[Any, Any]:
        """The only item and how often it stands there; None where there are others, or none, or as
        often as that is counted.
        """
        items = [*list.__iter__(self)]
        return (items[0], self._times) if len(items) == 1 else (None, None)

    def __radd__(self, other: list[object]) -> list[object]:
        return [*other, *self]


def of_repeated(
    func: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> object:
    """What a function of torch makes of arguments of which some are repeated lists."""
    first, join = args[0] if args else None, _JOINS.get(func)
    if join is not None and type(first) is Repeated and "out" not in kwargs:
        item, times = first._sole()
        if times is not None and times >= 1:
            named = {_DIM.get(k, k): v for k, v in kwargs.items()}
            return join(item, times, *args[1:], **named)
    return func(*map(_counted, args), **{k: _counted(v) for k, v in kwargs.items()})


def _counted(value: object) -> object:
    return [*value] if type(value) is Repeated else value


def _looking(method: Callable[..., object]) -> Callable[..., object]:
    def look(self: Late, *args: object, **kwargs: object) -> object:
        return method(self.settle(), *args, **kwargs)

    return look


for _name, _method in vars(list).items():
    _own = _name in ("__init__", "__getattribute__", "__repr__")
    if isinstance(_method, (WrapperDescriptorType, MethodDescriptorType)) and not _own:
        setattr(Late, _name, _looking(getattr(list, _name)))


def _catenated(t: torch.Tensor, times: Any, dim: int = 0) -> torch.Tensor:
    """As many of a tensor along an axis that it has."""
    counts: list[Any] = [1] * t.dim()
    counts[dim] = times
    return t.repeat(counts)


def _stacked(t: torch.Tensor, times: Any, dim: int = 0) -> torch.Tensor:
    """The same along a new axis."""
    return _catenated(t.unsqueeze(dim), times, dim)


def _filled(number: Any, times: Any, **options: Any) -> torch.Tensor:
    """A number as often; nested lists are numbers of another tensor."""
    if isinstance(number, (list, tuple)):
        return torch.tensor([number] * int(times), **options)
    return torch.full((times,), number, **options)


#: Numpy's name of an axis.
_DIM = {"axis": "dim"}

#: What joins the items of a list.
_JOINS: Mapping[Any, Callable[..., torch.Tensor]] = {
    torch.stack: _stacked,
    torch.cat: _catenated,
    torch.concat: _catenated,
    torch.concatenate: _catenated,
    torch.tensor: _filled,
}
