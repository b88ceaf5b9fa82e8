"""Functions as modules."""

from typing import Any

import torch
from torch import nn


class Forward(nn.Module):
    """Of the module itself, which holds others, and of the inputs."""

    def __init__(self, forward: Any, **modules: Any) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.function = forward

    def forward(self, *inputs: Any) -> torch.Tensor:
        return self.function(self, *inputs)


class Function(nn.Module):
    """Of the inputs alone."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)
