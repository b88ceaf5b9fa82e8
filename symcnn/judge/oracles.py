"""Torch as the judge of a traced network: the same shapes at a size, or both refuse."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import evaluate
from symcnn.errors import InvalidInput, Undecidable
from symcnn.interrupts import Held
from symcnn.questions.inputs.domain import shape_at
from symcnn.sets.condition import KeepsBatch, Place, Requirement
from symcnn.sets.inputset import InputSet
from symcnn.sets.member import as_tuple, by_name
from symcnn.trace.graph import Shape, fields_of
from symcnn.trace.objects import opened
from symcnn.trace.trace import Trace

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Verdict:
    """What both sides say at one size: all output shapes in order, or None for a refusal."""

    sizes: dict[str, int]
    ours: list[tuple[int, ...]] | None
    torch: list[tuple[int, ...]] | None
    why: str = ""  # our reason for a refusal
    error: str = ""  # torch's
    unmet: Requirement | None = None  # what we refuse it for, if that is one

    @property
    def agree(self) -> bool:
        """Whether both give the same shapes, or both refuse."""
        return self.ours == self.torch

    @property
    def by_choice(self) -> bool:
        """Whether we refuse what torch takes, on purpose: the batch trap, or an open branch."""
        open_branch = "trace again with example" in self.why
        return self.ours is None and (open_branch or isinstance(self.unmet, KeepsBatch))

    @property
    def by_values(self) -> bool:
        """Whether we refuse an index for its values, at which torch does not look on `meta`."""
        return any(isinstance(r, Place) for r in getattr(self.unmet, "options", [self.unmet]))


def judge(
    net: Trace,
    module: Callable[..., object],
    sizes: Mapping[str, int],
    *,
    device: str = "meta",
    **keywords: object,
) -> Verdict:
    """Compare a network with the torch module it came from at one size."""
    try:
        ours, why, unmet = list(shapes_in(shape_at(net, **sizes))), "", None
    except InvalidInput as error:
        ours, why, unmet = None, str(error), error.unmet
    theirs, words = _run(net, module, sizes, device, keywords)
    return Verdict(dict(sizes), ours, theirs, why, words, unmet)


def torch_shapes(
    net: Trace,
    module: Callable[..., object],
    sizes: Mapping[str, int],
    device: str = "meta",
    **keywords: object,
) -> list[tuple[int, ...]] | None:
    """The shapes of all tensors that the module returns, in order; None if it raises."""
    return _run(net, module, sizes, device, keywords)[0]


def _run(
    net: Trace,
    module: Callable[..., object],
    sizes: Mapping[str, int],
    device: str,
    keywords: Mapping[str, Any],
) -> tuple[list[tuple[int, ...]] | None, str]:
    """The shapes, and torch's words if it raises. A card that is full says nothing about them."""
    import torch

    try:
        inputs = [torch.zeros(shape, device=device) for shape in _input_shapes(net, sizes)]
        with torch.no_grad():
            return list(shapes_in(module(*inputs, **keywords))), ""
    except failures():
        raise
    except Exception as error:
        words = str(error).strip().splitlines()
        return None, f"{type(error).__name__}: {words[0] if words else ''}"


def failures() -> tuple[type[Exception], ...]:
    """What torch raises where a device is full or has failed: that is no answer about a shape."""
    import torch

    accelerator = getattr(torch, "AcceleratorError", torch.OutOfMemoryError)  # from torch 2.8 on
    return (torch.OutOfMemoryError, accelerator)


def _input_shapes(net: Trace, sizes: Mapping[str, int]) -> list[list[int]]:
    return [[evaluate(from_sympy(d), sizes) for d in shape] for shape in net.inputs]


