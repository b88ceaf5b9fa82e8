"""Work on parameters alone is work of the forward: torch says how much, and what it keeps."""

import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import symcnn
from symcnn.frontends.torch import writes
from symcnn.testing.oracles import torch_saved

Work = Callable[["Learned"], torch.Tensor]


class Learned(nn.Module):
    """The input times a number that is made of parameters alone."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work
        self.a = nn.Parameter(torch.randn(8, 5))
        self.b = nn.Parameter(torch.randn(5, 6))
        self.c = nn.Parameter(torch.randn(6, 3))
        self.v, self.u = nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(3))
        self.square = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("fixed", torch.randn(5, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.work(self).sum()


WORK: dict[str, Work] = {
    "a product": lambda m: m.a @ m.b,
    "chain_matmul": lambda m: torch.chain_matmul(m.a, m.b, m.c),
    "chain_matmul of a buffer": lambda m: torch.chain_matmul(m.a, m.fixed, m.c),
    "multi_dot": lambda m: torch.linalg.multi_dot([m.a, m.b, m.c]),
    "multi_dot from behind": lambda m: torch.linalg.multi_dot([m.c.T, m.b.T, m.a.T]),
    "multi_dot of four": lambda m: torch.linalg.multi_dot([m.a, m.b, m.c, m.c.T]),
    "multi_dot from a vector": lambda m: torch.linalg.multi_dot([m.v, m.b, m.c]),
    "multi_dot to a vector": lambda m: torch.linalg.multi_dot([m.b, m.c, m.u]),
    "multi_dot of vectors": lambda m: torch.linalg.multi_dot([m.v, m.b, m.c, m.u]),
    "a sum of what a property gives": lambda m: torch.fft.fft2(m.square).real,
    "covariance, without a rule": lambda m: torch.cov(m.a),
    "correlation, without a rule": lambda m: torch.corrcoef(m.a),
    "least squares, without a rule": lambda m: torch.linalg.lstsq(m.square, m.square)[0],
    "reflections, without a rule": lambda m: torch.linalg.householder_product(
        m.square, m.square.new_ones(4)
    ),
    "powers, without a rule": lambda m: torch.vander(m.v),
}


def torch_counts(module: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """FLOPs, and bytes of the storages that autograd keeps, parameters and buffers apart."""
    kept: list[torch.Tensor] = []

    def pack(t: torch.Tensor) -> torch.Tensor:
        kept.append(t)
        return t

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
    with FlopCounterMode(display=False) as counter, hooks:
        module(x)
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    storages = {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in kept)}
    return counter.get_total_flops(), sum(n for at, n in storages.items() if at not in own)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_work_on_parameters_alone_costs_and_keeps_what_torch_sees(work: Work) -> None:
    module = Learned(work)
    net = symcnn.from_torch(module, "N 3 H W")
    flops, saved = torch_counts(module, torch.randn(2, 3, 4, 5))
    cost = net.cost("flops").at(N=2, H=4, W=5)
    assert (cost.total, cost.saved) == (flops, saved)


def test_what_has_a_full_name_is_recorded_as_its_rule_has_it() -> None:
    """It was a constant: its bytes were left out, where its rule refuses them by name."""
    net = symcnn.from_torch(Learned(lambda m: torch.linalg.pinv(m.square)), "N 3 H W")
    assert net.nodes[0].op == "linalg_pinv"
    with pytest.raises(symcnn.errors.UnsupportedOperation, match="linalg_pinv"):
        _ = net.cost().saved


def test_work_without_a_rule_pickles_and_refuses_what_was_not_counted() -> None:
    net = symcnn.from_torch(Learned(lambda m: torch.pca_lowrank(m.a, 2)[0]), "N 3 H W")
    copy = pickle.loads(pickle.dumps(net))
    assert copy.cost("flops").total == net.cost("flops").total == 1024
    with pytest.raises(symcnn.errors.UnsupportedOperation, match="pca_lowrank"):
        _ = net.cost().backward


def test_the_order_of_products_of_maps_is_that_of_fewest_macs_at_the_sizes() -> None:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.multi_dot([x[0, 0], x[0, 0].T, x[0, 0]])

    class Maps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(x)

    net = symcnn.from_torch(Maps(), "1 3 H W")
    for h, w in ((4, 5), (5, 4), (3, 3), (9, 2)):
        flops, _ = torch_counts(Maps(), torch.randn(1, 3, h, w))
        assert net.cost("flops").at(H=h, W=w).total == flops


class PadsByBuffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 3, 3))
        self.stride, self.total = nn.Buffer(torch.tensor(4)), nn.Buffer(torch.tensor(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        frames = torch.ceil((y.shape[-1] + self.total) / self.stride).to(torch.int64)
        return F.pad(y, (0, frames * self.stride - self.total - y.shape[-1]))


def test_a_tensor_has_one_alias_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would leave the first without a tensor, and its id to another."""
    made: list[torch.Tensor] = []
    alias = writes._alias

    def noted(tensor: torch.Tensor) -> torch.Tensor:
        made.append(tensor)
        return alias(tensor)

    monkeypatch.setattr(writes, "_alias", noted)
    net = symcnn.from_torch(PadsByBuffers(), "1 3 L")
    assert net.shape_at(L=17) == (1, 3, 18)
    assert len(made) == len({id(t) for t in made})


class Normed(nn.Module):
    """A flow's first layer: it sets its scale and shift by the first batch."""

    def __init__(self, write: Callable[[torch.Tensor, torch.Tensor], object]) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(3, 1, 1)), nn.Buffer(torch.ones(3, 1, 1))
        self.write = write

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.write(self.shift, x.mean((0, 2, 3), keepdim=True)[0])
        self.write(self.scale, x.std((0, 2, 3), keepdim=True)[0])
        return x * torch.exp(self.scale) + self.shift


def _replace(weight: torch.Tensor, values: torch.Tensor) -> None:
    weight.data = values


@pytest.mark.parametrize(
    "write", [_replace, lambda w, v: w.data.copy_(v), lambda w, v: w.detach().copy_(v)]
)
def test_what_a_forward_writes_into_a_weight_is_read_from_then_on(
    write: Callable[[torch.Tensor, torch.Tensor], object],
) -> None:
    """By operators too: before, `x + self.shift` read the number that was there before."""
    net = symcnn.from_torch(Normed(write), "N 3 H W")
    assert str(net.receptive_field().at(N=2, H=3, W=4).size) == "(3, 4)"
    report = net.validate(Normed(write), device="cpu", samples=6)
    assert report, report.counterexample


def test_a_gradient_that_a_forward_asks_of_a_map_is_followed() -> None:
    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = (x * 2).requires_grad_()
            return y.exp() * y

    net = symcnn.from_torch(Asks(), "N 3 H W")
    assert str(net.cost().saved) == "24*N*H*W"
    assert net.cost().at(N=1, H=2, W=3).saved == torch_saved(net, Asks(), {"N": 1, "H": 2, "W": 3})
