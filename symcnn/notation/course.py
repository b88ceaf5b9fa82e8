"""Which sizes a figure runs over: a course is a range of one size, with the others beside it.

The law: *what nobody fixes runs along.* The axes of an image that are not given are as long as the
one that is ranged over, the batch is 1 (or the least that the network takes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from symcnn.algebra.size import whole_numbers
from symcnn.errors import BadSpec, SymcnnError
from symcnn.sets.condition import Requirement
from symcnn.sets.grammar import check_sizes
from symcnn.sets.member import by_name
from symcnn.trace.branches import Branch
from symcnn.trace.trace import Trace

#: Sizes as a caller gives them: numbers, and what to range over.
Sizes: TypeAlias = "Mapping[str, int | Sequence[int]]"


@dataclass(frozen=True)
class Course:
    """The sizes of a figure, one after the other.

    Attributes:
        names: the sizes that run, all alike.
        values: what they run through.
        fixed: the others.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    fixed: Mapping[str, int]

    @property
    def label(self) -> str:
        """What runs: ``H = W``."""
        return " = ".join(self.names)

    @property
    def beside(self) -> str:
        """The sizes that do not run: ``N = 1``."""
        return ", ".join(f"{name} = {size}" for name, size in self.fixed.items())

    def at(self, value: int) -> dict[str, int]:
        """All sizes where those that run are `value`."""
        return {**self.fixed, **dict.fromkeys(self.names, value)}


def image(net: Trace) -> list[str]:
    """The sizes of an image: those of the inputs that are neither batch nor channels."""
    return [name for name in net.symbols if name not in net.batch]


def usual(net: Trace, near: int = 224, **given: int) -> dict[str, int]:
    """A size for each size of the inputs that is not given: valid, and near to `near`; of the
    batch, the least.

    >>> from symcnn import nn
    >>> usual(nn.Unflatten(2, (-1, 100)).trace("N 8 L"))
    {'N': 1, 'L': 200}
    """
    found = whole_numbers(given)
    axes = [name for name in image(net) if name not in found]
    found |= {name: 1 for name in net.symbols if name in net.batch and name not in found}
    found |= dict.fromkeys(axes, near)
    try:
        domain = net.valid_inputs()
        known = {name: size for name, size in given.items() if name in domain.names}
        left = domain.given(**known) if known else domain
        best = left.nearest(*(found.get(name, 1) for name in left.shown)) if left.shown else ()
    except SymcnnError:  # no exact set tells, or none is valid: sizes are checked where they go
        return found
    near_by = by_name(left.shown, best)
    return found | {name: size for name, size in near_by.items() if name in net.symbols}


def course(net: Trace, sizes: Sizes, default: int = 256) -> Course:
    """The sizes to run over.

    Raises BadSpec for two ranges that differ, none at all, or a hyperparameter without a number.

    >>> from symcnn import nn
    >>> net = nn.Conv2d(3, 8, 3).trace("N 3 H W")
    >>> course(net, {"H": range(1, 5)})
    Course(names=('H', 'W'), values=(1, 2, 3, 4), fixed={'N': 1})
    """
    ranged = {name: tuple(size) for name, size in sizes.items() if not hasattr(size, "__index__")}
    fixed = {name: size for name, size in sizes.items() if name not in ranged}
    names = net.accepted_symbols([*sizes])
    numbers = check_sizes(fixed, names, net.may_be_zero)
    for name, values in ranged.items():
        if not values:
            raise BadSpec(f"{name} ranges over nothing")
        for value in values:
            check_sizes({name: value}, names, net.may_be_zero)
    axes = [name for name in image(net) if name not in numbers]
    several = list(dict.fromkeys(ranged.values()))
    if len(several) > 1:
        raise BadSpec(
            f"{' and '.join(ranged)} have ranges of their own", cure="a curve runs over one"
        )
    if not ranged and not axes:
        raise BadSpec("no size is left to run over", cure="give a range: H=range(1, 257)")
    along = [name for name in net.symbols if name in ranged or name in axes]
    if ranged and not set(ranged) & set(image(net)):  # the batch, or a hyperparameter
        along = [*ranged]
    along += [name for name in ranged if name not in along]
    values = several[0] if several else tuple(range(1, max(default, _most(net)) + 1))
    fixed_all = {n: size for n, size in usual(net, **numbers).items() if n not in along}
    missing = net.free_symbols - fixed_all.keys() - set(along)
    if missing:
        raise BadSpec(f"no value for {', '.join(sorted(missing))}", cure="give every size")
    return Course(tuple(along), values, fixed_all)


def _most(net: Trace) -> int:
    """Twice the least valid size, so that a figure shows some."""
    try:
        domain = net.valid_inputs()
        return 2 * max(_first(domain.axis(name).smallest()) for name in image(net))
    except (SymcnnError, ValueError):
        return 1


def _first(member: int | tuple[int, ...]) -> int:
    return member[0] if isinstance(member, tuple) else member


def taken(net: Trace, sizes: Mapping[str, int]) -> Branch[Trace] | None:
    """The branch that takes these sizes, whether or not its layers accept them."""
    for branch in net.branches:
        if all(holds(guard.requirement, sizes) for guard in branch.network.guards):
            return branch
    return None


def holds(requirement: Requirement, sizes: Mapping[str, int]) -> bool:
    """Whether it holds; not so where a size that is divided by is 0."""
    try:
        return requirement.holds(sizes)
    except ZeroDivisionError:
        return False


def accepted(net: Trace, course: Course) -> Iterator[tuple[int, Trace]]:
    """The valid sizes of a course, each with the network of its branch."""
    for value in course.values:
        sizes = course.at(value)
        branch = taken(net, sizes)
        if branch and all(holds(r, sizes) for r in branch.network.requirements):
            yield value, branch.network
