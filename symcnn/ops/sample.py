"""Operations that read an image at places of their own: unpooling, grids, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isfinite

from symcnn.algebra.axis import (
    IDENTITY,
    Adaptive,
    Axes,
    AxisMap,
    Const,
    Mode,
    Resample,
    Scatter,
    Whole,
)
from symcnn.algebra.size import Int, Size, prod
from symcnn.errors import ShapeMismatch
from symcnn.ops import dtypes, tools, values, work
from symcnn.ops.operation import Product
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    filled,
    leading_axes,
    map_axes,
    ntuple,
    of_everything,
    require_equal,
    require_rank,
    require_shape,
)
from symcnn.ops.storage import maps
from symcnn.ops.takes import not_taken
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import Node, Result, SymbolicTensor
from symcnn.trace.tape import check_of_values, empties, entails


def _max_unpool(
    n: int,
    input: SymbolicTensor,
    indices: SymbolicTensor,
    kernel_size: OneOrMore[Int],
    stride: OneOrMore[Int] | None = None,
    padding: OneOrMore[Int] = 0,
    output_size: Sequence[Int] | None = None,
) -> Result:
    """The inverse of a max pool: size ``(x - 1)*stride - 2*padding + kernel``, or one near it."""
    op = f"max_unpool{n}d"
    require_rank(input, (n + 1, n + 2), op)
    kernel = ntuple(kernel_size, n, "kernel_size")
    strides = kernel if stride is None or stride in ((), []) else ntuple(stride, n, "stride")
    pads = ntuple(padding, n, "padding")
    for name, given in (("kernel_size", kernel), ("stride", strides), ("padding", pads)):
        # torch looks at strides for 3 axes only; else they go into the size and nowhere else
        at_least(name, given, 1 if n == 3 and name == "stride" else -(1 << 31))
    if indices.ndim != input.ndim:
        raise ShapeMismatch(f"{op}: the indices are {indices.ndim}-d, the input {input.ndim}-d")
    requires = require_shape(indices.dims, input.dims, f"{op}: there must be an index per element")
    lead, space = input.dims[:-n], input.dims[-n:]
    scatters = [Scatter(k, s, p) for k, s, p in zip(kernel, strides, pads, strict=True)]
    sizes: list[Int] = [f.size(x) for f, x in zip(scatters, space, strict=True)]
    maps: list[AxisMap] = list(scatters)
    if output_size is not None:
        wanted = tuple(output_size)[-n:]
        if len(output_size) not in (n, n + 2) or len(wanted) != n:
            raise ShapeMismatch(f"{op}: output_size={tuple(output_size)}", cure=f"give {n} numbers")
        for size, want, step in zip(sizes, wanted, strides, strict=True):
            why = f"{op}: output_size must be within a stride of the default"
            requires += [Condition(want, ">=", size - step + 1, why)]
            requires += [Condition(size + step - 1, ">=", want, why)]
        sizes, maps = list(wanted), [Whole(want) for want in wanted]
    if not _holds_places(sizes, indices):
        check_of_values()
    least = int(output_size is not None)
    requires += [Condition(size, ">=", least, "the output must not be empty") for size in sizes]
    requires += filled(input, input.dims[-n - 1 :])
    axes = (*leading_axes(len(lead)), *((len(lead) + i, m) for i, m in enumerate(maps)))
    return Result(
        ((*lead, *sizes),),
        axes,
        requires=tuple(requires),
        others=((indices, axes),),
        empties=empties(sizes),
    )


def _holds_places(sizes: Sequence[Int], indices: SymbolicTensor) -> bool:
    """Whether every place of the map that a pool read is one of `sizes`, whichever it gives; those
    of an input are taken to be right.
    """
    pool = indices.node
    if pool is None or "max_pool" not in pool.op:
        return pool is None
    read = pool.sources[0].dims[-len(sizes) :]
    return entails(Condition(prod(sizes), ">=", prod(read))) is True


for _n in (1, 2, 3):
    rule(
        f"max_unpool{_n}d",
        other=work.nothing,
        saves="indices",
        autocast=dtypes.SINGLE_ON_CPU,
        takes={"input": "float", "indices": "int64"},
    )(partial(_max_unpool, _n))


def _taps(node: Node) -> Int:
    mode = node.arguments.get("mode", "bilinear")
    taps = {"nearest": 0, "bicubic": 16, 0: 2 ** (node.inputs[0].ndim - 2), 1: 0, 2: 16}
    per: int = taps.get(mode, 2 ** (node.inputs[0].ndim - 2))
    return work.made(node) * per


@rule(
    "grid_sample",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    other=_taps,
    counts=tools.GRID,
    saves="input grid",
    autocast=dtypes.SINGLE_ON_CPU,
    takes="float",
    same_dtype="input grid",
)
def grid_sample(
    input: SymbolicTensor, grid: SymbolicTensor, *args: object, **kwargs: object
) -> Result:
    """Values at the places that `grid` names: its space, the input's channels."""
    require_rank(input, (4, 5), "grid_sample")
    n = input.ndim - 2
    if grid.ndim != input.ndim:
        raise ShapeMismatch(f"grid_sample: a {grid.ndim}-d grid for a {input.ndim}-d input")
    requires = require_equal(grid.dims[0], input.dims[0], "grid_sample: batches must be equal")
    requires += require_equal(grid.dims[-1], n, f"grid_sample: a place has {n} coordinates")
    requires += filled(input, input.dims[2:])
    space = grid.dims[1:-1]
    axes: Axes = (*leading_axes(2), *((2 + i, Whole(size)) for i, size in enumerate(space)))
    places: Axes = ((0, IDENTITY), (None, IDENTITY), *((1 + i, IDENTITY) for i in range(n)))
    others = ((grid, places),)
    return Result(((*input.dims[:2], *space),), axes, requires=tuple(requires), others=others)


