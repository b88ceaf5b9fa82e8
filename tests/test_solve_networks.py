"""Brute force: domains and fibres of random networks, size by size, against torch on meta.

Each axis is swept while the other stays at a few sizes; a quarter as many pairs are drawn at
random. The default run looks at some networks at sizes up to 60; ``make fuzz`` at 1,000 networks
and every size up to 300 (set SYMCNN_SWEEP to choose: ``SYMCNN_SWEEP=1000x300``).
"""

import os
import random

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import symcnn
from symcnn import NoSolution, ShapeMismatch, Undecidable
from symcnn.testing.networks import networks

_FUZZ = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
COUNT, MOST = map(int, os.environ.get("SYMCNN_SWEEP", "1000x300" if _FUZZ else "60x60").split("x"))
sweep = settings(
    max_examples=COUNT, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def swept(recipe, draw):
    """Sizes to look at: each axis in turn, the others at a few sizes, and some at random."""
    axes = len(recipe.axes)
    for axis in range(axes):
        for x in range(1, MOST + 1):
            size = [draw.choice((1, 8, 31, 48, 97)) for _ in range(axes)]
            size[axis] = x
            yield tuple(size)
    for _ in range(MOST // 4):
        yield tuple(draw.randint(1, MOST) for _ in range(axes))


def torch_map(module, recipe, size):
    """The sizes of torch's output map, None where torch raises or gives an empty map."""
    try:
        with torch.no_grad():
            shape = module(torch.empty(recipe.shape(*size), device="meta")).shape[2:]
    except Exception:
        return None
    return tuple(shape) if 0 not in shape else None


def refused_or_empty(recipe, size):
    """Whether torch's CPU kernels refuse the size, or some map on the way is empty.

    The meta device lets `interpolate` make an empty map, which a pad may then fill.
    """
    module, empty = recipe.build(), []
    for layer in module.modules():
        layer.register_forward_hook(lambda _, __, y: empty.append(0 in y.shape))
    try:
        with torch.no_grad():
            module(torch.zeros(recipe.shape(*size)))
    except Exception:
        return True
    return any(empty)


def member(size):
    return size if len(size) > 1 else size[0]


@sweep
@given(networks(), st.integers(0, 10**6))
def test_domains_and_fibres_are_torchs(recipe, seed):
    draw = random.Random(seed)
    with torch.device("meta"):
        module = recipe.build()
    truth = {size: torch_map(module, recipe, size) for size in swept(recipe, draw)}
    try:
        net = symcnn.from_torch(module, recipe.spec)
    except ShapeMismatch:  # no size at all
        assert set(truth.values()) == {None}
        return
    domain = net.valid_inputs()
    for size, shape in truth.items():
        inside = member(size) in domain
        if not inside and shape is not None and refused_or_empty(recipe, size):
            truth[size] = None
            continue
        assert inside == (shape is not None), size
    reached = sorted({shape for shape in truth.values() if shape is not None})
    for target in draw.sample(reached, min(3, len(reached))):
        try:
            fibre = net.solve(output=target, at=net.nodes[-1].name if net.nodes else None)
        except Undecidable:
            raise AssertionError(f"{target} should be decidable") from None
        for size, shape in truth.items():
            assert (member(size) in fibre) == (shape == target), (target, size)
    missed = tuple(draw.randint(1, 50) for _ in recipe.axes)
    if missed not in reached:
        try:
            fibre = net.solve(output=missed)
        except NoSolution:
            return
        assert not any(member(size) in fibre for size in truth)


@settings(sweep, max_examples=max(20, COUNT // 5))
@given(networks(dims=(1,), most=4))
def test_the_formula_of_a_symbolic_target_gives_the_fibre_of_every_number(recipe):
    with torch.device("meta"):
        module = recipe.build()
    try:
        net = symcnn.from_torch(module, recipe.spec)
        formula = net.solve(output=("y",))
    except (ShapeMismatch, NoSolution):
        return
    for y in range(1, 51):
        try:
            fibre = net.solve(output=(y,))
        except NoSolution:
            assert y not in formula.possible
            continue
        assert formula.given(y=y) == fibre
