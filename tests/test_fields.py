"""Receptive fields where axes are coupled, picked and windowed; and along the shortest path."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import nn as tnn
from torch.nn import functional as F

import symcnn
from symcnn import H, W, nn
from symcnn.errors import InvalidInput, Undecidable
from symcnn.judge.probe import gradient_support, make_positive, support
from symcnn.questions.field.cover import Covers
from tests.conftest import load_example

from .fuzz.mixing import Block, Mixing, judge
from .fuzz.sweep import judge_cases

i = sympy.Symbol("i", integer=True, nonnegative=True)


class Of(tnn.Module):
    """A function of an image."""

    def __init__(self, function: Any, *layers: Any) -> None:
        super().__init__()
        self.function, self.layers = function, tnn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, *self.layers)


def traced(function: Callable[..., Any], *layers: Any, spec: str = "N 3 H W") -> symcnn.Network:
    return symcnn.from_torch(Of(function, *layers), spec)


conv = tnn.Conv2d(3, 3, 3, padding=1)


# Picked and coupled axes ----------------------------------------------------------------------


def picked_by(x: Any) -> Any:
    return (x > 2).long()


@pytest.mark.parametrize(
    ("function", "size"),
    [
        (lambda x, c: c(x).gather(1, picked_by(c(x))), 3),
        (lambda x, c: torch.take_along_dim(c(x), picked_by(c(x)), 1), 3),
        (lambda x, c: x.new_zeros(x.shape).scatter(1, picked_by(c(x)), c(x)), 3),
        (lambda x, c: torch.zeros_like(x).scatter_add_(1, picked_by(c(x)), c(x)), 3),
        (lambda x, c: c(x).index_select(1, torch.tensor([0, 2])), 3),
        (lambda x, c: F.unfold(c(x), 3, padding=1).view(1, 27, x.shape[2], x.shape[3]), 5),
        (lambda x, c: c(x).unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).amax(-1), 5),
    ],
    ids="gather take_along_dim scatter scatter_add index_select unfold Tensor.unfold".split(),
)
def test_picking_along_channels_and_cutting_patches_stay_local(
    function: Callable[..., Any], size: int
) -> None:
    assert traced(function, conv, spec="1 3 H W").receptive_field().size == (size, size)


def test_what_is_new_whatever_the_values_sees_nothing_of_the_tensor_it_is_like() -> None:
    net = traced(lambda x, c: x.new_ones(x.shape) + c(x), conv)
    assert net.receptive_field().size == (3, 3)


def test_the_grid_of_a_sampled_image_is_read_place_by_place() -> None:
    grid = tnn.Conv2d(3, 2, 3, padding=1)
    net = traced(lambda x, g: F.grid_sample(torch.zeros_like(x), g(x).permute(0, 2, 3, 1)), grid)
    assert net.receptive_field().size == (3, 3)


def test_patches_laid_back_unmixed_see_their_own_pixel_only() -> None:
    net = traced(lambda x: F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1))
    assert net.receptive_field().interval(i) == (i, i)
    at = net.receptive_field().at(H=7, W=9)
    assert (at.table(0) == np.eye(7, dtype=bool)).all()


def test_overlapping_blocks_leave_the_rows_behind_the_last_unread() -> None:
    mix = tnn.Conv1d(3 * 64 * 64, 3 * 64 * 64, 1, groups=3).to("meta")
    net = traced(
        lambda x, m: F.fold(m(F.unfold(x, 64, stride=32)), x.shape[2:], 64, stride=32), mix
    )
    at = net.receptive_field().at(H=250, W=64)
    assert at.interval(40) == (0, 95)
    assert at.unread() == [*range(224, 250)]
    assert at.padding_only() == [*range(224, 250)]


@pytest.mark.parametrize("dilation", [1, 2])
def test_patches_are_read_as_gradients_read_them(dilation: int) -> None:
    mix = tnn.Conv1d(2 * 9, 4 * 9, 1)
    options = {"kernel_size": 3, "dilation": dilation, "padding": 2, "stride": 2}

    def function(x: Any, m: Any) -> Any:
        return F.fold(m(F.unfold(x, **options)), x.shape[2:], **options)

    module = Of(function, mix).double()
    at = symcnn.from_torch(module, "1 2 H W").receptive_field().at(H=11, W=13)
    for axis in range(2):
        assert (at.table(axis) == gradient_support(module, (1, 2, 11, 13), axis)).all()


def test_a_running_sum_reads_what_came_before() -> None:
    net = traced(lambda x, c: c(x).cumsum(2), conv)
    rf = net.receptive_field()
    assert rf.interval(i) == (-1, i + 1)
    assert rf.at(H=9, W=9).interval(4) == (0, 5)


class Recurrent(tnn.Module):
    """Outputs of a recurrent layer over columns, or its last state beside them."""

    def __init__(self, *, both_ways: bool = False, last: bool = False) -> None:
        super().__init__()
        self.conv = tnn.Conv2d(3, 4, 3, padding=1)
        self.run = tnn.LSTM(4, 4, 2, batch_first=True, bidirectional=both_ways)
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, _, h, _ = x.shape
        columns = self.conv(x).permute(0, 2, 3, 1).flatten(0, 1)
        steps, (state, _) = self.run(columns)
        steps = state[-1][:, None] + columns if self.last else steps
        return steps.unflatten(0, (n, h)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("options", [{}, {"both_ways": True}, {"last": True}])
def test_one_way_along_time_a_step_reads_what_came_before(options: dict[str, bool]) -> None:
    module = Recurrent(**options).double()
    at = symcnn.from_torch(module, "1 3 H W").receptive_field().at(H=5, W=9)
    for axis in range(2):
        assert (at.table(axis) == gradient_support(module, (1, 3, 5, 9), axis)).all()


# Windows, twice -------------------------------------------------------------------------------


class Local(tnn.Module):
    """Attention within windows of `side` x `side`."""

    def __init__(self, side: int = 7) -> None:
        super().__init__()
        self.side, self.query, self.out = side, tnn.Conv2d(4, 4, 1), tnn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        p, rows, columns = self.side, h // self.side, w // self.side
        x = x.reshape(b, c, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5)
        x = x.reshape(b * rows * columns, c, p, p)
        q = self.query(x).flatten(2).transpose(1, 2)
        x = ((q @ q.transpose(1, 2)).softmax(-1) @ q).transpose(1, 2)
        x = self.out(x.reshape(b * rows * columns, c, p, p))
        x = x.reshape(b, rows, columns, c, p, p).permute(0, 3, 1, 4, 2, 5)
        return x.reshape(b, c, rows * p, columns * p)


class Everywhere(tnn.Module):
    """Attention to one key per block."""

    def __init__(self, side: int = 7) -> None:
        super().__init__()
        self.query, self.key = tnn.Conv2d(4, 4, 1), tnn.Conv2d(4, 4, side, side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        q, k = self.query(x).flatten(2).transpose(1, 2), self.key(x).flatten(2).transpose(1, 2)
        return ((q @ k.transpose(1, 2)).softmax(-1) @ k).transpose(1, 2).reshape(b, c, h, w)


class Beside(tnn.Module):
    """A layer, and beside it what it reads."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + x


