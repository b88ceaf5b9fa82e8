"""Hyperparameters left as symbols: all choices that reach a target, exact over sizes too."""

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, NoSolution, Undecidable, nn, symbols

from .conftest import formula

k, s, d, m, n = symbols("k s d m n")
p, o = symcnn.index("p"), symcnn.index("o")


# Brute force ---------------------------------------------------------------------------------

#: Layers, and where their hyperparameters may lie.
LAYERS = {
    "Conv1d": {"kernel_size": (1, 4), "stride": (1, 3), "padding": (0, 2), "dilation": (1, 2)},
    "ConvTranspose1d": {
        "kernel_size": (1, 4),
        "stride": (1, 3),
        "padding": (0, 2),
        "output_padding": (0, 2),
        "dilation": (1, 3),
    },
    "MaxPool1d": {"kernel_size": (1, 4), "stride": (1, 3), "padding": (0, 2), "dilation": (1, 2)},
    "AvgPool1d": {"kernel_size": (1, 4), "stride": (1, 3), "padding": (0, 2)},
    "Upsample": {"scale_factor": (1, 3)},
}


@st.composite
def chains(draw: Any) -> tuple[Any, Any]:
    """Layers, some of their hyperparameters symbols, and the numbers each symbol may be."""
    layers: list[Any] = []
    ranges: dict[str, Any] = {}
    for i in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*LAYERS]))
        values = {}
        for role, (low, high) in LAYERS[name].items():
            if len(ranges) < 3 and draw(st.integers(0, 2)) == 0:
                symbol = f"{role}{i}"
                ranges[symbol] = sorted(draw(st.sets(st.integers(low, high), min_size=1)))
                values[role] = symcnn.index(symbol) if low == 0 else symbols(symbol)
            else:
                values[role] = draw(st.integers(low, high))
        layers.append((name, values))
    return layers, ranges


def built(layers: Any, library: Any, numbers: Any) -> Any:
    found = []
    for name, values in layers:
        options = {role: numbers.get(str(v), v) for role, v in values.items()}
        found.append(getattr(library, name)(*(1, 1) if "Conv" in name else (), **options))
    return library.Sequential(*found)


def sizes_that_give(target: Any, layers: Any, numbers: Any, most: int) -> Any:
    """By torch on CPU: on meta it lets an output_padding pass that is not below the stride."""
    found = set()
    module = built(layers, torch.nn, numbers)
    for x in range(1, most + 1):
        try:
            y = module(torch.zeros(1, 1, x))
        except (RuntimeError, ValueError):
            continue
        if y.shape[2] == target:
            found.add(x)
    return found


