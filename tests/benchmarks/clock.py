"""Timing side by side: functions run in turn, so that a busy moment hits them all."""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CPU", "Spread", "fresh", "interleaved", "printed", "quiet"]


def _step(clock: Callable[[], float]) -> float:
    """The least time that a clock shows."""
    start = now = clock()
    while now == start:
        now = clock()
    return now - start


#: Processor time, which does not count waiting for others; on a machine that counts it in ticks of
#: milliseconds only, the time of the day.
CPU = time.process_time if _step(time.process_time) < 1e-4 else time.perf_counter


@dataclass(frozen=True)
class Spread:
    """Seconds of several runs."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def __truediv__(self, other: Spread) -> float:
        return self.median / other.median

    def __str__(self) -> str:
        low, high = (printed(f(self.runs)) for f in (min, max))
        return f"{printed(self.median)} ({low} to {high})" if low != high else low


def printed(seconds: float) -> str:
    """A time for reading."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            return f"{seconds / scale:.3g} {unit}"
    raise AssertionError


@contextlib.contextmanager
def quiet() -> Any:
    """Nothing is printed, by C++ neither: some tools cannot be kept from it."""
    sys.stdout.flush()
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(1), os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield
        finally:
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)


def interleaved(
    *functions: Callable[[], Any],
    runs: int = 15,
    seconds: float = 60.0,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Spread]:
    """The functions in turn, `runs` times or until `seconds` are over; at least once each.

    clock: ``time.process_time`` for what runs in one thread: it does not count waiting for others.
    """
    times: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + seconds
    for i in range(runs + warm):
        if i > warm and time.perf_counter() > end:
            break
        gc.collect()
        for function, record in zip(functions, times, strict=True):
            start = clock()
            function()
            record.append(clock() - start)
    return [Spread(tuple(record[warm:])) for record in times]


def fresh(code: str) -> str:
    """What a new python process prints that runs `code`, with what python compiles kept on disk, as
    an installed package has it: of two runs the second is that of a user.
    """
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=settings
    )
    return run.stdout.strip()
