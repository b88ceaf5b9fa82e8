"""Random networks whose python branches on sizes.

The idea: *a network with branches is a python function, so draw the function.* A recipe is the
source of a module: its forward is a list of statements, which hold layers, further statements, and
questions about sizes. It prints as what it is, and what fails can be pasted into a test::

    from hypothesis import given
    from symcnn.testing.branching import branching_networks

    @given(branching_networks())
    def test_my_analysis(recipe):
        net = symcnn.from_torch(recipe.build(), recipe.spec)
        ...

What is drawn: ``if``, ``elif``, ``else``, ``match``, early returns, raises, assertions, ``try``,
loops that end, conditional expressions, ``min``, ``max``, ``any`` and ``all`` of sizes, pads where
they are needed, windows and back with the batch found by division, TensorFlow's SAME by hand, skips
that are padded, cut or resized, blocks that ask the same again.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from torch import nn

from symcnn.testing.layer import Drawn, Source

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn


_C = 2  # channels throughout
_IMPORTS = """import math

import torch
from torch import nn
from torch.nn import functional as F
"""


@dataclass(frozen=True)
class BranchingRecipe:
    """A network on images ``(N, 2, H, W)``, as the source of its class.

    >>> recipe = BranchingRecipe(forward=("if x.shape[2] % 2:", "    x = x[:, :, 1:]"))
    >>> print(recipe)
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
    <BLANKLINE>
        def forward(self, x):
            n, c, h, w = x.shape
            if x.shape[2] % 2:
                x = x[:, :, 1:]
            return x
    >>> import symcnn
    >>> symcnn.from_torch(recipe.build(), recipe.spec).output_shape
    (N, 2, 2*(H//2), W)
    """

    forward: tuple[str, ...]
    layers: tuple[str, ...] = ()

    spec = f"N {_C} H W"

    def __str__(self) -> str:
        made = [f"self.layer{i} = nn.{layer}" for i, layer in enumerate(self.layers)]
        lines = ["class Net(nn.Module):", "    def __init__(self):"]
        lines += [f"        {line}" for line in ["super().__init__()", *made]]
        lines += ["", "    def forward(self, x):"]
        lines += [f"        {line}" for line in ["n, c, h, w = x.shape", *self.forward, "return x"]]
        return "\n".join(lines)

    def build(self) -> nn.Module:
        """A fresh module in eval mode; python can show the source of its code."""
        source = f"{_IMPORTS}\n\n{self}\n"
        file = f"<branching {sha256(source.encode()).hexdigest()[:16]}>"
        linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
        names: dict[str, Any] = {"__name__": "branching"}
        exec(compile(source, file, "exec"), names)
        module: nn.Module = names["Net"]()
        return module.eval()


# Drawing --------------------------------------------------------------------------------------

#: What may be written: ``{axis}`` is one of the rule, ``{2..5}`` a number, ``{k=2..5}`` a number
#: that ``{k}`` repeats. A ``{block}`` is one or more statements.
_GRAMMAR: dict[str, tuple[str, ...]] = {
    "axis": ("h", "w", "x.shape[2]", "x.shape[3]", "x.size(2)", "x.shape[-1]", "x.size()[-2]"),
    "size": (
        "{axis}",
        "{axis}",
        "{axis} // {2..5}",
        "{axis} % {2..5}",
        "({axis} + {1..5}) // {2..4}",
        "-{axis} % {2..5}",
        "{axis} // {k=2..5} * {k}",
        "({a=axis} - {a} // {2..5})",
        "abs({axis} - {axis})",
        "min({axis}, {axis})",
        "max({axis}, {axis}, {1..5})",
        "({axis} + {axis})",
        "math.ceil({axis} / {2..5})",
        "math.floor({axis} / {2..5} + 1)",
        "int({axis} / {2..5})",
        "int({axis} * 0.5)",
        "round({axis} / 2)",
        "sum(x.shape[2:])",
    ),
    "relation": ("<", "<=", ">", ">=", "==", "!="),
    "order": ("<", ">="),
    "comparison": (
        "{size} {relation} {1..30}",
        "{size} {order} {1..30}",
        "{size} {relation} {size}",
        "{size} % {2..6}",
        "{size} % {2..6} {relation} {0..3}",
        "{axis} {relation} {axis}",
        "{axis} * {axis} {order} {1..900}",
        "{axis} / {axis} {order} {0..2}.5",
        "{1..15} <= {axis} < {16..35}",
        "{axis} in ({1..30}, {1..30})",
        "({axis}, {axis}) != ({1..30}, {1..30})",
        "x.shape[2:] == ({1..30}, {1..6})",
        "{axis} & 1",
        "{axis} >> {1..3}",
        "bool({axis} % {2..6})",
        "any(s % {2..6} for s in x.shape[2:])",
        "all(s > {2..6} for s in x.shape[-2:])",
        "{axis} % {m=2..6} > {axis} % {m}",
    ),
    "condition": (
        "{comparison}",
        "{comparison}",
        "{comparison}",
        "not ({comparison})",
        "{comparison} and {comparison}",
        "{comparison} or {comparison}",
    ),
    "bool": ("True", "False"),
    "module": (
        "Conv2d(2, 2, {1..4}, {1..3}, {0..2})",
        "Conv2d(2, 2, 3, padding={1..2}, dilation={1..2})",
        "ConvTranspose2d(2, 2, {2..3}, 2)",
        "BatchNorm2d(2)",
        "MaxPool2d({1..3})",
    ),
    "scale": ("2", "0.5", "1.5"),
    "layer": (
        "x = {layer of the module}(x)",
        "x = {layer of the module}(x)",
        "x = F.max_pool2d(x, ({1..3}, {1..2}))",
        "x = F.max_pool2d(x, 3, {1..3}, 1, ceil_mode={bool})",
        "x = F.avg_pool2d(x, {1..3})",
        "x = F.interpolate(x, scale_factor={scale})",
        "x = F.pad(x, ({-2..2}, {0..2}, {0..2}, {-1..2}))",
        "x = x[:, :, {0..2}::{1..2}]",
        "x = x[..., :-{1..2}]",
        "x = x.transpose(2, 3)",
        "x = F.adaptive_avg_pool2d(x, ({1..4}, None))",
        "x = x * x.mean((2, 3), keepdim=True)",
        "x = torch.relu(x)",
    ),
    "number": (
        "{1..3} if {condition} else {1..3}",
        "min({axis}, {2..6})",
        "max({axis} // {4..12}, 1)",
        "max(1, min({axis} // {2..6}, 3))",
        "{axis} % {2..6} + 1",
        "{k=2..6} - {a=axis} % {k} if {a} % {k} else {k}",
        "0 if {a=axis} % {k=2..6} == 0 else {k} - {a} % {k}",
    ),
    "use": (
        "x = F.max_pool2d(x, k)",
        "x = F.avg_pool2d(x, (k, 1))",
        "x = F.pad(x, (0, k, k // 2, k - k // 2))",
        "x = F.interpolate(x, size=(max(h, 2 * k), w))",
        "x = F.conv2d(x, torch.zeros(2, 2, 3, 3), stride=k, padding=1)",
        "x = x[:, :, :x.shape[2] - k]",
        "x = x[..., k - 1:]",
        "x = torch.cat([x, x[:, :, :k]], 2)",
    ),
    "needed": ("b or r", "b > 0 or r > 0", "b + r > 0", "max(b, r)", "True"),
    "mode": ("constant", "replicate"),
    "padded": (
        "b, r = ({m=2..5} - x.shape[2] % {m}) % {m}, ({m} - x.shape[3] % {m}) % {m}\n"
        "if {needed}:\n"
        "    x = F.pad(x, (0, r, 0, b), mode='{mode}')",
        "b, r = -x.shape[2] % {m=2..5}, -x.shape[3] % {m}\n"
        "if x.shape[2] % {m} or x.shape[3] % {m}:\n"
        "    x = F.pad(x, (0, r, 0, b))",
    ),
    "flat": (
        "{layer}",
        "{layer}",
        "k = {number}\n{use}",
        "{padded}",
        "{padded}\n{layer}\nx = x[:, :, :{axis}]",
        # TensorFlow's padding by hand
        "p = max((math.ceil(x.shape[2] / {s=1..3}) - 1) * {s} + {k=1..5} - x.shape[2], 0)\n"
        "q = max((math.ceil(x.shape[3] / {s}) - 1) * {s} + {k} - x.shape[3], 0)\n"
        "if p > 0 or q > 0:\n"
        "    x = F.pad(x, (q // 2, q - q // 2, p // 2, p - p // 2))\n"
        "x = F.conv2d(x, torch.zeros(2, 2, {k}, {k}), stride={s})",
        "p = max({k=1..5} - {s=1..3}, 0) if h % {s} == 0 else max({k} - h % {s}, 0)\n"
        "x = F.pad(x, (0, 0, p // 2, p - p // 2))\n"
        "x = F.conv2d(x, torch.zeros(2, 2, {k}, 1), stride=({s}, 1))",
        # into windows and back, the batch found by division
        "b, r = -x.shape[2] % {m=2..4}, -x.shape[3] % {m}\n"
        "if {needed}:\n"
        "    x = F.pad(x, (0, r, 0, b))\n{windows}",
        "m = {m=2..4}\n{windows}",
        # down and up again, beside what it was
        "y = F.interpolate(F.max_pool2d(x, {k=2..3}), scale_factor={k})\n{fit}\n{join}",
        "if {condition}:\n    return x",
        "if {condition}:\n    return F.max_pool2d(x, 2)",
        "if {condition}:\n    raise ValueError('not of this size')",
        "assert {condition}, 'not of this size'",
    ),
    "windows": (
        "n1, c1, h1, w1 = x.shape\n"
        "x = x.view(n1, c1, h1 // {m}, {m}, w1 // {m}, {m}).permute(0, 2, 4, 3, 5, 1)\n"
        "x = x.reshape(-1, {m} * {m}, c1)\n"
        "n2 = int(x.shape[0] / (h1 * w1 / {m} / {m}))\n"
        "x = x.view(n2, h1 // {m}, w1 // {m}, {m}, {m}, c1).permute(0, 5, 1, 3, 2, 4)\n"
        "x = x.reshape(n2, c1, h1, w1)",
    ),
    "fit": (
        "if y.shape != x.shape:\n    y = F.interpolate(y, size=x.shape[2:])",
        "if y.shape[2:] != x.shape[2:]:\n    x = x[:, :, :y.shape[2], :y.shape[3]]",
        "b, r = x.size(2) - y.size(2), x.size(3) - y.size(3)\n"
        "if {needed}:\n"
        "    y = F.pad(y, (r // 2, r - r // 2, b // 2, b - b // 2))",
    ),
    "join": ("x = x + y", "x = F.conv2d(torch.cat([x, y], 1), torch.zeros(2, 4, 1, 1))"),
    "branch": (
        "if {condition}:\n    {block}",
        "if {condition}:\n    {block}\nelse:\n    {block}",
        "if {condition}:\n    {block}\nelif {condition}:\n    {block}",
        "if {condition}:\n    {block}\nelif {condition}:\n    {block}\nelse:\n    {block}",
    ),
    "deep": (
        "{branch}",
        "{branch}",
        "match {axis} % {2..4}:\n    case 0:\n        {block}\n    case 1 | 2:\n        {layer}",
        "try:\n"
        "    if {condition}:\n"
        "        raise ValueError('too small')\n"
        "    {block}\n"
        "except ValueError:\n"
        "    {layer}",
        "for _ in range(3):\n    if {condition}:\n        {layer}",
        "while {8..20} < x.size({2..3}) <= {21..50}:\n    x = F.max_pool2d(x, 2)",
    ),
}


class _Drawing:
    """Words of the grammar, with a budget of statements."""

    def __init__(self, source: Source, most: int) -> None:
        self.source, self.left, self.depth = source, most, 0
        self.layers: list[str] = []

    def word(self, rule: str, given: Mapping[str, str] | None = None) -> str:
        """What a rule makes, as lines; `given` are names of the word that it is part of."""
        names = dict(given or {})

        def part(match: re.Match[str]) -> str:
            name, _, rule = match[1].rpartition("=")
            if rule in names:
                return names[rule]
            text = self.part(rule, names)
            if name:
                names[name] = text
            return text

        lines = []
        for line in self.source.choose(_GRAMMAR[rule]).split("\n"):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(re.sub(r"{([^}]+)}", part, line).replace("\n", f"\n{indent}"))
        return "\n".join(lines)

    def part(self, rule: str, names: Mapping[str, str]) -> str:
        low, dots, high = rule.partition("..")
        if dots:
            return str(self.source.integer(int(low), int(high)))
        if rule == "block":
            return self.block()
        if rule == "layer of the module":
            self.layers.append(self.word("module"))
            return f"self.layer{len(self.layers) - 1}"
        return self.word(rule, names)

    def block(self) -> str:
        """One or more statements."""
        self.depth += 1
        lines = [self.statement()]
        while self.left > 0 and self.source.flip():
            lines.append(self.statement())
        self.depth -= 1
        return "\n".join(lines)

    def statement(self) -> str:
        """One statement; deep ones hold others."""
        self.left -= 1
        return self.word("deep" if self.depth < 2 and self.source.flip() else "flat")


def draw_branching(source: Source, most: int = 3) -> BranchingRecipe:
    """The recipe of a network with branches, from numbers of `source`.

    Args:
        source: numbers that hypothesis draws (`Drawn`), or a generator with a seed (`Seeded`).
        most: statements in all, about.
    """
    drawing = _Drawing(source, most)
    words = [drawing.statement() for _ in range(source.integer(0, most - 1))]
    words.append(drawing.word("branch"))
    while drawing.left > 0:
        words.append(drawing.statement())
    return BranchingRecipe(tuple("\n".join(words).split("\n")), tuple(drawing.layers))


@st.composite
def branching_networks(draw: DrawFn, most: int = 3) -> BranchingRecipe:
    """Recipes of networks whose python branches on sizes.

    Args:
        draw: hypothesis gives it.
        most: statements in all, about.

    Returns:
        A strategy of recipes: ``recipe.build()`` is a module that takes inputs of ``recipe.spec``.
    """
    return draw_branching(Drawn(draw), most)
