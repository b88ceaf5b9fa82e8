"""A trace that fails: where, both sides, the network up to there, and cures that work.

Each bug network is a file of its own. The first cure that its error prints is applied, to the file
or to the model, and the network is then traced, and run by torch.
"""

import importlib.util
import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import symcnn
from symcnn import H, N, W, nn
from symcnn.errors import ShapeMismatch, SymcnnError, UnsupportedOperation
from symcnn.questions.repair import constructor

from .conftest import sure

BUGS = {
    "cat": """
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(3, 4, 3, padding=1)
        self.c = nn.Sequential(nn.Conv2d(16, 8, 3), nn.ReLU())
    def forward(self, x):
        both = torch.cat([self.a(x), self.b(x)], 1)
        return self.c(both)
    """,
    "add": """
        self.c = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    def forward(self, x):
        return x + self.c(x)
    """,
    "linear": """
        self.c = nn.Conv2d(3, 8, 3)
        self.pool = nn.AdaptiveAvgPool2d((4, 3))
        self.fc = nn.Linear(128, 10)
    def forward(self, x):
        return self.fc(self.pool(self.c(x)).flatten(1))
    """,
    "batch norm": """
        self.c = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(16)
    def forward(self, x):
        return self.bn(self.c(x))
    """,
    "instance norm": """
        self.c = nn.Conv2d(3, 8, 3)
        self.norm = nn.InstanceNorm2d(12, affine=True)
    def forward(self, x):
        return self.norm(self.c(x))
    """,
    "recurrent": """
        self.c = nn.Sequential(nn.Conv2d(3, 12, 3), nn.AdaptiveAvgPool2d((8, 1)))
        self.rnn = nn.GRU(10, 20, batch_first=True)
    def forward(self, x):
        return self.rnn(self.c(x).squeeze(3).transpose(1, 2))[0]
    """,
    "one mistake in many places": """
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(64, 8, 3, padding=1), nn.ReLU()) for _ in range(5)
        )
        self.head = nn.Conv2d(64, 2, 1)
    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)
    """,
    "a layer under two names": """
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(16)
        self.all = nn.Sequential(self.conv, self.norm)
    def forward(self, x):
        return self.all(x)
    """,
    "group norm": """
        self.c = nn.Conv2d(3, 24, 3)
        self.gn = nn.GroupNorm(16, 32)
    def forward(self, x):
        return self.gn(self.c(x))
    """,
    "transposed": """
        self.c = nn.Conv2d(3, 24, 3)
        self.up = nn.ConvTranspose2d(32, 8, 2, stride=2)
    def forward(self, x):
        return self.up(self.c(x))
    """,
    "attention": """
        self.c = nn.Conv2d(3, 90, 16, 16)
        self.a = nn.MultiheadAttention(64, 4, batch_first=True)
    def forward(self, x):
        y = self.c(x).flatten(2).transpose(1, 2)
        return self.a(y, y, y)[0]
    """,
    "attention heads": """
        self.c = nn.Conv2d(3, 96, 16, 16)
        self.heads, self.dim = 4, 32
    def forward(self, x):
        y = self.c(x).flatten(2).transpose(1, 2)
        b, n, c = y.shape
        return y.reshape(b, n, self.heads, self.dim).transpose(1, 2)
    """,
    "einsum": """
        self.c = nn.Conv2d(3, 12, 3)
        self.w = nn.Parameter(torch.empty(5, 8))
    def forward(self, x):
        return torch.einsum("nchw,oc->nohw", self.c(x), self.w)
    """,
    "view": """
        self.c = nn.Sequential(nn.Conv2d(3, 16, 5), nn.AdaptiveAvgPool2d(6))
        self.fc = nn.Linear(400, 10)
    def forward(self, x):
        x = self.c(x)
        x = x.view(x.shape[0], 400)
        return self.fc(x)
    """,
    "broadcasting": """
        self.c = nn.Conv2d(3, 12, 3)
        self.scale = nn.Parameter(torch.ones(1, 8, 1, 1))
    def forward(self, x):
        return self.c(x) * self.scale
    """,
    "matmul": """
        self.q, self.k = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 12, 1)
    def forward(self, x):
        return self.q(x).flatten(2).transpose(1, 2) @ self.k(x).flatten(2)
    """,
    "sizes at cat": """
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(3, 8, 5)
    def forward(self, x):
        return torch.cat([self.a(x), self.b(x)], 1)
    """,
}

_numbers = itertools.count()


def built(path: Any) -> Any:
    """The model of a file."""
    spec = importlib.util.spec_from_file_location(f"bug{next(_numbers)}", path)
    module = importlib.util.module_from_spec(sure(spec))
    sure(sure(spec).loader).exec_module(module)
    return module.Model()


