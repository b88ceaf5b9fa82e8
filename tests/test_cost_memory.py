"""Memory: what autograd keeps, against saved-tensor hooks on CPU; peaks, parameters, optimizers."""

import itertools
import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import symcnn
from symcnn import BadSpec, H, InvalidInput, N, UnsupportedOperation, W
from symcnn.algebra.size import evaluate
from symcnn.judge.oracles import torch_peak
from symcnn.ops.storage import refusal
from symcnn.testing.oracles import tensors_of, torch_saved
from tests.corpus.forwards import Function

from .conftest import formula
from .corpus.examples import MODES, NETWORKS
from .corpus.memory import agree, near
from .corpus.weights import NETWORKS_DRAWN, Derived, Einsum, Heads, Skip, networks


@pytest.mark.parametrize(("name", "train"), MODES)
def test_example_networks(name: Any, train: Any, example: Callable[..., Any]) -> None:
    module = example(NETWORKS[name][0], "cpu").train(train)
    net = symcnn.from_torch(module, f"N {NETWORKS[name][1]} H W")
    agree(module, net=net, **near(net, 39, 70))


class Unpooled(nn.Module):
    """A pool and back by its indices, as SegNet has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mid, self.last = (nn.Conv2d(4, 4, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, indices = torch.nn.functional.max_pool2d(self.conv(x), 2, return_indices=True)
        return self.last(torch.nn.functional.max_unpool2d(self.mid(y), indices, 2))  # type: ignore[arg-type]


class Written(nn.Module):
    """Maps of which the places that masks, lists and numbers name are written to."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, z = self.conv(x), torch.zeros_like(x)
        y[x > 0] = 0.0
        y[:, [0, 2]] = 1.0
        y[torch.arange(x.shape[0])] = x
        y[:, :, 2:4] = 0
        z[:, torch.tensor([1, 2])] = self.conv(x)[:, :2]
        return y * 2 + z


