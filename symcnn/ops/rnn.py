"""Recurrent layers, as torch's fused functions see them.

A layer of ``g`` gates with ``h`` hidden units, fed ``i`` features, takes ``g*h*(i + h)`` MACs per
step and sample; a projection to ``p`` feeds back ``p`` instead of ``h`` and costs ``p*h`` more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcnn.algebra.axis import Axes, Running, Whole
from symcnn.algebra.size import Int, prod
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops import dtypes
from symcnn.ops.autograd import pair
from symcnn.ops.operation import Product, Work
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.registry import (
    filled,
    leading_axes,
    require_equal,
    require_rank,
    require_shape,
    whole_axes,
)
from symcnn.ops.storage import products
from symcnn.ops.storage.recurrent import recurrent
from symcnn.sets.condition import Requirement
from symcnn.trace.graph import Node, Result, SymbolicTensor, tensors_in


def _recurrent(op: str, gates: int) -> Any:
    """``f(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)``: all outputs of the last layer, and the last states of all layers.
    """

    def operation(
        input: SymbolicTensor,
        hx: SymbolicTensor | Sequence[SymbolicTensor],
        params: Sequence[SymbolicTensor],
        has_biases: object,
        num_layers: int,
        dropout: float = 0.0,
        train: bool = False,
        bidirectional: bool = False,
        batch_first: bool | None = None,
    ) -> Result:
        if batch_first is None or isinstance(params, bool):
            raise DataDependent(
                f"{op} of a packed sequence: its shape depends on the lengths",
                cure="give a padded batch",
            )
        require_rank(input, (2, 3), op)
        directions = 2 if bidirectional else 1
        weights = _layers(op, params, bool(has_biases), num_layers, directions)
        states: list[Any] = [*hx] if op == "lstm" else [hx]
        if len(states) != (2 if op == "lstm" else 1):
            raise ShapeMismatch(f"{op}: {len(states)} states", cure="lstm takes (h, c)")

        *places, features = input.dims
        hidden, fed_back = weights[0][1].dims[0] // gates, weights[0][1].dims[1]
        time = 1 if batch_first and input.ndim == 3 else 0
        requires: list[Requirement] = [*filled(input, (places[time],))]
        macs: Int = 0
        why = f"{op}: every gate has a row per unit"
        for i, layer in enumerate(weights):
            wanted = layer[0].dims[1]
            if sum(w.ndim == 2 for w in layer) == 2:  # what is fed back is not projected
                requires += require_equal(gates * layer[1].dims[1], layer[1].dims[0], why)
            if i < directions:
                requires += require_equal(features, wanted, f"{op}: input_size")
            macs = macs + sum((prod(w.dims) for w in layer if w.ndim == 2), 0)
        samples = places[0 if batch_first else 1 :][:1] if input.ndim == 3 else []
        count = num_layers * directions
        shapes = [(count, *samples, fed_back), (count, *samples, hidden)][: len(states)]
        for state, shape in zip(states, shapes, strict=True):
            requires += _state(op, state, shape)
        output = (*places, fed_back * directions)
        axes, states_axes = _axes(output, time, count, bidirectional)
        return Result(
            (output, *shapes),
            axes,
            macs * prod(places),
            tuple(requires),
            single=False,
            parts=(axes, *[states_axes] * len(shapes)),
        )

    return operation


def _layers(
    op: str, params: Sequence[SymbolicTensor], biases: bool, layers: int, directions: int
) -> list[list[SymbolicTensor]]:
    """The weights of every layer and direction, in order."""
    each, rest = divmod(len(params), layers * directions)
    if rest or each not in ((4, 5) if biases else (2, 3)):
        raise ShapeMismatch(f"{op}: {len(params)} weights for {layers} layers")
    return [list(params[i : i + each]) for i in range(0, len(params), each)]


def _state(op: str, state: SymbolicTensor, shape: Sequence[Int]) -> list[Requirement]:
    if state.ndim != len(shape):
        raise ShapeMismatch(f"{op}: a state is {len(shape)}-d here, not {state.ndim}-d")
    why = f"{op}: a state is (layers, batch, units)"
    return require_shape(state.dims, shape, why)


def _axes(output: Sequence[Int], time: int, count: int, both_ways: bool) -> tuple[Axes, Axes]:
    """Of the outputs, and of the last states of so many layers: one way along time, an output
    reads up to its own step; a state reads all steps. Features mix; the batch stays.
    """
    own: list[Any] = leading_axes(len(output) - 1)
    batch = own[:time] + own[time + 1 :]
    own[time] = time, Whole(output[time]) if both_ways else Running()
    features = whole_axes(output[-1:])
    return (*own, *features), (*whole_axes((count,)), *batch, *features)


def _cell(op: str, each: int) -> Any:
    """One step: ``f(input, hx, w_ih, w_hh, b_ih, b_hh)``."""

    def operation(
        input: SymbolicTensor,
        hx: SymbolicTensor | Sequence[SymbolicTensor],
        w_ih: SymbolicTensor,
        w_hh: SymbolicTensor,
        *biases: object,
    ) -> Result:
        require_rank(input, (1, 2), op)
        gates, units = w_hh.dims
        states: list[Any] = [*hx] if op == "lstm_cell" else [hx]
        if op == "lstm_cell" and len(states) != 2:
            raise ShapeMismatch(f"{op}: {len(states)} states", cure="lstm takes (h, c)")
        shape = (*input.dims[:-1], units)
        requires = require_equal(input.dims[-1], w_ih.dims[1], f"{op}: input_size")
        for rows in (each * units, *(t.dims[0] for t in tensors_in(w_ih, *biases))):
            requires += require_equal(rows, gates, f"{op}: every gate has a row per unit")
        for state in states:
            requires += _state(op, state, shape)
        macs = prod(input.dims[:-1]) * gates * (w_ih.dims[1] + units)
        axes = (*leading_axes(input.ndim - 1), *whole_axes((units,)))
        return Result((shape,) * len(states), axes, macs, tuple(requires), single=op != "lstm_cell")

    return operation


def _work(state: int, gates: int) -> Work:
    """Arithmetic beside the products: biases, sums and activations of every gate; then `state` more
    for each unit.
    """

    def law(node: Node) -> Int:
        a = node.arguments
        params = a["params"]
        each = len(params) // (a["num_layers"] * (2 if a["bidirectional"] else 1))
        rows = sum((p.dims[0] for p in params[::each]), 0)
        per: Int = sum((p.dims[0] for p in params if p.ndim == 1), 0)
        places = prod(a["input"].dims[:-1])
        work: Int = places * (per + 2 * rows + rows * state // gates)
        return work

    return law


def _cell_work(state: int) -> Work:
    """The same of one step."""

    def law(node: Node) -> Int:
        rows, units = node.arguments["w_hh"].dims
        biases = sum(1 for b in node.arguments["biases"] if b is not None)
        work: Int = prod(node.inputs[0].dims[:-1]) * (rows * (2 + biases) + units * state)
        return work

    return law


def _products(node: Node) -> list[Product]:
    """Per layer and direction the input's product and, step by step, the state's.

    The first state is given: its product has no gradient unless somebody asked for one.
    """
    a = node.arguments
    x, params = a["input"], a["params"]
    directions = 2 if a["bidirectional"] else 1
    each = len(params) // (a["num_layers"] * directions)
    layers = [params[i : i + each] for i in range(0, len(params), each)]
    states = list(tensors_in(a["hx"]))
    length = x.dims[1 if a["batch_first"] and x.ndim == 3 else 0]
    samples = prod(x.dims[:-1][(0 if a["batch_first"] else 1) :][:1]) if x.ndim == 3 else 1
    found: list[Product] = []
    below = feeds = (x,)  # what the layer reads; what its outputs depend on
    for i, layer in enumerate(layers):
        w_ih, w_hh = layer[:2]
        below = feeds if i % directions == 0 else below
        everything = (*below, *layer, *states)
        found.append(pair(below, w_ih, samples * length * prod(w_ih.dims)))
        step = samples * prod(w_hh.dims)
        found.append(Product(everything, (w_hh,), step * (length - 1), step * length))
        found.append(Product(tuple(states[:1]), (), step, 0))
        if len(layer) in (3, 5):
            found.append(pair(everything, layer[-1], samples * length * prod(layer[-1].dims)))
        if i % directions == directions - 1:
            feeds = tuple(dict.fromkeys((*feeds, *everything)))
    return found


def _cell_products(node: Node) -> list[Product]:
    a = node.arguments
    places = prod(a["input"].dims[:-1])
    state = tensors_in(a["hx"])[0]
    return [
        pair(a["input"], a["w_ih"], places * prod(a["w_ih"].dims)),
        pair(state, a["w_hh"], places * prod(a["w_hh"].dims)),
    ]


for _name, _gates, _state_work in (
    ("lstm", 4, 5),
    ("gru", 3, 5),
    ("rnn_tanh", 1, 0),
    ("rnn_relu", 1, 0),
):
    rule(
        _name,
        other=_work(_state_work, _gates),
        products=_products,
        saves=recurrent,
        autocast=dtypes.LOW,
        takes="float",
        same_dtype="input hx params",
    )(_recurrent(_name, _gates))
    rule(
        f"{_name}_cell",
        other=_cell_work(_state_work),
        products=_cell_products,
        saves=products.cell,
        autocast=dtypes.LOW,
        takes="float",
        same_dtype="input hx w_ih w_hh biases",
    )(_cell(f"{_name}_cell", _gates))
