"""Where tensors live, and which of them autograd keeps: storages, strides, saved tensors.

The law of memory: *bytes belong to storages, not to tensors.* A view has its base's storage, an
operation in place its input's; what autograd saves keeps a storage alive, however many tensors
look at it. So three facts per operation are enough: what its outputs share, how they are laid
out (a reshape copies exactly where strides do not merge), and which tensors its derivative reads.

The derivatives are those of torch's derivatives.yaml with the CPU kernels, measured with
``torch.autograd.graph.saved_tensors_hooks``. Strides are compared as formulas: an axis of
symbolic size is taken to be longer than 1, where torch would ignore its stride.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from symcnn.algebra.size import Int, exact_div, maximum, prod, sharp_lower
from symcnn.errors import UnsupportedOperation
from symcnn.ops.autograd import Gradients
from symcnn.ops.dtypes import BYTES
from symcnn.ops.matmul import labels_of
from symcnn.ops.registry import normal_dim, normal_dims, unpacked
from symcnn.trace.graph import Constant, Node, Parameter, SymbolicTensor, tensors_in

__all__ = ["Memory", "Storage", "refusal"]

Dims = Sequence[Int]
Runs = list[tuple[range, range]]  # axes of the one, axes of the other: as many elements

#: Axes from the outermost to the innermost where channels lie last, by rank.
_LAST = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}

#: Bytes per element of places, and of sums in single precision.
_LONG, _SINGLE = 8, 4

_BY_SIZES = "that sizes decide"


class Storage:
    """A piece of memory: `elements` of `width` bytes (None: the width of activations)."""

    __slots__ = ("elements", "kind", "width")

    def __init__(self, elements: Int, width: int | None, kind: str) -> None:
        self.elements, self.width = elements, width
        self.kind = kind  # "input", "activation", "extra" (made for the backward pass), "own"

    def bytes(self, activation_width: int) -> Int:
        """Its size, where activations have so many bytes per element."""
        return self.elements * (activation_width if self.width is None else self.width)


@dataclass(frozen=True, slots=True)
class Layout:
    """A tensor's place in memory: its storage, sizes and strides; if axes were merged and split, of
    what it is a view, and which axes became which.
    """

    storage: Storage
    dims: tuple[Int, ...]
    strides: tuple[Int, ...]
    base: tuple[Layout, Runs] | None = None

    @property
    def contiguous(self) -> bool:
        """Whether it lies in order, without gaps."""
        pairs = zip(self.dims, self.strides, _in_order(self.dims), strict=True)
        return all(stride == wanted for size, stride, wanted in pairs if size != 1)

    @property
    def order(self) -> list[int]:
        """Its axes from the outermost to the innermost, those of size 1 aside: by its strides or,
        where only sizes tell those apart, as the axes lie of which it is a view.
        """
        try:
            return _order(self.dims, self.strides)
        except _Unknown:
            if self.base is None:
                raise
            old, runs = self.base
            run_of = {axis: new for axes, new in runs for axis in axes}
            found = dict.fromkeys(i for axis in old.order for i in run_of[axis])
            return [i for i in found if self.dims[i] != 1]

    @property
    def channels_last(self) -> bool:
        """Whether channels lie innermost, in an image that is not also in plain order."""
        n = len(self.dims)
        if n not in (4, 5) or self.contiguous:
            return False
        columns = self.strides[-1] * (self.dims[-1] - 1)
        if self.dims[-1] != 1 and _positive(self.strides[1] - columns):
            return False
        if self.dims[1] == 1 and _compare(self.strides[1], self.strides[-1]) > 0:
            return False
        want = [0, *range(2, n), 1]
        return self.order == [i for i in want if self.dims[i] != 1]


def _in_order(dims: Dims) -> tuple[Int, ...]:
    strides: list[Int] = []
    step: Int = 1
    for size in reversed(dims):
        strides.insert(0, step)
        step = step * size
    return tuple(strides)


def _order(dims: Dims, *operands: Dims) -> list[int]:
    """Axes from the outermost to the innermost, as torch sorts those of what it makes.

    The first operand with two strides that differ decides of two axes (0: it has no say); where
    none does, they stay. Source: ``TensorIteratorBase::reorder_dimensions`` and, for copies of one
    tensor, ``infer_dense_strides``, both of ATen; gaps make no difference.
    """

    def outer(i: int, j: int) -> int:
        for strides in operands:
            if strides[i] == 0 or strides[j] == 0:
                continue
            if strides[i] == strides[j]:
                if _compare(dims[i], dims[j]) > 0:
                    return 1
                continue
            if _spans(strides[i], strides[j], dims[j]):
                return 1
            if _spans(strides[j], strides[i], dims[i]):
                return -1
            return _compare(strides[i], strides[j])
        return 0

    found = [i for i in reversed(range(len(dims))) if dims[i] != 1]  # innermost first
    for last in range(1, len(found)):
        at = last
        for i in reversed(range(last)):
            sign = outer(found[i], found[at])
            if sign > 0:
                found[i], found[at], at = found[at], found[i], i
            elif sign < 0:
                break
    return found[::-1]


def _spans(outer: Int, inner: Int, size: Int) -> bool:
    """Whether one step of the first stride passes all places of an axis with the second."""
    low = sharp_lower(outer - inner * (size - 1))
    return low is not None and low > 0


def _compare(a: Int, b: Int) -> int:
    """The sign of ``a - b``, both positive. A multiple is larger: axes are longer than 1."""
    if a == b:
        return 0
    if exact_div(a, b) is not None:
        return 1
    if exact_div(b, a) is not None:
        return -1
    for sign, difference in ((1, a - b), (-1, b - a)):
        if _positive(difference):
            return sign
    raise _Unknown(f"with axes in an order {_BY_SIZES}")


def _positive(difference: Int) -> bool:
    """Whether a bound says so, or each term below 0 is part of a product above 0: ``h*w + n - w``.

    As in `_compare`, axes are longer than 1.
    """
    low = sharp_lower(difference)
    if isinstance(difference, int) or (low is not None and low > 0):
        return low is not None and low > 0
    left = {mono: c for mono, c in difference.terms.items() if c > 0}
    for mono, coeff in difference.terms.items():
        if coeff < 0:
            part = Counter(dict(mono))
            whole = next(
                (m for m, c in left.items() if part <= Counter(dict(m)) and c >= -coeff), None
            )
            if whole is None:
                return False
            left[whole] += coeff
    return any(left.values())


def _ordered(dims: Dims, order: Sequence[int]) -> tuple[Int, ...]:
    """Strides of a tensor without gaps whose axes lie in `order` (axes of size 1 aside)."""
    strides: list[Int] = [1] * len(dims)
    step: Int = 1
    for i in reversed(order):
        strides[i] = step
        step = step * dims[i]
    return tuple(strides)


def _view_strides(old: Layout, dims: Dims) -> tuple[tuple[Int, ...], Runs] | None:
    """The strides of a view with other sizes, and what becomes what; None where torch has to copy.

    From the last axis on, runs of axes hold as many elements. Where that does not show, it may show
    in the axes before them: there are as many elements in all.
    """
    if old.contiguous:
        return _in_order(dims), [(range(len(old.dims)), range(len(dims)))]
    strides: list[Int] = [1] * len(dims)
    runs: Runs = []
    at, first, last = len(dims) - 1, len(dims), len(old.dims)
    base, seen, placed = old.strides[-1], 1, 1
    total: Int = seen
    made: Int = placed
    for i in reversed(range(len(old.dims))):
        total = total * old.dims[i]
        breaks = i == 0 or (old.dims[i - 1] != 1 and old.strides[i - 1] != total * base)
        if not breaks:
            continue
        before = prod(old.dims[:i])
        while at >= 0 and (dims[at] == 1 or not (made == total or prod(dims[: at + 1]) == before)):
            strides[at] = made * base
            made = made * dims[at]
            at -= 1
        if made != total and prod(dims[: at + 1]) != before:
            return None
        runs.append((range(i, last), range(at + 1, first)))
        first, last = at + 1, i
        if i > 0:
            base, total, made = old.strides[i - 1], 1, 1
    return (tuple(strides), runs) if at == -1 else None


class Memory:
    """Runs the nodes of a network over storages: what each makes, and what autograd saves."""

    def __init__(
        self, nodes: Sequence[Node], gradients: Gradients, own: str = "", dtype: str = ""
    ) -> None:
        self.gradients = gradients
        self.own = own  # the dtype in which the network runs
        self.width = BYTES[dtype or own]  # of what is of that dtype
        self.recast = bool(dtype) and BYTES[dtype] != BYTES[own]  # asked in another than it runs in
        self._weights: dict[SymbolicTensor, Layout] = {}  # copies that autocast keeps
        self.layouts: dict[SymbolicTensor, Layout] = {}
        self.made: dict[Node, list[Storage]] = {}
        self.saved: dict[Node, list[Storage]] = {}
        self.unknown: list[tuple[Node, str]] = []
        self.run(nodes)

    def run(self, nodes: Iterable[Node]) -> None:
        """More nodes, in order."""
        for node in nodes:
            self._node = node
            self.made[node], self.saved[node] = [], []
            self._grad = node.grad and any(t in self.gradients.needed for t in node.outputs)
            self._run(node)

    # what rules use

    def of(self, t: SymbolicTensor) -> Layout:
        """Where a tensor lies; leaves are in plain order."""
        found = self.layouts.get(t)
        if found is None:
            owned = isinstance(t, Parameter) or (isinstance(t, Constant) and t.owned)
            kind = "own" if owned else "input"
            storage = Storage(prod(t.dims), self.width_of(t), kind)
            strides = getattr(t, "strides", None) or _in_order(t.dims)
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
        self, dims: Dims, width: int | None = None, order: Sequence[int] | None = None
    ) -> Layout:
        """A new tensor, in plain order or in the one given."""
        width = self._floats() if width is None else width
        storage = Storage(prod(dims), width, "activation")
        self.made[self._node].append(storage)
        strides = _in_order(dims) if order is None else _ordered(dims, order)
        return Layout(storage, tuple(dims), strides)

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

    def extra(self, elements: Int, width: int | None = None) -> None:
        """Something made for the backward pass only."""
        if self._grad:
            width = self._floats() if width is None else width
            storage = Storage(elements, width, "extra")
            self.made[self._node].append(storage)
            self.saved[self._node].append(storage)

    def reshaped(self, base: Layout, dims: Dims) -> Layout:
        """A view with other sizes, or a copy where there is none."""
        found = _view_strides(base, dims)
        if found is None:
            storage = Storage(prod(dims), base.storage.width, "activation")
            self.made[self._node].append(storage)
            return Layout(storage, tuple(dims), _in_order(dims))
        strides, runs = found
        return Layout(base.storage, tuple(dims), strides, (base, runs))

    def in_order(self, base: Layout) -> Layout:
        """`base` if it is contiguous, else a copy that is."""
        if base.contiguous:
            return base
        storage = Storage(prod(base.dims), base.storage.width, "activation")
        self.made[self._node].append(storage)
        return Layout(storage, base.dims, _in_order(base.dims))

    def _run(self, node: Node) -> None:
        rule = _RULES.get(node.op)
        before = self._cast(node) if node.cast else {}
        if rule is not None:
            try:
                rule(self, node)
            except _Unknown as error:
                self.unknown.append((node, str(error)))
        else:
            self.unknown.append((node, ""))
        self.layouts.update(before)
        for i, t in enumerate(node.outputs):
            if t not in self.layouts:
                self.place(self.fresh(t.dims), i)
            storage = self.layouts[t].storage
            if storage in self.made[node]:
                storage.width = self.width_of(t)

    def _cast(self, node: Node) -> dict[SymbolicTensor, Layout]:
        """Copies of what autocast has the node read in another dtype; where they lay before."""
        before: dict[SymbolicTensor, Layout] = {}
        for t in dict.fromkeys(node.inputs):
            if is_float(t) and t.dtype != node.cast and t not in self._weights:
                base = self.of(t)
                copy = self.fresh(t.dims, BYTES[node.cast], base.order)
                if isinstance(t, Parameter) and t.trainable:
                    self._weights[t] = copy
                before[t], self.layouts[t] = base, copy
            elif t in self._weights:
                before[t], self.layouts[t] = self.of(t), self._weights[t]
        return before


def is_float(t: SymbolicTensor) -> bool:
    """Whether it holds floats."""
    return t.dtype == "" or "float" in t.dtype


class _Unknown(Exception):
    """A way to call an operation that its entry does not cover."""


Rule = Callable[[Memory, Node], None]


def _x(node: Node) -> SymbolicTensor:
    return node.inputs[0]


# Views -----------------------------------------------------------------------------------------


def _reshape(m: Memory, node: Node) -> None:
    m.place(m.reshaped(m.of(_x(node)), node.outputs[0].dims))


def _pick(m: Memory, node: Node, order: Sequence[int | None]) -> None:
    """Output axes by the input axis they are (None: a new one)."""
    base = m.of(_x(node))
    strides = [1 if i is None else base.strides[i] for i in order]
    m.view(base, node.outputs[0].dims, strides)


def _permute(m: Memory, node: Node) -> None:
    x = _x(node)
    dims = unpacked(node.arguments["dims"])
    _pick(m, node, [normal_dim(d, x.ndim, "permute") for d in dims])


def _swap(first: Any, second: Any) -> Rule:
    def rule(m: Memory, node: Node) -> None:
        x, a = _x(node), node.arguments
        order = list(range(x.ndim))
        i = normal_dim(a[first] if isinstance(first, str) else first, x.ndim, node.op)
        j = normal_dim(a[second] if isinstance(second, str) else second, x.ndim, node.op)
        if order:
            order[i], order[j] = j, i
        _pick(m, node, order)

    return rule


def _reverse(m: Memory, node: Node) -> None:
    _pick(m, node, range(_x(node).ndim)[::-1])


def _movedim(m: Memory, node: Node) -> None:
    x, a = _x(node), node.arguments
    moved = normal_dims(a["source"], x.ndim, "movedim")
    places = normal_dims(a["destination"], x.ndim, "movedim")
    rest = iter(i for i in range(x.ndim) if i not in moved)
    at = dict(zip(places, moved, strict=True))
    _pick(m, node, [at[i] if i in at else next(rest) for i in range(x.ndim)])


def _squeeze(m: Memory, node: Node) -> None:
    x, dim = _x(node), node.arguments["dim"]
    gone = range(x.ndim) if dim is None else normal_dims(dim, x.ndim, "squeeze")
    _pick(m, node, [i for i in range(x.ndim) if not (i in gone and x.dims[i] == 1)])


def _unsqueeze(m: Memory, node: Node) -> None:
    x = _x(node)
    axis = normal_dim(node.arguments["dim"], x.ndim + 1, "unsqueeze")
    base = m.of(x)
    step = base.strides[axis] * x.dims[axis] if axis < x.ndim else 1
    m.view(base, node.outputs[0].dims, [*base.strides[:axis], step, *base.strides[axis:]])


def _expand(m: Memory, node: Node) -> None:
    m.place(_expanded(m.of(_x(node)), node.outputs[0].dims))


def _expanded(base: Layout, dims: Dims) -> Layout:
    lead = len(dims) - len(base.dims)
    strides = [
        0 if i < lead or (base.dims[i - lead] == 1 and size != 1) else base.strides[i - lead]
        for i, size in enumerate(dims)
    ]
    return Layout(base.storage, tuple(dims), tuple(strides))


def _pieces(m: Memory, node: Node) -> None:
    """Parts of an axis: the strides stay."""
    base = m.of(_x(node))
    for i, t in enumerate(node.outputs):
        m.view(base, t.dims, base.strides, i)


def _sliding(m: Memory, node: Node) -> None:
    """Windows of an axis: it goes on by their step, and inside them by its own."""
    a, base = node.arguments, m.of(_x(node))
    axis = normal_dim(a["dimension"], _x(node).ndim, "unfold")
    strides = list(base.strides)
    own = strides[axis]
    strides[axis] = own * a["step"]
    m.view(base, node.outputs[0].dims, [*strides, own])


def _without(m: Memory, node: Node) -> None:
    """One place of an axis: the axis goes."""
    x, base = _x(node), m.of(_x(node))
    axis = normal_dim(node.arguments.get("dim", 0), x.ndim, node.op)
    for i, t in enumerate(node.outputs):
        m.view(base, t.dims, [*base.strides[:axis], *base.strides[axis + 1 :]], i)


def _same(m: Memory, node: Node) -> None:
    m.place(m.of(_x(node)))


def _format(node: Node) -> list[int] | None:
    """The order of axes that a memory format asks for; None for torch.preserve_format or none."""
    call = node.call
    given = (*call.args, *call.kwargs.values()) if call is not None else ()
    wanted = next((str(v) for v in given if type(v).__name__ == "memory_format"), "")
    n = len(node.outputs[0].dims)
    if "channels_last" in wanted:
        return [*_LAST[n]]
    return [*range(n)] if "contiguous" in wanted else None


def _contiguous(m: Memory, node: Node) -> None:
    base, order = m.of(_x(node)), _format(node)
    if order is None or order == sorted(order):
        m.place(m.in_order(base))
        return
    wanted = _ordered(base.dims, order)
    pairs = zip(base.dims, base.strides, wanted, strict=True)
    lies = all(stride == step for size, stride, step in pairs if size != 1)
    m.place(base if lies else m.fresh(base.dims, None, order))


def _getitem(m: Memory, node: Node) -> None:
    """Basic indexing is a view; a tensor or a list as an index copies, and is kept."""
    call = node.call
    index = call.args[1] if call is not None and len(call.args) > 1 else ...
    items = list(index) if isinstance(index, tuple) else [index]
    tensors = list(tensors_in(*items))
    if tensors or any(isinstance(i, (list, bool)) for i in items):
        if any(t.boolean for t in tensors):
            raise _Unknown("with a mask")
        kept = [m.of(t).storage for t in tensors]
        lists = sum(len(i) for i in items if isinstance(i, list))
        m.save(*kept)
        if lists:
            m.extra(lists, _LONG)
        _indexed(m, node, items)
        return
    base, dims = m.of(_x(node)), node.outputs[0].dims
    m.view(base, dims, _index_strides(m, base, items, len(dims))[0])


def _indexed(m: Memory, node: Node, items: Sequence[Any]) -> None:
    """A copy, whose axes are ordered as those of the input, then as those of the indices.

    Axes of the index have no say among those of the input, and the other way round. Indices that do
    not stand side by side lead.
    """
    base, dims = m.of(_x(node)), node.outputs[0].dims
    order = None
    if base.order != sorted(base.order):
        order = _order(dims, *_index_strides(m, base, items, len(dims)))
    m.place(m.fresh(dims, None, order))


def _index_strides(m: Memory, base: Layout, items: Sequence[Any], n: int) -> list[list[Int]]:
    """The strides of the input and of each index along the `n` axes of what is picked."""
    named = sum(1 for i in items if i is not None and i is not Ellipsis)
    missing = [slice(None)] * (len(base.dims) - named)
    whole = [*items] if Ellipsis in items else [*items, Ellipsis]
    at = whole.index(Ellipsis)
    whole[at : at + 1] = missing
    places: list[int] = []  # of the indices, among the axes before
    indices: list[tuple[Int, ...]] = []
    strides: list[Int] = []
    steps, ahead = iter(base.strides), 0
    for item in whole:
        if item is not None:
            ahead += 1
        if isinstance(item, (SymbolicTensor, list)):
            places.append(len(strides))
            indices.append(m.of(item).strides if isinstance(item, SymbolicTensor) else (1,))
            next(steps)
        elif item is None:
            strides.append(base.strides[ahead] * base.dims[ahead] if ahead < len(base.dims) else 1)
        elif isinstance(item, slice):
            strides.append(next(steps) * (item.step or 1))
        else:
            next(steps)
    lead = places[0] if len(set(places)) == 1 else 0
    rank = n - len(strides)
    found = [[*strides[:lead], *[0] * rank, *strides[lead:]]]
    for own in indices:
        wide = [0] * (rank - len(own)) + [*own]
        found.append([*[0] * lead, *wide, *[0] * (len(strides) - lead)])
    return found


def _setitem(m: Memory, node: Node) -> None:
    m.place(m.of(_x(node)))


# Point by point --------------------------------------------------------------------------------


def _pointwise_order(m: Memory, node: Node) -> list[int]:
    """The order of axes in memory that a pointwise result takes over from its operands."""
    dims = node.outputs[0].dims
    return _order(dims, *(_expanded(m.of(t), dims).strides for t in node.inputs))


def _out(m: Memory, node: Node) -> Layout:
    """The output of a pointwise operation: in place, or new and laid out as the input."""
    if in_place(node):
        layout = m.of(_x(node))
    else:
        layout = m.fresh(node.outputs[0].dims, None, _pointwise_order(m, node))
    m.place(layout)
    return layout


def in_place(node: Node) -> bool:
    """Whether the operation writes to its input: as a method, or because an argument says so."""
    said = node.arguments.get("inplace"), _extra_kwarg(node, "inplace")
    return bool(node.inputs) and (node.inplace or True in said)


def _extra_kwarg(node: Node, name: str) -> Any:
    return node.call.kwargs.get(name) if node.call is not None else None


def _keeps_nothing(m: Memory, node: Node) -> None:
    _out(m, node)


def _remainder(m: Memory, node: Node) -> None:
    """By a number nothing is kept; by a tensor both, for its gradient."""
    if len(node.inputs) > 1 and m.needs(*node.inputs):
        raise _Unknown("by a tensor")
    _keeps_nothing(m, node)


def _makes_bool(m: Memory, node: Node) -> None:
    _out(m, node)


def _keep(m: Memory, node: Node, *tensors: SymbolicTensor) -> None:
    """Save operands. Of the one that the operation overwrites torch keeps a copy."""
    for t in tensors:
        if t is _x(node) and in_place(node):
            m.extra(prod(t.dims), m.of(t).storage.width)
        else:
            m.save(t)


def _keeps_input(m: Memory, node: Node) -> None:
    _keep(m, node, _x(node))
    _out(m, node)


def _keeps_output(m: Memory, node: Node) -> None:
    m.save(_out(m, node))


def _keeps_both(m: Memory, node: Node) -> None:
    m.save(_x(node))
    m.save(_out(m, node))


def _leaky(m: Memory, node: Node) -> None:
    if in_place(node):
        _keeps_output(m, node)
    else:
        _keeps_input(m, node)


def _operands(node: Node) -> tuple[Any, Any]:
    a = node.arguments
    return a.get("input"), a.get("other")


def _mul(m: Memory, node: Node) -> None:
    """Each factor is kept for the other's gradient; numbers are not."""
    left, right = _operands(node)
    if isinstance(left, SymbolicTensor) and m.needs(right):
        _keep(m, node, left)
    if isinstance(right, SymbolicTensor) and m.needs(left):
        _keep(m, node, right)
    _out(m, node)


