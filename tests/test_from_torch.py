"""The torch front end: any module's own forward, nothing of torch or the module left changed."""

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F
from torch import nn

import symcnn
from symcnn import (
    BadSpec,
    DataDependent,
    FloorDiv,
    H,
    InvalidInput,
    N,
    ShapeMismatch,
    SymcnnError,
    UnsupportedOperation,
    W,
)
from symcnn.testing.oracles import judge, torch_shapes
from tests.corpus.forwards import Forward


def trace(
    function: Callable[..., Any],
    *specs: Any,
    example: dict[str, int] | None = None,
    **children: Any,
) -> symcnn.Network:
    return symcnn.from_torch(
        Forward(function, **children), *(specs or ("N 3 H W",)), example=example
    )


def test_functions_methods_and_modules_share_one_rule() -> None:
    by_module = symcnn.from_torch(nn.MaxPool2d(3, 2, ceil_mode=True), "N 3 H W")
    by_function = trace(lambda self, x: F.max_pool2d(x, 3, 2, ceil_mode=True))
    by_torch = trace(lambda self, x: torch.max_pool2d(x, 3, 2, ceil_mode=True))
    own = symcnn.nn.MaxPool2d(3, 2, ceil_mode=True).trace("N 3 H W")
    shapes = {n.output_shape for n in (by_module, by_function, by_torch, own)}
    assert shapes == {(N, 3, FloorDiv(H, 2), FloorDiv(W, 2))}


def test_sizes_behave_as_ints_in_user_code() -> None:
    def forward(self: Any, x: Any) -> Any:
        n, c, h, w = x.shape
        assert (x.size(0), x.size(-1), x.dim(), len(x.shape)) == (n, w, 4, 4)
        assert isinstance(x, torch.Tensor)
        assert torch.is_tensor(x)
        assert x.shape.numel() == x.numel()
        half = h // 2
        pad = math.ceil(w / 4) * 4 - w
        x = F.pad(x, (0, pad, 0, 0))
        return x[:, :, :half].reshape(n, c * half, -1)

    net = trace(forward)
    assert net.shape_at(N=2, H=9, W=6) == (2, 12, 8)
    assert net.shape_at(N=2, H=8, W=8) == (2, 12, 8)
    assert net.guards == ()


def test_a_comparison_that_the_domain_decides_is_decided() -> None:
    def forward(self: Any, x: Any) -> Any:
        x = self.conv(x)
        return x * 2 if x.shape[2] >= 1 else x.flatten()

    assert trace(forward, conv=nn.Conv2d(3, 3, 5)).guards == ()


def test_a_comparison_left_open_is_a_guard_with_its_line() -> None:
    def forward(self: Any, x: Any) -> Any:
        if x.shape[2] % 2 == 1:
            x = torch.cat([x, x], 2)
        return F.max_pool2d(x, 2)

    even, odd = trace(forward).branches
    assert len(even.network.guards) == 1
    assert __file__ in even.network.guards[0].where
    assert str(even.where.axis("H")) == "H % 2 == 0 and H >= 2"
    assert str(odd.where.axis("H")) == "H % 2 == 1 and H >= 1"
    assert trace(forward, example={"H": 225}).branches[0].taken[0].endswith("H % 2 == 1")
    with pytest.raises(InvalidInput, match="trace again with example"):
        odd.network.shape_at(N=1, H=224, W=224)


def test_python_that_needs_a_plain_int_fixes_the_size_and_says_so() -> None:
    net = trace(lambda self, x: torch.cat([x for _ in range(x.shape[2])], 1), example={"H": 4})
    assert net.output_shape == (N, 12, H, W)
    assert str(net.guards[0].requirement) == "H == 4"
    assert net.valid_inputs().axis("H").words() == "H == 4"


def test_a_branch_on_values_is_refused_with_its_line() -> None:
    with pytest.raises(DataDependent, match=r"test_from_torch\.py:\d+"):
        trace(lambda self, x: x if x.sum() > 0 else -x)


def test_an_operation_without_a_rule_is_named_with_its_path() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.tensorinv(x)

    with pytest.raises(
        UnsupportedOperation, match=r"body\.1: torch's linalg_tensorinv has no rule"
    ):
        trace(lambda self, x: self.body(x), body=nn.Sequential(nn.ReLU(), Odd()))


def test_nodes_carry_the_module_path() -> None:
    net = symcnn.from_torch(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 4, 1))), "N 3 H W"
    )
    assert [n.name for n in net.nodes] == ["0", "1.0", "1.1"]
    assert [n.op for n in net.nodes] == ["conv2d", "relu", "conv2d"]
    assert net.at("1").output_shape == net.output_shape


