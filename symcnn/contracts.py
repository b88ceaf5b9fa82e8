"""Contracts: what a torch module declares of its shapes, decided for all sizes at once.

The declaration is a set of sizes with equations on it; the trace gives the domain and the closed
forms; isl decides whether the equations hold on all of the domain. That is done once per instance,
at its first call; afterwards nothing of it is left in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce, wraps
from operator import or_
from typing import TYPE_CHECKING, Any, TypeVar

from symcnn import nn
from symcnn.algebra.size import floordiv, symbols_of
from symcnn.errors import BadSpec, ShapeMismatch, Undecidable
from symcnn.frontends import from_torch
from symcnn.sets.condition import Condition, Requirement
from symcnn.sets.grammar import Ratio, parse_conditions, parse_formula, parse_shape
from symcnn.sets.inputset import input_set

if TYPE_CHECKING:
    import torch

    from symcnn.network import Network

__all__ = ["check_contract", "check_module", "contract", "traced"]

Class = TypeVar("Class", bound=type)


def contract(spec: str, *, domain: str = "") -> Callable[[Class], Class]:
    """Declare the shapes of a ``torch.nn.Module`` class.

    Every instance is traced at its first call and the declaration decided, see `check_contract`;
    its later calls run the plain forward, as an instance of the same class.

    Args:
        spec: ``"N 3 H W -> N 8 H/2 W/2"``; several inputs or outputs are separated by commas.
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
    inputs, _, _ = _parsed(spec, domain)  # malformed text is told at once

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
        declared size is no whole number are left out. domain: conditions that the sizes meet
        besides, such as ``"H >= 32 and W % 32 == 0"``.

    Raises ShapeMismatch with the smallest sizes at which it is broken, or if no size is left on
    which it speaks; BadSpec for malformed text; Undecidable where no exact set can be given, or
    where the contract speaks of sizes that were not followed (`net.unfollowed`).

    >>> from symcnn import nn
    >>> net = nn.Conv2d(3, 64, 3, stride=2, padding=1).trace("N 3 H W")
    >>> check_contract(net, "N 3 H W -> N 64 H/2 W/2")
    """
    inputs, outputs, given = _parsed(spec, domain)
    wanted = [parse_shape(text) for text in inputs]
    if wanted != [t.dims for t in net.input_tensors]:
        raise BadSpec(f"the network was traced with other inputs than {', '.join(inputs)}")
    broken = f"{name} breaks its contract {spec}"
    spoken = [_check(branch.network, outputs, given, broken) for branch in net.branches]
    if not any(spoken):
        raise ShapeMismatch(broken, cure="there is no size that it takes and the contract is about")
    followed = reduce(or_, (branch.where for branch in net.branches))
    if not net.complete and not net.sizes_that_meet(given) <= followed:
        raise Undecidable(
            f"{name} is followed {net.scope}: at other sizes its contract is not decided",
            cure="state what the contract is about with domain=, or give numbers in its shapes",
        )


def _check(net: Network, outputs: list[list[Ratio]], given: list[Requirement], broken: str) -> bool:
    """Whether the contract speaks of some size of a network without branches.

    Raises ShapeMismatch with the smallest sizes at which it is broken.
    """
    if [len(shape) for shape in outputs] != [t.ndim for t in net.output_tensors]:
        raise ShapeMismatch(broken, cure=f"the output is {net.output_shape}")
    whole: list[Condition] = []
    equal: list[Condition] = []
    for shape, found in zip(outputs, net.output_tensors, strict=True):
        for (num, den), dim in zip(shape, found.dims, strict=True):
            if den != 1:
                whole.append(Condition(floordiv(num, den) * den, "==", num))
            if num != dim * den:
                equal.append(Condition(dim * den, "==", num))
    required = [*net.requirements, *given, *whole]
    names = sorted(
        frozenset(net.symbols).union(*(r.symbols for r in required), *(c.symbols for c in equal))
    )
    taken = input_set(names, required)
    wrong = taken - taken.where(*equal)
    if not wrong:
        return bool(taken)
    least = wrong.smallest()
    sizes = dict(zip(wrong.shown, least if isinstance(least, tuple) else (least,), strict=True))
    told = ", ".join(f"{n}={size}" for n, size in sizes.items())
    have = _at([[(d, 1) for d in t.dims] for t in net.output_tensors], sizes)
    raise ShapeMismatch(broken, cure=f"at {told} the output is {have}, not {_at(outputs, sizes)}")


def check_module(module: torch.nn.Module | nn.Module, spec: str, *, domain: str = "") -> None:
    """`check_contract` for a module, of torch or of symcnn.nn, under its class's name.

    >>> from symcnn import nn
    >>> check_module(nn.MaxPool2d(2), "N C H W -> N C H/2 W/2")
    """
    inputs, _, _ = _parsed(spec, domain)
    name = type(module).__name__
    check_contract(traced(module, *inputs), spec, domain=domain, name=name)


def traced(module: torch.nn.Module | nn.Module, *specs: str) -> Network:
    """The network of a module, of torch or of symcnn.nn. Raises BadSpec for anything else."""
    if isinstance(module, nn.Module):
        return module.trace(*specs)
    if not hasattr(module, "register_forward_hook"):
        raise BadSpec(f"{type(module).__name__} is no torch.nn.Module, nor one of symcnn.nn")
    return from_torch(module, *specs)


def _at(shapes: Sequence[Sequence[Ratio]], sizes: dict[str, int]) -> str:
    from symcnn.algebra.size import evaluate

    return ", ".join(
        str(tuple(evaluate(a, sizes) // evaluate(b, sizes) for a, b in shape)) for shape in shapes
    )


def _parsed(spec: str, domain: str) -> tuple[list[str], list[list[Ratio]], list[Requirement]]:
    left, arrow, right = spec.partition("->")
    if not arrow or not left.strip() or not right.strip():
        raise BadSpec(f"{spec!r} is no contract", cure='for example "N 3 H W -> N 64 H/2 W/2"')
    inputs = [text.strip() for text in left.split(",")]
    known = frozenset[str]().union(*(symbols_of(*parse_shape(text)) for text in inputs))
    outputs = [[parse_formula(word) for word in text.split()] for text in right.split(",")]
    for num, den in (ratio for shape in outputs for ratio in shape):
        if unknown := sorted(symbols_of(num, den) - known):
            raise BadSpec(f"{unknown[0]} is no size of the inputs", cure="name it on the left")
        if not isinstance(den, int):
            raise BadSpec(f"{spec!r} divides by a size", cure="divide by numbers")
    return inputs, outputs, [*parse_conditions(domain)] if domain.strip() else []
