"""Sizes kept in 0-d tensors: they keep their value, and come out as the sizes they are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import symcnn


def trace(
    forward: Callable[..., Any], spec: str = "N 3 L", **buffers: Any
) -> tuple[torch.nn.Module, symcnn.Network]:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(self, x)

    model = Model()
    for name, value in buffers.items():
        model.register_buffer(name, value)
    return model, symcnn.from_torch(model, spec)


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x[..., : torch.tensor(x.shape[-1]) // 2],
        lambda self, x: x[..., : (torch.tensor(x.shape[-1]) // 2).item()],
        lambda self, x: F.pad(x, (0, torch.tensor(7) - x.shape[-1] % self.step)),
        lambda self, x: F.pad(x, (self.step, self.step)),
        lambda self, x: F.interpolate(x, size=[torch.tensor(x.shape[-1]) * 2 + 1]),  # type: ignore[list-item]
        lambda self, x: F.pad(x, (0, torch.ceil(x.shape[-1] / self.step).to(torch.int64))),  # type: ignore[arg-type]
        lambda self, x: F.pad(x, (0, 2)) if (x.shape[-1] - self.step) > 3 else F.pad(x, (0, 1)),
        lambda self, x: F.pad(x, (0, int(max(self.step, self.step + 1)))),
        lambda self, x: F.pad(x, torch.tensor([x.shape, (1, 2, 3)])[:, 1:].t().flatten().tolist()),
        lambda self, x: F.pad(x, torch.tensor([x.shape]).transpose(0, 1)[1:].mT.tolist()[0]),
        lambda self, x: F.pad(x, torch.tensor([x.shape]).permute(1, 0)[1:, 0].tolist()),
        lambda self, x: x.narrow(-1, 0, torch.tensor(x.shape[-1]) - 4),
        lambda self, x: x.reshape(torch.tensor(x.shape[:2]).prod(), -1),
        lambda self, x: x.new_zeros(torch.as_tensor(x.shape, dtype=int).sum(), 2),  # type: ignore[arg-type]
        lambda self, x: torch.randn(torch.tensor(x.shape[-1]), 2),  # type: ignore[call-overload]
        lambda self, x: torch.eye(torch.tensor(x.shape).max()),  # type: ignore[call-overload]
        lambda self, x: x.topk(torch.tensor(x.shape[-1]) // 2, -1)[0],
        lambda self, x: x.new_zeros(
            torch.tensor(x.shape)
            .to(dtype=torch.int32, device="cpu", memory_format=torch.contiguous_format)
            .prod()
        ),
        lambda self, x: x[
            ..., : torch.where(torch.tensor(x.shape[-1]) > 30, 7, torch.tensor(x.shape[-1]))
        ],
        lambda self, x: F.pad(
            x, torch.tensor(x.shape[-2:]).where(torch.tensor([x.shape[-1] > 30] * 2), 5).tolist()
        ),
        lambda self, x: x[
            ..., : torch.tensor(x.shape).masked_fill(torch.tensor(x.shape) > 30, 7)[-1]
        ],
    ],
)
def test_a_size_in_a_tensor_is_the_size(forward: Callable[..., Any]) -> None:
    model, net = trace(forward, step=torch.tensor(5))
    assert not [g for g in net.guards if g.fixes and getattr(g.requirement, "relation", "") == "=="]
    for length in range(9, 60):
        assert net.shape_at(N=1, L=length) == tuple(model(torch.zeros(1, 3, length)).shape)


def test_the_order_of_a_difference_counts() -> None:
    model, net = trace(lambda self, x: F.pad(x, (0, 20000 - torch.tensor(x.shape[-1]))))  # type: ignore[arg-type]
    x = torch.zeros(1, 3, 15000)
    assert net.complete
    assert net.shape_at(N=1, L=15000) == tuple(model(x).shape) == (1, 3, 20000)


def test_where_python_itself_takes_the_number_out_the_size_is_fixed() -> None:
    _, net = trace(lambda self, x: x[..., : len(range(torch.tensor(x.shape[-1]) - 4))])
    assert [str(g.requirement) for g in net.guards] == ["L - 4 == 15996"]


def test_a_quotient_says_up_to_where_floats_are_exact() -> None:
    _, net = trace(
        lambda self, x: F.pad(x, (0, torch.ceil(x.shape[-1] / self.three).long())),  # type: ignore[arg-type]
        three=torch.tensor(3),
    )
    assert net.valid_inputs().largest() == 1 << 21


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x * torch.full((1,), x.shape[-1] / 2),
        lambda self, x: x / torch.tensor(x.shape[-1] / 3),
        lambda self, x: x * (torch.tensor(x.shape[-1]) / 3),
        lambda self, x: x + x.new_full((1, 1), x.shape[-1] / 3).view(1),
    ],
)
def test_a_quotient_that_nothing_reads_holds_for_every_size(forward: Callable[..., Any]) -> None:
    _, net = trace(forward)
    assert net.complete
    assert str(net.valid_inputs()) == "L >= 1"


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: F.pad(x, (0, int((torch.tensor(x.shape[-1]).float() / 2).ceil()))),
        lambda self, x: F.pad(x, (0, int((torch.tensor(x.shape[-1]).double() / 2).floor()))),
        lambda self, x: F.pad(x, (0, int(torch.tensor(x.shape[-1]).to(torch.float32).item()))),
        lambda self, x: F.pad(
            x,
            [
                int(v)
                for v in (torch.tensor([x.shape[-1], x.shape[-1]]).float() / 2).ceil().tolist()
            ],
        ),
    ],
)
def test_a_size_cast_to_a_float_is_that_size(forward: Callable[..., Any]) -> None:
    model, net = trace(forward)
    for length in (1, 2, 7, 50, 101):
        assert net.shape_at(N=1, L=length) == tuple(model(torch.zeros(1, 3, length)).shape)
    assert net.valid_inputs().largest() == 1 << 21


def test_a_product_of_quotients_is_followed_at_numbers() -> None:
    module, net = trace(
        lambda self, x: F.pad(x, (0, int(x.shape[-1] / self.three * self.three))),
        three=torch.tensor(3),
    )
    assert not net.complete
    for length in (7, 49, 224):
        shape = tuple(module(torch.zeros(1, 3, length)).shape)
        assert net.shape_at(N=1, L=length) == shape


def test_a_value_that_is_no_size_is_still_data() -> None:
    with pytest.raises(symcnn.DataDependent):
        trace(lambda self, x: x[..., : int(x.sum())])


def test_reading_a_buffer_as_a_number_leaves_it_a_number() -> None:
    """``int(buffer)`` is no in-place operation, whatever its name begins with."""
    model, net = trace(lambda self, x: x[..., int(self.step) :], step=torch.tensor(5))
    assert net.shape_at(N=1, L=9) == tuple(model(torch.zeros(1, 3, 9)).shape)


@pytest.mark.parametrize(
    "sum_",
    [
        lambda h: torch.add(torch.tensor(h), 2, torch.tensor(3)),
        lambda h: torch.add(torch.tensor([h, 5]), torch.tensor([1, 1]), alpha=2)[0],
        lambda h: torch.tensor(h).sub(1, alpha=2),
        lambda h: torch.tensor(h).add(4, alpha=3),
    ],
)
def test_a_sum_of_sizes_multiplies_its_second_term_as_torch_does(sum_: Callable[..., Any]) -> None:
    class Summed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(int(sum_(x.shape[2])))

    net = symcnn.from_torch(Summed(), "N 3 H W")
    for h in (7, 8, 30):
        assert net.shape_at(N=1, H=h, W=1) == tuple(Summed()(torch.zeros(1, 3, h, 1)).shape)


def _ones(x: Any) -> torch.Tensor:
    return torch.ones(x.shape[0], *x.shape[2:])


def _resized(x: Any) -> Any:
    return F.interpolate(_ones(x)[None].float(), size=(5, x.shape[3] // 2)).to(torch.bool)[0]


class Unmasked(torch.nn.Module):
    """Leaves out a mask that masks nothing, as attention of transformers does."""

    def __init__(self, holds: Any) -> None:
        super().__init__()
        self.holds = holds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1] if self.holds(x) else x


def _sizes_written_as_a_view(x: Any) -> Any:
    sizes = torch.tensor([x.shape[2], x.shape[3]])
    sizes[0].add_(5)
    return int(sizes[0]) > 7


@pytest.mark.parametrize(
    "holds",
    [
        lambda x: _resized(x).flatten(1).all(),
        _sizes_written_as_a_view,
        lambda x: (torch.zeros_like(x) == 0).all(),
        lambda x: (torch.full((x.shape[2], 99), 3) + 2 * _ones(x).long()[0, :, :1] == 5).any(),
        lambda x: not x.new_zeros(x.shape).transpose(1, 3).repeat(1, 2, 1, 1).bool().any(),
        lambda x: (~torch.zeros(x.shape[2], dtype=torch.bool)).all(),
        lambda x: not _ones(x).logical_not().any(),
        lambda x: (_ones(x).bool() & ~_ones(x).bool() | True).all(),
        lambda x: torch.zeros_like(x).sum() == 0,
    ],
)
def test_a_tensor_of_one_number_everywhere_is_that_number(holds: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Unmasked(holds), "N 3 H W")
    assert net.complete
    assert net.shape_at(N=2, H=10, W=20) == tuple(Unmasked(holds)(torch.zeros(2, 3, 10, 20)).shape)


@pytest.mark.parametrize(
    "holds",
    [
        lambda x: torch.ones(x.shape[2] - 3).any(),
        lambda x: torch.zeros(x.shape[2] - 3).all(),
        lambda x: (~torch.zeros(x.shape[2] - 3).bool()).any(),
        lambda x: torch.ones(x.shape[2] - 3).all(),
    ],
)
def test_all_and_any_of_what_may_be_empty_are_a_branch(holds: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Unmasked(holds), "N 3 H W")
    assert net.complete
    for h in (3, 4, 7):
        assert net.shape_at(N=1, H=h, W=2) == tuple(Unmasked(holds)(torch.zeros(1, 3, h, 2)).shape)


def test_a_fill_that_is_a_quotient_of_sizes_decides_nothing() -> None:
    def forward(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1] * x.shape[2]
        return x * torch.full((x.shape[2],), fill_value=-1.0 / n / n, dtype=x.dtype)

    _, net = trace(forward)
    assert net.complete
    assert str(net.valid_inputs()) == "L >= 1"


def _written_in_part(x: Any) -> Any:
    mask = _ones(x)
    mask[:, 2:] = 0
    return mask.all()


def _written_as_a_view(x: Any) -> Any:
    mask = _ones(x)
    mask[0].zero_()
    return mask.all()


def _view_of_what_is_written(x: Any) -> Any:
    mask = _ones(x)
    view = mask[:, 2:]
    mask.zero_()
    return view.all()


@pytest.mark.parametrize(
    "holds",
    [_written_in_part, _written_as_a_view, _view_of_what_is_written],
)
def test_values_of_memory_that_was_written_to_are_known_of_numbers(
    holds: Callable[..., Any],
) -> None:
    """The first sizes and masks said what was there before."""
    module = Unmasked(holds)
    net = symcnn.from_torch(module, "N 3 H W")
    assert not net.complete
    for sizes in ((2, 224, 224), (1, 4, 5)):
        shape = tuple(module(torch.zeros(sizes[0], 3, *sizes[1:])).shape)
        assert net.shape_at(**dict(zip("NHW", sizes, strict=True))) == shape


@pytest.mark.parametrize("part", [0.7, 0.29, 0.8])
def test_a_part_of_a_size_that_layers_made_is_one_for_all_sizes(part: float) -> None:
    def forward(_: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool1d(F.avg_pool1d(x, 9, 4), 3)
        return x.topk(max(int(x.shape[2] * part), 1))[0]

    model, net = trace(forward)
    assert net.complete
    for length in (*range(17, 400), 120_009):
        assert net.shape_at(N=1, L=length) == tuple(model(torch.zeros(1, 3, length)).shape)


ROUNDED: dict[str, Callable[[int], int]] = {
    "the nearest": lambda h: round(h * 0.7),
    "the nearest, by numpy": lambda h: int(np.round(h * 0.35)),
    "the nearest of a float": lambda h: int(round(h / 3, 0)),
    "a half more": lambda h: int(h * 0.7 + 0.5),
    "a half more, rounded down": lambda h: math.floor(0.5 + h * 0.15),
    "a factor of a factor": lambda h: int(h * 0.29 * 0.5),
    "a quotient of a factor": lambda h: math.floor(h * 0.7 / 4),
    "a float by it": lambda h: int(7.5 // h),
    "what it leaves of a float": lambda h: int(100.5 % h),
    "in a tensor": lambda h: int(torch.round(torch.tensor(h) / 2)),
    "in a tensor, of thirds": lambda h: int(torch.tensor(h / 3).round()),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_the_nearest_whole_number_is_that_of_floats_at_every_size(name: str) -> None:
    """45 * 0.7 is 31.499999999999996 in floats, and 31."""

    def forward(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(ROUNDED[name](x.shape[2]))

    model, net = trace(forward)
    for length in (*range(1, 300), 1_005, 65_545, 120_015):
        assert net.shape_at(N=1, L=length) == tuple(model(torch.zeros(1, 1, length)).shape)
    assert not [left for left in net.unfollowed if "number" in left.reason]


def test_a_factor_above_its_fraction_is_rounded_at_one_size() -> None:
    """11/10 is less than the float 1.1, whose products may lie above a half."""
    model, net = trace(lambda self, x: x.new_zeros(round(x.shape[2] * 1.1)))
    assert {left.where_in_code.rpartition(":")[0] for left in net.unfollowed} <= {__file__}
    for length in (5, 25, 45, 65, 224):
        assert net.shape_at(N=1, L=length) == tuple(model(torch.zeros(1, 1, length)).shape)


REPEATED: dict[str, Callable[..., Any]] = {
    "stack": lambda x: torch.stack([x[0]] * x.shape[-1]),
    "stack, in front of the last axis": lambda x: torch.stack(x.shape[-1] * [x], dim=-2),
    "cat": lambda x: torch.cat([x] * x.shape[-1], axis=1),  # type: ignore[call-arg]
    "cat of fewer": lambda x: torch.cat([x] * (x.shape[-1] - 9)),
    "tensors without sizes": lambda x: torch.stack([torch.ones(2)] * x.shape[-1]),
    "numbers": lambda x: torch.tensor([1] * x.shape[-1]),
    "numbers of an old class": lambda x: torch.LongTensor([2] * x.shape[-1]),
    "floats": lambda x: torch.tensor([x.shape[-1]] * x.shape[-1], dtype=torch.float16),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_list_repeated_as_often_as_a_size_is_joined_at_every_size(name: str) -> None:
    """monai's VoxelMorph stacks a grid as often as there are images."""
    model, net = trace(lambda self, x: REPEATED[name](x))
    for length in range(6, 16):
        refused = length < 10 and name == "cat of fewer"
        if refused:
            with pytest.raises((RuntimeError, ValueError)):
                model(torch.zeros(1, 3, length))
            with pytest.raises(symcnn.InvalidInput):
                net.shape_at(N=1, L=length)
            continue
        made = model(torch.zeros(1, 3, length))
        assert net.shape_at(N=1, L=length) == tuple(made.shape)
        assert net.output_tensors[0].dtype == str(made.dtype)[6:]
    assert not net.guards or name == "cat of fewer"


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: torch.cat([x, *[x] * x.shape[-1]]),
        lambda self, x: torch.cat([x] + [x] * x.shape[-1]),
        lambda self, x: torch.cat([x] * x.shape[-1] + [x]),
        lambda self, x: torch.cat([x, x] * x.shape[-1]),
        lambda self, x: torch.cat([x] + [] * x.shape[-1]),
        lambda self, x: torch.zeros(size=[2] * (x.shape[-1] // 4000)),
        lambda self, x: x[[0] * x.shape[-1]],
        lambda self, x: sum(y for y in [x] * x.shape[-1]),
        lambda self, x: x.new_zeros(len([x] * x.shape[-1])),
    ],
)
def test_whoever_looks_into_a_repeated_list_counts_its_places(
    forward: Callable[..., Any],
) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = forward(self, x)
            return made

    net = symcnn.from_torch(Model(), "2 3 L", example={"L": 8000})
    assert net.shape_at(L=8000) == tuple(Model()(torch.zeros(2, 3, 8000, device="meta")).shape)
    assert net.guards[0].fixes


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x.new_zeros(
            int(
                torch.where(
                    condition=torch.tensor(x.shape[-1] > 4),
                    input=torch.tensor(x.shape[-1]),
                    other=torch.tensor(4),
                )
            )
        ),
        lambda self, x: x.new_zeros(
            int(torch.maximum(input=torch.tensor(x.shape[-1]), other=torch.tensor(7)))
        ),
    ],
)
def test_operands_may_be_said_by_name(forward: Callable[..., Any]) -> None:
    model, net = trace(forward)
    assert net.complete
    for length in (1, 4, 5, 9):
        assert net.shape_at(N=1, L=length) == model(torch.zeros(1, 3, length)).shape
