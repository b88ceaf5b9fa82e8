"""A write goes where the memory is, and all that share it see it: gradients of torch say who."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.judge.oracles import torch_peak
from tests.corpus.forwards import Function

Call = Callable[[torch.Tensor], torch.Tensor]


#: Views, tensors that are returned as they are given, and copies.
SHARING: dict[str, Call] = {
    "a slice": lambda x: x[:, :, :1],
    "a view": lambda x: x.view(2, -1),
    "a view that copies": lambda x: x.transpose(2, 3).reshape(2, -1),
    "flattened": lambda x: x.flatten(1),
    "flattened gaps": lambda x: x[:, :, :, ::2].flatten(),
    "turned": lambda x: x.transpose(2, 3),
    "stretched": lambda x: x.expand(1, 2, -1, -1),
    "a diagonal": lambda x: x.diagonal(0, 2, 3),
    "windows": lambda x: x.unfold(2, 2, 2),
    "laid out as it is": lambda x: x.contiguous(),
    "laid out anew": lambda x: x.transpose(2, 3).contiguous(),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "its own dtype": lambda x: x.float(),
    "its own dtype by name": lambda x: x.to(torch.float32),
    "its own dtype, copied": lambda x: x.to(torch.float32, copy=True),
    "another dtype": lambda x: x.double(),
    "dropout at rest": lambda x: F.dropout(x, 0.5, training=False),
    "dropout at work": lambda x: F.dropout(x, 0.5, training=True),
    "a layer at rest": lambda x: nn.Dropout2d(0.5).eval()(x),
    "a copy": lambda x: x.clone(),
    "of a view of all": lambda x: x.contiguous()[:, :, :1],
    "of a view of a copy": lambda x: x.clone()[:, :, :1],
}


def reads_all(function: Call) -> tuple[bool, bool]:
    """Whether the first output reads the last input, by torch and by the trace."""
    x = torch.rand(1, 2, 6, 5, requires_grad=True)
    first = function(x).flatten()[0]
    first.backward()
    assert x.grad is not None
    net = symcnn.from_torch(Function(function), "1 2 H 5")
    return bool(x.grad[0, 0, 5, 4]), str(net.receptive_field().size[0]) == "H"


@pytest.mark.parametrize("shared", SHARING.values(), ids=SHARING)
def test_a_write_through_a_view_is_one_to_its_base(shared: Call) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        x = x * 1
        part = shared(x)
        part *= x.mean().to(part.dtype)
        return x

    by_torch, by_trace = reads_all(function)
    assert by_torch == by_trace


@pytest.mark.parametrize("shared", SHARING.values(), ids=SHARING)
def test_a_view_sees_what_is_written_to_its_base(shared: Call) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        x = x * 1
        part = shared(x)
        x *= x.mean()
        return part

    by_torch, by_trace = reads_all(function)
    assert by_torch == by_trace


def test_a_view_sees_it_with_its_own_field() -> None:
    """Of a window after a write point by point, no more than the window."""

    def function(x: torch.Tensor) -> torch.Tensor:
        x = x * 1
        part = x[:, :, 2:]
        x.relu_()
        return F.max_pool2d(part, 3)

    net = symcnn.from_torch(Function(function), "1 2 H W")
    assert net.receptive_field().size == (3, 3)


def test_what_a_list_picks_is_a_copy() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        x = x * 1
        x[:, :, [0, 2]].mul_(x.mean())
        return x

    assert reads_all(function) == (False, False)


def test_what_is_passed_on_a_thousand_times_is_written_to_in_linear_time() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        x = x * 1
        for _ in range(1000):
            x = F.dropout(x, 0.5, training=False)
            x += 1
        return x

    start = time.process_time()
    net = symcnn.from_torch(Function(function), "1 2 H W")
    assert len(net.nodes) == 2001
    assert time.process_time() - start < 15  # a minute, were all of them written to


def parts_of_zeros(x: torch.Tensor) -> torch.Tensor:
    z = torch.zeros(x.shape, dtype=torch.complex64)
    z.real, z.imag = x, -x.mean()
    return z


def parts_of_a_spectrum(x: torch.Tensor) -> torch.Tensor:
    z = torch.fft.rfft(x, dim=1)
    z.imag *= -1
    z.real = x[:, :, :1]
    return z


@pytest.mark.parametrize("function", [parts_of_zeros, parts_of_a_spectrum])
def test_the_parts_of_a_complex_tensor_are_assigned(function: Call) -> None:
    x = torch.rand(1, 2, 6, 5)
    net = symcnn.from_torch(Function(function), "1 2 H W")
    assert net.shape_at(H=6, W=5) == tuple(function(x).shape)
    assert net.receptive_field().size[0] == net.inputs[0].shape[2]


def test_a_part_takes_only_what_broadcasts_to_it() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        z = torch.zeros(1, 2, 4, 5, dtype=torch.complex64)
        z.imag = x
        return z

    net = symcnn.from_torch(Function(function), "1 2 H W")
    assert str(net.valid_inputs()) == "(H == 1 or H == 4) and (W == 1 or W == 5)"


def _turned(x: torch.Tensor) -> torch.Tensor:
    y = x.clone().transpose(1, 2)
    z = y[:, :, :3]
    z[:, :, 1].add_(z[:, :, 0])
    return y


def _scanned(x: torch.Tensor) -> torch.Tensor:
    """The first step of a parallel scan, as Mamba has it in plain torch."""
    y = x.clone()
    z = y.view(x.shape[0], 2, 2, 4)
    z[:, :, 1].add_(z[:, :, 0].mul(x[:, 0, None]))
    return y


def _added(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 1].add_(y[:, 0].mul(y[:, 2]))
    return y


@pytest.mark.parametrize("writes", [_added, _turned, _scanned])
def test_a_write_through_a_view_takes_no_memory(writes: Call) -> None:
    module = Function(writes)
    report = symcnn.from_torch(module, "N 4 4").validate(module, "cpu", checks=("peak", "saved"))
    assert report, str(report)
    assert "peak" in {check.what for check in report.passed}


def test_memory_that_a_forward_fills_is_let_go_with_its_tensor() -> None:
    """Before, what was written into a tensor of numbers stayed until the forward ended."""

    class Fills(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(3):
                room = torch.zeros(64, 3, 8, 8)
                room[:2] = x[:2]
                x = torch.cat([room[:2].exp(), x[2:]])
                del room
            return x

    net = symcnn.from_torch(Fills(), "N 3 8 8")
    for n in (2, 5):
        theirs = torch_peak(Fills(), Fills(), [torch.rand(n, 3, 8, 8)])[0]
        assert net.cost().at(N=n).peak == theirs
