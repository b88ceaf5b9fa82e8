"""Formulas that repeat: the sizes of a receptive field that depends on the output index.

After upsampling the size is a sum of floors in the index. Its slope is 0, so it repeats, and one
period tells everything; a very long one is told by the places where a floor jumps, for between
them the formula is linear. The size after upsampling by a symbolic m is
``floor((i + b)/m) - floor((i - a)/m) + c``: it takes no values but ``floor((a + b)/m) + c`` and
``ceil((a + b)/m) + c``, both of them unless they are one, and ``(a + b)/m + c`` on average.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd, lcm
from typing import Any

from symcnn.algebra.expr import to_sympy
from symcnn.algebra.size import (
    Floor,
    Int,
    Size,
    Symbol,
    ceildiv,
    evaluate,
    floordiv,
    sole_atom,
    symbols_of,
)
from symcnn.errors import Undecidable
from symcnn.lazy import sympy
from symcnn.questions.field.reach import index_symbol, is_index, sign, slope_of
from symcnn.sets.formula import Formula
from symcnn.shown import Shown
from symcnn.trace.graph import public

#: Up to this period, every index of it is tried.
_PERIOD = 1 << 20


@dataclass(frozen=True, slots=True)
class Sizes(Shown):
    """The sizes of a receptive field that depends on the place of the output."""

    min: Any
    max: Any
    mean: Any  # None where there is no formula
    period: Any  # of the output index

    def __str__(self) -> str:
        if self.min == self.max:
            return str(self.max)
        mean = "" if self.mean is None else f", {self.mean} on average"
        return f"{self.min} to {self.max}{mean}, repeating every {self.period}"


def _growing(length: Int, axis: int, places: Int) -> Sizes | None:
    """A length that never falls, or never rises: its two ends."""
    symbol = index_symbol(axis).name
    way = sign(length, symbol)
    if not way:
        return None
    assert isinstance(length, Size)
    ends = [length.subs({symbol: 0}), length.subs({symbol: places - 1})]
    low, high = ends if way > 0 else ends[::-1]
    linear = all(isinstance(a, Symbol) for a in length.atoms())
    mean = (to_sympy(low) + to_sympy(high)) / 2 if linear else None
    return Sizes(public(low), public(high), mean, public(places))


def varying(length: Int, along: tuple[int, ...], name: str, places: Int | None = None) -> Sizes:
    """Least, largest and mean of a periodic formula, from one period; of one that grows, as after a
    running sum, from the first and the last of its `places`.
    """
    free = [n for n in symbols_of(length) if not is_index(n)]
    if len(along) == 1 and places is not None and (found := _growing(length, along[0], places)):
        return found
    if len(along) == 1 and free and (found := _two_floors(length, index_symbol(along[0]))):
        return found
    if len(along) != 1 or free:
        on = "several output indices" if len(along) != 1 else ", ".join(free)
        raise Undecidable(
            f"the size of the receptive field along {name} depends on {on}",
            cure="size_at(i) is the formula; ask at a size: .at(H=..., W=...)",
        )
    symbol = index_symbol(along[0]).name
    if slope_of(length, symbol):
        raise Undecidable(f"the receptive field along {name} grows with the index")
    period = _period(length, symbol)
    if period <= _PERIOD:
        values: Any = Formula(length).at(**{symbol: range(period)})
        mean = sympy.Rational(int(values.sum()), period)
        least, most = int(values.min()), int(values.max())
        return Sizes(least, most, int(mean) if mean.is_Integer else mean, period)
    return _long_period(length, symbol, period, name)


def _two_floors(length: Int, symbol: Symbol) -> Sizes | None:
    """The sizes ``floor((i + b)/m) - floor((i - a)/m) + c`` for an m without i."""
    assert isinstance(length, Size)
    ends: dict[int, Floor] = {}
    rest: Int = 0
    for mono, coeff in length.terms.items():
        if symbol.name not in symbols_of(here := Size({mono: 1})):
            rest = rest + here * coeff
            continue
        atom = sole_atom(here)
        if not isinstance(atom, Floor) or coeff not in (1, -1) or coeff in ends:
            return None
        ends[int(coeff)] = atom
    if len(ends) != 2 or ends[1].den != ends[-1].den:
        return None
    den = ends[1].den
    shifts = [end.num - symbol.size() for end in (ends[1], ends[-1])]
    if symbol.name in symbols_of(den, *shifts):
        return None
    gap = shifts[0] - shifts[1]
    least, most = floordiv(gap, den) + rest, ceildiv(gap, den) + rest
    mean = to_sympy(rest) + to_sympy(gap) / to_sympy(den)
    return Sizes(public(least), public(most), sympy.expand(mean), public(den))


def _long_period(length: Int, symbol: str, period: int, name: str) -> Sizes:
    """Between the places where a floor jumps the formula is linear: these are enough."""
    jumps = {0}
    for atom in _floors(length):
        slope = atom.num - _at_zero(atom.num, symbol)
        if slope != Symbol(symbol, 0).size() or period // atom.den > _PERIOD:
            raise Undecidable(
                f"the size of the receptive field along {name} repeats every {period} outputs only",
                cure="size_at(i) is the formula; ask at a size: .at(H=..., W=...)",
            )
        start = -_at_zero(atom.num, symbol) % atom.den
        jumps |= set(range(start, period, atom.den))
    starts = sorted(jumps)
    ends = [*(s - 1 for s in starts[1:]), period - 1]
    pairs = [
        (evaluate(length, {symbol: a}), evaluate(length, {symbol: b}), b - a + 1)
        for a, b in zip(starts, ends, strict=True)
    ]
    mean = sympy.Rational(sum((a + b) * n for a, b, n in pairs), 2 * period)
    values = [v for a, b, _ in pairs for v in (a, b)]
    return Sizes(min(values), max(values), int(mean) if mean.is_Integer else mean, period)


def _at_zero(expr: Int, symbol: str) -> int:
    return int(evaluate(expr, {symbol: 0}))


def _floors(expr: Int) -> Iterator[Any]:
    """The floors of a formula; Undecidable for other atoms, and floors inside floors."""
    if isinstance(expr, Size):
        for atom in expr.atoms():
            if isinstance(atom, Floor) and type(atom.den) is int and not list(_floors(atom.num)):
                yield atom
            elif not isinstance(atom, Symbol):
                raise Undecidable("a receptive field of very long period")


def _period(expr: Int, symbol: str) -> int:
    """After how many indices the formula is the same but for a multiple of its slope."""
    if isinstance(expr, int):
        return 1
    period = 1
    for atom in expr.atoms():
        if isinstance(atom, Floor) and type(atom.den) is int:
            inner = _period(atom.num, symbol)
            step = slope_of(atom.num, symbol) * inner
            grown = int(sympy.Integer(step)) if step.is_Integer else 1
            period = lcm(period, inner * (atom.den // gcd(atom.den, grown)))
        else:
            period = lcm(period, *(_period(a, symbol) for a in atom.args))
    return period
