"""Distributions of torch: what they draw and say of it, and what a forward returns of them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import distributions as law
from torch import nn

import symcnn

Made = Callable[[torch.Tensor], Any]

DISTRIBUTIONS: dict[str, Made] = {
    "normal": lambda x: law.Normal(x, x.exp()),
    "of several": lambda x: law.Independent(law.Normal(x, x.exp()), 2),
    "categorical": lambda x: law.Categorical(logits=x),
    "bernoulli": lambda x: law.Bernoulli(x.sigmoid()),
    "beta": lambda x: law.Beta(x.exp(), x.exp()),
    "dirichlet": lambda x: law.Dirichlet(x.exp()),
    "gamma": lambda x: law.Gamma(x.exp(), x.exp()),
    "poisson": lambda x: law.Poisson(x.exp()),
    "binomial": lambda x: law.Binomial(3, logits=x),
    "multinomial": lambda x: law.Multinomial(3, logits=x),
    "cauchy": lambda x: law.Cauchy(x, x.exp()),
    "squashed": lambda x: law.TransformedDistribution(
        law.Normal(torch.zeros_like(x), torch.ones_like(x)),
        [law.AffineTransform(x, x.exp()), law.TanhTransform(cache_size=1)],
    ),
    "a mixture": lambda x: law.MixtureSameFamily(law.Categorical(logits=x), law.Normal(x, x.exp())),
}


class Policy(nn.Module):
    """What is made of the distribution that a map stands for."""

    def __init__(self, make: Made, ask: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make, self.ask, self.conv = make, ask, nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.ask(self.make(self.conv(x)))


ASKED: dict[str, Callable[[Any], Any]] = {
    "sample": lambda d: d.sample(),
    "samples": lambda d: d.sample((5,)),
    "log_prob": lambda d: d.log_prob(d.sample()),
    "mean": lambda d: d.mean,
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("make", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_a_distribution_is_followed(make: Made, ask: Callable[[Any], Any]) -> None:
    module = Policy(make, ask)
    try:
        module(torch.rand(1, 3, 5, 6))
    except NotImplementedError:
        pytest.skip("torch says nothing of it")
    net = symcnn.from_torch(module, "N 3 H W")
    for n, h, w in ((2, 6, 5), (1, 9, 4)):
        assert net.shape_at(N=n, H=h, W=w) == tuple(module(torch.rand(n, 3, h, w)).shape)


def test_places_are_drawn_without_replacement_from_as_many() -> None:
    class Drawn(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.multinomial(x, 3)

    assert str(symcnn.from_torch(Drawn(), "N L").valid_inputs()) == "3 <= L <= 16777216"
    assert str(symcnn.from_torch(Drawn(), "N L").output_shape) == "(N, 3)"


def test_checks_of_a_distribution_are_checks_of_values() -> None:
    net = symcnn.from_torch(Policy(DISTRIBUTIONS["normal"], ASKED["mean"]), "N 3 H W")
    assert net.complete
    assert net.checks


class Pair:
    """An object that holds what it is given, and itself."""

    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)
        self.count, self.me = 2, self


RETURNED: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "a distribution": (lambda x: law.Normal(x, x.exp()), "{'loc': (N, 4, L), 'scale': (N, 4, L)}"),
    "a namespace": (lambda x: SimpleNamespace(y=x, n=3), "{'y': (N, 4, L)}"),
    "in a list": (lambda x: [Pair(a=x, b=[x])], "[{'a': (N, 4, L), 'b': [(N, 4, L)]}]"),
    "private": (lambda x: Pair(_fields={"box": x}), "{'_fields': {'box': (N, 4, L)}}"),
    "public alone": (lambda x: Pair(a=x, _b=x), "{'a': (N, 4, L)}"),
}


@pytest.mark.parametrize("name", RETURNED)
def test_an_object_that_is_returned_is_its_attributes_with_tensors(name: str) -> None:
    make, shapes = RETURNED[name]

    class Returns(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return make(x)

    net = symcnn.from_torch(Returns(), "N 4 L")
    assert str(net.outputs) == shapes
    assert net.validate(Returns(), device="cpu", samples=2)


def test_an_object_without_tensors_is_returned_as_it_is() -> None:
    pair = Pair(a=1)

    class Returns(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return x, pair

    assert symcnn.from_torch(Returns(), "N 4 L").outputs[1] is pair
