"""A bar for what takes long: on standard error, from the second second on, gone when it is done.

Whoever reads answers by program wants none of it: ``with silent():`` keeps it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any, TypeVar

__all__ = ["PATIENCE", "silent", "watched"]

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
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
