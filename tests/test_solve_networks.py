"""Brute force: domains and fibres of random networks, size by size, against torch on meta.

In small; ``python -m tests.fuzz --domains 1000``, which `make fuzz` runs, looks at every size
up to 300.
"""

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import symcnn
from symcnn import NoSolution, ShapeMismatch
from symcnn.sets.inputset import input_set
from symcnn.sets.relation import Relation
from symcnn.testing.networks import EncoderDecoder, NetworkRecipe, Op, networks

from .conftest import sure
from .fuzz import domains
from .fuzz.domains import judge

COUNT = settings().max_examples // 4


@settings(max_examples=COUNT, print_blob=True)
@given(networks(), st.integers(0, 10**6))
def test_domains_and_fibres_are_torchs(recipe: Any, seed: int) -> None:
    assert judge(recipe, random.Random(seed), most=60).mismatches == []


@settings(max_examples=COUNT // 2)
@given(networks(dims=(1,), most=4))
def test_the_formula_of_a_symbolic_target_gives_the_fibre_of_every_number(recipe: Any) -> None:
    with torch.device("meta"):
        module = recipe.build()
    try:
        net = symcnn.from_torch(module, recipe.spec)
        formula = net.solve(output=("y",))
    except (ShapeMismatch, NoSolution):
        return
    for y in range(1, 51):
        try:
            fibre = net.solve(output=(y,))
        except NoSolution:
            assert y not in formula.possible
            continue
        assert formula.given(y=y) == fibre


def test_a_symbolic_target_is_at_least_one() -> None:
    """The number 0 is a target of its own: torch crops to nothing, but does not pool to nothing."""
    net = symcnn.from_torch(torch.nn.ZeroPad1d((0, -1)), "N 3 L")
    assert str(net.solve(output=(0,))) == "L == 1"
    with pytest.raises(symcnn.InvalidInput, match="y=0: the symbols of a target are at least 1"):
        net.solve(output=("y",)).given(y=0)


# That it would notice


UNET = NetworkRecipe(
    EncoderDecoder(
        Op("MaxPool", {"kernel_size": 2}),
        Op("Conv", {"kernel_size": 3, "padding": 1}, 2),
        Op("ConvTranspose", {"kernel_size": 2, "stride": 2}, 2),
        "strict",
    ),
    dims=2,
    channels=1,
)


def test_every_size_is_looked_at_along_every_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    look = domains._torch_map
    monkeypatch.setattr(domains, "_torch_map", lambda *a: (seen.add(a[2]), look(*a))[1])  # type: ignore[func-returns-value]
    tally = judge(UNET, random.Random(0), most=40)
    for axis in (0, 1):
        assert {size[axis] for size in seen} == {*range(1, 41)}
    assert tally.mismatches == []
    assert tally.valid >= 20  # 2, 4, .. 40 along either axis, in pairs
    assert tally.fibres == 4


def test_a_wrong_domain_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symcnn.Network, "valid_inputs", lambda net: input_set(["H", "W"], []))
    found = judge(UNET, random.Random(0), most=20).mismatches
    assert any("we say it takes" in line and "torch None" in line for line in found)


def test_a_wrong_fibre_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = symcnn.Network.solve

    def off_by_two(net: Any, output: Any, at: Any) -> Any:
        return real(net, output=tuple(y if "y" in str(y) else y + 2 for y in output), at=at)

    monkeypatch.setattr(symcnn.Network, "solve", off_by_two)
    found = judge(UNET, random.Random(0), most=20).mismatches
    assert any("in the fibre of" in line for line in found)


def test_a_wrong_formula_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Relation.given
    monkeypatch.setattr(Relation, "given", lambda formula, y0, y1: real(formula, y0=y1, y1=y0))
    found = judge(UNET, random.Random(0), most=20).mismatches
    assert any("in the formula" in line for line in found)


