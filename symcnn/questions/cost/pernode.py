"""What each node of a network costs: work, tensors made and kept, bytes moved; kernel expressions.

The law: a figure of a network is a sum over its nodes, so what is told of every node is all that a
total, a table, a tree of modules or a share needs. `symcnn.questions.cost.cost` adds up and shows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Self

from symcnn.algebra.series import summation
from symcnn.algebra.size import Int, Max, Size, maximum, prod, sole_atom, with_values
from symcnn.errors import BadSpec, SymcnnError, Undecidable, UnsupportedOperation
from symcnn.lazy import cached_property, uncollected
from symcnn.ops.autograd import Gradients, gradients
from symcnn.ops.storage import Life, Memory, Piece, Storage, in_place, pieces, refusal, weighed
from symcnn.questions.cost.conventions import Convention, elementwise
from symcnn.sets.member import lone
from symcnn.trace.content import Valued, content
from symcnn.trace.dtype import BYTES
from symcnn.trace.graph import Constant, Node, Parameter, SymbolicTensor
from symcnn.trace.trace import Trace

#: What is alive while a node runs, in the order in which it was made.
Moment = dict[Piece, None]


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
    return summation(with_values(each, blocks.values), blocks.index, blocks.count)


class PerNode(Valued):
    """The figures of every node of a network, as a convention counts them."""

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

    def _value(self) -> tuple[object, ...]:
        sizes = None if self.sizes is None else tuple(sorted(self.sizes.items()))
        counted = self.convention.name, self.partial, self.input_grad, self.dtype
        return *counted, sizes, self.given, content(self.net)

    def _with(self, **changes: Any) -> Self:
        options: dict[str, Any] = {
            "partial": self.partial,
            "input_grad": self.input_grad,
            "dtype": self.dtype,
            "sizes": self.sizes,
            "given": self.given,
        }
        return type(self)(changes.pop("net", self.net), self.convention, **{**options, **changes})

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
        count = self.convention.count
        return {
            n: count(n) if n.result.blocks is None else _over_blocks(n, count)
            for n in self.net.nodes
        }

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
        return (work or 0) * node.taken

    @cached_property
    def _gradients(self) -> Gradients:
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
        self._own_backward()
        factor, counted = self.convention.factor, self.convention.name == "flops"
        found: dict[Node, Int] = {}
        for node in self.net.nodes:
            try:
                found[node] = self._gradients.macs(node, counted=counted) * factor
            except UnsupportedOperation:
                if not self.partial:
                    raise
                found[node] = 0
        return found

    def _own_backward(self) -> None:
        """Raises UnsupportedOperation where a torch.autograd.Function has its own backward pass."""
        node = self._gradients.custom
        if node is not None and node.mode.custom is not None and not self.partial:
            raise UnsupportedOperation(
                f"{node.module or node.name}: what the backward pass of {node.mode.custom.name},"
                " one of its own, costs is not known",
                cure="ask with partial=True for a lower bound",
            )

    @cached_property
    def _memory(self) -> Memory:
        """The network over storages: what each node makes, and what autograd keeps."""
        self._unrolled("what stands in memory")
        return Memory(self.net.nodes, self._gradients, self.own, self._dtype)

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
        memory = Memory(self.net.nodes, Gradients(set(), set()), self.own, self._dtype)
        return self._placed(memory)

    def _placed(self, memory: Memory) -> Memory:
        """What tensors take needs no word on what autograd keeps beside them."""
        if memory.unplaced and not self.partial:
            raise refusal(*memory.unplaced[0])
        return memory

    @cached_property
    def _laid(self) -> Self:
        """The same where each size that the domain fixes is a number: what is 1 there, and what is
        as long as what else, decides which views are copies.
        """
        try:
            fixed = {} if self.sizes is not None else self.net.valid_inputs().fixed
        except SymcnnError:
            fixed = {}
        return self._with(net=self.net.given(**fixed)) if fixed else self

    def _as_laid(self, figures: Callable[[Self], dict[Node, Int]]) -> dict[Node, Int]:
        """Figures of the nodes, which are those of the same nodes where fixed sizes are numbers."""
        found = figures(self._laid)
        by_name = {node.name: figure for node, figure in found.items()}
        return {node: by_name.get(node.name, 0) for node in self.net.nodes}

    @cached_property
    def _activations(self) -> dict[Node, Int]:
        if self._laid is not self:
            return self._as_laid(lambda laid: laid._activations)
        if any(n.result.blocks for n in self.net.nodes):
            return {n: _over_blocks(n, self._made_alone) for n in self.net.nodes}
        made = self._placed(self._memory).made
        return {n: self._bytes_made(made[n]) for n in self.net.nodes}

    def _bytes_made(self, storages: Iterable[Storage]) -> Int:
        made = [(s, s.taken) for s in storages if s.kind == "activation"]
        return sum(map(self._piece_bytes, made), 0)

    def _made_alone(self, node: Node) -> Int:
        """What one node makes, its inputs taken as they come: that of a repeated block."""
        alone = gradients((node,), node.inputs, node.outputs, input_grad=False)
        memory = Memory((node,), alone, self.own, self._dtype)
        return self._bytes_made(self._placed(memory).made[node])

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
        if self._memory.unknown and not self.partial:
            raise refusal(*self._memory.unknown[0])
        counted: dict[Storage, Int] = {}
        return {
            node: sum(weighed(dict.fromkeys(storages), self._width, counted), 0)
            for node, storages in self._memory.saved.items()
        }

    def _alive(self) -> Iterator[tuple[Node, list[Storage]]]:
        return self._inference.alive(*self._run)

    @property
    def _run(self) -> Any:
        """An inference pass: its nodes, inputs and outputs, and what python holds."""
        return self.net.nodes, self.net.input_tensors, self.net.output_tensors, self._released

    @property
    def _released(self) -> Iterator[tuple[SymbolicTensor, int]]:
        """What python holds, and the last node that runs while python does."""
        nodes = self.net.nodes
        places, inside = [*map(self.net.position, nodes)], {None, *nodes}
        for t, end in self.net.releases.items():
            if t.node in inside:
                yield t, bisect_left(places, end) - 1

    @cached_property
    def _moments(self) -> dict[Int, Moment]:
        """Bytes alive while each node runs, and whose they are."""
        if self._laid is not self:
            return self._laid._moments
        with uncollected():
            memory = self._inference
            whole = all(s.taken == 1 for made in memory.made.values() for s in made)
            large = _undominated(memory.lives(*self._run), by_size=whole)
            moments = [dict.fromkeys(pieces(alive)) for alive in large]
            return dict(zip(_totals(moments, self._piece_bytes), moments, strict=True))

    def _piece_bytes(self, piece: Piece) -> Int:
        part, share = piece
        return part.elements * share * (part.width or self._width)

    def terms(self, what: str) -> list[list[Int]]:
        """A figure as it comes together: lists of terms, of which the largest sum is the figure.

        what: "work", "activations", "saved" or "peak"; all but the peak are one list, a term per
            node.

        >>> from symcnn import nn
        >>> nn.Conv2d(3, 8, 3).trace("N 3 H W").cost().terms("activations")
        [[32*N*H*W - 64*N*H - 64*N*W + 128*N]]
        """
        if what == "peak":
            return [[*map(self._piece_bytes, moment)] for moment in self._worst().values()]
        figures = {"work": "_work", "activations": "_activations", "saved": "_saved"}
        return [[*getattr(self, figures[what]).values()]]

    def _worst(self, under: Callable[[Int], Int] = lambda size: size) -> dict[Int, Moment]:
        """The moments of which one is the greatest, at every valid size: bytes, and whose they are.

        Sizes are counted from the least that is valid: from there on, a layer that eats two rows
        leaves less than the one before. A moment is a sum, and what is said of a size is said of
        its terms: each piece of memory is looked at once.

        Args:
            under: a size under the conditions that are given.
        """
        moments = [*self._moments.values()]
        every = dict.fromkeys(chain.from_iterable(moments))
        simple = {p: self.net.simplest(under(self._piece_bytes(p))) for p in every}
        moved = {piece: _from_least(size, self._least) for piece, size in simple.items()}
        moments = _largest(moments, moved)
        told = zip(_totals(moments, simple.__getitem__), moments, strict=True)
        found = dict(zip(_totals(moments, moved.__getitem__), told, strict=True))
        greatest = maximum(*found) if found else 0
        atom = sole_atom(greatest)
        kept = atom.args if isinstance(atom, Max) else (greatest,)
        return dict([found[m] for m in kept] if found.keys() >= {*kept} else found.values())

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
        each = (prod(t.dims) * width(t.dtype or self.dtype) for t in dict.fromkeys(tensors))
        return sum(each, 0)

    @cached_property
    def _moved(self) -> dict[Node, Int]:
        """What a node reads and writes, weights included; views move nothing."""
        if self._laid is not self:
            return self._as_laid(lambda laid: laid._moved)
        memory = self._placed(self._memory)
        found: dict[Node, Int] = {}
        for node in self.net.nodes:
            wrote = [t for t in node.outputs if node.mode.inplace or self._writes(node, t)]
            read = dict.fromkeys(node.inputs) if wrote else {}
            total: Int = 0
            for t in (*read, *wrote):
                leaf = isinstance(t, (Parameter, Constant)) and t.dtype
                each = width(t.dtype) if leaf else memory.bytes_of(t)
                total = total + prod(t.dims) * each
            found[node] = total * node.taken
        return found

    def _writes(self, node: Node, t: SymbolicTensor) -> bool:
        return in_place(node) or self._memory.of(t).storage in self._memory.made[node]

    def _arithmetic(self, node: Node) -> Int:
        return 2 * node.result.work + self._other[node]

    @cached_property
    def _parameters(self) -> tuple[Parameter, ...]:
        return self.net.parameters

    def _count(self, parameters: Iterable[SymbolicTensor]) -> Int:
        return sum((prod(p.dims) for p in dict.fromkeys(parameters)), 0)


def unread_parameters(net: Trace) -> dict[Node, list[Parameter]]:
    """Parameters that no operation reads by itself, by the first node of the module that owns them.

    Such as those of which a weight is made anew at every call: weight norm's length and direction.
    """
    read = {p for node in net.nodes for p in node.parameters}
    first: dict[str, Node] = {}
    for node in net.nodes:
        for path in paths(node.module):
            first.setdefault(path, node)
    found: dict[Node, list[Parameter]] = {}
    for p in net.parameters:
        owner, parametrized, _ = p.name.partition(".parametrizations.")
        owner = owner if parametrized else p.name.rpartition(".")[0]
        if p not in read and owner in first:
            found.setdefault(first[owner], []).append(p)
    return found


def paths(module: str) -> Iterator[str]:
    """A module path and all that contain it: "", "layer1", "layer1.0"."""
    yield ""
    parts = module.split(".") if module else []
    for i in range(len(parts)):
        yield ".".join(parts[: i + 1])


def _undominated(lives: Iterable[Life], *, by_size: bool) -> list[list[Storage]]:
    """What is alive at each moment, but for those of which another one a few nodes before or behind
    has as much: as many storages of each size.

    by_size: whether storages of one size count alike: not so where branches leave some out.
    """
    kept: list[tuple[int, Counter[int], list[Storage]]] = []
    counts = Counter[int]()  # of what is alive, by size
    alive: dict[Storage, None] = {}
    sizes: dict[object, int] = {}  # each has a number, which is compared at once

    def size(storage: Storage) -> int:
        plain = by_size and storage.kind != "own"
        key = (storage.elements, storage.width) if plain else storage
        return sizes.setdefault(key, len(sizes))

    def within(some: Counter[int], other: Counter[int]) -> bool:
        return some.keys() <= other.keys() and all(other[k] >= n for k, n in some.items())

    for _, came, moments, stay, gone in lives:
        for storage in came.keys() - alive.keys():
            counts[size(storage)] += 1
        alive |= came
        for more in moments:
            now = counts + Counter(size(s) for s in dict.fromkeys(more) if s not in alive)
            total = now.total()
            near = kept[-_NEAR:]
            if any(total <= n and within(now, other) for n, other, _ in near):
                continue
            kept[-_NEAR:] = [one for one in near if one[0] > total or not within(one[1], now)]
            kept.append((total, now, [*alive, *more]))
        for storage in stay.keys() - alive.keys():
            counts[size(storage)] += 1
        alive |= stay
        for storage in gone:
            if storage in alive:
                del alive[storage]
                counts[key := size(storage)] -= 1
                if not counts[key]:  # else each moment counts all that ever was
                    del counts[key]
    return [storages for _, _, storages in kept]


#: So many moments are compared with the next one.
_NEAR = 64


def _largest(moments: Sequence[Moment], size: Mapping[Piece, Int]) -> list[Moment]:
    """The moments of which no other one has all that they have, by sizes, and is as large so; all
    of them where they are many, of as many sizes.
    """
    known: dict[Int, int] = {}
    number = {piece: known.setdefault(whole, len(known)) for piece, whole in size.items()}
    kept: list[tuple[int, frozenset[int]]] = []
    left = _PAIRS
    for i in sorted(range(len(moments)), key=lambda i: -len(moments[i])):
        if (left := left - len(kept)) < 0:
            return [*moments]
        own: set[int] = set()  # where several are as large, each by itself
        for n, copies in Counter(map(number.__getitem__, moments[i])).items():
            own.update(range(n, n + copies * len(known), len(known)))
        if not any(own <= other for _, other in kept):
            kept.append((i, frozenset(own)))
    return [moments[i] for i, _ in sorted(kept, key=lambda one: one[0])]


#: So many pairs of moments are compared.
_PAIRS = 1 << 16


def _totals(moments: Iterable[Moment], size: Callable[[Piece], Int]) -> Iterator[Int]:
    """The sum of each moment: from one to the next few tensors come and go."""
    total: Int = 0
    before: Moment = {}
    for now in moments:
        total = sum((size(piece) for piece in now if piece not in before), total)
        total -= sum((size(piece) for piece in before if piece not in now), 0)
        yield total
        before = now


def _from_least(size: Int, least: Mapping[str, int]) -> Int:
    """The expression with every size counted from 1 at its least value."""
    if isinstance(size, int):
        return size
    return size.subs({name: Size.symbol(name) + (value - 1) for name, value in least.items()})


def _no_cost(node: Node) -> UnsupportedOperation:
    return UnsupportedOperation(
        f"{node.module or node.name}: {node.op} does not say what it costs",
        cure="let its rule return Result(shapes, macs=...), or ask with partial=True",
    )
