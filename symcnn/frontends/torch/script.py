"""What a run asked and was told, step by step; and runs that are told the same as far as they go.

The law: *a forward is a function of what it is told.* A run of the same module that is told what
another was told asks the same, and makes the same nodes, up to where it is told otherwise. So
python runs, and nothing is computed again: for a comparison that is turned, and for other sizes as
far as they meet all that the other run required.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from symcnn.errors import SymcnnError, without_frames
from symcnn.frontends.torch.arguments import flat
from symcnn.frontends.torch.branches import Choice, Comparison, Diverged, Step
from symcnn.frontends.torch.complaint import Complaint
from symcnn.frontends.torch.layout import Layouts
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.writes import Writes
from symcnn.sets.condition import Requirement
from symcnn.trace.graph import SymbolicTensor
from symcnn.trace.tape import Guard, Tape

if TYPE_CHECKING:
    import torch

    from symcnn.algebra.size import Atom
    from symcnn.sets.inputset import InputSet
    from symcnn.trace.graph import Parameter


class Script:
    """The part of a trace that remembers its steps, and begins other traces with them."""

    tape: Tape
    example: Mapping[str, int]
    region: InputSet | None
    last: Mapping[str, int]
    same: Comparison | None
    forced: Sequence[Choice]
    choices: list[Choice]
    numbers: dict[Atom, int]
    left: Exception | None
    leaves: dict[int, SymbolicTensor]
    lazy: dict[torch.nn.Module, dict[str, Parameter | None]]
    held: dict[int, weakref.ref[torch.Tensor]]
    memories: dict[int, object]
    hold: Callable[[torch.Tensor, SymbolicTensor], None]
    parameters: list[Parameter]
    complaint: Complaint
    writes: Writes
    layouts: Layouts
    _layouts: Layouts | None
    point: Callable[[Iterable[str]], dict[str, int]]
    fix: Callable[..., Any]
    decide: Callable[..., bool]
    leaving: Callable[[Exception], Exception]
    reshaped: Callable[..., None]
    result: Callable[[Any], Any]

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []  # all that the run asked so far
        self.script: list[Step] = []  # answers of an earlier run, the next one last
        self.earlier: Tape | None = None  # of that run

    def note(self, mark: int, asked: object, answer: object) -> None:
        """The step that began when there were `mark` of them; those within it are part of it."""
        steps, tape = self.steps, self.tape
        if len(steps) > mark:
            del steps[mark:]
        steps.append(Step(asked, answer, len(tape.nodes), len(tape.guards), len(self.choices)))

    def replay(self, asked: Any, tensors: Iterable[object] = ()) -> Any:
        """The answer of the earlier run; `tensors` are what it is asked about."""
        step, tape = self.script.pop(), self.tape
        if step.query != asked:
            raise Diverged
        assert self.earlier is not None
        before, nodes = self.earlier, len(tape.nodes)
        self.steps.append(step)
        tape.nodes += before.nodes[nodes : step.nodes]
        tape.guards += before.guards[len(tape.guards) : step.guards]
        self.choices += self.forced[len(self.choices) : step.choices]
        if nodes < len(tape.nodes):
            self._adopt(flat([*tensors]), tape.nodes[nodes].inputs)
        if isinstance(step.answer, SymcnnError):
            raise self.leaving(without_frames(step.answer))
        return step.answer

    def close(self) -> None:
        """No run is told these steps any more. What holds this run lets go of the run, so that
        python frees both at once: its collector would have to find them.
        """
        self.steps.clear()
        self.left, self.complaint = None, Complaint()
        self.tape.fix = self.tape.decide = self._layouts = None
        del self.writes.changed

    def _adopt(self, tensors: Sequence[Any], known: Sequence[SymbolicTensor]) -> None:
        """Constants that the forward made anew are those that it made before."""
        if len(tensors) == len(known):
            for real, symbolic in zip(tensors, known, strict=True):
                if type(real) is not TracedTensor and id(real) not in self.leaves:
                    self.hold(real, symbolic)

    def again(self, forced: Sequence[Choice], same: Comparison) -> Self:
        """A tracer for one more run, with some choice taken the other way.

        Up to there it answers what this one answered; module and inputs are the same.
        """
        pairs = enumerate(zip(self.choices, forced, strict=False))
        alike = next((i for i, (mine, theirs) in pairs if mine != theirs), len(forced))
        other = self._follower(same.before, same.now)
        other.same, other.forced = same, forced
        self._tell(other, [s for s in self.steps if s.choices <= alike])
        return other

    def elsewhere(
        self, sizes: InputSet, example: Mapping[str, int], guards: Sequence[Guard]
    ) -> Self | None:
        """A tracer for a run at other sizes: up to where their point does not meet what this run
        required, it answers what this one answered. None if it would not answer anything.

        guards: all that this run recorded.
        """
        before = replace(self.tape, guards=[*guards])
        other = self._follower(before, Tape(dtype=self.tape.dtype))
        other.region, other.example, other.last = sizes, example, {}
        point = other.point(sizes.names)

        def meets(requirement: Requirement) -> bool:
            return requirement.symbols <= point.keys() and requirement.holds(point)

        asked = (i for i, guard in enumerate(guards) if not meets(guard.requirement))
        made = (i for i, n in enumerate(before.nodes) if not all(map(meets, n.result.requires)))
        most, nodes = next(asked, len(guards)), next(made, len(before.nodes))
        told = [s for s in self.steps if s.guards <= most and s.nodes <= nodes]
        if not told or self.lazy:
            return None
        other.forced = self.choices[: told[-1].choices]
        self._tell(other, told)
        return other

    def _tell(self, other: Self, steps: Sequence[Step]) -> None:
        """Answer another run as this one was answered, in these steps."""
        other.script = [*reversed(steps)]
        if steps and self._layouts is not None:
            other._layouts = self._layouts.up_to(other, steps[-1].nodes)

    def _follower(self, before: Tape, now: Tape) -> Self:
        """A tracer for one more run of the same module with the same inputs."""
        other = copy(self)
        other.tape, other.earlier = now, before
        now.fix, now.decide = other.fix, other.decide
        other.choices, other.steps, other.writes = [], [], Writes(now, other.reshaped)
        other.left, other.numbers, other.complaint = None, {}, Complaint()
        other.leaves, other.lazy = dict(self.leaves), dict(self.lazy)
        other.held, other.memories, other.parameters = {}, {}, [*self.parameters]
        for key, ref in self.held.items():
            if (real := ref()) is not None:
                other.hold(real, self.leaves[key])
        return other
