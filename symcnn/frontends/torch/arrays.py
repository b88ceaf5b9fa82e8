"""Arrays of numpy whose shapes are sizes: the causal mask ``np.triu(np.ones((1, n, n)), k=1)``.

The law: *an array that torch takes is the tensor that torch makes in the same way.* So such an
array is what it was made by, twice: by torch, for every size, once a tensor is made of it; by
numpy, at one size, for whoever looks into it otherwise.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from symcnn.errors import UnsupportedOperation
from symcnn.frontends.torch.arguments import hold_sizes
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

    @property
    def T(self) -> Array:  # noqa: N802
        """The axes turned round."""
        return self._seen(lambda m: m.T, lambda t: t.permute(*reversed(range(t.dim()))))

    def astype(self, dtype: DTypeLike) -> Array:
        """The same numbers as another type."""
        import numpy as np

        wanted = np.dtype(dtype)
        return self.then(lambda m: m.astype(wanted), lambda t: t.to(of_numpy(wanted)), wanted)

    def __getitem__(self, index: Any) -> object:
        items = index if type(index) is tuple else (index,)
        if all(i is None or i is Ellipsis or i == slice(None) for i in items):
            return self._seen(lambda m: m[index], lambda t: t[index])
        return self._looked_into[index]

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

    def _with(self, function: Callable[[Any, Any], Any], number: object, turned: bool) -> Any:
        """An operator and a number, point by point, of which numpy and torch make the same type."""
        compares = function in _COMPARISONS
        whole = type(number) is int and abs(number) < 128 and function is not operator.truediv
        alike = self.dtype.kind == "f" or (whole and self.dtype.kind in "iu")
        if type(number) not in (int, float) or not (compares or alike):
            return (
                function(number, self._looked_into)
                if turned
                else function(self._looked_into, number)
            )
        dtype = bool if compares else self.dtype
        if turned:
            return self.then(lambda m: function(number, m), lambda t: function(number, t), dtype)
        return self.then(lambda m: function(m, number), lambda t: function(t, number), dtype)


_COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)


def _point_by_point(function: Callable[[Any, Any], Any], turned: bool) -> Callable[..., Any]:
    return lambda self, other: self._with(function, other, turned)


def _looking(name: str) -> Callable[..., Any]:
    return lambda self, *args: getattr(self._looked_into, name)(*args)


def _writing(name: str) -> Callable[..., Any]:
    return lambda self, other: getattr(self._written(), name)(other)


def _is_basic(item: object) -> bool:
    """Whether it is an index, or a slice, of numbers alone."""
    ends = (item.start, item.stop, item.step) if isinstance(item, slice) else (item,)
    return item is None or item is Ellipsis or all(type(i) in (int, type(None)) for i in ends)


for _function in (*_COMPARISONS, *_ARITHMETIC):
    setattr(Array, f"__{_function.__name__}__", _point_by_point(_function, False))
for _function in _ARITHMETIC:
    setattr(Array, f"__r{_function.__name__}__", _point_by_point(_function, True))
for _name in (
    "len iter bool int float index contains neg abs invert matmul rmatmul floordiv rfloordiv mod "
    "rmod pow rpow and rand or ror xor rxor"
).split():
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


def _triangle(laid: Callable[..., torch.Tensor]) -> Callable[..., object]:
    """`numpy.triu` and `numpy.tril`, also of an array of sizes."""
    name = laid.__name__

    def call(m: object, k: int = 0) -> object:
        import numpy as np

        own = getattr(np, name)
        return m.then(lambda a: own(a, k), lambda t: laid(t, k)) if type(m) is Array else own(m, k)

    return call


#: Functions of numpy by their names, which are torch's.
ARRAYS = {f.__name__: _created(f) for f in (torch.ones, torch.zeros, torch.full)}
ARRAYS |= {f.__name__: _triangle(f) for f in (torch.triu, torch.tril)}