def test_a_formula_for_two_axes_with_a_float_scale_is_one_formula_per_axis() -> None:
    net = symcnn.from_torch(torch.nn.Upsample(scale_factor=0.7), "N 2 H W")  # 52 parts per axis
    formula = net.solve(output=("y", "z"))
    for y, z in ((1, 1), (7, 63), (20, 20)):
        assert formula.given(y=y, z=z) == net.solve(output=(y, z))
    for text in ("10*y + 9 >= 7*H", "10*z + 9 >= 7*W"):
        assert text in str(formula)


class ScaledThenHalved(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.interpolate(x, scale_factor=1.4)[:, :, ::2, ::2]
        down = torch.nn.functional.max_pool2d(x, 2)
        return torch.cat([x, torch.nn.functional.interpolate(down, scale_factor=2.0)], 1)


def test_a_domain_with_a_float_scale_on_two_axes_is_one_domain_per_axis() -> None:
    domain = symcnn.from_torch(ScaledThenHalved(), "N 3 H W").valid_inputs()  # 53 parts per axis
    assert 4 not in domain.axis("H")
    assert (domain.smallest(), domain.nearest(4, 9)) == ((3, 3), (5, 9))
    (box,) = domain.boxes()
    assert len(sure(box)) == 2
    rows, columns = str(domain).split(" and (")
    assert rows.strip("()") == columns.strip("()").replace("W", "H")


def test_a_cost_that_grows_from_the_least_size_on_has_a_budget() -> None:
    """Pools keep their indices: of SqueezeNet 6ab - 4a - 4b + 3, where a and b are at least 2."""
    pool = torch.nn.MaxPool2d(3, 2)
    first, last = torch.nn.Conv2d(3, 4, 11, 4, 2), torch.nn.Conv2d(4, 8, 5, padding=2)
    module = torch.nn.Sequential(first, torch.nn.ReLU(), pool, last, pool)
    net = symcnn.from_torch(module, "N 3 H W")
    for h, w in ((70, 64), (41, 180)):
        least: Any = net.cost().at(N=1, H=h, W=w).saved
        kept = net.solve(saved=least)
        assert (h, w) in kept
        for sizes in ((h + 2, w), (h, w + 2), (h, w), (h - 2, w)):
            cost: Any = net.cost().at(N=1, H=sizes[0], W=sizes[1])
            assert (sizes in kept) == (cost.saved <= least)


def test_the_largest_volume_within_a_budget_is_the_largest_of_all_members() -> None:
    """It holds the largest cube, then has the greatest sum, then the later sizes."""
    layers = torch.nn.Conv3d(1, 2, (1, 3, 2)), torch.nn.MaxPool3d((2, 1, 3))
    net = symcnn.from_torch(torch.nn.Sequential(*layers), "N 1 D H W")
    for most in (500, 3000, 8000):
        kept = net.solve(macs=most)
        valid = [
            (d, h, w)
            for d in range(2, 60)
            for h in range(3, 60)
            for w in range(4, 60)
            if 12 * d * (h - 2) * (w - 1) <= most
        ]
        cube = max(min(v) for v in valid)
        members = [v for v in valid if min(v) == cube]
        assert max(map(max, members)) < 59
        assert kept.largest() == max(members, key=lambda v: (sum(v), v))


def test_a_target_may_be_a_map_behind_the_line_that_fixes_the_sizes() -> None:
    class Positions(torch.nn.Module):
        """Positions are added for one size, and windows follow."""

        def __init__(self) -> None:
            super().__init__()
            self.stem, self.last = torch.nn.Conv2d(3, 8, 4, 4), torch.nn.Conv2d(8, 8, 2, 2)
            self.places = torch.nn.Parameter(torch.zeros(1, 8, 14, 14))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.last(self.stem(x) + self.places)
            return y.mean((2, 3))

    net = symcnn.from_torch(Positions(), "N 3 H W")
    found = str(net.solve(output=(7, 7)))
    assert found == "(4 <= H <= 7 or 56 <= H <= 59) and (4 <= W <= 7 or 56 <= W <= 59)"
