"""Lines of a derivation: expressions that keep the form they are written in, and conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape as html_escape
from typing import Any

from symcnn.algebra import size as sz
from symcnn.algebra.factor import text
from symcnn.algebra.mathml import bracketed as between
from symcnn.algebra.mathml import math, wrapped, written
from symcnn.algebra.size import Floor, Int, Size, evaluate, floordiv, prod, symbols_of
from symcnn.notation.broken import (
    added,
    applied_to,
    bracketed,
    filled,
    floored,
    multiplied,
    pieces,
    too_wide,
)
from symcnn.notation.latex import Notation, formula, prose
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.inputset import InputSet
from symcnn.shown import Shown


@dataclass(frozen=True, slots=True)
class Tree(Shown):
    """An expression as it is written: a leaf, or a ``sum``, ``product``, ``floor``, ``min`` or
    ``max`` of others.
    """

    kind: str
    parts: tuple[Any, ...]

    @staticmethod
    def leaf(value: Int) -> Tree:
        """An expression in normal form, written as it is read."""
        return Tree("leaf", (value,))

    @staticmethod
    def of(kind: str, *parts: Tree | Int) -> Tree:
        """Of trees and numbers; a sum's zeros and a product's ones go, and what stands twice in a
        minimum or maximum.
        """
        made = [part if isinstance(part, Tree) else Tree.leaf(part) for part in parts]
        if kind in ("min", "max"):
            made = list(dict.fromkeys(made))
            return Tree(kind, tuple(made)) if len(made) > 1 else made[0]
        if kind != "floor":
            unit = 0 if kind == "sum" else 1
            made = [p for p in made if p.parts != (unit,)] or [Tree.leaf(unit)]
            if len(made) == 1:
                return made[0]
        return Tree(kind, tuple(made))

    def normal(self) -> Int:
        """The normal form."""
        if self.kind == "leaf":
            value: Int = self.parts[0]
            return value
        values = [part.normal() for part in self.parts]
        if self.kind in _EXTREMES:
            return _EXTREMES[self.kind][0](*values)
        if self.kind == "floor":
            return floordiv(*values)
        return sum(values, 0) if self.kind == "sum" else prod(values)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the sizes in it."""
        if self.kind == "leaf":
            return symbols_of(self.parts[0])
        return frozenset[str]().union(*(part.symbols for part in self.parts))

    def at(self, values: Mapping[str, int]) -> int:
        """The value, computed as written."""
        if self.kind == "leaf":
            return evaluate(self.parts[0], values)
        parts = [part.at(values) for part in self.parts]
        if self.kind in _EXTREMES:
            largest: int = _EXTREMES[self.kind][1](*parts)
            return largest
        if self.kind == "floor":
            quotient: int = parts[0] // parts[1]
            return quotient
        total = 0 if self.kind == "sum" else 1
        for part in parts:
            total = total + part if self.kind == "sum" else total * part
        return total

    @property
    def loose(self) -> bool:
        """Whether it takes brackets as a factor."""
        return self.kind == "sum" or (self.kind == "leaf" and _loose(self.parts[0]))

    def write(self, leaf: Callable[[Int], str], floor: str, times: str) -> str:
        """The tree in some notation."""

        def wrapped(tree: Tree) -> str:
            shown = tree.write(leaf, floor, times)
            if tree.loose and "\\" in shown:  # LaTeX, whose brackets grow
                return rf"\left({shown}\right)"
            return f"({shown})" if tree.loose else shown

        if self.kind == "leaf":
            return leaf(self.parts[0])
        if self.kind == "floor":
            num, den = (part.write(leaf, floor, times) for part in self.parts)
            for name, shown in (("NUM", num), ("DEN", den)):
                factor = shown if re.fullmatch(r"\w+", shown) else f"({shown})"
                floor = floor.replace(f"({name})", factor).replace(name, shown)
            return floor
        if self.kind in _EXTREMES:
            return (
                f"{self.kind}({', '.join(part.write(leaf, floor, times) for part in self.parts)})"
            )
        if self.kind == "product":
            return times.join(map(wrapped, self.parts))
        return " ".join(added([[part.write(leaf, floor, times)] for part in self.parts]))

    def __str__(self) -> str:
        return self.write(leaf_text, "floor((NUM)/(DEN))", "*")

    def to_mathml(self) -> str:
        """The tree as the content of MathML."""
        if self.kind == "leaf":
            found = sole_floor(self.parts[0])
            if found is None:
                return written(self.parts[0])
            return Tree.of("floor", *found).to_mathml()
        parts = [part.to_mathml() for part in self.parts]
        inner = [between(p) if t.loose else p for p, t in zip(parts, self.parts, strict=True)]
        if self.kind == "floor":
            return between(f"{inner[0]}<mo>/</mo>{inner[1]}", "\N{LEFT FLOOR}", "\N{RIGHT FLOOR}")
        if self.kind in _EXTREMES:
            return f"<mi>{self.kind}</mi>{between('<mo>,</mo>'.join(parts))}"
        if self.kind == "product":
            return "<mo>\N{DOT OPERATOR}</mo>".join(inner)
        terms = [parts[0]]
        for part, shown in zip(self.parts[1:], parts[1:], strict=True):
            constant: Any = part.parts[0] if part.kind == "leaf" else None
            if isinstance(constant, int) and constant < 0:
                terms.append(f"<mo>\N{MINUS SIGN}</mo>{written(-constant)}")
            else:
                terms.append(f"<mo>+</mo>{shown}")
        return "".join(terms)

    def to_latex(self, notation: Notation) -> str:
        """The tree in LaTeX, floors as floors."""
        return self.write(*_in_latex(notation))

    def latex_lines(self, notation: Notation) -> list[str]:
        """The tree in LaTeX, over several lines where it is long."""
        return filled(self.pieces(_floored(notation)))

    def pieces(self, notation: Notation) -> list[str]:
        """The tree in LaTeX in pieces after each of which a line may end."""
        whole = self.to_latex(notation)
        if not too_wide(whole):
            return [whole]
        if self.kind == "leaf":
            return pieces(self.parts[0], notation)
        inner = [part.pieces(notation) for part in self.parts]
        if self.kind in _EXTREMES:
            return applied_to(rf"\{self.kind}", inner)
        if self.kind == "floor":
            return floored(inner[0], self.parts[1].parts[0], notation)
        if self.kind == "sum":
            return added(inner)
        factors = [bracketed(p) if t.loose else p for p, t in zip(inner, self.parts, strict=True)]
        return multiplied(factors, r"\cdot")


