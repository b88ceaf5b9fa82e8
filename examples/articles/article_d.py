"""Article D, "reproducing a network": CIFAR-10, 3 x 32 x 32. All its figures are right."""

import sys
from pathlib import Path

import symcnn

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))
import article_d as networks

CLAIMS = {
    "layer1": 16,
    "layer2": 8,
    "layer3": 4,
    "flatten": 1024,
    "params(layer1)": 2432,
    "params(layer2)": 25632,
    "params(layer3)": 51264,
    "params(fc1)": 65600,
    "params(fc2)": 650,
    "params": 145578,
}


def main() -> None:
    """Print the verdicts, and which inputs fit."""
    net = symcnn.from_torch(networks.Net(), "N 3 H W")
    print("Article D, at 32x32")
    print(symcnn.check(net, CLAIMS, at={"H": 32, "W": 32}))
    print(f"valid inputs, square: {net.valid_inputs().square().describe()}\n")


if __name__ == "__main__":
    main()
