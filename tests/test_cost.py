"""What networks cost: formulas, tables, laws, refusals."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, H, InvalidInput, N, NoSolution, Undecidable, W, nn
from symcnn.algebra.size import evaluate
from symcnn.cli import main
from symcnn.sets.formula import Formula

from .conftest import ROOT, formula
from .fuzz.expressions import expressions


def resnet(example: Any) -> symcnn.Network:
    return symcnn.from_torch(example("resnet:resnet50"), "N 3 H W")


# formulas


def test_a_congruence_leaves_no_floor(example: Callable[..., Any]) -> None:
    total = resnet(example).cost().total
    assert str(formula(total).under("H % 32 == 0", "W % 32 == 0")) == "81456*N*H*W + 2048000*N"


def test_under_a_congruence_the_value_stays_the_same(example: Callable[..., Any]) -> None:
    total = resnet(example).cost().total
    for m, r in ((32, 0), (16, 5), (7, 3)):
        part = formula(total).under(f"H % {m} == {r}", sympy.Eq(W % 2, 1))
        for h in range(r or m, 300, m):
            assert part.at(N=1, H=h, W=33) == formula(total).at(N=1, H=h, W=33)


def test_a_formula_refuses_sizes_it_does_not_hold_for() -> None:
    part = Formula(H // 2).under("H % 2 == 0")
    with pytest.raises(InvalidInput, match="H % 2 == 0, not H=3"):
        part.at(H=3)
    with pytest.raises(InvalidInput, match="not for all"):
        part.at(H=np.array([2, 3]))


def test_an_equation_replaces_a_size() -> None:
    assert str(Formula((H // 2) * W).under("H == 2*W")) == "W**2"
    assert str(Formula((H // 2) * W).under(sympy.Eq(H, W), "H % 2 == 0")) == "W**2/2"


def test_python_has_already_compared_what_it_compares() -> None:
    with pytest.raises(BadSpec, match='write "H % 32 == 0"'):
        Formula(H // 32).under(H % 32 == 0)


@pytest.mark.parametrize("text", ["H %% 2 == 0", "H", "H == ", "(H == 2", "__import__"])
def test_a_malformed_condition_is_pointed_at(text: str) -> None:
    with pytest.raises(BadSpec):
        Formula(H).under(text)


def test_contradictory_conditions_have_no_solution() -> None:
    with pytest.raises(NoSolution):
        Formula(H).under("H % 4 == 1", "H % 6 == 0")


def test_inequalities_decide_maxima() -> None:
    largest = Formula(sympy.Max(H - 7, 0))
    assert str(largest.under("H >= 7")) == "H - 7"
    assert str(largest.under("H < 7")) == "0"


SIZES = st.integers(1, 60)
POLYNOMIALS = st.builds(
    lambda a, b, c: Formula(a.normal * b.normal + c.normal, ["x", "y"]),
    *[expressions(low=1)] * 3,
)


@given(POLYNOMIALS, SIZES, SIZES)
def test_the_bounds_of_the_leading_term_hold(formula: Any, x: int, y: int) -> None:
    try:
        lead = formula.leading()
    except Undecidable:
        return
    value, values = formula.at(x=x, y=y), {"x": x, "y": y}
    low, high = (evaluate(e.size, values) for e in (lead.term + lead.below, lead.term + lead.above))
    assert low <= value <= high


@given(POLYNOMIALS, st.integers(1, 12), st.integers(0, 11), SIZES, SIZES)
def test_under_a_congruence_nothing_changes(formula: Any, m: int, r: int, x: int, y: int) -> None:
    x = m * x + r % m
    assert formula.under(f"x % {m} == {r % m}").at(x=x, y=y) == formula.at(x=x, y=y)


def test_the_leading_term_grows_faster_than_what_is_left(example: Callable[..., Any]) -> None:
    lead = formula(resnet(example).cost().total).leading(H, W)
    assert lead.term == 81456 * N * H * W
    assert lead.below.leading(H, W).degree < 2 > lead.above.leading(H, W).degree


def test_per_pixel_is_the_limit(example: Callable[..., Any]) -> None:
    total = resnet(example).cost().total
    assert formula(total).per_pixel() == 81456 * N
    big = 2**40 + 1
    assert formula(total).at(N=1, H=big, W=big) // big**2 == 81456


def test_attention_has_no_cost_per_pixel() -> None:
    assert Formula(H * H * W * W).per_pixel() == sympy.oo
    with pytest.raises(Undecidable, match="aspect ratio"):
        Formula(H * H).per_pixel("H", "W")


@given(POLYNOMIALS, SIZES, SIZES)
def test_arrays_give_what_single_sizes_give(formula: Any, x: int, y: int) -> None:
    found = formula.at(x=np.array([x, x + 1]), y=np.array([y, y + 2]))
    assert found.tolist() == [formula.at(x=x, y=y), formula.at(x=x + 1, y=y + 2)]


def test_arrays_stay_exact_beyond_int64(example: Callable[..., Any]) -> None:
    total = resnet(example).cost().total
    huge = 10**8
    found = np.asarray(formula(total).at(N=1, H=np.array([huge, 224]), W=np.array([huge, 224])))
    assert found.tolist() == [formula(total).at(N=1, H=s, W=s) for s in (huge, 224)]
    assert found[0] > 2**63


def test_arrays_broadcast_to_a_grid() -> None:
    grid: Any = Formula(H * W).at(H=np.arange(1, 4)[:, None], W=np.arange(1, 3))
    assert grid.tolist() == [[1, 2], [2, 4], [3, 6]]


def test_symbols_left_over_are_named() -> None:
    with pytest.raises(BadSpec, match="no value for N"):
        Formula(N * H).at(H=3)
    with pytest.raises(BadSpec, match="no size is called Q"):
        Formula(N * H).at(H=3, N=1, Q=2)


# costs


def test_hyperparameters_may_be_symbols() -> None:
    c, g, k = symcnn.symbols("C g k")
    net = nn.Conv2d(c, c, k, groups=g, padding="same", bias=False).trace("N C H W")
    assert net.cost().total == N * c * c / g * k**2 * H * W
    assert net.cost().params == c * c / g * k**2


def test_two_3x3_cost_18_where_one_5x5_costs_25() -> None:
    c = symcnn.symbols("C")
    small = nn.Conv2d(c, c, 3, padding=1, bias=False)
    two = nn.Sequential(small, nn.Conv2d(c, c, 3, padding=1, bias=False)).trace("N C H W")
    one = nn.Conv2d(c, c, 5, padding=2, bias=False).trace("N C H W")
    assert (two.cost().params, one.cost().params) == (18 * c**2, 25 * c**2)
    assert formula(two.cost().total) / formula(one.cost().total) == sympy.Rational(18, 25)


def test_depthwise_separable_against_full() -> None:
    c, d, k = symcnn.symbols("C D_out k")
    depthwise = nn.Conv2d(c, c, k, padding="same", groups=c, bias=False)
    separable = nn.Sequential(depthwise, nn.Conv2d(c, d, 1, bias=False)).trace("N C H W")
    full = nn.Conv2d(c, d, k, padding="same", bias=False).trace("N C H W")
    ratio = formula(separable.cost().total) / formula(full.cost().total)
    assert sympy.simplify(ratio - (1 / d + 1 / k**2)) == 0


def test_groups_divide_the_cost() -> None:
    c, g = symcnn.symbols("C g")
    grouped = nn.Conv2d(c, c, 3, padding=1, groups=g, bias=False).trace("N C H W")
    full = nn.Conv2d(c, c, 3, padding=1, bias=False).trace("N C H W")
    assert formula(grouped.cost().total) / formula(full.cost().total) == 1 / g


def test_parameters_macs_and_flops_of_article_e() -> None:
    i, o, k = symcnn.symbols("C_in C_out K")
    net = nn.Conv2d(i, o, k).trace("1 C_in H W")
    places = net.output_shape[2] * net.output_shape[3]
    assert net.cost().params == sympy.expand((i * k * k + 1) * o)
    assert sympy.expand(formula(net.cost().total).expr - i * k * k * places * o) == 0
    assert sympy.expand(formula(net.cost("flops").total).expr - 2 * i * k * k * places * o) == 0


def test_shared_weights_count_once_and_work_every_time() -> None:
    shared = nn.Linear(8, 8, bias=False)
    net = nn.Sequential(shared, nn.ReLU(), shared).trace("N 8")
    assert net.cost().params == 64
    assert net.cost().total == 128 * N


def test_rows_are_a_tree_that_adds_up(example: Callable[..., Any]) -> None:
    cost = resnet(example).cost().at(N=1, H=224, W=224)
    rows = cost.rows("module", ("params", "work", "other", "share"))
    assert rows[0].name == ""
    assert rows[0]["work"] == cost.total
    top = [row for row in rows if row.depth == 1]
    for column in ("params", "work", "other", "share"):
        assert sum(row[column] or 0 for row in top) == rows[0][column]
    nodes = cost.rows("node", ("work",))
    assert sum(row["work"] for row in nodes) == cost.total


def test_shares_without_sizes_are_those_of_large_images(example: Callable[..., Any]) -> None:
    rows = {row.name: row["share"] for row in resnet(example).cost().rows(depth=1)}
    assert rows["layer4"] == sympy.Rational(16128, 81456)
    assert rows["fc"] == 0
    assert rows["relu"] is None


def test_at_sizes_outside_the_domain_there_is_no_cost() -> None:
    with pytest.raises(InvalidInput):
        nn.Conv2d(3, 8, 5).trace("N 3 H W").cost().at(N=1, H=4, W=9)


def test_unknown_conventions_columns_and_groupings_are_refused() -> None:
    net = nn.Conv2d(3, 8, 5).trace("N 3 H W")
    with pytest.raises(BadSpec, match="did you mean fvcore"):
        net.cost("fvcor")
    with pytest.raises(BadSpec, match="no column is called 'colour'"):
        net.cost().rows(columns=("colour",))
    with pytest.raises(BadSpec, match='"module" or "node"'):
        net.cost().rows("layer")


def test_a_frame_has_a_line_per_node() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
    frame = net.cost().at(N=1, H=9, W=9).frame()
    assert frame["work"].tolist() == [10584, 0]
    assert frame["op"].tolist() == ["conv2d", "relu"]


def test_json_has_totals_and_rows() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
    answer = json.loads(json.dumps(net.cost().to_dict("node")))
    assert answer["total"] == "216*N*(H - 2)*(W - 2)"
    assert [row["params"] for row in answer["rows"]] == [224, 0]


# the command line


def run(*words: Any) -> Any:
    return CliRunner().invoke(main, ["cost", *words])


NET = [str(ROOT / "examples/networks/mobilenet.py") + ":mobilenet_v2", "--input", "N 3 H W"]


def test_the_command_prints_formulas_per_module() -> None:
    result = run(*NET, "--depth", "1", "--under", "H % 32 == 0", "--under", "W % 32 == 0")
    assert result.exit_code == 0
    assert "N*(47751*H*W + 10240000)/8" in result.output
    assert "3,504,872 parameters" in result.output


def test_the_command_answers_in_json_at_sizes() -> None:
    result = run(*NET, "--at", "N=1,H=224,W=224", "--json", "--convention", "flops")
    answer = json.loads(result.output)
    assert (answer["total"], answer["params"]) == (601548544, 3504872)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--convention", "fvcor"], 2),
        (["--at", "Q=224"], 2),
        (["--at", "N=1,H=0,W=224"], 1),
        (["--under", "H %"], 2),
        (["--show", "colour"], 2),
    ],
)
def test_the_command_says_what_is_wrong(words: list[str], status: int) -> None:
    result = run(*NET, *words)
    assert result.exit_code == status
    assert result.output


@pytest.mark.parametrize(("training", "per"), [(False, 2), (True, 7)])
def test_a_batch_norm_takes_statistics_in_training_only(training: bool, per: int) -> None:
    """Scale and shift, 2; sum, square and sum, 3; an affine map, 2, folded into them in eval."""
    net = symcnn.from_torch(torch.nn.BatchNorm2d(3).train(training), "N 3 H W")
    assert net.cost().at(N=2, H=5, W=7).other == per * 2 * 3 * 5 * 7
