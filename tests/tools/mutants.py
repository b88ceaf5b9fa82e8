"""Mutation check: each law broken on purpose, one at a time, must be noticed by the tests.

A mutant is an exact piece of text in one file, what stands there instead, and the tests that should
fail. It is planted in a temporary copy of the tree; a text that is not found exactly once is an
error, so the table cannot rot. Exit status 1 if a mutant survives. `make mutants`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from time import perf_counter

import click

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A law broken: what it says, where, and the tests that should notice."""

    law: str
    file: str
    text: str
    instead: str
    tests: str  # arguments of pytest


_AXIS, _CONV, _POOL = "symcnn/algebra/axis.py", "symcnn/ops/conv.py", "symcnn/ops/pool.py"
_CEIL = "tests/test_axis.py -k ceil_law"
_FUSION = "tests/test_axis.py -k 'stack_of_windows or fused_window or associative'"
_SCATTER = "tests/test_axis.py -k scatter"
_SWEEP = "tests/test_sweep.py -k 'torchs_shape and {}'"

MUTANTS = (
    Mutant(
        "ceil law without its min",
        _AXIS,
        "minimum(extent - 1, padding + stride - 1) if ceil_mode",
        "padding + stride - 1 if ceil_mode",
        _CEIL,
    ),
    Mutant(
        "ceil mode pads by the extent",
        _AXIS,
        "minimum(extent - 1, padding + stride - 1) if ceil_mode",
        "minimum(extent, padding + stride - 1) if ceil_mode",
        _CEIL,
    ),
    Mutant(
        "dilation forgotten in the extent",
        _AXIS,
        "extent = dilation * (kernel_size - 1) + 1",
        "extent = kernel_size",
        _CEIL,
    ),
    Mutant(
        "window size without + 1",
        _AXIS,
        "(self.left + self.right - self.extent), self.stride) + 1",
        "(self.left + self.right - self.extent), self.stride)",
        _CEIL,
    ),
    Mutant(
        "same law: the odd pixel left",
        _AXIS,
        "left = floordiv(total, 2)",
        "left = total - floordiv(total, 2)",
        "tests/test_axis.py -k 'same_law or odd_pixel'",
    ),
    Mutant(
        "window pullback one too far",
        _AXIS,
        "self.stride * j - self.left + self.extent - 1",
        "self.stride * j - self.left + self.extent",
        "tests/test_axis.py -k fused_window",
    ),
    Mutant(
        "the kernel need not fit on the right",
        _AXIS,
        "return x + (self.left + self.right), self.extent",
        "return x + self.left, self.extent",
        "tests/test_validate.py -k both_sides",
    ),
    Mutant(
        "fusion: extent without the stride",
        _AXIS,
        "self.extent + self.stride * (other.extent - 1)",
        "self.extent + other.extent - 1",
        _FUSION,
    ),
    Mutant(
        "fusion: strides added",
        _AXIS,
        "self.stride * other.stride,",
        "self.stride + other.stride - 1,",
        _FUSION,
    ),
    Mutant(
        "fusion: left pads added",
        _AXIS,
        "self.left + self.stride * other.left",
        "self.left + other.left",
        _FUSION,
    ),
    Mutant(
        "fusion: right pads added",
        _AXIS,
        "self.right + self.stride * other.right",
        "self.right + other.right",
        _FUSION,
    ),
    Mutant(
        "scatter without output_padding",
        _AXIS,
        "self.extent - 2 * self.padding + self.output_padding",
        "self.extent - 2 * self.padding",
        _SCATTER,
    ),
    Mutant(
        "scatter with one padding of two",
        _AXIS,
        "self.extent - 2 * self.padding + self.output_padding",
        "self.extent - self.padding + self.output_padding",
        _SCATTER,
    ),
    Mutant(
        "scatter pullback rounds down",
        _AXIS,
        "first = ceildiv(i + self.padding - self.extent + 1, self.stride)",
        "first = floordiv(i + self.padding - self.extent + 1, self.stride)",
        _SCATTER,
    ),
    Mutant(
        "scale factors as fractions",
        _AXIS,
        "return scaled(x, self.scale)",
        "return floordiv(x * round(1000 * self.scale), 1000)",
        "tests/test_axis.py -k 'resample or float_scale'",
    ),
    Mutant(
        "linear interpolation from corners",
        _AXIS,
        "middle = (2 * i + 1) * q - p",
        "middle = 2 * i * q",
        "tests/test_axis.py -k pixel_centres",
    ),
    Mutant(
        "adaptive windows end early",
        _AXIS,
        "ceildiv((j + 1) * x, self.length) - 1",
        "floordiv((j + 1) * x, self.length) - 1",
        "tests/test_axis.py -k adaptive",
    ),
    Mutant(
        "the whole axis and one more",
        _AXIS,
        "return 0, x - 1",
        "return 0, x",
        "tests/test_axis.py -k whole",
    ),
    Mutant(
        "convolution: kernel height and width swapped",
        _CONV,
        "zip(kernel, strides, pads, dilations, strict=True)\n",
        "zip(kernel[::-1], strides, pads, dilations, strict=True)\n",
        _SWEEP.format("conv"),
    ),
    Mutant(
        "convolution: groups forgotten in the channels",
        _CONV,
        "_channels(op, channels, c_group * groups, c_out",
        "_channels(op, channels, c_group, c_out",
        _SWEEP.format("conv"),
    ),
    Mutant(
        "convolution: groups do not divide the MACs",
        _CONV,
        "(c_out * c_group * prod(kernel))",
        "(c_out * c_group * groups * prod(kernel))",
        "tests/test_cost.py -k groups",
    ),
    Mutant(
        "transposed convolution: MACs of the output size",
        _CONV,
        "macs = prod((*batch, *space)) * (c_in",
        "macs = prod((*batch, *sizes)) * (c_in",
        "tests/test_validate.py -k transposed",
    ),
    Mutant(
        "transposed convolution: groups forgotten in the channels",
        _CONV,
        "c_out = c_group * groups",
        "c_out = c_group",
        _SWEEP.format("transposed"),
    ),
    Mutant(
        "transposed convolution: dilation forgotten",
        _CONV,
        "Scatter(d * (k - 1) + 1, s, p, o, d)",
        "Scatter(k, s, p, o, d)",
        _SWEEP.format("transposed"),
    ),
    Mutant(
        "pool: stride 1 by default",
        _POOL,
        "strides = kernel if stride is None",
        "strides = (1,) * n if stride is None",
        _SWEEP.format("pool"),
    ),
    Mutant(
        "pool: any padding up to the kernel",
        _POOL,
        "p > k // 2:  # dilated or not",
        "p > k:  # dilated or not",
        _SWEEP.format("pool"),
    ),
    Mutant(
        "pool: ceil_mode ignored",
        _POOL,
        "ceil_mode=bool(ceil_mode)",
        "ceil_mode=False",
        _SWEEP.format("pool"),
    ),
    Mutant(
        "linear: MACs without the input features",
        "symcnn/ops/linear.py",
        "macs = prod(lead) * prod(weight.dims)",
        "macs = prod(lead) * prod(weight.dims[:1])",
        "tests/test_validate.py -k indices",
    ),
    Mutant(
        "conditions: strict where they are not",
        "symcnn/sets/condition.py",
        "lhs >= rhs if self.relation",
        "lhs > rhs if self.relation",
        "tests/test_validate.py -k both_sides",
    ),
    Mutant(
        "group norm: one value per group is enough",
        "symcnn/ops/norm.py",
        'Condition(channels, ">=", 2 * num_groups)',
        'Condition(channels, ">=", num_groups)',
        "tests/test_nn.py -k group_norm_of_one",
    ),
    Mutant(
        "validation: a module's shape is not looked at",
        "symcnn/judge/validate.py",
        "if ours != shapes:",
        "if False:",
        "tests/test_validate.py -k differs_inside",
    ),
    Mutant(
        "half of a size padded to be even, rounded down",
        "symcnn/algebra/size.py",
        "return _halves(rest - c * _floordiv(atom.num + atom.den // 2, atom.den))",
        "return _halves(rest - c * _floordiv(atom.num, atom.den))",
        "tests/test_expr.py -k padded_to_be_even",
    ),
    Mutant(
        "prove: a view is held to nothing",
        "symcnn/questions/proof/prove.py",
        'return self.decide([Condition(have, "==", want)], {})',
        'return "proved", "isl"',
        "tests/test_prove.py",
    ),
    Mutant(
        "a buffer is cut to the example",
        "symcnn/frontends/torch/arguments.py",
        "if isinstance(value, slice) and hold_traced((value.start, value.stop, value.step)):",
        "if False:",
        "tests/test_from_torch.py -k 'buffer_is_cut or table_of_positions'",
    ),
    Mutant(
        "memory: a view whose sizes look different is a copy",
        "symcnn/ops/storage/layouts.py",
        "if made != total and prod(dims[: at + 1]) != before:",
        "if made != total:",
        "tests/test_cost_memory.py -k what_the_domain_makes_equal",
    ),
    Mutant(
        "the backward of an autograd.Function is nothing",
        "symcnn/questions/cost/pernode.py",
        'self._own_backward("costs")',
        "pass",
        "tests/test_cost_backward.py -k autograd_function",
    ),
)


