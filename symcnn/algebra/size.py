"""Integer expressions: what a size is while a network is being traced.

The idea: a size is a polynomial over *atoms* (symbols, floor divisions, maxima), with the
**floor normal form** applied when a floor is built (n, m > 0, f integer-valued)::

    floor((n*q + e)/n)          = q + floor(e/n)
    floor((g*e + c)/(g*n))      = floor((e + floor(c/g))/n)
    floor((floor(e/m) + f)/n)   = floor((e + m*f)/(m*n))
    floor(-e/n)                 = -floor((e + n - 1)/n)
    e - floor(e/2)              = floor((e + 1)/2)

so a chain of fifty strided layers has one floor, not fifty, and equal sizes are nearly always
equal objects. Constant results are plain ``int``: concrete networks have concrete shapes.

This is the kernel under `symcnn.algebra.expr` (its sympy face). It knows neither sympy nor torch
and costs a few microseconds per operation, where building one ``sympy.floor`` costs two thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import cycle, product
from math import gcd
from typing import Any

from symcnn.algebra.atoms import (
    Floor,
    Max,
    Part,
    Power,
    Scaled,
    Sum,
    every_atom,
    lows,
    spelling,
    symbols_of,
)
from symcnn.algebra.polynomial import (
    FUNCTIONS,
    Atom,
    Bound,
    Coeff,
    Int,
    Monomial,
    Size,
    Symbol,
    denominator,
    divided,
    evaluate,
    exact_div,
    exact_or_fail,
    gathered,
    is_integer,
    lower,
    polynomial,
    prod,
    reading_order,
    sole_atom,
    unfolded,
    upper,
    with_values,
)
from symcnn.errors import BadSpec, SymcnnError

__all__ = [
    "Atom",
    "Coeff",
    "Floor",
    "Int",
    "Max",
    "Monomial",
    "Part",
    "Power",
    "Scaled",
    "Size",
    "Sum",
    "Symbol",
    "ceildiv",
    "denominator",
    "evaluate",
    "every_atom",
    "exact_div",
    "exact_or_fail",
    "floordiv",
    "gathered",
    "is_whole",
    "lower",
    "lows",
    "maximum",
    "minimum",
    "mod",
    "power",
    "prod",
    "scaled",
    "sharp_lower",
    "sole_atom",
    "spelling",
    "symbols_of",
    "unfolded",
    "upper",
    "with_values",
]


def power(base: Int, exponent: Int) -> Int:
    """``base**exponent`` in powers of primes and symbols: ``6**(n + 1)`` is ``6*2**n*3**n``.

    Raises ValueError for a base that may be 0 or negative under an exponent with symbols.

    >>> n, s = Size.symbol("n"), Size.symbol("s")
    >>> power(4, n + 1), power(2 * s, n), power(2, n) * power(2, -n)
    (4*2**(2*n), 2**n*s**n, 1)
    """
    if isinstance(exponent, int):
        if isinstance(base, int):
            return base**exponent if exponent >= 0 else exact_or_fail(1, base**-exponent)
        return base**exponent
    if base == 1:
        return 1
    if isinstance(base, int):
        if base < 1:
            raise ValueError(f"({base})**({exponent}) is not a power of a positive number")
        return prod(_prime_power(p, e, exponent) for p, e in _primes(base))
    if len(base.terms) == 1:
        ((mono, coeff),) = base.terms.items()
        whole = power(coeff.numerator, exponent)
        if coeff.denominator != 1:
            whole = whole * power(coeff.denominator, -exponent)
        for atom, times in mono:
            if isinstance(atom, Power):
                whole = whole * power(atom.base, atom.exponent * exponent * times)
            else:
                whole = whole * _prime_power(atom.size(), times, exponent)
        return whole
    return _prime_power(base, 1, exponent)


def _prime_power(base: Int, times: int, exponent: Size) -> Int:
    """``base**(times*exponent)``, one factor per term of the exponent."""
    result: Int = 1
    odd: Int = 0  # terms with fractions, such as n*n/2 - n/2, are whole only together
    for mono, coeff in (exponent * times).terms.items():  # type: ignore[union-attr]
        if type(coeff) is not int:
            odd = odd + Size({mono: coeff})
        elif not mono:
            result = result * power(base, coeff)
        else:
            atom = Power(base, Size({mono: 1}))
            result = result * Size({((atom, coeff),): 1})
    return result * Power(base, odd).size() if isinstance(odd, Size) else result


@lru_cache(maxsize=256)
def _primes(number: int) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    p = 2
    while number > 1:
        if p * p > number:
            p = number
        while number % p == 0:
            found[p] = found.get(p, 0) + 1
            number //= p
        p += 1
    return tuple(found.items())


def floordiv(num: Int, den: Int) -> Int:
    """``floor(num/den)`` in normal form.

    Raises ZeroDivisionError for a constant zero `den`.

    >>> H = Size.symbol("H")
    >>> floordiv(floordiv(H + 1, 2) + 1, 2), floordiv(6*H + 7, 3), -floordiv(-H, 2)
    ((H + 3)//4, 2*H + 2, (H + 1)//2)
    """
    if type(num) is int and type(den) is int:
        return num // den
    if type(den) is int:
        return _floordiv(num, den)
    return _floordiv_symbolic(num, den)


@lru_cache(maxsize=8192)
def _floordiv(num: Int, den: int) -> Int:
    if den == 0:
        raise ZeroDivisionError(f"({num})//0")
    if den < 0:
        num, den = -num, -den
    scale = denominator(num)
    num, den = num * scale, den * scale
    if isinstance(num, int):
        return num // den
    if den == 1 and _integer_valued(num):
        return _halves(num)
    if _always_divides(den, num):
        return num * Fraction(1, den)

    # q + floor(e/n): take out whole multiples, towards zero so that no sign is made up
    whole: dict[Monomial, Coeff] = {}
    rest: dict[Monomial, int] = {}
    integer = True
    for mono, c in num.terms.items():
        assert isinstance(c, int)
        if not mono:
            q, r = divmod(c, den)
        elif is_integer(mono):
            q = abs(c) // den * (1 if c > 0 else -1)
            r = c - q * den
        else:
            q, r, integer = 0, c, False
        if q:
            whole[mono] = q
        if r:
            rest[mono] = r
    const = rest.pop((), 0)
    if not rest:  # 0 <= const < den
        return _halves(polynomial(whole))
    if not integer:
        return Floor(_with_const(rest, const), den).size() + polynomial(whole)

    # the common factor of numerator and denominator; the constant is floored
    g = gcd(den, *rest.values())
    rest = {mono: c // g for mono, c in rest.items()}
    const, den = const // g, den // g

    # one sign per floor: the first term, in reading order, is positive
    sign = 1
    if min(rest.items(), key=reading_order)[1] < 0:
        sign, const = -1, den - 1 - const
        rest = {mono: -c for mono, c in rest.items()}

    return _nested(_with_const(rest, const), den) * sign + polynomial(whole)


#: At more places than that a polynomial is not looked at.
_PLACES = 64


def _always_divides(den: int, num: Size) -> bool:
    """Whether the quotient is whole whatever the sizes, as ``n*(n + 1)/2`` is.

    A polynomial of degree d is whole everywhere if it is whole at d + 1 places in a row (Polya).
    """
    nonlinear = any(len(mono) > 1 or mono[0][1] > 1 for mono in num.terms if mono)
    if not nonlinear or not _integer_valued(num):
        return False
    degrees: dict[Any, int] = {}
    for mono in num.terms:
        for atom, power in mono:
            degrees[atom] = max(power, degrees.get(atom, 0))
    if math.prod(d + 1 for d in degrees.values()) > _PLACES:
        return False
    for place in product(*(range(d + 1) for d in degrees.values())):
        at = dict(zip(degrees, place, strict=True))
        value = sum(
            c * math.prod(at[atom] ** power for atom, power in mono)
            for mono, c in num.terms.items()
        )
        if value % den:
            return False
    return True


def _halves(expr: Any) -> Int:
    """``e - floor(e/2) = floor((e + 1)/2)``, as of a size that is padded to be even, and halved."""
    for mono, c in expr.rest.items() if isinstance(expr, Size) and len(expr.rest) > 1 else ():
        atom, power = mono[0] if len(mono) == 1 else (None, 0)
        if c >= 0 or power != 1 or not isinstance(atom, Floor) or type(atom.den) is not int:
            continue
        half = _floordiv(atom.num, atom.den // 2) if atom.den % 2 == 0 else 0
        if isinstance(half, Size) and all(
            expr.terms.get(m) == -c * times for m, times in half.terms.items() if m
        ):
            rest = expr + c * half - c * atom.size()
            return _halves(rest - c * _floordiv(atom.num + atom.den // 2, atom.den))
    found: Int = expr
    return found


def _with_const(terms: dict[Monomial, int], const: int) -> Size:
    return Size({**terms, (): const} if const else dict(terms))


def _nested(num: Size, den: Int) -> Int:
    """``floor((floor(e/m) + f)/n) = floor((e + m*f)/(m*n))``, or the floor as it stands.

    Applied when exactly one floor stands in `num`, with coefficient 1.
    """
    if den == 1:
        return num
    inner = None
    for mono, coeff in num.terms.items():
        if any(isinstance(atom, Floor) for atom, _ in mono):
            if inner is not None or coeff != 1 or len(mono) != 1 or mono[0][1] != 1:
                return Floor(num, den).size()
            inner = mono[0][0]
    if not isinstance(inner, Floor) or not _positive(inner.den) or not _positive(den):
        return Floor(num, den).size()
    return floordiv(inner.num + inner.den * (num - inner.size()), inner.den * den)


def _positive(expr: Int) -> bool:
    low = lower(expr)
    return low is not None and low > 0


def _floordiv_symbolic(num: Int, den: Int) -> Int:
    """``floor(num/den)`` for a denominator with symbols: terms it divides come out whole."""
    scale = denominator(num, den)
    num, den = num * scale, den * scale
    if isinstance(den, int):
        return floordiv(num, den)
    whole: Int = 0
    rest: Int = 0
    for mono, coeff in num.terms.items() if isinstance(num, Size) else (((), num),):
        term = polynomial({mono: coeff})
        q = exact_div(term, den) if term else 0
        if q is None:
            rest = rest + term
        else:
            whole = whole + q
    if rest != 0:
        q, left = divided(rest, den)
        if isinstance(left, int):  # (H*s + s + H + 1)//(s + 1), (H*s + H + 1)//(s + 1)
            whole, rest = whole + q, left
    if isinstance(rest, int):
        low = lower(den)
        if rest == 0 or (low is not None and -low <= rest < low):
            return whole - (rest < 0)
        return whole + Floor(Size({(): rest}), den).size()
    if not _integer_valued(rest):
        return whole + Floor(rest, den).size()
    return whole + _nested(rest, den)


def _integer_valued(value: Int) -> bool:
    return isinstance(value, int) or all(
        type(c) is int and is_integer(m) for m, c in value.terms.items()
    )


def ceildiv(num: Int, den: Int) -> Int:
    """``ceil(num/den)``, in the same normal form: ``-floor(-num/den)``."""
    return -floordiv(-num, den)


def truncdiv(num: Int, den: Int) -> Int:
    """``num/den`` towards zero, for ``den >= 1``: the floor above zero, the ceiling below."""
    low = lower(num)
    if low is not None and low >= 0:
        return floordiv(num, den)
    return maximum(floordiv(num, den), 0) + minimum(ceildiv(num, den), 0)


@lru_cache(maxsize=4096, typed=True)
def mod(num: Int, den: Int) -> Int:
    """``num - den*floor(num/den)``: python's ``%``."""
    return num - den * floordiv(num, den)


@lru_cache(maxsize=4096, typed=True)
def maximum(*args: Int) -> Int:
    """The largest of `args`; arguments that another one always beats are dropped.

    Pairwise comparisons are dear, and layer after layer substitutes into the same few: remembered.
    """
    every = [a for arg in args for a in _sole_max(arg)]
    tried = _tried(every) if len(every) > _FEW else {}

    def covers(a: Int, b: Int) -> bool:
        values = zip(tried.get(a, ()), tried.get(b, ()), strict=True)
        return all(x >= y for x, y in values) and _never_below(a, b)

    kept: list[Int] = []
    for a in every:
        if not any(covers(b, a) for b in kept):
            kept = [b for b in kept if not covers(a, b)] + [a]
    if len(kept) == 1:
        return kept[0]
    return Max(*sorted(kept, key=lambda a: (isinstance(a, int), str(a)))).size()


_FEW = 8  # arguments of a maximum that are compared without trying numbers first
_OFFSETS = (0, 1, 30, 1000)  # how far sizes that are tried lie above the least
_AWAY = 1_000_000  # and one of them alone


def _tried(exprs: Sequence[Int]) -> dict[Int, list[Any]]:
    """The values of many expressions at a few sizes: one of two that is less there is not above."""
    least = sorted((name, low or 0) for name, low in lows(*exprs))
    points = [{name: low + far for name, low in least} for far in _OFFSETS]
    for i in range(len(_OFFSETS)):
        turned = _OFFSETS[i:] + _OFFSETS[:i]
        points.append(
            {name: low + far for (name, low), far in zip(least, cycle(turned), strict=False)}
        )
    points += [{**points[0], name: low + _AWAY} for name, low in least]
    try:
        return {e: [evaluate(e, point) for point in points] for e in exprs}
    except (KeyError, ArithmeticError, ValueError, SymcnnError):  # of symbols that are more
        return {}


def _never_below(a: Int, b: Int) -> bool:
    """Whether ``a >= b`` for all sizes, at a glance."""
    low = sharp_lower(a - b, least=0)
    if low is not None and low >= 0:
        return True
    if len(least := _sole_max(-b)) > 1:  # b is min(...)
        return any(_never_below(a, -arg) for arg in least)
    if len(least := _sole_max(-a)) > 1:
        return all(_never_below(-arg, b) for arg in least)
    return False


def _sole_max(arg: Int) -> tuple[Int, ...]:
    """The arguments of a maximum; anything else is its own only argument."""
    atom = sole_atom(arg)
    return atom.args if isinstance(atom, Max) else (arg,)


def minimum(*args: Int) -> Int:
    """The smallest of `args`: ``-maximum(-a, -b, ...)``."""
    return -maximum(*(-a for a in args))


def less(a: Int, b: Int) -> Int:
    """``a - b``; of a maximum the smallest difference, which may be of fewer terms.

    >>> T = Size.symbol("T")
    >>> less(T, maximum(T - 8, 0))  # x[:, -8:]
    min(T, 8)
    """
    return minimum(*(a - arg for arg in _sole_max(b)))


#: Sizes up to this bound are checked before a float scale is rewritten as a floor.
SCALE_BOUND = 1 << 16


def scaled(arg: Int, scale: float) -> Int:
    """``trunc(double(arg) * scale)``; a floor when that is right for every size to `SCALE_BOUND`.

    >>> H = Size.symbol("H")
    >>> scaled(H, 2.0), scaled(H, 0.5), scaled(100, 0.29), scaled(H, 0.29)
    (2*H, H//2, 28, trunc(H*0.29))
    """
    if type(arg) is int:
        return int(float(arg) * scale)
    assert isinstance(arg, Size)
    ratio = _as_ratio(scale)
    if ratio is None:
        return Scaled(arg, scale).size()
    return floordiv(arg * ratio.numerator, ratio.denominator)


@lru_cache(maxsize=256)
def _as_ratio(scale: float) -> Fraction | None:
    """p/q with ``trunc(x*scale) == x*p//q`` for all 0 <= x <= SCALE_BOUND, or None.

    A power-of-two denominator is exact in double; others are tried at every size.
    """
    exact = Fraction(scale)
    if exact.denominator <= 64:
        return exact
    near = exact.limit_denominator(64)
    p, q = near.numerator, near.denominator
    same = all(int(x * scale) == x * p // q for x in range(SCALE_BOUND + 1))
    return near if same else None


_SPLITS = 64  # arguments of maxima within maxima that one bound may look at: each doubles the work


@lru_cache(maxsize=4096, typed=True)
def sharp_lower(expr: Int, splits: int = _SPLITS, least: Bound = None) -> Bound:
    """A tighter lower bound than `lower`: a floor, or a float scale, differs from its ratio by
    less than 1, so equal slopes cancel; so do sizes of which only a remainder is left.

    splits: how many arguments of maxima, one in the other, are tried before the bound is None.
    least: a bound below that is of no use to who asks, and None may stand for it. *A bound is at
    most the value at any sizes*: it is not looked for where the value at the least is less.

    >>> H = Size.symbol("H")
    >>> lower(H - 2*(H//2)), sharp_lower(H - 2*(H//2)), sharp_lower(2*(H//2) - H)
    (None, 0, -1)
    >>> W = Size.symbol("W")
    >>> sharp_lower((H + 3)//W - H//W), sharp_lower((H + 3)//W - H//(W + 1))
    (0, None)
    """
    if (low := lower(expr)) is not None or isinstance(expr, int):
        return low
    if least is not None and _is_less_somewhere(expr, least):
        return None
    if (corner := _least_at_corner(expr)) is not None and corner >= 0:
        return corner
    inner = frozenset[Atom]().union(*map(_inside, expr.atoms()))
    for mono, coeff in expr.terms.items():
        for atom, power in mono:
            if power < 1 or isinstance(atom, Symbol):
                continue
            if isinstance(atom, (Floor, Scaled)) and atom in inner:  # what is around it goes first
                continue
            others = [(a, p) if a is not atom else (a, p - 1) for a, p in mono]
            if any(a.low is None or a.low < 0 or p < 1 for a, p in others if p):
                continue
            rest = expr - Size({mono: coeff})
            factor = polynomial({tuple((a, p) for a, p in others if p): coeff})
            if isinstance(atom, Max):
                if (left := splits // len(atom.args)) < 1:
                    return corner
                bounds = [sharp_lower(rest + factor * a, left, least) for a in atom.args]
                known = [b for b in bounds if b is not None]
                if coeff > 0:
                    return max(known, default=corner)
                return min(known) if len(known) == len(bounds) else corner
            if isinstance(atom, Floor) and type(atom.den) is int:
                slack: Int = atom.den - 1 if coeff > 0 else 0
                ratio: Any = (atom.num - slack) * Fraction(1, atom.den)
            elif isinstance(atom, Scaled) and atom.low is not None and atom.low >= 0:
                off = Fraction(-1 if coeff > 0 else 1, 1 << 52)  # two roundings to doubles
                ratio = atom.arg * (Fraction(atom.scale) * (1 + off)) - (coeff > 0)
            elif isinstance(atom, Floor) and type(times := exact_div(factor, atom.den)) is int:
                slack = atom.den - 1 if times > 0 else 0  # the numerator but for a remainder
                bounds = [sharp_lower(rest + times * (atom.num - slack), splits, least)]
                if coeff < 0 and atom.high is not None:
                    bounds.append(sharp_lower(rest + factor * atom.high, splits, least))
                return max((b for b in bounds if b is not None), default=corner)
            else:
                if not isinstance(atom, Floor) or coeff < 0 or len(mono) > 1 or power > 1:
                    continue
                if (joined := _joined(expr, atom, coeff)) is None:
                    continue
                return sharp_lower(joined, splits, least)
            wanted = None if least is None else _next_value(expr, least) - _step(expr) + 1
            found = sharp_lower(rest + factor * ratio, splits, wanted)
            return corner if found is None else _next_value(expr, found)
    return corner


def _joined(expr: Size, floor: Floor, coeff: Coeff) -> Int | None:
    """What is not above a sum with as many floors less: *floors added are at most the floor of the
    sum*. None where none of the same denominator is taken away as often.
    """
    for mono, taken in expr.terms.items():
        other, power = mono[0] if len(mono) == 1 else (None, 0)
        if taken == -coeff and power == 1 and isinstance(other, Floor) and other.den == floor.den:
            both = floordiv(floor.num - other.num, floor.den) - floor.size() + other.size()
            return expr + both * coeff
    return None


def _is_less_somewhere(expr: Size, least: int) -> bool:
    """Whether the whole number at or above the value is less, where every symbol is least."""
    if any(power < 1 for mono in expr.terms for _, power in mono):
        return False
    try:
        value = sum(
            coeff * math.prod(_at_least_sizes(atom) ** power for atom, power in mono)
            for mono, coeff in expr.terms.items()
        )
    except (KeyError, ArithmeticError, ValueError, SymcnnError):  # of symbols that are more
        return False
    return bool(-(-value // 1) < least)


@lru_cache(maxsize=4096)
def _at_least_sizes(atom: Atom) -> int:
    """The value of an atom where every symbol is least."""
    return evaluate(atom.size(), {name: low or 0 for name, low in lows(atom.size())})


@lru_cache(maxsize=4096)
def _inside(atom: Atom) -> frozenset[Atom]:
    """The atoms in the arguments of one, and in theirs."""
    return frozenset(every_atom(*atom.args))


def _next_value(expr: Size, low: int) -> int:
    """The least value from `low` that a sum of multiples of a whole number may have.

    >>> i = Size.symbol("i")
    >>> sharp_lower(4 * ((i + 2)//4) - 4 * (i//4))
    0
    """
    const, step = expr.const, _step(expr)
    return low if step == 1 else int(const - (const - low) // step * step)


def _step(expr: Size) -> int:
    """What divides all differences of its values, as far as coefficients say; 1 for fractions."""
    if not all(type(c) is int and is_integer(m) for m, c in expr.terms.items()):
        return 1
    return gcd(*(int(coeff) for mono, coeff in expr.terms.items() if mono))


def _least_at_corner(expr: Size) -> Bound:
    """The value where every size is least, if nothing falls from there: counted from their least
    values, all terms add.

    >>> N, H = Size.symbol("N"), Size.symbol("H")
    >>> _least_at_corner(8*N*H - H), _least_at_corner(N*H - 2*H)
    (7, None)
    """
    fall = [{*mono} for mono, coeff in expr.terms.items() if coeff < 0 and mono]
    rise = [dict(mono) for mono, coeff in expr.terms.items() if coeff > 0]
    if not all(any(all(r.get(a, 0) >= p for a, p in f) for r in rise) for f in fall):
        return None
    if any(a.low is None or p < 1 for mono in expr.terms for a, p in mono):
        return None
    moved = expr.map(lambda atom: atom.size() + (atom.low or 0))
    if isinstance(moved, int):
        return moved
    if any(coeff < 0 for mono, coeff in moved.terms.items() if mono):
        return None
    return -(-moved.const // 1)


def whole_number(name: object, value: object) -> int:
    """A size that a caller gives. Raises BadSpec for what is no whole number.

    >>> whole_number("H", 224)
    224
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BadSpec(f"{name}={value!r} is not a whole number")
    try:
        return int(value.__index__())
    except TypeError:  # an array of several
        raise BadSpec(f"{name}={value!r} is not a whole number") from None


def whole_numbers(sizes: Mapping[str, object]) -> dict[str, int]:
    """Sizes that a caller gives, by name. Raises BadSpec as `whole_number`."""
    return {str(name): whole_number(name, size) for name, size in sizes.items()}


def is_whole(expr: Int) -> bool:
    """Whether `expr` is a whole number for all values of its symbols, as ``n*(n - 1)/2`` is.

    A polynomial of degree d is, if it is at d + 1 values in a row of each atom. What has symbols
    below the line, or powers such as ``2**n/2``, is taken to be.
    """
    if isinstance(expr, int) or all(type(c) is int for c in expr.terms.values()):
        return True
    atoms = list(expr.atoms())
    if any(isinstance(atom, (Power, Sum)) for atom in atoms):
        return True
    if any(power < 0 for mono in expr.terms for _, power in mono):
        return True
    degree = max(sum(power for _, power in mono) for mono in expr.terms)
    for point in product(range(degree + 1), repeat=len(atoms)):
        at = dict(zip(atoms, point, strict=True))
        total = sum(
            coeff * Fraction(math.prod(at[atom] ** power for atom, power in mono))
            for mono, coeff in expr.terms.items()
        )
        if Fraction(total).denominator != 1:
            return False
    return True


FUNCTIONS.update(floordiv=floordiv, mod=mod, power=power, maximum=maximum, scaled=scaled)
