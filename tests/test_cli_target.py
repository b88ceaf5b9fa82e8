"""How a network is named on the command line: a file, a package, arguments, ONNX."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click import Context
from click.testing import CliRunner

from symcnn.cli import main
from symcnn.cli.name import Name
from symcnn.cli.target import Target
from symcnn.errors import BadSpec

from .conftest import ROOT

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, width=8, act="relu", *, pads=(1, 1)):
        super().__init__()
        assert act in ("relu", "a:b(c)")
        self.conv = torch.nn.Conv2d(3, width, 3, padding=pads)

    def forward(self, x):
        return self.conv(x)

def needs(depth):
    return Net(depth)

def broken():
    raise RuntimeError("no weights here")

def number():
    return 3

instance = Net()
_hidden = Net
size = 3
"""


def run(*words: Any, status: Any = 0) -> Any:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def output(target: Any, *words: Any) -> Any:
    return json.loads(run("shapes", target, *words, "--json").stdout)["output"]


def refused(target: Any, *words: Any) -> str:
    error = json.loads(run("shapes", target, *words, "--json", status=2).stdout)["error"]
    assert error["kind"] == "BadSpec"
    return f"{error['cause']}\n{error['cure']}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("Net", 8),
        ("instance", 8),
        ("Net()", 8),
        ("Net(16)", 16),
        ("Net(width=4)", 4),
        ("Net(4, 'a:b(c)')", 4),
        ("Net(pads=(1, 1), width=5)", 5),
        ("Net( width = -4 + 0j )", None),
        ("needs(depth=6)", 6),
    ],
)
def test_instances_classes_factories_and_literal_arguments(
    folder: Any, name: str, channels: int | None
) -> None:
    if channels is None:
        assert "raised" in refused(f"net.py:{name}")
    else:
        assert output(f"net.py:{name}") == ["N", channels, "H", "W"]


@pytest.mark.parametrize(
    "arguments",
    ["(width=os.getpid())", "(__import__('os'))", "(*[8])", "(**{'width': 8})", "(8", "(8)(8)",
     "(8).conv", "(width=8, width=9)", "(lambda: 0)", "(" * 300 + ")" * 300],
)  # fmt: skip
def test_arguments_that_are_no_literals_are_refused_and_never_run(
    folder: Any, arguments: str
) -> None:
    assert refused(f"net.py:Net{arguments}")


def test_a_name_that_is_not_there_lists_what_is(folder: Any) -> None:
    told = refused("net.py:Nett")
    assert "net.py has no Nett" in told
    assert "did you mean Net?" in told
    assert "there is Net, needs, broken, number, instance" in told
    assert "there is Net, needs" in refused("net.py")
    assert "there is Net, needs" in refused("net.py:")
    assert "did you mean weight?" in refused("net.py:instance.conv.weigth")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("net.py:needs", ["missing 1 required positional argument", "needs(depth)"]),
        ("net.py:Net(wide=3)", ["unexpected keyword", "Net(width=8, act='relu', *, pads=(1, 1))"]),
        ("net.py:broken", ["RuntimeError: no weights here"]),
        ("net.py:number", ["number() gave a int, not a torch.nn.Module"]),
        ("net.py:size", ["size is a int, not a module, class or factory", "there is Net"]),
        ("net.py:torch", ["torch is a python module, not a network", "net.py:torch.NAME"]),
        ("net.py:instance(3)", ["instance is a module already"]),
        ("nosuch.py:Net", ["there is no file nosuch.py"]),
        ("nosuch:Net", ["there is no module nosuch"]),
        ("no such:Net", ["there is no file or package no such"]),
        ("transformers.nosuch:Net", ["there is no module transformers.nosuch"]),
        ("nothing", ["there is no module nothing"]),
        ("", ["is not PATH.py:NAME or pkg.mod:NAME"]),
        (":Net", ["is not PATH.py:NAME or pkg.mod:NAME"]),
        ("nosuch.onnx", ["nosuch.onnx"]),
    ],
    ids=str,
)
def test_what_names_no_network_is_refused_with_a_way_out(
    folder: Any, target: str, words: list[str]
) -> None:
    told = refused(target)
    for word in words:
        assert word in told


def test_files_that_cannot_be_imported(folder: Any) -> None:
    (folder / "text.txt").write_text("hello")
    (folder / "wrong.py").write_text("import nosuchmodule\n")
    (folder / "syntax.py").write_text("def f(:\n")
    (folder / "script.py").write_text("raise SystemExit(0)\n")
    assert "not a python file" in refused("text.txt:Net")
    assert "No module named 'nosuchmodule'" in refused("wrong.py:Net")
    assert "SyntaxError" in refused("syntax.py:Net")
    assert "SystemExit" in refused("script.py:Net")


