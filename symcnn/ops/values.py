"""Values of small tensors that are made from sizes: laws of operations, on numbers.

Models put sizes into tensors (``torch.tensor(x.shape[-1])``), compute with them and take them out
again. The value is what the same arithmetic on the sizes themselves gives,
so a law is python's own function, on numbers and sizes. A law gives None where it cannot say: of
arguments without a value, and of floats where torch rounds.

A tensor of several elements is an array of numpy's, of numbers. A tensor of any size, of one number
everywhere (a mask of ones), is that number: what moves its elements keeps it, what works point by
point makes of it what it makes of the number.
"""

from __future__ import annotations

import math
import operator
from builtins import sorted as by_size
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from symcnn.algebra.axis import Axes
from symcnn.algebra.size import Size, floordiv, maximum, minimum, mod, prod, sharp_lower
from symcnn.ops import moves
from symcnn.ops import piecewise as by_place
from symcnn.ops.corners import (
    PLACED,
    Between,
    Corners,
    of_no_negatives,
    of_two,
    over_a_number,
    over_a_size,
    upwards,
)
from symcnn.ops.laws import ArrayLaw, Held, Law, Value, are_whole, filled_with, is_unknown
from symcnn.ops.piecewise import Arguments, Options
from symcnn.ops.positions import Positions, Stack


def _always(args: Arguments) -> bool:
    return True


# Laws of numbers --------------------------------------------------------------------------------


def _same(args: Arguments, kwargs: Options) -> Held:
    return args[0]


def _together(total: Callable[[Iterable[object]], bool]) -> Callable[[Arguments], Held]:
    """All or any of truths that are told; which a size has is not asked."""
    return lambda truths: total(truths) if {*map(type, truths)} <= {bool, int} else None


def _of_truths(total: Callable[[Iterable[object]], bool]) -> Law:
    """The same of one."""
    return lambda args, kwargs: _together(total)(args[:1])


def _truncated(args: Arguments, kwargs: Options) -> Held:
    return None if args[0] is None else math.trunc(args[0])


def _as_float(args: Arguments, kwargs: Options) -> Held:
    """A size as a quotient by 1, which python takes for a float."""
    whole = isinstance(args[0], int) and type(args[0]) is not int
    return args[0] / 1 if whole else args[0]


_FLOAT_DTYPES = {"torch.float32", "torch.float64"}
_WHOLE_DTYPES = {"torch.int64", "torch.int32", "torch.int16", "torch.int8"}


def _cast(args: Arguments, kwargs: Options) -> Held:
    told = [*args[1:], *(kwargs[name] for name in ("dtype", "other") if name in kwargs)]
    dtypes = {str(a) for a in told if not isinstance(a, str)}  # a word is a device
    if not dtypes:
        return args[0]
    if dtypes <= _FLOAT_DTYPES:
        return _as_float(args[:1], {})
    return math.trunc(args[0]) if dtypes <= _WHOLE_DTYPES else None


def exact(function: Callable[..., object], cases: by_place.Cases | None = None) -> Value:
    """What is exact for all numbers, quotients of sizes too."""

    def law(args: Arguments, kwargs: Options) -> Held:
        return None if kwargs or any(a is None for a in args) else function(*args)

    return Value(law, cases=cases)


#: A power of 2 is a whole number of 32 bits up to that exponent.
_BITS = 30


def _power(args: Arguments, kwargs: Options) -> Held:
    """A power of numbers that every dtype of 32 bits holds."""
    if kwargs or len(args) != 2 or not are_whole(args) or type(args[1]) is not int:
        return None
    base, exponent = args
    if type(base) is not int:  # a size: the product, as of itself
        return math.prod([base] * exponent) if 1 <= exponent <= 3 else None
    if not 0 <= exponent <= _BITS:
        return None
    found = base**exponent
    return found if base == 2 or abs(found) <= 1 << 24 else None


def scaled(function: Callable[..., object]) -> Value:
    """A sum or a difference, whose second term torch may multiply by a number."""

    def law(args: Arguments, kwargs: Options) -> Held:
        if kwargs or any(a is None for a in args):
            return None
        first, second, *by = args
        return function(first, math.prod(by, start=second))

    def rises(args: Arguments) -> Sequence[int] | None:
        return (1, 1 if function(0, 1) == 1 else -1) if len(args) == 2 else None

    return Value(
        law,
        ends=_always,
        rises=rises,
        positions=lambda args, kwargs, dims: law(args, kwargs),
        cases=by_place.formula(function),
    )


