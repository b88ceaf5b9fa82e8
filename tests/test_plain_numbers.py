"""What takes numbers, and no sizes: the network goes on for these, and says so."""

import decimal
import fractions
import json
import math
import pickle
import statistics
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import symcnn
from symcnn.judge.oracles import torch_peak


class Forward(torch.nn.Module):
    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(x, *x.shape[2:])


def _cut(x: torch.Tensor, h: int, w: int) -> torch.Tensor:
    return x[:, :1] if "%d" % (h / 2) == "4" else x  # noqa: UP031


FIXED: dict[str, Callable[..., Any]] = {
    "json": lambda x, h, w: x[..., : len(json.dumps({"h": h}))],
    "json, read again": lambda x, h, w: x[..., : json.loads(json.dumps({"h": h}))["h"]],
    "Decimal": lambda x, h, w: x[..., : int(decimal.Decimal(h) / 2 + 1)],
    "Fraction": lambda x, h, w: x[..., : int(fractions.Fraction(h, 2) + 1)],
    "numpy, a logarithm": lambda x, h, w: x[..., : int(np.log2(h)) + 1],
    "numpy, as a tensor": lambda x, h, w: x * torch.from_numpy(np.blackman(w)),
    "gcd": lambda x, h, w: x[..., : math.gcd(h, w)],
    "logarithm": lambda x, h, w: x[..., : int(math.log2(h)) + 1],
    "a function of one": lambda x, h, w: x[..., : int(math.exp(-math.log2(h / 30))) + 1],
    "gcd of tensors": lambda x, h, w: x[..., : torch.gcd(torch.tensor(h), torch.tensor(w)).item()],
    "bits of both": lambda x, h, w: x if (h | w) & 7 else x[:, :1],
    "mean": lambda x, h, w: x[..., : int(statistics.mean([h, w]))],
    "struct": lambda x, h, w: x[..., : struct.unpack("i", struct.pack("i", h))[0]],
    "a fraction cut by a text": _cut,
    "letters": lambda x, h, w: x[..., : len(hex(h))],
    "pickle": lambda x, h, w: x[..., : pickle.loads(pickle.dumps(h))],
    "sum": lambda x, h, w: x.repeat(1, 1, 1, torch.sym_sum([h, w])),
    "root": lambda x, h, w: x[..., : math.isqrt(h * w)],
    "a product of narrow floats": lambda x, h, w: x[..., : int(h * np.float32(0.7)) + 1],
    "a narrow float, from the left": lambda x, h, w: x[..., : int(np.float32(0.7) * w) + 1],
    "a quotient times a narrow float": lambda x, h, w: x[..., : int(h / 2 * np.float16(0.7)) + 1],
    "numbers of a range, one by one": lambda x, h, w: x[..., : max(i for i in range(w)) + 1],
    "a range, listed and longer": lambda x, h, w: x[..., : len([*list(range(w)), 1]) - 1],
}


@pytest.mark.parametrize("run", FIXED.values(), ids=FIXED)
def test_what_takes_numbers_is_followed_at_numbers_and_its_line_is_said(
    run: Callable[..., Any],
) -> None:
    net = symcnn.from_torch(Forward(run), "N 3 H W")
    assert not net.complete
    assert all("test_plain_numbers.py" in left.where_in_code for left in net.unfollowed) or (
        run is FIXED["Fraction"]
    )
    assert not any("N " in left.condition for left in net.unfollowed)
    for h in (1, 2, 8, 9, 224):
        for w in (1, 4, 8, 12, 224):
            shape = tuple(Forward(run)(torch.zeros(1, 3, h, w)).shape)
            assert net.shape_at(N=1, H=h, W=w) == shape


