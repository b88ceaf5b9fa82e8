"""Branches of the model's own python code that make no difference.

The law: *a comparison whose both outcomes lead to the same network is no condition.* Where a size
decides a branch, the trace takes one side and records a guard. Running the forward once more, with
that one comparison taken the other way, tells whether the side mattered: if every node, every call
and every output is the same, both runs together describe the sizes of both sides, and the guard is
dropped. So ``is_causal = length > 1 and mask is None`` costs nobody a size. One ``contiguous`` more
or less is the same network: it returns what it is given, laid out anew if it must be.

The second run stops at the first node that differs. It may ask only what the first run asks too:
its later guards must be among those that stay, so that no size is left that neither run describes,
or make no difference in their turn. What is left of them, e, weakens the guard g: to ``g or e``.
Up to that comparison nothing is computed again: python runs, and is given the answers of the first
run, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, NamedTuple

from symcnn.errors import SymcnnError
from symcnn.sets.condition import AnyOf, Condition, Requirement, is_lookup
from symcnn.trace.branches import negation
from symcnn.trace.graph import Node, SymbolicTensor, leaves, tree_map
from symcnn.trace.tape import PICKS, Guard, Tape


@dataclass(frozen=True)
class Choice:
    """An open comparison as it was taken."""

    taken: bool
    guard: int = 0  # which guard of the run records it


#: So many runs are tried per comparison, where one leads to others.
_RERUNS = 4

#: Operations that return what they are given.
_NEUTRAL = frozenset({"contiguous"})


class Step(NamedTuple):
    """What a run asked of us, what it was told, and how far it was then."""

    query: Any
    answer: Any  # an error if it was refused
    nodes: int
    guards: int
    choices: int


class Diverged(BaseException):
    """The run is another network. No `Exception`: the model's own code is not to catch it."""


class Nowhere(BaseException):
    """No size of the region that a run is to describe is left."""


class Refused(SymcnnError):
    """What a layer refuses, as the model's own code meets it: torch raises RuntimeError there, or
    IndexError, and a ``try`` of the model catches that or does not.
    """

    def __init__(self, error: SymcnnError) -> None:
        super().__init__(error.cause)
        self.error = error

    @staticmethod
    def by(op: str, error: SymcnnError) -> Refused:
        """What an operation refuses, as torch does."""
        index = op in PICKS or is_lookup(error.requirement) or isinstance(error, IndexError)
        return (_RefusedIndex if index else _RefusedSizes)(error)


class _RefusedSizes(Refused, RuntimeError):
    pass


class _RefusedIndex(Refused, IndexError):
    pass


class Comparison:
    """Compares a run, while it happens, with the nodes of an earlier one.

    Raises Diverged at the first difference.
    """

    def __init__(self, before: Tape, now: Tape, inputs: Sequence[SymbolicTensor]) -> None:
        self.before, self.now = before, now
        self.seen = 0
        # tensors of both runs that are the same one; the inputs are
        self.pairs = {id(t): t for t in inputs}
        self.given: dict[int, SymbolicTensor] = {}  # what a neutral operation returns again
        self.left = iter([node for node in before.nodes if not self._neutral(node)])

    def nodes(self) -> None:
        """All nodes recorded since the last time."""
        fresh = self.now.nodes[self.seen :]
        self.seen += len(fresh)
        for new in fresh:
            if not self._neutral(new):
                old = next(self.left, None)
                if old is None:
                    raise Diverged
                self._node(old, new)

    def _neutral(self, node: Node) -> bool:
        if node.op not in _NEUTRAL:
            return False
        (given, *_), (made,) = node.inputs, node.outputs
        self.given[id(made)] = self.given.get(id(given), given)
        return True

    def _node(self, old: Node, new: Node) -> None:
        if old is new:  # of a step that was not computed again
            for t in (*new.inputs, *new.outputs):
                self._tensor(t, t)
            return
        alike = (old.op, old.module, _spoken(old)) == (new.op, new.module, _spoken(new))
        if not alike or len(old.inputs) != len(new.inputs):
            raise Diverged
        for a, b in zip((*old.inputs, *old.outputs), (*new.inputs, *new.outputs), strict=True):
            self._tensor(a, b)

    def _tensor(self, a: SymbolicTensor, b: SymbolicTensor) -> None:
        a, b = self.given.get(id(a), a), self.given.get(id(b), b)
        if type(a) is not type(b) or (a.dims, a.name, a.dtype) != (b.dims, b.name, b.dtype):
            raise Diverged
        if self.pairs.setdefault(id(a), b) is not b or self.pairs.setdefault(id(b), a) is not a:
            raise Diverged

    def whole(self, old: object, new: object) -> None:
        """The runs as wholes, with what they return."""
        self.nodes()
        if next(self.left, None) is not None:
            raise Diverged
        if [c.path for c in self.before.calls] != [c.path for c in self.now.calls]:
            raise Diverged
        self._value(old, new)
        for a, b in zip(self.before.calls, self.now.calls, strict=True):
            self._value(a.output, b.output)
        if self._held(self.before) != self._held(self.now):
            raise Diverged

    def _held(self, tape: Tape) -> dict[int, int]:
        """Until how many nodes stand python holds tensors that both runs have."""
        stand = [0, *accumulate(node.op not in _NEUTRAL for node in tape.nodes)]
        held: dict[int, int] = {}
        for t, end in tape.releases.items():
            one = self.given.get(id(t), t)
            if other := self.pairs.get(id(one)):
                key = min(id(one), id(other))
                held[key] = max(stand[end], held.get(key, 0))
        return held

    def _value(self, old: Any, new: Any) -> None:
        if tree_map(lambda _: None, old) != tree_map(lambda _: None, new):
            raise Diverged
        for a, b in zip(leaves(old), leaves(new), strict=True):
            if isinstance(a, SymbolicTensor) and isinstance(b, SymbolicTensor):
                self._tensor(a, b)
            elif type(a) is not type(b) or str(a) != str(b):
                raise Diverged


