"""The command line asks for places: tiles, shards, stream, agree, pools, buckets, fix, solve."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

NETS = """
from torch import nn

def codec():
    return nn.Sequential(nn.Conv1d(1, 1, 4, 2, 1), nn.ConvTranspose1d(1, 1, 3, 2, 1))

def conv():
    return nn.Conv2d(3, 8, 7, 2, 3)

def late():
    return nn.Sequential(nn.ZeroPad2d((2, 3, 2, 3)), nn.Conv2d(3, 8, 7, 2))

def normed():
    return nn.Sequential(nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4))

def seen():
    return nn.Sequential(nn.Conv1d(1, 4, 3), nn.AdaptiveAvgPool1d(1))

def pool():
    return nn.AdaptiveAvgPool2d(7)
"""


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)

    def run(line: Any, spec: str = "N 3 H W", exit_code: int = 0) -> Any:
        words = line.split()
        result = CliRunner().invoke(main, [*words, "--input", spec])
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout) if "--json" in words else result.output

    return run


def test_tiles(ask: Any) -> None:
    found = ask("tiles nets.py:codec --size 64 --tile 32 --json", "N 1 L")
    assert (found["halo"], found["period"], found["overhead"]) == ([[1, 3]], [2], 1.5)
    assert found["tiles"][1] == {"input": [[26, 58]], "core": [[3, 29]], "place": [[29, 55]]}
    assert "3 tiles of 32" in ask("tiles nets.py:codec --size L=64 --tile 32", "N 1 L")


def test_tiles_for_a_budget(ask: Any) -> None:
    assert "tiles of 30" in ask("tiles nets.py:codec --size 64 --peak 300", "N 1 L")


def test_a_norm_is_left_out_by_name(ask: Any) -> None:
    line = "tiles nets.py:normed --size 64 --tile 32"
    assert "--" not in ask(line + " --no-statistics", "N 1 L")
    assert "1 reads the whole of L" in ask(line, "N 1 L", exit_code=1)


@pytest.mark.parametrize(
    ("line", "spec", "cure"),
    [
        (
            "tiles nets.py:normed --sizes 64 --tile 32",
            "N 1 L",
            ": --no-statistics leaves these out",
        ),
        ("tiles nets.py:codec --sizes 64", "N 1 L", '  --tile 256, or --peak "8 GiB"'),
        ("stream nets.py:conv", "N 3 H W", "  --axis H"),
        ("tiles nets.py:seen --sizes 64 --tile 32", "N 1 L", "what comes before, --module 0"),
    ],
)
def test_a_way_out_is_said_in_options_of_the_command(
    ask: Any, line: str, spec: str, cure: str
) -> None:
    status = 1 if "--tile" in line else 2
    assert ask(line, spec, status).rstrip().endswith(cure)
    assert "--" not in ask(f"{line} --json", spec, status)["error"]["cure"]  # python's words


def test_shards(ask: Any) -> None:
    found = ask("shards nets.py:conv --size H=224 --parts 4 --json")
    assert found["halo"] == [[3, 2]]
    assert [part["halo"] for part in found["parts"]] == [
        [[0, 2]], [[3, 2]], [[3, 2]], [[3, 0]]
    ]  # fmt: skip


def test_stream(ask: Any) -> None:
    found = ask("stream nets.py:codec --json", "N 1 L")
    assert (found["lookback"], found["lookahead"], found["hop"]) == (2, 3, 2)
    assert found["final"] == "Max(0, 2*((n + 1)//2) - 3)"
    assert "along W" in ask("stream nets.py:conv --axis W")


def test_agree(ask: Any) -> None:
    found = ask("agree nets.py:conv nets.py:late --json")
    assert found["shift"] == [-1, -1]
    assert ask("agree nets.py:conv nets.py:conv").count("at all of these") == 2
    assert "other layout" not in ask("agree nets.py:conv nets.py:codec", exit_code=1)


def test_a_norm_that_reads_all_agrees_nowhere_with_what_reads_one_place(ask: Any) -> None:
    words = "agree torch.nn:GroupNorm(1,4) torch.nn:ReLU()"
    assert "reads agree: nowhere" in ask(words, "N 4 H W")
    assert "reads agree: at all" in ask(
        "agree torch.nn:GroupNorm(1,4) torch.nn:GroupNorm(1,4)", "N 4 H W"
    )


def test_pools(ask: Any) -> None:
    found = ask("pools nets.py:pool --json")
    assert found["pools"][0]["layer"] == "AvgPool2d"
    assert "no adaptive pool" in ask("pools nets.py:conv")


def test_buckets(ask: Any) -> None:
    line = "buckets nets.py:conv --images 30x40=3,50x20,64x64=2 --buckets 2 --cost pixels"
    found = ask(line + " --json")
    assert found["sizes"] == [[30, 40], [64, 64]]
    assert found["cost"] == 3 * 1200 + 3 * 4096
    assert "2 buckets" in ask(line)


def test_fix_for_an_output(ask: Any) -> None:
    found = ask("fix nets.py:codec --output L --json", "N 1 L")
    assert found["ways"][0]["changes"] == {"1": {"output_padding": 1}}


def test_even_sizes(ask: Any) -> None:
    assert ask("solve nets.py:conv --even").startswith("H % 2 == 1")
    assert "L >= 3" in ask("solve nets.py:normed --unread 0", "N 1 L")
