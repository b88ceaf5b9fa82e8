"""Sizes as they are written everywhere: ``H=224,W=224``, ``224x224``, or ``224`` for all axes.

Names may be any sizes or hyperparameters of the network, and ranges where a question takes them,
``N=1..8``; numbers without names are for the axes of the image, in the order of the inputs.
"""

from __future__ import annotations

from collections.abc import Iterable

from symcnn.errors import BadSpec
from symcnn.network import Network
from symcnn.sets.grammar import parse_assignments, parse_numbers, parse_ranges

_NAMED = 'name the sizes: "N=8"'
_CURE = 'for example "H=224,W=224" or "224x224"'


def fixed(net: Network, texts: Iterable[str]) -> dict[str, int]:
    """Sizes, each a number.

    >>> from symcnn import nn
    >>> net = nn.Conv2d(3, 8, 3).trace("N 3 H W")
    >>> fixed(net, ["N=2", "224x320"]), fixed(net, ["64"])
    ({'N': 2, 'H': 224, 'W': 320}, {'H': 64, 'W': 64})
    """
    found: dict[str, int] = {}
    for text in texts:
        found |= parse_assignments(text) if "=" in text else _image(net, text)
    return found


def ranged(net: Network, texts: Iterable[str]) -> dict[str, int | range]:
    """Sizes, each a number or a range.

    >>> from symcnn import nn
    >>> ranged(nn.Conv2d(3, 8, 3).trace("N 3 H W"), ["N=1..8", "224"])
    {'N': range(1, 9), 'H': 224, 'W': 224}
    """
    found: dict[str, int | range] = {}
    for text in texts:
        found |= parse_ranges(text) if "=" in text else _image(net, text)
    return found


def _image(net: Network, text: str) -> dict[str, int]:
    """Numbers for the axes that no batch and no channels run along."""
    axes = [name for name in net.symbols if name not in net.batch | {"N"}]
    numbers = parse_numbers(text, "x", '"224x224", or "H=224,W=224"')
    numbers *= len(axes) if len(numbers) == 1 else 1
    if not axes:
        raise BadSpec(f"{text!r}: no axis of the image has an open size", cure=_NAMED)
    if 0 in numbers:
        raise BadSpec(f"{text!r}: a size is at least 1", cure=_CURE)
    if len(numbers) != len(axes):
        raise BadSpec(f"{text!r} is not a size for each of {', '.join(axes)}", cure=_CURE)
    return dict(zip(axes, numbers, strict=True))
