"""`net.prove()`: closed forms against the layers' definitions, for all integers in the domain."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings

import symcnn
from symcnn import nn, symbols
from symcnn.algebra.size import Size
from symcnn.cli import main
from symcnn.errors import Undecidable
from symcnn.questions.proof.prove import _Proving
from symcnn.sets.inputset import InputSet
from symcnn.testing.networks import networks

from .conftest import ROOT

H = Size.symbol("H")


def stem(**options: Any) -> Any:
    pool = nn.MaxPool2d(3, 2, 1, **options)
    return nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.ReLU(), pool)


@pytest.mark.parametrize(
    ("name", "spec", "least"),
    [
        ("resnet:resnet50", "N 3 H W", 700),
        ("unet:unet", "N 3 H W", 250),
        ("unet:unet_valid", "N 1 H W", 200),
        ("googlenet:googlenet", "N 3 H W", 800),
        ("densenet:densenet121", "N 3 H W", 1800),
        ("article_a:article_a", "N 3 H W", 60),
        ("mobilenet:mobilenet_v2", "N 3 H W", 600),
    ],
)
def test_every_claim_about_an_example_network_is_proved(
    name: str, spec: str, least: int, example: Callable[..., Any]
) -> None:
    proof = symcnn.from_torch(example(name), spec).prove()
    assert proof.complete, str(proof)
    assert len(proof.proved) >= least
    assert {c.what for c in proof.claims} == {"size", "not empty", "domain", "macs"}


@settings(max_examples=60)
@given(networks())
def test_random_networks_are_proved(recipe: Any) -> None:
    with torch.device("meta"):
        module = recipe.build()
    try:
        net = symcnn.from_torch(module, recipe.spec)
    except symcnn.ShapeMismatch:
        return
    proof = net.prove()
    assert proof.complete, str(proof)


def test_what_is_written_into_a_view_is_proved() -> None:
    class Written(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.clone()
            y[:, 0].clamp_(0, 1)
            return y[..., ::2]

    proof = symcnn.from_torch(Written(), "N 3 H W").prove()
    assert proof.complete, str(proof)
    assert any(c.where.startswith("setitem") for c in proof.claims)


@pytest.mark.parametrize("branches", [1, 2])
def test_a_branch_that_was_not_followed_is_open(branches: int) -> None:
    class Doubled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for size in x.shape[2:]:
                if size % 3 == 1:
                    x = torch.cat([x, x], 1)
            return x

    assert symcnn.from_torch(Doubled(), "N 3 H W").prove().complete
    proof = symcnn.from_torch(Doubled(), "N 3 H W", branches=branches).prove()
    assert proof
    assert not proof.complete
    assert {c.what for c in proof.open} == {"branches"}
    assert all("test_prove.py" in c.where for c in proof.open)


# What it would notice ------------------------------------------------------------------------


def tampered(net: Any, number: Any, change: Callable[..., Any]) -> Any:
    """The network with another closed form for the height that one of its nodes makes."""
    (output,) = net.nodes[number].outputs
    n, c, h, w = output.dims
    output.dims = (n, c, change(h), w)
    return net.prove()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_wrong_closed_form_is_found_with_a_size(number: int) -> None:
    proof = tampered(stem().trace("N 3 H W"), number, lambda h: h + 1)
    assert not proof
    first = proof.wrong[0]
    assert first.what == "size"
    assert "not at H=1" in first.how


def test_a_closed_form_that_is_wrong_at_one_residue_only_is_found() -> None:
    proof = tampered(stem().trace("N 3 H W"), 2, lambda h: (H + 2) // 4)
    assert "not at H=1" in proof.wrong[0].how
    assert tampered(stem().trace("N 3 H W"), 2, lambda h: (2 * H + 7) // 8).complete


def test_a_domain_that_is_too_large_or_too_small_is_found() -> None:
    for kernel, other in ((5, 3), (3, 5)):
        net = nn.Conv2d(3, 8, kernel).trace("N 3 H W")
        net._valid = nn.Conv2d(3, 8, other).trace("N 3 H W").valid_inputs()
        wrong = {c.what: c for c in net.prove().wrong}
        assert "not at (3, 3)" in wrong["domain"].how


def test_forgotten_macs_are_found() -> None:
    net = stem().trace("N 3 H W")
    net.memory["total_macs"] = net.macs * 2
    (wrong,) = net.prove().wrong
    assert wrong.what == "macs"


def test_the_ceil_law_is_compared_with_torchs_own_words() -> None:
    """Not with the law itself: the definition has torch's case for windows that start outside."""
    draw = random.Random(0)
    for _ in range(40):
        kernel, stride, pad = draw.randint(1, 4), draw.randint(1, 4), 0
        pad = draw.randint(0, kernel // 2)
        net = nn.MaxPool2d(kernel, stride, pad, ceil_mode=True).trace("N 3 H W")
        assert net.prove().complete, (kernel, stride, pad)
    wrong = tampered(nn.MaxPool2d(2, 3, 1, ceil_mode=True).trace("N 3 H W"), 0, lambda h: h + 1)
    assert not wrong


# What is only tested, and what is open -------------------------------------------------------


def test_symbolic_hyperparameters_are_tested_and_said_to_be() -> None:
    k, s = symbols("k s")
    proof = nn.MaxPool2d(k, stride=s, ceil_mode=True).trace("N 3 H W").prove()
    assert proof
    assert not proof.complete
    assert any(c.what == "size" for c in proof.tested)
    assert "only tested" in str(proof)
    assert "at 24 sizes" in str(proof)


def test_a_convolution_of_symbolic_kernel_and_stride_is_proved() -> None:
    k, s, p = symbols("k s p")
    assert nn.Conv2d(3, 8, k, stride=s, padding=p).trace("N 3 H W").prove().complete


def test_a_wrong_formula_in_symbols_fails_its_test() -> None:
    k, s, p = symbols("k s p")
    net = nn.Conv2d(3, 8, k, stride=s, padding=p).trace("N 3 H W")
    assert tampered(net, 0, lambda h: h + 1).wrong


def test_odd_kernels_are_proved() -> None:
    net = nn.Conv2d(3, 8, symcnn.odd("k"), padding="same").trace("N 3 H W")
    assert net.prove().complete


def test_blocks_of_symbolic_number_are_open_with_the_reason() -> None:
    n = symbols("n")
    proof = nn.Repeat(nn.Conv1d(4, 4, 3), n).trace("N 4 L").prove()
    assert proof.open
    assert "repeat" in str(proof)


def test_float_scales_do_not_take_long() -> None:
    layers = nn.Upsample(scale_factor=0.29), nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=1.4)
    assert nn.Sequential(*layers).trace("N 3 H W").prove().complete


