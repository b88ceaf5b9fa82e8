"""Traced tensors: tensors to torch, with a shape, a history and no values to us."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.hooks import RemovableHandle

from symcnn.algebra.size import Int, Size
from symcnn.errors import DataDependent, UnsupportedOperation
from symcnn.frontends.torch.checks import truth_to_go_on
from symcnn.frontends.torch.layout import Layouts, follows, torn_from
from symcnn.frontends.torch.questions import Questions
from symcnn.frontends.torch.shape import Sizes
from symcnn.frontends.torch.sizes import Dim
from symcnn.frontends.torch.where import caller
from symcnn.ops.corners import SEVERAL
from symcnn.ops.dtypes import LEGACY, WHOLES
from symcnn.ops.masks import masked_copy
from symcnn.ops.operation import Operation
from symcnn.sets.condition import Condition
from symcnn.trace.graph import OPS, Dims, SymbolicTensor
from symcnn.trace.tape import Tape, current_tape

#: Memory formats with channels innermost, and the number of axes of their tensors.
_LAST = {torch.channels_last: 4, torch.channels_last_3d: 5}

_Answer = TypeVar("_Answer")

EMPTY = torch.empty((), device="meta")

#: The same for one whole number: torch's C++ takes it for a size without asking for its value.
_COUNT = torch.empty((), device="meta", dtype=torch.int64)


class Tracer(Questions, Protocol):
    """What a traced tensor asks of the trace that it belongs to."""

    device: torch.device
    tape: Tape

    @property
    def layouts(self) -> Layouts:
        """Where the tensors of the run lie."""

    def dispatch(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the rule of a torch function."""

    def method(self, name: str, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        """Run the rule of a tensor method."""

    def place(self) -> str:
        """The path of the module that is running."""

    def read(self, numbers: Iterable[object]) -> None:
        """What a tensor holds is asked for."""

    def set_data(self, target: torch.Tensor, values: torch.Tensor) -> object:
        """``weight.data = values``."""

    def written(self, target: object, result: object) -> object:
        """The tensor written to, with what was written to it."""

    def beside(self, word: str, tensor: torch.Tensor, array: object) -> object:
        """What an operator makes of a tensor and an array of numpy."""

    def unsupported(self, op: str) -> Exception:
        """The error for an operation without a rule."""

    def leaving(self, error: Exception) -> Exception:
        """An error of ours on its way into the forward."""


class Masked(SymbolicTensor):
    """What a mask picks of a tensor, of which only values tell the size: whoever asks is refused.
    It may be written where the same mask picks, which takes as many places.
    """

    __slots__ = ("mask", "refuse", "source")

    def __init__(
        self, source: SymbolicTensor, mask: SymbolicTensor, refuse: Callable[[], Exception]
    ) -> None:
        self.source, self.mask, self.refuse = source, mask, refuse
        self.node, self.name, self.dtype, self.trainable = None, "", source.dtype, False
        self.extremes = ()

    @property
    def dims(self) -> Dims:
        """Refused, as the index is."""
        raise self.refuse()


def _shared(name: str) -> property:
    """The real or imaginary parts, which share memory: torch tells nobody of ``x.real = y``."""

    def look(self: TracedTensor) -> torch.Tensor:
        parts: torch.Tensor = self._tracer.method(name, self)
        return parts

    def fill(self: TracedTensor, values: torch.Tensor) -> None:
        look(self).copy_(values)

    return property(look, fill)


class State:
    """What a trace says of a tensor. A view shares the state of what it is a view of, not the
    tensor, which lives as long as the model holds the tensor.
    """

    _value: SymbolicTensor
    _tracer: Tracer
    _source: State | None = None  # of what it is a view of, as far as anybody asked
    _whole: bool = False  # whether it is all of that
    _sure: bool = False  # whether that was asked, and so it is
    _made: SymbolicTensor  # as a view
    _since: int = 0  # writes to its memory, if it is a view
    _at: object = None  # at which index
    _number_since: tuple[Any, int] | None = None  # its values, after so many writes to its memory
    _writes: int = 0  # to its memory, if it is a view of none
    _seen: int = 0  # the last of them that autograd saw: not through `data`
    _torn: bool = False  # a view that autograd does not read any more

    @property
    def _state(self) -> State:
        """The same state, without the tensor."""
        state = State()
        state.__dict__ = vars(self)
        return state

    @property
    def _memory(self) -> State:
        """The state of what it is a view of, or a view of a view."""
        found = self
        while found._source is not None:
            found = found._source
        return found

    def count(self) -> None:
        """A write to it. Autograd sees none through `data`."""
        memory, view, through = self._memory, self, False
        memory._writes += 1
        while view._source is not None:
            through = through or (view._made.node is not None and view._made.node.op == "data")
            view = view._source
        if not through:
            memory._seen = memory._writes

    def tear(self) -> None:
        """Autograd does not read views of some kinds once it saw a write to their memory."""
        if self._since < self._memory._seen and torn_from(self._made) is not None:
            self._torn = True
        if self._torn:
            self._tracer.layouts.torn[self._value] = self._made

    def look_into(self, base: TracedTensor, index: object, part: bool) -> None:
        """From now on it shares the memory of another, all of it or at an index or as a view."""
        number = None if self._number_since is None else self._number
        self._source, self._since = base._state, base._memory._writes
        self._at, self._whole, self._made = index, not part, self._value
        self._sure = False
        self._number_since = None if number is None else (number, self._since)

    @property
    def _stale(self) -> bool:
        """Whether what it is a view of was written to since."""
        return self._source is not None and self._since != self._memory._writes

    @property
    def _number(self) -> Any:
        """Its values, if they were made from sizes, and nobody wrote to its memory since."""
        known = self._number_since
        return None if known is None or known[1] != self._memory._writes else known[0]

    @_number.setter
    def _number(self, number: Any) -> None:
        self._number_since = None if number is None else (number, self._memory._writes)


class TracedTensor(State, torch.Tensor):
    """A symbolic tensor inside a torch forward: a tensor to torch, but without values.

    It is a real (empty) tensor underneath, so that C++ code that looks at it finds one.
    """

    @staticmethod
    def of(value: SymbolicTensor, tracer: Tracer) -> TracedTensor:
        """The tensor that stands for `value` in this trace."""
        whole = value.dtype in WHOLES and type(value) is not Masked and not value.dims
        under = _COUNT if whole else EMPTY
        traced: TracedTensor = torch.Tensor._make_subclass(TracedTensor, under)
        traced._value, traced._tracer = value, tracer
        return traced

    def __del__(self) -> None:
        self._tracer.tape.release(self._value)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return torch.Tensor

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tracer = tracer_of((args, kwargs))
        assert tracer is not None
        if current_tape() is None:
            raise UnsupportedOperation(
                f"{getattr(func, '__name__', func)} is called in a thread of the model's own",
                cure="call the layers in the thread that calls the forward",
            )
        return tracer.dispatch(func, args, kwargs or {})

    @property
    def shape(self) -> Sizes:
        """The shape, as `Sizes`."""
        tracer = self._tracer
        return Sizes([d if type(d) is int else _seen(d, tracer) for d in self._value.dims])

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

    def numel(self) -> int:
        """The number of elements."""
        count: int = self.shape.numel()
        return count

    nelement = numel

    def __len__(self) -> int:
        if not self._value.dims:
            raise TypeError("len() of a 0-d tensor")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self._value.dims:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self._tracer.method("unbind", self))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype, as torch would compute it."""
        found: torch.dtype = getattr(torch, self._value.dtype or "float32")
        return found

    @property
    def device(self) -> torch.device:
        """The device of the module's parameters."""
        return self._tracer.device

    def is_inference(self) -> bool:
        """Whether it is one of those tensors that no trace has."""
        return False

    is_neg = is_pinned = is_shared = is_inference

    def register_hook(self, hook: Callable[..., object]) -> RemovableHandle:
        """What a hook does with gradients changes no size, and is not counted."""
        return RemovableHandle(OrderedDict())

    def retain_grad(self) -> None:
        """Whether a gradient is kept changes no size either."""

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

    def requires_grad_(self, requires_grad: bool = True) -> TracedTensor:
        """The tensor itself, which asks for a gradient, or for none."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_meta(self) -> bool:
        """Whether the module lives on the meta device."""
        return self._tracer.device.type == "meta"

    @property
    def data(self) -> torch.Tensor:
        """What shares its memory, without gradients: autograd sees no write to it."""
        shared: torch.Tensor = self._tracer.method("data", self)
        return shared

    @data.setter
    def data(self, values: torch.Tensor) -> None:
        self._tracer.set_data(self, values)

    real, imag = (_shared(name) for name in ("real", "imag"))

    @property
    def T(self) -> torch.Tensor:  # noqa: N802
        """The axes in reverse order."""
        return self.permute(*range(self.ndim - 1, -1, -1))

    @property
    def mT(self) -> torch.Tensor:  # noqa: N802
        """The last two axes exchanged."""
        return self.transpose(-2, -1)

    def as_subclass(self, cls: type) -> object:
        """An object of another class, which stands for this tensor."""
        return as_subclass(self, cls)

    def is_floating_point(self) -> bool:
        """Whether the values are floats."""
        return self.dtype.is_floating_point

    def _lies(self, ask: Callable[..., _Answer]) -> _Answer:
        tracer = self._tracer
        try:
            return ask(self._value, tracer.place(), caller())
        except DataDependent as error:
            raise tracer.leaving(error) from None

    def is_contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> bool:
        """Whether it lies in memory in that order, without gaps."""
        order = range(self.ndim)
        if memory_format in _LAST:
            if self.ndim != _LAST[memory_format]:
                return False
            order = [0, *range(2, self.ndim), 1]
        decide, layouts = self._tracer.decide, self._tracer.layouts
        if follows(self._lies(layouts.of), order, decide):
            return True
        plain = order == range(self.ndim)
        return plain and any(decide(Condition(d, "==", 0)) for d in self._value.empties)

    def stride(self, dim: int | None = None) -> Any:
        """Elements from one place of an axis to the next."""
        tracer = self._tracer
        strides = self._lies(tracer.layouts.strides)
        found = tuple([d if type(d) is int else _seen(d, tracer) for d in strides])
        return found if dim is None else found[dim]

    def storage_offset(self) -> int | Dim:
        """Elements before the first."""
        tracer = self._tracer
        found = tracer.layouts.offset(self._value, tracer.place(), caller())
        size: int | Dim = _seen(found, tracer)
        return size

    def equal(self, other: torch.Tensor) -> bool:
        """Whether another has its shape and values: without NaN, a tensor equals itself."""
        if tuple(self.shape) != tuple(other.shape):
            return False
        return other is self or bool((self == other).all())

    def is_complex(self) -> bool:
        """Whether the values are complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the values may be negative."""
        return self.dtype.is_signed

    def type(self, dtype: object = None, *args: object, **kwargs: Any) -> object:
        """The name of the type, or a cast."""
        if dtype is not None:
            return self._tracer.method("type", self, dtype, *args, **kwargs)
        name = next(name for name, d in LEGACY.items() if d == self._value.dtype)
        device = self.device.type
        return f"torch.{'' if device == 'cpu' else device + '.'}{name}Tensor"

    def element_size(self) -> int:
        """Bytes per element."""
        return int(self.dtype.itemsize)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.element_size()

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        total: int = self.numel() * self.element_size()
        return total

    def get_device(self) -> int:
        """The number of the GPU; -1 for the CPU."""
        return -1 if self.device.index is None else self.device.index

    def set_(self, source: object = None, *place: object) -> torch.Tensor:
        """Another tensor's memory in place of its own, or none: torch asks no function for it."""
        if source is None:
            source = self._tracer.method("new_empty", self, 0)
        if type(source) is not TracedTensor or place:
            raise self._tracer.unsupported("set_ of a storage, or of a tensor with values")
        self._value, self._number = source._value, source._number
        self.look_into(source, None, part=False)
        return self

    def item(self) -> Any:
        """The value, where it was made from sizes."""
        number = self._number
        if hasattr(number, "flat") and number.size == 1:
            number = number.flat[0]
        several = hasattr(number, "flat") or type(number) in SEVERAL
        self._tracer.read((number,))
        return self._values() if number is None or several else number

    def tolist(self) -> object:
        """The values, where they were made from sizes."""
        number = self._number
        self._tracer.read(getattr(number, "flat", ()))
        return number.tolist() if hasattr(number, "flat") else self.item()

    def __bool__(self) -> bool:
        tape = current_tape()
        if tape is not None and (self._number is None or type(self._number) in SEVERAL):
            taken = truth_to_go_on(self._value, tape)
            if taken is not None:
                return taken
        return bool(self.item() != 0)

    def __int__(self) -> int:
        return int(self.item())

    __index__ = __int__

    def __float__(self) -> float:
        return float(self.item())

    def _values(self, *_: Any) -> Any:
        path = self._tracer.place() or "the network's own forward"
        error = DataDependent(
            f"{path}: python asks for the values of a tensor, at {caller()}",
            cure="symcnn knows shapes only; make the branch depend on sizes or hyperparameters",
        )
        raise self._tracer.leaving(error)

    numpy = _values

    def __copy__(self) -> torch.Tensor:
        copied: torch.Tensor = self._tracer.method("detach", self)
        return copied

    def __deepcopy__(self, memo: dict[int, object]) -> torch.Tensor:
        copied: torch.Tensor = self._tracer.method("clone", self)
        memo[id(self)] = copied
        return copied

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"TracedTensor({', '.join(map(str, self._value.dims))})"

    def __format__(self, spec: str) -> str:
        if spec and self._value.dims:
            raise TypeError("unsupported format string passed to Tensor.__format__")
        return repr(self)


