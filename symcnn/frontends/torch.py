"""The torch front end: runs a module's own forward on tensors that have a shape and no values.

Python executes the forward; every torch function called on a `TracedTensor` arrives at
`_Tracer.dispatch`, which looks up its rule by name in `symcnn.ops`. Sizes read from a traced
tensor are `Dim`s: torch.SymInt to torch and its libraries, kernel expressions to us. There is no
graph capture, and nothing of torch is changed but ``Module.__call__``, for the time of the trace,
to learn which module is running.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from operator import is_
from os.path import dirname
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

import symcnn.ops  # fills OPS
from symcnn.axis import IDENTITY
from symcnn.conditions import AnyOf, Condition, Requirement, settled
from symcnn.errors import BadSpec, DataDependent, SymcnnError, UnsupportedOperation
from symcnn.frontends.branches import Asked, Choice, Differs, Same, Step, without_idle_guards
from symcnn.frontends.lazy import call_lazy, is_lazy, lazy_parameters
from symcnn.frontends.scalars import FLOAT_LIMIT, TAKES_NUMBERS, scalar
from symcnn.graph import (
    OPS,
    Constant,
    Guard,
    Parameter,
    Result,
    SymbolicTensor,
    Tape,
    known,
    record,
    tensor,
    tree_map,
    uncollected,
)
from symcnn.network import Network
from symcnn.ops.registry import TARGETS, Operation, kernel, same_axes
from symcnn.size import Int, Size, ceildiv, evaluate, floordiv, mod, prod, symbols_of

__all__ = ["Dim", "TracedTensor", "trace"]

_OWN_FILES = (dirname(__file__), symcnn.ops.__path__[0], torch.__path__[0])


# Sizes ---------------------------------------------------------------------------------------


class Dim(torch.SymInt):
    """A symbolic size as user code sees it: arithmetic like an int's, exact.

    Comparisons are decided if the domain so far decides them; otherwise they are taken as at the
    example sizes and recorded as guards. So is whatever needs a plain int (``range(h)``).
    """

    def __init__(self, expr: Size, tracer: _Tracer) -> None:
        self.expr = expr
        self.tracer = tracer

    @property
    def node(self) -> Any:  # what torch's C++ side asks; it only ever reaches the example value
        return self

    def is_int(self) -> bool:
        return True

    def is_symbolic(self) -> bool:
        return True

    def is_nested_int(self) -> bool:
        return False

    def _with(self, expr: Int) -> Any:
        return expr if isinstance(expr, int) else Dim(expr, self.tracer)

    def _binary(self, other: Any, operation: Callable[[Int, Int], Int]) -> Any:
        if isinstance(other, Dim):
            return self._with(operation(self.expr, other.expr))
        if isinstance(other, int):
            return self._with(operation(self.expr, int(other)))
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        if isinstance(other, float):
            return Real(self.expr, self.tracer) + other
        return self._binary(other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, float):
            return Real(self.expr, self.tracer) - other
        return self._binary(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        if isinstance(other, float):
            return other - Real(self.expr, self.tracer)
        return self._binary(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, float):
            return Real(self.expr, self.tracer) * other
        return self._binary(other, lambda a, b: a * b)

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(other, floordiv)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: floordiv(b, a))

    def __mod__(self, other: Any) -> Any:
        return self._binary(other, mod)

    def __rmod__(self, other: Any) -> Any:
        return self._binary(other, lambda a, b: mod(b, a))

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __neg__(self) -> Any:
        return self._with(-self.expr)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __truediv__(self, other: Any) -> Any:
        return Real(self.expr, self.tracer).__truediv__(other)

    def __rtruediv__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr, self.tracer).__rtruediv__(other)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and other >= 0:
            return self._with(self.expr**other)
        return float(self) ** other

    def __ceil__(self) -> Any:
        return self

    __floor__ = __trunc__ = __ceil__

    def __round__(self, ndigits: Any = None) -> Any:
        return self

    def _compare(self, other: Any, make: Callable[[Int, Int], Condition]) -> Any:
        if isinstance(other, Dim):
            return self.tracer.decide(make(self.expr, other.expr))
        if isinstance(other, int):
            return self.tracer.decide(make(self.expr, int(other)))
        return NotImplemented

    def __eq__(self, other: Any) -> Any:
        return self._compare(other, lambda a, b: Condition(a, "==", b))

    def __ne__(self, other: Any) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __ge__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) >= other
        return self._compare(other, lambda a, b: Condition(a, ">=", b))

    def __gt__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) > other
        return self._compare(other, lambda a, b: Condition(a, ">=", b + 1))

    def __le__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) <= other
        return self._compare(other, lambda a, b: Condition(b, ">=", a))

    def __lt__(self, other: Any) -> Any:
        if isinstance(other, float):
            return float(self) < other
        return self._compare(other, lambda a, b: Condition(b, ">=", a + 1))

    def __hash__(self) -> int:
        return hash(self.expr)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __int__(self) -> int:
        return int(self.tracer.fix(self.expr))

    __index__ = int_ = __int__

    def __float__(self) -> float:
        return float(self.tracer.fix(self.expr))

    def __str__(self) -> str:
        return str(self.expr)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> Any:
        return Dim, (self.expr, self.tracer)

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class Real(torch.SymFloat):
    """A quotient of sizes on its way to ``math.ceil`` or ``math.floor``: exact, never a float."""

    def __init__(self, expr: Any, tracer: _Tracer) -> None:
        self.expr = expr  # a Size with Fraction coefficients, an int or a Fraction
        self.tracer = tracer

    @property
    def node(self) -> Any:
        return self

    def is_symbolic(self) -> bool:
        return True

    def is_int(self) -> bool:
        return False

    def is_float(self) -> bool:
        return True

    def _operand(self, other: Any) -> Any:
        if isinstance(other, (Real, Dim)):
            return other.expr
        return Fraction(other) if isinstance(other, float) else int(other)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr * self._operand(other), self.tracer)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr + self._operand(other), self.tracer)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        return Real(self.expr - self._operand(other), self.tracer)

    def __rsub__(self, other: Any) -> Any:
        return Real(self._operand(other) - self.expr, self.tracer)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, torch.Tensor):
            return NotImplemented
        den = self._operand(other)
        if isinstance(den, Size):
            from symcnn.size import exact_or_fail

            try:
                return Real(self.expr * exact_or_fail(1, den), self.tracer)
            except ValueError:
                return float(self) / float(other)
        return Real(self.expr * (1 / Fraction(den)), self.tracer)

    def __rtruediv__(self, other: Any) -> Any:
        return Real(self._operand(other), self.tracer) / self

    def __neg__(self) -> Any:
        return Real(-self.expr, self.tracer)

    def __floor__(self) -> Any:
        return self._whole(
            floordiv(self.expr, 1) if isinstance(self.expr, Size) else self.expr // 1
        )

    def __ceil__(self) -> Any:
        return self._whole(
            ceildiv(self.expr, 1) if isinstance(self.expr, Size) else -(-self.expr // 1)
        )

    def _whole(self, expr: Any) -> Any:
        return Dim(expr, self.tracer) if isinstance(expr, Size) else int(expr)

    def __float__(self) -> float:
        return float(self.tracer.fix(self.expr))

    def __trunc__(self) -> Any:
        return self.__floor__() if self >= 0 else self.__ceil__()

    def __int__(self) -> int:
        return int(self.__trunc__())

    def __round__(self, ndigits: Any = None) -> Any:
        return round(float(self), ndigits)

    def __pow__(self, power: Any) -> Any:
        return float(self) ** power

    def _gap(self, other: Any) -> Int:
        """``self - other`` times whatever makes it an integer expression."""
        gap = self.expr - self._operand(other)
        if not isinstance(gap, Size):
            return int(gap > 0) - int(gap < 0)
        below = {
            atom: max(-p for mono in gap.terms for a, p in mono if a == atom)
            for atom in {a for mono in gap.terms for a, p in mono if p < 0}
        }
        if all((atom.low or 0) > 0 for atom in below):  # a size: the sign stays
            gap = gap * prod(atom.size() ** power for atom, power in below.items())
        if not isinstance(gap, Size):
            return int(gap > 0) - int(gap < 0)
        scale = prod(Fraction(c).denominator for c in gap.terms.values())
        return gap * scale

    def __ge__(self, other: Any) -> bool:
        return self.tracer.decide(Condition(self._gap(other), ">=", 0))

    def __gt__(self, other: Any) -> bool:
        return self.tracer.decide(Condition(self._gap(other), ">=", 1))

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __lt__(self, other: Any) -> bool:
        return not self >= other

    def __eq__(self, other: object) -> bool:
        return self.tracer.decide(Condition(self._gap(other), "==", 0))

    __hash__ = None

    def is_integer(self) -> bool:
        """Whether the quotient is whole, as float.is_integer."""
        whole = self.__floor__()
        return bool(self == whole)

    def __repr__(self) -> str:
        return str(self.expr)


class Sizes(tuple[Any, ...]):
    """The shape of a traced tensor: a tuple of ints and `Dim`s, with torch.Size's methods."""

    __slots__ = ()

    def numel(self) -> Any:
        """The number of elements."""
        total: Any = 1
        for size in self:
            total = total * size
        return total

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Sizes(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        return Sizes((*self, *other))


# Tensors -------------------------------------------------------------------------------------

_EMPTY = torch.empty((), device="meta")


class TracedTensor(torch.Tensor):
    """A symbolic tensor inside a torch forward: a tensor to torch, but without values.

    It is a real (empty) tensor underneath, so that C++ code that looks at it finds one.
    """

    _value: SymbolicTensor
    _tracer: _Tracer
    _base: TracedTensor | None = None  # what it is a view of
    _number: Any = None  # the value of a 0-d tensor that was made from sizes

    @staticmethod
    def of(value: SymbolicTensor, tracer: _Tracer) -> TracedTensor:
        """The tensor that stands for `value` in this trace."""
        traced: TracedTensor = torch.Tensor._make_subclass(TracedTensor, _EMPTY)
        traced._value, traced._tracer = value, tracer
        return traced

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tracer = _tracer_of((args, kwargs))
        assert tracer is not None
        return tracer.dispatch(func, args, kwargs or {})

    @property
    def shape(self) -> Sizes:
        """The shape, as `Sizes`."""
        tracer = self._tracer
        return Sizes(d if isinstance(d, int) else Dim(d, tracer) for d in self._value.dims)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size of it."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return len(self._value.dims)

    ndimension = dim

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._value.dims)

    def numel(self) -> Any:
        """The number of elements."""
        return self.shape.numel()

    nelement = numel

    def __len__(self) -> int:
        if not self._value.dims:
            raise TypeError("len() of a 0-d tensor")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self._tracer.method("getitem", self, i) for i in range(len(self)))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the module's parameters."""
        return self._tracer.dtype

    @property
    def device(self) -> torch.device:
        """The device of the module's parameters."""
        return self._tracer.device

    is_sparse = is_quantized = is_nested = is_complex_ = False
    is_cuda = is_mps = is_xpu = is_mkldnn = False
    is_leaf = True
    grad = grad_fn = names = None
    layout = torch.strided

    @property
    def requires_grad(self) -> bool:
        """Whether the forward asked for a gradient of this very tensor."""
        return self._value.trainable

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._value.trainable = bool(wanted)

    @property
    def is_meta(self) -> bool:
        """Whether the module lives on the meta device."""
        return self._tracer.device.type == "meta"

    @property
    def data(self) -> TracedTensor:
        """The tensor itself: it has no values."""
        return self

    @property
    def T(self) -> Any:  # noqa: N802
        """The axes in reverse order."""
        return self.permute(*range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> Any:  # noqa: N802
        """The last two axes exchanged."""
        return self.transpose(-2, -1)

    def is_floating_point(self) -> bool:
        """Whether the values are floats."""
        return self.dtype.is_floating_point

    def is_contiguous(self, *args: Any, **kwargs: Any) -> bool:
        """True: layout is not tracked."""
        return True

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self.dtype.itemsize)

    def item(self) -> Any:
        """The value, where it was made from sizes."""
        return self._values() if self._number is None else self._number

    def __bool__(self) -> bool:
        return bool(self.item() != 0)

    def __int__(self) -> int:
        return int(self.item())

    __index__ = __int__

    def __float__(self) -> float:
        return float(self.item())

    def _values(self, *_: Any) -> Any:
        path = self._tracer.place()
        raise DataDependent(
            f"{path}: python asks for the values of a tensor, at {_caller()}",
            cure="symcnn knows shapes only; make the branch depend on sizes or hyperparameters",
        )

    tolist = numpy = _values

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"TracedTensor({', '.join(map(str, self._value.dims))})"


