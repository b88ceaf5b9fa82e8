"""Networks whose python branches on sizes, held against torch at a grid of sizes.

The networks are `symcnn.testing.branching`'s. At every size of the grid the shape, the domain and
what leads to two of the outputs must be torch's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from sympy import sympify
from torch import nn

from symcnn.algebra.sympy import H, N, W
from symcnn.errors import InvalidInput, NoSolution, SymcnnError, Undecidable
from symcnn.testing.branching import BranchingRecipe

if TYPE_CHECKING:
    from symcnn.network import Network

_C = 2  # channels throughout

#: All small sizes, and larger ones on both sides of the numbers that conditions speak of.
SIZES: Sequence[tuple[int, int]] = sorted(
    {(h, w) for h in range(1, 7) for w in range(1, 7)}
    | {(7 * i % 40 + 1, 11 * i % 40 + 1) for i in range(60)}
    | {(i, i) for i in range(7, 40, 3)}
)


#: So many branches have closed forms that are compared: putting them together takes long.
_FEW = 4


@dataclass
class Judged:
    """What came of one network."""

    sizes: int = 0
    valid: int = 0  # of the sizes
    branches: int = 0
    fibres: int = 0
    forms: int = 0  # sizes at which the closed forms of the output were compared
    complete: bool = True
    decidable: bool = True
    mismatches: list[str] = field(default_factory=list)


def judge(
    recipe: BranchingRecipe, sizes: Sequence[tuple[int, int]] = SIZES, *, branches: int = 64
) -> Judged:
    """Compare with torch at every one of `sizes`, on the CPU.

    The shape must be torch's, and a size is refused, by the network and by its domain, exactly
    where torch raises; two outputs must come of the sizes that give them. Where torch goes through
    a map without elements, a size is refused, or has torch's shape. A network that is not complete
    may take more sizes than its domain has. Closed forms of few branches are put to numbers too.

    Args:
        recipe: the network.
        sizes: heights and widths.
        branches: how many are followed; of more, the network is not complete.

    >>> judge(BranchingRecipe(("if h % 2:", "    x = x[:, :, 1:]"))).mismatches
    []
    """
    from symcnn.frontends import from_torch

    module, found = recipe.build(), Judged()
    truth = {size: _torch_shape(module, size) for size in sizes}
    found.sizes, found.valid = len(truth), sum(shape is not None for shape in truth.values())
    try:
        net = from_torch(module, recipe.spec, branches=branches)
    except SymcnnError as error:
        if found.valid:
            taken = next(size for size, shape in truth.items() if shape is not None)
            found.mismatches.append(f"{type(error).__name__}: {error}, torch takes {taken}")
        return found
    found.complete = net.complete
    found.mismatches += _differences(net, truth, found)
    return found


def _torch_shape(module: nn.Module, size: tuple[int, int]) -> Any:
    """The shape, None where torch raises."""
    with torch.no_grad():
        try:
            return tuple(module(torch.zeros(2, _C, *size)).shape)
        except Exception:  # torch's errors are of all kinds, and so are the model's
            return None


def _differences(net: Network, truth: dict[Any, Any], found: Judged) -> Iterator[str]:
    domain: Any = None
    try:
        found.branches, domain = len(net.branches), net.valid_inputs()
    except Undecidable:
        found.decidable = False
    for (h, w), shape in truth.items():
        at = dict(zip("NHW", (2, h, w), strict=True))
        try:
            ours: object = net.shape_at(**at)
        except InvalidInput:
            ours = None
        if ours != shape:
            yield f"{_shown(ours)} at {h} x {w}, torch: {_shown(shape)}"
        if domain is not None and domain.shown:
            try:
                inside = tuple(at[name] for name in domain.shown) in domain
            except Undecidable:
                continue
            if inside != (shape is not None) and (inside or net.complete):
                yield f"{h} x {w} in the domain: {inside}, torch: {_shown(shape)}"
    if domain is None or not net.complete:
        return
    if found.branches <= _FEW:
        for (h, w), shape in [t for t in truth.items() if t[1] is not None][::5]:
            found.forms += 1
            form = tuple(int(sympify(d).subs({N: 2, H: h, W: w})) for d in net.output_shape)
            if form != shape:
                yield f"{form} by the closed form at {h} x {w}, torch: {_shown(shape)}"
    if any(isinstance(d, int) for b in net.branches for d in b.network.output_shape[2:]):
        return
    maps = sorted({shape[2:] for shape in truth.values() if shape is not None and all(shape)})
    for target in (*maps[:1], *maps[len(maps) // 2 :][:1]):
        try:
            solution: Any = net.solve(output=target)
        except NoSolution:
            solution = None
        except Undecidable:
            continue
        found.fibres += 1
        for (h, w), shape in truth.items():
            at = {"N": 2, "H": h, "W": w}
            inside = solution and tuple(at[name] for name in solution.shown) in solution
            if bool(inside) != (shape is not None and shape[2:] == target):
                yield f"{h} x {w} solves {target}: {bool(inside)}, torch: {_shown(shape)}"


def _shown(answer: Any) -> str:
    return "refuses" if answer is None else str(answer)
