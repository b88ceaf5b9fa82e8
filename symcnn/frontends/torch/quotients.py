"""Float arithmetic on sizes: when the number that python rounds is the rounded quotient.

Floats round; quotients of sizes do not. A *recipe* is the float arithmetic as python does it: a
size, a number, or (operation, left, right). The law: a correctly rounded quotient has the floor,
the ceiling and the nearest whole number of the quotient itself, and so has every step that floats
do exactly (powers of two, quotients that are whole on the domain). Where more than that rounds, the
values at the first 65,536 sizes tell.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from symcnn.algebra.size import (
    SCALE_BOUND,
    Int,
    Size,
    ceildiv,
    denominator,
    evaluate,
    exact_div,
    exact_or_fail,
    floordiv,
    lower,
    mod,
    prod,
    scaled,
    symbols_of,
    truncdiv,
)
from symcnn.ops.shape import left_over, on_coarsest_floors, unfloored, whole_quotient
from symcnn.sets import scales
from symcnn.sets.condition import Condition
from symcnn.sets.downset import grows

#: How python computes a float: a size, a number, or (operation, left, right).
Recipe = Any

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


ROUNDED: dict[str, Callable[[Any], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
    "round": round,
}

RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


def _half_even(num: Int, den: Int) -> Int:
    """The whole number nearest to ``num/den``, the even one of two: ``round``."""
    up = floordiv(2 * num + den, 2 * den)
    if isinstance(den, int) and den % 2:
        return up  # no half occurs
    # a half was rounded up to an odd number iff num/den - 1/2 is a multiple of 2
    lift, whole = 2 * num - den, 4 * den
    return up - (floordiv(lift, whole) - floordiv(lift - 1, whole))


CLOSED: dict[str, Callable[[Int, Int], Int]] = {
    "floor": floordiv,
    "ceil": ceildiv,
    "round": _half_even,
    "trunc": truncdiv,
}


@lru_cache(maxsize=256)
def near_fraction(value: float) -> tuple[Fraction, bool]:
    """The short fraction that a float is written for, and whether the float is just that."""
    exact = Fraction(value)
    if exact.denominator <= 1 << 20:
        return exact, True
    near = exact.limit_denominator(1 << 12)
    return (near, False) if float(near) == value else (exact, False)


#: What floats are multiplied by without rounding.
POWERS = frozenset(2.0**i for i in range(-20, 21))


def is_dyadic(den: Int) -> bool:
    """Whether floats divide by it without rounding."""
    return type(den) is int and den & (den - 1) == 0


def reduced(num: Int, den: Int) -> tuple[Int, Int]:
    """A quotient of a size by a positive one, without common numbers and powers: over a positive
    one again. ``H/min(H, W)`` is over ``-max(-H, -W)``, whose only atom is negative.
    """
    if isinstance(den, Size) and len(den.terms) > 1:
        whole = exact_div(num, den)
        return (num, den) if whole is None else (whole, 1)
    quotient: Any = exact_or_fail(num, den)
    if isinstance(quotient, int):
        return quotient, 1
    below: dict[Any, int] = {}
    for mono in quotient.terms:
        for atom, power in mono:
            if power < 0:
                below[atom] = max(below.get(atom, 0), -power)
    scale = denominator(quotient)
    if any((low := lower(atom.size())) is None or low < 0 for atom in below):
        own = [*den.terms.items()] if isinstance(den, Size) else []
        ((mono, coeff),) = own or [((), 1)]
        if len(mono) != 1 or not mono[0][1] % 2:
            return num, den  # of which sign its factors are is not said
        if coeff < 0 and below[mono[0][0]] % 2:
            scale = -scale
    den = prod(atom.size() ** power for atom, power in below.items()) * scale
    return _integral(quotient * den), den


def _integral(expr: Any) -> Int:
    if isinstance(expr, Size) and set(expr.terms) == {()}:
        return int(expr.const)
    return expr  # type: ignore[no-any-return]


def on_domain(num: Int, den: Int) -> tuple[Int, Int]:
    """Two sizes by the domain law: floors that are exact so far are quotients."""
    num, den = on_coarsest_floors(num, den)
    return unfloored(num), unfloored(den)


def over_positive(num: Int, den: Int, decide: Callable[[Condition], bool]) -> tuple[Int, Int]:
    """The same quotient over a positive size: of which sign a divisor is is a branch.

    Raises ZeroDivisionError on the branch where it is 0, as python does.
    """
    if isinstance(den, int) or ((low := lower(den)) is not None and low >= 1):
        return num, den
    if decide(Condition(den, ">=", 1)):
        return num, den
    if decide(Condition(den, "==", 0)):
        raise ZeroDivisionError("integer division or modulo by zero")
    return -num, -den


def whole_ratio(num: Int, den: Size) -> Int | None:
    """``num/den`` where the domain says that it is whole: windows over windows per image; of floors
    that are products of floors, by these.
    """
    num, den = on_coarsest_floors(num, den)
    found = whole_quotient(unfloored(num), unfloored(den))
    if found is None:
        return whole_quotient(unfloored(num, deep=False), unfloored(den, deep=False))
    return found


def is_exact(num: Int, den: Int) -> bool:
    """Whether the quotient is a float exactly: whole on the domain, but for powers of two."""
    num, den = reduced(*on_domain(num, den))
    return is_dyadic(left_over(num, den)) if isinstance(den, int) else False


def masked(size: Int, mask: int) -> Int:
    """The bits of a size that a mask selects: each run of ones is a remainder, in its place."""
    total: Int = 0
    place = 0
    while mask >> place:
        while not mask >> place & 1:
            place += 1
        run = 1
        while mask >> (place + run) & 1:
            run += 1
        total = total + mod(floordiv(size, 1 << place), 1 << run) * (1 << place)
        place += run
    return total


@lru_cache(maxsize=1024)
def square_root(expr: Int) -> Int | None:
    """The root of the square of a product."""
    if isinstance(expr, int):
        root = math.isqrt(expr) if expr >= 0 else 0
        return root if root * root == expr else None
    if len(expr.terms) != 1:
        return None
    ((mono, coeff),) = expr.terms.items()
    number = square_root(coeff) if isinstance(coeff, int) else None
    if number is None or any(p % 2 or (a.low or 0) < 0 for a, p in mono):
        return None
    return prod(a.size() ** (p // 2) for a, p in mono) * number


# recipes


def sizes_of(recipe: Recipe) -> set[Size]:
    """The sizes that a float is computed from."""
    return {*occurrences(recipe)}


def occurrences(recipe: Recipe) -> list[Size]:
    """The sizes that a float is computed from, as often as they stand in it."""
    if isinstance(recipe, tuple):
        return occurrences(recipe[1]) + occurrences(recipe[2])
    return [recipe] if isinstance(recipe, Size) else []


def of_one(recipe: Recipe) -> Recipe:
    """The recipe with its only size as None."""
    if isinstance(recipe, tuple):
        return recipe[0], of_one(recipe[1]), of_one(recipe[2])
    return None if isinstance(recipe, Size) else recipe


def folded(sign: str, a: Recipe, b: Recipe) -> Recipe:
    """A product or quotient by a power of two, which rounds nothing, as one product."""
    if sign in ("*", "/") and isinstance(a, tuple) and a[0] == "*" and type(b) in (int, float):
        for size, factor in (a[1:], a[:0:-1]):
            if type(factor) is float and not isinstance(size, float) and abs(b) in POWERS:
                return "*", size, ARITHMETIC[sign](factor, b)
    return sign, a, b


def rounded_product(size: Size, scale: float, how: str) -> Int | None:
    """``round(size * scale)`` in floats, or with `how` "up" ``floor(size * scale + 0.5)``, of sizes
    from 0 on; None for a float above the fraction that it is written for.

    The floor of twice the product says on which side of a half it is. Where the product of the
    fraction is a half, that of the float is it too, or just below: and if it is, the even number of
    two is asked for.

    >>> rounded_product(Size.symbol("H"), 0.7, "round").at({"H": 45}), round(45 * 0.7)
    (31, 31)
    """
    near = scales.ratio(scale)
    if near is None or Fraction(scale) > near:
        return None
    up = floordiv(scaled(size, 2 * scale) + 1, 2)
    down = floordiv(ceildiv(2 * near.numerator * size, near.denominator), 2)
    if how == "up":
        return up
    both = up + down
    return floordiv(both, 2) + floordiv(both + 1, 4) - floordiv(both, 4)


def of_product(recipe: Recipe, leaf: Size, how: str) -> Int | None:
    """A size that is not negative times a number, rounded, also half a unit above; None of others.

    recipe: with None for the size.
    """
    half = isinstance(recipe, tuple) and recipe[0] == "+" and 0.5 in recipe[1:]
    if half and how in ("floor", "trunc"):
        recipe, how = recipe[2 if recipe[1] == 0.5 else 1], "up"
    if how == "ceil" or not isinstance(recipe, tuple) or recipe[0] != "*":
        return None
    scale = recipe[2] if recipe[1] is None else recipe[1]
    if None not in recipe or type(scale) not in (int, float) or not scale > 0:
        return None
    down = how in ("floor", "trunc")
    return scaled(leaf, float(scale)) if down else rounded_product(leaf, float(scale), how)


def computed(recipe: Recipe, at: Callable[[Any], Any]) -> Any:
    """What python computes, with numbers for the sizes."""
    if isinstance(recipe, tuple):
        sign, a, b = recipe
        return ARITHMETIC[sign](computed(a, at), computed(b, at))
    return at(recipe) if recipe is None or isinstance(recipe, Size) else recipe


def exact_quotient(recipe: Recipe, values: dict[Size, Int]) -> tuple[Int, Int]:
    """The exact quotient of a recipe, with expressions for its sizes."""
    if isinstance(recipe, tuple):
        sign, (a, b), (c, d) = (
            recipe[0],
            exact_quotient(recipe[1], values),
            exact_quotient(recipe[2], values),
        )
        if sign == "/":
            return reduced(a * d, b * c)
        if sign == "*":
            return reduced(a * c, b * d)
        return reduced(ARITHMETIC[sign](a * d, c * b), b * d)
    if isinstance(recipe, Size):
        return values[recipe], 1
    near = near_fraction(float(recipe))[0]
    return near.numerator, near.denominator


def plain_quotient(recipe: Recipe, leaf: Size) -> tuple[Int, Int] | None:
    """The quotient in one symbol that stands for the only size, if it is a quotient of that."""
    try:
        return exact_quotient(recipe, {leaf: Size.symbol("x")})
    except (ValueError, ZeroDivisionError):
        return None


def _first_values(recipe: Recipe) -> list[float]:
    """What python computes for the first sizes."""
    found = []
    for x in range(1, SCALE_BOUND + 1):
        found.append(float(computed(recipe, lambda _: x)))  # noqa: B023
    return found


def _at(expr: Int, x: int) -> int:
    return expr if isinstance(expr, int) else int(expr.at({"x": x}))


@lru_cache(maxsize=256)
def agrees_up_to(recipe: Recipe, how: str, quotient: tuple[Int, Int] | None) -> int:
    """Up to which size the rounded float is the rounded quotient: `SCALE_BOUND` for all sizes."""
    if quotient is None:
        return 0
    num, den = quotient
    try:
        values = _first_values(recipe)
    except ArithmeticError:
        return 0
    if isinstance(den, int) and isinstance(num, Size) and set(num.terms) <= {(), *_SYMBOL}:
        slope, const = int(num.terms.get(_SYMBOL[0], 0)), int(num.const)
        exact = ((slope * x + const, den) for x in range(1, SCALE_BOUND + 1))
    else:
        exact = ((_at(num, x), _at(den, x)) for x in range(1, SCALE_BOUND + 1))
    closed = CLOSED[how]
    rounded = ROUNDED[how]
    pairs = enumerate(zip(values, exact, strict=True))
    return next((x for x, (v, (n, d)) in pairs if rounded(v) != closed(n, d)), SCALE_BOUND)


_SYMBOL = tuple(Size.symbol("x").terms)


def orders(mine: Recipe, theirs: Recipe, relation: str) -> bool:
    """Whether floats compare as their quotients do: by a law, or those of the first sizes do."""
    if _keeps_side(mine, relation, theirs):
        return True
    leaf, *others = sorted(sizes_of(mine) | sizes_of(theirs), key=str)
    if others:
        return False
    a, b = plain_quotient(mine, leaf), plain_quotient(theirs, leaf)
    if a is None or b is None:
        return False
    return compares(of_one(mine), of_one(theirs), relation, a[0] * b[1] - b[0] * a[1])


def _keeps_side(recipe: Recipe, relation: str, bound: Recipe) -> bool:
    """Whether ``n * (f/s)`` in floats is above a power of two c exactly where ``n*f/s`` is.

    It rounds twice, by a part of 2**-53 each. Unless n*f/s is c, it is a part of 1/(c*s) from c,
    which is more for sizes up to the bound. Where it is c, the quotient rounds up by less than what
    the product rounds down again: not above, but below perhaps.
    """
    number = isinstance(bound, (int, float)) and math.frexp(bound)[0] == 0.5 and bound >= 1
    if relation not in (">", "<=") or not number or not isinstance(recipe, tuple):
        return False
    sign, *factors = recipe
    quotients = [f for f in factors if isinstance(f, tuple)]
    if sign != "*" or len(quotients) != 1 or quotients[0][0] != "/":
        return False
    (f, s), (n,) = quotients[0][1:], [x for x in factors if not isinstance(x, tuple)]
    if not all(isinstance(x, (int, Size)) for x in (f, s, n)):
        return False
    last = dict.fromkeys(symbols_of(s), SCALE_BOUND)
    return grows(s, dict.fromkeys(last, 1)) and evaluate(s, last) * bound < 1 << 50


@lru_cache(maxsize=256)
def compares(mine: Recipe, theirs: Recipe, relation: str, gap: Int) -> bool:
    """Whether two floats of the first sizes stand as `gap` stands to zero."""
    order = RELATIONS[relation]
    try:
        pairs = zip(_first_values(mine), _first_values(theirs), strict=True)
        return all(order(a, b) == order(_at(gap, x), 0) for x, (a, b) in enumerate(pairs, start=1))
    except ArithmeticError:
        return False