class Nothing(TracedTensor):
    """A slice that has no element whatever the sizes, such as ``x[:, :0]``.

    Sizes are positive here, so it is no symbolic tensor. Concatenated with something it leaves that
    something; for all else there is no rule.
    """

    @property
    def _value(self) -> Any:
        raise UnsupportedOperation(
            f"{self._tracer.place()}: a slice without elements, at {_caller()}",
            cure="it can only be concatenated with something",
        )

    @staticmethod
    def made(name: str, args: Any) -> bool:
        """Whether an operation is to make one."""
        if name != "getitem" or len(args) != 2:
            return False
        items = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(isinstance(i, slice) and type(i.stop) is int and i.stop == 0 for i in items)


def _something(values: Any) -> Any:
    """What is to be concatenated, but for nothings, if anything is left."""
    if isinstance(values, (tuple, list)):
        return [v for v in values if type(v) is not Nothing] or values
    return values


#: Python's operators by the rule that serves them.
_OPERATORS = {
    "add": "add radd iadd",
    "sub": "sub rsub isub",
    "mul": "mul rmul imul",
    "div": "truediv rtruediv itruediv",
    "floor_divide": "floordiv rfloordiv",
    "remainder": "mod rmod",
    "pow": "pow rpow ipow",
    "matmul": "matmul rmatmul",
    "eq": "eq",
    "ne": "ne",
    "lt": "lt",
    "le": "le",
    "gt": "gt",
    "ge": "ge",
    "logical_and": "and rand",
    "logical_or": "or ror",
    "logical_xor": "xor",
    "neg": "neg",
    "abs": "abs",
    "logical_not": "invert",
    "getitem": "getitem",
}


