"""What only grows with a size is a branch for each of its steps: logarithms, lengths in bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import symcnn
from symcnn.frontends.torch.stairs import tread


class Forward(torch.nn.Module):
    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(x, x.shape[2])


def pooled(x: torch.Tensor, times: int) -> torch.Tensor:
    for _ in range(times):
        x = F.max_pool1d(x, 2)
    return x


def of_powers(x: torch.Tensor, h: int) -> torch.Tensor:
    if not math.log2(h).is_integer():
        raise ValueError("a power of two")
    return x


def of_powers_by_bits(x: torch.Tensor, h: int) -> torch.Tensor:
    if h & (h - 1):
        raise ValueError("a power of two")
    return x


STAIRS: dict[str, Callable[..., Any]] = {
    "levels": lambda x, h: pooled(x, int(math.log2(h)) - 2),
    "numpy": lambda x, h: pooled(x, int(np.log2(h))),
    "numpy, rounded and cast": lambda x, h: (
        x[..., : 3 * np.ceil(np.log(h)).astype("int").item()] if h > 1 else x
    ),
    "numpy, to the next power": lambda x, h: F.pad(x, (0, int(2 ** np.ceil(np.log2(h))) - h)),
    "in a tensor, to the next power": lambda x, h: F.pad(
        x, (0, 2 ** torch.ceil(torch.log2(torch.tensor(h))).int() - h)
    ),
    "in a tensor, as a number": lambda x, h: pooled(x, int(torch.log2(torch.tensor(h)).item())),
    "in a tensor, a comparison": lambda x, h: pooled(x, 1) if torch.tensor(h).log() >= 3 else x,
    "in a tensor, a power of 2": lambda x, h: F.pad(
        x, (0, int(torch.exp2(torch.tensor(h).log2().floor())))
    ),
    "of base 2": lambda x, h: x[..., : math.floor(math.log(h, 2)) + 1],
    "as a quotient": lambda x, h: x[..., : round(math.log(h) / math.log(2)) + 1],
    "of a quotient": lambda x, h: pooled(x, math.ceil(math.log2(h / 32)) if h >= 32 else 0),
    "of the larger": lambda x, h: pooled(x, int(math.log2(max(h, 8)))) if h >= 8 else x,
    "to the next power": lambda x, h: F.pad(x, (0, 2 ** math.ceil(math.log2(h)) - h)),
    "to the next power, by bits": lambda x, h: F.pad(x, (0, (1 << (h - 1).bit_length()) - h)),
    "up to a power": lambda x, h: x[..., : 2 ** int(math.log2(h))],
    "powers alone": of_powers,
    "powers, by what is left": lambda x, h: x if math.log2(h) % 1 == 0 else x[..., :1],
    "powers alone, by bits": of_powers_by_bits,
    "the lowest bit": lambda x, h: x[..., : h & -h],
    "without the lowest bit": lambda x, h: F.pad(x, (0, h & (h - 1))),
    "a comparison": lambda x, h: pooled(x, 1) if math.log(h) >= 3 else x,
    "a root, compared": lambda x, h: pooled(x, 1) if h**0.5 > 5 else x,
}


@pytest.mark.parametrize("run", STAIRS.values(), ids=STAIRS)
def test_what_only_grows_is_a_branch_for_each_of_its_steps(run: Callable[..., Any]) -> None:
    module = Forward(run)
    net = symcnn.from_torch(module, "N 3 L")
    assert {left.reason for left in net.unfollowed} <= {"sizes above 268,435,456"}
    domain = net.valid_inputs()
    for length in (*range(1, 70), 127, 128, 129, 1000, 1024, 44_100):
        try:
            shape = tuple(module(torch.empty(1, 3, length, device="meta")).shape)
        except (RuntimeError, ValueError):
            assert length not in domain
        else:
            assert length in domain
            assert net.shape_at(N=1, L=length) == shape


ROUNDED: dict[str, Callable[..., Any]] = {
    "up": lambda h: np.ceil(h / 3).astype(int),
    "down, as an int": lambda h: np.floor(h / 3).astype(np.int64).item(),
    "to the nearest": lambda h: int(np.rint(h / 3)),
    "a float": lambda h: int(np.ceil(h / 32) * 32),
}


@pytest.mark.parametrize("size", ROUNDED.values(), ids=ROUNDED)
def test_what_numpy_rounds_of_a_size_has_what_its_numbers_have(size: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Forward(lambda x, h: x[..., :1].repeat(1, 1, size(h) + 1)), "N 3 L")
    assert net.complete
    for length in (1, 2, 3, 4, 5, 31, 32, 33, 100):
        assert net.shape_at(N=1, L=length) == (1, 3, size(length) + 1)


def test_a_logarithm_in_a_tensor_is_rounded_to_32_bits() -> None:
    """Of 2**21 + 1 it is 21, and to python 21.0000007."""
    net = symcnn.from_torch(
        Forward(lambda x, h: x[..., : torch.tensor(h).log2().ceil().long()]), "N 3 L"
    )
    assert net.shape_at(N=1, L=2**21 + 1) == (1, 3, 21)
    assert net.shape_at(N=1, L=2**21 + 9) == (1, 3, 22)


def test_a_comparison_with_a_logarithm_is_complete() -> None:
    net = symcnn.from_torch(Forward(STAIRS["a comparison"]), "N 3 L")
    assert net.complete
    assert len(net.branches) == 2


def test_where_steps_are_many_one_is_followed() -> None:
    net = symcnn.from_torch(Forward(lambda x, h: x[..., : math.isqrt(h)]), "N 3 L")
    assert str(net.valid_inputs()).startswith("15876 <= L <= 16128")
    assert net.shape_at(N=1, L=100) == (1, 3, 10)


@pytest.mark.parametrize("function", [math.log2, math.sqrt, lambda n: 100 / n])
def test_a_tread_ends_where_the_value_changes(function: Callable[[int], float]) -> None:
    def whole(n: int) -> int:
        return int(function(n))

    for here in (1, 2, 7, 8, 9, 99, 1023, 1024):
        found = tread(whole, here)
        if found is None:  # the last one has no end
            assert whole(here) == whole(1 << 39)
            continue
        assert found.value == whole(here)
        assert found.last is not None
        assert whole(found.first) == whole(found.last) == whole(here)
        assert whole(found.last + 1) != whole(here)
        assert found.first == 1 or whole(found.first - 1) != whole(here)


def test_powers_of_two_are_said_without_counting_up_to_the_last() -> None:
    powers = symcnn.solve(" or ".join(f"L == {2**k}" for k in range(30)))
    assert 2**29 in powers
    assert 2**29 - 1 not in powers
    assert str(powers).startswith("1 <= L <= 2 or ")