def test_repeated_calls_are_told_apart() -> None:
    net = trace(lambda self, x: self.pool(self.pool(x)), pool=nn.MaxPool2d(2))
    assert [n.name for n in net.nodes] == ["pool:1", "pool:2"]
    assert net.at("pool:1").output_shape == (N, 3, FloorDiv(H, 2), FloorDiv(W, 2))
    assert net.at("pool").output_shape == (N, 3, FloorDiv(H, 4), FloorDiv(W, 4))


def test_shared_weights_count_once() -> None:
    def forward(self: Any, x: Any) -> Any:
        return self.conv(self.conv(x))

    net = trace(forward, conv=nn.Conv2d(3, 3, 3, padding=1))
    assert net.params == 84
    assert [n.params for n in net.nodes] == [84, 84]


def test_in_place_operators_and_scalars() -> None:
    def forward(self: Any, x: Any) -> Any:
        y = torch.relu_(x)
        y += 1
        y = 2 - y / 3
        return -y.add_(x).mul_(0.5)

    assert trace(forward).output_shape == (N, 3, H, W)


def test_several_inputs_and_nested_outputs() -> None:
    net = trace(lambda self, a, b: {"sum": a + b, "both": (a, [b])}, "N 3 H W", "N 3 H W")
    assert net.outputs == {"sum": (N, 3, H, W), "both": ((N, 3, H, W), [(N, 3, H, W)])}
    assert net.shape_at(N=1, H=2, W=3)["both"][1] == [(1, 3, 2, 3)]


def test_two_inputs_that_must_agree() -> None:
    net = trace(lambda self, a, b: torch.cat([a, b], 1), "N 3 H W", "N 3 h w")
    assert net.shape_at(N=1, H=5, W=6, h=5, w=6) == (1, 6, 5, 6)
    with pytest.raises(InvalidInput):
        net.shape_at(N=1, H=5, W=6, h=4, w=6)


def test_broadcasting_takes_what_torch_takes() -> None:
    net = trace(lambda self, a, b: a + b, "N 3 H W", "N 3 h W")
    for h, k in ((4, 4), (4, 1), (1, 4)):
        assert net.shape_at(N=1, H=h, h=k, W=3)[2] == max(h, k)
    with pytest.raises(InvalidInput):
        net.shape_at(N=1, H=4, h=3, W=3)


