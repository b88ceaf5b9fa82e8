"""A graph once more, with numbers (or other expressions) for some of its symbols.

Every node is made again by its own rule from what its rule was called with: so what a rule checks
of a number, and cannot check of a symbol (an output_padding below the stride, a pad of at most half
a pooling window), is checked. A node that was made without a rule is put in as a whole.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from symcnn.algebra.expr import Number, from_sympy
from symcnn.algebra.size import Atom, Int, Part, Size, Symbol, every_atom, symbols_of
from symcnn.errors import BadSpec, InvalidInput
from symcnn.sets.condition import decide_syntactically, subexpressions, substituted
from symcnn.trace.call import Call
from symcnn.trace.graph import Blocks, Node, Result, SymbolicTensor
from symcnn.trace.tape import Guard, Tape, record

#: What stays as it is.
_PLAIN = frozenset((int, str, float, bool, type(None)))

#: Symbols by name, as they were declared.
Atoms = dict[str, list[Atom]]


class AnotherBranch(InvalidInput):
    """Values take another branch of the forward."""


class Replay:
    """Puts `values` for symbols into whatever a network is made of: ``replay(tensors)``.

    Raises AnotherBranch for values that take another branch than `guards`, before any layer of this
    branch sees them; then what the rules raise for numbers that they refuse: ShapeMismatch,
    InvalidInput.
    """

    def __init__(
        self, nodes: Iterable[Node], values: Mapping[str, Int], guards: Iterable[Guard] = ()
    ) -> None:
        self.values = values
        self.guards = self._left(guards)
        self._twins: dict[int, Any] = {}
        self._kept: list[Any] = []  # whose ids are in use
        self.before: list[Node] = []  # the node that each of `nodes` was
        tape = Tape(guards=[*self.guards])  # the branch decides what it decided in the trace
        with tape.running():
            for node in nodes:
                self._again(node)
                if len(tape.nodes) > len(self.before):
                    self.before.append(node)
        self.nodes = tape.nodes
        for node, twin in zip(self.before, self.nodes, strict=True):  # of tensors made after it too
            twin.mode = twin.mode._replace(custom=self(node.mode.custom))

    def _again(self, node: Node) -> None:
        taken = self(node.taken)
        if taken == 0:  # a branch leaves it out
            self._remember(node.outputs[0], self(node.inputs[0]))
            return
        call, result = node.call, None
        if call is not None:
            args, kwargs = self(call.args), self(dict(call.kwargs))
            made = call.rule(*args, **kwargs)
            result = made if isinstance(made, Result) else Result((tuple(map(from_sympy, made)),))
            call = Call(call.operation, args, kwargs, call.costed)
        twin = record(node.op, self(node.inputs), result or self(node.result), call)
        twin.name, twin.scope, twin.where = node.name, node.scope, node.where
        twin.mode = node.mode._replace(custom=None, taken=taken, once=self(node.mode.once))
        self._remember(node, twin)
        if len(twin.outputs) != len(node.outputs):  # as many parts as there are on this branch
            raise InvalidInput(
                f"{node.name} ({node.op}) makes {len(twin.outputs)} tensors there,"
                f" not {len(node.outputs)}",
                cure="trace again with these numbers",
            )
        for old, new in zip(node.outputs, twin.outputs, strict=True):
            new.dtype, new.name, new.trainable = old.dtype, old.name, old.trainable
            self._remember(old, new)

    def _apart(self, nodes: Iterable[Node]) -> None:
        """Nodes that are no part of the graph."""
        with Tape(guards=[*self.guards]).running():
            for node in nodes:
                self._again(node)

    def _remember(self, old: Any, new: Any) -> None:
        self._twins[id(old)] = new
        self._kept.append(old)

    def __call__(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if isinstance(value, Size):
            return value.subs(self.values)
        if isinstance(value, (SymbolicTensor, Node)):
            if id(value) not in self._twins:
                if isinstance(value, SymbolicTensor):
                    self._remember(value, self._tensor(value))
                else:
                    self._apart([value])  # of work on constants, which the graph leaves out
            return self._twins[id(value)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self, value))
        if isinstance(value, (tuple, list)):
            return type(value)(map(self, value))
        if isinstance(value, Mapping):
            return {key: self(v) for key, v in value.items()}
        if isinstance(value, slice):
            return slice(self(value.start), self(value.stop), self(value.step))
        if isinstance(value, Blocks):
            self._apart(value.nodes)  # a family of its own
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{f.name: self(getattr(value, f.name)) for f in fields(value)})
        return value

    def _tensor(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """Inputs, parameters, constants, and whatever else has a shape."""
        twin = copy.copy(tensor)
        twin.dims = tuple(map(self, tensor.dims))
        if tensor.node is not None:
            twin.node = self(tensor.node)
        return twin

    def _left(self, guards: Iterable[Guard]) -> tuple[Guard, ...]:
        """The branches that the values do not decide."""
        found = []
        for guard in guards:
            requirement = substituted(guard.requirement, self.values)
            verdict = decide_syntactically(requirement)
            if verdict is False:
                raise AnotherBranch(f"the branch at {guard.where} is another: {guard.requirement}")
            if verdict is None:
                found.append(replace(guard, requirement=requirement))
        return tuple(found)


def hyperparameters(nodes: Iterable[Node], inputs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The symbols that layers are built of, and not inputs, with torch's names for what they are.

    In the order in which they first stand in a layer.
    """
    found: dict[str, dict[str, None]] = {}
    born = set(inputs)
    for node in nodes:
        given = {name: _sizes_in(value) for name, value in node.arguments.items()}
        if node.call is None:
            given["n"] = _NONE.union(*(r.symbols for r in node.result.requires))
            given["n"] |= symbols_of(node.result.work, *(d for t in node.outputs for d in t.dims))
        else:
            shapes = [p.dims for p in node.parameters]
            kernel = _NONE.union(*(symbols_of(*dims[2:]) for dims in shapes))
            given["kernel_size"] = kernel | given.get("kernel_size", _NONE)
            given["channels"] = _NONE.union(*(symbols_of(*dims[:2]) for dims in shapes))
        for role in sorted(given, key=lambda role: _ORDER.get(role, len(_ORDER))):
            for name in sorted(given[role] - born):
                found.setdefault(name, {})[role] = None
        born |= symbols_of(*(d for t in node.outputs for d in t.dims)) - set(found)
    return {name: tuple(roles) for name, roles in found.items()}


