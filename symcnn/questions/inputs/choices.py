"""Hyperparameters solved for inside a network: kernels, strides, scales, depths left as symbols.

A symbol with a finite range makes a finite family of networks. Each is the same graph with numbers
put in (`symcnn.trace.rerun`), and for each the inputs that reach the target are an exact set: so
the
answer is exact over sizes and hyperparameters together, whether or not the sizes are linear in the
symbols (they are not in a stride).
"""

from __future__ import annotations

from collections.abc import KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from symcnn.errors import BadSpec, InvalidInput, NoSolution, ShapeMismatch, Undecidable
from symcnn.progress import watched
from symcnn.sets.inputset import InputSet
from symcnn.shown import Several, Shown, assignment
from symcnn.trace.rerun import may_be

if TYPE_CHECKING:
    from collections.abc import Callable

    from symcnn.trace.trace import Trace

#: Defaults in torch: of two solutions the one that needs fewer other values is the simpler.
_DEFAULTS = {
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "output_padding": 0,
    "groups": 1,
    "scale_factor": 1,
}

#: No more networks than this are looked at.
_MOST = 1_000_000


@dataclass(frozen=True)
class Solution(Shown):
    """Numbers for the hyperparameters, and the inputs that then reach the target.

    ``net.given(**solution)`` is the network, `net` too.
    """

    values: Mapping[str, int]
    inputs: InputSet
    net: Trace = field(repr=False, compare=False)

    def keys(self) -> KeysView[str]:
        """The names of the hyperparameters."""
        return self.values.keys()

    def __getitem__(self, name: str) -> int:
        return self.values[name]

    def __str__(self) -> str:
        return f"{assignment(self.values)}: {self.inputs}"


class Choices(Several[Solution]):
    """All solutions, simplest first: fewest hyperparameters off torch's default, then smallest.

    >>> import symcnn
    >>> from symcnn import nn
    >>> k, s = symcnn.symbols("k s")
    >>> net = nn.Conv2d(3, 8, k, stride=s).trace("N 3 H W")
    >>> print(net.solve(output=(7, 7), k=range(1, 4), s=[1, 2], H=13, W=range(1, 15)))
    k=1, s=2: H == 13 and 13 <= W <= 14
    """

    __repr__ = Several.__str__

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Choices(found) if isinstance(index, slice) else found

    def __contains__(self, member: object) -> bool:
        """Whether sizes and hyperparameters together, by name, are a solution."""
        if isinstance(member, Solution):
            return super().__contains__(member)
        if not isinstance(member, Mapping):
            return False
        values = {str(name): value for name, value in member.items()}
        for one in self:
            if all(values.get(name) == value for name, value in one.values.items()):
                return {n: v for n, v in values.items() if n not in one.values} in one.inputs
        return False

    def given(self, **values: int) -> InputSet:
        """The inputs that reach the target with these hyperparameters.

        Raises NoSolution if there are none, BadSpec unless each has a number.
        """
        names = {name for one in self for name in one.values}
        if set(values) != names:
            raise BadSpec(f"given needs a number for each of {', '.join(sorted(names))}")
        for one in self:
            if dict(one.values) == values:
                return one.inputs
        raise NoSolution(f"no input reaches the target with {assignment(values)}")

    def taking(self, *sizes: int) -> Choices:
        """The solutions that take this input: ``taking(224, 224)``."""
        member = sizes if len(sizes) > 1 else sizes[0]
        return Choices([one for one in self if member in one.inputs])


def solve_choices(
    net: Trace,
    opened: Mapping[str, int | range | Sequence[int]],
    solve: Callable[..., InputSet],
    wanted: str,
) -> Choices:
    """The solutions of ``solve(network, values)`` for every choice of the hyperparameters `opened`.

    Raises NoSolution, with the reason of the first choice, if there are none.
    """
    ranges = {name: _values(net, name, value) for name, value in opened.items()}
    total = prod(map(len, ranges.values()))
    if total > _MOST:
        raise BadSpec(f"{total:,} choices of {', '.join(ranges)} are too many", cure="narrow them")
    found: list[Solution] = []
    combinations = product(*ranges.values())
    for numbers in watched(combinations, f"trying {', '.join(ranges)}", total):
        values = dict(zip(ranges, numbers, strict=True))
        try:
            twin = net.given(**values)
            found.append(Solution(values, solve(twin, values, explain=False), twin))
        except (NoSolution, ShapeMismatch, InvalidInput):
            continue
        except Undecidable as error:
            raise Undecidable(
                f"with {assignment(values)}: {error.cause}", cure=error.cure
            ) from None
    if not found:
        spans = assignment({name: _span(value) for name, value in opened.items()})
        first = {name: numbers[0] for name, numbers in ranges.items()}
        raise NoSolution(
            f"no choice of {spans} has an input with {wanted}",
            cure=f"with {assignment(first)}: {_why_not(net, first, solve)}",
        )
    return Choices(sorted(found, key=lambda one: _simplicity(net, one.values)))


def _why_not(net: Trace, values: Mapping[str, int], solve: Callable[..., InputSet]) -> str:
    try:
        solve(net.given(**values), values, explain=True)
    except (NoSolution, ShapeMismatch, InvalidInput) as error:
        return f"{error.cause}; {error.cure}".rstrip("; ")
    raise AssertionError("it was refused before")  # pragma: no cover


def _values(net: Trace, name: str, value: Any) -> list[int]:
    """The numbers that a hyperparameter may be; what it was declared not to be is left out."""
    values = list(value) if isinstance(value, (range, list, tuple, set)) else [value]
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise BadSpec(f"{name}={value!r} is not made of whole numbers", cure=f"{name}=[1, 3]")
    kept = [int(v) for v in dict.fromkeys(values) if may_be(net.symbol_atoms[name], int(v))]
    if not kept:
        why = "it is empty" if not values else f"{name} was declared otherwise"
        raise BadSpec(f"{name}={_span(value)} has no value: {why}")
    return kept


def _span(value: Any) -> str:
    if isinstance(value, range) and value and value.step == 1:
        return f"{value[0]}..{value[-1]}"
    return str(value)


def _simplicity(net: Trace, values: Mapping[str, int]) -> Any:
    other = 0
    for name, value in values.items():
        defaults = {_DEFAULTS[role] for role in net.roles[name] if role in _DEFAULTS}
        other += bool(defaults) and value not in defaults
    return other, tuple(values[name] for name in net.hyperparameters if name in values)
