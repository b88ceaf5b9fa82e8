"""The documentation: a newcomer's twelve questions stand on its first page, and their lines run."""

import re

import pytest
import torch

import symcnn
import symcnn.testing
from symcnn import nn

from .conftest import ROOT

DOCS = ROOT / "docs"
ROWS = re.findall(
    r"^\| (.*?\?) \| (`.*?`) \| \[.*?\]\((.*?)\) \|$", (DOCS / "index.md").read_text(), re.M
)


class Small(torch.nn.Module):
    """A network with a place called bottom, whose flatten fits some sizes only."""

    def __init__(self):
        super().__init__()
        self.bottom = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.MaxPool2d(2))

    def forward(self, x):
        return self.bottom(x)


def test_twelve_questions_are_answered_within_a_click():
    assert len(ROWS) == 12


@pytest.mark.parametrize(("line", "target"), [pytest.param(r[1], r[2], id=r[0]) for r in ROWS])
def test_the_line_to_type_runs_and_the_link_leads_to_a_heading(line, target, tmp_path):
    model = Small()
    net = symcnn.from_torch(model, "N 3 H W")
    names = {"net": net, "model": model, "symcnn": symcnn, "nn": nn}
    for code in re.findall("`(.*?)`", line):
        if "cuda" in code and not torch.cuda.is_available():
            code = code.replace("cuda", "cpu")
        if "model.onnx" in code:
            pytest.importorskip("onnx")
            code = code.replace("model.onnx", str(tmp_path / "none.onnx"))
            with pytest.raises(symcnn.BadSpec, match=r"none\.onnx"):
                eval(code, names)
            continue
        eval(code, names)
    page, _, anchor = target.partition("#")
    headings = re.findall(r"^#+ (.*)$", (DOCS / page).read_text(), re.M)
    assert not anchor or anchor in map(slug, headings)


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def test_every_page_stands_in_the_navigation():
    listed = set(re.findall(r"(\w+\.md)", (ROOT / "mkdocs.yml").read_text()))
    assert {page.name for page in DOCS.glob("*.md")} == listed


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
