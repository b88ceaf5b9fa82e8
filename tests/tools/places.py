"""The questions about places, put to networks that others wrote and judged by torch: `make places`.

Every judge holds an answer against a run of the module (in double, with random weights) or against
all choices, and tells how many things it compared. A judge owes nothing to the code it judges: what
an output reads is seen by changing the input, what a window leaves over by torch's own calls.
docs/validation/places.md has the table, and the processor time of each answer.
"""

from __future__ import annotations

import copy
import itertools
import random
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import sympy
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import symcnn
from symcnn.judge.oracles import tensors_of, torch_peak

CLOSE = 1e-9


class Differs(AssertionError):
    """An answer that is not torch's."""


@dataclass(frozen=True)
class Case:
    """A network and how to ask it; `wanted` is the output that `fix` is asked for."""

    name: str
    make: Callable[[], nn.Module]
    spec: str
    wanted: Any = None

    @cached_property
    def module(self) -> nn.Module:
        torch.manual_seed(0)
        module = self.make().double().eval()
        randomized(module)
        return module

    @cached_property
    def net(self) -> symcnn.Network:
        return symcnn.from_torch(self.module, self.spec)

    @property
    def axes(self) -> list[str]:
        return [s for s in self.spec.split() if s in "HWL"]

    def input(self, **sizes: int) -> Tensor:
        shape = [1 if s == "N" else sizes[s] if s in sizes else int(s) for s in self.spec.split()]
        return torch.randn(shape, dtype=torch.double)

    def axis_of(self, name: str) -> int:
        return self.spec.split().index(name)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Room for two tiles along the first axis, and as little as may be along the other."""
        name = self.axes[0]
        stream = self.net.stream(name)
        step = 2 * stream.hop
        least = 2 * (abs(stream.lookback) + abs(stream.lookahead) + 4 * stream.hop)
        domain = self.net.valid_inputs()
        other = {n: domain.axis(n).smallest() for n in self.axes[1:]}
        for size in range(-(-least // step) * step, 40 * least, step):
            here: dict[str, Any] = {name: size, **other}
            if _takes(self.net, here):
                return here
        raise symcnn.NoSolution("no size that has whole parts")


def randomized(module: nn.Module) -> None:
    """Random numbers where initialization leaves one number, such as the scale 0 of a norm: a
    network of which all outputs are equal agrees with everything.
    """
    tensors = [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]
    for t in tensors:
        if t.numel() > 1 and bool((t == t.flatten()[0]).all()):
            nn.init.uniform_(t, 0.5, 1.5)


def _takes(net: symcnn.Network, sizes: dict[str, int]) -> bool:
    try:
        net.shape_at(N=1, **sizes)
    except symcnn.SymcnnError:
        return False
    return True


def first(value: Any) -> Tensor:
    """The first tensor that a model returns."""
    return next(tensors_of(dict(value) if hasattr(value, "items") else value))


def run(module: nn.Module, x: Tensor) -> Tensor:
    """The first output, which must not be the same number everywhere."""
    with torch.no_grad():
        y = first(module(x))
    assert y.device.type == "meta" or y.numel() < 2 or y.std() > CLOSE
    return y


def outputs(module: nn.Module, x: Tensor) -> list[Tensor]:
    """All tensors that a model returns."""
    with torch.no_grad():
        value = module(x)
    return [*tensors_of(dict(value) if hasattr(value, "items") else value)]


def apart(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs() > CLOSE * (1 + b.abs())


def followed(case: Case) -> None:
    """What is put to all sizes needs all branches."""
    if not case.net.complete:
        raise symcnn.NoSolution(f"{len(case.net.unfollowed)} of its branches were not followed")


def expect(right: object, told: str) -> None:
    if not right:
        raise Differs(told)


# The judges -------------------------------------------------------------------------------------


def tiles(case: Case) -> int:
    """The output put together of tiles is that of the whole."""
    name, *others = case.axes
    stream, sizes = case.net.stream(name), case.sizes
    width = abs(stream.lookback) + abs(stream.lookahead) + 4 * stream.hop
    width = next(w for w in itertools.count(width) if _takes(case.net, {**sizes, name: w}))
    plan = case.net.tiles(tile=(width, *(None for _ in others)), **sizes)
    expect(len(plan) > 1, f"one tile of {width} of {sizes}")
    x = case.input(**sizes)
    whole = run(case.module, x)
    made, there = torch.full_like(whole, float("nan")), len(case.axes)
    for tile in plan:
        part = x
        for axis, s in zip(map(case.axis_of, case.axes), tile.input, strict=True):
            part = part.narrow(axis, s.start, s.stop - s.start)
        made[(..., *tile.place[-there:])] = run(case.module, part)[(..., *tile.core[-there:])]
    expect(not (apart(made, whole) | made.isnan()).any(), f"tiles of {width} are not the whole")
    return made.numel()


def shards(case: Case) -> int:
    """A shard does not hang on what it does not read."""
    name, sizes = case.axes[0], case.sizes
    axis, out = case.axis_of(name), -len(case.axes)
    x = case.input(**sizes)
    whole = run(case.module, x)
    for part in case.net.shards(2, **{name: sizes[name]}):
        other = torch.randn_like(x)
        read = part.read[0]
        width = read.stop - read.start
        other.narrow(axis, read.start, width).copy_(x.narrow(axis, read.start, width))
        place = part.output[0]
        here = [y.narrow(y.ndim + out, place.start, place.stop - place.start)
                for y in (run(case.module, other), whole)]  # fmt: skip
        expect(not apart(*here).any(), f"{part} reads more")
    return whole.numel()


def stream(case: Case) -> int:
    """Outputs that are final do not hang on later samples; of the next one at least one does."""
    name, sizes = case.axes[0], case.sizes
    found, axis = case.net.stream(name), case.axis_of(name)
    x = case.input(**sizes)
    whole, compared = run(case.module, x), 0
    for share in (0.4, 0.5, 0.7, 0.9):
        n = int(sizes[name] * share)
        other = x.clone()
        other.narrow(axis, n, sizes[name] - n).normal_()
        far = apart(run(case.module, other), whole)
        far = far.amax([d for d in range(far.ndim) if d != far.ndim - len(case.axes)])
        expect(not far[: found.final(n)].any(), f"of {n}, {found.final(n)} are not final")
        compared += found.final(n)
    return compared


class Port(nn.Module):
    """A strided layer as TensorFlow pads it: SAME; a pool by what never is the largest."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = copy.deepcopy(layer)
        n = 1 if isinstance(layer, nn.Conv1d) else 2
        sizes = (layer.kernel_size, layer.stride, layer.dilation)
        kernel, self.stride, dilation = ([v] * n if isinstance(v, int) else v for v in sizes)
        self.kernel = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        inner: Any = self.layer
        inner.padding, inner.ceil_mode = (0,) * n, False
        self.value = -1e9 if isinstance(layer, nn.MaxPool2d) else 0.0

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        sizes = x.shape[-len(self.kernel) :]
        for n, k, s in [*zip(sizes, self.kernel, self.stride, strict=True)][::-1]:
            total = max((-(-n // s) - 1) * s + k - n, 0)
            pads += [total // 2, total - total // 2]
        return self.layer(F.pad(x, pads, value=self.value))


def strided(module: nn.Module) -> list[str]:
    """A module's strided windows that overlap, by name: the first, a middle one and the last."""
    found = [
        name
        for name, m in module.named_modules()
        if type(m) in (nn.Conv1d, nn.Conv2d, nn.MaxPool2d) and m.stride not in (1, (1,), (1, 1))
        and m.kernel_size not in (1, (1,), (1, 1))
        and getattr(m, "padding_mode", "zeros") == "zeros"
        and not getattr(m, "return_indices", False)
    ]  # fmt: skip
    if not found:
        raise symcnn.NoSolution("no window in it is strided")
    return [*dict.fromkeys((found[0], found[len(found) // 2], found[-1]))]


def ported(module: nn.Module, name: str) -> nn.Module:
    """The module with one of its strided windows as TensorFlow pads it."""
    other = copy.deepcopy(module)
    path, _, leaf = name.rpartition(".")
    setattr(other.get_submodule(path), leaf, Port(other.get_submodule(name)))
    return other


def agree(case: Case) -> int:
    """Ports of one window agree in shapes, and in numbers, exactly at the sizes that are told."""
    return sum(_agrees(case, ported(case.module, name)) for name in strided(case.module))


def _agrees(case: Case, other: nn.Module) -> int:
    found = symcnn.agree(case.net, symcnn.from_torch(other, case.spec))
    name, compared = case.axes[0], 0
    smallest: dict[str, Any] = {n: case.net.valid_inputs().axis(n).smallest() for n in case.axes}
    low = max(smallest[name], 40)
    same_axes = [n for n in case.axes if n != name]
    for size in range(low, low + 36, 3):
        sizes = {name: size, **dict.fromkeys(same_axes, size)}
        at = tuple(sizes[n] for n in found.valid.shown) if found.valid.names else ()
        if not _takes(case.net, sizes) or (at and at not in found.valid):
            continue
        x = case.input(**sizes)
        pairs = [*zip(outputs(case.module, x), outputs(other, x), strict=True)]
        shapes = all(a.shape == b.shape for a, b in pairs)
        numbers = shapes and not any(apart(a, b).any() for a, b in pairs)
        expect(shapes == (at in found.sizes), f"at {sizes} shapes agree: {shapes}")
        expect(numbers == (at in found.reads), f"at {sizes} numbers agree: {bool(numbers)}")
        compared += 1
    expect(compared, "no size to compare at")
    return compared


def onnx(case: Case) -> int:
    """The file that torch's exporter writes agrees with the module at all sizes."""
    domain = case.net.valid_inputs()
    near = domain.nearest(*(96 for _ in domain.shown))
    sizes = dict(zip(domain.shown, near if isinstance(near, tuple) else (near,), strict=True))
    sizes = dict.fromkeys(case.axes, 96) | sizes
    plain = copy.deepcopy(case.module).float()
    open_ = {case.axis_of(n): n for n in ("N", *case.axes)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = f"{folder}/net.onnx"
        names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": open_}}
        try:
            torch.onnx.export(plain, case.input(**sizes).float(), file, dynamo=False, **names)
        except Exception as error:  # of all kinds
            raise symcnn.NoSolution(f"torch's exporter: {type(error).__name__}") from None
        other = symcnn.from_onnx(file)
    found = symcnn.agree(case.net, other)
    expect(found, f"the file differs: {found}")
    return 1


class _Windows(TorchDispatchMode):
    """What every convolution, pool and pad of a run leaves over, or pads on one side."""

    def __init__(self) -> None:
        super().__init__()
        self.odd = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        if name == "convolution" and not args[6]:
            x, w = args[0].shape[2:], args[1].shape[2:]
            self._rests(x, w, args[3], args[4], args[5])
        elif "pool" in name and "adaptive" not in name:
            kernel, stride, pads = (*args[1:4], *([], 0)[len(args) - 2 :])[:3]
            n = len(args[0].shape) - 2
            dilation = args[4] if name.startswith("max") and len(args) > 4 else 1
            self._rests(args[0].shape[-n:], *(self._each(v, n) for v in
                        (kernel, stride or kernel, pads, dilation)))  # fmt: skip
        elif name == "constant_pad_nd":
            pads = args[1]
            self.odd |= any(
                a != b and min(a, b) >= 0 for a, b in zip(pads[::2], pads[1::2], strict=True)
            )
        return func(*args, **(kwargs or {}))

    def _each(self, value: Any, n: int) -> list[int]:
        several = [value] if isinstance(value, int) else list(value)
        return several * n if len(several) == 1 else several

    def _rests(self, *each: Sequence[int]) -> None:
        for x, k, s, p, d in zip(*(list(e) for e in each), strict=True):
            self.odd |= (x + 2 * p - d * (k - 1) - 1) % s != 0


def even(case: Case) -> int:
    """At the even sizes no window has a rest, and at all others one has."""
    try:
        found = case.net.solve(even=True)
    except symcnn.NoSolution:
        found = None
    module, compared = copy.deepcopy(case.module).to("meta"), 0
    least = {n: case.net.valid_inputs().axis(n).smallest() for n in case.axes}
    for size in range(24, 130):
        sizes = {n: max(size, least[n]) for n in case.axes}
        if not _takes(case.net, sizes):
            continue
        with torch.no_grad(), _Windows() as seen:
            module(case.input(**sizes).to("meta"))
        at = tuple(sizes[n] for n in (found.shown if found is not None else ()))
        expect((found is not None and at in found) != seen.odd, f"at {sizes} odd: {seen.odd}")
        compared += 1
    return compared


def fix(case: Case) -> int:
    """Changed as it says, the module makes what is wanted exactly where it says."""
    if case.wanted is None:
        raise symcnn.NoSolution("its output is no image of its input")
    followed(case)
    ways, compared = case.net.fix(output=case.wanted), 0
    names = [sympy.sympify(str(w)) for w in case.wanted]
    for way in ways:
        module = copy.deepcopy(case.module).to("meta")
        for path, values in way.changes.items():
            layer = module.get_submodule(path)
            for name, value in values.items():
                old = getattr(layer, name)
                n = len(old) if isinstance(old, tuple) else 0
                setattr(layer, name, (value,) * n if n and isinstance(value, int) else value)
        for size in range(2, 100, 1 if len(case.axes) == 1 else 3):
            sizes = dict.fromkeys(case.axes, size)
            wanted = [e.subs(sizes) for e in names]
            try:
                made = list(run(module, case.input(**sizes).to("meta")).shape[-len(wanted) :])
            except (RuntimeError, ValueError, IndexError, NotImplementedError):
                made = []
            crop = [*way.crop] if any(way.crop) else [0] * len(wanted)
            right = [m - c for m, c in zip(made, crop, strict=True)] == wanted if made else False
            at = tuple(sizes[n] for n in way.where.shown)
            expect(right == (at in way.where), f"{way}: at {sizes} it makes {made}")
            compared += 1
    return compared


def batch(case: Case) -> int:
    """The largest batch keeps within the memory, and one image more does not: by the cost at
    numbers and, of what keeps no tensor in a variable beyond its last reader, by torch's count.
    """
    sizes = {n: max(s, 2) for n, s in case.sizes.items()}
    module = copy.deepcopy(case.module).float()
    net = symcnn.from_torch(module, case.spec)

    def of_torch(n: int) -> int:
        return torch_peak(module, module, [torch.zeros(n, *case.input(**sizes).shape[1:])])[0]

    def ours(n: int) -> int:
        return int(net.cost().at(N=n, **sizes).peak)

    budget = 3 * ours(1) + ours(1) // 2
    most = net.largest_batch(budget, **sizes)
    counts = [ours, of_torch] if of_torch(1) == ours(1) else [ours]
    for peak in counts:
        expect(peak(most) <= budget < peak(most + 1), f"{most} images in {budget:,} bytes")
    return len(counts)


def buckets(case: Case) -> int:
    """No other buckets cost less, by all choices of valid sizes."""
    followed(case)
    draw, compared = random.Random(0), 0
    domain, least = case.net.valid_inputs(), case.net.valid_inputs().smallest()
    low = max(least) if isinstance(least, tuple) else least
    for k in (1, 2, 3):
        images = {
            tuple(low + draw.randint(0, 90) for _ in case.axes): draw.randint(1, 5)
            for _ in range(5)
        }
        found = symcnn.buckets(case.net, images, k, cost="pixels")
        tops = [
            {next(v for v in itertools.count(n) if v in domain.axis(name)) for n in column}
            for name, column in zip(case.axes, zip(*images, strict=True), strict=True)
        ]
        valid = [s for s in itertools.product(*tops) if (s if len(s) > 1 else s[0]) in domain]

        def cost(some: Sequence[tuple[int, ...]], images: Any = images) -> float:
            total = 0.0
            for size, count in images.items():
                held = [b for b in some if all(m >= n for m, n in zip(b, size, strict=True))]
                total += count * min((_product(b) for b in held), default=float("inf"))
            return total

        choices = list(itertools.combinations(valid, min(k, len(valid))))
        expect(found.cost == min(map(cost, choices)), f"{found} of {images}")
        compared += len(choices)
    return compared


def _product(values: Sequence[int]) -> int:
    result = 1
    for value in values:
        result *= value
    return result


def pools(case: Case) -> int:
    """The plain pool gives the numbers of the adaptive one exactly where it says."""
    compared = 0
    for pool in case.net.plain_pools():
        node = next(n for n in case.net.nodes if n.name == pool.node)
        count = len(pool.kernel)
        plain = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[count]
        adaptive = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d}[count]
        for size in range(32, 360, 9):
            sizes = dict.fromkeys(case.axes, size)
            if not _takes(case.net, sizes):
                continue
            at = {getattr(symcnn, n): size for n, size in {"N": 1, **sizes}.items()}
            shape, kernel, stride = (
                [int(sympy.sympify(e).subs(at)) for e in values]
                for values in (node.input_shape[-count:], pool.kernel, pool.stride)
            )
            x = torch.randn(1, 1, *shape, dtype=torch.double)
            wanted = adaptive(x, [int(n) for n in node.output_shape[-count:]])
            same = min(*kernel, *stride) >= 1 and min(
                a - k for a, k in zip(shape, kernel, strict=True)
            ) >= 0  # fmt: skip
            if same:
                made = plain(x, kernel, stride)
                same = made.shape == wanted.shape and not bool(apart(made, wanted).any())
            where = tuple(sizes[n] for n in pool.where.shown)
            expect(same == (where in pool.where), f"{pool}: at {sizes} it is: {same}")
            compared += 1
    if not compared:
        raise symcnn.NoSolution("it has no adaptive pool")
    return compared


def alignment(case: Case) -> int:
    """The centre of an output is the middle of the rows that move it, of positive weights."""
    module = copy.deepcopy(case.module)
    for name, m in list(module.named_modules()):
        if isinstance(m, nn.MaxPool2d):  # the same window, read by all that lie in it
            path, _, leaf = name.rpartition(".")
            plain = nn.AvgPool2d(m.kernel_size, m.stride, m.padding, m.ceil_mode)
            setattr(module.get_submodule(path), leaf, plain)
    with torch.no_grad():
        for name, p in module.named_parameters():  # sums of about 1: what saturates does not
            each = p.numel() // min(p.shape[:2]) if p.ndim > 1 else 1
            p.zero_() if name.endswith("bias") else p.copy_(p.abs().clamp(0.1, 1) / each)
        for name, b in module.named_buffers():
            b.zero_() if name.endswith("running_mean") else None
    name, out, compared = case.axes[0], -len(case.axes), 0
    line = case.net.receptive_field().alignment[0]
    x = torch.ones_like(case.input(**case.sizes)).requires_grad_()
    y = first(module(x))
    length = y.shape[out]
    for i in range(length // 2 - 2, length // 2 + 3):
        row = y.narrow(y.ndim + out, i, 1)
        (gradient,) = torch.autograd.grad(row.sum(), x, retain_graph=True)
        axis = case.axis_of(name)
        rows = gradient.abs().sum([d for d in range(x.ndim) if d != axis]).nonzero()
        first_, last = int(rows.min()), int(rows.max())
        if first_ == 0 or last == x.shape[axis] - 1:
            continue
        off = abs(sympy.Rational(first_ + last, 2) - line.centre(i))
        expect(
            off <= line.spread, f"output {i} lies at {(first_ + last) / 2}, not {line.centre(i)}"
        )
        compared += 1
    expect(compared, "no output in the middle")
    return compared


JUDGES: dict[str, Callable[[Case], int]] = {
    "tiles": tiles,
    "shards": shards,
    "stream": stream,
    "agree": agree,
    "ONNX": onnx,
    "even": even,
    "fix": fix,
    "batch": batch,
    "buckets": buckets,
    "pools": pools,
    "alignment": alignment,
}


# The networks -----------------------------------------------------------------------------------

_IMAGE, _GREY, _SOUND = "N 3 H W", "N 1 H W", "N 1 L"


def _example(name: str) -> Callable[[], nn.Module]:
    from tests.conftest import load_example

    file, _, factory = name.partition(":")
    return lambda: getattr(load_example(file), factory)()


def hf(name: str) -> Callable[[], nn.Module]:
    from tests.conftest import load_example

    return lambda: load_example("hf").MODELS[name]()


class Trunk(nn.Module):
    """The convolutions of a classifier, without what comes after."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _features(name: str) -> Callable[[], nn.Module]:
    return lambda: Trunk(_example(name)().features)


_SAME = ("H", "W")


def vocoder() -> nn.Module:
    """The HiFi-GAN of transformers, with one level less than usual."""
    import transformers

    config = transformers.SpeechT5HifiGanConfig(
        model_in_dim=8, upsample_initial_channel=8, upsample_rates=[4, 2],
        upsample_kernel_sizes=[8, 4], resblock_kernel_sizes=[3, 7],
        resblock_dilation_sizes=[[1, 3], [1, 3]], normalize_before=False,
    )  # fmt: skip
    return transformers.SpeechT5HifiGan(config)


def dac_decoder() -> nn.Module:
    from tests.conftest import load_example

    file = load_example("hf")
    return file.hf.DacModel(file._DAC).decoder


def _unet() -> nn.Module:
    from tests.conftest import load_example

    return load_example("unet").UNet(base=2)


#: Networks of the examples and of transformers, which the tests ask too.
CASES = [
    Case("U-Net", _unet, _IMAGE, _SAME),
    Case("SqueezeNet 1.0, features", _features("squeezenet:squeezenet1_0"), _IMAGE),
    Case("VGG-16, features", _features("vgg:vgg16"), _IMAGE, ("H/32", "W/32")),
    Case("SuperPoint encoder", hf("SuperPoint encoder"), _GREY, ("H/8", "W/8")),
    Case("RT-DETR backbone", hf("RT-DETR backbone"), _IMAGE, ("H/32", "W/32")),
    Case("DAC encoder", hf("DAC encoder"), _SOUND, ("L/8",)),
    Case("DAC decoder", dac_decoder, "N 16 L", ("8*L",)),
    Case("HiFi-GAN", vocoder, "N L 8", ("8*L",)),
    Case("GoogLeNet", _example("googlenet:googlenet"), _IMAGE),
    Case("AlexNet", _example("alexnet:alexnet"), _IMAGE),
    Case("ResNet-18", _example("resnet:resnet18"), _IMAGE),
    Case("VGG-16", _example("vgg:vgg16"), _IMAGE),
    Case("SqueezeNet 1.0", _example("squeezenet:squeezenet1_0"), _IMAGE),
]


def others() -> list[Case]:
    """Networks of timm, monai, diffusers and snac, which the tests do not ask."""
    from tests.tools import families

    def maps(name: str, level: int) -> Callable[[], nn.Module]:
        options = {"features_only": True, "out_indices": (level,)}
        return partial(families.timm.create_model, name, **options)

    wide, nets = (8, 8, 16, 16, 32, 8), families.nets
    found = [
        Case(f"timm {name}, level {level}", maps(name, level), _IMAGE)
        for name, level in (("resnet18", 2), ("mobilenetv2_100", 2), ("densenet121", 1),
                            ("dla34", 2), ("convnext_atto", 1), ("repvgg_a0", 2),
                            ("ghostnet_100", 2), ("mobileone_s0", 2), ("res2net50_26w_4s", 1))
    ]  # fmt: skip
    found += [
        Case("monai UNet", lambda: nets.UNet(2, 1, 2, (4, 8, 16), (2, 2), norm="batch"), _GREY,
             _SAME),
        Case("monai BasicUNet", lambda: nets.BasicUNet(2, 1, 2, wide, norm="batch"), _GREY, _SAME),
        Case("monai HighResNet", lambda: nets.HighResNet(2, 1, 2), _GREY, _SAME),
        Case("diffusers AutoencoderTiny, encoder",
             lambda: families.diffusers.AutoencoderTiny().encoder, _IMAGE, ("H/8", "W/8")),
        Case("diffusers AutoencoderTiny, decoder",
             lambda: families.diffusers.AutoencoderTiny().decoder, "N 4 H W", ("8*H", "8*W")),
    ]  # fmt: skip
    try:
        import snac
    except ImportError:
        return found
    codec = partial(
        snac.SNAC, encoder_dim=4, encoder_rates=[2, 4], decoder_dim=32, decoder_rates=[4, 2],
        attn_window_size=None, noise=False, depthwise=False,
    )  # fmt: skip
    return [
        *found,
        Case("snac encoder", lambda: codec().encoder, _SOUND, ("L/8",)),
        Case("snac decoder", lambda: codec().decoder, "N 16 L", ("8*L",)),
    ]


# The table --------------------------------------------------------------------------------------

_ANSWERS: dict[str, Callable[[Case], object]] = {
    "tiles": lambda c: c.net.tiles(tile=max(c.sizes.values()) // 2 + 1, **c.sizes),
    "shards": lambda c: c.net.shards(2, **{c.axes[0]: c.sizes[c.axes[0]]}),
    "stream": lambda c: c.net.stream(c.axes[0]),
    "agree": lambda c: symcnn.agree(c.net, c.net),
    "even": lambda c: c.net.solve(even=True),
    "fix": lambda c: c.net.fix(output=c.wanted),
    "batch": lambda c: c.net.largest_batch("8 GiB", **c.sizes),
    "buckets": lambda c: symcnn.buckets(c.net, {tuple(c.sizes.values()): 1}, 1),
    "pools": lambda c: c.net.plain_pools(),
    "alignment": lambda c: c.net.receptive_field().alignment,
}

HEAD = """# The questions about places, judged

Written by `make places`. Each question is put to networks that others wrote and its answer held
against torch (in double, random weights) or against all choices; the docstrings of
`tests/tools/places.py` say how. A cell is how many things were compared, all of them equal;
"no" is a refusal, with its reason below.
"""


def judged(case: Case, question: str) -> tuple[str, str]:
    """A cell of the table, and why there is no answer."""
    try:
        return f"{JUDGES[question](case):,}", ""
    except Differs as error:
        return f"**{error}**", ""
    except symcnn.SymcnnError as error:
        return "no", re.sub(r"/\S*site-packages/", "", error.cause)


def main() -> None:
    """Write the table; exit status 1 if an answer differs."""
    warnings.filterwarnings("ignore")
    page = Path(__file__).parents[2] / "docs" / "validation" / "places.md"
    cases = [c for c in (*CASES, *others()) if all(w in c.name for w in sys.argv[1:])]
    start, rows, reasons = time.perf_counter(), [], []
    for case in cases:
        cells = []
        for question in JUDGES:
            cell, why = judged(case, question)
            cells.append(cell)
            reasons += [f"- {case.name}, {question}: {why}"] if why else []
        print(case.name, *cells, sep=" | ", flush=True)
        rows.append(f"| {case.name} | {' | '.join(cells)} |")
    names = ["network", *JUDGES]
    differ = sum("**" in cell for row in rows for cell in row.split("|"))
    seconds = (
        f"{len(rows)} networks, {differ} differ, {time.perf_counter() - start:.0f} s, "
        f"torch {torch.__version__}.\n"
    )
    table = [f"| {' | '.join(names)} |", "|" + " --- |" * len(names), *rows]
    text = [HEAD, seconds, "", *table, "", "## Why not", "", *reasons, ""]
    if not sys.argv[1:]:
        page.write_text("\n".join(text), encoding="utf-8")
    sys.exit(any("**" in row for row in rows))


if __name__ == "__main__":
    main()
