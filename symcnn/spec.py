"""Shape specs: ``"N 3 H W"`` read by a fixed grammar, never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from symcnn.errors import BadSpec
from symcnn.expr import from_sympy
from symcnn.size import Int, Size

__all__ = ["parse_assignments", "parse_shape", "parse_target"]

_TOKEN = re.compile(r"[\s,]*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)|(?P<bad>\S))")


def parse_shape(spec: Any) -> tuple[Int, ...]:
    """The sizes in `spec`: names become positive integer symbols, numbers stay numbers.

    A tuple of ints and sympy expressions is taken as it is: ``(N, 3, 2**n*h, 2**n*w)``.
    Raises BadSpec, pointing at the character.

    >>> parse_shape("N 3 H W")
    (N, 3, H, W)
    """
    if isinstance(spec, (tuple, list)) and spec:
        return tuple(map(from_sympy, spec))
    if not isinstance(spec, str):
        raise BadSpec(f"a shape spec is text, not {spec!r}", cure='for example "N 3 H W"')
    sizes: list[Int] = []
    for match in _TOKEN.finditer(spec.rstrip(" \t,")):
        if match["bad"] is not None:
            raise BadSpec.at(
                spec,
                match.start("bad"),
                f"{match['bad']!r} is not a size",
                cure='a spec lists names and numbers, for example "N 3 H W"',
            )
        if match["number"] is not None:
            sizes.append(int(match["number"]))
            if sizes[-1] == 0:
                raise BadSpec.at(spec, match.start("number"), "a size is at least 1")
            if match.end() < len(spec) and (
                spec[match.end()].isalpha() or spec[match.end()] == "_"
            ):
                raise BadSpec.at(spec, match.end(), "a space is missing between two sizes")
        else:
            sizes.append(Size.symbol(match["name"]))
    if not sizes:
        raise BadSpec("the shape spec is empty", cure='for example "N 3 H W"')
    return tuple(sizes)


def parse_target(text: str) -> tuple[int | None, ...]:
    """An output size from the command line: ``7x7``, ``7``, ``7x*`` (anything).

    >>> parse_target("7x7"), parse_target("*x7")
    ((7, 7), (None, 7))
    """
    target: list[int | None] = []
    position = 0
    for piece in re.split(r"[x,]", text):
        word = piece.strip()
        if word not in ("*", "_") and (not word.isdecimal() or int(word) == 0):
            raise BadSpec.at(
                text, position, f"{word or 'nothing'!r} is not a size", cure='for example "7x7"'
            )
        target.append(int(word) if word.isdecimal() else None)
        position += len(piece) + 1
    return tuple(target)


def parse_assignments(text: str) -> dict[str, int]:
    """Sizes by name: ``H=224,W=224``; a bare number is all of H and W.

    >>> parse_assignments("N=1, H=224, W=320")
    {'N': 1, 'H': 224, 'W': 320}
    """
    sizes: dict[str, int] = {}
    position = 0
    for piece in text.split(","):
        match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*(\d+)\s*", piece)
        if match is None:
            raise BadSpec.at(
                text,
                position,
                f"{piece.strip()!r} is not NAME=SIZE",
                cure='for example "H=224,W=224"',
            )
        sizes[match[1]] = int(match[2])
        position += len(piece) + 1
    return sizes


def check_sizes(sizes: Mapping[Any, Any], names: frozenset[str]) -> dict[str, int]:
    """Sizes given by a caller, keyed by name or sympy symbol, as plain positive ints."""
    from symcnn.errors import InvalidInput

    checked: dict[str, int] = {}
    for key, value in sizes.items():
        name = str(key)
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise BadSpec(f"no size is called {name}", cure=f"the sizes are: {known}")
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise BadSpec(f"{name}={value!r} is not a whole number")
        checked[name] = int(value.__index__())
        if checked[name] < 1:
            raise InvalidInput(f"{name}={checked[name]}: a size is at least 1")
    return checked
