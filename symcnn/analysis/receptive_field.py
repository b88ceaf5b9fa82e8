"""Receptive fields: which input indices can reach an output index.

One forward pass answers for every tensor of a network at once. A tensor carries, per axis of the
input, the first and the last index that reach it, as formulas in its own indices; a layer whose
output i reads the places ``a(i)`` to ``b(i)`` of a tensor (its axis map, see `symcnn.axis`)
substitutes them, and several operands are united by min and max. Three laws make it small:

* ends go to ends, since what an output reads moves monotonely with it; so intervals are enough;
* a window after a window is a window, so along a chain the formulas are four numbers (`_Line`);
* a view changes the notation of an index, not the index: an axis is a list of digits.

The cost is linear in the edges of the graph, not in its paths. The formulas are those of the
interior: an index outside the input stands for padding. `FieldAt` makes the same pass with sets in
place of intervals: exact at a size, borders, holes and folds included.

Sources: Dumoulin and Visin, *A guide to convolution arithmetic* (2016); Araujo, Norris and Sim,
*Computing receptive fields of convolutional neural networks* (Distill, 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from math import lcm
from typing import TYPE_CHECKING, Any, Union

import sympy

from symcnn.axis import IDENTITY, Axes, AxisMap, Const, Pick, Resample, Scatter, Whole, Window
from symcnn.conditions import Condition
from symcnn.errors import BadSpec, InvalidInput, Undecidable, UnsupportedOperation
from symcnn.expr import from_sympy, to_sympy
from symcnn.graph import Node, SymbolicTensor, ancestors, public
from symcnn.ops.shape import run_length
from symcnn.size import (
    Floor,
    Int,
    Max,
    Size,
    Symbol,
    evaluate,
    exact_div,
    floordiv,
    maximum,
    minimum,
    sharp_lower,
    symbols_of,
)

if TYPE_CHECKING:
    from symcnn.network import Network

__all__ = ["Branches", "FieldAt", "ReceptiveField", "Sizes", "receptive_field"]

#: Layers whose statistics see whole axes; looked through with ``statistics=False``.
_NORMS = frozenset("group_norm layer_norm instance_norm rms_norm".split())

#: Up to this period, a receptive field that varies with the index is tried at every index.
_PERIOD = 1 << 12


@lru_cache(maxsize=1024)
def _index(axis: int, digit: int | None = None) -> Symbol:
    """The index along an axis of a tensor, or one digit of it."""
    return Symbol(f"i{axis}" if digit is None else f"i{axis}.{digit}", low=0)


# What a tensor carries per axis of the input ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A window: index i of `axis` is reached from ``stride*i - left`` to ``stride*i + reach``."""

    axis: int
    stride: Int
    left: Int
    reach: Int
    right: Int  # the padding on the right, fused as windows fuse

    @property
    def first(self) -> Int:
        return _index(self.axis).size() * self.stride - self.left

    @property
    def last(self) -> Int:
        return _index(self.axis).size() * self.stride + self.reach


@dataclass(frozen=True, slots=True)
class _Digits:
    """An axis that a view has merged: its index, less `shift`, in digits of these sizes."""

    axis: int
    sizes: tuple[Int, ...]
    shift: Int = 0  # places in front that are none of them, such as a class token


@dataclass(frozen=True, slots=True)
class _Span:
    """First and last input index, as formulas in the tensor's indices."""

    first: Int
    last: Int
    digits: tuple[_Digits, ...] = ()  # axes whose index is written in digits
    whole: str = ""  # the node through which all is mixed, so that no index is left


@dataclass(frozen=True, slots=True)
class _Unknown:
    """No formula, and why; at a size there still is an answer."""

    error: Undecidable

    @property
    def first(self) -> Int:
        raise self.error

    @property
    def last(self) -> Int:
        raise self.error


_Reach = Union[_Line, _Span, _Unknown]


def _least(a: Int, b: Int) -> Int:
    """The smaller one where that is plain for all sizes and indices; else ``min(a, b)``."""
    if a == b:
        return a
    low = sharp_lower(a - b)
    if low is not None and low >= 0:
        return b
    low = sharp_lower(b - a)
    return a if low is not None and low >= 0 else minimum(a, b)


def _most(a: Int, b: Int) -> Int:
    return -_least(-a, -b)


def _sign(expr: Int, name: str) -> int | None:
    """+1 if `expr` never falls as the index grows, -1 if it never rises, 0 if it is the same
    throughout; None if that is not plain.
    """
    if isinstance(expr, int):
        return 0
    signs = set()
    for mono, coeff in expr.terms.items():
        for atom, power in mono:
            if isinstance(atom, Symbol):
                sign: int | None = int(atom.name == name)
            elif name not in symbols_of(*atom.args):
                sign = 0
            elif isinstance(atom, Floor) and name not in symbols_of(atom.den):
                sign = _sign(atom.num, name)
            elif isinstance(atom, Max):
                inner = {_sign(a, name) for a in atom.args} - {0}
                sign = inner.pop() if len(inner) == 1 else None if inner else 0
            else:
                sign = None
            others = all(a.low is not None and a.low >= 0 for a, _ in mono if a is not atom)
            if sign is None or (sign and not (others and power == 1)):
                return None
            if sign:
                signs.add(sign if coeff > 0 else -sign)
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
    sign = _sign(expr, symbol.name)
    if sign is not None:
        return expr.subs({symbol.name: places[0 if sign >= 0 else -1]})
    if not all_of_them:
        raise Undecidable(
            "the receptive field has no closed formula here",
            cure="ask at a size: .at(H=..., W=...)",
        )
    least = expr.subs({symbol.name: places[0]})
    for place in places[1:]:
        least = _least(least, expr.subs({symbol.name: place}))
    return least


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
    if isinstance(axis_map, Resample):
        grown = Fraction(axis_map.scale).limit_denominator(64)
        if axis_map.copies and 1 < grown < 3 and grown.denominator > 1:
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
        above, below = _slope(y, name), _slope(x, name)
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


