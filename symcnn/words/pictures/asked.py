"""The pictures, as methods of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from symcnn.errors import needs
from symcnn.trace.trace import Trace
from symcnn.words.pictures.drawing import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Pictures:
    """A network as figures over its sizes, and as a drawing of its architecture."""

    def plot(
        self,
        what: str = "sizes",
        *,
        output: int | Sequence[int] | None = None,
        at: str | None = None,
        params: int | float | str | None = None,
        macs: int | float | str | None = None,
        memory: int | float | str | None = None,
        peak: int | float | str | None = None,
        ax: Axes | None = None,
        **ranges: int | Sequence[int],
    ) -> Figure:
        """A figure: ``net.plot("sizes", H=range(1, 257), output=7)``.

        Args:
            what: ``"sizes"``, the staircase of the output over the input; ``"domain"``, the valid
                inputs as a lattice, with the reasons against the others in colours; ``"cost"``,
                over a size or the batch; ``"memory"``, of a forward over its steps, with the peak
                named; ``"fields"``, the receptive field along the depth.
            output: sizes of the output to mark, with the inputs that reach them.
            at: a module or node to look at; for sizes by default the last map.
            params: a budget, drawn as a line over the cost.
            macs: the same: ``macs="4G"``.
            memory: the same, in bytes of all activations.
            peak: the same, in bytes alive at once in inference: ``peak="8 GiB"``.
            ax: axes of your own to draw on.
            ranges: sizes, numbers or what to range over. Axes of the image that are not given run
                along with the one that does.

        Returns:
            A matplotlib figure; ``.savefig("sizes.png")`` writes it.

        Raises:
            MissingExtra: matplotlib is not installed.
            BadSpec: another figure, or ranges that do not fit.
            InvalidInput: sizes that the network does not take, where a figure is of one size.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2), nn.MaxPool2d(2)).trace("N 3 H W")
        >>> figure = net.plot("sizes", H=range(1, 65), output=7)
        >>> figure.axes[0].get_xlabel()
        'input H = W'
        """
        with needs("plot", "figures"):
            from symcnn.words.pictures.plots import FigureOptions, figure
        costs = {"params": params, "macs": macs, "memory": memory, "peak": peak}
        budgets = {name: amount for name, amount in costs.items() if amount is not None}
        asked = FigureOptions(ranges, output, at, budgets, ax)
        return figure(cast(Trace, self), what, asked)

    def draw(self, form: str = "svg", *, depth: int | None = 1) -> Drawing:
        """The architecture, folded by module: ``net.draw("svg", depth=2)``.

        An SVG and a TikZ picture have a row per module in the order of the forward; a box is as
        wide as its channels and as high as its map, and stands the further to the right the
        smaller the map is, so that a U-Net is a U. Edges have the shapes of what they carry.
        Modules of one kind that follow each other are folded where there are many.

        Args:
            form: ``"svg"``, ``"tikz"`` (the package tikz), ``"dot"`` (graphviz), ``"mermaid"``.
            depth: of the tree of modules; None: every node.

        Returns:
            The text, which a notebook shows as the picture; ``.save("net.svg")`` writes it.

        Raises:
            BadSpec: another form, or a depth below 1.

        >>> from symcnn import nn
        >>> print(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W").draw("mermaid"))
        flowchart TD
          n0(["input"])
          n1["0 · conv2d"]
          n2["1 · relu"]
          n3(["output"])
          n0 -->|"N × 3 × H × W"| n1
          n1 -->|"N × 8 × H - 2 × W - 2"| n2
          n2 -->|"N × 8 × H - 2 × W - 2"| n3
        """
        from symcnn.words.pictures.architecture import drawn

        return drawn(cast(Trace, self), form, depth)
