"""docs/cost.md: its commands print what it shows, and its table holds our figures."""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

import symcnn
from symcnn.cli import main
from symcnn.questions.cost.conventions import CONVENTIONS

from .conftest import ROOT, formula

PAGE = (ROOT / "docs" / "cost.md").read_text()


def commands() -> Iterator[Any]:
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.S):
        for command, output in re.findall(r"^\$ symcnn (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            yield pytest.param(command, output, id=command)


@pytest.mark.parametrize(("command", "output"), [*commands()])
def test_the_page_shows_what_the_command_prints(
    command: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    assert CliRunner().invoke(main, shlex.split(command)).output == output


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_table_of_conventions_holds_our_figures(name: Any, example: Callable[..., Any]) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    for network in ("resnet:resnet50", "mobilenet:mobilenet_v2"):
        net = symcnn.from_torch(example(network), "N 3 H W")
        assert f"| {formula(net.cost(name).total).at(N=1, H=224, W=224):,} |" in row
