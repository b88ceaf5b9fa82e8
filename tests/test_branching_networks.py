"""Random networks whose python branches on sizes: torch builds them, and judges what we say."""

import inspect
from functools import reduce
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import symcnn
from symcnn.network import Network
from symcnn.sets.isl import isl, parts, question
from symcnn.testing.branching import BranchingRecipe, branching_networks
from tests.fuzz.branching import judge
from tests.fuzz.sweep import branching_case, judge_cases


@settings(max_examples=5)
@given(branching_networks(most=1))
def test_a_network_with_branches_is_what_torch_says_at_every_size(recipe: Any) -> None:
    assert judge(recipe).mismatches == []


def test_cases_of_the_sweep_are_what_torch_says() -> None:
    tally = judge_cases("branching", 7, range(4))
    assert tally.mismatches == []
    assert tally.branching == 4
    assert tally.counts["branches followed"] > 8


def test_a_case_is_always_the_same() -> None:
    assert branching_case(3, 5) == branching_case(3, 5)
    assert branching_case(3, 5) != branching_case(3, 6)


@given(st.data())
@settings(max_examples=20)
def test_a_recipe_prints_as_the_module_that_it_builds(data: st.DataObject) -> None:
    recipe = data.draw(branching_networks())
    assert inspect.getsource(type(recipe.build()).forward).rstrip() in str(recipe)


def test_a_wrong_shape_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "shape_at", lambda net, **sizes: (0,))
    recipe = BranchingRecipe(("x = F.max_pool2d(x, 2)",))
    assert "(0,) at 1 x 1, torch: refuses" in judge(recipe).mismatches


# Counterexamples ------------------------------------------------------------------------------


def traced(*forward: Any, layers: Any = ()) -> Network:
    recipe = BranchingRecipe(forward, layers)
    assert judge(recipe).mismatches == []
    return symcnn.from_torch(recipe.build(), recipe.spec)


def test_the_greatest_of_sizes_inside_a_floor_is_a_branch() -> None:
    """It was looked for without end."""
    net = traced("k = max(1, min(h // 6, 3))", "x = F.max_pool2d(x, k)")
    assert net.shape_at(N=1, H=20, W=20) == (1, 2, 6, 6)


def test_a_loop_ends_where_a_layer_leaves_no_size() -> None:
    """Of no sizes everything holds, a condition to go on too."""
    net = traced(
        "if w * h < 81:",
        "    while 13 < x.size(3) <= 36:",
        "        x = F.max_pool2d(x, 2)",
    )
    assert net.complete


def test_windows_of_a_padded_map_give_the_batch_back() -> None:
    """Nothing is left over of (H + 2)//3 rows of windows in windows of windows."""
    windows = (
        "n1, c1, h1, w1 = x.shape",
        "x = x.view(n1, c1, h1 // 2, 2, w1 // 2, 2).permute(0, 2, 4, 3, 5, 1)",
        "x = x.reshape(-1, 4, c1)",
        "n2 = int(x.shape[0] / (h1 * w1 / 2 / 2))",
        "x = x.view(n2, h1 // 2, w1 // 2, 2, 2, c1).permute(0, 5, 1, 3, 2, 4)",
        "x = x.reshape(n2, c1, h1, w1)",
    )
    net = traced("x = F.pad(x, (0, -w % 3, 0, -h % 3))", *windows)
    assert str(net.valid_inputs()) == "H % 6 in {0, 4, 5} and W % 6 in {0, 4, 5}"


def test_a_form_that_divides_by_zero_on_another_branch_is_not_that_of_the_branch() -> None:
    net = traced("x = F.max_pool2d(x, h // 6 if h >= 6 else 1)")
    assert net.shape_at(N=1, H=13, W=13) == (1, 2, 6, 6)


def test_what_is_divided_by_is_a_number_on_each_branch_so_that_the_domain_is_exact() -> None:
    net = traced(
        "if w % 2:",
        "    return x",
        "k = 3 - x.shape[2] % 3",
        "x = F.avg_pool2d(x, (k, 1))",
        "x = F.conv2d(x[:, :, : x.shape[2] // 3 * 3], torch.zeros(2, 2, 3, 3), stride=3)",
    )
    assert net.shape_at(N=1, H=12, W=12) == (1, 2, 1, 4)
    domain = net.valid_inputs()
    for height, width in product(range(1, 20), range(1, 8)):
        rows = height // (3 - height % 3) // 3
        assert ((height, width) in domain) == (width % 2 == 1 or (rows >= 1 and width >= 3))


def failing(monkeypatch: Any, name: str) -> None:
    """An isl whose `name` meets an assertion of its own, as happens with rare sets."""

    def fail(*_: Any) -> None:
        raise isl().Error(f'call to isl_set_{name} failed: Assertion "i >= 0" failed')

    monkeypatch.setattr(isl().Set, name, fail)


