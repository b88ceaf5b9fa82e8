"""Tiles, shards, streams and agreement of random networks, judged by running torch in double.

A claim that outputs are those of the whole is held against the numbers: a tile is run alone, what a
shard or a stream does not read is replaced by other numbers. The other way round, that no more are,
is judged where a network is linear: there an output that reads something else is another number.
Agreement is judged at every size up to 64, by what outputs read of unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from symcnn.errors import BadSpec, InvalidInput, NoSolution, ShapeMismatch, Undecidable
from symcnn.testing.layer import Source
from symcnn.testing.networks import NetworkRecipe, draw_network
from tests.fuzz.mixing import Mixing, draw_mixing

__all__ = ["QUESTIONS", "Judged", "Padded", "Place", "draw_place", "judge"]

QUESTIONS = ("tiles", "shards", "stream", "agree")

#: Layers whose outputs are linear in what they read, padded by other than what is there.
_LINEAR = (
    nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.ZeroPad1d, nn.ZeroPad2d, nn.Identity, nn.Sequential,
)  # fmt: skip

#: How near to equal numbers are, in double and in single precision.
_CLOSE = {torch.float64: 1e-9, torch.float32: 1e-5}


@dataclass(frozen=True)
class Padded:
    """A convolution of one channel with its padding: torch's, both sides by hand, or SAME."""

    kernel: int
    stride: int
    dilation: int
    pads: tuple[int, int] | None  # None: TensorFlow's SAME

    def build(self) -> nn.Module:
        """The module, whose weights hang on the kernel's size alone."""
        return _Convolution(self)


