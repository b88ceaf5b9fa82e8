"""Solving backwards: which inputs reach a target, or several at once.

Every wish (an output size, a number of features, squareness, a range, a multiple) is a
conjunction of Presburger conditions; they are handed to `symcnn.sets.inputset` together with the
domain,
whole, so answers are closed sets and never the result of a search. A target with symbols of its
own makes the answer a formula in them (`Relation`). Budgets are down-closed sets
(`symcnn.questions.inputs.budget`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import singledispatch
from itertools import combinations, takewhile
from operator import index
from typing import Any, SupportsIndex, cast

from symcnn.algebra.axis import OfLength
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size, denominator, prod, symbols_of
from symcnn.errors import BadSpec, NoSolution, SymcnnError, Undecidable
from symcnn.lazy import sympy
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.questions.inputs.choices import Choices, solve_choices
from symcnn.questions.inputs.domain import whole_network
from symcnn.questions.inputs.even import even_wishes
from symcnn.questions.inputs.limits import keep_within, span_of
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Amount, Between, Target, parse_target
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name, lone
from symcnn.sets.relation import Relation
from symcnn.shown import assignment, by_x
from symcnn.trace.coverage import all_followed
from symcnn.trace.graph import SymbolicTensor
from symcnn.trace.maps import map_axes
from symcnn.trace.trace import Trace


@dataclass(frozen=True)
class Wish:
    """Something asked of the input, in words and as conditions."""

    text: str
    requirements: tuple[Requirement, ...]
    part: Trace | None = None  # the part of the network whose output it speaks of
    goals: tuple[tuple[Int, int], ...] = ()  # sizes and the numbers they should be


#: What may be wished, and limited; any other name is that of a size.
_WISHES = """
    flatten at square even unread aspect multiple_of within receptive_field dtype