def _operator(name: str, word: str) -> Callable[..., Any]:
    def call(self: TracedTensor, *args: Any) -> Any:
        return self._tracer.method(name, self, *args, inplace=_writes(f"__{word}__"))

    def reflected(self: TracedTensor, other: Any) -> Any:
        return self._tracer.method(name, other, self)

    return reflected if word in _REFLECTED else call


#: Operators whose left operand comes second.
_REFLECTED = frozenset("rsub rdiv rtruediv rfloordiv rmod rpow rmatmul".split())


for _op, _words in _OPERATORS.items():
    for _word in _words.split():
        setattr(TracedTensor, f"__{_word}__", _operator(_op, _word))


def _tracer_of(value: Any) -> _Tracer | None:
    """The tracer of the first traced tensor in nested arguments."""
    if type(value) is TracedTensor or type(value) is Nothing:
        return value._tracer
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, (tuple, list, dict)):
        return next((found for v in inner if (found := _tracer_of(v)) is not None), None)
    return None


#: Methods that write to the tensor they are called on, beside those whose name ends in "_".
_WRITERS = frozenset(
    ["__setitem__", "__set__"]
    + [
        f"__i{word}__"
        for word in "add sub mul div truediv floordiv mod pow and or xor lshift rshift".split()
    ]
)

#: Operations that take nothings.
_JOINS = frozenset({"cat", "concat", "concatenate"})

#: Operations whose result shares its memory with the first tensor.
_VIEWS = frozenset(
    "view reshape flatten unflatten squeeze unsqueeze permute transpose t adjoint numpy_T movedim"
    " getitem narrow select split chunk unbind expand expand_as diagonal view_as".split()
)


def _writes(name: str) -> bool:
    """Whether a function or method of that name writes to its first tensor."""
    return name in _WRITERS or (name.endswith("_") and not name.endswith("__"))


# The trace -----------------------------------------------------------------------------------

#: Arguments that rules take as they are.
_PLAIN = frozenset((int, str, float, bool, type(None)))

#: The operations that cost MACs, also on tensors that do not depend on the input.
_PRODUCTS = frozenset(
    "linear matmul mm bmm addmm baddbmm einsum conv1d conv2d conv3d scaled_dot_product_attention"
    " conv_transpose1d conv_transpose2d conv_transpose3d bilinear".split()
)

