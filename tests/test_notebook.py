"""What a notebook shows: every public answer as a page of its own, plain HTML without a script."""

import re
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
import sympy
import torch

import symcnn
from symcnn import H, W, nn
from symcnn.algebra.mathml import math
from symcnn.shown import Rows, Shown, cell, table
from symcnn.words.table import architecture

STEM = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1))


class Halves(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.max_pool2d(x, 2) if x.shape[2] > 64 else x


def net() -> symcnn.Network:
    return STEM.trace("N 3 H W")


def strict() -> symcnn.Network:
    return nn.Conv2d(3, 8, 7).trace("N 3 H W")


def branched() -> symcnn.Network:
    return symcnn.from_torch(Halves(), "N 3 H W")


def line() -> symcnn.Network:
    return nn.Conv1d(1, 8, 3, stride=2).trace("N 1 L")


#: Every public answer, and how it is asked for.
ANSWERS = {
    "network": net,
    "branched": branched,
    "branches": lambda: branched().branches,
    "branch": lambda: branched().branches[0],
    "cases": lambda: branched().cost().other,
    "shape": lambda: net().output_shape,
    "shape of cases": lambda: branched().output_shape,
    "node": lambda: net().nodes[0],
    "tensor": lambda: symcnn.tensor("N 3 H W"),
    "summary": lambda: net().summary(at={"N": 1, "H": 32, "W": 32}),
    "summary as a tree": lambda: net().summary(depth=1, columns=("output", "field", "memory")),
    "domain": lambda: net().valid_inputs(),
    "solution": lambda: net().solve(output=(7, 7)),
    "relation": lambda: net().solve(output=("h", "w")),
    "budget": lambda: net().solve(macs=1e9),
    "system": lambda: symcnn.solve("H >= 7"),
    "field": lambda: net().receptive_field(),
    "field at": lambda: net().receptive_field().at(H=32, W=32),
    "fields of branches": lambda: branched().receptive_field(),
    "cost": lambda: net().cost(),
    "cost at": lambda: net().cost().at(N=1, H=32, W=32),
    "formula": lambda: net().cost().under("H % 4 == 0").total,
    "roofline": lambda: net().cost().at(N=1, H=32, W=32).roofline(1e12, 1e9),
    "comparison": lambda: symcnn.compare(net(), net()),
    "reasons": lambda: strict().reasons(),
    "reason": lambda: strict().reasons()[0],
    "diagnosis": lambda: strict().diagnose(H=3, W=3),
    "nearest": lambda: strict().nearest_valid(H=3, W=3),
    "fixes": lambda: net().fix(),
    "refits": lambda: nn.Conv2d(3, 8, 3).trace("N 3 H W").fix(output=("H", "W")),
    "derivation": lambda: net().explain(),
    "derivation of a solution": lambda: net().explain(output=(7, 7)),
    "proof": lambda: net().prove(),
    "claims": lambda: symcnn.check(net(), ["size = (x - k + 2*p)/s + 1"]),
    "validation": lambda: symcnn.from_torch(Halves(), "N 3 H W").validate(Halves(), samples=4),
    "layers": lambda: symcnn.solve_layer(224, 112, kernel_size=3),
    "layer": lambda: symcnn.solve_layer(224, 112, kernel_size=3)[0],
    "stack": lambda: symcnn.stack_for(31),
    "tiles": lambda: net().tiles(H=500, W=500, tile=128),
    "shards": lambda: net().shards(H=512, parts=4),
    "stream": lambda: line().stream(axis="L"),
    "agreement": lambda: symcnn.agree(net(), net()),
    "pools": lambda: nn.AdaptiveAvgPool2d(1).trace("N 3 H W").plain_pools(),
    "spec": lambda: net().spec("torch.export"),
    "buckets": lambda: symcnn.buckets(net(), {(30, 40): 2, (64, 64): 1}, k=1),
    "architecture": lambda: architecture(net()),
    "effective field": lambda: symcnn.effective_receptive_field(
        torch.nn.Conv2d(3, 8, 3), "N 3 H W", samples=1, H=9, W=9
    ),
}


class Page(HTMLParser):
    """Counts what is open, and keeps the tags."""

    VOID = frozenset({"br"})

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module", params=ANSWERS)
def answer(request: pytest.FixtureRequest) -> Any:
    return ANSWERS[request.param]()


def test_every_answer_is_a_well_formed_page_without_a_script(answer: Any) -> None:
    page = Page(answer._repr_html_())
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe"}


def test_a_page_has_no_colour_of_its_own_and_asks_no_network(answer: Any) -> None:
    page = answer._repr_html_()
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b|rgb\(|https?://|url\(", page)


def test_the_line_in_a_console_is_short(answer: Any) -> None:
    own = 140 * max(1, len(answer) if isinstance(answer, (list, tuple)) else 1)
    several = isinstance(answer, str) or "\n" in repr(answer)  # a text, on purpose
    assert several or len(repr(answer)) <= max(own, len(str(answer)))


def test_no_answer_shows_the_parts_that_it_is_made_of(answer: Any) -> None:
    if is_dataclass(answer):
        names = [f.name for f in fields(answer)]
        assert f"({names[0]}=" not in repr(answer)


def test_sizes_and_conditions_are_typeset() -> None:
    assert math(net().output_shape) in net()._repr_html_()
    solution = net().solve(output=(7, 7))._repr_html_()
    assert "<mo>\N{LESS-THAN OR EQUAL TO}</mo><mi>H</mi>" in solution


def test_a_long_text_and_a_long_table_fold() -> None:
    class Long(Shown):
        def __str__(self) -> str:
            return "\n".join(map(str, range(100)))

    assert "<summary>90 more lines</summary>" in Long()._repr_html_()
    assert "<summary>76 more rows</summary>" in table(("n",), [(n,) for n in range(100)])
    assert "more rows" not in table(("n",), [(n,) for n in range(28)])


def test_text_of_a_network_is_no_markup() -> None:
    named = nn.Sequential({"<b>": nn.Conv2d(3, 8, 3)}).trace("N 3 H W")
    assert "<b>" not in named._repr_html_().replace("<b></b>", "")
    assert cell("<script>") == "&lt;script&gt;"


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (H, "<mi>H</mi>"),
        (12345, "<mn>12,345</mn>"),
        (-3, "<mrow><mo>\N{MINUS SIGN}</mo><mn>3</mn></mrow>"),
        (H - 3, "\N{MINUS SIGN}</mo><mn>3</mn></mrow>"),
        ((H - 5) // 2 + 1, "<mo>\N{LEFT FLOOR}</mo><mrow><mo>(</mo><mrow><mi>H</mi>"),
        (H**2, "<msup><mi>H</mi><mn>2</mn></msup>"),
        (symcnn.symbols("h_in"), "<msub><mi>h</mi><mtext>in</mtext></msub>"),
        (symcnn.symbols("h1"), "<msub><mi>h</mi><mtext>1</mtext></msub>"),
        (sympy.Max(H, W), "<mi>max</mi>"),
        (sympy.Eq(sympy.Mod(H, 16), 0), "<mi>mod</mi>"),
        (sympy.Rational(3, 4), "<mfrac><mn>3</mn><mn>4</mn></mfrac>"),
        ((3,), "<mo>(</mo><mn>3</mn><mo>,</mo><mo>)</mo>"),
        (sympy.sqrt(H), "<mi>H</mi>"),
    ],
)
def test_formulas_as_mathml(value: Any, content: str) -> None:
    assert content in math(value)


def test_two_bounds_of_a_size_are_a_chain() -> None:
    condition = sympy.And(H >= 3, H <= 7, sympy.Eq(16 * H - 9 * W, 0))
    text = re.sub(r"<[^>]+>", "", math(condition))
    assert text == "3\N{LESS-THAN OR EQUAL TO}H\N{LESS-THAN OR EQUAL TO}7and16H=9W"


def test_what_a_relation_asks_is_said_of_the_input() -> None:
    text = re.sub(r"<[^>]+>", "", math(net().solve(output=("h", "w")))).replace(" ", "")
    least, most = "4h\N{MINUS SIGN}3", "4h"
    sign = "\N{LESS-THAN OR EQUAL TO}"
    assert f"{least}{sign}H{sign}{most}" in text


def test_no_answers_are_shown_as_none() -> None:
    net = nn.Conv2d(3, 4, 3).trace("N 3 H W")
    assert str(net.fix()) == str(net.plain_pools()) == "none"


def test_a_list_of_answers_is_a_table_of_their_fields() -> None:
    page = Rows(strict().reasons())._repr_html_()
    assert "<th>node</th><th>requirement</th>" in page
