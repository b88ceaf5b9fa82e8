"""An operation of a user is one record: it answers every question as a layer of torch does."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import symcnn
from symcnn.algebra.axis import IDENTITY, Whole, Window
from symcnn.sets.condition import Condition
from symcnn.trace.graph import Result, apply, tensor


class Mine(nn.Module):
    """A convolution, of which the library is to know no more than its rule."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 8, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, self.weight, stride=2, padding=1)


def network() -> nn.Module:
    head = nn.Conv2d(3, 8, 3, padding=1)
    return nn.Sequential(head, Mine(), nn.ReLU(), nn.MaxPool2d(2)).eval()


def places(node: Any) -> Any:
    n, _, h, w = node.outputs[0].dims
    return n * h * w


half = Window(3, 2, 1, 1)


def shape(module: Any, x: Any) -> Any:
    n, _, h, w = x.dims
    return n, 16, (h + 1) // 2, (w + 1) // 2


@pytest.fixture(scope="module")
def both() -> Iterator[Any]:
    """The network as torch's layers say, and as the rule of the user says."""
    from symcnn.ops.operation import TARGETS

    torchs = symcnn.from_torch(network(), "N 3 H W")
    symcnn.rule(
        Mine,
        reads=lambda node: {"x": (IDENTITY, Whole(16), half, half)},
        macs=lambda node: places(node) * 16 * 8 * 9,
        other=0,
        products="x weight",
        saves="x weight",
    )(shape)
    yield torchs, symcnn.from_torch(network(), "N 3 H W")
    TARGETS.pop(Mine, None)


def columns(*names: Any) -> Callable[..., Any]:
    return lambda net: [row.values for row in net.cost().rows("node", names)]


