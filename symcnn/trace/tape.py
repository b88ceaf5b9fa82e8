"""What happened during one trace: nodes and guards in order, and the stack of module calls.

`record` turns the `Result` of a rule into a `Node`, in the `Tape` in force, if any: that is how the
front ends learn module paths and the order of execution. What the requirements so far decide is
asked of the tape's `Assumptions`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, TypeVar

from symcnn.algebra.atoms import longest
from symcnn.algebra.size import Int, lower, sharp_lower
from symcnn.errors import InvalidInput, ShapeMismatch, SymcnnError
from symcnn.interrupts import Held
from symcnn.lazy import uncollected
from symcnn.sets.condition import (
    Condition,
    Requirement,
    decide_syntactically,
    is_lookup,
    subexpressions,
)
from symcnn.trace.assume import Assumptions
from symcnn.trace.call import Call
from symcnn.trace.graph import Node, Result, Scope, SymbolicTensor, is_read
from symcnn.trace.where import Where, catching, here


@dataclass(frozen=True, slots=True)
class Guard:
    """A branch in the model's python code that a size decided: the side that the trace is on."""

    requirement: Requirement
    where: str  # file:line
    after: int  # the index of the node before it
    otherwise: str = ""  # what the model raises on the other branch, if it does
    fixes: str = ""  # why the other side is no branch that a trace could follow, if it is not

    def __str__(self) -> str:
        raises = f", or else {self.otherwise}" if self.otherwise else ""
        return f"{self.requirement}  ({self.where}){raises}"


Made = TypeVar("Made")

#: After so many steps numbers are looked at; a bit of one is worth so many nodes.
_EVERY, _WORD = 512, 64

#: Of more tensors a set is made to look one up.
_FEW = 16


class Endless(BaseException):
    """What a run makes more of than it may. No `Exception`: a loop that catches all ends too."""


