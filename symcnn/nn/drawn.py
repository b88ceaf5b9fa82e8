"""A layer as a picture: its maps along each axis, at numbers, handed to `symcnn.words.pictures`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symcnn.algebra.axis import IDENTITY, AxisMap, Scatter, Window
from symcnn.errors import BadSpec, SymcnnError
from symcnn.nn.sizes import Module, traced
from symcnn.words.pictures.drawing import Drawing
from symcnn.words.pictures.layer import axis, svg, tikz

if TYPE_CHECKING:
    from symcnn.network import Network

#: Larger inputs have cells that nobody could tell apart.
_LARGE = 64


def drawn(
    module: Module, i: int | Sequence[int], form: str, place: Sequence[int] | None, *, animate: bool
) -> Drawing:
    """See `Module.draw`."""
    if form not in ("svg", "tikz"):
        raise BadSpec(f"format={form!r}", cure='"svg" or "tikz"')
    net, sizes = _net(module, i)
    if max(sizes) > _LARGE:
        raise BadSpec(f"an input of {max(sizes)} cells is too large to look at", cure="i=6")
    net.shape_at(**dict.fromkeys(net.symbols, 1))  # raises where the layer refuses these sizes
    maps = [_along(net, k + 2) for k in range(len(sizes))]
    axes = [axis(axis_map, size) for axis_map, size in zip(maps, sizes, strict=True)]
    counts = [len(a.reads) for a in axes]
    chosen = tuple(min(1, n - 1) for n in counts) if place is None else tuple(place)
    if len(chosen) != len(axes) or any(not 0 <= p < n for p, n in zip(chosen, counts, strict=True)):
        raise BadSpec(f"place={chosen}: the output is {'×'.join(map(str, counts))}")
    title = _title(module, maps, sizes, counts)
    if form == "tikz":
        return Drawing(tikz(axes, chosen, title))
    return Drawing(svg(axes, chosen, title, animate=animate))


def _net(module: Module, i: int | Sequence[int]) -> tuple[Network, tuple[int, ...]]:
    """The network of a layer on as many axes as the layer takes, and their sizes."""
    given = (i,) if isinstance(i, int) else tuple(i)
    refused: SymcnnError | None = None
    for n in (1, 2) if len(given) == 1 else (len(given),):
        sizes = given * n if len(given) == 1 else given
        try:
            return traced(module, sizes), sizes
        except SymcnnError as error:
            refused = error if refused is None or n == 2 else refused
    if len(given) > 2 or type(module).__name__.endswith("3d"):
        raise BadSpec(
            "a picture has one or two axes", cure="draw the layer of the same name in 2-D"
        )
    assert refused is not None
    raise refused


def _along(net: Network, k: int) -> AxisMap:
    """What the nodes do along an axis, one after the other."""
    found: AxisMap = IDENTITY
    for node in net.nodes:
        axes = node.result.axes or ()
        source, axis_map = axes[k] if k < len(axes) else (None, IDENTITY)
        if source != k:
            raise BadSpec(
                f"{node.name} ({node.op}) is no layer that keeps its axes", cure="draw one layer"
            )
        found = axis_map if found == IDENTITY else found.then(axis_map)
    return found


def _title(
    module: Module, maps: Sequence[AxisMap], sizes: Sequence[int], counts: Sequence[int]
) -> str:
    """The layer and its sizes, and the convolution that equals a transposed one."""
    shown = "×".join(map(str, sizes)) + " → " + "×".join(map(str, counts))
    first = maps[0]
    if isinstance(first, Scatter):
        pads = first.extent - 1 - first.padding
        zeros = f"{first.stride - 1} zero{'s' * (first.stride != 2)} between"
        return f"{module}: {shown}; equals a convolution of stride 1, {zeros}, padding {pads}"
    if isinstance(first, Window) and module.extra_repr() == "":
        return f"extent {first.extent}, stride {first.stride}: {shown}"
    return f"{module}: {shown}"
