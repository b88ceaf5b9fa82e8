"""The commands report and diff: what a network is, and what a change to it changes."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import symcnn
from symcnn import nn
from symcnn.cli import main

MODEL = """
from torch import nn
from blocks import block

class Net(nn.Sequential):
    def __init__(self, width=16):
        super().__init__(block(3, width), nn.MaxPool2d(2), block(width, 2 * width))
"""
OLD = """
from torch import nn

def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU())
"""
NEW = OLD.replace("padding=1", "padding=0")


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two versions of a model, which differ in the module that model.py imports."""
    for name, blocks in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(MODEL)
        (tmp_path / name / "blocks.py").write_text(blocks)
    monkeypatch.chdir(tmp_path)
    # OLD and NEW are as long as one another: python takes bytecode of the same second for both
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def run(*words: Any, status: Any = 0) -> Any:
    result = CliRunner().invoke(
        main, [*words, *([] if "--input" in words else ["--input", "N 3 H W"])]
    )
    assert result.exit_code == status, result.output
    return result.output


def test_a_report_has_the_facts_and_the_modules(versions: Any) -> None:
    lines = run("report", "old/model.py:Net", "--sizes", "64").splitlines()
    facts = dict(
        re.split(r"  +", line, maxsplit=1) for line in lines[1 : lines.index("")] if line[0] != " "
    )
    assert facts["input"] == "(N, 3, H, W)"
    assert facts["output"] == "(N, 32, H//2, W//2)"
    assert facts["domain"] == "H >= 2 and W >= 2"
    assert facts["MACs at N=1, H=64, W=64"] == "6,488,064"
    assert [line.split()[0] for line in lines[lines.index("") + 2 :]] == ["0", "1", "2"]


def test_a_report_in_markdown_has_tables(versions: Any) -> None:
    text = run("report", "old/model.py:Net", "--markdown")
    assert text.startswith(
        "### `old/model.py:Net`\n\n|  |  |\n| --- | --- |\n| input | `(N, 3, H, W)` |"
    )
    assert "<details><summary>3 modules</summary>\n\n| module | output" in text


def test_all_outputs_are_in_the_report() -> None:
    x = symcnn.tensor("N 3 H W")
    net = symcnn.Network(inputs=x, outputs=[nn.Conv2d(3, 8, 3)(x), nn.Flatten()(x)])
    facts = dict(symcnn.report(net, at={"H": 9, "W": 9}).facts())
    assert facts["output"] == "(N, 8, H - 2, W - 2), (N, 3*H*W)"
    assert facts["output at N=1, H=9, W=9"] == "(1, 8, 7, 7), (1, 243)"


def test_a_report_in_json(versions: Any) -> None:
    answer = json.loads(run("report", "old/model.py:Net", "--json"))
    assert answer["params"] == 5088
    assert answer["parts"][0]["output"] == [["N", 32, "H//2", "W//2"]]


def test_a_written_report_has_status_1_only_when_it_was_not_so(versions: Any) -> None:
    words = ("report", "old/model.py:Net", "--markdown", "--write", "SHAPES.md")
    assert run(*words, status=1) == "wrote SHAPES.md\n"
    assert run(*words) == "SHAPES.md is up to date\n"
    (versions / "old" / "blocks.py").write_text(NEW)
    assert json.loads(run(*words, "--json", status=1))["changed"] is True
    (versions / "SHAPES.md").write_text("by hand")
    assert run(*words, status=1) == "wrote SHAPES.md, which was out of date\n"
    assert (versions / "SHAPES.md").read_text() in run("report", "old/model.py:Net", "--markdown")


def test_versions_in_two_folders_each_import_their_own_modules(versions: Any) -> None:
    text = run("diff", "old/model.py:Net", "new/model.py:Net", status=1)
    assert re.search(
        r"^output +\(N, 32, H//2, W//2\) -> \(N, 32, H//2 - 3, W//2 - 3\)$", text, re.M
    )
    assert re.search(r"^domain +H >= 2 and W >= 2 -> H >= 8 and W >= 8$", text, re.M)
    assert "only the old one takes" in text
    assert "only the new one takes" not in text
    assert re.search(r"^0\.0 .* 432\*N\*H\*W -> 432\*N\*\(H - 2\)\*\(W - 2\)$", text, re.M)


def test_the_same_network_has_status_0(versions: Any) -> None:
    assert (
        run("diff", "old/model.py:Net", "old/model.py:Net")
        == "nothing changed: 5 modules are the same\n"
    )


def test_a_change_says_by_how_much(versions: Any) -> None:
    words = ("diff", "old/model.py:Net", "old/model.py:Net(width=8)", "--sizes", "64x64")
    answer = json.loads(run(*words, "--json", status=1))
    shares = {one["what"]: one["share"] for one in answer["changes"] if not one["module"]}
    assert answer["changed"] is True
    assert shares["parameters"] == (1392 - 5088) / 5088
    assert shares["MACs at N=1, H=64, W=64"] == (2_064_384 - 6_488_064) / 6_488_064
    assert "| parameters | `5,088` | `1,392` (-72.6%) |" in run(*words, "--markdown", status=1)


