"""Trace the models of examples/networks/hf.py, compare with torch, write docs/zoo.md: `make zoo`.

For each model: 20 random sizes inside its domain and 10 outside, on the meta device. Inside, all
output shapes must be torch's, at 10 of them the FLOPs of the forward and the backward pass too, and
at the smallest the peak of memory must not be above torch's; outside, torch must refuse. Where not
all branches were followed (`net.unfollowed` says which not, and why), sizes outside are those of no
branch: there `shape_at` runs the module, and must say what torch says. With a state file the same
command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch
import transformers

import symcnn
from symcnn.algebra.size import evaluate
from symcnn.judge.oracles import judge, sample_sizes, torch_flops, torch_peak

from . import resumed
from .resumed import ROOT, commit, limited

sys.path.insert(0, str(ROOT / "examples" / "networks"))
import hf

HEAD = f"""# Models that nobody here wrote

Every model of `examples/networks/hf.py`, from transformers {transformers.__version__} with random
weights, traced unmodified by `symcnn.from_torch` and compared with torch
{torch.__version__.split("+")[0]} on the meta device (where the model reads values of its own
buffers or masks, on the CPU).

- *branches*: the paths of the model's python code by size, each a network of its own.
- *in*, *out*: random sizes inside and outside the domain where both sides agree: inside on the
  shapes of all outputs, outside on whether the model refuses.
- *narrower*: of how many sizes outside the domain the model takes some. A domain is narrower than
  torch only where a branch was not followed: the list under the table says which, and why. There
  `shape_at` runs the module, and answers as torch does.
- *params*: our number of parameters, where torch has as many.
- *forward*, *backward*: sizes inside at which our FLOPs of that pass are those of
  `torch.utils.flop_counter`.
- *peak*: at the smallest of the sizes inside, on the CPU, the bytes alive at the worst moment of
  inference: exact, or ours as a part of torch's (tensors that are made of no input count from their
  first reader on; of what an operation makes on its way not all counts; and while somebody watches,
  torch adds the bias of a linear layer whose rows lie apart in a tensor of its own).
- *proved*: what `net.prove()` decides for all integers in the domain, of all that it claims; the
  rest is evaluated at many sizes, and none may be wrong.
"""

#: The columns of the table, between the name of a model and the verdict.
COLUMNS = ["nodes", "branches", "domain", "in", "out", "narrower", "params", "forward"]
COLUMNS += ["backward", "peak", "proved"]

NOTES = """
## What was not followed

