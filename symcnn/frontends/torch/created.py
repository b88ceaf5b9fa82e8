"""Functions of numpy that make arrays of sizes: ``np.arange(h)``, ``np.mgrid[:h, :w]``.

The law is that of `arrays`: what numpy makes, torch makes in the same way.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch

from symcnn.frontends.torch.arrays import Array, cast, of_numpy
from symcnn.frontends.torch.sizes import SIZES, Dim, hold_sizes, largest

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


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
    """`numpy.arange`, also up to a size."""
    import numpy as np

    start, stop, step = (0, *args, 1) if len(args) == 1 else (*args, 1, 1)[:3]
    whole = all(type(n) in (int, Dim) for n in (start, stop, step))
    dtype = _dtype((), kwargs) if kwargs else np.dtype(int if whole else float)
    rises = type(step) in (int, float) and step > 0

    def made() -> object:
        return np.arange(*map(_at_point, args), **kwargs)

    if not hold_sizes(args) or len(args) > 3 or dtype is None or not rises:
        return made()
    if whole:
        end = _end(start, stop)
        return Array(dtype, made, lambda: torch.arange(start, end, step, dtype=of_numpy(dtype)))
    if kwargs or type(start) not in (int, float) or type(stop) is not Dim:
        return made()
    a, b = Fraction(start), Fraction(step)
    if max(a.denominator, b.denominator) > _FINE:
        return made()
    common = math.lcm(a.denominator, b.denominator)
    count = largest((0, -((int(a * common) - common * stop) // int(b * common))))
    return Array(dtype, made, lambda: cast(torch.arange(count), torch.float64) * step + start)


def _at_point(number: Any) -> Any:
    """A number for whoever makes an array of it, of one size."""
    return operator.index(number) if type(number) is Dim else number


#: Denominators of steps of which floats are exact, at any size.
_FINE = 2**10


def _linspace(start: Any, stop: Any, num: Any = 50, endpoint: Any = True, **kwargs: Any) -> object:
    """`numpy.linspace`, also of as many places as a size; few of them are numbers of sizes."""
    import numpy as np

    ends = start, stop
    dtype: Any = _dtype((), kwargs)
    own: Any = np.linspace

    def made() -> object:
        given: Any = map(_at_point, (start, stop, num))
        return own(*given, endpoint, **kwargs)

    def laid() -> torch.Tensor:
        places: Any = num if endpoint else num + 1
        return torch.linspace(start, stop, places, dtype=torch.float64)[:num].to(of_numpy(dtype))

    numbers, plain = (int, float, *SIZES), type(endpoint) is bool and dtype is not None
    if not hold_sizes((*ends, num)) or not plain or not all(type(e) in numbers for e in ends):
        return made()
    if type(num) is not int or num < 2 or not endpoint:
        return Array(dtype, made, laid) if type(num) in (int, Dim) else made()
    step = (stop - start) / (num - 1)
    floats = [*(i * step + start for i in range(num - 1)), stop * 1.0]
    whole = np.dtype(dtype).kind in "iu"
    return _numbers([*map(math.floor, floats)] if whole else floats)


@cache
def _classes() -> tuple[Any, Any]:
    """Arrays of few numbers of sizes: of 64 bits, and of fewer, whose arithmetic rounds."""
    import numpy as np

    class Numbers(np.ndarray):
        told: Any = None  # what torch takes them for, where python's numbers do not say

        def __array_finalize__(self, source: object) -> None:
            """A view is of the same type."""
            self.told = getattr(source, "told", None)

        def __array_wrap__(self, array: Any, context: Any = None, *_: object) -> Any:
            """One number is python's, as in other arrays of objects; whole ones keep their type."""
            if not array.ndim:
                return array[()]
            found = array.view(Numbers)
            given = context[1] if context else ()
            if all(type(g) is int or getattr(g, "told", None) == self.told for g in given):
                whole = all(type(n) in (int, Dim) for n in array.ravel().tolist())
                found.told = self.told if whole else None
            return found

        def astype(self, *args: object, **kwargs: object) -> object:
            """Floats as whole numbers are sizes still."""
            given: Any = (*args, *kwargs.values())
            dtype = np.dtype(given[0]) if len(given) == 1 else None
            if dtype is None or dtype.kind not in "iuf" or not hold_sizes(self.ravel().tolist()):
                return super().astype(*args, **kwargs)  # type: ignore[call-overload]
            return _convert(self, dtype)

    class Singles(np.ndarray):
        told: Any = None

        def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> object:
            return getattr(ufunc, method)(*_settle(args), **kwargs)

        def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> object:
            return func(*_settle(args), **kwargs)

        def __getattribute__(self, name: str) -> Any:
            own = name.startswith("__") or name in _LAID or name == "told"
            return object.__getattribute__(self, name) if own else getattr(_round(self), name)

        def __getitem__(self, index: Any) -> object:
            return _round(self)[index]

        def __iter__(self) -> Any:
            return iter(_round(self))

    return Numbers, Singles


#: What is asked of an array and not of its numbers.
_LAID = frozenset({"shape", "ndim", "size"})


