"""Formulas, tables and code as other programs read them: LaTeX, Markdown, CSV, python, C, ..."""

import csv
import io
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, C, FloorDiv, H, N, W, nn
from symcnn.algebra import size as sz
from symcnn.algebra.expr import from_sympy, maximum, minimum, scaled, to_sympy
from symcnn.algebra.series import summation
from symcnn.algebra.size import evaluate, symbols_of
from symcnn.algebra.sympy import Geometric
from symcnn.notation.broken import filled, pieces
from symcnn.notation.latex import Notation, document, escape, formula
from symcnn.words.code import LANGUAGES, to_code
from symcnn.words.table import TIMES, architecture

from .corpus.latex import compiled
from .fuzz.expressions import expressions

n, s = symcnn.symbols("n s")
k = symcnn.odd("k")
i = symcnn.index("i")


def stem() -> symcnn.Network:
    return nn.Sequential(
        {
            "conv_1": nn.Conv2d(3, 64, 7, stride=2, padding=3),
            "relu": nn.ReLU(),
            "pool": nn.MaxPool2d(3, 2, 1),
        }
    ).trace("N 3 H W")


# LaTeX ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "options", "text"),
    [
        (FloorDiv(H + 31, 32), {}, r"\left\lceil \frac{H}{32} \right\rceil"),
        (FloorDiv(H - 1, 2), {}, r"\left\lfloor \frac{H - 1}{2} \right\rfloor"),
        (
            FloorDiv(H + 31, 32),
            {"floors": "brackets"},
            r"\left\lfloor \frac{H + 31}{32} \right\rfloor",
        ),
        (FloorDiv(H - 35, 32), {"floors": "inline"}, r"\lfloor (H - 35) / 32 \rfloor"),
        (FloorDiv(H + 31, 32), {"floors": "division"}, r"\left((H + 31) \mathbin{//} 32\right)"),
        (FloorDiv(H, 2), {"names": {"H": r"H_{\mathrm{in}}"}, "floors": "inline"}, None),
        (C**2 * k**2 + C, {}, r"C^{2} \, k^{2} + C"),
        (2**n * H, {}, r"2^{n} \, H"),
        (25557032, {}, r"25\,557\,032"),
        (25557032, {"siunitx": True}, r"\num{25557032}"),
    ],
)
def test_a_formula_in_a_chosen_notation(
    expr: Any, options: dict[str, Any], text: str | None
) -> None:
    found = formula(from_sympy(expr), Notation(**options))
    if text is None:
        text = r"\lfloor H_{\mathrm{in}} / 2 \rfloor"
    assert sorted(found.split(r" \, ")) == sorted(text.split(r" \, "))


def test_an_unknown_notation_is_refused() -> None:
    with pytest.raises(BadSpec, match="floors"):
        Notation(floors="square")  # type: ignore[arg-type]


def test_names_are_escaped() -> None:
    assert escape("a_b & 50%") == r"a\_b \& 50\%"


def test_a_table_for_a_paper() -> None:
    assert stem().to_latex(floors="brackets") == "\n".join(
        [
            r"\begin{tabular}{lrrrrrr}",
            r"\toprule",
            r"Layer & Output size & Kernel & Stride & RF & Parameters & MACs \\",
            r"\midrule",
            r"conv\_1 & $64 \times \left\lfloor \frac{H + 1}{2} \right\rfloor \times "
            r"\left\lfloor \frac{W + 1}{2} \right\rfloor$ & $7 \times 7$ & $2$ & $7$ & $9472$ & "
            r"$9408 \, N \, \left\lfloor \frac{H + 1}{2} \right\rfloor \, "
            r"\left\lfloor \frac{W + 1}{2} \right\rfloor$ \\",
            r"relu & $64 \times \left\lfloor \frac{H + 1}{2} \right\rfloor \times "
            r"\left\lfloor \frac{W + 1}{2} \right\rfloor$ &  &  & $7$ &  &  \\",
            r"pool & $64 \times \left\lfloor \frac{H + 3}{4} \right\rfloor \times "
            r"\left\lfloor \frac{W + 3}{4} \right\rfloor$ & $3 \times 3$ & $2$ & $11$ &  &  \\",
            r"\midrule",
            r"total &  &  &  &  & $9472$ & $9408 \, N \, \left\lfloor \frac{H + 1}{2} "
            r"\right\rfloor \, \left\lfloor \frac{W + 1}{2} \right\rfloor$ \\",
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def test_a_table_is_in_the_shortest_spelling() -> None:
    assert r"$64 \times \left\lceil \frac{H}{4} \right\rceil" in stem().to_latex()


def test_a_table_at_a_size_has_numbers() -> None:
    table = architecture(stem(), at={"N": 1, "H": 224, "W": 224})
    assert table.rows[0] == ("conv_1", (64, 112, 112), (7, 7), (2,), (7,), 9472, 118013952)
    assert "118,013,952" in table.to_markdown()
    assert r"\num{118013952}" in table.to_latex(Notation(siunitx=True))


def test_a_table_by_modules_adds_up() -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)), nn.ReLU())
    table = architecture(net.trace("N 3 H W"), ("layer", "params"), depth=1)
    assert table.rows == (("0", 224 + 584), ("1", None))
    assert table.total == ("total", 808)


