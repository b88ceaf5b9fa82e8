"""A run of a trace in memory: what each operation makes, views and keeps for the backward pass.

The record of an operation says how it does it: a law, of those in this package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from symcnn.algebra.size import Int, Size, prod
from symcnn.errors import UnsupportedOperation
from symcnn.ops.autograd import Gradients, flow
from symcnn.ops.operation import Steps, operation_of, tensors_named
from symcnn.ops.storage.layouts import (
    BY_SIZES,
    Dims,
    Holds,
    KeptUnknownError,
    Layout,
    Storage,
    UnknownError,
    copied_strides,
    in_order,
    ordered,
    pointwise_strides,
    unasked,
    view_strides,
)
from symcnn.trace.dtype import BYTES
from symcnn.trace.graph import Constant, Custom, Node, Parameter, SymbolicTensor, tensors_in
from symcnn.trace.tape import Tape

#: Bytes per element of places, and of sums in single precision.
LONG, SINGLE = 8, 4


Rule = Callable[["Memory", Node], None]

#: A node, what is there from then on before it runs, what stands beside that at its moments, what
#: of these stays, and what goes behind the node.
Life = tuple[
    Node, dict[Storage, None], Sequence[Sequence[Storage]], dict[Storage, None], Iterable[Storage]
]


class Memory:
    """Runs the nodes of a network over storages: what each makes, and what autograd saves."""

    def __init__(
        self, nodes: Sequence[Node], gradients: Gradients, own: str = "", dtype: str = ""
    ) -> None:
        self.gradients = gradients
        self.own = own  # the dtype in which the network runs
        self.width = BYTES[dtype or own]  # of what is of that dtype
        self.recast = bool(dtype) and BYTES[dtype] != BYTES[own]  # asked in another than it runs in
        self._weights: dict[SymbolicTensor, Layout] = {}  # copies that autocast keeps now
        self._cached: dict[Storage, Node] = {}  # such copies, and the last node under that autocast
        self._constants: dict[object, Storage] = {}  # by their memory
        self.layouts: dict[SymbolicTensor, Layout] = {}
        self.made: dict[Node, list[Storage]] = {}
        self.saved: dict[Node, list[Storage]] = {}
        self.meetings: dict[Node, list[list[Storage]]] = {}  # see `meet`
        self.unknown: list[tuple[Node, str]] = []  # what autograd keeps of these
        self.unplaced: list[tuple[Node, str]] = []  # and, of these of them, where the results lie
        self.holds: Holds = unasked
        self.run(nodes)

    def run(self, nodes: Iterable[Node]) -> None:
        """More nodes, in order."""
        for node in nodes:
            self._node = node
            self.made[node], self.saved[node] = [], []
            self._grad = node.mode.grad and any(t in self.gradients.needed for t in node.outputs)
            self._run(node)

    # what rules use

    def of(self, t: SymbolicTensor) -> Layout:
        """Where a tensor lies; leaves are in plain order."""
        found = self.layouts.get(t)
        if found is None:
            constant = t if isinstance(t, Constant) else None
            owned = isinstance(t, Parameter) or (constant is not None and constant.owned)
            held = constant is not None and constant.held
            kind = "own" if owned else "held" if held else "input"
            elements = getattr(t, "stored", None) or prod(t.dims)
            storage = Storage(elements, self.width_of(t), kind)
            if constant is not None and constant.memory is not None:
                storage = self._constants.setdefault(constant.memory, storage)
            strides = getattr(t, "strides", None) or in_order(t.dims)
            found = self.layouts[t] = Layout(storage, t.dims, strides)
        return found

    def width_of(self, t: SymbolicTensor) -> int | None:
        """Bytes per element; None for a tensor of the network's own dtype."""
        return None if t.dtype in ("", self.own) else BYTES[t.dtype]

    def bytes_of(self, t: SymbolicTensor) -> int:
        """Bytes per element."""
        return self.width_of(t) or self.width

    def _floats(self) -> int | None:
        """Bytes per element of what the node makes beside its outputs."""
        tensors = (*self._node.outputs, *self._node.inputs)
        return next((self.width_of(t) for t in tensors if is_float(t)), None)

    def needs(self, *tensors: object) -> bool:
        """Whether one of them requires a gradient."""
        return self.gradients.needs(tensors_in(*tensors))

    def fresh(
        self,
        dims: Dims,
        width: int | None = None,
        order: Sequence[int] | None = None,
        strides: Dims | None = None,
    ) -> Layout:
        """A new tensor, in plain order or in the one given, or with strides."""
        width = self._floats() if width is None else width
        storage = Storage(prod(dims), width, "activation")
        self.made[self._node].append(storage)
        if strides is None:
            strides = in_order(tuple(dims)) if order is None else ordered(dims, order)
        return Layout(storage, tuple(dims), tuple(strides))

    def place(self, layout: Layout, index: int = 0) -> None:
        """Put an output of the node there."""
        self.layouts[self._node.outputs[index]] = layout

    def view(self, base: Layout, dims: Dims, strides: Dims, index: int = 0) -> None:
        """An output that shares the storage of `base`."""
        self.place(Layout(base.storage, tuple(dims), tuple(strides)), index)

    def save(self, *tensors: SymbolicTensor | Layout | Storage | None) -> None:
        """Tensors, layouts or storages that autograd keeps."""
        if not self._grad:
            return
        for t in tensors:
            storage = (
                t
                if isinstance(t, Storage)
                else t.storage
                if isinstance(t, Layout)
                else self.of(t).storage
                if t is not None
                else None
            )
            if storage is not None:
                self.saved[self._node].append(storage)

    def keep(self, node: Node, names: str) -> None:
        """New outputs, and what is kept by name."""
        for i, t in enumerate(node.outputs):
            self.place(self.fresh(t.dims), i)
        self.save(*tensors_named(node, names))

    def extra(self, elements: Int, width: int | None = None) -> None:
        """Something made for the backward pass only."""
        if self._grad:
            self.beside(elements, width)

    def beside(self, elements: Int, width: int | None = None) -> None:
        """Something made on the way in any case, which autograd keeps."""
        width = self._floats() if width is None else width
        storage = Storage(elements, width, "extra")
        self.made[self._node].append(storage)
        self.save(storage)

    def reshaped(self, base: Layout, dims: Dims, holds: Holds = unasked) -> Layout:
        """A view with other sizes, or a copy where there is none."""
        found = view_strides(base, dims, holds)
        if found is None:
            return self._copy(base, dims)
        strides, runs = found
        return Layout(base.storage, tuple(dims), strides, (base, runs))

    def meet(self, *layouts: Layout) -> None:
        """A moment of the node: of what it makes, this stands in memory at once, beside what it
        reads.
        """
        read = map(self.of, self._node.inputs)
        every = (layout.storage for layout in (*read, *layouts))
        made = dict.fromkeys(s for s in every if s in self.made[self._node])
        self.meetings.setdefault(self._node, []).append([*made])

    def in_order(self, base: Layout) -> Layout:
        """`base` if it is contiguous, else a copy that is."""
        if base.contiguous:
            return base
        return self._copy(base, base.dims)

    def _copy(self, base: Layout, dims: Dims) -> Layout:
        storage = Storage(prod(dims), self.width_in(base), "activation")
        self.made[self._node].append(storage)
        return Layout(storage, tuple(dims), in_order(tuple(dims)))

    def width_in(self, base: Layout) -> int | None:
        """Bytes per element of what the node reads there: a part of complex numbers is narrower
        than what it is a part of.
        """
        read = (t for t in self._node.inputs if self.of(t).storage is base.storage)
        return next(map(self.width_of, read), base.storage.width)

    def alive(
        self,
        nodes: Sequence[Node],
        inputs: Iterable[SymbolicTensor],
        outputs: Iterable[SymbolicTensor],
        held: Iterable[tuple[SymbolicTensor, int]],
    ) -> Iterator[tuple[Node, list[Storage]]]:
        """What is alive while each node runs: a tensor lives from its maker to its last reader, or
        as long as python holds the tensor; a constant that the forward makes from its first reader.
        Of what an operation makes on its way (a copy, the scores of attention) what its record says
        to stand there at once, else one at a time.

        inputs: what stands there throughout.
        held: what python holds, and the place of the last node that runs while python does.
        """
        alive: dict[Storage, None] = {}
        for node, came, moments, stay, gone in self.lives(nodes, inputs, outputs, held):
            alive |= came
            yield from ((node, [*alive, *more]) for more in moments)
            alive |= stay
            for storage in gone:
                alive.pop(storage, None)

    def lives(
        self,
        nodes: Sequence[Node],
        inputs: Iterable[SymbolicTensor],
        outputs: Iterable[SymbolicTensor],
        held: Iterable[tuple[SymbolicTensor, int]],
    ) -> Iterator[Life]:
        """The same as what comes and goes: of a loop of many steps, which adds one tensor to many,
        all that are alive are not listed at each.
        """
        last: dict[Storage, int] = {}
        for i, node in enumerate(nodes):
            for t in (*node.inputs, *node.outputs):
                last[self.of(t).storage] = i
            last.update((s, i) for s in self.made[node] if s not in last)
        for t, i in held:
            last[self.of(t).storage] = max(i, last.get(self.of(t).storage, i))
        places = {node: i for i, node in enumerate(nodes)} if self._cached else {}
        for storage, node in self._cached.items():
            last[storage] = places.get(node, len(nodes))
        for t in (*inputs, *outputs):
            last[self.of(t).storage] = len(nodes)
        ends: dict[int, list[Storage]] = {}
        for storage, i in last.items():
            ends.setdefault(i, []).append(storage)
        came = dict.fromkeys(self.of(t).storage for t in inputs)
        for i, node in enumerate(nodes):
            read = (self.of(t).storage for t in node.inputs)
            came.update(dict.fromkeys(s for s in read if s.kind == "input"))
            made = self.made[node]
            results = {self.of(t).storage for t in node.outputs} | self._cached.keys()
            scratch = [s for s in made if last[s] == i and s not in results]
            stay = dict.fromkeys(s for s in made if s not in scratch)
            moments = self.meetings.get(node) or [[*stay, s] for s in scratch] or [[*stay]]
            yield node, came, moments, stay, ends.get(i, ())
            came = {}

    def _take(self, node: Node, steps: Steps) -> None:
        """What an operation of steps makes and keeps is what its steps do, and what stands in
        memory at once is what does at one of them.
        """
        cast = ("cpu", node.mode.cast) if node.mode.cast else None
        with Tape(dtype=self.own, autocast=cast).running() as tape:
            outputs, held = steps(node)
        if node.mode.grad:
            flow(tape.nodes, self.gradients.needed)
        told, unplaced = len(self.unknown), len(self.unplaced)
        self.run(tape.nodes)
        self._node = node
        for found, count in ((self.unknown, told), (self.unplaced, unplaced)):
            found[count:] = [(node, f"in its {step.op} {how}") for step, how in found[count:]]
        self.made[node] = [s for step in tape.nodes for s in self.made[step]]
        self.saved[node] = [s for step in tape.nodes for s in self.saved[step]]
        own, until = {*self.made[node]}, len(tape.nodes) - 1
        lives = self.alive(tape.nodes, (), outputs, [(t, until) for t in held])
        moments = {frozenset(own.intersection(alive)): None for _, alive in lives}
        greatest = [m for m in moments if not any(m < other for other in moments)]
        self.meetings[node] = [[s for s in self.made[node] if s in m] for m in greatest]
        for step in tape.nodes:
            del self.made[step], self.saved[step]
            self.meetings.pop(step, None)
        for i, t in enumerate(outputs):
            self.place(self.of(t), i)

    def _run(self, node: Node) -> None:
        operation = operation_of(node)
        steps = None if operation is None else operation.steps
        if self._weights and not node.mode.autocast:
            self._weights = {}
        before = self._cast(node) if node.mode.cast and steps is None else {}
        saves = None if operation is None else operation.saves
        try:
            if steps is not None:
                self._take(node, steps)
            elif saves is None:
                self._leave_open(node, "")
            elif isinstance(saves, str):
                self.keep(node, saves)
            else:
                saves(self, node)
        except KeptUnknownError as error:
            if self._grad:
                self.unknown.append((node, str(error)))
        except UnknownError as error:
            self._leave_open(node, str(error))
        self.layouts.update(before)
        self._cached |= dict.fromkeys((copy.storage for copy in self._weights.values()), node)
        for i, t in enumerate(node.outputs):
            if t not in self.layouts:
                self.place(self.fresh(t.dims), i)
            storage = self.layouts[t].storage
            if storage in self.made[node]:
                storage.width = self.width_of(t)
        if node.mode.custom is not None:
            self._keep_custom(node, node.mode.custom)
        if node.taken != 1:
            for storage in self.made[node]:
                storage.taken, storage.behind = node.taken, self.of(first_of(node)).storage

    def _leave_open(self, node: Node, why: str) -> None:
        """What the node makes and keeps is not known; what it writes to lies where it lay."""
        self.unknown.append((node, why))
        self.unplaced.append((node, why))
        if written(node):
            self.place(self.of(first_of(node)))

    def _keep_custom(self, node: Node, custom: Custom) -> None:
        """What a torch.autograd.Function saves, as far as it is made by now."""
        if custom.saves is None:
            if any(t in self.gradients.needed for t in node.outputs):
                self.unknown.append((node, f"in {custom.name}, with a setup_context"))
        elif custom.inputs is None or self.needs(*custom.inputs):
            made = [t for t in custom.saves if t.node is None or t in self.layouts]
            self.saved[node] += [self.of(t).storage for t in made]

    def _cast(self, node: Node) -> dict[SymbolicTensor, Layout]:
        """Copies of what autocast has the node read in another dtype; where they lay before."""
        before: dict[SymbolicTensor, Layout] = {}
        for t, times in Counter(node.inputs).items():
            if is_float(t) and t.dtype != node.mode.cast and t not in self._weights:
                base = self.of(t)
                strides = copied_strides(t.dims, base.strides, self.holds)
                copy = self.fresh(t.dims, BYTES[node.mode.cast], strides=strides)
                if t.node is None and (t.trainable or self.needs(t)):  # autocast keeps the copy
                    self._weights[t] = copy
                else:  # what is read twice is cast twice
                    copy.storage.elements = times * copy.storage.elements
                before[t], self.layouts[t] = base, copy
            elif t in self._weights:
                before[t], self.layouts[t] = self.of(t), self._weights[t]
        return before


