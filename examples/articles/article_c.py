"""Article C, "kernel, channels, stride, padding, pooling": MNIST, 1 x 28 x 28.

28 -> 24 -> 12 -> 8 -> 4 is right; its formula lacks padding, dilation and floor, which does no harm
at stride 1 and shows at the pools.
"""

import sys
from pathlib import Path

import symcnn

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))
import article_c as networks

CLAIMS = {
    "conv1": 24,
    "max_pool2d:1": 12,
    "conv2": 8,
    "max_pool2d:2": 4,
    "flatten": 320,
    "size(conv1)": "(x - k)/s + 1",
    "size(max_pool2d:1)": "(x - k)/s + 1",
}


def main() -> None:
    """Print the verdicts, and which inputs fit."""
    net = symcnn.from_torch(networks.Net(), "N 1 H W")
    print("Article C, at 28x28")
    print(symcnn.check(net, CLAIMS, at={"H": 28, "W": 28}))
    print(f"valid inputs, square: {net.valid_inputs().square().describe()}")
    smallest = net.at("max_pool2d:2").valid_inputs().smallest()
    print(f"smallest input of the convolutions: {smallest[0]}x{smallest[1]}\n")


if __name__ == "__main__":
    main()
