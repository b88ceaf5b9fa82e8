"""Where traced tensors lie: strides, offset, contiguity, as far as torch decides them by sizes.

The record of operations already says what is a view and how axes lie in memory: that is how
`symcnn.ops.storage` counts bytes. Asked for strides, the trace runs the same record over storages.
The law of contiguity is torch's: *strides are the products of the sizes further in, axes of size 1
aside.* So ``x.permute(0, 2, 3, 1)`` is contiguous for images of one pixel and for no other, which
is a branch. So is what decides how an earlier result lies, once somebody asks that: ``x.mT + x``
lies otherwise for square images than for rows. What an operation leaves open is DataDependent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from inspect import signature
from typing import NamedTuple, Protocol

from symcnn.algebra.size import Int, Size, exact_div
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.frontends.torch.branches import Step
from symcnn.frontends.torch.where import caller
from symcnn.ops.autograd import Gradients, differentiable, flow
from symcnn.ops.operation import Operation, operation_of, record_of
from symcnn.ops.storage import Layout, Memory, views
from symcnn.ops.storage.layouts import BY_SIZES, UnknownError, in_order, unasked
from symcnn.ops.storage.memory import written
from symcnn.ops.storage.pointwise import leaves_alone
from symcnn.ops.storage.products import columns, solution
from symcnn.ops.storage.recurrent import recurrent
from symcnn.ops.storage.views import View, contiguous
from symcnn.sets.condition import Condition, decide_syntactically
from symcnn.trace.graph import Node, SymbolicTensor
from symcnn.trace.tape import Tape

#: Laws of memory by which a result lies alike wherever the inputs lie.
_APART = (columns, contiguous, recurrent, solution)

Decide = Callable[[Condition], bool]


def in_plain_order(op: str) -> bool:
    """Whether what torch makes of tensors in plain order lies so, where no law says how it lies: a
    test tries torch's samples. Its libraries of transforms and of linear algebra have their own.
    """
    record = record_of(op)
    scrambles = record is not None and record.scrambles
    return not scrambles and not op.startswith(("fft_", "linalg_"))


class Run(Protocol):
    """The run of a forward, as far as layouts ask it."""

    tape: Tape
    script: list[Step]
    steps: list[Step]

    def note(self, mark: int, asked: object, answer: object) -> None:
        """A step is done."""

    def replay(self, asked: object) -> object:
        """What an earlier run was told."""

    def decide(self, condition: Condition) -> bool:
        """Whether it holds: by the domain, or on the branch that is followed."""


class _Open(NamedTuple):
    """Why it is not known how a tensor lies."""

    node: Node
    why: str
    position: int  # of the node
    condition: Condition | None  # that says how, where that is for sizes to say


def _law(node: Node) -> object:
    operation = operation_of(node)
    return None if operation is None else operation.saves


def _lies_by(node: Node, law: object) -> Sequence[SymbolicTensor]:
    """The tensors by which the results of a node lie."""
    if law in _APART:
        return ()
    return node.inputs[:1] if written(node) else node.inputs


class Layouts:
    """The layouts of the tensors of a run, followed as far as somebody asks."""

    def __init__(self, run: Run) -> None:
        self.run, self.tape = run, run.tape
        self.memory = Memory((), Gradients(set(), set()))
        self.seen = 0
        self.sure: int | None = None  # so many nodes lie alike in all branches; None: all
        self.open: dict[SymbolicTensor, _Open] = {}  # what is not known
        self.told: dict[Condition, bool] = {}
        #: What views are since a write, and as what they were made.
        self.torn: dict[SymbolicTensor, SymbolicTensor] = {}
        self._flown = 0  # so many nodes
        self._needed: set[SymbolicTensor] = set()  # what requires a gradient, of what they make
        self._asked: Condition | None = None
        self._usual = False  # sizes are not asked
        self._decides = False  # they are, at once

    def up_to(self, run: Run, nodes: int) -> Layouts:
        """The same for a run that begins with so many of these nodes."""
        other = Layouts(run)
        other.memory, other.open = self.memory, {**self.open}
        other.seen = min(self.seen, nodes, *(() if self.sure is None else (self.sure,)))
        return other

    def _holds(self, condition: Condition) -> bool | None:
        """Whether sizes compare so, as was decided. Raises UnknownError if it was not yet."""
        known = decide_syntactically(condition)
        if known is not None:
            return known
        if condition not in self.told and self._decides:
            self.told[condition] = self.run.decide(condition)
        if condition not in self.told and not self._usual:
            self._asked = condition
            raise UnknownError(BY_SIZES)
        return self.told.get(condition)

    def _follow(self) -> None:
        for position in range(self.seen, len(self.tape.nodes)):
            self._lay(position)
        self.seen = len(self.tape.nodes)

    def _lay(self, position: int) -> None:
        """Where the results of a node lie, or why that is open."""
        self._asked, failed, node = None, len(self.memory.unplaced), self.tape.nodes[position]
        self.memory.holds = self._holds
        self.memory.run((node,))
        law = _law(node)
        cause = next((self.open[t] for t in _lies_by(node, law) if t in self.open), None)
        if len(self.memory.unplaced) > failed and cause is None and not written(node):
            plain = law is None and in_plain_order(node.op)
            if not plain or not all(self.memory.of(t).contiguous for t in node.inputs):
                cause = _Open(*self.memory.unplaced[-1], position, self._asked)
                if self._asked is not None:
                    self.sure = position if self.sure is None else self.sure
                    self._usual = True
                    self.memory.run((node,))
                    self._usual = False
        self.memory.holds = unasked  # else each would hold the other
        for t in node.outputs:
            self.open.pop(t, None)
            if cause is not None:
                self.open[t] = cause

    def needs(self, t: SymbolicTensor) -> bool:
        """Whether it requires a gradient, or is a view of what does."""
        nodes = self.tape.nodes[self._flown :]
        self._flown += len(nodes)
        self._needed.update(own for node in nodes for own in node.inputs if own.trainable)
        flow(nodes, self._needed)
        return not self._needed.isdisjoint(viewed(t))

    def _aside(self) -> set[SymbolicTensor]:
        """The tensors whose axes of size 1 may step otherwise: they step as they did in a view, and
        as in plain order in what is made of tensors in plain order.
        """
        found: set[SymbolicTensor] = set()
        for node in self.tape.nodes:
            law, apart = _law(node), not found.isdisjoint(node.inputs)
            if not (isinstance(law, View) and law is not views.expand and law is not views.reshape):
                around = (*node.inputs, *node.outputs)
                lies = (self.memory.of(t).strides == in_order(t.dims) for t in around)
                apart = apart or not all(lies)
            (found.update if apart else found.difference_update)(node.outputs)
        return found

    def of(self, t: SymbolicTensor, place: str, line: str, asks: str = "python asks") -> Layout:
        """Where a tensor lies. Raises DataDependent where sizes, or operations, leave it open."""
        run, query = self.run, ("lies", t.dims)
        if run.script:
            return run.replay(query)  # type: ignore[return-value]
        mark, layout = len(run.steps), self._of(t)
        if isinstance(layout, _Open):
            refused = partial(
                DataDependent,
                f"{place}: {asks} how a tensor lies in memory, at {line}, which"
                f" {layout.node.op} leaves open{' ' + layout.why if layout.why else ''}",
                cure="call contiguous() before",
            )
            run.note(mark, query, refused())
            raise refused()
        run.note(mark, query, layout)
        return layout

    def usual(self, t: SymbolicTensor) -> Layout | None:
        """Where a tensor lies at most sizes; None where operations leave that open."""
        self._follow()
        return None if t in self.open and self.open[t].condition is None else self.memory.of(t)

    def _of(self, t: SymbolicTensor) -> Layout | _Open:
        """What is open of the tensors that it hangs on is decided on the way to it, in order."""
        self._follow()
        if t in self.open:
            self._decides = True
            try:
                for position in self._on_the_way_to(t):
                    self._lay(position)
            finally:
                self._decides = False
        return self.open.get(t) or self.memory.of(t)

    def _on_the_way_to(self, t: SymbolicTensor) -> list[int]:
        """The nodes by which it hangs on what is open."""
        found: set[Node] = set()
        stack = [t]
        while stack:
            node = stack.pop().node
            if node is not None and node not in found:
                found.add(node)
                stack += (own for own in _lies_by(node, _law(node)) if own in self.open)
        return [i for i, node in enumerate(self.tape.nodes) if node in found]

    def strides(self, t: SymbolicTensor, place: str, line: str) -> tuple[Int, ...]:
        """Its strides, those of axes of size 1 among them. Raises DataDependent as `of` does, and
        where such an axis may step otherwise.
        """
        strides = self.of(t, place, line).strides
        for size in dict.fromkeys(t.dims if t in self._aside() else ()):
            if isinstance(size, Size) and self.run.decide(Condition(size, "==", 1)):
                raise DataDependent(
                    f"{place}: python asks for the stride of an axis of size 1, at {line}, which"
                    " says nothing of how the tensor lies",
                    cure="ask for those of longer axes, or call contiguous() before",
                )
        return strides

    def offset(self, t: SymbolicTensor, place: str, line: str) -> Int:
        """Elements before the first one. Raises DataDependent as `of` does."""
        self.of(t, place, line)
        node = t.node
        if node is None or self.memory.of(t).storage in self.memory.made.get(node, ()):
            return 0
        x = node.inputs[0]
        before = self.offset(x, place, line)
        operation = operation_of(node)
        law = None if operation is None else operation.saves
        if isinstance(law, View) and law.begins is not None:
            ahead = law.begins(node, t, self.memory.of(x).strides)
            if ahead is not None:
                return before + ahead
        if self.memory.of(x) is self.memory.of(t):
            return before
        raise DataDependent(
            f"{place}: python asks where a tensor begins in memory, at {line}, which {node.op}"
            " leaves open"
        )


class Lying:
    """The strides of one tensor for a rule, which asks if they matter."""

    def __init__(self, layouts: Layouts, t: SymbolicTensor, place: str) -> None:
        self.layouts, self.tensor, self.place = layouts, t, place
        self.found: tuple[Int, ...] | None = None

    def __call__(self) -> tuple[Int, ...]:
        """Raises DataDependent where sizes, or operations, leave them open."""
        layout = self.layouts.of(self.tensor, self.place, caller(), "a view that merges axes asks")
        self.found = layout.strides
        return self.found


class Room(Lying):
    """The elements of the memory of one tensor, and how many are before it."""

    def __call__(self) -> tuple[Int, ...]:
        """Raises DataDependent where sizes, or operations, leave them open."""
        layout = self.layouts.of(self.tensor, self.place, caller(), "a view by strides asks")
        offset = self.layouts.offset(self.tensor, self.place, caller())
        self.found = layout.storage.elements, offset
        return self.found


#: What torch refuses rather than copy: its rule asks for the strides.
_NO_COPY = frozenset({"view", "view_as"})


@lru_cache(maxsize=1024)
def asks(operation: Operation, name: str) -> tuple[str, type[Lying]] | None:
    """The parameter by which a rule asks how its first tensor lies, and for what; None if none."""
    if "room" in signature(operation.rule).parameters:
        return "room", Room
    return ("strides", Lying) if name in _NO_COPY else None


def viewed(t: SymbolicTensor) -> Iterator[SymbolicTensor]:
    """It, and what it is a view of or may be, one after the other."""
    yield t
    while (node := t.node) is not None and node.inputs and _views(node):
        t = node.inputs[0]
        yield t


def _views(node: Node) -> bool:
    maker = operation_of(node)
    return maker is not None and maker.gradient and isinstance(maker.saves, View)


def is_stretched(t: SymbolicTensor) -> bool:
    """Whether it is, or is a view of, what was expanded."""
    made = (view.node for view in viewed(t))
    return any(node is not None and _law(node) in _STRETCHES for node in made)


#: Laws by which several places are one in memory.
_STRETCHES = (views.expand, views.meshgrid)


def torn_from(t: SymbolicTensor) -> SymbolicTensor | None:
    """What nobody writes to while gradients flow, if it is that or a part of that: one of several
    views that were made at once, a view that was made without gradients, a weight.
    """
    for view in viewed(t):
        node = view.node
        if node is None:
            return view if view.trainable else None
        if _views(node) and (not node.mode.grad or getattr(_law(node), "together", False)):
            return view
    return None


class Traced(Protocol):
    """A run, as far as it is asked what was written to."""

    wrote: bool  # whether the forward wrote to a tensor

    @property
    def layouts(self) -> Layouts:
        """Where the tensors of the run lie."""

    def place(self) -> str:
        """The path of the module that is running."""


def require_whole(run: Traced, node: Node, writes: bool, out: object) -> None:
    """Raises ShapeMismatch where autograd cannot say what was written to: `out`, a weight, one of
    several views that were made at once, or what these are views of, before.
    """
    cure = "make a new tensor in place of writing, or trace under torch.no_grad() if that is how"
    cure += " the forward runs"
    if out is not None and run.layouts.needs(node.outputs[0]):
        raise ShapeMismatch(f"{node.op}: no gradient flows to what is written with out=", cure=cure)
    target = node.inputs[0] if writes and node.inputs and not leaves_alone(node) else None
    before = [t for t in node.inputs if t in run.layouts.torn] if run.wrote else []
    for t in before if target is None else [target, *before]:
        view = torn_from(run.layouts.torn.get(t, t))
        if view is None or not _shares(run, t, view):
            continue
        gradient = run.layouts.needs(node.outputs[0]) or (t is target and run.layouts.needs(t))
        if not (
            gradient or (t is not target and differentiable(node) and _of_a_gradient(run, view))
        ):
            continue
        maker = view.node
        if maker is None:
            what = f"{view.name or 'a tensor'} requires a gradient, and"
        elif maker.mode.grad:
            what = f"{maker.op} made several views at once, and one of them or what they look at"
        else:
            what = f"{maker.op} made a view without gradients, and that or what it looks at"
        raise ShapeMismatch(
            f"{node.op}: {what} is written to in place, which torch refuses where gradients flow",
            cure=cure,
        )


def _of_a_gradient(run: Traced, view: SymbolicTensor) -> bool:
    """Whether a view that was made without gradients is one of what has a gradient."""
    made = view.node is not None and not view.node.mode.grad
    return made and any(map(run.layouts.needs, viewed(view)))


def _shares(run: Traced, t: SymbolicTensor, view: SymbolicTensor) -> bool:
    """Whether a tensor lies in the memory of a view, as far as that is known."""
    with suppress(DataDependent):
        own, whole = (run.layouts.of(x, run.place(), caller()).storage for x in (t, view))
        return any(whole is storage for storage, _ in own.parts())
    return False


def repeats(
    layouts: Layouts, writes: Operation, args: Sequence[object], place: str
) -> tuple[Int, ...]:
    """The sizes of axes along which what is written to is one place in memory, where an operation
    that writes to its first argument looks for those.
    """
    target = args[0]
    if writes.fills is True or not (isinstance(target, SymbolicTensor) and is_stretched(target)):
        return ()
    with suppress(DataDependent):
        lies: Layout | None = layouts.of(target, place, caller())
        if writes.fills:
            lies = writes.fills(layouts.memory, *args)
        if lies is not None:
            return tuple(d for d, s in zip(lies.dims, lies.strides, strict=True) if s == 0)
    return ()


def follows(layout: Layout, order: Sequence[int], decide: Decide) -> bool:
    """Whether axes lie in this order, the innermost last, without gaps."""
    expected: Int = 1
    for axis in reversed(order):
        size, stride = layout.dims[axis], layout.strides[axis]
        if size == 1:
            continue
        single = isinstance(size, Size) and stride != expected
        if single and decide(Condition(size, "==", 1)):
            continue
        if stride != expected and not _equal(stride, expected, decide):
            return False
        expected = expected * size
    return True


def _equal(a: Int, b: Int, decide: Decide) -> bool:
    """Whether two products of sizes are equal: each factor that they do not share is 1."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    for one, other in ((a, b), (b, a)):
        rest = exact_div(one, other) if other else None
        if isinstance(rest, Size) and len(rest.terms) == 1:
            ((mono, number),) = rest.terms.items()
            if number >= 1:  # of a minimum it is negative
                return number == 1 and all(decide(Condition(f.size(), "==", 1)) for f, _ in mono)
    return decide(Condition(a, "==", b))