class Powers(nn.Module):
    """Powers and angles of which either, both or none of the two has a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, z, constant = self.conv(x), self.other(x), x.detach() * 2
        parts = y**z, y**constant, constant**z, 2**z, torch.atan2(y, z), torch.atan2(constant, z)
        loss = F.l1_loss(y, z) + F.l1_loss(y, constant, reduction="none")
        return sum(parts, loss + torch.atan2(constant, constant) + constant**constant)


LAYERS = {
    "unpool": Unpooled,
    "powers and angles": Powers,
    "written to": Written,
    "relu in place": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(True)),
    "silu in place": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.SiLU(inplace=True)),
    "activations": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.GELU(), nn.Sigmoid(), nn.Tanh(), nn.ELU(), nn.Softplus(),
        nn.Hardswish(), nn.Hardsigmoid(), nn.ReLU6(), nn.LeakyReLU(), nn.Mish(), nn.PReLU(4),
        nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(), nn.SELU(), nn.CELU(), nn.GLU(1),
    ),
    "softmax": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Softmax(1), nn.LogSoftmax(1)),
    "dropout": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Dropout(), nn.Dropout2d()),
    "dropout of a sequence": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.Flatten(2), nn.Dropout1d(), nn.Flatten(0, 1), nn.Dropout1d()
    ),
    "dropout that keeps mean and variance": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.AlphaDropout(), nn.FeatureAlphaDropout()
    ),
    "same pads that are uneven": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 4, padding="same"), nn.Conv2d(4, 4, (1, 2), padding="same", dilation=3),
        nn.Conv2d(4, 4, (2, 3), padding="same", groups=2), nn.Conv2d(4, 4, 3, padding="same"),
    ),
    "pools": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.MaxPool2d(2), nn.AvgPool2d(3, 1, 1), nn.AdaptiveMaxPool2d(3),
        nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1),
    ),
    "norms": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)
    ),
    "roots of mean squares": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.RMSNorm(12), nn.RMSNorm(12, elementwise_affine=False)
    ),
    "by area": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.Upsample((3, 4), mode="area"), nn.Upsample((1, 1), mode="area")
    ),
    "paddings": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.ReplicationPad2d(1),
        nn.ZeroPad2d(1), nn.CircularPad2d(1),
    ),
    "resizing": lambda: nn.Sequential(
        nn.ConvTranspose2d(4, 4, 2, 2), nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2),
    ),
    "weights from weights": lambda: nn.Sequential(nn.Conv2d(4, 3, 1), Derived()),
    "skips": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), Skip(4, cat=True), Skip(4, cat=False)),
}  # fmt: skip


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("layers", LAYERS)
def test_what_layers_keep(layers: str, train: bool) -> None:
    module = LAYERS[layers]().train(train)
    for input_grad in (False, True):
        agree(module, "N 4 H W", N=2, H=9, W=12, input_grad=input_grad)


class Tokens(nn.Module):
    """Channels last and back again: where a reshape copies, and where it is a view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 8, 3), nn.LayerNorm(8)
        self.linear, self.back = nn.Linear(8, 16), nn.Linear(8, 8, bias=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.conv(x).permute(0, 2, 3, 1)
        z = self.linear(self.norm(y))[..., ::2] * y
        n, h, w, c = z.shape
        z = self.back(z.reshape(n, h * w, c)).softmax(-1)
        scores = z.reshape(n, h * w, 2, 4).transpose(1, 2)
        mixed = torch.nn.functional.scaled_dot_product_attention(scores, scores, scores)
        return (mixed @ mixed.transpose(-1, -2)).mean(1), y.transpose(1, 3).flatten(1)


@pytest.mark.parametrize("input_grad", [False, True])
def test_layouts_decide_where_a_reshape_copies(input_grad: bool) -> None:
    agree(Tokens(), "N 4 H W", N=2, H=7, W=9, input_grad=input_grad)


def test_attention_lies_as_a_query_with_gaps_does() -> None:
    """SAM2's Hiera: query, key and value are interleaved; heads then merge without a copy."""

    def attend(x: Any) -> Any:
        n, length, width = x.shape
        q, k, v = (t.transpose(1, 2) for t in x.reshape(n, length, 3, 2, width // 6).unbind(2))
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).reshape(n, length, -1).exp() * 2

    layers = nn.Sequential(nn.Linear(4, 24), Function(attend), nn.Linear(8, 4))
    agree(layers, "N L 4", N=2, L=5)


attention = torch.nn.functional.scaled_dot_product_attention

ROWS = {
    "rows": lambda x: attention(x, x, x),
    "columns": lambda x: attention(*[x.mT] * 3),
    "one head for all": lambda x: attention(x, *[x[:, :1]] * 2),
    "a mask from a comparison": lambda x: attention(
        x, x, x, attn_mask=(x @ x.mT).detach() > -9
    ),
    "a mask of three axes": lambda x: attention(x, x, x, (x @ x.mT).detach()[0]),
    "a mask of three axes from a comparison": lambda x: attention(
        x, x, x, (x @ x.mT).detach()[0] > -9
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_the_fused_attention_kernel_takes_rows_of_as_many_heads_and_masks_of_two_or_four_axes(
    case: str,
) -> None:
    agree(Function(ROWS[case]), "N 3 H 8", N=2, H=5, input_grad=True)


VIEWS = {
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "channels last, with gaps": lambda x: x.permute(0, 2, 3, 1)[:, :, :3],
    "every other": lambda x: x[..., ::2],
    "turned": lambda x: x.permute(3, 1, 0, 2),
    "a half, turned": lambda x: x.chunk(2, 1)[1].permute(2, 0, 1, 3),
    "one channel": lambda x: x[:, :1].permute(0, 3, 1, 2),
}

MADE = {
    "clone": torch.clone, "exp": torch.exp, "zeros_like": torch.zeros_like,
    "sum with a broadcast mean": lambda x: x.mean(1, keepdim=True) + x,
    "product of two orders": lambda x: x.contiguous() * x,
    "where": lambda x: torch.where(x > 0, x, 2 * x),
    "where, a method": lambda x: x.where(x > 0, 1),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0, 0], x[0, :, 0, 0], indexing="xy")[0],
    "masked_fill": lambda x: x.masked_fill(x > 0, 0),
    "index_add": lambda x: x.index_add(1, torch.tensor([0, 0]), torch.cat([x, x], 1)[:, :2]),
    "index_add in place": lambda x: (x * 1).index_add_(1, torch.tensor([0]), x[:, :1]),
    "index_copy": lambda x: x.index_copy(1, torch.tensor([0]), 2 * x[:, :1]),
    "index_copy of ones": lambda x: x.index_copy(0, torch.tensor([1]), torch.ones_like(x[:1])),
    "index_fill": lambda x: x.index_fill(0, torch.tensor([1, 0]), 3),
    "scatter_add": lambda x: x.scatter_add(1, (x > 0).long() * 0, x),
    "logsigmoid": torch.nn.functional.logsigmoid, "flip": lambda x: x.flip(1),
    "sort": lambda x: x.sort(1)[0], "index": lambda x: x[:, [0, 0]], "roll": lambda x: x.roll(1, 1),
    "stack": lambda x: torch.stack([x, x], 1), "cat": lambda x: torch.cat([x, x], 1),
    "pixel_shuffle": lambda x: torch.nn.functional.pixel_shuffle(torch.cat([x] * 4, 1), 2),
    "glu": lambda x: torch.nn.functional.glu(torch.cat([x, x], 1), 1), "prod": lambda x: x.prod(1),
    "floor_divide": lambda x: x // 2, "remainder": lambda x: x % 2,
    "windows": lambda x: x.unfold(0, 2, 2), "max_pool": nn.MaxPool2d(1), "pad": nn.ZeroPad2d(1),
    "bool times int": lambda x: (x > 0) * 2, "int times int": lambda x: x.long() * 2,
    "bool times float": lambda x: (x > 0) * 0.5, "sum of bools": lambda x: (x > 0).sum(1),
    "running count": lambda x: (x > 0).cumsum(1), "clamped int": lambda x: x.long().clamp(0, 2),
    "zeros like bools": lambda x: torch.zeros_like(x > 0), "mean of ints": lambda x: x.long() / 2,
    "where of ints": lambda x: torch.where(x > 0, x.long(), x.long()),
    "sorted ints": lambda x: x.long().sort(1)[0], "power of ints": lambda x: x.long() ** 2,
}  # fmt: skip


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("view", VIEWS)
def test_what_is_made_of_a_view_lies_as_torch_lays_it(view: str, made: str) -> None:
    module = nn.Sequential(Function(VIEWS[view]), Function(MADE[made]))
    net, sizes = symcnn.from_torch(module, "N 4 H W"), {"N": 6, "H": 8, "W": 10}
    x = torch.randn(6, 4, 8, 10, requires_grad=True)
    theirs, cost = module(x), net.cost(input_grad=True)
    assert cost.at(**sizes).saved == torch_saved(net, module, sizes, input_grad=True)
    ours = cost._memory.of(net.output_tensors[0])
    assert (ours.storage.width or 4) == theirs.element_size()
    strides = [evaluate(step, sizes) for step in ours.strides]
    longer = [i for i, size in enumerate(theirs.shape) if size != 1]
    assert [strides[i] for i in longer] == [theirs.stride(i) for i in longer]


def back(x: Any, **options: Any) -> Any:
    """A signal of a spectrum, through its transform."""
    window = options.get("window")
    return torch.istft(torch.stft(x, 8, window=window, return_complex=True), 8, **options)


def spectra(x: Any, n: int, window: int) -> Any:
    """Of a signal that lives on, through a window that is part of a longer one."""
    hann = torch.hann_window(window)
    return torch.stft(x, n, win_length=window, window=hann, return_complex=True)


TRANSFORMS = {
    "fft": torch.fft.fft, "fft, channels": lambda x: torch.fft.fft(x, dim=1),
    "ifft, part": lambda x: torch.fft.ifft(x, n=4), "rfft, more": lambda x: torch.fft.rfft(x, n=12),
    "rfft2": torch.fft.rfft2, "rfft2, turned": lambda x: torch.fft.rfft2(x, dim=(3, 1)),
    "fft2 of a view": lambda x: torch.fft.fft2(x.permute(0, 2, 3, 1), dim=(1, 2)),
    "hfft": torch.fft.hfft, "hfft2": lambda x: torch.fft.hfft2(x, s=(4, 6)),
    "ihfft2": lambda x: torch.fft.ihfft2(x, dim=(0, 3)),
    "there and back": lambda x: torch.fft.irfftn(torch.fft.rfftn(x)).abs(),
    "magnitude": lambda x: torch.fft.fft2(x).real.exp(), "shifted": torch.fft.fftshift,
    "stft": lambda x: torch.stft(x.flatten(0, 2), 4, window=torch.ones(4), return_complex=True),
    "stft, no window": lambda x: torch.stft(x.flatten(), 4, return_complex=True, center=False),
    "stft, short": lambda x: torch.view_as_real(spectra(x.flatten(0, 2), 8, 6)),
    "stft, complex": lambda x: spectra(torch.fft.fft(x).flatten(0, 2), 4, 4),
    "istft": lambda x: back(x.flatten(1), window=torch.hann_window(8)),
    "istft, 1-d": lambda x: back(x.flatten()),
    "responses": lambda x: nn.functional.local_response_norm(x, 3),
    "responses of rows": lambda x: nn.functional.local_response_norm(x.flatten(2), 2),
    "between": lambda x: torch.lerp(x.relu(), x.sigmoid(), x.mean()),
    "between, by a number": lambda x: torch.lerp(x.mT.relu(), x.mT.sigmoid(), 0.3),
    "inner products": lambda x: torch.linalg.vecdot(x, x.relu(), dim=1),
    "inner products of views": lambda x: torch.linalg.vecdot(x.mT, x[:, :1].mT.sin()),
    "inner products of spectra": lambda x: torch.linalg.vecdot(torch.fft.fft(x), x.sin() * 1j),
    "blocks": lambda x: torch.kron(x.relu(), x[0].sigmoid()),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_keeps_and_lays_out_as_torch_does(name: str) -> None:
    module, sizes = Function(TRANSFORMS[name]), {"N": 2, "H": 5, "W": 8}
    net = symcnn.from_torch(module, "N 4 H W")
    x = torch.randn(2, 4, 5, 8)
    assert net.cost(input_grad=True).at(**sizes).saved == torch_saved(
        net, module, sizes, input_grad=True
    )
    with torch.no_grad():
        assert net.cost().at(**sizes).peak == torch_peak(module, module, [x])[0]
    numbers = net.given(**sizes)
    strides, theirs = numbers.cost()._memory.of(numbers.output_tensors[0]).strides, module(x)
    longer = [i for i, size in enumerate(theirs.shape) if size != 1]
    assert [strides[i] for i in longer] == [theirs.stride(i) for i in longer]


OF_ONE = {
    "a sum of one": lambda x: torch.einsum("nchw,oc->nohw", x, x[0, 0, :5, :1]),
    "a sum of one, turned": lambda x: torch.einsum("nchw,oc->wohn", x, x[0, 0, :5, :1]),
    "products of rows": lambda x: torch.einsum("nc,nw->ncw", x[:, :, 0, 0], x[:, 0, 0]),
    "one head": lambda x: attention(*[x.transpose(1, 2)] * 3),
    "one row": lambda x: attention(*[x.permute(0, 2, 1, 3)[:, :, :, :4]] * 3),
}


@pytest.mark.parametrize("name", OF_ONE)
def test_axes_of_size_1_have_torchs_strides(name: str) -> None:
    module, sizes = Function(OF_ONE[name]), {"N": 2, "H": 5, "W": 8}
    net = symcnn.from_torch(module, "N 1 H W", example=sizes)
    ours = net.cost(input_grad=True).at(**sizes).saved
    assert ours == torch_saved(net, module, sizes, input_grad=True)
    numbers = net.given(**sizes)
    theirs = module(torch.randn(2, 1, 5, 8)).stride()
    assert numbers.cost()._memory.of(numbers.output_tensors[0]).strides == theirs


@pytest.mark.parametrize("same", [True, False])
def test_attention_heads(same: bool) -> None:
    agree(Heads(same=same), "N L 8", "N S 8", N=3, L=5, S=7)


@pytest.mark.parametrize(
    ("equation", "weight"),
    [("nchw,dc->ndhw", (5, 3)), ("nc...,c->nc...", (3,)), ("nchw,dc->hdwnc", (5, 3))],
)
def test_einsum_is_a_product_of_rearranged_factors(equation: str, weight: tuple[int, ...]) -> None:
    agree(Einsum(equation, weight), "N 3 H W", N=2, H=5, W=6, input_grad=True)


@pytest.mark.parametrize("frozen", [[0], [1], [0, 1], [0, 2], [0, 1, 2]], ids=str)
def test_frozen_layers_keep_less(frozen: list[int]) -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 7))
    for i in frozen:
        module[i].requires_grad_(False)
    agree(module, "N L 4", N=2, L=3)


@settings(max_examples=NETWORKS_DRAWN)
@given(networks(), st.booleans(), st.integers(9, 20), st.integers(9, 20))
def test_random_networks(module: Any, input_grad: bool, h: int, w: int) -> None:
    with suppress(InvalidInput):
        agree(module, "N 4 H W", N=2, H=h, W=w, input_grad=input_grad)


def test_formulas() -> None:
    net = symcnn.nn.Sequential(symcnn.nn.Conv2d(3, 8, 3, padding=1), symcnn.nn.ReLU())
    cost = net.trace("N 3 H W").cost()
    assert str(cost.activations) == "64*N*H*W"
    assert str(cost.saved) == "44*N*H*W"
    assert str(cost.peak) == "76*N*H*W"
    assert net.trace("N 3 H W").cost(dtype="float16").saved * 2 == cost.saved


def test_shared_memory_counts_once() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp().view(-1, 8).exp()

    net = symcnn.from_torch(Twice(), "N 8")
    assert net.cost(input_grad=True).saved == 64 * N


# peaks


class Alive(TorchDispatchMode):
    """Bytes of the storages that are alive after each operation."""

    def __init__(self, *inputs: Any) -> None:
        self.known = {self.key(t): self.size(t) for t in inputs}
        self.peak = sum(self.known.values())

    @staticmethod
    def key(t: Any) -> Any:
        return StorageWeakRef(t.untyped_storage())

    @staticmethod
    def size(t: Any) -> Any:
        return t.untyped_storage().nbytes()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for t in tensors_of(found):
            self.known[self.key(t)] = self.size(t)
        self.known = {ref: size for ref, size in self.known.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self.known.values()))
        return found


