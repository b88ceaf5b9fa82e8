"""The example networks are what they claim to be: torch alone, against figures known beforehand.

Everything runs on the meta device: shapes without arithmetic.
"""

import json
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .conftest import ROOT, load_example
from .corpus.examples import SOURCES

FIGURES = json.loads((ROOT / "tests/facts/networks.json").read_text())


@cache
def build(name: str) -> nn.Module:
    file, factory = SOURCES[name].split(":")
    module = load_example(file.removesuffix(".py"))
    with torch.device("meta"):
        model: nn.Module = getattr(module, factory)()
    return model.eval()


@torch.no_grad()
def output_shape(name: str, *shape: int) -> tuple[int, ...]:
    return tuple(build(name)(torch.empty(shape, device="meta")).shape)


def accepts(name: str, size: int) -> bool:
    """Whether one square image goes through and comes out as one result."""
    channels = FIGURES[name]["input"][0]
    try:
        return output_shape(name, 1, channels, size, size)[0] == 1
    except RuntimeError:
        return False


@torch.no_grad()
def features_shape(name: str, size: int) -> list[int]:
    """The shape of the last feature map, without the batch."""
    model = build(name)
    shapes: list[list[int]] = []
    features = model.get_submodule("layer4" if name.startswith("resnet") else "features")
    hook = features.register_forward_hook(lambda _module, _args, out: shapes.append([*out.shape]))
    with hook:
        model(torch.empty(1, 3, size, size, device="meta"))
    return shapes[0][1:]


def having(figure: str) -> list[str]:
    return [name for name, figures in FIGURES.items() if figure in figures]


def test_every_network_has_figures() -> None:
    assert SOURCES.keys() == FIGURES.keys()


@pytest.mark.parametrize("name", SOURCES)
def test_params(name: str) -> None:
    assert sum(p.numel() for p in build(name).parameters()) == FIGURES[name]["params"]


@pytest.mark.parametrize("name", SOURCES)
def test_output_and_macs(name: str) -> None:
    figures = FIGURES[name]
    with FlopCounterMode(display=False) as counter:
        assert output_shape(name, 2, *figures["input"]) == (2, *figures["output"])
    assert counter.get_total_flops() == 2 * 2 * figures["macs"]  # 2 FLOPs a MAC, 2 images


@pytest.mark.parametrize("name", having("features_at_input"))
def test_features_at_native_size(name: str) -> None:
    figures = FIGURES[name]
    assert features_shape(name, figures["input"][1]) == figures["features_at_input"]


@pytest.mark.parametrize("name", having("inputs_giving_7x7_features"))
def test_inputs_giving_7x7_features(name: str) -> None:
    first, last = FIGURES[name]["inputs_giving_7x7_features"]
    sides = [features_shape(name, size)[1:] for size in (first - 1, first, last, last + 1)]
    assert sides == [[6, 6], [7, 7], [7, 7], [8, 8]]


@pytest.mark.parametrize("name", having("smallest_valid_model_input"))
def test_smallest_valid_input(name: str) -> None:
    smallest = FIGURES[name]["smallest_valid_model_input"]
    assert accepts(name, smallest)
    if smallest > 1:
        assert not accepts(name, smallest - 1)


@pytest.mark.parametrize("name", having("square_inputs"))
def test_articles_accept_one_range_of_squares(name: str) -> None:
    first, last = FIGURES[name]["square_inputs"]
    around = range(first - 1, last + 2)
    assert [size for size in around if accepts(name, size)] == [*range(first, last + 1)]


@pytest.mark.parametrize("name", ["article_a", "article_a_halving"])
def test_article_a_rejects_its_own_input(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"9216.*12544"):
        output_shape(name, 1, 3, 227, 227)


def test_article_b_mixes_up_the_batch() -> None:
    assert output_shape("article_b", 1, 3, 64, 64) == (4, 2)
    assert output_shape("article_b", 8, 3, 16, 16) == (2, 2)


@pytest.mark.parametrize("size", [24, 32, 40, 48])
def test_padded_unet_wants_multiples_of_16(size: int) -> None:
    assert accepts("unet", size) is (size % 16 == 0)


@pytest.mark.parametrize("size", [189, 190, 195, 203])
def test_valid_unet_crops_odd_sizes_too(size: int) -> None:
    assert accepts("unet_valid", size)
