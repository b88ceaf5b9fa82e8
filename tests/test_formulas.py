"""Symbols for hyperparameters and depth: closed forms, judged by unrolled networks and torch."""

import ctypes
import shutil
import subprocess
import time
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, C, FloorDiv, H, InvalidInput, L, N, ShapeMismatch, Undecidable, W, nn
from symcnn.algebra.axis import IDENTITY, Window
from symcnn.algebra.series import closed, iterate, summation
from symcnn.algebra.size import Size, Symbol, evaluate, power, prod
from symcnn.algebra.sympy import Geometric, from_sympy, to_sympy
from symcnn.sets.formula import Formula
from symcnn.words.code import to_code

from .conftest import formula, sure
from .corpus.depth import FAMILIES, Dense, Residual, TorchDown, TorchUp, UNet, seq, torch_counts

n, m, i = symcnn.index("n m i")
d, s, g, k0 = symcnn.symbols("d s g k0")
h, w = symcnn.symbols("h w")
k = symcnn.odd("k")
DEPTHS = range(13)


# Assumptions ---------------------------------------------------------------------------------


def test_an_odd_kernel_with_half_padding_keeps_the_size() -> None:
    net = nn.Conv2d(C, C, k, padding=(k - 1) / 2).trace("N C H W")
    assert net.output_shape == (N, C, H, W)


def test_an_odd_dilated_kernel_keeps_the_size_too() -> None:
    net = nn.Conv2d(C, C, k, padding=d * (k - 1) / 2, dilation=d).trace("N C H W")
    assert net.output_shape == (N, C, H, W)


def test_a_strided_odd_kernel_divides() -> None:
    net = nn.Conv2d(C, C, k, stride=s, padding=(k - 1) / 2).trace("N C H W")
    assert net.output_shape[2] == FloorDiv(H - 1, s) + 1


def test_channels_that_are_multiples_split_into_groups() -> None:
    c = symcnn.multiple("C", of=8)
    net = nn.Conv2d(c, 2 * c, 3, groups=c / 4, padding=1, bias=False).trace((N, c, H, W))
    assert net.output_shape == (N, 2 * c, H, W)
    assert net.params == 9 * 4 * 2 * c


def test_a_fraction_of_channels_that_may_not_be_whole_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="multiple"):
        nn.Conv2d(3, C / 2, 3)
    with pytest.raises(ShapeMismatch, match="odd"):
        nn.Conv2d(3, 8, symcnn.symbols("k"), padding=(symcnn.symbols("k") - 1) / 2)


def test_a_symbol_without_integer_assumption_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="integer=True"):
        nn.Conv2d(3, sympy.Symbol("c"), 3)


def test_a_value_against_the_assumption_is_refused() -> None:
    net = nn.Conv2d(3, 8, k).trace("N 3 H W")
    assert net.shape_at(N=1, H=9, W=9, k=3) == (1, 8, 7, 7)
    with pytest.raises(InvalidInput, match="k=4"):
        net.shape_at(N=1, H=9, W=9, k=4)


def test_a_domain_knows_the_assumption() -> None:
    domain = nn.Conv2d(3, 8, k).trace("1 3 H 9").valid_inputs()
    for size, kernel in product(range(1, 9), (1, 3, 5)):
        assert (size >= kernel) == ({"H": size, "k": kernel} in domain)
    assert {"H": 9, "k": 2} not in domain


def test_a_width_multiplier_makes_whole_channels() -> None:
    alpha = symcnn.multiple("alpha", of="1/32")
    net = nn.Conv2d(32 * alpha, 64 * alpha, 1, bias=False).trace((N, 32 * alpha, H, W))
    assert net.params == 2048 * alpha**2
    assert sympy.sympify(net.params).subs(alpha, sympy.Rational(1, 4)) == 128


@pytest.mark.parametrize("of", [0, -2, "x"])
def test_a_multiple_of_nothing_is_refused(of: int | str) -> None:
    with pytest.raises(BadSpec):
        symcnn.multiple("C", of=of)


