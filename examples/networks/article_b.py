"""A two-class network for 3 x 32 x 32, from a blog article on counting parameters and feature maps.

Heights and widths of 32..35 all give the 8 x 8 map that `fc1` wants. Beyond that lies a trap:
`view(-1, 512)` keeps the batch only when the map is 8 x 8, so one 64 x 64 image comes back as a
batch of 4, and 8 images of 16 x 16 as a batch of 2, without an error.
"""

from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.act1 = nn.Tanh()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 8, 3, padding=1)
        self.act2 = nn.Tanh()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(8 * 8 * 8, 32)
        self.act3 = nn.Tanh()
        self.fc2 = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool1(self.act1(self.conv1(x)))
        out = self.pool2(self.act2(self.conv2(out)))
        out = out.view(-1, 8 * 8 * 8)  # not flatten(1): see the trap above
        out = self.act3(self.fc1(out))
        out = self.fc2(out)
        return out
