"""A bar for what takes long: on standard error, from the second second on, gone when it is done.

Whoever reads answers by program wants none of it: ``with silent():`` keeps it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from threading import Lock, Timer
from time import perf_counter
from typing import Any, TypeVar

Item = TypeVar("Item")

#: Seconds before a bar appears.
PATIENCE = 2.0

_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """No bars while this lasts."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def waiting(told: str) -> Iterator[None]:
    """A spinner that says `told` while this lasts, for work that cannot be counted.

    It makes way for the bars of `watched`.
    """
    if _silent.get():
        yield
        return
    spinner = _Spinner(told)
    token = _spinning.set(spinner)
    try:
        yield
    finally:
        _spinning.reset(token)
        spinner.stop()


class _Spinner:
    """Appears in a while, unless it is stopped before."""

    def __init__(self, told: str) -> None:
        self.told = told
        self._status: Any = None
        self._lock = Lock()
        self._timer: Timer | None = Timer(max(PATIENCE, 0), self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._status = _status(self.told)
                self._status.start()

    def stop(self) -> None:
        """Gone for good."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._status is not None:
                self._status.stop()
                self._status = None


_spinning: ContextVar[_Spinner | None] = ContextVar("spinning", default=None)


def _status(told: str) -> Any:
    return _console().status(told)


def _console() -> Any:
    """Standard error; in a notebook a bar needs ipywidgets, and there is none without."""
    from rich.console import Console

    widgets = find_spec("ipywidgets") is not None
    return Console(stderr=True, force_jupyter=None if widgets else False)


def watched(items: Iterable[Item], told: str, total: int | None = None) -> Iterator[Item]:
    """The items, under a bar that says `told`; without a `total` it only shows that time passes.

    >>> sum(watched(range(4), "adding", total=4))
    6
    """
    if _silent.get():
        yield from items
        return
    bar: Any = None
    start = perf_counter()
    try:
        for done, item in enumerate(items):
            if bar is None and perf_counter() - start > PATIENCE:
                if (spinner := _spinning.get()) is not None:
                    spinner.stop()
                bar = _bar()
                task = bar.add_task(told, total=total)
                bar.start()
            if bar is not None:
                bar.update(task, completed=done)
            yield item
    finally:
        if bar is not None:
            bar.stop()


def _bar() -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=_console(), transient=True)
