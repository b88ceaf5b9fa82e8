"""Domains and fibres of random networks, size by size, judged by torch on meta.

``python -m symcnn.testing.domains``: 1,000 networks (chains, residual blocks, encoder-decoders with
crops, transposed and float-scale resampling) at every size up to 300 along every axis. Both axes
are swept in one pass: a size in question along one axis meets one along the other, valid ones
valid ones, so that what torch says is about the size in question. Networks depend on the seed and
the number of their chunk only; a mismatch is printed with the recipe that builds the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import zip_longest
from random import Random
from time import perf_counter
from typing import Any

import click
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from torch import nn

from symcnn.errors import NoSolution, ShapeMismatch
from symcnn.frontends import from_torch
from symcnn.network import Network
from symcnn.progress import watched
from symcnn.sets import InputSet, Run
from symcnn.testing.networks import NetworkRecipe, networks

__all__ = ["Tally", "judge", "recipes", "sweep"]

Sizes = tuple[int, ...]

#: Networks that one process does at a time.
_CHUNK = 10


@dataclass
class Tally:
    """What came of many networks."""

    networks: int = 0
    sizes: int = 0
    valid: int = 0  # of the sizes
    fibres: int = 0
    mismatches: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.networks += other.networks
        self.sizes += other.sizes
        self.valid += other.valid
        self.fibres += other.fibres
        self.mismatches += other.mismatches
        return self

    def __str__(self) -> str:
        lines = [*self.mismatches]
        lines.append(
            f"{self.networks:,} networks at {self.sizes:,} sizes ({self.valid:,} valid), "
            f"{self.fibres:,} fibres, {len(self.mismatches)} mismatches"
        )
        return "\n".join(lines)


def judge(recipe: NetworkRecipe, draw: Random, most: int, fibres: int = 3) -> Tally:
    """One network at every size up to `most` along each axis, and at some random ones.

    Its domain must be what torch takes; the fibres of some outputs, and the formula of symbolic
    ones up to 50, the inputs that give them.
    """
    with torch.device("meta"):
        module = recipe.build()
    tally = Tally(networks=1)
    try:
        net: Network | None = from_torch(module, recipe.spec)
    except ShapeMismatch:  # no size at all
        net = None
    domain = None if net is None else net.valid_inputs()
    truth: dict[Sizes, Sizes | None] = {}
    for size in _sizes(recipe, None if domain is None else _Members(domain), draw, most):
        truth.setdefault(size, _torch_map(module, recipe, size))
    inside = _Members(domain) if domain is not None else ()
    for size, shape in truth.items():
        if size not in inside and shape is not None and _refused_or_empty(recipe, size):
            truth[size] = shape = None
        if (size in inside) != (shape is not None):
            words = "takes" if size in inside else "refuses"
            tally.mismatches.append(f"{recipe}: we say it {words} {size}, torch {shape}")
    tally.sizes, tally.valid = len(truth), sum(shape is not None for shape in truth.values())
    if net is None:
        return tally
    reached = sorted({shape for shape in truth.values() if shape is not None})
    wanted = draw.sample(reached, min(fibres, len(reached)))
    wanted.append(tuple(draw.randint(1, 50) for _ in recipe.axes))
    for target in wanted:
        tally.fibres += 1
        fibre = _fibre(net, target)
        for size, shape in truth.items():
            if (size in fibre) != (shape == target):
                words = f"{size} in the fibre of {target}, torch gives {shape}"
                tally.mismatches.append(f"{recipe}: {size in fibre}: {words}")
    tally.mismatches += [f"{recipe}: {words}" for words in _formula(net, truth, draw)]
    return tally


def _formula(
    net: Network, truth: Mapping[Sizes, Sizes | None], draw: Random, most: int = 50
) -> Iterator[str]:
    """Where the formula of a symbolic target is not what torch says, at numbers up to `most`."""
    names = [f"y{i}" for i in range(len(next(iter(truth))))]
    reached = sorted({s for s in truth.values() if s is not None and max(s) <= most})
    targets = [*zip(*(draw.sample(range(1, most + 1), most) for _ in names), strict=True)]
    targets += draw.sample(reached, min(10, len(reached)))
    try:
        formula = net.solve(output=tuple(names), at=net.nodes[-1].name if net.nodes else None)
    except NoSolution:
        formula = None
    for target in targets:
        values = dict(zip(names, target, strict=True))
        fibre: Any = () if formula is None else _Members(formula.given(**values))
        for size, shape in truth.items():
            if (size in fibre) != (shape == target):
                words = f"{target} from {size} in the formula: {size in fibre}"
                yield f"{words}, torch gives {shape}"


def _fibre(net: Network, target: Sizes) -> Any:
    try:
        return _Members(net.solve(output=target, at=net.nodes[-1].name if net.nodes else None))
    except NoSolution:
        return ()


class _Members:
    """Membership by runs where the axes are independent; isl decides where they are not."""

    def __init__(self, members: InputSet) -> None:
        self.members = members
        boxes = [*members.boxes()]
        self.boxes: list[Sequence[Sequence[Run]]] | None = None
        if None not in boxes:
            self.boxes = [box for box in boxes if box is not None]

    def __contains__(self, size: Sizes) -> bool:
        if self.boxes is None:
            return (size if len(size) > 1 else size[0]) in self.members
        return any(
            all(any(x in run for run in runs) for x, runs in zip(size, box, strict=True))
            for box in self.boxes
        )

    def along(self, axis: int, most: int) -> list[int]:
        """The sizes of one axis that some member has."""
        name = self.members.shown[axis]
        runs = self.members.axis(name).runs()
        return [x for x in range(1, most + 1) if any(x in run for run in runs)]


def _sizes(
    recipe: NetworkRecipe, domain: _Members | None, draw: Random, most: int
) -> Iterator[Sizes]:
    """Every size up to `most` along each axis, the others such that it is the one in question."""
    axes = range(len(recipe.axes))
    good = [[] if domain is None else domain.along(axis, most) for axis in axes]
    if all(good):
        for axis in axes:
            draw.shuffle(good[axis])
        for sizes in zip_longest(*good):  # valid along all axes
            yield tuple(draw.choice(good[i]) if x is None else x for i, x in enumerate(sizes))
    for axis in axes:
        for x in sorted({*range(1, most + 1)} - (set(good[axis]) if all(good) else set())):
            others = [draw.choice(good[i]) if good[i] else draw.randint(1, most) for i in axes]
            yield (*others[:axis], x, *others[axis + 1 :])
    for _ in range(most // 4):
        yield tuple(draw.randint(1, most) for _ in axes)


def _torch_map(module: nn.Module, recipe: NetworkRecipe, size: Sizes) -> Sizes | None:
    """The sizes of torch's output map, None where torch raises or gives an empty map."""
    try:
        with torch.no_grad():
            shape = module(torch.empty(recipe.shape(*size), device="meta")).shape[2:]
    except Exception:
        return None
    return tuple(shape) if 0 not in shape else None