def _of_whole(function: Callable[..., object], divides: bool = False) -> Law:
    def law(args: Arguments, kwargs: Options) -> Held:
        if kwargs or not are_whole(args) or (divides and args[1] == 0):
            return None
        return function(*args)

    return law


def whole(function: Callable[..., object], *, divides: bool = False) -> Value:
    """What is exact for whole numbers; by 0 nothing is divided."""
    return Value(_of_whole(function, divides))


def _product(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Of few numbers each by itself; of two axes each of one meets each of the other."""
    if kwargs or any(a is None for a in args):
        return None
    found: Held = operator.mul(*args)
    if found is not None or any(type(a) is not Positions for a in args):
        return found
    for few, other in (args, args[::-1]):
        stack = Stack.of(few)
        numbers = None if stack is None else stack.numbers
        if numbers is not None:
            return numbers * other
    pairs = zip(*(a.axes[::-1] for a in args), strict=False)
    if any(all(any(step for step, _ in axis) for axis in pair) for pair in pairs):
        return None
    return Between(tuple(a * b for a in args[0].ends for b in args[1].ends))


def _times(args: Arguments, kwargs: Options) -> Held:
    """Of whole numbers; by a float of few binary digits, with which torch does not round."""
    if kwargs or any(a is None for a in args):
        return None
    for by, other in (args, args[::-1]):
        if type(by) is float and math.isfinite(by):
            above, below = by.as_integer_ratio()
            number = isinstance(other, (int, float)) or hasattr(type(other), "whole")
            exact = below <= _BINARY and number
            return other * above / below if exact else None
    return operator.mul(*args) if are_whole(args) else None


#: A float is a quotient by a power of 2; by no larger one it is short.
_BINARY = 1 << 8


def _whole_by(function: Callable[[Any, int], Any]) -> Value:
    """What is made of whole numbers by a number that is not negative."""

    def law(args: Arguments, kwargs: Options) -> Held:
        plain = len(args) == 2 and type(args[1]) is int and 0 <= args[1] < _BITS
        return function(*args) if plain and not kwargs and are_whole(args) else None

    return Value(law, rises=of_no_negatives, cases=by_place.formula(_by_a_power(function)))


def _by_a_power(function: Callable[[Any, int], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: function(a, b) if type(b) is int and 0 <= b < _BITS else None


def _magnitude(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Of numbers on one side of 0, or that leave none out and go over it."""
    ends = args[0].ends
    above = [e for e in ends if _is_never_negative(e)]
    below = [-e for e in ends if _is_never_negative(-e)]
    if len(above) == len(ends):
        return args[0]
    if len(below) == len(ends):
        return -args[0]
    over = type(args[0]) is Positions and args[0].gapless and above and below
    return (
        Between((0, *above, *below)) if over and {*above, *(-e for e in below)} >= {*ends} else None
    )


def _is_never_negative(number: Any) -> bool:
    """Whether a whole number is at least 0 at all sizes, at a glance."""
    expr = getattr(number, "expr", number)
    low = sharp_lower(expr) if isinstance(expr, (int, Size)) else None
    return low is not None and low >= 0


def _clamped(args: Arguments, kwargs: Options) -> Held:
    """A whole number between bounds; a bound of None may be a tensor of which nothing is known."""
    given = [*args, *(kwargs[name] for name in ("min", "max")[len(args) - 1 :] if name in kwargs)]
    if not are_whole(given) or kwargs.keys() - {"min", "max"}:
        return None
    value, *bounds = given
    from_above = len(args) == 1 and "min" not in kwargs
    for bound, extreme in zip(
        bounds, (_smallest,) if from_above else (_largest, _smallest), strict=False
    ):
        value = extreme(value, bound)
    return value


def _remainder(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Of numbers that leave none out, from 0 to a last."""
    first, by = args[0], getattr(args[1], "expr", args[1])
    if kwargs or not isinstance(by, (int, Size)) or type(first) is not Positions:
        return None
    if not _is_never_negative(by - 1):
        return None
    if not first.gapless:
        return None
    last = sum(first.ends)
    from_0 = {*first.ends} == {0, last} and (low := sharp_lower(last)) is not None and low >= 0
    return Between((0, minimum(last, by - 1))) if from_0 else None


_ROUNDED: dict[object, Callable[..., Held]] = {"floor": math.floor, "trunc": math.trunc}


def _divided(args: Arguments, kwargs: Options) -> Held:
    """A quotient of whole numbers: of floats that are whole too, which torch rounds once."""
    args = [a if (size := getattr(a, "whole", None)) is None else size for a in args]
    rounded = _ROUNDED.get(kwargs.get("rounding_mode"))
    if rounded is None or not are_whole(args):
        return _of_whole(operator.truediv, divides=True)(args, kwargs)
    return rounded(args[0] / args[1]) if args[1] != 0 else None


def _extreme(values: Sequence[Any], sign: int) -> Held:
    """The largest of numbers, the smallest for ``sign=-1``: a size decides that itself."""
    size = next((v for v in values if hasattr(type(v), "extreme_of")), None)
    found = None if size is None else size.extreme_of(values, sign)
    return (max if sign > 0 else min)(values) if found is None else found


def _nearest_whole(args: Arguments, kwargs: Options) -> Held:
    """The nearest whole number, of two the even one: where 32 bits make no half of what is none."""
    number = args[0]
    below = getattr(number, "den", 1)
    halves = type(below) is int and (below % 2 or below & (below - 1) == 0)
    return round(number) if number is not None and halves and not kwargs else None


def _largest(*values: Any) -> Held:
    return _extreme(values, 1)


def _smallest(*values: Any) -> Held:
    return _extreme(values, -1)


# Laws of arrays ---------------------------------------------------------------------------------


def _row(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Whole numbers at equal steps."""
    named = [kwargs.get(name) for name in ("start", "end", "step")]
    given = [None, *args] if len(args) == 1 else [*args]
    start, _, step = given + named[len(given) :]
    first, by = (Positions.of(d if v is None else v) for v, d in ((start, 0), (step, 1)))
    if first is None or by is None:
        return None
    return Positions(first.start, (((by.start, dims[0]),),))


def _spread(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Equally spaced numbers: of several the first and the last are the ends."""
    named = [kwargs.get(name) for name in ("start", "end")]
    ends = tuple([*args, *named[len(args) :]][:2])
    several = type(dims[0]) is int and dims[0] > 1
    return Between(ends) if several and are_whole(ends) else None


def _shuffled(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    return Between((0, dims[0] - 1))


def _order(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """The places of an axis, in any order."""
    axis = kwargs.get("dim", next(iter(args[1:]), -1))
    return Between((0, dims[axis] - 1)) if type(axis) is int and dims else None


def _sorted(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """The same numbers, and the places at which they were."""
    told = isinstance(args[0], (Between, *PLACED))
    return [Between(args[0].ends) if told else None, _order(args, kwargs, dims)]


def _grid(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Rows of numbers, each along an axis of its own."""
    swaps = kwargs.get("indexing") == "xy" and len(args) > 1
    order = [1, 0, *range(2, len(args))] if swaps else [*range(len(args))]
    found = []
    for row, axis in zip(map(Positions.of, args), order, strict=True):
        alone = [1] * len(args)
        alone[axis] = dims[axis]
        column = None if row is None else row.reshape(alone)
        found.append(None if column is None else column.expand(dims))
    return found


def _zeros(args: Arguments, kwargs: Options) -> Held:
    """A sum of zeros, however many they are."""
    return 0 if args and args[0] == 0 else None


def _literal(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    return filled_with(args[0] if args else None, dims)


def filled(number: int) -> Value:
    """An array of one number."""
    return Value(
        array=lambda args, kwargs, dims: _full(number, dims),
        everywhere=lambda args, kwargs: number,
    )


def _full(value: Any, dims: Sequence[int]) -> Held:
    import numpy as np

    return np.full(dims, value, dtype=object)


def _fill(args: Arguments, kwargs: Options) -> Held:
    return kwargs.get("fill_value", args[-1])


def _created(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    value = _fill(args, kwargs)
    return None if is_unknown(value) else _full(value, dims)


def _nearest(args: Arguments, kwargs: Options) -> Held:
    """Of places that are copied the number; weights of other modes are rounded."""
    mode = kwargs.get("mode", args[3] if len(args) > 3 else "nearest")
    return args[0] if str(mode).startswith("nearest") else None


def _repeated(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Of places that are copied, each at least twice, the first and the last one are there."""
    if _nearest([0, *args[1:]], kwargs) is None or (found := Corners.of(args[0])) is None:
        return None
    axes = []
    for axis, size in zip(found.order.axes, dims, strict=True):
        count = prod(n for _, n in axis)
        low = sharp_lower(size - 2 * count)
        if len(axis) > 1 or not (size == count or (low is not None and low >= 0)):
            return None
        axes.append(tuple((step, size) for step, _ in axis))
    return replace(found, order=Positions(0, tuple(axes)))


def _runs_of(
    numbers: Sequence[Any],
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> tuple[list[Any], ...]:
    """Of numbers that are equal and follow each other one; where each went, how many there were."""
    kept: list[Any] = []
    places: list[int] = []
    for number in numbers:
        if not kept or number != kept[-1]:
            kept.append(number)
        places.append(len(kept) - 1)
    counts = [places.count(i) for i in range(len(kept))]
    return kept, *([places] if return_inverse else ()), *([counts] if return_counts else ())


def _each_once(
    numbers: Sequence[Any],
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> tuple[list[Any], ...]:
    order = by_size(range(len(numbers)), key=lambda i: numbers[i])
    kept, places, *counts = _runs_of([numbers[i] for i in order], True, return_counts)
    where = [place for _, place in by_size(zip(order, places, strict=True))]
    return kept, *([where] if return_inverse else ()), *counts


# The laws ---------------------------------------------------------------------------------------

#: The value itself; cut to a whole number; cast to a dtype; divided, and rounded as asked.
same = Value(_same, ends=_always, positions=moves.expanded, cases=by_place.same)
truncated = Value(
    _truncated, ends=_always, rises=upwards, positions=moves.of_whole_numbers, cases=by_place.same
)
divided = Value(_divided, rises=over_a_number, cases=by_place.divided)
cast = Value(
    _cast,
    everywhere=_same,
    ends=_always,
    rises=upwards,
    positions=moves.of_whole_numbers,
    cases=by_place.same,
)

#: A product; a quotient that is rounded down, and its remainder.
product = Value(
    _times,
    ends=_always,
    rises=of_no_negatives,
    positions=_product,
    cases=by_place.formula(by_place.multiplied),
)
floored = Value(
    _of_whole(operator.floordiv, divides=True),
    ends=lambda args: type(args[0]) is Between and type(args[1]) is int,
    rises=over_a_size,
    cases=by_place.by_a_size(floordiv),
)
remainder = Value(
    _of_whole(operator.mod, divides=True),
    positions=_remainder,
    cases=by_place.by_a_size(mod),
)

#: How far from 0; on the other side of it.
magnitude = replace(exact(abs, by_place.formula(lambda a: maximum(a, -a), 1)), positions=_magnitude)
negative = replace(
    exact(operator.neg, by_place.formula(operator.neg, 1)),
    ends=_always,
    rises=lambda args: (-1,),
    positions=lambda args, kwargs, dims: 0 - args[0],
)

#: By a power of 2; divided by one.
shifted = _whole_by(lambda a, b: a * (1 << b))
shifted_back = _whole_by(lambda a, b: a // (1 << b))

#: Rounded to a whole number.
rounded_up, rounded_down = (
    replace(exact(f, by_place.formula(lambda a: a, 1)), ends=_always, rises=upwards)
    for f in (math.ceil, math.floor)
)

rounded = Value(
    _nearest_whole,
    ends=_always,
    rises=upwards,
    cases=by_place.formula(lambda a: a, 1),
)

#: A power; that of 2; a float that grows.
power = Value(_power, rises=of_no_negatives)
power_of_2 = Value(lambda args, kwargs: _power([2, *args], kwargs))
grown = Value(grows=True)

#: A number within bounds.
clamped = Value(_clamped, ends=_always, rises=upwards, cases=by_place.clamped)

#: A row of numbers, in any order; spread between two; rows along axes of their own.
row, shuffled, spread = Value(makes=_row), Value(makes=_shuffled), Value(makes=_spread)
grid = Value(parts=_grid)

#: In their order, and the places where they were; each of one beside each of another.
in_order, order, paired = Value(parts=_sorted), Value(makes=_order), Value(positions=moves.any_of)

#: What python lists; one number everywhere.
literal = Value(_same, _literal, ends=_always, positions=moves.expanded, cases=by_place.same)
created = Value(array=_created, everywhere=_fill)


def _moves(law: ArrayLaw, ends: Callable[[Arguments], bool] = _always) -> Value:
    return Value(array=moves.of_first(law), everywhere=_same, ends=ends, positions=law, moves=True)


#: In another shape; stretched; picked by an index that is static.
shaped, expanded = _moves(lambda args, kwargs, dims: args[0].reshape(dims)), _moves(moves.expanded)
picked = _moves(moves.picked, moves.takes_all)

#: Windows of them, and what they hold.
windows = Value(positions=moves.windows, moves=True)

#: Padded.
padded = Value(positions=moves.padded)

#: Written to at such an index.
set_at = Value(array=moves.of_first(moves.set_at), positions=moves.put)

#: Where the axes of the result say.
by_axes = Value(moves=True)


def moved(axes: Axes, rank: int) -> Value:
    """The law of numbers that go where axes say, of a tensor of so many."""
    return _moves(moves.by_axes(axes, rank))


#: Cast to another dtype, which the result says; elsewhere, or several times; all or any of it;
#: resized by copying places.
recast = Value(everywhere=_same, ends=_always, positions=moves.expanded, cases=by_place.same)
as_float = replace(recast, number=_as_float)
as_truth = replace(recast, cases=by_place.truths)
kept = Value(everywhere=_same, ends=_always)
ALL, ANY = (
    Value(_of_truths(total), moves.reduced(_together(total), along=True), _same, of_none=number)
    for total, number in ((all, 1), (any, 0))
)
resized = Value(everywhere=_nearest, positions=_repeated)

#: Numbers without those that are there already: of all, of the one before.
each_once, runs_of = Value(lists=_each_once), Value(lists=_runs_of)

#: Sums and products, also along an axis; the extremes of all, or of numbers.
SUM = Value(None, moves.reduced(sum, along=True), _zeros, positions=moves.summed)
PROD = Value(array=moves.reduced(math.prod, along=True))
RUNNING = Value(array=moves.of_first(moves.running), positions=moves.running)
AMAX, AMIN = (
    Value(None, moves.reduced(partial(_extreme, sign=sign)), _same, positions=moves.of_all(total))
    for sign, total in ((1, maximum), (-1, minimum))
)
MAX, MIN = (
    Value(
        _of_whole(largest),
        all_of.array,
        rises=of_two,
        positions=all_of.positions,
        cases=by_place.formula(total),
    )
    for largest, all_of, total in ((_largest, AMAX, maximum), (_smallest, AMIN, minimum))
)

#: Truths: of a comparison (above, the same, below), of a number, of two bits.
EQ, NE, LT, LE, GT, GE = (
    exact(getattr(operator, name), by_place.compares(*told))
    for name, told in (
        ("eq", (0, 1, 0)),
        ("ne", (1, 0, 1)),
        ("lt", (0, 0, 1)),
        ("le", (0, 1, 1)),
        ("gt", (1, 0, 0)),
        ("ge", (1, 1, 0)),
    )
)
denied, signs = Value(cases=by_place.denied), Value(cases=by_place.signs)
inverted = Value(cases=by_place.inverted)
AND, OR, XOR = (
    Value(cases=by_place.of_bits(f)) for f in (operator.and_, operator.or_, operator.xor)
)
TRUE_AND, TRUE_OR, TRUE_XOR = (
    Value(cases=by_place.of_truths(f)) for f in (operator.and_, operator.or_, operator.xor)
)

#: The one or the other by a truth, which may come second; a number where one is.
chosen, chosen_second, overwritten = (
    exact(number, cases)
    for number, cases in (
        (lambda truth, one, other: one if truth else other, by_place.chosen),
        (lambda one, truth, other: one if truth else other, by_place.chosen_second),
        (lambda one, truth, other: other if truth else one, by_place.overwritten),
    )
)
