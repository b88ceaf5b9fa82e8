"""A trace leaves module, torch and process as they were, beside whatever else goes on in them."""

import asyncio
import copy
import functools
import gc
import pickle
import random
import subprocess
import sys
import threading
import types
import warnings
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sympy import Min
from torch import nn

import symcnn
from symcnn import H, N, W
from symcnn.errors import DataDependent, SymcnnError
from symcnn.frontends.torch.tensors import TracedTensor
from symcnn.frontends.torch.tracer import Tracer
from tests.corpus import tables


class Block(nn.Module):
    """Remembers, counts and caches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.last: Any = None
        self.calls = 0
        self.seen: dict[str, Any] = {"of": [{}]}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.last = self.bn(self.conv(x)).relu()
        self.seen["of"][0][self.calls] = self.last
        return self.last


def net() -> Any:
    return nn.Sequential(Block(), nn.MaxPool2d(2), Block()).train()


def summary(network: Any) -> tuple[Any, list[Any]]:
    return network.output_shape, [(n.name, n.op, n.output_shape) for n in network.nodes]


# threads


def test_a_thousand_traces_over_eight_threads_beside_training() -> None:
    shared, own = net(), [net() for _ in range(8)]
    expected = summary(symcnn.from_torch(net(), "N 3 H W"))
    call = nn.Module.__call__
    done, started = threading.Event(), threading.Event()
    steps = []

    def train() -> None:
        optimizer = torch.optim.SGD(shared.parameters(), lr=1e-3)
        while not done.is_set():
            loss = shared(torch.randn(2, 3, 8, 8)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert type(shared[0].last) is torch.Tensor
            steps.append(loss.item())
            started.set()

    def traces(i: Any) -> Any:
        wrong = 0
        for k in range(125):
            module = shared if k % 2 else own[i]
            wrong += summary(symcnn.from_torch(module, "N 3 H W")) != expected
        return wrong

    trainer = ThreadPoolExecutor(1)
    training = trainer.submit(train)
    assert started.wait(120)
    with ThreadPoolExecutor(8) as pool:
        wrong = sum(pool.map(traces, range(8)))
    done.set()
    training.result()
    assert wrong == 0
    assert nn.Module.__call__ is call
    assert shared[0].calls == shared[2].calls == len(steps) == shared[0].bn.num_batches_tracked
    assert all(m.calls == 0 for module in own for m in module if isinstance(m, Block))


def test_what_a_real_forward_sets_during_a_trace_stays() -> None:
    class Slow(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if isinstance(x, TracedTensor):
                inside.set()
                assert go_on.wait(120)
            return super().forward(x)

    inside, go_on = threading.Event(), threading.Event()
    module = Slow()
    with ThreadPoolExecutor(1) as pool:
        traced = pool.submit(symcnn.from_torch, module, "N 3 H W")
        assert inside.wait(120)
        y = module(torch.ones(2, 3, 8, 8))
        go_on.set()
        assert traced.result().output_shape == (N, 3, H, W)
    assert module.last is y
    assert module.calls == 1
    assert module.seen["of"][0] == {1: y}
    assert module.bn.num_batches_tracked == 1


def test_tasks_of_an_event_loop_trace_at_once() -> None:
    async def traced(module: Any) -> Any:
        await asyncio.sleep(0)
        return summary(await asyncio.to_thread(symcnn.from_torch, module, "N 3 H W"))

    async def together() -> Any:
        module = net()
        return await asyncio.gather(*(traced(module) for _ in range(20)))

    answers = asyncio.run(together())
    assert answers == answers[:1] * 20


def test_a_trace_within_a_trace() -> None:
    class Outer(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.inner = symcnn.from_torch(self.conv, "N 3 A B")
            weight = self.conv.weight.flatten(1) @ torch.ones(27, 3)
            return super().forward(x) + weight.sum()

    class Plain(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weight = self.conv.weight.flatten(1) @ torch.ones(27, 3)
            return super().forward(x) + weight.sum()

    assert summary(symcnn.from_torch(Outer(), "N 3 H W")) == summary(
        symcnn.from_torch(Plain(), "N 3 H W")
    )


def test_lazy_modules_run_for_real_beside_traces() -> None:
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))

    def real(_: Any) -> Any:
        made = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
        return type(made(torch.ones(1, 3, 6, 6)))

    with ThreadPoolExecutor(4) as pool:
        networks = pool.map(lambda _: symcnn.from_torch(lazy, "N 3 6 W"), range(20))
        assert set(pool.map(real, range(20))) == {torch.Tensor}
        assert {n.output_shape for n in networks} == {(N, 2)}
    assert nn.parameter.is_lazy(lazy[0].weight)  # type: ignore[arg-type]


# tensors


def state_of(module: Any, extra: Any = ()) -> list[Any]:
    tensors = [*module.parameters(), *module.buffers(), *extra]
    return [
        (
            t,
            t.data_ptr(),
            t.detach().clone(),
            (t._version, t.grad, t.requires_grad, t.grad_fn),
            (t.shape, t.stride(), t.untyped_storage().nbytes(), dict(vars(t))),
        )
        for t in tensors
    ]


def assert_untouched(before: Any, after: Any) -> None:
    for old, new in zip(before, after, strict=True):
        assert old[0] is new[0]
        assert torch.equal(old[2], new[2])
        assert (old[1], *old[3:]) == (new[1], *new[3:])


def max_norm(self: Any, x: Any) -> Any:
    return x + F.embedding(torch.tensor([1, 2]), self.table, max_norm=0.1).sum()


def out_of_normalize(self: Any, x: Any) -> Any:
    with torch.no_grad():
        self.u = F.normalize(torch.mv(self.weight, self.v), dim=0, out=self.u)
    return x * self.u.sum()


def initialised(self: Any, x: Any) -> Any:
    nn.init.kaiming_uniform_(self.weight)
    nn.init.constant_(self.buf, 3)
    nn.init.trunc_normal_(self.table)
    return x * self.buf[0]


def backward(self: Any, x: Any) -> Any:
    (self.weight * 2).sum().backward()
    assert torch.equal(self.weight.grad, torch.full_like(self.weight, 2))
    self.weight.grad.zero_()
    return x


def grad_of(self: Any, x: Any) -> Any:
    self.weight.grad = torch.ones_like(self.weight)
    self.weight.requires_grad_(False)
    self.weight.requires_grad = False
    return x


def set_data(self: Any, x: Any) -> Any:
    self.weight.data = torch.zeros(2, 2)
    assert self.weight.shape == (2, 2)
    return x


def no_grad(write: Callable[..., Any]) -> Callable[..., Any]:
    def forward(self: Any, x: Any) -> Any:
        with torch.no_grad():
            write(self, x)
        return x

    return forward


WRITES = {
    "max_norm": max_norm,
    "embedding max_norm": lambda s, x: x + s.embed(torch.tensor([1, 2])).sum(),
    "power iteration": out_of_normalize,
    "spectral norm": lambda s, x: s.spectral(x),
    "batch norm of a constant": lambda s, x: x + s.bn(torch.randn(4, 3, 2, 2)).mean(),
    "instance norm of a constant": lambda s, x: (
        x + F.instance_norm(torch.randn(4, 3, 2, 2), s.mean, s.var).mean()
    ),
    "batch norm of the input": lambda s, x: s.bn(x),
    "counter": lambda s, x: x * (s.steps.add_(1).item() + s.steps.item()),
    "item": no_grad(lambda s, x: s.buf[0].add_(1)),
    "view": no_grad(lambda s, x: s.buf.view(-1).add_(1)),
    "view of a parameter": no_grad(lambda s, x: s.weight.view(-1)[1:3].mul_(2)),
    "data": lambda s, x: x + s.weight.data.add_(1).sum(),
    "detach": lambda s, x: x + s.weight.detach().mul_(2).sum(),
    "init": initialised,
    "hardtanh": lambda s, x: x + F.hardtanh(s.buf, inplace=True).sum(),
    "threshold": lambda s, x: x + F.threshold_(s.buf, 0.1, 2.0).sum(),  # type: ignore[attr-defined]
    "relu_": lambda s, x: x + torch.relu_(s.buf).sum(),
    "out": lambda s, x: x + torch.add(s.buf, 1, out=s.buf).sum(),
    "out of two": no_grad(lambda s, x: torch.max(s.weight, 0, out=(s.most, s.where))),
    "foreach": no_grad(lambda s, x: torch._foreach_add_([s.buf, s.weight], 1)),
    "foreach lerp": no_grad(lambda s, x: torch._foreach_lerp_([s.buf], [torch.ones(4)], 0.5)),
    "set_": lambda s, x: x + s.buf.set_(torch.ones(4)).sum(),
    "resize_": lambda s, x: x + s.buf.resize_(9).numel(),
    "squeeze": lambda s, x: x + s.buf.unsqueeze_(0).shape[0],
    "iadd": no_grad(lambda s, x: s.weight.__iadd__(1)),
    "setitem": no_grad(lambda s, x: s.weight.__setitem__(0, 3.0)),
    "copy": no_grad(lambda s, x: s.weight.copy_(s.weight * 2)),
    "fill diagonal": no_grad(lambda s, x: s.weight.fill_diagonal_(7)),
    "index_copy": no_grad(lambda s, x: s.buf.index_fill_(0, torch.tensor([1]), 7)),
    "backward": backward,
    "grad": grad_of,
    "grad kept": no_grad(lambda s, x: s.table.grad.zero_()),
    "plain tensor": no_grad(lambda s, x: s.plain.mul_(0)),
    "in a list": no_grad(lambda s, x: s.several[0]["t"].mul_(0)),
    "random": lambda s, x: x + s.plain.uniform_().sum(),
    "dropout of a constant": lambda s, x: x + F.dropout(s.plain, 0.5, inplace=True).sum(),
    "traced into a buffer": lambda s, x: x + s.buf.copy_(x.mean((0, 2, 3)).sum().expand(4)).sum(),
    "traced by index": lambda s, x: (s.buf.__setitem__(0, x.mean()), x + s.buf.sum())[1],
    "traced added": lambda s, x: x + s.buf.add_(x.mean()).sum(),
    "traced out": lambda s, x: x + torch.mul(x.mean(), s.plain, out=s.buf).sum(),
    "traced into a view": lambda s, x: (s.buf.view(2, 2)[0].copy_(x.mean().expand(2)), x)[1],
}


class Written(nn.Module):
    def __init__(self, write: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.table = nn.Parameter(torch.randn(5, 4) * 9)
        self.table.grad = torch.ones(5, 4)
        self.embed = nn.Embedding(5, 4, max_norm=0.1)
        self.bn = nn.BatchNorm2d(3)
        self.spectral = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 3, 1))
        self.register_buffer("buf", torch.ones(4))
        self.register_buffer("u", torch.ones(4))
        self.register_buffer("v", torch.ones(4))
        self.register_buffer("most", torch.ones(4))
        self.register_buffer("where", torch.ones(4, dtype=torch.long))
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))
        self.plain, self.several = torch.ones(4), [{"t": torch.ones(4)}]
        self.write = write

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.write(self, x)


@pytest.mark.parametrize("name", WRITES)
def test_tensors_are_left_byte_for_byte(name: str) -> None:
    module = Written(WRITES[name]).train()
    extra = [module.plain, module.several[0]["t"], module.table.grad]
    before, seed = state_of(module, extra), torch.random.get_rng_state()
    assert symcnn.from_torch(module, "N 3 H W").output_shape == (N, 3, H, W)
    assert_untouched(before, state_of(module, extra))
    assert torch.equal(torch.random.get_rng_state(), seed)
    first, second = (symcnn.from_torch(module, "N 3 H W") for _ in range(2))
    assert summary(first) == summary(second)


def test_a_run_reads_what_it_wrote() -> None:
    def forward(self: Any, x: Any) -> Any:
        self.buf.view(2, 2)[0].mul_(5)
        self.steps.add_(1)
        self.steps += 1
        assert self.buf.tolist() == [5, 5, 1, 1]
        assert self.buf[0].item() == 5
        assert self.buf.numpy()[1] == 5
        return x[:, :, : int(self.steps)]

    module = Written(forward)
    assert symcnn.from_torch(module, "N 3 H W").output_shape == (N, 3, Min(2, H), W)
    assert module.buf.tolist() == [1] * 4  # type: ignore[operator]


def test_in_place_errors_are_torchs_own() -> None:
    module = Written(lambda s, x: x + s.weight.add_(1).sum())
    with pytest.raises(SymcnnError, match="a leaf Variable that requires grad"):
        symcnn.from_torch(module, "N 3 H W")


def test_a_buffer_written_to_depends_on_the_input() -> None:
    def forward(self: Any, x: Any) -> Any:
        self.buf[0] = x.mean()
        return x[:, :, : int(self.buf[0])]

    with pytest.raises(DataDependent):
        symcnn.from_torch(Written(forward), "N 3 H W")


def test_meta_modules_are_written_to_as_well() -> None:
    module = Written(WRITES["foreach"]).to("meta")
    assert symcnn.from_torch(module, "N 3 H W").output_shape == (N, 3, H, W)


# python


class Helper:
    new: Any
    owner: Any

    def __init__(self) -> None:
        self.last: Any = None
        self.log: deque[Any] = deque(maxlen=3)


class Slotted:
    __slots__ = ("last",)
    last: Any


MARK = type("Mark", (), {})()


class Remembers(nn.Module):
    shared: dict[str, Any] = {"of": []}  # noqa: RUF012
    latest: Any = None
    fresh: Any
    count = 0

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.nested = {"a": [{"b": deque()}], "c": OrderedDict(d=defaultdict(list))}
        self.helper, self.slotted = Helper(), Slotted()
        self.slotted.last = None
        self.space = types.SimpleNamespace(last=None)
        self.pair: Any = ([], {"k": set()})
        self.mark, self.rng = MARK, random.Random(3)
        self.helper.owner = self
        self.hook = self.remember
        self.partial = functools.partial(self.remember, "partial")
        kept: list[Any] = []
        times = 0

        def closure(x: Any) -> Any:
            nonlocal times
            times += 1
            kept.append(x)
            return times

        self.closure = closure
        self.conv.register_forward_hook(lambda m, i, o: kept.append(o))

    def remember(self, *values: Any) -> Any:
        self.values = values
        return self

    def forward(self, x: torch.Tensor, into: Any = []) -> torch.Tensor:  # noqa: B006
        assert self.mark is MARK
        assert self.helper.owner is self
        assert self.hook(x) is self
        assert self.partial(x) is self
        y = self.conv(x)
        self.nested["a"][0]["b"].append(y)
        self.nested["c"]["d"]["e"].append(y)
        self.nested["new"] = y
        self.helper.last = self.slotted.last = self.space.last = y
        self.helper.log.append(y)
        self.helper.new = y
        self.pair[0].append(y)
        self.pair[1]["k"].add(y)
        self.closure(y)
        into.append(y)
        self.conv.weight.note = y
        self.conv.stride = (1, 1)
        self.shared["of"].append(y)
        type(self).latest = y
        type(self).count += 1
        Remembers.fresh = y
        self.conv.register_forward_hook(lambda m, i, o: None)
        self.added = nn.Identity()
        self.register_buffer("later", torch.zeros(1))
        self.rng.random()
        SEEN.append(y)
        cached(x.shape[2])
        del self.helper.owner
        return y


SEEN: list[Any] = []


@functools.lru_cache
def cached(size: Any) -> Any:
    return torch.zeros(3) if isinstance(size, int) else size


class Asks(nn.Module):
    """Looks at its layers in all the ways there are, and changes them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 3, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.5))
        self.pool, self.called = nn.MaxPool2d(2), nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert [type(m) for m in self.act] == [nn.ReLU, nn.Dropout]
        assert type(self.conv) is nn.Conv2d is self.conv.__class__
        assert isinstance(self.conv, nn.Conv2d)
        assert not isinstance(self.conv, nn.Linear)
        assert {nn.MaxPool2d: "pool"}[type(self.pool)] == "pool"
        assert {self.called: 1}[self.called] == 1
        assert self.act[0] is next(self.act.children())
        assert repr(self.act[1]) == "Dropout(p=0.5, inplace=False)"
        assert type(copy.deepcopy(self.called)) is nn.Conv2d
        seen = []
        handle = self.called.register_forward_hook(lambda m, i, o: seen.append(type(m)))
        self.conv.padding = (2, 2)
        self.act[0].extra = x
        del self.pool.return_indices
        self.pool.return_indices = False
        x = self.pool(self.act(self.called(self.conv(x))))
        assert seen == [nn.Conv2d]
        handle.remove()
        return x


