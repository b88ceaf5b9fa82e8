"""Two provers over every claim of every network here: `make provers` writes the page.

isl decides the claims of a network; z3 is asked each of them again, from a statement that owes
nothing to isl. Then one closed form is broken on purpose: z3 must find sizes at which it fails,
and there the network must have the size that was claimed before. Networks are asked one after
the other; with a state file the same command goes on where it was stopped.
"""

from __future__ import annotations

import importlib
import json
import logging
import platform
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import symcnn
from symcnn.algebra.size import Int, Size, evaluate, symbols_of
from symcnn.questions.proof.documented import stated_in_documentation
from symcnn.questions.proof.prove import _Proving
from symcnn.questions.proof.smt import Statement, ask
from symcnn.trace.graph import Node

from . import resumed
from .resumed import ROOT, commit, limited

sys.path.insert(0, str(ROOT / "examples" / "networks"))

#: What the two say of a claim, in the order of the table's columns.
KINDS = {
    "both": "isl and z3 prove the claim",
    "z3 alone": "z3 proves what isl can only test (products of sizes)",
    "limit": "isl proves the claim, z3 gives no answer within its steps",
    "no words": "isl proves the claim, SMT-LIB has no words for it (float scales)",
    "neither": "tested at sizes, or open, with the reason in the proof",
    "differ": "one proves the claim, the other refutes it",
}


@dataclass(frozen=True)
class Subject:
    """A network to ask about."""

    group: str
    name: str
    make: Any
    specs: tuple[str, ...]
    example: Any = None


GROUPS = ("examples", "zoo", "families")


def subjects(groups: Iterable[str] = GROUPS) -> Iterator[Subject]:
    """Every network of the examples, of the zoo, of the families."""
    for group in groups:
        if group == "examples":
            from tests.tools import on_device

            for name, channels in on_device.EXAMPLES.items():
                file, factory = name.split(":")
                make = getattr(importlib.import_module(file), factory)
                yield Subject(group, name, make, (f"N {channels} H W",))
            continue
        for model in importlib.import_module(f"tests.tools.{group}").models():
            yield Subject(group, model.name, model.make, model.specs, model.example)


def asked(net: symcnn.Network, steps: int) -> Counter[str]:
    """How many claims of a network without branches are of which kind."""
    found: Counter[str] = Counter()
    answers: dict[Statement, tuple[str, Any]] = {}
    proof = net.prove()
    wordless = {id(claim) for claim in proof.unstated}
    for claim in proof.claims:
        theirs = "open"
        if claim.statement is not None and id(claim) not in wordless:
            if claim.statement not in answers:
                answers[claim.statement] = ask(claim.statement, steps)
            theirs = answers[claim.statement][0]
        if "wrong" in (claim.verdict, theirs):
            kind = "differ"
        elif claim.verdict == "proved":
            short = "no words" if id(claim) in wordless else "limit"
            kind = "both" if theirs == "proved" else short
        else:
            kind = "z3 alone" if theirs == "proved" else "neither"
        found[kind] += 1
    return found


def broken(net: symcnn.Network, steps: int) -> str:
    """Break one closed form. The sizes that z3 finds, if the network has the true size there."""
    for node, axis, wrong in _breakable(net):
        proving, (output,) = _Proving(net), node.outputs
        true = output.dims
        output.dims = (*true[:axis], wrong, *true[axis + 1 :])
        try:
            claims = [c for c in proving.node(node) if c.statement and c.verdict == "wrong"]
        finally:
            output.dims = true
        for claim in claims:
            verdict, model = ask(claim.statement, steps) if claim.statement else ("", None)
            if verdict == "wrong" and isinstance(model, dict):
                sizes = {name: model.get(name, 1) for name in net.free_symbols}
                shape = net.at(node.name).shape_at(**sizes)
                if shape[axis] == evaluate(true[axis], sizes) != evaluate(wrong, sizes):
                    told = ", ".join(f"{n}={size}" for n, size in sorted(sizes.items()))
                    return f"`{node.name}` at {told}"
                return f"**not confirmed** at {sizes}"
    return "**no model**"


def _breakable(net: symcnn.Network) -> list[tuple[Node, int, Int]]:
    """Node, axis, and another closed form: that of a size one more, or one more.

    The first may be no other on the domain: at multiples of 8, H//8 is (H + 1)//8.
    """
    found, more = [], []
    for node in reversed(net.nodes):
        if len(node.outputs) == 1:
            for axis, dim in enumerate(node.outputs[0].dims):
                names = sorted(symbols_of(dim) - {"N"})
                if isinstance(dim, Size) and names:
                    other = dim.subs({names[0]: Size.symbol(names[0]) + 1})
                    found.append((stated_in_documentation(node) != {}, (node, axis, other)))
                more.append((node, axis, dim + 1))
    found.sort(key=lambda pair: not pair[0])  # of those that torch documents, the last first
    return [choice for _, choice in found[:6]] + more[:2]


