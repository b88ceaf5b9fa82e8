"""What autograd keeps, judged by torch."""

from typing import Any

import symcnn
from symcnn.testing.oracles import torch_saved


def agree(module: Any, *specs: Any, input_grad: Any = False, net: Any = None, **sizes: Any) -> None:
    net = net or symcnn.from_torch(module, *specs)
    ours = net.cost(input_grad=input_grad).at(**sizes).saved
    assert ours == torch_saved(net, module, sizes, input_grad=input_grad)


def near(net: Any, *goal: Any) -> dict[str, Any]:
    """Valid sizes near a goal, for two images."""
    domain = net.valid_inputs()
    found = domain.nearest(*goal[: len(domain.shown)]) if domain.shown else ()
    found = found if isinstance(found, tuple) else (found,)
    return {**dict.fromkeys(net.symbols, 2), **dict(zip(domain.shown, found, strict=True))}
