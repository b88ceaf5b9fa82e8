"""Arrays of numpy whose shapes are sizes: the causal mask ``np.triu(np.ones((1, n, n)), k=1)``, the
places of anchors ``np.vstack([g.ravel() for g in np.meshgrid(np.arange(w), np.arange(h))])``.

The law: *an array that torch takes is the tensor that torch makes in the same way.* So such an
array is what it was made by, twice: by torch, for every size, once a tensor is made of it; by
numpy, at one size, for whoever looks into it otherwise.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch

from symcnn.errors import UnsupportedOperation
from symcnn.frontends.torch.sizes import SIZES, Dim, hold_sizes
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.lazy import cached_property
from symcnn.trace.tape import current_tape

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from symcnn.sets.condition import Requirement


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
        self._taken = False  # by torch
        self.needs: tuple[Requirement, ...] = ()  # what numpy requires of the sizes

    @property
    def tensor(self) -> torch.Tensor:
        """What torch makes of it, which torch takes."""
        self._taken = True
        found = self._as_tensor
        tape = current_tape()
        if tape is None or type(found) is not TracedTensor:
            return found
        if not hold_sizes(found.shape):
            return (
                torch.from_numpy(self._looked_into)
                if found.numel()
                else torch.empty(found.shape, dtype=found.dtype)
            )
        taken: Any = torch.empty(found.shape, dtype=found.dtype)
        taken._number = found._number
        node = tape.nodes[-1]
        node.result = replace(node.result, requires=(*node.result.requires, *self.needs))
        return taken  # type: ignore[no-any-return]

    @cached_property
    def _as_tensor(self) -> torch.Tensor:
        """The tensor that torch makes: its shape and numbers alone, for the work is numpy's."""
        if "_looked_into" in vars(self):
            return torch.from_numpy(self._looked_into)
        tape = current_tape()
        if tape is None:
            return self._laid()
        found, nodes = tape.without_nodes(self._laid)
        self.needs += tuple(r for node in nodes for r in node.result.requires)
        return found

    @cached_property
    def _looked_into(self) -> Any:
        return self._made()

    def __array__(self, *args: object, **kwargs: object) -> object:
        return self._looked_into.__array__(*args, **kwargs)

    def __setitem__(self, index: Any, value: Any) -> None:
        items = index if type(index) is tuple else (index,)
        plain = type(value) in (bool, int, float) and all(map(_is_basic, items))
        if not plain or len(self._family) > 1 or self._taken or "_looked_into" in vars(self):
            self._written()[index] = value
            return
        vars(self).pop("_as_tensor", None)
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
        if any(a._family is self._family and a._taken for a in self._family):
            raise UnsupportedOperation(
                "an array of numpy is written to after torch took it",
                cure="write to the tensor, or take the array when it is as it stays",
            )
        for other in self._family:
            _ = other._looked_into
            vars(other).pop("_as_tensor", None)
        return self._looked_into

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._looked_into, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        import numpy as np

        return np.ndarray

    @property
    def shape(self) -> tuple[object, ...]:
        """How many places there are along each axis."""
        return (*self._as_tensor.shape,)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self._as_tensor.shape)

    def copy(self) -> Array:
        """The same in memory of its own."""
        return _of([self], self.dtype, lambda m: m.copy(), lambda t: t.clone())

    @property
    def T(self) -> object:  # noqa: N802
        """The axes turned round."""
        return self.transpose()

    def transpose(self, *axes: object) -> object:
        """The axes in another order."""
        return _followed("transpose", (self, _alone(axes) if axes else None))

    def reshape(self, *shape: object, **kwargs: object) -> object:
        """The places in another shape."""
        return _followed("reshape", (self, _alone(shape)), kwargs)

    def ravel(self, *args: object, **kwargs: object) -> object:
        """The places one after another."""
        return _followed("ravel", (self, *args), kwargs)

    def swapaxes(self, *axes: object) -> object:
        """Two axes in each other's place."""
        return _followed("swapaxes", (self, *axes))

    def repeat(self, *args: object, **kwargs: object) -> object:
        """Each of its places so many times."""
        return _followed("repeat", (self, *args), kwargs)

    def flatten(self) -> Array:
        """The places one after another, in a memory of their own."""
        return _of([self], self.dtype, lambda m: m.flatten(), lambda t: t.reshape(-1))

    def astype(self, dtype: DTypeLike) -> Array:
        """The same numbers as another type."""
        import numpy as np

        wanted = np.dtype(dtype)
        return _of([self], wanted, lambda m: m.astype(wanted), lambda t: cast(t, of_numpy(wanted)))

    def __getitem__(self, index: Any) -> object:
        items = index if type(index) is tuple else (index,)
        picks = sum(type(i) in (int, Dim) for i in items)
        if all(map(_shows, items)) and (not picks or picks < self._as_tensor.dim()):
            return self._seen(_of([self], self.dtype, lambda m: m[index], lambda t: t[index]))
        return self._looked_into[index]

    def __len__(self) -> int:
        first = self.shape[0] if self.ndim else None
        return first if type(first) is int else len(self._looked_into)

    def __iter__(self) -> Iterator[object]:
        if self.ndim > 1 and type(self.shape[0]) is int and hold_sizes(self.shape):
            return map(self.__getitem__, range(self.shape[0]))
        return iter(self._looked_into)

    def _seen(self, view: Array) -> Array:
        """A view of it."""
        view._family = self._family
        return view

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> object:
        return _followed(function.__name__, args, kwargs, function)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> object:
        function = _functions().get(ufunc.__name__)
        if function is None or method != "__call__" or kwargs:
            return getattr(ufunc, method)(*map(_fixed, _numpys(args)), **_numpys(kwargs))
        return _point_by_point(ufunc, function, *args)


