"""Torch's own declared samples, put to our rules.

Torch describes its operations and modules to its own tests (``op_db``, ``module_db``): arguments
that must work, and arguments that must raise. Here they are the judge of `symcnn.ops`: a rule gets
the shapes of a sample's tensors, and must answer the shapes of torch's outputs, or raise too. It
does so twice: once for the numbers, once for symbols (one for every number from 2 up), where the
answer must be right when the numbers are put in, and what it requires must hold.

    python -m tests.fuzz.torch_samples

prints what is covered, what is skipped and why, and what fails.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import torch

import symcnn
import symcnn.ops  # fills OPS
from symcnn.algebra.size import Size, evaluate
from symcnn.errors import DataDependent, SymcnnError, UnsupportedOperation
from symcnn.trace.graph import OPS, Shape, SymbolicTensor
from symcnn.trace.tape import Tape, failure

if TYPE_CHECKING:
    from torch.testing._internal.common_modules import ModuleInfo
    from torch.testing._internal.opinfo.core import OpInfo, SampleInput

T = TypeVar("T")

__all__ = [
    "Report",
    "check_macs",
    "check_module",
    "check_op",
    "check_resized",
    "modules",
    "operations",
    "samples",
]

#: Names in `op_db` that our table has under another one.
_NAMES = {
    "__getitem__": "getitem",
    "max_pool2d_with_indices_backward": "",  # backward passes have no rule
    "unfold": "Tensor.unfold",
    "polygamma": "Tensor.polygamma",
    "nn.functional.unfold": "unfold",
    "linalg.norm": "linalg_norm",
    "linalg.diagonal": "",
    "constant_pad_nd": "pad",
}

#: Where torch declares the operation with its arguments in another order.
_ARGUMENTS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "where": lambda input, condition, other: (condition, input, other),
    "nn.functional.embedding": lambda weight, indices: (indices, weight),
    "nn.functional.embedding_bag": lambda weight, indices, *rest: (indices, weight, *rest),
    "einsum": lambda tensors, equation: (equation, *tensors),
    "constant_pad_nd": lambda input, pad, value=0: (input, pad, "constant", value),
    "normal.in_place": lambda input, mean, std: (input, std),
}

#: What torch complains of where shapes have no part in it.
NOT_ABOUT_SHAPES = re.compile(
    r"dtype|scalar type|Input type|boolean masks|bool tensor|integral Tensor"
    r"|Half, Float or Double"  # types
    r"|must be Tensor, not|invalid combination of arguments"  # numbers for tensors
    r"|single memory location|written-to tensor"  # overlap in memory
    r"|index \d+ is out of bounds|cannot be converted to type"  # values
    r"|singular|positive-definite|probability tensor|multinomial distribution"
    r"|Long tensor out"
    r"|up to 64 dims",  # how torch stores sets of axes
)


#: Where the sample's other arguments fix a size (``output_size=6``, a chunk size), and where torch
#: contradicts itself (circular pads of mixed sign raise or not depending on the memory layout).
BY_VALUE = {
    "repeat_interleave",
    "nn.functional.linear_cross_entropy",
    "nn.functional.pad.circular",
}


@dataclass
class Report:
    """The outcome of many samples."""

    covered: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)  # by name and reason
    failed: list[str] = field(default_factory=list)

    def __iadd__(self, other: Report) -> Report:
        self.covered += other.covered
        self.skipped += other.skipped
        self.failed += other.failed
        return self

    def __str__(self) -> str:
        reasons: Counter[str] = Counter()
        for (_, reason), count in self.skipped.items():
            reasons[re.sub(r"\bS?\d+\b|, at .*", "_", reason)] += count
        names = {name.removesuffix(" of symbols") for name in self.covered}
        lines = [f"covered {sum(self.covered.values())} samples of {len(names)} names"]
        lines += [f"skipped {sum(reasons.values())} samples"]
        lines += [f"  {count:6} {reason}" for reason, count in reasons.most_common()]
        lines += [f"failed {len(self.failed)}", *(f"  {text}" for text in self.failed)]
        return "\n".join(lines)


# Operations -----------------------------------------------------------------------------------


def _rule_of(op: Any) -> str:
    """The name of the rule that serves a torch operation; "" if none does."""
    if op.name in _NAMES:
        return _NAMES[op.name]
    if op.full_name == "linalg.pinv.singular":
        return ""  # of a product, made by the sample
    if op.full_name == "as_strided.partial_views":
        return ""  # of a part of memory that the shape does not tell
    if op.name.startswith(("linalg.", "fft.")) and op.name.replace(".", "_", 1) in OPS:
        return str(op.name.replace(".", "_", 1))
    if op.name.startswith(("special.", "masked.", "fft.", "sparse.", "_")):
        return ""
    plain = op.name.removeprefix("nn.functional.")
    if "." in plain:
        return ""
    if op.name.startswith("__r"):
        return ""
    return plain if plain in OPS else next((a.name for a in op.aliases if a.name in OPS), "")


def operations() -> Iterator[tuple[OpInfo, str]]:
    """Torch's declared operations that have a rule, and the rule's name."""
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        name = _rule_of(op)
        if name in OPS:
            yield op, name


def check_op(op: OpInfo, name: str, count: int | None = None) -> Report:
    """Our rule on the first `count` samples of `op` (None: all), error samples included."""
    report = Report()
    supported = op.supported_dtypes("cpu")
    if not supported:
        report.skipped[op.name, "not for the cpu"] += 1
        return report
    dtype = torch.float32 if torch.float32 in supported else min(supported, key=str)
    for sample in samples(op, dtype, count):
        args, kwargs = (sample.input, *sample.args), sample.kwargs
        _compare(report, op.full_name, name, op.op, args, kwargs)
    if op.error_inputs_func is not None:
        for error in seeded(op.error_inputs_func(op, "cpu"), count):
            sample = error.sample_input
            _compare_error(report, op, name, (sample.input, *sample.args), sample.kwargs, error)
    return report


def check_resized(op: OpInfo, name: str, count: int | None = None, seed: int = 0) -> Report:
    """Our rule on torch's samples at other sizes: each number, wherever it stands, another one.

    One time in three a single size is changed as well, so that many samples become invalid: then
    both must raise.
    """
    report = Report()
    supported = op.supported_dtypes("cpu")
    if torch.float32 not in supported or {op.name, op.full_name} & BY_VALUE:
        return report
    draw = Random(f"{seed}{op.full_name}")
    for sample in samples(op, torch.float32, count):
        arguments = ((sample.input, *sample.args), sample.kwargs)
        if not is_empty(arguments):
            args, kwargs = Resizer(draw)(arguments)
            _compare_resized(report, op, name, args, kwargs)
    return report


class Resizer:
    """Replaces sizes consistently: equal sizes stay equal, whatever tensor they belong to."""

    def __init__(self, draw: Random) -> None:
        self.draw = draw
        self.sizes = {1: 1}
        self.odd_one = draw.randrange(3) == 0

    def __call__(self, value: Any) -> Any:
        """The same nested arguments with other sizes."""
        if isinstance(value, torch.Tensor):
            shape = [self.sizes.setdefault(n, self.draw.randint(2, 9)) for n in value.shape]
            if self.odd_one and shape:
                self.odd_one = False
                shape[self.draw.randrange(len(shape))] = self.draw.randint(1, 9)
            return torch.ones(shape, dtype=value.dtype) * (0 if value.dtype == torch.int64 else 1)
        if isinstance(value, (tuple, list)):
            return type(value)(map(self, value))
        if isinstance(value, dict):
            return {k: self(v) for k, v in value.items()}
        return value


def _compare_resized(report: Report, op: Any, rule: str, args: Any, kwargs: Any) -> None:
    want = _torchs(op.op, args, kwargs)
    ours = _ours(op.full_name, rule, args, kwargs)
    if not isinstance(want, Exception):
        _judge(report, op.full_name, written_out(args, kwargs), ours, want)
    else:
        _judge_refusal(report, op.full_name, written_out(args, kwargs), ours, want)


def check_macs(op: OpInfo, name: str, count: int | None = None) -> Report:
    """MACs against ``torch.utils.flop_counter``, wherever it counts any."""
    from torch.utils.flop_counter import FlopCounterMode

    report = Report()
    for sample in samples(op, torch.float32, count):
        args, kwargs = (sample.input, *sample.args), sample.kwargs
        with FlopCounterMode(display=False) as counter:
            _torchs(op.op, args, kwargs)
        flops, tape = counter.get_total_flops(), Tape()
        if not flops:
            report.skipped[op.full_name, "nothing that torch counts"] += 1
            continue
        ordered = _ARGUMENTS.get(op.full_name, lambda *same: same)
        with tape.running():
            OPS[name](*ordered(*_symbolic(args, {}, False)), **_symbolic(kwargs, {}, False))
        ours = 2 * sum(node.result.work for node in tape.nodes)
        if ours == flops:
            report.covered[op.full_name] += 1
        else:
            text = written_out(args, kwargs)
            report.failed.append(f"{op.full_name}{text}: {ours} FLOPs, torch says {flops}")
    return report


def samples(op: OpInfo, dtype: torch.dtype, count: int | None = None) -> Iterator[SampleInput]:
    """The first `count` samples that torch declares of `op`.

    ``op.sample_inputs`` has the same, but looks for a unit test in every frame that calls it, with
    its source: below pytest that takes longer than all else.
    """
    return seeded(op.sample_inputs_func(op, "cpu", dtype, False), count)


def seeded(inputs: Iterable[T], count: int | None = None) -> Iterator[T]:
    """The first `count` of them, without warnings, each drawn from the same seed as torch does."""
    from torch.testing._internal.common_utils import SEED, set_rng_seed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        set_rng_seed(SEED)
        for one in islice(inputs, count):
            yield one
            set_rng_seed(SEED)


def _compare(report: Report, label: str, rule: str, op: Any, args: Any, kwargs: Any) -> None:
    want = _torchs(op, args, kwargs)
    for symbols in (False, True):
        ours = _ours(label, rule, args, kwargs, symbols=symbols)
        name = f"{label} of symbols" if symbols else label
        _judge(report, name, written_out(args, kwargs), ours, want)


def _judge(report: Report, label: str, text: str, ours: Any, want: Any) -> None:
    if isinstance(want, Exception):
        report.skipped[label, "torch refuses its own sample here"] += 1
    elif isinstance(ours, DataDependent):
        report.skipped[label, "the shape depends on values"] += 1
    elif isinstance(ours, UnsupportedOperation):
        report.skipped[label, f"no rule for it: {ours.cause}"] += 1
    elif ours != want:
        report.failed.append(f"{label}{text}: {ours!r}, torch says {want}")
    else:
        report.covered[label] += 1


def _compare_error(report: Report, op: Any, rule: str, args: Any, kwargs: Any, error: Any) -> None:
    if is_empty(kwargs.get("out")):
        report.skipped[op.name, "the dtype of out"] += 1
        return
    theirs = _torchs(op.op, args, kwargs)
    if not isinstance(theirs, Exception):
        report.skipped[op.name, "torch does not raise where it says so"] += 1
        return
    ours = _ours(op.full_name, rule, args, kwargs)
    _judge_refusal(report, op.name, written_out(args, kwargs), ours, theirs)


def _judge_refusal(report: Report, label: str, text: str, ours: Any, theirs: Exception) -> None:
    """Where torch raises about shapes, so must the rule."""
    if isinstance(ours, SymcnnError):
        report.covered[label] += 1
    elif isinstance(ours, Exception) or not NOT_ABOUT_SHAPES.search(str(theirs)):
        first = str(theirs).splitlines()[0] if str(theirs) else type(theirs).__name__
        report.failed.append(f"{label}{text}: {ours!r}, torch raises {first!r}")
    else:
        report.skipped[label, "an error that is not about shapes"] += 1


def _ours(label: str, rule: str, args: Any, kwargs: Any, *, symbols: bool = False) -> Any:
    """The rule's output shapes at the sample's sizes, or what it raises there."""
    ordered = _ARGUMENTS.get(label, lambda *same: same)
    sizes: dict[str, int] = {}
    tape = Tape()
    try:
        arguments = ordered(*_symbolic(args, sizes, symbols)), _symbolic(kwargs, sizes, symbols)
        with tape.running():
            found = OPS[rule](*arguments[0], **arguments[1])
    except Exception as error:
        return error
    for requirement in (r for node in tape.nodes for r in node.result.requires):
        if not requirement.holds(sizes):
            return failure(rule, requirement)
    return [tuple(evaluate(size, sizes) for size in shape) for shape in shapes_of(found)]


def reordered(label: str, *args: object) -> tuple[object, ...]:
    """The arguments of a sample in the order in which the function takes them."""
    return _ARGUMENTS.get(label, lambda *same: same)(*args)


def _torchs(op: Any, args: Any, kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return shapes_of(op(*args, **kwargs))
        except Exception as error:
            return error


def _symbolic(value: Any, sizes: dict[str, int], symbols: bool) -> Any:
    """Tensors in nested arguments as symbolic ones, masks recognizable as such.

    With `symbols`, every size from 2 up is a symbol, whose value goes into `sizes`.
    """
    if isinstance(value, torch.Tensor):
        plain = SymbolicTensor(
            tuple(_symbol(n, sizes) if symbols and n > 1 else n for n in value.shape)
        )
        return OPS["eq"](plain, 0) if value.dtype is torch.bool else plain
    if isinstance(value, (tuple, list)):
        inner = [_symbolic(v, sizes, symbols) for v in value]
        return inner if isinstance(value, list) else tuple(inner)
    if isinstance(value, dict):
        return {k: _symbolic(v, sizes, symbols) for k, v in value.items() if k != "out"}
    return value


def _symbol(size: int, sizes: dict[str, int]) -> Size:
    sizes[f"S{size}"] = size
    return Size.symbol(f"S{size}")


def shapes_of(value: object) -> list[tuple[int, ...]]:
    """The shapes of all tensors in nested outputs, in order."""
    if isinstance(value, SymbolicTensor):
        return [tuple(value.dims)]  # type: ignore[arg-type]
    if isinstance(value, torch.Tensor):
        return [tuple(value.shape)]
    if isinstance(value, Shape):
        return [tuple(value)]
    if isinstance(value, (tuple, list)):
        return [shape for v in value for shape in shapes_of(v)]
    if isinstance(value, dict):
        return [shape for v in value.values() for shape in shapes_of(v)]
    return []


def is_empty(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return value.numel() == 0
    if isinstance(value, (tuple, list)):
        return any(is_empty(v) for v in value)
    if isinstance(value, dict):
        return any(is_empty(v) for v in value.values())
    return False


def written_out(args: Iterable[object], kwargs: Mapping[str, object]) -> str:
    def one(value: object) -> str:
        if isinstance(value, torch.Tensor):
            return f"<{'x'.join(map(str, value.shape))}>"
        if isinstance(value, (tuple, list)):
            return f"({', '.join(map(one, value))})"
        return repr(value)

    every = [*map(one, args), *(f"{key}={one(value)}" for key, value in kwargs.items())]
    return f"({', '.join(every)})"


# Modules --------------------------------------------------------------------------------------


def modules() -> list[ModuleInfo]:
    """Torch's declared modules."""
    from torch.testing._internal.common_modules import module_db

    return list(module_db)


