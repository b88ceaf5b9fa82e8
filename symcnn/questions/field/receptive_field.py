"""Receptive fields: which input indices can reach an output index, for all sizes at once.

One forward pass over the graph answers for every tensor (see `symcnn.questions.field.reach` for its
laws), so the cost is linear in the edges, not in the paths. The formulas are those of the
interior: an index outside the input stands for padding, or for the place that reflected, repeated
or circular padding takes it from. `FieldAt` is exact at a size, borders included.

Sources: Dumoulin and Visin, *A guide to convolution arithmetic* (2016); Araujo, Norris and Sim,
*Computing receptive fields of convolutional neural networks* (Distill, 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, Union

from symcnn.algebra.axis import Folded, Roll, Scatter
from symcnn.algebra.expr import Expr, from_sympy
from symcnn.algebra.size import (
    Int,
    Symbol,
    evaluate,
    exact_div,
    maximum,
    minimum,
    symbols_of,
)
from symcnn.errors import BadSpec, InvalidInput, Undecidable, UnsupportedOperation
from symcnn.lazy import cached_property, sympy, uncollected
from symcnn.questions.field.alignment import Alignment, aligned
from symcnn.questions.field.field_at import FieldAt
from symcnn.questions.field.passed import Branches, Pass, axis_name, half
from symcnn.questions.field.periods import Sizes, varying
from symcnn.questions.field.picture import Pictured
from symcnn.questions.field.reach import (
    AffineRange,
    IndexRange,
    Unknown,
    axes_of,
    index_symbol,
    most,
    over_all,
    over_channels,
    plain_ends,
    slope_of,
    substituted,
)
from symcnn.questions.field.spatial import spatial_axes
from symcnn.questions.field.together import Together
from symcnn.sets.condition import Condition
from symcnn.shown import Shown
from symcnn.trace.content import Valued, content
from symcnn.trace.graph import Node, SymbolicTensor, ancestors, public, tensors_in
from symcnn.trace.trace import Trace

#: Where an output stands: an index, or one for each of its axes; a number or a formula.
Place = Union[Expr, Sequence[Expr]]

__all__ = [
    "Branches",
    "FieldAt",
    "Pass",
    "ReceptiveField",
    "Sizes",
    "field_between",
    "independent",
    "receptive_field",
]

# The answers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    """One axis: its name, its size, and what an output index is reached from."""

    name: str
    x: Int
    reach: Any
    dims: tuple[Int, ...]  # of the output
    simplest: Callable[[Int], Int]  # on the domain of the network
    together: Together  # what all places of the output read

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
        return tuple(sorted(axes_of(self.first, self.last)))

    @cached_property
    def plain(self) -> tuple[Int, Int]:
        """First and last index by the output's indices, without digits."""
        if type(self.reach) is Unknown:
            raise self.reach.error
        first, last = plain_ends(self.reach)
        return self.simplest(first), self.simplest(last)

    @cached_property
    def stride(self) -> Expr:
        if type(self.reach) is AffineRange:
            return public(self.simplest(self.reach.stride))
        if type(self.reach) is not Unknown and not self.along:
            return 0
        first, last = self.plain
        slopes = {slope_of(e, index_symbol(a).name) for a in self.along for e in (first, last)}
        if len(slopes) > 1:
            raise Undecidable(
                f"the receptive field along {self.name} has no single stride",
                cure="interval(i) is exact; branches tells where paths disagree",
            )
        (slope,) = slopes
        return int(slope) if slope.is_Integer else slope

    @cached_property
    def padding(self) -> tuple[Expr, Expr]:
        if self.whole:
            return 0, 0
        if type(self.reach) is AffineRange:
            return public(self.simplest(self.reach.left)), public(self.simplest(self.reach.right))
        first, last = self.plain
        ends = {index_symbol(a).name: self.dims[a] - 1 for a in self.along}
        start = substituted(first, dict.fromkeys(ends, 0))
        right = self.simplest(substituted(last, ends) - self.x + 1)
        return public(self.simplest(-start)), public(right)

    @cached_property
    def sizes(self) -> Sizes:
        first, last = self.plain
        length = self.simplest(last - first + 1)
        if not axes_of(length):
            return Sizes(public(length), public(length), public(length), 1)
        places = self.dims[self.along[0]] if len(self.along) == 1 else None
        return varying(length, self.along, self.name, places)


