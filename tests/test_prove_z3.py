"""A second prover: z3 decides every claim from statements that owe nothing to isl."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

import symcnn
from symcnn import nn
from symcnn.algebra.size import Size, floordiv
from symcnn.cli import main
from symcnn.errors import BadSpec
from symcnn.questions.proof.smt import Statement, ask
from symcnn.sets.condition import Condition

from .conftest import sure

z3 = pytest.importorskip("z3", reason="the extra `prove` is not installed")


def unet() -> Any:
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
    "plain": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)).trace("N 3 H W"),
    "volume": lambda: nn.Sequential(
        nn.Conv3d(3, 8, 3, 2), nn.MaxPool3d(3, 2, 1, ceil_mode=True), nn.Conv3d(8, 8, 3, 3)
    ).trace("N 3 D H W"),
    "same": lambda: nn.Conv2d(3, 8, 4, padding="same", dilation=3).trace("N 3 H W"),
    "flatten": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
    ).trace("N 3 H W"),
    "strides": lambda: nn.Sequential(
        nn.Conv2d(3, 1, 7, 2, 3), *(nn.Conv2d(1, 1, 3, 2, 1) for _ in range(3))
    ).trace("N 3 H W"),
    "unet": unet,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_both_provers_agree_on_every_claim(name: str) -> None:
    net = NETWORKS[name]()
    one, other, both = (net.prove(by=by) for by in ("isl", "z3", "both"))
    assert [c.verdict for c in one.claims] == [c.verdict for c in other.claims]
    assert one.complete
    assert {c.how for c in other.claims} == {"z3"}
    assert all(c.how.endswith("and z3") for c in both.claims)
    assert one.domain == both.domain


def test_products_of_equal_factors_take_few_steps() -> None:
    assert NETWORKS["strides"]().prove(by="z3", steps=100_000).complete


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mutated_claim_fails_at_sizes_that_the_network_confirms(name: str) -> None:
    net = NETWORKS[name]()
    node = net.nodes[0]
    dim = node.outputs[0].dims[2]
    (claim, *_) = [c for c in net.prove().claims if c.what == "size" and f"is {dim}" in c.says]
    one_more = replace(claim.statement, means=(), wanted=(Condition(dim, "==", dim + 1),))
    sizes: Any
    verdict, sizes = ask(one_more)
    assert verdict == "wrong"
    shape = net.at(node.name).shape_at(**{n: sizes.get(n, 1) for n in net.symbols})
    assert shape[2] == dim.at(sizes)


def test_a_mutated_domain_fails_at_a_size_of_one_and_not_of_the_other() -> None:
    net = unet()
    (claim,) = [c for c in net.prove().claims if c.what == "domain"]
    assert ask(claim.statement) == ("proved", None)
    sizes: Any
    verdict, sizes = ask(replace(claim.statement, given=claim.statement.given[:-1]))
    assert verdict == "wrong"
    assert {n: sizes[n] for n in ("H", "W")} not in net.valid_inputs()


def test_every_claim_is_a_file_that_any_solver_reads(tmp_path: Path) -> None:
    proof = unet().prove()
    files = proof.to_smtlib(tmp_path / "claims")
    assert len(files) == len(proof.claims)
    assert not proof.unstated
    for file, claim in zip(files, proof.claims, strict=True):
        assert f"; {claim.says}" in file.read_text()
        assert z3_says(file) == z3.unsat


def padded() -> symcnn.Network:
    """Pads what is odd: a branch for each of the ways."""

    class Padded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, w = x.shape[2:]
            if h % 2:
                x = F.pad(x, (0, 0, 0, 1))
            if w % 2 and w > 8:
                x = F.pad(x, (0, 1))
            return F.max_pool2d(x, 2)

    return symcnn.from_torch(Padded(), "N 3 H W")


def exported() -> Any:
    """An encoder, a decoder and a join, as an ONNX file."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def weight(name: str, *dims: Any) -> Any:
        return helper.make_tensor(name, TensorProto.FLOAT, dims, [0.0] * math.prod(dims))

    dims: dict[str, Any] = {"x": ["N", 3, "H", "W"], "y": ["N", 7, "H", "W"]}
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in dims.items())
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("ConvTranspose", ["b", "v"], ["c"], strides=[2, 2]),
            helper.make_node("Concat", ["x", "c"], ["y"], axis=1),
        ],
        "joined",
        [x],
        [y],
        [weight("w", 8, 3, 3, 3), weight("v", 8, 4, 2, 2)],
    )
    return symcnn.from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def several() -> symcnn.Network:
    """An image at two scales and a vector that gates it."""

    class Gated(torch.nn.Module):
        def forward(
            self, fine: torch.Tensor, coarse: torch.Tensor, gate: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            fine = F.max_pool2d(fine, 3, 2, 1) + coarse
            return fine * gate[:, :, None, None], F.max_pool2d(coarse, 2)

    return symcnn.from_torch(Gated(), "N C H W", "N C H2 W2", "N C")


@pytest.mark.parametrize("make", [padded, exported, several])
def test_every_file_of_branches_of_onnx_and_of_several_inputs_is_unsat(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    net = make()
    proof = net.prove(by="both")
    assert not proof.unstated
    assert {c.verdict for c in proof.claims} == {"proved"}
    assert all(c.how.endswith(("and z3", "z3")) for c in proof.claims)
    files = proof.to_smtlib(tmp_path)
    assert len(files) == len(proof.claims)
    for file, claim in zip(files, proof.claims, strict=True):
        assert file.read_text().startswith(f"; {claim.what}: {claim.where}\n; {claim.says}\n")
        assert z3_says(file) == z3.unsat


def z3_says(file: Any) -> Any:
    solver = z3.Solver()
    solver.from_file(str(file))
    return solver.check()


def test_the_claims_of_a_branch_name_its_sizes() -> None:
    net = padded()
    assert len(net.branches) > 1
    wheres = {b.where.describe() for b in net.branches}
    assert {c.says.rpartition(", where ")[2] for c in net.prove().claims} == wheres


def test_what_has_no_words_is_said() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=0.29)).trace("N 3 H W")
    proof = net.prove(by="z3")
    assert proof.unstated
    assert {c.verdict for c in proof.unstated} == {"open"}
    assert not proof.complete
    assert net.prove(by="both").complete == net.prove().complete


