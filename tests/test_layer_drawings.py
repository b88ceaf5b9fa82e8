"""`layer.draw`: which cells of the input each cell of the output reads."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

import symcnn
from symcnn import BadSpec, InvalidInput, nn
from symcnn.algebra.axis import Scatter, Window
from symcnn.words.pictures.layer import axis

LAYERS = {
    "strided": nn.Conv2d(1, 1, 3, stride=2, padding=1),
    "dilated": nn.Conv1d(1, 1, 3, dilation=2),
    "transposed": nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1),
    "ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
    "same": nn.Conv2d(1, 1, 4, padding="same"),
    "resize": nn.Upsample(scale_factor=2, mode="bilinear"),
    "adaptive": nn.AdaptiveAvgPool2d(4),
    "chain": nn.Conv2d(3, 8, 3, padding=1) >> nn.MaxPool2d(2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_well_formed_svg_with_its_sizes(name: str) -> None:
    layer = LAYERS[name]
    picture = layer.draw(i=6)
    root = ElementTree.fromstring(picture)
    after = layer(6) if name == "dilated" else layer(6, 6)
    assert root.tag.endswith("svg")
    assert f"→ {'×'.join(map(str, after))}" in picture


@pytest.mark.parametrize(
    ("map_", "layer"),
    [
        (Window(3, 2, 1, 1), torch.nn.Conv1d(1, 1, 3, 2, 1)),
        (Window.conv(3, 1, 2, 2), torch.nn.Conv1d(1, 1, 3, 1, 2, 2)),
        (Scatter(3, 2, 1, 1), torch.nn.ConvTranspose1d(1, 1, 3, 2, 1, 1)),
        (Scatter(5, 3, 0, 0, 2), torch.nn.ConvTranspose1d(1, 1, 3, 3, dilation=2)),
    ],
)
def test_the_cells_that_are_marked_are_those_that_torch_reads(
    map_: Any, layer: torch.nn.Conv1d | torch.nn.ConvTranspose1d
) -> None:
    drawn = axis(map_, 6)
    real = [k for k, kind in enumerate(drawn.cells) if kind == "real"]
    weights = layer.weight.data.fill_(1)
    images = torch.eye(6)[:, None] * weights.sum()
    read = (layer(images) - layer(torch.zeros(1, 1, 6)))[:, 0] != 0  # input cell, output
    assert [[k for k in real if k in cells] for cells in drawn.reads] == [
        [real[k] for k in torch.nonzero(column).flatten()] for column in read.T
    ]


def test_padding_that_nobody_reads_is_hatched() -> None:
    assert axis(Window(3, 2, 1, 1), 6).unread == (7,)
    assert 'class="unread"' in LAYERS["strided"].draw(i=6)
    assert 'class="unread"' not in LAYERS["strided"].draw(i=7)


def test_the_marked_output_can_be_chosen_and_can_move() -> None:
    layer = LAYERS["strided"]
    assert layer.draw(i=6, place=(0, 0)) != layer.draw(i=6)
    assert layer.draw(i=6, animate=True).count("<animate") == 9


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: LAYERS["strided"].draw(i=6, format="png"), BadSpec, "svg"),
        (lambda: LAYERS["strided"].draw(i=6, place=(9, 0)), BadSpec, "3×3"),
        (lambda: LAYERS["strided"].draw(i=600), BadSpec, "too large"),
        (lambda: nn.Conv3d(1, 1, 3).draw(), BadSpec, "one or two axes"),
        (lambda: nn.Conv2d(1, 1, 3).draw(i=2), InvalidInput, "kernel must fit"),
        (lambda: nn.Flatten().draw(), BadSpec, "keeps its axes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(ask: Callable[..., Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        ask()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_tikz_compiles(tmp_path: Path) -> None:
    drawn = "\n".join(layer.draw(i=6, format="tikz") for layer in LAYERS.values())
    head = r"\documentclass{article}\usepackage[a2paper]{geometry}\usepackage{tikz}\begin{document}"
    (tmp_path / "layer.tex").write_text(f"{head}\n{drawn}\n\\end{{document}}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "layer.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_notebook_shows_the_picture() -> None:
    picture = symcnn.nn.Conv1d(1, 1, 3).draw()
    assert picture._repr_svg_() == picture
    assert nn.Conv1d(1, 1, 3).draw(format="tikz")._repr_svg_() is None
