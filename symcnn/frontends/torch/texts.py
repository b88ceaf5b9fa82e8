"""Texts of sizes.

The law: *to people a size is its formula, to python it is a number.* So a text in which sizes stand
reads as formulas, equals the text of the numbers where the sizes are those numbers, and hashes like
a key that it equals. What else python asks of it (its letters, how long it is) is asked of the text
of the numbers, which fixes the sizes.

Python joins texts without asking them. So where a forward spells a text (``f"{h}x{w}"``, ``join``,
``format``, ``%``), its code is compiled again and calls `spelled` and its like. Messages of what it
raises are for people: there only ``%`` is replaced, which would ask for numbers. Code that cannot
be compiled again joins numbers.
"""

from __future__ import annotations

import ast
import dis
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from os.path import dirname
from types import CodeType, FrameType
from typing import Any, Protocol

import torch

from symcnn.frontends.torch.keys import KeyBook, hashing, texts_near
from symcnn.frontends.torch.recompile import has, instruction
from symcnn.frontends.torch.shape import Sizes
from symcnn.frontends.torch.where import is_left_alone

#: The names under which compiled code calls `spelled`, `joined`, `formatted` and `filled`.
SPELL, JOIN, FORMAT, FILL = (f"__symcnn_{name}__" for name in ("spell", "join", "format", "fill"))

_SIZES = (torch.SymInt, torch.SymFloat)
_HOLDERS = (tuple, list, Sizes)
_CONVERTED: dict[int, Callable[[Any], str]] = {115: str, 114: repr, 97: ascii}
_book = KeyBook()
_OURS = dirname(dirname(dirname(__file__)))

_NUMERIC = frozenset("-0123456789")

#: What a text is made of: letters, and sizes, or texts of them, with the way in which they are
#: formatted.
_Part = str | tuple[Any, str]


class Numbered(Protocol):
    """What is a number to python: a size, or a text of sizes."""

    def number(self) -> object:
        """The number, or its text; the sizes are fixed."""


class Text(str):
    """A text in which sizes stand; as a string it has their formulas."""

    parts: tuple[_Part, ...]

    def __new__(cls, parts: Iterable[_Part]) -> Text:
        parts = tuple(parts)
        self = super().__new__(
            cls, "".join(p if isinstance(p, str) else p[0].formula() for p in parts)
        )
        self.parts = parts
        return self

    @property
    def _sizes(self) -> list[Any] | None:
        """The sizes; None if a text of numbers does not tell one from the next."""
        for before, after in pairwise(("", *self.parts, "")):
            if isinstance(before, str) == isinstance(after, str):
                if before and after:
                    return None
            elif (before[-1:] if isinstance(before, str) else after[:1]).isdigit():  # type: ignore[union-attr]
                return None
        found = [p for p in self.parts if not isinstance(p, str)]
        return (
            None
            if any(spec or not size.is_int() for size, spec in found)
            else [s for s, _ in found]
        )

    def size(self) -> object:
        """The size that is the whole text; None if there is more."""
        return self._sizes[0] if len(self.parts) == 1 and self._sizes else None

    def number(self) -> str:
        """The text of the numbers, which fixes the sizes."""
        return "".join(p if isinstance(p, str) else _spelt(p[0].number(), p[1]) for p in self.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return False
        sizes = self._sizes
        if isinstance(other, Text):
            theirs, letters = other._sizes, (self._letters(), other._letters())
            alike = letters[0] == letters[1]
            told = sizes is not None and theirs is not None
            if told and not alike and not _NUMERIC & {*chain(*chain(*letters))}:
                return False  # numbers stand at other places, whichever they are
            if sizes is None or theirs is None or not alike:
                return self.number() == other.number()
            return all(a == b for a, b in zip(sizes, theirs, strict=True))
        if sizes is None:
            return self.number() == other
        number = r"(-?(?:0|[1-9][0-9]*))"
        pattern = "".join(re.escape(p) if isinstance(p, str) else number for p in self.parts)
        found = re.fullmatch(pattern, other)
        return found is not None and all(
            s == int(n) for s, n in zip(sizes, found.groups(), strict=True)
        )

    def _letters(self) -> list[str]:
        return [p if isinstance(p, str) else "" for p in self.parts]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        frame = sys._getframe(1)
        if not frame.f_code.co_filename.startswith(_OURS):
            frame = hashing(frame)
            for key in (*texts_near(frame), *_book.beside(self, frame)):
                if self == key:
                    return str.__hash__(key)
        return str.__hash__(self)

    def __int__(self) -> Any:
        return int(self.number())

    def __add__(self, other: str) -> str:
        return joined("", (self, other)) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str) -> str:
        return joined("", (other, self)) if isinstance(other, str) else NotImplemented

    def __contains__(self, letters: Any) -> bool:
        if isinstance(letters, str) and not any(c.isdigit() or c == "-" for c in letters):
            return any(letters in part for part in self._letters())
        return letters in self.number()

    def _startswith(self, *args: Any) -> bool:
        """As of the numbers; what the letters before the first size tell fixes none."""
        first = self._letters()[0]
        if len(args) == 1 and isinstance(args[0], str) and len(args[0]) <= len(first):
            return first.startswith(args[0])
        return self.number().startswith(*args)

    def formula(self) -> str:
        """The text of the formulas."""
        return str.__str__(self)

    def __format__(self, spec: str) -> str:
        return written(sys._getframe(1), Text([(self, spec)]) if spec else self)