@contextmanager
def own_kernels(*, fused: bool = False) -> Iterator[None]:
    """Torch without oneDNN and, unless they are wanted, without fused kernels of attention."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # the flags below mention it
        with (
            torch.backends.mkldnn.flags(enabled=False),
            nullcontext() if fused else sdpa_kernel(SDPBackend.MATH),
        ):
            yield


def torch_flops(
    net: Trace,
    module: Callable[..., object],
    sizes: Mapping[str, int],
    *,
    input_grad: bool = False,
    backward: bool = True,
    inputs: Sequence[torch.Tensor] | None = None,
) -> tuple[int, int]:
    """FLOPs as `torch.utils.flop_counter` counts them: forward, then backward.

    Of `inputs`; or of zeros, on the device of the module's parameters; on meta, where
    nothing is computed, if it has none, or is a plain function.
    On CPU without oneDNN and without fused attention: the counter takes their fused LSTM, and the
    attention, for nothing.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    parameters = module.parameters() if isinstance(module, torch.nn.Module) else ()
    device = next((t.device for t in (*(inputs or ()), *parameters)), torch.device("meta"))
    if inputs is None:
        shapes = _input_shapes(net, sizes)
        inputs = [torch.zeros(shape, device=device, requires_grad=input_grad) for shape in shapes]
    with ExitStack() as stack:
        stack.enter_context(own_kernels(fused=device.type != "cpu"))
        stack.enter_context(_in_written_order())
        counter = stack.enter_context(FlopCounterMode(display=False))
        found = module(*inputs)
        forward = counter.get_total_flops()
        if not backward:
            return forward, 0
        ends = [t.sum() for t in tensors_of(found) if t.requires_grad]
        if ends:
            torch.stack([end.reshape(()) for end in ends]).sum().backward()  # type: ignore[no-untyped-call]
    if isinstance(module, torch.nn.Module):
        module.zero_grad()
    return forward, counter.get_total_flops() - forward


def _own(module: torch.nn.Module) -> dict[int, object]:
    """The storages of parameters and buffers, held, so that no address is used twice."""
    storages = (t.untyped_storage() for t in (*module.parameters(), *module.buffers()))
    return {storage._cdata: storage for storage in storages}


def torch_saved(
    net: Trace,
    module: torch.nn.Module,
    sizes: Mapping[str, int],
    *,
    input_grad: bool = False,
    call: Callable[..., object] | None = None,
    inputs: Sequence[torch.Tensor] | None = None,
) -> int:
    """Bytes of all storages that autograd saves in a forward pass on CPU.

    Each storage counts once and whole; those of parameters and buffers do not count. `call` runs
    the module, if not as it is, on random numbers, where no `inputs` are given.
    """
    import torch

    own = _own(module)
    kept: dict[int, Any] = {}
    learned = {id(p) for p in module.parameters()}
    others: dict[int, Any] = {}  # parameters of none of the modules, held

    def pack(t: torch.Tensor) -> torch.Tensor:
        # weights that a forward gives other data are not among them
        whole = t if t._base is None else t._base
        if id(whole) not in learned:
            storage = t.untyped_storage()
            kept[storage._cdata] = storage  # held, so that no address is used twice
            if isinstance(whole, torch.nn.Parameter):
                others[id(whole)] = whole
        return t.detach()  # an output that its own function keeps would never be freed

    if inputs is None:
        shapes = _input_shapes(net, sizes)
        inputs = [torch.randn(shape).requires_grad_(input_grad) for shape in shapes]

    def run() -> None:
        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
        with hooks, _in_written_order():
            (call or module)(*inputs)

    run()
    if others:  # a forward makes its own anew: those that it meets again were there, as a closure's
        first, before = dict(kept), dict(others)
        others.clear()
        run()
        own |= {p.untyped_storage()._cdata: p for key, p in before.items() if key in others}
        kept = first
    return sum(storage.nbytes() for key, storage in kept.items() if key not in own)