PEAKS = {
    "a chain": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.AvgPool2d(2), nn.Sigmoid()
    ),
    "in place": lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(True), nn.Conv2d(8, 4, 1)),
    "growing": lambda: nn.Sequential(nn.ConvTranspose2d(4, 2, 2, 2), nn.Conv2d(2, 2, 3)),
}


def test_the_peak_of_a_chain_that_eats_the_border_is_one_polynomial() -> None:
    layers = [symcnn.nn.Conv2d(8, 8, 3) for _ in range(30)]
    net = symcnn.nn.Sequential(*layers).trace("N 8 H W")
    peak = net.cost().peak
    assert str(peak) == "32*N*(3*H*W - 6*H - 6*W + 20)"
    for height in (61, 62, 100):
        at = net.cost().at(N=2, H=height, W=77).peak
        assert formula(peak).at(N=2, H=height, W=77) == at
    assert len(net.cost().terms("peak")) == 1


@pytest.mark.parametrize("network", PEAKS)
def test_the_peak_of_an_inference_pass(network: str) -> None:
    module = PEAKS[network]()
    own = {Alive.key(p) for p in module.parameters()}
    x = torch.zeros(2, 4, 12, 14)
    with torch.no_grad(), Alive(x) as alive:
        module(x)
    assert not own & set(alive.known)
    net = symcnn.from_torch(module, "N 4 H W")
    assert net.cost().at(N=2, H=12, W=14).peak == alive.peak


