"""Argument forms: every way that torch's parser takes to call an operation, put to the front end.

A case is one of torch's own declared samples (`tests.fuzz.torch_samples`), at other sizes, in
another form: by the function, the method, the operator, in place or into ``out=``; arguments by
place or by name (numpy's names too), lists spread out, numbers in 0-d tensors. Torch says whether
the form is one, and what comes out; a trace of the same call must say the same, or refuse by name.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import torch

import symcnn
from symcnn.errors import DataDependent, SymcnnError, UnsupportedOperation
from symcnn.frontends.torch.forms import NUMPY, orders
from tests.fuzz.torch_samples import (
    BY_VALUE,
    NOT_ABOUT_SHAPES,
    Resizer,
    is_empty,
    operations,
    samples,
    shapes_of,
    written_out,
)

__all__ = ["Call", "CallModule", "Outcome", "draw_call", "judge_call"]

#: Of each operation, the first of them.
_SAMPLES = 16

_NUMPY_NAMES = {theirs: other for other, theirs in NUMPY.items() if other in ("axis", "keepdims")}

#: What torch's in-place forms complain of that has nothing to do with shapes.
_ABOUT_VALUES = re.compile(
    r"result type|can't be cast|requires grad|not implemented for|expected .* to be of type"
    r"|view of a leaf|memory format|is not supported for|only supports|expected tensor"
    r"|complex output|non-boolean outputs"
    r"|divisible by|weight to be",  # a symbol for a layer divides
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Call:
    """One call of torch: what is called, by which form, with what."""

    name: str
    form: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name} ({self.form}){written_out(self.args, self.kwargs)}"

    def __call__(self) -> Any:
        """What torch makes of fresh copies of the arguments."""
        args, kwargs = _copied((self.args, self.kwargs))
        return self.function(*args, **kwargs)


@dataclass(frozen=True)
class Outcome:
    """What came of a call: "agrees", "refused" by name, "no form" of torch's, or "differs"."""

    verdict: str
    told: str = ""


@lru_cache(maxsize=1)
def _every_operation() -> list[Any]:
    return [op for op, _ in operations() if _usable(op)]


def _usable(op: Any) -> bool:
    floats = torch.float32 in op.supported_dtypes("cpu")
    return floats and not {op.name, op.full_name} & BY_VALUE


@lru_cache(maxsize=1024)
def _samples(number: int) -> list[Any]:
    op = _every_operation()[number]
    found = samples(op, torch.float32, _SAMPLES)
    return [s for s in found if not is_empty(((s.input, *s.args), s.kwargs))]


def draw_call(seed: int, number: int) -> Call | None:
    """The call of that number; the operations take turns. None where torch declares no sample."""
    every = _every_operation()
    which = number % len(every)
    op = every[which]
    draw = Random(f"{seed} form {number}")
    samples = _samples(which)
    if not samples:
        return None
    sample = draw.choice(samples)
    args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
    if draw.random() < 0.7:
        args, kwargs = Resizer(draw)((args, kwargs))
    forms = {
        "function": op.op,
        "method": op.method_variant,
        "in place": op.inplace_variant,
        "operator": op.operator_variant,
        "operator in place": op.inplace_operator_variant,
    }
    form = draw.choice([name for name, function in forms.items() if function is not None])
    function = forms[form]
    if form in ("function", "method", "in place"):
        args, kwargs = _by_name(function, args, kwargs, draw)
    if form == "function" and op.supports_out and op.name != "normal" and draw.random() < 0.2:
        kwargs["out"] = torch.empty(0)
    return Call(op.full_name, form, function, args, kwargs)


