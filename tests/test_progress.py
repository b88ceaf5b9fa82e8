"""Bars appear on standard error where a call takes long, and nowhere else."""

import json
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

import symcnn
from symcnn import nn, progress
from symcnn.cli import main
from symcnn.progress import silent, waiting, watched

from .conftest import ROOT


class Told(list[Any]):
    """What bars and spinners were told; `shown`: a spinner appeared."""

    def __init__(self) -> None:
        self.shown = Event()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Every bar appears at once; what the bars were told."""
    told = Told()

    class Bar:
        def add_task(self, text: str, total: Any) -> int:
            told.append((text, total))
            return 0

        def start(self) -> None: ...

        def stop(self) -> None:
            told.append("stopped")

        def update(self, task: Any, completed: Any) -> None: ...

    monkeypatch.setattr(progress, "PATIENCE", -1)
    monkeypatch.setattr(progress, "_bar", Bar)

    class Spinner(Bar):
        def __init__(self, text: str) -> None:
            told.append(text)
            told.shown.set()

    monkeypatch.setattr(progress, "_status", Spinner)
    return told


def test_what_takes_long_shows_a_bar_that_goes_away(impatient: Any) -> None:
    assert list(watched(range(3), "counting", total=3)) == [0, 1, 2]
    assert impatient == [("counting", 3), "stopped"]


def test_the_bar_goes_away_where_the_reader_stops(impatient: Any) -> None:
    for _ in watched(range(3), "counting"):
        break
    assert impatient[-1] == "stopped"


def test_what_is_quick_shows_none(impatient: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 60)
    assert list(watched("ab", "reading")) == ["a", "b"]
    assert impatient == []


def test_programs_see_none(impatient: Any) -> None:
    with silent():
        assert list(watched("ab", "reading")) == ["a", "b"]
    assert impatient == []


def test_the_bar_is_on_standard_error() -> None:
    assert progress._bar().console.stderr


def test_work_that_cannot_be_counted_shows_a_spinner(impatient: Any) -> None:
    with waiting("thinking"):
        assert impatient.shown.wait(10)
    assert impatient == ["thinking", "stopped"]


def test_a_spinner_makes_way_for_a_bar(impatient: Any) -> None:
    with waiting("thinking"):
        assert impatient.shown.wait(10)
        list(watched(range(2), "counting"))
    assert impatient == ["thinking", "stopped", ("counting", None), "stopped"]


def test_what_is_done_before_needs_no_spinner(
    impatient: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 60)
    with waiting("thinking"):
        pass
    assert impatient == []


SOLVE = ["solve", "examples/networks/resnet.py:resnet18", "--input", "N 3 H W", "--macs", "1G"]


def test_the_command_line_shows_them_but_not_in_json(
    impatient: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(main, [*SOLVE, "--output", "7x*"]).exit_code == 0
    assert impatient[0] == "solve ..."
    impatient.clear()
    result = CliRunner().invoke(main, [*SOLVE, "--json"])
    assert json.loads(result.stdout)["frontier"]
    assert impatient == []


def test_a_frontier_and_open_hyperparameters_show_bars(impatient: Any) -> None:
    k = symcnn.symbols("k")
    net = nn.Conv2d(3, 8, k).trace("N 3 H W")
    net.given(k=3).solve(macs=10**6).frontier()
    net.solve(output=(7, 7), k=[1, 3])
    told = [entry for entry in impatient if entry != "stopped"]
    assert told == [("walking along the frontier", None), ("trying k", 2)]
