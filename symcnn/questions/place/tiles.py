"""Tiles: parts of an input which, run one by one, give the output of the whole, exactly.

Tiles overlap: what lies near an inner border of a tile hangs on what is beyond (`symcnn.questions.
place.cut`), and is taken from its neighbour. The axes of a convolutional network do not mix places,
so a plan is a plan for each axis. Along one, every tile starts as late as it may: at the last
multiple of the period from where its first exact output still joins what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from math import ceil, inf
from typing import TYPE_CHECKING, Any

from symcnn.errors import BadSpec, InvalidInput, NoSolution, SymcnnError, needs
from symcnn.questions.cost.cost import measure
from symcnn.questions.field.receptive_field import independent
from symcnn.questions.field.spatial import spatial_axes
from symcnn.questions.inputs.domain import check_valid, shape_at
from symcnn.questions.inputs.limits import amount
from symcnn.questions.place.cut import Course, Cut, Lost, Moved
from symcnn.questions.place.footprint import Footprint
from symcnn.sets.grammar import check_sizes
from symcnn.sets.member import by_name, lone
from symcnn.shown import Shown
from symcnn.trace.graph import SymbolicTensor
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from symcnn.notation.places import Image


@dataclass(frozen=True, slots=True)
class Tile(Shown):
    """One tile, by slices per axis: ``out[place] = net(x[input])[core]``.

    Those of the input in the order of its axes, the others in the order of the output's.
    """

    input: tuple[slice, ...]
    core: tuple[slice, ...]
    place: tuple[slice, ...]

    def __str__(self) -> str:
        return f"{_span(self.input)} -> {_span(self.core)} at {_span(self.place)}"


@dataclass(frozen=True)
class Tiling(Shown):
    """The tiles of an image, and what they cost.

    Attributes:
        axes: the names of the axes that are cut, in the order of all slices.
        sizes: the size of the whole, by name.
        tiles: every `Tile`, in the order of the places of its output.
        halo: per axis, how many rows beyond its own a part needs on the left and on the right.
        period: per axis, the distance by which a tile may move.
        overhead: rows that are run, by rows that there are: 1.28 means 28 % more work.
        note: what the plan leaves out of account (other outputs, statistics, gates), if anything.
        input_axes: which axes of the input the slices are of, counted from the last, which is -1.
        output_axes: the same of the output.
    """

    axes: tuple[str, ...]
    sizes: Mapping[str, int]
    tiles: tuple[Tile, ...]
    halo: tuple[tuple[int, int], ...]
    period: tuple[int, ...]
    overhead: float
    note: str = ""
    input_axes: tuple[int, ...] = ()
    output_axes: tuple[int, ...] = ()

    def __iter__(self) -> Any:
        return iter(self.tiles)

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def origins(self) -> tuple[tuple[int, ...], ...]:
        """Where the tiles start, per axis."""
        starts = zip(*(tuple(s.start for s in t.input) for t in self.tiles), strict=True)
        return tuple(tuple(dict.fromkeys(axis)) for axis in starts)

    def draw(self, axis: int = 0) -> str:
        """A picture of the tiles along one axis, as SVG text."""
        from symcnn.notation.tiling import tiling_svg

        size, ends = self.sizes[self.axes[axis]], max(t.place[axis].stop for t in self.tiles)
        spans = dict.fromkeys(
            (t.input[axis].start, t.input[axis].stop, t.place[axis].start, t.place[axis].stop)
            for t in self.tiles
        )
        bars = [(a / size, b / size, c / ends, d / ends) for a, b, c, d in spans]
        return tiling_svg(self.axes[axis], size, bars)

    def plot(self, on: Image | None = None, *, ax: Axes | None = None) -> Figure:
        """The tiles over the whole; darker where they overlap.

        Args:
            on: a picture of yours, a file or pixels, as large as the whole.
            ax: axes of your own to draw on.

        Returns:
            A matplotlib figure; ``.savefig("tiles.png")`` writes it.

        Raises:
            MissingExtra: matplotlib is not installed.
            BadSpec: a picture of another size, or tiles along three axes.
        """
        with needs("plot", "figures"):
            from symcnn.notation.places import tiling
        ends = [[(s.start, s.stop - 1) for s in tile.input] for tile in self.tiles]
        halo = (
            f"{name}: halo {a} and {b}" for name, (a, b) in zip(self.axes, self.halo, strict=True)
        )
        title = f"{str(self).splitlines()[0]}\n{'; '.join(halo)}"
        return tiling(self.axes, [self.sizes[name] for name in self.axes], ends, title, on, ax)

    def __str__(self) -> str:
        shapes = dict.fromkeys(tuple(s.stop - s.start for s in t.input) for t in self.tiles)
        size = " and ".join("x".join(map(str, shape)) for shape in shapes)
        whole = "x".join(str(self.sizes[a]) for a in self.axes)
        count = len(self.tiles)
        lines = [f"{whole}: {count} tile{'s' * (count > 1)} of {size}, overhead {self.overhead:g}"]
        for k, name in enumerate(self.axes):
            left, right = self.halo[k]
            starts = ", ".join(map(str, _shortened(self.origins[k])))
            lines.append(
                f"  {name}: from {starts}; halo {left} and {right}, period {self.period[k]}"
            )
        place, core = (_at(self.output_axes, name) for name in ("place", "core"))
        lines.append(f"  out[{place}] = net(x[{_at(self.input_axes, 'input')}])[{core}]")
        lines += [f"  {tile}" for tile in _shortened(self.tiles)]
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])


def _at(axes: Sequence[int], name: str) -> str:
    """The slices of that name, where they stand: ``..., place, :`` where channels are last."""
    if list(axes) == list(range(-len(axes), 0)):
        return f"..., {name}"
    each = {axis: f"{name}[{k}]" if len(axes) > 1 else name for k, axis in enumerate(axes)}
    return ", ".join(["...", *(each.get(axis, ":") for axis in range(min(axes), 0))])


def tiles(
    net: Trace,
    *,
    tile: int | Sequence[int | None] | None = None,
    peak: int | str | None = None,
    at: str | None = None,
    gates: bool = True,
    statistics: bool = True,
    dtype: str | None = None,
    sizes: Mapping[str, int],
) -> Tiling:
    """See `Network.tiles`, which this is."""
    part = net if at is None else net.at(at)
    whole, found = courses(net, at, sizes, gates=gates, statistics=statistics)
    names = tuple(c.name for c in found)
    if (tile is None) == (peak is None):
        raise BadSpec("tiles takes a size or a budget", cure='tile=256, or peak="8 GiB"')
    if peak is not None:
        tile = _largest(net, at, whole, found, amount(peak, "peak"), dtype)
    rows = plans(net, tile, whole, found)
    lengths = [dict.fromkeys(cut.stop - cut.start for cut, _, _ in plan) for plan in rows]
    for combination in product(*lengths):
        check_valid(net, {**whole, **dict(zip(names, combination, strict=True))})
    output, source = _output(part), next(t for t in part.input_tensors)
    ends = [course.end.axis for course in found if isinstance(course.end, Moved)]
    starts = [s.axis for c in found if isinstance(s := c.state[source], Moved)]
    order = sorted(range(len(ends)), key=lambda k: ends[k])  # of the output's axes
    made = [
        Tile(
            tuple(slice(cut.start, cut.stop) for cut, _, _ in row),
            tuple(slice(row[k][1] - row[k][0].place, row[k][2] - row[k][0].place) for k in order),
            tuple(slice(*row[k][1:]) for k in order),
        )
        for row in product(*rows)
    ]
    overhead = 1.0
    for course, plan in zip(found, rows, strict=True):
        overhead *= sum(cut.stop - cut.start for cut, _, _ in plan) / whole[course.name]
    return Tiling(
        names,
        {n: whole[n] for n in names},
        tuple(made),
        tuple(halo(course) for course in found),
        tuple(course.period for course in found),
        round(overhead, 12),
        _note(part, gates, statistics),
        tuple(axis - source.ndim for axis in starts),
        tuple(ends[k] - output.ndim for k in order),
    )


def plans(
    net: Trace,
    tile: int | Sequence[int | None] | None,
    whole: Mapping[str, int],
    found: Sequence[Course],
) -> list[Plan]:
    """The tiles along each axis. Raises InvalidInput, NoSolution for sizes of tiles of no use."""
    wanted = _per_axis(tile, [course.name for course in found], whole)
    made = []
    for course, width in zip(found, wanted, strict=True):
        _check(net, whole, course, width)
        plan = _plan(course, width)
        if plan is None:
            raise _too_small(net, whole, course, width)
        made.append(plan)
    return made


def _note(part: Trace, gates: bool, statistics: bool) -> str:
    several = of_several(part)
    left = [w for w, on in (("gates", gates), ("statistics of norms", statistics)) if not on]
    but = f"exact but for {' and '.join(left)}, which see the whole image" if left else ""
    return "; ".join(filter(None, (several, but)))


# The sizes and the courses ----------------------------------------------------------------------


def whole_sizes(net: Trace, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes of a whole input, one image unless given. Raises InvalidInput, BadSpec."""
    values = net.complete_sizes(_of_few_images(net, sizes))
    check_valid(net, values)
    return values


