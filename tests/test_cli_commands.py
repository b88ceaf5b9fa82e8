"""Every command: an answer on a real network in text and in JSON, errors in JSON, exit statuses."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT

RESNET, UNET, A = (
    f"examples/networks/{name}"
    for name in ("resnet.py:resnet18", "unet.py:unet", "article_a.py:article_a")
)

#: For each command a line with an answer, and a text that is in it.
ANSWERED = {
    "summary": (f"{RESNET} --depth 1", "11,689,512"),
    "shapes": (f"{UNET} --module down4", "output (N, 512, H//8, W//8)"),
    "report": (UNET, "735040*N*H*W"),
    "diff": (f"{UNET} {UNET}", "nothing changed"),
    "solve": (f"{RESNET} --output 7x7", "193 <= H <= 224"),
    "valid": (UNET, "H % 16 == 0"),
    "nearest": (f"{UNET} --sizes 500x375", "pad to 512x384"),
    "batch": (f'{RESNET} --memory "8 GiB" --sizes 224', " images of H=224, W=224 in 8 GiB"),
    "diagnose": (f"{UNET} --sizes 64", "H=64"),
    "fix": (f"{A} --sizes 227", "nn.Linear(9216, 4096)"),
    "layer": ("224 112 --with kernel_size=3,stride=2", "padding=1"),
    "pools": (RESNET, "avgpool"),
    "tiles": (f"{UNET} --sizes 1024 --tile 512", "tiles"),
    "shards": (f"{UNET} --sizes 1024 --parts 2 --module down2", "2"),
    "stream": ("torch.nn:Conv1d(1,1,3)", "2"),
    "agree": (f"{UNET} {UNET}", "at all of these"),
    "buckets": (f"{UNET} --images 300x400=3,64x64 --buckets 2 --cost pixels", "2 buckets"),
    "rf": (RESNET, "435"),
    "cost": (f"{RESNET} --sizes N=1,H=224,W=224", "1,814,073,344"),
    "check": (f'{A} --sizes 227 --claim "conv1 = 55"', "right"),
    "validate": ("torch.nn:Conv2d(3,8,3,stride=2) --samples 6", "1 passed"),
    "prove": ("torch.nn:Conv2d(3,8,3,stride=2)", "proved"),
    "explain": (f"{A} --module pool1", "the receptive field is 19"),
    "latex": (f"{A} --module pool3", "toprule"),
    "draw": (f"{UNET} --as mermaid", "flowchart TD"),
    "spec": (f"{UNET} --for torch.export", "Dim"),
    "completion": ("bash", "_SYMCNN_COMPLETE"),
}  # fmt: skip

#: A no, with status 1, and its kind.
NOES = [
    (f"solve {UNET} --output 100x100", "NoSolution"),
    (f"shapes {UNET} --sizes 100", "InvalidInput"),
    (f"summary {UNET} --sizes 100", "InvalidInput"),
    (f"rf {UNET} --sizes 100", "InvalidInput"),
    (f"report {UNET} --sizes 100", "InvalidInput"),
    (f"tiles {UNET} --sizes 100 --tile 64", "InvalidInput"),
    (f"fix {RESNET} --output HxW", "NoSolution"),
    (f'batch {RESNET} --sizes 224 --memory "1 KiB"', "NoSolution"),
    (f"valid {RESNET} --input 'N 1 H W'", "ShapeMismatch"),
    ("stream torch.nn:GroupNorm(1,4) --input 'N 4 L'", "NoSolution"),
]

#: Bad use, with status 2, and its kind.
BAD = [
    (f"solve {RESNET}", "UsageError"),
    (f"solve {RESNET} --output 7by7", "BadSpec"),
    (f"solve {RESNET} --output 7x7 --module layr4", "BadSpec"),
    (f"summary {RESNET} --columns colour", "BadSpec"),
    (f"summary {RESNET} --depth x", "UsageError"),
    (f"shapes {RESNET} --sizes 1x2x3", "BadSpec"),
    (f"shapes {RESNET} --sizes H=,W=3", "BadSpec"),
    (f"shapes {RESNET} --sizes Q=3", "BadSpec"),
    (f"shapes {RESNET} --sizes 224 --input 'N 3 224 224'", "BadSpec"),
    (f"nearest {RESNET}", "UsageError"),
    (f"nearest {RESNET} --sizes 0", "BadSpec"),
    (f"diagnose {RESNET} --sizes 7x*", "BadSpec"),
    (f"batch {RESNET} --sizes 224", "UsageError"),
    (f"batch {RESNET} --sizes 224 --memory lots", "BadSpec"),
    (f"tiles {UNET} --sizes 1024 --tile wide", "BadSpec"),
    (f"shards {UNET} --sizes 1024 --parts 0", "BadSpec"),
    (f"stream {UNET} --axis Q", "BadSpec"),
    (f"agree {UNET}", "UsageError"),
    (f"agree {UNET} {UNET}x", "BadSpec"),
    (f"buckets {UNET} --images 300xa --buckets 2", "BadSpec"),
    (f"rf {RESNET} --wrt nothing", "BadSpec"),
    (f"rf {RESNET} --plot x.png", "UsageError"),
    (f"cost {RESNET} --convention nobody", "BadSpec"),
    (f"cost {RESNET} --peak 3", "UsageError"),
    (f"check {A} --claim 'import os'", "BadSpec"),
    (f"validate {RESNET} --module layer1", "BadSpec"),
    (f"validate {RESNET} --device tpu", "BadSpec"),
    (f"prove {RESNET} --by hand", "UsageError"),
    (f"explain {A} --what colour", "BadSpec"),
    (f"latex {A} --what colour", "BadSpec"),
    (f"spec {UNET} --for nobody", "BadSpec"),
    (f"plot {RESNET} colour", "BadSpec"),
    (f"plot {RESNET} cost --sizes H=1..8,W=1..9", "BadSpec"),
    (f"plot {RESNET} sizes --place 3x3", "BadSpec"),
    (f"draw {RESNET} --as words", "UsageError"),
    (f"draw {RESNET} --depth 0", "BadSpec"),
    (f"pools {RESNET} --module nothing", "BadSpec"),
    (f"fix {RESNET} --sizes N=H", "BadSpec"),
    ("layer 224 wide", "BadSpec"),
    ("layer 224 112 --layer Nothing", "BadSpec"),
    ("annotate nosuch.onnx out.onnx", "BadSpec"),
    ("completion csh", "UsageError"),
    ("nosuch", "UsageError"),
    ("--nosuch", "UsageError"),
]


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(line: Any, *words: Any) -> Any:
    return CliRunner().invoke(
        main, [*shlex.split(line.replace("(", "'(").replace(")", ")'")), *words]
    )


@pytest.mark.parametrize("command", ANSWERED)
def test_an_answer_in_text_and_in_json(command: str) -> None:
    line, text = ANSWERED[command]
    result = run(f"{command} {line}")
    assert result.exit_code == 0, result.output
    assert text in result.stdout
    as_json = run(f"{command} {line}", "--json")
    assert as_json.exit_code == 0
    answer = json.loads(as_json.stdout)
    assert isinstance(answer, dict)
    assert "error" not in answer


def test_all_commands_are_asked() -> None:
    elsewhere = {"annotate", "page", "draw", "plot"}  # which write files
    listed = {name for name, command in main.commands.items() if not command.hidden}
    assert listed - elsewhere - {*ANSWERED} == set()


@pytest.mark.parametrize(("line", "kind", "status"), [
    *((line, kind, 1) for line, kind in NOES), *((line, kind, 2) for line, kind in BAD),
])  # fmt: skip
def test_an_error_in_json_and_in_text(line: Any, kind: Any, status: Any) -> None:
    result = run(line, "--json")
    assert result.exit_code == status, result.output
    error = json.loads(result.stdout)["error"]
    assert (error["kind"], error["status"]) == (kind, status)
    assert error["cause"]
    assert result.stderr == ""
    in_text = run(line)
    assert in_text.exit_code == status
    assert in_text.stdout == ""
    assert error["cause"].splitlines()[0] in in_text.stderr


def test_a_no_without_an_error_has_status_1_too() -> None:
    for line in (f"diagnose {A} --sizes 227", f'check {A} --sizes 227 --claim "conv1 = 54"'):
        result = run(line, "--json")
        assert result.exit_code == 1
        assert "error" not in json.loads(result.stdout)


def test_a_fault_of_the_library_is_neither_a_no_nor_bad_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(net: Any) -> None:
        raise RuntimeError("this is a bug")

    monkeypatch.setattr("symcnn.network.Network.plain_pools", broken)
    result = run(f"pools {RESNET}", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["kind"] == "RuntimeError"
    assert "please report it" in run(f"pools {RESNET}").stderr
    assert "Traceback" in run(f"pools {RESNET}", "--debug").stderr


def test_an_interrupt_has_the_status_of_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(net: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symcnn.network.Network.plain_pools", interrupted)
    assert run(f"pools {RESNET}").exit_code == 130
    assert json.loads(run(f"pools {RESNET}", "--json").stdout)["error"]["status"] == 130


def test_sizes_are_written_in_one_way_and_may_be_repeated() -> None:
    texts = [
        "--sizes H=96,W=64",
        "--sizes 96x64",
        "--sizes H=96 --sizes W=64",
        "--sizes 64 --sizes H=96",
    ]
    answers = {run(f"shapes {UNET} {text} --module head --json").stdout for text in texts}
    assert len(answers) == 1
    assert json.loads(answers.pop())["output"] == ["N", 2, 96, 64]
    ranged = run(f"solve {RESNET} --output 7x7 --sizes H=200..210 --sizes W=224")
    assert "200 <= H <= 210 and W == 224" in ranged.stdout


def test_old_spellings_still_work_and_are_not_listed() -> None:
    assert run(f"shapes {UNET} --at down4").stdout == run(f"shapes {UNET} --module down4").stdout
    assert (
        run(f"cost {UNET} --at N=1,H=64,W=64").stdout
        == run(f"cost {UNET} --sizes N=1,H=64,W=64").stdout
    )
    assert run(f"nearest {UNET} --size 500").stdout == run(f"nearest {UNET} --sizes 500").stdout
    text = run("nearest --help").stdout
    assert "--sizes" in text
    assert "--at" not in text
    assert "--size " not in text


def test_help_lists_the_commands_by_subject() -> None:
    text = run("--help").stdout
    assert "Inputs:\n" in text
    for name in main.commands:
        assert f"\n  {name} " in text
        assert run(f"{name} --help").exit_code == 0


# completion


def completed(tmp_path: Any, line: str) -> Any:
    """What bash offers for the last word, by its own completion."""
    script = run("completion bash").stdout
    words = line.split(" ")
    (tmp_path / "symcnn").write_text(f'#!/bin/sh\nexec {sys.executable} -m symcnn "$@"\n')
    (tmp_path / "symcnn").chmod(0o755)
    ask = (
        f"{script}\nCOMP_WORDS=({' '.join(map(shlex.quote, words))})\nCOMP_CWORD={len(words) - 1}\n"
        '_symcnn_completion symcnn\necho "${COMPREPLY[@]}"'
    )
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", ask], cwd=ROOT, env=path, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_the_names_in_a_file(tmp_path: Path) -> None:
    assert completed(tmp_path, "symcnn va") == ["valid", "validate"]
    assert completed(tmp_path, "symcnn solve net.py:Net --multi") == ["--multiple-of"]
    assert completed(tmp_path, "symcnn solve examples/networks/unet.py:unet_") == [
        "examples/networks/unet.py:unet_valid"
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    assert "_SYMCNN_COMPLETE" in run(f"completion {shell}").stdout


@pytest.mark.parametrize(
    ("line", "same"),
    [
        (f"solve {RESNET} --output '(7, 7)'", f"solve {RESNET} --output 7x7"),
        (f"solve {RESNET} --output 'layer4=(7,7)'", f"solve {RESNET} --output layer4=7x7"),
        (f"solve {UNET} --within '(200, 300)'", f"solve {UNET} --within 200..300"),
        (f"solve {UNET} --aspect '(1, 1)' --macs 9G", f"solve {UNET} --aspect 1:1 --macs 9G"),
        (f"summary {UNET} --sizes '(64, 96)'", f"summary {UNET} --sizes 64x96"),
        (f"valid {UNET} --input '(N, 3, H, W)'", f"valid {UNET} --input 'N 3 H W'"),
        (f"tiles {UNET} --sizes 512 --tile '(512,)'", f"tiles {UNET} --sizes 512 --tile 512"),
    ],
)
def test_tuples_are_as_in_python(line: str, same: str) -> None:
    found, wanted = (CliRunner().invoke(main, shlex.split(words)).stdout for words in (line, same))
    assert found.replace("(7, 7)", "7x7") == wanted != ""
