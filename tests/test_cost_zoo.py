"""Costs of models that nobody here wrote: FLOPs forward and backward, parameters, and the bytes
that autograd keeps on CPU.
"""

import logging
from contextlib import suppress
from typing import Any

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel

import symcnn
from symcnn import InvalidInput, UnsupportedOperation
from symcnn.testing.oracles import sample_sizes, torch_flops, torch_saved

from .conftest import load_example
from .corpus.memory import near

pytest.importorskip("transformers")

#: Minutes: `make zoo-tests`, not part of `make test`.
pytestmark = pytest.mark.zoo
hf = load_example("hf")
logging.disable(logging.WARNING)

#: Models with an operation of which it is not known what autograd keeps.
NOT_KNOWN = {
    "EnCodec encoder": "lstm",
    "EnCodec decoder": "lstm",
}

MODELS = list(hf.MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_costs_what_torch_counts(name: Any) -> None:
    module = hf.MODELS[name]().eval()
    net = symcnn.from_torch(module, hf.spec(name), example=hf.EXAMPLES.get(name))
    assert net.cost().params == sum(p.numel() for p in module.parameters())
    for sizes in sample_sizes(net, 2, inside=True):
        device = "cpu" if name in hf.READS_VALUES else "meta"
        fresh = hf.MODELS[name]().eval().to(device)  # LeViT caches what it may not reuse
        with suppress(InvalidInput), sdpa_kernel(SDPBackend.MATH):  # the CPU's own is not counted
            here = net.cost("flops").at(**sizes)
            assert (here.total, here.backward) == torch_flops(net, fresh, sizes)


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_autograd_keeps_is_refused_by_name(name: str) -> None:
    module = hf.MODELS[name]().eval()
    net = symcnn.from_torch(module, hf.spec(name), example=hf.EXAMPLES.get(name))
    with pytest.raises(UnsupportedOperation, match=NOT_KNOWN[name]):
        _ = net.cost().saved


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NOT_KNOWN])
def test_autograd_keeps_as_many_bytes_as_we_say(name: Any) -> None:
    module = hf.MODELS[name]().eval()
    net = symcnn.from_torch(module, hf.spec(name), example=hf.EXAMPLES.get(name))
    for goal in ((33, 65), (70, 49)):
        sizes = near(net, *goal)
        assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes)
