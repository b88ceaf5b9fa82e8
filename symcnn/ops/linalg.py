"""Linear algebra on batches of matrices: every entry can depend on the whole matrix.

None of it counts as MACs: by the convention those are products, as ``flop_counter`` has it. The
gradients of factorisations are products again, which nobody wrote down: they are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import factorial
from typing import Any

from symcnn.algebra.axis import Axes
from symcnn.algebra.size import Int, Size, minimum, prod
from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.ops import criteria, dtypes, values
from symcnn.ops.autograd import pair
from symcnn.ops.operation import Product, unsaid
from symcnn.ops.operation import torch_rule as rule
from symcnn.ops.pointwise import broadcast, broadcast_dims
from symcnn.ops.reduce import OF_MATRICES, products_of_norm, reduced, require_order
from symcnn.ops.registry import (
    OneOrMore,
    at_least,
    leading_axes,
    normal_dim,
    of_everything,
    require_equal,
    require_rank,
    together,
    whole_axes,
)
from symcnn.ops.storage import products
from symcnn.ops.takes import require_part
from symcnn.sets.condition import Requirement
from symcnn.trace.graph import Node, Result, SymbolicTensor

_factorisation = partial(rule, products=unsaid)

Dims = tuple[Int, ...]


def _matrices(x: SymbolicTensor, op: str) -> tuple[Dims, Int, Int]:
    """Batch, rows and columns."""
    if x.ndim < 2:
        raise ShapeMismatch(f"{op} takes matrices, not a {x.ndim}-d tensor")
    return x.dims[:-2], x.dims[-2], x.dims[-1]


def _square(x: SymbolicTensor, op: str) -> list[Requirement]:
    _, rows, columns = _matrices(x, op)
    return require_equal(rows, columns, f"{op}: the matrices must be square")


def _result(batch: int, *shapes: Dims, requires: list[Requirement] | None = None) -> Result:
    """Tensors whose first `batch` axes are the input's; the rest reads everything."""
    axes: Axes = (*leading_axes(batch), *whole_axes(shapes[0][batch:]))
    return Result(shapes, axes, requires=tuple(requires or ()), single=len(shapes) == 1)


def _of_square(op: str, shapes: Callable[[Dims, Int], tuple[Dims, ...]]) -> Any:
    def operation(input: SymbolicTensor, *args: object, **kwargs: object) -> Result:
        batch, rows, _ = _matrices(input, op)
        return _result(len(batch), *shapes(batch, rows), requires=_square(input, op))

    return operation


#: What factorisations take: no half precision.
_SINGLE = "float32 float64 complex"
_factors = partial(_factorisation, takes=_SINGLE, autocast=dtypes.SINGLE_ON_CPU)


def _square_rules(names: str, shapes: Callable[[Dims, Int], tuple[Dims, ...]], **laws: Any) -> None:
    """Operations on batches of square matrices of `n` rows."""
    for name in names.split():
        _factorisation(name, **{"takes": _SINGLE} | laws)(_of_square(name, shapes))


_CPU: Any = {"autocast": dtypes.SINGLE_ON_CPU}
for _names, _kept in (
    ("linalg_inv inverse linalg_cholesky cholesky", products.kept_columns),
    ("cholesky_inverse", products.columns),
):
    _square_rules(_names, lambda b, n: ((*b, n, n),), saves=_kept, **_CPU)
_square_rules("matrix_exp linalg_matrix_exp", lambda b, n: ((*b, n, n),), takes="float complex")


def _power_products(node: Node) -> list[Product]:
    """Every factor of a power is the matrix; of its inverse nobody wrote down the gradient."""
    if node.arguments["n"] < 0:
        unsaid(node)
    return [pair(node.inputs, node.inputs, node.result.work)]


