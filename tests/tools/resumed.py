"""Long runs over networks of others: a row for each, kept in a file from which a run goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def commit() -> str:
    """Of which code an answer is."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raises TimeoutError after so many seconds of this process, whatever else the machine does."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def rows(state: Path | None) -> list[dict[str, Any]]:
    """What runs before have found."""
    lines = state.read_text().splitlines() if state and state.exists() else []
    return [json.loads(line) for line in lines]


def add(state: Path | None, row: Mapping[str, Any]) -> None:
    """One row more in the file."""
    if state:
        with state.open("a") as file:
            file.write(f"{json.dumps(row)}\n")
