"""The figures of symcnn, side by side with other tools in one run: ``make bench``.

Both sides of a ratio run in turn, on the same module; a time is a median with the least and the
most. Ratios are to be compared, times only read. The page docs/benchmarks.md and its plot are
written by this command; ``--record`` keeps the ratio that a test in CI holds us to. Every part that
is done is kept in .bench.jsonl: what was stopped goes on there, on the same code.
"""

from __future__ import annotations

import cProfile
import ctypes
import importlib.metadata
import json
import linecache
import os
import platform
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import symcnn
from symcnn.sets.formula import Formula
from symcnn.words.code import to_code
from tests.benchmarks import growth, peers
from tests.benchmarks.clock import CPU, Spread, fresh, interleaved, printed
from tests.tools import resumed
from tests.tools.resumed import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "growth.svg"
RECORDED = Path(__file__).parent / "recorded.json"
STATE = ROOT / ".bench.jsonl"


class Bare(torch.Tensor):
    """A tensor that answers every operation with itself: the module's own python is left."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0]

    def dim(self) -> int:
        return 4


def resnet(depth: int) -> torch.nn.Module:
    with torch.device("meta"):
        return getattr(peers.load("resnet"), f"resnet{depth}")().eval()


def everything(module: torch.nn.Module) -> None:
    net = symcnn.from_torch(module, "N 3 H W")
    _ = net.output_shape, net.params, net.macs, net.receptive_field(at="layer4").size


def ratio_to_meta(rounds: int = 15) -> tuple[Spread, Spread]:
    """Everything about ResNet-50 at all sizes, and one meta forward at one."""
    module, image = resnet(50), torch.empty(1, 3, 224, 224, device="meta")
    with torch.no_grad():
        ours, meta = interleaved(
            lambda: everything(module), lambda: module(image), runs=rounds, clock=CPU
        )
    return ours, meta


def figures() -> list[tuple[str, ...]]:
    """The table of figures to reach."""
    rows: list[tuple[str, ...]] = []

    def row(what: str, ours: Spread, against: str, theirs: Spread, reach: str, was: str) -> None:
        rows.append((what, str(ours), against, str(theirs), f"{ours / theirs:.3g}x", reach, was))

    ours, meta = ratio_to_meta()
    what = "ResNet-50: trace, shapes, params, MACs, receptive field, all sizes"
    row(what, ours, "one `meta` forward", meta, "<= 0.10x", "0.16x")

    module, image = resnet(50), torch.empty(1, 3, 224, 224, device="meta")
    auto = torch.export.Dim.AUTO
    ours, exported = interleaved(
        lambda: everything(module),
        lambda: torch.export.export(
            module, (image,), dynamic_shapes=({2: auto, 3: auto},), strict=False
        ),
        runs=3,
        clock=CPU,
    )
    row(
        "the same",
        ours,
        "`torch.export`, dynamic H and W: shapes only",
        exported,
        "<= 1/100",
        "1/132",
    )

    bare = torch.Tensor._make_subclass(Bare, torch.empty((), device="meta"))
    ours, floor = interleaved(lambda: everything(module), lambda: module(bare), runs=15, clock=CPU)
    row("the same", ours, "the floor: the module's own python", floor, "<= 5x", "9.2x")

    large = resnet(152)
    traced = symcnn.from_torch(large, "N 3 H W")
    traced.solve(output=(7, 7))

    def three() -> None:
        with torch.no_grad():
            for size in (1, 224, 512):
                large(torch.empty(1, 3, size, size, device="meta"))

    solve, trying = interleaved(lambda: traced.solve(output=(7, 7)), three, runs=3, clock=CPU)
    every = Spread(tuple(t / 3 * 512 for t in trying.runs))
    row("ResNet-152: solve 7x7", solve, "trying 1..512 on `meta`", every, "<= 1/10,000", "2.3e-5x")

    short, long = interleaved(
        lambda: growth.chain(1000), lambda: growth.chain(10_000), runs=3, seconds=20, clock=CPU
    )
    row("chain of 10,000 layers: trace", long, "chain of 1,000", short, "<= 11x", "9.1x")

    heights = np.arange(224, 1_000_224)
    last = traced.at("layer4")
    height = Formula(last.output_dims[2])
    formula, loop = interleaved(
        lambda: height.at(H=heights),
        lambda: [last.shape_at(N=1, H=int(h), W=224) for h in heights[:300]],
        runs=3,
        clock=CPU,
    )
    loop = Spread(tuple(t * len(heights) / 300 for t in loop.runs))
    row("shapes at 1,000,000 sizes", formula, "`shape_at` in a loop", loop, "<= 1/100", "2.6e-4x")
    (compiled,) = interleaved(_compiled(height, heights), runs=3, clock=CPU)
    row('the same by `to_code("c")`', compiled, "the same loop", loop, "<= 1/100", "-")

    ours, theirs = interleaved(
        lambda: fresh("import symcnn"), lambda: fresh("import sympy"), runs=5, seconds=20
    )
    row("`import symcnn`", ours, "`import sympy`", theirs, "<= 1.2x", "1.19x")
    return rows


def _compiled(formula: Formula, heights: np.ndarray) -> Callable[[], object]:
    """The formula at all heights by C code."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "f.c"), Path(folder, "f.so")
        source.write_text(to_code({"f": formula.expr}, "c"))
        subprocess.run(["cc", "-O3", "-shared", "-fPIC", "-o", library, source], check=True)
        each = ctypes.CDLL(str(library)).f_each
    found = np.empty(heights.shape, dtype=np.int64)
    arrays = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)) for a in (heights, found)]
    each(*arrays, ctypes.c_int64(len(heights)))
    assert (found == formula.at(H=heights)).all()
    return lambda: each(*arrays, ctypes.c_int64(len(heights)))


