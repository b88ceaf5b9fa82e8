"""The list of the long runs: `python -m tests.tools.reports` writes docs/validation/index.md.

By which command, with which seed, how long, on which versions is read from each report; the code
is that of the commit that the report names, or else of the one that wrote it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "validation"

#: What is tried.
TRIED = {
    "sweep": "layers and networks",
    "domains": "domains",
    "fields": "receptive fields",
    "forms": "forms of calls",
    "branching": "forwards with branches",
    "grid": "branching forwards on a grid",
    "parts": "tiles, shards, streams",
    "places": "places of networks of others",
    "operations": "every operation, every question",
    "derivations": "derivations and their LaTeX",
    "provers": "isl and z3",
    "mutants": "laws broken on purpose",
    "robustness": "traces by the thousand, threads",
    "text": "texts that are no input",
    "nvidia-h100-80gb-hbm3": "networks, layers on a GPU",
    "versions": "the suite on other versions of torch",
    "pythons": "the suite on other versions of python",
}

#: What a report says of its run, and how.
SAID = {
    "command": r"Written by\s+`([^`]+)`",
    "outcome": r"(no mismatch|[\d,]+ (?:differ|survived|wrong|off|faults|mismatch\w*)\b)",
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
    by = " ".join(said["command"].split())
    cells = [said["outcome"], said["seed"], said["seconds"], said["torch"], said["code"], run]
    return f"| [{TRIED[name]}]({name}.md) | `{by}` | {' | '.join(cells)} |"


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
        *map(row, TRIED),
        "",
    ]
    (FOLDER / "index.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