def _addcmul(m: Memory, node: Node) -> None:
    """As the product in it."""
    _, first, second = node.inputs
    m.save(first if m.needs(second) else None, second if m.needs(first) else None)
    _out(m, node)


def _addcdiv(m: Memory, node: Node) -> None:
    """As the quotient in it."""
    _, first, second = node.inputs
    if m.needs(first, second):
        m.save(second, first if m.needs(second) else None)
    _out(m, node)


def _div(m: Memory, node: Node) -> None:
    left, right = _operands(node)
    if isinstance(right, SymbolicTensor):
        if isinstance(left, SymbolicTensor):
            m.save(right)
            if m.needs(right):
                _keep(m, node, left)
        else:  # 2/x is 2*reciprocal(x)
            m.save(_out(m, node))
            return
    _out(m, node)


def _pow(m: Memory, node: Node) -> None:
    left, right = _operands(node)
    if isinstance(right, SymbolicTensor):
        raise _Unknown("to the power of a tensor")
    if right not in (0, 1):
        _keep(m, node, left)
    _out(m, node)


def _extreme_of_two(m: Memory, node: Node) -> None:
    m.save(*node.inputs)
    _out(m, node)


def _where(m: Memory, node: Node) -> None:
    m.save(node.arguments["condition"])
    _out(m, node)


