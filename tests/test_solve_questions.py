"""Questions that people ask in issue threads, answered in one call, and checked by torch."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn import H, InvalidInput, NoSolution, W

from .conftest import sure


def runs(module: Any, *shape: Any) -> Any:
    try:
        with torch.no_grad():
            return tuple(module(torch.empty(1, *shape, device="meta")).shape)
    except RuntimeError:
        return None


def traced(build: Any, spec: str = "N 3 H W") -> tuple[Any, symcnn.Network]:
    with torch.device("meta"):
        module = build().eval()
    return module, symcnn.from_torch(module, spec)


# a U-Net of valid convolutions: 572 gives 388; which tiles work, and the smallest


def test_which_tiles_a_valid_unet_takes(example: Callable[..., Any]) -> None:
    module = example("unet:unet_valid")
    net = symcnn.from_torch(module, "N 1 H W")
    assert net.shape_at(N=1, H=572, W=572)[2:] == (388, 388)
    assert str(net.valid_inputs()) == "H >= 188 and W >= 188"
    assert str(net.solve(output=(388, 388))) == "572 <= H <= 587 and 572 <= W <= 587"
    assert str(net.solve(output=("h", None)).possible) == "h % 16 == 4 and h >= 4"
    assert net.solve(output=(range(100, 200), None)).axis("H").runs()[0].first == 284
    for size in (187, 188, 203, 204, 571, 572, 587, 588):
        shape = runs(module, 1, size, size)
        assert (shape is not None) == ((size, size) in net.valid_inputs())
        assert (shape is not None and shape[2] == 388) == (572 <= size <= 587)


# LinkNet at 1000 x 2000: strides 32, decoders that double, skips that are added


class LinkNet(nn.Module):
    def __init__(self, width: int = 4, levels: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 7, 2, 3), nn.MaxPool2d(3, 2, 1))
        self.encoders = nn.ModuleList(
            nn.Conv2d(width, width, 3, 1 if i == 0 else 2, 1) for i in range(levels)
        )
        self.decoders = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 3, 1 if i == 0 else 2, 1, 0 if i == 0 else 1)
            for i in range(levels)
        )
        self.head = nn.ConvTranspose2d(width, 2, 4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = [self.stem(x)]
        for encoder in self.encoders:
            skips.append(encoder(skips[-1]))
        x = skips.pop()
        for decoder in reversed(self.decoders):
            x = decoder(x) + skips.pop()
        return self.head(x)


def test_linknet_at_1000x2000() -> None:
    module, net = traced(LinkNet)
    assert runs(module, 3, 1000, 2000) is None
    found = net.diagnose(H=1000, W=2000)
    assert sure(found.failure).op == "add"
    assert sure(found.failure).says == (
        "The size of tensor a (126) must match the size of tensor b (125) at non-singleton "
        "dimension 3"
    )
    with pytest.raises(RuntimeError, match=re.escape(sure(found.failure).says)):
        LinkNet()(torch.zeros(1, 3, 1000, 2000))
    near = net.nearest_valid(1000, 2000)
    assert sure(near.pad).size == (1021, 2013)
    assert sure(near.crop).size == (1000 - 8, 2000 - 16)
    for way in near.ways:
        assert runs(module, 3, *way.size) is not None
    assert net.solve(multiple_of=32).smallest() == (32, 32)


# HRNet: branches at 1/4, 1/8, 1/16, 1/32 are fused by upsampling and adding


class HRNet(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.down = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [self.stem(x)]
        for down in self.down:
            maps.append(down(maps[-1]))
        total = maps[0]
        for i, m in enumerate(maps[1:], 1):
            total = total + F.interpolate(m, scale_factor=2**i, mode="nearest")
        return total


@pytest.mark.parametrize(("size", "fine"), [((192, 144), False), ((192, 160), True)])
def test_hrnet_at_192x144_and_192x160(size: tuple[int, int], fine: bool) -> None:
    module, net = traced(HRNet)
    assert (runs(module, 3, *size) is not None) == fine
    assert net.diagnose(H=size[0], W=size[1]).ok == fine
    assert (size in net.valid_inputs()) == fine
    near = net.nearest_valid(*size)
    assert sure(near.pad).size == (192, 160)
    assert sure(near.crop).size == ((192, 160) if fine else (192, 128 + 3))


def test_hrnet_says_which_sizes_and_why() -> None:
    _, net = traced(HRNet)
    multiples = net.solve(multiple_of=4)
    assert (192, 160) in multiples
    assert (192, 144) not in multiples
    with pytest.raises(InvalidInput, match="add"):
        net.shape_at(N=1, H=192, W=144)


# pix2pix: eight halvings and eight doublings; 80 x 80 does not reach the bottom


class Pix2Pix(nn.Module):
    def __init__(self, levels: int = 8, width: int = 2) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else width, width, 4, 2, 1) for i in range(levels)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(width if i == 0 else 2 * width, width, 4, 2, 1)
            for i in range(levels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.up[0](skips.pop())
        for up in self.up[1:]:
            x = up(torch.cat([skips.pop(), x], dim=1))
        return x


def test_pix2pix_with_8_levels_takes_multiples_of_256() -> None:
    module, net = traced(Pix2Pix)
    assert runs(module, 3, 80, 80) is None
    multiples = "H % 256 == 0 and H >= 256 and W % 256 == 0 and W >= 256"
    assert str(net.solve(output=(H, W))) == multiples
    assert str(net.valid_inputs()) == multiples.replace("== 0", "<= 1")  # 257 gives 256
    assert runs(module, 3, 257, 512)[2:] == (256, 512)
    found = net.diagnose(H=80, W=80)
    assert sure(found.failure).says.startswith("Calculated padded input size per channel: (3 x 3)")
    assert found.ways[0] == (
        "pad to 256x256: F.pad(x, (88, 88, 88, 88)), and at the output y[..., 88:168, 88:168]"
    )
    _, shallow = traced(lambda: Pix2Pix(levels=4))
    assert (80, 80) in shallow.valid_inputs()


# FCN-32s: the first convolution is padded by 100, and the scores are cropped back to the input


class FCN32s(nn.Module):
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for i in range(5):
            pad = 100 if i == 0 else 1
            blocks += [nn.Conv2d(3 if i == 0 else width, width, 3, padding=pad)]
            blocks += [nn.MaxPool2d(2, ceil_mode=True)]
        self.features = nn.Sequential(*blocks, nn.Conv2d(width, width, 7))
        self.up = nn.ConvTranspose2d(width, 2, 64, stride=32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.up(self.features(x))
        return y[:, :, 19 : 19 + x.shape[2], 19 : 19 + x.shape[3]]


def test_fcn32s_takes_every_size_and_gives_it_back() -> None:
    module, net = traced(FCN32s)
    same = net.solve(output=(H, W))
    for size in (1, 2, 31, 32, 224, 500):
        shape = runs(module, 3, size, size)
        assert (shape is not None and shape[2] == size) == ((size, size) in same)
    assert str(same) == "H >= 1 and W >= 1"
    assert str(net.at("features").solve(output=("h", "w"))) == (
        "max(1, 32*h - 37) <= H <= 32*h - 6 and max(1, 32*w - 37) <= W <= 32*w - 6"
    )


# article A: what the Linear should be, and where 12544 would be right


def test_article_a_what_in_features_should_be(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("article_a:article_a"), "N 3 H W")
    assert str(net.solve(flatten=12544, square=True)) == "259 <= H <= 290 and H == W"
    assert str(net.solve(flatten=9216, square=True)) == "227 <= H <= 258 and H == W"
    assert net.fix(H=227, W=227)[0].line == "self.fc = nn.Linear(9216, 4096)"
    assert net.fix(H=259, W=259)[0].right


# coupled axes and several inputs


def test_tokens_couple_the_axes() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 8, 16, 16)
            self.pos = nn.Parameter(torch.zeros(1, 197, 8))
            self.cls = nn.Parameter(torch.zeros(1, 1, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
            return x + self.pos

    module, net = traced(Tokens)
    domain = net.valid_inputs()
    assert str(net.solve(square=True)) == "224 <= H <= 239 and H == W"
    for x in (16, 32, 64, 112, 224, 230, 240, 448):
        for y in (64, 100, 112, 224, 448, 784, 1568, 3136):
            assert ((x, y) in domain) == (runs(module, 3, x, y) is not None)
    assert "197" in "\n".join(map(str, net.reasons()))


def test_windows_ask_for_multiples_of_both() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 8, 4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.patch(x)
            n, c, h, w = x.shape
            return x.view(n, c, h // 7, 7, w // 7, 7)

    module, net = traced(Windows)
    for x in (28, 30, 31, 32, 56, 59, 60, 224):
        assert ((x, 56) in net.valid_inputs()) == (runs(module, 3, x, 56) is not None)
    assert str(net.solve(within=(200, 260), multiple_of=4, square=True)) == (
        "H % 28 == 0 and 224 <= H <= 252 and H == W"
    )


def test_two_inputs_couple_their_axes() -> None:
    class Fuse(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return F.max_pool2d(a, 2) + b

    net = symcnn.from_torch(Fuse(), "N 3 H W", "N 3 P Q")
    domain = net.valid_inputs()
    assert (64, 32, 32, 16) in domain
    assert (64, 32, 31, 16) not in domain
    found = net.solve(P=32, Q=16, H=range(4, 999), W=range(4, 999))  # 2 or 3 would broadcast
    assert str(found) == "64 <= H <= 65 and 32 <= W <= 33 and P == 32 and Q == 16"
    assert net.nearest_valid(63, 32, 32, 16).valid is False


def test_a_branch_that_raises_is_a_reason() -> None:
    class Guarded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[2] % 14:
                raise ValueError("the height must be a multiple of 14")
            return x

    net = symcnn.from_torch(Guarded(), "N 3 H W", example={"N": 1, "H": 15, "W": 15})
    assert str(net.valid_inputs()) == "H % 14 == 0 and H >= 14 and W >= 1"
    found = net.diagnose(H=15, W=3)
    assert "the height must be a multiple of 14" in str(found)
    assert found.ways[0].startswith("pad to 28x3")


def test_a_network_that_takes_nothing_has_no_solution() -> None:
    class Never(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([F.max_pool2d(x, 2), F.max_pool2d(x, 2, ceil_mode=True)[:, :, 1:]], 1)

    _, net = traced(Never)
    if not net.valid_inputs():
        with pytest.raises(NoSolution):
            net.nearest_valid(8, 8)


class Clips(nn.Module):
    """Frames of clips of four, as TSM has them: a batch is never one image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        clips = x.view(-1, 4, *x.shape[1:])
        return self.conv((clips * 2).view(x.shape))


