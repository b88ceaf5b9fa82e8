"""How a rule becomes an operation.

A rule is a plain function under torch's name, with torch's parameter names and order, that takes
symbolic tensors and hyperparameters and returns a `Result`. `@rule("conv2d")` makes it callable
by both front ends: `symcnn.nn` calls it as it is, the torch front end finds it by its name in
``torch.nn.functional``, ``torch`` and ``torch.Tensor``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, update_wrapper, wraps
from inspect import unwrap
from typing import Any, TypeVar, Union

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Whole
from symcnn.algebra.expr import from_sympy
from symcnn.algebra.size import Int, Size, lower
from symcnn.errors import ShapeMismatch, SymcnnError, UnsupportedOperation
from symcnn.sets.condition import Condition, Requirement
from symcnn.trace.graph import (
    OPS,
    Attempt,
    Call,
    Constant,
    Node,
    Parameter,
    Result,
    SymbolicTensor,
    Tape,
    current_tape,
    record,
    tensors_in,
)

__all__ = [
    "AUTOCAST",
    "CASTS",
    "DTYPES",
    "TARGETS",
    "Axes",
    "Law",
    "OneOrMore",
    "Operand",
    "Operation",
    "as_sizes",
    "at_least",
    "elementwise",
    "leading_axes",
    "map_axes",
    "normal_dim",
    "normal_dims",
    "ntuple",
    "of_shapes",
    "one_or_n",
    "require_equal",
    "require_rank",
    "rule",
    "same_axes",
    "unpacked",
    "whole_axes",
]

Rule = Callable[..., Result]

T = TypeVar("T")
IntT = TypeVar("IntT", int, Int)
#: A hyperparameter given once for all axes, or once for each.
OneOrMore = Union[T, tuple[T, ...], list[T]]
#: A number that a tensor is computed with, or a tensor.
Operand = Union[int, float, complex, Size, SymbolicTensor]

#: Arguments that are what rules take already.
_SCALARS = frozenset((Size, int, bool, float, str, type(None)))
_PLAIN = _SCALARS | {SymbolicTensor, Parameter, Constant}

_NUMBERS = frozenset((int,))

#: How many answers of one rule are remembered.
_REMEMBERED = 1024


#: The dtypes of what an operation makes, from its node and the dtype of a python float: one for
#: all outputs, or one for each.
Law = Callable[[Node, str], "str | Sequence[str]"]

#: The law of every operation that does not keep the dtype of its first tensor.
DTYPES: dict[str, Law] = {}

#: The dtype in which autocast has an operation read its floats, from its name and the device and
#: dtype of autocast; "" where it reads them as they are.
AUTOCAST: list[Callable[[str, str, str], str]] = []

#: Rules for functions and module classes that torch's own names do not reach.
TARGETS: dict[Any, Callable[..., Any]] = {}


#: Families whose laws hold for an axis without elements as they stand.
_HOLLOW = frozenset("pointwise shape arrange index matmul linear create reduce".split())


class Operation:
    """A rule that records what it answers."""

    def __init__(self, name: str, rule: Rule) -> None:
        update_wrapper(self, rule)
        self.name, self.rule = name, rule
        family = getattr(unwrap(rule), "__module__", "").rpartition(".")[2]
        self.hollow = family in _HOLLOW  # its law holds for axes without elements too

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
    ) -> Node:
        """The new node for arguments of the kernel's; `reads` are tensors beside them, `target`
        is the one that it writes to.
        """
        try:
            inputs = tensors_in(*args, *kwargs.values())
            if not self.hollow and any(0 in t.dims for t in inputs):
                raise UnsupportedOperation(
                    f"{self.name} of a tensor without elements has no rule",
                    cure="leave the empty tensor out, or join it with something before",
                )
            result: Any = self.rule(*args, **kwargs)
            costed = type(result) is Result
            if not costed:
                result = Result((tuple(map(from_sympy, result)),))
            if target is not None:
                result = _into(self.name, target, result)
            inputs += reads
            node = record(self.name, inputs, result, Call(self.rule, args, kwargs, costed))
        except SymcnnError as error:
            if error.attempt is None:
                error.attempt = Attempt.of(self.name, tensors_in(*args, *kwargs.values()))
            raise
        law, tape = DTYPES.get(self.name), current_tape()
        typed = law is not None or "dtype" in kwargs or not inputs
        if typed or target is not None or (tape is not None and tape.autocast):
            _set_dtypes(node, law, tape or Tape())
            if target is not None:
                _keep_dtype(node, target)
        return node


def _into(op: str, target: SymbolicTensor, result: Result) -> Result:
    """The result, written into a tensor that is there: what broadcasts does not make it larger.

    Raises ShapeMismatch for a result of other axes.
    """
    (dims, *_), have = result.shapes, target.dims
    if dims == have:
        return result
    if len(dims) != len(have):
        raise ShapeMismatch(
            f"{op} in place: the result is {len(dims)}-d, the tensor written to {len(have)}-d",
            cure=f"{op} without the underscore makes a new tensor",
        )
    why = f"{op} in place: the result must have the shape of the tensor that is written to"
    same = [need for a, b in zip(dims, have, strict=True) for need in require_equal(a, b, why)]
    return replace(result, shapes=(have,), requires=(*result.requires, *same))


def _set_dtypes(node: Node, law: Law | None, tape: Tape) -> None:
    """The dtypes of what a node makes: given by an argument, else by its law."""
    call, inputs = node.call, node.inputs
    default = tape.dtype
    given = call.kwargs.get("dtype") if call is not None else None
    cast = AUTOCAST[0](node.op, *tape.autocast) if tape.autocast else ""
    if given is None and call is not None and law is not None:
        given = next((a for a in call.args if type(a).__name__ == "dtype"), None)
    if given is not None:
        made: str | Sequence[str] = str(given).removeprefix("torch.")
    elif cast and inputs and (inputs[0].dtype in _CASTABLE or not inputs[0].dtype):
        made = node.cast = cast
    elif law is not None:
        made = law(node, default)
    else:
        made = inputs[0].dtype if inputs else default
    each = [made] * len(node.outputs) if isinstance(made, str) else made
    for t, dtype in zip(node.outputs, each, strict=False):
        t.dtype = dtype


def _keep_dtype(node: Node, target: SymbolicTensor) -> None:
    """What is written to keeps its dtype. Raises ShapeMismatch where torch does not cast so."""
    for t in node.outputs[:1]:
        if CASTS and not CASTS[0](t.dtype, target.dtype):
            raise ShapeMismatch(
                f"{node.op}_: a result of {t.dtype} cannot be written into a tensor of"
                f" {target.dtype}",
                cure="make a new tensor, or cast the one that is written to",
            )
        t.dtype = target.dtype


#: Whether torch writes results of one dtype into a tensor of another.
CASTS: list[Callable[[str, str], bool]] = []

#: What autocast casts: all floats but doubles.
_CASTABLE = frozenset({"float32", "float16", "bfloat16"})


def rule(
    *targets: str | Callable[..., object], dtype: Law | None = None
) -> Callable[[Rule], Operation]:
    """Register a rule for an operation of torch, or for a function or module class of yours.

    The rule returns a `Result`, or just the output shape; sizes may be sympy expressions.

    Args:
        targets: torch's names for it (the first is the one that nodes show), or the function or
            ``torch.nn.Module`` class itself. The rule of a module class takes the module first; its
            forward is then not looked into.
        dtype: the dtype that it makes, from its node and the dtype of a python float; by default
            that of its first tensor.

    Returns:
        A decorator of the rule, which makes it an operation on symbolic tensors.

    >>> @rule("my_pool")
    ... def my_pool(input, kernel_size):
    ...     n, c, h, w = input.dims
    ...     return n, c, h // kernel_size, w // kernel_size
    >>> from symcnn.trace.graph import tensor
    >>> my_pool(tensor("N 3 H W"), 2).shape
    (N, 3, H//2, W//2)
    """
    name = targets[0] if isinstance(targets[0], str) else targets[0].__name__

    def register(function: Rule) -> Operation:
        operation = Operation(name, function)
        if dtype is not None:
            DTYPES[name] = dtype
        for target in targets:
            if isinstance(target, str):
                OPS[target] = operation
            else:
                TARGETS[target] = operation
        return operation

    return register


def of_shapes(function: Rule) -> Rule:
    """A rule that looks at shapes and hyperparameters only, and remembers what it answered.

    Networks repeat themselves: of ResNet-50's 175 operations 55 are different. What a rule raises
    is not remembered; of what it answers a bounded number is, per process.
    """
    answers: dict[Any, Result] = {}

    @wraps(function)
    def remembered(*args: object, **kwargs: object) -> Result:
        values = (*args, *kwargs.values())
        kinds = map(type, values)  # True and 1.0 are no sizes, though equal to 1
        asked = (*[v if type(v) in _SCALARS else _asked(v) for v in values], *kinds, *kwargs)
        try:
            found = answers.get(asked)
        except TypeError:  # something that cannot be a key
            return function(*args, **kwargs)
        if found is None:
            found = function(*args, **kwargs)
            if len(answers) >= _REMEMBERED:
                answers.clear()
            answers[asked] = found
        return found

    return remembered


def _asked(value: Any) -> Any:
    """An argument as (part of) a key, but for its type."""
    if isinstance(value, SymbolicTensor):
        return value.dims
    if isinstance(value, (tuple, list)):
        if _NUMBERS.issuperset(map(type, value)):
            return tuple(value)
        return (*map(_asked, value), *map(type, value))
    return value


def as_sizes(value: object) -> object:
    """Sympy hyperparameters, at any depth, as kernel expressions."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (tuple, list)):
        if _PLAIN.issuperset(map(type, value)):
            return value if type(value) is tuple else type(value)(value)  # a list may change later
        return type(value)(as_sizes(v) for v in value)
    kind = type(value)
    if kind.__module__.startswith("sympy."):
        return from_sympy(value)
    if hasattr(kind, "__index__"):  # whole numbers of any kind: numpy's, enums, 0-d tensors
        return operator.index(value)  # type: ignore[arg-type]
    return value


def ntuple(value: OneOrMore[Int], n: int, name: str) -> tuple[Int, ...]:
    """A hyperparameter given once, or once per axis, as one value per axis.

    Raises ShapeMismatch for another number of values.
    """
    if not isinstance(value, (tuple, list)):
        return (value,) * n
    if len(value) == n:
        return tuple(value)
    if len(value) == 1:
        return tuple(value) * n
    raise ShapeMismatch(f"{name}={tuple(value)} has {len(value)} values", cure=f"give 1 or {n}")


def one_or_n(value: OneOrMore[Int], n: int, name: str) -> tuple[Int, ...]:
    """A hyperparameter given once, or `n` times: where torch does not repeat a tuple of one.

    Raises ShapeMismatch for another number of values.
    """
    if isinstance(value, (tuple, list)) and len(value) != n:
        raise ShapeMismatch(f"{name}={tuple(value)} has {len(value)} values", cure=f"give {n}")
    return ntuple(value, n, name)


def at_least(name: str, values: Sequence[Int], bound: int) -> None:
    """Check a hyperparameter per axis. Symbols pass unless they never could.

    Raises ShapeMismatch naming the parameter.
    """
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, Size)):
            raise ShapeMismatch(f"{name}={value!r} is not a whole number")
        if isinstance(value, int) and value < bound:
            raise ShapeMismatch(f"{name}={value} is too small", cure=f"{name} is at least {bound}")


