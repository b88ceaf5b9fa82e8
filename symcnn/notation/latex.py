r"""LaTeX that goes into a paper unchanged: formulas in a chosen notation, and whole documents.

A formula is written in its shortest spelling (`symcnn.algebra.factor`): a product where that is
shorter, floors moved by whole numbers, ``\lceil H/32 \rceil``. Nothing here computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from sympy.printing.latex import LatexPrinter

from symcnn.algebra.expr import from_sympy, to_sympy
from symcnn.algebra.factor import Floors, Product, raised, reading, spelled
from symcnn.algebra.size import Int, gathered
from symcnn.algebra.sympy import FloorDiv
from symcnn.errors import BadSpec


@dataclass(frozen=True, slots=True)
class Notation:
    r"""How formulas are written.

    names: LaTeX for a symbol, such as ``{"H": r"H_{\mathrm{in}}"}``.
    floors: ``"shortest"`` for the shorter of floor and ceiling, ``\lceil H/32 \rceil``;
        ``"brackets"`` for floor brackets around a fraction, ``"inline"`` for brackets around a
        slash, ``"division"`` for integer division, ``(H + 31) // 32``.
    siunitx: numbers as ``\num{25557032}``; else with thin spaces, and no package.

    >>> from symcnn.algebra.size import Size
    >>> H = Size.symbol("H")
    >>> print(formula((H + 31)//32, Notation(floors="inline", names={"H": "H_0"})))
    \lfloor (H_0 + 31) / 32 \rfloor
    """

    names: Mapping[str, str] = field(default_factory=dict)
    floors: Floors = "shortest"
    siunitx: bool = False

    def __post_init__(self) -> None:
        if self.floors not in get_args(Floors):
            raise BadSpec(f"floors={self.floors!r}", cure=f"one of {', '.join(get_args(Floors))}")


class _Printer(LatexPrinter):  # type: ignore[misc]
    def __init__(self, notation: Notation) -> None:
        super().__init__({"mul_symbol": r" \, "})
        self.notation = notation
        self.printmethod = "_symcnn"  # our own methods below come first

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:  # noqa: N802
        return self.notation.names.get(expr.name) or str(super()._print_Symbol(expr))

    _print_Multiple = _print_Symbol  # noqa: N815

    def _print_Integer(self, expr: Any) -> str:  # noqa: N802
        return number(int(expr), self.notation)

    def _print_FloorDiv(self, expr: Any, exp: str | None = None) -> str:  # noqa: N802
        num, den = expr.args
        above, kind = gathered(from_sympy(num)), "floor"
        if self.notation.floors == "shortest":
            above, kind = raised(above, from_sympy(den))
        num = to_sympy(above)
        if self.notation.floors in ("brackets", "shortest"):
            top, bottom = self._print(num), self._print(den)
            text = rf"\left\l{kind} \frac{{{top}}}{{{bottom}}} \right\r{kind}"
        else:
            top, bottom = self._grouped(num), self._grouped(den)
            text = (
                rf"\lfloor {top} / {bottom} \rfloor"
                if self.notation.floors == "inline"
                else rf"\left({top} \mathbin{{//}} {bottom}\right)"
            )
        return f"{text}^{{{exp}}}" if exp else text

    def _needs_mul_brackets(self, expr: Any, first: bool = False, last: bool = False) -> bool:
        """A floor has brackets of its own."""
        return not isinstance(expr, FloorDiv) and bool(
            super()._needs_mul_brackets(expr, first=first, last=last)
        )

    def _needs_brackets(self, expr: Any) -> bool:
        return not isinstance(expr, FloorDiv) and bool(super()._needs_brackets(expr))

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
    written = spelled(expr)
    if not isinstance(written, Product):
        return str(printer.doprint(to_sympy(written)))
    content = written.content
    words = [] if content in (1, -1) else [number(content, notation)]
    for part, power in sorted(written.parts, key=lambda pair: order_of_reading(pair[0])):
        shown = reading(part)
        text = printer.doprint(shown)
        if shown.is_Add:
            text = rf"\left({text}\right)"
        words.append(text if power == 1 else f"{text}^{{{power}}}")
    beside = written.beside
    more = f" {'-' if beside < 0 else '+'} {number(abs(beside), notation)}" if beside else ""
    return ("- " if content == -1 else "") + r" \, ".join(words) + more


def prose(text: str, share: float) -> str:
    r"""Text in a formula, in a box over several lines where it is long: so much of a line wide."""
    shown = sentence(text)
    if len(text) <= 100 * share:
        return rf"\text{{{shown}}}"
    return rf"\parbox[t]{{{share}\linewidth}}{{\raggedright {shown}\strut}}"


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
    return rf"\left({shown}\right)" if is_sum(value) else shown


def is_sum(value: Int) -> bool:
    """Whether a formula is written as a sum, which takes brackets as a factor."""
    if isinstance(value, int):
        return False
    written = spelled(value)
    return bool(written.beside if isinstance(written, Product) else to_sympy(written).is_Add)


def order_of_reading(part: Int) -> tuple[int, str]:
    """Factors in the order in which they are read: the batch, then symbols, then what else."""
    text = str(part)
    return (0 if text in ("N", "B") else 1 if text.isidentifier() else 2), text.lstrip("(")


def number(value: int, notation: Notation | None = None) -> str:
    r"""A number, its digits in groups of three.

    >>> print(number(25557032), number(25557032, Notation(siunitx=True)), number(512))
    25\,557\,032 \num{25557032} 512
    """
    if notation is not None and notation.siunitx:
        return rf"{'-' if value < 0 else ''}\num{{{abs(value)}}}"
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


def sentence(text: str) -> str:
    r"""A sentence with formulas in it, as text writes them: ``4*i - 5 .. 4*i`` reads as in a paper.

    >>> print(sentence("reads 4*i - 5 .. 4*i, of H**2"))
    reads 4$\cdot$i $-$ 5 \ldots{} 4$\cdot$i, of H$^{2}$
    """
    shown = re.sub(r"\*\*(\w+)", r"$^{\1}$", escape(text))
    for written, read in (("*", r"$\cdot$"), (" - ", " $-$ "), (" .. ", r" \ldots{} ")):
        shown = shown.replace(written, read)
    return shown


def document(body: str, *, title: str = "", siunitx: bool = False) -> str:
    """A whole document around `body`, for pdflatex."""
    packages = ["amsmath", "booktabs", "longtable", *(["siunitx"] if siunitx else [])]
    uses = "\n".join(rf"\usepackage{{{name}}}" for name in packages)
    head = rf"\section*{{{escape(title)}}}" + "\n" if title else ""
    again = "% a long table has its widths from the run before: run pdflatex twice\n"
    return (
        f"{again if 'longtable}' in body else ''}\\documentclass[11pt]{{article}}\n"
        "\\usepackage[T1]{fontenc}\n\\IfFileExists{lmodern.sty}{\\usepackage{lmodern}}{}\n\\usepackage[margin=2cm]{geometry}\n"
        f"{uses}\n\\allowdisplaybreaks\n\\begin{{document}}\n{head}{body.rstrip()}\n"
        "\\end{document}\n"
    )
