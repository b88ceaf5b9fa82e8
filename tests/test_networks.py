"""Whole networks against torch and against published figures: the main job, end to end."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

import symcnn
from symcnn import H, InvalidInput, W

from .corpus.examples import NETWORKS

FACTS = json.loads((Path(__file__).parent / "facts" / "networks.json").read_text())
#: So many sizes of each are tried; in the long run, thousands.
SIZES = max(24, settings().max_examples // 10)
DEEP = (
    "inception_v3", "densenet121", "googlenet", "mobilenet_v2", "resnet50", "resnet101", "resnet152"
)  # fmt: skip


@pytest.fixture(scope="module")
def traced(example: Callable[..., Any]) -> Callable[..., Any]:
    cache = {}

    def trace(name: str) -> Any:
        if name not in cache:
            module = example(NETWORKS[name][0])
            cache[name] = module, symcnn.from_torch(module, f"N {NETWORKS[name][1]} H W")
        return cache[name]

    return trace


def torch_shape(module: Any, channels: Any, n: Any, h: Any, w: Any) -> Any:
    try:
        with torch.no_grad():
            return tuple(module(torch.empty(n, channels, h, w, device="meta")).shape)
    except Exception:
        return None


def our_shape(net: Any, n: Any, h: Any, w: Any) -> Any:
    try:
        return net.shape_at(N=n, H=h, W=w)
    except InvalidInput as error:
        return error


@pytest.mark.parametrize("name", NETWORKS)
def test_random_sizes_give_torchs_shape_or_both_raise(name: str, traced: Any) -> None:
    module, net = traced(name)
    draw = random.Random(name)
    domain = net.valid_inputs()
    least = domain.smallest()
    for i in range(SIZES // 2 if name in DEEP else SIZES):
        near = [max(1, s + draw.randint(-3, 40)) for s in least]
        h, w = near if i % 2 else (draw.randint(1, 300), draw.randint(1, 300))
        n = draw.choice((1, 2))
        ours, theirs = our_shape(net, n, h, w), torch_shape(module, NETWORKS[name][1], n, h, w)
        assert ((h, w) in domain) == isinstance(ours, tuple)
        if isinstance(ours, InvalidInput) and theirs is not None:
            assert "come back as a batch of" in str(ours)  # torch folds the batch without a word
            assert f"a batch of {theirs[0]}" in str(ours)
            assert theirs[0] != n
        else:
            assert (ours if isinstance(ours, tuple) else None) == theirs, (n, h, w)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_macs_are_torchs(name: str, traced: Any) -> None:
    module, net = traced(name)
    assert net.params == sum(p.numel() for p in module.parameters())
    facts = FACTS[name]
    assert net.params == facts["params"]
    if "macs" in facts and "input" in facts:
        _, h, w = facts["input"]
        values = {symbol: {"N": 1, "H": h, "W": w}[symbol.name] for symbol in net.macs.free_symbols}
        if (h, w) in net.valid_inputs():
            assert net.macs.subs(values) == facts["macs"]
            assert net.flops.subs(values) == 2 * facts["macs"]


@pytest.mark.parametrize("name", [n for n in FACTS if "smallest_valid_model_input" in FACTS[n]])
def test_smallest_valid_input(name: Any, traced: Any) -> None:
    _, net = traced(name)
    least = FACTS[name]["smallest_valid_model_input"]
    assert net.valid_inputs().smallest() == (least, least)


@pytest.mark.parametrize("name", [n for n in FACTS if "inputs_giving_7x7_features" in FACTS[n]])
def test_inputs_that_give_the_7x7_map(name: Any, traced: Any) -> None:
    _, net = traced(name)
    low, high = FACTS[name]["inputs_giving_7x7_features"]
    at = "layer4" if name.startswith("resnet") else "features"
    assert str(net.solve(output=(7, 7), at=at)) == (
        f"{low} <= H <= {high} and {low} <= W <= {high}"
    )


def test_resnet50_in_one_formula(traced: Any) -> None:
    _, net = traced("resnet50")
    final = net.at("layer4")
    assert str(final.output_shape) == "(N, 2048, (H + 31)//32, (W + 31)//32)"
    assert final.output_shape[2] == symcnn.FloorDiv(H + 31, 32)
    assert final.output_shape[3] == symcnn.FloorDiv(W + 31, 32)


def test_solve_on_a_classifier_means_its_last_map_and_says_so(traced: Any) -> None:
    _, net = traced("resnet50")
    found = net.solve(output=(7, 7))
    assert found.at == "layer4"
    assert str(found) == "193 <= H <= 224 and 193 <= W <= 224"


# the figures of the articles


@pytest.mark.parametrize(
    ("name", "features", "low", "high", "least"),
    [
        ("article_a", 12544, 259, 290, 67),
        ("article_a", 9216, 227, 258, 67),
        ("article_a_halving", 12544, 231, 262, 39),
        ("article_a_halving", 9216, 199, 230, 39),
    ],
)
def test_article_a_which_squares_flatten_to_what(
    name: str, features: int, low: int, high: int, least: int, traced: Any
) -> None:
    _, net = traced(name)
    squares = net.solve(flatten=features, square=True)
    assert list(squares) == [(x, x) for x in range(low, high + 1)]
    assert net.at("pool3").valid_inputs().smallest() == (least, least)


def test_article_a_step_by_step(traced: Any) -> None:
    _, net = traced("article_a")
    sizes = {
        name: net.at(name).shape_at(N=1, H=227, W=227)[2:]
        for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool3")
    }
    truth = (55, 27, 27, 13, 13, 13, 13, 6)
    assert sizes == {n: (t, t) for n, t in zip(sizes, truth, strict=True)}


def test_article_a_12544_is_impossible_at_227(traced: Any) -> None:
    _, net = traced("article_a")
    assert (227, 227) not in net.valid_inputs()
    with pytest.raises(InvalidInput, match=r"9216 != 12544") as error:
        net.shape_at(N=1, H=227, W=227)
    assert "fc" in str(error.value)
    assert "H=259, W=259" in str(error.value)


def test_article_b_parameters_and_maps_per_module(traced: Any) -> None:
    _, net = traced("article_b")
    nodes = {n.name: n for n in net.nodes}
    names = ("conv1", "act1", "pool1", "conv2", "act2", "pool2", "fc1", "act3", "fc2")
    assert [nodes[n].params for n in names] == [448, 0, 0, 1160, 0, 0, 16416, 0, 66]
    maps = [net.at(n).shape_at(N=1, H=32, W=32)[1:] for n in names]
    assert maps == [
        (16, 32, 32),
        (16, 32, 32),
        (16, 16, 16),
        (8, 16, 16),
        (8, 16, 16),
        (8, 8, 8),
        (32,),
        (32,),
        (2,),
    ]


@pytest.mark.parametrize(
    ("name", "low", "high", "map_size"),
    [("article_b", 32, 35, 8), ("article_c", 28, 31, 4), ("article_d", 32, 39, 4)],
)
def test_articles_b_c_d_which_squares_they_take(
    name: str, low: int, high: int, map_size: int, traced: Any
) -> None:
    _, net = traced(name)
    assert list(net.valid_inputs().square()) == [(x, x) for x in range(low, high + 1)]
    found = net.solve(output=(map_size, map_size))
    assert str(found) == f"{low} <= H <= {high} and {low} <= W <= {high}"


def test_article_c_smallest_input_of_the_convolutions(traced: Any) -> None:
    _, net = traced("article_c")
    assert net.at("max_pool2d:2").valid_inputs().smallest() == (16, 16)


@pytest.mark.parametrize(("n", "size", "batch"), [(1, 64, 4), (8, 16, 2)])
def test_article_b_would_fold_images_into_the_batch(
    n: int, size: int, batch: int, traced: Any
) -> None:
    _, net = traced("article_b")
    assert (size, size) not in net.valid_inputs()
    with pytest.raises(InvalidInput, match=f"would come back as a batch of {batch}"):
        net.shape_at(N=n, H=size, W=size)


def test_unet_says_which_multiple_it_needs_and_who_asks(traced: Any) -> None:
    _, net = traced("unet")
    assert str(net.valid_inputs()) == "H % 16 == 0 and H >= 16 and W % 16 == 0 and W >= 16"
    deepest = net.reasons()[0]
    assert deepest.joins == ("down4", "up4")
    assert str(deepest.requirement) == "2*(H//16) == H//8"
    with pytest.raises(InvalidInput, match=r"cat:\d .*cannot take"):
        net.shape_at(N=1, H=100, W=96)


def test_unet_valid_572_gives_388(traced: Any) -> None:
    _, net = traced("unet_valid")
    assert net.shape_at(N=1, H=572, W=572) == (1, 2, 388, 388)
    assert str(net.valid_inputs()) == "H >= 188 and W >= 188"