@given(chains(), st.integers(1, 12))
@settings(max_examples=settings().max_examples // 4)
def test_all_choices_and_all_sizes_are_torchs(drawn: Any, target: int) -> None:
    layers, ranges = drawn
    truth = {}
    for numbers in product(*ranges.values()):
        values = dict(zip(ranges, numbers, strict=True))
        reached = sizes_that_give(target, layers, values, most=16)
        if reached:
            truth[numbers] = reached
    try:
        net = built(layers, nn, {}).trace("N 1 L")
        found = net.solve(output=(target,), within=(1, 16), **ranges)
    except (NoSolution, symcnn.InvalidInput, symcnn.ShapeMismatch):
        assert not truth
        return
    if not ranges:
        assert set(found) == truth[()]
        return
    answer = {tuple(one.values[name] for name in ranges): set(one.inputs) for one in found}
    assert answer == truth


# What it says --------------------------------------------------------------------------------


@pytest.fixture
def net() -> symcnn.Network:
    return nn.Sequential(nn.Conv2d(3, 8, k, stride=s, padding=p), nn.MaxPool2d(2)).trace("N 3 H W")


def test_each_choice_has_its_inputs() -> None:
    net = nn.Conv2d(3, 8, k, stride=4).trace("N 3 H W")
    found = net.solve(output=(56, 56), k=range(1, 12))
    assert [one["k"] for one in found] == [*range(1, 12)]
    for one in found:
        assert one.inputs == net.given(k=one["k"]).solve(output=(56, 56))
    assert str(found[2]) == "k=3: 223 <= H <= 226 and 223 <= W <= 226"
    assert {"k": 3, "H": 223, "W": 226} in found
    assert {"k": 3, "H": 222, "W": 226} not in found
    assert {"k": 12, "H": 223, "W": 226} not in found
    assert [one["k"] for one in found.taking(224, 224)] == [1, 2, 3, 4]
    assert found.given(k=3) == found[2].inputs


def test_at_a_size_the_same_layers_as_solve_layer_simplest_first() -> None:
    net = nn.Conv2d(3, 8, k, stride=s, padding=p).trace("N 3 H W")
    ranges: dict[str, Any] = {
        "kernel_size": range(1, 8),
        "stride": range(1, 6),
        "padding": range(4),
    }
    short = {"k": ranges["kernel_size"], "s": ranges["stride"], "p": ranges["padding"]}
    found = net.solve(output=(56, 56), H=224, W=224, **short)
    alone = symcnn.solve_layer("Conv2d", input=224, output=56, **ranges)
    defaults = {"stride": 1, "padding": 0}
    whole = [(c["kernel_size"], *((defaults | dict(c))[r] for r in defaults)) for c in alone]
    assert sorted((one["k"], one["s"], one["p"]) for one in found) == sorted(whole)
    off = [(one["s"] != 1) + (one["p"] != 0) for one in found]
    assert off == sorted(off)


def test_a_solution_is_a_network(net: Any) -> None:
    one = net.solve(output=(56, 56), H=224, W=224, k=[3, 5], s=[1, 2], p=range(3))[0]
    assert dict(one) == {"k": 3, "s": 2, "p": 1}
    assert one.net.params == net.given(**one).params == 3 * 8 * 9 + 8
    assert one.net.shape_at(N=1, H=224, W=224) == (1, 8, 56, 56)
    cheapest = min(
        net.solve(output=(56, 56), H=224, W=224, k=[5, 4], s=[2], p=range(3)),
        key=lambda one: one.net.cost().at(N=1, H=224, W=224).total,
    )
    assert cheapest["k"] == 4


def test_numbers_for_all_hyperparameters_make_a_plain_set(net: Any) -> None:
    assert net.solve(output=(56, 56), k=3, s=2, p=1) == net.given(k=3, s=2, p=1).solve(
        output=(56, 56)
    )


def test_every_wish_combines_with_open_hyperparameters(net: Any) -> None:
    found = net.solve(within=(1, 64), multiple_of=8, square=True, macs="1M", k=[3, 5], s=[2], p=[1])
    for one in found:
        plain = one.net.solve(within=(1, 64), multiple_of=8, square=True, macs="1M")
        assert one.inputs == plain
    pads = net.solve(receptive_field=11, k=range(1, 12), s=[2], p=[0])
    assert [one["k"] for one in pads] == [9, 10, 11]
    formula = net.solve(output=("h", "w"), k=[3], s=[1, 2], p=[1])
    assert str(formula.given(k=3, s=1, p=1).given(h=4, w=4)) == "8 <= H <= 9 and 8 <= W <= 9"


def test_a_scale_left_as_a_symbol() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Upsample(scale_factor=m)).trace(
        "N 3 H W"
    )
    assert str(net.output_shape) == "(N, 8, m*((H + 1)//2), m*((W + 1)//2))"
    found = net.solve(output=("H", "W"), m=range(1, 5))
    assert str(found[1:]) == "m=2: H % 2 == 0 and H >= 2 and W % 2 == 0 and W >= 2"
    assert str(found[:1]) == "m=1: H == 1 and W == 1"


def test_the_output_padding_that_undoes_a_convolution() -> None:
    up = nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=o)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), up).trace("N 3 H W")
    found = net.solve(output=("H", "W"), o=range(4))
    assert {one["o"]: str(one.inputs.axis("H")) for one in found} == {
        0: "H % 2 == 1 and H >= 1",
        1: "H % 2 == 0 and H >= 2",
    }  # 2 and 3: torch refuses an output_padding that is not below the stride


