"""Answers that were wrong once, and their neighbours: torch says what is right."""

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import symcnn
from symcnn.errors import InvalidInput


class Forward(nn.Module):
    """A forward as a module, with some parameters."""

    def __init__(self, forward: Callable[..., Any], **parameters: torch.Tensor) -> None:
        super().__init__()
        self.run = forward
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, *inputs: Any) -> Any:
        return self.run(self, *inputs)


def net(forward: Callable[..., Any], *specs: Any, example: Any = None, **parameters: Any) -> Any:
    return symcnn.from_torch(Forward(forward, **parameters), *specs, example=example)


def torch_shape(forward: Callable[..., Any], *shapes: Any, **parameters: Any) -> Any:
    """What torch returns, or None where it refuses."""
    try:
        with torch.no_grad():
            out = Forward(forward, **parameters)(*(torch.zeros(s) for s in shapes))
    except (RuntimeError, IndexError, TypeError, ValueError):
        return None
    return tuple(out.shape)


def our_shape(network: Any, **sizes: int) -> Any:
    try:
        return tuple(network.shape_at(**sizes))
    except symcnn.errors.InvalidInput:
        return None


# A squeezed axis may have size 1 or not: that is a branch ---------------------------------------


@pytest.mark.parametrize("length", [50, 57, 58, 100])
@pytest.mark.parametrize(
    "squeeze",
    [
        lambda x: x.squeeze(-1) if x.shape[-1] == 1 else x,
        lambda x: x.squeeze(-1),
        lambda x: x.squeeze((1, 2)),
        lambda x: torch.squeeze(x, dim=2),
        lambda x: x.squeeze_(-1),
        lambda x: x.squeeze(),
    ],
)
def test_an_axis_that_is_1_is_squeezed_out(squeeze: Callable[..., Any], length: int) -> None:
    def forward(self: Any, x: Any) -> Any:
        return squeeze(F.conv1d(x, self.w, stride=8))

    weights = {"w": torch.zeros(4, 3, 50)}
    found = net(forward, "N 3 L", example={"L": 54}, **weights)
    assert our_shape(found, N=2, L=length) == torch_shape(forward, (2, 3, length), **weights)
    assert our_shape(found.given(N=2), L=54) == (2, 4)


def test_an_axis_that_is_longer_stays() -> None:
    found = net(lambda self, x: x.squeeze(-1), "N 3 L", example={"L": 60})
    assert our_shape(found, N=2, L=60) == (2, 3, 60)


def test_squeezing_a_batch_of_one_is_a_branch_on_the_batch() -> None:
    def forward(self: Any, x: Any) -> Any:
        return x.mean((2, 3), keepdim=True).squeeze()

    found = net(forward, "N 3 H W")
    assert our_shape(found, N=4, H=5, W=6) == (4, 3)
    assert our_shape(found, N=1, H=5, W=6) == torch_shape(forward, (1, 3, 5, 6)) == (3,)


def test_a_tensor_squeezed_in_place_has_lost_the_axis() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = x[:, :1].clone()
        y.squeeze_(1)
        y.unsqueeze_(0)
        y.transpose_(0, 1)
        return y

    assert our_shape(net(forward, "N 3 H W"), N=2, H=4, W=5) == (2, 1, 4, 5)


# In place, nothing grows ------------------------------------------------------------------------

_IN_PLACE = {
    "add_": lambda self, x, y: x.clone().add_(y),
    "mul_": lambda self, x, y: x.clone().mul_(y),
    "sub_": lambda self, x, y: x.clone().sub_(y),
    "div_": lambda self, x, y: x.clone().div_(y),
    "copy_": lambda self, x, y: x.clone().copy_(y),
    "maximum of a part": lambda self, x, y: x.clone().clamp_(min=y),
    "addcmul_": lambda self, x, y: x.clone().addcmul_(y, y),
    "lerp_": lambda self, x, y: x.clone().lerp_(y, 0.5),
    "masked_fill_": lambda self, x, y: x.clone().masked_fill_(y > 0, 0.0),
    "[...] =": lambda self, x, y: _assigned(x, y),
    "+=": lambda self, x, y: _added(x, y),
}


def _assigned(x: Any, y: Any) -> Any:
    x = x.clone()
    x[...] = y
    return x


def _added(x: Any, y: Any) -> Any:
    x = x.clone()
    x += y
    return x


@pytest.mark.parametrize("form", _IN_PLACE)
def test_what_is_written_to_does_not_grow(form: str) -> None:
    found = net(_IN_PLACE[form], "N 3 H W", "N 3 h w")
    for H, W, h, w in [(4, 5, 4, 5), (4, 5, 1, 5), (4, 5, 1, 1), (1, 5, 4, 5), (1, 1, 4, 5)]:
        ours = our_shape(found, N=2, H=H, W=W, h=h, w=w)
        assert ours == torch_shape(_IN_PLACE[form], (2, 3, H, W), (2, 3, h, w)), (H, W, h, w)


def test_a_position_is_added_in_place_to_as_many_places() -> None:
    def forward(self: Any, x: Any) -> Any:
        x = F.conv2d(x, self.w, stride=32).flatten(2).transpose(1, 2)
        x += self.p
        return x

    found = net(forward, "N 3 H W", w=torch.zeros(8, 3, 32, 32), p=torch.zeros(1, 64, 8))
    assert (256, 256) in found.valid_inputs()
    assert (32, 32) not in found.valid_inputs()


# Another width behind the heads -----------------------------------------------------------------


def _pooled_by_attention(self: Any, x: Any) -> Any:
    x = x.flatten(2).permute(2, 0, 1)
    return F.multi_head_attention_forward(
        *(x, x, x, 32, 4, self.w, None, None, None, False, 0.0, self.out, None),
        need_weights=True,
    )[0]


@pytest.mark.parametrize("width", [16, 32, 48])
def test_the_output_of_attention_is_as_wide_as_its_last_weight(width: int) -> None:
    weights = {"w": torch.zeros(96, 32), "out": torch.zeros(width, 32)}
    found = net(_pooled_by_attention, "N 32 H W", **weights)
    assert our_shape(found, N=2, H=3, W=5) == (15, 2, width)
    with FlopCounterMode(display=False) as counted:
        torch_shape(_pooled_by_attention, (2, 32, 3, 5), **weights)
    flops = found.flops.subs(dict(zip(found.inputs[0], (2, 32, 3, 5), strict=True)))
    assert flops == counted.get_total_flops()


# A product with a vector is no FLOP to torch ----------------------------------------------------

_VECTORS = {
    "mv": lambda self, x: torch.mv(self.u, self.v),
    "dot": lambda self, x: torch.dot(self.v, self.v),
    "vdot": lambda self, x: torch.vdot(self.v, self.v),
    "addmv": lambda self, x: torch.addmv(self.v[:4], self.u, self.v),
    "matrix @ vector": lambda self, x: self.u @ self.v,
    "vector @ vector": lambda self, x: self.v @ self.v,
    "vector @ matrix": lambda self, x: self.v @ self.u.T,
    "batch @ vector": lambda self, x: x @ self.v,
    "linear by a vector": lambda self, x: F.linear(x, self.v),
    "linear of a vector": lambda self, x: F.linear(self.v, self.u),
    "inner of vectors": lambda self, x: torch.inner(self.v, self.v),
    "inner": lambda self, x: torch.inner(self.u, self.v),
    "addbmm": lambda self, x: torch.addbmm(x[0, :, :4].sum() * self.v[:4, None], x, x.mT),
    "einsum": lambda self, x: torch.einsum("bnd,d->bn", x, self.v),
    "outer": lambda self, x: torch.outer(self.v, self.v),
}


