"""Places: tiles, parts, streams, and where two networks agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from symcnn.cli.inputs import one_or_all
from symcnn.cli.name import Name
from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.sets.grammar import parse_numbers


def without(function: Callable[..., Reply]) -> Callable[..., Reply]:
    """The options of what may be left out of account."""
    for option in (
        click.option(
            "--no-statistics",
            "statistics",
            flag_value=False,
            default=True,
            help="Leave out the statistics of group, layer and instance norms.",
        ),
        click.option(
            "--no-gates",
            "gates",
            flag_value=False,
            default=True,
            help="Leave out squeeze-excite and its kin.",
        ),
    ):
        function = option(function)
    return function


@question(sizes="The size of the whole:", required=True)
@click.option("--tile", metavar="256", help="Rows of the input per tile, or 256x128.")
@click.option("--peak", metavar="AMOUNT", help='Instead: the memory of a tile, "8 GiB".')
@click.option("--svg", metavar="FILE", help="Write a picture of the first axis.")
@without
def tiles(
    ask: Ask, tile: str | None, peak: str | None, svg: str | None, gates: bool, statistics: bool
) -> Reply:
    """Tiles that, run one by one, give the output of the whole, exactly."""
    wanted = None if tile is None else one_or_all(parse_numbers(tile, "x", "256"))
    options: dict[str, Any] = {"at": ask.module, "gates": gates, "statistics": statistics}
    found = ask.network.tiles(wanted, peak=peak, **options | ask.sizes)
    if svg is not None:
        Path(svg).write_text(found.draw())
    return Reply(found)


@question(sizes="The size of what is divided:", required=True)
@click.option("--parts", metavar="4", required=True, help="How many parts, or 4x2.")
@without
def shards(ask: Ask, parts: str, gates: bool, statistics: bool) -> Reply:
    """The rows that each part of a divided input needs of its neighbours."""
    counts = one_or_all(parse_numbers(parts, "x", "4"))
    return Reply(
        ask.network.shards(counts, at=ask.module, gates=gates, statistics=statistics, **ask.sizes)
    )


@question()
@click.option("--axis", metavar="L", help="The axis that has no end, where there are several.")
@without
def stream(ask: Ask, axis: str | None, gates: bool, statistics: bool) -> Reply:
    """How it runs along an axis without end: what it keeps, and what it waits for."""
    found = ask.network.stream(axis, at=ask.module, gates=gates, statistics=statistics)
    return Reply({**Reply(found).data, "final": str(found.final("n"))}, str(found))


@question()
@click.argument("other", metavar="OTHER", type=Name())
def agree(ask: Ask, other: str) -> Reply:
    """At which sizes two networks make the same shapes and read the same places."""
    from symcnn.questions.place.agree import agree

    found = agree(ask.net, ask.of(other).net)
    return Reply(found, ok=bool(found.sizes))


@question()
@click.option("--images", metavar="300x400=12,640x640", required=True, help="Sizes, and how many.")
@click.option("--buckets", "k", type=int, metavar="K", required=True, help="How many at most.")
@click.option("--cost", default="macs", show_default=True, help="macs, peak, pixels, or H*W.")
def buckets(ask: Ask, images: str, k: int, cost: str) -> Reply:
    """The sizes to pad images to, at the least cost."""
    from symcnn.questions.place.buckets import buckets

    histogram: dict[tuple[int, ...], int] = {}
    for item in images.split(","):
        size, _, count = item.partition("=")
        (number,) = parse_numbers(count, "x", "12") if count else (1,)
        key = parse_numbers(size, "x", "300x400")
        histogram[key] = histogram.get(key, 0) + number
    return Reply(buckets(ask.net, histogram, k, cost))
