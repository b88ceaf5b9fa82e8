"""What a tensor carries of a receptive field, and how a layer passes it on.

Per axis of the input a tensor carries the first and the last index that can reach it, as formulas
in its own indices. A layer whose output i reads the places ``a(i)`` to ``b(i)`` of a tensor (its
axis map, see `symcnn.algebra.axis`) substitutes them; several operands are united by min and max.
Three laws make it small:

* ends go to ends, since what an output reads moves monotonely with it; so intervals are enough,
  and where a formula does not move so, all its places are tried, or it is refused (`Unknown`);
* a window after a window is a window, so along a chain the formulas are four numbers
  (`AffineRange`);
* a view changes the notation of an index, not the index: an axis is a list of `Digits`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Union

from symcnn.algebra.expr import to_sympy
from symcnn.algebra.polynomial import summed
from symcnn.algebra.size import (
    Floor,
    Int,
    Max,
    Size,
    Symbol,
    maximum,
    minimum,
    sharp_lower,
    symbols_of,
)
from symcnn.algebra.substitute import replaced
from symcnn.errors import SymcnnError, Undecidable
from symcnn.lazy import sympy


@lru_cache(maxsize=1024)
def index_symbol(axis: int, digit: int | None = None) -> Symbol:
    """The index along an axis of a tensor, or one digit of it."""
    return Symbol(f"i{axis}" if digit is None else f"i{axis}.{digit}", low=0)


# What a tensor carries per axis of the input ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class AffineRange:
    """A window: index i of `axis` is reached from ``stride*i - left`` to ``stride*i + reach``."""

    axis: int
    stride: Int
    left: Int
    reach: Int
    right: Int  # the padding on the right, fused as windows fuse

    @property
    def first(self) -> Int:
        return index_symbol(self.axis).size() * self.stride - self.left

    @property
    def last(self) -> Int:
        return index_symbol(self.axis).size() * self.stride + self.reach


@dataclass(frozen=True, slots=True)
class Digits:
    """An axis that a view has merged: its index, less `shift`, in digits of these sizes."""

    axis: int
    sizes: tuple[Int, ...]
    shift: Int = 0  # places in front that are none of them, such as a class token


@dataclass(frozen=True, slots=True)
class IndexRange:
    """First and last input index, as formulas in the tensor's indices."""

    first: Int
    last: Int
    digits: tuple[Digits, ...] = ()  # axes whose index is written in digits
    whole: str = ""  # the node through which all is mixed, so that no index is left


@dataclass(frozen=True, slots=True)
class Unknown:
    """No formula, and why; at a size there often is an answer."""

    error: SymcnnError

    @property
    def first(self) -> Int:
        raise self.error

    @property
    def last(self) -> Int:
        raise self.error


ReadRange = Union[AffineRange, IndexRange, Unknown]


def least(a: Int, b: Int) -> Int:
    """The smaller one where that is plain for all sizes and indices; else ``min(a, b)``."""
    if a == b:
        return a
    low = sharp_lower(a - b)
    if low is not None and low >= 0:
        return b
    low = sharp_lower(b - a)
    return a if low is not None and low >= 0 else minimum(a, b)


def most(a: Int, b: Int) -> Int:
    """The larger one where that is plain, as `least`."""
    return -least(-a, -b)


