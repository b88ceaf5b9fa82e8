"""How one layer passes on what a tensor carries of a receptive field.

What it carries, see `symcnn.questions.field.reach`. A layer whose output i reads the places
``a(i)`` to ``b(i)`` of a tensor (its axis map) substitutes them for the tensor's own index. A view
substitutes digits; patches, whose axes are coupled, an equation solved for what the output does
not name (`symcnn.algebra.taps`).

Blocks repeat, and so do formulas: what became of one through a layer is remembered, a bounded
number of them per process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from symcnn.algebra.axis import (
    IDENTITY,
    Adaptive,
    Axes,
    AxisMap,
    Const,
    Flip,
    Integer,
    Pick,
    Resample,
    Roll,
    Running,
    Scatter,
    Whole,
    Window,
)
from symcnn.algebra.expr import floordiv
from symcnn.algebra.size import Int, Size, Symbol, symbols_of
from symcnn.algebra.taps import Laid, Tap
from symcnn.errors import Undecidable
from symcnn.ops.shape import run_length
from symcnn.questions.field.reach import (
    AffineRange,
    Digits,
    IndexRange,
    ReadRange,
    Unknown,
    axes_of,
    combined,
    digit_symbols,
    index_symbol,
    least,
    limits,
    most,
    no_formula,
    over,
    pruned,
    short,
    slope_of,
    substituted,
)
from symcnn.questions.field.together import Together
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Node


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

    def size(self, x: Integer) -> Integer:
        return floordiv(x * self.p, self.q)

    def pullback(self, i: Integer, j: Integer, x: Integer | None = None) -> tuple[Integer, Integer]:
        return Const(self.p, self.mode).pullback(i, j, self.q)


# Reading through a layer -----------------------------------------------------------------------


class Reader:
    """How one layer reads one tensor: intervals through its axis maps. See `reader`."""

    def __init__(self, axes: Axes, dims: tuple[Int, ...], out: tuple[Int, ...]) -> None:
        self.dims, self.out = dims, out
        self.entries: dict[int, tuple[int | None, AxisMap]] = {}
        self.views: dict[tuple[int, ...], list[int]] = {}
        self.joint: dict[tuple[int, ...], list[Tap | Laid]] = {}
        self.whole: dict[int, bool] = {}  # whether all of an axis is read
        for o, (source, axis_map) in enumerate(axes):
            if type(source) is int:
                self.entries[source] = (o if o < len(out) else None, axis_map)
            elif source is not None:
                self.views.setdefault(source, []).append(o)  # type: ignore[arg-type]
                if isinstance(axis_map, (Tap, Laid)):
                    self.joint.setdefault(source, []).append(axis_map)  # type: ignore[arg-type]

    def read(
        self,
        reach: ReadRange,
        together: Together,
        node: Node,
        assumed: list[Condition],
        known: Callable[[Int], bool] = lambda size: False,
    ) -> ReadRange:
        """What the output of a node carries for what the tensor carries of an axis of the input;
        the formula holds for sizes that meet what is noted in `assumed`.

        together: what all places of the tensor read.
        known: whether a formula is the length of an axis.
        """
        if type(reach) is AffineRange:
            entry = self.entries.get(reach.axis)
            if entry is not None and type(window := entry[1]) is Window and entry[0] is not None:
                if window is IDENTITY:
                    return reach if entry[0] == reach.axis else replace(reach, axis=entry[0])
                step = reach.stride
                return AffineRange(
                    entry[0],
                    step * window.stride,
                    reach.left + step * window.left,
                    reach.reach + step * (window.extent - 1 - window.left),
                    reach.right + step * window.right,
                )
            reach = IndexRange(reach.first, reach.last)
        if not isinstance(reach, IndexRange) or reach.whole:
            return reach
        along = axes_of(reach.first, reach.last)
        if all(self.entries.get(a) == (a, IDENTITY) for a in along):
            return reach  # every index stays where it is
        try:
            if all(map(self._mixes, along)):
                return IndexRange(*together.ends, whole=node.name)
            found = _passed(self, reach)
            assumed += [c for c in found.assumed if c not in assumed]
            if not all(map(known, found.lengths)):
                return Unknown(no_formula())
            if found.span is None:
                return Unknown(Undecidable(found.cause, cure=found.cure))
            if not found.span.whole:
                return found.span
            low, high = together.ends
        except Undecidable as error:
            return Unknown(error)
        return IndexRange(
            most(found.span.first, low), least(found.span.last, high), whole=node.name
        )

    def _mixes(self, axis: int) -> bool:
        """Whether each output reads all places along an axis."""
        axis_map = self.entries.get(axis, (None, None))[1]
        return not any(axis in source for source in self.views) and (
            axis_map is None or isinstance(axis_map, Whole)
        )

    def reads_all(self, reach: ReadRange) -> bool:
        """Whether the outputs together read all places along the axes of a reach."""
        if type(reach) is AffineRange:
            axis = reach.axis
            if (whole := self.whole.get(axis)) is None:
                whole = self.whole[axis] = self._reads_all(axis)
            return whole
        return type(reach) is Unknown or all(map(self._reads_all, axes_of(reach.first, reach.last)))

    def _reads_all(self, axis: int) -> bool:
        for source in self.views:
            if axis in source:
                return source not in self.joint
        axis_map = self.entries.get(axis, (None, None))[1]
        if type(axis_map) is Window:
            sides = axis_map.left, axis_map.right - axis_map.stride + 1
            return axis_map is IDENTITY or all(type(s) is int and s >= 0 for s in sides)
        return axis_map is None or isinstance(axis_map, (Whole, Running, Roll, Flip, Adaptive))

    def substituted(
        self, span: IndexRange, assumed: list[Condition], lengths: list[Int]
    ) -> IndexRange:
        """The formulas by the output's indices; `whole` says only whether all is mixed."""
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
                for symbol, size in digit_symbols(axis, digits.get(axis), self.dims[axis]):
                    first, last = over(first, last, symbol, [0, size - 1], size == 2, lengths)
            else:
                if axis in digits:
                    first, last = combined(first, last, digits[axis])
                place = _mark(index_symbol(o)) if o is not None else 0
                stretched = _stretch(axis_map, self.dims[axis], assumed)
                places, every = _places(stretched, place, self.dims[axis])
                first, last = over(first, last, index_symbol(axis), places, every, lengths)
        first, last = substituted(first, renamed), substituted(last, renamed)
        for source in viewed:
            if source in self.joint:
                for axis in digits.keys() & {*source}:
                    first, last = combined(first, last, digits[axis])
                first, last = self._coupled(source, first, last)
                continue
            swap = self._view(source, digits, result)
            first, last = substituted(first, swap), substituted(last, swap)
        first, last = _unmarked(first), _unmarked(last)
        first, last = pruned(first, last, limits(self.out, result))
        if mixed and not axes_of(first, last):
            return IndexRange(first, last, whole=_MIXED)
        return IndexRange(first, last, tuple(sorted(result, key=lambda d: d.axis)))

    def _coupled(self, source: tuple[int, ...], first: Int, last: Int) -> tuple[Int, Int]:
        """Ends by the output's indices where axes are read together."""
        outs, maps = self.views[source], self.joint[source]
        if isinstance(maps[0], Tap):
            place: Int = 0
            for o, tap in zip(outs, maps, strict=True):
                assert isinstance(tap, Tap)
                place = place + _mark(index_symbol(o)) * tap.step + tap.shift
            swap = {index_symbol(source[0]).name: place}
            return substituted(first, swap), substituted(last, swap)
        (laid,), (tap_axis, patch_axis) = maps, source
        assert isinstance(laid, Laid)
        y = _mark(index_symbol(outs[0]))
        patch = index_symbol(patch_axis)
        places, every = _places(laid.scatter, y, self.dims[patch_axis])
        if tap_axis in axes_of(first, last):
            if laid.dilation != 1:
                raise Undecidable(
                    "which tap of a dilated patch an output reads is no formula in the index",
                    cure="ask at a size: .at(H=..., W=...)",
                )
            tap = y + laid.padding - patch.size() * laid.stride
            swap = {index_symbol(tap_axis).name: tap}
            first, last = substituted(first, swap), substituted(last, swap)
        return over(first, last, patch, places, every)

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
            old += digit_symbols(axis, own, self.dims[axis])
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
        swap |= {symbol.name: 0 for symbol, _ in old}  # what is left has size 1
        return swap


