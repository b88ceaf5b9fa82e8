"""Views: operations that make no storage, and those that may have to.

The law of a view says how it lies in the memory of the first tensor, and where it begins there. An
operation of which the record has such a law shares the memory of its first tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from symcnn.algebra.axis import Axes, Pick, Window
from symcnn.algebra.size import Int, floordiv
from symcnn.errors import ShapeMismatch
from symcnn.ops.operation import record_of
from symcnn.ops.registry import normal_dim, normal_dims
from symcnn.ops.storage.layouts import LAST, Layout, UnknownError, expanded, order_of, ordered
from symcnn.ops.storage.memory import LONG, Memory, Rule, first_of
from symcnn.trace.graph import Node, SymbolicTensor, tensors_in

#: Elements before the first of an output, in the memory of the first tensor of a node, which has
#: these strides; None where values say.
Begins = Callable[[Node, SymbolicTensor, Sequence[Int]], "Int | None"]


@dataclass(frozen=True)
class View:
    """The law of a view: how outputs lie in the memory of the first tensor, and where they begin.

    begins: None where that is left open.
    together: whether several are made at once, of which nobody writes to one while gradients flow.
    """

    lies: Rule
    begins: Begins | None = None
    together: bool = False

    def __call__(self, m: Memory, node: Node) -> None:
        self.lies(m, node)


def shares_memory(name: str) -> bool:
    """Whether what is called under this name makes a view of its first tensor."""
    record = record_of(name)
    return record is not None and isinstance(record.saves, View)


def _start(node: Node, t: SymbolicTensor, strides: Sequence[Int]) -> Int:
    return 0


def _axes(node: Node, i: int) -> Axes:
    """How the axes of an output read the first tensor."""
    parts = node.result.parts
    return parts[i] if parts else node.result.axes or ()


def _first(node: Node, t: SymbolicTensor, strides: Sequence[Int]) -> Int | None:
    """Where its axes say: a slice crops, a place is picked. None where a tensor says it."""
    if len(node.inputs) > 1:
        return None
    total: Int = 0
    for axis, axis_map in _axes(node, node.outputs.index(t)):
        if isinstance(axis, int) and isinstance(axis_map, Window):
            total = total - axis_map.left * strides[axis]
        elif isinstance(axis, int) and isinstance(axis_map, Pick):
            total = total + axis_map.index * strides[axis]
    return total


@partial(View, begins=_start)
def reshape(m: Memory, node: Node) -> None:
    """A view where strides merge, else a copy."""
    m.place(m.reshaped(m.of(first_of(node)), node.outputs[0].dims, m.holds))


@View
def strided(m: Memory, node: Node) -> None:
    """With the strides that are given, from a place that is given."""
    m.view(m.of(first_of(node)), node.outputs[0].dims, node.arguments["stride"])


@partial(View, begins=_start)
def expand(m: Memory, node: Node) -> None:
    """Stretched, with strides of 0."""
    m.place(expanded(m.of(first_of(node)), node.outputs[0].dims, m.holds))


@partial(View, begins=_start)
def sliding(m: Memory, node: Node) -> None:
    """Windows of an axis: it goes on by their step, and inside them by its own."""
    a, base = node.arguments, m.of(first_of(node))
    axis = normal_dim(a["dimension"], first_of(node).ndim, "unfold")
    strides = list(base.strides)
    own = strides[axis] if strides else 1
    strides[axis : axis + 1] = [own * a["step"]] if strides else []
    m.view(base, node.outputs[0].dims, [*strides, own])


def _by_axes(m: Memory, node: Node) -> None:
    """Each axis steps as the one that it comes from; a new one, of size 1, over the next."""
    base = m.of(first_of(node))
    for i, t in enumerate(node.outputs):
        strides: list[Int] = []
        over: Int = 1
        for source, axis_map in reversed(_axes(node, i)[: t.ndim]):
            if isinstance(source, int):
                step = axis_map.stride if isinstance(axis_map, Window) else 1
                strides.insert(0, base.strides[source] * step)
                over = base.strides[source] * base.dims[source]
            else:
                strides.insert(0, over)
        m.view(base, t.dims, strides, i)


#: What is read of the input as its axes say: in another order, a part of one, a place of one.
by_axes = View(_by_axes, _first)

#: All parts of an axis; all places of one.
apart = View(_by_axes, _first, together=True)


@View
def diagonal(m: Memory, node: Node) -> None:
    """Two axes become one, that steps along both."""
    x, base, a = first_of(node), m.of(first_of(node)), node.arguments
    both = normal_dims((a["dim1"], a["dim2"]), x.ndim, "diagonal")
    rest = [stride for axis, stride in enumerate(base.strides) if axis not in both]
    m.view(base, node.outputs[0].dims, [*rest, sum((base.strides[i] for i in both), 0)])


@View
def pairs(m: Memory, node: Node) -> None:
    """Complex numbers as pairs: the two parts lie side by side."""
    base = m.of(first_of(node))
    m.view(base, node.outputs[0].dims, [*(2 * stride for stride in base.strides), 1])


@View
def of_pairs(m: Memory, node: Node) -> None:
    """Pairs, which lie side by side, as complex numbers."""
    base = m.of(first_of(node))
    m.view(base, node.outputs[0].dims, [floordiv(stride, 2) for stride in base.strides[:-1]])


@View
def half(m: Memory, node: Node) -> None:
    """One part of complex numbers; of others, themselves."""
    base, x = m.of(first_of(node)), first_of(node)
    step = 2 if x.dtype.startswith("complex") else 1
    m.view(base, x.dims, [step * stride for stride in base.strides])


def meshgrid(m: Memory, node: Node) -> None:
    """Each vector along its own axis, stretched along the others."""
    turned = node.arguments["indexing"] == "xy" and len(node.outputs) > 1
    for i, (vector, t) in enumerate(zip(node.inputs, node.outputs, strict=True)):
        base, at = m.of(vector), 1 - i if turned and i < 2 else i
        step = base.strides[0] if base.dims else 1
        m.view(base, t.dims, [step if axis == at else 0 for axis in range(len(t.dims))], i)


def same(m: Memory, node: Node) -> None:
    """The tensor itself."""
    m.place(m.of(first_of(node)))


def of_other(m: Memory, node: Node) -> None:
    """The second tensor itself."""
    m.place(m.of(node.inputs[1]))


#: The same, of which writing to one writes to the other.
alias = View(same, _start)


#: The number of axes of images with channels last, by the format that asks for them.
_IMAGES = {"torch.channels_last": 4, "torch.channels_last_3d": 5}


def require_format(axes: int, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """Raises ShapeMismatch for a memory format of tensors of another rank."""
    wanted = _format((*args, *kwargs.values())) if args or kwargs else ""
    if axes != (rank := _IMAGES.get(wanted, axes)):
        raise ShapeMismatch(
            f"{wanted} is an order of {rank} axes, the tensor has {axes}",
            cure="leave the memory format out, or give the tensor the axes that it orders",
        )


def _format(given: Iterable[object]) -> str:
    """The memory format that stands among arguments."""
    return next((str(v) for v in given if type(v).__name__ == "memory_format"), "")


def memory_format(node: Node) -> list[int] | None:
    """The order of axes that a memory format asks for; None for torch.preserve_format or none."""
    call = node.call
    wanted = _format((*call.args, *call.kwargs.values()) if call is not None else ())
    n = len(node.outputs[0].dims)
    if wanted in _IMAGES:
        return [*LAST[n]]
    return [*range(n)] if "contiguous" in wanted else None


def contiguous(m: Memory, node: Node) -> None:
    """The tensor itself where its elements lie in that order, and a copy else."""
    base, order = m.of(first_of(node)), memory_format(node)
    if order is None or order == sorted(order):
        m.place(m.in_order(base))
        return
    wanted = ordered(base.dims, order)
    pairs = zip(base.dims, base.strides, wanted, strict=True)
    lies = all(stride == step for size, stride, step in pairs if size != 1)
    m.place(base if lies else m.fresh(base.dims, None, order))


def _index_parts(node: Node) -> list[Any]:
    """What an index says, part by part."""
    call = node.call
    index: Any = call.args[1] if call is not None and len(call.args) > 1 else ...
    parts = isinstance(index, tuple) or (isinstance(index, list) and any(tensors_in(*index)))
    return list(index) if parts else [index]


def _keep_places(m: Memory, items: Sequence[Any]) -> None:
    """Tensors of places are kept, and those that are made of lists."""
    m.save(*tensors_in(*items))
    for places in items:
        if isinstance(places, list):
            m.extra(len(places), 1 if isinstance(places[0], bool) else LONG)


@partial(View, begins=_first)
def getitem(m: Memory, node: Node) -> None:
    """Basic indexing is a view; a tensor or a list as an index copies, and is kept."""
    items = _index_parts(node)
    tensors = list(tensors_in(*items))
    if tensors or any(isinstance(i, (list, bool)) for i in items):
        if any(t.boolean for t in tensors):
            raise UnknownError("with a mask")
        _keep_places(m, items)
        _indexed(m, node, items)
        return
    m.place(part(m, m.of(first_of(node)), node.outputs[0].dims, items))


def part(m: Memory, base: Layout, dims: Sequence[Int], items: Sequence[object]) -> Layout:
    """What basic indexing picks of a tensor: `dims` elements, by what an index says."""
    strides = _index_strides(m, base, items, len(dims))[0]
    return Layout(base.storage, tuple(dims), tuple(strides))


def setitem(m: Memory, node: Node) -> None:
    """The tensor itself, or a copy where it is not written to; the places that tensors say are
    kept, for its gradient and the value's.
    """
    _keep_places(m, _index_parts(node))
    base = m.of(first_of(node))
    m.place(base if node.mode.inplace else m.fresh(base.dims, strides=base.strides))


def masked(m: Memory, node: Node) -> None:
    """What the mask picks of the value is copied, and only values tell how much that is."""
    raise UnknownError("with a mask")


def _indexed(m: Memory, node: Node, items: Sequence[Any]) -> None:
    """A copy, whose axes are ordered as those of the input, then as those of the indices.

    Axes of the index have no say among those of the input, and the other way round. Indices that do
    not stand side by side lead.
    """
    base, dims = m.of(first_of(node)), node.outputs[0].dims
    order = None
    if base.order != sorted(base.order):
        order = order_of(dims, *_index_strides(m, base, items, len(dims)))
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
            strides.append(next(steps) * (1 if item.step is None else item.step))
        else:
            next(steps)
    lead = places[0] if len(set(places)) == 1 else 0
    rank = n - len(strides)
    found = [[*strides[:lead], *[0] * rank, *strides[lead:]]]
    for own in indices:
        wide = [0] * (rank - len(own)) + [*own]
        found.append([*[0] * lead, *wide, *[0] * (len(strides) - lead)])
    return found