def require_rank(x: SymbolicTensor, ranks: Sequence[int], op: str) -> None:
    """Raises ShapeMismatch if `x` has none of the `ranks`."""
    if len(x.dims) not in ranks:
        want = " or ".join(f"{r}-d" for r in ranks)
        shape = ", ".join(map(str, x.dims))
        raise ShapeMismatch(f"{op} takes a {want} input, not {len(x.dims)}-d ({shape})")


def normal_dim(dim: object, rank: int, op: str) -> int:
    """An axis number counted from the front. Raises ShapeMismatch if there is no such axis."""
    if not isinstance(dim, int) or not -max(rank, 1) <= dim < max(rank, 1):
        raise ShapeMismatch(f"{op}: dim={dim!r} is out of range for a {rank}-d tensor")
    return dim % rank if rank else 0


def normal_dims(dim: object, rank: int, op: str) -> tuple[int, ...]:
    """One or several axis numbers, counted from the front.

    Raises ShapeMismatch if there is no such axis, or one is named twice.
    """
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    axes = tuple(normal_dim(d, rank, op) for d in dims)
    if len(set(axes)) != len(axes):
        raise ShapeMismatch(f"{op}: dim={tuple(dims)} names an axis twice")
    return axes


def require_equal(have: Int, want: Int, why: str) -> list[Requirement]:
    """That two sizes are equal, where that is not plain."""
    return [] if have == want else [Condition(have, "==", want, why)]


