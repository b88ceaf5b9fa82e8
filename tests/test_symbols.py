"""Symbols in every hyperparameter and every figure, against torch and the unrolled network."""

import time
from itertools import product
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F

import symcnn
from symcnn import C, H, N, Undecidable, W, nn
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import evaluate

from .conftest import formula
from .corpus.depth import FAMILIES, Residual, UNet, torch_counts

n, i = symcnn.index("n i")
k = symcnn.odd("k")
r, e, c, h, w = symcnn.symbols("r e c h w")
MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


def at(value: Any, **values: Any) -> Any:
    return evaluate(from_sympy(value), values)


# A scale that is a symbol ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_symbolic_scale_is_torchs_at_every_value(mode: str) -> None:
    net = nn.Upsample(scale_factor=r, mode=mode).trace("N C H W")
    assert net.output_shape == (N, C, H * r, W * r)
    for scale in (1, 2, 3, 5):
        there = nn.Upsample(scale_factor=scale, mode=mode).trace("N C H W")
        x = F.interpolate(torch.zeros(1, 1, 4, 3), scale_factor=scale, mode=mode)
        sizes = {"N": 1, "C": 1, "H": 4, "W": 3}
        assert net.shape_at(r=scale, **sizes) == tuple(x.shape)
        ours, theirs = net.receptive_field(), there.receptive_field()
        if "nearest" in mode:  # torch multiplies by 1/r in float32, which may round down
            with pytest.raises(Undecidable, match="float32"):
                ours.interval("i")
        for place in () if "nearest" in mode else (0, 7, 100):
            want = theirs.interval(place)
            assert tuple(at(end, r=scale, i=place) for end in ours.interval("i")) == want
        one, other = ours.at(r=scale, **sizes), theirs.at(**sizes)
        assert (one.table() == other.table()).all()


def test_a_scale_that_may_be_a_fraction_is_refused() -> None:
    with pytest.raises(symcnn.ShapeMismatch, match="integer"):
        nn.Upsample(scale_factor=sympy.Symbol("r"))


# Blocks that papers are made of ----------------------------------------------------------------


class Bottleneck(nn.Module):
    """ResNet's, with an expansion of e."""

    def __init__(self, inner: Any, expansion: Any) -> None:
        wide = inner * expansion
        self.body = nn.Sequential(
            nn.Conv2d(wide, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
        )

    def forward(self, x: Any) -> Any:
        return x + self.body(x)


def test_bottlenecks_with_expansion_e() -> None:
    net = nn.Repeat(Bottleneck(C, e), n).trace((N, C * e, H, W))
    assert net.params == sympy.expand(n * (9 * C**2 + 2 * C**2 * e + 4 * C + 2 * C * e))
    assert sympy.expand(net.macs - n * N * H * W * C**2 * (9 + 2 * e)) == 0
    assert net.receptive_field().size == (2 * n + 1, 2 * n + 1)
    for depth, wide in product((1, 2, 5), (1, 4)):
        unrolled = nn.Sequential(*(Bottleneck(3, wide) for _ in range(depth)))
        traced = unrolled.trace((2, 3 * wide, 6, 5))
        values = {n: depth, e: wide, C: 3, N: 2, H: 6, W: 5}
        figures = sympy.Tuple(net.params, net.macs).subs(values)
        assert tuple(figures) == (traced.params, traced.macs)


class WaveNet(nn.Module):
    """A gated residual block, dilated by 2**i, with a skip of its own."""

    def __init__(self, channels: Any) -> None:
        pad = (k - 1) * 2**i
        self.pad = nn.ZeroPad1d((pad, 0))
        self.filter = nn.Conv1d(channels, channels, k, dilation=2**i)
        self.gate = nn.Conv1d(channels, channels, k, dilation=2**i)
        self.tanh, self.sigmoid = nn.Tanh(), nn.Sigmoid()
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Any) -> Any:
        y = self.pad(x)
        y = self.tanh(self.filter(y)) * self.sigmoid(self.gate(y))
        return x + self.out(y)


class TCN(nn.Module):
    """Two causal convolutions and a skip."""

    def __init__(self, channels: Any) -> None:
        pad = (k - 1) * 2**i
        layers = [
            nn.ZeroPad1d((pad, 0)),
            nn.Conv1d(channels, channels, k, dilation=2**i),
            nn.ReLU(),
        ]
        self.body = nn.Sequential(*layers, *layers)

    def forward(self, x: Any) -> Any:
        return x + self.body(x)


