"""A map without rows is a case like any other: torch on the CPU says at which sizes a network runs.

Each forward is traced once, and torch runs it at every height from 1 to 12: where torch raises the
size is outside the domain, where it does not the shape is torch's.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import symcnn

from .corpus.forwards import Forward, Function

F: Any = functional
_WIDTH = 5
_conv = nn.Conv2d(3, 4, 3, padding=1)
_wide = nn.Conv2d(3, 4, 3, padding=2)
_point = nn.Conv2d(3, 4, 1)
_up = nn.ConvTranspose2d(3, 4, 2, stride=2)
_batch_norm = nn.BatchNorm2d(3)
_frozen_norm = nn.BatchNorm2d(3).eval()
_linear = nn.Linear(_WIDTH, 4)
_attention = nn.MultiheadAttention(4, 2, batch_first=True)
_lstm = nn.LSTM(15, 4, batch_first=True)


def _parts(x: Tensor) -> Tensor:
    return x[:, :, 3:]


def _rows(x: Tensor) -> Tensor:
    """As a sequence of rows, of which there may be none."""
    return x[:, :, 3:].permute(0, 2, 1, 3).flatten(2)


def _written(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 8:] = 2 * x[:, :, 8:]
    return y


def _joined(x: Tensor) -> Tensor:
    return torch.cat([x, _parts(x)], 2)


FORWARDS: dict[str, Any] = {
    # what makes a map that may be empty
    "slice": _parts,
    "slice from the end": lambda x: x[:, :, -4:-2],
    "slice both ends": lambda x: x[:, :, 2:-2],
    "slice step": lambda x: x[:, :, 3::2],
    "slice until": lambda x: x[:, :, : x.shape[2] - 4],
    "slice half": lambda x: x[:, :, : x.shape[2] // 2],
    "slice both axes": lambda x: x[:, :, 3:, 2:-1],
    "windows of nothing": lambda x: x.unfold(2, x.shape[2] // 4, 2),
    "sums of windows of nothing": lambda x: x.unfold(3, 0, 2).sum(-1),
    "slice nothing": lambda x: x[:, :, :0],
    "narrow": lambda x: x.narrow(2, 0, x.shape[2] // 4),
    "narrow rest": lambda x: x.narrow(2, 3, x.shape[2] - 3),
    "split": lambda x: x.split([4, x.shape[2] - 4], 2)[1],
    "split all": lambda x: x.split([4, x.shape[2] - 4], 2),
    "tensor_split": lambda x: x.tensor_split(3, 2),
    "tensor_split at": lambda x: x.tensor_split([2, 5], 2),
    "chunk": lambda x: _parts(x).chunk(1, 2),
    "diagonal": lambda x: x.diagonal(3, 2, 3),
    "diagonal below": lambda x: x.diagonal(-3, 2, 3),
    "pad crop": lambda x: F.pad(x, (0, 0, -3, 0)),
    "pad crop both": lambda x: F.pad(x, (0, 0, -1, -2)),
    "pad crop and pad": lambda x: F.pad(x, (0, 0, -3, 1)),
    "pad reflect crop of both": lambda x: F.pad(x, (0, -5, -2, 0), mode="reflect"),
    "pad replicate crop of both": lambda x: F.pad(x, (-3, -2, -1, -1), mode="replicate"),
    "pad reflect crop": lambda x: F.pad(x, (0, 0, -2, 0), mode="reflect"),
    "pad replicate crop": lambda x: F.pad(x, (0, 0, -2, 0), mode="replicate"),
    "pad replicate crop and pad": lambda x: F.pad(x, (0, 0, -2, 1), mode="replicate"),
    "pad circular crop": lambda x: F.pad(x, (0, 0, -2, 0), mode="circular"),
    "pad by size": lambda x: F.pad(x, (0, 0, 0, 6 - x.shape[2])),
    "zeros": lambda x: x.new_zeros(2, x.shape[2] - 3),
    "zeros none": lambda x: torch.zeros(2, x.shape[2] // 4),
    "arange": lambda x: torch.arange(x.shape[2] - 3),
    "arange from": lambda x: torch.arange(3, x.shape[2] + 1),
    "arange of middles": lambda x: torch.arange(0.5, x.shape[2] // 4),
    "arange by twos": lambda x: torch.arange(1, x.shape[2] - 3, 2),
    "arange down": lambda x: torch.arange(x.shape[2] - 4, 0.5, -1),
    "arange by a float": lambda x: torch.arange(0.25, x.shape[2] - 3, 1.5),
    "arange down by halves": lambda x: torch.arange(x.shape[2], 3, -0.5),
    "repeat": lambda x: x.repeat(1, 1, x.shape[2] // 3, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(x.shape[2] // 3, 2),
    "expand": lambda x: x[:, :, :1].expand(-1, -1, x.shape[2] // 3, -1),
    "topk": lambda x: x.topk(x.shape[2] // 3, 2)[0],
    "area": lambda x: F.interpolate(x, scale_factor=0.25, mode="area"),
    "nearest": lambda x: F.interpolate(x, scale_factor=0.25),
    "interpolate size": lambda x: F.interpolate(x, size=(x.shape[2] // 3, 4)),
    "interpolate area size": lambda x: F.interpolate(x, size=(x.shape[2] // 3, 4), mode="area"),
    "adaptive size": lambda x: F.adaptive_avg_pool2d(x, (x.shape[2] // 3, 1)),
    "adaptive max size": lambda x: F.adaptive_max_pool2d(x, (x.shape[2] // 3, 2)),
    "diff": lambda x: x.diff(dim=2),
    "diff twice": lambda x: x.diff(3, dim=2),
    # what works point by point, or moves elements about
    "relu": lambda x: _parts(x).relu(),
    "relu in place": lambda x: F.relu(_parts(x.clone()), inplace=True),
    "add": lambda x: _parts(x) + 1,
    "add itself": lambda x: _parts(x) + x[:, :, :-3],
    "add one row": lambda x: _parts(x) + x[:, :, :1],
    "add column": lambda x: _parts(x) * torch.ones(3, 1, 1),
    "add other": lambda x: x[:, :, 3:] + x[:, :, 5:],
    "broadcast short": lambda x: x[:, :, 3:4] + x[:, :, 5:],
    "where": lambda x: torch.where(_parts(x) > 0, _parts(x), 0.0),
    "softmax": lambda x: _parts(x).softmax(2),
    "cumsum": lambda x: _parts(x).cumsum(2),
    "sort": lambda x: _parts(x).sort(2)[0],
    "flip": lambda x: _parts(x).flip(2),
    "roll": lambda x: _parts(x).roll(1, 2),
    "permute": lambda x: _parts(x).permute(0, 2, 3, 1),
    "dropout": lambda x: F.dropout2d(_parts(x)),
    "prelu": lambda x: F.prelu(_parts(x), torch.ones(3)),
    "glu": lambda x: F.glu(x[:, :, 3:, :4], 3),
    "slice again": lambda x: _parts(x)[:, :, ::2],
    "pad up": lambda x: F.pad(_parts(x), (0, 0, 1, 1)),
    "pad sides": lambda x: F.pad(_parts(x), (1, 1)),
    "reflect sides": lambda x: F.pad(_parts(x), (1, 1, 0, 0), mode="reflect"),
    "replicate": lambda x: F.pad(_parts(x), (0, 0, 1, 1), mode="replicate"),
    "circular": lambda x: F.pad(_parts(x), (0, 0, 1, 1), mode="circular"),
    "circular sides": lambda x: F.pad(_parts(x), (1, 1, 0, 0), mode="circular"),
    "channel_shuffle": lambda x: F.channel_shuffle(_parts(x), 3),
    "written": _written,
    # what joins
    "cat": _joined,
    "cat conv": lambda x: _conv(_joined(x)),
    "cat gap": lambda x: _conv(torch.cat([x[:, :, :4], x[:, :, 8:]], 2)),
    "cat of none": lambda x: torch.cat([x[:, :, 5:], x[:, :, 3:]], 2),
    "cat channels": lambda x: torch.cat([_parts(x), _parts(x)], 1),
    "cat reversed": lambda x: torch.cat(x.tensor_split(3, 2)[::-1], 2),
    "stack": lambda x: torch.stack([_parts(x), _parts(x)]),
    # what reduces
    "mean": lambda x: _parts(x).mean(),
    "mean axis": lambda x: _parts(x).mean(2),
    "mean axes": lambda x: _parts(x).mean((2, 3), keepdim=True),
    "mean other axis": lambda x: _parts(x).mean(3),
    "sum": lambda x: _parts(x).sum(2),
    "sum of several": lambda x: x.sum((2, 3)) + _parts(x).sum((2, 3)),
    "prod": lambda x: _parts(x).prod(2),
    "std": lambda x: _parts(x).std(2),
    "amax": lambda x: _parts(x).amax(2),
    "amax other axis": lambda x: _parts(x).amax(3),
    "amax all": lambda x: _parts(x).amax(),
    "max": lambda x: _parts(x).max(2)[0],
    "max other axis": lambda x: _parts(x).max(3)[0],
    "max all": lambda x: _parts(x).max(),
    "argmax": lambda x: _parts(x).argmax(2),
    "argmax all": lambda x: _parts(x).argmax(),
    "median": lambda x: _parts(x).median(2)[0],
    "median all": lambda x: _parts(x).median(),
    "mode": lambda x: _parts(x).mode(2)[0],
    "aminmax": lambda x: _parts(x).aminmax(dim=2)[0],
    "aminmax other axis": lambda x: _parts(x).aminmax(dim=3)[0],
    "quantile": lambda x: _parts(x).quantile(0.5, 3),
    "kthvalue": lambda x: _parts(x).kthvalue(2, 2)[0],
    "kthvalue other axis": lambda x: _parts(x).kthvalue(1, 3)[0],
    "topk of none": lambda x: _parts(x).topk(1, 2)[0],
    "norm": lambda x: _parts(x).norm(),
    "norm infinite": lambda x: torch.linalg.vector_norm(_parts(x), float("inf"), dim=2),
    "normalize": lambda x: F.normalize(_parts(x), dim=2),
    "cosine": lambda x: F.cosine_similarity(_parts(x), _parts(x), dim=2),
    "logsumexp": lambda x: _parts(x).logsumexp(2),
    "all": lambda x: (_parts(x) > 0).all(),
    # layers
    "conv": lambda x: _conv(_parts(x)),
    "conv wide": lambda x: _wide(_parts(x)),
    "conv point": lambda x: _point(_parts(x)),
    "conv of a mean": lambda x: _point(_parts(x).mean(2, keepdim=True)),
    "conv of relu": lambda x: _wide(_parts(x).relu() + 1),
    "conv of crop": lambda x: _wide(F.pad(x, (0, 0, -3, 0))),
    "conv of batch": lambda x: _conv(x[: x.shape[2] // 3]),
    "conv1d": lambda x: F.conv1d(x[:, :, 3:, 0], torch.zeros(4, 3, 3), padding=2),
    "conv3d": lambda x: F.conv3d(_parts(x)[..., None], torch.zeros(4, 3, 1, 1, 1)),
    "conv_transpose": lambda x: _up(_parts(x)),
    "conv_transpose large": lambda x: F.conv_transpose2d(_parts(x), torch.zeros(3, 4, 4, 4)),
    "max_pool": lambda x: F.max_pool2d(_parts(x), 2, 1, 1),
    "max_pool of batch": lambda x: F.max_pool2d(x[: x.shape[2] // 3], 2, 1, 1),
    "max_pool1d": lambda x: F.max_pool1d(x[:, :, 3:, 0], 2, 1, 1),
    "avg_pool": lambda x: F.avg_pool2d(_parts(x), 2, 1, 1),
    "avg_pool ceil": lambda x: F.avg_pool2d(_parts(x), 2, ceil_mode=True),
    "lp_pool": lambda x: F.lp_pool2d(_parts(x), 2, 1),
    "adaptive_avg_pool 1": lambda x: F.adaptive_avg_pool2d(_parts(x), 1),
    "adaptive_avg_pool 2": lambda x: F.adaptive_avg_pool2d(_parts(x), 2),
    "adaptive_avg_pool none": lambda x: F.adaptive_avg_pool2d(_parts(x), (None, 1)),
    "adaptive_avg_pool1d 1": lambda x: F.adaptive_avg_pool1d(x[:, :, 3:, 0], 1),
    "adaptive_avg_pool of batch": lambda x: F.adaptive_avg_pool2d(x[: x.shape[2] // 3], 2),
    "adaptive_avg_pool of channels": lambda x: F.adaptive_avg_pool2d(x[:, : x.shape[2] // 3], 2),
    "adaptive_max_pool": lambda x: F.adaptive_max_pool2d(_parts(x), 1),
    "upsample": lambda x: F.interpolate(_parts(x), scale_factor=2),
    "upsample bilinear": lambda x: F.interpolate(_parts(x), size=(4, 4), mode="bilinear"),
    "upsample area": lambda x: F.interpolate(_parts(x), size=(4, 4), mode="area"),
    "upsample area of channels": lambda x: F.interpolate(
        x[:, : x.shape[2] // 3], size=(4, 4), mode="area"
    ),
    "upsample of channels": lambda x: F.interpolate(x[:, : x.shape[2] // 3], size=(4, 4)),
    "batch_norm": lambda x: _batch_norm(_parts(x)),
    "batch_norm frozen": lambda x: _frozen_norm(_parts(x)),
    "batch_norm of one": lambda x: _batch_norm(x[:1, :, 3:, :1]),
    "instance_norm": lambda x: F.instance_norm(_parts(x)),
    "instance_norm of one": lambda x: F.instance_norm(x[:, :, 3:, :1]),
    "group_norm": lambda x: F.group_norm(_parts(x), 3),
    "group_norm of one": lambda x: F.group_norm(x[:1, :, 3:, :1], 3),
    "layer_norm": lambda x: F.layer_norm(_parts(x), (_WIDTH,)),
    "layer_norm of all": lambda x: F.layer_norm(_parts(x), tuple(_parts(x).shape[2:])),
    "rms_norm": lambda x: F.rms_norm(_parts(x), (_WIDTH,)),
    "local_response_norm": lambda x: F.local_response_norm(_parts(x), 3),
    "no channels": lambda x: F.conv2d(x[:, :0], torch.zeros(4, 0, 3, 3)),
    "no channels made": lambda x: F.conv2d(x, torch.zeros(0, 3, 3, 3)),
    "no channels made of sizes": lambda x: F.conv2d(x, x.new_zeros(x.shape[2] // 5, 3, 1, 1)),
    "no channels scattered": lambda x: F.conv_transpose2d(x, x.new_zeros(3, x.shape[2] // 5, 1, 1)),
    "no channels scattered of none": lambda x: F.conv_transpose2d(x, torch.zeros(3, 0, 3, 3)),
    "linear": lambda x: _linear(_parts(x)),
    "linear of rows": lambda x: _rows(x) @ torch.zeros(15, 4),
    "matmul over none": lambda x: _parts(x).transpose(2, 3) @ _parts(x),
    "attention": lambda x: _attention(*[x[:, 0, 3:, :4]] * 3)[0],
    "scaled_dot_product": lambda x: F.scaled_dot_product_attention(*[_parts(x)] * 3),
    "lstm": lambda x: _lstm(_rows(x))[0],
    "flatten": lambda x: _parts(x).flatten(1),
    "flatten linear": lambda x: F.linear(_parts(x).flatten(1), torch.zeros(4, 30)),
    "view": lambda x: _parts(x).reshape(2, -1),
    "view rows": lambda x: _parts(x).reshape(-1, _WIDTH),
    "view by none": lambda x: _parts(x).reshape(-1, x.shape[2] - 3),
    "view of sizes": lambda x: _parts(x).reshape(2, _parts(x).shape[2], -1),
    "view half": lambda x: _parts(x).reshape(2, 3, 2, -1, _WIDTH),
    "unfold": lambda x: F.unfold(_parts(x), 1),
    "unfold wide": lambda x: F.unfold(_parts(x), 3, padding=2),
    "Tensor.unfold": lambda x: _parts(x).unfold(2, 2, 1),
    "Tensor.unfold sides": lambda x: _parts(x).unfold(3, 2, 1),
    "fold": lambda x: F.fold(x[:, 0].repeat(1, 1, 1)[:, :4].transpose(1, 2)[:, :4], (3, 3), 2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x[:, :1, 3:].repeat(1, 4, 1, 1), 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x[:, :, 3:, :4], 2),
    "grid_sample": lambda x: F.grid_sample(_parts(x), torch.zeros(2, 3, 3, 2)),
    "grid_sample nowhere": lambda x: F.grid_sample(x, _parts(x)[:, 0, :, None, :2]),
    "embedding": lambda x: F.embedding(x[:, 0, 3:, 0].long(), torch.zeros(4, 6)),
    "fft": lambda x: torch.fft.fft(_parts(x), dim=2),
    "gather": lambda x: _parts(x).gather(2, torch.zeros(2, 3, 1, 5, dtype=torch.int64)),
    "index_select": lambda x: _parts(x).index_select(3, torch.tensor([0, 2])),
    "index none": lambda x: x.index_select(2, torch.arange(x.shape[2] // 3)),
    "mse_loss": lambda x: F.mse_loss(_parts(x), _parts(x)),
    "l1_loss": lambda x: F.l1_loss(_parts(x), _parts(x)),
    "one_hot": lambda x: F.one_hot(x[:, 0, 3:, 0].long(), 3),
    "select": lambda x: _parts(x)[:, :, 0],
    "unbind": lambda x: torch.stack(_parts(x).unbind(1)),
    "einsum": lambda x: torch.einsum("nchw,nchv->nwv", _parts(x), _parts(x)),
    "size of it": lambda x: F.pad(x, (0, 0, 0, _parts(x).shape[2])),
    "branch on it": lambda x: _conv(_parts(x)) if _parts(x).numel() else _conv(x),
}


def _shapes(result: Any) -> Any:
    return [*map(_shapes, result)] if isinstance(result, (tuple, list)) else tuple(result.shape)


def _by_torch(forward: Any, height: int) -> Any:
    try:
        return _shapes(forward(torch.zeros(2, 3, height, _WIDTH)))
    except (RuntimeError, IndexError, ValueError):
        return None


def _by_us(net: Any, height: int) -> Any:
    values = dict(zip(net.valid_inputs().names, (height,), strict=False))
    inside = height in net.valid_inputs() if values else bool(net.valid_inputs())
    try:
        shape = net.shape_at(H=height)
    except symcnn.errors.InvalidInput:
        assert not inside
        return None
    assert inside
    return _plain(shape)


def _plain(shape: Any) -> Any:
    if shape and isinstance(shape[0], tuple):
        return [*map(_plain, shape)]
    return tuple(map(int, shape))


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.filterwarnings("ignore")
def test_a_size_is_valid_where_torch_runs_and_the_shape_is_torchs(name: str) -> None:
    forward = FORWARDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = {h: _by_torch(forward, h) for h in range(1, 13)}
        try:
            net = symcnn.from_torch(Forward(lambda self, x: forward(x)), f"2 3 H {_WIDTH}")
        except symcnn.errors.NoSolution:
            pytest.fail("refused")
        except symcnn.errors.ShapeMismatch:
            assert not any(wanted.values())
            return
    assert {h: _by_us(net, h) for h in wanted} == wanted


def _cropped() -> Any:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    return symcnn.from_torch(Forward(lambda self, x: self.body(x)[:, :, 3:], body=body), "N 3 H W")


def test_the_size_of_a_map_that_may_be_empty_is_no_less_than_0() -> None:
    net = _cropped()
    assert str(net.output_shape) == "(N, 4, Max(0, H - 3), W)"
    assert str(net.nodes[1].outputs[0].dims[2]) == "max(H - 3, 0)"
    assert net.prove()


def test_a_size_that_a_layer_requires_is_printed_without_the_empty_map() -> None:
    net = symcnn.from_torch(Forward(lambda self, x: _conv(x[:, :, 3:-3])), "N 3 H W")
    assert str(net.output_shape) == "(N, 4, H - 6, W)"
    assert str(net.valid_inputs()) == "H >= 7 and W >= 1"


def test_the_field_of_an_output_is_that_of_a_slice_that_is_not_empty() -> None:
    rf = _cropped().receptive_field()
    assert rf.padding == ((-2, 1), (1, 1))
    assert str(rf.interval("i")) == "(i + 2, i + 4)"


def test_an_output_without_rows_has_no_field() -> None:
    at = _cropped().receptive_field().at(H=2, W=5)
    assert str(at) == "at H=2, N=1, W=5: the output is empty, nothing is seen"
    with pytest.raises(symcnn.InvalidInput, match="the output is empty there"):
        at.interval(0)


def test_an_empty_output_can_be_asked_for() -> None:
    net = _cropped()
    assert str(net.solve(output=(0, 5))) == "1 <= H <= 3 and W == 5"
    assert net.valid_inputs().nearest(2, 2) == (2, 2)


def test_work_on_an_empty_map_is_none() -> None:
    net = symcnn.from_torch(Forward(lambda self, x: _linear(x[:, :, 3:])), "1 3 H 5")
    assert [net.cost().at(H=h).total for h in (1, 3, 4)] == [0, 0, 3 * 5 * 4]


def test_the_tensors_that_an_empty_map_leaves_take_no_memory() -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    module = Forward(lambda self, x: self.body(x)[:, :, 3:].relu(), body=body)
    net = symcnn.from_torch(module, "1 3 H 5")
    image, rows = 4 * 3 * 5, 4 * 4 * 5  # bytes per row of the input, and of what relu makes
    found = [net.cost().at(H=h).saved for h in (1, 3, 4)]
    assert found == [image, 3 * image, 4 * image + rows]


def test_numbers_for_sizes_make_an_empty_map() -> None:
    assert str(_cropped().given(H=2).output_shape) == "(N, 4, 0, W)"
    assert str(_cropped().given(H=9).output_shape) == "(N, 4, 6, W)"
    wide = symcnn.from_torch(Forward(lambda self, x: _wide(x[:, :, 3:])), "N 3 H W")
    with pytest.raises(symcnn.InvalidInput, match="the input must have elements"):
        wide.given(H=3)


def test_torch_validates_an_empty_map() -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    module = Forward(lambda self, x: self.body(x)[:, :, 3:], body=body)
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.validate(module, device="cpu")  # at H=1 too, a border of the domain


def test_functions_by_hand_say_the_same() -> None:
    x = symcnn.tensor("N 3 H W")
    net = symcnn.Network(inputs=x, outputs=x[:, :, 3:].relu())
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"
    assert net.shape_at(N=1, H=2, W=5) == (1, 3, 0, 5)
    net = symcnn.Network(inputs=x, outputs=symcnn.nn.Conv2d(3, 4, 3, padding=2)(x[:, :, 3:]))
    assert str(net.valid_inputs()) == "H >= 4 and W >= 1"


def test_a_rule_of_a_user_requires_elements_unless_it_says_that_it_takes_none() -> None:
    from symcnn.trace.graph import Result

    for empty, domain in ((False, "H >= 4"), (True, "H >= 1")):
        name = f"kept{empty}"
        kept = symcnn.rule(name, empty=empty)(lambda input: Result((input.dims,)))
        x = symcnn.tensor("1 3 H 5")
        net = symcnn.Network(inputs=x, outputs=kept(x[:, :, 3:]))
        assert str(net.valid_inputs()) == domain


def test_a_pool_to_no_places_reads_nothing_and_is_no_plain_pool() -> None:
    net = symcnn.from_torch(
        Function(lambda x: functional.adaptive_avg_pool2d(x, (0, 3))), "N 3 H W"
    )
    assert "nothing is seen" in str(net.receptive_field().at(H=9, W=9))
    with pytest.raises(symcnn.NoSolution, match="makes no places"):
        net.plain_pools()
