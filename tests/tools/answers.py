"""All answers about many networks, as text, so that two versions of the library can be compared.

    python -m tests.tools.answers before.txt             # examples, layers, 60 drawn networks
    python -m tests.tools.answers before.txt --drawn 2000 --zoo
    python -m tests.tools.answers before.txt after.txt   # what differs

An answer is its text and its page, table, LaTeX and JSON; a refusal is its class and its words. The
questions that take long are asked of small networks only.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import symcnn
from symcnn import nn as layers
from symcnn.testing.branching import draw_branching
from symcnn.testing.layer import Seeded
from symcnn.testing.networks import draw_network
from tests.conftest import load_example

EXAMPLES = """
    alexnet:alexnet article_a:article_a densenet:densenet121 inception:inception_v3 resnet:resnet18
    resnet:resnet50 mobilenet:mobilenet_v2 squeezenet:squeezenet1_0 unet:unet unet:unet_valid
""".split()

#: Where this checkout is, of which answers are not to speak.
HERE = str(Path(__file__).parents[2])

#: Questions that take long of a network of a hundred nodes.
LONG = {"peak solved", "tiles of a peak", "even sizes", "MACs solved", "proof"}


class Gate(nn.Module):
    """A squeeze and excitation: a map scaled by its own means."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.linear(x.mean((2, 3))).sigmoid()[:, :, None, None]


class Padded(nn.Module):
    """A row more where their number is odd."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1)) if x.shape[-1] % 2 else x * 2


class Rows(nn.Module):
    """A copy for each row: a number that python needs."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x for _ in range(x.shape[2])], 1)


def traced(make: Callable[[], nn.Module], spec: str, **options: Any) -> Any:
    """The network of a module on the meta device."""
    with torch.device("meta"):
        module = make().eval()
    return symcnn.from_torch(module, spec, **options)


