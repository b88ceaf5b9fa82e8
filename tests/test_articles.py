"""The articles' pages show what the examples print."""

import re
import subprocess
import sys

import pytest

from .conftest import ROOT

PAGES = ["docs/articles.md", "docs/papers.md"]


def shown():
    for page in PAGES:
        text = (ROOT / page).read_text()
        for script, output in re.findall(r"```console\n\$ python (\S+)\n(.*?)```", text, re.S):
            yield pytest.param(script, output, id=script)


@pytest.mark.parametrize(("script", "output"), [*shown()])
def test_a_page_shows_what_the_example_prints(script, output):
    run = subprocess.run(
        [sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.rstrip() == output.rstrip()


def test_every_article_has_its_place_on_the_page():
    text = (ROOT / "docs" / "articles.md").read_text()
    for article in "abcde":
        assert f"$ python examples/articles/article_{article}.py" in text