#: Example sizes where none are given; all others are 224.
_EXAMPLE = {"N": 2, "B": 2, "C": 3, "L": 16000}

#: How many branches that end in an exception are backed out of before giving up.
_ATTEMPTS = 32


class _Operation(NamedTuple):
    """How a function of torch is run."""

    rule: str
    reflected: bool = False  # its left operand comes second
    writes: bool = False  # to its first tensor


@lru_cache(maxsize=1)
def _operations(rules: int) -> dict[Any, _Operation]:
    """The functions and methods of torch, in-place variants too, and the rules that serve them.

    `rules` is how many there are, so that a rule registered later is seen.
    """
    found: dict[Any, str] = {}
    for name in OPS:
        for space in (torch.nn.functional, torch, torch.Tensor, torch.special):
            for variant in (name, f"{name}_"):
                function = getattr(space, variant, None)
                if callable(function):
                    found[function] = name
    for name in OPS:  # rules for a method whose name torch gives to a function too
        if name.startswith("Tensor."):
            found[getattr(torch.Tensor, name.removeprefix("Tensor."))] = name
    for name, words in _OPERATORS.items():
        if name in OPS:
            for word in words.split():
                function = getattr(torch.Tensor, f"__{word}__", None)
                if function is not None:
                    found.setdefault(function, name)
    return {function: _operation(function, name) for function, name in found.items()}


def _operation(function: Any, rule: str) -> _Operation:
    called: str = getattr(function, "__name__", str(function))
    return _Operation(rule, called.strip("_") in _REFLECTED, _writes(called))


