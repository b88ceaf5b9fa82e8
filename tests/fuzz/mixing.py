"""Random networks that mix places in every way there is, and their fields judged by gradients.

A network is a recipe: a tuple of blocks, each a name with numbers. Blocks keep four channels, so
any follows any: convolutions, resizes, patches cut and laid back, windows of attention between
global ones, tokens, gathers along channels, rolls, folds, branches. Whether an output reads an
input is what autograd says, of sums with random weights over all else, at random images: what one
image hides another shows, and nothing cancels but by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from symcnn.errors import BadSpec, SymcnnError, Undecidable
from symcnn.testing.layer import Source

if TYPE_CHECKING:
    import numpy.typing as npt

    from symcnn.questions.field.field_at import FieldAt
    from symcnn.questions.field.receptive_field import ReceptiveField

    Bools: TypeAlias = npt.NDArray[np.bool_]

__all__ = ["Block", "Judged", "Mixing", "draw_mixing", "judge"]

_C = 4  # channels throughout
#: Sizes to try: those that many windows and strides divide, and odd ones.
_SIZES = (24, 12, 48, 36, 16, 17, 23, 30, 32, 28, 20, 25)
_DRAWS = 8  # images, at most, until all that is said to be read has shown


@dataclass(frozen=True)
class Block:
    """One block, by name; blocks of others have `inner`."""

    name: str
    options: tuple[Any, ...] = ()
    inner: tuple[Block, ...] = ()

    def __repr__(self) -> str:
        words = [*map(repr, self.options), *map(repr, self.inner)]
        return f"{self.name}({', '.join(words)})" if words else self.name

    def build(self) -> nn.Module:
        """A fresh module."""
        made: nn.Module = _BLOCKS[self.name][1](*self.options, *(b.build() for b in self.inner))
        return made


@dataclass(frozen=True)
class Mixing:
    """A network of blocks on images ``(N, 4, H, W)``."""

    blocks: tuple[Block, ...]
    sizes: tuple[tuple[int, int], ...]  # to try in turn

    spec = f"N {_C} H W"

    def build(self) -> nn.Module:
        """A fresh module in double precision."""
        return nn.Sequential(*(b.build() for b in self.blocks)).double().eval()

    def __repr__(self) -> str:
        return " -> ".join(map(repr, self.blocks))


# Blocks ---------------------------------------------------------------------------------------


class _Of(nn.Module):
    """A function of an image and of layers."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def _same(k: int, d: int) -> nn.Module:
    return nn.Conv2d(_C, _C, k, padding=d * (k - 1) // 2, dilation=d)


def _unmixed(k: int, s: int, p: int, d: int) -> nn.Module:
    options: dict[str, int] = {"stride": s, "padding": p, "dilation": d}
    return _Of(lambda x: F.fold(F.unfold(x, k, **options).tanh(), x.shape[2:], k, **options))


def _mixed(k: int, s: int, p: int, d: int) -> nn.Module:
    options: dict[str, int] = {"stride": s, "padding": p, "dilation": d}
    mix = nn.Conv1d(_C * k * k, _C * k * k, 1)
    return _Of(lambda x, m: F.fold(m(F.unfold(x, k, **options)), x.shape[2:], k, **options), mix)


def _patches(k: int, s: int) -> nn.Module:
    def function(x: Tensor, mix: nn.Module) -> Tensor:
        h, w = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
        rows: Tensor = mix(F.unfold(x, k, stride=s).view(x.shape[0], _C * k * k, h, w))
        return rows

    return _Of(function, nn.Conv2d(_C * k * k, _C, 1))


def _taps(k: int, s: int) -> nn.Module:
    """One tap of every patch: of the field of the patch only a place is left."""

    def function(x: Tensor) -> Tensor:
        h, w = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
        return F.unfold(x, k, stride=s).view(x.shape[0], _C, k * k, h, w)[:, :, k * k // 2]

    return _Of(function)


def _windows(k: int, s: int) -> nn.Module:
    return _Of(lambda x: x.unfold(2, k, s).unfold(3, k, s).tanh().sum((-1, -2)))


def _slid(k: int, s: int) -> nn.Module:
    return _Of(lambda x: (x.unfold(2, k, s)[..., k - 1] + 1) * (x.unfold(2, k, s)[..., 0] + 1))


def _attend(query: Tensor, key: Tensor) -> Tensor:
    return (query @ key.transpose(-1, -2) / 4).softmax(-1) @ key


def _local(side: int, shift: int) -> nn.Module:
    def function(x: Tensor, query: nn.Module) -> Tensor:
        n, c, h, w = x.shape
        if shift:
            x = torch.roll(x, (-shift, -shift), (2, 3))
        x = x.reshape(n, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(-1, side * side, c)
        x = _attend(query(x), x)
        x = x.reshape(n, h // side, w // side, side, side, c).permute(0, 5, 1, 3, 2, 4)
        x = x.reshape(n, c, h, w)
        return torch.roll(x, (shift, shift), (2, 3)) if shift else x

    return _Of(function, nn.Linear(_C, _C))


def _grid(side: int) -> nn.Module:
    """Attention among the places that lie the same way in all blocks: MaxViT's grid."""

    def function(x: Tensor, query: nn.Module) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, c, side, h // side, side, w // side).permute(0, 3, 5, 2, 4, 1)
        x = x.reshape(-1, side * side, c)
        x = _attend(query(x), x)
        x = x.reshape(n, h // side, w // side, side, side, c).permute(0, 5, 3, 1, 4, 2)
        return x.reshape(n, c, h, w)

    return _Of(function, nn.Linear(_C, _C))


def _everywhere(side: int) -> nn.Module:
    def function(x: Tensor, key: nn.Module) -> Tensor:
        n, c, h, w = x.shape
        keys, places = key(x).flatten(2).transpose(1, 2), x.flatten(2).transpose(1, 2)
        found = _attend(places, keys) + places  # of a single key, the softmax is 1 whoever asks
        return found.transpose(1, 2).reshape(n, c, h, w)

    return _Of(function, nn.Conv2d(_C, _C, side, side))


def _axial() -> nn.Module:
    def function(x: Tensor) -> Tensor:
        x = x.permute(0, 3, 2, 1)
        return _attend(x, x).permute(0, 3, 2, 1)

    return _Of(function)


def _tokens() -> nn.Module:
    """With a class token in front that is taken off again."""

    def function(x: Tensor, mix: nn.Module) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.new_ones(n, 1, c), mix(tokens)], 1)
        return tokens[:, 1:].tanh().transpose(1, 2).reshape(n, c, h, w)

    return _Of(function, nn.Linear(_C, _C))


def _gather() -> nn.Module:
    return _Of(lambda x: x.gather(1, (x > 0).long() + torch.tensor(1)))


def _scatter() -> nn.Module:
    places = torch.arange(_C).view(1, _C, 1, 1) % 2  # to every channel
    return _Of(lambda x: torch.zeros_like(x).scatter_add(1, (x > 0).long() * 2 + places, x))


def _select(places: tuple[int, ...]) -> nn.Module:
    return _Of(lambda x: x.index_select(1, torch.tensor(places)))


def _resized(mode: str, size: Any, scale: Any, align: bool) -> nn.Module:
    smooth = mode.startswith("bi")
    return _Of(
        lambda x: F.interpolate(x, size, scale, mode, align_corners=align if smooth else None)
    )


def _to_size_of(mode: str, stride: int) -> nn.Module:
    """Down, and back to the size it came from."""

    def function(x: Tensor, down: nn.Module) -> Tensor:
        return x + F.interpolate(down(x), x.shape[2:], mode=mode)

    return _Of(function, nn.Conv2d(_C, _C, 3, stride, 1))


def _both(a: nn.Module, b: nn.Module) -> nn.Module:
    def function(x: Tensor, a: nn.Module, b: nn.Module, mix: nn.Module) -> Tensor:
        found: Tensor = mix(torch.cat([a(x), b(x)], 1))
        return found

    return _Of(function, a, b, nn.Conv2d(2 * _C, _C, 1))


def _beside(a: nn.Module) -> nn.Module:
    return _Of(lambda x, a: a(x) + x, a)


def _gated(a: nn.Module) -> nn.Module:
    return _Of(lambda x, a: (a(x) + 1) * x.sigmoid(), a)  # gaps of folds are 0


def _pad(mode: str, left: int, right: int) -> nn.Module:
    return _Of(lambda x: F.pad(x, (left, right, right, left), mode))


def _crop(left: int, right: int, step: int) -> nn.Module:
    def function(x: Tensor) -> Tensor:
        h, w = x.shape[2] - left - right, x.shape[3] - left
        return x.narrow(2, left, h)[:, :, ::step].narrow(3, 0, w)

    return _Of(function)


def _shuffled(r: int) -> nn.Module:
    conv = nn.Conv2d(_C, _C, 3, padding=1)
    return _Of(lambda x, c: F.pixel_shuffle(F.pixel_unshuffle(c(x), r).tanh(), r), conv)


def _focus(k: int) -> nn.Module:
    """Space to channels, of which only some are looked at."""

    def function(x: Tensor, mix: nn.Module) -> Tensor:
        n, _, h, w = x.shape
        found: Tensor = mix(F.pixel_unshuffle(x, 2).view(n, _C, 4, h // 2, w // 2)[:, :, k])
        return found

    return _Of(function, nn.Conv2d(_C, _C, 1))


_Draw: TypeAlias = "Callable[[Source], tuple[Any, ...]]"


def _fold_options(s: Source) -> tuple[Any, ...]:
    return s.integer(2, 4), s.integer(1, 3), s.integer(0, 1), s.integer(1, 2)


def _none(s: Source) -> tuple[Any, ...]:
    return ()


_MODES = ("nearest", "bilinear", "bicubic", "nearest-exact", "area")
_SCALES = (2.0, 0.5, 1.5, 3.0, 1 / 3)

#: How a block's numbers are drawn, how it is built, and how many blocks it holds.
_BLOCKS: dict[str, tuple[_Draw, Callable[..., nn.Module], int]] = {
    "conv": (lambda s: (s.choose([1, 3, 3, 5]), s.integer(1, 2)), _same, 0),
    "strided": (
        lambda s: (_C, _C, s.integer(1, 4), s.integer(1, 3), s.integer(0, 2)),
        nn.Conv2d,
        0,
    ),
    "pool": (lambda s: (2, s.integer(1, 2), s.integer(0, 1)), nn.AvgPool2d, 0),
    "transposed": (
        lambda s: (_C, _C, s.integer(1, 4), s.integer(1, 3), s.integer(0, 1)),
        nn.ConvTranspose2d,
        0,
    ),
    "unmixed": (_fold_options, _unmixed, 0),
    "mixed": (_fold_options, _mixed, 0),
    "patches": (lambda s: (s.integer(2, 4), s.integer(1, 3)), _patches, 0),
    "taps": (lambda s: (s.integer(2, 3), s.integer(1, 3)), _taps, 0),
    "windows": (lambda s: (s.integer(1, 4), s.integer(1, 3)), _windows, 0),
    "slid": (lambda s: (s.integer(2, 4), s.integer(1, 3)), _slid, 0),
    "local": (lambda s: (s.integer(2, 4), s.integer(0, 1)), _local, 0),
    "grid": (lambda s: (s.integer(2, 4),), _grid, 0),
    "everywhere": (lambda s: (s.integer(1, 4),), _everywhere, 0),
    "axial": (_none, _axial, 0),
    "tokens": (_none, _tokens, 0),
    "gather": (_none, _gather, 0),
    "scatter": (_none, _scatter, 0),
    "select": (lambda s: (tuple(s.integer(0, _C - 1) for _ in range(_C)),), _select, 0),
    "resize": (
        lambda s: (
            (s.choose(_MODES), s.integer(3, 30), None, s.flip())
            if s.flip()
            else (s.choose(_MODES), None, s.choose(_SCALES), s.flip())
        ),
        _resized,
        0,
    ),
    "back": (lambda s: (s.choose(["nearest", "bilinear"]), s.integer(1, 3)), _to_size_of, 0),
    "beside": (_none, _beside, 1),
    "gated": (_none, _gated, 1),
    "both": (_none, _both, 2),
    "pad": (
        lambda s: (
            s.choose(["constant", "reflect", "replicate", "circular"]),
            s.integer(0, 2),
            s.integer(0, 2),
        ),
        _pad,
        0,
    ),
    "crop": (lambda s: (s.integer(0, 2), s.integer(0, 2), s.integer(1, 2)), _crop, 0),
    "shuffled": (lambda s: (s.integer(2, 3),), _shuffled, 0),
    "focus": (lambda s: (s.integer(0, 3),), _focus, 0),
    "roll": (lambda s: (s.integer(-3, 3),), lambda k: _Of(lambda x: x.roll((k, k), (2, 3))), 0),
    "flip": (_none, lambda: _Of(lambda x: x.flip(2)), 0),
    "turned": (_none, lambda: _Of(lambda x: x.transpose(2, 3)), 0),
    "running": (lambda s: (s.integer(2, 3),), lambda d: _Of(lambda x: x.cumsum(d)), 0),
    "squeeze": (
        _none,
        lambda: _Of(lambda x: (x + 1) * x.mean((2, 3), keepdim=True).sigmoid()),
        0,
    ),
}


def _draw(source: Source, depth: int) -> Block:
    name = source.choose([n for n, (_, _, holds) in _BLOCKS.items() if depth or not holds])
    options, _, holds = _BLOCKS[name]
    inner = tuple(_draw(source, depth - 1) for _ in range(holds))
    return Block(name, options(source), inner)


def draw_mixing(source: Source) -> Mixing:
    """A network of one to five blocks, from numbers of `source`."""
    blocks = tuple(_draw(source, 2) for _ in range(source.integer(1, 5)))
    start = source.integer(0, len(_SIZES) - 1)
    turned = [*_SIZES[start:], *_SIZES[:start]]
    return Mixing(blocks, tuple(zip(turned, [*turned[5:], *turned[:5]], strict=True)))


# Judging --------------------------------------------------------------------------------------


@dataclass
class Judged:
    """What came of one network: at which size it ran, how many output indices were compared, how
    many intervals were formulas, and what differs.
    """

    size: tuple[int, int] | None = None
    places: int = 0
    formulas: int = 0
    mismatches: list[str] = field(default_factory=list)


def judge(recipe: Mixing, seed: int = 0) -> Judged:
    """Compare the field of a network with gradients, at the first of its sizes that torch takes."""
    from symcnn.frontends import from_torch

    torch.manual_seed(seed)
    module, found = recipe.build(), Judged()
    for size in recipe.sizes:
        try:
            with torch.no_grad():
                shape = tuple(module(torch.rand(1, _C, *size, dtype=torch.float64)).shape)
        except Exception:  # torch's errors are of all kinds
            continue
        if 0 not in shape and max(shape) <= 150:
            found.size = size
            break
    if found.size is None:
        return found
    net = from_torch(module, recipe.spec)
    sizes = dict(zip("HW", found.size, strict=True))
    ours = net.shape_at(N=1, **sizes)
    if ours != shape:
        found.mismatches.append(f"shape {ours} at {sizes}, torch: {shape}")
        return found
    rf = net.receptive_field()
    at = rf.at(**sizes)
    for axis in range(2):
        along, table = at.tables(axis)
        place = along[0] if along else 2 + axis
        said: Any = (
            table.any(tuple(range(1, len(along)))) if along else np.tile(table, (shape[place], 1))
        )
        read = _support(module, found.size, axis, place, said)
        found.places += len(said)
        for i in np.nonzero((said != read).any(1))[0][:1]:
            found.mismatches.append(
                f"at {sizes} output {i} reads {_told(said[i])} of axis {axis}, "
                f"gradients: {_told(read[i])}"
            )
        found.formulas += _formulas(rf, module, axis, sizes, shape, at, found.mismatches)
    return found


#: A weight below this share is what rounding leaves of 0: linear resampling reads its right
#: neighbour with 2e-15 where the place is a whole number and its double is above.
_ROUNDING = 1e-9


def _support(
    module: nn.Module,
    size: Sequence[int],
    axis: int,
    place: int,
    until: Bools,
    least: float = 0.0,
) -> Bools:
    """Which inputs have a gradient, of each output index along axis `place`, in any of some images;
    no more of them than it takes to show all of `until`.

    least: the share of the largest gradient that one must be above.
    """
    from symcnn.judge.probe import ExactPlaces

    seen: Any = None
    others = [k for k in range(4) if k != 2 + axis]
    for _ in range(_DRAWS):
        image = torch.randn(1, _C, *size, dtype=torch.float64, requires_grad=True)
        with ExactPlaces():
            output = module(image)
        weights = torch.rand_like(output) + 0.5
        rows = []
        for total in (output * weights).sum([k for k in range(4) if k != place]):
            (gradient,) = torch.autograd.grad(total, image, retain_graph=True, allow_unused=True)
            rows.append(
                np.zeros(size[axis], dtype=bool)
                if gradient is None
                else (gradient.abs().sum(others) > least * gradient.abs().max()).numpy()
            )
        seen = np.stack(rows) if seen is None else seen | np.stack(rows)
        if seen.shape != until.shape or (seen == until).all() or (seen & ~until).any():
            break
    return seen


def _formulas(
    rf: ReceptiveField,
    module: nn.Module,
    axis: int,
    sizes: dict[str, int],
    shape: Sequence[int],
    at: FieldAt,
    mismatches: list[str],
) -> int:
    """How many intervals are formulas; each must hold what is read, where nothing is folded.

    At one size the field may vary along fewer axes than in general: a map of a single window.
    """
    along, table = at.tables(axis)
    if len(along) > 1 or not all(c.holds(sizes) for c in rf.assumptions):
        return 0
    try:
        moves, _, _ = rf.along(axis, "i")
    except (Undecidable, BadSpec):  # no formula, or one in several indices
        return 0
    place = 2 + axis if moves is None else moves
    rows = table
    if along != (place,):
        rows = np.tile(table.any(0) if along else table, (shape[place], 1))
    for i, row in enumerate(rows):
        try:
            first, last = rf.clipped(i, axis, sizes)
        except SymcnnError as error:
            mismatches.append(f"the interval of {i} along {axis}: {error}")
            return i
        places = np.nonzero(row)[0]
        if not len(places) or rf.folded or first <= places[0] <= places[-1] <= last:
            continue
        strong = _support(module, [*sizes.values()], axis, place, rows, _ROUNDING)[i]
        if not (strong[: int(first)].any() or strong[int(last) + 1 :].any()):
            continue
        mismatches.append(
            f"at {sizes} the formula of output {i} along {axis} is {first}..{last}, "
            f"read are {_told(row)}"
        )
        return i + 1
    return len(rows)


def _told(row: Bools) -> str:
    places = np.nonzero(row)[0].tolist()
    if len(places) > 2 and places == [*range(places[0], places[-1] + 1)]:
        return f"{places[0]}..{places[-1]}"
    return str(places)
