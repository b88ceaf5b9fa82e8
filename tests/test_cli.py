"""The command line: the same answers, exit status 0, 1 or 2, and never a traceback."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT

NETWORKS = ROOT / "examples" / "networks"


def run(*words: Any) -> Any:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert "Traceback" not in result.output
    return result


def net(name: Any) -> str:
    file, _, factory = name.partition(":")
    return f"{NETWORKS / file}.py:{factory}"


def test_solve_answers_which_inputs_give_7x7_and_where() -> None:
    result = run("solve", net("resnet:resnet50"), "--input", "N 3 H W", "--output", "7x7")
    assert result.exit_code == 0
    assert "193 <= H <= 224 and 193 <= W <= 224" in result.output
    assert "7x7 at layer4, which is (N, 2048, (H + 31)//32, (W + 31)//32)" in result.output


def test_solve_in_json() -> None:
    words = ("solve", net("resnet:resnet18"), "--input", "N 3 H W", "--output", "7x7")
    answer = json.loads(run(*words, "--at", "layer3", "--json").output)
    assert answer["axes"] == {"H": [[97, 112, 1]], "W": [[97, 112, 1]]}
    assert answer["smallest"] == [97, 97]
    assert answer["at"] == "layer3"


def test_solve_flatten() -> None:
    words = ("solve", net("article_a:article_a"), "--input", "N 3 H W", "--square")
    result = run(*words, "--flatten", "12544")
    assert result.exit_code == 0
    assert "259 <= H <= 290" in result.output


def test_valid_names_the_layers_that_ask() -> None:
    result = run("valid", net("unet:unet"), "--input", "N 3 H W")
    assert result.exit_code == 0
    assert "H % 16 == 0 and H >= 16" in result.output
    assert "down4 and up4: 2*(H//16) == H//8" in result.output


def test_valid_in_json() -> None:
    answer = json.loads(run("valid", net("unet:unet"), "--input", "N 3 H W", "--json").output)
    assert answer["axes"]["H"] == [[16, None, 16]]
    assert answer["smallest"] == [16, 16]
    assert answer["largest"] is None
    assert answer["reasons"][0]["node"] == "cat:1"


def test_shapes_as_formulas_and_at_sizes() -> None:
    words = ("shapes", net("resnet:resnet18"), "--input", "N 3 H W")
    assert "layer4.1.conv2" in run(*words).output
    answer = json.loads(run(*words, "--json").output)
    assert answer["output"] == ["N", 1000]
    assert answer["params"] == 11689512
    assert answer["nodes"][0]["outputs"] == [["N", 64, "(H + 1)//2", "(W + 1)//2"]]
    sizes = ("--sizes", "N=1,H=64,W=64")
    assert re.search(r"layer4.1.conv2 +conv2d +\(1, 512, 2, 2\)", run(*words, *sizes).output)
    assert json.loads(run(*words, *sizes, "--json").output)["output"] == [1, 1000]
    assert "output (N, 1000)" in run(*words, "--sizes", "64x64").output


def test_classes_instances_and_own_layers_are_all_networks(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom symcnn import nn\n"
        "instance = torch.nn.Conv2d(3, 8, 3)\n"
        "own = nn.Sequential(nn.Conv2d(3, 8, 3))\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, 8, 3)\n"
        "    def forward(self, x):\n"
        "        return self.conv(x)\n"
        "def factory():\n    return Net()\n"
        "def broken():\n    raise RuntimeError('no weights here')\n"
        "class Raises(Net):\n"
        "    def forward(self, x):\n        raise KeyError('missing')\n"
        "number = 3\n"
    )
    for name in ("instance", "own", "Net", "factory"):
        result = run("solve", f"{file}:{name}", "--input", "N 3 H W", "--output", "7x7")
        assert result.exit_code == 0, result.output
        assert "H == 9 and W == 9" in result.output
    for name, words in (
        ("broken", "no weights here"),
        ("Raises", "raised KeyError"),
        ("number", "is a int, not a module"),
        ("facotry", "did you mean factory"),
    ):
        result = run("valid", f"{file}:{name}", "--input", "N 3 H W")
        assert result.exit_code == 2
        assert words in result.output


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("solve", "unet:unet", "--output", "100x100"), 1, "nearest output that some input gives"),
        (("solve", "article_b:Net", "--flatten", "7"), 1, "always a multiple of 8"),
        (("shapes", "article_b:Net", "--sizes", "N=1,H=64,W=64"), 1, "a batch of 4"),
        (("shapes", "alexnet:alexnet", "--sizes", "N=1,H=62,W=99"), 1, "H=63"),
        (("shapes", "unet:unet", "--sizes", "100x100"), 1, "100"),
        (("solve", "unet:unet", "--output", "7by7"), 2, "is not a size"),
        (("solve", "unet:unet"), 2, "--output 7x7 or --flatten"),
        (("solve", "resnet:resnet18", "--output", "7x7", "--at", "layr4"), 2, "did you mean"),
        (("valid", "resnet:resnet81"), 2, "did you mean"),
        (("valid", "nosuch:Net"), 2, "there is no file"),
        (("shapes", "article_b:Net", "--sizes", "N=1,Q=64"), 2, "Q"),
        (("shapes", "article_b:Net", "--sizes", "64x64x64"), 2, "a size for each of H, W"),
    ],
)
def test_bad_input_gives_one_clear_message(
    words: tuple[Any, ...], status: int, message: str
) -> None:
    command, name, *options = words
    result = run(command, net(name), "--input", "N 3 H W", *options)
    assert result.exit_code == status
    assert message in result.output


def test_a_malformed_spec_points_at_the_character() -> None:
    result = run("valid", net("article_b:Net"), "--input", "N 3 H ?")
    assert result.exit_code == 2
    assert "    N 3 H ?\n          ^" in result.output


def test_wrong_channels_are_a_mismatch() -> None:
    result = run("valid", net("resnet:resnet18"), "--input", "N 1 H W")
    assert result.exit_code == 1
    assert "conv1" in result.output


def test_the_input_is_what_the_first_layer_says() -> None:
    result = run("valid", net("article_b:Net"))
    assert result.stderr == 'with --input "N 3 H W", as the first layer says\n'
    assert result.exit_code == 0


def test_debug_shows_the_traceback() -> None:
    words = ["valid", net("resnet:resnet18"), "--input", "N 1 H W", "--debug"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1


# solving backwards


def ask(command: Any, name: Any, *words: Any) -> Any:
    return run(command, net(name), "--input", "N 3 H W", *words)


def test_wishes_combine_on_the_command_line() -> None:
    result = ask("solve", "resnet:resnet18", "--output", ">=7x>=7", "--multiple-of", "32")
    assert (
        "H % 32 == 0 and H >= 224"
        in ask("solve", "resnet:resnet18", "--output", ">=7x>=7", "--multiple-of", "32").output
    )
    assert result.exit_code == 0
    both = ask("solve", "resnet:resnet18", "--output", "layer3=14x14", "--output", "layer4=7x7")
    assert both.output.startswith("209 <= H <= 224 and 209 <= W <= 224")
    bounded = ask("solve", "resnet:resnet18", "--within", "200..300", "--aspect", "16:9")
    assert bounded.exit_code == 1
    assert "clash" in bounded.output or "no valid input" in bounded.output
    fixed = ask("solve", "resnet:resnet18", "--output", "7x*", "--size", "W=224")
    assert "193 <= H <= 224 and W == 224" in fixed.output


def test_formulas_and_budgets_in_json() -> None:
    formula = json.loads(ask("solve", "resnet:resnet18", "--output", "hx*", "--json").output)
    assert formula["parameters"] == ["h"]
    assert formula["set"] == "32*h - 31 <= H <= 32*h and W >= 1"
    words = ("--macs", "2G", "--multiple-of", "32", "--json")
    budget = json.loads(ask("solve", "resnet:resnet18", *words).output)
    assert [224, 224] in budget["frontier"]
    assert budget["set"].endswith("MACs <= 2,000,000,000")


def test_nearest_in_words_and_json() -> None:
    assert ask("nearest", "unet:unet", "--size", "500x375").output.splitlines()[0] == (
        "pad to 512x384: F.pad(x, (4, 5, 6, 6)), and at the output y[..., 6:506, 4:379]"
    )
    answer = json.loads(ask("nearest", "unet:unet", "--size", "H=500,W=375", "--json").output)
    assert answer["valid"] is False
    assert answer["pad"]["pad"] == [4, 5, 6, 6]
    assert answer["crop"]["sizes"] == {"H": 496, "W": 368}


def test_diagnose_says_why_and_exits_with_1_where_it_fails() -> None:
    result = ask("diagnose", "article_a:article_a", "--size", "227x227")
    assert result.exit_code == 1
    assert "torch says: mat1 and mat2 shapes cannot be multiplied" in result.output
    assert "self.fc = nn.Linear(9216, 4096)" in result.output
    fine = ask("diagnose", "article_a:article_a", "--size", "259x259", "--json")
    assert fine.exit_code == 0
    assert json.loads(fine.output)["ok"] is True


def test_fix_prints_the_line() -> None:
    assert (
        "self.fc = nn.Linear(9216, 4096)"
        in ask("fix", "article_a:article_a", "--size", "227x227").output
    )
    (fix,) = json.loads(ask("fix", "article_a:article_a", "--json").output)["fixes"]
    assert (fix["node"], fix["was"], fix["value"], fix["right"]) == ("fc", 12544, None, None)
    assert "no constant" in ask("fix", "unet:unet").output


@pytest.mark.parametrize(
    "words",
    [
        ("solve", "--output", "7x7", "--aspect", "wide"),
        ("solve", "--within", "300"),
        ("solve", "--macs", "lots"),
        ("solve", "--output", "7x7", "--output", "8x8"),
        ("solve", "--multiple-of", "x"),
        ("nearest", "--sizes", "500x500x500"),
        ("nearest", "--size", "H=5,Q=3"),
        ("diagnose", "--size", "7x*"),
        ("fix", "--size", "0x7"),
    ],
    ids=" ".join,
)
def test_bad_use_of_the_solving_commands(words: tuple[Any, ...]) -> None:
    command, *rest = words
    assert ask(command, "resnet:resnet18", *rest).exit_code == 2


def test_budgets_by_name_from_below_and_in_half_precision() -> None:
    command = ("solve", "resnet:resnet18", "--square")
    assert "H >= 245 and H == W" in ask(*command, "--peak", ">=8 MiB").output
    assert "H == W" in ask(*command, "--macs", "1G..2G", "--dtype", "float16").output
    assert ask(*command, "--saved", "1 KiB").exit_code == 1
    assert ask(*command, "--receptive-field", "<=64").exit_code == 1


OPEN = """
from symcnn import nn, symbols
k, s = symbols("k s")
net = nn.Conv2d(3, 8, k, stride=s)
"""


def test_hyperparameters_that_are_open(tmp_path: Path) -> None:
    (tmp_path / "opened.py").write_text(OPEN)
    command = ["solve", str(tmp_path / "opened.py:net"), "--input", "N 3 H W", "--output", "56x56"]
    runner = CliRunner()
    found = runner.invoke(main, [*command, "--size", "k=3..5,s=4"])
    assert found.output.splitlines()[0] == "k=3, s=4: 223 <= H <= 226 and 223 <= W <= 226"
    answer = json.loads(runner.invoke(main, [*command, "--size", "k=3..5,s=4", "--json"]).output)
    assert [row["values"]["k"] for row in answer["choices"]] == [3, 4, 5]
    assert answer["choices"][0]["smallest"] == [223, 223]
    assert runner.invoke(main, [*command, "--size", "k=3..5,s=4,H=99"]).exit_code == 1
    assert runner.invoke(main, [*command, "--size", "k=5..3"]).exit_code == 2


CONV = "torch.nn:Conv2d(3, 8, 3, padding=1)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("batch", CONV, "--input", "N 3 32 32", "--memory", "1 MiB"), "23 images in 1 MiB\n"),
        (("diagnose", CONV, "--input", "2 3 32 32"), "the only input is valid"),
        (("solve", CONV, "--input", "2 3 32 32", "--output", "32x32"), "comes from every input\n"),
    ],
)
def test_a_network_with_nothing_open_but_the_batch_needs_no_sizes(
    words: tuple[str, ...], said: str
) -> None:
    result = run(*words)
    assert result.exit_code == 0
    assert said in result.output
    assert "smallest" not in result.output


def test_a_format_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    result = run("spec", CONV, "--input", "N 3 H W", "--for", "nope")
    assert result.exit_code == 2
    assert "there is torch.export, jax, tensorrt, openvino, onnx" in result.output


def test_cost_at_sizes_of_an_image_is_a_formula_in_the_batch() -> None:
    result = ask("cost", "resnet:resnet18", "--sizes", "224x224", "--depth", "0")
    assert result.exit_code == 0
    assert "1814073344*N MACs" in result.output
