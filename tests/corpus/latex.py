"""Documents that LaTeX compiles."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.tools.derivations import pdflatex

from ..conftest import sure


def latex_has(file: Any) -> bool:
    """Whether LaTeX is installed, with this package."""
    asked = shutil.which("kpsewhich") and subprocess.run(
        ["kpsewhich", file], capture_output=True, check=False
    )
    return bool(asked and asked.stdout)


def compiled(tmp_path: Any, text: Any) -> int:
    """The pages of a document, or a skip."""
    if not shutil.which("pdflatex") or not all(map(latex_has, ("booktabs.sty", "siunitx.sty"))):
        pytest.skip("no LaTeX here: apt-get install texlive-latex-extra texlive-science")
    run = pdflatex(text, tmp_path)
    assert run.returncode == 0, run.stdout[-3000:]
    assert "Overfull" not in run.stdout
    return int(sure(re.search(r"Output written on .*\((\d+) page", run.stdout))[1])
