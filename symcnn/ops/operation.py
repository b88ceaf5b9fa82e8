"""An operation is one record: what every question asks of it stands in one place.

A rule is a plain function under torch's name, with torch's parameter names and order, that takes
symbolic tensors and hyperparameters and says how shapes follow. The record has it, and laws, each a
function of a node that the operation made: its work, what autograd keeps, the dtypes. What a record
leaves open is refused by name, never guessed. `@rule("conv2d", ...)` makes a rule an operation that
every front end finds: `symcnn.nn` calls it as it is, torch's functions find it by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import WRAPPER_ASSIGNMENTS, partial, wraps
from inspect import signature
from typing import Any, NoReturn, Union

from symcnn.algebra.axis import Axes, AxisMap
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, minimum, prod
from symcnn.errors import BadSpec, ShapeMismatch, SymcnnError, UnsupportedOperation
from symcnn.ops.dtypes import CASTABLE, Law, autocasted, can_cast, said
from symcnn.ops.laws import Value
from symcnn.ops.registry import Rule, aligned, as_sizes, require_shape, whole_axes
from symcnn.ops.takes import Takes, promotes_by, require_dtypes
from symcnn.ops.values import whole
from symcnn.trace.call import NO_KEYWORDS, RECORDS, Call
from symcnn.trace.graph import OPS, Node, Result, Scope, SymbolicTensor, tensors_in
from symcnn.trace.tape import ELEMENTS, Attempt, Tape, current_tape, may_be_empty, record

#: How much work a node is.
Work = Callable[[Node], Int]


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a node: its factors, and the MACs of the gradient of each.

    A factor is the tensors it is computed from: it needs a gradient if one of them does.
    """

    left: tuple[SymbolicTensor, ...]
    right: tuple[SymbolicTensor, ...]
    left_macs: Int
    right_macs: Int


#: Which products a node is.
Products = Callable[[Node], Sequence[Product]]

#: What an operation makes, views and keeps, in a run in memory.
Saves = Callable[[Any, Node], None]

#: The operations that one is written in, called: the tensors that come out, and those that its
#: python holds to the end.
Steps = Callable[[Node], tuple[Sequence[SymbolicTensor], Sequence[SymbolicTensor]]]

#: Of what lies where (`symcnn.ops.storage`) and of the arguments: how the part lies that is written
#: to, or None where torch does not look at that.
Part = Callable[..., Any]

#: The arguments at which a node returns what it is given.
Idle = Callable[[Node], "Mapping[str, object] | None"]

#: By device, how autocast has an operation read its floats; or a function of the node that says so.
Autocast = Union[Mapping[str, str], Callable[[Node], Mapping[str, str]]]

#: A map per output axis: from the same axis of a tensor, or from the one beside the map.
Maps = Sequence["AxisMap | tuple[int | None, AxisMap]"]

#: How outputs read inputs.
Reads = Union[str, Callable[[Node], "Maps | Mapping[str, Maps]"]]


@dataclass(frozen=True, slots=True)
class Counted:
    """What `torch.utils.flop_counter` makes of an operation, where that is not what is done."""

    macs: Work
    products: Products


