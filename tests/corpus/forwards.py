"""A function as a module."""

from typing import Any

import torch
from torch import nn


class Forward(nn.Module):
    def __init__(self, forward: Any, **modules: Any) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.function = forward

    def forward(self, *inputs: Any) -> torch.Tensor:
        return self.function(self, *inputs)
