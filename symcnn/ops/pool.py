"""Pooling: a `Window` per axis (by the ceil law ``ceil_mode`` is a right pad), or `Adaptive`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial, wraps
from inspect import signature
from math import inf
from typing import Any

from symcnn.algebra.axis import IDENTITY, Adaptive, AxisMap, Whole, Window
from symcnn.algebra.size import Int, Size, prod, scaled
from symcnn.errors import ShapeMismatch
from symcnn.ops import dtypes, tools, work
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    filled,
    leading_axes,
    map_axes,
    ntuple,
    of_shapes,
    of_sizes,
    one_or_n,
    require_numbers,
    require_rank,
    require_shape,
)
from symcnn.ops.storage import maps
from symcnn.ops.takes import meant, not_taken
from symcnn.sets.condition import AnyOf, Condition, Requirement
from symcnn.trace.call import Rule
from symcnn.trace.graph import Node, Result, SymbolicTensor
from symcnn.trace.tape import empties

_FITS = "the pooling window must fit into the padded input"


def _pool(
    op: str,
    n: int,
    x: SymbolicTensor,
    maps: Sequence[AxisMap],
    *,
    return_indices: bool = False,
    ranks: Sequence[int] = (),
    needs: Sequence[Requirement] = (),
) -> Result:
    require_rank(x, ranks or (n + 1, n + 2), op)
    lead = x.dims[:-n]
    sizes, requires = map_axes(x.dims[-n:], maps, _FITS)
    requires += filled(x, x.dims[-n - 1 :])
    requires += needs
    pools = zip(maps, x.dims[-n:], sizes, strict=True)
    axes = tuple(enumerate([*[IDENTITY] * len(lead), *(_or_whole(*pool) for pool in pools)]))
    shape = (*lead, *sizes)
    count = 2 if return_indices else 1
    return Result((shape,) * count, axes, requires=tuple(requires), single=not return_indices)


def _or_whole(axis_map: AxisMap, x: Int, size: Int) -> AxisMap:
    """A window whose kernel is the size of the axis reads that axis, once: ``x.shape[2:]``."""
    every = isinstance(axis_map, Window) and isinstance(x, Size) and axis_map.extent == x
    return Whole(1) if every and size == 1 else axis_map


def _windows(
    op: str,
    n: int,
    kernel_size: OneOrMore[Int],
    stride: OneOrMore[Int] | None,
    padding: OneOrMore[Int] = 0,
    dilation: OneOrMore[Int] = 1,
    ceil_mode: bool = False,
) -> tuple[list[AxisMap], list[Requirement]]:
    kernel = ntuple(kernel_size, n, "kernel_size")
    strides = kernel if stride is None or stride in ((), []) else ntuple(stride, n, "stride")
    pads, dilations = ntuple(padding, n, "padding"), ntuple(dilation, n, "dilation")
    needs = at_least("kernel_size", kernel, 1) + at_least("stride", strides, 1)
    needs += at_least("dilation", dilations, 1) + at_least("padding", pads, 0)
    for k, p in zip(kernel, pads, strict=True):
        if not (isinstance(k, int) and isinstance(p, int)):
            why = f"{op}: the padding is at most half of the kernel"
            needs += of_sizes([Condition(k, ">=", 2 * p, why)])
        elif p > k // 2:  # dilated or not
            raise ShapeMismatch(
                f"{op}: padding={p} for kernel_size={k}", cure=f"at most half of it: {k // 2}"
            )
    hypers = zip(kernel, strides, pads, dilations, strict=True)
    return [Window.conv(*hyper, ceil_mode=bool(ceil_mode)) for hyper in hypers], needs


def _max_pool(
    n: int,
    input: SymbolicTensor,
    kernel_size: OneOrMore[Int],
    stride: OneOrMore[Int] | None = None,
    padding: OneOrMore[Int] = 0,
    dilation: OneOrMore[Int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Result:
    op = f"max_pool{n}d"
    windows, needs = _windows(op, n, kernel_size, stride, padding, dilation, ceil_mode)
    if n == 1 and not return_indices and input.dtype not in meant("float"):
        raise not_taken(f"max_pool1d of {input.dtype} without indices", "float")
    return _pool(op, n, input, windows, return_indices=return_indices, needs=needs)


def _avg_pool(
    n: int,
    input: SymbolicTensor,
    kernel_size: OneOrMore[Int],
    stride: OneOrMore[Int] | None = None,
    padding: OneOrMore[Int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Int | None = None,
) -> Result:
    op = f"avg_pool{n}d"
    if divisor_override == 0:
        raise ShapeMismatch(f"{op}: divisor_override=0", cure="the divisor must not be zero")
    windows, needs = _windows(op, n, kernel_size, stride, padding, 1, ceil_mode)
    if isinstance(divisor_override, Size):
        above, below = (Condition(sign * divisor_override, ">=", 1) for sign in (1, -1))
        needs.append(AnyOf((above, below), f"{op}: the divisor must not be zero"))
    result = _pool(op, n, input, windows, needs=needs)
    return _fitting(result, input, kernel_size, needs) if n == 3 else result


def _fitting(
    result: Result, x: SymbolicTensor, kernel_size: OneOrMore[Int], needs: Sequence[Requirement]
) -> Result:
    """avg_pool3d alone wants the kernel to fit into the input itself, padding and ceil aside."""
    why = "avg_pool3d: the kernel must fit into the input, before padding"
    kernel = ntuple(kernel_size, 3, "kernel_size")
    pairs = zip(x.dims[-3:], kernel, strict=True)
    fitting = tuple(Condition(size, ">=", k, why) for size, k in pairs)
    return replace(result, requires=(*filled(x, x.dims[-4:-3]), *needs, *fitting))


def _lp_pool(
    n: int,
    input: SymbolicTensor,
    norm_type: float,
    kernel_size: OneOrMore[Int],
    stride: OneOrMore[Int] | None = None,
    ceil_mode: bool = False,
) -> Result:
    op = f"lp_pool{n}d"
    require_numbers(norm_type=norm_type)
    if norm_type == 0:
        raise ShapeMismatch(f"{op}: norm_type=0", cure="the norm must not be zero")
    if isinstance(kernel_size, (tuple, list)) and (
        len(kernel_size) != n or (n == 1 and abs(norm_type) != inf)
    ):
        raise ShapeMismatch(  # torch unpacks it into n numbers, or multiplies by it
            f"{op}: kernel_size={tuple(kernel_size)}",
            cure="give one number" if n == 1 else f"give one number, or {n}",
        )
    windows, needs = _windows(op, n, kernel_size, stride, 0, 1, ceil_mode)
    result = _pool(op, n, input, windows, needs=needs)
    finite = n == 3 and abs(norm_type) != inf
    return _fitting(result, input, kernel_size, needs) if finite else result


def _adaptive_pool(
    kind: str,
    n: int,
    input: SymbolicTensor,
    output_size: OneOrMore[Int],
    return_indices: bool = False,
) -> Result:
    op = f"adaptive_{kind}_pool{n}d"
    lengths = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(lengths) != n or output_size is None or (n == 1 and None in lengths):
        raise ShapeMismatch(
            f"{op}: output_size={output_size}",
            cure="give one number" if n == 1 else f"give one number, or {n} (None keeps an axis)",
        )
    given = [length for length in lengths if length is not None]
    requires = at_least("output_size", given, 0)
    maps: list[AxisMap] = [
        IDENTITY if length is None else Whole(1) if length == 1 else Adaptive(length)
        for length in lengths
    ]
    ranks = [n + 1, n + 2]
    if kind == "avg" and n > 1 and input.ndim not in ranks and set(lengths) <= {1, None}:
        # to one value per axis torch takes a plain mean, of any rank
        ranks = [*range(n if lengths is not output_size else n + 1, input.ndim + 1)]
        why = f"{op}: None keeps an axis of a {input.ndim}-d input only where that is 1"
        pairs = zip(reversed(input.dims), reversed(lengths), strict=False)
        requires += [Condition(x, "==", 1, why) for x, length in pairs if length is None]
    if kind == "max":
        requires += filled(input, input.dims[-n - 1 :])
    elif set(lengths) != {1}:  # else torch takes a mean
        requires += filled(input, input.dims[1:] if n == 3 else input.dims[-n:])
    result = _pool(op, n, input, maps, return_indices=return_indices, ranks=ranks)
    return replace(result, requires=tuple(requires), empties=empties(given))


def _fractional(
    n: int,
    input: SymbolicTensor,
    kernel_size: OneOrMore[Int],
    output_size: OneOrMore[Int] | None = None,
    output_ratio: Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Result:
    """Windows at random places, so many that `output_size`, or a ratio of the input, comes out.

    A window can start anywhere: every output may read the whole axis. Torch wants one place to
    spare in 3-d, none in 2-d.
    """
    op = f"fractional_max_pool{n}d"
    require_rank(input, (n + 1, n + 2), op)
    if output_size is None and output_ratio is None:
        raise ShapeMismatch(f"{op}: neither output_size nor output_ratio")
    kernel, space = one_or_n(kernel_size, n, "kernel_size"), input.dims[-n:]
    requires = at_least("kernel_size", kernel, 1 if n == 3 else -(1 << 31))  # torch: any, for 2
    if output_size is not None:
        sizes: Sequence[Int] = one_or_n(output_size, n, "output_size")
        requires += at_least("output_size", sizes, 0)
    else:
        if not isinstance(output_ratio, (tuple, list)):
            raise ShapeMismatch(f"{op}: output_ratio={output_ratio}", cure=f"give {n} of them")
        if len(output_ratio) != n:
            raise ShapeMismatch(f"{op}: output_ratio={output_ratio}", cure=f"give {n} of them")
        sizes = [scaled(x, float(ratio)) for x, ratio in zip(space, output_ratio, strict=True)]
    if _random_samples is not None:
        want = (*((1,) if input.ndim == n + 1 else input.dims[:1]), input.dims[-n - 1], n)
        require_rank(_random_samples, (3,), f"the samples of {op}")
        samples = require_shape(_random_samples.dims, want, f"{op}: samples")
    else:
        samples = []
    requires += [
        Condition(x, ">=", size + k + n - 3, f"{op}: so many windows must fit into the input")
        for x, size, k in zip(space, sizes, kernel, strict=True)
    ]
    lead = input.ndim - n
    axes = (*leading_axes(lead), *((lead + i, Whole(size)) for i, size in enumerate(sizes)))
    count = 2 if return_indices else 1
    shape = (*input.dims[:lead], *sizes)
    requires += filled(input, input.dims[-n - 1 :])
    needs = (*samples, *requires)
    some = empties(sizes)
    return Result((shape,) * count, axes, requires=needs, single=count == 1, empties=some)


def _window(node: Node) -> Int:
    """One comparison or addition per element of every window."""
    n = int(node.op.partition("pool")[2][0])
    return work.made(node) * prod(ntuple(node.arguments["kernel_size"], n, "kernel_size"))


def _twice(name: str, law: Rule) -> Iterator[tuple[str, Rule]]:
    """A pool by its name, and by the one that asks for the places too, whatever else is said."""
    parameters = signature(law)

    @wraps(law, ())
    def with_places(*args: object, **kwargs: object) -> Result:
        given = parameters.bind(*args, **kwargs)
        given.arguments["return_indices"] = True
        found: Result = law(*given.args, **given.kwargs)
        return found

    yield name, law
    yield f"{name}_with_indices", with_places


for _n in (2, 3):
    for _name, _law in _twice(f"fractional_max_pool{_n}d", partial(_fractional, _n)):
        rule(
            _name,
            dtype=dtypes.with_places,
            saves=maps.fractional,
            autocast=dtypes.SINGLE_ON_CPU,
            takes="float",
        )(_law)
for _n in (1, 2, 3):
    _pools = partial(rule, autocast=dtypes.SINGLE_ON_CPU if _n == 3 else {})
    _extreme = partial(
        _pools, counts=tools.ACTIVATION, saves=maps.max_pool, dtype=dtypes.with_places
    )
    for _name, _law in _twice(f"max_pool{_n}d", partial(_max_pool, _n)):
        _extreme(_name, shows="winner", other=_window, takes="int float")(of_shapes(_law))
    _pools(
        f"avg_pool{_n}d",
        shows="every",
        other=_window,
        counts=tools.AVERAGE,
        saves=maps.avg_pool,
        takes="int64 float",
    )(of_shapes(partial(_avg_pool, _n)))
    _pools(f"lp_pool{_n}d", other=_window, saves=maps.lp_pool)(partial(_lp_pool, _n))
    _pools(
        f"adaptive_avg_pool{_n}d",
        other=work.read,
        counts=tools.GLOBAL_AVERAGE_2D if _n == 2 else tools.GLOBAL_AVERAGE,
        saves=maps.adaptive_avg,
        takes="float",
    )(of_shapes(partial(_adaptive_pool, "avg", _n)))
    for _name, _law in _twice(f"adaptive_max_pool{_n}d", partial(_adaptive_pool, "max", _n)):
        _extreme(_name, other=work.read, takes="float")(_law)