def _spelt(number: object, how: str) -> str:
    """A number as ``format`` writes it, or as ``%`` does."""
    return how % number if how[:1] == "%" and how[1:] else format(number, how)


def of_the_number(name: str) -> Callable[..., object]:
    """A method of sizes and their texts: that of the number, which fixes the sizes."""

    def answer(self: Numbered, *args: object, **kwargs: object) -> object:
        own: object = getattr(self.number(), name)(*args, **kwargs)
        return own

    return answer


def _of_the_text(name: str) -> Callable[..., object]:
    """A method of texts of sizes: that of the text of the numbers, but to pytest that of the
    formulas, which it shows where an assertion of the forward fails.
    """
    to_people, to_python = getattr(str, name), of_the_number(name)

    def answer(self: Text, *args: object, **kwargs: object) -> object:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and is_left_alone(frame.f_code.co_filename):
            frame = frame.f_back
        shown = frame is not None and frame.f_globals.get("__name__", "").startswith("_pytest.")
        return (to_people if shown else to_python)(self, *args, **kwargs)

    return answer


for _name in {*vars(str)} - {*vars(object), *vars(Text), "__getnewargs__", "maketrans"}:
    setattr(Text, _name, _of_the_text(_name))
setattr(Text, "startswith", Text._startswith)  # noqa: B010
for _name in ("__lt__", "__le__", "__gt__", "__ge__"):
    setattr(Text, _name, _of_the_text(_name))


# What code calls in place of python's own ---------------------------------------------------------


def spelled(*parts: str | tuple[object, int, str | None]) -> str:
    """``f"..."``: its letters, and (value, conversion, format) of what stands between them."""
    return _text(
        chain.from_iterable(
            [p] if isinstance(p, str) else _parts(p[0], p[1], p[2] or "") for p in parts
        )
    )


def joined(between: str, texts: Iterable[str]) -> str:
    """``between.join(texts)``."""
    texts = [*texts]
    if not any(type(t) is Text for t in texts):
        return between.join(texts)
    return _text(
        p for i, t in enumerate(texts) for p in (*_letters(between if i else ""), *_letters(t))
    )


def formatted(text: str, *args: object, **kwargs: object) -> str:
    """``text.format(...)``."""
    if not any(map(holds_sizes, chain(args, kwargs.values()))):
        return text.format(*args, **kwargs)
    formatter, parts, place = string.Formatter(), list[_Part](), 0
    for letters, field, spec, conversion in formatter.parse(text):
        parts.append(letters)
        if field is not None:
            if not field or field[0] in ".[":
                field, place = f"{place}{field}", place + 1
            value, _ = formatter.get_field(field, args, kwargs)
            spec = formatted(spec or "", *args, **kwargs)
            parts += _parts(value, ord(conversion) if conversion else -1, spec)
    return _text(parts)


