"""Limits of costs that do not grow as they stand: what the cost at a size says, is within."""

from typing import Any

import pytest
import torch
from torch import nn as tnn
from torch.nn import functional as F

import symcnn
from symcnn.errors import InvalidInput, NoSolution


class IfNeeded(tnn.Module):
    """Pads to a multiple of four, where the image is none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = tnn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        if h % 4 or w % 4:
            x = F.pad(x, (0, -w % 4, 0, -h % 4))
        result: torch.Tensor = self.conv(x)
        return result


class Positions(tnn.Module):
    """A product of two tensors, place by place: copied where the batch is more than one."""

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bhkn,bkvn->bhvn", q, k)


def figure(net: Any, what: str, **sizes: int) -> int | None:
    try:
        cost = net.cost("flops" if what == "flops" else "macs").at(**sizes)
    except InvalidInput:
        return None
    return int(cost.total if what == "flops" else getattr(cost, what))


@pytest.mark.parametrize("what", ["peak", "activations", "saved"])
def test_a_limit_of_what_is_padded_if_needed_is_decided_case_by_case(what: str) -> None:
    """It was Undecidable: the copy is made at some rests only."""
    net: Any = symcnn.from_torch(IfNeeded(), "N 3 H W")
    for limit in (2000, 5000, 9000):
        found = net.solve(**{what: limit}, N=1)
        for h in range(1, 18):
            for w in range(1, 18):
                cost = figure(net, what, N=1, H=h, W=w)
                assert ((h, w) in found) == (cost is not None and cost <= limit)


def test_what_is_padded_if_needed_names_its_cases_and_its_largest_member() -> None:
    found = symcnn.from_torch(IfNeeded(), "N 3 H W").solve(peak=5000, N=1)
    text = str(found)
    assert text.count(" or ") == 2
    assert text.count("bytes alive at once <= 5,000") == 3
    h, w = found.largest()
    assert (h, w) in found
    assert (h, w + 4) not in found


@pytest.mark.parametrize("what", ["peak", "activations", "saved", "flops"])
def test_a_limit_is_that_of_the_sizes_that_are_given(what: str) -> None:
    """A batch of one is not copied; the limit was that of larger batches."""
    net: Any = symcnn.from_torch(Positions(), "N 4 4 L", "N 4 2 L")
    for limit in (100, 2000, 5000):
        for n in (1, 2):
            try:
                found = net.solve(**{what: limit}, N=n)
            except NoSolution:
                continue
            for length in range(1, 40):
                cost = figure(net, what, N=n, L=length)
                assert (length in found) == (cost is not None and cost <= limit)


def test_the_largest_batch_is_one_where_only_one_fits() -> None:
    """NoSolution was raised: a batch of one was said to need what is copied in larger ones."""
    net = symcnn.from_torch(Positions(), "N 4 4 L", "N 4 2 L")
    one, two = (figure(net, "peak", N=n, L=30) for n in (1, 2))
    assert one is not None
    assert two is not None
    assert net.largest_batch(one, L=30) == net.largest_batch(two - 1, L=30) == 1
    assert net.largest_batch(two, L=30) == 2


def test_a_bound_that_several_moments_share_is_said_once() -> None:
    net = symcnn.nn.Sequential(
        symcnn.nn.Conv2d(3, 8, 3, padding=1),
        symcnn.nn.MaxPool2d(2, ceil_mode=True),
        symcnn.nn.Conv2d(8, 99, 1),
    ).trace("N 3 H W")
    assert str(net.solve(peak="1 MiB", N=1)).count("bytes alive at once") == 1