def test_a_table_as_csv_and_html_and_markdown() -> None:
    table = architecture(stem(), ("layer", "output", "params"), total=False)
    rows = list(csv.reader(io.StringIO(table.to_csv())))
    assert rows[:2] == [
        ["layer", "output", "params"],
        ["conv_1", "64x((H + 1)//2)x((W + 1)//2)".replace("x", TIMES), "9472"],
    ]
    assert table.to_html().count("<tr>") == 4
    assert table.to_markdown().splitlines()[0] == "| Layer | Output size | Parameters |"


def test_a_table_as_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = architecture(stem(), ("layer", "params"), total=False).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["layer"]) == ["conv_1", "relu", "pool"]


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(BadSpec, match="colour"):
        architecture(stem(), ("layer", "colour"))


def test_a_notebook_shows_the_output_shape() -> None:
    shown = stem()._repr_latex_()
    assert shown.startswith("$")
    assert r"\lceil \frac{H}{4}" in shown


# pdflatex ------------------------------------------------------------------------------------


@pytest.mark.parametrize("siunitx", [False, True])
@pytest.mark.parametrize("floors", ["brackets", "inline", "division"])
def test_a_document_compiles(tmp_path: Path, siunitx: bool, floors: Any) -> None:
    notation = Notation(siunitx=siunitx, floors=floors)
    net = nn.Repeat(nn.Conv2d(C, C, k, stride=s, padding=(k - 1) / 2), n).trace("N C H W")
    body = [
        architecture(stem(), ("layer", "output", "params"), total=False).to_latex(notation),
        rf"\[ {formula(from_sympy(net.output_shape[2]), notation)} \]",
        rf"\[ {formula(from_sympy(net.params), notation)} \]",
        architecture(stem(), at={"N": 1, "H": 224, "W": 224}).to_latex(
            notation, caption="A stem, 50% of it", label="tab:stem"
        ),
    ]
    assert compiled(tmp_path, document("\n\n".join(body), siunitx=siunitx, title="A_B")) == 1


def wide() -> Iterator[Any]:
    """Formulas that are wider than a page."""
    h, w, n = (from_sympy(size) for size in (H, W, N))
    powers = [(10**6 + d) * h**d * (w - d) for d in range(2, 16)]
    yield 7 * n * sz.maximum(*powers)
    yield 3 - 2 * sz.minimum(*powers)
    yield n * (sum(powers) // (7 * 10**8))
    yield sum(powers) * (n + h * w) ** 3


def read(text: str) -> Any:
    """LaTeX of whole lines as python."""
    for pattern, meant in [
        (r"\\left|\\right|\\big[lr]", ""),
        (r"(?<=\d)\\,(?=\d{3})", ""),
        (r"\\lfloor(.*)/(.*)\\rfloor", r"((\1)//\2)"),
        (r"\^\{(\d+)\}", r"**\1"),
        (r"\\,", "*"),
        (r"\\", ""),
    ]:
        text = re.sub(pattern, meant, text)
    return text


def test_formulas_that_are_wider_than_a_page_are_broken_and_stay_the_same(tmp_path: Path) -> None:
    rows = []
    for expr in wide():
        lines = filled(pieces(expr))
        assert len(lines) > 3
        for at in {"H": 3, "W": 5, "N": 2}, {"H": 2, "W": 40, "N": 7}:
            assert eval(read(" ".join(lines)), {**at, "max": max, "min": min}) == evaluate(expr, at)
        rows += [f"&{line}" for line in lines]
    body = "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}\n"
    pairs = itertools.pairwise(range(3, 40, 3))
    net = nn.Sequential(*(nn.Conv2d(c, d, 3, stride=1 + c % 2) for c, d in pairs))
    derived = [net.trace("N 3 H W").explain(what).to_latex() for what in ("params", "macs")]
    assert compiled(tmp_path, document(body + "\n".join(derived))) > 1


# Code ----------------------------------------------------------------------------------------

FORMULAS = {
    "size": FloorDiv(H + 31, 32) - 3,
    "negative": -FloorDiv(H - W, 3) - 7,
    "macs": 9408 * N * FloorDiv(H + 1, 2) * FloorDiv(W + 1, 2),
    "maximum": maximum(H - 5, FloorDiv(W, 2), 3),
    "minimum": minimum(H, FloorDiv(W, 2)),
    "fraction": n * (n - 1) / 2,
    "depth": FloorDiv(H - 1, 2**n) + 2 ** (2 * n) * W,
    "stride": FloorDiv(H - 1, s**n),
    "odd": FloorDiv(H - k, 2) + (k - 1) / 2,
    "scale": scaled(H, 0.29),
    "geometric": Geometric(s, n),
    "total": to_sympy(summation(from_sympy(FloorDiv(H, 2**i) * W), "i", from_sympy(n))),
    "constant": 7,
}
POINTS = [
    {"N": 2, "H": h, "W": w, "n": d, "s": t, "k": q}
    for h, w, d, t, q in [
        (224, 320, 3, 2, 3),
        (1, 1, 1, 1, 1),
        (99, 7, 5, 3, 7),
        (33, 100, 6, 2, 5),
    ]
]


def wanted(name: Any, point: Any) -> Any:
    return evaluate(from_sympy(FORMULAS[name]), point)


def arguments(name: Any, point: Any) -> list[Any]:
    return [point[a] for a in sorted(symbols_of(from_sympy(FORMULAS[name])))]


def test_python_code_gives_the_formula() -> None:
    scope: dict[str, Any] = {}
    exec(to_code(FORMULAS, "python"), scope)
    for name in FORMULAS:
        for point in POINTS:
            assert scope[name](*arguments(name, point)) == wanted(name, point), name


def test_numpy_code_gives_the_formula_for_arrays() -> None:
    scope: dict[str, Any] = {}
    exec(to_code(FORMULAS, "numpy"), scope)
    for name in set(FORMULAS) - {"total", "geometric"}:  # a sum's length is one number
        columns = [
            np.array(column) for column in zip(*(arguments(name, p) for p in POINTS), strict=True)
        ]
        want = [wanted(name, p) for p in POINTS]
        assert np.array_equal(np.broadcast_to(scope[name](*columns), len(POINTS)), want), name
    assert scope["total"](np.array([9, 8]), np.array([1, 2]), 2).tolist() == [13, 24]


def test_c_code_gives_the_formula(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    calls = [(name, point) for name in FORMULAS for point in POINTS]
    prints = "".join(
        f'printf("%lld\\n", (long long){name}({", ".join(map(str, arguments(name, point)))}));\n'
        for name, point in calls
    )
    text = f"#include <stdio.h>\n{to_code(FORMULAS, 'c')}\nint main(void) {{\n{prints}return 0;\n}}"
    (tmp_path / "f.c").write_text(text)
    build = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*build, "f.c", "-o", "f"], cwd=tmp_path, check=True)
    run = subprocess.run([tmp_path / "f"], capture_output=True, text=True, check=True)
    assert [*map(int, run.stdout.split())] == [wanted(*call) for call in calls]


