r"""LaTeX that goes into a paper unchanged: formulas in a chosen notation, and whole documents.

A formula is written as it is read aloud: a product where it is one, and a lone floor with its
constant inside, ``\lfloor (H + 31)/32 \rfloor``. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sympy.printing.latex import LatexPrinter

from symcnn.algebra.expr import reading
from symcnn.algebra.factor import factors
from symcnn.algebra.size import Int, Size
from symcnn.errors import BadSpec

__all__ = ["Notation", "document", "escape", "formula", "number", "times"]


_FLOORS = ("brackets", "inline", "division", "shortest")


#: How a floor is written.
Floors = Literal["brackets", "inline", "division", "shortest"]


@dataclass(frozen=True, slots=True)
class Notation:
    r"""How formulas are written.

    names: LaTeX for a symbol, such as ``{"H": r"H_{\mathrm{in}}"}``.
    floors: ``"brackets"`` for floor brackets around a fraction, ``"inline"`` for brackets around a
        slash, ``"division"`` for integer division, ``(H + 31) // 32``; ``"shortest"`` for the
        shorter of floor and ceiling, ``\lceil H/32 \rceil``.
    siunitx: numbers as ``\num{25557032}``; else with thin spaces, and no package.

    >>> from symcnn.algebra.size import Size
    >>> H = Size.symbol("H")
    >>> print(formula((H + 31)//32, Notation(floors="inline", names={"H": "H_0"})))
    \lfloor (H_0 + 31) / 32 \rfloor
    """

    names: Mapping[str, str] = field(default_factory=dict)
    floors: Floors = "brackets"
    siunitx: bool = False

    def __post_init__(self) -> None:
        if self.floors not in _FLOORS:
            raise BadSpec(f"floors={self.floors!r}", cure=f"one of {', '.join(_FLOORS)}")


class _Printer(LatexPrinter):  # type: ignore[misc]
    def __init__(self, notation: Notation) -> None:
        super().__init__()
        self.notation = notation
        self.printmethod = "_symcnn"  # our own methods below come first

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:  # noqa: N802
        return self.notation.names.get(expr.name) or str(super()._print_Symbol(expr))

    _print_Multiple = _print_Symbol  # noqa: N815

    def _print_FloorDiv(self, expr: Any, exp: str | None = None) -> str:  # noqa: N802
        num, den = expr.args
        if self.notation.floors in ("brackets", "shortest"):
            top, bottom, kind = self._print(num), self._print(den), "floor"
            if self.notation.floors == "shortest":
                raised = self._print(num - den + 1)  # floor(x/d) = ceil((x - d + 1)/d)
                if len(raised) < len(top):
                    top, kind = raised, "ceil"
            text = rf"\left\l{kind} \frac{{{top}}}{{{bottom}}} \right\r{kind}"
        else:
            top, bottom = self._grouped(num), self._grouped(den)
            text = (
                rf"\lfloor {top} / {bottom} \rfloor"
                if self.notation.floors == "inline"
                else rf"\left({top} \mathbin{{//}} {bottom}\right)"
            )
        return f"{text}^{{{exp}}}" if exp else text

    def _grouped(self, expr: Any) -> str:
        text = self._print(expr)
        return f"({text})" if expr.is_Add or expr.is_Mul else str(text)

    def _print_Geometric(self, expr: Any, exp: str | None = None) -> str:  # noqa: N802
        return str(expr._latex(self, exp))

    def _print_Trunc(self, expr: Any, exp: str | None = None) -> str:  # noqa: N802
        return str(expr._latex(self))


def formula(expr: Int, notation: Notation | None = None) -> str:
    r"""A formula in LaTeX, a product where it is one.

    >>> from symcnn.algebra.size import Size
    >>> print(formula(64 * (Size.symbol("H")//2) * Size.symbol("W")))
    64 \, W \, \left\lfloor \frac{H}{2} \right\rfloor
    """
    notation = notation or Notation()
    printer = _Printer(notation)
    if isinstance(expr, int):
        return number(expr, notation)
    try:
        parts, content = factors(expr)
    except ValueError:
        parts, content = (), 1
    if not parts or (len(parts) == 1 and content in (1, -1)):
        return str(printer.doprint(reading(expr)))
    words = [] if content == 1 else ["-"] if content == -1 else [number(content, notation)]
    counted = {part: parts.count(part) for part in sorted(set(parts), key=_order)}
    for part, times in counted.items():
        shown = reading(part)
        text = printer.doprint(shown)
        if shown.is_Add:
            text = rf"\left({text}\right)"
        words.append(text if times == 1 else f"{text}^{{{times}}}")
    return r" \, ".join(words)


def times(values: Iterable[Int], notation: Notation | None = None) -> str:
    r"""Sizes of a shape, a sum in brackets: ``C \times \left(H - 2\right)``.

    >>> from symcnn.algebra.size import Size
    >>> print(times((8, Size.symbol("H") - 2)))
    8 \times \left(H - 2\right)
    """
    listed = tuple(values)
    factor = formula if len(listed) == 1 else _factor
    return r" \times ".join(factor(value, notation) for value in listed)


def _factor(value: Int, notation: Notation | None = None) -> str:
    shown = formula(value, notation)
    if isinstance(value, int):
        return shown
    try:
        parts, content = factors(value)
    except ValueError:
        parts, content = (), 1
    whole = not parts or (len(parts) == 1 and content in (1, -1))
    return rf"\left({shown}\right)" if whole and reading(value).is_Add else shown


def _order(part: Size) -> tuple[int, str]:
    text = str(part)
    return (0 if text in ("N", "B") else 1 if text.isidentifier() else 2), text.lstrip("(")


def number(value: int, notation: Notation | None = None) -> str:
    r"""A number, its digits in groups of three.

    >>> print(number(25557032), number(25557032, Notation(siunitx=True)), number(512))
    25\,557\,032 \num{25557032} 512
    """
    if notation is not None and notation.siunitx:
        return rf"\num{{{value}}}"
    return f"{value:,}".replace(",", r"\,") if abs(value) > 9999 else str(value)


_SPECIAL = {c: "\\" + c for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "<": r"$<$",
    ">": r"$>$",
}


def escape(text: str) -> str:
    r"""Plain text for LaTeX: ``layer1.0_a`` becomes ``layer1.0\_a``."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def document(body: str, *, title: str = "", siunitx: bool = False) -> str:
    """A whole document around `body`, for pdflatex."""
    packages = ["amsmath", "booktabs", "longtable", *(["siunitx"] if siunitx else [])]
    uses = "\n".join(rf"\usepackage{{{name}}}" for name in packages)
    head = rf"\section*{{{escape(title)}}}" + "\n" if title else ""
    return (
        "\\documentclass[11pt]{article}\n"
        "\\usepackage[T1]{fontenc}\n\\IfFileExists{lmodern.sty}{\\usepackage{lmodern}}{}\n\\usepackage[margin=2cm]{geometry}\n"
        f"{uses}\n\\allowdisplaybreaks\n\\begin{{document}}\n{head}{body.rstrip()}\n"
        "\\end{document}\n"
    )