class _Passed(NamedTuple):
    """The formulas that a layer made of others, under which assumptions; or why there are none."""

    span: IndexRange | None
    assumed: tuple[Condition, ...]
    lengths: tuple[Int, ...] = ()  # what has to be the length of an axis
    cause: str = ""
    cure: str = ""


@lru_cache(maxsize=1024)
def reader(axes: Axes, dims: tuple[Int, ...], out: tuple[Int, ...]) -> Reader:
    """How a layer with these axis maps reads a tensor of the sizes `dims`; `out` are its own."""
    return Reader(axes, dims, out)


@lru_cache(maxsize=4096)
def _passed(reader: Reader, span: IndexRange) -> _Passed:
    assumed: list[Condition] = []
    lengths: list[Int] = []
    try:
        found = short(reader.substituted(span, assumed, lengths))
        return _Passed(found, tuple(assumed), tuple(lengths))
    except Undecidable as error:
        return _Passed(None, tuple(assumed), (), error.cause, error.cure)


#: In place of the name of the node that mixes all.
_MIXED = "mixed"


# While indices are being replaced, the new ones are marked, so that none is replaced twice.


@lru_cache(maxsize=1024)
def _mark(symbol: Symbol) -> Size:
    return Symbol("'" + symbol.name, low=0).size()


def _unmarked(expr: Int) -> Int:
    names = [n for n in symbols_of(expr) if n[0] == "'"]
    return substituted(expr, {n: Symbol(n[1:], low=0).size() for n in names})