class ReceptiveField(Valued, Pictured, Shown):
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

    def __init__(
        self, net: Trace, found: Pass, output: SymbolicTensor, at: str | None = None
    ) -> None:
        self._net, self._pass, self._output, self._at = net, found, output, at
        source = found.source
        self._fields = tuple(
            _Field(
                axis_name(source, axis),
                source.dims[axis],
                _of_place(reach, output),
                output.dims,
                net.simplest,
                together,
            )
            for axis, reach, together in zip(
                found.axes, found.reaches[output], found.together[output], strict=True
            )
        )

    def _value(self) -> tuple[object, ...]:
        found, said = self._pass, content(self._net)
        how = found.axes, found.gates, found.statistics, found.smallest
        return *how, self._at, said.place(found.source), said.place(self._output), said

    @property
    def passed(self) -> Pass:
        """The pass that it comes from."""
        return self._pass

    @property
    def output(self) -> SymbolicTensor:
        """The tensor whose field it is."""
        return self._output

    def of(self, t: SymbolicTensor) -> ReceptiveField:
        """The field of another tensor, of the same pass."""
        return ReceptiveField(self._net, self._pass, t)

    # size, stride, padding

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the input's axes."""
        return tuple(f.name for f in self._fields)

    @property
    def input_axes(self) -> tuple[int, ...]:
        """The numbers of these axes in the input's shape."""
        return self._pass.axes

    @cached_property
    def size(self) -> tuple[Expr, ...]:
        """Its size per axis; the largest, where it depends on the place (see `sizes`)."""
        return tuple(f.sizes.max for f in self._fields)

    @cached_property
    def sizes(self) -> tuple[Sizes, ...]:
        """Least, largest and mean size per axis, and the period of the output index."""
        return tuple(f.sizes for f in self._fields)

    @cached_property
    def stride(self) -> tuple[Expr, ...]:
        """How far it moves per output place; a fraction after upsampling, 0 for a whole axis."""
        return tuple(f.stride for f in self._fields)

    @property
    def jump(self) -> tuple[Expr, ...]:
        """Another name for `stride`."""
        return self.stride

    @cached_property
    def padding(self) -> tuple[tuple[Expr, Expr], ...]:
        """Per axis, how far it reaches beyond the input on the left and on the right."""
        return tuple(f.padding for f in self._fields)

    @property
    def effective_padding(self) -> tuple[tuple[Expr, Expr], ...]:
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

    def interval(self, i: Place, axis: int = 0) -> tuple[Expr, Expr]:
        """First and last input index that can reach output index `i`: a number or a symbol.

        axis: which spatial axis. The formula is that of the interior: indices outside the input are
            padding, and so may be, near a border, indices behind a crop or a resize that leaves
            pixels over. `at` is exact there too.
        Raises InvalidInput for an index that is negative, or behind the last of a fixed number.
        """
        f = self._field(axis)
        first, last = f.plain
        values, back = self._values(f, i)
        return _back(substituted(first, values), back), _back(substituted(last, values), back)

    def clipped(self, i: Place, axis: int, sizes: Mapping[str, int]) -> tuple[Expr, Expr]:
        """`interval` at given sizes, clipped to the image."""
        f = self._field(axis)
        values, back = self._values(f, i)
        values |= sizes
        first, last = (substituted(e, values) for e in f.plain)
        end = evaluate(f.x, sizes) - 1
        return _back(maximum(first, 0), back), _back(minimum(last, end), back)

    def interval_text(self, axis: int = 0) -> tuple[str, str]:
        """The interval of output index ``i`` as text; indices i, j, ... where there are several."""
        first, last = self.ends(axis)
        return str(first), str(last)

    def ends(self, axis: int = 0) -> tuple[Int, Int]:
        """The interval of output index ``i``; indices i, j, ... where there are several."""
        f = self._field(axis)
        names = "ijklmn"
        along = {a: names[k] for k, a in enumerate(f.along)}
        swap = {index_symbol(a).name: Symbol(n, low=0).size() for a, n in along.items()}
        first, last = (substituted(e, swap) for e in f.plain)
        return first, last

    def interval_text_or_none(self, axis: int = 0) -> tuple[str, str] | None:
        """The same, or None where there is no formula."""
        try:
            return self.interval_text(axis)
        except Undecidable:
            return None

    def along(self, axis: int, index: str) -> tuple[int | None, Int, Int]:
        """The output axis along which the field moves (None: along none), and the first and the
        last input index as kernel expressions of a symbol called `index`.

        Raises Undecidable where there is no such formula, or it moves along several output axes.
        """
        f = self._field(axis)
        if len(f.along) > 1:
            raise Undecidable(f"the field along {f.name} moves along the output axes {f.along}")
        i = Symbol(index, low=0).size()
        first, last = (substituted(e, {index_symbol(a).name: i for a in f.along}) for e in f.plain)
        return f.along[0] if f.along else None, first, last

    def sizes_of(self, axis: int = 0) -> Sizes:
        """Least, largest and mean size along one axis."""
        return self._field(axis).sizes

    def centre(self, i: Place, axis: int = 0) -> Expr:
        """The middle of `interval`."""
        first, last = self.interval(i, axis)
        return half(first + last)

    @cached_property
    def alignment(self) -> tuple[Alignment, ...]:
        """Where the centres of the outputs lie, per axis: for anchors, heat maps and joins.

        Raises Undecidable where what a place sees depends on several of its axes.

        >>> from symcnn import nn
        >>> stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.MaxPool2d(2)).trace("N 3 H W")
        >>> rows, _ = stem.receptive_field().alignment
        >>> rows.centre("i"), rows.offset
        (4*i + 1, 1)
        """
        return tuple(
            aligned(f.name, f.stride, *f.plain, f.along, f.x, f.dims) for f in self._fields
        )

    def size_at(self, i: Place, axis: int = 0) -> Expr:
        """The size at output index `i`: a formula where that is a symbol."""
        first, last = self.interval(i, axis)
        return last - first + 1

    def unread(self, axis: int = 0) -> tuple[Expr, Expr]:
        """How many input indices no output reads, on the left and on the right: the leftovers of
        strides, as formulas in the input size.
        """
        f = self._field(axis)
        first, last = f.plain
        ends = {index_symbol(a).name: f.dims[a] - 1 for a in f.along}
        start, end = substituted(first, dict.fromkeys(ends, 0)), substituted(last, ends)
        left, right = maximum(start, 0), most(f.x - 1 - end, 0)
        return public(f.simplest(left)), public(f.simplest(right))

    def check_axis(self, axis: int) -> None:
        """Raises BadSpec for an axis that the input does not have."""
        self._field(axis)

    def _field(self, axis: int) -> _Field:
        if not isinstance(axis, int) or not -len(self._fields) <= axis < len(self._fields):
            names = (f.name if f.name.isidentifier() else f"{f.name} of it" for f in self._fields)
            raise BadSpec(
                f"axis={axis!r}: the input has {len(self._fields)} spatial axes",
                cure=", ".join(f"{k} is {name}" for k, name in enumerate(names)),
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
            sizes = [f.dims[a]] if a >= 0 else self._pass.places(f.dims, self._net.leading)
            size = max((d for d in sizes if isinstance(d, int)), default=1)
            if isinstance(value, int) and value >= size and not symbols_of(*sizes):
                raise InvalidInput(
                    f"there is no output index {value} along an axis of {size}",
                    cure=f"the last one is {size - 1}",
                )
            values[index_symbol(a).name if a >= 0 else "i"] = value
        return values, back

    @cached_property
    def folded(self) -> bool:
        """Whether indices outside the input stand for others inside: reflected, repeated or
        circular padding, or a roll, on the way.
        """
        return any(
            isinstance(m, (Folded, Roll))
            for node in self.nodes()
            for axes in (node.result.axes, *(a for _, a in node.result.others))
            for _, m in axes or ()
        )

    # at a size

    def at(self, **sizes: int) -> FieldAt:
        """The receptive field at given sizes: exact, clipped to the image.

        Raises InvalidInput for sizes that the network does not take.
        """
        return FieldAt(self, sizes)

    def again(self, taken: Trace) -> ReceptiveField:
        """The same of the network up to the output, `part`, as it was traced at other sizes.

        Raises Undecidable for a field between tensors within the network.
        """
        found, net = self._pass, self.part
        if found.source not in net.input_tensors or self._output not in net.output_tensors:
            raise Undecidable("what is read between layers, at sizes that were not followed")
        output = taken.output_tensors[net.output_tensors.index(self._output)]
        source = taken.input_tensors[net.input_tensors.index(found.source)]
        gates, statistics = found.gates, found.statistics
        rf = field_between(taken, output, source, gates=gates, statistics=statistics)
        return rf.smallest if found.smallest else rf

    @cached_property
    def part(self) -> Trace:
        """The network up to the output: whose sizes `at` takes."""
        return self._net if self._at is None else self._net.at(self._at)

    # along the shortest path

    @cached_property
    def smallest(self) -> ReceptiveField:
        """The receptive field along the shortest path: where paths join, that of the operand that
        sees least, instead of the hull of all.

        >>> import symcnn
        >>> from symcnn import nn
        >>> x = symcnn.tensor("N 8 H W")
        >>> rf = symcnn.Network(x, nn.Conv2d(8, 8, 3, padding=1)(x) + x).receptive_field()
        >>> rf.smallest.size, rf.size
        ((1, 1), (3, 3))
        """
        return ReceptiveField(self._net, self._pass.shortest, self._output, self._at)

    @cached_property
    def feasible(self) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
        """The (smallest, largest) image sizes that the layers up to here are made for.

        On an image of at least the first, no layer sees more than the image even along the
        shortest path, so that none is `unproductive`; on one of more than the second, no place
        sees the whole image. They are the largest fields of any layer, along the shortest path and
        over all paths; layers that see a whole axis whatever its size are left out. Source:
        Richter, Schöning, Wiedenroth and Krumnack, *Should you go deeper?* (2021). Gates and
        statistics of norms are looked through; where some layer sees the whole axis besides, and
        along the shortest path less, the second is the axis itself.
        """
        rest = self._pass.nodes, self._pass.source, self._pass.axes
        over_all = Pass(*rest, gates=False, statistics=False).run()
        least: list[Int] = [1] * len(self._fields)
        largest: list[Int] = [1] * len(self._fields)
        everywhere: set[int] = set()
        for node in self.nodes():
            for out in node.outputs:
                for k, f in enumerate(self._fields):
                    one, other = (self._width(p, out, k) for p in (self._pass.shortest, over_all))
                    if one is None or other is None or symbols_of(one) & symbols_of(f.x):
                        continue
                    least[k] = most(least[k], one)
                    if symbols_of(other) & symbols_of(f.x):
                        everywhere.add(k)
                    else:
                        largest[k] = most(largest[k], other)
        for k in everywhere:
            largest[k] = self._fields[k].x
        return tuple(map(public, least)), tuple(map(public, largest))

    def _width(self, found: Pass, t: SymbolicTensor, k: int) -> Int | None:
        """The largest size of a tensor's field along one axis; None where it has none."""
        reaches = found.reaches.get(t)
        if reaches is None or type(reaches[k]) is Unknown:
            return None
        reach = reaches[k]
        if type(reach) is AffineRange:
            return reach.left + reach.reach + 1
        size = _or_none(lambda f: f.sizes.max, replace(self._fields[k], reach=reach, dims=t.dims))
        return None if size is None else from_sympy(size)

    # diagnosis

    @cached_property
    def checkerboard(self) -> tuple[str, ...]:
        """Transposed convolutions whose kernel is no multiple of their stride: some of their
        outputs sum more taps than their neighbours (Odena, Dumoulin and Olah, Distill 2016).
        """
        found: dict[str, None] = {}
        for node in self.nodes():
            for _, axis_map in node.result.axes or ():
                if isinstance(axis_map, Scatter) and node.op.startswith("conv_transpose"):
                    taps = (axis_map.extent - 1) // axis_map.dilation + 1
                    if exact_div(taps, axis_map.stride) is None:
                        found[node.name] = None
        return tuple(found)

    def unproductive(self, **sizes: int) -> tuple[str, ...]:
        """Layers with weights in front of which even the shortest path sees more than the image,
        along every axis: the criterion of receptive field analysis (Richter et al., 2021).
        """
        values = self._net.complete_sizes(dict.fromkeys(self._net.batch, 1) | sizes)
        shortest, found = self._pass.shortest, []
        for node in self.nodes():
            source = next((t for t in node.inputs if t in shortest.reaches), None)
            if source is None or not node.parameters or node.result.work == 0:
                continue
            field = ReceptiveField(self._net, shortest, source)
            if all(_exceeds(f.sizes.max, f.x, values) for f in field._fields):
                found.append(node.name)
        return tuple(found)

    def nodes(self) -> Iterator[Node]:
        """The nodes between input and output."""
        for node in ancestors([self._output]):
            if any(out in self._pass.reaches for out in node.outputs):
                yield node

    # tables

    def table(self) -> list[dict[str, object]]:
        """A row per node up to the output: name, op, output shape, size, stride, padding."""
        rows: list[dict[str, object]] = []
        for node in self.nodes():
            out = next(o for o in node.outputs if o in self._pass.reaches)
            one = ReceptiveField(self._net, self._pass, out)
            rows.append(
                {"name": node.name, "op": node.op, "output": node.output_shape, **one.row()}
            )
        return rows

    def row(self) -> dict[str, tuple[object, ...]]:
        """Size, stride, left and right padding per axis; what has no single value is None."""
        return {
            "size": tuple(_or_none(lambda f: f.sizes.max, f) for f in self._fields),
            "stride": tuple(_or_none(lambda f: f.stride, f) for f in self._fields),
            "padding": tuple(_or_none(lambda f: f.padding, f) for f in self._fields),
            "whole": self.whole,
        }

    def __str__(self) -> str:
        from symcnn.notation.text import receptive_field_text

        return receptive_field_text(self)

    def __repr__(self) -> str:
        row = self.row()
        scope = f", holds {self.scope}" if self.scope else ""
        return f"ReceptiveField(size={row['size']}, stride={row['stride']}{scope})"

    def _repr_html_(self) -> str:
        from symcnn.notation.text import receptive_field_page

        return receptive_field_page(self)


def _of_place(reach: Any, output: SymbolicTensor) -> Any:
    """What a place of the output is reached from: by any of its channels."""
    if type(reach) is not IndexRange or not over_channels(
        output.dims, axes_of(reach.first, reach.last)
    ):
        return reach
    try:
        first, last = over_all(reach, output.dims, along=(1,))
    except Undecidable as error:
        return Unknown(error)
    return IndexRange(first, last, tuple(d for d in reach.digits if d.axis != 1), reach.whole)


def _exceeds(size: Any, x: Int, values: Mapping[str, int]) -> bool:
    def number(e: Expr) -> int:
        return int(evaluate(from_sympy(e), values))

    return number(size) > number(public(x))


def _or_none(ask: Callable[[_Field], Any], f: _Field) -> Any:
    try:
        return ask(f)
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


# From a network --------------------------------------------------------------------------------


@singledispatch
def receptive_field(
    net: Trace,
    at: str | None = None,
    wrt: str | int | None = None,
    *,
    gates: bool = True,
    statistics: bool = True,
) -> ReceptiveField:
    """See `Network.receptive_field`."""
    outputs = net.output_tensors if at is None else tuple(tensors_in(net.located(at)))
    if not outputs:
        raise BadSpec("the network has no tensor as its output")
    refused: BadSpec | None = None
    for source in _sources(net, wrt):
        for output in outputs:
            try:
                return field_between(net, output, source, at=at, gates=gates, statistics=statistics)
            except BadSpec as error:
                refused = refused or error
    raise refused or BadSpec("the network has no input")


def _sources(net: Trace, wrt: str | int | None) -> Sequence[SymbolicTensor]:
    """What a field looks back to; all inputs for None, of which the first that is read counts."""
    inputs = net.input_tensors
    if wrt is None:
        return inputs
    if isinstance(wrt, int):
        if not 0 <= wrt < len(inputs):
            raise BadSpec(f"wrt={wrt}: the network has {len(inputs)} input(s)")
        return (inputs[wrt],)
    named = [t for t in inputs if t.name == wrt]
    return named or [*tensors_in(net.located(wrt))]


def field_between(
    net: Trace,
    output: SymbolicTensor,
    source: SymbolicTensor,
    *,
    at: str | None = None,
    gates: bool = True,
    statistics: bool = True,
) -> ReceptiveField:
    """The receptive field of `output` with respect to `source`, from the pass over the network.

    at: the module or node that makes the output, None for the network's own.

    Raises BadSpec if the output does not depend on it.
    """
    key = (id(source), gates, statistics)
    cache = net.memory.setdefault("fields", {})
    if key not in cache:
        axes = spatial_axes(net, source)
        made = Pass(net.nodes, source, axes, gates, statistics, simplest=net.simplest)
        with uncollected():
            cache[key] = made.run()
    found: Pass = cache[key]
    if output not in found.reaches:
        raise independent(net, output, source, 'wrt="name" is another input')
    found.cover(output)
    for reach in found.reaches[output]:
        if type(reach) is Unknown and isinstance(reach.error, UnsupportedOperation):
            raise reach.error
    return ReceptiveField(net, found, output, at)


def independent(
    net: Trace, output: SymbolicTensor, source: SymbolicTensor, besides: str = ""
) -> BadSpec:
    """The refusal of a question about what an output reads of an input, where that is nothing."""
    another = ", ".join(filter(None, ('at="name" is another output', besides)))
    return BadSpec(
        f"{net.source_name(output)} does not depend on {net.source_name(source)}", cure=another
    )
