"""Products of several matrices, in the order that torch takes: the one of fewest MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from symcnn.algebra.size import Int
from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.ops.matmul import mm
from symcnn.ops.registry import require_rank
from symcnn.ops.shape import reshape, unsqueeze
from symcnn.sets.condition import Condition
from symcnn.trace.call import RECORDS
from symcnn.trace.graph import OPS, SymbolicTensor, tensors_in
from symcnn.trace.tape import decided


def multi_dot(tensors: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Matrices multiplied in a row, the first and the last of which may be vectors."""
    factors = [*tensors_in(tensors)]
    if len(factors) < 2:
        raise ShapeMismatch("multi_dot takes at least two tensors")
    for factor, ranks in zip(factors, ((1, 2), *[(2,)] * (len(factors) - 2), (1, 2)), strict=True):
        require_rank(factor, ranks, "multi_dot")
    row, column = factors[0].ndim == 1, factors[-1].ndim == 1
    if row:
        factors[0] = unsqueeze(factors[0], 0)
    if column:
        factors[-1] = unsqueeze(factors[-1], -1)
    made = _product(factors)
    if row or column:
        made = reshape(made, made.dims[row : 2 - column])
    return made


def chain_matmul(*matrices: SymbolicTensor | Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Matrices multiplied in a row; of one alone that one."""
    factors = [*tensors_in(*matrices)]
    if not factors:
        raise ShapeMismatch("chain_matmul takes at least one matrix")
    for factor in factors:
        require_rank(factor, (2,), "chain_matmul")
    return (
        cast("SymbolicTensor", OPS["clone"](factors[0]))
        if len(factors) == 1
        else multi_dot(factors)
    )


def _product(factors: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """The product of all: of two parts, the first of the splits that cost least."""
    sizes = [*(t.dims[0] for t in factors), factors[-1].dims[1]]
    best: dict[tuple[int, int], tuple[Int, int]] = {(i, i + 1): (0, i) for i in range(len(factors))}
    for length in range(2, len(factors) + 1):
        for start in range(len(factors) - length + 1):
            end, found = start + length, None
            for split in range(start + 1, end):
                both = best[start, split][0] + best[split, end][0]
                macs = both + sizes[start] * sizes[split] * sizes[end]
                if found is None or _is_less(macs, found[0]):
                    found = macs, split
            assert found is not None
            best[start, end] = found

    def part(start: int, end: int) -> SymbolicTensor:
        if end - start == 1:
            return factors[start]
        split = best[start, end][1]
        made: SymbolicTensor = mm(part(start, split), part(split, end))
        return made

    return part(0, len(factors))


def _is_less(macs: Int, than: Int) -> bool:
    """Which order costs less may depend on sizes: that is a branch."""
    less = decided(Condition(than, ">=", macs + 1))
    if less is None:
        raise UnsupportedOperation(
            f"multi_dot: which order costs less, {macs} or {than} MACs, depends on the sizes",
            cure="write the products in the order that is meant: a @ (b @ c)",
        )
    return less


OPS["linalg_multi_dot"], OPS["chain_matmul"] = multi_dot, chain_matmul
RECORDS["linalg_multi_dot"] = RECORDS["chain_matmul"] = mm  # what they are made of