class _Tracer(TorchFunctionMode):
    """One trace: turns torch calls into nodes, and python's questions about sizes into guards."""

    def __init__(
        self,
        module: torch.nn.Module,
        tape: Tape,
        example: Mapping[str, int],
        forced: Sequence[Choice] = (),
    ) -> None:
        super().__init__()
        self.same: Same | None = None
        self.tape = tape
        tape.fix = self.fix
        self.example = example
        self.forced = forced
        self.choices: list[Choice] = []
        self.steps: list[Step] = []  # all that the run asked so far
        self.script: list[Step] = []  # answers of an earlier run, the next one last
        self.operations = _operations(len(OPS))
        self.leaves: dict[int, SymbolicTensor] = {}
        self.lazy: dict[torch.nn.Module, dict[str, Parameter | None]] = {}
        self.real: list[torch.Tensor] = []  # keeps ids in `leaves` alive
        self.dtype, self.device = torch.get_default_dtype(), torch.device("cpu")
        self.parameters: list[Parameter] = []
        self.modules = list(module.named_modules())
        parameters, buffers = (
            list(_named(self.modules, kind)) for kind in ("_parameters", "_buffers")
        )
        for name, p in parameters:
            if not self.parameters:
                self.device = p.device
                if p.dtype.is_floating_point:
                    self.dtype = p.dtype
            if torch.nn.parameter.is_lazy(p):
                continue  # made when its module is called
            leaf = Parameter(tuple(p.shape), name, trainable=p.requires_grad, dtype=_dtype_name(p))
            self.parameters.append(leaf)
            self.leaves[id(p)] = leaf
        self.buffers = {id(b): b for _, b in buffers}
        for name, b in buffers:
            if not torch.nn.parameter.is_lazy(b):
                self.leaves[id(b)] = _constant(b, name, owned=True)
        self.buffer_leaves = [t for t in self.leaves.values() if isinstance(t, Constant)]
        self.weights = [p for _, p in parameters]
        self.grad = torch.is_grad_enabled()

    def again(self, forced: Sequence[Choice], same: Same) -> _Tracer:
        """A tracer for one more run, with some choice taken the other way.

        Up to there it answers what this one answered; module and inputs are the same.
        """
        pairs = enumerate(zip(self.choices, forced, strict=False))
        alike = next((i for i, (mine, theirs) in pairs if mine != theirs), len(forced))
        other = copy(self)
        other.tape, other.same, other.forced = same.now, same, forced
        same.now.fix = other.fix
        other.script = [s for s in self.steps if s.choices <= alike][::-1]
        other.choices, other.steps = [], []
        other.leaves, other.lazy = dict(self.leaves), dict(self.lazy)
        other.real, other.parameters = [*self.real], [*self.parameters]
        return other

    @cached_property
    def own(self) -> set[int]:
        """The storages of the module's parameters and buffers."""
        return {
            t.untyped_storage()._cdata
            for t in (*self.weights, *self.buffers.values())
            if not torch.nn.parameter.is_lazy(t)
        }

    # torch calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_traced(args) or (kwargs and _is_traced(kwargs.values())):
            return self.dispatch(func, args, kwargs)
        if args and self._writes_to_module(func, args[0]):
            return args[0]  # e.g. BatchNorm's num_batches_tracked: the module stays as it is
        result = func(*args, **kwargs)
        served = self.operations.get(func)
        if served is not None and (served.rule in _PRODUCTS or self._learned(args, kwargs)):
            self._record_real(served.rule, func, args, kwargs, result)
        return result

    def _learned(self, *values: Any) -> bool:
        """Whether a tensor in nested arguments is a parameter, or computed from parameters."""
        for value in values:
            if isinstance(value, torch.Tensor):
                leaf = self.leaves.get(id(value))
                if leaf is not None and (leaf.trainable or leaf.node is not None):
                    return True
            elif isinstance(value, dict):
                if self._learned(*value.values()):
                    return True
            elif isinstance(value, (tuple, list)) and self._learned(*value):
                return True
        return False

    def _record_real(self, name: str, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Work on tensors with values, done for every input: a position bias, a weight made anew.

        What has no rule here is computed all the same; its result is then a constant.
        """
        mark = len(self.tape.nodes)
        try:
            traced = self.dispatch(func, args, kwargs)
        except SymcnnError:
            if name in _PRODUCTS:
                raise
            return
        ours, theirs = _flat(traced), _flat(result)
        shapes = [tuple(t.shape) for t in theirs]
        if [t._value.dims for t in ours if type(t) is TracedTensor] != shapes:
            del self.tape.nodes[mark:]
            return
        for symbolic, real in zip(ours, theirs, strict=True):
            self.leaves[id(real)] = symbolic._value
            self.real.append(real)

    def _writes_to_module(self, func: Any, target: Any) -> bool:
        key = id(target)
        if key not in self.buffers and key not in self.leaves:
            return False
        return _writes(getattr(func, "__name__", ""))

    def dispatch(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the rule of a torch function."""
        if func in TARGETS:
            return self.apply(TARGETS[func], func.__name__, args, kwargs)
        served = self.operations.get(func)
        if served is not None:
            name, reflected, writes = served
            return self.run(name, args[::-1] if reflected else args, kwargs, inplace=writes)
        called: str = getattr(func, "__name__", str(func))
        if called == "_assert_async":  # of values; shapes do not depend on it
            return None
        if called == "__get__":  # a property that TracedTensor leaves to torch, such as `names`
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if called in vars(TracedTensor) and getattr(torch.Tensor, called, None) is func:
            return getattr(TracedTensor, called)(*args, **kwargs)
        if called in OPS:  # built-ins with full names of their own: linalg_vector_norm
            return self.run(called, args, kwargs)
        raise self.unsupported(called)

    def written(self, target: TracedTensor, result: Any) -> Any:
        """The tensor written to is what was written to it; and so is what it is a view of."""
        if type(result) is not TracedTensor or len(result._value.dims) != target.ndim:
            return result
        target._value, target._number = result._value, result._number
        part, base = target._value, target._base
        while base is not None:
            everything = tuple((None, IDENTITY) for _ in base._value.dims)
            changed = Result(
                (base._value.dims,), same_axes(base.ndim), others=((part, everything),)
            )
            base._value = record("setitem", (base._value, part), changed).outputs[0]
            part, base = base._value, base._base
        return target

    def method(self, name: str, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        """Run the rule of a tensor method."""
        if name not in OPS:
            plain = name.removesuffix("_")
            if plain not in OPS:
                raise self.unsupported(name)
            name, inplace = plain, True
        return self.run(name, args, kwargs, inplace=inplace)

    def run(self, name: str, args: Any, kwargs: Any, *, inplace: bool = False) -> Any:
        """Run the rule called `name`."""
        result = self.apply(OPS[name], name, args, kwargs, inplace=inplace)
        if args and type(args[0]) is TracedTensor:
            if inplace or kwargs.get("inplace") is True:
                return self.written(args[0], result)
            if name in _VIEWS:
                for part in result if isinstance(result, tuple) else (result,):
                    part._base = args[0]
        return result

    def run_module(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Run the rule of a module class in place of its forward."""
        reads = tuple(map(self.leaf, module.parameters()))
        kind = type(module)
        return self.apply(TARGETS[kind], kind.__name__, (module, *args), kwargs, reads=reads)

    def run_lazy(self, module: torch.nn.Module, x: Any) -> Any:
        """Run a lazy module with the parameters it would make, the same at every call."""
        if self.script:
            return self.wrap(self.replay("lazy"))
        mark, made = len(self.steps), self.lazy.get(module)
        if made is None:
            made = self.lazy[module] = lazy_parameters(module, self.unwrap(x), self.place())
            self.parameters += [p for p in made.values() if p is not None]
        result = call_lazy(module, self.unwrap(x), made)
        self.note(mark, "lazy", result)
        return self.wrap(result)

    # steps

    def note(self, mark: int, asked: Any, answer: Any) -> None:
        """The step that began when there were `mark` of them; those within it are part of it."""
        steps, tape = self.steps, self.tape
        if len(steps) > mark:
            del steps[mark:]
        steps.append(Step(asked, answer, len(tape.nodes), len(tape.guards), len(self.choices)))

    def replay(self, asked: Any, tensors: Iterable[Any] = ()) -> Any:
        """The answer of the earlier run; `tensors` are what it is asked about."""
        step, tape = self.script.pop(), self.tape
        if step.asked != asked:
            raise Differs
        assert self.same is not None
        before, nodes = self.same.before, len(tape.nodes)
        tape.nodes += before.nodes[nodes : step.nodes]
        tape.guards += before.guards[len(tape.guards) : step.guards]
        self.choices += self.forced[len(self.choices) : step.choices]
        if nodes < len(tape.nodes):
            self._adopt(_flat([*tensors]), tape.nodes[nodes].inputs)
        if isinstance(step.answer, SymcnnError):
            raise step.answer
        return step.answer

    def _adopt(self, tensors: Sequence[Any], known: Sequence[SymbolicTensor]) -> None:
        """Constants that the forward made anew are those that it made before."""
        if len(tensors) == len(known):
            for real, symbolic in zip(tensors, known, strict=True):
                if type(real) is not TracedTensor and id(real) not in self.leaves:
                    self.leaves[id(real)] = symbolic
                    self.real.append(real)

    def apply(
        self,
        operation: Any,
        name: str,
        args: Any,
        kwargs: Any,
        *,
        inplace: bool = False,
        reads: Sequence[SymbolicTensor] = (),
    ) -> Any:
        """Run a rule on unwrapped arguments; `reads` are tensors beside them."""
        if Nothing.made(name, args):
            nothing: Nothing = torch.Tensor._make_subclass(Nothing, _EMPTY)
            nothing._tracer = self
            return nothing
        if self.script:
            return self.traced(name, *self.replay(name, (*args, *kwargs.values())))
        mark = len(self.steps)
        try:
            answer = self._applied(operation, name, args, kwargs, inplace, reads)
        except SymcnnError as error:
            self.note(mark, name, error)
            raise
        self.note(mark, name, answer)
        return self.traced(name, *answer)

    def traced(self, name: str, made: Sequence[SymbolicTensor], single: bool, number: Any) -> Any:
        """What a rule answered, for the forward."""
        if single:
            traced = TracedTensor.of(made[0], self)
            if number is not None:
                mine = isinstance(number, (Dim, Real))
                traced._number = type(number)(number.expr, self) if mine else number
            return traced
        several = tuple(TracedTensor.of(r, self) for r in made)
        tupled = getattr(torch.return_types, name, None)  # max(dim=...) has .values and .indices
        return several if tupled is None else tupled(several)

    def _applied(
        self,
        operation: Any,
        name: str,
        args: Any,
        kwargs: Any,
        inplace: bool,
        reads: Sequence[SymbolicTensor],
    ) -> tuple[Sequence[SymbolicTensor], bool, Any]:
        """The outputs of a rule, whether it is one, and its number if it has one."""
        if name in _JOINS:
            args = (*map(_something, args[:1]), *args[1:])
            kwargs = {key: _something(value) for key, value in kwargs.items()}
        if name in TAKES_NUMBERS:
            args = (*args[:1], *tree_map(self.plain, list(args[1:])))
            kwargs = tree_map(self.plain, kwargs)
        ours = tuple([a if type(a) in _PLAIN else self.unwrap(a) for a in args])
        named = {k: self.unwrap(a) for k, a in kwargs.items() if k != "out"} if kwargs else kwargs
        try:
            if type(operation) is Operation:
                node = operation.node(ours, named, reads)
                result, single = node.outputs, node.result.single
            else:  # made of operations
                result = operation(*ours, **named)
                node, single = result[0].node, False
        except SymcnnError as error:
            raise self._placed(error, name) from None
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise UnsupportedOperation(
                f"{self.place()}: {name} called in a way that its rule does not cover: {error}"
            ) from error
        if self.same is not None:
            self.same.nodes()
        node.inplace = inplace
        if self.grad and not torch.is_grad_enabled():
            node.grad, node.custom = False, _custom_function()
        number = None
        if single:
            (made,) = result
            types = [a for a in (*args, *kwargs.values()) if type(a) is torch.dtype]
            if name == "bool" or types:
                made.boolean = name == "bool" or torch.bool in types
            if not made.dims:
                number = self.number(name, args, kwargs)
        return result, single, number

    def _placed(self, error: SymcnnError, op: str) -> SymcnnError:
        """The error with the module path in front, if it does not stand there yet."""
        place = self.place()
        if place and not error.cause.startswith(place):
            return type(error)(f"{place}: {error.cause}", cure=error.cure)
        return error

    def unwrap(self, value: Any) -> Any:
        """Torch's view of an argument as the kernel's."""
        kind = type(value)
        if kind is TracedTensor:
            return value._value
        if kind in _PLAIN:
            return value
        if kind is tuple or kind is list:
            if _PLAIN.issuperset(map(type, value)):
                return kind(value)  # a list may change later
            return kind([self.unwrap(v) for v in value])
        leaf = self.leaves.get(id(value))  # their tensors live as long, so the id is theirs
        if leaf is not None:
            return leaf
        if kind is Dim:
            return value.expr
        if kind is Nothing:
            return value._value
        if isinstance(value, torch.Tensor):
            return self.leaf(value)
        if isinstance(value, (tuple, list)):
            return tuple([self.unwrap(v) for v in value])
        if kind is slice:
            return slice(*map(self.unwrap, (value.start, value.stop, value.step)))
        return kernel(value)

    def number(self, name: str, args: Any, kwargs: Any) -> Any:
        """The value of a 0-d result, if it is made from sizes."""
        values = [self.value_of(a) for a in args]
        if not values or values[0] is None:
            return None
        given = [a if isinstance(a, torch.dtype) else v for a, v in zip(args, values, strict=True)]
        found = scalar(name, given, kwargs)
        if isinstance(found, Real):
            exact = Condition(FLOAT_LIMIT, ">=", found._gap(0))
            if known(exact) is not True:
                self._guard(exact)
        return found

    def value_of(self, value: Any) -> Any:
        """An argument as a number: a size, a number, or a 0-d tensor that holds one; else None."""
        if isinstance(value, TracedTensor):
            return value._number
        if isinstance(value, torch.Tensor):
            integer = not value.ndim and not value.dtype.is_floating_point and not value.is_meta
            return int(value) if integer and not value.is_complex() else None
        return value if isinstance(value, (int, Dim, Real)) else None

    def plain(self, value: Any) -> Any:
        """A 0-d tensor that holds a number as the number; all else as it is."""
        if isinstance(value, slice):
            return slice(*map(self.plain, (value.start, value.stop, value.step)))
        number = self.value_of(value) if isinstance(value, torch.Tensor) else None
        return value if number is None else number

    def leaf(self, real: torch.Tensor) -> SymbolicTensor:
        """A real tensor (weight, buffer, constant) as a symbolic one, always the same."""
        found = self.leaves.get(id(real))
        if found is None:
            owned = real.untyped_storage()._cdata in self.own
            found = self.leaves[id(real)] = _constant(real, owned=owned)
            self.real.append(real)
        return found

    def place(self) -> str:
        """The path of the module that is running."""
        return self.tape.scopes[-1].path

    def unsupported(self, op: str) -> UnsupportedOperation:
        """The error for an operation without a rule."""
        place = self.place() or "the network's own forward"
        return UnsupportedOperation(
            f"{place}: torch's {op} has no rule, at {_caller()}",
            cure=f'write one with @symcnn.rule("{op}"); see CONTRIBUTING',
        )

    # python's questions

    def decide(self, condition: Condition) -> bool:
        """The truth of a comparison: proved, or taken as at the example and recorded."""
        if self.script:
            return bool(self.replay(condition))
        mark, taken = len(self.steps), known(condition)
        if taken is None:
            taken = self._choose(condition)
        self.note(mark, condition, taken)
        return taken

    def _choose(self, condition: Condition) -> bool:
        """An open comparison: as it was to be taken, else as at the example."""
        position = len(self.choices)
        taken, otherwise = False, ""
        if position < len(self.forced):
            taken, otherwise = self.forced[position].taken, self.forced[position].otherwise
        else:
            taken = condition.holds(self._sizes(condition.symbols))
        self.choices.append(Choice(taken, otherwise, len(self.tape.guards)))
        self._guard(condition if taken else _negated(condition), otherwise)
        return taken

    def fix(self, expr: Any) -> Any:
        """The value of a size at the example, for python code that takes plain numbers only."""
        if not isinstance(expr, Size):
            return expr
        if self.script:
            return self.replay(expr)
        mark = len(self.steps)
        value = evaluate(expr, self._sizes(symbols_of(expr)))
        scale = prod(c.denominator for c in expr.terms.values())
        same = Condition(expr * scale, "==", int(value * scale))
        if known(same) is None:
            self._guard(same)
        self.note(mark, expr, value)
        return value

    def _sizes(self, names: frozenset[str]) -> dict[str, int]:
        """The example: of the sizes that are valid so far, the nearest to the one asked for."""
        domain = self.tape.domain
        wanted = {n: self.example.get(n, _EXAMPLE.get(n, 224)) for n in {*names, *domain.names}}
        if domain.names and {n: wanted[n] for n in domain.names} not in domain:
            found = domain.nearest(*(wanted[n] for n in domain.names))
            values = found if isinstance(found, tuple) else (found,)
            wanted.update(zip(domain.names, values, strict=True))
        return wanted

    def _guard(self, requirement: Requirement, otherwise: str = "") -> None:
        guard = Guard(requirement, _caller(), len(self.tape.nodes) - 1, otherwise)
        self.tape.guards.append(guard)

    def wrap(self, value: Any) -> Any:
        """Symbolic tensors in nested values as traced ones."""
        return tree_map(
            lambda v: TracedTensor.of(v, self) if isinstance(v, SymbolicTensor) else v, value
        )

    def result(self, value: Any) -> Any:
        """Traced tensors in nested values as symbolic ones."""
        if type(value) is TracedTensor:
            return value._value
        return tree_map(lambda v: self.unwrap(v) if _is_tensor(v) else v, value)


def _constant(real: torch.Tensor, name: str = "", *, owned: bool) -> Constant:
    found = Constant(tuple(real.shape), name, dtype=_dtype_name(real), owned=owned)
    found.boolean = real.dtype is torch.bool
    found.trainable = real.requires_grad
    return found


#: Dtypes by torch's name for them.
_NAMES = {
    dtype: str(dtype).removeprefix("torch.")
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
}


def _dtype_name(real: torch.Tensor) -> str:
    return _NAMES[real.dtype]


def _is_tensor(value: Any) -> bool:
    return type(value) is TracedTensor or isinstance(value, torch.Tensor)


def _flat(value: Any) -> list[Any]:
    """The tensors in nested tuples and lists."""
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in _flat(v)]
    return [value] if isinstance(value, torch.Tensor) else []


def _is_traced(values: Iterable[Any]) -> bool:
    for value in values:
        kind = type(value)
        if kind is TracedTensor or kind is Dim or kind is Real or kind is Nothing:
            return True
        if isinstance(value, (tuple, list)) and _is_traced(value):
            return True
        if kind is slice and _is_traced((value.start, value.stop, value.step)):
            return True
    return False


def _negated(condition: Condition) -> Requirement:
    lhs, rhs = condition.lhs, condition.rhs
    below = Condition(rhs, ">=", lhs + 1)
    if condition.relation == ">=":
        return below
    options = (Condition(lhs, ">=", rhs + 1), below)
    possible = tuple(option for option in options if settled(option) is not False)
    return possible[0] if len(possible) == 1 else AnyOf(possible)


def _caller() -> str:
    """file:line of the user code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN_FILES):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@contextmanager
def _observed(module: torch.nn.Module, tracer: _Tracer) -> Iterator[None]:
    """Module calls reported to the tape; whatever the forward sets on modules is undone."""
    tape = tracer.tape
    tape.paths = {id(m): path for path, m in tracer.modules}
    places = _containers(tracer.modules)
    before = [(place, place.copy()) for place in places if place]
    empty = [place for place in places if not place]
    original = torch.nn.Module.__call__

    def call(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = tape.paths.get(id(self))
        forward: Any = tracer.run_lazy if is_lazy(self) else original
        if type(self) in TARGETS:
            forward = tracer.run_module
        if not path:
            return forward(self, *args, **kwargs)
        tape.enter(path)
        output = None
        try:
            output = forward(self, *args, **kwargs)
            return output
        finally:
            tape.leave(output)

    torch.nn.Module.__call__ = call
    try:
        yield
    finally:
        torch.nn.Module.__call__ = original
        for place in empty if any(empty) else ():
            place.clear()
        for place, copy in before:
            if not _same_items(place, copy):
                place.clear()
                (place.extend if isinstance(place, list) else place.update)(copy)


def _named(modules: Iterable[tuple[str, torch.nn.Module]], kind: str) -> Iterator[tuple[str, Any]]:
    """The parameters or buffers of modules by their full names, shared ones once."""
    seen: set[int] = set()
    for path, module in modules:
        for name, value in getattr(module, kind).items():
            if value is not None and id(value) not in seen:
                seen.add(id(value))
                yield f"{path}.{name}" if path else name, value


class _Containers(dict[type, bool]):
    """Which types hold other objects."""

    def __missing__(self, kind: type) -> bool:
        found = self[kind] = issubclass(kind, (dict, list, set))
        return found


def _containers(modules: Iterable[tuple[str, Any]]) -> list[Any]:
    """All that a forward can write to: attributes, buffers, hooks, caches. All or nothing: models
    install hooks and remember it in an attribute.
    """
    holds = _Containers()
    attributes = [module.__dict__ for _, module in modules]
    inner = [v for place in attributes for v in place.values() if holds[type(v)]]
    return attributes + inner


def _same_items(place: Any, copy: Any) -> bool:
    """Whether the very same objects stand there, in the same order."""
    if len(place) != len(copy) or not all(map(is_, place, copy)):
        return False
    return not isinstance(place, dict) or all(map(is_, place.values(), copy.values()))


def trace(
    module: Any,
    specs: Sequence[str],
    named: Mapping[str, str],
    example: Mapping[str, int] | None = None,
) -> Network:
    """See `symcnn.from_torch`."""
    if not isinstance(module, torch.nn.Module):
        raise BadSpec(f"{module!r} is not a torch.nn.Module", cure="give an instance of one")
    if not specs and not named:
        raise BadSpec("no shape spec", cure='give one per input, for example "N 3 H W"')
    wanted = {str(name): int(size) for name, size in (example or {}).items()}
    forced: list[Choice] = []
    first: SymcnnError | None = None
    for _ in range(_ATTEMPTS):
        try:
            with uncollected():
                tracer = _Tracer(module, Tape(), wanted, forced)
                given = tuple(map(tensor, specs)), {n: tensor(s, n) for n, s in named.items()}
                inputs = *given[0], *given[1].values()
                outputs = _run(module, *given, tracer)
                _drop_idle_guards(tracer, inputs, outputs, partial(_run, module, *given))
                return Network(
                    inputs,
                    outputs,
                    tape=tracer.tape,
                    parameters=tracer.parameters,
                    buffers=tracer.buffer_leaves,
                )
        except (UnsupportedOperation, DataDependent):
            raise
        except SymcnnError as error:
            # An input for which the model raises is not valid: take the other branch instead.
            first = first or error
            last = next(
                (i for i, c in reversed([*enumerate(tracer.choices)]) if not c.otherwise), None
            )
            if last is None:
                break
            forced = [
                *tracer.choices[:last],
                Choice(not tracer.choices[last].taken, error.cause),
            ]
    assert first is not None
    raise first


def _drop_idle_guards(
    tracer: _Tracer,
    inputs: Sequence[SymbolicTensor],
    outputs: Any,
    run: Callable[[_Tracer], Any],
) -> None:
    """Leave only the guards that make a difference: see `symcnn.frontends.branches`."""

    def rerun(choices: Sequence[Choice]) -> Asked | None:
        same = Same(tracer.tape, Tape(), inputs)
        again = tracer.again(choices, same)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = run(again)
            same.whole(outputs, other)
        except (Differs, SymcnnError):
            return None
        return same.now.guards, again.choices

    tape = tracer.tape
    tape.guards = without_idle_guards(tape.guards, tracer.choices, rerun)


def _run(
    module: torch.nn.Module,
    inputs: Sequence[SymbolicTensor],
    keywords: Mapping[str, SymbolicTensor],
    tracer: _Tracer,
) -> Any:
    """One run of the forward: its outputs."""
    tape = tracer.tape
    with tape.running(), _observed(module, tracer), tracer:
        try:
            raw = module(*tracer.wrap(inputs), **tracer.wrap(keywords))
        except SymcnnError:
            raise
        except Exception as error:
            raise _forward_failed(module, len(inputs) + len(keywords), error, tracer) from error
    for scope in tape.calls:
        scope.output = tracer.result(scope.output)
    return tracer.result(raw)


_APPLY = vars(torch.autograd.Function)["apply"].__func__.__code__


def _custom_function() -> str:
    """The torch.autograd.Function whose forward runs now: torch runs it without gradients."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code is _APPLY:
            return str(frame.f_locals["cls"].__name__)
        frame = frame.f_back
    return ""


def _forward_failed(module: Any, given: int, error: Exception, tracer: _Tracer) -> SymcnnError:
    where = "".join(tracer.place()) or type(module).__name__
    if isinstance(error, TypeError) and " argument" in str(error):
        return BadSpec(f"{error} (with {given} input spec(s))", cure="give one spec per input")
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    file, number = (frame.tb_frame.f_code.co_filename, frame.tb_lineno) if frame else ("", 0)
    said = str(error) or linecache.getline(file, number).strip()  # an assertion says nothing itself
    line = f", at {file}:{number}" if frame else ""
    return SymcnnError(f"the forward of {where} raised {type(error).__name__}: {said}{line}")