@rule(
    "linalg_matrix_power",
    "matrix_power",
    products=_power_products,
)
def matrix_power(input: SymbolicTensor, n: int) -> Result:
    """A square for each digit of the exponent but one, a product for each further digit 1."""
    batch, rows, _ = _matrices(input, "matrix_power")
    factors = _SINGLE if n < 0 else "int float complex" if n > 1 else ""  # of one is nothing asked
    require_part(f"matrix_power of {input.dtype}", input, factors)
    count = abs(n).bit_length() + abs(n).bit_count() - 2 if n else 0
    found = _result(len(batch), (*batch, rows, rows), requires=_square(input, "matrix_power"))
    return replace(found, macs=count * prod(batch) * rows**3)


_square_rules(
    "linalg_inv_ex linalg_cholesky_ex",
    lambda b, n: ((*b, n, n), b),
    dtype=dtypes.then(dtypes.first, dtypes.always("int32")),
    saves=products.columns,
)
_square_rules("linalg_det det", lambda b, n: (b,), saves=products.determinant)
_square_rules("logdet", lambda b, n: (b,), steps=criteria.logdet, **_CPU)
_square_rules(
    "linalg_slogdet slogdet",
    lambda b, n: (b, b),
    saves=products.determinant,
    dtype=dtypes.then(dtypes.first, dtypes.to_real),
)
for _name, _law in (
    ("linalg_eig", dtypes.then(dtypes.to_complex)),
    ("linalg_eigh", dtypes.then(dtypes.to_real, dtypes.first)),
):
    _square_rules(_name, lambda b, n: ((*b, n), (*b, n, n)), dtype=_law, **_CPU)
_square_rules("linalg_eigvals", lambda b, n: ((*b, n),), dtype=dtypes.to_complex, **_CPU)
_square_rules("linalg_eigvalsh", lambda b, n: ((*b, n),), dtype=dtypes.to_real, **_CPU)
_SVD = dtypes.then(dtypes.first, dtypes.to_real, dtypes.first)


@_factors("linalg_svd", dtype=_SVD, takes="float complex")
def svd(A: SymbolicTensor, full_matrices: bool = True, **kwargs: object) -> Result:  # noqa: N803
    """``U, S, Vh``; without `full_matrices` only as many vectors as there are values."""
    batch, m, n = _matrices(A, "svd")
    k = minimum(m, n)
    u, vh = (m, n) if full_matrices else (k, k)
    return _result(len(batch), (*batch, m, u), (*batch, k), (*batch, vh, n))


@_factors("svd", scrambles=True, dtype=_SVD, takes="float complex")
def old_svd(input: SymbolicTensor, some: bool = True, compute_uv: bool = True) -> Result:
    """``U, S, V``: the old form, whose V is not transposed."""
    batch, m, n = _matrices(input, "svd")
    k = minimum(m, n)
    u, v = (k, k) if some and compute_uv else (m, n)
    return _result(len(batch), (*batch, m, u), (*batch, k), (*batch, n, v))


@_factors("linalg_svdvals", dtype=dtypes.to_real)
def svdvals(A: SymbolicTensor, **kwargs: object) -> Result:  # noqa: N803
    """The singular values."""
    batch, m, n = _matrices(A, "svdvals")
    return _result(len(batch), (*batch, minimum(m, n)))


@_factors("linalg_qr", saves=products.columns)
def linalg_qr(A: SymbolicTensor, mode: str = "reduced", **kwargs: object) -> Result:  # noqa: N803
    """``Q, R``, with as many columns as fit, or all of them."""
    batch, m, n = _matrices(A, "qr")
    if mode not in ("reduced", "complete"):
        raise UnsupportedOperation(f"qr: mode={mode!r}", cure='"reduced" or "complete"')
    k = minimum(m, n) if mode == "reduced" else m
    return _result(len(batch), (*batch, m, k), (*batch, k, n))


@_factors("qr", saves=products.columns)
def old_qr(input: SymbolicTensor, some: bool = True) -> Result:
    """The old form of `linalg_qr`."""
    return linalg_qr.__wrapped__(input, "reduced" if some else "complete")  # type: ignore[no-any-return, attr-defined]


