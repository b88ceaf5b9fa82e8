"""Wishes that combine: ranges, formulas, scales, several targets, budgets, and what clashes."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn as tnn
from torch.nn import functional as F

import symcnn
from symcnn import BadSpec, FloorDiv, H, NoSolution, Undecidable, W, nn, symbols
from symcnn.algebra.size import Size, evaluate, prod
from symcnn.questions.inputs.budget import budget
from symcnn.questions.inputs.limits import amount
from symcnn.sets.condition import Condition


@pytest.fixture(scope="module")
def net() -> symcnn.Network:
    """Strides of 2 and 4 and a valid convolution."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3)
    ).trace("N 3 H W")


@pytest.fixture(scope="module")
def resnet(example: Callable[..., Any]) -> symcnn.Network:
    return symcnn.from_torch(example("resnet:resnet50"), "N 3 H W")


@pytest.fixture(scope="module")
def unet(example: Callable[..., Any]) -> symcnn.Network:
    return symcnn.from_torch(example("unet:unet"), "N 3 H W")


# formulas


def test_symbols_as_a_target_make_the_answer_a_formula(resnet: Any) -> None:
    formula = resnet.solve(output=("h", "w"))
    assert str(formula) == "32*h - 31 <= H <= 32*h and 32*w - 31 <= W <= 32*w"
    assert formula.given(h=7, w=7) == resnet.solve(output=(7, 7))
    assert str(formula.possible) == "h >= 1 and w >= 1"
    assert formula.parameters == ("h", "w")


def test_a_formula_holds_for_every_target_from_1_to_50(resnet: Any) -> None:
    formula = resnet.solve(output=("h", None))
    for h in range(1, 51):
        assert formula.given(h=h) == resnet.solve(output=(h, None))


def test_the_symbols_may_be_sympys_and_have_ranges(resnet: Any) -> None:
    h = symbols("h")
    formula = resnet.solve(output=(h, 7), h=range(3, 5))
    assert str(formula) == "32*h - 31 <= H <= 32*h and 3 <= h <= 4 and 193 <= W <= 224"


def test_a_formula_says_which_targets_there_are(unet: Any) -> None:
    assert str(unet.solve(output=("h", None)).possible) == "h % 16 == 0 and h >= 16"


def test_words_and_sympy_of_a_formula_say_the_same_set(net: Any) -> None:
    formula = net.solve(output=("h", "w"), square=True)
    relation = formula.as_sympy()
    for h, x in itertools.product(range(1, 6), range(1, 40)):
        inside = (h, h, x, x) in formula
        assert inside == ((x, x) in net.valid_inputs() and net.shape_at(N=1, H=x, W=x)[2] == h)
        at = {"h": h, "w": h, "H": x, "W": x}
        assert eval(str(formula), {}, {**at, "max": max, "min": min}) == inside
        assert bool(relation.subs({symbols(k): v for k, v in at.items()})) == inside


# same size, and scales


def test_where_the_output_is_as_large_as_the_input(unet: Any, net: Any) -> None:
    assert unet.solve(output=(H, W)) == unet.valid_inputs()
    with pytest.raises(NoSolution):
        net.solve(output=(H, W))


def test_where_the_output_is_a_part_of_the_input(resnet: Any) -> None:
    assert str(resnet.solve(output=(H / 32, W / 32))) == (
        "H % 32 == 0 and H >= 32 and W % 32 == 0 and W >= 32"
    )
    rounded = resnet.solve(output=(FloorDiv(H, 32), None))
    assert rounded == resnet.solve(output=(H / 32, None))


def test_where_the_output_is_twice_the_input() -> None:
    up = nn.Sequential(nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1)).trace("N 3 H W")
    assert up.solve(output=(2 * H, 2 * W)) == up.valid_inputs()
    assert up.solve(output="2*Hx2*W") == up.valid_inputs()


# ranges and restrictions