@given(st.integers(0, 30), st.integers(-9, 9), st.integers(1, 6))
def test_floors_of_odd_symbols_are_right(q: int, c: int, den: int) -> None:
    value = 2 * q + 1
    assert FloorDiv(3 * k + c, den).subs(k, value) == (3 * value + c) // den


# Sums and recurrences ------------------------------------------------------------------------

INDEX, COUNT, X = Symbol("i", 0).size(), Symbol("n", 0).size(), Size.symbol("x")
S = Size.symbol("s")


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("ratio", [1, 2, 3, 6, Fraction(1, 2), S, 2 * S], ids=str)
def test_a_sum_of_powers_is_its_closed_form(degree: int, ratio: Any) -> None:
    base = power(2, -INDEX) if ratio == Fraction(1, 2) else power(ratio, INDEX)
    term = prod([INDEX] * degree) * base
    total = summation(term, "i", COUNT)
    assert closed(total) or (degree and isinstance(ratio, Size))
    for count, stride in product(DEPTHS, (1, 2, 3)):
        want = sum(evaluate(term, {"i": j, "s": stride}) for j in range(count))
        assert evaluate(total, {"n": count, "s": stride}) == want


steps = st.builds(
    lambda kind, a, b, c: {
        "shift": X + b + c * INDEX,
        "scale": a * X + b,
        "floor": (X + b) // a + c,
        "wave": X + b * power(2, INDEX),
    }[kind],
    st.sampled_from(["shift", "scale", "floor", "wave"]),
    st.integers(1, 5),
    st.integers(-9, 9),
    st.integers(-3, 3),
)


@given(step=steps, start=st.integers(1, 99), count=st.integers(0, 12))
def test_a_recurrence_is_its_closed_form(step: Any, start: int, count: int) -> None:
    solved = iterate(step, "x", "i", Size.symbol("H"))
    x = start
    for block in range(count):
        x = evaluate(step, {"x": x, "i": block})
    assert evaluate(solved, {"H": start, "i": count}) == x


