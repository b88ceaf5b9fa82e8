"""A branch that pads, crops or resizes where that is needed is no branch.

The law: *what a branch leaves out is the operation at the arguments at which it returns what it is
given.* ``if h % 2 or w % 2: x = F.pad(x, (0, w % 2, 0, h % 2))`` pads by 0 where the branch is not
taken, so the padded side describes all sizes. Where the arguments are not those by themselves, as
in ``if w % 4: x = F.pad(x, (0, 4 - w % 4))``, the choice between the two numbers is a number (see
`symcnn.frontends.torch.selects`), and the pad is ``(-w) % 4``.

Which arguments leave a tensor as it is, the record of the operation says (`Operation.idle`). The
node says with `taken` where it runs: 1 there, and 0 where there is none of it, so that it costs and
keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from symcnn.algebra.size import Int, Size, maximum, minimum
from symcnn.errors import SymcnnError, Undecidable
from symcnn.frontends.torch.choices import NoNumber, Path, equal_on
from symcnn.frontends.torch.sizes import Dim
from symcnn.frontends.torch.tensors import TracedTensor, Tracer
from symcnn.ops.autograd import Gradients
from symcnn.ops.operation import Operation
from symcnn.ops.storage import Memory
from symcnn.ops.storage.layouts import UnknownError, ordered
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Node, Scope, SymbolicTensor, signature_of
from symcnn.trace.tape import Tape

#: The number that is the one where a condition holds, else the other; None if there is none.
Chosen = Callable[[Condition, Int, Int], "Int | None"]


class Run(Tracer, Protocol):
    """The trace that runs."""

    tape: Tape
    steps: list[Any]
    script: list[Any]
    note: Callable[[int, object, object], None]
    replay: Callable[[object], Any]

    def _applied(self, *call: Any) -> Any:
        """The outputs of a rule, whether it is one, and its number if it has one."""

    def traced(
        self, name: str, made: Sequence[SymbolicTensor], single: bool, number: object
    ) -> TracedTensor:
        """What a rule answered, for the forward."""


@dataclass(frozen=True)
class Step:
    """An operation that a side of a branch runs."""

    name: str
    operation: Operation
    args: tuple[object, ...]
    kwargs: dict[str, object]
    node: Node


class Probe:
    """Runs the operations of one side of a branch apart from the trace."""

    def __init__(self, tracer: Run) -> None:
        self.tracer = tracer
        self.steps: list[Step] = []

    def apply(
        self,
        operation: object,
        name: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        *,
        inplace: bool = False,
        reads: Sequence[object] = (),
    ) -> object:
        """In place of `Tracer.apply`. Raises NoNumber for what always changes a tensor."""
        if not isinstance(operation, Operation) or operation.idle is None:
            raise NoNumber
        if inplace or reads or type(args[0]) is not TracedTensor:
            raise NoNumber
        tracer, tape = self.tracer, self.tracer.tape
        scratch = Tape(dtype=tape.dtype, assumptions=tape.assumed.apart())
        scratch.scopes = [Scope(tape.scopes[-1].path)]
        tracer.tape = scratch
        try:
            with scratch.running():
                answer = tracer._applied(operation, name, args, kwargs, False, ())
        except SymcnnError:
            raise NoNumber from None
        finally:
            tracer.tape = tape
        self.steps.append(Step(name, operation, args, kwargs, scratch.nodes[-1]))
        return tracer.traced(name, *answer)

    def between(self, start: TracedTensor, end: object) -> list[Step]:
        """The steps from one tensor to another that nothing else is read for.

        Raises NoNumber if there are none.
        """
        if type(end) is not TracedTensor or end._value is start._value:
            raise NoNumber
        by_node = {step.node: step for step in self.steps}
        found: list[Step] = []
        value = end._value
        while value is not start._value:
            step = by_node.get(value.node) if value.node is not None else None
            if step is None or len(step.node.inputs) != 1 or len(step.node.outputs) != 1:
                raise NoNumber
            found.insert(0, step)
            (value,) = step.node.inputs
        return found


def run_on_all(
    tracer: Run, paths: Sequence[Path], start: TracedTensor, steps: Sequence[Step], chosen: Chosen
) -> Callable[[], TracedTensor]:
    """Runs the steps on all sizes, with the arguments that leave `start` as it is where the test
    does not hold. Raises NoNumber if there are no such arguments.
    """
    choice = _Choice(paths, chosen)
    calls = [(step, choice.arguments(step)) for step in steps]
    taken = choice.truth()
    if any(step.name != "getitem" for step in steps):
        _require_order(tracer, start, steps)

    def run() -> TracedTensor:
        x = start
        for step, changed in calls:
            bound = signature_of(step.operation.rule).bind(x, *step.args[1:], **step.kwargs)
            for name, value in changed.items():
                bound.arguments[name] = _traced(value, tracer)
            x = tracer.method(step.name, *bound.args, **bound.kwargs)
            if x._value.node is not None:
                made = x._value.node
                made.mode = made.mode._replace(taken=taken * step.node.taken)
        return x

    return run


class _Choice:
    """Numbers that differ on the paths of a test."""

    def __init__(self, paths: Sequence[Path], chosen: Chosen) -> None:
        self.paths, self.chosen = paths, chosen
        self.idle = [path for path in paths if not path.holds]

    def truth(self) -> Int:
        """1 where the test holds, 0 elsewhere: the greatest of what the paths say on which it does.

        Of these only the answers are asked without which a path would meet one where it does not.
        """
        if len(self.paths) <= 2:
            return self.number(1, 0)
        idle = [dict(path.answers) for path in self.idle]
        found: list[Int] = []
        for path in self.paths:
            kept = dict(path.answers) if path.holds else {}
            for condition in list(kept):
                rest = {c: answer for c, answer in kept.items() if c != condition}
                if all(any(other.get(c, a) != a for c, a in rest.items()) for other in idle):
                    kept = rest
            ones = [self.chosen(c, int(answer), int(not answer)) for c, answer in kept.items()]
            if None in ones:
                raise NoNumber
            if path.holds:
                found.append(minimum(*(one for one in ones if one is not None)))
        return maximum(*found)

    def arguments(self, step: Step) -> dict[str, object]:
        """The arguments of a step that are right on both sides, where they differ from its own."""
        assert step.operation.idle is not None
        idle = step.operation.idle(step.node)
        if idle is None:
            raise NoNumber
        own = step.node.arguments
        found = {name: self.value(own[name], value) for name, value in idle.items()}
        return {name: value for name, value in found.items() if value != own[name]}

    def value(self, own: object, idle: object) -> object:
        """An argument: its own value where the test holds, the idle one elsewhere."""
        if isinstance(own, (tuple, list)):
            if not isinstance(idle, (tuple, list)) or len(own) != len(idle):
                raise NoNumber
            return tuple(map(self.value, own, idle))
        if isinstance(own, slice) and isinstance(idle, slice):
            if own.step not in (None, 1):
                raise NoNumber
            start = self.value(0 if own.start is None else own.start, 0)
            stop = own.stop if own.stop is None else self.value(own.stop, idle.stop)
            return own if (start, stop) == (own.start or 0, own.stop) else slice(start, stop)
        if own is idle or (type(own) is type(idle) and own == idle):
            return own
        if isinstance(own, (int, Size)) and isinstance(idle, (int, Size)):
            return self.number(own, idle)
        raise NoNumber

    def number(self, own: Int, idle: Int) -> Int:
        """The same of numbers."""
        if own == idle:
            return own
        try:
            if all(equal_on(path.requirements, own, idle) for path in self.idle):
                return own
        except Undecidable:
            raise NoNumber from None
        total: Int = 0
        for path in self.paths:  # of each path, a product of choices between 1 and 0
            share = own if path.holds else idle
            if len(self.paths) > 2:
                for condition, answer in path.answers:
                    one = self.chosen(condition, int(answer), int(not answer))
                    if one is None:
                        raise NoNumber
                    share = one * share
                total = total + share
        if len(self.paths) > 2:
            return total
        ((condition, answer),) = self.paths[0].answers
        sides = (own, idle) if answer == self.paths[0].holds else (idle, own)
        found = self.chosen(condition, *sides)
        if found is None:
            raise NoNumber
        return found


def _traced(value: object, tracer: Run) -> object:
    if isinstance(value, Size):
        return Dim(value, tracer)
    if isinstance(value, tuple):
        return tuple(_traced(v, tracer) for v in value)
    if isinstance(value, slice):
        return slice(*(_traced(v, tracer) for v in (value.start, value.stop, value.step)))
    return value


def _require_order(tracer: Run, start: TracedTensor, steps: Sequence[Step]) -> None:
    """Raises NoNumber where a copy may lie in another order in memory than the tensor itself."""
    if tracer.script:
        same = tracer.replay("order")
    else:
        mark, same = len(tracer.steps), _is_in_order(tracer, start, steps)
        tracer.note(mark, "order", same)
    if not same:
        raise NoNumber


def _is_in_order(tracer: Run, start: TracedTensor, steps: Sequence[Step]) -> bool:
    lies = tracer.layouts.usual(start._value)
    if lies is None or lies.contiguous:
        return lies is not None
    try:
        memory = Memory((), Gradients(set(), set()))
        memory.layouts[start._value] = lies
        memory.run([step.node for step in steps])
        order, made = lies.order, memory.of(steps[-1].node.outputs[0])
    except UnknownError:
        return False
    places = zip(lies.dims, lies.strides, ordered(lies.dims, order), strict=True)
    apart = made.order != order or any(s != t for d, s, t in places if d != 1)
    return not (memory.unplaced or apart)