EXACT: dict[str, Callable[..., Any]] = {
    "array": lambda x, h, w: x[..., : np.array([h, w]).min()],
    "halves": lambda x, h, w: x[..., : int(np.ceil(h / 2))],
    "product": lambda x, h, w: x.reshape(x.shape[0], 3, int(np.prod([h, w]))),
    "median": lambda x, h, w: x[..., : int(statistics.median([h, w]))],
    "isfinite": lambda x, h, w: x[..., : h if math.isfinite(h) and not math.isnan(w / 2) else 1],
    "isinf": lambda x, h, w: x[..., : 1 if math.isinf(h / 2) else w],
    "copysign": lambda x, h, w: x[..., : int(math.copysign(h - 4, -w)) + 4],
    "fabs": lambda x, h, w: x[..., : int(math.fabs(h - 4))],
    "divisors": lambda x, h, w: x[..., : math.gcd(h, 8)],
    "divisors of several": lambda x, h, w: x[..., : math.gcd(24, h - 5, 16)],
    "multiples": lambda x, h, w: x[..., : math.lcm(h, 6)],
    "divisors, by numpy": lambda x, h, w: x[..., : np.gcd(12, h)],
    "beside a narrow float": lambda x, h, w: x[:, :1] if np.float32(3.5) < h else x,
    "numbers of numpy": lambda x, h, w: x[..., : int(np.float64(np.int64(h)) * 0.7) + 1],
    "a number of numpy, from the left": lambda x, h, w: x[..., : np.int64(3) * h],
    "equal to itself": lambda x, h, w: x[:, :1] if torch.equal(x, x) else x,
    "equal to what is longer": lambda x, h, w: x[:, :1] if x.equal(torch.cat([x, x])) else x,
}


@pytest.mark.parametrize("run", EXACT.values(), ids=EXACT)
def test_what_is_arithmetic_of_sizes_stays_a_size(run: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Forward(run), "N 3 H W")
    assert net.complete
    for h in (1, 2, 8, 9):
        for w in (1, 4, 8, 12):
            shape = tuple(Forward(run)(torch.zeros(1, 3, h, w)).shape)
            assert net.shape_at(N=1, H=h, W=w) == shape