def net_of(*layers: Any) -> symcnn.Network:
    return symcnn.from_torch(tnn.Sequential(*layers), "N 4 H W")


def test_windows_have_the_size_of_a_window() -> None:
    assert net_of(Local()).receptive_field().size == (7, 7)
    assert net_of(Local(), Local()).receptive_field().size == (7, 7)
    assert net_of(Beside(Local()), Beside(Local())).receptive_field().size == (7, 7)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Beside(Local()), Beside(Everywhere())],
        lambda: [Beside(Local()), Beside(Everywhere()), Beside(Local())],
        lambda: [Everywhere(), Local()],
        lambda: [Beside(Everywhere()), Beside(tnn.Conv2d(4, 4, 3, padding=1)), Beside(Local())],
    ],
    ids=["local global", "local global local", "global local", "global conv local"],
)
def test_a_place_that_attends_everywhere_between_windows_sees_the_whole_axis(
    layers: Callable[..., Any],
) -> None:
    net = net_of(*layers())
    at = net.receptive_field().at(H=21, W=14)
    assert at.size == (21, 14)
    size = net.receptive_field().size[0]
    assert sympy.sympify(size).subs(H, 21) >= 21  # it reaches into the padding


def test_attention_everywhere_beside_its_input_sees_all_rows() -> None:
    assert net_of(Beside(Everywhere()), Beside(Everywhere())).receptive_field().size == (H, W)


