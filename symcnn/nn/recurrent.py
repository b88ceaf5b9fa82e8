"""Recurrent layers; shapes and MACs are `symcnn.ops.rnn`'s. They start from zeros by default."""

from typing import Any, ClassVar, Union

from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch
from symcnn.nn.hyper import positive, whole
from symcnn.nn.layer import Layer, Positive, Unused
from symcnn.nn.module import Module
from symcnn.ops.random import check_probability
from symcnn.ops.registry import at_least, require_rank
from symcnn.trace.graph import Constant, Parameter, SymbolicTensor, apply, several

#: What a layer remembers: h, or (h, c).
State = Union[SymbolicTensor, tuple[SymbolicTensor, ...]]


class _Recurrent(Module):
    gates: ClassVar[int]
    hidden: ClassVar[tuple[str, ...]] = ()  # keywords that torch's signature hides, beside `_set`'s

    @property
    def op(self) -> str:
        """The rule's name."""
        return type(self).__name__.lower()

    def _set(
        self,
        input_size: Any,
        hidden_size: Any,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: Any = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        """Torch's arguments, which its own signature hides."""
        self.input_size = positive(input_size, "input_size")
        self.hidden_size = positive(hidden_size, "hidden_size")
        if not isinstance(num_layers, int) or num_layers < 1:
            raise ShapeMismatch(f"num_layers={num_layers}", cure="give a number, at least 1")
        if not isinstance(bias, bool) or not isinstance(batch_first, bool):
            raise ShapeMismatch(f"bias={bias}, batch_first={batch_first}", cure="True or False")
        check_probability(dropout)
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = dropout, bidirectional
        self.proj_size = whole(proj_size, "proj_size")
        at_least("proj_size", (self.proj_size,), 0)
        at_least("hidden_size - proj_size", (self.hidden_size - self.proj_size,), 1)
        self._weights = [
            weight
            for layer in range(num_layers)
            for suffix in ("", "_reverse")[: self._directions]
            for weight in self._layer(layer, suffix)
        ]
        for weight in self._weights:
            setattr(self, weight.name, weight)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _fed_back(self) -> Int:
        return self.hidden_size if self.proj_size == 0 else self.proj_size

    def _layer(self, layer: int, suffix: str) -> list[Parameter]:
        """The weights of one layer in one direction."""
        gates = self.gates * self.hidden_size
        features = self._fed_back * self._directions if layer else self.input_size
        shapes: dict[str, tuple[Int, ...]] = {
            "weight_ih": (gates, features),
            "weight_hh": (gates, self._fed_back),
        }
        if self.bias:
            shapes.update(bias_ih=(gates,), bias_hh=(gates,))
        if self.proj_size != 0:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return [Parameter(dims, f"{name}_l{layer}{suffix}") for name, dims in shapes.items()]

    def _zeros(self, input: SymbolicTensor, units: Int) -> Constant:
        """The state from which all layers and directions start."""
        batch = input.dims[0 if self.batch_first else 1 :][:1] if input.ndim == 3 else ()
        return Constant((self.num_layers * self._directions, *batch, units))

    def _run(self, input: SymbolicTensor, states: State) -> tuple[SymbolicTensor, ...]:
        return several(
            self.op,
            input,
            states,
            self._weights,
            self.bias,
            self.num_layers,
            self.dropout,
            False,
            self.bidirectional,
            self.batch_first,
        )

    def forward(
        self, input: SymbolicTensor, hx: SymbolicTensor | None = None
    ) -> tuple[SymbolicTensor, State]:
        """All outputs of the last layer, and the last state of every layer."""
        require_rank(input, (2, 3), self.op)
        start = self._zeros(input, self.hidden_size) if hx is None else hx
        output, state = self._run(input, start)
        return output, state

    def extra_repr(self) -> str:
        """Sizes, and the rest where it is not the default, as in torch."""
        shown = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)