def _masked_fill(m: Memory, node: Node) -> None:
    m.save(node.arguments["mask"])
    if in_place(node):
        _out(m, node)
    else:
        m.place(m.fresh(node.outputs[0].dims))


def _clamp(m: Memory, node: Node) -> None:
    if len(node.inputs) > 1:
        raise _Unknown("between tensors")
    if not is_float(_x(node)):  # integers have no gradient
        _keeps_nothing(m, node)
    else:
        _keeps_input(m, node)


def _glu(m: Memory, node: Node) -> None:
    m.save(_x(node))
    m.place(m.fresh(node.outputs[0].dims, None, m.of(_x(node)).order))


def _prelu(m: Memory, node: Node) -> None:
    m.save(_x(node), node.inputs[1])
    _out(m, node)


def _logsigmoid(m: Memory, node: Node) -> None:
    m.save(_x(node))
    m.extra(prod(_x(node).dims))
    m.place(m.fresh(node.outputs[0].dims))


def _softsign(m: Memory, node: Node) -> None:
    m.save(_x(node))
    m.extra(prod(_x(node).dims))
    _out(m, node)


def _softmax(m: Memory, node: Node) -> None:
    if node.call is not None and node.call.kwargs.get("dtype") is not None:
        _in_single(m)
    m.place(m.fresh(node.outputs[0].dims))
    m.save(node.outputs[0])


