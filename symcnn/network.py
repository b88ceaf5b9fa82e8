"""`Network`: a traced graph and the questions people ask of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from symcnn.algebra.factor import text
from symcnn.algebra.size import Int, evaluate, lows, spelling, symbols_of
from symcnn.errors import BadSpec
from symcnn.questions.cost import cost as _cost
from symcnn.questions.field.receptive_field import ReceptiveField
from symcnn.questions.field.receptive_field import receptive_field as _receptive_field
from symcnn.questions.inputs import domain as _domain
from symcnn.questions.inputs import solve as _solve
from symcnn.questions.inputs.diagnose import Diagnosis, diagnose
from symcnn.questions.inputs.fix import fixes
from symcnn.questions.inputs.nearest import Nearest, nearest_valid
from symcnn.questions.inputs.refit import refits
from symcnn.questions.place.asked import Places
from symcnn.questions.spec.asked import Specs
from symcnn.sets.condition import Requirement, sides_of
from symcnn.sets.grammar import check_sizes
from symcnn.sets.inputset import InputSet
from symcnn.sets.simplest import Simplest
from symcnn.shown import Several
from symcnn.trace.branches import Branch, Unfollowed, said
from symcnn.trace.graph import (
    Constant,
    Guard,
    Node,
    Parameter,
    Scope,
    Shape,
    SymbolicTensor,
    Tape,
    ancestors,
    name_nodes,
    public,
    tensors_in,
    tree_map,
)
from symcnn.trace.rerun import Atoms, Replay, checked, declared, hyperparameters
from symcnn.words.page.asked import Pages

if TYPE_CHECKING:
    from symcnn.judge.validate import Report
    from symcnn.questions.proof.prove import Proof
    from symcnn.questions.summary import Summary

__all__ = ["Network"]

_SPATIAL = frozenset("DHWLTS")


class Network(Places, Specs, Pages):
    """A network as an algebra: every answer holds for all sizes at once.

    Made by `symcnn.from_torch`, by ``trace`` on a `symcnn.nn` module, or from tensors:

    >>> import symcnn
    >>> from symcnn import nn
    >>> x = symcnn.tensor("N 3 H W")
    >>> net = Network(inputs=x, outputs=nn.Conv2d(3, 8, 3, stride=2, padding=1)(x))
    >>> net.output_shape
    (N, 8, (H + 1)//2, (W + 1)//2)
    >>> print(net.solve(output=(7, 7)))
    13 <= H <= 14 and 13 <= W <= 14
    """

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
        self.guards: tuple[Guard, ...] = ()
        self.unfollowed: tuple[Unfollowed, ...] = ()
        self._at: Callable[[Mapping[str, int]], Network] | None = None  # traces again at numbers
        if tape is None:
            self.nodes = tuple(ancestors(tensors_in(outputs)))
        else:
            self.nodes = tuple(tape.nodes)
            self._calls, self.guards = tuple(tape.calls), tuple(tape.guards)
        self._parameters = None if parameters is None else tuple(dict.fromkeys(parameters))
        self.buffers = tuple(buffers)
        self._positions = {node: i for i, node in enumerate(self.nodes)}
        name_nodes(self.nodes)
        for node in self.nodes:
            node.law = node.law or self.simplest

    def __getstate__(self) -> Any:
        """Nodes first: each reads only what those before it made, so no depth is too much."""
        kind = type(self)
        computed = {k for k in vars(self) if isinstance(getattr(kind, k, None), cached_property)}
        state = {k: v for k, v in vars(self).items() if k not in computed}
        return self.nodes, [call.output for call in self._calls], state

    def __setstate__(self, state: Any) -> None:
        _, outputs, attributes = state
        self.__dict__.update(attributes)
        for call, output in zip(self._calls, outputs, strict=True):
            call.output = output
        for node in self.nodes:
            node.law = node.law or self.simplest

    # branches

    @property
    def branches(self) -> tuple[Branch[Network], ...]:
        """The paths through the forward: disjoint sets of sizes, and a network for each."""
        where = _domain.sizes(self, [g.requirement for g in self.guards])
        taken = tuple(f"{g.where} {said(g.requirement)}" for g in self.guards)
        return Several((Branch(where, self, taken),))

    @property
    def complete(self) -> bool:
        """Whether every branch that sizes decide was followed: answers hold for all sizes."""
        return not self.unfollowed

    @property
    def scope(self) -> str:
        """For which sizes answers hold where they do not for all: ``for H == 224 only (model.py:31:
        python needs a number there: range(h))``; "" for a complete network.
        """
        one, *others = self.unfollowed or (None,)
        if one is None:
            return ""
        more = f", and {len(others)} more: see net.unfollowed" if others else ""
        return f"for {one.only} only ({one.where_in_code}: {one.reason}){more}"

    def branch_at(self, **sizes: int) -> Network:
        """The network of the branch that these sizes take: itself, or a trace at numbers where no
        branch was followed.
        """
        values = {str(name): int(size) for name, size in sizes.items()}
        if self._at is None or all(g.requirement.holds(values) for g in self.guards):
            return self
        return self._at(values)

    # shapes

    @property
    def inputs(self) -> tuple[Shape, ...]:
        """The shapes of the inputs."""
        return tuple(t.shape for t in self._inputs)

    @cached_property
    def outputs(self) -> Any:
        """Output shapes, nested as the module returns them."""
        return tree_map(
            lambda t: Shape.of(map(self.simplest, t.dims)) if isinstance(t, SymbolicTensor) else t,
            self._outputs,
        )

    @property
    def output_shape(self) -> Any:
        """The output shape: a tuple of ints and sympy expressions (nested for several outputs)."""
        return self.outputs

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
        """The first output shape as text."""
        return f"({', '.join(text(self.simplest(d)) for d in self.output_dims)})"

    @cached_property
    def simplest(self) -> Simplest:
        """An expression (an int or a kernel expression) in its simplest form on the domain.

        The domain decides floors and maxima: ``floor(H/4)`` is ``H/4`` where ``H % 4 == 0``. All
        formulas that the network answers with are in this form; `general` has the others.
        """
        return _domain.simplest(self)

    @property
    def general(self) -> Network:
        """The same network, whose formulas are as the layers make them, whatever the domain.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Unflatten(2, (-1, 2)), nn.Flatten(2)).trace("N 8 L")
        >>> net.output_shape, net.general.output_shape
        ((N, 8, L), (N, 8, 2*(L//2)))
        """
        twin = copy.copy(self)
        for name in ("outputs", "params", "macs", "flops", "_fields"):
            twin.__dict__.pop(name, None)
        twin.__dict__["simplest"] = Simplest()
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

    def shape_at(self, **sizes: Any) -> Any:
        """The output shape at given sizes, as ints: ``net.shape_at(N=1, H=224, W=224)``.

        Raises InvalidInput where torch would raise, or fold images into the batch; ShapeMismatch
        for hyperparameters that a layer refuses; BadSpec for a size that is missing or unknown.
        """
        values = self._values(sizes)
        net = self.branch_at(**values)
        if net is not self:
            return net.shape_at()
        _domain.check_valid(self, values)
        if chosen := {name: values[name] for name in self.hyperparameters if name in values}:
            # what a layer checks of a number it could not check of a symbol
            rest = {name: size for name, size in values.items() if name not in chosen}
            return self.given(**chosen).shape_at(**rest)
        return tree_map(
            lambda t: (
                Shape(evaluate(d, values) for d in t.dims) if isinstance(t, SymbolicTensor) else t
            ),
            self._outputs,
        )

    def _values(self, sizes: dict[str, Any]) -> dict[str, int]:
        values = check_sizes(sizes, self._told_symbols(sizes), self._from_zero)
        missing = self._all_symbols - set(values)
        if missing:
            raise BadSpec(f"no value for {', '.join(sorted(missing))}", cure="give every size")
        return values

    @cached_property
    def _from_zero(self) -> frozenset[str]:
        """Symbols that were not declared positive: paddings, depths."""
        exprs = [d for t in (*self._inputs, *tensors_in(self._outputs)) for d in t.dims]
        exprs += [d for n in self.nodes for t in (*n.outputs, *n.parameters) for d in t.dims]
        exprs += [n.result.blocks.count for n in self.nodes if n.result.blocks]
        sides = (s for r in self.requirements for s in sides_of(r))
        return frozenset(name for name, low in lows(*exprs, *sides) if low != 1)

    @cached_property
    def _all_symbols(self) -> frozenset[str]:
        in_outputs = (symbols_of(*t.dims) for t in tensors_in(self._outputs))
        in_domain = (r.symbols for r in self.requirements)
        return frozenset(self.symbols).union(*in_outputs, *in_domain)

    def _told_symbols(self, sizes: Iterable[Any]) -> frozenset[str]:
        """The symbols that may be given, to know whether all of `sizes` are among them."""
        known = self._all_symbols
        return known if known.issuperset(map(str, sizes)) else known | self._hidden_symbols

    @cached_property
    def _hidden_symbols(self) -> frozenset[str]:
        """Symbols of which only parameters, costs or receptive fields tell: an odd kernel that
        keeps the size, the number of residual blocks.
        """
        exprs: list[Int] = []
        for node in self.nodes:
            result = node.result
            exprs += [result.macs, *(d for p in node.parameters for d in p.dims)]
            exprs += [result.blocks.count] if result.blocks else []
            for axes in (result.axes, *result.parts, *(a for _, a in result.others)):
                exprs += [v for _, m in axes or () for v in m.hyperparameters()]
        return frozenset(n for n in symbols_of(*exprs) if n.isidentifier()) - self._all_symbols

    @cached_property
    def spelled(self) -> dict[str, Int]:
        """What a symbol written by name stands for here: a depth that may be 0, an odd kernel."""
        exprs = [d for t in (*self._inputs, *tensors_in(self._outputs)) for d in t.dims]
        for node in self.nodes:
            result = node.result
            exprs += [result.macs, *(d for p in node.parameters for d in p.dims)]
            exprs += [d for t in node.outputs for d in t.dims]
            exprs += [result.blocks.count] if result.blocks else []
        return spelling(*exprs)

    # parts

    def at(self, name: str) -> Network:
        """The network up to a module (``"layer4"``, ``"relu:2"`` for its second call) or a node.

        Raises BadSpec, with near names, if there is none.
        """
        outputs = self._located(name)
        part = Network(self._inputs, outputs, name=name)
        part._positions = self._positions
        part.nodes = tuple(sorted(part.nodes, key=self.position))
        last = max(map(self.position, part.nodes), default=-1)
        part.guards = tuple(g for g in self.guards if g.after <= last)
        inside = set(part.nodes)
        part._calls = tuple(
            c for c in self._calls if all(t.node in inside for t in tensors_in(c.output))
        )
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
    def declared(self) -> Atoms:
        """All its symbols, as they were declared."""
        return declared(self.nodes, self._inputs)

    def given(self, **values: Any) -> Network:
        """The same network with numbers, or expressions, for some of its symbols.

        Raises BadSpec for a symbol that it does not have, and for a number that the symbol was
        declared not to be; ShapeMismatch and InvalidInput for numbers that its layers refuse.

        >>> import symcnn
        >>> from symcnn import nn
        >>> k = symcnn.symbols("k")
        >>> nn.Conv2d(3, 8, k).trace("N 3 H W").given(k=3).output_shape
        (N, 8, H - 2, W - 2)
        """
        return _given(self, values)

    def position(self, node: Node) -> int:
        """The place of a node in the trace, from which guards count too."""
        return self._positions[node]

    def _located(self, name: str) -> Any:
        calls = [c for c in self._calls if c.path == name]
        if calls:
            return calls[-1].output
        path, _, which = name.rpartition(":")
        calls = [c for c in self._calls if c.path == path]
        if len(which) < 19 and which.isdecimal() and 1 <= int(which) <= len(calls):
            return calls[int(which) - 1].output
        for node in self.nodes:
            if node.name == name:
                return node.made
        names = list(dict.fromkeys([*(c.path for c in self._calls), *(n.name for n in self.nodes)]))
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        listed = near or names[:8]
        raise BadSpec(
            f"no module or node is called {name!r}",
            cure=f"{'did you mean' if near else 'there is'} {', '.join(listed)}",
        )

    # cost

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, each once, those that no operation reads included."""
        if self._parameters is not None:
            return self._parameters
        return tuple(dict.fromkeys(p for n in self.nodes for p in n.parameters))

    @cached_property
    def params(self) -> Any:
        """The number of parameters, each weight once however often it is used."""
        return public(self.simplest(sum((p.count for p in self.parameters), 0)))

    @cached_property
    def macs(self) -> Any:
        """Multiply-accumulates of all convolutions and matrix products, in N, H, W.

        Raises UnsupportedOperation for an operation whose rule does not say what it costs.
        """
        return self.cost().total.expr

    @cached_property
    def flops(self) -> Any:
        """Two per MAC, as ``torch.utils.flop_counter`` counts."""
        return self.cost("flops").total.expr

    def cost(
        self,
        convention: str = "macs",
        *,
        partial: bool = False,
        input_grad: bool = False,
        dtype: str | None = None,
    ) -> _cost.Cost:
        """What the network costs, as formulas: ``net.cost().total``, ``.params``, ``.table()``.

        convention: "macs", "flops", "fvcore", "thop", "ptflops" or "torchinfo"; see docs/cost.md.
        partial: count operations without a cost as nothing; the total is then a lower bound.
        input_grad: the inputs require gradients too (for the backward pass).
        dtype: what activations are made of, for memory, if not what the trace says (a module in
            half, a cast, autocast); parameters have their own.

        Raises BadSpec for an unknown convention. Totals raise UnsupportedOperation for an
        operation that does not say what it costs.

        >>> from symcnn import nn
        >>> nn.Conv2d(3, 8, 3).trace("N 3 H W").cost("flops").total
        432*N*(H - 2)*(W - 2)
        """
        return _cost.measure(self, convention, partial=partial, input_grad=input_grad, dtype=dtype)

    # solving

    @cached_property
    def requirements(self) -> tuple[Requirement, ...]:
        """All conditions on the sizes, in order of execution, each once."""
        found = dict.fromkeys(r for n in self.nodes for r in n.result.requires)
        found.update(dict.fromkeys(g.requirement for g in self.guards))
        return tuple(found)

    def valid_inputs(self) -> InputSet:
        """The domain: exactly the inputs that the network accepts."""
        return self._valid

    @cached_property
    def _valid(self) -> InputSet:
        return _domain.valid_inputs(self)

    def reasons(self) -> list[_domain.Reason]:
        """Why the domain is what it is: the requirements it cannot do without, node by node."""
        return _domain.reasons(self)

    def solve(
        self,
        output: Any = None,
        *,
        flatten: int | None = None,
        at: str | None = None,
        square: bool = False,
        even: bool = False,
        unread: int | None = None,
        aspect: tuple[int, int] | None = None,
        multiple_of: Any = None,
        within: Any = None,
        receptive_field: Any = None,
        macs: Any = None,
        flops: Any = None,
        params: Any = None,
        activations: Any = None,
        memory: Any = None,
        saved: Any = None,
        peak: Any = None,
        dtype: str | None = None,
        **sizes: Any,
    ) -> Any:
        """The inputs that reach a target: ``net.solve(output=(7, 7))``. Wishes combine.

        output: sizes of the trailing axes, each a number, None (any), a range, ``">=7"``, an
            expression in the input sizes (``(H, W)``: as large as the input, ``(H/4, W/4)``), or a
            symbol of its own (``("h", "w")``: the answer is a formula in h and w, a `Relation`).
            Text in one piece, ``"7x7"``, too. A dict gives targets for several modules. Where the
            network's output is not a map, the last map that varies with the input is meant; the
            answer's `at` names it.
        flatten: elements per image of what the network flattens.
        at: a module or node to look at instead of the output.
        even: only sizes at which no window drops a row or uses its padding on one side only.
        unread: 0, only sizes of which every row is read by some output.
        square: only inputs with H = W. aspect: width to height, ``(16, 9)``, exactly.
        multiple_of, within: ``8``, ``(200, 300)`` (both ends included), or one for each axis.
        receptive_field: at least so many rows and columns; ``"<=64"``, ``"64..128"``.
        macs, flops, params: at most so many, ``4e9``, ``"4G"``; or ``">=1G"``, ``"1G..4G"``. Batch
            1 unless given.
        activations, saved, peak: bytes, ``"8 GiB"``, the figures of `cost` by these names: all
            tensors that the operations make; what autograd keeps for the backward pass; the most
            alive at once in inference. memory: the same as activations. None counts parameters.
        dtype: what activations are made of, for these bytes, if not what the trace says.
        sizes: fixed sizes or ranges, ``N=8``, ``W=range(1, 641)``, also of the target's symbols.
            Hyperparameters that are symbols too: ``k=3``, or ``k=range(1, 12)``, ``s=[1, 2]``, and
            then the answer is `Choices`: all solutions, simplest first, each with its inputs.

        Raises NoSolution, with the wishes that clash and the nearest target that has a solution;
        BadSpec for wishes of no use; Undecidable where no exact set can be given.
        """
        return _solve.solve(
            self,
            output,
            flatten=flatten,
            at=at,
            square=square,
            even=even,
            unread=unread,
            aspect=aspect,
            multiple_of=multiple_of,
            within=within,
            receptive_field=receptive_field,
            budgets={
                "macs": macs,
                "flops": flops,
                "params": params,
                "activations": activations,
                "memory": memory,
                "saved": saved,
                "peak": peak,
            },
            dtype=dtype,
            sizes=sizes,
        )

    def nearest_valid(self, *sizes: int, **named: int) -> Nearest:
        """The nearest input that works: ``net.nearest_valid(500, 375)``, or ``H=500, W=375``.

        By padding, by cropping, by resizing; the pads are ready for ``F.pad``, and the crop that
        undoes them at the output is named where there is one.

        Raises NoSolution if no input is valid, BadSpec unless each axis has a size.
        """
        shown = self.valid_inputs().shown
        if sizes and len(sizes) != len(shown):
            raise BadSpec(f"nearest_valid{sizes} needs a size for each of {', '.join(shown)}")
        apart = set(self.symbols) - set(shown)  # of which every size will do
        given = dict(zip(shown, sizes, strict=False))
        given |= {name: size for name, size in named.items() if name not in apart}
        return nearest_valid(self, check_sizes(given, frozenset(shown)))

    def diagnose(self, **sizes: Any) -> Diagnosis:
        """What happens at a size: ``net.diagnose(N=1, H=227, W=227)``.

        Where it fails: the node, what torch says, why, and every way out. Where it does not: what
        goes wrong in silence, such as rows that no window reads.
        """
        values = self._values({"N": 1} | sizes if "N" in self.symbols else sizes)
        net = self.branch_at(**values)
        return diagnose(net, values if net is self else {})

    def fix(self, output: Any = None, **sizes: Any) -> list[Any]:
        """What every Linear and view constant should be, as a formula and, given sizes, a number.

        output: instead, what the last axes should be, ``("H", "W")``: the hyperparameters
            (padding, output_padding, ceil_mode) that make them so, each way with its inputs.

        Raises InvalidInput if the sizes fail for another reason before; NoSolution for a target
        that no such hyperparameter reaches.
        """
        if output is not None:
            return refits(self, output)
        given = {"N": 1} | sizes if sizes and "N" in self.symbols else sizes
        return fixes(self, self._values(given) if given else None)

    def largest_batch(self, memory: Any, *, dtype: str | None = None, **sizes: Any) -> int:
        """The most images that go through at once: ``net.largest_batch("8 GiB", H=224, W=224)``.

        memory: for the tensors alive at the worst moment of an inference pass (see `Cost.peak`), in
            bytes or as text; parameters and the scratch memory of kernels come on top.
        dtype: what activations are made of, if not the dtypes of the trace. sizes: the other sizes.

        Returns: a number of images.

        Raises NoSolution if not even one fits, or any number does; BadSpec without a batch that
        is a symbol, or with a size left open.

        >>> from symcnn import nn
        >>> nn.Conv2d(3, 8, 3).trace("N 3 H W").largest_batch("8 GiB", H=224, W=224)
        3941
        """
        return _solve.largest_batch(self, memory, dtype, sizes)

    def last_map(self, n: int) -> Network:
        """The network itself, or, where its last `n` axes do not vary with the input, the part up
        to its last map whose do.
        """
        spatial = set(self.symbols) - self.batch
        dims = self.output_dims
        asked = symbols_of(*dims[-n:]) if n <= len(dims) else frozenset[str]()
        if asked & spatial and not asked & (self.batch - {"C"}):
            return self
        for node in reversed(self.nodes):
            dims = node.outputs[0].dims
            if len(dims) == n + 2 and all(symbols_of(d) & spatial for d in dims[-n:]):
                return self.at(self._widest_name(node))
        return self

    def _widest_name(self, node: Node) -> str:
        """The shortest module path whose output is that of `node`."""
        names = [c.path for c in self._calls if c.output is node.outputs[0] and c.path]
        unique = [n for n in names if [c.path for c in self._calls].count(n) == 1]
        return min(unique, key=len, default=node.name)

    def source_name(self, t: SymbolicTensor) -> str:
        """Where a tensor comes from: a module path, a node, or an input."""
        return self._widest_name(t.node) if t.node is not None else t.name or "the input"

    def before_flatten(self) -> Network:
        """The part up to what the last flattening node reads; the whole if nothing flattens."""
        for node in reversed(self.nodes):
            source, result = node.inputs[0], node.outputs[0]
            if node.op in ("flatten", "view") and source.ndim > 2 and result.ndim == 2:
                if source.node is None:
                    return Network(self._inputs, source, name="the input")
                return self.at(self._widest_name(source.node))
        return self

    # against torch

    @property
    def calls(self) -> tuple[Scope, ...]:
        """The module calls of the trace, in the order in which they began: path and output."""
        return self._calls

    def validate(
        self,
        module: Any,
        device: str = "meta",
        *,
        samples: int = 24,
        seed: int = 0,
        checks: Sequence[str] | None = None,
        dtype: str | None = None,
        channels_last: bool = False,
    ) -> Report:
        """Compare with the torch module it came from: shapes at every module call, refusals,
        parameters, FLOPs, peak memory, and where there are values receptive fields and what
        autograd keeps.

        device: "meta", "cpu" or "cuda"; the module is copied there. samples: how many sizes, chosen
            at the borders of the domain, at ends of fibres, and at random inside and outside it.
        seed: reproduces them. checks: only these of `symcnn.judge.validate.CHECKS`.
        dtype, channels_last: cast the copy and its inputs, to "float16", "bfloat16", ...

        Raises BadSpec for a module that is not the one traced (saying where they differ) and for a
        device that is not there.

        >>> import symcnn, torch
        >>> module = torch.nn.Conv2d(3, 8, 3, stride=2)
        >>> report = symcnn.from_torch(module, "N 3 H W").validate(module)
        >>> bool(report), report.counterexample
        (True, None)
        """
        from symcnn.judge.validate import validate

        return validate(
            self,
            module,
            device,
            samples=samples,
            seed=seed,
            checks=checks,
            dtype=dtype,
            channels_last=channels_last,
        )

    def prove(self, by: str = "isl") -> Proof:
        """Decide that every closed form is what the layers, one by one, make of the sizes, for all
        integers in the domain; what isl cannot decide is tested at many sizes, and listed.

        Args:
            by: the prover: ``"isl"``, ``"z3"`` (the extra ``prove``), or ``"both"``.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.MaxPool2d(2)).trace("N 3 H W")
        >>> proof = net.prove()
        >>> proof.complete, proof.tested, proof.wrong
        (True, (), ())
        >>> print(proof.proved[2])
        0: size[2] is (H - 1)//2, as torch's documentation says  (proved: isl)
        """
        from symcnn.questions.proof.prove import prove

        return prove(self, by)

    # receptive field

    def receptive_field(
        self,
        at: str | None = None,
        wrt: str | int | None = None,
        *,
        gates: bool = True,
        statistics: bool = True,
    ) -> ReceptiveField:
        """What an output place sees of the input, per spatial axis, for all sizes at once.

        at: a module or node to look at instead of the output.
        wrt: a module or node, or the number of an input, to look back to; the first input on which
            the output depends if None.
        gates: whether squeeze-excite and other factors that are the same all over space count.
        statistics: whether the mean and variance of group, layer and instance norms count.

        Raises BadSpec, with near names, for an unknown node, and for an output that does not
        depend on the input.

        >>> import symcnn
        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)).trace("N 3 H W")
        >>> net.receptive_field().size, net.receptive_field(at="0").size
        ((4, 4), (3, 3))
        """
        outputs = list(tensors_in(self._outputs if at is None else self._located(at)))
        if not outputs:
            raise BadSpec("the network has no tensor as its output")
        if wrt is None:
            sources = list(self._inputs)
        elif isinstance(wrt, int):
            if not 0 <= wrt < len(self._inputs):
                raise BadSpec(f"wrt={wrt}: the network has {len(self._inputs)} input(s)")
            sources = [self._inputs[wrt]]
        else:
            named = [t for t in self._inputs if t.name == wrt]
            sources = named or list(tensors_in(self._located(wrt)))
        refused: BadSpec | None = None
        for source in sources:
            for output in outputs:
                try:
                    return _receptive_field(
                        self,
                        output,
                        source,
                        at=at,
                        gates=gates,
                        statistics=statistics,
                        cache=self._fields,
                    )
                except BadSpec as error:
                    refused = refused or error
        raise refused or BadSpec("the network has no input")

    @cached_property
    def _fields(self) -> dict[Any, Any]:
        return {}

    # text

    def summary(self, **options: Any) -> Summary:
        """A table of the nodes or modules and the totals, as text; its `rows` are data.

        at: sizes, ``{"H": 224, "W": 224}``, at which cells are numbers; else they are formulas.
        depth: one row per module down to this depth of the tree; by default one per node.
        columns: of "op", "input", "output", "params", "macs", "memory", "field" and "source".

        Raises BadSpec for an unknown column or size, InvalidInput for sizes that are not valid.

        >>> from symcnn import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU()).trace("N 3 H W")
        >>> print(net.summary(at={"N": 1, "H": 33, "W": 33}))
        name  op      output          params    MACs
        0     conv2d  (1, 8, 16, 16)     224  55,296
        1     relu    (1, 8, 16, 16)
        output (1, 8, 16, 16)
        params 224
        MACs 55,296
        field (3, 3)
        <BLANKLINE>
        """
        from symcnn.questions.summary import summary

        return summary(self, **options)

    def explain(self, what: str | None = None, **options: Any) -> Any:
        """The derivation of a closed form, step by step, every line checked.

        what: ``"size"``, ``"field"``, ``"params"``, ``"macs"``, ``"domain"`` or ``"solution"``; by
            default size and receptive field. options: see `symcnn.questions.explain.explain`.
        """
        from symcnn.questions.explain import explain

        return explain(self, what, **options)

    def to_code(self, language: str = "python") -> str:
        """Functions ``size0``, ``size1``, ... (of the output), ``params``, ``macs`` as source code.

        language: ``"python"``, ``"numpy"``, ``"c"`` or ``"javascript"``; every function takes all
            sizes, in the order of `symbols` and then by name. See `symcnn.words.code.to_code`.
        """
        from symcnn.algebra.expr import from_sympy
        from symcnn.words.code import to_code

        formulas: dict[str, Any] = {
            f"size{axis}": self.simplest(dim) for axis, dim in enumerate(self.output_dims)
        }
        formulas |= {"params": self.params, "macs": self.macs}
        names = [*self.symbols, *sorted(self._all_symbols - set(self.symbols))]
        hidden = {name for f in formulas.values() for name in symbols_of(from_sympy(f))}
        names += sorted(hidden - set(names))
        return to_code(formulas, language, names)

    def to_latex(self, what: str = "table", **options: Any) -> str:
        """LaTeX for a paper: a ``"table"``, ``"formulas"``, a ``"derivation"``, a ``"document"``.

        options: those of `symcnn.words.paper.to_latex`, such as ``at``, ``columns``, ``siunitx``.
        """
        from symcnn.words.paper import to_latex

        return to_latex(self, what, **options)

    def _repr_latex_(self) -> str:
        from symcnn.words.paper import output_formula

        return output_formula(self)

    def _repr_html_(self) -> str:
        from symcnn.algebra.mathml import math
        from symcnn.shown import block, folded

        shapes = f"{', '.join(map(math, self.inputs))} \N{RIGHTWARDS ARROW} {math(self.outputs)}"
        scope = f", {escape(self.scope)}" if self.scope else ""
        count = f"{len(self.nodes)} node{'s' * (len(self.nodes) != 1)}"
        layers = folded(count, self.summary().table())
        return block(f"<div>{shapes}{scope}</div>", layers)

    def __repr__(self) -> str:
        inputs = ", ".join(map(str, self.inputs))
        scope = f", {self.scope}" if self.scope else ""
        return f"Network({inputs} -> {self.describe_output()}, {len(self.nodes)} nodes{scope})"


def _given(net: Network, values: Mapping[str, Any]) -> Network:
    """See `Network.given`."""
    replay = Replay(net.nodes, checked(net.declared, values))
    twin = Network(replay(net._inputs), tree_map(replay, net._outputs), name=net.name)
    twin.nodes = tuple(replay.nodes)
    twin._positions = {node: i for i, node in enumerate(twin.nodes)}
    twin._parameters = None if net._parameters is None else replay(net._parameters)
    twin.buffers = replay(net.buffers)
    twin.guards = replay.guards(net.guards)
    for call in net._calls:
        scope = Scope(call.path)
        scope.output = tree_map(replay, call.output)
        twin._calls += (scope,)
    return twin
