"""Receptive fields: reference figures, laws, and what torch reads when one index changes."""

import re
from typing import Any

import pytest
import sympy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn as tnn
from torch.nn import functional as F

import symcnn
from symcnn import H, W, nn
from symcnn.algebra.axis import Scatter
from symcnn.errors import BadSpec, InvalidInput, SymcnnError, Undecidable
from symcnn.judge.probe import gradient_support, make_positive, support
from symcnn.testing.networks import networks
from tests.conftest import load_example

from .conftest import sure

i = sympy.Symbol("i", integer=True, nonnegative=True)


def traced(module: Any, spec: str = "N 3 H W") -> symcnn.Network:
    return symcnn.from_torch(module, spec)


# Reference figures ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet50() -> Any:
    with torch.device("meta"):
        return traced(load_example("resnet").resnet50().eval())


@pytest.mark.parametrize(
    ("node", "size", "stride", "padding"),
    [("maxpool", 11, 4, 5), ("layer3", 267, 16, 133), ("layer4", 427, 32, 213)],
)
def test_resnet50_sees_what_the_distill_table_says(
    resnet50: Any, node: str, size: int, stride: int, padding: int
) -> None:
    rf = resnet50.receptive_field(at=node)
    assert rf.size == (size, size)
    assert rf.stride == rf.jump == (stride, stride)
    assert rf.padding == rf.effective_padding == ((padding, padding),) * 2
    assert rf.interval(i) == (stride * i - padding, stride * i - padding + size - 1)
    assert rf.centre(3) == 3 * stride


def test_a_global_pool_sees_the_whole_axis_and_is_named(resnet50: Any) -> None:
    rf = resnet50.receptive_field()
    assert rf.size == (H, W)
    assert rf.whole == ("avgpool", "avgpool")
    assert rf.interval(0) == (0, H - 1)
    assert rf.stride == (0, 0)


def test_vgg16_to_the_last_pool() -> None:
    with torch.device("meta"):
        net = traced(load_example("vgg").vgg16().eval())
    rf = net.receptive_field(at="features")
    assert (rf.size[0], rf.stride[0], rf.padding[0][0]) == (212, 32, 90)


def test_alexnet_v2_with_valid_pools() -> None:
    pool = nn.MaxPool2d(3, 2)
    net = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4), nn.ReLU(), pool),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), pool),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.Conv2d(384, 384, 3, padding=1)),
        *(nn.Conv2d(384, 256, 3, padding=1), pool),
    ).trace("N 3 H W")
    rf = net.receptive_field()
    assert (rf.size[0], rf.stride[0], rf.padding[0][0]) == (195, 32, 64)


def test_sizes_that_repeat_after_thousands_of_outputs_are_exact() -> None:
    layers = nn.Conv1d(1, 1, 3), nn.ConvTranspose1d(1, 1, 101, 101), nn.Conv1d(1, 1, 5)
    net = nn.Sequential(*layers, nn.ConvTranspose1d(1, 1, 103, 103)).trace("N 1 L")
    (sizes,) = net.receptive_field().sizes
    assert (sizes.min, sizes.max, sizes.period) == (3, 4, 101 * 103)
    assert sizes.mean == sympy.Rational(307, 101)


def unet(levels: int) -> symcnn.Network:
    """A convolution at each level, on the way down and on the way up."""

    def forward(x: Any, level: int) -> Any:
        x = nn.Conv2d(1, 1, 3, padding=1)(x)
        if level == levels:
            return x
        up = nn.ConvTranspose2d(1, 1, 2, stride=2)(forward(nn.MaxPool2d(2)(x), level + 1))
        return nn.Conv2d(2, 1, 3, padding=1)(symcnn.cat([x, up], dim=1))

    x = symcnn.tensor("N 1 H W")
    return symcnn.Network(inputs=x, outputs=forward(x, 0))