def whole_axes(dims: Sequence[Int]) -> Axes:
    """Axes of an output of which every place can read everything."""
    return tuple((None, Whole(size)) for size in dims)


def leading_axes(count: int) -> list[tuple[int | tuple[int, ...] | None, AxisMap]]:
    """The first `count` axes, as they were."""
    return list(same_axes(count))


@lru_cache(maxsize=64)
def same_axes(count: int) -> Axes:
    """All of `count` axes as they were: point by point."""
    return tuple((i, IDENTITY) for i in range(count))


def unpacked(args: tuple[OneOrMore[IntT], ...]) -> tuple[IntT, ...]:
    """``view(2, 3)`` and ``view((2, 3))`` alike."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        return tuple(args[0])
    return args  # type: ignore[return-value]  # one by one


def elementwise(
    x: SymbolicTensor,
    requires: tuple[Requirement, ...] = (),
    others: tuple[tuple[SymbolicTensor, Axes | None], ...] = (),
) -> Result:
    """The result of an operation that keeps the shape and works point by point."""
    return Result((x.dims,), same_axes(len(x.dims)), requires=requires, others=others)


def map_axes(
    dims: Sequence[Int], maps: Sequence[AxisMap], why: str
) -> tuple[tuple[Int, ...], list[Requirement]]:
    """The sizes after one map per axis, and what the maps require."""
    sizes = []
    requires: list[Requirement] = []
    for x, axis_map in zip(dims, maps, strict=True):
        sizes.append(x if axis_map is IDENTITY else axis_map.size(x))
        need = axis_map.requires(x)
        if need is not None and ((low := lower(need[0] - need[1])) is None or low < 0):
            requires.append(Condition(need[0], ">=", need[1], why))
    return tuple(sizes), requires