def _dropout(m: Memory, node: Node) -> None:
    """In training mode the noise is kept, one number per element (per channel for maps)."""
    args = node.call.args if node.call is not None else ()
    training = _extra_kwarg(node, "training")
    if training is None:
        training = args[2] if len(args) > 2 else True
    p = node.arguments["p"]
    if not training or p == 0:
        m.place(m.of(_x(node)))
        return
    if p == 1 or "alpha" in node.op:
        raise _Unknown("in training mode")
    channelwise = node.op != "dropout"
    m.extra(prod(_x(node).dims[:2]) if channelwise else prod(_x(node).dims))
    _out(m, node)


def _cast(m: Memory, node: Node) -> None:
    """To the dtype that it has: the tensor itself."""
    if node.op == "float":
        _in_single(m)
    x, made = _x(node), node.outputs[0]
    base = m.of(x)
    order = _format(node)
    if order is not None and x.dtype == made.dtype:
        _contiguous(m, node)
        return
    m.place(base if x.dtype == made.dtype else m.fresh(made.dims, None, order or base.order))


def _in_single(m: Memory) -> None:
    """What the code does in float32 by name is not in the dtype in which its cost is asked."""
    if m.recast:
        raise _Unknown("in float32, within a network of another dtype,")


def _clone(m: Memory, node: Node) -> None:
    m.place(m.fresh(node.outputs[0].dims, None, _format(node) or m.of(_x(node)).order))