@pytest.mark.parametrize("levels", [2, 8, 21, 32, 64])
def test_the_field_of_a_unet_is_exact_at_any_depth(levels: int) -> None:
    """Sizes that repeat after 2**levels outputs: more than can be tried."""
    (sizes, _) = unet(levels).receptive_field().sizes
    assert sizes.period == 2**levels
    assert (sizes.max, sizes.mean) == (7 * 2**levels - 2, 7 * 2**levels - 4)


def test_the_valid_unet_sees_188_to_204_pixels_depending_on_the_place() -> None:
    with torch.device("meta"):
        net = traced(load_example("unet").unet_valid().eval(), "N 1 H W")
    rf = net.receptive_field()
    sizes = rf.sizes[0]
    assert (sizes.min, sizes.max, sizes.mean, sizes.period) == (188, 204, 200, 16)
    assert rf.stride == (1, 1)
    assert rf.interval(0) == (0, 187)
    assert [str(e) for e in rf.interval(i)] == ["16*(i//16)", "16*((i + 12)//16) + 187"]
    at = rf.at(H=572, W=572)
    assert (at.min, at.max) == ((188, 188), (204, 204))
    assert at.interval(387) == (384, 571)


# Laws -------------------------------------------------------------------------------------------


def test_a_chain_with_symbolic_hyperparameters_has_a_closed_form() -> None:
    k, s, d = sympy.symbols("k s d", integer=True, positive=True)
    net = nn.Sequential(
        nn.Conv2d(3, 8, k, stride=s), nn.Conv2d(8, 8, k, dilation=d), nn.Conv2d(8, 8, 3)
    ).trace("N 3 H W")
    rf = net.receptive_field()
    assert sympy.expand(rf.size[0] - (1 + (k - 1) + (k - 1) * d * s + 2 * s)) == 0
    assert rf.stride == (s, s)


def test_wavenet_doubles_what_it_sees_per_layer() -> None:
    layers = [nn.Conv1d(1, 1, 2, dilation=2**n) for n in range(10)]
    assert nn.Sequential(*layers).trace("N 1 L").receptive_field().size == (1024,)


def test_paths_count_once_each_node_not_once_each_path() -> None:
    x = symcnn.tensor("N 4 H W")
    y = x
    for _ in range(60):  # 2**60 paths
        y = nn.Conv2d(4, 4, 3, padding=1)(y) + y
    rf = symcnn.Network(inputs=x, outputs=y).receptive_field()
    assert rf.size == (121, 121)


def test_the_stride_is_rational_after_upsampling() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3)
    ).trace("N 3 H W")
    rf = net.receptive_field()
    assert rf.stride == (sympy.Rational(1, 2),) * 2
    sizes = rf.sizes[0]
    assert (sizes.min, sizes.max, sizes.period) == (4, 4, 1)
    assert rf.interval(0) == (-1, 2)
    assert rf.interval(1) == (-1, 2)
    assert rf.interval(2) == (0, 3)


def test_branches_that_are_not_centred_alike_are_told() -> None:
    x = symcnn.tensor("N 4 H W")
    causal = nn.Conv2d(4, 4, 3)(nn.ZeroPad2d((2, 0, 1, 1))(x))
    net = symcnn.Network(inputs=x, outputs=nn.Conv2d(4, 4, 3, padding=1)(x) + causal)
    (branch,) = net.receptive_field().branches
    assert (branch.axis, branch.strides, branch.centres) == ("W", (1, 1), (0, -1))


def test_branches_centred_alike_are_not_told() -> None:
    x = symcnn.tensor("N 4 H W")
    net = symcnn.Network(inputs=x, outputs=nn.Conv2d(4, 4, 3, padding=1)(x) + x)
    assert net.receptive_field().branches == ()


class Gated(tnn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = tnn.Conv2d(3, 3, 3, padding=1), tnn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))


def test_gates_can_be_looked_through() -> None:
    net = traced(Gated())
    assert net.receptive_field().size == (H, W)
    assert net.receptive_field(gates=False).size == (3, 3)


def test_statistics_can_be_looked_through() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 5), nn.GroupNorm(2, 4)).trace("N 4 H W")
    assert net.receptive_field().whole == ("1", "1")
    assert net.receptive_field(statistics=False).size == (5, 5)


