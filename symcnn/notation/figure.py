"""What figures are drawn on: a matplotlib figure of their own, or axes that a caller has."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure as _Figure

#: The colours of Okabe and Ito, which people tell apart whatever their eyes.
BLUE, RED, GREY = "#0072B2", "#D55E00", "#b8bec6"
COLOURS = (
    RED,
    "#E69F00",
    "#CC79A7",
    "#F0E442",
    "#56B4E9",
    "#8c6d31",
    "#637939",
    "#7b4173",
    "#17becf",
    "#e377c2",
    "#5254a3",
    "#7f7f7f",
)


class Figure(_Figure):
    """A figure that a notebook shows, whether or not pyplot is there."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def paper(ax: Axes | None, width: float = 7.0, height: float = 4.0) -> tuple[_Figure, Axes]:
    """The axes to draw on and their figure: those of a caller, or new ones."""
    if ax is None:
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()
    return ax.figure.figure, ax


def quantity(value: float, unit: str = "") -> str:
    """A figure for people: MACs by thousands, bytes by 1024.

    >>> quantity(4089184256), quantity(8 * 2**20, "B"), quantity(224)
    ('4.09 G', '8 MiB', '224')
    """
    base, marks = (1024, ("", "Ki", "Mi", "Gi", "Ti")) if unit else (1000, ("", "k", "M", "G", "T"))
    step = 0
    while abs(value) >= base and step < len(marks) - 1:
        value, step = value / base, step + 1
    digits = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {marks[step]}{unit}".rstrip()


def brief(text: str, width: int = 60) -> str:
    """Text on one line, cut where it is long.

    >>> brief("needs H % 16 == 0", 12)
    'needs H % 1…'
    """
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def path(name: str, width: int = 24) -> str:
    """The end of a path of modules, which tells the most.

    >>> path("encoder.stages.3.layers.act", 12)
    '….layers.act'
    """
    return name if len(name) <= width else f"…{name[1 - width :]}"
