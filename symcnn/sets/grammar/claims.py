"""Claims: a quantity, of a part, and what it is said to be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from symcnn.errors import BadSpec
from symcnn.sets.grammar.text import bounded, fail, number, short
from symcnn.sets.grammar.tree import Ratio, parse_formula

#: What a claim can speak of, and other words for it.
QUANTITIES: dict[str, tuple[str, ...]] = {
    "size": (),
    "shape": (),
    "channels": (),
    "features": (),
    "flatten": (),
    "params": ("parameters",),
    "macs": (),
    "flops": (),
    "field": ("rf", "receptive_field", "receptive field"),
    "stride": (),
}


def quantity_of(word: str) -> str | None:
    """The quantity that a word names: ``rf`` is ``field``; None if there is none."""
    return next((q for q, others in QUANTITIES.items() if word in (q, *others)), None)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed: a quantity, of a part ("" for the whole), and its value.

    The value is a ratio, or one per axis.
    """

    text: str
    quantity: str
    where: str
    value: tuple[Ratio, ...]


_PLACE = re.compile(r"[\w.:\- ]+")
_CLAIM_CURE = 'for example "conv1 = 55", "params = 18090"'


def parse_claim(text: str) -> Claim:
    """A claim: ``conv1 = 55``, ``shape(pool2) = 8x8x8``, ``params = 18090``, ``field(a) = 427``.

    The quantity is one of `QUANTITIES`; a name alone means its size, or the whole network's
    quantity. Sizes per axis are joined by ``x`` (numbers) or listed with commas.
    Raises BadSpec, pointing at the character.

    >>> parse_claim("shape(pool2) = 8x8x8").value
    ((8, 1), (8, 1), (8, 1))
    >>> parse_claim("receptive field = 427").quantity
    'field'
    """
    text = bounded(text, "a claim", _CLAIM_CURE)
    left, equals, right = text.partition("=")
    name, bracket, inside = left.strip().partition("(")
    name, where = name.strip(), inside.strip().removesuffix(")").strip()
    closed = not bracket or inside.strip().endswith(")")
    if not equals or not name or not closed or not _PLACE.fullmatch(name):
        raise BadSpec(f"{short(text)!r} is not a claim", cure=_CLAIM_CURE)
    if bracket and not _PLACE.fullmatch(where):
        raise BadSpec(f"{short(text)!r} is not a claim", cure=_CLAIM_CURE)
    quantity = quantity_of(name)
    if bracket and quantity in (None, "flatten"):
        near = get_close_matches(name, QUANTITIES, n=1, cutoff=0.5) or [", ".join(QUANTITIES)]
        cure = f"did you mean {near[0]}"
        fail(text, text.index(name), f"no quantity is called {name}", cure)
    if not bracket and quantity is None:
        quantity, where = "", name
    value = parse_value(right.removeprefix("="))
    return Claim(text.strip(), quantity or "", where, value)


def parse_value(text: str) -> tuple[Ratio, ...]:
    """A claimed value: a formula, or sizes as ``8x8x8``, ``[16, 32, 32]`` or ``16, 32, 32``.

    >>> parse_value("[16, H//2]")
    ((16, 1), (H//2, 1))
    """
    text = bounded(text, "a value", _CLAIM_CURE).strip()
    if text[:1] == "[" and text[-1:] == "]":
        text = text[1:-1]
    numbers = text.split("x")
    if len(numbers) > 1 and all(n.strip().isdecimal() and n.isascii() for n in numbers):
        return tuple((number(text, 0, n.strip(), _CLAIM_CURE), 1) for n in numbers)
    return tuple(parse_formula(piece) for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    pieces, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
    return [*pieces, text[start:]]
