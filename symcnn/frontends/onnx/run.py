"""A graph is run, node after node, on values that know their shape.

A node whose inputs' elements are all known is folded (see `values`); every other node calls the
rule of its operator, as torch's modules do, so that every question works on the network that
comes out. An operator without a rule of its own is run through the body that the standard defines
it by, if it does. What is missing is told at once, all of it, before anything runs.
"""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from symcnn.errors import BadSpec, SymcnnError, UnsupportedOperation
from symcnn.frontends.onnx import arithmetic, arrange, convolve, flow, pointwise  # noqa: F401
from symcnn.frontends.onnx.step import (
    FOLDS,
    OPERATORS,
    Item,
    Outputs,
    Scope,
    Step,
    attribute_of,
    attributes_of,
)
from symcnn.frontends.onnx.values import Array, Truth, Unknown, Value, dtype_of
from symcnn.trace.graph import Constant, Parameter, SymbolicTensor
from symcnn.trace.tape import Guard, Tape

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

#: Elements of initializers are looked at up to so many; and folded up to so many.
_TABLE, _SMALL, _FOLDED = 1 << 16, 64, 1 << 16

_FLOATS = frozenset({1, 10, 11, 16})  # TensorProto.DataType: float, float16, double, bfloat16
_STANDARD = ("", "ai.onnx")


