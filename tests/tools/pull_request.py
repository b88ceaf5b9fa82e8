"""What pytest says of the pull requests on docs/contracts.md: run them, write what came of it.

The page holds a project, a file per block with a title, and changes to it, as diffs. The project is
run as it stands, then with each change by itself; the console block behind a change is what pytest
says. `python -m tests.tools.pull_request` writes the blocks, a test compares them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contracts.md"
FILE = re.compile(r'^```python title="(\S+)"\n(.*?)^```$', re.M | re.S)
RUN = re.compile(r"(?:^```diff\n(.*?)^```\n.*?)?^```console\n(.*?)^```$", re.M | re.S)

#: Each folder is a project; torch is imported once.
RUNS = """
import os, sys, pytest
for folder in sys.argv[1:]:
    os.chdir(folder)
    for name in ("model", "test_model"):
        sys.modules.pop(name, None)
    options = "-q --color=no --no-header -p pytest_symcnn -p no:cacheprovider --rootdir".split()
    pytest.main([*options, folder, "--import-mode=importlib", "-o", "pythonpath=" + folder])
    print("<end of the run>", flush=True)
"""


def changed(files: dict[str, str], diff: str) -> dict[str, str]:
    """The files with a diff's lines in them; each hunk must be there once."""
    name = re.findall(r"^\+\+\+ (?:b/)?(\S+)$", diff, re.M)[0]
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    old, new = ("\n".join(x[1:] for x in lines if x[:1] in keep) for keep in (" -", " +"))
    if files[name].count(old) != 1:
        raise SystemExit(f"{name} does not hold once:\n{old}")
    return files | {name: files[name].replace(old, new)}


def answers(projects: list[dict[str, str]]) -> list[str]:
    """What pytest prints in each project at a terminal of 80 columns, but for the time.

    pytest prints whole lines where the environment names a CI, so that CI is not named to it.
    """
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "80",
        "CI": "",
        "BUILD_NUMBER": "",
    }
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / str(number) for number in range(len(projects))]
        for folder, files in zip(folders, projects, strict=True):
            folder.mkdir()
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-c", RUNS, *map(str, folders)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    printed = re.sub(r" in [\d.]+s", "", run.stdout)
    return [text.strip("\n") for text in printed.split("<end of the run>\n")[: len(projects)]]


def written(page: str) -> str:
    """The page with what pytest says now in its console blocks."""
    files = dict(FILE.findall(page))
    runs = [*RUN.finditer(page)]
    projects = [changed(files, run[1]) if run[1] else files for run in runs]
    for run, answer in reversed([*zip(runs, answers(projects), strict=True)]):
        page = f"{page[: run.start(2)]}$ pytest -q\n{answer}\n{page[run.end(2) :]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
