"""Why a size fails, in torch's own words, every way out, and the traps that raise nothing."""

import random
import re
from ast import literal_eval
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import symcnn
from symcnn import BadSpec, InvalidInput, NoSolution, ShapeMismatch
from symcnn.testing.networks import networks

from .conftest import sure


class Skip(nn.Module):
    """A LinkNet level: what comes back is added to what went in."""

    def __init__(self, up: Any, join: str = "add", stride: int = 2) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 3, 3, stride=stride, padding=1)
        self.up, self.join = up, join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.up(self.down(x))
        return x + y if self.join == "add" else torch.cat([x, y], dim=1)


NETWORKS = {
    "conv": nn.Conv2d(3, 8, (5, 3), padding=(1, 0)),
    "dilated": nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, dilation=3)),
    "max_pool": nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(4, 2)),
    "avg_pool": nn.AvgPool2d((6, 2)),
    "linear": nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 49, 10)),
    "add": Skip(nn.ConvTranspose2d(3, 3, 2, stride=2)),
    "cat": Skip(nn.Upsample(scale_factor=2), "cat"),
}


def torch_message(module: Any, *size: Any, n: Any = 1) -> str | None:
    try:
        module(torch.zeros(n, 3, *size))
    except RuntimeError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", NETWORKS)
def test_a_failure_is_told_in_torchs_words(name: str) -> None:
    module = NETWORKS[name]
    net = symcnn.from_torch(module, "N 3 H W")
    failures = 0
    draw = random.Random(name)
    for _ in range(60):
        size = draw.randint(1, 12), draw.randint(1, 12)
        found, message = net.diagnose(H=size[0], W=size[1]), torch_message(module, *size)
        assert found.ok == (message is None)
        if message is not None:
            failures += 1
            assert sure(found.failure).says
            assert sure(found.failure).says in message
    assert failures > 5


def test_the_batch_counts_in_torchs_words() -> None:
    module = NETWORKS["linear"]
    net = symcnn.from_torch(module, "N 3 H W")
    said = sure(net.diagnose(N=5, H=12, W=9).failure).says
    assert said == "mat1 and mat2 shapes cannot be multiplied (5x560 and 392x10)"
    assert said in sure(torch_message(module, 12, 9, n=5))


def test_images_folded_into_the_batch_are_a_failure_that_torch_is_silent_about(
    example: Callable[..., Any],
) -> None:
    net = symcnn.from_torch(example("article_b:Net"), "N 3 H W")
    found = net.diagnose(H=64, W=64)
    assert sure(found.failure).says == ""
    assert "1 image(s) would come back as a batch of 4" in sure(found.failure).found
    assert "change the network: self.fc1 = nn.Linear(2048, 32)" in found.ways


def test_every_way_out_of_article_a(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("article_a:article_a"), "N 3 H W")
    found = net.diagnose(H=227, W=227)
    assert sure(found.failure).node == "fc"
    assert found.ways == (
        "pad to 259x259: F.pad(x, (16, 16, 16, 16))",
        "resize to 259x259: F.interpolate(x, size=(259, 259))",
        "change the network: self.fc = nn.Linear(9216, 4096)",
    )


def test_two_maps_that_do_not_meet_can_be_padded_or_made_larger() -> None:
    module: Any = NETWORKS["add"]
    net = symcnn.from_torch(module, "N 3 H W")
    found = net.diagnose(H=9, W=9)
    assert found.ok is False
    text = "\n".join(found.ways)
    assert "before add, pad the input to the size of up: F.pad(x, (0, 1, 0, 1))" in text
    y = module.up(module.down(torch.zeros(1, 3, 9, 9)))
    assert F.pad(torch.zeros(1, 3, 9, 9), (0, 1, 0, 1)).shape == y.shape


def test_output_padding_is_named_where_it_helps() -> None:
    net = symcnn.from_torch(Skip(nn.ConvTranspose2d(3, 3, 3, stride=2, padding=1)), "N 3 H W")
    assert "in up: output_padding=1" in net.diagnose(H=10, W=10).ways
    cured = Skip(nn.ConvTranspose2d(3, 3, 3, stride=2, padding=1, output_padding=1))
    assert symcnn.from_torch(cured, "N 3 H W").diagnose(H=10, W=10).ok


def test_every_join_that_fails_is_named_and_mended_together_the_network_runs(
    example: Callable[..., Any],
) -> None:
    unet = example("unet:UNet")
    found = symcnn.from_torch(unet, "N 3 H W").diagnose(H=101, W=67)
    joins = [f.node for f in (found.failure, *found.further) if f is not None]
    assert joins == ["cat:2", "cat:3", "cat:4"]
    changes = [re.match(r"in (\w+): output_padding=(.*)", way) for way in found.ways]
    for up, padding in (change.groups() for change in changes if change is not None):
        unet.get_submodule(up).output_padding = torch.nn.modules.utils._pair(literal_eval(padding))
    image = torch.zeros(1, 3, 101, 67, device="meta")
    assert unet(image).shape == (1, 2, 101, 67)


