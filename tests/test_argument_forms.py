"""Every rule takes what torch's own argument parser takes, under torch's names."""

import operator
from inspect import Parameter, signature
from typing import Any

import pytest
import torch

import symcnn
import symcnn.ops
from symcnn.frontends.torch.forms import NUMPY, orders, placed
from symcnn.ops.operation import Operation
from symcnn.trace.graph import OPS

torch.set_num_threads(1)

SPACES = (torch, torch.Tensor, torch.nn.functional, torch.special, torch.linalg, torch.fft)


class Forward(torch.nn.Module):
    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.run = forward

    def forward(self, *inputs: Any) -> Any:
        return self.run(*inputs)


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
    found = symcnn.from_torch(Forward(FORMS[form]), "N 3 H W", example={"N": 2, "H": 8, "W": 9})
    want = FORMS[form](torch.rand(2, 3, 8, 9))
    assert tuple(found.shape_at(N=2, H=8, W=9)) == tuple(want.shape)


def test_a_size_in_a_tensor_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(symcnn.errors.DataDependent, match="values of a tensor"):
        symcnn.from_torch(Forward(lambda x: torch.nn.functional.pad(x, (x.sum(), 0))), "N 3 H W")


def test_a_parameter_to_the_power_of_a_single_one() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = torch.nn.Parameter(torch.ones(3, 1, 1))
            self.exponent = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.base**self.exponent

    assert str(symcnn.from_torch(Model(), "N 3 H W").output_shape) == "(N, 3, H, W)"