"""

#: Seconds of the processor that a model gets.
SECONDS = 240


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


def peak(net: symcnn.Network, model: Model, sizes: dict[str, int]) -> str:
    """Our peak beside torch's on the CPU: exact, a part of torch's, or that nothing is answered."""
    try:
        ours = int(net.cost().at(**sizes).peak)
    except symcnn.SymcnnError:
        return "refused"
    module = model.make().eval()
    inputs = [
        torch.zeros(
            [evaluate(d, sizes) for d in t.dims], dtype=getattr(torch, t.dtype or "float32")
        )
        for t in net.input_tensors
    ]
    theirs, *_ = torch_peak(module, module, inputs)
    return "exact" if ours == theirs else f"{ours / theirs:.3f}"


def row(model: Model, insides: int = 20, outsides: int = 10, costed: int = 10) -> dict[str, Any]:
    """What comes of one model, compared at so many sizes."""
    start = time.process_time()
    try:
        with limited(SECONDS):
            made = _compared(model, insides, outsides, costed)
    except Exception as error:
        cause = (str(getattr(error, "cause", error)) or " ").splitlines()[0].split(", at /")[0]
        made = {"verdict": f"**{type(error).__name__}**: {cause}"}
    spent = round(time.process_time() - start, 1)
    return {"name": model.name, **made, "s": spent}


def _compared(model: Model, insides: int, outsides: int, costed: int) -> dict[str, Any]:
    module = model.make().eval()
    net = symcnn.from_torch(module, *model.specs, example=model.example)
    domain = net.valid_inputs().words()
    module = module.to(model.device)
    judged = partial(judge, net, module, device=model.device)
    inside = [judged(sizes) for sizes in sample_sizes(net, insides, inside=True)]
    outside = [judged(sizes) for sizes in sample_sizes(net, outsides, inside=False)]
    agree = sum(verdict.agree for verdict in inside)
    refused = sum(verdict.agree for verdict in outside)
    narrower = sum(verdict.torch is not None for verdict in outside)
    flops = [costs(net, model, verdict.sizes) for verdict in inside[:costed]]
    forward, both = (sum(column) for column in zip(*flops, strict=True))
    params, proof = net.cost().params, net.prove()
    peaked = peak(net, model, min((v.sizes for v in inside), key=lambda s: prod(s.values())))
    good = agree == len(inside) and refused == len(outside)
    good &= not (narrower and net.complete) and bool(proof)
    good &= peaked in ("exact", "refused") or float(peaked) < 1
    good &= forward == both == len(flops) and params == sum(p.numel() for p in module.parameters())
    cells = {
        "nodes": len(net.nodes),
        "branches": len(net.branches),
        "domain": f"`{domain if len(domain) < 80 else f'{domain[:77]}...'}`",
        "in": f"{agree}/{len(inside)}",
        "out": f"{refused}/{len(outside)}",
        "narrower": "no" if net.complete and not narrower else f"{narrower}/{len(outside)}",
        "params": f"{params:,}",
        "forward": f"{forward}/{len(flops)}",
        "backward": f"{both}/{len(flops)}",
        "peak": peaked,
        "proved": f"{len(proof.proved)}/{len(proof.claims)}",
    }
    verdict = "same as torch" if good else "**differs from torch**"
    return {"cells": cells, "verdict": verdict, "notes": left(net)}


def left(net: symcnn.Network) -> list[str]:
    """What was not followed, each reason with the first of its lines."""
    firsts: dict[str, str] = {}
    for part in net.unfollowed:
        *_, file = part.where_in_code.split("/")
        firsts.setdefault(part.reason, f"`{part.condition}` ({file}): {part.reason}")
    return [*firsts.values()]


def page(head: str, command: str, rows: Sequence[Mapping[str, Any]], of: int) -> str:
    """The table of all models, what was not followed, the code and the time."""
    commits = ", ".join(dict.fromkeys(r["commit"] for r in rows))
    same = sum(r["verdict"] == "same as torch" for r in rows)
    spent = sum(r["s"] for r in rows)
    told = f"{same} of {of} trace and agree with torch."
    made = f"Written by `{command}`: {spent:.0f} s of one core, code of {commits}. {told}"
    lines = [head, made, "", f"| model | {' | '.join(COLUMNS)} | verdict |"]
    lines.append(f"|{' --- |' * (len(COLUMNS) + 2)}")
    notes = []
    for r in rows:
        cells = " | ".join(str(r.get("cells", {}).get(name, "")) for name in COLUMNS)
        verdict = r["verdict"].replace("|", "\\|")
        lines.append(f"| {r['name']} | {cells} | {verdict} |")
        notes += [f"- **{r['name']}**: {note}\n" for note in r.get("notes", ())]
    said = "".join(notes) or "Nothing: every branch of every model was followed.\n"
    return "\n".join([*lines, ""]) + NOTES + said


def run(models: Sequence[Model], head: str, command: str, where: Path, **sizes: int) -> None:
    """The rows of the models that are named, or of all: then the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="only these, and no page")
    parser.add_argument("--state", type=Path, help="goes on from there")
    parser.add_argument("--most", type=int, default=10**6, help="stop after so many")
    words = parser.parse_args()
    named = {model.name: model for model in models}
    if unknown := [name for name in words.names if name not in named]:
        sys.exit(f"no model is called {unknown[0]!r}; there is {', '.join(named)}")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    known = {made["name"]: made for made in resumed.rows(words.state)}
    code = commit()
    for name, model in named.items():
        if words.most > 0 and (name in words.names or not (words.names or name in known)):
            words.most -= 1
            made = known[name] = {**row(model, **sizes), "commit": code}
            told = " ".join(f"{k} {v}," for k, v in made.get("cells", {}).items())
            print(f"{name}: {told} {made['verdict']}, {made['s']} s", flush=True)
            print(*(f"    {note}\n" for note in made.get("notes", ())), sep="", end="", flush=True)
            resumed.add(words.state, made)
    if not words.names:
        rows = [known[name] for name in named if name in known]
        where.write_text(page(head, command, rows, len(named)), encoding="utf-8")


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
    run(models(), HEAD, "make zoo", ROOT / "docs" / "zoo.md")


if __name__ == "__main__":
    main()