def _floored(notation: Notation) -> Notation:
    """A notation without ceilings: what is derived is of floors."""
    return replace(notation, floors="brackets") if notation.floors == "shortest" else notation


def _in_latex(notation: Notation) -> tuple[Callable[[Int], str], str, str]:
    """How LaTeX writes a leaf, a floor, a product."""
    notation = _floored(notation)
    floor = {
        "brackets": r"\left\lfloor \frac{NUM}{DEN} \right\rfloor",
        "inline": r"\lfloor (NUM) / (DEN) \rfloor",
        "division": r"\left((NUM) \mathbin{//} (DEN)\right)",
    }[notation.floors]
    return lambda expr: formula(expr, notation), floor, r" \cdot "


#: Minimum and maximum, of formulas and of numbers.
_EXTREMES: dict[str, tuple[Callable[..., Int], Callable[..., Any]]] = {
    "min": (sz.minimum, min),
    "max": (sz.maximum, max),
}


@dataclass(frozen=True, slots=True)
class Ends(Shown):
    """The first and the last index that an output index sees."""

    first: Tree
    last: Tree

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} .. {self.last}"

    def to_mathml(self) -> str:
        """The interval as the content of MathML."""
        first, last = self.first.to_mathml(), self.last.to_mathml()
        return (
            first if self.first == self.last else f"{first}<mo>\N{HORIZONTAL ELLIPSIS}</mo>{last}"
        )

    def pieces(self, notation: Notation) -> list[str]:
        """The interval in LaTeX in pieces after each of which a line may end."""
        notation = _floored(notation)
        first, last = (end.pieces(notation) for end in (self.first, self.last))
        return first if self.first == self.last else multiplied([first, last], r"\;\ldots\;")


