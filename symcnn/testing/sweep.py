"""Random layers in great number, judged by torch: ``python -m symcnn.testing.sweep``, `make fuzz`.

Every case is a layer of one of the `KINDS` with random hyperparameters, on inputs of random sizes;
our shape must be that of torch's CPU kernels, and where torch refuses, so must we. Cases depend on
the seed and their number only, so any one of them can be looked at again; a mismatch is printed as
python that makes the layer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter

import click

from symcnn.testing.layer import Layer, Seeded
from symcnn.testing.layers import KINDS, draw_layer, draw_sizes

__all__ = ["Tally", "case", "sweep"]

#: Cases that one process does at a time.
_CHUNK = 250


@dataclass
class Tally:
    """What came of many cases."""

    cases: Counter[str] = field(default_factory=Counter)  # by kind
    refused: int = 0  # by torch, and so by us
    layers: set[str] = field(default_factory=set)  # names of layers
    mismatches: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.cases += other.cases
        self.refused += other.refused
        self.layers |= other.layers
        self.mismatches += other.mismatches
        return self

    @property
    def total(self) -> int:
        """How many cases."""
        return sum(self.cases.values())

    def __str__(self) -> str:
        lines = [*self.mismatches]
        lines += [f"{count:8} {kind}" for kind, count in sorted(self.cases.items())]
        lines.append(
            f"{self.total} cases of {len(self.layers)} layers of {len(self.cases)} kinds "
            f"({self.refused} refused by torch), {len(self.mismatches)} mismatches"
        )
        return "\n".join(lines)


def case(seed: int, kind: str, number: int) -> tuple[Layer, dict[str, int]]:
    """One layer and sizes for it; always the same for the same arguments."""
    source = Seeded(f"{seed} {kind} {number}")
    layer = draw_layer(source, (kind,))
    return layer, draw_sizes(source, layer)


def sweep(seed: int, kind: str, numbers: range) -> Tally:
    """These cases, here and now."""
    import torch

    torch.set_num_threads(1)
    tally = Tally()
    for number in numbers:
        layer, at = case(seed, kind, number)
        want = layer.torch_shape(at)
        try:
            ours = layer.symcnn_shape(at)
        except Exception as error:  # a refusal is None; anything raised here is a bug
            ours = f"{type(error).__name__}: {error}"
        tally.cases[kind] += 1
        tally.layers.add(layer.name)
        tally.refused += want is None
        if ours != want:
            line = layer.line(at)
            tally.mismatches.append(f"{seed} {kind!r} {number}: {line}  # {ours}, torch: {want}")
    return tally


def _chunks(cases: int, kinds: tuple[str, ...]) -> Iterator[tuple[str, range]]:
    """The cases, shared out evenly among the kinds."""
    each = -(-cases // len(kinds))
    for start in range(0, each, _CHUNK):
        for kind in kinds:
            yield kind, range(start, min(start + _CHUNK, each))


@click.command()
@click.option("--cases", default=200_000, show_default=True, help="how many, of all kinds together")
@click.option("--seed", default=0, show_default=True)
@click.option("--processes", default=os.cpu_count() or 1, show_default="one per core")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="only these kinds")
def main(cases: int, seed: int, processes: int, kinds: tuple[str, ...]) -> None:
    """Random layers in great number, judged by torch."""
    from rich.progress import Progress

    start, tally = perf_counter(), Tally()
    chunks = _chunks(cases, kinds or KINDS)
    pool = ProcessPoolExecutor(processes)
    running: dict[Future[Tally], tuple[str, range]] = {}

    def more(count: int) -> None:
        for kind, numbers in islice(chunks, count):
            running[pool.submit(sweep, seed, kind, numbers)] = kind, numbers

    with Progress(transient=True) as progress:
        bar = progress.add_task("judging layers", total=cases)
        try:
            more(2 * processes)
            while running:
                done = next(as_completed(running))
                tally += done.result()
                del running[done]
                more(1)
                progress.update(bar, completed=tally.total)
        except KeyboardInterrupt:
            click.echo("stopped early", err=True)
        except BrokenProcessPool:
            for kind, numbers in running.values():
                tally.mismatches.append(f"{seed} {kind!r} {numbers}: the process died in here")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    click.echo(f"{tally}, {perf_counter() - start:.0f} s, seed {seed}")
    if tally.mismatches or tally.total < cases:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
