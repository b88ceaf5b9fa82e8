"""Floats of sizes that are no quotients: roots, powers, logarithms.

The law: *what only the values of tensors hold decides no shape.* ``x * h**-0.5`` has the shape of x
for every h, so such a float stays open until python asks for the number: where it is rounded,
compared, printed, or given to what takes plain numbers. Only that fixes the sizes.

An error that python raises on the way (the root of a negative number, a division by zero) is
python's to raise: what may raise one is a number at once. So a function is left open where its
argument is positive, and a quotient where its divisor is.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping
from functools import partialmethod
from typing import Any, Self

import torch
from torch.utils._python_dispatch import _disable_current_modes

from symcnn.frontends.torch.quotients import ARITHMETIC, RELATIONS, computed, occurrences
from symcnn.frontends.torch.stairs import Stair
from symcnn.frontends.torch.texts import Text, written
from symcnn.lazy import sympy

#: What python computes of a positive number without an error, and whether it is positive itself.
#: The names are those of `math`; numpy asks an object for a method of its own name.
FUNCTIONS: Mapping[str, bool] = {
    "sqrt": True,
    "cbrt": True,
    "atan": True,
    "tanh": True,
    "erf": True,
    "log1p": True,
    "log": False,
    "log2": False,
    "log10": False,
    "sin": False,
    "cos": False,
    "exp": False,  # of what is not positive: no overflow, but 0 far below
}

_PLAIN = frozenset({int, float})

#: Of these what grows does not grow.
_WAVES = frozenset({math.sin, math.cos})

#: A power of a size up to it is a float.
HIGHEST = 4


class Number:
    """A number of sizes: an operator of python is a step, a comparison has its relation."""

    def _step(self, sign: str, other: Any, *, reflected: bool = False) -> Any:
        raise NotImplementedError

    def _compare(self, other: Any, relation: str) -> Any:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._step("+", other)

    def __mul__(self, other: Any) -> Any:
        return self._step("*", other)

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other: Any) -> Any:
        return self._step("-", other)

    def __rsub__(self, other: Any) -> Any:
        return self._step("-", other, reflected=True)

    def __truediv__(self, other: Any) -> Any:
        return self._step("/", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._step("/", other, reflected=True)

    def __eq__(self, other: Any) -> Any:
        return self._compare(other, "==")

    def __ne__(self, other: Any) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, ">=")

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, ">")

    def __le__(self, other: Any) -> Any:
        return self._compare(other, "<=")

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, "<")

    __hash__ = object.__hash__  # each kind has its own

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pos__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    @property
    def node(self) -> Self:  # what torch's C++ side asks; it only ever reaches the example value
        return self

    def is_symbolic(self) -> bool:
        return True


class Float(Number, torch.SymFloat):
    """A float of sizes: to python a float, to torch and its libraries a symbolic one."""

    def __init__(self) -> None:
        """Without the node that torch gives its own."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return float

    def is_int(self) -> bool:
        return False

    def is_float(self) -> bool:
        return True

    real, imag = property(lambda self: self), property(lambda self: 0.0)

    def __format__(self, spec: str) -> str:
        return written(sys._getframe(1), Text([(self, spec)]))

    def __str__(self) -> str:
        return written(sys._getframe(1), Text([(self, "")]))

    __repr__ = __str__

    def __sym_float__(self) -> Any:
        return self

    def __sym_int__(self) -> Any:
        return math.trunc(self)


class Irrational(Float):
    """A float that is computed once python asks for it.

    compute: gives the number, or a size that it is; asks the trace for the sizes.
    of_symbols: gives the formula.
    positive: whether it is positive for all sizes of the run.
    stair: what it is of a single size, if it only grows or only falls with that.
    """

    def __init__(
        self,
        compute: Callable[[], Any],
        of_symbols: Callable[[], Any],
        *,
        positive: bool,
        stair: Stair | None = None,
    ) -> None:
        self._compute, self.of_symbols, self.positive = compute, of_symbols, positive
        self.stair = stair
        self._values: list[Any] = []

    @property
    def _value(self) -> Any:
        """The number, which fixes the sizes; a size where it is the root of its square."""
        if not self._values:
            self._values.append(self._compute())
        return self._values[0]

    def number(self) -> float:
        """What it is, to python."""
        return float(self._value)

    __float__ = number

    def _step(self, sign: str, other: Any, *, reflected: bool = False) -> Any:
        if isinstance(other, torch.Tensor) or not isinstance(other, (int, float)):
            return NotImplemented
        step = ARITHMETIC[sign]
        a, b = (other, self) if reflected else (self, other)
        if sign == "/" and not _is_positive(b):
            return step(_value(a), _value(b))
        positive = sign != "-" and _is_positive(a) and _is_positive(b)
        stair = self.stair if type(other) in _PLAIN else None
        return Irrational(
            lambda: step(_value(a), _value(b)),
            lambda: step(_symbols(a), _symbols(b)),
            positive=positive,
            stair=stair and stair.then(lambda f: step(other, f) if reflected else step(f, other)),
        )

    def _compare(self, other: Any, relation: str) -> Any:
        """On which side of a number a stair is, is a step."""
        if isinstance(other, torch.Tensor):
            return NotImplemented
        if type(other) not in _PLAIN:
            return RELATIONS[relation](self._value, _value(other))
        if relation == "==":
            return self >= other and self <= other
        return self._made(lambda f: RELATIONS[relation](f, other))

    def __neg__(self) -> Any:
        return self * -1

    def __abs__(self) -> Any:
        return self if self.positive else abs(self._value)

    def __hash__(self) -> int:
        return hash(self.number())

    def __bool__(self) -> bool:
        return self.positive or bool(self._value)

    def _made(self, operation: Callable[[Any], Any]) -> Any:
        """What rounding makes of it, or a comparison: a step of the stair that it is."""
        if not self._values and self.stair is not None:
            step = self.stair.then(operation).value()
            if step is not None:
                return step
        return operation(self._value)

    def is_integer(self) -> bool:
        """Whether it is whole, as float.is_integer."""
        return bool(self == math.floor(self))

    def __mod__(self, other: Any) -> Any:
        if type(other) in _PLAIN and other == 1:
            return self - math.floor(self)
        return NotImplemented if isinstance(other, torch.Tensor) else self._value % _value(other)

    def __int__(self) -> int:
        return int(self._made(math.trunc))

    def __round__(self, ndigits: Any = None) -> Any:
        return self._made(round) if ndigits is None else round(self.number(), ndigits)

    def formula(self) -> str:
        """What it is, to people."""
        return str(self.of_symbols())

    def __reduce__(self) -> Any:
        return float, (self.number(),)


