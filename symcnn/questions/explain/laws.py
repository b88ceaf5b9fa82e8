"""The laws that derivations name: in words, as a formula, and where they are written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Law:
    """A rule in words and in a formula, the law behind it, and where it is written."""

    name: str
    rule: str
    latex: str
    source: str


LAWS = {
    "window": Law(
        "window law",
        "size = floor((x + left + right - extent)/stride) + 1, extent = dilation*(kernel - 1) + 1",
        r"x' = \left\lfloor \frac{x + a + b - r}{s} \right\rfloor + 1,\quad r = d(k - 1) + 1",
        "torch.nn.Conv2d",
    ),
    "scatter": Law(
        "scatter law",
        "size = stride*(x - 1) + extent - 2*padding + output_padding",
        r"x' = s (x - 1) + r - 2p + o,\quad r = d(k - 1) + 1",
        "torch.nn.ConvTranspose2d",
    ),
    "keep": Law(
        "size kept",
        "windows of stride 1 with left + right = extent - 1, pointwise operations, and views as "
        "long as what they are made of, keep x",
        r"s = 1,\; a + b = r - 1 \;\Rightarrow\; x' = x",
        "docs/laws.md#window",
    ),
    "rule": Law("the operation's rule", "see symcnn.ops", r"x' = f(x)", "symcnn.ops"),
    "fusion": Law(
        "fusion law",
        "field = field + (extent - 1)*stride, stride = stride*(stride of the layer)",
        r"R' = R + (r - 1) S,\quad S' = s S",
        "docs/laws.md#fusion-law",
    ),
    "reads": Law(
        "reading law",
        "what output i sees is what is seen by all that it reads: ends go to ends",
        r"[f(a(i)),\, l(b(i))]",
        "docs/receptive_fields.md",
    ),
    "join": Law(
        "join law",
        "what several branches see is their hull: the smallest first index to the largest last one",
        r"[\min_k f_k,\, \max_k l_k]",
        "docs/receptive_fields.md",
    ),
    "whole": Law(
        "whole axis",
        "global pools, attention and statistics of norms let every place see the whole axis",
        r"[0,\, x - 1]",
        "docs/receptive_fields.md",
    ),
    "domain": Law(
        "domain law",
        "where the domain fixes the remainder of e by m, floor(e/m) is a plain fraction",
        r"e \bmod m = c \;\Rightarrow\; \lfloor e/m \rfloor = (e - c)/m",
        "docs/laws.md#floor-normal-form",
    ),
    "floors": Law(
        "floor law",
        "m*floor(e/m) = e if and only if m divides e; conditions meet as sets, decided by isl",
        r"m \lfloor e/m \rfloor = e \iff e \bmod m = 0",
        "docs/laws.md#floor-normal-form",
    ),
    "params": Law(
        "parameters",
        "out_channels*(in_channels/groups)*kernel + bias",
        r"P = C_{\mathrm{out}} \frac{C_{\mathrm{in}}}{g} k_h k_w + C_{\mathrm{out}}",
        "torch.nn.Conv2d",
    ),
    "macs": Law(
        "multiply-accumulates",
        "one per weight and position: output positions of a convolution, input positions of a "
        "transposed one",
        r"M = N \, h' w' \, C_{\mathrm{out}} \frac{C_{\mathrm{in}}}{g} k_h k_w",
        "torch.utils.flop_counter",
    ),
    "bound": Law(
        "monotone bounds",
        "floor(e/m) >= t if and only if e >= m*t; floor(e/m) <= t if and only if e <= m*t + m - 1",
        r"\left\lfloor e/m \right\rfloor \ge t \iff e \ge mt,\quad "
        r"\left\lfloor e/m \right\rfloor \le t \iff e \le mt + m - 1",
        "docs/laws.md#monotone-bounds",
    ),
    "bytes": Law(
        "bytes",
        "what an operation makes has as many bytes as elements times their width; views make none",
        r"B = w \prod_k n_k",
        "docs/cost.md",
    ),
    "alive": Law(
        "life of a tensor",
        "a tensor is alive from the node that makes it to the last that reads it, or as long as "
        "python holds it, inputs and outputs of the network throughout",
        r"A_t = \sum_{\text{made} \le t \le \text{last read}} B",
        "docs/cost.md",
    ),
    "worst": Law(
        "worst moment", "the peak is the largest of the moments", r"\max_t A_t", "docs/cost.md"
    ),
    "looks": Law(
        "looks law",
        "a layer looks left*stride further back and (extent - 1 - left)*stride further ahead than "
        "what it reads, stride being that of what it reads; branches look as far as the furthest",
        r"b' = b + a S,\quad f' = f + (r - 1 - a) S",
        "docs/places.md",
    ),
    "period": Law(
        "period",
        "moved by a multiple of every stride, all that is read moves alike",
        r"p = \operatorname{lcm}_k S_k",
        "docs/places.md",
    ),
    "tile": Law(
        "tile law",
        "a tile starts at the last multiple of the period from where its first exact output still "
        "joins what is there already",
        r"o = p \left\lfloor \frac{x}{p} \right\rfloor",
        "docs/places.md",
    ),
    "sum": Law("sum", "the sum over all layers", r"\sum", "symcnn"),
}

NESTED = "nested floors: floor((floor(e/m) + c)/n) = floor((e + m*c)/(m*n))"
WHOLE = "whole numbers leave the floor"
REQUIRED = "required to be as long: true in the domain"
