"""The backward pass costs what torch.utils.flop_counter counts, over forward and backward."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

import symcnn
from symcnn import BadSpec, InvalidInput, UnsupportedOperation
from symcnn.testing.oracles import sample_sizes, torch_flops, torch_saved

from .corpus.examples import MODES, NETWORKS
from .corpus.weights import NETWORKS_DRAWN, Derived, Einsum, Heads, networks


def agree(
    module: Any,
    spec: Any,
    *,
    sizes: int = 2,
    seed: Any = 0,
    input_grad: Any = False,
    example: Any = None,
) -> None:
    """Forward and backward FLOPs at random sizes in the domain, ours and torch's."""
    net = symcnn.from_torch(module, *([spec] if isinstance(spec, str) else spec), example=example)
    cost = net.cost("flops", input_grad=input_grad)
    module = module.to("meta")
    for values in sample_sizes(net, sizes, inside=True, seed=seed):
        with suppress(InvalidInput):  # the batch may be too small for batch norm
            here = cost.at(**values)
            torchs = torch_flops(net, module, values, input_grad=input_grad)
            assert (here.total, here.backward) == torchs, values


@pytest.mark.parametrize(("name", "train"), MODES)
def test_example_networks(name: Any, train: Any, example: Callable[..., Any]) -> None:
    file, channels = NETWORKS[name]
    agree(example(file).train(train), f"N {channels} H W", sizes=1)


@pytest.mark.parametrize("input_grad", [False, True])
@pytest.mark.parametrize(
    "frozen", [["0"], ["0", "1"], ["2"], ["4"], ["0", "1", "2", "4"], []], ids=str
)
def test_frozen_layers_and_inputs_without_gradient(frozen: list[Any], input_grad: bool) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=4), nn.ConvTranspose2d(8, 4, 3, stride=2),
        nn.ReLU(), nn.Conv2d(4, 2, 1),
    )  # fmt: skip
    for path in frozen:
        module.get_submodule(path).requires_grad_(False)
    agree(module, "N 3 H W", input_grad=input_grad)


