"""Places: the figures that are worked out by hand, and what is refused."""

import copy
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn import BadSpec, InvalidInput, NoSolution
from symcnn.questions.place.tiles import courses


class UNet1d(nn.Module):
    """One convolution of 3 per level and side, average pools, transposed convolutions of 2."""

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Conv1d(1 if level == 0 else 2, 2, 3, padding=1) for level in range(depth)
        )
        self.bottom = nn.Conv1d(2, 2, 3, padding=1)
        self.up = nn.ModuleList(nn.ConvTranspose1d(2, 2, 2, 2) for _ in range(depth))
        self.side = nn.ModuleList(nn.Conv1d(4, 2, 3, padding=1) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for conv in self.down:
            skips.append(conv(x))
            x = F.avg_pool1d(skips[-1], 2)
        x = self.bottom(x)
        for up, conv in zip(self.up, self.side, strict=True):
            x = conv(torch.cat([up(x), skips.pop()], 1))
        return x


class Causal(nn.Module):
    """Three causal convolutions of kernel 3 and stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(1, 1, 3, 2) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = conv(F.pad(x, (2, 0)))
        return x


class SamePadded(nn.Module):
    """TensorFlow's SAME: the odd pixel goes right, and how many there are hangs on the size."""

    def __init__(self, kernel: Any, stride: Any) -> None:
        super().__init__()
        self.conv, self.kernel, self.stride = nn.Conv2d(3, 8, kernel, stride), kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        pads = [max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0) for n in (w, h)]
        x = F.pad(x, (pads[0] // 2, pads[0] - pads[0] // 2, pads[1] // 2, pads[1] - pads[1] // 2))
        return self.conv(x)


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(0)
    return UNet1d().double().eval()


@pytest.fixture(scope="module")
def net(unet: Any) -> symcnn.Network:
    return symcnn.from_torch(unet, "N 1 L")


@pytest.fixture(scope="module")
def resnet50(example: Callable[..., Any]) -> symcnn.Network:
    return symcnn.from_torch(example("resnet:resnet50"), "N 3 H W")


# Tiles


class Turned(nn.Module):
    """Channels are last in the input, and between width and height in the output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 3, 1, 2)


def test_of_a_part_that_is_too_short_for_the_network_nothing_comes() -> None:
    chain = nn.Sequential(nn.Conv1d(1, 1, 9), nn.MaxPool1d(2), nn.Conv1d(1, 1, 3))
    _, (course,) = courses(symcnn.from_torch(chain, "N 1 L"), None, {"L": 40})
    for start in (4, 5):
        assert len(course.cut(start, start + 4).wrong) == 0


def test_a_plan_says_of_which_axes_its_slices_are() -> None:
    plan = symcnn.from_torch(Turned(), "N H W 3").tiles(tile=12, H=30, W=16)
    assert (plan.input_axes, plan.output_axes) == ((-3, -2), (-3, -1))
    line = "out[..., place[0], :, place[1]] = net(x[..., input[0], input[1], :])[..., core[0], :,"
    assert line in str(plan)
    module, x = Turned(), torch.rand(1, 30, 16, 3)

    def at(axes: Any, slices: Any) -> tuple[Any, ...]:
        found = [slice(None)] * 4
        for axis, part in zip(axes, slices, strict=True):
            found[axis] = part
        return tuple(found)

    whole = module(x)
    made = torch.full_like(whole, float("nan"))
    for tile in plan:
        part = module(x[at(plan.input_axes, tile.input)])
        made[at(plan.output_axes, tile.place)] = part[at(plan.output_axes, tile.core)]
    assert torch.allclose(made, whole, atol=1e-6)


def test_the_interval_of_the_u_net(net: Any) -> None:
    assert net.receptive_field().interval_text() == ("4*((i + 1)//4) - 11", "4*((i + 3)//4) + 10")


@pytest.mark.parametrize(
    ("origin", "rows"),
    [(0, (0, 52)), (4, (11, 52)), (32, (11, 52)), (36, (11, 52)), (64, (11, 63))],
)
def test_the_exact_rows_of_a_tile_of_64(
    unet: Any, net: Any, origin: int, rows: tuple[int, int]
) -> None:
    _, (course,) = courses(net, None, {"L": 128})
    x = torch.randn(1, 1, 128, dtype=torch.double)
    same = (unet(x[..., origin : origin + 64]) - unet(x)[..., origin : origin + 64]).abs() < 1e-12
    exact = course.cut(origin, origin + 64).exact
    assert (exact[0] - origin, exact[1] - origin - 1) == rows
    assert same.all(0).all(0).nonzero().flatten().tolist() == list(range(rows[0], rows[1] + 1))


@pytest.mark.parametrize("origin", [33, 34])
def test_a_tile_off_the_period_is_exact_nowhere(unet: Any, net: Any, origin: int) -> None:
    _, (course,) = courses(net, None, {"L": 128})
    assert course.cut(origin, origin + 60).wrong.all()


def test_1000_rows_by_256(net: Any) -> None:
    tiling = net.tiles(L=1000, tile=256)
    assert tiling.origins == ((0, 232, 464, 696, 744),)
    assert tiling.overhead == 1.28
    assert (tiling.halo, tiling.period) == (((11, 11),), (4,))
    assert [t.input[0] for t in tiling.tiles] == [
        slice(o, o + 256) for o in (0, 232, 464, 696, 744)
    ]


def test_the_places_of_all_tiles_are_the_output_once_each(net: Any) -> None:
    places = [t.place[0] for t in net.tiles(L=1000, tile=100).tiles]
    assert np.concatenate([np.r_[p] for p in places]).tolist() == list(range(1000))


def test_a_tile_that_holds_everything_is_one_tile(net: Any) -> None:
    (tile,) = net.tiles(L=128, tile=4096).tiles
    assert tile.input == tile.core == tile.place == (slice(0, 128),)


def test_tiles_for_a_budget_fit_it_and_the_next_ones_do_not(net: Any) -> None:
    tiling = net.tiles(L=4096, peak="16 KB")
    (width,) = {t.input[0].stop - t.input[0].start for t in tiling.tiles}
    peak = net.cost().at(N=1, L=width).peak
    assert peak <= 16_000 < net.cost().at(N=1, L=width + 4).peak


def test_a_budget_that_no_tile_meets(net: Any) -> None:
    with pytest.raises(NoSolution, match="more than 10 bytes"):
        net.tiles(L=4096, peak=10)


def test_too_small_a_tile_names_the_least_that_works(net: Any) -> None:
    with pytest.raises(NoSolution, match="least that works is tile=28"):
        net.tiles(L=1000, tile=24)
    assert net.tiles(L=1000, tile=28)


def test_a_tile_that_the_network_does_not_take_names_one_that_it_does(net: Any) -> None:
    with pytest.raises(InvalidInput, match="tile=68"):
        net.tiles(L=1000, tile=66)


def test_a_whole_that_the_network_does_not_take(net: Any) -> None:
    with pytest.raises(InvalidInput, match="nearest valid size"):
        net.tiles(L=1001, tile=256)


@pytest.mark.parametrize(
    "wanted", [{}, {"tile": 0}, {"tile": "x"}, {"tile": (64, 64)}, {"tile": 64, "peak": 1}]
)
def test_tiles_without_sense(net: Any, wanted: dict[str, Any]) -> None:
    with pytest.raises(BadSpec):
        net.tiles(L=128, **wanted)


def test_a_missing_size_is_named(resnet50: Any) -> None:
    with pytest.raises(BadSpec, match="no value for W"):
        resnet50.tiles(H=512, tile=256)


def test_a_global_pool_is_named_with_what_comes_before(resnet50: Any) -> None:
    with pytest.raises(NoSolution, match=r'avgpool reads the whole of H(.|\n)*at="layer4"'):
        resnet50.tiles(H=2048, W=2048, tile=512)
    assert resnet50.tiles(H=2048, W=2048, tile=512, at="layer4").period == (32, 32)


def test_a_norm_is_named_with_the_halo_without_it() -> None:
    torch.manual_seed(0)
    net = symcnn.from_torch(
        nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv1d(4, 1, 3)),
        "N 1 L",
    )
    with pytest.raises(NoSolution, match=r"1 reads the whole of L(.|\n)*halo of 1 and 3"):
        net.tiles(L=100, tile=50)
    assert "statistics" in net.tiles(L=100, tile=50, statistics=False).note


def test_a_gate_is_named_with_the_halo_without_it() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return x * x.mean(2, keepdim=True).sigmoid()

    net = symcnn.from_torch(Gated(), "N 1 L")
    with pytest.raises(NoSolution, match=r"mean reads the whole of L(.|\n)*gates=False"):
        net.tiles(L=100, tile=50)
    assert net.tiles(L=100, tile=50, gates=False).halo == ((1, 1),)


def test_attention_is_named() -> None:
    net = symcnn.from_torch(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), "N L 8")
    with pytest.raises(NoSolution, match="reads the whole of L"):
        net.tiles(L=100, tile=50)


def test_a_positional_embedding_is_named() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pos = nn.Parameter(torch.zeros(1, 1, 100))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.pos[..., : x.shape[2]]

    with pytest.raises(NoSolution, match="what belongs to that place"):
        symcnn.from_torch(Placed(), "N 1 L").tiles(L=100, tile=50)


@pytest.mark.parametrize("make", [torch.zeros, torch.ones])
def test_numbers_that_are_the_same_everywhere_belong_to_no_place(make: Any) -> None:
    class Filled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.max_pool1d(x + make(x.shape[2]), 3, 1)

    tiling = symcnn.from_torch(Filled(), "N 1 L").tiles(L=100, tile=50)
    assert tiling.halo == ((0, 2),)


@pytest.mark.parametrize(
    ("gain", "along"),
    [
        (lambda g, x: g.repeat(x.shape[0], 1, x.shape[2]), True),
        (lambda g, x: (2 * g).expand(-1, -1, x.shape[2]), True),
        (lambda g, x: g.repeat(1, 1, x.shape[2] // 3), False),
    ],
)
def test_a_parameter_of_one_place_repeated_belongs_to_no_place(gain: Any, along: bool) -> None:
    class Gained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.randn(1, 2, 1 if along else 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * gain(self.gain, x)

    net = symcnn.from_torch(Gained(), "N 2 L")
    with nullcontext() if along else pytest.raises(NoSolution, match="belongs to that place"):
        assert len(net.tiles(L=99, tile=33).tiles) == 3


def test_a_value_that_hangs_on_the_size_is_named() -> None:
    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / x.shape[2]

    with pytest.raises(NoSolution, match="reckons with the size"):
        symcnn.from_torch(Mean(), "N 1 L").tiles(L=100, tile=50)


def test_a_crop_before_padding_is_no_border() -> None:
    """Its interval lies inside the tile and its output is wrong: each layer has a border."""
    torch.manual_seed(0)

    class Cropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x[..., 5:])

    module = Cropped().double()
    _, (course,) = courses(symcnn.from_torch(module, "N 1 L"), None, {"L": 100})
    x = torch.randn(1, 1, 100, dtype=torch.double)
    whole, part = module(x), module(x[..., 20:60])
    same = (part == whole[..., 20 : 20 + part.shape[2]]).flatten()
    assert (~course.cut(20, 60).wrong).tolist() == same.tolist()
    assert not same[0]


def test_what_reads_padding_alone_is_exact_wherever_the_padding_lies() -> None:
    """A decoder that pads its odd tile elsewhere: at its rim the skip alone is seen."""
    torch.manual_seed(0)

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.conv(x)
            lack = x.shape[2] - inner.shape[2] + x.shape[2] % 2
            return torch.cat(
                [F.pad(inner[..., x.shape[2] % 2 :], (lack // 2, lack - lack // 2)), x], 1
            )

    module = Decoder().double()
    _, (course,) = courses(symcnn.from_torch(module, "N 1 L"), None, {"L": 60})
    x = torch.randn(1, 1, 60, dtype=torch.double)
    whole, part = module(x), module(x[..., :33])
    same = (part == whole[..., :33]).all(1).flatten()
    assert (~course.cut(0, 33).wrong).tolist() == same.tolist()
    assert same[:4].all()
    assert not same[5]


# Shards


@pytest.mark.parametrize(
    ("hyper", "size", "halo"),
    [((7, 2, 3), 224, (3, 2)), ((3, 2, 1), 112, (1, 0)), ((3, 1, 1), 64, (1, 1))],
)
def test_the_halo_of_a_convolution_over_four_parts(
    hyper: tuple[int, int, int], size: int, halo: tuple[int, int]
) -> None:
    shards = symcnn.from_torch(nn.Conv2d(3, 8, *hyper), "N 3 H W").shards(H=size, parts=4)
    assert shards.halo == (halo,)
    assert [p.halo for p in shards.parts] == [
        ((0, halo[1]),), (halo,), (halo,), ((halo[0], 0),)
    ]  # fmt: skip


def test_the_halo_of_resnet_50(resnet50: Any) -> None:
    shards = resnet50.shards(H=1024, parts=4, at="layer4")
    assert shards[1].halo == shards[2].halo == ((213, 182),)
    assert [p.output[0] for p in shards] == [slice(k, k + 8) for k in (0, 8, 16, 24)]


LONG: dict[str, Callable[[], nn.Module]] = {
    "a row left over, interpolated": lambda: nn.Sequential(
        nn.Conv1d(1, 1, 1, 3), nn.ConstantPad1d((-1, -2), 0), nn.Upsample(None, 2, "linear")
    ),
    "reflected": lambda: nn.Sequential(nn.ReflectionPad1d((2, 3)), nn.Conv1d(1, 1, 5, 2)),
    "padded, then crossed out": lambda: nn.Sequential(
        nn.ConstantPad1d((2, 0), 0), nn.Conv1d(1, 1, 1, 2), nn.Upsample(scale_factor=2)
    ),
    "spread and pooled": lambda: nn.Sequential(
        nn.ConvTranspose1d(1, 1, 3, 2, 1), nn.MaxPool1d(3, 2, 1, ceil_mode=True)
    ),
}


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_the_middle_of_a_long_axis_is_that_of_a_short_one(
    make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = symcnn.from_torch(make(), "1 1 L")
    whole = [net.shards(parts, L=parts * 60) for parts in (4, 9)]
    monkeypatch.setattr("symcnn.questions.place.shards._LONG", 80)
    assert [net.shards(parts, L=parts * 60) for parts in (4, 9)] == whole


@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
def test_a_part_reads_what_is_reflected_at_a_border(mode: str) -> None:
    """The first output sees further than the last one of its part: a causal encoder of speech."""
    torch.manual_seed(0)

    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv1d(1, 1, 9), nn.Conv1d(1, 1, 8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.pad(self.first(F.pad(x, (8, 0), mode)), (14, 0), mode)
            return self.second(x)

    module = Causal().double()
    x = torch.randn(1, 1, 48, dtype=torch.double)
    whole = module(x)
    for shard in symcnn.from_torch(module, "N 1 L").shards(L=48, parts=4):
        (read,), (place,) = shard.read, shard.output
        other = torch.randn_like(x)
        other[..., read] = x[..., read]
        assert torch.equal(module(other)[..., place], whole[..., place])
        for edge in (read.start, read.stop - 1):
            other = x.clone()
            other[..., edge] += 1
            assert not torch.equal(module(other)[..., place], whole[..., place])


def test_parts_of_a_grid(resnet50: Any) -> None:
    shards = resnet50.shards(H=1024, W=512, parts=(4, 2), at="layer4")
    assert len(shards) == 8
    assert shards[3].halo == ((213, 182), (213, 0))


def test_parts_that_are_no_whole_number_of_periods(resnet50: Any) -> None:
    with pytest.raises(BadSpec, match="H=896 or H=1024"):
        resnet50.shards(H=1000, parts=4, at="layer4")


@pytest.mark.parametrize("parts", [0, -1, 1.5, True, (2, 2)])
def test_parts_without_sense(resnet50: Any, parts: Any) -> None:
    with pytest.raises(BadSpec):
        resnet50.shards(H=1024, parts=parts, at="layer4")


# Streams


def test_three_causal_convolutions() -> None:
    stream = symcnn.from_torch(Causal(), "N 1 L").stream()
    assert (stream.lookback, stream.lookahead, stream.hop, stream.causal) == (14, 0, 8, True)
    assert str(stream.final("n")) == "(n + 7)//8"
    assert [stream.final(n) for n in (0, 1, 8, 9)] == [0, 1, 1, 2]
    assert stream.buffers == {"convs.0": 1, "convs.1": 1, "convs.2": 1}


def test_what_is_not_causal_says_by_how_much() -> None:
    net = symcnn.from_torch(nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 5)), "N 1 L")
    stream = net.stream("L")
    assert (stream.lookback, stream.lookahead, stream.waits) == (0, 6, {"0": 2, "1": 4})
    assert "not causal: an output waits for 6 more samples" in str(stream)


def test_an_output_waits_for_the_layers_on_its_longest_way_alone() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.inner = nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.before(x)
            return self.inner(x) + x[..., 3:-3]

    stream = symcnn.from_torch(Residual(), "N 1 L").stream()
    assert (stream.lookahead, stream.waits) == (8, {"before": 2, "inner": 6})
    assert "which is due to before 2, inner 6" in str(stream).splitlines()[2]


def test_nobody_waits_for_what_padding_gives_back() -> None:
    """The downsampling of causal codecs: reflected at the left, strides fill up."""
    layers = [
        layer for k, s in ((7, 1), (4, 2), (8, 4), (7, 1))
        for layer in (nn.ReflectionPad1d((k - s, 0)), nn.Conv1d(1, 1, k, s))
    ]  # fmt: skip
    stream = symcnn.from_torch(nn.Sequential(*layers), "N 1 L").stream()
    assert (stream.lookahead, stream.waits) == (7, {"3": 1, "5": 6})
    late = symcnn.from_torch(nn.Conv1d(1, 1, 3, padding=1), "N 1 L").stream()
    assert sum(late.waits.values()) == late.lookahead == 1


def test_where_branches_meet_the_sooner_waits(net: Any) -> None:
    assert net.stream().delays == {"cat:1": (0, 2), "cat:2": (0, 8)}


def test_a_stream_of_a_network_that_takes_several_images_only_is_that_of_the_fewest() -> None:
    class Several(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(1, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[0] < 2:
                raise ValueError("a batch")
            found: torch.Tensor = self.conv(x)
            return found

    net = symcnn.from_torch(Several(), "N 1 L")
    assert net.stream().lookahead == 2
    assert net.tiles(L=100, tile=20).period == (1,)


def test_a_stream_needs_an_axis_where_there_are_two(resnet50: Any) -> None:
    with pytest.raises(BadSpec, match="which of H, W"):
        resnet50.stream(at="layer4")
    with pytest.raises(BadSpec, match="no axis is called L"):
        resnet50.stream("L", at="layer4")


def test_an_axis_that_is_read_as_a_whole_is_no_stream() -> None:
    with pytest.raises(NoSolution, match="reads the whole of L"):
        symcnn.from_torch(nn.GRU(4, 4, bidirectional=True), "L N 4").stream("L", at="gru")


BY_LENGTH = {
    "reads": lambda x: F.max_pool1d(x, 1 + x.shape[2] // 4, 1),
    "reads by": lambda x: F.max_pool1d(x, 3, 1, dilation=1 + x.shape[2] % 2),
    "moves": lambda x: F.avg_pool1d(x, 3, 1 + x.shape[2] % 2),
    "pads": lambda x: F.pad(x, (x.shape[2] % 3, 2)),
}


@pytest.mark.parametrize("how", BY_LENGTH)
def test_no_stream_is_of_windows_that_hang_on_the_length_of_the_whole(how: str) -> None:
    class Forward(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return BY_LENGTH[how](self.before(x))

        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Conv1d(3, 3, 3)

    net = symcnn.from_torch(Forward(), "N 3 L")
    wanted = rf'{how.split()[0]} by what hangs on the size of L(.|\n)*at="before"'
    with pytest.raises(NoSolution, match=wanted):
        net.stream(axis="L")
    assert net.stream(axis="L", at="before")


class Denoiser(nn.Module):
    """Frames of two samples, a layer that runs along them, samples again, and their running sum."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.down, self.up = nn.Conv1d(1, 4, 4, 2), nn.ConvTranspose1d(4, 1, 4, 2)
        self.run = kind(4, 4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        run, _ = self.run(self.down(x).transpose(1, 2))
        return self.up(run.transpose(1, 2)).cumsum(2)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_what_runs_along_a_stream_carries_a_state_and_waits_for_nothing(kind: Any) -> None:
    torch.manual_seed(0)
    module = Denoiser(kind)
    stream = symcnn.from_torch(module, "N 1 L").stream()
    assert [name.split(".")[0] for name in stream.states] == ["run", "cumsum"]
    assert (stream.lookahead, stream.hop) == (3, 2)
    x = torch.randn(1, 1, 40)
    whole = module(x)
    for n in (20, 11, 4):
        x[..., n:].normal_()
        later = (module(x) != whole).flatten().nonzero()
        assert stream.final(n) == later.min()


def test_no_tile_knows_what_ran_up_to_it() -> None:
    with pytest.raises(NoSolution, match="reads all of L up to its own place"):
        symcnn.from_torch(Denoiser(nn.LSTM), "N 1 L").tiles(L=100, tile=50)


# Agreement


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "sizes", "reads"),
    [
        (3, 2, 1, "H >= 1", "H % 2 == 1 and H >= 1"),
        (5, 2, 2, "H >= 1", "H % 2 == 1 and H >= 1"),
        (7, 2, 3, "H >= 1", "H % 2 == 1 and H >= 1"),
        (2, 2, 0, "H % 2 == 0 and H >= 2", "H % 2 == 0 and H >= 2"),
    ],
)
def test_two_conventions_of_padding(
    kernel: int, stride: int, padding: int, sizes: str, reads: str
) -> None:
    same = symcnn.from_torch(SamePadded(kernel, stride), "N 3 H W")
    found = symcnn.agree(
        same, symcnn.from_torch(nn.Conv2d(3, 8, kernel, stride, padding), "N 3 H W")
    )
    assert str(found.sizes.axis("H")) == sizes
    assert str(found.reads.axis("H")) == reads
    expected = [found.shift[0].subs(symcnn.H, h) if found.shift[0] != 0 else 0 for h in (10, 11)]
    assert expected == ([1, 0] if kernel > 2 else [0, 0])


def test_conventions_that_never_agree() -> None:
    same = symcnn.from_torch(SamePadded(11, 4), "N 3 H W")
    found = symcnn.agree(same, symcnn.from_torch(nn.Conv2d(3, 8, 11, 4, 2), "N 3 H W"))
    assert not found.sizes
    assert not found.reads
    assert "against" in str(found)


def test_a_port_agrees_with_its_original(resnet50: Any) -> None:
    assert symcnn.agree(resnet50.at("layer4"), resnet50.at("layer4"))


def test_dilation_reads_other_places_between_the_same_ends() -> None:
    dense = symcnn.from_torch(nn.Conv1d(1, 1, 5), "N 1 L")
    found = symcnn.agree(dense, symcnn.from_torch(nn.Conv1d(1, 1, 3, dilation=2), "N 1 L"))
    assert found.sizes == dense.valid_inputs()
    assert not found.reads


@pytest.mark.parametrize(
    ("spec", "message"),
    [("N 1 H W", "same letters"), ("N H W 3", "another layout"), ("N 3 L W", "same letters")],
)
def test_other_inputs_do_not_compare(spec: str, message: str) -> None:
    pixel = symcnn.nn.ReLU()
    with pytest.raises(BadSpec, match=message):
        symcnn.agree(pixel.trace("N 3 H W"), pixel.trace(spec))


# Even sizes, plain pools


@pytest.mark.parametrize(
    ("name", "rest", "period", "near"),
    [
        ("resnet:resnet50", 1, 32, 225),
        ("vgg:vgg16", 0, 32, 224),
        ("densenet:densenet121", 29, 32, 221),
        ("inception:inception_v3", 11, 32, 299),
    ],
)
def test_even_sizes(
    example: Callable[..., Any], name: str, rest: int, period: int, near: int
) -> None:
    found = symcnn.from_torch(example(name), "N 3 H W").solve(even=True)
    assert str(found).startswith(f"H % {period} == {rest}")
    assert (near, near) in found
    assert (near + 1, near) not in found


def test_patches_that_leave_rows_over_are_not_even() -> None:
    """Convolutions by hand: columns of patches, times the weights."""

    class Columns(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.unfold(x, (3, 2), dilation=2, padding=1, stride=(2, 3))

    found = symcnn.from_torch(Columns(), "N 3 H W").solve(even=True)
    assert str(found) == "H % 2 == 1 and H >= 3 and W % 3 == 1 and W >= 1"


def test_padding_on_one_side_is_even_nowhere() -> None:
    net = symcnn.from_torch(nn.Sequential(nn.ZeroPad1d((0, 1)), nn.Conv1d(1, 1, 3, 2)), "N 1 L")
    with pytest.raises(NoSolution, match="pads 0 on the left and 1 on the right"):
        net.solve(even=True)


def test_even_in_ceil_mode_wants_no_pad_of_rounding_up() -> None:
    net = symcnn.from_torch(nn.MaxPool1d(3, 2, ceil_mode=True), "N 1 L")
    assert str(net.solve(even=True)) == "L % 2 == 1 and L >= 3"


def test_even_goes_with_other_wishes(resnet50: Any) -> None:
    assert resnet50.solve(output=(8, 8), even=True).smallest() == (225, 225)
    assert list(resnet50.solve(output=(8, 8), even=True)) == [(225, 225)]


def test_sizes_of_which_every_row_is_read() -> None:
    net = symcnn.from_torch(nn.Conv1d(1, 1, 2, 2), "N 1 L")
    assert str(net.solve(unread=0)) == "L % 2 == 0 and L >= 2"
    with pytest.raises(NoSolution, match="3 apart read 2 rows"):
        symcnn.from_torch(nn.Conv1d(1, 1, 2, 3), "N 1 L").solve(unread=0)


def test_the_adaptive_pool_of_vgg(example: Callable[..., Any]) -> None:
    (pool,) = symcnn.from_torch(example("vgg:vgg16"), "N 3 H W").plain_pools()
    assert (pool.node, pool.layer) == ("avgpool", "AvgPool2d")
    assert all((h, h) in pool.where for h in (224, 256, 287, 448))
    assert all((h, h) not in pool.where for h in (223, 288, 447))
    assert not pool.always


def test_a_global_pool_is_a_plain_pool_everywhere(resnet50: Any) -> None:
    (pool,) = resnet50.plain_pools()
    assert pool.always
    assert pool.kernel == resnet50.at("layer4").output_shape[2:]


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_plain_pools_are_those_that_no_other_is(n: int) -> None:
    """By brute force: the reads of every kernel and stride against those of the adaptive pool."""
    (pool,) = symcnn.from_torch(nn.AdaptiveAvgPool1d(n), "N 1 L").plain_pools()
    for x in range(1, 4 * n + 3):
        starts = [(i * x // n, -(-(i + 1) * x // n)) for i in range(n)]
        plain = {
            (k, s)
            for k in range(1, x + 1)
            for s in range(1, x + 1)
            if (x - k) // s + 1 == n and starts == [(i * s, i * s + k) for i in range(n)]
        }
        values = {symcnn.L: x}
        ours = tuple(int(e.subs(values)) for e in (pool.kernel[0], pool.stride[0]))
        assert (x in pool.where) == bool(plain)
        assert not plain or ours in plain


def test_a_hyperparameter_is_a_size_to_give() -> None:
    k = symcnn.symbols("k")
    net = symcnn.nn.Conv2d(3, 8, k).trace("N 3 H W")
    for ask in (
        lambda: net.tiles(40, H=100, W=100),
        lambda: net.shards(2, H=64),
        lambda: net.stream("H"),
    ):
        with pytest.raises(BadSpec, match="no value for k"):
            ask()
    assert str(net.tiles(40, H=100, W=100, k=3)).startswith("100x100: 9 tiles of 40x40")


def test_a_picture_of_tiles_has_a_bar_for_each(net: symcnn.Network) -> None:
    tiling = net.tiles(L=200, tile=64)
    picture = tiling.draw()
    assert picture.startswith("<svg")
    assert picture.count("<rect") >= len(tiling.tiles)


@pytest.mark.parametrize("question", ["tiles", "shards", "stream", "diagnose", "at", "nearest"])
def test_equal_answers_have_the_same_hash_and_copies_are_equal(question: str, net: Any) -> None:
    def ask() -> Any:
        return {
            "tiles": lambda: net.tiles(tile=128, L=256),
            "shards": lambda: net.shards(2, L=64),
            "stream": lambda: net.stream(),
            "diagnose": lambda: net.diagnose(L=33),
            "at": lambda: net.receptive_field().at(L=32),
            "nearest": lambda: net.nearest_valid(L=33),
        }[question]()

    found = ask()
    for again in (ask(), copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert (again, hash(again), {again: 1}[found]) == (found, hash(found), 1)


def test_the_cure_of_tiles_names_what_moves_along_all_axes_that_are_cut() -> None:
    """Rows of a map move as the first digit of its tokens, columns as the last."""
    layers = nn.Conv2d(3, 4, 3), nn.Flatten(2), nn.ReLU()
    net = symcnn.from_torch(nn.Sequential(*layers), "N 3 H W")
    with pytest.raises(NoSolution, match=r'mixes W with other axes(.|\n)*at="0"'):
        net.tiles(H=40, W=40, tile=20)
    assert net.tiles(H=40, W=40, tile=20, at="0")