#: Rules for functions and module classes that torch's own names do not reach.
TARGETS: dict[Any, Operation] = {}


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation: a rule that records what it answers, and what else is asked of its nodes.

    The fields are what `rule` takes, as functions of a node where it takes words and numbers, and
    beside it:

    rule: how shapes follow, how outputs read inputs, MACs, and what sizes it requires.
    products: the products that its MACs are, each of which has the gradients of its factors;
        `unsaid` where its gradient has others.
    saves: what it makes, views and keeps for the backward pass, in a run in memory; or what it
        keeps, by parameter name.
    steps: the operations that it is written in, which say in its place what it makes and keeps.
    dtype: the dtypes of what it makes, from a node and the dtype of a python float; None for that
        of its first tensor.
    autocast: a "script" casts as "cuda" does, and some to the "widest" of its operands.
    uniform: so is all that is pointwise.
    scrambles: where that is not so, and `saves` is silent, it makes plain order of plain order.
    takes: the dtypes that it takes, if not all; which tensors must be alike.
    """

    name: str
    rule: Rule
    other: Work | None = None
    counts: Mapping[str, Work] = field(default_factory=dict)
    products: Products | None = None
    counted: Counted | None = None
    gradient: bool = True
    saves: Saves | str | None = None
    steps: Steps | None = None
    dtype: Law | None = None
    autocast: Autocast = field(default_factory=dict)
    pointwise: bool = False
    uniform: bool = False
    slides: bool = True
    joins: bool = False
    statistics: bool = False
    empty: bool = False
    fills: bool | Part = False
    value: Value | None = None
    sizes: bool = False
    shows: str = ""
    operators: str = ""
    scaled: bool = False
    scrambles: bool = False
    idle: Idle | None = None
    takes: Takes | None = None

    def __post_init__(self) -> None:
        for name in WRAPPER_ASSIGNMENTS:  # its name, text and parameters are the rule's
            vars(self)[name] = getattr(self.rule, name, None)
        vars(self)["__wrapped__"] = self.rule

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """The output, or the outputs, for arguments that may be sympy's."""
        node = self.node(tuple(map(as_sizes, args)), {k: as_sizes(a) for k, a in kwargs.items()})
        return node.made

    def node(
        self,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        reads: Sequence[SymbolicTensor] = (),
        target: SymbolicTensor | None = None,
        alone: Sequence[Int] = (),
    ) -> Node:
        """The new node for arguments of the kernel's; `reads` are tensors beside them, `target`
        is the one that it writes to, where axes of the sizes `alone` are of one place.
        """
        try:
            inputs = tensors_in(*args, *kwargs.values())
            if not self.empty and any(0 in t.dims for t in inputs):
                raise ShapeMismatch(
                    f"{self.name}: {ELEMENTS}",
                    cure="leave the empty tensor out, or join it with something before",
                )
            result: Any = self.rule(*args, **kwargs)
            costed = type(result) is Result
            if not costed:
                result = Result((tuple(map(from_sympy, result)),))
            if target is not None:
                result = into(self.name, target, result, alone)
            inputs += reads
            if self.takes is not None and not self.takes.all_of(inputs):
                self._require_dtypes(self.takes, Call(self, args, kwargs), inputs, result)
            call = Call(self, args, kwargs or NO_KEYWORDS, costed)
            node = record(self.name, inputs, result, call)
        except SymcnnError as error:
            if error.attempt is None:
                error.attempt = Attempt.of(self.name, tensors_in(*args, *kwargs.values()))
            raise
        tape = current_tape()
        typed = self.dtype is not None or said(args, kwargs) or not inputs
        if typed or target is not None or (tape is not None and tape.autocast):
            self._set_dtypes(node, tape or Tape())
            if target is not None:
                _keep_dtype(node, target)
        return node

    def _require_dtypes(
        self, takes: Takes, call: Call, inputs: Sequence[SymbolicTensor], result: Result
    ) -> None:
        """Raises ShapeMismatch for a dtype that it does not take."""
        tape = current_tape() or Tape()
        node = Node(self.name, inputs, result, Scope(""), call)
        promotes = promotes_by(self.dtype, pointwise=self.pointwise)
        require_dtypes(takes, node, promotes, tape.dtype, self._cast(node, tape))

    def _set_dtypes(self, node: Node, tape: Tape) -> None:
        """The dtypes of what a node makes: given by an argument, else by its law."""
        call, inputs, law = node.call, node.inputs, self.dtype
        default = tape.dtype
        given = said(call.args, call.kwargs) if call is not None else ""
        cast = self._cast(node, tape)
        if given:
            made: str | Sequence[str] = given
        elif law is not None:
            made = law(node, default)
        else:
            made = inputs[0].dtype if inputs else default
        each = [made] * len(node.outputs) if isinstance(made, str) else made
        if cast and not given and inputs and inputs[0].dtype in CASTABLE | {""}:
            node.mode = node.mode._replace(cast=cast)
            each = [autocasted(dtype, cast) for dtype in each]
        for t, dtype in zip(node.outputs, each, strict=False):
            t.dtype = dtype

    def _cast(self, node: Node, tape: Tape) -> str:
        """The dtype in which autocast has it read its floats; "": as they are."""
        if not tape.autocast:
            return ""
        device, low = tape.autocast
        by_device = self.autocast(node) if callable(self.autocast) else self.autocast
        how = by_device.get(device, by_device.get("cuda", "") if device == "script" else "")
        if how == "widest":
            return "float32" if any(t.dtype == "float32" for t in node.inputs) else ""
        return {"low": low, "single": "float32"}.get(how, "")