def sign(expr: Int, name: str, lengths: list[Int] | None = None) -> int | None:
    """+1 if `expr` never falls as the index grows, -1 if it never rises, 0 if it is the same
    throughout; None if that is not plain.

    lengths: takes what has to be the length of an axis, so that the answer holds.
    """
    if isinstance(expr, int):
        return 0
    slope, rest = _slope_and_rest(expr, name)
    signs = {_sign_of(slope, lengths)}
    if None in signs:
        return None
    for mono, coeff in rest:
        for atom, power in mono:
            if isinstance(atom, Symbol):
                way: int | None = int(atom.name == name)
            elif name not in symbols_of(*atom.args):
                way = 0
            elif isinstance(atom, Floor) and name not in symbols_of(atom.den):
                way = sign(atom.num, name, lengths)
            elif isinstance(atom, Max):
                inner = {sign(a, name, lengths) for a in atom.args} - {0}
                way = inner.pop() if len(inner) == 1 else None if inner else 0
            else:
                way = None
            others = all(a.low is not None and a.low >= 0 for a, _ in mono if a is not atom)
            if way is None or (way and not (others and power == 1)):
                return None
            if way:
                signs.add(way if coeff > 0 else -way)
    signs -= {0}
    if len(signs) > 1:
        return None
    return signs.pop() if signs else 0


def _slope_and_rest(expr: Size, name: str) -> tuple[Int, list[tuple[Any, Any]]]:
    """What the index is multiplied by, of the terms in which it stands once and as itself; and the
    other terms.
    """
    slope: Int = 0
    rest: list[tuple[Any, Any]] = []
    for mono, coeff in expr.terms.items():
        own = tuple(x for x in mono if isinstance(x[0], Symbol) and x[0].name == name)
        others = tuple(x for x in mono if x not in own)
        alone = [power for _, power in own] == [1]
        if alone and not any(name in symbols_of(*atom.args) for atom, _ in others):
            slope = summed([slope, Size({others: coeff}) if others else coeff])
        else:
            rest.append((mono, coeff))
    return slope, rest


def _sign_of(slope: Int, lengths: list[Int] | None) -> int | None:
    """The sign of what an index is multiplied by."""
    if isinstance(slope, int):
        return (slope > 0) - (slope < 0)
    for way in (1, -1):
        low = sharp_lower(slope * way)
        if low is not None and low >= 0:
            return way
    if lengths is None:
        return None
    way = 1 if max(slope.rest.values()) > 0 else -1
    lengths.append(slope * way)
    return way


def no_formula() -> Undecidable:
    """The refusal where a formula is not plain."""
    return Undecidable(
        "the receptive field has no closed formula here", cure="ask at a size: .at(H=..., W=...)"
    )


def _lowest(
    expr: Int,
    symbol: Symbol,
    places: Sequence[Int],
    all_of_them: bool,
    lengths: list[Int] | None = None,
) -> Int:
    """The least value of `expr` as the index runs over `places`, of which there may be more
    between the first and the last one, unless it is `all_of_them`.
    """
    if isinstance(expr, int):
        return expr
    if len(places) == 1:
        return expr.subs({symbol.name: places[0]})
    way = sign(expr, symbol.name, lengths)
    if way is not None:
        return expr.subs({symbol.name: places[0 if way >= 0 else -1]})
    if not all_of_them:
        raise no_formula()
    found = expr.subs({symbol.name: places[0]})
    for place in places[1:]:
        found = least(found, expr.subs({symbol.name: place}))
    return found


def slope_of(expr: Int, name: str) -> sympy.Expr:
    """How much `expr` grows per index, floors and maxima aside: a sympy expression."""
    if isinstance(expr, int):
        return sympy.Integer(0)
    total: Any = sympy.Integer(0)
    for mono, coeff in expr.terms.items():
        for atom, power in mono:
            if isinstance(atom, Symbol):
                slope = sympy.Integer(int(atom.name == name))
            elif isinstance(atom, Floor):
                slope = slope_of(atom.num, name)
                slope = slope / to_sympy(atom.den) if slope else slope
            else:
                slopes = {slope_of(a, name) for a in atom.args}
                if len(slopes) > 1:
                    raise Undecidable("branches of different strides have no single stride")
                (slope,) = slopes or {sympy.Integer(0)}
            if slope:
                rest = Size({tuple(ap for ap in mono if ap[0] is not atom): coeff})
                total = total + slope * power * to_sympy(rest)
    return sympy.nsimplify(total) if total.is_number else sympy.cancel(total)


