"""Which tensors are maps, and which of their axes are space.

The law: *an axis is space where its size hangs on a size of the input that is not the batch.* Maps
have images and channels beside: channels stand in front of space, or behind it (``N H W C``).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from symcnn.algebra.size import Int, symbols_of


def map_axes(dims: Sequence[Int], n: int, spatial: AbstractSet[str]) -> range | None:
    """The `n` axes of a map that are space; None for what is no map of so many.

    spatial: the names of sizes that are not the batch.
    """
    if len(dims) != n + 2:
        return None
    for axes in (range(2, n + 2), range(1, n + 1)):
        if all(symbols_of(dims[axis]) & spatial for axis in axes):
            return axes
    return None
