"""Hyperparameters solved for: every answer works in torch, and none is missing."""

import itertools
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import symcnn
from symcnn import BadSpec, H, NoSolution


def out(layer: Any, size: Any) -> Any:
    try:
        return layer(torch.empty(1, 1, size, device="meta")).shape[2]
    except RuntimeError:
        return None


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from(["Conv1d", "MaxPool1d", "AvgPool1d"])
)
def test_all_windows_are_found(x: int, y: int, name: str) -> None:
    ranges: dict[str, Any] = {
        "kernel_size": range(1, 6),
        "stride": range(1, 5),
        "padding": range(4),
    }
    if name != "AvgPool1d":
        ranges["dilation"] = range(1, 3)
    if name != "Conv1d":
        ranges["ceil_mode"] = [False, True]
    truth = set()
    for values in itertools.product(*ranges.values()):
        kwargs = dict(zip(ranges, values, strict=True))
        if kwargs["kernel_size"] == 1 and kwargs.get("dilation", 1) > 1:
            continue  # the same layer again
        channels = (1, 1) if name == "Conv1d" else ()
        with torch.device("meta"):
            layer = getattr(nn, name)(*channels, **kwargs)
        if out(layer, x) == y:
            truth.add(tuple(sorted(kwargs.items())))
    try:
        found = symcnn.solve_layer(name, input=x, output=y, **ranges)
    except NoSolution:
        assert not truth
        return
    defaults = {"padding": 0, "dilation": 1, "ceil_mode": False, "stride": 1}
    ours = set()
    for choice in found:
        full = {k: choice.values.get(k, defaults.get(k)) for k in ranges}
        if "stride" not in choice.values and name != "Conv1d":
            full["stride"] = choice["kernel_size"]
        ours.add(tuple(sorted(full.items())))
    assert ours == truth
    assert len(found) == len(truth)


@given(st.integers(1, 20), st.integers(1, 40))
def test_all_transposed_convolutions_are_found(x: int, y: int) -> None:
    ranges: dict[str, Any] = {
        "kernel_size": range(1, 5),
        "stride": range(1, 4),
        "padding": range(3),
    }
    ranges["output_padding"] = range(3)
    truth = 0
    for k, s, p, o in itertools.product(*ranges.values()):
        if o >= s:  # torch's kernels refuse it, the meta device does not
            continue
        with torch.device("meta"):
            layer = nn.ConvTranspose1d(1, 1, k, s, p, o)
        truth += out(layer, x) == y
    try:
        found = symcnn.solve_layer(nn.ConvTranspose1d, input=x, output=y, **ranges)
    except NoSolution:
        found = []
    assert len(found) == truth
    for choice in found:
        assert out(nn.ConvTranspose1d(1, 1, **choice, device="meta"), x) == y


def test_224_to_56_simplest_first() -> None:
    found = symcnn.solve_layer(nn.Conv2d, input=224, output=56, kernel_size=range(1, 12))
    assert str(found[0]) == "kernel_size=1, stride=4"
    assert {"kernel_size": 7, "stride": 4, "padding": 2} in [c.values for c in found]
    assert {"kernel_size": 4, "stride": 4} in [c.values for c in found]
    for choice in found:
        layer = nn.Conv2d(1, 1, **choice, device="meta")
        assert layer(torch.empty(1, 1, 224, 224, device="meta")).shape[2:] == (56, 56)


def test_for_every_size() -> None:
    halves = symcnn.solve_layer("Conv2d", input=H, output=(H + 1) // 2, kernel_size=[3, 5, 7])
    assert [str(c) for c in halves] == [
        "kernel_size=3, stride=2, padding=1",
        "kernel_size=5, stride=2, padding=2",
        "kernel_size=7, stride=2, padding=3",
    ]
    keeps = symcnn.solve_layer("Conv2d", input=H, output=H, kernel_size=range(1, 6))
    assert [c.values for c in keeps] == [
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 5, "padding": 2},
    ]


def test_axes_together_and_several_pairs() -> None:
    found = symcnn.solve_layer("MaxPool2d", input=(224, 112), output=(112, 56), stride=2)
    assert {"kernel_size": 2} in [c.values for c in found]


