"""TensorFlow's SAME, slices and splits of symbolic tensors, and solving for a layer as typed."""

import json
import math
from typing import Any

import pytest
import sympy
from click.testing import CliRunner

import symcnn
from symcnn import H, N, W, nn
from symcnn.cli import main
from symcnn.errors import BadSpec, ShapeMismatch, UnsupportedOperation


def tensorflow_same(
    size: Any, kernel: Any, stride: Any, dilation: Any = 1
) -> tuple[Any, tuple[Any, Any]]:
    """As ``tf.nn`` documents it: output size, and padding before and after."""
    output = math.ceil(size / stride)
    total = max((output - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return output, (total // 2, total - total // 2)


@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_is_tensorflows_for_every_size(kernel: int, stride: int, dilation: int) -> None:
    layer = nn.Conv1d(3, 8, kernel, stride, padding="SAME", dilation=dilation)
    net = layer.trace("N 3 L")
    assert str(net.output_shape[2]) == str(symcnn.ceildiv(symcnn.L, stride))
    assert str(net.valid_inputs()) == "L >= 1"
    for size in range(1, 25):
        output, (before, _) = tensorflow_same(size, kernel, stride, dilation)
        assert layer(size) == (output,)
        start = (output - 1) * stride - before
        taps = [t for j in range(kernel) if 0 <= (t := start + dilation * j) < size]
        seen = net.receptive_field().at(N=1, L=size).interval(output - 1)
        assert seen == ((taps[0], taps[-1]) if taps else seen)


def test_pools_and_transposed_layers_take_it_too() -> None:
    for layer in (nn.MaxPool2d(3, 2, padding="SAME"), nn.AvgPool2d(3, 2, padding="SAME")):
        assert layer(H, W) == (symcnn.ceildiv(H, 2), symcnn.ceildiv(W, 2))
    for kernel in (1, 2, 3, 4):
        assert nn.ConvTranspose2d(3, 8, kernel, 3, padding="SAME")(H, W) == (3 * H, 3 * W)
    assert nn.Conv2d(3, 8, 3, 2, padding="VALID")(7, 7) == (3, 3)


def test_hyperparameters_of_same_may_be_symbols() -> None:
    k, s = symcnn.symbols("k s")
    (size,) = nn.Conv1d(3, 8, k, s, padding="SAME")("L")
    for x, stride in ((7, 2), (9, 3), (8, 5)):
        assert size.subs({"L": x}).subs({s: stride}).subs({symcnn.L: x}) == math.ceil(x / stride)


def test_torchs_same_keeps_its_rule_and_names_the_other() -> None:
    with pytest.raises(ShapeMismatch, match="SAME"):
        nn.Conv2d(3, 8, 3, stride=2, padding="same")


class Res2Net(nn.Module):
    """Gao et al. 2019: each part of the channels sees what the part before made."""

    def __init__(self, channels: Any, scale: int = 4) -> None:
        self.scale = scale
        width = channels / scale
        self.convs = nn.ModuleList(
            [nn.Conv2d(width, width, 3, padding=1) for _ in range(scale - 1)]
        )

    def forward(self, x: Any) -> Any:
        first, *rest = x.chunk(self.scale, dim=1)
        made = [first]
        for conv, part in zip(self.convs, rest, strict=True):
            made.append(conv(part if len(made) == 1 else part + made[-1]))
        return symcnn.cat(made, dim=1)


def test_res2nets_pattern_with_symbolic_channels() -> None:
    channels = symcnn.multiple("C", of=4)
    net = Res2Net(channels).trace((N, channels, H, W))
    assert net.output_shape == (N, channels, H, W)
    assert net.receptive_field().size == (7, 7)
    assert sympy.sympify(net.params).subs(channels, 64) == 3 * (16 * 16 * 9 + 16)


def test_tensors_have_torchs_operations_as_methods() -> None:
    x = symcnn.tensor("N 8 H W")
    assert x[:, 2:, ..., ::2].shape == (N, 6, H, symcnn.ceildiv(W, 2))
    assert [part.shape[1] for part in x.split([3, 5], 1)] == [3, 5]
    assert x.flatten(2).transpose(1, 2).shape == (N, H * W, 8)
    with pytest.raises(AttributeError, match="no flaten"):
        x.flaten(2)


def test_a_chunk_of_unknown_channels_says_what_to_declare() -> None:
    with pytest.raises(UnsupportedOperation, match=r'symcnn.multiple\("C", of=2\)'):
        symcnn.tensor("N C H W").chunk(2, dim=1)


def test_a_layer_is_solved_for_as_one_would_type_it() -> None:
    assert repr(symcnn.solve_layer(224, 112, kernel_size=3)) == (
        "[Conv2d(kernel_size=3, stride=2, padding=1)]"
    )
    (first, *_) = symcnn.solve_layer("MaxPool2d", 224, 112)
    assert nn.MaxPool2d(**first)(224, 224) == (112, 112)
    transposed = symcnn.solve_layer("ConvTranspose2d", 7, 14, kernel_size=3, stride=2)
    assert {"output_padding": 1, "kernel_size": 3, "stride": 2, "padding": 1} in [
        dict(c) for c in transposed
    ]
    for choice in symcnn.solve_layer((224, 112), (112, 112)):
        assert nn.Conv2d(3, 8, **choice)(224, 112) == (112, 112)
    with pytest.raises(BadSpec, match="two sizes"):
        symcnn.solve_layer(224)


def test_the_command_solves_for_a_layer() -> None:
    result = CliRunner().invoke(main, ["layer", "224", "112", "--with", "kernel_size=3"])
    assert result.output == "Conv2d(kernel_size=3, stride=2, padding=1)\n"
    answer = CliRunner().invoke(main, ["layer", "7", "14", "--layer", "Upsample", "--json"])
    assert json.loads(answer.output) == {"layers": [{"layer": "Upsample", "scale_factor": 2}]}