@given(
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(1, 9),
    st.integers(1, 30),
    st.integers(0, 40),
    st.booleans(),
)
def test_restrictions_are_exactly_what_they_say(
    low: int, more: int, multiple: int, least: int, span: int, square: bool
) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 5, 3)).trace(
        "N 3 H W"
    )
    try:
        found = net.solve(
            output=(range(low, low + more + 1), None),
            multiple_of=multiple,
            within=(least, least + span),
            square=square,
        )
    except NoSolution:
        found = ()
    for x, y in itertools.product(range(1, 30), (5, 12, 24)):
        truth = (
            (x, y) in net.valid_inputs()
            and low <= net.shape_at(N=1, H=x, W=y)[2] <= low + more
            and x % multiple == y % multiple == 0
            and least <= min(x, y)
            and max(x, y) <= least + span
            and (x == y or not square)
        )
        assert ((x, y) in found) == truth


def test_at_least_so_large(resnet: Any) -> None:
    assert str(resnet.solve(output=(">=7", ">=7"))) == "H >= 193 and W >= 193"
    assert resnet.solve(output=">=7x>=7") == resnet.solve(output=(">=7", ">=7"))
    assert str(resnet.solve(output=("<=2", range(3, 5)))) == "1 <= H <= 64 and 65 <= W <= 128"


def test_aspect_is_width_to_height(resnet: Any) -> None:
    wide = resnet.solve(aspect=(16, 9), multiple_of=8, within=(100, 800))
    assert list(wide) == [(72 * k, 128 * k) for k in range(2, 7)]


def test_sizes_can_be_fixed_or_bounded_by_name(resnet: Any) -> None:
    assert str(resnet.solve(output=(7, None), W=224)) == "193 <= H <= 224 and W == 224"
    assert str(resnet.solve(H=range(100, 200), W=range(64, 641, 64))) == (
        "100 <= H <= 199 and W % 64 == 0 and 64 <= W <= 640"
    )


def test_several_targets_at_once(resnet: Any) -> None:
    both = resnet.solve(output={"layer3": (14, 14), "layer4": (7, 7)})
    assert str(both) == "209 <= H <= 224 and 209 <= W <= 224"
    assert both == resnet.solve(output=(14, 14), at="layer3") & resnet.solve(output=(7, 7))


# clashes


def test_of_contradictory_wishes_the_two_that_clash_are_named(resnet: Any) -> None:
    with pytest.raises(NoSolution) as error:
        resnet.solve(output={"layer3": (14, 14), "layer4": (8, 8)}, multiple_of=2)
    assert error.value.cause == (
        "output=14x14 at layer3 and output=8x8 at layer4 clash: no input has both"
    )
    assert "the nearest output that some input gives: 15x15" in error.value.cure


def test_a_target_outside_the_range_names_the_nearest_inside(resnet: Any) -> None:
    with pytest.raises(NoSolution) as error:
        resnet.solve(output=(7, 7), within=(10, 20))
    assert error.value.cause == (
        "output=7x7 at layer4 and within=(10, 20) clash: no input has both"
    )
    assert error.value.cure.endswith("the nearest output that some input gives: 1x1")


def test_three_wishes_of_which_any_two_go_together() -> None:
    plain = nn.Conv2d(3, 3, 1).trace("N 3 H W")
    with pytest.raises(NoSolution, match="any two of them go together"):
        plain.solve(multiple_of=6, within=(13, 20), output=(range(7, 14), None))


def test_features_that_no_input_gives_have_a_nearest(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("article_a:article_a"), "N 3 H W")
    with pytest.raises(NoSolution, match="nearest that some input gives: 12544, at H=259, W=259"):
        net.solve(flatten=256 * 47, square=True)
    assert net.solve(flatten=9216, output=(6, 6)) == net.solve(output=(6, 6))
    with pytest.raises(NoSolution, match="flatten=9216 clash"):
        net.solve(flatten=9216, output=(7, 7))


