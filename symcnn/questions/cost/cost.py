"""What a network costs, for all sizes at once: parameters, work, memory.

Every figure is a sum over nodes of exact integer expressions, so it is itself one: a `Formula` in
N, H, W and whatever symbols stand in the hyperparameters. Tables, module trees and shares are the
same sum in another order. A figure is complete or refused: an operation that does not say what
it costs is named, unless the caller asks for ``partial=True``, and then the total says that it is
a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, singledispatch
from typing import TYPE_CHECKING, Any, Union

import sympy

from symcnn.algebra.expr import Expr
from symcnn.algebra.series import summation
from symcnn.algebra.size import Int, Max, Size, evaluate, maximum, prod, sole_atom
from symcnn.errors import BadSpec, SymcnnError, Undecidable, UnsupportedOperation, needs
from symcnn.ops.autograd import Gradients, gradients
from symcnn.ops.dtypes import BYTES
from symcnn.ops.storage import Memory, Storage, in_place, refusal
from symcnn.questions.cost.conventions import Convention, convention, elementwise
from symcnn.questions.cost.rows import Roof, Roofline, Row
from symcnn.questions.inputs.domain import shape_at
from symcnn.sets.formula import Formula, Given, conditions, spoken
from symcnn.sets.inputset import lone
from symcnn.shown import Shown, block, cell, folded, table
from symcnn.trace.graph import Constant, Node, Parameter, SymbolicTensor
from symcnn.trace.trace import Trace, remembered

if TYPE_CHECKING:
    import pandas

__all__ = ["Cost", "Row", "measure", "total_flops", "total_macs", "unread_parameters"]

#: Columns by name, and their heading in a table ("work" is headed by the convention's unit).
COLUMNS = {
    "params": "params",
    "work": "work",
    "share": "share",
    "other": "other",
    "backward": "backward",
    "activations": "activations",
    "saved": "saved",
    "moved": "moved",
}

#: Copies of the trained parameters that an optimizer keeps, and bytes per parameter (its step).
_OPTIMIZERS = {"sgd": (0, 0), "momentum": (1, 0), "adam": (2, 4), "adamw": (2, 4)}


def width(dtype: str) -> int:
    """Bytes per element of a dtype, by torch's name for it. Raises BadSpec for another name."""
    name = str(dtype).removeprefix("torch.")
    if name not in BYTES or not name:
        known = ", ".join(filter(None, BYTES))
        raise BadSpec(f"no dtype is called {name}", cure=f"there are: {known}")
    return BYTES[name]


def own_dtype(net: Trace) -> str:
    """The dtype in which a network runs: that of its inputs or, where these are indices, of its
    parameters; float32 where no layer says.
    """
    found = (t.dtype for t in (*net.input_tensors, *net.parameters))
    return next((dtype for dtype in found if "float" in dtype), "float32")


def _over_blocks(node: Node, count: Callable[[Node], Int]) -> Int:
    """The figure of a node; of a repeat, the sum over its blocks."""
    blocks = node.result.blocks
    if blocks is None:
        return count(node)
    each = sum((_over_blocks(n, count) for n in blocks.nodes), 0)
    return summation(
        each if isinstance(each, int) else each.subs(blocks.values), blocks.index, blocks.count
    )


#: A figure of a cost: a formula in the sizes, or its value at sizes.
Figure = Union[int, Formula]


def formula(figure: Figure) -> Formula:
    """The figure of a cost that stands at no sizes, which is a formula."""
    assert isinstance(figure, Formula)
    return figure