def test_pooling_and_upsampling() -> None:
    assert symcnn.solve_layer("Upsample", input=H, output=2 * H)[0].values == {"scale_factor": 2}
    assert symcnn.solve_layer("MaxPool2d", input=112, output=56)[0].values == {"kernel_size": 2}


@pytest.mark.parametrize(
    "wishes",
    [
        {"kernel_size": range(4, 4)},
        {"kernel_size": 0},
        {"kernel_size": 2.5},
        {"kernal_size": 3},
        {"padding": -1},
        {"input": 0},
        {"input": (5, 5)},
        {"input": "224 x"},
    ],
    ids=str,
)
def test_hyperparameters_of_no_use(wishes: dict[str, Any]) -> None:
    with pytest.raises(BadSpec):
        symcnn.solve_layer("Conv2d", **{"input": 224, "output": 56, **wishes})


def test_unknown_layers_and_no_solution() -> None:
    with pytest.raises(BadSpec, match="not a layer that can be solved for"):
        symcnn.solve_layer(nn.Linear, input=224, output=56)
    with pytest.raises(NoSolution):
        symcnn.solve_layer("Conv2d", input=10, output=100)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(1, 60))
def test_same_padding_gives_the_size_over_the_stride_rounded_up(
    k: int, s: int, d: int, x: int
) -> None:
    left, right = symcnn.same_padding(k, stride=s, dilation=d)
    with torch.device("meta"):
        layer = nn.Sequential(nn.ZeroPad1d((left, right)), nn.Conv1d(1, 1, k, s, dilation=d))
    assert out(layer, x) == -(-x // s)


@given(
    st.integers(1, 5), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3), st.integers(1, 40)
)
def test_a_transposed_convolution_gives_back_the_size(
    k: int, s: int, p: int, d: int, x: int
) -> None:
    found = symcnn.inverse_of(k, stride=s, padding=p, dilation=d)
    small = out(nn.Conv1d(1, 1, k, s, p, d, device="meta"), x)
    right = [extra for extra, members in found.items() if x in members]
    if small is None:
        assert not right
        return
    (extra,) = right
    back = nn.ConvTranspose1d(1, 1, k, s, p, extra, dilation=d, device="meta")
    assert out(back, small) == x


def test_with_stride_1_one_output_padding_is_right_for_every_size() -> None:
    assert str(symcnn.inverse_of(3, padding=1)) == "{0: H >= 1}"


@given(st.integers(1, 400), st.integers(2, 6), st.none() | st.integers(1, 9))
def test_dilations_reach_the_field_without_gaps_in_the_fewest_layers(
    field: int, k: int, most: Any
) -> None:
    found = symcnn.dilations_for(field, k, most=most)
    seen_at_last = 1 + (k - 1) * sum(found)
    assert field <= seen_at_last < field + k - 1
    seen = {0}
    for d in found:
        seen = {x + d * j for x in seen for j in range(k)}
    assert seen == set(range(seen_at_last))
    assert most is None or all(d <= most for d in found)
    reach = 1  # what one layer fewer could reach at most
    for _ in found[:-1]:
        reach += (k - 1) * min(reach, most or reach)
    assert not found or reach < field


def test_dilations_of_no_use() -> None:
    with pytest.raises(BadSpec):
        symcnn.dilations_for(0)
    with pytest.raises(NoSolution):
        symcnn.dilations_for(5, kernel_size=1)


# the cheapest stack


def pixels_seen(layers: Any) -> tuple[Any, Any]:
    """The pixels that output 0 reads and how far outputs are apart, by walking back."""
    seen, step = {0}, 1
    for k, s, d in reversed(layers):
        seen = {s * i + d * j for i in seen for j in range(k)}
        step *= s
    return seen, step


def macs(layers: Any, axes: Any) -> Any:
    """Per input pixel and pair of channels, counted at a size that all strides divide."""
    size = whole = 2 ** len(layers)
    total = 0
    for k, s, _ in layers:
        size = Fraction(size, s)
        total += k**axes * size**axes
    return Fraction(total) / whole**axes


