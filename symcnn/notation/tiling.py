"""A picture of tiles along one axis, as SVG: what each reads, and what of it is taken."""

from __future__ import annotations

from collections.abc import Sequence

#: A tile: what it reads of the input, and the outputs that are taken from it, both as shares.
Bar = tuple[float, float, float, float]

_WIDE, _HIGH, _GAP, _LEFT = 640.0, 18.0, 6.0, 8.0


def tiling_svg(name: str, size: int, bars: Sequence[Bar]) -> str:
    """An SVG with a row per tile: pale what it reads, dark what is taken from it.

    Args:
        name: the name of the axis.
        size: how many rows there are.
        bars: per tile, first and last share of the axis that it reads, and that is taken.

    >>> print(tiling_svg("L", 100, [(0, 0.64, 0, 0.62)]).count("<rect"))
    2
    """
    high = 30 + len(bars) * (_HIGH + _GAP)
    wide = _WIDE + 2 * _LEFT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}"'
        f' width="{wide:g}" height="{high:g}" font-family="sans-serif" font-size="12">',
        f'<text x="{_LEFT:g}" y="16" fill="currentColor">{name} = 0 .. {size - 1}:'
        f" {len(bars)} tiles, pale what each reads, dark what is taken from it</text>",
    ]
    for k, (start, stop, first, last) in enumerate(bars):
        top = 24 + k * (_HIGH + _GAP)
        for low, high_end, colour in ((start, stop, "#9ecae1"), (first, last, "#08519c")):
            lines.append(
                f'<rect x="{_LEFT + low * _WIDE:.1f}" y="{top:g}" fill="{colour}"'
                f' width="{(high_end - low) * _WIDE:.1f}" height="{_HIGH:g}"/>'
            )
    return "\n".join([*lines, "</svg>", ""])
