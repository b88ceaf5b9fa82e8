"""A digit classifier for MNIST, 1 x 28 x 28, from a blog article on kernels, strides and pooling.

Unpadded 5 x 5 convolutions: 28 -> 24 -> 12 -> 8 -> 4. Inputs of 28..31 give the same 4 x 4 map;
the pools round the rest away. Pooling is functional, so the modules alone do not tell the shapes.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5, 1)
        self.conv2 = nn.Conv2d(10, 20, 5, 1)
        self.fc1 = nn.Linear(4 * 4 * 20, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2, 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2, 2))
        x = x.view(-1, 4 * 4 * 20)
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)
