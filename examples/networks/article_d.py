"""A CIFAR-10 classifier, 3 x 32 x 32, from a blog article on reproducing a network.

Padded 5 x 5 convolutions keep the size, three pools halve it: 32 -> 16 -> 8 -> 4. Heights and
widths of 32..39 give the same 4 x 4 map, hence the same 1024 features.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def conv_relu_pool(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
    )


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = conv_relu_pool(3, 32)
        self.layer2 = conv_relu_pool(32, 32)
        self.layer3 = conv_relu_pool(32, 64)
        self.fc1 = nn.Linear(1024, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = x.view(-1, 1024)
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return x