def test_relative_imports_in_a_file_of_a_package(folder: Any) -> None:
    package = folder / "src" / "mine" / "nets"
    package.mkdir(parents=True)
    (folder / "src" / "mine" / "__init__.py").write_text("")
    (folder / "src" / "mine" / "layers.py").write_text("from torch.nn import Conv2d\n")
    (package / "__init__.py").write_text("")
    (package / "small.py").write_text(
        "from ..layers import Conv2d\nfrom . import __name__ as home\nnet = Conv2d(3, 7, 3)\n"
    )
    assert output("src/mine/nets/small.py:net")[1] == 7
    (package / "__init__.py").write_text("from .small import net as other\n")
    assert output("src/mine/nets:other")[1] == 7
    assert output("src/mine/nets/__init__.py:other")[1] == 7
    assert output(package / "small.py:net")[1] == 7


def test_relative_imports_without_a_package_file(folder: Any) -> None:
    package = folder / "plain" / "nets"
    package.mkdir(parents=True)
    (folder / "plain" / "layers.py").write_text("from torch.nn import Conv2d\n")
    (package / "near.py").write_text("width = 6\n")
    (package / "one.py").write_text("from torch import nn\nfrom .near import width\n"
                                    "net = nn.Conv2d(3, width, 3)\n")  # fmt: skip
    (package / "two.py").write_text("from ..layers import Conv2d\nfrom .near import width\n"
                                    "net = Conv2d(3, width, 3)\n")  # fmt: skip
    assert output("plain/nets/one.py:net")[1] == 6
    assert output("plain/nets/two.py:net")[1] == 6


def test_a_package_by_its_dotted_name_installed_or_in_this_folder(folder: Any) -> None:
    (folder / "local").mkdir()
    (folder / "local" / "__init__.py").write_text("from .deep import Net\n")
    (folder / "local" / "deep.py").write_text(NET)
    assert output("local:Net(9)")[1] == 9
    assert output("local.deep:instance")[1] == 8
    assert output("torch.nn:Conv2d(3, 5, 3)")[1] == 5
    assert "there is Net" in refused("local:Nope")


def test_a_file_may_have_the_name_of_a_module_that_is_loaded(folder: Any) -> None:
    (folder / "json.py").write_text(NET)
    (folder / "torch_.py").write_text(NET)
    before = sys.modules["json"]
    assert output("json.py:Net(2)")[1] == 2
    assert sys.modules["json"] is before


def test_what_a_command_imports_is_forgotten_by_the_next(folder: Any) -> None:
    path = list(sys.path)
    assert output("net.py:Net")[1] == 8
    (folder / "net.py").write_text(NET.replace("width=8", "width=13"))
    assert output("net.py:Net")[1] == 13
    assert len(sys.path) <= len(path) + 1


REGISTERS = "torch.library.define('symcnn_tests::{}', '() -> ()')"  # which torch takes once


def test_two_networks_of_one_file_run_what_it_registers_once(folder: Any) -> None:
    (folder / "shared.py").write_text(f"import registered\n{NET}\n{REGISTERS.format('own')}")
    (folder / "registered.py").write_text(f"import torch\n{REGISTERS.format('other')}")
    run = CliRunner().invoke(main, ["agree", "shared.py:Net", "shared.py:Net(2)"])
    assert "shapes agree: nowhere" in run.output, run.output


def test_own_layers_and_networks_are_networks(folder: Any) -> None:
    (folder / "own.py").write_text(
        "import symcnn\nfrom symcnn import nn\n"
        "layer = nn.Conv2d(3, 4, 3)\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, width=4):\n        self.c = nn.Conv2d(3, width, 3)\n"
        "    def forward(self, x):\n        return self.c(x)\n"
        "traced = layer.trace('N 3 32 W')\n"
    )
    assert output("own.py:layer") == ["N", 4, "H - 2", "W - 2"]
    assert output("own.py:Net(5)")[1] == 5
    assert output("own.py:traced") == ["N", 4, 30, "W - 2"]


def test_networks_of_installed_packages() -> None:
    pytest.importorskip("transformers")
    target = "transformers.models.resnet.modeling_resnet:ResNetConvLayer(3, 10, stride=2)"
    assert output(target) == ["N", 10, "(H + 1)//2", "(W + 1)//2"]


def test_a_file_of_onnx_names_its_own_inputs(folder: Any) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    x = helper.make_tensor_value_info("x", kind, ["N", 3, "H", "W"])
    y = helper.make_tensor_value_info("y", kind, None)
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    graph = helper.make_graph([node], "pool", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), "pool.onnx")
    assert output("pool.onnx") == ["N", 3, "H//2", "W//2"]
    for words in (
        ["summary"], ["solve", "--output", "7x7"], ["rf"], ["cost"], ["valid"], ["explain"],
        ["tiles", "--sizes", "64", "--tile", "32"], ["spec", "--for", "jax"], ["prove"],
        ["report"], ["nearest", "--sizes", "9"], ["diagnose", "--sizes", "9x9"], ["pools"],
        ["batch", "--memory", "1 MiB", "--sizes", "64"], ["latex"], ["fix"],
    ):  # fmt: skip
        assert run(words[0], "pool.onnx", *words[1:]).output
    assert (
        "agree" in run("agree", "pool.onnx", "torch.nn:MaxPool2d(2)", "--input", "N 3 H W").output
    )
    told = json.loads(run("validate", "pool.onnx", "--json", status=2).stdout)["error"]
    assert "no torch module" in told["cause"]


