"""Exact sets: solved by isl, checked by trying every small size, said in plain words."""

import itertools
import pickle
import time
from fractions import Fraction
from typing import Any

import islpy
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import H, W
from symcnn.algebra.size import Size, maximum, scaled
from symcnn.errors import BadSpec, NoSolution, Undecidable
from symcnn.sets.condition import AnyOf, Condition
from symcnn.sets.inputset import InputSet, always, input_set
from symcnn.sets.runs import Run, spoken
from symcnn.sets.scales import ratio as _ratio
from symcnn.sets.scales import shortfalls as _shortfalls
from symcnn.trace.assume import Assumptions

from .conftest import sure
from .fuzz.expressions import expressions

h, w = Size.symbol("H"), Size.symbol("W")


def one(*conditions: Any) -> Any:
    return input_set(["H"], conditions)


def two(*conditions: Any) -> Any:
    return input_set(["H", "W"], conditions)


conditions = st.builds(
    lambda drawn, relation, bound: (Condition(drawn.normal, relation, bound), drawn, bound),
    expressions(("H", "W"), low=1),
    st.sampled_from([">=", "=="]),
    st.integers(-3, 12),
)


@given(st.lists(conditions, min_size=1, max_size=3))
def test_membership_is_evaluation_at_every_size(drawn: list[Any]) -> None:
    found = two(*(condition for condition, _, _ in drawn))
    for x, y in itertools.product(range(1, 12), repeat=2):
        truth = all(
            e.value({"H": x, "W": y}) >= bound
            if c.relation == ">="
            else e.value({"H": x, "W": y}) == bound
            for c, e, bound in drawn
        )
        assert ((x, y) in found) == truth


@given(conditions)
def test_words_and_sympy_say_the_same_set(drawn: Any) -> None:
    condition, _, _ = drawn
    found = two(condition)
    if not found:
        assert str(found) == "no sizes H and W"
        return
    words, relation = str(found), found.as_sympy()
    for x, y in itertools.product((1, 2, 3, 7, 11, 24), repeat=2):
        inside = (x, y) in found
        assert eval(words, {}, {"H": x, "W": y, "min": min, "max": max}) == inside
        assert bool(relation.subs({H: x, W: y})) == inside


@given(st.lists(st.builds(lambda m, r: (m, r), st.integers(1, 7), st.integers(0, 6)), max_size=2))
def test_runs_of_one_axis_cover_it_once(moduli: list[Any]) -> None:
    found = one(*(Condition((h * m + r) % 6, ">=", 3) for m, r in moduli))
    covered = [x for x in range(1, 80) for run in found.runs() if x in run]
    assert covered == [x for x in range(1, 80) if x in found]


