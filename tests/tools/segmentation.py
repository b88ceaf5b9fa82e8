"""Formulas of segmentation networks, as the layers make them and on the domain.

`python -m tests.tools.segmentation` prints the table of docs/by_hand.md. It needs the package
segmentation-models-pytorch; the networks have random weights on the meta device.
"""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch

import symcnn

NAMES = ("Unet", "UnetPlusPlus", "Linknet", "Segformer")


def rows() -> list[tuple[str, ...]]:
    """Network, what is asked, as the layers make it, on the domain."""
    found: list[tuple[str, ...]] = []
    for name in NAMES:
        with torch.device("meta"):
            module = getattr(smp, name)("resnet18", encoder_weights=None).eval()
        net = symcnn.from_torch(module, "N 3 H W")
        made = net.general
        found.append((name, "output", made.describe_output(), net.describe_output()))
        fields = (str(n.receptive_field().padding[0]) for n in (made, net))
        found.append((name, "padding along H", *fields))
        found.append((name, "MACs", f"{len(str(made.macs))} characters", str(net.cost().total)))
        found.append((name, "valid inputs", "", str(net.valid_inputs())))
    return found


if __name__ == "__main__":
    print("| network | asked | as the layers make it | on the domain |\n| --- | --- | --- | --- |")
    for name, asked, made, shown in rows():
        print(f"| {name} | {asked} | {f'`{made}`' if made else ''} | `{shown}` |")
