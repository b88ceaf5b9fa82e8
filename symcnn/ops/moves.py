"""Where numbers go: laws of what moves, joins and adds up the numbers of tensors.

Of arrays element by element; of positions, corners and formulas as these go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Flip, Pick, Window
from symcnn.algebra.size import Int
from symcnn.ops.corners import PLACED, Between, Corners
from symcnn.ops.laws import ArrayLaw, Held, Value, are_whole, filled_with, is_unknown
from symcnn.ops.piecewise import Arguments, Options, Piecewise
from symcnn.ops.positions import Positions, Stack


def of_first(law: ArrayLaw) -> ArrayLaw:
    """A law of an array that comes first."""

    def of_array(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        first = args[0] if args else None
        return law(args, kwargs, dims) if type(first).__name__ == "ndarray" else NotImplemented

    return of_array


def expanded(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Stretched along axes of one place, and with new axes in front."""
    import numpy as np

    return args[0].expand(dims) if isinstance(args[0], PLACED) else np.broadcast_to(args[0], dims)


def of_whole_numbers(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """A cast keeps them; of others it cuts something off."""
    whole = type(args[0]) is not Corners or are_whole(args[0].ends)
    return expanded(args, kwargs, dims) if whole else None


def by_axes(axes: Axes, rank: int) -> ArrayLaw:
    """Each of so many axes whole, from its end, a part of it or one place, and in that order."""

    def law(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        import numpy as np

        first, items = args[0], dict[object, object]()
        for i, (source, axis_map) in enumerate(axes):
            items[source] = _item(axis_map, dims[i] if i < len(dims) else 1)
        placed = isinstance(first, PLACED)
        if isinstance(first, Between):
            return first
        if items.keys() != {*range(rank)} or None in items.values():
            return any_of(args, kwargs, dims) if placed else None
        left = sorted(range(len(dims)), key=lambda i: cast("int", axes[i][0]))
        moved = first
        if any(item != _ALL for item in items.values()):
            index = tuple(items[source] for source in range(rank))
            moved = first.pick(index, [dims[i] for i in left]) if placed else first[index]
        if moved is not None and left != [*range(len(left))]:
            moved = moved.transpose([left.index(i) for i in range(len(left))])
        back = [i for i, (_, axis_map) in enumerate(axes) if isinstance(axis_map, Flip)]
        if moved is not None and back:
            moved = moved.flip(back) if placed else np.flip(moved, (*back,))
        return any_of(args, kwargs, dims) if moved is None else moved

    return law


def _item(axis_map: AxisMap, size: Int) -> object:
    """What a map leaves of an axis, as an index; None where sizes say that."""
    if isinstance(axis_map, Pick):
        return axis_map.index if type(axis_map.index) is int else None
    if axis_map is IDENTITY or isinstance(axis_map, Flip):
        return _ALL
    if not isinstance(axis_map, Window) or axis_map.extent != 1:
        return None
    start, step = -axis_map.left, axis_map.stride
    if type(start) is not int or type(step) is not int:
        return None
    return slice(start, start + step * size if type(size) is int else None, step)


def windows(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Windows along an axis, their content as a new last one."""
    names = ("dimension", "size", "step")
    given = {**dict(zip(names, args[1:], strict=False)), **kwargs}
    axis, step = given["dimension"], given["step"]
    if type(args[0]) is not Positions or type(axis) is not int or not isinstance(step, int):
        return None
    return args[0].windows(axis % (len(dims) - 1), getattr(step, "expr", step), dims)


def picked(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """What a static index leaves."""
    first, index = args
    if type(first) is Positions:
        several = isinstance(index, tuple)
        index = tuple(map(_unbounded, index)) if several else _unbounded(index)
    if not _is_static(index):
        return None
    return first.pick(index, dims) if isinstance(first, PLACED) else first[index]


def set_at(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """The array with a number, or others, at an index that is static."""
    import numpy as np

    _, index, value = args
    numbers = [*value.flat] if isinstance(value, np.ndarray) else [value]
    if not _is_static(index) or not are_whole(numbers):
        return None
    made = args[0].copy()
    if isinstance(made[index], np.ndarray):
        made[index] = np.broadcast_to(filled_with(numbers, np.shape(value)), made[index].shape)
    else:
        made[index] = numbers[0]
    return made


def put(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Positions with others written to at a static index."""
    first, index, value = args
    whole = Stack.of(first)
    return whole.put(index, value) if whole is not None and _is_static(index) else None


def written(whole: Held, index: object, number: Held) -> Held:
    """What an array holds where others were written to at an index that is static."""
    if Piecewise in (type(whole), type(number)):
        return None
    law = put if {type(whole), type(number)} & {*PLACED} else set_at
    return law((whole, index, number), {}, ())


def joined(new_axis: bool) -> Value:
    """Arrays one after the other, along an axis or a new one."""

    def along(args: Arguments, kwargs: Options) -> Held:
        return kwargs.get("dim", args[1] if len(args) > 1 else 0)

    def law(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        import numpy as np

        first = args[0] if args else None
        if not isinstance(first, (tuple, list)):
            return None
        axis = along(args, kwargs)
        parts = [_as_array(v) for v in first]
        if any(p is None for p in parts) or not isinstance(axis, int):
            return None
        return (np.stack if new_axis else np.concatenate)(parts, axis)

    def positions(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        rows, axis = args[0], along(args, kwargs)
        if None in rows:
            return None
        if not any(type(row) is Between for row in rows):
            found = Stack.joined(rows, axis, new=new_axis)
            if found is not None:
                return found
        return any_of(rows, kwargs, dims)

    def formulas(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        axis = along(args, kwargs)
        if None in args[0] or type(axis) is not int:
            return None
        return Piecewise.joined(args[0], axis % len(dims), dims, new=new_axis)

    return Value(array=law, positions=positions, by_place=formulas)


def any_of(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """What any of them holds, in any order."""
    return None if None in args else Between(tuple(end for row in args for end in row.ends))


def reduced(total: Callable[[Arguments], Held], *, along: bool = False) -> ArrayLaw:
    """A total of all elements; of those `along` one axis, where that may be said."""

    def law(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        import numpy as np

        values, given = args[0], [*args[1:], *kwargs.values()]
        axis = given[0] if given else None
        if len(given) > 1 or (axis is not None and (type(axis) is not int or not along)):
            return None
        if axis is None:
            return total([*values.flat])
        lanes = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
        shape = tuple(np.delete(values.shape, axis))
        return filled_with([total([*lane]) for lane in lanes], shape)

    return of_first(law)


def of_all(total: Callable[..., Held]) -> ArrayLaw:
    """An extreme of all numbers, in a tensor of one place."""

    def law(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
        several = sum(isinstance(a, PLACED) for a in args) > 1
        if several or any(dim != 1 for dim in dims):
            return None
        return Positions(total(*args[0].ends), ((),) * len(dims))

    return law


def padded(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """The numbers and, of a constant, that: how many places have it is known of plain pads."""
    names = ("pad", "mode", "value")
    given = {**dict(zip(names, args[1:], strict=False)), **kwargs}
    pads = given["pad"]
    if not isinstance(pads, (tuple, list)) or {*map(type, pads)} != {int} or min(pads) < 0:
        return None
    ends = args[0].ends
    if given.get("mode", "constant") == "constant" and any(pads):
        value = given.get("value") or 0
        if value % 1:  # of infinity too
            return None
        ends = *ends, int(value)
    return Between(ends)


def summed(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Positions that lie side by side along an axis, added up."""
    given = [*args[1:], *kwargs.values()]
    whole = Stack.of(args[0])
    return None if whole is None or [*map(type, given)] != [int] else whole.sum(*given)


def running(args: Arguments, kwargs: Options, dims: Sequence[int]) -> Held:
    """Sums so far along an axis: of one number everywhere its multiples."""
    import numpy as np

    axis = kwargs.get("dim", next(iter(args[1:]), None))
    if type(axis) is not int or not dims:
        return None
    if type(args[0]) is not Positions:
        return NotImplemented if args[0] is None else np.cumsum(args[0], axis, dtype=object)
    row = args[0]
    if any(step for steps in row.axes for step, _ in steps):
        return None
    axes = [*row.axes]
    axes[axis] = ((row.start, dims[axis]),)
    return Positions(row.start, tuple(axes))


def _as_array(value: Any) -> Held:
    if type(value).__name__ == "ndarray":
        return value
    return None if is_unknown(value) else filled_with([value], ())


def _unbounded(item: Any) -> Any:
    """An item of an index from a place on, where a size ends its slice: the shape says how far."""
    ends = type(item) is slice and hasattr(item.stop, "expr")
    return slice(item.start or 0, None, item.step) if ends else item


def _is_static(index: Any) -> bool:
    def fixed(item: object) -> bool:
        if type(item) is slice:
            return all(map(fixed, (item.start, item.stop, item.step)))
        return item is None or item is Ellipsis or type(item) is int

    return all(map(fixed, index if isinstance(index, tuple) else (index,)))


def takes_all(args: Arguments) -> bool:
    """Whether an index leaves nothing out."""
    items = args[1] if isinstance(args[1], tuple) else (args[1],)
    return all(i is None or i is Ellipsis or (type(i) is slice and i == _ALL) for i in items)


_ALL = slice(None)
