"""What a trace says, as a value: equal traces of equal networks, and their pickled copies, compare.

The law: *a trace is its nodes in order, and tensors are numbered as the nodes meet them*. Two
traces say the same if every node calls the same operation with the same settings on tensors of the
same numbers, and these have the same names, shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from symcnn.trace.graph import Blocks, Custom, Node, Result, SymbolicTensor
from symcnn.trace.trace import Trace, remembered

_PLAIN = (int, float, complex, str, bytes, type(None))


class Content:
    """What the nodes among some tensors say."""

    def __init__(self, inputs: Iterable[Any], nodes: Iterable[Node], more: object) -> None:
        """more: what else the trace holds, tensors among it."""
        self.places: dict[SymbolicTensor, int] = {}
        self.tensors: list[object] = []  # by their numbers
        self.said = [self._key(tuple(inputs)), *map(self._node, nodes), self._key(more)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Content):
            return NotImplemented
        return self is other or (self.said == other.said and self.tensors == other.tensors)

    def __hash__(self) -> int:
        return hash((len(self.said), len(self.tensors)))

    def place(self, tensor: SymbolicTensor) -> object:
        """The number of a tensor."""
        return self.places.get(tensor, tensor)

    def _node(self, node: Node) -> object:
        call = node.call
        called = None if call is None else (call.operation.name, call.args, call.kwargs)
        *how, custom, taken = node.mode
        told = self._key((called, node.inputs, node.result, node.outputs, custom))
        return node.name, node.op, how, taken, node.scope.path, told

    def _key(self, value: Any) -> object:
        if isinstance(value, SymbolicTensor):
            return self._numbered(value)
        if isinstance(value, (tuple, list)):
            return type(value).__name__, [*map(self._key, value)]
        if isinstance(value, Mapping):
            return [(self._key(k), self._key(v)) for k, v in value.items()]
        if isinstance(value, Node):
            return self._node(value)
        if isinstance(value, (Result, Blocks, Custom)) and is_dataclass(value):
            return [self._key(getattr(value, f.name)) for f in fields(value)]
        if isinstance(value, _PLAIN):
            return type(value).__name__, value
        ours = type(value).__module__.partition(".")[0] in ("symcnn", "sympy", "fractions")
        return value if ours else repr(value)

    def _numbered(self, tensor: SymbolicTensor) -> int:
        if tensor not in self.places:
            self.places[tensor] = len(self.places)
            strides = getattr(tensor, "strides", None)
            said = tensor.name, tensor.dims, tensor.dtype, tensor.trainable, strides
            self.tensors.append((type(tensor).__name__, *said))
        return self.places[tensor]


@remembered
def content(net: Trace) -> Content:
    """What a trace says. Networks are objects; their answers compare by this."""
    requires = tuple(g.requirement for g in net.guards)
    more = tuple(net.output_tensors), tuple(net.parameters), net.buffers, requires
    return Content(net.input_tensors, net.nodes, more)


class Valued:
    """An answer that is equal to another one if all that it depends on is."""

    def _value(self) -> tuple[object, ...]:
        """All that it depends on."""
        return tuple(vars(self).values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Valued) or type(other) is not type(self):
            return NotImplemented
        return self is other or self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())