@pytest.mark.parametrize("form", _VECTORS)
def test_flops_of_products_with_vectors_are_those_of_flop_counter_mode(form: str) -> None:
    forward, weights = _VECTORS[form], {"v": torch.zeros(8), "u": torch.zeros(4, 8)}
    if form == "addbmm":
        forward = lambda self, x: torch.addbmm(self.u[:, :1], x[:, :4], x[:, :4].mT)  # noqa: E731
    found = net(forward, "N 5 8", **weights)
    module = Forward(forward, **weights)
    with FlopCounterMode(display=False) as ahead:
        out = module(torch.zeros(2, 5, 8))
    with FlopCounterMode(display=False) as back:
        out.sum().backward()
    cost = found.cost("flops").at(N=2)
    assert cost.total == ahead.get_total_flops()
    assert cost.backward == back.get_total_flops()


def test_a_vector_times_a_batch_is_refused_by_name_where_it_depends_on_layout() -> None:
    found = net(lambda self, x: self.v @ x, "N 8 5", v=torch.zeros(8))
    assert our_shape(found, N=2) == (2, 5)
    with pytest.raises(symcnn.errors.UnsupportedOperation, match="layout"):
        found.flops  # noqa: B018


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
def test_spectral_norm_costs_no_flops(norm: Any) -> None:
    module = norm(nn.Conv2d(3, 8, 3)).eval()
    found = symcnn.from_torch(module, "N 3 H W")
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        module(torch.zeros(1, 3, 8, 9))
    assert found.cost("flops").at(N=1, H=8, W=9).total == counted.get_total_flops()


# Weights of one axis ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "w", "b"),
    [
        ((5, 8), (8,), None),
        ((2, 5, 8), (8,), None),
        ((5, 8), (8,), (1,)),
        ((5, 8), (3, 8), (1,)),
        ((5, 8), (3, 8), (5, 3)),
        ((5, 8), (3, 8), (2,)),
        ((2, 5, 8), (3, 8), (1, 5, 3)),
        ((5, 8), (3, 7), None),
        ((5, 8), (1, 3, 8), None),
    ],
)
def test_linear_takes_the_weights_and_biases_that_torch_takes(
    x: tuple[int, ...], w: tuple[int, ...], b: Any
) -> None:
    def forward(self: Any, x: Any) -> Any:
        return F.linear(x, self.w, self.b if b else None)

    weights = {"w": torch.zeros(w), **({"b": torch.zeros(b)} if b else {})}
    want = torch_shape(forward, x, **weights)
    try:
        have = tuple(net(forward, " ".join(map(str, x)), **weights).output_shape)
    except symcnn.errors.SymcnnError:
        have = None
    assert have == want


# What is written to a tensor with values is there afterwards ------------------------------------


def _in_a_canvas(self: Any, x: Any) -> Any:
    canvas = torch.zeros(1, 3, 16, 16)
    canvas[:, :, 2:9, 3:8] = x
    return canvas


def _into_a_row(self: Any, x: Any) -> Any:
    canvas = torch.zeros(3, 7, 5)
    canvas[1].add_(x[0, 1])
    return canvas[None]


def _added_up(self: Any, x: Any) -> Any:
    total = torch.zeros(1, 3, 7, 5)
    total.add_(x)
    return total


def _out(self: Any, x: Any) -> Any:
    y = torch.empty(0)
    torch.add(x, 1, out=y)
    return y


def _out_of_two(self: Any, x: Any) -> Any:
    values, places = torch.empty_like(x), torch.empty_like(x, dtype=torch.long)
    torch.max(x, dim=1, out=(values, places))
    return values[None]


@pytest.mark.parametrize("forward", [_in_a_canvas, _into_a_row, _added_up, _out, _out_of_two])
def test_a_tensor_holds_what_was_written_to_it(forward: Callable[..., Any]) -> None:
    found = net(forward, "1 3 7 5")
    assert tuple(found.output_shape) == torch_shape(forward, (1, 3, 7, 5))
    assert found.nodes
    reached = {t for n in found.nodes for t in n.inputs}
    assert found.input_tensors[0] in reached
    assert found.output_tensors[0].node is not None


def test_out_takes_the_shape_of_the_result() -> None:
    assert net(_out, "N 3 H W").output_shape == net(lambda self, x: x + 1, "N 3 H W").output_shape


# Which node a target is about, and what the whole network says ----------------------------------


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 1, 3)

    def forward(self, x: Any) -> Any:
        return torch.cat([self.c(x).flatten(1), x[:, 0].flatten(1)], 1)


def test_a_target_is_about_the_networks_own_output() -> None:
    found = symcnn.from_torch(TwoParts(), "N 3 H W").solve(output=52)
    assert set(found) == {(6, 6)}
    assert found.at == ""


