"""Which sizes are worth a look: the borders of a domain, ends of fibres, and sizes at random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from symcnn.errors import InvalidInput, Undecidable
from symcnn.judge.oracles import has, sample_sizes
from symcnn.questions.inputs.domain import shape_at
from symcnn.sets.member import by_name
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from symcnn.sets.inputset import InputSet


def interesting_sizes(net: Trace, count: int, seed: int = 0) -> list[dict[str, int]]:
    """`count` sizes at which mistakes would show: the smallest, borders, fibre ends, then random
    ones, two of three inside the domain; the same for the same seed.

    >>> import symcnn
    >>> net = symcnn.nn.Conv2d(3, 8, 3, stride=2).trace("1 3 H W")
    >>> interesting_sizes(net, 6)[:3]
    [{'H': 3, 'W': 3}, {'H': 2, 'W': 3}, {'H': 3, 'W': 2}]
    """
    with suppress(Undecidable):
        domain = net.valid_inputs()
        if domain:
            return _interesting(net, domain, count, seed)
    draw = Random(seed)  # of no size, or of sizes that no set tells: any will do, all are asked
    return distinct({n: draw.randint(1, 96) for n in net.symbols} for _ in range(count))


def _interesting(net: Trace, domain: InputSet, count: int, seed: int) -> list[dict[str, int]]:
    if not domain.shown:
        return distinct(dict.fromkeys(net.symbols, n) for n in range(1, min(count, 4) + 1))
    base = dict.fromkeys(net.symbols, 1) | _smallest(domain)
    base |= _smallest(domain.given(**{name: base[name] for name in domain.shown}))
    least = [base | _smallest(domain & branch.where) for branch in net.branches[1:]]
    borders = distinct([base, *least, *_borders(net, base, domain.shown)])
    edge = borders[: max(1, count // 2)]
    rest = count - len(edge)
    outside = [*sample_sizes(net, rest // 3, inside=False, seed=seed)]
    inside = [*sample_sizes(net, rest - len(outside), inside=True, seed=seed)]
    return distinct([*edge, *inside, *outside])


def _smallest(domain: InputSet) -> dict[str, int]:
    return by_name(domain.shown, domain.smallest()) if domain.shown else {}


def _borders(net: Trace, base: dict[str, int], axes: Sequence[str]) -> Iterator[dict[str, int]]:
    """Sizes on both sides of where the domain begins or ends, or the output size changes; the axes
    take turns.
    """
    runs = [_along(net, base, axis) for axis in axes]
    while runs:
        for run in [*runs]:
            sizes = next(run, None)
            if sizes is None:
                runs.remove(run)
            else:
                yield sizes


def _along(net: Trace, base: dict[str, int], axis: str) -> Iterator[dict[str, int]]:
    def answer(x: int) -> object:
        try:
            return shape_at(net, **base | {axis: x}) if is_told(net, base | {axis: x}) else _OPEN
        except InvalidInput:
            return None

    start = base[axis]
    for low, high, changes in ((max(1, start - 1), start + 1, 2), (start + 1, start + 64, 2)):
        before = answer(low)
        for x in range(low + 1, high + 1):
            now = answer(x)
            if now != before and _OPEN not in (now, before):
                changes -= 1
                yield from (base | {axis: x - 1}, base | {axis: x})
            if not changes:
                break
            before = now


#: Of sizes of which the trace says nothing, the module itself is asked: there is nothing to judge.
_OPEN = "open"


def is_told(net: Trace, sizes: Mapping[str, int]) -> bool:
    """Whether the trace says something of sizes, that they are refused, too."""
    return net.complete or has(net.valid_inputs(), sizes) is not None


def is_valid(net: Trace, sizes: Mapping[str, int]) -> bool:
    """Whether the network takes these sizes."""
    try:
        shape_at(net, **sizes)
    except InvalidInput:
        return False
    return True


def largest_of(sizes: Mapping[str, int]) -> int:
    """The largest of some sizes, the batch apart."""
    return max(sizes.values(), default=0)


def distinct(sizes: Iterable[dict[str, int]]) -> list[dict[str, int]]:
    """Sizes, each once."""
    return [*{tuple(s.items()): s for s in sizes}.values()]