class Caching(nn.Module):
    """Writes to itself in forward, as real models do."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.register_buffer("calls", torch.zeros(()))
        self.last: Any = None
        self.seen: list[Any] = []
        self.hooked = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = x
        self.seen.append(x)
        if not self.hooked:  # as transformers does to record outputs
            self.bn.register_forward_hook(lambda *_: None)
            self.hooked = True
        self.calls += 1
        self.calls = self.calls + 1
        return self.bn(x)


@pytest.mark.parametrize("fail", [False, True])
def test_the_module_and_torch_are_left_as_found_also_after_an_error(fail: bool) -> None:
    module = nn.Sequential(Caching(), nn.Dropout(), nn.Conv2d(4 if fail else 3, 3, 1)).train()
    hooks = []
    module[0].register_forward_hook(lambda *a: hooks.append(1))
    state = {k: v.clone() for k, v in module.state_dict().items()}
    call, grad, seed = nn.Module.__call__, torch.is_grad_enabled(), torch.random.get_rng_state()
    if fail:
        with pytest.raises(ShapeMismatch, match="2"):
            symcnn.from_torch(module, "N 3 H W")
    else:
        symcnn.from_torch(module, "N 3 H W")
    assert nn.Module.__call__ is call
    assert torch.is_grad_enabled() == grad
    assert torch.equal(torch.random.get_rng_state(), seed)
    assert module[0].last is None
    assert module[0].seen == []
    assert not module[0].hooked
    assert not module[0].bn._forward_hooks
    assert module.training
    assert module[1].training
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert torch.zeros(2).add(1).sum() == 2


def test_training_mode_asks_for_more_than_one_value_per_channel() -> None:
    net = symcnn.from_torch(nn.BatchNorm2d(3).train(), "N 3 H W")
    assert net.shape_at(N=2, H=1, W=1) == (2, 3, 1, 1)
    assert net.shape_at(N=1, H=1, W=2) == (1, 3, 1, 2)
    assert (1, 1) in net.valid_inputs()
    assert (1, 1, 1) not in net.valid_inputs()
    with pytest.raises(InvalidInput, match="more than one value per channel"):
        net.shape_at(N=1, H=1, W=1)


def test_inputs_lie_beside_weights_on_meta_whatever_else_lies_on_the_cpu() -> None:
    """Wav2Vec2 makes an embedding on the CPU in a module that is on meta."""

    class Moves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Parameter(torch.zeros(3, 1, 1))
            self.table = torch.zeros(3, 1, 1, device="meta")
            self.conv = nn.Conv2d(3, 4, 3, device="meta")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.table.device != x.device:
                self.table = self.table.to(x.device)
            return self.conv(x + self.table)

    assert str(symcnn.from_torch(Moves(), "N 3 H W").valid_inputs()) == "H >= 3 and W >= 3"


def test_meta_modules_trace_the_same() -> None:
    real = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).eval()
    with torch.device("meta"):
        meta = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).eval()
    a, b = symcnn.from_torch(real, "N 3 H W"), symcnn.from_torch(meta, "N 3 H W")
    assert (a.output_shape, a.params, a.macs) == (b.output_shape, b.params, b.macs)


@pytest.mark.parametrize("kernel", [(1, 7), (7, 1)])
@pytest.mark.parametrize("stride", [(2, 1), (1, 2)])
def test_height_and_width_are_never_mixed_up(
    kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    module = nn.Conv2d(3, 4, kernel, stride, padding=(kernel[0] // 2, 0), dilation=(1, 2))
    net = symcnn.from_torch(module, "N 3 H W")
    for h, w in ((20, 33), (33, 20), (13, 13)):
        theirs = module(torch.zeros(1, 3, h, w)).shape
        assert net.shape_at(N=1, H=h, W=w) == tuple(theirs)


def test_even_same_kernels_pad_the_right_more() -> None:
    module = nn.Conv2d(3, 4, (2, 4), padding="same", dilation=(3, 1))
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.output_shape == (N, 4, H, W)


def test_too_few_channels() -> None:
    with pytest.raises(ShapeMismatch, match="channels the weight expects: 1 != 3"):
        symcnn.from_torch(nn.Conv2d(3, 8, 3), "N 1 H W")


def test_symbolic_channels_are_a_condition() -> None:
    net = symcnn.from_torch(nn.Conv2d(3, 8, 3), "N C H W")
    assert net.shape_at(N=1, C=3, H=5, W=5) == (1, 8, 3, 3)
    with pytest.raises(InvalidInput):
        net.shape_at(N=1, C=4, H=5, W=5)


def test_a_forward_that_raises_is_reported_with_its_place() -> None:
    def forward(self: Any, x: Any) -> None:
        raise ValueError("not today")

    with pytest.raises(SymcnnError, match=r"raised ValueError: not today, at .*test_from_torch"):
        trace(forward)


@pytest.mark.parametrize("specs", [("N 3 H W", "N 3 H W"), ()])
def test_the_number_of_specs_must_fit_the_forward(specs: tuple[Any, ...]) -> None:
    with pytest.raises(BadSpec):
        symcnn.from_torch(nn.ReLU(), *specs)


def test_something_that_is_no_module() -> None:
    with pytest.raises(BadSpec, match=r"not a torch\.nn\.Module"):
        symcnn.from_torch(nn.ReLU, "N 3 H W")  # type: ignore[arg-type]


def test_unknown_nodes_are_met_with_near_names(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("resnet:resnet18"), "N 3 H W")
    with pytest.raises(BadSpec, match=r"did you mean .*layer4"):
        net.at("layr4")


def test_view_with_minus_one_that_divides_exactly_is_no_trap() -> None:
    def forward(self: Any, x: Any) -> Any:
        n, c, h, w = x.shape
        return x.permute(0, 2, 3, 1).reshape(-1, c).view(n, h * w, -1)

    net = trace(forward)
    assert net.output_shape == (N, H * W, 3)
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"


def test_an_input_for_which_the_model_raises_is_not_valid() -> None:
    def forward(self: Any, x: Any) -> Any:
        if x.shape[2] != 256 or x.shape[3] % 8:
            raise ValueError(f"expected 256, got {x.shape[2]}")
        return x

    net = trace(forward)
    assert str(net.valid_inputs()) == "H == 256 and W % 8 == 0 and W >= 8"
    with pytest.raises(InvalidInput, match=r"raised ValueError: expected 256, got H"):
        net.shape_at(N=1, H=224, W=8)
    assert net.shape_at(N=1, H=256, W=16) == (1, 3, 256, 16)


def test_an_assert_on_sizes_becomes_a_condition() -> None:
    def forward(self: Any, x: Any) -> Any:
        assert x.shape[2] == x.shape[3], "square only"
        return x

    assert str(trace(forward).valid_inputs()) == "H >= 1 and H == W"
    refused = trace(forward, example={"H": 224, "W": 225})
    assert str(refused.valid_inputs()) == "H >= 1 and H == W"
    assert "AssertionError: square only" in str(refused.guards[0])


def test_a_model_that_always_raises_reports_its_error() -> None:
    def forward(self: Any, x: Any) -> None:
        if x.shape[2] > 4:
            raise ValueError("too large")
        raise KeyError("too small")

    with pytest.raises(SymcnnError, match="too large"):
        trace(forward)


def test_the_example_is_the_nearest_valid_size() -> None:
    def forward(self: Any, x: Any) -> Any:
        assert x.shape[2] % 7 == 3
        return x if x.shape[2] > 226 else torch.cat([x, x])

    assert trace(forward).guards[-1].requirement.holds({"H": 227})


def test_a_table_of_fixed_length_can_be_viewed_only_at_some_sizes() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(1, 32, 64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, w = x.shape[2:]
            return x + self.table.reshape(1, h, w, -1).permute(0, 3, 1, 2)

    net = symcnn.from_torch(Positions(), "N 8 H W", example={"H": 16, "W": 16})
    assert net.shape_at(N=1, H=8, W=32) == (1, 8, 8, 32)
    assert (16, 16) in net.valid_inputs()
    assert (16, 15) not in net.valid_inputs()


def test_inputs_by_keyword() -> None:
    class Keyword(nn.Module):
        def forward(
            self, image: torch.Tensor, mask: torch.Tensor | None = None, scale: Any = 1
        ) -> torch.Tensor:
            return image if mask is None else image * mask

    net = symcnn.from_torch(Keyword(), image="N 3 H W", mask="N 1 H W")
    assert net.output_shape == (N, 3, H, W)
    assert symcnn.from_torch(Keyword(), "N 3 H W").output_shape == (N, 3, H, W)


def test_a_rule_for_a_module_class_stands_for_its_forward() -> None:
    class Deformable(nn.Module):
        """A convolution with learned offsets: its kernel is not torch's own."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(8, 3, 3, 3))

        def forward(self, x: torch.Tensor, offset: torch.Tensor) -> None:
            raise RuntimeError("compiled elsewhere")

    @symcnn.rule(Deformable)
    def deformable(module: Any, input: Any, offset: Any) -> Any:
        n, _, h, w = input.dims
        return n, 8, h - 2, w - 2

    net = trace(lambda self, x: self.deform(x, x[:, :2]), deform=Deformable())
    assert net.output_shape == (N, 8, H - 2, W - 2)
    assert net.params == 216
    assert [(n.name, n.op, n.params) for n in net.nodes][-1] == ("deform", "Deformable", 216)


