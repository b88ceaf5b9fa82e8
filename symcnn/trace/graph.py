"""The graph a network leaves behind: tensors that know their shape, nodes that know their rule.

A rule (see `symcnn.ops`) maps tensors and hyperparameters to a `Result`; a `Node` of it makes new
`SymbolicTensor`s. How nodes are recorded while a forward runs is `symcnn.trace.tape`.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections import Counter, namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from html import escape
from inspect import Signature, signature
from numbers import Number
from types import EllipsisType, NoneType
from typing import Any, NamedTuple, TypeVar, Union

from symcnn.algebra.axis import Axes
from symcnn.algebra.expr import Expr
from symcnn.algebra.factor import word
from symcnn.algebra.mathml import math
from symcnn.algebra.size import Int, Size, prod
from symcnn.sets.condition import Requirement
from symcnn.sets.grammar import Spec, parse_shape
from symcnn.sets.placewise import Placewise
from symcnn.shown import Markup, block, table
from symcnn.trace.call import Call
from symcnn.trace.dtype import Stated, named
from symcnn.trace.where import NOWHERE

Dims = tuple[Int, ...]


def as_index(index: object) -> object:
    """An index as a tuple where torch takes it for one, as numpy once did: a list of fewer than 32
    items of which not every one is a number.
    """
    if not isinstance(index, list) or len(index) >= 32:
        return index
    return tuple(index) if any(map(_is_part, index)) else index


def _is_part(item: object) -> bool:
    """Whether it is no number, and so an index of an axis of its own."""
    if isinstance(item, (slice, EllipsisType, NoneType)):
        return True
    return hasattr(type(item), "__getitem__") and not isinstance(item, Number)


class Shape(tuple[Any, ...]):
    """A shape as a tuple of ints and sympy expressions, written in their shortest spelling.

    >>> Shape.of((3, (Size.symbol("H") - 1)//2))
    (3, (H - 1)//2)
    >>> Shape.of((Size.symbol("N"), 3, 7)).numel
    21*N
    """

    __slots__ = ()

    @classmethod
    def of(cls, dims: Iterable[Int]) -> Shape:
        """From kernel sizes."""
        return cls(map(public, dims))

    @property
    def shape(self) -> Shape:
        """Itself, so that a network's outputs can be asked like tensors."""
        return self

    @property
    def numel(self) -> Expr:
        """The number of elements."""
        found: Any = prod(self)
        return found

    def __str__(self) -> str:
        return f"({', '.join(map(word, self))}{',' if len(self) == 1 else ''})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return block(math(tuple(self)))


class SymbolicTensor:
    """A tensor with a shape and a history, and no values.

    >>> x = tensor("N 3 H W")
    >>> x.shape, x.ndim
    ((N, 3, H, W), 4)
    """

    __slots__ = ("dims", "dtype", "extremes", "name", "node", "trainable")

    def __init__(
        self, dims: Dims, node: Node | None = None, name: str = "", dtype: str = ""
    ) -> None:
        self.dims = dims
        self.node = node
        self.name = name
        self.dtype = dtype  # torch's name for it; "" where nothing says, the network's own
        self.trainable = False  # a leaf that requires a gradient
        # whole numbers that it holds, its least and largest among them, or all
        self.extremes: Dims | Placewise = ()

    @property
    def boolean(self) -> bool:
        """Truth values: as an index it is a mask, not positions."""
        return self.dtype == "bool"

    @boolean.setter
    def boolean(self, wanted: bool) -> None:
        if wanted != self.boolean:
            self.dtype = "bool" if wanted else ""

    @property
    def shape(self) -> Shape:
        """The shape: ints and sympy expressions."""
        return Shape.of(self.dims)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.dims)

    @property
    def may_be_empty(self) -> bool:
        """Whether something that its node makes is empty at some of the sizes of the network."""
        return self.node is not None and bool(self.node.result.empties)

    @property
    def empties(self) -> Dims:
        """Its sizes that are 0 at some of the sizes of the network."""
        found: Dims = ()
        if self.may_be_empty and self.node is not None:
            found = self.node.result.empties
        return tuple(size for size in self.dims if size in found or size == 0)

    def _repr_html_(self) -> str:
        return block(f"{escape(self.name)} " if self.name else "", math(self.dims))

    def __repr__(self) -> str:
        shape = ", ".join(map(str, self.dims))
        return f"SymbolicTensor({self.name + ': ' if self.name else ''}{shape})"

    def __getitem__(self, index: Any) -> Any:
        return OPS["getitem"](self, as_index(index))

    def __iter__(self) -> Iterator[Any]:
        return iter(OPS["unbind"](self, 0))

    def __getattr__(self, name: str) -> Any:
        """The operations as methods, by torch's names: ``x.chunk(2, dim=1)``, ``x.flatten(1)``."""
        if name.startswith("_") or name not in OPS:
            raise AttributeError(f"a symbolic tensor has no {name}")
        return partial(OPS[name], self)

    # Operators call the rules by name: `symcnn.ops` fills the table, so no import runs upward.
    def __add__(self, other: Any) -> Any:
        return OPS["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return OPS["add"](self, other)

    def __sub__(self, other: Any) -> Any:
        return OPS["sub"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return OPS["sub"](self, other)

    def __mul__(self, other: Any) -> Any:
        return OPS["mul"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return OPS["mul"](self, other)

    def __truediv__(self, other: Any) -> Any:
        return OPS["div"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return OPS["div"](self, other)

    def __neg__(self) -> Any:
        return OPS["neg"](self)


class Parameter(SymbolicTensor):
    """A learned tensor. Two nodes that read the same object share the weight."""

    __slots__ = ("strides",)

    def __init__(
        self, dims: Dims, name: str = "", *, trainable: bool = True, dtype: str = ""
    ) -> None:
        self.dims, self.node, self.name, self.dtype = dims, None, name, dtype
        self.trainable, self.extremes = trainable, ()
        self.strides: tuple[int, ...] | None = None  # where it does not lie in plain order

    @property
    def count(self) -> Int:
        """The number of elements."""
        return prod(self.dims)


class Constant(SymbolicTensor):
    """A tensor that is neither input nor parameter: a buffer, a literal."""

    __slots__ = ("held", "memory", "owned", "stored", "strides")

    def __init__(self, dims: Dims, name: str = "", *, dtype: str = "", owned: bool = False) -> None:
        self.dims, self.node, self.name, self.dtype = dims, None, name, dtype
        self.trainable, self.extremes = False, ()
        self.strides: tuple[int, ...] | None = None  # where it does not lie in plain order
        self.stored: int | None = None  # elements of the memory that it is part of, if these differ
        self.memory: object = None  # the same of all constants that are parts of one, if told
        self.owned = owned  # its memory is the module's: a buffer, or part of one
        self.held = False  # it is there before the forward and after it: a tensor in an attribute


#: What an operation makes: a tensor, or several.
Made = Union[SymbolicTensor, tuple[SymbolicTensor, ...]]


def tensor(spec: Spec | SymbolicTensor, name: str = "", dtype: str = "") -> SymbolicTensor:
    """An input tensor of a shape, for networks in functional style.

    Args:
        spec: text such as ``"N 3 H W"``, a tuple of numbers and expressions, or a tensor of that
            shape and dtype.
        name: what messages call it.
        dtype: torch's name for it, such as ``"int64"``; by default the network's own.

    Returns:
        A tensor with a shape and no values.

    Raises:
        BadSpec: for malformed text, and a dtype that torch does not have.

    >>> x = tensor("N 3 H W")
    >>> (x + 1).shape
    (N, 3, H, W)
    """
    dtype = Stated(named(dtype)) if dtype else ""
    if isinstance(spec, SymbolicTensor):
        return SymbolicTensor(spec.dims, name=name or spec.name, dtype=dtype or spec.dtype)
    return SymbolicTensor(parse_shape(spec), name=name, dtype=dtype)


@dataclass(frozen=True, slots=True)
class Result:
    """What a rule answers: output shapes, how axes map, the work, and the conditions.

    `axes` says how the first tensor is read: per output axis, the axis of that tensor it comes
    from and the map along it. None: from none. Several axes: from a view of them, the map is a
    `Digit`. Entries after the output's axes tell of axes that vanish (`Pick`); an axis that no
    entry names is read whole. `axes` is None if no value is read at all, only the shape.
    Where an operation couples axes (patches become channels), `steps` reads the first tensor
    exactly: axes and sizes, step after step, the last with the output's sizes.
    MACs follow DESIGN: convolutions, linear layers, matrix products. Where they are so many for
    `each` element of the first output, they are multiplied out when somebody asks (`work`).
    """

    shapes: tuple[Dims, ...]
    axes: Axes | None = ()
    macs: Int = 0
    requires: tuple[Requirement, ...] = ()
    single: bool = True  # one tensor, not a tuple of one
    others: tuple[tuple[SymbolicTensor, Axes | None], ...] = ()  # more tensors, and their axes
    parts: tuple[Axes, ...] = ()  # per output, where outputs read different parts of the first
    blocks: Blocks | None = None  # of a repeat: what it repeats
    steps: tuple[tuple[Axes, Dims], ...] = ()  # the first tensor's axes in several steps, exactly
    empties: Dims = ()  # sizes that may be 0
    each: Int = 0  # MACs for each element of the first output, beside the others

    @property
    def work(self) -> Int:
        """Multiply-accumulates."""
        return self.macs if self.each == 0 else _of_each(self.shapes[0], self.each) + self.macs


@lru_cache(maxsize=1024)
def _of_each(shape: Dims, each: Int) -> Int:
    return prod(shape) * each


@dataclass(frozen=True, slots=True)
class Blocks:
    """A block traced once, repeated `count` times: what can be asked of it at a number.

    `values` are the sizes of block `index`; `reads` what it reads of the families it is called
    with, `outputs` its state and what it emits.
    """

    nodes: tuple[Node, ...]
    input: SymbolicTensor
    reads: tuple[SymbolicTensor, ...]
    outputs: tuple[SymbolicTensor, ...]
    index: str
    count: Int
    values: Mapping[str, Int]


@lru_cache(maxsize=1024)
def signature_of(rule: Callable[..., object]) -> Signature:
    """The parameters of a rule; python takes as long to read them as the rule to run."""
    return signature(rule)


class _Parameters(NamedTuple):
    """Those of a rule: what it was called with, it took, so nothing is left to be checked."""

    places: tuple[str, ...]  # of arguments that may stand without a name
    defaults: dict[str, object]  # of all, in order
    rest: str  # the name of those that follow, "" if none do
    more: str  # the name of those by other names

    def of(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """What the rule was called with, by name."""
        found = {**self.defaults, **dict(zip(self.places, args, strict=False))}
        if self.rest:
            found[self.rest] = tuple(args[len(self.places) :])
        found.update(kwargs)
        if self.more:
            found[self.more] = {k: found.pop(k) for k in kwargs if k not in self.defaults}
        return found


@lru_cache(maxsize=1024)
def _parameters(rule: Callable[..., object]) -> _Parameters:
    every = signature_of(rule).parameters.values()
    by_kind = {p.kind: p.name for p in every}
    kinds = inspect.Parameter
    empty: dict[Any, object] = {kinds.VAR_POSITIONAL: (), kinds.VAR_KEYWORD: {}}
    return _Parameters(
        tuple(p.name for p in every if p.kind <= kinds.POSITIONAL_OR_KEYWORD),
        {p.name: empty.get(p.kind, p.default) for p in every},
        by_kind.get(kinds.VAR_POSITIONAL, ""),
        by_kind.get(kinds.VAR_KEYWORD, ""),
    )


class Scope:
    """One call of a module: `path` is its name, "" for the network itself."""

    __slots__ = ("children", "ops", "output", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.ops = self.children = 0
        self.output: object = None

    def __getstate__(self) -> Any:
        """Without its output, which leads to all that comes before it."""
        state = {key: getattr(self, key) for key in self.__slots__}
        return None, state | {"output": None}


@dataclass(eq=False)
class Custom:
    """A torch.autograd.Function: its forward makes nodes, its gradient goes around them. Or a
    checkpoint, which runs them again.

    inputs: the tensors that it is called with: it saves something if one of them has a gradient
        (None: in any case).
    saves: the tensors that it saves for its backward pass; None where that is not known.
    """

    name: str
    inputs: tuple[SymbolicTensor, ...] | None
    saves: tuple[SymbolicTensor, ...] | None


class Mode(NamedTuple):
    """How an operation runs, beside its rule. Most run alike, and share the record."""

    inplace: bool = False  # it writes into its first input
    once: tuple[Int, ...] | None = None  # what it makes fits there; of axes of one place the sizes
    cast: str = ""  # the dtype in which autocast has it read its floats
    autocast: bool = False  # it runs under torch.autocast
    grad: bool = True  # not run under torch.no_grad
    custom: Custom | None = None  # whose gradient is another
    taken: Int = 1  # 0 where a branch leaves it out, and it would return what it is given


_USUAL = Mode()


class Node:
    """One operation of a network: name, op, shapes, parameters, MACs."""

    __slots__ = (
        "call",
        "inputs",
        "law",
        "mode",
        "name",
        "op",
        "outputs",
        "result",
        "scope",
        "where",
    )

    def __init__(
        self,
        op: str,
        inputs: Sequence[SymbolicTensor],
        result: Result,
        scope: Scope,
        call: Call | None = None,
    ) -> None:
        self.op = op
        self.call = call
        self.mode = _USUAL
        self.name = ""
        self.where = NOWHERE  # in the user's code
        self.law: Callable[[Int], Int] | None = None  # simplifies on the domain of its network
        self.inputs = tuple(inputs)
        self.result = result
        self.scope = scope
        dtype = inputs[0].dtype if inputs else ""  # unless its operation says otherwise
        self.outputs = tuple([SymbolicTensor(dims, self, "", dtype) for dims in result.shapes])

    def __getstate__(self) -> Any:
        """Without the law, which belongs to the network."""
        return None, {key: getattr(self, key) for key in self.__slots__ if key != "law"} | {
            "law": None
        }

    @property
    def source(self) -> str:
        """Where in the user's code the operation stands, ``file.py:12``; empty if nowhere.

        `where` has the whole path, and the line as it is written.
        """
        return str(self.where)

    @property
    def module(self) -> str:
        """Path of the module whose forward ran the operation."""
        return self.scope.path

    @property
    def taken(self) -> Int:
        """1 where it runs, 0 where a branch leaves it out."""
        return self.mode.taken

    @property
    def arguments(self) -> dict[str, Any]:
        """What the rule was called with, by parameter name; defaults included."""
        if self.call is None:
            return {}
        return _parameters(self.call.rule).of(self.call.args, self.call.kwargs)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters it reads."""
        return tuple(t for t in self.inputs if isinstance(t, Parameter))

    @property
    def made(self) -> Made:
        """What it returns: a tensor, or a tuple of them."""
        return self.outputs[0] if self.result.single else self.outputs

    @property
    def activations(self) -> tuple[SymbolicTensor, ...]:
        """The tensors it reads that depend on the network's input, or are it."""
        return tuple(t for t in self.inputs if not isinstance(t, (Parameter, Constant)))

    @property
    def sources(self) -> Sequence[SymbolicTensor]:
        """The tensors whose values it reads: of some a rule says that it reads the shape only."""
        told = [(t, self.result.axes) for t in self.inputs[:1]] + [*self.result.others]
        unread = [t for t, axes in told if axes is None]
        return [t for t in self.inputs if t not in unread] if unread else self.inputs

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the tensors it reads, parameters and buffers aside."""
        return tuple(self._shown(t) for t in self.activations)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the tensors it makes."""
        return tuple(self._shown(t) for t in self.outputs)

    def _shown(self, t: SymbolicTensor) -> Shape:
        return t.shape if self.law is None else Shape.of(map(self.law, t.dims))

    @property
    def input_shape(self) -> Shape:
        """Shape of the first tensor it reads."""
        return self.input_shapes[0]

    @property
    def output_shape(self) -> Shape:
        """Shape of the first tensor it makes."""
        return self.output_shapes[0]

    @property
    def params(self) -> Expr:
        """How many parameters it reads (weights shared with another node count here too)."""
        total = sum((p.count for p in dict.fromkeys(self.parameters)), 0)
        return public(total if self.law is None else self.law(total))

    @property
    def macs(self) -> Expr:
        """Multiply-accumulates."""
        return public(self.result.work if self.law is None else self.law(self.result.work))

    def __repr__(self) -> str:
        shapes = ", ".join(map(str, self.output_shapes))
        return f"Node({self.name or self.op}: {self.op} -> {shapes})"

    def _repr_html_(self) -> str:
        shapes = ", ".join(math(t.dims) for t in self.outputs)
        inputs = Markup(", ".join(math(t.dims) for t in self.inputs))
        facts = (("inputs", inputs), ("source", self.source), ("params", self.params))
        rows = [(name, fact) for name, fact in (*facts, ("MACs", self.macs)) if fact]
        head = f"<div>{escape(self.name)}: {escape(self.op)} \N{RIGHTWARDS ARROW} {shapes}</div>"
        return block(head, table(("", ""), rows))


#: What is called under every name of torch: operations, and functions made of them.
OPS: dict[str, Callable[..., Made]] = {}


def apply(op: str, *args: object, **kwargs: object) -> SymbolicTensor:
    """The tensor that the operation of that name makes, of one that makes one."""
    return OPS[op](*args, **kwargs)  # type: ignore[return-value]


def several(op: str, *args: object, **kwargs: object) -> tuple[SymbolicTensor, ...]:
    """The tensors that the operation of that name makes, of one that makes several."""
    return OPS[op](*args, **kwargs)  # type: ignore[return-value]


def public(expr: Int) -> Expr:
    """A kernel expression for users: int, or sympy."""
    if isinstance(expr, int):
        return expr
    from symcnn.algebra.legible import legible

    return legible(expr)


T = TypeVar("T")

_NO_TENSORS = frozenset((int, bool, float, str, type(None), Size))


def tensors_in(*values: object) -> list[SymbolicTensor]:
    """All symbolic tensors in nested tuples, lists, dicts and dataclasses."""
    found: list[SymbolicTensor] = []
    for value in values:
        if type(value) in _NO_TENSORS:
            continue
        if isinstance(value, SymbolicTensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            if not _NO_TENSORS.issuperset(map(type, value)):
                found += tensors_in(*value)
        elif isinstance(value, Mapping):
            found += tensors_in(*value.values())
        elif (parts := fields_of(value)) is not None:
            found += tensors_in(*parts.values())
    return found


def fields_of(value: object) -> dict[str, object] | None:
    """The fields of an object whose class is a dataclass."""
    kind: Any = type(value)
    if not hasattr(kind, "__dataclass_fields__"):
        return None
    return {f.name: getattr(value, f.name, None) for f in fields(kind)}


def with_fields(value: T, parts: Mapping[str, object]) -> T:
    """A copy with these in its fields: not made anew, which may want what only tensors have."""
    twin = copy.copy(value)
    for name, part in parts.items():
        object.__setattr__(twin, name, part)
    return twin


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` applied to the leaves of nested tuples, lists, dicts and dataclasses."""
    kind = type(value)  # what stands for a torch.Tensor says that it is one
    if kind in _NO_TENSORS or kind is Shape:
        return function(value)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):  # a named tuple
        return kind(*(tree_map(function, v) for v in value))
    if issubclass(kind, (tuple, list)):
        kind = tuple if kind.__name__ == "Size" else kind  # torch's takes numbers alone
        return kind(tree_map(function, v) for v in value)
    if issubclass(kind, dict):
        return {key: tree_map(function, v) for key, v in value.items()}
    if (parts := fields_of(value)) is not None:
        return with_fields(value, tree_map(function, parts))
    return function(value)


def leaves(value: object) -> list[object]:
    """The leaves of nested tuples, lists, dicts and dataclasses."""
    found: list[object] = []
    tree_map(found.append, value)
    return found


class FieldTuple:
    """A named tuple to pickle whose class no module has by its name, as one that a forward makes:
    again it is one of an equal class.
    """

    def __init__(self, value: Any) -> None:
        self.name, self.fields, self.values = type(value).__name__, value._fields, tuple(value)

    def __reduce__(self) -> Any:
        return _field_tuple, (self.name, self.fields, *self.values)


def _field_tuple(name: str, fields: tuple[str, ...], *values: object) -> object:
    return _tuple_class(name, fields)(*values)


@lru_cache(maxsize=256)
def _tuple_class(name: str, fields: tuple[str, ...]) -> Callable[..., object]:
    return namedtuple(name, fields)


def to_pickle(value: object) -> object:
    """Nested tuples, lists and dicts as pickle takes them: see `FieldTuple`."""
    if isinstance(value, (tuple, list)) and type(value) is not Shape:
        kind: Any = type(value)
        parts = [to_pickle(v) for v in value]
        if not hasattr(kind, "_fields"):
            return kind(parts)
        found: Any = sys.modules.get(kind.__module__)
        for name in kind.__qualname__.split("."):
            found = getattr(found, name, None)
        return kind(*parts) if found is kind else FieldTuple(kind(*parts))
    if isinstance(value, dict):
        return {key: to_pickle(v) for key, v in value.items()}
    return value


def ancestors(outputs: Iterable[SymbolicTensor]) -> list[Node]:
    """The nodes that `outputs` depend on, in an order of execution."""
    order: dict[Node, None] = {}
    stack: list[tuple[Node, bool]] = [(t.node, False) for t in outputs if t.node is not None][::-1]
    while stack:
        node, done = stack.pop()
        if done:
            order[node] = None
        elif node not in order:
            stack.append((node, True))
            stack += [
                (t.node, False)
                for t in reversed(node.inputs)
                if t.node is not None and t.node not in order
            ]
    return list(order)


def is_read(value: SymbolicTensor, buffers: bool = False) -> bool:
    """Whether it is made of an input or a weight, and not of sizes and constants alone.

    buffers: or of a buffer, or of several floats, which say nothing of sizes either.
    """
    sources = [value, *(t for node in ancestors([value]) for t in node.sources)]
    left = [t for t in sources if t.node is None]
    return any(not isinstance(t, Constant) or (buffers and _has_values(t)) for t in left)


def _has_values(t: Constant) -> bool:
    return t.owned or ("float" in t.dtype and t.dims not in ((), (1,)))


def name_nodes(nodes: Iterable[Node]) -> None:
    """Name each node by its module path (``layer1.0.conv1``), or path and op where a module does
    more than one thing (``layer1.0.add``); ``:1``, ``:2`` tell repetitions apart.
    """
    unnamed = [n for n in nodes if not n.name]
    bases = []
    for n in unnamed:
        whole = n.scope.ops == 1 and not n.scope.children and n.scope.path
        bases.append(n.scope.path if whole else f"{n.scope.path}.{n.op}".lstrip("."))
    repeated = {base for base, times in Counter(bases).items() if times > 1}
    seen: Counter[str] = Counter()
    for n, base in zip(unnamed, bases, strict=True):
        n.name = base
        if base in repeated:
            seen[base] += 1
            n.name = f"{base}:{seen[base]}"