class Alone(Clips):
    """One image takes another way than several."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return y if x.shape[0] == 1 else self.conv(y)


@pytest.mark.parametrize(("build", "limit"), [(Clips, 230_400), (Alone, 57_600)])
def test_a_budget_holds_for_every_batch_that_is_a_member(build: Any, limit: int) -> None:
    net = symcnn.from_torch(build(), "N 8 H W")
    found = net.solve(macs=limit)
    members = [
        {"N": n, "H": h, "W": w} for n in range(1, 9) for h in (1, 5, 10) for w in (1, 5, 10)
    ]
    inside = [at for at in members if at in found]
    assert {"N": 4 if build is Clips else 1, "H": 10, "W": 10} in inside
    assert all(sure(net.given(**at).macs) <= limit for at in inside)


_QUESTIONS: dict[str, Any] = {
    "a branch": lambda net, h: net.branch_at(H=h),
    "a slice of the domain": lambda net, h: net.valid_inputs().given(H=h),
    "layers in vain": lambda net, h: net.receptive_field().unproductive(H=h, W=64),
    "buckets": lambda net, h: symcnn.buckets(net, {64: 1}, k=1, H=h),
    "a cost": lambda net, h: net.cost().at(N=1, H=h, W=64),
    "a figure": lambda net, h: net.plot("sizes", output=h),
    "an axis": lambda net, h: net.explain("size", axis=h),
}


@pytest.mark.parametrize("name", _QUESTIONS)
def test_a_size_that_is_no_whole_number_is_refused(name: str) -> None:
    net: Any = symcnn.nn.Conv2d(3, 4, 3).trace("N 3 H W")
    for wrong in (2.5, True, [4.5]):
        with pytest.raises(symcnn.BadSpec):
            _QUESTIONS[name](net, wrong)


def test_a_name_that_is_no_text_is_refused() -> None:
    net: Any = symcnn.nn.Conv2d(3, 4, 3).trace("N 3 H W")
    for ask in (net.at, net.receptive_field, net.located):
        with pytest.raises(symcnn.BadSpec, match="no module or node"):
            ask(3)
