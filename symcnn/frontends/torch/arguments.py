"""What the arguments of a function of torch hold: tensors, sizes, plain values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

import torch

from symcnn.frontends.torch.arrays import tensor_of
from symcnn.frontends.torch.ranges import counted
from symcnn.frontends.torch.sizes import SIZES, Real, hold_sizes
from symcnn.frontends.torch.tensors import Masked, TracedTensor
from symcnn.ops.index import getitem, setitem
from symcnn.trace.graph import OPS, Constant, Parameter, SymbolicTensor, as_index

#: Arguments that rules take as they are.
PLAIN = frozenset((int, str, float, bool, type(None)))

#: Arguments in which no size stands that may be a maximum.
UNSIDED = PLAIN | {SymbolicTensor, Parameter, Constant}

_NUMBERS = frozenset((int,))

#: Example sizes where none are given; all others are 224.
EXAMPLE = {"N": 2, "B": 2, "C": 3, "L": 16000}


def constant_of(real: torch.Tensor, name: str = "", *, owned: bool) -> Constant:
    """A tensor with values as a constant of the trace."""
    found = Constant((*real.shape,), name, dtype=NAMES[real.dtype], owned=owned)
    found.trainable = real.requires_grad
    if not real.is_contiguous():
        found.strides = real.stride()
    if not owned and real.layout is torch.strided:  # a window is part of a longer one
        stored = real.untyped_storage().nbytes() // real.element_size()
        found.stored = None if stored == real.numel() else stored
    return found


#: Dtypes by torch's name for them.
NAMES = {
    dtype: str(dtype).removeprefix("torch.")
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
}


#: What python's types of numbers are as dtypes.
_PYTHON = {
    bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128,
}  # fmt: skip


def with_dtypes(
    args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """The arguments, with dtypes for python's types of numbers: ``x.to(int)``."""
    if type not in map(type, args) and type not in map(type, kwargs.values()):
        return args, kwargs

    def dtype_of(value: object) -> object:
        return _PYTHON.get(value, value) if isinstance(value, type) else value

    return tuple(map(dtype_of, args)), {k: dtype_of(v) for k, v in kwargs.items()}


def is_tensor(value: object) -> bool:
    """Whether a value is a tensor, traced or with values."""
    return type(value) is TracedTensor or isinstance(value, torch.Tensor)


#: What takes an index.
INDEXED = frozenset(name for name, rule in OPS.items() if rule in (getitem, setitem))


#: What takes numbers in a tensor, behind the first one, of so many axes at least.
LISTED = {"repeat_interleave": 0, "tensor_split": 1}


#: What resizes by a factor, which may be a float of sizes.
RESIZED = frozenset({"interpolate", "upsample"})


