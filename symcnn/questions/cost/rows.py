"""The lines of tables of costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symcnn.errors import needs
from symcnn.shown import Several, Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as PlottedFigure


@dataclass(frozen=True)
class Row:
    """One line of a cost table: a node, or a module with everything below it."""

    name: str
    op: str  # "" for a module
    depth: int
    values: Mapping[str, Any]  # by column: a Formula, or an int at sizes; share: a Fraction or None

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(frozen=True)
class Roof(Shown):
    """One node under a roofline: its work, its traffic, what bounds it, and the least time."""

    name: str
    flops: int
    moved: int  # bytes
    bound: str  # "compute" or "memory"
    seconds: float

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return self.flops / self.moved

    def __str__(self) -> str:
        return f"{self.name}: bound by {self.bound}, at least {self.seconds * 1e6:.1f} us"


class Roofline(Several[Roof]):
    """The nodes of a network under a roofline.

    Attributes:
        peak: FLOPs per second. bandwidth: bytes per second.
    """

    peak: float
    bandwidth: float

    @classmethod
    def of(cls, roofs: Iterable[Roof], peak: float, bandwidth: float) -> Roofline:
        """The nodes on a machine of so many FLOPs and bytes per second."""
        found = cls(roofs)
        found.peak, found.bandwidth = peak, bandwidth
        return found

    def plot(self, ax: Axes | None = None) -> PlottedFigure:
        """FLOPs per second within reach, over FLOPs per byte: a point per node, the roof above.

        Args:
            ax: axes of your own to draw on.

        Returns:
            A matplotlib figure; points below the slope wait for memory, the others compute.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        with needs("plot", "figures"):
            from symcnn.notation.figure import BLUE, GREY, RED, paper

        figure, axes = paper(ax)
        works = [roof for roof in self if roof.flops]
        ridge = self.peak / self.bandwidth
        least = min([roof.intensity for roof in works] + [ridge]) / 2
        most = max([roof.intensity for roof in works] + [ridge]) * 2
        heights = [min(self.peak, x * self.bandwidth) for x in (least, ridge, most)]
        axes.plot([least, ridge, most], heights, color=GREY, lw=1.4)
        for bound, colour in (("memory", RED), ("compute", BLUE)):
            those = [roof for roof in works if roof.bound == bound]
            label = f"{len(those)} bound by {bound}"
            rates = [roof.flops / roof.seconds for roof in those]
            axes.plot(
                [roof.intensity for roof in those], rates, "o", ms=4, color=colour, label=label
            )
        for roof in sorted(works, key=lambda roof: -roof.seconds)[:3]:  # where the time goes
            place = roof.intensity, roof.flops / roof.seconds
            axes.annotate(roof.name, place, (4, -10), textcoords="offset points", fontsize=8)
        axes.set(xscale="log", yscale="log", xlabel="FLOPs per byte", ylabel="FLOPs per second")
        axes.legend(fontsize=8, loc="lower right")
        return figure