def test_runs_that_begin_far_from_0_are_joined_as_those_that_begin_at_1() -> None:
    gap = Condition(2048 * ((h - 16) // 2048), ">=", h - 2055)
    near, far = (one(Condition(h % 8, "==", 0), Condition(h, ">=", n), gap) for n in (16, 65552))
    start = time.process_time()
    assert [run.moved(65536) for run in near.runs()] == far.runs()
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([Condition((h + 31) // 32, "==", 7)], "193 <= H <= 224"),
        ([Condition(h % 16, "==", 0)], "H % 16 == 0 and H >= 16"),
        ([Condition(h, "==", 7)], "H == 7"),
        ([], "H >= 1"),
        ([Condition(-h, ">=", -5)], "1 <= H <= 5"),
        ([Condition(h % 16, "==", 3), Condition(h, ">=", 40)], "H % 16 == 3 and H >= 51"),
        ([Condition(2 * (h // 16), "==", h // 8)], "H % 16 <= 7"),
        (
            [Condition(2 * (h // 16), "==", h // 8), Condition(h, ">=", 9)],
            "H % 16 <= 7 and H >= 16",
        ),
        ([AnyOf((Condition(h, "==", 3), Condition(h, ">=", 9)))], "H == 3 or H >= 9"),
        ([Condition(h, ">=", 5), Condition(-h, ">=", -4)], "no size H"),
    ],
)
def test_one_axis_in_words(conditions: list[Any], words: str) -> None:
    found = one(*conditions)
    assert set(str(found).split(" or ")) == set(words.split(" or "))


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (
            [Condition(h, "==", 3), Condition(w % 2, "==", 0)],
            "H == 3 and W % 2 == 0 and W >= 2",
        ),
        ([Condition(h, "==", w), Condition(-h, ">=", -9)], "1 <= H <= 9 and H == W"),
        ([Condition(h, ">=", w + 2)], "H >= 3 and W >= 1 and H >= W + 2"),
        (
            [Condition(h * w, "==", 4)],
            "(H == 2 and W == 2) or (H == 1 and W == 4) or (H == 4 and W == 1)",
        ),
    ],
)
def test_two_axes_in_words(conditions: list[Any], words: str) -> None:
    found = two(*conditions)
    assert found == found
    for x, y in itertools.product(range(1, 12), repeat=2):
        assert eval(words, {}, {"H": x, "W": y}) == ((x, y) in found)
    assert len(str(found)) <= len(words) + 12


def test_smallest_fits_into_the_smallest_square_and_largest_holds_the_largest() -> None:
    found = two(Condition(h * w, "==", 36))
    assert found.smallest() == (6, 6)
    assert found.largest() == (6, 6)
    assert sorted(found) == sorted((a, 36 // a) for a in (1, 2, 3, 4, 6, 9, 12, 18, 36))
    assert next(iter(found)) == (6, 6)


def test_nearest_differs_least_and_prefers_the_larger() -> None:
    found = one(Condition(h % 16, "==", 0))
    assert (found.nearest(500), found.nearest(504), found.nearest(1)) == (496, 512, 16)
    grid = two(Condition(h % 16, "==", 0), Condition(w % 16, "==", 0))
    assert grid.nearest(500, 375) == (496, 368)


@given(st.lists(conditions, min_size=1, max_size=2), st.integers(1, 30), st.integers(1, 30))
def test_nearest_is_nearest_of_all(drawn: list[Any], x: int, y: int) -> None:
    box = [Condition(-h, ">=", -14), Condition(-w, ">=", -14)]
    found = two(*(condition for condition, _, _ in drawn), *box)
    if found:
        a, b = found.nearest(x, y)
        best = min((max(abs(p - x), abs(q - y)), abs(p - x) + abs(q - y)) for p, q in found)
        assert (a, b) in found
        assert (max(abs(a - x), abs(b - y)), abs(a - x) + abs(b - y)) == best


@given(st.lists(conditions, min_size=1, max_size=2))
def test_count_and_iteration_agree(drawn: list[Any]) -> None:
    box = [Condition(-h, ">=", -9), Condition(-w, ">=", -9)]
    found = two(*(condition for condition, _, _ in drawn), *box)
    members = list(found)
    assert found.count() == len(members) == len(set(members))
    assert all(member in found for member in members)
    assert members == sorted(members, key=lambda m: (max(m), sum(m), m))


def test_nearest_where_isls_lexmin_of_several_terms_fails() -> None:
    assert two(Condition(w % 9, "==", 0)).nearest(5, 2) == (5, 9)


def test_nearest_where_isls_minimum_of_a_set_with_an_empty_part_is_wrong() -> None:
    box = [Condition(-h, ">=", -14), Condition(-w, ">=", -14)]
    assert two(*box).nearest(15, 1) == (14, 1)


def test_counting_a_large_box_does_not_list_it() -> None:
    assert two(Condition(-h, ">=", -(10**6)), Condition(-w, ">=", -(10**6))).count() == 10**12
    assert two(Condition(-h, ">=", -3), Condition(-w, ">=", -(10**26))).count() == 3 * 10**26


def test_a_set_without_end_has_no_largest_and_no_count() -> None:
    found = two(Condition(h, ">=", 5))
    assert found.count() is None
    with pytest.raises(NoSolution, match="without end"):
        found.largest()
    assert [member for member, _ in zip(found, range(3), strict=False)] == [(5, 1), (5, 2), (5, 3)]


def test_algebra() -> None:
    a, b = one(Condition(h, ">=", 5)), one(Condition(-h, ">=", -8))
    assert list(a & b) == [5, 6, 7, 8]
    assert (a | b) == one()
    assert list(b - a) == [1, 2, 3, 4]
    assert (a & b) <= a
    assert not (b - b)


def test_axes_combine_by_name() -> None:
    rows = input_set(["H"], [Condition(h, "==", 3)])
    columns = input_set(["W"], [Condition(w, "==", 4)])
    assert list(rows & columns) == [(3, 4)]
    assert str((rows & columns).axis("W")) == "W == 4"


def test_the_batch_may_be_left_out_of_a_member() -> None:
    n = Size.symbol("N")
    either = AnyOf((Condition(n, ">=", 2), Condition(h, ">=", 5)))
    found = input_set(["N", "H"], [either], batch=["N"])
    assert 1 in found
    assert (1, 1) not in found
    assert (2, 1) in found
    assert {"N": 2, "H": 1} in found


@pytest.mark.parametrize(
    "member", [(1, 2, 3), "ab", (1.5, 2), {"Q": 3}, None, np.ones((2, 2), int)]
)
def test_a_member_of_the_wrong_kind_is_an_error(member: Any) -> None:
    with pytest.raises(BadSpec):
        member in two()  # noqa: B015


def test_an_array_of_sizes_is_a_member_like_the_tuple() -> None:
    found = two()
    assert all((np.array(sizes) in found) == (sizes in found) for sizes in np.ndindex(3, 5))


def test_an_axis_that_does_not_exist() -> None:
    with pytest.raises(BadSpec, match="no size is called Q"):
        two().axis("Q")


def test_products_split_over_divisors() -> None:
    found = two(Condition(256 * (h // 4) * (w // 4), "==", 256 * 6))
    assert {(a // 4, b // 4) for a, b in found} == {(1, 6), (2, 3), (3, 2), (6, 1)}
    assert not two(Condition(4 * h * w, "==", 7))


def test_products_of_sizes_in_fractions_are_products() -> None:
    """Counterexample: the peak of a MobileViT raised ValueError, of its factors."""
    found = two(Condition(h * w * Fraction(245, 64) - h * h * w * Fraction(1, 2), ">=", w))  # type: ignore[arg-type]
    for a, b in itertools.product(range(1, 10), repeat=2):
        assert ((a, b) in found) == (245 * a * b - 32 * a * a * b >= 64 * b)


@given(st.integers(1, 40), st.sampled_from([0.29, 0.57, 0.7, 1.15, 1.4, 2.5]))
def test_float_scales_are_solved_exactly(target: int, scale: float) -> None:
    found = one(Condition(scaled(h, scale), "==", target))
    expected = [x for x in range(1, 400) if int(float(x) * scale) == target]
    assert list(found) == expected


def test_what_is_not_linear_is_refused_not_guessed() -> None:
    with pytest.raises(Undecidable, match="not linear"):
        two(Condition(h * h, "==", w))


def test_always_decides() -> None:
    assert always(Condition(h // 2 + (h + 1) // 2, "==", h), ["H"])
    assert not always(Condition(h % 2, "==", 0), ["H"])
    assert always(Condition(h % 2, "==", 0), ["H"], [Condition(h % 4, "==", 2)])


def test_a_box_that_was_joined_has_no_floors() -> None:
    h, w = Size.symbol("H"), Size.symbol("W")
    halves = [(h + 1) // 2, (h + 3) // 4, (h + 7) // 8, (h + 15) // 16]
    steps = [Condition(a - b, ">=", 1) for a, b in itertools.pairwise(halves)]
    same = Condition(halves[2], "==", halves[3])
    large = input_set(["H", "W"], steps)
    small = input_set(["H", "W"], [*steps[:2], same, Condition(16 - w, ">=", 0)])
    found = str((small | large).as_sympy())
    assert found == "(H >= 9) | ((H >= 5) & (H <= 8) & (W <= 16))"


def test_as_sympy() -> None:
    found = one(Condition(h % 16, "==", 0))
    assert found.as_sympy() == sympy.And(H >= 16, sympy.Eq(sympy.Mod(H, 16), 0))


def test_run_contains() -> None:
    assert 19 in Run(3, 35, 16)
    assert 20 not in Run(3, 35, 16)
    assert pickle.loads(pickle.dumps(Run(1, None))) == Run(1, None)


@pytest.mark.parametrize(
    "condition",
    [
        Condition(h * w, ">=", 17),
        Condition(-h * w, ">=", -17),
        Condition((h // 2) * (w // 3) + 1, "==", 13),
        Condition((h // 2) * (w // 3) + 1, ">=", 5),
        Condition((h + 1) * (w + 1), "==", 24),
        Condition((h + 1) * (w + 1), ">=", 24),
        Condition(3 * (h // 2) * w, ">=", 7),
        Condition(-2 * (h // 2) * w - 3, ">=", -20),
        Condition(20, ">=", 2 * h * w),
        Condition(h * w * 3, "==", h * 12),
        Condition((h * w - 1) // 4, ">=", 3),
        Condition(h * h, ">=", 30),
        Condition(h * w, "==", (3 * (h // 3)) * (4 * (w // 4))),
        Condition(4 * (h // 4) * (w // 4), "==", (h // 2) * (w // 2)),
        Condition(6 * ((h + 1) // 2) * ((w + 2) // 3), "==", h * w),
    ],
    ids=str,
)
def test_bounded_products_are_solved_exactly(condition: Any) -> None:
    found = two(condition)
    for x, y in itertools.product(range(1, 16), repeat=2):
        assert ((x, y) in found) == condition.holds({"H": x, "W": y})


def _brute(requirement: Any, most: Any) -> Any:
    return {
        (h, w)
        for h in range(1, most)
        for w in range(1, most)
        if requirement.holds({"H": h, "W": w})
    }


@pytest.mark.parametrize("n", [4, 6, 64])
def test_a_product_is_divisible_where_the_divisor_splits_among_its_factors(n: int) -> None:
    height, width = Size.symbol("H"), Size.symbol("W")
    area = (height // 4) * (width // 2) * 3
    requirement = Condition(area, "==", n * (area // n))
    found = input_set(["H", "W"], [requirement])
    most = 40
    assert {p for p in _brute(Condition(1, "==", 1), most) if p in found} == _brute(
        requirement, most
    )


@pytest.mark.parametrize(("relation", "bound"), [("==", 1), ("==", 2), (">=", 1), (">=", 3)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_products_against_a_small_number(relation: Any, bound: int, sign: int) -> None:
    height, width = Size.symbol("H"), Size.symbol("W")
    total = (height // 2) * (width // 3) + 2 * (height // 4) * (width // 4)
    requirement = Condition(sign * total, relation, sign * bound)
    found = input_set(["H", "W"], [requirement])
    everything = _brute(Condition(1, "==", 1), 14)
    assert {p for p in everything if p in found} == _brute(requirement, 14)


scales = st.one_of(
    st.sampled_from([0.29, 0.57, 0.7, 1.15, 1.4, 2.5, 1 / 3, 37 / 224]),
    st.floats(0.05, 4).map(lambda s: round(s, 3)).filter(bool),
    st.builds(lambda a, b: a / b, st.integers(1, 300), st.integers(1, 300)),
)


@given(scales, st.integers(1, 2**31), st.booleans())
def test_a_float_scale_falls_short_of_its_fraction_exactly_where_said(
    scale: Any, x: int, multiple: bool
) -> None:
    ratio = _ratio(scale)
    p, q = sure(ratio).numerator, sure(ratio).denominator
    x = max(q, x // q * q) if multiple else x
    short = x % q == 0 and any(first <= x <= last for first, last in _shortfalls(scale))
    assert int(float(x) * scale) == p * x // q - short


@given(scales, st.integers(1, 4), st.integers(1, 4), st.integers(-2, 2))
def test_equations_with_float_scales_are_solved_exactly(scale: Any, a: int, b: int, c: int) -> None:
    condition = Condition(a * scaled(h, scale), "==", b * h + c)
    found = one(condition)
    truth = [x for x in range(1, 200) if condition.holds({"H": x})]
    assert [x for x in range(1, 200) if x in found] == truth


def test_float_scales_of_float_scales() -> None:
    condition = Condition(4 * (scaled(scaled(h, 0.7), 1.4) // 4), "==", h)
    found = one(condition)
    assert [x for x in range(1, 200) if x in found] == [
        x for x in range(1, 200) if int(int(x * 0.7) * 1.4) // 4 * 4 == x
    ]


def test_a_scale_that_is_no_small_fraction_is_refused() -> None:
    with pytest.raises(Undecidable):
        one(Condition(scaled(h, 0.7071067811865476), "==", w))


# Conditions that are not linear -----------------------------------------------------------------

_H, _W = Size.symbol("H"), Size.symbol("W")


@st.composite
def growing(draw: Any) -> Any:
    """A sum of products of floors of the two sizes, each of which grows."""
    terms = []
    for _ in range(draw(st.integers(1, 3))):
        a, b = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        h, w = (_H + draw(st.integers(0, 4))) // a, (_W + draw(st.integers(0, 4))) // b
        terms.append(draw(st.sampled_from([h * w, (3 * h * w) // 2, h * h * w, h + w])))
    return sum(terms, 0)


@given(growing(), st.integers(0, 60), st.sampled_from([">=", "==", "<="]))
def test_what_grows_reaches_a_bound_above_its_frontier(
    expr: Any, bound: int, relation: Any
) -> None:
    below = relation == "<="
    condition = Condition(bound, ">=", expr) if below else Condition(expr, relation, bound)
    found = input_set(["H", "W"], [condition])
    for h in (*range(1, 12), *range(12, 40, 4), 200):
        for w in (*range(1, 12), *range(13, 40, 4), 200):
            assert ((h, w) in found) == condition.holds({"H": h, "W": w})


def test_a_size_that_is_bounded_decides_what_is_linear_for_each_of_its_values() -> None:
    window = (_H + 28) // 32
    conditions = [
        Condition(7, ">=", window),
        Condition(window, ">=", 1),
        Condition((_W // window) * window, "==", _W),
    ]
    found = input_set(["H", "W"], conditions)
    for h in range(1, 240):
        for w in (*range(1, 60), 210, 420):
            assert ((h, w) in found) == (1 <= (h + 28) // 32 <= 7 and w % ((h + 28) // 32) == 0)


def test_where_two_sizes_are_equal_a_product_is_of_one() -> None:
    """What a U-Net of tokens asks, which takes the root of their number for both sides."""
    square = [Condition(_H, "==", _W), Condition(_H * _W, "==", 4 * (_W // 2) ** 2)]
    found = input_set(["H", "W"], square)
    for h, w in itertools.product(range(1, 12), repeat=2):
        assert ((h, w) in found) == all(c.holds({"H": h, "W": w}) for c in square)


def test_a_product_without_a_bound_stays_undecided() -> None:
    with pytest.raises(Undecidable):
        input_set(["H", "W"], [Condition((_W // _H) * _H, "==", _W)])


def test_a_floor_of_floors_repeats_after_the_product_of_their_denominators() -> None:
    expr = (17 * ((h + 1) // 2)) % 40
    found = one(Condition(expr, ">=", 33))
    truth = [x for x in range(1, 400) if 17 * ((x + 1) // 2) % 40 >= 33]
    assert [x for x in range(1, 400) if any(x in run for run in found.runs())] == truth
    assert {run.step for run in found.runs()} == {80}


@given(st.lists(conditions, min_size=1, max_size=3))
def test_runs_hold_the_sizes_at_which_the_conditions_do(drawn: list[Any]) -> None:
    """Floors in floors, upper bounds and equations: judged by evaluation."""
    try:
        runs = one(*(condition for condition, _, _ in drawn if condition.symbols <= {"H"})).runs()
    except Undecidable:  # of too long a period
        return
    for x in range(1, 300):
        truth = all(c.holds({"H": x}) for c, _, _ in drawn if c.symbols <= {"H"})
        assert sum(x in run for run in runs) == truth


def test_all_residues_between_two_ends_are_said_by_the_ends() -> None:
    runs = [Run(first, first + 40, 4) for first in (1, 2, 3, 4)]
    assert spoken(runs, "H") == ["1 <= H <= 44"]
    assert spoken(runs[1:], "H") == ["H % 4 != 1 and 2 <= H <= 44"]


def test_a_set_that_repeats_after_thousands_of_sizes_is_said_in_its_residues() -> None:
    """Windows of 7 after each of twelve halvings, as in MaxViT."""
    halved = [(h + 2**k - 1) // 2**k for k in range(1, 13)]
    found = one(*(Condition(size % 7, "==", 0) for size in halved))
    assert str(found) == "H % 28672 in {0, 28671}"


def test_what_nothing_ties_together_stays_apart() -> None:
    ragged = [Condition(5 * h // 13 % 7, ">=", 3), Condition(11 * w // 13 % 7, ">=", 3)]
    whole = input_set(["N", "H", "W"], ragged, batch="N")
    assert [side.names for side in whole._sides] == [("N",), ("H",), ("W",)]
    tied = whole & input_set(["H", "W"], [Condition(h, ">=", w)])
    assert [side.names for side in tied._sides] == [("N",), ("H", "W")]
    assert tied <= whole
    assert whole.axis("W") == input_set(["W"], ragged[1:])
    least: Any = whole.smallest()
    assert whole.given(H=least[0]) == whole.axis("N", "W")
    assert not whole.given(H=1)


def along(name: str) -> Any:
    drawn = expressions((name,), low=1)
    bounds = st.integers(-12, 12)
    return st.builds(lambda e, bound: Condition(e.normal, ">=", bound), drawn, bounds)


@given(
    st.lists(along("H"), max_size=2),
    st.lists(along("W"), max_size=2),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_independent_axes_answer_as_the_whole_does(
    rows: list[Any], columns: list[Any], size: tuple[int, int]
) -> None:
    apart = two(*rows, *columns)
    assert len(apart._sides) == 2
    whole = InputSet(("H", "W"), apart._set)
    assert apart == whole
    assert bool(apart) == bool(whole)
    assert (size in apart) == (size in whole)
    assert apart.bounded == whole.bounded
    assert str(apart) == str(whole)
    if apart:
        assert apart.smallest() == whole.smallest()
        assert apart.nearest(*size) == whole.nearest(*size)
        if apart.bounded:
            assert apart.largest() == whole.largest()
            assert apart.count() == whole.count()


def test_a_set_over_no_sizes_is_everything_or_nothing() -> None:
    everything, nothing = input_set((), ()), input_set((), [Condition(0, "==", 1)])
    assert (bool(everything), bool(nothing)) == (True, False)
    some = one(Condition(h, ">=", 3))
    assert (everything & some, everything - everything) == (some, nothing)
    for empty in (nothing & some, some & nothing, some - everything, some.axis() - everything):
        assert not empty
    assert nothing <= everything
    assert not everything <= nothing
    assert not some <= nothing
    assert some <= everything
    assert some | nothing == some


def test_a_divisibility_that_follows_from_another_is_not_said() -> None:
    tied = two(Condition(h % 4, "==", 0), Condition(h % 2, "==", 0), Condition(h + w, ">=", 12))
    assert str(tied) == "H >= 1 and W >= 1 and H % 4 == 0 and H + W >= 12"


remainders = st.lists(
    st.tuples(
        st.sampled_from([2, 4, 8, 16, 3, 6, 12]),
        st.integers(0, 9),
        st.integers(0, 15),
        st.integers(0, 15),
    ),
    min_size=2,
    max_size=4,
)


@given(remainders)
def test_remainders_in_one_another_have_the_members_that_each_allows(said: Any) -> None:
    rests = [(a, (h + c) % m, b) for m, c, a, b in said]
    found = one(*(Condition(r, ">=", a % 8) for a, r, _ in rests[:1]))
    for _, rest, b in rests:
        found &= one(Condition(b, ">=", rest))
    for x in range(1, 200):
        inside = all((x + c) % m <= b for m, c, _, b in said)
        (m, c, a, _), *_ = said
        assert (x in found) == (inside and (x + c) % m >= a % 8)


def test_remainders_in_one_another_are_one() -> None:
    nested = [Condition(2**k - 1, ">=", h % 2 ** (k + 1)) for k in range(40, 0, -1)]
    found = one()
    for condition in nested:
        found &= one(condition)
    assert found == one(*nested) == one(Condition(1, ">=", h % 2**41))
    (part,) = found._set.get_basic_sets()
    assert part.dim(islpy.dim_type.div) == 1


def test_a_size_that_is_fixed_ties_nothing() -> None:
    n = Size.symbol("N")
    batches = Condition(n * ((h + 12) // 14) * ((w + 12) // 14) % 256, "==", 0)
    fixed = [Condition((x + 12) // 14, "==", 16) for x in (h, w)]
    fixed += [Condition(x % 32, "==", 0) for x in (h, w)]
    found = input_set(["N", "H", "W"], [batches, *fixed])
    assert found == input_set(["N", "H", "W"], [Condition(h, "==", 224), Condition(w, "==", 224)])
    assert [side.names for side in found._sides] == [("N",), ("H",), ("W",)]


def test_where_a_quotient_is_0_nothing_is_divided_by_it() -> None:
    q = 16 // h
    condition = Condition(6 * w // q * q, "==", 48)
    found = input_set(["H", "W"], [Condition(20, ">=", h), condition])
    for x, y in itertools.product(range(1, 25), range(1, 20)):
        assert ((x, y) in found) == (x <= 16 and condition.holds({"H": x, "W": y})), (x, y)


def windows(x: Size) -> Any:
    """Minus the windows of 8 in an image that is mirrored to the next multiple of 8."""
    return (maximum(-2 * x, -8 * (x // 8) - 8) + 7) // 8


@pytest.mark.parametrize(
    "gap",
    [
        windows(h) * windows(w),
        -windows(h) * windows(w),
        windows(h) * windows(w) - 1,
        -windows(h) * windows(w) - 1,
        (h - 3) * (w - 4) * windows(h),
        (3 - h) * w * windows(h) - 1,
    ],
)
def test_a_product_of_factors_of_one_sign_has_theirs(gap: Size) -> None:
    condition = Condition(gap, ">=", 0)
    found = input_set(["H", "W"], [condition])
    for x, y in itertools.product(range(1, 20), range(1, 10)):
        assert ((x, y) in found) == condition.holds({"H": x, "W": y}), (x, y)


@pytest.mark.parametrize("number", [1, 4])
def test_a_product_with_a_quotient_of_sizes_is_a_number_in_few_ways(number: int) -> None:
    """Channels scaled by a pool as high as the image is wide, viewed for any batch."""
    condition = Condition(w * (h // Size.symbol("K")), "==", number)
    found = input_set(["H", "W", "K"], [condition])
    for sizes in itertools.product(range(1, 12), range(1, 6), range(1, 6)):
        assert (sizes in found) == condition.holds(dict(zip("HWK", sizes, strict=True))), sizes


def test_a_product_with_a_quotient_of_sizes_is_at_least_1_where_each_factor_is() -> None:
    condition = Condition(h // 2 * (h // w), ">=", 1)
    found = input_set(["H", "W"], [condition])
    assert found == input_set(["H", "W"], [Condition(h, ">=", 2), Condition(h, ">=", w)])


def test_a_text_says_where_not_every_batch_goes_with_each_size() -> None:
    n = Size.symbol("N")
    small = Condition(10, ">=", h)
    tied = input_set(["N", "H"], [AnyOf((small, Condition(2, ">=", n)))], batch=["N"])
    assert str(tied) == "H >= 1, for some N"
    assert str(input_set(["N", "H"], [small], batch=["N"])) == "1 <= H <= 10"
    assert str(input_set(["N", "H"], [Condition(n * h, "==", 6)], batch=["N"])) != "H >= 1"


TOKENS = h * w


@pytest.mark.parametrize("n", [64, 100, 128, 144])
def test_what_divides_no_product_is_all_but_what_does(n: int) -> None:
    """Tokens that are padded ``if h * w % 128``."""
    condition = Condition(TOKENS % n, ">=", 1)
    found = two(condition)
    assert {p for p in _brute(Condition(1, "==", 1), 40) if p in found} == _brute(condition, 40)
    assert found == two(Condition(TOKENS % n, "==", 0)).complement()
    assert "H*W" not in str(found)  # no bound on the product beside


@pytest.mark.parametrize("relation", [">=", "=="])
@pytest.mark.parametrize(
    "gap",
    [
        2 * TOKENS - 16 * ((TOKENS + 15) // 16),  # flipped to whole groups, as ATD pads its tokens
        (TOKENS + 3) // 2 - TOKENS,
        TOKENS + 7 * ((h + 1) * (w + 1) // 16),
        2 * (h + 1) * (w + 1) - 16 * (((h + 1) * (w + 1) + 15) // 16),
        3 * (h // 2) * ((w + 3) // 4) - 8 * (((h // 2) * ((w + 3) // 4) + 7) // 8) - 9,
        maximum(TOKENS, 16) - (TOKENS + 20) // 2,
        TOKENS % 6 - TOKENS % 9 - 2,
        144 - TOKENS % 144,
    ],
    ids=str,
)
def test_what_speaks_of_one_product_is_a_condition_on_that_number(gap: Size, relation: Any) -> None:
    condition = Condition(gap, relation, 0)
    found = two(condition)
    assert {p for p in _brute(Condition(1, "==", 1), 40) if p in found} == _brute(condition, 40)


def test_few_sizes_are_asked_one_by_one() -> None:
    """Products at four scales: each alone leaves hundreds of boxes, which isl would cross."""
    found = two(
        Condition((h // 4) * (w // 4), "==", 3136),
        AnyOf(tuple(Condition((h // 8) * (w // 8), "==", 7**2 * 2**k) for k in range(12))),
        AnyOf(tuple(Condition((h // 16) * (w // 16), "==", 7**2 * 2**k) for k in range(12))),
        AnyOf(tuple(Condition((h // 32) * (w // 32), "==", 7**2 * 2**k) for k in range(12))),
    )
    truth = {
        (x, y)
        for a in range(1, 3137)
        if 3136 % a == 0
        for x in range(4 * a, 4 * a + 4)
        for y in range(4 * (3136 // a), 4 * (3136 // a) + 4)
        if all((x // n) * (y // n) in {49 * 2**k for k in range(12)} for n in (8, 16, 32))
    }
    assert {*found} == truth
    assert truth


def test_options_that_are_linear_may_say_it_all() -> None:
    """What is beside them is of no use, decidable or not."""
    hard = Condition(h * w, "==", (h // 3) * (w // 5) * ((h * w) // 7))
    found = two(AnyOf((hard, Condition(h, "==", 1), Condition(h, ">=", 2))))
    assert found == two()


def test_an_atom_that_is_a_number_is_that_in_other_conditions() -> None:
    """Windows of rows and columns of patches (RF-DETR): a view, and that it must match."""
    rows, columns = h // 14, w // 14
    windows = (h // 56) * (w // 56)
    share = (32 * rows * columns) // (16 * windows)
    view = Condition(32 * rows * columns, "==", 16 * share * windows)
    large = Condition(h, ">=", 14), Condition(w, ">=", 14)
    found = two(*large, view, Condition(share, "==", 32))
    assert str(found) == "H % 56 <= 13 and H >= 56 and W % 56 <= 13 and W >= 56"
    for x, y in itertools.product(range(14, 130), repeat=2):
        a, b = x // 14 * (y // 14), x // 56 * (y // 56)
        truth = b > 0 and (32 * a) // (16 * b) == 32 and 32 * a == 16 * 32 * b
        assert ((x, y) in found) == truth


def test_a_part_that_is_no_product_is_said_by_its_constraints() -> None:
    """One of two sizes must be larger than a window (DynUNet of monai)."""
    multiples = [Condition((x + 1) // 2, "==", 2 * ((x + 3) // 4)) for x in (h, w)]
    even = [Condition(x, "==", 2 * ((x + 1) // 2)) for x in (h, w)]
    large = AnyOf(tuple(Condition((x + 3) // 4, ">=", 2) for x in (h, w)))
    found = two(large, *multiples, *even)
    assert str(found) == "H >= 4 and W >= 4 and H % 4 == 0 and W % 4 == 0 and H + W >= 12"


def test_a_notebook_names_the_batch_that_not_every_size_goes_with() -> None:
    n = Size.symbol("N")
    tied = input_set(["N", "H"], [Condition(n % 3, "==", h % 3)], batch=["N"])
    free = input_set(["N", "H"], [Condition(h, ">=", 3)], batch=["N"])
    assert tied._formula_() == tied.as_sympy()
    assert {str(s) for s in tied._formula_().free_symbols} == {"N", "H"}
    assert {str(s) for s in free._formula_().free_symbols} == {"H"}


def test_floors_that_are_equal_on_what_other_requirements_leave_are_one() -> None:
    """Patches of a mask viewed as those of a map that is rounded another way (GCA matting)."""
    even = [Condition(x, "==", 32 * (x // 32)) for x in (h, w)]
    share = (9 * (h // 16) * (w // 16)) // (((h + 7) // 16) * ((w + 7) // 16))
    patches = share * ((h + 7) // 16) * ((w + 7) // 16)
    view = Condition(9 * (h // 16) * (w // 16), "==", patches)
    rows = Condition(patches, "==", 9 * (patches // 9))
    assert two(*even, view, rows) == two(*even)


def test_a_quotient_stands_in_lowest_terms_where_its_factors_are_positive() -> None:
    """Rows agree, so that only columns are left in the quotient of a view."""
    share = (9 * (h // 16) * (w // 16)) // (((h + 7) // 16) * ((w + 7) // 16))
    rows = Condition(h // 16, "==", (h + 7) // 16)
    view = Condition(9 * (h // 16) * (w // 16), "==", share * ((h + 7) // 16) * ((w + 7) // 16))
    found = two(Condition(h, ">=", 16), Condition(w, ">=", 9), rows, view)
    for x, y in itertools.product(range(16, 70), range(9, 200)):
        b, d = y // 16, (y + 7) // 16
        assert ((x, y) in found) == (x // 16 == (x + 7) // 16 and 9 * b % d == 0)


def windowed(size: int) -> tuple[Condition, Condition]:
    """A view of patches as 4x4 windows leaves the channels to torch, and there are 8 of them."""
    patches, windows = 8 * (h // size) * (w // size), 16 * (h // (4 * size)) * (w // (4 * size))
    channels = patches // windows
    return Condition(patches, "==", channels * windows), Condition(channels, "==", 8)


def test_sizes_that_are_multiples_of_floors_are_written_so_in_a_quotient() -> None:
    assert str(two(*windowed(1))) == "H % 4 == 0 and H >= 4 and W % 4 == 0 and W >= 4"


def test_a_trace_decides_two_requirements_of_which_neither_is_decided_alone() -> None:
    """Windows of RF-DETR."""
    area = (h // 14) * (w // 14)
    assumed = Assumptions()
    assumed.add([Condition(h, ">=", 14), Condition(w, ">=", 14)])
    assumed.add([AnyOf((Condition(area, ">=", 1370), Condition(1368, ">=", area)))])
    divides, channels = windowed(14)
    assumed.add([divides])
    assert assumed.entails(Condition(13, ">=", h % 56)) is None
    assumed.add([channels])
    assert assumed.entails(Condition(13, ">=", h % 56)) is True


def test_linear_options_that_say_all_spare_the_others() -> None:
    assumed = Assumptions()
    assumed.add([Condition(h, ">=", 14), Condition(w, ">=", 14)])
    few = Condition(w // 14, "==", 1), Condition(w // 14, ">=", 2)
    with symcnn.steps(20_000):
        assert assumed.entails(AnyOf((*few, *windowed(14)))) is True


def test_what_falls_and_never_reaches_a_limit_bounds_nothing() -> None:
    """A residual cropped to what a convolution leaves, which is never cut (VideoPose3D)."""
    cut = maximum(h - 6, 0)
    found = one(Condition(cut, "==", h - 6))
    assert str(found) == "H >= 6"
    assert 2**80 in found


def test_what_takes_too_many_steps_to_write_is_named_by_its_sizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object) -> None:
        raise Undecidable("too many steps")

    found = input_set(["H"], [Condition(h % 3, "==", 0)])
    monkeypatch.setattr(InputSet, "_in_few_words", refuse)
    monkeypatch.setattr("symcnn.sets.words.constraints", refuse)
    assert found.words() == "H in a set that takes too many steps to write"