def leaf_text(expr: Int) -> str:
    """A leaf as text; a lone floor in the words of the derivation."""
    found = sole_floor(expr)
    if found is None:
        return text(expr)
    num, den = found
    above = text(num)
    return f"floor({above if above.isidentifier() else f'({above})'}/{den})"


def sole_floor(expr: Int) -> tuple[Int, int] | None:
    """Numerator and denominator, if the expression is one floor (constant taken in)."""
    if isinstance(expr, int):
        return None
    atom = sz.sole_atom(expr - expr.const)
    if isinstance(atom, Floor) and type(atom.den) is int and type(expr.const) is int:
        return atom.num + atom.den * expr.const, atom.den
    return None


def _loose(expr: Int) -> bool:
    if isinstance(expr, int):
        return expr < 0
    return len(expr.terms) > 1 and sole_floor(expr) is None


@dataclass(frozen=True, slots=True)
class Line(Shown):
    """One line of a derivation: an expression, an interval, conditions or a set of sizes, and why
    it follows.
    """

    content: Tree | Ends | tuple[Requirement, ...] | InputSet
    note: str = ""

    def __str__(self) -> str:
        if isinstance(self.content, (Tree, Ends)):
            return str(self.content)
        if isinstance(self.content, InputSet):
            return self.content.describe()
        return " and ".join(map(_relation, self.content))

    def to_mathml(self) -> str:
        """The line for a page."""
        if isinstance(self.content, (Tree, Ends)):
            return wrapped(self.content.to_mathml())
        if isinstance(self.content, InputSet):
            return math(self.content)
        return " and ".join(map(_mathml_relation, self.content))

    def latex_lines(self, notation: Notation) -> list[str]:
        """The line in LaTeX, over several where it is long."""
        if isinstance(self.content, Tree):
            return self.content.latex_lines(notation)
        if isinstance(self.content, Ends):
            return filled(self.content.pieces(notation))
        if isinstance(self.content, InputSet):
            return [prose(self.content.describe(), 0.8)]
        conditions = [_latex_relation(condition, notation) for condition in self.content]
        commas = [[*shown[:-1], rf"{shown[-1]},\quad"] for shown in conditions[:-1]]
        return filled([piece for shown in (*commas, *conditions[-1:]) for piece in shown])


def _relation(requirement: Requirement) -> str:
    if isinstance(requirement, Condition):
        lhs, relation, rhs = _facing(requirement)
        return f"{leaf_text(lhs)} {relation} {leaf_text(rhs)}"
    return str(requirement)


def _facing(condition: Condition) -> tuple[Int, str, Int]:
    """``-H >= -224`` as ``H <= 224``."""
    lhs, rhs = condition.lhs, condition.rhs
    bound = condition.relation == ">=" and isinstance(lhs, Size) and isinstance(rhs, int)
    if bound and all(c < 0 for mono, c in lhs.terms.items() if mono):  # type: ignore[union-attr]
        return -lhs, "<=", -rhs
    return lhs, "=" if condition.relation == "==" else ">=", rhs


def _mathml_relation(requirement: Requirement) -> str:
    if not isinstance(requirement, Condition):
        return html_escape(str(requirement))
    lhs, relation, rhs = _facing(requirement)
    sign = {"=": "=", ">=": "\N{GREATER-THAN OR EQUAL TO}", "<=": "\N{LESS-THAN OR EQUAL TO}"}
    return wrapped(f"{written(lhs)}<mo>{sign[relation]}</mo>{written(rhs)}")


def _latex_relation(requirement: Requirement, notation: Notation) -> list[str]:
    if not isinstance(requirement, Condition):
        return [prose(str(requirement), 0.8)]
    lhs, relation, rhs = _facing(requirement)
    sign = {"=": "=", ">=": r"\ge", "<=": r"\le"}[relation]
    return multiplied([pieces(lhs, notation), pieces(rhs, notation)], sign)
