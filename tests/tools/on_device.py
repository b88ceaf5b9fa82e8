"""Validate networks on a device, in several dtypes, and write what came of it: `make validate-gpu`.

The networks of examples/networks and the transformers models of examples/networks/hf.py, in
float32, float16 and bfloat16, each also in channels last where it takes one map. Every figure is
measured by the run that writes it; what could not be compared is counted, with the reason. The
report is written again after every network, so that a run which is stopped leaves what it has.
Without the device the tool says so and ends with status 2.
"""

from __future__ import annotations

import importlib
import logging
import platform
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import torch
from rich.progress import track

import symcnn
from symcnn.judge.report import Report

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "networks"))

#: Networks of examples/networks: file:factory, and the channels of its input.
EXAMPLES = {
    "unet:unet": 3,
    "unet:unet_valid": 1,
    "resnet:resnet50": 3,
    "alexnet:alexnet": 3,
    "densenet:densenet121": 3,
    "googlenet:googlenet": 3,
    "inception:inception_v3": 3,
    "mobilenet:mobilenet_v2": 3,
    "squeezenet:squeezenet1_0": 3,
    "vgg:vgg16": 3,
    "article_a:article_a": 3,
}
VARIANTS = (("float32", False), ("float16", False), ("bfloat16", False), ("float32", True))


def networks(names: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Any], Any, Any]]:
    """Name, factory, specs and example of each network asked for."""
    for name, channels in EXAMPLES.items():
        file, factory = name.split(":")
        if not names or name in names:
            yield name, getattr(importlib.import_module(file), factory), f"N {channels} H W", None
    try:
        import hf
    except ImportError:
        return
    for name, make in hf.MODELS.items():
        if not names or name in names:
            yield name, make, hf.spec(name), hf.EXAMPLES.get(name)


def validated(
    factory: Callable[[], Any], spec: str, example: Any, device: str, samples: int
) -> Iterator[tuple[str, Report | str]]:
    """A report for each variant, or why there is none."""
    for dtype, channels_last in VARIANTS:
        variant = dtype + (", channels last" if channels_last else "")
        try:
            module = factory().eval()
            net = symcnn.from_torch(module, spec, example=example)
            yield (
                variant,
                net.validate(
                    module, device, samples=samples, dtype=dtype, channels_last=channels_last
                ),
            )
        except symcnn.SymcnnError as error:
            yield variant, f"{type(error).__name__}: {error.cause.splitlines()[0]}"
        except Exception as error:  # the other networks are measured all the same
            yield variant, f"**{type(error).__name__}: {str(error).splitlines()[0]}**"
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def line(name: str, variant: str, report: Report | str) -> str:
    """One row of the table."""
    if isinstance(report, str):
        told = re.sub(r" at /\S*", "", report).replace("|", "\\|")
        return f"| {name} | {variant} | | | | | not compared: {told} |"
    reasons = Counter(c.why.split(" (")[0].splitlines()[0] for c in report.skipped)
    told = "; ".join(f"{n}x {why}" for why, n in reasons.most_common(3))
    told = re.sub(r" at /\S*", "", told).replace("|", "\\|")
    verdict = "same as torch" if report else f"**{report.counterexample}**"
    peak = max(
        (c for c in report.passed if c.what == "peak"), key=lambda c: int(c.torch), default=None
    )
    return (
        f"| {name} | {variant} | {len(report.passed)} | {len(report.failed)} | "
        f"{'' if peak is None else peak.why} | {told} | {verdict} |"
    )


def rows_of(name: str, device: str, samples: int) -> tuple[list[str], int]:
    """The rows of one network, and how many of them hold a mismatch."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    ((title, factory, spec, example),) = networks((name,))
    found = validated(factory, spec, example, device, samples)
    rows = [line(title, variant, report) for variant, report in found]
    return rows, sum("**" in row for row in rows)


def written(path: Path, rows: list[str], failed: int, measured: str, name: str) -> None:
    """The report, of what there is so far."""
    lines = [
        f"# {name}",
        "",
        f"{measured} *peak* is of the largest size measured.",
        "",
        f"{len(rows)} runs, {failed} with a mismatch.",
        "",
        "| network | variant | passed | failed | peak | skipped | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


@click.command()
@click.option("--device", default="cuda", show_default=True)
@click.option("--samples", default=12, show_default=True, help="Sizes for each.")
@click.option("--model", "models", multiple=True, help="Only these.")
@click.option("--processes", default=1, show_default=True, help="Networks at a time.")
@click.option("--write", metavar="FILE", help="Default: docs/validation/NAME-OF-THE-DEVICE.md.")
def main(
    device: str, samples: int, models: tuple[str, ...], processes: int, write: str | None
) -> None:
    """Validate on a device and write the report."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        click.echo("there is no CUDA device here: nothing was run, nothing is claimed", err=True)
        raise SystemExit(2)
    on_card = device.startswith("cuda")
    name = torch.cuda.get_device_name(device) if on_card else f"{device} {platform.machine()}"
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    path = Path(write) if write else ROOT / "docs" / "validation" / f"{slug}.md"
    names = [title for title, *_ in networks(models)]
    if unknown := sorted({*models} - {*names}):
        raise click.BadParameter(f"no network is called {unknown[0]!r}", param_hint="--model")
    start, rows, failed = perf_counter(), list[str](), 0
    judge = partial(rows_of, device=device, samples=samples)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        each = map(judge, names) if processes == 1 else pool.map(judge, names)
        for number, (more, wrong) in enumerate(track(each, "validating", len(names)), 1):
            rows, failed = rows + more, failed + wrong
            part = "" if number == len(names) else f" ({number} of {len(names)} networks so far)"
            measured = (
                f"Written by `tests.tools.on_device --device {device} --samples {samples}`: torch "
                f"{torch.__version__}, python {platform.python_version()}, "
                f"{perf_counter() - start:,.0f} s{part}."
            )
            written(path, rows, failed, measured, name)
    click.echo(f"{len(rows)} runs, {failed} with a mismatch; wrote {path}")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