def _refused_or_empty(recipe: NetworkRecipe, size: Sizes) -> bool:
    """Whether torch's CPU kernels refuse the size, or some map on the way is empty.

    The meta device lets `interpolate` make an empty map, which a pad may then fill.
    """
    module, empty = recipe.build(), []
    for layer in module.modules():
        layer.register_forward_hook(lambda _, __, y: empty.append(0 in y.shape))
    try:
        with torch.no_grad():
            module(torch.zeros(recipe.shape(*size)))
    except Exception:
        return True
    return any(empty)


def recipes(start: int, count: int) -> list[NetworkRecipe]:
    """Random networks; always the same for the same seed."""
    found: list[NetworkRecipe] = []

    @seed(start)
    @settings(
        max_examples=count + 1,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(networks())
    def collect(recipe: NetworkRecipe) -> None:
        found.append(recipe)

    collect()
    return found[1 : count + 1]  # the first is the simplest of all


def sweep(start: int, chunk: int, count: int, most: int) -> Tally:
    """One chunk of the networks of a seed, here and now."""
    torch.set_num_threads(1)
    tally, number = Tally(), start * 1_000_003 + chunk
    for i, recipe in enumerate(recipes(number, count)):
        try:
            tally += judge(recipe, Random(f"{number} {i}"), most)
        except Exception as error:
            tally += Tally(networks=1, mismatches=[f"{recipe}: {type(error).__name__}: {error}"])
    return tally


@click.command()
@click.option("--networks", "count", default=1000, show_default=True)
@click.option("--most", default=300, show_default=True, help="every size up to this one")
@click.option("--seed", "start", default=0, show_default=True)
@click.option("--processes", default=os.cpu_count() or 1, show_default="one per core")
def main(count: int, most: int, start: int, processes: int) -> None:
    """Domains and fibres of random networks, judged by torch at every size."""
    began, tally = perf_counter(), Tally()
    shares = [min(_CHUNK, count - done) for done in range(0, count, _CHUNK)]
    with ProcessPoolExecutor(processes) as pool:
        running = [pool.submit(sweep, start, i, share, most) for i, share in enumerate(shares)]
        for done in watched(as_completed(running), "chunks of networks judged", len(shares)):
            tally += done.result()
    took = perf_counter() - began
    rate = tally.networks / took
    click.echo(f"{tally}, {took:.0f} s, {rate:.2f} networks a second, seed {start}")
    if tally.mismatches or tally.networks < count:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
