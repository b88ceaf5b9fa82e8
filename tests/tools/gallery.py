"""The pictures of docs/pictures.md: ``python -m tests.tools.gallery`` makes them anew."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import symcnn
from symcnn import nn

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT / "examples"))

#: Dumoulin and Visin's fifteen relationships, one layer of each, and the size of its input.
RELATIONSHIPS: dict[str, tuple[nn.Module, int]] = {
    "1": (nn.Conv2d(1, 1, 3), 5),
    "2": (nn.Conv2d(1, 1, 4, padding=2), 5),
    "3": (nn.Conv2d(1, 1, 3, padding=1), 5),
    "4": (nn.Conv2d(1, 1, 3, padding=2), 5),
    "5": (nn.Conv2d(1, 1, 3, stride=2), 5),
    "6": (nn.Conv2d(1, 1, 3, stride=2, padding=1), 6),
    "7": (nn.MaxPool2d(3, 1), 5),
    "8": (nn.ConvTranspose2d(1, 1, 3), 2),
    "9": (nn.ConvTranspose2d(1, 1, 4, padding=2), 6),
    "10": (nn.ConvTranspose2d(1, 1, 3, padding=1), 5),
    "11": (nn.ConvTranspose2d(1, 1, 3, padding=2), 7),
    "12": (nn.ConvTranspose2d(1, 1, 3, stride=2), 2),
    "13": (nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1), 3),
    "14": (nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1), 3),
    "15": (nn.Conv2d(1, 1, 3, dilation=2), 7),
}


def _photo() -> object:
    """An image of 224 by 224: the sky, a hill, a sun."""
    import numpy as np

    y, x = np.mgrid[0:224, 0:224]
    sky = np.stack([0.55 + y / 600, 0.75 + y / 1200, np.full(y.shape, 0.95)], -1)
    hill = y > 150 + 30 * np.sin(x / 35)
    sun = (x - 165) ** 2 + (y - 55) ** 2 < 26**2
    sky[hill] = np.stack([0.25 + y / 1500, 0.5 + y / 900, 0.3 + x * 0.0], -1)[hill]
    sky[sun] = (1.0, 0.85, 0.3)
    return np.clip(sky, 0, 1)


def drawings() -> None:
    """The SVGs: layers and architectures."""
    from networks.resnet import resnet50
    from networks.unet import unet

    for number, (layer, size) in RELATIONSHIPS.items():
        layer.draw(i=size, animate=True).save(OUT / f"relationship_{number}.svg")
    nn.MaxPool2d(3, stride=2, ceil_mode=True).draw(i=6).save(OUT / "ceil.svg")
    nn.Conv1d(1, 1, 3, dilation=2, padding=2).draw(i=8).save(OUT / "dilated.svg")
    symcnn.from_torch(resnet50().eval(), "N 3 H W").draw().save(OUT / "resnet50.svg")
    symcnn.from_torch(unet().eval(), "N 3 H W").draw(depth=2).save(OUT / "unet.svg")


def figures() -> None:
    """The PNGs."""
    from networks.resnet import resnet50
    from networks.unet import unet, unet_valid

    resnet = symcnn.from_torch(resnet50().eval(), "N 3 H W")
    padded = symcnn.from_torch(unet().eval(), "N 3 H W")
    cropped = symcnn.from_torch(unet_valid().eval(), "N 1 H W")
    shown: dict[str, Callable[[], object]] = {
        "sizes": lambda: resnet.plot("sizes", H=range(1, 257), output=7),
        "domain": lambda: padded.plot("domain"),
        "domain_cropped": lambda: cropped.plot("domain", H=range(180, 212), W=range(180, 212)),
        "cost": lambda: resnet.plot("cost", H=range(32, 513), macs="10G", peak="20 MiB"),
        "memory": lambda: padded.plot("memory", H=224, W=224),
        "fields": lambda: resnet.plot("fields", H=224, W=224),
        "field": lambda: resnet.receptive_field("layer2").plot(at=(3, 12), on=_photo()),
        "tiles": lambda: padded.tiles(H=224 * 4, W=224 * 4, tile=512).plot(),
    }
    for name, made in shown.items():
        made().savefig(OUT / f"{name}.png", dpi=90)  # type: ignore[attr-defined]


def main() -> None:
    """Make all pictures anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    drawings()
    figures()


if __name__ == "__main__":
    main()