def test_layers_are_what_they_are_and_what_is_done_to_them_stays_in_the_trace() -> None:
    module = Asks()
    before = [(vars(m).copy(), {**m._forward_hooks}) for m in module.modules()]
    for _ in range(2):
        assert str(symcnn.from_torch(module, "N 3 H W").output_shape[2]) == "H//2 + 1"
        assert [(vars(m).copy(), {**m._forward_hooks}) for m in module.modules()] == before
    assert all(type(m).__module__.startswith(("torch", __name__)) for m in module.modules())


def picture(module: Any) -> dict[str, Any]:
    return {
        "attributes": [(name, list(vars(m).items())) for name, m in module.named_modules()],
        "nested": repr(module.nested),
        "helper": (dict(vars(module.helper)), list(module.helper.log)),
        "rest": (module.slotted.last, vars(module.space).copy(), repr(module.pair)),
        "class": {k: v for k, v in vars(Remembers).items() if k != "shared"},
        "shared": repr(Remembers.shared),
        "hooks": dict(module.conv._forward_hooks),
        "closure": [repr(c.cell_contents) for c in module.closure.__closure__],
        "weight": dict(vars(module.conv.weight)),
        "default": repr(Remembers.forward.__defaults__),
        "rng": module.rng.getstate(),
        "seen": list(SEEN),
    }