#: Whose code a file is, by a part of its path; the first that fits.
LAYERS = {
    "symcnn/algebra/": "the algebra (algebra/, condition.py)",
    "symcnn/sets/condition.py": "the algebra (algebra/, condition.py)",
    "symcnn/ops/": "the rules (ops/, trace/)",
    "symcnn/trace/": "the rules (ops/, trace/)",
    "symcnn/frontends/": "the torch front end",
    "symcnn/questions/": "the analyses",
    "symcnn/sets/": "isl",
    "islpy": "isl",
    "sympy": "sympy",
    "symcnn/": "the rest of symcnn",
    "/torch/": "the module's own python, and torch's",
    "examples/networks": "the module's own python, and torch's",
}


def profile(model: str, rounds: int) -> dict[tuple[str, int, str], float]:
    """Shares of the time of all answers, by function; built-in ones count for who calls them."""
    asked = peers.ask(model)
    peers.everything(asked)
    profiler = cProfile.Profile(CPU, builtins=False)
    profiler.enable()
    for _ in range(rounds):
        peers.everything(asked)
    profiler.disable()
    stats: Any = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    return {where: own / total for where, (_, _, own, _, _) in stats.items()}


def owners(shares: Mapping[tuple[str, int, str], float]) -> list[tuple[str, str]]:
    """Whose code takes which share."""
    found: dict[str, float] = {}
    for (file, _, _), share in shares.items():
        whose = next((name for part, name in LAYERS.items() if part in file), "the rest of python")
        found[whose] = found.get(whose, 0.0) + share
    return [(w, f"{s:.0%}") for w, s in sorted(found.items(), key=lambda ws: -ws[1])]


def lines(
    model: str, shares: Mapping[tuple[str, int, str], float], count: int = 12
) -> list[tuple[str, str, str]]:
    """The functions that take most of the time of a model."""
    ordered = sorted(shares.items(), key=lambda ws: -ws[1])[:count]
    return [
        (model, f"`{'/'.join(Path(file).parts[-2:])}:{line} {name}`", f"{share:.1%}")
        for (file, line, name), share in ordered
    ]


