"""Contracts: what a torch module declares of its shapes and dtypes, decided for all sizes at once.

The declaration is a set of sizes with equations on it; the trace gives the domain and the closed
forms; isl decides whether the equations hold on all of the domain. That is done once per instance,
at its first call; afterwards nothing of it is left in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce, wraps
from operator import or_
from typing import TYPE_CHECKING, Any, TypeVar

from symcnn import nn
from symcnn.algebra.size import floordiv, symbols_of
from symcnn.errors import BadSpec, ShapeMismatch, Undecidable
from symcnn.frontends import from_torch
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Ratio, parse_conditions, parse_formula
from symcnn.sets.inputset import InputSet, input_set
from symcnn.sets.member import by_name
from symcnn.shown import assignment
from symcnn.trace.dtype import named
from symcnn.trace.graph import SymbolicTensor, tensor

if TYPE_CHECKING:
    import torch

    from symcnn.network import Network

Class = TypeVar("Class", bound=type)


def contract(spec: str, *, domain: str = "") -> Callable[[Class], Class]:
    """Declare the shapes of a ``torch.nn.Module`` class.

    Every instance is traced at its first call and the declaration decided, see `check_contract`;
    its later calls run the plain forward, as an instance of the same class.

    Args:
        spec: ``"N 3 H W -> N 8 H/2 W/2"``; several inputs or outputs are separated by commas. A
            dtype follows a colon, ``"N L: int64 -> N L 64: float16"``; without one, an input is of
            the module's own, and nothing is declared of an output's.
        domain: for which sizes it is declared: ``"H >= 32"``.

    Returns:
        A decorator of the class.

    Raises:
        BadSpec: for malformed text.
        ShapeMismatch: at the first call, if the declaration does not hold: at the smallest sizes
            for which it does not.

    >>> import symcnn, torch
    >>> @symcnn.contract("N C H W -> N C (H+1)//2 (W+1)//2")
    ... class Down(torch.nn.Module):
    ...     def forward(self, x):
    ...         return torch.nn.functional.max_pool2d(x, 2)
    >>> Down()(torch.zeros(1, 3, 8, 8))
    Traceback (most recent call last):
    symcnn.errors.ShapeMismatch: Down breaks its contract N C H W -> N C (H+1)//2 (W+1)//2
      at C=1, H=2, N=1, W=3 the output is (1, 1, 1, 1), not (1, 1, 1, 2)
    """
    inputs = _parsed(spec, domain).inputs  # malformed text is told at once

    def declare(cls: Class) -> Class:
        plain = cls.forward  # type: ignore[attr-defined]

        @wraps(plain)
        def forward(self: Any, *args: object, **kwargs: object) -> object:
            if type(self).forward is not forward:  # of a subclass, which declares what it likes
                return plain(self, *args, **kwargs)
            self.forward = plain.__get__(self)  # the trace and all later calls run this
            try:
                check_contract(from_torch(self, *inputs), spec, domain=domain, name=cls.__name__)
            except BaseException:
                del self.forward
                raise
            return self.forward(*args, **kwargs)

        cls.forward = forward  # type: ignore[attr-defined]
        return cls

    return declare


def check_contract(net: Network, spec: str, *, domain: str = "", name: str = "the network") -> None:
    """Decide whether a network has the declared shapes, for all sizes that it takes.

    spec: such as ``"N 3 H W -> N 64 H/2 W/2"``, without spaces inside a size. Sizes for which a
        declared size is no whole number are left out. ``": float16"`` behind a shape declares its
        dtype. domain: conditions that the sizes meet besides: ``"H >= 32 and W % 32 == 0"``.

    Raises ShapeMismatch with the smallest sizes at which it is broken, or if no size is left on
    which it speaks; BadSpec for malformed text; Undecidable where no exact set can be given, or
    where the contract speaks of sizes that were not followed (`net.unfollowed`).

    >>> from symcnn import nn
    >>> net = nn.Conv2d(3, 64, 3, stride=2, padding=1).trace("N 3 H W")
    >>> check_contract(net, "N 3 H W -> N 64 H/2 W/2")
    """
    told = _parsed(spec, domain)
    asked, traced = ([*t] for t in (told.inputs, net.input_tensors))
    if [t.dims for t in asked] != [t.dims for t in traced] or any(
        a.dtype not in ("", b.dtype) for a, b in zip(asked, traced, strict=True)
    ):
        raise BadSpec(f"the network was traced with other inputs than {spec.partition('->')[0]}")
    broken = f"{name} breaks its contract {spec}"
    nets = [branch.network for branch in net.branches]
    names = net.free_symbols.union(*(r.symbols for r in told.given))
    names |= symbols_of(*(d for t in asked for d in t.dims))
    parts = [_Part.of(one, told, sorted(names), broken) for one in nets]
    if not any(part.taken for part in parts):
        raise ShapeMismatch(broken, cure="there is no size that it takes and the contract is about")
    if wrong := reduce(or_, (part.wrong for part in parts)):
        sizes, shown = _least(wrong)
        part = next(part for part in parts if sizes in part.wrong)
        raise ShapeMismatch(broken, cure=f"at {shown} the output is {part.differs(told, sizes)}")
    followed = reduce(or_, (branch.where for branch in net.branches))
    if not net.complete and not net.sizes_that_meet(told.given) <= followed:
        raise Undecidable(
            f"{name} is followed {net.scope}: at other sizes its contract is not decided",
            cure="state what the contract is about with domain=, or give numbers in its shapes",
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """A network without branches: the sizes that the contract is about, and those that break it."""

    outputs: tuple[SymbolicTensor, ...]
    taken: InputSet
    wrong: InputSet

    @classmethod
    def of(cls, net: Network, told: _Contract, names: Sequence[str], broken: str) -> _Part:
        """Decide the contract. Raises Undecidable where dtypes are declared that nothing says."""
        outputs = tuple(net.output_tensors)
        pairs = [pair for shape in told.outputs for pair in shape]
        whole = [Condition(floordiv(a, b) * b, "==", a) for a, b in pairs if b != 1]
        taken = input_set(names, [*net.requirements, *told.given, *whole])
        if [len(shape) for shape in told.outputs] != [t.ndim for t in outputs]:
            return cls(outputs, taken, taken)
        differ = [(want, t.dtype) for want, t in zip(told.dtypes, outputs, strict=True)]
        differ = [(want, have) for want, have in differ if want not in ("", have)]
        if taken and any(have == "" for _, have in differ):
            cure = "declare that of the inputs, as in N 3 H W: float32 -> ..."
            cause = f"{broken}, or not: nothing says of which dtype its output is"
            raise Undecidable(cause, cure=cure)
        dims = [d for t in outputs for d in t.dims]
        equal = [Condition(d * b, "==", a) for (a, b), d in zip(pairs, dims, strict=True)]
        equal = [c for c in equal if c.lhs != c.rhs]
        return cls(outputs, taken, taken if differ else taken - taken.where(*equal))

    def differs(self, told: _Contract, sizes: Mapping[str, int]) -> str:
        """What the output is, and what it is not, at sizes that break the contract."""
        have = _at([[(d, 1) for d in t.dims] for t in self.outputs], sizes)
        want = _at(told.outputs, sizes)
        if have == want:
            have, want = _comma_list(t.dtype for t in self.outputs), _comma_list(told.dtypes)
        return f"{have}, not {want}"


def _least(taken: InputSet) -> tuple[dict[str, int], str]:
    """The smallest sizes of a set, also in words."""
    sizes = by_name(taken.shown, taken.smallest())
    return sizes, assignment(sizes)


def check_module(module: torch.nn.Module | nn.Module, spec: str, *, domain: str = "") -> None:
    """`check_contract` for a module, of torch or of symcnn.nn, under its class's name.

    >>> from symcnn import nn
    >>> check_module(nn.MaxPool2d(2), "N C H W -> N C H/2 W/2")
    """
    name = type(module).__name__
    net = traced(module, *_parsed(spec, domain).inputs)
    check_contract(net, spec, domain=domain, name=name)


def traced(module: torch.nn.Module | nn.Module, *specs: str | SymbolicTensor) -> Network:
    """The network of a module, of torch or of symcnn.nn. Raises BadSpec for anything else."""
    if isinstance(module, nn.Module):
        return module.trace(*specs)
    if not hasattr(module, "register_forward_hook"):
        raise BadSpec(f"{type(module).__name__} is no torch.nn.Module, nor one of symcnn.nn")
    return from_torch(module, *specs)


def _at(shapes: Sequence[Sequence[Ratio]], sizes: Mapping[str, int]) -> str:
    from symcnn.algebra.size import evaluate

    return _comma_list(
        tuple(evaluate(a, sizes) // evaluate(b, sizes) for a, b in shape) for shape in shapes
    )


def _comma_list(values: Iterable[object]) -> str:
    return ", ".join(str(value) or "of any dtype" for value in values)


@dataclass(frozen=True, slots=True)
class _Contract:
    """A contract, read: the inputs, the shapes and dtypes of outputs, and where it speaks."""

    inputs: tuple[SymbolicTensor, ...]
    outputs: tuple[tuple[Ratio, ...], ...]
    dtypes: tuple[str, ...]  # "" where none is declared
    given: tuple[Requirement, ...]


def _parsed(spec: str, domain: str) -> _Contract:
    left, arrow, right = spec.partition("->")
    if not arrow or not left.strip() or not right.strip():
        raise BadSpec(f"{spec!r} is no contract", cure='for example "N 3 H W -> N 64 H/2 W/2"')
    sides = [[_with_dtype(text) for text in side.split(",")] for side in (left, right)]
    inputs = tuple([tensor(shape, dtype=dtype) for shape, dtype in sides[0]])
    known = frozenset[str]().union(*(symbols_of(*t.dims) for t in inputs))
    outputs = tuple([tuple(map(parse_formula, shape.split())) for shape, _ in sides[1]])
    for num, den in (ratio for shape in outputs for ratio in shape):
        if unknown := sorted(symbols_of(num, den) - known):
            raise BadSpec(f"{unknown[0]} is no size of the inputs", cure="name it on the left")
        if not isinstance(den, int):
            raise BadSpec(f"{spec!r} divides by a size", cure="divide by numbers")
    given = tuple(parse_conditions(domain)) if domain.strip() else ()
    return _Contract(inputs, outputs, tuple([dtype for _, dtype in sides[1]]), given)


def _with_dtype(text: str) -> tuple[str, str]:
    """A shape, and the dtype behind its colon, or "" without one."""
    shape, colon, name = text.partition(":")
    return shape.strip(), named(name) if colon else ""
