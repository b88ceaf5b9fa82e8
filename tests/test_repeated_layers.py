"""A layer that is called like one before makes the same node as if its forward had run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import symcnn
from symcnn.errors import SymcnnError
from symcnn.frontends.torch import layers
from symcnn.ops.operation import rule
from symcnn.trace.call import RECORDS
from symcnn.trace.graph import OPS, SymbolicTensor

from .conftest import load_example


@contextmanager
def every_forward_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_memory", lambda place, kind: None)
        yield


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    layers._memories.clear()


def facts(net: symcnn.Network) -> list[Any]:
    """All that nodes hold, with tensors by number."""
    numbers: dict[int, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, SymbolicTensor):
            number = numbers.setdefault(id(value), len(numbers))
            return number, type(value), value.name, value.dims, value.dtype, value.trainable
        if isinstance(value, (tuple, list)):
            return type(value), [plain(v) for v in value]
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return type(value), value

    return [
        (
            (n.name, n.op, n.module, n.source, n.mode),
            plain(n.inputs),
            plain(n.outputs),
            None
            if n.call is None
            else (n.call.operation, plain(n.call.args), plain(dict(n.call.kwargs))),
            (n.result.shapes, n.result.axes, n.result.work, n.result.requires, n.result.single),
        )
        for n in net.nodes
    ]


def traced(module: nn.Module, *specs: str) -> Any:
    """All facts of a network, or what it is refused for."""
    try:
        return facts(symcnn.from_torch(module, *specs))
    except SymcnnError as error:
        return type(error), str(error)


def same_as_run(module: nn.Module, *specs: str) -> Any:
    """The facts of a trace, after others of the module, which are those of its forward."""
    with every_forward_runs():
        expected = traced(copy.deepcopy(module), *specs)
    for _ in range(3):
        assert traced(module, *specs) == expected
    return expected


def kept() -> int:
    """How many layers are remembered."""
    return sum(len(memory) for _, memory in layers._memories.values())


class Calls(nn.Module):
    """A network that calls a layer as often as asked."""

    layer: Any

    def __init__(self, layer: Any, times: int = 3) -> None:
        super().__init__()
        self.layer, self.times = layer, times

    def forward(self, x: Any) -> Any:
        for _ in range(self.times):
            x = self.layer(x)
        return x


NETWORKS = [
    ("resnet", "resnet50"),
    ("densenet", "densenet121"),
    ("mobilenet", "mobilenet_v2"),
    ("alexnet", "AlexNet"),
    ("unet", "UNet"),
]


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(("file", "name"), NETWORKS)
def test_real_networks_are_what_their_forwards_make(file: str, name: str, training: bool) -> None:
    build = getattr(load_example(file), name)
    with torch.device("meta"):
        module = build().train(training)
    same_as_run(module, "N 3 H W")
    assert kept()


LAYERS = [
    (nn.Conv2d(4, 4, 3, padding=1), "N 4 H W"),
    (nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular"), "N 4 H W"),
    (nn.Conv2d(4, 4, 3, groups=2, bias=False), "N 4 H W"),
    (nn.ConvTranspose2d(4, 4, 2, stride=2), "N 4 H W"),
    (nn.BatchNorm2d(4), "N 4 H W"),
    (nn.BatchNorm2d(4).eval(), "N 4 H W"),
    (nn.BatchNorm2d(4, affine=False).eval(), "N 4 H W"),
    (nn.BatchNorm2d(4, track_running_stats=False).eval(), "N 4 H W"),
    (nn.GroupNorm(2, 4), "N 4 H W"),
    (nn.InstanceNorm2d(4), "N 4 H W"),
    (nn.LayerNorm(8), "N L 8"),
    (nn.LayerNorm(8, elementwise_affine=False), "N L 8"),
    (nn.RMSNorm(8), "N L 8"),
    (nn.Linear(8, 8), "N L 8"),
    (nn.ReLU(inplace=True), "N 4 H W"),
    (nn.GELU(), "N 4 H W"),
    (nn.Softmax(dim=1), "N 4 H W"),
    (nn.Dropout(), "N 4 H W"),
    (nn.PReLU(4), "N 4 H W"),
    (nn.MaxPool2d(2, ceil_mode=True), "N 4 H W"),
    (nn.AdaptiveAvgPool2d((7, None)), "N 4 H W"),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "N 4 H W"),
    (nn.Upsample(scale_factor=1.5), "N 4 H W"),
    (nn.Flatten(2), "N 4 H W"),
    (nn.ZeroPad2d(1), "N 4 H W"),
    (nn.ReflectionPad2d(1), "N 4 H W"),
    (nn.PixelShuffle(1), "N 4 H W"),
    (nn.Identity(), "N 4 H W"),
    (nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()), "N 4 H W"),
]


@pytest.mark.parametrize(("layer", "spec"), LAYERS, ids=lambda v: type(v).__name__)
def test_a_layer_called_again_makes_what_its_forward_makes(layer: nn.Module, spec: str) -> None:
    same_as_run(Calls(layer), spec)
    same_as_run(layer, spec)


def test_an_equal_layer_reads_its_own_parameters() -> None:
    net = symcnn.from_torch(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), "N 8")
    assert kept() == 1
    assert [p.name for n in net.nodes for p in n.parameters] == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
    ]


def test_a_layer_without_a_bias_is_not_one_with() -> None:
    same_as_run(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8, bias=False)), "N 8")


def test_two_parameters_that_are_one_stay_one() -> None:
    tied = nn.BatchNorm2d(4).eval()
    tied.bias = tied.weight
    same_as_run(nn.Sequential(tied, nn.BatchNorm2d(4).eval(), tied), "N 4 H W")


@pytest.mark.parametrize("kind", ["forward", "pre", "global"])
def test_a_hook_is_called_at_every_call(kind: str) -> None:
    def hook(module: nn.Module, args: Any, output: Any = None) -> Any:
        if isinstance(module, nn.Conv2d):
            return args[0] * 2 if output is None else output * 2
        return None

    net = Calls(nn.Conv2d(4, 4, 3))
    symcnn.from_torch(net, "N 4 H W")
    if kind == "forward":
        handle: Any = net.layer.register_forward_hook(hook)
    elif kind == "pre":
        handle = net.layer.register_forward_pre_hook(hook)
    else:
        handle = nn.modules.module.register_module_forward_hook(hook)
    try:
        ops = [n.op for n in symcnn.from_torch(net, "N 4 H W").nodes]
    finally:
        handle.remove()
    assert sorted(ops) == ["conv2d"] * 3 + ["mul"] * 3
    assert [n.op for n in symcnn.from_torch(net, "N 4 H W").nodes] == ["conv2d"] * 3


def test_a_hook_that_the_forward_registers_is_called() -> None:
    class Registers(Calls):
        def forward(self, x: Any) -> Any:
            x = self.layer(x)
            self.layer.register_forward_hook(lambda module, args, output: output + 1)
            return self.layer(x)

    ops = [n.op for n in symcnn.from_torch(Registers(nn.Conv2d(4, 4, 3)), "N 4 H W").nodes]
    assert ops == ["conv2d", "conv2d", "add"]


def test_the_forward_of_a_derived_class_runs() -> None:
    class Shifted(nn.Linear):
        def forward(self, input: Any) -> Any:
            return super().forward(input) + 1

    net = symcnn.from_torch(nn.Sequential(nn.Linear(8, 8), Shifted(8, 8), Shifted(8, 8)), "N 8")
    assert [n.op for n in net.nodes] == ["linear", "linear", "add", "linear", "add"]


def test_a_forward_put_on_an_instance_runs() -> None:
    net = Calls(nn.Linear(8, 8))
    symcnn.from_torch(net, "N 8")
    net.layer.forward = lambda x: x + 1
    assert [n.op for n in symcnn.from_torch(net, "N 8").nodes] == ["add"] * 3


def test_a_forward_put_on_the_class_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Calls(nn.Conv2d(4, 4, 3))
    symcnn.from_torch(net, "N 4 H W")
    for name in ("_conv_forward", "forward"):
        monkeypatch.setattr(nn.Conv2d, name, lambda self, x, *rest: x + 1)
        assert [n.op for n in symcnn.from_torch(net, "N 4 H W").nodes] == ["add"] * 3
        monkeypatch.undo()
        assert [n.op for n in symcnn.from_torch(net, "N 4 H W").nodes] == ["conv2d"] * 3


def test_a_function_put_in_place_of_torchs_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Calls(nn.ReLU())
    symcnn.from_torch(net, "N 4")
    monkeypatch.setattr(nn.functional, "relu", lambda x, inplace=False: x * x)
    assert [n.op for n in symcnn.from_torch(net, "N 4").nodes] == ["mul"] * 3
    monkeypatch.undo()
    assert [n.op for n in symcnn.from_torch(net, "N 4").nodes] == ["relu"] * 3


@pytest.mark.parametrize("how", [parametrizations.spectral_norm, parametrizations.weight_norm])
def test_a_parametrized_weight_is_made_anew(how: Any) -> None:
    net = Calls(nn.Linear(8, 8))
    plain = len(traced(net, "N 8"))
    how(net.layer)
    assert len(same_as_run(net, "N 8")) > plain
    parametrize.remove_parametrizations(net.layer, "weight")
    assert len(same_as_run(net, "N 8")) == plain


def test_a_setting_that_the_forward_changes_is_read_again() -> None:
    class Strides(Calls):
        def forward(self, x: Any) -> Any:
            for stride in (1, 2, 1, 2):
                self.layer.stride = (stride, stride)
                x = self.layer(x)
            return x

    module = Strides(nn.Conv2d(4, 4, 1))
    expected = same_as_run(module, "N 4 H W")
    assert len(expected) == 4
    assert str(symcnn.from_torch(module, "N 4 H W").output_shape[2]) == "(H + 3)//4"


def test_a_weight_that_the_forward_changes_is_read_again() -> None:
    class Pruned(Calls):
        def forward(self, x: Any) -> Any:
            x = self.layer(x)
            self.layer.weight = nn.Parameter(self.layer.weight[:, :, 1:2, 1:2])
            return self.layer(x)

    same_as_run(Pruned(nn.Conv2d(4, 4, 3, bias=False)), "N 4 H W")


def test_equal_settings_of_another_type_are_refused_as_torch_refuses_them() -> None:
    net = Calls(nn.MaxPool2d(2))
    symcnn.from_torch(net, "N 4 H W")
    net.layer.kernel_size = 2.0
    with every_forward_runs():
        expected = traced(net, "N 4 H W")
    assert traced(net, "N 4 H W") == expected


def test_a_mode_of_the_model_sees_every_call() -> None:
    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **kwargs or {})

    class Watched(Calls):
        def forward(self, x: Any) -> Any:
            with Mode():
                return super().forward(x)

    seen: list[Any] = []
    for _ in range(2):
        symcnn.from_torch(Watched(nn.ReLU()), "N 4")
    assert seen.count(nn.functional.relu) == 6


def test_autocast_and_no_grad_are_seen() -> None:
    class Regions(Calls):
        def forward(self, x: Any) -> Any:
            x = self.layer(x)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                x = self.layer(x)
            with torch.no_grad():
                return self.layer(x.float())

    expected = same_as_run(Regions(nn.Linear(8, 8)), "N 8")
    assert [(head[4].grad, head[4].cast) for head, *_ in expected if head[1] == "linear"] == [
        (True, ""),
        (True, "bfloat16"),
        (False, ""),
    ]


def test_a_norm_in_training_counts_and_leaves_the_module_as_it_was() -> None:
    class Asks(Calls):
        def forward(self, x: Any) -> Any:
            x = super().forward(x)
            return x[..., : int(self.layer.num_batches_tracked)]

    module = Asks(nn.BatchNorm1d(4))
    for _ in range(2):
        assert symcnn.from_torch(module, "N 4 L").shape_at(N=1, L=9)[-1] == 3
        assert int(module.layer.num_batches_tracked) == 0
    same_as_run(module, "N 4 L")


def test_another_rule_for_the_operation_is_asked() -> None:
    net = Calls(nn.ReLU(), 1)
    symcnn.from_torch(net, "N 4")
    before = OPS["relu"], RECORDS["relu"]
    try:

        @rule("relu")
        def doubled(input: SymbolicTensor, inplace: bool = False) -> Any:
            return (*input.dims[:-1], 2 * input.dims[-1])

        assert symcnn.from_torch(net, "N 4").output_shape[-1] == 8
    finally:
        OPS["relu"], RECORDS["relu"] = before
    assert symcnn.from_torch(net, "N 4").output_shape[-1] == 4


def test_a_rule_that_asks_which_sizes_are_left_is_asked_again() -> None:
    class Maxima(Calls):
        def forward(self, x: Any, y: Any = None) -> Any:
            z = torch.cat([x, y], 1)
            return self.layer(z)

    same_as_run(Maxima(nn.AdaptiveMaxPool1d(4)), "N L A", "N L B")


def test_a_rule_that_asks_where_a_tensor_comes_from_is_asked_again() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 4)

        def forward(self, ids: Any) -> Any:
            return self.table(ids + 1), self.table(ids.float())

    class Plain(Looks):
        def forward(self, ids: Any) -> Any:
            return self.table(ids + 1), self.table(ids)

    same_as_run(Plain(), "N L")
    same_as_run(Looks(), "N L")
    with pytest.raises(symcnn.ShapeMismatch, match="embedding of float32, its input"):
        symcnn.from_torch(Looks(), "N L")


def test_a_tensor_in_place_of_a_parameter_is_read() -> None:
    class Written(Calls):
        def forward(self, x: Any) -> Any:
            y = self.layer(x)
            self.layer.bias.data.copy_(y.mean(0))
            return self.layer(y)

    same_as_run(Written(nn.Linear(8, 8)), "N 8")


def test_a_refused_size_is_refused_each_time() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 8))
    same_as_run(net, "N 8")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_MANY", 4)
    for width in range(1, 12):
        symcnn.from_torch(nn.Linear(width, width), f"N {width}")
        symcnn.from_torch(Calls(nn.Linear(width, width)), f"N {width}")
        assert kept() <= 4