#: Memory is asked in a process of its own: what the operating system has given it at most.
_MEMORY = """
import re
def memory(which):
    return int(re.search(which + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
"""
_RESNET = """
import sys, time; sys.path[:0] = [{root!r}]
from tests.benchmarks import bench
module = bench.resnet({depth})
import symcnn.frontends.torch.trace
before, start = memory("VmRSS"), time.process_time()
net = bench.symcnn.from_torch(module, "N 3 H W")
print(time.process_time() - start, memory("VmRSS") - before)
"""
_FIRST = """
import time, torch
start = time.process_time()
import symcnn
net = symcnn.from_torch(torch.nn.Conv2d(3, 8, 3), "N 3 H W")
traced = time.process_time()
net.output_shape
print(traced - start, time.process_time() - start)
"""
_CHAIN = """
import sys; sys.path[:0] = [{root!r}]
from tests.benchmarks import growth

before = memory("VmRSS")
net = growth.chain({layers})
print(memory("VmHWM") - before)
"""
_HELD = """
import json, sys, tracemalloc; sys.path[:0] = [{root!r}]
from tests.benchmarks import growth

growth.chain(10)
tracemalloc.start(1)
net = growth.chain({layers})
lines = tracemalloc.take_snapshot().statistics("lineno")
found = [(l.traceback[0].filename, l.traceback[0].lineno, l.size) for l in lines]
print(json.dumps([*found[:{count}], ("the rest", 0, sum(l.size for l in lines[{count}:]))]))
"""


def held(layers: int = 30_000, count: int = 12) -> list[tuple[str, str]]:
    """What a layer of a chain holds in memory, by the line that made it."""
    found = json.loads(fresh(_HELD.format(root=str(ROOT), layers=layers, count=count)))
    return [(_line(file, line), f"{size / layers:.0f} bytes") for file, line, size in found]


def _line(file: str, line: int) -> str:
    """A line of code, and what it says."""
    code = linecache.getline(file, line).strip()
    return f"`{'/'.join(Path(file).parts[-2:])}:{line}` `{code}`" if code else file


def start() -> list[tuple[str, str]]:
    """Start-up and memory, each in processes of their own."""
    root = str(ROOT)
    imported, helped = interleaved(
        lambda: fresh("import symcnn"),
        lambda: fresh("import sys; sys.argv[1:] = ['--help']; from symcnn.cli import main; main()"),
        runs=3,
        seconds=15,
    )
    _, *firsts = [tuple(map(float, fresh(_FIRST).split())) for _ in range(6)]
    traced, formula = (Spread(runs) for runs in zip(*firsts, strict=True))
    first, _ = map(float, fresh(_MEMORY + _RESNET.format(root=root, depth=50)).split())
    _, resnet152 = map(float, fresh(_MEMORY + _RESNET.format(root=root, depth=152)).split())
    long = float(fresh(_MEMORY + _CHAIN.format(root=root, layers=100_000)))
    return [
        ("`import symcnn`, with the start of python", str(imported)),
        ("`symcnn --help`", str(helped)),
        ("first trace of a process, after `import torch`", str(traced)),
        ("the same and its first formula, for which sympy is loaded", str(formula)),
        ("first trace of ResNet-50 (nothing remembered yet)", printed(first)),
        ("memory that the trace of ResNet-152 adds", f"{resnet152:.1f} MiB"),
        ("memory that a chain of 100,000 layers adds at its peak", f"{long:.0f} MiB"),
    ]


def machine() -> str:
    """What this ran on, and how busy that was."""
    names = ["torch", "sympy", "islpy", "numpy", "transformers"]
    names += sorted({p.package for p in peers.PEERS} - {"torch"})
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the "
        f"start; python {platform.python_version()}, {', '.join(versions)}."
    )


