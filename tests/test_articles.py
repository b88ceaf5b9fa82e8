"""The articles' pages show what the examples print."""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT
from .tools import docs as writer

PAGES = sorted((ROOT / "docs").glob("*.md"))


def shown() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text()
        for script, output in re.findall(r"```console\n\$ python (\S+)\n(.*?)```", text, re.S):
            yield pytest.param(script, output, id=script)


@pytest.mark.parametrize(("script", "output"), [*shown()])
def test_a_page_shows_what_the_example_prints(
    script: Any, output: Any, printed: Callable[[str], str]
) -> None:
    assert printed(script).rstrip() == output.rstrip()


def commands() -> Iterator[Any]:
    for page in (ROOT / "docs" / f"{name}.md" for name in ("command_line", "howto", "reviews")):
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.S):
            for command, output in re.findall(r"^\$ symcnn (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
                yield pytest.param(command, output, id=f"{page.stem}-{command[:20]}")


@pytest.mark.parametrize(("command", "output"), [*commands()])
def test_a_page_shows_what_the_command_prints(
    command: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(main, shlex.split(command)).output == output


def test_every_article_has_its_place_on_the_page() -> None:
    text = (ROOT / "docs" / "articles.md").read_text()
    for article in "abcde":
        assert f"$ python examples/articles/article_{article}.py" in text


def test_the_page_of_the_command_line_lists_all_commands_as_they_are() -> None:
    page = (ROOT / "docs" / "command_line.md").read_text()
    _, mark, written = page.partition(writer.MARK)
    assert mark, "the page has no mark"
    assert written == writer.commands(), "python -m tests.tools.docs writes it anew"
