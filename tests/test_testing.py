"""`symcnn.testing`, what other people's tests use: strategies for inputs, torch as the oracle."""

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import symcnn
from symcnn.errors import BadSpec, NoSolution, SymcnnError
from symcnn.questions.field.field_at import FieldAt
from symcnn.testing import (
    assert_cost,
    assert_receptive_field,
    assert_shapes,
    invalid_inputs,
    shapes,
    valid_inputs,
)
from symcnn.testing.networks import networks
from symcnn.testing.oracles import torch_saved

from .conftest import ROOT

POOLED = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3))
NET = symcnn.from_torch(POOLED, "N 3 H W")


@given(valid_inputs(NET))
def test_valid_inputs_are_taken(sizes: Any) -> None:
    assert POOLED(torch.zeros(sizes["N"], 3, sizes["H"], sizes["W"])).shape == NET.shape_at(**sizes)


@given(invalid_inputs(NET, most=12))
def test_invalid_inputs_are_refused(sizes: Any) -> None:
    with pytest.raises(RuntimeError):
        POOLED(torch.zeros(sizes["N"], 3, sizes["H"], sizes["W"]))


@given(st.data(), networks("conv", "pool", "crop"))
def test_both_hold_for_random_networks(data: st.DataObject, recipe: Any) -> None:
    try:
        net = symcnn.from_torch(recipe.build(), recipe.spec)
    except SymcnnError:  # of no size
        return
    domain = net.valid_inputs()
    names = domain.shown
    if domain:
        sizes = data.draw(valid_inputs(net))
        assert tuple(sizes[n] for n in names) in domain
    try:
        sizes = data.draw(invalid_inputs(net))
    except NoSolution:
        return
    assert tuple(sizes[n] for n in names) not in domain


@given(shapes("N 3 S S", most=9))
def test_shapes_have_the_form_of_the_spec(shape: Any) -> None:
    n, three, h, w = shape
    assert three == 3
    assert h == w
    assert 1 <= n <= 9
    assert 1 <= h <= 9


@pytest.mark.filterwarnings("ignore:The .*example:Warning")
def test_a_network_that_takes_everything_has_no_invalid_inputs() -> None:
    net = symcnn.from_torch(nn.ReLU(), "N 3 H W")
    with pytest.raises(NoSolution, match="every input is valid"):
        invalid_inputs(net).example()


@pytest.mark.filterwarnings("ignore:The .*example:Warning")
def test_a_malformed_shape_is_refused() -> None:
    with pytest.raises(BadSpec):
        shapes("N 3 H ?").example()


def test_the_oracles_are_silent_on_a_right_network() -> None:
    assert_shapes(POOLED, NET, samples=8)
    assert_cost(POOLED, NET, samples=8)
    assert_receptive_field(POOLED, NET, samples=8)


def test_assert_shapes_names_the_smallest_sizes() -> None:
    other = nn.Sequential(POOLED[0], nn.MaxPool2d(3, ceil_mode=True))
    with pytest.raises(AssertionError, match=r"refusals at N=1, H=3, W=3: .* torch \(1, 4, 1, 1\)"):
        assert_shapes(other, NET)


def test_assert_cost_sees_forgotten_groups() -> None:
    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 2, 3, 3))
            self.groups = 2

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x if self.groups == 2 else x[:, :2]
            return nn.functional.conv2d(x, self.weight, groups=self.groups)

    module = Grouped()
    net = symcnn.from_torch(module, "N 4 H W")
    assert_cost(module, net)
    net.__dict__["params"] = 2 * net.params
    with pytest.raises(AssertionError, match="parameters: symcnn says 144, torch 72"):
        assert_cost(module, net)


def test_assert_receptive_field_names_the_output_index(monkeypatch: pytest.MonkeyPatch) -> None:
    right = FieldAt.table
    monkeypatch.setattr(FieldAt, "table", lambda self, axis=0: right(self, axis) & False)
    with pytest.raises(AssertionError, match="output index 0 along H"):
        assert_receptive_field(POOLED, NET)


def test_an_oracle_that_could_compare_nothing_does_not_pass() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(1, 4))
    with pytest.raises(BadSpec, match="nothing could be compared"):
        assert_receptive_field(module, symcnn.from_torch(module, "N 3 H W"))


def test_what_autograd_keeps_is_counted_and_let_go() -> None:
    """An output that its own function keeps, as a sigmoid's is, holds the whole module."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid())
    weight = weakref.ref(module[0].weight)
    assert torch_saved(symcnn.from_torch(module, "1 3 8 8"), module, {}) == 4 * (3 * 64 + 4 * 36)
    del module
    gc.collect()
    assert weight() is None


def test_importing_it_loads_no_torch() -> None:
    code = "import symcnn.testing, sys; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_strangers_tests_find_the_planted_bug() -> None:
    project = ROOT / "examples" / "property_tests"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "2 passed, 1 xfailed" in run.stdout
