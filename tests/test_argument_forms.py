"""Every rule takes what torch's own argument parser takes, under torch's names."""

import operator
from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import symcnn
import symcnn.ops
from symcnn.frontends.torch.forms import NUMPY, orders, placed
from symcnn.ops.operation import Operation
from symcnn.trace.graph import OPS
from tests.corpus.forwards import Function

torch.set_num_threads(1)

SPACES = (torch, torch.Tensor, torch.nn.functional, torch.special, torch.linalg, torch.fft)


def functions_of(name: str) -> list[Any]:
    """Torch's functions and methods that the rule of that name serves."""
    if "." in name:
        space, _, plain = name.partition(".")
        return [getattr(torch.Tensor if space == "Tensor" else torch, plain)]
    plain = name
    for space in ("special_", "linalg_", "fft_"):
        plain = plain.removeprefix(space)
    elsewhere = [
        functions_of(f"{space}.{name}") for space in ("Tensor", "torch") if f"{space}.{name}" in OPS
    ]
    found = [getattr(space, plain, None) for space in SPACES]
    found = [f for f in found if [f] not in elsewhere]
    return [f for f in found if callable(f) and not isinstance(f, type)]


def rule_of(name: str) -> Any:
    operation = OPS[name]
    return operation.rule if isinstance(operation, Operation) else operation


#: Torch's private ways to call these, which no user's code does.
NOT_MEANT = {
    "embedding",  # aten puts the table first; the functions do not
    "embedding_bag",
    "Tensor.polygamma",  # aten puts the order first; the method does not
    "Tensor.where",  # and the condition
}


def names_without_a_place(name: str, function: Any) -> list[str]:
    """What torch's parser takes by name, and the rule has no place for."""
    operation = OPS[name]
    own = signature(rule_of(name)).parameters.values()
    if any(p.kind is Parameter.VAR_KEYWORD for p in own):
        return []  # what has no place is told to the rule by torch's name
    lost: list[str] = []
    for way in orders(function):
        if "batch_sizes" in way.names:  # of packed sequences, whose shape is data
            continue
        for place, word in enumerate(way.names):
            values = tuple(map(str, range(place)))
            args, kwargs = placed(function, operation, values, {word: "it"})
            try:
                signature(rule_of(name)).bind_partial(*args, **kwargs)
            except TypeError:
                lost.append(word)
    return lost


@pytest.mark.parametrize("name", sorted(set(OPS) - NOT_MEANT))
def test_every_name_that_torch_takes_has_a_place_in_the_rule(name: Any) -> None:
    for function in functions_of(name):
        if getattr(function, "__name__", "").startswith("_"):
            continue
        assert names_without_a_place(name, function) == []


@pytest.mark.parametrize("name", sorted(NUMPY))
def test_numpys_names_are_those_that_torchs_parser_takes(name: Any) -> None:
    x, own = torch.rand(3, 3), NUMPY[name]
    calls = {
        "dim": lambda: torch.sum(x, **{name: 1}),  # type: ignore[call-overload]
        "keepdim": lambda: torch.sum(x, dim=1, **{name: True}),  # type: ignore[call-overload]
        "input": lambda: torch.abs(**{name: x}),
        "other": lambda: torch.add(x, **{name: x}),  # type: ignore[call-overload]
    }
    calls[own]()  # raises TypeError if not


def with_sizes(x: Any, write: Any) -> Any:
    """Zeros, of sizes that were written to in a tensor."""
    sizes = torch.tensor(x.shape)
    write(sizes)
    return x.new_zeros(tuple(sizes.tolist()))


