"""Arrays of numpy whose shapes are sizes: the causal mask ``np.triu(np.ones((1, n, n)), k=1)``.

The law: *an array that torch takes is the tensor that torch makes in the same way.* So such an
array is what it was made by, twice: by torch, for every size, once a tensor is made of it; by
numpy, at one size, for whoever looks into it otherwise.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from symcnn.errors import UnsupportedOperation
from symcnn.frontends.torch.sizes import SIZES, Dim, hold_sizes, largest
from symcnn.lazy import cached_property

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray


class Array:
    """An array that nobody has looked into.

    made: the array, by numpy.
    laid: the tensor, by torch.
    """

    def __init__(
        self, dtype: DTypeLike, made: Callable[[], object], laid: Callable[[], torch.Tensor]
    ) -> None:
        import numpy as np

        self.dtype = np.dtype(dtype)
        self._made, self._laid = made, laid
        self._family = [self]  # views of the same memory, and what was made of those

    @cached_property
    def tensor(self) -> torch.Tensor:
        """What torch makes of it."""
        if "_looked_into" in vars(self):
            return torch.from_numpy(self._looked_into)
        return self._laid()

    @cached_property
    def _looked_into(self) -> Any:
        return self._made()

    def __array__(self, *args: object, **kwargs: object) -> object:
        return self._looked_into.__array__(*args, **kwargs)

    def __setitem__(self, index: Any, value: Any) -> None:
        items = index if type(index) is tuple else (index,)
        plain = type(value) in (bool, int, float) and all(map(_is_basic, items))
        if (
            not plain
            or len(self._family) > 1
            or not {"tensor", "_looked_into"}.isdisjoint(vars(self))
        ):
            self._written()[index] = value
            return
        made, laid = self._made, self._laid

        def by_numpy() -> object:
            array: Any = made()
            array[index] = value
            return array

        def by_torch() -> torch.Tensor:
            tensor = laid().clone()
            tensor[index] = value
            return tensor

        self._made, self._laid = by_numpy, by_torch

    def _written(self) -> Any:
        """The array, for a write: what was made of it before is looked into first."""
        if any(a._family is self._family and "tensor" in vars(a) for a in self._family):
            raise UnsupportedOperation(
                "an array of numpy is written to after torch took it",
                cure="write to the tensor, or take the array when it is as it stays",
            )
        for other in self._family:
            _ = other._looked_into
        return self._looked_into

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._looked_into, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        import numpy as np

        return np.ndarray

    def then(
        self,
        by_numpy: Callable[[NDArray[np.generic]], object],
        by_torch: Callable[[torch.Tensor], torch.Tensor],
        dtype: DTypeLike = None,
    ) -> Array:
        """What a function of both makes of it, of a type of its own or of the same."""
        kind = self.dtype if dtype is None else dtype
        found = Array(kind, lambda: by_numpy(self._looked_into), lambda: by_torch(self.tensor))
        self._family.append(found)
        return found

    def _seen(
        self, by_numpy: Callable[[Any], object], by_torch: Callable[[torch.Tensor], torch.Tensor]
    ) -> Array:
        """A view of it."""
        found = self.then(by_numpy, by_torch)
        found._family = self._family
        return found

    # what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """How long it is along each axis."""
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    # the same numbers elsewhere

    @property
    def T(self) -> Array:  # noqa: N802
        """The axes turned round."""
        return self.transpose()

    def astype(self, dtype: DTypeLike) -> Array:
        """The same numbers as another type."""
        import numpy as np

        wanted = np.dtype(dtype)
        return self.then(lambda m: m.astype(wanted), lambda t: t.to(of_numpy(wanted)), wanted)

    def copy(self) -> Array:
        """The same in memory of its own."""
        return self.then(lambda m: m.copy(), lambda t: t.clone())

    def reshape(self, *dims: object) -> Array:
        """In another shape, row by row."""
        shape: Any = dims[0] if len(dims) == 1 else dims
        return self._seen(lambda m: m.reshape(shape), lambda t: t.reshape(shape))

    def ravel(self) -> Array:
        """Along one axis."""
        return self.reshape(-1)

    def flatten(self) -> Array:
        """Along one axis, in memory of its own."""
        return self.copy().reshape(-1)

    def transpose(self, *axes: object) -> Array:
        """The axes in another order, or turned round."""
        order: Any = axes[0] if len(axes) == 1 else axes
        return self._seen(
            lambda m: m.transpose(*axes), lambda t: t.permute(order or (*range(t.dim()),)[::-1])
        )

    def repeat(self, repeats: int, axis: int | None = None) -> Array:
        """Each place several times."""
        return self.then(
            lambda m: m.repeat(repeats, axis), lambda t: t.repeat_interleave(repeats, axis)
        )

    def __getitem__(self, index: Any) -> object:
        items = index if type(index) is tuple else (index,)
        if all(isinstance(i, slice) or i is None or i is Ellipsis for i in items):
            steps = [i.step for i in items if isinstance(i, slice)]
            if all(step is None or (type(step) is int and step > 0) for step in steps):
                return self._seen(lambda m: m[index], lambda t: t[index])
        return self._looked_into[index]

    # what numpy's functions make of it

    def __array_ufunc__(self, ufunc: Any, method: str, *given: object, **kwargs: Any) -> Any:
        name = ufunc.__name__
        by_torch = _OPERATORS.get(name) or getattr(torch, name, None)
        if method != "__call__" or kwargs or ufunc.nout != 1 or not callable(by_torch):
            outs = [o._written() if type(o) is Array else o for o in kwargs.get("out", ())]
            words = {**kwargs, "out": tuple(outs)} if outs else kwargs
            return getattr(ufunc, method)(*map(_looked, given), **words)
        return _made_of(lambda *a: ufunc(*a), by_torch, given, ufunc)

    def __array_function__(
        self, function: Any, types: object, args: Any, kwargs: Mapping[str, Any]
    ) -> Any:
        name = function.__name__
        if name == "meshgrid" and {*kwargs} <= {"indexing"}:
            return _grid(function, args, kwargs.get("indexing", "xy"))
        if name in _OF_SEVERAL and not {None} & {*kwargs.values(), *args[1:]}:
            several = args[0] if isinstance(args[0], (tuple, list)) else [args[0]]
            rest = args[1:]
            return _made_of(
                lambda *a: function(a, *rest, **kwargs),
                lambda *t: _OF_SEVERAL[name](t, *rest, **kwargs),
                several,
                None,
            )
        if name == "tile" and args and type(args[0]) is Array and len(args) == 2:
            reps = args[1] if type(args[1]) in (tuple, list) else (args[1],)
            return args[0].then(lambda m: function(m, reps), lambda t: torch.tile(t, reps))
        if args and type(args[0]) is Array and callable(vars(Array).get(name)):
            return getattr(args[0], name)(*args[1:], **kwargs)
        if name in ("triu", "tril") and type(args[0]) is Array:
            k = kwargs.get("k", args[1] if len(args) > 1 else 0)
            return args[0].then(lambda m: function(m, k), lambda t: getattr(torch, name)(t, k))
        return function(*_looked(args), **{k: _looked(v) for k, v in kwargs.items()})


#: Functions of several arrays that torch has by the same name.
_OF_SEVERAL: dict[str, Callable[..., torch.Tensor]] = {
    f.__name__: f
    for f in (
        torch.stack,
        torch.concatenate,
        torch.vstack,
        torch.hstack,
        torch.dstack,
        torch.column_stack,
    )
}

#: Python's operators and their names in numpy.
_NAMES: dict[Callable[..., Any], str] = {
    operator.add: "add",
    operator.sub: "subtract",
    operator.mul: "multiply",
    operator.truediv: "divide",
    operator.floordiv: "floor_divide",
    operator.mod: "remainder",
    operator.pow: "power",
    operator.matmul: "matmul",
    operator.and_: "bitwise_and",
    operator.or_: "bitwise_or",
    operator.xor: "bitwise_xor",
    operator.eq: "equal",
    operator.ne: "not_equal",
    operator.lt: "less",
    operator.le: "less_equal",
    operator.gt: "greater",
    operator.ge: "greater_equal",
    operator.neg: "negative",
    operator.abs: "absolute",
    operator.invert: "invert",
}
_OPERATORS = {name: function for function, name in _NAMES.items()}

#: What torch refuses of a tensor and an array.
_REFUSED = (operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


def _looked(value: Any) -> Any:
    """An argument with the arrays that numpy makes."""
    if type(value) in (tuple, list):
        return type(value)(map(_looked, value))
    return value._looked_into if type(value) is Array else value


def _made_of(
    by_numpy: Callable[..., object],
    by_torch: Callable[..., Any],
    given: Sequence[Any],
    point_by_point: Any,
) -> Any:
    """What a function makes of arrays, and numbers where it is `point_by_point`."""
    import numpy as np

    numbers = (bool, int, float, *SIZES)
    arrays = [a for a in given if type(a) is Array]
    others = [a for a in given if type(a) is not Array and not isinstance(a, np.ndarray)]
    try:
        if not all(type(a) in numbers and point_by_point for a in others):
            raise TypeError
        kinds = [np.ones(1, a.dtype) if isinstance(a, np.ndarray) else _like(a) for a in given]
        dtype = np.asarray((point_by_point or (lambda *a: np.stack(a)))(*kinds)).dtype
        wanted = of_numpy(dtype)
    except (TypeError, OverflowError):
        return by_numpy(*map(_looked, given))

    def laid() -> torch.Tensor:
        tensors = [_tensor(a) for a in given]
        if by_torch not in _OPERATORS.values():  # python's take numbers beside tensors
            tensors = [torch.as_tensor(t) for t in tensors]
        if not point_by_point:
            tensors = [t.to(wanted) for t in tensors]
        made: torch.Tensor = by_torch(*tensors)
        return made if made.dtype is wanted else made.to(wanted)

    found = Array(dtype, lambda: by_numpy(*map(_looked, given)), laid)
    for array in arrays:
        array._family.append(found)
    return found


def _like(number: Any) -> Any:
    """A number of the same kind."""
    return number if type(number) not in SIZES else 1 if type(number) is Dim else 1.0


def _tensor(value: Any) -> Any:
    """An array as a tensor; a number as it is."""
    import numpy as np

    if type(value) is Array:
        return value.tensor
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    return value


def _grid(function: Any, rows: Sequence[Any], indexing: str) -> Any:
    """`numpy.meshgrid`: each row along an axis of its own."""
    import numpy as np

    if not all(type(row) is Array or isinstance(row, np.ndarray) for row in rows):
        return function(*_looked(rows), indexing=indexing)
    axes = [*range(len(rows))]
    if indexing == "xy":
        axes[:2] = axes[:2][::-1]

    def along(row: Array, axis: int) -> Array:
        def laid() -> torch.Tensor:
            tensors = [_tensor(other).reshape(-1) for other in rows]
            dims = [0] * len(rows)
            for i, tensor in zip(axes, tensors, strict=True):
                dims[i] = tensor.shape[0]
            alone = [1] * len(rows)
            alone[axis] = -1
            made: torch.Tensor = _tensor(row).reshape(alone).expand(dims)
            return made.clone()

        number = axes.index(axis)
        return Array(row.dtype, lambda: function(*_looked(rows), indexing=indexing)[number], laid)

    found = [along(row, axis) for row, axis in zip(rows, axes, strict=True)]
    for row in rows:
        if type(row) is Array:
            row._family += found
    return tuple(found)


def _calling(name: str, turned: bool) -> Callable[..., Any]:
    """An operator by the name of numpy."""

    def call(self: Array, *other: object) -> object:
        import numpy as np

        if other and isinstance(other[0], torch.Tensor):
            return NotImplemented  # the tensor knows
        return getattr(np, name)(*((*other, self) if turned else (self, *other)))

    return call


def beside(word: str, tensor: torch.Tensor, array: object) -> object:
    """What an operator makes of a tensor and an array: numpy takes both, from the left."""
    import numpy as np

    by_torch = getattr(operator, word.removeprefix("i"), None)
    ufunc = None if by_torch is None else _NAMES.get(by_torch)
    if by_torch is None or ufunc is None or by_torch in _REFUSED:
        raise TypeError(f"unsupported operand types for {word}: a tensor and an array of numpy")
    like, other = torch.ones(1, dtype=tensor.dtype).numpy(), np.ones(1, array.dtype)  # type: ignore[attr-defined]
    made = np.asarray(getattr(np, ufunc)(like, other))
    both = like.dtype if made.dtype == bool else made.dtype
    operands = [t.to(of_numpy(both)) for t in (tensor, _tensor(array))]
    result: object = by_torch(*operands)
    return result


def _looking(name: str) -> Callable[..., Any]:
    return lambda self, *args: getattr(self._looked_into, name)(*args)


def _writing(name: str) -> Callable[..., Any]:
    return lambda self, other: getattr(self._written(), name)(_looked(other))


def _is_basic(item: object) -> bool:
    """Whether it is an index, or a slice, of numbers alone."""
    ends = (item.start, item.stop, item.step) if isinstance(item, slice) else (item,)
    return item is None or item is Ellipsis or all(type(i) in (int, Dim, type(None)) for i in ends)


for _name, _operator in _OPERATORS.items():
    _plain = _operator.__name__.strip("_")
    for _side in ("", "r"):
        setattr(Array, f"__{_side}{_plain}__", _calling(_name, _side == "r"))
for _name in "len iter bool int float index contains".split():
    setattr(Array, f"__{_name}__", _looking(f"__{_name}__"))
for _name in ("iadd", "isub", "imul", "itruediv"):
    setattr(Array, f"__{_name}__", _writing(f"__{_name}__"))


def of_numpy(dtype: DTypeLike) -> torch.dtype:
    """The dtype of torch for one of numpy. Raises TypeError where there is none."""
    import numpy as np

    return torch.from_numpy(np.empty(0, dtype)).dtype


def tensor_of(value: object) -> object:
    """The tensor in place of an array of sizes; anything else as it is."""
    return value.tensor if type(value) is Array else value


def _created(laid: Callable[..., torch.Tensor]) -> Callable[..., object]:
    """`numpy.ones` and kin, also of a shape in which sizes stand."""
    name = laid.__name__

    def call(shape: object, *args: object, **kwargs: object) -> object:
        import numpy as np

        number = args[:1] if laid is torch.full else ()
        dtype, own = _dtype(args[len(number) :], kwargs), getattr(np, name)
        plain = not number or type(number[0]) in (bool, int, float)
        if dtype is None or not plain or not hold_sizes([shape]):
            return own(shape, *args, **kwargs)
        dtype = np.array(number[0]).dtype if number and not (args[1:] or kwargs) else dtype
        dims = shape if isinstance(shape, (tuple, list)) else (shape,)
        return Array(
            dtype,
            lambda: own(shape, *args, **kwargs),
            lambda: laid(dims, *number, dtype=of_numpy(dtype)),
        )

    return call


def _dtype(args: Sequence[Any], kwargs: Mapping[str, Any]) -> DTypeLike | None:
    """The dtype that numpy is asked for; None where it is asked for more, or torch has none."""
    import numpy as np

    if len(args) > 1 or not {*kwargs} <= {"dtype"} or (args and kwargs):
        return None
    asked = args[0] if args else kwargs.get("dtype")
    dtype = np.dtype(float if asked is None else asked)
    return dtype if dtype.kind in "biuf" and dtype.itemsize <= 8 else None


def _arange(*args: Any, **kwargs: Any) -> object:
    """`numpy.arange`, also between sizes."""
    import numpy as np

    given = (None, *args) if len(args) == 1 else args
    start, stop, step = (*given, *(None, None, None)[len(given) :])[:3]
    ends = (0 if start is None else start, stop, 1 if step is None else step)
    plain = len(args) <= 3 and {*kwargs} <= {"dtype"} and all(type(e) in (int, Dim) for e in ends)
    dtype = _dtype((), {"dtype": kwargs.get("dtype") or int})
    rises = type(ends[2]) is int and ends[2] > 0
    if dtype is None or not (plain and rises and hold_sizes(ends)):
        return np.arange(*args, **kwargs)

    def laid() -> torch.Tensor:
        last = largest(ends[:2])  # numpy takes it backwards, for none
        return torch.arange(ends[0], last, ends[2], dtype=of_numpy(dtype))

    return Array(dtype, lambda: np.arange(*args, **kwargs), laid)


def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, **kwargs: Any) -> object:
    """`numpy.linspace`, also of so many numbers as a size, or between sizes."""
    import numpy as np

    ends, dtype = (start, stop), _dtype((), kwargs)
    numbers = (int, float, *SIZES)
    plain = type(num) in (int, Dim) and type(endpoint) is bool
    if dtype is None or not plain or not all(type(e) in numbers for e in ends):
        return np.linspace(start, stop, num, endpoint, **kwargs)
    if not hold_sizes((*ends, num)):
        return np.linspace(start, stop, num, endpoint, **kwargs)

    def laid() -> torch.Tensor:
        if endpoint:
            return torch.linspace(start, stop, num, dtype=torch.float64).to(of_numpy(dtype))
        made = torch.linspace(start, stop, num + 1, dtype=torch.float64)[:-1]
        return made.to(of_numpy(dtype))

    return Array(dtype, lambda: np.linspace(start, stop, num, endpoint, **kwargs), laid)


def _eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float) -> object:  # noqa: N803
    """`numpy.eye`, also of sizes."""
    import numpy as np

    sizes, kind = (N, N if M is None else M), _dtype((), {"dtype": dtype})
    if kind is None or type(k) is not int or k or not hold_sizes(sizes):
        return np.eye(N, M, k, dtype)
    laid = partial(torch.eye, *sizes, dtype=of_numpy(kind))
    return Array(kind, lambda: np.eye(*sizes, 0, dtype), laid)


#: Functions of numpy by their names, most of which are torch's.
ARRAYS = {f.__name__: _created(f) for f in (torch.ones, torch.zeros, torch.full)}
ARRAYS |= {f.__name__.strip("_"): f for f in (_arange, _linspace, _eye)}
