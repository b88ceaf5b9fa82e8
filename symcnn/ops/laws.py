"""The law of values of an operation: what it makes of numbers, arrays, positions, corners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from symcnn.ops.corners import Between, Corners, common_order
from symcnn.ops.piecewise import Arguments, Cases, Options

#: A number, an array, or None: what is not known.
Held = Any


#: The value of an operation on numbers.
Law = Callable[[Arguments, Options], Held]

#: The values of a tensor of a shape, from arrays, numbers, and what else the operation takes.
ArrayLaw = Callable[[Arguments, Options, Sequence[int]], Held]


@dataclass(frozen=True)
class Value:
    """The law of values of an operation.

    number: of numbers; None where one number makes no other.
    array: of arrays; by default the law of numbers, element by element.
    everywhere: where all tensors hold one number everywhere, what is made holds; by default by the
        law of numbers.
    ends: whether, called so, what it makes of the least and the largest number are the ends of what
        it makes.
    rises: for each argument whether what it makes rises with it, 1, or falls, -1; None where it
        does neither.
    positions: of numbers that are made of positions, where what it makes is that too.
    cases: of formulas of numbers, point by point.
    by_place: of formulas of numbers, and the shape of what it makes.
    moves: whether it makes the same numbers elsewhere.
    makes: what is told of what it makes, of numbers.
    parts: of several that it makes, of arrays and their shape.
    grows: whether it is a float that only grows with a number: torch computes it.
    of_none: what it makes of no elements, where that is not what it makes of them.
    lists: the lists that it makes of a list of numbers, where their length depends on these.
    """

    number: Law | None = None
    array: ArrayLaw | None = None
    everywhere: Law | None = None
    ends: Callable[[Arguments], bool] = lambda args: False
    rises: Callable[[Arguments], Sequence[int] | None] = lambda args: None
    positions: ArrayLaw | None = None
    cases: Cases | None = None
    by_place: ArrayLaw | None = None
    moves: bool = False
    makes: ArrayLaw | None = None
    parts: ArrayLaw | None = None
    grows: bool = False
    of_none: int | None = None
    lists: Callable[..., tuple[list[Any], ...]] | None = None

    def of_numbers(self, args: Arguments, kwargs: Options) -> Held:
        """The value of an operation on 0-d tensors whose values are `args`; None if not known."""
        return None if self.number is None else self.number(args, kwargs)

    def of_one_number(self, args: Arguments, kwargs: Options) -> Held:
        """What is everywhere, of tensors that are each one number everywhere; None if not known."""
        law = self.everywhere or self.number
        found = None if law is None else law(args, kwargs)
        if found is not None or self.cases is None or not _are_plain(args):
            return found
        cases = self.cases(args, kwargs) or ()
        return next(
            (
                value
                for value, given in cases
                if all(type(gap) is int and gap >= 0 for gap in given)
            ),
            None,
        )

    def of_ends(self, args: Arguments, kwargs: Options) -> Between | None:
        """What lies between what is made, where one argument lies between numbers."""
        if not self.ends(args) or sum(type(a) is Between for a in args) != 1:
            return None
        (ends,) = (a.ends for a in args if type(a) is Between)
        each = [[end if type(a) is Between else a for a in args] for end in ends]
        found = tuple(self.of_one_number(end, kwargs) for end in each)
        return Between(found) if are_whole(found) else None

    def of_corners(self, args: Arguments, kwargs: Options) -> Corners | None:
        """What is made of numbers that rise or fall along each axis."""
        ways = self.rises(args)
        if ways is None or self.number is None:
            return None
        pairs = [*zip(args, ways, strict=True)]
        moving = [a if way > 0 else -a for a, way in pairs if type(a) is Corners]
        order = common_order([a.order for a in moving])
        ends = []
        for end in (0, -1):
            each = ((a, end if way > 0 else -1 - end) for a, way in pairs)
            ends.append(
                self.number([a.ends[k] if type(a) is Corners else a for a, k in each], kwargs)
            )
        known = order is not None and all(end is not None for end in ends)
        return Corners(order, (ends[0], ends[1])) if known and order is not None else None

    def of_arrays(self, args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        """The values of a small tensor of shape `dims`, or None."""
        found = NotImplemented if self.array is None else self.array(args, kwargs, dims)
        if found is not NotImplemented:
            return found
        return None if self.number is None else _by_element(self.number, args, kwargs)


def are_whole(args: Arguments) -> bool:
    """Whether all are whole numbers, or sizes."""
    return all(isinstance(a, int) for a in args)


def _are_plain(args: Arguments) -> bool:
    """Whether all are whole numbers of python."""
    return all(type(a) in (int, bool) for a in args)


def _by_element(law: Law, args: Arguments, kwargs: Options) -> Held:
    import numpy as np

    if not any(isinstance(a, np.ndarray) for a in args):
        return None
    operands = [a for a in args if not _is_word(a)]
    if any(is_unknown(a) for a in operands):
        return None
    rest = [a for a in args if _is_word(a)]
    wide = np.broadcast_arrays(*[np.asarray(a, dtype=object) for a in operands])
    lanes = zip(*(w.flat for w in wide), strict=True)
    values = [law([*each, *rest], kwargs) for each in lanes]
    if any(v is None or type(v) is float for v in values):  # a quotient, which torch rounds sooner
        return None
    return filled_with(values, wide[0].shape)


def filled_with(values: object, dims: Sequence[int]) -> Held:
    """An array of numbers from nested lists, item by item: numpy is not to look into them."""
    import numpy as np

    flat: list[Any] = []
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, (tuple, list)):
            stack += value[::-1]
        elif isinstance(value, np.ndarray):
            stack += [*value.flat][::-1]
        elif is_unknown(value):
            return None
        else:
            flat.append(value)
    found = np.empty(len(flat), dtype=object)
    for i, value in enumerate(flat):
        found[i] = value
    return found.reshape(dims)


def _is_word(value: Any) -> bool:
    """Whether it names a dtype or a device."""
    return type(value).__name__ == "dtype" or isinstance(value, str)


def is_unknown(value: object) -> bool:
    """Whether it is neither a number nor an array of them."""
    return not isinstance(value, (int, float)) and type(value).__name__ != "ndarray"
