"""The questions about places, put to networks that others wrote; `make places` asks more."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import symcnn
from symcnn import BadSpec
from tests.corpus.forwards import Forward

from .tools.places import CASES, JUDGES, Case, Differs, randomized, run

NAMED = {case.name: case for case in CASES}


@pytest.fixture(autouse=True, scope="module")
def no_weights_are_left() -> Iterator[None]:
    yield
    for case in CASES:
        for made in ("module", "net", "sizes"):
            vars(case).pop(made, None)


FAST = {
    "fix": "U-Net|SuperPoint encoder|DAC encoder|DAC decoder|HiFi-GAN",
    "buckets": "U-Net|SqueezeNet 1.0|ResNet-18|SuperPoint encoder|RT-DETR backbone",
    "batch": "RT-DETR backbone|DAC encoder|DAC decoder|HiFi-GAN|SuperPoint encoder",
    "pools": "GoogLeNet|ResNet-18|SqueezeNet 1.0",
    "ONNX": "DAC encoder|DAC decoder|HiFi-GAN|U-Net|SqueezeNet 1.0",
    "agree": "U-Net|DAC encoder|RT-DETR backbone|SqueezeNet 1.0, features|SqueezeNet 1.0",
    "alignment": "RT-DETR backbone|U-Net|SqueezeNet 1.0, features|DAC encoder|HiFi-GAN",
}


@pytest.mark.parametrize(
    ("question", "name"), [(q, name) for q, names in FAST.items() for name in names.split("|")]
)
def test_the_answer_is_that_of_a_run(question: Any, name: Any) -> None:
    assert JUDGES[question](NAMED[name])


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = symcnn.Network.largest_batch
    monkeypatch.setattr(symcnn.Network, "largest_batch", lambda *a, **k: right(*a, **k) + 1)
    with pytest.raises(Differs, match="images in"):
        JUDGES["batch"](NAMED["DAC encoder"])


def test_a_network_of_which_all_outputs_are_equal_judges_nothing() -> None:
    dead = Case("dead", lambda: nn.Conv1d(1, 1, 3), "N 1 L")
    for p in dead.module.parameters():
        nn.init.zeros_(p)
    with pytest.raises(AssertionError):
        run(dead.module, dead.input(L=9))
    randomized(layer := nn.Conv2d(4, 4, 3))
    nn.init.zeros_(layer.weight)
    randomized(layer)
    assert layer.weight.std() > 0


# Whole networks and files


class Recurse(nn.Module):
    """A network with a branch on sizes: it pads what is odd, on the side that is asked for."""

    def __init__(self, side: Any) -> None:
        super().__init__()
        self.side, self.conv = side, nn.Conv1d(1, 2, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % 2:
            x = nn.functional.pad(x, (1, 0) if self.side == "left" else (0, 1))
        elif x.shape[2] > 64:
            x = x[..., 2:]
        return self.conv(x)


def test_networks_with_branches_agree_branch_by_branch() -> None:
    one, other = (symcnn.from_torch(Recurse(side), "N 1 L") for side in ("left", "right"))
    assert len(one.branches) > 1
    found = symcnn.agree(one, other)
    assert found.sizes == one.valid_inputs()
    assert str(found.reads) == "L % 2 == 0 and L >= 2"
    assert symcnn.agree(one, one)


def test_a_network_with_branches_agrees_with_one_without() -> None:
    branched = symcnn.from_torch(Recurse("left"), "N 1 L")
    plain = symcnn.from_torch(nn.Conv1d(1, 2, 2, stride=2), "N 1 L")
    found = symcnn.agree(branched, plain)
    assert [n for n in range(2, 80) if n in found.sizes] == [*range(2, 65, 2)]
    assert found.reads == found.sizes


def test_a_file_agrees_with_the_module_and_not_with_another_one(tmp_path: Path) -> None:
    layers = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)]
    module, file = nn.Sequential(*layers).eval(), tmp_path / "net.onnx"
    names: Any = {"input_names": ["x"], "dynamic_axes": {"x": {0: "N", 2: "H", 3: "W"}}}
    torch.onnx.export(module, (torch.zeros(1, 3, 32, 32),), file, dynamo=False, **names)
    net = symcnn.from_onnx(str(file))
    assert symcnn.agree(symcnn.from_torch(module, "N 3 H W"), net)
    layers[2] = nn.MaxPool2d(3, 2, ceil_mode=True)
    found = symcnn.agree(symcnn.from_torch(nn.Sequential(*layers), "N 3 H W"), net)
    assert str(found.sizes.axis("H")) == "1 <= H % 4 <= 2 and H >= 5"


@pytest.mark.parametrize(
    "last",
    [
        lambda: nn.AdaptiveAvgPool1d(1),
        lambda: nn.GroupNorm(1, 2),
        lambda: nn.Sequential(nn.AdaptiveAvgPool1d(3), nn.Flatten(), nn.Linear(6, 2)),
    ],
)
def test_a_layer_that_reads_all_hides_no_difference_in_front_of_it(
    last: Callable[..., Any],
) -> None:
    torchs = nn.Sequential(nn.Conv1d(1, 2, 3, stride=2, padding=1), last())
    others = nn.Sequential(nn.ZeroPad1d((0, 1)), nn.Conv1d(1, 2, 3, stride=2), last())
    one, other = (symcnn.from_torch(m, "N 1 L") for m in (torchs, others))
    assert not symcnn.agree(one, other).reads
    assert symcnn.agree(one, one)


def test_equal_paths_agree_whatever_their_order_and_what_works_place_by_place() -> None:
    class Decoder(nn.Module):
        def __init__(self, twice: Any) -> None:
            super().__init__()
            self.up, self.holes = nn.ConvTranspose1d(1, 1, 4, 2, 1), nn.Conv1d(1, 1, 3, dilation=3)
            self.side, self.twice = nn.Conv1d(1, 1, 7), twice

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.up(x)
            if self.twice:
                return self.side(torch.relu(x)) + self.holes(torch.relu(x))
            x = torch.relu(x) * 2
            return torch.tanh(self.holes(x) + self.side(x))

    one, other = (symcnn.from_torch(Decoder(twice), "N 1 L") for twice in (True, False))
    assert symcnn.agree(one, other)


def test_equal_paths_agree_where_the_field_has_no_short_formula() -> None:
    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(nn.Conv2d(3, 3, 3, 2, 1) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = self.down[0](x)
            b = self.down[1](a)
            b = b + nn.functional.interpolate(self.down[2](b), size=b.shape[2:])
            a = a + nn.functional.interpolate(b, size=a.shape[2:])
            rows = [t.permute(0, 2, 3, 1).reshape(t.shape[0], -1, 3) for t in (a, b)]
            return torch.cat(rows, 1)

    one, other = (symcnn.from_torch(Levels(), "N 3 H W") for _ in range(2))
    with pytest.raises(symcnn.Undecidable):
        _ = one.receptive_field().padding
    found = symcnn.agree(one, other)
    assert found
    assert found.shift == (0, 0)


# What makes no sense names the nearest thing that does


@pytest.fixture(scope="module")
def net() -> symcnn.Network:
    layers = [nn.Conv1d(1, 2, 5, padding=2), nn.AvgPool1d(4), nn.ConvTranspose1d(2, 1, 4, 4)]
    return symcnn.from_torch(nn.Sequential(*layers), "N 1 L")


@pytest.mark.parametrize(
    ("ask", "cure"),
    [
        (lambda net: net.tiles(L=100, tile=4), "the least that works is tile="),
        (lambda net: net.tiles(L=100, tile=64, peak=1), 'tile=256, or peak="8 GiB"'),
        (lambda net: net.tiles(M=100, tile=64), "L"),
        (lambda net: net.shards(3, L=100), "L=96 or L=108; 100 goes into 5, 25 parts"),
        (lambda net: net.stream("H"), "there is L"),
        (lambda net: net.largest_batch("8 GiB"), "give every size"),
        (lambda net: net.largest_batch(1, L=100), "the smallest input"),
        (lambda net: symcnn.buckets(net, {0: 1}, k=0), "k=4"),
        (lambda net: net.fix(output=("L", "L", "L", "L")), "output=(H, W)"),
        (
            lambda net: symcnn.agree(net, symcnn.nn.ReLU().trace("N 2 L")),
            'trace both with the same letters, such as "N 1 L"',
        ),
    ],
)
def test_a_question_without_sense_names_the_nearest_thing_that_works(
    net: Any, ask: Callable[..., Any], cure: str
) -> None:
    with pytest.raises(symcnn.SymcnnError) as error:
        ask(net)
    lines = str(error.value).splitlines()
    assert len(lines) == 2, lines
    assert cure in lines[1], lines


def test_two_networks_of_other_inputs_are_no_pair(net: Any) -> None:
    x, y = symcnn.tensor("N 1 L"), symcnn.tensor("N 1 L")
    two = symcnn.Network(inputs=(x, y), outputs=x + y)
    with pytest.raises(BadSpec, match="takes 1 inputs, the second 2"):
        symcnn.agree(net, two)


@pytest.mark.parametrize("ask", [
    lambda net: net.tiles(L=180, tile=80), lambda net: net.shards(3, L=180),
    lambda net: net.stream("L"),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_a_scale_of_which_float32_moves_places_has_no_parts(
    ask: Callable[..., Any], mode: str
) -> None:
    rounded_down, rounded_up = (
        symcnn.from_torch(nn.Upsample(scale_factor=scale, mode=mode), "N 1 L")
        for scale in (1.15, 1.5)
    )
    assert nn.Upsample(scale_factor=1.15)(torch.arange(180.0).view(1, 1, -1))[0, 0, 69] == 59
    with pytest.raises(symcnn.NoSolution, match="of which float32 moves some places"):
        ask(rounded_down)
    assert ask(rounded_up)


def test_a_network_without_a_size_to_cut_says_so() -> None:
    net = symcnn.nn.Conv2d(3, 8, 3).trace("N 3 32 32")
    with pytest.raises(BadSpec, match="has no such axis") as error:
        net.tiles(tile=16)
    assert "has a letter of its own as its size" in str(error.value)


def test_what_agrees_nowhere_is_not_asked_for_more() -> None:
    class Gated(nn.Module):
        def __init__(self, kernel: Any, turned: Any) -> None:
            super().__init__()
            self.conv, self.turned = nn.Conv2d(3, 4, kernel, padding=kernel // 2), turned
            self.gate = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            g = self.gate(x).transpose(2, 3) if self.turned else torch.relu(y)
            return y * torch.sigmoid(g.mean((2, 3), keepdim=True))

    one, other = (
        symcnn.from_torch(Gated(*options), "N 3 H W") for options in ((3, True), (5, False))
    )
    assert not symcnn.agree(one, other).reads


class Attends(nn.Module):
    """Attention to a map of a quarter of the rows, by torch's layer or by products."""

    def __init__(self, padding: int, by_hand: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 2 * padding + 1, 4, padding)
        self.fewer, self.out = nn.Conv2d(8, 8, 4, 4), nn.Conv2d(8, 3, 3, padding=1)
        self.mix, self.by_hand = nn.MultiheadAttention(8, 2, batch_first=True), by_hand

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        q, k = (y.flatten(2).transpose(1, 2) for y in (x, self.fewer(x)))
        y = (q @ k.transpose(1, 2)).softmax(-1) @ k if self.by_hand else self.mix(q, k, k)[0]
        return self.out(x + y.transpose(1, 2).reshape(x.shape))