@pytest.mark.parametrize(
    "wishes",
    [
        {"output": ()},
        {"output": "7by7"},
        {"output": "8..5x7"},
        {"output": (range(5, 5), 7)},
        {"output": (">= seven", 7)},
        {"output": (7, 7), "h": range(4)},
        {"output": ("h", 7), "h": range(4, 4)},
        {"output": (7, 7), "W": 1.5},
        {"output": (7, 7), "W": 0},
        {"within": 5},
        {"within": (9, 5)},
        {"within": ((1, 2), (3, 4), (5, 6))},
        {"within": (1, 2, 3)},
        {"multiple_of": 0},
        {"multiple_of": (2, 3, 4)},
        {"multiple_of": 2.5},
        {"aspect": 1.5},
        {"aspect": (16, 0)},
        {"macs": "many"},
        {"macs": -1},
        {"macs": True},
        {"macs": float("nan")},
        {"memory": "8 GiX"},
        {"output": {"conv9": (7, 7)}},
    ],
    ids=str,
)
def test_wishes_of_no_use(net: Any, wishes: dict[str, Any]) -> None:
    with pytest.raises(BadSpec):
        net.solve(**wishes)


# budgets


def cost(net: Any, what: Any, x: Any, y: Any, n: Any = 1) -> Any:
    sizes = {"N": n, "H": x, "W": y}
    if what == "memory":
        return 4 * sum(evaluate(prod(t.dims), sizes) for n in net.nodes for t in n.outputs)
    return sum(evaluate(node.result.work, sizes) for node in net.nodes)


layers = st.one_of(
    st.builds(
        lambda k, s, p: nn.Conv2d(3, 3, k, stride=s, padding=p),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.integers(0, 2),
    ),
    st.builds(lambda k: nn.ConvTranspose2d(3, 3, k, stride=2), st.integers(1, 3)),
)


