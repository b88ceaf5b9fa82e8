"""What recurrent layers keep of their steps, and what they hold while they run.

The law: *a layer makes its gates for all steps at once, then a state per step, then joins these*.
Gates and states are counted in states of one step; all layers before hold their last states, the
one before its outputs. Source: ``RNN.cpp`` of ATen; for `lstm` in single precision, oneDNN, which
holds outputs and states only.
"""

from __future__ import annotations

from symcnn.algebra.size import Int, maximum, minimum, prod
from symcnn.ops.storage.layouts import KeptUnknownError, Layout, view_strides
from symcnn.ops.storage.memory import Memory, first_of
from symcnn.trace.graph import Node, tensors_in

#: Gates, and the states that one step makes on its way.
_GATES = {"gru": (3, 5), "rnn_tanh": (1, 2), "rnn_relu": (1, 2), "lstm": (4, 7)}


def recurrent(m: Memory, node: Node) -> None:
    """Steps are joined along time, which lies outermost, also where the batch is the first axis.
    Kept are what each layer reads, the first states, and of every step what its gates make.
    """
    a = node.arguments
    for i, t in enumerate(node.outputs):
        batch_first = i == 0 and t.ndim == 3 and a["batch_first"]
        m.place(m.fresh(t.dims, None, (1, 0, 2) if batch_first else None), i)
    base = _outermost(m.of(first_of(node)), time=1 if a["batch_first"] else 0)
    rows, samples = prod(base.dims[:-1]), prod(base.dims[1:-1])
    copy = prod(base.dims) if view_strides(base, (rows, base.dims[-1])) is None else 0
    states, layers, directions = tensors_in(a["hx"]), a["num_layers"], 1 + bool(a["bidirectional"])
    state, gates, units = states[0], _GATES[node.op][0], states[-1].dims[-1]
    single = first_of(node).dtype in ("", "float32")
    if node.op == "lstm" and single and units == state.dims[-1]:
        m.fresh((_held_by_onednn(node, 0 if base.contiguous else prod(base.dims)),))
    else:
        product = gates * rows * units
        turned = a["has_biases"] and not base.contiguous  # the biases are added to a copy
        first = maximum(copy + product, 2 * product if turned else product)
        m.fresh((_held(node, first, rows, samples),))
    if node.op == "lstm":
        raise KeptUnknownError("with a workspace that oneDNN sizes by the machine")
    if a["train"] and a["dropout"] and layers != 1:
        raise KeptUnknownError("with dropout between layers")
    each, below = len(a["params"]) // (layers * directions), m.needs(first_of(node))
    for i in range(layers * directions):
        w_ih, w_hh = a["params"][each * i : each * i + 2]
        layer, needed = i // directions, m.needs(w_hh)
        m.save(w_hh, w_ih if layer or below else None, state if needed else None)
        if m.needs(w_ih) and not layer:
            m.save(None if copy else base)
            m.extra(copy)
        elif m.needs(w_ih) and i % directions == 0:
            m.extra(rows * units * directions)
        steps = 6 * rows + (rows - samples) * needed if node.op == "gru" else rows
        m.extra(steps * units)


def _outermost(base: Layout, time: int) -> Layout:
    """With time as the first axis."""
    order = [time, *(i for i in range(len(base.dims)) if i != time)]
    dims, strides = (tuple(of[i] for i in order) for of in (base.dims, base.strides))
    return Layout(base.storage, dims, strides)


def _held(node: Node, first: Int, rows: Int, samples: Int) -> Int:
    """Elements beside the results at the worst moment: while a step runs, while the outputs of a
    layer are joined, or while a layer's product with its input is made.

    first: those of the first layer's product. rows, samples: of all steps, and of one.
    """
    states = [t.dims[-1] for t in tensors_in(node.arguments["hx"])]
    gates, within = _GATES[node.op]
    layers, both = node.arguments["num_layers"], bool(node.arguments["bidirectional"])
    directions, product = 1 + both, gates * rows * states[-1]
    every, one, on = rows * states[0], samples * states[0], samples * sum(states)
    cell = on - one  # what goes on to the next step beside the output
    before = 2 * every + cell if both else 0  # the outputs one way, and these joined
    moments: list[Int] = []
    for layer in range(layers):
        below = directions * (layer * on + (every if layer else 0))
        held = below + product
        step = within * samples * states[-1] + minimum(cell, (rows - samples) * states[-1])
        moments += [
            held + before + every - one + step,
            held + (6 if both else 2) * every + directions * cell,
            (held + before if both else below) + (product if layer else first),
        ]
    made: Int = directions * every + layers * directions * on
    return maximum(*moments, made + layers * directions * on) - made


def _held_by_onednn(node: Node, copy: Int) -> Int:
    """The same of oneDNN's kernel, of which `copy` elements are the input, written in order.

    For a layer without biases torch makes some of zeros, shaped as the weights, one way at a time.
    """
    a = node.arguments
    states = tensors_in(a["hx"])
    layers, both = a["num_layers"], bool(a["bidirectional"])
    directions, last = 1 + both, prod(states[0].dims)
    way, one = prod(node.outputs[0].dims[:-1]) * states[0].dims[-1], prod(states[0].dims[1:])
    outputs = directions * way
    joined = 2 * outputs if both else outputs  # the outputs each way, and these joined
    moments: list[Int] = []
    for layer in range(layers):
        below = (outputs if layer else 0) + 2 * directions * (layer + 1) * one
        moments.append(below + joined)
        if not a["has_biases"]:
            zeros = sum(prod(w.dims) for w in a["params"][2 * layer * directions :][:2])
            moments.append(below + outputs + (way if both and layer else 0) + zeros)
    return copy + maximum(*moments, joined + 4 * last) - outputs - 2 * last