class Stages(nn.Module):
    """Stages, and what each of them makes."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        made = []
        for stage in self.stages:
            x = stage(x)
            made.append(x)
        return made


def test_beside_a_whole_axis_what_lies_in_the_image_is_compared() -> None:
    """One hull starts at min(4*i - 5, 0), the other at -1: both read from place 0."""
    one, other = (symcnn.from_torch(Attends(1, by_hand), "N 3 H W") for by_hand in (False, True))
    found = symcnn.agree(one, other)
    assert found
    assert found.shift == (0, 0)


def test_stages_are_compared_from_outputs_that_read_alike() -> None:
    """Of three stages there is no short formula in the input, of each in the one before."""
    one, other = (
        symcnn.from_torch(Stages(*(Attends(1, by_hand) for _ in range(3))), "N 3 H W")
        for by_hand in (False, True)
    )
    assert symcnn.agree(one, other)


def test_a_stage_that_reads_other_places_of_the_one_before_is_not_said_to_agree() -> None:
    """All of the image, as the other one; but from other places of what the first stages make."""
    one, other = (
        symcnn.from_torch(
            Stages(*(Attends(padding, by_hand) for padding in (1, 1, last))), "N 3 H W"
        )
        for by_hand, last in ((False, 1), (True, 2))
    )
    assert not symcnn.agree(one, other).reads


class Halves(nn.Module):
    """Rows apart, and back between each other, as wavelets do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(torch.cat((x[:, :, ::2], x[:, :, 1::2]), dim=1))
        out = x.new_zeros(x.shape[0], 1, 2 * y.shape[2])
        out[:, :, ::2], out[:, :, 1::2] = y[:, :1], y[:, 1:]
        return out