@lru_cache(maxsize=4096)
def axes_of(*exprs: Int) -> frozenset[int]:
    """The axes whose indices stand in formulas, which go through many nodes as they are."""
    return frozenset(int(n[1:].partition(".")[0]) for n in symbols_of(*exprs) if is_index(n))


#: Formulas of more terms than this are no formulas that anyone would read.
_LONGEST = 60


def short(span: IndexRange) -> IndexRange:
    """The span; Undecidable if its formulas have grown beyond use."""
    if _terms(span.first) + _terms(span.last) > _LONGEST:
        raise Undecidable(
            "the receptive field has no short formula here", cure="ask at a size: .at(H=..., W=...)"
        )
    return span


def _terms(expr: Int) -> int:
    if isinstance(expr, int):
        return 1
    return len(expr.terms) + sum(_terms(a) for atom in expr.atoms() for a in atom.args)


def substituted(expr: Int, values: Mapping[str, Int]) -> Int:
    """The formula with symbols replaced."""
    return expr if isinstance(expr, int) or not values else expr.subs(values)


def is_index(name: str) -> bool:
    """Whether a symbol is an index, not a size."""
    return name[0] == "i" and name[1:].replace(".", "").isdecimal()


def digit_symbols(axis: int, digits: Digits | None, size: Int) -> list[tuple[Symbol, Int]]:
    """The digits of an axis, most significant first, each with its size."""
    if digits is None:
        return [(index_symbol(axis), size)]
    return [(index_symbol(axis, d), n) for d, n in enumerate(digits.sizes)]


def over(
    first: Int,
    last: Int,
    symbol: Symbol,
    places: Sequence[Int],
    every: bool,
    lengths: list[Int] | None = None,
) -> tuple[Int, Int]:
    """Both ends as an index runs over `places`: see `_lowest`."""
    low = _lowest(first, symbol, places, every, lengths)
    return low, -_lowest(-last, symbol, places, every, lengths)


def over_all(
    reach: AffineRange | IndexRange, dims: Sequence[Int], along: Collection[int] | None = None
) -> tuple[Int, Int]:
    """Both ends as indices run over all places of a tensor of the sizes `dims`, along some axes or
    along all: see `_lowest`.
    """
    if type(reach) is AffineRange and type(reach.stride) is int and along is None:
        return -reach.left, reach.stride * (dims[reach.axis] - 1) + reach.reach
    first, last = reach.first, reach.last
    digits = {d.axis: d for d in (reach.digits if type(reach) is IndexRange else ())}
    for axis in axes_of(first, last) if along is None else along:
        for symbol, size in digit_symbols(axis, digits.get(axis), dims[axis]):
            first, last = over(first, last, symbol, [0, size - 1], size == 2)
    return first, last


def combined(first: Int, last: Int, digits: Digits) -> tuple[Int, Int]:
    """An axis written in digits, by its index again."""
    place: Int = index_symbol(digits.axis).size() - digits.shift
    swap: dict[str, Int] = {}
    for d in reversed(range(1, len(digits.sizes))):
        swap[index_symbol(digits.axis, d).name] = place % digits.sizes[d]
        place = place // digits.sizes[d]
    swap[index_symbol(digits.axis, 0).name] = place
    return substituted(first, swap), substituted(last, swap)


def united(
    reaches: Sequence[ReadRange], ends: tuple[Int, Int] | None, dims: tuple[Int, ...]
) -> ReadRange:
    """What any of several operands is reached from, by an output of the sizes `dims`.

    ends: what all their places read together, where that is known.
    """
    one: ReadRange = reaches[0]
    if all(r == one for r in reaches[1:]):
        return one
    for r in reaches:  # no operand sees beyond that, whatever else is known of it
        if isinstance(r, IndexRange) and r.whole and (r.first, r.last) == ends:
            return r
    for r in reaches:
        if type(r) is Unknown:
            return r
    if isinstance(one, AffineRange) and all(
        type(r) is AffineRange and r.axis == one.axis and r.stride == one.stride for r in reaches
    ):
        return _one_window(reaches)  # type: ignore[arg-type]
    spans: list[Any] = [
        IndexRange(r.first, r.last) if type(r) is AffineRange else r for r in reaches
    ]
    found = _hull(tuple(spans), ends, dims)
    return found if isinstance(found, IndexRange) else Unknown(Undecidable(found[0], cure=found[1]))


