"""Even sizes: at which no window drops a row, and none uses its padding on one side only.

The even law: a window of extent r, stride s and pads a and b drops nothing and pads alike iff
``(x + a + b - r) mod s = 0``, and ``a = b``. One congruence per window, so the sizes are an exact
set: ResNet's are H % 32 == 1 (225, not 224). In ``ceil_mode`` the pad that counts is the layer's
own: the one that rounding up adds is on one side.

Beside it: the sizes at which no row of the input is left unread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from symcnn.algebra.axis import Folded, Window
from symcnn.algebra.size import Int, maximum, mod
from symcnn.algebra.taps import Tap
from symcnn.errors import BadSpec, NoSolution, Undecidable
from symcnn.ops.operation import operation_of
from symcnn.questions.field.reach import index_symbol, substituted
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.sets.condition import Condition, Requirement, decide_syntactically
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    from symcnn.trace.graph import Node


def even_wishes(
    parts: Iterable[Trace], even: bool, unread: int | None
) -> Iterator[tuple[str, tuple[Requirement, ...]]]:
    """What ``solve(even=True, unread=0)`` asks of parts of a network: words and conditions."""
    if unread not in (None, 0):
        raise BadSpec(f"unread={unread!r}", cure="unread=0: the sizes of which every row is read")
    for part in parts:
        if even:
            yield "even=True", _even(part)
        if unread == 0:
            yield "unread=0", _all_read(part)


def _even(net: Trace) -> tuple[Condition, ...]:
    """What the sizes meet at which every window of the network is even.

    Raises NoSolution, with the node, where a window is at no size.
    """
    found: dict[Condition, None] = {}
    for node in net.nodes:
        for condition in _of_node(node):
            verdict = decide_syntactically(condition)
            if verdict is False:
                raise NoSolution(f"even=True: {node.name}: {condition.why}, at all sizes")
            if verdict is None:
                found[condition] = None
    return tuple(found)


def _of_node(node: Node) -> Iterator[Condition]:
    """The even law for each window of a node."""
    operation, arguments = operation_of(node), node.arguments
    if operation is None or not operation.slides or not node.inputs:
        return
    dims = node.inputs[0].dims
    for source, axis_map in node.result.axes or ():
        if not isinstance(axis_map, (Window, Folded)) or not isinstance(source, int):
            continue
        left, right = axis_map.left, axis_map.right
        if arguments.get("ceil_mode"):
            right = left
        if left != right and not (_crops(left) or _crops(right)):
            yield Condition(left, "==", right, f"pads {left} on the left and {right} on the right")
        if isinstance(axis_map, Window) and axis_map.stride != 1:
            rest = mod(dims[source] + left + right - axis_map.extent, axis_map.stride)
            why = f"{rest} rows are left over by windows of stride {axis_map.stride}"
            yield Condition(rest, "==", 0, why)
    yield from _of_taps(node)


def _of_taps(node: Node) -> Iterator[Condition]:
    """The same of patches: from the first place that they read to the last, padding counted, as
    much lies beyond the image on the left as on the right.
    """
    sizes = node.inputs[0].dims
    for axes, dims in node.result.steps:
        taps: dict[int, list[Tap]] = {}
        for source, axis_map in axes:
            if isinstance(axis_map, Tap) and isinstance(source, tuple):
                taps.setdefault(source[0], []).append(axis_map)
        for axis, read in taps.items():
            last = sum((tap.step * (tap.length - 1) + 2 * tap.shift for tap in read), 1)
            yield Condition(last, "==", sizes[axis], "rows are left over by patches")
        sizes = dims


def _crops(pad: Int) -> bool:
    return isinstance(pad, int) and pad < 0


def _all_read(net: Trace) -> tuple[Condition, ...]:
    """What the sizes meet at which every row of the input is read by some output.

    Raises Undecidable where the receptive field leaves gaps, or has no formula.
    """
    field = receptive_field(net)
    found = []
    for one in field._fields:
        if one.whole:
            continue
        if isinstance(one.stride, int) and one.stride > one.sizes.min:
            raise NoSolution(f"unread=0: outputs {one.stride} apart read {one.sizes.max} rows each")
        first, last = one.plain
        if len(one.along) > 1:
            raise Undecidable(f"what is read along {one.name} hangs on several axes")
        start = substituted(first, {index_symbol(a).name: 0 for a in one.along})
        end = substituted(last, {index_symbol(a).name: one.dims[a] - 1 for a in one.along})
        left = maximum(start, 0)
        found.append(Condition(left, "==", 0, f"rows before the first one read along {one.name}"))
        found.append(Condition(end + 1, ">=", one.x, f"rows are left over along {one.name}"))
    return tuple(c for c in found if decide_syntactically(c) is not True)