def _slope(expr: Int, name: str) -> Any:
    """How much `expr` grows per index, floors and maxima aside: a sympy expression."""
    if isinstance(expr, int):
        return sympy.Integer(0)
    total: Any = sympy.Integer(0)
    for mono, coeff in expr.terms.items():
        for atom, power in mono:
            if isinstance(atom, Symbol):
                slope = sympy.Integer(int(atom.name == name))
            elif isinstance(atom, Floor):
                slope = _slope(atom.num, name)
                slope = slope / to_sympy(atom.den) if slope else slope
            else:
                slopes = {_slope(a, name) for a in atom.args}
                if len(slopes) > 1:
                    raise Undecidable("branches of different strides have no single stride")
                (slope,) = slopes or {sympy.Integer(0)}
            if slope:
                rest = Size({tuple(ap for ap in mono if ap[0] is not atom): coeff})
                total = total + slope * power * to_sympy(rest)
    return sympy.nsimplify(total) if total.is_number else total


# Reading through a layer -----------------------------------------------------------------------


class _Reader:
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

    def read(self, reach: _Reach, length: Int) -> _Reach:
        """What the output carries for what the tensor carries, of an input axis of `length`."""
        if type(reach) is _Line:
            entry = self.entries.get(reach.axis)
            if entry is not None and type(window := entry[1]) is Window and entry[0] is not None:
                if window is IDENTITY:
                    return reach if entry[0] == reach.axis else replace(reach, axis=entry[0])
                step = reach.stride
                return _Line(
                    entry[0],
                    step * window.stride,
                    reach.left + step * window.left,
                    reach.reach + step * (window.extent - 1 - window.left),
                    reach.right + step * window.right,
                )
            reach = _Span(reach.first, reach.last)
        if type(reach) is _Unknown or reach.whole:
            return reach
        try:
            return _short(self._substituted(reach, length))
        except Undecidable as error:
            return _Unknown(error)

    def _substituted(self, span: _Span, length: Int) -> _Span:
        digits = {d.axis: d for d in span.digits}
        depends = _axes_of(span.first, span.last)
        viewed = [source for source in self.views if depends & set(source)]
        first, last = span.first, span.last
        result: list[_Digits] = []
        renamed: dict[str, Int] = {}
        mixed = False
        for axis in sorted(depends.difference(*viewed)):
            o, axis_map = self.entries.get(axis, (None, None))
            shifted = type(axis_map) is Window and axis_map.extent == axis_map.stride == 1
            if o is not None and (axis_map is IDENTITY or (shifted and axis in digits)):
                assert isinstance(axis_map, Window)
                if axis in digits:
                    old = digits[axis]
                    result.append(_Digits(o, old.sizes, old.shift + axis_map.left))
                    for d in range(len(old.sizes)):
                        renamed[_index(axis, d).name] = _mark(_index(o, d))
                else:
                    renamed[_index(axis).name] = _mark(_index(o))
            elif axis_map is None or isinstance(axis_map, Whole):
                mixed = True
                for symbol, size in _symbols(axis, digits.get(axis), self.dims[axis]):
                    first, last = _over(first, last, symbol, [0, size - 1], size == 2)
            else:
                if axis in digits:
                    first, last = _combined(first, last, digits[axis])
                place = _mark(_index(o)) if o is not None else 0
                stretched = _stretch(axis_map, self.dims[axis], self.assumed)
                places, every = _places(stretched, place, self.dims[axis])
                first, last = _over(first, last, _index(axis), places, every)
        first, last = _subs(first, renamed), _subs(last, renamed)
        for source in viewed:
            swap = self._view(source, digits, result)
            first, last = _subs(first, swap), _subs(last, swap)
        first, last = _unmarked(first), _unmarked(last)
        if mixed and not _axes_of(first, last):
            return _Span(_most(first, 0), _least(last, length - 1), whole=self.node.name)
        return _Span(first, last, tuple(sorted(result, key=lambda d: d.axis)))

    def _view(
        self, source: tuple[int, ...], digits: dict[int, _Digits], result: list[_Digits]
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
                    swap[run[0][0].name] = _mark(_index(o))
                else:
                    result.append(_Digits(o, tuple(size for _, size in run)))
                    for d, (symbol, _) in enumerate(run):
                        swap[symbol.name] = _mark(_index(o, d))
                continue
            place: Int = 0
            for o, size in parts:
                place = place * size + _mark(_index(o))
            for symbol, size in reversed(run):  # a digit split; or, if need be, all written anew
                swap[symbol.name] = place if symbol is run[0][0] else place % size
                place = place // size
        return swap


def _axes_of(*exprs: Int) -> set[int]:
    """The axes whose indices stand in formulas."""
    return {int(n[1:].partition(".")[0]) for n in symbols_of(*exprs) if _is_index(n)}


#: Formulas of more terms than this are no formulas that anyone would read.
_LONGEST = 60


def _short(span: _Span) -> _Span:
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
    return _subs(expr, {n: Symbol(n[1:], low=0).size() for n in names})


def _subs(expr: Int, values: Mapping[str, Int]) -> Int:
    return expr if isinstance(expr, int) or not values else expr.subs(values)


def _is_index(name: str) -> bool:
    return name[0] == "i" and name[1:].replace(".", "").isdecimal()


def _symbols(axis: int, digits: _Digits | None, size: Int) -> list[tuple[Symbol, Int]]:
    """The digits of an axis, most significant first, each with its size."""
    if digits is None:
        return [(_index(axis), size)]
    return [(_index(axis, d), n) for d, n in enumerate(digits.sizes)]


def _over(
    first: Int, last: Int, symbol: Symbol, places: Sequence[Int], every: bool
) -> tuple[Int, Int]:
    return _lowest(first, symbol, places, every), -_lowest(-last, symbol, places, every)


def _combined(first: Int, last: Int, digits: _Digits) -> tuple[Int, Int]:
    """An axis written in digits, by its index again."""
    place: Int = _index(digits.axis).size() - digits.shift
    swap: dict[str, Int] = {}
    for d in reversed(range(1, len(digits.sizes))):
        swap[_index(digits.axis, d).name] = place % digits.sizes[d]
        place = place // digits.sizes[d]
    swap[_index(digits.axis, 0).name] = place
    return _subs(first, swap), _subs(last, swap)


def _united(reaches: list[Any], length: Int, dims: tuple[Int, ...]) -> _Reach:
    """What any of several operands is reached from: of an input axis of `length`, by an output of
    the sizes `dims`.
    """
    one: _Reach = reaches[0]
    if all(r == one for r in reaches[1:]):
        return one
    for r in reaches:
        if type(r) is _Unknown:
            return r
    for r in reaches:
        if type(r) is _Span and r.whole and (r.first, r.last) == (0, length - 1):
            return r
    if all(type(r) is _Line and r.axis == one.axis and r.stride == one.stride for r in reaches):
        left, reach, right = one.left, one.reach, one.right
        for r in reaches[1:]:
            left = _most(left, r.left)
            further = _most(reach, r.reach)
            if further != reach:  # the pad on the right belongs to the window that ends there
                reach, right = further, r.right
            elif r.reach == reach:
                right = _most(right, r.right)
        return _Line(one.axis, one.stride, left, reach, right)
    spans = [_Span(r.first, r.last) if type(r) is _Line else r for r in reaches]
    try:
        fixed = [s for s in spans if s.whole]
        if fixed:  # what all indices see together, one of them does not see beyond
            spans = [s for s in spans if s.whole or not _within(s, fixed[0], length, dims)]
        digits = dict.fromkeys(d for s in spans for d in s.digits)
        if len({d.axis for d in digits}) < len(digits):  # the same axis, in other digits
            spans = [s if s.whole else _Span(*_plain(s)) for s in spans]
            digits = {}
        first, last = spans[0].first, spans[0].last
        for span in spans[1:]:
            first, last = _least(first, span.first), _most(last, span.last)
        if not _axes_of(first, last):
            whole = next((s.whole for s in spans if s.whole), "")
            return _Span(first, last, whole=whole)
        return _short(_Span(first, last, tuple(sorted(digits, key=lambda d: d.axis))))
    except Undecidable as error:
        return _Unknown(error)


def _within(span: _Span, fixed: _Span, length: Int, dims: tuple[Int, ...]) -> bool:
    """Whether no index along `dims` sees more than what is `fixed`."""
    first, last = span.first, span.last
    digits = {d.axis: d for d in span.digits}
    for axis in _axes_of(first, last):
        for symbol, size in _symbols(axis, digits.get(axis), dims[axis]):
            first, last = _over(first, last, symbol, [0, size - 1], size == 2)
    first, last = _most(first, 0), _least(last, length - 1)
    low, high = sharp_lower(first - fixed.first), sharp_lower(fixed.last - last)
    return low is not None and low >= 0 and high is not None and high >= 0


def _plain(reach: _Line | _Span) -> tuple[Int, Int]:
    """First and last index by the indices of the axes, without digits."""
    first, last = reach.first, reach.last
    for digits in reach.digits if type(reach) is _Span else ():
        first, last = _combined(first, last, digits)
    return first, last


# The pass --------------------------------------------------------------------------------------


def _readings(node: Node, output: int) -> Iterator[tuple[SymbolicTensor, Axes | None]]:
    """The tensors that an output reads, and how."""
    result = node.result
    same_shape = result.shapes[output] == result.shapes[0]
    declared: set[int] = set()
    if node.inputs:
        axes: Axes | None = result.parts[output] if result.parts else result.axes
        declared.add(id(node.inputs[0]))
        yield node.inputs[0], axes if same_shape or result.parts else _everything(node, output)
    for t, axes in result.others:
        declared.add(id(t))
        yield t, axes if same_shape else _everything(node, output)
    for t in node.inputs:
        if id(t) not in declared:
            declared.add(id(t))
            yield t, _everything(node, output)


def _everything(node: Node, output: int) -> Axes:
    return tuple((None, IDENTITY) for _ in node.result.shapes[output])


def _is_gate(node: Node, t: SymbolicTensor, axes: Axes | None) -> bool:
    """A factor that is the same all over space: squeeze-excite and its kin."""
    if node.op != "mul" or len(node.outputs[0].dims) < 3 or not axes:
        return False
    stretched = [type(m) is Const or s is None for s, m in axes]
    return any(stretched[1:])


@dataclass(frozen=True, slots=True)
class Branches:
    """Operands of a node whose receptive fields are not centred on each other, or move at
    different strides: the alignment check of Araujo, Norris and Sim (2019).
    """

    node: str
    axis: str
    sources: tuple[str, ...]  # the last node of each branch
    strides: tuple[Any, ...]
    centres: tuple[Any, ...]  # of output 0

    def __str__(self) -> str:
        each = (
            f"{s or 'the input'} (stride {stride}, centre {centre})"
            for s, stride, centre in zip(self.sources, self.strides, self.centres, strict=True)
        )
        return f"{self.node}: along {self.axis}, {' against '.join(each)}"


@dataclass(slots=True)
class _Pass:
    """All receptive fields of a network with respect to one tensor."""

    net: Network
    source: SymbolicTensor
    axes: tuple[int, ...]  # those of the source
    gates: bool
    statistics: bool
    reaches: dict[SymbolicTensor, tuple[Any, ...]] = field(default_factory=dict)
    branches: list[Branches] = field(default_factory=list)
    assumed: list[Condition] = field(default_factory=list)

    def run(self) -> _Pass:
        self.reaches[self.source] = tuple(_Line(a, 1, 0, 0, 0) for a in self.axes)
        for node in self.net.nodes:
            for k, out in enumerate(node.outputs):
                if out is not self.source:
                    self._node(node, k, out)
        return self

    def used(self, node: Node, output: int) -> list[tuple[SymbolicTensor, Axes]]:
        """The tensors an output reads that depend on the source, and how."""
        found = [
            (t, axes)
            for t, axes in _readings(node, output)
            if t in self.reaches and axes is not None
        ]
        if not self.gates and len(found) > 1:
            ungated = [(t, axes) for t, axes in found if not _is_gate(node, t, axes)]
            found = ungated or found
        if not self.statistics and node.op in _NORMS:
            found = [(t, tuple((i, IDENTITY) for i in range(t.ndim))) for t, _ in found]
        return found

    def _node(self, node: Node, k: int, out: SymbolicTensor) -> None:
        used = self.used(node, k)
        if not used:
            return
        if len(used) == 1 and _pointwise(used[0][1], used[0][0].dims):
            self.reaches[out] = self.reaches[used[0][0]]
            return
        lengths = [self.source.dims[a] for a in self.axes]
        carried: list[list[Any]] = [[] for _ in self.axes]
        for t, axes in used:
            if not axes and out.ndim and t.ndim:
                raise UnsupportedOperation(
                    f"{node.name}: the rule of {node.op} does not say which places it reads",
                    cure="let it return a Result with axes",
                )
            if _pointwise(axes, t.dims):
                for slot, reach in zip(carried, self.reaches[t], strict=True):
                    slot.append(reach)
                continue
            reader = _Reader(node, axes, t.dims, out.dims, self.assumed)
            for slot, reach, x in zip(carried, self.reaches[t], lengths, strict=True):
                slot.append(reader.read(reach, x))
        if len(used) > 1:
            self._compare(node, used, carried)
        self.reaches[out] = tuple(
            _united(each, x, out.dims) for each, x in zip(carried, lengths, strict=True)
        )

    def _compare(self, node: Node, used: list[Any], carried: list[list[Any]]) -> None:
        for axis, reaches in zip(self.axes, carried, strict=True):
            lines = [r for r in reaches if type(r) is _Line]
            if len(lines) < 2 or len(lines) < len(reaches):
                continue
            if len({(r.stride, r.reach - r.left) for r in lines}) > 1:
                self.branches.append(
                    Branches(
                        node.name,
                        _axis_name(self.source, axis),
                        tuple("" if t.node is None else t.node.name for t, _ in used),
                        tuple(public(r.stride) for r in lines),
                        tuple(_half(public(r.reach - r.left)) for r in lines),
                    )
                )


def _half(value: Any) -> Any:
    return value // 2 if isinstance(value, int) and value % 2 == 0 else sympy.Rational(1, 2) * value


def _pointwise(axes: Axes | None, dims: tuple[Int, ...]) -> bool:
    if axes is None or len(axes) != len(dims):
        return False
    return all(m is IDENTITY and o == s for o, (s, m) in enumerate(axes))


def _axis_name(t: SymbolicTensor, axis: int) -> str:
    """The size symbol of an axis where it has one of its own, else its number."""
    size = t.dims[axis]
    text = str(size)
    return text if isinstance(size, Size) and text.isidentifier() else f"axis {axis}"


# The answers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a receptive field that depends on the place of the output."""

    min: Any
    max: Any
    mean: Any
    period: int  # of the output index

    def __str__(self) -> str:
        if self.min == self.max:
            return str(self.max)
        return f"{self.min} to {self.max}, {self.mean} on average, repeating every {self.period}"


@dataclass(frozen=True)
class _Field:
    """One axis: its name, its size, and what an output index is reached from."""

    name: str
    x: Int
    reach: Any
    dims: tuple[Int, ...]  # of the output

    @cached_property
    def first(self) -> Int:
        return self.reach.first  # type: ignore[no-any-return]

    @cached_property
    def last(self) -> Int:
        return self.reach.last  # type: ignore[no-any-return]

    @property
    def whole(self) -> str:
        """The node through which every place sees the same; empty if there is none."""
        return getattr(self.reach, "whole", "")

    @cached_property
    def along(self) -> tuple[int, ...]:
        """The output axes that it moves along."""
        return tuple(sorted(_axes_of(self.first, self.last)))

    @cached_property
    def plain(self) -> tuple[Int, Int]:
        """First and last index by the output's indices, without digits."""
        if type(self.reach) is _Unknown:
            raise self.reach.error
        return _plain(self.reach)

    @cached_property
    def stride(self) -> Any:
        if type(self.reach) is _Line:
            return public(self.reach.stride)
        if type(self.reach) is not _Unknown and not self.along:
            return 0
        first, last = self.plain
        slopes = {_slope(e, _index(a).name) for a in self.along for e in (first, last)}
        if len(slopes) > 1:
            raise Undecidable(
                f"the receptive field along {self.name} has no single stride",
                cure="interval(i) is exact; branches tells where paths disagree",
            )
        (slope,) = slopes
        return int(slope) if slope.is_Integer else slope

    @cached_property
    def padding(self) -> tuple[Any, Any]:
        if self.whole:
            return 0, 0
        if type(self.reach) is _Line:
            return public(self.reach.left), public(self.reach.right)
        first, last = self.plain
        ends = {_index(a).name: self.dims[a] - 1 for a in self.along}
        start = _subs(first, dict.fromkeys(ends, 0))
        return public(-start), public(_subs(last, ends) - self.x + 1)

    @cached_property
    def sizes(self) -> Sizes:
        first, last = self.plain
        length = last - first + 1
        if not _axes_of(length):
            return Sizes(public(length), public(length), public(length), 1)
        return _varying(length, self.along, self.name)


def _varying(length: Int, along: tuple[int, ...], name: str) -> Sizes:
    """Least, largest and mean of a periodic formula, from one period."""
    free = [n for n in symbols_of(length) if not _is_index(n)]
    if len(along) != 1 or free:
        on = "several output indices" if len(along) != 1 else ", ".join(free)
        raise Undecidable(
            f"the size of the receptive field along {name} depends on {on}",
            cure="size_at(i) is the formula; ask at a size: .at(H=..., W=...)",
        )
    symbol = _index(along[0]).name
    if _slope(length, symbol):
        raise Undecidable(f"the receptive field along {name} grows with the index")
    period = _period(length, symbol)
    if period <= _PERIOD:
        values = [evaluate(length, {symbol: i}) for i in range(period)]
        mean = sympy.Rational(sum(values), period)
        return Sizes(min(values), max(values), int(mean) if mean.is_Integer else mean, period)
    return _long_period(length, symbol, period, name)


def _long_period(length: Int, symbol: str, period: int, name: str) -> Sizes:
    """Between the places where a floor jumps the formula is linear: these are enough."""
    jumps = {0}
    for atom in _floors(length):
        slope = atom.num - _at_zero(atom.num, symbol)
        if slope != Symbol(symbol, 0).size() or period // atom.den > _PERIOD:
            raise Undecidable(
                f"the size of the receptive field along {name} repeats every {period} outputs only",
                cure="size_at(i) is the formula; ask at a size: .at(H=..., W=...)",
            )
        start = -_at_zero(atom.num, symbol) % atom.den
        jumps |= set(range(start, period, atom.den))
    starts = sorted(jumps)
    ends = [*(s - 1 for s in starts[1:]), period - 1]
    pairs = [
        (evaluate(length, {symbol: a}), evaluate(length, {symbol: b}), b - a + 1)
        for a, b in zip(starts, ends, strict=True)
    ]
    mean = sympy.Rational(sum((a + b) * n for a, b, n in pairs), 2 * period)
    values = [v for a, b, _ in pairs for v in (a, b)]
    return Sizes(min(values), max(values), int(mean) if mean.is_Integer else mean, period)


def _at_zero(expr: Int, symbol: str) -> int:
    return int(evaluate(expr, {symbol: 0}))


def _floors(expr: Int) -> Iterator[Any]:
    """The floors of a formula; Undecidable for other atoms, and floors inside floors."""
    if isinstance(expr, Size):
        for atom in expr.atoms():
            if isinstance(atom, Floor) and type(atom.den) is int and not list(_floors(atom.num)):
                yield atom
            elif not isinstance(atom, Symbol):
                raise Undecidable("a receptive field of very long period")


def _period(expr: Int, symbol: str) -> int:
    """After how many indices the formula is the same but for a multiple of its slope."""
    if isinstance(expr, int):
        return 1
    period = 1
    for atom in expr.atoms():
        if isinstance(atom, Floor) and type(atom.den) is int:
            inner = _period(atom.num, symbol)
            step = _slope(atom.num, symbol) * inner
            grown = int(sympy.Integer(step)) if step.is_Integer else 1
            period = lcm(period, inner * (atom.den // _gcd(atom.den, grown)))
        else:
            period = lcm(period, *(_period(a, symbol) for a in atom.args))
    return period


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return abs(a)


class ReceptiveField:
    """What an output place sees of the input, per spatial axis of the input.

    >>> import symcnn
    >>> from symcnn import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1))
    >>> rf = net.trace("N 3 H W").receptive_field()
    >>> rf.size, rf.stride, rf.padding
    ((11, 11), (4, 4), ((5, 5), (5, 5)))
    >>> rf.interval(10), rf.at(H=224, W=224).interval(0)
    ((35, 45), (0, 5))
    """

    def __init__(self, found: _Pass, output: SymbolicTensor) -> None:
        self._pass, self._output = found, output
        source = found.source
        self._fields = tuple(
            _Field(_axis_name(source, axis), source.dims[axis], reach, output.dims)
            for axis, reach in zip(found.axes, found.reaches[output], strict=True)
        )

    # size, stride, padding

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the input's axes."""
        return tuple(f.name for f in self._fields)

    @cached_property
    def size(self) -> tuple[Any, ...]:
        """Its size per axis; the largest, where it depends on the place (see `sizes`)."""
        return tuple(f.sizes.max for f in self._fields)

    @cached_property
    def sizes(self) -> tuple[Sizes, ...]:
        """Least, largest and mean size per axis, and the period of the output index."""
        return tuple(f.sizes for f in self._fields)

    @cached_property
    def stride(self) -> tuple[Any, ...]:
        """How far it moves per output place; a fraction after upsampling, 0 for a whole axis."""
        return tuple(f.stride for f in self._fields)

    @property
    def jump(self) -> tuple[Any, ...]:
        """Another name for `stride`."""
        return self.stride

    @cached_property
    def padding(self) -> tuple[tuple[Any, Any], ...]:
        """Per axis, how far it reaches beyond the input on the left and on the right."""
        return tuple(f.padding for f in self._fields)

    @property
    def effective_padding(self) -> tuple[tuple[Any, Any], ...]:
        """Another name for `padding`."""
        return self.padding

    @property
    def whole(self) -> tuple[str, ...]:
        """Per axis, the node through which every place sees the whole axis; empty if none."""
        return tuple(f.whole for f in self._fields)

    @property
    def branches(self) -> tuple[Branches, ...]:
        """Where paths meet whose receptive fields are not centred alike, or differ in stride."""
        return tuple(self._pass.branches)

    @property
    def assumptions(self) -> tuple[Condition, ...]:
        """What the formulas take for granted of the sizes; `at` needs none of it."""
        return tuple(self._pass.assumed)

    # places

    def interval(self, i: Any, axis: int = 0) -> tuple[Any, Any]:
        """First and last input index that can reach output index `i`: a number or a symbol.

        axis: which spatial axis. Indices outside the input are padding; `at` clips them.
        Raises InvalidInput for an index that is negative.
        """
        f = self._field(axis)
        first, last = f.plain
        values, back = self._values(f, i)
        return _back(_subs(first, values), back), _back(_subs(last, values), back)

    def interval_text(self, axis: int = 0) -> tuple[str, str]:
        """The interval of output index ``i`` as text; indices i, j, ... where there are several."""
        f = self._field(axis)
        names = "ijklmn"
        along = {a: names[k] for k, a in enumerate(f.along)}
        swap = {_index(a).name: Symbol(n, low=0).size() for a, n in along.items()}
        first, last = (_subs(e, swap) for e in f.plain)
        return str(first), str(last)

    def centre(self, i: Any, axis: int = 0) -> Any:
        """The middle of `interval`."""
        first, last = self.interval(i, axis)
        return _half(first + last)

    def size_at(self, i: Any, axis: int = 0) -> Any:
        """The size at output index `i`: a formula where that is a symbol."""
        first, last = self.interval(i, axis)
        return last - first + 1

    def unread(self, axis: int = 0) -> tuple[Any, Any]:
        """How many input indices no output reads, on the left and on the right: the leftovers of
        strides, as formulas in the input size.
        """
        f = self._field(axis)
        first, last = f.plain
        ends = {_index(a).name: f.dims[a] - 1 for a in f.along}
        start, end = _subs(first, dict.fromkeys(ends, 0)), _subs(last, ends)
        return public(maximum(start, 0)), public(_most(f.x - 1 - end, 0))

    def _field(self, axis: int) -> _Field:
        if not isinstance(axis, int) or not -len(self._fields) <= axis < len(self._fields):
            raise BadSpec(
                f"axis={axis!r}: there are {len(self._fields)} spatial axes",
                cure=f"axis 0 is {self._fields[0].name}",
            )
        return self._fields[axis]

    def _values(self, f: _Field, i: Any) -> tuple[dict[str, Int], dict[Any, Any]]:
        places = i if isinstance(i, (tuple, list)) else (i,) * max(len(f.along), 1)
        if len(f.along) > 1 and not isinstance(i, (tuple, list)):
            raise BadSpec(
                f"the receptive field along {f.name} depends on the output axes {f.along}",
                cure="give one index for each",
            )
        back: dict[Any, Any] = {}
        values: dict[str, Int] = {}
        for a, place in zip(f.along or (-1,), places, strict=False):
            value = _as_index(place, back)
            if isinstance(value, int) and value < 0:
                raise InvalidInput(f"there is no output index {value}", cure="indices begin at 0")
            size = f.dims[a] if a >= 0 else None
            if isinstance(value, int) and isinstance(size, int) and value >= size:
                raise InvalidInput(
                    f"there is no output index {value} along an axis of {size}",
                    cure=f"the last one is {size - 1}",
                )
            values[_index(a).name if a >= 0 else "i"] = value
        return values, back

    # at a size

    def at(self, **sizes: Any) -> FieldAt:
        """The receptive field at given sizes: exact, clipped to the image.

        Raises InvalidInput for sizes that the network does not take.
        """
        return FieldAt(self, sizes)

    # diagnosis

    @cached_property
    def checkerboard(self) -> tuple[str, ...]:
        """Transposed convolutions whose kernel is no multiple of their stride: some of their
        outputs sum more taps than their neighbours (Odena, Dumoulin and Olah, Distill 2016).
        """
        found: dict[str, None] = {}
        for node in self._nodes():
            for _, axis_map in node.result.axes or ():
                if isinstance(axis_map, Scatter) and node.op.startswith("conv_transpose"):
                    taps = (axis_map.extent - 1) // axis_map.dilation + 1
                    if exact_div(taps, axis_map.stride) is None:
                        found[node.name] = None
        return tuple(found)

    def unproductive(self, **sizes: Any) -> tuple[str, ...]:
        """Layers with a kernel whose input already sees the whole image, so that they see no more:
        the criterion of receptive field analysis (Richter et al., 2021).
        """
        values = {n: int(v) for n, v in sizes.items()}
        found = []
        for node in self._nodes():
            windows = [m for _, m in node.result.axes or () if isinstance(m, Window)]
            source = next((t for t in node.inputs if t in self._pass.reaches), None)
            if source is None or all(w.extent == 1 for w in windows) or not node.parameters:
                continue
            field = ReceptiveField(self._pass, source)
            if all(_at_least(f.sizes.max, f.x, values) for f in field._fields):
                found.append(node.name)
        return tuple(found)

    def _nodes(self) -> Iterator[Node]:
        """The nodes between input and output."""
        for node in ancestors([self._output]):
            if any(out in self._pass.reaches for out in node.outputs):
                yield node

    # tables

    def table(self) -> list[dict[str, Any]]:
        """A row per node up to the output: name, op, output shape, size, stride, padding."""
        rows = []
        for node in self._nodes():
            out = next(o for o in node.outputs if o in self._pass.reaches)
            one = ReceptiveField(self._pass, out)
            rows.append({"name": node.name, "op": node.op, "output": node.output_shape} | one.row())
        return rows

    def row(self) -> dict[str, Any]:
        """Size, stride, left and right padding per axis; what has no single value is None."""
        return {
            "size": tuple(_or_none(lambda f=f: f.sizes.max) for f in self._fields),
            "stride": tuple(_or_none(lambda f=f: f.stride) for f in self._fields),
            "padding": tuple(_or_none(lambda f=f: f.padding) for f in self._fields),
            "whole": self.whole,
        }

    def __str__(self) -> str:
        from symcnn.render.text import receptive_field_text

        return receptive_field_text(self)

    def __repr__(self) -> str:
        row = self.row()
        return f"ReceptiveField(size={row['size']}, stride={row['stride']})"


def _at_least(size: Any, x: Int, values: Mapping[str, int]) -> bool:
    def number(e: Any) -> int:
        return int(evaluate(from_sympy(e), values))

    return number(size) >= number(public(x))


def _or_none(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Undecidable:
        return None


def _as_index(place: Any, back: dict[Any, Any]) -> Int:
    """An output index as a kernel expression; `back` restores symbols without assumptions."""
    if isinstance(place, str):
        return Symbol(place, low=0).size()
    if isinstance(place, sympy.Basic):
        for symbol in sorted(place.free_symbols, key=str):
            if not symbol.is_integer:
                known = sympy.Symbol(symbol.name, integer=True, nonnegative=True)
                place, back[known] = place.subs(symbol, known), symbol
    return from_sympy(place)


def _back(value: Int, back: dict[Any, Any]) -> Any:
    shown = public(value)
    return shown.subs(back) if back and isinstance(shown, sympy.Basic) else shown


# Exact at a size -------------------------------------------------------------------------------


class FieldAt:
    """The receptive field at a size: for every output index, exactly which inputs it reads.

    A boolean table per input axis, output indices by input indices, made by the same pass as the
    formulas. Paths that run into padding end there; holes of dilation stay holes.
    """

    def __init__(self, rf: ReceptiveField, sizes: Mapping[str, Any]) -> None:
        net = rf._pass.net
        given = dict(sizes)
        for name in net.batch:
            given.setdefault(name, _smallest(net, name))
        net.shape_at(**given)
        self.values = {name: int(v) for name, v in given.items()}
        self._rf = rf
        self._output = tuple(evaluate(d, self.values) for d in rf._output.dims)
        self._tables = _tables(rf, self.values)

    def table(self, axis: int = 0) -> Any:
        """Booleans, output indices by input indices: a numpy array."""
        along, table = self._table(axis)
        if len(along) > 1:
            raise BadSpec(f"the receptive field depends on the output axes {along}")
        return table if along else table[None]

    def _table(self, axis: int) -> tuple[tuple[int, ...], Any]:
        self._rf._field(axis)
        return self._tables[axis]  # type: ignore[no-any-return]

    def interval(self, i: Any, axis: int = 0) -> tuple[int, int] | None:
        """First and last input index that reach output index `i`; None if nothing but padding does.

        Raises InvalidInput for an index that is out of range.
        """
        row = self.mask(i, axis, hull=False)
        (places,) = row.nonzero()
        return (int(places[0]), int(places[-1])) if len(places) else None

    def mask(self, i: Any, axis: int = 0, *, hull: bool = True) -> Any:
        """Which indices output `i` reads, over its hull (or over the whole axis): booleans."""
        along, table = self._table(axis)
        places = i if isinstance(i, (tuple, list)) else (i,) * len(along)
        if len(places) != len(along) and along:
            raise BadSpec(f"give one index for each of the output axes {along}")
        for a, place in zip(along or (None,), places or (i,), strict=False):
            size = self._output[a] if a is not None else None
            if not isinstance(place, int) or place < 0 or (size is not None and place >= size):
                raise InvalidInput(
                    f"there is no output index {place}" + (f" in {size}" if size else ""),
                    cure="" if size is None else f"the last one is {size - 1}",
                )
        row = table[tuple(places)] if along else table
        if not hull:
            return row
        (found,) = row.nonzero()
        return row[found[0] : found[-1] + 1] if len(found) else row[:0]

    def sizes(self, axis: int = 0) -> Any:
        """The size of the hull for every output index: a numpy array; 0 where nothing is read."""
        table = self.table(axis)
        first = table.argmax(-1)
        last = table.shape[-1] - 1 - table[..., ::-1].argmax(-1)
        return (last - first + 1) * table.any(-1)

    @property
    def size(self) -> tuple[int, ...]:
        """The largest size per axis."""
        return self.max

    @property
    def max(self) -> tuple[int, ...]:
        """The largest size per axis."""
        return tuple(int(self.sizes(a).max()) for a in range(len(self._tables)))

    @property
    def min(self) -> tuple[int, ...]:
        """The smallest size per axis: at a border, as a rule."""
        return tuple(int(self.sizes(a).min()) for a in range(len(self._tables)))

    @property
    def mean(self) -> tuple[float, ...]:
        """The mean size per axis."""
        return tuple(float(self.sizes(a).mean()) for a in range(len(self._tables)))

    def density(self, axis: int = 0) -> float:
        """Which share of the hull is really read, over all outputs: below 1 for dilation holes."""
        hulls = int(self.sizes(axis).sum())
        return float(self.table(axis).sum()) / hulls if hulls else 0.0

    def unread(self, axis: int = 0) -> list[int]:
        """The input indices that no output reads."""
        _, table = self._table(axis)
        seen = table.reshape(-1, table.shape[-1]).any(0)
        return [int(i) for i in (~seen).nonzero()[0]]

    def padding_only(self, axis: int = 0) -> list[int]:
        """The output indices that read nothing but padding."""
        return [int(i) for i in (~self.table(axis).any(-1)).nonzero()[0]]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{k}={v}" for k, v in sorted(self.values.items()))
        return f"FieldAt({sizes}: {self.min} to {self.max})"


def _smallest(net: Network, name: str) -> int:
    """A batch size, or number of channels, that the network takes."""
    try:
        return int(next(iter(net.valid_inputs().axis(name)), 1))
    except (Undecidable, BadSpec):
        return 1


def _tables(rf: ReceptiveField, values: Mapping[str, int]) -> list[tuple[tuple[int, ...], Any]]:
    import numpy as np

    found = rf._pass
    source = found.source
    shape = [int(evaluate(d, values)) for d in source.dims]
    carried: dict[SymbolicTensor, list[tuple[tuple[int, ...], Any]]] = {
        source: [((a,), np.eye(shape[a], dtype=bool)) for a in found.axes]
    }
    left = {id(t): 0 for t in found.reaches}
    nodes = list(rf._nodes())
    for node in nodes:
        for t in {id(t): t for t in node.inputs}.values():
            left[id(t)] = left.get(id(t), 0) + 1
    for node in nodes:
        for k, out in enumerate(node.outputs):
            if out is source or out not in found.reaches:
                continue
            dims = tuple(int(evaluate(d, values)) for d in out.dims)
            slots: list[list[Any]] = [[] for _ in found.axes]
            for t, axes in found.used(node, k):
                if t not in carried:
                    continue
                have = tuple(int(evaluate(d, values)) for d in t.dims)
                bound = tuple((s, m.at(values)) for s, m in axes)
                pulled = [_pulled(state, bound, have, dims) for state in carried[t]]
                if all(table.any() for _, table in pulled):  # a path that ends in padding, ends
                    for slot, state in zip(slots, pulled, strict=True):
                        slot.append(state)
            if all(slots):
                carried[out] = [_union(slot) for slot in slots]
            else:
                carried[out] = [((), np.zeros(shape[a], dtype=bool)) for a in found.axes]
        for t in {id(t): t for t in node.inputs}.values():
            left[id(t)] -= 1
            if not left[id(t)] and t is not rf._output and t is not source:
                carried.pop(t, None)
    return carried[rf._output]


def _pulled(
    state: tuple[tuple[int, ...], Any], axes: Axes, have: tuple[int, ...], dims: tuple[int, ...]
) -> tuple[tuple[int, ...], Any]:
    """A table by a tensor's indices, by the indices of an output that reads the tensor."""
    along, table = state
    entries = {s: (o, m) for o, (s, m) in enumerate(axes) if type(s) is int}
    views: dict[tuple[int, ...], list[int]] = {}
    for o, (s, _) in enumerate(axes):
        if type(s) is tuple:
            views.setdefault(s, []).append(o)
    named: list[Any] = list(along)  # then ("out", axis), or ("view", axis) that waits for its view
    for axis in along:
        at = named.index(axis)
        if any(axis in s for s in views):
            named[at] = ("view", axis)
            continue
        o, axis_map = entries.get(axis, (None, None))
        if axis_map is None or isinstance(axis_map, Whole):
            table = table.any(at)
            del named[at]
        elif isinstance(axis_map, Pick) or o is None or o >= len(dims):
            index, _ = axis_map.pullback(0, 0, have[axis])
            table = table.take(index, at)
            del named[at]
        else:
            if axis_map is IDENTITY and have[axis] == 1 != dims[o]:  # stretched, at this size
                table = table.take(0, at)
                del named[at]
                continue
            if axis_map is not IDENTITY:
                table = _gathered(table, at, axis_map, have[axis], dims[o])
            named[at] = ("out", o)
    for source, outs in views.items():
        if any(("view", a) in named for a in source):
            named, table = _viewed(named, table, source, outs, have, dims)
    order = sorted(range(len(named)), key=lambda k: named[k][1])
    table = table.transpose([*order, len(named)])
    return _slim(tuple(named[k][1] for k in order), table)


def _slim(along: tuple[int, ...], table: Any) -> tuple[tuple[int, ...], Any]:
    """Without the axes along which nothing changes (of a table of several)."""
    kept = list(along)
    if len(kept) > 1:
        for axis in along:
            at = kept.index(axis)
            if len(kept) > 1 and (table == table.take([0], at)).all():
                table = table.take(0, at)
                kept.remove(axis)
    return tuple(kept), table


def _gathered(table: Any, at: int, axis_map: AxisMap, x: int, y: int) -> Any:
    """The table by output indices: row i is the union of the rows that output i reads."""
    import numpy as np

    first, last, step = axis_map.reads(x)
    first, last = np.asarray(first)[:y], np.asarray(last)[:y]
    if len(first) < y:
        first = np.concatenate([first, np.zeros(y - len(first), int)])
        last = np.concatenate([last, np.full(y - len(last), -1)])
    first = first + np.maximum(-(first // step), 0) * step  # into the input, by whole steps
    last = last - np.maximum(-((x - 1 - last) // step), 0) * step
    counts = np.maximum((last - first) // step + 1, 0)
    most = int(counts.max(initial=0))
    shape = [1] * table.ndim
    shape[at] = y
    if step == 1 and most > 8:
        sums = np.cumsum(table, at, dtype=np.int32)
        sums = np.concatenate([np.zeros_like(sums.take([0], at)), sums], at)
        upper = np.where(counts > 0, last + 1, 0)
        lower = np.where(counts > 0, first, 0)
        return sums.take(upper, at) > sums.take(lower, at)
    result = np.zeros((*table.shape[:at], y, *table.shape[at + 1 :]), dtype=bool)
    for t in range(most):
        there = t < counts
        rows = table.take(np.where(there, first + t * step, 0), at)
        result |= rows & there.reshape(shape)
    return result


def _viewed(
    named: list[Any],
    table: Any,
    source: tuple[int, ...],
    outs: list[int],
    have: tuple[int, ...],
    dims: tuple[int, ...],
) -> tuple[list[Any], Any]:
    """The axes of a view: merged, and split anew."""
    import numpy as np

    waiting = [k for k, n in enumerate(named) if n[0] == "view" and n[1] in source]
    others = [k for k in range(len(named)) if k not in waiting]
    table = table.transpose([*waiting, *others, len(named)])
    for k, axis in enumerate(source):  # axes of the view that the table does not depend on
        if ("view", axis) not in named:
            table = np.repeat(np.expand_dims(table, k), have[axis], k)
    rest = table.shape[len(source) :]
    table = table.reshape(*(dims[o] for o in outs), *rest)
    names = [*(("out", o) for o in outs), *(named[k] for k in others)]
    for o in outs:  # and those of the output on which it does not depend
        at = names.index(("out", o))
        if (table == table.take([0], at)).all():
            table = table.take(0, at)
            del names[at]
    return names, table


def _union(states: list[tuple[tuple[int, ...], Any]]) -> tuple[tuple[int, ...], Any]:
    """Tables by any of several sets of indices, as one."""
    if len(states) == 1:
        return states[0]
    along = tuple(sorted({a for axes, _ in states for a in axes}))
    result: Any = False
    for axes, table in states:
        missing = [k for k, a in enumerate(along) if a not in axes]
        for k in missing:
            table = table[(*(slice(None),) * k, None)]
        result = result | table
    return along, result


# From a network --------------------------------------------------------------------------------


def spatial_axes(net: Network, t: SymbolicTensor) -> tuple[int, ...]:
    """The axes a receptive field is asked along: those behind batch and channels; where sizes
    other than those stand in front (``N H W C``), the axes of these sizes.
    """
    ours = [i for i, d in enumerate(t.dims) if symbols_of(d) - net.batch]
    if t.ndim >= 3 and (not ours or min(ours) >= 2):
        return tuple(range(2, t.ndim))
    return tuple(ours) or tuple(range(min(1, t.ndim - 1), t.ndim))


def receptive_field(
    net: Network,
    output: SymbolicTensor,
    source: SymbolicTensor,
    *,
    gates: bool = True,
    statistics: bool = True,
    cache: dict[Any, Any],
) -> ReceptiveField:
    """The receptive field of `output` with respect to `source`, from the pass over the network.

    Raises BadSpec if the output does not depend on it.
    """
    key = (id(source), gates, statistics)
    if key not in cache:
        cache[key] = _Pass(net, source, spatial_axes(net, source), gates, statistics).run()
    found: _Pass = cache[key]
    if output not in found.reaches:
        raise BadSpec(
            f"{_told(net, output)} does not depend on {_told(net, source)}",
            cure="choose another output (at=...) or input (wrt=...)",
        )
    return ReceptiveField(found, output)


def _told(net: Network, t: SymbolicTensor) -> str:
    return net.source_name(t)
