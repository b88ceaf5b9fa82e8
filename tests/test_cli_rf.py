"""`symcnn rf` on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from symcnn.cli import main

from .conftest import ROOT

UNET = [f"{ROOT}/examples/networks/unet.py:unet_valid", "--input", "N 1 H W"]
RESNET = [f"{ROOT}/examples/networks/resnet.py:resnet18", "--input", "N 3 H W", "--at", "layer2"]


def run(*args: Any) -> Any:
    return CliRunner().invoke(main, ["rf", *args])


def test_size_stride_padding_and_interval() -> None:
    answer = json.loads(run(*RESNET, "--json", "--index", "3").output)
    assert answer["size"] == [99, 99]
    assert answer["stride"] == [8, 8]
    assert answer["intervals"][0] == ["8*i - 49", "8*i + 49"]
    assert answer["interval"][0] == [-25, 73]


def test_a_table_has_a_row_per_layer() -> None:
    result = run(*RESNET, "--table")
    assert result.exit_code == 0
    assert any(
        line.startswith("layer1.0.conv2") and " 27 " in line for line in result.output.splitlines()
    )


def test_at_sizes_it_is_clipped() -> None:
    result = run(*UNET, "--sizes", "H=572,W=572", "--index", "0")
    assert result.output.splitlines()[0] == (
        "H: 188 to 204 wide, 199.876 on average; output 0 sees (0, 187)"
    )


def test_the_effective_field_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "field.png"
    result = run(*RESNET, "--sizes", "H=64,W=64", "--plot", str(path))
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(b"\x89PNG")


def test_bad_use_has_status_2() -> None:
    assert run(*RESNET[:3], "--at", "layr2").exit_code == 2
    assert run(*RESNET, "--plot", "x.png").exit_code == 2


def test_a_size_that_is_not_valid_has_status_1() -> None:
    assert run(*UNET, "--sizes", "H=20,W=20").exit_code == 1


def test_the_shortest_path_and_the_alignment_are_told() -> None:
    answer = json.loads(run(*RESNET, "--json").output)
    assert answer["feasible"] == [[43, 43], [99, 99]]
    assert answer["smallest"]["size"] == [11, 11]
    assert [axis["offset"] for axis in answer["alignment"]] == [0, 0]
    assert "for images of 43 x 43 to 99 x 99" in run(*RESNET).output.splitlines()