@dataclass(slots=True, weakref_slot=True)
class Tape:
    """What happened during one trace: nodes and guards in order, and the stack of module calls."""

    nodes: list[Node] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=lambda: [Scope("")])
    calls: list[Scope] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)  # id of a module, while it runs: its path
    fix: Callable[[Any], int] | None = None  # a size at the example, recorded as a guard
    base: FrameType | None = None  # of the code that traces: what is above is the user's
    decide: Callable[[Condition], bool] | None = None  # which branch of a comparison is followed
    dtype: str = ""  # of a python float
    autocast: tuple[str, str] | None = None  # the device and dtype of torch.autocast
    most: int = sys.maxsize  # nodes that it may hold: python that runs may never end
    scripted: bool = False  # whether a function of TorchScript runs, which casts as on CUDA
    assumptions: Assumptions = field(default_factory=Assumptions)  # as far as `_seen`
    tries: bool = False  # whether code that runs may catch what an operation refuses
    checks: list[str] = field(default_factory=list)  # lines that raise for some values
    lengths: dict[Int, None] = field(default_factory=dict)  # sizes that python took by `len`
    releases: dict[SymbolicTensor, int] = field(default_factory=dict)  # see `release`
    open: bool = True  # until python has let go of all but what the forward returns
    queries: int = 0  # how often somebody asked which sizes are left
    computed: int = 0  # sizes that python computed, and asked about
    _seen: tuple[int, int] = (0, 0)
    _reads: tuple[Node | None, frozenset[SymbolicTensor]] = (None, frozenset())  # of the last node

    @contextmanager
    def running(self) -> Iterator[Tape]:
        """Record into this tape."""
        with Held() as held, uncollected():
            token, self.base = _tape.set(self), sys._getframe(2)
            try:
                with held.work():
                    yield self
            finally:
                _tape.reset(token)
                self.base, self.paths = None, {}

    def enter(self, path: str) -> Scope:
        """A module call begins."""
        self.scopes[-1].children += 1
        scope = Scope(path)
        self.scopes.append(scope)
        self.calls.append(scope)
        return scope

    def leave(self, output: object = None) -> None:
        """The innermost module call ends."""
        self.scopes.pop().output = output

    def go_to(self, path: Sequence[str]) -> None:
        """What comes runs in these modules, the outermost first: leave others, enter new ones."""
        opened = [scope.path for scope in self.scopes[1:]]
        same = 0
        while same < min(len(path), len(opened)) and path[same] == opened[same]:
            same += 1
        for _ in opened[same:]:
            self.leave(self.scopes[-1].output)
        for module in path[same:]:
            self.enter(module)

    def compute(self, *sizes: Int) -> None:
        """Python computes with sizes: a loop on them makes no node, and may never end."""
        self.computed += 1
        if self.computed > self.most:
            raise Endless(f"computes more than {self.most:,} sizes")
        if not self.computed % _EVERY:
            self._require_numbers(sizes)

    def add(self, node: Node) -> None:
        """A node more."""
        if len(self.nodes) >= self.most:
            raise Endless(f"makes more than {self.most:,} nodes")
        self.scopes[-1].ops += 1
        self.nodes.append(node)
        if not len(self.nodes) % _EVERY:
            self._require_numbers([size for dims in node.result.shapes for size in dims])

    def without_nodes(self, work: Callable[[], Made]) -> tuple[Made, list[Node]]:
        """What is worked out beside the network, and the nodes that this would have made."""
        mark, guards, ops = len(self.nodes), len(self.guards), self.scopes[-1].ops
        made = work()
        nodes, self.nodes[mark:] = self.nodes[mark:], []
        self.scopes[-1].ops = ops
        self.guards[guards:] = [replace(g, after=mark - 1) for g in self.guards[guards:]]
        self._seen = min(mark, self._seen[0]), self._seen[1]
        return made, nodes

    def release(self, t: SymbolicTensor) -> None:
        """Python lets go of a tensor. Where the last node does not read the tensor, python held the
        tensor for longer than nodes do: so many nodes stand by now. TorchScript lets go of a tensor
        behind its last reader.
        """
        if self.open and not self.scripted and self.nodes:
            read: Collection[SymbolicTensor] = self.nodes[-1].inputs
            if len(read) > _FEW:  # of all of which python lets go, one after the other
                if self._reads[0] is not self.nodes[-1]:
                    self._reads = self.nodes[-1], frozenset(read)
                read = self._reads[1]
            if t not in read:
                self.releases[t] = len(self.nodes)

    def _require_numbers(self, sizes: Iterable[Int]) -> None:
        """What doubles again and again makes few steps, but of numbers that take longer each."""
        most = self.most // _WORD
        if any(longest(size) > most for size in sizes):
            raise Endless(f"computes numbers of more than {most:,} bits")

    def check(self, place: str) -> None:
        """At a line, ``file:number``, something is raised for some values."""
        if place and place not in self.checks:
            self.checks.append(place)

    @property
    def assumed(self) -> Assumptions:
        """What all nodes and guards so far require."""
        self.queries += 1
        nodes, guards = self._seen
        self._seen = len(self.nodes), len(self.guards)
        self.assumptions.add(r for n in self.nodes[nodes:] for r in n.result.requires)
        self.assumptions.add(g.requirement for g in self.guards[guards:])
        return self.assumptions


_tape: ContextVar[Tape | None] = ContextVar("tape", default=None)


def current_tape() -> Tape | None:
    """The tape in force, if a trace is running."""
    return _tape.get()


def let_go(*tensors: SymbolicTensor) -> None:
    """What a function of torch's own holds to its end ends there."""
    if (tape := current_tape()) is not None:
        for t in tensors:
            tape.release(t)


_NO_SCOPE = Scope("")

#: Operations of which torch raises IndexError where there is no such place.
PICKS = frozenset({"getitem", "select"})

#: What is required of what is read.
ELEMENTS = "the input must have elements"


