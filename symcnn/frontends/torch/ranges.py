"""A range of python up to a size, ``range(h)``, and the list of its numbers.

The law: *the numbers of a range are those that arange makes.* So ``torch.tensor(range(h))``,
``np.array(list(range(h)))`` and ``np.meshgrid(range(w), range(h))`` are that, for every h. Whoever
goes through the numbers makes python count them: the sizes are numbers from there on.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from symcnn.frontends.torch.arrays import Array
from symcnn.frontends.torch.created import ARRAYS, array_of
from symcnn.frontends.torch.repeated import Late
from symcnn.frontends.torch.sizes import SIZES, Dim, largest


class Range:
    """``range(start, stop, step)``, with sizes among these and a step that rises."""

    def __init__(self, start: int | Dim, stop: int | Dim, step: int) -> None:
        self.start, self.stop, self.step = start, stop, step

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return range

    @property
    def length(self) -> object:
        """How many numbers there are."""
        return largest((0, -((self.start - self.stop) // self.step)))

    @property
    def array(self) -> object:
        """Its numbers as an array of numpy."""
        return ARRAYS["arange"](self.start, self.stop, self.step)

    def settle(self) -> range:
        """The range with its numbers counted."""
        return range(*map(operator.index, (self.start, self.stop, self.step)))

    def __array__(self, *args: object, **kwargs: object) -> object:
        import numpy as np

        numbers: Any = np.array(self.settle())
        return numbers.__array__(*args, **kwargs)

    def __array_function__(
        self,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object:
        return function(*map(counted, args), **{k: counted(v) for k, v in kwargs.items()})

    def __iter__(self) -> Iterator[int]:
        return iter(self.settle())

    def __reversed__(self) -> Iterator[int]:
        return reversed(self.settle())

    def __len__(self) -> int:
        return len(self.settle())

    def __bool__(self) -> bool:
        return bool(self.start < self.stop)

    def __contains__(self, number: object) -> bool:
        if type(number) not in (int, Dim):
            return number in self.settle()
        of: Any = number
        return bool(of >= self.start and of < self.stop and (of - self.start) % self.step == 0)

    def __getitem__(self, index: int | slice) -> object:
        if type(index) is slice and index.start is None and index.stop is None:
            return _range(self.start, self.stop, self.step * (index.step or 1))
        return self.settle()[index]

    def __eq__(self, other: object) -> bool:
        return self.settle() == (other.settle() if type(other) is Range else other)

    def __hash__(self) -> int:
        return hash(self.settle())

    def __reduce__(self) -> tuple[type[range], tuple[int, ...]]:
        counted = self.settle()
        return range, (counted.start, counted.stop, counted.step)

    def index(self, value: int) -> int:
        """Which of its numbers one is, as range.index."""
        return self.settle().index(value)

    def count(self, value: int) -> int:
        """How often a number is among them, as range.count."""
        return int(value in self)


class Numbers(Late):
    """The numbers of a range as a list; the list itself once somebody looks into it."""

    def __init__(self, items: Iterable[object] = (), numbers: Range | None = None) -> None:
        super().__init__(items)
        self._numbers = numbers  # None once they are counted

    def settle(self) -> list[object]:
        """The list with its numbers counted."""
        if self._numbers is not None:
            numbers, self._numbers = self._numbers, None
            super().__init__(numbers.settle())
        return self

    @property
    def array(self) -> object:
        """Its numbers as an array of numpy."""
        return [*self] if self._numbers is None else self._numbers.array

    @property
    def length(self) -> object:
        """How many numbers there are."""
        return list.__len__(self) if self._numbers is None else self._numbers.length


#: What goes up to a size.
LATE = frozenset({Range, Numbers})


def counted(value: object) -> object:
    """The array in place of a range up to a size, or of the list of one; all else as it is."""
    return value.array if type(value) in LATE else value  # type: ignore[attr-defined]


def _range(*ends: Any) -> object:
    if SIZES.isdisjoint(map(type, ends)) or not 1 <= len(ends) <= 3:
        return range(*ends)
    start, stop, step = (0, *ends, 1) if len(ends) == 1 else (*ends, 1)[:3]
    rises = type(step) is int and step > 0
    whole = all(type(n) in (int, Dim) for n in (start, stop))
    return Range(start, stop, step) if rises and whole else range(*ends)


def _list(*given: Any) -> object:
    return Numbers((), *given) if len(given) == 1 and type(given[0]) is Range else list(*given)


def _array(name: str) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        import numpy as np

        found = counted(args[0]) if args else None
        named = {**kwargs, **dict(zip(("dtype",), args[1:2], strict=False))}
        dtype: Any = named.get("dtype")
        if len(args) > 2 or not {*named} <= {"dtype"}:
            return getattr(np, name)(*args, **kwargs)
        if type(found) is not Array:
            found = array_of(found, dtype)
            return getattr(np, name)(*args, **kwargs) if found is None else found
        return found if dtype is None else found.astype(dtype)

    return call


#: Names of python that make ranges and lists, and those of numpy that make arrays of them.
STAND_INS: Mapping[str, Callable[..., object]] = {"range": _range, "list": _list}
OF_NUMPY = {name: _array(name) for name in ("array", "asarray", "asanyarray", "ascontiguousarray")}
