"""Signals: Fourier transforms, integrals by trapezes, places in sorted rows.

A transform reads the whole of its axis. The one law: a real signal of ``n`` values has ``n//2 + 1``
frequencies, and back there are ``2*(m - 1)`` values unless `n` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Folded, Whole, Window
from symcnn.algebra.size import Int
from symcnn.errors import DataDependent, ShapeMismatch, UnsupportedOperation
from symcnn.ops import criteria, dtypes
from symcnn.ops.operation import rule
from symcnn.ops.pointwise import broadcast_dims
from symcnn.ops.reduce import reduced
from symcnn.ops.registry import (
    OneOrMore,
    Operand,
    at_least,
    elementwise,
    leading_axes,
    normal_dim,
    of_everything,
    require_equal,
    require_rank,
    require_shape,
    whole_axes,
)
from symcnn.ops.storage import spectra, views
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import Result, SymbolicTensor
from symcnn.trace.tape import decided


def _along(x: SymbolicTensor, sizes: dict[int, Int]) -> Result:
    """The shape with other sizes on some axes, each of which reads the whole axis."""
    dims = tuple(sizes.get(i, size) for i, size in enumerate(x.dims))
    axes: list[tuple[int | None, AxisMap]] = [
        (i, Whole(size) if i in sizes else IDENTITY) for i, size in enumerate(dims)
    ]
    why = "a transform must have values"
    needs = tuple(Condition(size, ">=", 1, why) for size in sizes.values())
    return Result((dims,), tuple(axes), requires=needs)


def _lengths(
    x: SymbolicTensor, s: Sequence[Int] | None, dim: OneOrMore[int] | None, op: str
) -> tuple[list[int], list[Int], list[Requirement]]:
    """The axes of a transform over several, how many values each has, and that it has some."""
    if dim is None:
        count = x.ndim if s is None else len(s)
        given = list(range(x.ndim - count, x.ndim))
    else:
        given = list(dim) if isinstance(dim, (tuple, list)) else [dim]
    if given and not x.ndim:
        raise ShapeMismatch(f"{op} takes a tensor of at least one axis")
    axes = [normal_dim(d, x.ndim, op) for d in given]
    if len(set(axes)) != len(axes) or (s is not None and len(s) != len(axes)):
        raise ShapeMismatch(f"{op}: s={s} for axes {given}")
    sizes = [x.dims[a] if s is None or s[i] == -1 else s[i] for i, a in enumerate(axes)]
    return axes, sizes, at_least("s", sizes, 1)


def _transform(op: str) -> Any:
    real, back = "rfft" in op or "ihfft" in op, "irfft" in op or op.startswith("fft_hfft")

    def several(
        input: SymbolicTensor, s: Sequence[Int] | None, dim: OneOrMore[int] | None
    ) -> Result:
        axes, sizes, needs = _lengths(input, s, dim, op)
        if not axes:
            raise ShapeMismatch(f"{op} takes at least one axis")
        if back and (s is None or s[-1] == -1):
            sizes[-1] = 2 * (input.dims[axes[-1]] - 1)
        elif real and not back:
            sizes[-1] = sizes[-1] // 2 + 1
        found = _along(input, dict(zip(axes, sizes, strict=True)))
        return replace(found, requires=(*needs, *found.requires))

    def one(
        input: SymbolicTensor, n: Int | None = None, dim: int = -1, *args: object, **k: object
    ) -> Result:
        if not input.ndim:
            raise ShapeMismatch(f"{op} takes a tensor of at least one axis")
        return several(input, None if n is None else [n], [dim])

    def plane(
        input: SymbolicTensor,
        s: Sequence[Int] | None = None,
        dim: OneOrMore[int] | None = (-2, -1),
        *a: object,
        **k: object,
    ) -> Result:
        return several(input, s, dim)

    def all_axes(
        input: SymbolicTensor,
        s: Sequence[Int] | None = None,
        dim: OneOrMore[int] | None = None,
        *a: object,
        **k: object,
    ) -> Result:
        return several(input, s, dim)

    return plane if op.endswith("2") else all_axes if op.endswith("n") else one


#: What has a spectrum: no bfloat16.
_REAL = "bool int float16 float32 float64"

for _names, _dtype, _autocast, _takes in (
    ("fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn", dtypes.to_complex, True, " complex"),
    ("fft_rfft fft_rfft2 fft_rfftn fft_ihfft", dtypes.to_complex, True, ""),
    ("fft_irfft fft_irfft2 fft_irfftn fft_hfft", dtypes.to_real, True, " complex"),
    ("fft_hfft2 fft_hfftn", dtypes.to_real, False, " complex"),
    ("fft_ihfft2 fft_ihfftn", dtypes.to_complex, False, ""),
):
    for _name in _names.split():
        rule(
            _name,
            dtype=_dtype,
            autocast=dtypes.SINGLE_ON_CPU if _autocast else None,
            takes=_REAL + _takes,
            saves=spectra.transform,
        )(_transform(_name))


def _shift(input: SymbolicTensor, dim: OneOrMore[int] | None = None) -> Result:
    """Frequencies in another order."""
    axes, sizes, _ = _lengths(input, None, dim, "fftshift")
    return _along(input, dict(zip(axes, sizes, strict=True)))


for _name in ("fft_fftshift", "fft_ifftshift"):
    rule(_name, saves=spectra.shifted, empty=True)(_shift)


@rule(
    "stft",
    saves=spectra.stft,
    dtype=dtypes.parts_or_not,
    autocast=dtypes.SINGLE,
    takes="float16 float32 float64 complex",
)
def stft(
    input: SymbolicTensor,
    n_fft: Int,
    hop_length: Int | None = None,
    win_length: Int | None = None,
    window: SymbolicTensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    **kwargs: object,
) -> Result:
    """Spectra of windows over a signal: ``(frequencies, windows)``, and 2 unless complex."""
    require_rank(input, (1, 2), "stft")
    hop, width, requires = _hops("stft", n_fft, hop_length, win_length)
    length = input.dims[-1]
    if window is not None:
        require_rank(window, (1,), "the window of stft")
        requires += require_equal(window.dims[0], width, "stft: the window must have win_length")
    pad = n_fft // 2 if center else 0
    if center and pad_mode == "reflect":
        requires.append(Condition(length, ">=", pad + 1, "reflect padding is smaller than that"))
    frames = Window(n_fft, hop, pad, pad)
    need = frames.requires(length)
    if need is not None:
        requires.append(Condition(need[0], ">=", need[1], "stft: the signal must hold a window"))
    known = [t.dtype for t in (input, window) if t is not None]
    is_complex = any(dtype.startswith("complex") for dtype in known)
    if is_complex and onesided:
        raise ShapeMismatch("stft of complex numbers has all frequencies", cure="onesided=False")
    if onesided is None:
        onesided = not is_complex
    if return_complex is None:
        if not is_complex:
            raise ShapeMismatch(
                "stft of real numbers: torch requires return_complex", cure="return_complex=True"
            )
        return_complex = True
    count = n_fft // 2 + 1 if onesided else n_fft
    dims = (*input.dims[:-1], count, frames.size(length), *(() if return_complex else (2,)))
    axes = (*leading_axes(input.ndim - 1), (None, Whole(count)), (input.ndim - 1, frames))
    tail = whole_axes(dims[len(axes) :])
    steps: tuple[tuple[Axes, tuple[Int, ...]], ...] = ()
    if center and pad_mode != "constant":  # what is read in the place of the padding
        lead, last = leading_axes(input.ndim - 1), input.ndim - 1
        folded = Folded(pad, pad, pad_mode)  # type: ignore[arg-type]
        windows = (*lead, (None, Whole(count)), (last, Window(n_fft, hop)), *tail)
        padded = (*input.dims[:-1], folded.size(length))
        steps = ((*lead, (last, folded)), padded), (windows, dims)
    return Result((dims,), (*axes, *tail), requires=tuple(requires), steps=steps)


@rule("istft", saves=spectra.istft, dtype=dtypes.to_real, takes="complex")
def istft(
    input: SymbolicTensor,
    n_fft: Int,
    hop_length: Int | None = None,
    win_length: Int | None = None,
    window: SymbolicTensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Int | None = None,
    return_complex: bool = False,
) -> Result:
    """A signal from its spectra, windows summed where they overlap: `stft`'s way back."""
    require_rank(input, (2, 3), "istft")
    hop, width, requires = _hops("istft", n_fft, hop_length, win_length)
    *batch, frequencies, frames = input.dims
    half = onesided
    if half is None:
        whole = decided(Condition(frequencies, "==", n_fft))
        if whole is None:
            raise UnsupportedOperation(
                f"istft: {frequencies} frequencies may be all that n_fft={n_fft} has, or half",
                cure="say which: onesided=True or False",
            )
        half = not whole
    requires.append(Condition(width, ">=", hop, "istft: windows must leave no gap"))
    requires += require_equal(
        frequencies, n_fft // 2 + 1 if half else n_fft, "istft: as many frequencies as n_fft has"
    )
    if window is not None:
        require_rank(window, (1,), "the window of istft")
        requires += require_equal(window.dims[0], width, "istft: the window must have win_length")
    if not center or (window is not None and hop == width):
        raise DataDependent(
            "istft: whether the window's values leave a gap is not known from shapes",
            cure="center=True, and a hop below the window's length, leave none",
        )
    size = n_fft + hop * (frames - 1) - 2 * (n_fft // 2)
    if length is not None:
        size = length
    requires.append(Condition(size, ">=", 1, "istft: the signal must not be empty"))
    dims = (*batch, size)
    return Result(
        (dims,), (*leading_axes(len(batch)), (None, Whole(size))), requires=tuple(requires)
    )


# Integrals ------------------------------------------------------------------------------------


def _trapezoid(op: str, running: bool) -> Any:
    def operation(
        y: SymbolicTensor,
        x: SymbolicTensor | None = None,
        *,
        dx: Operand = 1.0,
        dim: int = -1,
        **kwargs: object,
    ) -> Result:
        axis = normal_dim(dim, y.ndim, op)
        if not y.ndim:
            raise ShapeMismatch(f"{op} takes a tensor of at least one axis")
        requires: list[Requirement] = []
        steps = _steps(y.dims, axis)  # between neighbours
        if isinstance(x, SymbolicTensor) and x.ndim == 1:
            requires += require_equal(x.dims[0], y.dims[axis], f"{op}: there must be an x per y")
        elif isinstance(x, SymbolicTensor):
            if not -x.ndim <= axis - y.ndim:
                raise ShapeMismatch(f"{op}: {x.ndim}-d places have no such axis as dim={dim}")
            steps, agree = broadcast_dims(steps, _steps(x.dims, axis - y.ndim))
            requires += agree
        if not running:
            return of_everything(
                reduced(SymbolicTensor(steps), axis - y.ndim, False, op).shapes[0], requires
            )
        requires.append(Condition(steps[axis - y.ndim], ">=", 1, f"{op}: there must be values"))
        return of_everything(steps, requires)

    return operation


def _steps(dims: tuple[Int, ...], axis: int) -> tuple[Int, ...]:
    """One less along an axis."""
    at = axis % len(dims)
    return (*dims[:at], dims[at] - 1, *dims[at + 1 :])


_NUMBERS = "int float complex"
for _name in ("trapezoid", "trapz"):
    rule(
        _name,
        dtype=dtypes.tensor_floats,
        takes={"x y": _NUMBERS},
        steps=criteria.trapezoid,
    )(_trapezoid(_name, False))
rule("cumulative_trapezoid", dtype=dtypes.tensor_floats, takes={"x y": _NUMBERS})(
    _trapezoid("cumulative_trapezoid", True)
)


# Places ---------------------------------------------------------------------------------------


@rule("bucketize", saves="", dtype=dtypes.search, takes="int float", empty=True)
def bucketize(
    input: Operand, boundaries: SymbolicTensor, *, out_int32: bool = False, right: bool = False
) -> Result:
    """For every number, the bucket it falls into."""
    require_rank(boundaries, (1,), "the boundaries of bucketize")
    return elementwise(input) if isinstance(input, SymbolicTensor) else Result(((),))


@rule(
    "searchsorted",
    saves="",
    dtype=dtypes.search,
    takes={"sorted_sequence input": "bool int float"},
    empty=True,
)
def searchsorted(
    sorted_sequence: SymbolicTensor,
    input: Operand,
    *,
    sorter: SymbolicTensor | None = None,
    **kwargs: object,
) -> Result:
    """For every number, its place in a sorted row; rows as many as the input's, or one for all."""
    op = "searchsorted"
    requires: list[Requirement] = []
    if sorter is not None:
        requires += _same_shape(sorter.dims, sorted_sequence.dims, f"{op}: the sorter's shape")
    if not isinstance(input, SymbolicTensor):
        require_rank(sorted_sequence, (1,), op)
        return Result(((),), requires=tuple(requires))
    if sorted_sequence.ndim != 1:
        lead, own = sorted_sequence.dims[:-1], input.dims[:-1]
        requires += _same_shape(own, lead, f"{op}: there must be a row per row")
    return of_everything(input.dims, requires)


def _same_shape(have: Sequence[Int], want: Sequence[Int], why: str) -> list[Requirement]:
    if len(have) != len(want):
        raise ShapeMismatch(f"{why}: {len(have)} axes, not {len(want)}")
    return require_shape(have, want, why)


def _hops(
    op: str, n_fft: Int, hop_length: Int | None, win_length: Int | None
) -> tuple[Int, Int, list[Requirement]]:
    """How far windows hop, how wide they are, and what is required of both."""
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    needs = at_least("n_fft", (n_fft,), 1) + at_least("hop_length", (hop,), 1)
    fits = Condition(n_fft, ">=", width, f"{op}: the window must fit into n_fft")
    return hop, width, [*needs, *at_least("win_length", (width,), 1), fits]


@rule("isin", saves="", dtype="bool", takes="int float", empty=True)
def isin(elements: Operand, test_elements: Operand, **kwargs: object) -> Result:
    """For every element, whether it is among others."""
    return elementwise(elements) if isinstance(elements, SymbolicTensor) else Result(((),))


@rule("histc", gradient=False, saves="", takes="int float", empty=True)
def histc(input: SymbolicTensor, bins: Int = 100, *args: object, **kwargs: object) -> Result:
    """How many elements fall into each bin."""
    needs = at_least("bins", (bins,), 1)
    return of_everything((bins,), needs)


@rule("view_as_real", saves=views.pairs, dtype=dtypes.part, takes="complex", empty=True)
def view_as_real(input: SymbolicTensor) -> Result:
    """Real and imaginary parts as a last axis."""
    return Result(((*input.dims, 2),), (*leading_axes(input.ndim), *whole_axes((2,))))


@rule(
    "view_as_complex",
    saves=views.of_pairs,
    takes="float16 float32 float64",
    dtype=dtypes.to_complex,
    autocast=dtypes.SINGLE_ON_CPU,
    empty=True,
)
def view_as_complex(input: SymbolicTensor) -> Result:
    """A last axis of size 2 as real and imaginary parts."""
    if not input.ndim:
        raise ShapeMismatch("view_as_complex takes a last axis of size 2")
    need = require_equal(input.dims[-1], 2, "view_as_complex: the last axis must have size 2")
    return Result((input.dims[:-1],), tuple(leading_axes(input.ndim - 1)), requires=tuple(need))