@pytest.mark.parametrize("step", [3 * X // 2, X * X, X // 2 + X // 3, X // 2 + X], ids=str)
def test_a_recurrence_without_a_closed_form_is_refused(step: Any) -> None:
    with pytest.raises(Undecidable):
        iterate(step, "x", "i", Size.symbol("H"))


def test_a_geometric_sum_is_right_where_its_fraction_is_not() -> None:
    formula = Geometric(s, n)
    assert formula.subs(s, 1) == n
    assert formula.subs({s: 3, n: 4}) == 40


# Families of networks of depth n -------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_repeat_is_the_unrolled_network_and_torch_at_every_depth(family: str) -> None:
    block, spec, make, sizes = FAMILIES[family]
    net = nn.Repeat(block, n, index=i).trace(spec)
    sizes = {"N": 2, **sizes}
    shape = [evaluate(dim, sizes) for dim in map(from_sympy, net.inputs[0])]
    for depth in range(10 if family in ("VGG stages", "transposed", "upsampled") else 13):
        with torch.device("meta"):
            theirs = torch_counts([make(j) for j in range(depth)], shape)
        unrolled = nn.Repeat(block, depth, index=i).trace(spec)
        at = {**sizes, "n": depth}
        if theirs is None:
            with pytest.raises(InvalidInput):
                net.at("repeat").shape_at(**at) if depth else None
            continue
        used = {name: value for name, value in at.items() if name in unrolled.free_symbols}
        assert tuple(unrolled.shape_at(**used)) == theirs[0]
        if depth:
            assert tuple(net.shape_at(**{q: at[q] for q in net.free_symbols})) == theirs[0]
        free = _free(*net.output_shape, net.params, net.macs)
        values = {symbol: at[symbol.name] for symbol in free}
        assert tuple(sympy.sympify(dim).subs(values) for dim in net.output_shape) == theirs[0]
        assert sympy.sympify(net.params).subs(values) == theirs[1]
        assert _doit(net.macs, values) == theirs[2]


def _free(*exprs: Any) -> Any:
    return set().union(*(sympy.sympify(e).free_symbols for e in exprs))


def _doit(expr: Any, values: Any) -> Any:
    return evaluate(from_sympy(expr), {symbol.name: v for symbol, v in values.items()})


@pytest.mark.parametrize("depth", range(1, 7))
def test_a_unet_of_depth_n_has_torchs_parameters_and_macs(depth: int) -> None:
    net = UNet(n, C).trace((N, 3, 2**n * h, 2**n * w))
    unrolled = UNet(depth, C).trace((N, 3, 2**depth * h, 2**depth * w))
    values = {n: depth, C: 2, N: 1, h: 2, w: 3}
    for figure in ("params", "macs"):
        one, other = getattr(net, figure), getattr(unrolled, figure)
        assert one.subs(values) == other.subs(values)
    assert sympy.sympify(net.macs).atoms(sympy.Sum) == set()


def test_a_unet_of_depth_n_agrees_with_torch() -> None:
    class Net(torch.nn.Module):
        def __init__(self, depth: Any, c: Any) -> None:
            super().__init__()
            conv = torch.nn.Conv2d
            self.stem = conv(3, c, 3, padding=1)
            downs = (TorchDown(c * 2**j, c * 2 ** (j + 1)) for j in range(depth))
            self.down = torch.nn.ModuleList(downs)
            self.mid = conv(c * 2**depth, c * 2 ** (depth + 1), 3, padding=1)
            self.up = torch.nn.ModuleList(TorchUp(c * 2 ** (depth - j)) for j in range(depth))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x, skips = self.stem(x), []
            for down in self.down:
                x, skip = down(x)
                skips.append(skip)
            x = self.mid(x)
            for up in self.up:
                x = up(x, skips.pop())
            return x

    formula = UNet(n, C).trace((N, 3, 2**n * h, 2**n * w))
    for depth in range(1, 5):
        shape, params, macs = torch_counts([Net(depth, 4)], (2, 3, 2**depth * 3, 2**depth * 2))
        at = {n: depth, C: 4, N: 2, h: 3, w: 2}
        assert (sympy.sympify(formula.params).subs(at), sympy.sympify(formula.macs).subs(at)) == (
            params,
            macs,
        )
        assert tuple(dim.subs(at) for dim in formula.output_shape) == shape


def test_closed_forms_are_the_ones_in_the_books() -> None:
    stacked = nn.Repeat(nn.Conv2d(C, C, 3), n).trace("N C H W")
    wide = nn.Conv1d(C, C, k, dilation=2**i, padding="same")
    dilated = nn.Repeat(wide, n, index=i).trace("N C L")
    halved = nn.Repeat(nn.Conv2d(C, C, 3, stride=2, padding=1), n).trace("N C H W")
    dense = nn.Repeat(Dense(k0 + i * g, g), n, index=i).trace("N k0 H W")
    assert field(stacked) == 2 * n + 1
    assert sympy.expand(field(dilated) - (1 + (k - 1) * (2**n - 1))) == 0
    assert halved.output_shape[2] == FloorDiv(H - 1, 2**n) + 1
    assert dense.output_shape[1] == k0 + n * g
    assert dilated.output_shape == (N, C, L)
    assert stacked.params == 9 * C**2 * n + C * n


def field(net: Any) -> Any:
    """The extent of the fused window of the repeat, along the last axis."""
    return to_sympy(net.nodes[-1].result.axes[-1][1].extent)


@given(
    st.integers(1, 5).map(lambda q: 2 * q - 1),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(0, 12),
)
def test_n_windows_are_one_window(
    kernel: Any, stride: int, padding: int, dilation: int, depth: int
) -> None:
    block = nn.Conv1d(1, 1, kernel, stride, padding, dilation)
    net = nn.Repeat(block, n).trace("1 1 L")
    fused: Any = sure(net.nodes[-1].result.axes)[-1][1]
    want = IDENTITY
    for _ in range(depth):
        want = want.then(Window.conv(kernel, stride, padding, dilation))
    at = {"n": depth}
    have = [evaluate(v, at) for v in (fused.extent, fused.stride, fused.left, fused.right)]
    assert have == [want.extent, want.stride, want.left, want.right]
    size = net.output_shape[-1]
    for x in range(want.extent, want.extent + 20):
        assert sympy.sympify(size).subs({L: x, n: depth}) == want.size(x)


@pytest.fixture(scope="module")
def everything() -> symcnn.Network:
    """n convolutions of symbolic kernel, stride, padding and dilation."""
    kernel, pad = symcnn.symbols("k"), symcnn.index("p")
    block = nn.Conv1d(C, C, kernel, stride=s, padding=pad, dilation=d)
    return nn.Repeat(block, n).trace("1 C L")


@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(0, 12),
    st.integers(1, 400),
)
def test_symbols_everywhere_are_torch_at_every_value(
    everything: Any, kernel: int, stride: int, pad: int, gap: int, depth: int, x: int
) -> None:
    with torch.device("meta"):
        layers = [torch.nn.Conv1d(2, 2, kernel, stride, pad, gap) for _ in range(depth)]
    theirs = torch_counts(layers, (1, 2, x))
    at = {"C": 2, "k": kernel, "s": stride, "p": pad, "d": gap, "n": depth, "L": x}
    if theirs is None:
        with pytest.raises(InvalidInput):
            everything.shape_at(**at)
        return
    assert everything.shape_at(**at) == theirs[0]
    assert (
        _doit(everything.params, {symcnn.symbols(name): v for name, v in at.items()}) == theirs[1]
    )
    assert _doit(everything.macs, {symcnn.symbols(name): v for name, v in at.items()}) == theirs[2]


def test_no_sum_is_left_where_a_closed_form_exists() -> None:
    for block, spec, *_ in FAMILIES.values():
        net = nn.Repeat(block, n, index=i).trace(spec)
        for size in (*net.output_shape, net.params):
            assert not sympy.sympify(size).atoms(sympy.Sum, sympy.Product, sympy.Piecewise)


def test_a_sum_of_floors_stays_a_sum_and_is_exact_at_numbers() -> None:
    net = nn.Repeat(nn.Conv2d(1, 1, 3, stride=2, padding=1), n).trace("1 1 H W")
    assert sympy.sympify(net.macs).atoms(sympy.Sum)
    assert _doit(net.macs, {H: 37, W: 21, n: 3}) == 9 * (19 * 11 + 10 * 6 + 5 * 3)


DIVISIBLE = ("H % 2**n == 0", "W % 2**n == 0")


@pytest.mark.parametrize("family", ["stride-2 stages", "VGG stages"])
def test_sums_of_floors_close_where_the_sizes_divide(family: str) -> None:
    block, spec, *_ = FAMILIES[family]
    total = formula(nn.Repeat(block, n, index=i).trace(spec).cost("macs").total).under(*DIVISIBLE)
    assert closed(total.size)
    for depth, (a, b) in product(DEPTHS, [(1, 1), (3, 2), (5, 8)]):
        unrolled = formula(nn.Repeat(block, depth, index=i).trace(spec).cost("macs").total)
        sizes = {"N": 2, "C": 4, "H": a * 2**depth, "W": b * 2**depth}
        want = unrolled.at(**{q: v for q, v in sizes.items() if q in unrolled.names})
        assert total.at(n=depth, **{q: v for q, v in sizes.items() if q in total.names}) == want


def test_the_sum_that_closes_is_a_geometric_one() -> None:
    halving = nn.Repeat(nn.Conv2d(C, C, 3, stride=2, padding=1, bias=False), n).trace("N C H W")
    total = formula(halving.cost("macs").total).under(*DIVISIBLE)
    assert str(total) == "3*N*C**2*H*W - 3*N*C**2*H*W/2**(2*n)"
    assert sympy.expand(total.expr - 3 * N * C**2 * H * W * (1 - sympy.Integer(2) ** (-2 * n))) == 0
    with pytest.raises(InvalidInput, match=r"H % 2\*\*n == 0"):
        total.at(N=1, C=1, H=6, W=8, n=2)


@pytest.mark.parametrize("depth", range(1, 9))
def test_a_unet_of_depth_n_has_closed_macs_at_the_sizes_it_takes(depth: int) -> None:
    """Its domain is exactly the multiples of 2**n, so nothing is lost by the assumption."""
    net = UNet(n, C).trace("N 3 H W")
    total = formula(net.cost("macs").total).under(*DIVISIBLE)
    assert closed(total.size)
    unrolled = UNet(depth, C).trace("N 3 H W")
    for x in range(1, 4 * 2**depth + 1, max(1, 2**depth // 4)):
        sizes = {"N": 1, "C": 2, "H": x, "W": 2**depth}
        if x % 2**depth:
            with pytest.raises(InvalidInput):
                net.shape_at(n=depth, **sizes)
            with pytest.raises((InvalidInput, ShapeMismatch)):
                unrolled.shape_at(**sizes)
        else:
            assert total.at(n=depth, **sizes) == formula(unrolled.cost("macs").total).at(**sizes)


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(2, 4),
    padding=st.integers(0, 2),
    depth=st.integers(0, 9),
    multiple=st.integers(1, 9),
    rest=st.integers(0, 3),
)
def test_closed_sums_are_the_open_ones_wherever_they_hold(
    kernel: int, stride: int, padding: int, depth: int, multiple: int, rest: int
) -> None:
    net = nn.Repeat(nn.Conv1d(C, C, kernel, stride, padding), n).trace("1 C L")
    total = net.cost("macs").total
    given = formula(total).under(f"L % {stride}**n == {rest}")
    x = multiple * stride**depth + rest
    if rest < stride**depth:
        assert given.at(C=3, n=depth, L=x) == formula(total).at(C=3, n=depth, L=x)


def test_a_formula_in_the_depth_takes_arrays() -> None:
    net = nn.Repeat(nn.Conv1d(C, C, 3, 2, 1), n).trace("1 C L")
    depths = np.arange(5)
    total = net.cost("macs").total
    found: Any = formula(total).at(C=2, L=2 ** (depths + 2), n=depths)
    assert found.tolist() == [formula(total).at(C=2, L=2 ** (d + 2), n=d) for d in range(5)]


@pytest.mark.parametrize("given", ["H % 2**n == 0 and H % 3**n == 0", "H % 2**(99) == 0", "2**H"])
def test_moduli_that_cannot_be_joined_or_read_are_refused(given: str) -> None:
    net = nn.Repeat(nn.Conv2d(1, 1, 3, stride=2, padding=1), n).trace("1 1 H W")
    with pytest.raises(BadSpec):
        formula(net.cost("macs").total).under(given)


def test_a_depth_that_keeps_the_size_is_an_argument_of_the_code() -> None:
    scope: dict[str, Any] = {}
    exec(nn.Repeat(Residual(C), n).trace("N C H W").to_code(), scope)
    assert scope["params"](N=1, C=2, H=4, W=4, n=3) == 3 * (2 * 9 * 4 + 2 * 4)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_compiled_code_takes_arrays_of_sizes(tmp_path: Path) -> None:
    height = Formula(FloorDiv(FloorDiv(H + 1, 2) - 3, 4) * 3 + sympy.Max(H, W))
    (tmp_path / "f.c").write_text(to_code({"f": height.expr}, "c"))
    made = ["cc", "-O2", "-shared", "-fPIC", "-o", "f.so", "f.c"]
    subprocess.run(made, cwd=tmp_path, check=True)
    sizes = [np.arange(1, 10_001, dtype=np.int64), np.arange(20_000, 10_000, -1, dtype=np.int64)]
    found = np.empty(10_000, dtype=np.int64)
    arrays = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)) for a in (*sizes, found)]
    ctypes.CDLL(str(tmp_path / "f.so")).f_each(*arrays, ctypes.c_int64(10_000))
    assert (found == height.at(H=sizes[0], W=sizes[1])).all()


@pytest.mark.parametrize(
    ("block", "domain"),
    [
        (nn.MaxPool2d(2), "H >= 8 and W >= 8"),
        (nn.PixelUnshuffle(2), "H % 8 == 0 and H >= 8 and W % 8 == 0 and W >= 8"),
        (seq(nn.Conv2d(4, 4, 3), nn.ConstantPad2d(1, 0)), "H >= 3 and W >= 3"),
    ],
)
def test_a_repeat_at_a_number_of_blocks_has_the_domain_of_as_many(block: Any, domain: str) -> None:
    repeated, three = (nn.Repeat(block, count).trace("N 4 H W") for count in (n, 3))
    assert str(repeated.given(n=3).valid_inputs()) == str(three.valid_inputs()) == domain


def test_a_formula_under_a_union_of_sets_is_for_its_members_alone() -> None:
    area = Formula(H * W).under(symcnn.solve("H % 2 == 0 or W % 3 == 0"))
    assert np.array_equal(area.at(H=np.array([4, 5]), W=np.array([5, 6])), [20, 30])
    with pytest.raises(InvalidInput, match="not for all of these"):
        area.at(H=np.array([4, 5]), W=np.array([5, 7]))


def test_repeats_nest() -> None:
    stage = seq(nn.Repeat(nn.Conv2d(C, C, 3, padding=1), m), nn.MaxPool2d(2))
    net = nn.Repeat(stage, n).trace((N, C, 2**n * h, 2**n * w))
    assert net.output_shape == (N, C, h, w)
    assert net.params == sympy.expand(m * n * (9 * C**2 + C))
    unrolled = nn.Repeat(seq(nn.Repeat(nn.Conv2d(2, 2, 3, padding=1), 3), nn.MaxPool2d(2)), 4)
    want = unrolled.trace((1, 2, 48, 80)).macs
    assert sympy.sympify(net.macs).subs({C: 2, N: 1, h: 3, w: 5, n: 4, m: 3}) == want


def test_a_symbolic_net_of_fifty_layers_takes_under_a_second() -> None:
    layers = [nn.Conv2d(C, C, k, padding=(k - 1) / 2, stride=1 + (j % 10 == 0)) for j in range(50)]
    start = time.perf_counter()
    net = seq(*layers).trace("N C H W")
    assert net.output_shape[2] == FloorDiv(H + 31, 32)
    assert net.params == 50 * (C**2 * k**2 + C)
    assert net.macs is not None
    assert time.perf_counter() - start < 1


# Bad input -----------------------------------------------------------------------------------


def test_blocks_that_do_not_fit_are_refused_with_both_shapes_and_the_index() -> None:
    with pytest.raises(ShapeMismatch, match=r"block 0 gives .*2\*C.*block 1 takes .*3\*C"):
        nn.Repeat(nn.Conv2d(C * (2 * i + 1), 2 * C, 1), n, index=i).trace("N C H W")


def test_blocks_that_fit_at_first_are_refused_where_they_stop() -> None:
    grows = nn.Conv2d(C * 2**i, C * (i + 2), 1)  # 2, 3 against 2, 4
    with pytest.raises(ShapeMismatch, match=r"block 1 gives .*3\*C.*block 2 takes .*4\*C"):
        nn.Repeat(grows, n, index=i).trace("N C H W")


def test_an_input_that_the_first_block_does_not_take_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match=r"the input is .*block 0 takes"):
        nn.Repeat(nn.Conv2d(8, 8, 1), n).trace("N 3 H W")


@pytest.mark.parametrize("index", [C, sympy.Symbol("i"), "i", 3])
def test_an_index_that_does_not_count_from_zero_is_refused(index: Any) -> None:
    with pytest.raises(BadSpec, match="index"):
        nn.Repeat(nn.Conv2d(8, 8, 1), n, index=index)


@pytest.mark.parametrize("depth", [-1, 1.5, sympy.Symbol("n")])
def test_a_depth_that_is_no_whole_number_is_refused(depth: Any) -> None:
    with pytest.raises(ShapeMismatch, match="n="):
        nn.Repeat(nn.Conv2d(8, 8, 1), depth)


def test_a_depth_too_great_for_the_input_is_outside_the_domain() -> None:
    net = nn.Repeat(nn.Conv2d(C, C, 3), n).trace("N C H W")
    assert net.shape_at(N=1, C=1, H=9, W=9, n=4) == (1, 1, 1, 1)
    with pytest.raises(InvalidInput, match="block 4"):
        net.shape_at(N=1, C=1, H=9, W=9, n=5)
