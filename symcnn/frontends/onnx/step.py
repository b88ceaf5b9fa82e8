"""One node of a graph, as its operator sees it: inputs, attributes, version.

Operators moved what they are told from attributes to inputs as versions went by: the axes of a
``Squeeze``, the pads of a ``Pad``, the scales of a ``Resize``. `Step.numbers` reads both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union

import numpy as np
from onnx.helper import get_attribute_value

from symcnn.algebra.size import Int
from symcnn.errors import BadSpec, DataDependent
from symcnn.frontends.onnx.values import Array, Truth, Unknown, Value, whole
from symcnn.trace.graph import OPS, SymbolicTensor

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

#: What the names of a graph stand for: Values, or lists of them.
Scope = MutableMapping[str, "Item"]

#: A tensor, a sequence of them, or nothing, where an input is left out or an output does not exist.
Item = Union[Value, list[Value], None]

#: What an operator gives: its output, or a tuple of them.
Outputs = Union[SymbolicTensor, Array, Item, tuple[Union[SymbolicTensor, Array, Item], ...]]

Operator = Callable[["Step"], Outputs]

#: What runs on tensors, by the operator's name.
OPERATORS: dict[str, Operator] = {}

#: Arithmetic on known elements.
Fold = Callable[["Step"], Array]

#: What runs on known elements, by the operator's name: on formulas; None moves them as numbers.
FOLDS: dict[str, Fold | None] = {}

FoldT = TypeVar("FoldT", bound=Fold)


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register what an operator of ONNX is here: a function of a `Step` that calls the rules.

    It returns a tensor, a tuple of tensors (None where an output does not exist), or Values.
    """

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def operators(table: str) -> None:
    """Register operators that are an operation of torch, one a line: ``Gather=gather 0 axis=0 1``.

    Left stands ONNX's name. Right stand the rule's and what it takes, in its order: inputs by
    their number, attributes by their name and the default that they have.
    """
    for line in table.strip().splitlines():
        name, _, row = line.strip().partition("=")
        op, *arguments = row.split()
        operator(name)(_row(op, [_argument(text) for text in arguments or ["0"]]))


def _row(op: str, arguments: Sequence[Callable[[Step], object]]) -> Operator:
    return lambda step: OPS[op](*[argument(step) for argument in arguments])


def _argument(text: str) -> Callable[[Step], object]:
    if text.isdigit():
        return lambda step: step.tensor(int(text))
    name, _, default = text.partition("=")
    return lambda step: step.attribute(name, int(default) if default else None)


def folds(*names: str) -> Callable[[FoldT], FoldT]:
    """Register what an operator does to elements that are known."""

    def register(function: FoldT) -> FoldT:
        FOLDS.update(dict.fromkeys(names, function))
        return function

    return register


class Run(Protocol):
    """The run of a graph, as the operators see it."""

    def subgraph(self, graph: GraphProto, outer: Scope, inputs: Sequence[Item]) -> list[Item]:
        """Run the body of an If, a Loop, a Scan; it sees the names around it."""

    def branch(self, truth: Truth, node: NodeProto) -> bool:
        """The side of an If."""

    def elements(self, tensor: TensorProto) -> Array | None:
        """The elements of a constant; None where there are too many."""

    def initializer(self, tensor: TensorProto) -> Value:
        """A constant of which only the shape counts."""

    def is_buffer(self, value: Value) -> None:
        """Say that a tensor of the file is no parameter."""


class Step:
    """One node while it is run."""

    __slots__ = ("attributes", "inputs", "node", "op", "run", "scope", "version")

    def __init__(
        self,
        run: Run,
        node: NodeProto,
        inputs: Sequence[Item],
        attributes: dict[str, Any],
        version: int,
        scope: Scope,
    ) -> None:
        self.run = run
        self.node = node
        self.op = node.op_type
        self.inputs = inputs  # Values, lists of Values (sequences), None where left out
        self.attributes = attributes
        self.version = version
        self.scope = scope  # the names around it, which the bodies of branches and loops see

    @property
    def outputs(self) -> int:
        """How many outputs the node has."""
        return len(self.node.output)

    def wants(self, i: int) -> bool:
        """Whether output `i` is used."""
        return i < len(self.node.output) and bool(self.node.output[i])

    def attribute(self, name: str, default: object = None) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(name, default)

    def has(self, i: int) -> bool:
        """Whether input `i` is there."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def value(self, i: int) -> Value:
        """Input `i`. Raises BadSpec where it is left out."""
        if not self.has(i):
            raise BadSpec(f"{self.op} lacks its input {i}", cure="onnx.checker says what is wrong")
        value = self.inputs[i]
        if not isinstance(value, Value):
            raise BadSpec(f"{self.op} takes a tensor as its input {i}, not a sequence")
        return value

    def values(self, start: int = 0) -> list[Value]:
        """The inputs from `start` on."""
        return [self.value(i) for i in range(len(self.inputs))[start:]]

    def tensor(self, i: int = 0) -> SymbolicTensor:
        """Input `i` as a tensor."""
        return self.value(i).tensor

    def optional(self, i: int) -> SymbolicTensor | None:
        """Input `i` as a tensor, None where it is left out."""
        return self.tensor(i) if self.has(i) else None

    def tensors(self) -> list[SymbolicTensor]:
        """All inputs that are there, as tensors."""
        return [self.tensor(i) for i in range(len(self.inputs)) if self.has(i)]

    def content(self, i: int) -> Array:
        """The elements of input `i`. Raises Unknown unless they are known."""
        content = self.value(i).content
        if content is None:
            raise Unknown
        return content

    def numbers(self, name: str, i: int | None = None) -> tuple[Int, ...] | None:
        """Whole numbers that an attribute or an input lists; None if neither does.

        Raises DataDependent where the input's elements are not known.
        """
        given = self.attributes.get(name)
        if given is not None:
            return tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if i is None or not self.has(i):
            return None
        try:
            return tuple(map(whole, self.content(i).flat))
        except Unknown:
            raise DataDependent(
                f"{name} stands in the tensor {self.value(i).name!r}, whose values are not known",
                cure="shapes, axes and pads must follow from the sizes of the inputs",
            ) from None

    def number(self, name: str, i: int | None = None, default: Int | None = None) -> Any:
        """One such number."""
        found = self.numbers(name, i)
        return found[0] if found else default

    def floats(self, name: str, i: int | None = None) -> tuple[float, ...] | None:
        """Floats that an attribute or an input lists; None if neither does."""
        given = self.attributes.get(name)
        if given is not None:
            return tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if i is None or not self.has(i) or 0 in self.value(i).dims:
            return None
        content = self.value(i).content
        if content is None or content.dtype == object:
            raise DataDependent(f"{name} stands in the tensor {self.value(i).name!r}, not a number")
        return tuple(float(v) for v in content.flat)


def attributes_of(node: NodeProto, given: Mapping[str, object]) -> dict[str, object]:
    """The attributes of a node as python values; text as str, tensors and graphs as protos. In a
    function some are those that it was called with.
    """
    values = {
        a.name: given.get(a.ref_attr_name) if a.ref_attr_name else attribute_of(a)
        for a in node.attribute
    }
    return {name: value for name, value in values.items() if value is not None}


def attribute_of(attribute: AttributeProto) -> object:
    """The value of one attribute."""
    value = get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return tuple(v.decode() if isinstance(v, bytes) else v for v in value)
    return value


def numeric(array: Array) -> bool:
    """Whether no formulas are among the elements."""
    return bool(isinstance(array, np.ndarray) and array.dtype != object)
