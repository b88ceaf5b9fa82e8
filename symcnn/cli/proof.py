"""Checks: against torch, against a prover, against what others claim."""

from __future__ import annotations

from pathlib import Path

import click

from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.cli.target import torch_module_of
from symcnn.errors import BadSpec


@question(sizes="The sizes at which figures are claimed:")
@click.option("--claim", "claims", multiple=True, required=True, help='Such as "conv1 = 55".')
def check(ask: Ask, claims: tuple[str, ...]) -> Reply:
    """Check other people's figures and formulas; exit status 1 if one is wrong."""
    from symcnn.questions.proof.claims import check as check_claims

    report = check_claims(ask.net, claims, at=ask.sizes or None)
    answer = {"right": bool(report), "verdicts": [*report]}
    return Reply(answer, str(report), ok=bool(report))


@question()
@click.option("--device", default="meta", show_default=True, help="meta, cpu or cuda.")
@click.option("--samples", default=24, show_default=True, help="How many sizes.")
@click.option("--seed", default=0, show_default=True, help="Reproduces the sizes.")
@click.option("--dtype", metavar="NAME", help="Cast to float16, bfloat16, float32 or float64.")
@click.option("--channels-last", is_flag=True, help="In torch.channels_last.")
@click.option("--junit", type=click.Path(dir_okay=False), metavar="FILE", help="JUnit XML, too.")
def validate(
    ask: Ask,
    device: str,
    samples: int,
    seed: int,
    dtype: str | None,
    channels_last: bool,
    junit: str | None,
) -> Reply:
    """Compare with torch at many sizes; exit status 1 if they differ anywhere."""
    if ask.module:
        raise BadSpec("validate looks at the whole network", cure="leave out --module")
    module = torch_module_of(ask.target, "meta" if device == "meta" else "cpu")
    report = ask.traced(module).validate(
        module, device, samples=samples, seed=seed, dtype=dtype, channels_last=channels_last
    )
    if junit:
        Path(junit).write_text(report.to_junit(), encoding="utf-8")
    return Reply(report.to_dict(), str(report), ok=bool(report))


@question()
@click.option("--by", default="isl", type=click.Choice(["isl", "z3", "both"]), help="The prover.")
@click.option("--smtlib", metavar="FOLDER", help="Write each claim as SMT-LIB 2 there.")
def prove(ask: Ask, by: str, smtlib: str | None) -> Reply:
    """Prove the closed forms, layer by layer, for all sizes; exit status 1 if one is wrong."""
    proof = ask.net.prove(by=by)
    if smtlib:
        proof.to_smtlib(smtlib)
    return Reply(proof.to_dict(), str(proof), ok=bool(proof))
