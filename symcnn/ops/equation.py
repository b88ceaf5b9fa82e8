"""Einstein's sum convention: labels of axes, and the products that a contraction is.

The law: factors are contracted pairwise, from left to right; a pair takes the product of all sizes
that meet, if any of them is summed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Union

from symcnn.algebra.size import Int, minimum, prod
from symcnn.errors import ShapeMismatch
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
        return terms, _spelled(right, 0, rank)
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
    done, sizes = terms[0], dict(zip(terms[0], shapes[0], strict=True))
    for i, (term, shape) in enumerate(zip(terms[1:], shapes[1:], strict=True), 1):
        later = {*output, *(label for t in terms[i + 1 :] for label in t)}
        new = dict(zip(term, shape, strict=True))
        # what only one factor has, and nobody needs, is summed beforehand
        sizes = {k: s for k, s in sizes.items() if k in new or k in later}
        new = {k: s for k, s in new.items() if k in sizes or k in later}
        shared = [k for k in sizes if k in new and k not in later]
        summed = [k for k in shared if (sizes[k] == 1) == (new[k] == 1)]
        met = {k: new.get(k, 1) if sizes.get(k, 1) == 1 else sizes[k] for k in {**sizes, **new}}
        if summed:
            over = prod(met[k] for k in summed)
            macs = macs + prod(met.values()) * (minimum(1, over - 1) if counted else 1)
        done = [k for k in met if k in later]
        sizes = {k: met[k] for k in done}
    return macs
