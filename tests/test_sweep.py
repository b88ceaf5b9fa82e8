"""The fuzz harness in small: that it judges, would notice, resumes, stops, and names every case."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from symcnn import nn
from symcnn.errors import BadSpec
from symcnn.network import Network
from symcnn.sets.inputset import InputSet
from symcnn.testing import KINDS, Layer

from .fuzz import campaign
from .fuzz.__main__ import main
from .fuzz.campaign import Campaign
from .fuzz.sweep import Tally, case, domain_case, judge_cases, layer_case, network_case

CONTAINERS = {"Module", "ModuleDict", "ModuleList", "Repeat", "Sequential"}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_every_kind_have_torchs_shape(kind: Any) -> None:
    first = KINDS.index(kind)
    tally = judge_cases("layer", 7, range(first, first + 60 * len(KINDS), len(KINDS)))
    assert tally.kinds == {kind: 60}
    assert tally.mismatches == []


def test_random_networks_have_torchs_shapes_domain_and_cost() -> None:
    tally = judge_cases("network", 7, range(60))
    assert (tally.networks, tally.mismatches) == (60, [])
    assert tally.sizes > 300
    assert tally.counts["sizes that torch refuses"] > 30


def test_a_network_is_valid_at_sizes_at_which_a_map_on_the_way_is_empty() -> None:
    """Cropped to nothing and padded to 1, which a sum then stretches: torch takes L of 7 to 9."""
    tally = judge_cases("network", 4, [3332])
    assert tally.mismatches == []
    assert not tally.counts["networks that take no size"]


@pytest.mark.parametrize("number", [685724, 887849])
def test_a_mask_of_one_element_is_refused_as_torch_does_in_training(number: int) -> None:
    """In inference transformer layers take a short cut that views a mask as L x L, unchecked."""
    assert judge_cases("layer", 4, [number]).mismatches == []


def test_domains_are_what_torch_takes_at_every_size() -> None:
    tally = judge_cases("domain", 7, range(2))
    assert (tally.domains, tally.mismatches) == (2, [])
    assert tally.counts["sizes at which domains were compared"] > 2 * 300
    assert tally.counts["fibres compared at all of these sizes"] == 8


def test_the_kinds_cover_every_layer_there_is() -> None:
    drawn = {case(0, kind, i)[0].name for kind in KINDS for i in range(600)}
    assert {*nn.__all__} - CONTAINERS <= drawn


def test_a_case_is_always_the_same() -> None:
    assert layer_case(3, 5) == layer_case(3, 5)
    assert layer_case(3, 5) != layer_case(4, 5)
    assert network_case(3, 5) == network_case(3, 5)
    assert network_case(3, 5) != network_case(3, 6)
    recipe, draw = domain_case(3, 5)
    again, same = domain_case(3, 5)
    assert (recipe, draw.random()) == (again, same.random())
    assert domain_case(3, 5)[0] != domain_case(3, 6)[0]


# That it would notice ------------------------------------------------------------------------


def test_a_mismatch_is_reported_as_python_that_makes_the_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Layer, "symcnn_shape", lambda self, at: (0,))
    (found,) = judge_cases("layer", 7, [0]).mismatches
    assert found.case == "layer:0"
    layer, at = eval(found.told.split("  # ")[0], {"Layer": Layer})
    assert (layer.name, at) == (case(7, KINDS[0], 0)[0].name, case(7, KINDS[0], 0)[1])


@pytest.mark.parametrize(
    ("attribute", "wrong", "words"),
    [
        ("params", lambda net: -1, "-1 parameters"),
        ("output_tensors", lambda net: (), r"\[\] at"),
        ("cost", lambda net: lambda _: _Nothing(), "0 FLOPs at"),
        ("valid_inputs", lambda net: lambda: _Everything(), "the layers and the set"),
    ],
)
def test_a_network_that_says_something_else_is_told(
    attribute: str, wrong: Callable[..., Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, attribute, property(wrong))
    found = judge_cases("network", 7, range(12)).mismatches
    assert any(re.search(words, m.told) for m in found), found


class _Nothing:
    total = 0

    def at(self, **sizes: Any) -> Any:
        return self


class _Everything:
    shown = ("H",)

    def __contains__(self, size: Any) -> bool:
        return True

    def nearest(self, *size: Any) -> int:
        return 1


# Resuming ------------------------------------------------------------------------------------


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(campaign.BLOCKS, "layer", 20)
    monkeypatch.setitem(campaign.BLOCKS, "network", 5)


@pytest.mark.usefixtures("_small_blocks")
def test_a_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert Campaign(7).run({"layer": 40}, processes=1, path=file)
    more = Campaign.load(file, 7)
    assert more.missing("layer", 50) == [(40, 50)]
    assert more.run({"layer": 50, "network": 5}, processes=2, path=file)
    whole = Campaign.load(file, 7)
    assert whole.done == {"layer": [(0, 50)], "network": [(0, 5)]}
    assert (whole.tally.layers, whole.tally.networks) == (50, 5)
    assert [run["cases"] for run in whole.runs] == [{"layer": 40}, {"layer": 10, "network": 5}]
    assert whole.tally == Tally.from_dict(whole.tally.to_dict())


@pytest.mark.usefixtures("_small_blocks")
def test_stopped_it_keeps_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "state.json"

    def stop(_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    stopped = Campaign(7)
    assert not stopped.run({"layer": 200}, processes=1, path=file, told=stop)
    assert 0 < Campaign.load(file, 7).done_below("layer", 200) < 200


def test_a_process_that_dies_is_told() -> None:
    (mismatch,) = campaign._received(*_dead_worker(), "layer", 0, 20).mismatches
    assert mismatch.told == "the process died (exit 3) within layer 0 to 19"


def _dead_worker() -> tuple[Any, Any]:
    context = campaign._context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=os._exit, args=(3,))
    process.start()
    theirs.close()
    return ours, process


def test_another_seed_or_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    Campaign(7).save(file)
    with pytest.raises(BadSpec, match="is of seed 7, not 8"):
        Campaign.load(file, 8)
    file.write_text("{}")
    with pytest.raises(BadSpec, match="holds no sweep"):
        Campaign.load(file, 7)


# The command ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("_small_blocks")
def test_the_command_counts_writes_a_summary_and_exits_with_success(tmp_path: Path) -> None:
    state, report = tmp_path / "state.json", tmp_path / "sweep.md"
    asked = [
        "--layers",
        "50",
        "--networks",
        "5",
        "--domains",
        "1",
        "--fields",
        "3",
        "--places",
        "4",
        "--forms",
        "30",
        "--branching",
        "3",
    ]
    command = [*asked, "--processes", "1", "--seed", "7"]
    result = CliRunner().invoke(
        main, [*command, "--state", str(state), "--report", str(report), "--json"]
    )
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    done = {"layer": 50, "network": 5, "domain": 1, "field": 3, "place": 4, "form": 30}
    assert answer["done"] == done | {"branching": 3}
    assert (answer["wrong"], answer["complete"], answer["seed"]) == (0, True, 7)
    summary = report.read_text()
    judged = r"50 layer cases \(\d+ layers\), 5 networks at \d+ sizes, 1 domains"
    judged += ", 3 receptive fields, 4 places, 30 calls, 3 branching networks: no mismatch"
    assert re.search(judged, summary)
    assert "no mismatch" in summary
    assert "torch 2." in summary


def test_the_command_looks_at_one_case() -> None:
    result = CliRunner().invoke(main, ["--seed", "2", "--case", "13969"])
    assert result.exit_code == 0, result.output
    assert "layer:13969 (pair loss): Layer('TripletMarginLoss'" in result.output
    result = CliRunner().invoke(main, ["--case", "network:3", "--json"])
    assert json.loads(result.output)["networks"] == 1


def test_a_domain_that_is_wrong_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InputSet, "boxes", lambda members: iter([]))
    result = CliRunner().invoke(main, ["--case", "domain:0"])
    assert result.exit_code == 1
    assert "domain:0" in result.output


@pytest.mark.parametrize("text", ["layers:1", "network:", "x"])
def test_what_is_no_case_is_refused(text: str) -> None:
    result = CliRunner().invoke(main, ["--case", text])
    assert result.exit_code == 2
    assert "is no case" in result.output


# On another device ---------------------------------------------------------------------------


def test_what_only_a_device_refuses_or_takes_is_counted_and_no_mismatch() -> None:
    """Meta functions refuse layers that the CPU takes, and take some that it refuses."""
    tally = judge_cases("layer", 0, range(600), "meta")
    assert tally.mismatches == []
    assert tally.counts["layers that only meta refuses"] > 5
    assert tally.counts["layers that only meta takes"] > 0


def test_networks_run_on_the_device_beside_meta() -> None:
    tally = judge_cases("network", 7, range(20), "cpu")
    assert tally.mismatches == []
    assert tally.counts["sizes at which networks ran on cpu"] > 60


def test_a_shape_that_a_device_alone_gives_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Layer, "torch_shape", lambda self, at, device="cpu": (1,) if device == "meta" else (2,)
    )
    monkeypatch.setattr(Layer, "symcnn_shape", lambda self, at: (2,))
    (found,) = judge_cases("layer", 0, [0], "meta").mismatches
    assert found.told.endswith("# (2,), torch: (1,)")


def test_a_full_card_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Layer, "build_torch", full)
    (found,) = judge_cases("layer", 0, [0]).mismatches
    assert "not judged: OutOfMemoryError" in found.told


def test_a_state_goes_on_with_its_own_device_only(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    Campaign(7, "meta").save(file)
    assert Campaign.load(file, 7, "meta").device == "meta"
    with pytest.raises(BadSpec, match="is of device meta, not none"):
        Campaign.load(file, 7)


def test_on_a_card_a_process_does_ten_times_as_many() -> None:
    assert Campaign(0).missing("network", 400)[0] == (0, 20)
    assert Campaign(0, "cuda:0").missing("network", 400)[0] == (0, 200)


def test_a_device_that_is_not_there_is_refused() -> None:
    result = CliRunner().invoke(main, ["--layers", "1", "--device", "cuda:99"])
    assert result.exit_code == 2
    assert "no device 'cuda:99'" in result.output


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_layers_and_networks_have_their_shapes_on_a_card() -> None:
    for what, count in (("layer", 500), ("network", 20)):
        assert judge_cases(what, 7, range(count), "cuda").mismatches == []
