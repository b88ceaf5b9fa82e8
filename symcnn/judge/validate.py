"""A network against the torch module it came from, at sizes where mistakes would show.

Both must give the same shapes or both refuse: that is the judgement of `symcnn.judge.oracles`. This
module chooses the sizes (the borders of the domain, the ends of fibres, small, large and non-square
ones inside, and ones outside), looks at every module call on the way, and shrinks what it finds.
Nothing is passed silently: what could not be compared is listed with the reason.
"""

from __future__ import annotations

import copy
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from math import prod
from typing import TYPE_CHECKING, Any

from symcnn.algebra.size import evaluate, symbols_of
from symcnn.errors import BadSpec, SymcnnError, Undecidable, UnsupportedOperation, needs
from symcnn.judge.oracles import (
    failures,
    judge,
    own_kernels,
    shapes_in,
    torch_flops,
    torch_peak,
    torch_saved,
    torch_shapes,
)
from symcnn.judge.report import CHECKS, Check, Report
from symcnn.judge.sizes import distinct, interesting_sizes, is_valid, largest_of
from symcnn.lazy import cached_property
from symcnn.ops.dtypes import holds_floats
from symcnn.ops.operation import operation_of
from symcnn.progress import waiting, watched
from symcnn.questions.cost.cost import measure
from symcnn.questions.field.receptive_field import receptive_field
from symcnn.sets.member import by_name
from symcnn.trace.graph import SymbolicTensor, tensors_in
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    import torch


__all__ = ["CHECKS", "DTYPES", "Check", "Report", "check_device", "interesting_sizes", "validate"]


#: What modules and inputs may be cast to.
DTYPES = ("float32", "float16", "bfloat16", "float64")

_MEASURED = 4  # sizes at which memory is measured
_CHANGED_MOST = 2**18  # input elements, one image per index, where indices are changed one by one
_GRADIENT_MOST = 2**17  # input elements where receptive fields are compared by gradient
_REPEATED = 4  # sizes at which the forward runs twice
_TRIED_MOST = 2**28  # parameters of a module on meta that the CPU tries too
_SHRINKS = 200  # forwards that shrinking may take
_UNABLE = ("meta", "same device", "fake tensor")  # torch's words where a device cannot do it


def validate(
    net: Trace,
    module: torch.nn.Module,
    device: str = "meta",
    *,
    samples: int = 24,
    seed: int = 0,
    checks: Sequence[str] | None = None,
    dtype: str | None = None,
    channels_last: bool = False,
) -> Report:
    """See `symcnn.Network.validate`."""
    with needs("torch", "comparisons with torch"):
        import torch

    if not isinstance(module, torch.nn.Module):
        raise BadSpec(f"{type(module).__name__} is no torch.nn.Module", cure="give the one traced")
    if not isinstance(samples, int) or samples < 1:
        raise BadSpec(f"samples={samples!r}: at least one size is needed")
    if net.name:
        raise BadSpec(
            f"this is the part of a network up to {net.name}",
            cure="validate the whole: every module call on the way is compared",
        )
    wanted = frozenset(CHECKS if checks is None else checks)
    if unknown := sorted(wanted - set(CHECKS)):
        raise BadSpec(f"no check is called {unknown[0]!r}", cure=f"there is {', '.join(CHECKS)}")
    if dtype is not None and dtype not in DTYPES:
        raise BadSpec(f"no dtype is called {dtype!r} here", cure=f"there is {', '.join(DTYPES)}")
    check_device(device)
    dtype = dtype or _own_dtype(module)
    judging = _Judging(net, module, device, wanted, dtype, channels_last)
    found = [judging.parameters()]
    chosen = interesting_sizes(net, samples, seed)
    most = max(map(largest_of, chosen))
    for number, sizes in enumerate(watched(chosen, "running torch", len(chosen))):
        if largest_of(sizes) > most:
            found.append(Check("outputs", "skipped", sizes, why="larger ones filled the memory"))
            continue
        while True:
            try:
                found += judging.at(sizes, repeat=number < _REPEATED, memory=True)
                break
            except torch.OutOfMemoryError:
                found.append(Check("outputs", "skipped", sizes, why=f"out of memory on {device}"))
            except failures() as error:  # says nothing about shapes: a map without elements
                why = f"{device} failed ({str(error).splitlines()[0]})"
                found.append(Check("outputs", "skipped", sizes, why=why))
                break
            _release(device)
            most = largest_of(sizes) // 2
            smaller = _halved(net, sizes)
            if smaller == sizes or largest_of(smaller) > most:
                break
            sizes = smaller
    if "receptive field" in wanted:
        with waiting("comparing receptive fields"):
            found += judging.fields(chosen)
    found = [c for c in found if c.what in wanted]
    first = next((c for c in found if c.verdict == "failed"), None)
    if first is not None:
        first = judging.shrunk(first)
    return Report(device, seed, torch.__version__, tuple(found), first, dtype or "", channels_last)