FORMS = {
    "torch.reshape(x, shape=)": lambda x: torch.reshape(x, shape=(x.shape[0], -1)),
    "x.reshape(shape=)": lambda x: x.reshape(shape=(-1, 3 * x.shape[2], x.shape[3])),
    "x.view(size=)": lambda x: x.view(size=(x.shape[0], -1)),
    "x.permute(dims=)": lambda x: x.permute(dims=(0, 2, 3, 1)),
    "torch.permute(input=)": lambda x: torch.permute(input=x, dims=(0, 2, 3, 1)),
    "x.expand(size=)": lambda x: x[:, :1].expand(size=(-1, 4, -1, -1)),
    "x.repeat(repeats=)": lambda x: x.repeat(repeats=(1, 2, 1, 1)),
    "torch.swapaxes(axis0=)": lambda x: torch.swapaxes(x, axis0=1, axis1=2),
    "x.swapdims(dim0=)": lambda x: x.swapdims(dim0=1, dim1=2),
    "x.sum(axis=)": lambda x: x.sum(axis=1),
    "x.amax(axis=, keepdims=)": lambda x: x.amax(axis=(1, 2), keepdims=True),
    "torch.cat(axis=)": lambda x: torch.cat(tensors=[x, x], axis=1),  # type: ignore[call-arg]
    "torch.stack(axis=)": lambda x: torch.stack([x, x], axis=1),  # type: ignore[call-arg]
    "x.pow(exponent=)": lambda x: x.pow(exponent=2),
    "x.clamp(max=)": lambda x: x.clamp(max=1),
    "x.squeeze(axis=)": lambda x: x[:, :1].squeeze(axis=1),
    "x.unflatten(dim=, sizes=)": lambda x: x.unflatten(dim=1, sizes=(1, 3)),
    "torch.add(x, 2, y)": lambda x: torch.add(x[:1, :1], 2, x),
    "torch.addmm(1, x, 1, a, b)": lambda x: torch.addmm(1, x[0, 0, 0, :1], 1, x[0, 0], x[0, 0].T),
    "torch.permute by tensors": lambda x: x.permute(*torch.tensor([1, 0, 2, 3])),
    "x.unsqueeze(tensor)": lambda x: x.unsqueeze(torch.tensor(1)),
    "x.roll(tensor)": lambda x: x.roll(torch.tensor(1), torch.tensor(2)),
    "x.H": lambda x: x[0, 0].H,
    "x.mH": lambda x: x.mH,
    "x.dsplit(1, 2)": lambda x: x.dsplit(1, 2)[1] if x.shape[2] > 2 else x,
    "x.index_fill(value=)": lambda x: x.index_fill(dim=1, index=torch.tensor([0]), value=0.0),
    "x.normal_(mean=)": lambda x: x.clone().normal_(mean=0.0, std=1.0),
    "x.polygamma(n)": lambda x: x.polygamma(1),
    "torch.polygamma(n, x)": lambda x: torch.polygamma(1, x),
    "torch.constant_pad_nd": lambda x: torch.constant_pad_nd(x, (1, 2)),
    "x.chunk(tensor)": lambda x: x.chunk(torch.tensor(3), dim=1)[0],
    "x.unbind()": lambda x: x.unbind()[0],
    "x.repeat_interleave(tensor)": lambda x: x.repeat_interleave(torch.tensor([1, 0, 3]), dim=1),
    "x.repeat_interleave(0-d tensor)": lambda x: x.repeat_interleave(torch.tensor(2)),
    "torch.repeat_interleave(sizes)": lambda x: torch.repeat_interleave(
        x, repeats=torch.tensor([x.shape[2], 1, 2]), dim=1, output_size=x.shape[2] + 3
    ),
    "x.tensor_split(tensor)": lambda x: x.tensor_split(torch.tensor([1, x.shape[2] // 2]), 2)[1],
    "x.tensor_split(0-d tensor)": lambda x: x.tensor_split(torch.tensor(2), 1)[0],
    "sizes[0] = 7": lambda x: with_sizes(x, lambda t: t.__setitem__(0, 7)),
    "sizes[1:] = size": lambda x: with_sizes(x, lambda t: t.__setitem__(slice(1, 3), x.shape[3])),
    "sizes[2] += 1": lambda x: with_sizes(x, lambda t: operator.iadd(t[2], 1)),
    "sizes[2:] *= 2": lambda x: with_sizes(x, lambda t: t[2:].mul_(2)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_gives_torchs_shape(form: str) -> None:
    found = symcnn.from_torch(Function(FORMS[form]), "N 3 H W", example={"N": 2, "H": 8, "W": 9})
    want = FORMS[form](torch.rand(2, 3, 8, 9))
    assert tuple(found.shape_at(N=2, H=8, W=9)) == tuple(want.shape)


def test_a_size_in_a_tensor_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(symcnn.errors.DataDependent, match="values of a tensor"):
        symcnn.from_torch(Function(lambda x: torch.nn.functional.pad(x, (x.sum(), 0))), "N 3 H W")


def test_a_parameter_to_the_power_of_a_single_one() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = torch.nn.Parameter(torch.ones(3, 1, 1))
            self.exponent = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.base**self.exponent

    assert str(symcnn.from_torch(Model(), "N 3 H W").output_shape) == "(N, 3, H, W)"


NONE: Any = None

#: Where torch's parser, or what torch computes, wants a number.
WITHOUT_NUMBERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "leaky_relu": lambda x: F.leaky_relu(x, NONE),
    "elu": lambda x: F.elu(x, NONE),
    "threshold": lambda x: F.threshold(x, NONE, 1.0),
    "dropout": lambda x: F.dropout(x, NONE),
    "layer_norm": lambda x: F.layer_norm(x, (6,), None, None, NONE),
    "group_norm by name": lambda x: F.group_norm(x, 2, eps=NONE),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True, momentum=NONE),
    "normalize": lambda x: F.normalize(x, eps=NONE),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x, NONE),
    "local_response_norm": lambda x: F.local_response_norm(x, 2, NONE),
    "lp_pool2d": lambda x: F.lp_pool2d(x, NONE, 2),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x, beta=NONE),
    "hinge_embedding_loss": lambda x: F.hinge_embedding_loss(x, x, margin=NONE),
    "gaussian_nll_loss": lambda x: F.gaussian_nll_loss(x, x, x, eps=NONE),
    "clamp": lambda x: x.clamp(NONE, NONE),
    "add": lambda x: torch.add(x, x, alpha=NONE),
}


@pytest.mark.parametrize("forward", WITHOUT_NUMBERS.values(), ids=WITHOUT_NUMBERS)
def test_none_is_refused_where_torch_takes_a_number_alone(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    with pytest.raises((TypeError, RuntimeError)):
        forward(torch.zeros(1, 4, 6, 6))
    with pytest.raises(symcnn.SymcnnError):
        symcnn.from_torch(Function(forward), "1 4 H 6")


#: Where none is a number of its own.
WITH_NONE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a bound": lambda x: x.clamp(None, 1.0),
    "an order": lambda x: torch.norm(x, NONE),
    "a scale": lambda x: F.scaled_dot_product_attention(x, x, x, scale=None),
    "an epsilon": lambda x: F.rms_norm(x, (6,), None, None),
    "a power": lambda x: F.normalize(x, NONE),
    "a correction": lambda x: x.std(1, correction=None),
    "a value": lambda x: F.pad(x, (1, 1), "constant", None),
}

TRUTHS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a kernel": lambda x: F.max_pool2d(x, (2, True)),
    "a mean": lambda x: F.avg_pool2d(x, (2, True)),
    "windows": lambda x: F.unfold(x, (2, True)),
    "a stride": lambda x: F.conv2d(x, x.new_zeros(2, 4, 3, 3), stride=(2, True)),
    "a pad": lambda x: F.pad(x, (2, True)),
    "an order": lambda x: x.permute(0, True, 2, 3),
    "an order at once": lambda x: x.permute((0, True, 2, 3)),
    "parts": lambda x: x.split([3, True], 1)[1],
    "axes": lambda x: x.unflatten(1, (4, True)),
}


