"""Figures of a network over its sizes: the staircase, the lattice of the domain, costs, memory.

Every point is a number that the network answers at these sizes; the figure adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby, pairwise
from textwrap import fill
from typing import SupportsIndex, TypeAlias

from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from symcnn.algebra.size import Int, evaluate, symbols_of, whole_number
from symcnn.errors import BadSpec, SymcnnError
from symcnn.lazy import sympy
from symcnn.notation.course import Course, Sizes, accepted, course, holds, image, taken, usual
from symcnn.notation.figure import BLUE, COLOURS, GREY, RED, brief, paper, path, quantity
from symcnn.notation.figure import Figure as Page
from symcnn.questions.cost.cost import measure
from symcnn.questions.cost.steps import steps
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.inputs.domain import reasons
from symcnn.sets.condition import Requirement
from symcnn.sets.grammar import parse_amount
from symcnn.trace.trace import Trace

#: Sizes that a cost is computed at, and cells of a lattice, at most.
_POINTS, _CELLS = 48, 90_000


@dataclass(frozen=True)
class FigureOptions:
    """What is asked of a figure beside its kind.

    Attributes:
        sizes: numbers and ranges, by name.
        output: sizes of the output to mark.
        at: a module or node to look at.
        budgets: amounts by the name of a cost.
        ax: the axes to draw on.
    """

    sizes: Sizes
    output: int | Sequence[int] | None = None
    at: str | None = None
    budgets: Mapping[str, int | float | str] = field(default_factory=dict)
    ax: Axes | None = None


def figure(net: Trace, what: str, asked: FigureOptions) -> Figure:
    """See `symcnn.Network.plot`."""
    if what not in KINDS:
        raise BadSpec(f"there is no figure {what!r}", cure=f"there is {', '.join(KINDS)}")
    for option, given, kinds in (
        ("output", asked.output is not None, ("sizes",)),
        ("at", asked.at is not None, ("sizes", "memory", "fields")),
        ("budgets", bool(asked.budgets), ("cost",)),
    ):
        if given and what not in kinds:
            raise BadSpec(f"{option} is nothing that the figure of {what!r} shows")
    return KINDS[what](net, asked)


def _title(net: Trace, ax: Axes, text: str, beside: str = "") -> None:
    told = [text, *([beside] if beside else []), *([f"holds {net.scope}"] if net.scope else [])]
    ax.set_title("\n".join(brief(line, 96) for line in told), fontsize=10, loc="left")


def _numbers(sizes: Sizes) -> dict[str, int]:
    """The sizes of a figure that is of one size."""
    found = {name: int(size) for name, size in sizes.items() if isinstance(size, SupportsIndex)}
    for name in sizes.keys() - found.keys():
        raise BadSpec(f"{name} is a range", cure="the figure is of one size: H=224, W=224")
    return found


# sizes ------------------------------------------------------------------------------------------


def _sizes(net: Trace, asked: FigureOptions) -> Figure:
    """The staircase: the size of the output over that of the input."""
    run = course(net, asked.sizes)
    page, ax = paper(asked.ax)
    targets = _targets(asked.output)
    measured = {value: _along(part, asked.at, run, value) for value, part in accepted(net, run)}
    steps = {value: size for value, size in measured.items() if size is not None}
    hit = {target: [v for v, size in steps.items() if size == target] for target in targets}
    marked = {value for values in hit.values() for value in values}
    plain = [value for value in steps if value not in marked]
    ax.scatter(plain, [steps[v] for v in plain], s=9, color=BLUE, label="valid", zorder=3)
    refused = [value for value in run.values if value not in measured]
    if refused:
        ax.plot(refused, [0.0] * len(refused), "|", color=GREY, ms=7, label="not valid", zorder=2)
    for target, colour in zip(targets, (RED, *COLOURS[1:] * len(targets)), strict=False):
        found = hit[target]
        ax.axhline(target, color=colour, lw=0.8, ls="--")
        for first, last in _stretches(found, run.values):
            ax.axvspan(first - 0.5, last + 0.5, color=colour, alpha=0.13, lw=0)
        said = f"{target}: {_spans(found, run)}" if found else f"{target}: from none of these"
        ax.scatter(found, [target] * len(found), s=16, color=colour, label=said, zorder=4)
    ax.set(xlabel=f"input {run.label}", ylabel=f"output{f' of {asked.at}' if asked.at else ''}")
    ax.set_ylim(bottom=min(0, *steps.values(), 0) - 0.02 * max([*steps.values(), 1]))
    ax.legend(loc="upper left", fontsize=8, framealpha=0.9)
    _title(net, ax, _formula(net, asked.at, run), run.beside)
    return page


def _targets(output: int | Sequence[int] | None) -> list[int]:
    values = output if isinstance(output, Iterable) else (output,)
    found = [whole_number("output", value) for value in values if value is not None]
    if any(value < 1 for value in found):
        raise BadSpec(f"output={output!r} is no size", cure="output=7, or (7, 14)")
    return list(dict.fromkeys(found))


def _part(net: Trace, at: str | None) -> Trace:
    return net.at(at) if at else net.last_map(len(image(net))) if image(net) else net


def _row(net: Trace, at: str | None, run: Course) -> Int | None:
    """The first size of the output, or of its last map, that varies as the course runs."""
    dims = _part(net, at).output_dims
    return next((dim for dim in dims if symbols_of(dim) & set(run.names)), None)


def _along(net: Trace, at: str | None, run: Course, value: int) -> int | None:
    row = _row(net, at, run)
    return None if row is None else int(evaluate(row, run.at(value)))


def _formula(net: Trace, at: str | None, run: Course) -> str:
    """What the staircase draws, where all branches have one form."""
    rows = [_row(branch.network, at, run) for branch in net.branches]
    if all(row is None for row in rows):
        raise BadSpec(f"the output does not vary with {run.label}", cure='at="layer4"')
    parts = [_part(branch.network, at) for branch in net.branches]
    texts = dict.fromkeys(
        str(part.simplest(row)) for part, row in zip(parts, rows, strict=True) if row is not None
    )
    name = next((part.name for part in parts if part.name), "")
    form = next(iter(texts)) if len(texts) == 1 else f"{len(texts)} formulas, by branch"
    return f"size of {name}: {form}" if name else f"size of the output: {form}"


def _stretches(values: Sequence[int], among: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of values that follow each other in a range."""
    place = {value: k for k, value in enumerate(among)}
    found: list[tuple[int, int]] = []
    for value in sorted(values, key=place.__getitem__):
        if found and place[value] == place[found[-1][1]] + 1:
            found[-1] = found[-1][0], value
        else:
            found.append((value, value))
    return found


