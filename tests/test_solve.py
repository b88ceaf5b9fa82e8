"""Solving backwards on small networks, specs, and the errors of bad questions."""

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, H, InvalidInput, N, NoSolution, ShapeMismatch, W, nn, symbols
from symcnn.sets.grammar import parse_assignments, parse_shape, parse_target


def chain(*layers: Any) -> symcnn.Network:
    return nn.Sequential(*layers).trace("N 3 H W")


windows = st.builds(
    lambda k, s, p, d: nn.Conv2d(3, 3, k, stride=s, padding=p, dilation=d),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 2),
)


@given(st.lists(windows, min_size=1, max_size=4), st.integers(1, 8), st.integers(1, 8))
def test_a_fibre_is_exactly_the_inputs_that_give_the_target(
    layers: list[Any], h: int, w: int
) -> None:
    net = chain(*layers)
    reached = {}
    for x in range(1, 60):
        for y in (3, 17, 40):
            try:
                reached[x, y] = net.shape_at(N=1, H=x, W=y)[2:]
            except InvalidInput:
                reached[x, y] = None
    try:
        found = net.solve(output=(h, w))
    except NoSolution:
        assert (h, w) not in reached.values()
        return
    for size, shape in reached.items():
        assert (size in found) == (shape == (h, w))


@given(st.lists(windows, min_size=1, max_size=3), st.integers(1, 40))
def test_flatten_is_exactly_the_inputs_with_that_many_features(
    layers: list[Any], features: int
) -> None:
    net = nn.Sequential(*layers, nn.Flatten()).trace("N 3 H W")
    target = 3 * features
    try:
        found = net.solve(flatten=target)
    except NoSolution:
        found = None
    for x in range(1, 40):
        for y in (5, 12, 31):
            try:
                count = net.shape_at(N=1, H=x, W=y)[1]
            except InvalidInput:
                count = None
            assert (found is not None and (x, y) in found) == (count == target)


def test_some_axes_may_be_left_open() -> None:
    net = chain(nn.Conv2d(3, 8, 3, stride=2, padding=1))
    assert str(net.solve(output=(None, 7))) == "H >= 1 and 13 <= W <= 14"
    assert str(net.solve(output=(None, 8, 7, 7))) == "13 <= H <= 14 and 13 <= W <= 14"


def test_no_solution_names_the_nearest_target() -> None:
    net = chain(nn.ConvTranspose2d(3, 3, 2, stride=2))
    with pytest.raises(NoSolution, match="no input gives 7x7") as error:
        net.solve(output=(7, 7))
    assert "8x8" in str(error.value)


def test_no_solution_for_features_says_why() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()).trace("N 3 H W")
    with pytest.raises(NoSolution, match="always a multiple of 8"):
        net.solve(flatten=12)


@pytest.mark.parametrize(
    "target",
    [(7.5, 7), ("7", 7), (1, 2, 3, 4, 5), (True, 7), (-1, 7), np.ones((2, 2), int)],
)
def test_targets_of_no_use(target: tuple[Any, ...]) -> None:
    with pytest.raises(BadSpec):
        chain(nn.Conv2d(3, 8, 3)).solve(output=target)


def test_a_convolution_makes_no_empty_map() -> None:
    with pytest.raises(NoSolution, match="the nearest output that some input gives: 1x7"):
        chain(nn.Conv2d(3, 8, 3)).solve(output=(0, 7))


def test_a_target_may_be_an_array() -> None:
    net = chain(nn.Conv2d(3, 8, 3))
    assert net.solve(output=np.array([7, 5])) == net.solve(output=(7, 5))


@pytest.mark.parametrize("flatten", [0, -3, 2.5, True, "9"])
def test_feature_counts_of_no_use(flatten: float | bool | str) -> None:
    with pytest.raises(BadSpec):
        chain(nn.Conv2d(3, 8, 3)).solve(flatten=flatten)  # type: ignore[arg-type]


def test_solve_needs_a_question() -> None:
    with pytest.raises(BadSpec, match="takes a target"):
        chain(nn.Conv2d(3, 8, 3)).solve()


def test_shape_at_checks_its_sizes() -> None:
    net = chain(nn.Conv2d(3, 8, 3))
    assert net.shape_at(N=1, H=5, W=6) == (1, 8, 3, 4)
    for sizes in ({"N": 1, "H": 5}, {"N": 1, "H": 5, "W": 5, "Q": 5}, {"N": 1, "H": 5, "W": "5"}):
        with pytest.raises(BadSpec):
            net.shape_at(**sizes)
    with pytest.raises(InvalidInput, match="at least 1"):
        net.shape_at(N=1, H=0, W=5)


def test_invalid_input_names_layer_formula_and_the_nearest_valid_size() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 8, 5)).trace("N 3 H W")
    with pytest.raises(InvalidInput) as error:
        net.shape_at(N=1, H=9, W=30)
    text = str(error.value)
    assert "1 (conv2d) cannot take N=1, H=9, W=30" in text
    assert "along H: needs H//2 >= 5; 4 < 5" in text
    assert "nearest valid size: H=10, W=30" in text


def test_reasons_leave_out_what_others_imply() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)).trace("N 3 H W")
    assert [(r.node, str(r.requirement)) for r in net.reasons()] == [
        ("2", "H - 4 >= 3"),
        ("2", "W - 4 >= 3"),
    ]