# Products --------------------------------------------------------------------------------------


def _convolution(m: Memory, node: Node) -> None:
    x, weight = node.inputs[0], node.inputs[1]
    m.save(x, weight)
    order = None
    n = len(node.outputs[0].dims)
    if (m.of(x).channels_last or m.of(weight).channels_last) and n == x.ndim and n in (4, 5):
        order = [i for i in (0, *range(2, n), 1) if node.outputs[0].dims[i] != 1]
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _linear(m: Memory, node: Node) -> None:
    """A product with the transposed weight; rows are merged by a view where that is possible."""
    x, weight = node.inputs[0], node.inputs[1]
    layout = m.of(x)
    if x.ndim > 2:
        layout = m.reshaped(layout, (prod(x.dims[:-1]), x.dims[-1]))
    if m.needs(weight):
        m.save(layout)
    if m.needs(x):
        m.save(weight)
    m.place(m.fresh(node.outputs[0].dims))


def _matmul(m: Memory, node: Node) -> None:
    a, b = node.inputs[0], node.inputs[1]
    left, right = m.of(a), m.of(b)
    if a.ndim > 2 and b.ndim > 2:
        batch = node.outputs[0].dims[:-2]
        left = m.reshaped(_expanded(left, (*batch, *a.dims[-2:])), (prod(batch), *a.dims[-2:]))
        right = m.reshaped(_expanded(right, (*batch, *b.dims[-2:])), (prod(batch), *b.dims[-2:]))
    elif a.ndim > 2 and b.ndim == 2:
        left = m.reshaped(left, (prod(a.dims[:-1]), a.dims[-1]))
    elif min(a.ndim, b.ndim) < 2 < max(a.ndim, b.ndim) or (a.ndim == 2 and b.ndim > 2):
        raise _Unknown(f"of a {a.ndim}-d and a {b.ndim}-d factor")
    if m.needs(b):
        m.save(left)
    if m.needs(a):
        m.save(right)
    m.place(m.fresh(node.outputs[0].dims))


def _weight_norm(m: Memory, node: Node) -> None:
    """Direction, length and the norms that it divides by."""
    v, g = node.inputs[0], node.inputs[1]
    m.save(v, g)
    m.extra(prod(g.dims))
    m.place(m.fresh(v.dims))


def _plus_matmul(m: Memory, node: Node) -> None:
    a, b = node.inputs[1], node.inputs[2]
    if m.needs(b):
        m.save(a)
    if m.needs(a):
        m.save(b)
    m.place(m.fresh(node.outputs[0].dims))


def _bmm(
    m: Memory, left: Layout, right: Layout, keep: tuple[bool, bool], width: int | None = None
) -> Layout:
    """A batched product of two factors of more than two axes, and what it keeps."""
    batch = left.dims[:-2]
    dims = (*batch, left.dims[-2], right.dims[-1])
    factors = [
        m.reshaped(_expanded(f, (*batch, *f.dims[-2:])), (prod(batch), *f.dims[-2:]))
        for f in (left, right)
    ]
    for factor, wanted in zip(factors, keep, strict=True):
        if wanted:
            m.save(factor)
    return m.fresh(dims, width)