def _seen(size: Int, tracer: Any) -> Any:
    """A size as user code sees it: a number where the run has one."""
    found = size.subs(tracer.constants) if tracer.constants and isinstance(size, Size) else size
    return Dim(found, tracer) if isinstance(found, Size) else found


def assignment(operation: object, args: Sequence[object]) -> tuple[object, Sequence[object]]:
    """The operation of ``x[index] = value``; what the same mask picks is not made in between."""
    mask, value = args[1:]
    traced: Any = value if type(value) is TracedTensor else None
    picked = getattr(traced, "_value", None)
    if type(picked) is not Masked or not _is_same(picked.mask, getattr(mask, "_value", None)):
        return operation, args
    return masked_copy, (*args[:2], TracedTensor.of(picked.source, traced._tracer))


def _is_same(mask: object, other: object) -> bool:
    """Whether two masks are one, or made alike of the same tensors: ``x[x > 0] = x[x > 0] * 2``."""
    if mask is other or not (
        isinstance(mask, SymbolicTensor) and isinstance(other, SymbolicTensor)
    ):
        return mask is other or (type(mask) is type(other) and bool(mask == other))
    one = None if mask.node is None else mask.node.call
    two = None if other.node is None else other.node.call
    if one is None or two is None or one.operation is not two.operation or mask.dtype != "bool":
        return False
    if not isinstance(one.operation, Operation) or not one.operation.pointwise:
        return False
    alike = len(one.args) == len(two.args) and one.kwargs == two.kwargs
    return alike and all(map(_is_same, one.args, two.args))


