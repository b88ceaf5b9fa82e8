"""Shapes, targets, ranges and amounts: text of names and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Union

from symcnn.algebra.expr import Number, from_sympy
from symcnn.algebra.size import Int, Size, whole_number
from symcnn.errors import BadSpec, InvalidInput
from symcnn.sets.grammar.text import DEPTH, Word, bare, bounded, cut, fail, number, short

#: A shape as users write it: text, or a size per axis.
Spec = Union[str, Sequence[Number]]

#: An amount: a number, or text with a unit.
Amount = Union[float, str]
#: What a cost may be: at most an amount, or within a range of them, as text or python's.
Limit = Union[Amount, range]

_SPEC = 'for example "N 3 H W"'
_TARGET_CURE = 'for example "7x7"'
_AMOUNT_CURE = 'such as 4e9 or "8 GiB"'


def _only(name: str) -> Int:
    """The size that text says, alone among others."""
    dims = parse_shape(name)
    if len(dims) != 1:
        raise BadSpec(f"{name!r} is not one size", cure='for example ("N", 3, "H", "W")')
    return dims[0]


def parse_shape(spec: Spec) -> tuple[Int, ...]:
    """The sizes in `spec`: names become positive integer symbols, numbers stay numbers.

    A tuple of ints and sympy expressions is taken as it is: ``(N, 3, 2**n*h, 2**n*w)``.
    Raises BadSpec, pointing at the character.

    >>> parse_shape("N 3 H W")
    (N, 3, H, W)
    """
    if isinstance(spec, (tuple, list)) and spec:
        return tuple(_only(one) if isinstance(one, str) else from_sympy(one) for one in spec)
    text = bare(bounded(spec, "a shape spec", _SPEC))
    sizes: list[Int] = []
    for word in cut(text, _SPEC):
        if word.kind == "name":
            sizes.append(Size.symbol(word.text))
        elif word.kind == "number":
            sizes.append(int(word.text))
            if sizes[-1] == 0:
                fail(text, word.start, "a size is at least 1", _SPEC)
        elif word.text != ",":
            cure = f"a spec lists names and numbers, {_SPEC}"
            fail(text, word.start, f"{word.text!r} is not a size", cure)
    if not sizes:
        raise BadSpec("the shape spec is empty", cure=_SPEC)
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


#: The size of one axis as users ask for it (None: any), and the sizes of several.
Wanted = Union[Number, str, range, Between, None]
Target = Union[Wanted, Sequence[Wanted]]

_TARGET = re.compile(
    r"\s*(?:(?P<any>[*_])|(?P<number>\d+)(?:\.\.(?P<to>\d+))?|(?P<relation>>=|<=)\s*(?P<bound>\d+)"
    r"|(?:(?P<times>\d+)\s*\*\s*)?(?P<name>[A-Za-wyz][A-Za-wyz0-9_]*)(?:\s*/\s*(?P<over>\d+))?)"
    r"\s*(?P<end>[x,]|$)",
    re.ASCII,
)


def parse_target(text: str) -> tuple[int | Between | Size | None, ...]:
    """An output size as text: ``7x7``, ``7x*`` (anything), ``5..8x>=7``, ``H/4xW/4``, ``hxw``.

    Raises BadSpec, pointing at the character.

    >>> parse_target("7x7"), parse_target("*x7"), parse_target("H/4x2*W")
    ((7, 7), (None, 7), (H/4, 2*W))
    """
    text = bare(bounded(text, "a size", _TARGET_CURE))
    target: list[int | Between | Size | None] = []
    position = 0
    while True:
        match = _TARGET.match(text, position)
        numbers = {} if match is None else match.groupdict()
        said = {k: numbers.get(k) for k in ("number", "to", "bound", "times", "over")}
        have = {
            k: number(text, position, v, _TARGET_CURE) for k, v in said.items() if v is not None
        }
        if match is None or 0 in have.values():
            word = short(re.split(r"[x,]", text[position:], maxsplit=1)[0].strip()) or "nothing"
            fail(text, position, f"{word!r} is not a size", _TARGET_CURE)
        if match["name"]:
            scale = Fraction(have.get("times", 1), have.get("over", 1))
            target.append(Size.symbol(match["name"]) * scale)
        elif match["relation"]:
            bound = have["bound"]
            target.append(Between(bound) if match["relation"] == ">=" else Between(None, bound))
        elif "to" in have:
            if have["to"] < have["number"]:
                fail(text, position, f"{match['number']}..{match['to']} is empty", _TARGET_CURE)
            target.append(Between(have["number"], have["to"]))
        else:
            target.append(None if match["any"] else have["number"])
        position = match.end()
        if not match["end"]:
            return tuple(target)
        if len(target) > DEPTH:
            fail(text, position, f"more than {DEPTH} sizes", _TARGET_CURE)


# Assignments and amounts -----------------------------------------------------------------------


def parse_assignments(text: str) -> dict[str, int]:
    """Sizes by name: ``H=224,W=224``.

    >>> parse_assignments("N=1, H=224, W=320")
    {'N': 1, 'H': 224, 'W': 320}
    """
    found: dict[str, int] = {}
    for name, value, place in _assigned(text, 'for example "H=224,W=224"'):
        if isinstance(value, range):
            fail(text, place, "a range is no size", 'for example "H=224,W=224"')
        found[name] = value
    return found


def parse_ranges(text: str) -> dict[str, int | range]:
    """Sizes or ranges of them by name, both ends included; a hyperparameter may be 0.

    >>> parse_ranges("N=8, k=1..11")
    {'N': 8, 'k': range(1, 12)}
    """
    return {name: value for name, value, _ in _assigned(text, 'for example "N=8,k=1..11"')}


def _assigned(text: str, cure: str) -> Iterator[tuple[str, int | range, int]]:
    """``NAME=NUMBER`` or ``NAME=LOW..HIGH``, between commas, and where each stands."""
    text = bounded(text, "sizes", cure)
    words = cut(text, cure)
    end = Word("end", "", len(text.rstrip()))
    while True:
        shape = [*words[:3], *[end] * 3][:3]
        for word, wanted in zip(shape, ("name", "=", "number"), strict=True):
            if wanted not in (word.kind, word.text):
                fail(text, word.start, "here NAME=SIZE is expected", cure)
        name, _, first = shape
        value: int | range = int(first.text)
        words = words[3:]
        if len(words) >= 2 and words[0].text == ".." and words[1].kind == "number":
            last = int(words[1].text)
            if last < int(first.text):
                fail(text, first.start, f"{first.text}..{last} is empty", cure)
            value, words = range(int(first.text), last + 1), words[2:]
        yield name.text, value, first.start
        if not words:
            return
        if words[0].text != ",":
            fail(text, words[0].start, "a comma is missing", cure)
        words = words[1:]


def parse_numbers(text: str, mark: str, example: str) -> tuple[int, ...]:
    """Numbers with a mark or commas between them: any number of them for ``x``, else two.

    >>> parse_numbers("16:9", ":", "16:9"), parse_numbers("(7, 7)", "x", "7x7")
    ((16, 9), (7, 7))
    """
    cure = f"for example {example}"
    said = bare(bounded(text, "numbers", cure)).replace(mark, ",")
    pieces = [piece.strip() for piece in said.split(",")]
    if not all(p.isdecimal() and p.isascii() for p in pieces) or (mark != "x" and len(pieces) != 2):
        raise BadSpec(f"{short(text)!r} is not understood", cure=cure)
    return tuple(number(text, 0, piece, cure) for piece in pieces)


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "B": 1}
_UNITS |= {f"{p}B": 10 ** (3 * (i + 1)) for i, p in enumerate("KMGT")}
_UNITS |= {f"{p}iB": 1 << (10 * (i + 1)) for i, p in enumerate("KMGT")}
_AMOUNT = re.compile(
    r"\s*(\d{1,30}(?:\.\d{1,30})?)(?:[eE]\+?(\d{1,2}))?\s*([KMGT]?i?B?)\s*", re.ASCII
)


def parse_amount(text: str, what: str, *, up: bool = False) -> int:
    """An amount such as ``8 GiB`` or ``4e9``; what is no whole number is rounded down, or `up`.

    >>> parse_amount("8 GiB", "memory"), parse_amount("1.5G", "macs")
    (8589934592, 1500000000)
    """
    match = _AMOUNT.fullmatch(bounded(text, what, _AMOUNT_CURE))
    if match is None or match[3] not in _UNITS:
        raise BadSpec(f"{what}={short(text)!r} is not an amount", cure=_AMOUNT_CURE)
    exact: Fraction = Fraction(match[1]) * 10 ** int(match[2] or 0) * _UNITS[match[3]]
    return math.ceil(exact) if up else math.floor(exact)


def check_sizes(
    sizes: Mapping[str, object], names: frozenset[str], from_zero: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Sizes given by a caller, keyed by name or sympy symbol, as plain ints.

    They are positive; those `from_zero`, depths and paddings, may be 0.
    """
    checked: dict[str, int] = {}
    for key, value in sizes.items():
        name = str(key)
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise BadSpec(f"no size is called {name}", cure=f"the sizes are: {known}")
        checked[name] = whole_number(name, value)
        if checked[name] < (0 if name in from_zero else 1):
            raise InvalidInput(f"{name}={checked[name]}: a size is at least 1")
    return checked
