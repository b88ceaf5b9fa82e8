"""Article B, "parameters and feature maps are two things": 3 x 32 x 32. All its figures are right.

The trap it does not see: ``view(-1, 512)`` keeps the batch only where the map has 512 elements.
"""

import sys
from pathlib import Path

import symcnn

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))
import article_b as networks

CLAIMS = {
    "params(conv1)": 448,
    "params(act1)": 0,
    "params(pool1)": 0,
    "params(conv2)": 1160,
    "params(act2)": 0,
    "params(pool2)": 0,
    "params(fc1)": 16416,
    "params(act3)": 0,
    "params(fc2)": 66,
    "params": 18090,
    "shape(conv1)": (16, 32, 32),
    "shape(pool1)": (16, 16, 16),
    "shape(conv2)": (8, 16, 16),
    "shape(pool2)": (8, 8, 8),
    "shape(fc1)": (32,),
    "shape(fc2)": (2,),
}


def main() -> None:
    """Print the verdicts, the inputs that fit, and the trap."""
    net = symcnn.from_torch(networks.Net(), "N 3 H W")
    print("Article B, at 32x32")
    print(symcnn.check(net, CLAIMS, at={"H": 32, "W": 32}))
    print(f"valid inputs, square: {net.valid_inputs().square().describe()}")
    for sizes in ({"N": 1, "H": 64, "W": 64}, {"N": 8, "H": 16, "W": 16}):
        try:
            net.shape_at(**sizes)
        except symcnn.InvalidInput as error:
            print(f"the trap: {error.cause}")
    print()


if __name__ == "__main__":
    main()
