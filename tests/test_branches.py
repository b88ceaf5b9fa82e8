"""Branches of python code that make no difference are no condition; all others stay one."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import symcnn


def trace(forward: Callable[..., Any], *specs: Any, **options: Any) -> symcnn.Network:
    class Model(torch.nn.Module):
        def forward(self, *inputs: Any) -> torch.Tensor:
            return forward(*inputs)

    return symcnn.from_torch(Model(), *specs, **options)


def test_a_flag_that_an_operation_takes_and_no_shape_depends_on() -> None:
    net = trace(
        lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=q.shape[-2] > 1), "N 4 L 8"
    )
    assert net.guards == ()
    assert str(net.valid_inputs()) == "L >= 1"


def test_a_branch_that_only_warns() -> None:
    with pytest.warns(UserWarning, match="num_features"):
        net = symcnn.from_torch(torch.nn.InstanceNorm1d(4, affine=False), "N C L")
    assert not any("C" in g.requirement.symbols for g in net.guards)
    assert net.shape_at(N=1, C=7, L=5) == (1, 7, 5)


def test_a_branch_that_makes_another_node_stays() -> None:
    net = trace(lambda x: F.pad(x, (0, 1)) if x.shape[-1] % 2 else x, "N 3 L")
    assert [str(b.where) for b in net.branches] == [
        "L % 2 == 0 and L >= 2",
        "L % 2 == 1 and L >= 1",
    ]


def test_a_branch_that_returns_something_else_stays() -> None:
    net = trace(lambda x, y: x if x.shape[-1] > 5 else y, "N L", "N L")
    assert [str(g.requirement) for g in net.guards] == ["L >= 6"]


def test_a_branch_that_returns_another_number_stays() -> None:
    net = trace(lambda x: (x, 1 if x.shape[-1] > 5 else 2), "N L")
    assert len(net.guards) == 1


def test_two_idle_branches_that_matter_together_stay() -> None:
    """Neither alone makes a difference, both do: every size has a run that describes it."""

    def forward(x: Any) -> Any:
        short, tiny = x.shape[-1] < 100, x.shape[-1] < 9
        return F.pad(x, (0, 1)) if short + tiny == 2 else x

    net = trace(forward, "N L", example={"L": 200})
    assert len(net.branches) == 2
    for length in (5, 8, 9, 50, 99, 100, 150):
        assert net.shape_at(N=1, L=length) == (1, length + (length < 9))


def test_one_of_two_swapped_inputs_is_not_the_other() -> None:
    net = trace(lambda x, y: x - y if x.shape[-1] > 5 else y - x, "N L", "N L")
    assert len(net.guards) == 1


def test_python_code_that_needs_a_number_still_fixes_the_size() -> None:
    net = trace(lambda x: x * len([*range(x.shape[-1])]), "N L", example={"L": 7})
    assert net.valid_inputs().words() == "L == 7"


def test_a_contiguous_more_or_less_makes_no_difference() -> None:
    """As diffusers' upsampling does for large batches and images."""

    def forward(x: Any) -> Any:
        for _ in range(2):
            if x.shape[0] >= 64:
                x = x.contiguous()
            if x.numel() * 2 > 2**31:
                x = x.contiguous()
            x = F.interpolate(x, scale_factor=2.0)
        return x

    net = trace(forward, "N 8 H W")
    assert net.guards == ()
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"
    assert [node.op for node in net.nodes] == ["interpolate"] * 2


def test_a_contiguous_tensor_is_not_another_one() -> None:
    def forward(x: Any, y: Any) -> Any:
        return (x if x.shape[-1] > 5 else y).contiguous()

    assert len(trace(forward, "N L", "N L").guards) == 1


@settings(max_examples=25)
@given(st.lists(st.sampled_from("idle pad crop both nested".split()), min_size=1, max_size=4))
def test_whatever_branches_there_are_valid_sizes_have_torchs_shape(kinds: list[str]) -> None:
    def forward(x: Any) -> Any:
        before = x.shape[-1]
        for limit, kind in enumerate(kinds, 3):
            long = x.shape[-1] > 2 * limit
            if kind == "pad" and long:
                x = F.pad(x, (0, 1))
            elif kind == "crop":
                x = x[..., 1:] if before % limit == 0 else x
            elif kind == "both":
                x = F.pad(x, (1, 0)) if long and before > 20 else x.contiguous()
            elif kind == "nested" and long and before % 2:
                x = x.contiguous() if before > 3 * limit else F.pad(x, (2, 0))
            x = F.relu(x)
        return x

    net = trace(forward, "N L", example={"L": 12})
    for length in range(1, 40):
        try:
            shape = forward(torch.zeros(1, length)).shape
        except (RuntimeError, ValueError):
            shape = None
        if 0 in (shape or ()):
            shape = None  # an empty map is no valid one
        assert (length in net.valid_inputs()) == (shape is not None)
        if shape is not None:
            assert net.shape_at(N=1, L=length) == shape