def _grid_products(node: Node) -> list[Product]:
    """The gradient of a map is a product; the grid itself is made without one that counts."""
    theta = node.inputs[0]
    return [Product((theta,), (), prod(node.outputs[0].dims) * theta.dims[-1], 0)]


@rule(
    "affine_grid",
    "affine_grid_generator",
    other=work.nothing,
    products=_grid_products,
    saves="",
    empty=False,
)
def affine_grid(
    theta: SymbolicTensor, size: Sequence[Int], align_corners: bool | None = None
) -> Result:
    """The grid that an affine map makes of an image of this size."""
    if len(size) not in (4, 5):
        raise ShapeMismatch(f"affine_grid takes a size of 4 or 5 numbers, not {len(size)}")
    n = len(size) - 2
    require_rank(theta, (3,), "affine_grid")
    batch, rows, columns = theta.dims
    requires = require_equal(batch, size[0], "affine_grid: one map per image")
    requires += require_equal(rows, n, f"affine_grid: maps of {n} axes have {n} rows")
    requires += require_equal(columns, n + 1, f"affine_grid: maps of {n} axes have {n + 1} columns")
    requires += at_least("size", size, 1)
    return of_everything((size[0], *size[2:], n), requires)


_KINDS: dict[str, Mode] = {
    "nearest": "nearest",
    "nearest-exact": "nearest-exact",
    "bicubic": "cubic",
    "lanczos": "cubic",
}


