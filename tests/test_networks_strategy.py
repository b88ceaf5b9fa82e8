"""The random networks that analyses are judged by: torch builds each, traces agree with torch."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import symcnn
from symcnn.errors import ShapeMismatch
from symcnn.testing.networks import Op, networks
from symcnn.testing.oracles import judge


@given(networks(), st.integers(0, 10**6))
def test_a_random_network_has_torchs_shape_or_both_refuse(recipe: Any, seed: int) -> None:
    with torch.device("meta"):
        module = recipe.build()
    draw = random.Random(seed)
    sizes = [{a: draw.randint(1, 40) for a in recipe.axes} for _ in range(5)]
    try:
        net = symcnn.from_torch(module, recipe.spec)
    except ShapeMismatch:  # at no size do the branches agree
        assert not any(recipe.runs(*at.values()) for at in sizes)
        return
    for at in sizes:
        verdict = judge(net, module, {"N": 1, **at})
        empty = verdict.ours is None and not recipe.runs(*at.values())  # torch's meta maps may be
        assert verdict.agree or empty, (at, verdict)


@given(networks("conv", "pointwise", shapes=("chain",), dims=(2,), most=3))
def test_kinds_and_shapes_can_be_chosen(recipe: Any) -> None:
    parts = [recipe.body] if isinstance(recipe.body, Op) else recipe.body.parts
    assert {part.name for part in parts} <= {"Conv", "ReLU", "BatchNorm", "GELU"}
    assert recipe.axes == ("H", "W")


@given(st.data())
def test_unknown_kinds_are_named(data: st.DataObject) -> None:
    with pytest.raises(ValueError, match="convolution: not among conv"):
        data.draw(networks("convolution"))