def test_what_follows_a_map_that_is_too_small_is_not_told() -> None:
    net = symcnn.from_torch(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 3, 3)), "N 3 H W")
    assert net.diagnose(H=1, W=1).further == ()


def test_an_output_padding_is_the_whole_of_it() -> None:
    up = nn.ConvTranspose2d(3, 3, 3, stride=4, padding=1, output_padding=1)
    net = symcnn.from_torch(Skip(up, stride=4), "N 3 H W")
    assert "in up: output_padding=3" in net.diagnose(H=12, W=12).ways


def test_an_upsampling_can_be_given_the_size() -> None:
    net = symcnn.from_torch(NETWORKS["cat"], "N 3 H W")
    assert "in up: give size=(9, 7), the size of the input" in net.diagnose(H=9, W=7).ways


@pytest.mark.parametrize(
    ("module", "size", "kinds"),
    [
        (nn.Conv2d(3, 3, 3, stride=2), 10, {"unread"}),
        (nn.Conv2d(3, 3, 3, stride=2), 11, set()),
        (nn.MaxPool2d(2), 7, {"unread"}),
        (nn.MaxPool2d(2, ceil_mode=True), 7, set()),
        (nn.Conv2d(3, 3, 3, padding=3), 5, {"padding"}),
        (nn.Conv2d(3, 3, 3, padding=6, dilation=6), 4, set()),
        (nn.Conv2d(3, 3, 2, padding=4, dilation=8), 4, {"padding", "unread"}),
        (nn.ConvTranspose2d(3, 3, 2, stride=3), 4, {"empty"}),
        (nn.Conv2d(3, 3, 3, stride=2, padding=1), 8, set()),
    ],
)
def test_traps_are_found_where_they_are(module: nn.Module, size: int, kinds: Any) -> None:
    found = symcnn.from_torch(module, "N 3 H W").diagnose(H=size, W=size)
    assert found.ok
    assert {trap.kind for trap in found.traps} == kinds


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(1, 4), st.integers(1, 14)
)
def test_traps_are_counted_as_gradients_count_them(
    k: int, s: int, p: int, d: int, size: int
) -> None:
    conv = nn.Conv1d(1, 1, k, stride=s, padding=p, dilation=d, bias=False)
    nn.init.ones_(conv.weight)
    x = torch.ones(1, 1, size, requires_grad=True)
    try:
        y = conv(x)
    except RuntimeError:
        return
    y.sum().backward()
    found = symcnn.from_torch(conv, "N 1 L").diagnose(L=size)
    counts = {trap.kind: trap.count for trap in found.traps}
    assert counts.get("padding", 0) == int((y == 0).sum())
    assert counts.get("unread", 0) == int((sure(x.grad) == 0).sum())


class Of(nn.Module):
    """A function of an image."""

    def __init__(self, function: Any, *layers: Any) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, *self.layers)


SILENT = {
    "steps": (lambda x: x[:, :, ::2], "6 of 12 rows (1, 3, 5, 7, ...) are never read"),
    "crop": (lambda x: x[:, :, 2:-1], "3 of 12 rows (0, 1, 11) are never read"),
    "narrow": (lambda x: x.narrow(2, 0, 9), "the last 3 of 12 rows are never read"),
    "nearest": (lambda x: F.interpolate(x, scale_factor=0.5), "6 of 12 rows (1, 3, 5, 7, ...)"),
    "linear": (
        lambda x: F.interpolate(x, scale_factor=0.25, mode="bilinear"),
        "6 of 12 rows (0, 3, 4, 7, ...) are never read",
    ),
    "Tensor.unfold": (lambda x: x.unfold(2, 3, 4), "3 of 12 rows (3, 7, 11) are never read"),
    "unfold": (lambda x: F.unfold(x, 5, stride=4), "the last 3 of 12 rows are never read"),
    "pool of one": (lambda x: F.max_pool2d(x, 1, 2), "6 of 12 rows (1, 3, 5, 7, ...)"),
    "behind": (
        lambda x: F.avg_pool2d(x, 2)[:, :, 1:],
        "the first 2 of 12 rows of the input reach no output",
    ),
}


@pytest.mark.parametrize("name", SILENT)
def test_rows_that_nothing_reads_are_those_that_the_field_does_not_hold(name: str) -> None:
    function, text = SILENT[name]
    net = symcnn.from_torch(Of(function), "N 3 H W")
    found = net.diagnose(H=12, W=13)
    unread = net.receptive_field().at(H=12, W=13)
    assert found.unread == {"H": tuple(unread.unread(0)), "W": tuple(unread.unread(1))}
    assert any(text in str(trap) for trap in found.traps), found
    assert "every row is read" not in str(found)


