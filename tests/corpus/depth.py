"""Blocks repeated n times, beside torch's at numbers."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import symcnn
from symcnn import C, nn

n, m, i = symcnn.index("n m i")
d, s, g, k0 = symcnn.symbols("d s g k0")
k = symcnn.odd("k")


def seq(*modules: Any) -> Any:
    return nn.Sequential(*modules)


def blocks(front: Any, cat: Any) -> tuple[type[Any], ...]:
    """The same blocks in symcnn.nn and in torch.nn."""

    class Residual(front.Module):  # type: ignore[misc]
        def __init__(self, channels: Any) -> None:
            super().__init__()
            self.conv1 = front.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.bn1 = front.BatchNorm2d(channels)
            self.conv2 = front.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.bn2 = front.BatchNorm2d(channels)
            self.relu = front.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + x)

    class Dense(front.Module):  # type: ignore[misc]
        def __init__(self, channels: Any, growth: Any) -> None:
            super().__init__()
            self.conv = front.Conv2d(channels, growth, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return cat([x, self.conv(x)], 1)

    class Down(front.Module):  # type: ignore[misc]
        def __init__(self, c_in: Any, c_out: Any) -> None:
            super().__init__()
            self.conv1 = front.Conv2d(c_in, c_out, 3, padding=1)
            self.conv2 = front.Conv2d(c_out, c_out, 3, padding=1)
            self.pool = front.MaxPool2d(2)

        def forward(self, x: Any) -> tuple[Any, Any]:
            y = self.conv2(self.conv1(x))
            return self.pool(y), y

    class Up(front.Module):  # type: ignore[misc]
        def __init__(self, c: Any) -> None:
            super().__init__()
            self.up = front.ConvTranspose2d(2 * c, c, 2, stride=2)
            self.conv1 = front.Conv2d(2 * c, c, 3, padding=1)
            self.conv2 = front.Conv2d(c, c, 3, padding=1)

        def forward(self, x: Any, skip: Any) -> Any:
            return self.conv2(self.conv1(cat([self.up(x), skip], 1)))

    return Residual, Dense, Down, Up


Residual, Dense, Down, Up = blocks(nn, symcnn.cat)


TorchResidual, TorchDense, TorchDown, TorchUp = blocks(torch.nn, torch.cat)


class UNet(nn.Module):
    """U-Net of depth n with C channels at the top."""

    def __init__(self, depth: Any, channels: Any) -> None:
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.Repeat(Down(channels * 2**i, 2 * channels * 2**i), depth, index=i)
        top = channels * 2**depth
        self.middle = nn.Conv2d(top, 2 * top, 3, padding=1)
        self.up = nn.Repeat(Up(2 * channels * 2 ** (depth - 1 - i)), depth, index=i)

    def forward(self, x: Any) -> Any:
        x, *skips = self.down(self.stem(x))
        return self.up(self.middle(x), *skips)


#: name: (block in the index, input shape, block for torch, values).
FAMILIES = {
    "stacked 3x3": (
        nn.Conv2d(C, C, 3),
        "N C H W",
        lambda j: torch.nn.Conv2d(4, 4, 3),
        {"C": 4, "H": 40, "W": 33},
    ),
    "stride-2 stages": (
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        "N 4 H W",
        lambda j: torch.nn.Conv2d(4, 4, 3, stride=2, padding=1),
        {"H": 77, "W": 40},
    ),
    "dilated (TCN)": (
        nn.Conv2d(C, C, (k, 1), dilation=(2**i, 1), padding=((k - 1) / 2 * 2**i, 0)),
        "N C H 1",
        lambda j: torch.nn.Conv2d(2, 2, (5, 1), dilation=(2**j, 1), padding=(2 * 2**j, 0)),
        {"C": 2, "H": 9, "k": 5},
    ),
    "WaveNet (causal)": (
        seq(nn.ZeroPad2d(((k - 1) * 2**i, 0, 0, 0)), nn.Conv2d(C, C, (1, k), dilation=(1, 2**i))),
        "N C 1 W",
        lambda j: torch.nn.Sequential(
            torch.nn.ZeroPad2d((2 * 2**j, 0, 0, 0)),
            torch.nn.Conv2d(2, 2, (1, 3), dilation=(1, 2**j)),
        ),
        {"C": 2, "W": 7, "k": 3},
    ),
    "residual": (
        Residual(C),
        "N C H W",
        lambda j: TorchResidual(3),
        {"C": 3, "H": 9, "W": 8},
    ),
    "DenseNet": (
        Dense(k0 + i * g, g),
        "N k0 H W",
        lambda j: TorchDense(3 + 2 * j, 2),
        {"k0": 3, "g": 2, "H": 6, "W": 5},
    ),
    "VGG stages": (
        seq(
            nn.Conv2d(C * 2**i, 2 * C * 2**i, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ),
        "N C H W",
        lambda j: torch.nn.Sequential(
            torch.nn.Conv2d(2 * 2**j, 4 * 2**j, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
        ),
        {"C": 2, "H": 4099, "W": 4096},
    ),
    "strided by s": (
        nn.Conv2d(C, C, k, stride=s, padding=(k - 1) / 2),
        "N C H W",
        lambda j: torch.nn.Conv2d(2, 2, 3, stride=3, padding=1),
        {"C": 2, "k": 3, "s": 3, "H": 100, "W": 81},
    ),
    "transposed": (
        nn.ConvTranspose2d(C, C, 4, stride=2, padding=1),
        "N C H W",
        lambda j: torch.nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1),
        {"C": 2, "H": 3, "W": 2},
    ),
    "upsampled": (
        nn.Upsample(scale_factor=2),
        "N C H W",
        lambda j: torch.nn.Upsample(scale_factor=2),
        {"C": 2, "H": 3, "W": 2},
    ),
}


def torch_counts(modules: Any, shape: Any) -> Any:
    """Output shape, parameters and MACs of torch modules in a row, or None where torch raises."""
    with torch.device("meta"):
        net = torch.nn.Sequential(*modules)
        x = torch.zeros(shape)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            y = net.eval()(x)
    except RuntimeError:
        return None
    return tuple(y.shape), sum(q.numel() for q in net.parameters()), counter.get_total_flops() // 2
