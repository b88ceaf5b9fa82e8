"""Places that are sizes: hyperparameters that keep the size, buckets to pad to."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn import BadSpec, H, L, NoSolution, W


def codec(output_padding: int = 0) -> nn.Module:
    """Strides 2, 4, 5, 8 and back, kernels twice the stride."""
    layers: list[nn.Module] = [nn.Conv1d(1, 1, 2 * s, s, padding=-(-s // 2)) for s in (2, 4, 5, 8)]
    for s in (8, 5, 4, 2):
        more = output_padding if s == 5 else 0
        layers.append(nn.ConvTranspose1d(1, 1, 2 * s, s, padding=-(-s // 2), output_padding=more))
    return nn.Sequential(*layers)


def auto_encoder(**options: Any) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.ConvTranspose2d(4, 4, 3, 2, 1, **options),
        nn.ConvTranspose2d(4, 3, 3, 2, 1, **options),
    )


class Unshuffled(nn.Module):
    """Takes multiples of 16 only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pixel_unshuffle(self.conv(x), 16)


@pytest.fixture(scope="module")
def by_16() -> symcnn.Network:
    return symcnn.from_torch(Unshuffled(), "N 3 H W")


# Decoders


def test_the_codec_and_its_output_padding() -> None:
    net = symcnn.from_torch(codec(), "N 1 L")
    assert str(net.output_shape[2]) == "320*((L + 8)//320) - 8"
    found = {str(f.changes): str(f.where) for f in net.fix(output=("L",))}
    assert found["{'5': {'output_padding': 1}}"] == "L % 320 == 0 and L >= 320"


def test_what_fix_says_of_the_codec_is_so() -> None:
    module = codec(output_padding=1).to("meta")
    (fix,) = [
        f
        for f in symcnn.from_torch(codec(), "N 1 L").fix(output=L)
        if f.changes == {"5": {"output_padding": 1}}
    ]
    for length in range(1, 1300):
        x = torch.empty(1, 1, length, device="meta")
        try:
            same = module(x).shape == x.shape
        except RuntimeError:
            same = False
        assert same == (length in fix.where)


def test_an_auto_encoder_is_changed_in_all_its_decoders() -> None:
    net = symcnn.from_torch(auto_encoder(), "N 3 H W")
    as_it_is, changed, cropped = net.fix(output=("H", "W"))
    assert str(as_it_is).startswith("as it is")
    assert changed.changes == {n: {"output_padding": 1} for n in ("2", "3")}
    assert str(changed.where.axis("H")) == "H % 4 == 0 and H >= 4"
    assert changed.where == symcnn.from_torch(auto_encoder(output_padding=1), "N 3 H W").solve(
        output=(H, W)
    )
    assert cropped.crop == (-3, -3)


def test_a_pool_is_rounded_up_or_padded() -> None:
    layers = [nn.Conv1d(1, 1, 3), nn.MaxPool1d(3, 2), nn.ConvTranspose1d(1, 1, 2, 2)]
    net = symcnn.from_torch(nn.Sequential(*layers), "N 1 L")
    changes = [f.changes for f in net.fix(output="L")]
    assert {"0": {"padding": 1}, "1": {"ceil_mode": True}} in changes
    assert {"0": {"padding": 1}, "1": {"padding": 1}} in changes


def test_other_targets() -> None:
    net = symcnn.from_torch(nn.ConvTranspose1d(1, 1, 3, 2), "N 1 L")
    assert net.fix(output="2*L")[0].changes == {"": {"padding": 1, "output_padding": 1}} or (
        next(iter(net.fix(output="2*L")[0].changes.values())) == {"padding": 1, "output_padding": 1}
    )


def test_nothing_makes_a_vector_as_large_as_the_input(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("resnet:resnet18"), "N 3 H W")
    with pytest.raises(NoSolution, match="no padding, output_padding or ceil_mode"):
        net.fix(output=("H", "W"))


