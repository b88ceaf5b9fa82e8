"""Shape specs: ``"N 3 H W"`` read by a fixed grammar, never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from symcnn.errors import BadSpec
from symcnn.size import Int, Size

__all__ = ["Between", "parse_assignments", "parse_shape", "parse_target"]

_TOKEN = re.compile(r"[\s,]*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)|(?P<bad>\S))")


def parse_shape(spec: str) -> tuple[Int, ...]:
    """The sizes in `spec`: names become positive integer symbols, numbers stay numbers.

    Raises BadSpec, pointing at the character.

    >>> parse_shape("N 3 H W")
    (N, 3, H, W)
    """
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


@dataclass(frozen=True, slots=True)
class Between:
    """A range of sizes, both ends included; None: no bound."""

    low: int | None = None
    high: int | None = None
    step: int = 1

    def __str__(self) -> str:
        if self.low is None:
            return f"<={self.high}"
        return f">={self.low}" if self.high is None else f"{self.low}..{self.high}"


_TARGET = re.compile(
    r"\s*(?:(?P<any>[*_])|(?P<number>\d+)(?:\.\.(?P<to>\d+))?|(?P<relation>>=|<=)\s*(?P<bound>\d+)"
    r"|(?:(?P<times>\d+)\s*\*\s*)?(?P<name>[A-Za-wyz][A-Za-wyz0-9_]*)(?:\s*/\s*(?P<over>\d+))?)"
    r"\s*(?P<end>[x,]|$)"
)


def parse_target(text: str) -> tuple[int | Between | Size | None, ...]:
    """An output size as text: ``7x7``, ``7x*`` (anything), ``5..8x>=7``, ``H/4xW/4``, ``hxw``.

    Raises BadSpec, pointing at the character.

    >>> parse_target("7x7"), parse_target("*x7"), parse_target("H/4x2*W")
    ((7, 7), (None, 7), (H/4, 2*W))
    """
    target: list[int | Between | Size | None] = []
    position = 0
    while True:
        match = _TARGET.match(text, position)
        numbers = () if match is None else match.group("number", "to", "bound", "times", "over")
        if match is None or any(n is not None and int(n) == 0 for n in numbers):
            word = re.split(r"[x,]", text[position:])[0].strip() or "nothing"
            raise BadSpec.at(text, position, f"{word!r} is not a size", cure='for example "7x7"')
        if match["name"]:
            scale = Fraction(int(match["times"] or 1), int(match["over"] or 1))
            target.append(Size.symbol(match["name"]) * scale)
        elif match["relation"]:
            bound = int(match["bound"])
            target.append(Between(bound) if match["relation"] == ">=" else Between(None, bound))
        elif match["to"]:
            if int(match["to"]) < int(match["number"]):
                raise BadSpec.at(text, position, f"{match['number']}..{match['to']} is empty")
            target.append(Between(int(match["number"]), int(match["to"])))
        else:
            target.append(None if match["any"] else int(match["number"]))
        position = match.end()
        if not match["end"]:
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