def torch_peak(
    module: torch.nn.Module, call: Callable[..., object], inputs: Sequence[torch.Tensor]
) -> tuple[int, int, int]:
    """Bytes of all tensors alive at the worst moment of an inference pass, after each of torch's
    operations; how many storages they are in; and the same bytes with every storage rounded up to
    the 512 bytes in which CUDA's allocator deals.

    Inputs count throughout; parameters, buffers and what else is there before the forward do not.
    That is what references keep alive, torch's and those of python: a variable may keep a tensor
    longer than its last reader needs it.
    """
    import torch
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode

    own = _own(module)
    alive: dict[int, tuple[Any, int]] = {}
    worst = (0, 0, 0)

    def seen(*values: object) -> None:
        for t in tensors_of(values):
            storage = t.untyped_storage()
            if storage._cdata not in own:
                ref = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                alive[storage._cdata] = ref, storage.nbytes()

    class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal worst
            if func is not torch.ops.aten.lift_fresh.default:  # whose argument was made just now
                for t in tensors_of((args, kwargs or {})):
                    storage = t.untyped_storage()
                    if storage._cdata not in alive:
                        own[storage._cdata] = storage
            made = func(*args, **(kwargs or {}))
            for key in [key for key, (ref, _) in alive.items() if ref.expired()]:
                del alive[key]
            seen(made)
            sizes = [size for _, size in alive.values() if size]  # one of none may be resized
            worst = max(worst, (sum(sizes), len(sizes), sum(-(-s // 512) * 512 for s in sizes)))
            return made

    seen(*inputs)
    with (
        Held() as held,
        torch.no_grad(),
        _in_written_order(),
        without_short_cut(),
        Watching(),  # type: ignore[no-untyped-call]
        held.work(),
    ):
        call(*inputs)
    return worst


@contextmanager
def without_short_cut() -> Iterator[None]:
    """Without the kernel that a transformer layer takes in inference: it shows nothing of what it
    keeps inside, does not look at masks, and takes one of a single element that every other call
    refuses.
    """
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _in_written_order() -> AbstractContextManager[None]:
    """Where opt_einsum is installed, torch's einsum takes the order that is cheapest at each size;
    our polynomials are of the order that is written.
    """
    from torch.backends import opt_einsum

    found: AbstractContextManager[None] = opt_einsum.flags(enabled=False)
    return found


def tensors_of(value: object) -> Iterator[torch.Tensor]:
    """The torch tensors in nested values."""
    for leaf in _leaves(opened(value, _is_tensor)):
        if _is_tensor(leaf):
            yield leaf


def shapes_in(value: object) -> Iterator[tuple[int, ...]]:
    """The shapes of all tensors in nested values, of torch's or of ours, in order."""
    for leaf in _leaves(opened(value, _is_tensor)):
        if isinstance(leaf, Shape) or (hasattr(leaf, "shape") and hasattr(leaf, "dim")):
            yield tuple(leaf if isinstance(leaf, Shape) else leaf.shape)


def _leaves(value: object) -> Iterator[Any]:
    """What nested values hold; a shape of ours is one value."""
    if isinstance(value, (Mapping, tuple, list)) and not isinstance(value, Shape):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(inner)
    elif (parts := fields_of(value)) is not None:
        yield from _leaves(parts)
    else:
        yield value


def _is_tensor(value: object) -> bool:
    return hasattr(value, "requires_grad") and hasattr(value, "dim")


def sample_sizes(
    net: Trace, count: int, *, inside: bool, seed: int = 0
) -> Iterator[dict[str, int]]:
    """Random sizes inside the domain, or outside it (fewer if there are few)."""
    draw = Random(f"{seed}{inside}")
    domain = net.valid_inputs()
    least = domain.smallest()
    top = max(320, 4 * (max(least) if isinstance(least, tuple) else least))
    found: set[tuple[int, ...]] = set()
    for _ in range(20 * count):
        if len(found) == count:
            return
        drawn: Sequence[int] = [draw.randint(1, top) for _ in domain.shown]
        if inside:
            drawn = as_tuple(domain.nearest(*drawn))
        sizes = dict(zip(domain.shown, drawn, strict=True))
        if tuple(drawn) in found or has(domain, sizes) is not inside:
            continue
        found.add(tuple(drawn))
        rest = {name: draw.choice((1, 2)) for name in net.symbols}
        hidden = [name for name in domain.names if name not in domain.shown]
        if inside and hidden:  # batch sizes that the domain restricts
            left = domain.given(**sizes)
            rest |= by_name(left.shown, left.nearest(*(rest[name] for name in left.shown)))
        yield {**rest, **sizes}


def has(domain: InputSet, sizes: Mapping[str, int]) -> bool | None:
    """Whether sizes are in a domain; None for those of which a network that is not complete says
    nothing.
    """
    try:
        return tuple(sizes[name] for name in domain.shown) in domain
    except Undecidable:
        return None