def record(
    op: str,
    inputs: Sequence[SymbolicTensor],
    result: Result,
    call: Call | None = None,
    holds: bool = False,
    inside: int = 2,
) -> Node:
    """A node for one operation; what it requires for all sizes is checked.

    holds: this was done of an equal node, whose inputs have elements.
    inside: see `here`.

    Raises ShapeMismatch or InvalidInput if a requirement fails whatever the sizes.
    """
    tape = _tape.get()
    scope = _NO_SCOPE if tape is None else tape.scopes[-1]
    empty = [] if holds else [t for t in inputs if t.may_be_empty and t.empties]
    if empty:
        result = of_empty(empty, result, call is not None and call.operation.empty)
    if result.requires and not holds:
        result = _settle(op, scope, result)
    if tape is not None and tape.tries and result.requires:
        _branch(tape, op, scope, result.requires)
    node = Node(op, inputs, result, scope, call)
    node.where = here(None if tape is None else tape.base, inside)
    if tape is not None:
        if tape.autocast:
            node.mode = node.mode._replace(autocast=True)
        tape.add(node)
    return node


def _settle(op: str, scope: Scope, result: Result) -> Result:
    """The result without the requirements that always hold."""
    open_ones = []
    for requirement in result.requires:
        verdict = decide_syntactically(requirement)
        if verdict is None:
            open_ones.append(requirement)
        elif not verdict:
            raise _refused(op, scope, requirement)
    if len(open_ones) == len(result.requires):
        return result
    return replace(result, requires=tuple(open_ones))


def of_empty(tensors: Sequence[SymbolicTensor], result: Result, empty: bool) -> Result:
    """The result of an operation on tensors that may be `empty`: where it takes none, they have
    elements; else what it makes may be empty, too.
    """
    sizes = dict.fromkeys(size for t in tensors for size in t.empties)
    needs = [] if empty else [Condition(size, ">=", 1, ELEMENTS) for size in sizes]
    needs = [n for n in needs if entails(n) is not True]
    left = [r for r in result.requires if not (_asks(r, sizes) and entails(r) is True)]
    made = [size for dims in result.shapes for size in dims if empty]
    return replace(result, requires=(*needs, *left), empties=(*result.empties, *empties(made)))


def _asks(requirement: Requirement, sizes: Container[Int]) -> bool:
    """Whether it is that one of the sizes is not 0."""
    if not isinstance(requirement, Condition) or requirement.relation != ">=":
        return False
    return requirement.rhs == 1 and requirement.lhs in sizes


def may_be_empty(length: Int) -> bool:
    """Whether it is 0 at some of the sizes that are left."""
    if isinstance(length, int):
        return length == 0
    low = sharp_lower(length)
    return (low is None or low < 1) and entails(Condition(length, ">=", 1)) is not True


def may_be_negative(value: Int) -> bool:
    """Whether it is below 0 at some of the sizes that are left."""
    low = lower(value)
    return (low is None or low < 0) and entails(Condition(value, ">=", 0)) is not True


def empties(sizes: Iterable[Int]) -> tuple[Int, ...]:
    """Those that are 0 at some of the sizes that are left."""
    return tuple(filter(may_be_empty, dict.fromkeys(sizes)))


def _branch(tape: Tape, op: str, scope: Scope, requires: Sequence[Requirement]) -> None:
    """Where the model catches what an operation refuses, each of its requirements is a branch."""
    lookups = {op in PICKS or is_lookup(requirement) for requirement in requires}
    caught = [catching(tape.base, IndexError if lookup else RuntimeError) for lookup in lookups]
    place = next(filter(None, caught), None)
    for requirement in requires if place else ():
        if isinstance(requirement, Condition) and tape.decide is not None:
            if not tape.decide(requirement):
                raise _refused(op, scope, requirement)
        elif (verdict := tape.assumed.entails(requirement)) is False:
            raise _refused(op, scope, requirement)
        elif verdict is None and place:
            why = "the model catches what torch refuses there"
            where = f"{place.path}:{place.line}"
            tape.guards.append(Guard(requirement, where, len(tape.nodes) - 1, fixes=why))