@given(
    st.lists(layers, min_size=1, max_size=3),
    st.integers(100, 60_000),
    st.sampled_from(["macs", "memory"]),
    st.sampled_from([{}, {"multiple_of": 3}, {"multiple_of": (2, 5)}, {"H": range(4, 30, 5)}]),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_what_fits_a_budget_is_exactly_what_costs_no_more(
    parts: list[Any], limit: int, what: str, more: Any, a: int, b: int
) -> None:
    net = nn.Sequential(*parts).trace("N 3 H W")
    allowed = net.solve(within=(1, 40), **more)
    truth = {p for p in allowed if cost(net, what, *p) <= limit}
    try:
        budget: Any = {what: limit}
        found = net.solve(within=(1, 40), **more, **budget)
    except NoSolution:
        assert not truth
        return
    assert truth == set(found)
    assert list(found) == sorted(truth, key=lambda p: (max(p), sum(p), p))
    assert found.count() == len(truth)
    assert found.smallest() == min(truth, key=lambda p: (max(p), sum(p), p))
    assert found.largest() == max(truth, key=lambda p: (min(p), sum(p), p))
    assert found.nearest(a, b) == min(
        truth,
        key=lambda p: (
            max(abs(p[0] - a), abs(p[1] - b)),
            abs(p[0] - a) + abs(p[1] - b),
            (-p[0], -p[1]),
        ),
    )
    if hasattr(found, "frontier"):
        maximal = {
            p for p in truth if not any(p != q and p[0] <= q[0] and p[1] <= q[1] for q in truth)
        }
        assert set(found.frontier()) == maximal
        assert set(found.axis("H")) == {x for x, _ in truth}
        assert found.where() & allowed == found


def test_a_budget_alone_bounds_both_axes(resnet: Any) -> None:
    found = resnet.solve(macs=4e9)
    assert str(found) == "H >= 1 and W >= 1 and MACs <= 4,000,000,000"
    side = found.largest()[0]
    assert cost(resnet, "macs", side, side) <= 4e9 < cost(resnet, "macs", side + 1, side + 1)
    assert (216, 216) in found
    assert (224, 224) not in found


def test_squares_within_a_budget_are_a_plain_bound(resnet: Any) -> None:
    assert str(resnet.solve(macs="4G", square=True)) == "1 <= H <= 216 and H == W"


def test_a_budget_on_memory_counts_the_batch(resnet: Any) -> None:
    found = resnet.solve(memory="8 GiB", N=32, square=True)
    side = found.largest()[0]
    assert cost(resnet, "memory", side, side, 32) <= 8 << 30
    assert cost(resnet, "memory", side + 1, side + 1, 32) > 8 << 30


def test_budgets_combine(resnet: Any) -> None:
    both = resnet.solve(macs=4e9, memory="64 MiB", multiple_of=32)
    assert both == resnet.solve(macs=4e9, multiple_of=32) & resnet.solve(
        memory="64 MiB", multiple_of=32
    )


def test_a_frontier_holds_the_maximal_sizes(resnet: Any) -> None:
    frontier = resnet.solve(macs=4e9, multiple_of=32).frontier()
    assert (224, 192) in frontier
    assert (192, 224) in frontier
    assert frontier == sorted(frontier, reverse=True)


@pytest.mark.parametrize("what", ["macs", "params", "memory", "activations", "flops"])
def test_a_budget_that_nothing_meets_says_what_the_least_costs(resnet: Any, what: str) -> None:
    with pytest.raises(NoSolution, match="no input keeps within") as error:
        resnet.solve(**{what: 1000})
    assert "has" in error.value.cure


# at least


@given(
    st.lists(layers, min_size=1, max_size=3),
    st.integers(100, 60_000),
    st.none() | st.integers(0, 60_000),
    st.sampled_from(["macs", "memory"]),
    st.sampled_from([{}, {"multiple_of": 3}, {"square": True}, {"H": range(4, 30, 5)}]),
    st.integers(1, 60),
)
@settings(max_examples=settings().max_examples // 4)
def test_what_costs_at_least_so_much_is_exact_too(
    parts: list[Any], low: int, more: Any, what: str, wish: dict[str, Any], a: int
) -> None:
    net = nn.Sequential(*parts).trace("N 3 H W")
    high = None if more is None else low + more
    limit = f">={low}" if high is None else f"{low}..{high}"
    allowed = net.solve(within=(1, 40), **wish)
    truth = {
        p
        for p in allowed
        if low <= cost(net, what, *p) and (high is None or cost(net, what, *p) <= high)
    }
    try:
        budget: Any = {what: limit}
        found = net.solve(within=(1, 40), **wish, **budget)
    except NoSolution:
        assert not truth
        return
    assert truth == set(found)
    assert {p for p in allowed if p in found} == truth
    assert found.count() == len(truth)
    assert found.smallest() == min(truth, key=lambda p: (max(p), sum(p), p))
    assert found.largest() == max(truth, key=lambda p: (min(p), sum(p), p))
    assert found.nearest(a, a) in truth
    assert found & allowed == found == found.where()
    if hasattr(found, "frontier"):
        maximal = {
            p for p in truth if not any(p != q and p[0] <= q[0] and p[1] <= q[1] for q in truth)
        }
        assert set(found.frontier()) == maximal


def test_at_least_without_a_bound_on_the_size(resnet: Any) -> None:
    assert str(resnet.solve(macs=">=4e9", square=True)) == "H >= 217 and H == W"
    found = resnet.solve(macs=">=4e9")
    assert str(found) == "H >= 1 and W >= 1 and MACs >= 4,000,000,000"
    assert (217, 217) in found
    assert (216, 216) not in found
    assert found.count() is None
    assert not found.bounded
    assert found == resnet.valid_inputs() - resnet.solve(macs=4 * 10**9 - 1)


def test_a_budget_may_have_two_ends(resnet: Any) -> None:
    found = resnet.solve(macs="4G..5G", multiple_of=32)
    assert found == resnet.solve(macs="5G", multiple_of=32) & resnet.solve(macs=">=4G")
    assert found == resnet.solve(macs=range(4 * 10**9, 5 * 10**9 + 1), multiple_of=32)
    assert (224, 224) in found


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"params": ">=1e9"}, "25,557,032 parameters"),
        ({"macs": ">=4G", "within": (1, 64)}, "H=64, W=64, has 335,691,776"),
    ],
)
def test_a_least_cost_that_nothing_has_says_what_the_most_is(
    resnet: Any, wish: dict[str, Any], told: str
) -> None:
    with pytest.raises(NoSolution) as error:
        resnet.solve(**wish)
    assert told in error.value.cure


def test_two_budgets_that_clash(resnet: Any) -> None:
    with pytest.raises(NoSolution, match="at once"):
        resnet.solve(macs="<=1G", memory=">=1 GiB")


