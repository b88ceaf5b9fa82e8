"""Functions of `math` and numpy that models call with sizes, which take plain numbers only."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from symcnn.frontends.torch.irrational import FUNCTIONS, called, of_numpy
from symcnn.frontends.torch.sizes import SIZES, Dim
from symcnn.frontends.torch.stairs import of_whole


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


class Functions(SimpleNamespace):
    """What stands among the constants of code, which are hashed with it."""

    __hash__ = object.__hash__


#: Functions of `math` by their names, and by themselves.
_MATH = Functions(**{name: _of_math(name) for name in (*FUNCTIONS, "pow")}, isqrt=_isqrt)
MATHS = {getattr(math, name): function for name, function in vars(_MATH).items()}


def _of_numpy(name: str, function: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(*args: object, **kwargs: object) -> object:
        if len(args) == 1 and not kwargs and type(args[0]) in SIZES:
            found = function(args[0])
            return of_numpy(float(found) if type(found) is int else found)
        import numpy as np

        return getattr(np, name)(*args, **kwargs)

    return call


#: Roundings of numpy, which gives floats; of sizes it gives what `math` gives.
_NUMPY = Functions(
    **{name: _of_numpy(name, getattr(math, name)) for name in ("ceil", "floor", "trunc")},
    rint=_of_numpy("rint", round),
)


def functions_of(module: object) -> Functions | None:
    """The functions of a module that are called in place of its own."""
    return _MATH if module is math else _NUMPY if module is sys.modules.get("numpy") else None
