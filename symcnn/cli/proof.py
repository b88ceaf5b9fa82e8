"""Checks: against torch, against a prover, against what others claim."""

from __future__ import annotations

import os
from pathlib import Path

import click

from symcnn.cli.question import Ask, command, question
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
@click.option("--forms", default=2_000, show_default=True, help="Ways to call operations.")
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


@command
@click.option("--layers", default=200_000, show_default=True, help="How many layer cases.")
@click.option("--networks", default=2_000, show_default=True, help="How many networks.")
@click.option("--domains", default=100, show_default=True, help="How many at every size.")
@click.option("--fields", default=100, show_default=True, help="How many receptive fields.")
@click.option("--places", default=100, show_default=True, help="Tiles, shards, streams, agreement.")
@click.option("--forms", default=2_000, show_default=True, help="Ways to call operations.")
@click.option("--seed", default=0, show_default=True, help="Reproduces every case.")
@click.option("--device", default="", help="Where they run; else layers on CPU, networks on meta.")
@click.option("--processes", type=click.IntRange(min=1), help="How many (default: one per core).")
@click.option("--state", metavar="FILE", help="Keep what is done, and go on from there.")
@click.option("--report", metavar="FILE.md", help="Write a summary in Markdown.")
@click.option(
    "--case", metavar="layer:N", help="Only this; network:N, domain:N, field:N, place:N, form:N."
)
def sweep(
    layers: int,
    networks: int,
    domains: int,
    fields: int,
    places: int,
    forms: int,
    seed: int,
    device: str,
    processes: int | None,
    state: str | None,
    report: str | None,
    case: str | None,
) -> Reply:
    """Random layers, networks, domains, fields, places, calls, judged by torch; 1: one differs."""
    try:
        from symcnn.judge.validate import check_device
        from symcnn.testing.campaign import Campaign
        from symcnn.testing.sweep import judge_cases, parse_case, told
    except ImportError as error:
        raise BadSpec(f"{error.name} is missing", cure="pip install 'symcnn[torch,test]'") from None
    if device:
        check_device(device)
    if case is not None:
        what, number = parse_case(case)
        tally = judge_cases(what, seed, [number], device)
        text = "\n".join([told(what, seed, number), *map(str, tally.mismatches)])
        return Reply(tally.to_dict(), f"{text}\n{tally.wrong} mismatches", ok=not tally.wrong)
    file = Path(state) if state else None
    campaign = Campaign(seed, device) if file is None else Campaign.load(file, seed, device)
    asked = {"layer": layers, "network": networks, "domain": domains, "field": fields}
    asked |= {"place": places, "form": forms}
    counts = {what: n for what, n in asked.items() if n > 0}
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        bars = {what: progress.add_task(f"{what}s", total=n) for what, n in counts.items()}

        def show(now: Campaign) -> None:
            for what, bar in bars.items():
                progress.update(bar, completed=now.done_below(what, counts[what]))

        show(campaign)
        complete = campaign.run(
            counts, processes=processes or os.cpu_count() or 1, path=file, told=show
        )
    if report:
        Path(report).write_text(campaign.to_markdown(), encoding="utf-8")
    text = str(campaign) if complete else f"{campaign}\nstopped early"
    ok = complete and not campaign.tally.wrong
    return Reply(campaign.to_dict() | {"complete": complete}, text, ok=ok)