def row(subject: Subject, steps: int, seconds: int) -> dict[str, Any]:
    """What came of one network."""
    start = time.process_time()
    told: dict[str, Any] = {"group": subject.group, "name": subject.name}
    try:
        with limited(seconds):
            net = symcnn.from_torch(subject.make().eval(), *subject.specs, example=subject.example)
            nets = [branch.network for branch in net.branches]
            counts = sum((asked(one, steps) for one in nets), Counter[str]())
            found = broken(nets[0], steps)
            told |= {"networks": len(nets), "counts": dict(counts), "broken": found}
    except TimeoutError:
        told["refused"] = f"not within {seconds} s"
    except symcnn.SymcnnError as error:
        cause = error.cause.splitlines()[0].split(", at /")[0]
        told["refused"] = f"{type(error).__name__}: {cause}"
    except Exception as error:  # the other networks are asked all the same
        told["refused"] = f"**{type(error).__name__}**: {error}"
    return told | {"seconds": round(time.process_time() - start, 1), "commit": commit()}


def page(rows: list[dict[str, Any]], of: int, steps: int, seconds: int) -> str:
    """The table."""
    import z3

    commits = dict.fromkeys(r.get("commit", "an older state") for r in rows)
    done = [r for r in rows if "counts" in r]
    total = sum((Counter(r["counts"]) for r in done), Counter[str]())
    kinds = [kind for kind in KINDS if total[kind]]
    confirmed = sum("**" not in r["broken"] for r in done)
    lines = [
        "# Two provers",
        "",
        "Written by `make provers`: every claim of `net.prove()` of the examples, of the zoo and",
        "of the families, decided by isl, and asked of z3 from its statement in SMT-LIB. z3's",
        f"limit is {steps:,} of its steps a claim, on every machine; a network gets {seconds} s "
        "of the processor, in which all times are.",
        f"z3 {z3.get_version_string()}, python {platform.python_version()}, "
        f"code of {', '.join(commits)}, {sum(r['seconds'] for r in rows):.0f} s.",
        "",
        f"{len(rows)} of {of} networks; {sum(total.values()):,} claims of {len(done)}: "
        + ", ".join(f"{total[kind]:,} {kind}" for kind in KINDS)
        + f". A closed form broken on purpose is refuted, with sizes at which `shape_at` has the "
        f"true size, in {confirmed} of {len(done)}.",
        "",
        *(f"- *{kind}*: {meaning}." for kind, meaning in KINDS.items()),
        "- *broken*: the node whose closed form was replaced by that of a size one more (by one",
        "  more, where the domain makes no difference of it), and the model of z3: sizes at which",
        "  the network has the true size and not the broken one.",
        "",
        f"| network | parts | {' | '.join(kinds)} | broken | s |",
        f"|{' --- |' * (len(kinds) + 4)}",
    ]
    for r in rows:
        if "counts" not in r:
            refused = r["refused"].replace("|", "\\|")
            lines.append(f"| {r['name']} | |{' |' * len(kinds)} {refused} | {r['seconds']:g} |")
            continue
        cells = " | ".join(f"{r['counts'].get(kind, 0):,}" for kind in kinds)
        lines.append(
            f"| {r['name']} | {r['networks']} | {cells} | {r['broken']} | {r['seconds']:g} |"
        )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--state", type=click.Path(path_type=Path), help="Goes on from there.")
@click.option("--most", default=10**6, help="Stop after so many networks.")
@click.option("--steps", default=500_000, show_default=True, help="Steps of z3 a claim.")
@click.option(
    "--seconds", default=90, show_default=True, help="A network's limit, of processor time."
)
@click.option("--group", "groups", type=click.Choice(GROUPS), multiple=True, help="Only these.")
@click.option("--only", default="", help="Networks whose name contains this.")
@click.option("--write", type=click.Path(path_type=Path), help="The page.")
def main(
    state: Path | None,
    most: int,
    steps: int,
    seconds: int,
    groups: tuple[str, ...],
    only: str,
    write: Path | None,
) -> None:
    """Ask two provers; exit status 1 if they differ, or a broken form is not refuted."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    known = {(r["group"], r["name"]): r for r in resumed.rows(state)}
    everything = [s for s in subjects(groups or GROUPS) if only in s.name]
    for subject in everything:
        if (subject.group, subject.name) in known or most <= 0:
            continue
        most -= 1
        made = known[subject.group, subject.name] = row(subject, steps, seconds)
        click.echo(json.dumps(made))
        resumed.add(state, made)
    rows = [known[s.group, s.name] for s in everything if (s.group, s.name) in known]
    if write:
        write.write_text(page(rows, len(everything), steps, seconds), encoding="utf-8")
    bad = [
        r
        for r in rows
        if r.get("counts", {}).get("differ") or "**" in r.get("broken", r.get("refused", ""))
    ]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
