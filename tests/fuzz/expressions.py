"""Random integer expressions, each in three forms that must agree.

`Drawn` holds the normal form, the same expression un-normalised as isl text, and a plain python
function; tests compare them by value and, by isl, for all integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from symcnn.algebra import size as sz
from symcnn.algebra.size import Int

__all__ = ["Drawn", "expressions"]


@dataclass(frozen=True)
class Drawn:
    """An expression as normal form, as isl text over its symbols, and as a python function."""

    normal: Int
    isl: str
    value: Callable[[Mapping[str, int]], int]

    def __repr__(self) -> str:
        return f"{self.isl} -> {self.normal}"


def expressions(
    names: Sequence[str] = ("x", "y"), *, low: int | None = None
) -> st.SearchStrategy[Drawn]:
    """Nested sums, multiples, floor and ceil divisions, Mod, min and max over integer symbols.

    `low` bounds the symbols from below (1 for sizes, None for all integers).
    """
    leaves = st.one_of(
        st.sampled_from(names).map(lambda name: _leaf(name, low)),
        st.integers(-9, 9).map(_number),
    )
    return st.recursive(leaves, _grow, max_leaves=6)


def _leaf(name: str, low: int | None) -> Drawn:
    return Drawn(sz.Symbol(name, low).size(), name, lambda values: values[name])


def _number(number: int) -> Drawn:
    return Drawn(number, f"({number})", lambda _: number)


def _grow(inner: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    numbers = st.integers(-4, 4)
    divisors = st.sampled_from([-6, -4, -3, -2, 1, 2, 3, 4, 5, 6, 8, 32])
    positive = st.integers(1, 8)
    return st.one_of(
        st.builds(_add, inner, inner),
        st.builds(_times, inner, numbers),
        st.builds(_floordiv, inner, divisors),
        st.builds(_floordiv, inner, divisors),
        st.builds(_ceildiv, inner, positive),
        st.builds(_mod, inner, positive),
        st.builds(_max, inner, inner),
        st.builds(_min, inner, inner),
    )


def _add(a: Drawn, b: Drawn) -> Drawn:
    return Drawn(a.normal + b.normal, f"({a.isl} + {b.isl})", lambda v: a.value(v) + b.value(v))


def _times(a: Drawn, n: int) -> Drawn:
    return Drawn(a.normal * n, f"({n} * {a.isl})", lambda v: a.value(v) * n)


def _floordiv(a: Drawn, n: int) -> Drawn:
    numerator = a.isl if n > 0 else f"-1 * {a.isl}"
    text = f"floor(({numerator})/{abs(n)})"
    return Drawn(sz.floordiv(a.normal, n), text, lambda v: a.value(v) // n)


def _ceildiv(a: Drawn, n: int) -> Drawn:
    return Drawn(sz.ceildiv(a.normal, n), f"ceil(({a.isl})/{n})", lambda v: -(-a.value(v) // n))


def _mod(a: Drawn, n: int) -> Drawn:
    return Drawn(sz.mod(a.normal, n), f"(({a.isl}) mod {n})", lambda v: a.value(v) % n)


def _max(a: Drawn, b: Drawn) -> Drawn:
    normal = sz.maximum(a.normal, b.normal)
    return Drawn(normal, f"max({a.isl}, {b.isl})", lambda v: max(a.value(v), b.value(v)))


def _min(a: Drawn, b: Drawn) -> Drawn:
    normal = sz.minimum(a.normal, b.normal)
    return Drawn(normal, f"min({a.isl}, {b.isl})", lambda v: min(a.value(v), b.value(v)))
