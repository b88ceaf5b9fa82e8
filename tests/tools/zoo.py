"""Trace the models of examples/networks/hf.py, compare with torch, write docs/zoo.md: `make zoo`.

For each model: 20 random sizes inside its domain and 10 outside, on the meta device. Inside, all
output shapes must be torch's, and at 10 of them the FLOPs of the forward and the backward pass
too; outside, torch must refuse. Where not all branches were followed (`net.unfollowed` says which
not, and why), sizes outside are those of no branch: there `shape_at` runs the module, and must say
what torch says.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import transformers
from rich.progress import track

import symcnn
from symcnn.testing.oracles import judge, sample_sizes, torch_flops

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "networks"))
import hf  # noqa: E402

HEAD = f"""# Models that nobody here wrote

Written by `make zoo`: every model of `examples/networks/hf.py`, from transformers
{transformers.__version__} with random weights, traced unmodified by `symcnn.from_torch` and
compared with torch {torch.__version__.split("+")[0]} on the meta device (where the model reads
values of its own buffers, on the CPU). *branches* counts the paths of the model's python code, each
a network of its own. *in* and *out* count random sizes inside and outside the domain where both
sides agree: inside on all shapes, outside that the model refuses. *unfollowed* counts what no
branch describes; the list under the table says what, and why. Such a model takes sizes outside the
domain: *run* counts those of *out* that it takes, where `shape_at` runs it. *forward* and
*backward* count sizes (up to ten, inside) at which our FLOPs of that pass are those of
`torch.utils.flop_counter`; *params* is our number of parameters, where torch has as many. *proved*
counts what `net.prove()` decides for all integers in the domain, of all that it claims; the rest is
evaluated at many sizes, and none may be wrong.
"""

NAMES = ["model", "nodes", "branches", "domain", "in", "out", "run", "unfollowed"]
NAMES += ["params", "forward", "backward", "proved", "verdict"]
COLUMNS = f"\n| {' | '.join(NAMES)} |\n|{' --- |' * len(NAMES)}\n"

NOTES = """
## What was not followed

"""


@dataclass(frozen=True)
class Model:
    """A model to trace, and how."""

    name: str
    make: Callable[[], torch.nn.Module]
    specs: tuple[str, ...]
    example: Mapping[str, int] | None = None
    device: str = "meta"


def costs(net: symcnn.Network, model: Model, sizes: dict[str, int]) -> tuple[bool, bool]:
    """Whether the FLOPs are torch's: those of the forward pass, those with the backward pass."""
    fresh = model.make().eval().to(model.device)  # some cache what they may not reuse
    ours = net.cost("flops").at(**sizes)
    forward, backward = torch_flops(net, fresh, sizes)
    return ours.total == forward, ours.total + ours.backward == forward + backward


def row(model: Model, insides: int = 20, outsides: int = 10, costed: int = 10) -> tuple[str, str]:
    """The line of the table for one model, compared at so many sizes; what was not followed."""
    module = model.make().eval()
    try:
        net = symcnn.from_torch(module, *model.specs, example=model.example)
        domain = str(net.valid_inputs())
    except symcnn.SymcnnError as error:
        cause = error.cause.splitlines()[0].split(", at /")[0].replace("|", "\\|")
        return f"| {model.name} {'| ' * 11}| **{type(error).__name__}**: {cause} |", ""
    module = module.to(model.device)
    judged = partial(judge, net, module, device=model.device)
    inside = [judged(sizes) for sizes in sample_sizes(net, insides, inside=True)]
    outside = [judged(sizes) for sizes in sample_sizes(net, outsides, inside=False)]
    agree = sum(verdict.agree for verdict in inside)
    refused = sum(verdict.agree for verdict in outside)
    run = sum(verdict.agree and verdict.ours is not None for verdict in outside)
    flops = [costs(net, model, verdict.sizes) for verdict in inside[:costed]]
    forward, both = (sum(column) for column in zip(*flops, strict=True))
    params, proof = net.cost().params, net.prove()
    good = agree == len(inside) and refused == len(outside) and not (run and net.complete)
    good &= forward == both == len(flops) and params == sum(p.numel() for p in module.parameters())
    good &= bool(proof)
    wrong = "" if good else "**differs from torch**"
    short = domain if len(domain) < 80 else f"{domain[:77]}..."
    return (
        f"| {model.name} | {len(net.nodes)} | {len(net.branches)} | `{short}` "
        f"| {agree}/{len(inside)} | {refused}/{len(outside)} | {run} | {len(net.unfollowed)} "
        f"| {params:,} | {forward}/{len(flops)} | {both}/{len(flops)} "
        f"| {len(proof.proved)}/{len(proof.claims)} | {wrong or 'same as torch'} |"
    ), left(model.name, net)


def left(name: str, net: symcnn.Network) -> str:
    """What was not followed of a model, each reason with the first of its lines."""
    firsts: dict[str, str] = {}
    for part in net.unfollowed:
        *_, file = part.where_in_code.split("/")
        firsts.setdefault(part.reason, f"`{part.condition}` ({file}): {part.reason}")
    return "".join(f"- **{name}**: {text}\n" for text in firsts.values())


def write(models: Sequence[Model], head: str, page: Path, **sizes: int) -> None:
    """The page with the table of all models, what was not followed, and the time it took."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    start = time.perf_counter()
    rows: list[str] = []
    notes: list[str] = []
    for model in track(models, "tracing and comparing"):
        line, note = row(model, **sizes)
        rows.append(line)
        notes.append(note)
        print(line, note, sep="\n", flush=True)
    same = sum("same as torch" in line for line in rows)
    total = f"\n{same} of {len(rows)} trace and agree with torch.\n"
    said = "".join(notes) or "Nothing: every branch of every model was followed.\n"
    page.write_text(head + COLUMNS + "\n".join(rows) + "\n" + total + NOTES + said)
    print(f"{total.strip()} ({time.perf_counter() - start:.0f} s)")


def models() -> list[Model]:
    """Every model of examples/networks/hf.py."""
    return [
        Model(
            name,
            make,
            (hf.spec(name),),
            hf.EXAMPLES.get(name),
            "cpu" if name in hf.READS_VALUES else "meta",
        )
        for name, make in hf.MODELS.items()
    ]


def main() -> None:
    """Write the table of transformers' models."""
    named = {model.name: model for model in models()}
    if unknown := [name for name in sys.argv[1:] if name not in named]:
        sys.exit(f"no model is called {unknown[0]!r}; there is {', '.join(named)}")
    for name in sys.argv[1:]:
        print(*row(named[name]), sep="\n")
    if not sys.argv[1:]:
        write([*named.values()], HEAD, ROOT / "docs" / "zoo.md")


if __name__ == "__main__":
    main()
