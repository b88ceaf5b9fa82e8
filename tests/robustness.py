"""What a process that traces on request can rely on, measured.

    python -m tests.robustness --write docs/validation/robustness.md

Traces from many threads beside training, memory after many traces, what it costs to leave the
module as it was, how long Ctrl-C waits, and hostile text at every entry. With `--state` each part
is measured once, and a run that was stopped goes on with the next.
"""

from __future__ import annotations

import gc
import json
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import click
import torch
from torch import nn

import symcnn
from symcnn.frontends.torch import observe
from symcnn.frontends.torch.copies import Copies

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "networks"))

COMMAND = "python -m tests.robustness"


class Block(nn.Module):
    """Caches, counts, hooks: all that a trace must not leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.seen: dict[str, list[torch.Tensor]] = {"all": []}
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        y: torch.Tensor = self.bn(self.conv(x)).relu()
        self.seen["all"] = [y]
        return y[:, :, : y.shape[2] // 2 * 2]


def _net() -> nn.Module:
    return nn.Sequential(Block(), nn.MaxPool2d(2), Block()).train()


def _resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def memory(traces: int) -> list[tuple[int, int, int]]:
    """Traces done, bytes held, objects alive: after a hundred, and after all."""
    shared, rows = _net(), []
    for i in range(1, traces + 1):
        module = shared if i % 2 else _net()
        symcnn.from_torch(module, "N 3 H W").solve(output=(8, 8))
        if i == 100 or i == traces or i % max(traces // 4, 1) == 0:
            gc.collect()
            rows.append((i, _resident(), len(gc.get_objects())))
    return rows


def threads(traces: int, workers: int) -> tuple[int, int, int]:
    """Traces that are wrong, training steps meanwhile, and steps that the module did not count."""
    module, steps = _net(), [0]
    begun, done = threading.Event(), threading.Event()
    expected = str(symcnn.from_torch(_net(), "N 3 H W").summary())

    def train() -> None:
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
        while not done.is_set():
            optimizer.zero_grad()
            module(torch.randn(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()
            steps[0] += 1
            begun.set()

    def wrong(_: int) -> bool:
        return str(symcnn.from_torch(module, "N 3 H W").summary()) != expected

    with ThreadPoolExecutor(workers + 1) as pool:
        training = pool.submit(train)
        begun.wait()
        try:
            count = sum(pool.map(wrong, range(traces)))
        finally:
            done.set()
        training.result()
    first: Block = module[0]  # type: ignore[index]
    return count, steps[0], abs(steps[0] - first.calls)


def guard(repeats: int) -> list[tuple[float, float]]:
    """Seconds of the processor for a trace of ResNet-50, and those in it for leaving its module as
    it was: without `numpy.random`, and where that is loaded.
    """
    import resnet

    module, spent = resnet.resnet50().eval(), 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object) -> object:
            nonlocal spent
            start = time.thread_time()
            try:
                return function(*args)
            finally:
                spent += time.thread_time() - start

        return call

    @contextmanager
    def process(inner: Callable[[], Any] = observe._process) -> Iterator[None]:
        context = timed(inner)()
        timed(context.__enter__)()
        try:
            yield
        finally:
            timed(context.__exit__)(None, None, None)

    def pair() -> tuple[float, float]:
        nonlocal spent
        spent, start = 0.0, time.thread_time()
        symcnn.from_torch(module, "N 3 H W")
        return time.thread_time() - start, spent

    def least() -> tuple[float, float]:
        whole, inside = zip(*(pair() for _ in range(repeats)), strict=True)
        return min(whole), min(inside)

    with ExitStack() as stack:
        for owner, name, new in (
            (Copies, "of", timed(Copies.of)),
            (Copies, "close", timed(Copies.close)),
            (observe, "_process", process),
        ):
            stack.enter_context(mock.patch.object(owner, name, new))
        pair()
        without = least()
        import numpy.random  # noqa: F401

        return [without, least()]


def interrupts() -> list[tuple[str, float]]:
    """Seconds of the processor from Ctrl-C to the prompt, for each question of the test."""
    asked = "-q -s -o addopts= tests/test_interrupts.py".split()
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *asked], capture_output=True, text=True, check=False
    )
    return [(n, float(s)) for n, s in re.findall(r"Ctrl-C: (.+): ([\d.]+) s", told.stdout)]


def hostile(count: int) -> tuple[int, int, list[str]]:
    """Texts, entries, and what went wrong."""
    from symcnn.cli import main as commands
    from tests.fuzz.texts import entries, faults

    return count, len(entries(commands)), [str(fault) for fault in faults(commands, count, seed=0)]


class State:
    """What was measured, by part."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.parts = json.loads(file.read_text()) if file is not None and file.exists() else {}

    def part(self, measure: Callable[..., object], *args: int) -> Any:
        """One part, measured if it was not."""
        name = " ".join(map(str, (measure.__name__, *args)))
        if name not in self.parts:
            self.parts[name] = measure(*args)
            if self.file is not None:
                self.file.write_text(json.dumps(self.parts))
        return self.parts[name]