def into(op: str, target: SymbolicTensor, result: Result, alone: Sequence[Int] = ()) -> Result:
    """The result, written into a tensor that is there: what broadcasts does not make it larger, and
    axes of the sizes `alone` are of one place, to which nobody writes twice.

    Raises ShapeMismatch for a result of other axes.
    """
    (dims, *_), have = result.shapes, target.dims
    if alone:
        why = f"{op} in place: torch writes to no place of an expanded tensor twice"
        once = [minimum(size, 1) if may_be_empty(size) else 1 for size in alone]
        needs = require_shape(alone, once, why)
        result = replace(result, requires=(*result.requires, *needs))
    if dims == have:
        return result
    if len(dims) != len(have):
        raise ShapeMismatch(
            f"{op} in place: the result is {len(dims)}-d, the tensor written to {len(have)}-d",
            cure=f"{op} without the underscore makes a new tensor",
        )
    why = f"{op} in place: the result must have the shape of the tensor that is written to"
    same = require_shape(dims, have, why)
    return replace(result, shapes=(have,), requires=(*result.requires, *same))


def _keep_dtype(node: Node, target: SymbolicTensor) -> None:
    """What is written to keeps its dtype. Raises ShapeMismatch where torch does not cast so."""
    for t in node.outputs[:1]:
        if not can_cast(t.dtype, target.dtype):
            raise ShapeMismatch(
                f"{node.op}_: a result of {t.dtype} cannot be written into a tensor of"
                f" {target.dtype}",
                cure="make a new tensor, or cast the one that is written to",
            )
        t.dtype = target.dtype


def operation_of(node: Node) -> Operation | None:
    """The record of what made a node; None for one that no operation made."""
    found = RECORDS.get(node.op) if node.call is None else node.call.operation
    return found if isinstance(found, Operation) else None


def record_of(name: str) -> Operation | None:
    """The record of what is called under a name; of a function made of operations, that of the one
    which bears its name.
    """
    found: object = OPS.get(name)
    if type(found) is Operation:
        return found
    record = RECORDS.get(name)
    return record if isinstance(record, Operation) else None


