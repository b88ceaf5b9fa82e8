"""Figures of places: what an output sees of an image, tiles, and how much each pixel counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from symcnn.errors import BadSpec
from symcnn.notation.figure import BLUE, COLOURS, RED, paper

#: A picture: a file, or pixels as rows, columns and perhaps colours.
Image: TypeAlias = "str | PathLike[str] | np.ndarray[tuple[int, ...], np.dtype[np.generic]]"

Pixels: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"


def pixels(on: Image) -> Pixels:
    """The pixels of a file, or those that are given. Raises BadSpec for what is no picture."""
    if isinstance(on, np.ndarray):
        found: Pixels = on
    else:
        try:
            found = np.asarray(imread(Path(on)))
        except (OSError, ValueError, SyntaxError) as error:
            raise BadSpec(f"{on} is no picture that can be read: {error}") from None
    if found.ndim not in (2, 3) or 0 in found.shape:
        raise BadSpec(f"a picture has rows, columns and perhaps colours, not {found.shape}")
    return found


@dataclass(frozen=True)
class Seen:
    """What one output sees, in numbers; per axis, rows before columns.

    Attributes:
        axes: the names of the input's axes. sizes: all sizes, by name. place: the output.
        extents: the size of the input.
        spans: first and last index that is read, by what is said of these; of what reads
            nothing, none.
        masks: which indices are read.
        padded: first and last index before these are clipped to the image, if known.
        unread: the indices that no output reads.
    """

    axes: tuple[str, ...]
    sizes: Mapping[str, int]
    place: tuple[int, ...]
    extents: tuple[int, ...]
    spans: Mapping[str, Sequence[tuple[int, int]]]
    masks: Sequence[Pixels]
    padded: Sequence[tuple[int, int]]
    unread: Sequence[Sequence[int]]


def seen(found: Seen, on: Pixels | None, ax: Axes | None) -> Figure:
    """A field over an image: boxes, the pixels that are read, padding, rows that nobody reads."""
    flat = len(found.extents) == 1
    page, axes = paper(ax, 6.4, 2.6 if flat else 6.0)
    _background(axes, on, found.extents)
    styles = ((RED, "-"), (COLOURS[1], "--"))
    for (said, ends), (colour, style) in zip(found.spans.items(), styles, strict=False):
        size = " × ".join(str(b - a + 1) for a, b in ends)
        _box(axes, ends, edgecolor=colour, linestyle=style, lw=1.8, label=f"{said}: {size}")
    _shaded(axes, found.masks)
    _beyond(axes, found.padded, found.extents)
    _unread(axes, found.unread)
    _legend(axes, flat)
    listed = ", ".join(f"{name} = {size}" for name, size in found.sizes.items())
    nothing = "" if found.spans else ": nothing but padding"
    where = ", ".join(map(str, found.place))
    axes.set_title(f"what output ({where}) sees{nothing}\n{listed}", fontsize=10, loc="left")
    _named(axes, found.axes)
    return page


def _box(
    axes: Axes,
    ends: Sequence[tuple[int, int]],
    *,
    edgecolor: str,
    label: str,
    linestyle: str = "-",
    facecolor: str = "none",
    alpha: float | None = None,
    hatch: str | None = None,
    lw: float = 1.2,
    zorder: float = 3,
) -> None:
    corner, width, height = _rectangle(ends)
    axes.add_patch(
        Rectangle(
            *(corner, width, height),
            edgecolor=edgecolor,
            facecolor=facecolor,
            linestyle=linestyle,
            alpha=alpha,
            hatch=hatch,
            lw=lw,
            zorder=zorder,
            label=label or None,
        )
    )


def _legend(axes: Axes, flat: bool) -> None:
    axes.legend(
        fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.28 if flat else -0.1), ncols=2
    )


def _named(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xlabel(names[-1])
    if len(names) == 2:
        axes.set_ylabel(names[0])


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


def _shaded(axes: Axes, masks: Sequence[Pixels]) -> None:
    """The pixels that are read; holes of dilation are left bare."""
    rows, columns = masks if len(masks) == 2 else (np.ones(1, bool), masks[0])
    shade = np.zeros((len(rows), len(columns), 4))
    red, green, blue = (int(RED[k : k + 2], 16) / 255 for k in (1, 3, 5))
    shade[np.outer(rows, columns)] = (red, green, blue, 0.28)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(shade, aspect=axes.get_aspect(), zorder=2)
    axes.set(xlim=limits[0], ylim=limits[1])


def _beyond(axes: Axes, spans: Sequence[tuple[int, int]], extents: Sequence[int]) -> None:
    """What is read of the padding."""
    inside = (first >= 0 and last < n for (first, last), n in zip(spans, extents, strict=False))
    if all(inside):
        return
    _box(
        axes,
        spans,
        edgecolor="#8a8f98",
        linestyle=":",
        hatch="//",
        alpha=0.6,
        zorder=-1,
        label="and padding",
    )
    corner, width, height = _rectangle(spans)
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    axes.set(
        xlim=(min(left, corner[0] - 1), max(right, corner[0] + width + 1)),
        ylim=(max(bottom, corner[1] + height + 1), min(top, corner[1] - 1)),
    )


def _unread(axes: Axes, unread: Sequence[Sequence[int]]) -> None:
    """Rows and columns that no output reads."""
    label: str | None = "no output reads these"
    for k, indices in enumerate(unread):
        for first, last in _runs(indices):
            span = axes.axhspan if len(unread) == 2 and k == 0 else axes.axvspan
            span(first - 0.5, last + 0.5, color="#000000", alpha=0.35, lw=0, zorder=4, label=label)
            label = None


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for value in values:
        if found and value == found[-1][1] + 1:
            found[-1] = found[-1][0], value
        else:
            found.append((value, value))
    return found


def tiling(
    axes: Sequence[str],
    extents: Sequence[int],
    tiles: Sequence[Sequence[tuple[int, int]]],
    title: str,
    on: Image | None,
    ax: Axes | None,
) -> Figure:
    """Tiles over the whole.

    Args:
        axes: the names of the axes.
        extents: the size of the whole.
        tiles: first and last index per axis of each.
        title: what stands above.
        on: a picture.
        ax: axes to draw on.
    """
    if not 1 <= len(axes) <= 2:
        raise BadSpec(f"a picture has one or two axes, not {len(axes)}")
    image = None if on is None else pixels(on)
    if image is not None and len(extents) == 2 and image.shape[:2] != tuple(extents):
        whole = "x".join(map(str, extents))
        raise BadSpec(f"the picture is {image.shape[0]}x{image.shape[1]}, not {whole}")
    page, paper_axes = paper(ax, 6.4, 5.8 if len(extents) == 2 else 2.4)
    _background(paper_axes, image, extents)
    for k, ends in enumerate(tiles):
        said = "a tile; darker where tiles overlap" if k == 0 else ""
        _box(paper_axes, ends, facecolor=BLUE, edgecolor=BLUE, alpha=0.22, label=said)
    _named(paper_axes, axes)
    _legend(paper_axes, len(extents) == 1)
    paper_axes.set_title(title, fontsize=10, loc="left")
    return page


def effective(
    values: Pixels, box: Sequence[tuple[int, int]], place: Sequence[int], ax: Axes | None
) -> Figure:
    """Magnitudes of gradients, and the box that theory draws around them."""
    if len(box) != 2:
        raise BadSpec(f"a picture has 2 axes, not {len(box)}")
    page, axes = paper(ax, 5, 5)
    page.colorbar(axes.imshow(values, cmap="viridis"), ax=axes, shrink=0.8)
    corner, width, height = _rectangle(box)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linestyle="--"))
    axes.set(xlabel="W", ylabel="H", title=f"seen by output {tuple(place)}")
    return page
