"""AlexNet as a blog article on "configuring conv and linear layers" computes it by hand, 227 x 227.

The article forgets the floor, gets one sum wrong and arrives at Linear(7*7*256 = 12544): that
network rejects its own 227 x 227 input. The true map is 6 x 6, so 9216. "MaxPool halves" has two
readings: AlexNet's 3/2 (3 wide, stride 2), and 2/2. The sizes that make each network work differ.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ArticleA(nn.Module):
    def __init__(self, in_features: int = 12544, pool_kernel: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.pool1 = nn.MaxPool2d(pool_kernel, 2)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2)
        self.pool2 = nn.MaxPool2d(pool_kernel, 2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.pool3 = nn.MaxPool2d(pool_kernel, 2)
        self.fc = nn.Linear(in_features, 4096)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.conv1(x)))
        x = self.pool2(F.relu(self.conv2(x)))
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = self.pool3(F.relu(self.conv5(x)))
        x = self.fc(torch.flatten(x, 1))
        return x


def article_a() -> ArticleA:
    """The article's number, AlexNet's pools: square inputs of 259..290 fit, 227 does not."""
    return ArticleA(in_features=12544, pool_kernel=3)


def article_a_fixed() -> ArticleA:
    """The right number for AlexNet's pools: square inputs of 227..258 fit."""
    return ArticleA(in_features=9216, pool_kernel=3)


def article_a_halving() -> ArticleA:
    """The article's number, pools that halve: square inputs of 231..262 fit, 227 does not."""
    return ArticleA(in_features=12544, pool_kernel=2)


def article_a_halving_fixed() -> ArticleA:
    """The right number for pools that halve: square inputs of 199..230 fit."""
    return ArticleA(in_features=9216, pool_kernel=2)