# Along the shortest path ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet50() -> symcnn.Network:
    with torch.device("meta"):
        return symcnn.from_torch(load_example("resnet").resnet50().eval(), "N 3 H W")


class Reduced(tnn.Module):
    """Attention to a map of windows of 8: rows behind the last are read by their own place only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = tnn.Conv2d(4, 4, 8, 8)
        self.attention = tnn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens, keys = (t.flatten(2).transpose(1, 2) for t in (x, self.conv(x)))
        tokens = tokens + self.attention(tokens, keys, keys, need_weights=False)[0]
        return tokens.transpose(1, 2).reshape(x.shape)


def test_multi_head_attention_reads_its_own_query_and_all_keys() -> None:
    """SegFormer's backbone of mmsegmentation and its ONNX file read the same places."""
    module = Reduced().eval()
    field = symcnn.from_torch(module, "N 4 H W").receptive_field()
    assert str(field.interval("i")) == "(0, Max(i, 8*(H//8) - 1))"
    at = field.at(H=19, W=27)
    image = torch.randn(1, 4, 19, 27, requires_grad=True)
    output = module(image)
    for row, column in ((3, 4), (17, 25), (18, 26)):
        total = (output[0, :, row, column] * torch.rand(4)).sum()
        (gradient,) = torch.autograd.grad(total, image, retain_graph=True)
        for axis, place in ((0, row), (1, column)):
            read = gradient[0].abs().sum((0, 2 - axis)).nonzero().flatten().tolist()
            assert at.mask(place, axis, hull=False).nonzero()[0].tolist() == read


def test_resnet50_is_made_for_images_of_75_to_427_pixels(resnet50: Any) -> None:
    assert resnet50.receptive_field().feasible == ((75, 75), (427, 427))
    assert resnet50.receptive_field(at="layer4").feasible == ((75, 75), (427, 427))


def test_no_layer_of_resnet50_is_unproductive_at_224(resnet50: Any) -> None:
    rf = resnet50.receptive_field()
    assert rf.unproductive(H=224, W=224) == ()
    assert rf.unproductive(H=75, W=75) == ()
    assert rf.unproductive(H=74, W=74) == ("layer4.1.conv3", "layer4.2.conv3")


def test_shortcuts_pass_over_the_layers_beside_them(resnet50: Any) -> None:
    smallest = resnet50.receptive_field(at="layer4").smallest
    assert smallest.size == (11, 11)
    assert smallest.stride == (32, 32)
    assert smallest.at(H=224, W=224).size == (11, 11)
    assert resnet50.receptive_field(at="layer4.2.conv2").smallest.size == (75, 75)


def test_without_branches_the_smallest_field_is_the_field() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1))
    rf = net.trace("N 3 H W").receptive_field()
    assert rf.smallest.size == rf.size
    assert rf.feasible == (rf.size, rf.size)