def killed(mutant: Mutant, tree: Path) -> bool:
    """Whether the tests notice; the tree is as before afterwards."""
    file = tree / mutant.file
    before = file.read_text(encoding="utf-8")
    if before.count(mutant.text) != 1:
        raise SystemExit(f"{mutant.law}: {mutant.text!r} is not in {mutant.file} exactly once")
    file.write_text(before.replace(mutant.text, mutant.instead), encoding="utf-8")
    try:
        return _tests(mutant.tests, tree) == 1
    finally:
        file.write_text(before, encoding="utf-8")


def _tests(arguments: str, tree: Path) -> int:
    """Exit status of pytest: 1 if a test failed. Anything but 0 and 1 is an error of the table."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {arguments}"
    run = subprocess.run(command, shell=True, cwd=tree, env=environment, capture_output=True)
    if run.returncode not in (0, 1):
        raise SystemExit(f"pytest {arguments}: exit status {run.returncode}\n{run.stdout.decode()}")
    return run.returncode


@click.command()
@click.option("--jobs", default=2, show_default=True, help="Copies of the tree at work at a time.")
@click.option("--only", default="", help="Only laws that contain this text.")
@click.option("--write", type=click.Path(path_type=Path), help="The table, as Markdown.")
def main(jobs: int, only: str, write: Path | None) -> None:
    """Break each law on purpose; exit status 1 if the tests do not notice one."""
    from rich.progress import Progress

    chosen = [m for m in MUTANTS if only in m.law]
    unharmed = [*dict.fromkeys(m.tests for m in chosen)]  # a test that fails anyway kills nothing
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder, Progress(transient=True) as progress:
        trees: Queue[Path] = Queue()
        for number in range(jobs):
            tree = Path(folder) / str(number)
            for part in ("symcnn", "tests", "examples", "pyproject.toml"):
                source = ROOT / part
                copy = shutil.copytree if source.is_dir() else shutil.copy
                tree.mkdir(exist_ok=True)
                copy(source, tree / part)
            trees.put(tree)
        bar = progress.add_task("mutants", total=len(unharmed) + len(chosen))

        def passes(tests: str) -> None:
            tree = trees.get()
            try:
                if _tests(tests, tree):
                    raise SystemExit(f"pytest {tests} fails without any mutant")
            finally:
                trees.put(tree)
                progress.advance(bar)

        def judge(mutant: Mutant) -> bool:
            tree = trees.get()
            try:
                return killed(mutant, tree)
            finally:
                trees.put(tree)
                progress.advance(bar)

        with ThreadPoolExecutor(jobs) as pool:
            [*pool.map(passes, unharmed)]
            verdicts = [*pool.map(judge, chosen)]
    survivors = verdicts.count(False)
    rows = ["| law broken | in | tests | |", "| --- | --- | --- | --- |"]
    for mutant, dead in zip(chosen, verdicts, strict=True):
        rows.append(
            f"| {mutant.law} | `{mutant.file}` | `{mutant.tests}` "
            f"| {'killed' if dead else '**survived**'} |"
        )
    told = f"{len(chosen)} mutants, {len(chosen) - survivors} killed, {survivors} survived"
    click.echo("\n".join([*rows, "", told]))
    if write is not None:
        import torch

        head = [
            "# Mutants",
            "",
            "Each law broken on purpose, and whether the tests named notice (`make mutants`).",
            f"{told}; {perf_counter() - start:.0f} s, torch {torch.__version__}, python "
            f"{platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.",
            "",
        ]
        write.write_text("\n".join([*head, *rows, ""]), encoding="utf-8")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
