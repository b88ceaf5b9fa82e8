"""Integer expressions: the floor normal form keeps values, is stable, prints as people write."""

import itertools
import pickle
from typing import Any

import islpy as isl
import numpy as np
import pytest
import sympy
from hypothesis import example, given
from hypothesis import strategies as st

from symcnn import C, FloorDiv, H, N, W, ceildiv, symbols
from symcnn.algebra import atoms
from symcnn.algebra import size as sz
from symcnn.algebra.atoms import Scaled
from symcnn.algebra.expr import from_sympy, maximum, minimum, to_sympy
from symcnn.algebra.factor import factors
from symcnn.errors import BadSpec
from symcnn.sets.isl import question
from symcnn.sets.writer import Writer

from .fuzz.expressions import expressions

ANY = ("x", "y")


@question
def is_empty(text: str) -> Any:
    return isl.Set(text).is_empty()


@given(expressions(), st.integers(-40, 40), st.integers(-40, 40))
def test_normal_form_keeps_the_value_also_for_negative_numerators(
    drawn: Any, x: int, y: int
) -> None:
    values = {"x": x, "y": y}
    assert sz.evaluate(drawn.normal, values) == drawn.value(values)


@given(expressions())
def test_normal_form_equals_the_unnormalised_expression_for_all_integers(drawn: Any) -> None:
    normal = Writer(ANY).term(drawn.normal).replace("x1", "y").replace("x0", "x")
    assert is_empty(f"{{ [x, y] : {normal} != {drawn.isl} }}")


def test_the_normal_form_rounds_the_constant_over_a_common_factor_down() -> None:
    x = sz.Size.symbol("x")
    assert (2 * x + 1) // 4 == x // 2
    assert (2 * x - 1) // 4 == (x - 1) // 2


def test_the_normal_form_takes_a_negative_multiple_out_as_one() -> None:
    x = sz.Size.symbol("x")
    assert sz.floordiv(-5 * x, 4) == sz.floordiv(-x, 4) - x


@given(expressions(low=1))
def test_simplifications_that_use_positive_sizes_hold_for_all_positive_sizes(drawn: Any) -> None:
    normal = Writer(ANY).term(drawn.normal).replace("x1", "y").replace("x0", "x")
    assert is_empty(f"{{ [x, y] : x >= 1 and y >= 1 and {normal} != {drawn.isl} }}")


@given(expressions(low=1))
def test_normal_form_is_idempotent(drawn: Any) -> None:
    if isinstance(drawn.normal, sz.Size):
        assert drawn.normal.subs({}) == drawn.normal
    through_sympy = from_sympy(to_sympy(drawn.normal))  # sympy may simplify Min and Max further
    assert from_sympy(to_sympy(through_sympy)) == through_sympy


@given(expressions(low=1), st.integers(1, 60), st.integers(1, 60))
def test_sympy_form_has_the_same_value(drawn: Any, x: int, y: int) -> None:
    values = dict(zip(symbols("x y"), (x, y), strict=True))
    sympy_form = to_sympy(drawn.normal)
    expected = drawn.value({"x": x, "y": y})
    assert sympy_form.subs(values) == expected
    assert sz.evaluate(from_sympy(sympy_form), {"x": x, "y": y}) == expected


@given(expressions(low=1), st.integers(1, 60), st.integers(1, 60))
def test_bounds_are_never_wrong(drawn: Any, x: int, y: int) -> None:
    value = drawn.value({"x": x, "y": y})
    low, high = sz.lower(drawn.normal), sz.upper(drawn.normal)
    assert low is None or low <= value
    assert high is None or value <= high


@given(expressions(), expressions(), st.integers(-30, 30), st.integers(-30, 30))
def test_substitution_commutes_with_evaluation(outer: Any, inner: Any, x: int, y: int) -> None:
    values = {"x": x, "y": y}
    if isinstance(outer.normal, sz.Size):
        replaced = outer.normal.subs({"x": inner.normal})
        assert sz.evaluate(replaced, values) == outer.value({"x": inner.value(values), "y": y})


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (FloorDiv(H + 31, 32), "(H + 31)//32"),
        (FloorDiv(FloorDiv(H - 1, 2) + 1 - 1, 2) + 1, "(H + 3)//4"),
        (FloorDiv(H, 2) + 1, "H//2 + 1"),
        (2 * FloorDiv(H, 2), "2*(H//2)"),
        (-FloorDiv(-H, 2), "(H + 1)//2"),
        (-FloorDiv(H, 2), "-(H//2)"),
        (H - 16 * FloorDiv(H, 16), "H - 16*(H//16)"),
        (FloorDiv(6 * H + 7, 3), "2*H + 2"),
        (FloorDiv(4 * H + 6, 8), "(H + 1)//2"),
        (FloorDiv(H, 32 * C), "H//(32*C)"),
        (ceildiv(H, 2), "(H + 1)//2"),
        (6 * H + 7 - 3 * FloorDiv(6 * H + 7, 3), "1"),
        (minimum(H, H + 3), "H"),
        (maximum(H, W), "Max(H, W)"),
        (minimum(H, W), "Min(H, W)"),
    ],
)
def test_plain_text(expression: Any, text: str) -> None:
    assert str(expression) == text


