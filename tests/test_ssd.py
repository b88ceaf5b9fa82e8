"""SSD300: six maps, flattened and joined; how large is the image that gives its 8,732 boxes?"""

from typing import Any

import torch
from torch import nn

import symcnn


def backbone() -> list[Any]:
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, "M", 128, 128, "M", 256, 256, 256, "C", 512, 512, 512, "M") + (512,) * 3:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=width == "C"))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    layers += [nn.MaxPool2d(3, 1, 1), nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU()]
    return [*layers, nn.Conv2d(1024, 1024, 1), nn.ReLU()]


def extra(channels: int, between: int, width: int, **window: Any) -> nn.Module:
    shrink = nn.Conv2d(between, width, 3, **window)
    return nn.Sequential(nn.Conv2d(channels, between, 1), nn.ReLU(), shrink, nn.ReLU())


class SSD300(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = backbone()
        self.first, self.second = nn.Sequential(*layers[:23]), nn.Sequential(*layers[23:])
        halves = {"stride": 2, "padding": 1}
        self.extras = nn.ModuleList([
            extra(1024, 256, 512, **halves), extra(512, 128, 256, **halves),
            extra(256, 128, 256), extra(256, 128, 256),
        ])  # fmt: skip
        sources = zip((512, 1024, 512, 256, 256, 256), (4, 6, 6, 6, 4, 4), strict=True)
        self.boxes = nn.ModuleList([nn.Conv2d(c, 4 * k, 3, padding=1) for c, k in sources])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [self.first(x)]
        maps.append(self.second(maps[0]))
        for layer in self.extras:
            maps.append(layer(maps[-1]))
        found = [
            head(y).permute(0, 2, 3, 1).contiguous().view(y.size(0), -1)
            for head, y in zip(self.boxes, maps, strict=True)
        ]
        return torch.cat(found, 1).view(x.size(0), -1, 4)


def test_the_boxes_of_ssd300_are_those_of_squares_from_300_to_307() -> None:
    with torch.device("meta"):
        module = SSD300()
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.shape_at(N=1, H=300, W=300) == (1, 8732, 4)
    assert str(net.solve(output=(8732, 4), square=True)) == "300 <= H <= 307 and H == W"
    for size in (299, 300, 307, 308):
        boxes = module(torch.zeros(1, 3, size, size, device="meta")).shape[1]
        assert (boxes == 8732) == (300 <= size <= 307)
