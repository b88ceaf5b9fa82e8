"""The demo: what a newcomer sees first runs, and ends with the files that it names."""

from collections.abc import Callable
from pathlib import Path


def test_the_demo_answers_7x7_and_names_the_pictures_that_it_makes(
    printed: Callable[[str], str],
) -> None:
    said = printed("examples/demo.py")
    assert "193 <= H <= 224 and 193 <= W <= 224" in said
    assert "MACs 4,089,184,256" in said
    drawing, page = map(Path, said.split()[-2:])
    assert drawing.read_text().startswith("<svg")
    assert "<title>ResNet-50</title>" in page.read_text()
