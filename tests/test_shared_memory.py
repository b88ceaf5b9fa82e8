"""A write goes where the memory is, and all that share it see it: gradients of torch say who."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import symcnn
from symcnn.judge.oracles import torch_peak, torch_saved
from tests.corpus.forwards import Forward, Function

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


#: Writes to views of what a layer makes, by what of it torch refuses or takes.
VIEWS_WRITTEN: dict[str, Call] = {
    "a part": lambda y: y.split(2, 1)[0].add_(1),
    "the only part": lambda y: y.chunk(1, 1)[0].mul_(2),
    "parts of given sizes": lambda y: F.relu(y.split([1, 3], 1)[1], inplace=True),
    "a place": lambda y: y.unbind(1)[0].zero_(),
    "a row of a loop": lambda y: next(iter(y)).add_(1),
    "a slice of a part": lambda y: y.chunk(2, 1)[0][:, :1].add_(1),
    "axes of a part": lambda y: y.chunk(2, 1)[0].unsqueeze_(0),
    "a part that others own too": lambda y: y.unsafe_chunk(2, 1)[0].add_(1),
    "a near-equal part": lambda y: y.tensor_split(3, 1)[0].add_(1),
    "a part that is let go": lambda y: y.chunk(2, 1)[0].detach().add_(1),
    "a copy of a part": lambda y: (y.chunk(2, 1)[0] + 1).add_(1),
    "a part of bools": lambda y: (y > 0).chunk(2, 1)[0].logical_not_(),
    "dropout at rest": lambda y: F.dropout(y.chunk(2, 1)[0], 0.5, False, True),
    "dropout at work": lambda y: F.dropout(y.chunk(2, 1)[0], 0.5, True, True),
    "a part of what is written": lambda y: (y.chunk(2, 1)[0], y.add_(1))[0] * 2,
    "a part of what is written, let go": lambda y: (y.chunk(2, 1)[0], y.add_(1))[0].detach(),
    "the target of out=": lambda y: torch.add(y, 1, out=torch.empty_like(y)),
}


def refuses(function: Call, *, grad: bool) -> tuple[bool, bool]:
    """Whether torch refuses a function of what a layer makes, and whether the trace does."""
    layer = nn.Conv2d(3, 4, 1)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return function(layer(x))

    found = []
    with torch.set_grad_enabled(grad):
        for run in (
            lambda: forward(torch.zeros(2, 3, 4, 5)),
            lambda: symcnn.from_torch(Module(layer, forward), "N 3 H W"),
        ):
            try:
                run()
                found.append(False)
            except (RuntimeError, symcnn.ShapeMismatch):
                found.append(True)
    return found[0], found[1]


class Module(nn.Module):
    """A layer, and a forward that uses it."""

    def __init__(self, layer: nn.Module, function: Call) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.parametrize("function", VIEWS_WRITTEN.values(), ids=VIEWS_WRITTEN)
def test_views_that_are_made_at_once_are_written_to_where_torch_does(function: Call) -> None:
    torchs, ours = refuses(function, grad=True)
    assert ours == torchs


@pytest.mark.parametrize("function", VIEWS_WRITTEN.values(), ids=VIEWS_WRITTEN)
def test_without_gradients_every_view_is_written_to(function: Call) -> None:
    assert refuses(function, grad=False) == (False, False)


def test_a_view_made_without_gradients_is_not_written_to_with_them() -> None:
    def function(y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            part = y[:, :2]
        return part.add_(1)

    assert refuses(function, grad=True) == (True, True)


def test_a_weight_is_not_written_to_while_it_is_learned() -> None:
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.scale[0] = x.mean()
            return x

    with pytest.raises(RuntimeError, match="leaf"):
        Overwrites()(torch.zeros(1, 3, 4, 4))
    with pytest.raises(symcnn.ShapeMismatch, match="scale requires a gradient"):
        symcnn.from_torch(Overwrites(), "N 3 H W")
    with torch.no_grad():
        assert symcnn.from_torch(Overwrites(), "N 3 H W").output_shape[1] == 3


def test_what_is_written_to_without_gradients_keeps_its_gradient() -> None:
    class Clamps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            with torch.no_grad():
                y.clamp_(max=1)
            return torch.sigmoid(y)

    net = symcnn.from_torch(Clamps(), "1 3 10 10")
    assert net.cost().saved == (3 * 10 * 10 + 4 * 8 * 8) * 4


def _reads(y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        part = y[:, :2]
    y.add_(1)
    return part * 2


def _reads_a_part(y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        part = y[:, :2]
        y.add_(1)
    return part[:, :1].sigmoid()


def _reads_without(y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        part = y[:, :2]
    y.add_(1)
    with torch.no_grad():
        return part * 2


def _reads_apart(y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        part = y[:, :2]
    y.add_(1)
    return part.detach() * 2


@pytest.mark.parametrize("read", [_reads, _reads_a_part, _reads_without, _reads_apart])
def test_a_view_made_without_gradients_is_not_read_after_a_write(read: Call) -> None:
    ours, theirs = refuses(read, grad=True)
    assert ours == theirs == (read in (_reads, _reads_a_part))


def _quietly(write: Callable[[Any], object], read: Callable[[Any], Any]) -> Call:
    """Parts of a tensor, one written to without gradients, one read with them."""

    def function(y: torch.Tensor) -> torch.Tensor:
        parts = y.split(2, 1)
        with torch.no_grad():
            write(parts[0])
        found: torch.Tensor = read(parts[0])
        return found * 2

    return function


QUIET = {
    "the part": _quietly(lambda z: z.add_(1), lambda z: z),
    "a row of it": _quietly(lambda z: z[:, :, 1:].add_(1), lambda z: z),
    "a row of it, which is read": _quietly(lambda z: z, lambda z: z[:, :, 1:]),
    "without autograd": _quietly(lambda z: z.detach().mul_(2), lambda z: z),
    "what autograd does not see": _quietly(lambda z: z.data.mul_(2), lambda z: z),
    "the part, read without autograd": _quietly(lambda z: z.add_(1), lambda z: z.detach()),
}


@pytest.mark.parametrize("function", QUIET.values(), ids=QUIET)
def test_one_of_several_views_is_not_read_once_autograd_saw_a_write(function: Call) -> None:
    torchs, ours = refuses(function, grad=True)
    assert ours == torchs


def test_no_gradient_flows_through_data() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.a(x).data) * 2

    assert symcnn.from_torch(Reads(), "1 3 10 10").cost().saved == 3 * 10 * 10 * 4


def _weighted(use: Any) -> Forward:
    """A convolution in which data are given anew."""
    return Forward(lambda m, x: use(m.a, x), a=nn.Conv2d(3, 4, 3, padding=1))


def _clamped(a: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = a(x)
    y.data = y.data.clamp(0, 1)
    return (y * y).sum()


def _scaled(a: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    for _ in range(2):
        a.weight.data = a.weight.data * 2
        y: torch.Tensor = a(x)
    return y


def _of_data(a: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    a.weight.data = x.mean() * a.weight.data
    return torch.relu(a(x))


@pytest.mark.parametrize("use", [_clamped, _scaled])
def test_what_is_given_other_data_has_its_gradient(use: Any) -> None:
    module = _weighted(use)
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.cost().at(N=2, H=12, W=8).saved == torch_saved(
        net, module, {"N": 2, "H": 12, "W": 8}
    )


@pytest.mark.parametrize("use", [_clamped, _scaled, _of_data])
def test_a_weight_holds_the_data_that_the_forward_gives_it(use: Any) -> None:
    module = _weighted(use)
    peak = torch_peak(module, module, [torch.randn(2, 3, 12, 8)])[0]
    assert symcnn.from_torch(module, "N 3 H W").cost().at(N=2, H=12, W=8).peak == peak
