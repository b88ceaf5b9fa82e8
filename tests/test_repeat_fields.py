"""Receptive fields of n repeated blocks: one formula in n, judged by the unrolled network."""

from collections.abc import Callable
from typing import Any

import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, C, H, InvalidInput, Undecidable, nn
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.factor import text
from symcnn.algebra.size import evaluate

from .corpus.depth import Residual, UNet

n, i = symcnn.index("n i")
k = symcnn.odd("k")
h = symcnn.symbols("h")
DEPTHS = range(13)
PLACES = (0, 1, 7, 100, 1023)


class Branches(nn.Module):
    """Branches that are added where they meet."""

    def __init__(self, *branches: Any) -> None:
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        first, *others = (branch(x) for branch in self.branches)
        for other in others:
            first = first + other
        return first


class Dense(nn.Module):
    """What comes in, and a convolution of it, concatenated."""

    def __init__(self, channels: Any, growth: Any) -> None:
        self.conv = nn.Conv1d(channels, growth, 5, padding=2)

    def forward(self, x: Any) -> Any:
        return symcnn.cat([x, self.conv(x)], dim=1)


def same(kernel: Any, dilation: Any = 1, stride: Any = 1) -> Any:
    return nn.Conv1d(C, C, kernel, stride, dilation * (sympy.sympify(kernel) - 1) / 2, dilation)


def up(mode: str = "nearest", scale: Any = 2) -> Any:
    return nn.Upsample(scale_factor=scale, mode=mode)


#: Blocks in the index and in odd k; the channels that come in.
BLOCKS = {
    "skip": (Branches(nn.Identity(), nn.Sequential(same(3), nn.ReLU(), same(3))), C),
    "skip, symbolic kernel": (Branches(nn.Identity(), same(k)), C),
    "skip, dilation 2**i (WaveNet)": (Branches(nn.Identity(), same(k, 2**i)), C),
    "skip, dilation i + 1": (Branches(nn.Identity(), same(3, i + 1)), C),
    "bottleneck that halves": (
        Branches(nn.Sequential(same(1), same(3, 1, 2)), same(1, 1, 2)),
        C,
    ),
    "branches 1, 3, 5": (Branches(same(1), same(3), same(5)), C),
    "branches, pool and convolution": (Branches(nn.MaxPool1d(3, 2, 1), same(5, 1, 2)), C),
    "concatenated": (Dense(C + 2 * i, 2), C),
    "upsampled": (up(), C),
    "upsampled, convolved": (nn.Sequential(up(), same(3)), C),
    "upsampled, odd kernel": (nn.Sequential(up(scale=3), same(k)), C),
    "linear": (nn.Sequential(up("linear"), same(3)), C),
    "residual upsampling": (nn.Sequential(up(), Branches(nn.Identity(), same(3))), C),
    "convolved, upsampled": (nn.Sequential(same(5), up()), C),
    "transposed": (nn.ConvTranspose1d(C, C, 4, 2, 1), C),
    "transposed, convolved": (nn.Sequential(nn.ConvTranspose1d(C, C, 2, 2), same(3)), C),
    "nested": (nn.Repeat(Branches(nn.Identity(), same(3)), 3), C),
}


def at(value: Any, **values: Any) -> Any:
    return evaluate(from_sympy(value), values)


@pytest.mark.parametrize("name", BLOCKS)
def test_n_blocks_see_what_the_unrolled_blocks_see(name: str) -> None:
    block, channels = BLOCKS[name]
    field = nn.Repeat(block, n, index=i).trace((1, channels, H)).receptive_field()
    formula = field.interval("i")
    assert tuple(at(end, n=0, i=7, k=3) for end in formula) == (7, 7)
    for depth in DEPTHS[1:]:
        unrolled = nn.Repeat(block, depth, index=i).trace((1, channels, H)).receptive_field()
        want = unrolled.interval("i")
        for place in PLACES:
            for kernel in (1, 3, 7):
                values = {"i": place, "k": kernel}
                ours = tuple(at(end, n=depth, **values) for end in formula)
                assert ours == tuple(at(end, **values) for end in want), (depth, values)


