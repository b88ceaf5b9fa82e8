"""What an Undecidable error says to do, done: then there is an answer."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn import symbols
from symcnn.algebra.size import Size, Symbol
from symcnn.sets.condition import Condition
from symcnn.sets.inputset import input_set
from tests.corpus.forwards import Function

n = symbols("n")
i = symbols("i")


def traced(module: Callable[..., Any], spec: str = "N 3 H W") -> Any:
    return symcnn.from_torch(module if isinstance(module, nn.Module) else Function(module), spec)


def many_pads(x: torch.Tensor) -> torch.Tensor:
    h = x.shape[2]
    for multiple in range(2, 40):
        x = F.pad(x, (0, 0, 0, h % multiple))
    return x


def pads_of_pads(x: torch.Tensor) -> torch.Tensor:
    for multiple in range(2, 40):
        x = F.pad(x, (0, 0, 0, x.shape[2] % multiple))
    return x


def each_image(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([image * 2 for image in x])


def places_by_a_remainder(x: torch.Tensor) -> torch.Tensor:
    h, w = x.shape[2:]
    return F.max_pool1d(x.flatten(2)[:, :, : h * w % 1009], 2)


def pool_by_parity(x: torch.Tensor) -> torch.Tensor:
    if x.shape[2] % 2:
        return F.max_pool1d(x, 3, 1)
    return F.max_pool1d(x, 5, 1)


def output_at(height: int) -> int:
    return height + sum(height % multiple for multiple in range(2, 40))


def flattened(**sizes: int) -> Any:
    wide = traced(nn.Flatten(), "N C H W L")
    return wide.solve(flatten=2**20 * 3**9 * 5**6 * 7**5, **sizes)


def peak(blocks: Any) -> Any:
    block = symcnn.nn.Conv2d(3, 3, 3, padding=1)
    return symcnn.nn.Repeat(block, blocks).trace("N 3 H W").cost().peak


def budget(**sizes: int) -> Any:
    net: Any = symcnn.nn.Conv2d(3, 8, 3).trace("N 3 H W")
    with symcnn.steps(10**5):
        return net.solve(macs=10**9, **sizes)


def corners() -> Any:
    with symcnn.steps(10**5):
        return budget().frontier()


def field(module: nn.Module) -> Any:
    return traced(module).receptive_field()


upsampled = nn.Upsample(scale_factor=1.15)
gaps = nn.ConvTranspose2d(3, 3, 1, stride=2)

#: A question that is refused, the words of its cure, and what these words say.
CASES: dict[str, tuple[Callable[[], Any], str, Callable[[], Any]]] = {
    "a flatten target of too many divisors": (
        lambda: flattened(C=1, L=1),
        "give more of the sizes numbers",
        lambda: flattened(C=1, L=1, H=64),
    ),
    "a frontier of too many corners": (
        corners,
        "give a size a number or a range (N=1, H=224)",
        lambda: budget(N=1, H=224).largest(),
    ),
    "remainders by too many numbers": (
        lambda: traced(many_pads).solve(output=(17, 7)),
        'give the size a number where the shape is said: "N 3 224 W"',
        lambda: traced(many_pads, "N 3 224 W").solve(output=(output_at(224), 7)),
    ),
    "floors in one another": (
        lambda: traced(pads_of_pads),
        'give the size a number where the shape is said: "N 3 224 W"',
        lambda: traced(pads_of_pads, "N 3 224 W"),
    ),
    "a scale that float32 rounds": (
        lambda: field(upsampled).interval(0),
        "ask at a size: .at(H=..., W=...)",
        lambda: field(upsampled).at(H=70, W=70).interval(69),
    ),
    "places between taps": (
        lambda: field(gaps).interval(i),
        "ask at a size: .at(H=..., W=...)",
        lambda: field(gaps).at(H=4, W=4).interval(2),
    ),
    "memory of blocks without a number": (
        lambda: peak(n),
        "give the number of blocks as a number",
        lambda: peak(5),
    ),
    "a batch that python goes through": (
        lambda: traced(each_image).largest_batch("1 MiB", H=4, W=4),
        "give N a range: net.solve(..., N=...)",
        lambda: traced(each_image).solve(peak="1 MiB", H=4, W=4, N=range(1, 9)),
    ),
    "a remainder of a product": (
        lambda: traced(places_by_a_remainder).valid_inputs(),
        "ask at single sizes with shape_at",
        lambda: traced(places_by_a_remainder).shape_at(N=1, H=8, W=9),
    ),
    "a stream of branches that run otherwise": (
        lambda: traced(pool_by_parity, "N 3 L").stream(axis="L"),
        "ask a branch: net.branches[0].network.stream()",
        lambda: traced(pool_by_parity, "N 3 L").branches[0].network.stream(axis="L"),
    ),
    "a size that may be 0": (
        lambda: input_set(["m"], [Condition(Symbol("m", 0).size(), ">=", 3)]),
        'declare it positive: symcnn.symbols("m")',
        lambda: input_set(["m"], [Condition(Size.symbol("m"), ">=", 3)]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_cure_that_an_undecidable_question_names_works(name: str) -> None:
    refused, words, cured = CASES[name]
    with pytest.raises(symcnn.Undecidable) as refusal:
        refused()
    assert words in refusal.value.cure
    assert cured() is not None


def test_the_steps_that_a_refusal_names_are_enough() -> None:
    net = symcnn.nn.Conv2d(3, 8, 3).trace("3 H W")
    with symcnn.steps(10**5), pytest.raises(symcnn.Undecidable) as refusal:
        net.solve(macs=10**7).frontier()
    named = re.search(r"with symcnn\.steps\((\d+)\)", refusal.value.cure)
    assert named
    with symcnn.steps(int(named[1])):
        assert len(net.solve(macs=10**7).frontier()) > 200