def test_checkpoint_autocast_and_no_grad_are_looked_through() -> None:
    from torch.utils.checkpoint import checkpoint

    def forward(self: Any, x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            x = self.conv(x)
        return checkpoint(self.conv, x.float(), use_reentrant=False)

    assert trace(forward, conv=nn.Conv2d(3, 3, 3)).output_shape == (N, 3, H - 4, W - 4)


def test_scripting_and_grad_questions_have_answers() -> None:
    def forward(self: Any, x: Any) -> Any:
        torch._assert(x.shape[1] == 3, "three channels")
        if torch.jit.is_scripting() or x.requires_grad or x.is_cuda:  # type: ignore[attr-defined]
            raise RuntimeError("not here")
        return x.to(dtype=torch.float16, device=x.device).type_as(x)

    assert trace(forward).output_shape == (N, 3, H, W)


def test_hooks_on_gradients_change_no_size() -> None:
    """As networks that draw their own Grad-CAM register them."""

    def forward(self: Any, x: Any) -> Any:
        x = self.conv(x)
        x.register_hook(lambda gradient: gradient).remove()
        x.retain_grad()
        assert not any((x.is_inference(), x.is_pinned(), x.is_shared(), x.is_neg()))
        return x

    assert trace(forward, conv=nn.Conv2d(3, 3, 3)).output_shape == (N, 3, H - 2, W - 2)


@pytest.mark.parametrize("wrap", ["weight_norm", "spectral_norm"])
def test_parametrised_weights_count_as_torch_counts_them(wrap: str) -> None:
    conv = getattr(nn.utils.parametrizations, wrap)(nn.Conv2d(3, 8, 3)).eval()
    net = symcnn.from_torch(conv, "N 3 H W")
    assert net.output_shape == (N, 8, H - 2, W - 2)
    assert net.params == sum(p.numel() for p in conv.parameters())


def test_weight_tying_counts_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
            self.down.weight = self.up.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down(self.up(x))

    assert symcnn.from_torch(Tied(), "N 8").params == 64


def test_transformers_outputs_keep_their_names() -> None:
    hf = pytest.importorskip("transformers")
    config = hf.ConvNextConfig(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1])
    net = symcnn.from_torch(hf.ConvNextModel(config).eval(), pixel_values="N 3 H W")
    assert list(net.outputs) == ["last_hidden_state", "pooler_output"]
    assert net.outputs["pooler_output"] == (N, 64)


