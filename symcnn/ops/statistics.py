"""How rows vary together, as torch writes that. Source: ATen's Correlation.cpp."""

from __future__ import annotations

from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.trace.graph import OPS, SymbolicTensor, apply
from symcnn.trace.tape import let_go


def cov(
    input: SymbolicTensor,
    *,
    correction: int = 1,
    fweights: SymbolicTensor | None = None,
    aweights: SymbolicTensor | None = None,
) -> SymbolicTensor:
    """A product of the rows, less their means, with each other; one row gives a number."""
    if input.ndim > 2:
        raise ShapeMismatch(f"cov of {input.ndim} axes", cure="it takes rows of a matrix")
    if fweights is not None or aweights is not None:
        raise UnsupportedOperation(
            "cov: how observations are weighed has no rule", cure="write it as a product"
        )
    rows = input if input.ndim == 2 else apply("view", input, (1, -1))
    count = apply("full", (), rows.dims[1], dtype="int64")
    mean = apply("div", apply("sum", rows, 1), count)
    norm = apply("sub", count, correction)
    apart = apply("sub", rows, apply("unsqueeze", mean, 1))
    found = apply("mm", apart, apply("t", apart))
    made: SymbolicTensor = apply("squeeze", apply("div", found, norm))
    let_go(count, mean, norm, apart, found)
    return made


def corrcoef(input: SymbolicTensor) -> SymbolicTensor:
    """The same over the deviations of both rows, from -1 to 1."""
    if "complex" in input.dtype:
        raise UnsupportedOperation("corrcoef: of complex rows it has no rule", cure="write it out")
    found = cov(input)
    if not found.ndim:
        alone: SymbolicTensor = apply("div", found, found)
        return alone
    variance = apply("diagonal", found)
    deviation = apply("sqrt", variance)
    half = apply("div", found, apply("view", deviation, (-1, 1)))
    whole = apply("div", half, apply("view", deviation, (1, -1)))
    made: SymbolicTensor = apply("clip", whole, -1, 1)
    let_go(variance, deviation, whole)
    return made


OPS["cov"] = cov
OPS["corrcoef"] = corrcoef