def rule(
    *targets: str | Callable[..., object],
    reads: Reads | None = None,
    macs: Work | int | None = None,
    other: Work | int | None = None,
    products: Products | str | None = None,
    saves: Saves | str | None = None,
    steps: Steps | None = None,
    dtype: Law | str | None = None,
    gradient: bool = True,
    counts: Mapping[str, Work] | None = None,
    counted: Counted | None = None,
    autocast: Autocast | None = None,
    pointwise: bool = False,
    uniform: bool = False,
    slides: bool = True,
    joins: bool = False,
    statistics: bool = False,
    empty: bool = False,
    fills: bool | Part = False,
    value: Value | Callable[..., object] | None = None,
    sizes: bool = False,
    shows: str = "",
    operators: str = "",
    scaled: bool = False,
    scrambles: bool = False,
    idle: Idle | None = None,
    takes: str | Mapping[str, str] = "",
    same_dtype: str | Callable[[Node], str] = "",
    mixed_precision: bool = False,
) -> Callable[[Rule], Operation]:
    """Register a rule for an operation of torch, or for a function or module class of yours.

    The rule returns a `Result`, or just the output shape; sizes may be sympy expressions. Each law
    is a function of a node that the operation made: ``node.inputs``, ``node.outputs``, and
    ``node.arguments`` by parameter name. What is left out is refused by name when it is asked for.

    Args:
        targets: torch's names for it (the first is the one that nodes show), or the function or
            ``torch.nn.Module`` class itself. The rule of a module class takes the module first; its
            forward is then not looked into.
        reads: how outputs read inputs: a map per output axis (or a pair of an input axis and a map,
            see `symcnn.algebra.axis`) for the first tensor, or a dict of these by parameter;
            "pointwise", or "everything".
        macs: multiply-accumulates.
        other: arithmetic that is no MAC; a number is so much per element that it makes.
        products: of what its MACs are a product, such as "input weight": what gradients cost.
        saves: what autograd keeps, such as "input output", "" for nothing.
        steps: in the place of `saves`, of an operation that is written in others: a function of the
            node that calls these, and returns the tensors that come out, and those that its python
            holds to the end.
        dtype: the dtype that it makes, or a function of the node and the dtype of a python float;
            by default that of its first tensor.
        gradient: False where none flows back.
        counts: what conventions count beside the MACs, by their names.
        counted: the MACs and products that FlopCounterMode sees, where these are others.
        autocast: by device, whether torch.autocast has it read floats in "low" precision or in
            "single"; or a function of the node that says so.
        pointwise: every place is a function of one place of each tensor, and of numbers.
        uniform: of what is the same at all places it makes what is.
        slides: its windows are to read whole axes, so that a row left over is lost; False where
            rows are picked or resized.
        joins: several tensors, as long as each other along all axes but one.
        statistics: it divides by statistics of whole axes, which `receptive_field` looks through
            with ``statistics=False``.
        empty: it takes tensors without elements, where its rule does not refuse them; else it is
            required that what it reads has some.
        fills: in place it takes an expanded tensor, whose places it writes to several times; or a
            function of what lies where and of its arguments: the part that must not be one.
        value: what it makes of numbers that are sizes: a function of them, exact for whole numbers.
        sizes: it takes sizes after its first argument, where a 0-d tensor is a number.
        shows: where all weights are positive, a gradient reaches "every" place that it reads, or
            that of the "winner"; "" where values may saturate or cancel.
        operators: python's operators that call it, such as "add radd iadd".
        scaled: it has an old form with scalars between its tensors, ``torch.add(x, 2, y)``.
        scrambles: what it makes of tensors in plain order may lie in another.
        idle: the arguments at which it returns what it is given, by parameter: with them a branch
            that leaves it out is no branch of the network.
        takes: the dtypes that it computes in, in words such as "int float" or "float32"; or a dict:
            those of the tensors of parameters, such as ``{"mask": "bool"}``.
        same_dtype: the parameters whose tensors must have one dtype, such as "input weight"; or a
            function of the node that names them.
        mixed_precision: beside an input of 16 bits those may be float32.

    Returns:
        A decorator of the rule, which makes it an operation on symbolic tensors.

    Raises:
        BadSpec: for a parameter that the rule does not have, or both `saves` and `steps`.

    >>> from symcnn.algebra.axis import IDENTITY, Window
    >>> from symcnn.trace.graph import tensor
    >>> pairs = (IDENTITY, IDENTITY, Window(2, 2), Window(2, 2))
    >>> @rule("my_pool", reads=lambda node: pairs, macs=0, other=4, saves="")
    ... def my_pool(input):
    ...     n, c, h, w = input.dims
    ...     return n, c, h // 2, w // 2
    >>> my_pool(tensor("N 3 H W")).shape
    (N, 3, H//2, W//2)
    """
    if steps is not None and saves is not None:
        raise BadSpec("what is kept is said by saves= or by steps=", cure="give one of them")
    name = targets[0] if isinstance(targets[0], str) else targets[0].__name__

    def register(function: Rule) -> Operation:
        parts = {} if isinstance(takes, str) else takes
        for named in (products, saves, same_dtype, *filter(None, parts)):
            if isinstance(named, str):
                _check_parameters(named, function, open_ended=not isinstance(targets[0], str))
        completed = function
        if reads is not None or macs is not None:
            completed = _completed(Operation(name, function), reads, macs)
        operation = Operation(
            name,
            completed,
            other=_per_element(other) if isinstance(other, int) else other,
            counts=counts or {},
            products=_named_product(products) if isinstance(products, str) else products,
            counted=counted,
            gradient=gradient,
            saves=saves,
            steps=steps,
            dtype=(lambda node, default: dtype) if isinstance(dtype, str) else dtype,
            autocast=autocast or {},
            pointwise=pointwise or reads == "pointwise",
            uniform=uniform,
            slides=slides,
            joins=joins,
            statistics=statistics,
            empty=empty,
            fills=fills,
            value=whole(value) if value is not None and not isinstance(value, Value) else value,
            sizes=sizes,
            shows=shows,
            operators=operators,
            scaled=scaled,
            scrambles=scrambles,
            idle=idle,
            takes=Takes.of(takes, same_dtype, mixed_precision),
        )
        if isinstance(targets[0], str):
            RECORDS[name] = operation
        for target in targets:
            if isinstance(target, str):
                OPS[target] = operation
            else:
                TARGETS[target] = operation
        return operation

    return register