def filled(text: str, values: object) -> str:
    """``text % values``."""
    named: Mapping[str, Any] = values if type(values) is dict else {}
    given: list[Any] = [*values] if isinstance(values, tuple) else [*named.values()] or [values]
    if not any(map(holds_sizes, given)):
        return text % values
    letters = _CONVERSION.split(text)
    places = [*zip(*(letters[i::4] for i in (1, 2, 3)), strict=True)]
    asking = [place for place in places if place[2] != "%"]
    if any("%" in part for part in letters[::4]) or (not named and len(asking) != len(given)):
        numbers = map(_number, given)
        return text % (dict(zip(named, numbers, strict=True)) if named else tuple(numbers))
    left, parts = iter(given), [*_letters(letters[0])]
    for (name, how, kind), after in zip(places, letters[4::4], strict=True):
        value = "%" if kind == "%" else next(left) if name is None else named[name]
        plain = kind in "sr%" or (kind in "di" and issubclass(type(value), torch.SymInt))
        if plain and not how:
            parts += _parts(value, ord(kind), "")
        elif issubclass(type(value), _SIZES) or (type(value) is Text and kind == "s"):
            parts.append((value, f"%{how}{kind}"))
        else:
            parts.append(f"%{how}{kind}" % _number(value))
        parts.append(after)
    return _text(parts)


#: What ``%`` fills: a name, flags with width and precision, and how it is written.
_CONVERSION = re.compile(r"%(?:\((\w*)\))?([-#0 +]*\d*(?:\.\d+)?)[hlL]?([a-zA-Z%])")


def _number(value: Any) -> Any:
    """A size, or a text of sizes, as python has it without a trace."""
    sized = type(value) is Text or issubclass(type(value), _SIZES)
    return value.number() if sized else value


def shown(value: object, conversion: int = 115) -> str:
    """``str(value)``, or ``repr(value)``."""
    return _text(_parts(value, conversion, ""))


def as_format(value: object, spec: str = "", /) -> str:
    """``format(value, spec)``."""
    return _text(_parts(value, -1, spec)) if holds_sizes(value) else format(value, spec)


def holds_sizes(value: object) -> bool:
    """Whether it is a size or a text of sizes, or has them in tuples and lists."""
    if isinstance(value, (tuple, list)) and type(value) in _HOLDERS:
        return any(map(holds_sizes, value))
    return type(value) is Text or issubclass(type(value), _SIZES)


