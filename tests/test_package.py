"""The package: what an index shows of it, and what it says where a part of it is not installed."""

import re
import subprocess
import sys
import tomllib

import pytest

import symcnn

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\(([^)]+)\)")


def test_every_link_of_the_readme_is_a_file_here_and_an_address_on_a_package_index() -> None:
    (rule,) = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    home = PROJECT["project"]["urls"]["Homepage"]
    there = LINK.findall(
        re.sub(rule["pattern"], rule["replacement"].replace(r"\1", r"\g<1>"), README)
    )
    for here, address in zip(LINK.findall(README), there, strict=True):
        if here.startswith("https://"):
            assert address == here
        else:
            assert (ROOT / here.partition("#")[0]).exists(), here
            assert address == f"{home}/blob/main/{here}"


def test_version_and_address_are_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {symcnn.__version__}\n" in citation
    assert PROJECT["project"]["version"] == symcnn.__version__
    home = PROJECT["project"]["urls"]["Homepage"]
    assert f"repository-code: {home}\n" in citation
    assert all(url.startswith(home) for url in PROJECT["project"]["urls"].values())


def test_every_extra_is_a_part_that_names_itself_or_a_habit_of_the_makefile() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "symcnn").rglob("*.py"))
    makefile = (ROOT / "Makefile").read_text()
    for extra in PROJECT["project"]["optional-dependencies"]:
        asked = f'needs("{extra}"' in sources or re.search(rf"symcnn\[[\w,]*{extra}\]", sources)
        assert asked or f"'.[{extra}]'" in makefile, extra


@pytest.mark.parametrize(
    ("package", "extra", "ask"),
    [
        (
            "matplotlib.figure",
            "plot",
            "symcnn.frontends.effective.EffectiveField(0, (), ()).plot('a')",
        ),
        ("pandas", "pandas", "net.cost().frame()"),
        ("onnx", "onnx", "symcnn.from_onnx('model.onnx')"),
        ("z3", "prove", "net.prove(by='z3')"),
        ("torch", "torch", "symcnn.from_torch(None, 'N 3 H W')"),
        ("torch", "torch", "symcnn.from_exported(None)"),
        ("torch", "torch", "net.validate(None)"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(package: str, extra: str, ask: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import symcnn\n"
        "from symcnn import nn\n"
        "net = nn.Conv2d(3, 8, 3).trace('N 3 H W')\n"
        "symcnn.effective_receptive_field\n"
        f"try: {ask}\n"
        "except symcnn.MissingExtra as error: print(error.cure)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == f"pip install 'symcnn[{extra}]'\n", run.stderr


def test_a_missing_extra_is_an_import_error_too() -> None:
    assert issubclass(symcnn.MissingExtra, symcnn.SymcnnError)
    assert issubclass(symcnn.MissingExtra, ImportError)


def test_the_names_that_the_docs_write_are_there_after_import_symcnn() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    names = sorted({*re.findall(r"(?<!: )\bsymcnn(?:\.[a-zA-Z_]\w*)+\b(?!\.)", text)})
    names = [n for n in names if not re.search(r"\.(md|py|html|svg|onnx|github|assert_shapes)$", n)]
    assert "symcnn.words.table.architecture" in names
    code = (
        "import sys, symcnn\n"
        "assert 'torch' not in sys.modules\n"
        "from operator import attrgetter\n"
        f"for name in {names}:\n"
        "    try: attrgetter(name[7:])(symcnn)\n"
        "    except AttributeError: print(name)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "", run.stderr
    assert not run.stderr