def test_text_of_a_size_takes_the_constant_into_a_lone_floor() -> None:
    assert str(from_sympy(FloorDiv(H + 1, 32) - 1)) == "(H - 31)//32"


def test_latex() -> None:
    text = sympy.latex(FloorDiv(H + 31, 32))
    assert text == r"\left\lfloor \frac{H + 31}{32} \right\rfloor"


def test_nested_floors_merge_for_symbolic_strides() -> None:
    s = symbols("s")
    assert FloorDiv(FloorDiv(H - 1, s), s) == FloorDiv(H - 1, s**2)


def test_whole_multiples_of_a_symbolic_stride_come_out() -> None:
    s = symbols("s")
    assert FloorDiv(H + 2 * s - 1, s) == FloorDiv(H - 1, s) + 2


def test_same_padding_of_an_odd_kernel_leaves_the_size() -> None:
    k = symbols("k", odd=True)
    assert FloorDiv(H + 2 * (k - 1) / 2 - k, 1) + 1 == H


def test_rewrite_as_floor() -> None:
    assert FloorDiv(H + 31, 32).rewrite(sympy.floor) == sympy.floor(H / 32 + sympy.Rational(31, 32))


def test_reading_sympys_own_floor_ceiling_and_mod() -> None:
    assert to_sympy(from_sympy(sympy.floor((H + 1) / 2))) == FloorDiv(H + 1, 2)
    assert to_sympy(from_sympy(sympy.ceiling(H / 2))) == FloorDiv(H + 1, 2)
    assert to_sympy(from_sympy(sympy.Mod(H, 2))) == H - 2 * FloorDiv(H, 2)


def test_substitution_gives_the_normal_form_again() -> None:
    closed = FloorDiv(H + 31, 32)
    assert closed.subs(H, 224) == 7
    assert closed.subs(H, 32 * W) == W


def test_sizes_that_differ_by_a_number_share_the_rest() -> None:
    h, w = sz.Size.symbol("H"), sz.Size.symbol("W")
    size: Any = h * w + 2 * h
    more: Any = size + 7
    assert more.rest is size.rest
    assert more.terms == {**size.terms, (): 7}
    assert more - 7 == size


def test_pickle_and_hash() -> None:
    for expression in (FloorDiv(H + 31, 32), 2 * FloorDiv(H, 2) - minimum(H, W)):
        copy = pickle.loads(pickle.dumps(expression))
        assert copy == expression
        assert hash(copy) == hash(expression)
    kernel = from_sympy(FloorDiv(H + 31, 32) * W)
    assert pickle.loads(pickle.dumps(kernel)) == kernel


def test_lambdify_in_python_and_vectorised_in_numpy() -> None:
    expression = 2 * FloorDiv(H + 31, 32) - FloorDiv(W, 3) + sympy.Max(H, W)
    in_python = sympy.lambdify([H, W], expression, "math")
    in_numpy = sympy.lambdify([H, W], expression, "numpy")
    h = np.arange(1, 500, dtype=np.int64)
    w = h[::-1].copy()
    expected = [in_python(int(a), int(b)) for a, b in zip(h, w, strict=True)]
    assert in_numpy(h, w).dtype == np.int64
    assert in_numpy(h, w).tolist() == expected


def test_lambdify_is_exact_on_large_int64() -> None:
    closed = sympy.lambdify(H, FloorDiv(H + 1, 2), "numpy")
    big = 2**60 + 1
    assert closed(np.array([big], dtype=np.int64))[0] == 2**59 + 1


def test_zero_divisor() -> None:
    with pytest.raises(ZeroDivisionError):
        FloorDiv(H, 0)


def test_a_symbol_that_is_not_an_integer_is_refused_with_the_cure() -> None:
    with pytest.raises(BadSpec, match="declare it"):
        from_sympy(sympy.Symbol("r"))