def _spans(values: Sequence[int], run: Course) -> str:
    spans = [str(a) if a == b else f"{a}..{b}" for a, b in _stretches(values, run.values)]
    return f"{run.label} = {brief(', '.join(spans), 40)}"


# domain -----------------------------------------------------------------------------------------


def _domain(net: Trace, asked: FigureOptions) -> Figure:
    """The lattice of valid inputs, and for the others why not."""
    names, spans, fixed = _lattice(net, asked.sizes)
    rules = {id(b.network): _rules(b.network) for b in net.branches}
    found: dict[str, int] = {}
    rows = []
    for down in spans[0]:
        row = []
        for across in spans[1]:
            sizes = {**fixed, names[0]: down, **({names[1]: across} if len(names) > 1 else {})}
            why = _why(net, sizes, rules)
            row.append(0 if not why else found.setdefault(why, len(found) + 1))
        rows.append(row)
    valid = sum(row.count(0) for row in rows)
    page, ax = paper(asked.ax, 7.8, 5.2 if len(names) > 1 else 2.4)
    others = (to_rgb(COLOURS[k % len(COLOURS)]) for k in range(len(found)))
    palette = [to_rgb(BLUE), *((0.4 + 0.6 * r, 0.4 + 0.6 * g, 0.4 + 0.6 * b) for r, g, b in others)]
    if len(names) == 1:
        rows = [[row[0] for row in rows]]
    first, last = _edges(spans[0]), _edges(spans[-1])
    extent = (*last, *first) if len(names) > 1 else (*first, 0.0, 1.0)
    ax.imshow(
        rows,
        cmap=ListedColormap(palette),
        vmin=-0.5,
        vmax=len(palette) - 0.5,
        origin="lower",
        extent=extent,
        interpolation="nearest",
        aspect="equal" if 1 / 3 < len(spans[0]) / len(spans[-1]) < 3 else "auto",
    )
    ax.set_xlabel(names[-1])
    if len(names) > 1:
        ax.set_ylabel(names[0])
    else:
        ax.set_yticks([])
    labels = [f"valid: {valid:,} of {sum(map(len, rows)):,}", *found]
    patches = [
        Patch(color=c, label=fill(brief(t, 150), 40)) for c, t in zip(palette, labels, strict=True)
    ]
    ax.legend(handles=patches[:12], loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=7)
    try:
        told = net.valid_inputs().words()
    except SymcnnError:
        told = "the domain"
    _title(net, ax, told, ", ".join(f"{n} = {v}" for n, v in fixed.items()))
    return page