def _own_dtype(module: Any) -> str | None:
    """What the inputs must be cast to, if the module is of one dtype that is not float32."""
    found = {str(p.dtype).removeprefix("torch.") for p in module.parameters()}
    (only,) = found if len(found) == 1 else ("",)
    return only if only in DTYPES[1:] else None


def _release(device: str) -> None:
    """What a failed attempt left behind on a card goes."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def _halved(net: Trace, sizes: dict[str, int]) -> dict[str, int]:
    """About half of every size, moved into the domain where that is known."""
    half = {name: max(1, size // 2) for name, size in sizes.items()}
    try:
        domain = net.valid_inputs()
    except Undecidable:
        return half
    if not domain or not domain.shown:
        return half
    return half | by_name(domain.shown, domain.nearest(*(half[n] for n in domain.shown)))


def check_device(device: str) -> None:
    """Raises BadSpec for a device that is not there."""
    import torch

    there = ["meta", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if "cuda:0" in there:
        there.append("cuda")
    if device not in there:
        raise BadSpec(f"there is no device {device!r} here", cure=f"there is {', '.join(there)}")


# What is compared ---------------------------------------------------------------------------------


class _Judging:
    """A network, a copy of its module on the device, and how to call it."""

    def __init__(
        self,
        net: Trace,
        module: Any,
        device: str,
        wanted: frozenset[str],
        dtype: str | None = None,
        channels_last: bool = False,
    ) -> None:
        self.net, self.original, self.device, self.wanted = net, module, device, wanted
        self.dtype, self.channels_last = dtype, channels_last
        self.measurements = _MEASURED
        _check_same(net, module)
        self.module = self.copied(device)
        same = device == "meta"
        self.on_meta = (
            self.module if same else _cast(_moved(module, "meta"), dtype, channels_last=False)
        )
        self.named = self._keywords()

    def copied(self, device: str) -> torch.nn.Module:
        """A copy of the module on a device, which nothing has run yet."""
        if device != "meta" and any(t.is_meta for t in _tensors(self.original)):
            raise BadSpec(
                "the module is on meta and has no values",
                cure="build it without torch.device('meta'), or validate with device='meta'",
            )
        there = _moved(self.original, device)
        return _cast(there, self.dtype, channels_last=self.channels_last)

    def _keywords(self) -> tuple[str, ...]:
        """The inputs that the forward takes by name."""
        known = signature(self.original.forward).parameters
        names = tuple(t.name for t in self.net.input_tensors)
        return names if names and all(n and n in known for n in names) else ()

    def call(self, module: torch.nn.Module) -> Callable[..., object]:
        """The module as a function of its inputs in our order."""

        def run(*inputs: torch.Tensor) -> object:
            inputs = tuple(map(self.cast_input, inputs, self.net.input_tensors))
            return (
                module(**dict(zip(self.named, inputs, strict=True)))
                if self.named
                else module(*inputs)
            )

        return run

    def cast_input(self, x: torch.Tensor, given: SymbolicTensor) -> torch.Tensor:
        """An input in the dtype and layout asked for; indices, masks, complex maps in their own."""
        import torch

        if given.dtype and (not holds_floats(given.dtype) or given.dtype.startswith("complex")):
            return x.to(getattr(torch, given.dtype))
        if self.dtype is not None:
            x = x.to(getattr(torch, self.dtype))
        return _last(x) if self.channels_last else x

    def parameters(self) -> Check:
        """The number of parameters."""
        import torch

        if any(torch.nn.parameter.is_lazy(p) for p in self.original.parameters()):
            return Check("parameters", "skipped", {}, why="the module is lazy: run it once before")
        theirs = sum(p.numel() for p in self.original.parameters())
        return _compared("parameters", {}, self.net.params, theirs)

    def at(
        self, sizes: dict[str, int], *, repeat: bool = False, memory: bool = False
    ) -> Iterator[Check]:
        """All comparisons at one size."""
        module = _as_given(self.module)
        with _calls_of(module) as called:
            verdict = judge(self.net, self.call(module), sizes, device=self.device)
        what = "refusals" if verdict.ours is None else "outputs"
        if not verdict.agree:
            yield self._disagreement(what, sizes, verdict, module)
            return
        yield Check(what, "passed", sizes)
        if repeat:
            again = torch_shapes(self.net, self.call(module), sizes, self.device)
            yield _compared("repeat", sizes, verdict.torch, again)
        if verdict.ours is None:
            return
        yield self._modules(sizes, called)
        if "flops" in self.wanted:
            yield self._flops(sizes)
        if memory and self.measurements:
            self.measurements -= 1
            if "saved" in self.wanted:
                yield self._saved(sizes)
            if "peak" in self.wanted:
                yield self._peak(sizes)

    def _disagreement(
        self, what: str, sizes: dict[str, int], verdict: Any, module: torch.nn.Module
    ) -> Check:
        if verdict.by_choice:
            return Check(what, "skipped", sizes, why=f"refused on purpose: {verdict.why}")
        if verdict.by_values and self.device == "meta":
            why = f"torch looks at no values on meta ({verdict.why}); try device='cpu'"
            return Check(what, "skipped", sizes, why=why)
        again = torch_shapes(self.net, self.call(module), sizes, self.device)
        if again != verdict.torch:
            first, second = (_answer_text(s, verdict.error) for s in (verdict.torch, again))
            return Check("repeat", "failed", sizes, ours="one answer", torch=f"{first}, {second}")
        words = verdict.error
        if verdict.torch is None and "not implemented for" in words:
            why = f"torch has no kernel for this dtype on {self.device} ({words})"
            return Check(what, "skipped", sizes, why=why)
        if self.device == "meta" and None in (verdict.ours, verdict.torch):
            missing = words.startswith("NotImplementedError") or any(u in words for u in _UNABLE)
            if (missing and verdict.torch is None) or self._is_so_on_cpu(sizes, verdict.ours):
                lies = f"cannot run this on meta ({words})" if words else "takes this on meta alone"
                return Check(what, "skipped", sizes, why=f"torch {lies}; try device='cpu'")
        if verdict.ours is None and self.device in ("meta", "cpu"):
            with own_kernels():
                refused = self._is_so_on_cpu(sizes, None)
            if refused:
                said = verdict.why.splitlines()[0]
                why = f"of torch's kernels only oneDNN's, or a fused one, take it: {said}"
                return Check(what, "skipped", sizes, why=why)
        ours = _answer_text(verdict.ours, verdict.why.splitlines()[0] if verdict.why else "")
        return Check(what, "failed", sizes, ours=ours, torch=_answer_text(verdict.torch, words))

    def _is_so_on_cpu(self, sizes: dict[str, int], ours: object) -> bool:
        """Whether the CPU says what we say, where meta refuses alone, or takes alone."""
        if self.on_cpu is None:
            return False
        return bool(torch_shapes(self.net, self.call(_as_given(self.on_cpu)), sizes, "cpu") == ours)

    @cached_property
    def on_cpu(self) -> torch.nn.Module | None:
        """The module on the CPU, of zeros if it has no values; None of one too large to try."""
        if sum(t.numel() for t in _tensors(self.original)) > _TRIED_MOST:
            return None
        return _cast(_moved(self.original, "cpu"), self.dtype, channels_last=self.channels_last)

    def _modules(self, sizes: dict[str, int], called: dict[str, list[Any]]) -> Check:
        calls: dict[str, list[Any]] = defaultdict(list)
        for scope in self.net.branch_at(**sizes).calls:
            calls[scope.path].append(scope.output)
        uncompared = []
        for path, outputs in calls.items():
            theirs = called.get(path, [])
            if len(theirs) != len(outputs):  # a rule for the whole, or a fused kernel of torch's
                uncompared.append(path)
                continue
            for number, (output, shapes) in enumerate(zip(outputs, theirs, strict=True), 1):
                ours = [tuple(evaluate(d, sizes) for d in t.dims) for t in tensors_in(output)]
                if ours != shapes:
                    where = path if len(outputs) == 1 else f"{path}:{number}"
                    return _compared("modules", sizes, ours, shapes, where)
        if uncompared:
            some = ", ".join(uncompared[:3]) + (", ..." if len(uncompared) > 3 else "")
            why = f"torch calls {some} another number of times; the others agree"
            return Check("modules", "skipped", sizes, why=why)
        return Check("modules", "passed", sizes)

    def _flops(self, sizes: dict[str, int]) -> Check:
        try:
            ours = self._cost.at(**sizes).total
        except UnsupportedOperation as error:
            return Check("flops", "skipped", sizes, why=error.cause)
        try:
            theirs, _ = torch_flops(
                self.net, self.call(_as_given(self.on_meta)), sizes, backward=False
            )
        except Exception as error:
            return Check("flops", "skipped", sizes, why=f"torch on meta: {type(error).__name__}")
        return _compared("flops", sizes, ours, theirs)

    @cached_property
    def _cost(self) -> Any:
        return measure(self.net, "flops", dtype=self.dtype or "float32")

    # memory

    def _saved(self, sizes: dict[str, int]) -> Check:
        """Bytes that autograd keeps: our formulas are of torch's CPU kernels."""
        if self.device != "cpu" or self.channels_last:
            why = "stated for contiguous tensors on cpu, see docs/cost.md"
            return Check("saved", "skipped", sizes, why=why)
        try:
            ours = self._cost.at(**sizes).saved
        except SymcnnError as error:
            return Check("saved", "skipped", sizes, why=error.cause)
        module = _as_given(self.module)
        try:
            theirs = torch_saved(self.net, module, sizes, call=self.call(module))
        except Exception as error:
            return Check("saved", "skipped", sizes, why=f"torch raised {type(error).__name__}")
        return _compared("saved", sizes, ours, theirs)

    def _peak(self, sizes: dict[str, int]) -> Check:
        """Our peak counts what python holds, and on the way of an operation what the record says:
        inside of operations torch may keep more, never less. Where meta keeps less, as it takes
        no part in autocast and is spared copies, the CPU is asked.
        """
        import torch

        try:
            ours = self._cost.at(**sizes).peak
        except SymcnnError as error:
            return Check("peak", "skipped", sizes, why=error.cause)
        # what it caches is made in a first pass
        inputs, first = self._inputs(sizes), _as_given(self.module)
        try:
            alive, count, rounded = torch_peak(first, self.call(first), inputs)
            if alive < ours and self.device == "meta":
                if self.on_cpu is None or ours > _TRIED_MOST:
                    why = "torch keeps less on meta; try device='cpu'"
                    return Check("peak", "skipped", sizes, why=why)
                first = _as_given(self.on_cpu)
                inputs = [torch.zeros_like(x, device="cpu") for x in inputs]
                alive, count, rounded = torch_peak(first, self.call(first), inputs)
        except Exception as error:
            return Check("peak", "skipped", sizes, why=f"torch raised {type(error).__name__}")
        told = f"symcnn {ours:,} bytes, torch's references {alive:,} in {count} storages"
        if self.device.startswith("cuda"):
            allocated = self._allocated(inputs)
            told += (
                f"; allocated {allocated:,}: {rounded - alive:,} more by rounding each to 512 "
                f"bytes, {allocated - rounded:,} of workspace"
            )
        verdict = "passed" if ours <= alive else "failed"
        return Check("peak", verdict, sizes, ours=str(ours), torch=str(alive), why=told)

    def _inputs(self, sizes: dict[str, int]) -> list[Any]:
        import torch

        given = self.net.input_tensors
        shapes = [[evaluate(d, sizes) for d in t.dims] for t in given]
        zeros = [torch.zeros(s, device=self.device) for s in shapes]
        return list(map(self.cast_input, zeros, given))

    def _allocated(self, inputs: list[Any]) -> int:
        """What the card's allocator hands out at most in an inference pass, inputs included.

        The second pass counts: the first leaves behind the workspaces that libraries keep.
        """
        import torch

        call = self.call(_as_given(self.module))
        own = sum(-(-x.nbytes // 512) * 512 for x in inputs)
        most = 0
        with torch.no_grad():
            for _ in range(2):
                torch.cuda.synchronize(self.device)
                torch.cuda.reset_peak_memory_stats(self.device)
                before = torch.cuda.memory_allocated(self.device)
                made = call(*inputs)
                torch.cuda.synchronize(self.device)
                most = torch.cuda.max_memory_allocated(self.device) - before + own
                del made
        return int(most)

    # receptive fields

    def fields(self, chosen: Sequence[dict[str, int]]) -> Iterator[Check]:
        """Receptive fields at the smallest sizes and at the greatest that are not too costly."""
        if self.device == "meta":
            yield Check("receptive field", "skipped", {}, why="no values on meta")
            return
        try:
            field = receptive_field(self.net)
            reason = self._no_field(field)
        except SymcnnError as error:  # also of a branch whose output is a constant
            yield Check("receptive field", "skipped", {}, why=error.cause)
            return
        if reason:
            yield Check("receptive field", "skipped", {}, why=reason)
            return
        valid = distinct(s | dict.fromkeys(self.net.batch, 1) for s in chosen)
        valid = [s for s in valid if is_valid(self.net, s)]
        valid.sort(key=lambda s: prod(self._image(s)))
        few = [
            s
            for s in valid
            if max(s[a] for a in field.axes) * prod(self._image(s)) <= _CHANGED_MOST
        ]
        small = [s for s in valid if prod(self._image(s)) <= _GRADIENT_MOST]
        if not small:
            why = f"no image drawn has at most {_GRADIENT_MOST:,} elements"
            yield Check("receptive field", "skipped", {}, why=why)
        uneven = [s for s in few if len({s[a] for a in field.axes}) == len(field.axes)]
        for sizes in distinct([*few[:1], *uneven[:1], *uneven[-1:]]):
            yield self._field_at(sizes, by_gradient=False)
        for sizes in small[-1:]:
            yield self._field_at(sizes, by_gradient=True)

    def _image(self, sizes: Mapping[str, int]) -> list[int]:
        batch, *dims = self.net.input_tensors[0].dims
        images = batch if isinstance(batch, int) else 1
        return [images, *(evaluate(d, sizes) for d in dims)]

    def _no_field(self, field: Any) -> str:
        if any(field.whole):
            return f"{next(filter(None, field.whole))} reads the whole axis"
        inputs, outputs = self.net.input_tensors, self.net.output_tensors
        if len(inputs) != 1 or len(outputs) != 1 or not holds_floats(inputs[0].dtype):
            return "only for one map in and one map out"
        dims = inputs[0].dims
        if len(dims) != outputs[0].ndim or len(dims) < 3 or not isinstance(dims[1], int):
            return "only for maps N C ... of as many axes in as out"
        if len(field.axes) != len(dims) - 2 or any(
            symbols_of(d) != {a} for d, a in zip(dims[2:], field.axes, strict=True)
        ):
            return "only where every spatial axis is a symbol of its own"
        return ""

    def _field_at(self, sizes: dict[str, int], *, by_gradient: bool) -> Check:
        """All output indices by changing inputs, on the CPU; some by gradient, on the device."""
        import torch

        from symcnn.judge.probe import gradient_support, make_positive, support

        module = make_positive(_moved(self.original, self.device if by_gradient else "cpu"))
        shape = self._image(sizes)
        at = receptive_field(self.net).at(**sizes)
        records = [operation_of(n) for n in self.net.nodes]
        shown = {"" if record is None else record.shows for record in records}
        exact = shown <= ({"every"} if by_gradient else {"every", "winner"})
        for axis, name in enumerate(receptive_field(self.net).axes):
            try:
                said = torch.as_tensor(at.table(axis))
            except SymcnnError as error:  # of several output axes, or of one that is not its own
                return Check("receptive field", "skipped", sizes, why=error.cause)
            outputs = [*range(len(said))]
            if by_gradient:
                outputs = sorted({0, len(said) // 2, len(said) - 1})
            turned = _turned(receptive_field(self.net), axis, sizes)
            try:
                if by_gradient:
                    found = gradient_support(module, shape, axis, outputs, turned=turned)
                else:
                    found = support(module, shape, axis, turned=turned)
            except Exception as error:
                why = f"torch raised {type(error).__name__} in double precision"
                return Check("receptive field", "skipped", sizes, why=why)
            said, read = said[outputs], torch.as_tensor(found)
            if said.shape != read.shape:
                why = "the axes of the output are in another order than those of the input"
                return Check("receptive field", "skipped", sizes, why=why)
            wrong = said != read if exact else read & ~said
            if wrong.any():
                i = int(wrong.any(1).nonzero()[0])
                ours, theirs = (row[i].nonzero().flatten().tolist() for row in (said, read))
                where = f"output index {outputs[i]} along {name}"
                return _compared("receptive field", sizes, ours, theirs, where)
        return Check("receptive field", "passed", sizes, "by gradient" if by_gradient else "")

    # shrinking

    def shrunk(self, found: Check) -> Check:
        """The same kind of failure at the smallest sizes, each size as small as it can be."""
        left = _SHRINKS

        def fails(sizes: dict[str, int]) -> Check | None:
            nonlocal left
            left -= 1
            memory = found.what in ("saved", "peak")
            self.measurements = int(memory)
            checks = self.at(sizes, memory=memory)
            return next((c for c in checks if c.verdict == "failed" and c.what == found.what), None)

        if found.what not in ("outputs", "refusals", "modules", "flops", "saved", "peak"):
            return found
        smaller = True
        while smaller:
            smaller = False
            for name, size in found.sizes.items():
                for candidate in dict.fromkeys([*range(1, min(size, 9)), size // 2, size - 1]):
                    if not 1 <= candidate < size or left <= 0:
                        continue
                    better = fails({**found.sizes, name: candidate})
                    if better is not None:
                        found, smaller = better, True
                        break
        return found


def _compared(
    what: str, sizes: Mapping[str, int], ours: Any, theirs: Any, where: str = ""
) -> Check:
    if ours == theirs:
        return Check(what, "passed", sizes, where)
    return Check(what, "failed", sizes, where, _answer_text(ours), _answer_text(theirs))


def _answer_text(value: Any, refusal: str = "") -> str:
    if value is None:
        return f"refuses ({refusal})" if refusal else "refuses"
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], tuple):
        value = value[0]
    return str(value)


def _check_same(net: Trace, module: Any) -> None:
    """Raises BadSpec, saying where they differ, if this cannot be the module that was traced."""
    import torch

    if any(torch.nn.parameter.is_lazy(p) for p in module.parameters()):
        return
    open_ones = frozenset[str]().union(*(symbols_of(*p.dims) for p in net.parameters))
    if open_ones:
        raise BadSpec(
            f"parameters of this network depend on {', '.join(sorted(open_ones))}",
            cure="trace it with numbers in their place: a module has numbers",
        )
    ours = [(p.name, tuple(p.dims)) for p in net.parameters]
    theirs = [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    extra = [*(Counter(s for _, s in theirs) - Counter(s for _, s in ours))]
    missing = [*(Counter(s for _, s in ours) - Counter(s for _, s in theirs))]
    if not extra and not missing:
        return
    told = [f"{len(ours)} parameters were traced, it has {len(theirs)}"]
    told += [f"it has {n} of shape {s}" for n, s in theirs if s in extra and (n, s) not in ours][:2]
    told += [f"traced {n} of shape {s}" for n, s in ours if s in missing and (n, s) not in theirs][
        :2
    ]
    raise BadSpec(
        f"this is not the module that was traced: {'; '.join(told)}",
        cure="give the module that symcnn.from_torch was given",
    )


def _as_given(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that no size has run, of the same parameters and buffers: a forward may write sizes
    into its module (transformers' Swin takes a smaller window, and never the greater one again).
    """
    return copy.deepcopy(module, {id(t): t for t in _tensors(module)})


def _tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    """Parameters, buffers, and what was computed from them and put beside them: torch's older
    weight_norm keeps the weight so, and no such tensor can be copied by itself.
    """
    import torch

    beside = (t for m in module.modules() for t in vars(m).values() if torch.is_tensor(t))
    return [*module.parameters(), *module.buffers(), *beside]


def _moved(module: Any, device: str) -> Any:
    """A copy on a device; on meta no memory is taken, and from meta come zeros."""
    import torch

    memo: dict[int, Any] = {}
    for t in _tensors(module):
        if torch.nn.parameter.is_lazy(t):
            continue
        lacks = t.is_meta and device != "meta"
        there = torch.zeros_like(t, device=device) if lacks else t.detach().to(device, copy=True)
        made = (
            torch.nn.Parameter(there, t.requires_grad)
            if t.is_leaf and isinstance(t, torch.nn.Parameter)
            else there
        )
        memo[id(t)] = made
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise BadSpec(
            f"the module cannot be copied: {type(error).__name__}: {error}",
            cure="make it one that copy.deepcopy takes",
        ) from error


def _cast(module: torch.nn.Module, dtype: str | None, *, channels_last: bool) -> torch.nn.Module:
    """The module, of which nobody else has a copy, in another dtype and layout."""
    import torch

    if dtype is not None:
        torch.nn.Module.to(module, getattr(torch, dtype))  # not a method of its own
    for t in _tensors(module) if channels_last else ():
        t.data = _last(t.data)
    return module


def _last(t: Any) -> Any:
    """A tensor with its channels innermost, if it is a map, or the weight of a convolution."""
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return t.to(memory_format=formats[t.dim()]) if t.dim() in formats else t


@contextmanager
def _calls_of(module: Any) -> Iterator[dict[str, list[Any]]]:
    """The output shapes of every module call while this lasts, by path."""
    called: dict[str, list[Any]] = defaultdict(list)

    def hook(path: str) -> Callable[..., None]:
        def note(_: object, __: object, output: object) -> None:
            called[path].append(list(shapes_in(output)))

        dynamo = sys.modules.get("torch._dynamo")  # it would compile the hook, too
        return note if dynamo is None else dynamo.disable(note)

    handles = [m.register_forward_hook(hook(path)) for path, m in module.named_modules() if path]
    try:
        yield called
    finally:
        for handle in handles:
            handle.remove()


def _turned(field: Any, axis: int, sizes: dict[str, int]) -> int | None:
    """The axis of the output along which the field of one of the input moves, if it is one."""
    branches = getattr(field, "parts", ())
    field = next((own for where, own in branches if sizes in where), field)
    with suppress(Undecidable):
        along: int | None = field.along(axis, "i")[0]
        return along
    return None
