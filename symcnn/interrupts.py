"""Ctrl-C waits while something of the process is set up or put back.

The law: *what is entered is left.* Python raises KeyboardInterrupt between any two instructions, in
the middle of an ``__enter__`` or of a ``finally:`` too, where no ``finally:`` sees it. So whoever
changes something of the process takes the handler of Ctrl-C first, lets it in for the work alone,
and gives it back last; what came meanwhile is handled then.
"""

from __future__ import annotations

import signal
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

#: Those of C: python's look each handler up among the names of signals, where functions are none.
_C: Any = vars(signal).get("_signal", signal)
_handle, _handler = _C.signal, _C.getsignal


class Held:
    """A block in which Ctrl-C waits, and a block within, of the work, in which it is let in.

    The block of the work is the innermost of its ``with``, so that nothing comes between the end
    of the work and the waiting. Only the main thread handles signals, and only what a handler of
    python raises can come in between: elsewhere there is nothing to hold.

    >>> with Held() as held, held.work():
    ...     pass
    """

    def __init__(self) -> None:
        self.handler: Any = None  # of Ctrl-C, while it waits
        self.came: FrameType | None = None  # where it came, if it did

    def __enter__(self) -> Held:
        if current_thread() is main_thread() and callable(_handler(signal.SIGINT)):
            self._hold()
        return self

    def __exit__(self, *error: object) -> None:
        if self.handler is not None:
            _handle(signal.SIGINT, self.handler)
            self._let_in()

    def work(self) -> _Work:
        """The block in which Ctrl-C is let in."""
        return _Work(self)

    def _hold(self) -> None:
        self.handler = _handle(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = frame

    def _let_in(self) -> None:
        came, self.came = self.came, None
        if came is not None:
            self.handler(signal.SIGINT, came)


class _Work:
    def __init__(self, held: Held) -> None:
        self.held = held

    def __enter__(self) -> None:
        if self.held.handler is not None:
            self.held._let_in()
            _handle(signal.SIGINT, self.held.handler)

    def __exit__(self, *error: object) -> None:
        if self.held.handler is not None:
            self.held._hold()