def test_a_gate_is_not_on_the_shortest_path() -> None:
    gated = Of(lambda x, c: c(x) * c(x).mean((2, 3), keepdim=True).sigmoid(), conv)
    rf = symcnn.from_torch(gated, "N 3 H W").receptive_field()
    assert rf.size == (H, W)
    assert rf.smallest.size == (3, 3)


def test_images_that_a_network_with_gates_is_made_for_are_those_without() -> None:
    def net(gate: bool) -> symcnn.Network:
        class Stage(tnn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = tnn.Conv2d(4, 4, 3, padding=1)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                y = self.conv(x)
                return x + (y * y.mean((2, 3), keepdim=True) if gate else y)

        return symcnn.from_torch(tnn.Sequential(Stage(), Stage(), Stage()), "N 4 H W")

    assert net(True).receptive_field().feasible == net(False).receptive_field().feasible
    assert net(False).receptive_field().feasible == ((3, 3), (7, 7))


def test_attention_everywhere_beside_its_input_is_made_for_images_of_any_size() -> None:
    smallest, largest = net_of(Beside(Everywhere()), Beside(Local())).receptive_field().feasible
    assert (smallest, largest) == ((7, 7), (H, W))


# Up to a module ---------------------------------------------------------------------------------


def test_the_field_of_a_part_takes_the_sizes_that_the_part_takes() -> None:
    net = symcnn.from_torch(
        tnn.Sequential(tnn.Conv2d(3, 8, 3, padding=1), tnn.Flatten(), tnn.Linear(8 * 64, 10)),
        "N 3 H W",
    )
    assert net.receptive_field(at="0").at(H=20, W=30).interval(5) == (4, 6)
    with pytest.raises(InvalidInput, match="2"):
        net.receptive_field().at(H=20, W=30)


# Gaps -------------------------------------------------------------------------------------------


def test_a_path_that_reads_nothing_at_a_column_adds_no_rows_there() -> None:
    """Rows two further down join but in column 0, where they are padding; that one is taken."""
    net = traced(lambda x: (x + F.pad(x[:, :, 2:, 1:], (1, 0, 0, 2)))[..., :1])
    rows = net.receptive_field().at(H=5, W=4).table()
    assert (rows == np.eye(5, dtype=bool)).all()


def test_rows_that_a_path_reads_at_other_columns_count_for_the_row() -> None:
    net = traced(lambda x: x + F.pad(x[:, :, 2:, 1:], (1, 0, 0, 2)))
    rows = net.receptive_field().at(H=5, W=4).table()
    assert (rows == np.eye(5, dtype=bool) | np.eye(5, k=2, dtype=bool)).all()


def test_a_place_that_one_path_does_not_read_by_its_row_and_the_other_by_its_column() -> None:
    """Padded and added to itself turned: place (0, 0) is padding both ways."""
    net = traced(lambda x: (y := F.pad(x, (1, 0, 1, 0))) + y.transpose(2, 3))
    at = net.receptive_field().at(H=4, W=4)
    for axis in range(2):
        along, table = at.tables(axis)
        assert along == (2, 3)
        assert not table[0].any()
        assert not table[:, 0].any()
        assert (table[1:, 1:].sum(-1) == 2 - np.eye(4)).all()


@pytest.mark.parametrize(("seed", "case"), [(41, 265), (43, 69)])
def test_gaps_of_folds_and_strides_are_those_of_gradients(seed: int, case: int) -> None:
    assert judge_cases("field", seed, [case]).mismatches == []


# Random networks --------------------------------------------------------------------------------


def test_fields_of_networks_that_mix_places_are_the_support_of_gradients() -> None:
    tally = judge_cases("field", 1, range(24))
    assert tally.mismatches == []
    assert tally.fields == 24
    assert tally.counts["output indices whose field was compared"] > 500


def test_a_field_that_is_too_small_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symcnn.questions.field.field_at.boxes", lambda paths: paths[:1])
    found = judge(Mixing((Block("beside", inner=(Block("roll", (3,)),)),), ((12, 12),)))
    assert "gradients" in found.mismatches[0]


# Resizes ----------------------------------------------------------------------------------------


def test_a_resize_reads_one_row_where_torchs_own_floor_says_so() -> None:
    """The floor of a place is that of its single precision, whatever the image's."""
    for x, y in [(2, 50), (3, 99), (15, 51), (29, 87)]:
        module = tnn.Upsample(size=y, mode="linear", align_corners=True)
        at = symcnn.from_torch(module, "N 1 L").receptive_field().at(L=x)
        weights = module(torch.eye(x, dtype=torch.float64)[None])[0].T
        assert (at.table() == (weights != 0).numpy()).all()


@pytest.mark.parametrize("seed", range(12))
def test_chains_of_resizes_read_what_torch_reads(seed: int) -> None:
    draw = random.Random(seed)
    layers: list[tnn.Module] = [tnn.MaxPool1d(4, 3, 1)]
    for _ in range(3):
        wanted: dict[str, Any] = draw.choice(
            [{"size": draw.randint(5, 99)}, {"scale_factor": draw.choice([2, 0.7])}]
        )
        align = draw.choice([True, True, False])
        layers.append(tnn.Upsample(**wanted, mode="linear", align_corners=align))
    module = make_positive(tnn.Sequential(*layers))
    at = symcnn.from_torch(module, "N 1 L").receptive_field().at(L=99)
    assert (at.table() == support(module, (1, 1, 99), 0)).all()


@pytest.mark.parametrize(
    "joined",
    [
        lambda x: torch.cat([x, x, x], -1),
        lambda x: torch.cat([x, x * 2, x], -1),
        lambda x: torch.cat([x, x[..., :2], x], -1),
        lambda x: torch.cat([torch.empty(0), x, x], -1),
        lambda x: torch.cat([x] * x.shape[2], -1),
        lambda x: torch.stack([x, x], -2).flatten(-2),
    ],
)
def test_a_tensor_that_is_joined_to_itself_is_read_at_every_place(
    joined: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    at = traced(joined).receptive_field().at(H=4, W=5)
    image = torch.zeros(1, 3, 4, 5, requires_grad=True)
    output = joined(image)
    for column in range(output.shape[-1]):
        (gradient,) = torch.autograd.grad(output[..., column].sum(), image, retain_graph=True)
        read = gradient.abs().sum((0, 1, 2)).nonzero().flatten().tolist()
        assert at.interval(column, axis=1) == (read[0], read[-1])


def test_a_field_of_coupled_axes_is_said_in_words() -> None:
    at = traced(lambda x: x + x.transpose(2, 3)).receptive_field().at(H=6, W=6)
    assert str(at).splitlines()[1] == "H: outputs see 1 to 6 indices, 2.9 on average"
    assert at.sizes(0).shape == (6, 6)
    assert at.sizes(0)[1, 4] == 4
    assert at.density() == sum(1 if i == j else 2 for i in range(6) for j in range(6)) / 106
    assert "FieldAt" in repr(at)
    assert "<table" in at._repr_html_()


def _attends_in_wrong_windows(x: torch.Tensor) -> torch.Tensor:
    """Windows whose rows are taken for columns: what a place reads has no short formula."""
    n, c, h, w = x.shape
    tokens = x.flatten(2).transpose(1, 2).view(n, h // 8, w // 8, 8, 8, c)
    tokens = tokens.permute(0, 1, 3, 2, 4, 5).reshape(-1, 64, c)
    mixed = (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens
    mixed = mixed.view(n, h // 8, w // 8, 8, 8, c).permute(0, 1, 3, 2, 4, 5)
    return mixed.reshape(n, h, w, c).permute(0, 3, 1, 2)


def test_beside_an_operand_that_sees_everything_no_other_one_needs_a_formula() -> None:
    """A gate behind the attention of FDAT: the field is the image, whatever the attention reads."""
    net = traced(lambda x: _attends_in_wrong_windows(x) * x.mean((2, 3), keepdim=True))
    assert net.receptive_field().size == (H, W)
    assert net.receptive_field().interval(3) == (0, H - 1)


def test_what_one_output_of_a_long_signal_sees_is_asked_of_groups_of_samples() -> None:
    """A table of all outputs by all samples would take 230 GB: that is refused in words."""
    net = symcnn.from_torch(
        tnn.Sequential(tnn.Conv1d(1, 1, 3, padding=4, dilation=4), tnn.MaxPool1d(11, 4)), "N 1 L"
    )
    at = net.receptive_field().at(L=480_000)
    assert at.interval(0) == (0, 14)
    assert at.interval(100_000) == (400_000 - 4, 400_000 + 14)
    with pytest.raises(symcnn.Undecidable, match="230,400,000,000 places"):
        at.sizes()


@pytest.mark.parametrize(
    "layers",
    [
        [tnn.Conv2d(1, 2, 3, padding=2, dilation=2), tnn.MaxPool2d(3, 2, 1)],
        [tnn.Conv2d(1, 1, 3, 3, 4), tnn.ConvTranspose2d(1, 1, 3, 2, dilation=2)],
        [tnn.AdaptiveAvgPool2d((5, 3)), tnn.Upsample(scale_factor=3)],
        [tnn.MaxPool2d(13, 1, 6), tnn.PixelShuffle(1), tnn.ReflectionPad2d(4)],
    ],
)
def test_groups_of_inputs_say_what_the_table_says(
    layers: list[tnn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = symcnn.from_torch(tnn.Sequential(*layers), "N 1 H W")
    by_table = net.receptive_field().at(H=21, W=70)
    monkeypatch.setattr("symcnn.questions.field.field_at._FEW", 0)
    by_groups = net.receptive_field().at(H=21, W=70)
    monkeypatch.setattr("symcnn.questions.field.field_at._GROUPS", 3)
    rows = net.shape_at(N=1, H=21, W=70)[2:]
    places = [(i, axis) for axis, n in enumerate(rows) for i in range(0, n, 5)]
    found = [by_groups.interval(*place) for place in places]
    assert "_tables" not in vars(by_groups)
    assert by_table.sizes(0).max() > 0
    assert [by_table.interval(*place) for place in places] == found


@pytest.mark.parametrize(
    "shaped",
    [
        lambda b, y: b.expand_as(y),
        lambda b, y: b.expand(y.shape).flatten().view_as(y),
        lambda b, y: b.expand(y.shape).flatten().reshape_as(y),
        lambda b, y: b.type_as(y),
        lambda b, y: torch.broadcast_tensors(b, y)[0],
        lambda b, y: b + torch.zeros_like(y) + y.new_ones(y.shape),
    ],
)
def test_of_a_tensor_that_lends_its_shape_nothing_is_read(shaped: Callable[..., Any]) -> None:
    """Partial convolutions add a bias that is expanded as what they made."""
    conv = tnn.Conv2d(3, 4, 3, padding=1)

    def biased(x: torch.Tensor, conv: Any) -> torch.Tensor:
        y: torch.Tensor = conv(x)
        return y - shaped(conv.bias.view(1, -1, 1, 1), y)

    assert traced(biased, conv).receptive_field().size == (3, 3)


@pytest.mark.parametrize(
    "compared",
    [
        lambda y, z: F.cosine_similarity(y, z, dim=1)[:, None],
        lambda y, z: F.pairwise_distance(y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1))[:, None],
        lambda y, z: F.pairwise_distance(y.movedim(1, 3), z.movedim(1, 3), keepdim=True).movedim(
            3, 1
        ),
        lambda y, z: torch.linalg.cross(y, z, dim=1),
        lambda y, z: torch.zeros_like(y).index_add(1, torch.tensor([2, 0, 1]), y * z),
        lambda y, z: F.pad(y.diff(dim=2) + z[:, :, 1:], (0, 0, 1, 0)),
        lambda y, z: F.pad(y.diff(n=2, dim=3), (1, 1, 0, 0)) * z,
    ],
)
def test_what_is_compared_along_one_axis_is_read_place_by_place_along_the_others(
    compared: Callable[..., Any],
) -> None:
    conv = tnn.Conv2d(3, 3, 3, padding=1)

    def both(x: torch.Tensor, conv: Any) -> torch.Tensor:
        y: torch.Tensor = conv(x)
        return compared(y, y * torch.arange(1.0, 4).view(1, 3, 1, 1) + 1)

    at = traced(both, conv).receptive_field().at(H=9, W=8)
    image = torch.rand(1, 3, 9, 8, requires_grad=True)
    output = both(image, conv)
    for axis, place in ((0, 4), (1, 3)):
        rows = output.select(2 + axis, place)
        (gradient,) = torch.autograd.grad(rows.square().sum(), image, retain_graph=True)
        read = gradient.abs().sum([d for d in range(4) if d != 2 + axis]).nonzero().flatten()
        assert at.interval(place, axis=axis) == (int(read[0]), int(read[-1]))


class InWindows(tnn.Module):
    """DaViT: a convolution of tokens as a map, then attention in windows of 7 of what is padded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = tnn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor, h: int, w: int) -> torch.Tensor:
        n, _, c = x.shape
        x = x + self.conv(x.mT.reshape(n, c, h, w)).flatten(2).mT
        y = F.pad(x.view(n, h, w, c), (0, 0, 0, -w % 7, 0, -h % 7))
        rows, columns = y.shape[1] // 7, y.shape[2] // 7
        y = y.view(n, rows, 7, columns, 7, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 49, c)
        y = ((y @ y.mT).softmax(-1) @ y).view(n, rows, columns, 7, 7, c)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(n, rows * 7, columns * 7, c)[:, :h, :w]
        return x + y.reshape(n, h * w, c)


class OfWindows(tnn.Module):
    def __init__(self, stem: tnn.Module, mean: bool) -> None:
        super().__init__()
        self.stem, self.mean = stem, mean
        self.blocks = tnn.ModuleList([InWindows(), InWindows()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        h, w = y.shape[2:]
        y = y.flatten(2).mT
        for block in self.blocks:
            y = block(y, h, w)
        return y.mean(1) if self.mean else y


STEMS = {
    "that reads all": (lambda: tnn.Conv2d(3, 4, 7, 4, 3), "H"),
    "that leaves rows over": (lambda: tnn.Conv2d(3, 4, 4, 4), "4*(H//4)"),
}


@pytest.mark.parametrize("stem", STEMS)
def test_a_mean_of_what_has_no_formula_reads_what_all_places_read(stem: str) -> None:
    make, size = STEMS[stem]
    field = symcnn.from_torch(OfWindows(make(), mean=True), "N 3 H W").receptive_field()
    assert str(field.size[0]) == size
    assert field.whole == ("mean", "mean")
    first, last = map(sympy.sympify, field.interval(0))
    for height in (28, 33, 61):
        ends = first, last.subs(dict.fromkeys(last.free_symbols, height))
        assert field.at(H=height, W=40).interval(0) == ends


def test_what_places_read_together_is_carried_once_whichever_tensor_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[int] = []
    follow = Covers.follow

    def counted(self: Covers, nodes: Any, k: int, **options: bool) -> Any:
        passes.append(k)
        return follow(self, nodes, k, **options)

    monkeypatch.setattr(Covers, "follow", counted)
    net = symcnn.from_torch(OfWindows(tnn.Conv2d(3, 4, 7, 4, 3), mean=True), "N 3 H W")
    for node in net.nodes:
        net.receptive_field(at=node.name)
    assert sorted(passes) == [0, 1]  # before, of each node anew
    assert str(net.receptive_field().size) == "(H, W)"


def test_a_place_of_what_has_no_formula_is_refused() -> None:
    field = symcnn.from_torch(OfWindows(tnn.Conv2d(3, 4, 4, 4), mean=False), "N 3 H W")
    with pytest.raises(Undecidable, match="no short formula"):
        _ = field.receptive_field().size


@pytest.mark.parametrize("pad", [0, 3])
def test_rows_that_the_stem_leaves_over_are_read_by_nobody(pad: int) -> None:
    """ConvNeXt: patches of 4, then windows that reach into the padding behind the last patch."""
    layers = tnn.Conv2d(3, 4, 4, 4), tnn.Conv2d(4, 4, 2 * pad + 1, padding=pad)
    net = symcnn.from_torch(tnn.Sequential(*layers, tnn.AdaptiveAvgPool2d(1)), "N 3 H W")
    field = net.receptive_field()
    assert str(field.size) == "(4*(H//4), 4*(W//4))"
    for height in (32, 33, 35):
        assert field.at(H=height, W=40).interval(0) == (0, 4 * (height // 4) - 1)


# What a layer leaves over, nothing behind it reads ---------------------------------------------


class Both(tnn.Module):
    """A layer beside another one."""

    def __init__(self, one: tnn.Module, other: tnn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) + self.other(x)


class Crop(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 2 : x.shape[2] - 3]


@pytest.mark.parametrize(
    "layers",
    [
        [tnn.Conv1d(2, 2, 11, 4, 2), tnn.MaxPool1d(3, 2), tnn.Conv1d(2, 2, 5, padding=2)],
        [
            Both(tnn.Conv1d(2, 2, 3, 2, 1), tnn.Conv1d(2, 2, 1, 2)),
            tnn.MaxPool1d(3, 3),
            Both(tnn.Conv1d(2, 2, 3, padding=1), tnn.Identity()),
        ],
        [Crop(), tnn.Conv1d(2, 2, 7, padding=3)],
        [tnn.ConvTranspose1d(2, 2, 4, 2, 1), tnn.MaxPool1d(3), tnn.Conv1d(2, 2, 3, padding=1)],
    ],
    ids=["AlexNet", "branches", "crop", "decoder"],
)
def test_a_classifier_reads_no_rows_that_its_layers_leave_over(layers: list[tnn.Module]) -> None:
    head = tnn.AdaptiveAvgPool1d(2), tnn.Flatten(), tnn.Linear(4, 3)
    module = tnn.Sequential(*layers, *head).eval()
    net = symcnn.from_torch(module, "N 2 L")
    first, last = map(sympy.sympify, net.receptive_field().interval(0))
    for length in (n for n in range(13, 60) if n in net.valid_inputs()):
        said = range(int(first.subs({symcnn.L: length})), int(last.subs({symcnn.L: length})) + 1)
        x = torch.zeros(length, 2, length)
        x[range(length), :, range(length)] = torch.nan  # whoever reads one makes more of them
        read = module(x).isnan().any(1).nonzero().flatten().tolist()
        assert (read[0], read[-1]) == (said[0], said[-1])


def test_a_view_of_other_numbers_of_channels_reads_across_them() -> None:
    """12 channels of 7 x 7 as 14 of 42 (HyperIQA makes such weights): no channel is one of them."""
    module = Of(lambda x, c: c(x).reshape(x.shape[0], 14, 42), tnn.Conv2d(3, 12, 3, padding=1))
    field = symcnn.from_torch(module, "N 3 H W").receptive_field().at(N=1, H=7, W=7)
    x = torch.zeros(7, 3, 7, 7)
    x[range(7), :, range(7)] = torch.nan  # whoever reads a row makes more of them
    read = module(x).isnan().any(1).T  # by place and row
    assert [field.mask(place, 0).tolist() for place in range(42)] == read.tolist()
