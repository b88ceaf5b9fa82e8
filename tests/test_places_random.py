"""Tiles, shards, streams and agreement of random networks: a small part of the sweep."""

from typing import Any

import pytest

from .fuzz.places import QUESTIONS, judge
from .fuzz.sweep import Tally, judge_cases, place_case


@pytest.mark.parametrize("question", QUESTIONS)
def test_random_networks_have_their_places(question: Any) -> None:
    first = QUESTIONS.index(question)
    tally = judge_cases("place", 7, range(first, 80, len(QUESTIONS)))
    assert tally.mismatches == []
    assert (tally.places, tally.counts[f"answers of {question}"] >= 5) == (20, True)


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (45, "shards: a map resized to its skip, by a ratio that hangs on the size"),
        (110, "stream: a skip padded by what hangs on the size"),
        (118, "stream: a replicated border, of a network of one size"),
        (288, "tiles: height and width change places"),
        (295, "agreement: rows left over on the way"),
        (607, "agreement: a place that is not there, between places that are"),
    ],
)
def test_what_the_sweep_found(number: int, what: str) -> None:
    place = place_case(0, number)
    assert place.question in what or place.question == "agree"
    assert judge(place).mismatches == []


@pytest.mark.parametrize(
    ("seed", "number", "what"),
    [
        (2, 343, "agreement: a last place that is padding alone"),
        (9, 31, "agreement: rows that only a place of padding would read"),
        (9, 1191, "agreement: the same in front of a window"),
        (2, 2351, "agreement: rows between the places of a stride, at some sizes"),
        (2, 1987, "agreement: where only an end between places differs"),
        (23, 6827, "agreement: a window of one place that reads padding"),
        (23, 2831, "agreement: what it makes of padding is no padding"),
        (1, 4250, "stream: taps that all fall between those of a transposed convolution"),
    ],
)
def test_places_that_read_nothing_wait_for_nothing(seed: int, number: int, what: str) -> None:
    assert judge(place_case(seed, number)).mismatches == [], what


@pytest.mark.parametrize("number", [3, 223, 432, 506, 1155, 2515, 3499, 3616, 4050, 4142])
def test_what_the_first_4000_cases_of_seed_1_found(number: int) -> None:
    assert judge(place_case(1, number)).mismatches == []


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from symcnn.questions.place.stream import Stream

    right = Stream.final
    monkeypatch.setattr(Stream, "final", lambda self, n: right(self, n) + 1)
    tally = Tally()
    tally += judge_cases("place", 7, range(2, 80, 4))
    assert tally.wrong