@lru_cache(maxsize=2048)
def _hull(
    given: tuple[IndexRange, ...], ends: tuple[Int, Int] | None, dims: tuple[Int, ...]
) -> IndexRange | tuple[str, str]:
    """The hull of several spans; why there is no formula, and what to do, if there is none."""
    spans: Sequence[IndexRange] = given
    try:
        fixed = [s for s in spans if s.whole]
        if fixed and ends:  # what all indices see together, one of them does not see beyond
            spans = [s for s in spans if s.whole or not _within(s, fixed[0], ends, dims)]
        spans = _in_one_notation(spans)
        digits = dict.fromkeys(d for s in spans for d in s.digits)
        first, last = spans[0].first, spans[0].last
        for span in spans[1:]:
            first, last = least(first, span.first), most(last, span.last)
        first, last = pruned(first, last, limits(dims, digits))
        if not axes_of(first, last):
            whole = next((s.whole for s in spans if s.whole), "")
            return IndexRange(first, last, whole=whole)
        return short(IndexRange(first, last, tuple(sorted(digits, key=lambda d: d.axis))))
    except Undecidable as error:
        return error.cause, error.cure


def _in_one_notation(spans: Sequence[IndexRange]) -> list[IndexRange]:
    """The spans with every axis written alike in all: in the digits of those that have the same,
    else by its index.
    """
    kinds: dict[int, set[Digits]] = {}
    for digits in (d for s in spans for d in s.digits):
        kinds.setdefault(digits.axis, set()).add(digits)
    if not kinds:
        return list(spans)
    alike = {axis: found.pop() for axis, found in kinds.items() if len(found) == 1}
    written: list[IndexRange] = []
    for span in spans:
        if span.whole:
            written.append(span)
            continue
        first, last, kept = span.first, span.last, []
        for digits in span.digits:
            if digits.axis in alike:
                kept.append(digits)
            else:
                first, last = combined(first, last, digits)
        own = {d.axis for d in kept}
        swap = {
            index_symbol(axis).name: _place(digits)
            for axis, digits in alike.items()
            if axis not in own
        }
        kept += [alike[a] for a in sorted(axes_of(first, last) & {*alike} - own)]
        written.append(IndexRange(substituted(first, swap), substituted(last, swap), tuple(kept)))
    return written


def _place(digits: Digits) -> Int:
    """The index along an axis, from its digits."""
    place: Int = 0
    for d, size in enumerate(digits.sizes):
        place = place * size + index_symbol(digits.axis, d).size()
    return place + digits.shift


def limits(dims: Sequence[Int], digits: Iterable[Digits]) -> dict[str, Int]:
    """The largest value of every index of a tensor of these sizes, digits included."""
    found = {index_symbol(axis).name: size - 1 for axis, size in enumerate(dims)}
    for own in digits:
        for d, size in enumerate(own.sizes):
            found[index_symbol(own.axis, d).name] = size - 1
    return found


def pruned(first: Int, last: Int, most_of: Mapping[str, Int]) -> tuple[Int, Int]:
    """The two ends without the sides of a minimum or maximum that never win within the limits."""
    return _pruned(first, most_of), _pruned(last, most_of)


def _pruned(expr: Int, most_of: Mapping[str, Int]) -> Int:
    if isinstance(expr, int):
        return expr
    for atom in [a for a in expr.atoms() if isinstance(a, Max)]:
        args = list(atom.args)
        for side in atom.args:
            others = [a for a in args if a is not side]
            if others and any(_never_below(a, side, most_of) for a in others):
                args = others
        if len(args) < len(atom.args):
            expr = replaced(expr, atom, maximum(*args))
            if isinstance(expr, int):
                return expr
    return expr