def _refused(op: str, scope: Scope, requirement: Requirement) -> SymcnnError:
    return failure(f"{scope.path} ({op})" if scope.path else op, requirement)


def failure(place: str, requirement: Requirement) -> SymcnnError:
    """The error for a requirement that no size meets."""
    fitting = isinstance(requirement, Condition) and requirement.relation == ">="
    kind = InvalidInput if fitting else ShapeMismatch
    text, sides = str(requirement), tuple(subexpressions(requirement))[:2]
    if not requirement.symbols:
        text = requirement.consequence({})
    else:
        text += " holds for no size"
    op = place.rpartition("(")[2].removesuffix(")")
    error = kind(f"{place}: {requirement.why.removeprefix(f'{op}: ')}: {text}", sides=sides)
    error.requirement = requirement
    return error


@dataclass(frozen=True, slots=True)
class Attempt:
    """An operation that failed, so that there is no node of it."""

    op: str
    inputs: tuple[SymbolicTensor, ...]
    module: str  # the path of the module that ran it
    where: Where

    @classmethod
    def of(cls, op: str, inputs: Iterable[SymbolicTensor]) -> Attempt:
        """The operation that runs now."""
        tape = _tape.get()
        path, base = ("", None) if tape is None else (tape.scopes[-1].path, tape.base)
        return cls(op, tuple(inputs), path, here(base))


def of_no_size(tape: Tape) -> SymcnnError | None:
    """What a layer of a branch refuses, where it takes none of the branch's sizes."""
    if tape.assumed.domain:
        return None
    left = Assumptions()
    left.add(guard.requirement for guard in tape.guards)
    for i, node in enumerate(tape.nodes):
        for requirement in node.result.requires:
            left.add([requirement])
            if not left.domain:
                path = node.scope.path
                error = failure(f"{path} ({node.op})" if path else node.op, requirement)
                error.attempt, error.position = Attempt(node.op, node.inputs, path, node.where), i
                return error
    return None


def entails(requirement: Requirement) -> bool | None:
    """Whether the sizes allowed so far decide `requirement`; None if they leave it open."""
    verdict = decide_syntactically(requirement)
    if verdict is not None:
        return verdict
    return (_tape.get() or Tape()).assumed.entails(requirement)


def decided(condition: Condition) -> bool | None:
    """Whether it holds: as the sizes decide, else on the branch that is followed.

    None where no branches are followed: the caller refuses, it does not guess.
    """
    verdict = entails(condition)
    tape = _tape.get()
    if verdict is None and tape is not None and tape.decide is not None:
        return tape.decide(condition)
    return verdict


def compute(*sizes: Int) -> None:
    """Python computes sizes: in a run that a trace follows, so many only."""
    if (tape := _tape.get()) is not None:
        tape.compute(*sizes)


def leave_to_torch(numbers: SymbolicTensor) -> None:
    """Numbers made of sizes alone that are not followed: that they are right, torch checks when it
    runs, and the trace says at which line.
    """
    if not is_read(numbers):
        check_of_values()


def check_of_values() -> None:
    """Torch raises for some values that the operation made now is called with."""
    if (tape := _tape.get()) is not None:
        at = here(tape.base)
        tape.check(f"{at.path}:{at.line}" if at else "")


def plain_number(size: Int) -> Int:
    """A size as python must have it, to make so many things: fixed where a trace follows python,
    and where that is made again, what the branch is for.
    """
    tape = _tape.get()
    if isinstance(size, int) or tape is None:
        return size
    if tape.fix is not None:
        return tape.fix(size)
    for requirement in (guard.requirement for guard in tape.guards):
        if isinstance(requirement, Condition) and requirement.relation == "==":
            number = size - requirement.lhs + requirement.rhs
            if isinstance(number, int):
                return number
    return size
