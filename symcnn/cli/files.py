"""Files and tools: what others want to be told."""

from __future__ import annotations

import click

from symcnn.cli.question import Ask, command, question
from symcnn.cli.reply import Reply
from symcnn.cli.target import named_inputs


@question(sizes="What is asked of sizes, fixed or ranges (N=1,H=32..1024):")
@click.option(
    "--for",
    "tool",
    required=True,
    metavar="TOOL",
    help="torch.export, jax, tensorrt, openvino, onnx, bioimageio, spandrel or jaxtyping.",
)
def spec(ask: Ask, tool: str) -> Reply:
    """The sizes that the network takes, as another tool wants them said."""
    return Reply(ask.net.spec(tool, **ask.ranges))


@command
@click.argument("model", metavar="FILE.onnx")
@click.argument("out", metavar="OUT.onnx")
@click.option(
    "--input",
    "inputs",
    metavar="SHAPE",
    multiple=True,
    help='Shape of an input, such as "N 3 H W" or "x=N 3 H W"; by default as the file says.',
)
def annotate(model: str, out: str, inputs: tuple[str, ...]) -> Reply:
    """Write the shape of every tensor into a model of ONNX, as formulas, for viewers."""
    from symcnn.frontends.onnx.annotate import annotate as annotate_model

    told = annotate_model(model, out, named_inputs(inputs))
    count = len(told.graph.value_info) + len(told.graph.output)
    return Reply({"out": out, "tensors": count}, f"wrote {out}: {count} tensors with shapes")
