"""Where the centres of outputs lie: priors of a detector, levels of a pyramid, joins."""

from collections.abc import Iterator
from typing import Any

import pytest
import sympy
from torch import Tensor
from torch import nn as tnn

import symcnn
from symcnn import BadSpec, H, Undecidable, nn

i = sympy.Symbol("i", integer=True, nonnegative=True)
half = sympy.Rational(1, 2)


def rows(*layers: Any) -> Any:
    return nn.Sequential(*layers).trace("N 3 H W").receptive_field().alignment[0]


def ssd300() -> tuple[Any, Any, list[Any]]:
    """VGG up to conv4_3, with the pools of the paper, and the layers of further priors."""

    def stage(count: int, before: int, after: int) -> Iterator[Any]:
        for k in range(count):
            yield nn.Conv2d(after if k else before, after, 3, padding=1)

    conv4 = [*stage(2, 3, 64), nn.MaxPool2d(2), *stage(2, 64, 128), nn.MaxPool2d(2)]
    conv4 += [*stage(3, 128, 256), nn.MaxPool2d(2, ceil_mode=True), *stage(3, 256, 512)]
    fc7 = [nn.MaxPool2d(2), *stage(3, 512, 512), nn.MaxPool2d(3, 1, 1)]
    fc7 += [nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.Conv2d(1024, 1024, 1)]
    conv8 = [nn.Conv2d(1024, 256, 1), nn.Conv2d(256, 512, 3, stride=2, padding=1)]
    return conv4, fc7, conv8


def test_the_priors_of_ssd300_lie_where_the_paper_puts_them_until_a_padded_stride() -> None:
    conv4, fc7, conv8 = ssd300()
    for layers, step, shift in ((conv4, 8, 0), (conv4 + fc7, 16, 0), (conv4 + fc7 + conv8, 32, -8)):
        found = rows(*layers)
        assert (found.stride, found.shift(step)) == (step, shift)


def test_a_centre_is_the_middle_of_the_interval() -> None:
    found = rows(nn.Conv2d(3, 8, 4, 2, 1), nn.MaxPool2d(3, 2))
    rf = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.MaxPool2d(3, 2)).trace("N 3 H W")
    assert found.centre(i) == rf.receptive_field().centre(i) == 4 * i + 5 * half
    assert str(found) == "output i along H lies at 4*i + 5/2"


def test_levels_of_a_pyramid_of_padded_strides_lie_before_the_places_they_are_spread_to() -> None:
    stem, down = nn.Conv2d(3, 3, 7, 2, 3), nn.Conv2d(3, 3, 3, 2, 1)
    fine, coarse = rows(stem, down), rows(stem, down, down)
    assert coarse.shift(fine) == -2
    assert fine.shift(coarse) == 2
    assert rows(nn.AvgPool2d(4)).shift(rows(nn.AvgPool2d(2))) == 0


def test_the_even_grid_is_a_formula_in_the_sizes() -> None:
    found = rows(nn.AvgPool2d(4))
    assert found.even(i).subs({H: 32, i: 3}) == found.centre(3)
    assert found.drift(0).subs(H, 35) == sympy.Rational(3, 2) - (sympy.Rational(35, 16) - half)


def test_after_upsampling_a_centre_lies_within_the_spread_of_the_line() -> None:
    module = tnn.Sequential(tnn.MaxPool2d(2), tnn.ConvTranspose2d(3, 3, 2, 2))
    rf = symcnn.from_torch(module, "N 3 H W").receptive_field()
    found = rf.alignment[0]
    assert (found.stride, found.offset, found.spread) == (1, 0, half)
    assert all(abs(rf.centre(k) - found.centre(k)) <= found.spread for k in range(9))


def test_branches_tell_how_far_they_lie_apart() -> None:
    class Apart(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = tnn.Conv2d(3, 3, 2), tnn.Conv2d(3, 3, 4, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x)[:, :, 1:-1] + self.b(x)[:, :, :-1]

    rf = symcnn.from_torch(Apart(), "N 3 H W").receptive_field()
    assert {b.axis: b.shifts for b in rf.branches} == {"H": (0, -1)}


def test_what_sees_all_of_an_axis_lies_in_its_middle() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.AdaptiveAvgPool2d((1, None)))
    pooled, kept = net.trace("N 3 H W").receptive_field().alignment
    assert (pooled.stride, pooled.offset, pooled.outputs) == (0, (H - 1) / 2, 1)
    assert str(pooled) == "output i along H lies at H/2 - 1/2"
    assert (pooled.drift(0), kept.centre(3)) == (0, 6)
    with pytest.raises(BadSpec, match="along H all places lie at H/2 - 1/2"):
        kept.shift(pooled)


def test_what_has_no_place_is_refused() -> None:
    class Rows(tnn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.unflatten(2, (-1, 4))

    with pytest.raises(Undecidable, match="no single stride"):
        _ = symcnn.from_torch(Rows(), "N 3 L").receptive_field().alignment
    with pytest.raises(BadSpec, match="one moves by 2 and the other by 3"):
        rows(nn.AvgPool2d(2)).shift(rows(nn.AvgPool2d(3)))
