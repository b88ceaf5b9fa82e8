"""Functions of `math` and numpy, and old classes of torch, that models call with sizes, and that
take plain numbers only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from symcnn.algebra.divisors import divisors
from symcnn.frontends.torch.arguments import hold_traced
from symcnn.frontends.torch.arrays import Array, tensor_of
from symcnn.frontends.torch.created import ARRAYS
from symcnn.frontends.torch.irrational import FUNCTIONS, called, of_numpy
from symcnn.frontends.torch.ranges import OF_NUMPY, counted
from symcnn.frontends.torch.repeated import Repeated
from symcnn.frontends.torch.shape import Sizes
from symcnn.frontends.torch.sizes import SIZES, Dim
from symcnn.frontends.torch.stairs import of_whole
from symcnn.frontends.torch.values import of_objects


def _of_math(name: str) -> Callable[..., Any]:
    function = getattr(math, name)

    def call(*args: object) -> object:
        if not args or type(args[0]) not in SIZES:
            return function(*args)
        number: Any = args[0]
        return number.__sym_float__() ** args[1] if name == "pow" else called(name, *args)

    return call


def _isqrt(*args: Any) -> Any:
    """`math.isqrt`: the root of a square is a size."""
    if len(args) != 1 or type(args[0]) is not Dim:
        return math.isqrt(*args)
    root = args[0].__sym_float__().root()
    return of_whole(math.isqrt)(args[0]) if root is None else math.trunc(root)


def _of_sizes(function: Callable[..., Any], law: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: object) -> object:
        return law(*args) if any(type(a) in SIZES for a in args) else function(*args)

    return call


def _signed(number: Any, by: Any) -> Any:
    """`math.copysign`: a float as large, on the side of 0 on which `by` is."""
    size = abs(number) * 1.0
    return size if by >= 0 else -size


def _by_divisors(of_divisor: Callable[[int, int], int]) -> Callable[[object, int], object]:
    """A function of the greatest common divisor of a size and a number, by what divides the size:
    ``n//d - (n - 1)//d`` is 1 where d does, and 0 elsewhere.
    """

    def call(of: object, number: int) -> object:
        size: Any = of
        total: Any = 0
        shares: dict[int, int] = {}
        for d in divisors(number):
            shares[d] = of_divisor(d, number) - sum(s for e, s in shares.items() if d % e == 0)
            total = total + shares[d] * (size // d - (size - 1) // d)
        return total

    return call


_gcd = _by_divisors(lambda divisor, number: divisor)
_other_part = _by_divisors(lambda divisor, number: number // divisor)


def _of_one_size(
    join: Callable[..., int], law: Callable[[Any, int], object]
) -> Callable[..., object]:
    """`math.gcd` or `math.lcm`, also of a size and numbers."""

    def call(*args: object) -> object:
        sizes = [a for a in args if type(a) is Dim]
        numbers = [a for a in args if type(a) is not Dim]
        plain = len(sizes) == 1 and numbers and all(type(n) is int for n in numbers)
        number = abs(join(*numbers)) if plain else 0
        if not 0 < number <= _LARGEST:
            return join(*args)
        return law(sizes[0], number)

    return call


#: So large are numbers of which divisors are looked for.
_LARGEST = 1 << 12


class Functions(SimpleNamespace):
    """What stands among the constants of code, which are hashed with it."""

    __hash__ = object.__hash__


_GCD = {
    "gcd": _of_one_size(math.gcd, _gcd),
    "lcm": _of_one_size(math.lcm, lambda size, number: abs(size) * _other_part(size, number)),
}

#: Functions of `math` by their names, and by themselves.
_MATH = Functions(
    **{name: _of_math(name) for name in (*FUNCTIONS, "pow")},
    isqrt=_isqrt,
    isfinite=_of_sizes(math.isfinite, lambda size: True),
    isinf=_of_sizes(math.isinf, lambda size: False),
    isnan=_of_sizes(math.isnan, lambda size: False),
    fabs=_of_sizes(math.fabs, lambda size: abs(size) * 1.0),
    copysign=_of_sizes(math.copysign, _signed),
    **_GCD,
)
MATHS = {getattr(math, name): function for name, function in vars(_MATH).items()}


def _of_numpy(name: str, function: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> object:
        if len(args) == 1 and not kwargs and type(args[0]) in SIZES:
            found = function(args[0])
            return of_numpy(float(found) if type(found) is int else found)
        import numpy as np

        return getattr(np, name)(*args, **kwargs)

    return call


def _number_of_numpy(name: str) -> Callable[..., object]:
    """A class of numbers of numpy: a size is one, and stays."""

    def call(*args: object, **kwargs: object) -> object:
        import numpy as np

        if len(args) == 1 and not kwargs and type(args[0]) in SIZES:
            size: Any = args[0]
            return math.trunc(size) if name == "int64" else size.__sym_float__()
        return getattr(np, name)(*args, **kwargs)

    return call


def _divisor_of_numpy(name: str) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        import numpy as np

        if kwargs or Dim not in map(type, args):
            return getattr(np, name)(*args, **kwargs)
        return of_numpy(_GCD[name](*args))

    return call


#: Roundings of numpy, which gives floats: of sizes what `math` gives; and what makes its arrays.
_NUMPY = Functions(
    **{name: _number_of_numpy(name) for name in ("int64", "float64")},
    **{name: _divisor_of_numpy(name) for name in _GCD},
    **{name: _of_numpy(name, getattr(math, name)) for name in ("ceil", "floor", "trunc")},
    rint=_of_numpy("rint", round),
    **ARRAYS,
    **OF_NUMPY,
)


def _lists_sizes(value: object) -> bool:
    return isinstance(value, (list, tuple)) and hold_traced(value)


def _legacy(kind: Any) -> Callable[..., Any]:
    """``torch.FloatTensor``: of a list in which sizes stand, what `torch.tensor` makes of it."""

    def call(*args: object, **kwargs: object) -> object:
        given = args[0] if len(args) == 1 else None
        first = tensor_of(counted(given))
        if isinstance(first, Sizes):
            return kind(*first, **kwargs)
        found = of_objects(first)
        if found is not None:
            first = found[0]
        elif first is given and type(first) is not Repeated and not _lists_sizes(first):
            return kind(*args, **kwargs)
        default = torch.get_default_dtype()
        return torch.tensor(first, dtype=default if kind is torch.Tensor else kind.dtype)

    return call


def _from_numpy(array: object) -> torch.Tensor:
    """`torch.from_numpy`, also of an array in which sizes stand, or that has them for a shape."""
    if type(array) is Array:
        return array.tensor
    found = of_objects(array)
    return torch.from_numpy(array) if found is None else torch.tensor(found[0], dtype=found[1])


#: The old classes of tensors by their names, and by themselves.
_TORCH = Functions(
    Tensor=_legacy(torch.Tensor),
    from_numpy=_from_numpy,
    **{k: _legacy(v) for k, v in vars(torch).items() if type(v) is type(torch.FloatTensor)},
)
LEGACY = {getattr(torch, name): function for name, function in vars(_TORCH).items()}


def functions_of(module: object) -> Functions | None:
    """The functions of a module that are called in place of its own."""
    if module is sys.modules.get("numpy"):
        return _NUMPY
    return _MATH if module is math else _TORCH if module is torch else None
