"""Axis maps: the fusion, ceil, same and scatter laws, for ints and symbols alike."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from symcnn import FloorDiv, H, symbols
from symcnn.algebra.axis import (
    IDENTITY,
    Adaptive,
    Chain,
    Const,
    Resample,
    Scatter,
    Whole,
    Window,
)
from symcnn.algebra.size import Size, evaluate, scaled
from symcnn.errors import Undecidable

windows = st.builds(
    Window, st.integers(1, 9), st.integers(1, 4), st.integers(-2, 5), st.integers(-2, 5)
)


def fits(window: Any, x: Any) -> Any:
    need = window.requires(x)
    return need is None or need[0] >= need[1]


@given(st.lists(windows, min_size=1, max_size=4), st.integers(1, 200))
def test_a_stack_of_windows_is_one_window(stack: list[Any], x: int) -> None:
    fused, size = IDENTITY, x
    for window in stack:
        if not fits(window, size):
            return
        fused, size = fused.then(window), window.size(size)
    assert isinstance(fused, Window)
    assert fused.size(x) == size


@given(st.lists(windows, min_size=1, max_size=4), st.integers(0, 50), st.integers(0, 5))
def test_a_fused_window_reads_what_its_parts_read(stack: list[Any], i: int, more: int) -> None:
    fused = IDENTITY
    for window in stack:
        fused = fused.then(window)
    first, last = i, i + more
    for window in reversed(stack):
        first, last = window.pullback(first, last)
    assert fused.pullback(i, i + more) == (first, last)


@given(windows, windows, windows)
def test_fusion_is_associative_with_a_unit(f: Any, g: Any, h: Any) -> None:
    assert f.then(g).then(h) == f.then(g.then(h))
    assert IDENTITY.then(f) == f == f.then(IDENTITY)


def test_fusion_of_symbolic_windows() -> None:
    k, s, p = symbols("k s p")
    once = Window.conv(k, s, p)
    twice = once.then(once)
    assert twice.extent == k + s * (k - 1)
    assert twice.stride == s**2
    assert once.size(once.size(H)) == twice.size(H)


def test_symbolic_size_of_an_odd_same_kernel_is_the_size() -> None:
    k = symbols("k", odd=True)
    assert Window.conv(k, 1, (k - 1) / 2).size(H) == H


@given(windows, st.integers(1, 99))
def test_sizes_are_the_same_for_ints_symbols_and_kernel_sizes(window: Any, x: int) -> None:
    closed = window.size(H)
    assert closed.subs(H, x) == window.size(x)
    kernel = window.size(Size.symbol("H"))
    assert kernel.at({"H": x}) == window.size(x)


def test_ceil_law_against_torch_for_every_kernel_stride_dilation_and_padding() -> None:
    tried = 0
    for k in range(1, 6):
        for s in range(1, 5):
            for d in range(1, 4):
                for p in range(k // 2 + 1):  # torch asks for this, dilated or not
                    window = Window.conv(k, s, p, d, ceil_mode=True)
                    for x in range(1, 16):
                        try:
                            pooled = F.max_pool1d(torch.zeros(1, 1, x), k, s, p, d, ceil_mode=True)
                            truth = pooled.shape[-1]
                        except RuntimeError:
                            truth = None
                        ours = window.size(x) if fits(window, x) else None
                        assert ours == truth, (k, s, p, d, x)
                        tried += 1
    assert tried > 1800


@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 30))
def test_same_law_against_torch(k: int, d: int, x: int) -> None:
    window = Window.same(k, d)
    out = F.conv1d(torch.zeros(1, 1, x), torch.zeros(1, 1, k), padding="same", dilation=d)
    assert out.shape[-1] == window.size(x) == x
    assert window.right - window.left in (0, 1)


def test_same_padding_puts_the_odd_pixel_right() -> None:
    impulse = torch.zeros(1, 1, 7)
    impulse[0, 0, 3] = 1
    taps = torch.arange(1.0, 5.0).view(1, 1, 4)
    out = F.conv1d(impulse, taps, padding="same")[0, 0]
    readers = [i for i in range(7) if out[i] != 0]
    window = Window.same(4)
    ours = [i for i in range(7) if window.pullback(i, i)[0] <= 3 <= window.pullback(i, i)[1]]
    assert readers == ours


@given(
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 12),
)
def test_scatter_against_torch(k: int, s: int, p: int, o: int, d: int, x: int) -> None:
    scatter = Scatter(d * (k - 1) + 1, s, p, o)
    if o >= max(s, d):
        return
    try:
        out = F.conv_transpose1d(
            torch.ones(1, 1, x), torch.ones(1, 1, k), None, s, p, o, 1, d
        ).shape[-1]
    except RuntimeError:
        out = None
    assert out == (scatter.size(x) if fits(scatter, x) else None)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(2, 9))
def test_scatter_pullback_is_the_support_of_the_gradient(k: int, s: int, p: int, x: int) -> None:
    scatter = Scatter(k, s, p)
    if not fits(scatter, x):
        return
    signal = torch.ones(1, 1, x, requires_grad=True)
    out = F.conv_transpose1d(signal, torch.ones(1, 1, k), None, s, p)[0, 0]
    for i in range(scatter.size(x)):
        (grad,) = torch.autograd.grad(out[i], signal, retain_graph=True)
        support = grad[0, 0].nonzero().flatten().tolist()
        first, last = scatter.pullback(i, i)
        assert support == [j for j in range(x) if first <= j <= last]


@given(st.integers(1, 300), st.sampled_from([0.29, 0.57, 0.7, 1 / 3, 1.15, 1.4, 2.0, 0.5, 2.5]))
def test_resample_against_torch(x: int, scale: Any) -> None:
    try:
        out = F.interpolate(torch.zeros(1, 1, x), scale_factor=scale).shape[-1]
    except RuntimeError:
        out = None
    resample = Resample(scale)
    assert out == (resample.size(x) if fits(resample, x) else None)
    assert resample.size(H).subs(H, x) == resample.size(x)


def test_resample_pullback_of_nearest_and_linear() -> None:
    assert Resample(2.0).pullback(5, 5) == (2, 2)
    assert Resample(2.0, "linear").pullback(5, 5) == (2, 3)
    with pytest.raises(Undecidable):
        Resample(0.2901).pullback(0, 0)


@given(st.integers(1, 9), st.integers(1, 40))
def test_adaptive_pullback_is_the_support_of_the_gradient(n: int, x: int) -> None:
    adaptive = Adaptive(n)
    signal = torch.ones(1, 1, x, requires_grad=True)
    out = F.adaptive_avg_pool1d(signal, n)[0, 0]
    for i in range(n):
        (grad,) = torch.autograd.grad(out[i], signal, retain_graph=True)
        support = grad[0, 0].nonzero().flatten().tolist()
        assert (support[0], support[-1]) == adaptive.pullback(i, i, x)


def test_whole_and_const() -> None:
    assert Whole(64).size(H) == 64
    assert Whole().pullback(0, 0, H) == (0, H - 1)
    assert Const(8).pullback(7, 7, 4) == (3, 3)
    for axis_map in (Whole(), Const(8), Adaptive(3)):
        with pytest.raises(ValueError, match="give x"):
            axis_map.pullback(0, 0)


def test_a_chain_fuses_adjacent_windows_and_reads_through_all() -> None:
    chain = Window.conv(3).then(Scatter(2, 2)).then(Window.conv(3)).then(Window.conv(3))
    assert isinstance(chain, Chain)
    assert len(chain.maps) == 3
    assert chain.size(H) == 2 * H - 8
    assert chain.pullback(0, 0) == (0, 4)
    assert chain.size(10) == 12


def test_closed_form_of_a_strided_chain() -> None:
    chain = IDENTITY
    for stride in (2, 2, 2, 2, 2):
        chain = chain.then(Window.conv(3, stride, 1))
    assert chain.size(H) == FloorDiv(H + 31, 32)
    assert (chain.extent, chain.stride, chain.left, chain.right) == (63, 32, 31, 31)


@pytest.mark.parametrize("scale", [0.29, 0.57, 0.7, 1 / 3, 1.15, 1.4, 2.0, 0.123456, 2.71828])
def test_a_float_scale_is_torchs_to_the_last_integer(scale: Any) -> None:

    size = scaled(Size.symbol("L"), scale)
    for length in range(1, 5001):
        expected = evaluate(size, {"L": length})
        if expected:
            x = torch.empty(1, 1, length, device="meta")
            assert F.interpolate(x, scale_factor=scale).shape[2] == expected


def test_linear_interpolation_reads_around_pixel_centres() -> None:
    double = Resample(2.0, "linear")
    assert [double.pullback(i, i) for i in range(1, 5)] == [(0, 1), (0, 1), (1, 2), (1, 2)]
