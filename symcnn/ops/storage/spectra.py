"""What transforms keep: real numbers that become complex are kept, complex ones never are.

The law of layout: *axes that are not transformed lie as before, those transformed behind them.*
Source: ``_exec_fft`` and ``sort_dims`` of ATen's ``SpectralOps.cpp``.
"""

from __future__ import annotations

from collections.abc import Sequence

from symcnn.algebra.size import Int, maximum, prod, sharp_lower
from symcnn.ops.registry import normal_dim
from symcnn.ops.storage.layouts import (
    BY_SIZES,
    KeptUnknownError,
    Layout,
    UnknownError,
    copied_strides,
)
from symcnn.ops.storage.memory import Memory, first_of
from symcnn.trace.dtype import BYTES
from symcnn.trace.graph import Node


def transform(m: Memory, node: Node) -> None:
    """Of real numbers the input, cut or padded to what is transformed; of complex ones nothing."""
    x, made = first_of(node), node.outputs[0]
    kind = node.op.removeprefix("fft_")
    axes, sizes = _transformed(node)
    unsure = ""
    back = kind.startswith(("irfft", "hfft"))
    one = len(axes) == 1 and not kind.endswith(("2", "n"))
    is_complex = x.dtype.startswith("complex")
    base = m.of(x)
    from_real = kind.startswith(("rfft", "ihfft")) or (one and not back)
    width = BYTES[made.dtype] if back or not from_real else BYTES[made.dtype] // 2
    if back:
        width *= 2
    if not is_complex and (not from_real or m.bytes_of(x) != width):
        base = m.fresh(x.dims, width, strides=copied_strides(x.dims, base.strides, m.holds))
    if sizes is not None:
        if back:
            sizes = [*sizes[:-1], sizes[-1] if sizes[-1] == -1 else sizes[-1] // 2 + 1]
        try:
            base = _resized(m, base, axes, sizes)
        except UnknownError as error:
            if not base.contiguous:
                raise
            unsure = str(error)  # a part or a copy: in plain order either
    if from_real and not is_complex:
        m.save(base)
    if kind.startswith("hfft"):  # conjugated, after all axes but one are transformed
        held: Int = 0
        if base.storage in m.made[node]:  # at the same time
            m.made[node].remove(base.storage)
            held = base.storage.elements
        m.fresh((held + (1 if one else 2) * prod(base.dims),), width)
    elif kind in ("ihfft2", "ihfftn"):
        m.fresh(made.dims, width * 2)
    *others, last = axes
    if back:
        order = _behind(_behind(base.order, others), [last])
    elif kind.startswith("ihfft"):
        order = _behind(_behind(base.order, [last]), others)
    elif from_real and not is_complex:
        order = [*_behind([i for i in base.order if i != last], others), last]
    else:
        order = _behind(base.order, axes)
    longer = [i for i, size in enumerate(made.dims) if size != 1]
    order += [i for i in longer if i not in order]
    m.place(m.fresh(made.dims, None, [i for i in order if i in longer]))
    if unsure:
        raise KeptUnknownError(unsure)


def _transformed(node: Node) -> tuple[list[int], list[Int] | None]:
    """The axes, and how many values are asked for."""
    a, rank = node.arguments, first_of(node).ndim
    dim, given = a["dim"], a.get("s", a.get("n"))
    sizes = None if given is None else [*given] if isinstance(given, (tuple, list)) else [given]
    if dim is None:
        dim = range(rank - (rank if sizes is None else len(sizes)), rank)
    axes = [*dim] if isinstance(dim, (tuple, list, range)) else [dim]
    return [normal_dim(d, rank, node.op) for d in axes], sizes


def _behind(order: Sequence[int], axes: Sequence[int]) -> list[int]:
    """The axes moved behind all others, in the order in which they lie."""
    moved = [i for i in order if i in axes]
    return [*(i for i in order if i not in axes), *moved]


def _resized(m: Memory, base: Layout, axes: Sequence[int], sizes: Sequence[Int]) -> Layout:
    """A part of the values, which is a view, or zeros after them, in a copy."""
    dims, pads = [*base.dims], False
    for axis, size in zip(axes, sizes, strict=True):
        if size in (-1, dims[axis]):
            continue
        gap = dims[axis] - size
        low, high = sharp_lower(gap), sharp_lower(-gap)
        if not ((low is not None and low >= 0) or (high is not None and high >= 0)):
            raise UnknownError(f"of a part or with zeros, {BY_SIZES}")
        pads = pads or not (low is not None and low >= 0)
        dims[axis] = size
    if pads:
        return m.fresh(dims, m.width_in(base))
    return Layout(base.storage, tuple(dims), base.strides)


def shifted(m: Memory, node: Node) -> None:
    """A copy in plain order."""
    if not m.of(first_of(node)).contiguous:
        raise UnknownError("of what is not in plain order")
    m.place(m.fresh(node.outputs[0].dims))


def _window(m: Memory, node: Node, width: int) -> Int:
    """The window, with zeros around it if it is shorter than what is transformed: so many elements
    are made.
    """
    a = node.arguments
    if a["window"] is not None and a["window"].dims == (a["n_fft"],):
        m.save(a["window"])
        return 0
    m.extra(a["n_fft"], width)
    count: Int = a["n_fft"]
    return count


def _step(node: Node) -> Int:
    """Elements from one window to the next; windows leave no gap."""
    a = node.arguments
    hop: Int = a["n_fft"] // 4 if a["hop_length"] is None else a["hop_length"]
    low = sharp_lower(a["n_fft"] - hop)
    if low is None or low < 0:
        raise UnknownError("with gaps between its windows")
    return hop


def stft(m: Memory, node: Node) -> None:
    """The signal where it is reflected, the window, and of a real signal its windows."""
    a, x, made = node.arguments, first_of(node), node.outputs[0]
    _step(node)
    base, n = m.of(x), a["n_fft"]
    batch = x.dims[:-1]
    frames = made.dims[len(batch) + 1]
    real = not x.dtype.startswith("complex")
    held: Int = 0
    windowed = a["window"] is not None or a["win_length"] not in (None, n)
    if a["center"]:
        if a["pad_mode"] in ("reflect", "replicate"):
            m.save(base)
        padded = (*batch, x.dims[-1] + 2 * (n // 2))
        if windowed:
            held = prod(padded)
        else:
            base = m.fresh(padded, m.width_in(base))
    if windowed:
        held = held + _window(m, node, m.bytes_of(x))
        windows = prod((*batch, frames, n))
        m.fresh((held + windows,), m.width_in(base))  # at the same time
        if real:
            m.extra(windows, m.width_in(base))
    elif real:
        m.save(base)
    pair = made.dims[len(batch) + 2 :]
    whole = m.fresh((*batch, frames, made.dims[len(batch)], *pair))
    i = len(batch)
    strides = [*whole.strides[:i], whole.strides[i + 1], whole.strides[i], *whole.strides[i + 2 :]]
    m.view(whole, made.dims, strides)


def istft(m: Memory, node: Node) -> None:
    """The window, and the sum of its squares."""
    a, x, made = node.arguments, first_of(node), node.outputs[0]
    hop, n, frames = _step(node), a["n_fft"], x.dims[-1]
    width = BYTES[made.dtype] if made.dtype else m.bytes_of(x) // 2
    _window(m, node, width)
    whole = n + hop * (frames - 1)
    m.extra(whole, width)
    m.place(m.fresh(made.dims))
    batch, size = prod(x.dims[:-2]), made.dims[-1]
    # windows before and after, their sum and that of squares, of which the least is looked at
    last = maximum(0, size + 1 - batch * size)
    m.fresh((width * (2 * batch * frames * n + (batch + 1) * whole + n + last) + 1,), 1)