def is_float(t: SymbolicTensor) -> bool:
    """Whether it holds floats."""
    return t.dtype == "" or "float" in t.dtype


def first_of(node: Node) -> SymbolicTensor:
    """The first input of an operation."""
    return node.inputs[0]


def out(m: Memory, node: Node) -> Layout:
    """The output of a pointwise operation: in place, or new and laid out as the input."""
    if in_place(node):
        layout = m.of(first_of(node))
    else:
        dims, layouts = node.outputs[0].dims, [m.of(t) for t in node.inputs]
        operands = [node.arguments.get(name) for name in ("input", "other")]
        numbers = any(isinstance(value, (int, float, complex, Size)) for value in operands)
        strides = pointwise_strides(dims, layouts, numbers=numbers, holds=m.holds)
        layout = m.fresh(dims, strides=strides)
    m.place(layout)
    return layout


def written(node: Node) -> bool:
    """Whether what comes out is the tensor that went in first, at its place in memory."""
    return node.mode.inplace and [t.dims for t in node.outputs] == [first_of(node).dims]


def in_place(node: Node) -> bool:
    """Whether the operation writes to its input: as a method, or because an argument says so."""
    said = node.arguments.get("inplace"), extra_kwarg(node, "inplace")
    return bool(node.inputs) and (node.mode.inplace or True in said)


def extra_kwarg(node: Node, name: str) -> object:
    """An argument that the rule of the shapes does not read."""
    return node.call.kwargs.get(name) if node.call is not None else None


def keep(m: Memory, node: Node, *tensors: SymbolicTensor) -> None:
    """Save operands. Of the one that the operation overwrites torch keeps a copy."""
    for t in tensors:
        if t is first_of(node) and in_place(node):
            m.extra(prod(t.dims), m.width_in(m.of(t)))
        else:
            m.save(t)


def refusal(node: Node, how: str) -> UnsupportedOperation:
    """The error for an operation whose record does not say what it keeps."""
    called = f"{node.op} {how}".strip()
    numbers = "ask at sizes, cost.at(...), or " if how.endswith(BY_SIZES) else "ask "
    return UnsupportedOperation(
        f"{node.module or node.name}: what autograd keeps for {called} is not known",
        cure=f"{numbers}with partial=True for a lower bound",
    )
