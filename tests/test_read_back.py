"""What is printed reads back: in every style of floors, as text by sympy's parser, as LaTeX by
sympy's reader of LaTeX, a formula is the expression that it was.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.parsing.sympy_parser import parse_expr

import symcnn
from symcnn import BadSpec, FloorDiv, H, N, W, nn
from symcnn.algebra.expr import from_sympy, to_sympy
from symcnn.algebra.factor import spelled, text
from symcnn.notation.latex import Notation, formula

from .fuzz.expressions import expressions

X, Y = symcnn.symbols("x y")
SYMBOLS = {str(s): s for s in (N, H, W, X, Y, *symcnn.symbols("C g k n"))}
WORDS = {"max": sympy.Max, "min": sympy.Min, "ceil": sympy.ceiling}


def costs() -> Any:
    """Sums of products of sizes, as MACs are."""
    sizes = expressions(low=1).map(lambda drawn: drawn.normal)
    products = st.builds(lambda a, b, n: a * b * n, sizes, sizes, st.integers(-9, 9))
    return st.lists(products, min_size=1, max_size=3).map(sum)


def read_text(written: Any) -> Any:
    return from_sympy(parse_expr(written, local_dict=SYMBOLS | WORDS))


@pytest.fixture(scope="module")
def reader() -> Callable[..., Any]:
    """LaTeX to an expression; spaces between factors are dots to sympy, brackets have one size."""
    pytest.importorskip("lark")
    from sympy.parsing.latex.lark import LarkLaTeXParser

    parser = LarkLaTeXParser()

    def read(written: Any) -> Any:
        plain = re.sub(
            r"(?<=\d)\\,(?=\d)", "", written.replace(r"\left", "").replace(r"\right", "")
        )
        found = parser.doparse(plain.replace(r" \, ", r" \cdot "))
        return from_sympy(found.xreplace({sympy.Symbol(name): s for name, s in SYMBOLS.items()}))

    return read


@pytest.mark.parametrize("floors", ["division", "brackets", "inline", "shortest"])
@settings(max_examples=40)
@given(expr=st.one_of(costs(), expressions(low=1).map(lambda drawn: drawn.normal)))
def test_text_reads_back_as_the_same_expression(floors: Any, expr: Any) -> None:
    assert read_text(text(expr, floors)) == expr


@pytest.mark.parametrize("floors", ["brackets", "inline", "shortest"])
@settings(max_examples=6)
@given(expr=st.one_of(costs(), expressions(low=1).map(lambda drawn: drawn.normal)))
def test_latex_reads_back_as_the_same_expression(reader: Any, floors: Any, expr: Any) -> None:
    assert reader(formula(expr, Notation(floors=floors))) == expr


k, n, g, C = (SYMBOLS[name] for name in "kngC")


@pytest.mark.parametrize(
    "expr",
    [
        2 * (k - 1) * (2**n - 1) + 1,
        C**2 * k**2 / g + C,
        25557032 * N * H * W,
        sympy.expand(9 * N * (FloorDiv(H - 1, 2)) * (FloorDiv(W - 3, 4) - 2) + 7),
        sympy.Max(H, W) - sympy.Min(H, FloorDiv(W, 2)),
        H / 4,
        -(FloorDiv(H + 31, 32) ** 2),
        FloorDiv(H * W, FloorDiv(W, 2) + 1),
    ],
    ids=str,
)
def test_formulas_of_papers_read_back(reader: Any, expr: Any) -> None:
    wanted = from_sympy(expr)
    floors: Any
    for floors in ("division", "brackets", "shortest"):
        assert read_text(text(wanted, floors)) == wanted
    for floors in ("brackets", "inline", "shortest"):
        assert reader(formula(wanted, Notation(floors=floors))) == wanted


@pytest.mark.parametrize(
    ("expr", "division", "shortest"),
    [
        (FloorDiv(H - 1, 2), "(H - 1)//2", "floor((H - 1)/2)"),
        (FloorDiv(H + 31, 32), "(H + 31)//32", "ceil(H/32)"),
        (FloorDiv(H, 2) - 1, "H//2 - 1", "floor(H/2) - 1"),
        (FloorDiv(H - 1, 2) * FloorDiv(W - 1, 2), "((H - 1)//2)*((W - 1)//2)", None),
        (2 * FloorDiv(H - 1, 2) + W, "2*((H - 1)//2) + W", None),
        (16 * FloorDiv(H + 4, 16) - 188, "16*((H + 4)//16) - 188", None),
        (2 * (k - 1) * (2**n - 1) + 1, "2*(2**n - 1)*(k - 1) + 1", None),
        (C**2 * k**2 + C, "C**2*k**2 + C", None),
        (9 * (H - 2) * (W - 2) + 4, "9*(H - 2)*(W - 2) + 4", None),
    ],
    ids=str,
)
def test_the_shortest_spelling(expr: Any, division: str, shortest: str | None) -> None:
    size = from_sympy(sympy.expand(expr))
    assert text(size) == division
    assert shortest is None or text(size, "shortest") == shortest


def test_a_total_is_written_in_the_floors_of_its_layers() -> None:
    layers = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, stride=2)
    net = nn.Sequential(*layers).trace("N 3 H W")
    assert str(net.output_shape) == "(N, 8, (H - 3)//4, (W - 3)//4)"
    assert str(net.cost().total) == (
        "72*N*(3*((H - 1)//2)*((W - 1)//2) + 8*((H - 3)//4)*((W - 3)//4))"
    )


def test_a_spelling_is_no_other_value() -> None:
    size = from_sympy(FloorDiv(H - 1, 2))
    written: Any = spelled(size)
    assert written != size
    assert from_sympy(to_sympy(written)) == size


def test_a_style_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadSpec, match="shortest"):
        text(from_sympy(H), "curly")  # type: ignore[arg-type]
