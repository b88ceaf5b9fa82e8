"""The shape of a traced tensor, as user code sees it."""

from __future__ import annotations

import math
from typing import Any

import torch


class Sizes(tuple[Any, ...]):
    """The shape of a traced tensor: a tuple of ints and `Dim`s, a torch.Size by its class."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return torch.Size

    def __reduce__(self) -> tuple[object, ...]:
        return tuple, ((*self,),)

    def __copy__(self) -> Sizes:
        return self

    def __deepcopy__(self, memo: object) -> Sizes:
        return self

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self)  # or a size, which does what an int does

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Sizes(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        return Sizes((*self, *other))

    def __radd__(self, other: Any) -> Any:
        return Sizes((*other, *self))

    def __mul__(self, times: Any) -> Any:
        return Sizes(tuple(self) * times)

    __rmul__ = __mul__