def _of_few_images(net: Trace, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes given, and of a batch that is not one image, or the fewest that the network takes
    with the others.
    """
    given = {name: 1 for name in net.symbols if name in net.batch} | dict(sizes)
    if given.keys() == sizes.keys():
        return given
    domain = net.valid_inputs()
    known = {n: v for n, v in given.items() if n in domain.names}
    known = check_sizes(known, frozenset(domain.names))
    for name in known.keys() - sizes.keys() if not domain.given(**known) else ():
        images = domain.given(**{n: v for n, v in known.items() if n != name}).axis(name)
        if images:
            given[name] = known[name] = lone(images.smallest())
    return given


def filled(net: Trace, sizes: Mapping[str, int], large: int = 1) -> dict[str, int]:
    """The sizes given, and a valid one, near `large`, for each of the others.

    Raises BadSpec for a hyperparameter without a number: none is chosen.
    """
    given = _of_few_images(net, sizes)
    if open_ones := [name for name in net.hyperparameters if name not in given]:
        numbers = ", ".join(f"{name}=..." for name in open_ones)
        raise BadSpec(f"no value for {', '.join(open_ones)}", cure=f"ask net.given({numbers})")
    if {*net.symbols} <= {*given}:
        return given
    domain = net.valid_inputs()
    left = domain.given(**{n: v for n, v in given.items() if n in domain.names})
    if not left:
        shape_at(net, **{**dict.fromkeys(net.symbols, large), **given})
    if left.names:
        given |= by_name(left.shown, left.nearest(*(large for _ in left.shown)))
    return {**dict.fromkeys(net.symbols, large), **given}


def courses(
    net: Trace,
    at: str | None,
    sizes: Mapping[str, int],
    *,
    gates: bool = True,
    statistics: bool = True,
    only: Sequence[str] = (),
    every: bool = False,
) -> tuple[dict[str, int], list[Course]]:
    """The sizes of the whole, and how a part moves along each axis that is cut (`only` those);
    `every`: at all sizes, not just at these.

    Raises NoSolution, with the node, where an axis is read as a whole.
    """
    part = net if at is None else net.at(at)
    output = _output(part)
    source = next(t for t in part.input_tensors)
    names = [str(source.dims[a]) for a in spatial_axes(part, source)]
    names = [n for n in names if n in part.symbols and n in (only or names)]
    if not names:
        raise BadSpec(
            f"{net.source_name(source)} ({', '.join(map(str, source.shape))}) has no such axis",
            cure="an axis that is cut has a letter of its own as its size",
        )
    whole = whole_sizes(part, sizes)
    options = {"gates": gates, "statistics": statistics, "every": every}
    found = [Course(part, output, name, whole, **options) for name in names]
    if output not in found[0].state:
        raise independent(part, output, source)
    for course in found:
        if isinstance(course.end, Lost):
            raise _unbounded(part, found, course, whole, options)
    return whole, found


def _output(part: Trace) -> SymbolicTensor:
    """The output that is meant: the first, as for a receptive field."""
    for t in part.output_tensors:
        return t
    raise BadSpec("the network has no tensor as its output")


def of_several(part: Trace) -> str:
    """Which of several outputs is meant, in words; empty if there is one."""
    outputs = dict.fromkeys(part.output_tensors)
    if len(outputs) < 2:
        return ""
    first, *others = map(part.source_name, outputs)
    return f"of {first}; the network also returns {', '.join(others)}"


def _unbounded(
    net: Trace,
    every: Sequence[Course],
    lost: Course,
    whole: Mapping[str, int],
    options: Mapping[str, bool],
) -> NoSolution:
    """The refusal, and what would be exact without a norm or a gate.

    every: the courses along all axes that are cut; lost: one that has no end.
    """
    for left in ("statistics", "gates"):
        if not options[left]:
            continue
        course = Course(net, net.output_tensors[0], lost.name, whole, **{**options, left: False})
        if not isinstance(course.end, Lost):
            before, after = halo(course)
            what = "its statistics" if left == "statistics" else "gates"
            return NoSolution(
                f"{lost.end}: no part of the input alone gives a part of the output",
                cure=f"all but {what} has a halo of {before} and {after}: {left}=False leaves"
                f" {'them' if left == 'gates' else 'these'} out",
            )
    there = _before(net, every)
    return NoSolution(
        f"{lost.end}: no part of the input alone gives a part of the output",
        cure=f'ask for what comes before, at="{there}"' if there else "only the whole works",
    )


def _before(net: Trace, every: Sequence[Course]) -> str:
    """The last module before the node to blame of which a part is one of the whole; "" if none."""
    for node in reversed(net.nodes):
        states = [course.state.get(node.outputs[0]) for course in every]
        if all(isinstance(state, Moved) for state in states):
            return net.source_name(node.outputs[0])
    return ""


def halo(course: Course) -> tuple[int, int]:
    """How many rows beyond its own a part of the input needs, on the left and on the right.

    What a part of a whole number of periods reads, in the middle of a large input.
    """
    footprint = Footprint(course)
    first, last = footprint.ends[course.home(course.output)]
    return int(max(-first.min(), 0)), int(max(last.max() - course.period + 1, 0))


# One axis ---------------------------------------------------------------------------------------

#: A cut, and the outputs that are taken from it, in places of the whole.
Row = tuple[Cut, int, int]
Plan = list[Row]


def _plan(course: Course, width: int) -> list[Row] | None:
    """The tiles along one axis, all `width` long but perhaps the last; None if there are none."""
    x, period = course.sizes[course.name], course.period
    end = course.end
    assert not isinstance(end, Lost)
    y = course.length
    if width >= x:
        return [(course.cut(0, x), 0, y)]
    rows: list[Row] = []
    inner, start, covered = _inner(course, width), 0, 0
    while covered < y:
        if rows:
            if inner is None:
                return None
            latest = int((covered - inner.exact[0]) / end.rate) // period * period
            last = ceil((x - width) / period) * period
            if latest <= start or (latest >= last and last <= start):
                return None
            start = min(latest, last)
        if inner is None or start == 0 or start + width >= x:
            cut = course.cut(start, min(start + width, x))
        else:  # nearer to a border there is less of what an inner tile does not see
            cut = Cut(start, start + width, int(end.rate * start), inner.wrong)
        first, stop = cut.exact
        if first > covered or stop <= covered:
            return None
        rows.append((cut, covered, stop))
        covered = stop
    return rows


def _inner(course: Course, width: int) -> Cut | None:
    """A tile in the middle, moved to the start; None if nothing of it is exact."""
    x, period = course.sizes[course.name], course.period
    start = max((x - width) // 2 // period * period, period)
    stop = min(start + width, x)  # where there is no inner tile, the last one is like it
    if stop <= start:
        return None
    cut = course.cut(start, stop)
    return None if cut.wrong.all() else Cut(0, stop - start, 0, cut.wrong)


def _per_axis(tile: Any, names: Sequence[str], whole: Mapping[str, int]) -> list[int]:
    several = tuple(tile) if isinstance(tile, (tuple, list)) else (tile,) * len(names)
    if len(several) != len(names):
        raise BadSpec(f"tile={tile!r} has {len(several)} sizes", cure=f"one for {', '.join(names)}")
    widths = [whole[n] if w is None else w for n, w in zip(names, several, strict=True)]
    if not all(hasattr(w, "__index__") and not isinstance(w, bool) and w > 0 for w in widths):
        raise BadSpec(f"tile={tile!r} is no size", cure="tile=256, or one for each axis")
    return [min(int(w), whole[n]) for n, w in zip(names, widths, strict=True)]


def _accepts(net: Trace, whole: Mapping[str, int], name: str, width: int) -> bool:
    try:
        check_valid(net, {**whole, name: width})
    except InvalidInput:
        return False
    return True


def _check(net: Trace, whole: Mapping[str, int], course: Course, width: int) -> None:
    """Raises InvalidInput for a tile that the network does not take, with one that it does."""
    if _accepts(net, whole, course.name, width):
        return
    try:
        check_valid(net, {**whole, course.name: width})
    except InvalidInput as error:
        near = _nearest(net, whole, course, width)
        cure = f"tile={near}" if near else error.cure
        raise InvalidInput(f"tile={width}: {error.cause}", cure=cure) from None


def _nearest(net: Trace, whole: Mapping[str, int], course: Course, width: int) -> int | None:
    """The least tile from `width` on that works along an axis: none of less rows than a tile has
    beyond its own.
    """
    x, period = course.sizes[course.name], course.period
    width = max(width, sum(halo(course)) - 2 * period)

    def works(candidate: int) -> bool:
        return _accepts(net, whole, course.name, candidate) and _plan(course, candidate) is not None

    for rest in dict.fromkeys((0, x % period)):
        low = -(-(width - rest) // period)
        step, high = 1, low
        while rest + high * period < x and not works(rest + high * period):
            high, step = high + step, 2 * step
        if rest + high * period >= x:
            continue
        low = max(low, high - step // 2)
        return next(rest + k * period for k in range(low, high + 1) if works(rest + k * period))
    return None


def _too_small(net: Trace, whole: Mapping[str, int], course: Course, width: int) -> NoSolution:
    left, right = halo(course)
    near = _nearest(net, whole, course, width)
    found = f"the least that works is tile={near}" if near else "only the whole works"
    return NoSolution(
        f"tile={width} along {course.name} is too small: {left} rows on its left and {right} on its"
        f" right hang on its neighbours, and it may move by {course.period} only",
        cure=found,
    )


def _largest(
    net: Trace,
    at: str | None,
    whole: Mapping[str, int],
    found: Sequence[Course],
    budget: int,
    dtype: str | None,
) -> tuple[int, ...]:
    """The largest tiles, the same along all axes but for their ends, whose run fits the budget."""
    cost = measure(net if at is None else net.at(at), dtype=dtype)
    periods = [course.period for course in found]
    names = [course.name for course in found]

    def widths(k: int) -> tuple[int, ...]:
        step = max(periods)
        return tuple(
            min(whole[n], -(-k * step // p) * p) for n, p in zip(names, periods, strict=True)
        )

    def peak(k: int) -> float:
        sizes = {**whole, **dict(zip(names, widths(k), strict=True))}
        try:
            return int(cost.at(**sizes).peak)
        except InvalidInput:
            return inf

    most = -(-max(whole[n] for n in names) // max(periods))
    least = next((k for k in range(1, most + 1) if _takes(net, whole, names, widths(k))), most)
    low = _last_within(budget, peak, least, most, len(names))
    if low < least:
        raise NoSolution(
            f"a tile of {'x'.join(map(str, widths(least)))} needs more than {budget:,} bytes"
            " already",
            cure="give a larger budget",
        )
    return widths(low)


def _last_within(
    budget: int, peak: Callable[[int], float], least: int, most: int, degree: int
) -> int:
    """The last k from `least` to `most` within a budget; less than `least` if none is.

    A peak grows about as k to the number of axes, so where it meets the budget is read off the
    curve between what fits and what does not: three or four peaks are asked in place of all that a
    bisection takes. Where the curve is another, bisection goes on.
    """
    below, above = (least - 1, 0.0), (most, peak(most))  # what fits, and what does not
    if above[1] <= budget:
        return most
    for step in count():
        low, high = below[0], above[0]
        if high - low <= 1:
            break
        k = (low + high) // 2
        if step < 4 and above[1] < inf:
            share = (budget - below[1]) / (above[1] - below[1])
            k = int((low**degree + share * (high**degree - low**degree)) ** (1 / degree))
        k = min(max(k, low + 1), high - 1)
        now = k, peak(k)
        below, above = (now, above) if now[1] <= budget else (below, now)
    return below[0]


def _takes(
    net: Trace, whole: Mapping[str, int], names: Sequence[str], widths: Sequence[int]
) -> bool:
    try:
        check_valid(net, {**whole, **dict(zip(names, widths, strict=True))})
    except SymcnnError:
        return False
    return True


# Text -------------------------------------------------------------------------------------------


def _span(slices: Sequence[slice]) -> str:
    return " x ".join(f"{s.start}:{s.stop}" for s in slices)


def _shortened(items: Sequence[Any], most: int = 8) -> list[Any]:
    """A long list without its middle."""
    if len(items) <= most:
        return list(items)
    return [*items[: most - 2], "...", items[-1]]