def networks(drawn: int, zoo: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names of networks, and what traces each."""
    k = symcnn.symbols("k")
    own = {
        "layer": (layers.Conv2d(3, 8, 3, stride=2), "N 3 H W"),
        "kernel k": (layers.Sequential(layers.Conv2d(3, 8, k), layers.MaxPool2d(2)), "N 3 H W"),
        "pools": (layers.Sequential(layers.MaxPool1d(32), layers.AdaptiveAvgPool1d(7)), "N 5 L"),
        "rows of two": (
            layers.Sequential(layers.Unflatten(2, (-1, 2)), layers.Flatten(2)),
            "N 8 L",
        ),
    }
    for name, (module, spec) in own.items():
        yield name, partial(module.trace, spec)
    head = [nn.Conv2d(3, 8, 3, stride=2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(392, 10)]
    yield "head", partial(traced, lambda: nn.Sequential(*head), "N 3 H W")
    yield "lstm", partial(traced, lambda: nn.LSTM(8, 16, batch_first=True), "N T 8")
    attention = partial(nn.TransformerEncoderLayer, 16, 2, batch_first=True)
    yield "attention", partial(traced, attention, "N T 16")
    yield "gate", partial(traced, Gate, "N 3 H W")
    yield "padded", partial(traced, Padded, "N 3 L")
    yield "rows", partial(traced, Rows, "N 3 H W")
    for name in EXAMPLES:
        file, factory = name.split(":")
        yield name, partial(traced, getattr(load_example(file), factory), "N 3 H W")
    if zoo:
        hf = load_example("hf")
        for name, make in hf.MODELS.items():
            if name not in hf.READS_VALUES:
                yield name, partial(traced, make, hf.spec(name), example=hf.EXAMPLES.get(name))
    for seed in range(drawn):
        recipe = draw_network(Seeded(seed))
        yield f"drawn {seed}", partial(symcnn.from_torch, recipe.build(), recipe.spec)
        if seed % 30 == 0:
            branching = draw_branching(Seeded(seed), 2)
            yield f"branching {seed}", partial(traced, branching.build, "N 3 H W")


def questions(net: Any) -> dict[str, Callable[[], Any]]:
    """What is asked of a network, by name."""
    space = [name for name in net.symbols if name not in net.leading]
    rest = dict.fromkeys(space[1:], 64) | dict.fromkeys(net.leading, 1)
    points = [{n: 2 if n in net.leading else size for n in net.symbols} for size in (3, 33, 64)]
    _, odd, even = points
    asked: dict[str, Callable[[], Any]] = {
        "network": lambda: net,
        "outputs": lambda: (net.outputs, net.describe_output(), net.general.outputs),
        "names": lambda: (net.roles, net.hyperparameters, net.batch, net.leading, net.symbols),
        "branches": lambda: (net.complete, net.scope, net.branches),
        "domain": net.valid_inputs,
        "reasons": net.reasons,
        "cost": net.cost,
        "params, MACs, FLOPs": lambda: (net.params, net.macs, net.flops),
        "cost by layer": lambda: net.cost("flops", partial=True).table(),
        "cost at": lambda: net.cost().at(**even),
        "backward": lambda: net.cost(input_grad=True).backward,
        "saved": lambda: net.cost().saved,
        "peak": lambda: net.cost().peak,
        "peak at": lambda: net.cost().at(**even).peak,
        "field": net.receptive_field,
        "field at": lambda: net.receptive_field().at(**even),
        "field of the first layer": lambda: net.receptive_field(net.nodes[0].name),
        "no such layer": lambda: net.receptive_field("zz"),
        "output solved": lambda: net.solve(output=(7,) * len(space)),
        "MACs solved": lambda: net.solve(macs=10**7, **rest),
        "even sizes": lambda: net.solve(even=True),
        "peak solved": lambda: net.solve(peak="1 MiB", **rest),
        "flatten solved": lambda: net.solve(flatten=392),
        "field solved": lambda: net.solve(receptive_field=">=3"),
        "nearest": lambda: net.nearest_valid(*[37] * len(space)),
        "cures": net.fix,
        "cures at": lambda: net.fix(**even),
        "cures of an output": lambda: net.fix(output=tuple(space)),
        "batch": lambda: net.largest_batch("1 GiB", **dict.fromkeys(space, 64)),
        "summary": net.summary,
        "python": net.to_code,
        "C": lambda: net.to_code("c"),
        "tiles": lambda: net.tiles(40, **dict.fromkeys(space, 100)),
        "tiles of a peak": lambda: net.tiles(peak="1 MiB", **dict.fromkeys(space, 100)),
        "shards": lambda: net.shards(2, **{space[0]: 64}),
        "stream": lambda: net.stream(space[0]),
        "pools": net.plain_pools,
        "torch.export": lambda: net.spec("torch.export"),
        "bioimage.io": lambda: net.spec("bioimageio"),
        "last map": lambda: net.last_map(2),
        "flattened": net.before_flatten,
        "at a size": lambda: net.given(**{space[0]: 64}),
        "MACs at a size": lambda: net.given(**{space[0]: 64}).macs,
        "half": lambda: net.at(net.nodes[len(net.nodes) // 2].name),
        "size explained": net.explain,
        "MACs explained": lambda: net.explain("macs"),
        "domain explained": lambda: net.explain("domain"),
        "solution explained": lambda: net.explain("solution", output=(7,) * len(space)),
        "LaTeX": net.to_latex,
        "LaTeX of formulas": lambda: net.to_latex("formulas"),
        "proof": net.prove,
        "claims": lambda: symcnn.check(net, ["0 = 7", "params = 224", "rf = 3"]),
    }
    for sizes in points:
        at = ", ".join(f"{name}={size}" for name, size in sizes.items())
        asked[f"shape at {at}"] = partial(net.shape_at, **sizes)
        asked[f"diagnosis at {at}"] = partial(net.diagnose, **sizes)
    asked["summary at"] = partial(net.summary, at=odd)
    return asked


def text(answer: Any) -> str:
    """An answer as text: each form that it has once."""
    forms = [str(answer), repr(answer)]
    if hasattr(answer, "_repr_html_"):
        page = answer._repr_html_().replace(HERE, "")
        forms.append(hashlib.md5(page.encode()).hexdigest())
    forms += [
        str(getattr(answer, form)())
        for form in ("to_latex", "to_markdown", "to_json", "table")
        if hasattr(answer, form)
    ]
    plain = "\n".join(dict.fromkeys(forms)).replace(HERE, "").replace(HERE.replace("_", r"\_"), "")
    return re.sub(r"0x[0-9a-f]+", "0x", plain)


def said(ask: Callable[[], Any]) -> str:
    """The answer, or why there is none."""
    try:
        return text(ask())
    except Exception as error:
        return f"{type(error).__name__}: {error}".replace(HERE, "")


def record(path: Path, drawn: int, zoo: bool) -> None:
    """Write all answers down."""
    start, count = time.perf_counter(), 0
    with path.open("w") as file:
        for name, trace in networks(drawn, zoo):
            try:
                net = trace()
            except Exception as error:
                file.write(f"== {name}\n{type(error).__name__}: {error}\n")
                continue
            for question, ask in questions(net).items():
                if question in LONG and len(getattr(net, "nodes", ())) > 60:
                    continue
                began = time.perf_counter()
                file.write(f"== {name}: {question}\n{said(ask)}\n")
                count += 1
                if (took := time.perf_counter() - began) > 3:
                    print(f"{name}: {question} took {took:.1f} s", file=sys.stderr)
            file.flush()
    print(f"{count} answers in {time.perf_counter() - start:.0f} s")


def compare(before: Path, after: Path) -> int:
    """Print what differs; how many answers do."""
    old, new = (
        {part.split("\n", 1)[0]: part for part in path.read_text().split("\n== ")}
        for path in (before, after)
    )
    different = [name for name in old | new if old.get(name) != new.get(name)]
    for name in different:
        lines = (old.get(name, "").splitlines(), new.get(name, "").splitlines())
        print(f"== {name}", *list(difflib.unified_diff(*lines, lineterm="", n=0))[2:], sep="\n")
    print(f"{len(different)} of {len(old | new)} answers differ")
    return len(different)


def main() -> None:
    """Record, or compare two records."""
    parser = argparse.ArgumentParser(description="Record all answers, or compare two records.")
    parser.add_argument("paths", nargs="+", type=Path, help="where to write; or two to compare")
    parser.add_argument("--drawn", type=int, default=60, help="how many drawn networks")
    parser.add_argument("--zoo", action="store_true", help="the models of transformers too")
    options = parser.parse_args()
    if len(options.paths) == 2:
        sys.exit(bool(compare(*options.paths)))
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    record(options.paths[0], options.drawn, options.zoo)


if __name__ == "__main__":
    main()
