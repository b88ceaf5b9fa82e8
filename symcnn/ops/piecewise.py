"""Whole numbers that are told place by place: ``torch.where(i < 0, -i - 1, i)`` of positions i.

*What an operation makes of numbers it makes of the formula of a number*, case by case. What moves
places moves the positions that the formula speaks of.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from symcnn.algebra.polynomial import Symbol
from symcnn.algebra.size import (
    Int,
    Size,
    floordiv,
    maximum,
    minimum,
    mod,
    prod,
    sharp_lower,
    truncdiv,
    with_values,
)
from symcnn.lazy import cached_property
from symcnn.ops.positions import Positions, Stack, Steps
from symcnn.sets.placewise import Case, Placewise

#: What an operation is called with: numbers (None is no number), arrays of them, and the rest.
Arguments = Sequence[Any]

#: What stands beside them by name.
Options = Mapping[str, Any]

#: What an operation makes of formulas, by cases; None where it cannot say.
Cases = Callable[[Arguments, Options], list[Case] | None]

#: So many cases are told apart.
_MANY = 32


@dataclass(frozen=True, eq=False)
class Piecewise:
    """Formulas of positions, each with what is at least 0 where it holds.

    rows: the positions that the symbols in the formulas stand for.
    dims: the shape of the tensor.

    >>> H = Size.symbol("H")
    >>> i = Piecewise.of(Positions(-2, (((1, H),),)), (H,))
    >>> wrapped = Piecewise.made(lambda args, _: [(args[0] % 3, ())], [i], {}, (H,))
    >>> [str(one) for each in wrapped.everywhere.within(0, 1) for one in each]
    ['-H + 1 >= 0']
    """

    cases: tuple[Case, ...]
    rows: Mapping[str, Positions]
    dims: tuple[Int, ...]

    @classmethod
    def of(cls, told: object, dims: Sequence[Int]) -> Piecewise | None:
        """What is told of a tensor of a shape in such words; None if it cannot be."""
        if type(told) is cls:
            return told
        whole = _whole(told)
        if whole is not None:
            return cls(((whole, ()),), {}, tuple(dims))
        if type(told) is Positions:
            row = _named("0", told)
            return cls(((row[0], ()),), row[1], tuple(dims))
        return cls._of_several(told, dims) if type(told) is Stack else None

    @classmethod
    def _of_several(cls, told: Stack, dims: Sequence[Int]) -> Piecewise | None:
        """Numbers side by side: a case for each of them."""
        count = told.parts.ndim
        if told.parts.size > _MANY or count != len(dims):
            return None
        beside = [axis for axis, size in enumerate(told.parts.shape) if size > 1]
        places = {axis: _along(axis, dims) for axis in beside}
        rows, cases = dict[str, Positions](), list[Case]()
        for axis, place in places.items():
            rows |= _named(f"a{axis}", place)[1]
        for number, index in enumerate(_indices(told.parts.shape)):
            part = told.parts[index].expand(dims)
            if part is None:
                return None
            value, row = _named(f"p{number}", part)
            rows |= row
            at = (_named(f"a{axis}", places[axis])[0] - index[axis] for axis in beside)
            cases.append((value, tuple(side for gap in at for side in (gap, -gap))))
        return cls(tuple(cases), rows, tuple(dims))

    @classmethod
    def made(
        cls, law: Cases, args: Arguments, kwargs: Options, dims: Sequence[Int]
    ) -> Piecewise | None:
        """What an operation makes of these and of whole numbers, point by point."""
        rows = dict[str, Positions]()
        every = list[Sequence[tuple[Any, tuple[Int, ...]]]]()
        for arg in args:
            if type(arg) is not cls:
                whole = _whole(arg)
                every.append([(arg if whole is None else whole, ())])
                continue
            put = dict[str, Int]()
            for name, row in arg.rows.items():
                wide = row.expand(dims)
                if wide is None:
                    return None
                same = next((n for n, known in rows.items() if known == wide), f"{len(rows)}")
                put[name], named = _named(same, wide)
                rows |= named
            every.append(_put(arg.cases, put))
        cases = list[Case]()
        for each in product(*every):
            untold = any(
                type(a) is cls and value is None for a, (value, _) in zip(args, each, strict=True)
            )
            found: list[Case] | None = (
                [(None, ())] if untold else law([value for value, _ in each], kwargs)
            )
            if found is None:
                return None
            before = tuple(dict.fromkeys(one for _, given in each for one in given))
            cases += _possible((value, (*before, *given)) for value, given in found)
            if len(cases) > _MANY:
                return None
        return cls(tuple(dict.fromkeys(cases)), rows, tuple(dims))

    def moved(self, move: Callable[[Positions], object], dims: Sequence[Int]) -> Piecewise | None:
        """With all places elsewhere."""
        rows = {name: move(row) for name, row in self.rows.items()}
        if not all(type(row) is Positions for row in rows.values()):
            return None
        put, moved = dict[str, Int](), dict[str, Positions]()
        for number, (name, row) in enumerate(rows.items()):
            put[name], named = _named(f"m{number}", row)  # type: ignore[arg-type]
            moved |= named
        return Piecewise(tuple(_possible(_put(self.cases, put))), moved, tuple(dims))

    @classmethod
    def joined(
        cls, several: Sequence[Piecewise], axis: int, dims: Sequence[Int], *, new: bool
    ) -> Piecewise | None:
        """One after the other along an axis, which is new or there."""
        along = _along(axis, dims)
        place, rows = _named("along", along)
        cases, first = list[Case](), cast("Int", 0)
        for number, one in enumerate(several):
            size = 1 if new else one.dims[axis]
            put = dict[str, Int]()
            for k, (name, row) in enumerate(one.rows.items()):
                axes: list[Steps] = [*row.axes]
                axes[axis:axis] = [()] if new else []
                if len(axes) != len(dims) or len(axes[axis]) > 1:
                    return None
                step = axes[axis][0][0] if axes[axis] else 0
                axes[axis] = ((step, dims[axis]),)
                wide = Positions(row.start - step * first, tuple(axes))
                put[name], named = _named(f"j{number}.{k}", wide)
                rows |= named
            here = (place - first, first + size - 1 - place)
            cases += [(value, (*here, *given)) for value, given in _put(one.cases, put)]
            first = first + size
        return cls(tuple(cases), rows, tuple(dims)) if len(cases) <= _MANY else None

    @cached_property
    def everywhere(self) -> Placewise | None:
        """The formulas in the places themselves; None where axes are joined in several ways."""
        counts = dict[int, tuple[Int, ...]]()
        put = dict[str, Int]()
        for name, row in self.rows.items():
            total = row.start
            for axis, steps in enumerate(row.axes[::-1]):
                if not any(step for step, _ in steps):
                    continue
                if counts.setdefault(axis, _counts(steps)) != _counts(steps):
                    return None
                for k, (step, _) in enumerate(steps):
                    total = total + step * (Size.symbol(_place(axis, k)) - 1)
            put[name] = total
        places = [(_place(a, k), n) for a, parts in counts.items() for k, n in enumerate(parts)]
        return Placewise(tuple(_possible(_put(self.cases, put))), tuple(places))


def _put(cases: Sequence[Case], put: Mapping[str, Int]) -> list[Case]:
    """Cases with formulas in place of symbols; many say the same of a place."""
    formulas = {f for value, given in cases for f in (value, *given) if f is not None}
    made = {formula: with_values(formula, put) for formula in formulas}
    return [
        (None if value is None else made[value], tuple([made[formula] for formula in given]))
        for value, given in cases
    ]


#: No size of a user's has a name that begins so.
_ROW = "row "


def _counts(steps: Steps) -> tuple[Int, ...]:
    return tuple(count for _, count in steps)


def _place(axis: int, part: int) -> str:
    return f"place {axis}.{part}"


def _indices(shape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    return product(*map(range, shape))


def _along(axis: int, dims: Sequence[Int]) -> Positions:
    """The places of an axis."""
    steps = [(((1 if i == axis else 0), size),) for i, size in enumerate(dims)]
    return Positions(0, tuple(steps))


def _named(name: str, row: Positions) -> tuple[Int, dict[str, Positions]]:
    """Positions as a symbol, which is at least what they are."""
    if not row.moves:
        return row.start, {}
    lows = [sharp_lower(end) for end in row.ends]
    known = [low for low in lows if low is not None]
    low = None if len(known) < len(lows) else min(known)
    key = name if name.startswith(_ROW) else _ROW + name
    return Symbol(key, low=low).size(), {key: row}


def _possible(cases: Iterable[Case]) -> list[Case]:
    """The cases that there may be, with what is open."""
    found = list[Case]()
    for value, given in cases:
        numbers = [g for g in given if isinstance(g, int)]
        if all(number >= 0 for number in numbers):
            found.append((value, tuple(g for g in given if not isinstance(g, int))))
    return found


def _whole(value: object) -> Int | None:
    """A whole number, or a size."""
    value = getattr(value, "expr", value)
    if type(value) is float and value.is_integer():
        return int(value)
    return value if isinstance(value, (int, Size)) else None


# The laws ---------------------------------------------------------------------------------------


def _are_whole(args: Arguments) -> bool:
    return all(isinstance(a, (int, Size)) for a in args)


def formula(function: Callable[..., object], count: int = 2) -> Cases:
    """What is one formula of whole numbers."""

    def law(args: Arguments, kwargs: Options) -> list[Case] | None:
        if len(args) != count or kwargs or not _are_whole(args):
            return None
        found = function(*args)
        return None if found is None else [(cast("Int", found), ())]

    return law


def same(args: Arguments, kwargs: Options) -> list[Case] | None:
    """The number itself, whatever else is said."""
    return [(args[0], ())] if _are_whole(args[:1]) else None


def multiplied(a: Int, b: Int) -> Int | None:
    """A product of which one is a number."""
    return prod((a, b)) if isinstance(a, int) or isinstance(b, int) else None


#: By a size, these quotients are looked for.
_QUOTIENTS = range(-2, 2)


def by_a_size(function: Callable[[Int, Int], Int]) -> Cases:
    """A quotient that is rounded down, or what is left; by a size a case for each of a few."""

    def law(args: Arguments, kwargs: Options) -> list[Case] | None:
        if len(args) != 2 or kwargs or not _are_whole(args):
            return None
        a, b = args
        if isinstance(b, int):
            return [(function(a, b), ())] if b > 0 else None
        low = sharp_lower(b)
        if low is None or low < 1:
            return None
        first, *_, last = _QUOTIENTS
        found: list[Case] = [
            (q if function is floordiv else a - b * q, (a - b * q, b * (q + 1) - a - 1))
            for q in _QUOTIENTS
        ]
        return [*found, (None, (b * first - a - 1,)), (None, (a - b * (last + 1),))]

    return law


def divided(args: Arguments, kwargs: Options) -> list[Case] | None:
    """A quotient that is rounded as asked."""
    if kwargs == {"rounding_mode": "floor"}:
        return by_a_size(floordiv)(args, {})
    plain = len(args) == 2 and kwargs == {"rounding_mode": "trunc"} and _are_whole(args)
    return [(truncdiv(*args), ())] if plain and type(args[1]) is int and args[1] > 0 else None


def clamped(args: Arguments, kwargs: Options) -> list[Case] | None:
    """Within bounds, of which one may be left out."""
    bounds = {**dict(zip(("min", "max"), args[1:], strict=False)), **kwargs}
    bounds = {name: _whole(bound) for name, bound in bounds.items() if bound is not None}
    if not _are_whole([*args[:1], *bounds.values()]) or not {*bounds} <= {"min", "max"}:
        return None
    value = args[0]
    for name, extreme in (("min", maximum), ("max", minimum)):
        value = extreme(value, bounds[name]) if name in bounds else value
    return [(value, ())]


def compares(above: int | None, equal: int, below: int) -> Cases:
    """A truth: where the first is above the second, the same, or below."""

    def law(args: Arguments, kwargs: Options) -> list[Case] | None:
        if len(args) != 2 or kwargs or not _are_whole(args):
            return None
        gap = args[0] - args[1]
        if above == equal:
            return [(equal, (gap,)), (below, (-gap - 1,))]
        if equal == below:
            return [(above, (gap - 1,)), (below, (-gap,))]
        return [(above, (gap - 1,)), (equal, (gap, -gap)), (below, (-gap - 1,))]

    return law


def signs(args: Arguments, kwargs: Options) -> list[Case] | None:
    """1, 0 or -1."""
    return compares(1, 0, -1)([*args, 0], kwargs)


def truths(args: Arguments, kwargs: Options) -> list[Case] | None:
    """Whether it is not 0."""
    return compares(1, 0, 1)([args[0], 0], {})


def denied(args: Arguments, kwargs: Options) -> list[Case] | None:
    """Whether it is 0."""
    return compares(0, 1, 0)([args[0], 0], {})


#: All bits the other way round.
inverted = formula(lambda a: -1 - a, 1)

#: What is done to truths by the laws of what is done to numbers.
OF_TRUTHS = {same: truths, inverted: denied}


def of_bits(function: Callable[[int, int], int]) -> Cases:
    """What is made of the bits of numbers; of a formula the last few are a remainder."""

    def law(args: Arguments, kwargs: Options) -> list[Case] | None:
        if len(args) != 2 or kwargs or not _are_whole(args):
            return None
        if all(isinstance(a, int) for a in args):
            return [(function(*args), ())]
        for some, number in (args, args[::-1]) if function is operator.and_ else ():
            if isinstance(number, int) and number >= 0 and not number & (number + 1):
                return [(mod(some, number + 1), ())]
        return None

    return law


def of_truths(function: Callable[[bool, bool], bool]) -> Cases:
    """What is made of whether two numbers are not 0."""

    def law(args: Arguments, kwargs: Options) -> list[Case] | None:
        if len(args) != 2 or kwargs or not all(isinstance(a, int) for a in args):
            return None
        return [(int(function(args[0] != 0, args[1] != 0)), ())]

    return law


def chosen(args: Arguments, kwargs: Options) -> list[Case] | None:
    """The one or the other, by a truth."""
    named = (kwargs[name] for name in ("input", "other")[len(args) - 1 :] if name in kwargs)
    given = [*args, *map(_whole, named)]
    if len(given) != 3 or not _are_whole(given) or not isinstance(given[0], int):
        return None
    return [(given[1] if given[0] else given[2], ())]


def chosen_second(args: Arguments, kwargs: Options) -> list[Case] | None:
    """As a method of the first, which is taken where the truth is."""
    return chosen([args[1], args[0], *args[2:]], kwargs) if len(args) > 1 else None


def overwritten(args: Arguments, kwargs: Options) -> list[Case] | None:
    """A number where a truth is."""
    named = (kwargs[name] for name in ("mask", "value")[len(args) - 1 :] if name in kwargs)
    given = [*args, *named]
    return chosen([given[1], given[2], given[0]], {}) if len(given) == 3 else None