def table(head: tuple[str, ...], rows: Any) -> str:
    """A table in markdown."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell).replace("|", "/") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def page(where: str, parts: dict[str, Any]) -> str:
    """docs/benchmarks.md."""
    found: list[peers.Compared] = parts["peers"]
    names = [peer.name for peer in peers.PEERS]
    all_of_it = "shapes, params, MACs, receptive field, domain"
    answers = [("symcnn", "all", all_of_it)]
    answers += [(p.name, p.sizes, p.answers) for p in peers.PEERS]
    times = [
        (
            name,
            *(f"{c.times[name] / c.ours:.3g}x" if name in c.times else "-" for c in found),
        )
        for name in names
    ]
    ours = ("**symcnn**", *(f"**{printed(c.ours.median)}**" for c in found))
    spreads = [(c.model, "symcnn", len(c.ours.runs), str(c.ours)) for c in found]
    spreads += [(c.model, n, len(t.runs), str(t)) for c in found for n, t in c.times.items()]
    why = [f"- {c.model}, {n}: `{reason}`" for c in found for n, reason in c.failed.items()]
    why += [f"- {c.model}, symcnn refuses: `{reason}`" for c in found for reason in c.refused]
    grown: list[growth.Growth] = parts["growth"]
    exponents = [
        (
            g.family,
            f"{g.sizes[0]:,} to {g.sizes[-1]:,} {g.unit}",
            f"{g.elements[-1]:,}",
            question,
            f"{printed(s[-1])}",
            f"{growth.exponent(g.elements, s):.2f}",
        )
        for g in grown
        for question, s in g.seconds.items()
    ]
    formulas = "; ".join(f"{g.family} {', '.join(map(str, g.formula))}" for g in grown)
    head = ("family", "sizes", "nodes + edges", "question", "time at the largest", "exponent")
    return f"""# Benchmarks

Written by `make bench`; nothing here is typed in. Both sides of a ratio ran in turn in one
process, on the same module objects. Times are medians, with the least and the most of the runs
in brackets: read them, but compare the ratios. What runs in one thread is in processor time.

{where}

## Figures to reach

{table(("what", "ours", "against", "theirs", "ratio", "reach", "was"), parts["figures"])}

## Other tools

What each answers, and for how many sizes:

{table(("tool", "sizes", "answers"), answers)}

Their time over ours, at 224x224 where they take one size; ours is for {all_of_it}, at all sizes
at once. fvcore, torchscan, ptflops and thop compute with values on the CPU, the others on `meta`.
onnxruntime starts from an exported file; the export is not timed. The models of transformers are
small in width. A dash: it failed, see below.

{table(("tool", *(c.model for c in found)), [ours, *times])}

{chr(10).join(why)}

### Medians and spread

{table(("model", "tool", "runs", "time"), spreads)}

## Growth

![Seconds over nodes and edges, log-log](growth.svg)

Exponents fitted to the upper half of each line; 1 is linear in nodes plus edges. Each time is
processor time, the least of up to three runs.

{table(head, exponents)}

Characters of the last output size as a formula, along the sizes of each family: {formulas}.

The formula of the peak of memory is a maximum of one polynomial per node. Most lose to one that is
known; in a U-Net they have as many terms as there are levels, and comparing them costs more than
the trace. The peak at a size is linear.

Networks are built with python's collector at rest, as it is during every trace. Functional style
leaves it on: it then walks all that the process holds again and again, which doubles the time of
the largest dense block and is no step of ours.

## Where the time goes

Trace, shapes, params, MACs, receptive field and domain of the models that are furthest from a
figure, by whose python runs (built-in functions count for their callers; under a profiler).

{table(("model", "whose", "share"), parts["profile"])}

The functions that take most of it:

{table(("model", "function", "share"), parts["lines"])}

## Start-up and memory

{table(("what", "figure"), parts["start"])}

