"""Networks whose weights go several ways: attention, einsum, skips; drawn ones."""

from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn


class Derived(nn.Module):
    """The weight is computed from a parameter, as weight standardisation does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.mixer = nn.Parameter(torch.randn(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        weight = (self.mixer @ (self.weight - mean).flatten(1)).view(4, 3, 3, 3)
        return nn.functional.conv2d(x, weight)


class Heads(nn.Module):
    def __init__(self, *, same: bool = True, **options: Any) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.same = same

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.heads(x, x, x)[0] if self.same else self.heads(x, y, y)[0]


class Einsum(nn.Module):
    def __init__(self, equation: Any, *weights: Any) -> None:
        super().__init__()
        self.equation = equation
        self.weights = nn.ParameterList([torch.randn(w) for w in weights])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum(self.equation, x, *self.weights)


NETWORKS_DRAWN = max(60, settings().max_examples // 10)  # 2,000 in `make fuzz`


@st.composite
def networks(draw: Any) -> nn.Module:
    """Random chains with branches, some layers frozen; the input shape is N 4 H W."""
    layers: list[nn.Module] = []
    channels = 4
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["conv", "group", "up", "norm", "act", "pool", "skip"]))
        out = draw(st.sampled_from([2, 4, 6, 8]))
        if kind == "conv":
            layers.append(nn.Conv2d(channels, out, draw(st.integers(1, 3)), padding=1))
        elif kind == "group":
            layers.append(nn.Conv2d(channels, 2 * out, 3, padding=1, groups=2, bias=False))
            out = 2 * out
        elif kind == "up":
            layers.append(nn.ConvTranspose2d(channels, out, 2, stride=2))
        elif kind == "norm":
            norms = [
                nn.BatchNorm2d(channels),
                nn.GroupNorm(1, channels),
                nn.InstanceNorm2d(channels),
            ]
            layers.append(draw(st.sampled_from(norms)))
        elif kind == "act":
            acts = [nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Hardswish(), nn.PReLU()]
            layers.append(draw(st.sampled_from(acts)))
        elif kind == "pool":
            layers.append(
                draw(st.sampled_from([nn.MaxPool2d(2, ceil_mode=True), nn.AvgPool2d(3, 1, 1)]))
            )
        else:
            layers.append(Skip(channels, draw(st.booleans())))
        channels = out if kind in ("conv", "group", "up") else channels
        layers[-1].requires_grad_(draw(st.booleans()))
    if draw(st.booleans()):
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)]
    return nn.Sequential(*layers).train(draw(st.booleans()))


class Skip(nn.Module):
    def __init__(self, channels: Any, cat: Any) -> None:
        super().__init__()
        self.conv, self.cat = nn.Conv2d(channels, channels, 3, padding=1), cat
        self.back: Any = nn.Conv2d(2 * channels, channels, 1) if cat else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x).relu()
        return self.back(torch.cat([x, y], 1)) if self.cat else x + y