@pytest.mark.parametrize("name", [name for name in BLOCKS if "kernel" not in name])
def test_size_and_stride_of_n_blocks_are_those_of_the_unrolled_blocks(name: Any) -> None:
    block, channels = BLOCKS[name]
    block = nn.Sequential(block)
    field = nn.Repeat(block, n, index=i).trace((1, channels, H)).receptive_field()
    (sizes,) = field.sizes
    for depth in DEPTHS[1:7]:
        unrolled = nn.Repeat(block, depth, index=i).trace((1, channels, H)).receptive_field()
        values = {symcnn.index("n"): depth, k: 3}
        (want,) = unrolled.sizes
        for ours, theirs in (
            (sizes.min, want.min),
            (sizes.max, want.max),
            (sizes.mean, want.mean),
            (field.stride[0], unrolled.stride[0]),
        ):
            assert sympy.sympify(ours).subs(values) == sympy.sympify(theirs).subs(values)


def test_the_formulas_are_the_ones_one_would_write() -> None:
    def size(name: str) -> Any:
        return nn.Repeat(BLOCKS[name][0], n, index=i).trace((1, C, H)).receptive_field().size[0]

    assert size("skip") == 4 * n + 1
    assert sympy.expand(size("skip, dilation 2**i (WaveNet)") - 1 - (k - 1) * (2**n - 1)) == 0
    assert size("bottleneck that halves") == 2 * 2**n - 1
    assert size("branches 1, 3, 5") == 4 * n + 1
    decoder = nn.Repeat(BLOCKS["upsampled, convolved"][0], n).trace((1, C, H)).receptive_field()
    assert [str(end) for end in decoder.interval("i")] == [
        "(i + 1)//2**n - 1",
        "(i - 1)//2**n + 1",
    ]


branch = st.tuples(st.integers(0, 3).map(lambda q: 2 * q + 1), st.integers(1, 3))


@given(
    branches=st.lists(branch, min_size=1, max_size=3),
    stride=st.integers(1, 3),
    scale=st.integers(1, 3),
    depth=st.integers(1, 12),
    place=st.integers(0, 5000),
)
def test_aligned_branches_and_upsampling_of_any_size(
    branches: list[tuple[Any, int]], stride: int, scale: int, depth: int, place: int
) -> None:
    assume(stride == 1 or scale == 1)
    block = nn.Sequential(up(scale=scale), Branches(*(same(*b, stride) for b in branches)))
    formula = nn.Repeat(block, n).trace((1, C, H)).receptive_field().interval("i")
    want = nn.Repeat(block, depth).trace((1, C, H)).receptive_field().interval(place)
    assert tuple(at(end, n=depth, i=place) for end in formula) == want


@given(
    left=st.integers(0, 4),
    kernel=st.integers(1, 5),
    other=st.integers(1, 5),
    depth=st.integers(1, 12),
)
def test_branches_off_centre_are_the_hull_of_both(
    left: int, kernel: int, other: int, depth: int
) -> None:
    """A causal branch, and one that looks ahead."""
    causal = nn.Sequential(nn.ConstantPad1d((kernel - 1, 0), 0), nn.Conv1d(C, C, kernel))
    ahead = nn.Sequential(nn.ConstantPad1d((left, other - 1 - left), 0), nn.Conv1d(C, C, other))
    block = Branches(causal, ahead)
    net = nn.Repeat(block, n).trace((1, C, H))
    formula = net.receptive_field().interval("i")
    unrolled = nn.Repeat(block, depth).trace((1, C, H))
    want = unrolled.receptive_field().interval(50)
    assert tuple(at(end, n=depth, i=50) for end in formula) == want


# At a size: exact, borders included ------------------------------------------------------------


def _taken(net: Any, sizes: Any) -> Any:
    """Those of the sizes that the network knows."""
    return {q: v for q, v in sizes.items() if q in net.free_symbols | net.parameter_symbols}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_at_a_size_n_blocks_are_the_unrolled_ones(name: str, depth: int) -> None:
    block, channels = BLOCKS[name]
    sizes = {"C": 2, "H": 17, "k": 3}
    net = nn.Repeat(block, n, index=i).trace((1, channels, H))
    unrolled = nn.Repeat(block, depth, index=i).trace((1, channels, H))
    ours = net.receptive_field().at(n=depth, **_taken(net, sizes))
    used = _taken(unrolled, sizes)
    assert (ours.table() == unrolled.receptive_field().at(**used).table()).all()


def test_at_a_size_leftovers_of_a_stride_are_not_read() -> None:
    """The hull of the fused window would say that the last output reads them."""
    net = nn.Repeat(nn.Conv1d(C, C, 3, 2), n).trace((1, C, H))
    unrolled = nn.Repeat(nn.Conv1d(C, C, 3, 2), 3).trace((1, C, H))
    ours, theirs = (q.receptive_field() for q in (net, unrolled))
    assert ours.at(C=1, H=22, n=3).unread() == theirs.at(C=1, H=22).unread() != []


