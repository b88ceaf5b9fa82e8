"""Run the whole suite on other versions of torch, or of python: `make versions`.

The rules follow the torch that constraints.txt pins; another one refuses an empty map that the
pinned one takes, or has no such keyword. Each version has a virtual environment of its own in
build/versions, and the report names every test that fails there, so that what differs is said.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree

import click

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "versions"
REPORT = ROOT / "docs" / "validation" / "versions.md"


@dataclass(frozen=True)
class Run:
    """What became of the tests under one version."""

    torch: str
    python: str
    tests: int
    skipped: int
    failed: tuple[str, ...]  # file::test
    seconds: float

    @classmethod
    def read(cls, torch: str, python: str, file: Path, seconds: float) -> Run:
        """The run that wrote a file of junit's form."""
        cases = [*ElementTree.parse(file).iter("testcase")]
        skipped = sum(case.find("skipped") is not None for case in cases)
        failed = [case for case in cases if {"failure", "error"} & {e.tag for e in case}]
        names = tuple(f"{c.get('classname')}::{c.get('name')}" for c in failed)
        return cls(torch, python, len(cases), skipped, names, seconds)


def run(torch: str, python: str) -> Run:
    """The suite under one torch and one python, each installed here first."""
    home = BUILD / f"torch-{torch}-{Path(python).name}"
    home.mkdir(parents=True, exist_ok=True)
    there = str(home / "bin" / "python")
    if not Path(there).exists():
        subprocess.run([python, "-m", "venv", home], check=True)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    others = home / "constraints.txt"
    others.write_text("\n".join([f"torch=={torch}", *(s for s in lines if "torch==" not in s)]))
    install = [there, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"torch=={torch}"], check=True)
    subprocess.run([*install, "-c", others, "-e", ".[dev]"], cwd=ROOT, check=True)
    version = subprocess.run([there, "-V"], check=True, capture_output=True, text=True).stdout
    start, file = perf_counter(), home / "junit.xml"
    suite = [there, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", "--tb=no"]
    subprocess.run([*suite, f"--junitxml={file}"], cwd=ROOT, check=False)
    return Run.read(torch, version.split()[1], file, perf_counter() - start)


def report(runs: list[Run]) -> Iterator[str]:
    """The page, line by line."""
    pinned = next(s for s in (ROOT / "constraints.txt").read_text().split() if "torch==" in s)
    yield "# Versions of torch and python"
    yield ""
    wanted = " ".join(dict.fromkeys(f"--torch {r.torch}" for r in runs))
    yield "The whole suite under other versions. Written by"
    yield f"`python -m tests.tools.versions {wanted}`."
    yield f"The rules follow {pinned.replace('==', ' ')}. Where a test fails under another torch,"
    yield "that torch refuses what the pinned one takes, takes what the pinned one refuses, has no"
    yield "such keyword, or keeps other bytes."
    yield ""
    yield "| torch | python | tests | skipped | failed | s |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for r in runs:
        yield (
            f"| {r.torch} | {r.python} | {r.tests:,} | {r.skipped} | {len(r.failed)} | "
            f"{r.seconds:,.0f} |"
        )
    for r in runs:
        if r.failed:
            yield from ("", f"## torch {r.torch}, python {r.python}", "")
        for name, count in Counter(f.split("[")[0] for f in r.failed).items():
            yield f"- `{name.replace('.', '/', 1)}`" + (f", {count} of them" if count > 1 else "")


@click.command()
@click.option("--torch", "versions", multiple=True, required=True, help="A version of torch.")
@click.option("--python", "pythons", multiple=True, help="An interpreter (default: this one).")
def main(versions: tuple[str, ...], pythons: tuple[str, ...]) -> None:
    """Run the suite under every torch and python asked for, and write a report."""
    runs: list[Run] = []
    for torch in versions:
        for python in pythons or (sys.executable,):
            runs.append(run(torch, python))
            REPORT.write_text("\n".join(report(runs)) + "\n", encoding="utf-8")
    click.echo(f"{len(runs)} runs, {sum(len(r.failed) for r in runs)} tests failed; wrote {REPORT}")


if __name__ == "__main__":
    main()