def _spoken(node: Node) -> Any:
    """What a rule answered, but for the tensors in it, which are compared as inputs."""
    return replace(node.result, others=()), [axes for _, axes in node.result.others], node.taken


#: One run's guards and choices.
Decisions = tuple[Sequence[Guard], Sequence[Choice]]

#: Runs with the first choices as given: what they ask, if they make the same network.
Rerun = Callable[[Sequence[Choice]], Decisions | None]


def without_idle_guards(
    guards: Sequence[Guard],
    choices: Sequence[Choice],
    rerun: Rerun,
    matters: set[Requirement],
) -> list[Guard]:
    """The guards that make a difference, in as far as they do.

    choices: every open comparison of the run.
    matters: what made a difference in another run of the same forward: a branch that made one
        there is a branch here too, and is not tried again. New ones are added.

    From the last guard to the first: by then the later ones that stay are known. If the run with
    the comparison g turned is the same network as long as e holds, ``g or e`` is what is required.
    """
    kept: dict[int, list[Guard]] = {i: [guard] for i, guard in enumerate(guards)}
    turns = _Turns(rerun, matters, _RERUNS * len(choices))
    for position, choice in reversed([*enumerate(choices)]):
        guard = guards[choice.guard]
        staying = {g.requirement for i, gs in kept.items() if i > choice.guard for g in gs}
        found = turns.needed(guard.requirement, choices, position, staying)
        kept[choice.guard] = [replace(guard, requirement=r) for r in dict.fromkeys(found)]
    return [guard for guards in kept.values() for guard in guards]


@dataclass
class _Turns:
    """Runs with a comparison turned round; `left` of them may come."""

    rerun: Rerun
    matters: set[Requirement]
    left: int

    def needed(
        self,
        guard: Requirement,
        choices: Sequence[Choice],
        position: int,
        staying: set[Requirement],
    ) -> list[Requirement]:
        """All that must hold for the network to be the same, in place of the guard."""
        choice = choices[position]
        self.left -= 1
        if self.left < 0 or guard in self.matters:  # too many to try; or tried
            return [guard]
        turned = Choice(not choice.taken, guard=choice.guard)
        asked = self.rerun([*choices[:position], turned])
        if asked is None:
            self.matters.update([guard, *negation(guard)])
            return [guard]
        later, others = asked
        by_guard = {other.guard: i for i, other in enumerate(others) if i > position}
        beyond: list[Requirement] = []
        for i, further in enumerate(later):
            e = further.requirement
            if i > choice.guard and e not in staying:
                turns = i in by_guard
                beyond += self.needed(e, others, by_guard[i], staying) if turns else [e]
        return [_either(guard, e) for e in beyond]


def _either(a: Requirement, b: Requirement) -> Requirement:
    """``a or b``; those with a number of blocks, which do not occur here, aside."""
    options = [o for r in (a, b) for o in (r.options if isinstance(r, AnyOf) else (r,))]
    return AnyOf(tuple(dict.fromkeys(o for o in options if isinstance(o, Condition))))