def _never_below(a: Int, b: Int, most_of: Mapping[str, Int]) -> bool:
    """Whether ``a >= b`` at all indices within their limits."""
    gap = a - b
    ends: dict[str, Int] = {}
    for name in symbols_of(gap):
        if is_index(name):
            way = sign(gap, name)
            if way is None:
                return False
            ends[name] = most_of.get(name, 0) if way < 0 else 0
            if way < 0 and name not in most_of:
                return False
    low = sharp_lower(substituted(gap, ends))
    return low is not None and low >= 0


def narrowest(reaches: Sequence[ReadRange], dims: tuple[Int, ...]) -> ReadRange:
    """Of several operands, what the one of the smallest field is reached from: on large images,
    so what sees a whole axis is passed over beside what does not.
    """
    for r in reaches:
        if type(r) is Unknown:
            return r
    known: list[Any] = list(reaches)
    local = [r for r in known if type(r) is AffineRange or not r.whole] or known
    best = local[0]
    try:
        for r in local[1:]:
            if _smaller(r, best, dims):
                best = r
    except Undecidable as error:
        return Unknown(error)
    return best  # type: ignore[no-any-return]


def _smaller(
    a: AffineRange | IndexRange, b: AffineRange | IndexRange, dims: tuple[Int, ...]
) -> bool:
    """Whether the field of `a` is the smaller one."""
    gap = (b.last - b.first) - (a.last - a.first)
    digits = [d for r in (a, b) if type(r) is IndexRange for d in r.digits]
    most_of = limits(dims, digits)
    if _never_below(0, gap, most_of):
        return False
    if _never_below(gap, 0, most_of):
        return True
    names = symbols_of(gap)
    slopes = [slope_of(gap, name) for name in names if not is_index(name)]
    if not slopes or any(map(is_index, names)) or not all(s.is_number for s in slopes):
        raise Undecidable("which path has the smaller receptive field depends on the place")
    if min(slopes) < 0 < max(slopes):
        raise Undecidable("which path has the smaller receptive field depends on the sizes")
    return bool(max(slopes) > 0)


def _one_window(lines: Sequence[AffineRange]) -> AffineRange:
    """The window that holds windows of one stride."""
    one = lines[0]
    left, reach, right = one.left, one.reach, one.right
    for line in lines[1:]:
        left = most(left, line.left)
        further = most(reach, line.reach)
        if further != reach:  # the pad on the right belongs to the window that ends there
            reach, right = further, line.right
        elif line.reach == reach:
            right = most(right, line.right)
    return AffineRange(one.axis, one.stride, left, reach, right)


def _within(
    span: IndexRange, fixed: IndexRange, ends: tuple[Int, Int], dims: tuple[Int, ...]
) -> bool:
    """Whether no index along `dims` sees more than what is `fixed`."""
    first, last = over_all(span, dims)
    first, last = most(first, ends[0]), least(last, ends[1])
    low, high = sharp_lower(first - fixed.first), sharp_lower(fixed.last - last)
    return low is not None and low >= 0 and high is not None and high >= 0


def over_channels(dims: Sequence[Int], along: Collection[int]) -> bool:
    """Whether an output's place is meant with all its channels: axis 1, of fixed size, where what
    is read moves along axes behind it as well.
    """
    return 1 in along and isinstance(dims[1], int) and any(a > 1 for a in along)


def plain_ends(reach: AffineRange | IndexRange) -> tuple[Int, Int]:
    """First and last index by the indices of the axes, without digits."""
    first, last = reach.first, reach.last
    for digits in reach.digits if type(reach) is IndexRange else ():
        first, last = combined(first, last, digits)
    return first, last