def test_any_node_can_be_the_input() -> None:
    net = nn.Sequential(*(nn.Conv2d(3, 3, 3, stride=2) for _ in range(4))).trace("N 3 H W")
    assert net.receptive_field(at="2", wrt="0").size == (7, 7)


class Attention(tnn.Module):
    """Windows of 7 x 7 that attend to themselves, between two views: Swin's first block."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).view(n, h // 7, 7, w // 7, 7, c).transpose(2, 3)
        x = x.reshape(-1, 49, c)
        x = F.scaled_dot_product_attention(x, x, x)
        x = x.view(n, h // 7, w // 7, 7, 7, c).transpose(2, 3).reshape(n, h, w, c)
        return x.permute(0, 3, 1, 2)


def test_windowed_attention_sees_its_window() -> None:
    rf = traced(Attention(), "N 4 H W").receptive_field()
    assert [str(e) for e in rf.interval(i)] == ["7*(i//7)", "7*(i//7) + 6"]
    assert rf.size == (7, 7)
    assert rf.at(H=21, W=14).interval(9) == (7, 13)


def test_a_vision_transformer_sees_every_patch_but_no_leftover_rows() -> None:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    net = traced(transformers.ViTModel(config).eval())
    rf = net.general.receptive_field()
    assert [str(size) for size in rf.size] == ["16*(H//16)", "16*(W//16)"]
    assert all(rf.whole)
    assert net.receptive_field().size == (224, 224)  # the sizes that it takes


# Transposed convolutions ------------------------------------------------------------------------


@given(
    st.tuples(
        *(st.integers(*bounds) for bounds in ((1, 5), (1, 4), (1, 4), (0, 3), (0, 2), (1, 8)))
    )
)
def test_a_transposed_convolution_is_read_by_exactly_its_taps(case: tuple[int, ...]) -> None:
    kernel, stride, dilation, padding, extra, x = case
    scatter = Scatter(dilation * (kernel - 1) + 1, stride, padding, extra, dilation)
    if scatter.size(x) < 1:
        return
    first, last, step = scatter.reads(x)
    for out in range(scatter.size(x)):
        read = {
            m for m in range(x) for t in range(kernel) if stride * m + dilation * t == out + padding
        }
        told = {m for m in range(first[out], last[out] + 1, step) if 0 <= m < x}
        assert told == read


def test_outputs_that_no_tap_reaches_have_no_formula_but_a_table() -> None:
    net = nn.ConvTranspose2d(3, 3, 1, stride=2).trace("N 3 H W")
    rf = net.receptive_field()
    with pytest.raises(Undecidable):
        rf.interval(i)
    assert rf.row()["size"] == (None, None)
    at = rf.at(H=4, W=4)
    assert at.interval(2) == (1, 1)
    assert at.interval(1) is None
    assert at.padding_only() == [1, 3, 5]


def test_checkerboards_are_told() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(3, 3, 3, 2), nn.ConvTranspose2d(3, 3, 4, 2))
    assert net.trace("N 3 H W").receptive_field().checkerboard == ("0",)


# At a size --------------------------------------------------------------------------------------


def test_stride_leftovers_are_a_formula() -> None:
    net = nn.Conv2d(3, 8, 3, stride=4).trace("N 3 H W")
    left, right = net.receptive_field().unread()
    assert left == 0
    for size in range(3, 30):
        at = net.receptive_field().at(H=size, W=9)
        ends = [j for j in at.unread() if j > sure(at.interval(at.table().shape[0] - 1))[1]]
        assert sympy.sympify(right).subs(H, size) == len(ends)


def test_a_symbolic_index_is_clipped_to_the_image(resnet50: Any) -> None:
    at = resnet50.receptive_field(at="layer4").at(H=224, W=256)
    first, last = at.interval(i, axis=1)
    assert [(first.subs(i, k), last.subs(i, k)) for k in (0, 3, 7)] == [
        at.interval(k, axis=1) for k in (0, 3, 7)
    ]


def test_density_tells_of_dilation_holes() -> None:
    net = nn.Conv2d(3, 8, 3, dilation=4).trace("N 3 H W")
    at = net.receptive_field().at(H=20, W=20)
    assert at.size == (9, 9)
    assert at.density() == pytest.approx(3 / 9)
    assert at.mask(0).tolist() == [True, False, False, False] * 2 + [True]


def test_outputs_of_mere_padding_see_nothing() -> None:
    net = nn.Sequential(nn.ZeroPad2d(3), nn.Conv2d(3, 3, 1)).trace("N 3 H W")
    assert net.receptive_field().at(H=4, W=4).padding_only() == [0, 1, 2, 7, 8, 9]


def test_reflected_indices_fold_back() -> None:
    net = nn.ReflectionPad2d(2).trace("N 3 H W")
    at = net.receptive_field().at(H=5, W=5)
    assert [sure(at.interval(k))[0] for k in range(9)] == [2, 1, 0, 1, 2, 3, 4, 3, 2]


def test_layers_in_front_of_which_all_is_seen_already_are_unproductive() -> None:
    net = nn.Sequential(*(nn.Conv2d(3, 3, 7, padding=3) for _ in range(3))).trace("N 3 H W")
    rf = net.receptive_field()
    assert rf.unproductive(H=20, W=20) == ()
    assert rf.unproductive(H=10, W=10) == ("2",)
    assert rf.unproductive(H=10, W=20) == ()


def test_the_table_has_a_row_per_node(resnet50: Any) -> None:
    rows = {row["name"]: row for row in resnet50.receptive_field(at="layer4").table()}
    assert rows["conv1"]["size"] == (7, 7)
    assert rows["layer1.0.conv2"]["size"] == (19, 19)


# Bad input --------------------------------------------------------------------------------------


def test_an_unknown_node_is_named_with_near_ones(resnet50: Any) -> None:
    with pytest.raises(BadSpec, match="layer4"):
        resnet50.receptive_field(at="layr4")


def test_an_output_that_does_not_depend_on_the_input() -> None:
    x, y = symcnn.tensor("N 3 H W", name="x"), symcnn.tensor("N 3 H W", name="y")
    net = symcnn.Network(inputs=(x, y), outputs=nn.Conv2d(3, 3, 3)(x))
    with pytest.raises(BadSpec, match="does not depend on y"):
        net.receptive_field(wrt="y")


def test_an_index_out_of_range_where_every_place_sees_the_whole_axis() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1)).trace("N 3 H W")
    rf = net.receptive_field()
    at = rf.at(H=32, W=32)
    assert at.interval(0) == (0, 31)
    for ask in (rf.interval, at.interval):
        for i in (1, 10**6):
            with pytest.raises(InvalidInput, match="the last one is 0"):
                ask(i)


def test_an_index_of_an_axis_along_which_every_place_sees_the_whole() -> None:
    norm = symcnn.from_torch(torch.nn.GroupNorm(1, 3), "N 3 H W").receptive_field().at(H=9, W=5)
    assert norm.interval(8) == (0, 8)
    with pytest.raises(InvalidInput, match="the last one is 8"):
        norm.interval(9)


def test_an_index_out_of_range(resnet50: Any) -> None:
    rf = resnet50.receptive_field(at="layer4")
    with pytest.raises(InvalidInput):
        rf.interval(-1)
    with pytest.raises(InvalidInput, match="the last one is 6"):
        rf.at(H=224, W=224).interval(7)
    with pytest.raises(BadSpec):
        rf.interval(0, axis=2)


def test_a_rule_that_does_not_say_what_it_reads_is_refused() -> None:
    class Mystery(tnn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, ::2]

    @symcnn.rule(Mystery)
    def mystery(module: Any, x: Any) -> Any:
        n, c, h, w = x.dims
        return n, c, (h + 1) // 2, w

    net = traced(tnn.Sequential(Mystery()), "N 3 H W")
    with pytest.raises(SymcnnError, match="does not say which places it reads"):
        net.receptive_field()


# Torch is the judge -----------------------------------------------------------------------------

_MOST = min(settings().max_examples, 2000)
_FOLDS = re.compile("Replic|Reflec|replicate")
#: What leaves input over at an end, so that padding behind it stands for indices inside the input.
_CROPS = re.compile(r"[(, ]-\d|join='(crop|pad|resize)'|scale_factor=(?![123]\.0[,)])")


@settings(max_examples=_MOST, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    networks("conv", "pool", "transposed", "resample", "pad", "crop", dims=(1, 2)),
    st.lists(st.integers(1, 24), min_size=2, max_size=2),
)
def test_random_networks_read_what_torch_reads(recipe: Any, lengths: list[int]) -> None:
    module, sizes = make_positive(recipe.build()), tuple(lengths[: recipe.dims])
    values = dict(zip(recipe.axes, sizes, strict=True))
    try:
        net = symcnn.from_torch(module, recipe.spec)
        net.shape_at(N=1, **values)
    except SymcnnError:
        return
    rf = net.receptive_field()
    at = rf.at(**values)
    if 0 in net.shape_at(N=1, **values):  # no output sees anything
        return
    for axis in range(recipe.dims):
        read = support(module, recipe.shape(*sizes), axis)
        assert (at.table(axis) == read).all()
        if all(c.holds(values) for c in rf.assumptions) and not _FOLDS.search(repr(recipe)):
            wide = min(sizes) >= 12  # in small images whole branches may read nothing but padding
            _check_formula(rf, axis, values, read, exact=wide and not _CROPS.search(repr(recipe)))


def _check_formula(rf: Any, axis: Any, values: Any, read: Any, *, exact: Any) -> None:
    """The interval holds all that is read, and ends there if it lies inside the input."""
    numbers = {symcnn.symbols(name): size for name, size in values.items()}
    for out, row in enumerate(read):
        (places,) = row.nonzero()
        try:
            first, last = (int(sympy.sympify(e).subs(numbers)) for e in rf.interval(out, axis))
        except Undecidable:
            return
        if len(places):
            assert first <= places[0]
            assert places[-1] <= last
            if exact and first >= 0 and last < len(row):
                assert (first, last) == (places[0], places[-1])


@pytest.mark.parametrize(
    "module",
    [
        tnn.Sequential(
            tnn.Conv2d(2, 2, 3, dilation=2, padding=1), tnn.AvgPool2d(2, ceil_mode=True)
        ),
        tnn.Sequential(tnn.ConvTranspose2d(2, 2, 3, 2, dilation=2), tnn.Conv2d(2, 2, 3, padding=1)),
        tnn.Sequential(tnn.Upsample(scale_factor=2, mode="bilinear"), tnn.Conv2d(2, 2, 3)),
        tnn.Sequential(tnn.Upsample(size=(9, 11), mode="bilinear", align_corners=True)),
        tnn.Sequential(tnn.Upsample(scale_factor=1.5, mode="bicubic"), tnn.Conv2d(2, 2, 2)),
        tnn.Sequential(tnn.AdaptiveAvgPool2d((3, 5))),
        tnn.Sequential(tnn.PixelUnshuffle(2), tnn.Conv2d(8, 8, 3, padding=1), tnn.PixelShuffle(2)),
    ],
    ids=lambda m: "-".join(type(layer).__name__ for layer in m),
)
def test_gradients_have_the_support_of_the_table(module: tnn.Module) -> None:
    module = make_positive(module)
    for sizes in ((7, 10), (8, 6)):
        try:
            at = traced(module, "N 2 H W").receptive_field().at(H=sizes[0], W=sizes[1])
        except InvalidInput:
            continue
        for axis in (0, 1):
            read = gradient_support(module, (1, 2, *sizes), axis)
            assert (at.table(axis) == read).all()


def test_a_single_tap_shows_through_a_deep_chain() -> None:
    module = make_positive(tnn.Sequential(*(tnn.Conv1d(4, 4, 3, padding=1) for _ in range(60))))
    at = traced(module, "N 4 L").receptive_field().at(L=130)
    assert at.interval(64) == (4, 124)
    assert (at.table() == support(module, (1, 4, 130), 0)).all()
    rows = gradient_support(module, (1, 4, 130), 0, [0, 64])
    assert (at.table()[[0, 64]] == rows).all()


@pytest.mark.parametrize("size", [10, 15, 35])
def test_a_weight_of_zero_that_doubles_write_as_3e_17_reads_nothing(size: int) -> None:
    module = make_positive(
        tnn.Sequential(tnn.MaxPool2d(5), tnn.Upsample(scale_factor=5, mode="bilinear"))
    )
    at = traced(module, "N 1 H W").receptive_field().at(H=size, W=10)
    assert (at.table(0) == support(module, (1, 1, size, 10), 0)).all()


def test_nearest_by_a_fraction_in_a_large_image() -> None:
    module = make_positive(
        tnn.Sequential(tnn.ConvTranspose2d(1, 1, 1, stride=3), tnn.Upsample(scale_factor=1.15))
    )
    at = traced(module, "N 1 H W").receptive_field().at(H=15, W=24)  # 49 x 80 come out
    for axis in (0, 1):
        assert (at.table(axis) == support(module, (1, 1, 15, 24), axis)).all()


def test_nearest_by_a_scale_whose_inverse_float32_rounds_down_has_no_formula() -> None:
    rf = traced(tnn.Sequential(tnn.Upsample(scale_factor=1.15)), "N 1 H W").receptive_field()
    with pytest.raises(Undecidable, match="float32 rounding"):
        rf.interval(0)
    assert rf.at(H=70, W=70).interval(69) == (59, 59)  # 69/1.15 is 60
    thrice = traced(tnn.Sequential(tnn.Upsample(scale_factor=3)), "N 1 H W").receptive_field()
    assert thrice.interval(69) == (23, 23)


@pytest.mark.parametrize("sizes", [(30, 60), (40, 90)])
def test_nearest_copies_rows_in_small_images_only(sizes: tuple[int, int]) -> None:
    module = tnn.Upsample(scale_factor=(2.02, 1.01))
    rf = traced(tnn.Sequential(module), "N 1 H W").receptive_field().at(H=sizes[0], W=sizes[1])
    single = torch.arange(float(sizes[0]))[None, None, :, None].expand(1, 1, *sizes)
    picked = module(single)[0, 0, :, 0].long()
    assert rf.table(0).argmax(1).tolist() == picked.tolist()
    picked = module(torch.arange(float(sizes[1])).expand(1, 1, *sizes))[0, 0, 0].long()
    assert rf.table(1).argmax(1).tolist() == picked.tolist()


class Shuffled(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.roll(x.flip(2), 3, 3) + x.repeat(1, 1, 2, 1)[:, :, 1 : 1 + x.shape[2]]


class Parts(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        top, bottom = x[:, :, :6].split([2, 4], 2)
        return torch.cat([bottom, top], 2) + x[:, :, :6].select(3, 1)[..., None]


class Written(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.zeros_like(x)
        y[:, :, 1::2] = x[:, :, : x.shape[2] // 2]
        return y


class InPlace(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x[:, :, 1:].clone()
        y.add_(x[:, :, :-1])
        return y


@pytest.mark.parametrize("module", [Shuffled(), Parts(), Written(), InPlace()])
def test_slices_flips_and_writes_read_what_torch_reads(module: Any) -> None:
    at = traced(module, "N 2 H W").receptive_field().at(H=8, W=7)
    for axis in (0, 1):
        read = support(module.double(), (1, 2, 8, 7), axis)
        assert (at.table(axis) == read).all()


@pytest.mark.parametrize(
    ("layer", "spec", "size"),
    [
        (tnn.Conv2d(3, 8, 3), "N 3 32 32", (3, 3)),
        (tnn.Conv2d(3, 8, 3), "1 3 32 32", (3, 3)),
        (tnn.Conv2d(3, 8, 5), "3 100 100", (5, 5)),
        (tnn.Conv2d(3, 8, 5), "3 H 100", (5, 5)),
        (tnn.Conv1d(3, 8, 5), "N 3 100", (5,)),
        (tnn.Conv1d(3, 8, 5), "3 100", (5,)),
    ],
)
def test_the_axes_are_those_that_windows_slide_along(
    layer: tnn.Module, spec: str, size: tuple[int, ...]
) -> None:
    assert symcnn.from_torch(layer, spec).receptive_field().size == size


def test_an_axis_that_is_none_is_refused_with_all_that_there_are() -> None:
    rf = nn.Conv2d(3, 4, 3).trace("N 3 H 9").receptive_field()
    with pytest.raises(BadSpec) as refused:
        rf.interval(0, axis=2)
    assert refused.value.cure == "0 is H, 1 is axis 3 of it"


def test_the_size_at_a_place_is_a_formula_of_the_place() -> None:
    layers = nn.Conv1d(1, 1, 3), nn.ConvTranspose1d(1, 1, 2, 2), nn.Conv1d(1, 1, 2)
    rf = nn.Sequential(*layers).trace("N 1 L").receptive_field()
    formula: Any = rf.size_at(i)
    sizes = [rf.size_at(k) for k in range(4)]
    assert sizes == [formula.subs({i: k}) for k in range(4)] == [3, 4, 3, 4]


@pytest.mark.parametrize("pool", [tnn.AdaptiveAvgPool2d, tnn.AdaptiveMaxPool2d])
def test_what_a_classifier_reads_through_an_adaptive_pool_is_a_formula(pool: Any) -> None:
    """AlexNet's head: the map that the windows leave is longer than nothing, so bins go onwards."""
    head = (
        tnn.Conv2d(3, 4, 11, 4, 2),
        tnn.MaxPool2d(3, 2),
        pool(6),
        tnn.Flatten(),
        tnn.Linear(144, 5),
    )
    field = symcnn.from_torch(tnn.Sequential(*head), "N 3 H W").receptive_field()
    first, last = map(sympy.sympify, field.interval(0))
    for size in (15, 16, 31, 32, 63, 224, 225):
        ends = field.at(H=size, W=40).interval(0)
        assert (first, last.subs(dict.fromkeys(last.free_symbols, size))) == ends