RANGES: dict[str, Callable[..., Any]] = {
    "a tensor": lambda x, h, w: torch.tensor(range(w)),
    "a tensor of floats": lambda x, h, w: torch.FloatTensor(range(h)),
    "by its dtype": lambda x, h, w: torch.tensor(range(2, h + 2, 3), dtype=torch.float32),
    "listed": lambda x, h, w: torch.as_tensor(list(range(w)))[None] + x[0, 0],
    "like another": lambda x, h, w: x.new_tensor(range(h)),
    "an index": lambda x, h, w: x[:, :, range(0, h, 2)],
    "a tensor as an index": lambda x, h, w: x[:, :, torch.LongTensor(range(h)) // 2],
    "an index that has to fit": lambda x, h, w: x[:, :, torch.tensor(range(w))],
    "an array": lambda x, h, w: torch.from_numpy(np.array(range(1, h + 1))),
    "an array of floats": lambda x, h, w: torch.tensor(
        np.asarray(list(range(h)), dtype=np.float32)
    ),
    "a grid": lambda x, h, w: torch.from_numpy(np.meshgrid(range(w), range(h))[1]) + x[:, 0],
    "its length": lambda x, h, w: x[..., : len(range(1, h, 3))],
    "its length in steps": lambda x, h, w: x[..., : len(list(range(h)[::3]))],
    "what is in it": lambda x, h, w: x[..., 1:] if h in range(2, w, 3) else x,
    "whether it is empty": lambda x, h, w: x[..., 1:] if range(3, h) else x,
    "how often": lambda x, h, w: x[..., range(h).count(w) :],
}


@pytest.mark.parametrize("run", RANGES.values(), ids=RANGES)
def test_a_range_up_to_a_size_is_what_arange_makes(run: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Forward(run), "N 3 H W")
    assert net.complete
    for h in (1, 2, 5, 8):
        for w in (1, 2, 5, 8):
            try:
                want = Forward(run)(torch.zeros(1, 3, h, w))
            except IndexError:
                with pytest.raises(symcnn.InvalidInput):
                    net.shape_at(N=1, H=h, W=w)
                continue
            assert net.shape_at(N=1, H=h, W=w) == tuple(want.shape)
            assert net.output_tensors[0].dtype == str(want.dtype).removeprefix("torch.")


def _position(factor: Callable[[int], float], **how: Any) -> Callable[..., Any]:
    """A table of 14 x 14 positions resized to the patches of an image, as DINO does it."""
    table = torch.zeros(1, 1, 14, 14)

    def run(x: torch.Tensor, h: int, w: int) -> torch.Tensor:
        factors = factor(h // 16), factor(w // 16)
        return torch.nn.functional.interpolate(table, scale_factor=factors, mode="bicubic", **how)

    return run


@pytest.mark.parametrize("how", [{}, {"recompute_scale_factor": True}], ids=["as it is", "again"])
def test_a_table_resized_by_a_float_of_sizes_has_a_size_for_each(how: dict[str, bool]) -> None:
    run = _position(lambda rows: float(rows + 0.1) / 14, **how)
    net = symcnn.from_torch(Forward(run), "N 3 H W")
    assert net.complete
    assert str(net.output_shape) == "(1, 1, H//16, W//16)"
    for h, w in (16, 47), (225, 980), (976, 1600):
        shape = tuple(run(torch.zeros(1, 3, h, w), h, w).shape)
        assert net.shape_at(N=1, H=h, W=w) == shape


def test_where_floats_round_a_factor_down_the_sizes_before_are_a_branch() -> None:
    """61/14*14 is 60.99999999999999: the reason for DINO's 0.1."""
    run = _position(lambda rows: rows / 14)
    net = symcnn.from_torch(Forward(run), "N 3 H W")
    assert not net.complete
    assert str(net.branches[0].where.words()) == "1 <= H <= 975 and 1 <= W <= 975"
    assert str(net.branches[0].network.output_shape) == "(1, 1, H//16, W//16)"
    for h, w in (960, 975), (976, 16), (16, 992), (984, 985):
        shape = tuple(run(torch.zeros(1, 3, h, w), h, w).shape)
        assert net.shape_at(N=1, H=h, W=w) == shape


def test_a_size_and_a_factor_at_once_are_refused_as_torch_refuses_them() -> None:
    run = _position(lambda rows: float(rows + 0.1) / 14, size=(3, 3))
    with pytest.raises(ValueError, match="only one of size or scale_factor"):
        run(torch.zeros(1, 3, 32, 32), 32, 32)
    with pytest.raises(symcnn.ShapeMismatch, match="either size or scale_factor"):
        symcnn.from_torch(Forward(run), "N 3 H W")


def test_what_an_input_is_read_by_is_the_factor_itself() -> None:
    resize = torch.nn.functional.interpolate
    forward = Forward(lambda x, h, w: resize(x, scale_factor=(14.5 / h, 14.5 / w), mode="bilinear"))
    net = symcnn.from_torch(forward, "N 3 H W", example={"H": 28, "W": 29})
    assert not net.complete
    at = net.receptive_field().at(H=28, W=29)
    factor = 14.5 / 28
    assert at.interval(7) == (int((7 + 0.5) / factor - 0.5), int((7 + 0.5) / factor - 0.5) + 1)


def test_values_of_the_input_are_still_data() -> None:
    with pytest.raises(symcnn.DataDependent):
        symcnn.from_torch(Forward(lambda x, h, w: x[..., : int(x.sum())]), "N 3 H W")


def test_a_forward_without_sizes_that_is_refused_runs_no_thousand_times() -> None:
    """Numbers in place of no size are what it had: it was tried again until python had enough."""
    runs: list[int] = []

    def forward(x: torch.Tensor, *sizes: int) -> torch.Tensor:
        runs.append(len(sizes))
        return x.masked_select(x > 0)

    with pytest.raises(symcnn.DataDependent, match="masked_select"):
        symcnn.from_torch(Forward(forward), "1 3 4 5")
    assert len(runs) <= 3


def _shrunk(x: torch.Tensor) -> torch.Tensor:
    """What nothing below names: sizes are numbers to python's own ``int`` and ``isinstance``."""
    h, w = x.shape[-2:]
    columns = w if isinstance(w, int) else 1
    return torch.nn.functional.interpolate(x, size=(int(float(h) * 0.5), columns))


class _Registry:
    def __init__(self) -> None:
        self.held = {"shrunk": _shrunk}

    def get(self, name: str) -> Callable[..., Any]:
        return self.held[name]


_REGISTRY = _Registry()


@pytest.mark.parametrize(
    "find",
    [
        lambda: globals()["_shr" + "unk"],
        lambda: getattr(sys.modules[__name__], "_shr" + "unk"),
        lambda: _REGISTRY.get("shrunk"),
    ],
    ids=["by its name", "of its module", "in a registry"],
)
def test_a_function_that_a_forward_finds_when_it_runs_keeps_sizes(find: Any) -> None:
    class Finds(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return find()(x)

    net = symcnn.from_torch(Finds(), "N 3 H W")
    assert net.complete
    assert str(net.output_shape) == "(N, 3, H//2, W)"


@pytest.mark.parametrize(
    "use",
    [
        lambda x, h, w: x * torch.hann_window(w),
        lambda x, h, w: x * torch.kaiser_window(w, periodic=False, beta=3.0),
        lambda x, h, w: x * torch.fft.fftfreq(w, d=1 / w),
        lambda x, h, w: torch.fft.rfft(x) * torch.fft.rfftfreq(w),
        lambda x, h, w: torch.stack(torch.unravel_index(x.flatten(2).argmax(-1), (h, w)), -1),
        lambda x, h, w: x[..., : int(float(f"{w}") / 2) + 1],
        lambda x, h, w: x * (np.arange(1) / w)[0] * math.cos((0 * np.pi) / h),
        lambda x, h, w: x * np.cos(np.pi * np.arange(1) / h)[0],
    ],
    ids=[
        "a window",
        "another window",
        "frequencies",
        "half of them",
        "places in a map",
        "a float of a text",
        "nothing of it",
        "numpy's of nothing",
    ],
)
def test_what_is_made_of_a_size_holds_at_every_size(use: Callable[..., Any]) -> None:
    net = symcnn.from_torch(Forward(use), "N 3 H W")
    assert net.complete
    for h, w in ((5, 1), (4, 9)):
        assert net.shape_at(N=2, H=h, W=w) == tuple(use(torch.rand(2, 3, h, w), h, w).shape)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_a_periodic_window_is_a_part_of_a_longer_one(periodic: bool, length: int) -> None:
    module = Forward(lambda x, w: x * torch.hann_window(w, periodic))
    net, x = symcnn.from_torch(module, "N 3 W"), torch.rand(2, 3, length)
    assert net.cost().at(N=2, W=length).peak == torch_peak(module, module, [x])[0]


def test_a_float_of_sizes_beside_a_complex_number_is_a_number() -> None:
    net = symcnn.from_torch(Forward(lambda x, h, w: (x * (1j * (h / 3))).real), "N 3 H W")
    assert "python needs a number there" in net.unfollowed[0].reason
    assert net.shape_at(N=1, H=5, W=4) == (1, 3, 5, 4)


def test_a_shape_that_a_forward_makes_and_returns_is_a_tuple_of_sizes() -> None:
    net = symcnn.from_torch(Forward(lambda x, h, w: (x, torch.Size([w, h, 3]))), "N 3 H W")
    assert str(net.outputs) == "((N, 3, H, W), (W, H, 3))"
    assert net.shape_at(N=1, H=2, W=5)[1] == (5, 2, 3)
