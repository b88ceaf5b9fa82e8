"""The commands explain, latex and check."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT

A = ["examples/networks/article_a.py:article_a", "--input", "N 3 H W"]


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(*args: Any, status: Any = 0) -> Any:
    result = CliRunner().invoke(main, [*args])
    assert result.exit_code == status, result.output
    return result.output


def test_explain_derives_sizes() -> None:
    output = run("explain", *A, "--at", "pool1")
    assert "floor((floor((H - 7)/4) - 3)/2) + 1    (substitute)" in output
    assert "the receptive field is 19" in output


@pytest.mark.parametrize(
    ("form", "text"), [("markdown", "### Size"), ("latex", r"\begin{align*}"), ("html", "<ol>")]
)
def test_explain_in_other_forms(form: str, text: str) -> None:
    assert text in run("explain", *A, "--at", "conv2", "--format", form)


def test_explain_in_json() -> None:
    answer = json.loads(run("explain", *A, "--at", "conv1", "--what", "params", "--json"))
    assert answer["derivations"][0]["steps"][0]["lines"][-1]["text"] == "34944"


def test_explain_a_solution() -> None:
    assert "259 <= H <= 290" in run("explain", *A, "--at", "pool3", "--output", "7x7")


def test_explain_refuses_an_unknown_question() -> None:
    assert "BadSpec" in run("explain", *A, "--what", "colour", status=2)


def test_latex_gives_a_table() -> None:
    assert r"\toprule" in run("latex", *A, "--at", "pool3", "--sizes", "N=1,H=227,W=227")
    assert "latex" in json.loads(run("latex", *A, "--what", "formulas", "--json"))


def test_check_says_what_is_wrong() -> None:
    claims = ["--claim", "conv1 = 55", "--claim", "conv2 = 31"]
    output = run("check", *A, "--sizes", "H=227,W=227", *claims, status=1)
    assert output.splitlines()[0] == "right  conv1 = 55"
    assert output.splitlines()[1].startswith("wrong  conv2 = 31: it is 27")
    assert run("check", *A, "--sizes", "H=227,W=227", "--claim", "conv1 = 55")


def test_check_in_json() -> None:
    claims = ["--claim", "flatten = 12544", "--json"]
    answer = json.loads(run("check", *A, "--sizes", "H=227,W=227", *claims, status=1))
    assert answer["verdicts"][0]["true"] == "9216"


def test_check_refuses_what_is_no_claim() -> None:
    assert "BadSpec" in run("check", *A, "--claim", "import os", status=2)
