"""Shape specs, targets, formulas, claims: read by fixed grammars, never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from math import gcd
from typing import Any

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import (
    Int,
    Size,
    ceildiv,
    exact_div,
    floordiv,
    maximum,
    minimum,
    power,
)
from symcnn.errors import BadSpec

__all__ = [
    "Between",
    "Claim",
    "parse_assignments",
    "parse_claim",
    "parse_formula",
    "parse_ranges",
    "parse_shape",
    "parse_target",
    "parse_value",
]

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


def parse_ranges(text: str) -> dict[str, Any]:
    """Sizes or ranges of them by name, both ends included; a hyperparameter may be 0.

    >>> parse_ranges("N=8, k=1..11")
    {'N': 8, 'k': range(1, 12)}
    """
    found: dict[str, Any] = {}
    position = 0
    for piece in text.split(","):
        match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=\s*(\d+)(?:\s*\.\.\s*(\d+))?\s*", piece)
        if match is None or (match[3] and int(match[3]) < int(match[2])):
            raise BadSpec.at(
                text,
                position,
                f"{piece.strip()!r} is not NAME=SIZE or NAME=LOW..HIGH",
                cure='for example "N=8,k=1..11"',
            )
        low = int(match[2])
        found[match[1]] = range(low, int(match[3]) + 1) if match[3] else low
        position += len(piece) + 1
    return found


def check_sizes(
    sizes: Mapping[Any, Any], names: frozenset[str], from_zero: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Sizes given by a caller, keyed by name or sympy symbol, as plain ints.

    They are positive; those `from_zero`, depths and paddings, may be 0.
    """
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
        if checked[name] < (0 if name in from_zero else 1):
            raise InvalidInput(f"{name}={checked[name]}: a size is at least 1")
    return checked


# Formulas and claims -------------------------------------------------------------------------

_SYMBOL = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<op>//|\*\*|[-+*/%(),]))")

#: Functions of a formula, with how many arguments they take (None: one or more).
_FUNCTIONS = {"floor": 1, "ceil": 1, "min": None, "max": None}

Ratio = tuple[Int, Int]  # numerator, denominator: a formula may lack the floor it needs


def parse_formula(text: str) -> Ratio:
    """A formula as numerator and denominator; a fixed grammar, nothing is evaluated as code.

    Numbers, names, ``+ - * / // % **``, brackets, ``floor ceil min max``. A plain ``/`` stays a
    fraction: whether it is a whole number is for the caller to decide.
    Raises BadSpec, pointing at the character.

    >>> parse_formula("(H - 11)/4 + 1"), parse_formula("floor((H - 11)/4) + 1")
    ((H - 7, 4), ((H - 7)//4, 1))
    """
    return _Formula(text).read()