def test_what_one_branch_crops_another_may_read() -> None:
    net = symcnn.from_torch(Of(lambda x: x[:, :, 2:-2] + F.avg_pool2d(x, 5, 1, (0, 2))), "N 3 H W")
    assert "every row is read" in str(net.diagnose(H=12, W=12))


def test_a_failure_of_a_decoder_with_a_given_size_is_diagnosed() -> None:
    down, up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 3, 3, 2, 1)
    net = symcnn.from_torch(Of(lambda x, d, u: u(d(x), output_size=x.shape), down, up), "N 3 H W")
    assert net.diagnose(H=12, W=13).ok


def test_traps_of_very_long_axes_are_told_at_once() -> None:
    net = symcnn.from_torch(nn.Sequential(nn.Conv2d(3, 3, 3, 2, 3), nn.MaxPool2d(2)), "N 3 H W")
    found = net.diagnose(H=2**70, W=2**70 + 1)
    assert [trap.kind for trap in found.traps] == ["unread", "padding", "padding"]


def test_where_all_is_well_it_says_so() -> None:
    net = symcnn.from_torch(nn.Conv2d(3, 3, 3, padding=1), "N 3 H W")
    assert str(net.diagnose(H=9, W=9)) == (
        "N=1, H=9, W=9 is valid; every row is read and no output sees only padding"
    )


@given(networks(), st.integers(1, 60), st.integers(1, 60))
def test_a_diagnosis_agrees_with_torch_and_its_sizes_work(recipe: Any, h: int, w: int) -> None:
    with torch.device("meta"):
        module = recipe.build()
    try:
        net = symcnn.from_torch(module, recipe.spec)
    except ShapeMismatch:
        return
    sizes = dict(zip(recipe.axes, (h, w), strict=False))
    try:
        y = module(torch.empty(recipe.shape(*sizes.values()), device="meta"))
        runs = 0 not in y.shape  # sizes are positive
    except RuntimeError:
        runs = False
    found = net.diagnose(**sizes)
    assert found.ok == runs
    try:
        near = net.nearest_valid(**sizes)
    except NoSolution:
        assert not net.valid_inputs()
        return
    x = torch.empty(recipe.shape(*sizes.values()), device="meta")
    for way in near.ways:
        shaped = F.pad(x, way.pad) if way.pad is not None else F.interpolate(x, size=way.size)
        assert tuple(shaped.shape[2:]) == way.size
        y = module(shaped)
        if way.crop is not None:
            for axis, (first, last) in enumerate(way.crop, 2):
                assert 0 <= first < last <= y.shape[axis]


# the nearest input


def test_the_crop_at_the_output_undoes_the_pad(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("unet:unet"), "N 3 H W")
    way = sure(net.nearest_valid(500, 375).pad)
    assert (way.size, way.pad, way.crop) == ((512, 384), (4, 5, 6, 6), ((6, 506), (4, 379)))


def test_a_pad_is_a_multiple_of_the_stride_where_the_output_is_smaller() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 4, stride=4, bias=False), nn.PixelUnshuffle(2))
    net = symcnn.from_torch(module, "N 1 H W")
    way = net.nearest_valid(21, 13).pad
    assert sure(way).size == (24, 16)
    assert sure(way).pad == (0, 3, 0, 3)
    assert sure(way).crop == ((0, 3), (0, 2))


@settings(max_examples=40)
@given(st.integers(1, 70), st.integers(1, 70))
def test_pad_and_crop_give_the_same_pixels(h: int, w: int) -> None:
    """A same-size network that works on blocks of 8: padded and cut back, nothing has moved."""
    module = nn.Sequential(nn.PixelUnshuffle(8), nn.PixelShuffle(8))
    net = symcnn.from_torch(module, "N 1 H W")
    x = torch.arange(float(h * w)).reshape(1, 1, h, w)
    way = sure(net.nearest_valid(h, w).pad)
    (top, bottom), (left, right) = sure(way.crop)
    assert torch.equal(module(F.pad(x, sure(way.pad)))[..., top:bottom, left:right], x)


def test_a_valid_size_is_left_as_it_is(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("unet:unet"), "N 3 H W")
    near = net.nearest_valid(H=512, W=256)
    assert near.valid
    assert str(near) == "512x256 is valid"
    assert sure(near.pad).pad == (0, 0, 0, 0)


def test_where_nothing_is_smaller_there_is_no_crop() -> None:
    net = symcnn.from_torch(nn.Conv2d(3, 3, 9), "N 3 H W")
    near = net.nearest_valid(5, 20)
    assert near.crop is None
    assert sure(near.pad).pad == (0, 0, 2, 2)


