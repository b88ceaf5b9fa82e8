"""Exported, compiled, scripted modules: unwrapped, or told what to give instead."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, export

import symcnn
from symcnn.errors import BadSpec


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.norm(self.conv(x)).relu()
        y = nn.functional.interpolate(y, scale_factor=2)
        return self.fc(y.mean((2, 3))).view(x.shape[0], -1), y


@pytest.fixture(scope="module")
def program() -> Any:
    dims = {0: Dim("N"), 2: Dim("H", min=6), 3: Dim("W", min=6)}
    return export(Net().eval(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(dims,))


def test_a_program_has_the_sizes_under_the_names_of_their_dims(program: Any) -> None:
    net = symcnn.from_exported(program)
    torchs = symcnn.from_torch(Net().eval(), "N 3 H W")
    assert net.output_shape == torchs.output_shape
    assert (net.params, net.macs) == (torchs.params, torchs.macs)
    assert [n.name for n in net.nodes][:2] == ["conv", "norm"]
    assert str(net.at("conv").output_shape) == str(torchs.at("conv").output_shape)


def test_the_ranges_of_dims_belong_to_the_domain(program: Any) -> None:
    assert str(symcnn.from_exported(program).valid_inputs()) == "H >= 6 and W >= 6"


def test_a_program_in_core_aten_is_the_same_network(program: Any) -> None:
    net = symcnn.from_exported(program.run_decompositions())
    assert net.output_shape == symcnn.from_exported(program).output_shape
    assert net.macs == symcnn.from_exported(program).macs


def test_the_module_of_a_program_takes_any_spec(program: Any) -> None:
    net = symcnn.from_torch(program.module(), "1 3 H W")
    assert net.output_shape[1] == symcnn.from_torch(Net().eval(), "1 3 H W").output_shape[1]


def test_a_dim_that_is_a_multiple() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(4)).eval()
    dims = {2: 4 * Dim("_h", min=2), 3: 4 * Dim("_w", min=2)}
    program = export(net, (torch.zeros(1, 3, 32, 32),), dynamic_shapes=(dims,))
    assert str(symcnn.from_exported(program).output_shape) == "(1, 8, _h, _w)"


def test_a_compiled_module_is_unwrapped() -> None:
    net = symcnn.from_torch(torch.compile(nn.Conv2d(3, 8, 3)), "N 3 H W")  # type: ignore[arg-type]
    assert str(net.output_shape) == "(N, 8, H - 2, W - 2)"


def test_a_module_in_data_parallel_is_itself() -> None:
    net = symcnn.from_torch(nn.DataParallel(nn.Conv2d(3, 8, 3)), "N 3 H W")
    assert str(net.output_shape) == "(N, 8, H - 2, W - 2)"


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_module_says_what_to_give() -> None:
    for module in (
        torch.jit.script(nn.Conv2d(3, 8, 3)),
        torch.jit.trace(nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 9, 9)),
    ):
        with pytest.raises(BadSpec, match="give the module that it was made from"):
            symcnn.from_torch(module, "N 3 H W")


def test_a_program_given_to_from_torch(program: Any) -> None:
    with pytest.raises(BadSpec, match="from_exported"):
        symcnn.from_torch(program, "N 3 H W")


def test_a_module_given_to_from_exported() -> None:
    with pytest.raises(BadSpec, match="from_torch"):
        symcnn.from_exported(nn.Conv2d(3, 8, 3))  # type: ignore[arg-type]