def test_functional_style() -> None:
    x = symcnn.tensor("N 3 H W")
    y = symcnn.cat([nn.Conv2d(3, 8, 3, padding=1)(x), x], dim=1) + 1
    net = symcnn.Network(inputs=x, outputs=y)
    assert net.output_shape == (N, 11, H, W)
    assert [n.name for n in net.nodes] == ["conv2d", "cat", "add"]
    assert net.params == 224


def test_symbolic_hyperparameters() -> None:
    k, s, p, c, g = symbols("k s p c g")
    net = nn.Sequential(nn.Conv2d(3, c, k, stride=s, padding=p)).trace("N 3 H W")
    assert net.output_shape[1] == c
    assert net.params == 3 * c * k**2 + c
    grouped = nn.Conv2d(c, c, 3, padding=1, groups=g, bias=False).trace("N c H W")
    assert grouped.params == 9 * c**2 / g
    assert grouped.macs == 9 * c**2 * N * H * W / g


def test_params_of_a_part_are_those_of_its_layers() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)).trace("N 3 H W")
    assert (net.at("0").params, net.params) == (224, 224 + 584)
    assert net.at("0").output_shape == (N, 8, H - 2, W - 2)


def test_nodes_are_records() -> None:
    net = chain(nn.Conv2d(3, 8, 3), nn.ReLU())
    conv, relu = net.nodes
    assert (conv.name, conv.op, conv.params) == ("0", "conv2d", 224)
    assert conv.input_shapes == ((N, 3, H, W),)
    assert conv.output_shapes == ((N, 8, H - 2, W - 2),)
    assert sympy.sympify(conv.macs).subs({N: 1, H: 5, W: 5}) == 9 * 27 * 8
    assert (relu.params, relu.macs) == (0, 0)


def test_summary_is_a_table_of_the_nodes() -> None:
    text = chain(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()).summary()
    assert "(N, 8, H, W)" in text
    assert "conv2d" in text
    assert "224" in text


def test_layers_that_can_agree_at_no_size() -> None:
    with pytest.raises(ShapeMismatch, match="channels"):
        chain(nn.Conv2d(3, 8, 3), nn.Conv2d(4, 8, 3))
    with pytest.raises(InvalidInput, match="kernel must fit"):
        nn.Conv2d(3, 8, 9).trace("N 3 5 5")


@pytest.mark.parametrize(
    ("spec", "column"),
    [("N 3 H ?", 6), ("N 3 H -1", 6), ("N 3 0 W", 4), ("N 3H W", 3), ("N (H) W", 2)],
)
def test_malformed_specs_point_at_the_character(spec: str, column: int) -> None:
    with pytest.raises(BadSpec) as error:
        parse_shape(spec)
    assert str(error.value).splitlines()[2].index("^") == column + 4


@pytest.mark.parametrize("spec", ["", "  ", ",", 3, None, ("N", None)])
def test_empty_specs(spec: Any) -> None:
    with pytest.raises(BadSpec):
        parse_shape(spec)


def test_specs_name_any_symbol() -> None:
    assert [str(s) for s in parse_shape("batch, 3, H_in,W2")] == ["batch", "3", "H_in", "W2"]


@pytest.mark.parametrize("text", ["7by7", "", "x", "7x0", "7x-1"])
def test_malformed_targets(text: str) -> None:
    with pytest.raises(BadSpec):
        parse_target(text)


@pytest.mark.parametrize("text", ["H", "H=", "H=a", "=3", "H=1;W=2", "__import__('os')=1"])
def test_malformed_sizes(text: str) -> None:
    with pytest.raises(BadSpec):
        parse_assignments(text)


def test_concrete_networks_have_concrete_shapes() -> None:
    net = nn.Conv2d(3, 8, 3, padding=1).trace("1 3 224 224")
    assert net.output_shape == (1, 8, 224, 224)
    assert all(type(size) is int for size in net.output_shape)
    assert net.macs == 8 * 27 * 224 * 224


def test_sizes_may_be_given_by_symbol_in_membership() -> None:
    found = chain(nn.Conv2d(3, 8, 3)).solve(output=(7, 7))
    assert {"H": 9, "W": 9} in found
    assert {H: 9, W: 9} in found


def test_a_target_that_the_output_has_at_every_size_is_met_by_every_size() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(3)).trace("N 3 H W")
    assert str(net.solve(output=(3, 3))) == "H >= 3 and W >= 3"
    assert net.solve(output=(7, 7)).at == "0"


def test_a_member_may_be_the_sizes_that_shape_at_takes() -> None:
    net = nn.Conv2d(3, 8, 3).trace("N 3 H W")
    domain = net.valid_inputs()
    assert {"N": 1, "H": 7, "W": 7} in domain
    assert {"N": 1, "H": 2, "W": 7} not in domain
    assert {"N": 0, "H": 7, "W": 7} not in domain
    assert {"N": 1, "H": 7, "W": 7} in domain & domain.axis("H")
    assert {"N": 8, "H": 9, "W": 9} in net.solve(output=(7, 7), H=range(1, 99))
    with pytest.raises(BadSpec, match="a member gives H, W, not H, W, M"):
        assert {"H": 7, "W": 7, "M": 1} in domain
    with pytest.raises(BadSpec, match="the budget is for N=1"):
        assert {"N": 8, "H": 7, "W": 7} in net.solve(macs="1M")
    assert nn.Conv2d(3, 8, 3).trace("N 3 9 9").receptive_field().at().size == (3, 3)