def written(tmp_path: Any, bug: Any) -> Any:
    head = "import torch\nfrom torch import nn\n\n\nclass Model(nn.Module):\n"
    body = f"    def __init__(self):\n        super().__init__()\n{BUGS[bug].strip(chr(10))}\n"
    path = tmp_path / f"{bug.replace(' ', '_')}_{next(_numbers)}.py"
    path.write_text(head + body)
    return path


def failure(model: Any) -> Any:
    with pytest.raises(ShapeMismatch) as caught:
        symcnn.from_torch(model, "N 3 H W")
    return caught.value


@pytest.mark.parametrize("bug", BUGS)
def test_the_first_cure_that_is_printed_fixes_it(tmp_path: Path, bug: str) -> None:
    path = written(tmp_path, bug)
    error = failure(built(path))
    shown = str(error)
    first = shown.partition("cure: ")[2].partition("\n  or: ")[0].splitlines()
    steps = [step.strip() for step in first]
    assert steps == list(error.cures[0].steps)
    lines = path.read_text().splitlines()
    for step in steps:
        if place := re.fullmatch(rf"{re.escape(path.name)}:(\d+): (.*)", step):
            old = lines[int(place[1]) - 1]
            lines[int(place[1]) - 1] = old[: len(old) - len(old.lstrip())] + place[2]
    path.write_text("\n".join(lines))
    model = built(path)
    for step in steps:
        if not step.startswith(path.name):
            exec(step, {"model": model, "nn": torch.nn, "torch": torch})
    net = symcnn.from_torch(model, "N 3 H W")
    out = model.eval()(torch.zeros(2, 3, 64, 64))
    assert net.shape_at(N=2, H=64, W=64) == tuple(out.shape)


@pytest.mark.parametrize("bug", BUGS)
def test_the_error_names_the_line_and_what_it_reads(tmp_path: Path, bug: str) -> None:
    path = written(tmp_path, bug)
    error = failure(built(path))
    place = sure(re.search(rf"at {re.escape(path.name)}:(\d+): (.*)", error.cause))
    assert path.read_text().splitlines()[int(place[1]) - 1].strip() == place[2]
    assert re.search(r"\((N|\(H)", error.cause)  # a shape


def test_a_failed_join_tells_where_both_sides_come_from(tmp_path: Path) -> None:
    path = written(tmp_path, "cat")
    lines = str(failure(built(path))).splitlines()
    assert lines[0] == (
        "c.0 (conv2d): the input must have the channels the weight expects: 12 != 16"
    )
    assert lines[2].strip() == (
        f"cat (N, 12, H, W) at {path.name}:12 ="
        f" a (N, 8, H, W) at {path.name}:12 + b (N, 4, H, W) at {path.name}:12"
    )
    assert lines[3].strip() == "c.0 is nn.Conv2d(16, 8, 3)"
    assert lines[4].strip() == "cure: model.c[0] = nn.Conv2d(12, 8, 3)"


def test_the_model_itself_is_left_as_it_was(tmp_path: Path) -> None:
    model = built(written(tmp_path, "add"))
    before = {name: id(value) for name, value in model.named_parameters()}
    layers = {name: id(layer) for name, layer in model.named_modules()}
    assert failure(model).cures
    assert before == {name: id(value) for name, value in model.named_parameters()}
    assert layers == {name: id(layer) for name, layer in model.named_modules()}


def test_the_network_up_to_the_failure_answers_all_questions(tmp_path: Path) -> None:
    model = built(written(tmp_path, "cat"))
    for partial in (failure(model).partial, symcnn.trace_until_error(model, "N 3 H W")):
        assert [node.name for node in partial.nodes] == ["a", "b", "cat"]
        assert partial.output_shape == (N, 12, H, W)
        assert partial.receptive_field().size == (3, 3)
        assert "cat" in partial.summary()
    whole = symcnn.trace_until_error(torch.nn.Conv2d(3, 8, 3), "N 3 H W")
    assert whole.output_shape == (N, 8, H - 2, W - 2)


def test_what_has_no_rule_leaves_a_partial_network_too() -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.geqrf(torch.relu(x))  # type: ignore[return-value]

    with pytest.raises(UnsupportedOperation) as caught:
        symcnn.from_torch(Odd(), "N 3 H H")
    assert [node.op for node in caught.value.partial.nodes] == ["relu"]


