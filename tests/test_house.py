"""The house: imports run downward only, importing is light, and the README says what is so."""

import ast
import re
import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT

#: From the ground up: a module imports only what stands before it, or beside it in its package.
FLOORS = """
    errors progress algebra shown sets trace ops notation questions words judge network branched nn
    frontends contracts testing cli __main__
""".split()


def modules():
    for path in sorted((ROOT / "symcnn").rglob("*.py")):
        parts = path.relative_to(ROOT / "symcnn").with_suffix("").parts
        if parts != ("__init__",):
            yield pytest.param(path, parts[0], id=".".join(parts))


def imports(tree):
    """Names of symcnn's modules imported anywhere, but for those only types need."""
    guarded = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in guarded and node.module:
            name = node.module.split(".")
            if name[0] == "symcnn":
                yield from [name[1]] if len(name) > 1 else [alias.name for alias in node.names]


@pytest.mark.parametrize(("path", "floor"), [*modules()])
def test_no_import_runs_upward(path, floor):
    below = FLOORS[: FLOORS.index(floor) + 1]
    for name in imports(ast.parse(path.read_text())):
        assert name in below or name == "__version__"


def test_importing_symcnn_loads_neither_torch_nor_plotting_nor_isl():
    heavy = ("torch", "matplotlib", "islpy", "rich")
    code = f"import symcnn, sys; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_own_layers_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from symcnn import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2)).trace('N 3 H W')\n"
        "print(net.solve(output=(7, 7)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "16 <= H <= 17 and 16 <= W <= 17"


def console_blocks():
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    for block in blocks:
        for command, output in re.findall(r"^\$ symcnn (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            yield pytest.param(command, output, id=command)


@pytest.mark.parametrize(("command", "output"), [*console_blocks()])
def test_the_readme_shows_what_the_command_prints(command, output, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.output == output