def _attention(m: Memory, node: Node) -> None:
    """The fused CPU kernel keeps its inputs, its output and one number per row of scores.

    A mask that is learned, another rank, sizes that are stretched, or a last axis that does not
    lie innermost takes the long way: two products and a softmax, which halves take as floats.
    """
    a = node.arguments
    query, key, value, mask = a["query"], a["key"], a["value"], a["attn_mask"]
    if a["dropout_p"] or a["enable_gqa"]:
        raise _Unknown("with dropout or grouped queries")
    dims = node.outputs[0].dims
    learned = mask is not None and m.needs(mask)
    same = query.dims[:2] == key.dims[:2] == value.dims[:2] and query.dims[-1] == value.dims[-1]
    rows = all(m.of(t).strides[-1] == 1 for t in (query, key, value))
    if query.ndim == 4 and same and rows and not learned:
        m.place(m.fresh(dims, None, m.of(query).order))
        m.save(query, key, value, node.outputs[0])
        m.extra(prod(dims[:-1]), max(_SINGLE, m.bytes_of(query)))
        if mask is not None and mask.boolean:
            m.extra(prod(mask.dims))  # the mask as numbers
        else:
            m.save(mask)
        return
    if query.ndim < 3 or (mask is not None and mask.boolean):
        raise _Unknown("outside the fused kernel")
    q, k, v = (m.of(t) for t in (query, key, value))
    wide = _SINGLE if m.bytes_of(query) < _SINGLE else None
    if wide is not None:
        q, k, v = (m.fresh(f.dims, wide, f.order) for f in (q, k, v))
    swapped = Layout(k.storage, _swapped(k.dims), _swapped(k.strides))
    factors = [m.fresh(f.dims, wide, f.order) for f in (q, swapped)]  # scaled
    one, other = m.needs(query), m.needs(key)
    scores = _bmm(m, factors[0], factors[1], (other, one), wide)
    if mask is not None:
        scores = m.fresh(scores.dims, wide)
    weights = m.fresh(scores.dims, wide)
    if one or other or learned:
        m.save(weights)  # for the softmax
    kept = m.needs(value), one or other or learned
    m.place(_bmm(m, weights, v, kept, wide))
    if wide is not None:
        m.place(m.fresh(dims))


def _heads(m: Memory, node: Node) -> None:
    """`torch.nn.MultiheadAttention`, step by step as torch.nn.functional writes it out."""
    a = node.arguments
    query, key, value = a["query"], a["key"], a["value"]
    drops = a["training"] and a["dropout_p"]
    other = a["bias_k"] is not None or a["add_zero_attn"] or a["use_separate_proj_weight"]
    masks = (a["attn_mask"], a["key_padding_mask"])
    if drops or other or query.ndim != 3 or any(mask is not None for mask in masks):
        raise _Unknown("with masks, dropout, or projections of its own")
    heads, width, weight = a["num_heads"], a["embed_dim_to_check"], a["in_proj_weight"]
    learned = m.needs(weight, a["in_proj_bias"])
    (length, batch, _), (keys, _, _) = query.dims, key.dims
    each = width // heads

    def projected(t: SymbolicTensor, count: int) -> list[Layout]:
        """One linear layer that makes `count` tensors, which are then brought apart."""
        rows = m.reshaped(m.of(t), (prod(t.dims[:2]), width))
        if m.needs(weight):
            m.save(rows)
        made = m.fresh((count, *t.dims[:2], width))
        strides = _in_order(made.dims)[1:]
        return [Layout(made.storage, (*t.dims[:2], width), strides)] * count

    if key is value and query is key:
        q, k, v = projected(query, 3)
    elif key is value:
        (q,), (k, v) = projected(query, 1), projected(key, 2)
    else:
        (q,), (k,), (v,) = projected(query, 1), projected(key, 1), projected(value, 1)
    one, two, three = (learned or m.needs(t) for t in (query, key, value))

    many = batch * heads
    if a["need_weights"]:
        if two:
            m.save(m.fresh((many, length, each)))  # the query, scaled
        if one:
            m.save(k)
        weights = m.fresh((many, length, keys))
        if one or two:
            m.save(weights)
        if three:
            m.save(weights)
        if one or two:
            m.save(v)
        mixed = m.fresh((length * batch, width))
    else:
        mixed = m.fresh((length * batch, width))  # as the fused kernel lays it out
        if one or two or three:
            m.save(q, k, v, mixed)
            m.extra(many * length)
    if m.needs(a["out_proj_weight"]):
        m.save(mixed)
    m.place(m.fresh(node.outputs[0].dims))
    for i, t in enumerate(node.outputs[1:], 1):
        m.place(m.fresh(t.dims), i)


def _swapped(sizes: Dims) -> tuple[Int, ...]:
    return (*sizes[:-2], sizes[-1], sizes[-2])


def _einsum(m: Memory, node: Node) -> None:
    """Two factors, brought to (kept by both, its own, summed) and merged: a batched product."""
    equation, *operands = node.call.args if node.call is not None else ("",)
    if not isinstance(equation, str) or len(node.inputs) != 2:
        raise _Unknown("of other than two factors")
    if len(operands) == 1:
        operands = list(operands[0])
    terms, output = labels_of(equation, operands)
    (one, other), summed = terms, sorted({*terms[0], *terms[1]} - {*output})
    if any(len(set(t)) != len(t) for t in terms) or not all(
        k in one and k in other for k in summed
    ):
        raise _Unknown("with a diagonal, or an axis that only one factor has and sums over")
    if not summed:
        raise _Unknown("that sums over nothing")
    pairs = zip(terms, operands, strict=True)
    sizes_of = [dict(zip(term, t.dims, strict=True)) for term, t in pairs]
    if any((sizes_of[0][k] == 1) != (sizes_of[1][k] == 1) for k in one if k in other):
        raise _Unknown("that stretches an axis of size 1")
    both = [k for k in output if k in one and k in other]
    groups = []
    for t, term, mine in zip(operands, terms, (0, 1), strict=True):
        own = [k for k in output if k in term and k not in both]
        order = [both, own, summed] if mine == 0 else [both, summed, own]
        base = m.of(t)
        at = [term.index(k) for group in order for k in group]
        turned = Layout(
            base.storage, tuple(base.dims[i] for i in at), tuple(base.strides[i] for i in at)
        )
        sizes = [prod(base.dims[term.index(k)] for k in group) for group in order]
        groups.append((m.reshaped(turned, sizes), own))
    (left, rows), (right, columns) = groups
    if m.needs(operands[1]):
        m.save(left)
    if m.needs(operands[0]):
        m.save(right)
    made = [*both, *rows, *columns]
    size = dict(zip(output, node.outputs[0].dims, strict=True))
    product = m.fresh([size[k] for k in made])
    m.view(product, node.outputs[0].dims, [product.strides[made.index(k)] for k in output])


