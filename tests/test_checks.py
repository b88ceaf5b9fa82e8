"""A check of values that only raises is no branch; whatever else asks for values is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn.errors import DataDependent
from tests.corpus.forwards import Function

Check = Callable[[torch.Tensor], Any]


class Checked(nn.Module):
    """A convolution of what a check lets through."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self.check, self.conv = check, nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        self.check(x)
        return self.conv(x)


def net(check: Check) -> symcnn.Network:
    return symcnn.from_torch(Checked(check), "N 3 H W")


def written(assertion: str) -> Check:
    """As python compiles it: pytest writes the assertions of a test anew."""
    names: dict[str, Any] = {"torch": torch}
    exec(compile(f"def check(x):\n    {assertion}", "test_checks.py", "exec"), names)
    check: Check = names["check"]
    return check


ASSERTIONS = [
    "assert x.min() >= 0, f'at least 0, not {x.min()}'",
    "assert 0 <= x.min() <= 1",
    "assert not torch.isnan(x).any(), 'no numbers'",
]


def _raises(x: torch.Tensor) -> None:
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"values in [0, 1], not in [{x.min()}, {x.max()}]")


def _raises_unless(x: torch.Tensor) -> None:
    if not torch.isfinite(x).all():
        raise RuntimeError


def _raises_in_turn(x: torch.Tensor) -> None:
    with torch.no_grad():
        if x.max() > 1:
            raise ValueError("large")
        elif x.min() < 0:
            raise ValueError("small")


@pytest.mark.parametrize("made", [lambda window: window, torch.square])
def test_a_check_of_a_buffer_at_the_places_of_an_input_is_no_branch(
    made: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    class Windowed(nn.Module):
        """Windows that overlap, as the inverse of a spectrogram adds them."""

        window: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("window", torch.hann_window(16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            frames = made(self.window).expand(1, x.shape[-1], -1).transpose(1, 2)
            size = (1, x.shape[-1] * 4 + 12)
            total = nn.functional.fold(frames, size, (1, 16), stride=(1, 4))
            if not (total[..., 8:-8] > 0).all():
                raise ValueError("no window is there")
            return total

    found = symcnn.from_torch(Windowed(), "N 16 L")
    assert found.complete
    assert len(found.checks) == 1
    assert found.shape_at(N=1, L=9) == tuple(Windowed()(torch.zeros(1, 16, 9)).shape)


@pytest.mark.parametrize(
    "check",
    [*map(written, ASSERTIONS), _raises, _raises_unless, _raises_in_turn],
)
def test_a_check_that_only_raises_is_no_branch(check: Check) -> None:
    found = net(check)
    assert str(found.output_shape) == "(N, 4, H - 2, W - 2)"
    assert found.complete
    assert found.checks
    assert all("test_checks.py:" in line for line in found.checks)
    assert found.validate(Checked(check), device="cpu", samples=2)


def _catches(x: torch.Tensor) -> None:
    try:
        if x.min() < 0:
            raise ValueError
    except ValueError:
        print("negative")


def _prints(x: torch.Tensor) -> None:
    if x.min() < 0:
        print("negative")


def _writes_and_raises(x: torch.Tensor) -> None:
    if x.min() < 0:
        x = x - 1
        raise ValueError(x)


def _of_sizes_alone(x: torch.Tensor) -> None:
    assert torch.rand(x.shape[2]).sum() <= 10


def _of_many(x: torch.Tensor) -> None:
    assert x


@pytest.mark.parametrize(
    "check", [_catches, _prints, _writes_and_raises, _of_sizes_alone, _of_many]
)
def test_what_does_more_than_raise_or_hangs_on_sizes_is_refused(check: Check) -> None:
    with pytest.raises(DataDependent, match="values of a tensor"):
        net(check)


def test_a_check_of_a_tensor_of_sizes_is_decided_for_all_sizes() -> None:
    """RT-DETR v2 and D-FINE check that the maps of all levels are as long as the sequence."""

    def check(x: torch.Tensor) -> None:
        h, w = x.shape[2:]
        levels = torch.tensor([[h, w], [h // 2, w // 2]])
        length = torch.cat([x.flatten(2), F.avg_pool2d(x, 2).flatten(2)], 2).shape[2]
        torch._check_tensor_all_with(ValueError, levels.prod(1).sum() == length)
        torch._check_tensor_all(torch.stack([levels[0, 0] == h, levels[1, 1] == w // 2]))
        if not (levels[:, 0] >= 2).any().item():
            raise ValueError("too low")

    found = net(check)
    assert found.complete
    assert str(found.valid_inputs()) == "H >= 3 and W >= 3"


def test_whether_tensors_of_sizes_are_equal_is_a_branch() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[2:]
        return x if torch.equal(torch.tensor([h, w]), torch.tensor([w, h])) else x[:, :1]

    found = symcnn.from_torch(Function(forward), "N 3 H W")
    assert found.complete
    for h, w in ((5, 5), (5, 6), (6, 5), (1, 1)):
        assert found.shape_at(N=2, H=h, W=w) == forward(torch.zeros(2, 3, h, w)).shape


def test_the_checks_of_all_branches_and_of_a_network_at_a_size_are_told() -> None:
    found = net(written("assert x.shape[2] % 2 or x.min() >= 0"))
    assert len(found.checks) == 1
    assert [len(found.given(H=size).checks) for size in (5, 6)] == [0, 1]


class Unpooled(nn.Module):
    """A pool undone: into the map that it read, or into one of whole windows."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(pooled, places, (2, 2), output_size=x.shape if self.whole else None)


@pytest.mark.parametrize(("spec", "lines"), [("N 3 32 32", 0), ("N 3 32 33", 1), ("N 3 H W", 1)])
def test_the_places_of_a_pool_may_lie_outside_a_smaller_map(spec: str, lines: int) -> None:
    assert len(symcnn.from_torch(Unpooled(False), spec).checks) == lines
    assert symcnn.from_torch(Unpooled(True), spec).checks == ()
    rising = torch.arange(32 * 33.0).reshape(1, 1, 32, 33)
    assert Unpooled(False)(-rising).shape == (1, 1, 32, 32)
    with pytest.raises(RuntimeError, match="invalid max index"):
        Unpooled(False)(rising)


def test_places_that_no_pool_gives_as_they_are_may_lie_outside() -> None:
    class Shifted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled, places = F.max_pool2d(x, 2, return_indices=True)
            return F.max_unpool2d(pooled, places + 1, (2, 2))

    assert len(symcnn.from_torch(Shifted(), "N 3 32 32").checks) == 1
