"""Open pages in a real browser and compare every number on them with python.

    python -m tests.tools.page --sizes 50 --seed 0

Ten networks of examples/networks; half of the sizes are valid. Prints a line per network and how
many numbers are off; the exit status is 1 if any is.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import symcnn
from tests.conftest import load_example
from tests.fuzz import page as real

NETWORKS = """
    alexnet:alexnet densenet:densenet121 googlenet:googlenet inception:inception_v3
    mobilenet:mobilenet_v2 resnet:resnet50 squeezenet:squeezenet1_0 unet:unet unet:unet_valid
    vgg:vgg16
""".split()


def network(name: str) -> Any:
    """A network of the examples, traced."""
    file, factory = name.split(":")
    module = load_example(file)
    with torch.device("meta"):
        net = getattr(module, factory)().eval()
    channels = next(p for p in net.parameters() if p.ndim == 4).shape[1]
    return symcnn.from_torch(net, f"N {channels} H W")


def sizes_of(net: Any, count: int, draw: random.Random) -> list[dict[str, int]]:
    """Random sizes, every other moved to the nearest valid one."""
    found = []
    for k in range(count):
        size = draw.randint(1, 1500), draw.randint(1, 1500)
        if k % 2:
            size = net.valid_inputs().nearest(*size)
        found.append({"N": draw.randint(1, 64), "H": size[0], "W": size[1]})
    return found


def main() -> int:
    """See the head of the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, wrong = random.Random(options.seed), 0
    with real.browser() as browser, tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            net = network(name)
            file = net.to_page(Path(folder) / "net.html")
            with real.opened(browser, file) as shown:
                off = [
                    difference
                    for sizes in sizes_of(net, options.sizes, draw)
                    for difference in real.differences(net, shown, sizes)
                ]
                off += shown.complaints
                off += [url for url in shown.requests if url.split("#")[0] != file.as_uri()]
            size = file.stat().st_size
            print(f"{name:24} {len(net.nodes):4} layers {size:8,} bytes {len(off)} off", flush=True)
            print(*(f"    {line}" for line in off[:5]), sep="\n", end="\n" if off else "")
            wrong += len(off)
    print(f"{options.sizes} sizes of {len(NETWORKS)} networks: {wrong} off")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