def _lattice(net: Trace, sizes: Sizes) -> tuple[list[str], list[tuple[int, ...]], dict[str, int]]:
    """The two sizes that span the lattice, what they run through, and the others."""
    ranged = {
        name: tuple(size) for name, size in sizes.items() if not isinstance(size, SupportsIndex)
    }
    fixed = _numbers({name: size for name, size in sizes.items() if name not in ranged})
    order = [*net.symbols, *(name for name in ranged if name not in net.symbols)]
    free = [n for n in image(net) if n not in fixed and n not in ranged]
    chosen = [name for name in order if name in [*ranged, *free[: max(2 - len(ranged), 0)]]]
    if not chosen or len(chosen) > 2:
        raise BadSpec(f"a lattice spans two sizes, not {len(chosen)}", cure="fix the others: D=16")
    spans = []
    for name in chosen:
        run = course(net, {**fixed, name: ranged[name]} if name in ranged else {**fixed}, 64)
        values = run.values
        if name not in ranged and run.values[-1] > 300:
            low = run.values[-1] // 2 - 32
            values = tuple(range(low, low + 128))
        spans.append(values)
    if len(spans[0]) * len(spans[-1]) > _CELLS:
        raise BadSpec(f"a lattice of more than {_CELLS:,} sizes", cure="give shorter ranges")
    if any(b != a + (s[1] - s[0]) for s in spans for a, b in pairwise(s)):
        raise BadSpec("a lattice has even steps", cure="H=range(1, 65)")
    rest = usual(net, **fixed)
    beside = {name: size for name, size in rest.items() if name not in chosen}
    if len(chosen) == 1:
        spans = [*spans, (1,)]
    return chosen, spans, beside


def _edges(values: Sequence[int]) -> tuple[float, float]:
    step = values[1] - values[0] if len(values) > 1 else 1
    return values[0] - step / 2, values[-1] + step / 2


def _rules(net: Trace) -> list[tuple[str, Requirement]]:
    """What a branch requires, each with its node: the least that says it all."""
    try:
        return [(f"{r.node}: {r.requirement}", r.requirement) for r in reasons(net)]
    except SymcnnError:
        return [(str(r), r) for r in net.requirements]


def _why(
    net: Trace, sizes: Mapping[str, int], rules: Mapping[int, Sequence[tuple[str, Requirement]]]
) -> str:
    """Why these sizes are refused; "" where they are not."""
    branch = taken(net, sizes)
    if branch is not None:
        broken = (said for said, r in rules[id(branch.network)] if not holds(r, sizes))
        return next(broken, "")
    for refusal in getattr(net, "refusals", ()):
        if refusal.takes(sizes):
            return f"the model raises: {refusal.said}" if refusal.said else "a layer refuses"
    for said, requirement in rules[id(net.branches[0].network)]:
        if not holds(requirement, sizes):
            return said
    return "not followed: see net.unfollowed"


# costs ------------------------------------------------------------------------------------------

#: Costs by name: their figure, and their unit.
_COSTS = {
    "params": ("params", ""),
    "macs": ("total", ""),
    "memory": ("activations", "B"),
    "peak": ("peak", "B"),
}
_SAID = {
    "params": "parameters",
    "macs": "MACs",
    "memory": "all activations",
    "peak": "peak of inference",
}