def test_two_sizes_compared_at_once_leave_out_only_what_equals_both() -> None:
    """As vision transformers do that resize their position embedding only where they must."""

    def forward(x: Any) -> Any:
        height, width = x.shape[-2:]
        if (height, width) != (48, 32):
            x = F.interpolate(x, size=(48, 32))
        return x

    net = trace(forward, "N 3 H W")
    resized, alone = (branch.where for branch in net.branches)
    assert all(size in resized for size in ((48, 31), (47, 32), (1, 1), (48, 500)))
    assert [*alone] == [(48, 32)]


def test_the_other_side_of_a_branch_counts_as_far_as_it_is_the_same() -> None:
    def forward(x: Any) -> Any:
        if x.shape[-1] > 10 and x.shape[-2] > 20:
            return F.pad(x, (0, 1))
        return x

    net = trace(forward, "N H W", example={"H": 5, "W": 5})
    alone, padded = (branch.where for branch in net.branches)
    assert all(size in alone for size in ((5, 5), (5, 50), (50, 5), (20, 11)))
    assert (21, 11) in padded


def test_a_condition_that_divides_by_a_size_leaves_out_the_sizes_where_that_is_0() -> None:
    """Counterexample, branching:926 of seed 18: a stride that is 0, then a question of the map."""

    class Strided(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(x, 1, stride=x.shape[3] % 4)
            return F.pad(x, (0, 1)) + 1 if x.shape[2] > 5 else x[..., :1]

    net = symcnn.from_torch(Strided(), "N 3 H W")
    assert (9, 4) not in net.valid_inputs()
    assert net.shape_at(N=1, H=9, W=6) == (1, 3, 5, 1)
    assert net.shape_at(N=1, H=9, W=5) == (1, 3, 9, 6)


def test_a_loop_without_end_is_followed_to_large_sizes() -> None:
    def halved(x: Any) -> Any:
        while x.shape[2] % 64 == 0:
            x = F.max_pool1d(x, 64)
        return x

    net = trace(halved, "N 3 L")
    assert not net.complete
    assert {u.reason for u in net.unfollowed} == {"sizes above 268,435,456"}
    assert net.shape_at(N=1, L=5 << 24) == (1, 3, 5)


def test_a_loop_that_changes_nothing_from_some_size_on_is_followed_no_farther_than_others() -> None:
    """To halve a size once more is the same network, at every size: no run looks for the end."""

    def halved(x: Any) -> Any:
        rest, times = x.shape[2], 0
        while (rest := rest // 2) > 4:
            x, times = F.max_pool1d(x, 2) if x.shape[2] > 99 else x, times + 1
        return x * times

    net = trace(halved, "N 3 L")
    assert {u.reason for u in net.unfollowed} == {"sizes above 268,435,456"}
    assert max(map(len, (u.condition for u in net.unfollowed))) < 40
    assert net.shape_at(N=1, L=1 << 20) == (1, 3, 64)


def test_a_branch_whose_layers_refuse_all_its_sizes_is_a_refusal() -> None:
    class Tail(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.narrow(2, x.shape[2] // 4 - 2, 3)  # below 8, counted from the end

    module = Tail()
    net = symcnn.from_torch(module, "N 4 L")
    assert [str(branch.where) for branch in net.branches] == ["L >= 8"]
    with pytest.raises(symcnn.InvalidInput, match="narrow"):
        net.shape_at(N=1, L=3)
    assert net.validate(module, device="meta", samples=4)


def test_a_branch_on_the_product_of_batch_and_sizes_is_answered_after_it_was_pickled() -> None:
    class Chunks(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if 3 * x.numel() < 4096 or max(2097152 // (4 * x[0].numel()), 1) < x.shape[0]:
                return x + 1
            return x * 2

    net = symcnn.from_torch(Chunks(), "N 3 H W")
    again = pickle.loads(pickle.dumps(net))
    assert str(again.output_shape) == str(net.output_shape) == "(N, 3, H, W)"


def test_sizes_up_to_the_example_are_followed_before_larger_ones() -> None:
    """Parallel scans pad to the next power of 2, of which there is no end."""

    class Scan(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            length = x.shape[1]
            padded = 2 ** math.ceil(math.log2(length))
            x = F.pad(x, (0, padded - length))
            for _ in range(int(math.log2(padded))):
                x = x[:, ::2] + x[:, 1::2]
            return x

    net = symcnn.from_torch(Scan(), "N L", example={"L": 300}, branches=12)
    assert not net.complete
    assert str(net.valid_inputs()).startswith("1 <= L <= 2048")