class Attended(nn.Module):
    """Heads that attend to each other, a mask that is learned as well."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.mask = nn.Linear(8, 24), nn.Parameter(torch.zeros(1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, _ = x.shape
        q, k, v = self.heads(x).view(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        return nn.functional.scaled_dot_product_attention(q, k, v, self.mask)


@pytest.mark.parametrize("input_grad", [False, True])
@pytest.mark.parametrize("layer", [nn.LSTMCell, nn.GRUCell, nn.RNNCell, Attended])
def test_cells_and_fused_attention(layer: Any, input_grad: bool) -> None:
    if layer is Attended:
        agree(Attended(), "N L 8", input_grad=input_grad)
    else:
        agree(layer(8, 5), "N 8", input_grad=input_grad)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_that_project_their_state(bidirectional: bool) -> None:
    agree(nn.LSTM(8, 6, 2, proj_size=3, bidirectional=bidirectional), "L N 8")


def test_a_first_layer_has_no_gradient_for_its_input() -> None:
    net = symcnn.nn.Conv2d(3, 8, 3).trace("N 3 H W")
    assert net.cost().backward == net.cost().total
    assert net.cost(input_grad=True).backward == 2 * net.cost().total
    assert net.cost(input_grad=True).training == 3 * net.cost().total


def test_flop_counter_counts_grouped_weights_once_per_group() -> None:
    net = symcnn.nn.Conv2d(8, 8, 3, groups=4).trace("N 8 H W")
    assert net.cost().backward == net.cost().total
    assert net.cost("flops").backward == 2 * 4 * net.cost().total
    agree(nn.Conv2d(8, 8, 3, groups=4), "N 8 H W")


class OfComplex(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(torch.complex(x, x)).abs()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 4, 3, dtype=torch.complex64),
        nn.Conv2d(8, 8, 3, groups=4, dtype=torch.complex64),
        nn.ConvTranspose2d(8, 4, 3, stride=2, dtype=torch.complex64),
        nn.Linear(9, 4, dtype=torch.complex64),
    ],
    ids=["a convolution", "groups", "transposed", "a linear layer"],
)
def test_a_convolution_of_complex_numbers_is_three_of_real_ones(layer: nn.Module) -> None:
    agree(OfComplex(layer), "N 8 H 9")


class Cut(nn.Module):
    def __init__(self, how: Any) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if self.how == "detach":
            y = y.detach()
        elif self.how == "no_grad":
            with torch.no_grad():
                y = torch.relu(self.first(x))
        elif self.how == "compare":
            y = (y > 0).to(x.dtype)
        elif self.how == "unused":
            self.first(y)
        return self.second(y)


@pytest.mark.parametrize("how", ["detach", "no_grad", "compare", "unused", "nothing"])
def test_what_cuts_a_gradient_off_costs_nothing_beyond(how: str) -> None:
    agree(Cut(how), "L 8")


def test_weights_made_from_parameters_carry_gradients() -> None:
    agree(Derived(), "N 3 H W")


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("input_grad", [True, False])
def test_attention(same: bool, input_grad: bool) -> None:
    module = Heads(same=same).train()
    agree(module, ["N L 8", "N S 8"], input_grad=input_grad)


@pytest.mark.parametrize(
    ("equation", "weights", "spec"),
    [
        ("nchw,dc->ndhw", [(5, 3)], "N 3 H W"),
        ("nlc,cd,de->nle", [(3, 4), (4, 5)], "N L 3"),
        ("nlc,nlc->nl", [], "N L 3"),
    ],
)
def test_einsum(equation: str, weights: list[Any], spec: str) -> None:
    if not weights:
        return
    agree(Einsum(equation, *weights), spec, input_grad=True)


class Scores(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nlc,nlc->nc", x, x)


def test_einsum_over_a_single_place_is_not_counted() -> None:
    net = symcnn.from_torch(Scores(), "N L 4")
    assert [net.cost("flops").at(N=2, L=n).total for n in (1, 2)] == [0, 32]
    for n in (1, 2, 5):
        torchs = torch_flops(net, Scores(), {"N": 2, "L": n}, input_grad=True)
        here = net.cost("flops", input_grad=True).at(N=2, L=n)
        assert (here.total, here.backward) == torchs


def test_bilinear_does_work_that_torch_does_not_count() -> None:
    module = nn.Bilinear(5, 6, 7)
    net = symcnn.from_torch(module, "N 5", "N 6")
    here = net.cost("flops", input_grad=True).at(N=3)
    assert (here.total, here.backward) == torch_flops(net, module, {"N": 3}, input_grad=True)
    one = 3 * 5 * 6 * 7
    work = net.cost().at(N=3)
    assert (work.total, work.backward) == (one, one)  # the gradient of the weight
    assert net.cost(input_grad=True).at(N=3).backward == 3 * one


class Last(nn.Module):
    def __init__(self, rnn: Any) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rnn(x)[0]


@pytest.mark.parametrize("input_grad", [True, False])
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_recurrent_layers(layer: Any, options: dict[str, Any], input_grad: bool) -> None:
    agree(Last(layer(4, 6, batch_first=True, **options)), "L 7 4", input_grad=input_grad)


def test_other_conventions_do_not_say() -> None:
    with pytest.raises(BadSpec, match="does not say what a backward pass costs"):
        _ = symcnn.nn.Conv2d(3, 8, 3).trace("N 3 H W").cost("thop").backward


class Mine(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_rule_that_gives_only_a_shape_has_no_cost() -> None:
    @symcnn.rule(Mine)
    def mine(module: Any, input: Any) -> Any:
        return input.dims

    net = symcnn.from_torch(nn.Sequential(nn.Conv2d(3, 8, 1), Mine()), "N 3 H W")
    for figure in ("total", "backward"):
        with pytest.raises(UnsupportedOperation, match="1: Mine does not say what it costs"):
            getattr(net.cost(), figure)
    partial = net.cost(partial=True)
    assert not partial.complete
    assert str(partial.total) == "24*N*H*W"
    assert "at least" in repr(partial)


# random networks


@settings(max_examples=NETWORKS_DRAWN)
@given(networks(), st.booleans(), st.integers(0, 99))
def test_random_networks(module: Any, input_grad: bool, seed: int) -> None:
    agree(module, "N 4 H W", sizes=1, seed=seed, input_grad=input_grad)


logging.disable(logging.WARNING)


class Looked(nn.Module):
    """A table of positions, read by a product with truth values cast to the table's dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(10, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        where = nn.functional.one_hot(torch.arange(5) % 10, num_classes=10)
        return x + where.to(self.table) @ self.table + torch.ones(1).expand_as(self.table).sum()


