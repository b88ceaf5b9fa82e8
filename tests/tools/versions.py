"""Run the whole suite on other versions of torch, or of python: `make versions`, `make pythons`.

The rules follow the torch that constraints.txt pins; another one refuses an empty map that the
pinned one takes, or has no such keyword. Each version has a virtual environment of its own in
build/versions, where what pytest wrote stays; the report names every test that fails there.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import click

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "versions"
REPORTS = ROOT / "docs" / "validation"


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
    def read(cls, home: Path) -> Run:
        """The run that wrote junit.xml in a folder named by its versions."""
        suite = next(ElementTree.parse(home / "junit.xml").iter("testsuite"))
        cases = [*suite.iter("testcase")]
        skipped = sum(case.find("skipped") is not None for case in cases)
        again = ElementTree.parse(home / "again.xml").iter("testcase")
        failed = [case for case in again if {"failure", "error"} & {e.tag for e in case}]
        names = tuple(f"{c.get('classname')}::{c.get('name')}" for c in failed)
        _, torch, _, python = home.name.split("-")
        return cls(torch, python, len(cases), skipped, names, float(suite.get("time", 0)))


def pinned() -> str:
    """The version of torch that the rules follow."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return next(line.removeprefix("torch==") for line in lines if line.startswith("torch=="))


def run(torch: str, python: str) -> Run:
    """The suite under one torch and one python, each installed here first."""
    code = "import platform; print(platform.python_version())"
    version = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    home = BUILD / f"torch-{torch}-python-{version.stdout.strip()}"
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
    suite = [there, "-m", "pytest", "-q", "--tb=no", "-o", f"cache_dir={home / 'cache'}"]
    subprocess.run(
        [*suite, "-n", "auto", f"--junitxml={home / 'junit.xml'}"], cwd=ROOT, check=False
    )
    alone = ["--last-failed", "--last-failed-no-failures=none", f"--junitxml={home / 'again.xml'}"]
    subprocess.run([*suite, *alone], cwd=ROOT, check=False)  # a busy machine fails the timed ones
    return Run.read(home)


def report(runs: list[Run], habit: str) -> Iterator[str]:
    """The page, line by line."""
    yield "# Versions of torch and python"
    yield ""
    yield "The whole suite under other versions, one after another, and what failed once more"
    yield f"alone. Written by `make {habit}`."
    yield f"The rules follow torch {pinned()}. Where a test fails under another torch,"
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
@click.option("--torch", "versions", multiple=True, help="A version of torch (default: ours).")
@click.option("--python", "pythons", multiple=True, help="An interpreter (default: this one).")
@click.argument("habit", type=click.Choice(["versions", "pythons"]))
def main(versions: tuple[str, ...], pythons: tuple[str, ...], habit: str) -> None:
    """Run the suite under every torch and python asked for, and write the report of a habit."""
    asked = product(versions or (pinned(),), pythons or (sys.executable,))
    runs = [run(torch, python) for torch, python in asked]
    path = REPORTS / f"{habit}.md"
    path.write_text("\n".join(report(runs, habit)) + "\n", encoding="utf-8")
    click.echo(f"{len(runs)} runs, {sum(len(r.failed) for r in runs)} tests failed; wrote {path}")


if __name__ == "__main__":
    main()
