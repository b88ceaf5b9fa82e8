"""The domain law: formulas on a network's own domain have no floor that the domain decides."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
import sympy
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import symcnn
from symcnn import H, N, W, nn
from symcnn.algebra import size as sz
from symcnn.algebra.factor import text
from symcnn.algebra.size import Size, evaluate, maximum, minimum
from symcnn.sets.condition import AnyOf, Condition
from symcnn.sets.inputset import input_set
from symcnn.sets.simplest import Simplest, known_sizes

from .fuzz.expressions import expressions

x, y = Size.symbol("x"), Size.symbol("y")


def on(*conditions: Any) -> Any:
    return Simplest(input_set(["x", "y"], conditions))


def residue(e: Any, m: Any, r: Any = 0) -> Any:
    return Condition(sz.mod(e, m), "==", r)


# The law --------------------------------------------------------------------------------------


@st.composite
def sets(draw: Any) -> list[Any]:
    """Sets of x and y: residues, bounds, ties between the two, and unions of them."""

    def condition() -> Any:
        kind = draw(st.sampled_from(["residue", "least", "most", "tie"]))
        a, b = draw(st.permutations([x, y]))
        k = draw(st.integers(1, 9))
        if kind == "residue":
            m = draw(st.sampled_from([2, 3, 4, 6, 8]))
            return residue(a + draw(st.sampled_from([0, 1])) * b, m, k % m)
        if kind == "tie":
            return Condition(a + k, ">=", b)
        return Condition(a, ">=", k) if kind == "least" else Condition(k + 8, ">=", a)

    every = [condition() for _ in range(draw(st.integers(0, 3)))]
    if draw(st.booleans()):
        every.append(AnyOf((condition(), condition())))
    return every


@given(drawn=expressions(low=1), conditions=sets())
def test_the_simplest_form_has_the_same_value_at_every_member(drawn: Any, conditions: Any) -> None:
    domain = input_set(["x", "y"], conditions)
    assume(domain)
    found = Simplest(domain)(drawn.normal)
    for at in itertools.product(range(1, 26), repeat=2):
        values = dict(zip("xy", at, strict=True))
        if all(c.holds(values) for c in conditions):
            assert evaluate(found, values) == drawn.value(values)


def test_a_floor_whose_remainder_is_constant_is_a_quotient() -> None:
    assert str(on(residue(x, 4))((x + 7) // 4)) == "x/4 + 1"
    assert str(on(residue(x, 16, 5))((x + 13) // 16 * 16)) == "x + 11"


def test_a_floor_whose_remainder_is_another_at_one_far_member_stays_a_floor() -> None:
    far = input_set(["x"], [Condition(x, "==", 1001)])
    domain = input_set(["x"], [residue(x, 2)]) | far
    assert Simplest(domain)(x // 2) == x // 2


def test_a_tie_between_two_sizes_decides_floors_of_both() -> None:
    assert str(on(residue(x + y, 2, 1))((x + y) // 2)) == "x/2 + y/2 - 1/2"


def test_a_floor_that_has_one_value_is_that_value() -> None:
    short = on(Condition(x, ">=", 224), Condition(239, ">=", x))
    assert short(x // 16) == 14
    assert short(maximum(x, 240)) == 240


def test_the_greater_of_two_is_the_maximum() -> None:
    assert on(Condition(x, ">=", 9))(maximum(x - 8, 0)) == x - 8
    assert on(Condition(x, ">=", y + 1))(maximum(x, y)) == x
    assert str(on(Condition(x, ">=", 2))(maximum(x, y))) == "max(x, y)"


def test_the_residues_of_both_sizes_decide_a_floor_of_their_product() -> None:
    assert str(on(residue(x, 4), residue(y, 6))(x * y // 8)) == "x*y/8"


def test_floors_in_floors_are_decided_from_within() -> None:
    assert str(on(residue(x, 2))((x + x // 2) // 3)) == "x/2"


def test_the_greater_of_two_is_open_where_one_divides_by_0_at_a_member() -> None:
    divided = sz.floordiv(y, x - 1)
    assert on()(maximum(divided, y)) == maximum(divided, y)


def test_what_the_set_does_not_speak_of_stays() -> None:
    assert str(on(residue(x, 2))((x + Size.symbol("z")) // 2)) == "(x + z)//2"


def test_of_a_domain_that_is_not_decidable_the_decidable_part_counts() -> None:
    hard = Condition(x * y, "==", x + y * y + 3)
    assert str(Simplest(known_sizes(["x", "y"], [hard, residue(x, 2)]))(x // 2)) == "x/2"


# Networks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unet(example: Callable[..., Any]) -> symcnn.Network:
    return symcnn.from_torch(example("unet:UNet"), "N 3 H W")


def test_a_padded_unet_pads_by_94_and_costs_a_polynomial(unet: Any) -> None:
    field, costs = unet.receptive_field(), unet.cost()
    assert field.padding == ((94, 94), (94, 94))
    assert unet.output_shape[2:] == (H, W)
    for formula in (unet.macs, unet.flops, costs.total.expr, costs.peak.expr, costs.saved.expr):
        assert sympy.Poly(formula, N, H, W)
    assert not unet.macs.has(symcnn.FloorDiv)


def test_what_is_shown_is_simplest_too(unet: Any) -> None:
    for shown in (unet.summary(), unet.to_latex(), unet.to_code(), unet._repr_html_()):
        assert "//" not in shown
        assert "floor" not in shown
    assert [node.output_shape[2] for node in unet.nodes if node.op == "max_pool2d"] == [
        H / 2**k for k in range(1, 5)
    ]


def test_the_general_form_is_there_by_name(unet: Any) -> None:
    assert unet.general.receptive_field().padding[0] == (
        94,
        symcnn.FloorDiv(H + 13, 16) * 16 - H + 94,
    )
    assert unet.general.macs.has(symcnn.FloorDiv)
    assert unet.general.macs.subs({H: 32, W: 48}) == unet.macs.subs({H: 32, W: 48})


@pytest.mark.parametrize("at", [{"H": 16, "W": 32}, {"H": 48, "W": 16}])
def test_the_simplest_forms_are_torchs_numbers(
    unet: Any, example: Callable[..., Any], at: dict[str, int]
) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = example("unet:UNet")
    with FlopCounterMode(display=False) as counter:
        out = module(torch.empty(2, 3, at["H"], at["W"], device="meta"))
    values = {N: 2, H: at["H"], W: at["W"]}
    assert unet.flops.subs(values) == counter.get_total_flops()
    assert tuple(sympy.sympify(d).subs(values) for d in unet.output_shape) == out.shape


def test_a_part_is_simplest_on_its_own_domain() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Unflatten(2, (-1, 3)), nn.Flatten(2)).trace("N 3 H W")
    assert net.at("0").output_shape[2] == symcnn.FloorDiv(H, 2)


def test_under_takes_a_set(unet: Any) -> None:
    square = symcnn.from_torch(torch.nn.MaxPool2d(2), "N 3 H W").cost()
    assert str(square.under(unet.valid_inputs()).other) == "3*N*H*W"


def test_where_nothing_is_to_simplify_it_costs_next_to_nothing(example: Callable[..., Any]) -> None:
    module = example("resnet:resnet50")

    def seconds(question: Callable[..., Any]) -> Any:
        return min(_timed(question, symcnn.from_torch(module, "N 3 H W")) for _ in range(5))

    whole = min(_timed(lambda m: symcnn.from_torch(m, "N 3 H W"), module) for _ in range(5))
    law = seconds(lambda net: (net.output_shape, net.macs))
    bare = seconds(lambda net: (net.general.output_shape, net.general.macs))
    assert law - bare < 0.1 * whole


def _timed(question: Any, *args: Any) -> Any:
    start = time.perf_counter()
    question(*args)
    return time.perf_counter() - start


def test_the_last_of_a_row_are_as_many_as_there_are() -> None:
    """Decoders of series take ``x[:, -8:]``: the smaller of two, not a sum with another smaller."""
    net = symcnn.from_torch(LastOfARow(), "N T")
    assert str(net.output_shape) == "(N, Min(8, T))"
    assert symcnn.from_torch(LastOfARow(), "N 5").output_shape[1] == 5


class LastOfARow(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -8:]


def test_of_floors_of_one_size_the_one_that_is_never_less_is_the_greater() -> None:
    """The field of two paths, one of them shifted: ``4*((i + 2)//4) >= 4*(i//4)`` at a glance."""
    i = Size.symbol("i")
    assert maximum(4 * ((i + 2) // 4), 4 * (i // 4)) == 4 * ((i + 2) // 4)
    assert minimum(4 * ((i + 2) // 4) - 22, 4 * (i // 4) - 18) == 4 * ((i + 2) // 4) - 22


@pytest.mark.parametrize(
    "said",
    ["2*min(T, 8)", "N*(S + 16*min(T, 8))", "-N*max(T, 8)", "min(S, 3)*min(T, 8)", "S + min(T, 8)"],
)
def test_a_maximum_is_written_as_what_is_shorter(said: str) -> None:
    N, S, T = (Size.symbol(name) for name in "NST")
    forms = {
        "2*min(T, 8)": 2 * T - 2 * maximum(T - 8, 0),
        "N*(S + 16*min(T, 8))": N * S + 16 * N * minimum(T, 8),
        "-N*max(T, 8)": -N * maximum(T, 8),
        "min(S, 3)*min(T, 8)": minimum(T, 8) * minimum(S, 3),
        "S + min(T, 8)": T + S - maximum(T - 8, 0),
    }
    assert text(forms[said]) == said