def beneath(
    operation: object, args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[Masked | None, list[object]]:
    """What one mask picks of tensors as large, and the arguments with these in its place; None
    where nothing is done point by point, or to others beside.
    """
    tensors: list[Any] = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
    picked = [getattr(t, "_value", None) for t in tensors]
    first = next((p for p in picked if type(p) is Masked), None)
    if first is None or type(operation) is not Operation or not operation.pointwise:
        return None, []
    for one in picked:
        if type(one) is not Masked or not _is_same(one.mask, first.mask):
            return None, []
        if one.source.dims != first.source.dims:
            return None, []
    of = {id(t): TracedTensor.of(t._value.source, t._tracer) for t in tensors}
    return first, [of.get(id(a), a) for a in args]


def as_subclass(value: torch.Tensor, kind: type) -> torch.Tensor:
    """A tensor as an object of another class. Modes would make an object of torch.Tensor first."""
    if kind is torch.Tensor:
        return value
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        return torch.Tensor.as_subclass(value, kind)


def new(
    tracer: Tracer,
    like: torch.Tensor,
    *values: object,
    size: Sequence[object] = (),
    device: object = None,
) -> object:
    """``x.new(2, h)``, ``x.new(x.shape)``, ``x.new([1.0, 2.0])``: sizes, or what is in the tensor,
    which is in either case of the type of `like`.
    """
    first = values[0] if len(values) == 1 else 0
    if isinstance(first, (int, torch.SymInt)):
        return tracer.method("new_empty", like, size or values or 0)
    if isinstance(first, torch.Size):
        return tracer.method("new_empty", like, first)
    if isinstance(first, float):
        raise TypeError("new(): data must be a sequence (got float)")
    return tracer.method("new_tensor", like, first, dtype=like.dtype)


def resized(tracer: Tracer, target: torch.Tensor, *shape: object, **kwargs: object) -> object:
    """``x.new().resize_(n, h)``, ``y.resize_as_(x)``: room for elements in what had none."""
    sizes = _sizes_in(shape)
    if 0 not in target.shape and tuple(target.shape) != sizes:
        raise tracer.unsupported("resize_ of a tensor that has elements")
    return tracer.written(target, tracer.method("new_empty", target, sizes))


def viewed(tracer: Tracer, target: torch.Tensor, *shape: object) -> object:
    """``x.resize(n, h)``, ``y.resize_as(x)``: the same elements in another shape, none of it -1."""
    sizes = _sizes_in(shape)
    if any(type(size) is int and size < 0 for size in sizes):
        raise RuntimeError(f"resize to {', '.join(map(str, sizes))}: a size is below 0")
    return tracer.method("reshape", target, sizes)


def _sizes_in(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    first = shape[0] if len(shape) == 1 else shape
    if isinstance(first, torch.Tensor):
        first = first.shape
    return tuple(first) if isinstance(first, (tuple, list)) else shape


#: What torch makes of a tensor where the old ways to make one are called.
MADE: dict[object, Callable[..., object]] = {
    torch.Tensor.new: new,
    torch.Tensor.resize_: resized,
    torch.Tensor.resize_as_: resized,
    torch.Tensor.resize: viewed,
    torch.Tensor.resize_as: viewed,
}


#: What python's messages call such a tensor.
TracedTensor.__name__ = "Tensor"

#: Tensors and numbers.
_OPERANDS = (torch.Tensor, int, float, complex, torch.SymInt, torch.SymFloat, torch.SymBool)


def operators() -> Iterator[tuple[str, list[str]]]:
    """The rules that serve python's operators, by name, and which these are: "add radd iadd"."""
    for name, operation in OPS.items():
        if isinstance(operation, Operation) and operation.operators and name == operation.name:
            yield name, operation.operators.split()


def _is_operand(value: object) -> bool:
    """Whether torch calculates with it: a tensor, a number, an array of numpy, what speaks for
    itself.
    """
    if isinstance(value, _OPERANDS):
        return True
    return hasattr(value, "dtype") or hasattr(value, "__torch_function__")


def _operator(name: str, word: str) -> Callable[..., Any]:
    calculates = not word.endswith("item")  # else an array is an index

    def call(self: TracedTensor, *args: object) -> object:
        if args and calculates:
            if not _is_operand(args[0]):
                return NotImplemented  # to python it is another object, as None is
            if hasattr(type(args[0]), "__array_function__"):
                return self._tracer.beside(word, self, args[0])
        return self._tracer.method(name, self, *args, inplace=writes(f"__{word}__"))

    def reflected(self: TracedTensor, other: object) -> object:
        if not _is_operand(other):
            return NotImplemented
        if hasattr(type(other), "__array_function__"):
            return self._tracer.beside(word, self, other)
        return self._tracer.method(name, other, self)

    return reflected if word in REFLECTED else call


#: Operators whose left operand comes second.
REFLECTED = frozenset("rsub rdiv rtruediv rfloordiv rmod rpow rmatmul".split())


for _op, _words in operators():
    for _word in _words:
        setattr(TracedTensor, f"__{_word}__", _operator(_op, _word))


def tracer_of(value: object) -> Tracer | None:
    """The tracer of the first traced tensor in nested arguments."""
    if type(value) is TracedTensor:
        return value._tracer
    if isinstance(value, (tuple, list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        return next((found for v in inner if (found := tracer_of(v)) is not None), None)
    return None


#: Methods that write to the tensor they are called on, beside those whose name ends in "_".
_WRITERS = frozenset(
    ["__setitem__", "__set__"]
    + [
        f"__i{word}__"
        for word in "add sub mul div truediv floordiv mod pow and or xor lshift rshift".split()
    ]
)


def writes(name: str) -> bool:
    """Whether a function or method of that name writes to its first tensor."""
    return name in _WRITERS or (name.endswith("_") and not name.endswith("__"))