def test_a_unet_of_depth_n_reads_its_skips() -> None:
    """Counterexample: the decoder's field was told without what it reads of the encoder."""
    sizes = {"C": 1, "h": 1, "w": 1}
    for depth in (1, 2, 3):
        w = symcnn.symbols("w")
        unrolled = UNet(depth, C).trace((1, 3, 2**depth * h, 2**depth * w))
        net = UNet(n, C).trace((1, 3, 2**n * h, 2**n * w))
        with pytest.raises(Undecidable, match="repeat"):
            net.receptive_field().interval(0)
        ours = net.receptive_field().at(n=depth, **sizes)
        theirs = unrolled.receptive_field().at(**sizes)
        for axis in (0, 1):
            assert (ours.table(axis) == theirs.table(axis)).all()


def test_blocks_in_two_dimensions_have_a_field_per_axis() -> None:
    net = nn.Repeat(Residual(C), n).trace("N C H W")
    assert net.receptive_field().size == (4 * n + 1, 4 * n + 1)
    assert net.explain("field").result.startswith("the receptive field is 4*n + 1")


# Bad input -------------------------------------------------------------------------------------


def test_what_has_no_closed_form_is_refused_and_told_at_a_number() -> None:
    net = nn.Repeat(nn.ConvTranspose1d(C, C, 1, 2), n).trace((1, C, H))
    with pytest.raises(Undecidable, match="no closed form"):
        net.receptive_field().interval("i")
    field = net.receptive_field().at(C=1, H=3, n=2)
    assert (field.interval(4), field.interval(5)) == ((1, 1), None)


def test_a_depth_that_is_not_given_is_asked_for() -> None:
    net = nn.Repeat(Residual(C), n).trace("N C H W")
    with pytest.raises(BadSpec, match="no value for n"):
        net.receptive_field().at(N=1, C=1, H=5, W=5)
    with pytest.raises(BadSpec, match="no size is called m"):
        net.receptive_field().at(N=1, C=1, H=5, W=5, m=3)


def test_sizes_that_the_blocks_do_not_take_are_refused() -> None:
    net = nn.Repeat(nn.Conv1d(C, C, 3), n).trace((1, C, H))
    with pytest.raises(InvalidInput):
        net.receptive_field().at(C=1, H=5, n=3)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_depth_put_in_afterwards_gives_the_unrolled_network(name: str) -> None:
    block, channels = BLOCKS[name]
    net = nn.Repeat(block, n, index=i).trace((1, channels, H))
    for depth in (0, 1, 3):
        given, unrolled = (
            net.given(n=depth),
            nn.Repeat(block, depth, index=i).trace((1, channels, H)),
        )
        assert given.outputs == unrolled.outputs
        assert given.cost().total == unrolled.cost().total
        fields = given.receptive_field(), unrolled.receptive_field()
        assert fields[0].interval(5) == fields[1].interval(5)


# Repeats in repeats ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        lambda k, d: nn.Repeat(lambda i: nn.Conv1d(8, 8, k, dilation=d**i), n),
        lambda k, d: nn.Repeat(lambda i: nn.Conv1d(8, 8, k, dilation=2**i, padding="same"), n),
        lambda k, d: nn.Repeat(lambda i: nn.Conv1d(8, 8, 3, dilation=d**i, padding=d**i), n),
    ],
)
def test_a_repeat_in_a_repeat_is_the_stack_of_its_blocks(block: Callable[..., Any]) -> None:
    k, d, m = symcnn.symbols("k d m")
    net = nn.Repeat(lambda j: block(k, d), m).trace("N 8 L")
    (field,) = net.receptive_field().size
    assert not sympy.sympify(field).has(sympy.Sum)
    for values in ({"k": 3, "d": 2, "m": 2, "n": 3}, {"k": 4, "d": 3, "m": 3, "n": 2}):
        one = [block(values["k"], values["d"])] * values["m"]
        plain = nn.Sequential(*one).trace("N 8 L").given(n=values["n"])
        at = {symbol: values[symbol.name] for symbol in sympy.sympify(field).free_symbols}
        assert sympy.sympify(field).subs(at).doit() == plain.receptive_field().size[0]


def test_two_stacks_have_twice_the_reach() -> None:
    k = symcnn.odd("k")
    stack = nn.Repeat(lambda i: nn.Conv1d(8, 8, k, dilation=2**i, padding=2**i * (k - 1) / 2), n)
    (field,) = nn.Sequential(stack, stack).trace("N 8 L").receptive_field().size
    assert text(from_sympy(field)) == "2*(2**n - 1)*(k - 1) + 1"
