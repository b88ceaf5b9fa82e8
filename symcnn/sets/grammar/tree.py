"""Formulas and conditions: text with operators, as a tree of a few kinds of nodes."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from keyword import iskeyword
from math import comb, gcd
from typing import Literal, NoReturn

from symcnn.algebra.size import (
    Floor,
    Int,
    Max,
    Power,
    Size,
    ceildiv,
    every_atom,
    exact_div,
    floordiv,
    lower,
    maximum,
    minimum,
    mod,
    power,
)
from symcnn.errors import BadSpec
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.sets.grammar.text import (
    BITS,
    DEGREES,
    DEPTH,
    EXPONENT,
    QUOTIENTS,
    TERMS,
    Word,
    bounded,
    cut,
    fail,
    short,
)

_FORMULA = "a formula has numbers, names, + - * / // % **, brackets, floor, ceil, min, max"
_CONDITION = 'for example "H % 32 == 0", "H > 3" or "H >= 32 and W >= 32"'

Ratio = tuple[Int, Int]  # numerator, denominator: a formula may lack the floor it needs


def parse_formula(text: str) -> Ratio:
    """A formula as numerator and denominator; a fixed grammar, nothing is evaluated as code.

    Numbers, names, ``+ - * / // % **``, brackets, ``floor ceil min max``. A plain ``/`` stays a
    fraction: whether it is a whole number is for the caller to decide.
    Raises BadSpec, pointing at the character.

    >>> parse_formula("(H - 11)/4 + 1"), parse_formula("floor((H - 11)/4) + 1")
    ((H - 7, 4), ((H - 7)//4, 1))
    """
    return _Tree(text, "a formula", _FORMULA).formula()


@dataclass(frozen=True, slots=True)
class Statement:
    """Conditions joined by ``and`` or by ``or``; a single requirement alone."""

    kind: Literal["and", "or"]
    parts: tuple[Requirement | Statement, ...]


def parse_statement(text: str) -> Statement:
    """Conditions on sizes: comparisons, ``in {...}``, ``and``, ``or``, brackets.

    Raises BadSpec, pointing at the character.

    >>> parse_statement("4 <= H < 9 or W % 4 == 0").kind
    'or'
    """
    return _Tree(text, "a condition", _CONDITION).statement()


def parse_conditions(text: str) -> tuple[Requirement, ...]:
    """Conditions that hold together: ``H >= 32 and W % 32 == 0``.

    Raises BadSpec, pointing at the character, and for what only a union of sets can say.

    >>> [str(c) for c in parse_conditions("H > 3 and W % 4 == 0")]
    ['H >= 4', 'W - 4*(W//4) == 0']
    """
    return tuple(_all_of(parse_statement(text), text))


def _all_of(statement: Statement, text: str) -> Iterator[Requirement]:
    if statement.kind == "or" and len(statement.parts) > 1:
        options = [one for part in statement.parts for one in _one_of(part, text)]
        yield AnyOf(tuple(options))
        return
    for part in statement.parts:
        if isinstance(part, Statement):
            yield from _all_of(part, text)
        else:
            yield part


def _one_of(part: Requirement | Statement, text: str) -> Iterator[Condition]:
    if isinstance(part, Condition):
        yield part
    elif isinstance(part, AnyOf):
        yield from part.options
    elif isinstance(part, Statement) and (part.kind == "or" or len(part.parts) == 1):
        for one in part.parts:
            yield from _one_of(one, text)
    else:
        raise BadSpec(
            f"{short(text)!r}: 'and' stands inside 'or'", cure="symcnn.solve reads it, as a set"
        )


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


#: Functions of a formula: how many arguments they take (None: one or more), and what they make.
_FUNCTIONS: dict[str, tuple[int | None, Callable[..., Int]]] = {
    "floor": (1, floordiv),
    "ceil": (1, ceildiv),
    "min": (None, minimum),
    "max": (None, maximum),
}

_KEYWORDS = frozenset({"and", "or", "in"})

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}


class _Tree:
    """Text as python's parser sees it, and the walk over what it may be."""

    def __init__(self, text: str, what: str, cure: str) -> None:
        self.text, self.cure = bounded(text, what, cure), cure
        found = cut(text, cure)
        self.check_brackets(found)
        source = re.sub(r"\s", " ", text)
        try:
            self.root = ast.parse(f"({source})", mode="eval").body
        except SyntaxError as error:
            place = max(0, min((error.offset or 1) - 2, len(text.rstrip())))
            shown = next((w.text for w in found if w.end > place), "")
            cause = f"{shown!r} is one too many" if shown else "it ends here"
            fail(text, place, cause if found else f"{what} is empty", cure)
        except (ValueError, MemoryError, RecursionError):
            fail(text, 0, f"{what} of too many parts", cure)

    def check_brackets(self, found: list[Word]) -> None:
        """Brackets that match, at a bearable depth, and names that are no keywords of python."""
        opened: list[Word] = []
        run = 0
        for last, word in zip([None, *found], found, strict=False):
            if last and _ends(last) and _starts(word, last):
                fail(self.text, word.start, "an operator is missing here", self.cure)
            run = run + 1 if word.text in ("-", "+", "**") else 0 if word.kind == "op" else run
            if word.text in ("(", "{"):
                opened.append(word)
            elif word.text in (")", "}"):
                if not opened or opened.pop().text != {")": "(", "}": "{"}[word.text]:
                    fail(self.text, word.start, "a bracket that was not opened", self.cure)
            elif word.text in ("[", "]", "=", ".."):
                fail(self.text, word.start, f"{word.text!r} has no place here", self.cure)
            elif word.kind == "name" and word.text not in _KEYWORDS and iskeyword(word.text):
                fail(self.text, word.start, f"{word.text!r} is no name of a size", self.cure)
            if len(opened) > DEPTH or run > DEPTH:
                fail(self.text, word.start, f"more than {DEPTH} deep", self.cure)
        if opened:
            fail(self.text, opened[-1].start, "a closing bracket is missing", self.cure)

    def fail(self, node: ast.AST, cause: str) -> NoReturn:
        column = getattr(node, "col_offset", 1) - 1
        place = len(self.text.encode()[: max(column, 0)].decode(errors="ignore"))
        fail(self.text, place, cause, self.cure)

    # formulas

    def formula(self) -> Ratio:
        return self.value(self.root)

    def value(self, node: ast.expr) -> Ratio:
        match node:
            case ast.BinOp():
                return self.operations(node)
            case ast.UnaryOp(op=ast.USub()):
                a, b = self.value(node.operand)
                return -a, b
            case ast.UnaryOp(op=ast.UAdd()):
                return self.value(node.operand)
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return value, 1
            case ast.Name():
                return Size.symbol(node.id), 1
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
                return self.function(node, name)
            case ast.Call(func=ast.Name(id=name)):
                there = ", ".join(_FUNCTIONS)
                self.fail(node, f"no function is called {name}: there is {there}")
        self.fail(node, "a number, a name or a bracket is missing")

    def operations(self, node: ast.BinOp) -> Ratio:
        """A chain of operations, from the left."""
        chain = [node]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
        value = self.value(chain[-1].left)
        for one in reversed(chain):
            value = self.operation(one, value, self.value(one.right))
        return value

    def operation(self, node: ast.BinOp, left: Ratio, right: Ratio) -> Ratio:
        (a, b), (c, d) = left, right
        sign = _BINARY.get(type(node.op), "")
        try:
            match sign:
                case "+" | "-":
                    self.small(node, a, d)
                    self.small(node, c, b)
                    found = _reduced(a * d + c * b * (1 if sign == "+" else -1), b * d)
                case "*":
                    self.small(node, a, c)
                    self.small(node, b, d)
                    found = _reduced(a * c, b * d)
                case "/" | "//" | "%":
                    found = self.division(node, sign, left, right)
                case "**":
                    found = self.power(node, left, right)
                case _:
                    self.fail(node, "this operation has no place here")
        except (ValueError, ArithmeticError, AssertionError) as error:
            if isinstance(error, BadSpec):
                raise
            self.fail(node.right, "this operation is not defined here")
        for part in found:
            self.bearable(node, part)
        return found

    def division(self, node: ast.BinOp, sign: str, left: Ratio, right: Ratio) -> Ratio:
        (a, b), (c, d) = left, right
        if c == 0:
            self.fail(node.right, "division by zero")
        self.small(node, a, d)
        self.small(node, b, c)
        if sign == "/":
            return _reduced(a * d, b * c)
        least = lower(c)
        if isinstance(c, Size) and (least is None or least < 1):
            self.fail(node.right, "what divides may be 0 or less for some sizes")
        if not (isinstance(b, int) and isinstance(d, int)):
            self.fail(node.right, "a fraction of sizes is divided here")
        if sign == "//":
            return floordiv(a * d, b * c), 1
        return _reduced(mod(a * d, b * c), b * d)

    def power(self, node: ast.BinOp, left: Ratio, right: Ratio) -> Ratio:
        (a, b), (c, d) = left, right
        wanted = f"a power has a whole exponent from 0 to {EXPONENT}, or a symbol"
        if d != 1 or (isinstance(c, int) and not 0 <= c <= EXPONENT):
            self.fail(node.right, wanted)
        if isinstance(c, int):
            for base in (a, b):
                if isinstance(base, int):
                    if base.bit_length() * c > BITS:
                        self.fail(node, f"a number of more than {BITS} bits")
                elif comb(len(base.terms) + c - 1, c) * (c if len(base.terms) > 1 else 1) > DEGREES:
                    self.fail(node, f"a sum of more than {TERMS} terms")
            return power(a, c), power(b, c)
        least = lower(c)
        towers = any(isinstance(atom, Power) for atom in every_atom(c, a, b))
        large = any(isinstance(base, int) and base > 1 << 16 for base in (a, b))
        if least is None or least < 0 or towers or large or len(c.terms) > EXPONENT:
            self.fail(node.right, wanted)
        if any(int(coeff) > EXPONENT for coeff in c.terms.values()):
            self.fail(node.right, wanted)
        return power(a, c), power(b, c)

    def function(self, node: ast.Call, name: str) -> Ratio:
        count, make = _FUNCTIONS[name]
        if not node.args or (count is not None and len(node.args) != count):
            self.fail(node, f"{name} takes {'one argument' if count else 'arguments'}")
        if len(node.args) > DEPTH:
            self.fail(node, f"{name} of more than {DEPTH} arguments")
        values = [self.value(arg) for arg in node.args]
        if count is not None:
            ((a, b),) = values
            if not isinstance(b, int):
                least = lower(b)
                if least is None or least < 1:
                    self.fail(node, "what divides may be 0 or less for some sizes")
            made = make(a, b)
        else:
            if any(b != 1 for _, b in values):
                self.fail(node, f"{name} of fractions")
            made = make(*(a for a, _ in values))
        self.bearable(node, made)
        return made, 1

    def small(self, node: ast.AST, a: Int, b: Int) -> None:
        """A product that is worth making."""
        terms = [len(x.terms) if isinstance(x, Size) else 1 for x in (a, b)]
        if math.prod(terms) > 4 * TERMS:
            self.fail(node, f"a sum of more than {TERMS} terms")

    def bearable(self, node: ast.AST, value: Int) -> None:
        """Numbers, terms and quotients within their bounds."""
        if isinstance(value, int):
            if value.bit_length() > BITS:
                self.fail(node, f"a number of more than {BITS} bits")
            return
        if len(value.terms) > TERMS:
            self.fail(node, f"a sum of more than {TERMS} terms")
        if any(Fraction(c).numerator.bit_length() > BITS for c in value.terms.values()):
            self.fail(node, f"a number of more than {BITS} bits")
        degree = max(sum(abs(p) for _, p in mono) for mono in value.terms)
        if degree * len(value.terms) > DEGREES:
            self.fail(node, "a sum of too many powers")
        if _quotients(value) > QUOTIENTS:
            self.fail(node, "sizes that divide by sizes, too deep")

    # conditions

    def statement(self) -> Statement:
        return self.joined(self.root)

    def joined(self, node: ast.expr) -> Statement:
        if isinstance(node, ast.BoolOp):
            kind: Literal["and", "or"] = "and" if isinstance(node.op, ast.And) else "or"
            return Statement(kind, tuple(self.joined(value) for value in node.values))
        if not isinstance(node, ast.Compare):
            self.fail(node, "this is no condition: one compares, by ==, !=, >=, <=, > or <")
        found: list[Requirement] = []
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            found.append(self.comparison(node, op, left, right))
            left = right
        return Statement("and", tuple(found))

    def comparison(
        self, node: ast.Compare, op: ast.cmpop, left: ast.expr, right: ast.expr
    ) -> Requirement:
        if isinstance(op, ast.In):
            if not isinstance(right, ast.Set):
                self.fail(right, "'in' is followed by numbers in braces: H % 4 in {0, 3}")
            return AnyOf(tuple(self.relation(left, "==", one) for one in right.elts))
        match op:
            case ast.Eq():
                return self.relation(left, "==", right)
            case ast.GtE():
                return self.relation(left, ">=", right)
            case ast.LtE():
                return self.relation(right, ">=", left)
            case ast.Gt():
                return self.relation(left, ">=", right, 1)
            case ast.Lt():
                return self.relation(right, ">=", left, 1)
            case ast.NotEq():
                return AnyOf(
                    (self.relation(left, ">=", right, 1), self.relation(right, ">=", left, 1))
                )
        self.fail(node, "this comparison has no place here")

    def relation(
        self, left: ast.expr, sign: Literal[">=", "=="], right: ast.expr, more: int = 0
    ) -> Condition:
        """``left >= right + more`` without denominators."""
        (a, b), (c, d) = self.value(left), self.value(right)
        for below, side in ((b, left), (d, right)):
            least = lower(below)
            if least is None or least < 1:
                self.fail(side, "what divides may be 0 or less for some sizes")
        self.small(left, a, d)
        self.small(right, c, b)
        return Condition(a * d, sign, c * b + more)


def _ends(word: Word) -> bool:
    """Whether a value may end with it."""
    return word.text in (")", "}") or (word.kind != "op" and word.text not in _KEYWORDS)


def _starts(word: Word, last: Word) -> bool:
    """Whether a value starts with it, where `last` ends one."""
    called = word.text == "(" and last.kind != "name"
    return called or (word.kind != "op" and word.text not in _KEYWORDS)


def _quotients(expr: Int) -> int:
    """How deep sizes divide by sizes."""
    deepest = 0
    for atom in expr.atoms() if isinstance(expr, Size) else ():
        if isinstance(atom, Floor):
            below = _quotients(atom.den) + (not isinstance(atom.den, int))
            deepest = max(deepest, _quotients(atom.num), below)
        elif isinstance(atom, (Max, Power)):
            deepest = max(deepest, *map(_quotients, atom.args))
    return deepest