@pytest.mark.parametrize(
    "forward", [*WITH_NONE.values(), *TRUTHS.values()], ids=[*WITH_NONE, *(f"{t} " for t in TRUTHS)]
)
def test_none_and_truths_are_taken_where_torch_takes_them(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    net = symcnn.from_torch(Function(forward), "1 4 H 6")
    assert net.shape_at(H=6) == tuple(forward(torch.zeros(1, 4, 6, 6)).shape)


FIRST_TRUTHS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a pad": lambda x: F.pad(x, (True, 1)),
    "parts": lambda x: x.split([True, 3], 1)[0],
    "a part": lambda x: x.split(True, 1)[0],
    "axes": lambda x: x.unflatten(1, (True, 4)),
    "a shape": lambda x: F.layer_norm(x[..., :1], (True,)),
    "a stride": lambda x: F.conv2d(x, x.new_zeros(2, 4, 3, 3), stride=(True, 1)),
}


@pytest.mark.parametrize("forward", FIRST_TRUTHS.values(), ids=FIRST_TRUTHS)
def test_a_truth_is_no_first_number(forward: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with pytest.raises((TypeError, RuntimeError)):
        forward(torch.zeros(1, 4, 6, 6))
    with pytest.raises(symcnn.SymcnnError):
        symcnn.from_torch(Function(forward), "1 4 H 6")


def test_a_mask_and_a_causal_one_are_refused_with_a_cure() -> None:
    """Torch says that it raises; one kernel of the CPU does not."""
    mask = torch.ones(6, 6, dtype=torch.bool)

    def both(x: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, x, x, mask, is_causal=True)

    with pytest.raises(RuntimeError, match="attn_mask should not be set"):
        both(torch.zeros(4, 6, 6))
    with pytest.raises(symcnn.SymcnnError, match="a fused kernel of the CPU"):
        symcnn.from_torch(Function(both), "1 4 6 6")
    cured = Function(lambda x: F.scaled_dot_product_attention(x, x, x, mask.tril()))
    assert symcnn.from_torch(cured, "N 4 6 6").output_shape[1:] == (4, 6, 6)


FIVE: Any = np.int32(5)
OF_NUMPY: dict[str, Callable[[Any], Any]] = {
    "repeat": lambda x: x.repeat(1, np.int64(2), 1, 1),
    "expand": lambda x: x[:, :1].expand(-1, np.int32(4), -1, -1),
    "new_zeros": lambda x: x.new_zeros(x.size(0), np.int64(5)),
    "zeros": lambda x: torch.zeros(x.size(3), FIVE),
}


@pytest.mark.parametrize("name", OF_NUMPY)
def test_a_whole_number_of_numpy_stands_beside_sizes(name: str) -> None:
    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return OF_NUMPY[name](x)

    net = symcnn.from_torch(Module(), "N 3 H W")
    assert net.complete
    assert net.shape_at(N=2, H=5, W=7) == tuple(OF_NUMPY[name](torch.zeros(2, 3, 5, 7)).shape)


#: Functions that answer with places whatever `return_indices` says, which they take, too.
WITH_PLACES: dict[str, tuple[str, Callable[[torch.Tensor], Any]]] = {
    "max_pool1d": ("N 3 W", lambda x: F.max_pool1d_with_indices(x, (2,))),
    "max_pool2d": ("N 3 H W", lambda x: F.max_pool2d_with_indices(x, (2, 2), return_indices=False)),
    "adaptive": ("N 3 H W", lambda x: F.adaptive_max_pool2d_with_indices(x, (2, 2))),
    "fractional": ("N 3 H W", lambda x: F.fractional_max_pool2d_with_indices(x, (2, 2), (3, 3))),
}


@pytest.mark.parametrize("name", WITH_PLACES)
def test_a_pool_with_indices_answers_with_both(name: str) -> None:
    spec, pool = WITH_PLACES[name]
    net = symcnn.from_torch(Function(pool), spec)
    sizes = {str(symbol): 9 for symbol in net.symbols}
    found = pool(torch.rand([sizes[s] if s.isalpha() else int(s) for s in spec.split()]))
    assert list(net.shape_at(**sizes)) == [tuple(t.shape) for t in found]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("first", [False, True])
def test_rows_of_several_lengths_are_padded_to_the_longest(first: bool, side: str) -> None:
    class Pads(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = [x[0], x[0, :4], x[0, ::2]]
            return torch.nn.utils.rnn.pad_sequence(rows, first, 1.0, side)

    net = symcnn.from_torch(Pads(), "1 L 3")
    for length in (1, 3, 5, 9):
        assert net.shape_at(L=length) == tuple(Pads()(torch.zeros(1, length, 3)).shape)