What a layer of a chain of 30,000 holds, by the line that made it. Polynomials are half of it, those
of its output's sizes and of its MACs: each is a dictionary, and no two layers have the same.

{table(("line", "a layer"), parts["held"])}
"""


class Parts:
    """What is measured, part by part; a part that a run before has measured is not done again."""

    def __init__(self, told: Callable[[str], Any]) -> None:
        self.told, self.code = told, resumed.commit()
        rows = [row for row in resumed.rows(STATE) if row["code"] == self.code]
        self.known = {row["part"]: row["found"] for row in rows}

    def __call__(self, part: str, measure: Callable[[], Any]) -> Any:
        """What `measure` finds, as JSON has it."""
        if part not in self.known:
            self.told(part)
            found = self.known[part] = json.loads(json.dumps(measure()))
            resumed.add(STATE, {"code": self.code, "part": part, "found": found})
        return self.known[part]


#: The models that are furthest from a figure, and how often each is profiled.
_FURTHEST = {"ResNet-50": 10, "ConvNeXt": 10, "SegFormer": 5, "Swin": 1}


def _figures(part: Parts) -> dict[str, Any]:
    shares: dict[str, dict[str, Any]] = {}
    for model, rounds in _FURTHEST.items():
        shares[model] = part(f"profile of {model}", lambda m=model, n=rounds: _profiled(m, n))
    return {
        "figures": part("figures to reach", figures),
        "profile": [(model, *row) for model, found in shares.items() for row in found["owners"]],
        "lines": [line for found in shares.values() for line in found["lines"]],
        "start": part("start-up and memory", start),
        "held": part("what a layer holds", held),
    }


def _profiled(model: str, rounds: int) -> dict[str, Any]:
    shares = profile(model, rounds)
    return {"owners": owners(shares), "lines": lines(model, shares)}


def _growth(part: Parts) -> dict[str, Any]:
    grown = [
        part(f"growth: {name}", lambda n=name: asdict(growth.grow(n))) for name in growth.FAMILIES
    ]
    return {"growth": [growth.Growth(**found) for found in grown]}


def _peers(part: Parts) -> dict[str, Any]:
    found = [
        part(f"other tools on {m}", lambda m=m: asdict(peers.compare(m))) for m in peers.MODELS
    ]
    return {"peers": [*map(peers.Compared.of, found)]}


#: What is measured, by the name that ``--only`` takes.
MEASURED = {"figures": _figures, "growth": _growth, "peers": _peers}


@click.command()
@click.option("--record", is_flag=True, help="Keep the ratio that the test in CI compares with.")
@click.option("--only", multiple=True, type=click.Choice([*MEASURED]), help="Write no page.")
@click.option("--again", is_flag=True, help="Measure what earlier runs have measured, too.")
def main(record: bool, only: tuple[str, ...], again: bool) -> None:
    """All figures; writes docs/benchmarks.md, docs/growth.svg."""
    if record:
        ours, meta = ratio_to_meta()
        ratio = round(min(ours.runs) / min(meta.runs), 4)
        RECORDED.write_text(json.dumps({"resnet50 over one meta forward": ratio}) + "\n")
        print(f"recorded {ratio}")
        return
    if again:
        STATE.unlink(missing_ok=True)
    parts: dict[str, Any] = {
        name: [] for name in ("figures", "profile", "lines", "start", "held", "peers", "growth")
    }
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    out = Console(file=os.fdopen(os.dup(sys.stderr.fileno()), "w"))  # not what `quiet` silences
    with Progress(*columns, console=out) as progress:
        task = progress.add_task("", total=None)
        part = Parts(lambda text: progress.update(task, description=text))
        where = part("machine", machine)
        for name in only or MEASURED:
            parts |= MEASURED[name](part)
    text = page(where, parts)
    print(text)
    if not only:
        PAGE.write_text(text)
        growth.plot(parts["growth"], PLOT)


if __name__ == "__main__":
    main()