def check_module(info: ModuleInfo, count: int | None = None) -> Report:
    """The torch front end on the first `count` samples of a module, positional tensors only."""
    report = Report()
    label = info.name
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=False
    )
    for sample in seeded(inputs, count):
        if sample.forward_input is None:
            continue
        args, kwargs = sample.forward_input.args, sample.forward_input.kwargs
        if any(not isinstance(a, torch.Tensor) for a in args) or kwargs:
            report.skipped[label, "called with other things than tensors"] += 1
            continue
        if is_empty(args):
            report.skipped[label, "an input without elements"] += 1
            continue
        built = sample.constructor_input
        try:
            module = info.module_cls(*built.args, **built.kwargs).eval()
        except Exception:
            report.skipped[label, "torch refuses its own sample here"] += 1
            continue
        if isinstance(module, torch.nn.modules.lazy.LazyModuleMixin):
            run: Any = module
            run(*args)  # gives it its parameters
        want = _torchs(module, args, kwargs)
        if isinstance(want, Exception):
            report.skipped[label, "torch refuses its own sample here"] += 1
            continue
        specs = [" ".join(map(str, a.shape)) for a in args]
        if not all(specs):
            report.skipped[label, "an input without axes has no spec"] += 1
            continue
        try:
            ours: Any = shapes_of(symcnn.from_torch(module, *specs).outputs)
        except UnsupportedOperation as error:
            report.skipped[label, f"no rule for it: {error.cause}"] += 1
            continue
        except Exception as error:
            ours = error
        if ours == want:
            report.covered[label] += 1
        else:
            made = f"{label}{written_out(built.args, built.kwargs)}"
            report.failed.append(f"{made} on {specs}: {ours!r}, torch says {want}")
    return report


def main(count: int | None = None) -> Report:
    """All operations and modules."""
    report = Report()
    for op, name in operations():
        report += check_op(op, name, count)
    for info in modules():
        report += check_module(info, count)
    return report


if __name__ == "__main__":
    outcome = main()
    print(outcome)
    sys.exit(bool(outcome.failed))
