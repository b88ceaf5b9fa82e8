"""Recurrent layers, as torch's fused functions see them.

A layer of ``g`` gates with ``h`` hidden units, fed ``i`` features, takes ``g*h*(i + h)`` MACs per
step and sample; a projection to ``p`` feeds back ``p`` instead of ``h`` and costs ``p*h`` more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcnn.algebra.axis import IDENTITY, Whole
from symcnn.algebra.size import Int, prod
from symcnn.errors import DataDependent, ShapeMismatch
from symcnn.ops.registry import Axes, leading_axes, require_equal, require_rank, rule, whole_axes
from symcnn.sets.condition import Requirement
from symcnn.trace.graph import Result, SymbolicTensor

__all__: list[str] = []

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _recurrent(op: str) -> Any:
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
        hidden, fed_back = weights[0][1].dims[0] // _GATES[op], weights[0][1].dims[1]
        requires: list[Requirement] = []
        macs: Int = 0
        for i, layer in enumerate(weights):
            wanted = layer[0].dims[1]
            if i < directions:
                requires += require_equal(features, wanted, f"{op}: input_size")
            macs = macs + sum((prod(w.dims) for w in layer if w.ndim == 2), 0)
        samples = places[0 if batch_first else 1 :][:1] if input.ndim == 3 else []
        count = num_layers * directions
        shapes = [(count, *samples, fed_back), (count, *samples, hidden)][: len(states)]
        for state, shape in zip(states, shapes, strict=True):
            requires += _state(op, state, shape)
        output = (*places, fed_back * directions)
        return Result(
            (output, *shapes),
            _axes(input.ndim, bool(batch_first), output),
            macs * prod(places),
            tuple(requires),
            single=False,
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
    return [
        need for a, b in zip(state.dims, shape, strict=True) for need in require_equal(a, b, why)
    ]


def _axes(rank: int, batch_first: bool, output: Sequence[Int]) -> Axes:
    """Time and features mix; the batch stays."""
    batch = (0 if batch_first else 1) if rank == 3 else -1
    return tuple((i, IDENTITY) if i == batch else (i, Whole(size)) for i, size in enumerate(output))


for _name in _GATES:
    rule(_name)(_recurrent(_name))


def _cell(op: str) -> Any:
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
        shape = (*input.dims[:-1], units)
        requires = require_equal(input.dims[-1], w_ih.dims[1], f"{op}: input_size")
        for state in states:
            requires += _state(op, state, shape)
        macs = prod(input.dims[:-1]) * gates * (w_ih.dims[1] + units)
        axes = (*leading_axes(input.ndim - 1), *whole_axes((units,)))
        return Result((shape,) * len(states), axes, macs, tuple(requires), single=op != "lstm_cell")

    return operation


for _name in ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"):
    rule(_name)(_cell(_name))