@pytest.mark.parametrize("sizes", [(5,), (5, 5, 5), (0, 5), (2.5, 5)])
def test_sizes_of_no_use(sizes: tuple[Any, ...]) -> None:
    net = symcnn.from_torch(nn.Conv2d(3, 3, 9), "N 3 H W")
    with pytest.raises((BadSpec, InvalidInput)):
        net.nearest_valid(*sizes)
    with pytest.raises(BadSpec):
        net.diagnose(H=5)


# fix


def test_the_constant_is_a_formula_and_the_line_is_right(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("article_a:article_a"), "N 3 H W")
    (fix,) = net.fix()
    assert str(fix) == "fc: 12544 should be 256*((H - 35)//32)*((W - 35)//32)"
    assert fix.formula.subs({symcnn.H: 227, symcnn.W: 290}) == 256 * 6 * 7
    assert fix.value is None
    (fix,) = net.fix(H=227, W=227)
    assert (fix.node, fix.was, fix.value) == ("fc", 12544, 9216)
    assert fix.line == "self.fc = nn.Linear(9216, 4096)"


@pytest.mark.parametrize("size", [36, 64, 100])
def test_a_network_whose_constants_are_fixed_takes_the_size(size: int) -> None:
    class Net(nn.Module):
        def __init__(self, features: int = 8 * 8 * 8) -> None:
            super().__init__()
            self.features = features
            self.conv = nn.Conv2d(3, 8, 3, stride=4, padding=1)
            self.head = nn.Sequential(nn.Linear(features, 4, bias=False), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.conv(x)).view(-1, self.features)
            return self.head(torch.relu(x))

    view, linear = symcnn.from_torch(Net(), "N 3 H W").fix(H=size, W=size)
    assert view.kind == "view"
    assert linear.line == f"self.head[0] = nn.Linear({linear.value}, 4, bias=False)"
    assert view.value == linear.value
    assert Net(view.value)(torch.zeros(2, 3, size, size)).shape == (2, 4)


def test_a_positional_parameter_is_a_constant_too() -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 16, stride=16)
            self.pos = nn.Parameter(torch.zeros(1, 196, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).flatten(2).transpose(1, 2) + self.pos

    net = symcnn.from_torch(Patches(), "N 3 H W")
    (fix,) = net.fix(H=384, W=384)
    assert (fix.kind, fix.was, fix.value) == ("parameter", 196, 576)
    assert fix.line == "self.pos = nn.Parameter(torch.zeros(1, 576, 8))"


def test_a_network_without_such_constants_has_nothing_to_fix(example: Callable[..., Any]) -> None:
    assert symcnn.from_torch(example("unet:unet"), "N 3 H W").fix() == []


def test_a_size_that_fails_before_the_constant_is_refused(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("article_a:article_a"), "N 3 H W")
    with pytest.raises(InvalidInput, match="pool2"):
        net.fix(H=27, W=227)


def test_the_nearest_valid_size_is_asked_with_the_batch_as_everything_is() -> None:
    net = symcnn.from_torch(torch.nn.Conv2d(3, 4, 7), "N 3 H W")
    assert net.nearest_valid(N=2, H=3, W=9).pad == net.nearest_valid(3, 9).pad
    with pytest.raises(symcnn.BadSpec, match="no size is called M"):
        net.nearest_valid(M=2, H=3, W=9)


class EachImage(torch.nn.Module):
    """A loop over images: it holds for as many as the example has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([image[..., 7] for image in x.split(1, 0)])


def test_sizes_that_no_run_followed_are_diagnosed_too() -> None:
    net = symcnn.from_torch(EachImage(), "N 3 H W")
    assert not net.complete
    refused = net.diagnose(N=5, H=4, W=4)
    assert not refused.ok
    assert "N=5, H=4, W=4 is refused: getitem: an index must lie within the axis" in str(refused)
    assert refused.ways[0].startswith("pad to 4x8")
    valid = net.diagnose(N=5, H=4, W=9)
    assert valid.ok
    assert str(valid).startswith("N=5, H=4, W=9 is valid")


def test_a_linear_layer_whose_weight_is_computed_fails_in_torchs_words() -> None:
    """`weight_norm`: the only parameter that the layer itself reads is the bias."""
    last = nn.utils.parametrizations.weight_norm(nn.Linear(8 * 36, 5))
    net = symcnn.from_torch(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), last), "N 3 H W")
    said = str(net.diagnose(N=2, H=9, W=8))
    assert "mat1 and mat2 shapes cannot be multiplied (2x336 and 288x5)" in said
    assert "nn.Linear(336, 5)" in said