@_factors("linalg_pinv", "pinverse")
def pinv(input: SymbolicTensor, *args: object, hermitian: bool = False, **kwargs: object) -> Result:
    """The pseudo-inverse: rows and columns exchanged."""
    batch, m, n = _matrices(input, "pinv")
    square = (
        require_equal(m, n, "pinv of a Hermitian matrix: it must be square") if hermitian else []
    )
    return replace(_result(len(batch), (*batch, n, m)), requires=tuple(square))


@rule(
    "linalg_matrix_norm",
    products=products_of_norm(matrices=True),
    dtype=dtypes.part,
    takes="float complex",
    autocast=dtypes.SINGLE_ON_CPU,
)
def matrix_norm(
    A: SymbolicTensor,  # noqa: N803
    ord: object = "fro",
    dim: OneOrMore[int] | None = (-2, -1),
    keepdim: bool = False,
    **kwargs: object,
) -> Result:
    """A number per matrix."""
    _matrices(A, "matrix_norm")
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ShapeMismatch(f"matrix_norm: dim={dim!r}", cure="give two axes")
    require_order("matrix_norm", ord, OF_MATRICES)
    return reduced(A, dim, keepdim, "matrix_norm")


def _solution(
    op: str, first: SymbolicTensor, second: SymbolicTensor, matrix: int = 0, *, left: bool = True
) -> Result:
    """What solves a system: batches broadcast, and the other of the two has a side per row.

    matrix: which of the two is the matrix.
    """
    shapes = _matrices(first, op), _matrices(second, op)
    lead, agree = broadcast_dims(shapes[0][0], shapes[1][0])
    _, rows, _ = shapes[matrix]
    _, m, n = shapes[1 - matrix]
    why = f"{op}: there must be a right-hand side per row"
    square = _square((first, second)[matrix], op)
    return of_everything(
        (*lead, m, n), (*square, *agree, *require_equal(m if left else n, rows, why))
    )


@_factors("linalg_solve", same_dtype="A B", saves=products.solution)
def solve(
    A: SymbolicTensor,  # noqa: N803
    B: SymbolicTensor,  # noqa: N803
    *,
    left: bool = True,
    **kwargs: object,
) -> Result:
    """The solution of ``A @ x = B``: batches broadcast, unless B is a batch of vectors."""
    batch, rows, _ = _matrices(A, "solve")
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and B.dims == A.dims[:-1]):
        if not left:
            raise ShapeMismatch("solve: left=False takes matrices")
        why = "solve: there must be a right-hand side per row"
        requires = (*_square(A, "solve"), *require_equal(B.dims[-1], rows, why))
        return of_everything((*batch, rows), requires)
    return _solution("solve", A, B, left=left)


@_factorisation("linalg_solve_triangular", takes=_SINGLE, saves=products.columns)
def solve_triangular(
    A: SymbolicTensor,  # noqa: N803
    B: SymbolicTensor,  # noqa: N803
    *,
    upper: bool,
    left: bool = True,
    **kwargs: object,
) -> Result:
    """The solution of a triangular system."""
    return _solution("solve_triangular", A, B, left=left)


@_factors("cholesky_solve", same_dtype="input input2", saves=products.columns)
def cholesky_solve(input: SymbolicTensor, input2: SymbolicTensor, **kwargs: object) -> Result:
    """The solution of a system whose matrix is given by its factor."""
    return _solution("cholesky_solve", input, input2, 1)


@rule(
    "linalg_vecdot",
    autocast=dtypes.LOW,
    takes="float complex",
    same_dtype="x y",
    saves=products.inner,
)
def vecdot(x: SymbolicTensor, y: SymbolicTensor, *, dim: int = -1, **kwargs: object) -> Result:
    """Inner products along an axis."""
    both = broadcast(x, y)
    axis = normal_dim(dim, len(both.shapes[0]), "vecdot")
    (dims,), axes = both.shapes, both.axes or ()
    others = tuple((t, at and (*at[:axis], *at[axis + 1 :])) for t, at in both.others)
    rest = (*axes[:axis], *axes[axis + 1 :])
    return replace(both, shapes=((*dims[:axis], *dims[axis + 1 :]),), axes=rest, others=others)


