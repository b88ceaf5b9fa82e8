"""What autograd keeps of products, losses and draws: against torch, also where sizes are 1."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.ao import quantization

import symcnn
from symcnn.judge.oracles import torch_peak
from symcnn.ops.operation import Operation
from symcnn.testing.oracles import torch_saved
from symcnn.trace.graph import OPS
from tests.corpus.forwards import Function

F = nn.functional
einsum = torch.einsum


class Then(nn.Module):
    """A map with a gradient, a learned matrix, and what is made of the two."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.first, self.weight = nn.Conv2d(3, 3, 1), nn.Parameter(torch.rand(3, 3))
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.first(x), self.weight, x)


def agree(function: Callable[..., Any], *, peak: bool = False) -> None:
    """Saved bytes and the peak are torch's, also where sizes are 1."""
    module = Then(function)
    net = symcnn.from_torch(module, "N 3 H W", example={"N": 2, "H": 3, "W": 4})
    for n, h, w in ((1, 1, 1), (2, 3, 4), (1, 3, 2), (2, 1, 3)):
        sizes, x = {"N": n, "H": h, "W": w}, torch.rand(n, 3, h, w)
        for grad in (False, True):
            given = [x.clone().requires_grad_(grad)]
            ours = net.cost(input_grad=grad).at(**sizes).saved
            theirs = torch_saved(net, module, sizes, input_grad=grad, inputs=given)
            assert ours == theirs, (sizes, grad)
        if peak:
            assert net.cost().at(**sizes).peak == torch_peak(module, module, [x])[0], sizes


SUMS = {
    "one factor, turned": lambda y, w, x: einsum("nchw->nhwc", y).exp(),
    "one factor, summed": lambda y, w, x: einsum("nchw->wn", y).exp(),
    "a diagonal": lambda y, w, x: einsum("ncdd->ncd", y[:, :, :1, :1] * w).exp(),
    "a trace": lambda y, w, x: einsum("cc->", w) * y,
    "an axis of one factor, summed": lambda y, w, x: einsum("nchw,kc->nkc", y, w).exp(),
    "both sum one of theirs": lambda y, w, x: einsum("nchw,kj->nck", y, w).exp(),
    "a diagonal as a factor": lambda y, w, x: einsum("nchw,cc->nhw", y, w).exp(),
    "three factors": lambda y, w, x: einsum("nchw,cd,de->nehw", y, w, w).exp(),
    "a stretched axis": lambda y, w, x: einsum("nchw,c->nhw", y, w[0, :1]).exp(),
    "images lie as a product leaves them": lambda y, w, x: F.conv2d(
        einsum("nchw,dc->ndhw", y[:, :1], w[:, :1])[:, :1], w[:1, None, None, :1].mT
    ).exp(),
}  # fmt: skip


@pytest.mark.parametrize("case", SUMS)
def test_an_einsum_is_contracted_from_the_left(case: str) -> None:
    agree(SUMS[case])


TURNED = ["nchw,cz->nhzw", "cz,nchw->nhwz", "cz,nchw->nhzw", "nchw,cz->nhwz", "nchw,nczw->zhn"]


