"""Tables of a network: its layers, as formulas or at sizes."""

from __future__ import annotations

import click

from symcnn.cli.question import Ask, floors_option, question
from symcnn.cli.reply import Reply
from symcnn.trace.trace import of_one_image


@question(sizes="Sizes at which cells are numbers:", by_branch=True)
@click.option("--depth", type=int, metavar="N", help="One row per module down to this depth.")
@click.option(
    "--columns",
    metavar="COLUMN,...",
    default="op,output,params,macs",
    help="Of op, input, output, params, macs, memory, field, source.",
)
@floors_option
def summary(ask: Ask, depth: int | None, columns: str) -> Reply:
    """The table of a network: layers, shapes, parameters, MACs, and the totals.

    The default question: ``symcnn NETWORK`` asks it.
    """
    wanted = columns.replace(" ", "").split(",")
    found = ask.net.summary(at=ask.sizes or None, depth=depth, columns=wanted)
    return Reply(found.to_dict(), str(found))


@question(sizes="Sizes at which shapes are numbers:", by_branch=True)
@floors_option
def shapes(ask: Ask) -> Reply:
    """Output shape of every layer, as formulas or at sizes."""
    from symcnn.notation.text import shapes_table

    net = ask.net
    if sizes := ask.sizes:
        net.summary(at=sizes)  # which refuses sizes that are not valid
        net = net.branch_at(**of_one_image(net, sizes))
        net = net.given(**sizes) if net.symbols else net
    nodes = [
        {
            "name": node.name,
            "op": node.op,
            "inputs": node.input_shapes,
            "outputs": node.output_shapes,
            "params": node.params,
            "macs": node.macs,
        }
        for node in net.nodes
    ]
    answer: dict[str, object] = {
        "inputs": net.inputs,
        "output": net.output_shape,
        "params": net.params,
        "macs": str(net.macs),
        "nodes": nodes,
    }
    text = f"{shapes_table(net)}\noutput {net.describe_output()}\nparams {net.params:,}"
    return Reply(answer, text)
