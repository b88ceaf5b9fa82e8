"""Models that nobody here wrote, traced unmodified: torch's shapes inside the domain, and torch's
refusal outside. `make zoo` does the same at more sizes and writes docs/zoo.md."""

import logging
from typing import Any

import pytest

import symcnn
from symcnn.testing.oracles import judge, sample_sizes

from .conftest import load_example
from .tools.derivations import judged, zoo

#: Minutes: `make zoo-tests`, not part of `make test`.
pytestmark = pytest.mark.zoo

pytest.importorskip("transformers")
hf = load_example("hf")
logging.disable(logging.WARNING)


@pytest.mark.parametrize("name", hf.MODELS)
def test_a_model_has_torchs_shapes_inside_its_domain_and_is_refused_outside(name: Any) -> None:
    module = hf.MODELS[name]().eval()
    net = symcnn.from_torch(module, hf.spec(name), example=hf.EXAMPLES.get(name))
    device = "cpu" if name in hf.READS_VALUES else "meta"
    module = module.to(device)
    for sizes in sample_sizes(net, 4, inside=True):
        verdict = judge(net, module, sizes, device=device)
        assert verdict.ours is not None
        assert verdict.agree, verdict
    for sizes in sample_sizes(net, 2, inside=False):
        verdict = judge(net, module, sizes, device=device)
        assert verdict.agree, verdict
        assert verdict.ours is None or net.unfollowed  # what no branch describes, `shape_at` runs


@pytest.mark.parametrize(("name", "make"), [*zoo()])
def test_every_derivation_of_a_model_ends_with_what_its_question_answers(
    name: Any, make: Any
) -> None:
    for branch in make().branches:
        assert not [f"{v.what}: {v.wrong}" for v in judged(branch.network) if v.wrong]