@pytest.mark.parametrize("equation", TURNED)
@pytest.mark.parametrize(("n", "h"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_axes_of_size_1_lie_as_a_product_leaves_them(equation: str, n: int, h: int) -> None:
    """Of the factors the one whose own axes come first in the output is the left one."""
    maps = {"n": n, "c": 3, "h": h, "w": 4, "z": 5}
    shapes = [[maps[k] for k in term] for term in equation.partition("->")[0].split(",")]

    class Sum(nn.Module):
        def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            return einsum(equation, one, other)

    net = symcnn.from_torch(Sum(), *(" ".join(map(str, shape)) for shape in shapes))
    cost = net.cost(input_grad=True)
    theirs = Sum()(*map(torch.rand, shapes)).stride()
    assert cost._memory.of(net.output_tensors[0]).strides == theirs
    assert cost.saved == torch_saved(net, Sum(), {}, input_grad=True)


def test_autocast_leaves_a_sum_of_one_place_as_it_is() -> None:
    def narrowed(y: Any, w: Any, x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return einsum("nchw,cd->ndhw", F.conv2d(y, w[:1, :, None, None]), w[:1]).exp()

    agree(narrowed)


PRODUCTS = {
    "a matrix before maps": lambda y, w, x: (w @ y.flatten(2)).exp(),
    "a vector after maps": lambda y, w, x: (y.permute(0, 2, 3, 1) @ w[0]).exp(),
    "a vector before maps": lambda y, w, x: (w[0] @ y.flatten(2)).exp(),
    "one matrix for all": lambda y, w, x: (y.flatten(2).mT @ w[None]).exp(),
    "one for all, before": lambda y, w, x: (w[None] @ y.flatten(2)).exp(),
    "a matrix that is not learned": lambda y, w, x: (y.mT @ x.detach()[0, 0]).exp(),
    "lengths in a column": lambda y, w, x: torch._weight_norm(w, w[:, :1], 0) * y.sum(),
    "vectors": lambda y, w, x: torch.outer(w[0], w[1]) * y.sum(),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_a_larger_factor_is_one_matrix_where_the_other_is_learned(case: str) -> None:
    agree(PRODUCTS[case])


DIAGONALS = {
    "of a matrix": lambda y, w, x: torch.diag(w).exp() + y.sum(),
    "as a matrix": lambda y, w, x: torch.diag(y[0, 0, 0]).exp(),
    "in maps": lambda y, w, x: torch.diag_embed(y, 1, 1, 2).exp(),
    "summed": lambda y, w, x: torch.trace(w).exp() * y,
}


@pytest.mark.parametrize("case", DIAGONALS)
def test_a_diagonal_is_a_copy_of_which_nothing_is_kept(case: str) -> None:
    agree(DIAGONALS[case])


LOSSES: list[Callable[..., torch.Tensor]] = [
    F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits,
    F.kl_div, F.soft_margin_loss,
    lambda y, x, **options: F.kl_div(y, x, log_target=True, **options),
    lambda y, x, **options: F.binary_cross_entropy(y.sigmoid(), x, **options),
    lambda y, x, **options: F.cross_entropy(y, x.argmax(1), **options),
    lambda y, x, **options: F.nll_loss(y.flatten(2), x.flatten(2).argmax(1), **options),
    F.poisson_nll_loss,
    lambda y, x, **options: F.poisson_nll_loss(y, x, log_input=False, full=True, **options),
    F.hinge_embedding_loss,
    lambda y, x, **options: F.margin_ranking_loss(y, x, x, margin=0.1, **options),
    lambda y, x, **options: F.triplet_margin_loss(y, x, x, **options),
    lambda y, x, **options: F.triplet_margin_loss(y, x, x, swap=True, **options),
    lambda y, x, **options: F.gaussian_nll_loss(y, x, 1.0, full=True, **options),
    lambda y, x, **options: F.multilabel_soft_margin_loss(y, x, **options),
    lambda y, x, **options: F.cosine_embedding_loss(
        y.flatten(1), x.flatten(1), x.new_ones(x.shape[0]), **options
    ),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("loss", range(len(LOSSES)))
def test_a_loss_keeps_its_terms(loss: int, reduction: str) -> None:
    of = LOSSES[loss]
    agree(lambda y, w, x: of(y, x.detach(), reduction=reduction).exp())
    agree(lambda y, w, x: of(y.permute(0, 2, 3, 1), x.detach().permute(0, 2, 3, 1)).exp())


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("loss", range(len(LOSSES)))
def test_a_loss_has_the_peak_of_what_torch_writes(loss: int, reduction: str) -> None:
    """Of a map that stands there by itself: what is let go while the loss runs is no part of it."""

    def forward(y: torch.Tensor, w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return LOSSES[loss](y, x, reduction=reduction)

    net = symcnn.from_torch(Then(forward), "N 3 H W", example={"N": 2, "H": 3, "W": 4})
    x = torch.rand(2, 3, 30, 40)
    found = net.cost().at(N=2, H=30, W=40).peak
    assert found == torch_peak(Then(forward), Then(forward), [x])[0]


DRAWS = {
    "bernoulli": lambda y, w, x: y * torch.empty_like(y[:, :1]).bernoulli_(0.5),
    "normal": lambda y, w, x: y * torch.empty_like(y).normal_(),
    "whole numbers": lambda y, w, x: y * torch.randint_like(y, 3),
}


@pytest.mark.parametrize("case", DRAWS)
def test_of_what_is_drawn_nothing_is_kept_but_as_a_factor(case: str) -> None:
    agree(DRAWS[case])


ON_THE_WAY = {
    "places of the largest": lambda y, w, x: F.adaptive_max_pool2d(y, 1),
    "norms": lambda y, w, x: F.normalize(y),
    "reciprocals": lambda y, w, x: 2 / y,
    "reciprocals of integers": lambda y, w, x: y * (2 / x.int()),
    "reciprocals as factors": lambda y, w, x: y * (1 / y),
}


@pytest.mark.parametrize("case", ON_THE_WAY)
def test_the_peak_counts_what_kernels_make_beside_their_results(case: str) -> None:
    agree(ON_THE_WAY[case], peak=True)


class Frozen(nn.Module):
    """A layer that its forward freezes, as xEEGNet does while it warms up."""

    def __init__(self, freeze: Callable[[nn.Conv2d], object]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.freeze = freeze

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.freeze(self.first)
        return self.second(self.first(x)).exp()


def by_hand(layer: nn.Conv2d) -> None:
    for p in layer.parameters():
        p.requires_grad = False


FREEZES: list[Callable[[nn.Conv2d], object]] = [
    lambda layer: layer.requires_grad_(False),
    lambda layer: layer.requires_grad_(requires_grad=False),
    by_hand,
    lambda layer: layer.requires_grad_(),
]


@pytest.mark.parametrize("freeze", FREEZES)
def test_what_the_forward_freezes_before_it_reads_it_keeps_nothing(
    freeze: Callable[[nn.Conv2d], object],
) -> None:
    module = Frozen(freeze)
    net = symcnn.from_torch(module, "N 3 H W")
    assert all(p.requires_grad for p in module.parameters())  # a trace leaves it as it was
    sizes = {"N": 2, "H": 4, "W": 5}
    assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes)
    assert [p.trainable for p in net.parameters] == [p.requires_grad for p in module.parameters()]


BOUNDS = {
    "a table above": lambda y, w, x: torch.clamp(y, max=w[0, 0]),
    "maps below": lambda y, w, x: torch.clamp(y, min=x.detach()).exp(),
    "a table between": lambda y, w, x: torch.clamp(w, min=w.detach() - 1, max=w.detach()) + y.sum(),
    "from both sides": lambda y, w, x: torch.clamp(y, min=w[0, 0], max=w[0, 1]),
    "from below": lambda y, w, x: y.clamp_min(0.1),
    "from above, by maps": lambda y, w, x: torch.clamp_max(y, y[:, :1]),
    "by classes": lambda y, w, x: y * nn.functional.one_hot(y.argmax(1), 3).permute(0, 3, 1, 2),
    "by a median": lambda y, w, x: y * y.median(1, keepdim=True)[0] + y.median(),
    "by what is third": lambda y, w, x: y * y.kthvalue(3, 1, keepdim=True)[0],
    "by what is most": lambda y, w, x: y.mode(1)[0] * 2,
    "by bins": lambda y, w, x: y * torch.histc(y, 3).view(3, 1, 1),
    "a view after it": lambda y, w, x: torch.clamp(y, max=w[0, 0].detach()).view(y.shape[0], -1),
}


@pytest.mark.parametrize("case", BOUNDS)
def test_bounds_in_tensors_are_kept_beside_what_is_between_them(case: str) -> None:
    agree(BOUNDS[case])


def _rows(table: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return y * table[:3, None, None] + y.exp() * table[3:, None, None]


PARTS = {
    "of a row": lambda y, w, x: _rows(torch.arange(6.0), y),
    "of what is computed": lambda y, w, x: _rows(w.detach().flatten()[:6] * 2, y),
    "of a window": lambda y, w, x: _rows(torch.hann_window(6), y),
    "real and imaginary": lambda y, w, x: _complex(torch.fft.fft(torch.ones(3)), y),
    "of two rows": lambda y, w, x: _rows(torch.ones(6), y) + _rows(torch.arange(6.0), y),
}


def _complex(table: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return y * table.real[:, None, None] + y.exp() * table.imag[:, None, None]


@pytest.mark.parametrize("case", PARTS)
def test_parts_of_one_constant_are_kept_once(case: str) -> None:
    agree(PARTS[case])


def _quantized(module: nn.Module) -> nn.Module:
    """As quantization-aware training prepares it, after one batch."""
    module.train().qconfig = quantization.get_default_qat_qconfig("fbgemm")
    prepared: nn.Module = quantization.prepare_qat(module)
    prepared(torch.rand(2, 3, 9, 9))
    return prepared


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False])
def test_layers_trained_for_quantization_are_those_layers_and_keep_what_lies_in_range(
    training: bool,
) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 4, 1))
    module = _quantized(nn.Sequential(quantization.QuantStub(), plain)).train(training)
    before = {name: t.clone() for name, t in module.state_dict().items()}
    net, float_net = symcnn.from_torch(module, "N 3 H W"), symcnn.from_torch(plain, "N 3 H W")
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    assert net.output_shape == float_net.output_shape
    assert (net.params, net.macs) == (float_net.params, float_net.macs)
    for sizes in ({"N": 1, "H": 9, "W": 12}, {"N": 3, "H": 4, "W": 3}):
        x = [torch.rand(sizes["N"], 3, sizes["H"], sizes["W"])]
        theirs = torch_saved(net, module, sizes, inputs=x)
        assert net.cost().at(**sizes).saved == theirs


def _pixels(t: torch.Tensor) -> torch.Tensor:
    return t.permute(0, 2, 3, 1).reshape(-1, 3)


def _written(y: torch.Tensor, mask: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    y[:, mask] = part
    return y


def _several(cell: Callable[..., Any], gates: int) -> Callable[..., Any]:
    """One step of a cell, all of whose arguments come from the map, the weight and the input."""

    def step(y: torch.Tensor, w: torch.Tensor, x: torch.Tensor) -> Any:
        weights = torch.cat([w] * gates), torch.cat([w] * gates)
        return cell(_pixels(y), _pixels(x), *weights, torch.cat([w[0]] * gates))

    return step


#: What autograd keeps of these, and the bytes alive while they run.
KEPT: dict[str, Callable[..., Any]] = {
    "rot90": lambda y, w, x: torch.rot90(y, 1, (2, 3)),
    "rot90 twice": lambda y, w, x: torch.rot90(y, 2, (2, 3)),
    "rot90 of what is turned": lambda y, w, x: torch.rot90(y.transpose(1, 2), 3, (0, 3)),
    "rot90 by nothing": lambda y, w, x: torch.rot90(y.mT, 0, (2, 3)),
    "fliplr": lambda y, w, x: torch.fliplr(y.mT),
    "flipud": lambda y, w, x: torch.flipud(y),
    "affine_grid": lambda y, w, x: F.grid_sample(
        y, F.affine_grid(y[:, :2, 0, :1] * torch.ones(3), x.shape, align_corners=False)
    ),
    "lp_pool1d": lambda y, w, x: F.lp_pool1d(y.flatten(2), 2.0, 1),
    "lp_pool2d": lambda y, w, x: F.lp_pool2d(y, 3.0, 1),
    "cdist": lambda y, w, x: torch.cdist(y.flatten(2), y.flatten(2)),
    "cosine_similarity": lambda y, w, x: F.cosine_similarity(y, x),
    "cosine_similarity along the last": lambda y, w, x: F.cosine_similarity(x, y, dim=-1),
    "pairwise_distance": lambda y, w, x: F.pairwise_distance(y, x),
    "dist": lambda y, w, x: torch.dist(y, x),
    "tensordot by a weight": lambda y, w, x: torch.tensordot(y, w, ([1], [0])),
    "tensordot with a weight": lambda y, w, x: torch.tensordot(w, y, ([1], [1])),
    "inner": lambda y, w, x: torch.inner(y, x),
    "inner with a weight": lambda y, w, x: torch.inner(y.permute(0, 2, 3, 1), w),
    "addbmm": lambda y, w, x: torch.addbmm(torch.zeros(1), y.flatten(2), y.flatten(2).mT),
    "linalg.cross": lambda y, w, x: torch.linalg.cross(y, x, dim=1),
    "linalg.det": lambda y, w, x: torch.linalg.det(w) * y,
    "block_diag": lambda y, w, x: torch.block_diag(y[0, 0], w),
    "gumbel_softmax": lambda y, w, x: F.gumbel_softmax(y, dim=1),
    "gumbel_softmax that chooses": lambda y, w, x: F.gumbel_softmax(y, hard=True, dim=1),
    "softmin": lambda y, w, x: F.softmin(y, 1),
    "cummax": lambda y, w, x: torch.cummax(y, 2)[0],
    "cummin": lambda y, w, x: torch.cummin(y.mT, 2)[0],
    "cumprod": lambda y, w, x: torch.cumprod(y, 2),
    "logcumsumexp": lambda y, w, x: torch.logcumsumexp(y, 2),
    "diff": lambda y, w, x: torch.diff(y, dim=1),
    "msort": lambda y, w, x: torch.msort(y.mT),
    "nansum": lambda y, w, x: torch.nansum(y, 1),
    "take": lambda y, w, x: torch.take(y, torch.tensor([0, 2])),
    "scatter of values": lambda y, w, x: torch.scatter(y, 1, x[:, :1].long(), x[:, :1]),
    "scatter of a number": lambda y, w, x: torch.scatter(y.mT, 1, x[:1, :1, :1, :1].long(), 1.0),
    "column_stack": lambda y, w, x: torch.column_stack([y[:, 0, 0], y[:, 1, 0]]),
    "dstack": lambda y, w, x: torch.dstack([y[:, 0, 0], y[:, 1, 0]]),
    "xlogy": lambda y, w, x: torch.xlogy(y, x),
    "xlog1py": lambda y, w, x: torch.special.xlog1py(x, y),
    "logaddexp": lambda y, w, x: torch.logaddexp(y, x),
    "logaddexp2": lambda y, w, x: torch.logaddexp2(x, y),
    "hypot": lambda y, w, x: torch.hypot(y, x),
    "fmax": lambda y, w, x: torch.fmax(y, x),
    "sgn": lambda y, w, x: torch.sgn(y),
    "polygamma": lambda y, w, x: torch.polygamma(1, y),
    "heaviside": lambda y, w, x: torch.heaviside(y, x),
    "gcd": lambda y, w, x: y * torch.gcd(y.long(), x.long()),
    "rrelu": lambda y, w, x: F.rrelu(y, training=True),
    "constant_pad_nd": lambda y, w, x: torch.constant_pad_nd(y, (1, 1)),
    "normal": lambda y, w, x: torch.normal(y, x),
    "dropout": lambda y, w, x: F.dropout(y, 0.5, training=True),
    "alpha_dropout": lambda y, w, x: F.alpha_dropout(y, 0.5, training=True),
    "dropout3d of one volume": lambda y, w, x: F.dropout3d(y, 0.5, training=True),
    "tanhshrink": lambda y, w, x: F.tanhshrink(y),
    "softsign": lambda y, w, x: F.softsign(y),
    "logsigmoid": lambda y, w, x: F.logsigmoid(y),
    "rms_norm": lambda y, w, x: F.rms_norm(y, y.shape[1:]),
    "index_put": lambda y, w, x: torch.index_put(y, (torch.tensor([0]),), x[:1]),
    "movedim": lambda y, w, x: torch.movedim(y, 1, -1).exp(),
    "movedim of several axes": lambda y, w, x: y.movedim((0, 1), (1, 2)) * x.movedim(0, 1),
    "as_strided": lambda y, w, x: y.as_strided(
        (x.shape[0], 3), (x.shape[1] * x.shape[2] * x.shape[3], 1)
    ).exp(),
    "view_as_complex": lambda y, w, x: torch.view_as_complex(torch.stack([y, x], -1)).exp(),
    "repeat_interleave": lambda y, w, x: y.repeat_interleave(2, 1).exp(),
    "repeat_interleave of all elements": lambda y, w, x: y.repeat_interleave(2).exp(),
    "argsort": lambda y, w, x: y.gather(1, x.mT.argsort(1).mT).exp(),
    "argsort of what has a gradient": lambda y, w, x: y.gather(1, y.mT.argsort(1).mT).exp(),
    "isfinite": lambda y, w, x: y.abs() * torch.isfinite(y + 1),
    "isfinite of whole numbers": lambda y, w, x: y.abs() * torch.isfinite(y.long()),
    "norm": lambda y, w, x: torch.norm(y, dim=1) * torch.norm(y),
    "index_fill in place": lambda y, w, x: y.index_fill_(1, torch.tensor([0]), 0.5).exp(),
    "fractional_max_pool2d and its places": lambda y, w, x: F.fractional_max_pool2d(
        F.pad(y, (1, 1, 1, 1)), 2, output_size=(2, 2), return_indices=True
    )[0],
    "as_tensor": lambda y, w, x: torch.as_tensor(y) * torch.as_tensor(y, dtype=torch.float64),
    "max of two": lambda y, w, x: torch.max(y, x).exp(),
    "kl_div of logarithms": lambda y, w, x: F.kl_div(y, x, reduction="none", log_target=True),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_an_operation_keeps_and_makes_on_the_way_is_what_torch_sees(case: str) -> None:
    agree(KEPT[case], peak=True)


#: Of these python holds what was made on the way as long as the forward runs.
HELD: dict[str, Callable[..., Any]] = {
    "lp_pool2d of a padded map": lambda y, w, x: F.lp_pool2d(F.pad(y, (0, 1, 0, 1)), 3.0, 2, 1),
    "fractional_max_pool2d": lambda y, w, x: F.fractional_max_pool2d(
        F.pad(y, (0, 1, 0, 1)), 2, output_size=(1, 1)
    ),
    "addr": lambda y, w, x: torch.addr(w, w[0], w[1]) + y.sum(),
    "var_mean": lambda y, w, x: sum(torch.var_mean(y, (2, 3))),
    "std_mean": lambda y, w, x: sum(torch.std_mean(y, 1)),
    "aminmax": lambda y, w, x: sum(torch.aminmax(y, dim=1)),
    "take_along_dim": lambda y, w, x: torch.take_along_dim(y, x.long(), 3),
    "channels that a mask picks, written": lambda y, w, x: _written(
        y * 2, torch.tensor([True, False, True]), x[:, :2]
    ),
    "instance_norm": lambda y, w, x: F.instance_norm(F.pad(y, (0, 1)), weight=w[0], bias=w[1]),
    "bilinear": lambda y, w, x: F.bilinear(_pixels(y), _pixels(x), w[None].expand(2, 3, 3)),
    "fill": lambda y, w, x: torch.fill(y, 2.0) * x,
    "zero": lambda y, w, x: (y * 2).zero_() * x,
    "index_fill of a number": lambda y, w, x: y.sum().index_fill(0, torch.tensor([0]), 2.0) * x,
    "index_fill": lambda y, w, x: y.transpose(1, 2).index_fill(2, torch.tensor([0]), 2.0).exp(),
    "tensordot of a map with itself": lambda y, w, x: torch.tensordot(y, y, ([1, 2], [1, 2])),
    "distances of all rows": lambda y, w, x: torch.cdist(_pixels(y), w),
    "slogdet": lambda y, w, x: torch.slogdet(y[:, :, :1, :1].flatten(2) + torch.eye(3))[1],
    "gru_cell": _several(torch.gru_cell, 3),
    "rnn_tanh_cell": _several(torch.rnn_tanh_cell, 1),
}


@pytest.mark.parametrize("case", HELD)
def test_what_an_operation_keeps_is_what_torch_keeps(case: str) -> None:
    agree(HELD[case])


@pytest.mark.parametrize("cell", [nn.GRUCell, nn.LSTMCell, nn.RNNCell])
def test_a_cell_keeps_its_gates(cell: Callable[..., nn.Module]) -> None:
    module = nn.Sequential(nn.Linear(3, 3), cell(3, 4))
    net = symcnn.from_torch(module, "N 3")
    for n in (1, 5):
        x = torch.rand(n, 3)
        theirs = torch_saved(net, module, {"N": n}, inputs=[x.requires_grad_()], input_grad=True)
        assert net.cost(input_grad=True).at(N=n).saved == theirs
        assert net.cost().at(N=n).peak == torch_peak(module, module, [x.detach()])[0]


class Turned(nn.Module):
    """A recurrent layer on a map whose axes are permuted first."""

    def __init__(self, layer: nn.Module, order: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.order = layer, order

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x.permute(self.order))[0]


RECURRENT: list[dict[str, Any]] = [
    {},
    {"batch_first": True},
    {"bidirectional": True},
    {"num_layers": 2},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
]


@pytest.mark.parametrize("settings", RECURRENT, ids=str)
@pytest.mark.parametrize("layer", [nn.GRU, nn.RNN, nn.LSTM])
@pytest.mark.parametrize("wide", [2, 40])
def test_a_recurrent_layer_keeps_and_holds_what_torch_sees(
    layer: Any, settings: dict[str, Any], wide: int
) -> None:
    """What `LSTM` keeps is oneDNN's, and not known."""
    for order, spec in (((2, 0, 1), f"A {wide} B"), ((0, 1, 2), f"A B {wide}")):
        module = Turned(layer(wide, 4, **settings), order)
        net = symcnn.from_torch(module, spec)
        for a, b in ((1, 1), (5, 2), (2, 7), (1, 4)):
            sizes = {"A": a, "B": b}
            x = torch.rand([sizes.get(d) or int(d) for d in spec.split()])
            assert net.cost().at(**sizes).peak == torch_peak(module, module, [x])[0], sizes
            if layer is not nn.LSTM:
                assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes, inputs=[x])


def _stft(signal: torch.Tensor, window: Any, **settings: Any) -> torch.Tensor:
    return torch.stft(signal, 16, 4, window=window, return_complex=True, **settings)


@pytest.mark.parametrize("frozen", ["weight_ih", "weight_hh", "bias", "weight", "l1", "ih_l0"])
@pytest.mark.parametrize("layer", [nn.GRU, nn.RNN])
def test_a_recurrent_layer_keeps_what_gradients_need(layer: Any, frozen: str) -> None:
    module = nn.Sequential(nn.Linear(3, 3), layer(3, 4, num_layers=2, bidirectional=True))
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(frozen not in name)
    net = symcnn.from_torch(module, "A B 3")
    for grad in (False, True):
        x = torch.rand(5, 2, 3).requires_grad_(grad)
        theirs = torch_saved(net, module, {"A": 5, "B": 2}, inputs=[x], input_grad=grad)
        assert net.cost(input_grad=grad).at(A=5, B=2).saved == theirs


SPECTRA: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "of one channel": lambda x, w: _stft(x[:, 0], w),
    "of one channel, not centred": lambda x, w: _stft(x[:, 0], w, center=False),
    "of one channel, with zeros": lambda x, w: _stft(x[:, 0], w, pad_mode="constant"),
    "of every other sample": lambda x, w: _stft(x[:, 0, ::2], w),
    "and back": lambda x, w: torch.istft(_stft(x[:, 0], w), 16, 4, window=w, length=x.shape[-1]),
    "and back, shorter": lambda x, w: torch.istft(_stft(x[:, 0], w), 16, 4, window=w, length=30),
    "and back, longer": lambda x, w: torch.istft(_stft(x[:, 0], w), 16, 4, window=w, length=110),
}


@pytest.mark.parametrize("case", SPECTRA)
def test_a_spectrum_is_that_of_a_signal_wherever_it_lies(case: str) -> None:
    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 3, 1)
            self.window: torch.Tensor
            self.register_buffer("window", torch.hann_window(16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return SPECTRA[case](self.conv(x), self.window)

    module = Spectrum()
    net = symcnn.from_torch(module, "N 3 L")
    for n, length in ((1, 40), (3, 101)):
        sizes = {"N": n, "L": length}
        x = torch.rand(n, 3, length)
        assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes, inputs=[x])


def _causal(length: Any) -> torch.Tensor:
    return torch.zeros(length, length).tril()


HEADS: dict[str, tuple[Callable[[Any, torch.Tensor], Any], dict[str, Any]]] = {
    "with weights": (lambda m, y: m(y, y, y), {}),
    "without weights": (lambda m, y: m(y, y, y, need_weights=False), {}),
    "with the weights of each head": (lambda m, y: m(y, y, y, average_attn_weights=False), {}),
    "of the batch first": (lambda m, y: m(y, y, y), {"batch_first": True}),
    "without biases": (lambda m, y: m(y, y, y), {"bias": False}),
    "of three": (lambda m, y: m(y, y * 2, y * 3), {}),
    "of two": (lambda m, y: m(y, z := y * 2, z), {}),
    "with a mask": (lambda m, y: m(y, y, y, attn_mask=_causal(y.shape[0])), {}),
    "with a mask, without weights": (
        lambda m, y: m(y, y, y, attn_mask=_causal(y.shape[0]), need_weights=False),
        {},
    ),
    "with padding": (lambda m, y: m(y, y, y, key_padding_mask=torch.zeros(y.shape[1::-1])), {}),
    "with padding, without weights": (
        lambda m, y: m(y, y, y, torch.zeros(y.shape[1::-1]), need_weights=False),
        {},
    ),
    "with a mask and padding": (
        lambda m, y: m(y, y, y, torch.zeros(y.shape[1::-1]), attn_mask=_causal(y.shape[0])),
        {},
    ),
    "with padding told by bools": (
        lambda m, y: m(y, y, y, torch.zeros(y.shape[1::-1], dtype=torch.bool)),
        {},
    ),
    "with a mask per head": (
        lambda m, y: m(y, y, y, attn_mask=torch.zeros(2 * y.shape[1], *[y.shape[0]] * 2)),
        {},
    ),
    "of one sample": (lambda m, y: m(*[y[:, 0]] * 3), {}),
    "with dropout": (lambda m, y: m(y, y, y), {"dropout": 0.1}),
    "with dropout, without weights": (
        lambda m, y: m(y, y, y, need_weights=False),
        {"dropout": 0.1},
    ),
    "with a learned key": (
        lambda m, y: m(y, y, y, attn_mask=_causal(y.shape[0])),
        {"add_bias_kv": True},
    ),
    "with a key of zeros": (
        lambda m, y: m(y, y, y, torch.zeros(y.shape[1::-1])),
        {"add_zero_attn": True},
    ),
    "with keys of other features": (
        lambda m, y: m(y, y[..., :6], y[..., 2:]),
        {"kdim": 6, "vdim": 6},
    ),
}


@pytest.mark.parametrize("case", HEADS)
def test_attention_of_several_heads_keeps_and_holds_what_torch_sees(case: str) -> None:
    call, settings = HEADS[case]

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.attention = nn.Linear(8, 8), nn.MultiheadAttention(8, 2, **settings)

        def forward(self, x: torch.Tensor) -> Any:
            return call(self.attention, self.linear(x))[0]

    module = Attends().train("dropout" in settings)
    net = symcnn.from_torch(module, "A B 8")
    for a, b in ((1, 1), (3, 2), (5, 1), (9, 4)):
        sizes, x = {"A": a, "B": b}, torch.rand(a, b, 8)
        assert net.cost().at(**sizes).peak == torch_peak(module, module, [x])[0], sizes
        for grad in (False, True):
            inputs = [x.clone().requires_grad_(grad)]
            theirs = torch_saved(net, module, sizes, inputs=inputs, input_grad=grad)
            assert net.cost(input_grad=grad).at(**sizes).saved == theirs, (sizes, grad)


def test_what_is_kept_by_name_is_an_argument() -> None:
    unknown = {
        (record.name, name)
        for record in OPS.values()
        if isinstance(record, Operation) and isinstance(record.saves, str)
        for name in record.saves.split()
        if name != "output" and name not in inspect.signature(record.rule).parameters
    }
    assert unknown == set()


@pytest.mark.parametrize("order", [2, 1, 0, 0.5, -1, float("inf")])
def test_a_norm_of_any_order_keeps_input_and_result(order: float) -> None:
    agree(lambda y, w, x: torch.linalg.vector_norm(y, order, dim=(1, 2), keepdim=True), peak=True)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_transposed_convolution_of_one_small_volume_is_made_as_large_as_its_input(
    kernel: int, dtype: torch.dtype
) -> None:
    up = nn.ConvTranspose3d(8, 4, kernel, padding=kernel // 2)
    module = nn.Sequential(up, nn.GELU(), nn.Conv3d(4, 1, 1)).to(dtype)
    net = symcnn.from_torch(module, "N 8 3 H W")
    for n, h, w in ((1, 4, 5), (3, 4, 5), (1, 860, 2)):
        sizes = {"N": n, "H": h, "W": w}
        x = torch.rand(n, 8, 3, h, w, dtype=dtype)
        assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes, inputs=[x])


@pytest.mark.parametrize(
    "function",
    [
        lambda y, w, x: torch.renorm(y, 2, 0, 1.0).exp(),
        lambda y, w, x: torch.renorm(w * 2, 1, 1, 0.5) @ w,
        lambda y, w, x: torch.renorm(y.permute(0, 2, 3, 1), 2, -1, 1.0) + y.permute(0, 2, 3, 1),
        lambda y, w, x: (y * 2).renorm_(2, 1, 0.5),
        lambda y, w, x: (y * 2).zero_() + x.exp(),
    ],
)
def test_what_is_renormed_is_kept_and_what_is_zeroed_is_not(function: Callable[..., Any]) -> None:
    """EEGNet's max-norm is a renorm; cost volumes are `x.new().resize_(...).zero_()`."""
    agree(function, peak=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda y, w, x: torch.fft.fft(y).real.reshape(-1).exp(),
        lambda y, w, x: torch.fft.fft(y).imag.contiguous().exp(),
        lambda y, w, x: torch.fft.fft(y).permute(0, 2, 3, 1).real @ torch.fft.fft(w).imag,
        lambda y, w, x: torch.fft.rfft(torch.fft.fft(y).real, n=8).abs(),
        lambda y, w, x: torch.fft.fft(y).clone().real.mul_(x),
    ],
)
def test_a_copy_of_a_part_of_complex_numbers_is_as_wide_as_the_part(
    function: Callable[..., Any],
) -> None:
    """Convolutions by FFT multiply the real and the imaginary parts: each copy is half as wide."""
    agree(function, peak=True)


@pytest.mark.parametrize(
    "view",
    [lambda w: (w * 2).T, lambda w: (w * 2).mT, lambda w: torch.fft.fft(w).real, lambda w: w.H],
)
def test_an_attribute_of_a_weight_that_is_made_anew_is_a_view_of_it(
    view: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """Before, the peak counted what is made and its view."""
    agree(lambda y, w, x: y.permute(0, 2, 3, 1) @ view(w), peak=True)


class Factored(nn.Module):
    """A matrix that is made of a product with itself, its factor or inverse, and what those map."""

    def __init__(self, factor: Any, learned: bool) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(torch.eye(4) + 0.1, requires_grad=learned)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.factor(self.weight @ self.weight.T + torch.eye(4))


def _keeps_what_torch_sees(module: nn.Module, spec: str, **sizes: int) -> None:
    net = symcnn.from_torch(module, spec)
    assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes)


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("factor", [torch.inverse, torch.linalg.inv, torch.linalg.cholesky])
def test_inverses_and_factors_keep_what_they_make(factor: Any, learned: bool) -> None:
    _keeps_what_torch_sees(Factored(factor, learned), "N 3 H 4", N=2, H=5)


def test_where_no_gradient_flows_nothing_is_kept_whatever_the_operation() -> None:
    _keeps_what_torch_sees(Factored(torch.cholesky_inverse, False), "N 3 H 4", N=2, H=5)


MARGINS = {
    "a class": lambda t, **how: F.multi_margin_loss(t, t.argmax(1), **how),
    "with weights": lambda t, **how: F.multi_margin_loss(
        t, t.argmax(1), weight=t[0].detach(), **how
    ),
    "labels": lambda t, **how: F.multilabel_margin_loss(t, t.long(), **how),
}


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("margin", MARGINS.values(), ids=MARGINS)
def test_a_margin_keeps_scores_classes_and_weights(
    margin: Callable[..., Any], reduction: str
) -> None:
    for turned in (False, True):
        agree(
            lambda y, w, x, turned=turned: margin(
                (y[0, :, :, 0].T if turned else y[0, :, 0]) * 0.01 + 0.1, reduction=reduction
            ),
            peak=True,
        )


def test_slopes_are_written_in_differences() -> None:
    module = Then(lambda y, w, x: torch.mul(*torch.gradient(y, spacing=2.0, dim=(2, 3))))
    net = symcnn.from_torch(module, "N 3 H W", example={"N": 2, "H": 3, "W": 4})
    assert str(net.valid_inputs()) == "H >= 2 and W >= 2"
    for n, h, w in ((2, 2, 2), (1, 5, 4)):
        sizes, x = {"N": n, "H": h, "W": w}, torch.rand(n, 3, h, w)
        assert net.shape_at(**sizes) == tuple(module(x).shape)
        assert net.cost().at(**sizes).saved == torch_saved(net, module, sizes, inputs=[x])
        assert net.cost().at(**sizes).peak == torch_peak(module, module, [x])[0]


COMPOSED = {
    "a mean of numbers": lambda y, w, x: y.nanmean(1).exp(),
    "a mean of numbers, all": lambda y, w, x: torch.nanmean(y),
    "an integral": lambda y, w, x: torch.trapz(y.exp(), dim=1),
    "an integral by steps": lambda y, w, x: torch.trapezoid(y, dx=2.0, dim=2).exp(),
    "a logarithm of determinants": lambda y, w, x: torch.logdet(y.mT @ y + torch.eye(y.shape[3])),
    "all pairs": lambda y, w, x: torch.cartesian_prod(y[0, 0, 0], w[0]).exp(),
    "a quantile": lambda y, w, x: torch.quantile(y.exp(), 0.5),
    "a quantile of an axis": lambda y, w, x: torch.quantile(y.exp(), 0.9, dim=2, keepdim=True),
    "a quantile of the last axis": lambda y, w, x: torch.quantile(y, 0.9, dim=3).exp(),
    "covariances": lambda y, w, x: torch.cov(y[0].flatten(1).exp()),
    "covariances of all": lambda y, w, x: torch.cov(y[0, 0], correction=0).exp(),
    "correlations": lambda y, w, x: torch.corrcoef(y[0].flatten(1)).exp(),
    "correlations of rows": lambda y, w, x: torch.corrcoef(y[0, 0]),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_what_torch_writes_in_other_operations_keeps_what_these_keep(name: str) -> None:
    agree(COMPOSED[name], peak=True)


@pytest.mark.parametrize("of", [torch.cov, torch.corrcoef])
def test_how_rows_vary_together_is_torchs(of: Callable[..., torch.Tensor]) -> None:
    def rows(x: torch.Tensor) -> torch.Tensor:
        return of(x[0, 0])

    net = symcnn.from_torch(Function(rows), "N 3 H W")
    for h, w in ((1, 1), (1, 5), (4, 1), (3, 6)):
        assert net.shape_at(N=1, H=h, W=w) == rows(torch.rand(1, 3, h, w)).shape
    with pytest.raises(symcnn.ShapeMismatch, match="cov of 4 axes"):
        symcnn.from_torch(Function(of), "N 3 H W")