def test_where_isl_fails_to_make_parts_disjoint_they_are_subtracted_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sizes of a branch with `x.size(2) % 5`, heads even and up to 11, else even or odd."""
    failing(monkeypatch, "make_disjoint")

    @question
    def ask() -> None:
        whole = isl().Set("{ [x] : 2 <= x <= 11 or (x mod 4 = 0 and 5 <= x <= 30) }")
        found = parts(whole)
        assert sum(part.count_val().to_python() for part in found) == 15
        assert whole.is_equal(reduce(isl().Set.union, found))

    ask()


def test_a_failure_inside_isl_is_undecidable_and_not_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = traced("if h % 2:", "    x = F.max_pool2d(x, 2)")
    domain = net.valid_inputs()
    failing(monkeypatch, "is_bounded")
    with pytest.raises(symcnn.Undecidable, match="isl fails inside"):
        domain.count()


@pytest.mark.parametrize("caught", ["ValueError", "RuntimeError", "TypeError", "Exception"])
def test_what_a_layer_refuses_is_caught_by_a_try_that_catches_it_of_torch(caught: str) -> None:
    """Our errors are ValueErrors, torch's of a layer is a RuntimeError."""
    traced(
        "if h == 5:",
        "    x = torch.cat([x[:, :1] for _ in range(w)], 1)",  # not followed: runs at numbers
        "if h < 2:",
        "    try:",
        "        return F.max_pool2d(x[:, :, :1], 2)",
        f"    except {caught}:",
        "        return x.transpose(2, 3)",
    )


def test_a_grid_around_the_middle_has_as_many_numbers_as_there_are_rows() -> None:
    """The bounds of `arange` are floats, of the middle of odd and even sizes (piq's filters)."""
    net = traced(
        "if h % 2:",
        "    y = torch.arange(-(h - 1) / 2, h / 2) / (h - 1)",
        "else:",
        "    y = torch.arange(-h / 2, h / 2) / h",
        "x = x * y[:, None] * torch.arange(0, w / 3)[:1]",
    )
    assert net.complete


def test_tokens_are_padded_to_whole_groups_by_those_before() -> None:
    """ATD (super-resolution): where a branch cut its groups, the domain was Undecidable."""
    net = traced(
        "n, size = x.shape[2] * x.shape[3], min(x.shape[2] * x.shape[3], 8)",
        "more = -(-n // size) * size - n",
        "x = x.flatten(2)",
        "x = torch.cat([x, x[:, :, n - more:].flip(2)], 2).unflatten(2, (-1, size))",
    )
    assert net.complete
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"


class Positions(torch.nn.Module):
    """Positions of so many patches, laid on a map of any size at which they fill it (PVT)."""

    def __init__(self, patches: int) -> None:
        super().__init__()
        self.places = torch.nn.Parameter(torch.zeros(1, patches, 4))
        self.conv = torch.nn.Conv2d(4, 4, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, places = self.conv(x), self.places.detach()
        n, c, h, w = x.shape
        if h * w != 576:
            laid = places.reshape(1, h, w, -1).permute(0, 3, 1, 2)
            places = F.interpolate(laid, size=(h, w)).reshape(1, -1, h * w).transpose(1, 2)
        tokens = x.flatten(2).transpose(1, 2) + places
        return tokens.transpose(1, 2).reshape(n, c, h, w)


def test_positions_that_are_laid_anew_at_each_stage_leave_few_sizes() -> None:
    """PVT of transformers took too many steps of isl: its stages were crossed box by box."""
    module = torch.nn.Sequential(Positions(144), Positions(36), Positions(9)).to("meta")
    net = symcnn.from_torch(module, "N 4 H W")
    assert net.complete
    assert str(net.valid_inputs()) == (
        "(24 <= H <= 25 and 24 <= W <= 25) or (8 <= H <= 9 and 72 <= W <= 73)"
        " or (72 <= H <= 73 and 8 <= W <= 9)"
    )
    for size in ((24, 25), (8, 73), (9, 72), (72, 9)):
        assert module(torch.empty(1, 4, *size, device="meta")).shape == net.shape_at(
            N=1, H=size[0], W=size[1]
        )
    for size in ((16, 36), (26, 24), (8, 74), (12, 48)):
        with pytest.raises(RuntimeError):
            module(torch.empty(1, 4, *size, device="meta"))


class Shifts(torch.nn.Module):
    """Frames by a number, of images cut into tiles: einops asks first, and the view again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c, h, w = x.shape
        tiles = x.reshape(n, t, c, h // 8, 8, w // 8, 8).permute(0, 1, 3, 5, 2, 4, 6)
        places = tiles.reshape(n, t * (h // 8) * (w // 8), -1)
        for _ in range(2):
            if places.shape[1] % 4:
                raise ValueError("the frames do not divide the places")
            frames = places.reshape(n, 4, places.shape[1] // 4, -1)
            places = frames.flip(1).reshape(n, frames.shape[1] * frames.shape[2], -1)
            if places.shape[1] % t:
                raise ValueError("the places are no frames")
            places = places.reshape(n, t, places.shape[1] // t, -1).relu().flatten(1, 2)
        return places


def test_frames_that_share_out_the_tiles_of_images_have_a_domain() -> None:
    net = symcnn.from_torch(Shifts(), "N T 3 H W")
    assert net.complete
    sizes = net.valid_inputs()
    for t, h, w in product((1, 2, 3, 4), (8, 12, 16, 24, 32), (8, 16, 32)):
        try:
            want = tuple(Shifts()(torch.zeros(1, t, 3, h, w)).shape)
        except (RuntimeError, ValueError):
            want = None
        assert ({"T": t, "H": h, "W": w} in sizes) == (want is not None)
        if want is not None:
            assert net.shape_at(N=1, T=t, H=h, W=w) == want
