"""Papers' own formulas and tables, from symbolic networks: ``python examples/papers.py``.

- V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, 2016 (1603.07285)
- A. Araujo, W. Norris, J. Sim: Computing receptive fields of convolutional neural networks, 2019;
  the FLOPs are those their library lists (github.com/google-research/receptive_field)
- A. G. Howard et al.: MobileNets, 2017 (1704.04861)
- M. Tan, Q. V. Le: EfficientNet, 2019 (1905.11946)
- G. Huang et al.: Densely connected convolutional networks, 2017 (1608.06993)
- K. He et al.: Deep residual learning, 2016 (1512.03385)
- K. Simonyan, A. Zisserman: Very deep convolutional networks, 2015 (1409.1556)
- O. Ronneberger et al.: U-Net, 2015 (1505.04597)
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import sympy

import symcnn
from symcnn import C, FloorDiv, H, N, W, nn
from symcnn.algebra.axis import IDENTITY, Window

sys.path.insert(0, str(Path(__file__).parent / "networks"))
from slim import TABLE

i, k, s, p, d = symcnn.symbols("i k s p d")
odd = symcnn.odd("k")
half = (odd - 1) / 2
M, n, g = symcnn.symbols("M n g")
L = symcnn.index("l")


# Dumoulin and Visin --------------------------------------------------------------------------


@dataclass(frozen=True)
class Relationship:
    """One of the paper's relationships: a layer of symbolic hyperparameters, and the size."""

    number: int
    about: str
    layer: nn.Module
    size: sympy.Expr

    @property
    def derived(self) -> sympy.Expr:
        """The size that the library derives for the layer."""
        return self.layer.trace((1, 1, i)).output_shape[2]

    @property
    def proved(self) -> bool:
        """Whether it is the paper's, for all integers: the normal forms are the same."""
        return sympy.expand(self.derived - self.size) == 0


def conv(kernel, stride=1, padding=0, dilation=1):
    return nn.Conv1d(1, 1, kernel, stride, padding, dilation)


def transposed(kernel, stride=1, padding=0, output_padding=0):
    return nn.ConvTranspose1d(1, 1, kernel, stride, padding, output_padding)


a = symcnn.index("a")  # (input + 2p - k) mod s, the rows that the stride left over

RELATIONSHIPS = [
    Relationship(1, "no padding, unit strides", conv(k), i - k + 1),
    Relationship(2, "padding, unit strides", conv(k, 1, p), i - k + 2 * p + 1),
    Relationship(3, "half padding", conv(odd, 1, half), i),
    Relationship(4, "full padding", conv(k, 1, k - 1), i + (k - 1)),
    Relationship(5, "no padding, strides", conv(k, s), FloorDiv(i - k, s) + 1),
    Relationship(6, "padding, strides", conv(k, s, p), FloorDiv(i + 2 * p - k, s) + 1),
    Relationship(7, "pooling", nn.MaxPool1d(k, s), FloorDiv(i - k, s) + 1),
    Relationship(8, "transposed, no padding, unit strides", transposed(k), i + (k - 1)),
    Relationship(9, "transposed, padding", transposed(k, 1, p), i + (k - 1) - 2 * p),
    Relationship(10, "transposed, half padding", transposed(odd, 1, half), i),
    Relationship(11, "transposed, full padding", transposed(k, 1, k - 1), i - (k - 1)),
    Relationship(12, "transposed, strides", transposed(k, s), s * (i - 1) + k),
    Relationship(13, "transposed, padding, strides", transposed(k, s, p), s * (i - 1) + k - 2 * p),
    Relationship(14, "transposed, any size", transposed(k, s, p, a), s * (i - 1) + a + k - 2 * p),
    Relationship(
        15, "dilation", conv(k, s, p, d), FloorDiv(i + 2 * p - k - (k - 1) * (d - 1), s) + 1
    ),
]


def round_trip() -> sympy.Expr:
    """Relationship 14 as it is meant: the transpose of a convolution gives its input size back."""
    left_over = i + 2 * p - k - s * FloorDiv(i + 2 * p - k, s)
    smaller = FloorDiv(i + 2 * p - k, s) + 1
    return sympy.expand(s * (smaller - 1) + left_over + k - 2 * p)