def _settle(value: Any) -> Any:
    """Arrays that round as numpy's own, at any depth."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_settle, value))
    return _round(value) if type(value) is _classes()[1] else value


def _round(array: Any) -> Any:
    """Numbers of sizes as numpy's own."""
    import numpy as np

    plain = np.ndarray.view(array, np.ndarray)
    numbers = [operator.index(n) if type(n) is Dim else float(n) for n in plain.ravel()]
    return np.array(numbers, dtype=array.told).reshape(plain.shape)


def _convert(array: Any, dtype: Any) -> object:
    """Numbers of sizes as another type."""
    import numpy as np

    cast: Callable[[Any], Any] = math.trunc if dtype.kind in "iu" else _as_float
    numbers = np.array([*map(cast, array.ravel().tolist())], dtype=object)
    numbers_, singles = _classes()
    found: Any = numbers.reshape(array.shape).view(
        singles if dtype.kind == "f" and dtype.itemsize < 8 else numbers_
    )
    found.told = dtype
    return found


def _as_float(number: Any) -> Any:
    return number / 1 if type(number) in SIZES else float(number)


def _numbers(numbers: list[Any]) -> Any:
    """Few numbers of sizes as an array."""
    import numpy as np

    return np.array(numbers, dtype=object).view(_classes()[0])


def array_of(numbers: object, dtype: DTypeLike | None) -> object | None:
    """`numpy.array` of a list in which sizes stand; None of another one."""
    import numpy as np

    kind = None if dtype is None else np.dtype(dtype)
    if not isinstance(numbers, (tuple, list)) or not hold_sizes(numbers):
        return None
    if kind is not None and kind.kind not in "iuf":
        return None
    found = _numbers([*numbers])
    plain = all(type(n) in (int, float, *SIZES) for n in found.ravel().tolist())
    return (found if kind is None else _convert(found, kind)) if plain else None


def _eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float) -> object:  # noqa: N803
    """`numpy.eye`, also of sizes."""
    import numpy as np

    sizes, kind = (N, N if M is None else M), _dtype((), {"dtype": dtype})
    if kind is None or type(k) is not int or k or not hold_sizes(sizes):
        return np.eye(N, M, k, dtype)
    laid = partial(torch.eye, *sizes, dtype=of_numpy(kind))
    return Array(kind, lambda: np.eye(*sizes, 0, dtype), laid)


def _grid(
    dtype: DTypeLike, made: Callable[[], object], rows: Sequence[tuple[Any, Any, Any]]
) -> Array:
    """Places of a grid along each of its axes, from one to before another, in steps."""

    def laid() -> torch.Tensor:
        kind = of_numpy(dtype)
        ranges = [torch.arange(a, _end(a, b), step, dtype=kind) for a, b, step in rows]
        return torch.stack(torch.meshgrid(*ranges, indexing="ij"))

    return Array(dtype, made, laid)


def _end(start: Any, stop: Any) -> Any:
    """Where a row ends that is none where it would end before it starts."""
    return largest((start, stop)) if hold_sizes((start, stop)) else max(start, stop)


def _indices(dimensions: Any, dtype: Any = int, sparse: Any = False) -> object:
    """`numpy.indices`, also of a grid of sizes."""
    import numpy as np

    kind, sizes = _dtype((), {"dtype": dtype}), [*dimensions]
    if kind is None or sparse is not False or not sizes or not hold_sizes(sizes):
        return np.indices(dimensions, dtype, sparse)
    return _grid(
        kind, lambda: np.indices([*map(_at_point, sizes)], kind), [(0, n, 1) for n in sizes]
    )


class _Grid:
    """`numpy.mgrid`, also of slices up to sizes."""

    def __getitem__(self, key: Any) -> object:
        import numpy as np

        slices = key if isinstance(key, tuple) else (key,)
        rows = [(s.start or 0, s.stop, s.step or 1) for s in slices if isinstance(s, slice)]
        numbers = [n for row in rows for n in row]
        plain = len(rows) == len(slices) and all(type(n) in (int, Dim) for n in numbers)
        if (
            not plain
            or not hold_sizes(numbers)
            or not all(type(s) is int and s > 0 for *_, s in rows)
        ):
            return np.mgrid[key]

        def made() -> object:
            return np.mgrid[tuple(slice(*map(_at_point, row)) for row in rows)]

        grid = _grid(int, made, rows)
        return grid if isinstance(key, tuple) else grid[0]


def _where(condition: Any, *sides: Any) -> object:
    """`numpy.where`, also of a comparison of sizes, and of sizes on both sides of it."""
    import numpy as np

    if type(condition) is bool and len(sides) == 2 and hold_sizes(sides):
        chosen = sides[0 if condition else 1]
        if all(type(side) in (int, Dim) for side in sides):
            return chosen
    return np.where(condition, *sides)


#: Functions of numpy that make arrays of sizes, by their names. The others ask the arrays.
ARRAYS = {f.__name__: _created(f) for f in (torch.ones, torch.zeros, torch.full, torch.empty)}
ARRAYS |= {f.__name__.strip("_"): f for f in (_arange, _linspace, _eye, _indices, _where)}
ARRAYS["mgrid"] = _Grid()