class Cost(Shown):
    """The cost of a network; made by `Network.cost`.

    >>> from symcnn import nn
    >>> cost = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()).trace("N 3 H W").cost()
    >>> cost.total, cost.other, cost.params
    (216*N*H*W, 16*N*H*W, 224)
    >>> cost.at(N=1, H=32, W=32).total
    221184
    """

    def __init__(
        self,
        net: Trace,
        counting: Convention,
        *,
        partial: bool = False,
        input_grad: bool = False,
        dtype: str | None = None,
        sizes: Mapping[str, int] | None = None,
        given: tuple[Any, ...] = (),
    ) -> None:
        self.net = net
        self.convention = counting
        self.partial = partial
        self.input_grad = input_grad
        self.own = own_dtype(net)
        self.dtype = str(dtype or self.own).removeprefix("torch.")
        self.sizes = sizes
        self.given = given

    def _with(self, **changes: Any) -> Cost:
        options: dict[str, Any] = {
            "partial": self.partial,
            "input_grad": self.input_grad,
            "dtype": self.dtype,
            "sizes": self.sizes,
            "given": self.given,
        }
        return type(self)(changes.pop("net", self.net), self.convention, **{**options, **changes})

    # what it is asked of

    def at(self, **sizes: int) -> Cost:
        """The same at given sizes: every figure a number.

        It is the cost of the network at these sizes, its layers called with numbers: where a view
        is possible, and what lies in which order in memory, may depend on a size that is 1.

        Raises BadSpec for a size that is missing or unknown, InvalidInput outside the domain.
        """
        shape_at(self.net, **sizes)
        numbers = {str(name): int(size) for name, size in sizes.items()}
        net = self.net.branch_at(**numbers)
        if net is self.net:
            net = net.given(**numbers)
        return self._with(net=net, sizes=numbers)

    def under(self, *given: Given) -> Cost:
        """The same where `given` holds, see `Formula.under`: ``under("H % 32 == 0")``."""
        return self._with(given=(*self.given, *conditions(*given)))

    def _out(self, size: Int) -> Figure:
        """A kernel expression as the caller wants to see it."""
        if self.sizes is not None:
            return evaluate(size, self.sizes)
        formula = Formula(self.net.simplest(size), self.net.symbols)
        return formula.under(*self.given) if self.given else formula

    # work

    @cached_property
    def missing(self) -> tuple[Node, ...]:
        """The nodes whose rule does not say what they cost."""
        return tuple(n for n in self.net.nodes if n.call is not None and not n.call.costed)

    @property
    def complete(self) -> bool:
        """Whether the totals are exact; otherwise they are lower bounds."""
        return not self.missing

    @cached_property
    def _work(self) -> dict[Node, Int]:
        if self.missing and not self.partial:
            raise _no_cost(self.missing[0])
        return {n: _over_blocks(n, self.convention.count) for n in self.net.nodes}

    @cached_property
    def _other(self) -> dict[Node, Int]:
        found: dict[Node, Int] = {}
        for node in self.net.nodes:
            found[node] = _over_blocks(node, self._elementwise)
        return found

    def _elementwise(self, node: Node) -> Int:
        work = elementwise(node)
        if work is None and not self.partial:
            raise _no_cost(node)
        return work or 0

    @property
    def total(self) -> Figure:
        """The work of one forward pass, in the unit of the convention."""
        return self._out(sum(self._work.values(), 0))

    @property
    def other(self) -> Figure:
        """Arithmetic that is not a MAC: activations, norms, pooling; see `elementwise`."""
        return self._out(sum(self._other.values(), 0))

    # the backward pass

    @cached_property
    def gradients(self) -> Gradients:
        """Which gradients flow: from all outputs to what is trained (and the inputs, if asked)."""
        net = self.net
        self._unrolled("which gradients flow")
        return gradients(
            net.nodes, net.input_tensors, net.output_tensors, input_grad=self.input_grad
        )

    @cached_property
    def _backward(self) -> dict[Node, Int]:
        if self.convention.name not in ("macs", "flops"):
            raise BadSpec(
                f"{self.convention.name} does not say what a backward pass costs",
                cure='ask in "macs" or "flops"',
            )
        if self.missing and not self.partial:
            raise _no_cost(self.missing[0])
        self._own_backward("costs")
        factor, counted = self.convention.factor, self.convention.name == "flops"
        found: dict[Node, Int] = {}
        for node in self.net.nodes:
            try:
                found[node] = self.gradients.macs(node, counted=counted) * factor
            except UnsupportedOperation:
                if not self.partial:
                    raise
                found[node] = 0
        return found

    def _own_backward(self, what: str) -> None:
        """Raises UnsupportedOperation where a torch.autograd.Function has its own backward pass."""
        node = self.gradients.custom
        if node is not None and not self.partial:
            raise UnsupportedOperation(
                f"{node.module or node.name}: what the backward pass of {node.custom}, a "
                f"torch.autograd.Function, {what} is not known",
                cure="ask with partial=True for a lower bound",
            )

    @property
    def backward(self) -> Figure:
        """The work of one backward pass from all outputs, in MACs or FLOPs.

        In FLOPs it equals `torch.utils.flop_counter`, which counts the gradient of a grouped
        convolution's weight once per group; in MACs it is the work that is done.
        """
        return self._out(sum(self._backward.values(), 0))

    @property
    def training(self) -> Figure:
        """Forward and backward together."""
        return self._out(sum(self._work.values(), 0) + sum(self._backward.values(), 0))

    # memory, in bytes

    @cached_property
    def memory(self) -> Memory:
        """The network over storages: what each node makes, and what autograd keeps."""
        self._unrolled("what stands in memory")
        return Memory(self.net.nodes, self.gradients, self.own, self._dtype)

    @property
    def _width(self) -> int:
        return width(self.dtype)

    @property
    def _dtype(self) -> str:
        _ = self._width  # refuses what is none
        return self.dtype

    @cached_property
    def _inference(self) -> Memory:
        """The same where nothing requires a gradient: kernels may take shorter ways then."""
        self._unrolled("what stands in memory")
        return Memory(self.net.nodes, Gradients(set(), set()), self.own, self._dtype)

    def _known(self, *, inference: bool = False) -> Memory:
        memory = self._inference if inference else self.memory
        if memory.unknown and not self.partial:
            raise refusal(*memory.unknown[0])
        return memory

    @cached_property
    def _laid(self) -> Cost:
        """The same where each size that the domain fixes is a number: what is 1 there, and what is
        as long as what else, decides which views are copies.
        """
        try:
            fixed = {} if self.sizes is not None else self.net.valid_inputs().fixed
        except SymcnnError:
            fixed = {}
        return self._with(net=self.net.given(**fixed)) if fixed else self

    def _as_laid(self, figures: Callable[[Cost], dict[Node, Int]]) -> dict[Node, Int]:
        """Figures of the nodes, which are those of the same nodes where fixed sizes are numbers."""
        found = figures(self._laid)
        return dict(zip(self.net.nodes, found.values(), strict=True))

    @cached_property
    def _activations(self) -> dict[Node, Int]:
        if self._laid is not self:
            return self._as_laid(lambda laid: laid._activations)
        if any(n.result.blocks for n in self.net.nodes):
            return {n: _over_blocks(n, self._made_alone) for n in self.net.nodes}
        made = self._known().made
        return {n: self._bytes_made(made[n]) for n in self.net.nodes}

    def _bytes_made(self, storages: Iterable[Storage]) -> Int:
        return sum((s.bytes(self._width) for s in storages if s.kind == "activation"), 0)

    def _made_alone(self, node: Node) -> Int:
        """What one node makes, its inputs taken as they come: that of a repeated block."""
        alone = gradients((node,), node.inputs, node.outputs, input_grad=False)
        memory = Memory((node,), alone, self.own, self._dtype)
        if memory.unknown and not self.partial:
            raise refusal(*memory.unknown[0])
        return self._bytes_made(memory.made[node])

    def _unrolled(self, what: str) -> None:
        """Raises Undecidable where a symbolic number of blocks stands in the way."""
        for node in self.net.nodes:
            if node.result.blocks is not None:
                raise Undecidable(
                    f"{node.name}: {what} in {node.result.blocks.count} blocks has no closed form",
                    cure="give the number of blocks as a number",
                )

    @cached_property
    def _saved(self) -> dict[Node, Int]:
        if self._laid is not self:
            return self._as_laid(lambda laid: laid._saved)
        self._own_backward("keeps")
        seen: set[Storage] = set()
        found: dict[Node, Int] = {}
        for node, storages in self._known().saved.items():
            new = [s for s in dict.fromkeys(storages) if s.kind != "own" and s not in seen]
            seen.update(new)
            found[node] = sum((s.bytes(self._width) for s in new), 0)
        return found

    @property
    def activations(self) -> Figure:
        """Bytes of all tensors that the operations make; views and work in place make none.

        The formula is for axes longer than 1, see `saved`.
        """
        return self._out(sum(self._activations.values(), 0))

    @property
    def saved(self) -> Figure:
        """Bytes that autograd keeps for the backward pass, parameters and buffers aside.

        Every storage counts once and whole, the network's inputs included where they are kept.
        Equals what ``torch.autograd.graph.saved_tensors_hooks`` sees on CPU. The formula is for
        axes longer than 1, and for sizes that are equal only where they are written alike; at
        sizes (`at`) nothing is assumed.
        """
        return self._out(sum(self._saved.values(), 0))

    def _alive(self) -> Iterator[tuple[Node, list[Storage]]]:
        """What is alive while each node runs: a tensor lives from its maker to its last reader, a
        constant that the forward makes from its first. Of what an operation makes on its way (a
        copy, the scores of attention) one at a time: how many it keeps at once is its own affair.
        """
        memory, nodes = self._known(inference=True), self.net.nodes
        last: dict[Storage, int] = {}
        for i, node in enumerate(nodes):
            for t in (*node.inputs, *node.outputs):
                last[memory.of(t).storage] = i
            last.update((s, i) for s in memory.made[node] if s not in last)
        for t in (*self.net.input_tensors, *self.net.output_tensors):
            last[memory.of(t).storage] = len(nodes)
        alive = dict.fromkeys(memory.of(t).storage for t in self.net.input_tensors)
        for i, node in enumerate(nodes):
            read = (memory.of(t).storage for t in node.inputs)
            alive.update(dict.fromkeys(s for s in read if s.kind == "input"))
            made = [s for s in memory.made[node] if s.kind == "activation"]
            outputs = {memory.of(t).storage for t in node.outputs}
            scratch = [s for s in made if last[s] == i and s not in outputs]
            if node.op == "scaled_dot_product_attention":  # devices differ in what they fuse
                made, scratch = [s for s in made if s not in scratch], []
            alive.update(dict.fromkeys(s for s in made if s not in scratch))
            yield from ((node, [*alive, *more]) for more in [[s] for s in scratch] or [[]])
            alive = {s: None for s in alive if last[s] != i}

    @cached_property
    def _moments(self) -> dict[Int, list[Storage]]:
        """Bytes alive while each node runs, and whose they are."""
        if self._laid is not self:
            return self._laid._moments
        moments = (alive for _, alive in self._alive())
        return {sum((s.bytes(self._width) for s in alive), 0): alive for alive in moments}

    def terms(self, what: str) -> list[list[Int]]:
        """A figure as it comes together: lists of terms, of which the largest sum is the figure.

        what: "work", "activations", "saved" or "peak"; all but the peak are one list, a term per
            node.

        >>> from symcnn import nn
        >>> nn.Conv2d(3, 8, 3).trace("N 3 H W").cost().terms("activations")
        [[32*N*H*W - 64*N*H - 64*N*W + 128*N]]
        """
        if what == "peak":
            worst = [self._moments[moment] for moment in self._worst(self._moments)]
            return [[s.bytes(self._width) for s in alive] for alive in worst]
        figures = {"work": "_work", "activations": "_activations", "saved": "_saved"}
        return [[*getattr(self, figures[what]).values()]]

    @property
    def peak(self) -> Figure:
        """Bytes of tensors alive at the worst moment of an inference pass, parameters aside.

        A tensor lives from the operation that makes it to the last that reads it, the network's
        inputs throughout; the scratch memory of kernels is not counted. The formula is the maximum
        of the moments that are the worst at some valid size.

        >>> from symcnn import nn
        >>> nn.Sequential(*[nn.Conv2d(8, 8, 3) for _ in range(4)]).trace("1 8 H W").cost().peak
        96*(H - 2)*(W - 2) + 256
        """
        if self.sizes is not None:
            return max((evaluate(m, self.sizes) for m in self._moments), default=0)
        moments = self._worst(dict.fromkeys(_subs_all(m, self.given) for m in self._moments))
        return self._out(maximum(*map(self.net.simplest, moments)) if moments else 0)

    def _worst(self, moments: Iterable[Int]) -> list[Int]:
        """Those of which one is the greatest, at every valid size.

        Sizes are counted from the least that is valid: from there on, a layer that eats two rows
        leaves less than the one before.
        """
        simple = {self.net.simplest(m): m for m in moments}
        moved = {_from_least(s, self._least): m for s, m in simple.items()}
        greatest = maximum(*moved) if moved else 0
        atom = sole_atom(greatest)
        kept = atom.args if isinstance(atom, Max) else (greatest,)
        return [moved[m] for m in kept] if moved.keys() >= {*kept} else [*moved.values()]

    @cached_property
    def _least(self) -> dict[str, int]:
        """The least valid value of each size, where it is known to be more than 1."""
        try:
            domain = self.net.valid_inputs()
        except SymcnnError:
            return {}
        if not domain:
            return {}
        least = {name: lone(domain.axis(name).smallest()) for name in domain.shown}
        return {name: value for name, value in least.items() if value > 1}

    def _bytes(self, tensors: Iterable[SymbolicTensor]) -> Int:
        total: Int = 0
        for t in dict.fromkeys(tensors):
            total = total + prod(t.dims) * width(t.dtype or self.dtype)
        return total

    @property
    def weights(self) -> Figure:
        """Bytes of the parameters, each in its own dtype."""
        return self._out(self._bytes(self._parameters))

    @property
    def by_dtype(self) -> dict[str, Figure]:
        """The number of parameters and buffer elements by dtype."""
        groups: dict[str, list[Parameter | Constant]] = {}
        everything: list[Parameter | Constant] = [*self._parameters, *self.net.buffers]
        for t in everything:
            groups.setdefault(t.dtype or self.dtype, []).append(t)
        return {name: self._out(self._count(ts)) for name, ts in groups.items()}

    @property
    def gradient_bytes(self) -> Figure:
        """Bytes of the gradients of what is trained."""
        return self._out(self._bytes(p for p in self._parameters if p.trainable))

    def optimizer(self, name: str) -> Figure:
        """Bytes of the optimizer's state: "sgd", "momentum", "adam" or "adamw", as in torch.optim.

        Raises BadSpec for another name.
        """
        if name not in _OPTIMIZERS:
            known = ", ".join(_OPTIMIZERS)
            raise BadSpec(f"no optimizer is called {name!r}", cure=f"there are: {known}")
        copies, each = _OPTIMIZERS[name]
        if each:
            self._unrolled("the number of tensors")
        trained = [p for p in self._parameters if p.trainable]
        return self._out(self._bytes(trained) * copies + each * len(trained))

    # bytes moved

    @cached_property
    def _moved(self) -> dict[Node, Int]:
        """What a node reads and writes, weights included; views move nothing."""
        if self._laid is not self:
            return self._as_laid(lambda laid: laid._moved)
        memory = self._known()
        found: dict[Node, Int] = {}
        for node in self.net.nodes:
            wrote = [t for t in node.outputs if node.inplace or self._writes(node, t)]
            read = dict.fromkeys(node.inputs) if wrote else {}
            total: Int = 0
            for t in (*read, *wrote):
                leaf = isinstance(t, (Parameter, Constant)) and t.dtype
                each = width(t.dtype) if leaf else memory.bytes_of(t)
                total = total + prod(t.dims) * each
            found[node] = total
        return found

    def _writes(self, node: Node, t: SymbolicTensor) -> bool:
        return in_place(node) or self.memory.of(t).storage in self.memory.made[node]

    @property
    def moved(self) -> Figure:
        """Bytes that the operations read and write, each node by itself."""
        return self._out(sum(self._moved.values(), 0))

    def _arithmetic(self, node: Node) -> Int:
        return 2 * node.result.macs + self._other[node]

    @property
    def intensity(self) -> dict[str, sympy.Expr]:
        """FLOPs per byte moved of every node that moves some, by name (two FLOPs per MAC, and
        `other`); a sympy expression, or a Fraction at sizes.
        """
        return {
            n.name: sympy.cancel(
                sympy.sympify(self._out(self._arithmetic(n))) / sympy.sympify(self._out(moved))
            )
            for n, moved in self._moved.items()
            if moved != 0
        }

    def roofline(self, peak: float, bandwidth: float) -> Roofline:
        """What bounds each node on a machine of `peak` FLOP/s and `bandwidth` bytes/s.

        Raises BadSpec unless the cost stands at sizes, see `at`.
        """
        if self.sizes is None:
            raise BadSpec("a roofline needs sizes", cure="cost.at(N=1, H=224, W=224).roofline(...)")
        if not (peak > 0 and bandwidth > 0):
            raise BadSpec(f"peak={peak}, bandwidth={bandwidth}", cure="both are positive")
        rows = []
        for node, size in self._moved.items():
            if size == 0:
                continue
            flops, moved = (
                evaluate(self._arithmetic(node), self.sizes),
                evaluate(size, self.sizes),
            )
            computing, moving = flops / peak, moved / bandwidth
            bound = "compute" if computing >= moving else "memory"
            rows.append(Roof(node.name, flops, moved, bound, max(computing, moving)))
        return Roofline.of(rows, peak, bandwidth)

    # parameters

    @cached_property
    def _parameters(self) -> tuple[Parameter, ...]:
        return self.net.parameters

    def _count(self, parameters: Iterable[SymbolicTensor]) -> Int:
        return sum((prod(p.dims) for p in dict.fromkeys(parameters)), 0)

    @property
    def params(self) -> Figure:
        """The number of parameters, each weight once."""
        return self._out(self._count(self._parameters))

    @property
    def trainable(self) -> Figure:
        """The number of parameters that are trained."""
        return self._out(self._count(p for p in self._parameters if p.trainable))

    @property
    def frozen(self) -> Figure:
        """The number of parameters that are not trained."""
        return self._out(self._count(p for p in self._parameters if not p.trainable))

    @property
    def buffers(self) -> Figure:
        """The number of elements of the module's buffers, such as running statistics."""
        return self._out(self._count(self.net.buffers))

    # tables

    def rows(
        self,
        by: str = "module",
        columns: Iterable[str] = ("params", "work", "share"),
        depth: int | None = None,
    ) -> tuple[Row, ...]:
        """One row per module, as a tree in depth-first order, or per node.

        by: "module" or "node"; depth: how deep the tree is shown (default: all of it).

        Raises BadSpec for another word or an unknown column.
        """
        wanted = tuple(columns)
        for column in wanted:
            if column not in COLUMNS:
                raise BadSpec(
                    f"no column is called {column!r}", cure=f"there are: {', '.join(COLUMNS)}"
                )
        if by not in ("module", "node"):
            raise BadSpec(f"by={by!r}", cure='"module" or "node"')
        if by == "node":
            return tuple(self._by_node(wanted))
        return tuple(self._by_module(wanted, depth))

    def _by_node(self, columns: tuple[str, ...]) -> Iterator[Row]:
        unread = unread_parameters(self.net)
        for node in self.net.nodes:
            owned = {*node.parameters, *unread.get(node, ())}
            yield Row(node.name, node.op, 0, self._values([node], owned, columns))

    def _by_module(self, columns: tuple[str, ...], deepest: int | None) -> Iterator[Row]:
        inside: dict[str, list[Node]] = {"": []}
        for node in self.net.nodes:
            for path in _paths(node.module):
                inside.setdefault(path, []).append(node)
        owned: dict[str, set[Parameter]] = {"": set(self._parameters)}
        unread = unread_parameters(self.net)
        for path, nodes in inside.items():
            if path:
                owned[path] = {p for n in nodes for p in (*n.parameters, *unread.get(n, ()))}
        for path in sorted(inside, key=_tree_order(inside)):
            depth = path.count(".") + 1 if path else 0
            if deepest is not None and depth > deepest:
                continue
            yield Row(path, "", depth, self._values(inside[path], owned[path], columns))

    def _values(
        self, nodes: list[Node], parameters: set[Parameter], columns: tuple[str, ...]
    ) -> dict[str, object]:
        values: dict[str, Any] = {}
        for column in columns:
            if column == "params":
                values[column] = self._out(self._count(parameters))
            elif column == "share":
                values[column] = self._share(sum((self._work[n] for n in nodes), 0))
            else:
                per_node = self._column(column)
                values[column] = self._out(sum((per_node[n] for n in nodes), 0))
        return values

    def _column(self, name: str) -> dict[Node, Int]:
        match name:
            case "work":
                return self._work
            case "other":
                return self._other
            case "backward":
                return self._backward
            case "activations":
                return self._activations
            case "saved":
                return self._saved
            case "moved":
                return self._moved
        raise BadSpec(name)  # pragma: no cover

    def _share(self, work: Int) -> Any:
        """A part of the total: at sizes, or in the limit of large sizes; None for no work."""
        total = sum(self._work.values(), 0)
        if self.sizes is not None:
            work, total = evaluate(work, self.sizes), evaluate(total, self.sizes)
        if work == 0 or total == 0:
            return None
        try:
            whole = Formula(total).leading()
            part = Formula(work).leading(*whole.term.symbols)
        except Undecidable:
            return None
        if part.degree < whole.degree:
            return sympy.Integer(0)
        return sympy.cancel(sympy.sympify(part.term.expr) / sympy.sympify(whole.term.expr))

    def frame(
        self, by: str = "node", columns: Iterable[str] = ("params", "work", "other")
    ) -> pandas.DataFrame:
        """The table as a pandas DataFrame: sympy expressions, or ints at sizes.

        Raises MissingExtra without pandas.
        """
        with needs("pandas", "frames"):
            import pandas
        rows = [
            {"name": r.name, "op": r.op, **{c: _bare(v) for c, v in r.values.items()}}
            for r in self.rows(by, columns)
        ]
        return pandas.DataFrame(rows)

    def to_dict(
        self,
        by: str = "module",
        columns: Iterable[str] = ("params", "work", "share"),
        depth: int | None = None,
    ) -> dict[str, object]:
        """Everything for JSON: totals and rows, numbers where they are numbers, else text."""
        return {
            "convention": self.convention.name,
            "unit": self.convention.unit,
            "sizes": dict(self.sizes) if self.sizes is not None else None,
            "complete": self.complete,
            "total": _plain(self.total),
            "params": _plain(self.params),
            "trainable": _plain(self.trainable),
            "frozen": _plain(self.frozen),
            "buffers": _plain(self.buffers),
            "rows": [
                {"name": r.name, "op": r.op, **{c: _plain(v) for c, v in r.values.items()}}
                for r in self.rows(by, columns, depth)
            ],
        }

    def table(
        self,
        by: str = "module",
        columns: Iterable[str] = ("params", "work", "share"),
        depth: int | None = None,
    ) -> str:
        """The table as text; see `rows`."""
        from symcnn.notation.text import to_text
        from symcnn.questions.cost.table import cost_table

        return to_text(cost_table(self.rows(by, columns, depth), by, columns, self.convention.unit))

    @property
    def totals(self) -> str:
        """The sums under a table: work, parameters, and what is missing."""
        from symcnn.questions.cost.table import cell as as_text

        total, unit = self.total, self.convention.unit
        figures = [f"{as_text(total) or 0} {unit}", f"{as_text(self.params) or 0} parameters"]
        frozen = self.frozen
        if frozen:
            figures.append(f"of which {as_text(frozen)} frozen")
        text = ", ".join(figures)
        if not self.complete:
            names = ", ".join(f"{n.name} ({n.op})" for n in self.missing[:5])
            text = f"at least {text}; without a cost: {names}"
        if self.given:
            text += f", where {' and '.join(map(spoken, self.given))}"
        return text

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        unit = self.convention.unit
        bound = "" if self.complete else "at least "
        head = f"<div>{bound}{cell(self.total)} {unit}, {cell(self.params)} parameters</div>"
        first, rows = self.rows(depth=1), self.rows(columns=("params", "work"))
        more = folded("all modules", self._html_table(rows)) if len(first) < len(rows) else ""
        return block(head, self._html_table(first, "share"), more)

    def _html_table(self, shown: Sequence[Row], *besides: str) -> str:
        from symcnn.questions.cost.table import cell as as_text

        headings = ["module", "params", self.convention.unit, *besides]
        rows = [
            [
                "\N{EM SPACE}" * row.depth + (row.name.rpartition(".")[2] or "(total)"),
                *(row[key] if as_text(row[key]) else None for key in ("params", "work")),
                *(as_text(row[key]) for key in besides),
            ]
            for row in shown
        ]
        return table(headings, rows, numbers=headings[1:])

    def __repr__(self) -> str:
        bound = "" if self.complete else "at least "
        return f"Cost({bound}{self.total} {self.convention.unit}, {self.params} params)"


