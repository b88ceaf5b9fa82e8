"""Sums, products and recurrences over the blocks of a network whose depth is a symbol.

Three laws are enough for what networks repeat (i counts blocks from 0):

- *sums*: ``sum of i**d * r**i`` over ``i < n`` is a polynomial in n (r = 1, Faulhaber), or
  ``q(n)*r**n - q(0)`` for the polynomial q with ``r*q(i + 1) - q(i) = i**d``;
- *affine maps*: ``x -> x + b_i`` gives ``x_0 + sum b_j``, ``x -> a*x + b`` gives
  ``a**i*x_0 + b*(1 + a + ... + a**(i - 1))``;
- *floors*: ``x -> floor((x + c_i)/s)`` gives ``floor((x_0 + sum c_j*s**j)/s**i)``: the law of
  nested floors, i times.

A sum without a closed form stays a `symcnn.algebra.size.Sum`, exact at numbers; a recurrence
without one is refused.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb

from symcnn.algebra.size import (
    Coeff,
    Floor,
    Int,
    Monomial,
    Power,
    Size,
    Sum,
    Symbol,
    every_atom,
    exact_div,
    floordiv,
    power,
    prod,
    sole_atom,
    symbols_of,
    with_values,
)
from symcnn.errors import Undecidable


def _scaled(expr: Int, factor: int | Fraction) -> Int:
    product = expr * factor
    return product if isinstance(product, (int, Size)) else Size({(): product})


def closed(expr: Int) -> bool:
    """Whether no sum in `expr` is left without a closed form."""
    return all(atom.ratio is not None for atom in every_atom(expr) if isinstance(atom, Sum))


def summation(term: Int, index: str, count: Int) -> Int:
    """The sum of `term` over ``0 <= index < count``, closed where there is a closed form.

    >>> i, n = Size({((Symbol("i", 0), 1),): 1}), Size.symbol("n")
    >>> summation(2*i + 1, "i", n), summation(power(2, i), "i", n), summation(i*i, "i", n)
    (n**2, 2**n - 1, n**3/3 - n**2/2 + n/6)
    >>> summation(Size.symbol("H")//power(2, i), "i", n)
    sum(H//2**i, i < n)
    """
    if isinstance(count, int):
        return sum((with_values(term, {index: i}) for i in range(count)), 0)
    if isinstance(term, int):
        return term * count
    rising = _summed(term, index, count)
    if closed(rising):
        return rising
    # Counted from both ends, n = i + j + 1 for the last n - 1 - i = j blocks: 2**n//2**i is 2*2**j.
    falling = with_values(term, {index: count - 1 - Symbol(index, 0).size()})
    for terms in (falling, _met(term, index, count)):
        if terms is not None and closed(found := _summed(terms, index, count)):
            return found
    return rising


def _met(term: Int, index: str, count: Int) -> Int | None:
    """The term in normal form for ``count = index + j + 1``, for a count such as n or n - 1."""
    assert isinstance(count, Size)
    const = count.const
    symbol = sole_atom(count - const)
    if not isinstance(symbol, Symbol) or symbol.name == index or not isinstance(const, int):
        return None
    i, j = Symbol(index, 0).size(), Symbol("j'", 0)
    found = with_values(term, {symbol.name: i + j.size() + 1 - const})
    return with_values(found, {j.name: count - 1 - i})


def closing(expr: Int) -> Int:
    """`expr` with its sums tried anew, after symbols have been replaced.

    >>> i, n, t = Symbol("i", 0).size(), Size.symbol("n"), Size.symbol("t")
    >>> open = summation(Size.symbol("H") // power(2, i), "i", n)
    >>> open, closing(open.subs({"H": power(2, n) * t}))
    (sum(H//2**i, i < n), 2*2**n*t - 2*t)
    """
    if isinstance(expr, int):
        return expr
    total: Int = 0
    for mono, coeff in expr.terms.items():
        term: Int = _scaled(1, coeff)
        for atom, times in mono:
            factor: Int = Size({((atom, times),): 1})
            if isinstance(atom, Sum) and atom.ratio is None:
                factor = summation(closing(atom.term), atom.index, atom.count) ** times
            term = term * factor
        total = total + term
    return total


def _summed(term: Int, index: str, count: Int) -> Int:
    if isinstance(term, int):
        return term * count
    total: Int = 0
    for mono, coeff in term.terms.items():
        found = _powers(mono, index)
        value = None
        if found is not None:
            outside, degree, ratio = found
            value = _power_sum(degree, ratio, index, count)
        if found is None or value is None:
            total = total + _open(mono, coeff, index, count)
        else:
            total = total + _scaled(outside * value, coeff)
    return total


def _open(mono: Monomial, coeff: Coeff, index: str, count: Int) -> Int:
    """A term without a closed form: what does not count with it stands before the sum, so that
    opposite sums cancel.
    """
    outside = tuple(p for p in mono if index not in symbols_of(Size({(p,): 1})))
    inside = Size({tuple(p for p in mono if p not in outside): 1})
    return Size({outside: coeff}) * Sum(inside, index, count).size()


def _powers(mono: tuple[tuple[object, int], ...], index: str) -> tuple[Int, int, Int] | None:
    """A monomial as ``outside * index**degree * ratio**index``, if it is one."""
    i = Symbol(index, 0).size()
    outside: Int = 1
    ratio: Int = 1
    degree = 0
    for atom, times in mono:
        here = Size({((atom, times),): 1})  # type: ignore[dict-item]
        if index not in symbols_of(here):
            outside = outside * here
        elif isinstance(atom, Symbol):
            if times < 0:
                return None
            degree += times
        elif isinstance(atom, Power) and index not in symbols_of(atom.base):
            step = exact_div(atom.exponent, i)
            if step is None or index in symbols_of(step):
                return None
            ratio = ratio * power(atom.base, step * times)
        else:
            return None
    return outside, degree, ratio


def _power_sum(degree: int, ratio: Int, index: str, count: Int) -> Int | None:
    """The sum of ``i**degree * ratio**i`` over ``i < count``; None if there is no closed form."""
    if ratio == 1:
        return _polynomial(_faulhaber(degree), count)
    if isinstance(ratio, int) or not symbols_of(ratio):
        r = Fraction(ratio if isinstance(ratio, int) else ratio.const)
        q = _geometric(degree, r)
        above, below = power(r.numerator, count), power(r.denominator, -1 * count)
        return _polynomial(q, count) * above * below + _scaled(-1, q[0])
    if degree == 0 and len(ratio.terms) == 1 and _whole(ratio):
        term = power(ratio, Symbol("j_", 0).size())  # one name, so that equal sums are equal
        return Sum(term, "j_", count).size() if isinstance(term, Size) else None
    return None


def _whole(ratio: Size) -> bool:
    ((mono, coeff),) = ratio.terms.items()
    return type(coeff) is int and all(times > 0 for _, times in mono)


def _polynomial(coefficients: tuple[Fraction, ...], x: Int) -> Int:
    """The polynomial with these coefficients, the constant first."""
    total: Int = 0
    for degree, coefficient in enumerate(coefficients):
        if coefficient:
            total = total + _scaled(prod([x] * degree), coefficient)
    return total


@lru_cache(maxsize=64)
def _faulhaber(degree: int) -> tuple[Fraction, ...]:
    """Coefficients in n of the sum of ``i**degree`` over ``i < n``.

    From ``n**(d + 1) = sum over i of ((i + 1)**(d + 1) - i**(d + 1))``.
    """
    total = [Fraction(0)] * (degree + 1) + [Fraction(1)]
    for lower in range(degree):
        for power_, c in enumerate(_faulhaber(lower)):
            total[power_] -= comb(degree + 1, lower) * c
    return tuple(c / (degree + 1) for c in total)


@lru_cache(maxsize=64)
def _geometric(degree: int, r: Fraction) -> tuple[Fraction, ...]:
    """Coefficients of the polynomial q with ``r*q(i + 1) - q(i) = i**degree``."""
    q = [Fraction(0)] * (degree + 1)
    for e in range(degree, -1, -1):
        want = Fraction(int(e == degree))
        want -= r * sum((q[f] * comb(f, e) for f in range(e + 1, degree + 1)), Fraction(0))
        q[e] = want / (r - 1)
    return tuple(q)


def iterate(step: Int, x: str, index: str, start: Int, low: int | None = 1) -> Int:
    """The closed form of ``x_i`` for ``x_0 = start`` and ``x_(i + 1) = step(index=i, x=x_i)``.

    low: the lower bound with which the symbol `x` was made.

    Raises Undecidable for a recurrence that has none (here).

    >>> x, i, H = Size.symbol("x"), Symbol("i", 0).size(), Size.symbol("H")
    >>> iterate((x - 1)//2 + 1, "x", "i", H), iterate(2*x + 1, "x", "i", H)
    ((H - 1)//2**i + 1, 2**i*H + 2**i - 1)
    >>> iterate(x + 2*i, "x", "i", H)
    i**2 + H - i
    """
    i = Symbol(index, 0).size()
    here = Symbol(x, low).size()
    if step == here:
        return start
    if isinstance(step, int) or x not in symbols_of(step):
        constant = with_values(step, {index: i - 1})
        if with_values(constant, {index: 0}) == start:
            return constant
        raise Undecidable(
            f"the first block takes {start}, the others {step}",
            cure="take the first block out of the repeat",
        )
    inner: Int = step
    outer: Int = 0
    den: Int = 1
    floors = [(m, c) for m, c in step.terms.items() if x in symbols_of(Size({m: 1}))]
    if len(floors) == 1 and len(floors[0][0]) == 1 and floors[0][0][0][1] == 1:
        (((atom, _),), coeff) = floors[0]
        if isinstance(atom, Floor) and coeff in (1, -1):
            outer = step - Size({floors[0][0]: coeff})
            inner, den = atom.num, atom.den
            if coeff == -1:  # -floor(y/s) = floor((s - 1 - y)/s)
                inner = den - 1 - inner
    slope = _slope(inner, x)
    if slope is None or x in symbols_of(outer, den) or index in symbols_of(slope, den):
        raise _no_closed_form(step, x)
    offset = inner - slope * here
    if den == 1:
        return _affine(slope, offset, index, start, step, x)
    if slope != 1:
        raise _no_closed_form(step, x)
    shift = summation((offset + den * outer) * power(den, i), index, i_count())
    return floordiv(tidy(start + with_values(shift, {_COUNT: i})), power(den, i))


def tidy(expr: Int) -> Int:
    """``r*(1 + ... + r**(n - 1))`` as ``(1 + ... + r**(n - 1)) + r**n - 1``, for a symbol r."""
    found = None
    for mono in expr.terms if isinstance(expr, Size) else ():
        for atom, _ in mono:
            ratio = sole_atom(atom.ratio) if isinstance(atom, Sum) and atom.ratio else None
            if ratio is not None and any(other is ratio or other == ratio for other, _ in mono):
                found = mono, atom, ratio
    if found is None:
        return expr
    assert isinstance(expr, Size)
    mono, geometric, r = found
    assert isinstance(geometric, Sum)
    rest = exact_div(Size({mono: 1}), r.size() * geometric.size())
    assert rest is not None
    less = geometric.size() + power(r.size(), geometric.count) - 1
    return tidy(expr + expr.terms[mono] * (rest * less - Size({mono: 1})))


_COUNT = "#"


def i_count() -> Size:
    """The upper end of a partial sum, replaced by the index afterwards."""
    return Symbol(_COUNT, 0).size()


def _slope(expr: Int, x: str) -> Int | None:
    """a, if `expr` is ``a*x + b`` with a and b free of x."""
    slope: Int = 0
    assert isinstance(expr, Size)
    for mono, coeff in expr.terms.items():
        times = [t for atom, t in mono if isinstance(atom, Symbol) and atom.name == x]
        others = tuple(p for p in mono if not (isinstance(p[0], Symbol) and p[0].name == x))
        if x in symbols_of(Size({others: 1})) or times not in ([], [1]):
            return None
        if times:
            slope = slope + (Size({others: coeff}) if others else _scaled(1, coeff))
    return slope


def _affine(slope: Int, offset: Int, index: str, start: Int, step: Int, x: str) -> Int:
    i = Symbol(index, 0).size()
    count = i_count()
    if slope == 1:
        return start + with_values(summation(offset, index, count), {_COUNT: i})
    if index not in symbols_of(offset):
        sums = summation(power(slope, i), index, count)
        return power(slope, i) * start + offset * with_values(sums, {_COUNT: i})
    if isinstance(slope, int) and slope > 0:  # a**(i - 1) * sum of b_j / a**j
        sums = summation(offset * power(slope, -1 * i), index, count)
        return power(slope, i) * start + power(slope, i - 1) * with_values(sums, {_COUNT: i})
    raise _no_closed_form(step, x)


def _no_closed_form(step: Int, x: str) -> Undecidable:
    shown = str(step).replace(x, "x")
    return Undecidable(
        f"x -> {shown}, again and again, has no closed form that is known here",
        cure="give the number of blocks as a number",
    )