def _of(
    parts: Sequence[Any], dtype: DTypeLike, by_numpy: Callable[..., object], by_torch: Any
) -> Array:
    """What a function of both makes of arrays."""

    def laid() -> torch.Tensor:
        made: torch.Tensor = by_torch(*_tensors(parts))
        found.needs = tuple(r for part in parts if type(part) is Array for r in part.needs)
        return made

    found = Array(dtype, lambda: by_numpy(*_numpys(parts)), laid)
    for part in parts:
        if type(part) is Array:
            part._family.append(found)
    return found


def _is_array(value: object) -> bool:
    import numpy as np

    return type(value) in (Array, np.ndarray)


def _numpys(value: Any) -> Any:
    """What numpy is asked for in the end: arrays that are looked into, in nested lists."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_numpys, value))
    if isinstance(value, dict):
        return {k: _numpys(v) for k, v in value.items()}
    return value._looked_into if type(value) is Array else value


def _fixed(value: Any) -> Any:
    """A size is a number to a function of numpy that is not followed."""
    if type(value) in SIZES:
        return operator.index(value) if type(value) is Dim else float(value)
    return value


def _tensors(arrays: Sequence[Any]) -> list[torch.Tensor]:
    import numpy as np

    return [
        a._as_tensor if type(a) is Array else torch.from_numpy(np.ascontiguousarray(a))
        for a in arrays
    ]


def _snapshot(arrays: Sequence[Any]) -> list[Any]:
    """Arrays as they are now: numpy's own may be written to before torch asks."""
    return [a if type(a) is Array else a.copy() for a in arrays]


def _alone(values: tuple[Any, ...]) -> Any:
    """``a.reshape(2, 3)`` is ``a.reshape((2, 3))``."""
    return values[0] if len(values) == 1 else values


def cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As another type; floats are no places, and their numbers are not followed."""
    if tensor.dtype is dtype:
        return tensor
    made: Any = tensor.to(dtype)
    if dtype.is_floating_point and type(made) is TracedTensor:
        made._number = None
    return made  # type: ignore[no-any-return]


# operators

_OPERATORS = [
    getattr(operator, name)
    for name in "eq ne lt le gt ge add sub mul truediv floordiv mod pow and_ or_ xor".split()
]
_OF_NUMBERS = (
    *(torch.sin, torch.cos, torch.exp, torch.log),
    *(torch.sqrt, torch.square, torch.negative, torch.absolute, torch.maximum, torch.minimum),
    *(torch.floor, torch.ceil, torch.tan, torch.tanh, torch.log2, torch.sign, torch.logical_not),
    *(torch.fmod, torch.hypot, torch.arctan2, torch.log10, torch.trunc, torch.deg2rad),
    *(torch.logical_and, torch.logical_or, torch.logical_xor, torch.log1p, torch.expm1),
    *(torch.arcsin, torch.arccos, torch.arctan, torch.sinh, torch.cosh, torch.exp2),
)


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """Functions of numpy that work point by point, by their names: python's operators call some."""
    import numpy as np

    class Probe:
        def __array_ufunc__(self, ufunc: Any, *args: object) -> object:
            return ufunc.__name__

    called = {function(np.empty(0), Probe()): function for function in _OPERATORS}
    return called | {f.__name__: f for f in _OF_NUMBERS}