class Swish(torch.autograd.Function):
    """An operation with a gradient of its own, as memory-saving activations have."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> None:
        raise AssertionError("never called")


@pytest.mark.parametrize("scale", [lambda h: 1.0 / h, lambda h: 0.5 / h * 2.0, lambda h: 1 / h])
def test_a_float_over_a_size_is_a_number(scale: Callable[..., Any]) -> None:
    """``torch.eye(n) * (1.0 / n)``: covariance pooling."""
    net = trace(lambda self, x: x * scale(x.shape[2]))
    assert net.output_shape == (N, 3, H, W)
    assert not net.guards


def test_floats_that_round_are_not_taken_for_quotients() -> None:
    """``floor(1/49 * 49**2)`` is 48 in python: no formula in H, so H is fixed."""
    net = trace(lambda self, x: torch.zeros(math.floor(1 / x.shape[2] * x.shape[2] ** 2)))
    assert net.valid_inputs().axis("H").largest() == 224


def test_autograd_functions_are_looked_through() -> None:
    net = trace(lambda self, x: self.conv(Swish.apply(x)), conv=nn.Conv2d(3, 8, 3))
    assert net.output_shape == (N, 8, H - 2, W - 2)


def test_work_that_does_not_depend_on_the_input_counts_too() -> None:
    class Bias(nn.Module):
        """A bias made by a small network from a table of positions, as in Swin v2."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Buffer(torch.arange(6.0).view(3, 2))
            self.mlp = nn.Linear(2, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.mlp(self.table).sum()

    net = symcnn.from_torch(Bias(), "N 3 H W")
    assert net.macs == 3 * 2 * 5
    assert net.params == 15
    assert net.output_shape == (N, 3, H, W)


@pytest.mark.parametrize(
    "mask",
    [
        lambda x: x > 0,
        lambda x: x.to(torch.bool),
        lambda x: x.bool(),
        lambda x: torch.ones(x.shape, dtype=torch.bool),
        lambda x: torch.ones(3, 4, dtype=torch.bool).expand(x.shape[0], 3, 4),
    ],
)
def test_indexing_with_a_mask_depends_on_values(mask: Callable[..., Any]) -> None:
    with pytest.raises(DataDependent, match="mask"):
        trace(lambda self, x: x[mask(x)], "N 3 4")


def test_the_method_unfold_and_the_function_are_told_apart() -> None:
    assert trace(lambda self, x: x.unfold(2, 3, 2)).output_shape == (N, 3, FloorDiv(H - 1, 2), W, 3)
    columns = trace(lambda self, x: F.unfold(x, 3, padding=1))
    assert columns.output_shape == (N, 27, H * W)


def test_lazy_modules_report_what_they_would_take_and_stay_lazy() -> None:
    module = nn.Sequential(
        nn.LazyConv2d(8, 3, groups=1), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10)
    ).eval()
    net = symcnn.from_torch(module, "N 3 H W")
    assert net.output_shape == (N, 10)
    weight = net.nodes[-1].parameters[0]
    assert weight.name == "3.weight"
    assert weight.shape[1].subs({H: 8, W: 9}) == 8 * 6 * 7
    linear: Any = module[3]
    assert linear.has_uninitialized_params()
    assert not hasattr(module[0], "seen")
    module(torch.zeros(1, 3, 8, 9))
    params = sympy.sympify(net.params).subs({H: 8, W: 9})
    assert params == sum(p.numel() for p in module.parameters())
    assert net.shape_at(N=1, H=20, W=30) == (1, 10)


@pytest.mark.parametrize(
    "lazy",
    [
        nn.LazyConv1d(6, 3, padding=1, padding_mode="reflect"),
        nn.LazyConvTranspose1d(6, 3, stride=2, bias=False),
        nn.LazyInstanceNorm1d(affine=True),
    ],
)
def test_each_lazy_module_has_torchs_shape_and_parameters(lazy: Any) -> None:
    net = symcnn.from_torch(lazy, "N 4 L")
    assert lazy.has_uninitialized_params()
    assert net.shape_at(N=2, L=9) == tuple(lazy(torch.zeros(2, 4, 9)).shape)
    assert net.params == sum(p.numel() for p in lazy.parameters())


def test_arange_takes_its_end_by_name() -> None:
    net = trace(lambda m, x: torch.arange(end=x.shape[2]), "N 3 H W")
    assert net.shape_at(N=1, H=7, W=5) == (7,)
    net = trace(lambda m, x: torch.arange(start=2, end=x.shape[3], step=3), "N 3 H W")
    assert net.shape_at(N=1, H=7, W=12) == tuple(torch.arange(start=2, end=12, step=3).shape)


