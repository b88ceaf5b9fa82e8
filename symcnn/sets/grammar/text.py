"""Words and bounds: how text is cut, how much of it is read, and how a refusal points."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NoReturn

from symcnn.errors import BadSpec

#: No text is longer, no number has more digits, no brackets or powers stand deeper, ...
LENGTH, DIGITS, DEPTH = 2000, 18, 40
#: ... no exponent is greater, no number has more bits, no sum more terms, nor more of them times
#: its degree, and sizes divide by sizes that divide by sizes no deeper.
EXPONENT, BITS, TERMS, DEGREES, QUOTIENTS = 64, 128, 400, 1000, 2


def bounded(text: object, what: str, cure: str) -> str:
    """The text, if it is text of bearable length."""
    if not isinstance(text, str):
        raise BadSpec(f"{what} is text, not {short(repr(text))}", cure=cure)
    if len(text) > LENGTH:
        raise BadSpec(f"{what} of {len(text):,} characters: {LENGTH:,} are read", cure=cure)
    return text


def bare(text: str) -> str:
    """A tuple as python writes it without its brackets; what follows stays in its place.

    >>> bare("(7, 7)"), bare("[7,]"), bare("7x7")
    (' 7, 7 ', ' 7  ', '7x7')
    """
    start, end = len(text) - len(text.lstrip()), len(text.rstrip()) - 1
    if end <= start or text[start] + text[end] not in ("()", "[]"):
        return text
    inside = text[start + 1 : end].rstrip().removesuffix(",")
    return f"{text[:start]} {inside}".ljust(len(text))


def short(text: str) -> str:
    """A text for a message."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def fail(text: str, place: int, cause: str, cure: str) -> NoReturn:
    """Point at a character; of a long text, at its surroundings."""
    start = max(0, place - 40)
    shown = "".join(c if c.isprintable() else " " for c in text[start : place + 40])
    raise BadSpec.at(shown, place - start, cause, cure=cure)


def number(text: str, place: int, digits: str, cure: str) -> int:
    """The number that digits are, if it is one that a size may be."""
    if len(digits) > DIGITS:
        fail(text, place, f"a number of more than {DIGITS} digits", cure)
    return int(digits)


_WORD = re.compile(
    r"(?P<name>[^\W\d]\w*)|(?P<number>[0-9]+)"
    r"|(?P<op>\.\.|//|\*\*|==|!=|>=|<=|[-+*/%(){}\[\],=<>])|(?P<space>\s+)|(?P<bad>.)",
    re.S,
)


@dataclass(frozen=True, slots=True)
class Word:
    """A name, a number or an operator, and where it starts."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the next character stands."""
        return self.start + len(self.text)


def cut(text: str, cure: str) -> list[Word]:
    """The words of a text; numbers stand apart from names."""
    found: list[Word] = []
    for match in _WORD.finditer(text):
        kind = str(match.lastgroup)
        word = Word(kind, match[kind], match.start())
        if kind == "bad" or (kind == "name" and not _plain_name(word.text)):
            fail(text, word.start, f"{word.text!r} has no place here", cure)
        if kind == "number":
            number(text, word.start, word.text, cure)
        last = found[-1] if found else None
        if last and last.kind == "number" and kind == "name" and last.end == word.start:
            fail(text, word.start, "a space is missing between two sizes", cure)
        if kind != "space":
            found.append(word)
    return found


def _plain_name(name: str) -> bool:
    return name.isidentifier() and unicodedata.normalize("NFKC", name) == name