def _by_name(function: Any, args: Any, kwargs: Any, draw: Random) -> tuple[Any, dict[str, Any]]:
    """Some arguments by name, lists spread out, numbers in tensors."""
    args = list(args)
    spread = len(args) == 2 and isinstance(args[1], (tuple, list)) and draw.random() < 0.3
    if spread and args[1] and all(type(v) is int for v in args[1]):
        args = [args[0], *args[1]]
    ways = [w.names for w in orders(function) if len(w.names) >= len(args)]
    named: dict[str, Any] = {}
    if ways and draw.random() < 0.6:
        names = draw.choice(ways)
        cut = draw.randint(0, len(args))
        named = dict(zip(names[cut:], args[cut:], strict=False))
        args = args[:cut]
    named |= kwargs
    if draw.random() < 0.3:
        named = {_NUMPY_NAMES.get(name, name): value for name, value in named.items()}
    if draw.random() < 0.15 and "_loss" not in str(function):
        named = {k: _in_a_tensor(v) for k, v in named.items()}
        args = [*args[:1], *map(_in_a_tensor, args[1:])]
    return tuple(args), named


def _in_a_tensor(value: Any) -> Any:
    return torch.tensor(value) if type(value) is int else value


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, (tuple, list)):
        return type(value)(map(_copied, value))
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return value


class CallModule(torch.nn.Module):
    """A module whose forward is the call; its tensors of a dtype are the inputs."""

    def __init__(self, call: Call, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.call, self.dtype = call, dtype
        self.inputs: list[torch.Tensor] = []
        self._find((call.args, call.kwargs))

    def _find(self, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            if value.dtype is self.dtype:
                self.inputs.append(value)
            else:
                self.register_buffer(f"constant{id(value)}", value)
        elif isinstance(value, (tuple, list)):
            for v in value:
                self._find(v)
        elif isinstance(value, dict):
            for k, v in value.items():
                if k != "out":
                    self._find(v)

    def forward(self, *given: torch.Tensor) -> object:
        """The call on the tensors given."""
        pairs = zip(self.inputs, given, strict=True)
        twins = {id(t): g if t.ndim else g.reshape(()) for t, g in pairs}

        def put(value: object) -> object:
            if isinstance(value, torch.Tensor):
                return twins.get(id(value), value)
            if isinstance(value, (tuple, list)):
                return type(value)(map(put, value))
            if isinstance(value, dict):
                return {k: put(v) for k, v in value.items()}
            return value

        args: Any = put(self.call.args)
        kwargs: Any = put(self.call.kwargs)
        return self.call.function(*args, **kwargs)


def judge_call(call: Call, *, symbols: bool) -> Outcome:
    """Torch's answer against the trace's; `symbols`: sizes from 2 up are symbols in the trace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want: Any = shapes_of(call())
        except TypeError:
            return Outcome("no form")
        except Exception as error:
            want = error
        ours = _traced(call, symbols=symbols)
    if ours is None:
        return Outcome("no form")
    if isinstance(ours, (UnsupportedOperation, DataDependent)):
        return Outcome("refused", str(ours).splitlines()[0])
    if isinstance(want, Exception):
        if isinstance(ours, SymcnnError):
            return Outcome("agrees")
        said = str(want)
        if NOT_ABOUT_SHAPES.search(said) or _ABOUT_VALUES.search(said):
            return Outcome("no form")
        return Outcome("differs", f"{call}: {ours!r}, torch raises {said.splitlines()[:1]}")
    if any(0 in shape for shape in want):
        return Outcome("no form")
    if ours == want:
        return Outcome("agrees")
    return Outcome("differs", f"{call}: {ours!r}, torch says {want}")


def _traced(call: Call, *, symbols: bool) -> Any:
    module = CallModule(call)
    if not module.inputs:
        return None
    specs, sizes = [], {}
    for t in module.inputs:
        names = [f"S{n}" if symbols and n > 1 else str(n) for n in t.shape]
        sizes.update({f"S{n}": n for n in t.shape if symbols and n > 1})
        specs.append(" ".join(names) or "1")
    try:
        net = symcnn.from_torch(module, *specs, example=sizes)
        return shapes_of(net.shape_at(**sizes))
    except Exception as error:
        return error