def test_wavenet_and_tcn_keep_the_length_and_look_back_as_their_papers_say() -> None:
    wavenet = nn.Repeat(WaveNet(C), n, index=i).trace("N C L")
    assert wavenet.output_shape == wavenet.inputs[0]
    first, last = wavenet.receptive_field().interval("i")
    assert sympy.expand(at_symbols(first) + (k - 1) * (2**n - 1)) == 0
    assert str(last) == "i"
    assert sympy.expand(wavenet.params - n * (2 * C**2 * k + C**2 + 3 * C)) == 0
    tcn = nn.Repeat(TCN(C), n, index=i).trace("N C L")
    size = tcn.receptive_field().size[0]
    assert sympy.expand(size - (1 + 2 * (k - 1) * (2**n - 1))) == 0


def at_symbols(first: Any) -> Any:
    """An interval's start without its index."""
    (index,) = (s for s in first.free_symbols if s.name == "i")
    return first - index


def mobilenet(alpha: Any, rho: Any) -> symcnn.Network:
    """Table 1 of the paper, with width and resolution multipliers; 224*rho must halve 5 times."""
    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * [(512, 1)]]
    layers: list[nn.Module] = [nn.Conv2d(3, 32 * alpha, 3, 2, 1, bias=False)]
    channels = 32 * alpha
    for out, stride in [*rows, (1024, 2), (1024, 1)]:
        layers.append(nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False))
        layers.append(nn.Conv2d(channels, out * alpha, 1, bias=False))
        channels = out * alpha
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*layers).trace((1, 3, 224 * rho, 224 * rho))


#: Tables 6 and 7 of the paper: width, resolution, millions of multiply-adds and of parameters.
MOBILENETS = [
    (1, 224, 569, 4.2),
    ("3/4", 224, 325, 2.6),
    ("1/2", 224, 149, 1.3),
    ("1/4", 224, 41, 0.5),
    (1, 192, 418, 4.2),
    (1, 160, 290, 4.2),
    (1, 128, 186, 4.2),
]


def test_mobilenets_tables_come_from_one_formula_in_alpha_and_rho() -> None:
    alpha, rho = symcnn.multiple("alpha", of="1/32"), symcnn.multiple("rho", of="1/7")
    net = mobilenet(alpha, rho)
    for width, resolution, macs, params in MOBILENETS:
        values = {alpha: sympy.Rational(width), rho: sympy.Rational(resolution, 224)}
        assert abs(sympy.sympify(net.macs).subs(values) / 1e6 - macs) < 1.01
        assert abs(sympy.sympify(net.params).subs(values) / 1e6 - params) < 0.06


# Memory, and arithmetic besides ----------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_activations_of_n_blocks_are_those_of_the_unrolled_blocks(family: Any) -> None:
    """Counterexample: a repeat counted the activations of its last block, and no arithmetic."""
    block, spec, _, sizes = FAMILIES[family]
    cost = nn.Repeat(block, n, index=i).trace(spec).cost()
    for depth in range(5):
        unrolled = nn.Repeat(block, depth, index=i).trace(spec).cost()
        values = {"N": 2, **sizes, "n": depth}
        for what in ("activations", "other", "total", "weights"):
            ours, theirs = getattr(cost, what), getattr(unrolled, what)
            have = {q: v for q, v in values.items() if q in ours.symbols}
            want = {q: v for q, v in values.items() if q in theirs.symbols}
            assert evaluate(ours.size, have) == evaluate(theirs.size, want), (what, depth)


@pytest.mark.parametrize("depth", range(1, 5))
def test_activations_of_a_unet_of_depth_n(depth: int) -> None:
    cost, unrolled = (UNet(d, C).trace((N, 3, 2**d * h, 2**d * w)).cost() for d in (n, depth))
    values = {"N": 2, "C": 3, "h": 2, "w": 3}
    for what in ("activations", "other", "weights"):
        ours, theirs = getattr(cost, what), getattr(unrolled, what)
        want = theirs.at(**{q: v for q, v in values.items() if q in theirs.symbols})
        have = {q: v for q, v in values.items() if q in ours.symbols}
        assert evaluate(ours.size, {**have, "n": depth}) == want