def unread_parameters(net: Trace) -> dict[Node, list[Parameter]]:
    """Parameters that no operation reads by itself, by the first node of the module that owns them.

    Such as those of which a weight is made anew at every call: weight norm's length and direction.
    """
    read = {p for node in net.nodes for p in node.parameters}
    first: dict[str, Node] = {}
    for node in net.nodes:
        for path in _paths(node.module):
            first.setdefault(path, node)
    found: dict[Node, list[Parameter]] = {}
    for p in net.parameters:
        owner, parametrized, _ = p.name.partition(".parametrizations.")
        owner = owner if parametrized else p.name.rpartition(".")[0]
        if p not in read and owner in first:
            found.setdefault(first[owner], []).append(p)
    return found


@singledispatch
def measure(net: Trace, name: str = "macs", **options: Any) -> Cost:
    """See `Network.cost`."""
    return Cost(net, convention(name), **options)


@singledispatch
@remembered
def total_macs(net: Trace) -> Expr:
    """See `Network.macs`."""
    return formula(measure(net).total).expr


@singledispatch
@remembered
def total_flops(net: Trace) -> Expr:
    """See `Network.flops`."""
    return formula(measure(net, "flops").total).expr


def _paths(module: str) -> Iterator[str]:
    """A module path and all that contain it: "", "layer1", "layer1.0"."""
    yield ""
    parts = module.split(".") if module else []
    for i in range(len(parts)):
        yield ".".join(parts[: i + 1])