@pytest.mark.parametrize("training", [False, True])
def test_a_batch_norm_without_running_statistics_reads_the_whole_image(training: bool) -> None:
    norm = tnn.BatchNorm2d(4, track_running_stats=False)
    net = symcnn.from_torch(tnn.Sequential(tnn.Conv2d(3, 4, 3), norm).train(training), "N 3 H W")
    assert net.receptive_field().size == (H, W)
    assert net.receptive_field(statistics=False).size == (3, 3)
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert own.trace("N 3 H W").receptive_field().size == (H, W)


@pytest.mark.parametrize("pool", [F.avg_pool2d, F.max_pool2d, F.lp_pool2d])
def test_a_pool_by_the_size_of_the_map_reads_the_map(pool: Any) -> None:
    class Global(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = tnn.Conv2d(3, 8, 3, stride=2, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.conv(x)
            norm = (2,) if pool is F.lp_pool2d else ()
            found: torch.Tensor = pool(y, *norm, y.size()[2:])
            return found

    field = symcnn.from_torch(Global(), "N 3 H W").receptive_field()
    assert field.size == (H, W)
    assert field.stride == (0, 0)
    assert field.padding == ((0, 0), (0, 0))


def test_the_stride_of_a_map_that_is_flattened_is_written_shortly() -> None:
    class Flat(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = tnn.Conv2d(3, 8, 3, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.conv(x)
            return y.flatten(2)

    field = symcnn.from_torch(Flat(), "N 3 H W").receptive_field()
    assert field.stride[1] == 0
    assert str(field.padding) == "((0, 2*((H + 1)//2) - H - 1), (0, 2*((W + 1)//2) - W - 1))"
