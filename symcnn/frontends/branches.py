"""Branches of the model's own python code that make no difference.

The law: *a comparison whose both outcomes lead to the same network is no condition.* Where a size
decides a branch, the trace takes one side and records a guard. Running the forward once more, with
that one comparison taken the other way, tells whether the side mattered: if every node, every call
and every output is the same, both runs together describe the sizes of both sides, and the guard is
dropped. So ``is_causal = length > 1 and mask is None`` costs nobody a size.

The second run stops at the first node that differs. It may ask only what the first run asks too:
its later guards must be among those that stay, so that no size is left that neither run describes.
Up to that comparison nothing is computed again: python runs, and is given the answers of the first
run, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from symcnn.graph import Guard, Node, SymbolicTensor, Tape, tree_map

__all__ = ["Choice", "Differs", "Same", "Step", "without_idle_guards"]


@dataclass(frozen=True)
class Choice:
    """An open comparison as it was taken."""

    taken: bool
    otherwise: str = ""  # what the model raised on the other branch, if it did
    guard: int = 0  # which guard of the run records it


class Step(NamedTuple):
    """What a run asked of us, what it was told, and how far it was then."""

    asked: Any
    answer: Any  # an error if it was refused
    nodes: int
    guards: int
    choices: int


class Differs(BaseException):
    """The run is another network. No `Exception`: the model's own code is not to catch it."""


class Same:
    """Compares a run, while it happens, with the nodes of an earlier one.

    Raises Differs at the first difference.
    """

    def __init__(self, before: Tape, now: Tape, inputs: Sequence[SymbolicTensor]) -> None:
        self.before, self.now = before, now
        self.seen = 0
        # tensors of both runs that are the same one; the inputs are
        self.pairs = {id(t): t for t in inputs}

    def nodes(self) -> None:
        """All nodes recorded since the last time."""
        if len(self.now.nodes) > len(self.before.nodes):
            raise Differs
        for old, new in zip(
            self.before.nodes[self.seen : len(self.now.nodes)],
            self.now.nodes[self.seen :],
            strict=True,
        ):
            self._node(old, new)
        self.seen = len(self.now.nodes)

    def _node(self, old: Node, new: Node) -> None:
        if old is new:  # of a step that was not computed again
            for t in (*new.inputs, *new.outputs):
                if self.pairs.setdefault(id(t), t) is not t:
                    raise Differs
            return
        alike = (old.op, old.module, _spoken(old)) == (new.op, new.module, _spoken(new))
        if not alike or len(old.inputs) != len(new.inputs):
            raise Differs
        for a, b in zip((*old.inputs, *old.outputs), (*new.inputs, *new.outputs), strict=True):
            self._tensor(a, b)

    def _tensor(self, a: SymbolicTensor, b: SymbolicTensor) -> None:
        if type(a) is not type(b) or (a.dims, a.name, a.boolean) != (b.dims, b.name, b.boolean):
            raise Differs
        if self.pairs.setdefault(id(a), b) is not b or self.pairs.setdefault(id(b), a) is not a:
            raise Differs

    def whole(self, old: Any, new: Any) -> None:
        """The runs as wholes, with what they return."""
        self.nodes()
        if len(self.now.nodes) != len(self.before.nodes):
            raise Differs
        if [c.path for c in self.before.calls] != [c.path for c in self.now.calls]:
            raise Differs
        self._value(old, new)
        for a, b in zip(self.before.calls, self.now.calls, strict=True):
            self._value(a.output, b.output)

    def _value(self, old: Any, new: Any) -> None:
        if tree_map(lambda _: None, old) != tree_map(lambda _: None, new):
            raise Differs
        for a, b in zip(_leaves(old), _leaves(new), strict=True):
            if isinstance(a, SymbolicTensor) and isinstance(b, SymbolicTensor):
                self._tensor(a, b)
            elif type(a) is not type(b) or str(a) != str(b):
                raise Differs


def _spoken(node: Node) -> Any:
    """What a rule answered, but for the tensors in it, which are compared as inputs."""
    return replace(node.result, others=()), [axes for _, axes in node.result.others]


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    tree_map(found.append, value)
    return found


def without_idle_guards(
    guards: Sequence[Guard],
    choices: Sequence[Choice],
    rerun: Callable[[list[Choice]], Sequence[Guard] | None],
) -> list[Guard]:
    """The guards that make a difference.

    choices: every open comparison of the run.
    rerun: runs the forward with its first choices as given, and returns its guards if it is the
        same network.

    From the last guard to the first: by then the later ones that stay are known.
    """
    kept: dict[int, Guard] = dict(enumerate(guards))
    for position, choice in reversed([*enumerate(choices)]):
        if choice.otherwise:
            continue  # the other way the model raises
        flipped = Choice(not choice.taken, guard=choice.guard)
        others = rerun([*choices[:position], flipped])
        if others is None:
            continue
        staying = {guard.requirement for i, guard in kept.items() if i > choice.guard}
        if all(guard.requirement in staying for guard in others[choice.guard + 1 :]):
            del kept[choice.guard]
    return list(kept.values())