def test_a_skip_connection_keeps_its_input_alive() -> None:
    x = symcnn.tensor("N 8 H W")
    conv = symcnn.nn.Conv2d(8, 8, 3, padding=1)
    plain = symcnn.Network(inputs=x, outputs=conv(conv(conv(x))))
    middle = conv(x)
    skip = symcnn.Network(inputs=x, outputs=conv(conv(middle)) + middle)
    assert str(plain.cost().peak) == "96*N*H*W"
    assert str(skip.cost().peak) == "128*N*H*W"


# parameters and optimizers


def test_parameters_by_dtype_frozen_and_buffers() -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.half()

    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), Half(), nn.Linear(5, 6).half())
    module[0].requires_grad_(False)
    cost = symcnn.from_torch(module, "N 4").cost()
    assert (cost.params, cost.trainable, cost.frozen) == (71, 46, 25)
    assert cost.buffers == 11
    assert cost.by_dtype == {"float32": 45, "float16": 36, "int64": 1}
    assert cost.weights == 35 * 4 + 36 * 2
    assert cost.gradient_bytes == 10 * 4 + 36 * 2


OPTIMIZERS = {
    "sgd": lambda ps: torch.optim.SGD(ps, 0.1),
    "momentum": lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9),
    "adam": lambda ps: torch.optim.Adam(ps),
    "adamw": lambda ps: torch.optim.AdamW(ps),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_states_are_torchs(name: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    module[0].requires_grad_(False)
    optimizer = OPTIMIZERS[name]([p for p in module.parameters() if p.requires_grad])
    module(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    held = {
        t.untyped_storage()._cdata: t.untyped_storage().nbytes()
        for state in optimizer.state.values()
        for t in state.values()
        if t is not None
    }
    assert symcnn.from_torch(module, "N 3 H W").cost().optimizer(name) == sum(held.values())


def test_unknown_optimizers_and_dtypes_are_refused() -> None:
    net = symcnn.nn.Linear(4, 4).trace("N 4")
    with pytest.raises(BadSpec, match="no optimizer is called 'lion'"):
        net.cost().optimizer("lion")
    with pytest.raises(BadSpec, match="no dtype is called float12"):
        _ = net.cost(dtype="float12").saved


def test_what_autograd_keeps_of_other_operations_is_not_guessed() -> None:
    class Sorted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.nanquantile(0.5, 1)

    net = symcnn.from_torch(nn.Sequential(nn.Linear(4, 4), Sorted()), "N 4")
    with pytest.raises(UnsupportedOperation, match="1: what autograd keeps for nanquantile"):
        _ = net.cost().saved
    assert net.cost(partial=True).saved == 16 * N


logging.disable(logging.WARNING)


# What is overwritten, and used again -------------------------------------------------------------

WRITES = (
    "a.mul_(b)", "a.mul_(w)", "a.div_(b.exp())", "a.div_(2)", "a.pow_(2)", "a.add_(b)",
    "F.hardswish(a, inplace=True)", "F.silu(a, inplace=True)", "F.relu6(a, inplace=True)",
    "F.relu(a, inplace=True)", "F.leaky_relu(a, inplace=True)", "F.elu(a, inplace=True)",
    "F.hardsigmoid(a, inplace=True)", "a.sigmoid_()", "a.exp_()", "a.clamp_(min=0)", "a.sqrt_()",
    "a.masked_fill_(b > 0, 0.)", "torch.addcmul(a, b, w)", "torch.addcdiv(a, b, b.exp())",
)  # fmt: skip


class Overwriting(nn.Module):
    def __init__(self, code: Any) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.weight = nn.Parameter(torch.ones(4, 1, 1))
        self.code = code

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b, w = self.first(x), self.second(x), self.weight
        y = eval(self.code, {"a": a, "b": b, "w": w, "torch": torch, "F": nn.functional})
        return y * torch.sigmoid(y), self.second(y)


@pytest.mark.parametrize("code", WRITES)
def test_of_what_is_overwritten_a_copy_is_kept_beside_the_result(code: str) -> None:
    agree(Overwriting(code), "N 4 H W", N=2, H=5, W=7)


class Regrouped(nn.Module):
    """Heads and tokens change places: for one image a view, for several a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).reshape(x.shape[0], -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))


class FixedGrid(nn.Module):
    """A view that is one only at the size which the network accepts."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Conv2d(3, 4, 4, stride=4), nn.Conv2d(4, 4, 3, padding=1)
        self.cls = nn.Parameter(torch.zeros(1, 1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(x.shape[0], -1, -1), tokens], 1)
        return self.mix(tokens[:, 1:].transpose(1, 2).view(x.shape[0], 4, 6, 5))


@pytest.mark.parametrize("images", [1, 2])
def test_at_sizes_what_is_a_view_is_decided_by_the_sizes(images: int) -> None:
    agree(Regrouped(), "N L 8", N=images, L=5)
    agree(FixedGrid(), "N 3 H W", N=images, H=24, W=20)
    agree(nn.Sequential(nn.Unfold(3), nn.Fold((6, 6), 3), nn.Sigmoid(), nn.Conv2d(4, 4, 1)),
          "N 4 6 6", N=images)  # fmt: skip


def test_a_constant_made_on_the_way_lives_from_its_first_reader() -> None:
    class Encoded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.cat([x, x], 1)
            return (x + torch.arange(1000.0).reshape(1000, 1)[: x.shape[1]]).sum(1)

    net = symcnn.from_torch(Encoded(), "N 500 L")
    assert net.cost().at(N=1, L=3).peak == 4 * (1500 + 3000 + 3000 + 1000)
    assert net.cost().at(N=1, L=1000).peak == 4 * (500_000 + 1_000_000 + 1_000_000 + 1000)


@pytest.mark.parametrize("part", [lambda kept: kept[0], lambda kept: kept[0][1:].mT])
def test_the_peak_leaves_out_a_tensor_that_is_there_before_the_forward(part: Any) -> None:
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = [torch.zeros(3, 7, 7)]  # no buffer: as a table kept for inference

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2 + part(self.kept)[-2:]).softmax(-1) + torch.tensor([[1.0] * 7] * 7)

    module, x = Biased(), torch.zeros(3, 2, 7, 7)
    peak = symcnn.from_torch(module, "N 2 7 7").cost().at(N=3).peak
    assert peak == torch_peak(module, module, [x])[0] == 3 * x.nbytes + 4 * 7 * 7


class Blocks(nn.Module):
    """Swin2SR: tokens of blocks of 8 x 8 back into a map; H is 8*(H//8) in the domain only."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Conv2d(3, 256, 8, stride=8), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, _, h, w = x.shape
        tokens = self.embed(x).flatten(2).reshape(n, 4, -1).transpose(1, 2).contiguous()
        return self.mix(tokens.transpose(1, 2).view(n, 4, h, w))


class Whole(nn.Module):
    """ViT for one size: the grid of tokens is as large as the table, and so is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 3, padding=1)
        self.table = nn.Parameter(torch.zeros(1, 31, 3))
        self.end = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = nn.functional.pad(self.mix(x).flatten(2).transpose(1, 2), (0, 0, 1, 0))
        tokens = (tokens + self.table)[:, 1:]
        return self.end(tokens.transpose(1, 2).view(x.shape[0], 3, x.shape[2], 5))