""".split()
_LIMITS = "macs flops params activations memory saved peak".split()


@singledispatch
def solve(net: Trace, output: Any = None, **asked: Any) -> Any:
    """See `Network.solve`."""
    wishes = {name: asked.pop(name) for name in _WISHES if name in asked}
    wishes["budgets"] = {name: asked.pop(name) for name in _LIMITS if name in asked}
    return _chosen(net, output, sizes=asked, **wishes)


def _chosen(
    net: Trace, output: Any, *, sizes: Mapping[str, Any], **wishes: Any
) -> InputSet | Choices:
    """What is wished, for each choice of hyperparameters that are given as sizes."""
    ranges = {str(name): value for name, value in sizes.items()}
    opened = {name: ranges[name] for name in net.hyperparameters if name in ranges}
    left = {name: value for name, value in ranges.items() if name not in opened}
    if not opened:
        return _decided(net, output, sizes=left, **wishes)
    spoken = {name for item in _items(output) for name in symbols_of(item)}

    def found(twin: Trace, values: Mapping[str, int], *, explain: bool) -> InputSet:
        numbers = {name: value for name, value in values.items() if name in spoken}
        return _decided(twin, output, sizes={**left, **numbers}, explain=explain, **wishes)

    if not any(isinstance(value, (range, list, tuple, set)) for value in opened.values()):
        numbers: Any = opened
        return found(net.given(**numbers), numbers, explain=True)
    said = {"output": output, **wishes, **wishes.get("budgets", {}), **left}
    wanted = [f"{k}={v}" for k, v in said.items() if v not in (None, False) and k != "budgets"]
    return solve_choices(net, opened, found, ", ".join(wanted))


def _decided(net: Trace, output: Any, **wishes: Any) -> InputSet:
    try:
        return _solve(net, output, **wishes)
    except Undecidable as error:
        if not net.hyperparameters:
            raise
        cure = ", ".join(f"{name}=range(1, 12)" for name in net.hyperparameters)
        raise Undecidable(error.cause, cure=f"give a range: {cure}") from None


def _items(output: Any) -> Iterator[Size]:
    """The expressions in a target."""
    targets = output.values() if isinstance(output, Mapping) else (output,)
    for target in targets:
        for item in () if target is None else parsed_target(target):
            if isinstance(item, Size):
                yield item


def _solve(
    net: Trace,
    output: Target = None,
    *,
    flatten: int | None = None,
    at: str | None = None,
    square: bool = False,
    even: bool = False,
    unread: int | None = None,
    aspect: tuple[int, int] | None = None,
    multiple_of: Any = None,
    within: Any = None,
    receptive_field: Any = None,
    budgets: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    explain: bool = True,
) -> InputSet:
    limits = {what: amount for what, amount in (budgets or {}).items() if amount is not None}
    ranges = {str(name): value for name, value in (sizes or {}).items()}
    if all(
        wish is None for wish in (output, flatten, aspect, multiple_of, within, receptive_field)
    ) and not (limits or ranges or square or even or unread is not None):
        raise BadSpec(
            "solve takes a target", cure="output=(7, 7), flatten=9216, macs=4e9 or another"
        )
    wishes = [*_outputs(net, output, at, ranges)]
    if flatten is not None:
        wishes.append(_flatten(net, flatten, at))
    if receptive_field is not None:
        wishes.append(_receptive_field(net, receptive_field, at))
    parts = list(dict.fromkeys(w.part for w in wishes if w.part is not None))
    if not parts:
        parts = [net if at is None else net.at(at)]

    names, parameters = _names(net, parts, wishes, ranges)
    axes = [n for n in names if n not in net.batch]
    wishes += [Wish(said, wanted) for said, wanted in even_wishes(parts, even, unread)]
    if square:
        equal = [Condition(Size.symbol(n), "==", Size.symbol(axes[0])) for n in axes[1:]]
        wishes.append(Wish("square=True", tuple(equal)))
    if aspect is not None:
        wishes.append(_aspect(aspect, axes))
    if multiple_of is not None:
        wishes.append(_multiple_of(multiple_of, axes))
    if within is not None:
        wishes.append(_within(within, axes))
    wishes += [Wish(f"{n}={_plain(v)}", tuple(in_range(n, v))) for n, v in ranges.items()]

    known = [r for part in parts for r in part.requirements]
    label = parts[0].name if len(parts) == 1 else ""
    listed_too = {n for n, v in ranges.items() if isinstance(v, range)}
    batch = net.batch - listed_too
    question = _Question(net, [*parameters, *names], known, label, batch)
    found = question.set(wishes)
    if not found:
        raise _no_solution(question, wishes, square=square) if explain else NoSolution("")
    if limits:
        whole = net if at is None else net.at(at)
        found = keep_within(whole, found, limits, ranges, dtype)
    if parameters:
        return Relation(parameters, found)
    if label:
        found.note = whole_network(net, found, known)
    return found


def largest_batch(net: Trace, memory: Amount, dtype: str | None, sizes: Mapping[str, int]) -> int:
    """See `Network.largest_batch`."""
    first = net.input_tensors[0].dims[:1]
    leading = [n for n in net.symbols if n in symbols_of(*first)]
    if len(leading) != 1:
        raise BadSpec(
            "largest_batch needs a batch that is a symbol", cure='trace with "N 3 H W", for example'
        )
    (batch,) = leading
    if batch in sizes:
        raise BadSpec(
            f"{batch}={sizes[batch]} is the batch, which largest_batch looks for",
            cure=f"leave {batch} out",
        )
    missing = [n for n in net.symbols if n != batch and n not in sizes]
    if missing:
        raise BadSpec(
            f"no value for {', '.join(missing)}",
            cure="give every size but the batch, such as " + ", ".join(f"{n}=224" for n in missing),
        )
    if not net.complete:  # a number does not say for which sizes it holds
        net, sizes = all_followed(net, sizes, batch), {}
    everything = range(1, _MOST_IMAGES + 1)
    found = solve(net, peak=memory, dtype=dtype, **{**sizes, batch: everything})
    most = found.axis(batch).largest()
    if most == _MOST_IMAGES:
        raise NoSolution(f"any batch keeps within {memory}: no tensor grows with {batch}")
    return int(most)


#: More images than any memory holds.
_MOST_IMAGES = 1 << 48


@dataclass(frozen=True)
class _Question:
    net: Trace
    names: list[str]
    requirements: list[Requirement]  # what the network itself asks
    at: str
    batch: frozenset[str]

    def set(self, wishes: Iterable[Wish]) -> InputSet:
        requirements = [*self.requirements, *(r for wish in wishes for r in wish.requirements)]
        return input_set(self.names, requirements, batch=self.batch, at=self.at)


def _names(
    net: Trace, parts: Sequence[Trace], wishes: Sequence[Wish], ranges: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """The sizes that the answer speaks of, and the symbols that the targets bring."""
    requirements = [r for p in parts for r in p.requirements]
    requirements += [r for wish in wishes for r in wish.requirements]
    spoken = frozenset[str]().union(*(r.symbols for r in requirements), ranges)
    inner = {s for part in parts for t in part.output_tensors for s in symbols_of(*t.dims)}
    inner |= {s for part in parts for r in part.requirements for s in r.symbols}
    names = [n for n in net.symbols if n not in net.batch or n in spoken]
    names += sorted((inner & spoken) - set(names))
    given = {s for wish in wishes for r in wish.requirements for s in r.symbols} - set(names)
    unknown = set(ranges) - set(names) - given
    if unknown:
        raise BadSpec(
            f"no size is called {', '.join(sorted(unknown))}",
            cure=f"there is {', '.join(names) or 'none'}",
        )
    order = [s for wish in wishes for r in wish.requirements for s in sorted(r.symbols)]
    return names, [s for s in dict.fromkeys(order) if s in given]


# Wishes --------------------------------------------------------------------------------------


def _outputs(net: Trace, output: Any, at: str | None, ranges: Mapping[str, Any]) -> Iterator[Wish]:
    if output is None:
        return
    targets = output if isinstance(output, Mapping) else {at: output}
    for place, target in targets.items():
        items = parsed_target(target)
        part = _target_part(net, items) if place is None else net.at(place)
        dims = part.output_dims
        if len(items) > len(dims):
            raise BadSpec(f"output={target!r} has more axes than {part.describe_output()}")
        pairs = [
            (dims[axis], item) for axis, item in zip(target_axes(part, items), items, strict=True)
        ]
        words = "x".join("*" if item is None else str(item) for item in items)
        yield Wish(
            f"output={words}" + (f" at {part.name}" if part.name else ""),
            tuple(c for dim, item in pairs for c in _is(dim, item)),
            part,
            tuple((d, t) for d, t in pairs if isinstance(t, int)),
        )


def target_axes(part: Trace, items: Sequence[int | Between | Size | None]) -> range:
    """The axes of an output that a target is about: space, where it has one item for each of these
    and does not name the channels behind them; else the last ones.
    """
    dims, n = part.output_dims, len(items)
    space = map_axes(dims, n, {*part.symbols} - part.batch)
    return range(len(dims) - n, len(dims)) if space is None or items[-1] == dims[-1] else space


def _target_part(net: Trace, items: Sequence[int | Between | Size | None]) -> Trace:
    """The network, where its output varies or is what a target says; else up to the last map. Where
    this is of one size, and another one, a number of images may be meant. Behind what fixes sizes
    (added positions) maps vary with none: one that is what a target says is meant.
    """
    if _says(net.output_dims, items):
        return net
    part = net.last_map(len(items))
    last = part.output_tensors[0].node
    for node in takewhile(lambda node: node is not last, reversed(net.nodes)):
        t = node.outputs[0]
        if t.ndim == len(items) + 2 and _says(t.dims, items) and _is_fixed_map(net, t, len(items)):
            return net.at(net.source_name(t))
    shape = [*map(part.simplest, part.output_dims)]
    if symbols_of(*shape[-len(items) :]) or _says(shape, items):
        return part
    return net if _says(net.output_dims, items, net.batch) else part


def _is_fixed_map(net: Trace, t: SymbolicTensor, n: int) -> bool:
    """Whether the last axes of a tensor are made, row by row, of axes that vary with the input."""
    spatial, axes = {*net.symbols} - net.batch, [*range(t.ndim - n, t.ndim)]
    while not all(symbols_of(t.dims[axis]) & spatial for axis in axes):
        made = () if t.node is None else t.node.result.axes or ()
        reads = [made[axis] for axis in axes if axis < len(made)]
        if len(reads) < n or any(type(a) is not int or isinstance(m, OfLength) for a, m in reads):
            return False
        assert t.node is not None
        t, axes = t.node.inputs[0], [cast("int", a) for a, _ in reads]
    return True


def _says(
    dims: Sequence[Int],
    items: Sequence[int | Between | Size | None],
    but: frozenset[str] = frozenset(),
) -> bool:
    """Whether a shape is what a target says, at every size and of every batch; `but` what hangs on
    these symbols alone.
    """
    pairs = [*zip(dims[-len(items) :], items, strict=False)]
    wanted = [c for d, i in pairs if d != i and not symbols_of(d) & but for c in _is(d, i)]
    return len(pairs) == len(items) and not any(c.symbols or not c.holds({}) for c in wanted)


def parsed_target(target: Target) -> tuple[int | Between | Size | None, ...]:
    """A target per axis: int, None, Between, or an expression."""
    if isinstance(target, str):
        return parse_target(target)
    several = isinstance(target, (tuple, list)) or getattr(target, "ndim", 0) > 0  # or an array
    items = tuple(cast("Sequence[Any]", target)) if several else (target,)
    found: list[int | Between | Size | None] = []
    for item in items:
        if isinstance(item, str):
            words = parse_target(item)
            if len(words) != 1 or isinstance(words[0], int):
                raise BadSpec(f"output={target!r}: {item!r} is not a size", cure="write 7, not '7'")
            found += words
        elif isinstance(item, range):
            found.append(span_of(item, f"output={target!r}"))
        elif item is None or isinstance(item, Between):
            found.append(item)
        elif isinstance(item, bool) or not (
            (hasattr(item, "__index__") and not getattr(item, "ndim", 0))
            or isinstance(item, Size)
            or (hasattr(item, "free_symbols") and not _is_fraction(item))
        ):
            raise BadSpec(
                f"output={target!r}: {item!r} is not a size",
                cure="a target is made of whole numbers, ranges, symbols and None",
            )
        else:
            size = item if isinstance(item, Size) else from_sympy(item)
            if isinstance(size, int) and size < 0:
                raise BadSpec(f"output={target!r}: a size is not negative")
            found.append(size)
    if not found:
        raise BadSpec("output=() names no axis", cure="for example output=(7, 7)")
    return tuple(found)


def _is_fraction(item: Any) -> bool:
    return isinstance(item, (sympy.Rational, sympy.Float)) and not isinstance(item, sympy.Integer)


def _is(dim: Int, item: Any) -> Iterator[Condition]:
    """That a size is what a target says."""
    if item is None:
        return
    if isinstance(item, Between):
        if item.low is not None:
            yield Condition(dim, ">=", item.low)
        if item.high is not None:
            yield Condition(item.high, ">=", dim)
        if item.step > 1 and item.low is not None:
            yield Condition((dim - item.low) % item.step, "==", 0)
        return
    scale = denominator(item)
    yield Condition(dim * scale, "==", item * scale)


def _flatten(net: Trace, features: Any, at: str | None) -> Wish:
    if isinstance(features, bool) or not hasattr(features, "__index__") or int(features) < 1:
        raise BadSpec(f"flatten={features!r} is not a positive whole number")
    part = net.before_flatten() if at is None else net.at(at)
    each = prod(part.output_dims[1:])
    return Wish(f"flatten={features}", (Condition(each, "==", int(features)),), part)


def _receptive_field(net: Trace, wanted: Any, at: str | None) -> Wish:
    part = net.last_map(2) if at is None else net.at(at)
    extents = receptive_field(part).size
    items = parsed_target(wanted)
    if len(items) == 1:
        items *= len(extents)
    if len(items) != len(extents):
        raise BadSpec(f"receptive_field={wanted!r} needs one number for {len(extents)} axes")
    conditions: list[Condition] = []
    for have, want in zip(extents, items, strict=True):
        least = Between(want) if isinstance(want, int) else want  # a number is the least
        conditions += _is(from_sympy(have), least)
    shown = "x".join(map(str, extents))
    return Wish(f"a receptive field of {wanted} (it is {shown})", tuple(conditions), part)


def _aspect(aspect: Any, axes: Sequence[str]) -> Wish:
    good = (
        isinstance(aspect, (tuple, list))
        and len(aspect) == 2
        and all(hasattr(a, "__index__") and not isinstance(a, bool) and a > 0 for a in aspect)
    )
    if not good or len(axes) < 2:
        raise BadSpec(f"aspect={aspect!r} is not a ratio of width to height", cure="aspect=(16, 9)")
    width, height = (Size.symbol(n) for n in (axes[-1], axes[-2]))
    ratio = Condition(height * int(aspect[0]), "==", width * int(aspect[1]))
    return Wish(f"aspect={aspect[0]}:{aspect[1]}", (ratio,))


def _multiple_of(multiple: Any, axes: Sequence[str]) -> Wish:
    factors = _per_axis(multiple, axes, "multiple_of")
    if not all(hasattr(f, "__index__") and not isinstance(f, bool) and f > 0 for f in factors):
        raise BadSpec(f"multiple_of={multiple!r} is not a positive whole number")
    conditions = (
        Condition(Size.symbol(n) % int(f), "==", 0) for n, f in zip(axes, factors, strict=True)
    )
    return Wish(f"multiple_of={multiple}", tuple(conditions))


def _per_axis(value: Any, axes: Sequence[str], what: str) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * len(axes)
    if len(values) != len(axes):
        raise BadSpec(f"{what}={value!r} needs one number for each of {', '.join(axes)}")
    return values


def _within(bounds: Any, axes: Sequence[str]) -> Wish:
    """``(200, 300)`` for all axes, or a pair for each."""
    if not isinstance(bounds, (tuple, list)) or not bounds:
        raise BadSpec(f"within={bounds!r} is not (low, high)", cure="within=(200, 300)")
    pairs = [bounds] * len(axes) if not isinstance(bounds[0], (tuple, list)) else list(bounds)
    conditions: list[Requirement] = []
    if len(pairs) != len(axes):
        raise BadSpec(f"within={bounds!r} needs one pair for each of {', '.join(axes)}")
    for name, pair in zip(axes, pairs, strict=True):
        if len(pair) != 2 or not all(
            hasattr(x, "__index__") and not isinstance(x, bool) for x in pair
        ):
            raise BadSpec(f"within={bounds!r} is not (low, high)", cure="within=(200, 300)")
        low, high = map(int, pair)
        if low > high:
            raise BadSpec(f"within={bounds!r}: there is nothing from {low} to {high}")
        conditions += _is(Size.symbol(name), Between(low, high))
    return Wish(f"within={bounds}", tuple(conditions))


def in_range(name: str, value: object) -> Iterator[Condition]:
    """That a size is a number, or in a range."""
    if isinstance(value, range):
        yield from _is(Size.symbol(name), span_of(value, name))
    elif isinstance(value, bool) or not isinstance(value, SupportsIndex) or index(value) < 1:
        raise BadSpec(f"{name}={value!r} is neither a size nor a range of sizes")
    else:
        yield Condition(Size.symbol(name), "==", index(value))


def _plain(value: Any) -> str:
    return f"{value[0]}..{value[-1]}" if isinstance(value, range) and value else str(value)


# No solution ---------------------------------------------------------------------------------


def _no_solution(question: _Question, wishes: Sequence[Wish], *, square: bool) -> NoSolution:
    """Which wishes clash, and the nearest target that can be had with the others."""
    domain = question.set(())
    if not domain:
        return NoSolution("the network accepts no input of any size", cure="see net.reasons()")
    shape = [w for w in wishes if w.text == "square=True"]
    for wish in wishes:
        if wish.part is not None and not question.set([wish, *shape]):
            others = [w for w in wishes if w is not wish and question.set([w])]
            return _alone(question, wish, others if question.set(others) else shape, square)
    for wish in wishes:
        if not question.set([wish]):
            least = domain.smallest()
            words = by_x(least)
            return NoSolution(
                f"no valid input has {wish.text}",
                cure=f"valid inputs are {domain.words()}; the smallest is {words}",
            )
    for a, b in combinations(wishes, 2):
        if not question.set([a, b]):
            return NoSolution(
                f"{a.text} and {b.text} clash: no input has both",
                cure=_cure(question, [a, b], wishes),
            )
    return NoSolution(
        f"no input meets {', '.join(w.text for w in wishes)} at once, though any two of them go "
        "together",
        cure=_cure(question, wishes, wishes),
    )


def _alone(question: _Question, wish: Wish, others: Sequence[Wish], square: bool) -> NoSolution:
    part = wish.part
    assert part is not None
    kind = "square " if square else ""
    place = part.name or "the output"
    if wish.text.startswith("flatten="):
        each = prod(part.output_dims[1:])
        return NoSolution(
            f"no {kind}input gives {wish.text[8:]} features at {place}, which has {text(each)} "
            "per image",
            cure=_flatten_cure(question, wish, others),
        )
    if wish.text.startswith("output="):
        goal = wish.text[7:].split(" at ")[0]
        return NoSolution(
            f"no {kind}input gives {goal} at {place}, which is {part.describe_output()}",
            cure=_nearest_target(question, wish, others),
        )
    return NoSolution(f"no input gives {wish.text} at {place}")


def _cure(question: _Question, clashing: Sequence[Wish], wishes: Sequence[Wish]) -> str:
    for wish in clashing:
        others = [w for w in wishes if w is not wish]
        if wish.goals and question.set(others):
            near = _nearest_target(question, wish, others)
            if near:
                rest = " and ".join(w.text for w in others)
                return f"with {rest}, {near}"
    return "drop one of them"


def _nearest_target(question: _Question, wish: Wish, others: Sequence[Wish]) -> str:
    """The nearest sizes that can be reached together, in words."""
    if not wish.goals:
        return ""
    goals = [Size.symbol(f"size{i}") for i in range(len(wish.goals))]
    equations = [Condition(d, "==", g) for (d, _), g in zip(wish.goals, goals, strict=True)]
    names = [*question.names]
    names += sorted(symbols_of(*(d for d, _ in wish.goals)) - set(names))
    wanted = (r for w in others for r in w.requirements)
    requirements = [*question.requirements, *wanted, *equations]
    try:
        reached = input_set([*names, *map(str, goals)], requirements).axis(*map(str, goals))
        best = reached.nearest(*(size for _, size in wish.goals))
    except SymcnnError:
        return ""
    return f"the nearest output that some input gives: {by_x(best)}"


def _flatten_cure(question: _Question, wish: Wish, others: Sequence[Wish]) -> str:
    assert wish.part is not None
    dims = wish.part.output_dims
    features = int(wish.text[8:])
    fixed = prod(d for d in dims[1:] if isinstance(d, int))
    if isinstance(fixed, int) and features % fixed:
        return f"it is always a multiple of {fixed}"
    near = _nearest_product(
        question,
        [d for d in dims[1:] if not isinstance(d, int)],
        others,
        Fraction(features, fixed if isinstance(fixed, int) else 1),
    )
    if near is not None and isinstance(fixed, int):
        sizes, count = near
        return f"the nearest that some input gives: {count * fixed}, at {assignment(sizes)}"
    return ""


def _nearest_product(
    question: _Question, dims: Sequence[Int], others: Sequence[Wish], target: Fraction
) -> tuple[dict[str, int], int] | None:
    """The product of sizes nearest to `target`, and the smallest input that gives it.

    Of the factors of a product near t one is at most sqrt(t) (or the least there is): for each
    value it can take, the nearest values of the other.
    """
    if not 1 <= len(dims) <= 2:
        return None
    goals = [f"size{i}" for i in range(len(dims))]
    requirements = [*question.requirements, *(r for w in others for r in w.requirements)]
    requirements += [Condition(d, "==", Size.symbol(g)) for d, g in zip(dims, goals, strict=True)]
    names = [*question.names, *goals]
    batch = tuple(question.net.batch & set(names))
    whole = input_set(names, requirements, batch=batch)
    reached = whole.axis(*goals)
    found: list[tuple[Fraction, tuple[int, ...]]] = []

    def around(values: InputSet, wanted: Fraction) -> Iterator[int]:
        floor = int(wanted // 1)
        x = Size.symbol(values.names[0])
        for part, pick in (
            (values.where(Condition(floor, ">=", x)), InputSet.largest),
            (values.where(Condition(x, ">=", floor + 1)), InputSet.smallest),
        ):
            if part:
                yield lone(pick(part))

    if len(dims) == 1:
        found = [(abs(v - target), (v,)) for v in around(reached, target)]
    else:
        root = int(float(target) ** 0.5) + 1
        for i in (0, 1):
            for v in reached.axis(goals[i]):
                rest = reached.given(**{goals[i]: v})
                for u in around(rest, target / v):
                    pair = (v, u) if i == 0 else (u, v)
                    found.append((abs(v * u - target), pair))
                if v > root or v > 4096:
                    break
    if not found:
        return None
    _, best = min(found, key=lambda f: (f[0], prod(f[1])))
    left = whole.given(**dict(zip(goals, best, strict=True)))
    return by_name(left.shown, left.smallest()), math.prod(best)
