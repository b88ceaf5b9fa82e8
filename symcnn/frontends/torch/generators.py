"""Python's and numpy's random numbers, after a trace as before it.

The law: *a generator draws the same numbers while its memory is the same*. To ask one for its state
makes hundreds of numbers of python; to compare its memory costs nothing. So the state is asked for
only where the memory is not what it was when it was asked for last.
"""

from __future__ import annotations

import random
import sys
from ctypes import string_at
from pickle import dumps
from typing import Any

#: What a generator's numbers follow from, None where that is not told; its state.
Draws = tuple[object, object]

#: Whether the id of an object is where it stands; what all objects begin with, counts among it.
_STANDS, _HEAD = sys.implementation.name == "cpython", object.__basicsize__


def _held(generator: object, kind: Any) -> bytes:
    """What an object of C holds itself."""
    return string_at(id(generator) + _HEAD, kind.__basicsize__ - _HEAD)


class Python:
    """The generator of `random`."""

    def __init__(self) -> None:
        self.last: Draws = (None, None)

    def memory(self) -> object:
        """What its numbers follow from; None where that is not told."""
        generator: Any = getattr(random.getstate, "__self__", None)
        if not _STANDS or type(generator) is not random.Random:
            return None
        return _held(generator, random.Random.__base__), getattr(generator, "gauss_next", None)

    def state(self) -> object:
        """What it can be asked to go on from."""
        return random.getstate()

    def put(self, state: object) -> None:
        """Go on from a state."""
        if isinstance(state, tuple) and random.getstate() != state:
            random.setstate(state)

    def draws(self) -> Draws:
        """Where it stands."""
        memory, last = self.memory(), self.last
        if memory is not None and memory == last[0]:
            return last
        state = self.state()
        if self.memory() != memory:  # another thread draws
            return None, state
        self.last = last = memory, state
        return last

    def back(self, draws: Draws) -> None:
        """Let it stand there again."""
        memory, state = draws
        if state is not None and (memory is None or self.memory() != memory):
            self.put(state)


class Numpy(Python):
    """The generator of `numpy.random`, if it is loaded: nobody has drawn from it before."""

    def memory(self) -> object:
        """See above. Beside the words, it holds half a pair of normal numbers."""
        numpy: Any = sys.modules.get("numpy.random")
        words = getattr(numpy, "get_bit_generator", lambda: None)()
        generator: Any = getattr(getattr(numpy, "get_state", None), "__self__", None)
        if words is None or generator is None or not _STANDS:
            return None
        if type(words) is not numpy.MT19937 or type(generator) is not numpy.RandomState:
            return None
        whole = 625 * 4  # 624 words, and the place of the next
        return string_at(words.ctypes.state_address, whole), _held(generator, numpy.RandomState)

    def state(self) -> object:
        """See above; None while another thread is importing it."""
        numpy: Any = sys.modules.get("numpy.random")
        return numpy.get_state(legacy=False) if hasattr(numpy, "get_state") else None

    def put(self, state: object) -> None:
        """See above."""
        if dumps(self.state()) != dumps(state):  # there are arrays in it
            sys.modules["numpy.random"].set_state(state)


GENERATORS = (Python(), Numpy())
