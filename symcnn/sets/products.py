"""Products of sizes: conditions that are not linear, as finite unions of some that are.

Each law is exact, and applies to a whole kind:

- a product of what is not negative is positive where each factor is;
- a product equal to a number is a case for each way to write the number as a product;
- a polynomial in one size is 0 where a linear factor is: the others have no whole roots;
- ``a*f*g + b*f + c*g == d`` is a product equal to a number;
- a product divisible by n is a case for each way to share out n;
- what a polynomial leaves by n hangs on what its sizes leave, a case for each way;
- two sizes that are equal wherever the question is are one, and so are floors of one size;
- ``f*g == a*b`` with ``f >= a >= 0`` and ``g >= b >= 0`` holds only factor by factor (or at 0);
- a maximum is the argument that is not below the others;
- a floor by a size has a case for each sign of that: by 0 nothing is divided;
- such a floor is a size N where ``N*d <= e < (N + 1)*d``;
- a floor by a size is a number where the quotient stays in a range, and then
  ``floor(e/d) == q`` is ``q*d <= e < (q + 1)*d``;
- a quotient by a size is not above what is divided, where that is not negative;
- a divisor or factor that takes few values is each of them;
- a product of two reaches a small number in as many ways as the number is shared out;
- a product grows where its factors are positive, and has a case for each sign of one;
- a product of positive factors is not below any of them;
- what grows with every size keeps a bound (`symcnn.sets.downset`).

What such a law may use is passed in: what is `Facts` of the sizes so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, islice, permutations, product
from math import gcd
from typing import Protocol

from symcnn.algebra import size as sz
from symcnn.algebra.divisors import divisors, splits
from symcnn.algebra.factor import factors, text
from symcnn.algebra.size import Int, Size, denominator, symbols_of
from symcnn.algebra.substitute import replaced
from symcnn.errors import Undecidable
from symcnn.sets.condition import Condition
from symcnn.sets.downset import FAR, Bound, from_least, grows, reached

#: One of the cases holds; a case is all of its conditions.
Cases = list[list["Condition | Bound"]]

#: So many cases are written out.
_MANY = 4096

#: Quotients of two sizes are told apart up to this one.
_QUOTIENTS = 256

#: A divisor or factor that takes more values than these is not taken apart.
_FEW = 64

_STEPS = (0, 1, 4, 16, _FEW)


class Facts(Protocol):
    """What is so of all sizes in question."""

    @property
    def least(self) -> Mapping[str, int]:
        """The least value of each size."""

    def entails(self, condition: Condition) -> bool:
        """Whether a linear condition holds at all of them."""


def undecidable(expr: Int) -> Undecidable:
    """The refusal."""
    return Undecidable(
        f"{text(expr)} is not linear in the sizes: where it holds cannot be decided as a set",
        cure="give numbers for the hyperparameters, or ask at single sizes with shape_at",
    )


@lru_cache(maxsize=8192)
def is_linear(expr: Int) -> bool:
    """Whether it is quasi-affine: sums and multiples of sizes, floors by numbers and maxima."""
    if isinstance(expr, int):
        return True
    return all(
        not mono or (len(mono) == 1 and mono[0][1] == 1 and _plain(mono[0][0]))
        for mono in expr.terms
    )


def _plain(atom: sz.Atom) -> bool:
    match atom:
        case sz.Symbol() | sz.Part():
            return True
        case sz.Floor():
            return type(atom.den) is int and is_linear(atom.num)
        case sz.Max() | sz.Scaled():
            return all(map(is_linear, atom.args))
    return False


def cases(condition: Condition, known: Facts) -> Cases | None:
    """A condition that is not linear as a union of others, nearer to linear; None: no law applies.

    >>> H, W = Size.symbol("H"), Size.symbol("W")
    >>> class Anything:
    ...     least = {"H": 1, "W": 1}
    ...     def entails(self, condition): return True
    >>> for case in cases(Condition(H * (W//2) + 1, "==", 3), Anything()):
    ...     print(*case, sep=" and ")
    H - 1 == 0 and W//2 - 2 == 0
    H - 2 == 0 and W//2 - 1 == 0
    """
    gap = condition.lhs - condition.rhs
    if isinstance(gap, int):
        return [[]] if (gap >= 0 if condition.relation == ">=" else gap == 0) else []
    scale = denominator(gap)
    if scale > 1:  # the laws are of whole coefficients
        gap = Size({mono: int(c * scale) for mono, c in gap.terms.items()})
        condition = Condition(gap, condition.relation, 0, condition.why)
    content = gcd(*(int(c) for mono, c in gap.terms.items() if mono))
    if content > 1:  # c*e + k >= 0 is e + k//c >= 0
        if condition.relation == "==" and gap.const % content:
            return []
        whole = sz.exact_or_fail(gap - gap.const, content) + int(gap.const) // content
        return [[Condition(whole, condition.relation, 0, condition.why)]]
    for law in _LAWS:
        found = law(condition, gap, known)
        if found is not None:
            return found
    return None


Law = Callable[[Condition, Size, Facts], "Cases | None"]


def _inside(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``floor(e/m) + k >= 0`` is ``e + m*k >= 0``, also for a size m that is positive; where it is
    negative, ``floor(-e/-m)`` is meant, and python divides nothing by 0.
    """
    bare = gap - gap.const
    for sign in (1, -1):
        atom = sz.sole_atom(bare * sign)
        if isinstance(atom, sz.Floor):
            return _of_floor(condition, atom, sign, -int(gap.const) * sign, known)
    return None


def _of_floor(condition: Condition, atom: sz.Floor, sign: int, value: Int, known: Facts) -> Cases:
    """A floor that is this value, or with a sign bounded by it."""
    found: Cases = []
    for side in _sides(atom.den, known):
        num, m = atom.num * side, atom.den * side
        low = Condition(num, ">=", value * m)  # floor(e/m) >= value
        high = Condition(value * m + m - 1, ">=", num)  # floor(e/m) <= value
        wanted = [low, high] if condition.relation == "==" else [low if sign == 1 else high]
        found.append([*([] if isinstance(m, int) else [Condition(m, ">=", 1)]), *wanted])
    return found


def _beside(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``floor(e/m) == N`` for sizes m and N, as `_inside` has it of a number."""
    for mono, coeff in gap.terms.items():
        atom, sign = sz.sole_atom(Size({mono: 1})) if mono else None, int(coeff)
        if isinstance(atom, sz.Floor) and isinstance(atom.den, Size) and sign in (1, -1):
            value = (Size({mono: coeff}) - gap) * sign
            return _of_floor(condition, atom, sign, value, known) if is_linear(value) else None
    return None


def _not_above(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``e >= floor(e/m)`` for a size m that is positive, where e is not negative."""
    for mono, coeff in gap.terms.items():
        ((atom, power),) = mono if len(mono) == 1 else ((None, 0),)
        if not isinstance(atom, sz.Floor) or isinstance(atom.den, int) or power != 1 or coeff > 0:
            continue
        left = gap - Size({mono: coeff}) + atom.num * coeff
        needs = [Condition(e, ">=", 0) for e in (atom.den, atom.num, left)]
        linear = all(is_linear(n.lhs) for n in needs)
        if condition.relation == ">=" and linear and all(map(known.entails, needs)):
            return [[Condition(atom.den, ">=", 1)]]  # by 0 nothing is divided
    return None


def _sides(den: Int, known: Facts) -> tuple[int, ...]:
    """The signs that a size may have, if it is not 0."""
    if isinstance(den, int) or known.entails(Condition(den, ">=", 0)):
        return (1,)
    return (-1,) if known.entails(Condition(0, ">=", den)) else (1, -1)


def _shared(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """Both sides without the positive factors they share: ``N*h*w == 49*N``, ``N*(n % 4) == 0``."""
    with suppress(ValueError):
        whole, content = factors(gap)
        positive = [f for f in whole if known.entails(Condition(f, ">=", 1))]
        if positive and len(whole) > 1:
            rest = list(whole)
            for f in positive:
                if len(rest) > 1 or condition.relation == "==":
                    rest.remove(f)
            if len(rest) < len(whole):
                return [[Condition(sz.prod(rest) * content, condition.relation, 0)]]
    return None


def _filled(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``c*f*g >= k`` for k up to c, where each factor has one sign: if the product is not negative,
    k is at most 0 or no factor is 0; else one is 0.
    """
    bare, least = gap - gap.const, -gap.const
    if condition.relation != ">=" or not isinstance(bare, Size):
        return None
    with suppress(ValueError):
        found, content = factors(bare)
        if len(found) < 2 or least > abs(content):
            return None
        if least <= 0 and not all(map(is_linear, found)):  # by 0 nothing is divided
            return None
        sides = [_sides(f, known) for f in found]
        if any(len(side) > 1 for side in sides):
            return None
        turned = [f * sign for f, (sign,) in zip(found, sides, strict=True)]
        if content * (-1) ** sides.count((-1,)) > 0:
            return [[Condition(f, ">=", 1) for f in turned if least > 0]]
        if least >= 0:
            return [[Condition(f, "==", 0)] for f in found] if least == 0 else []
    return None


def _number(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``content*f*g*... == number``, for linear factors and quotients of sizes."""
    if condition.relation != "==":
        return None
    for lhs, rhs in (
        (condition.lhs, condition.rhs),  # 256*h*w == 12544, (h + 1)*(w + 1) == 64
        (condition.rhs, condition.lhs),
        (gap - gap.const, -gap.const),  # h*w + 1 == 197
    ):
        if not isinstance(rhs, int) or rhs == 0 or not isinstance(lhs, Size):
            continue
        with suppress(ValueError):
            found, content = factors(lhs)
            found = tuple(sorted(found, key=str))
            some = len(found) > 1  # then each factor is a number, and no divisor is 0
            if not all(is_linear(f) or (some and _is_quotient(f)) for f in found):
                continue
            if rhs % content:
                return []
            return _factored(found, rhs // content, known)
    with suppress(ValueError):
        found, _ = factors(gap)
        if all(is_linear(f) or _is_rootless(f) for f in found):
            return [[Condition(f, "==", 0)] for f in found if is_linear(f)]
    return None


def _is_quotient(factor: Size) -> bool:
    return isinstance(sz.sole_atom(factor), sz.Floor)


def _is_rootless(factor: Size) -> bool:
    """Whether an irreducible polynomial is one of a single size, of a power: nowhere 0, then."""
    atoms = [*factor.atoms()]
    return len(atoms) == 1 and is_linear(atoms[0].size()) and not is_linear(factor)


def _factored(found: Sequence[Size], target: int, known: Facts) -> Cases:
    signed = [not known.entails(Condition(f, ">=", 0)) for f in found]
    split = [*islice(splits(target, signed), _MANY + 1)]
    if len(split) > _MANY:
        raise Undecidable(
            f"{text(sz.prod(found))} == {target}: there are more than {_MANY:,} ways to write it "
            "as a product",
            cure="give more of the sizes numbers",
        )
    return [[Condition(f - d, "==", 0) for f, d in zip(found, ds, strict=True)] for ds in split]


def _completed(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``a*f*g + b*f + c*g == d`` is ``(a*f + c)*(a*g + b) == a*d + b*c``, a product."""
    found = _product_of(gap) if condition.relation == "==" else None
    if found is None:
        return None
    whole, number = found
    return (
        [[Condition(e, "==", 0)] for e in whole] if not number else _factored(whole, number, known)
    )


def _product_of(gap: Size) -> tuple[list[Size], int] | None:
    """Two linear factors and the number their product is compared with, where gap is 0."""
    pairs = [mono for mono in gap.terms if len(mono) == 2 and all(p == 1 for _, p in mono)]
    if len(pairs) != 1:
        return None
    (mono,) = pairs
    f, g = (atom for atom, _ in mono)
    a = gap.terms[mono]
    rest = gap - Size({mono: a})
    b, c = (rest.terms.get(((x, 1),), 0) if isinstance(rest, Size) else 0 for x in (f, g))
    d = f.size() * b + g.size() * c - rest
    if not isinstance(d, int) or not all(type(v) is int for v in (a, b, c)):
        return None
    whole = [e for e in (f.size() * a + c, g.size() * a + b) if isinstance(e, Size)]
    return (whole, int(a) * d + int(b) * int(c)) if all(map(is_linear, whole)) else None


def _greatest(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """A maximum is the argument that is not below the others: a case per argument.

    ``h*w == min(h*w, n)`` is ``h*w <= n``: a table of n rows, cut to as many as are needed.
    """
    for mono in gap.terms:
        for atom, _ in mono:
            if isinstance(atom, sz.Max):
                args = [*enumerate(atom.args)]
                where = (
                    (a, [Condition(a, ">=", b + (j < i)) for j, b in args if j != i])
                    for i, a in args
                )
                return _each(condition, gap, atom, where)
    return None


def _remainder(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``f*g % n == 0``: for one way to write ``n = d*e``, ``f % d == 0`` and ``g % e == 0``."""
    if condition.relation != "==":
        return None
    for mono, coeff in gap.terms.items():
        atom = sz.sole_atom(Size({mono: 1})) if mono else None
        if not isinstance(atom, sz.Floor) or type(atom.den) is not int:
            continue
        rest = gap - Size({mono: coeff})
        if rest * atom.den != atom.num * -coeff:
            continue
        with suppress(ValueError):
            found, content = factors(atom.num)
            if all(map(is_linear, found)):
                n = atom.den // gcd(atom.den, content)
                ways = [*islice(splits(n, [False] * len(found)), _MANY)]
                return [
                    [Condition(sz.mod(f, d), "==", 0) for f, d in zip(found, ds, strict=True)]
                    for ds in ways
                ]
    return None


def _residues(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``f*g % n >= k``: what a polynomial leaves is what the remainders of its sizes leave."""
    for mono, coeff in gap.terms.items():
        floor = sz.sole_atom(Size({mono: 1})) if mono else None
        if not isinstance(floor, sz.Floor) or type(floor.den) is not int:
            continue
        n, times = floor.den, Fraction(-coeff, floor.den)
        offset = gap - (floor.num - floor.size() * n) * times
        atoms = list(floor.num.atoms())
        whole = all(type(c) is int for c in floor.num.terms.values())
        if not whole or not isinstance(offset, int) or n ** len(atoms) > _MANY:
            continue
        if not all(is_linear(atom.size()) for atom in atoms):
            continue
        found: Cases = []
        for rest in product(range(n), repeat=len(atoms)):
            at = dict(zip(atoms, rest, strict=True))
            left = _evaluated(floor.num, at) % n * times + offset
            if left >= 0 if condition.relation == ">=" else left == 0:
                found.append([Condition(sz.mod(a.size(), n), "==", r) for a, r in at.items()])
        return found
    return None


def _evaluated(expr: Size, at: Mapping[sz.Atom, int]) -> int:
    """A polynomial in atoms at numbers for them."""
    found = expr.map(at.__getitem__)
    assert isinstance(found, int)
    return found


def _bounded(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """A bound on what grows with every size."""
    falls = grows(-gap, known.least)
    if not falls and not grows(gap, known.least):
        return None
    if isinstance(always := from_least(gap, known.least), int):
        return [[]] if (always >= 0 if condition.relation == ">=" else always == 0) else []
    up = -gap if falls else gap
    equal = condition.relation == "=="
    low = [_reaches(up, 0, known)[0]] if equal or not falls else []
    high = [_reaches(up, 1, known)[1]] if equal or falls else []
    return [[*low, *high]]


def _reaches(up: Size, limit: int, known: Facts) -> tuple[Condition | Bound, Condition | Bound]:
    """``up >= limit`` for what grows, and its contrary: of one size, bounds on that size."""
    name, *more = symbols_of(up)
    if more:
        bound = Bound.of(up, limit, known.least)
        return bound, bound.contrary
    edge = reached(up, limit, name, known.least.get(name, 1))
    size: Int = 0 if edge > FAR else Size.symbol(name)  # as far as sizes go, nowhere
    return Condition(size, ">=", edge), Condition(edge - 1, ">=", size)


def _factor(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``f*g >= h`` where ``f >= h``, if f and g are positive: always or never, if so."""
    if condition.relation != ">=":
        return None
    least: Int
    for always, least in ((True, gap), (False, -gap - 1)):  # never: gap <= -1
        for mono, coeff in least.terms.items() if isinstance(least, Size) else ():
            term = Size({mono: coeff})
            if coeff <= 0 or is_linear(term):
                continue
            try:
                found, content = factors(term)
            except ValueError:  # a quotient of powers
                break
            if any(not is_linear(f) or not known.entails(Condition(f, ">=", 1)) for f in found):
                break
            for f in found:
                lower = least - term + f * content
                if is_linear(lower) and known.entails(Condition(lower, ">=", 0)):
                    return [[]] if always else []
    return None


def _signed(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """A product of which one factor may be negative: a case for each of its signs."""
    if condition.relation != ">=":
        return None
    found: Sequence[Size] = ()
    with suppress(ValueError):
        found, _ = factors(gap - gap.const)
    if len(found) < 2:
        found, _ = _product_of(gap) or ((), 0)
    unsure = [
        f
        for f in found
        if not known.entails(Condition(f, ">=", 1)) and not known.entails(Condition(0, ">=", f))
    ]
    if len(found) > 1 and unsure and is_linear(unsure[0]):
        f = unsure[0]
        return [[Condition(f, ">=", 1), condition], [Condition(0, ">=", f), condition]]
    return None


def _reaching(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``f*g >= n`` for a small n: ``f >= a`` and ``g >= n/a`` for some a, or the same of -f, -g."""
    if condition.relation != ">=" or not isinstance(bare := gap - gap.const, Size):
        return None
    with suppress(ValueError):
        found, content = factors(bare)
        n = -(int(gap.const) // abs(content))
        if len(found) == 2 and 0 < n <= _FEW:
            f, g = found[0], found[1] * (1 if content > 0 else -1)
            ways = {-(-n // a): a for a in range(n, 0, -1)}  # the least a for each n/a
            return [
                [Condition(f * sign, ">=", a), Condition(g * sign, ">=", b)]
                for sign in (1, -1)
                for b, a in ways.items()
            ]
    return None


def _equal(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``h*w == 4*(w//2)**2`` is ``w**2 == 4*(w//2)**2`` of square images, and where a size divides
    by 56, ``h//14`` is ``4*(h//56)``.
    """
    for a, b in combinations(map(Size.symbol, sorted(symbols_of(gap))), 2):
        if known.entails(Condition(a, "==", b)):
            return [[Condition(sz.with_values(gap, {str(b): a}), condition.relation, 0)]]
    floors = [(f, f.den) for f in gap.atoms() if isinstance(f, sz.Floor)]
    for (fine, m), (coarse, n) in permutations(floors, 2):
        if not isinstance(m, int) or not isinstance(n, int):
            continue
        times, rest = divmod(n, m)
        alike = Condition(fine.size(), "==", times * coarse.size())
        if not rest and fine.num == coarse.num and known.entails(alike):
            terms: dict[sz.Atom, Int] = {fine: times * coarse.size()}
            found = gap.map(lambda atom: terms.get(atom, atom.size()))  # noqa: B023
            return [[Condition(found, condition.relation, 0)]]
    return None


def _paired(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``f*g*... == a*b*...`` where ``f >= a >= 0`` and ``g >= b >= 0`` and so on.

    Then it holds only where ``f == a`` and ``g == b``, or where both sides are 0. That is what a
    view into windows asks: ``h*w == (7*(h//7))*(7*(w//7))``.
    """
    if condition.relation != "==":
        return None
    for lhs, rhs in ((condition.lhs, condition.rhs), _split_signs(gap), *_split_products(gap)):
        if not isinstance(lhs, Size) or not isinstance(rhs, Size):
            continue
        with suppress(ValueError):
            (left, a), (right, b) = factors(lhs), factors(rhs)
            if len(left) != len(right) or len(left) < 2 or a <= 0 or b <= 0:
                continue
            if not all(map(is_linear, (*left, *right))):
                continue
            for large, x, small, y in ((left, a, right, b), (right, b, left, a)):
                shared = gcd(x, y)
                pairs = _dealt(list(large), x // shared, list(small), y // shared, known)
                if pairs is not None:
                    return _factor_by_factor(pairs, known)
    return None


def _split_signs(gap: Size) -> tuple[Int, Int]:
    """What is added and what is taken away."""
    plus: Int = sum((Size({m: c}) for m, c in gap.terms.items() if c > 0), 0)
    minus: Int = sum((Size({m: -c}) for m, c in gap.terms.items() if c < 0), 0)
    return plus, minus


def _split_products(gap: Size) -> Iterator[tuple[Int, Int]]:
    """Each product and all else: ``f*g + b*f + c*g + d`` is ``(f + c)*(g + b)`` and a number."""
    for mono, a in gap.terms.items():
        if len(mono) < 2 or any(power != 1 for _, power in mono):
            continue
        beside = (
            gap.terms.get(mono[:i] + mono[i + 1 :], 0) / Fraction(a) for i in range(len(mono))
        )
        shifts = [int(b) for b in beside if b.denominator == 1]
        if len(shifts) == len(mono):
            whole = sz.prod(f.size() + b for (f, _), b in zip(mono, shifts, strict=True)) * int(a)
            yield (whole, whole - gap) if a > 0 else (-whole, gap - whole)


def _dealt(
    large: list[Size], x: int, small: list[Size], y: int, known: Facts
) -> list[tuple[Int, Int]] | None:
    """Pairs (f, a) with ``f >= a >= 0``, the contents x and y dealt out among them; None if there
    are none.
    """
    if not large:
        return [] if x == y == 1 else None
    f, *others = large
    for i, a in enumerate(small):
        if sz.symbols_of(f) != sz.symbols_of(a):
            continue
        for d in divisors(x):
            for e in reversed(divisors(y)):
                if gcd(d, e) == 1 and _never_below(f * d, a * e, known):
                    rest = _dealt(others, x // d, small[:i] + small[i + 1 :], y // e, known)
                    if rest is not None:
                        return [(f * d, a * e), *rest]
    return None


def _never_below(f: Int, a: Int, known: Facts) -> bool:
    """Whether ``f >= a >= 0``."""
    return known.entails(Condition(f, ">=", a)) and known.entails(Condition(a, ">=", 0))


def _factor_by_factor(pairs: Sequence[tuple[Int, Int]], known: Facts) -> Cases:
    equal: list[Condition | Bound] = [Condition(f, "==", a) for f, a in pairs]
    empty: Cases = [
        [Condition(f, "==", 0)] for f, _ in pairs if not known.entails(Condition(f, ">=", 1))
    ]
    small: Cases = [
        [Condition(a, "==", 0)] for _, a in pairs if not known.entails(Condition(a, ">=", 1))
    ]
    return [equal, *([*one, *two] for one in empty for two in small)]


def _over(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """A floor by a size that need not be positive: a case for each sign, as of `_inside`."""
    for floor in sz.every_atom(gap):
        if not isinstance(floor, sz.Floor) or not isinstance(floor.den, Size):
            continue
        den = floor.den
        if is_linear(den) and not known.entails(Condition(den, ">=", 1)):  # else asked so already
            where = (
                (sz.floordiv(floor.num * side, den * side), [Condition(den * side, ">=", 1)])
                for side in _sides(den, known)
            )
            return _each(condition, gap, floor, where)
    return None


def _divisor(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """A floor by a size that takes few values: for each of these, a floor by a number."""
    for floor in sz.every_atom(gap):
        if not isinstance(floor, sz.Floor) or isinstance(floor.den, int):
            continue
        den = floor.den
        high = _greatest_value(den, known) if is_linear(den) else None
        if high is not None:
            where = (
                (sz.floordiv(floor.num, v), [Condition(den, "==", v)]) for v in range(1, high + 1)
            )
            return _each(condition, gap, floor, where)
    return None


def _few(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """A floor or maximum in a product that takes few values: for each of these, a number."""
    for atom in gap.atoms():
        if isinstance(atom, sz.Symbol) or not is_linear(atom.size()):
            continue
        if not any(len(mono) > 1 and atom in dict(mono) for mono in gap.terms):
            continue
        high = _greatest_value(atom.size(), known)
        low = _greatest_value(-atom.size(), known) if high is not None else None
        if high is not None and low is not None and high + low < _FEW:
            return _each(condition, gap, atom, _is_each(atom, -low, high))
    return None


Values = Iterable[tuple[Int, Sequence[Condition]]]


def _is_each(atom: sz.Atom, low: int, high: int) -> Values:
    return ((v, [Condition(atom.size(), "==", v)]) for v in range(low, high + 1))


def _each(condition: Condition, gap: Size, atom: sz.Atom, where: Values) -> Cases:
    """A case for each value of an atom, and where it is that; none where it divides by 0 then."""
    found: Cases = []
    for value, conditions in where:
        with suppress(ZeroDivisionError):
            rest = Condition(replaced(gap, atom, value), condition.relation, 0)
            found.append([*conditions, rest])
    return found


def _greatest_value(expr: Int, known: Facts) -> int | None:
    """The greatest value of a size, if that is from -`_FEW` to `_FEW`."""
    high = next((n for n in _STEPS if known.entails(Condition(n, ">=", expr))), None)
    while high is not None and known.entails(Condition(high - 1, ">=", expr)):
        high = high - 1 if high > -_FEW else None
    return high


def _quotient(condition: Condition, gap: Size, known: Facts) -> Cases | None:
    """``floor(e/d)`` for a size d, where the quotient stays in a range: a case for each value."""
    for atom in sz.every_atom(gap):
        if not isinstance(atom, sz.Floor) or type(atom.den) is int:
            continue
        if atom not in set(gap.atoms()) or not is_linear(atom.num) or not is_linear(atom.den):
            continue
        num, den = atom.num, atom.den
        span = _range(num, den, known)
        if span is None:
            continue
        where = (
            (q, [Condition(num, ">=", den * q), Condition(den * (q + 1), ">=", num + 1)])
            for q in span
        )
        return _each(condition, gap, atom, where)
    return None


def _range(num: Size, den: Int, known: Facts) -> range | None:
    """The whole quotients, all of them from -`_QUOTIENTS` to `_QUOTIENTS`."""

    def below(q: int) -> bool:
        return known.entails(Condition(den * (q + 1), ">=", num + 1))

    def above(q: int) -> bool:
        return known.entails(Condition(num, ">=", den * q))

    steps = [0, *(1 << i for i in range(_QUOTIENTS.bit_length()))]
    high = next((q for q in steps if below(q)), None)
    low = next((-q for q in steps if above(-q)), None) if high is not None else None
    if high is None or low is None:
        return None
    under = high // 2 if high > 1 else low - 1  # not below this one
    while high - under > 1:
        middle = (under + high) // 2
        under, high = (under, middle) if below(middle) else (middle, high)
    return range(low, high + 1)


#: In the order in which they are tried.
_LAWS: tuple[Law, ...] = (
    _inside,
    _not_above,
    _shared,
    _filled,
    _number,
    _greatest,
    _remainder,
    _residues,
    _completed,
    _factor,
    _bounded,
    _equal,
    _paired,
    _over,
    _divisor,
    _quotient,
    _few,
    _signed,
    _reaching,
    _beside,
)
