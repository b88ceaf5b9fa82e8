"""Places of networks that others wrote, against runs of torch in double."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sympy
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn import InvalidInput, NoSolution

from .conftest import load_example
from .tools.places import dac_decoder, hf, randomized, vocoder

CLOSE = 1e-9


@dataclass(frozen=True)
class Case:
    """A network, an input that it takes, and a tile of it."""

    name: str
    spec: str
    sizes: dict[str, int]
    tile: Any
    at: str | None = None


class SuperResolution(nn.Module):
    """ESPCN (Shi et al., 2016): all at low resolution, and a pixel shuffle at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(8, 4, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(4, 9, 3, padding=1),
            nn.PixelShuffle(3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


MODULES = {
    "U-Net": lambda: load_example("unet").UNet(base=2),
    "U-Net, valid": lambda: load_example("unet").UNetValid(base=2),
    "ESPCN": SuperResolution,
    "ResNet": hf("ResNet"),
    "ResNet-18": lambda: load_example("resnet").resnet18(),
    "SqueezeNet": lambda: load_example("squeezenet").squeezenet1_0(),
    "SuperPoint": hf("SuperPoint encoder"),
    "RT-DETR": hf("RT-DETR backbone"),
    "DAC encoder": hf("DAC encoder"),
    "DAC decoder": dac_decoder,
    "HiFi-GAN": vocoder,
}

CASES = [
    Case("U-Net", "N 3 H W", {"H": 480, "W": 16}, (320, None)),
    Case("U-Net, valid", "N 1 H W", {"H": 476, "W": 188}, (348, None)),
    Case("ESPCN", "N 1 H W", {"H": 70, "W": 50}, (32, 24)),
    Case("ResNet", "N 3 H W", {"H": 384, "W": 33}, (250, None), "encoder.stages.3"),
    Case("ResNet-18", "N 3 H W", {"H": 320, "W": 32}, (256, None), "layer2"),
    Case("SqueezeNet", "N 3 H W", {"H": 420, "W": 32}, (280, None), "features.7"),
    Case("SuperPoint", "N 1 H W", {"H": 208, "W": 24}, (96, None)),
    Case("RT-DETR", "N 3 H W", {"H": 320, "W": 64}, (160, None)),
    Case("DAC encoder", "N 1 L", {"L": 1600}, 700),
    Case("DAC decoder", "N 16 L", {"L": 120}, 64),
    Case("HiFi-GAN", "N L 8", {"L": 90}, 60),
]


def first(value: Any) -> Any:
    """The first tensor that a model returns."""
    if isinstance(value, torch.Tensor):
        return value
    items = value.values() if hasattr(value, "values") else value
    return first(next(iter(items)))


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def found(request: pytest.FixtureRequest) -> tuple[Any, ...]:
    """The network, a function of its input up to `at`, an input, and what comes of it."""
    case = request.param
    torch.manual_seed(0)
    module = MODULES[case.name]().double().eval()
    randomized(module)
    net = symcnn.from_torch(module, case.spec)
    seen = []
    inner = module if case.at is None else module.get_submodule(case.at)
    inner.register_forward_hook(lambda _, __, y: seen.append(first(y)))

    def run(x: Any) -> Any:
        seen.clear()
        with torch.no_grad():
            try:
                module(x)
            except RuntimeError:
                assert seen  # what comes after what is looked at
        return seen[-1]

    shape = [1 if s == "N" else case.sizes[s] if s in case.sizes else int(s)
             for s in case.spec.split()]  # fmt: skip
    x = torch.randn(shape, dtype=torch.double)
    axes = [k for k, s in enumerate(case.spec.split()) if s in case.sizes]
    whole = run(x)
    assert whole.std() > CLOSE  # what is the same everywhere agrees with everything
    return case, net, run, x, whole, axes


def narrowed(x: Any, axes: Any, slices: Any) -> Any:
    for axis, part in zip(axes, slices, strict=True):
        x = x.narrow(axis, part.start, part.stop - part.start)
    return x


def outputs(y: Any, case: Any) -> Any:
    """The axes of an output: the last ones, of a vocoder its only one."""
    return range(y.ndim - len(case.sizes), y.ndim)


def test_tiles_are_the_whole(found: Any) -> None:
    case, net, run, x, whole, axes = found
    tiling = net.tiles(tile=case.tile, at=case.at, **case.sizes)
    assert len(tiling) > 1
    made = torch.full_like(whole, float("nan"))
    there = outputs(whole, case)
    for tile in tiling:
        part = run(narrowed(x, axes, tile.input))
        narrowed(made, there, tile.place).copy_(narrowed(part, there, tile.core))
    assert (made - whole).abs().max() < CLOSE


def test_a_shard_reads_its_rows_and_its_halo_only(found: Any) -> None:
    case, net, run, x, whole, axes = found
    name = next(iter(case.sizes))
    tiling = net.tiles(tile=case.tile, at=case.at, **case.sizes)
    if case.sizes[name] % (2 * tiling.period[0]):
        pytest.skip("no two parts of whole periods")
    shards = net.shards(2, at=case.at, **{name: case.sizes[name]})
    for shard in shards:
        other = torch.randn_like(x)
        narrowed(other, axes[:1], shard.read).copy_(narrowed(x, axes[:1], shard.read))
        there = outputs(whole, case)[:1]
        same = narrowed(run(other), there, shard.output), narrowed(whole, there, shard.output)
        assert (same[0] - same[1]).abs().max() < CLOSE


def test_a_stream_waits_for_what_it_says(found: Any) -> None:
    case, net, run, x, whole, axes = found
    name = next(iter(case.sizes))
    if case.name == "U-Net, valid":  # its crops hang on the size
        pytest.skip("no stream")
    stream = net.stream(name, at=case.at)
    for share in (0.3, 0.6, 0.8):
        n = int(case.sizes[name] * share)
        other = x.clone()
        other.narrow(axes[0], n, case.sizes[name] - n).normal_()
        final, there = stream.final(n), outputs(whole, case)[0]
        apart = (run(other) - whole).abs()
        apart = apart.amax([d for d in range(apart.ndim) if d != there])
        assert final > 0 or share < 0.5
        assert (apart[:final] < CLOSE).all()


@pytest.mark.parametrize(
    ("name", "spec", "node"),
    [
        ("SegFormer", "N 3 H W", "attention"),
        ("PoolFormer", "N 3 H W", "before_norm"),
        ("EfficientNet", "N 3 H W", "squeeze"),
        ("Wav2Vec2 features", "N L", "layer_norm"),
        ("Swin2SR", "N 3 H W", "view"),
    ],
)
def test_what_has_no_tiles_names_the_node(name: str, spec: str, node: str) -> None:
    net = symcnn.from_torch(hf(name)(), spec)
    sizes: Any = dict.fromkeys([s for s in spec.split() if s in "HWL"], 4096)
    with pytest.raises(NoSolution, match=node):
        net.tiles(tile=2048, **sizes)


# Even sizes, agreement, pools: by what torch's modules are called with --------------------------


def calls(module: Any, size: Any) -> Any:
    """What every convolution and pool of a module takes, on the meta device."""
    seen, hooks = [], []
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            hooks.append(
                layer.register_forward_hook(lambda m, x, y: seen.append((m, tuple(x[0].shape))))
            )
    try:
        with torch.no_grad():
            module(torch.empty(1, 3, size, size, device="meta"))
    except (RuntimeError, ValueError):
        return None
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def pair(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def is_even(module: Any, size: Any) -> Any:
    seen = calls(module, size)
    return seen is not None and not any(rest(m, shape[2]) for m, shape in seen)


def rest(layer: Any, x: Any) -> Any:
    extent = pair(getattr(layer, "dilation", 1)) * (pair(layer.kernel_size) - 1) + 1
    return (x + 2 * pair(layer.padding) - extent) % pair(layer.stride)


@pytest.mark.parametrize(
    "name",
    [
        "alexnet:alexnet",
        "googlenet:googlenet",
        "mobilenet:mobilenet_v2",
        "resnet:resnet18",
        "squeezenet:squeezenet1_0",
        "vgg:vgg16",
    ],
)
def test_even_sizes_are_those_at_which_no_module_has_a_rest(
    example: Callable[..., Any], name: str
) -> None:
    module = example(name)
    found = symcnn.from_torch(module, "N 3 H W").solve(even=True, square=True)
    for size in (64, 65, 67, 77, 96, 97, 99, 109, 224, 225, 227):
        assert ((size, size) in found) == is_even(module, size)


@pytest.mark.parametrize(
    "name", ["alexnet:alexnet", "vgg:vgg16", "resnet:resnet18", "squeezenet:squeezenet1_0",
             "googlenet:googlenet"]
)  # fmt: skip
def test_plain_pools_give_the_same_numbers(example: Callable[..., Any], name: str) -> None:
    net = symcnn.from_torch(example(name), "N 3 H W")
    (pool,) = net.plain_pools()
    node = next(n for n in net.nodes if n.name == pool.node)
    for size in (100, 224, 256, 287, 288, 447, 448):
        at = {symcnn.N: 1, symcnn.H: size, symcnn.W: size}
        shape, kernel, stride = (
            [int(sympy.sympify(e).subs(at)) for e in values]
            for values in (node.input_shape[2:], pool.kernel, pool.stride)
        )
        if min(shape) < 1:
            continue
        x = torch.randn(1, 1, *shape, dtype=torch.double)
        wanted = F.adaptive_avg_pool2d(x, node.output_shape[2])
        plain = F.avg_pool2d(x, kernel, stride) if min(*kernel, *stride) >= 1 else x[..., :0]
        same = plain.shape == wanted.shape and (plain - wanted).abs().max() < 1e-12
        assert same == ((size, size) in pool.where)


@pytest.mark.parametrize(
    "name",
    ["resnet:resnet18", "vgg:vgg16", "squeezenet:squeezenet1_0", "mobilenet:mobilenet_v2",
     "densenet:densenet121"],
)  # fmt: skip
def test_a_network_agrees_with_another_trace_of_it(example: Callable[..., Any], name: str) -> None:
    one, other = (symcnn.from_torch(example(name), "N 3 H W") for _ in range(2))
    found = symcnn.agree(one, other)
    assert found
    assert found.sizes == one.valid_inputs()


def test_two_networks_are_compared_at_a_batch_that_both_take() -> None:
    """One place per group must not be alone in the batch: of the smallest map there are two."""

    class Halved(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.norm = nn.GroupNorm(32, 32)
            self.conv = nn.Conv2d(32, 4, 3, padding=dilation, dilation=dilation)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(self.norm(F.max_pool2d(x, 4)))
            return F.interpolate(y, scale_factor=4)

    net = symcnn.from_torch(Halved(1), "N 32 H W")
    assert (4, 4) in net.valid_inputs()
    with pytest.raises(InvalidInput, match=r"needs N >= 2 or H//4 >= 2 or W//4 >= 2"):
        net.shape_at(N=1, H=4, W=4)
    assert symcnn.agree(net, symcnn.from_torch(Halved(1), "N 32 H W"))