@pytest.mark.parametrize("join", [torch.cat, torch.concat])
def test_a_slice_without_elements_leaves_what_it_is_concatenated_with(join: Any) -> None:
    """As vision transformers without a class token do with their prefix."""

    class Prefixed(torch.nn.Module):
        def __init__(self, prefix: Any) -> None:
            super().__init__()
            self.prefix = prefix

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return join([x[:, : self.prefix], 2 * x[:, self.prefix :]], dim=1)

    net = symcnn.from_torch(Prefixed(0), "N L 8")
    assert str(net.output_shape) == "(N, L, 8)"
    assert str(net.valid_inputs()) == "L >= 1"
    assert [node.op for node in net.nodes] == ["getitem", "getitem", "mul", "cat"]
    assert str(symcnn.from_torch(Prefixed(2), "N L 8").valid_inputs()) == "L >= 1"


def test_a_ratio_of_two_sizes_is_compared_exactly() -> None:
    """As attention with relative positions does, of queries and keys of other sizes."""

    class Ratio(torch.nn.Module):
        def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            ratio = max(k.shape[-1] / q.shape[-1], 1.0)
            return q if ratio <= 2 else k

    net = symcnn.from_torch(Ratio(), "N 2 Q", "N 2 K", example={"Q": 10, "K": 15})
    valid = net.branches[0].where
    assert (10, 15) in valid
    assert (10, 20) in valid
    assert (10, 21) not in valid


def test_an_assertion_about_values_is_passed_over() -> None:
    class Asserted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch._assert_async((x > 0).any())
            return x + 1

    assert [n.op for n in symcnn.from_torch(Asserted(), "N L").nodes] == ["gt", "any", "add"]


def test_tensor_split_takes_its_overloads_by_name() -> None:
    """MViT of torchvision: the class token apart from the others."""
    net = trace(lambda self, x: torch.tensor_split(x, indices=[1], dim=2)[1])
    assert net.output_shape == (N, 3, H - 1, W)
    net = trace(lambda self, x: torch.tensor_split(x, sections=2, dim=2)[0])
    assert str(net.output_shape) == "(N, 3, (H + 1)//2, W)"


class Tables(nn.Module):
    """A table that is no parameter, cut to the length of the input, as transformers have them."""

    table: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(1, 500, 8))
        self.index = torch.zeros(40, 40, dtype=torch.long)
        self.weight = nn.Parameter(torch.zeros(7, 3))


def test_a_buffer_is_cut_to_a_size() -> None:
    class Added(Tables):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.table[:, : x.size(1), : x.size(2)]

    net = symcnn.from_torch(Added(), "N L 8")
    assert net.output_shape == (N, symcnn.L, 8)
    assert str(net.valid_inputs()) == "1 <= L <= 500"
    assert net.guards == ()
    verdict = judge(net, Added(), {"N": 2, "L": 501}, device="cpu")
    assert verdict.agree
    assert verdict.ours is None


def test_a_table_of_positions_is_cut_to_a_size() -> None:
    """Swin of torchvision: the rows and columns of a table of indices, and then its values."""

    class Biased(Tables):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n = x.size(1)
            return self.weight[self.index[:n, :n].flatten()].view(n, n, -1)

    net = symcnn.from_torch(Biased(), "N L 8")
    assert net.shape_at(N=2, L=33) == (33, 33, 3)
    for length in (1, 40, 41):
        assert judge(net, Biased(), {"N": 2, "L": length}, device="cpu").agree


WRITTEN = {
    "copy_": lambda x: torch.zeros_like(x).copy_(x[:, :, :1]),
    "copy_, too many axes": lambda x: x[0].clone().copy_(x[:2]),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :, :2], 2, 1, 3),
    "slice_scatter, every other": lambda x: x.slice_scatter(x[:, :, :2], 2, 0, 4, 2),
    "slice_scatter, too small": lambda x: torch.slice_scatter(x, x[:, :, :1], 2, 0, 3),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 0], 1, -1),
    "select_scatter, stretched": lambda x: torch.select_scatter(x, x[:, 0, :, :1], 1, 1),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written_into_a_tensor_must_fit(case: str) -> None:
    module = Forward(lambda self, x: WRITTEN[case](x))
    for h, w in ((1, 1), (2, 1), (2, 5), (3, 4), (5, 5), (1, 6), (9, 2)):
        sizes = {"N": 2, "H": h, "W": w}
        try:
            net = symcnn.from_torch(module, "N 3 H W")
        except ShapeMismatch:
            net = symcnn.from_torch(nn.Identity(), "N 3 H W")
            assert torch_shapes(net, module, sizes, "cpu") is None
        else:
            assert judge(net, module, sizes, device="cpu").agree, sizes