def resized(
    input: SymbolicTensor,
    size: OneOrMore[Int] | None = None,
    scale_factor: OneOrMore[float | Size] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Result:
    """Resizing: to a size, or by a factor ``trunc(double(x) * factor)`` per axis."""
    n = input.ndim - 2
    want = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,)}
    want |= {"bilinear": (2,), "bicubic": (2,), "trilinear": (3,), "lanczos": (2,)}
    if mode not in want or n not in want[mode]:
        raise ShapeMismatch(f"interpolate: mode={mode!r} does not take a {input.ndim}-d input")
    if mode in ("linear", "trilinear", "area") and input.dtype == "uint8":
        raise not_taken(f"interpolate of uint8, mode={mode!r}", "float")
    if mode in ("nearest", "nearest-exact", "area") and align_corners is not None:
        raise ShapeMismatch(f"interpolate: mode={mode!r} has no align_corners", cure="leave it out")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ShapeMismatch("interpolate: lanczos needs antialias=True, without align_corners")
    if antialias and mode not in ("bilinear", "bicubic", "lanczos"):
        raise ShapeMismatch(f"interpolate: mode={mode!r} has no antialias")
    given = scale_factor if size is None else size
    if given is None or (size is not None and scale_factor is not None):
        raise ShapeMismatch("interpolate takes either size or scale_factor")
    values = given if isinstance(given, (tuple, list)) else (given,) * n
    if len(values) != n:
        raise ShapeMismatch(f"interpolate: {tuple(values)}", cure=f"give one number, or {n}")
    why, least = "the output must not be empty", 0 if mode == "area" else 1
    kind = _KINDS.get(mode, "linear")
    if size is not None:
        if recompute_scale_factor:
            raise ShapeMismatch("interpolate: a size leaves no scale factor to recompute")
        sizes = ntuple(size, n, "size")
        at_least("size", sizes, least)
        maps: list[AxisMap] = [
            Adaptive(s) if mode == "area" else Const(s, kind, bool(align_corners), antialias)
            for s in sizes
        ]
        requires: list[Requirement] = [Condition(s, ">=", least, why) for s in sizes]
    else:
        if not all(isinstance(f, Size) or isfinite(f) for f in values):
            raise ShapeMismatch(f"interpolate: scale_factor={given} is not finite")
        how = (kind, bool(align_corners), bool(recompute_scale_factor), antialias)
        factors = [f if isinstance(f, Size) else float(f) for f in values]
        maps = [Resample(f, *how) for f in factors]
        sizes, requires = map_axes(input.dims[2:], maps, why)
        if mode == "area":
            requires = [Condition(s, ">=", 0, why) for s in sizes]
        if mode == "nearest" and n == 2 and any(not isinstance(f, Size) and f % 1 for f in factors):
            maps = [Resample(f, *how, s) for f, s in zip(factors, sizes[::-1], strict=True)]
        if mode == "area":
            maps = [Adaptive(s) for s in sizes]
    axes = tuple(enumerate([IDENTITY, IDENTITY, *maps]))
    some = empties(sizes) if mode == "area" else ()
    requires += filled(input, input.dims[2 if mode == "area" and n < 3 else 1 :])
    return Result(((*input.dims[:2], *sizes),), axes, requires=tuple(requires), empties=some)


def _to_its_size(node: Node) -> dict[str, object] | None:
    """The size at which nothing is resized."""
    return {"size": node.inputs[0].dims[2:]} if node.arguments["size"] is not None else None


_resizes = partial(
    rule,
    other=work.resize,
    counts=tools.RESIZE,
    saves=maps.interpolate,
    takes="uint8 float",
)
interpolate = _resizes(
    "interpolate",
    "upsample",
    autocast=dtypes.resized,
    slides=False,
    value=values.resized,
    sizes=True,
    idle=_to_its_size,
)(resized)


@_resizes("upsample_nearest")
def upsample_nearest(
    input: SymbolicTensor,
    size: OneOrMore[Int] | None = None,
    scale_factor: OneOrMore[float | Size] | None = None,
) -> Result:
    """`interpolate` with the nearest pixel."""
    return resized(input, size, scale_factor, "nearest")


@_resizes("upsample_bilinear")
def upsample_bilinear(
    input: SymbolicTensor,
    size: OneOrMore[Int] | None = None,
    scale_factor: OneOrMore[float | Size] | None = None,
) -> Result:
    """`interpolate`, bilinear, with aligned corners."""
    return resized(input, size, scale_factor, "bilinear", align_corners=True)
