"""U-Net (Ronneberger et al., "Convolutional networks for biomedical image segmentation", 2015).

`UNet` pads, as most code does today: the output is as large as the input, but every skip must meet
a map of its own size, so a depth of 4 takes multiples of 16 only. `UNetValid` is the paper's: no
padding, skips cropped to fit, any size from 188 up, and 572 gives 388.
"""

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Level 1 is the finest: `down4`, `up4` and `dec4` are the ones next to `bottom`."""

    def __init__(
        self, depth: int = 4, base: int = 64, in_channels: int = 3, classes: int = 2
    ) -> None:
        super().__init__()
        self.depth = depth
        width = [in_channels, *(base * 2**level for level in range(depth + 1))]
        for level in range(1, depth + 1):
            self.add_module(f"down{level}", self.block(width[level - 1], width[level]))
        self.pool = nn.MaxPool2d(2)
        self.bottom = self.block(width[depth], width[depth + 1])
        for level in range(depth, 0, -1):
            up = nn.ConvTranspose2d(width[level + 1], width[level], 2, stride=2)
            self.add_module(f"up{level}", up)
            self.add_module(f"dec{level}", self.block(2 * width[level], width[level]))
        self.head = nn.Conv2d(base, classes, 1)

    @staticmethod
    def block(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    @staticmethod
    def fit(skip: Tensor, x: Tensor) -> Tensor:
        """What of `skip` is concatenated with `x`: here all of it."""
        return skip

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level in range(1, self.depth + 1):
            skips.append(self.get_submodule(f"down{level}")(x))
            x = self.pool(skips[-1])
        x = self.bottom(x)
        for level in range(self.depth, 0, -1):
            x = self.get_submodule(f"up{level}")(x)
            x = torch.cat([self.fit(skips.pop(), x), x], dim=1)
            x = self.get_submodule(f"dec{level}")(x)
        x = self.head(x)
        return x


class UNetValid(UNet):
    """The paper's network: one grey channel in, no padding, no batch norm."""

    def __init__(
        self, depth: int = 4, base: int = 64, in_channels: int = 1, classes: int = 2
    ) -> None:
        super().__init__(depth, base, in_channels, classes)

    @staticmethod
    def block(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3),
            nn.ReLU(),
        )

    @staticmethod
    def fit(skip: Tensor, x: Tensor) -> Tensor:
        """The centre of `skip`, as large as `x`; `skip` is never smaller."""
        height, width = x.shape[2:]
        top = (skip.shape[2] - height) // 2
        left = (skip.shape[3] - width) // 2
        return skip[:, :, top : top + height, left : left + width]


def unet() -> UNet:
    return UNet()


def unet_valid() -> UNetValid:
    return UNetValid()
