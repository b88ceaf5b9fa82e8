"""Ratios against torch, from one run on this machine: ``make bench``.

Each figure is the median of interleaved runs; both sides use the same module object. Times are
printed to be read, ratios to be compared.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch
from rich.console import Console
from rich.table import Table

import symcnn
from symcnn import nn
from symcnn.formula import Formula

NETWORKS = Path(__file__).parents[1] / "examples" / "networks"


def load(file: str) -> Any:
    spec = importlib.util.spec_from_file_location(file, NETWORKS / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interleaved(*functions: Callable[[], Any], runs: int = 15) -> list[float]:
    """Median seconds of each function, run in turn."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(runs + 1):
        for function, record in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            record.append(time.perf_counter() - start)
    return [statistics.median(record[1:]) for record in times]  # the first run warms up


def fresh(code: str) -> Callable[[], Any]:
    """A new python process that runs `code`."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def chain(layers: int) -> symcnn.Network:
    """A chain of 3x3 convolutions, every fiftieth with stride 2."""
    blocks = [nn.Conv2d(8, 8, 3, stride=2 if i % 50 == 49 else 1) for i in range(layers)]
    return nn.Sequential(*blocks).trace("N 8 H W")


def main() -> None:
    table = Table("what", "ours", "against", "theirs", "ratio", "reach", box=None)

    def row(what: str, ours: float, against: str, theirs: float, reach: str) -> None:
        ratio = f"{ours / theirs:.3g}x"
        table.add_row(what, f"{ours * 1e3:.2f} ms", against, f"{theirs * 1e3:.2f} ms", ratio, reach)

    with torch.device("meta"):
        resnet = load("resnet").resnet50().eval()
        image = torch.empty(1, 3, 224, 224)

    def everything() -> None:
        net = symcnn.from_torch(resnet, "N 3 H W")
        _ = net.output_shape, net.params, net.macs, net.receptive_field(at="layer4").size

    with torch.no_grad():
        trace, all_sizes, forward = interleaved(
            lambda: symcnn.from_torch(resnet, "N 3 H W"), everything, lambda: resnet(image)
        )
    row("ResNet-50: trace", trace, "one meta forward", forward, "<= 1x")
    what = "ResNet-50: and params, MACs, receptive field"
    row(what, all_sizes, "one meta forward", forward, "<= 0.25x")

    dim = torch.export.Dim.AUTO
    ours, exported = interleaved(
        everything,
        lambda: torch.export.export(
            resnet, (image,), dynamic_shapes=({2: dim, 3: dim},), strict=False
        ),
        runs=2,
    )
    row(what, ours, "torch.export, sizes only", exported, "<= 1/100")

    traced = symcnn.from_torch(resnet, "N 3 H W")
    field, _ = interleaved(lambda: (traced._fields.clear(), traced.receptive_field()), lambda: None)
    row("ResNet-50: receptive fields of all nodes", field, "one meta forward", forward, "")

    with torch.device("meta"):
        resnet = load("resnet").resnet152().eval()
    traced = symcnn.from_torch(resnet, "N 3 H W")
    traced.solve(output=(7, 7))
    solve, _ = interleaved(lambda: traced.solve(output=(7, 7)), lambda: None)

    def by_trying() -> None:
        with torch.no_grad():
            for size in (1, 224, 512):
                resnet(torch.empty(1, 3, size, size, device="meta"))

    trying, _ = interleaved(by_trying, lambda: None, runs=3)
    row("ResNet-152: solve 7x7", solve, "trying 1..512 on meta", trying / 3 * 512, "<= 1/10,000")

    short, long, longest = interleaved(
        lambda: chain(100), lambda: chain(1000), lambda: chain(10_000), runs=3
    )
    row("chain of 1,000 layers: sizes", long, "0.2 s", 0.2, "<= 1x")
    row("chain of 10,000 layers", longest, "chain of 1,000", long, "<= 12x")
    row("chain of 1,000 layers", long, "chain of 100", short, "")

    nodes = chain(10_000)
    field, _ = interleaved(
        lambda: (nodes._fields.clear(), nodes.receptive_field()), lambda: None, runs=3
    )
    row("receptive fields of 10,000 nodes", field, "5 s", 5.0, "<= 1x")

    heights = np.arange(224, 1_000_224)
    last = traced.at("layer4")
    height = Formula(last.output_dims[2])
    formula, _ = interleaved(lambda: height.at(H=heights), lambda: None, runs=3)
    loop, _ = interleaved(
        lambda: [last.shape_at(N=1, H=int(h), W=224) for h in heights[:1000]],
        lambda: None,
        runs=2,
    )
    row("shapes at 1,000,000 sizes", formula, "shape_at in a loop", loop * 1000, "<= 1/100")

    ours, theirs = interleaved(fresh("import symcnn"), fresh("import sympy"), runs=5)
    row("import symcnn", ours, "import sympy", theirs, "<= 1.3x")

    console = Console(width=130)
    console.print(
        f"python {platform.python_version()}, torch {torch.__version__}, "
        f"sympy {sympy.__version__}, "
        f"{os.cpu_count()} cores, {platform.machine()}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
