"""Article A, "configuring conv and linear layers": AlexNet, 227 x 227, by hand.

Its formula lacks the floor, one sum is off (27 - 5 + 4 + 1 is 27, not 31), and the network it ends
with, Linear(7*7*256 = 12544), refuses its own input. "MaxPool halves" has two readings.
"""

import sys
from pathlib import Path

import symcnn

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))
import article_a as networks

CLAIMS = {
    "size(conv1)": "(x - k + 2*p)/s + 1",
    "conv1": 55,
    "pool1": 27,
    "conv2": 31,
    "pool2": 15,
    "conv3": 15,
    "conv4": 15,
    "conv5": 15,
    "pool3": 7,
    "flatten": 12544,
}


def main() -> None:
    """Print the verdicts for both readings, and which inputs make which Linear valid."""
    readings = [
        ("pools 3 wide, stride 2", networks.article_a, networks.article_a_fixed),
        ("pools 2 wide, stride 2", networks.article_a_halving, networks.article_a_halving_fixed),
    ]
    for name, claimed, fixed in readings:
        net = symcnn.from_torch(claimed(), "N 3 H W")
        print(f"Article A, {name}, at 227x227")
        print(symcnn.check(net, CLAIMS, at={"H": 227, "W": 227}))
        print(f"Linear(12544) fits {net.valid_inputs().square().describe()}")
        right = symcnn.from_torch(fixed(), "N 3 H W")
        print(f"Linear(9216) fits {right.valid_inputs().square().describe()}")
        smallest = right.at("pool3").valid_inputs().smallest()
        print(f"smallest input of the convolutions: {smallest[0]}x{smallest[1]}\n")


if __name__ == "__main__":
    main()
