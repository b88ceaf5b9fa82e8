"""The list of the long runs: `python -m tests.tools.reports` writes docs/validation/index.md.

What a run is done with stands here; with which seed, how long, and on which versions is read from
its report; the code is that of the commit that the report names, or else of the one that wrote it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "validation"

#: What is tried, and the command that writes the report of it.
COMMANDS = {
    "sweep": ("layers and networks", "make fuzz LAYERS=1000000 NETWORKS=10000"),
    "domains": ("domains", "python -m tests.fuzz --domains 1000"),
    "fields": ("receptive fields", "python -m tests.fuzz --fields 2000"),
    "forms": ("forms of calls", "python -m tests.fuzz --forms 200000"),
    "branching": ("forwards with branches", "python -m tests.fuzz --branching 700"),
    "parts": ("tiles, shards, streams", "python -m tests.fuzz --places 8000"),
    "places": ("places of networks of others", "make places"),
    "operations": (
        "every operation, every question",
        "python -m tests.fuzz.crossing docs/validation/operations.md",
    ),
    "derivations": (
        "derivations and their LaTeX",
        "python -m tests.tools.derivations --latex --write docs/validation/derivations.md",
    ),
    "provers": ("isl and z3", "make provers"),
    "mutants": ("laws broken on purpose", "make mutants"),
    "robustness": (
        "traces by the thousand, threads",
        "python -m tests.robustness --texts 20000 --write docs/validation/robustness.md",
    ),
    "text": (
        "texts that are no input",
        "HYPOTHESIS_PROFILE=fuzz python -m pytest -k mutated tests/test_grammar.py",
    ),
}

#: What a report says of its run, and how.
SAID = {
    "outcome": r"(no mismatch|0 differ|0 survived|none differs|0 wrong|0 off|\d+ mismatch\w*)",
    "seed": r"[Ss]eed (\d+)",
    "seconds": r"[,;|] ([\d,]+) s\b",
    "torch": r"torch (\d[\w.+]*\w)",
    "code": r"(?:[Cc]ode of|commit|source \|.*\n.*\n.*?) ?`?([0-9a-f]{7,10})\b",
}


def row(name: str) -> str:
    """A line of the table."""
    path = FOLDER / f"{name}.md"
    text = path.read_text(encoding="utf-8")
    found = {what: re.search(pattern, text) for what, pattern in SAID.items()}
    said = {what: match[1] if match else "" for what, match in found.items()}
    command = ["git", "log", "-1", "--format=%h %cs", "--", str(path)]
    run = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True).stdout.strip()
    tried, by = COMMANDS[name]
    cells = [said["outcome"], said["seed"], said["seconds"], said["torch"], said["code"], run]
    return f"| [{tried}]({name}.md) | `{by}` | {' | '.join(cells)} |"


def main() -> None:
    """Write the list."""
    lines = [
        "# What was tried, and how long",
        "",
        "Each report is written by the command beside it, and says what was tried, by which seed,",
        "on which versions; `python -m tests.tools.reports` reads them and writes this list. Where",
        "a cell is empty, the run draws nothing, or its report does not say it.",
        "",
        "| report | command | outcome | seed | s | torch | code | written in |",
        f"|{' --- |' * 8}",
        *map(row, COMMANDS),
        "",
    ]
    (FOLDER / "index.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