# what the shape of the input is


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("torch.nn:Conv2d(3, 8, 3)", "N 3 H W"),
        ("torch.nn:Conv1d(2, 8, 3)", "N 2 L"),
        ("torch.nn:Conv3d(1, 8, 3)", "N 1 D H W"),
        ("torch.nn:ConvTranspose2d(5, 8, 3)", "N 5 H W"),
        ("torch.nn:Linear(784, 10)", "N 784"),
    ],
)
def test_the_input_is_by_default_what_the_first_layer_says(target: str, shape: str) -> None:
    result = run("shapes", target)
    assert result.stderr == f'with --input "{shape}", as the first layer says\n'
    as_json = run("shapes", target, "--json")
    assert json.loads(as_json.stdout)["assumed_inputs"] == [shape]
    assert as_json.stderr == ""
    assert run("shapes", target, "--input", shape).stderr == ""


def test_where_no_layer_says_it_the_shape_is_asked_for(folder: Any) -> None:
    (folder / "two.py").write_text(
        "import torch\nclass Two(torch.nn.Module):\n    def forward(self, a, b):\n"
        "        return a + b\n"
    )
    assert "the network has the inputs a, b" in refused("two.py:Two")
    assert "--input" in refused("torch.nn:ReLU")
    assert "takes indices" in refused("torch.nn:Embedding(10, 4)")
    assert output("two.py:Two", "--input", "N 3 L", "--input", "N 3 L") == ["N", 3, "L"]


def test_what_a_model_prints_is_not_in_the_json(folder: Any) -> None:
    (folder / "loud.py").write_text(
        "print('loading')\n" + NET.replace("return self", "print(x.shape); return self")
    )
    result = run("shapes", "loud.py:Net", "--json")
    assert json.loads(result.stdout)["output"] == ["N", 8, "H", "W"]
    assert "loading" in result.stderr
    assert "loading" in run("shapes", "loud.py:Net").stdout


def test_parts_of_a_name() -> None:
    assert Target.parse("a/b (c)/net.py:Net(1)") == Target("a/b (c)/net.py", "Net", (1,), {}, True)
    assert Target.parse(r"C:\nets\net.py:Net.make").name == "Net.make"
    assert Target.parse("net.py:réseau").name == "réseau"
    with pytest.raises(BadSpec):
        Target.parse("net.py:Net(1")


def test_a_network_alone_asks_for_its_summary() -> None:
    target = f"{ROOT}/examples/networks/unet.py:unet"
    assert run(target).stdout == run("summary", target).stdout
    assert run(target, "--depth", "1").stdout != run(target).stdout
    assert "did you mean summary" in run("sumary", target, status=2).output


def test_an_assumed_shape_is_said_where_the_network_refuses_it_too(folder: Any) -> None:
    (folder / "head.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.head, self.conv = torch.nn.Linear(8, 2), torch.nn.Conv2d(3, 8, 3)\n"
        "    def forward(self, x):\n"
        "        return self.head(self.conv(x).mean((2, 3)))\n"
    )
    assert run("shapes", "head.py:Net", "--input", "N 3 H W").stdout
    result = run("shapes", "head.py:Net", status=1)
    assert result.stderr.startswith('with --input "N 8", as the first layer says\nShapeMismatch: ')
    answer = json.loads(run("shapes", "head.py:Net", "--json", status=1).stdout)
    assert answer["assumed_inputs"] == ["N 8"]


def test_what_two_networks_are_assumed_to_take_is_said_of_both(folder: Any) -> None:
    words = ("diff", "net.py:Net", "torch.nn:Conv2d(4, 8, 3, padding=1)")
    assert run(*words, status=1).stderr.splitlines() == [
        'with --input "N 3 H W", as the first layer says',
        'with --input "N 4 H W", as the first layer says',
    ]
    assert json.loads(run(*words, "--json", status=1).stdout)["assumed_inputs"] == {
        "net.py:Net": ["N 3 H W"],
        "torch.nn:Conv2d(4, 8, 3, padding=1)": ["N 4 H W"],
    }
    assert len(run("diff", "net.py:Net", "net.py:Net(9)", status=1).stderr.splitlines()) == 1


def test_a_shell_completes_files_and_what_they_define(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text("class Net: pass\ndef new(): ...\nother = 3\n_own = 4\n")
    name, ctx = Name(), Context(main)

    def completed(text: str) -> list[str]:
        return [item.value for item in name.shell_complete(ctx, main.params[0], text)]

    assert name.shell_complete(ctx, main.params[0], "ne")[0].type == "file"
    assert completed(f"{file}:") == [f"{file}:{n}" for n in ("Net", "new", "other")]
    assert completed(f"{file}:ne") == [f"{file}:new"]
    assert completed(f"{tmp_path / 'none.py'}:") == []
