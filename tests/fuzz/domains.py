"""Domains and fibres of random networks, size by size, judged by torch on meta.

``python -m tests.fuzz --domains 1000``: networks (chains, residual blocks, encoder-decoders with
crops, transposed and float-scale resampling) at every size up to 300 along every axis. Both axes
are swept in one pass: a size in question along one axis meets one along the other, valid ones valid
ones, so that what torch says is about the size in question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from random import Random
from typing import Any

import torch
from torch import nn

from symcnn.errors import NoSolution, ShapeMismatch
from symcnn.frontends import from_torch
from symcnn.network import Network
from symcnn.sets.inputset import InputSet
from symcnn.sets.runs import Run
from symcnn.testing.networks import NetworkRecipe, torch_shape

__all__ = ["MOST", "Judged", "judge"]

Sizes = tuple[int, ...]

#: The greatest size of the sweep.
MOST = 300


@dataclass
class Judged:
    """What came of one network."""

    sizes: int = 0
    valid: int = 0  # of the sizes
    fibres: int = 0
    mismatches: list[str] = field(default_factory=list)


def judge(recipe: NetworkRecipe, draw: Random, most: int = MOST, fibres: int = 3) -> Judged:
    """One network at every size up to `most` along each axis, and at some random ones.

    Its domain must be what torch takes; the fibres of some outputs, and the formula of symbolic
    ones up to 50, the inputs that give them.
    """
    with torch.device("meta"):
        module = recipe.build()
    found = Judged()
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
        if size not in inside and shape is not None and not recipe.runs(*size):
            truth[size] = shape = None
        if (size in inside) != (shape is not None):
            words = "takes" if size in inside else "refuses"
            found.mismatches.append(f"{recipe}: we say it {words} {size}, torch {shape}")
    found.sizes, found.valid = len(truth), sum(shape is not None for shape in truth.values())
    if net is None:
        return found
    reached = sorted({shape for shape in truth.values() if shape is not None})
    wanted = draw.sample(reached, min(fibres, len(reached)))
    wanted.append(tuple(draw.randint(1, 50) for _ in recipe.axes))
    for target in wanted:
        found.fibres += 1
        fibre = _fibre(net, target)
        for size, shape in truth.items():
            if (size in fibre) != (shape == target):
                words = f"{size} in the fibre of {target}, torch gives {shape}"
                found.mismatches.append(f"{recipe}: {size in fibre}: {words}")
    found.mismatches += [f"{recipe}: {words}" for words in _formula(net, truth, draw)]
    return found


def _formula(
    net: Network, truth: Mapping[Sizes, Sizes | None], draw: Random, most: int = 50
) -> Iterator[str]:
    """Where the formula of a symbolic target is not what torch says, at numbers up to `most`."""
    names = [f"y{i}" for i in range(len(next(iter(truth))))]
    reached = sorted(
        {s for s in truth.values() if s is not None and min(s) >= 1 and max(s) <= most}
    )
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
    """The sizes of torch's output map, None where torch raises."""
    shape = torch_shape(module, recipe.shape(*size))
    if shape is not None and 0 in shape and not recipe.runs(*size):
        return None  # a resize to nothing, which only the meta device takes
    return None if shape is None else shape[2:]