QUESTIONS = {
    "output_shape": lambda net: net.output_shape,
    "macs": lambda net: net.macs,
    "flops": lambda net: net.flops,
    "params": lambda net: net.params,
    "cost": columns("work", "other", "backward", "activations", "saved", "moved"),
    "backward": lambda net: net.cost("flops", input_grad=True).backward,
    "dtype": lambda net: net.cost(dtype="float16").saved,
    "peak": lambda net: net.cost().peak,
    "receptive_field": lambda net: net.receptive_field().interval(3),
    "smallest": lambda net: net.receptive_field().smallest,
    "valid_inputs": lambda net: net.valid_inputs(),
    "solve": lambda net: net.solve(output=(7, 7)),
    "budget": lambda net: net.solve(macs=10**9, N=1),
    "even": lambda net: net.solve(even=True),
    "tiles": lambda net: net.tiles(H=100, W=100, tile=48),
    "shards": lambda net: net.shards(H=96, parts=4),
    "stream": lambda net: net.stream(axis="H"),
    "prove": lambda net: re.sub("proved by .*", "", str(net.prove())),
    "explain": lambda net: net.explain("size"),
    "explain a field": lambda net: net.explain("field"),
    "summary": lambda net: re.sub(" +", " ", str(net.summary())),
    "to_code": lambda net: net.to_code(),
    "to_latex": lambda net: net.to_latex(),
    "fix": lambda net: net.fix(output=("H/4", "W/4")),
    "diagnose": lambda net: net.diagnose(H=1, W=1),
    "nearest_valid": lambda net: net.nearest_valid(1, 1),
    "largest_batch": lambda net: net.largest_batch("1 GiB", H=64, W=64),
    "plain_pools": lambda net: net.plain_pools(),
    "spec": lambda net: net.spec("torch.export"),
    "draw": lambda net: net.draw("mermaid"),
    "given": lambda net: net.given(H=32).output_shape,
    "agree": lambda net: symcnn.agree(net, net).sizes,
    "buckets": lambda net: symcnn.buckets(net, {(30, 40): 2, (60, 64): 3}, k=1),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_operation_of_a_user_answers_as_the_layer_that_it_is(both: Any, question: str) -> None:
    torchs, mine = (str(QUESTIONS[question](net)) for net in both)
    assert mine.replace("Mine", "conv2d") == torchs


def test_torch_agrees_with_the_rule_of_a_user(both: Any) -> None:
    assert both[1].validate(network(), "cpu", samples=3)


@pytest.fixture
def silent() -> Iterator[Any]:
    """A network with an operation whose rule says the shape alone."""
    from symcnn.ops.operation import TARGETS

    symcnn.rule(Mine)(shape)
    yield symcnn.from_torch(network(), "N 3 H W")
    TARGETS.pop(Mine, None)


@pytest.mark.parametrize(
    "ask",
    [
        lambda net: net.cost().total,
        lambda net: net.cost().other,
        lambda net: net.cost().saved,
        lambda net: net.receptive_field().size,
    ],
    ids=["macs", "other", "saved", "field"],
)
def test_what_a_record_leaves_open_is_refused_by_name(silent: Any, ask: Callable[..., Any]) -> None:
    with pytest.raises(symcnn.UnsupportedOperation, match="Mine"):
        ask(silent)


def test_a_law_about_a_parameter_that_the_rule_does_not_have_is_refused() -> None:
    with pytest.raises(symcnn.BadSpec, match="no parameter 'image'"):
        symcnn.rule("my_operation", saves="image")(lambda input: input.dims)


class Halved(nn.Module):
    """Half of a number that a tensor holds, by a way that the library cannot follow."""

    def forward(self, n: torch.Tensor) -> None:
        raise RuntimeError("not to be run")


def test_an_operation_of_a_user_is_followed_on_sizes_in_tensors() -> None:
    class Crop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.halved = Halved()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, : int(self.halved(torch.tensor(x.shape[2])))]

    from symcnn.ops.operation import TARGETS

    symcnn.rule(Halved, value=lambda n: n // 2)(lambda module, n: n.dims)
    try:
        net = symcnn.from_torch(Crop(), "N 3 H W")
    finally:
        TARGETS.pop(Halved)
    assert str(net.output_shape) == "(N, 3, H//2, W)"


def test_a_requirement_of_another_relation_is_refused() -> None:
    """Its readers took ``<=`` for ``>=`` or for ``==``."""
    with pytest.raises(symcnn.BadSpec, match="is >= or ==, not <="):
        Condition(1, "<=", 2)  # type: ignore[arg-type]


def test_macs_for_each_element_are_multiplied_out() -> None:
    n, _, h, w = dims = tensor("N 8 H W").dims
    assert Result((dims,), macs=1, each=9).work == 72 * n * h * w + 1


@torch.library.custom_op("symcnn_tests::halved", mutates_args=())
def halved(x: torch.Tensor) -> torch.Tensor:
    """Every second row, by a kernel that only its library knows."""
    return x[:, :, ::2].clone()


class OfALibrary(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        packet = torch.ops.symcnn_tests.halved
        return halved(packet(packet.default(x)))


def test_an_operation_of_a_library_is_refused_by_its_full_name_and_follows_its_rule() -> None:
    from symcnn.ops.operation import TARGETS

    with pytest.raises(symcnn.UnsupportedOperation, match="symcnn_tests::halved has no rule") as no:
        symcnn.from_torch(OfALibrary(), "N 3 H W")
    assert "@symcnn.rule(torch.ops.symcnn_tests.halved)" in str(no.value)

    def rule(x: Any) -> Any:
        n, c, h, w = x.dims
        return n, c, (h + 1) // 2, w

    symcnn.rule(torch.ops.symcnn_tests.halved)(rule)
    try:
        net = symcnn.from_torch(OfALibrary(), "N 3 H W")
    finally:
        TARGETS.pop(torch.ops.symcnn_tests.halved)
    for h in range(1, 41):
        assert net.shape_at(N=1, H=h, W=5) == tuple(OfALibrary()(torch.zeros(1, 3, h, 5)).shape)


class Gate(nn.Module):
    """What python writes in several operations, and a rule as one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = x.sigmoid()
        low = gate * 2
        return (x * gate).tanh() + low


def gated(node: Any) -> Any:
    x = node.arguments["x"]
    gate = apply("sigmoid", x)
    low = apply("mul", gate, 2)
    return [apply("add", apply("tanh", apply("mul", x, gate)), low)], [gate]


def test_an_operation_that_is_written_in_others_keeps_what_these_keep() -> None:
    from symcnn.ops.operation import TARGETS

    def figures() -> tuple[Any, Any]:
        cost = symcnn.from_torch(nn.Sequential(nn.Conv2d(3, 4, 3), Gate()), "N 3 H W").cost()
        return cost.saved, cost.peak

    seen = figures()
    symcnn.rule(Gate, reads="pointwise", macs=0, other=5, steps=gated)(lambda module, x: x.dims)
    try:
        assert figures() == seen
    finally:
        TARGETS.pop(Gate)


def test_what_is_kept_is_said_in_one_way() -> None:
    with pytest.raises(symcnn.BadSpec, match="saves= or by steps="):
        symcnn.rule(Gate, saves="", steps=gated)
