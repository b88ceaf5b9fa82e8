"""What a tensor carries of a receptive field, and how a layer passes it on.

Per axis of the input a tensor carries the first and the last index that can reach it, as formulas
in its own indices. A layer whose output i reads the places ``a(i)`` to ``b(i)`` of a tensor (its
axis map, see `symcnn.algebra.axis`) substitutes them; several operands are united by min and max.
Three laws make it small:

* ends go to ends, since what an output reads moves monotonely with it; so intervals are enough,
  and where a formula does not move so, all its places are tried, or it is refused (`Unknown`);
* a window after a window is a window, so along a chain the formulas are four numbers (`Line`);
* a view changes the notation of an index, not the index: an axis is a list of `Digits`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, Union

import sympy

from symcnn.algebra.axis import (
    IDENTITY,
    Axes,
    AxisMap,
    Const,
    Pick,
    Resample,
    Scatter,
    Whole,
    Window,
)
from symcnn.algebra.expr import to_sympy
from symcnn.algebra.size import (
    Floor,
    Int,
    Max,
    Size,
    Symbol,
    floordiv,
    minimum,
    sharp_lower,
    symbols_of,
)
from symcnn.errors import SymcnnError, Undecidable
from symcnn.ops.shape import run_length
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Node

__all__ = [
    "Digits",
    "Line",
    "Reach",
    "Reader",
    "Span",
    "Unknown",
    "axes_of",
    "index_symbol",
    "is_index",
    "least",
    "most",
    "plain_ends",
    "sign",
    "slope_of",
    "substituted",
    "united",
]


@lru_cache(maxsize=1024)
def index_symbol(axis: int, digit: int | None = None) -> Symbol:
    """The index along an axis of a tensor, or one digit of it."""
    return Symbol(f"i{axis}" if digit is None else f"i{axis}.{digit}", low=0)


# What a tensor carries per axis of the input ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
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
class Span:
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


Reach = Union[Line, Span, Unknown]


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


def sign(expr: Int, name: str) -> int | None:
    """+1 if `expr` never falls as the index grows, -1 if it never rises, 0 if it is the same
    throughout; None if that is not plain.
    """
    if isinstance(expr, int):
        return 0
    signs = set()
    for mono, coeff in expr.terms.items():
        for atom, power in mono:
            if isinstance(atom, Symbol):
                way: int | None = int(atom.name == name)
            elif name not in symbols_of(*atom.args):
                way = 0
            elif isinstance(atom, Floor) and name not in symbols_of(atom.den):
                way = sign(atom.num, name)
            elif isinstance(atom, Max):
                inner = {sign(a, name) for a in atom.args} - {0}
                way = inner.pop() if len(inner) == 1 else None if inner else 0
            else:
                way = None
            others = all(a.low is not None and a.low >= 0 for a, _ in mono if a is not atom)
            if way is None or (way and not (others and power == 1)):
                return None
            if way:
                signs.add(way if coeff > 0 else -way)
    if len(signs) > 1:
        return None
    return signs.pop() if signs else 0


def _lowest(expr: Int, symbol: Symbol, places: Sequence[Int], all_of_them: bool) -> Int:
    """The least value of `expr` as the index runs over `places`, of which there may be more
    between the first and the last one, unless it is `all_of_them`.
    """
    if isinstance(expr, int):
        return expr
    if len(places) == 1:
        return expr.subs({symbol.name: places[0]})
    way = sign(expr, symbol.name)
    if way is not None:
        return expr.subs({symbol.name: places[0 if way >= 0 else -1]})
    if not all_of_them:
        raise Undecidable(
            "the receptive field has no closed formula here",
            cure="ask at a size: .at(H=..., W=...)",
        )
    found = expr.subs({symbol.name: places[0]})
    for place in places[1:]:
        found = least(found, expr.subs({symbol.name: place}))
    return found


def _places(axis_map: AxisMap, i: Int, x: Int) -> tuple[list[Int], bool]:
    """The places that output `i` reads, in order, and whether these are all."""
    if isinstance(axis_map, Window):
        first = axis_map.stride * i - axis_map.left
        span = axis_map.extent - 1
        if span == 0:
            return [first], True
        if isinstance(span, int) and isinstance(axis_map.dilation, int) and span <= 64:
            return [first + t for t in range(0, span + 1, axis_map.dilation)], True
        return [first, first + span], False
    if isinstance(axis_map, Scatter) and isinstance(axis_map.stride, int):
        if not isinstance(axis_map.extent, int) or not isinstance(axis_map.dilation, int):
            raise Undecidable("a transposed convolution of symbolic kernel and fixed stride")
        if axis_map.gaps:
            raise Undecidable(
                "outputs between the taps of a transposed convolution read nothing, so its"
                " receptive field is no interval formula",
                cure="ask at a size: .at(H=..., W=...)",
            )
        first, last, _ = axis_map.progression(i)
        if axis_map.dilation == 1 and axis_map.extent >= axis_map.stride:
            first, last = axis_map.pullback(i, i)
        return ([first] if first == last else [first, last]), False
    first, last = axis_map.pullback(i, i, x)
    neighbours = getattr(axis_map, "mode", "") == "linear"
    return ([first] if first == last else [first, last]), neighbours


def _stretch(axis_map: AxisMap, x: Int, assumed: list[Condition]) -> AxisMap:
    """A resize to a size that grows with the input, as the scale it has where sizes divide.

    Where the ratio of the sizes is no constant (``H`` against ``(H + 1)//2``), the formula holds
    for the sizes at which it is what it is for large ones; they are noted in `assumed`.
    """
    if isinstance(axis_map, Resample) and (axis_map.recompute or axis_map.align_corners):
        axis_map = axis_map.stretch(x)
    if isinstance(axis_map, Resample) and not isinstance(axis_map.scale, Size):
        grown = Fraction(axis_map.scale).limit_denominator(64)
        may_copy = axis_map.mode == "linear" or axis_map.beside is not None
        if may_copy and 1 < grown < 3 and grown.denominator > 1:
            more = Condition(axis_map.size(x), ">=", grown.__floor__() * x + 1, "torch copies")
            if more not in assumed and not (isinstance(x, int) and more.holds({})):
                assumed.append(more)
    if isinstance(axis_map, Const) and x == 1:
        return Pick(0)
    if not isinstance(axis_map, Const) or axis_map.align_corners or axis_map.antialias:
        return axis_map
    y = axis_map.length
    if isinstance(y, int) and isinstance(x, int):
        ratio = Fraction(y, x)
    else:
        (names,) = {symbols_of(y, x)}
        if len(names) != 1 or not symbols_of(y) or not symbols_of(x):
            return axis_map
        (name,) = names
        above, below = slope_of(y, name), slope_of(x, name)
        if not (above.is_Rational and below.is_Rational and above * below):
            return axis_map
        both = above / below
        ratio = Fraction(int(both.p), int(both.q))
        scaled = Condition(
            y * ratio.denominator, "==", x * ratio.numerator, "the scale of a resize"
        )
        if scaled.lhs != scaled.rhs and scaled not in assumed:
            assumed.append(scaled)
    return _Ratio(ratio.numerator, ratio.denominator, axis_map.mode)


@dataclass(frozen=True, slots=True)
class _Ratio(AxisMap):
    """A stretch by p/q."""

    p: int
    q: int
    mode: Any

    def size(self, x: Any) -> Any:
        return floordiv(x * self.p, self.q)

    def pullback(self, i: Any, j: Any, x: Any = None) -> tuple[Any, Any]:
        return Const(self.p, self.mode).pullback(i, j, self.q)


def slope_of(expr: Int, name: str) -> Any:
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
    return sympy.nsimplify(total) if total.is_number else total


# Reading through a layer -----------------------------------------------------------------------


class Reader:
    """How one layer reads one tensor: intervals through its axis maps."""

    def __init__(
        self, node: Node, axes: Axes, dims: tuple[Int, ...], out: tuple[Int, ...], assumed: Any
    ) -> None:
        self.node, self.dims, self.out, self.assumed = node, dims, out, assumed
        self.entries: dict[int, tuple[int | None, AxisMap]] = {}
        self.views: dict[tuple[int, ...], list[int]] = {}
        for o, (source, axis_map) in enumerate(axes):
            if type(source) is int:
                self.entries[source] = (o if o < len(out) else None, axis_map)
            elif source is not None:
                self.views.setdefault(source, []).append(o)  # type: ignore[arg-type]

    def read(self, reach: Reach, length: Int) -> Reach:
        """What the output carries for what the tensor carries, of an input axis of `length`."""
        if type(reach) is Line:
            entry = self.entries.get(reach.axis)
            if entry is not None and type(window := entry[1]) is Window and entry[0] is not None:
                if window is IDENTITY:
                    return reach if entry[0] == reach.axis else replace(reach, axis=entry[0])
                step = reach.stride
                return Line(
                    entry[0],
                    step * window.stride,
                    reach.left + step * window.left,
                    reach.reach + step * (window.extent - 1 - window.left),
                    reach.right + step * window.right,
                )
            reach = Span(reach.first, reach.last)
        if not isinstance(reach, Span) or reach.whole:
            return reach
        if all(self.entries.get(a) == (a, IDENTITY) for a in axes_of(reach.first, reach.last)):
            return reach  # every index stays where it is
        try:
            return _short(self._substituted(reach, length))
        except Undecidable as error:
            return Unknown(error)

    def _substituted(self, span: Span, length: Int) -> Span:
        digits = {d.axis: d for d in span.digits}
        depends = axes_of(span.first, span.last)
        viewed = [source for source in self.views if depends & set(source)]
        first, last = span.first, span.last
        result: list[Digits] = []
        renamed: dict[str, Int] = {}
        mixed = False
        for axis in sorted(depends.difference(*viewed)):
            o, axis_map = self.entries.get(axis, (None, None))
            shifted = type(axis_map) is Window and axis_map.extent == axis_map.stride == 1
            if o is not None and (axis_map is IDENTITY or (shifted and axis in digits)):
                assert isinstance(axis_map, Window)
                if axis in digits:
                    old = digits[axis]
                    result.append(Digits(o, old.sizes, old.shift + axis_map.left))
                    for d in range(len(old.sizes)):
                        renamed[index_symbol(axis, d).name] = _mark(index_symbol(o, d))
                else:
                    renamed[index_symbol(axis).name] = _mark(index_symbol(o))
            elif axis_map is None or isinstance(axis_map, Whole):
                mixed = True
                for symbol, size in _symbols(axis, digits.get(axis), self.dims[axis]):
                    first, last = _over(first, last, symbol, [0, size - 1], size == 2)
            else:
                if axis in digits:
                    first, last = _combined(first, last, digits[axis])
                place = _mark(index_symbol(o)) if o is not None else 0
                stretched = _stretch(axis_map, self.dims[axis], self.assumed)
                places, every = _places(stretched, place, self.dims[axis])
                first, last = _over(first, last, index_symbol(axis), places, every)
        first, last = substituted(first, renamed), substituted(last, renamed)
        for source in viewed:
            swap = self._view(source, digits, result)
            first, last = substituted(first, swap), substituted(last, swap)
        first, last = _unmarked(first), _unmarked(last)
        if mixed and not axes_of(first, last):
            return Span(most(first, 0), least(last, length - 1), whole=self.node.name)
        return Span(first, last, tuple(sorted(result, key=lambda d: d.axis)))

    def _view(
        self, source: tuple[int, ...], digits: dict[int, Digits], result: list[Digits]
    ) -> dict[str, Int]:
        """The digits of the source axes, dealt out to the axes of the view."""
        swap: dict[str, Int] = {}
        old: list[tuple[Symbol, Int]] = []
        for axis in source:
            own = digits.get(axis)
            if own is not None and own.shift != 0:
                raise Undecidable("a view of an axis that holds more than the digits it had")
            old += _symbols(axis, own, self.dims[axis])
        outs = self.views[source]
        new = [(o, self.out[o]) for o in outs]
        while new:
            a, b = run_length([s for _, s in old], [s for _, s in new])
            run, parts = old[:a], new[:b]
            old, new = old[a:], new[b:]
            if len(parts) == 1:  # several digits, or one, make an axis
                o = parts[0][0]
                if len(run) == 1:
                    swap[run[0][0].name] = _mark(index_symbol(o))
                else:
                    result.append(Digits(o, tuple(size for _, size in run)))
                    for d, (symbol, _) in enumerate(run):
                        swap[symbol.name] = _mark(index_symbol(o, d))
                continue
            place: Int = 0
            for o, size in parts:
                place = place * size + _mark(index_symbol(o))
            for symbol, size in reversed(run):  # a digit split; or, if need be, all written anew
                swap[symbol.name] = place if symbol is run[0][0] else place % size
                place = place // size
        return swap


def axes_of(*exprs: Int) -> set[int]:
    """The axes whose indices stand in formulas."""
    return {int(n[1:].partition(".")[0]) for n in symbols_of(*exprs) if is_index(n)}


#: Formulas of more terms than this are no formulas that anyone would read.
_LONGEST = 60


def _short(span: Span) -> Span:
    """The span; Undecidable if its formulas have grown beyond use."""
    if _terms(span.first) + _terms(span.last) > _LONGEST:
        raise Undecidable(
            "the receptive field has no short formula here",
            cure="ask at a size: .at(H=..., W=...)",
        )
    return span


def _terms(expr: Int) -> int:
    if isinstance(expr, int):
        return 1
    return len(expr.terms) + sum(_terms(a) for atom in expr.atoms() for a in atom.args)


# While indices are being replaced, the new ones are marked, so that none is replaced twice.


@lru_cache(maxsize=1024)
def _mark(symbol: Symbol) -> Size:
    return Symbol("'" + symbol.name, low=0).size()


def _unmarked(expr: Int) -> Int:
    names = [n for n in symbols_of(expr) if n[0] == "'"]
    return substituted(expr, {n: Symbol(n[1:], low=0).size() for n in names})


def substituted(expr: Int, values: Mapping[str, Int]) -> Int:
    """The formula with symbols replaced."""
    return expr if isinstance(expr, int) or not values else expr.subs(values)


def is_index(name: str) -> bool:
    """Whether a symbol is an index, not a size."""
    return name[0] == "i" and name[1:].replace(".", "").isdecimal()


def _symbols(axis: int, digits: Digits | None, size: Int) -> list[tuple[Symbol, Int]]:
    """The digits of an axis, most significant first, each with its size."""
    if digits is None:
        return [(index_symbol(axis), size)]
    return [(index_symbol(axis, d), n) for d, n in enumerate(digits.sizes)]


def _over(
    first: Int, last: Int, symbol: Symbol, places: Sequence[Int], every: bool
) -> tuple[Int, Int]:
    return _lowest(first, symbol, places, every), -_lowest(-last, symbol, places, every)


def _combined(first: Int, last: Int, digits: Digits) -> tuple[Int, Int]:
    """An axis written in digits, by its index again."""
    place: Int = index_symbol(digits.axis).size() - digits.shift
    swap: dict[str, Int] = {}
    for d in reversed(range(1, len(digits.sizes))):
        swap[index_symbol(digits.axis, d).name] = place % digits.sizes[d]
        place = place // digits.sizes[d]
    swap[index_symbol(digits.axis, 0).name] = place
    return substituted(first, swap), substituted(last, swap)


def united(reaches: Sequence[Any], length: Int, dims: tuple[Int, ...]) -> Reach:
    """What any of several operands is reached from: of an input axis of `length`, by an output of
    the sizes `dims`.
    """
    one: Reach = reaches[0]
    if all(r == one for r in reaches[1:]):
        return one
    for r in reaches:
        if type(r) is Unknown:
            return r
    for r in reaches:
        if isinstance(r, Span) and r.whole and (r.first, r.last) == (0, length - 1):
            return r
    if isinstance(one, Line) and all(
        type(r) is Line and r.axis == one.axis and r.stride == one.stride for r in reaches
    ):
        return _one_window(reaches)
    spans = [Span(r.first, r.last) if type(r) is Line else r for r in reaches]
    try:
        fixed = [s for s in spans if s.whole]
        if fixed:  # what all indices see together, one of them does not see beyond
            spans = [s for s in spans if s.whole or not _within(s, fixed[0], length, dims)]
        digits = dict.fromkeys(d for s in spans for d in s.digits)
        if len({d.axis for d in digits}) < len(digits):  # the same axis, in other digits
            spans = [s if s.whole else Span(*plain_ends(s)) for s in spans]
            digits = {}
        first, last = spans[0].first, spans[0].last
        for span in spans[1:]:
            first, last = least(first, span.first), most(last, span.last)
        if not axes_of(first, last):
            whole = next((s.whole for s in spans if s.whole), "")
            return Span(first, last, whole=whole)
        return _short(Span(first, last, tuple(sorted(digits, key=lambda d: d.axis))))
    except Undecidable as error:
        return Unknown(error)


def _one_window(lines: Sequence[Line]) -> Line:
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
    return Line(one.axis, one.stride, left, reach, right)


def _within(span: Span, fixed: Span, length: Int, dims: tuple[Int, ...]) -> bool:
    """Whether no index along `dims` sees more than what is `fixed`."""
    first, last = span.first, span.last
    digits = {d.axis: d for d in span.digits}
    for axis in axes_of(first, last):
        for symbol, size in _symbols(axis, digits.get(axis), dims[axis]):
            first, last = _over(first, last, symbol, [0, size - 1], size == 2)
    first, last = most(first, 0), least(last, length - 1)
    low, high = sharp_lower(first - fixed.first), sharp_lower(fixed.last - last)
    return low is not None and low >= 0 and high is not None and high >= 0


def plain_ends(reach: Line | Span) -> tuple[Int, Int]:
    """First and last index by the indices of the axes, without digits."""
    first, last = reach.first, reach.last
    for digits in reach.digits if type(reach) is Span else ():
        first, last = _combined(first, last, digits)
    return first, last
