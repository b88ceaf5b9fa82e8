"""Two networks compared, arithmetic intensity, rooflines."""

import json

import numpy as np
import pytest
import sympy
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, H, N, Undecidable, W, nn
from symcnn.cli import main

from .conftest import ROOT

conv = nn.Conv2d(8, 8, 3, padding=1, bias=False).trace("N 8 H W")
pointwise = nn.Conv2d(8, 8, 1, bias=False).trace("N 8 H W")
pooled = nn.Sequential(nn.AdaptiveAvgPool2d(20), nn.Conv2d(8, 8, 3, bias=False)).trace("N 8 H W")
halved = nn.Sequential(
    nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.Conv2d(16, 16, 3, padding=1)
).trace("N 8 H W")


def test_the_difference_is_a_formula_and_the_ratio_a_quotient() -> None:
    found = symcnn.compare(conv, pointwise)
    assert found.difference == 512 * N * H * W
    assert found.ratio == 9


def test_where_one_always_costs_more_that_is_the_whole_domain() -> None:
    found = symcnn.compare(conv, pointwise)
    assert found.more() == conv.valid_inputs()
    assert not found.less()
    assert not found.equal()


def test_a_product_against_a_constant_is_decided_in_the_plane() -> None:
    found = symcnn.compare(conv, pooled)
    more, equal = found.more(), found.equal()
    for h in range(1, 40):
        for w in range(1, 40):
            assert ((h, w) in more) == (h * w > 324)
            assert ((h, w) in equal) == (h * w == 324)


def test_floors_are_decided_for_square_images() -> None:
    more, less = (
        getattr(symcnn.compare(conv, halved), which)(square=True) for which in ("more", "less")
    )
    for h in range(1, 60):
        size = {"N": 1, "H": h, "W": h}
        at_size = (net.cost().at(**size).total for net in (conv, halved))
        a, b = (total for total in at_size if isinstance(total, int))
        assert ((h, h) in more, (h, h) in less) == (a > b, a < b)


@given(st.integers(1, 40), st.integers(1, 3000))
def test_the_crossing_of_two_polynomials_is_exact(scale: int, constant: int) -> None:
    mine = nn.Conv1d(1, scale, 3, padding=1, stride=2, bias=False).trace("N 1 L")
    other = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Conv1d(1, constant, 1, bias=False))
    more = symcnn.compare(mine, other.trace("N 1 L")).more()
    for x in {1, 2, constant // (3 * scale) * 2 + 1, 5000}:
        assert (x in more) == (3 * scale * ((x + 1) // 2) > constant)


def test_what_is_not_decidable_is_refused() -> None:
    with pytest.raises(Undecidable):
        symcnn.compare(conv, halved).more()


def test_other_columns() -> None:
    assert symcnn.compare(conv, pointwise, "params").difference == 512
    assert symcnn.compare(conv, pointwise, "activations").difference == 0
    with pytest.raises(BadSpec, match="no column is called 'speed'"):
        symcnn.compare(conv, pointwise, "speed")


def test_intensity_is_work_over_bytes() -> None:
    intensity = pointwise.cost().intensity["conv2d"]
    assert sympy.simplify(intensity - 128 * N * H * W / (64 * N * H * W + 256)) == 0
    assert sympy.limit(intensity.subs({N: 1, W: 1}), H, sympy.oo) == 2


def test_a_view_moves_nothing() -> None:
    net = nn.Sequential(nn.Flatten(), nn.ReLU()).trace("N 8 H W")
    assert net.cost().moved == 64 * N * H * W


def test_a_roofline_says_what_bounds_each_node() -> None:
    cost = nn.Sequential(nn.Conv2d(64, 64, 3, bias=False), nn.ReLU()).trace("N 64 H W").cost()
    first, second = cost.at(N=1, H=34, W=34).roofline(peak=1e12, bandwidth=1e11)
    assert (first.bound, second.bound) == ("compute", "memory")
    assert first.flops == 2 * 64 * 64 * 9 * 32 * 32
    assert first.moved == 4 * 64 * (34 * 34 + 32 * 32 + 64 * 9)
    assert first.seconds == first.flops / 1e12
    assert second.seconds == second.moved / 1e11
    with pytest.raises(BadSpec, match="needs sizes"):
        cost.roofline(1e12, 1e11)


def test_a_roofline_is_drawn_with_a_point_per_node_that_computes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 1)).trace("N 3 H W")
    roof = net.cost().at(N=1, H=34, W=34).roofline(peak=1e12, bandwidth=1e11)
    (axes,) = roof.plot().axes
    slope, *points = map(np.transpose, (line.get_xydata() for line in axes.lines))
    assert max(slope[1]) == 1e12
    works = [(r.intensity, r.flops / r.seconds) for r in roof if r.flops]
    drawn = {(x, y) for line in points for x, y in line.T}
    assert drawn == set(works)
    assert all(rate <= min(1e12, x * 1e11) * (1 + 1e-9) for x, rate in works)


def test_the_command_shows_a_roofline() -> None:
    words = ["cost", f"{ROOT}/examples/networks/resnet.py:resnet18", "--input", "N 3 H W"]
    words += ["--at", "N=1,H=224,W=224", "--peak", "1e13", "--bandwidth", "1e12"]
    result = CliRunner().invoke(main, [*words, "--json"])
    rows = json.loads(result.output)["roofline"]
    assert rows[0]["name"] == "conv1"
    assert {row["bound"] for row in rows} == {"compute", "memory"}
    assert "(total)" in CliRunner().invoke(main, words).output
    assert CliRunner().invoke(main, words[:-2]).exit_code == 2


def test_a_method_in_place_writes_as_much_as_the_function_that_is_told_to() -> None:
    class Method(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1).relu_()

    class Function(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.relu(x + 1, inplace=True)

    moved = [symcnn.from_torch(m(), "N 3 L").cost().moved for m in (Method, Function)]
    assert [str(m) for m in moved] == ["48*N*L"] * 2  # the sum reads and writes, and so does relu
