"""Which rule serves a function of torch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch

from symcnn.frontends.torch.tensors import REFLECTED, operators, writes
from symcnn.ops.operation import record_of
from symcnn.trace.graph import OPS

#: What torch runs into the tensor as an output, which takes the result's shape.
RESIZES = frozenset({"addbmm"})


class Served(NamedTuple):
    """How a function of torch is run."""

    rule: str
    reflected: bool = False  # its left operand comes second
    writes: bool = False  # to its first tensor


def is_product(name: str) -> bool:
    """Whether it costs MACs, also on tensors that do not depend on the input."""
    record = record_of(name)
    return record is not None and record.products is not None


def full_name(func: object) -> Served | None:
    """The rule of a function with a full name of its own: ``linalg_vector_norm``."""
    called = getattr(func, "__name__", "")
    return Served(called) if called in OPS else None


@lru_cache(maxsize=1)
def operations(rules: int) -> dict[object, Served]:
    """The functions and methods of torch, in-place variants too, and the rules that serve them.

    `rules` is how many there are, so that a rule registered later is seen.
    """
    found: dict[Any, str] = {}
    for name in OPS:
        for space in (torch.nn.functional, torch, torch.Tensor, torch.special):
            for variant in (name, f"{name}_"):
                function = getattr(space, variant, None)
                if callable(function):
                    found[function] = name
    for name in OPS:  # of several functions of one name: the method, or that in torch itself
        home, dot, plain = name.partition(".")
        for variant in (plain, f"{plain}_") if dot else ():
            function = getattr(torch.Tensor if home == "Tensor" else torch, variant, None)
            if callable(function):
                found[function] = name
    for name, words in operators():
        for word in words:
            function = getattr(torch.Tensor, f"__{word}__", None)
            if function is not None:
                found.setdefault(function, name)
    return {function: operation_of(function, name) for function, name in found.items()}


def homonyms(name: str) -> tuple[object, object]:
    """The method of that name, and the function."""
    return getattr(torch.Tensor, name, None), getattr(torch, name, None)


def operation_of(function: object, rule: str) -> Served:
    """How a function of torch is served by a rule: reflected or not, writing or not."""
    called: str = getattr(function, "__name__", str(function))
    return Served(rule, called.strip("_") in REFLECTED, writes(called))