def test_what_one_prover_cannot_say_is_said_beside_the_other() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=0.29)).trace("N 3 H W")
    ways = {c.how for c in net.prove(by="both").proved if "isl and z3" not in c.how}
    assert any("has no word in SMT-LIB" in way for way in ways)
    few = unet().prove(by="both", steps=1)
    assert any("z3: no answer within 1 steps" in c.how for c in few.proved)


def test_a_model_that_divides_by_0_is_no_counterexample() -> None:
    """z3 takes any number for a quotient by 0; a size that is one there is none."""
    h, k, x = map(Size.symbol, ("H", "K", "x0"))
    means: Any = (("x0", floordiv(h, k - 1)),)
    statement = Statement((), means, (Condition(x, ">=", 0),))
    verdict, why = ask(statement)
    assert verdict == "open"
    assert "divides by 0" in sure(why)
    whole = replace(statement, given=(Condition(k, ">=", 2),))
    assert ask(whole) == ("proved", None)
    sizes: Any
    verdict, sizes = ask(replace(whole, wanted=(Condition(x, ">=", 1),)))
    assert verdict == "wrong"
    assert sizes["H"] < sizes["K"] - 1


def test_fractions_in_formulas_are_stated() -> None:
    """Half of an even size: whole numbers on both sides of what SMT-LIB reads."""
    net = nn.Sequential(nn.Conv2d(3, 1, 2, stride=2), nn.Conv2d(1, 1, 1)).trace("N 3 H W")
    halved: Any = net.nodes[0].outputs[0].dims[2] * Fraction(1, 2), ">=", Fraction(1, 2)
    half = Condition(*halved)
    verdict, _ = ask(replace(sure(net.prove().claims[0].statement), means=(), wanted=(half,)))
    assert verdict == "proved"


def test_a_broken_form_of_a_network_is_refuted_and_confirmed() -> None:
    """What `make provers` does for every network of examples, zoo and families."""
    from .tools import provers

    net = unet()
    assert set(provers.asked(net, 200_000)) == {"both"}
    assert "**" not in provers.broken(net, 200_000)
    net.nodes[0].outputs[0].dims = (*net.nodes[0].outputs[0].dims[:2], 7, 7)
    assert provers.asked(net, 200_000)["differ"]


def test_the_summary_says_what_rests_on_what() -> None:
    text = unet().prove(by="both").summary()
    assert "isl and z3" in text
    assert "checked by Coq" in text
    assert "tested against torch, not proved" in text


def test_another_prover_is_not_known() -> None:
    with pytest.raises(BadSpec, match="isl, z3 or both"):
        unet().prove(by="cvc5")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.py").write_text(
        "import torch.nn as nn\nnet = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2))\n"
    )
    monkeypatch.chdir(tmp_path)
    command = "prove model.py:net --input", "N 3 H W", "--by", "both", "--smtlib", "claims"
    result = CliRunner().invoke(main, [*command[0].split(), *command[1:]])
    assert result.exit_code == 0, result.output
    assert "isl and z3" in result.output
    assert [*(tmp_path / "claims").glob("*.smt2")]
