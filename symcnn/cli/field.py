"""Receptive fields: what an output place sees."""

from __future__ import annotations

from dataclasses import asdict

import click

from symcnn.cli.place import without
from symcnn.cli.question import Ask, question
from symcnn.cli.reply import Reply
from symcnn.cli.target import torch_module_of
from symcnn.errors import Undecidable
from symcnn.questions.field.receptive_field import ReceptiveField


@question(sizes="Exact and clipped at the border, at these sizes:", by_branch=True)
@click.option("--wrt", metavar="NAME", help="A module, node or input to look back to.")
@click.option("--index", type=int, metavar="I", help="The interval of one output index.")
@click.option("--table", "as_table", is_flag=True, help="One row per layer.")
@click.option("--plot", metavar="FILE.png", help="The effective field, with --sizes.")
@without
def rf(
    ask: Ask,
    wrt: str | None,
    index: int | None,
    as_table: bool,
    plot: str | None,
    gates: bool,
    statistics: bool,
) -> Reply:
    """What an output place sees of the input: size, stride, padding, interval."""
    if plot is not None:
        _plot_effective(ask, plot)
    field = ask.network.receptive_field(ask.module, wrt, gates=gates, statistics=statistics)
    reply = _at(field, ask.sizes, index) if ask.texts else _formulas(field, index, as_table)
    return reply if plot is None else Reply(reply.answer, f"wrote {plot}\n{reply}")


def _at(field: ReceptiveField, sizes: dict[str, int], index: int | None) -> Reply:
    """The field at sizes, clipped at the border."""
    exact = field.at(**sizes)
    axes: dict[str, dict[str, object]] = {}
    lines = []
    for k, name in enumerate(field.axes):
        interval = None if index is None else exact.interval(index, k)
        unread, padding = exact.unread(k), exact.padding_only(k)
        axes[name] = {
            "min": exact.min[k],
            "max": exact.max[k],
            "mean": round(exact.mean[k], 3),
            "density": round(exact.density(k), 3),
            "unread": unread,
            "padding_only": padding,
            "interval": interval,
        }
        lines.append(
            f"{name}: {exact.min[k]} to {exact.max[k]} wide, {round(exact.mean[k], 3)} on average"
            + (f"; output {index} sees {interval}" if index is not None else "")
            + (f"; input {unread} is never read" if unread else "")
            + (f"; outputs {padding} see only padding" if padding else "")
        )
    return Reply({"sizes": exact.values, "axes": axes}, "\n".join(lines))


def _formulas(field: ReceptiveField, index: int | None, as_table: bool) -> Reply:
    """The field for all sizes."""
    from symcnn.notation.text import layers_table, receptive_field_text

    count = range(len(field.axes))
    least, most = field.feasible
    answer: dict[str, object] = {
        "axes": list(field.axes),
        **field.row(),
        "intervals": [field.interval_text_or_none(k) for k in count],
        "assumptions": [str(c) for c in field.assumptions],
        "branches": [str(b) for b in field.branches],
        "checkerboard": list(field.checkerboard),
        "smallest": field.smallest.row(),
        "feasible": field.feasible,
        "alignment": _alignment(field),
    }
    text = f"{layers_table(field)}\n" if as_table else ""
    text += receptive_field_text(field).rstrip("\n") + "\n"
    if as_table:
        answer["layers"] = field.table()
    if index is not None:
        answer["interval"] = intervals = [field.interval(index, k) for k in count]
        for name, interval in zip(field.axes, intervals, strict=True):
            text += f"{name}: output {index} sees {interval}\n"
    if least != most:
        text += f"for images of {' x '.join(map(str, least))} to {' x '.join(map(str, most))}\n"
    for title, lines in (
        ("for sizes with", field.assumptions),
        ("branches that are not aligned:", field.branches),
        ("checkerboard risk:", field.checkerboard),
    ):
        if lines:
            text += f"{title} {'; '.join(map(str, lines))}\n"
    return Reply(answer, text)


def _alignment(field: ReceptiveField) -> list[dict[str, object]]:
    """Where the centres lie, per axis; none where every place sees the same."""
    try:
        return [asdict(axis) for axis in field.alignment]
    except Undecidable:
        return []


def _plot_effective(ask: Ask, path: str) -> None:
    """Gradient magnitudes of the centre output as a picture."""
    from symcnn.frontends.effective import effective_receptive_field

    if not ask.texts or len(ask.inputs) > 1:
        raise click.UsageError("--plot takes --sizes 224x224, and a network of one input")
    module = torch_module_of(ask.target, "cpu")
    (shape,) = ask.shapes(module)
    effective = effective_receptive_field(module, shape, at=ask.module, **ask.sizes)
    effective.plot().savefig(path, dpi=150)