def test_the_depth_that_reaches_a_receptive_field() -> None:
    net = nn.Repeat(nn.Conv2d(8, 8, 3, padding=1), n).trace("N 8 H W")
    assert net.solve(receptive_field=224, n=range(1, 200))[0]["n"] == 112
    mixed = nn.Sequential(
        nn.Conv2d(8, 8, 7, stride=s, padding=3), nn.Repeat(nn.Conv2d(8, 8, 3, padding=1), n)
    ).trace("N 8 H W")
    found = mixed.solve(receptive_field=64, s=[1, 2, 4], n=range(1, 40))
    least = {step: min(one["n"] for one in found if one["s"] == step) for step in (1, 2, 4)}
    assert least == {1: 29, 2: 15, 4: 8}


def test_a_target_may_name_a_hyperparameter() -> None:
    net = nn.Conv2d(3, 8, k).trace("N 3 H W")
    found = net.solve(output=("k", None), k=[3, 5])
    assert [str(one.inputs.axis("H")) for one in found] == ["H == 5", "H == 9"]


def test_what_a_symbol_was_declared_not_to_be_is_left_out() -> None:
    kernel = symcnn.odd("kernel")
    net = nn.Conv2d(3, 8, kernel, padding=(kernel - 1) // 2).trace("N 3 H W")
    found = net.solve(output=("H", "W"), kernel=range(1, 7))
    assert [one["kernel"] for one in found] == [1, 3, 5]


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ({"k": range(0)}, "empty"),
        ({"k": []}, "empty"),
        ({"k": [1.5]}, "whole numbers"),
        ({"k": [0]}, "declared otherwise"),
        ({"k": 0}, "declared otherwise"),
        ({"z": range(3)}, "no size is called z"),
        ({"k": range(1, 2000), "s": range(1, 2000), "p": range(2000)}, "too many"),
    ],
)
def test_ranges_of_no_use(net: Any, ranges: dict[str, Any], told: str) -> None:
    with pytest.raises(BadSpec, match=told):
        net.solve(output=(56, 56), **ranges)


def test_where_no_choice_does_it_the_first_says_why(net: Any) -> None:
    with pytest.raises(NoSolution, match=r"no choice of k=1..3, s=\[1, 2\], p=0..1") as error:
        net.solve(output=(56, 56), H=32, k=range(1, 4), s=[1, 2], p=range(2))
    assert "the nearest output that some input gives: 16x56" in error.value.cure


def test_a_hyperparameter_without_a_range_is_asked_for(net: Any) -> None:
    with pytest.raises(Undecidable, match="s=range"):
        net.solve(output=(56, 56), k=range(1, 4))


def test_numbers_are_put_into_every_part(net: Any) -> None:
    given = net.given(k=3, s=2, p=1)
    assert given.hyperparameters == ()
    assert net.hyperparameters == ("k", "s", "p")
    assert [node.name for node in given.nodes] == [node.name for node in net.nodes]
    assert given.at("0").output_shape == given.nodes[0].output_shape
    assert given.receptive_field().size == (5, 5)
    assert given.cost().at(N=1, H=9, W=9).saved == given.cost().at(N=1, H=9, W=9).saved


def test_numbers_are_put_into_a_traced_module_too() -> None:
    with torch.device("meta"):
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten()).eval()
    net = symcnn.from_torch(module, "N 3 H W").given(H=8)
    assert str(net.output_shape) == "(N, 48*W - 96)"
    assert net.params == 224


def test_a_shape_at_hyperparameters_is_refused_where_the_layer_is() -> None:
    o = symcnn.index("o")
    net = nn.ConvTranspose2d(3, 8, 3, stride=2, output_padding=o).trace("N 3 H W")
    assert net.shape_at(N=1, H=7, W=9, o=1) == (1, 8, 16, 20)
    with pytest.raises(symcnn.ShapeMismatch, match="output_padding"):
        net.shape_at(N=1, H=7, W=9, o=2)


def test_a_list_that_grows_after_it_was_concatenated_does_not_change_the_network() -> None:
    made = [symcnn.tensor("N 8 H W")]
    for i in range(3):
        made.append(nn.Conv2d(8 + 4 * i, 4, 3, padding=1)(symcnn.cat(made, dim=1)))
    net = symcnn.Network(inputs=made[0], outputs=symcnn.cat(made, dim=1))
    assert str(net.given(H=5).output_shape) == "(N, 20, 5, W)"
    total = net.cost().total
    assert net.cost().at(N=1, H=5, W=6).total == formula(total).at(N=1, H=5, W=6)
