"""Operations that rearrange: view, flatten, permute, cat, pad, slice.

The law of a view: the product of the sizes stays, and axes that become one follow each other in
memory. ``-1`` is the product divided by the other
sizes; where the division does not come out as a formula, ``view(-1, K)`` of a batch is read as "K
elements per image" where that is true (`KeepsBatch`); not ``view(-1, 4, 4)`` of linear images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache, reduce
from math import gcd, lcm
from typing import Any

from symcnn.algebra.axis import IDENTITY, Axes, AxisMap, Digit, Folded, Pick, Window
from symcnn.algebra.divisors import divisors
from symcnn.algebra.factor import factors
from symcnn.algebra.polynomial import Symbol, polynomial
from symcnn.algebra.size import (
    Floor,
    Int,
    Size,
    denominator,
    exact_div,
    floordiv,
    minimum,
    mod,
    prod,
    sharp_lower,
    sole_atom,
)
from symcnn.algebra.substitute import replaced
from symcnn.errors import ShapeMismatch, UnsupportedOperation
from symcnn.ops import dtypes, moves, values
from symcnn.ops.registry import (
    OneOrMore,
    filled,
    leading_axes,
    normal_dim,
    normal_dims,
    unpacked,
    whole_numbers,
    with_holes,
)
from symcnn.ops.storage import maps, views
from symcnn.ops.takes import not_taken, require_number
from symcnn.ops.work import moves as rule
from symcnn.sets.condition import AnyOf, Condition, KeepsBatch, Requirement, decide_syntactically
from symcnn.sets.products import is_linear
from symcnn.trace.graph import OPS, Dims, Result, SymbolicTensor
from symcnn.trace.tape import decided, empties, entails, may_be_empty


@lru_cache(maxsize=1024)  # blocks repeat, and choices run again
def _kept_axes(before: Dims, after: Dims) -> Axes:
    """Axes of a view: as few as possible are merged and split at a time.

    Equal leading and trailing sizes are the same axes; in between, the shortest runs of equal
    product belong together. Axes of size 1 come and go.
    """
    lead, tail = _shared_ends(before, after)
    axes: list[Any] = [(i, IDENTITY) for i in range(lead)]
    axes += [(None, IDENTITY)] * (len(after) - tail - lead)
    axes += [(len(before) - k, IDENTITY) for k in range(tail, 0, -1)]
    for old, new in _runs(before, after):
        if len(old) == len(new) == 1 and before[old[0]] == after[new[0]]:
            axes[new[0]] = (old[0], IDENTITY)
        elif old:
            step: Int = 1
            for i in reversed(new):
                axes[i] = (tuple(old), Digit(step, after[i]))
                step = step * after[i]
    return tuple(axes)


def _shared_ends(before: Sequence[Int], after: Sequence[Int]) -> tuple[int, int]:
    """How many leading, and how many trailing sizes are equal."""
    lead = tail = 0
    while lead < min(len(before), len(after)) and before[lead] == after[lead]:
        lead += 1
    while tail < min(len(before), len(after)) - lead and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return lead, tail


@lru_cache(maxsize=1024)
def _runs(before: Dims, after: Dims) -> tuple[tuple[list[int], list[int]], ...]:
    """Axes between the equal ends, ones aside, of the same product: the shortest on both sides."""
    lead, tail = _shared_ends(before, after)
    old = [i for i in range(lead, len(before) - tail) if before[i] != 1]
    new = [i for i in range(lead, len(after) - tail) if after[i] != 1]
    found: list[tuple[list[int], list[int]]] = []
    while new:
        a, b = run_length([before[i] for i in old], [after[i] for i in new])
        found.append((old[:a], new[:b]))
        old, new = old[a:], new[b:]
    return tuple(found)


#: Where a tensor lies: elements from one place of each axis to the next; asked when it matters.
Strides = Sequence[Int] | Callable[[], Sequence[Int]]


def _merging(
    before: Dims, after: Dims, given: Strides, text: str, empties: Dims
) -> tuple[Requirement, ...]:
    """What a view asks of memory: axes that become one follow each other without a gap.

    Of two axes next to each other in a run, the first goes on where the second ends, or one is 1,
    or the run breaks there on both sides; or there are no elements. Source: ``computeStride`` of
    ATen.
    """
    found: list[Requirement] = []
    empty = [Condition(size, "==", 0) for size in empties]
    why = f"{text} would have to copy: its axes do not follow each other in memory; use reshape"
    strides: Sequence[Int] = ()
    for old, new in _runs(before, after):
        if len(old) < 2:
            continue
        strides = strides or (given() if callable(given) else given)
        for k, i in enumerate(old):
            for m, j in enumerate(old[k + 1 :], k + 1):
                between = [before[n] for n in old[k + 1 : m]]
                options = [
                    Condition(before[i], "==", 1),
                    Condition(before[j], "==", 1),
                    _where_single(between, Condition(strides[i], "==", before[j] * strides[j])),
                    *(Condition(size, ">=", 2) for size in between),
                ]
                inner = prod(before[n] for n in old[m:])
                cuts = (prod(after[n] for n in new[cut:]) for cut in range(1, len(new)))
                options += [*(Condition(inner, "==", cut) for cut in cuts), *empty]
                found += _one_of(options, why)
    return tuple(dict.fromkeys(found))


def _where_single(sizes: Sequence[Int], condition: Condition) -> Condition:
    """The condition for those of these sizes at 1 that are symbols."""
    atoms = (sole_atom(size) for size in sizes)
    ones = {a.name: 1 for a in atoms if isinstance(a, Symbol) and a.low == 1}
    if not ones:
        return condition
    lhs, rhs = (e.subs(ones) if isinstance(e, Size) else e for e in (condition.lhs, condition.rhs))
    return Condition(lhs, condition.relation, rhs)


def _one_of(options: Sequence[Condition], why: str) -> list[Requirement]:
    """That one of the conditions holds. Raises ShapeMismatch if none can."""
    open_ones: list[Condition] = []
    for option in options:
        verdict = decide_syntactically(option)
        if verdict:
            return []
        if verdict is None and not _impossible(option, open_ones):
            open_ones.append(option)
    if not open_ones:
        raise ShapeMismatch(why.partition(";")[0], cure="use reshape, which copies where it must")
    wanted = AnyOf(tuple(open_ones), why)
    return [] if entails(wanted) else [wanted]


def _impossible(condition: Condition, others: Sequence[Condition]) -> bool:
    """Whether an equation of two products never holds, or only where another condition does."""
    for one, other in ((condition.lhs, condition.rhs), (condition.rhs, condition.lhs)):
        rest = exact_div(one, other) if condition.relation == "==" and other != 0 else None
        if isinstance(rest, Size) and len(rest.terms) == 1:
            ((mono, number),) = rest.terms.items()
            ones = [Condition(f.size(), "==", 1) for f, _ in mono]
            return number > 1 or any(one in others for one in ones)
    return False


def _never_below(a: Int, b: Int) -> bool:
    return (low := sharp_lower(a - b)) is not None and low >= 0


def _rounded(size: Int, multiple: Int, factors: Sequence[Int]) -> bool:
    """Whether `multiple` is ``m*(size//m)``, for m among the factors. A view that needs products of
    such sizes to be equal needs each to be: none can be larger. Numbers just differ.
    """
    return isinstance(size, Size) and any(
        isinstance(m, int) and m > 1 and size // m * m == multiple for m in factors
    )


def run_length(before: Sequence[Int], after: Sequence[Int]) -> tuple[int, int]:
    """How many leading axes on either side have the same product; all of them if none have."""
    a = b = 1
    while a <= len(before) and b <= len(after):
        have, want = prod(before[:a]), prod(after[:b])
        if have == want or _rounded(have, want, after[:b]) or _rounded(want, have, before[:a]):
            return a, b
        if exact_div(want, have) is not None or _never_below(want, have):
            a += 1
        elif exact_div(have, want) is not None or _never_below(have, want):
            b += 1
        else:
            a, b = a + 1, b + 1
    return len(before), len(after)


def _cancelled(a: Sequence[Int], b: Sequence[Int]) -> tuple[list[Int], list[Int]]:
    """Both lists without the sizes they share, and without ones."""
    left, right = [s for s in a if s != 1], [s for s in b if s != 1]
    for size in list(left):
        if size in right:
            left.remove(size)
            right.remove(size)
    return left, right


def reshaped(
    input: SymbolicTensor, *shape: OneOrMore[Int], strides: Strides | None = None
) -> Result:
    """Another shape for the same elements; one size may be -1.

    `strides` are those of the input where no element may be copied.
    """
    if len(shape) == 1 and type(shape[0]).__name__ == "dtype":
        raise UnsupportedOperation(f"view({shape[0]}): the last axis depends on the bytes of both")
    target = unpacked(shape)
    text = f"view({', '.join(map(str, target))})"
    target, needs = with_holes(target, text)
    result = _reshaped(input, target, text)
    if input.may_be_empty:
        result = _of_few(input, target, result)
    if needs:
        result = replace(result, requires=(*needs, *result.requires))
    (after,) = result.shapes
    if strides is None or 0 in (*input.dims, *after):
        return result
    merging = _merging(input.dims, after, strides, text, input.empties)
    return replace(result, requires=(*result.requires, *merging))


def _reshaped(input: SymbolicTensor, target: tuple[Int, ...], text: str) -> Result:
    before = input.dims
    holes = [i for i, size in enumerate(target) if size == -1]
    if len(holes) > 1 or any(isinstance(s, int) and s < -1 for s in target):
        raise ShapeMismatch(f"{text}: at most one size may be -1, and none smaller")
    given = [s for s in target if s != -1]
    if 0 in before or 0 in given:
        return _of_nothing(before, target, given, text)
    have, want = _cancelled(before, given)
    total, rest = prod(have), prod(want)

    if not holes:
        requires: tuple[Requirement, ...] = ()
        if total != rest:
            requires = (Condition(total, "==", rest, f"{text} must keep the number of elements"),)
        return Result((target,), _kept_axes(before, target), requires=requires)

    hole = holes[0]
    size = exact_div(total, rest)
    if size is None:
        count, *sizes = on_coarsest_floors(prod(before), *target)
        size = exact_div(count, prod(s for s in sizes if s != -1))
        target = tuple(sizes) if size is not None else target
    if size is None:
        size = whole_quotient(unfloored(total), unfloored(rest))
    if size is not None:
        after = (*target[:hole], size, *target[hole + 1 :])
        return Result((after,), _kept_axes(before, after))
    if isinstance(total, int):
        # a table of fixed length: only some sizes can divide it
        if isinstance(rest, int) and total % rest:
            raise ShapeMismatch(f"{text} is invalid for {prod(before)} elements")
        size = floordiv(total, rest)
        after = (*target[:hole], size, *target[hole + 1 :])
        if isinstance(rest, int):
            return Result((after,), _kept_axes(before, after))
        ways = tuple(Condition(rest, "==", d) for d in divisors(total))
        shared_out = AnyOf(ways, f"{text} must divide the elements evenly")
        return Result((after,), _kept_axes(before, after), requires=(shared_out,))
    quotient = denominator(*before) > 1  # sizes that the domain says are whole
    single = len(before) > 1 and (isinstance(before[0], int) or sole_atom(before[0]) is not None)
    if hole == 0 and single:
        each, row = prod(before[1:]), prod(target[1:])
        rows = whole_quotient(_large(each), _large(row))
        rows = rows or int(isinstance(each, int) or isinstance(row, int))
        quotient |= len(target) > 2 and isinstance(rest, int) and is_linear(each)  # no flat rows
        if rows and not quotient:
            why = f"{text} must keep the batch"
            keeps = KeepsBatch(each, "==", rows * row, why, prod(before), rows)
            after = (before[0] * rows, *target[1:])
            return Result((after,), _kept_axes(before, after), requires=(keeps,))
    whole = floordiv(total, rest)
    size = total * Fraction(1, rest) if quotient and isinstance(rest, int) else whole
    after = (*target[:hole], size, *target[hole + 1 :])
    divides = Condition(total, "==", whole * rest, f"{text} must divide the elements evenly")
    return Result((after,), _kept_axes(before, after), requires=(divides,))


def _of_few(input: SymbolicTensor, target: Sequence[Int], result: Result) -> Result:
    """A view of a tensor that may be empty: sizes that are 0 on both sides leave the others free,
    and no -1.
    """
    text = f"view({', '.join(map(str, target))})"
    given = [size for size in target if isinstance(size, Size)]
    if -1 in target:
        why = f"{text}: of no elements, any size could be the -1"
        some = (Condition(size, ">=", 1, why) for size in given if may_be_empty(size))
        return replace(result, requires=(*some, *result.requires))
    none = tuple(Condition(0, ">=", size) for size in given if size in input.empties)
    left = (
        AnyOf((need, *none), need.why) if none and isinstance(need, Condition) else need
        for need in result.requires
    )
    return replace(result, requires=tuple(left))


def _of_nothing(
    before: Sequence[Int], target: Sequence[Int], given: Sequence[Int], text: str
) -> Result:
    """A view of a tensor without elements: nothing is read."""
    if prod(before) != 0 or (prod(given) != 0 and len(given) == len(target)):
        raise ShapeMismatch(f"{text} is invalid for {prod(before)} elements")
    if prod(given) == 0 and len(given) < len(target):
        raise ShapeMismatch(f"{text}: of no elements, any size could be the -1")
    return Result((tuple(0 if size == -1 else size for size in target),), None)


reshape = rule("view", "reshape", saves=views.reshape, value=values.shaped, sizes=True)(reshaped)
rule("view_copy", saves="")(reshaped)


def on_coarsest_floors(*exprs: Int) -> tuple[Int, ...]:
    """The expressions with ``e//n`` as ``k*((e + c*n)//(k*n)) - c``, where the sizes so far make
    them equal.

    After a view into 8 x 8 windows, ``H//4`` is ``8*(H//32)``.
    """
    floors = {a for e in exprs if isinstance(e, Size) for a in e.atoms() if isinstance(a, Floor)}
    finer = sorted((a.den, a.key, a) for a in floors if isinstance(a.den, int))
    for i, (n, _, fine) in enumerate(finer):
        coarser = [(m // n, c, fine.num - c.num) for m, _, c in finer[:i:-1] if m % n == 0]
        ways = (
            c.size() * k + apart
            for k, c, d in coarser
            for apart in ((-(-d // n), d // n) if isinstance(d, int) else (0,))
        )
        equal = next((w for w in ways if entails(Condition(fine.size(), "==", w))), None)
        exprs = exprs if equal is None else tuple(replaced(e, fine, equal) for e in exprs)
    return exprs


def unfloored(expr: Int, *, deep: bool = True) -> Int:
    """The domain law: a floor whose remainder is the same on all of the domain, as the quotient.

    Where H is even, ``(H + 1)//2`` is H/2.

    deep: floors in floors too.
    """
    return _quotients(expr, _remainder, deep=deep)


def _large(expr: Int) -> Int:
    """What the expression comes to at large sizes of which no floor leaves anything: H for
    8*((H + 1)//8).
    """
    even = _quotients(expr, lambda num, den: 0)
    if isinstance(even, int):
        return even
    degrees = {mono: sum(power for _, power in mono) for mono in even.terms}
    most = max(degrees.values())
    return polynomial({m: c for m, c in even.terms.items() if degrees[m] == most})


def _quotients(expr: Int, left_of: Callable[[Size, int], int | None], *, deep: bool = True) -> Int:
    """Each floor as the quotient, less what is left of the division; None: the floor stays."""
    for atom in [*expr.atoms()] if isinstance(expr, Size) else ():
        if isinstance(atom, Floor) and isinstance(atom.den, int):
            left = left_of(atom.num, atom.den)
            if left is not None:
                whole = _quotients(atom.num, left_of) if deep else atom.num
                quotient: Any = (whole - left) * Fraction(1, atom.den)
                expr = replaced(expr, atom, quotient)
    return expr


def _remainder(num: Size, den: int) -> int | None:
    """What is left of a division on all of the domain: nothing, or what its constant leaves."""
    for left in dict.fromkeys((0, int(num.const % den))):
        if entails(Condition(mod(num, den), "==", left)):
            return left
    return 0 if left_over(num, den) == 1 else None


def left_over(num: Int, den: int) -> int:
    """What is left of a divisor when each factor of ``num`` has taken its share: 1 if it divides.

    For H and W that are multiples of 8, 64 divides H*W; for those that leave 2 by 3, 9 divides
    (H - 2)*(W - 2).
    """
    if isinstance(num, int):
        return den // gcd(den, num)
    parts, content = ((num,), 1) if len(num.terms) == 1 else factors(num)
    return reduce(_without_share, parts, den // gcd(den, content))


def _without_share(den: int, num: Size) -> int:
    """What is left of a divisor when a factor has taken its share: of a sum, when each term has."""
    if len(num.terms) > 1 and is_linear(num) and (share := _share(den, num)) > 1:
        return den // share
    left = 1
    for mono, coeff in num.terms.items():
        rest = den // gcd(den, int(coeff))
        for atom, power in mono:
            for _ in range(power):
                rest //= _share(rest, atom.size())
        left = lcm(left, rest)
    return left


def _share(den: int, num: Size) -> int:
    """The greatest divisor of a number that divides a factor, prime by prime."""
    share = 1
    while den > 1:
        prime = divisors(den)[1]
        den //= prime
        if entails(Condition(mod(num, share * prime), "==", 0)):
            share *= prime
        else:
            while den % prime == 0:
                den //= prime
    return share


def whole_quotient(num: Int, den: Int) -> Int | None:
    """Their quotient, if it is a polynomial with whole coefficients."""
    scale = denominator(num, den)
    return exact_div(num * scale, den * scale)


@rule("flatten", saves=views.reshape, value=values.shaped)
def flatten(input: SymbolicTensor, start_dim: int = 0, end_dim: int = -1) -> Result:
    """The axes `start_dim` to `end_dim` as one."""
    start = normal_dim(start_dim, input.ndim, "flatten")
    end = normal_dim(end_dim, input.ndim, "flatten")
    if start > end:
        raise ShapeMismatch(f"flatten: start_dim={start_dim} comes after end_dim={end_dim}")
    dims = input.dims
    after = (*dims[:start], prod(dims[start : end + 1]), *dims[end + 1 :])
    return Result((after,), None if 0 in dims else _kept_axes(dims, after))


@rule("unflatten", saves=views.reshape, value=values.shaped, sizes=True)
def unflatten(input: SymbolicTensor, dim: int, sizes: Sequence[Int]) -> Result:
    """One axis as several."""
    axis = normal_dim(dim, input.ndim, "unflatten")
    if not sizes:
        raise ShapeMismatch("unflatten: no sizes", cure="give at least one")
    inner = SymbolicTensor((input.dims[axis],))
    split = reshaped(inner, *whole_numbers(sizes, "sizes"))
    after = (*input.dims[:axis], *split.shapes[0], *input.dims[axis + 1 :])
    return Result((after,), _kept_axes(input.dims, after), requires=split.requires)


@rule("squeeze", saves=views.by_axes, value=values.shaped)
def _without(input: SymbolicTensor, dim: tuple[int, ...]) -> Result:
    """Without the axes named; that they have size 1 is the branch that is followed."""
    return permuted(input, [i for i in range(input.ndim) if i not in dim])


def squeeze(input: SymbolicTensor, *dim: OneOrMore[int] | None) -> SymbolicTensor:
    """Without axes of size 1 (all of them, or those named).

    Whether an axis is 1 is a branch, as python's own comparison of the size would be: the rule is
    called with what came of it.
    """
    given = tuple(d for d in dim if d is not None)
    named = normal_dims(unpacked(given), input.ndim, "squeeze") if given else range(input.ndim)
    ones = tuple(d for d in named if input.dims and _is_one(input.dims[d]))
    squeezed: SymbolicTensor = _without(input, ones)
    return squeezed


def _is_one(size: Int) -> bool:
    one = size == 1 if isinstance(size, int) else decided(Condition(size, "==", 1))
    if one is None:
        raise UnsupportedOperation(
            f"squeeze drops an axis of size {size} only where that is 1",
            cure=f"reshape says which is meant: the sizes where {size} is 1, or the others",
        )
    return one


OPS["squeeze"] = squeeze


def permuted(input: SymbolicTensor, keep: Sequence[int]) -> Result:
    """The axes named, in that order; those left out have size 1."""
    gone = [(i, Pick(0)) for i in range(input.ndim) if i not in keep]
    axes: Axes = (*((i, IDENTITY) for i in keep), *gone)
    return Result((tuple(input.dims[i] for i in keep),), axes)


@rule("unsqueeze", saves=views.by_axes, value=values.shaped)
def unsqueeze(input: SymbolicTensor, dim: int) -> Result:
    """A new axis of size 1."""
    axis = normal_dim(dim, input.ndim + 1, "unsqueeze")
    dims = (*input.dims[:axis], 1, *input.dims[axis:])
    axes = leading_axes(input.ndim)
    axes.insert(axis, (None, IDENTITY))
    return Result((dims,), tuple(axes))


@rule("permute", saves=views.by_axes, value=values.by_axes)
def permute(input: SymbolicTensor, *dims: OneOrMore[int]) -> Result:
    """The axes in another order."""
    named = whole_numbers(unpacked(dims), "dims")  # type: ignore[arg-type]  # axes, not sizes
    order = [normal_dim(d, input.ndim, "permute") for d in named]
    if sorted(order) != list(range(input.ndim)):
        raise ShapeMismatch(f"permute{tuple(order)} does not name each of {input.ndim} axes once")
    return permuted(input, order)


@rule("transpose", "swapaxes", "swapdims", saves=views.by_axes, value=values.by_axes)
def transpose(input: SymbolicTensor, dim0: int, dim1: int) -> Result:
    """Two axes exchanged."""
    order = list(range(input.ndim))
    a, b = normal_dim(dim0, input.ndim, "transpose"), normal_dim(dim1, input.ndim, "transpose")
    if order:
        order[a], order[b] = b, a
    return permuted(input, order)


def join(tensors: Sequence[SymbolicTensor], dim: int = 0) -> Result:
    """Tensors one after the other along `dim`; all other sizes must agree."""
    several = not isinstance(tensors, SymbolicTensor) and bool(tensors)
    if not several or not all(isinstance(t, SymbolicTensor) and t.ndim > 0 for t in tensors):
        raise ShapeMismatch("cat takes a list of tensors of at least one axis")
    every = tensors  # torch leaves out what ``torch.empty(0)`` is, whatever the others' axes
    tensors = [t for t in every if t.dims != (0,)] or [*every]
    first = tensors[0]
    if any(t.ndim != first.ndim for t in tensors):
        ranks = ", ".join(f"{t.ndim}-d" for t in tensors)
        raise ShapeMismatch(f"cat takes tensors of one rank, not {ranks}")
    axis = normal_dim(dim, first.ndim, "cat")
    dims = list(first.dims)
    requires = []
    for t in tensors[1:]:
        for i, size in enumerate(t.dims):
            if i == axis:
                dims[i] = dims[i] + size
            elif size != dims[i]:
                equal = Condition(size, "==", dims[i], "cat: sizes must agree along the other axes")
                if not entails(equal):
                    requires.append(equal)
                dims[i] = min(size, dims[i], key=lambda s: (isinstance(s, Size), len(str(s))))
    pieces: list[Axes | None] = []  # of no elements nothing is read
    before: Int = 0
    for t in every:  # one may stand there twice
        length = t.dims[axis] if t.ndim == first.ndim else 0
        shifted = leading_axes(first.ndim)
        shifted[axis] = (axis, Window(1, 1, before, dims[axis] - before - length))
        pieces.append(None if 0 in t.dims else tuple(shifted))
        before = before + length
    first_axes, *rest = pieces
    others = tuple(zip(every[1:], rest, strict=True))
    return Result((tuple(dims),), first_axes, requires=tuple(requires), others=others)


cat = rule(
    "cat",
    "concat",
    "concatenate",
    joins=True,
    shows="every",
    saves=maps.cat,
    dtype=dtypes.of_tensors,
    value=moves.joined(new_axis=False),
)(join)


@rule("constant_pad_nd", saves=maps.images, sizes=True)
def constant_pad_nd(input: SymbolicTensor, pad: Sequence[Int], value: object = 0) -> Result:
    """`pad` with a constant, by the name that it has below."""
    require_number("constant_pad_nd", value, input.dtype)
    return padded(input, pad)


def padded(
    input: SymbolicTensor, pad: Sequence[Int], mode: str = "constant", value: object = None
) -> Result:
    """Pads in torch's order, last axis first: a window of extent 1 per axis."""
    pads = whole_numbers(pad, "pad")
    if len(pads) % 2 or len(pads) > 2 * input.ndim:
        raise ShapeMismatch(
            f"pad={pads} is not (left, right) for up to {input.ndim} axes, last first"
        )
    count = len(pads) // 2
    if any(not isinstance(p, (int, Size)) for p in pads):
        raise ShapeMismatch(f"pad={pads} is not made of whole numbers")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ShapeMismatch(f"pad: mode={mode!r}", cure="constant, reflect, replicate or circular")
    if mode == "constant":
        number = float(value) if type(value) is int else value  # torch takes a float
        require_number("pad", number, input.dtype)
    if mode in ("reflect", "replicate") and input.dtype == "bool":
        raise not_taken(f"{mode} padding of bool", "int float complex")
    if mode != "constant" and (count not in (1, 2, 3) or input.ndim - count not in (1, 2)):
        raise ShapeMismatch(f"{mode} padding of {count} axes does not take a {input.ndim}-d input")
    windows: list[AxisMap] = [IDENTITY] * (input.ndim - count)
    requires: list[Requirement] = []
    smaller: list[Int] = []
    for i in reversed(range(count)):
        left, right = pads[2 * i], pads[2 * i + 1]
        size = input.dims[input.ndim - 1 - i]
        plain = mode == "constant" or left == 0 == right
        own = Window(1, 1, left, right) if plain else Folded(left, right, mode)  # type: ignore[arg-type]
        windows.append(own)
        cropped = _cropped(left) + _cropped(right)
        if cropped != 0:
            smaller.append(own.size(size))
        if mode == "reflect":
            why = "reflect padding must be smaller than the input"
            requires += [Condition(size, ">=", p + 1, why) for p in (left, right)]
        elif mode == "circular":
            for wanted, other in ((left, right), (right, left)):
                beside = _cropped(other)
                why = "circular padding must be at most the input"
                if beside != 0:
                    why = "torch would read what nobody wrote: " + why + " that a crop leaves"
                requires.append(Condition(size + beside, ">=", wanted, why))
        elif mode == "constant" and cropped not in (0, left + right):
            # crops first, so pads on the other side do not make up for it
            requires.append(Condition(size, ">=", -cropped, _TOO_MUCH))
    if mode in ("reflect", "replicate"):
        requires += filled(input, input.dims[-count - 1 :])
    sizes = tuple(w.size(d) for w, d in zip(windows, input.dims, strict=True))
    requires += [Condition(s, ">=", 0, _TOO_MUCH) for s in smaller]
    if mode in ("reflect", "replicate") and len(smaller) == count:
        some = tuple(Condition(s, ">=", 1, _TOO_MUCH) for s in smaller)
        requires += some if count == 1 else [AnyOf(some, _TOO_MUCH)]
    axes = tuple(enumerate(windows))
    return Result((sizes,), axes, requires=tuple(requires), empties=empties(smaller))


_TOO_MUCH = "no more can be cropped than there is"


pad = rule(
    "pad",
    autocast=dtypes.padded,
    saves=maps.pad,
    value=values.padded,
    slides=True,
    sizes=True,
    shows="every",
    idle=lambda node: {"pad": (0,) * len(node.arguments["pad"])},
)(padded)


def _cropped(pad: Int) -> Int:
    """What a negative pad takes away, as a number that is at most 0."""
    return 0 if entails(Condition(pad, ">=", 0)) else minimum(pad, 0)
