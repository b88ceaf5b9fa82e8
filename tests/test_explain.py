"""Derivations: every step checked, and short enough to read."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, C, SymcnnError, nn
from symcnn.algebra.size import Size, evaluate
from symcnn.notation.latex import Notation, document
from symcnn.questions.explain import Line, Step, Tree, explain

from .conftest import load_example, sure
from .corpus.latex import compiled

H = Size.symbol("H")


@pytest.fixture(scope="module")
def resnet() -> symcnn.Network:
    with torch.device("meta"):
        return symcnn.from_torch(load_example("resnet").resnet50().eval(), "N 3 H W")


def stem() -> symcnn.Network:
    return nn.Sequential(
        {"conv": nn.Conv2d(3, 64, 7, 2, 3), "relu": nn.ReLU(), "pool": nn.MaxPool2d(3, 2, 1)}
    ).trace("N 3 H W")


# Trees and steps -----------------------------------------------------------------------------


def test_a_tree_keeps_the_form_it_was_written_in() -> None:
    tree = Tree.of("sum", Tree.of("floor", Tree.of("sum", H, 3, 3, -7), 2), 1)
    assert str(tree) == "floor((H + 3 + 3 - 7)/2) + 1"
    assert tree.normal() == (H + 1) // 2
    assert tree.at({"H": 10}) == 5


def test_a_divisor_that_is_a_product_has_brackets() -> None:
    stride = 2 * symcnn.symbols("s")
    chain = nn.Sequential(*[nn.Conv2d(3, 3, 3, stride=stride)] * 4).trace("N 3 H W")
    assert "h1 = floor((H - 3)/(2*s)) + 1" in str(chain.explain("size"))
    assert "/ (16 \\, s^{4})" in chain.to_latex("formulas", floors="inline")


def test_a_step_whose_lines_are_not_equal_is_not_made() -> None:
    line, other = Line(Tree.leaf((H + 1) // 2)), Line(Tree.leaf(H // 2))
    with pytest.raises(SymcnnError, match="is not"):
        Step("here", "h", "window", (line, other))


def test_equal_lines_in_other_normal_forms_are_equal() -> None:
    halves = Tree.of("sum", H // 2, (H + 1) // 2)
    assert Step("here", "h", "rule", (Line(halves), Line(Tree.leaf(H)))).result


# Derivations ---------------------------------------------------------------------------------


def test_a_stem_is_derived_layer_by_layer() -> None:
    assert str(stem().explain("size")).splitlines() == [
        "Size along axis 2 (H)",
        "window law: size = floor((x + left + right - extent)/stride) + 1, "
        "extent = dilation*(kernel - 1) + 1  [torch.nn.Conv2d]",
        "size kept: windows of stride 1 with left + right = extent - 1, pointwise operations, and "
        "views as long as what they are made of, keep x  [docs/laws.md#window]",
        "1. conv (conv2d): window law",
        "   h1 = floor((H + 3 + 3 - 7)/2) + 1    (substitute)",
        "      = floor((H + 1)/2)    (whole numbers leave the floor)",
        "2. relu: size kept",
        "   h2 = floor((H + 1)/2)",
        "3. pool (max_pool2d): window law",
        "   h3 = floor((floor((H + 1)/2) + 1 + 1 - 3)/2) + 1    (substitute)",
        "      = floor((H - 1)/4) + 1    (nested floors)",
        "      = floor((H + 3)/4)    (whole numbers leave the floor)",
        "so the size is floor((H + 3)/4)",
    ]


def test_resnet50_is_derived_to_its_closed_form_and_field(resnet: Any) -> None:
    derivation = resnet.explain()
    assert "the size is floor((H + 31)/32)" in derivation.result
    assert "the receptive field is 427, the effective stride 32" in derivation.result
    steps = [len(part.steps) for part in derivation.parts]
    assert steps == [10, 9]


def test_resnet50s_derivation_fits_on_two_pages(resnet: Any, tmp_path: Path) -> None:
    text = document(resnet.explain().to_latex(), title="ResNet-50")
    assert compiled(tmp_path, text) <= 2


def test_a_document_of_resnet50_compiles(resnet: Any, tmp_path: Path) -> None:
    text = resnet.to_latex("document", at={"N": 1, "H": 224, "W": 224}, depth=1, siunitx=True)
    assert compiled(tmp_path, text) <= 3


@pytest.mark.parametrize("what", ["size", "field", "params", "macs", "domain"])
def test_every_question_has_a_derivation_in_every_form(what: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.MaxPool2d(3)).trace("N 3 H W")
    derivation = net.explain(what)
    assert derivation.steps
    assert derivation.to_markdown().startswith("### ")
    assert derivation.to_html().count("<li>") >= len(derivation.steps)
    assert derivation.to_latex().count(r"\texttt") >= len(derivation.steps)


@pytest.mark.parametrize("siunitx", [False, True])
def test_a_negative_number_is_subtracted_in_every_notation(siunitx: bool) -> None:
    """Counterexample: with siunitx a substitution read ``3 + 3 + -7``."""
    shown = stem().explain("size").to_latex(Notation(siunitx=siunitx))
    assert "+ -" not in shown
    assert r"+ \num{-" not in shown
    assert ("3 - 7" in shown) or (r"\num{3} - \num{7}" in shown)


def test_parameters_add_up(resnet: Any) -> None:
    derivation = resnet.explain("params")
    assert str(derivation.steps[-1].result) == "25557032"
    assert "25557032" in derivation.result


def test_a_solution_is_derived(resnet: Any) -> None:
    derivation = resnet.explain(output=(7, 7))
    assert [str(line) for line in derivation.steps[0].lines] == [
        "floor((H + 31)/32) = 7",
        "H + 31 >= 224 and H + 31 <= 255",
        "H >= 193 and H <= 224",
    ]
    assert "193 <= H <= 224 and 193 <= W <= 224" in derivation.result


def test_a_domain_is_derived() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.MaxPool2d(3)).trace("N 3 H W")
    lines = [str(line) for line in net.explain("domain").steps[0].lines]
    assert lines[0] == "floor((H - 3)/2) >= 3"
    assert lines[-1] == "H >= 9"


def test_symbolic_hyperparameters_are_derived_too() -> None:
    k, s = symcnn.odd("k"), symcnn.symbols("s")
    net = nn.Conv2d(C, C, k, stride=s, padding=(k - 1) / 2).trace("N C H W")
    assert str(net.explain("size").steps[0].result) == "(H - 1)//s + 1"
    assert net.explain("field").result.startswith("the receptive field is k")


def test_a_transposed_convolution_is_derived() -> None:
    net = nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1).trace("N 3 H W")
    assert str(net.explain("size").steps[0].lines[0]) == "2*(H - 1) + 4 - 2"


@pytest.mark.parametrize(("what", "axis"), [("colour", None), ("size", "Q"), ("size", 9)])
def test_bad_questions_are_refused(what: str, axis: str | int | None) -> None:
    with pytest.raises(BadSpec):
        explain(stem(), what, axis=axis)


layers = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)),
    min_size=1,
    max_size=5,
)


def test_rows_with_channels_last_are_derived_without_saying_which_axis() -> None:
    net = nn.Linear(4, 8).trace("N L 4")
    assert str(net.explain("field")) == str(net.explain("field", axis="L"))
    assert str(net.explain("size")) == str(net.explain("size", axis="L"))


@settings(max_examples=60)
@given(stack=layers, size=st.integers(60, 200))
def test_a_random_stack_is_derived_to_its_size_and_field(
    stack: list[tuple[int, int, int, int]], size: int
) -> None:
    net = nn.Sequential(*(nn.Conv1d(1, 1, *hyper) for hyper in stack)).trace("1 1 L")
    try:
        want = net.shape_at(L=size)[-1]
    except SymcnnError:
        return
    derivation = net.explain("size")
    result: Any = derivation.steps[-1].result.content
    assert evaluate(result.normal(), {"L": size}) == want
    field = net.explain("field")
    found = sure(re.search(r"field is (\d+), the effective stride (\d+)", field.result))
    assert (int(found[1]), int(found[2])) == (
        net.receptive_field().size[0],
        net.receptive_field().stride[0],
    )


# Networks of others --------------------------------------------------------------------------


def test_a_size_that_a_concatenation_requires_is_equal_in_the_domain() -> None:
    """DLA, HRNet: half by pooling, and half by a convolution; not equal for all H."""

    class Halves(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = torch.nn.MaxPool2d(2)
            self.conv = torch.nn.Conv2d(3, 3, 3, stride=2, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.conv(x), self.pool(x)], 1)

    text = str(symcnn.from_torch(Halves(), "N 3 H W").explain("size"))
    assert "= floor(H/2)    (required to be as long)" in text
    assert "at cat pool is floor(H/2) long" in text


def test_a_sum_that_may_stretch_names_the_length_of_its_other_branch() -> None:
    """At H of 1 or 2 the one map has a row, the other two: no equality holds in all the domain."""

    class Fused(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.down = torch.nn.Conv2d(4, 4, 3, stride=2, padding=1)
            self.up = torch.nn.Upsample(scale_factor=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            return self.up(self.down(x)) + x

    text = str(symcnn.from_torch(Fused(), "N 3 H W").explain("size"))
    assert "at add stem is floor((H + 1)/2) long\n   h4 = 2*((H + 3)//4)" in text


def test_a_view_back_into_a_map_takes_the_size_of_an_earlier_one() -> None:
    """A view into rows and back: the size is that of the map, and the field that of the layers."""

    class ThereAndBack(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            n, c, h, w = x.shape
            return torch.nn.functional.relu(x.flatten(2).view(n, c, h, w))

    net = symcnn.from_torch(ThereAndBack(), "N 3 H W")
    assert "h2 = floor((H + 1)/2)" in str(net.explain("size"))
    assert "field is 3, the effective stride 2" in net.explain("field").result


def test_a_size_without_a_past_is_its_operations_rule() -> None:
    """Blocks of pixels as one axis and another (CSATv2): no axis of the input is the new one."""

    class Blocks(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, c, h, w = x.shape
            return x.view(n, c * 64, h // 8, w // 8)

    text = str(symcnn.from_torch(Blocks(), "N 3 H W").explain("size"))
    assert "view (view): the operation's rule" in text
    assert "so the size is H/8" in text


def test_a_required_size_is_its_operations_rule_where_the_domain_is_no_exact_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Halves(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            halves = torch.nn.functional.max_pool2d(x, 3, 2, 1), x[:, :, 1::2, 1::2]
            return torch.cat(halves, 1)

    net = symcnn.from_torch(Halves(), "N 3 H W")
    assert "(required to be as long)" in str(net.explain("size"))

    def undecidable(_: Any) -> None:
        raise symcnn.Undecidable("no exact set")

    monkeypatch.setattr(symcnn.Network, "valid_inputs", undecidable)
    text = str(net.explain("size"))
    assert "cat (cat): the operation's rule" in text
    assert text.endswith("so the size is H/2")


def test_of_a_sequence_the_axis_is_derived_that_speaks_of_the_map() -> None:
    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 4, 3, stride=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.conv(x).mean(2).transpose(1, 2)
            return found

    net = symcnn.from_torch(Tokens(), "N 1 H W")
    for axis in (None, "W", 1):
        derived = net.explain("size", axis=axis)
        assert str(derived).startswith("Size along axis 1 (W)")
        assert derived.answer == "the size is floor((W - 1)/2)"
    assert net.explain("size", axis=2).answer == "the size is 4"


def test_a_size_that_the_domain_fixes_by_no_set_is_derived() -> None:
    """The stride is a size that is 1 on the branch: floors by it are in no set."""

    class Pooled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kernel = max(1, round(min(x.shape[2:]) / 256))
            if kernel // 2:
                pads = ((kernel - 1) // 2, kernel // 2) * 2
                x = torch.nn.functional.pad(x, pads, mode="replicate")
            return torch.nn.functional.avg_pool2d(x, kernel)

    net = symcnn.from_torch(Pooled(), "N 3 H W")
    assert "so the size is H" in str(net.explain("size"))


def test_a_pyramid_of_pools_written_by_hand_is_derived() -> None:
    """Kernel, stride and padding are quotients of the size: floors of floors stand in floors."""

    class Pyramid(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled = []
            for k in (1, 2, 4):
                kernel = [-(-n // k) for n in x.shape[2:]]
                pads = [(m * k - n + 1) // 2 for m, n in zip(kernel, x.shape[2:], strict=True)]
                pooled.append(torch.nn.functional.max_pool2d(x, kernel, kernel, pads).flatten(1))
            return torch.cat(pooled, 1)

    stem = torch.nn.Conv2d(3, 8, 3, 2)
    net = symcnn.from_torch(
        torch.nn.Sequential(stem, Pyramid(), torch.nn.Linear(168, 5)), "N 3 H W"
    )
    assert net.shape_at(N=1, H=64, W=70) == (1, 5)
    assert "max_pool2d:3" in str(net.explain())
