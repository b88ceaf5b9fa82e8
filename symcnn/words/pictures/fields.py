"""Figures of places: what an output sees of an image, tiles, and how much each pixel counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from symcnn.errors import BadSpec, InvalidInput, SymcnnError
from symcnn.words.pictures.course import usual
from symcnn.words.pictures.figure import BLUE, COLOURS, RED, paper

if TYPE_CHECKING:
    from symcnn.network import Network
    from symcnn.questions.field.field_at import FieldAt
    from symcnn.questions.field.receptive_field import ReceptiveField
    from symcnn.questions.place.tiles import Tiling

__all__ = ["Image", "effective", "field", "tiling"]

#: A picture: a file, or pixels as rows, columns and perhaps colours.
Image: TypeAlias = "str | PathLike[str] | np.ndarray[tuple[int, ...], np.dtype[np.generic]]"

Pixels: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"


def _pixels(on: Image) -> Pixels:
    """The pixels of a file, or those that are given. Raises BadSpec for what is no picture."""
    if isinstance(on, np.ndarray):
        pixels: Pixels = on
    else:
        try:
            pixels = np.asarray(imread(Path(on)))
        except (OSError, ValueError, SyntaxError) as error:
            raise BadSpec(f"{on} is no picture that can be read: {error}") from None
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise BadSpec(f"a picture has rows, columns and perhaps colours, not {pixels.shape}")
    return pixels


def field(
    rf: ReceptiveField,
    net: Network,
    at: int | Sequence[int] | Mapping[str, int] | None,
    on: Image | None,
    sizes: Mapping[str, int],
    ax: Axes | None,
) -> Figure:
    """See `symcnn.questions.field.receptive_field.ReceptiveField.plot`."""
    if not 1 <= len(rf.axes) <= 2:
        raise BadSpec(f"a picture has one or two axes, not {len(rf.axes)}")
    pixels = None if on is None else _pixels(on)
    given = dict(sizes)
    if isinstance(at, Mapping) and pixels is None and not given:
        given, at = {str(name): int(size) for name, size in at.items()}, None  # sizes, as in `at`
    if pixels is not None:
        given = _fitting(rf, net, pixels, given)
    exact = rf.at(**usual(net, **given))
    shortest = rf.smallest.at(**exact.values)
    extents = [exact.tables(k)[1].shape[-1] for k in range(len(rf.axes))]
    counts = [exact.tables(k)[1].shape[0] for k in range(len(rf.axes))]
    place = _place(rf, at, counts)
    page, axes = paper(ax, 6.4, 6.0 if len(extents) == 2 else 2.6)
    _background(axes, pixels, extents)
    boxes = []
    for found, colour, style, said in (
        (exact, RED, "-", "over all paths"),
        (shortest, COLOURS[1], "--", "along the shortest path"),
    ):
        spans = [found.interval(p, k) for k, p in enumerate(place)]
        if all(span is not None for span in spans):
            ends = [span for span in spans if span is not None]
            corner, width, height = _rectangle(ends)
            size = " × ".join(str(b - a + 1) for a, b in ends)
            axes.add_patch(
                Rectangle(
                    *(corner, width, height),
                    fill=False,
                    edgecolor=colour,
                    linestyle=style,
                    lw=1.8,
                    zorder=3,
                    label=f"{said}: {size}",
                )
            )
            boxes.append(ends)
    _holes(axes, exact, place)
    _beyond(axes, rf, place, extents)
    _unread(axes, exact, extents)
    handles, labels = axes.get_legend_handles_labels()
    if not boxes:
        axes.set_title("nothing but padding", fontsize=9)
    axes.legend(
        handles,
        labels,
        fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1 if len(extents) == 2 else -0.4),
        ncols=2,
    )
    listed = ", ".join(f"{name} = {size}" for name, size in exact.values.items())
    where = ", ".join(map(str, place))
    axes.set_title(f"what output ({where}) sees\n{listed}", fontsize=10, loc="left")
    axes.set_xlabel(rf.axes[-1])
    if len(extents) == 2:
        axes.set_ylabel(rf.axes[0])
    return page


def _fitting(
    rf: ReceptiveField, net: Network, pixels: Pixels, sizes: dict[str, int]
) -> dict[str, int]:
    """The sizes of a picture, which those that are given must not contradict."""
    shape = pixels.shape[:2] if len(rf.axes) == 2 else pixels.shape[1:2]
    found = dict(sizes)
    for axis, name, size in zip(rf.input_axes, rf.axes, shape, strict=True):
        fixed = rf.passed.source.dims[axis]
        if name in net.symbols:
            if found.setdefault(name, size) != size:
                raise BadSpec(f"{name}={found[name]}, and the picture has {size}")
        elif isinstance(fixed, int) and fixed != size:
            raise InvalidInput(f"the picture has {size} along {name}, the network takes {fixed}")
    return found


def _place(
    rf: ReceptiveField, at: int | Sequence[int] | Mapping[str, int] | None, counts: Sequence[int]
) -> tuple[int, ...]:
    """The place of the output, an index per axis; the middle by default."""
    if at is None:
        return tuple(n // 2 for n in counts)
    if isinstance(at, Mapping):
        if at.keys() != set(rf.axes):
            raise BadSpec(f"a place has an index for each of {', '.join(rf.axes)}")
        return tuple(at[name] for name in rf.axes)
    found = (at,) * len(counts) if isinstance(at, int) else tuple(at)
    if len(found) != len(counts):
        raise BadSpec(f"a place has an index for each of {', '.join(rf.axes)}, not {found}")
    return found


def _rectangle(spans: Sequence[tuple[int, int]]) -> tuple[tuple[float, float], float, float]:
    """Corner, width and height of what lies between first and last rows and columns."""
    left, right = spans[-1]
    top, bottom = spans[0] if len(spans) == 2 else (0, 0)
    return (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1


def _background(axes: Axes, pixels: Pixels | None, extents: Sequence[int]) -> None:
    high, wide = (extents[0], extents[1]) if len(extents) == 2 else (1, extents[0])
    if pixels is None:
        axes.add_patch(Rectangle((-0.5, -0.5), wide, high, facecolor="#dbe4ee", lw=0))
        axes.set(xlim=(-0.5, wide - 0.5), ylim=(high - 0.5, -0.5))
        axes.set_aspect("equal" if len(extents) == 2 else "auto")
    else:
        shown = pixels if len(extents) == 2 else pixels[:1]
        axes.imshow(
            shown,
            cmap="gray" if shown.ndim == 2 else None,
            aspect="equal" if len(extents) == 2 else "auto",
        )
    if len(extents) == 1:
        axes.set_yticks([])


def _holes(axes: Axes, exact: FieldAt, place: Sequence[int]) -> None:
    """The pixels inside that are read, shaded; holes of dilation are left bare."""
    masks = [exact.mask(p, k, hull=False) for k, p in enumerate(place)]
    shade = np.zeros((*(len(m) for m in ([np.ones(1, bool), *masks])[-2:]), 4))
    rows, columns = masks if len(masks) == 2 else (np.ones(1, bool), masks[0])
    red, green, blue = (int(RED[k : k + 2], 16) / 255 for k in (1, 3, 5))
    shade[np.outer(rows, columns)] = (red, green, blue, 0.28)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(shade, aspect=axes.get_aspect(), zorder=2)
    axes.set(xlim=limits[0], ylim=limits[1])


def _beyond(axes: Axes, rf: ReceptiveField, place: Sequence[int], extents: Sequence[int]) -> None:
    """What is read of the padding: the field as the formula has it, before it is clipped."""
    spans = []
    for k, p in enumerate(place):
        try:
            first, last = rf.interval(p, k)
        except SymcnnError:  # no formula: what is read of the padding is left out
            return
        if not isinstance(first, int) or not isinstance(last, int):
            return
        spans.append((first, last))
    if all(first >= 0 and last < n for (first, last), n in zip(spans, extents, strict=True)):
        return
    corner, width, height = _rectangle(spans)
    axes.add_patch(
        Rectangle(
            *(corner, width, height),
            fill=False,
            edgecolor="#8a8f98",
            linestyle=":",
            hatch="//",
            alpha=0.6,
            lw=1,
            zorder=-1,
            label="and padding",
        )
    )
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    axes.set(
        xlim=(min(left, corner[0] - 1), max(right, corner[0] + width + 1)),
        ylim=(max(bottom, corner[1] + height + 1), min(top, corner[1] - 1)),
    )


def _unread(axes: Axes, exact: FieldAt, extents: Sequence[int]) -> None:
    """Rows and columns that no output reads."""
    label: str | None = "no output reads these"
    for k in range(len(extents)):
        down = len(extents) == 2 and k == 0
        for first, last in _runs(exact.unread(k)):
            span = axes.axhspan if down else axes.axvspan
            span(first - 0.5, last + 0.5, color="#000000", alpha=0.35, lw=0, label=label)
            label = None


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for value in values:
        if found and value == found[-1][1] + 1:
            found[-1] = found[-1][0], value
        else:
            found.append((value, value))
    return found


def tiling(plan: Tiling, on: Image | None, ax: Axes | None) -> Figure:
    """See `symcnn.questions.place.tiles.Tiling.plot`."""
    if not 1 <= len(plan.axes) <= 2:
        raise BadSpec(f"a picture has one or two axes, not {len(plan.axes)}")
    extents = [plan.sizes[name] for name in plan.axes]
    pixels = None if on is None else _pixels(on)
    if pixels is not None and len(extents) == 2 and list(pixels.shape[:2]) != extents:
        raise BadSpec(f"the picture is {pixels.shape[0]}x{pixels.shape[1]}, not {extents}")
    page, axes = paper(ax, 6.4, 5.8 if len(extents) == 2 else 2.4)
    _background(axes, pixels, extents)
    for k, tile in enumerate(plan.tiles):
        spans = [(s.start, s.stop - 1) for s in tile.input]
        corner, width, height = _rectangle(spans)
        axes.add_patch(
            Rectangle(
                *(corner, width, height),
                facecolor=BLUE,
                edgecolor=BLUE,
                alpha=0.22,
                lw=1.2,
                label="a tile; darker where tiles overlap" if k == 0 else None,
            )
        )
    axes.set_xlabel(plan.axes[-1])
    if len(extents) == 2:
        axes.set_ylabel(plan.axes[0])
    axes.legend(
        fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1 if len(extents) == 2 else -0.4)
    )
    halo = "; ".join(
        f"{name}: halo {a} and {b}" for name, (a, b) in zip(plan.axes, plan.halo, strict=True)
    )
    axes.set_title(f"{str(plan).splitlines()[0]}\n{halo}", fontsize=10, loc="left")
    return page


def effective(
    values: Pixels, box: Sequence[tuple[int, int]], place: Sequence[int], ax: Axes | None
) -> Figure:
    """See `symcnn.frontends.effective.EffectiveField.plot`."""
    if len(box) != 2:
        raise BadSpec(f"a picture has 2 axes, not {len(box)}")
    page, axes = paper(ax, 5, 5)
    page.colorbar(axes.imshow(values, cmap="viridis"), ax=axes, shrink=0.8)
    corner, width, height = _rectangle(box)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linestyle="--"))
    axes.set(xlabel="W", ylabel="H", title=f"seen by output {tuple(place)}")
    return page