def test_the_scores_of_attention_are_no_map() -> None:
    """MViT: queries and keys are pooled maps, their scores have all places by all places."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.fc = nn.Conv2d(3, 8, 16, 16), nn.Linear(8, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q = self.patches(x).flatten(2).unsqueeze(1)
            scores = (q.mT @ q).softmax(-1)
            return self.fc((scores @ q.mT).mean(2)[:, 0])

    net = symcnn.from_torch(Attention(), "N 3 H W")
    assert str(net.solve(output=(7, 7))) == "112 <= H <= 127 and 112 <= W <= 127"


def test_a_target_of_a_map_is_about_the_last_map_where_the_output_is_none() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = symcnn.from_torch(module, "N 3 H W").solve(output=(7, 7))
    assert found.at == "0"
    assert (15, 15) in found


def classifier() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 32, stride=32), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(32, 10)
    )


def test_where_the_whole_network_refuses_what_a_part_reaches_the_answer_says_by_whom() -> None:
    found = symcnn.from_torch(classifier(), "N 3 H W").solve(output=(7, 7), at="0")
    assert (224, 224) in found
    assert "takes none of these: 3 (linear) needs" in found.note
    partly = symcnn.from_torch(classifier(), "N 3 H W").solve(output=(">=14", ">=14"), at="0")
    assert partly.note.startswith("of these, the whole network takes ")
    assert symcnn.from_torch(classifier()[:1], "N 3 H W").solve(output=(7, 7)).note == ""


def test_the_shell_names_the_node_and_who_refuses(tmp_path: Path) -> None:
    import json

    from click.testing import CliRunner

    from symcnn.cli import main

    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 8, 32, stride=32), nn.AvgPool2d(7), nn.Flatten(),\n"
        "                    nn.Linear(32, 10))\n"
    )
    said = [f"{tmp_path}/model.py:net", "--input", "N 3 H W", "--output", "7x7", "--at", "0"]
    text = CliRunner().invoke(main, ["solve", *said])
    assert "takes none of these: 3 (linear) needs" in text.output
    found = json.loads(CliRunner().invoke(main, ["solve", *said, "--json"]).output)
    assert found["at"] == "0"
    assert "takes none of these" in found["note"]


# The batch and fixed sizes are sizes too --------------------------------------------------------


def only_the_batch() -> Any:
    return symcnn.from_torch(nn.Conv2d(3, 8, 3), "N 3 32 32")


def nothing_open() -> Any:
    return symcnn.from_torch(nn.Conv2d(3, 8, 3), "1 3 32 32")


def test_a_network_whose_batch_alone_is_open_answers_every_question() -> None:
    net = only_the_batch()
    assert str(net.valid_inputs()) == "N >= 1"
    assert net.valid_inputs().smallest() == 1
    assert 5 in net.valid_inputs()
    assert str(net.solve(output=(30, 30))) == "N >= 1"
    assert str(net.solve(macs="1G")) == "1 <= N <= 5144"
    assert str(net.solve(flatten=7200)) == "N >= 1"
    assert net.nearest_valid(N=3).valid
    assert net.reasons() == []
    assert net.prove()
    assert "domain N >= 1" in str(net.summary())
    assert net.largest_batch("1 GiB") == net.solve(peak="1 GiB", N=range(1, 10**6)).largest()


def test_a_network_with_nothing_open_answers_every_question() -> None:
    net = nothing_open()
    assert str(net.valid_inputs()) == "every input"
    assert net.valid_inputs().smallest() == net.valid_inputs().largest() == ()
    assert list(net.valid_inputs()) == [()]
    assert net.valid_inputs().count() == 1
    assert str(net.solve(output=(30, 30))) == "every input"
    assert str(net.solve(macs="1G")) == "every input"
    with pytest.raises(symcnn.errors.NoSolution, match="no input gives 31x30"):
        net.solve(output=(31, 30))
    with pytest.raises(symcnn.errors.NoSolution, match="194,400 MACs"):
        net.solve(macs=100)
    assert net.nearest_valid().valid
    assert net.prove()
    assert str(net.diagnose())
    assert net.shape_at() == (1, 8, 30, 30)


def two_convolutions() -> Any:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3))
    return symcnn.from_torch(module, "N 3 H W")


@pytest.mark.parametrize("what", ["saved", "peak", "activations"])
def test_a_budget_bounds_the_batch(what: str) -> None:
    net, limit = two_convolutions(), 8 << 30
    found = net.solve(**{what: "8 GiB"}, N=range(1, 100_000), H=224, W=224)
    most = found.axis("N").largest()
    assert str(found) == f"1 <= N <= {most} and H == 224 and W == 224"
    figure = {n: getattr(net.cost().at(N=n, H=224, W=224), what) for n in (most, most + 1)}
    assert figure[most] <= limit < figure[most + 1]


def test_the_largest_batch_is_the_last_that_fits() -> None:
    net = two_convolutions()
    most = net.largest_batch("8 GiB", H=224, W=224)
    assert net.cost().at(N=most, H=224, W=224).peak <= 8 << 30
    assert net.cost().at(N=most + 1, H=224, W=224).peak > 8 << 30
    with pytest.raises(symcnn.errors.BadSpec, match="no value for W"):
        net.largest_batch("8 GiB", H=224)
    with pytest.raises(symcnn.errors.NoSolution, match="the smallest input"):
        net.largest_batch("1 KiB", H=224, W=224)
    with pytest.raises(symcnn.errors.BadSpec, match="batch that is a symbol"):
        nothing_open().largest_batch("1 GiB")


# Sizes that grow, though their expanded form has minus signs ------------------------------------


def test_a_bound_by_products_that_grow_is_seen_from_the_least_sizes() -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unfold, self.place = (
                nn.Unfold(14, stride=7),
                nn.Parameter(torch.zeros(1, 962, 588)),
            )

        def forward(self, x: Any) -> Any:
            x = self.unfold(x).transpose(1, 2)
            x = torch.cat([x[:, :1], x], 1)
            return x + self.place[:, : x.shape[1]]

    net = symcnn.from_torch(Patches(), "N 3 H W")
    assert our_shape(net, N=1, H=224, W=224) == (1, 962, 588)
    assert our_shape(net, N=1, H=231, W=224) is None


# Outside the domain a size may be 0 -------------------------------------------------------------


def _divided(self: Any, x: Any) -> Any:
    x = F.conv2d(x, self.w, stride=16)
    n, c, h, w = x.shape
    return x.reshape(n, 36 // h, h * w * c // (36 // h))


@pytest.mark.parametrize(("height", "width"), [(96, 96), (10, 96), (700, 16), (64, 17)])
def test_a_division_by_a_size_that_is_0_is_a_refusal(height: int, width: int) -> None:
    weights = {"w": torch.zeros(4, 3, 16, 16)}
    found = net(_divided, "N 3 H W", example={"H": 96, "W": 96}, **weights)
    try:
        want = torch_shape(_divided, (1, 3, height, width), **weights)
    except ZeroDivisionError:
        want = None
    assert our_shape(found, N=1, H=height, W=width) == want


# Empty maps, at some sizes or at all --------------------------------------------------------------

_EMPTY_AT_SOME = {
    "tensor_split at places": (lambda self, x: torch.tensor_split(x, (3, 6), 2)[2], 6),
    "tensor_split into parts": (lambda self, x: torch.tensor_split(x, 4, 2)[-1], 3),
    "narrow": (lambda self, x: x.narrow(2, 0, x.shape[2] - 3), 3),
    "slice from behind": (lambda self, x: x[:, :, -7:-5], 5),
    "slice": (lambda self, x: x[:, :, 4:], 4),
}


@pytest.mark.parametrize("form", _EMPTY_AT_SOME)
def test_a_size_at_which_a_map_is_empty_is_valid(form: str) -> None:
    forward, last = _EMPTY_AT_SOME[form]
    found = net(forward, "N 3 H W")
    for height in (last - 1, last, last + 1):
        want = torch_shape(forward, (1, 3, height, 5))
        assert our_shape(found, N=1, H=height, W=5) == want


def test_one_row_beside_a_map_without_rows_is_no_row() -> None:
    found = net(lambda self, x: x[:, :, 4:] + x, "1 3 H 5")
    assert our_shape(found, H=1) == (1, 3, 0, 5)
    assert our_shape(found, H=2) is None
    assert our_shape(found, H=5) == (1, 3, 5, 5)


_EMPTY_AT_ALL = {
    "rotary halves": lambda self, x: torch.cat([x[..., :0], x[..., 0:]], -1),
    "no prefix": lambda self, x: torch.cat([x[:, :0], x], 1),
    "nothing left": lambda self, x: torch.cat([x, x[:, 3:]], 1),
    "nothing in between": lambda self, x: torch.cat([x[:, 1:1], x], 1),
    "of a part": lambda self, x: torch.cat([x[:, :1][:, 1:], x], 1),
    "of the size itself": lambda self, x: torch.cat([x[:, :, x.shape[2] :], x], 2),
    "torch.empty(0)": lambda self, x: torch.cat([torch.empty(0), x]),
    "flattened": lambda self, x: torch.cat([x[:, :0].flatten(2), x.flatten(2)], 1),
    "reshaped": lambda self, x: torch.cat([x[:, :0].reshape(x.shape[0], 0, 7), x[:, :, 0]], 1),
    "softmax": lambda self, x: torch.cat([x[:, :0].softmax(1), x], 1),
    "sum": lambda self, x: x[:, 3:].sum(1),
    "matmul": lambda self, x: x[..., :0] @ x[..., :0].mT,
    "pad": lambda self, x: F.pad(x[..., :0], (1, 1)),
    "alone": lambda self, x: x[:, :0] + 1,
}


@pytest.mark.parametrize("form", _EMPTY_AT_ALL)
def test_a_tensor_without_elements_is_a_value(form: str) -> None:
    found = net(_EMPTY_AT_ALL[form], "N 3 H 7")
    assert our_shape(found, N=2, H=5) == torch_shape(_EMPTY_AT_ALL[form], (2, 3, 5, 7))
    assert str(found.valid_inputs()) == "H >= 1"


def test_what_is_joined_with_nothing_is_seen_as_it_was() -> None:
    found = net(_EMPTY_AT_ALL["no prefix"], "N 3 H W")
    assert found.receptive_field().size == (1, 1)
    assert found.prove()


@pytest.mark.parametrize("name", ["amax", "argmax", "median"])
def test_nothing_has_no_largest_value(name: str) -> None:
    forward = lambda self, x: torch.as_tensor(getattr(x[:, :0], name)(1)[0])  # noqa: E731
    assert torch_shape(forward, (2, 3, 5, 7)) is None
    with pytest.raises(symcnn.InvalidInput, match=f"{name}: the input must have elements"):
        net(forward, "N 3 H W")


def test_a_layer_that_takes_no_empty_map_is_named() -> None:
    with pytest.raises(symcnn.InvalidInput, match="max_pool2d: the input must have elements"):
        net(lambda self, x: F.max_pool2d(x[:, :0], 2), "N 3 H W")


# Tensors made from sizes, numbers in tensors, arrays as indices ---------------------------------

_MADE = {
    "torch.Tensor(n, h)": lambda self, x: torch.Tensor(x.shape[0], x.shape[2]),
    "torch.FloatTensor(n, h)": lambda self, x: torch.FloatTensor(x.shape[0], x.shape[2]).fill_(1),
    "torch.div of sizes": lambda self, x: x[
        :, :, : torch.div(x.shape[2], 2, rounding_mode="floor")
    ],
    "an array of numpy": lambda self, x: x[:, np.array([0, 2])],
    "a mask of numpy": lambda self, x: x[:, np.array([True, False, True])],
    "a number of numpy": lambda self, x: x[:, np.int64(1)],
    "a constant mask": lambda self, x: x[:, torch.tensor([True, False, True])],
    "a layer made on the way": lambda self, x: nn.Conv2d(3, 2, 5).to(x)(x),
    "pairs of rows": lambda self, x: torch.combinations(x[0, 0, :, 0]),
    "three rows": lambda self, x: torch.combinations(x[0, 0, :, 0], 3),
    "a row beside itself": lambda self, x: torch.combinations(x[0, 0, :, 0], with_replacement=True),
    "no rows": lambda self, x: torch.combinations(x[0, 0, :, 0], r=0),
    "spectrum": lambda self, x: torch.fft.rfft(x).imag,
    "magnitude": lambda self, x: torch.fft.rfft2(x).abs(),
    "phase": lambda self, x: torch.polar(x, x).angle(),
    "pairs": lambda self, x: torch.view_as_real(torch.fft.rfft(x)),
    "filtered": lambda self, x: torch.fft.irfft2(torch.fft.rfft2(x) * 2, s=x.shape[-2:]),
    "signal": lambda self, x: _there_and_back(x, 16, 4),
    "signal of a length": lambda self, x: _there_and_back(x, 16, 4, length=x.shape[3]),
    "short windows": lambda self, x: _there_and_back(x, 16, 4, win_length=12),
}


def _there_and_back(x: Any, n: int, hop: int, win_length: Any = None, length: Any = None) -> Any:
    window = torch.hann_window(win_length or n)
    said = {"hop_length": hop, "win_length": win_length, "window": window}
    spectrum = torch.stft(x[:, 0, 0], n, **said, return_complex=True)
    return torch.istft(spectrum, n, **said, length=length)


@pytest.mark.parametrize("form", _MADE)
def test_a_form_that_was_refused_gives_torchs_shape(form: str) -> None:
    found = net(_MADE[form], "N 3 H W")
    for height, width in [(16, 40), (17, 41)]:
        want = torch_shape(_MADE[form], (2, 3, height, width))
        assert our_shape(found, N=2, H=height, W=width) == want is not None


def test_a_window_that_may_leave_a_gap_is_refused_by_name() -> None:
    with pytest.raises(symcnn.errors.DataDependent, match="window's values"):
        net(lambda self, x: _there_and_back(x, 16, 16), "N 3 H W")


def test_a_ratio_of_a_fractional_pool_is_one_per_axis() -> None:
    forward = lambda self, x: F.fractional_max_pool2d(x, 2, output_ratio=0.5)  # noqa: E731
    with pytest.raises(TypeError):
        forward(None, torch.zeros(1, 3, 8, 8))
    with pytest.raises(symcnn.errors.ShapeMismatch, match="give 2"):
        net(forward, "N 3 H W")


# Every parameter in the row of the module that owns it ------------------------------------------


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_reparametrised_parameters_stand_in_the_row_of_their_layer(norm: Any) -> None:
    module = nn.Sequential(norm(nn.Conv2d(3, 8, 3)), nn.ReLU(), nn.Conv2d(8, 4, 3))
    found = symcnn.from_torch(module, "N 3 H W")
    rows = {row.name: str(row["params"]) for row in found.cost().rows()}
    assert rows.items() >= {"": "524", "0": "232", "1": "0", "2": "292"}.items()
    assert [str(row["params"]) for row in found.cost().rows("node")] == ["224", "8", "0", "292"]


@pytest.mark.parametrize(
    "norm",
    [
        nn.utils.weight_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
def test_what_autograd_keeps_of_a_weight_made_anew_is_counted(norm: Any) -> None:
    module = nn.Sequential(norm(nn.Conv1d(8, 8, 3)), nn.ReLU(), nn.Conv1d(8, 4, 3))
    ours = symcnn.from_torch(module, "N 8 L").cost().at(N=2, L=20).saved
    kept: dict[int, int] = {}

    def pack(t: Any) -> Any:
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = module(torch.zeros(2, 8, 20, requires_grad=True))
    for own in (*module.parameters(), *module.buffers()):
        kept.pop(own.untyped_storage().data_ptr(), None)
    assert (ours, y.grad_fn is not None) == (sum(kept.values()), True)


# Refusals of torch's --------------------------------------------------------------------------


def test_floats_on_a_half_module_are_refused_as_torch_refuses_them() -> None:
    module = nn.Conv2d(3, 4, 3).half()
    with pytest.raises(RuntimeError, match="should be the same"):
        module(torch.zeros(1, 3, 8, 8))
    with pytest.raises(symcnn.ShapeMismatch, match="float32 and float16"):
        symcnn.from_torch(module, symcnn.tensor("N 3 H W", dtype="float32"))
    half = symcnn.from_torch(module, "N 3 H W")  # an input is of the module's own dtype
    assert half.output_tensors[0].dtype == "float16"


@pytest.mark.parametrize("pads", [(2, -1), (-1, 2), (3, -3), (-2, 2), (-4, 3)])
def test_a_circular_pad_beside_a_crop_reads_nothing_that_nobody_wrote(
    pads: tuple[int, int],
) -> None:
    """Torch takes the other sizes, and returns what lay in memory."""
    network = net(lambda m, x: F.pad(x, pads, mode="circular"), "N 3 L")
    for length in range(1, 9):
        left, right = pads
        written = length + min(left, 0) + min(right, 0)
        fits = written >= max(left, right) and length >= 1 and length + left + right >= 1
        have = our_shape(network, N=1, L=length)
        assert have == ((1, 3, length + left + right) if fits else None)
        if fits:
            x = torch.arange(1.0, 3 * length + 1).reshape(1, 3, length)
            assert set(F.pad(x, pads, mode="circular").flatten().tolist()) <= set(
                x.flatten().tolist()
            )


def test_the_line_of_a_split_is_the_users() -> None:
    network = net(lambda m, x: torch.stack(x.split(4, 2)), "N 3 H W")
    assert {u.where_in_code.rpartition("/")[2].partition(":")[0] for u in network.unfollowed} == {
        "test_wrong_answers.py"
    }


def test_a_reason_is_never_empty() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] != 32 or x.shape[3] != 32:
            raise ValueError("the image must be 32 x 32")
        return x

    reasons = net(forward, "N 3 H W").reasons()
    assert [str(r.requirement) for r in reasons] == ["H == 32", "W == 32"]
    assert all("the image must be 32 x 32" in r.requirement.why for r in reasons)


# Parts of an axis: how many is a branch, or a number --------------------------------------------


PARTED = {
    "chunk(2)": lambda m, x: x.chunk(2, 2)[-1],
    "chunk(3)": lambda m, x: x.chunk(3, 2)[-1],
    "the number of chunks": lambda m, x: x.repeat(len(x.chunk(4, 2)), 1, 1, 1),
    "split of half": lambda m, x: x.split(x.shape[2] // 2, 2)[-1],
    "split of half, rounded up": lambda m, x: x.split((x.shape[2] + 1) // 2, 2)[0],
    "stacked quarters": lambda m, x: torch.stack(x.split(x.shape[2] // 4, 2)),
}


@pytest.mark.parametrize("name", PARTED)
def test_how_many_parts_an_axis_gives_is_a_branch(name: str) -> None:
    network = net(PARTED[name], "N 3 H W")
    assert network.complete
    for height in range(1, 24):
        want = torch_shape(PARTED[name], (1, 3, height, 5))
        assert our_shape(network, N=1, H=height, W=5) == want


def test_parts_of_a_fixed_length_fix_only_how_many_there_are() -> None:
    network = net(lambda m, x: torch.cat(x.split(4, 2), 2), "N 3 H W")
    assert network.valid_inputs().axis("H").words() == "221 <= H <= 224"
    assert our_shape(network, N=1, H=9, W=5) == (1, 3, 9, 5)


SIZED = {
    "pool": lambda x, k: F.avg_pool2d(x, k),
    "pool, stride": lambda x, k: F.max_pool2d(x, 3, stride=k),
    "convolution, stride": lambda x, k: F.conv2d(x, torch.zeros(2, 2, 3, 3), stride=k),
    "convolution, dilation": lambda x, k: F.conv2d(x, torch.zeros(2, 2, 3, 3), dilation=k),
    "transposed": lambda x, k: F.conv_transpose2d(
        x[..., :1], torch.zeros(2, 2, 3, 1), stride=(k, k)
    ),
    "unfold": lambda x, k: x.unfold(2, 2, k),
}


@pytest.mark.parametrize("name", SIZED)
def test_a_window_whose_stride_or_extent_is_a_size_is_refused_where_that_is_0(name: str) -> None:
    class Sized(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return SIZED[name](x, x.shape[3] % 6)

    module = Sized()
    net = symcnn.from_torch(module, "1 2 9 W")
    for w in range(1, 20):
        try:
            want = tuple(module(torch.zeros(1, 2, 9, w)).shape)
        except RuntimeError:
            want = None
        assert (w in net.valid_inputs()) == (want is not None)
        if want is None:
            with pytest.raises(InvalidInput):
                net.shape_at(W=w)
        else:
            assert net.shape_at(W=w) == want


def test_what_a_forward_refuses_at_numbers_is_a_size_that_it_does_not_take() -> None:
    class Rows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            parts = [x[:, :, i] for i in range(x.shape[2])]
            return torch.stack(parts, 2).view(2, 7)

    net = symcnn.from_torch(Rows(), "1 2 H W", example={"H": 1, "W": 7})
    assert net.shape_at(H=7, W=1) == (2, 7)
    with pytest.raises(InvalidInput, match="the model refuses H=2, W=7"):
        net.shape_at(H=2, W=7)


def test_a_number_that_the_model_refuses_is_told_in_the_words_of_the_model() -> None:
    class Groups(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert len(x) <= 4 or len(x) % 4 == 0, "a batch of fours"
            return x.reshape(min(len(x), 4), -1, *x.shape[1:]).mean(0)

    net = symcnn.from_torch(Groups(), "N 3 H W")
    for sizes in ({"N": 5}, {"N": 5, "H": 8, "W": 8}):
        with pytest.raises(InvalidInput, match=r"the model refuses N=5.*a batch of fours"):
            net.given(**sizes)


QUOTIENTS = {
    "by a quotient that may be 0": lambda n, c, h, w: (n, 36 // h, h * w * c // (36 // h)),
    "by a quotient of a quotient": lambda n, c, h, w: (n, 7 // (7 // h), -1),
    "of a table": lambda n, c, h, w: (n, 21 // (7 // h), -1),
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_a_quotient_in_a_quotient_is_refused_where_it_divides_by_0(name: str) -> None:
    class Viewed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(QUOTIENTS[name](*x.shape))

    module = Viewed()
    net = symcnn.from_torch(module, "1 3 H W", example={"H": 6, "W": 6})
    for h in range(1, 45):
        for w in (1, 4, 6):
            try:
                want = tuple(module(torch.zeros(1, 3, h, w)).shape)
            except (RuntimeError, ZeroDivisionError):
                with pytest.raises(InvalidInput):
                    net.shape_at(H=h, W=w)
            else:
                assert net.shape_at(H=h, W=w) == want


RATIOS = {
    "of the longer side to the shorter": lambda h, w: max(h, w) / min(h, w) >= 2.5,
    "to the shorter side": lambda h, w: h / min(h, w) < 2.5,
    "of the shorter side": lambda h, w: min(h, w) / h >= 0.5,
    "to a product with the shorter side": lambda h, w: 6 * h / (min(h, 3) * w) > 2,
    "to what may be negative": lambda h, w: h / (w - 5) >= 2,
    "to what may be 0, in whole numbers": lambda h, w: h // (w - 5) >= 1,
}


@pytest.mark.parametrize("name", RATIOS)
def test_a_branch_on_a_ratio_is_taken_as_python_takes_it(name: str) -> None:
    class Ratio(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, :1, :1] if RATIOS[name](*x.shape[2:]) else x

    module = Ratio()
    net = symcnn.from_torch(module, "1 1 H W")
    for h in range(1, 12):
        for w in range(1, 12):
            try:
                want = tuple(module(torch.zeros(1, 1, h, w)).shape)
            except ZeroDivisionError:
                with pytest.raises(InvalidInput):
                    net.shape_at(H=h, W=w)
            else:
                assert net.shape_at(H=h, W=w) == want


@pytest.mark.parametrize(
    "again",
    [
        torch.as_tensor,
        lambda x: torch.as_tensor(x, dtype=torch.float64),
        torch.asarray,
        lambda x: torch.tensor(x),
        lambda x: x.new_tensor(x),
    ],
)
def test_a_tensor_made_of_a_tensor_reads_it_place_by_place(again: Any) -> None:
    class Again(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return again(nn.functional.avg_pool2d(x, 3, 1, 1))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.tensor(tensor) warns
        net = symcnn.from_torch(Again(), "N 3 H W")
        made = Again()(torch.empty(1, 3, 8, 9))
    assert net.receptive_field().size == (3, 3)
    assert net.shape_at(N=1, H=8, W=9) == tuple(made.shape)
    assert net.output_tensors[0].dtype == str(made.dtype).removeprefix("torch.")


def test_numbers_of_the_type_of_a_tensor_do_not_read_it() -> None:
    class Numbers(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_tensor([1.0, 2.0])

    net = symcnn.from_torch(Numbers(), "N 3 H W")
    assert net.output_shape == (2,)
    with pytest.raises(symcnn.BadSpec, match="does not depend on the input"):
        net.receptive_field()


def test_a_number_of_blocks_that_divides_by_0_is_an_invalid_input() -> None:
    count = 12 // (symcnn.symbols("k") - 1)
    net = symcnn.nn.Repeat(lambda i: symcnn.nn.Conv2d(3, 3, 3), count).trace("N 3 H W")
    with pytest.raises(InvalidInput):
        net.shape_at(N=1, H=64, W=64, k=1)


def test_a_view_by_0_elements_is_diagnosed() -> None:
    class View(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(-1, 3 * (2 * x.shape[2] - 4) * x.shape[3])

    net = symcnn.from_torch(View(), "N 3 H W")
    assert str(net.diagnose(N=1, H=2, W=5))
    with pytest.raises(InvalidInput):
        net.shape_at(N=1, H=2, W=5)


def test_a_floor_that_leaves_the_same_on_the_domain_is_a_quotient() -> None:
    """Counterexample: timm's HaloAttn with a stride: (H + 1)//2 was not H/2, and no size valid."""

    def heads(m: Any, x: Any) -> Any:
        _, _, h, w = x.shape
        assert h % 8 == 0
        assert w % 8 == 0
        return F.max_pool2d(x, 1, 2).reshape(-1, 4, h // 8, 4, w // 8, 4)

    network = net(heads, "N 16 H W")
    assert str(network.output_shape) == "(4*N, 4, H/8, 4, W/8, 4)"
    assert network.shape_at(N=2, H=16, W=24) == (8, 4, 2, 4, 3, 4)
    assert (16, 20) not in network.valid_inputs()


def test_a_view_of_blocks_multiplies_the_batch_by_what_a_whole_map_gives() -> None:
    """Sixteen channels in groups of one are 16*N blocks: no size was valid."""

    def blocks(m: Any, x: Any) -> Any:
        return x.view(-1, 4, x.shape[2] // 8, 4, x.shape[3] // 8, 4)

    network = net(blocks, "N 16 H W")
    assert str(network.output_shape) == "(16*N, 4, H/8, 4, W/8, 4)"
    assert str(network.valid_inputs()) == "H % 8 == 0 and H >= 8 and W % 8 == 0 and W >= 8"
    assert network.shape_at(N=2, H=16, W=24) == (32, 4, 2, 4, 3, 4)


def test_windows_and_masks_are_not_what_a_network_flattens() -> None:
    class Windows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            windows = F.unfold(x, 4, stride=4).transpose(1, 2).reshape(-1, 8, 16)
            mask = F.unfold(x.new_ones(1, 1, *x.shape[2:]), 4, stride=4).view(16, -1)
            return x * (windows.reshape(-1, 128).sum() + mask.sum())

    net = symcnn.from_torch(Windows(), "N 8 H W")
    assert str(net.solve(flatten=128)) == "H == 4 and W == 4"


# What a stranger met ------------------------------------------------------------------------------


class Sided(nn.Module):
    """High maps are summed over twice as many channels as low ones; heights are multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.high, self.low = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % 8 != 0:
            raise ValueError("the height is a multiple of 8")
        return self.high(x) if x.shape[2] > 64 else self.low(x)


@pytest.fixture(scope="module")
def sided() -> symcnn.Network:
    return symcnn.from_torch(Sided(), "N 3 H W")


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"H": 32, "W": 32}, "the smallest input, N=1, H=32, W=32, has 77,824 bytes"),
        ({"H": 224, "W": 32}, "the smallest input, N=1, H=224, W=32, has 315,392 bytes"),
        ({"H": 12, "W": 32}, "valid inputs are H % 8 == 0 and H >= 8 and W >= 1; the smallest is"),
    ],
)
def test_the_largest_batch_speaks_of_the_branch_that_the_sizes_take(
    sided: Any, sizes: dict[str, int], said: str
) -> None:
    with pytest.raises(symcnn.NoSolution) as caught:
        sided.largest_batch("1 KiB", **sizes)
    assert said in str(caught.value)


def test_a_target_that_no_branch_reaches_is_refused_for_each_of_them(sided: Any) -> None:
    with pytest.raises(symcnn.NoSolution) as caught:
        sided.solve(peak="1 KiB", W=224)
    assert "for H % 8 == 0 and H >= 72" in str(caught.value)
    assert "for H % 8 == 0 and 8 <= H <= 64" in str(caught.value)


def test_the_batch_that_is_looked_for_is_not_given(sided: Any) -> None:
    with pytest.raises(symcnn.BadSpec, match="N=3 is the batch, which largest_batch looks for"):
        sided.largest_batch("1 MiB", N=3, H=32, W=32)


def test_what_a_model_raises_is_diagnosed_with_what_it_needs_and_nothing_of_torch(
    sided: Any,
) -> None:
    found = sided.diagnose(H=12, W=16)
    text = str(found)
    assert "ValueError: the height is a multiple of 8" in text
    assert "needs H % 8 == 0; 4 != 0\n" in text
    assert "torch says" not in text
    assert "pad to 16x16" in text


def test_a_network_without_open_sizes_has_one_input() -> None:
    net = symcnn.from_torch(nn.Conv2d(3, 8, 3), "2 3 32 32")
    assert str(net.diagnose()).startswith("the only input is valid; ")
    assert str(net.nearest_valid()) == "the only input is valid"


@pytest.mark.parametrize(
    ("forward", "index", "others"),
    [
        (lambda m, x, i: F.embedding(i, m.table), "int64", ["float32", "int16"]),
        (lambda m, x, i: x.gather(1, i), "int64", ["float32", "bool"]),
        (lambda m, x, i: x[i], "int64", ["float32", "int16"]),
        (lambda m, x, i: x.index_add(1, i[0], x), "int32", ["float64"]),
        (lambda m, x, i: x.masked_fill(i, 0.0), "bool", ["float32", "uint8"]),
        (lambda m, x, i: torch.where(i, x, x), "bool", ["float16", "int64"]),
        (lambda m, x, i: F.one_hot(i, 5), "int64", ["float32"]),
        (lambda m, x, i: F.nll_loss(x, i[:, 0]), "int64", ["float32"]),
        (lambda m, x, i: F.cross_entropy(x, i[:, 0]), "int64", ["float32"]),
    ],
)
def test_the_dtype_that_an_input_states_is_the_truth(
    forward: Callable[..., Any], index: str, others: list[str]
) -> None:
    """Where none is stated, an index is an index and a mask a mask."""
    table = {"table": torch.zeros(10, 4)}
    for dtype in (index, "", *others):
        spec = symcnn.tensor("5 5", dtype=dtype)
        made = torch.zeros(5, 5, dtype=getattr(torch, dtype or index))
        if dtype in others:
            with pytest.raises((RuntimeError, IndexError)):
                Forward(forward, **table)(torch.zeros(5, 5), made)
            with pytest.raises(symcnn.ShapeMismatch, match=f"{dtype}"):
                net(forward, "5 5", spec, **table)
        else:
            out = Forward(forward, **table)(torch.zeros(5, 5), made)
            assert net(forward, "5 5", spec, **table).output_shape == tuple(out.shape)


@pytest.mark.parametrize(
    "target", [(7.5, 7), (7.0, 7), (sympy.Rational(7, 2), 7), (sympy.Float(7), 7), (None, 0.5)]
)
def test_a_target_that_is_no_whole_number_is_no_size(target: tuple[Any, ...]) -> None:
    net = symcnn.nn.Conv2d(3, 8, 3).trace("N 3 H W")
    with pytest.raises(symcnn.BadSpec, match="is not a size"):
        net.solve(output=target)


MISSPELT = {
    "branches": lambda: symcnn.from_torch(nn.ReLU(), "N 3 H W", branchs=3),  # type: ignore[arg-type]
    "example": lambda: symcnn.from_torch(nn.ReLU(), "N 3 H W", exampel={"H": 3}),  # type: ignore[arg-type]
    "stride": lambda: symcnn.nn.Conv2d(3, 8, 3, stirde=2),  # type: ignore[call-arg]
    "batch_first": lambda: symcnn.nn.LSTM(3, 8, batchfirst=True),
    "nonlinearity": lambda: symcnn.nn.RNN(3, 8, nonlinearty="relu"),
    "beta": lambda: symcnn.nn.Softplus(betta=2.0),  # type: ignore[call-arg]
    "H": lambda: symcnn.nn.Conv2d(3, 8, 3).trace("N 3 H W").fix(output=("HH", "W")),
}


@pytest.mark.parametrize("meant", MISSPELT)
def test_a_misspelt_name_is_refused_with_the_one_that_is_meant(meant: str) -> None:
    with pytest.raises(symcnn.SymcnnError, match=f"did you mean {meant}") as caught:
        MISSPELT[meant]()
    assert meant == "H" or isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Conv2d", (3, 8)),
        ("Conv2d", ()),
        ("LSTM", ()),
        ("ReLU", (True, 2)),
        ("Conv2d", (3, 8, 3, 1, 0, 1, 1, True, "zeros", None, None, 12)),
    ],
)
def test_a_missing_or_a_surplus_argument_of_a_layer_is_refused_in_words(
    name: str, args: tuple[Any, ...]
) -> None:
    with pytest.raises(TypeError):
        getattr(nn, name)(*args)
    with pytest.raises(symcnn.errors.BadArgument, match=f"^{name}: (missing|too many)"):
        getattr(symcnn.nn, name)(*args)


def test_a_layer_takes_neither_nothing_nor_none() -> None:
    with pytest.raises(symcnn.BadSpec, match="None is no size"):
        symcnn.nn.Conv2d(3, 8, 3)(None)


def test_a_view_of_blocks_of_a_map_that_is_rounded_up_holds_where_it_is_whole() -> None:
    """The map has (H + 3)//4 rows, which the branch makes 4*((H + 1)//16): no size was valid."""

    def blocks(m: Any, x: Any) -> Any:
        x = F.avg_pool2d(x, 2, ceil_mode=True)
        rows, columns = x.shape[2] // 8, x.shape[3] // 8
        if x.shape[2] % 8 or x.shape[3] % 8:
            raise ValueError("blocks of 8")
        return F.avg_pool2d(x, 2, ceil_mode=True).view(-1, 4, rows, 4, columns, 4)

    network = net(blocks, "N 16 H W")
    assert str(network.output_shape) == "(4*N, 4, (H + 1)//16, 4, (W + 1)//16, 4)"
    assert [h for h in range(1, 40) if (h, 16) in network.valid_inputs()] == [15, 16, 31, 32]
    assert network.shape_at(N=2, H=15, W=32) == (8, 4, 1, 4, 2, 4)


def test_a_branch_of_which_there_is_no_exact_set_is_not_followed() -> None:
    """The domain of all branches was refused, though one is known."""

    def residues(m: Any, x: Any) -> Any:
        h, w = x.shape[2:]
        if h % 2 and h * w % 1009 == 5:
            x = F.max_pool2d(x, 3)
        return torch.relu(x) if h % 2 else x

    network = net(residues, "N 3 H W")
    assert not network.complete
    assert {part.reason[:12] for part in network.unfollowed} == {"no exact set"}
    assert network.valid_inputs().words() == "H % 2 == 0 and H >= 2 and W >= 1"
    for w in (3, 1010, 2019):
        assert network.shape_at(N=1, H=5, W=w) == torch_shape(residues, (1, 3, 5, w))


def test_a_map_without_elements_is_not_resized_to_a_size() -> None:
    """Counterexample: branching:730 of seed 23, where numbers are run instead of a closed form."""
    with pytest.raises(symcnn.InvalidInput, match="the input must have elements"):
        net(lambda self, x: F.interpolate(x[:, :, x.shape[2] :], size=(4, 7)), "N 3 H W")


# An axis of size 1 that another factor stretches, and rows with axes of their own ----------------

_AT_SOME_SIZES = {
    "einsum, kept": ("N L 3", lambda self, x: torch.einsum("btc,tcf->btcf", x, self.w)),
    "einsum, summed": ("N L 3", lambda self, x: torch.einsum("btc,tcf->bcf", x, self.w)),
    "einsum, both summed": ("N L 3", lambda self, x: torch.einsum("btc,tcf->bf", x, self.w)),
    "rows of 4 x 4": ("N 4 L", lambda self, x: x.reshape(-1, 4, 4)),
}


@pytest.mark.parametrize("form", _AT_SOME_SIZES)
def test_every_size_that_torch_takes_is_taken_and_costs_what_torch_counts(form: str) -> None:
    spec, forward = _AT_SOME_SIZES[form]
    weights = {"w": torch.zeros(5, 3, 2)}
    found, module = net(forward, spec, **weights), Forward(forward, **weights)
    for n, length in itertools.product((1, 2, 3), (1, 2, 4, 5)):
        x = torch.zeros([{"N": n, "L": length}.get(d) or int(d) for d in spec.split()])
        try:
            with FlopCounterMode(display=False) as counted:
                want = tuple(module(x).shape)
        except RuntimeError:
            with pytest.raises(symcnn.errors.InvalidInput):
                found.shape_at(N=n, L=length)
            continue
        assert found.shape_at(N=n, L=length) == want
        assert found.cost("flops").at(N=n, L=length).total == counted.get_total_flops()


def test_work_on_positions_records_what_is_written_and_decides_nothing() -> None:
    """A difference ran once more for either end, and a comparison asked whether a size is 0."""

    def forward(_: nn.Module, x: torch.Tensor) -> torch.Tensor:
        i = torch.arange(x.shape[2])
        j = i - x.argmax(2)[0, 0] * 2
        return x[:, :, 0] * (i >= x.shape[2] - 7).sum() + j.sum()

    net = symcnn.from_torch(Forward(forward), "N 3 H W")
    assert len(net.branches) == 1
    assert [node.op for node in net.nodes].count("sub") == 1


LATE_ARGUMENTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "axes that a method lists": lambda x: x.count_nonzero(1, 2),
    "axes in a tuple": lambda x: x.count_nonzero((0, -1)),
    "the factor of rsub": lambda x: torch.rsub(x, 1, 2),
    "a vector has no channels to drop": lambda x: F.dropout2d(x[0, 0, 0]),
    "nothing is dropped of a vector": lambda x: F.feature_alpha_dropout(x[0, 0, 0]),
}


@pytest.mark.parametrize("forward", LATE_ARGUMENTS.values(), ids=LATE_ARGUMENTS)
def test_late_arguments_are_read_as_torch_reads_them(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    module = Forward(lambda _, x: forward(x))
    try:
        shape = tuple(module(torch.zeros(2, 3, 4, 5)).shape)
    except RuntimeError:
        with pytest.raises(symcnn.SymcnnError):
            symcnn.from_torch(module, "2 3 H W")
    else:
        assert symcnn.from_torch(module, "2 3 H W").shape_at(H=4, W=5) == shape


REFUSED_ARGUMENTS: dict[str, Callable[[torch.Tensor], Any]] = {
    "a truth value is no axis": lambda x: x.sum(True),
    "nor the first of several": lambda x: x.amax((True, 2)),
    "nor where tensors are joined": lambda x: torch.cat([x, x], True),
    "nor where one is taken": lambda x: x.softmax(True),
    "a negative size is none": lambda x: x[:, :, None].expand(2, 3, -2, 4, 5),
    "distances have a power": lambda x: torch.cdist(x, x, p=-1.0),
    "a quotient is rounded in two ways": lambda x: torch.div(x, x, rounding_mode="ceil"),
    "two bounds are of one kind": lambda x: torch.clamp(x, x, 2),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("forward", REFUSED_ARGUMENTS.values(), ids=REFUSED_ARGUMENTS)
def test_an_argument_that_torch_refuses_is_refused(forward: Callable[[torch.Tensor], Any]) -> None:
    with pytest.raises((TypeError, RuntimeError)):
        forward(torch.zeros(2, 3, 4, 5))
    with pytest.raises(symcnn.SymcnnError):
        net(lambda _, x: forward(x), "2 3 H W")


def test_a_truth_value_among_axes_is_a_number_behind_the_first() -> None:
    def forward(_: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return x.sum((0, True))

    assert net(forward, "2 3 H W").shape_at(H=4, W=5) == (4, 5)
    assert forward(nn.Module(), torch.zeros(2, 3, 4, 5)).shape == (4, 5)


# What a layer is called with may be computed of sizes -----------------------------------------


def _column(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)


COMPUTED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "padding of a pool": lambda m, x, n: F.max_pool1d(x, n // 4 + 1, 1, n // 6),
    "padding of a pool over three axes": lambda m, x, n: F.avg_pool3d(
        x[:, :, None, None], (1, 1, n // 3), 1, (0, 0, n // 5)
    ),
    "negative padding": lambda m, x, n: F.max_pool1d(x, 7, 1, n - 8),
    "divisor": lambda m, x, n: F.avg_pool2d(x, 2, divisor_override=n // 4),
    "output_padding": lambda m, x, n: F.conv_transpose1d(
        x, _column(4, 4, 3), stride=2, dilation=n // 4, output_padding=n // 5
    ),
    "padding of a transposed convolution": lambda m, x, n: F.conv_transpose1d(
        x, _column(4, 4, 3), padding=3 - n // 4
    ),
    "groups": lambda m, x, n: F.conv1d(x, _column(6, 1, 3), groups=n // 4),
    "groups of a transposed convolution": lambda m, x, n: F.conv_transpose1d(
        x, _column(4, 1, 3), groups=n // 4
    ),
    "k": lambda m, x, n: x.kthvalue(n // 4, 2)[0],
    "values of a transform": lambda m, x, n: torch.fft.rfft(x, n // 4),
    "n_fft": lambda m, x, n: torch.stft(x[:, 0], n // 4, return_complex=True),
    "hop_length": lambda m, x, n: torch.stft(x[:, 0], 4, n // 4, return_complex=True),
    "channels of a local norm": lambda m, x, n: F.local_response_norm(x, n // 4),
    "size of a grid": lambda m, x, n: F.affine_grid(x[:, :2, :3], [2, 4, n // 4, n - 5]),
    "start of a part": lambda m, x, n: x.narrow(2, (n - 8) // 2, 8),
    "place": lambda m, x, n: x[:, :, n // 4 - 2],
    "place to select": lambda m, x, n: x.select(2, 5 - n // 2),
    "places in a list": lambda m, x, n: x[:, :, [0, n // 4 - 2]],
    "size to keep": lambda m, x, n: x[:, :, :1].expand(-1, -1, n // 4 - 2),
    "size of a view": lambda m, x, n: x.reshape(2, 4, n // 4 - 1, -1),
    "size to infer": lambda m, x, n: x.reshape(2, n - 6, 4),
}


@pytest.mark.parametrize("what", COMPUTED)
def test_what_sizes_compute_is_held_to_the_bounds_of_numbers(what: str) -> None:
    def forward(module: nn.Module, x: torch.Tensor) -> Any:
        return COMPUTED[what](module, x, x.shape[-1])

    network = net(forward, "2 4 L")
    domain = network.valid_inputs()
    for length in range(1, 26):
        torch_says = torch_shape(forward, (2, 4, length))
        assert our_shape(network, L=length) == torch_says, length
        assert (length in domain) == (torch_says is not None), length


def test_a_branch_keeps_its_side_where_numbers_are_put_in() -> None:
    def forward(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, x.shape[-1] // 4 - 2 :]

    network = net(forward, "N 4 L").given(N=2)
    for length in range(1, 26):
        assert our_shape(network, L=length) == torch_shape(forward, (2, 4, length))


def test_a_cast_to_the_dtype_that_a_tensor_has_is_the_tensor() -> None:
    def forward(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = x.to(torch.promote_types(x.dtype, torch.float32)).float()
        return x + 1 if y is x else F.conv2d(x, torch.zeros(8, 3, 3, 3))

    network = net(forward, "N 3 H W")
    assert str(network.output_shape) == "(N, 3, H, W)"
    assert network.flops == 0


def test_a_short_time_transform_says_whether_it_is_complex() -> None:
    """Torch requires the word for real signals; of complex ones it gives complex numbers."""

    def real(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch.stft(x, 8, 4)

    def complex_(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch.stft(x.to(torch.complex64), 8, 4)

    with pytest.raises(symcnn.ShapeMismatch, match="torch requires return_complex"):
        net(real, "N L")
    network = net(complex_, "N L")
    assert our_shape(network, N=2, L=20) == torch_shape(complex_, (2, 20))
    assert network.output_tensors[0].dtype == "complex64"
