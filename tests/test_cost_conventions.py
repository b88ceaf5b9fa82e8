"""Conventions against the tools they are named after; skipped where a tool is not installed."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import symcnn

from .conftest import formula


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, self.conv.weight)


def flops(module: Any, x: Any) -> Any:
    with FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


def fvcore(module: Any, x: Any) -> Any:
    from fvcore.nn import FlopCountAnalysis

    logging.disable(logging.WARNING)
    analysis = FlopCountAnalysis(module, x).unsupported_ops_warnings(False)
    return analysis.uncalled_modules_warnings(False).total()


def thop(module: Any, x: Any) -> Any:
    from thop import profile

    return profile(module, inputs=(x,), verbose=False)[0]


def ptflops(module: nn.Module, x: torch.Tensor, twice: bool = False) -> Any:
    from ptflops import get_model_complexity_info

    return get_model_complexity_info(
        module,
        tuple(x.shape[1:]),
        as_strings=False,
        print_per_layer_stat=False,
        backend="pytorch",
        backend_specific_config={"count_functional": twice},
    )[0]


def torchinfo(module: Any, x: Any) -> Any:
    from torchinfo import summary

    return summary(module, input_data=x, verbose=0).total_mult_adds


TOOLS = {"flops": flops, "fvcore": fvcore, "thop": thop, "ptflops": ptflops, "torchinfo": torchinfo}


def counted(tool: Any, module: Any, shape: tuple[Any, ...]) -> Any:
    """What the tool says, on the module's device, for one image."""
    if tool != "flops":
        pytest.importorskip(tool, reason=f"{tool} is not installed")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        device = next(iter(module.parameters()), torch.empty(0)).device
        return TOOLS[tool](module.eval(), torch.zeros(shape, device=device))


def ours(tool: Any, module: Any, shape: tuple[Any, ...]) -> Any:
    net = symcnn.from_torch(module.eval(), " ".join(["N", *map(str, shape[1:])]))
    return formula(net.cost(tool).total).at(N=shape[0])


NETWORKS = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, groups=8, bias=False)
    ),
    "norms": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.BatchNorm2d(8),
        nn.BatchNorm2d(8, affine=False),
        nn.InstanceNorm2d(8, affine=True),
    ),
    "pools": lambda: nn.Sequential(
        nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    ),
    "a classifier": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8192, 10)
    ),
    "activations": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.PReLU(), nn.LeakyReLU(), nn.ReLU6(), nn.GELU(), nn.ELU()
    ),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "nearest": lambda: nn.Upsample(scale_factor=2),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_convention_counts_what_its_tool_counts(tool: str, network: str) -> None:
    module = NETWORKS[network]()
    assert ours(tool, module, (1, 3, 32, 32)) == counted(tool, module, (1, 3, 32, 32))


EXAMPLES = ["resnet:resnet18", "resnet:resnet50", "vgg:vgg16", "mobilenet:mobilenet_v2"]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_example_networks_by_every_convention(
    tool: str, name: str, example: Callable[..., Any]
) -> None:
    module = example(name, "cpu" if tool == "fvcore" else "meta")  # jit traces numbers
    gap = ours(tool, module, (1, 3, 224, 224)) - counted(tool, module, (1, 3, 224, 224))
    cost = symcnn.from_torch(module, "N 3 H W").cost(tool).at(N=1, H=224, W=224)
    unseen = {"thop": ("adaptive_avg_pool2d",), "ptflops": ("adaptive_avg_pool2d", "add")}
    functions = [row for row in cost.rows("node", ("work",)) if row.op in unseen.get(tool, ())]
    pooled_by_a_layer = [row for row in functions if row.name == "avgpool"]
    assert gap == sum(r["work"] for r in functions) - sum(r["work"] for r in pooled_by_a_layer)


# Where a tool departs from its own definition. docs/cost.md quotes these numbers.


def test_thop_and_torchinfo_count_transposed_convolutions_on_their_output() -> None:
    module = nn.ConvTranspose2d(16, 8, 2, stride=2, bias=False)
    true = 16 * 8 * 2 * 2 * 7 * 7
    assert {tool: ours(tool, module, (1, 16, 7, 7)) for tool in TOOLS} == {
        tool: 2 * true if tool == "flops" else true for tool in TOOLS
    }
    said = {tool: counted(tool, module, (1, 16, 7, 7)) for tool in TOOLS}
    assert said.pop("thop") == said.pop("torchinfo") == 4 * true
    assert said == {"flops": 2 * true, "fvcore": true, "ptflops": true}


def test_thop_and_torchinfo_miss_functions() -> None:
    module = Functional()
    assert counted("thop", module, (1, 3, 9, 9)) == counted("torchinfo", module, (1, 3, 9, 9)) == 0
    assert ours("thop", module, (1, 3, 9, 9)) == 8 * 27 * 7 * 7


def test_ptflops_counts_a_layer_and_the_function_it_calls() -> None:
    pytest.importorskip("ptflops", reason="ptflops is not installed")
    assert ptflops(nn.ReLU(), torch.zeros(1, 3, 8, 8), twice=True) == 2 * 3 * 8 * 8
    assert ours("ptflops", nn.ReLU(), (1, 3, 8, 8)) == 3 * 8 * 8


def test_torchinfo_counts_a_linear_layer_once_however_long_the_sequence() -> None:
    module = nn.Linear(8, 4)
    assert counted("torchinfo", module, (1, 100, 8)) == ours("torchinfo", module, (1, 100, 8)) == 36
    assert ours("macs", module, (1, 100, 8)) == 3200
