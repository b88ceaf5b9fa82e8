"""Costs of models that nobody here wrote: FLOPs forward and backward on meta, parameters, and the
bytes that autograd keeps on CPU. `make zoo` does the same at ten sizes."""

import logging
from contextlib import suppress

import pytest

import symcnn
from symcnn import InvalidInput
from symcnn.testing.oracles import sample_sizes, torch_flops, torch_saved

from .conftest import load_example
from .test_cost_memory import near
from .test_zoo import NOT_YET

pytest.importorskip("transformers")
hf = load_example("hf")
logging.disable(logging.WARNING)

MODELS = [name for name in hf.MODELS if name not in NOT_YET]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_costs_what_torch_counts(name):
    module = hf.MODELS[name]().eval()
    net = symcnn.from_torch(module, hf.spec(name), example=hf.EXAMPLES.get(name))
    assert net.cost().params == sum(p.numel() for p in module.parameters())
    for sizes in sample_sizes(net, 2, inside=True):
        fresh = hf.MODELS[name]().eval().to("meta")  # LeViT caches what it may not reuse
        with suppress(InvalidInput):
            here = net.cost("flops").at(**sizes)
            assert (here.total, here.backward) == torch_flops(net, fresh, sizes)


@pytest.mark.parametrize("name", MODELS)
def test_autograd_keeps_as_many_bytes_as_we_say(name):
    module = hf.MODELS[name]().eval()
    net = symcnn.from_torch(module, hf.spec(name), example=hf.EXAMPLES.get(name))
    for goal in ((33, 65), (70, 49)):
        sizes = near(net, *goal)
        assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes)