@rule("kron", dtype=dtypes.of_tensors, saves=products.blocks)
def kron(input: SymbolicTensor, other: SymbolicTensor) -> Result:
    """All products of two tensors, as blocks: sizes multiply, from the last axis on."""
    rank = max(input.ndim, other.ndim)
    first, second = ((1,) * (rank - t.ndim) + t.dims for t in (input, other))
    return of_everything(tuple(a * b for a, b in zip(first, second, strict=True)))


@rule("pdist", takes="float32 float64", autocast=dtypes.SINGLE_ON_CUDA)
def pdist(input: SymbolicTensor, p: float = 2.0) -> Result:
    """The distances of all pairs of rows."""
    require_rank(input, (2,), "pdist")
    rows = input.dims[0]
    return of_everything(((rows * (rows - 1)) // 2,))


@rule("block_diag", saves="", dtype=dtypes.of_tensors)
def block_diag(*tensors: SymbolicTensor) -> Result:
    """Matrices along a diagonal; vectors are rows, numbers a matrix of one."""
    if any(t.ndim > 2 for t in tensors):
        raise ShapeMismatch("block_diag takes tensors of at most 2 axes")
    shapes = [(1,) * (2 - t.ndim) + t.dims for t in tensors]
    rows, columns = (sum((s[i] for s in shapes), 0) for i in range(2))
    return of_everything((rows, columns))


@rule("cartesian_prod", same_dtype="tensors", value=values.paired, steps=criteria.cartesian)
def cartesian_prod(*tensors: SymbolicTensor) -> Result:
    """All combinations of the elements of vectors."""
    for t in tensors:
        require_rank(t, (1,), "cartesian_prod")
    total = prod(t.dims[0] for t in tensors)
    dims: Dims = (total,) if len(tensors) == 1 else (total, len(tensors))
    return of_everything(dims)


@rule("combinations", empty=False)
def combinations(input: SymbolicTensor, r: int = 2, with_replacement: bool = False) -> Result:
    """The ways to take `r` elements of a vector of n: ``n*(n - 1)/2`` for two."""
    require_rank(input, (1,), "combinations")
    at_least("r", (r,), 0)
    if r == 0:
        return of_everything((0,))
    step = 1 if with_replacement else -1
    ways = prod(input.dims[0] + step * i for i in range(r)) // factorial(r)
    return of_everything((ways, r))


def _cross(input: SymbolicTensor, other: SymbolicTensor, axis: int) -> Result:
    both = broadcast(input, other)
    why = "cross: the axis must have size 3"
    needs = [c for t in (input, other) for c in require_equal(t.dims[axis], 3, why)]
    return together(replace(both, requires=(*both.requires, *needs)), axis, 3, input, other)


@rule("linalg_cross", saves=products.factors, takes="int float complex", same_dtype="input other")
def linalg_cross(
    input: SymbolicTensor, other: SymbolicTensor, *, dim: int = -1, **kwargs: object
) -> Result:
    """The vector product along an axis of size 3."""
    if input.ndim != other.ndim:
        raise ShapeMismatch("cross: both tensors must have the same rank")
    return _cross(input, other, normal_dim(dim, input.ndim, "cross"))


@rule("cross", takes="int float complex", same_dtype="input other")
def cross(
    input: SymbolicTensor,
    other: SymbolicTensor,
    dim: OneOrMore[int] | None = None,
    **kwargs: object,
) -> Result:
    """The vector product along `dim`, or along the first axis of size 3."""
    if input.ndim != other.ndim:
        raise ShapeMismatch("cross: both tensors must have the same rank")
    if dim is None:
        for axis, size in enumerate(input.dims):
            if size == 3:
                return _cross(input, other, axis)
            if isinstance(size, Size):
                raise UnsupportedOperation("cross: which axis has size 3?", cure="give dim")
        raise ShapeMismatch("cross takes an axis of size 3")
    return _cross(input, other, normal_dim(dim, input.ndim, "cross"))