def _point_by_point(own: Callable[..., Any], law: Callable[..., Any], *args: Any) -> Any:
    """A function of arrays and numbers, point by point, of the type that numpy makes of them."""
    import numpy as np

    numbers = [*map(_number, args)]
    samples = [
        np.empty(0, a.dtype) if _is_array(a) else n for a, n in zip(args, numbers, strict=True)
    ]
    try:
        dtype = own(*samples).dtype
        both = np.result_type(*samples) if dtype.kind == "b" else dtype
        _ = [both.type(n) for n in numbers if type(n) is int]  # it is held, or that is an error
        wide = of_numpy(both)
    except (TypeError, OverflowError, AttributeError):
        return own(*map(_fixed, _numpys(args)))

    def by_torch(*tensors: torch.Tensor) -> object:
        left = iter(tensors)
        given = [cast(next(left), wide) if _is_array(a) else _plain(a) for a in args]
        plain = law.__module__ == "_operator"  # torch's functions take tensors alone
        return law(*(given if plain else (torch.as_tensor(g, dtype=wide) for g in given)))

    def by_numpy(*given: object) -> object:
        left = iter(given)
        return own(*(next(left) if _is_array(a) else a for a in args))

    return _of(_snapshot([a for a in args if _is_array(a)]), dtype, by_numpy, by_torch)


def _number(value: object) -> Any:
    """A number of the type of one that is computed with; None for anything else."""
    import numpy as np

    if type(value) in SIZES:
        return 1 if type(value) is Dim else 1.0
    return value if type(value) in (int, float) or isinstance(value, np.number) else None


def _plain(number: Any) -> Any:
    return number.item() if hasattr(number, "dtype") else number


def _operator(function: Callable[..., Any], turned: bool) -> Callable[..., Any]:
    def call(self: Array, *other: object) -> object:
        if other and isinstance(other[0], torch.Tensor):
            return NotImplemented  # the tensor knows
        pair = (*other, self) if turned else (self, *other)
        return _point_by_point(function, function, *pair)

    return call