class Run:
    """One pass over a model."""

    def __init__(
        self, model: ModelProto, tape: Tape, folder: Path | None, sides: Sequence[bool] = ()
    ) -> None:
        """sides: which way the first branches go that the sizes leave open; then: as they hold."""
        self.model = model
        self.sides = sides
        self.open: list[Truth] = []  # the branches that were left open, in order
        self.tape = tape
        self.folder = folder
        self.versions = {_domain(used.domain): used.version for used in model.opset_import}
        self.functions = functions_of(model)
        self.parameters: dict[str, Parameter] = {}
        self.buffers: dict[str, Constant] = {}
        self.seen: dict[str, Item] = {}  # of the main graph, by name

    # graphs

    def graph(self, graph: GraphProto, inputs: Mapping[str, Value]) -> list[Item]:
        """Run the main graph."""
        scope: Scope = self.seen
        scope.update(self._initializers(graph))
        scope.update(inputs)
        self._nodes(graph.node, scope, self.versions, top=True)
        for module in reversed(self.tape.scopes[1:]):
            self.tape.leave(module.output)
        return [self._named(scope, output.name) for output in graph.output]

    def subgraph(self, graph: GraphProto, outer: Scope, inputs: Sequence[Item]) -> list[Item]:
        """Run the body of an If, a Loop, a Scan; it sees the names around it."""
        scope: Scope = ChainMap({}, outer)
        scope.update(self._initializers(graph))
        scope.update(zip((i.name for i in graph.input), inputs, strict=False))
        self._nodes(graph.node, scope, self.versions)
        return [self._named(scope, output.name) for output in graph.output]

    def function(self, body: FunctionProto, step: Step) -> list[Item]:
        """Run a function: it sees its arguments only."""
        defaults = {a.name: attribute_of(a) for a in body.attribute_proto}
        given = {**defaults, **step.attributes}
        scope: Scope = dict(zip(body.input, step.inputs, strict=False))
        scope.update(dict.fromkeys(body.input[len(step.inputs) :]))
        versions = {**self.versions, **{_domain(u.domain): u.version for u in body.opset_import}}
        self._nodes(body.node, scope, versions, given)
        return [scope.get(name) for name in body.output]

    def _nodes(
        self,
        nodes: Sequence[NodeProto],
        scope: Scope,
        versions: Mapping[str, int],
        given: Mapping[str, object] | None = None,
        *,
        top: bool = False,
    ) -> None:
        for node in nodes:
            before = len(self.tape.nodes)
            if top:
                self._enter(node)
            outputs = self.node(node, scope, versions, given)
            for name, value in zip(node.output, outputs, strict=False):
                if name:
                    if isinstance(value, Value) and not value.name:
                        value.name = name
                    scope[name] = value
            if top:
                self._after(node, self.tape.nodes[before:], outputs)

    def node(
        self,
        node: NodeProto,
        scope: Scope,
        versions: Mapping[str, int],
        given: Mapping[str, object] | None = None,
    ) -> Sequence[Item]:
        """Run one node: its outputs."""
        domain = _domain(node.domain)
        inputs = [self._named(scope, name) if name else None for name in node.input]
        attributes = attributes_of(node, given or {})
        step = Step(self, node, inputs, attributes, versions.get(domain, NEWEST), scope)
        try:
            return self._values(step, self._run(step, domain), domain)
        except SymcnnError as error:
            if getattr(error, "placed", False):
                raise
            raise _placed(error, node) from error
        except Unknown:
            raise _placed(
                UnsupportedOperation("its values decide, and are not known"), node
            ) from None

    def _run(self, step: Step, domain: str) -> Outputs:
        body = self.functions.get((domain, step.op))
        if body is not None:
            return tuple(self.function(body, step))
        if not domain:
            if step.op in FOLDS and _foldable(step):
                with suppress(Unknown):
                    return tuple(arithmetic.folded(step))
            mapping = OPERATORS.get(step.op)
            if mapping is not None:
                return mapping(step)
            body = _standard_body(step)
            if body is not None:
                return tuple(self.function(body, step))
        raise UnsupportedOperation(f"the operator {_full(domain, step.op)} has no rule")

    def _values(self, step: Step, found: Outputs, domain: str) -> list[Item]:
        """What an operator returned, as values."""
        outputs: list[Any] = list(found) if isinstance(found, tuple) else [found]
        types = None
        for i, value in enumerate(outputs):
            if isinstance(value, SymbolicTensor):
                outputs[i] = value = Value(value)
            elif isinstance(value, np.ndarray):
                outputs[i] = value = Value(content=value)
            if isinstance(value, Value) and not value.dtype:
                if types is None:
                    types = () if domain else _result_types(step)
                value.dtype = types[i] if i < len(types) else ""
                value.set_dtype()
        return outputs

    def _named(self, scope: Scope, name: str) -> Item:
        try:
            return scope[name]
        except KeyError:
            raise BadSpec(
                f"no node, input or initializer gives {name!r}",
                cure="onnx.checker.check_model says what is wrong with the file",
            ) from None

    # constants

    def _initializers(self, graph: GraphProto) -> Iterator[tuple[str, Value]]:
        for tensor in graph.initializer:
            yield tensor.name, self.initializer(tensor)
        for sparse in graph.sparse_initializer:
            dims = tuple(sparse.dims)
            name = sparse.values.name
            yield name, self._leaf(name, dims, sparse.values.data_type, None)

    def initializer(self, tensor: TensorProto) -> Value:
        """A tensor that the file holds: a parameter if it is of floats and has an axis."""
        dims = tuple(tensor.dims)
        return self._leaf(tensor.name, dims, tensor.data_type, self.elements(tensor))

    def _leaf(self, name: str, dims: tuple[int, ...], kind: int, content: Any) -> Value:
        dtype = dtype_of(kind)
        if kind in _FLOATS and dims:
            leaf = self.parameters[name] = Parameter(dims, name, dtype=dtype)
            return Value(leaf, content, dtype=dtype, name=name)
        if content is not None:
            return Value(content=content, dtype=dtype, name=name)
        buffer = Constant(dims, name, dtype=dtype, owned=True)
        buffer.boolean = dtype == "bool"
        return Value(buffer, dtype=dtype, name=name)

    def is_buffer(self, value: Value) -> None:
        """A tensor of the file is no parameter: the running statistics of a normalisation."""
        leaf = self.parameters.pop(value.name, None)
        if leaf is not None:
            buffer = Constant(leaf.dims, leaf.name, dtype=leaf.dtype, owned=True)
            self.buffers[value.name] = buffer
            value._tensor = buffer

    def branch(self, truth: Truth, node: NodeProto) -> bool:
        """Which way a branch goes that the domain leaves open; what it holds for is a guard."""
        taken = self.sides[len(self.open)] if len(self.open) < len(self.sides) else True
        self.open.append(truth)
        requirement = truth.requirement if taken else truth.negated
        place = node.name or f"If that gives {node.output[0]!r}"
        self.tape.guards.append(Guard(requirement, place, len(self.tape.nodes) - 1))
        return taken

    def elements(self, tensor: TensorProto) -> Array | None:
        """The elements of a small table; None if there are many, or they are elsewhere."""
        total = int(np.prod(tensor.dims)) if tensor.dims else 1
        if total > (_SMALL if tensor.data_type in _FLOATS else _TABLE) or tensor.data_type == 8:
            return None
        if tensor.data_location == 1:  # EXTERNAL
            if tensor.data_type in _FLOATS or self.folder is None:
                return None
            from onnx.external_data_helper import load_external_data_for_tensor

            try:
                load_external_data_for_tensor(tensor, str(self.folder))
            except Exception:  # the file is not there: the values stay open
                return None
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:
            raise BadSpec(f"the initializer {tensor.name!r} is malformed: {error}") from None

    # modules

    def _enter(self, node: NodeProto) -> None:
        """Modules that the exporter names: entered and left as the nodes go through them."""
        self.tape.go_to(_modules(node))

    def _after(self, node: NodeProto, made: Sequence[Any], outputs: Sequence[Any]) -> None:
        tensors = [v.tensor for v in outputs if isinstance(v, Value) and v.content is None]
        if tensors:
            for scope in self.tape.scopes[1:]:
                scope.output = tensors[0] if len(tensors) == 1 else tuple(tensors)
        elif self.tape.scopes[1:] and made:
            for scope in self.tape.scopes[1:]:
                scope.output = made[-1].outputs[0]
        if made and not self.tape.scopes[1:] and node.name:
            name = node.name.strip("/")
            for one in made:
                one.name = name if len(made) == 1 else f"{name}.{one.op}"