def _of_size(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """A resizing by floats of sizes as one to the size that they make.

    That is the same where the sizes tell all places that are read, or the input is no traced one:
    ``interpolate(self.pos_embed, scale_factor=(h/14, w/14))``. Else the factor is a number.
    """
    if not hold_sizes((*args[2:3], kwargs.get("scale_factor"))):
        return args, kwargs
    asked = _INTERPOLATE.bind(*args, **kwargs).arguments
    image, factors = asked["input"], asked["scale_factor"]
    space = image.shape[2:]
    several = factors if isinstance(factors, (tuple, list)) else [factors] * len(space)
    placed = asked.get("recompute_scale_factor") or asked.get("align_corners")
    told = (placed or type(image) is not TracedTensor) and asked.get("size") is None
    if not told or len(several) != len(space) or not any(type(f) is Real for f in several):
        return args, kwargs
    sizes = tuple(math.trunc(x * f) for x, f in zip(space, several, strict=True))
    change = {"size": sizes, "scale_factor": None, "recompute_scale_factor": None}
    return (), {**asked, **change}


_INTERPOLATE = signature(torch.nn.functional.interpolate)


def as_places(given: object) -> object:
    """An index with ranges, arrays of numpy, and masks whose values are there, as lists."""
    index: Any = tensor_of(counted(given))
    if isinstance(index, tuple):
        return tuple(map(as_places, index))
    if isinstance(index, range):
        return list(index)
    kind = type(index)
    numpys = kind.__module__ == "numpy" or hasattr(kind, "__array_function__")
    array = numpys and hasattr(index, "tolist")
    if array or (type(index) is torch.Tensor and index.dtype is torch.bool and index.dim() == 1):
        return index if not array and index.is_meta else index.tolist()
    return index


def as_taken(
    name: str,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    as_list: Callable[[object, int], object],
) -> tuple[tuple[object, ...], dict[str, object]]:
    """The arguments of a call as its rule takes them.

    as_list: makes a list of a tensor of numbers.
    """
    if name in INDEXED:
        named = {k: as_places(as_index(v)) if k == "index" else v for k, v in kwargs.items()}
        return (*args[:1], *map(as_places, args[1:2]), *args[2:]), named
    if name in LISTED:
        least = LISTED[name]
        listed = {k: v if k == "input" else as_list(v, least) for k, v in kwargs.items()}
        return (*args[:1], *[as_list(v, least) for v in args[1:]]), listed
    return _of_size(args, kwargs) if name in RESIZED else (args, kwargs)


def holds_scalar(value: object) -> bool:
    """Whether it is, or holds, a tensor of one number."""
    if type(value) in PLAIN:
        return False
    if type(value) is TracedTensor:
        own = value._value
        if type(own) is Masked or not _NUMBERS.issuperset(map(type, own.dims)):
            return False
        return own.dims.count(1) == len(own.dims)
    if isinstance(value, torch.Tensor):
        return all(dim == 1 for dim in value.shape)
    if not isinstance(value, (tuple, list)) or PLAIN.issuperset(map(type, value)):
        return False
    return any(map(holds_scalar, value))


def flat(value: object) -> list[torch.Tensor]:
    """The tensors in nested tuples and lists."""
    if not isinstance(value, (tuple, list)):
        return [value] if isinstance(value, torch.Tensor) else []
    found: list[torch.Tensor] = []
    for v in value:
        if type(v) not in PLAIN:
            found += [v] if type(v) is TracedTensor else flat(v)
    return found


def hold_traced(values: Iterable[object]) -> bool:
    """Whether values are, or hold, traced tensors or sizes."""
    for value in values:
        kind = type(value)
        if kind is TracedTensor or kind in SIZES:
            return True
        if isinstance(value, (tuple, list)) and hold_traced(value):
            return True
        if isinstance(value, slice) and hold_traced((value.start, value.stop, value.step)):
            return True
    return False


def modules_in(module: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """The modules by their paths, as `torch.nn.Module.named_modules` has them."""
    found: dict[torch.nn.Module, str] = {}
    stack = [("", module)]
    while stack:
        path, module = stack.pop()
        if module not in found:
            found[module] = path
            start = f"{path}." if path else ""
            inner = [(start + k, m) for k, m in module._modules.items() if m is not None]
            stack += inner[::-1]
    return [(path, module) for module, path in found.items()]


def named_in(
    modules: Iterable[tuple[str, torch.nn.Module]], kind: str
) -> list[tuple[str, torch.Tensor]]:
    """The parameters or buffers of modules by their full names, shared ones once."""
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for path, module in modules:
        held = getattr(module, kind)
        if held:
            start = f"{path}." if path else ""
            for name, value in held.items():
                if value is not None and (key := id(value)) not in found:
                    found[key] = start + name, value
    return [*found.values()]


class Parts(NamedTuple):
    """What a module holds, by full names."""

    modules: Sequence[tuple[str, torch.nn.Module]]
    parameters: Sequence[tuple[str, torch.Tensor]]
    buffers: Sequence[tuple[str, torch.Tensor]]

    @classmethod
    def of(cls, module: torch.nn.Module) -> Parts:
        """Of a module, its own modules among them."""
        modules = modules_in(module)
        return cls(modules, named_in(modules, "_parameters"), named_in(modules, "_buffers"))

    @property
    def dtype(self) -> torch.dtype:
        """What the module computes in: the dtype of most of its parameters, or torch's default."""
        found = Counter(p.dtype for _, p in self.parameters)
        floats = [dtype for dtype in found if dtype.is_floating_point]
        return max(floats, key=found.__getitem__, default=torch.get_default_dtype())
