"""The documentation: a newcomer's twelve questions stand on its first page, and their lines run."""

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import symcnn
import symcnn.testing
from symcnn import nn
from symcnn.shown import Shown

from .conftest import ROOT, sure

DOCS = ROOT / "docs"
ROWS = re.findall(
    r"^\| (.*?\?) \| (`.*?`) \| \[.*?\]\((.*?)\) \|$", (DOCS / "index.md").read_text(), re.M
)


class Small(torch.nn.Module):
    """A network with a place called bottom, whose flatten fits some sizes only."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.MaxPool2d(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bottom(x)


def test_twelve_questions_are_answered_within_a_click() -> None:
    assert len(ROWS) == 12


@pytest.mark.parametrize(("line", "target"), [pytest.param(r[1], r[2], id=r[0]) for r in ROWS])
def test_the_line_to_type_runs_and_the_link_leads_to_a_heading(
    line: Any, target: Any, tmp_path: Path
) -> None:
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


def slug(heading: Any) -> Any:
    """The anchor that a heading gets."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def test_every_page_stands_in_the_navigation() -> None:
    listed = set(re.findall(r"(\w+\.md)", (ROOT / "mkdocs.yml").read_text()))
    assert {page.name for page in DOCS.glob("*.md")} == listed


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


# Reference -------------------------------------------------------------------------------------


def entries() -> Iterator[Any]:
    """Every object that the reference has an entry of, by its full name."""
    page = (DOCS / "reference.md").read_text()
    blocks = re.findall(r"^::: (\S+)\n((?:    .*\n)*)", page, re.M)
    for path, options in blocks:
        members = re.search(r" members: \[(.*)\]", options)
        if members:
            yield from (resolved(f"{path}.{name}") for name in members[1].split(", "))
        else:
            yield resolved(path)


def resolved(path: Any) -> Any:
    head, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(head), name)
    except (ModuleNotFoundError, AttributeError):
        return importlib.import_module(path)


@pytest.fixture(scope="module")
def listed() -> list[Any]:
    found = list(entries())
    modules = [m for m in found if inspect.ismodule(m)]
    return [*found, *(value for m in modules for value in shown(m))]


def shown(module: Any) -> Any:
    """What the reference shows of a module: what it lists, or what it defines."""
    names = getattr(module, "__all__", [])
    own = [v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__]
    return [getattr(module, name) for name in names] or own


@pytest.mark.parametrize("name", [n for n in symcnn.__all__ if n != "nn"])
def test_every_public_name_is_in_the_reference(name: Any, listed: Any) -> None:
    value = getattr(symcnn, name)
    if isinstance(value, type) or callable(value):
        assert any(entry is value for entry in listed)
    else:
        assert f"`{name}`" in (DOCS / "reference.md").read_text()  # a symbol


def answers() -> Iterator[Any]:
    """The classes of answers."""
    for info in pkgutil.walk_packages(symcnn.__path__, "symcnn."):
        if ".testing" not in info.name and not info.name.endswith("__main__"):
            importlib.import_module(info.name)
    left = [Shown]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        own = (
            getattr(sys.modules[kind.__module__], kind.__name__, None) is kind
        )  # slots make another
        if own and kind.__module__.startswith("symcnn.") and not kind.__name__.startswith("_"):
            yield pytest.param(kind, id=f"{kind.__module__}.{kind.__name__}")


@pytest.mark.parametrize("kind", [*dict.fromkeys(answers())])
def test_every_class_of_answers_is_in_the_reference(kind: Any, listed: Any) -> None:
    assert kind in listed


def functions() -> Iterator[Any]:
    for name in symcnn.__all__:
        value = getattr(symcnn, name)
        if inspect.isfunction(value):
            yield pytest.param(value, id=name)
    for name, method in inspect.getmembers(symcnn.Network, inspect.isfunction):
        if not name.startswith("_"):
            yield pytest.param(method, id=f"Network.{name}")


@pytest.mark.parametrize("function", [*functions()])
def test_every_public_function_says_what_goes_in_what_comes_out_and_shows_it(function: Any) -> None:
    text = sure(inspect.getdoc(function))
    for name in [n for n in inspect.signature(function).parameters if n != "self"]:
        assert re.search(rf"^ +(\w+, )*{name}(, \w+)*: ", text, re.M), name
    assert "\nReturns:" in text
    assert "\n>>> " in text
    if "raise " in inspect.getsource(function):
        assert re.search("^Raises", text, re.M)


@pytest.fixture(scope="module")
def docstrings() -> ModuleType:
    pytest.importorskip("griffe", reason="the tools of the documentation are not installed")
    from .tools import docstrings

    return docstrings


def test_a_docstring_has_sections_in_the_reference(docstrings: Any) -> None:
    text = (
        "A size.\n\na, b: what. c: of\n  it.\n\nRaises BadSpec for a; NoSolution if b.\n\n>>> 1\n1"
    )
    assert docstrings.fenced(docstrings.sections(text, ["a", "b", "c"])) == (
        "A size.\n\nArgs:\n    a: what.\n    b: what.\n    c: of it.\n\n"
        "Raises:\n    BadSpec: for a\n    NoSolution: if b.\n\n```pycon\n>>> 1\n1\n```"
    )


def test_every_parameter_of_a_question_is_described(docstrings: Any) -> None:
    missing = []
    for name, method in inspect.getmembers(symcnn.Network, inspect.isfunction):
        if name.startswith("_"):
            continue
        names = [n for n in inspect.signature(method).parameters if n != "self"]
        text = docstrings.sections(inspect.getdoc(method) or "", names)
        missing += [f"{name}({n})" for n in names if not re.search(rf"^ +{n}: ", text, re.M)]
    assert missing == []


def test_every_report_of_a_long_run_is_in_the_list_with_its_command() -> None:
    folder = ROOT / "docs" / "validation"
    reports = {path.name for path in folder.glob("*.md")} - {"index.md"}
    rows = re.findall(r"^\| \[.*?\]\((.*?)\) \| `.*?` \|", (folder / "index.md").read_text(), re.M)
    assert sorted(rows) == sorted(reports)