NEWEST = 1 << 30


def _domain(name: str) -> str:
    return "" if name in _STANDARD else name


def _full(domain: str, op: str) -> str:
    return f"{domain}.{op}" if domain else op


def functions_of(model: ModelProto) -> dict[tuple[str, str], FunctionProto]:
    """The functions that the model brings along."""
    return {(_domain(f.domain), f.name): f for f in model.functions}


def _foldable(step: Step) -> bool:
    total = 0
    for value in step.inputs:
        if value is None:
            continue
        if not isinstance(value, Value) or value.content is None:
            return False
        total += value.content.size
    return total <= _FOLDED and bool(step.inputs or step.op == "Constant")


def _placed(error: SymcnnError, node: NodeProto) -> SymcnnError:
    """The error with the node it comes from."""
    place = f"{node.name} ({node.op_type})" if node.name else node.op_type
    if not node.name and node.output:
        place = f"{node.op_type} that gives {node.output[0]!r}"
    told = type(error)(f"at {place}: {error.cause}", cure=lambda: error.cure)
    told.placed = True  # type: ignore[attr-defined]
    return told


_NAMES = {"float": "float32", "double": "float64"}


def _schema(op: str, version: int) -> Any:
    """What the standard says of an operator, None if it has no such operator."""
    try:
        return onnx.defs.get_schema(op, min(version, onnx.defs.onnx_opset_version()), "")
    except onnx.defs.SchemaError:
        return None


@lru_cache(maxsize=512)
def _types(op: str, version: int) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    schema = _schema(op, version)
    if schema is None:
        return None
    only = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    gives = [o.type_str for o in schema.outputs]
    return (
        tuple(i.type_str for i in schema.inputs),
        tuple(only[o][0] if len(only.get(o, ())) == 1 else o for o in gives),
    )