@pytest.mark.parametrize("limit", ["5G..4G", "4G..", ">=", ">=x", range(0, 9, 2), ">=-3"])
def test_budgets_of_no_use(resnet: Any, limit: Any) -> None:
    with pytest.raises(BadSpec):
        resnet.solve(macs=limit)


# memory


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("what", "figure"),
    [(f, f) for f in ("activations", "saved", "peak")] + [("memory", "activations")],
)
def test_memory_is_the_figure_that_cost_has(unet: Any, what: Any, figure: Any, dtype: str) -> None:
    found = unet.solve(**{what: "64 MiB"}, N=2, square=True, dtype=dtype)
    side = found.largest()[0]
    bytes_at = [
        getattr(unet.cost(dtype=dtype).at(N=2, H=x, W=x), figure) for x in (side, side + 16)
    ]
    assert bytes_at[0] <= 64 << 20 < bytes_at[1]


def test_the_peak_may_be_bounded_from_below(resnet: Any) -> None:
    least = resnet.solve(peak=">=1 MiB", square=True).smallest()[0]
    peaks = [resnet.cost().at(N=1, H=x, W=x).peak for x in (least - 1, least)]
    assert peaks[0] < 1 << 20 <= peaks[1]


def test_half_precision_takes_half_the_memory(resnet: Any) -> None:
    assert resnet.solve(memory="1 GiB", dtype="float16") == resnet.solve(memory="2 GiB")


