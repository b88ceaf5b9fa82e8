"""The main job, on real networks: which inputs give 7 x 7, which are valid at all, and why.

Beside it the table of an architecture at 224, its cost, and what a place of its last map sees.

Run by ``make demo``. Every answer is computed from the networks in ``examples/networks``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

import symcnn

NETWORKS = Path(__file__).parent / "networks"
BUILD = Path(__file__).parents[1] / "build" / "demo"
console = Console(highlight=False)


def network(name: str, spec: str = "N 3 H W") -> symcnn.Network:
    """Trace ``file:factory`` from examples/networks, on the meta device: no weights are made."""
    file, factory = name.split(":")
    location = importlib.util.spec_from_file_location(file, NETWORKS / f"{file}.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    sys.modules[file] = module
    location.loader.exec_module(module)
    with torch.device("meta"):
        return symcnn.from_torch(getattr(module, factory)().eval(), spec)


def say(question: str, *answers: Any) -> None:
    """A question and its answers."""
    console.print(f"[bold]{escape(question)}[/bold]")
    for answer in answers:
        for line in str(answer).splitlines():
            console.print(f"    {escape(line)}", soft_wrap=True)
    console.print()


def refusal(net: symcnn.Network, **sizes: int) -> str:
    """What the network says to a size it does not take."""
    try:
        return f"it works: {net.shape_at(**sizes)}"
    except symcnn.InvalidInput as error:
        return str(error)


def times(sizes: tuple[Any, ...]) -> str:
    """Sizes as people write them: 427 x 427."""
    return " x ".join(map(str, sizes))


def architecture(net: symcnn.Network) -> str:
    """The table that people paste, at one image of 224 x 224."""
    columns = ("output", "params", "macs", "field")
    return str(net.summary(at={"N": 1, "H": 224, "W": 224}, depth=1, columns=columns))


def pictures(net: symcnn.Network) -> list[Path]:
    """A drawing of a layer, and a page of the network, in files."""
    BUILD.mkdir(parents=True, exist_ok=True)
    stem = symcnn.nn.Conv2d(3, 64, 7, stride=2, padding=3)
    drawing, page = BUILD / "conv1.svg", BUILD / "resnet50.html"
    stem.draw(i=14).save(drawing)
    symcnn.to_page(net, page, titles=["ResNet-50"])
    return [drawing, page]


def main() -> None:
    """Ask, and print what the library answers."""
    resnet = network("resnet:resnet50")
    final = resnet.at("layer4")
    say("ResNet-50: what is its final map, for every input size?", final.output_shape)
    say("Which inputs make that map 7 x 7?", resnet.solve(output=(7, 7)))
    forms = final.receptive_field()
    say(
        "What does one place of that map see, and what does the network cost?",
        f"a field of {times(forms.size)}, every {times(forms.stride)} pixels",
        f"MACs: {resnet.macs}",
    )
    article = network("article_a:article_a")
    fits = article.solve(flatten=12544)
    needed = article.at("pool3").shape_at(N=1, H=227, W=227)
    question = "Article A puts Linear(12544, 4096) behind AlexNet. Does a 227 x 227 image fit?"
    say(question, refusal(article, N=1, H=227, W=227))
    say("Which square images do fit?", fits.square())
    say("And what should the number be at 227 x 227?", f"{needed.numel}, from {needed}")

    trap = network("article_b:Net")
    question = "Article B flattens with view(-1, 512). What happens to one 64 x 64 image?"
    say(question, refusal(trap, N=1, H=64, W=64))
    say("Which square images does it keep apart?", trap.valid_inputs().square())

    unet = network("unet:unet")
    say("A U-Net: which images does it take?", unet.valid_inputs())
    say("Which layers ask for that?", *unet.reasons())

    say("ResNet-50 as a table, at 224 x 224:", architecture(resnet))
    say(
        "A picture of its first convolution, and a page with every figure at any size:",
        *pictures(resnet),
    )


if __name__ == "__main__":
    main()