# Araujo, Norris and Sim ----------------------------------------------------------------------


def araujo(layers: int) -> bool:
    """Whether their closed forms (field, stride, padding, start, end and centre) are what the
    fusion law gives, for `layers` layers of symbolic kernel, stride and padding.
    """
    ks, ss, ps = (symcnn.symbols(" ".join(f"{x}{j}" for j in range(layers))) for x in "ksp")
    ks, ss, ps = (x if isinstance(x, tuple) else (x,) for x in (ks, ss, ps))
    fused = IDENTITY
    for window in map(Window.conv, ks, ss, ps):
        fused = fused.then(window)
    before = [sympy.prod(ss[:j]) for j in range(layers)]
    stride = sympy.prod(ss)
    field = sum((q - 1) * b for q, b in zip(ks, before, strict=True)) + 1
    padding = sum(q * b for q, b in zip(ps, before, strict=True))
    u = symcnn.index("u")
    start, end = u * stride - padding, u * stride - padding + field - 1
    first, last = fused.pullback(u, u)
    pairs = [
        (fused.extent, field),
        (fused.stride, stride),
        (fused.left, padding),
        (first, start),
        (last, end),
        ((first + last) / 2, u * stride - padding + (field - 1) / 2),
    ]
    return all(sympy.expand(one - other) == 0 for one, other in pairs)


def araujo_recurrences() -> dict[str, bool]:
    """Their recurrences, from layer l to the one before: the step of the induction over layers.

    The layers behind l are one window of field r, stride S, padding P; with layer l in front they
    are one again. The base is the identity, r = S = 1 and P = 0: so they hold for any depth.
    """
    field, stride, pad, u = symcnn.symbols("r S P u")
    behind = Window(field, stride, pad, pad)
    whole = Window.conv(k, s, p).then(behind)
    (u1, v1), (u0, v0) = behind.pullback(u, u), whole.pullback(u, u)
    steps = {
        "r' = s*r + (k - s)": whole.extent - (s * field + (k - s)),
        "S' = s*S": whole.stride - s * stride,
        "P' = s*P + p": whole.left - (s * pad + p),
        "u' = s*u - p": u0 - (s * u1 - p),
        "v' = s*v - p + k - 1": v0 - (s * v1 - p + k - 1),
        "c' = s*c + (k - 1)/2 - p": (u0 + v0) / 2 - (s * (u1 + v1) / 2 + (k - 1) / 2 - p),
    }
    return {name: sympy.expand(gap) == 0 for name, gap in steps.items()}


def araujo_table() -> list[tuple[str, tuple, tuple]]:
    """Network, the published field, stride, padding and FLOPs (10^9, at 224), and ours."""
    table = []
    for network, published in TABLE.items():
        net = network().trace("1 3 H W")
        rf = net.receptive_field()
        flops = 2 * int(net.macs.subs({H: 224, W: 224})) / 1e9
        ours = (rf.size[0], rf.stride[0], rf.padding[0][0], flops)
        table.append((network.__name__, published, ours))
    return table


# MobileNet, EfficientNet ---------------------------------------------------------------------


def separable(c_in, c_out):
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, odd, padding=half, groups=c_in, bias=False),
        nn.Conv2d(c_in, c_out, 1, bias=False),
    )


def mobilenet_ratio() -> sympy.Expr:
    """MACs of a depthwise separable convolution over those of a convolution."""
    plain = nn.Conv2d(C, M, odd, padding=half, bias=False).trace("N C H W")
    return sympy.expand(separable(C, M).trace("N C H W").macs / plain.macs)


def mobilenet_multipliers() -> sympy.Expr:
    """MACs of a separable layer with width multiplier alpha and resolution multiplier rho."""
    alpha, rho = symcnn.multiple("alpha", of="1/32"), symcnn.multiple("rho", of="1/7")
    net = separable(32 * alpha, 64 * alpha).trace((1, 32 * alpha, 224 * rho, 224 * rho))
    return net.macs