def _stair(number: Any) -> Stair | None:
    """What is computed of a single size that is met once; None of any other."""
    if type(number) is Irrational:
        return number.stair
    recipe = getattr(number, "recipe", None) or number.expr
    met = occurrences(recipe)
    if len(met) != 1:
        return None
    return Stair(met[0], lambda n: computed(recipe, lambda _: n), number.tracer)


def _value(number: Any) -> Any:
    return number._value if type(number) is Irrational else number


def _symbols(number: Any) -> Any:
    return number.of_symbols() if hasattr(type(number), "of_symbols") else number


def _is_positive(number: Any) -> bool:
    return number.positive if type(number) is Irrational else bool(number > 0)


def _open(
    number: Any, function: Callable[[float], float], symbolic: Callable[[Any], Any], positive: bool
) -> Irrational:
    """A function of what is positive; a root may be a size."""

    def compute() -> object:
        value = _value(number)
        value = value.__sym_float__() if hasattr(value, "__sym_float__") else value
        root = value.root() if function is math.sqrt and hasattr(value, "root") else None
        return function(float(value)) if root is None else root

    stair = None if function in _WAVES else _stair(number)
    return Irrational(
        compute,
        lambda: symbolic(_symbols(number)),
        positive=positive,
        stair=stair and stair.then(lambda x: function(float(x))),
    )


def called(name: str, number: object, *rest: object) -> object:
    """A function of `math` of a size or a float of sizes: ``math.log(h)``, ``math.log(h, 2)``."""
    function = getattr(math, name)
    of: Any = number
    plain: Any = rest
    inside = of <= 0 if name == "exp" else _is_positive(number)
    if not inside or not all(type(r) in _PLAIN and r > 1 for r in plain):
        return function(*map(float, (of, *rest)))

    def _symbolic(x: Any) -> Any:
        return (getattr(sympy, name, None) or sympy.Function(name))(x, *rest)

    whole = (lambda x: function(x, *rest)) if rest else function
    return _open(number, whole, _symbolic, FUNCTIONS[name] and not rest)


def in_tensor(name: str, given: torch.Tensor, number: object) -> object:
    """A function of torch of a tensor that holds a size, in the floats of the tensor."""
    if not _is_positive(number):
        return None
    function, dtype = getattr(torch, name), given.dtype

    def compute(x: float) -> float:
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            return float(function(torch.tensor(x, dtype=dtype)))

    return _open(number, compute, lambda x: sympy.Function(name)(x), False)


def power(number: object, exponent: object) -> object:
    """A power of a size or of a float of sizes."""
    of: Any = number
    to: Any = exponent
    if type(to) not in _PLAIN or abs(to) > HIGHEST or not _is_positive(number):
        return float(of) ** float(to)
    function = math.sqrt if to == 0.5 else lambda x: x**to
    return _open(number, function, lambda x: x**to, True)


def _at_the_number(operation: Callable[..., Any], *, reflected: bool = False) -> Any:
    def call(self: Irrational, *other: object) -> object:
        if any(isinstance(o, torch.Tensor) for o in other):
            return NotImplemented
        values = (self._value, *map(_value, other))
        return operation(*(values[::-1] if reflected else values))

    return call


for _operation in (operator.floordiv, operator.mod, operator.pow, divmod):
    _name = _operation.__name__
    if _operation is not operator.mod:
        setattr(Irrational, f"__{_name}__", _at_the_number(_operation))
    setattr(Irrational, f"__r{_name}__", _at_the_number(_operation, reflected=True))
for _function in (math.floor, math.ceil, math.trunc):
    setattr(Irrational, f"__{_function.__name__}__", partialmethod(Irrational._made, _function))


#: Where numpy's name is another one.
_OF_NUMPY = {"atan": "arctan"}


def as_methods(*kinds: type) -> None:
    """The functions as methods, which numpy asks an object for; what its numbers have beside."""
    for kind in kinds:
        for name in FUNCTIONS:
            setattr(kind, _OF_NUMPY.get(name, name), partialmethod(_call, name))
        for name, method in (("astype", _astype), ("item", _item)):
            setattr(kind, name, method)


def of_numpy(number: object) -> object:
    """What numpy makes of sizes: where that is a number, one of numpy's."""
    import numpy as np

    if type(number) is float:
        return np.float64(number)
    return np.int64(number) if type(number) is int else number


def _astype(number: Any, dtype: Any, **_: Any) -> Any:
    import numpy as np

    return of_numpy(math.trunc(number)) if np.dtype(dtype).kind in "iu" else number


def _item(number: Any) -> Any:
    return number


def _call(number: Any, name: str) -> Any:
    if name == "exp" or _is_positive(number):
        return called(name, number)
    import numpy as np

    return getattr(np, _OF_NUMPY.get(name, name))(float(number))