def _without_projection(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ShapeMismatch("proj_size is for LSTM only, not for RNN or GRU")


class RNN(_Recurrent):
    """As `torch.nn.RNN`: ``RNN(input_size, hidden_size, num_layers=1, nonlinearity="tanh", ...)``.

    >>> RNN(10, 20, num_layers=2).trace("L N 10").output_shape
    ((L, N, 20), (2, N, 20))
    """

    gates = 1
    hidden = ("nonlinearity",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _without_projection(kwargs)
        nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if len(args) > 3:
            nonlinearity, args = args[3], (*args[:3], *args[4:])
        if nonlinearity not in ("tanh", "relu"):
            raise ShapeMismatch(f"nonlinearity={nonlinearity!r}", cure='"tanh" or "relu"')
        self.nonlinearity = nonlinearity
        self._set(*args, **kwargs)

    @property
    def op(self) -> str:
        """The rule's name."""
        return f"rnn_{self.nonlinearity}"


class GRU(_Recurrent):
    """As `torch.nn.GRU`: ``GRU(input_size, hidden_size, num_layers=1, bias=True, ...)``."""

    gates = 3

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _without_projection(kwargs)
        self._set(*args, **kwargs)


class LSTM(_Recurrent):
    """As `torch.nn.LSTM`: ``LSTM(input_size, hidden_size, num_layers=1, bias=True, ...)``.

    >>> LSTM(10, 20, batch_first=True, bidirectional=True).trace("N L 10").output_shape
    ((N, L, 40), ((2, N, 20), (2, N, 20)))
    """

    gates = 4

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._set(*args, **kwargs)

    def forward(
        self, input: SymbolicTensor, hx: State | None = None
    ) -> tuple[SymbolicTensor, State]:
        """All outputs of the last layer, and the last states ``(h, c)`` of every layer."""
        require_rank(input, (2, 3), self.op)
        if hx is None:
            hx = (self._zeros(input, self._fed_back), self._zeros(input, self.hidden_size))
        elif not isinstance(hx, (tuple, list)):
            raise ShapeMismatch("lstm: one state", cure="lstm takes (h, c)")
        output, *states = self._run(input, hx)
        return output, tuple(states)


class _Cell(Layer):
    input_size: Positive
    hidden_size: Positive
    bias: bool = True
    gates: ClassVar[int]
    bare = ("input_size", "hidden_size")

    def check(self) -> None:
        units = self.gates * self.hidden_size
        self.weight_ih = Parameter((units, self.input_size), "weight_ih")
        self.weight_hh = Parameter((units, self.hidden_size), "weight_hh")
        self.bias_ih = Parameter((units,), "bias_ih") if self.bias else None
        self.bias_hh = Parameter((units,), "bias_hh") if self.bias else None

    def _step(self, input: SymbolicTensor, states: State, op: str = "") -> SymbolicTensor:
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return apply(op or self.op, input, states, *weights)

    def _zeros(self, input: SymbolicTensor) -> Constant:
        return Constant((*input.dims[:-1], self.hidden_size))

    def forward(self, input: SymbolicTensor, hx: SymbolicTensor | None = None) -> SymbolicTensor:
        """The state after one step."""
        require_rank(input, (1, 2), self.op)
        return self._step(input, self._zeros(input) if hx is None else hx)


class RNNCell(_Cell):
    """As `torch.nn.RNNCell`: one step of `RNN`."""

    nonlinearity: str = "tanh"
    device: Unused = None
    dtype: Unused = None
    gates = 1

    def _step(self, input: SymbolicTensor, states: State, op: str = "") -> SymbolicTensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise ShapeMismatch(f"nonlinearity={self.nonlinearity!r}", cure='"tanh" or "relu"')
        return super()._step(input, states, f"rnn_{self.nonlinearity}_cell")


class GRUCell(_Cell):
    """As `torch.nn.GRUCell`: one step of `GRU`.

    >>> GRUCell(10, 20).trace("N 10").output_shape
    (N, 20)
    """

    device: Unused = None
    dtype: Unused = None
    gates = 3


class LSTMCell(_Cell):
    """As `torch.nn.LSTMCell`: one step of `LSTM`, of states ``(h, c)``."""

    device: Unused = None
    dtype: Unused = None
    gates = 4

    def forward(  # type: ignore[override]
        self, input: SymbolicTensor, hx: State | None = None
    ) -> tuple[SymbolicTensor, ...]:
        """The states ``(h, c)`` after one step."""
        require_rank(input, (1, 2), self.op)
        if hx is None:
            hx = (self._zeros(input), self._zeros(input))
        elif not isinstance(hx, (tuple, list)):
            raise ShapeMismatch("lstm_cell: one state", cure="lstm_cell takes (h, c)")
        return tuple(self._step(input, hx))
