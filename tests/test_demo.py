"""The demo: what a newcomer sees first runs, and ends with the files that it names."""

import subprocess
import sys
from pathlib import Path

from .conftest import ROOT


def test_the_demo_answers_7x7_and_names_the_pictures_that_it_makes():
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"], capture_output=True, text=True, check=True
    )
    assert "193 <= H <= 224 and 193 <= W <= 224" in run.stdout
    assert "MACs 4,089,184,256" in run.stdout
    drawing, page = map(Path, run.stdout.split()[-2:])
    assert drawing.read_text().startswith("<svg")
    assert "<title>ResNet-50</title>" in page.read_text()