def check_values(
    atoms: Mapping[str, Sequence[Atom]], values: Mapping[str, Number]
) -> dict[str, Int]:
    """Values for symbols as kernel expressions. Raises BadSpec for what they cannot be."""
    found: dict[str, Int] = {}
    for key, value in values.items():
        name = str(key)
        if name not in atoms:
            raise BadSpec(
                f"no symbol is called {name}",
                cure=f"there is {', '.join(sorted(atoms)) or 'none'}",
            )
        if isinstance(value, bool):
            raise BadSpec(f"{name}={value} is not a whole number")
        found[name] = from_sympy(value)
        if not may_be(atoms[name], found[name]):
            raise BadSpec(
                f"{name}={value}, but {name} was declared otherwise",
                cure=f'such as symcnn.index("{name}") for one that may be 0',
            )
    return found


def may_be(atoms: Sequence[Atom], value: Int) -> bool:
    """Whether a symbol that was declared so may have this value."""
    return all(_may_be(atom, value) for atom in atoms)


def _may_be(atom: Atom, value: Int) -> bool:
    """Whether a symbol that was declared so may have this value."""
    if not isinstance(value, int):
        return True
    if isinstance(atom, Part):
        try:
            value = int(atom.at({atom.name: value}))
        except InvalidInput:
            return False
    return atom.low is None or value >= atom.low


def atoms_by_name(nodes: Iterable[Node], inputs: Iterable[SymbolicTensor]) -> Atoms:
    """The symbols of a network by name, as they were declared: positive, odd, from 0."""
    stack: list[Any] = [d for t in inputs for d in t.dims]
    for node in nodes:
        stack += [node.arguments, *(t.dims for t in (*node.inputs, *node.outputs))]
        stack += [side for r in node.result.requires for side in subexpressions(r)]
    sizes: list[Size] = []
    while stack:
        value = stack.pop()
        if isinstance(value, Size):
            sizes.append(value)
        elif isinstance(value, (tuple, list)):
            stack += value
        elif isinstance(value, Mapping):
            stack += value.values()
    found: Atoms = {}
    for atom in every_atom(*sizes):
        if isinstance(atom, (Symbol, Part)):
            found.setdefault(atom.name, []).append(atom)
    return found


#: Roles in the order in which torch's layers name them.
_ORDER = {
    role: i
    for i, role in enumerate(
        ("channels", "kernel_size", "stride", "padding", "dilation", "output_padding")
    )
}


def _sizes_in(value: Any) -> frozenset[str]:
    if isinstance(value, Size):
        return symbols_of(value)
    if isinstance(value, (tuple, list)):
        return _NONE.union(*filter(None, map(_sizes_in, value)))
    return _NONE


_NONE = frozenset[str]()
