"""What rules share: hyperparameters per axis, axis numbers, requirements, axis maps.

A rule is a plain function under torch's name, with torch's parameter names and order, that takes
symbolic tensors and hyperparameters and returns a `Result`; see `symcnn.ops.operation`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, wraps
from typing import Any, TypeVar, Union

from symcnn.algebra.atoms import lows
from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Const, Scatter, Whole, Window
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, Size, lower
from symcnn.errors import ShapeMismatch
from symcnn.sets.condition import AnyOf, Condition, Place, Requirement
from symcnn.sets.placewise import Placewise
from symcnn.trace.graph import Constant, Parameter, Result, SymbolicTensor
from symcnn.trace.tape import ELEMENTS, decided, leave_to_torch, may_be_empty, may_be_negative

Rule = Callable[..., Result]

T = TypeVar("T")
IntT = TypeVar("IntT", int, Int)
#: A hyperparameter given once for all axes, or once for each.
OneOrMore = Union[T, tuple[T, ...], list[T]]
#: A number that a tensor is computed with, or a tensor.
Operand = Union[int, float, complex, Size, SymbolicTensor]

#: Arguments that are what rules take already.
_SCALARS = frozenset((Size, int, bool, float, str, type(None)))
_PLAIN = _SCALARS | {SymbolicTensor, Parameter, Constant}

_NUMBERS = frozenset((int,))

#: How many answers of one rule are remembered.
_REMEMBERED = 1024


def of_shapes(function: Rule) -> Rule:
    """A rule that looks at shapes and hyperparameters only, and remembers what it answered.

    Networks repeat themselves: of ResNet-50's 175 operations 55 are different. What a rule raises
    is not remembered; of what it answers a bounded number is, per process.
    """
    answers: dict[Any, Result] = {}

    @wraps(function)
    def remembered(*args: object, **kwargs: object) -> Result:
        values = (*args, *kwargs.values())
        kinds = map(type, values)  # True and 1.0 are no sizes, though equal to 1
        asked = (*[v if type(v) in _SCALARS else _key_of(v) for v in values], *kinds, *kwargs)
        try:
            found = answers.get(asked)
        except TypeError:  # something that cannot be a key
            return function(*args, **kwargs)
        if found is None:
            found = function(*args, **kwargs)
            if len(answers) >= _REMEMBERED:
                answers.clear()
            answers[asked] = found
        return found

    return remembered


def _key_of(value: Any) -> Any:
    """An argument as (part of) a key, but for its type."""
    if isinstance(value, SymbolicTensor):
        return (value.dims, value.empties) if value.may_be_empty else value.dims
    if isinstance(value, (tuple, list)):
        if _NUMBERS.issuperset(map(type, value)):
            return tuple(value)
        return (*map(_key_of, value), *map(type, value))
    return value


def as_sizes(value: object) -> object:
    """Sympy hyperparameters, at any depth, as kernel expressions."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (tuple, list)):
        if _PLAIN.issuperset(map(type, value)):
            return value if type(value) is tuple else type(value)(value)  # a list may change later
        return type(value)(as_sizes(v) for v in value)
    kind = type(value)
    if kind.__module__.startswith("sympy."):
        return from_sympy(value)
    if hasattr(kind, "__index__") and not getattr(value, "shape", ()):
        # whole numbers of any kind: numpy's, enums, 0-d tensors
        return operator.index(value)  # type: ignore[arg-type]
    return value


def whole_numbers(values: Sequence[Int], name: str) -> tuple[Int, ...]:
    """Several, as torch's parser reads them: it looks at the first, where a truth value is none;
    behind it one is 0 or 1.

    Raises ShapeMismatch naming the parameter.
    """
    if isinstance(values[0] if values else 0, bool):
        raise ShapeMismatch(f"{name}={(*values,)} is not made of whole numbers")
    return tuple(int(v) if isinstance(v, bool) else v for v in values)


def require_numbers(**given: object) -> None:
    """Raises ShapeMismatch for None where torch computes with a number."""
    for name, value in given.items():
        if value is None:
            raise ShapeMismatch(f"{name}=None is no number")


def ntuple(value: OneOrMore[Int], n: int, name: str) -> tuple[Int, ...]:
    """A hyperparameter given once, or once per axis, as one value per axis.

    Raises ShapeMismatch for another number of values.
    """
    if not isinstance(value, (tuple, list)):
        return (value,) * n
    if len(value) == n:
        return whole_numbers(value, name)
    if len(value) == 1:
        return whole_numbers(value, name) * n
    raise ShapeMismatch(f"{name}={tuple(value)} has {len(value)} values", cure=f"give 1 or {n}")


def one_or_n(value: OneOrMore[Int], n: int, name: str) -> tuple[Int, ...]:
    """A hyperparameter given once, or `n` times: where torch does not repeat a tuple of one.

    Raises ShapeMismatch for another number of values.
    """
    if isinstance(value, (tuple, list)) and len(value) != n:
        raise ShapeMismatch(f"{name}={tuple(value)} has {len(value)} values", cure=f"give {n}")
    return ntuple(value, n, name)