def test_a_network_that_takes_no_size_has_an_empty_domain_proved() -> None:
    x = symcnn.tensor("N 3 H W")
    again = nn.Upsample(scale_factor=2)(nn.MaxPool2d(2)(x))
    even, odd = symcnn.cat([x, again], dim=1), symcnn.cat([nn.Conv2d(3, 3, 2)(x), again], dim=1)
    net = symcnn.Network(inputs=x, outputs=(even, odd))
    assert not net.valid_inputs()
    proof = net.prove()
    assert [c.verdict for c in proof.claims if c.what == "domain"] == ["proved"]


def test_the_command_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = ["prove", "examples/networks/unet.py:unet", "--input", "N 3 H W"]
    result = CliRunner().invoke(main, [*command, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert (answer["complete"], answer["wrong"], answer["tested"]) == (True, [], [])
    text = CliRunner().invoke(main, [*command, "--at", "pool"]).output
    assert text.startswith("for all integers in the domain, ")


# Networks of others --------------------------------------------------------------------------


class Windows(torch.nn.Module):
    """Swin, DaViT: into windows of 7 x 7 (padded), and back; the batch is a factor of an axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.pad(x, (0, -x.shape[3] % 7, 0, -x.shape[2] % 7))
        n, c, h, w = x.shape
        x = x.view(n, c, h // 7, 7, w // 7, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 7, 7, c)
        return x.view(-1, h // 7, w // 7, 7, 7, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


class Heads(torch.nn.Module):
    """MViT: heads as images, pooled, and back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h * w).transpose(2, 3)
        x = x.reshape(-1, h, w, c // 2).permute(0, 3, 1, 2)
        return torch.nn.functional.max_pool2d(x, 2).flatten(2).reshape(n, 2, c // 2, -1)


class Halo(torch.nn.Module):
    """HaloNet: windows of 8 x 8 of what is a quarter of the input; 8 divides it because 32 does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.avg_pool2d(x, 4)
        n, c, h, w = x.shape
        x = x.view(n, c, h // 8, 8, w // 8, 8).permute(0, 1, 3, 5, 2, 4)
        return x.reshape(-1, 2, h // 8 * 8, w // 8 * 8)


@pytest.mark.parametrize("kind", [Windows, Heads, Halo])
def test_views_with_the_batch_in_a_factor_are_proved(kind: type[Any]) -> None:
    proof = symcnn.from_torch(kind(), "N 4 H W").prove()
    assert proof.complete, str(proof)


def test_a_batch_of_which_only_a_layer_speaks_is_proved() -> None:
    """LeViT, SAM: the domain does not name the batch, a layer's own requirement does."""

    class Back(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, c, h, w = x.shape
            x = x.view(n, c, h // 7, 7, w // 7, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 7, 7, c)
            return x.view(n, h // 7, w // 7, 7, 7, c)

    net = symcnn.from_torch(Back(), "N 4 H W")
    assert "N" not in net.valid_inputs().names
    assert net.prove().complete, str(net.prove())


def test_a_view_that_loses_elements_is_wrong() -> None:
    net = symcnn.from_torch(Halo(), "N 4 H W")
    proving = _Proving(net)
    node = next(n for n in net.nodes if n.op == "view")
    assert proving._keeps_elements(node) == ("proved", "isl")
    (output,) = node.outputs
    output.dims = (2 * output.dims[0], *output.dims[1:])
    verdict, how = proving._keeps_elements(node)
    assert verdict == "wrong"
    assert "H=32, W=32" in how


def test_sizes_at_which_a_claim_is_tested_lie_apart_where_the_domain_begins_far_out() -> None:
    net = nn.Conv2d(3, 8, 2000, stride=7).trace("N 3 H W")
    tried = {sizes["H"] for sizes in _Proving(net).samples if sizes["H"] < 2100}
    assert min(tried) >= 2000
    assert len(tried) > 4  # before, 2000 and no other


def test_a_domain_too_hard_to_search_leaves_sizes_to_test_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_hard(*_: object) -> None:
        raise Undecidable("too many steps")

    monkeypatch.setattr(InputSet, "nearest", too_hard)
    assert _Proving(nn.Conv2d(3, 8, 3).trace("N 3 H W")).samples  # before, the proof was refused


class Stretched(torch.nn.Module):
    """Frames after pools of 4, repeated, and the last of them until they are as many as before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = torch.nn.functional.avg_pool1d(x, 4).repeat_interleave(4, 2)
        last = frames[:, :, -1:].repeat(1, 1, x.shape[2] - frames.shape[2])
        return torch.cat([frames, last], 2)


def test_a_map_that_is_empty_at_some_sizes_is_no_wrong_claim() -> None:
    net = symcnn.from_torch(Stretched(), "N 2 L")
    assert str(net.valid_inputs()) == "L >= 4"
    assert net.shape_at(N=1, L=8) == (1, 2, 8)
    proof = net.prove()
    assert proof.complete
    assert any("or 0 as" in claim.says for claim in proof.claims)


def test_of_a_network_that_takes_no_size_all_claims_hold() -> None:
    class Never(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.nn.functional.interpolate(x, scale_factor=0.7)
            z = torch.nn.functional.interpolate(y, scale_factor=0.7)
            return torch.cat([torch.nn.functional.interpolate(z, scale_factor=0.5), y], 1)

    proof = symcnn.from_torch(Never(), "N 3 H W").prove()
    assert not symcnn.from_torch(Never(), "N 3 H W").valid_inputs()
    assert proof.complete, str(proof)


def test_that_a_map_made_of_sizes_is_not_empty_belongs_to_the_domain() -> None:
    """SpyNet begins with a flow of half the coarsest map: none of it is there below 33 pixels."""

    class Coarse(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, _, h, w = x.shape
            flow = x.new_zeros(n, 2, h // 32, w // 32)
            return torch.nn.functional.interpolate(flow, scale_factor=2)

    net = symcnn.from_torch(Coarse(), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 32 and W >= 32"
    assert net.prove().complete


class _Written(torch.nn.Module):
    """Positions, or a map that was halved and doubled, written into what is there."""

    def __init__(self, write: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.places = torch.nn.Parameter(torch.rand(1, 16, 3))
        self.write = write

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.write(self, x)


@pytest.mark.parametrize(
    "write",
    [
        lambda m, x: x.flatten(2).mT.add_(m.places),
        lambda m, x: (x[:, :, ::2] * 1).sub_(x[:, :, 1::2]),
        lambda m, x: (x[:, :, ::2] * 1).copy_(x[:, :, 1::2]),
        lambda m, x: x.mean(2, keepdim=True).expand(x.shape).add_(1),
    ],
)
def test_what_is_written_to_keeps_its_shape_and_the_proof_knows(
    write: Callable[..., torch.Tensor],
) -> None:
    """A size that broadcasting would take is refused in place: codecs and CCT write so."""
    proof = symcnn.from_torch(_Written(write), "N 3 H W").prove()
    assert proof.complete, str(proof)
