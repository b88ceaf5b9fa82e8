"""The laws hold for all integers: every law names its theorem, and Coq checks each of them."""

import re
import shutil
import subprocess

import pytest

from .conftest import ROOT

PROOFS = ROOT / "docs" / "proofs"
LAWS = (ROOT / "docs" / "laws.md").read_text()
THEOREM = re.compile(r"^Theorem (\w+)", re.M)


def theorems():
    return {
        (path.name, name)
        for path in PROOFS.glob("*.v")
        for name in THEOREM.findall(path.read_text())
    }


def test_every_law_links_to_a_theorem_that_is_there_and_every_theorem_is_linked():
    linked = set(re.findall(r"\[`(\w+)`\]\(proofs/(\w+\.v)\)", LAWS))
    assert {(file, name) for name, file in linked} == theorems()


@pytest.mark.parametrize("word", ["Admitted", "admit", "Axiom", "Parameter", "Hypothesis", "Abort"])
def test_nothing_is_assumed(word):
    for path in PROOFS.glob("*.v"):
        assert not re.search(rf"\b{word}\b", path.read_text()), path.name


@pytest.mark.skipif(shutil.which("coqc") is None, reason="coq is not installed: make proofs")
def test_coq_checks_the_proofs_from_nothing(tmp_path):
    names = sorted(theorems())
    for path in PROOFS.glob("*.v"):
        shutil.copy(path, tmp_path)
    files = {file.removesuffix(".v") for file, _ in names}
    ordered = (PROOFS / "order").read_text().split()
    assert {*ordered} == files
    (tmp_path / "All.v").write_text(
        f"Require Import {' '.join(ordered)}.\n"
        + "".join(f"Print Assumptions {name}.\n" for _, name in names)
    )
    said = ""
    for file in [*ordered, "All"]:
        command = ["coqc", "-q", "-R", ".", "Top", f"{file}.v"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        said += run.stdout
    assert said.count("Closed under the global context") == len(names)


def test_every_mutant_is_still_a_text_of_the_code():
    from .tools.mutants import MUTANTS

    stale = [m.law for m in MUTANTS if (ROOT / m.file).read_text().count(m.text) != 1]
    assert stale == []
