"""All text of users is read by one grammar, or refused soon, at the place, as a `SymcnnError`."""

import os
import time
from typing import Any

import pytest
import sympy

import symcnn
from symcnn import BadSpec, H, W, nn
from symcnn.algebra.size import Size
from symcnn.cli import main
from symcnn.contracts import check_module
from symcnn.sets.condition import AnyOf, Condition
from symcnn.sets.formula import Formula
from symcnn.sets.grammar import parse_amount, parse_conditions, parse_formula, parse_shape

from .fuzz.texts import faults

#: 100,000 texts in `make fuzz`.
TEXTS = 100_000 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 1_500

h, w = Size.symbol("H"), Size.symbol("W")


def test_mutated_text_is_read_or_refused_soon_at_every_entry() -> None:
    assert [str(fault) for fault in faults(main, TEXTS, seed=7)] == []


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("H > 3", [Condition(h, ">=", 4)]),
        ("3 < H", [Condition(h, ">=", 4)]),
        ("4 <= H < 9", [Condition(h, ">=", 4), Condition(9, ">=", h + 1)]),
        ("H % 4 == 0 and W >= 3", [Condition(h % 4, "==", 0), Condition(w, ">=", 3)]),
        ("min(H, 3) == 3", [Condition(-symcnn.algebra.size.maximum(-h, -3), "==", 3)]),
        ("H/2 >= 7", [Condition(h, ">=", 14)]),
        ("(H) == (W)", [Condition(h, "==", w)]),
        ("H in {3, 9}", [AnyOf((Condition(h, "==", 3), Condition(h, "==", 9)))]),
    ],
)
def test_a_condition_means_what_python_means(text: str, meaning: list[Any]) -> None:
    assert list(parse_conditions(text)) == meaning


@pytest.mark.parametrize("text", ["H > 3", "min(H, 3) == 3", "H % 32 == 0"])
def test_the_same_conditions_are_read_everywhere(text: str) -> None:
    assert Formula(H * W).under(text).given
    assert symcnn.solve(text)
    check_module(nn.ReLU(), "N C H W -> N C H W", domain=text)


@pytest.mark.parametrize("word", ["field", "rf", "receptive_field", "receptive field"])
def test_a_receptive_field_has_one_meaning_and_several_words(word: str) -> None:
    net = nn.Conv2d(3, 8, 5).trace("N 3 H W")
    assert symcnn.check(net, [f"{word} = 5"])
    assert net.explain(word).answer == net.explain("field").answer


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("H % 32 = 0", 7),
        ("H + ", 3),
        ("(H", 0),
        ("H)", 1),
        ("2 H", 2),
        ("1/0", 2),
        ("H // (W - 1)", 6),
        ("9" * 19, 0),
        ("sin(H)", 0),
        ("lambda: 0", 6),
        ("2**2**n % 2**2**2**n", 3),
    ],
)
def test_a_refusal_points_at_the_place(text: str, place: int) -> None:
    with pytest.raises(BadSpec) as refused:
        parse_formula(text)
    shown, pointer = str(refused.value).splitlines()[1:3]
    assert shown.strip() == text.strip()
    assert pointer.index("^") - 4 == place


@pytest.mark.parametrize(
    "text",
    [
        "(" * 300 + "H",
        "-" * 100_000 + "H",
        "9" * 5000,
        "3**-x % 5",
        "H % (H % x)",
        "(((9**64)**64)**64)**64",
        "(H+W+N+C+1)**64",
        "2**2**2**2**2**n",
        "H%(W%(N%(C%(H%(W%(N%(C%(H%(W%3)))))))))",
        "\n" * 20_000,
        "H" + "**H" * 300,
        "size(" + " " * 3000,
    ],
)
def test_what_would_be_hours_of_work_is_refused_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(BadSpec):
        parse_formula(text)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("text", ["1e9999999", "9" * 5000, "8 Gib", "", "-3", "1e99 GiB GiB"])
def test_amounts_are_bounded(text: str) -> None:
    with pytest.raises(BadSpec):
        parse_amount(text, "memory")


@pytest.mark.parametrize("spec", ["N 3 H W\n" * 20_000, "N 3 \ud800", "N 3 \u2460", "N (3) H"])
def test_shapes_are_bounded(spec: str) -> None:
    with pytest.raises(BadSpec):
        parse_shape(spec)


@pytest.mark.parametrize("of", ["1/0", "1e99", "", "9" * 50])
def test_a_multiple_is_of_a_number(of: str) -> None:
    with pytest.raises(BadSpec):
        symcnn.multiple("C", of=of)


def test_explain_takes_the_targets_that_solve_takes() -> None:
    net = nn.Conv2d(3, 8, 3, stride=2, padding=1).trace("N 3 H W")
    for target in ("7x7", ">=7x*", "5..8x7", (7, None), "hxw"):
        assert net.explain("solution", output=target).answer


# Systems -----------------------------------------------------------------------------------------


def test_a_system_is_solved_as_a_set() -> None:
    found = symcnn.solve(sympy.Eq((H + 31) // 32, 7), "H % 4 == 0")
    assert str(found) == "H % 4 == 0 and 196 <= H <= 224"
    assert list(found) == list(range(196, 225, 4))


@pytest.mark.parametrize(
    "system",
    [
        ["H*W <= 100", "H == 2*W"],
        ["H % 4 == 0 or W % 3 == 1 and H > 5"],
        [sympy.Or(H * W > 50, sympy.Eq(H, W)), "H <= 9"],
        [sympy.Ne(H, W), "H != 5"],
        ["H//3 in {1, 2}", sympy.Le(W / 2, 3)],
        ["max(H, W) >= 7", "min(H, W) <= 4"],
        ["H*W == 24"],
        [H / W > 1, sympy.Le(W / H, sympy.Rational(7, 2))],
        [sympy.Abs(H - W) <= 2, sympy.Eq(H**3 - 6 * H**2 + 11 * H, 6)],
        ["(H//2)**3 + H//2 == 130", "W**3 + W*W != 80"],
    ],
    ids=str,
)
def test_a_system_holds_where_python_says_so(system: list[Any]) -> None:
    found = symcnn.solve(*system, "W >= 1")
    for x in range(1, 20):
        for y in range(1, 20):
            truth = all(
                eval(one, {"H": x, "W": y, "max": max, "min": min})
                if isinstance(one, str)
                else bool(one.subs({H: x, W: y}))
                for one in system
            )
            assert ((x, y) in found) == truth


@pytest.mark.parametrize(
    "system",
    [
        [],
        ["H"],
        [7],
        ["1 == 1"],
        ["H = 3"],
        ["H == 1.5"],
        [H / (W - 2) > 1],
        [sympy.Eq(H * 0.5, 7)],
    ],
)
def test_what_is_no_system_is_refused(system: list[Any]) -> None:
    with pytest.raises(BadSpec):
        symcnn.solve(*system)


def test_a_set_is_a_condition_too() -> None:
    even = symcnn.solve("H % 2 == 0")
    assert symcnn.solve(even, "H <= 9") == symcnn.solve("H in {2, 4, 6, 8}")
    assert str(Formula(H // 2).under(even)) == "H/2"
