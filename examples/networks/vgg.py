"""VGG-16 (Simonyan and Zisserman, "Very deep convolutional networks", 2014), torchvision's layout.

Padded 3 x 3 convolutions never change the size; five 2 x 2 pools divide it by 32. So the features
are floor(H/32) high, and 7 x 7 for inputs of 224..255: 224 is the *smallest* size that gives 7.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def conv_stages(stages: Sequence[tuple[int, int]]) -> nn.Sequential:
    """`(depth, channels)` per stage: so many convolutions of that width, then one pool."""
    layers: list[nn.Module] = []
    in_channels = 3
    for depth, channels in stages:
        for _ in range(depth):
            layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU()]
            in_channels = channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    def __init__(self, features: nn.Sequential, num_classes: int = 1000) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        x = self.classifier(x)
        return x


def vgg16() -> VGG:
    return VGG(conv_stages([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]))
