"""Repair: what fails at a size, and what to write instead."""

from __future__ import annotations

import click

from symcnn.cli.inputs import one_or_all
from symcnn.cli.question import Ask, command, question
from symcnn.cli.reply import Reply
from symcnn.sets.grammar import parse_numbers, parse_ranges


@question(sizes="The size to look at:", required=True)
def diagnose(ask: Ask) -> Reply:
    """What happens at a size: where it fails, why, and every way out."""
    found = ask.net.diagnose(**ask.sizes)
    answer = {
        "sizes": found.sizes,
        "ok": found.ok,
        "failure": found.failure,
        "further": found.further,
        "ways": found.ways,
        "traps": found.traps,
        "unread": found.unread,
    }
    return Reply(answer, str(found), ok=found.ok)


@question(sizes="Sizes at which to give numbers:")
@click.option(
    "--output", metavar="HxW", help="Instead: the padding that makes the output so large."
)
def fix(ask: Ask, output: str | None) -> Reply:
    """What every Linear and view constant should be; or the padding that keeps the size."""
    if output is not None:
        ways = ask.net.fix(output=output)
        return Reply({"ways": ways}, "\n".join(map(str, ways)))
    found = ask.net.fix(**ask.sizes)
    answer = [
        {"node": f.node, "kind": f.kind, "was": f.was, "formula": str(f.formula)}
        | {"value": f.value, "right": None if f.value is None else f.right, "line": f.line}
        for f in found
    ]
    text = "\n".join(map(str, found)) or "no constant of this network fixes the input size"
    return Reply({"fixes": answer}, text)


@command
@click.argument("input", metavar="224")
@click.argument("output", metavar="112")
@click.option("--layer", default="Conv2d", help="Conv2d, ConvTranspose2d, MaxPool2d, ...")
@click.option("--with", "fixed", metavar="NAME=N", help="Hyperparameters: kernel_size=3,stride=2.")
@click.option("--limit", type=int, default=10, help="At most so many (10).")
def layer(input: str, output: str, layer: str, fixed: str | None, limit: int) -> Reply:
    """The hyperparameters that lead from one size to another: 224 to 112, 224x112 to 112x112."""
    from symcnn.questions.layer.hyper import solve_layer

    pair = [one_or_all(parse_numbers(size, "x", "224x112")) for size in (input, output)]
    found = solve_layer(layer, *pair, limit=limit, **(parse_ranges(fixed) if fixed else {}))
    answer = {"layers": [{"layer": c.layer, **c.values} for c in found]}
    return Reply(answer, "\n".join(map(repr, found)))


@question()
def pools(ask: Ask) -> Reply:
    """For each adaptive pool the plain pool that it is, and where."""
    found = ask.net.plain_pools()
    text = "\n".join(map(str, found)) or "the network has no adaptive pool"
    return Reply({"pools": found}, text)
