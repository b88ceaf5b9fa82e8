"""Write into the pages what they show: ``python -m tests.tools.docs``, ``... PAGE ...`` for some.

A console block that begins with ``$ python FILE`` is given the output of that file; on the pages
of `SHELL`, the commands of ``$ symcnn`` theirs. The page of the command line ends with all
commands, as they describe themselves. `tests/test_articles.py` checks that pages and outputs agree.
"""

import re
import shlex
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import click
from click.testing import CliRunner

from symcnn.cli import main as symcnn
from symcnn.cli.group import subject_of
from symcnn.cli.question import FORMS, SHARED

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(```console\n\$ python (\S+)\n)(.*?)(```)", re.S)
ASKED = re.compile(r"^\$ symcnn (.*)\n(?:(?!\$ |```).*\n)*", re.M)

#: The pages whose blocks of ``$ symcnn`` show all that a command prints.
SHELL = ("command_line", "howto", "reviews")

MARK = "<!-- what follows is written by tests/tools/docs.py -->\n"


def refreshed(match: re.Match[str]) -> str:
    """The block with what its file prints now."""
    run = subprocess.run(
        [sys.executable, match[2]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return f"{match[1]}{run.stdout.rstrip()}\n{match[4]}"


def answered(match: re.Match[str]) -> str:
    """The command with what it prints now."""
    return f"$ symcnn {match[1]}\n{CliRunner().invoke(symcnn, shlex.split(match[1])).output}"


def commands() -> str:
    """All commands, by subject, and their options."""
    lines = ["", "## All commands", "", "Options that every question of a network takes:", ""]
    lines += _options(SHARED)
    shown = [command for command in symcnn.commands.values() if not command.hidden]
    for subject, group in groupby(shown, subject_of):
        lines += ["", f"### {subject}"]
        for command in group:
            own = [p for p in command.params if p not in SHARED]
            usage = command.collect_usage_pieces(click.Context(command))
            said = (command.help or "").replace("``", "`")
            line = f"`symcnn {' '.join([command.name or '', *usage])}`"
            lines += ["", f"#### {command.name}", "", line, "", said]
            lines += ["", *table] if (table := _options(own)) else []
    return "\n".join(lines).rstrip("\n") + "\n"


def _options(parameters: list[click.Parameter]) -> list[str]:
    """A table of the options among them."""
    rows = []
    for option in parameters:
        if isinstance(option, click.Option) and not option.hidden:
            name = " ".join(filter(None, [option.opts[0], _value(option)]))
            told = (option.help or "").replace(f": {FORMS}", "").replace("<", "&lt;")
            rows.append(f"| `{name}` | {told}{_default(option)} |")
    return ["| option | |", "| --- | --- |", *rows] if rows else []


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return "\\|".join(option.type.choices)
    return option.metavar or option.type.name.upper()


def _default(option: click.Option) -> str:
    return f" (by default {option.default})" if option.show_default else ""


def written(page: Path) -> str:
    """The text that a page should have."""
    text = BLOCK.sub(refreshed, page.read_text())
    if page.stem in SHELL:
        blocks = re.compile(r"```console\n.*?```", re.S)
        text = blocks.sub(lambda block: ASKED.sub(answered, block[0]), text)
    head, mark, _ = text.partition(MARK)
    return head + mark + commands() if mark else text


def on_page_markdown(markdown: str, **_: object) -> str:
    """A hook of mkdocs: an empty line of an output is one, and not what doctest calls it."""
    return markdown.replace("<BLANKLINE>", "")


def main() -> None:
    """Refresh every page, or those that are named."""
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        if not sys.argv[1:] or page.stem in sys.argv[1:]:
            page.write_text(written(page))


if __name__ == "__main__":
    main()