def test_fix_leaves_the_module_and_the_network_alone() -> None:
    net = symcnn.from_torch(auto_encoder(), "N 3 H W")
    before = str(net.output_shape), str(net.nodes)
    net.fix(output=("H", "W"))
    assert (str(net.output_shape), str(net.nodes)) == before


# Buckets


def test_two_buckets_of_multiples_of_16(by_16: Any) -> None:
    found = symcnn.buckets(by_16, {300: 1, 310: 1, 500: 1, 640: 1}, k=2, cost=H**2)
    assert found.sizes == ((320, 320), (640, 640))
    assert (found.cost, found.exact) == (1_024_000, True)
    assert found.assigned[310, 310] == (320, 320)


@pytest.mark.parametrize("cost", ["H**2", lambda h: h * h, lambda h, w: h * w, H * W, "pixels"])
def test_a_cost_by_formula_and_by_function(by_16: Any, cost: Any) -> None:
    found = symcnn.buckets(by_16, [300, 310, 500, 640], k=2, cost=cost)
    assert (found.sizes, found.cost) == (((320, 320), (640, 640)), 1_024_000)


@pytest.mark.parametrize("cost", ["macs", "flops", "activations", "peak"])
def test_a_cost_by_name_is_that_of_cost(by_16: Any, cost: str) -> None:
    found = symcnn.buckets(by_16, {(16, 30): 2}, k=1, cost=cost)
    column = {"macs": "total", "flops": "total"}.get(cost, cost)
    convention = "flops" if cost == "flops" else "macs"
    assert found.cost == 2 * getattr(by_16.cost(convention).at(N=1, H=16, W=32), column)


def test_no_other_buckets_cost_less(by_16: Any) -> None:
    """Against all choices of all valid sizes, for images of which none holds the next."""
    draw = random.Random(0)
    for _ in range(30):
        sizes = [[16 * draw.randint(1, 9) - draw.randint(0, 5) for _ in "hw"] for _ in range(6)]
        images = {tuple(size): draw.randint(1, 5) for size in sizes}
        k = draw.randint(1, 4)
        heights = sorted({-(-h // 16) * 16 for h, _ in images})
        widths = sorted({-(-w // 16) * 16 for _, w in images})
        valid = list(itertools.product(heights, widths))
        least = min(
            sum(
                count * min((a * b for a, b in some if a >= h and b >= w), default=10**9)
                for (h, w), count in images.items()
            )
            for some in itertools.combinations(valid, min(k, len(valid)))
        )
        found = symcnn.buckets(by_16, images, k, cost="pixels")
        assert (found.cost, found.exact) == (least, True)


def test_too_many_images_to_try_all_says_so(by_16: Any) -> None:
    draw = random.Random(0)
    images = {(draw.randint(20, 60) * 8, draw.randint(20, 60) * 8): 1 for _ in range(40)}
    found = symcnn.buckets(by_16, images, k=4)
    assert not found.exact
    assert "the best of those tried" in str(found)
    assert all(size in by_16.valid_inputs() for size in found.sizes)


@pytest.mark.parametrize(
    "options",
    [
        {"histogram": {}, "k": 2},
        {"histogram": {300: 1}, "k": 0},
        {"histogram": {300: 1}, "k": 1.5},
        {"histogram": {(300, 300, 3): 1}, "k": 2},
        {"histogram": {300: -1}, "k": 2},
        {"histogram": {300: 1}, "k": 2, "cost": "nonsense"},
        {"histogram": {300: 1}, "k": 2, "cost": symcnn.C * H},
    ],
)
def test_buckets_without_sense(by_16: Any, options: dict[str, Any]) -> None:
    with pytest.raises(BadSpec):
        symcnn.buckets(by_16, **options)


def test_an_image_that_nothing_holds() -> None:
    class Limited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pos = nn.Parameter(torch.zeros(1, 1, 100))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.pos[..., : x.shape[2]]

    net = symcnn.from_torch(Limited(), "N 1 L")
    with pytest.raises(NoSolution, match="no valid input holds 120"):
        symcnn.buckets(net, {120: 1}, k=1, cost="L")
