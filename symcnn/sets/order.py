"""Which member of a region is the smallest, the largest, the nearest to some sizes.

The law: *least costs, compared one after the other.* The first cost is the worst size, the second
the sum of all, and the order of the sizes decides between what is equal in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from symcnn.sets.downset import Box, top
from symcnn.sets.isl import fold, isl, optimum, points, question
from symcnn.sets.region import Point, Region

if TYPE_CHECKING:
    import islpy


def _best(
    region: Region,
    costs: Sequence[Sequence[str]],
    order: Sequence[str],
    reach: Callable[[Box], Point],
    sign: int = 1,
) -> Point:
    """The member of least costs, compared by the terms `order` one after the other; of equal ones
    the first, or where the sign is -1 the last, in the order of the names.

    reach: what the first terms are at least in a box of sizes.
    """
    dims = _dims(region)
    return region.best(reach, lambda part: optimum(part, dims, costs, order, sign))[1]


def _dims(region: Region) -> list[str]:
    return [f"x{i}" for i in range(len(region.names))]


def smallest(region: Region) -> Point:
    """The member that fits into the smallest square, of a region that is not empty."""

    def reach(box: Box) -> Point:
        lows = [low for low, _ in box.values()]
        return max(lows), sum(lows)

    dims = _dims(region)
    return _best(region, [dims], ["c0", " + ".join(dims)], reach)


def largest(region: Region) -> Point:
    """The member that holds the largest square, of a region that has an end."""

    def reach(box: Box) -> Point:
        highs = [top(span) for span in box.values()]
        return -min(highs), -sum(highs)

    less = [f"-{x}" for x in _dims(region)]
    return _best(region, [less], ["c0", " + ".join(less)], reach, -1)


def nearest(region: Region, target: Sequence[int]) -> Point:
    """The member whose sizes differ least from those of `target`, in the order of the names."""
    wanted = dict(zip(region.names, target, strict=True))

    def reach(box: Box) -> Point:
        far = [
            max(low - wanted[n], wanted[n] - top((low, high)), 0) for n, (low, high) in box.items()
        ]
        return max(far), sum(far)

    gaps = [(f"x{i} - {v}", f"{v} - x{i}") for i, v in enumerate(target)]
    each = [f"c{i}" for i in range(len(gaps))]
    return _best(region, [*gaps, each], [f"c{len(gaps)}", " + ".join(each)], reach, -1)


@question
def squares(region: Region) -> islpy.Set:
    """The sides of the least squares that members fit into."""
    dims = _dims(region)
    side = isl().Map(f"{{ [{', '.join(dims)}] -> [{fold('max', dims)}] }}")
    found: islpy.Set = region.isl.apply(side)
    return found


@question
def on_shell(region: Region, side: int) -> list[Point]:
    """The members whose least square has that side, in order."""
    dims = _dims(region)
    shell: Any = region.isl.intersect(
        isl().Set(f"{{ [{', '.join(dims)}] : {fold('max', dims)} = {side} }}")
    )
    return sorted(points(shell), key=lambda member: (sum(member), member))