def efficientnet_scaling() -> sympy.Expr:
    """MACs of n layers scaled in depth, width and resolution, over those of the unscaled ones."""
    alpha, beta, gamma = symcnn.symbols("alpha beta gamma")

    def macs(depth, width, resolution):
        layers = nn.Repeat(nn.Conv2d(C * width, C * width, odd, padding=half), n * depth)
        return layers.trace((N, C * width, H * resolution, W * resolution)).macs

    return sympy.simplify(macs(alpha, beta, gamma) / macs(1, 1, 1))


# DenseNet ------------------------------------------------------------------------------------


class DenseLayer(nn.Module):
    """BN, ReLU, 1x1 to 4g channels, BN, ReLU, 3x3 to g channels, concatenated."""

    def __init__(self, channels, growth):
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x):
        return symcnn.cat([x, self.body(x)], dim=1)


def densenet_block():
    """A dense block of n layers with growth rate g, on C channels."""
    block = nn.Repeat(DenseLayer(C + L * g, g), n, index=L)
    return block.trace("N C H W")


def densenet_channels(layers=(6, 12, 24, 16), growth=32) -> list[int]:
    """Channels after each dense block; between blocks a transition halves them."""
    formula = densenet_block().output_shape[1]
    channels, table = 2 * growth, []
    for depth in layers:
        table.append(int(formula.subs({C: channels, n: depth, g: growth})))
        channels = table[-1] // 2
    return table


# ResNet, VGG ---------------------------------------------------------------------------------


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a skip; the first of a stage projects, with the stride on the first 1x1."""

    def __init__(self, c_in, inner, stride=1, expansion=4):
        out = inner * expansion
        self.body = nn.Sequential(
            nn.Conv2d(c_in, inner, 1, stride, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        same = c_in == out and stride == 1
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(c_in, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x):
        return self.body(x) + self.skip(x)


class Basic(nn.Module):
    """Two 3x3 and a skip without parameters where channels grow (the paper's option A)."""

    def __init__(self, c_in, inner, stride=1, expansion=1):
        self.body = nn.Sequential(
            nn.Conv2d(c_in, inner, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
        )

    def forward(self, x):
        return self.body(x)


def resnet(block, expansion, depths):
    """A ResNet whose stages are repeats; `depths` may be symbols (all but the first blocks)."""
    stages, channels = [], 64
    for stage, depth in enumerate(depths):
        inner = 64 * 2**stage
        stages.append(block(channels, inner, 1 if stage == 0 else 2, expansion))
        channels = inner * expansion
        stages.append(nn.Repeat(block(channels, inner, 1, expansion), depth - 1))
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.MaxPool2d(3, 2, 1),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 1000),
    )


#: Table 1 of the paper: layers, block, expansion, blocks per stage, FLOPs (multiply-adds, 10^9).
RESNETS = [
    (18, Basic, 1, (2, 2, 2, 2), 1.8),
    (34, Basic, 1, (3, 4, 6, 3), 3.6),
    (50, Bottleneck, 4, (3, 4, 6, 3), 3.8),
    (101, Bottleneck, 4, (3, 4, 23, 3), 7.6),
    (152, Bottleneck, 4, (3, 8, 36, 3), 11.3),
]


def resnet_macs() -> list[tuple[int, float, float]]:
    """Layers, the paper's FLOPs and ours (both in 10^9), from one formula per kind of block.

    The depths of the four stages are symbols; the table only substitutes them.
    """
    depths = symcnn.symbols("n1 n2 n3 n4")
    formulas = {
        (block, e): resnet(block, e, [depth + 1 for depth in depths]).trace("1 3 224 224").macs
        for block, e in ((Basic, 1), (Bottleneck, 4))
    }
    table = []
    for layers, block, expansion, blocks, paper in RESNETS:
        at = {depth: b - 1 for depth, b in zip(depths, blocks, strict=True)}
        table.append((layers, paper, float(formulas[block, expansion].subs(at)) / 1e9))
    return table


