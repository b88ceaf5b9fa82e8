"""The house: imports run downward only, importing is light, and the README says what is so."""

import ast
import builtins
import importlib
import math
import operator
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT

#: From the ground up: a module imports only what stands before it, or beside it in its package.
FLOORS = """
    errors interrupts lazy progress algebra shown sets trace ops notation questions words judge
    network branched nn frontends contracts testing cli __main__
""".split()


#: The most lines of a module.
MOST = 700

#: How many public signatures say Any: where a value is truly of any type. It is not to grow.
ANY = 57

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "symcnn").rglob("*.py"))
}


def imports(name: str) -> set[str]:
    """The modules of symcnn that a module imports: anywhere, and for types too."""
    path = FILES[name]
    found: set[str] = set()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            whole = {alias.name: f"{source}.{alias.name}" for alias in node.names}
            found.update(module if module in FILES else source for module in whole.values())
    # A package says where its parts are: what a part has of it, is not its own.
    return {m for m in found & {*FILES} if m != "symcnn" and not f"{name}.".startswith(f"{m}.")}


GRAPH = {name: imports(name) for name in FILES if name != "symcnn"}


def floor(name: str) -> int:
    return FLOORS.index(name.split(".")[1])


@pytest.mark.parametrize("name", GRAPH)
def test_no_import_runs_upward(name: Any) -> None:
    assert [other for other in GRAPH[name] if floor(other) > floor(name)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = dict(GRAPH)
    while ground := [name for name, below in left.items() if not below & {*left}]:
        for name in ground:
            del left[name]
    assert left == {}  # what imports a circle stands here too


def test_no_test_imports_another() -> None:
    """What several share stands in tests/corpus."""
    found = set()
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {node.module or "", *(a.name for a in node.names)}
                found |= {path.name for n in names if n.rpartition(".")[2].startswith("test_")}
    assert found == set()


@pytest.mark.parametrize("name", FILES)
def test_a_module_has_at_most_700_lines(name: Any) -> None:
    lines = FILES[name].read_text().count("\n")
    assert lines <= MOST


def test_only_what_gathers_names_of_others_lists_its_names() -> None:
    """A name without an underscore is public: a list would say so twice."""
    listing = {name for name, path in FILES.items() if "\n__all__" in path.read_text()}
    gathered = set()
    for name in listing:
        tree = ast.parse(FILES[name].read_text())
        own = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        gathered |= {name} if own & {*vars(importlib.import_module(name))["__all__"]} else set()
    assert listing - gathered - {"symcnn", "symcnn.nn"} == set()


def signatures() -> Iterator[Any]:
    """(module and line, the annotations) of every function that is not private."""
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                a = node.args
                parameters = (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg)
                kinds = [node.returns, *(p.annotation for p in parameters if p is not None)]
                yield f"{name}:{node.lineno} {node.name}", [k for k in kinds if k is not None]


def test_few_public_signatures_say_any() -> None:
    said = [
        where
        for where, kinds in signatures()
        if any(isinstance(n, ast.Name) and n.id == "Any" for k in kinds for n in ast.walk(k))
    ]
    assert len(said) <= ANY, "\n".join(said)


def test_importing_symcnn_loads_neither_torch_nor_plotting_nor_isl_nor_sympy() -> None:
    heavy = ("torch", "matplotlib", "islpy", "rich", "sympy")
    code = f"import symcnn, sys; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_own_layers_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from symcnn import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2)).trace('N 3 H W')\n"
        "print(net.solve(output=(7, 7)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "16 <= H <= 17 and 16 <= W <= 17"


def console_blocks() -> Iterator[Any]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    for block in blocks:
        for command, output in re.findall(r"^\$ symcnn (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            yield pytest.param(command, output, id=command)


@pytest.mark.parametrize(("command", "output"), [*console_blocks()])
def test_the_readme_shows_what_the_command_prints(
    command: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.output == output


#: Words that say what was done to a thing, and not what it is.
PARTICIPLES = set(
    "known settled listed checked declared told asked alike kept mixed exactly".split()
)


def defined(node: ast.AST) -> str:
    """The name that a class, a function or a field of a class defines."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name), value=None):
            return name
    return ""


@pytest.mark.parametrize("name", FILES)
def test_what_is_defined_has_a_noun_or_a_verb_for_a_name(name: str) -> None:
    names = map(defined, ast.walk(ast.parse(FILES[name].read_text())))
    assert [n for n in names if n.strip("_").lower() in PARTICIPLES] == []


#: Python's own functions, of whose names some are torch's too: `floor`, `max`, `lt`.
PYTHONS = {*dir(builtins), *dir(math), *dir(operator)}


def listed(node: Any) -> Any:
    """The texts that a table lists: keys of a dict, members of a set, words of one text."""
    parts: list[Any] = []
    match node:
        case ast.Dict(keys=parts) | ast.Set(elts=parts) | ast.Tuple(elts=parts):
            pass
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="split")):
            return text.split()
    return [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]


def test_what_is_asked_of_an_operation_stands_in_its_record() -> None:
    """No table is keyed by names of operations: three of them, and half of what it lists."""
    import symcnn.ops  # noqa: F401  # fills OPS
    from symcnn.trace.graph import OPS

    found = []
    for name, path in FILES.items():
        if name.startswith(("symcnn.ops", "symcnn.testing")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            words = [word.removesuffix("_") for word in listed(node)]
            known = [word for word in words if word in OPS]
            if len(known) >= 3 and 2 * len(known) >= len(words) and not {*known} <= PYTHONS:
                found.append(f"{name}:{getattr(node, 'lineno', 0)} {' '.join(known)}")
    assert found == []