#: A size, a cost, and the branch to which both belong.
_Point: TypeAlias = tuple[int, int, int]


def _cost(net: Trace, asked: FigureOptions) -> Figure:
    """Costs over a size, with budgets as lines."""
    default = {} if asked.sizes else {name: range(32, 513, 32) for name in image(net)}
    run = course(net, asked.sizes or default)
    valid = list(accepted(net, run))
    if not valid:
        raise BadSpec(f"none of these sizes is valid: {run.label} = {run.values[0]}...")
    step = -(-len(valid) // _POINTS)
    points = [*valid[::step], *([valid[-1]] if (len(valid) - 1) % step else [])]
    costs = [(value, id(part), measure(part).at(**run.at(value))) for value, part in points]
    curves: dict[str, list[_Point]] = {
        name: [(v, int(getattr(cost, _COSTS[name][0])), part) for v, part, cost in costs]
        for name in _COSTS
    }
    varies = [name for name, curve in curves.items() if len({cost for _, cost, _ in curve}) > 1]
    shown = list(dict.fromkeys([*(asked.budgets or varies or _COSTS)]))
    if asked.ax is not None:
        if len(shown) > 1 and asked.budgets:
            raise BadSpec("axes of your own show one cost", cure="one budget")
        first = next(iter(asked.budgets), "macs" if "macs" in shown else shown[0])
        _curve(net, asked.ax, run, first, curves[first], asked)
        _title(net, asked.ax, _SAID[first], run.beside)
        return paper(asked.ax)[0]
    page = Page(figsize=(4.2 * len(shown) + 0.6, 3.6), layout="constrained")
    for k, name in enumerate(shown):
        ax = page.add_subplot(1, len(shown), k + 1)
        _curve(net, ax, run, name, curves[name], asked)
        _title(net, ax, _SAID[name], run.beside if k == 0 else "")
    return page


def _curve(
    net: Trace, ax: Axes, run: Course, name: str, curve: list[_Point], asked: FigureOptions
) -> None:
    unit = _COSTS[name][1]
    for _, piece in groupby(curve, lambda point: point[2]):  # branches do not join
        values, amounts, _ = zip(*piece, strict=True)
        ax.plot(values, amounts, "o-", ms=3, lw=1, color=BLUE)
    ax.set(xlabel=run.label, ylabel="bytes" if unit else _SAID[name])
    ax.set_ylim(bottom=0)
    _scale(ax, max(cost for _, cost, _ in curve), unit)
    if name in asked.budgets:
        given = asked.budgets[name]
        most = parse_amount(given, name) if isinstance(given, str) else int(given)
        border = _border(net, run, name, most)
        said = "{} fits, {} does not".format(*border) if border else "not crossed"
        ax.axhline(most, color=RED, lw=1, ls="--", label=f"{quantity(most, unit)}: {said}")
        if border:
            ax.axvline(border[0], color=RED, lw=0.8, ls=":")
        ax.legend(fontsize=8, loc="upper left")


def _scale(ax: Axes, most: int, unit: str) -> None:
    """Marks of the axis of a cost; of bytes, whole ones in their unit."""
    ax.yaxis.set_major_formatter(lambda value, _: quantity(value, unit))
    if unit and most:
        whole = 1024 ** max(0, (most.bit_length() - 2) // 10)
        step = next(s for k in count() for b in (1, 2, 5) if (s := b * 10**k) * whole * 6 >= most)
        ax.yaxis.set_major_locator(MultipleLocator(step * whole))


def _border(net: Trace, run: Course, name: str, most: int) -> tuple[int, int] | None:
    """Two valid sizes that follow each other, of which the first stays within a budget and the
    second does not; None where the last fits, or the first does not. Found by halves.
    """
    valid = list(accepted(net, run))

    def within(k: int) -> bool:
        value, part = valid[k]
        return int(getattr(measure(part).at(**run.at(value)), _COSTS[name][0])) <= most

    low, high = 0, len(valid) - 1
    if not within(low) or within(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return valid[low][0], valid[high][0]


# memory -----------------------------------------------------------------------------------------


def _memory(net: Trace, asked: FigureOptions) -> Figure:
    """The bytes alive while each node runs, and whose they are at the worst moment."""
    sizes = usual(net, **_numbers(asked.sizes))
    part = net.branch_at(**sizes)
    part = part.at(asked.at) if asked.at else part
    run = steps(measure(part).at(**sizes))
    page, ax = paper(asked.ax, 7.6, 4.0)
    if not run:
        raise BadSpec("the network runs nothing")
    peak = max(range(len(run)), key=lambda k: run[k].bytes)
    heights = [step.bytes for step in run]
    ax.fill_between(range(len(run) + 1), [*heights, heights[-1]], step="post", color=BLUE, lw=0)
    ax.fill_between([peak, peak + 1], [heights[peak]] * 2, color=RED, lw=0)
    worst = run[peak]
    held = sorted(worst.alive, key=lambda one: -one[1])
    lines = [f"peak {quantity(worst.bytes, 'B')} at {worst.node}"]
    lines += [f"  {quantity(size, 'B')} of {maker}" for maker, size in held[:5]]
    lines += [f"  and {len(held) - 5} more"] if len(held) > 5 else []
    right = peak > len(run) / 2
    ax.text(
        *((0.02 if right else 0.98), 0.97),
        "\n".join(lines),
        transform=ax.transAxes,
        ha="left" if right else "right",
        va="top",
        fontsize=8,
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": RED, "alpha": 0.9},
    )
    ax.set(xlabel="step of the forward", ylabel="bytes alive", xlim=(0, len(run)))
    ax.set_ylim(0, 1.35 * max(heights))
    every = max(1, -(-len(run) // 16))
    ticks = sorted({*range(0, len(run), every)})
    ax.set_xticks([k + 0.5 for k in ticks])
    ax.set_xticklabels([path(run[k].node) for k in ticks], rotation=40, ha="right", fontsize=7)
    _scale(ax, max(heights), "B")
    _title(net, ax, "tensors alive in inference, parameters aside", _assignments(sizes))
    return page


def _assignments(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {size}" for name, size in sizes.items())


# fields -----------------------------------------------------------------------------------------


def _fields(net: Trace, asked: FigureOptions) -> Figure:
    """The receptive field along the depth: over all paths, and over the shortest."""
    sizes = usual(net, **_numbers(asked.sizes))
    part = net.branch_at(**sizes)
    field = receptive_field(part, asked.at)
    page, ax = paper(asked.ax, 7.6, 4.0)
    name = field.axes[-1]
    extent = sizes.get(name)
    for rows, colour, said in (
        (field.table(), BLUE, "over all paths"),
        (field.smallest.table(), COLOURS[1], "along the shortest path"),
    ):
        widths = [_number(one, sizes) for row in rows if isinstance(one := row["size"], tuple)]
        seen = [(k, width) for k, width in enumerate(widths) if width is not None]
        if seen:
            ax.plot(*zip(*seen, strict=True), "-", lw=1.4, color=colour, label=said)
    if extent:
        ax.axhline(extent, color=RED, lw=1, ls="--", label=f"the image, {name} = {extent}")
    names = [str(row["name"]) for row in field.table()]
    every = max(1, -(-len(names) // 16))
    ax.set_xticks(range(0, len(names), every))
    ax.set_xticklabels([path(n) for n in names[::every]], rotation=40, ha="right", fontsize=7)
    ax.set(ylabel=f"receptive field along {name}")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8, loc="upper left")
    _title(net, ax, f"what a place of {asked.at or 'the output'} sees", _assignments(sizes))
    return page


def _number(size: tuple[object, ...], values: Mapping[str, int]) -> int | None:
    """The last size of a field as a number, where it is one at these sizes."""
    width = size[-1]
    if isinstance(width, int):
        return width
    if not isinstance(width, sympy.Expr) or not {str(s) for s in width.free_symbols} <= {*values}:
        return None
    number = width.subs({s: values[str(s)] for s in width.free_symbols})
    return int(number) if number.is_Integer else None


#: The figures, by name.
KINDS: dict[str, Callable[[Trace, FigureOptions], Figure]] = {
    "sizes": _sizes,
    "domain": _domain,
    "cost": _cost,
    "memory": _memory,
    "fields": _fields,
}