def test_a_view_as_another_dtype_is_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="depends on the bytes of both"):
        trace(lambda self, x: x.view(torch.int32))


def test_an_error_without_words_is_told_as_it_is_written() -> None:
    class Gray(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.size(1) != 1:
                raise ValueError  # gray images only
            return x

    with pytest.raises(SymcnnError, match="ValueError: raise ValueError  # gray images only, at "):
        symcnn.from_torch(Gray(), "N 3 H W")


def test_no_part_of_a_split_is_negative() -> None:
    module = Forward(lambda self, x: x.split([4, x.shape[2] - 4], 2)[0])
    net = symcnn.from_torch(module, "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 4 and W >= 1"
    for h in (3, 4, 5, 6):
        assert judge(net, module, {"N": 1, "H": h, "W": 2}, device="cpu").agree


_conv = nn.Conv2d(3, 4, 3, padding=1)


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: nn.functional.pad(x, (0, 0, 0, x[:, :, 8:].shape[2])),
        lambda self, x: _conv(torch.cat([x[:, :, :4], x[:, :, 8:]], 2)),
        lambda self, x: torch.cat([x, x[:, :, 8:].relu()[:, :, ::2]], 2),
        lambda self, x: torch.cat(x.tensor_split(3, 2)[::-1], 2),
        lambda self, x: torch.cat([x, x.narrow(2, 0, x.shape[2] // 4)], 2),
    ],
    ids=["size", "gap", "pointwise", "split", "narrow"],
)
def test_an_empty_map_that_no_layer_reads_is_valid(forward: Any) -> None:
    net = symcnn.from_torch(Forward(forward), "N 3 H W")
    assert len(net.branches) == 1
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"
    assert str(net.given(W=5).valid_inputs()) == "H >= 1"
    for h in range(1, 12):
        want = forward(None, torch.zeros(2, 3, h, 5)).shape
        assert net.shape_at(N=2, H=h, W=5) == tuple(want)


def test_a_slice_that_is_written_to_may_be_empty() -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, :, 8:] = 2 * x[:, :, 8:]
        return y

    assert str(symcnn.from_torch(Forward(forward), "N 3 H W").valid_inputs()) == "H >= 1 and W >= 1"


def test_a_branch_decides_whether_a_slice_is_empty() -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = x[:, :, 8:]
        result: torch.Tensor = _conv(y) if y.numel() else _conv(x)
        return result

    net = symcnn.from_torch(Forward(forward), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 1 and W >= 1"
    assert [net.shape_at(N=1, H=h, W=5)[2] for h in (1, 8, 9, 12)] == [1, 8, 1, 4]


@pytest.mark.parametrize("read", [_conv, nn.MaxPool2d(2, 1, 1), nn.Upsample(scale_factor=2)])
def test_a_slice_is_not_empty_where_a_layer_that_takes_no_empty_map_reads_it(
    read: nn.Module,
) -> None:
    net = symcnn.from_torch(Forward(lambda self, x: read(x[:, :, 8:])), "N 3 H W")
    assert str(net.valid_inputs()) == "H >= 9 and W >= 1"


def test_a_slice_that_one_branch_returns_may_be_empty_on_another() -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = x[:, :, 8:]
        return y if x.shape[3] > 5 else x

    net = symcnn.from_torch(Forward(forward), "N 3 H W")
    assert net.complete
    for h, w in ((1, 5), (9, 5), (1, 6), (9, 6)):
        assert (h, w) in net.valid_inputs()
        assert net.shape_at(N=1, H=h, W=w)[2] == (h if w == 5 else max(0, h - 8))


@dataclass(frozen=True)
class Detections:
    """What a forward returns in fields, which it wants to be tensors."""

    maps: list[torch.Tensor]
    width: int
    kind: str = "boxes"

    def __post_init__(self) -> None:
        assert all(m.is_floating_point() for m in self.maps)


def test_a_size_that_comes_out_is_a_formula_as_those_in_a_shape() -> None:
    class Patches(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            x = torch.nn.functional.max_pool2d(x, 4)
            return x.flatten(2), (x.shape[2], x.shape[3])

    _, (rows, columns) = symcnn.from_torch(Patches(), "N 3 H W").outputs
    assert (rows, columns) == (H // 4, W // 4)
    assert sympy.sympify(rows).subs(H, 9) == 2


def test_objects_that_know_each_other_are_opened_once() -> None:
    class Level:
        map: torch.Tensor
        other: Any

    def forward(module: Any, x: torch.Tensor) -> Level:
        parent, child = Level(), Level()
        parent.map, parent.other = x, child
        child.map, child.other = x[:, :1], parent
        return parent

    module = Forward(forward)
    net = symcnn.from_torch(module, "N 3 H W")
    assert str(net.outputs) == "{'map': (N, 3, H, W), 'other': {'map': (N, 1, H, W)}}"
    assert net.validate(module, device="meta", samples=2)


def test_outputs_in_the_fields_of_a_dataclass_are_outputs() -> None:
    def forward(module: Any, x: torch.Tensor) -> Detections:
        small = module.conv(x)
        return Detections([x, small if x.shape[2] > 9 else small[:, :2]], x.shape[3])

    module = Forward(forward, conv=nn.Conv2d(3, 4, 3, stride=2, padding=1))
    net = symcnn.from_torch(module, "N 3 H W")
    assert isinstance(net.outputs, Detections)
    assert str(net.outputs.maps[0]) == "(N, 3, H, W)"
    at = net.shape_at(N=1, H=5, W=7)
    assert (at.maps, at.width, at.kind) == ([(1, 3, 5, 7), (1, 2, 3, 4)], 7, "boxes")
    assert net.receptive_field().size == (1, 1)
    assert net.validate(module, device="meta", samples=2)
    assert str(pickle.loads(pickle.dumps(net)).outputs.width) == "W"


def test_what_is_put_into_a_list_after_a_module_returned_it_is_no_output_of_the_module() -> None:
    pair = Forward(lambda m, x: [x, {"half": x[:, :2]}])

    def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
        found: Any = module.pair(x)
        found.append(x[:1])
        found[1]["whole"] = x
        return x + 1

    module = Forward(forward, pair=pair)
    assert symcnn.from_torch(module, "N 3 H W").validate(module, device="meta", samples=2)


def test_positions_meet_a_table_of_floats_on_any_side() -> None:
    def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
        n = torch.arange(x.shape[1])
        omega = 1.0 / 10000 ** (torch.arange(4) / 3)
        angles = n[:, None] * omega[None, :]
        return x + torch.cat((angles.sin(), angles.cos()), dim=1) + module.table.weight[n]

    module = Forward(forward, table=nn.Embedding(20, 8))
    net = symcnn.from_torch(module, "N L 8")
    assert str(net.output_shape) == "(N, L, 8)"
    assert str(net.valid_inputs()) == "1 <= L <= 20"


def test_positions_less_a_table_of_one_float_of_sizes() -> None:
    def forward(module: Any, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[2] - 1
        mean = torch.tensor([[float(size // 2)]])
        return (torch.arange(size, dtype=mean.dtype) - mean).expand(x.shape[0], -1)

    net = symcnn.from_torch(Forward(forward), "N 4 L")
    assert str(net.output_shape) == "(N, L - 1)"


@pytest.mark.parametrize("transform", [torch.vmap, torch.func.grad, torch.func.jacrev])
def test_a_function_that_torch_transforms_is_refused_and_its_line_said(transform: Any) -> None:
    class Transformed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return transform(torch.sum)(x)

    where = rf"torch\.func\.{transform.__name__} runs .* at .*test_from_torch\.py:\d+"
    with pytest.raises(UnsupportedOperation, match=where):
        symcnn.from_torch(Transformed(), "N 3 L")


def test_a_module_called_with_other_weights_is_that_module() -> None:
    class Called(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv1d(2, 4, 3), torch.nn.Conv1d(2, 4, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return torch.func.functional_call(self.a, dict(self.b.named_parameters()), (x,))

    (node,) = symcnn.from_torch(Called(), "N 2 L").nodes
    assert [p.name for p in node.parameters] == ["b.weight", "b.bias"]


class Weightless(nn.Module):
    """Attention whose weights nobody needs."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, weights = self.heads(x, x, x, need_weights=False)
        return x if weights is not None else y[:, :4]


def test_weights_of_attention_that_nobody_needs_are_none() -> None:
    assert str(symcnn.from_torch(Weightless(), "N T 8").output_shape) == "(N, Min(4, T), 8)"


def test_an_encoder_of_torch_keeps_the_length() -> None:
    net = symcnn.from_torch(nn.TransformerEncoderLayer(8, 2, batch_first=True), "N T 8")
    assert str(net.output_shape) == "(N, T, 8)"


def test_a_refusal_where_a_loop_took_its_length_from_an_example_says_so() -> None:
    class Looped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(96, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            parts = [x[:, :, i::8] for i in range(x.shape[2] // 8)]
            found: torch.Tensor = self.last(x + len(parts))
            return found

    with pytest.raises(symcnn.ShapeMismatch, match=r"where T//8 == 28; not followed: T//8 != 28"):
        symcnn.from_torch(Looped(), "N 4 T")
    net = symcnn.from_torch(Looped(), "N 4 T", example={"T": 96})
    assert net.shape_at(N=2, T=96) == (2, 4, 5)