class _Convolution(nn.Module):
    def __init__(self, recipe: Padded) -> None:
        super().__init__()
        self.recipe = recipe
        layer = nn.Conv1d(1, 1, recipe.kernel, recipe.stride, 0, recipe.dilation)
        self.conv = layer.double()
        numbers = torch.Generator().manual_seed(recipe.kernel)
        for parameter in self.conv.parameters():
            nn.init.uniform_(parameter, 0.5, 1.5, generator=numbers)

    def forward(self, x: Tensor) -> Tensor:
        recipe, n = self.recipe, x.shape[2]
        if recipe.pads is not None:
            return self.conv(F.pad(x, recipe.pads))
        extent = recipe.dilation * (recipe.kernel - 1) + 1
        total = max((-(-n // recipe.stride) - 1) * recipe.stride + extent - n, 0)
        return self.conv(F.pad(x, (total // 2, total - total // 2)))


@dataclass(frozen=True)
class Place:
    """A question about places, and the network, or the two networks, that it is asked of."""

    question: str
    recipe: NetworkRecipe | Mixing | tuple[tuple[Padded, ...], tuple[Padded, ...]]
    seed: int


@dataclass
class Judged:
    """What came of one case: how many outputs were compared; why there was no answer; what is
    wrong.
    """

    compared: int = 0
    refused: str = ""
    mismatches: list[str] = field(default_factory=list)


def draw_place(source: Source, question: str) -> Place:
    """A case of one of the `QUESTIONS`, from numbers of `source`."""
    seed = source.integer(0, 1 << 20)
    if question == "agree":
        return Place(question, _draw_pair(source), seed)
    if question == "tiles" and source.integer(0, 3) == 3:
        return Place(question, draw_mixing(source), seed)
    dims = (1, 1, 2) if question == "tiles" else (1,)
    return Place(question, draw_network(source, dims=dims, most=5), seed)


def _draw_pair(source: Source) -> tuple[tuple[Padded, ...], tuple[Padded, ...]]:
    """Two chains of the same kernels, whose padding may differ."""
    ours, theirs = [], []
    for _ in range(source.integer(1, 3)):
        kernel, stride = source.integer(1, 5), source.integer(1, 3)
        dilation = source.choose([1, 1, 2])
        pad = source.integer(0, 2)
        one = Padded(kernel, stride, dilation, (pad, pad))
        other = source.choose(
            [
                one,
                Padded(kernel, stride, dilation, None),
                Padded(kernel, stride, dilation, (pad, source.integer(0, 2))),
                Padded(kernel, stride, 1, (pad, pad)),
            ]
        )
        ours.append(one)
        theirs.append(other)
    return tuple(ours), tuple(theirs)


def judge(place: Place) -> Judged:
    """Hold the answer to a question against torch."""
    torch.manual_seed(place.seed)
    draw, found = Random(place.seed), Judged()
    if isinstance(place.recipe, tuple):
        _judge_agreement(*place.recipe, found)
        return found
    try:
        if isinstance(place.recipe, Mixing):
            _judge_mixing(place.recipe, draw, found)
        else:
            {"tiles": _judge_tiles, "shards": _judge_shards, "stream": _judge_stream}[
                place.question
            ](place.recipe, draw, found)
    except (NoSolution, InvalidInput, ShapeMismatch, Undecidable, BadSpec) as error:
        found.refused = f"{type(error).__name__}: {error}"
    return found


# Networks ---------------------------------------------------------------------------------------


def _built(recipe: NetworkRecipe) -> tuple[nn.Module, Any]:
    from symcnn.frontends import from_torch

    module = recipe.build()
    module.to(_dtype(module))
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
    return module, from_torch(module, recipe.spec)


def _dtype(module: nn.Module) -> torch.dtype:
    """Double; single precision where torch's kernels read other places in large double images than
    in small ones: what nearest resampling by a fraction reads is the law of float32.
    """
    nearest = (m for m in module.modules() if isinstance(m, nn.Upsample) and m.mode == "nearest")
    if any(float(m.scale_factor or 1) % 1 for m in nearest):  # type: ignore[arg-type]
        return torch.float32
    return torch.float64


def _is_linear(module: nn.Module) -> bool:
    """Whether outputs that read something else are other numbers."""
    leaves = [m for m in module.modules() if not list(m.children())]
    zeros = all(getattr(m, "padding_mode", "zeros") == "zeros" for m in leaves)
    return zeros and all(isinstance(m, _LINEAR) for m in leaves)


def _run(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """Where two tensors differ; `b` is finite."""
    return ~((a - b).abs() <= _CLOSE[b.dtype] * (1 + b.abs()))


def _same(a: Tensor, b: Tensor, axis: int) -> list[bool]:
    """Per index of an axis, whether two tensors are equal there."""
    apart = _apart(a, b)
    others = [d for d in range(a.ndim) if d != axis]
    return [not wrong for wrong in apart.amax(others).tolist()]


def _valid(net: Any, draw: Random, low: int, high: int) -> dict[str, int] | None:
    """Sizes of an image that the network takes."""
    domain = net.valid_inputs()
    if not domain:
        return None
    wanted = [draw.randint(low, high) for _ in domain.shown]
    near = domain.nearest(*wanted)
    values = near if isinstance(near, tuple) else (near,)
    sizes = dict(zip(domain.shown, values, strict=True))
    free = [n for n in net.symbols if n not in net.batch and n not in sizes]
    return sizes | {n: draw.randint(low, high) for n in free}


# Tiles ------------------------------------------------------------------------------------------


def _judge_tiles(recipe: NetworkRecipe, draw: Random, found: Judged) -> None:
    module, net = _built(recipe)
    sizes = _valid(net, draw, 40, 160 if recipe.dims == 1 else 72)
    if sizes is None or max(sizes.values()) > 400:
        found.refused = "no size to try"
        return
    x = torch.randn(recipe.shape(*(sizes[n] for n in recipe.axes)), dtype=_dtype(module))
    whole = _run(module, x)
    _judge_cuts(net, module, x, whole, sizes, draw, found)
    tiling = net.tiles(tile=draw.randint(8, 64), **sizes)
    made = torch.full_like(whole, float("nan"))
    for tile in tiling.tiles:
        inside, core, at = ((..., *s) for s in (tile.input, tile.core, tile.place))
        made[at] = _run(module, x[inside])[core]
    found.compared += made.numel()
    if bool(_apart(made, whole).any()):
        found.mismatches.append(f"tiles of {sizes} are not the whole: {tiling}")


def _judge_cuts(
    net: Any,
    module: nn.Module,
    x: Tensor,
    whole: Tensor,
    sizes: dict[str, int],
    draw: Random,
    found: Judged,
    *,
    sharp: bool = True,
) -> None:
    """Parts anywhere: what is told exact is, and in a linear network no more."""
    from symcnn.questions.place.tiles import courses

    linear = sharp and _is_linear(module)
    _, along = courses(net, None, sizes)
    for axis, course in enumerate(along, start=2):
        size, out = sizes[course.name], course.end.axis  # type: ignore[union-attr]
        for _ in range(3):
            start = draw.randrange(0, size) // course.period * course.period
            stop = size if draw.random() < 0.3 else draw.randint(start + 1, size)
            try:
                net.shape_at(**{"N": 1, **sizes, course.name: stop - start})
            except InvalidInput:
                continue
            part = _run(module, x.narrow(axis, start, stop - start))
            cut = course.cut(start, stop)
            if len(cut.wrong) != part.shape[out]:
                found.mismatches.append(f"{start}:{stop} of {sizes} makes {part.shape[out]}")
                continue
            count = max(min(part.shape[out], whole.shape[out] - cut.place), 0)
            there = whole.narrow(out, cut.place, count) if count else whole[:0]
            same = _same(part.narrow(out, 0, count), there, out) if count else []
            told = [not wrong for wrong in cut.wrong.tolist()]
            found.compared += len(told)
            sound = all(s for s, t in zip(same, told, strict=False) if t)
            all_told = not linear or all(t for s, t in zip(same, told, strict=False) if s)
            if not sound or any(told[count:]) or not all_told:
                what = "not exact" if not sound else "exact, and not told so"
                odd = [i for i, (s, t) in enumerate(zip(same, told, strict=False)) if s != t]
                found.mismatches.append(f"{start}:{stop} of {sizes} along {course.name}: "
                                        f"{odd[:8]} are {what}")  # fmt: skip


def _judge_mixing(recipe: Mixing, draw: Random, found: Judged) -> None:
    """Networks that mix places: whatever has tiles is judged by parts."""
    from symcnn.frontends import from_torch

    module = recipe.build().double()
    for size in recipe.sizes:
        x = torch.rand(1, int(recipe.spec.split()[1]), *size, dtype=torch.float64)
        try:
            whole = _run(module, x)
        except Exception:  # torch's errors are of all kinds
            continue
        if 0 in whole.shape or max(whole.shape) > 400:
            continue
        net = from_torch(module, recipe.spec)
        at = dict(zip("HW", size, strict=True))
        _judge_cuts(net, module, x, whole, at, draw, found, sharp=False)
        return
    found.refused = "no size to try"


# Shards -----------------------------------------------------------------------------------------


def _judge_shards(recipe: NetworkRecipe, draw: Random, found: Judged) -> None:
    module, net = _built(recipe)
    stream = net.stream()
    parts = draw.randint(2, 4)
    step = parts * stream.hop
    sizes = _valid(net.branch_at(N=1, L=64), draw, 60, 240)
    domain = net.valid_inputs()
    fitting = [n for n in range(step, 600, step) if n in domain]
    if sizes is None or not fitting:
        found.refused = "no size to try"
        return
    size = draw.choice(fitting)
    shards = net.shards(L=size, parts=parts)
    x = torch.randn(recipe.shape(size), dtype=_dtype(module))
    whole = _run(module, x)
    linear = _is_linear(module)
    for shard in shards:
        (read,), (place,) = shard.read, shard.output
        if place.stop <= place.start:
            continue
        other = torch.randn_like(x)
        other[..., read] = x[..., read]
        same = _same(_run(module, other)[..., place], whole[..., place], 2)
        found.compared += len(same)
        if not all(same):
            found.mismatches.append(f"{shard} of {size} reads more")
        far = abs(stream.lookback) + abs(stream.lookahead) + stream.hop
        for edge in (read.start, read.stop - 1) if linear else ():
            if far <= edge < size - far and read.stop > read.start:
                changed = x.clone()
                changed[..., edge] += 1
                if all(_same(_run(module, changed)[..., place], whole[..., place], 2)):
                    found.mismatches.append(f"{shard} of {size} does not read {edge}")


# Streams ----------------------------------------------------------------------------------------


def _judge_stream(recipe: NetworkRecipe, draw: Random, found: Judged) -> None:
    module, net = _built(recipe)
    stream = net.stream()
    far = stream.lookback + stream.lookahead + 2 * stream.hop
    sizes = _valid(net, draw, 3 * far + 20, 3 * far + 90)
    if sizes is None or sizes["L"] > 2000:
        found.refused = "no size to try"
        return
    size = sizes["L"]
    x = torch.randn(recipe.shape(size), dtype=_dtype(module))
    whole, linear = _run(module, x), _is_linear(module)
    formula = stream.final("n")
    for _ in range(4):
        n = draw.randint(0, size)
        final = stream.final(n)
        said = int(formula.subs(dict.fromkeys(formula.free_symbols, n)))
        if said != final:
            found.mismatches.append(f"final({n}) is {final}, by the formula {said}")
        other = x.clone()
        other[..., n:] = torch.randn_like(other[..., n:])
        same = _same(_run(module, other), whole, 2)
        found.compared += len(same)
        if not all(same[:final]):
            found.mismatches.append(f"of {n} samples of {size}, {final} outputs are not final")
        inner = far <= n < size - far and far * stream.outputs < final * stream.hop
        if linear and inner and final < len(same) and same[final]:
            found.mismatches.append(f"of {n} samples of {size}, output {final} is final too")


# Agreement --------------------------------------------------------------------------------------


def _judge_agreement(a: Sequence[Padded], b: Sequence[Padded], found: Judged) -> None:
    from symcnn.frontends import from_torch
    from symcnn.questions.place.agree import agree

    modules = [nn.Sequential(*(layer.build() for layer in chain)) for chain in (a, b)]
    one, other = (from_torch(module, "N 1 L") for module in modules)
    try:
        agreement = agree(one, other)
    except Undecidable as error:
        found.refused = str(error)
        return
    fields = [net.receptive_field() for net in (one, other)]
    far = max(2 * field.size[0] + field.stride[0] for field in fields)  # borders out of sight
    holes = any(layer.dilation > 1 for layer in (*a, *b))  # which hulls do not tell of
    for size in range(1, 65):
        ours, theirs = (_numbers(module, size) for module in modules)
        shapes = reads = same = False
        if ours is not None and theirs is not None and ours.shape == theirs.shape:
            shapes, same = True, torch.allclose(ours, theirs, rtol=1e-12)
            # zeros that are padded before a bias are others than those behind it; none is read
            reads = torch.allclose(ours - ours[-1], theirs - theirs[-1], rtol=1e-12)
        found.compared += 1
        if shapes != (size in agreement.sizes):
            found.mismatches.append(f"at {size} shapes agree: {shapes}, in {agreement.sizes}")
        if size in agreement.reads and not reads:
            found.mismatches.append(f"at {size} reads differ, in {agreement.reads}")
        if same and not holes and size > far and size not in agreement.reads:
            found.mismatches.append(f"at {size} reads agree, in {agreement.reads}")


def _numbers(module: nn.Module, size: int) -> Tensor | None:
    """What every output makes of every input, of unit vectors, and of none; None if torch does not
    take the size.
    """
    basis = torch.eye(size + 1, size, dtype=torch.float64)
    try:
        return _run(module, basis[:, None])[:, 0]
    except RuntimeError:
        return None
