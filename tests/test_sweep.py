"""Random layers in great number, in small: what `make fuzz` does, and that it would notice."""

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
from symcnn import nn
from symcnn.testing import KINDS, Layer
from symcnn.testing.sweep import case, main, sweep

CONTAINERS = {"Module", "ModuleDict", "ModuleList", "Repeat", "Sequential"}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_every_kind_have_torchs_shape(kind):
    tally = sweep(7, kind, range(60))
    assert tally.total == 60
    assert tally.mismatches == []


def test_the_kinds_cover_every_layer_there_is():
    drawn = {case(0, kind, i)[0].name for kind in KINDS for i in range(600)}
    assert {*nn.__all__} - CONTAINERS <= drawn


def test_a_case_is_always_the_same():
    assert case(3, "conv", 5) == case(3, "conv", 5)
    assert case(3, "conv", 5) != case(4, "conv", 5)


def test_a_mismatch_is_reported_as_python_that_makes_the_layer(monkeypatch):
    monkeypatch.setattr(Layer, "symcnn_shape", lambda self, at: (0,))
    (line,) = sweep(7, "linear", range(1)).mismatches
    made = line.split(": ", 1)[1].split("  # ")[0]
    layer, at = eval(made, {"Layer": Layer})
    assert (layer.name, at) == (case(7, "linear", 0)[0].name, case(7, "linear", 0)[1])


def test_the_command_counts_and_exits_with_success():
    result = CliRunner().invoke(main, ["--cases", "40", "--processes", "1", "--kind", "pad"])
    assert result.exit_code == 0, result.output
    assert "40 cases of" in result.output
    assert "0 mismatches" in result.output