def _result_types(step: Step) -> list[str]:
    """The types of the outputs: named by the standard, or those of inputs with the same letter."""
    to = step.attribute("to", step.attribute("dtype"))
    to = getattr(step.attribute("value"), "data_type", to)  # of what it is filled with
    if isinstance(to, int):
        return [dtype_of(to)] * step.outputs
    known = _types(step.op, step.version)
    if known is None:
        return []
    takes, gives = known
    letters: dict[str, str] = {}
    for i, value in enumerate(step.inputs):
        letter = takes[min(i, len(takes) - 1)] if takes else ""
        if isinstance(value, Value) and value.dtype:
            letters.setdefault(letter, value.dtype)
    found = []
    for i in range(step.outputs):
        letter = gives[min(i, len(gives) - 1)] if gives else ""
        if letter.startswith("tensor("):
            name = letter[len("tensor(") : -1]
            found.append(_NAMES.get(name, name))
        else:
            found.append(letters.get(letter, ""))
    return found


def _modules(node: NodeProto) -> list[str]:
    """The modules that torch's exporters say a node comes from, outermost first."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            with suppress(ValueError, SyntaxError):
                return [name for name in ast.literal_eval(entry.value)[:-1] if name]
    if not node.name.startswith("/"):
        return []
    paths: list[str] = []
    for part in node.name.strip("/").split("/")[:-1]:
        # "/layer1/layer1.0/conv1/Conv": a child of a container is named with its container
        stem, _, _ = part.rpartition(".")
        around = paths[-1] if paths else ""
        if stem and (around == stem or around.endswith(f".{stem}")):
            part = f"{around}{part[len(stem) :]}"
        elif around:
            part = f"{around}.{part}"
        paths.append(part)
    return paths


# what is missing


def missing_operators(model: ModelProto) -> dict[str, list[str]]:
    """Operators that have neither a rule nor a body, and the nodes that use them."""
    functions = functions_of(model)
    versions = {_domain(used.domain): used.version for used in model.opset_import}
    missing: dict[str, list[str]] = {}

    def look(nodes: Sequence[NodeProto], place: str, inside: frozenset[tuple[str, str]]) -> None:
        for node in nodes:
            key = (_domain(node.domain), node.op_type)
            where = node.name or f"the node that gives {', '.join(node.output)!r}"
            where = f"{where} in {place}" if place else where
            if key in functions:
                if key not in inside:
                    look(functions[key].node, f"the function {key[1]}", inside | {key})
            elif not _taken(*key, versions.get(key[0], NEWEST)):
                missing.setdefault(_full(*key), []).append(where)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    look(attribute.g.node, f"the body of {where}", inside)
                for graph in attribute.graphs:
                    look(graph.node, f"the body of {where}", inside)

    look(model.graph.node, "", frozenset())
    return missing


@lru_cache(maxsize=1024)
def _taken(domain: str, op: str, version: int) -> bool:
    if domain:
        return False
    if op in OPERATORS:
        return True
    schema = _schema(op, version)
    if schema is None:
        return False
    if schema.has_function:
        return all(_taken(_domain(n.domain), n.op_type, version) for n in schema.function_body.node)
    return bool(schema.has_context_dependent_function)


def _standard_body(step: Step) -> FunctionProto | None:
    """The body that the standard defines an operator by, if it does."""
    schema = _schema(step.op, step.version)
    if schema is None:
        return None
    body = onnx.FunctionProto()
    if schema.has_function:
        body.CopyFrom(schema.function_body)
    elif schema.has_context_dependent_function:
        types = [_type_of(v).SerializeToString() for v in step.inputs]
        node = onnx.helper.make_node(
            step.op, list(step.node.input), list(step.node.output), **_plain(step.attributes)
        )
        data = schema.get_context_dependent_function(node.SerializeToString(), types)
        body.ParseFromString(data)
    else:
        return None
    for attribute in schema.attributes.values():
        default = attribute.default_value
        if attribute.name not in step.attributes and default.type:
            step.attributes[attribute.name] = attribute_of(default)
    return body


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value not in (None, ())}


def _type_of(value: Any) -> Any:
    proto = onnx.TypeProto()
    if isinstance(value, Value):
        value.write(proto.tensor_type)
    return proto