@pytest.mark.parametrize("what", ["peak", "saved", "backward", "moved", "adam"])
def test_what_depends_on_several_blocks_at_once_is_refused(what: str) -> None:
    cost = nn.Repeat(Residual(C), n).trace("N C H W").cost()
    with pytest.raises(Undecidable, match="n blocks"):
        cost.optimizer(what) if what == "adam" else getattr(cost, what)


def test_a_claim_in_a_depth_is_compared_for_all_depths() -> None:
    net = nn.Repeat(nn.Conv1d(C, C, 3, 2, 1), n).trace("N C L")
    claims = {"size": "floor((L - 1)/2**n) + 1", "params": "(3*C*C + C)*n", "field": "2*2**n - 1"}
    assert [v.right for v in symcnn.check(net, claims).verdicts] == [True, True, True]
    (wrong,) = symcnn.check(net, ["field = 2**n - 1"], at={"L": 64, "n": 3, "C": 1}).verdicts
    assert not wrong.right


def test_sizes_of_several_terms_stand_in_brackets() -> None:
    net = nn.Repeat(nn.Conv2d(C, C, 3), n).trace("N C H W")
    assert r"C \times \left(H - 2 \, n\right) \times \left(W - 2 \, n\right)" in net.to_latex()
    assert r"\left(H - 2 \, n\right)" in net.to_latex("formulas")


# Speed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [*FAMILIES, "bottleneck", "wavenet", "unet"])
def test_every_closed_form_takes_under_two_seconds(family: Any) -> None:
    start = time.perf_counter()
    if family == "unet":
        net = UNet(n, C).trace("N 3 H W")
        assert formula(net.cost("macs").total).under("H % 2**n == 0", "W % 2**n == 0")
    else:
        kinds = {"bottleneck": Bottleneck(C, e), "wavenet": WaveNet(C)}
        specs = {"bottleneck": (N, C * e, H, W), "wavenet": "N C L"}
        block: Any = kinds.get(family)
        spec: Any = specs.get(family)
        if block is None:
            block, spec, *_ = FAMILIES[family]
        net = nn.Repeat(block, n, index=i).trace(spec)
        assert net.output_shape
        assert net.receptive_field()
    assert net.params is not None
    assert net.macs is not None
    assert time.perf_counter() - start < 2


def test_figures_of_an_unrolled_bottleneck_are_torchs() -> None:
    class Torch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            conv, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
            self.body = torch.nn.Sequential(
                conv(12, 3, 1, bias=False),
                norm(3),
                conv(3, 3, 3, padding=1, bias=False),
                norm(3),
                conv(3, 12, 1, bias=False),
                norm(12),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.body(x)

    net = nn.Repeat(Bottleneck(C, e), n).trace((N, C * e, H, W))
    for depth in range(1, 5):
        values = {n: depth, e: 4, C: 3, N: 2, H: 6, W: 5}
        with torch.device("meta"):
            blocks = [Torch() for _ in range(depth)]
        shape, params, macs = torch_counts(blocks, (2, 12, 6, 5))
        assert tuple(sympy.sympify(d).subs(values) for d in net.output_shape) == shape
        assert tuple(sympy.Tuple(net.params, net.macs).subs(values)) == (params, macs)


def test_an_input_of_a_dtype_that_torch_does_not_have_is_refused() -> None:
    with pytest.raises(symcnn.BadSpec, match="'float31' is no dtype"):
        symcnn.tensor("N 3 H W", dtype="float31")
    assert symcnn.tensor("N 3 H W", dtype="torch.int64").dtype == "int64"


@pytest.mark.parametrize("batch", ["N", "B"])
def test_a_batch_that_is_left_out_is_one_image_whatever_its_name(batch: str) -> None:
    layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
    net = nn.Sequential(*layers).trace(f"{batch} 3 H W")
    cure = "self[2] = nn.Linear(1568, 10)"
    assert net.diagnose(H=30, W=30).ways[-1] == f"change the network: {cure}"
    assert net.fix(H=30, W=30)[0].line == cure
    assert symcnn.check(net, ["0 = 14"], at={"H": 30, "W": 30})
    assert symcnn.report(net, at={"H": 16, "W": 16}).at["output"] == ((1, 10),)