def one_or_each(values: Sequence[T]) -> T | tuple[T, ...]:
    """One value where all are the same, as torch takes them.

    >>> one_or_each([1, 1]), one_or_each([1, 0])
    (1, (1, 0))
    """
    return values[0] if len({*values}) == 1 else tuple(values)


def at_least(name: str, values: Sequence[Int], bound: int) -> list[Requirement]:
    """Check a hyperparameter per axis: what is left to require of those that sizes compute.

    Raises ShapeMismatch naming the parameter.
    """
    needs: list[Requirement] = []
    for value in values:
        if isinstance(value, Size):
            needs.append(Condition(value, ">=", bound, f"{name} is at least {bound}"))
        elif isinstance(value, bool) or not isinstance(value, int):
            raise ShapeMismatch(f"{name}={value!r} is not a whole number")
        elif value < bound:
            raise ShapeMismatch(f"{name}={value} is too small", cure=f"{name} is at least {bound}")
    return needs


def of_sizes(needs: Iterable[Condition]) -> list[Requirement]:
    """What is required of several hyperparameters, as far as sizes compute them: a symbol that may
    be 0 is in no set, and checked where it is a number.
    """
    return [need for need in needs if all(low == 1 for _, low in lows(need.lhs, need.rhs))]


def filled(x: SymbolicTensor, sizes: Iterable[Int]) -> list[Condition]:
    """That there is something along axes of these sizes, of those that may be empty."""
    empties = x.empties
    some = (size for size in dict.fromkeys(sizes) if size in empties)
    return [Condition(size, ">=", 1, ELEMENTS) for size in some]


def require_rank(x: SymbolicTensor, ranks: Sequence[int], op: str) -> None:
    """Raises ShapeMismatch if `x` has none of the `ranks`."""
    if len(x.dims) not in ranks:
        want = " or ".join(f"{r}-d" for r in ranks)
        shape = ", ".join(map(str, x.dims))
        raise ShapeMismatch(f"{op} takes a {want} input, not {len(x.dims)}-d ({shape})")


class NoSuchAxis(ShapeMismatch, IndexError):
    """An axis that a tensor does not have, which torch calls an index too."""


def normal_dim(dim: object, rank: int, op: str) -> int:
    """An axis number counted from the front. Raises ShapeMismatch if there is no such axis: a truth
    value names none.
    """
    if isinstance(dim, bool) or not isinstance(dim, int) or not -max(rank, 1) <= dim < max(rank, 1):
        raise NoSuchAxis(f"{op}: dim={dim!r} is out of range for a {rank}-d tensor")
    return dim % rank if rank else 0


def normal_dims(dim: object, rank: int, op: str) -> tuple[int, ...]:
    """One or several axis numbers, counted from the front.

    Raises ShapeMismatch if there is no such axis, or one is named twice.
    """
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    rest = [int(d) if isinstance(d, bool) else d for d in dims[1:]]  # torch looks at the first
    axes = tuple(normal_dim(d, rank, op) for d in (*dims[:1], *rest))
    if len(set(axes)) != len(axes):
        raise ShapeMismatch(f"{op}: dim={tuple(dims)} names an axis twice")
    return axes


def require_equal(have: Int, want: Int, why: str) -> list[Requirement]:
    """That two sizes are equal, where that is not plain."""
    return [] if have == want else [Condition(have, "==", want, why)]


def require_shape(have: Sequence[Int], want: Sequence[Int], why: str) -> list[Requirement]:
    """That as many sizes are equal, one by one, where that is not plain."""
    return [need for a, b in zip(have, want, strict=True) for need in require_equal(a, b, why)]


def index_shape(item: object) -> tuple[Int, ...]:
    """The shape of an index: that of a tensor, or of nested lists."""
    if isinstance(item, SymbolicTensor):
        return item.dims
    if isinstance(item, (list, tuple)):
        if any(isinstance(i, bool) for i in item):
            return (sum(map(bool, item)),)
        return (len(item), *(index_shape(item[0]) if item else ()))
    return ()


def require_places(
    index: SymbolicTensor,
    size: Int,
    op: str = "",
    *,
    least: Int = 0,
    apart_from: int | None = None,
    lookup: bool = True,
) -> list[Requirement]:
    """That the whole numbers in an index, as far as they are told, are places of an axis, unless
    it has none.

    apart_from: a number that stands for no place.
    lookup: whether torch raises IndexError where one is none, as most operations do.
    """
    why = f"{op}: an index must lie within the axis".removeprefix(": ")
    if not index.extremes and index.dtype != "bool":
        leave_to_torch(index)
    if isinstance(index.extremes, Placewise):
        found = index.extremes.within(least, size - 1, apart_from)
        if found is None:
            leave_to_torch(index)
        return [
            places[0] if len(places) == 1 else AnyOf(places, why)
            for each in found or ()
            for places in [
                tuple(Place(one.lhs, ">=", 0, why, lookup) for one in each)
                or (Place(-1, ">=", 0, why, lookup),)
            ]
        ]
    told = [i for i in index.extremes if i != apart_from]
    ends = [gap for i in told for gap in (i - least, size - 1 - i)]
    if not index.extremes and may_be_empty(size):
        ends = [size - 1]
    inside = [Place(gap, ">=", 0, why, lookup) for gap in ends]
    none = tuple(Condition(0, ">=", length) for length in index.empties)
    return [AnyOf((one, *none), why) for one in inside] if none else [*inside]