def _tree_order(inside: Mapping[str, Any]) -> Callable[[str], tuple[int, ...]]:
    """Parents first, children in the order in which they first ran."""
    first = {path: i for i, path in enumerate(inside)}
    return lambda path: tuple(first[p] for p in _paths(path))


def _subs_all(size: Int, given: tuple[Any, ...]) -> Int:
    """The expression under all conditions: what `maximum` can then compare."""
    return Formula(size).under(*given).size if given else size


def _from_least(size: Int, least: Mapping[str, int]) -> Int:
    """The expression with every size counted from 1 at its least value."""
    if isinstance(size, int):
        return size
    return size.subs({name: Size.symbol(name) + (value - 1) for name, value in least.items()})


def _bare(value: Any) -> Any:
    return value.expr if isinstance(value, Formula) else value


def _plain(value: Any) -> Any:
    """Numbers as numbers, formulas as text, shares as floats."""
    if isinstance(value, Formula):
        return value.size if isinstance(value.size, int) else str(value)
    if isinstance(value, sympy.Basic):
        return float(value) if value.is_number else str(value)
    return value


def _no_cost(node: Node) -> UnsupportedOperation:
    return UnsupportedOperation(
        f"{node.module or node.name}: {node.op} does not say what it costs",
        cure="let its rule return Result(shapes, macs=...), or ask with partial=True",
    )