class _Formula:
    """A recursive-descent reader: sum, product, sign, power, atom."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0
        self.kind = self.word = ""
        self.start = 0
        self.advance()

    def advance(self) -> None:
        rest = self.text[self.place :]
        match = _SYMBOL.match(self.text, self.place)
        self.start = self.place + len(rest) - len(rest.lstrip())
        if match is None:
            if rest.strip():
                raise self.error(f"{rest.strip()[0]!r} has no place in a formula")
            self.kind, self.word = "end", ""
            return
        self.kind, self.word = str(match.lastgroup), match[str(match.lastgroup)]
        self.place = match.end()

    def error(self, cause: str) -> BadSpec:
        return BadSpec.at(
            self.text,
            self.start,
            cause,
            cure="a formula has numbers, names, + - * / // % **, brackets, floor, ceil, min, max",
        )

    def take(self, word: str) -> bool:
        if self.kind == "op" and self.word == word:
            self.advance()
            return True
        return False

    def read(self) -> Ratio:
        value = self.sum()
        if self.kind != "end":
            raise self.error(f"{self.word!r} is one too many")
        return value

    def sum(self) -> Ratio:
        a, b = self.product()
        while self.kind == "op" and self.word in "+-":
            sign = 1 if self.word == "+" else -1
            self.advance()
            c, d = self.product()
            a, b = _reduced(a * d + c * b * sign, b * d)
        return a, b

    def product(self) -> Ratio:
        a, b = self.signed()
        while self.kind == "op" and self.word in ("*", "/", "//", "%"):
            operation = self.word
            self.advance()
            c, d = self.signed()
            if operation == "*":
                a, b = _reduced(a * c, b * d)
                continue
            if c == 0:
                raise self.error("division by zero")
            if operation == "/":
                a, b = _reduced(a * d, b * c)
            elif operation == "//":
                a, b = floordiv(a * d, b * c), 1
            else:  # x - y*(x//y)
                a, b = _reduced(a * d - c * b * floordiv(a * d, b * c), b * d)
        return a, b

    def signed(self) -> Ratio:
        if self.take("-"):
            a, b = self.signed()
            return -a, b
        if self.take("+"):
            return self.signed()
        return self.power()

    def power(self) -> Ratio:
        a, b = self.atom()
        if not self.take("**"):
            return a, b
        start = self.start
        c, d = self.signed()
        try:
            if d != 1 or (isinstance(c, int) and not 0 <= c <= 64):
                raise ValueError
            return power(a, c), power(b, c)
        except ValueError:
            self.start = start
            raise self.error("a power has a whole exponent from 0 to 64, or a symbol") from None

    def atom(self) -> Ratio:
        kind, word, start = self.kind, self.word, self.start
        if self.take("("):
            value = self.sum()
            self.close()
            return value
        self.advance()
        if kind == "number":
            if len(word) > 18:
                self.start = start
                raise self.error("a number of more than 18 digits")
            return int(word), 1
        if kind != "name":
            self.start = start
            raise self.error("a number, a name or a bracket is missing")
        if not self.take("("):
            return Size.symbol(word), 1
        if word not in _FUNCTIONS:
            self.start = start
            near = ", ".join(_FUNCTIONS)
            raise self.error(f"no function is called {word}: there is {near}")
        values = [self.sum()]
        while self.take(","):
            values.append(self.sum())
        self.close()
        if _FUNCTIONS[word] == 1:
            if len(values) != 1:
                raise self.error(f"{word} takes one argument")
            ((a, b),) = values
            return (floordiv if word == "floor" else ceildiv)(a, b), 1
        if any(b != 1 for _, b in values):
            raise self.error(f"{word} of fractions")
        return (minimum if word == "min" else maximum)(*(a for a, _ in values)), 1

    def close(self) -> None:
        if not self.take(")"):
            raise self.error("a closing bracket is missing")


def _reduced(a: Int, b: Int) -> Ratio:
    """The fraction with a positive denominator, divided out where that is plain."""
    if isinstance(b, int):
        if b < 0:
            a, b = -a, -b
        shared = gcd(b, *(int(c) for c in a.terms.values()) if isinstance(a, Size) else (a,))
        if shared > 1:
            whole = exact_div(a, shared)
            assert whole is not None
            return whole, b // shared
        return a, b
    whole = exact_div(a, b)
    return (a, b) if whole is None else (whole, 1)


#: Words for what a claim can speak of.
QUANTITIES = ("size", "shape", "channels", "features", "params", "macs", "flops", "field", "stride")

_CLAIM = re.compile(
    r"\s*(?:(?P<quantity>[A-Za-z_]\w*)\s*\(\s*(?P<where>[\w.:\- ]+?)\s*\)|(?P<name>[\w.:]+))\s*"
    r"(?:==|=)(?P<value>.*)",
    re.S,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed: a quantity, of a part ("" for the whole), and its value.

    The value is a ratio, or one per axis.
    """

    text: str
    quantity: str
    where: str
    value: tuple[Ratio, ...]


def parse_claim(text: str) -> Claim:
    """A claim: ``conv1 = 55``, ``shape(pool2) = 8x8x8``, ``params = 18090``, ``field(a) = 427``.

    The quantity is one of `QUANTITIES`; a name alone means its size, or the whole network's
    quantity. Sizes per axis are joined by ``x`` (numbers) or listed with commas.
    Raises BadSpec, pointing at the character.

    >>> parse_claim("shape(pool2) = 8x8x8").value
    ((8, 1), (8, 1), (8, 1))
    """
    match = _CLAIM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise BadSpec(f"{text!r} is not a claim", cure='for example "conv1 = 55", "params = 18090"')
    quantity, where = match["quantity"] or "", match["where"] or ""
    if match["name"]:
        alone = match["name"] in (*QUANTITIES, "flatten")
        quantity, where = (match["name"], "") if alone else ("", match["name"])
    elif quantity not in QUANTITIES:
        near = get_close_matches(quantity, QUANTITIES, n=1, cutoff=0.5) or [", ".join(QUANTITIES)]
        raise BadSpec.at(
            text,
            match.start("quantity"),
            f"no quantity is called {quantity}",
            cure=f"did you mean {near[0]}",
        )
    return Claim(text.strip(), quantity, where, parse_value(match["value"]))


def parse_value(text: str) -> tuple[Ratio, ...]:
    """A claimed value: a formula, or sizes as ``8x8x8``, ``[16, 32, 32]`` or ``16, 32, 32``.

    >>> parse_value("[16, H//2]")
    ((16, 1), (H//2, 1))
    """
    text = text.strip()
    if text[:1] == "[" and text[-1:] == "]":
        text = text[1:-1]
    if re.fullmatch(r"\d+(\s*[x*]\s*\d+)+", text) and "*" not in text:
        return tuple((int(word), 1) for word in text.split("x"))
    return tuple(parse_formula(piece) for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces
