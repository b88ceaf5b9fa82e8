"""The algebra by hand: layers as functions of sizes, and FloorDiv as sympy users expect it."""

import itertools
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given

from symcnn import FloorDiv, H, L, N, W, ceildiv, multiple, nn, solve, symbols
from symcnn.algebra.axis import Window
from symcnn.algebra.sympy import Geometric, Trunc, from_sympy, to_sympy
from symcnn.errors import BadSpec, InvalidInput, NoSolution, ShapeMismatch, Undecidable

from .fuzz.expressions import expressions

STEM = nn.Conv2d(3, 64, 7, stride=2, padding=3)

# Layers as functions ----------------------------------------------------------------------------


def test_a_layer_is_a_function_of_sizes() -> None:
    assert STEM(H, W) == STEM("H", "W") == ((H + 1) // 2, (W + 1) // 2)
    assert STEM(2 * H, W + 1) == (H, FloorDiv(W, 2) + 1)
    assert STEM(224, np.int64(225)) == (112, 113)


def test_symbols_without_assumptions_are_sizes_too() -> None:
    h, w = sympy.symbols("h w")
    assert STEM(h, w) == (sympy.floor(h / 2 + sympy.Rational(1, 2)), sympy.floor((w + 1) / 2))


@pytest.mark.parametrize(
    ("ours", "theirs", "n"),
    [
        (nn.Conv1d(4, 8, 5, 2, 1, 2), torch.nn.Conv1d(4, 8, 5, 2, 1, 2), 1),
        (nn.Conv2d(4, 8, (3, 2), (1, 3)), torch.nn.Conv2d(4, 8, (3, 2), (1, 3)), 2),
        (nn.Conv3d(4, 8, 2, padding=1), torch.nn.Conv3d(4, 8, 2, padding=1), 3),
        (nn.ConvTranspose2d(4, 8, 3, 2, 1, 1), torch.nn.ConvTranspose2d(4, 8, 3, 2, 1, 1), 2),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), torch.nn.MaxPool2d(3, 2, 1, ceil_mode=True), 2),
        (nn.AvgPool1d(2), torch.nn.AvgPool1d(2), 1),
        (nn.AdaptiveAvgPool2d((None, 7)), torch.nn.AdaptiveAvgPool2d((None, 7)), 2),
        (nn.Upsample(scale_factor=1.5), torch.nn.Upsample(scale_factor=1.5), 2),
        (nn.ReflectionPad2d((1, 0, 2, 1)), torch.nn.ReflectionPad2d((1, 0, 2, 1)), 2),
    ],
    ids=lambda m: type(m).__name__ if isinstance(m, nn.Module) else "",
)
def test_ints_arrays_and_formulas_are_what_torch_answers(
    ours: Any, theirs: torch.nn.Module, n: int
) -> None:
    names = "abc"[:n]
    formulas = ours(*names)
    sizes = [np.arange(8 + i, 16 + i) for i in range(n)]
    arrays = ours(*sizes)
    for i, at in enumerate(zip(*sizes, strict=True)):
        wanted = theirs.to("meta")(torch.empty(1, 4, *map(int, at), device="meta")).shape[2:]
        assert ours(*map(int, at)) == wanted
        assert tuple(array[i] for array in arrays) == wanted
        values = {symbols(name): int(size) for name, size in zip(names, at, strict=True)}
        assert tuple(sympy.sympify(f).subs(values) for f in formulas) == wanted


def test_hyperparameters_may_be_symbols() -> None:
    k, s, p = symbols("k s p")
    assert nn.Conv1d(1, 1, k, s, p)(L) == (FloorDiv(L - k + 2 * p, s) + 1,)


def test_a_sequence_is_a_function_too_and_finds_its_channels_itself() -> None:
    net = nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(5, 8, 3), nn.GroupNorm(2, 8), nn.MaxPool2d(2))
    assert net(H, W) == (H - 1, W - 1)
    head = nn.Sequential(STEM, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    assert head(H, W) == (10,)
    assert nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten())(7, 7) == (200,)


def test_sizes_that_torch_refuses_are_refused() -> None:
    with pytest.raises(InvalidInput, match="5 < 7"):
        nn.Conv2d(3, 8, 7)(5, 5)
    with pytest.raises(InvalidInput, match=r"H=5, W=9.*5 < 7"):
        nn.Conv2d(3, 8, 7)(np.array([8, 5, 4]), 9)
    with pytest.raises(InvalidInput, match="0 is no size"):
        nn.Conv1d(3, 8, 1)(0)


def test_another_number_of_sizes_is_refused() -> None:
    for layer in (nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3)):
        with pytest.raises((BadSpec, ShapeMismatch)):
            layer(H)
    with pytest.raises(BadSpec, match="trace"):
        STEM("N 3 H W")


def test_the_inverse_of_a_layer_is_a_set_or_formulas() -> None:
    assert str(STEM.inverse(7, 7)) == "13 <= H <= 14 and 13 <= W <= 14"
    assert str(STEM.inverse("h", "w")) == "2*h - 1 <= H <= 2*h and 2*w - 1 <= W <= 2*w"
    assert str(nn.Conv1d(3, 8, 3).inverse(range(5, 8))) == "7 <= L <= 9"
    with pytest.raises(NoSolution):
        nn.Upsample(scale_factor=2).inverse(7, 7)


def test_composition_runs_left_to_right_and_fuses_windows() -> None:
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    both = STEM >> pool
    assert both(H, W) == pool(*STEM(H, W)) == ((H + 3) // 4, (W + 3) // 4)
    assert both.windows == (Window.conv(7, 2, 3).then(Window.conv(3, 2, 1)),) * 2
    assert len(both >> nn.ReLU() >> both) == 5
    with pytest.raises(TypeError):
        STEM >> 3


def test_what_sees_everything_is_no_window() -> None:
    with pytest.raises(BadSpec, match="whole axis"):
        _ = nn.AdaptiveAvgPool2d(1).windows


# Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016) -----------------

i, k, s, p, m = symbols("i k s p m")
odd, n2 = symbols("q", odd=True), symbols("n")


def conv(*args: Any, **options: Any) -> Any:
    return nn.Conv1d(1, 1, *args, **options)


def transposed(*args: Any, **options: Any) -> Any:
    return nn.ConvTranspose1d(1, 1, *args, **options)


@pytest.mark.parametrize(
    ("layer", "output"),
    [
        pytest.param(conv(k), i - k + 1, id="1"),
        pytest.param(conv(k, padding=p), i - k + 2 * p + 1, id="2"),
        pytest.param(conv(odd, padding=(odd - 1) / 2), i, id="3: half padding"),
        pytest.param(conv(k, padding=k - 1), i + k - 1, id="4: full padding"),
        pytest.param(conv(k, s), FloorDiv(i - k, s) + 1, id="5"),
        pytest.param(conv(k, s, p), FloorDiv(i + 2 * p - k, s) + 1, id="6"),
        pytest.param(nn.MaxPool1d(3, 2), FloorDiv(i - 3, 2) + 1, id="7: pooling"),
        pytest.param(transposed(k), i + k - 1, id="8"),
        pytest.param(transposed(k, padding=p), i + k - 1 - 2 * p, id="9"),
        pytest.param(transposed(odd, padding=(odd - 1) / 2), i, id="10: half padding"),
        pytest.param(transposed(k, padding=k - 1), i - k + 1, id="11: full padding"),
        pytest.param(transposed(k, s), s * (i - 1) + k, id="12"),
        pytest.param(transposed(k, s, p), s * (i - 1) + k - 2 * p, id="13"),
        pytest.param(transposed(k, s, p, m), s * (i - 1) + m + k - 2 * p, id="14"),
        pytest.param(conv(k, s, p, m), FloorDiv(i + 2 * p - m * (k - 1) - 1, s) + 1, id="15"),
    ],
)
def test_the_relationships_of_the_guide_in_one_line_each(layer: Any, output: Any) -> None:
    assert sympy.expand(layer(i)[0] - output) == 0


# FloorDiv ---------------------------------------------------------------------------------------

F = FloorDiv(H - 7, 3)


@pytest.mark.parametrize("modules", ["math", "mpmath", "numpy", "sympy", "torch"])
def test_every_lambdify_rounds_down_exactly(modules: str) -> None:
    if modules == "torch":
        assert sympy.lambdify(H, F, modules)(torch.tensor(31)) == 8
        return
    compiled = sympy.lambdify(H, F, modules)
    assert [int(compiled(x)) for x in range(1, 1000)] == [(x - 7) // 3 for x in range(1, 1000)]


def test_scales_and_geometric_sums_compile_too() -> None:
    assert int(sympy.lambdify(H, Trunc(H, 0.29), "mpmath")(100)) == 28
    for modules in ("math", "mpmath", "numpy"):
        assert int(sympy.lambdify((H, N), Geometric(H, N), modules)(3, 4)) == 40
        assert int(sympy.lambdify((H, N), Geometric(H, N), modules)(1, 4)) == 4


@pytest.mark.parametrize(
    ("printer", "text"),
    [
        (sympy.ccode, "floor((double)(H + 2)/(3)) - 3"),
        (sympy.jscode, "Math.floor((H + 2)/(3)) - 3"),
        (sympy.julia_code, "fld((H + 2), (3)) - 3"),
        (sympy.rcode, "((H + 2) %/% (3)) - 3"),
        (sympy.pycode, "(H + 2)//3 - 3"),
    ],
)
def test_other_languages_round_one_exact_quotient_down(printer: Any, text: str) -> None:
    assert printer(F) == text


def test_a_floor_has_no_derivative_and_no_series() -> None:
    for refused in (lambda: F.diff(H), lambda: (H * F).diff(H), lambda: F.series(H)):
        with pytest.raises(BadSpec, match="steps"):
            refused()
    assert F.diff(W) == 0


def test_limits_and_sums_are_right() -> None:
    assert sympy.limit(F / H, H, sympy.oo) == sympy.Rational(1, 3)
    assert sympy.limit((3 * F * H + H) / H**2, H, sympy.oo) == 1
    assert sympy.limit(F, H, 5) == -1
    assert sympy.Sum(F, (H, 1, 10)).doit() == sum((x - 7) // 3 for x in range(1, 11))
    assert sympy.Sum(F, (H, 1, N)).doit().subs(N, 10).doit() == -8


def test_symbolic_hyperparameters_leave_a_set_where_it_is_linear() -> None:
    k, s = symbols("k s")
    assert str(nn.Conv1d(3, 64, k).inverse("h")) == "L == h + k - 1 and L >= h"
    assert str(nn.Conv1d(3, 64, 3, stride=s).inverse(7)) == "7*s + 2 >= L and L >= 6*s + 3"


def test_a_symbolic_kernel_and_stride_are_refused_with_the_formulas() -> None:
    k, s, p, h = symbols("k s p h")
    layer = nn.Conv1d(3, 64, k, stride=s, padding=p)
    with pytest.raises(Undecidable) as refused:
        layer.inverse("h")
    first, last = layer.windows[0].fibre(h)
    low, name, high = refused.value.cure.removeprefix("as formulas: ").split(" (")[0].split(" <= ")
    assert name == "L"
    assert sympy.expand(sympy.parse_expr(low, {str(x): x for x in (k, s, p, h)}) - first) == 0
    assert sympy.expand(sympy.parse_expr(high, {str(x): x for x in (k, s, p, h)}) - last) == 0
    for at in ({k: 3, s: 2, p: 1, h: 7}, {k: 5, s: 3, p: 0, h: 4}):
        sizes = [x for x in range(1, 99) if layer(x)[0].subs(at) == at[h]]
        assert (sizes[0], sizes[-1]) == (first.subs(at), last.subs(at))


def test_the_inverse_of_transposed_layers_in_formulas() -> None:
    k, s, p = symbols("k s p")
    up = nn.ConvTranspose1d(8, 8, 3, stride=2)
    assert str(up.inverse("h")) == "L == (h - 1)/2 and h >= 3 and h % 2 == 1"
    assert up.inverse(15) == nn.ConvTranspose1d(8, 8, 4, stride=2, padding=1).inverse(14)
    with pytest.raises(Undecidable) as refused:
        nn.ConvTranspose1d(8, 8, k, stride=s, padding=p).inverse("h")
    formulas = "-((-h + k - 2*p)//s) + 1 <= L <= (h - k + 2*p)//s + 1"
    assert refused.value.cure == f"as formulas: {formulas}"


@pytest.mark.parametrize(
    "sizes", [(7.0, 7), ((7, 7),), ([H, W],), (np.array([7.5]), 7), (True, 7)], ids=str
)
def test_what_is_no_size_is_refused_in_words(sizes: tuple[Any, ...]) -> None:
    with pytest.raises(BadSpec, match=r"no size|several sizes") as refused:
        STEM(*sizes)
    assert "layer(H, W)" in refused.value.cure


def test_a_size_after_a_layer_has_a_name_of_its_own() -> None:
    with pytest.raises(BadSpec, match="H is the size in front of the layer") as refused:
        STEM.inverse(H, W)
    assert "layer.inverse('h', 'w')" in refused.value.cure


def test_arrays_and_formulas_together_give_arrays_of_formulas() -> None:
    k = symbols("k")
    rows, columns = nn.Conv2d(3, 8, k)(np.array([5, 6]), W)
    assert list(rows) == [6 - k, 7 - k]
    assert list(columns) == [W - k + 1] * 2


@pytest.mark.parametrize("given", [sympy.sqrt(H) <= 3, sympy.Eq(sympy.log(H), 3)])
def test_a_function_that_the_algebra_does_not_have_is_refused(given: Any) -> None:
    """Counterexample: sqrt(H) was a size of that name, and 3 its solution."""
    with pytest.raises(BadSpec, match=r"(sqrt|log)\(H\) is no formula of sizes"):
        solve(given)


@pytest.mark.parametrize("lost", [H % 4 == 0, True, [sympy.Eq(H, 7), H % 4 == 0]])
def test_a_bool_of_python_is_no_condition(lost: Any) -> None:
    with pytest.raises(BadSpec, match="bool of python") as refused:
        solve(sympy.Eq((H + 31) // 32, 7), lost)
    assert "Eq(H % 32, 0)" in refused.value.cure


def test_a_list_is_a_system_too() -> None:
    assert solve([sympy.Eq(H, 7), H < W, W < 10]) == solve("H == 7 and 8 <= W and W <= 9")


@pytest.mark.parametrize("expr", [F - H / 3, FloorDiv(H, 2) ** 2 - H**2 / 4])
def test_a_limit_that_does_not_exist_is_refused(expr: Any) -> None:
    """Counterexample: sympy answers minus infinity for ``floor(H/2) - H/2``, H positive."""
    with pytest.raises(Undecidable, match="no limit"):
        sympy.limit(expr, H, sympy.oo)


def test_a_floor_of_real_numbers_is_sympys() -> None:
    x = sympy.symbols("x")
    assert FloorDiv(x, 2) == sympy.floor(x / 2)
    assert sympy.floor(x / 2) == FloorDiv(x, 2)
    assert {sympy.floor(x / 2): 1}[FloorDiv(x, 2)] == 1
    assert str(FloorDiv(x, 2)) == "floor(x/2)"


def test_floors_are_rewritten_there_and_back() -> None:
    for other in (sympy.floor, sympy.ceiling, sympy.Mod):
        assert FloorDiv.of(F.rewrite(other)) == F
    assert FloorDiv.of(sympy.ceiling((H - 9) / 3)) == F


@given(expressions(low=1))
def test_what_is_printed_reads_back_as_the_same_expression(drawn: Any) -> None:
    names = {"x": symbols("x"), "y": symbols("y")}
    shown = str(to_sympy(drawn.normal))
    read = sympy.parse_expr(shown, local_dict=names)
    assert from_sympy(read) == from_sympy(to_sympy(drawn.normal))


def test_multiples_and_ceilings_by_hand() -> None:
    assert ceildiv(multiple("C", of=8), 4) == multiple("C", of=8) / 4
    assert [ceildiv(x, 3) for x in range(1, 7)] == [1, 1, 1, 2, 2, 2]
    assert list(itertools.accumulate([1, 2])) == [1, 3]