def test_python_state_is_left_attribute_for_attribute() -> None:
    module = Remembers()
    before = picture(module)
    for _ in range(2):
        assert symcnn.from_torch(module, "N 3 H W").output_shape == (N, 3, H, W)
        assert picture(module) == before


class RunsOnce(nn.Module):
    runs: ClassVar[list[int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs.append(1)
        type(self).latest = x  # type: ignore[attr-defined]
        assert len(self.runs) == len(SEEN) + 1 == 1
        return x if x.shape[-1] % 3 == 0 else x.sin() if x.shape[-1] > 8 else x.cos()


def test_every_run_of_a_forward_finds_classes_and_files_as_they_were() -> None:
    net = symcnn.from_torch(RunsOnce(), "N L")
    assert len(net.branches) == 3
    assert str(net.valid_inputs()) == "L >= 1"
    assert not RunsOnce.runs
    assert not hasattr(RunsOnce, "latest")


def test_no_traced_tensor_survives() -> None:
    module = Remembers()
    network = symcnn.from_torch(module, "N 3 H W")
    gc.collect()
    left = [o for o in gc.get_objects() if type(o) is TracedTensor]
    assert left == []
    assert len(network.nodes) == 1


class Halved(nn.Module):
    """Branches twice; one branch is refused, one makes no difference."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % 2:
            return x.view(2, 3, 4)
        return x[:, :, : x.shape[2] - x.shape[2] % 4] if x.shape[2] % 4 else x


@pytest.mark.parametrize("module", [nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), Halved()])
def test_a_run_is_gone_with_its_trace_without_the_collector(module: nn.Module) -> None:
    symcnn.from_torch(module, "N 3 H W")
    gc.collect()
    gc.disable()
    try:
        network = symcnn.from_torch(module, "N 3 H W")
        left = [type(o).__name__ for o in gc.get_objects() if type(o) is Tracer]
    finally:
        gc.enable()
    assert left == []
    assert network.complete


def test_process_wide_settings_are_put_back() -> None:
    def forward(self: Any, x: Any) -> Any:
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        warnings.simplefilter("ignore")
        random.random()
        np.random.rand()
        torch.rand(3)
        torch.nn.Linear(2, 2)
        return x

    def settings() -> tuple[Any, ...]:
        return (
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            list(warnings.filters),
            random.getstate(),
            [str(part) for part in np.random.get_state()],
            torch.random.get_rng_state().tolist(),
            gc.isenabled(),
            sys.getrecursionlimit(),
        )

    module = Written(forward)
    before = settings()
    symcnn.from_torch(module, "N 3 H W")
    assert settings() == before


def global_hooks() -> dict[str, object]:
    """The hooks of all modules."""
    held = vars(torch.nn.modules.module)
    return {
        name: dict(value) if isinstance(value, dict) else value
        for name, value in held.items()
        if name.startswith("_global_")
    }


@pytest.mark.parametrize(
    "register",
    [
        torch.nn.modules.module.register_module_forward_hook,
        torch.nn.modules.module.register_module_forward_pre_hook,
        torch.nn.modules.module.register_module_full_backward_hook,
        torch.nn.modules.module.register_module_buffer_registration_hook,
        torch.nn.modules.module.register_module_parameter_registration_hook,
    ],
)
def test_hooks_of_all_modules_are_as_before(register: Any) -> None:
    def forward(self: Any, x: Any) -> Any:
        register(lambda *_: None)
        return x + 1

    module = Written(forward)
    kept = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        before = global_hooks()
        symcnn.from_torch(module, "N 3 H W")
        assert global_hooks() == before
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: symcnn.from_torch(module, "N 3 H W"), range(20)))
        assert global_hooks() == before
    finally:
        kept.remove()


def drawn() -> tuple[object, str]:
    """Where the generators of the process stand; half a pair of normal numbers is left over."""
    return random.getstate(), str(np.random.get_state(legacy=False))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: random.gauss(0, 1),
        lambda: random.seed(3),
        lambda: np.random.randn(),
        lambda: np.random.rand(),
        lambda: np.random.seed(3),
        lambda: np.random.shuffle([1, 2, 3]),
    ],
)
@pytest.mark.parametrize("pairs", [0, 1])
def test_numbers_that_a_forward_draws_are_drawn_again(draw: Any, pairs: int) -> None:
    def forward(self: Any, x: Any) -> Any:
        draw()
        return x

    module = Written(forward)
    random.seed(pairs)
    np.random.seed(pairs)
    for _ in range(pairs):
        random.gauss(0, 1)
        np.random.randn()
    for _ in range(3):  # the second trace remembers the first
        before = drawn()
        symcnn.from_torch(module, "N 3 H W")
        assert drawn() == before
        draw()


def test_numpy_may_draw_from_a_generator_of_another_kind() -> None:
    def forward(self: Any, x: Any) -> Any:
        np.random.rand()
        return x

    numbers: Any = np.random
    own = numbers.get_bit_generator()
    numbers.set_bit_generator(np.random.PCG64(3))
    try:
        before = drawn()
        assert symcnn.from_torch(Written(forward), "N 3 H W").output_shape == (N, 3, H, W)
        assert drawn() == before
    finally:
        numbers.set_bit_generator(own)


def test_a_state_of_thousands_of_numbers_is_asked_for_only_after_somebody_drew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[str]()
    for owner, name in ((random, "getstate"), (np.random, "get_state")):
        real = getattr(owner, name)

        class Asked:
            __self__ = getattr(real, "__self__", None)

            def __call__(self, *args: Any, real: Any = real, **kwargs: Any) -> Any:
                asked.append(real.__name__)
                return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, Asked())
    module = nn.Conv2d(3, 8, 3)
    np.random.seed(5)
    random.seed(5)
    for _ in range(3):
        symcnn.from_torch(module, "N 3 H W")
    assert sorted(asked) == ["get_state", "getstate"]


def test_drawing_within_a_trace_goes_on() -> None:
    def forward(self: Any, x: Any) -> Any:
        a, b = torch.rand(3), torch.rand(3)
        c, d = self.plain.bernoulli(0.5), F.dropout(torch.ones(64))
        e = torch.ones(4).normal_(generator=self.generator)
        assert not torch.equal(a, b)
        assert 0 < d.count_nonzero() < 64
        return x * (a + b + c[:3] + e[:3]).sum()

    module: Any = Written(forward)
    module.generator = torch.Generator().manual_seed(3)
    state = module.generator.get_state()
    symcnn.from_torch(module, "N 3 H W")
    assert torch.equal(module.generator.get_state(), state)


# answers as values


class Padded(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, (0, 1)) if x.shape[-1] % 2 else x * 2


class Many(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(300):
            x = x + 1
        return x


class Sized(nn.Module):
    """Returns, and hands on inside, sizes beside tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: torch.Tensor) -> tuple[Any, ...]:
        y, height, _ = self.inner(x)
        return y, height // 2, height / 3, x.shape


class Inner(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[Any, ...]:
        return x + 1, x.shape[2], x.shape[2] / 7


def copies(value: Any) -> tuple[Any, Any]:
    return pickle.loads(pickle.dumps(value)), copy.deepcopy(value)


class Mean(nn.Module):
    """Multiplies by floats that are made of sizes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[2] * x.shape[3]
        return x * (1.0 / n) + torch.full((1,), -1.0 / n / n, dtype=x.dtype) + n**-0.5


class Slices(nn.Module):
    """Returns a named tuple of a class that the forward makes, as perceptual losses do."""

    def forward(self, x: torch.Tensor) -> Any:
        Slices = namedtuple("Slices", ["whole", "half"])
        return Slices(x, x[..., ::2])


@pytest.mark.parametrize(
    "module",
    [net(), Padded(), Many(), Sized(), Mean(), Slices()],
    ids=["net", "branches", "deep", "sizes", "floats of sizes", "a class of the forward's own"],
)
def test_networks_pickle_and_copy(module: Any) -> None:
    network = symcnn.from_torch(module, "N 3 H W")
    for other in copies(network):
        assert summary(other) == summary(network)
        assert other.shape_at(N=1, H=9, W=9) == network.shape_at(N=1, H=9, W=9)
        assert str(other.valid_inputs()) == str(network.valid_inputs())
        assert str(other.summary()) == str(network.summary())


class Unlike(nn.Module):
    """A forward of which not every branch is followed, and an attribute that may not pickle."""

    def __init__(self, attribute: object) -> None:
        super().__init__()
        self.attribute = attribute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.shape[2] % (x.shape[3] - 4) else x[:, :1]


def test_a_network_that_is_not_complete_pickles_with_its_module() -> None:
    net = symcnn.from_torch(Unlike(3), "N 3 H W")
    for same in copies(net):
        assert not same.complete
        assert same.shape_at(N=1, H=8, W=8) == (1, 1, 8, 8)


def test_a_network_whose_module_does_not_pickle_says_which_sizes_it_cannot_ask_for() -> None:
    net = symcnn.from_torch(Unlike(lambda: 3), "N 3 H W")
    again, twin = copies(net)
    at = next(s for s in ({"H": 8, "W": 8}, {"H": 9, "W": 8}) if not is_taken(net, s))
    known = {"H": 17 - at["H"], "W": 8}
    assert again.shape_at(N=1, **known) == net.shape_at(N=1, **known)
    with pytest.raises(symcnn.Undecidable, match=r"is not in the pickle: .*lambda"):
        again.shape_at(N=1, **at)
    assert twin.shape_at(N=1, **at) == net.shape_at(N=1, **at)


def is_taken(net: symcnn.Network, sizes: dict[str, int]) -> bool:
    """Whether a branch takes these sizes."""
    return any(all(g.requirement.holds(sizes) for g in b.network.guards) for b in net.branches)


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: n.cost(),
        lambda n: n.receptive_field(),
        lambda n: n.valid_inputs(),
        lambda n: n.solve(output=(8, 8)),
        lambda n: n.solve(macs=4e9),
        lambda n: n.prove(),
        lambda n: n.spec("onnx"),
        lambda n: n.spec("bioimageio"),
    ],
    ids=["cost", "field", "domain", "solution", "budget", "proof", "spec", "spec as data"],
)
def test_answers_pickle_and_copy(answer: Callable[..., Any]) -> None:
    for module in (net(), Padded()):
        network = symcnn.from_torch(module, "N 3 H W")
        found = answer(network)
        for other in (*copies(found), answer(network)):
            assert str(other) == str(found)
            assert (other, hash(other)) == (found, hash(found))


@pytest.mark.parametrize(
    "ask", [lambda n: n.cost(), lambda n: n.receptive_field()], ids=["cost", "field"]
)
def test_answers_about_other_networks_and_in_other_words_are_others(
    ask: Callable[..., Any],
) -> None:
    found = ask(symcnn.from_torch(nn.Conv2d(3, 4, 3), "N 3 H W"))
    assert found == ask(symcnn.from_torch(nn.Conv2d(3, 4, 3), "N 3 H W"))
    for layer in nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(3, 4, 3, 2), nn.Conv2d(3, 4, (3, 1)):
        assert found != ask(symcnn.from_torch(layer, "N 3 H W"))
    network = symcnn.from_torch(nn.Conv2d(3, 4, 3), "N 3 H W")
    assert network.cost() != network.cost("flops")
    assert network.cost() != network.cost().at(N=1, H=8, W=8) != network.cost().at(N=1, H=8, W=9)


def test_sizes_that_a_module_returns_are_formulas() -> None:
    network = symcnn.from_torch(Sized(), "N 3 H W")
    assert [str(o) for o in network.outputs[1:3]] == ["H//2", "H/3"]
    assert network.shape_at(N=1, H=8, W=9)[1] == 4


def test_a_worker_answers_for_a_network_traced_elsewhere() -> None:
    network = symcnn.from_torch(net(), "N 3 H W")
    code = (
        "import pickle, sys; net = pickle.load(sys.stdin.buffer); print(net.solve(output=(7, 7)))"
        "; print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(network), capture_output=True, check=True
    )
    assert run.stdout.decode().split("\n")[:2] == [str(network.solve(output=(7, 7))), "False"]


def test_a_module_whose_class_makes_its_objects_has_paths_and_is_left_alone() -> None:
    class Mixin:
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made: Any = super().__new__(cls)
            made.config = kwargs
            return made

    class Hub(torch.nn.Module, Mixin):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = x
            return self.conv(x)

    module = Hub()
    assert [node.name for node in symcnn.from_torch(module, "N 3 H W").nodes] == ["conv"]
    assert not hasattr(module, "seen")


def test_a_class_that_holds_an_object_of_a_compiled_class() -> None:
    class Compiled:
        """Its ``__dict__`` is made when something is set, as mypyc makes it."""

        @property
        def __dict__(self) -> None:  # type: ignore[override]
            raise AttributeError("__dict__")

    class Net(nn.Conv2d):
        dispatch = Compiled()

    assert symcnn.from_torch(Net(3, 8, 3), "N 3 H W").output_shape == (N, 8, H - 2, W - 2)


# Layers that sleep in a trace until they are asked


class Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel: Any = [1, 1]
        self.first, self.second = nn.AvgPool2d([1, 1]), nn.AvgPool2d(self.kernel)  # type: ignore[arg-type]
        self.first.stride = self.second.stride = 1
        self.embedding: Any = nn.Linear(4, 4)
        self.head: Any = nn.Linear(4, 4)
        self.head.weight = self.embedding.weight


class ChangesASetting(Stateful):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        self.kernel[0] = self.kernel[1] = 3
        return self.second(x)


class WritesOnASharedWeight(Stateful):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        self.embedding.weight.seen = 1
        return x @ self.head.weight


class SetsWithoutTheModule(Stateful):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        object.__setattr__(self.head, "times", 2)
        return torch.cat([self.head(x)] * self.head.times, 1)


class CountsInAStaticMethod(Stateful):
    @staticmethod
    def counted(x: Any) -> Any:
        CountsInAStaticMethod.counted.calls.append(1)  # type: ignore[attr-defined]
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.counted(x)


CountsInAStaticMethod.counted.calls = []  # type: ignore[attr-defined]


def test_a_list_of_settings_that_the_forward_changes_is_read_as_changed() -> None:
    assert symcnn.from_torch(ChangesASetting(), "N 1 H W").shape_at(N=1, H=10, W=10)[2:] == (8, 8)


def test_an_attribute_written_on_a_shared_weight_goes_with_the_trace() -> None:
    module = WritesOnASharedWeight()
    symcnn.from_torch(module, "N 4")
    assert not vars(module.head.weight)


def test_what_is_set_without_the_module_is_there() -> None:
    net = symcnn.from_torch(SetsWithoutTheModule(), "N 4")
    assert net.shape_at(N=3) == (3, 8)


def test_what_a_static_method_counts_goes_with_the_trace() -> None:
    symcnn.from_torch(CountsInAStaticMethod(), "N 4")
    assert CountsInAStaticMethod.counted.calls == []  # type: ignore[attr-defined]


def test_a_call_that_a_library_has_replaced_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    call = nn.Linear.__call__
    monkeypatch.setattr(nn.Linear, "__call__", lambda self, x: call(self, x).sum(-1))
    assert symcnn.from_torch(nn.Sequential(nn.Linear(4, 4)), "N 4").shape_at(N=3) == (3,)


class Nothing(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> Any:
        super().forward(x)


class Late(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> Any:
        yield super().forward(x)


@pytest.mark.parametrize("kind", [Nothing, Late])
def test_a_forward_that_returns_no_tensor_is_refused_by_name(kind: type[Any]) -> None:
    with pytest.raises(SymcnnError, match=f"the forward of {kind.__name__} returns"):
        symcnn.from_torch(kind(3, 3, 3), "N 3 H W")


class _Log(list[Any]):
    """A list of a class of its own, with an attribute."""

    label = ""


class _Logs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log = _Log([[0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.log.append(x.shape[2])
        self.log[0].append(1)
        self.log.label = "run"
        return x * len(self.log)


def test_what_a_forward_adds_to_a_list_of_another_class_goes_with_the_run() -> None:
    module = _Logs()
    net = symcnn.from_torch(module, "N 3 H W")
    assert str(net.output_shape) == "(N, 3, H, W)"
    assert (module.log, module.log.label) == ([[0]], "")


@pytest.mark.parametrize("mask", [tables.by_sizes, tables.by_text])
def test_a_table_that_functions_of_another_file_fill_is_as_it_was(mask: Any) -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * mask(*x.shape[-2:])

    Masked()(torch.ones(1, 3, 4, 5))
    before = {**tables.MASKS}, [*tables.SEEN]
    for _ in range(2):
        net = symcnn.from_torch(Masked(), "N 3 H W")
        assert net.complete
        assert before == (tables.MASKS, tables.SEEN)
    assert net.shape_at(N=1, H=7, W=5) == (1, 3, 7, 5)