def vgg(convs):
    """A VGG; `convs` per stage, each 3x3."""
    layers, channels = [], 3
    for stage, count in enumerate(convs):
        out = min(64 * 2**stage, 512)
        layers.append(nn.Conv2d(channels, out, 3, padding=1))
        layers.append(nn.Repeat(nn.Conv2d(out, out, 3, padding=1), count - 1))
        layers.append(nn.MaxPool2d(2))
        channels = out
    head = [nn.Linear(512 * 49, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


#: Table 2 of the paper: configuration, convolutions per stage, parameters in millions.
VGGS = [
    ("A", (1, 1, 2, 2, 2), 133),
    ("B", (2, 2, 2, 2, 2), 133),
    ("D", (2, 2, 3, 3, 3), 138),
    ("E", (2, 2, 4, 4, 4), 144),
]


def vgg_params() -> list[tuple[str, int, float]]:
    """Configuration, the paper's parameters and ours (both in millions)."""
    return [
        (name, paper, float(vgg(convs).trace("1 3 224 224").params) / 1e6)
        for name, convs, paper in VGGS
    ]


# U-Net ---------------------------------------------------------------------------------------


def unet_sizes(depth: int = 4) -> dict[str, sympy.Expr]:
    """Sizes of a valid-padding U-Net: two 3x3 per level, pools and up-convolutions of 2."""
    size, sizes = H, {"input": H}
    for level in range(depth):
        size = size - 4
        sizes[f"down{level}"] = size
        size = FloorDiv(size, 2)
    size = size - 4
    sizes["bottom"] = size
    for level in reversed(range(depth)):
        size = 2 * size - 4
        sizes[f"up{level}"] = size
    return sizes


def unet_formula() -> sympy.Expr:
    """The output size of a valid-padding U-Net of depth n, for an input of ``2**n*(h + 4) - 4``.

    Down, ``x -> floor((x - 4)/2)``; at the bottom, -4; up, ``x -> 2*x - 4``: n times each.
    """
    depth = symcnn.index("n")
    h = symcnn.symbols("h")
    down = nn.Repeat(nn.Sequential(*valid(), nn.MaxPool1d(2)), depth)
    up = nn.Repeat(nn.Sequential(nn.ConvTranspose1d(1, 1, 2, 2), *valid()), depth)
    net = nn.Sequential(down, *valid(), up).trace((1, 1, 2**depth * (h + 4) - 4))
    return net.output_shape[2]


def valid():
    return [nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3)]


def main() -> None:
    print("Dumoulin and Visin: relationships, each for all integers")
    for r in RELATIONSHIPS:
        print(f"  {r.number:2} {r.about}: {r.derived}  {'proved' if r.proved else 'NOT SO'}")
    print(f"  transpose of a convolution, output padding (i + 2p - k) mod s: size {round_trip()}")
    print(f"Araujo et al.: their sums are the fusion law: {all(map(araujo, range(1, 7)))}")
    for name, holds in araujo_recurrences().items():
        print(f"  {name}  {'proved' if holds else 'NOT SO'}")
    print("  field, stride, padding, 10^9 FLOPs: paper / here")
    for name, (*paper, theirs), (*ours, flops) in araujo_table():
        same = "/".join(map(str, paper if paper == ours else [*paper, "but", *ours]))
        print(f"  {name:20} {same:12} {theirs:5.2f} / {flops:.2f}")
    print(f"MobileNet: separable over plain convolution: {mobilenet_ratio()}")
    print(f"MobileNet: MACs with alpha and rho: {sympy.factor(mobilenet_multipliers())}")
    print(f"EfficientNet: MACs scale with {efficientnet_scaling()}")
    print(f"DenseNet: channels of a block {densenet_block().output_shape[1]}, of DenseNet-121")
    print(f"  after each block: {densenet_channels()}")
    print("ResNet, multiply-adds in 10^9: paper, here")
    for layers, paper, ours in resnet_macs():
        print(f"  {layers:3}: {paper:4}, {ours:.2f}")
    print("VGG, parameters in 10^6: paper, here")
    for name, millions, ours in vgg_params():
        print(f"  {name}: {millions}, {ours:.1f}")
    print(f"U-Net: {unet_sizes()['up0'].subs(H, 572)} from 572; in general {unet_sizes()['up0']}")
    print(f"U-Net of depth n on 2**n*(h + 4) - 4: {unet_formula()}")


if __name__ == "__main__":
    main()
