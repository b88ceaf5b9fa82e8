"""Random layers, networks, domains, fields, places, calls, judged by torch; 1: one differs.

python -m tests.fuzz --layers 1000000 --networks 10000 --seed 4 --state sweep.json
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from symcnn.cli.reply import to_json
from symcnn.errors import SymcnnError
from symcnn.judge.validate import check_device
from tests.fuzz.campaign import Campaign, plural
from tests.fuzz.sweep import judge_cases, parse_case, told

__all__ = ["main"]


#: How many cases of each kind there are where no kind is named, and what they are.
KINDS = {
    "layers": (200_000, "Layer cases."),
    "networks": (2_000, "Networks."),
    "domains": (100, "Networks at every size."),
    "fields": (100, "Receptive fields."),
    "places": (100, "Tiles, shards, streams, agreement."),
    "forms": (2_000, "Ways to call operations."),
    "branching": (100, "Networks with branches on sizes."),
}


def _counts(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each kind. Who names some asks for no others."""
    for kind, (count, words) in reversed(KINDS.items()):
        help = f"{words}  [default: {count:,}; 0 where others are named]"
        command = click.option(f"--{kind}", type=int, help=help)(command)
    return command


@click.command(help=__doc__)
@_counts
@click.option("--seed", default=0, show_default=True, help="Reproduces every case.")
@click.option("--device", default="", help="Where they run; else layers on CPU, networks on meta.")
@click.option("--processes", type=click.IntRange(min=1), help="How many (default: one per core).")
@click.option("--state", type=Path, help="Keep in this file what is done, and go on from there.")
@click.option("--report", type=Path, help="Write a summary in Markdown to this file.")
@click.option("--case", metavar="layer:N", help="Only this; likewise network:N, form:N and so on.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    seed: int,
    device: str,
    processes: int | None,
    state: Path | None,
    report: Path | None,
    case: str | None,
    as_json: bool,
    **asked: int | None,
) -> None:
    """The command."""
    named = {kind: n for kind, n in asked.items() if n is not None}
    wanted = named or {kind: count for kind, (count, _) in KINDS.items()}
    counts = {kind.removesuffix("s"): n for kind, n in wanted.items() if n > 0}
    try:
        if device:
            check_device(device)
        if case is not None:
            what, number = parse_case(case)
            tally = judge_cases(what, seed, [number], device)
            text = "\n".join([told(what, seed, number), *map(str, tally.mismatches)])
            text, answer, ok = f"{text}\n{tally.wrong} mismatches", tally.to_dict(), not tally.wrong
        else:
            campaign = Campaign.load(state, seed, device) if state else Campaign(seed, device)
            complete = _run(campaign, counts, processes or os.cpu_count() or 1, state)
            text = str(campaign) if complete else f"{campaign}\nstopped early"
            answer = campaign.to_dict() | {"complete": complete}
            ok = complete and not campaign.tally.wrong
            if report:
                report.write_text(campaign.to_markdown(), encoding="utf-8")
    except SymcnnError as error:
        raise click.UsageError(str(error)) from None
    click.echo(to_json(answer) if as_json else text)
    ctx.exit(not ok)


def _run(campaign: Campaign, counts: dict[str, int], processes: int, state: Path | None) -> bool:
    """Run what is missing, and show how far it is; whether it ended."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {what: progress.add_task(plural(what), total=n) for what, n in counts.items()}

        def show(now: Campaign) -> None:
            for what, bar in bars.items():
                progress.update(bar, completed=now.done_below(what, counts[what]))

        show(campaign)
        return campaign.run(counts, processes=processes, path=state, told=show)


if __name__ == "__main__":
    main(prog_name="python -m tests.fuzz")