@given(
    st.integers(1, 14),
    st.sets(st.integers(1, 4), min_size=1, max_size=2),
    st.sets(st.integers(1, 2), min_size=1),
    st.sets(st.integers(1, 3), min_size=1, max_size=2),
    st.integers(1, 4),
    st.none() | st.integers(1, 8),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_stack_of_a_few_layers_is_cheaper(
    field: int, ks: Any, ss: Any, ds: Any, depth: int, stride: Any, axes: int, dense: bool
) -> None:
    best = None
    layers = [*product(sorted(ks), sorted(ss), sorted(ds))]
    for count in range(depth + 1):
        for stack in product(layers, repeat=count):
            seen, step = pixels_seen(stack)
            whole = seen == set(range(len(seen))) and step <= len(seen)
            if (
                max(seen) + 1 >= field
                and step <= min(stride or field, field)
                and (whole or not dense)
            ):
                best = min(best or (macs(stack, axes),), (macs(stack, axes),))
    options = {"stride": [*ss], "dilation": [*ds], "effective_stride": stride, "depth": depth}
    try:
        found = symcnn.stack_for(field, [*ks], **options, axes=axes, dense=dense)
    except NoSolution:
        assert best is None
        return
    assert best == (found.cost,) == (macs(found.layers, axes),)
    seen, step = pixels_seen(found.layers)
    assert (max(seen) + 1, step) == (found.receptive_field, found.effective_stride)
    assert found.receptive_field >= field


@given(st.integers(1, 120), st.sampled_from([2, 3, 5]), st.integers(1, 9))
def test_with_stride_1_and_one_kernel_the_dilations_are_as_few(
    field: int, k: int, most: int
) -> None:
    stack = symcnn.stack_for(field, k, dilation=range(1, most + 1))
    alone = symcnn.dilations_for(field, k, most=most)
    assert stack.depth == len(alone)
    assert stack.receptive_field == 1 + (k - 1) * sum(alone)


def test_a_stack_is_layers_for_torch() -> None:
    stack = symcnn.stack_for(40, [3, 5, 7], stride=[1, 2], effective_stride=8)
    module = torch.nn.Sequential(*(torch.nn.Conv2d(4, 4, **layer) for layer in stack))
    field = symcnn.from_torch(module, "N 4 H W").receptive_field()
    assert field.size == (stack.receptive_field,) * 2
    assert field.stride == (stack.effective_stride,) * 2
    assert stack.depth == len(stack) == len(stack[:]) == len(module)


def test_where_strides_cost_less_than_depth() -> None:
    assert symcnn.stack_for(224).depth == 112
    strided = symcnn.stack_for(224, stride=[1, 2], effective_stride=32)
    assert (strided.depth, strided.effective_stride, strided.receptive_field) == (8, 32, 255)
    assert strided.cost < 4


@pytest.mark.parametrize(
    "wishes",
    [
        {"kernel_size": []},
        {"stride": 0},
        {"dilation": "2"},
        {"depth": 0},
        {"axes": 4},
        {"effective_stride": 0},
    ],
)
def test_stacks_of_no_use(wishes: dict[str, Any]) -> None:
    with pytest.raises(BadSpec):
        symcnn.stack_for(9, **wishes)


def test_fields_that_no_stack_has() -> None:
    with pytest.raises(NoSolution, match="in 2 layers"):
        symcnn.stack_for(9, depth=2)
    with pytest.raises(NoSolution, match="sees 9 pixels"):
        symcnn.stack_for(9, 1)


def test_sizes_of_a_layer_are_taken_as_text() -> None:
    assert symcnn.solve_layer("H", "H//2", limit=1) == symcnn.solve_layer(H, H // 2, limit=1)
    assert (
        symcnn.solve_layer("MaxPool2d", "224", "112", limit=1)
        == symcnn.solve_layer("MaxPool2d", 224, 112)[:1]
    )


def test_what_only_a_transposed_layer_does_is_named() -> None:
    with pytest.raises(NoSolution) as refused:
        symcnn.solve_layer(112, 224)
    assert 'solve_layer("ConvTranspose2d", 112, 224)' in refused.value.cure
    with pytest.raises(BadSpec) as bad:
        symcnn.solve_layer(112, 224, transposed=True)
    assert 'solve_layer("ConvTranspose2d", 112, 224)' in bad.value.cure
