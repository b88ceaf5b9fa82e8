"""The questions about places, as methods of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from symcnn.questions.place.pools import PlainPool
    from symcnn.questions.place.shards import Shards
    from symcnn.questions.place.stream import Stream
    from symcnn.questions.place.tiles import Tiling


class Places(Trace):
    """What part of an input decides what part of an output: tiles, shards, streams, pools."""

    def tiles(
        self,
        tile: int | Sequence[int | None] | None = None,
        *,
        peak: int | str | None = None,
        at: str | None = None,
        gates: bool = True,
        statistics: bool = True,
        dtype: str | None = None,
        **sizes: int,
    ) -> Tiling:
        """Tiles that, run one by one, give the output of the whole, exactly.

        Args:
            tile: rows of the input per tile, or one number per axis (None: the axis is not cut).
                Tiles overlap by what hangs on their neighbours.
            peak: in its place, the most bytes that the run of one tile may need: ``"8 GiB"``.
            at: a module or node to look at instead of the output.
            gates: whether squeeze-excite and other factors that are the same all over space count.
            statistics: whether the mean and variance of group, layer and instance norms count.
            dtype: what activations are made of, for `peak`; by default what the network is.
            sizes: the size of the whole, ``H=1000, W=1000``; the batch is 1 unless given.

        Returns:
            `Tiling`: ``.tiles``, each with slices ``.input``, ``.core`` and ``.place`` per axis,
            ``.halo``, ``.period``, ``.overhead``.

        Raises:
            NoSolution: a node, which is named, reads an axis as a whole; or the tile is too small
                (with the least that is not).
            InvalidInput: the network does not take the whole, or the tile.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.AvgPool1d(2)).trace("N 1 L")
        >>> print(net.tiles(L=100, tile=64))
        100: 2 tiles of 64, overhead 1.28
          L: from 0, 36; halo 1 and 1, period 2
          out[..., place] = net(x[..., input])[..., core]
          0:64 -> 0:31 at 0:31
          36:100 -> 13:32 at 31:50
        """
        from symcnn.questions.place.tiles import tiles

        return tiles(
            self,
            tile=tile,
            peak=peak,
            at=at,
            gates=gates,
            statistics=statistics,
            dtype=dtype,
            sizes=sizes,
        )

    def shards(
        self,
        parts: int | Sequence[int],
        *,
        at: str | None = None,
        gates: bool = True,
        statistics: bool = True,
        **sizes: int,
    ) -> Shards:
        """The rows that each part of a divided input needs of its neighbours.

        Args:
            parts: how many parts, along the first of `sizes`; or one number for each.
            at: a module or node to look at instead of the output.
            gates: whether factors that are the same all over space count, as for `tiles`.
            statistics: whether statistics of norms count, as for `tiles`.
            sizes: the size of what is divided: ``H=1024``.

        Returns:
            `Shards`: ``.parts``, each with slices ``.input`` (its own rows), ``.read``,
            ``.output`` and ``.halo``, per axis (left, right); ``.halo``, that of an inner part.

        Raises:
            BadSpec: the parts are no whole number of periods (with the nearest size).
            NoSolution: a node reads an axis as a whole.

        >>> from symcnn import nn
        >>> net = nn.Conv2d(3, 64, 7, stride=2, padding=3).trace("N 3 H W")
        >>> net.shards(H=224, parts=4).halo
        ((3, 2),)
        """
        from symcnn.questions.place.shards import shards

        return shards(self, parts=parts, at=at, gates=gates, statistics=statistics, sizes=sizes)

    def stream(
        self,
        axis: str | None = None,
        *,
        at: str | None = None,
        gates: bool = True,
        statistics: bool = True,
    ) -> Stream:
        """How the network runs along an axis without end: what it keeps, and what it waits for.

        Args:
            axis: the name of the axis, ``"L"``; may be left out where there is one.
            at: a module or node to look at instead of the output.
            gates: whether factors that are the same all over space count, as for `tiles`.
            statistics: whether statistics of norms count, as for `tiles`.

        Returns:
            `Stream`: ``.lookback``, ``.lookahead``, ``.hop``, ``.final(n)``, ``.buffers`` per node,
            ``.delays`` per join.

        Raises:
            BadSpec: there is no such axis.
            NoSolution: a node reads the axis as a whole.

        >>> from symcnn import nn
        >>> conv = nn.Conv1d(1, 1, 3, stride=2)
        >>> causal = [layer for _ in range(3) for layer in (nn.ZeroPad1d((2, 0)), conv)]
        >>> print(nn.Sequential(*causal).trace("N 1 L").stream())
        along L: 1 output per hop of 8; output i reads at most 8*i - 14 .. 8*i
          causal: no output waits for a sample after its own
          lookback 14; of n samples (n + 7)//8 outputs are final
          keeps 5:1 1, 5:2 1, 5:3 1
        """
        from symcnn.questions.place.stream import stream

        return stream(self, axis, at=at, gates=gates, statistics=statistics)

    def plain_pools(self) -> tuple[PlainPool, ...]:
        """For each adaptive pool, the plain pool that it is, and exactly where it is.

        Returns:
            One `PlainPool` per adaptive pool: ``.kernel`` and ``.stride``, formulas per axis, and
            ``.where``, the inputs of the network at which a plain pool of these is that pool.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.MaxPool1d(32), nn.AdaptiveAvgPool1d(7)).trace("N 512 L")
        >>> print(*net.plain_pools())
        1: AvgPool1d(-6*(L//224) + L//32, stride=L//224) where L % 224 <= 63 and L >= 224
        """
        from symcnn.questions.place.pools import plain_pools

        return plain_pools(self)