#: What torch refuses of a tensor and an array.
_REFUSED = (operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


def beside(word: str, tensor: torch.Tensor, array: object) -> object:
    """What an operator makes of a tensor and an array: numpy takes both, from the left."""
    import numpy as np

    by_torch = getattr(operator, word.removeprefix("i"), None)
    if by_torch is None or by_torch not in (*_OPERATORS, operator.matmul) or by_torch in _REFUSED:
        raise TypeError(f"unsupported operand types for {word}: a tensor and an array of numpy")
    like, other = torch.ones(1, dtype=tensor.dtype).numpy(), np.ones(1, array.dtype)  # type: ignore[attr-defined]
    made = np.asarray(by_torch(like, other))
    both = like.dtype if made.dtype == bool else made.dtype
    operands = [t.to(of_numpy(both)) for t in (tensor, *_tensors([array]))]
    result: object = by_torch(*operands)
    return result


# functions of numpy that torch has


def _sequence(value: Any) -> tuple[Any, ...]:
    return (*value,) if isinstance(value, (tuple, list)) else (value,)


class _Views:
    """Functions of an array that show its memory, with numpy's parameters."""

    @staticmethod
    def transpose(a: torch.Tensor, axes: Sequence[int] | None = None) -> torch.Tensor:
        return a.permute(*(reversed(range(a.dim())) if axes is None else axes))

    @staticmethod
    def swapaxes(a: torch.Tensor, axis1: int, axis2: int) -> torch.Tensor:
        return a.transpose(axis1, axis2)

    @staticmethod
    def reshape(a: torch.Tensor, shape: object) -> torch.Tensor:
        return a.reshape(_sequence(shape))

    @staticmethod
    def ravel(a: torch.Tensor) -> torch.Tensor:
        return a.reshape(-1)

    @staticmethod
    def expand_dims(a: torch.Tensor, axis: object) -> torch.Tensor:
        for one in sorted(_sequence(axis)):
            a = a.unsqueeze(one)
        return a


class _Copies:
    """Functions of an array that make another."""

    @staticmethod
    def tile(A: torch.Tensor, reps: object) -> torch.Tensor:  # noqa: N803
        return torch.tile(A, _sequence(reps))

    @staticmethod
    def repeat(a: torch.Tensor, repeats: int, axis: int | None = None) -> torch.Tensor:
        laid, along = (a.reshape(-1), 0) if axis is None else (a, axis)
        return laid.repeat_interleave(repeats, along)

    @staticmethod
    def copy(a: torch.Tensor) -> torch.Tensor:
        return a.clone()

    @staticmethod
    def roll(a: torch.Tensor, shift: object, axis: object = None) -> torch.Tensor:
        return torch.roll(a, _sequence(shift), () if axis is None else _sequence(axis))

    @staticmethod
    def zeros_like(a: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(a)

    @staticmethod
    def ones_like(a: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(a)

    @staticmethod
    def triu(m: torch.Tensor, k: int = 0) -> torch.Tensor:
        return torch.triu(m, k)

    @staticmethod
    def tril(m: torch.Tensor, k: int = 0) -> torch.Tensor:
        return torch.tril(m, k)


def _of_list(join: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """With numpy's name for the list."""
    return lambda tup: join(tup)


class _Joins:
    """Functions of a list of arrays."""

    @staticmethod
    def concatenate(arrays: list[torch.Tensor], axis: int | None = 0) -> torch.Tensor:
        rows = [array.reshape(-1) for array in arrays] if axis is None else arrays
        return torch.cat(rows, axis or 0)

    @staticmethod
    def stack(arrays: list[torch.Tensor], axis: int = 0) -> torch.Tensor:
        return torch.stack(arrays, axis)

    vstack, hstack, dstack, column_stack = (
        staticmethod(_of_list(join))
        for join in (torch.vstack, torch.hstack, torch.dstack, torch.column_stack)
    )


def _followed(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, own: Any = None
) -> Any:
    """A function of numpy, of arrays: by both where torch has it, of one array or of a list."""
    import numpy as np

    kwargs, own = dict(kwargs or {}), own or getattr(np, name)
    if name == "append" and len(args) == 2 and kwargs.get("axis") is not None:
        name, own, args = "concatenate", np.concatenate, ([*args],)
    if name == "where" and len(args) == 3 and not kwargs:
        return _point_by_point(own, _chosen, *args)
    if name == "meshgrid" and {*kwargs} <= {"indexing"} and all(map(_is_array, args)):
        return _meshgrid(args, own, **kwargs)
    view, many = getattr(_Views, name, None), name in vars(_Joins)
    law: Any = view or getattr(_Copies, name, None) or getattr(_Joins, name, None)
    given = law and _arguments(law, args, kwargs)
    arrays = () if not given else tuple(given[0]) if many else given[:1]
    if not given or not all(map(_is_array, arrays)):
        return own(*_numpys(args), **_numpys(kwargs))
    arrays, rest = _snapshot(arrays), given[1:]
    dtype = np.result_type(*(a.dtype for a in arrays))

    def by_torch(*tensors: torch.Tensor) -> object:
        if not many:
            return law(*tensors, *rest)
        return law([cast(t, of_numpy(dtype)) for t in tensors], *rest)

    def by_numpy(*parts: object) -> object:
        return own(parts if many else parts[0], *rest)

    found = _of(arrays, dtype, by_numpy, by_torch)
    return found if view is None or type(arrays[0]) is not Array else arrays[0]._seen(found)


def _arguments(
    law: Callable[..., object], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """Its arguments in order; None where it does not take such: numpy is asked for nothing more,
    and for no table.
    """
    try:
        bound = signature(law).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    numbers = (n for v in bound.args[1:] for n in _sequence(v))
    return bound.args if all(n is None or type(n) in (int, Dim) for n in numbers) else None


def _chosen(condition: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`torch.where`, of a condition as a number."""
    return torch.where(condition != 0, a, b)


def _meshgrid(arrays: Sequence[Any], own: Any, indexing: str = "xy") -> Any:
    """Each of the grids, of its own type."""
    import numpy as np

    arrays = _snapshot(arrays)
    kind = of_numpy(np.result_type(*(a.dtype for a in arrays)))

    def grid(i: int) -> Array:
        def by_torch(*tensors: torch.Tensor) -> torch.Tensor:
            flat = [cast(t.reshape(-1), kind) for t in tensors]
            return cast(torch.meshgrid(*flat, indexing=indexing)[i], of_numpy(arrays[i].dtype))

        return _of(arrays, arrays[i].dtype, lambda *a: own(*a, indexing=indexing)[i], by_torch)

    return type(own(0))(map(grid, range(len(arrays))))


# methods, as python asks for them


def _looking(name: str) -> Callable[..., Any]:
    return lambda self, *args: getattr(self._looked_into, name)(*args)


def _writing(name: str) -> Callable[..., Any]:
    return lambda self, other: getattr(self._written(), name)(other)


def _shows(item: object) -> bool:
    """Whether an index shows a part of an array that torch shows in the same way."""
    ends = (item.start, item.stop, item.step or 1) if isinstance(item, slice) else (item,)
    step = ends[-1] if len(ends) > 1 else 1
    numbers = all(type(i) in (int, Dim, type(None)) for i in ends)
    return item is Ellipsis or (numbers and type(step) is int and step > 0)


def _is_basic(item: object) -> bool:
    """Whether it is an index, or a slice, of numbers alone."""
    ends = (item.start, item.stop, item.step) if isinstance(item, slice) else (item,)
    return item is Ellipsis or all(type(i) in (int, Dim, type(None)) for i in ends)


for _function in (*_OPERATORS, operator.neg, operator.abs, operator.invert):
    _name = _function.__name__.strip("_")
    setattr(Array, f"__{_name}__", _operator(_function, False))
    setattr(Array, f"__r{_name}__", _operator(_function, True))
for _name in ("bool int float contains matmul rmatmul").split():
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
