"""Torch as the judge of dtypes: every operation that torch declares, in every dtype that it takes.

What torch declares of an operation (``op_db``) comes with samples for each of its dtypes. Here the
first few of each are run by torch and by our rule, and the dtypes of the outputs are compared;
where one operand is cast to another dtype, so are those of the promoted result.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from symcnn.errors import DataDependent, SymcnnError, UnsupportedOperation
from symcnn.trace.graph import OPS, SymbolicTensor
from symcnn.trace.tape import Tape
from tests.fuzz.torch_samples import operations, reordered, samples

if TYPE_CHECKING:
    from torch.testing._internal.opinfo.core import OpInfo

__all__ = ["Verdict", "check_dtypes", "check_refused", "operations"]

#: The dtypes that are tried.
TRIED = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.uint8, torch.bool, torch.complex64,
)  # fmt: skip


@dataclass
class Verdict:
    """How many samples were compared, and which differ."""

    compared: int = 0
    differ: list[str] = field(default_factory=list)


def check_dtypes(op: OpInfo, name: str, count: int = 2) -> Verdict:
    """Our dtypes for the first `count` samples of `op` in each dtype, and for mixed operands."""
    verdict = Verdict()
    for dtype in TRIED:
        if dtype not in op.supported_dtypes("cpu"):
            continue
        for sample in samples(op, dtype, count):
            args = (sample.input, *sample.args)
            _compare(verdict, op, name, args, sample.kwargs)
            if len(args) > 1 and all(isinstance(a, torch.Tensor) for a in args[:2]):
                for other in (torch.float64, torch.int32, torch.float16):
                    mixed = (args[0], args[1].to(other), *args[2:])
                    _compare(verdict, op, name, mixed, sample.kwargs)
    return verdict


def _compare(verdict: Verdict, op: OpInfo, name: str, args: Any, kwargs: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want = _dtypes(op.op(*args, **kwargs))
        except Exception:  # torch has no kernel for it, or no such promotion
            return
    try:
        with Tape(dtype="float32").running():
            ordered = reordered(op.full_name, *_symbolic(args))
            have: Any = _dtypes(OPS[name](*ordered, **_symbolic(kwargs)))
    except (UnsupportedOperation, DataDependent):
        return
    except SymcnnError as error:
        have = error
    except Exception:  # a way to call it that has no rule
        return
    verdict.compared += 1
    if have != want:
        given = [_said(a) for a in (*args, *kwargs.items())]
        verdict.differ.append(f"{op.full_name}({', '.join(given)}): {have}, torch {want}")


def _said(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return repr(value)


def _symbolic(value: Any) -> Any:
    """Tensors in nested arguments as symbolic ones, of the same dtype."""
    if isinstance(value, torch.Tensor):
        return SymbolicTensor(tuple(value.shape), dtype=str(value.dtype).removeprefix("torch."))
    if isinstance(value, (tuple, list)):
        return type(value)([_symbolic(v) for v in value])
    if isinstance(value, dict):
        return {k: _symbolic(v) for k, v in value.items() if k != "out"}
    return value


def _dtypes(value: Any) -> list[str]:
    """The dtypes of all tensors in nested outputs, in order."""
    if isinstance(value, SymbolicTensor):
        return [value.dtype]
    if isinstance(value, torch.Tensor):
        return [str(value.dtype).removeprefix("torch.")]
    if isinstance(value, dict):
        value = [*value.values()]
    return [d for v in value for d in _dtypes(v)] if isinstance(value, (tuple, list)) else []


# Refusals -------------------------------------------------------------------------------------

#: One dtype of each kind, and the integers that some kernels set apart.
_KINDS = (torch.bool, torch.uint8, torch.int64, torch.float32, torch.complex64)


def check_refused(op: OpInfo, name: str, count: int = 1) -> Verdict:
    """Where torch refuses a dtype, or operands of two, so do we; and the other way round.

    Torch refuses where no kernel that it declares, of any device, takes the dtype, and the
    processor's raises.
    """
    verdict = Verdict()
    declared = op.supported_dtypes("cpu") | op.supported_dtypes("cuda")
    if torch.float32 not in op.supported_dtypes("cpu"):
        return verdict
    for sample in samples(op, torch.float32, count):
        args = (sample.input, *sample.args)
        floats = [i for i, a in enumerate(args) if _is_float(a)]
        for dtype in _KINDS:
            every = _cast(args, dtype), _cast(sample.kwargs, dtype)
            _compare_refusal(verdict, op, name, *every, taken=dtype in declared)
        for i in floats if len(floats) > 1 else ():
            for dtype in (torch.float64, torch.int64):
                one = tuple(_cast(a, dtype) if i == j else a for j, a in enumerate(args))
                _compare_refusal(verdict, op, name, one, sample.kwargs)
    return verdict


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Floats in nested arguments in another dtype."""
    return tree_map(lambda v: v.to(dtype) if _is_float(v) else v, value)


def _compare_refusal(
    verdict: Verdict, op: OpInfo, name: str, args: Any, kwargs: Any, taken: bool = False
) -> None:
    if any(t.numel() == 0 for t in args if isinstance(t, torch.Tensor)):
        return  # no kernel runs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            op.op(*deepcopy(args), **deepcopy(kwargs))
            want = ""
        except Exception as error:
            want = str(error).partition("\n")[0] or type(error).__name__
    try:
        with Tape(dtype="float32").running():
            OPS[name](*reordered(op.full_name, *_symbolic(args)), **_symbolic(kwargs))
        have = ""
    except (UnsupportedOperation, DataDependent):
        return
    except SymcnnError as error:
        have = error.cause
    except Exception:  # a way to call it that has no rule
        return
    verdict.compared += 1
    if want and taken:  # by another device
        return
    if bool(have) != bool(want):
        given = [_said(a) for a in (*args, *kwargs.items())]
        verdict.differ.append(f"{op.full_name}({', '.join(given)}): {have!r}, torch {want!r}")
