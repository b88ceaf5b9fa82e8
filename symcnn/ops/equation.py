"""Einstein's sum convention: labels of axes, and the products that a contraction is.

The law: factors are contracted pairwise, from left to right; a pair takes the product of all sizes
that meet, if any of them is summed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from string import ascii_letters
from typing import Any, Union

from symcnn.algebra.size import Int, Size, minimum, prod
from symcnn.errors import ShapeMismatch
from symcnn.ops.registry import normal_dim
from symcnn.trace.graph import SymbolicTensor

Dims = tuple[Int, ...]

#: An operand of einsum, or the labels of its axes as numbers.
Factor = Union[SymbolicTensor, int]


def pair_macs(
    equation: str | SymbolicTensor, *operands: Factor | Sequence[Factor], counted: bool = False
) -> list[Int]:
    """MACs of each contraction in turn: the first two factors, the result with the third, ...

    counted: as FlopCounterMode sees them: where all summed axes have size 1, torch multiplies
        point by point, and nothing is counted.
    """
    equation, factors = factors_of(equation, *operands)
    terms, output = labels_of(equation, factors)
    shapes = [t.dims for t in factors]
    totals: list[Int] = [0]
    for i in range(2, len(terms) + 1):
        kept = [*output, *(label for term in terms[i:] for label in term)]
        totals.append(contraction(terms[:i], shapes[:i], kept, counted=counted))
    return [after - before for before, after in pairwise(totals)]


def factors_of(*given: object) -> tuple[str, tuple[SymbolicTensor, ...]]:
    """The equation and its operands: ``einsum("ij,jk", a, b)``, or with a list of them, or by
    numbers, ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
    """
    args: Any = given
    if isinstance(args[0], str):
        return args[0], tuple(args[1]) if isinstance(args[-1], (tuple, list)) else args[1:]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    texts = [
        "".join("..." if i is Ellipsis else alphabet[i] for i in labels) for labels in args[1::2]
    ]
    output = ""
    if len(args) % 2:
        output = "->" + "".join("..." if i is Ellipsis else alphabet[i] for i in args[-1])
    return ",".join(texts) + output, args[0 : len(args) - len(args) % 2 : 2]


def paired_axes(
    first: int, second: int, dims: int | Sequence[int | Sequence[int]]
) -> tuple[Sequence[int], Sequence[int]]:
    """The axes that `tensordot` sums, of tensors of so many axes: the last of the one and the first
    of the other, or those named.
    """
    if isinstance(dims, int):
        return range(first - dims, first), range(dims)
    one, other = (d if isinstance(d, (tuple, list)) else [d] for d in dims)
    return (
        [normal_dim(d, first, "tensordot") for d in one],
        [normal_dim(d, second, "tensordot") for d in other],
    )


def labels_of(
    equation: str, operands: Sequence[SymbolicTensor]
) -> tuple[list[list[str]], list[str]]:
    """The labels of every operand's axes, and of the output's; ``...`` becomes "0", "1", ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(operands):
        raise ShapeMismatch(f"einsum({equation!r}) of {len(operands)} operands")
    if bad := [c for c in (left + right).replace("...", "") if not c.isalpha() and c != ","]:
        raise ShapeMismatch(f"einsum({equation!r}): {bad[0]!r} is not a label")
    dots = [t.ndim - len(s.replace("...", "")) for s, t in zip(texts, operands, strict=True)]
    if any(n < 0 or (n and "..." not in s) for s, n in zip(texts, dots, strict=True)):
        raise ShapeMismatch(f"einsum({equation!r}) does not fit the axes of its operands")
    rank = max(dots)
    terms = [_spelled(s, rank - n, rank) for s, n in zip(texts, dots, strict=True)]
    if arrow:
        output = _spelled(right, 0, rank)
        there = {label for term in terms for label in term}
        if missing := [label for label in output if label not in there]:
            raise ShapeMismatch(f"einsum({equation!r}): {missing[0]!r} stands only in the output")
        if len(set(output)) != len(output):
            raise ShapeMismatch(f"einsum({equation!r}): a label stands twice in the output")
        return terms, output
    single = "".join(texts).replace("...", "")
    once = sorted(c for c in single if single.count(c) == 1)
    return terms, [*map(str, range(rank if "..." in left else 0)), *once]


def _spelled(text: str, first: int, rank: int) -> list[str]:
    """The labels of one operand; the dots stand for axes `first` to `rank`, from the right."""
    head, dots, tail = text.partition("...")
    return [*head, *(map(str, range(first, rank)) if dots else ()), *tail]


def contraction(
    terms: list[list[str]], shapes: list[Dims], output: list[str], *, counted: bool = False
) -> Int:
    """MACs of contracting the factors pairwise, from left to right."""
    macs: Int = 0
    sizes, *others = _present(terms, shapes)
    for i, new in enumerate(others, 1):
        later = {*output, *(label for found in others[i:] for label in found)}
        # what only one factor has, and nobody needs, is summed beforehand
        sizes = {k: s for k, s in sizes.items() if k in new or k in later}
        new = {k: s for k, s in new.items() if k in sizes or k in later}
        summed = [k for k in sizes if k in new and k not in later]
        met = {**new, **sizes}
        if summed:
            over = prod(met[k] for k in summed)
            macs = macs + prod(met.values()) * (minimum(1, over - 1) if counted else 1)
        sizes = {k: size for k, size in met.items() if k in later}
    return macs


def _present(terms: Sequence[Sequence[str]], shapes: Sequence[Dims]) -> list[dict[str, Int]]:
    """The sizes of each factor by label, without the axes of size 1 that another one stretches: to
    torch, they are not there.
    """
    sizes = [dict(zip(term, dims, strict=True)) for term, dims in zip(terms, shapes, strict=True)]
    longer = {k for own in sizes for k, size in own.items() if size != 1}
    return [{k: n for k, n in own.items() if n != 1 or k not in longer} for own in sizes]


def without_ones(
    equation: str, factors: Sequence[SymbolicTensor], is_one: Callable[[Int], bool]
) -> tuple[str, list[tuple[int, ...]]]:
    """The equation without the axes of size 1 that another factor stretches, and which axes of each
    factor these are.

    is_one: whether a size is 1, asked where sizes with one label differ.
    """
    terms, output = labels_of(equation, factors)
    sizes: dict[str, list[Int]] = {}
    for term, t in zip(terms, factors, strict=True):
        for label, size in zip(term, t.dims, strict=True):
            sizes.setdefault(label, []).append(size)
    ones = {
        label: {size for size in own if isinstance(size, Size) and is_one(size)}
        for label, own in sizes.items()
        if 1 not in own and any(size != own[0] for size in own)
    }
    gone = [
        tuple(
            i
            for i, (label, size) in enumerate(zip(term, t.dims, strict=True))
            if size in ones.get(label, ()) and not ones[label].issuperset(sizes[label])
        )
        for term, t in zip(terms, factors, strict=True)
    ]
    left = [
        [label for i, label in enumerate(term) if i not in axes]
        for term, axes in zip(terms, gone, strict=True)
    ]
    unused = iter(sorted({*ascii_letters} - {*sizes}))
    letters = {label: label if label.isalpha() else next(unused) for label in sizes}
    *texts, made = ("".join(letters[k] for k in term) for term in (*left, output))
    return f"{','.join(texts)}->{made}", gone