def test_places_of_rows_that_are_written_between_each_other_are_those_of_a_run() -> None:
    module = Halves()
    net, x = symcnn.from_torch(module, "N 1 L"), torch.randn(1, 1, 96)
    with torch.no_grad():
        whole, made = module(x), torch.full((1, 1, 96), torch.nan)
        for tile in net.tiles(L=96, tile=32).tiles:
            (read,), (core,), (place,) = tile.input, tile.core, tile.place
            made[..., place] = module(x[..., read])[..., core]
    assert torch.allclose(made, whole)
    assert net.stream(axis="L").lookback == net.stream(axis="L").lookahead == 3


class Shortcut(nn.Module):
    """A long path, and a short one beside it that pads as torch does, or as TensorFlow."""

    def __init__(self, same: bool) -> None:
        super().__init__()
        self.long, self.same = nn.Conv1d(1, 1, 7, 2, 3, bias=False), same
        self.short = nn.Conv1d(1, 1, 3, 2, 0 if same else 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        odd = x.shape[-1] % 2
        y = torch.nn.functional.pad(x, (odd, 1)) if self.same else x
        return self.long(x) + self.short(y)


def test_a_shorter_path_is_compared_though_a_longer_one_reads_more() -> None:
    one, other = Shortcut(False), Shortcut(True)
    other.load_state_dict(one.state_dict())
    found = symcnn.agree(*(symcnn.from_torch(m, "N 1 L") for m in (one, other)))
    for length in range(8, 20):
        x = torch.randn(1, 1, length)
        equal = torch.allclose(one(x), other(x), atol=1e-6)
        assert length in found.sizes
        assert equal == (length in found.reads)


def test_in_which_order_paths_are_joined_makes_no_difference() -> None:
    class Three(nn.Module):
        def __init__(self, turned: bool) -> None:
            super().__init__()
            self.turned = turned
            self.paths = nn.ModuleList(nn.Conv1d(1, 1, k, padding=k // 2) for k in (3, 5, 7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b, c = (path(x) for path in self.paths)
            return c + (b + a) if self.turned else torch.relu(c + a) + b

    assert symcnn.agree(*(symcnn.from_torch(Three(turned), "N 1 L") for turned in (False, True)))


@pytest.mark.parametrize(
    "behind",
    [
        lambda: [nn.Conv1d(1, 1, 3, padding=1), nn.MaxPool1d(2)],
        lambda: [nn.MaxPool1d(2)],
        lambda: [nn.Conv1d(1, 1, 3, padding=1), nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(1)],
        lambda: [nn.Conv1d(1, 1, 5, padding=2), nn.AvgPool1d(4), nn.Conv1d(1, 1, 3, padding=1)],
    ],
)
def test_a_row_that_one_network_keeps_is_compared_where_a_later_window_reads_it(
    behind: Callable[[], Any],
) -> None:
    """All read the same of the input: a convolution in front of the pool sees the row that it
    drops. But the next one that pads reads that row, or zeros.
    """
    torch.manual_seed(0)
    shared = [nn.Conv1d(1, 1, 3, padding=1), *behind()]
    one, other = (
        nn.Sequential(shared[0], nn.MaxPool1d(2, ceil_mode=c), *shared[1:]) for c in (False, True)
    )
    found = symcnn.agree(*(symcnn.from_torch(m, "N 1 L") for m in (one, other)))
    for size in filter(found.valid.axis("L").__contains__, range(60)):
        x = torch.randn(64, 1, size)
        with torch.no_grad():
            a, b = one(x), other(x)
        assert (size in found.sizes.axis("L")) == (a.shape == b.shape)
        assert (size in found.reads.axis("L")) == (a.shape == b.shape and torch.allclose(a, b)), (
            size
        )


def test_two_layers_that_are_one_in_the_other_network_read_the_same() -> None:
    """Two windows of 3 read as one of 5 does, though a map between them ends somewhere."""
    two = symcnn.nn.Sequential(*(symcnn.nn.Conv1d(1, 1, 3, padding=1) for _ in range(2)))
    one = symcnn.nn.Conv1d(1, 1, 5, padding=2)
    assert symcnn.agree(two.trace("N 1 L"), one.trace("N 1 L"))


def test_rows_that_attention_reads_beside_those_of_the_place_itself_are_compared() -> None:
    """What is mixed leaves rows over, so that what a place reads is not all of the image."""

    class Reduced(Attends):
        def __init__(self, *, ceil: bool) -> None:
            super().__init__(1, by_hand=True)
            self.ceil = ceil

        def fewer_rows(self, x: torch.Tensor) -> torch.Tensor:
            rows, columns = (-n % 4 if self.ceil else 0 for n in x.shape[2:])
            return self.fewer(nn.functional.pad(x, (0, columns, 0, rows)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.embed(x)
            q, k = (y.flatten(2).transpose(1, 2) for y in (x, self.fewer_rows(x)))
            for _ in range(2):
                q = q + (q @ k.transpose(1, 2)).softmax(-1) @ k
            return q.transpose(1, 2).reshape(x.shape)

    one, other = Reduced(ceil=False), Reduced(ceil=True)
    other.load_state_dict(one.state_dict())
    found = symcnn.agree(*(symcnn.from_torch(m, "N 3 H W") for m in (one, other)))
    for size in range(14, 50):
        x = torch.randn(1, 3, size, size)
        with torch.no_grad():
            same = torch.allclose(one(x), other(x), atol=1e-6)
        assert ((size, size) in found.reads) == same, size


class Selective(nn.Module):
    """A dilated window beside a gate that reads all: between taps and behind pools both hide."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 4, 3, 2, 1)
        self.conv = nn.Conv1d(4, 4, 2 * (2 // dilation) + 1, padding=2, dilation=dilation)
        self.gate = nn.Conv1d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(self.stem(x))
        return y * torch.sigmoid(self.gate(y.mean(2, keepdim=True)))


def test_a_gate_that_reads_all_leaves_dilated_windows_decided() -> None:
    dense, holed, again = (
        symcnn.from_torch(Selective(dilation), "N 1 L") for dilation in (1, 2, 2)
    )
    assert symcnn.agree(holed, again)
    alone = symcnn.agree(dense, holed).reads.axis("L")  # one place, beside which there is none
    assert str(alone) == "1 <= L <= 2"


def test_what_makes_the_output_as_large_is_about_space_where_channels_stand_behind_it() -> None:
    class Codec(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 3, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(self.down(x)).permute(0, 2, 3, 1)

    module = Codec()
    net = symcnn.from_torch(module, "N 3 H W")
    as_it_is, padded, by_hand = net.fix(output=("H", "W"))
    assert (7, 9) in as_it_is.where
    assert (7, 8) not in as_it_is.where
    assert padded.changes == {"up": {"output_padding": 1}}
    assert (6, 8) in by_hand.where
    assert "F.pad(output, (0, 0, 0, 1, 0, 1))" in str(by_hand)
    x = torch.zeros(1, 3, 6, 8)
    assert nn.functional.pad(module(x), (0, 0, 0, 1, 0, 1)).shape == (1, 6, 8, 3)


def test_a_network_of_another_scale_is_cropped_to_no_size() -> None:
    """2*H is H nowhere; at one size of a hundred million rows a crop would make it so."""
    net = symcnn.from_torch(nn.Upsample(scale_factor=2), "N 3 H W")
    with pytest.raises(symcnn.NoSolution) as error:
        net.fix(output=("H", "W"))
    assert "output=('2*H', '2*W')" in error.value.cure
    (as_it_is,) = net.fix(output=("2*H", "2*W"))
    assert as_it_is.changes == {}


def _last_row_apart(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x.narrow(2, 0, x.shape[2] - 1) * 2, x.narrow(2, -1, 1)], 2)


def _rows_apart_before_a_layer(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = conv(torch.cat([x[:, :, :1] * 3, conv(x), x[:, :, -2:] * 2], 2))
    return y


def _rows_put_back(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = conv(x)
    return y + nn.functional.pad(y[:, :, -3:], (0, 0, y.shape[2] - 3, 0))


@pytest.mark.parametrize("join", [_last_row_apart, _rows_apart_before_a_layer, _rows_put_back])
@pytest.mark.parametrize("tile", [(60, 64), (24, 20)])
def test_rows_from_the_end_of_an_axis_are_those_of_the_last_tile(
    join: Any, tile: tuple[int, int]
) -> None:
    module = Forward(lambda m, x: join(m.conv, x), conv=nn.Conv2d(3, 3, 3, padding=1)).eval()
    plan = symcnn.from_torch(module, "N 3 H W").tiles(H=100, W=90, tile=tile)
    x = torch.randn(1, 3, 100, 90)
    with torch.no_grad():
        whole = module(x)
        made = torch.full_like(whole, torch.nan)
        for part in plan:
            made[..., *part.place] = module(x[..., *part.input])[..., *part.core]
    assert torch.allclose(made, whole, atol=1e-5)


class Ring(nn.Module):
    """Circular padding, as torch pads it or by joining the ends."""

    def __init__(self, *, joined: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3)
        self.joined = joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.joined:
            return self.conv(torch.cat([x[..., -1:], x, x[..., :1]], -1))
        return self.conv(nn.functional.pad(x, (1, 1), mode="circular"))


def test_parts_that_are_joined_are_not_told_apart_by_their_hulls() -> None:
    one, other = (symcnn.from_torch(Ring(joined=joined), "N 1 L") for joined in (False, True))
    with pytest.raises(symcnn.Undecidable, match="at L=7 both read the same places"):
        symcnn.agree(one, other)
    assert symcnn.agree(other, other)
    doubled = symcnn.from_torch(nn.Sequential(Ring(joined=True), Ring(joined=True)), "N 1 L")
    assert not symcnn.agree(one, doubled).reads
