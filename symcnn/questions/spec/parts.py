"""The domain as products of arithmetic progressions: what a file format can say of sizes.

The law: *a format speaks of one axis at a time: a first size, a last one, a step.* So the domain is
taken apart into disjoint products of such runs, which isl does exactly; each is a part. What ties
axes together and is no product is told as a loss, never left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from math import lcm, prod
from typing import Any

from symcnn.algebra.size import Floor, Int, Size, Symbol, every_atom, mod, symbols_of, with_values
from symcnn.errors import BadSpec, NoSolution
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name
from symcnn.sets.runs import Run
from symcnn.shown import Shown
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.trace import Trace

_PROGRAM = "a size of 0 or 1 is another program to torch.export"

#: More parts than this are not written out.
_MOST = 64


@dataclass(frozen=True)
class Box(Shown):
    """A product of runs: one for each size; a size that is tied to another is the other.

    Attributes:
        runs: first, last and step by name.
        ties: the name that a size is equal to, in every member.
        loses: what ties sizes in the domain and is no product.
    """

    runs: Mapping[str, Run]
    ties: Mapping[str, str]
    loses: tuple[str, ...] = ()

    def __str__(self) -> str:
        texts = [run.text(name) for name, run in self.runs.items() if name not in self.ties]
        return " and ".join([*texts, *(f"{a} == {b}" for a, b in self.ties.items())])


@dataclass(frozen=True)
class Wish:
    """What is asked of one size: its bounds, a step from the first, and the size to tune for."""

    first: int
    last: int | None
    step: int = 1
    best: int | None = None

    def conditions(self, name: str) -> list[Condition]:
        """The same as conditions."""
        return Run(self.first, self.last, self.step).conditions(Size.symbol(name))


def wishes(net: Trace, sizes: Mapping[str, int | range]) -> dict[str, Wish]:
    """What a caller says of sizes: a number, a range, ``(min, max)``, ``(min, opt, max)``.

    Raises BadSpec for a size that the network does not have, and for what is no range.
    """
    found = {}
    for name, said in sizes.items():
        if name not in net.symbols:
            raise BadSpec(f"no size is called {name}", cure=f"there is {', '.join(net.symbols)}")
        found[name] = _wish(name, said)
    return found


def _wish(name: str, said: Any) -> Wish:
    if isinstance(said, range) and len(said) and said.step > 0:
        return Wish(said[0], said[-1], said.step)
    if isinstance(said, (tuple, list)) and len(said) in (2, 3):
        first, *best, last = said
        ordered = [v for v in (first, *best, last) if v is not None]
        if all(hasattr(v, "__index__") for v in ordered) and ordered == sorted(ordered):
            return Wish(int(first), None if last is None else int(last), 1, *map(int, best))
    elif hasattr(said, "__index__"):
        return Wish(int(said), int(said), 1, int(said))
    raise BadSpec(
        f"{name}={said!r} is no range of sizes",
        cure=f"a number, range(1, 9), (min, max) or (min, opt, max): {name}=(32, 224, 1024)",
    )


def boxes(net: Trace, told: Mapping[str, Wish], *, as_program: bool = False) -> list[Box]:
    """The domain of a network as boxes, most useful first: those that reach furthest.

    Args:
        net: the network.
        told: what is asked of its sizes.
        as_program: only sizes at which no map on the way has a size of 0 or 1, each box on one side
            of whatever the forward compares, as a program of torch.export is.

    Raises:
        NoSolution: if there is no such size.
        BadSpec: if the network has no size that may vary.
    """
    pieces: list[InputSet] = []
    loses: tuple[str, ...] = ()
    for branch in net.branches:
        domain = branch.network.valid_inputs() & branch.where
        for name, wish in told.items():
            if name in domain.names:
                domain = domain.where(*wish.conditions(name))
        if as_program:
            grown = _grown(branch.network, domain)
            found, left = _programs(branch.network, grown)
            pieces += found
            loses += left
            if found and not domain <= grown:
                loses += (f"{(domain - grown).words()}: {_PROGRAM}",)
        elif pieces:
            pieces = [pieces[0] | domain]
        else:
            pieces = [domain]
    if not any(pieces):
        raise NoSolution("the network takes no such size")
    made = [box for piece in pieces if piece for box in _boxes(piece, net.symbols, told)]
    if loses:
        made[-1] = replace(made[-1], loses=(*made[-1].loses, *loses))
    return sorted(made, key=_reach)


def _reach(box: Box) -> Any:
    runs = box.runs.values()
    return [run.last is not None for run in runs], [run.step for run in runs]


def _boxes(domain: InputSet, names: Sequence[str], told: Mapping[str, Wish]) -> list[Box]:
    """A set as boxes over all `names`; a size that the set does not speak of is free."""
    batch: dict[str, list[Run]] = {}
    for name in names:
        if name not in domain.names:
            wish = told.get(name, Wish(1, None))
            batch[name] = [Run(wish.first, wish.last, wish.step)]
        elif name in domain.batch and name not in domain.shown:
            batch[name] = domain.axis(name).runs()
    loses = []
    if set(batch) & set(domain.names):
        free = domain.axis(*domain.shown)
        one = {n: r[0] for n, r in batch.items() if len(r) == 1}
        held = [c for n, r in one.items() for c in r.conditions(Size.symbol(n))]
        if len(one) < len(batch) or not free & input_set(tuple(one), held) <= domain:
            loses.append(f"what ties the batch to other sizes: {domain.describe()}")
    made: list[Box] = []
    for axes in islice(_products(domain), _MOST + 1):
        runs, ties, more = axes
        every = {**batch, **runs}
        order = [n for n in names if n in every]
        for choice in islice(product(*(every[n] for n in order)), _MOST + 1 - len(made)):
            picked = dict(zip(order, choice, strict=True))
            picked |= {name: picked[other] for name, other in ties.items()}
            made.append(Box(picked, ties, (*loses, *more)))
    if len(made) > _MOST:
        made = made[:_MOST]
        last = made[-1]
        made[-1] = Box(last.runs, last.ties, (*last.loses, f"more than {_MOST} parts"))
    return made


def _products(
    domain: InputSet,
) -> Iterator[tuple[dict[str, list[Run]], dict[str, str], tuple[str, ...]]]:
    """Runs per shown axis, what is tied to what, and what that loses."""
    names = domain.shown
    if not domain.names:
        yield {}, {}, ()
        return
    for part in domain.boxes():
        if part is not None:
            yield dict(zip(names, part, strict=True)), {}, ()
            continue
        first, *others = names
        if domain <= domain.square():  # one axis says all
            yield {first: domain.axis(first).runs()}, dict.fromkeys(others, first), ()
            return
        hull = {n: domain.axis(n).runs() for n in names}
        yield hull, {}, (f"what ties {' and '.join(names)}: {domain}",)
        return


# Programs -------------------------------------------------------------------------------------


def _programs(net: Trace, domain: InputSet) -> tuple[list[InputSet], tuple[str, ...]]:
    """The classes of sizes at which every comparison has one outcome, and what they leave out.

    What is padded to a multiple where it is none, or cut back, is compared with what it was: the
    outcome hangs on the rest by that multiple.
    """
    periods = _periods(net)
    steps = {name: periods[name] for name in domain.names if name in periods}
    if not domain:
        return [], ()
    fixed = _numbers_of_programs(net)
    if prod(steps.values()) <= _MOST:
        rests = product(*map(range, steps.values()))
        classes = (domain.where(*map(_rest, steps, steps.values(), rest)) for rest in rests)
        return [piece for piece in classes if piece], fixed
    every = " and ".join(f"{name} % {step}" for name, step in steps.items())
    first = domain.where(*(_rest(name, step, 0) for name, step in steps.items()))
    if not first:
        least = by_name(domain.shown, domain.smallest())
        first = domain.where(
            *(_rest(n, steps[n], v % steps[n]) for n, v in least.items() if n in steps)
        )
    return [first], (*fixed, f"all but the first rest: there is a program for each {every}")


def _rest(name: str, step: int, rest: int) -> Condition:
    return Condition(mod(Size.symbol(name), step), "==", rest)


def _numbers_of_programs(net: Trace) -> tuple[str, ...]:
    """What torch.export makes a number, that of its example: strides of pools, what len() takes."""
    told = {
        size: node.name
        for node in net.nodes
        if node.call is not None and "pool" in node.op
        for name in ("kernel_size", "stride")
        for size in _sizes_in((node.arguments.get(name),))
    }
    pools = (
        f"that {size}, of the pool {name}, may vary: in a program it is the number of its example"
        for size, name in told.items()
    )
    lengths = (
        f"that {size}, taken by len(), may vary: a program without strict=True has its number"
        for size in net.lengths
        if not isinstance(size, int)
    )
    return (*pools, *lengths)


def _periods(net: Trace) -> dict[str, int]:
    """By what multiple of a size what the forward compares repeats.

    It compares what decides whether an operation runs, and torch the ends of a slice with the map;
    a linear layer looks whether the rows of what was picked by steps lie in one block.
    """
    found: dict[str, int] = {}
    for node in net.nodes:
        dims = [d for t in node.inputs for d in t.dims]
        ends = _sizes_in(node.call.args, slices_only=True) if node.call else ()
        rows = _left_over(node.inputs[0]) if node.op == "linear" else ()
        for number in (node.taken, *(e - d for e in ends for d in (0, *dims)), *rows):
            dens = [a.den for a in every_atom(number) if isinstance(a, Floor)]
            step = lcm(*(den for den in dens if isinstance(den, int)))
            for name in symbols_of(number):
                moved = {name: Size.symbol(name) + step}
                if step > 1 and with_values(number, moved) == number:
                    found[name] = lcm(step, found.get(name, 1))
    return found


def _left_over(t: SymbolicTensor) -> Iterator[Int]:
    """Of a map that was picked by steps out of another: what these leave of each axis."""
    node = t.node
    if node is not None and node.op == "getitem" and node.call is not None and t.ndim > 2:
        items = node.call.args[1] if isinstance(node.call.args[1], tuple) else node.call.args[1:]
        for have, size, item in zip(node.inputs[0].dims, t.dims, items, strict=False):
            if isinstance(item, slice) and type(item.step) is int:
                yield size * item.step - have


def _sizes_in(values: Sequence[Any], *, slices_only: bool = False) -> Iterator[Size]:
    for value in values:
        if isinstance(value, Size) and not slices_only:
            yield value
        elif isinstance(value, slice):
            yield from _sizes_in((value.start, value.stop, value.step))
        elif isinstance(value, (tuple, list)):
            yield from _sizes_in(value, slices_only=slices_only)


# Maps on the way ------------------------------------------------------------------------------


def _grown(net: Trace, domain: InputSet) -> InputSet:
    """The sizes at which every map grows; a size that is 1 at all of them is a number."""
    needs = growing(net)
    found = domain & net.sizes_that_meet(needs)
    if found:
        return found
    return domain & net.sizes_that_meet([n for n in needs if domain & net.sizes_that_meet([n])])


def growing(net: Trace) -> list[Requirement]:
    """That no map on the way has a size of 0 or 1, the sizes of the inputs themselves aside.

    A product of sizes is greater than 1 where one factor is; sizes of the inputs count as such. Of
    sizes of several inputs a program does not know that ``N//N`` is 1: where a view counts that
    itself, it is compared with what stood there.
    """
    found: dict[Requirement, None] = {}
    tied = [name for name in net.symbols if sum(_speaks(t, name) for t in net.input_tensors) > 1]
    for node in net.nodes:
        for t in node.outputs:
            for size in t.dims:
                need = None if isinstance(net.simplest(size), int) else _above_one(size)
                if need is not None:
                    found[need] = None
        for asked, size, was in _counted(node):
            if (asked, size) == (-1, 1) and not isinstance(was, int) and symbols_of(was) & {*tied}:
                found[Condition(was, ">=", 2, _PROGRAM)] = None
    return list(found)


def _speaks(t: SymbolicTensor, name: str) -> bool:
    return any(name in symbols_of(size) for size in t.dims)


def _counted(node: Node) -> Iterator[tuple[Any, Int, Int]]:
    """Of a view: each size as it was asked for, as it came out, and as it was."""
    asked = node.arguments.get("shape")
    if node.op in ("view", "reshape") and isinstance(asked, tuple):
        yield from zip(asked, node.outputs[0].dims, node.inputs[0].dims, strict=False)


def compares(net: Trace) -> bool:
    """Whether the forward compares sizes that are no multiples of those of the input.

    Pools in ceil mode compare their last window with the input, crops what is there with what is
    wanted.
    """
    return any(
        node.call is not None
        and (
            any(
                not isinstance(atom, Symbol)
                for size in _sizes_in((*node.call.args, *node.call.kwargs.values()))
                for atom in size.atoms()
            )
            or node.arguments.get("ceil_mode") is True
        )
        for node in net.nodes
    )


def _above_one(size: Int) -> Requirement | None:
    if isinstance(size, int) or not symbols_of(size):
        return None
    terms = [*size.terms.items()]
    if len(terms) > 1:
        return Condition(size, ">=", 2, _PROGRAM)
    ((mono, coeff),) = terms
    if coeff != 1 or any(isinstance(atom, Symbol) for atom, _ in mono):
        return None
    options = tuple(Condition(atom.size(), ">=", 2, _PROGRAM) for atom, power in mono if power > 0)
    return options[0] if len(options) == 1 else AnyOf(options, _PROGRAM)