def test_products_divide_exactly() -> None:
    h, w = from_sympy(H), from_sympy(W)
    assert sz.exact_div((h // 2 + 1) * (w - 3) * 6, h // 2 + 1) == (w - 3) * 6
    assert sz.exact_div(h * w, h + 1) is None


@given(st.integers(1, 5000), st.sampled_from([0.29, 0.57, 0.7, 1 / 3, 1.15, 1.4, 2.0, 0.5, 1.5]))
@example(100, 0.29)
@example(3, 1 / 3)
@example(45, 1.4)
def test_float_scales_are_those_of_ieee_double(x: int, scale: Any) -> None:
    closed = sz.scaled(sz.Size.symbol("H"), scale)
    assert sz.evaluate(closed, {"H": x}) == int(float(x) * scale)


def test_scales_that_are_floors_are_written_as_floors() -> None:
    h = sz.Size.symbol("H")
    assert [str(sz.scaled(h, s)) for s in (2.0, 0.5, 1 / 3, 0.29)] == [
        "2*H",
        "H//2",
        "H//3",
        "trunc(H*0.29)",
    ]


def test_sizes_symbols_are_positive_integers() -> None:
    for symbol in (N, C, H, W):
        assert symbol.is_integer
        assert symbol.is_positive


K = sz.Size.symbol("H")


@pytest.mark.parametrize("text", ["(h + h%2)//2", "3*(h + h%2)//2", "(2*h - 2*(h//2) + 7)//2"])
@pytest.mark.parametrize("h", [K, (K + 3) // 4, (K + 3) // 4 + 5, 3 * K + 1])
def test_a_size_padded_to_be_even_and_halved_is_half_of_it_rounded_up(text: str, h: Any) -> None:
    """Swin merges patches so: ``pad(x, (0, w % 2, 0, h % 2))[::2]``."""
    half = eval(text, {"h": h})
    assert str(half).count("//") == 1, half
    for size in range(1, 40):
        assert half.at({"H": size}) == eval(text, {"h": h.at({"H": size})})


def test_the_content_of_factors_is_pythons_integer() -> None:
    """A sympy one does not multiply with a size: ``3*min(H, 40)**2``, a table cut on both axes."""
    least = sz.minimum(K, 40)
    for content in (3, -3):
        parts, found = factors(content * least * least)
        assert type(found) is int
        assert sz.prod(parts) * found == content * least * least


def test_a_sum_with_an_atom_in_one_term_alone_has_one_factor_beside_what_all_terms_share() -> None:
    """The MACs of a pyramid: sympy takes seconds for a sum of so many products."""
    h, w, n = (sz.Size.symbol(name) for name in "HWN")
    levels = sum(((h + 2**k - 1) // 2**k) * ((w + 2**k - 1) // 2**k) * 9 for k in range(1, 24))
    assert factors(-4 * n * n * levels) == ((n, n, levels // 9), -36)
    assert factors(h * w - 6) == ((h * w - 6,), 1)
    assert factors(6 * h * w + 6 * w) == ((w, h + 1), 6)


def test_a_maximum_within_others_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The field of maps that are shifted to and fro: each maximum stands in the next one twice."""
    h, w, value = sz.Size.symbol("H"), sz.Size.symbol("W"), 40
    level: Any = h
    for _ in range(12):
        level = atoms.Max(level - w, w - level).size()
        value = max(value - 7, 7 - value)
    asked, right = [], sz.evaluate

    def counted(*args: Any) -> int:
        asked.append(args)
        return right(*args)

    monkeypatch.setattr(atoms, "evaluate", counted)
    assert level.at({"H": 40, "W": 7}) == value
    assert len(asked) < 30


def test_bounds_are_never_wrong_of_a_floor() -> None:
    h = sz.Size.symbol("H")
    assert (sz.lower(sz.minimum(h, 9) // 4), sz.upper(sz.minimum(h, 9) // 4)) == (0, 2)


def test_the_text_of_a_size_has_brackets_where_its_parts_are_sums_and_only_there() -> None:
    w = sz.Size.symbol("W")
    args = w + 1, w * (w // 2) - 3, (w + 1) // 2
    assert [Scaled(arg, 0.7).key for arg in args if isinstance(arg, sz.Size)] == [
        "trunc((W + 1)*0.7)",
        "trunc((W*(W//2) - 3)*0.7)",
        "trunc((W + 1)//2*0.7)",
    ]
    assert str(1023 // (w // 8)) == "1023//(W//8)"


def test_a_piece_that_divides_by_0_where_its_condition_fails_has_no_say() -> None:
    """Substituted size by size, the piece raised before its condition was decided."""
    divided = sympy.Piecewise((FloorDiv(W, 6 - H), (H < 6) & (W > 2)), (W, True))
    assert divided.subs({H: 6, W: 9}) == 9
    assert divided.subs({H: 4, W: 9}) == 4


@pytest.mark.parametrize("scale", [1.25, 1.5, 1.75])
def test_a_row_of_float_scales_is_as_long_in_words_as_the_row(scale: float) -> None:
    rows: list[Any] = [sz.Size.symbol("H")]
    for k in range(24):
        rows.append(sz.scaled(rows[-1] + k % 3, scale))
    lengths = [len(str(row)) for row in rows]
    assert max(b - a for a, b in itertools.pairwise(lengths)) < 40
    value = 37
    for k, row in enumerate(rows[1:]):
        value = int((value + k % 3) * scale)
        assert sz.evaluate(row, {"H": 37}) == value
        assert eval(str(row), {"H": 37}) == value == eval(str(to_sympy(row)), {"H": 37})
        assert row.subs({"H": 37}) == value
        assert from_sympy(to_sympy(row)) == row


def test_a_polynomial_that_always_divides_has_no_floor() -> None:
    h, w = sz.Size.symbol("H"), sz.Size.symbol("W")
    assert str(h * (h + 1) // 2) == "H**2/2 + H/2"
    assert str((h - 1) * h * (h + 1) // 6) == "H**3/6 - H/6"
    assert str(h * w * (h + w) // 2) == "H**2*W/2 + H*W**2/2"
    assert str(h * w // 2) == "(H*W)//2"
    assert sz.ceildiv(h * (h - 1) // 2, 1) == h * (h - 1) // 2