def _normalize(m: Memory, node: Node) -> None:
    """``x/max(norm(x), eps)``: the input, the norms, and the norms again, clamped."""
    x = _x(node)
    call = node.call
    args = [*call.args[1:]] if call is not None else []
    axis = _extra_kwarg(node, "dim")
    axis = axis if axis is not None else args[1] if len(args) > 1 else 1
    gone = normal_dims(axis, x.ndim, "normalize")
    m.save(x)
    m.extra(2 * prod(d for i, d in enumerate(x.dims) if i not in gone))
    m.place(m.fresh(x.dims, None, m.of(x).order))


def _vector_norm(m: Memory, node: Node) -> None:
    if node.arguments.get("ord") not in (None, 2):
        raise _Unknown("of another order")
    _reduces("input", "output")(m, node)


def _windows(m: Memory, node: Node) -> None:
    """Torch makes the result as large as the input, then resizes it: memory does not shrink."""
    layout = m.fresh(node.outputs[0].dims)
    layout.storage.elements = maximum(prod(_x(node).dims), prod(node.outputs[0].dims))
    m.place(layout)


# Normalisation ---------------------------------------------------------------------------------


def _like_input(m: Memory, node: Node) -> None:
    base = m.of(_x(node))
    order = _LAST[len(base.dims)] if base.channels_last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _batch_norm(m: Memory, node: Node) -> None:
    a = node.arguments
    m.save(_x(node), a["weight"], a["running_mean"], a["running_var"])
    if a["training"]:
        m.extra(2 * _x(node).dims[1])
    _like_input(m, node)


def _instance_norm(m: Memory, node: Node) -> None:
    """Batch norm over ``N*C`` channels: weights and statistics repeated for every image."""
    a, x = node.arguments, _x(node)
    many = prod(x.dims[:2])
    m.save(m.in_order(m.of(x)))
    m.extra(many * ((a["weight"] is not None) + 2 * (a["running_mean"] is not None)))
    if a["use_input_stats"]:
        m.extra(2 * many)
    m.place(m.fresh(node.outputs[0].dims))


def _group_norm(m: Memory, node: Node) -> None:
    x = _x(node)
    m.save(m.in_order(m.of(x)) if not m.of(x).channels_last else x, node.arguments["weight"])
    m.extra(2 * x.dims[0] * node.arguments["num_groups"])
    _like_input(m, node)


def _layer_norm(m: Memory, node: Node) -> None:
    x = _x(node)
    shape = tuple(node.arguments["normalized_shape"])
    m.save(x, node.arguments["weight"])
    m.extra(2 * prod(x.dims[: x.ndim - len(shape)]))
    m.place(m.fresh(node.outputs[0].dims))


# Pooling and sampling --------------------------------------------------------------------------


def _max_pool(m: Memory, node: Node) -> None:
    m.save(_x(node))
    _like_input(m, node)
    for i, t in enumerate(node.outputs[1:], 1):
        m.place(m.fresh(t.dims, _LONG), i)
        m.save(t)
    if len(node.outputs) == 1:
        m.extra(prod(node.outputs[0].dims), _LONG)


def _avg_pool(m: Memory, node: Node) -> None:
    m.save(_x(node))
    _like_input(m, node)


def _adaptive_avg(m: Memory, node: Node) -> None:
    """To a single place it is a mean, which keeps nothing."""
    n = int(node.op[-2])
    if set(node.outputs[0].dims[-n:]) != {1}:
        m.save(_x(node))
    _like_input(m, node)


def _pad(m: Memory, node: Node) -> None:
    mode = node.arguments["mode"]
    if mode in ("reflect", "replicate"):
        m.save(_x(node))
    order = _LAST[_x(node).ndim] if m.of(_x(node)).channels_last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _grid_sample(m: Memory, node: Node) -> None:
    m.save(*node.inputs)
    m.place(m.fresh(node.outputs[0].dims))


def _recurrent(m: Memory, node: Node) -> None:
    raise _Unknown("with a workspace that oneDNN sizes by the machine")


def _interpolate(m: Memory, node: Node) -> None:
    if node.arguments.get("mode") == "area":
        raise _Unknown("by area")
    _like_input(m, node)


# Joining, reducing, indexing -------------------------------------------------------------------


def _cat(m: Memory, node: Node) -> None:
    orders = [m.of(t) for t in node.inputs]
    last = bool(orders) and all(o.channels_last for o in orders)
    order = _LAST[len(orders[0].dims)] if last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _stack(m: Memory, node: Node) -> None:
    """Joined along the axis, which is then split: images with channels last stay so."""
    layouts, dims = [m.of(t) for t in node.inputs], node.outputs[0].dims
    if not all(layout.channels_last for layout in layouts):
        m.place(m.fresh(dims))
        return
    axis = normal_dim(node.arguments.get("dim", 0), len(dims), "stack")
    if axis == len(dims) - 1:
        raise _Unknown("of images with channels last, along a last axis")
    joined = (*dims[:axis], dims[axis] * dims[axis + 1], *dims[axis + 2 :])
    made = m.fresh(joined, None, _LAST[len(joined)])
    step = made.strides[axis]
    m.view(made, dims, [*made.strides[:axis], step * dims[axis + 1], *made.strides[axis:]])


def _copies(m: Memory, node: Node) -> None:
    for i, t in enumerate(node.outputs):
        m.place(m.fresh(t.dims), i)


def _images(m: Memory, node: Node) -> None:
    """Elements in another place: images with channels last stay so."""
    base = m.of(_x(node))
    order = _LAST[len(base.dims)] if base.channels_last else None
    m.place(m.fresh(node.outputs[0].dims, None, order))


def _reduces(*kept: str) -> Rule:
    def rule(m: Memory, node: Node) -> None:
        for i, t in enumerate(node.outputs):
            m.place(m.fresh(t.dims), i)
        if "input" in kept:
            m.save(_x(node))
        if "output" in kept:
            m.save(node.outputs[0])

    return rule


