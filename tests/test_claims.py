"""Claims: other people's figures and formulas; and the verdicts on five articles."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn import BadSpec, C, InvalidInput, nn
from symcnn.algebra.size import Size, evaluate
from symcnn.sets.grammar import parse_claim, parse_formula, parse_value

from .conftest import load_example, sure

AT = {"H": 227, "W": 227}


@pytest.fixture(scope="module")
def net() -> Callable[..., Any]:
    def traced(name: str, spec: str = "N 3 H W") -> symcnn.Network:
        file, factory = name.split(":")
        return symcnn.from_torch(getattr(load_example(file), factory)().eval(), spec)

    return traced


# The grammar ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("(H - 11)//4 + 1", lambda h, w: (h - 11) // 4 + 1),
        ("-H*W + 2**3 - (H % 7)", lambda h, w: -h * w + 8 - h % 7),
        ("floor((H + 1)/2) * ceil(W/3)", lambda h, w: (h + 1) // 2 * -(-w // 3)),
        ("max(H, W, 7) - min(H, 3)", lambda h, w: max(h, w, 7) - min(h, 3)),
        ("2*H/2", lambda h, w: h),
        ("floor(floor(H/2)/2)", lambda h, w: h // 4),
        ("+H - -W", lambda h, w: h + w),
        ("2**2**2 // 3", lambda h, w: 5),
    ],
)
@given(h=st.integers(1, 300), w=st.integers(1, 300))
def test_a_formula_means_what_python_means(
    text: str, python: Callable[..., Any], h: int, w: int
) -> None:
    num, den = parse_formula(text)
    assert evaluate(num, {"H": h, "W": w}) == python(h, w) * den


def test_a_missing_floor_stays_a_fraction() -> None:
    num, den = parse_formula("(H - 11)/4 + 1")
    assert (num, den) == (Size.symbol("H") - 7, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "H +",
        "(H",
        "H)",
        "H H",
        "1/0",
        "H.real",
        "__import__('os')",
        "H**(1/2)",
        "2**999",
        "sin(H)",
        "floor(H, 2)",
        "lambda: 0",
        "H[0]",
        "1e9",
        "9" * 40,
        "H; W",
        "'a'",
    ],
)
def test_text_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(BadSpec):
        parse_formula(text)


@given(st.text(alphabet="HW0123456789+-*/%(), .x_floormaxin", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_value(text)
    except BadSpec:
        return


@pytest.mark.parametrize(
    ("text", "quantity", "where"),
    [
        ("conv1 = 55", "", "conv1"),
        ("params=7", "params", ""),
        ("params(layer1.0) == 7", "params", "layer1.0"),
        ("flatten = 9216", "flatten", ""),
    ],
)
def test_a_claim_names_a_quantity_and_a_part(text: str, quantity: str, where: str) -> None:
    claim = parse_claim(text)
    assert (claim.quantity, claim.where) == (quantity, where)


@pytest.mark.parametrize("text", ["conv1", "= 5", "colour(conv1) = 5", "conv1 > 5", 5, "conv1 ="])
def test_what_is_no_claim_is_refused(text: str | int) -> None:
    with pytest.raises(BadSpec):
        symcnn.check(nn.Conv2d(3, 8, 3).trace("N 3 H W"), [text])  # type: ignore[list-item]


# Verdicts ------------------------------------------------------------------------------------


def chain() -> symcnn.Network:
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(3, 8, 5, stride=2),
            "pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(8, 4, 3, padding=1),
            "flatten": nn.Flatten(),
        }
    ).trace("N 3 H W")


def test_right_figures_are_right() -> None:
    report = symcnn.check(
        chain(),
        {
            "conv1": 14,
            "shape(pool1)": (8, 7, 7),
            "conv2": "7x7",
            "params": 8 * 76 + 4 * 73,
            "params(conv1)": 608,
            "macs(conv1)": 8 * 75 * 14 * 14,
            "flops(conv1)": 16 * 75 * 14 * 14,
            "flatten": 196,
            "channels(conv2)": 4,
            "field(conv2)": 15,
            "stride(conv2)": 4,
            "features(conv2)": 196,
        },
        at={"H": 32, "W": 32},
    )
    assert report, str(report)


def test_a_wrong_figure_comes_with_the_true_one_the_step_and_what_would_make_it_so() -> None:
    verdict = symcnn.check(chain(), ["conv1 = 15"], at={"H": 32, "W": 32}).first
    assert sure(verdict).true == "14"
    assert sure(verdict).why == "floor((32 - 5)/2) + 1 = 14"
    assert sure(verdict).holds == "true for 33 <= H <= 34 and 33 <= W <= 34"


def test_what_follows_from_a_wrong_figure_says_so() -> None:
    claims = {"conv1": 16, "pool1": 8, "conv2": 9}
    report = symcnn.check(chain(), claims, at={"H": 32, "W": 32})
    assert report["pool1"].follows == "conv1 = 16"
    assert report["conv2"].follows == ""
    assert report.first is report["conv1"]


def test_a_formula_without_its_floor_is_right_where_nothing_is_lost() -> None:
    report = symcnn.check(chain(), {"size(conv1)": "(x - k + 2*p)/s + 1"})
    assert not report
    assert sure(report.first).holds == "true for H % 2 == 1 and H >= 5 and W % 2 == 1 and W >= 5"


def test_a_right_formula_is_right_for_all_sizes() -> None:
    claims = {
        "size(conv1)": "floor((x - k + 2*p)/s) + 1",
        "params(conv1)": "(c_in*k*k + 1)*c_out",
        "macs(conv1)": "N*c_in*k*k*h_out*w_out*c_out",
        "flops(conv1)": "2*N*c_in*k*k*h_out*w_out*c_out",
    }
    report = symcnn.check(chain(), claims)
    assert report, str(report)


def test_a_formula_that_differs_nowhere_in_the_domain_is_right() -> None:
    net = nn.Conv2d(3, 8, 3, stride=2, padding=1).trace("N 3 H W")
    assert symcnn.check(net, {"size": "(x + 1)//2"})
    assert not symcnn.check(net, {"size": "x//2"})


def test_a_formula_in_symbolic_hyperparameters_is_compared_too() -> None:
    k, s = symcnn.symbols("k s")
    net = nn.Conv2d(3, C, k, stride=s).trace("N 3 H W")
    assert symcnn.check(net, {"params": 3 * C * k**2 + C})
    report = symcnn.check(net, {"params": 3 * C * k**2})
    assert "not so at" in sure(report.first).holds


def test_an_unreachable_figure_says_so() -> None:
    verdict = symcnn.check(chain(), ["flatten = 4"], at={"H": 32, "W": 32}).first
    assert sure(verdict).holds.startswith("true for")
    verdict = symcnn.check(chain(), ["flatten = 7"], at={"H": 32, "W": 32}).first
    assert sure(verdict).holds == "true for no input"


def test_a_claim_about_a_node_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadSpec, match="did you mean conv"):
        symcnn.check(chain(), ["conv9 = 7"], at={"H": 32, "W": 32})


@pytest.mark.parametrize(
    ("claims", "at"),
    [
        ("conv1 = 55", None),
        ({"conv1": object()}, None),
        ({"conv1": True}, None),
        ({"shape(conv1)": (1, 2)}, AT),
        ({"size(flatten)": 7}, AT),
        ({"conv1": "Q + 1"}, None),
        ({"conv1": 55}, {"Q": 3}),
        ([5], None),
    ],
)
def test_bad_claims_are_refused(claims: Any, at: Any) -> None:
    with pytest.raises((BadSpec, InvalidInput)):
        symcnn.check(chain(), claims, at=at)


@given(
    h=st.integers(11, 60),
    w=st.integers(11, 60),
    wrong=st.integers(-2, 2),
    layer=st.sampled_from(["conv1", "pool1", "conv2"]),
)
def test_a_figure_is_right_exactly_if_it_is_the_shape(
    h: int, w: int, wrong: int, layer: str
) -> None:
    net = chain()
    shape = net.at(layer).shape_at(N=1, H=h, W=w)
    claim = {f"shape({layer})": (shape[1], shape[2] + wrong, shape[3])}
    assert bool(symcnn.check(net, claims=claim, at={"H": h, "W": w})) == (wrong == 0)


# The five articles ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factory", "sizes"),
    [("article_a", "259 <= H <= 290"), ("article_a_halving", "231 <= H <= 262")],
)
def test_article_a(net: Any, factory: str, sizes: str) -> None:
    claims = {
        "size(conv1)": "(x - k + 2*p)/s + 1",
        "conv1": 55,
        "pool1": 27,
        "conv2": 31,
        "pool2": 15,
        "conv3": 15,
        "conv4": 15,
        "conv5": 15,
        "pool3": 7,
        "flatten": 12544,
    }
    report = symcnn.check(net(f"article_a:{factory}"), claims, at=AT)
    right = [v.claim for v in report if v.right]
    assert right == ["conv1 = 55", "pool1 = 27"]
    assert report["conv2"].why == "27 + 2 + 2 - 5 + 1 = 27"
    assert {v.true for v in report.wrong[2:-2]} == {"13"}
    assert (report["pool3"].true, report["flatten"].true) == ("6", "9216")
    assert report["pool2"].follows == "conv2 = 31"
    assert report["flatten"].follows == "pool3 = 7"
    assert sizes in report["flatten"].holds


def test_article_a_is_right_with_9216(net: Any) -> None:
    assert symcnn.check(net("article_a:article_a_fixed"), {"flatten": 9216, "pool3": 6}, at=AT)
    fixed = net("article_a:article_a_fixed")
    assert fixed.solve(flatten=9216, square=True).describe() == "227 <= H <= 258 and H == W"
    assert fixed.at("pool3").valid_inputs().smallest() == (67, 67)


def test_article_b(net: Any) -> None:
    article = net("article_b:Net")
    claims = {
        "params(conv1)": 448,
        "params(pool1)": 0,
        "params(conv2)": 1160,
        "params(fc1)": 16416,
        "params(fc2)": 66,
        "params": 18090,
        "shape(conv1)": (16, 32, 32),
        "shape(pool1)": (16, 16, 16),
        "shape(conv2)": (8, 16, 16),
        "shape(pool2)": (8, 8, 8),
        "shape(fc1)": (32,),
        "shape(fc2)": (2,),
    }
    assert symcnn.check(article, claims, at={"H": 32, "W": 32})
    with pytest.raises(InvalidInput, match="batch of 4"):
        article.shape_at(N=1, H=64, W=64)


def test_article_c(net: Any) -> None:
    article = net("article_c:Net", "N 1 H W")
    claims = ["conv1 = 24", "max_pool2d:1 = 12", "conv2 = 8", "max_pool2d:2 = 4", "flatten = 320"]
    assert symcnn.check(article, claims, at={"H": 28, "W": 28})
    assert symcnn.check(article, {"size(conv1)": "(x - k)/s + 1"})  # here nothing is lost
    assert article.solve(flatten=320, square=True).describe() == "28 <= H <= 31 and H == W"
    assert article.at("max_pool2d:2").valid_inputs().smallest() == (16, 16)


def test_article_d(net: Any) -> None:
    article = net("article_d:Net")
    claims = {"layer1": 16, "layer2": 8, "layer3": 4, "flatten": 1024, "params": 145578}
    parts = {"params(layer1)": 2432, "params(layer2)": 25632, "params(layer3)": 51264}
    assert symcnn.check(article, claims | parts, at={"H": 32, "W": 32})
    assert article.solve(flatten=1024, square=True).describe() == "32 <= H <= 39 and H == W"


def test_article_e() -> None:
    conv = nn.Conv2d(C, 2 * C, 3, padding=1).trace("N C H W")
    assert symcnn.check(
        conv,
        {
            "params": "(C*3*3 + 1)*2*C",
            "flops": "(C*2*3*3)*H*W*2*C*N",
            "macs": "C*3*3*H*W*2*C*N",
        },
    )
    twice = nn.Sequential(nn.Conv2d(C, C, 3, bias=False), nn.Conv2d(C, C, 3, bias=False))
    once = nn.Conv2d(C, C, 5, bias=False)
    assert symcnn.check(twice.trace("N C H W"), {"field": 5, "params": 18 * C**2})
    assert symcnn.check(once.trace("N C H W"), {"field": 5, "params": 25 * C**2})
    wide = nn.Conv2d(C, C, 3, dilation=3).trace("N C H W")
    assert symcnn.check(wide, {"field": 7})


@pytest.mark.parametrize("at", [{"N": 1}, {"H": 224, "W": 224}])
def test_a_formula_is_meant_for_the_batch_of_at(at: dict[str, int]) -> None:
    net = symcnn.nn.Sequential(symcnn.nn.Conv2d(3, 8, 3, stride=2)).trace("N 3 H W")
    image = "216*((H - 3)//2 + 1)*((W - 3)//2 + 1)"
    assert not symcnn.check(net, [f"macs = {image}"])
    assert symcnn.check(net, [f"macs = {image}"], at=at)
    assert symcnn.check(net, [f"macs = N*{image}"], at=at)
    assert not symcnn.check(net, [f"macs = {image}"], at={"N": 2})
