"""A second prover: z3 decides every claim from statements that owe nothing to isl."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

import symcnn
from symcnn import nn
from symcnn.cli import main
from symcnn.errors import BadSpec
from symcnn.questions.proof.smt import ask
from symcnn.sets.condition import Condition

z3 = pytest.importorskip("z3", reason="the extra `prove` is not installed")


def unet():
    x = symcnn.tensor("N 3 H W")
    skips, y = [], x
    for width in (8, 16, 32):
        y = nn.Conv2d(int(y.shape[1]), width, 3, padding=1)(y)
        skips.append(y)
        y = nn.MaxPool2d(2)(y)
    for skip in skips[::-1]:
        y = nn.ConvTranspose2d(int(y.shape[1]), 8, 2, stride=2)(y)
        y = symcnn.cat([y, skip], dim=1)
    return symcnn.Network(inputs=x, outputs=y)


NETWORKS = {
    "ceil": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.MaxPool2d(3, 2, 1, ceil_mode=True)
    ).trace("N 3 H W"),
    "same": lambda: nn.Conv2d(3, 8, 4, padding="same", dilation=3).trace("N 3 H W"),
    "flatten": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
    ).trace("N 3 H W"),
    "unet": unet,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_both_provers_agree_on_every_claim(name):
    net = NETWORKS[name]()
    one, other, both = (net.prove(by=by) for by in ("isl", "z3", "both"))
    assert [c.verdict for c in one.claims] == [c.verdict for c in other.claims]
    assert one.complete
    assert {c.how for c in other.claims} == {"z3"}
    assert all(c.how.endswith("and z3") for c in both.claims)
    assert one.domain == both.domain


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mutated_claim_fails_at_sizes_that_the_network_confirms(name):
    net = NETWORKS[name]()
    node = net.nodes[0]
    dim = node.outputs[0].dims[2]
    (claim, *_) = [c for c in net.prove().claims if c.what == "size" and f"is {dim}" in c.says]
    one_more = replace(claim.statement, means=(), wanted=(Condition(dim, "==", dim + 1),))
    verdict, sizes = ask(one_more)
    assert verdict == "wrong"
    shape = net.at(node.name).shape_at(**{n: sizes.get(n, 1) for n in net.symbols})
    assert shape[2] == dim.at(sizes)


def test_a_mutated_domain_fails_at_a_size_of_one_and_not_of_the_other():
    net = unet()
    (claim,) = [c for c in net.prove().claims if c.what == "domain"]
    assert ask(claim.statement) == ("proved", None)
    verdict, sizes = ask(replace(claim.statement, given=claim.statement.given[:-1]))
    assert verdict == "wrong"
    assert {n: sizes[n] for n in ("H", "W")} not in net.valid_inputs()


def test_every_claim_is_a_file_that_any_solver_reads(tmp_path):
    proof = unet().prove()
    files = proof.to_smtlib(tmp_path / "claims")
    assert len(files) == len(proof.claims)
    assert not proof.unstated
    for file, claim in zip(files, proof.claims, strict=True):
        text = file.read_text()
        assert f"; {claim.says}" in text
        solver = z3.Solver()
        solver.from_string(text.partition("(check-sat)")[0])
        assert solver.check() == z3.unsat


def test_what_has_no_words_is_said():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=0.29)).trace("N 3 H W")
    proof = net.prove(by="z3")
    assert proof.unstated
    assert {c.verdict for c in proof.unstated} == {"open"}
    assert not proof.complete
    assert net.prove(by="both").complete == net.prove().complete


def test_the_summary_says_what_rests_on_what():
    text = unet().prove(by="both").summary()
    assert "isl and z3" in text
    assert "checked by Coq" in text
    assert "tested against torch, not proved" in text


def test_another_prover_is_not_known():
    with pytest.raises(BadSpec, match="isl, z3 or both"):
        unet().prove(by="cvc5")


def test_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(
        "import torch.nn as nn\nnet = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2))\n"
    )
    monkeypatch.chdir(tmp_path)
    command = "prove model.py:net --input", "N 3 H W", "--by", "both", "--smtlib", "claims"
    result = CliRunner().invoke(main, [*command[0].split(), *command[1:]])
    assert result.exit_code == 0, result.output
    assert "isl and z3" in result.output
    assert [*(tmp_path / "claims").glob("*.smt2")]