def _extreme(m: Memory, node: Node) -> None:
    if len(node.outputs) == 1:
        if len(node.inputs) == 2:
            _extreme_of_two(m, node)
        else:  # of all elements: input and result are kept
            _reduces("input", "output")(m, node)
        return
    order = m.of(_x(node)).order if node.op == "sort" else None
    m.place(m.fresh(node.outputs[0].dims, None, order))
    m.place(m.fresh(node.outputs[1].dims, _LONG, order), 1)
    m.save(node.outputs[1])


def _positions(m: Memory, node: Node) -> None:
    m.place(m.fresh(node.outputs[0].dims, _LONG))


def _embedding(m: Memory, node: Node) -> None:
    index = node.inputs[0]
    m.save(index)
    m.place(m.fresh(node.outputs[0].dims))


def _index_select(m: Memory, node: Node) -> None:
    m.save(node.inputs[1])
    m.place(m.fresh(node.outputs[0].dims))


def _gather(m: Memory, node: Node) -> None:
    m.save(node.inputs[0], node.inputs[1])
    m.place(m.fresh(node.outputs[0].dims))


def _rules() -> dict[str, Rule]:
    table: dict[str, Rule] = {}

    def put(rule: Rule, names: str) -> None:
        table.update(dict.fromkeys(names.split(), rule))

    put(_reshape, "view reshape flatten unflatten ravel view_as reshape_as")
    put(_permute, "permute")
    put(_swap("dim0", "dim1"), "transpose swapaxes swapdims")
    put(_swap(-1, -2), "adjoint mT mH")
    put(_reverse, "t numpy_T T H")
    put(_movedim, "movedim moveaxis")
    put(_squeeze, "squeeze")
    put(_unsqueeze, "unsqueeze")
    put(_expand, "expand broadcast_to expand_as")
    put(_pieces, "narrow chunk split split_with_sizes tensor_split hsplit vsplit dsplit")
    put(_without, "select unbind")
    put(_sliding, "Tensor.unfold")
    put(
        _same, "detach identity requires_grad_ requires_grad conj resolve_conj resolve_neg positive"
    )
    put(_contiguous, "contiguous")
    put(_getitem, "getitem")
    put(_setitem, "setitem copy")
    put(_clone, "slice_scatter select_scatter")
    put(_keeps_nothing, "add sub rsub neg negative subtract round floor ceil sign trunc")
    put(_keeps_nothing, "floor_divide bitwise_and bitwise_or bitwise_xor bitwise_not")
    put(_remainder, "remainder fmod")
    put(_keeps_output, "relu sigmoid tanh exp sqrt rsqrt reciprocal expit special_expit")
    put(
        _keeps_input,
        "gelu silu hardswish hardsigmoid relu6 hardtanh mish softplus tanhshrink hardshrink"
        " softshrink abs log log2 log10 log1p sin cos erf square logit threshold",
    )
    put(_leaky, "leaky_relu elu celu selu")
    put(_logsigmoid, "logsigmoid")
    put(_softsign, "softsign")
    put(_softmax, "softmax log_softmax")
    put(_dropout, "dropout dropout2d dropout3d")
    put(_mul, "mul multiply")
    put(_div, "div true_divide divide")
    put(_addcmul, "addcmul")
    put(_addcdiv, "addcdiv")
    put(_pow, "pow")
    put(_extreme_of_two, "maximum minimum")
    put(_where, "where")
    put(_masked_fill, "masked_fill")
    put(_clamp, "clamp clip")
    put(_glu, "glu")
    put(_prelu, "prelu")
    put(
        _makes_bool,
        "eq ne lt le gt ge logical_and logical_or logical_not logical_xor isnan isinf isfinite",
    )
    put(_cast, "to type type_as")
    put(_cast, "float double half bfloat16 long int short char byte bool")
    put(_clone, "clone")
    put(_clone, "zeros_like ones_like full_like empty_like rand_like randn_like")
    put(_convolution, " ".join(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)))
    put(_linear, "linear")
    put(_matmul, "matmul mm bmm mv dot vdot")
    put(_plus_matmul, "addmm baddbmm addmv")
    put(_weight_norm, "_weight_norm")
    put(_attention, "scaled_dot_product_attention")
    put(_heads, "multi_head_attention_forward")
    put(_einsum, "einsum")
    put(_normalize, "normalize")
    put(_vector_norm, "linalg_norm linalg_vector_norm")
    put(_windows, "im2col unfold col2im fold")
    put(_batch_norm, "batch_norm")
    put(_instance_norm, "instance_norm")
    put(_group_norm, "group_norm")
    put(_layer_norm, "layer_norm")
    put(_max_pool, " ".join(f"{k}max_pool{n}d" for k in ("", "adaptive_") for n in (1, 2, 3)))
    put(_avg_pool, "avg_pool1d avg_pool2d avg_pool3d")
    put(_adaptive_avg, "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d")
    put(_pad, "pad")
    put(_grid_sample, "grid_sample")
    put(_recurrent, "lstm")
    put(_interpolate, "interpolate upsample upsample_nearest upsample_bilinear")
    put(_cat, "cat concat concatenate")
    put(_clone, "flip")
    put(_stack, "stack")
    put(_images, "roll pixel_shuffle pixel_unshuffle channel_shuffle")
    put(
        _copies,
        "repeat tile repeat_interleave cumsum tril triu hstack vstack meshgrid",
    )
    put(_reduces(), "mean sum all any")
    put(_reduces("input"), "var")
    put(_reduces("input", "output"), "prod amax amin std norm logsumexp")
    put(_extreme, "max min topk sort")
    put(_positions, "argmax argmin argsort")
    put(_embedding, "embedding")
    put(_index_select, "index_select")
    put(_gather, "gather")
    put(
        _copies,
        "zeros ones empty rand randn full randint randperm arange linspace logspace eye new_zeros"
        " new_ones new_empty new_full tensor scalar_tensor tril_indices triu_indices",
    )
    return table


_RULES = _rules()


def refusal(node: Node, how: str) -> UnsupportedOperation:
    """The error for an operation that the table does not have."""
    called = f"{node.op} {how}".strip()
    numbers = "ask at sizes, cost.at(...), or " if how.endswith(_BY_SIZES) else "ask "
    return UnsupportedOperation(
        f"{node.module or node.name}: what autograd keeps for {called} is not known",
        cure=f"{numbers}with partial=True for a lower bound",
    )
