"""Sets of sizes, and the order in which a forward runs through them.

Python runs through a set in an order that hangs on the numbers in it, so of a set of sizes every
order may come. The law: *what every order makes the same holds in whatever order numbers say.* So a
forward runs once with each set in each order, as long as these are few; where all lead to the same
network at every size, the order is no question, and else it is asked of the numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, permutations
from math import factorial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from symcnn.errors import SymcnnError, Undecidable
from symcnn.frontends.torch.branches import Comparison, Diverged
from symcnn.sets.inputset import input_set
from symcnn.trace.graph import SymbolicTensor
from symcnn.trace.tape import Guard, Tape

#: So many orders are tried, and so many pairs of runs are compared.
_MOST, _PAIRS = 6, 256

T = TypeVar("T")


class Orders(threading.local):
    """Which order sets of sizes are run through in: one of all that there are, by its number."""

    def __init__(self) -> None:
        self.turn: int | None = None  # None: as numbers say
        self.asked = 1  # so many there are
        self.runs = WeakKeyDictionary[object, tuple[int, int]]()  # what each run has left of these

    def of(self, values: Sequence[T], run: object) -> list[T] | None:
        """The values in the order of this turn; None where their numbers say."""
        if self.turn is None:
            return None
        many = factorial(min(len(values), _MOST))
        rest, count = self.runs.get(run, (self.turn, 1))
        self.asked = max(self.asked, many * count)
        if self.asked > _MOST:
            return None
        rest, place = divmod(rest, many)
        self.runs[run] = rest, many * count
        return [*next(islice(permutations(values), place, None))]

    @contextmanager
    def turned(self, turn: int | None) -> Iterator[None]:
        """Another turn, for a while."""
        before, self.turn = self.turn, turn
        try:
            yield
        finally:
            self.turn = before


#: Those of the trace that runs in this thread.
ORDERS = Orders()


class Run(Protocol):
    """One run of a forward."""

    outputs: Any

    @property
    def tape(self) -> Tape:
        """What happened."""

    @property
    def network(self) -> bool:
        """Whether it is one, and no refusal."""

    @property
    def path(self) -> Sequence[Guard]:
        """Of which sizes it is."""


R = TypeVar("R", bound=Run)


def in_any_order(
    runs: Callable[[], list[R]], left: Callable[[], object], inputs: Sequence[SymbolicTensor]
) -> list[R]:
    """The runs of a forward, in an order of its sets of which nothing hangs; if one does, in that
    of the numbers.

    left: what the last runs left open.
    """
    before, ORDERS.asked = ORDERS.asked, 1
    try:
        with suppress(_Hangs):
            found = others = _in_turn(runs, 0)
            turns, open_ = ORDERS.asked, left()
            for turn in range(1, turns):
                others = _in_turn(runs, turn)
                if left() != open_ or not _match(found, others, inputs):
                    raise _Hangs
            return others
        with ORDERS.turned(None):
            return runs()
    finally:
        ORDERS.asked = before


class _Hangs(Exception):
    """Something hangs on the order of sets, or there are too many orders to tell."""


def _in_turn(runs: Callable[[], list[R]], turn: int) -> list[R]:
    """The runs in one order of several. Raises _Hangs where not all orders can be compared."""
    before = ORDERS.asked
    try:
        with ORDERS.turned(turn):
            found = runs()
    except SymcnnError as error:
        if ORDERS.asked == 1:
            raise
        raise _Hangs from error
    if ORDERS.asked > (before if turn else _MOST):
        raise _Hangs
    return found


def _match(one: Sequence[R], two: Sequence[R], inputs: Sequence[SymbolicTensor]) -> bool:
    """Whether runs in two orders make the same network at every size, or refuse it."""
    if len(one) * len(two) > _PAIRS:
        return False
    return all(_same(a, b, inputs) or _apart(a, b) for a in one for b in two)


def _same(a: Run, b: Run, inputs: Sequence[SymbolicTensor]) -> bool:
    if not a.network or not b.network:
        return a.network == b.network
    try:
        Comparison(a.tape, b.tape, inputs).whole(a.outputs, b.outputs)
    except Diverged:
        return False
    return True


def _apart(a: Run, b: Run) -> bool:
    """Whether no size is in both."""
    required = [guard.requirement for guard in (*a.path, *b.path)]
    names = sorted(set[str]().union(*(r.symbols for r in required)))
    with suppress(Undecidable):
        return not input_set(names, required)
    return False