def test_javascript_code_gives_the_formula(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("no node here")
    calls = [(name, point) for name in FORMULAS for point in POINTS]
    shown = ", ".join(f"{name}({', '.join(map(str, arguments(name, p)))})" for name, p in calls)
    (tmp_path / "f.mjs").write_text(
        f"{to_code(FORMULAS, 'javascript')}\nconsole.log(JSON.stringify([{shown}]));"
    )
    run = subprocess.run(["node", tmp_path / "f.mjs"], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [wanted(*call) for call in calls]


def test_a_network_as_code_gives_its_shape_parameters_and_macs() -> None:
    scope: dict[str, Any] = {}
    exec(stem().to_code(), scope)
    sizes = {"N": 2, "H": 224, "W": 99}
    shape = stem().shape_at(**sizes)
    assert tuple(scope[f"size{axis}"](**sizes) for axis in range(4)) == shape
    assert scope["params"](**sizes) == 9472
    assert scope["macs"](**sizes) == 9408 * 2 * 112 * 50


@settings(max_examples=60)
@given(expr=expressions(), x=st.integers(-99, 500), y=st.integers(-99, 500))
def test_python_code_gives_any_expression(expr: Any, x: int, y: int) -> None:
    scope: dict[str, Any] = {}
    exec(to_code({"f": expr.normal}, "python", ["x", "y"]), scope)
    assert scope["f"](x, y) == expr.value({"x": x, "y": y})


@pytest.mark.parametrize("language", LANGUAGES)
def test_bad_names_are_refused(language: Any) -> None:
    for name, expr in (("a b", H), ("for", H), ("f", symcnn.symbols("while"))):
        with pytest.raises(BadSpec):
            to_code({name: expr}, language)
    with pytest.raises(BadSpec, match="W"):
        to_code({"f": H * W}, language, ["H"])


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(BadSpec, match="python, numpy, c, javascript"):
        to_code({"f": H}, "cobol")


def test_the_shorter_of_floor_and_ceiling() -> None:
    shortest = Notation(floors="shortest")
    h = from_sympy(H)
    assert formula((h + 31) // 32, shortest) == r"\left\lceil \frac{H}{32} \right\rceil"
    assert formula((h - 1) // 2, shortest) == r"\left\lfloor \frac{H - 1}{2} \right\rfloor"
    assert formula(h // 2, shortest) == r"\left\lfloor \frac{H}{2} \right\rfloor"