def report(
    traces: int, concurrent: int, workers: int, repeats: int, texts: int, state: State
) -> str:
    """The page."""
    rows = state.part(memory, traces)
    (whole, share), (more, numbers) = state.part(guard, repeats)
    wrong, steps, lost = state.part(threads, concurrent, workers)
    waits = "\n".join(f"| {name} | {s:.2f} s |" for name, s in state.part(interrupts))
    tried, places, off = state.part(hostile, texts)
    table = "\n".join(f"| {n:,} | {b / 2**20:.0f} MiB | {o:,} |" for n, b, o in rows)
    made = f"symcnn {version('symcnn')}, torch {torch.__version__}, python {sys.version.split()[0]}"
    return f"""# A process that traces on request

Written by `{COMMAND} --traces {traces} --concurrent {concurrent} --workers {workers} --texts
{texts}`; {made}, {platform.machine()}. What is left as it was, form by form, are the tests in
`tests/test_process.py`.

## Threads

{concurrent:,} traces from {workers} threads of one module that another thread trains meanwhile:
**{wrong} wrong**; {steps:,} training steps, of which the module's own counter misses **{lost}**.

## Memory

Traces of a small network in training mode, every second one of a new module, each with one
question. Memory that the process holds, and python objects that are alive:

| traces | memory | objects |
| ---: | ---: | ---: |
{table}

## Cost

ResNet-50, the least of {repeats} traces: a trace takes {whole * 1e3:.1f} ms, the copy of the module
and the process-wide settings {share * 1e3:.2f} ms of it, **{share / whole:.1%}**. Where
`numpy.random` is loaded, the state of its generator is among them: {numbers * 1e3:.2f} of
{more * 1e3:.1f} ms, **{numbers / more:.1%}**.

## Ctrl-C

From the signal, in the middle of a question, to the exception, in seconds of the processor; after
it the module, torch's settings and the threads are as before (`tests/test_interrupts.py`):

| question | answered after |
| --- | ---: |
{waits}

A call of isl cannot be interrupted: with more steps than by default (`symcnn.steps`) the longest
takes longer.

## Hostile text

{tried:,} mutated texts at {places} entries, the command line among them: **{len(off)}** that are no
`SymcnnError` or take longer than the limit of `tests/fuzz/texts.py`.

## What cannot be guarded

- Memory of a tensor that is written to without torch: through a numpy array that shares it, an
  `UntypedStorage`, or a tensor class that runs its operations itself.
- What a class, a python file or an object with its own word on being copied holds (locks, loggers,
  enums) is put back when the last of the traces that overlap ends: a real forward that writes there
  meanwhile is undone. What modules, containers and plain helper objects hold is copied, and real
  forwards keep what they write.
- Numbers drawn meanwhile by other threads from `random` and `numpy.random` may be drawn again;
  torch's generators are copied, and no number of theirs is.
"""


@click.command(help=__doc__)
@click.option("--traces", default=20_000, show_default=True)
@click.option("--concurrent", default=1_000, show_default=True)
@click.option("--workers", default=8, show_default=True)
@click.option("--repeats", default=200, show_default=True)
@click.option("--texts", default=100_000, show_default=True)
@click.option("--state", type=click.Path(path_type=Path), help="Keeps what was measured.")
@click.option("--write", type=click.Path(path_type=Path), help="The page to write.")
def main(
    traces: int,
    concurrent: int,
    workers: int,
    repeats: int,
    texts: int,
    state: Path | None,
    write: Path | None,
) -> None:
    """Measure, print, and write the page."""
    page = report(traces, concurrent, workers, repeats, texts, State(state))
    click.echo(page)
    if write is not None:
        write.write_text(page)


if __name__ == "__main__":
    main()
