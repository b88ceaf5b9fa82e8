"""Article E, "parameters of CNNs": a catalogue of layers and topologies, with their formulas.

Its claims are checked on symbolic layers; then every layer it names becomes a row of a table, made
by the library: size, parameters, MACs, receptive field.
"""

import symcnn
from symcnn import C, nn
from symcnn.algebra.axis import IDENTITY, Whole
from symcnn.algebra.factor import text
from symcnn.trace.graph import Result

k, s, p, d, g, m = *symcnn.symbols("k s p d"), *symcnn.symbols("g m")
odd = symcnn.odd("k")
C_out = symcnn.symbols("M")
same = (odd - 1) / 2
grouped = symcnn.multiple("C", of=8)


@symcnn.rule("deform_conv2d")
def deform_conv2d(input, offset, weight, bias=None):
    """Every tap moves by a learned offset, so it can read anywhere; at padding "same"."""
    n, _, h, w = input.dims
    c_out, c_in, kh, kw = weight.dims
    axes = ((0, IDENTITY), (1, Whole(c_out)), (2, Whole(h)), (3, Whole(w)))
    return Result(((n, c_out, h, w),), axes, n * h * w * (c_out * c_in * kh * kw))


class DeformableConv2d(nn.Module):
    """A convolution for the offsets, 2 per tap, and the one that they deform."""

    def __init__(self, c_in, c_out, kernel_size, padding):
        self.offset = nn.Conv2d(c_in, 2 * kernel_size**2, kernel_size, padding=padding)
        self.conv = nn.Conv2d(c_in, c_out, kernel_size, padding=padding)

    def forward(self, x):
        return deform_conv2d(x, self.offset(x), self.conv.weight, self.conv.bias)


class Unpooling(nn.Module):
    """Max pooling that keeps the indices, and its inverse."""

    def __init__(self):
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)

    def forward(self, x):
        return self.unpool(*self.pool(x))


class Skip(nn.Module):
    """x + f(x)."""

    def __init__(self, f):
        self.f = f

    def forward(self, x):
        return self.f(x) + x


class Parallel(nn.Module):
    """Branches side by side, concatenated."""

    def __init__(self, *branches):
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return symcnn.cat([branch(x) for branch in self.branches], dim=1)


def keeping(c_in, c_out, kernel=odd):
    """A convolution that keeps the size."""
    return nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)


IMAGE = ("N C H W",)
GROUPED = (("N", grouped, "H", "W"),)
CATALOGUE = [
    ("convolution", nn.Conv2d(C, C_out, k, s, p), IMAGE),
    ("dilated", nn.Conv2d(C, C_out, k, s, p, d), IMAGE),
    (
        "grouped, 8 groups",
        nn.Conv2d(grouped, 8 * m, k, s, p, groups=8),
        (("N", grouped, "H", "W"),),
    ),
    (
        "depthwise separable",
        nn.Sequential(nn.Conv2d(C, C, k, s, p, groups=C), nn.Conv2d(C, C_out, 1)),
        IMAGE,
    ),
    ("transposed", nn.ConvTranspose2d(C, C_out, k, s, p), IMAGE),
    ("deformable", DeformableConv2d(C, C_out, odd, same), IMAGE),
    ("max pooling", nn.MaxPool2d(k, s, p), IMAGE),
    ("max pooling and unpooling", Unpooling(), IMAGE),
    ("average pooling", nn.AvgPool2d(k, s, p), IMAGE),
    ("interpolate, scale 2", nn.Upsample(scale_factor=2), IMAGE),
    ("ReLU", nn.ReLU(), IMAGE),
    ("LeakyReLU", nn.LeakyReLU(), IMAGE),
    ("ELU", nn.ELU(), IMAGE),
    ("BatchNorm2d", nn.BatchNorm2d(C), IMAGE),
    ("Linear", nn.Linear(C, C_out), ("N C",)),
    ("Dropout", nn.Dropout(), IMAGE),
    ("BCE loss", nn.BCELoss(), ("N C", "N C")),
    ("cross entropy loss", nn.CrossEntropyLoss(), ("N C", "N")),
    ("L1 loss", nn.L1Loss(), ("N C", "N C")),
    ("MSE loss", nn.MSELoss(), ("N C", "N C")),
    ("smooth L1 loss", nn.SmoothL1Loss(), ("N C", "N C")),
    ("serial: two 3x3", nn.Sequential(keeping(C, C, 3), keeping(C, C, 3)), IMAGE),
    ("skip: x + conv(x)", Skip(keeping(C, C)), IMAGE),
    ("parallel: 1x1, 3x3, 5x5", Parallel(*(keeping(C, C, q) for q in (1, 3, 5))), IMAGE),
]


def row(name, module, specs):
    """Name, output shape, parameters, MACs, receptive field, as text."""
    specs = [
        spec
        if isinstance(spec, str)
        else tuple(symcnn.symbols(part) if isinstance(part, str) else part for part in spec)
        for spec in specs
    ]
    net = module.trace(*specs)
    shape = ", ".join(map(text, net.output_dims)) or "one number"
    seen = ""
    if len(net.inputs[0]) > 2:
        try:
            field = dict.fromkeys(map(str, net.receptive_field().size))
            seen = " x ".join(field)
        except symcnn.SymcnnError:
            seen = "varies with the place"
    costs = (text(symcnn.algebra.expr.from_sympy(value)) for value in (net.params, net.macs))
    return (name, shape, *("" if cost == "0" else cost for cost in costs), seen)


def catalogue() -> str:
    """The table, in Markdown."""
    head = ("layer", "output", "parameters", "MACs", "receptive field")
    rows = [head, ("---",) * len(head), *(row(*entry) for entry in CATALOGUE)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def main() -> None:
    """Print the verdicts on the article's formulas, and the catalogue."""
    print("Article E")
    conv = nn.Conv2d(C, C_out, k).trace("N C H W")
    formulas = {
        "params": "(c_in*k*k + 1)*c_out",
        "flops": "(c_in*2*k*k)*h_out*w_out*c_out*N",
        "macs": "c_in*k*k*h_out*w_out*c_out*N",
    }
    print(symcnn.check(conv, formulas))
    two = nn.Sequential(nn.Conv2d(C, C, 3, bias=False), nn.Conv2d(C, C, 3, bias=False))
    print("two 3x3:", symcnn.check(two.trace("N C H W"), ["field = 5", "params = 18*C*C"]))
    print("one 5x5:", symcnn.check(nn.Conv2d(C, C, 5, bias=False).trace("N C H W"), ["field = 5"]))
    wide = nn.Conv2d(C, C, 3, dilation=3).trace("N C H W")
    print("3x3 at dilation 3:", symcnn.check(wide, ["field = 7"]))
    print(f"\n{catalogue()}\n")


if __name__ == "__main__":
    main()