def test_a_module_that_is_new_or_gone_is_named(versions: Any) -> None:
    file = versions / "old" / "more.py"
    file.write_text(
        "from model import Net\n\ndef more():\n    net = Net()\n    return net.append(net[1])\n"
    )
    assert re.search(
        r"^1:2 +none -> ", run("diff", "old/model.py:Net", "old/more.py:more", status=1), re.M
    )


def test_formulas_that_are_equal_where_both_run_are_no_change() -> None:
    old = nn.Sequential(nn.Unflatten(2, (-1, 4)), nn.Flatten(2)).trace("N 8 L")
    new = nn.Identity().trace("N 8 L")
    found = symcnn.diff(old, new)
    assert [one.what for one in found.changes if not one.module] == ["domain"]
    assert str(found.gained) == "L % 4 != 0"
    assert not found.lost


def test_branches_are_reported_and_compared_one_by_one(tmp_path: Path) -> None:
    branched = """
import torch
F = torch.nn.functional
class Net(torch.nn.Module):
    def __init__(self, k=2):
        super().__init__()
        self.k = k
        self.c = torch.nn.Conv2d(3, 8, 3, padding=1)
    def forward(self, x):
        return self.c(F.max_pool2d(x, self.k) if x.shape[2] > 64 else x)
"""
    file = tmp_path / "branched.py"
    file.write_text(branched)
    text = run("report", f"{file}:Net")
    assert re.search(r"^output for 1 <= H <= 64 and W >= 1 +\(N, 8, H, W\)$", text, re.M)
    assert "for H >= 65 and W >= 1:" in text
    changed = run("diff", f"{file}:Net", f"{file}:Net(4)", status=1)
    assert "output for H >= 65 and W >= 1           (N, 8, H//2, W//2) -> (N, 8, H//4" in changed
    assert "1 module is the same" in changed
    assert run("diff", f"{file}:Net", f"{file}:Net(2)").startswith("nothing changed")


def test_networks_of_other_inputs_are_compared_as_written(versions: Any) -> None:
    (versions / "seq.py").write_text("from torch import nn\nnet = nn.Conv1d(3, 8, 3)\n")
    result = CliRunner().invoke(main, ["diff", "old/model.py:Net", "seq.py:net"])
    assert result.exit_code == 1
    assert re.search(r"^input +\(N, 3, H, W\) -> \(N, 3, L\)$", result.stdout, re.M)


@pytest.mark.parametrize(
    ("words", "status", "kind"),
    [
        (("report", "old/model.py:Nett"), 2, "BadSpec"),
        (("report", "old/model.py:Net", "--module", "9"), 2, "BadSpec"),
        (("report", "old/model.py:Net", "--sizes", "1x1"), 1, "InvalidInput"),
        (("report", "old/model.py:Net", "--depth", "0"), 2, "BadSpec"),
        (("report", "old/model.py:Net", "--write", "nowhere/SHAPES.md"), 2, "UsageError"),
        (("diff", "old/model.py:Net"), 2, "UsageError"),
        (("diff", "old/model.py:Net", "older/model.py:Net"), 2, "BadSpec"),
        (("diff", "old/model.py:Net", "new/model.py:Net", "--sizes", "4x4"), 1, "InvalidInput"),
    ],
    ids=str,
)
def test_bad_use_and_noes(versions: Any, words: tuple[Any, ...], status: int, kind: str) -> None:
    assert json.loads(run(*words, "--json", status=status))["error"]["kind"] == kind


@pytest.mark.parametrize("package_file", [True, False])
def test_versions_of_a_package_each_import_their_own_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package_file: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for root, blocks in (("base", OLD), (".", NEW)):
        folder = tmp_path / root / "pkg"
        folder.mkdir(parents=True)
        (folder / "model.py").write_text(MODEL.replace("from blocks", "from .blocks"))
        (folder / "blocks.py").write_text(blocks)
        if package_file:
            (folder / "__init__.py").write_text("from .model import Net\n")
    text = run("diff", "base/pkg/model.py:Net", "pkg/model.py:Net", status=1)
    assert re.search(r"^domain +H >= 2 and W >= 2 -> H >= 8 and W >= 8$", text, re.M)
    assert "nothing changed" in run("diff", "pkg/model.py:Net", "pkg/model.py:Net")


def test_a_file_whose_name_ends_in_a_line_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "net_.py"
    for width in (8, 13):
        file.write_text(f"from torch import nn\nnet = nn.Conv2d(3, {width}, 3)\n")
        assert f"(N, {width}, H - 2, W - 2)" in run("shapes", f"{file}:net")


def test_an_error_of_the_second_network_names_it(versions: Any) -> None:
    (versions / "new" / "blocks.py").write_text(NEW.replace("(i, o,", "(i + 1, o,"))
    words = ["diff", "old/model.py:Net", "new/model.py:Net", "--input", "N 3 H W"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.stderr.startswith("new/model.py:Net: ShapeMismatch: 0.0 (conv2d)")
    assert json.loads(run(*words, "--json", status=1))["network"] == "new/model.py:Net"
    other = ["diff", "new/model.py:Net", "old/model.py:Net", "--input", "N 3 H W"]
    assert CliRunner().invoke(main, other).stderr.startswith("ShapeMismatch: 0.0 (conv2d)")
