"""The workflow and the hook of docs/reviews.md, run as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT

yaml = pytest.importorskip("yaml")

MODEL = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3{}))
"""


@pytest.fixture(scope="module")
def page() -> tuple[Any, Any]:
    text = (ROOT / "docs" / "reviews.md").read_text()
    workflow, hook = (yaml.safe_load(b) for b in re.findall(r"```yaml\n(.*?)```", text, re.S))
    return workflow, hook


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Any]:
    """A checkout with the base of a pull request beside it, and symcnn on the path."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "symcnn"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m symcnn "$@"\n')
    script.chmod(0o755)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.py").write_text(MODEL.format(""))
    (tmp_path / "model.py").write_text(MODEL.format(", padding=1"))

    def run(command: str, **variables: Any) -> Any:
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **variables},
            capture_output=True,
            text=True,
        )

    vars(run)["folder"] = tmp_path
    return run


def test_the_workflow_checks_out_both_versions(page: Any) -> None:
    workflow, _ = page
    assert workflow[True] == "pull_request"  # yaml 1.1 takes the key `on` for a truth value
    checkouts = [s for s in workflow["jobs"]["diff"]["steps"] if "checkout" in s.get("uses", "")]
    assert [c.get("with", {}).get("path") for c in checkouts] == [None, "base"]


def test_the_step_of_the_workflow_writes_what_changes(page: Any, repository: Any) -> None:
    step = next(s for s in page[0]["jobs"]["diff"]["steps"] if s.get("name") == "What changes")
    summary = str(repository.folder / "summary.md")
    done = repository(step["run"], GITHUB_STEP_SUMMARY=summary)
    assert done.returncode == 0, done.stderr
    written = (repository.folder / "summary.md").read_text()
    assert "| output | `(N, 8, H - 2, W - 2)` | `(N, 8, H, W)` |" in written
    assert "| MACs at N=1, H=224, W=224 | `10,645,344` | `10,838,016` (+1.81%) |" in written
    (repository.folder / "model.py").write_text("class Net(:\n")
    assert repository(step["run"], GITHUB_STEP_SUMMARY=summary).returncode == 1


def test_the_hook_stops_a_commit_whose_report_is_not_up_to_date(page: Any, repository: Any) -> None:
    (hook,) = page[1]["repos"][0]["hooks"]
    assert hook["pass_filenames"] is False
    assert re.search(hook["files"], "src/model.py")
    assert shlex.split(hook["entry"])[0] == "symcnn"
    assert repository(hook["entry"]).returncode == 1
    assert "| output | `(N, 8, H, W)` |" in (repository.folder / "SHAPES.md").read_text()
    assert repository(hook["entry"]).returncode == 0
    (repository.folder / "model.py").write_text(MODEL.format(", padding=2"))
    assert repository(hook["entry"]).returncode == 1