def test_no_gradient_flows_to_what_is_only_cast_to_the_dtype_of_a_weight() -> None:
    net = symcnn.from_torch(Looked(), "N 5 4")
    cost = net.cost("flops").at(N=2)
    assert (cost.total, cost.backward) == torch_flops(net, Looked(), {"N": 2})
    assert cost.backward == 2 * 5 * 10 * 4  # of the table alone


class Straight(torch.autograd.Function):
    """Signs of weights; the gradient goes straight through, as if they were the weights."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return (x > 0).to(x.dtype) * 2 - 1

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad


class Binary(nn.Conv2d):
    """WRN with weights of one bit, and Swish with a gradient of its own, as in EfficientNet."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(Straight.apply(x), Straight.apply(self.weight), self.bias)


def test_the_backward_of_an_autograd_function_is_not_guessed() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Binary(4, 5, 3))
    net, sizes = symcnn.from_torch(module, "N 3 H W"), {"N": 2, "H": 9, "W": 8}
    with pytest.raises(symcnn.UnsupportedOperation, match="1: what the backward pass of Straig"):
        _ = net.cost("flops").backward
    assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes)
    least = net.cost("flops", partial=True).at(**sizes)
    assert (least.total, least.backward) == torch_flops(net, module, sizes)
    with torch.no_grad():
        assert symcnn.from_torch(module, "N 3 H W").cost("flops").backward == 0


class Gate(torch.autograd.Function):
    """Saves an input, something made on the way, which the output does not read, and an output."""

    @staticmethod
    def forward(ctx: Any, x: Any, scale: Any) -> Any:
        made = x.exp() * scale
        ctx.save_for_backward(x > 0, None, made)
        return made

    @staticmethod
    def backward(ctx: Any, grad: Any) -> None:
        raise AssertionError("never called")


class Decorated(torch.autograd.Function):
    """Saves before anything is computed, with another function inside."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda")  # type: ignore[untyped-decorator]
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return Gate.apply(x.relu(), 2)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> None:
        raise AssertionError("never called")


class Apart(torch.autograd.Function):
    """Says what it saves when all is done."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> None:
        raise AssertionError("never called")


class Within(nn.Sequential):
    """Its layers, in something with a backward pass of its own."""

    def __init__(self, run: Any) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Conv2d(4, 4, 3))
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(super().forward, 2 * x).sigmoid()


KEEPERS = {
    "a function": lambda layers, x: layers(Gate.apply(x, 3)),
    "of what has no gradient": lambda layers, x: layers(Gate.apply(x.detach(), 3)),
    "one in another": lambda layers, x: Decorated.apply(layers(x)),
    "a checkpoint": lambda layers, x: checkpoint(layers, x, use_reentrant=False),
    "one with reentry": lambda layers, x: checkpoint(layers, x, use_reentrant=True),
    "one with reentry, of what one made": lambda layers, x: checkpoint(
        torch.sin, checkpoint(layers, x, use_reentrant=True), use_reentrant=True
    ),
    "checkpoints in it": lambda layers, x: checkpoint(
        lambda y: checkpoint(layers, y.relu(), use_reentrant=False).tanh(), x, use_reentrant=False
    ),
}


@pytest.mark.parametrize("input_grad", [True, False])
@pytest.mark.parametrize("keeper", KEEPERS)
def test_what_has_a_backward_of_its_own_keeps_what_it_says(keeper: str, input_grad: bool) -> None:
    module, sizes = Within(KEEPERS[keeper]), {"N": 2, "H": 9, "W": 8}
    net = symcnn.from_torch(module, "N 3 H W")
    want = torch_saved(net, module, sizes, input_grad=input_grad)
    assert net.cost(input_grad=input_grad).at(**sizes).saved == want
    assert net.given(N=2).cost(input_grad=input_grad).at(H=9, W=8).saved == want


def test_what_a_setup_context_saves_is_refused() -> None:
    net = symcnn.from_torch(Within(lambda layers, x: Apart.apply(layers(x))), "N 3 H W")
    with pytest.raises(symcnn.UnsupportedOperation, match="in Apart, with a setup_context"):
        _ = net.cost().saved
