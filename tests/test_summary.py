"""The table of a network, as people paste it, and the answers in a notebook."""

import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn as tnn

import symcnn
from symcnn import nn
from symcnn.cli import main
from symcnn.errors import BadSpec, InvalidInput
from symcnn.notation.text import table
from symcnn.notation.tree import parts

from .conftest import ROOT, sure


@pytest.fixture(scope="module")
def resnet(example: Callable[..., Any]) -> symcnn.Network:
    return symcnn.from_torch(example("resnet:resnet18"), "N 3 H W")


def test_the_rows_at_sizes_add_up_to_the_totals(resnet: Any) -> None:
    whole = resnet.summary(at={"N": 1, "H": 224, "W": 224}, depth=1)
    assert sum(row.cells["params"] for row in whole.rows) == whole.totals["params"] == 11_689_512
    macs = resnet.macs.subs({"N": 1, "H": 224, "W": 224})
    assert sum(row.cells["macs"] for row in whole.rows) == whole.totals["macs"]
    assert [row.name for row in whole.rows][:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert whole.rows[4].cells["output"] == (1, 64, 56, 56)
    assert (
        macs.subs({s: v for s in macs.free_symbols for v in [1 if s.name == "N" else 224]})
        == (whole.totals["macs"])
    )


def test_without_sizes_it_is_formulas_with_the_domain(resnet: Any) -> None:
    shown = resnet.summary(depth=1)
    assert "(N, 64, (H + 3)//4, (W + 3)//4)" in shown
    assert "domain H >= 1 and W >= 1" in shown
    assert repr(shown) == str(shown) == print_of(shown)


def print_of(value: Any) -> str:
    return f"{value}"


def test_a_tree_shows_what_a_module_contains(resnet: Any) -> None:
    lines = resnet.summary(depth=2, columns=("params",)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("layer1"))
    assert lines[at].split() == ["layer1", "147,968"]
    assert lines[at + 1].split() == ["├─", "0", "73,984"]


def test_columns_are_chosen(resnet: Any) -> None:
    shown = resnet.summary(columns=("field", "memory", "source"), at={"H": 64, "W": 64, "N": 1})
    row = next(row for row in shown.rows if row.name == "conv1")
    assert row.cells["field"] == (7,)
    assert row.cells["memory"] == 64 * 32 * 32 * 4
    assert row.cells["source"].startswith("resnet.py:")
    with pytest.raises(BadSpec, match="memroy"):
        resnet.summary(columns=("memroy",))


def test_sizes_that_are_not_valid_are_refused(example: Callable[..., Any]) -> None:
    net = symcnn.from_torch(example("unet:UNet"), "N 3 H W")
    with pytest.raises(InvalidInput, match="nearest valid size: H=64"):
        net.summary(at={"N": 1, "H": 63, "W": 32})
    with pytest.raises(InvalidInput, match="H % 16 == 0"):
        net.summary(at={"H": 63})


def test_the_layer_that_refuses_some_sizes_is_named_whatever_the_others(
    example: Callable[..., Any],
) -> None:
    net = symcnn.from_torch(example("unet:UNet"), "N 3 H W")
    with pytest.raises(InvalidInput, match=r"along H: needs .*\n.*\n  nearest valid size: H=64"):
        net.summary(at={"H": 63, "W": 32})


class Twice(tnn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = tnn.Conv2d(8, 8, 3)
        self.pool = tnn.MaxPool2d(2)
        self.unused = tnn.Linear(5, 5)
        sure(self.block.bias).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.pool(self.block(x)))


def test_a_module_called_again_has_a_row_where_it_runs_and_its_weights_once() -> None:
    net = symcnn.from_torch(Twice(), "N 8 H W")
    for shown in (net.summary(depth=1), net.summary()):
        named = {row.name: row.cells for row in shown.rows}
        assert [*named] == ["block:1", "pool", "block:2"]
        assert [named[n]["params"] for n in named] == [584, 0, 0]
        assert [str(named[n]["output"][2]) for n in named] == ["H - 2", "H//2 - 1", "H//2 - 3"]
    totals = net.summary().totals
    assert (totals["params"], totals["frozen"], totals["unused"]) == (614, 8, 30)
    assert "params 614 (606 trainable, 8 frozen, 30 unused)" in net.summary()


def test_the_latex_table_follows_the_calls_in_order() -> None:
    rows = [
        line.split(" & ")[:2]
        for line in symcnn.from_torch(Twice(), "N 8 H W")
        .to_latex(depth=1, at={"N": 1, "H": 32, "W": 32})
        .splitlines()
        if line.startswith(("block", "pool"))
    ]
    assert rows == [
        ["block:1", r"$8 \times 30 \times 30$"],
        ["pool", r"$8 \times 15 \times 15$"],
        ["block:2", r"$8 \times 13 \times 13$"],
    ]


def test_calls_that_follow_each_other_are_counted() -> None:
    class Again(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = tnn.Sequential(tnn.Conv2d(3, 3, 1), tnn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(self.block(x))

    net = symcnn.from_torch(Again(), "N 3 H W")
    assert [(part.name, part.calls) for part in parts(net, 1)] == [("block", 2)]
    assert "block (x2)" in net.summary(depth=1)


def test_the_command_answers() -> None:
    command = ["summary", str(ROOT / "examples/networks/unet.py:unet"), "--input", "N 3 H W"]
    text = CliRunner().invoke(main, [*command, "--depth", "1"])
    assert text.exit_code == 0, text.output
    assert "MACs 735040*N*H*W" in text.output
    sizes = ["--sizes", "N=1,H=32,W=32", "--columns", "macs,memory", "--json"]
    answer = json.loads(CliRunner().invoke(main, [*command, *sizes]).output)
    assert answer["totals"]["macs"] == 735040 * 1024
    assert {*answer["rows"][0]} == {"name", "level", "calls", "macs", "memory"}


def test_the_bias_convention_counts_the_adds() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, bias=False), nn.Flatten(2), nn.Linear(9, 5)
    ).trace("N 3 5 5")
    assert str(net.cost("bias").total - net.cost().total) == f"{8 * 9 + 4 * 5}*N"


# Notebooks --------------------------------------------------------------------------------------


def answers() -> Iterator[Any]:
    """The classes of answers: what the questions return and people print."""
    for package in ("symcnn.questions", "symcnn.judge"):
        module = import_module(package)
        for info in pkgutil.walk_packages(module.__path__, f"{package}."):
            for name, kind in vars(import_module(info.name)).items():
                own = inspect.isclass(kind) and kind.__module__ == info.name
                if own and "__str__" in vars(kind) and not issubclass(kind, Exception):
                    yield pytest.param(kind, id=name)


@pytest.mark.parametrize("kind", [*answers()])
def test_every_answer_shows_itself_in_a_notebook(kind: Any) -> None:
    assert hasattr(kind, "_repr_html_") or hasattr(kind, "_repr_latex_")


def test_text_is_the_same_in_a_notebook(resnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import rich.console

    plain = str(resnet.summary()), str(resnet.cost()), str(resnet.receptive_field())
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert (str(resnet.summary()), str(resnet.cost()), str(resnet.receptive_field())) == plain
    assert resnet.cost()._repr_html_().startswith('<div class="symcnn">')


def test_every_node_says_where_it_stands(resnet: Any, example: Callable[..., Any]) -> None:
    import linecache

    for node in resnet.nodes:
        file, line = node.source.split(":")
        assert file == "resnet.py"
        assert linecache.getline(node.where.path, int(line)).strip() == node.where.text
    conv1 = resnet.nodes[0]
    assert "self.conv1(" in conv1.where.text
    assert resnet.given(N=1).nodes[0].source == conv1.source
    with torch.device("meta"):
        bare = symcnn.from_torch(tnn.Sequential(tnn.Conv2d(3, 4, 3)), "N 3 H W")
    assert bare.nodes[0].source == ""


@pytest.mark.parametrize(
    ("floors", "height"),
    [
        ("division", "(H + 3)//4"),
        ("brackets", "floor((H + 3)/4)"),
        ("shortest", "ceil(H/4)"),
    ],
)
def test_floors_are_written_in_the_style_that_is_asked(floors: str, height: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.MaxPool2d(3, 2, 1)).trace("N 3 H W")
    assert f"output (N, 8, {height}, {height.replace('H', 'W')})" in net.summary(floors=floors)


def test_a_page_a_cost_and_the_command_line_write_floors_in_the_style_that_is_asked(
    tmp_path: Path,
) -> None:
    net = nn.Conv2d(3, 8, 3, 2, 1).trace("N 3 H W")
    shown = {style: net.summary(floors=style)._repr_html_() for style in ("brackets", "shortest")}
    assert "\u2308" not in shown["brackets"]
    assert "\u2308" in shown["shortest"]
    assert "216*N*ceil(H/2)*ceil(W/2)" in net.cost().table(floors="shortest")
    (tmp_path / "net.py").write_text("from symcnn import nn\nnet = nn.Conv2d(3, 8, 3, 2, 1)\n")
    for command in ("cost", "shapes", "summary"):
        asked = [command, f"{tmp_path}/net.py:net", "--floors", "shortest"]
        assert "ceil(H/2)*ceil(W/2)" in CliRunner().invoke(main, asked).output


def test_sizes_have_names_and_a_column_may_stand_alone() -> None:
    net = nn.Conv2d(3, 8, 3).trace("N 3 H W")
    assert net.summary(columns="params") == net.summary(columns=("params",))
    with pytest.raises(BadSpec, match="at=") as refused:
        net.summary(at=(224, 224))
    assert 'at={"H": 224, "W": 224}' in refused.value.cure


def test_an_unknown_style_of_floors_is_refused() -> None:
    with pytest.raises(BadSpec, match="floors='square'"):
        nn.Conv2d(3, 8, 3, 2).trace("N 3 H W").summary(floors="square")


def test_a_library_beside_torch_is_no_part_of_torch() -> None:
    beside = Path(torch.__file__).parents[1] / "torchvision" / "models.py"
    space: dict[str, Any] = {"torch": torch, "__name__": "torchvision.models"}
    text = "class Net(torch.nn.Module):\n    def forward(self, x):\n"
    text += "        return x[..., : int(x.shape[2] / 2)]\n"
    exec(compile(text, str(beside), "exec"), space)
    net = symcnn.from_torch(space["Net"](), "N 3 H W")
    assert net.complete
    assert {str(node.source) for node in net.nodes} == {"models.py:3"}


def test_names_stand_in_a_table_as_they_are() -> None:
    assert table(("name",), [("branch[bold].0",), (":star:",)]) == "name\nbranch[bold].0\n:star:"


def test_a_table_too_wide_for_a_line_is_wrapped_where_it_is_widest() -> None:
    lines = table(
        ("name", "output", "MACs"),
        [("stem", "(N, 64, H//2, W//2)", "7"), ("a_name_without_end", "(N,)", "12")],
        numbers=("MACs",),
        width=30,
    ).splitlines()
    assert lines == [
        "name          output      MACs",
        "stem          (N, 64,        7",
        "              H//2,",
        "              W//2)",
        "a_name_witho  (N,)          12",
        "ut_end",
    ]
