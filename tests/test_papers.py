"""Papers' own formulas and tables, reproduced from symbolic networks."""

import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import sympy
import torch

import symcnn
from symcnn import H, nn

from .conftest import ROOT, load_example, sure


@pytest.fixture(scope="module")
def papers() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("papers", ROOT / "examples" / "papers.py")
    module = sys.modules["papers"] = importlib.util.module_from_spec(sure(spec))
    sure(sure(spec).loader).exec_module(module)
    return module


@pytest.mark.parametrize("number", range(1, 15))
def test_dumoulin_and_visin(papers: Any, number: int) -> None:
    relationship = papers.RELATIONSHIPS[number - 1]
    assert relationship.number == number
    assert relationship.proved


@pytest.mark.parametrize("number", range(1, 15))
def test_dumoulin_and_visin_against_torch(papers: Any, number: int) -> None:
    relationship = papers.RELATIONSHIPS[number - 1]
    for k, s, p, extra in product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (0, 1)):
        if number in (3, 10) and k % 2 == 0:
            continue
        at = {"i": 9, "k": k, "s": s, "p": p, "a": extra}
        layer = relationship.layer
        names = {name: _at(getattr(layer, name), at) for name in ("kernel_size", "stride")}
        names["padding"] = _at(layer.padding, at)
        kind = type(layer).__name__
        if hasattr(layer, "output_padding"):
            names["output_padding"] = _at(layer.output_padding, at)
        make = getattr(torch.nn, kind)
        try:
            module = make(**names) if kind == "MaxPool1d" else make(1, 1, **names)
            got = module(torch.zeros(1, 1, 9)).shape[2]
        except RuntimeError:
            continue
        values = {q: at[q.name] for q in sympy.sympify(relationship.size).free_symbols}
        assert sympy.sympify(relationship.size).subs(values) == got, at


def _at(values: Any, at: Any) -> Any:
    from symcnn.algebra.size import evaluate

    values = values if isinstance(values, tuple) else (values,)
    return tuple(evaluate(symcnn.algebra.expr.from_sympy(v), at) for v in values)


def test_a_transpose_with_the_rows_left_over_gives_the_input_size_back(papers: Any) -> None:
    assert papers.round_trip() == papers.i


@pytest.mark.parametrize("layers", range(1, 7))
def test_araujos_closed_forms_are_the_fusion_law(papers: Any, layers: int) -> None:
    assert papers.araujo(layers)


def test_araujos_recurrences_hold_at_every_layer(papers: Any) -> None:
    steps = papers.araujo_recurrences()
    assert len(steps) == 6
    assert all(steps.values())


def test_a_wrong_recurrence_would_be_noticed(papers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers.Window, "pullback", lambda self, i, j, x=None: (i, j))
    assert not all(papers.araujo_recurrences().values())
    assert not papers.araujo(2)


@pytest.fixture(scope="module")
def araujos_table(papers: Any) -> Any:
    return {name: (theirs, ours) for name, theirs, ours in papers.araujo_table()}


ARAUJO = """alexnet_v2 vgg_16 mobilenet_v1 mobilenet_v1_075 resnet_v1_50 resnet_v1_101 resnet_v1_152
    resnet_v1_200 inception_v2 inception_v3 inception_v4 inception_resnet_v2""".split()


@pytest.mark.parametrize("name", ARAUJO)
def test_araujos_table(araujos_table: Any, name: str) -> None:
    """Field, stride and padding exactly; FLOPs as published, which count biases besides."""
    (*theirs, published), (*ours, flops) = araujos_table[name]
    assert ours == theirs
    assert abs(flops / published - 1) < 0.005


def test_araujos_paths_are_aligned(papers: Any) -> None:
    for network in papers.TABLE:
        assert network().trace("1 3 H W").receptive_field().branches == ()


def test_a_path_shifted_by_one_is_not_aligned() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            self.conv = nn.Conv1d(1, 1, 3)
            self.pad = nn.ZeroPad1d((2, 0))

        def forward(self, x: Any) -> Any:
            return x + self.conv(self.pad(x))

    (one,) = Shifted().trace("1 1 L").receptive_field().branches
    assert one.centres == (0, -1)


@pytest.mark.parametrize(
    ("name", "field"),
    [("vgg:vgg16", 212), ("resnet:resnet50", 427), ("inception:inception_v3", 1311)],
)
def test_torchs_networks_against_araujos_table(
    example: Callable[..., Any], name: str, field: int
) -> None:
    """torchvision's ResNet strides in the first unit of a stage, so it sees 427, not 483."""
    net = symcnn.from_torch(example(name), "N 3 H W")
    last = net.last_map(2)
    assert last.receptive_field().size == (field, field)


def test_mobilenets_ratio(papers: Any) -> None:
    assert papers.mobilenet_ratio() == 1 / papers.M + 1 / papers.odd**2


def test_mobilenets_multipliers_at_their_values(papers: Any) -> None:
    formula = papers.mobilenet_multipliers()
    alpha, rho = sorted(formula.free_symbols - {papers.odd}, key=str)
    at = {alpha: sympy.Rational(1, 2), rho: sympy.Rational(4, 7), papers.odd: 3}
    separable = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.Conv2d(16, 32, 1, bias=False)
    )
    assert formula.subs(at) == separable.trace("1 16 128 128").macs


def test_efficientnets_compound_scaling(papers: Any) -> None:
    alpha, beta, gamma = symcnn.symbols("alpha beta gamma")
    assert papers.efficientnet_scaling() == alpha * beta**2 * gamma**2


def test_densenets_channels(papers: Any, example: Callable[..., Any]) -> None:
    assert papers.densenet_channels() == [256, 512, 1024, 1024]
    net = symcnn.from_torch(example("densenet:densenet121"), "N 3 H W")
    channels = {node.outputs[0].dims[1] for node in net.nodes if node.op == "cat"}
    assert set(papers.densenet_channels()) <= channels


def test_densenets_parameters_for_any_depth_and_growth(papers: Any) -> None:
    net = papers.densenet_block()
    for depth, growth in product((1, 2, 5), (4, 12)):
        layers = [papers.DenseLayer(16 + j * growth, growth) for j in range(depth)]
        unrolled = nn.Sequential(*layers).trace("1 16 8 8")
        at = {symcnn.C: 16, papers.n: depth, papers.g: growth, symcnn.N: 1, H: 8, symcnn.W: 8}
        assert (net.params.subs(at), net.macs.subs(at)) == (unrolled.params, unrolled.macs)


def test_resnets_table(papers: Any) -> None:
    for _, paper, ours in papers.resnet_macs():
        assert abs(paper - ours) < 0.07


def test_vggs_table(papers: Any) -> None:
    for _, paper, ours in papers.vgg_params():
        assert abs(paper - ours) < 0.5


def test_unets_572_to_388(papers: Any) -> None:
    assert papers.unet_sizes()["up0"].subs(H, 572) == 388
    formula = papers.unet_formula()
    depth, h = sorted(formula.free_symbols, key=str, reverse=True)
    assert formula.subs({depth: 4, h: 32}) == 388
    with torch.device("meta"):
        theirs = symcnn.from_torch(load_example("unet").unet_valid().eval(), "N 1 H W")
    assert theirs.shape_at(N=1, H=572, W=572)[2:] == (388, 388)


def test_closed_forms_take_under_two_seconds_each(papers: Any) -> None:
    for formula in (papers.densenet_block, papers.unet_formula, papers.resnet_macs):
        start = time.perf_counter()
        formula()
        assert time.perf_counter() - start < 2