def whole_axes(dims: Sequence[Int]) -> Axes:
    """Axes of an output of which every place can read everything."""
    return tuple((None, Whole(size)) for size in dims)


def of_everything(
    dims: Iterable[Int], requires: Iterable[Requirement] = (), empties: tuple[Int, ...] = ()
) -> Result:
    """A tensor of which every place can read everything."""
    shape = tuple(dims)
    return Result((shape,), whole_axes(shape), requires=tuple(requires), empties=empties)


def leading_axes(count: int) -> list[tuple[int | tuple[int, ...] | None, AxisMap]]:
    """The first `count` axes, as they were."""
    return list(same_axes(count))


@lru_cache(maxsize=64)
def same_axes(count: int) -> Axes:
    """All of `count` axes as they were: point by point."""
    return tuple((i, IDENTITY) for i in range(count))


def aligned(have: tuple[Int, ...], dims: tuple[Int, ...]) -> Axes:
    """The axes of a tensor stretched to `dims`, counted from the right: those of size 1 are."""
    if have == dims:
        return same_axes(len(dims))
    lead = len(dims) - len(have)
    return tuple(
        (None, Whole(size))
        if i < lead
        else (i - lead, Const(size) if have[i - lead] == 1 != size else IDENTITY)
        for i, size in enumerate(dims)
    )


def unpacked(args: tuple[OneOrMore[IntT], ...]) -> tuple[IntT, ...]:
    """``view(2, 3)`` and ``view((2, 3))`` alike."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        return tuple(args[0])
    return args  # type: ignore[return-value]  # one by one


def with_holes(sizes: Iterable[Int], text: str) -> tuple[tuple[Int, ...], list[Requirement]]:
    """A shape in which a size that is computed may be -1 as well: torch's own question, a branch.

    And that no other is negative.
    """
    shape, needs = list(sizes), list[Requirement]()
    for i, size in enumerate(shape):
        if isinstance(size, Size) and may_be_negative(size):
            if decided(Condition(size, "==", -1)):
                shape[i] = -1
            else:
                needs.append(Condition(size, ">=", 0, f"{text}: a size is at least 0"))
    return tuple(shape), needs


def elementwise(
    x: SymbolicTensor,
    requires: tuple[Requirement, ...] = (),
    others: tuple[tuple[SymbolicTensor, Axes | None], ...] = (),
) -> Result:
    """The result of an operation that keeps the shape and works point by point."""
    return Result((x.dims,), same_axes(len(x.dims)), requires=requires, others=others)


def unread(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
    """A tensor of that shape, whatever the values."""
    return Result((input.dims,), None)


def over(x: SymbolicTensor, axes: Iterable[int], requires: Sequence[Requirement] = ()) -> Result:
    """The result of an operation that keeps the shape and reads all of `axes` at every place."""
    maps = leading_axes(x.ndim)
    for axis in axes if x.ndim else ():
        maps[axis] = (axis, Whole(x.dims[axis]))
    return Result((x.dims,), tuple(maps), requires=tuple(requires))


def together(both: Result, axis: int, kept: Int | None, *tensors: SymbolicTensor) -> Result:
    """What is made of one axis of tensors that broadcast to `both`: each of its `kept` places reads
    all of the axis; with None the axis goes.
    """
    (dims,) = both.shapes
    made = dims[:axis] + (() if kept is None else (kept,)) + dims[axis + 1 :]
    read = []
    for t in tensors:
        maps = list(aligned(t.dims, dims))
        maps[axis : axis + 1] = [] if kept is None else [(maps[axis][0], Whole(kept))]
        read.append((t, tuple(maps)))
    return Result((made,), read[0][1], requires=both.requires, others=tuple(read[1:]))


def map_axes(
    dims: Sequence[Int], maps: Sequence[AxisMap], why: str
) -> tuple[tuple[Int, ...], list[Requirement]]:
    """The sizes after one map per axis, and what the maps require."""
    sizes = []
    requires: list[Requirement] = []
    for x, axis_map in zip(dims, maps, strict=True):
        sizes.append(x if axis_map is IDENTITY else axis_map.size(x))
        need = axis_map.requires(x)
        if need is not None and ((low := lower(need[0] - need[1])) is None or low < 0):
            requires.append(Condition(need[0], ">=", need[1], why))
        if isinstance(axis_map, (Window, Scatter)):
            for name in ("extent", "stride", "dilation"):  # a size may be 0 where torch refuses
                value = getattr(axis_map, name)
                if isinstance(value, Size) and ((low := lower(value)) is None or low < 1):
                    requires.append(Condition(value, ">=", 1, f"the {name} must be at least 1"))
    return tuple(sizes), requires