#: Torch's own operations take tensors without elements, but for a few.
torch_rule = partial(rule, empty=True)


def torch_rules(names: str, **laws: object) -> Callable[[Rule], None]:
    """Register one rule for operations of torch that differ in their names only."""

    def register(function: Rule) -> None:
        for name in names.split():
            torch_rule(name, **laws)(function)  # type: ignore[arg-type]  # those of `rule`

    return register


def unsaid(node: Node) -> NoReturn:
    """The products of an operation whose gradient has some that nobody wrote down.

    Raises UnsupportedOperation.
    """
    raise UnsupportedOperation(
        f"{node.module or node.name}: {node.op} does not say what its gradient costs",
        cure="ask for the forward pass, or with partial=True",
    )


# What a rule leaves to laws --------------------------------------------------------------------


def _check_parameters(names: str, function: Rule, *, open_ended: bool) -> None:
    """Raises BadSpec for a parameter that the rule does not have; modules have more tensors."""
    parameters = [*signature(function).parameters, "output"]
    missing = [name for name in names.split() if name not in parameters]
    if missing and not open_ended:
        raise BadSpec(
            f"{function.__name__} has no parameter {missing[0]!r}",
            cure=f"there are: {', '.join(parameters)}",
        )


def tensors_named(node: Node, names: str) -> list[SymbolicTensor]:
    """The tensors of a node by parameter, a module's own parameters included; "output" too.

    Raises BadSpec for one that is not there.
    """
    arguments = node.arguments
    found: list[SymbolicTensor] = []
    for name in names.split():
        if name == "output":
            found += node.outputs
        elif name in arguments:
            found += tensors_in(arguments[name])
        else:
            own = [p for p in node.parameters if p.name.rpartition(".")[2] == name]
            if not own:
                raise BadSpec(f"{node.op} reads no tensor called {name!r}")
            found += own
    return found


def _named_product(names: str) -> Products:
    """The law of one product, of two factors by name."""
    left, right = names.split()

    def products(node: Node) -> list[Product]:
        factors = tensors_named(node, left), tensors_named(node, right)
        macs = node.result.work
        return [Product((*factors[0],), (*factors[1],), macs, macs)]

    return products


def _per_element(count: int) -> Work:
    return lambda node: count * prod(node.outputs[0].dims)


def _completed(operation: Operation, reads: Reads | None, macs: Work | int | None) -> Rule:
    """The rule, with what laws say of its readings and its MACs."""

    @wraps(operation.rule)
    def rule(*args: object, **kwargs: object) -> Result:
        result: Result | Sequence[object] = operation.rule(*args, **kwargs)
        if not isinstance(result, Result):
            result = Result((tuple(map(from_sympy, result)),))
        inputs = tensors_in(*args, *kwargs.values())
        node = Node(operation.name, inputs, result, Scope(""), Call(operation, args, kwargs))
        if macs is not None:
            made = macs if isinstance(macs, int) else from_sympy(macs(node))
            result = replace(result, macs=made, each=0)
        return result if reads is None else _with_readings(node, result, reads)

    return rule


def _with_readings(node: Node, result: Result, reads: Reads) -> Result:
    """The result with what a law says of the tensors that it reads."""
    outputs = node.outputs[0].dims
    told: dict[SymbolicTensor, Axes] = {}
    if reads == "everything":
        told = dict.fromkeys(node.inputs, whole_axes(outputs))
    elif reads == "pointwise":
        told = {t: aligned(t.dims, outputs) for t in node.inputs}
    elif callable(reads):
        said = reads(node)
        named = said if isinstance(said, Mapping) else {"": said}
        for name, maps in named.items():
            for t in tensors_named(node, name) if name else node.inputs[:1]:
                told[t] = tuple(m if isinstance(m, tuple) else (i, m) for i, m in enumerate(maps))
    first, *rest = node.inputs
    others = tuple((t, told[t]) for t in rest if t in told)
    return replace(result, axes=told.get(first, result.axes), others=others)