@pytest.mark.parametrize(
    ("module", "spec", "sizes"),
    [
        (Blocks(), "N 3 H W", {"H": 24, "W": 16}),
        (Whole(), "N 3 H 5", {"H": 6}),
        (FixedGrid(), "N 3 H W", {"H": 26, "W": 20}),
    ],
)
def test_formulas_know_what_the_domain_makes_equal(
    module: Blocks | Whole | FixedGrid, spec: str, sizes: dict[str, int]
) -> None:
    agree(module, spec, N=2, **sizes)
    cost = symcnn.from_torch(module, spec).cost()
    at = {"N": 3, **sizes}
    for what in ("activations", "saved", "peak"):
        formula, number = (getattr(c, what) for c in (cost, cost.at(**at)))
        assert formula.at(**{name: at[name] for name in formula.symbols}) == number


def test_an_order_that_only_sizes_decide_is_to_be_asked_at_sizes() -> None:
    (node,) = symcnn.from_torch(nn.Conv2d(4, 4, 1), "N 4 H W").nodes
    error = refusal(node, "with axes in an order that sizes decide")
    assert error.cure == "ask at sizes, cost.at(...), or with partial=True for a lower bound"


HALVES = {
    **{name: (make, "N 4 H W", {"N": 2, "H": 9, "W": 12}) for name, make in LAYERS.items()},
    **{name: (lambda f=f: Function(f), "N 3 H 8", {"N": 2, "H": 5}) for name, f in ROWS.items()},  # type: ignore[misc]
    "tokens": (Tokens, "N 4 H W", {"N": 2, "H": 7, "W": 9}),
    "floor_divide": (lambda: Function(lambda x: (x // 2).exp()), "N L", {"N": 2, "L": 5}),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("case", HALVES)
def test_other_dtypes_keep_their_own_bytes_and_sums_in_single_precision(
    case: Any, dtype: str
) -> None:
    """Attention keeps a float per row of scores, whatever its rows are; the long way is in floats.

    (A quotient rounded down has a gradient, though torch has no formula for it.)
    """
    make, spec, sizes = HALVES[case]
    kind = getattr(torch, dtype)
    module = make().train().to(kind)
    net = symcnn.from_torch(module, spec)

    def call(x: Any) -> Any:
        return module(x.to(kind))

    ours = net.cost(dtype=dtype, input_grad=True).at(**sizes).saved
    assert ours == torch_saved(net, module, sizes, input_grad=True, call=call)


class Biased(nn.Module):
    """Swin: attention with a learned bias."""

    def __init__(self, bias: Any) -> None:
        super().__init__()
        self.table, self.bias = nn.Parameter(torch.zeros(9, 9)), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return attention(x, x, x, attn_mask=self.bias(self.table))


FUSED = [lambda t: t + 0, lambda t: t[torch.arange(9)], lambda t: t.detach().mT, torch.detach]
SCORED = [lambda t: t, lambda t: t.mT, lambda t: t[None, :, :]]


@pytest.mark.parametrize("bias", FUSED)
def test_fused_attention_makes_a_number_per_row_and_no_scores(bias: Any) -> None:
    module, x = Biased(bias), torch.zeros(2, 3, 9, 4)
    agree(module, "N 3 9 4", N=2, input_grad=True)
    made = 0 if bias(module.table).untyped_storage()._cdata in owned(module) else 4 * 81
    peak = symcnn.from_torch(module, "N 3 9 4").cost().at(N=2).peak
    rows = 2 * 3 * 9
    assert peak == 2 * x.nbytes + made + 4 * rows == torch_peak(module, module, [x])[0]


@pytest.mark.parametrize("bias", SCORED)
def test_attention_makes_scores_for_a_learned_bias_in_inference_too(bias: Any) -> None:
    """The kernel looks at what a parameter requires, and its views, though nobody asks for it."""
    module, x = Biased(bias), torch.zeros(2, 3, 9, 4)
    agree(module, "N 3 9 4", N=2, input_grad=True)
    peak = symcnn.from_torch(module, "N 3 9 4").cost().at(N=2).peak
    scores = 2 * 3 * 9 * 9
    theirs = torch_peak(module, module, [x])[0]
    assert peak == theirs > 2 * x.nbytes + 4 * scores


class Masked(nn.Module):
    """Attention of a mask that its forward makes."""

    def __init__(self, dtype: torch.dtype, mask: Any) -> None:
        super().__init__()
        self.scale, self.mask = nn.Parameter(torch.ones(1, dtype=dtype)), mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return attention(self.scale * x, x, x, **self.mask(x.shape[-2], x.dtype))


MASKS: dict[str, Any] = {
    "no mask": lambda length, dtype: {},
    "causal": lambda length, dtype: {"is_causal": True},
    "bools": lambda length, dtype: {"attn_mask": torch.ones(length, length, dtype=torch.bool)},
    "numbers": lambda length, dtype: {"attn_mask": torch.zeros(length, length, dtype=dtype)},
}


@pytest.mark.parametrize("axes", [(), (3,), (3, 2), (3, 2, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mask", MASKS)
def test_the_peak_of_attention_is_torchs_at_short_and_long_rows(
    mask: str, dtype: torch.dtype, axes: tuple[int, ...]
) -> None:
    module = Masked(dtype, MASKS[mask])
    cost = symcnn.from_torch(module, symcnn.tensor((*axes, "L", 4))).cost()
    for length in (1, 2, 5, 9, 33):
        x = torch.zeros(*axes, length, 4, dtype=dtype)
        assert cost.at(L=length).peak == torch_peak(module, module, [x])[0], length


@pytest.mark.parametrize("axes", [(), (3,), (3, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("dropout", [0, 0.3])
def test_attention_of_grouped_queries_and_with_dropout_keeps_what_torch_keeps(
    dropout: float, heads: int, dtype: torch.dtype, axes: tuple[int, ...]
) -> None:
    def attend(x: Any) -> Any:
        few = x[..., :heads, :, :]
        return attention(2 * x, few, 2 * few, enable_gqa=True, dropout_p=dropout)

    module, x = Function(attend).to(dtype), torch.zeros(*axes, 4, 5, 8, dtype=dtype)
    net = symcnn.from_torch(module, symcnn.tensor((*axes, 4, "L", 8), dtype=str(dtype)[6:]))
    cost = net.cost(input_grad=True)
    assert cost.at(L=5).peak == torch_peak(module, module, [x])[0]
    ours, call = cost.at(L=5).saved, lambda x: module(x.to(dtype))
    assert ours == torch_saved(net, module, {"L": 5}, input_grad=True, call=call)


class Branches(nn.Module):
    """What goes in is read at once, and held until the block returns."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 9, 1), nn.Conv2d(9, 3, 1))
        self.first, self.block = nn.Conv2d(3, 3, 1), nn.Sequential(inner, nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.first(x))


class Held(nn.Module):
    """Python holds tensors for longer than operations read them."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.layers = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1) for _ in range(4)])
        self.places = nn.Embedding(3, 999).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(self, f"in_{self.way}")(x)

    def in_a_list(self, x: torch.Tensor) -> torch.Tensor:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        first = maps[0].mean()
        del maps
        return torch.cat([x, x], 1) + first

    def in_variables(self, x: torch.Tensor) -> torch.Tensor:
        a = self.layers[0](x)
        b = a + 1
        c = self.layers[1](b)
        d = c.reshape(c.shape[0], -1)
        e = d + 1
        return e + 1

    def in_an_attribute(self, x: torch.Tensor) -> torch.Tensor:
        self.cache = self.layers[0](x)
        y = self.layers[2](self.layers[1](self.cache)).relu_()
        z = y.view(y.shape[0], -1)
        del y
        return (z + 1) + 2

    def in_a_view_that_is_written_to(self, x: torch.Tensor) -> torch.Tensor:
        view = self.layers[0](x)[:, :1]
        y = F.relu(self.layers[1](x) + 1, inplace=True)
        view[:] = 1
        return y.transpose(1, 2).reshape(y.shape[0], -1) + view.sum()

    def in_no_index(self, x: torch.Tensor) -> torch.Tensor:
        end = torch.tensor(x.shape[-1]) - 1
        y = self.layers[0](x)[..., :end]
        del end
        return self.layers[1](y) + 1

    def in_a_weight_made_anew(self, x: torch.Tensor) -> torch.Tensor:
        weight = next(self.parameters()) * 2
        y = F.conv2d(x, weight, padding=1)
        for layer in self.layers:
            y = layer(y)
        return y + weight.mean()

    def in_constants_of_layers(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            layer.places = torch.arange(11.0)
            x = layer(x) + layer.places
        return x

    def in_no_call_of_a_layer(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.places(torch.arange(x.shape[1]))[:, :1, None]
        return self.layers[1](self.layers[0](x))

    def in_no_rows_of_a_frozen_weight(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x[0].transpose(1, 2), torch.ones(4, 9)) + 1

    def in_copies_for_a_product(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers[0](x).repeat(1, 4, 1, 1).unflatten(1, (3, 4)).flatten(3).transpose(1, 2)
        return y @ y.transpose(-2, -1)


WAYS = ["a_list", "variables", "an_attribute", "a_view_that_is_written_to", "no_index"]
WAYS += ["a_weight_made_anew", "copies_for_a_product"]
WAYS += ["constants_of_layers", "no_rows_of_a_frozen_weight"]
WAYS += ["no_call_of_a_layer"]


@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_lives_as_long_as_python_holds_it(way: str) -> None:
    module, x = Held(way), torch.rand(2, 3, 9, 11)
    net = symcnn.from_torch(module, "N 3 H W")
    theirs = torch_peak(module, module, [x])[0]
    assert net.cost().at(N=2, H=9, W=11).peak == theirs
    assert net.given(H=9).cost().at(N=2, W=11).peak == theirs
    assert pickle.loads(pickle.dumps(net)).cost().at(N=2, H=9, W=11).peak == theirs


class Longer(nn.Module):
    """Both sides of its branch make the same nodes; on one python holds a tensor for longer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        z = y * 2
        held = y if x.shape[2] > 8 else None
        del y
        z = torch.cat([z, z, z]) * 2
        del held
        return z


def test_branches_that_hold_other_tensors_are_two() -> None:
    module = Longer()
    net = symcnn.from_torch(module, "N 3 H W")
    for height in (8, 9):
        x = torch.rand(1, 3, height, 5)
        assert net.cost().at(N=1, H=height, W=5).peak == torch_peak(module, module, [x])[0]


def test_what_a_module_is_called_with_lives_until_it_returns() -> None:
    module, x = Branches(), torch.rand(2, 3, 4, 5)
    net = symcnn.from_torch(module, "N 3 H W")
    sizes, theirs = {"N": 2, "H": 4, "W": 5}, torch_peak(module, module, [x])[0]
    assert net.cost().peak == 4 * (3 + 3 + 6 + 9) * N * H * W
    for same in (net, net.given(N=2), pickle.loads(pickle.dumps(net))):
        assert (
            same.cost().at(**{k: v for k, v in sizes.items() if k in same.symbols}).peak == theirs
        )


def test_the_peak_of_a_recurrent_layer_needs_no_word_on_what_autograd_keeps() -> None:
    module, x = nn.LSTM(4, 6, batch_first=True), torch.zeros(3, 7, 4)
    cost = symcnn.from_torch(module, "N L 4").cost()
    assert cost.at(N=3, L=7).peak == torch_peak(module, module, [x])[0]
    with pytest.raises(UnsupportedOperation, match="what autograd keeps for lstm"):
        _ = cost.saved


LSTMS = [
    {},
    {"bidirectional": True, "num_layers": 3},
    {"bias": False},
    {"bias": False, "num_layers": 2},
    {"bias": False, "num_layers": 3, "bidirectional": True},
    {"proj_size": 3},
    {"proj_size": 3, "num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", LSTMS, ids=str)
def test_the_peak_of_an_lstm_is_that_of_the_kernel_which_torch_takes(form: Any, dtype: str) -> None:
    """OneDNN's in single precision, without projections; else steps written of torch's own
    operations."""
    kind = getattr(torch, dtype)
    module = nn.LSTM(6, 5, **form).to(kind).eval()
    cost = symcnn.from_torch(module, "L N 6").cost(dtype=dtype)
    for length, batch in itertools.product((1, 2, 7), (1, 3)):
        x = torch.zeros(length, batch, 6, dtype=kind)
        assert cost.at(L=length, N=batch).peak == torch_peak(module, module, [x])[0]


def owned(module: Any) -> Any:
    return {p.untyped_storage()._cdata for p in module.parameters()}


def test_what_the_code_does_in_float32_by_name_is_not_guessed_in_halves() -> None:
    net = symcnn.from_torch(Function(lambda x: x.softmax(-1, dtype=torch.float32)), "N L")
    assert net.cost(input_grad=True).saved == 4 * N * symcnn.L
    with pytest.raises(UnsupportedOperation, match="softmax in float32, within a network of an"):
        str(net.cost(dtype="float16", input_grad=True).saved)


class Inside(nn.Module):
    """A block in another dtype, cast by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)
        self.block = nn.Conv2d(4, 8, 1).bfloat16()
        self.shrink = nn.Conv2d(8, 4, 1).bfloat16()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.before(x).bfloat16()
        y = self.shrink(torch.relu(self.block(y)))
        return self.after(y.float())


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 8, 3), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = torch.relu(self.one(x))
            return self.two(y.mean((2, 3))) * 2


class Twice(nn.Module):
    """Statistics of weights that autocast leaves, maps that it widens, a factor read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(12, 8)
        self.norms = nn.Sequential(nn.LayerNorm(8), nn.GroupNorm(2, 4), nn.BatchNorm2d(4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.norms[0](self.rows(x))
            z = self.norms[1:](nn.functional.pad(self.rows(x), (1,) * 4, mode="reflect"))
            return y @ y.mT, y.mT @ y.mT.mT, z[..., :8] @ z[:, :, :8, :8], x[..., :9] @ x[..., :9]


class Regions(nn.Module):
    """What autocast keeps of a weight goes with it: another one casts the weight anew."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.one(self.one(x)).relu()
        y = y.float() * 2
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.two(self.one(y))
        return y + 1


class Throughout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 40, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.layers(x)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows, self.heads = nn.Linear(12, 8), nn.MultiheadAttention(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.rows(x).flatten(1, 2)
            return self.heads(y, y, y, need_weights=False)[0]


@torch.jit.script
def snake(x, alpha):  # type: ignore[no-untyped-def]
    shape = x.shape
    x = x.reshape(shape[0], shape[1], -1)
    x = x + (alpha + 1e-9).reciprocal() * torch.sin(alpha * x).pow(2)
    return x.reshape(shape)


@torch.jit.script
def widened(x):  # type: ignore[no-untyped-def]
    return x.exp() * x


class Scripted(nn.Module):
    """TorchScript has autocasts of its own: those of CUDA, and of operands to the widest."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.alpha = nn.Conv2d(4, 3, 3), nn.Parameter(torch.ones(1, 3, 1))

    def forward(self, x: torch.Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return snake(self.conv(x), self.alpha), widened(self.conv(x)), self.conv(x).exp()


@pytest.mark.parametrize(
    "make", [Inside, Autocast, Twice, Attending, Scripted, Regions, Throughout]
)
def test_a_cast_inside_and_autocast_are_seen_without_being_told(make: type[Any]) -> None:
    module = make().train()
    net = symcnn.from_torch(module, "N 4 H W")
    sizes = {"N": 2, "H": 9, "W": 12}
    theirs = [
        str(t.dtype).removeprefix("torch.") for t in tensors_of(module(torch.rand(2, 4, 9, 12)))
    ]
    assert [t.dtype for t in net.output_tensors] == theirs
    cost = net.cost(input_grad=True).at(**sizes)
    assert cost.saved == torch_saved(net, module, sizes, input_grad=True)
    assert cost.peak == torch_peak(module, module, [torch.rand(2, 4, 9, 12)])[0]


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x.abs().floor() * x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> None:
        raise AssertionError("never called")


def test_what_a_context_saves_is_gone_in_inference() -> None:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(16, 3, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, Rounded.apply(self.weight / 2) * 2).relu().exp()

    module, x = Quantized().eval(), torch.rand(1, 3, 20, 20)
    theirs = torch_peak(module, module, [x])[0]
    assert symcnn.from_torch(module, "N 3 H W").cost().at(N=1, H=20, W=20).peak == theirs


@torch.jit.script
def gated(x, y):  # type: ignore[no-untyped-def]
    both = x + y
    return torch.tanh(both[:, :4]) * torch.sigmoid(both[:, 4:])


def test_torchscript_lets_go_of_a_tensor_behind_its_last_reader() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return gated(y, torch.zeros_like(y)) * 2

    module, x = Gated().eval(), torch.rand(2, 3, 9)
    theirs = torch_peak(module, module, [x])[0]
    assert symcnn.from_torch(module, "N 3 L").cost().at(N=2, L=9).peak == theirs


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("case", ["tokens", *list(LAYERS)[:4]])
def test_a_module_in_another_dtype_is_that_without_being_told(case: Any, dtype: str) -> None:
    make, spec, sizes = HALVES[case]
    kind = getattr(torch, dtype)
    net = symcnn.from_torch(make().train().to(kind), spec)
    told = symcnn.from_torch(make().train(), spec).cost(dtype=dtype, input_grad=True)
    cost = net.cost(input_grad=True)
    assert cost.dtype == dtype
    for figure in ("saved", "peak", "activations"):
        ours = getattr(cost.at(**sizes), figure)
        assert ours == getattr(told.at(**sizes), figure)


class Polar(nn.Module):
    """Numbers in the plane of two real tensors, laid out as these are, and a view of them."""

    def __init__(self, pair: Any) -> None:
        super().__init__()
        self.conv, self.pair = nn.Conv1d(3, 4, 3), pair

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).transpose(1, 2)
        return self.pair(x.exp(), x).transpose(1, 2).view(x.shape[0], -1) * 2


def _real(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return torch.complex(x, torch.zeros_like(x))


@pytest.mark.parametrize("pair", [torch.complex, torch.polar, _real])
def test_complex_numbers_of_two_tensors_lie_as_they_do(pair: Any) -> None:
    agree(Polar(pair), "N 3 L", N=2, L=9)


class Swaps(nn.Module):
    """Two axes in the other order, in memory too: of one image, or of one place, a view."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * 2).transpose(0, 2).contiguous() ** 2


def test_a_formula_of_memory_is_exact_at_numbers_that_are_1() -> None:
    net = symcnn.from_torch(Swaps(), "N 1 L")
    made = formula(net.cost().activations)
    for sizes in ({"N": 3, "L": 5}, {"N": 1, "L": 5}, {"N": 3, "L": 1}):
        assert made.at(**sizes) == net.cost().at(**sizes).activations
    assert made.at(N=1, L=5) == made.at(N=5, L=1) < made.at(N=2, L=5) // 2
    assert made.subs(N=1).at(L=7) == made.at(N=1, L=7)
    both: Any = made.at(N=1, L=[5, 7])
    assert [*both] == [made.at(N=1, L=5), made.at(N=1, L=7)]
    assert made.under("L % 2 == 0").at(N=1, L=6) == made.at(N=1, L=6)


def test_a_case_is_asked_at_all_sizes_of_the_network_and_at_no_others() -> None:
    class Fits(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3))
            return y if x.shape[2] == 8 and x.shape[3] == 8 else y[:, :, ::2]

    net = symcnn.from_torch(nn.Sequential(Fits(), nn.Conv2d(1, 1, 1)), "N 1 H W")
    figure: Any = net.cost().total
    assert (figure.at(N=1, H=8, W=8), figure.at(N=1, H=8, W=9)) == (360, 399)
    with pytest.raises(symcnn.BadSpec, match="no value for"):
        figure.at(N=1, H=8)
    with pytest.raises(symcnn.BadSpec, match="no size is called"):
        figure.at(N=1, H=8, W=8, D=8)


def test_a_pool_along_one_axis_makes_places_as_whoever_watches_sees() -> None:
    module = nn.Sequential(nn.Conv1d(3, 8, 3), nn.MaxPool1d(2), nn.ReLU())
    x = torch.randn(2, 3, 40)
    peak = symcnn.from_torch(module, "N 3 L").cost().at(N=2, L=40).peak
    assert peak == torch_peak(module, module, [x])[0]


def test_what_is_made_of_weights_and_written_to_is_kept() -> None:
    class Filters(nn.Module):
        """A kernel of sines, as SincNet's."""

        times: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.low, self.band = nn.Parameter(torch.rand(1, 8)), nn.Parameter(torch.rand(1, 8))
            self.register_buffer("times", torch.rand(5, 1) + 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kernel = torch.sin(self.times * self.low) / (self.times / 2)
            kernel *= self.times
            kernel /= 2 * self.band
            made: torch.Tensor = F.conv1d(x, kernel.T[:, None])
            return made.mean()

    module = Filters()
    net = symcnn.from_torch(module, "N 1 L")
    sizes = {"N": 2, "L": 20}
    assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes)
    assert net.cost().at(**sizes).peak == torch_peak(module, module, [torch.rand(2, 1, 20)])[0]
