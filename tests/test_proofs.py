"""The laws hold for all integers: each is stated as its theorem, checked by Coq, and our code's."""

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import symcnn
from symcnn.algebra.axis import Resample, Scatter, Window

from .conftest import ROOT

PROOFS = ROOT / "docs" / "proofs"
LAWS = (ROOT / "docs" / "laws.md").read_text()
THEOREM = re.compile(r"^Theorem (\w+)", re.M)
STATEMENT = re.compile(r"^Theorem (\w+)\s*:\s*(.*?)\.(?=\s+Proof|\s+Theorem|\s+```)", re.M | re.S)
#: Sections of laws.md without a law of integers, or whose judge is torch.
WITHOUT = {
    "Sizes are ints, traced tensors are tensors",
    "Dtypes",
    "Layout",
    "What is decided, and by whom",
    "Where torch's documentation and torch disagree",
}


def theorems() -> Any:
    return {
        (path.name, name)
        for path in PROOFS.glob("*.v")
        for name in THEOREM.findall(path.read_text())
    }


def test_every_law_links_to_a_theorem_that_is_there_and_every_theorem_is_linked() -> None:
    linked = set(re.findall(r"\[`(\w+)`\]\(proofs/(\w+\.v)\)", LAWS))
    assert {(file, name) for name, file in linked} == theorems()


def stated(text: Any) -> Any:
    """Theorems and what they state, in one line each."""
    return {name: " ".join(what.split()) for name, what in STATEMENT.findall(text)}


def test_the_page_states_what_is_proved() -> None:
    proved: dict[str, Any] = {}
    for path in PROOFS.glob("*.v"):
        proved |= stated(path.read_text())
    assert set(proved) == {name for _, name in theorems()}
    assert stated(LAWS) == proved


def test_every_law_links_to_a_theorem() -> None:
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", LAWS, re.M | re.S))
    assert {title for title, text in sections.items() if "(proofs/" not in text} == WITHOUT
    for text in sections.values():
        linked = re.findall(r"\[`(\w+)`\]\(proofs/", text)
        assert [*stated(text)] == linked


def definition(name: str) -> Any:
    """A definition of Coq as a function of python, of the same arguments."""
    source = "".join(path.read_text() for path in PROOFS.glob("*.v"))
    ((given, body),) = re.findall(rf"^Definition {name} (.*?) :=\s*(.*?)\.$", source, re.M | re.S)
    names = re.findall(r"\w+", re.sub(r": \w+", "", given))
    body = re.sub(r"\b(extent|stride|left|right) (\w+)", r"\2.\1", " ".join(body.split()))
    body = re.sub(r"^Window (.*)$", lambda m: f"Window({', '.join(arguments(m[1]))})", body)
    body = re.sub(r"Z\.min (\(.*?\)) (\(.*?\))", r"min(\1, \2)", body)
    return eval(f"lambda {', '.join(names)}: {body.replace('/', '//')}", {"Window": Window})


def arguments(text: Any) -> Any:
    """What stands side by side: words, and what is in parentheses."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == " " and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found


def test_our_code_computes_what_coq_defines() -> None:
    """The laws are proved of definitions; they are the formulas of symcnn.algebra.axis."""
    draw = random.Random(0)
    size, fused, pad, scattered = map(definition, ("size", "fused", "ceil_pad", "scattered"))
    resized, nearest, part = map(definition, ("resized", "nearest", "slice"))
    for _ in range(500):
        r, s, x, k, d = (draw.randint(1, 9) for _ in range(5))
        a, b, o = (draw.randint(-4, 9) for _ in range(3))
        f, g = Window(r, s, a, b), Window(k, d, b, o)
        assert f.size(x) == size(f, x)
        assert f.then(g) == fused(f, g)
        assert Window.conv(k, s, abs(a), d, ceil_mode=True).right == pad(d * (k - 1) + 1, s, abs(a))
        assert Scatter(r, s, a, abs(o)).size(x) == scattered(r, s, a, abs(o), x)
        p, q = r, draw.choice((1, 2, 4))  # exact in double; in float32 where p is a power of two
        assert Resample(p / q).size(x) == resized(p, q, x)
        assert Resample(q / p).pullback(x, x) == (nearest(q, p, x),) * 2
        row = symcnn.tensor(f"1 {x + d + k}")
        assert row[:, d : d + k : s].shape[1] == part(d, d + k, s, x + d + k).size(x + d + k)
    assert Window(1) == definition("identity")()


@pytest.mark.parametrize("word", ["Admitted", "admit", "Axiom", "Parameter", "Hypothesis", "Abort"])
def test_nothing_is_assumed(word: str) -> None:
    for path in PROOFS.glob("*.v"):
        assert not re.search(rf"\b{word}\b", path.read_text()), path.name


@pytest.mark.skipif(shutil.which("coqc") is None, reason="coq is not installed: make proofs")
def test_coq_checks_the_proofs_from_nothing(tmp_path: Path) -> None:
    names = sorted(theorems())
    for path in PROOFS.glob("*.v"):
        shutil.copy(path, tmp_path)
    files = {file.removesuffix(".v") for file, _ in names}
    ordered = (PROOFS / "order").read_text().split()
    assert {*ordered} == files
    (tmp_path / "All.v").write_text(
        f"Require Import {' '.join(ordered)}.\n"
        f"Definition laws := ({', '.join(name for _, name in names)}).\n"
        "Print Assumptions laws.\n"
    )
    for file in [*ordered, "All"]:
        command = ["coqc", "-q", "-R", ".", "Top", f"{file}.v"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "Closed under the global context\n"


def test_every_mutant_is_still_a_text_of_the_code() -> None:
    from .tools.mutants import MUTANTS

    stale = [m.law for m in MUTANTS if (ROOT / m.file).read_text().count(m.text) != 1]
    assert stale == []
