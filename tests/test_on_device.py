"""tests/tools/on_device.py: a report measured on a device, and none where there is none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from .tools import on_device as tool


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_card_nothing_is_written_and_nothing_claimed(tmp_path: Path) -> None:
    report = tmp_path / "card.md"
    result = CliRunner().invoke(tool.main, ["--write", str(report)])
    assert result.exit_code == 2
    assert "nothing was run" in result.output
    assert not report.exists()


def test_a_report_has_a_row_for_each_variant(tmp_path: Path) -> None:
    report = tmp_path / "meta.md"
    result = CliRunner().invoke(
        tool.main,
        [
            "--device",
            "meta",
            "--samples",
            "3",
            "--model",
            "unet:unet_valid",
            "--write",
            str(report),
        ],
    )
    assert result.exit_code == 0, result.output
    rows = [line for line in report.read_text().splitlines() if line.startswith("| unet")]
    assert len(rows) == len(tool.VARIANTS)
    assert all("same as torch" in row for row in rows)


def test_an_unknown_network_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    report = tmp_path / "meta.md"
    result = CliRunner().invoke(
        tool.main, ["--device", "meta", "--model", "x", "--write", str(report)]
    )
    assert result.exit_code == 2
    assert "no network is called 'x'" in result.output
    assert not report.exists()


def test_a_run_that_is_stopped_leaves_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "meta.md"

    def stopping(name: str, device: Any, samples: Any) -> tuple[list[str], int]:
        if name == "unet:unet_valid":
            raise KeyboardInterrupt
        return [f"| {name} |"], 0

    monkeypatch.setattr(tool, "rows_of", stopping)
    names = ["--model", "unet:unet", "--model", "unet:unet_valid"]
    result = CliRunner().invoke(tool.main, ["--device", "meta", *names, "--write", str(report)])
    assert result.exit_code == 1
    assert "(1 of 2 networks so far)" in report.read_text()
    assert "| unet:unet |" in report.read_text()