def test_layers_of_our_own_are_cured_alike() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(4, 8, 3, padding=1))
    with pytest.raises(ShapeMismatch) as caught:
        net.trace("N 3 H W")
    assert str(caught.value.cures[0]) == "model[1] = nn.Conv2d(8, 8, 3, padding=1)"
    assert caught.value.partial.output_shape == (N, 8, H - 2, W - 2)
    assert symcnn.trace_until_error(net, "N 3 H W").output_shape == (N, 8, H - 2, W - 2)


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(4, 8, (3, 5), stride=2, padding=1, groups=2, bias=False),
        torch.nn.ConvTranspose1d(4, 8, 3, 2, output_padding=1),
        torch.nn.Linear(3, 4, bias=False),
        torch.nn.GroupNorm(2, 8),
        torch.nn.LayerNorm((8, 8)),
        torch.nn.MultiheadAttention(8, 2, batch_first=True),
        torch.nn.MaxPool2d(2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_call_that_makes_a_layer_is_told_from_the_layer(layer: torch.nn.Module) -> None:
    again = eval(constructor(layer), vars(torch.nn))
    assert repr(again) == repr(layer)
    assert [p.shape for p in again.parameters()] == [p.shape for p in layer.parameters()]


def test_an_error_that_is_only_caught_looks_for_no_cure(example: Callable[..., Any]) -> None:
    class Wrong(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = example("resnet:resnet50")
            self.body.fc = torch.nn.Linear(512, 10, device="meta")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x)

    start = time.process_time()
    with pytest.raises(SymcnnError) as caught:
        symcnn.from_torch(Wrong(), "N 3 H W")
    caught_after = time.process_time() - start
    assert str(caught.value.cures[0]) == "model.body.fc = nn.Linear(2048, 10)"
    assert caught_after < 2


def test_a_layer_of_a_configuration_is_not_spelled_out() -> None:
    """A repr may be pages long, and is no call that makes the layer."""

    class Config:
        def __repr__(self) -> str:
            return "Config {\n" + "\n".join(f"  a{i}: {i}" for i in range(50)) + "\n}"

    class Experts(torch.nn.Module):
        def __init__(self, config: Config) -> None:
            super().__init__()
            self.config = config

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[x.sum(-1).nonzero()]

    with pytest.raises(symcnn.DataDependent) as refused:
        symcnn.from_torch(torch.nn.Sequential(Experts(Config())), "N T 8")
    assert len(str(refused.value).splitlines()) < 6


class Residual(torch.nn.Module):
    """Two branches that are added, behind a check of the size as segmentation libraries have it."""

    def __init__(self, body: torch.nn.Module, skip: torch.nn.Module) -> None:
        super().__init__()
        self.body, self.skip = body, skip
        self.note = torch.zeros(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise RuntimeError("height and width must be divisible by 32")
        return torch.relu(self.body(x) + self.skip(x))


def conv(*numbers: int, **more: int) -> torch.nn.Conv2d:
    return torch.nn.Conv2d(*numbers, **more)  # type: ignore[arg-type]


def test_a_failure_behind_a_check_of_sizes_is_told_as_any_other() -> None:
    model = Residual(conv(3, 8, 3, stride=2, padding=1), conv(3, 8, 1))
    with pytest.raises(ShapeMismatch) as caught:
        symcnn.from_torch(model, "N 3 H W")
    told = str(caught.value)
    assert "test_diagnosis.py" in told
    assert "body (N, 8, (H + 1)//2, (W + 1)//2)" in told
    assert [node.name for node in caught.value.partial.nodes] == ["body", "skip"]
    assert len(symcnn.trace_until_error(model, "N 3 H W").nodes) == 2


@pytest.mark.parametrize(
    ("body", "skip", "cure"),
    [
        (conv(3, 8, 3, 2, 1), conv(3, 8, 1, 2, 1), "skip = nn.Conv2d(3, 8, 1, stride=2)"),
        (conv(3, 8, 4, padding=1), conv(3, 8, 1), "body = nn.Conv2d(3, 8, 3, padding=1)"),
        (conv(3, 8, 3, padding=1), conv(3, 4, 1), "skip = nn.Conv2d(3, 8, 1)"),
    ],
    ids=["padding, strided", "kernel", "channels"],
)
def test_a_window_that_is_off_by_one_is_cured(body: Any, skip: Any, cure: str) -> None:
    model = Residual(body, skip)
    with pytest.raises(ShapeMismatch) as caught:
        symcnn.from_torch(model, "N 3 H W")
    complete = [str(one) for one in caught.value.cures if one.complete]
    assert f"model.{cure}" in complete
    for one in complete:
        changed = Residual(body, skip)
        exec(one, {"model": changed, "nn": torch.nn})
        shape = symcnn.from_torch(changed, "N 3 H W").shape_at(N=1, H=64, W=96)
        assert changed(torch.zeros(1, 3, 64, 96)).shape == shape


class Buffered(torch.nn.Conv2d):
    """A convolution whose argument is a tensor, and None by default."""

    def __init__(self, a: int, b: int, kernel_size: int, start: torch.Tensor | None = None) -> None:
        super().__init__(a, b, kernel_size)
        self.a, self.b, self.start = a, b, start


def test_the_cure_of_a_layer_of_ones_own_has_its_own_name() -> None:
    model = torch.nn.Sequential(conv(3, 8, 3), Buffered(4, 8, 3, torch.zeros(2)))
    with pytest.raises(ShapeMismatch) as caught:
        symcnn.from_torch(model, "N 3 H W")
    assert "model[1] = Buffered(8, 8, 3)" in map(str, caught.value.cures)
