"""Bars appear on standard error where a call takes long, and nowhere else."""

import pytest

from symcnn import progress
from symcnn.progress import silent, watched


@pytest.fixture
def impatient(monkeypatch):
    """Every bar appears at once; what the bars were told."""
    told = []

    class Bar:
        def add_task(self, text, total):
            told.append((text, total))
            return 0

        def start(self): ...

        def stop(self):
            told.append("stopped")

        def update(self, task, completed): ...

    monkeypatch.setattr(progress, "PATIENCE", -1)
    monkeypatch.setattr(progress, "_bar", Bar)
    return told


def test_what_takes_long_shows_a_bar_that_goes_away(impatient):
    assert list(watched(range(3), "counting", total=3)) == [0, 1, 2]
    assert impatient == [("counting", 3), "stopped"]


def test_the_bar_goes_away_where_the_reader_stops(impatient):
    for _ in watched(range(3), "counting"):
        break
    assert impatient[-1] == "stopped"


def test_what_is_quick_shows_none(impatient, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 60)
    assert list(watched("ab", "reading")) == ["a", "b"]
    assert impatient == []


def test_programs_see_none(impatient):
    with silent():
        assert list(watched("ab", "reading")) == ["a", "b"]
    assert impatient == []


def test_the_bar_is_on_standard_error():
    assert progress._bar().console.stderr