def test_a_cost_that_is_not_known_is_refused_and_not_zero() -> None:
    class Opaque(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    @symcnn.rule(Opaque)
    def opaque(module: Any, input: Any) -> Any:
        return input.dims

    net = symcnn.from_torch(Opaque(), "N 3 H W")
    with pytest.raises(symcnn.UnsupportedOperation, match="Opaque"):
        net.solve(macs=100)


def test_parameters_do_not_depend_on_the_size(resnet: Any) -> None:
    assert resnet.solve(params=10**9) == resnet.valid_inputs()


def test_the_time_does_not_grow_with_the_budget(resnet: Any) -> None:
    class Counting(dict[Any, Any]):
        calls = 0

        def __getitem__(self, key: Any) -> Any:
            Counting.calls += 1
            return super().__getitem__(key)

    counts = []
    for limit in (10**10, 10**16):
        found = resnet.solve(macs=limit)
        Counting.calls = 0
        for part in found._boxed:
            object.__setattr__(
                part,
                "fits",
                lambda point, found=found: all(
                    b.cost(Counting(zip(found.shown, point, strict=True))) <= b.limit
                    for b in found.budgets
                ),
            )
        found.largest(), found.nearest(500, 375)
        counts.append(Counting.calls)
    assert counts[1] < 3 * counts[0]


@pytest.mark.parametrize("what", ["memory", "peak"])
def test_a_map_that_is_resized_where_it_does_not_fit_has_a_budget(what: str) -> None:
    """Feature pyramids: at some residues of the size there is one map more."""

    class Pyramid(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Conv2d(8, 8, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            fine = self.a(x)
            up = torch.nn.functional.interpolate(self.b(fine), scale_factor=2)
            if up.shape[-2:] != fine.shape[-2:]:
                up = torch.nn.functional.interpolate(up, size=fine.shape[-2:])
            return torch.cat([up, fine], 1)

    net = symcnn.from_torch(Pyramid(), "1 3 H W")
    figure = "activations" if what == "memory" else what
    asked: Any = {what: 100_000}
    line, plane = net.solve(**asked, W=33), net.solve(**asked)
    for height in range(1, 150):
        fits = int(getattr(net.given(H=height, W=33).cost(), figure)) <= 100_000
        assert ((height, 33) in line) == fits == ((height, 33) in plane), height


def test_a_cost_that_does_not_grow_is_refused() -> None:
    x = symcnn.tensor("N 3 H W")
    y = nn.Conv2d(3, 3, 1)(x)
    folded = symcnn.Network(inputs=x, outputs=y)
    assert folded.solve(macs=900).largest() == (10, 10)
    rest = Size.symbol("H") % 7
    with pytest.raises(Undecidable, match="does not grow"):
        budget("MACs", [rest], 5, folded.valid_inputs(), {})


def test_a_receptive_field_may_have_an_upper_end(resnet: Any) -> None:
    assert resnet.solve(receptive_field="<=427") == resnet.valid_inputs()
    with pytest.raises(NoSolution, match="it is 427x427"):
        resnet.solve(receptive_field="1..426")


def test_amounts() -> None:
    assert [amount(t, "macs") for t in (4e9, "4e9", "4G", "1.5 GB", "2 KiB", "7")] == [
        4 * 10**9,
        4 * 10**9,
        4 * 10**9,
        15 * 10**8,
        2048,
        7,
    ]


# products


def test_divisor_pairs_with_a_restriction(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("article_a:article_a"), "N 3 H W")
    found = net.solve(flatten=12544, within=(60, 1700), multiple_of=16)
    for x, y in found:
        assert ((x - 35) // 32) * ((y - 35) // 32) == 49
    assert (272, 288) in found
    assert (80, 1616) in found


def test_solving_does_not_trace_again_and_is_a_matter_of_milliseconds(
    example: Callable[..., Any],
) -> None:
    from time import perf_counter

    deep = symcnn.from_torch(example("resnet:resnet152"), "N 3 H W")
    deep.solve(output=(7, 7))  # isl is loaded
    times = []
    for _ in range(20):
        start = perf_counter()
        deep.solve(output=(7, 7))
        times.append(perf_counter() - start)
    assert min(times) < 0.005


def test_no_bound_on_the_size_is_searched() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1)).trace("N 3 H W")
    found = net.solve(output=(10**12, 10**12))
    assert found.smallest() == (2 * 10**12 - 1, 2 * 10**12 - 1)


def test_torch_agrees_at_the_ends_of_a_budget(resnet: Any, example: Callable[..., Any]) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = example("resnet:resnet50")
    side = resnet.solve(macs=4e9, square=True).largest()[0]
    for size, fits in ((side, True), (side + 1, False)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.empty(1, 3, size, size, device="meta"))
        assert (counter.get_total_flops() // 2 <= 4e9) == fits


def test_a_budget_holds_of_a_skip_that_is_cropped_to_what_is_upsampled() -> None:
    """By a negative padding, which does not grow as it is written: it is a number on the domain."""

    class Cropped(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = tnn.Conv2d(3, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            skips, y = [], x
            for _ in range(4):
                skips.append(self.conv(self.conv(y)))
                y = F.max_pool2d(skips[-1], 2)
            y = self.conv(self.conv(y))
            for skip in skips[::-1]:
                up = F.interpolate(y, scale_factor=2.0)
                crop = (up.shape[2] - skip.shape[2]) // 2
                y = self.conv(self.conv(F.pad(skip, [crop] * 4) + up))
            return y

    net = symcnn.from_torch(Cropped(), "N 3 H W")
    found = net.solve(peak="2 MiB", N=1)
    for h, w in itertools.product(range(188, 300, 16), repeat=2):
        peak = int(net.cost().at(N=1, H=h, W=w).peak)
        assert ((1, h, w) in found) == (peak <= 2**21)


def test_a_budget_asks_no_growth_of_a_size_that_the_domain_fixes() -> None:
    """Swin for one size: windows are counted with floors that do not grow, at one size only."""
    h, w = Size.symbol("H"), Size.symbol("W")
    domain = symcnn.nn.Conv2d(3, 4, 1).trace("1 3 H W").valid_inputs()
    with pytest.raises(Undecidable, match="does not grow"):
        budget("macs", [(h % 7 + 1) * w], 30, domain, {})
    fixed = domain.where(Condition(h, "==", 16))
    assert budget("macs", [(h % 7 + 1) * w], 30, fixed, {}).terms == ((3, (w,)),)


def test_a_band_of_work_has_ends_and_a_number_of_members() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU()).trace("N 3 H W")
    found = net.solve(macs="2e4..3e4", N=1)
    rows = range(3, 280)  # of more, 216 multiplications each, are too many
    members = {
        (h, w)
        for h in rows
        for w in rows
        if 20_000 <= 216 * ((h - 1) // 2) * ((w - 1) // 2) <= 30_000
    }
    assert found.count() == len(members)
    assert found.smallest() == min(members, key=lambda p: (max(p), sum(p), p))
    assert found.largest() == max(members, key=lambda p: (min(p), sum(p), p))
    assert net.solve(macs="1e9..2e9", N=1).count() == 312_754_140


class Segments(torch.nn.Module):
    """Windows of 25 samples, each seen by the same convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(1, 8, 9, stride=2, padding=4)
        self.skip = torch.nn.Conv1d(1, 1, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        length = x.shape[2]
        if length % 25:
            raise ValueError("whole windows")
        windows = self.conv(x.view(-1, 1, 25)).mean(-1)
        return windows.view(-1, length // 25, 8), self.skip(x)


def test_a_cost_of_whole_parts_of_the_input_has_a_bound() -> None:
    net = symcnn.from_torch(Segments(), "N 1 L")
    assert str(net.macs) == "1011*N*L/25 - 6*N"
    for limit in (9_098, 9_099, 100_000):
        fits = net.solve(macs=limit, N=1)
        for length in range(25, 3000, 25):
            assert ((1, length) in fits) == (net.given(N=1, L=length).macs <= limit)
    assert (
        str(net.solve(macs=range(9_000, 20_000), N=1).axis("L"))
        == "L % 25 == 0 and 225 <= L <= 475"
    )


class ChannelsLast(tnn.Module):
    """Stages on maps with channels last, and a classifier."""

    def __init__(self, *, head: bool) -> None:
        super().__init__()
        self.stem, self.mix = tnn.Conv2d(3, 8, 4, 4), tnn.Linear(32, 16)
        self.head = tnn.Linear(16, 10) if head else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        parts = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = self.mix(torch.cat(parts, -1))
        return x if self.head is None else self.head(x.mean((1, 2)))


@pytest.mark.parametrize("head", [False, True])
def test_a_map_with_channels_last_is_a_map(head: bool) -> None:
    net = symcnn.from_torch(ChannelsLast(head=head), "N 3 H W")
    found = net.solve(output=(7, 7))
    sizes = [h for h in range(4, 80) if (h, h) in found]
    body = ChannelsLast(head=False)
    assert sizes == [h for h in range(4, 80) if body(torch.zeros(1, 3, h, h)).shape[1:3] == (7, 7)]
    if not head:
        assert net.solve(output=(7, 7, 16)) == found
        assert net.solve(output=(7, 16)) == net.solve(output=(None, 7, 16))


def test_how_the_size_of_a_map_with_channels_last_comes_about_is_explained() -> None:
    net = symcnn.from_torch(ChannelsLast(head=True), "N 3 H W")
    for axis, name in ((2, "H"), (3, "W")):
        text = str(net.explain("size", axis=axis))
        assert f"{name}//4" in text
        assert {"H": "W", "W": "H"}[name] + "//4" not in text


@pytest.mark.parametrize("limits", [(0, 10_000), (1, 20_000), (5_000, 20_000)])
def test_what_of_a_volume_fits_a_budget_is_exactly_what_costs_no_more(
    limits: tuple[int, int],
) -> None:
    low, high = limits
    volumes = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.MaxPool3d(2)).trace("N 1 D H W")
    found = volumes.solve(macs=f"{low}..{high}" if low else high)
    truth = {
        p for p in itertools.product(range(2, 48), repeat=3) if low <= 108 * math.prod(p) <= high
    }
    assert list(found) == sorted(truth, key=lambda p: (max(p), sum(p), p))
    assert found.count() == len(truth)
    assert found.smallest() == min(truth, key=lambda p: (max(p), sum(p), p))
    if not low:
        assert set(found.axis("H")) == {h for _, h, _ in truth}
        assert set(found.axis("W", "D")) == {(w, d) for d, _, w in truth}


def test_a_budget_on_volumes_of_more_than_one_place() -> None:
    volumes = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.GroupNorm(8, 8)).trace("N 1 D H W")
    found = volumes.solve(macs=10_000)
    assert (1, 1, 1) not in found
    assert found.smallest() == (1, 1, 2)
    assert found.largest() == max(found, key=lambda p: (min(p), sum(p), p))
