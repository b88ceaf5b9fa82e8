"""Agreement: at which sizes two networks make the same shapes, and read the same places.

Shapes agree where their formulas are equal: an equation, whose solutions are an exact set. Reads
agree where every output reads from the same first to the same last place in both, padding
counted: no index i of an output may have ends that differ, so the sizes at which one does are
projected out. Two conventions for one layer, such as TensorFlow's and torch's padding, differ so:
their shapes agree everywhere, and their reads at every other size. A global pool, a gate or the
statistics of a norm hide what is in front of them, since all is read there, and a path hides a
shorter one beside it; so what they hide is compared too (see `symcnn.questions.place.paths`). So
are the edges of maps that windows read over (see `symcnn.questions.place.borders`): then networks
of the same windows and weights make the same numbers at exactly those sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import lcm
from typing import Any

from symcnn.algebra.axis import IDENTITY, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, Size, Symbol, evaluate, symbols_of
from symcnn.errors import BadSpec, Undecidable
from symcnn.lazy import sympy
from symcnn.ops.operation import operation_of
from symcnn.questions.field.reach import (
    AffineRange,
    Unknown,
    index_symbol,
    is_index,
    least,
    most,
    substituted,
)
from symcnn.questions.field.receptive_field import ReceptiveField, field_between
from symcnn.questions.place.borders import borders_of, same_borders
from symcnn.questions.place.paths import (
    Paths,
    each_among,
    projected,
    way,
    ways_of,
    whole_reads,
)
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.inputset import InputSet
from symcnn.sets.isl import question
from symcnn.sets.member import by_name
from symcnn.shown import Shown, assignment
from symcnn.trace.graph import SymbolicTensor, public
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class Agreement(Shown):
    """Where two networks agree.

    Attributes:
        sizes: the inputs that both take and of which they make outputs of the same shapes.
        reads: those of them at which every output reads the same places, along each path to it,
            and so does what layers mix of a whole axis (global and adaptive pools, attention,
            gates, statistics), and maps end at the same places where windows read over their edges.
            With the same weights, and the same to pad with, numbers are the same there. Where
            dilation leaves holes, a size may be left out at which only holes differ.
        shift: per axis, how much further right the first network starts to read than the second,
            as a formula in the sizes (and i, where it hangs on the output's index).
        axes: the names of these axes.
        valid: the inputs that both take.
        differs: why shapes differ at all sizes, if they do: the two shapes.
    """

    sizes: InputSet
    reads: InputSet
    shift: tuple[Any, ...]
    axes: tuple[str, ...]
    valid: InputSet
    differs: str = ""

    def __bool__(self) -> bool:
        """Whether they agree, in shapes and reads, at all inputs that both take."""
        return bool(self.reads) and self.valid <= self.reads

    @property
    def shifts(self) -> tuple[dict[int, InputSet], ...]:
        """Per axis, every value of the shift with the sizes at which it is that; empty where it
        hangs on the index, or takes more than 16 values.
        """
        return tuple(
            {} if isinstance(s, sympy.Piecewise) else _values(from_sympy(s), self.sizes)
            for s in self.shift
        )

    def __str__(self) -> str:
        lines = [
            f"both take: {self.valid.describe()}",
            f"shapes agree: {self._where(self.sizes, self.valid)}",
        ]
        if self.differs:
            lines.append(f"  {self.differs}")
        if self.sizes:
            lines.append(f"reads agree: {self._where(self.reads, self.sizes)}")
            for name, shift, values in zip(self.axes, self.shift, self.shifts, strict=True):
                if shift != 0:
                    cases = ", ".join(f"{v} where {s.axis(name)}" for v, s in values.items())
                    lines.append(f"  along {name} the first reads {shift} further right")
                    lines += [f"    {cases}"] if 1 < len(values) <= 4 else []
        return "\n".join(lines)

    def _where(self, found: InputSet, of: InputSet) -> str:
        if not found:
            return "nowhere"
        return "at all of these" if of <= found else found.describe()


@question
def agree(a: Trace, b: Trace) -> Agreement:
    """At which sizes two networks make the same shapes and read the same places.

    The second may be a port of the first, another convention of padding, or what an exported file
    holds. Both are asked of their inputs in order, and of their outputs in order.

    Args:
        a: a network.
        b: a network with inputs of the same shapes, by the same letters.

    Returns:
        `Agreement`: ``.sizes`` and ``.reads``, exact sets of inputs, and ``.shift``, per axis a
        formula.

    Raises:
        BadSpec: the inputs, or the number of outputs, are not the same.
        Undecidable: a receptive field has no formula, or a set is not Presburger.

    >>> import symcnn
    >>> from symcnn import nn
    >>> padded = nn.Conv1d(1, 1, 3, stride=2, padding=1).trace("N 1 L")
    >>> late = nn.Sequential(nn.ZeroPad1d((0, 1)), nn.Conv1d(1, 1, 3, stride=2)).trace("N 1 L")
    >>> found = symcnn.agree(padded, late)
    >>> print(found)
    both take: L >= 2
    shapes agree: L % 2 == 0 and L >= 2
    reads agree: nowhere
      along L the first reads -1 further right
    """
    _same_inputs(a, b)
    found = [_agree(one.network, other.network) for one in a.branches for other in b.branches]
    return found[0] if len(found) == 1 else _joined(found)


def _joined(found: list[Agreement]) -> Agreement:
    """The agreement of all pairs of branches: their sets are disjoint."""
    first, *others = [one for one in found if one.valid] or found
    sizes, reads, valid = first.sizes, first.reads, first.valid
    for one in others:
        sizes, reads, valid = sizes | one.sizes, reads | one.reads, valid | one.valid
    cases = [one for one in (first, *others) if one.sizes]
    shift = (cases or [first])[0].shift
    if any(one.shift != shift for one in cases):
        shift = tuple(
            sympy.Piecewise(*((one.shift[k], one.sizes.as_sympy()) for one in cases))
            for k in range(len(shift))
        )
    differs = next((one.differs for one in (first, *others) if one.differs), "")
    return Agreement(sizes, reads, shift, first.axes, valid, "" if sizes else differs)


def _agree(a: Trace, b: Trace) -> Agreement:
    ours, theirs = a.output_tensors, b.output_tensors
    if len(ours) != len(theirs):
        raise BadSpec(
            f"the first network returns {len(ours)} tensors, the second {len(theirs)}",
            cure='compare parts: a.at("..."), b.at("...")',
        )
    valid = a.valid_inputs() & b.valid_inputs()
    equal: list[Requirement] = []
    differs = ""
    for one, other in zip(ours, theirs, strict=True):
        if one.ndim != other.ndim:
            raise BadSpec(
                f"the first network makes {_shape(one)}, the second {_shape(other)}",
                cure='compare parts: a.at("..."), b.at("...")',
            )
        for x, y in zip(one.dims, other.dims, strict=True):
            if x != y:
                equal.append(Condition(x, "==", y, "the same shape"))
                differs = differs or f"{_shape(one)} against {_shape(other)}"
    sizes = valid.where(*equal) if equal else valid
    reads, shift, axes = _reads(a, b, sizes)
    return Agreement(sizes, reads, shift, axes, valid, "" if sizes else differs)


def _same_inputs(a: Trace, b: Trace) -> None:
    ours, theirs = [t.dims for t in a.input_tensors], [t.dims for t in b.input_tensors]
    if ours == theirs:
        return
    for k, (x, y) in enumerate(zip(ours, theirs, strict=False)):
        if x != y:
            told = f"input {k} is ({', '.join(map(str, x))}) and ({', '.join(map(str, y))})"
            if len(x) == len(y) and sorted(map(str, x)) == sorted(map(str, y)):
                raise BadSpec(f"{told}: another layout", cure="permute in one of them")
            text = " ".join(map(str, x))
            raise BadSpec(told, cure=f'trace both with the same letters, such as "{text}"')
    raise BadSpec(
        f"the first network takes {len(ours)} inputs, the second {len(theirs)}",
        cure='compare parts: a.at("..."), b.at("...")',
    )


def _shape(t: SymbolicTensor) -> str:
    return f"({', '.join(map(str, t.shape))})"


# Reads ------------------------------------------------------------------------------------------


def _reads(
    a: Trace, b: Trace, sizes: InputSet
) -> tuple[InputSet, tuple[Any, ...], tuple[str, ...]]:
    """Where all outputs read alike, the shift of the first one, and the names of its axes."""
    shift: tuple[Any, ...] = ()
    axes: tuple[str, ...] = ()
    found = sizes
    paths = Paths()
    ways, other_ways = paths.of(a), paths.of(b)
    outputs = list(zip(a.output_tensors, b.output_tensors, strict=True))
    equal = [ways.get(one) == other_ways.get(other) for one, other in outputs]
    for n in range(len(a.input_tensors)):
        alike: list[tuple[SymbolicTensor, SymbolicTensor]] = []
        told = all(equal)
        if not told:
            with suppress(Undecidable):  # first, since sets of windows are short
                found, told = _behind_alike(a, b, n, found), True
        for (one, other), same in zip(outputs, equal, strict=True):
            ours, theirs = (
                _field(net, t, net.input_tensors[n]) for net, t in ((a, one), (b, other))
            )
            if ours is None or theirs is None:
                if ours is not theirs:
                    found = found - found
                continue
            if not axes:
                axes = tuple(x.name for x in ours._fields)
                gaps = [0] * len(axes) if same else _gaps(ours, theirs)
                shift = tuple(public(_shown(gap)) for gap in gaps)
            if not same:
                found = _read_alike_after(alike, ours, theirs, found)
            alike.append((one, other))
        if found and not told:
            found = _behind_alike(a, b, n, found)
        if apart := sizes - found:
            for one, other in outputs:
                ours, theirs = (
                    _field(net, t, net.input_tensors[n]) for net, t in ((a, one), (b, other))
                )
                if ours is not None and theirs is not None:
                    _parts_alike(ours, theirs, apart)
    return found, shift, axes


def _gaps(ours: ReceptiveField, theirs: ReceptiveField) -> list[Int]:
    """Per axis, how much further right the first one starts to read."""
    pairs = zip(ours._fields, theirs._fields, strict=True)
    ends = (_compared(x, y, ours.folded or theirs.folded) for x, y in pairs)
    return [one - other for ((one, _), (other, _)) in ends]


def _read_alike_after(
    alike: Sequence[tuple[SymbolicTensor, SymbolicTensor]],
    ours: ReceptiveField,
    theirs: ReceptiveField,
    sizes: InputSet,
) -> InputSet:
    """`_read_alike`; where that has no formula, of what lies behind outputs that read `alike`.

    What reads the same of two tensors through which all goes, and which read the same of the
    input, reads the same of the input; and stages have shorter formulas than networks.
    """
    try:
        return _read_alike(ours, theirs, sizes)
    except Undecidable:
        a, b = ours._net, theirs._net
        for one, other in reversed(alike):
            if _cuts(a, one, ours._output) and _cuts(b, other, theirs._output):
                late = field_between(a, ours._output, one), field_between(b, theirs._output, other)
                if sizes <= _read_alike(*late, sizes):
                    return sizes
        raise


def _cuts(net: Trace, t: SymbolicTensor, output: SymbolicTensor) -> bool:
    """Whether an output reads the inputs of its network through another tensor alone."""
    through, around = {t}, {*net.input_tensors} - {t}
    for node in net.nodes:
        for found in (through, around):
            if found & {*node.inputs}:
                found |= {*node.outputs} - {t}
    return output in through - {t} - around


def _read_alike(ours: ReceptiveField, theirs: ReceptiveField, sizes: InputSet) -> InputSet:
    """Of sizes, those at which two tensors of the same shape read the same places."""
    folded = ours.folded or theirs.folded
    for x, y in zip(ours._fields, theirs._fields, strict=True) if sizes else ():
        sizes = sizes - _apart(x, y, ours._output, sizes, folded)
    return _equal_reads(ours, theirs, sizes) if sizes else sizes


def _parts_alike(ours: ReceptiveField, theirs: ReceptiveField, apart: InputSet) -> None:
    """Raises Undecidable where hulls tell two outputs apart that read the same places: an output
    of tensors joined along an axis lies in one of them, and its formula is the hull of all.
    """
    lines = [
        k
        for k, (x, y) in enumerate(zip(ours._fields, theirs._fields, strict=True))
        if not (x.whole or y.whole) and (_in_parts(ours, k) or _in_parts(theirs, k))
    ]
    if not lines:
        return
    here, near = _near(ours, theirs, apart)
    if not any(_read_apart(ours, theirs, k, here) for k in range(len(ours.axes))):
        names = ", ".join(ours.axes[k] for k in lines)
        raise Undecidable(
            f"parts are joined along {names}, and formulas are hulls of all of them; at"
            f" {assignment(near)} both read the same places, at other sizes that is not decided",
            cure="give numbers for the sizes of the inputs",
        )


def _in_parts(field: ReceptiveField, k: int) -> bool:
    """Whether tensors are joined along an axis on the way."""
    for node in field.nodes():
        operation = operation_of(node)
        if operation is None or not operation.joins:
            continue
        lines = (line for t in node.inputs for line in field._pass.reaches.get(t, ())[k : k + 1])
        along = {line.axis for line in lines if type(line) is AffineRange}
        every = (node.result.axes, *(axes for _, axes in node.result.others))
        if any(source in along and how != IDENTITY for axes in every for source, how in axes or ()):
            return True
    return False


def _near(
    ours: ReceptiveField, theirs: ReceptiveField, sizes: InputSet
) -> tuple[InputSet, dict[str, int]]:
    """The one of these sizes that is nearest to twice what an output reads, and its numbers."""
    extents = [extent for field in (ours, theirs) for extent in field.row()["size"]]
    size = max((extent for extent in extents if isinstance(extent, int)), default=1)
    near = by_name(sizes.shown, sizes.nearest(*(2 * size + 1 for _ in sizes.shown)))
    return sizes.where(*(Condition(Size.symbol(n), "==", v) for n, v in near.items())), near


def _behind_alike(a: Trace, b: Trace, n: int, sizes: InputSet) -> InputSet:
    """Of sizes, those at which also what gates, statistics and longer paths hide is read alike:
    of the input, or of outputs that read alike and through which all goes.
    """
    stages: dict[tuple[SymbolicTensor, SymbolicTensor], list[_Pair]] = {}
    before = [(a.input_tensors[n], b.input_tensors[n])]
    for one, other in zip(a.output_tensors, b.output_tensors, strict=True):
        start = next(s for s in reversed(before) if s == before[0] or _cut(a, b, s, (one, other)))
        stages.setdefault(start, []).append((one, other))
        before.append((one, other))
    for start, outputs in stages.items():
        sizes = _hidden_alike(a, b, start, outputs, sizes) if sizes else sizes
    return sizes


_Pair = tuple[SymbolicTensor, SymbolicTensor]


def _cut(a: Trace, b: Trace, through: _Pair, outputs: _Pair) -> bool:
    return all(_cuts(net, t, out) for net, t, out in zip((a, b), through, outputs, strict=True))


def _hidden_alike(
    a: Trace, b: Trace, start: _Pair, outputs: Sequence[_Pair], sizes: InputSet
) -> InputSet:
    """Of sizes, those at which what outputs hide is read alike, as far as `start`."""
    fields = [
        [_field(net, pair[k], start[k], hidden=False) for pair in outputs]
        for k, net in enumerate((a, b))
    ]
    passes = [
        (next(f._pass for f in each if f is not None), [pair[k] for pair in outputs])
        for k, each in enumerate(fields)
        if any(each)
    ]
    if len(passes) < 2:
        return sizes
    alike, found = sizes, passes[0][0]
    every = (ways_of(*each) for each in passes)
    lengths = [found.source.dims[axis] for axis in found.axes]
    for each, others in zip(*every, strict=True):
        alike = each_among(each, others, lengths, alike)
        alike = each_among(others, each, lengths, alike)
    if alike:
        ours_end, theirs_end = (borders_of(*each) for each in passes)
        alike = same_borders(ours_end, theirs_end, alike)
    for ours, theirs in zip(*fields, strict=True):
        if ours is not None and theirs is not None and _apart_still(ours) and _apart_still(theirs):
            alike = _read_alike(ours, theirs, alike)
    if not alike or not _holes(*(f for each in fields for f in each if f is not None)):
        return alike
    first, second = ({way(each[0], t): t for t in whole_reads(*each)} for each in passes)
    ours_left = [t for key, t in first.items() if key not in second]
    theirs_left = [t for key, t in second.items() if key not in first]
    if len(ours_left) != len(theirs_left):
        if sizes <= alike:
            return sizes
        raise Undecidable(
            f"the first network mixes whole axes of {len(first)} tensors, the second of"
            f" {len(second)}, which are no pairs",
            cure='compare parts: a.at("..."), b.at("...")',
        )
    for one, other in zip(ours_left, theirs_left, strict=True):
        ours, theirs = (
            field_between(net, t, source, gates=False, statistics=False)
            for net, t, source in ((a, one, start[0]), (b, other, start[1]))
        )
        alike = _read_alike(ours, theirs, _as_many(ours, theirs, alike)) if alike else alike
    return alike


def _apart_still(field: ReceptiveField) -> bool:
    """Whether an output reads a part of an axis, by a formula."""
    return not any(f.whole or type(f.reach) is Unknown for f in field._fields)


def _as_many(ours: ReceptiveField, theirs: ReceptiveField, sizes: InputSet) -> InputSet:
    """Of sizes, those at which two tensors have as many places along what they read."""
    equal: list[Requirement] = []
    for x, y in zip(ours._fields, theirs._fields, strict=True):
        if x.along != y.along:
            one, other = (f._net.source_name(f._output) for f in (ours, theirs))
            raise Undecidable(
                f"{one} and {other} have their axes in another order",
                cure='compare parts: a.at("..."), b.at("...")',
            )
        equal += [Condition(x.dims[k], "==", y.dims[k], "as many places") for k in x.along]
    return sizes.where(*equal)


def _shown(expr: Int) -> Int:
    names = [n for n in symbols_of(expr) if is_index(n)]
    return substituted(expr, {n: Symbol("i", low=0).size() for n in names[:1]})


def _field(
    net: Trace, output: SymbolicTensor, source: SymbolicTensor, *, hidden: bool = True
) -> ReceptiveField | None:
    """What an output reads of a tensor; not `hidden`: past gates and statistics."""
    try:
        return field_between(net, output, source, gates=hidden, statistics=hidden)
    except BadSpec:
        return None


def _apart(x: Any, y: Any, output: SymbolicTensor, sizes: InputSet, folded: bool) -> InputSet:
    """The sizes at which some output reads from or to another place along an axis."""
    result = sizes - sizes
    for ours, theirs in zip(*_compared(x, y, folded), strict=True):
        gap = ours - theirs
        if isinstance(gap, int):
            if gap:
                return sizes
            continue
        indices = sorted(n for n in symbols_of(gap) if is_index(n))
        inside: list[Requirement] = [
            Condition(output.dims[a], ">=", index_symbol(a).size() + 1)
            for a in range(output.ndim)
            if index_symbol(a).name in indices
        ]
        for sign in (1, -1):
            differ = Condition(gap * sign, ">=", 1)
            result = result | projected(sizes, indices, [*inside, differ])
    return result


def _compared(x: Any, y: Any, folded: bool) -> tuple[tuple[Int, Int], tuple[Int, Int]]:
    """First and last place of both that are to be equal. Of windows padding counts; of all else
    what is read at all: beside a whole axis one hull may begin in the padding, another at the
    border.
    """
    if folded or type(x.reach) is type(y.reach) is AffineRange:
        return x.plain, y.plain
    return _within(x), _within(y)


def _within(field: Any) -> tuple[Int, Int]:
    (first, last), (low, high) = field.plain, field.together.ends_or_none or (0, field.x - 1)
    return most(first, low), least(last, high)


def _holes(*fields: ReceptiveField) -> bool:
    """Whether a window on the way leaves places out between its taps."""
    return any(
        isinstance(m, Window) and m.dilation != 1
        for field in fields
        for node in field.nodes()
        for _, m in node.result.axes or ()
    )


def _equal_reads(ours: ReceptiveField, theirs: ReceptiveField, sizes: InputSet) -> InputSet:
    """Of sizes at which the hulls agree, those at which all that outputs read does.

    Hulls do not tell of places between taps. What is read near both borders stays as the input
    grows by the period of the strides; so, from where the borders are out of each other's sight,
    one size of each residue class tells of all. Smaller sizes are looked at one by one.
    """
    spans = [_span(ours, theirs, k) for k in range(len(ours.axes))]
    holes = _holes(ours, theirs)
    for k, span in enumerate(spans):
        if span is None or not sizes or not holes:
            continue
        far, period = span
        name = ours.axes[k]
        axis = Size.symbol(name)
        start = 1 if far + period <= _LOOKED_AT else far  # else a smaller size may be left out
        for length in range(start, far + period):
            here = sizes.where(Condition(axis, "==", length))
            if here and _read_apart(ours, theirs, k, here):
                late = [Condition(axis % period, "==", length % period)]
                late += [Condition(axis, ">=", far)] if start < far else []
                gone = late if length >= far else [Condition(axis, "==", length)]
                sizes = sizes - sizes.where(*gone)
    pairs = zip(spans, ours.whole, theirs.whole, strict=True)
    if any(span is None and not (a and b) for span, a, b in pairs) and sizes:
        # a formula where all of an axis is read, none where it hangs on the place
        here, near = _near(ours, theirs, sizes)
        apart = any(_read_apart(ours, theirs, k, here) for k in range(len(spans)))
        if sizes <= here:
            return sizes - sizes if apart else sizes
        if apart or holes:
            raise Undecidable(
                f"both read from the same first to the same last place, and {'not ' * apart}the"
                f" same places in between at {assignment(near)}; at other sizes"
                " that is not decided",
                cure="give numbers for the sizes of the inputs",
            )
    return sizes


#: So many sizes of an axis are looked at one by one.
_LOOKED_AT = 128


def _span(ours: ReceptiveField, theirs: ReceptiveField, k: int) -> tuple[int, int] | None:
    """From which size the borders of an axis are apart, and the period; None: not of windows."""
    fields = (ours._fields[k], theirs._fields[k])
    if symbols_of(fields[0].x) != {ours.axes[k]}:
        return None
    if any(type(field.reach) is not AffineRange for field in fields):
        return None  # else whatever is read is a window
    period = 1
    for field in (ours, theirs):
        for node in field.nodes():
            for out in node.outputs:
                for line in field._pass.reaches.get(out, ())[k : k + 1]:
                    if type(line) is AffineRange:
                        if not isinstance(line.stride, int):
                            return None
                        period = lcm(period, line.stride)
    sizes = (ours.size[k], theirs.size[k])
    if not all(isinstance(size, int) for size in sizes) or period > _LOOKED_AT // 2:
        return None
    return 2 * max(sizes) + period, period


def _read_apart(ours: ReceptiveField, theirs: ReceptiveField, k: int, sizes: InputSet) -> bool:
    """Whether outputs read other places of an axis, at the smallest of these sizes."""
    at = by_name(sizes.shown, sizes.smallest())
    if sizes.batch:  # of which not every number may do
        rest = sizes.given(**at)
        at |= by_name(rest.names, rest.smallest())
    (along, one), (others, other) = ours.at(**at).tables(k), theirs.at(**at).tables(k)
    return along != others or bool((one != other).any())


# Values -----------------------------------------------------------------------------------------


def _values(shift: Int, sizes: InputSet) -> dict[int, InputSet]:
    """Every value of a shift with its sizes, if there are few."""
    names = symbols_of(shift)
    if not sizes or not names <= set(sizes.shown):
        return {}
    found: dict[int, InputSet] = {}
    left = sizes
    for _ in range(16):
        try:
            value = int(evaluate(shift, by_name(left.shown, left.smallest())))
            found[value] = sizes.where(Condition(shift, "==", value))
        except Undecidable:
            return {}
        left = left - found[value]
        if not left:
            return dict(sorted(found.items()))
    return {}