def _text(parts: Iterable[_Part]) -> str:
    """One text, of as few parts as may be."""
    merged: list[_Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    if any(not isinstance(p, str) for p in merged):
        return Text(merged)
    return "".join(p for p in merged if isinstance(p, str))


def _letters(text: str) -> Sequence[_Part]:
    return text.parts if isinstance(text, Text) else (text,)


def _parts(value: Any, conversion: int, spec: str) -> Sequence[_Part]:
    """What stands in a text for a value."""
    kind = type(value)
    if issubclass(kind, _SIZES):
        return [(value, spec)]
    if spec or not holds_sizes(value) or (kind is Text and conversion == 114):
        made = _CONVERTED[conversion](value) if conversion in _CONVERTED else value
        return [(made, spec) if spec and type(made) is Text else format(_number(made), spec)]
    if kind is Text:
        return _letters(value)
    opened, closed = ("[", "]") if kind is list else ("(", ")")
    if kind is Sizes:
        opened, closed = "torch.Size([", "])"
    elif len(value) == 1 and opened == "(":
        closed = ",)"
    items = [joined("", [", " * (i > 0), shown(v, 114)]) for i, v in enumerate(value)]
    return _letters(joined("", [opened, *items, closed]))


# Code -----------------------------------------------------------------------------------------


def may_spell(code: CodeType) -> bool:
    """Whether it joins texts, other than messages of what it raises, or fills one by ``%``."""
    counts = Counter(code.co_code[::2])
    texts = counts[_BUILD] or sum(counts[format_] for format_ in _FORMATS)
    if texts > counts[_RAISE] or not _SPELLING.isdisjoint(code.co_names):
        return True
    fills = has(code, _REMAINDER)
    inner = code.co_consts
    return any(may_spell(c) if type(c) is CodeType else fills and _is_template(c) for c in inner)


def _is_template(constant: object) -> bool:
    return type(constant) is str and _CONVERSION.search(constant) is not None


_BUILD, _RAISE = dis.opmap["BUILD_STRING"], dis.opmap["RAISE_VARARGS"]
_FORMATS = [code for name, code in dis.opmap.items() if name.startswith("FORMAT_")]
_REMAINDER = instruction("a % b")
_SPELLING = frozenset({"join", "format"})


class Spelling(ast.NodeTransformer):
    """What joins texts becomes calls."""

    count = 0
    message = False  # of an error: only ``%`` asks sizes for their numbers there

    def _call(self, name: str, args: list[ast.expr], like: ast.expr, **kwargs: Any) -> ast.Call:
        self.count += 1
        keywords = kwargs.get("keywords", [])
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), args, keywords), like)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.message = True
        self.generic_visit(node)
        self.message = False
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.test = self.visit(node.test)
        self.message = True
        node.msg = node.msg and self.visit(node.msg)
        self.message = False
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        if self.message:
            return node
        args: list[ast.expr] = [
            ast.Tuple(
                [v.value, ast.Constant(v.conversion), v.format_spec or ast.Constant(None)],
                ast.Load(),
            )
            if isinstance(v, ast.FormattedValue)
            else v
            for v in node.values
        ]
        return self._call(SPELL, args, node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self.message:
            return node
        match node.func:
            case ast.Attribute(
                value=ast.Constant(value=str()) as text, attr="join" | "format" as how
            ):
                name = JOIN if how == "join" else FORMAT
                return self._call(name, [text, *node.args], node, keywords=node.keywords)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.BinOp(left=ast.Constant(value=str()) as text, op=ast.Mod(), right=values):
                return self._call(FILL, [text, values], node)
        return node


#: What stands for the calls.
STAND_INS: Mapping[str, Callable[..., Any]] = {
    SPELL: spelled,
    JOIN: joined,
    FORMAT: formatted,
    FILL: filled,
    "format": as_format,
}


def written(frame: FrameType, text: Text) -> str:
    """A text that python makes of a size by itself: joined to others, it is that of the number."""
    code = frame.f_code
    if is_left_alone(code.co_filename) or not _is_joined(code, frame.f_lasti):
        return text
    return text.number()


@lru_cache(maxsize=1024)
def is_raised(code: CodeType, running: int) -> bool:
    """Whether what an instruction writes is the message of an error, of which no key is made."""
    ends = ("STORE", "RETURN", "COMPARE", "CONTAINS", "POP_JUMP", "POP_TOP", "RAISE_VARARGS")
    later = (step.opname for step in dis.get_instructions(code) if step.offset >= running)
    return next((name for name in later if name.startswith(ends)), "") == "RAISE_VARARGS"


@lru_cache(maxsize=1024)
def _is_joined(code: CodeType, running: int) -> bool:
    """Whether what an instruction writes becomes part of a text that is no message."""
    joined = False
    for step in dis.get_instructions(code):
        if step.offset < running:
            continue
        if step.opname in ("RAISE_VARARGS", "POP_TOP"):
            return False
        joined |= step.opname == "BUILD_STRING" or (
            step.offset == running and step.opname in ("BINARY_OP", "CALL", "CALL_FUNCTION_EX")
        )
        if step.opname.startswith(("STORE", "RETURN", "COMPARE", "CONTAINS", "POP_JUMP")):
            return joined
    return joined
