"""`Trace`: what a network is made of: the record that every question reads.

The law: *a trace knows no question.* It has the tensors, nodes, module calls, guards, parameters
and symbols, the set of sizes that all of these accept, and the parts and twins of itself. Questions
are functions of a trace; what they work out once for a trace stands in its `memory`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from inspect import isfunction
from operator import methodcaller
from typing import Any, Self, TypeVar

from symcnn.algebra.expr import Expr, Number
from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, Size, evaluate, lows, spelling, symbols_of
from symcnn.errors import BadSpec, Undecidable, suggested
from symcnn.lazy import cached_property
from symcnn.sets.condition import Requirement, subexpressions
from symcnn.sets.grammar import check_sizes
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.simplest import Simplest, known_sizes
from symcnn.shown import Several
from symcnn.trace.branches import At, Branch, Conditions, Part, said, say_scope
from symcnn.trace.coverage import Coverage, elsewhere, further, leave
from symcnn.trace.graph import (
    Constant,
    Node,
    Parameter,
    Scope,
    Shape,
    SymbolicTensor,
    ancestors,
    name_nodes,
    public,
    tensors_in,
    to_pickle,
    tree_map,
)
from symcnn.trace.maps import map_axes
from symcnn.trace.rerun import (
    AnotherBranch,
    Atoms,
    Replay,
    atoms_by_name,
    check_values,
    hyperparameters,
)
from symcnn.trace.tape import Tape

_SPATIAL = frozenset("DHWLTS")


T = TypeVar("T")


class Trace(Coverage):
    """A traced network without its questions; `symcnn.network.Network` has these too."""

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        *,
        tape: Tape | None = None,
        parameters: Sequence[Parameter] | None = None,
        buffers: Sequence[Constant] = (),
        name: str = "",
    ) -> None:
        self.name = name
        self._inputs = tuple(tensors_in(inputs))
        self._outputs = outputs
        self.nodes: tuple[Node, ...]
        self._calls: tuple[Scope, ...] = ()
        #: Tensors that python holds for longer than nodes read them, until so many nodes stand.
        self.releases: Mapping[SymbolicTensor, int] = {}
        super().__init__()
        if tape is None:
            self.nodes = tuple(ancestors(tensors_in(outputs)))
        else:
            self.nodes = tuple(tape.nodes)
            self._calls, self.guards = tuple(tape.calls), tuple(tape.guards)
            self.checks, self.lengths = tuple(tape.checks), tuple(tape.lengths)
            self.releases = tape.releases
        self._parameters = None if parameters is None else tuple(dict.fromkeys(parameters))
        self.buffers = tuple(buffers)
        self._order: tuple[Node | None, ...] = self.nodes  # of the trace that it is, or is part of
        self.memory: dict[str, Any] = {}  # answers, by the names of questions
        name_nodes(self.nodes)
        law = self.simplest
        for node in self.nodes:
            node.law = node.law or law

    def __getstate__(self) -> Any:
        """Nodes first: each reads only what those before it made, so no depth is too much."""
        kind = type(self)
        computed = {k for k in vars(self) if isinstance(getattr(kind, k, None), cached_property)}
        state = {k: v for k, v in vars(self).items() if k not in computed} | {"memory": {}}
        state["_outputs"] = to_pickle(self._outputs)
        return self.nodes, [to_pickle(c.output) for c in self._calls], state

    def __setstate__(self, state: Any) -> None:
        _, outputs, attributes = state
        self.__dict__.update(attributes)
        for call, output in zip(self._calls, outputs, strict=True):
            call.output = output
        for node in self.nodes:
            node.law = node.law or self.simplest

    def __init_subclass__(cls, **options: Any) -> None:
        """Public methods are questions: their answers say for which sizes they hold."""
        super().__init_subclass__(**options)
        for name, ask in [*vars(cls).items()]:
            if isfunction(ask) and not name.startswith("_"):
                setattr(cls, name, say_scope(ask))

    # branches

    @property
    def branches(self) -> tuple[Branch[Self], ...]:
        """The paths through the forward: disjoint sets of sizes, and a network for each."""
        requirements = tuple(g.requirement for g in self.guards)
        try:
            where = self.sizes_that_meet(requirements)
        except Undecidable:
            everything = input_set(self._spoken_of(requirements), (), batch=tuple(self.batch))
            where = Conditions(everything, requirements)
        taken = tuple(f"{g.where} {said(g.requirement)}" for g in self.guards)
        return Several((Branch(where, self, taken),))

    # shapes

    @property
    def inputs(self) -> tuple[Shape, ...]:
        """The shapes of the inputs."""
        return tuple(t.shape for t in self._inputs)

    @cached_property
    def outputs(self) -> Any:
        """Output shapes, nested as the module returns them."""
        return tree_map(self._spoken, self._outputs)

    def _spoken(self, value: Any) -> Any:
        """A tensor as its shape, and a size that the module returns, as users see them."""
        if isinstance(value, SymbolicTensor):
            return Shape.of(map(self.simplest, value.dims))
        return public(self.simplest(value)) if isinstance(value, Size) else value

    def shapes(self, sizes: Mapping[str, int]) -> Any:
        """The output shapes at sizes, valid or not.

        Args:
            sizes: every size, by name.

        Returns:
            Ints, nested as the module returns them.

        Raises:
            KeyError: for a size that is missing.
            InvalidInput: where the code of the model raises, or no branch was followed.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.shapes({"N": 1, "H": 8, "W": 8})
        (1, 8, 6, 6)
        """
        taken = self.branch_at(**sizes)
        if taken is not self:
            return taken.shapes(sizes)

        def at(value: object) -> object:
            if isinstance(value, SymbolicTensor):
                return Shape(evaluate(d, sizes) for d in value.dims)
            return evaluate(value, sizes) if isinstance(value, Size) else value

        return tree_map(at, self._outputs)

    @property
    def input_tensors(self) -> tuple[SymbolicTensor, ...]:
        """The inputs themselves."""
        return self._inputs

    @property
    def output_tensors(self) -> tuple[SymbolicTensor, ...]:
        """All tensors that the network returns, in order."""
        return tuple(tensors_in(self._outputs))

    @property
    def output_dims(self) -> tuple[Int, ...]:
        """The sizes of the (first) output, as kernel expressions."""
        for t in tensors_in(self._outputs):
            return t.dims
        raise BadSpec("the network has no tensor as its output")

    def describe_output(self) -> str:
        """The first output shape as text.

        Returns:
            Text such as ``(N, 8, H//2, W//2)``.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.describe_output()
        '(N, 8, H - 2, W - 2)'
        """
        return f"({', '.join(text(self.simplest(d)) for d in self.output_dims)})"

    @cached_property
    def simplest(self) -> Simplest:
        """An expression (an int or a kernel expression) in its simplest form on the domain.

        The domain decides floors and maxima: ``floor(H/4)`` is ``H/4`` where ``H % 4 == 0``. All
        formulas that the network answers with are in this form; `general` has the others.
        """

        def sizes() -> InputSet | None:
            try:
                return self._valid
            except Undecidable:  # those count that are not: what holds where these hold, holds
                return known_sizes(self.symbols, self.requirements)

        return Simplest(sizes, lambda: self.requirements)

    @property
    def general(self) -> Self:
        """The same network, whose formulas are as the layers make them, whatever the domain.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Unflatten(2, (-1, 2)), nn.Flatten(2)).trace("N 8 L")
        >>> net.output_shape, net.general.output_shape
        ((N, 8, L), (N, 8, 2*(L//2)))
        """
        twin = copy.copy(self)
        for name in ("outputs", "params"):
            twin.__dict__.pop(name, None)
        twin.memory = {}
        twin.__dict__["simplest"] = Simplest()
        return twin

    def without(self, requirements: Collection[Requirement]) -> Self:
        """The same network without some requirements; nodes that make them are left out.

        Args:
            requirements: those that go.

        Returns:
            The network without them.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.without(net.requirements).valid_inputs()
        H >= 1 and W >= 1
        """
        twin = copy.copy(self)
        twin.__dict__["requirements"] = tuple(r for r in self.requirements if r not in requirements)
        twin.nodes = tuple(
            n for n in self.nodes if not any(r in requirements for r in n.result.requires)
        )
        return twin

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The names of the sizes, in the order in which the inputs list them."""
        names: dict[str, None] = {}
        for t in self._inputs:
            for dim in t.dims:
                names.update(dict.fromkeys(sorted(symbols_of(dim))))
        return tuple(names)

    @cached_property
    def batch(self) -> frozenset[str]:
        """The sizes that a tuple such as ``(224, 224)`` leaves out: batch and channels."""
        alone = self.leading == set(self.symbols)  # a size, if no other is open
        return frozenset() if alone else self.leading

    @cached_property
    def leading(self) -> frozenset[str]:
        """The sizes of axes that no window slides along: batch and channels."""
        first = {a for t in self._inputs for a in symbols_of(*t.dims[:1]) if t.ndim > 1}
        return frozenset((first - _SPATIAL) | ({"N", "C"} & set(self.symbols)))

    def complete_sizes(self, sizes: Mapping[str, object]) -> dict[str, int]:
        """A number for every symbol.

        Args:
            sizes: numbers, by name.

        Returns:
            The same, as ints.

        Raises:
            BadSpec: for a symbol that is missing or unknown, or a number that it cannot be.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.complete_sizes({"N": 1, "H": 8, "W": 8})
        {'N': 1, 'H': 8, 'W': 8}
        """
        values = check_sizes(sizes, self.accepted_symbols(sizes), self.may_be_zero)
        missing = self.free_symbols - set(values)
        if missing:
            raise BadSpec(f"no value for {', '.join(sorted(missing))}", cure="give every size")
        return values

    @cached_property
    def may_be_zero(self) -> frozenset[str]:
        """Symbols that were not declared positive: paddings, depths."""
        exprs = [d for t in (*self._inputs, *tensors_in(self._outputs)) for d in t.dims]
        exprs += [d for n in self.nodes for t in (*n.outputs, *n.parameters) for d in t.dims]
        exprs += [n.result.blocks.count for n in self.nodes if n.result.blocks]
        sides = (s for r in self.requirements for s in subexpressions(r))
        return frozenset(name for name, low in lows(*exprs, *sides) if low != 1)

    @cached_property
    def free_symbols(self) -> frozenset[str]:
        """The symbols of inputs, outputs and requirements."""
        in_outputs = (symbols_of(*t.dims) for t in tensors_in(self._outputs))
        in_domain = (r.symbols for r in self.requirements)
        return frozenset(self.symbols).union(*in_outputs, *in_domain)

    def accepted_symbols(self, sizes: Iterable[object]) -> frozenset[str]:
        """The symbols that may be given a number.

        Args:
            sizes: names that somebody gives; where all are free symbols, others are not looked for.

        Returns:
            Their names.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> sorted(net.accepted_symbols(["H"]))
        ['H', 'N', 'W']
        """
        known = self.free_symbols
        return known if known.issuperset(map(str, sizes)) else known | self.parameter_symbols

    @cached_property
    def parameter_symbols(self) -> frozenset[str]:
        """Symbols of which only parameters, costs or receptive fields tell: an odd kernel that
        keeps the size, the number of residual blocks.
        """
        exprs: list[Int] = []
        for node in self.nodes:
            result = node.result
            exprs += [result.work, *(d for p in node.parameters for d in p.dims)]
            exprs += [result.blocks.count] if result.blocks else []
            for axes in (result.axes, *result.parts, *(a for _, a in result.others)):
                exprs += [v for _, m in axes or () for v in m.hyperparameters()]
        return frozenset(n for n in symbols_of(*exprs) if n.isidentifier()) - self.free_symbols

    @cached_property
    def spelled(self) -> dict[str, Int]:
        """What a symbol written by name stands for here: a depth that may be 0, an odd kernel."""
        exprs = [d for t in (*self._inputs, *tensors_in(self._outputs)) for d in t.dims]
        for node in self.nodes:
            result = node.result
            exprs += [result.work, *(d for p in node.parameters for d in p.dims)]
            exprs += [d for t in node.outputs for d in t.dims]
            exprs += [result.blocks.count] if result.blocks else []
        return spelling(*exprs)

    # parts

    def at(self, name: str) -> Self:
        """The network up to a module or a node, for every question.

        Args:
            name: a module path, ``"layer4"``, ``"relu:2"`` for its second call, or the name of a
                node.

        Returns:
            The part whose output that is.

        Raises:
            BadSpec: with near names, if there is none.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> net.at("0").output_shape
        (N, 8, (H - 1)//2, (W - 1)//2)
        """
        outputs = self.located(name)
        part = type(self)(self._inputs, outputs, name=name)
        part._order = self._order
        part.nodes = tuple(sorted(part.nodes, key=self.position))
        last = max(map(self.position, part.nodes), default=-1)
        part.guards = tuple(g for g in self.guards if g.after <= last)
        part.checks, part.lengths, part.releases = self.checks, self.lengths, self.releases
        inside = set(part.nodes)
        part._calls = tuple(
            c for c in self._calls if all(t.node in inside for t in tensors_in(c.output))
        )
        if self._at is not None:
            later = {(g.where, said(g.requirement)) for g in self.guards if g.after > last}
            left = [u for u in self.unfollowed if (u.where_in_code, u.only) not in later]
            leave(part, left, [part.guards], Part(self._at, methodcaller("at", name)))
        return part

    @cached_property
    def hyperparameters(self) -> tuple[str, ...]:
        """The symbols that its layers are built of and that are no sizes of the inputs."""
        return tuple(self.roles)

    @cached_property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """What the hyperparameters are, by torch's names: ``{"k": ("kernel_size",)}``."""
        return hyperparameters(self.nodes, self.symbols)

    @cached_property
    def symbol_atoms(self) -> Atoms:
        """All its symbols, as they were declared."""
        return atoms_by_name(self.nodes, self._inputs)

    def given(self, **values: Number) -> Self:
        """The same network with numbers, or expressions, for some of its symbols.

        Args:
            values: by the name of the symbol: ``k=3``.

        Returns:
            The network, its layers called with these.

        Raises:
            BadSpec: for a symbol that it does not have, and for a number that the symbol was
                declared not to be.
            ShapeMismatch: for numbers that its layers refuse.
            InvalidInput: for sizes that its layers refuse.

        >>> import symcnn
        >>> from symcnn import nn
        >>> k = symcnn.symbols("k")
        >>> nn.Conv2d(3, 8, k).trace("N 3 H W").given(k=3).output_shape
        (N, 8, H - 2, W - 2)
        """
        found = check_values(self.symbol_atoms, values)
        try:
            replay = Replay(self.nodes, found, self.guards)
        except AnotherBranch:
            if self._at is None:
                raise
            return elsewhere(self, values)
        twin = type(self)(replay(self._inputs), tree_map(replay, self._outputs), name=self.name)
        twin.nodes = tuple(replay.nodes)
        again = dict(zip(replay.before, twin.nodes, strict=True))
        twin._order = tuple(node and again.get(node) for node in self._order)
        twin._parameters = None if self._parameters is None else replay(self._parameters)
        twin.buffers = replay(self.buffers)
        twin.guards, twin.checks, twin.lengths = replay.guards, self.checks, self.lengths
        mine, ends = {*self.nodes}, dict[SymbolicTensor, int]()
        for t, end in self.releases.items():
            if t.node is None or t.node in mine:  # of a node that is left out, what it reads
                ends[replay(t)] = max(end, ends.get(replay(t), 0))
        twin.releases = ends
        for call in self._calls:
            scope = Scope(call.path)
            scope.output = tree_map(replay, call.output)
            twin._calls += (scope,)
        if self._at is not None:
            leave(twin, self.unfollowed, [twin.guards], At(self._at, found))
        return further(self, twin, values)

    def position(self, node: Node) -> int:
        """The place of a node in the trace, from which guards count too.

        Args:
            node: one of `nodes`.

        Returns:
            From 0.

        Raises:
            KeyError: for a node of another trace.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.position(net.nodes[1])
        1
        """
        return self._positions[node]

    @cached_property
    def _positions(self) -> dict[Node | None, int]:
        return {node: i for i, node in enumerate(self._order)}

    def located(self, name: str) -> Any:
        """What a module (at its last call) or a node makes.

        Args:
            name: a module path, or the name of a node.

        Returns:
            Tensors, nested as it returns them.

        Raises:
            BadSpec: with near names, if there is none.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.located("0")
        SymbolicTensor(N, 8, H - 2, W - 2)
        """
        calls = [c for c in self._calls if c.path == name]
        if calls:
            return calls[-1].output
        path, _, which = str(name).rpartition(":")
        calls = [c for c in self._calls if c.path == path]
        if len(which) < 19 and which.isdecimal() and 1 <= int(which) <= len(calls):
            return calls[int(which) - 1].output
        for node in self.nodes:
            if node.name == name:
                return node.made
        names = [*(c.path for c in self._calls), *(n.name for n in self.nodes)]
        raise BadSpec(f"no module or node is called {name!r}", cure=suggested(name, names))

    def last_map(self, n: int) -> Self:
        """The part up to the last map; the network itself where its own output is one.

        Args:
            n: how many axes beside images and channels are to vary with the input, each with sizes
                of its own if any do.

        Returns:
            The part.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1)).trace("N 3 H W")
        >>> net.last_map(2).output_shape
        (N, 8, H - 2, W - 2)
        """
        spatial = set(self.symbols) - self.batch
        dims = self.output_dims
        asked = symbols_of(*dims[-n:]) if n <= len(dims) else frozenset[str]()
        if asked & spatial and not asked & (self.batch - {"C"}):
            return self
        coupled = ""
        for node in reversed(self.nodes):
            dims = node.outputs[0].dims
            axes = map_axes(dims, n, spatial)
            if axes is None:
                continue
            varies = [symbols_of(dims[axis]) & spatial for axis in axes]
            if len(spatial) < n or sum(map(len, varies)) == len(frozenset().union(*varies)):
                return self.at(self._widest_name(node))
            coupled = coupled or self._widest_name(node)  # scores of all places by all places
        return self.at(coupled) if coupled else self

    def _widest_name(self, node: Node) -> str:
        """The shortest module path whose output is that of `node`."""
        names = [c.path for c in self._calls if c.output is node.outputs[0] and c.path]
        unique = [n for n in names if [c.path for c in self._calls].count(n) == 1]
        return min(unique, key=len, default=node.name)

    def source_name(self, t: SymbolicTensor) -> str:
        """Where a tensor comes from: a module path, a node, or an input.

        Args:
            t: a tensor of the trace.

        Returns:
            Its name.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.source_name(net.nodes[0].outputs[0])
        '0'
        """
        return self._widest_name(t.node) if t.node is not None else t.name or "the input"

    def before_flatten(self) -> Self:
        """The part up to what the last flattening node reads; the whole if nothing flattens.

        To flatten is to make one row of an image: windows of it, which lie along the batch axis,
        and masks, which have no batch, are not meant.

        Returns:
            The part.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten()).trace("N 3 9 9")
        >>> net.before_flatten().output_shape
        (N, 8, 7, 7)
        """
        image = self._inputs[0].dims if self._inputs else ()
        batch, width = symbols_of(*image[:1]), symbols_of(*image[-1:])
        for node in reversed(self.nodes):
            if node.op not in ("flatten", "view"):
                continue
            source, result = node.inputs[0], node.outputs[0]
            rows = symbols_of(source.dims[0]) if source.ndim > 2 and result.ndim == 2 else None
            if rows is not None and batch <= rows and not width & (rows - batch):
                if source.node is None:
                    return type(self)(self._inputs, source, name="the input")
                return self.at(self._widest_name(source.node))
        return self

    @property
    def calls(self) -> tuple[Scope, ...]:
        """The module calls of the trace, in the order in which they began: path and output."""
        return self._calls

    # what it is made of, and what it requires

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, each once, those that no operation reads included."""
        if self._parameters is not None:
            return self._parameters
        return tuple(dict.fromkeys(p for n in self.nodes for p in n.parameters))

    @cached_property
    def params(self) -> Expr:
        """The number of parameters, each weight once however often it is used."""
        return public(self.simplest(sum((p.count for p in self.parameters), 0)))

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """All conditions on the sizes, in order of execution, each once."""
        found = dict.fromkeys(r for n in self.nodes for r in n.result.requires)
        found.update(dict.fromkeys(g.requirement for g in self.guards))
        return tuple(found)

    @say_scope
    def valid_inputs(self) -> InputSet:
        """The domain: exactly the inputs that the network accepts.

        Returns:
            A set of sizes; the batch is named only where it matters.

        Raises:
            Undecidable: where no exact set describes it.

        >>> from symcnn import nn
        >>> layers = nn.Conv2d(3, 8, 3, 2), nn.Flatten(), nn.Linear(392, 10)
        >>> net = nn.Sequential(*layers).trace("N 3 H W")
        >>> net.valid_inputs().square()
        15 <= H <= 16 and H == W
        """
        return self._valid

    @cached_property
    def _valid(self) -> InputSet:
        return self.sizes_that_meet(self.requirements)

    def sizes_that_meet(self, requirements: Sequence[Requirement], at: str = "") -> InputSet:
        """The sizes that meet requirements, of the inputs; the batch only where they speak of it.

        Args:
            requirements: all of which must hold.
            at: the name of the part of the network that they are of.

        Returns:
            A set of sizes.

        Raises:
            Undecidable: for requirements of which no law decides the set.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).trace("N 3 H W")
        >>> net.sizes_that_meet(net.requirements)
        H >= 3 and W >= 3
        """
        names = self._spoken_of(requirements)
        return input_set(names, requirements, batch=tuple(self.batch), at=at)

    def _spoken_of(self, requirements: Sequence[Requirement]) -> list[str]:
        speaks_of = frozenset[str]().union(*(r.symbols for r in requirements))
        names = [n for n in self.symbols if n not in self.batch or n in speaks_of]
        return names + sorted(speaks_of - set(names))


def remembered(ask: Callable[[Trace], T]) -> Callable[[Trace], T]:
    """A question that each trace is asked once: the answer stands in its memory."""

    @wraps(ask)
    def question(trace: Trace) -> T:
        if ask.__name__ not in trace.memory:
            trace.memory[ask.__name__] = ask(trace)
        answer: T = trace.memory[ask.__name__]
        return answer

    return question


def of_one_image(net: Trace, sizes: Mapping[str, T]) -> dict[str, T | int]:
    """The sizes, and 1 for a batch that is left out, whatever its name.

    >>> from symcnn import nn
    >>> of_one_image(nn.Conv2d(3, 8, 3).trace("B 3 H W"), {"H": 8})
    {'B': 1, 'H': 8}
    """
    batch = (net.batch | {"N"}) - {"C"}
    return {name: 1 for name in net.symbols if name in batch} | dict(sizes)
