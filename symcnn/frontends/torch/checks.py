"""A check of values is no branch: what a forward refuses for values says nothing about sizes.

``assert x.min() >= 0``, ``if x.max() > 1: raise ValueError(...)``: python asks for the truth of a
tensor, and one of the two sides does nothing but raise. So the other side is the network, as it is
where torch itself looks at values (an index, a label). The bytecode says which side that is.

Not so where nothing is read of an input, a weight or a buffer: what is made of sizes alone is a
size. And not so where the model catches what is raised: what it does then is another network.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from types import CodeType

from symcnn.frontends.torch.where import caller
from symcnn.trace.graph import SymbolicTensor, is_read
from symcnn.trace.tape import Tape
from symcnn.trace.where import catching

_RAISED = (AssertionError, ValueError, RuntimeError)

#: What asks for a truth, or turns it, before a jump; from python 3.13 on a comparison asks, too.
_TRUTHS = ("COMPARE_OP", "TO_BOOL", "UNARY_NOT")


def truth_to_go_on(value: SymbolicTensor, tape: Tape) -> bool | None:
    """The truth of a tensor, asked by the caller's caller, with which the forward goes on where the
    other one only raises.
    """
    frame = sys._getframe(2)
    code = frame.f_code
    if any(size != 1 for size in value.dims):
        return None
    truth = _truth(code, frame.f_lasti)
    if truth is None or not is_read(value, buffers=True):
        return None
    for raised in _RAISED:
        if catching(tape.base, raised):
            return None
    tape.check(caller())
    return truth


@lru_cache(maxsize=1024)
def _truth(code: CodeType, at: int) -> bool | None:
    """Of the truth asked for at an instruction, the value that does not lead to an error."""
    steps = [*dis.get_instructions(code)]
    k = _index(steps, at)
    turned = False
    while steps[k].opname in _TRUTHS:
        turned ^= steps[k].opname == "UNARY_NOT"
        k += 1
    jumps_if = "IF_TRUE" in steps[k].opname
    if not jumps_if and "IF_FALSE" not in steps[k].opname:
        return None
    beyond, there = (_only_raises(steps, j) for j in (k + 1, _index(steps, steps[k].argval)))
    return None if beyond == there else (jumps_if == beyond) != turned


def _index(steps: list[dis.Instruction], offset: int) -> int:
    return next(k for k, step in enumerate(steps) if step.offset == offset)


def _only_raises(steps: list[dis.Instruction], start: int) -> bool:
    """Whether all that is done from there on is to make an error and raise it."""
    for step in steps[start:]:
        name = step.opname
        if name == "RAISE_VARARGS":
            return True
        if name == "JUMP_FORWARD":
            return _only_raises(steps, _index(steps, step.argval))
        if "JUMP" in name or name.startswith(("STORE", "DELETE", "RETURN", "YIELD", "FOR_ITER")):
            return False
    return False
